#include "storage/rocksdb_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pb_decode.h>
#include <pb_encode.h>

#include "polos/journal/v1/records.pb.h"
#include "service/base/sys.h"
#include "storage/folder.h"
#include "storage/gate.h"
#include "storage/kept.h"
#include "storage/keys.h"
#include "storage/manifest.h"
#include "storage/range.h"
#include "storage/rocksdb_options.h"
#include "storage/space.h"
#include "storage/watermark.h"

enum {
    LEVEL_FIRST = 1,
    WATERMARK_COMMITS = 64, /* The watermark follows after so many commits, */
    WATERMARK_US = 1000000, /* or so long. */
    REOPEN_US = 1000000, /* Between two attempts to reopen. */
    USED_US = 1000000, /* How old the figure of bytes on disk may be. */
    WHY_COUNT_MAX = 16, /* Different sentences of failure kept until the end. */
    BATCH_BYTES_KEPT = 4 << 20, /* A write batch that grew bigger is made anew. */
};

static const char header_key[] = "header";

/*
 * A database is open, or `closed` says why not. The gate is closed while that changes;
 * readers hold it, so no iterator outlives its database.
 */
struct rocksdb_store {
    struct gate gate;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[FAMILY_COUNT];
    status closed;
    uint64_t reopen_tried_us;

    struct rocksdb_tuning tuning;
    rocksdb_writebatch_t *batch;
    char *path;
    uint64_t free_bytes_soft;
    struct space space;

    struct watermark_file watermark_file;
    struct watermark watermark; /* As last written. */
    uint64_t watermark_us;
    bool watermark_failed;

    uint32_t level_max; /* That the program knows. */
    polos_journal_v1_StoreHeader header; /* As it is on disk; its format is the level. */
    atomic_uint_fast32_t level; /* The same, for stats. */

    atomic_uint_fast64_t commits;
    atomic_uint_fast64_t used_bytes;
    atomic_uint_fast64_t used_us; /* When used_bytes was counted; 0: never. */

    char *why[WHY_COUNT_MAX];
    size_t why_count;
};

static const char *const damaged[STORE_TABLE_COUNT] = {
    [STORE_META] = "the table meta is damaged: restore a checkpoint",
    [STORE_JOURNAL] = "the table journal is damaged: restore a checkpoint",
    [STORE_SNAPSHOTS] = "the table snapshots is damaged: restore a checkpoint",
    [STORE_RUNS] = "the table runs is damaged: restore a checkpoint",
    [STORE_ACTIVE] = "the table active is damaged: restore a checkpoint",
    [STORE_DEFINITION_NAMES] = "the table definitions is damaged: restore a checkpoint",
    [STORE_DEFINITIONS] = "the table blobs is damaged: restore a checkpoint",
    [STORE_IDEMPOTENCY] = "the table idempotency is damaged: restore a checkpoint",
    [STORE_INDEX] = "the table links is damaged: restore a checkpoint",
    [STORE_TOPICS] = "the table topics is damaged: restore a checkpoint",
};

/* ---- Opening ---- */

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* What the library said when it would not open, as a status. Takes `error`. */
static status open_failure(char *error, const char *path, struct arena *arena)
{
    assert(error != NULL);
    const char *what = arena_cstr(arena, str_of(error));
    free(error);
    if (has(what, "lock file") || has(what, "lock hold by")) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "the folder %s is in use by another process: stop that one, or give "
                          "this one another folder",
                          path);
    }
    if (has(what, "Column families not opened")) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "the store in %s was written by a newer release: use that one (%s)", path,
                          what);
    }
    if (has(what, "No space left")) {
        return arena_fail(arena, CODE_RESOURCE_EXHAUSTED, "no space to open %s: free some (%s)",
                          path, what);
    }
    if (has(what, "Permission denied") || has(what, "Read-only file system")) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "the folder %s cannot be written: %s", path,
                          what);
    }
    if (has(what, "Corruption") || has(what, "No such file") || has(what, "does not exist")) {
        return arena_fail(arena, CODE_DATA_LOSS,
                          "the store in %s is damaged or incomplete (%s): restore a checkpoint",
                          path, what);
    }
    return arena_fail(arena, CODE_UNAVAILABLE, "cannot open the store in %s: %s", path, what);
}

static void close_database(struct rocksdb_store *self)
{
    if (self->db == NULL) {
        return;
    }
    /* Handles first: the packaged library asserts it. */
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        rocksdb_column_family_handle_destroy(self->families[i]);
        self->families[i] = NULL;
    }
    rocksdb_close(self->db);
    self->db = NULL;
    watermark_close(&self->watermark_file);
}

