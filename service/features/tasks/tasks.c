/*
 * tasks: the work that hosts are given.
 */
#include "service/features/tasks/tasks.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/features/definitions/definitions.h"
#include "service/features/tasks/grants.h"
#include "service/features/tasks/hearing.h"
#include "service/features/versions/versions.h"
#include "service/features/waits/step_requests.h"
#include "service/features/waits/waits.h"
#include "service/features/watchers/watchers.h"
#include "service/hosts/placement.h"
#include "service/partition/commands.h"
#include "service/partition/round.h"
#include "service/partition/state.h"
#include "service/partition/task_order.h"

struct tasks {
    struct partition *partition;
    struct host_loss *lost;
    size_t lost_count;
    size_t lost_capacity;
    struct act *doubts; /* Tasks that are over, perhaps, of runs that could not be read. */
    size_t doubt_count;
    size_t doubt_capacity;
    struct hearing hearing;
    struct task_ref ready; /* One for which a slot is free. */
    bool has_ready;
};

static struct tasks *tasks_of(const struct partition *partition)
{
    return partition_self(partition, &tasks_feature);
}

uint64_t tasks_clock_ms(const struct partition *partition)
{
    return hearing_clock(&tasks_of(partition)->hearing, partition->monotonic_ms);
}

void task_note_loss(struct partition *partition, const struct host_loss *loss)
{
    assert(loss->cause != NULL);
    struct tasks *tasks = tasks_of(partition);
    tasks->lost = array_reserve(tasks->lost, &tasks->lost_capacity, tasks->lost_count + 1,
                                sizeof(tasks->lost[0]));
    tasks->lost[tasks->lost_count++] = *loss;
}

static void handle_lost(struct tasks *tasks)
{
    struct partition *partition = tasks->partition;
    /* The list may not grow meanwhile: nothing below calls what notes a loss. */
    size_t count = tasks->lost_count;
    for (size_t i = 0; i < count; i++) {
        const struct host_loss *lost = &tasks->lost[i];
        struct live_run *run;
        if (!status_is_ok(runs_get(partition, lost->task.run, &run))) {
            continue;
        }
        const struct effect *effect = engine_effect(&run->state, lost->task.effect);
        if (effect != NULL && effect->state == EFFECT_LEASED && effect->attempt == lost->epoch) {
            hosts_release(partition->hosts, lost->task); /* Its run, read again, expects it. */
        }
        struct command command = {
            .kind = COMMAND_LEASE_LOST,
            .effect = lost->task.effect,
            .attempt = lost->epoch,
            .lease_lost = {.cause = str_of(lost->cause), .is_excused = lost->is_excused},
        };
        enum verdict verdict = command_submit(partition, run, &command);
        (void)verdict; /* Settled or granted anew meanwhile: nothing is lost. */
    }
    assert(tasks->lost_count == count);
    tasks->lost_count = 0;
}

static void grant_first(struct partition *partition, struct task_ref task)
{
    struct live_run *run;
    if (queues_woken(partition, task.run)) {
        return;
    }
    if (status_is_ok(runs_get(partition, task.run, &run))) {
        task_grant(partition, run, task.effect);
    }
}

static void handle_ready(struct tasks *tasks)
{
    struct partition *partition = tasks->partition;
    if (tasks->has_ready) {
        tasks->has_ready = false;
        grant_first(partition, tasks->ready);
        assert(!tasks->has_ready); /* The next is asked for when the round is over. */
    }
    struct task_ref task;
    for (size_t i = 0; i < partition->options.batch_max && hosts_ready_pop(partition->hosts, &task);
         i++) {
        grant_first(partition, task);
    }
}

static bool read_facts(void *context, struct facts_cursor *cursor, struct host_facts *ret)
{
    return task_read_facts(context, cursor, ret);
}

static void note_host_loss(void *context, const struct host_loss *loss)
{
    task_note_loss(context, loss);
}

static void perform_release(struct partition *partition, const struct act *act)
{
    hosts_release(partition->hosts, (struct task_ref){act->run_id, act->effect});
}

/* Why the task is no longer its host's. */
static enum stop_reason reason_of(const struct act *act)
{
    enum stop_reason reason = *(const enum stop_reason *)act->data;
    assert(reason == STOP_RUN_ENDED || reason == STOP_DEADLINE);
    return reason;
}

