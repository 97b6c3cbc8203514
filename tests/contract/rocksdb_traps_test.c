/*
 * Goal:   damage of any kind is refused or reported; a short history is never served as whole.
 * Method: this program, run again as a child, fills a folder and dies without closing it; the
 *         folder is then damaged in one way, opened and read to its end.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <rocksdb/c.h>

#include "storage/keys.h"
#include "storage/rocksdb_store.h"

enum {
    VALUE_BYTES = 300,
    PATH_BYTES = 512,
};

static const struct key_space space = {0, 1};
static const uuid run = {{1, 2, 3}};
static char program[PATH_MAX];
static char folder[PATH_BYTES];

/* ---- A store, opened and read ---- */

static struct rocksdb_store_options small_options(const char *path)
{
    return (struct rocksdb_store_options){
        .path = path,
        .free_bytes_soft = 1,
        .free_bytes_hard = 1,
        .memtable_bytes = 256 << 10,
    };
}

static struct arena last_arena;

static status try_open(const char *path, struct store *ret)
{
    struct rocksdb_store_options options = small_options(path);

    arena_reset(&last_arena);
    status opened = rocksdb_store_open(&options, &last_arena, ret);
    if (opened.code != CODE_OK) {
        print_message("%s: %s\n", code_name(opened.code), opened.why);
    }
    return opened;
}

static void must_open(const char *path, struct store *ret)
{
    status opened = try_open(path, ret);

    assert_int_equal(opened.code, CODE_OK);
}

static void assert_refused(const char *path, enum code code, const char *part)
{
    struct store store;
    status opened = try_open(path, &store);

    assert_int_equal(opened.code, code);
    assert_non_null(strstr(opened.why, part));
}

static void fill_value(uint32_t seq, char ret[VALUE_BYTES])
{
    uint32_t state = seq * 2654435761u + 1;

    for (size_t i = 0; i < VALUE_BYTES; i++) {
        state = state * 1664525u + 1013904223u;
        ret[i] = (char)(state >> 24);
    }
}

static status put_seq(struct store *store, uint32_t seq)
{
    struct store_batch batch = {0};
    char key[KEY_BYTES_MAX];
    char value[VALUE_BYTES];

    fill_value(seq, value);
    store_batch_put(&batch, STORE_JOURNAL, key_journal(key, space, run, seq),
                    str_make(value, sizeof(value)));
    store_batch_put(&batch, STORE_RUNS, key_run(key, space, run), str_make(&seq, sizeof(seq)));
    status outcome = store_commit(store, &batch);
    store_batch_fini(&batch);
    return outcome;
}

struct reading {
    uint32_t seq; /* The last one seen. */
    bool is_broken; /* A gap, or a value that was never written. */
};

static bool read_one(void *context, str key, str value)
{
    struct reading *reading = (struct reading *)context;
    char expected[VALUE_BYTES];
    uint32_t seq = 0;

    if (!key_read_journal_seq(key, &seq) || seq != reading->seq + 1) {
        reading->is_broken = true;
    }
    fill_value(seq, expected);
    if (!str_equal(value, str_make(expected, sizeof(expected)))) {
        reading->is_broken = true;
    }
    reading->seq = seq;
    return true;
}

static status read_all(const struct store *store, struct reading *ret)
{
    char key[KEY_BYTES_MAX];

    *ret = (struct reading){0, false};
    return store_scan(store, STORE_JOURNAL, key_run(key, space, run), STR_EMPTY, false, SIZE_MAX,
                      read_one, ret);
}

static void assert_opens_with(const char *path, uint32_t seq_min, uint32_t seq_max)
{
    struct reading reading;
    struct store store;

    must_open(path, &store);
    assert_int_equal(read_all(&store, &reading).code, CODE_OK);
    store_close(&store);
    assert_false(reading.is_broken);
    assert_in_range(reading.seq, seq_min, seq_max);
}

/* ---- The child ---- */

