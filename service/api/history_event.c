/*
 * One row for each kind of event: which member of the oneof it is, and what fills it.
 */
#include "service/api/history_event.h"

#include "service/agents/transcript.h"
#include "service/api/shown.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/base/json.h"

struct event_view {
    Polos__V1__HistoryEvent__EventCase event_case;
    const ProtobufCMessageDescriptor *descriptor;
    /* The message is of that descriptor, with nothing set. NULL: it has no fields. */
    void (*fill)(const struct event *event, struct arena *arena, void *message);
};

static void *fresh(struct arena *arena, const ProtobufCMessageDescriptor *descriptor)
{
    void *ret = arena_alloc(arena, descriptor->sizeof_message);
    descriptor->message_init(ret);
    return ret;
}

static Polos__V1__Failure *failure_of(struct arena *arena, const struct outcome *outcome)
{
    assert(outcome->failed);
    return shown_failure(arena, outcome->error_type, outcome->error_message, outcome->error_stack);
}

/* An instant behind the event, as a length. */
static Google__Protobuf__Duration *after(const struct event *event, struct arena *arena,
                                         uint64_t instant_ms)
{
    return instant_ms <= event->time_ms ? NULL : times_length(arena, instant_ms - event->time_ms);
}

static char *id_or_none(struct arena *arena, uuid id)
{
    return uuid_is_zero(id) ? text_of(arena, STR_EMPTY) : text_of_uuid(arena, id);
}

/* ---- runs ---- */

static Polos__V1__StartOptions *options_of(const struct event *event, struct arena *arena)
{
    const struct run_spec *started = &event->run_started.spec;
    const struct start_options *from = &started->options;
    Polos__V1__StartOptions *ret = fresh(arena, &polos__v1__start_options__descriptor);
    ret->idempotency_key = text_of(arena, from->idempotency_key);
    ret->run_timeout = after(event, arena, started->deadline_ms);
    ret->session_id = text_of(arena, from->session_id);
    ret->user_id = text_of(arena, from->user_id);
    ret->conversation_id = text_of(arena, from->conversation_id);
    ret->initial_state_json = text_of(arena, from->state.json);
    ret->initial_state_type = text_of(arena, from->state.type);
    ret->queue = text_of(arena, from->queue);
    ret->concurrency_key = text_of(arena, from->concurrency_key);
    ret->priority = from->priority;
    ret->input_type = text_of(arena, from->input_type);
    ret->provider_options_json = text_of(arena, started->provider_options);
    if (started->kind == RUN_KIND_WORKFLOW) {
        ret->retry = fresh(arena, &polos__v1__retry_policy__descriptor);
        ret->retry->max_retries = started->retries_max;
    }
    return ret;
}

static const Polos__V1__RunStarted__Cause causes[] = {
    [START_CAUSE_UNKNOWN] = POLOS__V1__RUN_STARTED__CAUSE__CAUSE_UNSPECIFIED,
    [START_CAUSE_CALLER] = POLOS__V1__RUN_STARTED__CAUSE__CAUSE_CALLER,
    [START_CAUSE_PARENT] = POLOS__V1__RUN_STARTED__CAUSE__CAUSE_PARENT,
    [START_CAUSE_SCHEDULE] = POLOS__V1__RUN_STARTED__CAUSE__CAUSE_SCHEDULE,
    [START_CAUSE_TRIGGER] = POLOS__V1__RUN_STARTED__CAUSE__CAUSE_TRIGGER,
    [START_CAUSE_FORK] = POLOS__V1__RUN_STARTED__CAUSE__CAUSE_FORK,
    [START_CAUSE_RETRY] = POLOS__V1__RUN_STARTED__CAUSE__CAUSE_RETRY,
};
static_assert(COUNT_OF(causes) == START_CAUSE_COUNT, "each has its word");

