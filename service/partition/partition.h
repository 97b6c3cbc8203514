/*
 * partition: the shell around the pure engine: one thread, one inbox, one store.
 *
 * Everybody posts requests; the partition's thread drains them in bounded batches, decides,
 * commits the whole round with one synced write, and only then acts: answers callers, calls
 * models, gives tasks to hosts. partition_round() is one such round; production calls it from the
 * thread, the simulation from its world. Everything beside runs is a feature (feature.h).
 *
 * Threading: partition_post() and partition_post_always() from any thread, everything else from
 *            the partition's.
 */
#ifndef SERVICE_PARTITION_PARTITION_H
#define SERVICE_PARTITION_PARTITION_H

#include "service/base/arena.h"
#include "service/hosts/host.h"
#include "service/llm/provider.h"
#include "service/partition/request.h"
#include "storage/keys.h"
#include "storage/store.h"

struct apart;
struct feature;
struct keyring;
struct payload;
struct partition_stats;
struct topic_format;
struct watch_format;

struct partition_options {
    /* In the order of every hook. NULL-terminated; kept. */
    const struct feature *const *features;
    struct store store; /* Taken: closed by partition_free(). */
    struct model_client models;
    const struct watch_format *format; /* How what watchers see looks on the wire. */
    const struct topic_format *topic_format; /* And subscribers; NULL: there are none. */
    struct key_space space;
    uint64_t (*now_ms)(void *context); /* Unix time. */
    uint64_t (*monotonic_ms)(void *context); /* For leases; NULL: now_ms. */
    void (*random)(void *context, void *ret, size_t bytes);
    void *context;
    size_t inbox_max; /* Requests; 0: 65,536. */
    size_t inbox_bytes_max; /* Of those that wait, together; 0: 64 MiB. */
    size_t batch_max; /* Requests per round; 0: 1,024. */
    size_t waiting_runs_max; /* That only wait and are in memory all the same; 0: 1,000. */
    size_t watchers_max; /* Of a run, or of a topic; 0: 10,000. */
    size_t watchers_in_all_max; /* Of runs, and as many of topics; 0: 100,000. */
    size_t kept_bytes_max; /* Of what comes while a watcher is read for; 0: 256 KiB. */
    size_t input_bytes_max; /* 0: 1 MiB. */
    uint64_t lease_ms; /* 0: 15,000. */
    uint64_t redial_ms; /* 0: 5,000. */
    size_t history_bytes_max; /* Of a run's records; 0: 1 GiB. */
    uint64_t run_timeout_ms; /* Default for a start that says none; 0: 24 hours. */
    uint32_t snapshot_every; /* Events; 0: 64. */
    size_t owed_max; /* Runs a round looks at for what is owed to them; 0: 1,024. */
    uint32_t tree_depth_max; /* Runs above one; 0: 1,000. */
    size_t tree_runs_max; /* Runs below a root that have not ended; 0: 100,000. */
    size_t definition_bytes_max; /* In memory, of those that no run there uses; 0: 64 MiB. */
    const char *zone_folder; /* Of schedules' time zones; NULL: only UTC is known. Kept. */
    struct keyring *keyring; /* Is told of the callers' keys. NULL: nobody is. */
};

/* Recovers what the store holds. `why` of a failure in the arena; the store is then still the
 * caller's. */
status partition_new(const struct partition_options *options, struct arena *arena,
                     struct partition **ret);
void partition_free(struct partition *partition); /* Accepts NULL. */

/* Whose the partition is: all requests that it is posted are of this project, or the server's own.
 */
uint32_t partition_project(const struct partition *partition);
/* Before partition_start(): the model client needs the sink, and the sink the partition. */
void partition_set_models(struct partition *partition, struct model_client models);

/* False: the inbox is full; the request stays the caller's (answer RESOURCE_EXHAUSTED). */
[[nodiscard]] bool partition_post(struct partition *partition, struct request *request);
/* Whether partition_post() would take nothing now. Any thread; it may have changed on return. */
bool partition_is_full(struct partition *partition);
/* For what may not be lost: completions, disconnects. */
void partition_post_always(struct partition *partition, struct request *request);

/* One round. Returns when the next one is due at the latest (Unix ms; 0: only on a request). */
uint64_t partition_round(struct partition *partition);
/* The runs that are set apart, because they could not be read. Lives as long as the partition; any
 * thread may look. */
struct apart *partition_apart(const struct partition *partition);
/* Production: a thread that waits and makes rounds until stopped. */
void partition_start(struct partition *partition);
/* Waits for the round under way. */
void partition_stop(struct partition *partition);

struct partition_stats {
    uint64_t rounds;
    uint64_t commits;
    uint64_t events;
    uint64_t commands;
    uint64_t stale;
    size_t runs_in_memory;
    size_t timers; /* In memory: of runs there and of those whose time is near. */
    size_t topics; /* In memory. */
    size_t unreadable; /* Runs that are set apart. */
    struct hosts_stats hosts;
    struct store_stats store;
};

/* On the partition's thread; from others by stats_operation. */
void partition_stats(struct partition *partition, struct partition_stats *ret);

/* No new work from now on; hosts are told. No answer but `done`. */
extern const struct operation drain_operation;

struct stats_request {
    struct request request;
    struct partition_stats ret;
};
extern const struct operation stats_operation;

#endif
