/*
 * journal: the facts of a run as they were written, walked from the first on or from the last back.
 *
 * Threading: owned by one partition thread.
 */
#ifndef SERVICE_PARTITION_JOURNAL_H
#define SERVICE_PARTITION_JOURNAL_H

#include "service/base/arena.h"
#include "service/engine/engine.h"
#include "storage/store.h"

struct partition;

/* A set of kinds. */
#define JOURNAL_KIND(kind) ((uint64_t)1 << (kind))
static_assert(EVENT_COUNT <= 64, "a set of kinds is 64 bits");

/* False: no more are wanted. */
typedef bool journal_visit(void *context, uint32_t seq, const struct event *event);

/* The run's facts of these kinds, in order, those of the open batch too; only they are read from
 * their bytes. What they hold lives in the arena. DATA_LOSS: the journal is damaged. */
status journal_each(struct partition *partition, uuid run, uint64_t kinds, struct arena *arena,
                    journal_visit *each, void *context);
/* As journal_each(), without the transitions up to that of `seq`. */
status journal_each_after(struct partition *partition, uuid run, uint32_t seq, uint64_t kinds,
                          struct arena *arena, journal_visit *each, void *context);
/* As journal_each_after(), of the open batch only. */
status journal_each_open(struct partition *partition, uuid run, uint32_t seq, uint64_t kinds,
                         struct arena *arena, journal_visit *each, void *context);
/* Those of one record, in order; what they hold lives in its bytes and the arena. */
status journal_record(str record, uint64_t kinds, struct arena *arena, journal_visit *each,
                      void *context);
/* As journal_each(), of the transition alone that holds the event `seq`; and, as they may be that
 * one, of those of the open batch. */
status journal_each_at(struct partition *partition, uuid run, uint32_t seq, uint64_t kinds,
                       struct arena *arena, journal_visit *each, void *context);
/* The newest transition first, its facts in order; those on disk only. */
status journal_each_back(struct partition *partition, uuid run, uint64_t kinds, struct arena *arena,
                         journal_visit *each, void *context);

#endif