static void run_started(const struct event *event, struct arena *arena, void *message)
{
    const struct run_spec *spec = &event->run_started.spec;
    Polos__V1__RunStarted *ret = message;
    assert(spec->kind > RUN_KIND_NONE && spec->kind < RUN_KIND_COUNT);
    ret->kind = (Polos__V1__RunKind)spec->kind;
    ret->name = text_of(arena, spec->name);
    ret->input_json = text_of(arena, spec->input);
    ret->options = options_of(event, arena);
    ret->cause = causes[spec->cause];
    ret->started_by = text_of(arena, spec->started_by);
    ret->origin_run_id = id_or_none(arena, spec->origin);
    ret->parent_run_id = id_or_none(arena, spec->parent);
    ret->root_run_id =
        id_or_none(arena, uuid_is_zero(spec->root) ? event->run_started.id : spec->root);
    ret->definition_hash = text_of_hash(arena, spec->definition_hash);
    ret->outlives_parent = spec->options.outlives_parent;
}

static void run_completed(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__RunCompleted *ret = message;
    (void)arena;
    ret->stop_reason = shown_stop(event->run_completed.stop_reason);
}

static void run_failed(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__RunFailed *ret = message;
    ret->error =
        shown_failure(arena, event->run_failed.reason, event->run_failed.message, STR_EMPTY);
}

static void run_cancelled(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__RunCancelled *ret = message;
    ret->cause = text_of(arena, event->run_cancelled.cause);
}

static void cancel_requested(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__CancelRequested *ret = message;
    ret->cause = text_of(arena, event->cancel_requested.cause);
    ret->grace = after(event, arena, event->cancel_requested.deadline_ms);
}

/* ---- models ---- */

/* NULL: nothing of the block is shown. */
static Polos__V1__Part *part_of(const struct model_block *block, struct arena *arena)
{
    Polos__V1__Part *ret = fresh(arena, &polos__v1__part__descriptor);
    switch (block->kind) {
    case MODEL_BLOCK_TEXT:
        ret->part_case = POLOS__V1__PART__PART_TEXT;
        ret->text = text_of(arena, block->text);
        return ret;
    case MODEL_BLOCK_REASONING:
        ret->part_case = POLOS__V1__PART__PART_REASONING;
        ret->reasoning = text_of(arena, block->text);
        return ret;
    case MODEL_BLOCK_REFUSAL:
        ret->part_case = POLOS__V1__PART__PART_REFUSAL;
        ret->refusal = text_of(arena, block->text);
        return ret;
    case MODEL_BLOCK_TOOL_CALL:
        ret->part_case = POLOS__V1__PART__PART_TOOL_CALL;
        ret->tool_call = shown_call(arena, block);
        return ret;
    case MODEL_BLOCK_TOOL_RESULT:
    case MODEL_BLOCK_MEDIA:
    case MODEL_BLOCK_OPAQUE:
        break;
    }
    return NULL;
}

static Polos__V1__Message *message_of(const struct model_reply *reply, str origin,
                                      struct arena *arena)
{
    Polos__V1__Message *ret = fresh(arena, &polos__v1__message__descriptor);
    ret->role = POLOS__V1__MESSAGE__ROLE__ROLE_ASSISTANT;
    ret->origin = text_of(arena, origin);
    ret->parts = arena_alloc(arena, reply->block_count * sizeof(ret->parts[0]));
    for (size_t i = 0; i < reply->block_count; i++) {
        Polos__V1__Part *part = part_of(&reply->blocks[i], arena);
        if (part != NULL) {
            ret->parts[ret->n_parts++] = part;
        }
    }
    return ret;
}

static_assert((int)REPLY_STOP_END + 1 == (int)POLOS__V1__REPLY_STOP__REPLY_STOP_END);
static_assert((int)REPLY_STOP_TOOLS + 1 == (int)POLOS__V1__REPLY_STOP__REPLY_STOP_TOOL_CALLS);
static_assert((int)REPLY_STOP_LENGTH + 1 == (int)POLOS__V1__REPLY_STOP__REPLY_STOP_LENGTH);
static_assert((int)REPLY_STOP_CONTENT_FILTER + 1 ==
              (int)POLOS__V1__REPLY_STOP__REPLY_STOP_CONTENT_FILTER);
