#include "service/features/queues/queue_order.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/features/queues/queue_lanes.h"

struct workflow_default {
    char *workflow; /* NULL: free. */
    char *queue;
    uint32_t next_free;
};

struct queue_order {
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
    struct queue *busy_first; /* To be looked at by queue_order_next(). */
    struct queue *busy_last;
    struct queue *woken; /* To be looked at first, once. */
    struct queue *throttled; /* Nobody may begin before the time their rate allows. */
};

static uint64_t hash_of_queue(const void *context, uint32_t number)
{
    return str_hash(str_of(((const struct queue_order *)context)->queues[number]->name));
}

static bool queue_is(const void *context, uint32_t number, const void *key)
{
    return str_is(*(const str *)key, ((const struct queue_order *)context)->queues[number]->name);
}

static uint64_t hash_of_waiter(const void *context, uint32_t number)
{
    return uuid_hash(((const struct queue_order *)context)->waiters[number].task.run);
}

static bool waiter_is(const void *context, uint32_t number, const void *key)
{
    return uuid_equal(((const struct queue_order *)context)->waiters[number].task.run,
                      *(const uuid *)key);
}

static uint64_t hash_of_default(const void *context, uint32_t number)
{
    return str_hash(str_of(((const struct queue_order *)context)->defaults[number].workflow));
}

static bool default_is(const void *context, uint32_t number, const void *key)
{
    return str_is(*(const str *)key,
                  ((const struct queue_order *)context)->defaults[number].workflow);
}

static const struct map_keys queue_keys = {hash_of_queue, queue_is};
static const struct map_keys waiter_keys = {hash_of_waiter, waiter_is};
static const struct map_keys default_keys = {hash_of_default, default_is};

struct queue_order *queue_order_new(void)
{
    struct queue_order *order = xcalloc(1, sizeof(*order));
    map_init(&order->by_name, &queue_keys, order);
    map_init(&order->by_run, &waiter_keys, order);
    map_init(&order->by_workflow, &default_keys, order);
    order->waiter_free = LANE_NONE;
    return order;
}

static void forget_defaults(struct queue_order *order)
{
    for (uint32_t i = 0; i < order->default_used; i++) {
        free(order->defaults[i].workflow);
        free(order->defaults[i].queue);
    }
    order->default_used = 0;
    map_fini(&order->by_workflow);
    map_init(&order->by_workflow, &default_keys, order);
}

void queue_order_free(struct queue_order *order)
{
    if (order == NULL) {
        return;
    }
    forget_defaults(order);
    map_fini(&order->by_name);
    map_fini(&order->by_run);
    map_fini(&order->by_workflow);
    for (uint32_t i = 0; i < order->queue_used; i++) {
        queue_free(order->queues[i]);
    }
    free(order->queues);
    free(order->waiters);
    free(order->defaults);
    free(order);
}

/* ---- Definitions. A queue, once named, is known until the end: there are not many. ---- */

static struct queue *find_queue(const struct queue_order *order, str name)
{
    uint32_t number;
    return map_find(&order->by_name, str_hash(name), &name, &number) ? order->queues[number] : NULL;
}

static struct queue *intern_queue(struct queue_order *order, str name)
{
    struct queue *queue = find_queue(order, name);
    if (queue != NULL) {
        return queue;
    }
    order->queues = array_reserve(order->queues, &order->queue_capacity,
                                  (size_t)order->queue_used + 1, sizeof(order->queues[0]));
    assert(order->queue_used < order->queue_capacity);
    order->queues[order->queue_used] = queue_new(name, &order->waiters);
    map_add(&order->by_name, order->queue_used);
    return order->queues[order->queue_used++];
}

/* Its limits, its places or those who wait have changed. */
static void make_busy(struct queue_order *order, struct queue *queue)
{
    if (queue->is_busy) {
        return;
    }
    assert((order->busy_first == NULL) == (order->busy_last == NULL));
    queue->is_busy = true;
    queue->busy_next = NULL;
    *(order->busy_last != NULL ? &order->busy_last->busy_next : &order->busy_first) = queue;
    order->busy_last = queue;
}

/* The first of the busy ones. */
static void make_idle(struct queue_order *order)
{
    struct queue *queue = order->busy_first;
    assert(queue != NULL && queue->is_busy);
    order->busy_first = queue->busy_next;
    if (order->busy_first == NULL) {
        order->busy_last = NULL;
    }
    queue->is_busy = false;
}

void queue_order_define(struct queue_order *order, str name, const struct queue_limits *limits)
{
    assert(limits->rate <= QUEUES_RATE_MAX);
    assert((limits->rate == 0) == (limits->rate_period_ms == 0));
    struct queue *queue = intern_queue(order, name);
    order->defined_count += !queue->is_defined;
    assert(order->defined_count <= order->queue_used);
    queue->is_defined = true;
    queue_set_limits(queue, limits);
    make_busy(order, queue);
}

bool queue_order_defined(const struct queue_order *order, str name, struct queue_limits *ret)
{
    const struct queue *queue = find_queue(order, name);
    if (queue == NULL || !queue->is_defined) {
        return false;
    }
    *ret = queue->limits;
    return true;
}

