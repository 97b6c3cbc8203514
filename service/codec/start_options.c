#include "service/codec/start_options.h"

#include "service/codec/body.h"

void start_options_pack(const struct start_options *options, Polos__Journal__V1__RunStarted *ret)
{
    ret->session_id = body_bytes(options->session_id);
    ret->user_id = body_bytes(options->user_id);
    ret->conversation_id = body_bytes(options->conversation_id);
    ret->idempotency_key = body_bytes(options->idempotency_key);
    ret->state = body_bytes(options->state.json);
    ret->state_type = body_bytes(options->state.type);
    ret->input_type = body_bytes(options->input_type);
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
        .state = {body_str(body->state), body_str(body->state_type)},
        .input_type = body_str(body->input_type),
        .queue = body_str(body->queue),
        .concurrency_key = body_str(body->concurrency_key),
        .priority = body->priority,
        .outlives_parent = body->outlives_parent,
    };
}