static_assert((int)REPLY_STOP_REFUSAL + 1 == (int)POLOS__V1__REPLY_STOP__REPLY_STOP_REFUSAL);
static_assert((int)REPLY_STOP_PAUSE + 1 == (int)POLOS__V1__REPLY_STOP__REPLY_STOP_PAUSE);

static void model_requested(const struct event *event, struct arena *arena, void *message)
{
    (void)arena;
    ((Polos__V1__ModelRequested *)message)->guardrail = event->model_requested.guardrail;
}

static void model_replied(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__ModelReplied *ret = message;
    struct model_reply reply;
    str origin;
    assert(event->model_replied.stop < REPLY_STOP_COUNT);
    ret->stop = (Polos__V1__ReplyStop)(event->model_replied.stop + 1);
    ret->usage = shown_usage(arena, &event->model_replied.usage);
    ret->is_judged = event->model_replied.is_judged;
    status unpacked = transcript_unpack_reply(event->model_replied.reply, arena, &reply, &origin);
    if (status_is_ok(unpacked)) {
        ret->message = message_of(&reply, origin, arena);
        ret->stop_word = text_of(arena, reply.stop_raw);
        ret->response_id = text_of(arena, reply.response_id);
        ret->model = text_of(arena, reply.model);
    }
}

static void reply_amended(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__ReplyAmended *ret = message;
    struct model_reply reply;
    str origin;
    assert(event->reply_amended.stop < REPLY_STOP_COUNT);
    ret->stop = (Polos__V1__ReplyStop)(event->reply_amended.stop + 1);
    if (status_is_ok(transcript_unpack_reply(event->reply_amended.reply, arena, &reply, &origin))) {
        ret->message = message_of(&reply, origin, arena);
    }
}

static void reply_judged(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__ReplyJudged *ret = message;
    ret->passed = event->reply_judged.passed;
    ret->reason = text_of(arena, event->reply_judged.reason);
    ret->usage = shown_usage(arena, &event->reply_judged.usage);
}

static void model_failed(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__ModelFailed *ret = message;
    ret->error =
        shown_failure(arena, event->model_failed.reason, event->model_failed.message, STR_EMPTY);
    ret->retry_at = times_instant(arena, event->model_failed.retry_at_ms);
}

static char *input_id(struct arena *arena, uint32_t number)
{
    return (char *)arena_printf(arena, "%u", number).ptr;
}

static void input_accepted(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__InputAccepted *ret = message;
    const struct model_message *messages;
    size_t count;
    ret->input_id = input_id(arena, event->input_accepted.number);
    if (!status_is_ok(
            transcript_check_input(event->input_accepted.data, arena, &messages, &count))) {
        return; /* What was kept of it cannot be read. */
    }
    Polos__V1__Message *said = fresh(arena, &polos__v1__message__descriptor);
    said->role = POLOS__V1__MESSAGE__ROLE__ROLE_USER;
    said->parts = arena_alloc(arena, messages[0].block_count * sizeof(said->parts[0]));
    for (size_t i = 0; i < messages[0].block_count; i++) {
        Polos__V1__Part *part = part_of(&messages[0].blocks[i], arena);
        if (part != NULL) {
            said->parts[said->n_parts++] = part;
        }
    }
    ret->message = said;
}

static void input_taken(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__InputTaken *ret = message;
    ret->input_id = input_id(arena, event->input_taken.number);
    ret->turn = event->input_taken.turn;
}

static void input_returned(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__InputReturned *ret = message;
    ret->input_id = input_id(arena, event->input_returned.number);
}

static void reply_rejected(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__ReplyRejected *ret = message;
    if (event->reply_rejected.by == REJECTED_BY_GUARDRAIL) {
        ret->by_case = POLOS__V1__REPLY_REJECTED__BY_GUARDRAIL;
        ret->guardrail = text_of(arena, event->reply_rejected.guardrail);
    } else {
        assert(event->reply_rejected.by == REJECTED_BY_SCHEMA);
        ret->by_case = POLOS__V1__REPLY_REJECTED__BY_SCHEMA;
        ret->schema = true;
    }
    ret->feedback = text_of(arena, event->reply_rejected.feedback);
}