static status open_families(struct rocksdb_store *self, bool may_create, struct arena *arena)
{
    assert(self->db == NULL);
    const rocksdb_options_t *options[FAMILY_COUNT];
    char *error = NULL;
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        options[i] = i == STORE_JOURNAL ? self->tuning.journal : self->tuning.small;
    }
    rocksdb_options_set_create_if_missing(self->tuning.database, may_create);
    self->db = rocksdb_open_column_families(self->tuning.database, self->path, FAMILY_COUNT,
                                            family_names, options, self->families, &error);
    if (error != NULL) {
        self->db = NULL;
        return open_failure(error, self->path, arena);
    }
    return STATUS_OK;
}

static str encode_header(const polos_journal_v1_StoreHeader *header,
                         uint8_t ret[polos_journal_v1_StoreHeader_size])
{
    pb_ostream_t out = pb_ostream_from_buffer(ret, polos_journal_v1_StoreHeader_size);
    bool fits = pb_encode(&out, polos_journal_v1_StoreHeader_fields, header);
    assert(fits && out.bytes_written > 0);
    (void)fits;
    return str_make(ret, out.bytes_written);
}

static void note_header(struct rocksdb_store *self, const polos_journal_v1_StoreHeader *header)
{
    assert(header->format > 0 && header->format <= self->level_max);
    self->header = *header;
    atomic_store(&self->level, header->format);
}

static status write_header(struct rocksdb_store *self, struct arena *arena)
{
    assert(self->db != NULL);
    polos_journal_v1_StoreHeader header = polos_journal_v1_StoreHeader_init_zero;
    uint8_t body[polos_journal_v1_StoreHeader_size];
    char *error = NULL;
    header.format = LEVEL_FIRST;
    header.created_ms = sys_now_ms();
    sys_random(header.store_id, sizeof(header.store_id));
    str bytes = encode_header(&header, body);
    rocksdb_put_cf(self->db, self->tuning.write, self->families[FAMILY_OWN], header_key,
                   sizeof(header_key) - 1, bytes.ptr, bytes.len, &error);
    note_header(self, &header);
    return error == NULL ? STATUS_OK : open_failure(error, self->path, arena);
}

static status check_header(struct rocksdb_store *self, struct arena *arena, bool *ret_found)
{
    polos_journal_v1_StoreHeader header = polos_journal_v1_StoreHeader_init_zero;
    char *error = NULL;
    size_t len = 0;
    char *value = rocksdb_get_cf(self->db, self->tuning.read, self->families[FAMILY_OWN],
                                 header_key, sizeof(header_key) - 1, &len, &error);
    if (error != NULL) {
        return open_failure(error, self->path, arena);
    }
    *ret_found = value != NULL;
    if (value == NULL) {
        return STATUS_OK;
    }
    pb_istream_t in = pb_istream_from_buffer((const pb_byte_t *)value, len);
    bool is_valid = pb_decode(&in, polos_journal_v1_StoreHeader_fields, &header);
    free(value);
    if (!is_valid || header.format == 0) {
        return arena_fail(arena, CODE_DATA_LOSS,
                          "the header of the store in %s is damaged: restore a checkpoint",
                          self->path);
    }
    if (header.format > self->level_max) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "the store in %s has format %u and this release knows %u: use a newer "
                          "release",
                          self->path, (unsigned)header.format, (unsigned)self->level_max);
    }
    note_header(self, &header);
    return STATUS_OK;
}

/* Refuses a log that ends before what was acknowledged. */
static status check_watermark(struct rocksdb_store *self, struct arena *arena)
{
    uint64_t sequence = rocksdb_get_latest_sequence_number(self->db);
    assert(self->watermark_file.fd < 0);
    TRY(watermark_open(self->path, arena, &self->watermark_file, &self->watermark));
    if (sequence < self->watermark.sequence) {
        return arena_fail(arena, CODE_DATA_LOSS,
                          "the log of the store in %s ends at entry %llu, but %llu had been "
                          "acknowledged: a log file is damaged; restore a checkpoint, or empty "
                          "%s/" WATERMARK_NAME " to go on with what is left (the files as they "
                          "were found are in %s/" KEPT_REFUSED ")",
                          self->path, (unsigned long long)sequence,
                          (unsigned long long)self->watermark.sequence, self->path, self->path);
    }
    return STATUS_OK;
}

