#include "service/api/api.h"
#include "service/api/envelope.h"
#include "service/api/host_wire.h"
#include "service/api/shown.h"
#include "service/api/text.h"
#include "service/api/times.h"

static char *task_id(struct arena *arena, struct task_ref task)
{
    char *ret = arena_alloc(arena, TASK_ID_BYTES);
    task_ref_format(task, ret);
    assert(strlen(ret) < TASK_ID_BYTES);
    return ret;
}

static void put_welcome(struct arena *arena, const struct server_message *from,
                        Polos__V1__ToolServiceConnectResponse *ret)
{
    assert(from->welcome.session.len > 0);
    assert(from->welcome.lost_count == 0 || from->welcome.lost != NULL);
    Polos__V1__Welcome *welcome = arena_alloc(arena, sizeof(*welcome));
    polos__v1__welcome__init(welcome);
    welcome->protocol = HOST_PROTOCOL;
    welcome->host_token = text_of(arena, from->welcome.session);
    welcome->resumed = from->welcome.resumed;
    welcome->lease = times_length(arena, from->welcome.lease_ms);
    welcome->heartbeat = times_length(arena, from->welcome.heartbeat_ms);
    welcome->server_version = (char *)API_VERSION;
    welcome->n_lost = from->welcome.lost_count;
    welcome->lost = arena_alloc(arena, welcome->n_lost * sizeof(*welcome->lost));
    for (size_t i = 0; i < welcome->n_lost; i++) {
        welcome->lost[i] = arena_alloc(arena, sizeof(*welcome->lost[i]));
        polos__v1__held_task__init(welcome->lost[i]);
        welcome->lost[i]->task_id = task_id(arena, from->welcome.lost[i].task);
        welcome->lost[i]->epoch = from->welcome.lost[i].epoch;
    }
    ret->welcome = welcome;
}

static Polos__V1__SettledStep **steps(struct arena *arena, const struct settled_step *from,
                                      size_t count)
{
    Polos__V1__SettledStep **ret = arena_alloc(arena, count * sizeof(*ret));
    for (size_t i = 0; i < count; i++) {
        ret[i] =
            shown_step(arena, from[i].key, (Polos__V1__StepKind)from[i].kind, &from[i].outcome);
        ret[i]->is_child = from[i].is_child;
        ret[i]->child_index = from[i].index;
        ret[i]->has_children = from[i].has_children;
        ret[i]->facts_seen = from[i].facts_seen;
        ret[i]->retry_count = from[i].retry_count;
        ret[i]->try_number = from[i].try_number;
        ret[i]->steps_before = from[i].steps_before;
        ret[i]->pause = times_length(arena, from[i].pause_ms);
    }
    return ret;
}

static void put_steps(struct arena *arena, const struct host_task *from, Polos__V1__Task *ret)
{
    assert(from->more != NULL || from->settled_count <= from->step_count);
    ret->n_steps = from->step_count;
    ret->steps = steps(arena, from->steps, from->step_count);
}

static void put_call(struct arena *arena, const struct host_callback *from,
                     Polos__V1__CallbackCall *ret)
{
    assert(from->call_id.len > 0);
    ret->tool_call = arena_alloc(arena, sizeof(*ret->tool_call));
    polos__v1__tool_call__init(ret->tool_call);
    ret->tool_call->call_id = text_of(arena, from->call_id);
    ret->tool_call->name = text_of(arena, from->tool);
    ret->tool_call->arguments_json = text_of(arena, from->arguments);
    if (!from->has_outcome) {
        return;
    }
    ret->tool_result = arena_alloc(arena, sizeof(*ret->tool_result));
    polos__v1__tool_result__init(ret->tool_result);
    ret->tool_result->call_id = text_of(arena, from->call_id);
    ret->tool_result->name = text_of(arena, from->tool);
    if (from->outcome.failed) {
        ret->tool_result->error =
            shown_failure(arena, from->outcome.error_type, from->outcome.error_message, STR_EMPTY);
    } else {
        ret->tool_result->result_json = text_of(arena, from->outcome.value);
    }
}

static void put_callback(struct arena *arena, const struct host_callback *from,
                         Polos__V1__Task *ret)
{
    Polos__V1__CallbackCall *call = arena_alloc(arena, sizeof(*call));
    polos__v1__callback_call__init(call);
    call->phase = (Polos__V1__CallbackPhase)from->phase;
    call->index = from->index;
    call->turn = from->replies;
    call->result_json = text_of(arena, from->result);
    if (from->call_id.len > 0) {
        put_call(arena, from, call);
    }
    ret->detail_case = POLOS__V1__TASK__DETAIL_CALLBACK;
    ret->callback = call;
}

