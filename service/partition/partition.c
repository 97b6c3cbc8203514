/*
 * partition: made, run by its thread, ended.
 */
#include "service/partition/partition.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "service/partition/alarms.h"
#include "service/partition/commands.h"
#include "service/partition/recovery.h"
#include "service/partition/round.h"
#include "service/partition/state.h"
#include "service/partition/timers.h"

enum {
    ROUND_ARENA_BYTES_MAX = 1 << 30,
};

struct partition_thread {
    pthread_t thread;
    atomic_bool stop;
};

static void set_defaults(struct partition_options *options)
{
    options->monotonic_ms = options->monotonic_ms == NULL ? options->now_ms : options->monotonic_ms;
    options->inbox_max = options->inbox_max == 0 ? 65536 : options->inbox_max;
    options->inbox_bytes_max =
        options->inbox_bytes_max == 0 ? (size_t)64 << 20 : options->inbox_bytes_max;
    options->batch_max = options->batch_max == 0 ? 1024 : options->batch_max;
    options->waiting_runs_max = options->waiting_runs_max == 0 ? 1000 : options->waiting_runs_max;
    options->watchers_max = options->watchers_max == 0 ? 10000 : options->watchers_max;
    options->watchers_in_all_max =
        options->watchers_in_all_max == 0 ? 100000 : options->watchers_in_all_max;
    options->input_bytes_max = options->input_bytes_max == 0 ? 1 << 20 : options->input_bytes_max;
    options->run_timeout_ms =
        options->run_timeout_ms == 0 ? 24 * 3600 * 1000 : options->run_timeout_ms;
    options->history_bytes_max =
        options->history_bytes_max == 0 ? (size_t)1 << 30 : options->history_bytes_max;
    options->snapshot_every = options->snapshot_every == 0 ? 64 : options->snapshot_every;
}

status partition_new(const struct partition_options *options, struct arena *arena,
                     struct partition **ret)
{
    assert(options->features != NULL && options->format != NULL);
    assert(options->now_ms != NULL && options->random != NULL);
    assert(options->store.vtable != NULL);
    struct partition *partition = xcalloc(1, sizeof(*partition));
    partition->options = *options;
    set_defaults(&partition->options);
    partition->store = options->store;
    round_read_clocks(partition);
    partition->apart = apart_new();
    partition->timers = timers_new();
    partition->alarms = alarms_new();
    partition->commands = commands_new();
    partition->requests.inbox = inbox_new(partition->options.inbox_max, NULL, NULL);
    arena_init(&partition->round_arena, ROUND_ARENA_BYTES_MAX);
    arena_init(&partition->scratch, ROUND_ARENA_BYTES_MAX);
    runs_init(partition);
    features_start(partition);
    status recovered = features_load(partition);
    if (status_is_ok(recovered)) {
        recovered = recovery_run(partition, arena);
    } else {
        recovered = arena_fail(arena, recovered.code, "%s", recovered.why);
    }
    if (!status_is_ok(recovered)) {
        partition->store = (struct store){0}; /* Still the caller's. */
        partition_free(partition);
        return recovered;
    }
    assert(partition->batch.count == 0); /* Loading writes nothing. */
    *ret = partition;
    return STATUS_OK;
}

void partition_set_models(struct partition *partition, struct model_client models)
{
    assert(partition->thread == NULL);
    partition->options.models = models;
}

struct apart *partition_apart(const struct partition *partition)
{
    return partition->apart;
}

/* Counted before it can be handled. Returns what waited before it. */
static size_t weigh(struct partition *partition, struct request *request)
{
    assert(request->operation != NULL);
    request->bytes = request->operation->request_bytes + request->arena.bytes;
    return atomic_fetch_add(&partition->requests.bytes, request->bytes);
}

/* One that is larger than the limit by itself is taken when nothing else waits. */
uint32_t partition_project(const struct partition *partition)
{
    return partition->options.space.project;
}

bool partition_post(struct partition *partition, struct request *request)
{
    assert(principal_is_of(&request->principal, partition_project(partition)));
    size_t before = weigh(partition, request);
    bool has_room = before == 0 || before + request->bytes <= partition->options.inbox_bytes_max;
    if (has_room && inbox_push(partition->requests.inbox, &request->node)) {
        return true;
    }
    atomic_fetch_sub(&partition->requests.bytes, request->bytes);
    return false;
}

