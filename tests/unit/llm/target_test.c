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
#include "service/net/reach.h"

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

static void check_url(const char *base_url, const char *model, const char *url, const char *server)
{
    struct bed bed;
    struct set settings[] = {{"GEMINI_API_KEY", KEY}, {NULL, NULL}};
    begin(&bed, "gemini", settings, base_url);
    bed.request.model = str_of(model);
    target_make(&bed.rules, bed.row, &bed.request, &bed.arena, &bed.target);
    if (strcmp(bed.target.url, url) != 0 || !str_is(bed.target.server, server)) {
        fail_msg("%s: %s of " STR_FMT, base_url, bed.target.url, STR_ARG(bed.target.server));
    }
    arena_fini(&bed.arena);
}

/* The query of both is kept, a slash too many is not, and a model cannot leave its place. */
static void an_address_is_put_together(void **state)
{
    (void)state;
    check_url("http://h:1/v1beta", "m-1._~Z",
              "http://h:1/v1beta/models/m-1._~Z:streamGenerateContent?alt=sse", "http://h:1");
    check_url("https://h/v1//", "m", "https://h/v1/models/m:streamGenerateContent?alt=sse",
              "https://h");
    check_url("https://h/?a=1", "m", "https://h/models/m:streamGenerateContent?alt=sse&a=1",
              "https://h");
    check_url("https://h?", "m", "https://h/models/m:streamGenerateContent?alt=sse", "https://h");
    check_url("https://h", "../x?y\xc3\xa9",
              "https://h/models/..%2Fx%3Fy%C3%A9:"
              "streamGenerateContent?alt=sse",
              "https://h");
    struct bed bed;
    struct set settings[] = {{"OPENAI_API_KEY", KEY}, {NULL, NULL}};
    begin(&bed, "openai", settings, "https://h/v1?a=1");
    target_make(&bed.rules, bed.row, &bed.request, &bed.arena, &bed.target);
    assert_string_equal(bed.target.url, "https://h/v1/responses?a=1");
    arena_fini(&bed.arena);
}

/* Each provider wants its key in a header of another name. */
static void a_key_stands_in_the_providers_header(void **state)
{
    (void)state;
    static const struct {
        const char *provider;
        const char *setting;
        const char *header;
    } rows[] = {
        {"openai", "OPENAI_API_KEY", "Authorization: Bearer " KEY},
        {"anthropic", "ANTHROPIC_API_KEY", "x-api-key: " KEY},
        {"gemini", "GEMINI_API_KEY", "x-goog-api-key: " KEY},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bed bed;
        struct set settings[] = {{rows[i].setting, KEY}, {NULL, NULL}};
        begin(&bed, rows[i].provider, settings, "");
        target_make(&bed.rules, bed.row, &bed.request, &bed.arena, &bed.target);
        assert_string_equal(bed.target.headers[0], "Content-Type: application/json");
        assert_string_equal(bed.target.headers[1], "Accept: text/event-stream, application/json");
        assert_string_equal(bed.target.headers[bed.target.header_count - 1], rows[i].header);
        arena_fini(&bed.arena);
    }
}

static enum target_verdict judge(const char *listen, const char *model_hosts, bool is_strangers,
                                 const char *host, uint16_t port)
{
    const struct target_rules rules = {.listen = str_of(listen),
                                       .model_hosts = str_of(model_hosts)};
    struct sockaddr_storage address;
    assert_true(reach_parse(str_of(host), port, &address));
    return target_judge(&rules, is_strangers, (const struct sockaddr *)&address);
}

/* Its own people may send polosd wherever they like, but to itself. */
static void strangers_reach_no_inner_address(void **state)
{
    (void)state;
    static const char *const inner[] = {"127.0.0.1", "[::1]", "10.0.0.1", "192.168.1.1",
                                        "169.254.169.254"};
    for (size_t i = 0; i < COUNT_OF(inner); i++) {
        assert_int_equal(judge("", "", true, inner[i], 80), TARGET_REFUSED);
        assert_int_equal(judge("", "", false, inner[i], 80), TARGET_MAY);
    }
    assert_int_equal(judge("", "", true, "93.184.216.34", 80), TARGET_MAY);
    assert_int_equal(judge("", "private", true, "10.0.0.1", 80), TARGET_MAY_INNER);
    assert_int_equal(judge("", "private", true, "127.0.0.1", 80), TARGET_REFUSED);
    assert_int_equal(judge("", "private,local", true, "169.254.169.254", 80), TARGET_REFUSED);
    /* Local ones are for those who are on the machine themselves. */
    assert_int_equal(judge("", "local", true, "127.0.0.1", 80), TARGET_MAY);
    assert_int_equal(judge("unix:/run/polosd", "local", true, "127.0.0.1", 80), TARGET_MAY);
    assert_int_equal(judge("127.0.0.1:7777", "local", true, "127.0.0.1", 80), TARGET_MAY);
    assert_int_equal(judge("[::1]:7777", "local", true, "[::1]", 80), TARGET_MAY);
    assert_int_equal(judge("0.0.0.0:7777", "local", true, "127.0.0.1", 80), TARGET_REFUSED);
    assert_int_equal(judge("[::]:7777", "local", true, "127.0.0.1", 80), TARGET_REFUSED);
    assert_int_equal(judge("10.0.0.5:7777", "local", true, "127.0.0.1", 80), TARGET_REFUSED);
    assert_int_equal(judge("127.0.0.1:7777", "private", true, "127.0.0.1", 80), TARGET_REFUSED);
}

