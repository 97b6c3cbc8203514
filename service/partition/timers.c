#include "service/partition/timers.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/heap.h"
#include "service/base/map.h"

struct timer {
    uuid run;
    uint64_t due_ms;
    uint32_t place; /* In the heap; of an unused one: the next unused. */
};

struct timers {
    struct timer *list;
    uint32_t used;
    size_t capacity;
    uint32_t unused; /* The first of them; HEAP_NONE: all up to `used` are armed. */
    struct heap by_due; /* Of numbers in the list. */
    struct map by_run;
};

static uint64_t hash_of_number(const void *context, uint32_t number)
{
    return uuid_hash(((const struct timers *)context)->list[number].run);
}

static bool is_of_run(const void *context, uint32_t number, const void *run)
{
    return uuid_equal(((const struct timers *)context)->list[number].run, *(const uuid *)run);
}

static const struct map_keys run_keys = {hash_of_number, is_of_run};

static bool is_before(const void *context, const void *a, const void *b)
{
    const struct timers *timers = context;
    const struct timer *left = &timers->list[*(const uint32_t *)a];
    const struct timer *right = &timers->list[*(const uint32_t *)b];
    if (left->due_ms != right->due_ms) {
        return left->due_ms < right->due_ms;
    }
    return memcmp(left->run.bytes, right->run.bytes, sizeof(left->run.bytes)) < 0;
}

static void moved(void *context, const void *number, uint32_t place)
{
    ((struct timers *)context)->list[*(const uint32_t *)number].place = place;
}

static const struct heap_order due_order = {sizeof(uint32_t), is_before, moved};

static void add(struct timers *timers, uuid run, uint64_t due_ms)
{
    uint32_t number = timers->unused;
    if (number != HEAP_NONE) {
        timers->unused = timers->list[number].place;
    } else {
        number = timers->used++;
        timers->list =
            array_reserve(timers->list, &timers->capacity, timers->used, sizeof(timers->list[0]));
    }
    timers->list[number] = (struct timer){.run = run, .due_ms = due_ms, .place = HEAP_NONE};
    map_add(&timers->by_run, number);
    heap_add(&timers->by_due, &number);
}

static void disarm(struct timers *timers, uint32_t number)
{
    map_remove(&timers->by_run, number);
    heap_remove(&timers->by_due, timers->list[number].place);
    timers->list[number].place = timers->unused;
    timers->unused = number;
}

struct timers *timers_new(void)
{
    struct timers *timers = xcalloc(1, sizeof(*timers));
    timers->unused = HEAP_NONE;
    heap_init(&timers->by_due, &due_order, timers);
    map_init(&timers->by_run, &run_keys, timers);
    return timers;
}

void timers_free(struct timers *timers)
{
    if (timers == NULL) {
        return;
    }
    heap_fini(&timers->by_due);
    map_fini(&timers->by_run);
    free(timers->list);
    free(timers);
}

void timers_arm(struct timers *timers, uuid run, uint64_t due_ms)
{
    uint32_t number;
    bool is_armed = map_find(&timers->by_run, uuid_hash(run), &run, &number);
    if (is_armed && due_ms == 0) {
        disarm(timers, number);
    } else if (is_armed) {
        timers->list[number].due_ms = due_ms;
        heap_update(&timers->by_due, timers->list[number].place);
    } else if (due_ms != 0) {
        add(timers, run, due_ms);
    }
}

static const struct timer *first(const struct timers *timers)
{
    const uint32_t *number = heap_first(&timers->by_due);
    return number == NULL ? NULL : &timers->list[*number];
}

bool timers_pop_due(struct timers *timers, uint64_t now_ms, uuid *ret)
{
    const struct timer *timer = first(timers);
    if (timer == NULL || timer->due_ms > now_ms) {
        return false;
    }
    *ret = timer->run;
    disarm(timers, (uint32_t)(timer - timers->list));
    return true;
}

uint64_t timers_next_ms(const struct timers *timers)
{
    const struct timer *timer = first(timers);
    return timer == NULL ? 0 : timer->due_ms;
}

size_t timers_count(const struct timers *timers)
{
    return timers->by_due.count;
}
