#include "clients/c/wire.h"

#include <assert.h>
#include <stdio.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "clients/c/memory.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

grpc_byte_buffer *polos_wire_pack(const ProtobufCMessage *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    grpc_slice slice = grpc_slice_malloc(bytes);
    size_t packed = protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    assert(packed == bytes);
    (void)packed;
    grpc_byte_buffer *wrapped = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return wrapped;
}

ProtobufCMessage *polos_wire_unpack(const ProtobufCMessageDescriptor *descriptor,
                                    grpc_byte_buffer *bytes)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, bytes)) {
        return NULL;
    }
    grpc_slice whole = grpc_byte_buffer_reader_readall(&reader);
    ProtobufCMessage *message = protobuf_c_message_unpack(
        descriptor, NULL, GRPC_SLICE_LENGTH(whole), GRPC_SLICE_START_PTR(whole));
    grpc_slice_unref(whole);
    grpc_byte_buffer_reader_destroy(&reader);
    return message;
}

ProtobufCMessage *polos_wire_copy(const ProtobufCMessage *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = memory_zeroed(bytes, 1);
    size_t written = protobuf_c_message_pack(message, packed);
    assert(written == bytes);
    (void)written;
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, bytes, packed);
    assert(copy != NULL);
    free(packed);
    return copy;
}

static bool is_of_type(const Google__Protobuf__Any *any, const ProtobufCMessageDescriptor *type)
{
    const char *slash = strrchr(any->type_url, '/');
    return slash != NULL && strcmp(slash + 1, type->name) == 0;
}

static char *reason_of(const Google__Rpc__Status *status)
{
    char *reason = NULL;
    for (size_t i = 0; i < status->n_details && reason == NULL; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        if (!is_of_type(any, &google__rpc__error_info__descriptor)) {
            continue;
        }
        Google__Rpc__ErrorInfo *info =
            google__rpc__error_info__unpack(NULL, any->value.len, any->value.data);
        reason = info == NULL ? NULL : memory_copy(info->reason);
        google__rpc__error_info__free_unpacked(info, NULL);
    }
    return reason == NULL ? memory_copy("") : reason;
}

static char *field_of(const Google__Rpc__Status *status)
{
    char *field = NULL;
    for (size_t i = 0; i < status->n_details && field == NULL; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        if (!is_of_type(any, &google__rpc__bad_request__descriptor)) {
            continue;
        }
        Google__Rpc__BadRequest *bad =
            google__rpc__bad_request__unpack(NULL, any->value.len, any->value.data);
        if (bad != NULL && bad->n_field_violations > 0) {
            field = memory_copy(bad->field_violations[0]->field);
        }
        google__rpc__bad_request__free_unpacked(bad, NULL);
    }
    return field == NULL ? memory_copy("") : field;
}

static Google__Rpc__Status *details_of(const grpc_metadata_array *trailers)
{
    for (size_t i = 0; i < trailers->count; i++) {
        if (grpc_slice_str_cmp(trailers->metadata[i].key, "grpc-status-details-bin") == 0) {
            grpc_slice value = trailers->metadata[i].value;
            return google__rpc__status__unpack(NULL, GRPC_SLICE_LENGTH(value),
                                               GRPC_SLICE_START_PTR(value));
        }
    }
    return NULL;
}

void polos_failure_init(struct polos_failure *ret, grpc_status_code code, grpc_slice message,
                        const grpc_metadata_array *trailers)
{
    *ret = (struct polos_failure){.error = {.code = (int)code}};
    if (code == GRPC_STATUS_OK) {
        return;
    }
    Google__Rpc__Status *status = details_of(trailers);
    char *reason = status == NULL ? memory_copy("") : reason_of(status);
    char *field = status == NULL ? memory_copy("") : field_of(status);
    size_t length = GRPC_SLICE_LENGTH(message);
    size_t reason_bytes = strlen(reason) + 1;
    size_t field_bytes = strlen(field) + 1;
    ret->memory = memory_zeroed(reason_bytes + field_bytes + length + 1, 1);
    memcpy(ret->memory, reason, reason_bytes);
    memcpy(ret->memory + reason_bytes, field, field_bytes);
    memcpy(ret->memory + reason_bytes + field_bytes, GRPC_SLICE_START_PTR(message), length);
    ret->error.reason = ret->memory;
    ret->error.field = ret->memory + reason_bytes;
    ret->error.message = ret->memory + reason_bytes + field_bytes;
    assert(ret->error.message[length] == '\0');
    free(reason);
    free(field);
    google__rpc__status__free_unpacked(status, NULL);
}

void polos_failure_fini(struct polos_failure *failure)
{
    free(failure->memory);
    *failure = (struct polos_failure){0};
}
