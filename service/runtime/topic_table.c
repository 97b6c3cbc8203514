#include "service/runtime/topic_table.h"

#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS_FIRST = 256,
    IDLE_MAX = 1000,
};

static void list_remove(struct topic_list *list, struct topic *topic)
{
    *(topic->older != NULL ? &topic->older->newer : &list->oldest) = topic->newer;
    *(topic->newer != NULL ? &topic->newer->older : &list->newest) = topic->older;
    list->count--;
}

static void list_append(struct topic_list *list, struct topic *topic)
{
    topic->older = list->newest;
    topic->newer = NULL;
    *(list->newest != NULL ? &list->newest->newer : &list->oldest) = topic;
    list->newest = topic;
    list->count++;
}

static struct topic **bucket_of(const struct topic_table *table, const uint8_t hash[16])
{
    uint64_t number;
    memcpy(&number, hash, sizeof(number));
    return &table->buckets[number & (table->bucket_count - 1)];
}

size_t topic_table_count(const struct topic_table *table)
{
    return table->busy.count + table->idle.count;
}

static void rehash(struct topic_table *table, struct topic *topic)
{
    for (; topic != NULL; topic = topic->newer) {
        struct topic **bucket = bucket_of(table, topic->hash);
        topic->chain = *bucket;
        *bucket = topic;
    }
}

static void grow(struct topic_table *table)
{
    free(table->buckets);
    table->bucket_count = table->bucket_count == 0 ? BUCKETS_FIRST : table->bucket_count * 2;
    table->buckets = xcalloc(table->bucket_count, sizeof(struct topic *));
    rehash(table, table->busy.oldest);
    rehash(table, table->idle.oldest);
}

static void forget(struct topic_table *table, struct topic *topic)
{
    struct topic **link = bucket_of(table, topic->hash);
    while (*link != topic) {
        link = &(*link)->chain;
    }
    *link = topic->chain;
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
    free(table->buckets);
    *table = (struct topic_table){0};
}

struct topic *topic_table_find(struct topic_table *table, const uint8_t hash[16])
{
    struct topic *topic = table->bucket_count == 0 ? NULL : *bucket_of(table, hash);
    while (topic != NULL && memcmp(topic->hash, hash, sizeof(topic->hash)) != 0) {
        topic = topic->chain;
    }
    if (topic != NULL && !topic->is_busy) {
        list_remove(&table->idle, topic);
        list_append(&table->idle, topic);
    }
    return topic;
}

struct topic *topic_table_add(struct topic_table *table, const uint8_t hash[16])
{
    if (topic_table_count(table) >= table->bucket_count) {
        grow(table);
    }
    struct topic *topic = xcalloc(1, sizeof(*topic));
    memcpy(topic->hash, hash, sizeof(topic->hash));
    struct topic **bucket = bucket_of(table, hash);
    topic->chain = *bucket;
    *bucket = topic;
    list_append(&table->idle, topic);
    return topic;
}

void topic_table_settle(struct topic_table *table, struct topic *topic)
{
    bool is_busy = topic->is_new || topic->is_waking || topic->subscribers != NULL;
    if (is_busy != topic->is_busy) {
        list_remove(topic->is_busy ? &table->busy : &table->idle, topic);
        list_append(is_busy ? &table->busy : &table->idle, topic);
        topic->is_busy = is_busy;
    }
}

void topic_table_trim(struct topic_table *table)
{
    while (table->idle.count > IDLE_MAX) {
        forget(table, table->idle.oldest);
    }
}
