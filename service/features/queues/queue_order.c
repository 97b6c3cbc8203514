#include "service/features/queues/queue_order.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/features/queues/queue_lanes.h"

struct workflow_default {
    char *workflow; /* NULL: free. */
    char *queue;
    uint32_t next_free;
};

struct queues {
    struct queue **queues; /* By number; NULL: free. */
    uint32_t queue_used;
    size_t queue_capacity;
    struct map by_name;
    uint32_t defined_count;
    struct waiter *waiters;
    uint32_t waiter_used;
    size_t waiter_capacity;
    uint32_t waiter_free;
    struct map by_run;
    struct workflow_default *defaults;
    uint32_t default_used;
    size_t default_capacity;
    struct map by_workflow;
    struct queue *busy_first; /* To be looked at by queues_next(). */
    struct queue *busy_last;
    struct queue *woken; /* To be looked at first, once. */
    struct queue *throttled; /* Nobody may begin before the time their rate allows. */
};

static uint64_t hash_of_queue(const void *context, uint32_t number)
{
    return str_hash(str_of(((const struct queues *)context)->queues[number]->name));
}

static bool queue_is(const void *context, uint32_t number, const void *key)
{
    return str_is(*(const str *)key, ((const struct queues *)context)->queues[number]->name);
}

static uint64_t hash_of_waiter(const void *context, uint32_t number)
{
    return uuid_hash(((const struct queues *)context)->waiters[number].task.run);
}

static bool waiter_is(const void *context, uint32_t number, const void *key)
{
    return uuid_equal(((const struct queues *)context)->waiters[number].task.run,
                      *(const uuid *)key);
}

static uint64_t hash_of_default(const void *context, uint32_t number)
{
    return str_hash(str_of(((const struct queues *)context)->defaults[number].workflow));
}

static bool default_is(const void *context, uint32_t number, const void *key)
{
    return str_is(*(const str *)key, ((const struct queues *)context)->defaults[number].workflow);
}

static const struct map_keys queue_keys = {hash_of_queue, queue_is};
static const struct map_keys waiter_keys = {hash_of_waiter, waiter_is};
static const struct map_keys default_keys = {hash_of_default, default_is};

struct queues *queues_new(void)
{
    struct queues *queues = xcalloc(1, sizeof(*queues));
    map_init(&queues->by_name, &queue_keys, queues);
    map_init(&queues->by_run, &waiter_keys, queues);
    map_init(&queues->by_workflow, &default_keys, queues);
    queues->waiter_free = LANE_NONE;
    return queues;
}

static void forget_defaults(struct queues *queues)
{
    for (uint32_t i = 0; i < queues->default_used; i++) {
        free(queues->defaults[i].workflow);
        free(queues->defaults[i].queue);
    }
    queues->default_used = 0;
    map_fini(&queues->by_workflow);
    map_init(&queues->by_workflow, &default_keys, queues);
}

void queues_free(struct queues *queues)
{
    if (queues == NULL) {
        return;
    }
    forget_defaults(queues);
    map_fini(&queues->by_name);
    map_fini(&queues->by_run);
    map_fini(&queues->by_workflow);
    for (uint32_t i = 0; i < queues->queue_used; i++) {
        queue_free(queues->queues[i]);
    }
    free(queues->queues);
    free(queues->waiters);
    free(queues->defaults);
    free(queues);
}

/* ---- Definitions. A queue, once named, is known until the end: there are not many. ---- */

static struct queue *find_queue(const struct queues *queues, str name)
{
    uint32_t number;
    return map_find(&queues->by_name, str_hash(name), &name, &number) ? queues->queues[number]
                                                                      : NULL;
}

static struct queue *intern_queue(struct queues *queues, str name)
{
    struct queue *queue = find_queue(queues, name);
    if (queue != NULL) {
        return queue;
    }
    queues->queues = array_reserve(queues->queues, &queues->queue_capacity,
                                   (size_t)queues->queue_used + 1, sizeof(queues->queues[0]));
    queues->queues[queues->queue_used] = queue_new(name, &queues->waiters);
    map_add(&queues->by_name, queues->queue_used);
    return queues->queues[queues->queue_used++];
}

