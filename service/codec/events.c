#include "service/codec/events.h"

#include "service/codec/body.h"

const struct event_row *event_row_of(unsigned kind)
{
    static const struct event_rows *const files[] = {&run_events, &model_events, &task_events,
                                                     &wait_events};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        if (kind < files[i]->count && files[i]->rows[kind].descriptor != NULL) {
            return &files[i]->rows[kind];
        }
    }
    return NULL;
}

status events_newer(const char *why)
{
    return status_make(CODE_FAILED_PRECONDITION, why);
}

status events_damaged(const char *why)
{
    return status_make(CODE_DATA_LOSS, why);
}

ProtobufCBinaryData events_put_id(const uuid *id)
{
    return body_bytes(uuid_is_zero(*id) ? STR_EMPTY : str_make(id->bytes, sizeof(id->bytes)));
}

bool events_take_id(ProtobufCBinaryData bytes, uuid *ret)
{
    *ret = (uuid){{0}};
    if (bytes.len == sizeof(ret->bytes)) {
        memcpy(ret->bytes, bytes.data, sizeof(ret->bytes));
    }
    return bytes.len == sizeof(ret->bytes) || bytes.len == 0;
}

Polos__Journal__V1__Outcome *events_put_outcome(const struct outcome *outcome,
                                                struct event_body *ret)
{
    polos__journal__v1__outcome__init(&ret->outcome);
    ret->outcome.failed = outcome->failed;
    ret->outcome.value = body_bytes(outcome->value);
    ret->outcome.value_type = body_bytes(outcome->value_type);
    ret->outcome.error_type = body_bytes(outcome->error_type);
    ret->outcome.error_message = body_bytes(outcome->error_message);
    ret->outcome.error_stack = body_bytes(outcome->error_stack);
    return &ret->outcome;
}

status events_take_outcome(const Polos__Journal__V1__Outcome *body, struct outcome *ret)
{
    if (body == NULL) {
        return events_damaged("the outcome is missing");
    }
    ret->failed = body->failed;
    ret->value = body_str(body->value);
    ret->value_type = body_str(body->value_type);
    ret->error_type = body_str(body->error_type);
    ret->error_message = body_str(body->error_message);
    ret->error_stack = body_str(body->error_stack);
    return STATUS_OK;
}
