#include "service/api/host_wire.h"

#include "service/agents/definition.h"
#include "service/api/definition.h"
#include "service/api/host_step_request.h"
#include "service/api/options.h"
#include "service/api/queues.h"
#include "service/api/schedules.h"
#include "service/base/json.h"
#include "service/base/utf8.h"
#include "service/features/schedules/schedules.h"
#include "service/features/tasks/tasks.h"
#include "service/features/triggers/triggers.h"
#include "service/partition/request.h"

static bool take_task_id(struct check *check, const char *field, const char *text,
                         struct task_ref *ret)
{
    return task_ref_parse(str_of(text), ret) ||
           check_fault(check, field, "pass task_id as the Task message gave it");
}

static bool take_offers(struct check *check, const Polos__V1__Hello *hello, struct host_hello *ret)
{
    size_t count = hello->n_tools + hello->n_workflows;
    struct host_offer *offers = arena_zalloc(check->arena, count * sizeof(*offers));
    for (size_t i = 0; i < count; i++) {
        bool is_tool = i < hello->n_tools;
        size_t index = is_tool ? i : i - hello->n_tools;
        const char *name = is_tool ? hello->tools[index]->name : hello->workflows[index]->id;
        const char *field = is_tool ? check_path(check, "hello.tools[%zu].name", index)
                                    : check_path(check, "hello.workflows[%zu].id", index);
        if (!check_name(check, field, str_of(name))) {
            return false;
        }
        offers[i] = (struct host_offer){
            .kind = is_tool ? TASK_TOOL : TASK_WORKFLOW,
            .name = check_copy(check, name),
        };
    }
    ret->offers = offers;
    ret->offer_count = count;
    return true;
}

static bool take_held(struct check *check, const Polos__V1__Hello *hello, struct host_hello *ret)
{
    struct held_task *held = arena_zalloc(check->arena, hello->n_held * sizeof(*held));
    for (size_t i = 0; i < hello->n_held; i++) {
        const char *field = check_path(check, "hello.held[%zu].task_id", i);
        if (!take_task_id(check, field, hello->held[i]->task_id, &held[i].task)) {
            return false;
        }
        held[i].epoch = hello->held[i]->epoch;
    }
    ret->held = held;
    ret->held_count = hello->n_held;
    return true;
}

static bool take_agents(struct check *check, const Polos__V1__Hello *hello, struct request *request)
{
    size_t count = hello->n_agents;
    struct agent_definition *agents = arena_zalloc(check->arena, count * sizeof(*agents));
    for (size_t i = 0; i < count; i++) {
        const char *prefix = check_path(check, "hello.agents[%zu].", i);
        if (!definition_take(check, prefix, hello->agents[i], &agents[i])) {
            return false;
        }
    }
    hello_request(request)->definitions = agents;
    hello_request(request)->definition_count = count;
    return true;
}

static bool take_trigger(struct check *check, size_t index,
                         const Polos__V1__WorkflowDefinition *workflow, struct trigger_offer *ret)
{
    const Polos__V1__EventTrigger *trigger = workflow->trigger;
    const char *prefix = check_path(check, "hello.workflows[%zu].trigger.", index);
    *ret = (struct trigger_offer){
        .workflow = check_copy(check, workflow->id),
        .topic = check_copy(check, trigger->topic),
        .batch_size = trigger->batch_size,
        .batch_timeout_ms = (uint64_t)trigger->batch_timeout_ms,
    };
    const char *topic = check_path(check, "%stopic", prefix);
    const char *size = check_path(check, "%sbatch_size", prefix);
    const char *timeout = check_path(check, "%sbatch_timeout_ms", prefix);
    return check_some(check, topic, ret->topic, CHECK_TOPIC_BYTES_MAX) &&
           check_range(check, size, trigger->batch_size, 0, HOST_TRIGGER_BATCH_MAX) &&
           check_range(check, timeout, trigger->batch_timeout_ms, 0, HOST_TRIGGER_TIMEOUT_MS_MAX);
}

static bool take_schedule(struct check *check, size_t index,
                          const Polos__V1__WorkflowDefinition *workflow, struct schedule_offer *ret)
{
    const Polos__V1__Schedule *schedule = workflow->schedule;
    const char *prefix = check_path(check, "hello.workflows[%zu].schedule.", index);
    *ret = (struct schedule_offer){
        .workflow = check_copy(check, workflow->id),
        .cron = check_copy(check, schedule->cron),
        .keeps_input = true,
        .field = str_of(prefix),
    };
    return schedule_take(check, prefix, schedule->key, schedule->timezone, ret);
}

static bool take_schedules(struct check *check, const Polos__V1__Hello *hello,
                           struct request *request)
{
    struct schedule_offer *schedules =
        arena_zalloc(check->arena, hello->n_workflows * sizeof(*schedules));
    size_t count = 0;
    for (size_t i = 0; i < hello->n_workflows; i++) {
        if (hello->workflows[i]->schedule != NULL &&
            !take_schedule(check, i, hello->workflows[i], &schedules[count++])) {
            return false;
        }
    }
    assert(count <= hello->n_workflows);
    hello_request(request)->schedules = schedules;
    hello_request(request)->schedule_count = count;
    return true;
}

