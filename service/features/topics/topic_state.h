/*
 * topic_state: what the files of this feature share.
 *
 * Threading: owned by one partition thread.
 */
#ifndef SERVICE_FEATURES_TOPICS_TOPIC_STATE_H
#define SERVICE_FEATURES_TOPICS_TOPIC_STATE_H

#include "service/features/topics/topic_table.h"
#include "service/features/topics/topics.h"
#include "service/features/waits/wait_kind.h"
#include "service/partition/state.h"

struct topics {
    struct partition *partition;
    const struct topic_listener *listener; /* NULL: nobody listens. */
    void *listener_context;
    struct topic_table table;
    struct topic_table types; /* The events of one type in a topic: who awaits them, no more. */
    bool any_new;
    uint64_t name_again_ms; /* When older topics are named on; 0: now. */
    struct follow follow; /* The subscribers, by topic_id(). */
    uint64_t read_again_ms; /* The store could not be read; 0: it could. */
    size_t looks_left; /* Events that may still be looked at in this round for those who await. */
    bool is_unsure; /* One who awaits could not be shown an event; the next start tries again. */
    bool is_waking_on; /* This round has not looked at all that was published before it. */
    struct topics_named named; /* Committed. */
    struct topics_named named_next; /* By the open batch. */
    bool is_given_up; /* Until the next start: the events could not be read. */
};

/* Of the partition. */
struct topics *topics_of(const struct partition *partition);

/* The topic, as those are called who have an id: its lane of what is owed, its subscribers. */
uuid topic_id(const uint8_t hash[16]);
/* In memory, or read. DATA_LOSS: what is last in it cannot be read. */
status topic_find(struct partition *partition, const uint8_t hash[16], struct topic **ret);
/* The events of one type in a topic, by the hash of both. */
struct topic *topic_type_find(struct partition *partition, const uint8_t hash[16]);

/* By topic_names.c: */
/* How far it reaches, as the store has it; all zero but `first`, 1: nothing was published to it. */
status topic_read(struct partition *partition, const uint8_t hash[16], struct topic_row *ret);
/* It has a name among the topics from now on. */
void topic_list(struct partition *partition, struct topic *topic, str name);
/* Gives names to some topics of an older store, if any are left. */
void topics_name_old(struct topics *topics);
bool topics_are_unnamed(const struct topics *topics); /* Whether it has more to do. */
/* How far that has come. */
status topics_read_named(struct topics *topics);
extern const struct owed_kind *const topic_owed_kinds[];

/* By topic_subscribers.c: */
void topic_subscribers_init(struct topics *topics);
void topic_subscribers_fini(struct topics *topics); /* The partition ends. */
/* The event goes into the batch: after the commit it is shown. */
void topic_show(struct partition *partition, const uint8_t hash[16], uint64_t sequence, str bytes);
/* Those up to that sequence are dropped by the batch. */
void topic_show_dropped(struct partition *partition, const uint8_t hash[16], uint64_t up_to);

/* By topic_steps.c: */
extern const struct wait_kind *const topic_wait_kinds[];

/* By topics.c, for those who await: */
/* No row of who awaits it lies before this one's. */
void topic_note_await(struct topic *topic, uuid run, uint32_t effect);
/* The row of who awaits the topic, or a type of its events. */
str topic_await_key(const struct partition *partition, char ret[KEY_BYTES_MAX],
                    const struct live_wait *wait, uuid run);
/* It sees what is published after that sequence. */
void topic_put_await(struct partition *partition, const struct live_wait *wait, uuid run,
                     uint64_t after);

#endif