/* Its limits, its places or those who wait have changed. */
static void make_busy(struct queues *queues, struct queue *queue)
{
    if (queue->is_busy) {
        return;
    }
    queue->is_busy = true;
    queue->busy_next = NULL;
    *(queues->busy_last != NULL ? &queues->busy_last->busy_next : &queues->busy_first) = queue;
    queues->busy_last = queue;
}

/* The first of the busy ones. */
static void make_idle(struct queues *queues)
{
    struct queue *queue = queues->busy_first;
    assert(queue->is_busy);
    queues->busy_first = queue->busy_next;
    if (queues->busy_first == NULL) {
        queues->busy_last = NULL;
    }
    queue->is_busy = false;
}

void queues_define(struct queues *queues, str name, const struct queue_limits *limits)
{
    assert(limits->rate <= QUEUES_RATE_MAX);
    assert((limits->rate == 0) == (limits->rate_period_ms == 0));
    struct queue *queue = intern_queue(queues, name);
    queues->defined_count += !queue->is_defined;
    queue->is_defined = true;
    queue_set_limits(queue, limits);
    make_busy(queues, queue);
}

bool queues_defined(const struct queues *queues, str name, struct queue_limits *ret)
{
    const struct queue *queue = find_queue(queues, name);
    if (queue == NULL || !queue->is_defined) {
        return false;
    }
    *ret = queue->limits;
    return true;
}

static void undefine(struct queues *queues, struct queue *queue)
{
    static const struct queue_limits none = {0};
    queue->is_defined = false;
    queue_set_limits(queue, &none);
    queue->start_number = 0;
    make_busy(queues, queue);
}

void queues_undefine(struct queues *queues, str name)
{
    struct queue *queue = find_queue(queues, name);
    assert(queue != NULL && queue->is_defined);
    assert(queue->running == 0 && queue->waiting == 0);
    undefine(queues, queue);
    queues->defined_count--;
}

size_t queues_defined_count(const struct queues *queues)
{
    return queues->defined_count;
}

void queues_set_default(struct queues *queues, str workflow, str queue)
{
    uint32_t number;
    if (map_find(&queues->by_workflow, str_hash(workflow), &workflow, &number)) {
        free(queues->defaults[number].queue);
        queues->defaults[number].queue = xstrndup(queue.ptr, queue.len);
        return;
    }
    if (queue.len == 0) {
        return;
    }
    queues->defaults = array_reserve(queues->defaults, &queues->default_capacity,
                                     (size_t)queues->default_used + 1, sizeof(queues->defaults[0]));
    number = queues->default_used++;
    queues->defaults[number] = (struct workflow_default){
        .workflow = xstrndup(workflow.ptr, workflow.len),
        .queue = xstrndup(queue.ptr, queue.len),
    };
    map_add(&queues->by_workflow, number);
}

str queues_default(const struct queues *queues, str workflow)
{
    uint32_t number;
    bool is_known = map_find(&queues->by_workflow, str_hash(workflow), &workflow, &number);
    return is_known ? str_of(queues->defaults[number].queue) : STR_EMPTY;
}

void queues_forget_definitions(struct queues *queues)
{
    forget_defaults(queues);
    for (uint32_t i = 0; i < queues->queue_used; i++) {
        undefine(queues, queues->queues[i]);
    }
    queues->defined_count = 0;
}

/* ---- Those who wait and those who run. ---- */

static struct waiter *find_waiter(const struct queues *queues, uuid run, uint32_t *ret_number)
{
    return map_find(&queues->by_run, uuid_hash(run), &run, ret_number)
               ? &queues->waiters[*ret_number]
               : NULL;
}