static bool take_triggers(struct check *check, const Polos__V1__Hello *hello,
                          struct request *request)
{
    struct trigger_offer *triggers =
        arena_zalloc(check->arena, hello->n_workflows * sizeof(*triggers));
    size_t count = 0;
    for (size_t i = 0; i < hello->n_workflows; i++) {
        if (hello->workflows[i]->trigger != NULL &&
            !take_trigger(check, i, hello->workflows[i], &triggers[count++])) {
            return false;
        }
    }
    assert(count <= hello->n_workflows);
    hello_request(request)->triggers = triggers;
    hello_request(request)->trigger_count = count;
    return true;
}

bool host_wire_hello(struct check *check, const Polos__V1__Hello *hello, struct request *request)
{
    assert(check->arena == &request->arena);
    assert(request->operation == &hello_operation);
    assert(check->error.code == CODE_OK);
    str deployment = str_of(hello->deployment);
    struct host_hello *ret = &hello_request(request)->hello;
    *ret = (struct host_hello){
        .host_id = check_copy(check, hello->host_id),
        .deployment = deployment.len == 0 ? STR("default") : arena_copy(check->arena, deployment),
        .slots = hello->slots,
        .session = check_copy(check, hello->session),
        .user_agent = check_copy(check, hello->user_agent),
    };
    return check_some(check, "hello.host_id", ret->host_id, NAME_BYTES_MAX) &&
           check_bytes(check, "hello.deployment", ret->deployment, NAME_BYTES_MAX) &&
           check_bytes(check, "hello.session", ret->session, NAME_BYTES_MAX) &&
           check_bytes(check, "hello.user_agent", ret->user_agent, CHECK_CAUSE_BYTES_MAX) &&
           take_offers(check, hello, ret) && take_held(check, hello, ret) &&
           take_triggers(check, hello, request) && take_schedules(check, hello, request) &&
           queue_offers_take(check, hello, request) && take_agents(check, hello, request);
}

/* At most bytes_max, without cutting a character. */
static str cut(str text, size_t bytes_max)
{
    if (text.len <= bytes_max) {
        return text;
    }
    str head = str_make(text.ptr, bytes_max);
    assert(utf8_tail_len(head) < bytes_max);
    return str_make(head.ptr, head.len - utf8_tail_len(head));
}

static struct outcome error_outcome(struct check *check, const Polos__V1__TaskError *error)
{
    str type = str_of(error->type);
    return (struct outcome){
        .failed = true,
        .error_type = type.len == 0 ? STR("Error") : arena_copy(check->arena, type),
        .error_message = check_copy(check, error->message),
        .error_stack = arena_copy(check->arena, cut(str_of(error->stack), HOST_STACK_BYTES_MAX)),
    };
}

static bool take_outcome(struct check *check, const char *field,
                         const Polos__V1__TaskOutcome *outcome, struct outcome *ret)
{
    if (outcome == NULL || outcome->result_case == POLOS__V1__TASK_OUTCOME__RESULT__NOT_SET) {
        return check_fault(check, field, "set value_json or error");
    }
    if (outcome->result_case == POLOS__V1__TASK_OUTCOME__RESULT_ERROR) {
        *ret = error_outcome(check, outcome->error);
        return true;
    }
    *ret = (struct outcome){.value = check_copy(check, outcome->value_json)};
    return true;
}

/* What user code can get wrong is its task's affair only: the message is refused, the stream goes
 * on. Always true. */
static bool note_fault(struct check *check, bool is_fine, struct host_message *ret)
{
    assert(is_fine == (check->error.code == CODE_OK));
    assert(ret->kind == HOST_MESSAGE_STEP_DONE || ret->kind == HOST_MESSAGE_STEP_REQUEST);
    if (!is_fine) {
        ret->fault = check->error.message;
        check->error = (struct failure){0};
    }
    return true;
}

static bool check_step_done(struct check *check, const Polos__V1__StepDone *done,
                            struct host_message *ret)
{
    return check_some(check, "step_done.key", ret->key, CHECK_STEP_KEY_BYTES_MAX) &&
           take_outcome(check, "step_done.outcome", done->outcome, &ret->outcome) &&
           (ret->outcome.failed ||
            check_json(check, "step_done.outcome.value_json", ret->outcome.value)) &&
           options_check_state(check, "step_done.state_json", ret->state);
}

static bool take_step_done(struct check *check, const Polos__V1__StepDone *done,
                           struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_STEP_DONE;
    ret->epoch = done->epoch;
    ret->number = done->number;
    ret->key = check_copy(check, done->key);
    ret->state = check_copy(check, done->state_json);
    return take_task_id(check, "step_done.task_id", done->task_id, &ret->task) &&
           note_fault(check, check_step_done(check, done, ret), ret);
}

