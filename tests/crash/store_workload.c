/*
 * store_workload: commits batches to a store until it is killed, and checks what is left.
 *
 *   store_workload write FOLDER SEED BATCHES sync|nosync    0 batches: for ever
 *   store_workload verify FOLDER ACKED
 *
 * Memory tables are small, so that tables are flushed and merged all the time; without syncing
 * they are not, since each flush would sync the log it came from.
 *
 * Writing acknowledges each batch by its number, one line each, on descriptor 3, and says
 * "unavailable" there when a commit's outcome was unknown. Every record names its batch and how
 * many records that has, so that half a batch shows. Exit status of verify: 0 good, 1 bad, 2 the
 * store would not open.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/keys.h"
#include "storage/rocksdb_store.h"

enum {
    RUNS = 16,
    ACK_FD = 3,
    REOPEN_BATCHES = 150,
    PAYLOAD_BYTES_MAX = 70000,
};

static const struct key_space space = {0, 1};

struct record {
    uint64_t batch;
    uint32_t records; /* In its batch. */
    uint32_t seq;
    uint32_t payload_bytes; /* They follow. */
    uint32_t reserved;
};

/* The row of a run. */
struct head {
    uint64_t batch;
    uint32_t seq;
    uint32_t reserved;
};

struct workload {
    struct store store;
    struct arena arena;
    const char *folder;
    bool sync_off;
    uint64_t random;
    uint64_t last; /* Batch. */
    struct head heads[RUNS];
};

static uint32_t random_below(struct workload *workload, uint32_t limit)
{
    workload->random ^= workload->random << 13;
    workload->random ^= workload->random >> 7;
    workload->random ^= workload->random << 17;
    return (uint32_t)((workload->random >> 11) % limit);
}

static uuid run_id(uint32_t number)
{
    uuid id = {{0}};
    id.bytes[0] = (uint8_t)(number * 16);
    id.bytes[15] = (uint8_t)number;
    return id;
}

static char pattern(uint32_t run, uint32_t seq, size_t at)
{
    return (char)((run * 31 + seq) * 2654435761u % 251 + at);
}

static bool open_store(struct workload *workload)
{
    struct rocksdb_store_options options = {
        .path = workload->folder,
        .free_bytes_soft = 1,
        .free_bytes_hard = 1,
        .memtable_bytes = workload->sync_off ? 0 : 96 << 10,
        .sync_off = workload->sync_off,
    };
    arena_reset(&workload->arena);
    status opened = rocksdb_store_open(&options, &workload->arena, &workload->store);
    if (opened.code != CODE_OK) {
        fprintf(stderr, "store_workload: open: %s: %s\n", code_name(opened.code), opened.why);
    }
    return opened.code == CODE_OK;
}

static bool read_head(void *context, str key, str value)
{
    struct workload *workload = (struct workload *)context;
    uuid run;
    if (!key_read_run(key, &run) || run.bytes[15] >= RUNS || value.len != sizeof(struct head)) {
        return false;
    }
    memcpy(&workload->heads[run.bytes[15]], value.ptr, sizeof(struct head));
    return true;
}

/* What the store knows now: after opening, and whenever an outcome was unknown. */
static bool read_state(struct workload *workload)
{
    char key[KEY_BYTES_MAX];
    str value;
    memset(workload->heads, 0, sizeof(workload->heads));
    workload->last = 0;
    status got = store_get(&workload->store, STORE_META, key_meta(key, space, STR("last")),
                           &workload->arena, &value);
    if (got.code == CODE_OK && value.len == sizeof(workload->last)) {
        memcpy(&workload->last, value.ptr, sizeof(workload->last));
    }
    status scanned = store_scan(&workload->store, STORE_RUNS, key_prefix_space(key, space),
                                STR_EMPTY, false, SIZE_MAX, read_head, workload);
    return (got.code == CODE_OK || got.code == CODE_NOT_FOUND) && scanned.code == CODE_OK;
}

/* ---- Writing ---- */

