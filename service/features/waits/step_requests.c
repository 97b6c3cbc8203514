/*
 * step_requests: what a task's code wants that outlives it: to wait, to start runs, to publish, to
 * answer.
 *
 * What can be done at once is done in the batch that records the request; its outcome is part of
 * the same transition, so one that is sent twice is never carried out twice.
 */
#include "service/features/waits/step_requests.h"

#include "service/base/sys.h"
#include "service/features/waits/replay.h"
#include "service/features/waits/wait_kind.h"
#include "service/hosts/leases.h"
#include "service/partition/commands.h"
#include "service/partition/journal.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

static void log_damage(const char *what, status why)
{
    log_line(LOG_ERROR, "journal_unreadable", "what=%s why=\"%s\"", what, why.why);
}

/* Its host is told later, if the reason passes. */
static void put_off(struct partition *partition, struct task_ref task, const char *what, status why)
{
    struct live_run *run;
    log_damage(what, why);
    if (store_may_pass(why) && status_is_ok(runs_get(partition, task.run, &run)) &&
        !engine_is_terminal(&run->state)) {
        runs_recover_later(partition, run, partition->now_ms + READ_AGAIN_MS);
    }
}

void step_request_settle(struct step_request *step, struct outcome outcome)
{
    assert(step->command.kind == COMMAND_STEP_REQUEST);
    assert(!step->command.step_request.is_settled);
    step->command.step_request.is_settled = true;
    step->command.step_request.outcome = outcome;
}

void step_request_refuse(struct step_request *step, const char *type, str message)
{
    assert(type != NULL && message.len > 0);
    step->command.step_request.kind = EFFECT_AT_ONCE;
    step->command.step_request.children = 0;
    step->own = NULL;
    step_request_settle(
        step,
        (struct outcome){.failed = true, .error_type = str_of(type), .error_message = message});
}

/* Hosts are sent no stack of an outcome that is the server's own. */
static struct outcome outcome_without_stack(const struct outcome *from)
{
    return (struct outcome){.failed = from->failed,
                            .value = from->value,
                            .error_type = from->error_type,
                            .error_message = from->error_message};
}

static void perform_tell(struct partition *partition, const struct act *act)
{
    const struct told *told = act->data;
    assert(told != NULL);
    struct task_ref task = {act->run_id, act->effect};
    struct outcome outcome = told->outcome;
    if (told->kind == EFFECT_CHILDREN && !outcome.failed && outcome.value.len == 0) {
        struct facts_cursor cursor = replay_cursor(task.run, task.effect);
        bool is_cut;
        cursor.wait = told->wait;
        cursor.start = told->since;
        cursor.steps = told->steps_before;
        status read =
            replay_children(partition, &cursor, &partition->scratch, &outcome.value, &is_cut);
        if (!status_is_ok(read)) {
            put_off(partition, task, "children", read);
            return;
        }
        if (is_cut) {
            hosts_send_facts(partition->hosts, task, cursor);
            return;
        }
    }
    hosts_send_outcome(partition->hosts, task, told->key, told->settled, &outcome,
                       told->steps_before);
}

static const struct act_kind tell_act = {.name = "outcome", .perform = perform_tell};

static void perform_tell_all(struct partition *partition, const struct act *act)
{
    step_request_resend(partition, (struct task_ref){act->run_id, act->effect});
}

static const struct act_kind tell_all_act = {.name = "outcomes", .perform = perform_tell_all};

void step_request_tell(struct partition *partition, struct live_run *run, uint32_t task,
                       const struct told *told)
{
    assert(told->kind > EFFECT_NONE && told->kind < EFFECT_KIND_COUNT);
    struct arena *arena = &partition->round_arena;
    struct told *copy = arena_alloc(arena, sizeof(*copy));
    *copy = *told;
    copy->key = arena_copy(arena, told->key);
    copy->outcome = (struct outcome){
        .failed = told->outcome.failed,
        .value = arena_copy(arena, told->outcome.value),
        .error_type = arena_copy(arena, told->outcome.error_type),
        .error_message = arena_copy(arena, told->outcome.error_message),
    };
    struct act *act = act_add(partition, &tell_act, run);
    act->effect = task;
    act->data = copy;
}

