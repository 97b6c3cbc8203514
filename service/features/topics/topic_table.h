/*
 * topic_table: the topics that somebody has to do with, found by the hash of their names.
 *
 * A topic that nobody follows and whose events everybody has seen is a few numbers that can be read
 * again. The last of those are kept, the others forgotten: there may be a topic for every run.
 *
 * Invariant: a topic with something to do is in `busy`, every other one in `idle`.
 * Order:     `idle` is in the order of their last use.
 * Threading: owned by one partition thread.
 */
#ifndef SERVICE_FEATURES_TOPICS_TOPIC_TABLE_H
#define SERVICE_FEATURES_TOPICS_TOPIC_TABLE_H

#include "service/base/table.h"
#include "service/codec/topic_rows.h"

struct topic {
    struct table_link by_hash;
    struct topic *older;
    struct topic *newer;
    bool is_busy; /* In which list it is. */
    uint8_t hash[16];
    struct topic_row row; /* How far it reaches. */
    uint64_t looked; /* What was last put about how far all have looked; 0: not known. */
    bool is_type; /* The events of one type in a topic: `row` is not known, nobody follows. */
    bool is_new; /* Has events nobody was woken for yet. */
    uint64_t new_from; /* The first of them; 0: not known; UINT64_MAX: there is none. */
    struct index_tail awaits_from; /* No row of who awaits it lies before. */
    bool is_waking; /* Those before `wake_at` have been looked at, since is_new was set last. */
    struct index_tail wake_at;
    uint64_t wake_from; /* What `new_from` was then. */
};

struct topic_list {
    struct topic *oldest;
    struct topic *newest;
    size_t count;
};

struct topic_table {
    struct table by_hash;
    struct topic_list busy;
    struct topic_list idle;
};

/* Empty; end with topic_table_fini(). */
void topic_table_init(struct topic_table *table);
/* Frees the topics. */
void topic_table_fini(struct topic_table *table);
/* Of both lists. */
size_t topic_table_count(const struct topic_table *table);
/* NULL: it is not in memory. What is found counts as used. */
struct topic *topic_table_find(struct topic_table *table, const uint8_t hash[16]);
/* One that was not found; idle. */
struct topic *topic_table_add(struct topic_table *table, const uint8_t hash[16]);
/* Something has changed that says in which list it belongs. */
void topic_table_settle(struct topic_table *table, struct topic *topic);
/* Forgets idle topics beyond the 1,000 used last. Nobody may point at one, nor may what happened to
 * one be uncommitted. */
void topic_table_trim(struct topic_table *table);

#endif
