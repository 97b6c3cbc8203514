#include "service/hosts/ready_queue.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/code_version.h"
#include "service/hosts/session.h"

static_assert(sizeof(struct ready_task) <= 40, "a hundred thousand of these may wait");

static const struct ready_queue empty = {
    .name_free = READY_NONE,
    .pool_free = READY_NONE,
    .task_free = READY_NONE,
};

static uint64_t hash_name(enum task_kind kind, str name)
{
    return str_hash(name) + (uint64_t)kind;
}

static str text_of(const struct ready_name *name)
{
    return str_make(name->text, name->len);
}

static uint64_t hash_of_name(const void *context, uint32_t number)
{
    const struct ready_name *name = &((const struct ready_queue *)context)->names[number];
    return hash_name(name->kind, text_of(name));
}

static bool name_is(const void *context, uint32_t number, const void *key)
{
    const struct ready_name *name = &((const struct ready_queue *)context)->names[number];
    const struct host_offer *wanted = (const struct host_offer *)key;
    return name->kind == wanted->kind && str_equal(text_of(name), wanted->name);
}

static uint64_t hash_of_task(const void *context, uint32_t number)
{
    return task_ref_hash(((const struct ready_queue *)context)->tasks[number].task);
}

static bool task_is(const void *context, uint32_t number, const void *key)
{
    return task_ref_equal(((const struct ready_queue *)context)->tasks[number].task,
                          *(const struct task_ref *)key);
}

static const struct map_keys keys_by_name = {hash_of_name, name_is};
static const struct map_keys keys_by_task = {hash_of_task, task_is};

/* The heap of pools that can be served. */

static bool is_before(const void *context, const void *a, const void *b)
{
    const struct ready_pool *pools = ((const struct ready_queue *)context)->pools;
    return pools[*(const uint32_t *)a].served_at < pools[*(const uint32_t *)b].served_at;
}

static void moved(void *context, const void *number, uint32_t place)
{
    ((struct ready_queue *)context)->pools[*(const uint32_t *)number].heap_at = place;
}

static const struct heap_order servable_order = {sizeof(uint32_t), is_before, moved};

void ready_queue_init(struct ready_queue *queue)
{
    *queue = empty;
    map_init(&queue->by_name, &keys_by_name, queue);
    map_init(&queue->by_task, &keys_by_task, queue);
    heap_init(&queue->servable, &servable_order, queue);
}

void ready_queue_fini(struct ready_queue *queue)
{
    for (uint32_t i = 0; i < queue->name_used; i++) {
        free(queue->names[i].text);
    }
    for (uint32_t i = 0; i < queue->pool_used; i++) {
        free(queue->pools[i].candidates);
    }
    map_fini(&queue->by_name);
    map_fini(&queue->by_task);
    free(queue->names);
    free(queue->pools);
    free(queue->tasks);
    heap_fini(&queue->servable);
    *queue = empty;
}

/* Which hosts the tasks of a pool get. */

static uint32_t find_pool(const struct ready_queue *queue, const struct ready_name *name,
                          uint64_t version)
{
    uint32_t number = name->pools;
    while (number != READY_NONE && queue->pools[number].version != version) {
        number = queue->pools[number].next;
    }
    return number;
}

/* The pool whose hosts dialled in last, of those in the version's language, and of its deployment
 * if `is_own`; READY_NONE: nobody of them is present. */
static uint32_t newest_pool(const struct ready_queue *queue, const struct ready_name *name,
                            uint64_t version, bool is_own)
{
    uint32_t newest = READY_NONE;
    for (uint32_t at = name->pools; at != READY_NONE; at = queue->pools[at].next) {
        const struct ready_pool *pool = &queue->pools[at];
        if (pool->present_count > 0 && code_version_speaks(version, pool->version) &&
            (!is_own || code_version_shares_deployment(version, pool->version)) &&
            (newest == READY_NONE || pool->newest > queue->pools[newest].newest)) {
            newest = at;
        }
    }
    return newest;
}

uint64_t ready_queue_newest(const struct ready_queue *queue, const struct ready_name *name)
{
    uint32_t pool = newest_pool(queue, name, CODE_VERSION_NEWEST, false);
    return pool == READY_NONE ? 0 : queue->pools[pool].version;
}

