#include "service/rpc/wire.h"

#include <stdio.h>

#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "service/base/utf8.h"
#include "service/rpc/nul.h"

enum {
    /* Trailers beyond 8 KiB are refused by many clients, and the sentence is in there thrice. */
    MESSAGE_BYTES_MAX = 1000,
    FIELD_BYTES_MAX = 256,
    /* A payload this small costs less to copy than to share. */
    COPY_BYTES_MAX = 256,
    MESSAGE_DEPTH_MAX = 32,
    UNPACKED_PER_BYTE = 16,
};

/* Text that any client can read: what is not UTF-8 becomes '?', what is too long is cut. */
static char *readable(struct arena *arena, str text, size_t bytes_max)
{
    size_t len = text.len < bytes_max ? text.len : bytes_max;
    if (len < text.len) {
        len -= utf8_tail_len((str){text.ptr, len});
    }
    char *copy = arena_cstr(arena, (str){text.ptr, len});
    str whole = {copy, len};
    for (size_t at = 0; at < len;) {
        size_t step = utf8_len(whole, at);
        if (step == 0 || copy[at] == '\0') {
            copy[at] = '?';
            step = 1;
        }
        at += step;
    }
    assert(strlen(copy) == len);
    return copy;
}

static Google__Protobuf__Any *detail(struct arena *arena, const ProtobufCMessage *message)
{
    Google__Protobuf__Any *any = arena_alloc(arena, sizeof(*any));
    google__protobuf__any__init(any);
    any->type_url =
        (char *)arena_printf(arena, "type.googleapis.com/%s", message->descriptor->name).ptr;
    any->value.data = arena_alloc(arena, protobuf_c_message_get_packed_size(message));
    any->value.len = protobuf_c_message_pack(message, any->value.data);
    return any;
}

static Google__Protobuf__Any *bad_request(struct arena *arena, str field, char *message)
{
    Google__Rpc__BadRequest__FieldViolation violation =
        GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
    Google__Rpc__BadRequest__FieldViolation *violations[] = {&violation};
    Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;
    violation.field = readable(arena, field, FIELD_BYTES_MAX);
    violation.description = message;
    bad.n_field_violations = 1;
    bad.field_violations = violations;
    return detail(arena, &bad.base);
}

static Google__Protobuf__Any *retry_info(struct arena *arena, uint64_t retry_after_ms)
{
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    delay.seconds = (int64_t)(retry_after_ms / 1000);
    delay.nanos = (int32_t)(retry_after_ms % 1000) * 1000000;
    retry.retry_delay = &delay;
    return detail(arena, &retry.base);
}

static grpc_slice pack_status(struct arena *arena, const struct failure *failure, char *message)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__Status packed = GOOGLE__RPC__STATUS__INIT;
    Google__Protobuf__Any *details[3];
    info.reason = (char *)reason_name(failure->reason);
    info.domain = (char *)"polos";
    details[packed.n_details++] = detail(arena, &info.base);
    if (failure->field.len > 0) {
        details[packed.n_details++] = bad_request(arena, failure->field, message);
    }
    if (failure->retry_after_ms > 0) {
        details[packed.n_details++] = retry_info(arena, failure->retry_after_ms);
    }
    packed.code = (int32_t)failure->code;
    packed.message = message;
    packed.details = details;
    grpc_slice slice = grpc_slice_malloc(google__rpc__status__get_packed_size(&packed));
    google__rpc__status__pack(&packed, GRPC_SLICE_START_PTR(slice));
    return slice;
}

struct wire_status wire_status_ok(void)
{
    return (struct wire_status){CODE_OK, grpc_empty_slice(), grpc_empty_slice()};
}

struct wire_status wire_status_of(const struct failure *failure)
{
    if (failure == NULL) {
        return wire_status_ok();
    }
    assert(failure_happened(failure));
    struct arena arena;
    arena_init(&arena, 0);
    char *message = readable(&arena, failure->message, MESSAGE_BYTES_MAX);
    struct wire_status made = {
        .code = failure->code,
        .message = grpc_slice_from_copied_string(message),
        .details = pack_status(&arena, failure, message),
    };
    arena_fini(&arena);
    return made;
}

void wire_status_fini(struct wire_status *end)
{
    grpc_slice_unref(end->message);
    grpc_slice_unref(end->details);
    *end = wire_status_ok();
}

static void drop_payload(void *payload)
{
    payload_unref((struct payload *)payload);
}

