#include "service/features/tasks/grants.h"

#include "service/codec/level.h"
#include "service/features/queues/queues.h"
#include "service/features/tasks/asked.h"
#include "service/features/waits/facts.h"
#include "service/features/waits/replay.h"
#include "service/hosts/placement.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"
#include "service/partition/task_order.h"

void task_stand_ready(struct partition *partition, struct live_run *run, uint32_t id)
{
    const struct effect *effect = engine_effect(&run->state, id);
    if (effect == NULL || effect->state != EFFECT_READY) {
        return; /* Settled later in the same round. */
    }
    assert(effect_is_task(effect));
    struct event task;
    status found = task_order_find(run, id, &partition->scratch, &task);
    struct task_ref ref = {run->state.id, id};
    if (status_is_ok(found)) {
        found = hosts_ready_add(partition->hosts, task_order_kind(run, effect),
                                task_order_offer(run, &task, &partition->scratch),
                                engine_pin(&run->state, effect), ref);
    }
    if (!status_is_ok(found)) {
        /* There are too many: its run is still there, and its deadline still ends it. */
        runs_recover_later(partition, run, partition->now_ms + RECOVER_AGAIN_MS);
    }
}

static void perform_ready(struct partition *partition, const struct act *act)
{
    assert(act->run != NULL && act->effect > 0);
    task_stand_ready(partition, act->run, act->effect);
}

static void abandon_ready(struct partition *partition, const struct act *act,
                          const struct failure *failure)
{
    (void)failure;
    if (!act->run->is_touched) { /* Else its run is read again and recovered. */
        task_stand_ready(partition, act->run, act->effect);
    }
}

/* The name of the run at the top of the tree; empty when it cannot be read. */
static str root_name(struct partition *partition, const struct live_run *run,
                     const struct run_spec *spec)
{
    struct live_run *root;
    if (uuid_is_zero(spec->root) || uuid_equal(spec->root, run->state.id)) {
        return spec->name;
    }
    if (!status_is_ok(runs_get(partition, spec->root, &root))) {
        return STR_EMPTY;
    }
    return arena_copy(&partition->round_arena, str_of(root->name));
}

/* Until a deadline; 0: there is none. */
static uint64_t time_left(const struct partition *partition, uint64_t deadline_ms)
{
    if (deadline_ms == 0) {
        return 0;
    }
    return deadline_ms > partition->now_ms ? deadline_ms - partition->now_ms : 1;
}

/* Its input as its callbacks left it; of a callback, what it is asked about. */
static status amend_task(struct partition *partition, struct live_run *run,
                         const struct effect *effect, struct host_task *ret)
{
    if (effect->kind == EFFECT_CALLBACK) {
        return asked_of(partition, run, effect, &ret->callback, &ret->input);
    }
    return effect->kind == EFFECT_TOOL ? asked_arguments(partition, run, effect->id, &ret->input)
                                       : STATUS_OK;
}

/* The cursor is for what is too much for one message. */
static status build_task(struct partition *partition, struct live_run *run,
                         const struct effect *effect, struct facts_cursor *cursor,
                         struct host_task *ret)
{
    assert(effect->state == EFFECT_LEASED && effect->attempt > 0);
    struct event task;
    struct event started;
    struct replay replay = {0};
    TRY(runs_started(run, &partition->round_arena, &started));
    const struct run_spec *spec = &started.run_started.spec;
    str root =
        root_name(partition, run, spec); /* May read a run, which resets the scratch arena. */
    TRY(task_order_find(run, effect->id, &partition->scratch, &task));
    replay.state = spec->options.state;
    if (effect->steps > 0 || effect->waits_settled > 0 || effect->attempt > 1) {
        TRY(replay_read(partition, run->state.id, effect->id, &partition->scratch, &replay));
        if (!replay.is_cut && replay.settled_count != effect->steps) {
            return status_make(CODE_DATA_LOSS, "the journal lacks a step it counted");
        }
    }
    assert(replay.settled_count <= replay.count);
    *cursor = replay_cursor(run->state.id, effect->id);
    cursor->epoch = effect->attempt;
    cursor->until = run->state.seq;
    uint64_t deadline_ms = effect->deadline_ms;
    *ret = (struct host_task){
        .task = {run->state.id, effect->id},
        .epoch = effect->attempt,
        .kind = task_order_kind(run, effect),
        .name = task.task_requested.name,
        .input = task.task_requested.input,
        .input_type = effect->kind == EFFECT_BODY ? spec->options.input_type : STR_EMPTY,
        .steps = replay.steps,
        .step_count = replay.count,
        .settled_count = effect->steps,
        .state = replay.is_cut ? (struct kept_state){0} : replay.state,
        .more = replay.is_cut ? cursor : NULL,
        .is_cancelling = run->state.is_cancelling,
        .retry_count = run->state.retries,
        .timeout_ms = time_left(partition, deadline_ms == 0 ? run->state.deadline_ms : deadline_ms),
        .agent_id = run->state.kind == RUN_KIND_AGENT ? spec->name : STR_EMPTY,
        .call_id = task.task_requested.call_id,
        .session_id = spec->options.session_id,
        .user_id = spec->options.user_id,
        .conversation_id = spec->options.conversation_id,
        .root = spec->root,
        .root_name = root,
        .parent = spec->parent,
        .created_ms = run->state.started_ms,
    };
    return amend_task(partition, run, effect, ret);
}

