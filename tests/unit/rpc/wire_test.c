/*
 * wire: what the transport puts on the wire and takes off it.
 *
 * Goal: an error's trailers say everything a client may rely on and stay small; a request is
 * taken whole or refused with a sentence, whatever its bytes are.
 * Method: pack and unpack without a server; then hostile bytes made by mutating a valid request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <google/protobuf/any.pb-c.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "polos/v1/agents.pb-c.h"
#include "polos/v1/host.pb-c.h"
#include "polos/v1/runs.pb-c.h"
#include "polos/v1/topics.pb-c.h"
#include "service/base/utf8.h"
#include "service/rpc/wire.h"

enum {
    TRAILERS_BYTES_MAX = 8192,
    MUTATIONS = 20000,
};

static Google__Rpc__Status *unpack_details(const struct wire_status *end)
{
    Google__Rpc__Status *unpacked = google__rpc__status__unpack(
        NULL, GRPC_SLICE_LENGTH(end->details), GRPC_SLICE_START_PTR(end->details));
    assert_non_null(unpacked);
    return unpacked;
}

static void test_ok_has_no_details(void **state)
{
    (void)state;
    struct wire_status end = wire_status_of(NULL);
    assert_int_equal(end.code, CODE_OK);
    assert_int_equal(GRPC_SLICE_LENGTH(end.message), 0);
    assert_int_equal(GRPC_SLICE_LENGTH(end.details), 0);
    wire_status_fini(&end);
}

static void test_details_are_only_what_was_said(void **state)
{
    (void)state;
    struct wire_status end = wire_status_of(&(struct failure){
        .code = CODE_NOT_FOUND, .reason = REASON_RUN_NOT_FOUND, .message = STR("no such run")});
    Google__Rpc__Status *unpacked = unpack_details(&end);
    assert_int_equal(unpacked->code, CODE_NOT_FOUND);
    assert_string_equal(unpacked->message, "no such run");
    assert_int_equal(unpacked->n_details, 1);
    assert_string_equal(unpacked->details[0]->type_url, "type.googleapis.com/google.rpc.ErrorInfo");
    Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(
        NULL, unpacked->details[0]->value.len, unpacked->details[0]->value.data);
    assert_string_equal(info->reason, "RUN_NOT_FOUND");
    assert_string_equal(info->domain, "polos");
    google__rpc__error_info__free_unpacked(info, NULL);
    google__rpc__status__free_unpacked(unpacked, NULL);
    wire_status_fini(&end);
}

/* Clients refuse trailers over 8 KiB; the message is in there percent-encoded and in base64. */
static void test_long_sentences_are_cut_at_a_character(void **state)
{
    (void)state;
    char text[9000];
    for (size_t i = 0; i < sizeof(text); i += 3) {
        memcpy(text + i, "\xe2\x82\xac", 3); /* three bytes: 1000 is not a multiple */
    }
    str whole = str_make(text, sizeof(text));
    struct wire_status end = wire_status_of(&(struct failure){.code = CODE_INVALID_ARGUMENT,
                                                              .reason = REASON_INVALID_FIELD,
                                                              .field = whole,
                                                              .message = whole});
    size_t message = GRPC_SLICE_LENGTH(end.message);
    assert_int_equal(message, 999);
    assert_true(utf8_is_valid(str_make(GRPC_SLICE_START_PTR(end.message), message)));
    assert_true(3 * message + GRPC_SLICE_LENGTH(end.details) * 4 / 3 + 200 < TRAILERS_BYTES_MAX);
    Google__Rpc__Status *unpacked = unpack_details(&end);
    assert_int_equal(unpacked->n_details, 2);
    google__rpc__status__free_unpacked(unpacked, NULL);
    wire_status_fini(&end);
}

