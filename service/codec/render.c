#include "polos/journal/v1/journal.pb-c.h"
#include "service/base/json.h"
#include "service/codec/body.h"
#include "service/codec/codec.h"

/* One object under construction. What is empty, zero or false is left out. */
struct object {
    struct buf *buf;
    bool started;
};

static const char *const run_kinds[RUN_KIND_COUNT] = {"none", "agent", "workflow", "tool"};
static const char *const effect_kinds[] = {
    [EFFECT_NONE] = "none",         [EFFECT_MODEL] = "model",           [EFFECT_TOOL] = "tool",
    [EFFECT_BODY] = "body",         [EFFECT_SLEEP] = "sleep",           [EFFECT_EVENT] = "event",
    [EFFECT_CHILDREN] = "children", [EFFECT_SUSPENSION] = "suspension", [EFFECT_ORDER] = "order",
};
static_assert(COUNT_OF(effect_kinds) == EFFECT_KIND_COUNT, "a new kind needs a name");
static const char *const stops[REPLY_STOP_COUNT] = {"end",     "tools", "length", "content_filter",
                                                    "refusal", "pause"};

static struct object object_begin(struct buf *buf)
{
    buf_put_char(buf, '{');
    return (struct object){.buf = buf, .started = false};
}

static void object_end(struct object *object)
{
    buf_put_char(object->buf, '}');
}

static void put_key(struct object *object, const char *key)
{
    if (object->started) {
        buf_put_char(object->buf, ',');
    }
    object->started = true;
    buf_put_json_string(object->buf, str_of(key));
    buf_put_char(object->buf, ':');
}

static void put_text(struct object *object, const char *key, str text)
{
    if (text.len > 0) {
        put_key(object, key);
        buf_put_json_string(object->buf, text);
    }
}

/* Of things counted from 0. */
static void put_index(struct object *object, const char *key, uint64_t number)
{
    put_key(object, key);
    buf_printf(object->buf, "%llu", (unsigned long long)number);
}

static void put_number(struct object *object, const char *key, uint64_t number)
{
    if (number != 0) {
        put_index(object, key, number);
    }
}

static void put_true(struct object *object, const char *key, bool fact)
{
    if (fact) {
        put_key(object, key);
        buf_put(object->buf, STR("true"));
    }
}

/* Spliced in when it is JSON, else shown as text. */
static void put_json(struct object *object, const char *key, str value)
{
    if (value.len == 0) {
        return;
    }
    put_key(object, key);
    if (json_is_valid(value)) {
        buf_put(object->buf, value);
    } else {
        buf_put_json_string(object->buf, value);
    }
}

static void put_id(struct object *object, const char *key, uuid id)
{
    char text[UUID_TEXT_BYTES];

    if (!uuid_is_zero(id)) {
        uuid_format(id, text);
        put_text(object, key, str_of(text));
    }
}

static void put_hex(struct object *object, const char *key, str bytes)
{
    if (bytes.len == 0) {
        return;
    }
    put_key(object, key);
    buf_put_char(object->buf, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        buf_printf(object->buf, "%02x", (unsigned)(uint8_t)bytes.ptr[i]);
    }
    buf_put_char(object->buf, '"');
}

static void put_run_started(struct object *object, const struct event *event)
{
    const struct run_spec *spec = &event->run_started.spec;

    assert(spec->kind < RUN_KIND_COUNT);
    put_id(object, "run_id", event->run_started.id);
    put_text(object, "kind", str_of(run_kinds[spec->kind]));
    put_text(object, "name", spec->name);
    put_json(object, "input", spec->input);
    put_json(object, "options", spec->options);
    put_hex(object, "definition_hash", spec->definition_hash);
    put_text(object, "session_id", spec->session_id);
    put_text(object, "user_id", spec->user_id);
    put_text(object, "conversation_id", spec->conversation_id);
    put_text(object, "idempotency_key", spec->idempotency_key);
    put_id(object, "parent_run_id", spec->parent);
    put_id(object, "root_run_id", spec->root);
    if (spec->parent_effect != 0) {
        put_number(object, "parent_effect", spec->parent_effect);
        put_index(object, "parent_index", spec->parent_index);
    }
    put_number(object, "deadline_ms", spec->deadline_ms);
    put_number(object, "max_total_tokens", spec->tokens_max);
    put_number(object, "max_steps", spec->steps_max);
    put_number(object, "max_retries", spec->retries_max);
    put_json(object, "state", spec->state);
    put_text(object, "queue", spec->queue);
    put_text(object, "concurrency_key", spec->concurrency_key);
    if (spec->priority != 0) {
        put_key(object, "priority");
        buf_printf(object->buf, "%d", (int)spec->priority);
    }
}