static uint32_t take_waiter(struct queues *queues)
{
    if (queues->waiter_free != LANE_NONE) {
        uint32_t number = queues->waiter_free;
        queues->waiter_free = queues->waiters[number].at;
        return number;
    }
    queues->waiters = array_reserve(queues->waiters, &queues->waiter_capacity,
                                    (size_t)queues->waiter_used + 1, sizeof(queues->waiters[0]));
    return queues->waiter_used++;
}

static uint32_t add_waiter(struct queues *queues, const struct queue_place *place,
                           struct task_ref task)
{
    struct queue *queue = intern_queue(queues, place->queue);
    uint32_t number = take_waiter(queues);
    queues->waiters[number] = (struct waiter){
        .task = task,
        .priority = place->priority,
        .key = queue_key_intern(queue, place->key),
    };
    map_add(&queues->by_run, number);
    return number;
}

/* It neither waits nor runs any more; its key is still there. */
static void detach(struct queues *queues, uint32_t number)
{
    struct waiter *waiter = &queues->waiters[number];
    struct queue *queue = waiter->key->queue;
    if (waiter->lane != NULL) {
        lane_remove(waiter->lane, number);
    } else if (waiter->is_running) {
        queue_key_release(waiter->key);
    }
    waiter->is_running = false;
    make_busy(queues, queue);
}

void queues_wait(struct queues *queues, const struct queue_place *place,
                 const struct queue_asker *asker)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(queues, asker->task.run, &number);
    if (waiter != NULL && waiter->lane != NULL && lane_is_of(waiter->lane, asker)) {
        return;
    }
    if (waiter == NULL) {
        number = add_waiter(queues, place, asker->task);
    } else {
        detach(queues, number);
    }
    struct queue_key *key = queues->waiters[number].key;
    lane_add(lane_intern(key, asker), number);
    make_busy(queues, key->queue);
}

void queues_run(struct queues *queues, const struct queue_place *place, struct task_ref task)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(queues, task.run, &number);
    if (waiter != NULL && waiter->is_running) {
        return;
    }
    if (waiter == NULL) {
        number = add_waiter(queues, place, task);
    } else {
        detach(queues, number);
    }
    queues->waiters[number].is_running = true;
    queue_key_hold(queues->waiters[number].key);
}

void queues_leave(struct queues *queues, uuid run)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(queues, run, &number);
    if (waiter == NULL) {
        return;
    }
    detach(queues, number);
    queue_key_forget_unused(waiter->key);
    map_remove(&queues->by_run, number);
    waiter->at = queues->waiter_free;
    queues->waiter_free = number;
}

/* ---- Whose turn it is. ---- */

static void throttle(struct queues *queues, struct queue *queue, uint64_t due_ms)
{
    queue->due_ms = due_ms;
    if (!queue->is_throttled) {
        queue->is_throttled = true;
        queue->throttled_next = queues->throttled;
        queues->throttled = queue;
    }
}

static void wake_throttled(struct queues *queues, uint64_t now_ms)
{
    struct queue **link = &queues->throttled;
    while (*link != NULL) {
        struct queue *queue = *link;
        /* A clock that steps back is noticed by looking again. */
        bool is_due =
            queue->due_ms <= now_ms || queue->due_ms > now_ms + queue->limits.rate_period_ms;
        if (!is_due) {
            link = &queue->throttled_next;
            continue;
        }
        *link = queue->throttled_next;
        queue->is_throttled = false;
        make_busy(queues, queue);
    }
}

static bool next_of(struct queues *queues, struct queue *queue, uint64_t now_ms,
                    struct task_ref *ret)
{
    uint64_t due_ms;
    uint32_t number = queue_choose(queue, now_ms, &due_ms);
    if (number != LANE_NONE) {
        *ret = queues->waiters[number].task;
        return true;
    }
    if (due_ms != 0) {
        throttle(queues, queue, due_ms);
    }
    return false;
}

