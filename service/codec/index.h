/*
 * index: rows that lead from one thing to another: a parent to its child, a time to the run that
 * wants to be woken then, a topic to those who await its events.
 *
 * All are in one table, told apart by their kind. A row's key is its kind and a tail; what each
 * holds is in the header of its kind, with its codec.
 *
 * A row is written in the batch of the event that makes it true and deleted in the batch of the
 * one that ends it, so it never says what the journal does not.
 */
#ifndef SERVICE_CODEC_INDEX_H
#define SERVICE_CODEC_INDEX_H

#include "service/base/base.h"

/* On disk: never renumbered. */
enum index_kind {
    INDEX_CHILD = 1, /* tree_rows.h */
    INDEX_SUSPENSION = 2, /* wait_rows.h */
    INDEX_AWAIT = 3, /* wait_rows.h */
    INDEX_TRIGGER = 4, /* topic_rows.h; key: the workflow's name */
    INDEX_SCHEDULE = 5, /* schedule_row.h; key: the workflow's name, '/', the schedule's key */
    INDEX_SCHEDULE_INPUT = 6, /* JSON text; key: as INDEX_SCHEDULE */
    INDEX_QUEUE = 7, /* queue_rows.h; key: the queue's name */
    INDEX_QUEUE_DEFAULT = 8, /* queue_rows.h; key: the workflow's name */
    INDEX_ALARM = 9, /* wait_rows.h */
    INDEX_QUEUE_START = 10, /* queue_rows.h */
    INDEX_PUBLICATION = 11, /* topic_rows.h */
    INDEX_PUBLICATION_AGE = 12, /* topic_rows.h */
    INDEX_SUCCESSOR = 13, /* tree_rows.h */
    INDEX_OWED = 14, /* owed_row.h */
    INDEX_TREE = 15, /* owed_row.h */
    INDEX_RUN = 16, /* run_index.h */
    INDEX_RUN_BUILT = 17, /* run_index.h */
    INDEX_AWAIT_TYPE = 18, /* wait_rows.h */
    INDEX_STEP_KEY = 19, /* step_key_rows.h */
    INDEX_STEP_KEYS_SINCE = 20, /* step_key_rows.h */
    INDEX_SCHEDULE_TERMS = 21, /* schedule_row.h; key: as INDEX_SCHEDULE */
    INDEX_SCHEDULE_PAUSE = 22, /* its cause; key: as INDEX_SCHEDULE */
    INDEX_TOPIC = 23, /* topic_rows.h; key: the topic's name */
    INDEX_TOPICS_NAMED = 24, /* topic_rows.h */
    INDEX_COPY = 25, /* copy_row.h */
    INDEX_LOOKED = 28, /* wait_rows.h; key: the topic's hash */
    INDEX_VERSION = 40, /* definition_rows.h */
    INDEX_VERSION_TIME = 41, /* definition_rows.h */
    INDEX_VERSION_RUNS = 42, /* definition_rows.h */
    INDEX_VERSION_DELETED = 43, /* definition_rows.h */
    INDEX_VERSIONS_BUILT = 44, /* definition_rows.h */
    INDEX_TOOL_OFFER = 45, /* agents/offer.h; key: the tool's name */
    INDEX_WORKFLOW_OFFER = 46, /* agents/offer.h; key: the workflow's name */
    INDEX_TREE_FACTS = 55, /* tree_order.h */
    INDEX_RUN_TREES_BUILT = 56, /* run_index.h */
    INDEX_KEY = 64, /* key_row.h; key: its number, big-endian */
};

enum {
    INDEX_TAIL_BYTES_MAX = 48,
};

/* What follows the kind in a key, where that is no name. Zero-initialised is empty. Its numbers are
 * big-endian, so that rows sort by them. */
struct index_tail {
    char bytes[INDEX_TAIL_BYTES_MAX];
    size_t len;
};

/* Borrowed from the tail. */
static inline str index_tail_str(const struct index_tail *tail)
{
    return str_make(tail->bytes, tail->len);
}

/* For those who make tails: appends bytes; a number of 1 to 8 bytes. There must be room. */
void index_tail_put(struct index_tail *tail, const void *bytes, size_t len);
/* A number of `len` bytes, 1 to 8. */
void index_tail_put_number(struct index_tail *tail, uint64_t value, size_t len);

#endif
