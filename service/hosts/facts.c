#include "service/hosts/facts.h"

#include <stdlib.h>

void facts_cursor_reset(struct facts_cursor *cursor)
{
    struct facts_wait *next;
    for (struct facts_wait *wait = cursor->waits; wait != NULL; wait = next) {
        next = wait->next;
        free(wait);
    }
    *cursor = facts_cursor_begin(cursor);
}

struct facts_cursor facts_cursor_begin(const struct facts_cursor *from)
{
    return (struct facts_cursor){
        .task = from->task,
        .epoch = from->epoch,
        .wait = from->wait,
        .waits_only = from->waits_only,
        .start = from->start,
        .until = from->until,
        .steps = from->wait == 0 ? 0 : from->steps, /* Of one wait it was known before. */
    };
}

void facts_owe(struct facts_owed **list, uint64_t seq, const struct facts_cursor *cursor)
{
    struct facts_owed *owed = xcalloc(1, sizeof(*owed));
    owed->seq = seq;
    owed->cursor = facts_cursor_begin(cursor);
    while (*list != NULL) {
        assert((*list)->seq < seq);
        list = &(*list)->next;
    }
    *list = owed;
}

void facts_acknowledge(struct facts_owed **list, uint64_t seq)
{
    while (*list != NULL && (*list)->seq <= seq) {
        struct facts_owed *owed = *list;
        *list = owed->next;
        facts_cursor_reset(&owed->cursor);
        free(owed);
    }
}

void facts_begin_again(struct facts_owed *list)
{
    for (struct facts_owed *owed = list; owed != NULL; owed = owed->next) {
        owed->is_over = false;
        facts_cursor_reset(&owed->cursor);
    }
}

struct facts_owed *facts_unfinished(struct facts_owed *list, uint64_t written)
{
    while (list != NULL && list->is_over) {
        list = list->next;
    }
    return list == NULL || list->seq > written ? NULL : list;
}
