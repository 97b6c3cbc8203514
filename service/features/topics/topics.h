/*
 * topics: events by topic: numbered, kept, awaited, followed.
 */
#ifndef SERVICE_FEATURES_TOPICS_TOPICS_H
#define SERVICE_FEATURES_TOPICS_TOPICS_H

#include "service/codec/topic_rows.h"
#include "service/partition/feature.h"
#include "service/partition/following.h"

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
/* The topic's events after a sequence, until `each` returns false; also those that were dropped and
 * not deleted yet. DATA_LOSS: one is damaged. */
status topic_visit(struct partition *partition, const uint8_t hash[16], uint64_t after,
                   bool (*each)(void *context, const struct topic_event *event), void *context);
/* In memory. */
size_t topics_count(const struct partition *partition);
/* Who starts something with a topic's events. */
struct topic_listener {
    /* Before those who await are woken: the topic has new events, all of them committed. */
    void (*news)(void *context, const uint8_t topic[16]);
    /* Whether it still needs events up to that sequence, now or when they come. */
    bool (*needs)(void *context, const uint8_t topic[16], uint64_t up_to);
};
/* One listener. It is kept. */
void topics_listen(struct partition *partition, const struct topic_listener *listener,
                   void *context);

/* What an event, or that there are no more, looks like on the wire is the API's affair. */
struct topic_format {
    struct payload *(*event)(const struct topic_event *event);
    struct payload *(*caught_up)(uint64_t sequence);
};

/* Follows one topic. Owned by the API's call; see partition/follow.h. */
struct subscriber {
    /* Whose numbers are sequences, and whose label is a type; `read` is given by the API. Number
     * UINT64_MAX: only new events are wanted. */
    struct follower follower;
    bool follows; /* False: ends with the topic's last event. */
    bool caught_up_said; /* The feature's own. */
};

static inline struct subscriber *subscriber_of(struct follower *follower)
{
    return container_of(follower, struct subscriber, follower);
}

struct subscribe_request {
    struct request request;
    struct subscriber *subscriber;
    str topic;
};
extern const struct operation subscribe_operation;

static inline struct subscribe_request *subscribe_request(struct request *request)
{
    assert(request->operation == &subscribe_operation);
    return container_of(request, struct subscribe_request, request);
}

/* Drops events; see topic_names.c. */
struct delete_topic_request {
    struct request request;
    str topic;
    uint64_t up_to; /* The last of them; 0: all, and the topic. */
};
extern const struct operation delete_topic_operation;

static inline struct delete_topic_request *delete_topic_request(struct request *request)
{
    assert(request->operation == &delete_topic_operation);
    return container_of(request, struct delete_topic_request, request);
}

#endif
