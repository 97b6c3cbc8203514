/*
 * reads: lanes of jobs, each of which does one page and goes to the end of its lane.
 */
#include "service/reads/reads.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "service/reads/pool.h"

enum {
    QUEUE_MAX = 4096,
};

/* Reads in the order of their steps. */
struct queue {
    struct inbox_node *first;
    struct inbox_node **last;
};

struct lane {
    struct inbox *inbox; /* Those that are new to it. */
    /* Taken; the lane's thread's. */
    struct queue others;
    struct queue patient;
    bool is_patients_step; /* The next one is, if one waits. */
    atomic_size_t count; /* In all, but for the patient. */
    atomic_size_t patient_count;
};

struct reads {
    struct reads_source source;
    struct lane *lanes;
    size_t lane_count;
    size_t queue_max;
    atomic_size_t next; /* Of the lane of the next read that is about no run. */
    struct reads_pool *pool; /* NULL: no threads. */
};

struct read *read_new(const struct read_kind *kind)
{
    assert(kind->read_bytes >= sizeof(struct read));
    assert(kind->step != NULL && kind->name != NULL);
    struct read *read = xcalloc(1, kind->read_bytes);
    read->kind = kind;
    read->principal = principal_server();
    arena_init_bounded(&read->arena, READ_ARENA_BYTES_MAX);
    return read;
}

void read_free(struct read *read)
{
    arena_fini(&read->arena);
    free(read);
}

struct reads *reads_new(const struct reads_options *options)
{
    assert(options->source.store.vtable != NULL);
    struct reads *reads = xcalloc(1, sizeof(*reads));
    reads->source = options->source;
    reads->source.page_bytes =
        options->source.page_bytes == 0 ? READ_PAGE_BYTES : options->source.page_bytes;
    reads->source.page_rows =
        options->source.page_rows == 0 ? READ_PAGE_ROWS : options->source.page_rows;
    reads->lane_count = options->lanes == 0 ? 1 : options->lanes;
    reads->queue_max = options->queue_max == 0 ? QUEUE_MAX : options->queue_max;
    reads->lanes = xcalloc(reads->lane_count, sizeof(reads->lanes[0]));
    for (size_t i = 0; i < reads->lane_count; i++) {
        reads->lanes[i].inbox = inbox_new(reads->queue_max, NULL, NULL);
        reads->lanes[i].others.last = &reads->lanes[i].others.first;
        reads->lanes[i].patient.last = &reads->lanes[i].patient.first;
    }
    return reads;
}

static struct lane *lane_of(struct reads *reads, const struct read *read)
{
    size_t number =
        uuid_is_zero(read->run) ? atomic_fetch_add(&reads->next, 1) : (size_t)uuid_hash(read->run);
    return &reads->lanes[number % reads->lane_count];
}

static atomic_size_t *count_of(struct lane *lane, const struct read *read)
{
    return read->kind->is_patient ? &lane->patient_count : &lane->count;
}

bool reads_post(struct reads *reads, struct read *read)
{
    struct lane *lane = lane_of(reads, read);
    assert(read->done != NULL && !read->kind->is_patient);
    assert(principal_is_of(&read->principal, reads->source.space.project));
    if (atomic_fetch_add(&lane->count, 1) >= reads->queue_max) {
        atomic_fetch_sub(&lane->count, 1);
        return false;
    }
    inbox_push_always(lane->inbox, &read->node);
    return true;
}

void reads_post_always(struct reads *reads, struct read *read)
{
    struct lane *lane = lane_of(reads, read);
    assert(read->done != NULL);
    assert(principal_is_of(&read->principal, reads->source.space.project));
    atomic_fetch_add(count_of(lane, read), 1);
    inbox_push_always(lane->inbox, &read->node);
}

static void queue(struct lane *lane, struct inbox_node *nodes)
{
    while (nodes != NULL) {
        struct inbox_node *next = nodes->next;
        const struct read *read = container_of(nodes, const struct read, node);
        struct queue *queue = read->kind->is_patient ? &lane->patient : &lane->others;
        nodes->next = NULL;
        *queue->last = nodes;
        queue->last = &nodes->next;
        nodes = next;
    }
}

static struct read *take_from(struct queue *queue)
{
    struct inbox_node *node = queue->first;
    if (node == NULL) {
        return NULL;
    }
    queue->first = node->next;
    queue->last = queue->first == NULL ? &queue->first : queue->last;
    return container_of(node, struct read, node);
}

