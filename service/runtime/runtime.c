/*
 * runtime: made, run by its thread, ended.
 */
#include "service/runtime/runtime.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "service/runtime/internal.h"

enum {
    TURN_ARENA_BYTES_MAX = 1 << 30,
};

struct runtime_thread {
    pthread_t thread;
    atomic_bool stop;
};

static void set_defaults(struct runtime_options *options)
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
    struct runtime *runtime = context;
    runtime->options.random(runtime->options.context, ret, 16);
}

status runtime_new(const struct runtime_options *options, struct arena *arena, struct runtime **ret)
{
    assert(options->format != NULL);
    assert(options->now_ms != NULL && options->random != NULL);
    struct runtime *runtime = xcalloc(1, sizeof(*runtime));
    runtime->options = *options;
    set_defaults(&runtime->options);
    runtime->store = options->store;
    runtime->is_starting = true;
    turn_read_clocks(runtime);
    runtime->timers = timers_new();
    runtime->inbox = inbox_new(runtime->options.inbox_max, NULL, NULL);
    runtime->hosts = hosts_new(&(struct hosts_options){
        .lease_ms = options->lease_ms,
        .context = runtime,
        .lost = tasks_note_lost,
        .random = session_random,
    });
    runtime->topics = topics_new();
    runtime->publications = publications_new();
    runtime->schedules = schedules_new();
    runtime->queues = queues_new();
    runtime->versions = versions_new();
    arena_init(&runtime->turn_arena, TURN_ARENA_BYTES_MAX);
    arena_init(&runtime->scratch, TURN_ARENA_BYTES_MAX);
    runs_init(runtime);
    status recovered = queueing_recover(runtime);
    if (status_is_ok(recovered)) {
        recovered = recovery_run(runtime, arena);
    }
    if (status_is_ok(recovered)) {
        recovered = topics_recover(runtime);
    }
    if (status_is_ok(recovered)) {
        recovered = triggers_recover(runtime);
    }
    if (status_is_ok(recovered)) {
        recovered = schedules_recover(runtime);
    }
    if (!status_is_ok(recovered)) {
        runtime->store = (struct store){0}; /* Still the caller's. */
        runtime_free(runtime);
        return recovered;
    }
    *ret = runtime;
    return STATUS_OK;
}

void runtime_set_models(struct runtime *runtime, struct model_client models)
{
    assert(runtime->thread == NULL);
    runtime->options.models = models;
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

static void end_waits(struct runtime *runtime)
{
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, "SHUTTING_DOWN",
                     STR("the server is shutting down; take the stream up again in a moment"));
    for (struct live_run *run = runs_first(runtime); run != NULL; run = runs_next(runtime, run)) {
        watch_drop_all(runtime, run, &failure);
        struct request *waits = run->waits;
        run->waits = NULL;
        refuse_all(waits == NULL ? NULL : &waits->node);
    }
}

void runtime_free(struct runtime *runtime)
{
    if (runtime == NULL) {
        return;
    }
    assert(runtime->thread == NULL);
    end_waits(runtime);
    refuse_all(runtime->pending);
    struct inbox_node *left;
    while ((left = inbox_take(runtime->inbox, SIZE_MAX)) != NULL) {
        refuse_all(left);
    }
    runs_free_all(runtime);
    definitions_free(runtime);
    hosts_free(runtime->hosts);
    timers_free(runtime->timers);
    inbox_free(runtime->inbox);
    store_batch_fini(&runtime->batch);
    arena_fini(&runtime->turn_arena);
    arena_fini(&runtime->scratch);
    buf_fini(&runtime->record);
    buf_fini(&runtime->packed);
    free(runtime->recovering);
    free(runtime->acts);
    free(runtime->slots);
    free(runtime->lost);
    free(runtime->todo);
    free(runtime->keys);
    free(runtime->born);
    topics_free(runtime->topics);
    publications_free(runtime->publications);
    triggers_free(runtime);
    schedules_free(runtime->schedules);
    queues_free(runtime->queues);
    versions_free(runtime->versions);
    if (runtime->store.vtable != NULL) {
        store_close(&runtime->store);
    }
    free(runtime);
}

static void *thread_main(void *context)
{
    struct runtime *runtime = context;
    struct runtime_thread *thread = runtime->thread;
    while (!atomic_load(&thread->stop)) {
        uint64_t due_ms = runtime_turn(runtime);
        uint64_t now_ms = runtime->options.now_ms(runtime->options.context);
        int64_t wait_ms = due_ms == 0 ? -1 : due_ms > now_ms ? (int64_t)(due_ms - now_ms) : 0;
        inbox_wait(runtime->inbox, wait_ms);
    }
    return NULL;
}

void runtime_start(struct runtime *runtime)
{
    assert(runtime->thread == NULL);
    assert(runtime->options.models.vtable != NULL);
    struct runtime_thread *thread = xcalloc(1, sizeof(*thread));
    runtime->thread = thread;
    int failed = pthread_create(&thread->thread, NULL, thread_main, runtime);
    assert(failed == 0);
}

static void wake_done(struct request *request, const struct failure *failure)
{
    (void)failure;
    request_free(request);
}

void runtime_stop(struct runtime *runtime)
{
    struct runtime_thread *thread = runtime->thread;
    assert(thread != NULL);
    atomic_store(&thread->stop, true);
    struct request *wake = request_new(REQUEST_DRAIN);
    wake->done = wake_done;
    runtime_post_always(runtime, wake);
    pthread_join(thread->thread, NULL);
    free(thread);
    runtime->thread = NULL;
}

void runtime_stats(struct runtime *runtime, struct runtime_stats *ret)
{
    *ret = runtime->stats;
    ret->runs_in_memory = runs_count(runtime);
    ret->timers = timers_count(runtime->timers);
    ret->topics = topics_count(runtime);
    hosts_stats(runtime->hosts, &ret->hosts);
    store_stats(&runtime->store, &ret->store);
}