/* Whole seconds and what is left of them. */
static void test_when_to_come_back_is_told(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        int64_t seconds;
        int32_t nanos;
    } rows[] = {{1, 0, 1000000}, {999, 0, 999000000}, {1000, 1, 0}, {61500, 61, 500000000}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct wire_status end = wire_status_of(&(struct failure){.code = CODE_RESOURCE_EXHAUSTED,
                                                                  .reason = REASON_SERVER_BUSY,
                                                                  .message = STR("later"),
                                                                  .retry_after_ms = rows[i].ms});
        Google__Rpc__Status *unpacked = unpack_details(&end);
        assert_int_equal(unpacked->n_details, 2);
        assert_string_equal(unpacked->details[1]->type_url,
                            "type.googleapis.com/google.rpc.RetryInfo");
        Google__Rpc__RetryInfo *info = google__rpc__retry_info__unpack(
            NULL, unpacked->details[1]->value.len, unpacked->details[1]->value.data);
        assert_int_equal(info->retry_delay->seconds, rows[i].seconds);
        assert_int_equal(info->retry_delay->nanos, rows[i].nanos);
        google__rpc__retry_info__free_unpacked(info, NULL);
        google__rpc__status__free_unpacked(unpacked, NULL);
        wire_status_fini(&end);
    }
}

static void test_sentences_become_readable(void **state)
{
    (void)state;
    struct wire_status end = wire_status_of(&(struct failure){
        .code = CODE_INTERNAL, .reason = REASON_INVALID_FIELD, .message = {"a\0b\xff\xc3!", 6}});
    assert_memory_equal(GRPC_SLICE_START_PTR(end.message),
                        "a?b?"
                        "?!",
                        6); /* No trigraph. */
    wire_status_fini(&end);
}

static void test_payloads_are_shared_when_large(void **state)
{
    (void)state;
    struct payload *large = payload_new(5000);
    struct payload *small = payload_copy(STR("small"));
    memset(payload_data(large), 'x', 5000);
    payload_ref(large);
    payload_ref(small);
    grpc_byte_buffer *wrapped = wire_wrap(large);
    const grpc_slice *slice = &wrapped->data.raw.slice_buffer.slices[0];
    assert_ptr_equal(GRPC_SLICE_START_PTR(*slice), payload_data(large));
    grpc_byte_buffer_destroy(wrapped);
    wrapped = wire_wrap(small);
    slice = &wrapped->data.raw.slice_buffer.slices[0];
    assert_ptr_not_equal(GRPC_SLICE_START_PTR(*slice), payload_data(small));
    assert_memory_equal(GRPC_SLICE_START_PTR(*slice), "small", 5);
    grpc_byte_buffer_destroy(wrapped);
    payload_unref(large); /* Ours were the last: a sanitizer sees if it were not so. */
    payload_unref(small);
}

static grpc_byte_buffer *buffer_of(const void *bytes, size_t len, size_t pieces)
{
    grpc_slice slices[8];
    assert_true(pieces <= COUNT_OF(slices));
    for (size_t i = 0; i < pieces; i++) {
        size_t from = len * i / pieces;
        size_t to = len * (i + 1) / pieces;
        slices[i] = grpc_slice_from_copied_buffer((const char *)bytes + from, to - from);
    }
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, pieces);
    for (size_t i = 0; i < pieces; i++) {
        grpc_slice_unref(slices[i]);
    }
    return buffer;
}

static status unpack(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t len,
                     size_t pieces, struct arena *arena, const ProtobufCMessage **ret,
                     str *ret_field)
{
    grpc_byte_buffer *buffer = buffer_of(bytes, len, pieces);
    status outcome = wire_unpack(descriptor, buffer, arena, ret, ret_field);
    grpc_byte_buffer_destroy(buffer);
    return outcome;
}

static void test_requests_arrive_in_any_number_of_pieces(void **state)
{
    (void)state;
    static const char bytes[] = "\x0a\x05hello\x12\x04"
                                "\xf0\x9f\x98\x80";
    struct arena arena;
    const ProtobufCMessage *message = NULL;
    str field = STR_EMPTY;
    arena_init(&arena, wire_unpacked_bytes_max(4096));
    for (size_t pieces = 1; pieces <= 8; pieces++) {
        status unpacked = unpack(&polos__v1__run_service_watch_request__descriptor, bytes,
                                 sizeof(bytes) - 1, pieces, &arena, &message, &field);
        assert_true(status_is_ok(unpacked));
        const Polos__V1__RunServiceWatchRequest *request =
            (const Polos__V1__RunServiceWatchRequest *)message;
        assert_string_equal(request->run_id, "hello");
        assert_string_equal(request->position, "\xf0\x9f\x98\x80");
        arena_reset(&arena);
    }
    status empty = unpack(&polos__v1__run_service_watch_request__descriptor, "", 0, 1, &arena,
                          &message, &field);
    assert_true(status_is_ok(empty));
    empty = unpack(&polos__v1__run_service_watch_request__descriptor, "", 0, 0, &arena, &message,
                   &field);
    assert_true(status_is_ok(empty));
    arena_fini(&arena);
}

