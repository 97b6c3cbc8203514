/*
 * list: a ring of nodes inside the things they link.
 *
 * Invariant: a node is in one list or, after list_init(), in none.
 */
#ifndef SERVICE_HOSTS_LIST_H
#define SERVICE_HOSTS_LIST_H

#include "service/base/base.h"

struct list {
    struct list *next;
    struct list *prev;
};

/* A list without nodes, or a node in no list. */
static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

/* Of a node: whether it is in no list. */
static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

/* Out of its list, if it is in one. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* At the end; the node must be in no list. */
static inline void list_append(struct list *list, struct list *node)
{
    assert(list_is_empty(node));
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

#endif
