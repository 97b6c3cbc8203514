/*
 * store: what the server asks of a disk: ordered tables, one atomic durable batch.
 *
 * A store knows bytes and keys, not runs. The thread of the partition is the only
 * writer; there are no transactions and no read-modify-write. A commit is atomic and
 * durable, or it did not happen, or its outcome is unknown (UNAVAILABLE): then the caller
 * must drop what it held in memory and read again.
 *
 * Order:     within a table, keys sort as bytes.
 * Threading: commit and checkpoint from one thread; get, scan and stats from any thread. A
 *            visit may read the store, but never commit to it.
 */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include "service/base/arena.h"
#include "service/base/base.h"
#include "service/base/buf.h"

/* The files of a store have the first names of the tables: rocksdb_options.c. */
enum store_table {
    STORE_META, /* Nothing but what tests put there: it is in every store on disk, so it stays. */
    STORE_JOURNAL, /* run, seq -> record. Append-only. */
    STORE_SNAPSHOTS, /* run -> state after seq. */
    STORE_RUNS, /* run -> index row, for lists. */
    STORE_ACTIVE, /* run -> row, while it is not terminal. What recovery scans. */
    STORE_DEFINITION_NAMES, /* kind, name -> hash of the newest definition. */
    STORE_DEFINITIONS, /* hash -> definition. */
    STORE_IDEMPOTENCY, /* hash of a key -> run. */
    STORE_INDEX, /* kind, tail -> what it leads to; service/codec/index.h lists the kinds. */
    STORE_TOPICS, /* topic, sequence -> event. */
    STORE_TABLE_COUNT,
};

/* A batch being built. Zero-initialised is empty; reusable after store_batch_reset(). */
struct store_batch {
    struct buf bytes; /* Entries, in order: see store.c. */
    size_t count;
    uint32_t level; /* See store_batch_raise(); 0: that of every release. */
};

/* What the batch holds is read only by releases that know this level, or a higher one. The commit
 * of a batch writes it down with the rest, where the store has not met it before: from then on an
 * older release refuses the store. */
void store_batch_raise(struct store_batch *batch, uint32_t level);
/* Copies key and value; a later entry for the same key wins. Keys: 1 to 65,535 bytes. */
void store_batch_put(struct store_batch *batch, enum store_table table, str key, str value);
/* Also of a key that is not there. */
void store_batch_delete(struct store_batch *batch, enum store_table table, str key);
/* Empty again; the memory is kept. */
void store_batch_reset(struct store_batch *batch);
/* Frees the memory; the batch is empty and may be used again. */
void store_batch_fini(struct store_batch *batch);

/* One entry of a batch, for those who implement a store. */
struct store_entry {
    enum store_table table;
    bool is_delete;
    str key;
    str value;
};
/* Walks a batch: *cursor starts at 0. False at the end. */
bool store_batch_next(const struct store_batch *batch, size_t *cursor, struct store_entry *ret);

struct store_stats {
    uint64_t bytes_on_disk; /* 0 for the memory store. */
    uint64_t bytes_free; /* On the volume; UINT64_MAX for the memory store. */
    uint64_t commits; /* Since open. */
    bool is_low_on_space; /* New work must be refused; see store_stats(). */
    uint32_t level; /* The highest of what was ever committed; from 1. */
};

/* Return false to stop early: the scan then ends with OK. key and value are borrowed for
 * the call. */
typedef bool store_visit(void *context, str key, str value);

struct store_vtable {
    status (*commit)(void *self, const struct store_batch *batch);
    /* Not found: CODE_NOT_FOUND. The value lives in the arena. */
    status (*get)(void *self, enum store_table table, str key, struct arena *arena, str *ret);
    status (*scan)(void *self, enum store_table table, str prefix, str from, bool reverse,
                   size_t limit, store_visit *visit, void *context);
    status (*checkpoint)(void *self, const char *path);
    void (*stats)(void *self, struct store_stats *ret);
    void (*close)(void *self);
};

struct store {
    const struct store_vtable *vtable;
    void *self;
};

/*
 * commit: all entries or none, and synced to disk before it returns OK.
 *   RESOURCE_EXHAUSTED: refused before anything was written (low on space, and the batch
 *                       puts more than it deletes is not asked: every commit is refused
 *                       only below the hard floor; see rocksdb_store.h).
 *   UNAVAILABLE:        the outcome is unknown; read again before going on.
 *   DATA_LOSS:          the store is damaged and refuses to go on.
 */
status store_commit(const struct store *store, const struct store_batch *batch);
/* The value is copied into the arena. NOT_FOUND: no such key. DATA_LOSS: it cannot be read. */
status store_get(const struct store *store, enum store_table table, str key, struct arena *arena,
                 str *ret);
/* Visits keys that start with `prefix`, from `from` on (both inclusive; an empty `from` starts
 * at the end the direction asks for), at most `limit` of them. A damaged block is DATA_LOSS,
 * never a short answer. */
status store_scan(const struct store *store, enum store_table table, str prefix, str from,
                  bool reverse, size_t limit, store_visit *visit, void *context);
/* Whether a read that failed so may succeed later. */
bool store_may_pass(status why);
/* A consistent copy in a new folder at `path`. */
status store_checkpoint(const struct store *store, const char *path);
/* Figures that may be a second old. */
void store_stats(const struct store *store, struct store_stats *ret);
void store_close(struct store *store); /* Flushes; the struct is empty afterwards. */

#endif