static status check_database(struct rocksdb_store *self, bool had_watermark, struct arena *arena)
{
    bool found = false;
    TRY(check_header(self, arena, &found));
    if (found && !had_watermark) {
        return arena_fail(arena, CODE_DATA_LOSS,
                          "%s/" WATERMARK_NAME " is missing, so it cannot be told whether the log "
                          "is whole: copy the whole folder, or make that file, empty, to go on "
                          "without the check",
                          self->path);
    }
    TRY(check_watermark(self, arena));
    return found ? STATUS_OK : write_header(self, arena);
}

static status open_database(struct rocksdb_store *self, struct arena *arena)
{
    bool had_watermark = watermark_exists(self->path);
    /* Recovery writes what it replayed, and the packaged library aborts on a full disk. */
    if (space_free_bytes(self->path) < self->space.free_bytes_hard / 4) {
        return arena_fail(arena, CODE_RESOURCE_EXHAUSTED,
                          "%llu MiB are free on the volume of %s, and %llu MiB are needed to open "
                          "the store: free some space, or lower --free-bytes-hard",
                          (unsigned long long)(space_free_bytes(self->path) >> 20), self->path,
                          (unsigned long long)(self->space.free_bytes_hard / 4 >> 20));
    }
    kept_save(self->path);
    /* With a watermark there was a store: making a new one would bury what is left of it. */
    status opened = open_families(self, !had_watermark, arena);
    if (opened.code == CODE_DATA_LOSS && manifest_mend(self->path)) {
        opened = open_families(self, false, arena);
    }
    if (opened.code == CODE_OK) {
        opened = check_database(self, had_watermark, arena);
    }
    if (opened.code != CODE_OK) {
        close_database(self);
    }
    if (opened.code == CODE_DATA_LOSS) {
        kept_refuse(self->path);
    } else {
        kept_drop(self->path);
    }
    return opened;
}

/* ---- Committing ---- */

/* A sentence that outlives this call; the same one is kept once. */
static const char *keep_why(struct rocksdb_store *self, const char *text)
{
    for (size_t i = 0; i < self->why_count; i++) {
        if (strcmp(self->why[i], text) == 0) {
            return self->why[i];
        }
    }
    if (self->why_count == WHY_COUNT_MAX) {
        return "the store failed in too many ways to list: see its folder";
    }
    assert(self->why_count < WHY_COUNT_MAX);
    self->why[self->why_count] = xstrndup(text, strlen(text));
    return self->why[self->why_count++];
}

static status keep_status(struct rocksdb_store *self, status outcome)
{
    return status_make(outcome.code, outcome.why == NULL ? NULL : keep_why(self, outcome.why));
}

/* Closes and opens again: what memory holds and what disk holds are the same afterwards. */
static void reopen(struct rocksdb_store *self)
{
    struct arena arena;
    arena_init(&arena, 0);
    gate_close(&self->gate);
    close_database(self);
    self->reopen_tried_us = sys_monotonic_us();
    self->closed = keep_status(self, open_database(self, &arena));
    self->watermark_failed = false;
    gate_open(&self->gate);
    arena_fini(&arena);
    assert((self->db != NULL) == status_is_ok(self->closed));
}

/* After a failed write nobody knows what is on disk. Reopening right away, before anyone
 * reads, makes it one or the other: recovery replays the log and writes it out again. */
static status fail_commit(struct rocksdb_store *self, const char *error)
{
    struct arena arena;
    arena_init(&arena, 0);
    str text = arena_printf(&arena, "the disk failed a write, whose outcome is unknown: %s", error);
    const char *why = keep_why(self, text.ptr);
    arena_fini(&arena);
    reopen(self);
    return self->closed.code == CODE_DATA_LOSS ? self->closed : status_make(CODE_UNAVAILABLE, why);
}

static bool write_watermark(struct rocksdb_store *self)
{
    struct watermark next = {
        .sequence = rocksdb_get_latest_sequence_number(self->db),
        .commits = self->watermark.commits,
    };
    assert(next.sequence >= self->watermark.sequence);
    assert(self->db != NULL && self->watermark_file.fd >= 0);
    self->watermark_failed = !watermark_write(&self->watermark_file, &next);
    self->watermark = next;
    self->watermark_us = sys_monotonic_us();
    return !self->watermark_failed;
}

static bool is_watermark_due(const struct rocksdb_store *self)
{
    return self->watermark.commits % WATERMARK_COMMITS == 0 ||
           sys_monotonic_us() - self->watermark_us >= WATERMARK_US;
}

