/*
 * Goal:   a key goes to no address but those the server's people have named, however it is
 *         written.
 * Method: base URLs against one setting: its own URL, one that is set, named hosts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/llm/address.h"

#define S(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    } /* STR() is no constant. */

static const struct address_trust trust = {
    .row_url = S("https://api.openai.com/v1"),
    .set_url = S("http://gateway:8080/acme/openai?v=1"),
    .key_hosts = S(" models.example.com,10.0.0.7:9000 , [::1]:80,,:5,*.bad.example"),
};

static void test_trusted(void **state)
{
    static const char *const urls[] = {
        "https://api.openai.com/v1",
        "https://api.openai.com/v1/",
        "https://API.OpenAI.com:443/v1//",
        "http://gateway:8080/acme/openai?v=1",
        "http://Gateway:8080/acme/openai?v=1",
        "https://models.example.com",
        "https://MODELS.example.com/any/path?and=query",
        "http://models.example.com:1234/v1",
        "http://10.0.0.7:9000/v1",
        "https://10.0.0.7:9000/v1",
        "http://[::1]/v1",
        "http://[::1]:80/v1",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        if (!address_may_have_key(&trust, str_of(urls[i]))) {
            fail_msg("%s is refused", urls[i]);
        }
    }
}

static void test_not_trusted(void **state)
{
    static const char *const urls[] = {
        "",
        "https://",
        "https:///v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com/v2",
        "https://api.openai.com/v1/../v2",
        "https://api.openai.com/v1#",
        "https://api.openai.com/v1?to=evil.example",
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/api.openai.com/v1",
        "https://api.openai.com@evil.example/v1",
        "https://api.openai.com:443@evil.example/v1",
        "https://evil.example\\@api.openai.com/v1",
        "https://evil.example#@models.example.com/v1",
        "https://evil.example?models.example.com",
        "https://user:pass@models.example.com/v1",
        "https://models.example.com%2eevil.example/v1",
        "https://models.example.com.evil.example/v1",
        "https://xmodels.example.com/v1",
        "https://models.example.com./v1",
        "https://models.example.com:/v1",
        "https://models.example.com:0/v1",
        "https://models.example.com:65536/v1",
        "https://models.example.com:99999999999999/v1",
        "https://models.example.com:80x/v1",
        "https://models.example.com x/v1",
        "http://gateway:8080/evil/openai?v=1",
        "http://gateway:8080/acme/openai",
        "http://gateway/acme/openai?v=1",
        "https://gateway:8080/acme/openai?v=1",
        "http://10.0.0.7/v1",
        "http://10.0.0.7:900/v1",
        "http://[::1]:81/v1",
        "http://[::1/v1",
        "http://::1/v1",
        "https://[::1]/v1",
        "https://x.bad.example/v1",
        "https://*.bad.example/v1",
        "http://:5/v1",
        "ftp://models.example.com/v1",
        "models.example.com",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        if (address_may_have_key(&trust, str_of(urls[i]))) {
            fail_msg("%s is trusted", urls[i]);
        }
    }
}

static void test_nothing_is_set(void **state)
{
    struct address_trust none = {.row_url = STR_EMPTY};
    (void)state;
    assert_false(address_may_have_key(&none, STR("https://api.openai.com/v1")));
    assert_false(address_may_have_key(&none, STR("")));
    /* What people set counts as they wrote it, even where no rule can read it. */
    none.set_url = STR("https://user:pass@proxy/v1");
    assert_true(address_may_have_key(&none, STR("https://user:pass@proxy/v1")));
    assert_false(address_may_have_key(&none, STR("https://user:pass@proxy/v1/")));
}

static void test_host(void **state)
{
    (void)state;
    assert_true(str_is(address_host(STR("https://a.b:1/v1")), "a.b:1"));
    assert_true(str_is(address_host(STR("http://[::1]?x")), "[::1]"));
    assert_true(str_is(address_host(STR("https://a@b/v1")), ""));
    assert_true(str_is(address_host(STR("b/v1")), ""));
}