static bool add_key(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    assert(event->kind == EVENT_WAIT_SET);
    step_keys_add(context, event->wait_set.owner, engine_key(event->wait_set.key));
    return true;
}

/* False: the key is new to the task, for sure. */
static bool may_be_known(struct step_request *step, uint32_t task, uint64_t key)
{
    struct step_keys *keys = waits_step_keys(step->partition, step->run);
    if (!keys->is_complete) { /* The run was read again. */
        status read = journal_each(step->partition, step->run->state.id,
                                   JOURNAL_KIND(EVENT_WAIT_SET), step->arena, add_key, keys);
        keys->is_complete = status_is_ok(read);
    }
    return !keys->is_complete || step_keys_has(keys, task, key);
}

struct search {
    uint32_t task;
    str key;
    bool is_found;
};

static bool find_key(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct search *search = context;
    assert(event->kind == EVENT_WAIT_SET);
    search->is_found =
        event->wait_set.owner == search->task && str_equal(event->wait_set.key, search->key);
    return !search->is_found;
}

/* What is asked for may stand already: it is asked again, where the reason passes. */
static void refuse_unread(struct partition *partition, status why)
{
    log_damage("step_requests", why);
    if (store_may_pass(why)) {
        round_spoil(partition, why);
    }
}

/* There is too much to look through for one outcome: the host is told of each again. */
static bool tell_all_if_known(struct step_request *step, uint32_t task)
{
    struct search search = {.task = task, .key = step->message->key};
    status read = journal_each(step->partition, step->run->state.id, JOURNAL_KIND(EVENT_WAIT_SET),
                               step->arena, find_key, &search);
    if (!status_is_ok(read)) {
        refuse_unread(step->partition, read);
        return true;
    }
    if (!search.is_found) {
        return false;
    }
    act_add(step->partition, &tell_all_act, step->run)->effect = task;
    return true;
}

static bool is_withdrawn(const struct settled_step *step)
{
    return step->outcome.failed && str_is(step->outcome.error_type, ENGINE_WITHDRAWN);
}

/* Whether it is the outcome of what is asked for; what was given up may be asked for again. */
static bool answers(const struct settled_step *step, str key)
{
    return step->is_step_request && !is_withdrawn(step) && str_equal(step->key, key);
}

/* True when it stands already: its outcome is on its way, or is sent again. */
static bool is_repeated(struct step_request *step, enum verdict *ret)
{
    const struct effect *task = engine_effect(&step->run->state, step->message->task.effect);
    if (task == NULL || task->attempt != step->message->epoch || task->state != EFFECT_LEASED) {
        *ret = VERDICT_STALE;
        return true;
    }
    uint64_t key = engine_key(step->message->key);
    *ret = VERDICT_DONE_BEFORE;
    if (engine_wait(&step->run->state, task->id, key) != NULL) {
        return true;
    }
    if (task->waits_settled == 0 || !may_be_known(step, task->id, key)) {
        return false; /* No step request of this key has been settled. */
    }
    struct replay replay;
    status read = replay_read(step->partition, step->run->state.id, task->id, step->arena, &replay);
    if (!status_is_ok(read)) {
        refuse_unread(step->partition, read);
        return true; /* It was settled, perhaps: what cannot be read is not done again. */
    }
    if (replay.is_cut) {
        return tell_all_if_known(step, task->id);
    }
    for (size_t i = 0; i < replay.count; i++) {
        if (answers(&replay.steps[i], step->message->key)) {
            struct told told = {
                .kind = EFFECT_AT_ONCE,
                .settled = replay.steps[i].kind,
                .key = step->message->key,
                .outcome = outcome_without_stack(&replay.steps[i].outcome),
                .steps_before = replay.steps[i].steps_before,
            };
            step_request_tell(step->partition, step->run, task->id, &told);
            return true;
        }
    }
    return false;
}

/* By the server's clock; 0: never. */
static uint64_t due_ms(const struct partition *partition, const struct host_step_request *wanted)
{
    assert(wanted->due_ms == 0 || wanted->length_ms == 0);
    return wanted->length_ms == 0 ? wanted->due_ms : partition->now_ms + wanted->length_ms;
}