/* The pool whose hosts serve the tasks that wait for this version; READY_NONE: none. */
static uint32_t serving_pool(const struct ready_queue *queue, const struct ready_name *name,
                             uint64_t version)
{
    assert(version != CODE_VERSION_ANY);
    bool is_newest = code_version_is_newest(version);
    uint32_t own = is_newest ? READY_NONE : newest_pool(queue, name, version, true);
    if (own != READY_NONE) {
        return own;
    }
    bool falls_back = queue->may_fall_back || is_newest;
    return falls_back ? newest_pool(queue, name, version, false) : READY_NONE;
}

bool ready_queue_speaks(const struct ready_queue *queue, const struct ready_name *name,
                        uint64_t version)
{
    bool speaks = false;
    for (uint32_t at = name->pools; at != READY_NONE; at = queue->pools[at].next) {
        const struct ready_pool *pool = &queue->pools[at];
        speaks |= pool->offer_count > 0 && code_version_speaks(version, pool->version);
    }
    return speaks;
}

static bool can_be_served(const struct ready_queue *queue, const struct ready_pool *pool)
{
    const struct ready_name *name = &queue->names[pool->name];
    if (pool->first == READY_NONE || name->candidate_count == 0) {
        return false;
    }
    if (pool->version == CODE_VERSION_ANY) {
        return true;
    }
    uint32_t serving = serving_pool(queue, name, pool->version);
    return serving != READY_NONE && queue->pools[serving].candidate_count > 0;
}

static void update_servable(struct ready_queue *queue, uint32_t number)
{
    bool is_servable = can_be_served(queue, &queue->pools[number]);
    if (is_servable == (queue->pools[number].heap_at != HEAP_NONE)) {
        return;
    }
    if (is_servable) {
        heap_add(&queue->servable, &number);
    } else {
        heap_remove(&queue->servable, queue->pools[number].heap_at);
    }
}

/* After hosts of one of its pools changed: they may serve the tasks of any other one. */
static void update_name(struct ready_queue *queue, uint32_t name)
{
    for (uint32_t at = queue->names[name].pools; at != READY_NONE; at = queue->pools[at].next) {
        update_servable(queue, at);
    }
}

void ready_queue_allow_fallback(struct ready_queue *queue)
{
    queue->may_fall_back = true;
    for (uint32_t number = 0; number < queue->pool_used; number++) {
        if (queue->pools[number].name != READY_NONE) {
            update_servable(queue, number);
        }
    }
}

/* Names and their pools. */

static bool find(const struct ready_queue *queue, enum task_kind kind, str name, uint32_t *ret)
{
    struct host_offer key = {kind, name};
    return map_find(&queue->by_name, hash_name(kind, name), &key, ret);
}

const struct ready_name *ready_queue_find(const struct ready_queue *queue, enum task_kind kind,
                                          str name)
{
    uint32_t number;
    return find(queue, kind, name, &number) ? &queue->names[number] : NULL;
}

static uint32_t intern_name(struct ready_queue *queue, enum task_kind kind, str text)
{
    uint32_t number;
    if (find(queue, kind, text, &number)) {
        return number;
    }
    if (queue->name_free != READY_NONE) {
        number = queue->name_free;
        queue->name_free = queue->names[number].next_free;
    } else {
        queue->names = array_reserve(queue->names, &queue->name_capacity,
                                     (size_t)queue->name_used + 1, sizeof(*queue->names));
        number = queue->name_used++;
    }
    queue->names[number] = (struct ready_name){
        .text = xstrndup(text.ptr, text.len),
        .len = (uint32_t)text.len,
        .kind = kind,
        .pools = READY_NONE,
        .next_free = READY_NONE,
    };
    map_add(&queue->by_name, number);
    return number;
}

static uint32_t take_pool(struct ready_queue *queue)
{
    if (queue->pool_free != READY_NONE) {
        uint32_t number = queue->pool_free;
        queue->pool_free = queue->pools[number].next;
        return number;
    }
    queue->pools = array_reserve(queue->pools, &queue->pool_capacity, (size_t)queue->pool_used + 1,
                                 sizeof(*queue->pools));
    return queue->pool_used++;
}

