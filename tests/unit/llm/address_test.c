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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_not_trusted),
        cmocka_unit_test(test_nothing_is_set),
        cmocka_unit_test(test_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