/* ---- tasks and steps ---- */

static void task_requested(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__TaskRequested *ret = message;
    static const Polos__V1__TaskKind kinds[EFFECT_KIND_COUNT] = {
        [EFFECT_TOOL] = POLOS__V1__TASK_KIND__TASK_KIND_TOOL,
        [EFFECT_BODY] = POLOS__V1__TASK_KIND__TASK_KIND_WORKFLOW,
        [EFFECT_CALLBACK] = POLOS__V1__TASK_KIND__TASK_KIND_CALLBACK,
    };
    ret->kind = kinds[event->task_requested.kind];
    assert(ret->kind != POLOS__V1__TASK_KIND__TASK_KIND_UNSPECIFIED);
    ret->phase = (Polos__V1__CallbackPhase)event->task_requested.phase;
    ret->task_effect_id = event->task_requested.about;
    ret->name = text_of(arena, event->task_requested.name);
    ret->call_id = text_of(arena, event->task_requested.call_id);
    ret->input_json = text_of(arena, event->task_requested.input);
    ret->deadline = times_instant(arena, event->task_requested.deadline_ms);
    ret->on_lost = shown_on_lost(event->task_requested.at_most_once);
}

static void lease_granted(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__LeaseGranted *ret = message;
    ret->host_id = text_of(arena, event->lease_granted.host_id);
    ret->deployment = text_of(arena, event->lease_granted.deployment);
    ret->language = text_of(arena, event->lease_granted.language);
}

static void lease_lost(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__LeaseLost *ret = message;
    ret->cause = text_of(arena, event->lease_lost.cause);
    ret->excused = event->lease_lost.is_excused;
}

static void task_failed(const struct event *event, struct arena *arena, void *message)
{
    const struct outcome *outcome = &event->task_failed.outcome;
    Polos__V1__TaskFailed *ret = message;
    ret->error = outcome->failed ? failure_of(arena, outcome) : NULL;
    ret->retry_at = times_instant(arena, event->task_failed.retry_at_ms);
    ret->is_mismatch = event->task_failed.is_mismatch;
    ret->state_json = text_of(arena, event->task_failed.state.json);
}

static void task_settled(const struct event *event, struct arena *arena, void *message)
{
    const struct outcome *outcome = &event->task_settled.outcome;
    Polos__V1__TaskSettled *ret = message;
    if (outcome->failed) {
        ret->result_case = POLOS__V1__TASK_SETTLED__RESULT_ERROR;
        ret->error = failure_of(arena, outcome);
    } else {
        ret->result_case = POLOS__V1__TASK_SETTLED__RESULT_VALUE_JSON;
        ret->value_json = text_of(arena, outcome->value);
        ret->value_type = text_of(arena, outcome->value_type);
    }
    ret->state_json = text_of(arena, event->task_settled.state.json);
}

static_assert((int)CALLBACK_RUN_START == (int)POLOS__V1__CALLBACK_PHASE__CALLBACK_PHASE_RUN_START);
static_assert((int)CALLBACK_RUN_END == (int)POLOS__V1__CALLBACK_PHASE__CALLBACK_PHASE_RUN_END);
static_assert((int)CALLBACK_TURN_START ==
              (int)POLOS__V1__CALLBACK_PHASE__CALLBACK_PHASE_TURN_START);
static_assert((int)CALLBACK_TURN_END == (int)POLOS__V1__CALLBACK_PHASE__CALLBACK_PHASE_TURN_END);
static_assert((int)CALLBACK_TOOL_START ==
              (int)POLOS__V1__CALLBACK_PHASE__CALLBACK_PHASE_TOOL_START);
static_assert((int)CALLBACK_TOOL_END == (int)POLOS__V1__CALLBACK_PHASE__CALLBACK_PHASE_TOOL_END);
static_assert((int)CALLBACK_REPLY == (int)POLOS__V1__CALLBACK_PHASE__CALLBACK_PHASE_REPLY);