/* The texts of all blocks of a kind as one. */
static void put_blocks(struct object *object, const char *key, enum body_block_kind kind,
                       const Polos__Journal__V1__ModelReply *reply)
{
    struct buf text = {NULL, 0, 0};

    for (size_t i = 0; i < reply->n_blocks; i++) {
        if (reply->blocks[i]->kind == (uint32_t)kind) {
            buf_put(&text, body_str(reply->blocks[i]->text));
        }
    }
    put_text(object, key, buf_str(&text));
    buf_fini(&text);
}

static void put_tool_calls(struct object *object, const Polos__Journal__V1__ModelReply *reply)
{
    bool started = false;

    for (size_t i = 0; i < reply->n_blocks; i++) {
        const Polos__Journal__V1__ModelBlock *block = reply->blocks[i];
        if (block->kind != BODY_BLOCK_TOOL_CALL) {
            continue;
        }
        if (started) {
            buf_put_char(object->buf, ',');
        } else {
            put_key(object, "tool_calls");
            buf_put_char(object->buf, '[');
        }
        started = true;
        struct object call = object_begin(object->buf);
        put_text(&call, "call_id", body_str(block->call_id));
        put_text(&call, "name", body_str(block->name));
        put_json(&call, "arguments", body_str(block->arguments));
        put_true(&call, "arguments_invalid", block->arguments_invalid);
        object_end(&call);
    }
    if (started) {
        buf_put_char(object->buf, ']');
    }
}

static void put_reply(struct object *object, str packed)
{
    struct arena arena;

    arena_init(&arena, 0);
    const Polos__Journal__V1__ModelReply *reply =
        (const Polos__Journal__V1__ModelReply *)body_unpack(
            &polos__journal__v1__model_reply__descriptor, packed, &arena);
    put_key(object, "reply");
    if (reply == NULL) {
        buf_put(object->buf, STR("null"));
    } else {
        struct object inner = object_begin(object->buf);
        put_blocks(&inner, "text", BODY_BLOCK_TEXT, reply);
        put_blocks(&inner, "reasoning", BODY_BLOCK_REASONING, reply);
        put_blocks(&inner, "refusal", BODY_BLOCK_REFUSAL, reply);
        put_tool_calls(&inner, reply);
        put_text(&inner, "model", body_str(reply->model));
        put_text(&inner, "origin", body_str(reply->origin));
        put_text(&inner, "response_id", body_str(reply->response_id));
        put_text(&inner, "stop_raw", body_str(reply->stop_raw));
        object_end(&inner);
    }
    arena_fini(&arena);
}

static void put_usage(struct object *object, const struct engine_usage *usage)
{
    put_key(object, "usage");
    if (!usage->known) {
        buf_put(object->buf, STR("null"));
        return;
    }
    struct object inner = object_begin(object->buf);
    put_number(&inner, "input_tokens", usage->input);
    put_number(&inner, "output_tokens", usage->output);
    put_number(&inner, "cache_read_input_tokens", usage->cache_read);
    put_number(&inner, "cache_creation_input_tokens", usage->cache_write);
    put_number(&inner, "reasoning_tokens", usage->reasoning);
    object_end(&inner);
}

static void put_model_replied(struct object *object, const struct event *event)
{
    assert(event->model_replied.stop < REPLY_STOP_COUNT);
    put_reply(object, event->model_replied.reply);
    put_text(object, "stop", str_of(stops[event->model_replied.stop]));
    put_usage(object, &event->model_replied.usage);
}

static void put_task_requested(struct object *object, const struct event *event)
{
    assert(event->task_requested.kind < EFFECT_KIND_COUNT);
    put_text(object, "kind", str_of(effect_kinds[event->task_requested.kind]));
    put_text(object, "name", event->task_requested.name);
    put_text(object, "call_id", event->task_requested.call_id);
    put_json(object, "input", event->task_requested.input);
    put_number(object, "deadline_ms", event->task_requested.deadline_ms);
    put_true(object, "at_most_once", event->task_requested.at_most_once);
}

static void put_outcome(struct object *object, const struct outcome *outcome)
{
    if (!outcome->failed) {
        put_json(object, "value", outcome->value);
        return;
    }
    put_key(object, "error");
    struct object error = object_begin(object->buf);
    put_text(&error, "type", outcome->error_type);
    put_text(&error, "message", outcome->error_message);
    put_text(&error, "stack", outcome->error_stack);
    object_end(&error);
}

static void put_run_completed(struct object *object, const struct event *event)
{
    put_text(object, "stop_reason", event->run_completed.stop_reason);
}

static void put_run_failed(struct object *object, const struct event *event)
{
    put_text(object, "reason", event->run_failed.reason);
    put_text(object, "message", event->run_failed.message);
}

static void put_run_cancelled(struct object *object, const struct event *event)
{
    put_text(object, "cause", event->run_cancelled.cause);
}

static void put_model_failed(struct object *object, const struct event *event)
{
    put_text(object, "reason", event->model_failed.reason);
    put_text(object, "message", event->model_failed.message);
    put_number(object, "retry_at_ms", event->model_failed.retry_at_ms);
}