static struct read *take(struct lane *lane)
{
    queue(lane, inbox_take(lane->inbox, SIZE_MAX));
    bool is_patients =
        lane->is_patients_step ? lane->patient.first != NULL : lane->others.first == NULL;
    lane->is_patients_step = !is_patients;
    return take_from(is_patients ? &lane->patient : &lane->others);
}

static void finish(struct lane *lane, struct read *read, const struct failure *failure)
{
    size_t before = atomic_fetch_sub(count_of(lane, read), 1);
    assert(before > 0);
    read->done(read, failure);
}

status read_checked(const struct reads_source *source, uuid run, status why)
{
    char key[KEY_BYTES_MAX];
    struct arena arena;
    str row;
    if (why.code != CODE_DATA_LOSS || uuid_is_zero(run)) {
        return why;
    }
    arena_init_bounded(&arena, READ_ARENA_BYTES_MAX);
    status found =
        store_get(&source->store, STORE_RUNS, key_run(key, source->space, run), &arena, &row);
    arena_fini(&arena);
    return found.code == CODE_NOT_FOUND ? found : why;
}

static void fail(struct lane *lane, struct read *read, status why)
{
    struct failure failure = failure_make(why.code, REASON_STORE_DAMAGED, str_of(why.why));
    if (why.code == CODE_RESOURCE_EXHAUSTED) {
        failure.reason = REASON_READ_TOO_LARGE;
    } else if (why.code == CODE_OUT_OF_RANGE) {
        failure.reason = REASON_POSITION_AHEAD;
        failure.field = STR("position");
    } else if (why.code == CODE_NOT_FOUND || !uuid_is_zero(read->run)) {
        failure = failure_of_run(why, &read->arena);
    }
    finish(lane, read, &failure);
}

bool reads_step(struct reads *reads, size_t number)
{
    assert(number < reads->lane_count);
    struct lane *lane = &reads->lanes[number];
    struct read *read = take(lane);
    if (read == NULL) {
        return false;
    }
    bool is_over = false;
    status stepped = read->kind->step(read, &reads->source, &is_over);
    if (status_is_ok(stepped)) {
        stepped = arena_check(&read->arena);
    }
    if (!status_is_ok(stepped)) {
        fail(lane, read, read_checked(&reads->source, read->run, stepped));
    } else if (is_over) {
        finish(lane, read, NULL);
    } else {
        read->node.next = NULL;
        queue(lane, &read->node);
    }
    return true;
}

size_t reads_lanes(const struct reads *reads)
{
    return reads->lane_count;
}

size_t reads_waiting(struct reads *reads)
{
    size_t count = 0;
    for (size_t i = 0; i < reads->lane_count; i++) {
        count += atomic_load(&reads->lanes[i].count);
        count += atomic_load(&reads->lanes[i].patient_count);
    }
    return count;
}

void reads_start(struct reads *reads)
{
    assert(reads->pool == NULL);
    reads->pool = pool_start(reads);
}

void reads_stop(struct reads *reads)
{
    assert(reads->pool != NULL);
    pool_stop(reads->pool);
    reads->pool = NULL;
}

static status wake_step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    (void)read, (void)source;
    *ret_over = true;
    return STATUS_OK;
}

static void wake_done(struct read *read, const struct failure *failure)
{
    (void)failure;
    read_free(read);
}

void reads_wait(struct reads *reads, size_t lane)
{
    inbox_wait(reads->lanes[lane].inbox, -1);
}

void reads_wake(struct reads *reads, size_t lane)
{
    static const struct read_kind kind = {
        .name = "wake", .read_bytes = sizeof(struct read), .step = wake_step};
    struct read *wake = read_new(&kind);
    wake->done = wake_done;
    atomic_fetch_add(&reads->lanes[lane].count, 1);
    inbox_push_always(reads->lanes[lane].inbox, &wake->node);
}

static void refuse_all(struct lane *lane)
{
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN,
                     STR("the server is shutting down; try again in a moment"));
    struct read *read;
    while ((read = take(lane)) != NULL) {
        finish(lane, read, &failure);
    }
}

void reads_free(struct reads *reads)
{
    if (reads == NULL) {
        return;
    }
    assert(reads->pool == NULL);
    for (size_t i = 0; i < reads->lane_count; i++) {
        refuse_all(&reads->lanes[i]);
        assert(atomic_load(&reads->lanes[i].count) == 0);
        assert(atomic_load(&reads->lanes[i].patient_count) == 0);
        inbox_free(reads->lanes[i].inbox);
    }
    free(reads->lanes);
    free(reads);
}
