#include "service/features/topics/topic_table.h"

#include <stdlib.h>
#include <string.h>

#include "service/codec/wait_rows.h"

enum {
    IDLE_MAX = 1000,
};

static void list_remove(struct topic_list *list, struct topic *topic)
{
    assert(list->count > 0);
    *(topic->older != NULL ? &topic->older->newer : &list->oldest) = topic->newer;
    *(topic->newer != NULL ? &topic->newer->older : &list->newest) = topic->older;
    list->count--;
    assert((list->oldest == NULL) == (list->count == 0));
}

static void list_append(struct topic_list *list, struct topic *topic)
{
    assert((list->oldest == NULL) == (list->count == 0));
    topic->older = list->newest;
    topic->newer = NULL;
    *(list->newest != NULL ? &list->newest->newer : &list->oldest) = topic;
    list->newest = topic;
    list->count++;
}

static uint64_t number_of(const uint8_t hash[16])
{
    uint64_t number;
    memcpy(&number, hash, sizeof(number));
    return number;
}

static bool has_hash(const struct table_link *link, const void *hash)
{
    const struct topic *topic = container_of(link, const struct topic, by_hash);
    return memcmp(topic->hash, hash, sizeof(topic->hash)) == 0;
}

void topic_table_init(struct topic_table *table)
{
    *table = (struct topic_table){0};
    table_init(&table->by_hash, has_hash);
}

size_t topic_table_count(const struct topic_table *table)
{
    assert(table->by_hash.count == table->busy.count + table->idle.count);
    return table->busy.count + table->idle.count;
}

static void forget(struct topic_table *table, struct topic *topic)
{
    table_remove(&table->by_hash, &topic->by_hash);
    list_remove(topic->is_busy ? &table->busy : &table->idle, topic);
    free(topic);
}

void topic_table_fini(struct topic_table *table)
{
    while (table->busy.oldest != NULL) {
        forget(table, table->busy.oldest);
    }
    while (table->idle.oldest != NULL) {
        forget(table, table->idle.oldest);
    }
    assert(topic_table_count(table) == 0);
    table_fini(&table->by_hash);
}

struct topic *topic_table_find(struct topic_table *table, const uint8_t hash[16])
{
    struct table_link *link = table_find(&table->by_hash, number_of(hash), hash);
    struct topic *topic = link == NULL ? NULL : container_of(link, struct topic, by_hash);
    if (topic != NULL && !topic->is_busy) {
        list_remove(&table->idle, topic);
        list_append(&table->idle, topic);
    }
    return topic;
}

struct topic *topic_table_add(struct topic_table *table, const uint8_t hash[16])
{
    assert(table_find(&table->by_hash, number_of(hash), hash) == NULL);
    struct topic *topic = xcalloc(1, sizeof(*topic));
    memcpy(topic->hash, hash, sizeof(topic->hash));
    topic->awaits_from = await_rows_of(hash);
    topic->new_from = UINT64_MAX;
    table_add(&table->by_hash, &topic->by_hash, number_of(hash));
    list_append(&table->idle, topic);
    return topic;
}

void topic_table_settle(struct topic_table *table, struct topic *topic)
{
    bool is_in_doubt = topic->new_from == 0;
    bool is_busy = topic->is_new || topic->is_waking || is_in_doubt;
    if (is_busy != topic->is_busy) {
        list_remove(topic->is_busy ? &table->busy : &table->idle, topic);
        list_append(is_busy ? &table->busy : &table->idle, topic);
        topic->is_busy = is_busy;
    }
}

void topic_table_trim(struct topic_table *table)
{
    while (table->idle.count > IDLE_MAX) {
        assert(!table->idle.oldest->is_busy);
        forget(table, table->idle.oldest);
    }
}