static void put_record(struct workload *workload, struct store_batch *batch, uint32_t run,
                       uint32_t records)
{
    char key[KEY_BYTES_MAX];
    struct buf value = {0};
    bool is_big = random_below(workload, 200) == 0;
    struct record record = {
        .batch = workload->last + 1,
        .records = records,
        .seq = ++workload->heads[run].seq,
        .payload_bytes = random_below(workload, is_big ? PAYLOAD_BYTES_MAX : 1200),
    };
    buf_put(&value, str_make(&record, sizeof(record)));
    for (size_t i = 0; i < record.payload_bytes; i++) {
        buf_put_char(&value, pattern(run, record.seq, i));
    }
    store_batch_put(batch, STORE_JOURNAL, key_journal(key, space, run_id(run), record.seq),
                    buf_str(&value));
    buf_fini(&value);
}

static void put_run(struct workload *workload, struct store_batch *batch, uint32_t run)
{
    char key[KEY_BYTES_MAX];
    struct head *head = &workload->heads[run];
    head->batch = workload->last + 1;
    str row = key_run(key, space, run_id(run));
    store_batch_put(batch, STORE_RUNS, row, str_make(head, sizeof(*head)));
    if (head->seq % 2 == 0) {
        store_batch_delete(batch, STORE_ACTIVE, row);
    } else {
        store_batch_put(batch, STORE_ACTIVE, row, str_make(&head->seq, sizeof(head->seq)));
    }
}

static void build_batch(struct workload *workload, struct store_batch *batch)
{
    uint32_t runs = 1 + random_below(workload, 3);
    uint32_t each = 1 + random_below(workload, 4);
    uint32_t first = random_below(workload, RUNS);
    uint64_t number = workload->last + 1;
    char key[KEY_BYTES_MAX];
    store_batch_reset(batch);
    for (uint32_t i = 0; i < runs; i++) {
        uint32_t run = (first + i) % RUNS;
        for (uint32_t j = 0; j < each; j++) {
            put_record(workload, batch, run, runs * each);
        }
        put_run(workload, batch, run);
    }
    store_batch_put(batch, STORE_META, key_meta(key, space, STR("last")),
                    str_make(&number, sizeof(number)));
}

static void acknowledge(const char *text)
{
    size_t len = strlen(text);
    if (write(ACK_FD, text, len) != (ssize_t)len) {
        exit(4);
    }
}

static bool commit_one(struct workload *workload, struct store_batch *batch)
{
    char line[32];
    build_batch(workload, batch);
    status outcome = store_commit(&workload->store, batch);
    if (outcome.code == CODE_UNAVAILABLE) {
        fprintf(stderr, "store_workload: commit: %s\n", outcome.why);
        acknowledge("unavailable\n");
        return read_state(workload);
    }
    if (outcome.code != CODE_OK) {
        fprintf(stderr, "store_workload: commit: %s: %s\n", code_name(outcome.code), outcome.why);
        return false;
    }
    workload->last++;
    snprintf(line, sizeof(line), "%llu\n", (unsigned long long)workload->last);
    acknowledge(line);
    return true;
}

static int write_for(struct workload *workload, unsigned long batches)
{
    struct store_batch batch = {0};
    for (unsigned long i = 1; batches == 0 || i <= batches; i++) {
        if (!commit_one(workload, &batch)) {
            return 3;
        }
        if (i % REOPEN_BATCHES == 0) {
            store_close(&workload->store);
            if (!open_store(workload)) {
                return 2;
            }
        }
    }
    store_batch_fini(&batch);
    store_close(&workload->store);
    return 0;
}

/* ---- Verifying ---- */

struct check {
    const struct workload *workload;
    uint32_t seqs[RUNS]; /* The last one seen. */
    uint32_t *left; /* Per batch: records not seen yet, plus one; 0: none seen. */
    unsigned long total;
    unsigned long bad;
};

static void complain(struct check *check, const char *what, uint32_t run, uint32_t seq)
{
    if (check->bad++ < 5) {
        printf("BAD run %u seq %u: %s\n", run, seq, what);
    }
}