static void input_amended(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__InputAmended *ret = message;
    ret->input_json = text_of(arena, event->amended.value);
}

static void call_amended(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__CallAmended *ret = message;
    ret->arguments_json = text_of(arena, event->amended.value);
    ret->task_effect_id = event->amended.about;
}

static void result_amended(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__ResultAmended *ret = message;
    ret->result_json = text_of(arena, event->amended.value);
    ret->task_effect_id = event->amended.about;
}

static void step_settled(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__StepSettled *ret = message;
    ret->step = shown_step(arena, event->step_settled.key, POLOS__V1__STEP_KIND__STEP_KIND_CODE,
                           &event->step_settled.outcome);
    ret->number = event->step_settled.number;
    ret->state_json = text_of(arena, event->step_settled.state.json);
}

static void cancel_shown(const struct event *event, struct arena *arena, void *message)
{
    (void)arena;
    Polos__V1__CancelWasShown *ret = message;
    ret->number = event->cancel_shown.number;
}

static void withdrawn(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__Withdrawn *ret = message;
    ret->number = event->withdrawn.number;
    ret->key = text_of(arena, event->withdrawn.key);
    ret->facts_seen = event->withdrawn.facts_seen;
}

static void step_tried(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__StepTried *ret = message;
    ret->number = event->step_tried.number;
    ret->key = text_of(arena, event->step_tried.key);
    ret->try_number = event->step_tried.try_number;
    const struct outcome *outcome = &event->step_tried.outcome;
    ret->error =
        shown_failure(arena, outcome->error_type, outcome->error_message, outcome->error_stack);
    ret->retry_at = times_instant(arena, event->step_tried.retry_at_ms);
}

/* ---- waits ---- */

static_assert(EFFECT_SLEEP - 2 == (int)POLOS__V1__STEP_KIND__STEP_KIND_SLEEP);
static_assert(EFFECT_SUSPENSION - 2 == (int)POLOS__V1__STEP_KIND__STEP_KIND_SUSPENSION);
static_assert(EFFECT_EVENT - 2 == (int)POLOS__V1__STEP_KIND__STEP_KIND_EVENT);
static_assert(EFFECT_CHILDREN - 2 == (int)POLOS__V1__STEP_KIND__STEP_KIND_CHILDREN);
static_assert(EFFECT_AT_ONCE - 2 == (int)POLOS__V1__STEP_KIND__STEP_KIND_AT_ONCE);

static Polos__V1__StepKind step_kind_of(enum effect_kind kind)
{
    assert(effect_kind_is_step_request((uint32_t)kind));
    return (Polos__V1__StepKind)(kind - 2);
}

/* A string that is a member of a JSON object; empty: there is none. */
static char *member(struct arena *arena, str object, str name)
{
    struct buf text = {0};
    str raw;
    bool is_there =
        json_object_get_kind(object, name, JSON_STRING, &raw) && json_string_decode(raw, &text);
    char *ret = text_of(arena, is_there ? buf_str(&text) : STR_EMPTY);
    buf_fini(&text);
    return ret;
}

static Polos__V1__RunList *runs_of(struct arena *arena, str array)
{
    Polos__V1__RunList *ret = fresh(arena, &polos__v1__run_list__descriptor);
    struct json_iterator counted = json_elements(array);
    struct json_iterator each = counted;
    size_t count = 0;
    str element;
    while (json_next_element(&counted, &element)) {
        count++;
    }
    ret->runs = arena_alloc(arena, count * sizeof(ret->runs[0]));
    while (json_next_element(&each, &element)) {
        Polos__V1__Run *run = fresh(arena, &polos__v1__run__descriptor);
        run->id = member(arena, element, STR("run_id"));
        run->name = member(arena, element, STR("name"));
        ret->runs[ret->n_runs++] = run;
    }
    return ret;
}

