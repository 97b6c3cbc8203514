#include "service/api/call.h"

#include <stdio.h>

struct payload *api_pack(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    struct payload *payload = payload_new(len);
    size_t packed = protobuf_c_message_pack(message, (uint8_t *)payload_data(payload));
    assert(packed == len);
    return payload;
}

void api_call_send(struct api_call *call, const ProtobufCMessage *message)
{
    assert(message->descriptor == call->method->response);
    call->vtable->send(call, api_pack(message));
}

void api_call_reply(struct api_call *call, const ProtobufCMessage *message)
{
    api_call_send(call, message);
    call->vtable->finish(call, NULL);
}

void api_call_fail(struct api_call *call, const struct failure *failure)
{
    assert(failure_happened(failure));
    call->vtable->finish(call, failure);
}

void api_call_reject(struct api_call *call, const char *field, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert(len > 0);
    struct failure failure =
        failure_make(CODE_INVALID_ARGUMENT, REASON_INVALID_FIELD, str_of(text));
    failure.field = str_of(field);
    api_call_fail(call, &failure);
}
