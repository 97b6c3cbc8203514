/*
 * Goal:   on a full volume new work is refused early, reads go on, and writes go on by themselves
 *         when there is room.
 * Method: a small volume of our own, filled with a ballast file. Without the right to mount one
 *         the test says so and is skipped.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/contract/trap_store.h"

enum {
    PATH_BYTES = 512,
};

static char folder[PATH_BYTES];
static bool is_mounted;

enum {
    VOLUME_BYTES = 96 << 20,
    SOFT_BYTES = 64 << 20,
    HARD_BYTES = 32 << 20,
};

static bool mount_small_volume(void)
{
    /* As root a mount namespace is ours to have; otherwise a user namespace may give one. */
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        return false;
    }
    char size[32];
    snprintf(size, sizeof(size), "size=%d", VOLUME_BYTES);
    (void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    (void)mkdir(folder, 0700);
    return mount("tmpfs", folder, "tmpfs", 0, size) == 0;
}

/* Grows the ballast until only so much of the volume is free. */
static void leave_free(const char *ballast, uint64_t free_bytes)
{
    struct statvfs volume;
    struct stat info;
    int fd = open(ballast, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fstatvfs(fd, &volume), 0);
    assert_int_equal(fstat(fd, &info), 0);
    uint64_t now_free = (uint64_t)volume.f_bavail * volume.f_frsize;
    assert_true(now_free > free_bytes);
    off_t bytes = info.st_size + (off_t)(now_free - free_bytes);
    assert_int_equal(posix_fallocate(fd, 0, bytes), 0);
    close(fd);
}

static void check_full_disk(const char *path, const char *ballast)
{
    struct rocksdb_store_options options = trap_options(path);
    struct store_stats stats;
    struct reading reading;
    struct store store;
    struct arena arena;
    uint32_t seq = 0;
    status outcome = STATUS_OK;
    arena_init(&arena, 0);
    options.free_bytes_soft = SOFT_BYTES;
    options.free_bytes_hard = HARD_BYTES;
    assert_int_equal(rocksdb_store_open(&options, &arena, &store).code, CODE_OK);
    assert_int_equal(trap_put_seq(&store, ++seq).code, CODE_OK);
    store_stats(&store, &stats);
    assert_false(stats.is_low_on_space);
    leave_free(ballast, SOFT_BYTES - 1);
    store_stats(&store, &stats);
    assert_true(stats.is_low_on_space);
    assert_int_equal(trap_put_seq(&store, ++seq).code, CODE_OK);
    leave_free(ballast, HARD_BYTES - 1);
    for (int i = 0; i < 100 && outcome.code == CODE_OK; i++) {
        outcome = trap_put_seq(&store, ++seq);
    }
    assert_int_equal(outcome.code, CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(trap_put_seq(&store, seq).code, CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(trap_read_all(&store, &reading).code, CODE_OK);
    assert_int_equal(reading.seq, seq - 1);
    assert_int_equal(unlink(ballast), 0);
    assert_int_equal(trap_put_seq(&store, seq).code, CODE_OK);
    store_stats(&store, &stats);
    assert_false(stats.is_low_on_space);
    assert_int_equal(trap_read_all(&store, &reading).code, CODE_OK);
    assert_int_equal(reading.seq, seq);
    assert_false(reading.is_broken);
    store_close(&store);
    leave_free(ballast, HARD_BYTES / 4 - 1);
    assert_int_equal(rocksdb_store_open(&options, &arena, &store).code, CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(unlink(ballast), 0);
    trap_opens_with(path, seq, seq);
    arena_fini(&arena);
}

static void full_disk_is_refused_early(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    char ballast[2 * PATH_BYTES];
    if (!is_mounted) {
        print_message("skipped: no right to mount a small volume here\n");
        skip();
    }
    snprintf(path, sizeof(path), "%s/store", folder);
    snprintf(ballast, sizeof(ballast), "%s/ballast", folder);
    check_full_disk(path, ballast);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(full_disk_is_refused_early)};
    const char *base = getenv("TEST_TMPDIR");
    trap_init();
    snprintf(folder, sizeof(folder), "%s/full.%d", base == NULL ? "/tmp" : base, (int)getpid());
    /* A mount namespace must be entered before there are threads. */
    is_mounted = mount_small_volume();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (is_mounted) {
        (void)umount(folder);
    }
    (void)rmdir(folder);
    return failed;
}
