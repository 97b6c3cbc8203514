/*
 * follow: those who follow something that grows: a run's facts, a topic's events.
 *
 * What lies behind is shown to a follower beside the partition (service/reads), a page at a time,
 * however much it is. When there is no more of it there, the follower joins: what came meanwhile
 * was kept, and is shown to it; from then on it is shown what happens, at the rate of its peer.
 * One that falls behind is read for again. Nothing of this reads the store on the partition's
 * thread.
 *
 *   follow_add -> READS -> JOINS -> LIVE -> STALLED -> READS ..
 *                   ^        |
 *                   +--------+ too much came meanwhile, or the peer was full
 *
 * Invariant: a follower is shown each number once and in order, but for those with another label
 * and those that are gone: who shows it what begins after the last that the other has shown.
 * Threading: owned by the partition thread; `push` and `stalls` are also called by the reads while
 *            they show something, and then not by this.
 */
#ifndef SERVICE_PARTITION_FOLLOW_H
#define SERVICE_PARTITION_FOLLOW_H

#include "service/base/failure.h"
#include "service/base/payload.h"
#include "service/base/table.h"
#include "service/base/uuid.h"

struct followed;

enum follower_place {
    FOLLOWER_NOWHERE, /* It was not added, or has been removed. */
    FOLLOWER_READS, /* A read shows it what lies behind. */
    FOLLOWER_JOINS, /* That read is over; see follow_settle(). */
    FOLLOWER_LIVE, /* It is shown what happens. */
    FOLLOWER_STALLED, /* It waits for follow_more(). */
};

/* Owned by whoever follows; from follow_add() until follow_remove() or `end` the set's. */
struct follower {
    /* Sends one thing; takes the reference. */
    void (*push)(struct follower *follower, struct payload *payload);
    /* Whether the peer has to take some of what was pushed first. Once this was answered true,
     * follow_more() follows when it has. */
    bool (*stalls)(struct follower *follower);
    /* Has it shown what comes after `number`, beside the partition; follow_joins() follows. */
    void (*read)(struct follower *follower);
    /* Nothing follows; it has been removed. NULL: it was told all that there is. */
    void (*end)(struct follower *follower, const struct failure *failure);
    void *own; /* Of whoever follows. */
    str label; /* It is shown only what has this; empty: all. Borrowed. */
    uint64_t number; /* Up to here it was shown. */
    enum follower_place place;
    /* The set's own: */
    struct follow *set; /* While `at` is not NULL. */
    struct followed *at; /* NULL: NOWHERE. */
    struct follower *before;
    struct follower *next;
    struct follower *next_joining;
    bool is_full; /* JOINS: the read has stopped because it stalls. */
    bool may_go_on; /* follow_more() came while it was read for. */
    bool reads_again; /* What its read may have missed; see follow_read_again(). */
};

struct follow_options {
    size_t followers_max; /* In all. */
    const struct follow *with; /* Whose followers are counted with its own; NULL: none. */
    size_t each_max; /* Of one thing. */
    size_t kept_bytes; /* At most for those who are read for, of one thing; in all 256 times that.
                        */
    /* It is LIVE from now on. May end it. */
    void (*joined)(void *context, struct follower *follower);
    /* A read has shown it all that there will ever be; it has been removed. NULL: things go on. */
    void (*all_shown)(void *context, struct follower *follower);
    void *context;
};

/* Those who follow things of one kind. */
struct follow {
    struct follow_options options;
    struct table by_id;
    struct followed *first; /* All that is followed. */
    struct follower *joining;
    size_t count; /* Followers. */
    size_t kept_bytes;
};

/* Nobody follows anything yet. */
void follow_init(struct follow *follow, const struct follow_options *options);
/* Ends all who are left with the failure. */
void follow_fini(struct follow *follow, const struct failure *failure);

/* Whether one more may follow it; else *ret says why not. */
bool follow_may_add(const struct follow *follow, uuid id, struct failure *ret);
/* It is LIVE at once when nothing lies behind, which the caller knows; else it is read for. */
void follow_add(struct follow *follow, uuid id, struct follower *follower, bool is_live);
/* Its caller is gone, or it is ended by somebody else. It may be NOWHERE. */
void follow_remove(struct follow *follow, struct follower *follower);
/* Its peer can take more. It may be NOWHERE. */
void follow_more(struct follow *follow, struct follower *follower);
/* Its read is over: it was shown all up to `number`; is_full: there is more, but it stalls. It may
 * be NOWHERE. */
void follow_joins(struct follow *follow, struct follower *follower, uint64_t number, bool is_full);
/* After a commit, when all it has caused was shown: those whose reads are over join. */
void follow_settle(struct follow *follow);
/* Whether follow_settle() has something to do. */
bool follow_is_unsettled(const struct follow *follow);

/* Whether anybody follows it. */
bool follow_is_followed(const struct follow *follow, uuid id);
/* NULL: nobody follows it. One after the other by `next`. */
struct follower *follow_first(const struct follow *follow, uuid id);
/* Shows what has this number and label, and is durable, to all who are LIVE; takes the reference.
 */
void follow_show(struct follow *follow, uuid id, uint64_t number, str label,
                 struct payload *payload);
/* What has a number up to this one is gone, and is shown to nobody any more. */
void follow_forget(struct follow *follow, uuid id, uint64_t number);
/* A read has shown it all; see all_shown. It may be NOWHERE. */
void follow_has_all(struct follow *follow, struct follower *follower);
/* Something up to `number` may be durable that was not shown: whoever has not seen it is read for.
 */
void follow_doubt(struct follow *follow, uuid id, uint64_t number);
/* As follow_doubt(), up to whatever number. */
void follow_read_again(struct follow *follow, uuid id);
/* Nothing comes any more: who is LIVE is removed and returned as a chain by `next`; the others are
 * read for until they have seen the end. */
struct follower *follow_end(struct follow *follow, uuid id);
/* Ends all who follow it with the failure. */
void follow_drop(struct follow *follow, uuid id, const struct failure *failure);
/* It cannot take more now: it is read for when it can. */
void follow_stall(struct follow *follow, struct follower *follower);

#endif
