/*
 * tasks: what hosts say, and the work they are given.
 */
#include "service/base/array.h"
#include "service/partition/internal.h"

void tasks_note_lost(void *context, const struct host_loss *loss)
{
    struct partition *partition = context;
    partition->lost = array_reserve(partition->lost, &partition->lost_capacity, partition->lost_count + 1,
                                  sizeof(partition->lost[0]));
    partition->lost[partition->lost_count++] = *loss;
}

void tasks_handle_lost(struct partition *partition)
{
    /* The list may not grow meanwhile: nothing below calls what notes a loss. */
    size_t count = partition->lost_count;
    for (size_t i = 0; i < count; i++) {
        const struct host_loss *lost = &partition->lost[i];
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
    assert(partition->lost_count == count);
    partition->lost_count = 0;
}

static void grant_parked(struct partition *partition, struct task_ref task)
{
    struct live_run *run;
    if (queueing_woken(partition, task.run)) {
        return;
    }
    if (status_is_ok(runs_get(partition, task.run, &run))) {
        command_grant(partition, run, task.effect);
    }
}

void tasks_handle_ready(struct partition *partition)
{
    if (partition->has_ready) {
        partition->has_ready = false;
        grant_parked(partition, partition->ready);
    }
    struct task_ref task;
    for (size_t i = 0; i < partition->options.batch_max && hosts_next_ready(partition->hosts, &task);
         i++) {
        grant_parked(partition, task);
    }
}

void task_hello(struct partition *partition, struct request *request)
{
    const char *field = NULL;
    struct host_session *session;
    status heard = hosts_hello(partition->hosts, request->hello.link, &request->hello.hello,
                               partition->monotonic_ms, &request->arena, &field, &session);
    if (status_is_ok(heard)) {
        struct task_ref adopted;
        while (hosts_next_adopted(partition->hosts, &adopted)) {
            order_resend(partition, adopted);
        }
        versions_hear(partition, &request->hello.hello);
        request_answer(partition, request, NULL);
        return;
    }
    bool is_field = heard.code == CODE_INVALID_ARGUMENT;
    struct failure failure =
        failure_make(heard.code, is_field ? "INVALID_FIELD" : "HELLO_REFUSED", str_of(heard.why));
    failure.field = str_of(field);
    request->hello.link->vtable->close(request->hello.link, failure.code, failure.reason,
                                       failure.message);
    request_answer(partition, request, &failure);
}

void handle_host_gone(struct partition *partition, struct request *request)
{
    struct host_link *link = request->host.link;
    if (link->session != NULL) {
        hosts_disconnected(partition->hosts, link->session, partition->monotonic_ms);
    }
    request_answer_later(partition, request);
}

static enum verdict submit_task_done(struct partition *partition, struct live_run *run,
                                     const struct host_message *message)
{
    struct command command = {
        .kind = COMMAND_TASK_DONE,
        .effect = message->task.effect,
        .attempt = message->epoch,
        .task = {.outcome = message->outcome,
                 .state = message->state,
                 .is_retryable = message->is_retryable,
                 .is_cancelled = message->is_cancelled},
    };
    return command_submit(partition, run, &command);
}

static enum verdict submit_step_done(struct partition *partition, struct live_run *run,
                                     const struct host_message *message)
{
    struct command command = {
        .kind = COMMAND_STEP_DONE,
        .effect = message->task.effect,
        .attempt = message->epoch,
        .step = {.number = message->number,
                 .key = message->key,
                 .outcome = message->outcome,
                 .state = message->state},
    };
    return command_submit(partition, run, &command);
}

static enum verdict submit_message(struct partition *partition, struct live_run *run,
                                   struct request *request)
{
    const struct host_message *message = &request->host.message;
    struct command park = {
        .kind = COMMAND_PARK,
        .effect = message->task.effect,
        .attempt = message->epoch,
        .park = {.outcomes_seen = message->outcomes_seen},
    };
    switch (message->kind) {
    case HOST_MESSAGE_STEP_DONE:
        return submit_step_done(partition, run, message);
    case HOST_MESSAGE_TASK_DONE:
        return submit_task_done(partition, run, message);
    case HOST_MESSAGE_ORDER:
        return order_submit(partition, run, message, &request->arena);
    case HOST_MESSAGE_PARK:
        return command_submit(partition, run, &park);
    case HOST_MESSAGE_NONE:
    case HOST_MESSAGE_DELTA:
    case HOST_MESSAGE_HEARTBEAT:
    case HOST_MESSAGE_DRAIN:
        break;
    }
    assert(false); /* hosts_receive() keeps the others. */
    return VERDICT_REFUSED;
}

static void note_verdict(struct partition *partition, struct host_session *session, uint64_t seq,
                         enum verdict verdict)
{
    struct act *act = act_add(partition, ACT_DEALT, NULL);
    act->session_number = host_session_number(session);
    act->seq = seq;
    switch (verdict) {
    case VERDICT_OK:
    case VERDICT_DONE_BEFORE:
    case VERDICT_TERMINAL:
        return;
    case VERDICT_STALE:
    case VERDICT_REFUSED:
        act->text = "STALE_EPOCH";
        act->message = STR("the task is no longer this host's; stop working on it");
        break;
    case VERDICT_GAP:
        act->text = "STEP_GAP";
        act->message = STR("an earlier step of the task is missing; number steps from 1, without "
                           "gaps, in the order they are sent");
        break;
    }
    act->kind = ACT_REFUSE;
}

static void submit_for_host(struct partition *partition, struct request *request)
{
    const struct host_message *message = &request->host.message;
    struct host_session *session = request->host.link->session;
    struct live_run *run;
    status found = runs_get(partition, message->task.run, &run);
    enum verdict verdict = VERDICT_STALE;
    if (status_is_ok(found)) {
        verdict = submit_message(partition, run, request);
    }
    note_verdict(partition, session, message->seq, verdict);
}

static void show_progress(struct partition *partition, const struct host_message *message)
{
    enum {
        DELTA_PROGRESS = 4, /* Delta.Kind of the API. */
    };
    struct live_run *run = runs_find(partition, message->task.run);
    if (run != NULL) {
        watch_delta(partition, run, message->task.effect, message->epoch, DELTA_PROGRESS,
                    message->text);
    }
}

/* The stream's Hello is in this very turn, and answered at its end. */
static bool says_hello(const struct partition *partition, const struct host_link *link)
{
    for (size_t i = 0; i < partition->act_count; i++) {
        const struct act *act = &partition->acts[i];
        if (act->kind == ACT_HELLO && act->request->hello.link == link) {
            return true;
        }
    }
    return false;
}

void handle_host_message(struct partition *partition, struct request *request)
{
    struct host_session *session = request->host.link->session;
    if (session == NULL && says_hello(partition, request->host.link)) {
        partition_post_always(partition, request); /* Said without waiting for Welcome: next turn. */
        return;
    }
    if (session == NULL) {
        request_answer(partition, request, NULL); /* The link was closed meanwhile. */
        return;
    }
    switch (hosts_receive(partition->hosts, session, &request->host.message, partition->monotonic_ms)) {
    case HOST_RECEIPT_COMMAND:
        submit_for_host(partition, request);
        break;
    case HOST_RECEIPT_SHOW:
        show_progress(partition, &request->host.message);
        break;
    case HOST_RECEIPT_DROP:
    case HOST_RECEIPT_CLOSED:
        break;
    }
    request_answer_later(partition, request);
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

static status build_task(struct partition *partition, struct live_run *run, const struct effect *effect,
                         struct host_task *ret)
{
    struct event task;
    struct event started;
    struct replay replay = {0};
    TRY(runs_started(run, &partition->round_arena, &started));
    const struct run_spec *spec = &started.run_started.spec;
    str root = root_name(partition, run, spec); /* May read a run, which resets the scratch arena. */
    TRY(command_task(run, effect->id, &partition->scratch, &task));
    replay.state = spec->state;
    if (effect->steps > 0 || effect->waits_settled > 0 || effect->attempt > 1) {
        TRY(replay_read(partition, run->state.id, effect->id, &partition->scratch, &replay));
        if (replay.settled_count != effect->steps) {
            return status_make(CODE_DATA_LOSS, "the journal lacks a step it counted");
        }
    }
    uint64_t deadline_ms = effect->deadline_ms;
    *ret = (struct host_task){
        .task = {run->state.id, effect->id},
        .epoch = effect->attempt,
        .kind = task_kind_of(run, effect),
        .name = task.task_requested.name,
        .input = task.task_requested.input,
        .steps = replay.steps,
        .step_count = replay.count,
        .settled_count = replay.settled_count,
        .state = replay.state,
        .is_cancelling = run->state.is_cancelling,
        .retry_count = run->state.retries,
        .deadline_ms = deadline_ms == 0 ? run->state.deadline_ms : deadline_ms,
        .agent_id = run->state.kind == RUN_KIND_AGENT ? spec->name : STR_EMPTY,
        .call_id = task.task_requested.call_id,
        .session_id = spec->session_id,
        .user_id = spec->user_id,
        .conversation_id = spec->conversation_id,
        .root = spec->root,
        .root_name = root,
        .parent = spec->parent,
        .created_ms = run->state.started_ms,
    };
    return STATUS_OK;
}

void task_give(struct partition *partition, const struct act *act)
{
    struct live_run *run = act->run;
    struct task_ref ref = {run->state.id, act->effect};
    const struct effect *effect = engine_effect(&run->state, act->effect);
    bool is_current =
        effect != NULL && effect->attempt == act->attempt && effect->state == EFFECT_LEASED;
    if (!is_current) {
        hosts_release(partition->hosts, ref); /* Over already, in the same turn. */
        return;
    }
    struct host_task task;
    status built = build_task(partition, run, effect, &task);
    if (!status_is_ok(built)) {
        hosts_release(partition->hosts, ref);
        struct host_loss loss = {.task = ref, .epoch = act->attempt, .cause = built.why};
        tasks_note_lost(partition, &loss);
        return;
    }
    hosts_give(partition->hosts, act->session, &task);
}