static void put_task(struct arena *arena, const struct host_task *from,
                     Polos__V1__ServerMessage *ret)
{
    static const Polos__V1__TaskKind kinds[TASK_KIND_COUNT] = {
        [TASK_TOOL] = POLOS__V1__TASK_KIND__TASK_KIND_TOOL,
        [TASK_WORKFLOW] = POLOS__V1__TASK_KIND__TASK_KIND_WORKFLOW,
        [TASK_CALLBACK] = POLOS__V1__TASK_KIND__TASK_KIND_CALLBACK,
    };
    assert(from->kind < TASK_KIND_COUNT);
    assert(from->epoch > 0);
    Polos__V1__Task *task = arena_alloc(arena, sizeof(*task));
    polos__v1__task__init(task);
    task->task_id = task_id(arena, from->task);
    task->epoch = from->epoch;
    task->kind = kinds[from->kind];
    if (from->kind == TASK_CALLBACK) {
        put_callback(arena, &from->callback, task);
    }
    task->name = text_of(arena, from->name);
    task->input_json = text_of(arena, from->input);
    task->input_type = text_of(arena, from->input_type);
    task->timeout = times_length(arena, from->timeout_ms);
    task->run_id = text_of_uuid(arena, from->task.run);
    task->agent_id = text_of(arena, from->agent_id);
    task->call_id = text_of(arena, from->call_id);
    task->session_id = text_of(arena, from->session_id);
    task->user_id = text_of(arena, from->user_id);
    task->conversation_id = text_of(arena, from->conversation_id);
    task->root_run_id = text_of_uuid(arena, from->root);
    task->settled_count = from->settled_count;
    task->cancelling = from->is_cancelling;
    task->state_json = text_of(arena, from->state.json);
    task->state_type = text_of(arena, from->state.type);
    task->retry_count = from->retry_count;
    if (!uuid_is_zero(from->parent)) {
        task->parent_run_id = text_of_uuid(arena, from->parent);
    }
    task->root_name = text_of(arena, from->root_name);
    task->created_at = times_instant(arena, from->created_ms);
    put_steps(arena, from, task);
    task->has_more = from->more != NULL;
    ret->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK;
    ret->task = task;
}

static void put_result(struct arena *arena, const struct server_message *from,
                       Polos__V1__ServerMessage *ret)
{
    Polos__V1__StepResult *result = arena_alloc(arena, sizeof(*result));
    polos__v1__step_result__init(result);
    result->task_id = task_id(arena, from->outcome.task);
    result->has_more = from->outcome.more != NULL;
    if (!result->has_more) {
        result->step = shown_step(arena, from->outcome.key, (Polos__V1__StepKind)from->outcome.kind,
                                  &from->outcome.outcome);
        result->step->steps_before = from->outcome.steps_before;
    }
    ret->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_STEP_RESULT;
    ret->step_result = result;
}

static void put_facts(struct arena *arena, const struct host_facts *from,
                      Polos__V1__ToolServiceConnectResponse *ret)
{
    assert(from->epoch > 0);
    Polos__V1__TaskFacts *facts = arena_alloc(arena, sizeof(*facts));
    polos__v1__task_facts__init(facts);
    facts->task_id = task_id(arena, from->task);
    facts->epoch = from->epoch;
    facts->first = from->first;
    facts->n_facts = from->count;
    facts->facts = steps(arena, from->facts, from->count);
    facts->is_last = from->is_last;
    facts->state_json = text_of(arena, from->state.json);
    facts->state_type = text_of(arena, from->state.type);
    ret->facts = facts;
}

static void put_cancel(struct arena *arena, const struct server_message *from,
                       Polos__V1__ServerMessage *ret)
{
    assert(from->cancelled.epoch > 0);
    Polos__V1__CancelTask *cancel = arena_alloc(arena, sizeof(*cancel));
    polos__v1__cancel_task__init(cancel);
    cancel->task_id = task_id(arena, from->cancelled.task);
    cancel->epoch = from->cancelled.epoch;
    cancel->grace = times_length(arena, from->grace_ms);
    ret->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_CANCEL_TASK;
    ret->cancel_task = cancel;
}

static void put_yield(struct arena *arena, const struct server_message *from,
                      Polos__V1__ServerMessage *ret)
{
    assert(from->cancelled.epoch > 0);
    Polos__V1__YieldTask *yield = arena_alloc(arena, sizeof(*yield));
    polos__v1__yield_task__init(yield);
    yield->task_id = task_id(arena, from->cancelled.task);
    yield->epoch = from->cancelled.epoch;
    ret->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_YIELD_TASK;
    ret->yield_task = yield;
}

