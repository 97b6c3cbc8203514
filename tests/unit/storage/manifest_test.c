/*
 * Goal:   a torn tail of RocksDB's list of files is cut off, and nothing else ever is.
 * Method: files put together record by record, in blocks, whole, cut and damaged.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/base/buf.h"
#include "service/base/crc32c.h"
#include "service/base/endian.h"
#include "storage/manifest.h"

enum {
    BLOCK_BYTES = 32768,
    HEAD_BYTES = 7,
    FULL = 1,
    FIRST = 2,
    MIDDLE = 3,
    LAST = 4,
};

static void put(struct buf *file, unsigned type, size_t bytes)
{
    char head[HEAD_BYTES];
    struct buf checked = {0};
    buf_put_char(&checked, (char)type);
    for (size_t i = 0; i < bytes; i++) {
        buf_put_char(&checked, (char)(i * 7 + type));
    }
    uint32_t crc = crc32c(0, buf_str(&checked));
    endian_put_le(head, (crc >> 15 | crc << 17) + 0xa282ead8u, 4);
    endian_put_le(head + 4, bytes, 2);
    buf_put(file, str_make(head, 6));
    buf_put(file, buf_str(&checked));
    buf_fini(&checked);
}

static void expect(const struct buf *file, size_t good, bool more_follows)
{
    bool follows = !more_follows;
    assert_int_equal(manifest_good_bytes(buf_str(file), &follows), good);
    assert_int_equal(follows, more_follows);
}

static void what_is_whole_is_good(void **state)
{
    (void)state;
    struct buf file = {0};
    expect(&file, 0, false);
    put(&file, FULL, 100);
    expect(&file, file.len, false);
    put(&file, FIRST, BLOCK_BYTES - file.len - HEAD_BYTES);
    put(&file, MIDDLE, BLOCK_BYTES - HEAD_BYTES);
    put(&file, LAST, 50);
    expect(&file, file.len, false);
    put(&file, FULL, 0);
    expect(&file, file.len, false);
    buf_fini(&file);
}

/* Too few bytes for a head are left in the block: zeros. */
static void a_blocks_end_is_passed(void **state)
{
    (void)state;
    for (size_t left = 1; left < HEAD_BYTES; left++) {
        struct buf file = {0};
        put(&file, FULL, BLOCK_BYTES - HEAD_BYTES - left);
        for (size_t i = 0; i < left; i++) {
            buf_put_char(&file, '\0');
        }
        put(&file, FULL, 10);
        expect(&file, file.len, false);
        buf_fini(&file);
    }
}

/* However much of a record is there, it ends before it; a record in several parts as one. */
static void a_torn_record_is_not_good(void **state)
{
    (void)state;
    struct buf file = {0};
    put(&file, FULL, 100);
    size_t first = file.len;
    put(&file, FIRST, BLOCK_BYTES - file.len - HEAD_BYTES);
    put(&file, MIDDLE, BLOCK_BYTES - HEAD_BYTES);
    put(&file, LAST, 50);
    size_t second = file.len;
    put(&file, FULL, 20);
    size_t end = file.len;
    for (size_t len = first + 1; len < second; len += len % BLOCK_BYTES < 200 ? 1 : 199) {
        file.len = len;
        expect(&file, first, false);
    }
    for (file.len = BLOCK_BYTES; file.len < second; file.len += BLOCK_BYTES) {
        expect(&file, first, false); /* All its parts are good, but the last is missing. */
    }
    for (file.len = second; file.len < end; file.len++) {
        expect(&file, second, false);
    }
    buf_fini(&file);
}

static void damage_before_a_good_record_is_no_torn_tail(void **state)
{
    (void)state;
    struct buf file = {0};
    put(&file, FULL, 10);
    size_t first = file.len;
    put(&file, FULL, 20);
    size_t second = file.len;
    put(&file, FULL, 30);
    file.ptr[second - 1] ^= 1;
    expect(&file, first, true);
    file.ptr[second - 1] ^= 1;
    file.ptr[file.len - 1] ^= 1;
    expect(&file, second, false);
    buf_fini(&file);
}

/* ---- In its folder ---- */

enum {
    SYNCED_MAX = 4,
};

static char folder[64];
static char synced[SYNCED_MAX][128];
static size_t synced_count;
static size_t synced_limit; /* The next one fails. */

/* In place of the C library's. */
int fsync(int fd)
{
    char link[64];
    assert_true(synced_count < SYNCED_MAX);
    if (synced_count == synced_limit) {
        return -1;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, synced[synced_count], sizeof(synced[0]) - 1);
    assert_true(len > 0);
    synced[synced_count++][len] = '\0';
    return 0;
}

static bool mend(size_t syncs)
{
    synced_count = 0;
    synced_limit = syncs;
    return manifest_mend(folder);
}

static void write_file(const char *name, str bytes)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), (ssize_t)bytes.len);
    close(fd);
}