static void put_detail(struct arena *arena, enum effect_kind kind, str data,
                       Polos__V1__WaitSet *ret)
{
    if (kind == EFFECT_SUSPENSION) {
        ret->detail_case = POLOS__V1__WAIT_SET__DETAIL_SUSPENSION;
        ret->suspension = fresh(arena, &polos__v1__suspend__descriptor);
        ret->suspension->data_json = text_of(arena, data);
    } else if (kind == EFFECT_EVENT) {
        ret->detail_case = POLOS__V1__WAIT_SET__DETAIL_EVENT;
        ret->event = fresh(arena, &polos__v1__await_event__descriptor);
        ret->event->topic = member(arena, data, STR("topic"));
        ret->event->event_type = member(arena, data, STR("event_type"));
    } else if (json_kind_of(data) == JSON_ARRAY) {
        ret->detail_case = POLOS__V1__WAIT_SET__DETAIL_RUNS;
        ret->runs = runs_of(arena, data);
    }
}

static void wait_set(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__WaitSet *ret = message;
    str data = event->wait_set.data;
    ret->key = text_of(arena, event->wait_set.key);
    ret->kind = step_kind_of(event->wait_set.kind);
    ret->task_effect_id = event->wait_set.owner;
    ret->deadline = times_instant(arena, event->wait_set.due_ms);
    if (json_is_valid(data)) {
        put_detail(arena, event->wait_set.kind, data, ret);
    }
    if (ret->detail_case == POLOS__V1__WAIT_SET__DETAIL_SUSPENSION) {
        ret->suspension->answer_schema_json = text_of(arena, event->wait_set.answer_schema);
    }
    ret->kept_misfit = text_of(arena, event->wait_set.kept_misfit);
}

static void wait_settled(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__WaitSettled *ret = message;
    ret->step = shown_step(arena, event->wait_settled.key, step_kind_of(event->wait_settled.kind),
                           &event->wait_settled.outcome);
    ret->answered_by = text_of(arena, event->wait_settled.by);
}

static int64_t number_in(str object, str name)
{
    uint64_t number = 0;
    str raw;
    if (json_object_get(object, name, &raw)) {
        (void)json_to_u64(raw, &number); /* What is none counts as nothing. */
    }
    return number <= INT64_MAX ? (int64_t)number : 0;
}

/* What an agent's run says of itself, beside its answer. */
static void put_account(struct arena *arena, str account, Polos__V1__Run *ret)
{
    str usage;
    ret->turn_count = (uint32_t)number_in(account, STR("total_steps"));
    ret->stop_reason = shown_stop(str_of(member(arena, account, STR("stop_reason"))));
    if (!json_object_get_kind(account, STR("usage"), JSON_OBJECT, &usage)) {
        return;
    }
    ret->usage = fresh(arena, &polos__v1__usage__descriptor);
    ret->usage->input_tokens = number_in(usage, STR("input_tokens"));
    ret->usage->output_tokens = number_in(usage, STR("output_tokens"));
    ret->usage->total_tokens = number_in(usage, STR("total_tokens"));
    ret->usage->cache_read_input_tokens = number_in(usage, STR("cache_read_input_tokens"));
    ret->usage->cache_creation_input_tokens = number_in(usage, STR("cache_creation_input_tokens"));
}

static Polos__V1__RunStatus status_of(const struct outcome *outcome)
{
    if (!outcome->failed) {
        return POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED;
    }
    return str_is(outcome->error_type, "CANCELLED") ? POLOS__V1__RUN_STATUS__RUN_STATUS_CANCELLED
                                                    : POLOS__V1__RUN_STATUS__RUN_STATUS_FAILED;
}

static void child_settled(const struct event *event, struct arena *arena, void *message)
{
    const struct outcome *outcome = &event->child_settled.outcome;
    Polos__V1__ChildSettled *ret = message;
    ret->index = event->child_settled.index;
    ret->run = fresh(arena, &polos__v1__run__descriptor);
    ret->run->id = id_or_none(arena, event->child_settled.child);
    ret->run->status = status_of(outcome);
    if (outcome->failed) {
        ret->run->error = failure_of(arena, outcome);
    } else {
        ret->run->result_json = text_of(arena, outcome->value);
        ret->run->result_type = text_of(arena, outcome->value_type);
    }
    if (json_is_object(event->child_settled.account)) {
        put_account(arena, event->child_settled.account, ret->run);
    }
}