static uint32_t intern(struct ready_queue *queue, enum task_kind kind, str text, uint64_t version)
{
    uint32_t name = intern_name(queue, kind, text);
    uint32_t number = find_pool(queue, &queue->names[name], version);
    if (number == READY_NONE) {
        number = take_pool(queue);
        queue->pools[number] = (struct ready_pool){
            .version = version,
            .name = name,
            .first = READY_NONE,
            .last = READY_NONE,
            .heap_at = HEAP_NONE,
            .next = queue->names[name].pools,
        };
        queue->names[name].pools = number;
    }
    return number;
}

static void forget_name(struct ready_queue *queue, uint32_t number)
{
    struct ready_name *name = &queue->names[number];
    assert(name->pools == READY_NONE);
    assert(name->candidate_count == 0 && name->offer_count == 0);
    map_remove(&queue->by_name, number);
    free(name->text);
    *name = (struct ready_name){.next_free = queue->name_free};
    queue->name_free = number;
}

static void forget_unused(struct ready_queue *queue, uint32_t number)
{
    struct ready_pool *pool = &queue->pools[number];
    struct ready_name *name = &queue->names[pool->name];
    if (pool->offer_count > 0 || pool->first != READY_NONE) {
        return;
    }
    assert(pool->candidate_count == 0 && pool->present_count == 0);
    assert(pool->heap_at == HEAP_NONE);
    uint32_t *at = &name->pools;
    while (*at != number) {
        at = &queue->pools[*at].next;
    }
    *at = pool->next;
    if (name->pools == READY_NONE) {
        forget_name(queue, pool->name);
    }
    free(pool->candidates);
    *pool = (struct ready_pool){.name = READY_NONE, .next = queue->pool_free};
    queue->pool_free = number;
}

/* By the share of its slots that are taken; among equals, who was picked longest ago. */
static bool is_less_busy(const struct host_session *a, const struct host_session *b)
{
    uint64_t busy_a = (uint64_t)a->held.count * b->slots;
    uint64_t busy_b = (uint64_t)b->held.count * a->slots;
    if (busy_a != busy_b) {
        return busy_a < busy_b;
    }
    return a->picked != b->picked ? a->picked < b->picked : a->number < b->number;
}

static struct host_session *pick_of(const struct ready_pool *pool, struct host_session *best)
{
    assert(pool->candidate_count <= pool->present_count);
    for (uint32_t i = 0; i < pool->candidate_count; i++) {
        if (best == NULL || is_less_busy(pool->candidates[i].session, best)) {
            best = pool->candidates[i].session;
        }
    }
    return best;
}

struct host_session *ready_queue_pick(const struct ready_queue *queue,
                                      const struct ready_name *name, uint64_t version)
{
    struct host_session *best = NULL;
    if (version != CODE_VERSION_ANY) {
        uint32_t serving = serving_pool(queue, name, version);
        return serving == READY_NONE ? NULL : pick_of(&queue->pools[serving], NULL);
    }
    for (uint32_t at = name->pools; at != READY_NONE; at = queue->pools[at].next) {
        best = pick_of(&queue->pools[at], best);
    }
    return best;
}

uint32_t ready_queue_add_offer(struct ready_queue *queue, enum task_kind kind, str name,
                               uint64_t version)
{
    assert(version != CODE_VERSION_ANY && version != CODE_VERSION_NEWEST);
    uint32_t number = intern(queue, kind, name, version);
    queue->pools[number].offer_count++;
    queue->names[queue->pools[number].name].offer_count++;
    return number;
}

void ready_queue_remove_offer(struct ready_queue *queue, uint32_t number)
{
    struct ready_pool *pool = &queue->pools[number];
    assert(pool->offer_count > pool->present_count);
    pool->offer_count--;
    queue->names[pool->name].offer_count--;
    forget_unused(queue, number);
}

void ready_queue_add_present(struct ready_queue *queue, const struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct ready_pool *pool = &queue->pools[session->offers[i].pool];
        assert(pool->present_count < pool->offer_count);
        pool->present_count++;
        pool->newest = session->number > pool->newest ? session->number : pool->newest;
        update_name(queue, pool->name);
    }
}

void ready_queue_remove_present(struct ready_queue *queue, const struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct ready_pool *pool = &queue->pools[session->offers[i].pool];
        assert(pool->present_count > 0);
        pool->present_count--;
        pool->newest = pool->present_count > 0 ? pool->newest : 0;
        update_name(queue, pool->name);
    }
}

