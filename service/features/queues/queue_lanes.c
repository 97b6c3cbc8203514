#include "service/features/queues/queue_lanes.h"

#include <stdlib.h>

#include "service/base/array.h"

/* ---- The waiters of a lane. ---- */

/* Ids sort in the order of their starts. */
static bool goes_before(const struct waiter *waiters, uint32_t a, uint32_t b)
{
    const struct waiter *left = &waiters[a];
    const struct waiter *right = &waiters[b];
    if (left->priority != right->priority) {
        return left->priority > right->priority;
    }
    return memcmp(left->task.run.bytes, right->task.run.bytes, sizeof(uuid)) < 0;
}

static bool waiter_is_before(const void *context, const void *a, const void *b)
{
    const struct queue *queue = context;
    return goes_before(*queue->waiters, *(const uint32_t *)a, *(const uint32_t *)b);
}

static void waiter_moved(void *context, const void *number, uint32_t place)
{
    const struct queue *queue = context;
    (*queue->waiters)[*(const uint32_t *)number].at = place;
}

static const struct heap_order waiter_order = {sizeof(uint32_t), waiter_is_before, waiter_moved};

static uint32_t first_waiter(const struct queue_lane *lane)
{
    assert(lane->waiting.count > 0);
    return *(const uint32_t *)heap_first(&lane->waiting);
}

/* ---- The lanes of a need of hosts. ---- */

static struct queue_lane *lane_of(const void *item)
{
    return *(struct queue_lane *const *)item;
}

static bool lane_is_before(const void *context, const void *a, const void *b)
{
    (void)context;
    return lane_of(a)->key->served < lane_of(b)->key->served;
}

static void lane_moved(void *context, const void *item, uint32_t place)
{
    (void)context;
    lane_of(item)->heap_at = place;
}

static const struct heap_order lane_order = {sizeof(struct queue_lane *), lane_is_before,
                                             lane_moved};

static void leave_heap(struct queue_lane *lane)
{
    if (lane->heap_at != HEAP_NONE) {
        heap_remove(&lane->need->heaps[lane->has_begun], lane->heap_at);
    }
}

static void enter_heap(struct queue_lane *lane)
{
    if (lane->heap_at == HEAP_NONE) {
        heap_add(&lane->need->heaps[lane->has_begun], &lane);
    }
}

static bool need_is_of(const struct host_need *need, const struct waiting_task *waiting)
{
    return need->kind == waiting->kind && need->deployment == waiting->deployment &&
           str_is(waiting->name, need->name);
}

static struct host_need *need_intern(struct queue *queue, const struct waiting_task *waiting)
{
    struct host_need *need = queue->needs;
    while (need != NULL && !need_is_of(need, waiting)) {
        need = need->next;
    }
    if (need == NULL) {
        need = xcalloc(1, sizeof(*need));
        need->kind = waiting->kind;
        need->name = xstrndup(waiting->name.ptr, waiting->name.len);
        need->deployment = waiting->deployment;
        heap_init(&need->heaps[false], &lane_order, NULL);
        heap_init(&need->heaps[true], &lane_order, NULL);
        need->next = queue->needs;
        queue->needs = need;
    }
    return need;
}

static void need_free(struct host_need *need)
{
    free(need->name);
    heap_fini(&need->heaps[false]);
    heap_fini(&need->heaps[true]);
    free(need);
}

static void need_forget_unused(struct queue *queue, struct host_need *need)
{
    if (need->lane_count > 0) {
        return;
    }
    assert(need->heaps[false].count == 0 && need->heaps[true].count == 0);
    struct host_need **link = &queue->needs;
    while (*link != need) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = need->next;
    need_free(need);
}

/* ---- Keys. ---- */

static uint64_t hash_of_key(const void *context, uint32_t number)
{
    return str_hash(str_of(((const struct queue *)context)->keys[number]->text));
}

static bool key_is(const void *context, uint32_t number, const void *text)
{
    return str_is(*(const str *)text, ((const struct queue *)context)->keys[number]->text);
}

static const struct map_keys text_keys = {hash_of_key, key_is};

bool queue_key_has_room(const struct queue_key *key)
{
    uint32_t limit = key->queue->limits.per_key;
    return limit == 0 || key->running < limit;
}

/* After its room has changed, or it was served. */
static void key_update(struct queue_key *key)
{
    for (struct queue_lane *lane = key->lanes; lane != NULL; lane = lane->next) {
        leave_heap(lane);
        if (queue_key_has_room(key)) {
            enter_heap(lane);
        }
    }
}

struct queue_key *queue_key_intern(struct queue *queue, str text)
{
    uint32_t number;
    if (map_find(&queue->by_text, str_hash(text), &text, &number)) {
        return queue->keys[number];
    }
    if (queue->free_key_count > 0) {
        number = queue->free_keys[--queue->free_key_count];
        assert(number < queue->key_used && queue->keys[number] == NULL);
    } else {
        queue->keys = array_reserve(queue->keys, &queue->key_capacity, (size_t)queue->key_used + 1,
                                    sizeof(queue->keys[0]));
        number = queue->key_used++;
    }
    struct queue_key *key = xcalloc(1, sizeof(*key));
    key->queue = queue;
    key->text = xstrndup(text.ptr, text.len);
    key->number = number;
    key->served = ++queue->served;
    queue->keys[number] = key;
    map_add(&queue->by_text, number);
    return key;
}