static status read_piece(struct partition *partition, struct facts_cursor *cursor,
                         struct host_facts *ret)
{
    struct facts_page page;
    arena_reset(&partition->scratch);
    TRY(facts_read(partition, cursor, &partition->scratch, &page));
    *ret = (struct host_facts){
        .task = cursor->task,
        .epoch = cursor->epoch,
        .first = cursor->told,
        .facts = page.facts,
        .count = page.count,
        .is_last = page.is_last,
    };
    cursor->told += (uint32_t)page.count;
    bool is_task = cursor->wait == 0 && !cursor->waits_only;
    return is_task && page.is_last
               ? facts_state(partition, cursor, &partition->scratch, &ret->state)
               : STATUS_OK;
}

bool task_read_facts(struct partition *partition, struct facts_cursor *cursor,
                     struct host_facts *ret)
{
    status read = read_piece(partition, cursor, ret);
    if (!status_is_ok(read)) {
        struct host_loss loss = {.task = cursor->task,
                                 .epoch = cursor->epoch,
                                 .is_excused = store_may_pass(read),
                                 .cause = read.why};
        task_note_loss(partition, &loss);
    }
    return status_is_ok(read);
}

/* Its code waits for runs since an earlier attempt, and they may need its place in a queue. */
static bool holds_place_for_children(const struct partition *partition, const struct live_run *run,
                                     uint32_t task)
{
    bool waits = false;
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        waits |= effect->kind == EFFECT_CHILDREN && effect->owner == task;
    }
    return waits && queues_name(partition, run).len > 0;
}

static void perform_give(struct partition *partition, const struct act *act)
{
    assert(act->run != NULL && act->data != NULL);
    struct live_run *run = act->run;
    struct task_ref ref = {run->state.id, act->effect};
    const struct effect *effect = engine_effect(&run->state, act->effect);
    bool is_current =
        effect != NULL && effect->attempt == act->attempt && effect->state == EFFECT_LEASED;
    if (!is_current) {
        hosts_release(partition->hosts, ref); /* Over already, in the same round. */
        return;
    }
    struct host_task task;
    struct facts_cursor cursor;
    status built = build_task(partition, run, effect, &cursor, &task);
    if (!status_is_ok(built) && store_may_pass(built)) { /* As if it had been lost on its way. */
        hosts_release(partition->hosts, ref);
        runs_recover_later(partition, run, partition->now_ms + READ_AGAIN_MS);
        return;
    }
    if (!status_is_ok(built)) {
        hosts_release(partition->hosts, ref);
        struct host_loss loss = {.task = ref, .epoch = act->attempt, .cause = built.why};
        task_note_loss(partition, &loss);
        return;
    }
    hosts_give(partition->hosts, act->data, &task);
    if (task.more == NULL && holds_place_for_children(partition, run, effect->id)) {
        hosts_yield(partition->hosts, ref); /* It was told to whoever had the task before. */
    }
}

static void abandon_give(struct partition *partition, const struct act *act,
                         const struct failure *failure)
{
    (void)failure;
    hosts_release(partition->hosts, (struct task_ref){act->run_id, act->effect});
}

static const struct act_kind ready_act = {
    .name = "ready", .perform = perform_ready, .abandon = abandon_ready};
static const struct act_kind give_act = {
    .name = "give", .perform = perform_give, .abandon = abandon_give};

bool task_give(struct partition *partition, struct live_run *run, uint32_t id)
{
    const struct effect *effect = engine_effect(&run->state, id);
    assert(effect != NULL && effect->state == EFFECT_READY && effect_is_task(effect));
    struct event task;
    status found = task_order_find(run, id, &partition->round_arena, &task);
    assert(status_is_ok(found)); /* The record is one we keep and have read before. */
    struct host_session *session = hosts_pick(partition->hosts, task_order_kind(run, effect),
                                              task_order_offer(run, &task, &partition->round_arena),
                                              engine_pin(&run->state, effect));
    if (session == NULL) {
        act_add(partition, &ready_act, run)->effect = id;
        return false;
    }
    struct command grant = {
        .kind = COMMAND_LEASE_GRANT,
        .effect = id,
        .attempt = effect->attempt,
        .lease = {.host_id = host_session_host_id(session),
                  .deployment = host_session_deployment(session),
                  .language = host_session_language(session)},
    };
    if (grant.lease.language.len > 0) {
        store_batch_raise(&partition->batch, LEVEL_LANGUAGES);
    }
    enum verdict verdict = command_submit(partition, run, &grant);
    assert(verdict == VERDICT_OK);
    effect = engine_effect(&run->state, id);
    assert(effect != NULL && effect->state == EFFECT_LEASED);
    assert(effect->attempt > grant.attempt); /* What a host says of the one before is stale. */
    struct task_ref ref = {run->state.id, id};
    hosts_reserve(partition->hosts, session, ref, effect->attempt);
    struct act *act = act_add(partition, &give_act, run);
    act->effect = id;
    act->attempt = effect->attempt;
    act->data = session;
    return true;
}

void task_grant(struct partition *partition, struct live_run *run, uint32_t id)
{
    const struct effect *effect = engine_effect(&run->state, id);
    bool is_ready = effect != NULL && effect->state == EFFECT_READY && effect_is_task(effect);
    if (is_ready && !run->is_copying &&
        !queues_gate(partition, run, effect)) { /* Its queue says when. */
        bool given = task_give(partition, run, id);
        (void)given; /* Or it stands among the ready ones. */
    }
}
