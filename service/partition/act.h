/*
 * act: what is to be done in the world once the events that order it are on disk.
 *
 * Acts are noted while a round decides and carried out in order after its commit. When the commit
 * fails none is: each is abandoned, except those that only read.
 */
#ifndef SERVICE_PARTITION_ACT_H
#define SERVICE_PARTITION_ACT_H

#include "service/base/failure.h"
#include "service/base/uuid.h"

struct act;
struct live_run;
struct partition;
struct request;

/* One const row for each kind of act. */
struct act_kind {
    const char *name;
    void (*perform)(struct partition *partition, const struct act *act);
    /* The commit failed. NULL: nothing is to be done about it. */
    void (*abandon)(struct partition *partition, const struct act *act,
                    const struct failure *failure);
    /* It only reads: after a failed commit it is carried out all the same. */
    bool is_read;
};

struct act {
    const struct act_kind *kind;
    struct live_run *run; /* NULL: it is about none. */
    uuid run_id;
    uint32_t effect;
    uint32_t attempt;
    void *data; /* The kind's own; lives until the end of the round. */
};

/* At the end of the round's acts. Carrying out an act may note another. The act may be filled in
 * until the next one is added. */
struct act *act_add(struct partition *partition, const struct act_kind *kind, struct live_run *run);
/* A request whose operation only reads. */
void act_read(struct partition *partition, struct request *request);

/* By the round: */
struct acts {
    struct act *list;
    size_t count;
    size_t capacity;
};
/* In order; none is left. */
void acts_perform(struct partition *partition);
/* Abandons all but those that only read, which stay. */
void acts_abandon(struct partition *partition, const struct failure *failure);
/* The partition ends: what is left, after a round that failed, is refused. */
void acts_refuse(struct partition *partition);

#endif
