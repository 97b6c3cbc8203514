/*
 * links: index rows that lead from one thing to another: parent to child, time to suspension,
 * topic to those who await it.
 *
 * A row is written in the batch of the event that makes it true and deleted in the batch of the
 * one that ends it, so it never says what the journal does not.
 */
#ifndef SERVICE_RUNTIME_LINKS_H
#define SERVICE_RUNTIME_LINKS_H

#include "service/base/uuid.h"
#include "service/runtime/runtime.h"

enum link_kind {
    LINK_CHILD = 1, /* parent 16 | child 16 */
    LINK_SUSPENSION = 2, /* since_ms 8 | run 16 | effect 4 */
    LINK_AWAIT = 3, /* topic hash 16 | run 16 | effect 4 */
    LINK_TRIGGER = 4, /* workflow's name -> struct link_trigger and the topic */
    LINK_SCHEDULE = 5, /* workflow's name, '/', key -> struct schedule_row */
    LINK_SCHEDULE_INPUT = 6, /* as LINK_SCHEDULE -> JSON text */
    LINK_QUEUE = 7, /* queue's name -> its limits */
    LINK_QUEUE_DEFAULT = 8, /* workflow's name -> queue's name */
    LINK_TIMER = 9, /* due_ms 8 | run 16; of runs that need not be in memory */
    LINK_QUEUE_START = 10, /* queue's name, slot 4 -> number 8, start_ms 8; see queueing.c */
    LINK_PUBLICATION = 11, /* hash of topic and key 16 -> digest 16, first sequence 8, ms 8 */
    LINK_PUBLICATION_AGE = 12, /* ms 8 | hash of topic and key 16 */
    LINK_HEIR = 13, /* child 16 | run 16 that waits for it instead of its failed parent */
};

enum {
    LINK_TAIL_BYTES = 48,
};

struct link_tail {
    char bytes[LINK_TAIL_BYTES];
    size_t len;
};

struct link_tail link_child(uuid parent, uuid child);
struct link_tail link_children(uuid parent); /* The prefix of all. */
struct link_tail link_timer(uint64_t due_ms, uuid run);
struct link_tail link_suspension(uint64_t since_ms, uuid run, uint32_t effect);
struct link_tail link_await(const uint8_t topic[16], uuid run, uint32_t effect);
struct link_tail link_awaits(const uint8_t topic[16]);

static inline str link_str(const struct link_tail *tail)
{
    return str_make(tail->bytes, tail->len);
}

/* From a key's tail. False: damaged. */
[[nodiscard]] bool link_read_child(str tail, uuid *ret);
[[nodiscard]] bool link_read_timer(str tail, uint64_t *ret_due_ms, uuid *ret_run);
[[nodiscard]] bool link_read_suspension(str tail, uint64_t *ret_since_ms, uuid *ret_run,
                                        uint32_t *ret_effect);
[[nodiscard]] bool link_read_await(str tail, uuid *ret_run, uint32_t *ret_effect);

#endif