enum verdict step_request_submit(struct partition *partition, struct live_run *run,
                                 const struct host_message *message, struct arena *arena)
{
    assert(message->kind == HOST_MESSAGE_STEP_REQUEST);
    assert(uuid_equal(message->task.run, run->state.id));
    struct step_request step = {
        .partition = partition,
        .run = run,
        .message = message,
        .arena = arena,
        .due_ms = due_ms(partition, &message->step_request),
        .command = {.kind = COMMAND_STEP_REQUEST,
                    .effect = message->task.effect,
                    .attempt = message->epoch,
                    .step_request = {.key = message->key, .kind = EFFECT_AT_ONCE}},
    };
    enum verdict verdict;
    if (is_repeated(&step, &verdict)) {
        return verdict;
    }
    const struct wait_kind *kind = waits_kind_for(partition, message->step_request.kind);
    kind->prepare(&step);
    if (kind->carry_out != NULL) {
        kind->carry_out(&step);
    }
    enum effect_kind asked = step.command.step_request.kind;
    assert(asked == EFFECT_AT_ONCE || asked == kind->kind);
    return command_submit(partition, run, &step.command);
}

bool step_request_must_wait(struct partition *partition, const struct live_run *run,
                            const struct host_message *message)
{
    const struct wait_kind *kind = waits_kind_for(partition, message->step_request.kind);
    return kind->must_wait != NULL && kind->must_wait(partition, run);
}

status step_request_read(struct partition *partition, const struct host_message *message)
{
    const struct wait_kind *kind = waits_kind_for(partition, message->step_request.kind);
    status read = kind->read == NULL ? STATUS_OK : kind->read(partition, &message->step_request);
    return !status_is_ok(read) && store_may_pass(read) ? read : STATUS_OK;
}

void step_request_interrupt(struct partition *partition, struct task_ref task)
{
    struct live_run *run;
    uint64_t left_ms = 0;
    if (status_is_ok(runs_get(partition, task.run, &run)) && run->state.is_cancelling &&
        run->state.deadline_ms > partition->now_ms) {
        left_ms = run->state.deadline_ms - partition->now_ms;
    }
    hosts_interrupt(partition->hosts, task, left_ms);
}

static void resend_in_pieces(struct partition *partition, struct task_ref task)
{
    struct facts_cursor cursor = replay_cursor(task.run, task.effect);
    struct live_run *run;
    cursor.waits_only = true;
    if (status_is_ok(runs_get(partition, task.run, &run)) && run->state.is_cancelling) {
        step_request_interrupt(partition, task);
    }
    hosts_send_facts(partition->hosts, task, cursor);
}

/* It was given up, and is asked for again: who waits for it would take this for the answer. */
static bool is_asked_again(struct partition *partition, struct task_ref task,
                           const struct replay *replay, size_t index)
{
    const struct settled_step *step = &replay->steps[index];
    const struct live_run *run = runs_find(partition, task.run);
    if (!is_withdrawn(step)) {
        return false;
    }
    bool is_it =
        run != NULL && engine_wait(&run->state, task.effect, engine_key(step->key)) != NULL;
    for (size_t i = index + 1; i < replay->count && !is_it; i++) {
        is_it = replay->steps[i].is_step_request && str_equal(replay->steps[i].key, step->key);
    }
    return is_it;
}

void step_request_resend(struct partition *partition, struct task_ref task)
{
    struct replay replay;
    status read = replay_read(partition, task.run, task.effect, &partition->scratch, &replay);
    if (!status_is_ok(read)) {
        put_off(partition, task, "step_requests", read);
        return;
    }
    if (replay.is_cut) {
        resend_in_pieces(partition, task);
        return;
    }
    if (replay.cancel_cause.len > 0) {
        step_request_interrupt(partition, task);
    }
    for (size_t i = 0; i < replay.count; i++) {
        if (replay.steps[i].is_step_request && !is_asked_again(partition, task, &replay, i)) {
            hosts_send_outcome(partition->hosts, task, replay.steps[i].key, replay.steps[i].kind,
                               &replay.steps[i].outcome, replay.steps[i].steps_before);
        }
    }
}
