/*
 * Model calls, and the admission that they wait for.
 */
#include "service/codec/body.h"
#include "service/codec/events.h"
#include "service/codec/render.h"

static_assert(REPLY_STOP_END == 0 && REPLY_STOP_TOOLS == 1 && REPLY_STOP_LENGTH == 2, "disk");
static_assert(REPLY_STOP_CONTENT_FILTER == 3 && REPLY_STOP_REFUSAL == 4, "disk");
static_assert(REPLY_STOP_PAUSE == 5, "disk");

static const char *const stops[REPLY_STOP_COUNT] = {"end",     "tools", "length", "content_filter",
                                                    "refusal", "pause"};

static void model_requested_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ModelRequested *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
}

static status model_requested_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ModelRequested *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    return STATUS_OK;
}

static void model_replied_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ModelReplied *body = ret->message;
    const struct engine_usage *usage = &event->model_replied.usage;
    assert(event->model_replied.stop < REPLY_STOP_COUNT);
    polos__journal__v1__model_usage__init(&ret->usage);
    ret->usage.input = usage->input;
    ret->usage.output = usage->output;
    ret->usage.cache_read = usage->cache_read;
    ret->usage.cache_write = usage->cache_write;
    ret->usage.reasoning = usage->reasoning;
    ret->usage.known = usage->known;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->reply = body_bytes(event->model_replied.reply);
    body->stop = (uint32_t)event->model_replied.stop;
    body->usage = &ret->usage;
}

static status model_replied_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ModelReplied *body = message;
    struct engine_usage *usage = &ret->model_replied.usage;
    if (body->stop >= REPLY_STOP_COUNT) {
        return events_newer("MODEL_REPLIED: a stop this release does not know");
    }
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->model_replied.reply = body_str(body->reply);
    ret->model_replied.stop = (enum reply_stop)body->stop;
    if (body->usage != NULL) {
        usage->input = body->usage->input;
        usage->output = body->usage->output;
        usage->cache_read = body->usage->cache_read;
        usage->cache_write = body->usage->cache_write;
        usage->reasoning = body->usage->reasoning;
        usage->known = body->usage->known;
    }
    return STATUS_OK;
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
    render_true(writer, "arguments_invalid", block->arguments_invalid);
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
    render_number(writer, "input_tokens", usage->input);
    render_number(writer, "output_tokens", usage->output);
    render_number(writer, "cache_read_input_tokens", usage->cache_read);
    render_number(writer, "cache_creation_input_tokens", usage->cache_write);
    render_number(writer, "reasoning_tokens", usage->reasoning);
    json_end_object(writer);
}

static void model_replied_render(struct json_writer *writer, const struct event *event)
{
    assert(event->model_replied.stop < REPLY_STOP_COUNT);
    put_reply(writer, event->model_replied.reply);
    render_text(writer, "stop", str_of(stops[event->model_replied.stop]));
    put_usage(writer, &event->model_replied.usage);
}

static void model_failed_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__ModelFailed *body = ret->message;
    body->effect = event->effect;
    body->attempt = event->attempt;
    body->reason = body_bytes(event->model_failed.reason);
    body->message = body_bytes(event->model_failed.message);
    body->retry_at_ms = event->model_failed.retry_at_ms;
}

static status model_failed_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__ModelFailed *body = message;
    ret->effect = body->effect;
    ret->attempt = body->attempt;
    ret->model_failed.reason = body_str(body->reason);
    ret->model_failed.message = body_str(body->message);
    ret->model_failed.retry_at_ms = body->retry_at_ms;
    return STATUS_OK;
}

static void model_failed_render(struct json_writer *writer, const struct event *event)
{
    render_text(writer, "reason", event->model_failed.reason);
    render_text(writer, "message", event->model_failed.message);
    render_number(writer, "retry_at_ms", event->model_failed.retry_at_ms);
}

static void admission_asked_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__AdmissionAsked *body = ret->message;
    body->effect = event->effect;
}

static status admission_asked_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__AdmissionAsked *body = message;
    ret->effect = body->effect;
    return STATUS_OK;
}

static void admission_given_to(const struct event *event, struct event_body *ret)
{
    Polos__Journal__V1__AdmissionGiven *body = ret->message;
    body->effect = event->effect;
}

static status admission_given_from(const void *message, struct event *ret)
{
    const Polos__Journal__V1__AdmissionGiven *body = message;
    ret->effect = body->effect;
    return STATUS_OK;
}

static const struct event_row rows[] = {
    [EVENT_MODEL_REQUESTED] = {&polos__journal__v1__model_requested__descriptor, model_requested_to,
                               model_requested_from, NULL},
    [EVENT_MODEL_REPLIED] = {&polos__journal__v1__model_replied__descriptor, model_replied_to,
                             model_replied_from, model_replied_render},
    [EVENT_MODEL_FAILED] = {&polos__journal__v1__model_failed__descriptor, model_failed_to,
                            model_failed_from, model_failed_render},
    [EVENT_ADMISSION_ASKED] = {&polos__journal__v1__admission_asked__descriptor, admission_asked_to,
                               admission_asked_from, NULL},
    [EVENT_ADMISSION_GIVEN] = {&polos__journal__v1__admission_given__descriptor, admission_given_to,
                               admission_given_from, NULL},
};

const struct event_rows model_events = {rows, COUNT_OF(rows)};
