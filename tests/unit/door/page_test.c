/*
 * Goal: whoever asks by HTTP/1 gets a sentence, a load balancer the state, and what is no HTTP
 * nothing.
 * Method: requests as they come, whole and in pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/door/page.h"

/* The answer, to be freed. */
static char *answer(const char *request, bool is_serving)
{
    struct buf page = {0};
    assert_int_equal(page_answer(str_of(request), is_serving, &page), PAGE_ANSWERED);
    buf_put_char(&page, 0);
    return page.ptr;
}

static void check(const char *request, bool is_serving, const char *line, const char *text)
{
    char *page = answer(request, is_serving);
    assert_memory_equal(page, line, strlen(line));
    char *body = strstr(page, "\r\n\r\n");
    assert_non_null(body);
    if (text != NULL) {
        assert_string_equal(body + 4, text);
    } else {
        assert_non_null(strstr(body, "gRPC"));
    }
    assert_non_null(strstr(page, "Connection: close\r\n"));
    free(page);
}

static void test_health_says_the_state(void **state)
{
    (void)state;
    check("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", true, "HTTP/1.1 200 OK\r\n", "serving\n");
    check("GET /healthz?x=1 HTTP/1.0\n\n", true, "HTTP/1.1 200 OK\r\n", "serving\n");
    check("GET /healthz HTTP/1.1\r\n\r\n", false, "HTTP/1.1 503 Service Unavailable\r\n",
          "not serving\n");
}

static void test_all_else_is_told_what_is_spoken_here(void **state)
{
    (void)state;
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, "HTTP/1.1 404 Not Found\r\n", NULL);
    check("POST /healthzz HTTP/1.1\r\n\r\n{}", true, "HTTP/1.1 404 Not Found\r\n", NULL);
}

static void test_a_head_is_answered_without_a_body(void **state)
{
    (void)state;
    char *page = answer("HEAD /healthz HTTP/1.1\r\n\r\n", true);
    assert_non_null(strstr(page, "Content-Length: 8\r\n"));
    assert_string_equal(strstr(page, "\r\n\r\n"), "\r\n\r\n");
    free(page);
}

/* What has come so far is judged again with what comes. */
static void test_a_request_comes_in_pieces(void **state)
{
    (void)state;
    static const char request[] = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    struct buf page = {0};
    for (size_t len = 1; len < sizeof(request) - 1; len++) {
        assert_int_equal(page_answer(str_make(request, len), true, &page), PAGE_UNFINISHED);
    }
    assert_int_equal(page.len, 0);
    assert_int_equal(page_answer(str_of(request), true, &page), PAGE_ANSWERED);
    buf_fini(&page);
}

static void test_a_head_without_end_is_answered_at_the_limit(void **state)
{
    (void)state;
    struct buf request = {0};
    struct buf page = {0};
    buf_put(&request, STR("GET / HTTP/1.1\r\nX: "));
    while (request.len < PAGE_REQUEST_BYTES_MAX - 1) {
        buf_put_char(&request, 'x');
    }
    assert_int_equal(page_answer(buf_str(&request), true, &page), PAGE_UNFINISHED);
    buf_put_char(&request, 'x');
    assert_int_equal(page_answer(buf_str(&request), true, &page), PAGE_ANSWERED);
    buf_fini(&request);
    buf_fini(&page);
}

static void test_what_is_no_http_gets_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"\x16\x03",       " GET / HTTP/1.1",
                                        "get / HTTP/1.1", "ABCDEFGHIJKLMNOPQRSTUVW",
                                        "SSH-2.0-x",      "{}"};
    struct buf page = {0};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_int_equal(page_answer(str_of(texts[i]), true, &page), PAGE_NOT_HTTP);
    }
    assert_int_equal(page.len, 0);
    buf_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health_says_the_state),
        cmocka_unit_test(test_all_else_is_told_what_is_spoken_here),
        cmocka_unit_test(test_a_head_is_answered_without_a_body),
        cmocka_unit_test(test_a_request_comes_in_pieces),
        cmocka_unit_test(test_a_head_without_end_is_answered_at_the_limit),
        cmocka_unit_test(test_what_is_no_http_gets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