void ready_queue_add_candidate(struct ready_queue *queue, struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct ready_pool *pool = &queue->pools[session->offers[i].pool];
        assert(session->offers[i].place == READY_NONE);
        assert(pool->candidate_count < pool->offer_count);
        pool->candidates =
            array_reserve(pool->candidates, &pool->candidate_capacity,
                          (size_t)pool->candidate_count + 1, sizeof(*pool->candidates));
        session->offers[i].place = pool->candidate_count;
        pool->candidates[pool->candidate_count++] = (struct candidate){session, i};
        queue->names[pool->name].candidate_count++;
        update_name(queue, pool->name);
    }
}

void ready_queue_remove_candidate(struct ready_queue *queue, struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct offer *offer = &session->offers[i];
        struct ready_pool *pool = &queue->pools[offer->pool];
        struct candidate last = pool->candidates[pool->candidate_count - 1];
        assert(offer->place < pool->candidate_count);
        assert(pool->candidates[offer->place].session == session);
        pool->candidates[offer->place] = last;
        last.session->offers[last.offer].place = offer->place;
        offer->place = READY_NONE;
        pool->candidate_count--;
        queue->names[pool->name].candidate_count--;
        update_name(queue, pool->name);
    }
}

/* The tasks that wait. */

static bool find_task(const struct ready_queue *queue, struct task_ref task, uint32_t *ret)
{
    return map_find(&queue->by_task, task_ref_hash(task), &task, ret);
}

bool ready_queue_has(const struct ready_queue *queue, struct task_ref task)
{
    uint32_t number;
    return find_task(queue, task, &number);
}

static uint32_t take_task(struct ready_queue *queue)
{
    if (queue->task_free != READY_NONE) {
        uint32_t number = queue->task_free;
        queue->task_free = queue->tasks[number].next;
        return number;
    }
    queue->tasks = array_reserve(queue->tasks, &queue->task_capacity, (size_t)queue->task_used + 1,
                                 sizeof(*queue->tasks));
    return queue->task_used++;
}

void ready_queue_add(struct ready_queue *queue, enum task_kind kind, str text, uint64_t version,
                     struct task_ref task)
{
    assert(!ready_queue_has(queue, task));
    uint32_t pool_number = intern(queue, kind, text, version);
    uint32_t number = take_task(queue);
    struct ready_pool *pool = &queue->pools[pool_number];
    queue->tasks[number] = (struct ready_task){
        .task = task, .pool = pool_number, .prev = pool->last, .next = READY_NONE};
    if (pool->first == READY_NONE) {
        pool->first = number;
        pool->served_at = ++queue->clock;
    } else {
        queue->tasks[pool->last].next = number;
    }
    pool->last = number;
    map_add(&queue->by_task, number);
    update_servable(queue, pool_number);
}

static void remove_task(struct ready_queue *queue, uint32_t number)
{
    struct ready_task *task = &queue->tasks[number];
    uint32_t pool_number = task->pool;
    struct ready_pool *pool = &queue->pools[pool_number];
    assert(pool_number != READY_NONE);
    assert(pool->first != READY_NONE && pool->last != READY_NONE);
    map_remove(&queue->by_task, number);
    if (task->prev == READY_NONE) {
        pool->first = task->next;
    } else {
        queue->tasks[task->prev].next = task->next;
    }
    if (task->next == READY_NONE) {
        pool->last = task->prev;
    } else {
        queue->tasks[task->next].prev = task->prev;
    }
    *task = (struct ready_task){.pool = READY_NONE, .next = queue->task_free};
    queue->task_free = number;
    update_servable(queue, pool_number);
    forget_unused(queue, pool_number);
}

bool ready_queue_remove(struct ready_queue *queue, struct task_ref task)
{
    uint32_t number;
    if (!find_task(queue, task, &number)) {
        return false;
    }
    remove_task(queue, number);
    return true;
}

bool ready_queue_pop(struct ready_queue *queue, struct task_ref *ret)
{
    const uint32_t *first = heap_first(&queue->servable);
    if (first == NULL) {
        return false;
    }
    struct ready_pool *pool = &queue->pools[*first];
    assert(can_be_served(queue, pool));
    assert(pool->heap_at == 0);
    *ret = queue->tasks[pool->first].task;
    pool->served_at = ++queue->clock;
    heap_update(&queue->servable, pool->heap_at);
    remove_task(queue, pool->first);
    return true;
}
