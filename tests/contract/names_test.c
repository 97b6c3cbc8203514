/*
 * Goal:   what a store makes on the disk has a name that a power cut leaves: the folders above it,
 *         the folder, the watermark. And it makes nothing where somebody else's files are.
 * Method: the real functions in a folder of the test; fsync() is the test's own, and notes what is
 *         synced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/folder.h"
#include "storage/watermark.h"

enum {
    PATH_BYTES = 512,
    SYNCED_MAX = 64,
};

static char synced[SYNCED_MAX][PATH_BYTES];
static size_t synced_count;

/* In place of the C library's. */
int fsync(int fd)
{
    char link[64];
    assert_true(synced_count < SYNCED_MAX);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, synced[synced_count], PATH_BYTES - 1);
    assert_true(len > 0);
    synced[synced_count++][len] = '\0';
    return 0;
}

static bool is_synced(const char *path)
{
    for (size_t i = 0; i < synced_count; i++) {
        if (strcmp(synced[i], path) == 0) {
            return true;
        }
    }
    return false;
}

struct bed {
    struct arena arena;
    char root[PATH_BYTES];
};

static void begin(struct bed *bed)
{
    const char *folder = getenv("TEST_TMPDIR");
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/names-XXXXXX", folder == NULL ? "/tmp" : folder);
    assert_non_null(mkdtemp(path));
    assert_non_null(realpath(path, bed->root));
    arena_init(&bed->arena, 0);
    synced_count = 0;
}

static const char *below(struct bed *bed, const char *name)
{
    return arena_printf(&bed->arena, "%s/%s", bed->root, name).ptr;
}

static void write_file(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static void folders_above_have_durable_names(void **state)
{
    (void)state;
    struct bed bed;
    begin(&bed);
    assert_int_equal(folder_prepare(below(&bed, "a/b/c"), &bed.arena).code, CODE_OK);
    assert_true(is_synced(bed.root)); /* It holds the name of a, ... */
    assert_true(is_synced(below(&bed, "a"))); /* ... that of b, ... */
    assert_true(is_synced(below(&bed, "a/b"))); /* ... that of c. */
    /* Whoever made what is there may have died before its name was durable. */
    synced_count = 0;
    assert_int_equal(folder_prepare(below(&bed, "a/b/c"), &bed.arena).code, CODE_OK);
    assert_true(is_synced(bed.root) && is_synced(below(&bed, "a")) &&
                is_synced(below(&bed, "a/b")));
    arena_fini(&bed.arena);
}

static void the_watermark_has_a_durable_name(void **state)
{
    (void)state;
    struct bed bed;
    struct watermark_file file;
    struct watermark last;
    begin(&bed);
    assert_int_equal(watermark_open(bed.root, &bed.arena, &file, &last).code, CODE_OK);
    assert_true(is_synced(bed.root));
    watermark_close(&file);
    arena_fini(&bed.arena);
}

static void a_foreign_folder_is_left_alone(void **state)
{
    (void)state;
    struct bed bed;
    begin(&bed);
    write_file(below(&bed, "notes.txt"));
    assert_int_equal(folder_prepare(bed.root, &bed.arena).code, CODE_INVALID_ARGUMENT);
    write_file(below(&bed, "WATERMARK")); /* Of a store that lost the rest: it says so itself. */
    assert_int_equal(folder_prepare(bed.root, &bed.arena).code, CODE_OK);
    arena_fini(&bed.arena);
}

/* A process that died while it made a store has left some of these. */
static void a_store_half_made_is_no_foreign_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"LOCK", "LOG", "IDENTITY", "000001.dbtmp", "000004.log"};
    struct bed bed;
    begin(&bed);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        write_file(below(&bed, names[i]));
        synced_count = 0;
        assert_int_equal(folder_prepare(bed.root, &bed.arena).code, CODE_OK);
    }
    arena_fini(&bed.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_above_have_durable_names),
        cmocka_unit_test(the_watermark_has_a_durable_name),
        cmocka_unit_test(a_foreign_folder_is_left_alone),
        cmocka_unit_test(a_store_half_made_is_no_foreign_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
