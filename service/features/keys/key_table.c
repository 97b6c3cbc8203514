#include "service/features/keys/key_table.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/sys.h"
#include "service/base/utf8.h"
#include "service/codec/key_row.h"

static_assert((int)KEY_ROW_DIGEST_BYTES == (int)SECRET_DIGEST_BYTES, "a digest fits its row");

void key_table_init(struct key_table *table, struct key_space space)
{
    *table = (struct key_table){.space = space};
    arena_init(&table->arena, 0);
}

void key_table_fini(struct key_table *table)
{
    free(table->keys);
    arena_fini(&table->arena);
}

static struct key *find(const struct key_table *table, uint32_t number)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->keys[i].number == number) {
            return &table->keys[i];
        }
    }
    return NULL;
}

const struct key *key_table_find(const struct key_table *table, uint32_t number)
{
    return find(table, number);
}

bool key_table_is_free(const struct key_table *table, uint32_t number)
{
    return number != 0 && find(table, number) == NULL;
}

static struct key *add(struct key_table *table, const struct key *from)
{
    struct key key = *from;
    str *offers = arena_alloc(&table->arena, (from->offer_count + 1) * sizeof(offers[0]));
    for (size_t i = 0; i < from->offer_count; i++) {
        offers[i] = arena_copy(&table->arena, from->offers[i]);
    }
    key.offers = offers;
    key.name = arena_copy(&table->arena, from->name);
    table->keys = array_reserve(table->keys, &table->capacity, table->count + 1, sizeof(key));
    table->keys[table->count] = key;
    return &table->keys[table->count++];
}

/* ---- Rows. ---- */

struct loading {
    struct key_table *table;
    struct arena arena; /* Of a row. */
};

static status read_row(struct loading *loading, str key, str value, struct key *ret)
{
    struct key_row row;
    str tail;
    if (!key_read_index(key, &tail)) {
        return status_make(CODE_DATA_LOSS, "row of a key: its key is damaged");
    }
    TRY(key_row_read_tail(tail, &ret->number));
    TRY(key_row_decode(value, &loading->arena, &row));
    if (ret->number == 0 || row.offer_count > KEY_OFFERS_MAX) {
        return status_make(CODE_DATA_LOSS, "row of a key: it holds what no key has");
    }
    ret->rights = row.rights & RIGHT_ALL;
    ret->created_ms = row.created_ms;
    ret->expires_ms = row.expires_ms;
    ret->revoked_ms = row.revoked_ms;
    memcpy(ret->digest, row.digest, sizeof(ret->digest));
    ret->name = row.name;
    ret->offers = row.offers;
    ret->offer_count = row.offer_count;
    return STATUS_OK;
}

static bool visit(void *context, str key, str value)
{
    struct loading *loading = context;
    struct key read = {0};
    status fine = read_row(loading, key, value, &read);
    if (!status_is_ok(fine) || loading->table->count == KEYS_MAX) {
        loading->table->is_damaged = true;
        log_line(LOG_ERROR, "key_damaged", "why=\"%s\"",
                 status_is_ok(fine) ? "there are too many" : fine.why);
    } else {
        add(loading->table, &read);
    }
    arena_reset(&loading->arena);
    return true;
}

status key_table_load(struct key_table *table, const struct store *store)
{
    char prefix[KEY_BYTES_MAX];
    struct loading loading = {.table = table};
    arena_init(&loading.arena, 0);
    arena_reset(&table->arena);
    table->count = 0;
    table->is_damaged = false;
    status read =
        store_scan(store, STORE_INDEX, key_index(prefix, table->space, INDEX_KEY, STR_EMPTY),
                   STR_EMPTY, false, SIZE_MAX, visit, &loading);
    arena_fini(&loading.arena);
    return read;
}

static void put(const struct key_table *table, const struct key *key, struct store_batch *batch)
{
    char tail[KEY_ROW_TAIL_BYTES];
    char bytes[KEY_BYTES_MAX];
    struct buf value = {0};
    struct key_row row = {
        .rights = key->rights,
        .created_ms = key->created_ms,
        .expires_ms = key->expires_ms,
        .revoked_ms = key->revoked_ms,
        .name = key->name,
        .offers = key->offers,
        .offer_count = key->offer_count,
    };
    assert(key->number != 0 && key->rights != 0);
    memcpy(row.digest, key->digest, sizeof(row.digest));
    key_row_encode(&row, &value);
    store_batch_put(batch, STORE_INDEX,
                    key_index(bytes, table->space, INDEX_KEY, key_row_tail(tail, key->number)),
                    buf_str(&value));
    buf_fini(&value);
}

/* ---- Made, revoked. ---- */

static bool fault(struct failure *ret, const char *field, str message)
{
    *ret = failure_make(CODE_INVALID_ARGUMENT, REASON_INVALID_FIELD, message);
    ret->field = str_of(field);
    return false;
}

