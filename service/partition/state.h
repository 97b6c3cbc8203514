/*
 * state: what the partition's files and its features share while a round is under way.
 *
 * A round has three phases. In the first, requests become commands: events are applied to the run
 * in memory, written into the open batch, and what is to be done about them is noted as acts. The
 * batch is committed. Only then the acts are carried out, in order. When the commit fails no act
 * is: the touched runs are dropped from memory, read again, and recovered.
 *
 * Features read the options, the times and the flags, read the store, write into the batch, take
 * room in the arenas and ask the hosts; the rest is reached through the headers of its owners.
 */
#ifndef SERVICE_PARTITION_STATE_H
#define SERVICE_PARTITION_STATE_H

#include <stdatomic.h>

#include "service/base/apart.h"
#include "service/base/buf.h"
#include "service/partition/act.h"
#include "service/partition/feature.h"
#include "service/partition/partition.h"
#include "service/partition/runs.h"

enum {
    BATCH_BYTES_MAX = 8 << 20, /* Over it, the round takes no more requests. */
    RECOVER_AGAIN_MS = 500, /* After a failed commit. */
    READ_AGAIN_MS = 500, /* After a failed read. */
    PARTITION_FEATURES_MAX = 32,
};

struct alarms;
struct commands;
struct timers;

struct partition {
    struct partition_options options;
    struct store store;
    struct store_batch batch;
    struct hosts *hosts;
    struct {
        struct inbox *inbox;
        struct inbox_node *pending; /* Taken, not yet handled: the batch may be full. */
        atomic_size_t bytes; /* Of both. */
        uint64_t handled; /* Ever; the one at work among them. */
        struct request *finished; /* Without done: freed at the end of the round. */
        bool is_draining; /* The process ends: nothing new is begun. */
    } requests;
    struct commands *commands;
    struct runs runs;
    struct timers *timers;
    struct alarms *alarms;
    struct acts acts;
    struct apart *apart; /* Runs that cannot be read. */
    struct feature_slot features[PARTITION_FEATURES_MAX + 1]; /* Ends with one of no feature. */
    struct arena round_arena; /* Until the end of the round. */
    struct arena scratch; /* Until the end of one act or one loaded run. */
    struct buf packed; /* For whoever packs a row, until its next use. */
    uint64_t now_ms;
    uint64_t monotonic_ms; /* Leases do not run out because a clock was set. */
    struct partition_stats stats;
    struct partition_thread *thread;
};

#endif
