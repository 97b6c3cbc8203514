#include "clients/c/held.h"

#include <assert.h>

#include "clients/c/memory.h"

static struct polos_task **bucket_of(const struct polos_held *held, const char *id)
{
    return &held->buckets[polos_hash(id) & (held->bucket_count - 1)];
}

struct polos_task *polos_held_find(const struct polos_held *held, const char *id)
{
    struct polos_task *task = held->count == 0 ? NULL : *bucket_of(held, id);
    while (task != NULL && strcmp(task->message->task_id, id) != 0) {
        task = task->next;
    }
    return task;
}

static void put(struct polos_held *held, struct polos_task *task)
{
    struct polos_task **bucket = bucket_of(held, task->message->task_id);
    task->next = *bucket;
    *bucket = task;
}

static void grow(struct polos_held *held)
{
    struct polos_held larger = {.bucket_count =
                                    held->bucket_count == 0 ? 64 : 2 * held->bucket_count};
    larger.buckets = memory_zeroed(larger.bucket_count, sizeof(struct polos_task *));
    larger.count = held->count;
    for (size_t i = 0; i < held->bucket_count; i++) {
        for (struct polos_task *task = held->buckets[i], *next; task != NULL; task = next) {
            next = task->next;
            put(&larger, task);
        }
    }
    free(held->buckets);
    *held = larger;
}

void polos_held_add(struct polos_held *held, struct polos_task *task)
{
    assert(polos_held_find(held, task->message->task_id) == NULL);
    if (held->count == held->bucket_count) {
        grow(held);
    }
    put(held, task);
    held->count++;
}

void polos_held_remove(struct polos_held *held, struct polos_task *task)
{
    struct polos_task **at = bucket_of(held, task->message->task_id);
    while (*at != task) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = task->next;
    assert(held->count > 0);
    held->count--;
}

void polos_held_fini(struct polos_held *held)
{
    assert(held->count == 0);
    free(held->buckets);
    *held = (struct polos_held){0};
}

bool polos_task_is_at_work(const struct polos_task *task)
{
    return task->is_held && task->is_owned && !task->is_done;
}

void polos_task_let_go(struct polos_task *task)
{
    if (task->is_held || task->is_owned || task->nodes > 0) {
        return;
    }
    assert(task->waiting.first == NULL);
    polos_replay_fini(&task->replay);
    polos__v1__task__free_unpacked(task->message, NULL);
    free(task);
}