static void test_wrong_text_is_named_by_its_path(void **state)
{
    (void)state;
    /* hello { offers { tools { name: "\xff" } } }: the path of a field three messages down. */
    static const char bytes[] = "\x0a\x07\x32\x05\x0a\x03\x0a\x01\xff";
    struct arena arena;
    const ProtobufCMessage *message = NULL;
    str field = STR_EMPTY;
    arena_init(&arena, wire_unpacked_bytes_max(4096));
    status unpacked = unpack(&polos__v1__tool_service_connect_request__descriptor, bytes,
                             sizeof(bytes) - 1, 1, &arena, &message, &field);
    assert_int_equal(unpacked.code, CODE_INVALID_ARGUMENT);
    assert_true(str_starts_with(field, STR("hello.offers.tools.")));
    assert_null(message);
    arena_fini(&arena);
}

static void test_text_with_a_nul_is_named_by_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *field; /* NULL: there is none in a text. */
    } rows[] = {
        /* topic: "a", events: [{data_json: "1"}, {data_json: "1\0x"}] */
        {"\x0a\x01\x61\x12\x03\x12\x01\x31\x12\x05\x12\x03\x31\x00\x78", 15, "events[1].data_json"},
        {"\x0a\x03\x61\x00\x62", 5, "topic"},
        {"\x0a\x01\x00", 3, "topic"},
        /* An empty event, whose length is a zero; a field that nobody knows. */
        {"\x0a\x01\x61\x12\x00\x2a\x01\x00\x30\x00", 10, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        const ProtobufCMessage *message = NULL;
        str field = STR_EMPTY;
        arena_init(&arena, wire_unpacked_bytes_max(4096));
        for (size_t pieces = 1; pieces <= 3; pieces++) {
            status unpacked = unpack(&polos__v1__topic_service_publish_request__descriptor,
                                     rows[i].bytes, rows[i].len, pieces, &arena, &message, &field);
            assert_int_equal(unpacked.code,
                             rows[i].field == NULL ? CODE_OK : CODE_INVALID_ARGUMENT);
            assert_true(rows[i].field == NULL || str_is(field, rows[i].field));
            arena_reset(&arena);
        }
        arena_fini(&arena);
    }
}

/* Of a start: fields and words that only a newer server would know, at any depth. */
static void test_what_is_not_known_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *field; /* NULL: all is known. */
    } rows[] = {
        {"\x0a\x01\x61", 3, NULL},
        {"\x0a\x01\x61\xf8\x06\x01", 6, "111"},
        {"\x22\x03\xf8\x06\x01", 5, "options.111"},
        {"\x1a\x02\x08\x03", 4, NULL}, /* messages: role 3 is the assistant; */
        {"\x1a\x02\x08\x63", 4, "messages[0].role"}, /* 99 is none. */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena arena;
        const ProtobufCMessage *message = NULL;
        str field = STR_EMPTY;
        arena_init(&arena, wire_unpacked_bytes_max(4096));
        status unpacked = unpack(&polos__v1__agent_service_start_request__descriptor, rows[i].bytes,
                                 rows[i].len, 1, &arena, &message, &field);
        assert_true(status_is_ok(unpacked));
        status known = wire_check_known(message, &arena, &field);
        assert_int_equal(known.code, rows[i].field == NULL ? CODE_OK : CODE_INVALID_ARGUMENT);
        assert_true(rows[i].field == NULL || str_is(field, rows[i].field));
        arena_fini(&arena);
    }
}