static status may_commit(struct rocksdb_store *self, size_t bytes)
{
    if (self->db == NULL) {
        if (sys_monotonic_us() - self->reopen_tried_us >= REOPEN_US) {
            reopen(self);
        }
        TRY(self->closed);
    }
    if (!space_allows(&self->space, bytes)) {
        return status_make(CODE_RESOURCE_EXHAUSTED,
                           "the disk is almost full, so nothing was written: free some space, "
                           "and writes go on by themselves");
    }
    if (self->watermark_failed && !write_watermark(self)) {
        return status_make(CODE_UNAVAILABLE, "the disk fails to write " WATERMARK_NAME);
    }
    return STATUS_OK;
}

static void fill_batch(struct rocksdb_store *self, const struct store_batch *batch)
{
    struct store_entry entry;
    size_t cursor = 0;
    size_t count = 0;
    rocksdb_writebatch_clear(self->batch);
    for (; store_batch_next(batch, &cursor, &entry); count++) {
        rocksdb_column_family_handle_t *family = self->families[entry.table];
        assert(family != NULL);
        if (entry.is_delete) {
            rocksdb_writebatch_delete_cf(self->batch, family, entry.key.ptr, entry.key.len);
        } else {
            rocksdb_writebatch_put_cf(self->batch, family, entry.key.ptr, entry.key.len,
                                      entry.value.ptr, entry.value.len);
        }
    }
    assert(count == batch->count);
}

/* With the first that needs it, so that it is on disk if and only if that is. */
static void raise_level(struct rocksdb_store *self, uint32_t level)
{
    polos_journal_v1_StoreHeader header = self->header;
    uint8_t body[polos_journal_v1_StoreHeader_size];
    assert(level > header.format && level <= self->level_max);
    header.format = level;
    str bytes = encode_header(&header, body);
    rocksdb_writebatch_put_cf(self->batch, self->families[FAMILY_OWN], header_key,
                              sizeof(header_key) - 1, bytes.ptr, bytes.len);
}

static status rocks_commit(void *context, const struct store_batch *batch)
{
    struct rocksdb_store *self = (struct rocksdb_store *)context;
    char *error = NULL;
    TRY(may_commit(self, batch->bytes.len));
    assert(self->db != NULL);
    fill_batch(self, batch);
    bool raises = batch->level > self->header.format;
    if (raises) {
        raise_level(self, batch->level);
    }
    rocksdb_write(self->db, self->tuning.write, self->batch, &error);
    if (batch->bytes.len > BATCH_BYTES_KEPT) {
        rocksdb_writebatch_destroy(self->batch);
        self->batch = rocksdb_writebatch_create();
    }
    if (error != NULL) {
        status failed = fail_commit(self, error);
        free(error);
        return failed;
    }
    if (raises) {
        self->header.format = batch->level;
        atomic_store(&self->level, batch->level);
    }
    atomic_fetch_add_explicit(&self->commits, 1, memory_order_relaxed);
    self->watermark.commits++;
    if (is_watermark_due(self)) {
        /* This commit is on disk whatever becomes of its watermark; the next one minds. */
        (void)write_watermark(self);
    }
    return STATUS_OK;
}

/* ---- Reading ---- */

static status read_failure(char *error, enum store_table table)
{
    assert(error != NULL && (unsigned)table < STORE_TABLE_COUNT && damaged[table] != NULL);
    bool is_damage = has(error, "Corruption") || has(error, "No such file");
    free(error);
    return is_damage ? status_make(CODE_DATA_LOSS, damaged[table])
                     : status_make(CODE_UNAVAILABLE, "the disk failed a read");
}

static status get_inside(struct rocksdb_store *self, enum store_table table, str key,
                         struct arena *arena, str *ret)
{
    char *error = NULL;
    TRY(self->closed);
    assert(self->db != NULL);
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(
        self->db, self->tuning.read, self->families[table], key.ptr, key.len, &error);
    if (error != NULL) {
        return read_failure(error, table);
    }
    if (slice == NULL) {
        return status_make(CODE_NOT_FOUND, "no such key");
    }
    size_t len = 0;
    const char *value = rocksdb_pinnableslice_value(slice, &len);
    *ret = arena_copy(arena, (str){value, len});
    rocksdb_pinnableslice_destroy(slice);
    return STATUS_OK;
}

static status rocks_get(void *context, enum store_table table, str key, struct arena *arena,
                        str *ret)
{
    struct rocksdb_store *self = (struct rocksdb_store *)context;
    gate_enter(&self->gate);
    status outcome = get_inside(self, table, key, arena, ret);
    gate_leave(&self->gate);
    return outcome;
}

