#include "service/hosts/tasks.h"

#include <stdlib.h>

#include "service/base/array.h"

uint64_t task_ref_hash(struct task_ref task)
{
    uint64_t words[2];
    static_assert(sizeof(words) == sizeof(task.run.bytes), "a uuid is two words");
    memcpy(words, task.run.bytes, sizeof(words));
    return map_hash_u64(words[0] ^ map_hash_u64(words[1] + task.effect));
}

static uint64_t hash_entry(const void *context, uint32_t number)
{
    return task_ref_hash(((const struct tasks *)context)->entries[number].held.task);
}

static bool entry_is(const void *context, uint32_t number, const void *key)
{
    return task_ref_equal(((const struct tasks *)context)->entries[number].held.task,
                          *(const struct task_ref *)key);
}

static const struct map_keys keys_by_ref = {hash_entry, entry_is};

void tasks_init(struct tasks *tasks)
{
    *tasks = (struct tasks){.free = TASKS_NONE};
    map_init(&tasks->by_ref, &keys_by_ref, tasks);
}

void tasks_fini(struct tasks *tasks)
{
    map_fini(&tasks->by_ref);
    free(tasks->entries);
    *tasks = (struct tasks){.free = TASKS_NONE};
}

struct task_entry *tasks_find(const struct tasks *tasks, struct task_ref task)
{
    uint32_t number;
    if (!map_find(&tasks->by_ref, task_ref_hash(task), &task, &number)) {
        return NULL;
    }
    assert(tasks->entries[number].session != NULL);
    return &tasks->entries[number];
}

static uint32_t take_entry(struct tasks *tasks)
{
    if (tasks->free != TASKS_NONE) {
        uint32_t number = tasks->free;
        tasks->free = tasks->entries[number].next;
        return number;
    }
    tasks->entries = array_reserve(tasks->entries, &tasks->capacity, (size_t)tasks->used + 1,
                                   sizeof(*tasks->entries));
    return tasks->used++;
}

struct task_entry *tasks_add(struct tasks *tasks, struct task_list *list,
                             struct host_session *session, struct held_task held,
                             enum hold_state state)
{
    assert(session != NULL);
    assert(tasks_find(tasks, held.task) == NULL);
    assert((list->first == TASKS_NONE) == (list->last == TASKS_NONE));
    uint32_t number = take_entry(tasks);
    struct task_entry *entry = &tasks->entries[number];
    *entry = (struct task_entry){
        .held = held, .session = session, .prev = list->last, .next = TASKS_NONE, .state = state};
    if (list->last == TASKS_NONE) {
        list->first = number;
    } else {
        tasks->entries[list->last].next = number;
    }
    list->last = number;
    list->count++;
    map_add(&tasks->by_ref, number);
    return entry;
}

void tasks_remove(struct tasks *tasks, struct task_list *list, struct task_entry *entry)
{
    uint32_t number = (uint32_t)(entry - tasks->entries);
    assert(number < tasks->used && entry->session != NULL);
    assert(list->count > 0);
    map_remove(&tasks->by_ref, number);
    if (entry->prev == TASKS_NONE) {
        list->first = entry->next;
    } else {
        tasks->entries[entry->prev].next = entry->next;
    }
    if (entry->next == TASKS_NONE) {
        list->last = entry->prev;
    } else {
        tasks->entries[entry->next].prev = entry->prev;
    }
    list->count--;
    *entry = (struct task_entry){.next = tasks->free};
    tasks->free = number;
}

struct task_entry *tasks_first(const struct tasks *tasks, const struct task_list *list)
{
    assert((list->first == TASKS_NONE) == (list->count == 0));
    return list->first == TASKS_NONE ? NULL : &tasks->entries[list->first];
}