static bool is_payload_right(const struct record *record, uint32_t run, str value)
{
    if (value.len != sizeof(*record) + record->payload_bytes) {
        return false;
    }
    for (size_t i = 0; i < record->payload_bytes; i++) {
        if (value.ptr[sizeof(*record) + i] != pattern(run, record->seq, i)) {
            return false;
        }
    }
    return true;
}

static bool check_record(void *context, str key, str value)
{
    struct check *check = (struct check *)context;
    struct record record;
    uint32_t seq = 0;
    uuid id;
    if (!key_read_journal_seq(key, &seq) || !key_read_run(key, &id) || id.bytes[15] >= RUNS ||
        value.len < sizeof(record)) {
        complain(check, "no record", 0, 0);
        return true;
    }
    uint32_t run = id.bytes[15];
    memcpy(&record, value.ptr, sizeof(record));
    check->total++;
    if (seq != ++check->seqs[run] || seq != record.seq) {
        complain(check, "out of order", run, seq);
    }
    if (!is_payload_right(&record, run, value)) {
        complain(check, "wrong bytes", run, seq);
    }
    if (record.batch == 0 || record.batch > check->workload->last) {
        complain(check, "of a batch that is not there", run, seq);
        return true;
    }
    uint32_t *left = &check->left[record.batch];
    *left = (*left == 0 ? record.records + 1 : *left) - 1;
    return true;
}

static void check_heads(struct check *check)
{
    const struct workload *workload = check->workload;
    char key[KEY_BYTES_MAX];
    struct arena arena;
    str value;
    arena_init(&arena, 0);
    for (uint32_t run = 0; run < RUNS; run++) {
        uint32_t seq = workload->heads[run].seq;
        status got = store_get(&workload->store, STORE_ACTIVE, key_run(key, space, run_id(run)),
                               &arena, &value);
        if (seq != check->seqs[run]) {
            complain(check, "the row names another last record", run, seq);
        }
        if (got.code != (seq % 2 == 0 ? CODE_NOT_FOUND : CODE_OK)) {
            complain(check, "wrong in the table of active runs", run, seq);
        }
    }
    arena_fini(&arena);
}

static int verify(struct workload *workload, uint64_t acked)
{
    struct check check = {.workload = workload};
    char key[KEY_BYTES_MAX];
    check.left = xcalloc(workload->last + 1, sizeof(uint32_t));
    status scanned = store_scan(&workload->store, STORE_JOURNAL, key_prefix_space(key, space),
                                STR_EMPTY, false, SIZE_MAX, check_record, &check);
    if (scanned.code != CODE_OK) {
        complain(&check, scanned.why, 0, 0);
    }
    for (uint64_t batch = 1; batch <= workload->last; batch++) {
        if (check.left[batch] != 1) {
            complain(&check, "half a batch", 0, (uint32_t)batch);
        }
    }
    check_heads(&check);
    if (workload->last < acked) {
        complain(&check, "acknowledged batches are lost", 0, (uint32_t)(acked - workload->last));
    }
    printf("%s records=%lu batches=%llu acknowledged=%llu\n", check.bad == 0 ? "GOOD" : "BAD",
           check.total, (unsigned long long)workload->last, (unsigned long long)acked);
    free(check.left);
    store_close(&workload->store);
    return check.bad == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct workload workload = {.random = 1};
    bool is_write = argc == 6 && strcmp(argv[1], "write") == 0;
    if (!is_write && (argc != 4 || strcmp(argv[1], "verify") != 0)) {
        fprintf(stderr, "usage: store_workload write FOLDER SEED BATCHES sync|nosync\n"
                        "       store_workload verify FOLDER ACKED\n");
        return 64;
    }
    arena_init(&workload.arena, 0);
    workload.folder = argv[2];
    if (is_write) {
        workload.random = strtoul(argv[3], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
        workload.sync_off = strcmp(argv[5], "nosync") == 0;
    }
    if (!open_store(&workload) || !read_state(&workload)) {
        return 2;
    }
    return is_write ? write_for(&workload, strtoul(argv[4], NULL, 10))
                    : verify(&workload, strtoul(argv[3], NULL, 10));
}