grpc_byte_buffer *wire_wrap(struct payload *payload)
{
    str bytes = payload_bytes(payload);
    grpc_slice slice;
    if (bytes.len <= COPY_BYTES_MAX) {
        slice = grpc_slice_from_copied_buffer(bytes.ptr, bytes.len);
        payload_unref(payload);
    } else {
        slice = grpc_slice_new_with_user_data((void *)bytes.ptr, bytes.len, drop_payload, payload);
    }
    grpc_byte_buffer *wrapped = grpc_raw_byte_buffer_create(&slice, 1);
    assert(grpc_byte_buffer_length(wrapped) == bytes.len);
    grpc_slice_unref(slice);
    return wrapped;
}

size_t wire_unpacked_bytes_max(size_t message_bytes_max)
{
    return UNPACKED_PER_BYTE * message_bytes_max + (1 << 20);
}

struct bounded {
    struct arena *arena;
    bool exhausted;
    bool has_nul; /* A text would be cut. */
    str nul_field;
};

static void *bounded_alloc(void *context, size_t bytes)
{
    struct bounded *bounded = (struct bounded *)context;
    /* The arena would abort; a client must not be able to make it. */
    if (bounded->arena->bytes + bytes + 2 * sizeof(max_align_t) > bounded->arena->bytes_max) {
        bounded->exhausted = true;
        return NULL;
    }
    return arena_alloc(bounded->arena, bytes);
}

static void bounded_free(void *context, void *memory)
{
    (void)context;
    (void)memory;
}

static bool text_is_valid(const ProtobufCMessage *message, struct arena *arena, str *ret_field);

static bool one_is_valid(const ProtobufCFieldDescriptor *field, const void *at, struct arena *arena,
                         str *ret_field)
{
    bool valid = true;
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(const char *const *)at;
        valid = text == NULL || utf8_is_valid(str_of(text));
        *ret_field = valid ? STR_EMPTY : str_of(field->name);
        return valid;
    }
    const ProtobufCMessage *inner = *(const ProtobufCMessage *const *)at;
    str below = STR_EMPTY;
    valid = inner == NULL || text_is_valid(inner, arena, &below);
    if (!valid) {
        *ret_field = arena_printf(arena, "%s." STR_FMT, field->name, STR_ARG(below));
    }
    return valid;
}

static bool field_is_valid(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                           struct arena *arena, str *ret_field)
{
    const char *at = (const char *)message + field->offset;
    const char *quantifier = (const char *)message + field->quantifier_offset;
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return true;
    }
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        bool set = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
                   *(const uint32_t *)(const void *)quantifier == field->id;
        return !set || one_is_valid(field, at, arena, ret_field);
    }
    size_t count = *(const size_t *)(const void *)quantifier;
    const char *items = *(const char *const *)(const void *)at;
    for (size_t i = 0; i < count; i++) {
        if (!one_is_valid(field, items + i * sizeof(void *), arena, ret_field)) {
            return false;
        }
    }
    return true;
}

/* protobuf-c takes any bytes for text. */
static bool text_is_valid(const ProtobufCMessage *message, struct arena *arena, str *ret_field)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        if (!field_is_valid(message, &message->descriptor->fields[i], arena, ret_field)) {
            return false;
        }
    }
    return true;
}

static ProtobufCMessage *unpack_slice(const ProtobufCMessageDescriptor *descriptor,
                                      grpc_slice slice, struct bounded *bounded)
{
    ProtobufCAllocator allocator = {bounded_alloc, bounded_free, bounded};
    const uint8_t *bytes = GRPC_SLICE_START_PTR(slice);
    size_t len = GRPC_SLICE_LENGTH(slice);
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, len, bytes);
    bool may_hold = message != NULL && len > 0 && memchr(bytes, '\0', len) != NULL;
    bounded->has_nul =
        may_hold && nul_find(descriptor, str_make(bytes, len), bounded->arena, &bounded->nul_field);
    return message;
}

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor,
                                grpc_byte_buffer *bytes, struct bounded *bounded)
{
    grpc_byte_buffer_reader reader;
    if (bytes->type == GRPC_BB_RAW && bytes->data.raw.compression == GRPC_COMPRESS_NONE &&
        bytes->data.raw.slice_buffer.count == 1) {
        return unpack_slice(descriptor, bytes->data.raw.slice_buffer.slices[0], bounded);
    }
    if (!grpc_byte_buffer_reader_init(&reader, bytes)) {
        return NULL;
    }
    grpc_slice whole = grpc_byte_buffer_reader_readall(&reader);
    ProtobufCMessage *message = unpack_slice(descriptor, whole, bounded);
    grpc_slice_unref(whole);
    grpc_byte_buffer_reader_destroy(&reader);
    return message;
}