static void key_free(struct queue_key *key)
{
    free(key->text);
    free(key);
}

void queue_key_forget_unused(struct queue_key *key)
{
    if (key->running > 0 || key->lanes != NULL) {
        return;
    }
    struct queue *queue = key->queue;
    assert(key->number < queue->key_used && queue->keys[key->number] == key);
    assert(queue->free_key_count < queue->key_used);
    queue->free_keys =
        array_reserve(queue->free_keys, &queue->free_key_capacity,
                      (size_t)queue->free_key_count + 1, sizeof(queue->free_keys[0]));
    queue->free_keys[queue->free_key_count++] = key->number;
    map_remove(&queue->by_text, key->number);
    queue->keys[key->number] = NULL;
    key_free(key);
}

void queue_key_hold(struct queue_key *key)
{
    assert(key->running <= key->queue->running && key->queue->running < UINT32_MAX);
    key->running++;
    key->queue->running++;
    key->served = ++key->queue->served;
    key_update(key);
}

void queue_key_release(struct queue_key *key)
{
    assert(key->running > 0 && key->queue->running > 0);
    key->running--;
    key->queue->running--;
    assert(key->running <= key->queue->running);
    key_update(key);
}

uint32_t queue_key_ahead(const struct queue_key *key, uint32_t number)
{
    const struct waiter *waiters = *key->queue->waiters;
    uint32_t ahead = 0;
    for (const struct queue_lane *lane = key->lanes; lane != NULL; lane = lane->next) {
        for (uint32_t i = 0; i < lane->waiting.count; i++) {
            ahead += goes_before(waiters, *(const uint32_t *)heap_at(&lane->waiting, i), number);
        }
    }
    return ahead;
}

/* ---- Lanes. ---- */

bool lane_is_of(const struct queue_lane *lane, const struct waiting_task *waiting)
{
    return lane->has_begun == waiting->has_begun && need_is_of(lane->need, waiting);
}

struct queue_lane *lane_intern(struct queue_key *key, const struct waiting_task *waiting)
{
    struct queue_lane *lane = key->lanes;
    while (lane != NULL && !lane_is_of(lane, waiting)) {
        lane = lane->next;
    }
    if (lane == NULL) {
        lane = xcalloc(1, sizeof(*lane));
        lane->key = key;
        lane->need = need_intern(key->queue, waiting);
        lane->need->lane_count++;
        lane->has_begun = waiting->has_begun;
        lane->heap_at = HEAP_NONE;
        heap_init(&lane->waiting, &waiter_order, key->queue);
        lane->next = key->lanes;
        key->lanes = lane;
    }
    return lane;
}

static void lane_free(struct queue_lane *lane)
{
    assert(lane->waiting.count == 0 && lane->need->lane_count > 0);
    struct queue_lane **link = &lane->key->lanes;
    while (*link != lane) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = lane->next;
    leave_heap(lane);
    lane->need->lane_count--;
    need_forget_unused(lane->key->queue, lane->need);
    heap_fini(&lane->waiting);
    free(lane);
}

void lane_add(struct queue_lane *lane, uint32_t number)
{
    struct waiter *waiter = &(*lane->key->queue->waiters)[number];
    assert(waiter->lane == NULL && !waiter->is_running);
    waiter->lane = lane;
    assert(waiter->key == lane->key);
    heap_add(&lane->waiting, &number);
    lane->key->queue->waiting++;
    if (queue_key_has_room(lane->key)) {
        enter_heap(lane);
    }
}

void lane_remove(struct queue_lane *lane, uint32_t number)
{
    struct waiter *waiter = &(*lane->key->queue->waiters)[number];
    assert(waiter->lane == lane && waiter->key == lane->key);
    assert(lane->key->queue->waiting > 0);
    heap_remove(&lane->waiting, waiter->at);
    lane->key->queue->waiting--;
    waiter->lane = NULL;
    if (lane->need->is_blocked && uuid_equal(lane->need->blocked_by, waiter->task.run)) {
        lane->need->is_blocked = false; /* Another one has to stand among the ready. */
    }
    if (lane->waiting.count == 0) {
        lane_free(lane);
    }
}

/* ---- The queue. ---- */

struct queue *queue_new(str name, struct waiter **waiters)
{
    assert(waiters != NULL);
    struct queue *queue = xcalloc(1, sizeof(*queue));
    queue->waiters = waiters;
    queue->name = xstrndup(name.ptr, name.len);
    map_init(&queue->by_text, &text_keys, queue);
    return queue;
}

