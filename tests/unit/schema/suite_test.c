/*
 * Goal:   the validator agrees with the official tests of draft 2020-12, or refuses by name.
 * Method: each file of the suite is read, each group's schema is taken or refused, each value
 * judged. unsupported.txt names the groups that are refused: all others must agree, and each that
 * is named must still be refused for the words it says.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/buf.h"
#include "service/schema/schema.h"
#include "service/schema/value.h"

#define FOLDER "tests/fixtures/json_schema"
#define LIST "tests/unit/schema/unsupported.txt"

/* What has been seen of the whole suite. */
struct tally {
    str unsupported; /* The list's text. */
    size_t tests;
    size_t groups_refused;
    size_t faults;
};

static str read_file(const char *path, struct arena *arena)
{
    char bytes[4096];
    struct buf text = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s cannot be read", path);
    }
    for (size_t count; (count = fread(bytes, 1, sizeof(bytes), file)) > 0;) {
        buf_put(&text, str_make(bytes, count));
    }
    fclose(file);
    return buf_finish(&text, arena);
}

static bool is_listed(const struct tally *tally, str line)
{
    struct buf wanted = {0};
    buf_printf(&wanted, "\n" STR_FMT "\n", STR_ARG(line));
    bool found = memmem(tally->unsupported.ptr, tally->unsupported.len, wanted.ptr, wanted.len);
    buf_fini(&wanted);
    return found;
}

static bool is_named_refusal(const char *why)
{
    return strstr(why, "not supported") != NULL || strstr(why, "/$schema: must be") != NULL;
}

static void fault(struct tally *tally, str line, str test, const char *why)
{
    tally->faults++;
    print_error(STR_FMT " | " STR_FMT " | %s\n", STR_ARG(line), STR_ARG(test),
                why == NULL ? "fits" : why);
}

static void judge_group(struct tally *tally, const struct value *group, str line,
                        struct arena *arena)
{
    struct schema *schema;
    const struct value *tests = value_member(group, STR("tests"));
    status read = schema_read(value_member(group, STR("schema"))->raw, arena, &schema);
    bool is_refused = !status_is_ok(read);
    if (is_refused != is_listed(tally, line) || (is_refused && !is_named_refusal(read.why))) {
        fault(tally, line, STR("the schema"), read.why);
    }
    tally->groups_refused += is_refused;
    for (const struct value *test = tests->first; test != NULL && !is_refused; test = test->next) {
        status judged = schema_judge(schema, value_member(test, STR("data"))->raw, "value", arena);
        if (status_is_ok(judged) != value_member(test, STR("valid"))->is_true) {
            fault(tally, line, value_member(test, STR("description"))->text, judged.why);
        }
        tally->tests++;
    }
}

static void judge_file(struct tally *tally, const char *folder, const char *name)
{
    struct arena arena;
    struct value *groups;
    arena_init(&arena, 0);
    str path = arena_printf(&arena, "%s/%s", folder, name);
    status read = value_read(read_file(path.ptr, &arena), &arena, &groups);
    assert_true(status_is_ok(read));
    for (const struct value *group = groups->first; group != NULL; group = group->next) {
        str title = value_member(group, STR("description"))->text;
        judge_group(tally, group, arena_printf(&arena, "%s: " STR_FMT, name, STR_ARG(title)),
                    &arena);
    }
    arena_fini(&arena);
}

static void judge_folder(struct tally *tally, const char *folder)
{
    DIR *files = opendir(folder);
    assert_non_null(files);
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        size_t len = strlen(file->d_name);
        if (len > 5 && strcmp(file->d_name + len - 5, ".json") == 0) {
            judge_file(tally, folder, file->d_name);
        }
    }
    closedir(files);
}

static size_t count_lines(str text)
{
    size_t count = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        count += text.ptr[i] == '\n' && text.ptr[i + 1] != '#' && text.ptr[i + 1] != '\n';
    }
    return count;
}

static void test_agrees_with_the_suite(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    struct tally tally = {.unsupported = read_file(LIST, &arena)};
    judge_folder(&tally, FOLDER);
    judge_folder(&tally, FOLDER "/optional");
    print_message("%zu tests, %zu groups refused by name\n", tally.tests, tally.groups_refused);
    assert_int_equal(tally.faults, 0);
    assert_true(tally.tests > 1000);
    assert_int_equal(tally.groups_refused, count_lines(tally.unsupported));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_agrees_with_the_suite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
