/*
 * erase: the deletion of one run: what makes it a run first, the rest of its records after that.
 *
 * Threading: owned by the partition thread.
 */
#ifndef SERVICE_PARTITION_ERASE_H
#define SERVICE_PARTITION_ERASE_H

#include "service/engine/event.h"

struct arena;
struct partition;

enum erasable {
    ERASABLE, /* It has ended, or cannot be read. */
    ERASABLE_LATER, /* Something of this round is about it, or the store cannot be read. */
    ERASABLE_NOT, /* It has not ended. */
    ERASABLE_GONE, /* There is no such run. */
};

/* Whether it may be deleted in this round. */
enum erasable erase_may(struct partition *partition, uuid run);
/* The run's start, as committed. It lives in the arena. DATA_LOSS, NOT_FOUND: it cannot be read.
 * Where the store does not answer for now, the round fails as a whole. */
status erase_read_start(struct partition *partition, uuid run, struct arena *arena,
                        struct run_spec *ret);
/* Into the batch: there is no such run any more. Features delete their rows of it. What is left are
 * the records of its journal from seq 2 on. It was ERASABLE a moment ago. */
void erase_begin(struct partition *partition, uuid run);
/* Into the batch: records of the journal from *seq on; *seq 0 then: that was all. Takes 1 from
 * *budget, which is not 0, for each 4 KiB. */
status erase_records(struct partition *partition, uuid run, uint32_t *seq, size_t *budget);

#endif
