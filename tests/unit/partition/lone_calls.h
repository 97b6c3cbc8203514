/*
 * calls: what callers ask of a lone partition, and what its runs have on disk.
 */
#ifndef TESTS_UNIT_PARTITION_LONE_CALLS_H
#define TESTS_UNIT_PARTITION_LONE_CALLS_H

#include "service/agents/definition.h"
#include "service/codec/index.h"
#include "service/engine/engine.h"
#include "tests/unit/partition/lone_partition.h"

/* Each asks, expects to be served, and makes rounds until nothing is due now. */
uuid lone_start(struct lone_partition *lone, struct run_spec spec);
/* A workflow without options. */
uuid lone_start_flow(struct lone_partition *lone, const char *name);
void lone_cancel(struct lone_partition *lone, uuid run);
/* Of a run that failed: the one that goes on in its place. */
uuid lone_retry(struct lone_partition *lone, uuid run);
/* Its model and provider are filled in. */
void lone_register(struct lone_partition *lone, struct agent_definition agent);
void lone_publish(struct lone_partition *lone, const char *topic, const char *type,
                  const char *data);
/* By the key of its step; why it was refused, or REASON_NONE. */
enum reason lone_resume(struct lone_partition *lone, uuid run, const char *key, const char *data);

/* Committed events of a run, a line for each: its name, its effect where it has one, and what says
 * most of it, with ' for ". A run's id is shown as "#<n>", where n is its place in `runs`, from 1;
 * 0: another. Lives as long as the partition's arena. */
const char *lone_journal(struct lone_partition *lone, uuid run, const uuid *runs, size_t count);
/* How often an event of that kind is in it. */
size_t lone_count(struct lone_partition *lone, uuid run, enum event_kind kind);
/* The message of a run that has failed; empty: it has not. Lives as long as the partition's arena.
 */
const char *lone_why_failed(struct lone_partition *lone, uuid run);
/* The runs below it that were started last, newest first; how many there are. */
size_t lone_children(struct lone_partition *lone, uuid parent, uuid *ret, size_t max);
/* How many rows of that kind the index has. */
size_t lone_rows(struct lone_partition *lone, enum index_kind kind);
/* How many rows there are of all tables. */
size_t lone_rows_in_all(struct lone_partition *lone);
/* Takes those kinds of rows, from the first to the last, out of the index: as in the store of a
 * release that wrote none. The partition is stopped. */
void lone_drop_rows(struct lone_partition *lone, enum index_kind first, enum index_kind last);

#endif