static void check_fault(const char *url, const char *expected)
{
    const char *fault = address_fault(str_of(url));
    if (expected == NULL ? fault != NULL : fault == NULL || strstr(fault, expected) == NULL) {
        fail_msg("%s: %s, expected %s", url, fault, expected);
    }
}

static void test_faults(void **state)
{
    (void)state;
    check_fault("http://x", NULL);
    check_fault("https://x.example:65535/v1?a=b", NULL);
    check_fault("http://user:pass@x:1/v1", NULL);
    check_fault("http://[::1]:8080/v1", NULL);
    check_fault("ftp://x", "https://");
    check_fault("", "https://");
    check_fault("http://", "no host");
    check_fault("http:///v1", "no host");
    check_fault("http://user@/v1", "no host");
    check_fault("http://[::1/v1", "no host");
    check_fault("http://?x", "no host");
    check_fault("http://x:65536", "port");
    check_fault("http://x:0", "port");
    check_fault("http://x:", "port");
    check_fault("http://x:1a/v1", "port");
    check_fault("http://x/v1#y", "fragment");
    check_fault("http://x/\r\nHost: y", "control");
    check_fault("http://%6cocalhost/", "no host");
    check_fault("http://x%2e/", "characters");
    check_fault("http://a\\@b/", NULL); /* Judged by where it leads. */
}

static void check_place(const char *url, const char *expected_host, uint16_t expected_port)
{
    str host;
    uint16_t port;
    assert_true(address_place(str_of(url), &host, &port));
    assert_true(str_is(host, expected_host));
    assert_int_equal(port, expected_port);
}

static void test_places(void **state)
{
    str host;
    uint16_t port;
    struct arena arena;
    (void)state;
    check_place("http://x/v1", "x", 80);
    check_place("https://x", "x", 443);
    check_place("http://a:b@c@[::1]:8080/v1@d", "[::1]", 8080);
    assert_false(address_place(STR("http://x:99999"), &host, &port));
    assert_true(address_listen(STR("127.0.0.1:0"), &host, &port));
    assert_true(str_is(host, "127.0.0.1") && port == 0);
    assert_true(address_listen(STR("[::1]:8080"), &host, &port));
    assert_true(str_is(host, "[::1]") && port == 8080);
    assert_false(address_listen(STR("unix:/tmp/x"), &host, &port));
    arena_init(&arena, 0);
    assert_true(str_is(address_shown(&arena, STR("https://u:p@x:1/v1?key=k")), "https://x:1/v1"));
    arena_fini(&arena);
}

static void test_named(void **state)
{
    struct address_trust named = trust;
    (void)state;
    named.model_hosts = STR("local, lan.example:9, private");
    assert_true(address_is_named(&named, STR("http://gateway:8080/other")));
    assert_true(address_is_named(&named, STR("http://api.openai.com:443/")));
    assert_true(address_is_named(&named, STR("http://lan.example:9/v1")));
    assert_true(address_is_named(&named, STR("http://models.example.com/v1")));
    assert_false(address_is_named(&named, STR("http://lan.example/v1")));
    assert_false(address_is_named(&named, STR("http://local/v1")));
    assert_false(address_is_named(&named, STR("http://private/v1")));
    assert_false(address_is_named(&named, STR("http://x@lan.example:9/v1")));
    assert_false(address_is_named(&named, STR("http://gateway/")));
    assert_true(address_list_has(named.model_hosts, "local"));
    assert_true(address_list_has(named.model_hosts, "private"));
    assert_false(address_list_has(named.model_hosts, "none"));
    assert_false(address_list_has(STR_EMPTY, "local"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),      cmocka_unit_test(test_places),
        cmocka_unit_test(test_named),       cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_not_trusted), cmocka_unit_test(test_nothing_is_set),
        cmocka_unit_test(test_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
