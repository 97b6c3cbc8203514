#include "service/base/table.h"

#include <stdlib.h>

#include "service/base/map.h"

enum {
    TABLE_CHAINS_MIN = 8,
};

void table_init(struct table *table, bool (*is)(const struct table_link *link, const void *key))
{
    assert(is != NULL);
    *table = (struct table){.is = is};
}

void table_fini(struct table *table)
{
    free(table->chains);
    *table = (struct table){.is = table->is};
}

static struct table_link **chain_of(const struct table *table, uint64_t hash)
{
    assert(table->chain_count > 0);
    return &table->chains[map_hash_u64(hash) & (table->chain_count - 1)];
}

static void put(struct table *table, struct table_link *link)
{
    struct table_link **chain = chain_of(table, link->hash);
    link->next = *chain;
    *chain = link;
}

void table_reserve(struct table *table, size_t count)
{
    struct table_link **old = table->chains;
    size_t old_count = table->chain_count;
    size_t wider = old_count < TABLE_CHAINS_MIN ? TABLE_CHAINS_MIN : old_count;
    assert(count <= SIZE_MAX / 2);
    while (wider < count) {
        wider *= 2;
    }
    if (wider == old_count) {
        return;
    }
    table->chain_count = wider;
    table->chains = xcalloc(wider, sizeof(*table->chains));
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct table_link *link = old[i];
            old[i] = link->next;
            put(table, link);
        }
    }
    free(old);
}

struct table_link *table_find(const struct table *table, uint64_t hash, const void *key)
{
    if (table->count == 0) {
        return NULL;
    }
    struct table_link *link = *chain_of(table, hash);
    while (link != NULL && (link->hash != hash || !table->is(link, key))) {
        link = link->next;
    }
    return link;
}

void table_add(struct table *table, struct table_link *link, uint64_t hash)
{
    table_reserve(table, table->count + 1);
    link->hash = hash;
    put(table, link);
    table->count++;
}

void table_remove(struct table *table, struct table_link *link)
{
    assert(table->count > 0);
    struct table_link **at = chain_of(table, link->hash);
    while (*at != link) {
        assert(*at != NULL && "it is not in the table");
        at = &(*at)->next;
    }
    *at = link->next;
    link->next = NULL;
    table->count--;
}
