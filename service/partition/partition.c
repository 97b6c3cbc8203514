/*
 * runtime: made, run by its thread, ended.
 */
#include "service/partition/requests.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "service/partition/internal.h"

enum {
    TURN_ARENA_BYTES_MAX = 1 << 30,
};

struct partition_thread {
    pthread_t thread;
    atomic_bool stop;
};

static void set_defaults(struct partition_options *options)
{
    options->monotonic_ms = options->monotonic_ms == NULL ? options->now_ms : options->monotonic_ms;
    options->inbox_max = options->inbox_max == 0 ? 65536 : options->inbox_max;
    options->batch_max = options->batch_max == 0 ? 1024 : options->batch_max;
    options->waiting_runs_max = options->waiting_runs_max == 0 ? 1000 : options->waiting_runs_max;
    options->watchers_max = options->watchers_max == 0 ? 10000 : options->watchers_max;
    options->input_bytes_max = options->input_bytes_max == 0 ? 1 << 20 : options->input_bytes_max;
    options->run_timeout_ms =
        options->run_timeout_ms == 0 ? 24 * 3600 * 1000 : options->run_timeout_ms;
    options->snapshot_every = options->snapshot_every == 0 ? 64 : options->snapshot_every;
}

static void session_random(void *context, uint8_t ret[16])
{
    struct partition *partition = context;
    partition->options.random(partition->options.context, ret, 16);
}

status partition_new(const struct partition_options *options, struct arena *arena, struct partition **ret)
{
    assert(options->format != NULL);
    assert(options->now_ms != NULL && options->random != NULL);
    struct partition *partition = xcalloc(1, sizeof(*partition));
    partition->options = *options;
    set_defaults(&partition->options);
    partition->store = options->store;
    partition->is_starting = true;
    round_read_clocks(partition);
    partition->timers = timers_new();
    partition->inbox = inbox_new(partition->options.inbox_max, NULL, NULL);
    partition->hosts = hosts_new(&(struct hosts_options){
        .lease_ms = options->lease_ms,
        .context = partition,
        .lost = tasks_note_lost,
        .random = session_random,
    });
    partition->topics = topics_new();
    partition->publications = publications_new();
    partition->schedules = schedules_new();
    partition->queues = queues_new();
    partition->versions = versions_new();
    arena_init(&partition->round_arena, TURN_ARENA_BYTES_MAX);
    arena_init(&partition->scratch, TURN_ARENA_BYTES_MAX);
    runs_init(partition);
    status recovered = queueing_recover(partition);
    if (status_is_ok(recovered)) {
        recovered = recovery_run(partition, arena);
    }
    if (status_is_ok(recovered)) {
        recovered = topics_recover(partition);
    }
    if (status_is_ok(recovered)) {
        recovered = triggers_recover(partition);
    }
    if (status_is_ok(recovered)) {
        recovered = schedules_recover(partition);
    }
    if (!status_is_ok(recovered)) {
        partition->store = (struct store){0}; /* Still the caller's. */
        partition_free(partition);
        return recovered;
    }
    *ret = partition;
    return STATUS_OK;
}

void partition_set_models(struct partition *partition, struct model_client models)
{
    assert(partition->thread == NULL);
    partition->options.models = models;
}

static void refuse(struct request *request)
{
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, "SHUTTING_DOWN",
                     STR("the server is shutting down; try again in a moment"));
    if (request->done != NULL) {
        request->done(request, &failure);
    } else {
        request_free(request);
    }
}

static void refuse_all(struct inbox_node *node)
{
    while (node != NULL) {
        struct inbox_node *next = node->next;
        refuse(container_of(node, struct request, node));
        node = next;
    }
}

static void end_waits(struct partition *partition)
{
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, "SHUTTING_DOWN",
                     STR("the server is shutting down; take the stream up again in a moment"));
    for (struct live_run *run = runs_first(partition); run != NULL; run = runs_next(partition, run)) {
        watch_drop_all(partition, run, &failure);
        struct request *waits = run->waits;
        run->waits = NULL;
        refuse_all(waits == NULL ? NULL : &waits->node);
    }
}

void partition_free(struct partition *partition)
{
    if (partition == NULL) {
        return;
    }
    assert(partition->thread == NULL);
    end_waits(partition);
    refuse_all(partition->pending);
    struct inbox_node *left;
    while ((left = inbox_take(partition->inbox, SIZE_MAX)) != NULL) {
        refuse_all(left);
    }
    runs_free_all(partition);
    definitions_free(partition);
    hosts_free(partition->hosts);
    timers_free(partition->timers);
    inbox_free(partition->inbox);
    store_batch_fini(&partition->batch);
    arena_fini(&partition->round_arena);
    arena_fini(&partition->scratch);
    buf_fini(&partition->record);
    buf_fini(&partition->packed);
    free(partition->recovering);
    free(partition->acts);
    free(partition->slots);
    free(partition->lost);
    free(partition->todo);
    free(partition->keys);
    free(partition->born);
    topics_free(partition->topics);
    publications_free(partition->publications);
    triggers_free(partition);
    schedules_free(partition->schedules);
    queues_free(partition->queues);
    versions_free(partition->versions);
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
        inbox_wait(partition->inbox, wait_ms);
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
    struct request *wake = request_new(REQUEST_DRAIN);
    wake->done = wake_done;
    partition_post_always(partition, wake);
    pthread_join(thread->thread, NULL);
    free(thread);
    partition->thread = NULL;
}

void partition_stats(struct partition *partition, struct partition_stats *ret)
{
    *ret = partition->stats;
    ret->runs_in_memory = runs_count(partition);
    ret->timers = timers_count(partition->timers);
    ret->topics = topics_count(partition);
    hosts_stats(partition->hosts, &ret->hosts);
    store_stats(&partition->store, &ret->store);
}
