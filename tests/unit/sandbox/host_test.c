/*
 * Goal:   options are checked, an answer is what somebody said, and what a model made of its folder
 *         goes with it.
 * Method: command lines and answers by hand; folders far deeper than there are descriptors, without
 *         rights, with links out.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/sandbox/host/approval.h"
#include "clients/sandbox/host/folders.h"
#include "clients/sandbox/host/settings.h"
#include "clients/sandbox/host/tools.h"
#include "service/base/json.h"

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

static status read_options(int argc, const char **argv, struct settings *ret)
{
    return settings_read(argc, (char **)argv, &arena, ret);
}

static void options_are_read(void **state)
{
    (void)state;
    struct settings settings;
    const char *argv[] = {"polos-sandbox", "--exec-security", "allowlist",   "--allow",
                          "npm *",         "--allow",         "ls",          "--env",
                          "A=b=c",         "--file-approval", "--calls-max", "7"};
    assert_int_equal(read_options(COUNT_OF(argv), argv, &settings).code, CODE_OK);
    assert_int_equal(settings.security, SECURITY_ALLOWLIST);
    assert_int_equal(settings.allowlist_count, 2);
    assert_true(str_is(settings.allowlist[0], "npm *"));
    assert_string_equal(settings.environment[0], "A");
    assert_string_equal(settings.environment[1], "b=c");
    assert_null(settings.environment[2]);
    assert_true(settings.asks_for_files);
    assert_int_equal(settings.calls_max, 7);
}

static void commands_ask_unless_something_else_is_said(void **state)
{
    (void)state;
    struct settings settings;
    const char *argv[] = {"polos-sandbox"};
    assert_int_equal(read_options(1, argv, &settings).code, CODE_OK);
    assert_int_equal(settings.security, SECURITY_ASK);
    assert_false(settings.asks_for_files);
    assert_int_equal(settings.exec_timeout_s, 300);
    assert_int_equal(settings.max_output_chars, 100000);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"--fly", "x"},
        {"--calls-max", "0"},
        {"--calls-max", "1001"},
        {"--calls-max", "-1"},
        {"--exec-timeout", "3601"},
        {"--exec-security", "x"},
        {"--env", "novalue"},
        {"--env", "=x"},
        {"--max-output-chars", "150001"},
        {"--calls-max", "two"},
        {"--file-approval", "--fly"},
        {"--allow", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct settings settings;
        const char *argv[] = {"polos-sandbox", wrong[i][0], wrong[i][1]};
        status outcome = read_options(wrong[i][1] == NULL ? 2 : 3, argv, &settings);
        assert_int_equal(outcome.code, CODE_INVALID_ARGUMENT);
        assert_non_null(outcome.why);
    }
}

static void an_answer_is_what_was_said(void **state)
{
    (void)state;
    struct approval yes = approval_read(
        STR("{\"data\":{\"approved\":true,\"allow_always\":true,\"feedback\":null}}"), &arena);
    struct approval no =
        approval_read(STR("{\"approved\":false,\"feedback\":\"not \\\"now\\\"\"}"), &arena);
    assert_true(yes.is_approved);
    assert_true(yes.is_for_always);
    assert_int_equal(yes.feedback.len, 0);
    assert_false(no.is_approved);
    assert_true(str_is(no.feedback, "not \"now\""));
    static const char *const others[] = {
        "null", "{}", "true", "{\"approved\":\"true\"}", "{\"approved\":1}", "[true]"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_false(approval_read(str_of(others[i]), &arena).is_approved);
    }
}

static void forms_are_json(void **state)
{
    (void)state;
    struct buf form = {0};
    str command = STR("echo \"x\" \x01\n'; rm");
    approval_ask_command(command, STR("/workspace"), "because", &form);
    assert_true(json_is_object(buf_str(&form)));
    buf_reset(&form);
    approval_ask_file("write", STR("{\"path\":\"a\"}"), &form);
    assert_true(json_is_object(buf_str(&form)));
    buf_reset(&form);
    approval_put_rejected_command(command, &(struct approval){.feedback = STR("no")}, &form);
    assert_true(json_is_object(buf_str(&form)));
    buf_fini(&form);
    assert_true(json_is_object(str_of(approval_schema)));
}

static void tools_are_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < TOOLS_COUNT; i++) {
        assert_true(json_is_object(str_of(tool_rows[i].parameters_json)));
        assert_ptr_equal(tools_find(tool_rows[i].name, strlen(tool_rows[i].name)), &tool_rows[i]);
    }
    assert_null(tools_find("fly", 3));
}

static const char *place(const char *name)
{
    const char *folder = getenv("TEST_TMPDIR");
    return arena_printf(&arena, "%s/%s", folder == NULL ? "/tmp" : folder, name).ptr;
}

/* Folders in folders in folders: far more than there may be descriptors or bytes in a path. */
static void make_deep(const char *path, int depth)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        int file = openat(fd, "f", O_CREAT | O_WRONLY, 0600);
        close(file);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = next;
    }
    close(fd);
}

static void folders_go_with_all_that_is_in_them(void **state)
{
    (void)state;
    const char *above = place("above");
    const char *kept = place("kept");
    const char *path;
    assert_int_equal(folders_make_above(above, &arena).code, CODE_OK);
    assert_int_equal(folders_make_above(kept, &arena).code, CODE_OK);
    close(open(arena_printf(&arena, "%s/file", kept).ptr, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(folders_make(above, "abc-1", 0, &arena, &path).code, CODE_OK);
    assert_int_equal(folders_make(above, "abc-1", 0, &arena, &path).code, CODE_OK);
    make_deep(path, 3000);
    assert_int_equal(symlink(kept, arena_printf(&arena, "%s/link", path).ptr), 0);
    assert_int_equal(mkdir(arena_printf(&arena, "%s/locked", path).ptr, 0700), 0);
    assert_int_equal(symlink(kept, arena_printf(&arena, "%s/locked/link", path).ptr), 0);
    assert_int_equal(chmod(arena_printf(&arena, "%s/locked", path).ptr, 0), 0);
    assert_true(folders_remove(above, "abc-1"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(arena_printf(&arena, "%s/file", kept).ptr, F_OK), 0);
    assert_false(folders_remove(above, "abc-1"));
}

static void names_are_no_paths(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".", "..", "a/b", "../kept", "a.b", "a b"};
    const char *path;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(folders_make(place("above"), names[i], 0, &arena, &path).code,
                         CODE_INVALID_ARGUMENT);
        assert_false(folders_remove(place("above"), names[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(commands_ask_unless_something_else_is_said),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(an_answer_is_what_was_said),
        cmocka_unit_test(forms_are_json),
        cmocka_unit_test(tools_are_json),
        cmocka_unit_test(folders_go_with_all_that_is_in_them),
        cmocka_unit_test(names_are_no_paths),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
