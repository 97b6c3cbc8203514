/*
 * Goal:   what the box is asked is checked whole, what it answers can be taken apart again, and an
 *         edit is exact.
 * Method: requests and texts by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clients/sandbox/box/edit.h"
#include "clients/sandbox/box/frame.h"
#include "clients/sandbox/box/kept.h"
#include "clients/sandbox/box/request.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void assert_str(str got, const char *wanted)
{
    assert_int_equal(got.len, strlen(wanted));
    assert_memory_equal(got.ptr, wanted, got.len);
}

static void a_request_is_read(void **state)
{
    (void)state;
    struct request request;
    str text =
        STR("{\"tool\":\"exec\",\"workspace\":\"/w\",\"words\":[\"a\",\"b c\"],\"timeout\":7,"
            "\"progress\":true,\"arguments\":{\"command\":\"a 'b c'\",\"cwd\":null,"
            "\"env\":{\"A\":\"1\"},\"stdin\":\"x\\u0000y\",\"unknown\":[1]}}");
    assert_int_equal(request_read(text, &arena, &request).code, CODE_OK);
    assert_int_equal(request.tool, TOOL_EXEC);
    assert_str(request.workspace, "/w");
    assert_str(request.root, "/w");
    assert_int_equal(request.words.count, 2);
    assert_str(request.words.items[1], "b c");
    assert_int_equal(request.timeout_s, 7);
    assert_int_equal(request.max_output_chars, KEPT_CHARS_DEFAULT);
    assert_true(request.shows_progress);
    assert_str(request.command, "a 'b c'");
    assert_int_equal(request.cwd.len, 0);
    assert_int_equal(request.environment_count, 1);
    assert_string_equal(request.environment[0].value, "1");
    assert_int_equal(request.input.len, 3);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct request request;
    str text = STR("{\"tool\":\"exec\",\"workspace\":\"/w\",\"max_output_chars\":99999999,"
                   "\"timeout\":5,\"arguments\":{\"command\":\"x\",\"timeout\":\"999999\"}}");
    assert_int_equal(request_read(text, &arena, &request).code, CODE_OK);
    assert_int_equal(request.max_output_chars, KEPT_CHARS_MAX);
    assert_int_equal(request.timeout_s, REQUEST_TIMEOUT_S_MAX);
}

static const struct {
    const char *text;
    const char *why;
} refused[] = {
    {"[]", "The request is no JSON object."},
    {"{}", "The request names no tool."},
    {"{\"tool\":\"fly\"}", "There is no tool \"fly\"."},
    {"{\"tool\":\"read\"}", "The request needs \"workspace\", a string without U+0000."},
    {"{\"tool\":\"read\",\"workspace\":\"w\",\"arguments\":{\"path\":\"a\"}}",
     "The workspace and the root have to be absolute paths."},
    {"{\"tool\":\"read\",\"workspace\":\"/w\",\"arguments\":7}",
     "The arguments of read have to be a JSON object."},
    {"{\"tool\":\"read\",\"workspace\":\"/w\",\"arguments\":{\"path\":\"a\\u0000\"}}",
     "read takes as \"path\", a string without U+0000."},
    {"{\"tool\":\"write\",\"workspace\":\"/w\",\"arguments\":{\"path\":\"a\"}}",
     "write needs \"content\", a string."},
    {"{\"tool\":\"grep\",\"workspace\":\"/w\",\"arguments\":{\"pattern\":\"a\",\"include\":\"b\"}}",
     "grep takes as \"include\", a list of at most 256 strings."},
    {"{\"tool\":\"read\",\"workspace\":\"/w\",\"arguments\":{\"path\":\"a\",\"offset\":1.5}}",
     "read takes as \"offset\", a whole number from 0."},
};

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct request request;
        status outcome = request_read(str_of(refused[i].text), &arena, &request);
        assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
        assert_string_equal(outcome.why, refused[i].why);
    }
}

static void frames_are_taken_apart(void **state)
{
    (void)state;
    struct buf buf = {0};
    enum frame_kind kind;
    str body;
    bool is_broken;
    frame_put(&buf, FRAME_OUTPUT, STR("abc"));
    frame_put_failure(&buf, status_make(CODE_NOT_FOUND, "It is not there."));
    for (size_t len = 0; len < FRAME_HEAD_BYTES + 3; len++) {
        str part = str_make(buf.ptr, len);
        assert_false(frame_take(&part, &kind, &body, &is_broken));
        assert_false(is_broken);
    }
    str bytes = buf_str(&buf);
    assert_true(frame_take(&bytes, &kind, &body, &is_broken));
    assert_int_equal(kind, FRAME_OUTPUT);
    assert_str(body, "abc");
    assert_true(frame_take(&bytes, &kind, &body, &is_broken));
    assert_int_equal(kind, FRAME_FAILURE);
    assert_str(body, "{\"reason\":\"NOT_FOUND\",\"message\":\"It is not there.\"}");
    assert_int_equal(bytes.len, 0);
    buf_fini(&buf);
}

static void what_is_no_frame_is_told(void **state)
{
    (void)state;
    enum frame_kind kind;
    str body;
    bool is_broken;
    str unknown = STR("x\0\0\0\0");
    str large = STR("o\xff\xff\xff\xff");
    assert_false(frame_take(&unknown, &kind, &body, &is_broken));
    assert_true(is_broken);
    assert_false(frame_take(&large, &kind, &body, &is_broken));
    assert_true(is_broken);
}

static void an_edit_is_exact(void **state)
{
    (void)state;
    str edited;
    assert_int_equal(edit_text(STR("a b c"), STR("b"), STR("B2"), STR("f"), &arena, &edited).code,
                     CODE_OK);
    assert_str(edited, "a B2 c");
    assert_int_equal(edit_text(STR("abc"), STR("abc"), STR(""), STR("f"), &arena, &edited).code,
                     CODE_OK);
    assert_str(edited, "");
    status twice = edit_text(STR("aaa"), STR("aa"), STR("b"), STR("f"), &arena, &edited);
    assert_int_equal(twice.code, CODE_INVALID_ARGUMENT);
    assert_non_null(strstr(twice.why, "2 times"));
    assert_int_equal(edit_text(STR(""), STR("a"), STR("b"), STR("f"), &arena, &edited).code,
                     CODE_INVALID_ARGUMENT);
    assert_int_equal(edit_text(STR("a"), STR(""), STR("b"), STR("f"), &arena, &edited).code,
                     CODE_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read),        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(what_is_wrong_is_said),    cmocka_unit_test(frames_are_taken_apart),
        cmocka_unit_test(what_is_no_frame_is_told), cmocka_unit_test(an_edit_is_exact),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