static_assert((int)STOP_RUN_ENDED == (int)POLOS__V1__STOP_TASK__REASON__REASON_RUN_ENDED, "as is");
static_assert((int)STOP_DEADLINE == (int)POLOS__V1__STOP_TASK__REASON__REASON_DEADLINE, "as is");
static_assert((int)STOP_LEASE_LOST == (int)POLOS__V1__STOP_TASK__REASON__REASON_LEASE_LOST,
              "as is");

static void put_stop(struct arena *arena, const struct server_message *from,
                     Polos__V1__ServerMessage *ret)
{
    assert(from->cancelled.epoch > 0);
    assert(from->stop >= STOP_RUN_ENDED && from->stop <= STOP_LEASE_LOST);
    Polos__V1__StopTask *stop = arena_alloc(arena, sizeof(*stop));
    polos__v1__stop_task__init(stop);
    stop->task_id = task_id(arena, from->cancelled.task);
    stop->epoch = from->cancelled.epoch;
    stop->reason = (Polos__V1__StopTask__Reason)from->stop;
    ret->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_STOP_TASK;
    ret->stop_task = stop;
}

static void put_drain(struct arena *arena, const struct server_message *from,
                      Polos__V1__ServerMessage *ret)
{
    Polos__V1__ServerDrain *drain = arena_alloc(arena, sizeof(*drain));
    polos__v1__server_drain__init(drain);
    drain->cause = text_of(arena, from->cause);
    ret->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_DRAIN;
    ret->drain = drain;
}

static void put_refused(struct arena *arena, const struct server_message *from,
                        Polos__V1__ServerMessage *ret)
{
    assert(from->refused.reason != REASON_NONE);
    assert(from->refused.message.len > 0);
    Polos__V1__Refused *refused = arena_alloc(arena, sizeof(*refused));
    polos__v1__refused__init(refused);
    refused->refused_seq = from->refused.seq;
    refused->reason = text_of(arena, str_of(reason_name(from->refused.reason)));
    refused->message = text_of(arena, from->refused.message);
    if (from->refused.has_task) {
        refused->task_id = task_id(arena, from->refused.task);
    }
    refused->task_is_gone = from->refused.is_task_gone;
    ret->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_REFUSED;
    ret->refused = refused;
}

/* What is not numbered has a field of its own. */
static void put_unnumbered(struct arena *arena, const struct server_message *message,
                           Polos__V1__ToolServiceConnectResponse *ret)
{
    assert(message->seq == 0);
    if (message->kind == SERVER_MESSAGE_WELCOME) {
        put_welcome(arena, message, ret);
    } else if (message->kind == SERVER_MESSAGE_FACTS) {
        put_facts(arena, message->facts, ret);
    }
}

static void put_numbered(struct arena *arena, const struct server_message *message,
                         Polos__V1__ServerMessage *ret)
{
    switch (message->kind) {
    case SERVER_MESSAGE_TASK:
        assert(message->task != NULL);
        put_task(arena, message->task, ret);
        break;
    case SERVER_MESSAGE_OUTCOME:
        put_result(arena, message, ret);
        break;
    case SERVER_MESSAGE_CANCEL:
        put_cancel(arena, message, ret);
        break;
    case SERVER_MESSAGE_STOP:
        put_stop(arena, message, ret);
        break;
    case SERVER_MESSAGE_YIELD:
        put_yield(arena, message, ret);
        break;
    case SERVER_MESSAGE_DRAIN:
        put_drain(arena, message, ret);
        break;
    case SERVER_MESSAGE_REFUSED:
        put_refused(arena, message, ret);
        break;
    case SERVER_MESSAGE_ACK:
    case SERVER_MESSAGE_WELCOME:
    case SERVER_MESSAGE_FACTS:
        break;
    }
    assert(ret->message_case != POLOS__V1__SERVER_MESSAGE__MESSAGE__NOT_SET);
}

struct payload *host_wire_pack(const struct server_message *message)
{
    struct arena arena;
    arena_init(&arena, 0);
    Polos__V1__ToolServiceConnectResponse envelope = POLOS__V1__TOOL_SERVICE_CONNECT_RESPONSE__INIT;
    Polos__V1__ServerMessage numbered = POLOS__V1__SERVER_MESSAGE__INIT;
    Polos__V1__ServerMessage *messages[] = {&numbered};
    if (message->seq == 0) {
        put_unnumbered(&arena, message, &envelope);
    } else {
        put_numbered(&arena, message, &numbered);
        envelope.n_messages = 1;
        envelope.messages = messages;
    }
    struct envelope_head head = {
        .seq = message->seq,
        .ack = message->ack,
        .settled = message->settled,
        .is_result = message->kind == SERVER_MESSAGE_OUTCOME,
        .is_last = message->kind == SERVER_MESSAGE_FACTS,
    };
    struct payload *packed = envelope_pack(&head, &envelope.base);
    arena_fini(&arena);
    return packed;
}