static void undefine(struct queue_order *order, struct queue *queue)
{
    static const struct queue_limits none = {0};
    queue->is_defined = false;
    queue_set_limits(queue, &none);
    queue->start_number = 0;
    make_busy(order, queue);
}

void queue_order_undefine(struct queue_order *order, str name)
{
    struct queue *queue = find_queue(order, name);
    assert(queue != NULL && queue->is_defined);
    assert(queue->running == 0 && queue->waiting == 0);
    assert(order->defined_count > 0);
    undefine(order, queue);
    order->defined_count--;
}

size_t queue_order_defined_count(const struct queue_order *order)
{
    return order->defined_count;
}

void queue_order_set_default(struct queue_order *order, str workflow, str queue)
{
    uint32_t number;
    if (map_find(&order->by_workflow, str_hash(workflow), &workflow, &number)) {
        free(order->defaults[number].queue);
        order->defaults[number].queue = xstrndup(queue.ptr, queue.len);
        return;
    }
    if (queue.len == 0) {
        return;
    }
    order->defaults = array_reserve(order->defaults, &order->default_capacity,
                                    (size_t)order->default_used + 1, sizeof(order->defaults[0]));
    number = order->default_used++;
    order->defaults[number] = (struct workflow_default){
        .workflow = xstrndup(workflow.ptr, workflow.len),
        .queue = xstrndup(queue.ptr, queue.len),
    };
    map_add(&order->by_workflow, number);
}

str queue_order_default(const struct queue_order *order, str workflow)
{
    uint32_t number;
    bool is_known = map_find(&order->by_workflow, str_hash(workflow), &workflow, &number);
    return is_known ? str_of(order->defaults[number].queue) : STR_EMPTY;
}

void queue_order_forget_definitions(struct queue_order *order)
{
    forget_defaults(order);
    for (uint32_t i = 0; i < order->queue_used; i++) {
        undefine(order, order->queues[i]);
    }
    order->defined_count = 0;
}

/* ---- Those who wait and those who run. ---- */

static struct waiter *find_waiter(const struct queue_order *order, uuid run, uint32_t *ret_number)
{
    return map_find(&order->by_run, uuid_hash(run), &run, ret_number) ? &order->waiters[*ret_number]
                                                                      : NULL;
}

static uint32_t take_waiter(struct queue_order *order)
{
    if (order->waiter_free != LANE_NONE) {
        uint32_t number = order->waiter_free;
        assert(number < order->waiter_used);
        order->waiter_free = order->waiters[number].at;
        return number;
    }
    order->waiters = array_reserve(order->waiters, &order->waiter_capacity,
                                   (size_t)order->waiter_used + 1, sizeof(order->waiters[0]));
    assert(order->waiter_used < LANE_NONE);
    return order->waiter_used++;
}

static uint32_t add_waiter(struct queue_order *order, const struct queue_place *place,
                           struct task_ref task)
{
    struct queue *queue = intern_queue(order, place->queue);
    uint32_t number = take_waiter(order);
    order->waiters[number] = (struct waiter){
        .task = task,
        .priority = place->priority,
        .key = queue_key_intern(queue, place->key),
    };
    map_add(&order->by_run, number);
    return number;
}

/* It neither waits nor runs any more; its key is still there. */
static void detach(struct queue_order *order, uint32_t number)
{
    struct waiter *waiter = &order->waiters[number];
    struct queue *queue = waiter->key->queue;
    assert(waiter->lane == NULL || !waiter->is_running);
    if (waiter->lane != NULL) {
        lane_remove(waiter->lane, number);
    } else if (waiter->is_running) {
        queue_key_release(waiter->key);
    }
    waiter->is_running = false;
    make_busy(order, queue);
}

void queue_order_wait(struct queue_order *order, const struct queue_place *place,
                      const struct waiting_task *waiting)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(order, waiting->task.run, &number);
    if (waiter != NULL && waiter->lane != NULL && lane_is_of(waiter->lane, waiting)) {
        return;
    }
    if (waiter == NULL) {
        number = add_waiter(order, place, waiting->task);
    } else {
        detach(order, number);
    }
    struct queue_key *key = order->waiters[number].key;
    lane_add(lane_intern(key, waiting), number);
    assert(order->waiters[number].lane != NULL && !order->waiters[number].is_running);
    make_busy(order, key->queue);
}

void queue_order_run(struct queue_order *order, const struct queue_place *place,
                     struct task_ref task)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(order, task.run, &number);
    if (waiter != NULL && waiter->is_running) {
        return;
    }
    if (waiter == NULL) {
        number = add_waiter(order, place, task);
    } else {
        detach(order, number);
    }
    order->waiters[number].is_running = true;
    queue_key_hold(order->waiters[number].key);
    assert(order->waiters[number].lane == NULL);
}

void queue_order_leave(struct queue_order *order, uuid run)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(order, run, &number);
    if (waiter == NULL) {
        return;
    }
    detach(order, number);
    assert(waiter->lane == NULL && !waiter->is_running);
    queue_key_forget_unused(waiter->key);
    map_remove(&order->by_run, number);
    waiter->at = order->waiter_free;
    order->waiter_free = number;
}