struct scan {
    enum store_table table;
    str prefix;
    str from;
    bool reverse;
    size_t limit;
    store_visit *visit;
    void *context;
};

static int compare(str a, str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* end: the first key after the range, or empty when the range ends with the table. */
static void seek(rocksdb_iterator_t *iterator, const struct scan *scan, str end)
{
    if (!scan->reverse) {
        str start = compare(scan->from, scan->prefix) > 0 ? scan->from : scan->prefix;
        rocksdb_iter_seek(iterator, start.ptr, start.len);
        return;
    }
    bool from_is_inside = scan->from.len > 0 && (end.len == 0 || compare(scan->from, end) < 0);
    if (from_is_inside) {
        rocksdb_iter_seek_for_prev(iterator, scan->from.ptr, scan->from.len);
    } else {
        rocksdb_iter_seek_to_last(iterator); /* Of the bounds. */
    }
}

static status visit_all(rocksdb_iterator_t *iterator, const struct scan *scan)
{
    size_t left = scan->limit;
    char *error = NULL;
    while (left-- > 0 && rocksdb_iter_valid(iterator)) {
        str key;
        str value;
        key.ptr = rocksdb_iter_key(iterator, &key.len);
        value.ptr = rocksdb_iter_value(iterator, &value.len);
        assert(str_starts_with(key, scan->prefix));
        if (!scan->visit(scan->context, key, value)) {
            return STATUS_OK;
        }
        if (left == 0) {
            return STATUS_OK;
        }
        if (scan->reverse) {
            rocksdb_iter_prev(iterator);
        } else {
            rocksdb_iter_next(iterator);
        }
    }
    /* The end of the range and a damaged block look the same without this. */
    rocksdb_iter_get_error(iterator, &error);
    return error == NULL ? STATUS_OK : read_failure(error, scan->table);
}

static status scan_inside(struct rocksdb_store *self, const struct scan *scan)
{
    struct buf end = {0};
    TRY(self->closed);
    assert(self->db != NULL && scan->limit > 0);
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    /* The journal's filters know whole runs only; anything else must look everywhere. */
    bool is_one_run = scan->table == STORE_JOURNAL && scan->prefix.len >= KEY_RUN_BYTES;
    rocksdb_readoptions_set_total_order_seek(options, !is_one_run || scan->reverse);
    if (scan->prefix.len > 0) {
        rocksdb_readoptions_set_iterate_lower_bound(options, scan->prefix.ptr, scan->prefix.len);
    }
    if (range_end(scan->prefix, &end)) {
        rocksdb_readoptions_set_iterate_upper_bound(options, end.ptr, end.len);
    }
    rocksdb_iterator_t *iterator =
        rocksdb_create_iterator_cf(self->db, options, self->families[scan->table]);
    seek(iterator, scan, buf_str(&end));
    status outcome = visit_all(iterator, scan);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
    buf_fini(&end);
    return outcome;
}

static status rocks_scan(void *context, enum store_table table, str prefix, str from, bool reverse,
                         size_t limit, store_visit *visit, void *visit_context)
{
    struct rocksdb_store *self = (struct rocksdb_store *)context;
    struct scan scan = {table, prefix, from, reverse, limit, visit, visit_context};
    gate_enter(&self->gate);
    status outcome = scan_inside(self, &scan);
    gate_leave(&self->gate);
    return outcome;
}

/* ---- The rest ---- */

/* The copy's log is empty, so its watermark may say what the store had before it was taken. */
static bool write_copied_watermark(const char *path, const struct watermark *watermark)
{
    struct watermark_file file = {-1, 0};
    struct watermark zero;
    struct arena arena;
    arena_init(&arena, 0);
    bool written = status_is_ok(watermark_open(path, &arena, &file, &zero)) &&
                   watermark_write(&file, watermark);
    watermark_close(&file);
    arena_fini(&arena);
    return written;
}

static status checkpoint_inside(struct rocksdb_store *self, const char *path)
{
    char *error = NULL;
    TRY(self->closed);
    assert(self->db != NULL);
    struct watermark before = {
        .sequence = rocksdb_get_latest_sequence_number(self->db),
        .commits = self->watermark.commits,
    };
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(self->db, &error);
    if (error == NULL) {
        rocksdb_checkpoint_create(checkpoint, path, 0, &error);
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    if (error == NULL) {
        return write_copied_watermark(path, &before)
                   ? STATUS_OK
                   : status_make(CODE_UNAVAILABLE, "the copy has no " WATERMARK_NAME);
    }
    bool exists = has(error, "exist");
    const char *why = keep_why(self, error);
    free(error);
    return status_make(exists ? CODE_ALREADY_EXISTS : CODE_UNAVAILABLE, why);
}

static status rocks_checkpoint(void *context, const char *path)
{
    struct rocksdb_store *self = (struct rocksdb_store *)context;
    gate_enter(&self->gate);
    status outcome = checkpoint_inside(self, path);
    gate_leave(&self->gate);
    return outcome;
}

/* Counting walks the folder, so a recent figure will do. */
static uint64_t used_bytes(struct rocksdb_store *self)
{
    uint64_t now_us = sys_monotonic_us();
    uint64_t then_us = atomic_load(&self->used_us);
    if (then_us == 0 || now_us - then_us >= USED_US) {
        atomic_store(&self->used_us, now_us);
        atomic_store(&self->used_bytes, space_used_bytes(self->path));
    }
    return atomic_load(&self->used_bytes);
}

static void rocks_stats(void *context, struct store_stats *ret)
{
    struct rocksdb_store *self = (struct rocksdb_store *)context;
    uint64_t free_bytes = space_free_bytes(self->path);
    *ret = (struct store_stats){
        .bytes_on_disk = used_bytes(self),
        .bytes_free = free_bytes,
        .commits = atomic_load(&self->commits),
        .is_low_on_space = free_bytes < self->free_bytes_soft,
        .level = (uint32_t)atomic_load(&self->level),
    };
}

static void free_all(struct rocksdb_store *self)
{
    assert(self->db == NULL);
    for (size_t i = 0; i < self->why_count; i++) {
        free(self->why[i]);
    }
    rocksdb_writebatch_destroy(self->batch);
    rocksdb_tuning_fini(&self->tuning);
    free(self->path);
    free(self);
}

/* So that the next start has no log to replay. A failure costs only that. */
static void flush_all(struct rocksdb_store *self)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        char *error = NULL;
        rocksdb_flush_cf(self->db, options, self->families[i], &error);
        free(error);
    }
    rocksdb_flushoptions_destroy(options);
}

