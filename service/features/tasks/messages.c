/*
 * messages: what hosts say.
 */
#include "service/features/definitions/definitions.h"
#include "service/features/tasks/asked.h"
#include "service/features/tasks/tasks.h"
#include "service/features/versions/versions.h"
#include "service/features/waits/step_requests.h"
#include "service/features/watchers/watchers.h"
#include "service/hosts/leases.h"
#include "service/hosts/placement.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"

static_assert(offsetof(struct hello_request, request) == 0, "a request begins its struct");
static_assert(offsetof(struct host_request, request) == 0, "a request begins its struct");
static_assert(offsetof(struct beat_request, request) == 0, "a request begins its struct");

static void close_link(struct host_link *link, const struct failure *failure)
{
    assert(failure->code != CODE_OK);
    link->vtable->close(link, failure->code, failure->reason, failure->message);
}

static enum reason hello_reason(enum code code)
{
    if (code == CODE_INVALID_ARGUMENT) {
        return REASON_INVALID_FIELD;
    }
    return code == CODE_ALREADY_EXISTS ? REASON_HOST_ID_TAKEN : REASON_HELLO_REFUSED;
}

static void greet(struct partition *partition, struct request *request)
{
    const struct hello_request *hello = hello_request(request);
    const char *field = NULL;
    struct host_session *session;
    status heard = hosts_hello(partition->hosts, hello->link, &hello->hello,
                               tasks_clock_ms(partition), &request->arena, &field, &session);
    if (status_is_ok(heard)) {
        assert(hello->link->session == session);
        struct task_ref task;
        while (hosts_next_taken_over(partition->hosts, &task)) {
            step_request_resend(partition, task);
        }
        versions_hear(partition, &hello->hello);
        request_answer(partition, request, NULL);
        return;
    }
    struct failure failure = failure_make(heard.code, hello_reason(heard.code), str_of(heard.why));
    failure.field = str_of(field);
    close_link(hello->link, &failure);
    request_answer(partition, request, &failure);
}

static void perform_hello(struct partition *partition, const struct act *act)
{
    greet(partition, act->data);
}

static void abandon_hello(struct partition *partition, const struct act *act,
                          const struct failure *failure)
{
    close_link(hello_request(act->data)->link, failure);
    request_answer(partition, act->data, failure);
}

static const struct act_kind hello_act = {
    .name = "hello", .perform = perform_hello, .abandon = abandon_hello};

/* What it offers that could never be served. */
static bool check_offers(struct partition *partition, struct hello_request *hello,
                         struct failure *ret)
{
    bool is_fine = true;
    for (size_t i = 0; i < hello->schedule_count && is_fine; i++) {
        is_fine = schedules_check(partition, &hello->schedules[i], &hello->request.arena, ret);
    }
    for (size_t i = 0; i < hello->queue_count && is_fine; i++) {
        is_fine = queues_offer(partition, &hello->queues[i], ret);
    }
    for (size_t i = 0; i < hello->default_count && is_fine; i++) {
        is_fine = queues_offer_default(partition, &hello->defaults[i], ret);
    }
    for (size_t i = 0; i < hello->definition_count && is_fine; i++) {
        enum model_reach reach;
        is_fine = definition_judge_model(partition, &hello->definitions[i], &hello->request.arena,
                                         &reach, ret) &&
                  queues_name_queue(partition, hello->definitions[i].queue, ret);
    }
    return is_fine;
}

static const struct trigger_offer *trigger_of(const struct hello_request *hello, str workflow)
{
    for (size_t i = 0; i < hello->trigger_count; i++) {
        if (str_equal(hello->triggers[i].workflow, workflow)) {
            return &hello->triggers[i];
        }
    }
    return NULL;
}