static void put_task_settled(struct object *object, const struct event *event)
{
    put_outcome(object, &event->task_settled.outcome);
    put_json(object, "state", event->task_settled.state);
}

static void put_step_settled(struct object *object, const struct event *event)
{
    put_number(object, "number", event->step_settled.number);
    put_text(object, "key", event->step_settled.key);
    put_outcome(object, &event->step_settled.outcome);
    put_json(object, "state", event->step_settled.state);
}

static void put_lease_granted(struct object *object, const struct event *event)
{
    put_text(object, "host_id", event->lease_granted.host_id);
    put_text(object, "deployment", event->lease_granted.deployment);
}

static void put_lease_lost(struct object *object, const struct event *event)
{
    put_text(object, "cause", event->lease_lost.cause);
    put_true(object, "excused", event->lease_lost.is_excused);
}

static void put_wait_set(struct object *object, const struct event *event)
{
    assert(event->wait_set.kind < EFFECT_KIND_COUNT);
    put_text(object, "kind", str_of(effect_kinds[event->wait_set.kind]));
    put_number(object, "task", event->wait_set.owner);
    put_text(object, "key", event->wait_set.key);
    put_json(object, "data", event->wait_set.data);
    put_number(object, "until_ms", event->wait_set.due_ms);
    put_number(object, "children", event->wait_set.children);
}

static void put_wait_settled(struct object *object, const struct event *event)
{
    assert(event->wait_settled.kind < EFFECT_KIND_COUNT);
    put_text(object, "kind", str_of(effect_kinds[event->wait_settled.kind]));
    put_number(object, "task", event->wait_settled.owner);
    put_text(object, "key", event->wait_settled.key);
    put_outcome(object, &event->wait_settled.outcome);
    put_text(object, "by", event->wait_settled.by);
}

static void put_child_settled(struct object *object, const struct event *event)
{
    put_index(object, "index", event->child_settled.index);
    put_id(object, "child_run_id", event->child_settled.child);
    put_outcome(object, &event->child_settled.outcome);
    put_json(object, "account", event->child_settled.account);
}

static void put_resume_kept(struct object *object, const struct event *event)
{
    put_text(object, "key", event->resume_kept.key);
    put_json(object, "data", event->resume_kept.data);
    put_text(object, "by", event->resume_kept.by);
}

static void put_task_parked(struct object *object, const struct event *event)
{
    put_true(object, "is_ready", event->task_parked.is_ready);
}

static void put_task_failed(struct object *object, const struct event *event)
{
    put_outcome(object, &event->task_failed.outcome);
    put_json(object, "state", event->task_failed.state);
    put_number(object, "retry_at_ms", event->task_failed.retry_at_ms);
}

static void put_cancel_requested(struct object *object, const struct event *event)
{
    put_text(object, "cause", event->cancel_requested.cause);
    put_number(object, "deadline_ms", event->cancel_requested.deadline_ms);
}

/* The envelope says it all. */
static void put_nothing(struct object *object, const struct event *event)
{
    (void)object;
    (void)event;
}

static void (*const putters[])(struct object *object, const struct event *event) = {
    [EVENT_NONE] = put_nothing,
    [EVENT_RUN_STARTED] = put_run_started,
    [EVENT_RUN_COMPLETED] = put_run_completed,
    [EVENT_RUN_FAILED] = put_run_failed,
    [EVENT_RUN_CANCELLED] = put_run_cancelled,
    [EVENT_MODEL_REQUESTED] = put_nothing,
    [EVENT_MODEL_REPLIED] = put_model_replied,
    [EVENT_MODEL_FAILED] = put_model_failed,
    [EVENT_TASK_REQUESTED] = put_task_requested,
    [EVENT_TASK_SETTLED] = put_task_settled,
    [EVENT_STEP_SETTLED] = put_step_settled,
    [EVENT_LEASE_GRANTED] = put_lease_granted,
    [EVENT_LEASE_LOST] = put_lease_lost,
    [EVENT_WAIT_SET] = put_wait_set,
    [EVENT_WAIT_SETTLED] = put_wait_settled,
    [EVENT_CHILD_SETTLED] = put_child_settled,
    [EVENT_RESUME_KEPT] = put_resume_kept,
    [EVENT_TASK_PARKED] = put_task_parked,
    [EVENT_TASK_FAILED] = put_task_failed,
    [EVENT_TASK_REQUEUED] = put_nothing,
    [EVENT_CANCEL_REQUESTED] = put_cancel_requested,
    [EVENT_TURN_ASKED] = put_nothing,
    [EVENT_TURN_GIVEN] = put_nothing,
};
static_assert(COUNT_OF(putters) == EVENT_COUNT, "one row per kind of event");

void codec_render(const struct event *event, struct buf *ret)
{
    assert(event->kind > EVENT_NONE && event->kind < EVENT_COUNT);
    struct object object = object_begin(ret);

    putters[event->kind](&object, event);
    object_end(&object);
}
