#include "storage/memory_store.h"

#include <stdlib.h>

#include "storage/gate.h"
#include "storage/range.h"

/*
 * One skip list per table. A row is one allocation: its links, then the key; the value has
 * its own. Heights come from a fixed seed, so that two runs of a simulation are the same.
 */
enum {
    LEVELS_MAX = 16, /* Enough for far more than a million rows at one in four. */
};

struct row {
    char *value;
    size_t value_bytes;
    const char *key;
    size_t key_bytes;
    struct row *next[]; /* As many as the row is high. */
};

struct table {
    struct row *head[LEVELS_MAX];
};

struct memory_store {
    struct gate gate;
    struct table tables[STORE_TABLE_COUNT];
    uint64_t random;
    atomic_uint_fast64_t commits;
    enum memory_store_fault fault;
    atomic_uint_fast32_t level;
};

static int compare(str a, str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static str row_key(const struct row *row)
{
    return (str){row->key, row->key_bytes};
}

/* The links to follow at `level` after `row`, or from the head when row is NULL. */
static struct row **links(struct table *table, struct row *row)
{
    return row == NULL ? table->head : row->next;
}

/* The last row before `key` (or at it, when or_equal); NULL when there is none. With ret_path,
 * the last one before it on every level. */
static struct row *find_before(struct table *table, str key, bool or_equal, struct row **ret_path)
{
    struct row *at = NULL;
    for (size_t level = LEVELS_MAX; level-- > 0;) {
        struct row *next = links(table, at)[level];
        while (next != NULL && compare(row_key(next), key) < (or_equal ? 1 : 0)) {
            at = next;
            next = links(table, at)[level];
        }
        if (ret_path != NULL) {
            ret_path[level] = at;
        }
    }
    return at;
}

static struct row *find(struct table *table, str key)
{
    struct row *next = links(table, find_before(table, key, false, NULL))[0];
    return next != NULL && str_equal(row_key(next), key) ? next : NULL;
}

static size_t random_height(struct memory_store *self)
{
    size_t height = 1;
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    for (uint64_t bits = self->random; height < LEVELS_MAX && (bits & 3) == 0; bits >>= 2) {
        height++;
    }
    return height;
}

static void set_value(struct row *row, str value)
{
    free(row->value);
    row->value = xstrndup(value.ptr, value.len);
    row->value_bytes = value.len;
}

static void put(struct memory_store *self, struct table *table, str key, str value)
{
    struct row *path[LEVELS_MAX];
    struct row *found = find(table, key);
    if (found != NULL) {
        set_value(found, value);
        return;
    }
    (void)find_before(table, key, false, path);
    size_t height = random_height(self);
    assert(height >= 1 && height <= LEVELS_MAX);
    size_t bytes = sizeof(struct row) + height * sizeof(struct row *) + key.len;
    struct row *row = xcalloc(1, bytes);
    char *own_key = (char *)&row->next[height];
    memcpy(own_key, key.ptr, key.len);
    row->key = own_key;
    row->key_bytes = key.len;
    set_value(row, value);
    for (size_t level = 0; level < height; level++) {
        row->next[level] = links(table, path[level])[level];
        links(table, path[level])[level] = row;
    }
    assert(find(table, key) == row);
}

static void row_free(struct row *row)
{
    free(row->value);
    free(row);
}

static void erase(struct table *table, str key)
{
    struct row *path[LEVELS_MAX];
    struct row *row = find(table, key);
    if (row == NULL) {
        return;
    }
    (void)find_before(table, key, false, path);
    for (size_t level = 0; level < LEVELS_MAX; level++) {
        if (links(table, path[level])[level] == row) {
            links(table, path[level])[level] = row->next[level];
        }
    }
    row_free(row);
    assert(find(table, key) == NULL);
}

static void write_all(struct memory_store *self, const struct store_batch *batch)
{
    struct store_entry entry;
    size_t cursor = 0;
    size_t count = 0;
    gate_close(&self->gate);
    for (; store_batch_next(batch, &cursor, &entry); count++) {
        struct table *table = &self->tables[entry.table];
        assert((unsigned)entry.table < STORE_TABLE_COUNT);
        if (entry.is_delete) {
            erase(table, entry.key);
        } else {
            put(self, table, entry.key, entry.value);
        }
    }
    if (batch->level > atomic_load(&self->level)) {
        atomic_store(&self->level, batch->level);
    }
    gate_open(&self->gate);
    assert(count == batch->count);
    atomic_fetch_add(&self->commits, 1);
}

static status memory_commit(void *context, const struct store_batch *batch)
{
    struct memory_store *self = (struct memory_store *)context;
    enum memory_store_fault fault = self->fault;
    self->fault = MEMORY_STORE_FAULT_NONE;
    switch (fault) {
    case MEMORY_STORE_FAULT_NONE:
        write_all(self, batch);
        return STATUS_OK;
    case MEMORY_STORE_FAULT_REFUSE:
        return status_make(CODE_RESOURCE_EXHAUSTED, "planted fault: the commit was refused");
    case MEMORY_STORE_FAULT_LOST:
        return status_make(CODE_UNAVAILABLE, "planted fault: the commit was lost");
    case MEMORY_STORE_FAULT_UNKNOWN:
        write_all(self, batch);
        return status_make(CODE_UNAVAILABLE, "planted fault: the commit's outcome is unknown");
    }
    assert(false && "no such fault");
    return status_make(CODE_INTERNAL, "no such fault");
}

static status memory_get(void *context, enum store_table table, str key, struct arena *arena,
                         str *ret)
{
    struct memory_store *self = (struct memory_store *)context;
    gate_enter(&self->gate);
    const struct row *row = find(&self->tables[table], key);
    if (row != NULL) {
        *ret = arena_copy(arena, (str){row->value, row->value_bytes});
    }
    gate_leave(&self->gate);
    return row == NULL ? status_make(CODE_NOT_FOUND, "no such key") : STATUS_OK;
}

static struct row *last_row(struct table *table)
{
    struct row *at = NULL;
    for (size_t level = LEVELS_MAX; level-- > 0;) {
        while (links(table, at)[level] != NULL) {
            at = links(table, at)[level];
        }
    }
    return at;
}

/* The first row of a scan, in its direction; it may lie outside the prefix. */
static struct row *first_row(struct table *table, str prefix, str from, bool reverse)
{
    if (!reverse) {
        str start = compare(from, prefix) > 0 ? from : prefix;
        return links(table, find_before(table, start, false, NULL))[0];
    }
    if (from.len > 0 && (str_starts_with(from, prefix) || compare(from, prefix) < 0)) {
        return find_before(table, from, true, NULL);
    }
    struct buf end = {0};
    struct row *row =
        range_end(prefix, &end) ? find_before(table, buf_str(&end), false, NULL) : last_row(table);
    buf_fini(&end);
    return row;
}

static status memory_scan(void *context, enum store_table table_id, str prefix, str from,
                          bool reverse, size_t limit, store_visit *visit, void *visit_context)
{
    struct memory_store *self = (struct memory_store *)context;
    struct table *table = &self->tables[table_id];
    gate_enter(&self->gate);
    struct row *row = first_row(table, prefix, from, reverse);
    assert(limit > 0); /* store_scan() has answered that. */
    while (row != NULL && limit-- > 0 && str_starts_with(row_key(row), prefix)) {
        if (!visit(visit_context, row_key(row), (str){row->value, row->value_bytes})) {
            break;
        }
        row = reverse ? find_before(table, row_key(row), false, NULL) : row->next[0];
    }
    gate_leave(&self->gate);
    return STATUS_OK;
}

static status memory_checkpoint(void *context, const char *path)
{
    (void)context;
    (void)path;
    return status_make(CODE_UNIMPLEMENTED, "a store in memory has no files to copy");
}

static void memory_stats(void *context, struct store_stats *ret)
{
    struct memory_store *self = (struct memory_store *)context;
    *ret = (struct store_stats){
        .bytes_free = UINT64_MAX,
        .commits = atomic_load(&self->commits),
        .level = (uint32_t)atomic_load(&self->level),
    };
}

static void memory_close(void *context)
{
    struct memory_store *self = (struct memory_store *)context;
    for (size_t i = 0; i < STORE_TABLE_COUNT; i++) {
        struct row *row = self->tables[i].head[0];
        while (row != NULL) {
            struct row *next = row->next[0];
            row_free(row);
            row = next;
        }
    }
    free(self);
}

static const struct store_vtable memory_vtable = {
    .commit = memory_commit,
    .get = memory_get,
    .scan = memory_scan,
    .checkpoint = memory_checkpoint,
    .stats = memory_stats,
    .close = memory_close,
};

void memory_store_open(struct store *ret)
{
    struct memory_store *self = xcalloc(1, sizeof(*self));
    self->level = 1;
    self->random = 0x9e3779b97f4a7c15u;
    *ret = (struct store){&memory_vtable, self};
}

void memory_store_fault(const struct store *store, enum memory_store_fault fault)
{
    assert(store->vtable == &memory_vtable);
    assert((unsigned)fault <= MEMORY_STORE_FAULT_UNKNOWN);
    ((struct memory_store *)store->self)->fault = fault;
}