static void rocks_close(void *context)
{
    struct rocksdb_store *self = (struct rocksdb_store *)context;
    gate_close(&self->gate);
    if (self->db != NULL) {
        if (space_free_bytes(self->path) >= self->space.free_bytes_hard) {
            flush_all(self);
        }
        (void)write_watermark(self);
        close_database(self);
    }
    free_all(self);
}

static const struct store_vtable rocks_vtable = {
    .commit = rocks_commit,
    .get = rocks_get,
    .scan = rocks_scan,
    .checkpoint = rocks_checkpoint,
    .stats = rocks_stats,
    .close = rocks_close,
};

static struct rocksdb_store *new_store(const struct rocksdb_store_options *options)
{
    struct rocksdb_store *self = xcalloc(1, sizeof(*self));
    self->path = xstrndup(options->path, strlen(options->path));
    self->batch = rocksdb_writebatch_create();
    self->watermark_file.fd = -1;
    self->level_max = options->level_max == 0 ? LEVEL_FIRST : options->level_max;
    self->free_bytes_soft =
        options->free_bytes_soft == 0 ? (uint64_t)1 << 30 : options->free_bytes_soft;
    self->space.free_bytes_hard =
        options->free_bytes_hard == 0 ? (uint64_t)256 << 20 : options->free_bytes_hard;
    self->space.folder = self->path;
    return self;
}

status rocksdb_store_open(const struct rocksdb_store_options *options, struct arena *arena,
                          struct store *ret)
{
    if (options->path == NULL || options->path[0] == '\0') {
        return status_make(CODE_INVALID_ARGUMENT, "path: name a folder for the store");
    }
    TRY(folder_prepare(options->path, arena));
    folder_warn_of_volume(options->path, options->free_bytes_soft);
    struct rocksdb_store *self = new_store(options);
    status opened = rocksdb_tuning_init(&self->tuning, options)
                        ? open_database(self, arena)
                        : status_make(CODE_FAILED_PRECONDITION,
                                      "this RocksDB library cannot verify its log files: use 7.8 "
                                      "or newer");
    if (opened.code != CODE_OK) {
        free_all(self);
        return opened;
    }
    *ret = (struct store){&rocks_vtable, self};
    return STATUS_OK;
}
