/*
 * methods and descriptors: the tables the transport looks things up in.
 *
 * Goal: every path and every symbol that is served is found, nothing else is, and a damaged set
 * of descriptors is refused.
 * Method: the real descriptors, which are embedded, and tables of made-up methods.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "polos/v1/runs.pb-c.h"
#include "protos/api_descriptors.h"
#include "service/rpc/descriptors.h"
#include "service/rpc/methods.h"
#include "service/rpc/wire.h"

static void start(struct api_call *call, const ProtobufCMessage *request)
{
    (void)call;
    (void)request;
}

static struct api_method row(const char *path)
{
    return (struct api_method){
        .path = path,
        .kind = API_UNARY,
        .request = &polos__v1__run_service_get_request__descriptor,
        .response = &polos__v1__run_service_get_response__descriptor,
        .start = start,
    };
}

static void test_methods_are_found_by_path(void **state)
{
    (void)state;
    enum {
        SERVICES = 20,
        METHODS = 10
    };
    static char paths[SERVICES * METHODS][32];
    struct api_method rows[SERVICES * METHODS + 1] = {0};
    struct methods *methods = methods_new();
    int service = 0;
    for (int i = 0; i < SERVICES * METHODS; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/pkg.S%d/M%d", i / METHODS, i % METHODS);
        rows[i] = row(paths[i]);
    }
    methods_add(methods, rows, &service);
    for (int i = 0; i < SERVICES * METHODS; i++) {
        const struct method_row *found = methods_find(methods, str_of(paths[i]));
        assert_non_null(found);
        assert_ptr_equal(found->method, &rows[i]);
        assert_ptr_equal(found->service, &service);
    }
    assert_null(methods_find(methods, STR("/pkg.S0/M10")));
    assert_null(methods_find(methods, STR("/pkg.S0/")));
    assert_null(methods_find(methods, STR("/")));
    assert_null(methods_find(methods, STR_EMPTY));
    assert_int_equal(methods_service_count(methods), SERVICES);
    assert_true(str_is(methods_service(methods, 3), "pkg.S3"));
    assert_true(methods_has_service(methods, STR("pkg.S19")));
    assert_false(methods_has_service(methods, STR("pkg.S")));
    methods_free(methods);
}

static struct descriptors *real(void)
{
    struct descriptors *descriptors =
        descriptors_new(str_make(api_descriptors, api_descriptors_size));
    assert_non_null(descriptors);
    return descriptors;
}

static void test_symbols_lead_to_their_file(void **state)
{
    (void)state;
    static const char *const symbols[] = {
        "polos.v1.RunService",
        "polos.v1.RunService.Get",
        "polos.v1.Delta",
        "polos.v1.Delta.turn",
        "polos.v1.DeltaKind",
        "polos.v1.DELTA_KIND_TEXT",
        "polos.v1.RunServiceWatchResponse.position",
        "polos.v1.RunServiceWatchResponse.event",
    };
    struct descriptors *descriptors = real();
    size_t runs = descriptors_file_named(descriptors, STR("polos/v1/runs.proto"));
    assert_true(runs < descriptors_file_count(descriptors));
    for (size_t i = 0; i < COUNT_OF(symbols); i++) {
        assert_int_equal(descriptors_file_with(descriptors, str_of(symbols[i])), runs);
    }
    size_t details = descriptors_file_with(
        descriptors, STR("google.rpc.BadRequest.FieldViolation.field")); /* nested message */
    assert_int_equal(details,
                     descriptors_file_named(descriptors, STR("google/rpc/error_details.proto")));
    descriptors_free(descriptors);
}

static void test_what_is_not_defined_is_not_found(void **state)
{
    (void)state;
    static const char *const symbols[] = {
        "",
        "polos",
        "polos.v1",
        "polos.v1.RunServic",
        "polos.v1.RunServicee",
        "polos.v1.Delta.Kind.KIND_TEXT", /* Enum values are named beside their enum. */
        ".polos.v1.RunService",
    };
    struct descriptors *descriptors = real();
    for (size_t i = 0; i < COUNT_OF(symbols); i++) {
        assert_int_equal(descriptors_file_with(descriptors, str_of(symbols[i])), DESCRIPTORS_NONE);
    }
    assert_int_equal(descriptors_file_named(descriptors, STR("runs.proto")), DESCRIPTORS_NONE);
    descriptors_free(descriptors);
}

static void test_closure_has_every_import_once(void **state)
{
    (void)state;
    struct descriptors *descriptors = real();
    size_t files[64];
    assert_true(descriptors_file_count(descriptors) <= COUNT_OF(files));
    for (size_t file = 0; file < descriptors_file_count(descriptors); file++) {
        size_t count = descriptors_closure(descriptors, file, files);
        assert_int_equal(files[0], file);
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j < i; j++) {
                assert_int_not_equal(files[i], files[j]);
            }
        }
    }
    size_t file = descriptors_file_named(descriptors, STR("google/rpc/error_details.proto"));
    assert_int_equal(descriptors_closure(descriptors, file, files), 2);
    assert_int_equal(files[1],
                     descriptors_file_named(descriptors, STR("google/protobuf/duration.proto")));
    descriptors_free(descriptors);
}

/* Cut anywhere but between two files, the set is refused; no byte beyond the cut is read. */
static void test_cut_sets_are_refused(void **state)
{
    (void)state;
    size_t accepted = 0;
    for (size_t len = 0; len < api_descriptors_size; len += 7) {
        char *cut = xmalloc(len + 1);
        memcpy(cut, api_descriptors, len);
        struct descriptors *descriptors = descriptors_new(str_make(cut, len));
        accepted += descriptors != NULL;
        descriptors_free(descriptors);
        free(cut);
    }
    assert_in_range(accepted, 1, 20); /* The empty set is one of them. */
}

static void test_messages_cannot_contain_themselves(void **state)
{
    (void)state;
    assert_true(wire_is_acyclic(&polos__v1__run_service_watch_response__descriptor));
    /* A descriptor that names itself, as a recursive message would. */
    ProtobufCFieldDescriptor field = {.name = "self", .type = PROTOBUF_C_TYPE_MESSAGE};
    ProtobufCMessageDescriptor self = {.name = "Self", .n_fields = 1, .fields = &field};
    field.descriptor = &self;
    assert_false(wire_is_acyclic(&self));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_are_found_by_path),
        cmocka_unit_test(test_symbols_lead_to_their_file),
        cmocka_unit_test(test_what_is_not_defined_is_not_found),
        cmocka_unit_test(test_closure_has_every_import_once),
        cmocka_unit_test(test_cut_sets_are_refused),
        cmocka_unit_test(test_messages_cannot_contain_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