/* Of each workflow that it offers, unless newer code has spoken. */
static void take_triggers(struct partition *partition, const struct hello_request *hello)
{
    for (size_t i = 0; i < hello->hello.offer_count; i++) {
        const struct host_offer *offer = &hello->hello.offers[i];
        const struct trigger_offer *trigger = trigger_of(hello, offer->name);
        if (offer->kind != TASK_WORKFLOW ||
            !hosts_is_newest(partition->hosts, &hello->hello, offer->kind, offer->name)) {
            continue;
        }
        if (trigger != NULL) {
            triggers_offer(partition, trigger);
        } else {
            triggers_drop(partition, offer->name);
        }
    }
}

/* As above. */
static void take_offers(struct partition *partition, const struct hello_request *hello)
{
    for (size_t i = 0; i < hello->hello.offer_count && hello->records != NULL; i++) {
        const struct host_offer *offer = &hello->hello.offers[i];
        bool is_kept = offer->kind != TASK_CALLBACK; /* Nobody asks for those by themselves. */
        assert(!is_kept || str_equal(offer->name, hello->records[i].tool.name));
        if (is_kept && hosts_is_newest(partition->hosts, &hello->hello, offer->kind, offer->name)) {
            offers_put(partition, offer->kind, &hello->records[i]);
        }
    }
}

static void take_definitions(struct partition *partition, struct hello_request *hello)
{
    static_assert((int)HOST_AGENT_BYTES == (int)DEFINITION_HASH_BYTES, "a host defines a version");
    size_t count = hello->definition_count;
    struct host_agent *agents = arena_zalloc(&hello->request.arena, count * sizeof(agents[0]));
    for (size_t i = 0; i < count; i++) {
        agents[i].id = hello->definitions[i].id;
        definition_put(partition, &hello->definitions[i], agents[i].hash);
    }
    hello->hello.agents = agents;
    hello->hello.agent_count = count;
}

static void handle_hello(struct partition *partition, struct request *request)
{
    struct hello_request *hello = hello_request(request);
    assert(hello->link != NULL);
    struct failure failure;
    if (!check_offers(partition, hello, &failure)) {
        close_link(hello->link, &failure);
        request_answer(partition, request, &failure);
        return;
    }
    take_definitions(partition, hello);
    for (size_t i = 0; i < hello->schedule_count; i++) {
        schedules_put(partition, &hello->schedules[i]);
    }
    take_triggers(partition, hello);
    take_offers(partition, hello);
    act_add(partition, &hello_act, NULL)->data = request;
}

static void handle_gone(struct partition *partition, struct request *request)
{
    struct host_link *link = host_request(request)->link;
    if (link->session != NULL) {
        hosts_disconnected(partition->hosts, link->session, host_request(request)->departure,
                           tasks_clock_ms(partition));
    }
    request_answer_later(partition, request);
}

static void handle_writable(struct partition *partition, struct request *request)
{
    const struct host_link *link = host_request(request)->link;
    if (link->session != NULL) {
        hosts_writable(partition->hosts, link->session);
    }
    request_answer(partition, request, NULL);
}

/* What a callback made of its payload has to be fit for what it is. */
static void judge_callback(const struct live_run *run, const struct host_message *message,
                           struct arena *arena, struct outcome *outcome)
{
    const struct effect *task = engine_effect(&run->state, message->task.effect);
    if (task == NULL || outcome->failed) {
        return;
    }
    bool is_callback = task->kind == EFFECT_CALLBACK;
    str misfit = is_callback ? asked_misfit((enum callback_phase)task->phase, outcome->value, arena)
                             : STR_EMPTY;
    if (is_callback != message->is_callback) {
        misfit = is_callback ? STR("a callback ends with TaskDone.callback or an error")
                             : STR("only a callback ends with TaskDone.callback");
    }
    if (misfit.len > 0) {
        *outcome = (struct outcome){
            .failed = true, .error_type = STR("INVALID_RESULT"), .error_message = misfit};
    }
}

