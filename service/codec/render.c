#include "service/codec/render.h"

#include "polos/journal/v1/journal.pb-c.h"
#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/codec/body.h"
#include "service/codec/codec.h"
#include "service/codec/start_options.h"

static const char *const run_kinds[RUN_KIND_COUNT] = {"none", "agent", "workflow", "tool"};
static const char *const effect_kinds[] = {
    [EFFECT_NONE] = "none",         [EFFECT_MODEL] = "model",           [EFFECT_TOOL] = "tool",
    [EFFECT_BODY] = "body",         [EFFECT_SLEEP] = "sleep",           [EFFECT_EVENT] = "event",
    [EFFECT_CHILDREN] = "children", [EFFECT_SUSPENSION] = "suspension", [EFFECT_AT_ONCE] = "order",
};
static_assert(COUNT_OF(effect_kinds) == EFFECT_KIND_COUNT, "a new kind needs a name");
static const char *const stops[REPLY_STOP_COUNT] = {"end",     "tools", "length", "content_filter",
                                                    "refusal", "pause"};

/* What is empty, zero or false is left out. */

void render_text(struct json_writer *writer, const char *name, str text)
{
    if (text.len > 0) {
        json_put_string(writer, name, text);
    }
}

static void put_number(struct json_writer *writer, const char *name, uint64_t number)
{
    if (number != 0) {
        json_put_u64(writer, name, number);
    }
}

static void put_true(struct json_writer *writer, const char *name, bool fact)
{
    if (fact) {
        json_put_bool(writer, name, true);
    }
}

void render_json(struct json_writer *writer, const char *name, str value)
{
    if (json_is_valid(value)) {
        json_put_raw(writer, name, value);
    } else {
        render_text(writer, name, value);
    }
}

static void put_id(struct json_writer *writer, const char *name, uuid id)
{
    if (!uuid_is_zero(id)) {
        json_put_uuid(writer, name, id);
    }
}

static void put_hex(struct json_writer *writer, const char *name, str bytes)
{
    struct buf text = {NULL, 0, 0};
    for (size_t i = 0; i < bytes.len; i++) {
        buf_printf(&text, "%02x", (unsigned)(uint8_t)bytes.ptr[i]);
    }
    render_text(writer, name, buf_str(&text));
    buf_fini(&text);
}

static void put_run_started(struct json_writer *writer, const struct event *event)
{
    const struct run_spec *spec = &event->run_started.spec;
    assert(spec->kind < RUN_KIND_COUNT);
    put_id(writer, "run_id", event->run_started.id);
    render_text(writer, "kind", str_of(run_kinds[spec->kind]));
    render_text(writer, "name", spec->name);
    render_json(writer, "input", spec->input);
    render_json(writer, "options", spec->provider_options);
    put_hex(writer, "definition_hash", spec->definition_hash);
    start_options_render_owner(&spec->options, writer);
    put_id(writer, "parent_run_id", spec->parent);
    put_id(writer, "root_run_id", spec->root);
    if (spec->parent_effect != 0) {
        put_number(writer, "parent_effect", spec->parent_effect);
        json_put_u64(writer, "parent_index", spec->parent_index);
    }
    put_number(writer, "deadline_ms", spec->deadline_ms);
    put_number(writer, "max_total_tokens", spec->tokens_max);
    put_number(writer, "max_steps", spec->turns_max);
    put_number(writer, "max_retries", spec->retries_max);
    start_options_render(&spec->options, writer);
}

/* The texts of all blocks of a kind as one. */
static void put_blocks(struct json_writer *writer, const char *name, enum body_block_kind kind,
                       const Polos__Journal__V1__ModelReply *reply)
{
    struct buf text = {NULL, 0, 0};
    for (size_t i = 0; i < reply->n_blocks; i++) {
        if (reply->blocks[i]->kind == (uint32_t)kind) {
            buf_put(&text, body_str(reply->blocks[i]->text));
        }
    }
    render_text(writer, name, buf_str(&text));
    buf_fini(&text);
}

