/*
 * topics: events by topic: numbered, kept, awaited, followed.
 */
#ifndef SERVICE_FEATURES_TOPICS_TOPICS_H
#define SERVICE_FEATURES_TOPICS_TOPICS_H

#include "service/codec/topic_rows.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature topics_feature;

/* Gives sequences and writes into the batch; *ret_first is the first event's. DATA_LOSS: a topic's
 * last event cannot be read. */
status topic_publish(struct partition *partition, const struct topic_event *events, size_t count,
                     uint64_t *ret_first);
/* The sequence of the topic's last event; 0: none. */
status topic_last(struct partition *partition, str topic, uint64_t *ret);
/* What names a topic on disk. */
void topic_hash(str topic, uint8_t ret[16]);
/* What names the events of one type in it there. */
void topic_type_hash(const uint8_t topic[16], str type, uint8_t ret[16]);
/* An event as JSON, for those who awaited it. */
str topic_render(const struct topic_event *event, struct arena *arena);
/* The topic's events after a sequence, until `each` returns false. DATA_LOSS: one is damaged. */
status topic_visit(struct partition *partition, const uint8_t hash[16], uint64_t after,
                   bool (*each)(void *context, const struct topic_event *event), void *context);
/* In memory. */
size_t topics_count(const struct partition *partition);
/* One listener: called before those who await are woken, when a topic has new events, all of them
 * committed. */
void topics_listen(struct partition *partition,
                   void (*news)(void *context, const uint8_t topic[16]), void *context);

/* Follows one topic. Owned by the API's call; calls come from the partition thread. */
struct subscriber {
    void (*push)(struct subscriber *subscriber, const struct topic_event *event);
    /* Whether the peer has to take some of what was pushed first. Once this was answered true,
     * subscribe_more_operation follows when it has. */
    bool (*stalls)(struct subscriber *subscriber);
    /* It has ended; nothing follows. */
    void (*end)(struct subscriber *subscriber, const struct failure *failure);
    bool follows; /* False: ends with the topic's last event. */
    uint64_t sequence; /* Events up to here were pushed; UINT64_MAX: only new ones are wanted. */
    /* The feature's own: */
    struct topic *at; /* NULL: it has ended, or not begun. */
    struct subscriber *next;
    bool is_stalled;
};

struct subscribe_request {
    struct request request;
    struct subscriber *subscriber;
    str topic; /* Not of the two below. */
};
extern const struct operation subscribe_operation;
extern const struct operation subscribe_more_operation; /* It can take more. */
extern const struct operation subscribe_end_operation; /* Its caller is gone. */

static inline struct subscribe_request *subscribe_request(struct request *request)
{
    assert(request->operation->request_bytes == sizeof(struct subscribe_request));
    return container_of(request, struct subscribe_request, request);
}

#endif