static void perform_cancel(struct partition *partition, const struct act *act)
{
    struct task_ref task = {act->run_id, act->effect};
    if (act->attempt == 0) {
        hosts_release(partition->hosts, task);
        return;
    }
    hosts_stop(partition->hosts, task, reason_of(act));
}

static void perform_interrupt(struct partition *partition, const struct act *act)
{
    step_request_interrupt(partition, (struct task_ref){act->run_id, act->effect});
}

static const struct act_kind release_act = {.name = "release", .perform = perform_release};
static const struct act_kind cancel_act = {.name = "cancel_task", .perform = perform_cancel};
static const struct act_kind interrupt_act = {.name = "interrupt", .perform = perform_interrupt};

/* A task is over without its host having said so: whoever has it is told, it stands no longer among
 * the ready ones. */
static void withdraw_task(struct partition *partition, struct live_run *run,
                          const struct effect *effect, enum stop_reason reason)
{
    static const enum stop_reason reasons[] = {
        [STOP_RUN_ENDED] = STOP_RUN_ENDED, [STOP_DEADLINE] = STOP_DEADLINE};
    assert(effect != NULL && effect_is_task(effect));
    assert(reason < COUNT_OF(reasons));
    struct act *act = act_add(partition, &cancel_act, run);
    act->effect = effect->id;
    act->attempt = effect->state == EFFECT_LEASED ? effect->attempt : 0;
    act->data = (void *)&reasons[reason];
    if (effect->state != EFFECT_LEASED) {
        hosts_ready_remove(partition->hosts, (struct task_ref){run->state.id, effect->id});
    }
}

static void note_end(struct partition *partition, struct live_run *run)
{
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        if (effect_is_task(effect)) {
            withdraw_task(partition, run, effect, STOP_RUN_ENDED);
        }
    }
}

static void note_cancel(struct partition *partition, struct live_run *run)
{
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        if (effect_is_task(effect) && effect->state == EFFECT_LEASED) {
            act_add(partition, &interrupt_act, run)->effect = effect->id;
        }
    }
}

/* What an event does to tasks that are out. */
static void before_event(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command)
{
    const struct tasks *tasks = self;
    struct partition *partition = tasks->partition;
    if (event->kind == EVENT_TASK_SETTLED && command == COMMAND_TASK_DONE) {
        act_add(partition, &release_act, run)->effect = event->effect;
    } else if (event->kind == EVENT_TASK_SETTLED && command == COMMAND_TIME) {
        withdraw_task(partition, run, engine_effect(&run->state, event->effect), STOP_DEADLINE);
    } else if (event->kind == EVENT_TASK_FAILED || event->kind == EVENT_TASK_PARKED ||
               event->kind == EVENT_LEASE_LOST) {
        /* At once: it may be granted again in this very round. */
        hosts_release(partition->hosts, (struct task_ref){run->state.id, event->effect});
    } else if (event->kind == EVENT_RUN_FAILED || event->kind == EVENT_RUN_CANCELLED) {
        note_end(partition, run);
    } else if (event->kind == EVENT_CANCEL_REQUESTED) {
        note_cancel(partition, run);
    }
}

/* Whether a task may be ready now that a host is to be found for. */
static bool makes_ready(enum event_kind kind)
{
    return kind == EVENT_TASK_REQUESTED || kind == EVENT_LEASE_LOST || kind == EVENT_WAIT_SETTLED ||
           kind == EVENT_TASK_PARKED || kind == EVENT_TASK_REQUEUED ||
           kind == EVENT_CANCEL_REQUESTED || kind == EVENT_ADMISSION_GIVEN;
}

static void grant_ready(struct partition *partition, struct live_run *run)
{
    uint32_t ready[ENGINE_EFFECTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        if (effect->state == EFFECT_READY && effect_is_task(effect)) {
            assert(count < COUNT_OF(ready));
            ready[count++] = effect->id;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        task_grant(partition, run, ready[i]);
    }
}

static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    assert(count > 0);
    const struct tasks *tasks = self;
    bool wants_grants = false;
    for (size_t i = 0; i < count; i++) {
        wants_grants |= makes_ready(events[i].kind);
    }
    if (wants_grants && !engine_is_terminal(&run->state)) {
        grant_ready(tasks->partition, run);
    }
}