static void put_tool_call(struct json_writer *writer, const Polos__Journal__V1__ModelBlock *block)
{
    json_begin_object(writer, NULL);
    render_text(writer, "call_id", body_str(block->call_id));
    render_text(writer, "name", body_str(block->name));
    render_json(writer, "arguments", body_str(block->arguments));
    put_true(writer, "arguments_invalid", block->arguments_invalid);
    json_end_object(writer);
}

static void put_tool_calls(struct json_writer *writer, const Polos__Journal__V1__ModelReply *reply)
{
    bool started = false;
    for (size_t i = 0; i < reply->n_blocks; i++) {
        if (reply->blocks[i]->kind != BODY_BLOCK_TOOL_CALL) {
            continue;
        }
        if (!started) {
            json_begin_array(writer, "tool_calls");
        }
        started = true;
        put_tool_call(writer, reply->blocks[i]);
    }
    if (started) {
        json_end_array(writer);
    }
}

static void put_reply(struct json_writer *writer, str packed)
{
    struct arena arena;
    arena_init(&arena, 0);
    const Polos__Journal__V1__ModelReply *reply =
        (const Polos__Journal__V1__ModelReply *)body_unpack(
            &polos__journal__v1__model_reply__descriptor, packed, &arena);
    if (reply == NULL) {
        json_put_null(writer, "reply");
    } else {
        json_begin_object(writer, "reply");
        put_blocks(writer, "text", BODY_BLOCK_TEXT, reply);
        put_blocks(writer, "reasoning", BODY_BLOCK_REASONING, reply);
        put_blocks(writer, "refusal", BODY_BLOCK_REFUSAL, reply);
        put_tool_calls(writer, reply);
        render_text(writer, "model", body_str(reply->model));
        render_text(writer, "origin", body_str(reply->origin));
        render_text(writer, "response_id", body_str(reply->response_id));
        render_text(writer, "stop_raw", body_str(reply->stop_raw));
        json_end_object(writer);
    }
    arena_fini(&arena);
}

static void put_usage(struct json_writer *writer, const struct engine_usage *usage)
{
    if (!usage->known) {
        json_put_null(writer, "usage");
        return;
    }
    json_begin_object(writer, "usage");
    put_number(writer, "input_tokens", usage->input);
    put_number(writer, "output_tokens", usage->output);
    put_number(writer, "cache_read_input_tokens", usage->cache_read);
    put_number(writer, "cache_creation_input_tokens", usage->cache_write);
    put_number(writer, "reasoning_tokens", usage->reasoning);
    json_end_object(writer);
}

static void put_model_replied(struct json_writer *writer, const struct event *event)
{
    assert(event->model_replied.stop < REPLY_STOP_COUNT);
    put_reply(writer, event->model_replied.reply);
    render_text(writer, "stop", str_of(stops[event->model_replied.stop]));
    put_usage(writer, &event->model_replied.usage);
}

static void put_task_requested(struct json_writer *writer, const struct event *event)
{
    assert(event->task_requested.kind < EFFECT_KIND_COUNT);
    render_text(writer, "kind", str_of(effect_kinds[event->task_requested.kind]));
    render_text(writer, "name", event->task_requested.name);
    render_text(writer, "call_id", event->task_requested.call_id);
    render_json(writer, "input", event->task_requested.input);
    put_number(writer, "deadline_ms", event->task_requested.deadline_ms);
    put_true(writer, "at_most_once", event->task_requested.at_most_once);
}

static void put_outcome(struct json_writer *writer, const struct outcome *outcome)
{
    if (!outcome->failed) {
        render_json(writer, "value", outcome->value);
        return;
    }
    json_begin_object(writer, "error");
    render_text(writer, "type", outcome->error_type);
    render_text(writer, "message", outcome->error_message);
    render_text(writer, "stack", outcome->error_stack);
    json_end_object(writer);
}

static void put_run_completed(struct json_writer *writer, const struct event *event)
{
    render_text(writer, "stop_reason", event->run_completed.stop_reason);
}

static void put_run_failed(struct json_writer *writer, const struct event *event)
{
    render_text(writer, "reason", event->run_failed.reason);
    render_text(writer, "message", event->run_failed.message);
}

static void put_run_cancelled(struct json_writer *writer, const struct event *event)
{
    render_text(writer, "cause", event->run_cancelled.cause);
}

