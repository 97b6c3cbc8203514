/*
 * Goal:   a folder as it was found is kept until the store proved whole, and the first refused
 *         state is the one that stays.
 * Method: folders of plain files with the names of a store's; what is in them afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/kept.h"

enum {
    PATH_BYTES = 256,
};

static char folder[PATH_BYTES / 2];

static const char *path_of(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static bool is_there(const char *name)
{
    struct stat info;
    return lstat(path_of(name), &info) == 0;
}

static bool says(const char *name, const char *text)
{
    char got[64] = {0};
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    size_t len = fread(got, 1, sizeof(got) - 1, file);
    fclose(file);
    return len == strlen(text) && strcmp(got, text) == 0;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/kept.XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[PATH_BYTES];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void a_store_with_a_log_is_kept(void **state)
{
    (void)state;
    write_file("000004.log", "log");
    write_file("000005.sst", "table");
    write_file("CURRENT", "MANIFEST-000003");
    write_file("LOG", "talk");
    write_file("LOG.old.17", "talk");
    write_file("LOCK", "");
    assert_int_equal(mkdir(path_of("checkpoints"), 0700), 0);
    kept_save(folder);
    assert_true(says("before-recovery/000004.log", "log"));
    assert_true(says("before-recovery/000005.sst", "table"));
    assert_true(says("before-recovery/CURRENT", "MANIFEST-000003"));
    /* What is no part of the store's state is not. */
    assert_false(is_there("before-recovery/LOG"));
    assert_false(is_there("before-recovery/LOG.old.17"));
    assert_false(is_there("before-recovery/LOCK"));
    assert_false(is_there("before-recovery/checkpoints"));
    /* One that was interrupted kept the older state, before recovery touched it. */
    assert_int_equal(unlink(path_of("000004.log")), 0);
    write_file("000004.log", "what recovery made of it");
    write_file("000006.sst", "later");
    kept_save(folder);
    assert_true(says("before-recovery/000004.log", "log"));
    assert_true(says("before-recovery/000006.sst", "later"));
    kept_drop(folder);
    assert_false(is_there("before-recovery"));
    assert_true(is_there("000004.log") && is_there("000005.sst") && is_there("CURRENT"));
}

static void nothing_is_kept_where_recovery_deletes_nothing(void **state)
{
    (void)state;
    kept_save(folder);
    assert_false(is_there("before-recovery"));
    write_file("000004.log", "");
    write_file("log", "no log of the store");
    write_file("000005.sst", "table");
    kept_save(folder);
    assert_false(is_there("before-recovery"));
    kept_drop(folder);
    kept_refuse(folder);
    assert_false(is_there("refused"));
    kept_save("/tmp/no/such/folder");
    kept_drop("/tmp/no/such/folder");
    kept_refuse("/tmp/no/such/folder");
}

static void the_first_refused_state_stays(void **state)
{
    (void)state;
    write_file("000004.log", "first");
    kept_save(folder);
    kept_refuse(folder);
    assert_false(is_there("before-recovery"));
    assert_true(says("refused/000004.log", "first"));
    assert_int_equal(unlink(path_of("000004.log")), 0);
    write_file("000004.log", "second");
    kept_save(folder);
    kept_refuse(folder);
    assert_false(is_there("before-recovery"));
    assert_true(says("refused/000004.log", "first"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_store_with_a_log_is_kept, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(nothing_is_kept_where_recovery_deletes_nothing, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_first_refused_state_stays, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