status wire_unpack(const ProtobufCMessageDescriptor *descriptor, grpc_byte_buffer *bytes,
                   struct arena *arena, const ProtobufCMessage **ret, str *ret_field)
{
    assert(descriptor != NULL && bytes != NULL);
    assert(arena->bytes_max > 0);
    struct bounded bounded = {.arena = arena};
    str field = STR_EMPTY;
    const ProtobufCMessage *message = unpack(descriptor, bytes, &bounded);
    if (message == NULL && bounded.exhausted) {
        return status_make(CODE_RESOURCE_EXHAUSTED,
                           "the request holds too many parts; send fewer items in one message");
    }
    if (message == NULL) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "request is not a valid %s message",
                          descriptor->name);
    }
    if (bounded.has_nul) {
        *ret_field = bounded.nul_field;
        return arena_fail(arena, CODE_INVALID_ARGUMENT, STR_FMT " must not hold U+0000",
                          STR_ARG(bounded.nul_field));
    }
    if (!text_is_valid(message, arena, &field)) {
        *ret_field = field;
        return arena_fail(arena, CODE_INVALID_ARGUMENT, STR_FMT " must be UTF-8 text",
                          STR_ARG(field));
    }
    *ret = message;
    return STATUS_OK;
}

/* ---- What a newer client says. ---- */

static bool is_known(const ProtobufCMessage *message, struct arena *arena, str *ret_field);

/* *ret_below: where in it; empty: it is an enum's value itself. */
static bool one_is_known(const ProtobufCFieldDescriptor *field, const void *at, struct arena *arena,
                         str *ret_below)
{
    if (field->type == PROTOBUF_C_TYPE_ENUM) {
        const ProtobufCEnumDescriptor *words = field->descriptor;
        return protobuf_c_enum_descriptor_get_value(words, *(const int *)at) != NULL;
    }
    const ProtobufCMessage *inner = *(const ProtobufCMessage *const *)at;
    return inner == NULL || is_known(inner, arena, ret_below);
}

static bool single_is_known(const ProtobufCFieldDescriptor *field, const void *at,
                            struct arena *arena, str *ret_field)
{
    str below = STR_EMPTY;
    if (one_is_known(field, at, arena, &below)) {
        return true;
    }
    *ret_field =
        arena_printf(arena, "%s%s" STR_FMT, field->name, below.len > 0 ? "." : "", STR_ARG(below));
    return false;
}

static bool items_are_known(const ProtobufCFieldDescriptor *field, const char *items, size_t count,
                            struct arena *arena, str *ret_field)
{
    size_t bytes = field->type == PROTOBUF_C_TYPE_ENUM ? sizeof(int) : sizeof(void *);
    str below = STR_EMPTY;
    for (size_t i = 0; i < count; i++) {
        if (!one_is_known(field, items + i * bytes, arena, &below)) {
            *ret_field = arena_printf(arena, "%s[%zu]%s" STR_FMT, field->name, i,
                                      below.len > 0 ? "." : "", STR_ARG(below));
            return false;
        }
    }
    return true;
}

static bool field_is_known(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                           struct arena *arena, str *ret_field)
{
    const char *at = (const char *)message + field->offset;
    const char *quantifier = (const char *)message + field->quantifier_offset;
    if (field->type != PROTOBUF_C_TYPE_ENUM && field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return true;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return items_are_known(field, *(const char *const *)(const void *)at,
                               *(const size_t *)(const void *)quantifier, arena, ret_field);
    }
    bool set = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
               *(const uint32_t *)(const void *)quantifier == field->id;
    return !set || single_is_known(field, at, arena, ret_field);
}

static bool is_known(const ProtobufCMessage *message, struct arena *arena, str *ret_field)
{
    if (message->n_unknown_fields > 0) {
        *ret_field = arena_printf(arena, "%u", (unsigned)message->unknown_fields[0].tag);
        return false;
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        if (!field_is_known(message, &message->descriptor->fields[i], arena, ret_field)) {
            return false;
        }
    }
    return true;
}

status wire_check_known(const ProtobufCMessage *message, struct arena *arena, str *ret_field)
{
    assert(message != NULL && message->descriptor != NULL);
    if (is_known(message, arena, ret_field)) {
        return STATUS_OK;
    }
    return arena_fail(arena, CODE_INVALID_ARGUMENT,
                      STR_FMT ": this server does not know it; update the server, or leave it out",
                      STR_ARG(*ret_field));
}

static bool depth_is_bounded(const ProtobufCMessageDescriptor *descriptor, unsigned depth)
{
    if (depth > MESSAGE_DEPTH_MAX) {
        return false;
    }
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
            !depth_is_bounded((const ProtobufCMessageDescriptor *)field->descriptor, depth + 1)) {
            return false;
        }
    }
    return true;
}

bool wire_is_acyclic(const ProtobufCMessageDescriptor *descriptor)
{
    return depth_is_bounded(descriptor, 1);
}