static void put_model_failed(struct json_writer *writer, const struct event *event)
{
    render_text(writer, "reason", event->model_failed.reason);
    render_text(writer, "message", event->model_failed.message);
    put_number(writer, "retry_at_ms", event->model_failed.retry_at_ms);
}

static void put_task_settled(struct json_writer *writer, const struct event *event)
{
    put_outcome(writer, &event->task_settled.outcome);
    render_json(writer, "state", event->task_settled.state);
}

static void put_step_settled(struct json_writer *writer, const struct event *event)
{
    put_number(writer, "number", event->step_settled.number);
    render_text(writer, "key", event->step_settled.key);
    put_outcome(writer, &event->step_settled.outcome);
    render_json(writer, "state", event->step_settled.state);
}

static void put_lease_granted(struct json_writer *writer, const struct event *event)
{
    render_text(writer, "host_id", event->lease_granted.host_id);
    render_text(writer, "deployment", event->lease_granted.deployment);
}

static void put_lease_lost(struct json_writer *writer, const struct event *event)
{
    render_text(writer, "cause", event->lease_lost.cause);
    put_true(writer, "excused", event->lease_lost.is_excused);
}

static void put_wait_set(struct json_writer *writer, const struct event *event)
{
    assert(event->wait_set.kind < EFFECT_KIND_COUNT);
    render_text(writer, "kind", str_of(effect_kinds[event->wait_set.kind]));
    put_number(writer, "task", event->wait_set.owner);
    render_text(writer, "key", event->wait_set.key);
    render_json(writer, "data", event->wait_set.data);
    put_number(writer, "until_ms", event->wait_set.due_ms);
    put_number(writer, "children", event->wait_set.children);
}

static void put_wait_settled(struct json_writer *writer, const struct event *event)
{
    assert(event->wait_settled.kind < EFFECT_KIND_COUNT);
    render_text(writer, "kind", str_of(effect_kinds[event->wait_settled.kind]));
    put_number(writer, "task", event->wait_settled.owner);
    render_text(writer, "key", event->wait_settled.key);
    put_outcome(writer, &event->wait_settled.outcome);
    render_text(writer, "by", event->wait_settled.by);
}

static void put_child_settled(struct json_writer *writer, const struct event *event)
{
    json_put_u64(writer, "index", event->child_settled.index);
    put_id(writer, "child_run_id", event->child_settled.child);
    put_outcome(writer, &event->child_settled.outcome);
    render_json(writer, "account", event->child_settled.account);
}

static void put_resume_kept(struct json_writer *writer, const struct event *event)
{
    render_text(writer, "key", event->resume_kept.key);
    render_json(writer, "data", event->resume_kept.data);
    render_text(writer, "by", event->resume_kept.by);
}

static void put_task_parked(struct json_writer *writer, const struct event *event)
{
    put_true(writer, "is_ready", event->task_parked.is_ready);
}

static void put_task_failed(struct json_writer *writer, const struct event *event)
{
    put_outcome(writer, &event->task_failed.outcome);
    render_json(writer, "state", event->task_failed.state);
    put_number(writer, "retry_at_ms", event->task_failed.retry_at_ms);
}

static void put_cancel_requested(struct json_writer *writer, const struct event *event)
{
    render_text(writer, "cause", event->cancel_requested.cause);
    put_number(writer, "deadline_ms", event->cancel_requested.deadline_ms);
}

/* The envelope says it all. */
static void put_nothing(struct json_writer *writer, const struct event *event)
{
    (void)writer;
    (void)event;
}

static void (*const putters[])(struct json_writer *writer, const struct event *event) = {
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
    [EVENT_ADMISSION_ASKED] = put_nothing,
    [EVENT_ADMISSION_GIVEN] = put_nothing,
};
static_assert(COUNT_OF(putters) == EVENT_COUNT, "one row per kind of event");

void codec_render(const struct event *event, struct buf *ret)
{
    assert(event->kind > EVENT_NONE && event->kind < EVENT_COUNT);
    struct json_writer writer = json_writer_of(ret);
    json_begin_object(&writer, NULL);
    putters[event->kind](&writer, event);
    json_end_object(&writer);
}