/* What a task of this name waited for. */
static const char *lack_of(struct partition *partition, const struct live_run *run,
                           const struct effect *effect, str name)
{
    switch ((enum effect_state)effect->state) {
    case EFFECT_READY:
        return hosts_is_offered(partition->hosts, task_order_kind(run, effect), name)
                   ? "a host to run it; every host that offers it was busy or away: add hosts or "
                     "slots"
                   : "a host to run it; no connected host offers it: start one that does";
    case EFFECT_LEASED:
        return "the host that was at work on it; see what took it so long, or give the run a "
               "longer run_timeout";
    case EFFECT_BACKOFF:
        return "its next try; see why the last one failed, or give the run a longer "
               "run_timeout";
    case EFFECT_PARKED:
        break;
    }
    return NULL;
}

static bool deadline_message(void *self, struct live_run *run, str *ret)
{
    const struct tasks *tasks = self;
    struct partition *partition = tasks->partition;
    assert(run->state.deadline_ms != 0 && partition->now_ms >= run->state.deadline_ms);
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        struct event task;
        if (!effect_is_task(effect) ||
            !status_is_ok(task_order_find(run, effect->id, &partition->round_arena, &task))) {
            continue;
        }
        str name = task.task_requested.name;
        const char *lack =
            lack_of(partition, run, effect, task_order_offer(run, &task, &partition->round_arena));
        if (lack != NULL) {
            *ret = arena_printf(&partition->round_arena,
                                "the run's deadline passed while '" STR_FMT "' waited for %s",
                                STR_ARG(name), lack);
            return true;
        }
    }
    return false;
}

/* Hosts are given up only once everything they said in time has been heard. */
static void judge_hosts(struct tasks *tasks)
{
    const struct partition *partition = tasks->partition;
    uint64_t waiting = round_waiting(partition);
    uint64_t clock_ms = tasks_clock_ms(partition);
    hosts_tick(partition->hosts, clock_ms,
               hearing_heard(&tasks->hearing, partition->requests.handled, waiting));
}

static void after_requests(void *self)
{
    struct tasks *tasks = self;
    struct partition *partition = tasks->partition;
    judge_hosts(tasks);
    handle_lost(tasks);
    versions_work(partition);
    handle_ready(tasks);
}

/* A run that need not be in memory stands among the ready by its row alone; in a queue it stands
 * there. */
static status row_read(void *self, uuid run, const struct run_row *row)
{
    const struct tasks *tasks = self;
    if (row->queue[0] != '\0') {
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < row->ready_count; i++) {
        enum task_kind kind = row->kind == RUN_KIND_WORKFLOW ? TASK_WORKFLOW : TASK_TOOL;
        struct task_ref task = {run, row->ready[i].effect};
        TRY(hosts_ready_add(tasks->partition->hosts, kind, str_of(row->ready[i].name),
                            row->ready[i].deployment, task));
    }
    return STATUS_OK;
}

static void recover(void *self, struct live_run *run)
{
    const struct tasks *tasks = self;
    struct partition *partition = tasks->partition;
    assert(!engine_is_terminal(&run->state));
    const struct run state = run->state;
    for (uint32_t i = 0; i < state.effect_count; i++) {
        const struct effect *effect = &state.effects[i];
        struct task_ref ref = {run->state.id, effect->id};
        if (effect->state == EFFECT_LEASED) {
            hosts_expect(partition->hosts, ref, effect->attempt, effect->host,
                         tasks_clock_ms(partition));
            if (hosts_can_tell(partition->hosts, ref)) {
                step_request_resend(partition, ref); /* What it knows already does no harm. */
            }
        } else if (effect_is_task(effect)) {
            task_grant(partition, run, effect->id);
        }
    }
}

static bool give(void *self, struct live_run *run, uint32_t effect)
{
    return task_give(((struct tasks *)self)->partition, run, effect);
}

/* When the commit did happen after all, those tasks are over and hold no slot any more. */
static void release_again(struct partition *partition, const struct live_run *run,
                          const struct act *act)
{
    assert(act->kind == &release_act || act->kind == &cancel_act);
    struct task_ref task = {act->run_id, act->effect};
    const struct effect *effect = engine_effect(&run->state, act->effect);
    if (effect != NULL && effect->state == EFFECT_LEASED) {
        return;
    }
    if (act->kind == &cancel_act) {
        hosts_stop(partition->hosts, task, reason_of(act));
    } else {
        hosts_release(partition->hosts, task);
    }
}

/* Until its run can be read. */
static void keep_doubt(struct tasks *tasks, const struct act *act)
{
    tasks->doubts = array_reserve(tasks->doubts, &tasks->doubt_capacity, tasks->doubt_count + 1,
                                  sizeof(tasks->doubts[0]));
    tasks->doubts[tasks->doubt_count++] = *act;
}

