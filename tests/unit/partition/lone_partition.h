/*
 * partition: the real partition over the memory store, with a clock that jumps from one time the
 * partition asks for to the next; no host (lone_host.h has one), a model that says what the test
 * says.
 *
 * So what the partition forgets to ask for never happens. It can be restarted, as the store stays.
 */
#ifndef TESTS_UNIT_PARTITION_LONE_PARTITION_H
#define TESTS_UNIT_PARTITION_LONE_PARTITION_H

#include "service/base/buf.h"
#include "service/base/failure.h"
#include "service/llm/provider.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "service/reads/list.h"
#include "storage/memory_store.h"

struct lone_partition {
    struct partition *partition;
    struct partition_options options; /* Its limits; what a server has to have is filled in. */
    struct arena arena;
    struct store store; /* For faults. */
    struct store_vtable
        vtable; /* As `store`'s, but it survives its partition, its disk fills, and it fails. */
    bool is_low_on_space;
    bool fails_commits; /* Nothing is written. */
    bool forgets_commits; /* Written, but nobody knows: as those that fail. */
    enum code read_failure; /* Of reads of `unread`; CODE_OK: none fails. */
    enum store_table unread;
    size_t reads_left; /* With the last of them, one fails so; 0: none does. */
    enum code left_failure;
    size_t commits_left; /* With the last of them, one fails; 0: none does. */
    bool left_is_written; /* And nobody knows. */
    size_t reads_left_then; /* `reads_left` from then on. */
    size_t rows_read; /* By scans, since it was set. */
    const struct topic_format *topic_format;
    const char *zone_folder;
    uint64_t now_ms;
    uint64_t random;
    /* Of the request that was asked last. */
    struct request *asked;
    bool is_answered;
    struct failure failure;
    /* Runs, as they are found. */
    bool leaves_runs_open; /* Else each is cancelled when it is found. */
    uuid newest;
    struct buf inputs; /* One line each. */
    size_t run_count;
    /* Of the model: the call that was asked for last, and what it was shown, a line a block. */
    uint64_t model_call;
    size_t model_calls;
    size_t model_cancels;
    enum code model_check; /* Of every request, before it is made. */
    struct buf model_shown;
};

void lone_init(struct lone_partition *lone, uint64_t now_ms);
/* With limits other than those by default. */
void lone_init_with(struct lone_partition *lone, uint64_t now_ms, struct partition_options limits);
void lone_fini(struct lone_partition *lone);
void lone_stop(struct lone_partition *lone);
void lone_begin(struct lone_partition *lone); /* After a stop. */
/* Takes rounds when they are due, up to and at that time, and finds runs. */
void lone_advance(struct lone_partition *lone, uint64_t until_ms);
/* Answered in `failure`; the request is the caller's, to be freed. */
void lone_ask(struct lone_partition *lone, struct request *request);
/* Reads its store, at once. The caller frees the read. */
void lone_read(struct lone_partition *lone, struct read *read);
/* The same; it may fail, in `failure`. */
void lone_try_read(struct lone_partition *lone, struct read *read);
void lone_cancel_newest(struct lone_partition *lone);
/* Rounds until nothing is due now. */
void lone_rounds(struct lone_partition *lone);
/* The call that was asked for last is answered; rounds follow. Reply: NULL: it fails for good. */
void lone_model_says(struct lone_partition *lone, const struct model_reply *reply);
/* With a text. */
void lone_model_ends(struct lone_partition *lone, const char *text);
/* With a call of a tool that has no arguments; its call_id is its name. */
void lone_model_calls(struct lone_partition *lone, const char *tool);

#endif