static void test_a_request_that_unfolds_is_refused(void **state)
{
    (void)state;
    enum {
        COUNT = 20000
    };
    struct arena arena;
    const ProtobufCMessage *message = NULL;
    str field = STR_EMPTY;
    static const char head[] = "\x0a\xc4\xb8\x02\x32\xc0\xb8\x02"; /* hello { offers { */
    size_t at = sizeof(head) - 1;
    char *bytes = xmalloc(at + 2 * COUNT);
    memcpy(bytes, head, at);
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(bytes + at + 2 * i, "\x0a\x00", 2); /* An empty tool. */
    }
    arena_init(&arena, wire_unpacked_bytes_max(2 * COUNT));
    status unpacked = unpack(&polos__v1__tool_service_connect_request__descriptor, bytes,
                             at + 2 * COUNT, 1, &arena, &message, &field);
    assert_int_equal(unpacked.code, CODE_RESOURCE_EXHAUSTED);
    assert_true(arena.bytes <= arena.bytes_max + 65536); /* Up to a block more. */
    free(bytes);
    arena_fini(&arena);
}

static size_t pack_hello(uint8_t *ret, size_t room)
{
    Polos__V1__WorkflowDefinition workflow = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    Polos__V1__WorkflowDefinition *workflows[] = {&workflow, &workflow};
    Polos__V1__HeldTask task = POLOS__V1__HELD_TASK__INIT;
    Polos__V1__HeldTask *held[] = {&task};
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
    Polos__V1__Offers offers = POLOS__V1__OFFERS__INIT;
    Polos__V1__ToolServiceConnectRequest message = POLOS__V1__TOOL_SERVICE_CONNECT_REQUEST__INIT;
    workflow.id = (char *)"workflow";
    workflow.description = (char *)"caf\xc3\xa9";
    task.task_id = (char *)"task";
    task.epoch = 7;
    hello.host_id = (char *)"host";
    offers.n_workflows = COUNT_OF(workflows);
    offers.workflows = workflows;
    hello.offers = &offers;
    hello.n_held = COUNT_OF(held);
    hello.held = held;
    message.first_seq = 1;
    message.hello = &hello;
    assert_true(polos__v1__tool_service_connect_request__get_packed_size(&message) <= room);
    return polos__v1__tool_service_connect_request__pack(&message, ret);
}

/* Under the sanitizers this is the test of protobuf-c's unpacking into an arena as well. */
static void test_mutated_requests_are_taken_or_refused(void **state)
{
    (void)state;
    uint8_t good[256];
    uint8_t bad[256];
    size_t len = pack_hello(good, sizeof(good));
    unsigned seed = 20;
    unsigned taken = 0;
    struct arena arena;
    arena_init(&arena, wire_unpacked_bytes_max(sizeof(bad)));
    for (int i = 0; i < MUTATIONS; i++) {
        const ProtobufCMessage *message = NULL;
        str field = STR_EMPTY;
        memcpy(bad, good, len);
        for (int n = rand_r(&seed) % 3; n >= 0; n--) {
            bad[(size_t)rand_r(&seed) % len] = (uint8_t)rand_r(&seed);
        }
        size_t cut = rand_r(&seed) % 4 == 0 ? (size_t)rand_r(&seed) % len : len;
        status unpacked = unpack(&polos__v1__tool_service_connect_request__descriptor, bad, cut, 1,
                                 &arena, &message, &field);
        assert_true(status_is_ok(unpacked) || unpacked.code == CODE_INVALID_ARGUMENT);
        assert_true(status_is_ok(unpacked) == (message != NULL));
        taken += message != NULL;
        arena_reset(&arena);
    }
    assert_in_range(taken, 100, MUTATIONS - 100); /* The mutations reach both ends. */
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ok_has_no_details),
        cmocka_unit_test(test_details_are_only_what_was_said),
        cmocka_unit_test(test_long_sentences_are_cut_at_a_character),
        cmocka_unit_test(test_when_to_come_back_is_told),
        cmocka_unit_test(test_sentences_become_readable),
        cmocka_unit_test(test_payloads_are_shared_when_large),
        cmocka_unit_test(test_requests_arrive_in_any_number_of_pieces),
        cmocka_unit_test(test_wrong_text_is_named_by_its_path),
        cmocka_unit_test(test_text_with_a_nul_is_named_by_its_path),
        cmocka_unit_test(test_what_is_not_known_is_named),
        cmocka_unit_test(test_a_request_that_unfolds_is_refused),
        cmocka_unit_test(test_mutated_requests_are_taken_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
