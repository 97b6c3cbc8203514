/*
 * Goal:   damage of any kind is refused or reported; a short history is never served as whole.
 * Method: this program, run again as a child, fills a folder and dies without closing it; the
 *         folder is then damaged in one way, opened and read to its end.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <rocksdb/c.h>

#include "tests/contract/trap_store.h"

enum {
    PATH_BYTES = 512,
};

static char program[PATH_MAX];
static char folder[PATH_BYTES];

/* ---- The child ---- */

static int child_main(const char *path, uint32_t count, bool closes)
{
    struct store store;
    if (trap_try_open(path, &store).code != CODE_OK) {
        return 2;
    }
    for (uint32_t seq = 1; seq <= count; seq++) {
        if (trap_put_seq(&store, seq).code != CODE_OK) {
            return 3;
        }
    }
    if (closes) {
        store_close(&store);
    }
    _exit(0);
}

static int run_child(const char *path, uint32_t count, bool closes)
{
    char number[16];
    snprintf(number, sizeof(number), "%u", count);
    pid_t child = fork();
    if (child == 0) {
        execl(program, program, "fill", path, number, closes ? "close" : "die", (char *)NULL);
        _exit(127);
    }
    int exited = 0;
    assert_int_equal(waitpid(child, &exited, 0), child);
    return exited;
}

static void fill(uint32_t count, bool closes)
{
    assert_int_equal(run_child(folder, count, closes), 0);
}

static int clean_up(void **state)
{
    (void)state;
    char command[PATH_BYTES + 16];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

/* ---- Damage ---- */

static void path_in(const char *name, char ret[2 * PATH_BYTES])
{
    int len = snprintf(ret, 2 * PATH_BYTES, "%s/%s", folder, name);
    assert_true(len > 0 && len < 2 * PATH_BYTES);
}

/* The names that end so, sorted; how many there are. */
static size_t names(const char *end, char ret[64][64])
{
    struct dirent **entries = NULL;
    int all = scandir(folder, &entries, NULL, alphasort);
    size_t count = 0;
    assert_true(all >= 0);
    for (int i = 0; i < all; i++) {
        size_t len = strlen(entries[i]->d_name);
        if (len > strlen(end) && strcmp(entries[i]->d_name + len - strlen(end), end) == 0) {
            assert_true(count < 64);
            assert_true(len < 64);
            memcpy(ret[count++], entries[i]->d_name, len + 1);
        }
        free(entries[i]);
    }
    free(entries);
    return count;
}

static void last_log(char ret[2 * PATH_BYTES])
{
    char logs[64][64];
    size_t count = names(".log", logs);
    assert_true(count > 0);
    path_in(logs[count - 1], ret);
}

static off_t size_of(const char *path)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_size;
}