/* Queues take turns, too: one that has somebody goes to the end. */
bool queues_next(struct queues *queues, uint64_t now_ms, struct task_ref *ret)
{
    struct queue *woken = queues->woken;
    queues->woken = NULL;
    if (woken != NULL && next_of(queues, woken, now_ms, ret)) {
        return true;
    }
    wake_throttled(queues, now_ms);
    while (queues->busy_first != NULL) {
        struct queue *queue = queues->busy_first;
        make_idle(queues);
        if (next_of(queues, queue, now_ms, ret)) {
            make_busy(queues, queue);
            return true;
        }
    }
    return false;
}

void queues_stall(struct queues *queues, uuid run)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(queues, run, &number);
    assert(waiter != NULL && waiter->lane != NULL);
    waiter->lane->line->is_blocked = true;
    waiter->lane->line->blocked_by = run;
}

bool queues_wake(struct queues *queues, uuid run)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(queues, run, &number);
    if (waiter == NULL || waiter->lane == NULL) {
        return false;
    }
    waiter->lane->line->is_blocked = false;
    queues->woken = waiter->key->queue;
    make_busy(queues, queues->woken);
    return true;
}

uint64_t queues_next_due_ms(const struct queues *queues, uint64_t now_ms)
{
    if (queues->busy_first != NULL) {
        return now_ms;
    }
    uint64_t due_ms = 0;
    for (const struct queue *queue = queues->throttled; queue != NULL;
         queue = queue->throttled_next) {
        due_ms = due_ms == 0 || queue->due_ms < due_ms ? queue->due_ms : due_ms;
    }
    return due_ms;
}

/* ---- Starts that count for a rate. Their numbers have no gaps: rows are reused by number. ---- */

uint64_t queues_count_start(struct queues *queues, str name, uint64_t now_ms)
{
    struct queue *queue = intern_queue(queues, name);
    uint64_t number = queue->start_number++;
    queue_add_start(queue, number, now_ms);
    return number;
}

void queues_restore_start(struct queues *queues, str name, uint64_t number, uint64_t start_ms)
{
    struct queue *queue = intern_queue(queues, name);
    queue->start_number = number >= queue->start_number ? number + 1 : queue->start_number;
    queue_add_start(queue, number, start_ms);
}

bool queues_start_at(const struct queues *queues, str name, uint32_t index, uint64_t *ret_number,
                     uint64_t *ret_start_ms)
{
    const struct queue *queue = find_queue(queues, name);
    if (queue == NULL || index >= queue->start_count) {
        return false;
    }
    *ret_number = queue->starts[index].number;
    *ret_start_ms = queue->starts[index].start_ms;
    return true;
}

/* ---- What it looks like from outside. ---- */

bool queues_look(const struct queues *queues, uuid run, uint64_t now_ms, struct queue_view *ret)
{
    uint32_t number;
    const struct waiter *waiter = find_waiter(queues, run, &number);
    if (waiter == NULL || waiter->lane == NULL) {
        return false;
    }
    const struct queue *queue = waiter->key->queue;
    *ret = (struct queue_view){
        .limits = queue->limits,
        .running = queue->running,
        .key_running = waiter->key->running,
        .ahead = queue_key_ahead(waiter->key, number),
    };
    uint64_t due_ms = waiter->lane->has_begun ? 0 : queue_rate_due_ms(queue, now_ms);
    if (!queue_has_room(queue)) {
        ret->obstacle = QUEUE_OBSTACLE_LIMIT;
    } else if (!queue_key_has_room(waiter->key)) {
        ret->obstacle = QUEUE_OBSTACLE_KEY;
    } else if (due_ms != 0) {
        ret->obstacle = QUEUE_OBSTACLE_RATE;
        ret->due_ms = due_ms;
    }
    return true;
}

void queues_count(const struct queues *queues, str name, uint32_t *ret_running,
                  uint32_t *ret_waiting)
{
    const struct queue *queue = find_queue(queues, name);
    *ret_running = queue == NULL ? 0 : queue->running;
    *ret_waiting = queue == NULL ? 0 : queue->waiting;
}

size_t queues_size(const struct queues *queues)
{
    return queues->by_run.count;
}