static void lanes_free(struct queue_key *key)
{
    while (key->lanes != NULL) {
        struct queue_lane *next = key->lanes->next;
        heap_fini(&key->lanes->waiting);
        free(key->lanes);
        key->lanes = next;
    }
}

void queue_free(struct queue *queue)
{
    for (uint32_t i = 0; i < queue->key_used; i++) {
        if (queue->keys[i] != NULL) {
            lanes_free(queue->keys[i]);
            key_free(queue->keys[i]);
        }
    }
    while (queue->needs != NULL) {
        struct host_need *next = queue->needs->next;
        need_free(queue->needs);
        queue->needs = next;
    }
    map_fini(&queue->by_text);
    free(queue->keys);
    free(queue->free_keys);
    free(queue->starts);
    free(queue->name);
    free(queue);
}

/* Keeps the newest `count` starts. */
static void keep_starts(struct queue *queue, uint32_t count)
{
    if (queue->start_count > count) {
        assert(queue->starts != NULL);
        memmove(queue->starts, queue->starts + queue->start_count - count,
                count * sizeof(queue->starts[0]));
        queue->start_count = count;
    }
}

void queue_set_limits(struct queue *queue, const struct queue_limits *limits)
{
    assert(limits->rate <= QUEUES_RATE_MAX);
    bool is_same_per_key = queue->limits.per_key == limits->per_key;
    if (queue->limits.rate != limits->rate) {
        keep_starts(queue, limits->rate);
        queue->starts =
            xrealloc(queue->starts, (limits->rate + 1) * sizeof(queue->starts[0])); /* Not 0. */
    }
    queue->limits = *limits;
    assert(queue->start_count <= limits->rate);
    for (uint32_t i = 0; i < queue->key_used && !is_same_per_key; i++) {
        if (queue->keys[i] != NULL) {
            key_update(queue->keys[i]);
        }
    }
}

bool queue_has_room(const struct queue *queue)
{
    return queue->limits.concurrency == 0 || queue->running < queue->limits.concurrency;
}

void queue_add_start(struct queue *queue, uint64_t number, uint64_t start_ms)
{
    bool is_full = queue->start_count == queue->limits.rate;
    if (queue->limits.rate == 0 || (is_full && number < queue->starts[0].number)) {
        return;
    }
    for (uint32_t i = queue->start_count; i > 0 && queue->starts[i - 1].number >= number; i--) {
        if (queue->starts[i - 1].number == number) {
            return; /* A row of a former, higher rate. */
        }
    }
    keep_starts(queue, queue->limits.rate - 1);
    assert(queue->start_count < queue->limits.rate);
    uint32_t at = queue->start_count++;
    while (at > 0 && queue->starts[at - 1].number > number) {
        queue->starts[at] = queue->starts[at - 1];
        at--;
    }
    queue->starts[at] = (struct queue_start){number, start_ms};
    assert(at == 0 || queue->starts[at - 1].number < number);
}

uint64_t queue_rate_due_ms(const struct queue *queue, uint64_t now_ms)
{
    uint32_t rate = queue->limits.rate;
    if (rate == 0 || queue->start_count < rate) {
        return 0;
    }
    uint64_t due_ms =
        queue->starts[queue->start_count - rate].start_ms + queue->limits.rate_period_ms;
    return due_ms <= now_ms ? 0 : due_ms;
}

/* Where the clock has stepped back, starts that lie in the future count from now. */
static void pull_starts(struct queue *queue, uint64_t now_ms)
{
    for (uint32_t i = queue->start_count; i > 0 && queue->starts[i - 1].start_ms > now_ms; i--) {
        queue->starts[i - 1].start_ms = now_ms;
    }
}

/* The key that was served longest ago; within a key, who goes first. */
static bool is_better(const struct queue_lane *a, const struct queue_lane *b)
{
    if (b == NULL || a->key != b->key) {
        return b == NULL || a->key->served < b->key->served;
    }
    return goes_before(*a->key->queue->waiters, first_waiter(a), first_waiter(b));
}

uint32_t queue_choose(struct queue *queue, uint64_t now_ms, uint64_t *ret_due_ms)
{
    const struct queue_lane *best = NULL;
    bool is_held_up = false;
    *ret_due_ms = 0;
    if (!queue_has_room(queue)) {
        return LANE_NONE;
    }
    pull_starts(queue, now_ms);
    uint64_t due_ms = queue_rate_due_ms(queue, now_ms);
    for (struct host_need *need = queue->needs; need != NULL; need = need->next) {
        for (unsigned begun = 0; begun < 2 && !need->is_blocked; begun++) {
            const void *first = heap_first(&need->heaps[begun]);
            if (first == NULL) {
                continue;
            }
            if (begun == 0 && due_ms != 0) {
                is_held_up = true;
            } else if (is_better(lane_of(first), best)) {
                best = lane_of(first);
            }
        }
    }
    if (best == NULL) {
        *ret_due_ms = is_held_up ? due_ms : 0;
        return LANE_NONE;
    }
    assert(queue_key_has_room(best->key));
    return first_waiter(best);
}
