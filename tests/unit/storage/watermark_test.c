/*
 * Goal:   the watermark last written is found again, and a torn write costs that one alone.
 * Method: a file of the test, its slots damaged one after the other; disks that refuse.
 */
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

#include "storage/watermark.h"

enum {
    PATH_BYTES = 128,
    SLOT_DISTANCE_BYTES = 4096,
    SLOT_BYTES = 512,
    HEAD_BYTES = 12,
};

static char folder[PATH_BYTES / 2];
static char path[PATH_BYTES];
static struct arena arena;
static bool fsync_fails;

/* In place of the C library's. */
int fsync(int fd)
{
    (void)fd;
    return fsync_fails ? -1 : 0;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/watermark.XXXXXX");
    arena_init(&arena, 0);
    fsync_fails = false;
    bool is_made = mkdtemp(folder) != NULL;
    snprintf(path, sizeof(path), "%s/" WATERMARK_NAME, folder);
    return is_made ? 0 : 1;
}

static int remove_folder(void **state)
{
    (void)state;
    arena_fini(&arena);
    (void)unlink(path);
    return rmdir(folder);
}

/* Opens, finds `last` and writes `next`, as a process does that dies then. */
static void write_after(uint64_t last, uint64_t next)
{
    struct watermark_file file;
    struct watermark found;
    assert_int_equal(watermark_open(folder, &arena, &file, &found).code, CODE_OK);
    assert_int_equal(found.sequence, last);
    assert_int_equal(found.commits, last * 10);
    assert_true(watermark_write(&file, &(struct watermark){next, next * 10}));
    watermark_close(&file);
    assert_int_equal(file.fd, -1);
}

static void flip(off_t at)
{
    char byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void what_was_written_last_is_found(void **state)
{
    (void)state;
    struct watermark_file file;
    struct watermark found;
    for (uint64_t sequence = 0; sequence < 5; sequence++) {
        write_after(sequence, sequence + 1);
    }
    assert_int_equal(watermark_open(folder, &arena, &file, &found).code, CODE_OK);
    for (uint64_t sequence = 6; sequence < 9; sequence++) {
        assert_true(watermark_write(&file, &(struct watermark){sequence, sequence * 10}));
    }
    watermark_close(&file);
    watermark_close(&file); /* Also of one that is closed. */
    write_after(8, 9);
}

/* Whichever slot it is in, and whether the process lived on or began anew before it wrote. */
static void a_torn_write_costs_that_one_alone(void **state)
{
    (void)state;
    write_after(0, 1);
    for (uint64_t sequence = 1; sequence < 5; sequence++) {
        write_after(sequence, sequence + 1);
        off_t newest = sequence % 2 == 0 ? 0 : SLOT_DISTANCE_BYTES;
        flip(newest + HEAD_BYTES);
        struct watermark_file file;
        struct watermark found;
        assert_int_equal(watermark_open(folder, &arena, &file, &found).code, CODE_OK);
        assert_int_equal(found.sequence, sequence);
        /* The next write goes to the damaged slot: the other is all there is. */
        assert_true(watermark_write(&file, &(struct watermark){sequence + 1, sequence * 10 + 10}));
        watermark_close(&file);
        flip(SLOT_DISTANCE_BYTES - newest + HEAD_BYTES);
        assert_int_equal(watermark_open(folder, &arena, &file, &found).code, CODE_OK);
        assert_int_equal(found.sequence, sequence + 1);
        watermark_close(&file);
        flip(SLOT_DISTANCE_BYTES - newest + HEAD_BYTES);
    }
}

/* So that later writes change no size and need no new block. */
static void both_slots_are_there_from_the_start(void **state)
{
    (void)state;
    struct watermark_file file;
    struct watermark found = {7, 7};
    struct stat info;
    assert_false(watermark_exists(folder));
    assert_int_equal(watermark_open(folder, &arena, &file, &found).code, CODE_OK);
    assert_int_equal(found.sequence, 0);
    assert_int_equal(found.commits, 0);
    assert_true(watermark_exists(folder));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, SLOT_DISTANCE_BYTES + SLOT_BYTES);
    assert_true(watermark_write(&file, &(struct watermark){1, 1}));
    assert_true(watermark_write(&file, &(struct watermark){2, 2}));
    watermark_close(&file);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, SLOT_DISTANCE_BYTES + SLOT_BYTES);
}

static void damage_of_any_kind_is_seen(void **state)
{
    (void)state;
    static const off_t places[] = {0, 3, 4, 7, 8, 11, HEAD_BYTES, HEAD_BYTES + 1};
    struct watermark_file file;
    struct watermark found;
    write_after(0, 1);
    write_after(1, 2);
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        flip(places[i]);
        flip(places[i] + SLOT_DISTANCE_BYTES);
        status opened = watermark_open(folder, &arena, &file, &found);
        assert_int_equal(opened.code, CODE_DATA_LOSS);
        assert_non_null(strstr(opened.why, path));
        flip(places[i]);
        flip(places[i] + SLOT_DISTANCE_BYTES);
    }
    write_after(2, 3);
    assert_int_equal(truncate(path, SLOT_BYTES - 1), 0); /* No slot is whole. */
    assert_int_equal(watermark_open(folder, &arena, &file, &found).code, CODE_DATA_LOSS);
}

static void a_disk_that_refuses_is_told(void **state)
{
    (void)state;
    struct watermark_file file;
    struct watermark found;
    status opened = watermark_open("/tmp/no/such/folder", &arena, &file, &found);
    assert_int_equal(opened.code, CODE_INVALID_ARGUMENT);
    assert_non_null(strstr(opened.why, "/tmp/no/such/folder/" WATERMARK_NAME));
    fsync_fails = true;
    opened = watermark_open(folder, &arena, &file, &found);
    assert_int_equal(opened.code, CODE_UNAVAILABLE);
    assert_non_null(strstr(opened.why, path));
    fsync_fails = false;
    assert_int_equal(watermark_open(folder, &arena, &file, &found).code, CODE_OK);
    watermark_close(&file);
    file = (struct watermark_file){open("/dev/full", O_RDWR | O_CLOEXEC), 0};
    assert_true(file.fd >= 0);
    assert_false(watermark_write(&file, &found));
    assert_int_equal(file.slot, 0); /* The other one is whole: it is not written next. */
    watermark_close(&file);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_was_written_last_is_found),
        IN_FOLDER(a_torn_write_costs_that_one_alone),
        IN_FOLDER(both_slots_are_there_from_the_start),
        IN_FOLDER(damage_of_any_kind_is_seen),
        IN_FOLDER(a_disk_that_refuses_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