static void answer_kept(const struct event *event, struct arena *arena, void *message)
{
    Polos__V1__AnswerKept *ret = message;
    str kept = event->resume_kept.data;
    str data = STR_EMPTY;
    ret->step_key = text_of(arena, event->resume_kept.key);
    ret->answer = fresh(arena, &polos__v1__answer__descriptor);
    bool is_whole = json_is_object(kept) && json_object_get(kept, STR("data"), &data);
    ret->answer->data_json = text_of(arena, is_whole ? data : kept);
    ret->answer->answered_by = text_of(arena, event->resume_kept.by);
}

#define VIEW(CASE, message, fill)                                                                  \
    {                                                                                              \
        POLOS__V1__HISTORY_EVENT__EVENT_##CASE, &polos__v1__##message##__descriptor, fill          \
    }

static const struct event_view views[] = {
    [EVENT_RUN_STARTED] = VIEW(RUN_STARTED, run_started, run_started),
    [EVENT_RUN_COMPLETED] = VIEW(RUN_COMPLETED, run_completed, run_completed),
    [EVENT_RUN_FAILED] = VIEW(RUN_FAILED, run_failed, run_failed),
    [EVENT_RUN_CANCELLED] = VIEW(RUN_CANCELLED, run_cancelled, run_cancelled),
    [EVENT_CANCEL_REQUESTED] = VIEW(CANCEL_REQUESTED, cancel_requested, cancel_requested),
    [EVENT_ADMISSION_ASKED] = VIEW(ADMISSION_ASKED, admission_asked, NULL),
    [EVENT_ADMISSION_GIVEN] = VIEW(ADMISSION_GIVEN, admission_given, NULL),
    [EVENT_MODEL_REQUESTED] = VIEW(MODEL_REQUESTED, model_requested, model_requested),
    [EVENT_MODEL_REPLIED] = VIEW(MODEL_REPLIED, model_replied, model_replied),
    [EVENT_MODEL_FAILED] = VIEW(MODEL_FAILED, model_failed, model_failed),
    [EVENT_TASK_REQUESTED] = VIEW(TASK_REQUESTED, task_requested, task_requested),
    [EVENT_LEASE_GRANTED] = VIEW(LEASE_GRANTED, lease_granted, lease_granted),
    [EVENT_LEASE_LOST] = VIEW(LEASE_LOST, lease_lost, lease_lost),
    [EVENT_TASK_PARKED] = VIEW(TASK_PARKED, task_parked, NULL),
    [EVENT_TASK_FAILED] = VIEW(TASK_FAILED, task_failed, task_failed),
    [EVENT_TASK_REQUEUED] = VIEW(TASK_REQUEUED, task_requeued, NULL),
    [EVENT_TASK_SETTLED] = VIEW(TASK_SETTLED, task_settled, task_settled),
    [EVENT_STEP_SETTLED] = VIEW(STEP_SETTLED, step_settled, step_settled),
    [EVENT_WAIT_SET] = VIEW(WAIT_SET, wait_set, wait_set),
    [EVENT_WAIT_SETTLED] = VIEW(WAIT_SETTLED, wait_settled, wait_settled),
    [EVENT_CHILD_SETTLED] = VIEW(CHILD_SETTLED, child_settled, child_settled),
    [EVENT_RESUME_KEPT] = VIEW(ANSWER_KEPT, answer_kept, answer_kept),
    [EVENT_CANCEL_SHOWN] = VIEW(CANCEL_SHOWN, cancel_was_shown, cancel_shown),
    [EVENT_WITHDRAWN] = VIEW(WITHDRAWN, withdrawn, withdrawn),
    [EVENT_STEP_TRIED] = VIEW(STEP_TRIED, step_tried, step_tried),
    [EVENT_INPUT_ACCEPTED] = VIEW(INPUT_ACCEPTED, input_accepted, input_accepted),
    [EVENT_INPUT_TAKEN] = VIEW(INPUT_TAKEN, input_taken, input_taken),
    [EVENT_INPUT_RETURNED] = VIEW(INPUT_RETURNED, input_returned, input_returned),
    [EVENT_INPUT_AMENDED] = VIEW(INPUT_AMENDED, input_amended, input_amended),
    [EVENT_CALL_AMENDED] = VIEW(CALL_AMENDED, call_amended, call_amended),
    [EVENT_RESULT_AMENDED] = VIEW(RESULT_AMENDED, result_amended, result_amended),
    [EVENT_REPLY_REJECTED] = VIEW(REPLY_REJECTED, reply_rejected, reply_rejected),
    [EVENT_REPLY_AMENDED] = VIEW(REPLY_AMENDED, reply_amended, reply_amended),
    [EVENT_REPLY_JUDGED] = VIEW(REPLY_JUDGED, reply_judged, reply_judged),
    [EVENT_REPLY_PASSED] = VIEW(REPLY_PASSED, reply_passed, NULL),
};
static_assert(COUNT_OF(views) == EVENT_COUNT, "an event has no typed form");

