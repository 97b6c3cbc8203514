/*
 * versions: what becomes of runs whose code does not fit their history, and what is said of it.
 *
 * Such a run is tried again by itself after a while, and at once when a new process dials in that
 * offers its task: for that they stand in a list. The list may lack some, after a restart for one:
 * these are tried when their time comes.
 */
#include "service/features/versions/versions.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/code_version.h"
#include "service/base/map.h"
#include "service/partition/commands.h"
#include "service/partition/journal.h"
#include "service/partition/state.h"
#include "service/partition/task_order.h"

enum {
    STOPPED_MAX = 100000,
    NOBODY = UINT32_MAX,
};

static_assert(STOPPED_MAX < NOBODY, "every stopped task has a number");

struct stopped {
    struct task_ref task;
    uint64_t offer; /* Hash of what a host must offer ... */
    uint64_t version; /* ... in the language of this one. */
    uint32_t prev;
    uint32_t next; /* In the list, or among the free. */
};

struct versions {
    struct partition *partition;
    struct stopped *stopped;
    uint32_t used;
    size_t capacity;
    uint32_t free;
    uint32_t first;
    struct map by_task;
    struct task_ref *called; /* To be tried now. */
    size_t called_count;
    size_t called_capacity;
    uint64_t again_ms; /* The last of them could not be read; not before this. */
};

static uint64_t hash_of_task(struct task_ref task)
{
    return uuid_hash(task.run) + task.effect;
}

static uint64_t hash_of(const void *context, uint32_t number)
{
    return hash_of_task(((const struct versions *)context)->stopped[number].task);
}

static bool is_of(const void *context, uint32_t number, const void *task)
{
    return task_ref_equal(((const struct versions *)context)->stopped[number].task,
                          *(const struct task_ref *)task);
}

static const struct map_keys keys_by_task = {hash_of, is_of};

static void *start(struct partition *partition)
{
    struct versions *versions = xcalloc(1, sizeof(*versions));
    versions->partition = partition;
    versions->free = NOBODY;
    versions->first = NOBODY;
    map_init(&versions->by_task, &keys_by_task, versions);
    return versions;
}

static void stop(void *self)
{
    struct versions *versions = self;
    map_fini(&versions->by_task);
    free(versions->stopped);
    free(versions->called);
    free(versions);
}

static uint64_t offer_hash(enum task_kind kind, str name)
{
    return str_hash(name) + (uint64_t)kind;
}

static uint32_t take_entry(struct versions *versions)
{
    if (versions->free != NOBODY) {
        uint32_t number = versions->free;
        assert(number < versions->used);
        versions->free = versions->stopped[number].next;
        return number;
    }
    versions->stopped = array_reserve(versions->stopped, &versions->capacity,
                                      (size_t)versions->used + 1, sizeof(versions->stopped[0]));
    assert(versions->used < versions->capacity && versions->used < STOPPED_MAX);
    return versions->used++;
}

/* The code of a task did not fit its history. */
static void note_stopped(struct versions *versions, struct live_run *run, uint32_t effect)
{
    struct partition *partition = versions->partition;
    struct task_ref task = {run->state.id, effect};
    struct event ordered;
    uint32_t number;
    if (versions->by_task.count >= STOPPED_MAX ||
        map_find(&versions->by_task, hash_of_task(task), &task, &number) ||
        !status_is_ok(task_order_find(run, effect, &partition->round_arena, &ordered))) {
        return; /* It is tried when its time comes. */
    }
    enum task_kind kind = task_order_kind(run, engine_effect(&run->state, effect));
    number = take_entry(versions);
    versions->stopped[number] = (struct stopped){
        .task = task,
        .offer = offer_hash(kind, task_order_offer(run, &ordered, &partition->round_arena)),
        .version = engine_pin(&run->state, engine_effect(&run->state, effect)),
        .prev = NOBODY,
        .next = versions->first,
    };
    if (versions->first != NOBODY) {
        assert(versions->stopped[versions->first].prev == NOBODY);
        versions->stopped[versions->first].prev = number;
    }
    versions->first = number;
    map_add(&versions->by_task, number);
}

static void call(struct versions *versions, uint32_t number)
{
    assert(number < versions->used);
    struct stopped *stopped = &versions->stopped[number];
    assert((stopped->prev == NOBODY) == (versions->first == number));
    versions->called = array_reserve(versions->called, &versions->called_capacity,
                                     versions->called_count + 1, sizeof(versions->called[0]));
    versions->called[versions->called_count++] = stopped->task;
    map_remove(&versions->by_task, number);
    if (stopped->prev != NOBODY) {
        versions->stopped[stopped->prev].next = stopped->next;
    } else {
        versions->first = stopped->next;
    }
    if (stopped->next != NOBODY) {
        assert(versions->stopped[stopped->next].prev == number);
        versions->stopped[stopped->next].prev = stopped->prev;
    }
    stopped->next = versions->free;
    versions->free = number;
}

static bool offers(const struct host_hello *hello, uint64_t wanted, uint64_t version)
{
    if (!code_version_speaks(version, code_version_make(hello->deployment, hello->language))) {
        return false;
    }
    for (size_t i = 0; i < hello->offer_count; i++) {
        if (offer_hash(hello->offers[i].kind, hello->offers[i].name) == wanted) {
            return true;
        }
    }
    return false;
}

void versions_hear(struct partition *partition, const struct host_hello *hello)
{
    struct versions *versions = partition_self(partition, &versions_feature);
    if (hello->session.len > 0) {
        return; /* The process that was there before. */
    }
    uint32_t next = NOBODY;
    for (uint32_t at = versions->first; at != NOBODY; at = next) {
        next = versions->stopped[at].next;
        if (offers(hello, versions->stopped[at].offer, versions->stopped[at].version)) {
            call(versions, at);
        }
    }
}

static uint64_t next_due_ms(void *self)
{
    const struct versions *versions = self;
    uint64_t now_ms = versions->partition->now_ms;
    uint64_t due_ms = versions->again_ms > now_ms ? versions->again_ms : now_ms;
    return versions->called_count > 0 ? due_ms : 0;
}

void versions_work(struct partition *partition)
{
    struct versions *versions = partition_self(partition, &versions_feature);
    if (partition->now_ms < versions->again_ms) {
        return;
    }
    for (size_t i = 0; i < partition->options.batch_max && versions->called_count > 0; i++) {
        struct task_ref task = versions->called[versions->called_count - 1];
        struct live_run *run;
        status read = runs_get(partition, task.run, &run);
        if (!status_is_ok(read) && store_may_pass(read)) {
            versions->again_ms = partition->now_ms + READ_AGAIN_MS;
            return;
        }
        versions->called_count--;
        if (!status_is_ok(read)) {
            continue;
        }
        const struct effect *effect = engine_effect(&run->state, task.effect);
        if (effect == NULL || !effect_is_stopped(effect)) {
            continue; /* Tried or over meanwhile. */
        }
        struct command command = {
            .kind = COMMAND_CODE_CAME,
            .effect = task.effect,
            .attempt = effect->attempt,
        };
        enum verdict verdict = command_submit(partition, run, &command);
        assert(verdict == VERDICT_OK);
    }
}

static void before_event(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command)
{
    (void)command;
    if (event->kind == EVENT_TASK_FAILED && event->task_failed.is_mismatch) {
        note_stopped(self, run, event->effect);
    }
}

const struct feature versions_feature = {
    .name = "versions",
    .start = start,
    .before_event = before_event,
    .next_due_ms = next_due_ms,
    .stop = stop,
};