static bool is_text(str text, size_t bytes_max)
{
    if (text.len == 0 || text.len > bytes_max || !utf8_is_valid(text)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if ((uint8_t)text.ptr[i] < ' ' || text.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool check(const struct key_order *order, struct failure *ret)
{
    if (!is_text(order->name, KEY_NAME_MAX)) {
        return fault(ret, "name", STR("has to be a line of 1 to 200 bytes"));
    }
    if (order->rights == 0) {
        return fault(ret, "roles", STR("a key has at least one role"));
    }
    if (order->offer_count > KEY_OFFERS_MAX) {
        return fault(ret, "offers", STR("a key has at most 100 of them; '*' stands for anything"));
    }
    if (order->offer_count > 0 && (order->rights & (RIGHT_HOST | RIGHT_ADMIN)) == 0) {
        return fault(ret, "offers", STR("say what a host may offer; the key has not this role"));
    }
    for (size_t i = 0; i < order->offer_count; i++) {
        if (!is_text(order->offers[i], KEY_OFFER_BYTES_MAX)) {
            return fault(ret, "offers", STR("each has to be a line of 1 to 128 bytes"));
        }
    }
    return true;
}

const struct key *key_table_create(struct key_table *table, const struct key_order *order,
                                   uint64_t now_ms, struct store_batch *batch,
                                   struct failure *ret_why)
{
    char text[SECRET_BYTES];
    assert(key_table_is_free(table, order->number));
    if (!check(order, ret_why)) {
        return NULL;
    }
    if (table->count == 0 && (order->rights & RIGHT_ADMIN) == 0) {
        *ret_why = failure_make(CODE_FAILED_PRECONDITION, REASON_KEY_NOT_ADMIN,
                                STR("from the first key on this server lets in nobody without "
                                    "one, so the first has to be an administrator's (ADMIN), or "
                                    "nobody could make another"));
        return NULL;
    }
    if (table->count >= KEYS_MAX) {
        *ret_why = failure_make(CODE_RESOURCE_EXHAUSTED, REASON_KEYS_EXHAUSTED,
                                STR("there are 10000 keys, the most there are"));
        return NULL;
    }
    struct key key = {
        .number = order->number,
        .rights = order->rights,
        .created_ms = now_ms,
        .expires_ms = order->lifetime_ms == 0 ? 0 : now_ms + order->lifetime_ms,
        .name = order->name,
        .offers = order->offers,
        .offer_count = order->offer_count,
    };
    secret_digest(secret_make(text, order->number, order->random), key.digest);
    secret_forget(text, sizeof(text));
    put(table, &key, batch);
    return add(table, &key);
}

const struct key *key_table_revoke(struct key_table *table, uint32_t number, uint64_t now_ms,
                                   struct store_batch *batch, struct failure *ret_why)
{
    struct key *key = find(table, number);
    if (key == NULL) {
        *ret_why =
            failure_make(CODE_NOT_FOUND, REASON_KEY_NOT_FOUND, STR("there is no key with this id"));
        ret_why->field = STR("key_id");
        return NULL;
    }
    if (key->revoked_ms == 0) {
        key->revoked_ms = now_ms;
        put(table, key, batch);
    }
    return key;
}

/* ---- Shown. ---- */

static int by_name(const void *a, const void *b)
{
    const struct key *first = a;
    const struct key *second = b;
    size_t len = first->name.len < second->name.len ? first->name.len : second->name.len;
    int order = len == 0 ? 0 : memcmp(first->name.ptr, second->name.ptr, len);
    if (order == 0 && first->name.len != second->name.len) {
        order = first->name.len < second->name.len ? -1 : 1;
    }
    if (order == 0) {
        order = first->number < second->number ? -1 : first->number > second->number;
    }
    return order;
}

const struct key *key_table_list(const struct key_table *table, uint32_t after, size_t limit,
                                 struct arena *arena, size_t *ret_count, bool *ret_more)
{
    struct key *sorted = arena_alloc(arena, (table->count + 1) * sizeof(sorted[0]));
    size_t first = 0;
    assert(limit > 0);
    if (table->count > 0) {
        memcpy(sorted, table->keys, table->count * sizeof(sorted[0]));
        qsort(sorted, table->count, sizeof(sorted[0]), by_name);
    }
    for (size_t i = 0; after != 0 && i < table->count; i++) {
        if (sorted[i].number == after) {
            first = i + 1;
        }
    }
    size_t rest = table->count - first;
    *ret_count = rest < limit ? rest : limit;
    *ret_more = rest > limit;
    return sorted + first;
}

struct key_set *key_table_set(const struct key_table *table)
{
    return key_set_new(table->keys, table->count, table->count == 0 && !table->is_damaged);
}
