#include "service/codec/start_options.h"

#include "service/codec/body.h"
#include "service/codec/render.h"

void start_options_pack(const struct start_options *options, Polos__Journal__V1__RunStarted *ret)
{
    ret->session_id = body_bytes(options->session_id);
    ret->user_id = body_bytes(options->user_id);
    ret->conversation_id = body_bytes(options->conversation_id);
    ret->idempotency_key = body_bytes(options->idempotency_key);
    ret->state = body_bytes(options->state);
    ret->queue = body_bytes(options->queue);
    ret->concurrency_key = body_bytes(options->concurrency_key);
    ret->priority = options->priority;
    ret->outlives_parent = options->outlives_parent;
}

void start_options_unpack(const Polos__Journal__V1__RunStarted *body, struct start_options *ret)
{
    *ret = (struct start_options){
        .session_id = body_str(body->session_id),
        .user_id = body_str(body->user_id),
        .conversation_id = body_str(body->conversation_id),
        .idempotency_key = body_str(body->idempotency_key),
        .state = body_str(body->state),
        .queue = body_str(body->queue),
        .concurrency_key = body_str(body->concurrency_key),
        .priority = body->priority,
        .outlives_parent = body->outlives_parent,
    };
}

void start_options_render_owner(const struct start_options *options, struct json_writer *writer)
{
    render_text(writer, "session_id", options->session_id);
    render_text(writer, "user_id", options->user_id);
    render_text(writer, "conversation_id", options->conversation_id);
    render_text(writer, "idempotency_key", options->idempotency_key);
}

void start_options_render(const struct start_options *options, struct json_writer *writer)
{
    render_json(writer, "state", options->state);
    render_text(writer, "queue", options->queue);
    render_text(writer, "concurrency_key", options->concurrency_key);
    if (options->priority != 0) {
        json_put_i64(writer, "priority", options->priority);
    }
    if (options->outlives_parent) {
        json_put_bool(writer, "outlive_parent", true);
    }
}