static void expect_file(const char *name, str bytes)
{
    char path[128];
    char *got = malloc(bytes.len + 1);
    assert_non_null(got);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, bytes.len + 1), (ssize_t)bytes.len);
    assert_memory_equal(got, bytes.ptr, bytes.len);
    close(fd);
    free(got);
}

static void a_torn_tail_is_cut_off(void **state)
{
    (void)state;
    struct buf file = {0};
    put(&file, FULL, 10);
    size_t good = file.len;
    put(&file, FULL, 20);
    write_file("CURRENT", STR("MANIFEST-000005\n"));
    write_file("MANIFEST-000005", buf_str(&file));
    assert_false(mend(SYNCED_MAX)); /* It is whole. */
    expect_file("MANIFEST-000005", buf_str(&file));
    file.ptr[file.len - 1] ^= 1;
    write_file("MANIFEST-000005", buf_str(&file));
    assert_true(mend(SYNCED_MAX));
    expect_file("MANIFEST-000005", str_make(file.ptr, good));
    assert_false(mend(SYNCED_MAX));
    buf_fini(&file);
}

static void what_is_no_torn_tail_stays(void **state)
{
    (void)state;
    struct buf file = {0};
    put(&file, FULL, 10);
    put(&file, FULL, 20);
    file.ptr[HEAD_BYTES] ^= 1;
    write_file("CURRENT", STR("MANIFEST-000007\n"));
    write_file("MANIFEST-000007", buf_str(&file));
    assert_false(mend(SYNCED_MAX)); /* A good record follows. */
    expect_file("MANIFEST-000007", buf_str(&file));
    file.ptr[HEAD_BYTES] ^= 1;
    put(&file, FULL, 30);
    file.ptr[2 * HEAD_BYTES + 10] ^= 1;
    write_file("MANIFEST-000007", buf_str(&file));
    assert_false(mend(SYNCED_MAX)); /* As after what is in the middle. */
    expect_file("MANIFEST-000007", buf_str(&file));
    file.ptr[HEAD_BYTES] ^= 1;
    file.len = HEAD_BYTES + 10;
    write_file("MANIFEST-000007", buf_str(&file));
    assert_false(mend(SYNCED_MAX)); /* Nothing of it is good. */
    expect_file("MANIFEST-000007", buf_str(&file));
    buf_fini(&file);
}

/* A power cut finds the old one or the new one: never a new name for bytes that are not there. */
static void what_was_mended_outlives_a_power_cut(void **state)
{
    (void)state;
    char temporary[128];
    struct buf file = {0};
    snprintf(temporary, sizeof(temporary), "%s/manifest.mended", folder);
    put(&file, FULL, 10);
    size_t good = file.len;
    buf_put(&file, STR("torn"));
    write_file("CURRENT", STR("MANIFEST-000011"));
    write_file("MANIFEST-000011", buf_str(&file));
    assert_false(mend(0)); /* The disk did not take it, ... */
    expect_file("MANIFEST-000011", buf_str(&file)); /* ... so the old one stays. */
    assert_false(mend(1)); /* Its name is not sure. */
    write_file("MANIFEST-000011", buf_str(&file));
    assert_true(mend(2));
    assert_int_equal(synced_count, 2);
    assert_string_equal(synced[0], temporary);
    assert_string_equal(synced[1], folder);
    expect_file("MANIFEST-000011", str_make(file.ptr, good));
    buf_fini(&file);
}

/* Where CURRENT names none, or one elsewhere. */
static void only_a_manifest_in_the_folder_is_mended(void **state)
{
    (void)state;
    static const char *const names[] = {"", "OPTIONS-000005\n", "MANIFEST-/../MANIFEST-000009\n"};
    struct buf file = {0};
    put(&file, FULL, 10);
    buf_put(&file, STR("torn"));
    write_file("MANIFEST-000009", buf_str(&file));
    write_file("OPTIONS-000005", buf_str(&file));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        write_file("CURRENT", str_of(names[i]));
        assert_false(mend(SYNCED_MAX));
    }
    expect_file("MANIFEST-000009", buf_str(&file));
    expect_file("OPTIONS-000005", buf_str(&file));
    write_file("CURRENT", STR("MANIFEST-000009\n"));
    assert_true(mend(SYNCED_MAX));
    buf_fini(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_whole_is_good),
        cmocka_unit_test(a_blocks_end_is_passed),
        cmocka_unit_test(a_torn_record_is_not_good),
        cmocka_unit_test(damage_before_a_good_record_is_no_torn_tail),
        cmocka_unit_test(a_torn_tail_is_cut_off),
        cmocka_unit_test(what_is_no_torn_tail_stays),
        cmocka_unit_test(what_was_mended_outlives_a_power_cut),
        cmocka_unit_test(only_a_manifest_in_the_folder_is_mended),
    };
    snprintf(folder, sizeof(folder), "/tmp/manifest.XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command) == 0 ? failed : 1;
}