static void flip(const char *path, off_t at)
{
    char byte = 0;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte = (char)(byte ^ 0x10);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void append_bytes(const char *path, char byte, size_t count)
{
    FILE *file = fopen(path, "ab");
    assert_non_null(file);
    for (size_t i = 0; i < count; i++) {
        fputc(byte == '?' ? (int)(i * 37 % 251) : byte, file);
    }
    fclose(file);
}

/* ---- Logs ---- */

static void death_loses_nothing(void **state)
{
    (void)state;
    fill(200, false);
    trap_opens_with(folder, 200, 200);
}

static void flipped_bit_in_live_log_is_refused(void **state)
{
    (void)state;
    char log[2 * PATH_BYTES];
    fill(200, false);
    last_log(log);
    off_t at = size_of(log) / 2;
    flip(log, at);
    trap_refused(folder, CODE_DATA_LOSS, "acknowledged");
    /* Recovery has deleted that log; what was found is still there, and can be repaired. */
    char refused[2 * PATH_BYTES];
    char kept_log[4 * PATH_BYTES];
    path_in("refused", refused);
    snprintf(kept_log, sizeof(kept_log), "%s%s", refused, strrchr(log, '/'));
    trap_refused(folder, CODE_DATA_LOSS, "acknowledged");
    flip(kept_log, at);
    trap_opens_with(refused, 200, 200);
}

static void nothing_is_kept_when_all_is_well(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    struct stat info;
    fill(100, false);
    trap_opens_with(folder, 100, 100);
    path_in("before-recovery", path);
    assert_int_not_equal(stat(path, &info), 0);
    path_in("refused", path);
    assert_int_not_equal(stat(path, &info), 0);
}

static void torn_tail_is_accepted(void **state)
{
    (void)state;
    char log[2 * PATH_BYTES];
    fill(100, false);
    last_log(log);
    assert_int_equal(truncate(log, size_of(log) - 5), 0);
    trap_opens_with(folder, 99, 99);
}

static void zeros_after_the_tail_are_accepted(void **state)
{
    (void)state;
    char log[2 * PATH_BYTES];
    fill(100, false);
    last_log(log);
    append_bytes(log, '\0', 40000);
    trap_opens_with(folder, 100, 100);
}

static void garbage_after_the_tail_is_accepted(void **state)
{
    (void)state;
    char log[2 * PATH_BYTES];
    fill(100, false);
    last_log(log);
    append_bytes(log, '?', 3000);
    trap_opens_with(folder, 100, 100);
}

static void missing_log_is_refused(bool oldest)
{
    char logs[64][64];
    char path[2 * PATH_BYTES];
    fill(3000, false);
    size_t count = names(".log", logs);
    assert_true(count >= 2);
    path_in(logs[oldest ? 0 : count - 1], path);
    assert_int_equal(unlink(path), 0);
    trap_refused(folder, CODE_DATA_LOSS, "");
}

static void missing_oldest_log_is_refused(void **state)
{
    (void)state;
    missing_log_is_refused(true);
}

static void missing_newest_log_is_refused(void **state)
{
    (void)state;
    missing_log_is_refused(false);
}

/* ---- Tables ---- */

/* What a flipped byte did: refused at open, reported by the scan, or hit nothing that counts. */
static enum code open_and_read(uint32_t seq_expected)
{
    struct reading reading;
    struct store store;
    status opened = trap_try_open(folder, &store);
    if (opened.code != CODE_OK) {
        return opened.code;
    }
    status outcome = trap_read_all(&store, &reading);
    assert_false(reading.is_broken);
    if (outcome.code == CODE_OK) {
        assert_int_equal(reading.seq, seq_expected);
    } else {
        assert_non_null(strstr(outcome.why, "journal"));
    }
    store_close(&store);
    return outcome.code;
}

static void largest_table(char ret[2 * PATH_BYTES])
{
    char tables[64][64];
    size_t count = names(".sst", tables);
    off_t largest = -1;
    for (size_t i = 0; i < count; i++) {
        char path[2 * PATH_BYTES];
        path_in(tables[i], path);
        if (size_of(path) > largest) {
            largest = size_of(path);
            memcpy(ret, path, sizeof(path));
        }
    }
    assert_true(largest > 0);
}

static void damaged_table_is_never_a_short_history(void **state)
{
    (void)state;
    enum {
        FLIPS = 24,
        SEQS = 500
    };
    char table[2 * PATH_BYTES];
    int reported = 0;
    fill(SEQS, true);
    for (int i = 0; i < FLIPS; i++) {
        largest_table(table);
        off_t at = size_of(table) * i / FLIPS + 3;
        flip(table, at);
        enum code code = open_and_read(SEQS);
        assert_true(code == CODE_DATA_LOSS || code == CODE_OK);
        reported += code == CODE_DATA_LOSS;
        flip(table, at);
    }
    print_message("%d of %d flips reported, the others hit no data\n", reported, FLIPS);
    assert_true(reported >= FLIPS * 3 / 4);
    trap_opens_with(folder, SEQS, SEQS);
}

/* Large values lie in files of their own; damage there is as visible. */
static void damaged_large_value_is_reported(void **state)
{
    (void)state;
    enum {
        LARGE = 256 * 1024
    };
    char blobs[64][64];
    char path[2 * PATH_BYTES];
    struct store store;
    struct store_batch batch = {0};
    char *value = calloc(1, LARGE);
    assert_non_null(value);
    for (size_t i = 0; i < LARGE; i++) {
        value[i] = (char)(i * 2654435761u >> 13); /* Nothing compression would shrink away. */
    }
    assert_int_equal(trap_try_open(folder, &store).code, CODE_OK);
    store_batch_put(&batch, STORE_JOURNAL, STR("some key of a run, long enough"),
                    str_make(value, LARGE));
    assert_int_equal(store_commit(&store, &batch).code, CODE_OK);
    store_close(&store);
    assert_true(names(".blob", blobs) > 0);
    path_in(blobs[0], path);
    flip(path, size_of(path) / 2);
    assert_int_equal(trap_try_open(folder, &store).code, CODE_OK);
    struct arena arena;
    str found;
    arena_init(&arena, 0);
    assert_int_equal(
        store_get(&store, STORE_JOURNAL, STR("some key of a run, long enough"), &arena, &found)
            .code,
        CODE_DATA_LOSS);
    arena_fini(&arena);
    store_close(&store);
    store_batch_fini(&batch);
    free(value);
}

static void missing_table_is_refused(void **state)
{
    (void)state;
    char table[2 * PATH_BYTES];
    fill(500, true);
    largest_table(table);
    assert_int_equal(unlink(table), 0);
    trap_refused(folder, CODE_DATA_LOSS, folder);
}

static void missing_current_is_refused(void **state)
{
    (void)state;
    char current[2 * PATH_BYTES];
    char away[2 * PATH_BYTES];
    fill(100, true);
    path_in("CURRENT", current);
    path_in("AWAY", away);
    assert_int_equal(rename(current, away), 0);
    trap_refused(folder, CODE_DATA_LOSS, folder);
    assert_int_equal(rename(away, current), 0);
    trap_opens_with(folder, 100, 100);
}

/* ---- The manifest ---- */

static void manifest(char ret[2 * PATH_BYTES])
{
    char name[64] = {0};
    path_in("CURRENT", ret);
    int fd = open(ret, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t len = read(fd, name, sizeof(name) - 1);
    close(fd);
    assert_true(len > 1);
    name[len - 1] = '\0';
    path_in(name, ret);
}

static void garbage_after_the_manifest_is_cut_off(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill(3000, false);
    manifest(path);
    append_bytes(path, '?', 700);
    trap_opens_with(folder, 3000, 3000);
}

/* The library refuses a last record that was not written whole; without it all is there. */
static void torn_manifest_is_mended(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill(100, false);
    manifest(path);
    flip(path, size_of(path) - 1);
    trap_opens_with(folder, 100, 100);
    trap_opens_with(folder, 100, 100);
}

/* Where the damage is in the last record it looks like a torn tail and is cut off: then
 * everything must be there without it. */
static void damaged_manifest_loses_nothing(void **state)
{
    (void)state;
    enum {
        FLIPS = 12,
        SEQS = 1500
    };
    char path[2 * PATH_BYTES];
    int refused = 0;
    for (int i = 0; i < FLIPS; i++) {
        fill(SEQS, false);
        manifest(path);
        flip(path, i == 0 ? size_of(path) - 5 : size_of(path) * i / FLIPS);
        enum code code = open_and_read(SEQS);
        assert_true(code == CODE_DATA_LOSS || code == CODE_OK);
        refused += code == CODE_DATA_LOSS;
        (void)clean_up(NULL);
    }
    print_message("%d of %d refused, the others whole\n", refused, FLIPS);
    assert_true(refused >= FLIPS / 2);
}

/* ---- The watermark itself ---- */

static void missing_watermark_is_refused(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill(100, false);
    path_in("WATERMARK", path);
    assert_int_equal(unlink(path), 0);
    trap_refused(folder, CODE_DATA_LOSS, "WATERMARK");
    append_bytes(path, '\0', 0); /* An empty file: the operator's word. */
    trap_opens_with(folder, 100, 100);
}

static void torn_watermark_slot_is_survived(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    char log[2 * PATH_BYTES];
    fill(300, false);
    path_in("WATERMARK", path);
    last_log(log);
    flip(path, 14);
    flip(log, 2000);
    trap_refused(folder, CODE_DATA_LOSS, "acknowledged");
}

static void damaged_watermark_is_refused(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill(300, false);
    path_in("WATERMARK", path);
    flip(path, 14);
    flip(path, 4096 + 14);
    trap_refused(folder, CODE_DATA_LOSS, "WATERMARK is damaged");
    flip(path, 14);
    trap_opens_with(folder, 300, 300);
}

/* ---- Opening ---- */

static void second_open_is_refused(void **state)
{
    (void)state;
    struct store store;
    trap_must_open(folder, &store);
    trap_refused(folder, CODE_FAILED_PRECONDITION, folder);
    assert_int_equal(WEXITSTATUS(run_child(folder, 1, true)), 2);
    assert_int_equal(trap_put_seq(&store, 1).code, CODE_OK);
    store_close(&store);
    trap_opens_with(folder, 1, 1);
}

static void bad_paths_are_refused(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    struct store store;
    trap_must_open(folder, &store);
    store_close(&store);
    path_in("CURRENT", path);
    trap_refused(path, CODE_INVALID_ARGUMENT, "not a folder");
    path_in("CURRENT/below", path);
    trap_refused(path, CODE_INVALID_ARGUMENT, "cannot make");
    trap_refused("", CODE_INVALID_ARGUMENT, "path");
    path_in("some/levels/deep", path);
    trap_must_open(path, &store);
    store_close(&store);
}

/* A later release would add a table or raise the format; both look like this from here. */
static void newer_layout_is_refused(void **state)
{
    (void)state;
    char *error = NULL;
    size_t count = 0;
    struct store store;
    rocksdb_options_t *options = rocksdb_options_create();
    trap_must_open(folder, &store);
    store_close(&store);
    char **families = rocksdb_list_column_families(options, folder, &count, &error);
    assert_null(error);
    const rocksdb_options_t *each[32];
    rocksdb_column_family_handle_t *handles[33];
    assert_true(count < 32);
    for (size_t i = 0; i < count; i++) {
        each[i] = options;
    }
    rocksdb_t *db = rocksdb_open_column_families(
        options, folder, (int)count, (const char *const *)families, each, handles, &error);
    assert_null(error);
    handles[count] = rocksdb_create_column_family(db, options, "of_the_future", &error);
    assert_null(error);
    for (size_t i = 0; i <= count; i++) {
        rocksdb_column_family_handle_destroy(handles[i]);
    }
    rocksdb_close(db);
    rocksdb_list_column_families_destroy(families, count);
    rocksdb_options_destroy(options);
    trap_refused(folder, CODE_FAILED_PRECONDITION, "newer release");
}

/* As a release looks at it that knows no level but the first. */
static void what_is_of_a_newer_level_is_refused(void **state)
{
    (void)state;
    struct arena arena;
    struct store store;
    struct store_batch batch = {0};
    const struct rocksdb_store_options newer = {
        .path = folder, .free_bytes_soft = 1, .free_bytes_hard = 1, .level_max = 2};
    for (uint32_t level = 1; level <= 2; level++) {
        arena_init(&arena, 0);
        assert_int_equal(rocksdb_store_open(&newer, &arena, &store).code, CODE_OK);
        store_batch_put(&batch, STORE_META, STR("a"), STR("1"));
        store_batch_raise(&batch, level);
        assert_int_equal(store_commit(&store, &batch).code, CODE_OK);
        store_batch_reset(&batch);
        store_close(&store);
        arena_fini(&arena);
        if (level == 1) { /* Nothing new was written: it can go back. */
            trap_must_open(folder, &store);
            store_close(&store);
        }
    }
    store_batch_fini(&batch);
    trap_refused(folder, CODE_FAILED_PRECONDITION, "has format 2 and this release knows 1");
}

static void checkpoint_is_a_store(void **state)
{
    (void)state;
    char copy[2 * PATH_BYTES];
    struct store store;
    path_in("copy", copy);
    trap_must_open(folder, &store);
    for (uint32_t seq = 1; seq <= 100; seq++) {
        assert_int_equal(trap_put_seq(&store, seq).code, CODE_OK);
    }
    assert_int_equal(store_checkpoint(&store, copy).code, CODE_OK);
    assert_int_equal(store_checkpoint(&store, copy).code, CODE_ALREADY_EXISTS);
    assert_int_equal(trap_put_seq(&store, 101).code, CODE_OK);
    store_close(&store);
    trap_opens_with(copy, 100, 100);
    trap_opens_with(folder, 101, 101);
}

/* ---- ---- */

#define TRAP(function) cmocka_unit_test_setup_teardown(function, clean_up, clean_up)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TRAP(death_loses_nothing),
        TRAP(flipped_bit_in_live_log_is_refused),
        TRAP(nothing_is_kept_when_all_is_well),
        TRAP(torn_tail_is_accepted),
        TRAP(zeros_after_the_tail_are_accepted),
        TRAP(garbage_after_the_tail_is_accepted),
        TRAP(missing_oldest_log_is_refused),
        TRAP(missing_newest_log_is_refused),
        TRAP(damaged_table_is_never_a_short_history),
        TRAP(damaged_large_value_is_reported),
        TRAP(missing_table_is_refused),
        TRAP(missing_current_is_refused),
        TRAP(garbage_after_the_manifest_is_cut_off),
        TRAP(torn_manifest_is_mended),
        TRAP(damaged_manifest_loses_nothing),
        TRAP(missing_watermark_is_refused),
        TRAP(torn_watermark_slot_is_survived),
        TRAP(damaged_watermark_is_refused),
        TRAP(second_open_is_refused),
        TRAP(bad_paths_are_refused),
        TRAP(newer_layout_is_refused),
        TRAP(what_is_of_a_newer_level_is_refused),
        TRAP(checkpoint_is_a_store),
    };
    const char *base = getenv("TEST_TMPDIR");
    trap_init();
    if (argc == 5) {
        return child_main(argv[2], (uint32_t)strtoul(argv[3], NULL, 10),
                          strcmp(argv[4], "close") == 0);
    }
    snprintf(folder, sizeof(folder), "%s/traps.%d", base == NULL ? "/tmp" : base, (int)getpid());
    if (realpath("/proc/self/exe", program) == NULL) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