static void doubted(void *self, const struct act *acts, size_t count)
{
    struct tasks *tasks = self;
    for (size_t i = 0; i < count; i++) {
        if (acts[i].kind != &release_act && acts[i].kind != &cancel_act) {
            continue;
        }
        const struct live_run *run = runs_find(tasks->partition, acts[i].run_id);
        if (run != NULL) {
            release_again(tasks->partition, run, &acts[i]);
        } else {
            keep_doubt(tasks, &acts[i]);
        }
    }
}

static void reread(void *self, struct live_run *run)
{
    struct tasks *tasks = self;
    size_t kept = 0;
    for (size_t i = 0; i < tasks->doubt_count; i++) {
        struct act act = tasks->doubts[i];
        if (uuid_equal(act.run_id, run->state.id)) {
            release_again(tasks->partition, run, &act);
        } else {
            tasks->doubts[kept++] = act;
        }
    }
    assert(kept <= tasks->doubt_count);
    tasks->doubt_count = kept;
}

static void drain(void *self)
{
    const struct tasks *tasks = self;
    hosts_drain(tasks->partition->hosts, "the server is shutting down");
}

static void flush(void *self)
{
    const struct tasks *tasks = self;
    hosts_flush(tasks->partition->hosts);
}

/* The hosts' next deadline by the wall clock, but after a heartbeat at the latest, so that the
 * clock goes on; at once while a host is free for a ready task. */
static uint64_t next_due_ms(void *self)
{
    struct tasks *tasks = self;
    const struct partition *partition = tasks->partition;
    if (!tasks->has_ready) {
        tasks->has_ready = hosts_ready_pop(partition->hosts, &tasks->ready);
    }
    if (tasks->has_ready || tasks->lost_count > 0 || hosts_owe_pieces(partition->hosts)) {
        return partition->now_ms;
    }
    uint64_t due = hosts_next_deadline(partition->hosts);
    if (due == 0) {
        return 0;
    }
    uint64_t clock_ms = tasks->hearing.clock_ms;
    uint64_t left = due > clock_ms ? due - clock_ms : 0;
    uint64_t heartbeat_ms = tasks->hearing.heartbeat_ms;
    return partition->now_ms + (left < heartbeat_ms ? left : heartbeat_ms);
}

bool tasks_are_settled(const struct partition *partition)
{
    const struct tasks *tasks = tasks_of(partition);
    return tasks->lost_count == 0 && tasks->doubt_count == 0 && !tasks->has_ready &&
           !hosts_owe_pieces(partition->hosts);
}

static void random_session(void *context, uint8_t ret[16])
{
    struct partition *partition = context;
    partition->options.random(partition->options.context, ret, 16);
}

static void *start(struct partition *partition)
{
    struct tasks *tasks = xcalloc(1, sizeof(*tasks));
    tasks->partition = partition;
    assert(partition->hosts == NULL); /* One feature has the hosts. */
    partition->hosts = hosts_new(&(struct hosts_options){
        .lease_ms = partition->options.lease_ms,
        .redial_ms = partition->options.redial_ms,
        .context = partition,
        .lost = note_host_loss,
        .read_facts = read_facts,
        .random = random_session,
    });
    hearing_init(&tasks->hearing, hosts_heartbeat_ms(partition->hosts));
    return tasks;
}

static void stop(void *self)
{
    struct tasks *tasks = self;
    assert(tasks->lost_count <= tasks->lost_capacity);
    hosts_free(tasks->partition->hosts);
    tasks->partition->hosts = NULL;
    free(tasks->lost);
    free(tasks->doubts);
    free(tasks);
}

static const struct feature *const uses[] = {
    &definitions_feature, &offers_feature,   &queues_feature,
    &schedules_feature,   &triggers_feature, &versions_feature,
    &waits_feature,       &watchers_feature, NULL,
};

const struct feature tasks_feature = {
    .name = "tasks",
    .uses = uses,
    .start = start,
    .at =
        {
            [ROUND_HEARD] = after_requests,
            [ROUND_OVER] = flush,
            [ROUND_DRAINS] = drain,
        },
    .before_event = before_event,
    .after_decision = after_decision,
    .deadline_message = deadline_message,
    .doubted = doubted,
    .reread = reread,
    .row_read = row_read,
    .recover = recover,
    .give = give,
    .next_due_ms = next_due_ms,
    .stop = stop,
};
