#include "storage/store.h"

#include "service/base/buf.h"
#include "service/base/endian.h"

/*
 * One entry of a batch, little-endian:
 *   u8 table, with the top bit set for a delete | u32 key bytes | u32 value bytes | key | value
 */
enum {
    ENTRY_HEAD_BYTES = 9,
    ENTRY_IS_DELETE = 0x80,
};
static_assert((int)STORE_TABLE_COUNT < (int)ENTRY_IS_DELETE, "tables would reach the delete bit");

static void append(struct store_batch *batch, unsigned head, str key, str value)
{
    assert(key.len > 0 && key.len <= UINT16_MAX);
    assert(value.len <= UINT32_MAX);
    buf_put_char(&batch->bytes, (char)(uint8_t)head);
    buf_put_u32_le(&batch->bytes, (uint32_t)key.len);
    buf_put_u32_le(&batch->bytes, (uint32_t)value.len);
    buf_put(&batch->bytes, key);
    buf_put(&batch->bytes, value);
    batch->count++;
}

void store_batch_put(struct store_batch *batch, enum store_table table, str key, str value)
{
    assert((unsigned)table < STORE_TABLE_COUNT);
    append(batch, (unsigned)table, key, value);
}

void store_batch_delete(struct store_batch *batch, enum store_table table, str key)
{
    assert((unsigned)table < STORE_TABLE_COUNT);
    append(batch, (unsigned)table | ENTRY_IS_DELETE, key, STR_EMPTY);
}

void store_batch_reset(struct store_batch *batch)
{
    assert((batch->count == 0) == (batch->bytes.len == 0));
    buf_reset(&batch->bytes);
    batch->count = 0;
    batch->level = 0;
}

void store_batch_raise(struct store_batch *batch, uint32_t level)
{
    assert(level > 0);
    batch->level = level > batch->level ? level : batch->level;
}

void store_batch_fini(struct store_batch *batch)
{
    buf_fini(&batch->bytes);
    batch->count = 0;
    batch->level = 0;
}

bool store_batch_next(const struct store_batch *batch, size_t *cursor, struct store_entry *ret)
{
    assert(*cursor <= batch->bytes.len);
    if (*cursor == batch->bytes.len) {
        return false;
    }
    assert(batch->count > 0);
    const char *entry = batch->bytes.ptr + *cursor;
    unsigned head = (uint8_t)entry[0];
    assert(batch->bytes.len - *cursor >= ENTRY_HEAD_BYTES);
    *ret = (struct store_entry){
        .table = (enum store_table)(head & ~(unsigned)ENTRY_IS_DELETE),
        .is_delete = (head & ENTRY_IS_DELETE) != 0,
        .key = {entry + ENTRY_HEAD_BYTES, endian_get_le(entry + 1, 4)},
    };
    ret->value = (str){ret->key.ptr + ret->key.len, endian_get_le(entry + 5, 4)};
    assert((unsigned)ret->table < STORE_TABLE_COUNT && ret->key.len > 0);
    assert(!ret->is_delete || ret->value.len == 0);
    *cursor += ENTRY_HEAD_BYTES + ret->key.len + ret->value.len;
    assert(*cursor <= batch->bytes.len);
    return true;
}

status store_commit(const struct store *store, const struct store_batch *batch)
{
    assert(store->vtable != NULL);
    if (batch->count == 0) {
        return STATUS_OK;
    }
    return store->vtable->commit(store->self, batch);
}

bool store_may_pass(status why)
{
    assert(!status_is_ok(why));
    return why.code == CODE_UNAVAILABLE || why.code == CODE_RESOURCE_EXHAUSTED;
}

status store_get(const struct store *store, enum store_table table, str key, struct arena *arena,
                 str *ret)
{
    assert((unsigned)table < STORE_TABLE_COUNT);
    assert(key.len > 0);
    assert(store->vtable != NULL && arena != NULL && ret != NULL);
    return store->vtable->get(store->self, table, key, arena, ret);
}

status store_scan(const struct store *store, enum store_table table, str prefix, str from,
                  bool reverse, size_t limit, store_visit *visit, void *context)
{
    assert((unsigned)table < STORE_TABLE_COUNT);
    assert(store->vtable != NULL && visit != NULL);
    if (limit == 0) {
        return STATUS_OK;
    }
    return store->vtable->scan(store->self, table, prefix, from, reverse, limit, visit, context);
}

status store_checkpoint(const struct store *store, const char *path)
{
    assert(store->vtable != NULL && path != NULL);
    return store->vtable->checkpoint(store->self, path);
}

void store_stats(const struct store *store, struct store_stats *ret)
{
    assert(store->vtable != NULL);
    store->vtable->stats(store->self, ret);
}

void store_close(struct store *store)
{
    if (store->vtable != NULL) {
        store->vtable->close(store->self);
    }
    *store = (struct store){NULL, NULL};
}