/* ---- what has no room ---- */

static size_t leave_out(ProtobufCMessage *message, size_t bytes_max);

/* Of one value of a field; a text longer than bytes_max becomes empty. */
static size_t leave_out_value(ProtobufCType type, void *at, size_t bytes_max)
{
    if (type == PROTOBUF_C_TYPE_MESSAGE) {
        ProtobufCMessage *inner = *(ProtobufCMessage **)at;
        return inner == NULL ? 0 : leave_out(inner, bytes_max);
    }
    if (type != PROTOBUF_C_TYPE_STRING || *(char **)at == NULL) {
        return 0;
    }
    size_t bytes = strlen(*(char **)at);
    if (bytes <= bytes_max) {
        return 0;
    }
    *(char **)at = (char *)"";
    return bytes;
}

/* As leave_out_value(), of all texts of a message; how many bytes that are. */
static size_t leave_out(ProtobufCMessage *message, size_t bytes_max)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        char *at = (char *)message + field->offset;
        bool is_in_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        uint32_t quantifier = *(const uint32_t *)((const char *)message + field->quantifier_offset);
        if (is_in_oneof && quantifier != field->id) {
            continue;
        }
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            bytes += leave_out_value(field->type, at, bytes_max);
            continue;
        }
        size_t count = *(const size_t *)((const char *)message + field->quantifier_offset);
        for (size_t j = 0; j < count; j++) {
            bytes += leave_out_value(field->type, *(char **)at + j * sizeof(void *), bytes_max);
        }
    }
    return bytes;
}

static void take_large(Polos__V1__HistoryEvent *ret)
{
    size_t bytes_max = HISTORY_EVENT_BYTES_MAX;
    while (protobuf_c_message_get_packed_size(&ret->base) > HISTORY_EVENT_BYTES_MAX) {
        bytes_max /= 2;
        ret->left_out_bytes += (int64_t)leave_out(&ret->base, bytes_max);
        if (bytes_max == 0) {
            break; /* No text is left. */
        }
    }
}

Polos__V1__HistoryEvent *history_event(const struct codec_entry *entry, const struct event *event,
                                       struct arena *arena)
{
    assert(event->kind > EVENT_NONE && event->kind < EVENT_COUNT);
    const struct event_view *view = &views[event->kind];
    void *message = fresh(arena, view->descriptor);
    Polos__V1__HistoryEvent *ret = fresh(arena, &polos__v1__history_event__descriptor);
    if (view->fill != NULL) {
        view->fill(event, arena, message);
    }
    ret->seq = entry->seq;
    ret->time = times_instant(arena, entry->time_ms);
    ret->effect_id = event->effect;
    ret->attempt = event->attempt;
    ret->event_case = view->event_case;
    ret->run_started = message; /* The members of the oneof are pointers in one place. */
    take_large(ret);
    return ret;
}
