/*
 * Goal:   the library writes nothing into a log of its own when the disk fails: the packaged one
 *         aborts at the second line after one that could not be written.
 * Method: files of this process may only be so large, which is a disk that fails; then the log is
 *         looked through.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "tests/contract/trap_store.h"

enum {
    FILE_BYTES_MAX = 256 << 10,
    PUTS_MAX = 100000,
    LINE_BYTES = 4096,
};

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A line that is more than what every log begins with. */
static bool says_something(const char *path)
{
    char line[LINE_BYTES];
    bool ret = false;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (!ret && fgets(line, sizeof(line), file) != NULL) {
        ret = strstr(line, "[WARN") != NULL || strstr(line, "[ERROR") != NULL;
        if (ret) {
            print_message("%s: %s", path, line);
        }
    }
    fclose(file);
    return ret;
}

static void its_log_stays_silent(void **state)
{
    (void)state;
    char folder[LINE_BYTES / 2];
    struct store store;
    const char *base = getenv("TEST_TMPDIR");
    snprintf(folder, sizeof(folder), "%s/log-XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(folder));
    trap_must_open(folder, &store);
    limit_files(FILE_BYTES_MAX);
    uint32_t seq = 1;
    while (seq < PUTS_MAX && status_is_ok(trap_put_seq(&store, seq))) {
        seq++;
    }
    assert_true(seq < PUTS_MAX); /* It failed, ... */
    limit_files(RLIM_INFINITY);
    store_close(&store);
    DIR *dir = opendir(folder);
    size_t logs = 0;
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[LINE_BYTES];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (strncmp(entry->d_name, "LOG", 3) == 0) {
            assert_false(says_something(path)); /* ... and nothing is said of it there. */
            logs++;
        }
    }
    closedir(dir);
    assert_true(logs > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(its_log_stays_silent)};
    trap_init();
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