static struct outcome invalid_result(str message)
{
    return (struct outcome){
        .failed = true, .error_type = STR("INVALID_RESULT"), .error_message = message};
}

static bool take_task_done(struct check *check, const Polos__V1__TaskDone *done,
                           struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_TASK_DONE;
    ret->epoch = done->epoch;
    ret->is_cancelled = done->cancelled;
    ret->state = check_copy(check, done->state_json);
    if (!take_task_id(check, "task_done.task_id", done->task_id, &ret->task) ||
        !take_outcome(check, "task_done.outcome", done->outcome, &ret->outcome)) {
        return false;
    }
    ret->is_retryable = ret->outcome.failed && done->outcome->error->retryable;
    if (!ret->outcome.failed) {
        status valid = json_validate(ret->outcome.value, check->arena);
        if (!status_is_ok(valid)) {
            ret->outcome =
                invalid_result(arena_printf(check->arena, "the result is %s", valid.why));
        }
    }
    if (!options_check_state(check, "the state", ret->state)) {
        ret->outcome = invalid_result(check->error.message);
        ret->state = STR_EMPTY;
        ret->is_retryable = false;
        check->error = (struct failure){0};
    }
    assert(!ret->is_retryable || ret->outcome.failed);
    return true;
}

static bool take_step_request(struct check *check, const Polos__V1__Order *order,
                              struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_STEP_REQUEST;
    ret->epoch = order->epoch;
    ret->key = check_copy(check, order->key);
    return take_task_id(check, "order.task_id", order->task_id, &ret->task) &&
           note_fault(check,
                      check_some(check, "order.key", ret->key, CHECK_STEP_KEY_BYTES_MAX) &&
                          host_step_request_take(check, order, &ret->step_request),
                      ret);
}

static bool take_park(struct check *check, const Polos__V1__Park *park, struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_PARK;
    ret->epoch = park->epoch;
    ret->outcomes_seen = park->outcomes_seen;
    return take_task_id(check, "park.task_id", park->task_id, &ret->task);
}

static bool take_delta(struct check *check, const Polos__V1__HostDelta *delta,
                       struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_DELTA;
    ret->epoch = delta->epoch;
    ret->text = check_copy(check, delta->text);
    return take_task_id(check, "delta.task_id", delta->task_id, &ret->task) &&
           check_bytes(check, "delta.text", ret->text, HOST_DELTA_BYTES_MAX);
}

static bool check_numbering(struct check *check, const struct host_message *message)
{
    switch (message->kind) {
    case HOST_MESSAGE_NONE:
    case HOST_MESSAGE_DELTA:
    case HOST_MESSAGE_HEARTBEAT:
        return message->seq == 0 ||
               check_fault(check, "seq",
                           "leave it 0: an acknowledgement alone, a delta and a "
                           "heartbeat are not numbered");
    case HOST_MESSAGE_STEP_DONE:
    case HOST_MESSAGE_STEP_REQUEST:
    case HOST_MESSAGE_TASK_DONE:
    case HOST_MESSAGE_PARK:
        return message->seq != 0 ||
               check_fault(check, "seq", "it is required: this message is numbered, from 1");
    case HOST_MESSAGE_DRAIN:
        break;
    }
    return true;
}

bool host_wire_message(struct check *check, const Polos__V1__HostMessage *message,
                       struct host_message *ret)
{
    *ret = (struct host_message){.seq = message->seq, .ack = message->ack};
    assert(check->error.code == CODE_OK);
    bool is_fine = true;
    switch ((int)message->message_case) {
    case POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE:
        is_fine = take_step_done(check, message->step_done, ret);
        break;
    case POLOS__V1__HOST_MESSAGE__MESSAGE_ORDER:
        is_fine = take_step_request(check, message->order, ret);
        break;
    case POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE:
        is_fine = take_task_done(check, message->task_done, ret);
        break;
    case POLOS__V1__HOST_MESSAGE__MESSAGE_PARK:
        is_fine = take_park(check, message->park, ret);
        break;
    case POLOS__V1__HOST_MESSAGE__MESSAGE_DELTA:
        is_fine = take_delta(check, message->delta, ret);
        break;
    case POLOS__V1__HOST_MESSAGE__MESSAGE_HEARTBEAT:
        ret->kind = HOST_MESSAGE_HEARTBEAT;
        break;
    case POLOS__V1__HOST_MESSAGE__MESSAGE_DRAIN:
        ret->kind = HOST_MESSAGE_DRAIN;
        break;
    case POLOS__V1__HOST_MESSAGE__MESSAGE__NOT_SET:
        ret->kind = HOST_MESSAGE_NONE;
        break;
    case POLOS__V1__HOST_MESSAGE__MESSAGE_HELLO:
    default:
        return check_fault(check, "hello",
                           "it is the first message of a stream, and only that; "
                           "dial again to say it again");
    }
    return is_fine && check_numbering(check, ret);
}