void partition_post_always(struct partition *partition, struct request *request)
{
    assert(principal_is_of(&request->principal, partition_project(partition)));
    weigh(partition, request);
    inbox_push_always(partition->requests.inbox, &request->node);
}

bool partition_is_full(struct partition *partition)
{
    const struct partition_options *options = &partition->options;
    return atomic_load(&partition->requests.bytes) >= options->inbox_bytes_max ||
           inbox_count(partition->requests.inbox) >= options->inbox_max;
}

static void refuse_all(struct inbox_node *node)
{
    while (node != NULL) {
        struct inbox_node *next = node->next;
        request_refuse(container_of(node, struct request, node));
        node = next;
    }
}

/* Those who wait are told before what else they asked is refused. */
static void tell_callers(struct partition *partition)
{
    for (struct live_run *run = runs_first(partition); run != NULL;
         run = runs_next(partition, run)) {
        features_tell(partition, run_ends_here, run->state.id);
    }
}

static void refuse_requests(struct partition *partition)
{
    acts_refuse(partition);
    refuse_all(partition->requests.pending);
    struct inbox_node *left;
    while ((left = inbox_take(partition->requests.inbox, SIZE_MAX)) != NULL) {
        refuse_all(left);
    }
}

void partition_free(struct partition *partition)
{
    if (partition == NULL) {
        return;
    }
    assert(partition->thread == NULL);
    partition->options.models = (struct model_client){0}; /* They are gone already. */
    tell_callers(partition);
    refuse_requests(partition);
    runs_fini(partition);
    features_stop(partition);
    apart_free(partition->apart);
    timers_free(partition->timers);
    alarms_free(partition->alarms);
    commands_free(partition->commands);
    inbox_free(partition->requests.inbox);
    store_batch_fini(&partition->batch);
    arena_fini(&partition->round_arena);
    arena_fini(&partition->scratch);
    buf_fini(&partition->packed);
    free(partition->acts.list);
    if (partition->store.vtable != NULL) {
        store_close(&partition->store);
    }
    free(partition);
}

static void *thread_main(void *context)
{
    struct partition *partition = context;
    struct partition_thread *thread = partition->thread;
    while (!atomic_load(&thread->stop)) {
        uint64_t due_ms = partition_round(partition);
        uint64_t now_ms = partition->options.now_ms(partition->options.context);
        int64_t wait_ms = due_ms == 0 ? -1 : due_ms > now_ms ? (int64_t)(due_ms - now_ms) : 0;
        inbox_wait(partition->requests.inbox, wait_ms);
    }
    return NULL;
}

void partition_start(struct partition *partition)
{
    assert(partition->thread == NULL);
    assert(partition->options.models.vtable != NULL);
    struct partition_thread *thread = xcalloc(1, sizeof(*thread));
    partition->thread = thread;
    int failed = pthread_create(&thread->thread, NULL, thread_main, partition);
    assert(failed == 0);
}

static void wake_done(struct request *request, const struct failure *failure)
{
    (void)failure;
    request_free(request);
}

void partition_stop(struct partition *partition)
{
    struct partition_thread *thread = partition->thread;
    assert(thread != NULL);
    atomic_store(&thread->stop, true);
    struct request *wake = request_new(&drain_operation);
    wake->done = wake_done;
    partition_post_always(partition, wake);
    pthread_join(thread->thread, NULL);
    free(thread);
    partition->thread = NULL;
}

static void handle_drain(struct partition *partition, struct request *request)
{
    partition->requests.is_draining = true;
    features_reach(partition, ROUND_DRAINS);
    request_answer_later(partition, request);
}

const struct operation drain_operation = {
    .name = "drain", .request_bytes = sizeof(struct request), .handle = handle_drain};

void partition_stats(struct partition *partition, struct partition_stats *ret)
{
    *ret = partition->stats;
    ret->runs_in_memory = runs_count(partition);
    ret->unreadable = apart_count(partition->apart);
    ret->timers = timers_count(partition->timers);
    hosts_stats(partition->hosts, &ret->hosts);
    store_stats(&partition->store, &ret->store);
}

static void handle_stats(struct partition *partition, struct request *request)
{
    struct stats_request *stats = container_of(request, struct stats_request, request);
    assert(request->operation == &stats_operation);
    partition_stats(partition, &stats->ret);
    request_answer(partition, request, NULL);
}

const struct operation stats_operation = {
    .name = "stats",
    .request_bytes = sizeof(struct stats_request),
    .is_read = true,
    .handle = handle_stats,
};