/* ---- Who is admitted next. ---- */

static void throttle(struct queue_order *order, struct queue *queue, uint64_t due_ms)
{
    assert(due_ms != 0 && queue->limits.rate > 0);
    queue->due_ms = due_ms;
    if (!queue->is_throttled) {
        queue->is_throttled = true;
        queue->throttled_next = order->throttled;
        order->throttled = queue;
    }
}

static void wake_throttled(struct queue_order *order, uint64_t now_ms)
{
    struct queue **link = &order->throttled;
    while (*link != NULL) {
        struct queue *queue = *link;
        assert(queue->is_throttled);
        /* A clock that steps back is noticed by looking again. */
        bool is_due =
            queue->due_ms <= now_ms || queue->due_ms > now_ms + queue->limits.rate_period_ms;
        if (!is_due) {
            link = &queue->throttled_next;
            continue;
        }
        *link = queue->throttled_next;
        queue->is_throttled = false;
        make_busy(order, queue);
    }
}

static bool next_of(struct queue_order *order, struct queue *queue, uint64_t now_ms,
                    struct task_ref *ret)
{
    uint64_t due_ms;
    uint32_t number = queue_choose(queue, now_ms, &due_ms);
    if (number != LANE_NONE) {
        assert(number < order->waiter_used && order->waiters[number].lane != NULL);
        *ret = order->waiters[number].task;
        return true;
    }
    if (due_ms != 0) {
        throttle(order, queue, due_ms);
    }
    return false;
}

/* Queues alternate, too: one that has somebody goes to the end. */
bool queue_order_next(struct queue_order *order, uint64_t now_ms, struct task_ref *ret)
{
    struct queue *woken = order->woken;
    order->woken = NULL;
    if (woken != NULL && next_of(order, woken, now_ms, ret)) {
        return true;
    }
    wake_throttled(order, now_ms);
    while (order->busy_first != NULL) {
        struct queue *queue = order->busy_first;
        make_idle(order);
        if (next_of(order, queue, now_ms, ret)) {
            make_busy(order, queue);
            return true;
        }
    }
    return false;
}

void queue_order_stall(struct queue_order *order, uuid run)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(order, run, &number);
    assert(waiter != NULL && waiter->lane != NULL);
    waiter->lane->need->is_blocked = true;
    waiter->lane->need->blocked_by = run;
}

bool queue_order_wake(struct queue_order *order, uuid run)
{
    uint32_t number;
    struct waiter *waiter = find_waiter(order, run, &number);
    if (waiter == NULL || waiter->lane == NULL) {
        return false;
    }
    waiter->lane->need->is_blocked = false;
    order->woken = waiter->key->queue;
    make_busy(order, order->woken);
    return true;
}

uint64_t queue_order_next_due_ms(const struct queue_order *order, uint64_t now_ms)
{
    if (order->busy_first != NULL) {
        return now_ms;
    }
    uint64_t due_ms = 0;
    for (const struct queue *queue = order->throttled; queue != NULL;
         queue = queue->throttled_next) {
        due_ms = due_ms == 0 || queue->due_ms < due_ms ? queue->due_ms : due_ms;
    }
    return due_ms;
}

/* ---- Starts that count for a rate. Their numbers have no gaps: rows are reused by number. ---- */

uint64_t queue_order_count_start(struct queue_order *order, str name, uint64_t now_ms)
{
    struct queue *queue = intern_queue(order, name);
    assert(queue->limits.rate > 0);
    uint64_t number = queue->start_number++;
    queue_add_start(queue, number, now_ms);
    return number;
}

void queue_order_restore_start(struct queue_order *order, str name, uint64_t number,
                               uint64_t start_ms)
{
    struct queue *queue = intern_queue(order, name);
    assert(queue->start_count <= queue->limits.rate);
    queue->start_number = number >= queue->start_number ? number + 1 : queue->start_number;
    queue_add_start(queue, number, start_ms);
}

bool queue_order_start_at(const struct queue_order *order, str name, uint32_t index,
                          uint64_t *ret_number, uint64_t *ret_start_ms)
{
    const struct queue *queue = find_queue(order, name);
    if (queue == NULL || index >= queue->start_count) {
        return false;
    }
    *ret_number = queue->starts[index].number;
    *ret_start_ms = queue->starts[index].start_ms;
    return true;
}

/* ---- What it looks like from outside. ---- */

bool queue_order_look(const struct queue_order *order, uuid run, uint64_t now_ms,
                      struct queue_view *ret)
{
    uint32_t number;
    const struct waiter *waiter = find_waiter(order, run, &number);
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
        assert(due_ms > now_ms);
    }
    return true;
}

void queue_order_count(const struct queue_order *order, str name, uint32_t *ret_running,
                       uint32_t *ret_waiting)
{
    const struct queue *queue = find_queue(order, name);
    *ret_running = queue == NULL ? 0 : queue->running;
    *ret_waiting = queue == NULL ? 0 : queue->waiting;
}

size_t queue_order_size(const struct queue_order *order)
{
    return order->by_run.count;
}
