/*
 * Goal:   every method of the protos has a row, with the right messages, kind and rights. A new
 *         RPC without a row fails here.
 * Method: reads the descriptors that reflection serves, with a small reader of its own.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "protos/api_descriptors.h"
#include "service/api/access.h"
#include "service/api/api.h"

/* One field of a message on the wire. */
struct field {
    uint64_t number;
    uint64_t value; /* Varints. */
    str bytes; /* Length-delimited. */
};

static uint64_t take_varint(str *rest)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        assert_true(rest->len > 0 && shift < 64);
        uint8_t byte = (uint8_t)rest->ptr[0];
        *rest = str_make(rest->ptr + 1, rest->len - 1);
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            return value;
        }
    }
}

static void pass_over(str *rest, size_t len)
{
    assert_true(len <= rest->len);
    *rest = str_make(rest->ptr + len, rest->len - len);
}

static bool next_field(str *rest, struct field *ret)
{
    if (rest->len == 0) {
        return false;
    }
    uint64_t tag = take_varint(rest);
    *ret = (struct field){.number = tag >> 3};
    switch (tag & 7) {
    case 0:
        ret->value = take_varint(rest);
        break;
    case 1:
        pass_over(rest, 8);
        break;
    case 2: {
        size_t len = take_varint(rest);
        ret->bytes = str_make(rest->ptr, len);
        pass_over(rest, len);
        break;
    }
    case 5:
        pass_over(rest, 4);
        break;
    default:
        fail_msg("wire type %u", (unsigned)(tag & 7));
    }
    return true;
}

struct method {
    str name;
    str input;
    str output;
    bool client_streams;
    bool server_streams;
};

static struct method read_method(str message)
{
    struct method ret = {0};
    struct field field;
    while (next_field(&message, &field)) {
        switch (field.number) {
        case 1:
            ret.name = field.bytes;
            break;
        case 2:
            ret.input = field.bytes;
            break;
        case 3:
            ret.output = field.bytes;
            break;
        case 5:
            ret.client_streams = field.value != 0;
            break;
        case 6:
            ret.server_streams = field.value != 0;
            break;
        default:
            break;
        }
    }
    return ret;
}

static const struct api_method *find_row(const char *path)
{
    for (const struct api_method *const *table = api_methods(); *table != NULL; table++) {
        for (const struct api_method *row = *table; row->path != NULL; row++) {
            if (strcmp(row->path, path) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

static void check_method(str package, str service, const struct method *method)
{
    char path[256];
    snprintf(path, sizeof(path), "/" STR_FMT "." STR_FMT "/" STR_FMT, STR_ARG(package),
             STR_ARG(service), STR_ARG(method->name));
    const struct api_method *row = find_row(path);
    if (row == NULL) {
        fail_msg("no row serves %s", path);
        return;
    }
    /* Type names in descriptors begin with a dot. */
    assert_true(str_is(str_make(method->input.ptr + 1, method->input.len - 1), row->request->name));
    assert_true(
        str_is(str_make(method->output.ptr + 1, method->output.len - 1), row->response->name));
    enum api_method_kind kind = API_UNARY;
    if (method->server_streams) {
        kind = method->client_streams ? API_BIDI : API_SERVER_STREAM;
    }
    assert_int_equal(row->kind, kind);
    assert_non_null(row->start);
    assert_int_equal(row->kind == API_BIDI, row->message != NULL);
    uint32_t rights = access_rights(str_of(path));
    assert_true(rights != 0 && (rights & ~(uint32_t)RIGHT_ALL) == 0);
    /* A reader may read all but keys. */
    bool is_of_admin = str_is(service, "AdminService");
    assert_true(!row->is_read || is_of_admin || (rights & RIGHT_READ) != 0);
    assert_true(!is_of_admin || rights == RIGHT_ADMIN);
}

static size_t check_service(str package, str message)
{
    size_t count = 0;
    str name = STR_EMPTY;
    struct field field;
    while (next_field(&message, &field)) {
        if (field.number == 1) {
            name = field.bytes;
        } else if (field.number == 2) {
            struct method method = read_method(field.bytes);
            check_method(package, name, &method);
            count++;
        }
    }
    return count;
}

static size_t check_file(str message)
{
    size_t count = 0;
    str package = STR_EMPTY;
    struct field field;
    while (next_field(&message, &field)) {
        if (field.number == 2) {
            package = field.bytes;
        } else if (field.number == 6 && str_starts_with(package, STR("polos."))) {
            count += check_service(package, field.bytes);
        }
    }
    return count;
}

static void every_method_has_a_row(void **state)
{
    (void)state;
    str set = str_make(api_descriptors, api_descriptors_size);
    size_t methods = 0;
    struct field field;
    while (next_field(&set, &field)) {
        if (field.number == 1) {
            methods += check_file(field.bytes);
        }
    }
    size_t rows = 0;
    for (const struct api_method *const *table = api_methods(); *table != NULL; table++) {
        for (const struct api_method *row = *table; row->path != NULL; row++) {
            rows++;
        }
    }
    assert_true(methods >= 18);
    assert_int_equal(methods, rows);
}

/* Whoever posts requests has to finish the call himself, and so must hear of its end. */
static void rows_that_post_hear_of_the_end(void **state)
{
    (void)state;
    for (const struct api_method *const *table = api_methods(); *table != NULL; table++) {
        for (const struct api_method *row = *table; row->path != NULL; row++) {
            assert_non_null(row->closed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_row),
        cmocka_unit_test(rows_that_post_hear_of_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
