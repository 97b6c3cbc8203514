/*
 * Goal:   a store whose disk fails says so to each write and read, kills nobody, and goes on by
 *         itself when the disk is well again, with all that it had acknowledged.
 * Method: files of this process may be only so large, or not be written at all; the watermark's
 *         file descriptor leads to a device that is always full.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/contract/trap_store.h"

enum {
    PATH_BYTES = 512,
    FILE_BYTES_MAX = 256 << 10,
    PUTS_MAX = 100000,
    WATERMARK_COMMITS = 64,
};

static char folder[PATH_BYTES];

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TEST_TMPDIR");
    snprintf(folder, sizeof(folder), "%s/failing-XXXXXX", base == NULL ? "/tmp" : base);
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[PATH_BYTES + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Once it is open again, what was acknowledged is there, and what failed may be. */
static void a_write_that_failed_loses_no_other(void **state)
{
    (void)state;
    struct store store;
    struct reading reading;
    uint32_t seq = 0;
    trap_must_open(folder, &store);
    limit_files(FILE_BYTES_MAX);
    while (seq < PUTS_MAX && status_is_ok(trap_put_seq(&store, seq + 1))) {
        seq++;
    }
    assert_in_range(seq, 1, PUTS_MAX - 1);
    limit_files(RLIM_INFINITY);
    while (!status_is_ok(trap_put_seq(&store, seq + 1))) {
    }
    assert_int_equal(trap_read_all(&store, &reading).code, CODE_OK);
    assert_false(reading.is_broken);
    assert_int_equal(reading.seq, seq + 1);
    store_close(&store);
    trap_opens_with(folder, seq + 1, seq + 1);
}

/* The descriptor that the store writes the file of this name's end by. */
static int descriptor_of(const char *end)
{
    int found = -1;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char link[PATH_BYTES];
        char path[2 * PATH_BYTES];
        snprintf(link, sizeof(link), "/proc/self/fd/%.20s", entry->d_name);
        ssize_t len = readlink(link, path, sizeof(path) - 1);
        if (len >= (ssize_t)strlen(end) && strncmp(path, folder, strlen(folder)) == 0 &&
            memcmp(path + len - strlen(end), end, strlen(end)) == 0) {
            found = atoi(entry->d_name);
        }
    }
    closedir(dir);
    assert_true(found >= 0);
    return found;
}

/* From now on, writes to that descriptor find no space. */
static void fill_up(int descriptor)
{
    int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    assert_true(full >= 0);
    assert_true(dup2(full, descriptor) >= 0);
    close(full);
}

static void move(const char *from, const char *to)
{
    char paths[2][2 * PATH_BYTES];
    snprintf(paths[0], sizeof(paths[0]), "%s/%s", folder, from);
    snprintf(paths[1], sizeof(paths[1]), "%s/%s", folder, to);
    assert_int_equal(rename(paths[0], paths[1]), 0);
}

/* After a write that failed it is opened anew at once; where that fails too, it is tried again at
 * most once in a second, and everybody is told why meanwhile. */
static void a_store_that_cannot_be_opened_again_waits_for_its_disk(void **state)
{
    (void)state;
    struct store store;
    struct reading reading;
    uint32_t seq = 0;
    trap_must_open(folder, &store);
    assert_int_equal(trap_put_seq(&store, ++seq).code, CODE_OK);
    fill_up(descriptor_of(".log"));
    move("CURRENT", "AWAY");
    for (int i = 0; i < 3; i++) {
        status failed = trap_put_seq(&store, seq + 1);
        assert_int_equal(failed.code, CODE_DATA_LOSS);
        assert_non_null(strstr(failed.why, folder));
        assert_int_equal(trap_read_all(&store, &reading).code, CODE_DATA_LOSS);
    }
    move("AWAY", "CURRENT");
    while (!status_is_ok(trap_put_seq(&store, seq + 1))) {
    }
    assert_int_equal(trap_read_all(&store, &reading).code, CODE_OK);
    assert_int_equal(reading.seq, seq + 1);
    assert_false(reading.is_broken);
    store_close(&store);
    trap_opens_with(folder, seq + 1, seq + 1);
}

/* The write whose turn it was is on the disk all the same; none is taken after it. */
static void nothing_is_written_without_a_watermark(void **state)
{
    (void)state;
    struct store store;
    uint32_t seq = 0;
    trap_must_open(folder, &store);
    assert_int_equal(trap_put_seq(&store, ++seq).code, CODE_OK);
    int watermark = descriptor_of("/WATERMARK");
    int kept = dup(watermark);
    assert_true(kept >= 0);
    fill_up(watermark);
    status outcome = STATUS_OK;
    while (seq <= 2 * WATERMARK_COMMITS && status_is_ok(outcome)) {
        outcome = trap_put_seq(&store, seq + 1);
        seq += status_is_ok(outcome);
    }
    assert_int_equal(outcome.code, CODE_UNAVAILABLE);
    assert_non_null(strstr(outcome.why, "WATERMARK"));
    assert_true(seq <= WATERMARK_COMMITS);
    assert_int_equal(trap_put_seq(&store, seq + 1).code, CODE_UNAVAILABLE);
    assert_true(dup2(kept, watermark) >= 0);
    assert_int_equal(trap_put_seq(&store, ++seq).code, CODE_OK);
    close(kept);
    store_close(&store);
    trap_opens_with(folder, seq, seq);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_store_that_cannot_be_opened_again_waits_for_its_disk),
        TEST(a_write_that_failed_loses_no_other),
        TEST(nothing_is_written_without_a_watermark),
    };
    trap_init();
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