static void nobody_reaches_polosd_itself(void **state)
{
    (void)state;
    static const struct {
        const char *listen;
        const char *host;
        uint16_t port;
        bool is_own;
    } rows[] = {
        {"10.0.0.5:7777", "10.0.0.5", 7777, true},
        {"10.0.0.5:7777", "10.0.0.5", 7778, false},
        {"10.0.0.5:7777", "10.0.0.6", 7777, false},
        {"10.0.0.5:7777", "127.0.0.1", 7777, false},
        {"127.0.0.1:7777", "127.0.0.1", 7777, true},
        {"127.0.0.1:7777", "0.0.0.0", 7777, true}, /* It leads there. */
        {"127.0.0.1:7777", "[::]", 7777, true},
        {"127.0.0.1:7777", "10.0.0.5", 7777, false},
        {"[::1]:7777", "[::1]", 7777, true},
        {"[::1]:7777", "[::1]", 7778, false},
        {"0.0.0.0:7777", "127.0.0.1", 7777, true},
        {"0.0.0.0:7777", "[::1]", 7777, true},
        {"[::]:7777", "[::1]", 7777, true},
        {"[::]:7777", "127.0.0.1", 80, false},
        {"127.0.0.1:0", "127.0.0.1", 80, false},
        {"", "127.0.0.1", 7777, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum target_verdict verdict = judge(rows[i].listen, "", false, rows[i].host, rows[i].port);
        if ((verdict == TARGET_OWN) != rows[i].is_own) {
            fail_msg("%s and %s:%u: %d", rows[i].listen, rows[i].host, rows[i].port, (int)verdict);
        }
    }
}

static void a_refusal_says_what_to_set(void **state)
{
    (void)state;
    struct bed bed;
    struct set settings[] = {{"OPENAI_API_KEY", KEY}, {NULL, NULL}, {NULL, NULL}};
    begin(&bed, "openai", settings, "");
    str why = target_refusal(bed.row, STR("http://h"), TARGET_OWN, &bed.arena);
    assert_true(str_starts_with(why, STR("http://h is this polosd itself: set OPENAI_BASE_URL")));
    why = target_refusal(bed.row, STR("http://h"), TARGET_REFUSED, &bed.arena);
    assert_true(str_starts_with(why, STR("http://h leads to an address inside")));
    bed.request.base_url = STR("https://h.example.net/v1");
    status checked = target_check(&bed.rules, bed.row, &bed.request, &bed.arena);
    assert_non_null(strstr(checked.why, "add h.example.net to POLOSD_KEY_HOSTS"));
    bed.request.base_url = STR("http://10.0.0.1/v1");
    checked = target_check(&bed.rules, bed.row, &bed.request, &bed.arena);
    assert_int_equal(checked.code, CODE_INVALID_ARGUMENT);
    bed.rules.model_hosts = STR("private");
    settings[1] = (struct set){"POLOSD_KEY_HOSTS", "10.0.0.1"};
    assert_int_equal(check(&bed), CODE_OK);
    settings[0].value = NULL;
    checked = target_check(&bed.rules, bed.row, &bed.request, &bed.arena);
    assert_non_null(strstr(checked.why, "provider openai needs a key: set OPENAI_API_KEY"));
    arena_fini(&bed.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_put_together),
        cmocka_unit_test(a_key_stands_in_the_providers_header),
        cmocka_unit_test(strangers_reach_no_inner_address),
        cmocka_unit_test(nobody_reaches_polosd_itself),
        cmocka_unit_test(a_refusal_says_what_to_set),
        cmocka_unit_test(a_key_goes_to_its_provider),
        cmocka_unit_test(a_key_goes_to_no_strangers_address),
        cmocka_unit_test(an_optional_key_is_kept),
        cmocka_unit_test(a_key_that_is_missing_or_garbled_is_refused),
        cmocka_unit_test(an_address_is_the_nearest_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
