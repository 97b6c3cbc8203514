#include "service/api/host_wire.h"

#include "service/agents/definition.h"
#include "service/api/definition.h"
#include "service/api/envelope.h"
#include "service/api/host_step_request.h"
#include "service/api/options.h"
#include "service/api/queues.h"
#include "service/api/schedules.h"
#include "service/api/times.h"
#include "service/base/json.h"
#include "service/base/utf8.h"
#include "service/engine/engine.h"
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

static bool take_callbacks(struct check *check, const Polos__V1__Offers *proto,
                           struct host_offer *ret)
{
    for (size_t i = 0; i < proto->n_callbacks; i++) {
        const Polos__V1__CallbackOffer *offer = proto->callbacks[i];
        const char *kind = check_path(check, "hello.offers.callbacks[%zu].kind", i);
        if (offer->kind != POLOS__V1__RUN_KIND__RUN_KIND_AGENT) {
            return check_fault(check, kind, "only agents have callbacks: RUN_KIND_AGENT");
        }
        if (!check_name(check, check_path(check, "hello.offers.callbacks[%zu].name", i),
                        str_of(offer->name)) ||
            !check_name(check, check_path(check, "hello.offers.callbacks[%zu].callback", i),
                        str_of(offer->callback))) {
            return false;
        }
        ret[i].kind = TASK_CALLBACK;
        ret[i].name = arena_printf(check->arena, "%s/%s", offer->name, offer->callback);
    }
    return true;
}

static bool take_offers(struct check *check, const Polos__V1__Offers *proto, struct host_hello *ret)
{
    size_t count = proto->n_tools + proto->n_workflows;
    struct host_offer *offers =
        arena_zalloc(check->arena, (count + proto->n_callbacks) * sizeof(*offers));
    for (size_t i = 0; i < count; i++) {
        bool is_tool = i < proto->n_tools;
        size_t index = is_tool ? i : i - proto->n_tools;
        const char *name = is_tool ? proto->tools[index]->id : proto->workflows[index]->id;
        const char *field = is_tool ? check_path(check, "hello.offers.tools[%zu].id", index)
                                    : check_path(check, "hello.offers.workflows[%zu].id", index);
        if (!check_code_name(check, field, is_tool, str_of(name))) {
            return false;
        }
        offers[i] = (struct host_offer){
            .kind = is_tool ? TASK_TOOL : TASK_WORKFLOW,
            .name = check_copy(check, name),
        };
    }
    ret->offers = offers;
    ret->offer_count = count + proto->n_callbacks;
    return take_callbacks(check, proto, offers + count);
}

static bool take_batch_timeout(struct check *check, size_t index,
                               const Polos__V1__EventTrigger *trigger, uint64_t *ret_ms)
{
    const char *field =
        check_path(check, "hello.offers.workflows[%zu].trigger.batch_timeout", index);
    *ret_ms = 0;
    return trigger->batch_timeout == NULL || check_length(check, field, trigger->batch_timeout, 0,
                                                          HOST_TRIGGER_TIMEOUT_MS_MAX, ret_ms);
}

static bool take_workflow(struct check *check, size_t index,
                          const Polos__V1__WorkflowDefinition *workflow, str deployment,
                          struct offer_record *ret)
{
    struct offer_record record = {
        .deployment = deployment,
        .tool.name = check_copy(check, workflow->id),
        .tool.description = check_copy(check, workflow->description),
        .queue = check_copy(check, workflow->queue),
    };
    if (workflow->trigger != NULL) {
        record.topic = check_copy(check, workflow->trigger->topic);
        record.batch_size = workflow->trigger->batch_size;
        if (!take_batch_timeout(check, index, workflow->trigger, &record.batch_timeout_ms)) {
            return false;
        }
    }
    if (workflow->schedule != NULL) {
        record.cron = check_copy(check, workflow->schedule->cron);
        record.zone = check_copy(check, workflow->schedule->timezone);
        record.schedule_key = check_copy(check, workflow->schedule->key);
    }
    *ret = record;
    return true;
}

