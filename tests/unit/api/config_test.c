/*
 * Goal:   every setting comes from the table: default, variable, option, limits, help, page.
 * Method: a made-up environment; each kind of mistake has to name what is wrong. The page
 *         docs/configuration.md is compared with what the table prints.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/config.h"

static const char *variable_name;
static const char *variable_value;

static const char *lookup(const char *name)
{
    return variable_name != NULL && strcmp(name, variable_name) == 0 ? variable_value : NULL;
}

struct outcome_of_read {
    struct arena arena;
    struct config config;
    enum config_action action;
    status status;
};

static struct outcome_of_read read_all(const char *const *arguments, size_t count)
{
    struct outcome_of_read ret = {.action = CONFIG_SERVE};
    arena_init(&ret.arena, 0);
    ret.status = config_read(arguments, count, lookup, &ret.arena, &ret.config, &ret.action);
    return ret;
}

static void set_variable(const char *name, const char *value)
{
    variable_name = name;
    variable_value = value;
}

static void defaults(void **state)
{
    (void)state;
    set_variable(NULL, NULL);
    struct outcome_of_read got = read_all(NULL, 0);
    assert_int_equal(got.status.code, CODE_OK);
    assert_int_equal(got.action, CONFIG_SERVE);
    assert_string_equal(got.config.listen, "127.0.0.1:8080");
    assert_string_equal(got.config.data, "./polos-data");
    assert_int_equal(got.config.log_level, LOG_INFO);
    assert_int_equal(got.config.lease_ms, 15000);
    assert_int_equal(got.config.run_timeout_ms, 24 * 3600 * 1000);
    assert_int_equal(got.config.free_bytes_soft, 1 << 30);
    assert_int_equal(got.config.model_attempts_max, 4);
    arena_fini(&got.arena);
}

static void option_wins_over_variable(void **state)
{
    (void)state;
    set_variable("POLOSD_RUN_TIMEOUT_MS", "7000");
    struct outcome_of_read got = read_all(NULL, 0);
    assert_int_equal(got.config.run_timeout_ms, 7000);
    arena_fini(&got.arena);
    const char *const arguments[] = {"--run-timeout-ms=8000", "--listen", "[::1]:0", "--log-level",
                                     "debug"};
    got = read_all(arguments, COUNT_OF(arguments));
    assert_int_equal(got.status.code, CODE_OK);
    assert_int_equal(got.config.run_timeout_ms, 8000);
    assert_string_equal(got.config.listen, "[::1]:0");
    assert_int_equal(got.config.log_level, LOG_DEBUG);
    arena_fini(&got.arena);
}

static void bounds_are_taken(void **state)
{
    (void)state;
    set_variable(NULL, NULL);
    static const char *const arguments[] = {"--threads=64", "--drain-ms=0", "--lease-ms=100",
                                            "--log-level=error"};
    struct outcome_of_read got = read_all(arguments, COUNT_OF(arguments));
    assert_int_equal(got.status.code, CODE_OK);
    assert_int_equal(got.config.threads, 64);
    assert_int_equal(got.config.drain_ms, 0);
    assert_int_equal(got.config.lease_ms, 100);
    assert_int_equal(got.config.log_level, LOG_ERROR);
    arena_fini(&got.arena);
    static const char *const others[] = {"--threads=1", "--drain-ms=3600000", "--log-level=warn",
                                         "--free-bytes-hard=7", "--free-bytes-soft=7"};
    got = read_all(others, COUNT_OF(others));
    assert_int_equal(got.status.code, CODE_OK);
    assert_int_equal(got.config.threads, 1);
    assert_int_equal(got.config.drain_ms, 3600000);
    assert_int_equal(got.config.log_level, LOG_WARN);
    arena_fini(&got.arena);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    set_variable(NULL, NULL);
    static const struct {
        const char *arguments[4];
        const char *why;
    } rows[] = {
        {{"--prot", "80"}, "there is no option \"--prot\"; polosd --help lists them all"},
        {{"serve"}, "there is no option \"serve\"; polosd --help lists them all"},
        {{"--"}, "there is no option \"--\"; polosd --help lists them all"},
        {{"--listen"}, "--listen takes a value"},
        {{"--data="}, "--data may not be empty"},
        {{"--threads", "zero"}, "--threads takes a whole number from 1 to 64, not \"zero\""},
        {{"--drain-ms="}, "--drain-ms takes a whole number from 0 to 3600000, not \"\""},
        {{"--drain-ms=3600001"},
         "--drain-ms takes a whole number from 0 to 3600000, not \"3600001\""},
        {{"--drain-ms=1:"}, "--drain-ms takes a whole number from 0 to 3600000, not \"1:\""},
        {{"--drain-ms=/"}, "--drain-ms takes a whole number from 0 to 3600000, not \"/\""},
        {{"--threads=65"}, "--threads takes a whole number from 1 to 64, not \"65\""},
        {{"--threads=0"}, "--threads takes a whole number from 1 to 64, not \"0\""},
        {{"--threads=-1"}, "--threads takes a whole number from 1 to 64, not \"-1\""},
        {{"--threads="}, "--threads takes a whole number from 1 to 64, not \"\""},
        {{"--lease-ms=99"}, "--lease-ms takes a whole number from 100 to 86400000, not \"99\""},
        {{"--lease-ms=18446744073709551616"},
         "--lease-ms takes a whole number from 100 to 86400000, not \"18446744073709551616\""},
        {{"--log-level=loud"}, "--log-level takes debug, info, warn or error, not \"loud\""},
        {{"--free-bytes-hard=2", "--free-bytes-soft=1"},
         "free-bytes-hard may not be more than free-bytes-soft"},
        {{"--input-bytes-max=4194304"}, "input-bytes-max has to be less than message-bytes-max"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t count = 0;
        while (count < COUNT_OF(rows[i].arguments) && rows[i].arguments[count] != NULL) {
            count++;
        }
        struct outcome_of_read got = read_all(rows[i].arguments, count);
        assert_int_equal(got.status.code, CODE_INVALID_ARGUMENT);
        assert_string_equal(got.status.why, rows[i].why);
        arena_fini(&got.arena);
    }
}

static void a_bad_variable_is_named(void **state)
{
    (void)state;
    set_variable("POLOSD_THREADS", "many");
    struct outcome_of_read got = read_all(NULL, 0);
    assert_int_equal(got.status.code, CODE_INVALID_ARGUMENT);
    assert_string_equal(got.status.why,
                        "POLOSD_THREADS takes a whole number from 1 to 64, not \"many\"");
    arena_fini(&got.arena);
}

static void actions(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        enum config_action action;
    } rows[] = {
        {"--help", CONFIG_HELP},
        {"-h", CONFIG_HELP},
        {"--help=markdown", CONFIG_HELP_MARKDOWN},
        {"--version", CONFIG_VERSION},
    };
    set_variable("POLOSD_THREADS", "many"); /* Help is given whatever is wrong. */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct outcome_of_read got = read_all(&rows[i].argument, 1);
        assert_int_equal(got.status.code, CODE_OK);
        assert_int_equal(got.action, rows[i].action);
        arena_fini(&got.arena);
    }
}

static void help_lists_every_row(void **state)
{
    (void)state;
    struct buf help = {0};
    config_help(&help);
    buf_put_char(&help, '\0');
    assert_non_null(strstr(help.ptr, "--model-retry-after-max-ms"));
    assert_non_null(strstr(help.ptr, "Default: 127.0.0.1:8080"));
    buf_fini(&help);
}

static void page_is_what_the_table_prints(void **state)
{
    (void)state;
    FILE *file = fopen("docs/configuration.md", "rb");
    assert_non_null(file);
    static char text[64 * 1024];
    size_t len = fread(text, 1, sizeof(text), file);
    fclose(file);
    struct buf page = {0};
    config_help_markdown(&page);
    assert_int_equal(len, page.len);
    assert_memory_equal(text, page.ptr, len);
    buf_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(option_wins_over_variable),
        cmocka_unit_test(bounds_are_taken),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_bad_variable_is_named),
        cmocka_unit_test(actions),
        cmocka_unit_test(help_lists_every_row),
        cmocka_unit_test(page_is_what_the_table_prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