static enum verdict submit_task_done(struct partition *partition, struct live_run *run,
                                     const struct host_message *message, struct arena *arena)
{
    assert(message->kind == HOST_MESSAGE_TASK_DONE);
    struct command command = {
        .kind = COMMAND_TASK_DONE,
        .effect = message->task.effect,
        .attempt = message->epoch,
        .task = {.outcome = message->outcome,
                 .state = message->state,
                 .is_retryable = message->is_retryable,
                 .is_cancelled = message->is_cancelled},
    };
    judge_callback(run, message, arena, &command.task.outcome);
    const struct effect *task = engine_effect(&run->state, message->task.effect);
    if (task != NULL && task->kind == EFFECT_CALLBACK && task->phase == CALLBACK_REPLY) {
        asked_plan(partition, run, arena, &command);
    }
    return command_submit(partition, run, &command);
}

static enum verdict submit_step_done(struct partition *partition, struct live_run *run,
                                     const struct host_message *message)
{
    assert(message->kind == HOST_MESSAGE_STEP_DONE);
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

static enum verdict submit_cancel_shown(struct partition *partition, struct live_run *run,
                                        const struct host_message *message)
{
    assert(message->kind == HOST_MESSAGE_CANCEL_SHOWN);
    struct command command = {
        .kind = COMMAND_CANCEL_SHOWN,
        .effect = message->task.effect,
        .attempt = message->epoch,
        .cancel_shown = {.number = message->number},
    };
    return command_submit(partition, run, &command);
}

static enum verdict submit_withdraw(struct partition *partition, struct live_run *run,
                                    const struct host_message *message)
{
    assert(message->kind == HOST_MESSAGE_WITHDRAW);
    struct command command = {
        .kind = COMMAND_WITHDRAW,
        .effect = message->task.effect,
        .attempt = message->epoch,
        .withdraw = {.number = message->number,
                     .key = message->key,
                     .facts_seen = message->facts_seen},
    };
    return command_submit(partition, run, &command);
}

static enum verdict submit_step_try(struct partition *partition, struct live_run *run,
                                    const struct host_message *message)
{
    assert(message->kind == HOST_MESSAGE_STEP_TRY && message->outcome.failed);
    struct command command = {
        .kind = COMMAND_STEP_TRY,
        .effect = message->task.effect,
        .attempt = message->epoch,
        .step_try = {.number = message->number,
                     .key = message->key,
                     .try_number = message->try_number,
                     .outcome = message->outcome,
                     .retry_at_ms = partition->now_ms + message->pause_ms},
    };
    return command_submit(partition, run, &command);
}

static enum verdict submit_release(struct partition *partition, struct live_run *run,
                                   const struct host_message *message)
{
    assert(message->kind == HOST_MESSAGE_RELEASE);
    struct command command = {
        .kind = COMMAND_LEASE_LOST,
        .effect = message->task.effect,
        .attempt = message->epoch,
        .lease_lost = {.cause = message->text, .is_excused = true},
    };
    return command_submit(partition, run, &command);
}

static enum verdict submit_message(struct partition *partition, struct live_run *run,
                                   struct request *request)
{
    const struct host_message *message = &host_request(request)->message;
    struct command park = {
        .kind = COMMAND_PARK,
        .effect = message->task.effect,
        .attempt = message->epoch,
        .park = {.outcomes_seen = message->outcomes_seen},
    };
    switch (message->kind) {
    case HOST_MESSAGE_STEP_DONE:
        return submit_step_done(partition, run, message);
    case HOST_MESSAGE_CANCEL_SHOWN:
        return submit_cancel_shown(partition, run, message);
    case HOST_MESSAGE_WITHDRAW:
        return submit_withdraw(partition, run, message);
    case HOST_MESSAGE_STEP_TRY:
        return submit_step_try(partition, run, message);
    case HOST_MESSAGE_TASK_DONE:
        return submit_task_done(partition, run, message, &request->arena);
    case HOST_MESSAGE_STEP_REQUEST:
        return step_request_submit(partition, run, message, &request->arena);
    case HOST_MESSAGE_PARK:
        return command_submit(partition, run, &park);
    case HOST_MESSAGE_RELEASE:
        return submit_release(partition, run, message);
    case HOST_MESSAGE_NONE:
    case HOST_MESSAGE_DELTA:
    case HOST_MESSAGE_HEARTBEAT:
    case HOST_MESSAGE_DRAIN:
        break;
    }
    assert(false); /* hosts_receive() keeps the others. */
    return VERDICT_REFUSED;
}

/* What becomes of a host's message. */
struct receipt {
    uint64_t session; /* Its number. */
    uint64_t seq; /* The message's. */
    bool is_step; /* It is a fact of its own: a STEP_DONE, or what is numbered with these. */
    enum reason reason; /* Of a refusal. */
    str message;
};

static void perform_acknowledge(struct partition *partition, const struct act *act)
{
    const struct receipt *receipt = act->data;
    assert(receipt->reason == REASON_NONE);
    if (receipt->is_step) {
        hosts_mark_settled(partition->hosts, receipt->session, receipt->seq);
        return;
    }
    hosts_mark_handled(partition->hosts, receipt->session, receipt->seq);
}

/* Neither acknowledged nor refused, as that stood on facts that are none: the host sends it again
 * when it dials again, which it must. */
static void abandon_receipt(struct partition *partition, const struct act *act,
                            const struct failure *failure)
{
    (void)failure;
    const struct receipt *receipt = act->data;
    hosts_forget(partition->hosts, receipt->session, receipt->seq);
}

static void perform_refuse(struct partition *partition, const struct act *act)
{
    const struct receipt *receipt = act->data;
    assert(receipt->reason != REASON_NONE);
    hosts_refuse(partition->hosts, receipt->session, receipt->seq, receipt->reason,
                 receipt->message, NULL);
}

static const struct act_kind acknowledge_act = {
    .name = "acknowledge", .perform = perform_acknowledge, .abandon = abandon_receipt};
static const struct act_kind refuse_act = {
    .name = "refuse", .perform = perform_refuse, .abandon = abandon_receipt};

static void note_verdict(struct partition *partition, uint64_t session,
                         const struct host_message *message, enum verdict verdict)
{
    struct receipt *receipt = arena_zalloc(&partition->round_arena, sizeof(*receipt));
    const struct act_kind *kind = &refuse_act;
    receipt->session = session;
    receipt->seq = message->seq;
    receipt->is_step =
        message->kind == HOST_MESSAGE_STEP_DONE || message->kind == HOST_MESSAGE_CANCEL_SHOWN ||
        message->kind == HOST_MESSAGE_WITHDRAW || message->kind == HOST_MESSAGE_STEP_TRY;
    switch (verdict) {
    case VERDICT_OK:
    case VERDICT_DONE_BEFORE:
    case VERDICT_TERMINAL:
        kind = &acknowledge_act;
        break;
    case VERDICT_STALE:
    case VERDICT_REFUSED:
        receipt->reason = REASON_STALE_EPOCH;
        receipt->message = STR("the task is no longer this host's; stop working on it");
        break;
    case VERDICT_GAP:
        receipt->reason = REASON_STEP_GAP;
        receipt->message = STR("an earlier step of the task is missing; number steps from 1, "
                               "without gaps, in the order they are sent");
        break;
    }
    assert((kind == &refuse_act) == (receipt->reason != REASON_NONE));
    act_add(partition, kind, NULL)->data = receipt;
}

/* Where it can't be done before something else is, it is taken up again in the next round. */
static void submit_for_host(struct partition *partition, struct request *request)
{
    const struct host_request *said = host_request(request);
    const struct host_message *message = &said->message;
    struct live_run *run;
    status found = runs_get(partition, message->task.run, &run);
    enum verdict verdict = VERDICT_STALE;
    if (status_is_ok(found) && message->kind == HOST_MESSAGE_STEP_REQUEST &&
        step_request_must_wait(partition, run, message)) {
        partition_post_always(partition, request);
        return;
    }
    if (status_is_ok(found) && message->kind == HOST_MESSAGE_STEP_REQUEST) {
        found = step_request_read(partition, message);
    }
    if (!status_is_ok(found) && store_may_pass(found)) { /* It is sent again. */
        hosts_forget(partition->hosts, said->received_by, message->seq);
        request_answer_later(partition, request);
        return;
    }
    if (status_is_ok(found)) {
        verdict = submit_message(partition, run, request);
    }
    note_verdict(partition, said->received_by, message, verdict);
    request_answer_later(partition, request);
}

static void show_progress(struct partition *partition, const struct host_message *message)
{
    enum {
        DELTA_PROGRESS = 4, /* Delta.Kind of the API. */
    };
    static_assert((int)DELTA_PROGRESS == (int)MODEL_DELTA_TOOL_ARGUMENTS + 2, "after a model's");
    assert(message->kind == HOST_MESSAGE_DELTA);
    struct live_run *run = runs_find(partition, message->task.run);
    if (run != NULL) {
        watch_delta(partition, run, message->task.effect, message->epoch, DELTA_PROGRESS,
                    message->text);
    }
}

/* The stream's Hello is in this very round, and answered at its end. */
static bool says_hello(const struct partition *partition, const struct host_link *link)
{
    for (size_t i = 0; i < partition->acts.count; i++) {
        const struct act *act = &partition->acts.list[i];
        if (act->kind == &hello_act && hello_request(act->data)->link == link) {
            return true;
        }
    }
    return false;
}

static void handle_message(struct partition *partition, struct request *request)
{
    struct host_request *said = host_request(request);
    if (said->received_by != 0) {
        submit_for_host(partition, request);
        return;
    }
    struct host_session *session = said->link->session;
    if (session == NULL && says_hello(partition, said->link)) {
        partition_post_always(partition,
                              request); /* Said without waiting for Welcome: next round. */
        return;
    }
    if (session == NULL) {
        request_answer(partition, request, NULL); /* The link was closed meanwhile. */
        return;
    }
    switch (hosts_receive(partition->hosts, session, &said->message, tasks_clock_ms(partition))) {
    case HOST_RECEIPT_COMMAND:
        said->received_by = host_session_number(session);
        submit_for_host(partition, request);
        return;
    case HOST_RECEIPT_SHOW:
        show_progress(partition, &said->message);
        break;
    case HOST_RECEIPT_DROP:
    case HOST_RECEIPT_CLOSED:
        break;
    }
    request_answer_later(partition, request);
}

static void handle_beat(struct partition *partition, struct request *request)
{
    struct beat_request *beat = beat_request(request);
    if (!hosts_beat(partition->hosts, beat->token, tasks_clock_ms(partition))) {
        request_fail(partition, request, CODE_NOT_FOUND, REASON_SESSION_LOST,
                     "No session has this token: the lease ran out, or the server was restarted. "
                     "Dial again.");
        return;
    }
    beat->lease_ms = hosts_lease_ms(partition->hosts);
    request_answer(partition, request, NULL);
}

const struct operation beat_operation = {
    .name = "beat", .request_bytes = sizeof(struct beat_request), .handle = handle_beat};
const struct operation hello_operation = {
    .name = "hello", .request_bytes = sizeof(struct hello_request), .handle = handle_hello};
const struct operation host_message_operation = {
    .name = "host_message",
    .request_bytes = sizeof(struct host_request),
    .handle = handle_message,
};
const struct operation host_gone_operation = {
    .name = "host_gone", .request_bytes = sizeof(struct host_request), .handle = handle_gone};
const struct operation host_writable_operation = {
    .name = "host_writable",
    .request_bytes = sizeof(struct host_request),
    .handle = handle_writable,
};