/* What is kept of them; in the order of the offers. */
static bool take_records(struct check *check, const Polos__V1__Offers *proto,
                         struct request *request)
{
    str deployment = hello_request(request)->hello.deployment;
    size_t count = proto->n_tools + proto->n_workflows;
    assert(count + proto->n_callbacks == hello_request(request)->hello.offer_count);
    struct offer_record *records =
        arena_zalloc(check->arena, (count + proto->n_callbacks) * sizeof(*records));
    for (size_t i = 0; i < proto->n_tools; i++) {
        records[i].deployment = deployment;
        if (!definition_take_tool(check, check_path(check, "hello.offers.tools[%zu].", i),
                                  proto->tools[i], &records[i].tool)) {
            return false;
        }
    }
    for (size_t i = 0; i < proto->n_workflows; i++) {
        if (!take_workflow(check, i, proto->workflows[i], deployment,
                           &records[proto->n_tools + i])) {
            return false;
        }
    }
    hello_request(request)->records = records;
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

static bool take_agents(struct check *check, const Polos__V1__Offers *offers,
                        struct request *request)
{
    size_t count = offers->n_agents;
    struct agent_definition *agents = arena_zalloc(check->arena, count * sizeof(*agents));
    for (size_t i = 0; i < count; i++) {
        const char *prefix = check_path(check, "hello.offers.agents[%zu].", i);
        if (!definition_take(check, prefix, offers->agents[i], &agents[i])) {
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
    const char *prefix = check_path(check, "hello.offers.workflows[%zu].trigger.", index);
    *ret = (struct trigger_offer){
        .workflow = check_copy(check, workflow->id),
        .topic = check_copy(check, trigger->topic),
        .batch_size = trigger->batch_size,
    };
    const char *topic = check_path(check, "%stopic", prefix);
    const char *size = check_path(check, "%sbatch_size", prefix);
    return check_some(check, topic, ret->topic, CHECK_TOPIC_BYTES_MAX) &&
           check_range(check, size, trigger->batch_size, 0, HOST_TRIGGER_BATCH_MAX) &&
           take_batch_timeout(check, index, trigger, &ret->batch_timeout_ms);
}

static bool take_schedule(struct check *check, size_t index,
                          const Polos__V1__WorkflowDefinition *workflow, struct schedule_offer *ret)
{
    const char *prefix = check_path(check, "hello.offers.workflows[%zu].schedule.", index);
    *ret = (struct schedule_offer){
        .name = check_copy(check, workflow->id),
        .keeps_input = true,
        .field = str_of(prefix),
    };
    return schedule_take(check, prefix, workflow->schedule, ret);
}

static bool take_schedules(struct check *check, const Polos__V1__Offers *offers,
                           struct request *request)
{
    struct schedule_offer *schedules =
        arena_zalloc(check->arena, offers->n_workflows * sizeof(*schedules));
    size_t count = 0;
    for (size_t i = 0; i < offers->n_workflows; i++) {
        if (offers->workflows[i]->schedule != NULL &&
            !take_schedule(check, i, offers->workflows[i], &schedules[count++])) {
            return false;
        }
    }
    assert(count <= offers->n_workflows);
    hello_request(request)->schedules = schedules;
    hello_request(request)->schedule_count = count;
    return true;
}

static bool take_triggers(struct check *check, const Polos__V1__Offers *offers,
                          struct request *request)
{
    struct trigger_offer *triggers =
        arena_zalloc(check->arena, offers->n_workflows * sizeof(*triggers));
    size_t count = 0;
    for (size_t i = 0; i < offers->n_workflows; i++) {
        if (offers->workflows[i]->trigger != NULL &&
            !take_trigger(check, i, offers->workflows[i], &triggers[count++])) {
            return false;
        }
    }
    assert(count <= offers->n_workflows);
    hello_request(request)->triggers = triggers;
    hello_request(request)->trigger_count = count;
    return true;
}

static bool check_protocol(struct check *check, uint32_t protocol)
{
    return protocol == HOST_PROTOCOL ||
           check_fault(check, "hello.protocol",
                       "this server speaks protocol %d, the host %s %u; %s", HOST_PROTOCOL,
                       protocol == 0 ? "does not say which, so" : "speaks", protocol,
                       protocol > HOST_PROTOCOL ? "update the server" : "update the host's SDK");
}

bool host_wire_hello(struct check *check, const Polos__V1__Hello *hello, struct request *request)
{
    static const Polos__V1__Offers nothing = POLOS__V1__OFFERS__INIT;
    assert(check->arena == &request->arena);
    assert(request->operation == &hello_operation);
    assert(check->error.code == CODE_OK);
    str deployment = str_of(hello->deployment);
    const Polos__V1__Offers *offers = hello->offers == NULL ? &nothing : hello->offers;
    struct host_hello *ret = &hello_request(request)->hello;
    *ret = (struct host_hello){
        .host_id = check_copy(check, hello->host_id),
        .deployment = deployment.len == 0 ? STR("default") : arena_copy(check->arena, deployment),
        .language = check_copy(check, hello->language),
        .slots = hello->slots,
        .session = check_copy(check, hello->host_token),
        .user_agent = check_copy(check, hello->user_agent),
    };
    return check_protocol(check, hello->protocol) &&
           check_some(check, "hello.host_id", ret->host_id, NAME_BYTES_MAX) &&
           check_bytes(check, "hello.deployment", ret->deployment, NAME_BYTES_MAX) &&
           check_bytes(check, "hello.language", ret->language, LANGUAGE_BYTES_MAX) &&
           check_bytes(check, "hello.host_token", ret->session, NAME_BYTES_MAX) &&
           check_bytes(check, "hello.user_agent", ret->user_agent, CHECK_CAUSE_BYTES_MAX) &&
           take_offers(check, offers, ret) && take_held(check, hello, ret) &&
           take_triggers(check, offers, request) && take_schedules(check, offers, request) &&
           queue_offers_take(check, offers, request) && take_records(check, offers, request) &&
           take_agents(check, offers, request);
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

static bool take_value_type(struct check *check, const char *field, const char *type,
                            struct outcome *ret)
{
    if (ret->failed) {
        return true;
    }
    ret->value_type = check_copy(check, type);
    return check_bytes(check, field, ret->value_type, CHECK_VALUE_TYPE_BYTES_MAX);
}

/* What user code can get wrong is its task's affair only: the message is refused, the stream goes
 * on. Always true. */
static bool note_fault(struct check *check, bool is_fine, struct host_message *ret)
{
    assert(is_fine == (check->error.code == CODE_OK));
    assert(ret->kind == HOST_MESSAGE_STEP_DONE || ret->kind == HOST_MESSAGE_STEP_REQUEST ||
           ret->kind == HOST_MESSAGE_WITHDRAW || ret->kind == HOST_MESSAGE_STEP_TRY);
    if (!is_fine) {
        ret->fault = check->error.message;
        check->error = (struct failure){0};
    }
    return true;
}

static const struct state_fields step_done_state = {"step_done.state_json", "step_done.state_type"};

static bool check_step_done(struct check *check, const Polos__V1__StepDone *done,
                            struct host_message *ret)
{
    return check_some(check, "step_done.key", ret->key, CHECK_STEP_KEY_BYTES_MAX) &&
           take_outcome(check, "step_done.outcome", done->outcome, &ret->outcome) &&
           take_value_type(check, "step_done.outcome.value_type", done->outcome->value_type,
                           &ret->outcome) &&
           (ret->outcome.failed ||
            check_json(check, "step_done.outcome.value_json", ret->outcome.value)) &&
           options_take_state(check, &step_done_state, done->state_json, done->state_type,
                              &ret->state);
}

static bool take_step_done(struct check *check, const Polos__V1__StepDone *done,
                           struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_STEP_DONE;
    ret->epoch = done->epoch;
    ret->number = done->number;
    ret->key = check_copy(check, done->key);
    return take_task_id(check, "step_done.task_id", done->task_id, &ret->task) &&
           note_fault(check, check_step_done(check, done, ret), ret);
}

static bool take_cancel_shown(struct check *check, const Polos__V1__CancelShown *shown,
                              struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_CANCEL_SHOWN;
    ret->epoch = shown->epoch;
    ret->number = shown->number;
    return take_task_id(check, "cancel_shown.task_id", shown->task_id, &ret->task);
}

static bool take_withdraw(struct check *check, const Polos__V1__Withdraw *withdraw,
                          struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_WITHDRAW;
    ret->epoch = withdraw->epoch;
    ret->number = withdraw->number;
    ret->key = check_copy(check, withdraw->key);
    ret->facts_seen = withdraw->facts_seen;
    return take_task_id(check, "withdraw.task_id", withdraw->task_id, &ret->task) &&
           note_fault(check, check_some(check, "withdraw.key", ret->key, CHECK_STEP_KEY_BYTES_MAX),
                      ret);
}

static bool check_step_try(struct check *check, const Polos__V1__StepTry *tried,
                           struct host_message *ret)
{
    if (!check_some(check, "step_try.key", ret->key, CHECK_STEP_KEY_BYTES_MAX) ||
        !check_range(check, "step_try.try_number", ret->try_number, 1, UINT32_MAX)) {
        return false;
    }
    if (tried->error == NULL) {
        return check_fault(check, "step_try.error", "say why the try failed");
    }
    ret->outcome = error_outcome(check, tried->error);
    return tried->pause == NULL || check_length(check, "step_try.pause", tried->pause, 0,
                                                TIMES_LENGTH_MS_MAX, &ret->pause_ms);
}

static bool take_step_try(struct check *check, const Polos__V1__StepTry *tried,
                          struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_STEP_TRY;
    ret->epoch = tried->epoch;
    ret->number = tried->number;
    ret->key = check_copy(check, tried->key);
    ret->try_number = tried->try_number;
    return take_task_id(check, "step_try.task_id", tried->task_id, &ret->task) &&
           note_fault(check, check_step_try(check, tried, ret), ret);
}

static struct outcome invalid_result(str message)
{
    return (struct outcome){
        .failed = true, .error_type = STR("INVALID_RESULT"), .error_message = message};
}

static struct outcome mismatch(struct check *check, const Polos__V1__Mismatch *proto)
{
    return (struct outcome){
        .failed = true,
        .error_type = STR(ENGINE_NON_DETERMINISM),
        .error_message = check_copy(check, proto->message),
    };
}

/* A result that can't be kept fails its task. */
static void take_result(struct check *check, const char *type, struct outcome *ret)
{
    assert(!ret->failed);
    status valid = json_validate(ret->value, check->arena);
    if (!status_is_ok(valid)) {
        *ret = invalid_result(arena_printf(check->arena, "the result is %s", valid.why));
    } else if (!take_value_type(check, "the result's value_type", type, ret)) {
        *ret = invalid_result(check->error.message);
        check->error = (struct failure){0};
    }
}

static const struct state_fields last_state = {"the state", "the state's type"};

/* What it made of its payload is its outcome's value; empty: nothing. */
static void take_callback(struct check *check, const Polos__V1__CallbackOutcome *proto,
                          struct host_message *ret)
{
    ret->is_callback = true;
    ret->state = (struct kept_state){0};
    if (proto->decision_case == POLOS__V1__CALLBACK_OUTCOME__DECISION_FAILURE) {
        ret->outcome = (struct outcome){
            .failed = true,
            .error_type = STR("HOOK_FAILED"),
            .error_message = check_copy(check, proto->failure),
        };
    } else if (proto->decision_case == POLOS__V1__CALLBACK_OUTCOME__DECISION_FEEDBACK) {
        ret->outcome = (struct outcome){
            .failed = true,
            .error_type = STR(ENGINE_REPLY_REJECTED),
            .error_message = check_copy(check, proto->feedback),
        };
    } else if (proto->decision_case == POLOS__V1__CALLBACK_OUTCOME__DECISION_PAYLOAD_JSON) {
        ret->outcome = (struct outcome){.value = check_copy(check, proto->payload_json)};
        take_result(check, "", &ret->outcome);
    }
}

static bool take_task_done(struct check *check, const Polos__V1__TaskDone *done,
                           struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_TASK_DONE;
    ret->epoch = done->epoch;
    ret->is_cancelled = done->cancelled;
    if (!take_task_id(check, "task_done.task_id", done->task_id, &ret->task)) {
        return false;
    }
    if (done->result_case == POLOS__V1__TASK_DONE__RESULT_MISMATCH) {
        ret->outcome = mismatch(check, done->mismatch);
        return true;
    }
    if (done->result_case == POLOS__V1__TASK_DONE__RESULT_CALLBACK) {
        take_callback(check, done->callback, ret);
        return true;
    }
    if (!take_outcome(check, "task_done.outcome",
                      done->result_case == POLOS__V1__TASK_DONE__RESULT_OUTCOME ? done->outcome
                                                                                : NULL,
                      &ret->outcome)) {
        return false;
    }
    ret->is_retryable = ret->outcome.failed && done->retryable;
    if (!ret->outcome.failed) {
        take_result(check, done->outcome->value_type, &ret->outcome);
    }
    if (!options_take_state(check, &last_state, done->state_json, done->state_type, &ret->state)) {
        ret->outcome = invalid_result(check->error.message);
        ret->state = (struct kept_state){0};
        ret->is_retryable = false;
        check->error = (struct failure){0};
    }
    assert(!ret->is_retryable || ret->outcome.failed);
    return true;
}

static bool take_step_request(struct check *check, const Polos__V1__StepRequest *proto,
                              struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_STEP_REQUEST;
    ret->epoch = proto->epoch;
    ret->key = check_copy(check, proto->key);
    return take_task_id(check, "step_request.task_id", proto->task_id, &ret->task) &&
           note_fault(check,
                      check_some(check, "step_request.key", ret->key, CHECK_STEP_KEY_BYTES_MAX) &&
                          host_step_request_take(check, proto, &ret->step_request),
                      ret);
}

static bool take_park(struct check *check, const Polos__V1__Park *park, struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_PARK;
    ret->epoch = park->epoch;
    ret->outcomes_seen = park->results_seen;
    return take_task_id(check, "park.task_id", park->task_id, &ret->task);
}

static bool take_release(struct check *check, const Polos__V1__Release *release,
                         struct host_message *ret)
{
    str cause = str_of(release->cause);
    ret->kind = HOST_MESSAGE_RELEASE;
    ret->epoch = release->epoch;
    ret->text = cause.len == 0 ? STR("its host gave it back") : arena_copy(check->arena, cause);
    return take_task_id(check, "release.task_id", release->task_id, &ret->task) &&
           check_bytes(check, "release.cause", ret->text, CHECK_CAUSE_BYTES_MAX);
}

static bool take_drain(const Polos__V1__HostDrain *drain, struct host_message *ret)
{
    ret->kind = HOST_MESSAGE_DRAIN;
    ret->releases_all = drain->release_all;
    return true;
}

bool host_wire_check_envelope(struct check *check,
                              const Polos__V1__ToolServiceConnectRequest *envelope)
{
    int64_t messages = (int64_t)envelope->n_messages;
    if (envelope->hello != NULL) {
        return check_fault(check, "hello",
                           "it is in the first envelope of a stream, and only there; dial again to "
                           "say it again");
    }
    if ((envelope->first_seq == 0) != (messages == 0) ||
        envelope->first_seq > UINT64_MAX - (uint64_t)messages) {
        return check_fault(check, "first_seq",
                           "it is the number of the first message, from 1; 0 without messages");
    }
    return check_range(check, "messages", messages, 0, ENVELOPE_MESSAGES_MAX) &&
           check_range(check, "deltas", (int64_t)envelope->n_deltas, 0, ENVELOPE_MESSAGES_MAX);
}

bool host_wire_delta(struct check *check, const Polos__V1__HostDelta *delta,
                     struct host_message *ret)
{
    *ret = (struct host_message){.kind = HOST_MESSAGE_DELTA, .epoch = delta->epoch};
    assert(check->error.code == CODE_OK);
    ret->text = check_copy(check, delta->text);
    return take_task_id(check, "delta.task_id", delta->task_id, &ret->task) &&
           check_bytes(check, "delta.text", ret->text, HOST_DELTA_BYTES_MAX);
}

bool host_wire_message(struct check *check, const Polos__V1__HostMessage *message,
                       struct host_message *ret)
{
    *ret = (struct host_message){0};
    assert(check->error.code == CODE_OK);
    switch ((int)message->message_case) {
    case POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE:
        return take_step_done(check, message->step_done, ret);
    case POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_REQUEST:
        return take_step_request(check, message->step_request, ret);
    case POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE:
        return take_task_done(check, message->task_done, ret);
    case POLOS__V1__HOST_MESSAGE__MESSAGE_CANCEL_SHOWN:
        return take_cancel_shown(check, message->cancel_shown, ret);
    case POLOS__V1__HOST_MESSAGE__MESSAGE_WITHDRAW:
        return take_withdraw(check, message->withdraw, ret);
    case POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_TRY:
        return take_step_try(check, message->step_try, ret);
    case POLOS__V1__HOST_MESSAGE__MESSAGE_PARK:
        return take_park(check, message->park, ret);
    case POLOS__V1__HOST_MESSAGE__MESSAGE_RELEASE:
        return take_release(check, message->release, ret);
    case POLOS__V1__HOST_MESSAGE__MESSAGE_DRAIN:
        return take_drain(message->drain, ret);
    case POLOS__V1__HOST_MESSAGE__MESSAGE__NOT_SET:
    default:
        return check_fault(check, "messages",
                           "set one of step_done, step_try, step_request, task_done, cancel_shown, "
                           "withdraw, park, release and drain, as this server's protos have them");
    }
}