static int child_main(const char *path, uint32_t count, bool closes)
{
    struct store store;

    if (try_open(path, &store).code != CODE_OK) {
        return 2;
    }
    for (uint32_t seq = 1; seq <= count; seq++) {
        if (put_seq(&store, seq).code != CODE_OK) {
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
    assert_opens_with(folder, 200, 200);
}

static void flipped_bit_in_live_log_is_refused(void **state)
{
    (void)state;
    char log[2 * PATH_BYTES];

    fill(200, false);
    last_log(log);
    off_t at = size_of(log) / 2;
    flip(log, at);
    assert_refused(folder, CODE_DATA_LOSS, "acknowledged");

    /* Recovery has deleted that log; what was found is still there, and can be repaired. */
    char refused[2 * PATH_BYTES];
    char kept_log[4 * PATH_BYTES];
    path_in("refused", refused);
    snprintf(kept_log, sizeof(kept_log), "%s%s", refused, strrchr(log, '/'));
    assert_refused(folder, CODE_DATA_LOSS, "acknowledged");
    flip(kept_log, at);
    assert_opens_with(refused, 200, 200);
}

static void nothing_is_kept_when_all_is_well(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    struct stat info;

    fill(100, false);
    assert_opens_with(folder, 100, 100);
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
    assert_opens_with(folder, 99, 99);
}

static void zeros_after_the_tail_are_accepted(void **state)
{
    (void)state;
    char log[2 * PATH_BYTES];

    fill(100, false);
    last_log(log);
    append_bytes(log, '\0', 40000);
    assert_opens_with(folder, 100, 100);
}

static void garbage_after_the_tail_is_accepted(void **state)
{
    (void)state;
    char log[2 * PATH_BYTES];

    fill(100, false);
    last_log(log);
    append_bytes(log, '?', 3000);
    assert_opens_with(folder, 100, 100);
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
    assert_refused(folder, CODE_DATA_LOSS, "");
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
    status opened = try_open(folder, &store);

    if (opened.code != CODE_OK) {
        return opened.code;
    }
    status outcome = read_all(&store, &reading);
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
    assert_opens_with(folder, SEQS, SEQS);
}

static void missing_table_is_refused(void **state)
{
    (void)state;
    char table[2 * PATH_BYTES];

    fill(500, true);
    largest_table(table);
    assert_int_equal(unlink(table), 0);
    assert_refused(folder, CODE_DATA_LOSS, folder);
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
    assert_refused(folder, CODE_DATA_LOSS, folder);
    assert_int_equal(rename(away, current), 0);
    assert_opens_with(folder, 100, 100);
}

/* ---- The watermark itself ---- */

static void missing_watermark_is_refused(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];

    fill(100, false);
    path_in("WATERMARK", path);
    assert_int_equal(unlink(path), 0);
    assert_refused(folder, CODE_DATA_LOSS, "WATERMARK");
    append_bytes(path, '\0', 0); /* An empty file: the operator's word. */
    assert_opens_with(folder, 100, 100);
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
    assert_refused(folder, CODE_DATA_LOSS, "acknowledged");
}

static void damaged_watermark_is_refused(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];

    fill(300, false);
    path_in("WATERMARK", path);
    flip(path, 14);
    flip(path, 4096 + 14);
    assert_refused(folder, CODE_DATA_LOSS, "WATERMARK is damaged");
    flip(path, 14);
    assert_opens_with(folder, 300, 300);
}

/* ---- Opening ---- */

static void second_open_is_refused(void **state)
{
    (void)state;
    struct store store;

    must_open(folder, &store);
    assert_refused(folder, CODE_FAILED_PRECONDITION, folder);
    assert_int_equal(WEXITSTATUS(run_child(folder, 1, true)), 2);
    assert_int_equal(put_seq(&store, 1).code, CODE_OK);
    store_close(&store);
    assert_opens_with(folder, 1, 1);
}

static void bad_paths_are_refused(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    struct store store;

    must_open(folder, &store);
    store_close(&store);
    path_in("CURRENT", path);
    assert_refused(path, CODE_INVALID_ARGUMENT, "not a folder");
    path_in("CURRENT/below", path);
    assert_refused(path, CODE_INVALID_ARGUMENT, "cannot make");
    assert_refused("", CODE_INVALID_ARGUMENT, "path");
    path_in("some/levels/deep", path);
    must_open(path, &store);
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

    must_open(folder, &store);
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
    assert_refused(folder, CODE_FAILED_PRECONDITION, "newer release");
}

static void checkpoint_is_a_store(void **state)
{
    (void)state;
    char copy[2 * PATH_BYTES];
    struct store store;

    path_in("copy", copy);
    must_open(folder, &store);
    for (uint32_t seq = 1; seq <= 100; seq++) {
        assert_int_equal(put_seq(&store, seq).code, CODE_OK);
    }
    assert_int_equal(store_checkpoint(&store, copy).code, CODE_OK);
    assert_int_equal(store_checkpoint(&store, copy).code, CODE_ALREADY_EXISTS);
    assert_int_equal(put_seq(&store, 101).code, CODE_OK);
    store_close(&store);
    assert_opens_with(copy, 100, 100);
    assert_opens_with(folder, 101, 101);
}

