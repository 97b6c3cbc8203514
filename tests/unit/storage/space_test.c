/*
 * Goal:   writes stop at the hard floor of free space, go on as soon as there is room, and a small
 *         volume is told of.
 * Method: statvfs() is the test's own, with a volume of any size; it counts how often it is asked.
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
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/folder.h"
#include "storage/space.h"

enum {
    BLOCK_BYTES = 512,
    HARD_BYTES = 10 * BLOCK_BYTES,
    COMMITS_MAX = 32, /* Between two questions. */
};

static uint64_t free_blocks;
static uint64_t all_blocks;
static bool is_silent;
static size_t asked_count;

/* In place of the C library's. */
int statvfs(const char *restrict path, struct statvfs *restrict ret)
{
    asked_count++;
    if (is_silent || strcmp(path, "/volume") != 0) {
        errno = EIO;
        return -1;
    }
    *ret = (struct statvfs){.f_bsize = 1,
                            .f_frsize = BLOCK_BYTES,
                            .f_blocks = all_blocks,
                            .f_bfree = free_blocks + 7, /* Some are not ours to have. */
                            .f_bavail = free_blocks};
    return 0;
}

static int begin(void **state)
{
    (void)state;
    free_blocks = 1000;
    all_blocks = 2000;
    is_silent = false;
    asked_count = 0;
    return 0;
}

static struct space space_of_volume(void)
{
    return (struct space){.folder = "/volume", .free_bytes_hard = HARD_BYTES};
}

static void free_bytes_are_those_we_may_have(void **state)
{
    (void)state;
    assert_int_equal(space_free_bytes("/volume"), 1000 * BLOCK_BYTES);
    assert_int_equal(space_volume_bytes("/volume"), 2000 * BLOCK_BYTES);
    is_silent = true;
    assert_true(space_free_bytes("/volume") == UINT64_MAX);
    assert_true(space_volume_bytes("/volume") == UINT64_MAX);
    struct space space = space_of_volume();
    assert_true(space_allows(&space, 1 << 20)); /* A volume that says nothing is no full one. */
}

static void a_commit_must_leave_the_floor(void **state)
{
    (void)state;
    free_blocks = 10;
    struct space space = space_of_volume();
    assert_true(space_allows(&space, 0));
    space = space_of_volume();
    assert_false(space_allows(&space, 1));
    assert_false(space_allows(&space, 1)); /* Asked each time now, ... */
    free_blocks = 11;
    assert_true(space_allows(&space, BLOCK_BYTES)); /* ... so it is seen at once. */
}

static void a_volume_is_asked_after_some_commits_or_bytes(void **state)
{
    (void)state;
    struct space space = space_of_volume();
    assert_true(space_allows(&space, 1));
    assert_int_equal(asked_count, 1);
    free_blocks = 0;
    size_t allowed = 0;
    while (space_allows(&space, 1)) {
        allowed++;
        assert_true(allowed < COMMITS_MAX);
    }
    free_blocks = 4000;
    assert_true(space_allows(&space, 1));
    assert_int_equal(space.commits, 0);
    assert_int_equal(space.bytes, 0);
    free_blocks = 0;
    assert_false(space_allows(&space, 1 << 20));
    free_blocks = 4000;
    assert_true(space_allows(&space, 1));
    free_blocks = 0;
    (void)space_allows(&space, 1 << 19);
    assert_false(space_allows(&space, 1 << 19)); /* Two halves are as much as one. */
}

static void used_bytes_are_those_of_its_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/space.XXXXXX";
    char path[64];
    struct stat info;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(space_used_bytes(folder), 0);
    snprintf(path, sizeof(path), "%s/below", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(space_used_bytes(folder), 0); /* A folder is no file. */
    assert_int_equal(rmdir(path), 0);
    uint64_t bytes = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%d", folder, i);
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(posix_fallocate(fd, 0, 100000), 0);
        assert_int_equal(fstat(fd, &info), 0);
        bytes += (uint64_t)info.st_blocks * 512;
        close(fd);
    }
    assert_true(bytes >= 200000);
    assert_int_equal(space_used_bytes(folder), bytes);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%d", folder, i);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(space_used_bytes(folder), 0); /* It is gone. */
}

/* What is logged while the store is told how much must stay free. */
static bool warns(uint64_t free_bytes_soft)
{
    char line[1024] = {0};
    int error = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    assert_true(error >= 0 && file != NULL);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    folder_warn_of_volume("/volume", free_bytes_soft);
    assert_true(dup2(error, STDERR_FILENO) >= 0);
    close(error);
    rewind(file);
    size_t len = fread(line, 1, sizeof(line) - 1, file);
    fclose(file);
    return len > 0 && strstr(line, "volume_too_small") != NULL &&
           strstr(line, "data=/volume") != NULL && strstr(line, "holds 3 MiB") != NULL;
}

/* More must be free than the soft floor: a volume of just that size starts nothing either. */
static void a_volume_that_never_suffices_is_warned_of(void **state)
{
    (void)state;
    all_blocks = (3 << 20) / BLOCK_BYTES;
    assert_true(warns((3 << 20) + 1));
    assert_true(warns(3 << 20));
    assert_false(warns((3 << 20) - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(free_bytes_are_those_we_may_have, begin),
        cmocka_unit_test_setup(a_commit_must_leave_the_floor, begin),
        cmocka_unit_test_setup(a_volume_is_asked_after_some_commits_or_bytes, begin),
        cmocka_unit_test_setup(used_bytes_are_those_of_its_files, begin),
        cmocka_unit_test_setup(a_volume_that_never_suffices_is_warned_of, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
