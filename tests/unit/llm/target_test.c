/*
 * Goal:   a key goes where its row or its setting says and to the hosts that are named, nowhere
 *         else; a call that cannot work for want of a key or an address is refused beforehand.
 * Method: rows of the table, settings by hand, and the headers that come out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/llm/target.h"

#define KEY "sk-secret"

struct set {
    const char *name;
    const char *value;
};

static const char *get(void *context, const char *name)
{
    for (const struct set *set = context; set->name != NULL; set++) {
        if (strcmp(set->name, name) == 0) {
            return set->value;
        }
    }
    return NULL;
}

struct bed {
    struct arena arena;
    struct target_rules rules;
    struct model_request request;
    const struct provider_row *row;
    struct target target;
};

static void begin(struct bed *bed, const char *provider, struct set *settings, const char *base_url)
{
    *bed = (struct bed){.rules = {.settings = {get, settings}}};
    arena_init(&bed->arena, 0);
    bed->row = provider_find(str_of(provider));
    bed->request = (struct model_request){
        .provider = str_of(provider), .model = STR("m"), .base_url = str_of(base_url)};
    assert_non_null(bed->row);
}

static enum code check(struct bed *bed)
{
    return target_check(&bed->rules, bed->row, &bed->request, &bed->arena).code;
}

static bool sends_key(struct bed *bed)
{
    bool is_sent = false;
    target_make(&bed->rules, bed->row, &bed->request, &bed->arena, &bed->target);
    for (size_t i = 0; i < bed->target.header_count; i++) {
        is_sent |= strstr(bed->target.headers[i], KEY) != NULL;
    }
    assert_int_equal(is_sent, bed->target.key.len > 0);
    assert_null(strstr(bed->target.url, KEY));
    return is_sent;
}

static void a_key_goes_to_its_provider(void **state)
{
    (void)state;
    struct bed bed;
    struct set settings[] = {{"OPENAI_API_KEY", KEY}, {NULL, NULL}};
    begin(&bed, "openai", settings, "");
    assert_int_equal(check(&bed), CODE_OK);
    assert_true(sends_key(&bed));
    assert_false(bed.target.key_kept);
    assert_false(bed.target.is_strangers);
    assert_string_equal(bed.target.url, "https://api.openai.com/v1/responses");
    assert_true(str_is(bed.target.server, "https://api.openai.com"));
    arena_fini(&bed.arena);
}

static void a_key_goes_to_no_strangers_address(void **state)
{
    (void)state;
    struct bed bed;
    struct set settings[] = {{"OPENAI_API_KEY", KEY}, {NULL, NULL}, {NULL, NULL}};
    begin(&bed, "openai", settings, "https://api.openai.com.example.net/v1");
    assert_int_equal(check(&bed), CODE_FAILED_PRECONDITION);
    assert_false(sends_key(&bed));
    assert_true(bed.target.key_kept);
    assert_true(bed.target.is_strangers);
    settings[1] = (struct set){"POLOSD_KEY_HOSTS", "api.openai.com.example.net"};
    assert_int_equal(check(&bed), CODE_OK);
    assert_true(sends_key(&bed));
    assert_false(bed.target.is_strangers);
    arena_fini(&bed.arena);
}

/* Where a key is no must the call goes out without it. */
static void an_optional_key_is_kept(void **state)
{
    (void)state;
    struct bed bed;
    struct set settings[] = {{"OLLAMA_API_KEY", KEY}, {NULL, NULL}};
    begin(&bed, "ollama", settings, "https://models.example.net/v1");
    assert_int_equal(check(&bed), CODE_OK);
    assert_false(sends_key(&bed));
    assert_true(bed.target.key_kept);
    settings[0].value = NULL;
    assert_int_equal(check(&bed), CODE_OK);
    assert_false(sends_key(&bed));
    assert_false(bed.target.key_kept); /* There is none. */
    arena_fini(&bed.arena);
}

static void a_key_that_is_missing_or_garbled_is_refused(void **state)
{
    (void)state;
    static const char *const values[] = {NULL, "", "two words", "line\r\nend", "\x7f"};
    struct bed bed;
    struct set settings[] = {{"OPENAI_API_KEY", NULL}, {NULL, NULL}};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        settings[0].value = values[i];
        begin(&bed, "openai", settings, "");
        assert_int_equal(check(&bed), CODE_FAILED_PRECONDITION);
        arena_fini(&bed.arena);
    }
}

/* The request's own, then the setting's, then the row's. */
static void an_address_is_the_nearest_one(void **state)
{
    (void)state;
    struct bed bed;
    struct set settings[] = {
        {"OPENAI_API_KEY", KEY}, {"OPENAI_BASE_URL", "https://proxy.example.net/v1"}, {NULL, NULL}};
    begin(&bed, "openai", settings, "");
    assert_int_equal(check(&bed), CODE_OK);
    assert_true(sends_key(&bed)); /* The server's people named it. */
    assert_string_equal(bed.target.url, "https://proxy.example.net/v1/responses");
    bed.request.base_url = STR("https://other.example.net/v1");
    assert_false(sends_key(&bed));
    assert_string_equal(bed.target.url, "https://other.example.net/v1/responses");
    bed.request.base_url = STR("ftp://other.example.net");
    assert_int_equal(check(&bed), CODE_INVALID_ARGUMENT);
    bed.request.base_url = STR("http://169.254.169.254/v1");
    assert_int_equal(check(&bed), CODE_INVALID_ARGUMENT);
    arena_fini(&bed.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_goes_to_its_provider),
        cmocka_unit_test(a_key_goes_to_no_strangers_address),
        cmocka_unit_test(an_optional_key_is_kept),
        cmocka_unit_test(a_key_that_is_missing_or_garbled_is_refused),
        cmocka_unit_test(an_address_is_the_nearest_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