/* ---- A full disk ---- */

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
    int fd = open(ballast, O_CREAT | O_RDWR, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fstatvfs(fd, &volume), 0);
    uint64_t now_free = (uint64_t)volume.f_bavail * volume.f_frsize;
    assert_true(now_free > free_bytes);
    off_t bytes = size_of(ballast) + (off_t)(now_free - free_bytes);
    assert_int_equal(posix_fallocate(fd, 0, bytes), 0);
    close(fd);
}

static void check_full_disk(const char *path, const char *ballast)
{
    struct rocksdb_store_options options = small_options(path);
    struct store_stats stats;
    struct reading reading;
    struct store store;
    uint32_t seq = 0;
    status outcome = STATUS_OK;

    options.free_bytes_soft = SOFT_BYTES;
    options.free_bytes_hard = HARD_BYTES;
    assert_int_equal(rocksdb_store_open(&options, &last_arena, &store).code, CODE_OK);
    assert_int_equal(put_seq(&store, ++seq).code, CODE_OK);
    store_stats(&store, &stats);
    assert_false(stats.is_low_on_space);

    leave_free(ballast, SOFT_BYTES - 1);
    store_stats(&store, &stats);
    assert_true(stats.is_low_on_space);
    assert_int_equal(put_seq(&store, ++seq).code, CODE_OK);

    leave_free(ballast, HARD_BYTES - 1);
    for (int i = 0; i < 100 && outcome.code == CODE_OK; i++) {
        outcome = put_seq(&store, ++seq);
    }
    assert_int_equal(outcome.code, CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(put_seq(&store, seq).code, CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(read_all(&store, &reading).code, CODE_OK);
    assert_int_equal(reading.seq, seq - 1);

    assert_int_equal(unlink(ballast), 0);
    assert_int_equal(put_seq(&store, seq).code, CODE_OK);
    store_stats(&store, &stats);
    assert_false(stats.is_low_on_space);
    assert_int_equal(read_all(&store, &reading).code, CODE_OK);
    assert_int_equal(reading.seq, seq);
    assert_false(reading.is_broken);

    store_close(&store);
    leave_free(ballast, HARD_BYTES / 4 - 1);
    assert_int_equal(rocksdb_store_open(&options, &last_arena, &store).code,
                     CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(unlink(ballast), 0);
    assert_opens_with(path, seq, seq);
}

enum {
    EXIT_SKIPPED = 77,
};

static void full_disk_in_child(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    char ballast[2 * PATH_BYTES];

    path_in("store", path);
    path_in("ballast", ballast);
    check_full_disk(path, ballast);
}

/* In a process of its own: a mount namespace must be entered before there are threads. */
static int full_disk_main(const char *path)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(full_disk_in_child)};

    snprintf(folder, sizeof(folder), "%s", path);
    if (!mount_small_volume()) {
        return EXIT_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

static void full_disk_is_refused_early(void **state)
{
    (void)state;
    int exited = 0;
    pid_t child = fork();

    if (child == 0) {
        execl(program, program, "full_disk", folder, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &exited, 0), child);
    assert_true(WIFEXITED(exited));
    if (WEXITSTATUS(exited) == EXIT_SKIPPED) {
        print_message("skipped: no right to mount a small volume here\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(exited), 0);
}

/* ---- ---- */

static int clean_up(void **state)
{
    (void)state;
    char command[PATH_BYTES + 16];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

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
        TRAP(missing_table_is_refused),
        TRAP(missing_current_is_refused),
        TRAP(missing_watermark_is_refused),
        TRAP(torn_watermark_slot_is_survived),
        TRAP(damaged_watermark_is_refused),
        TRAP(second_open_is_refused),
        TRAP(bad_paths_are_refused),
        TRAP(newer_layout_is_refused),
        TRAP(checkpoint_is_a_store),
        TRAP(full_disk_is_refused_early),
    };
    const char *base = getenv("TEST_TMPDIR");

    arena_init(&last_arena, 0);
    if (argc == 5) {
        return child_main(argv[2], (uint32_t)strtoul(argv[3], NULL, 10),
                          strcmp(argv[4], "close") == 0);
    }
    if (argc == 3) {
        return full_disk_main(argv[2]);
    }
    snprintf(folder, sizeof(folder), "%s/traps.%d", base == NULL ? "/tmp" : base, (int)getpid());
    if (realpath("/proc/self/exe", program) == NULL) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
