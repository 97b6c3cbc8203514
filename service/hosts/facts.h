/*
 * facts: what a task's run has settled and its host is owed, told in pieces as its stream has room.
 *
 *   a numbered Task or Outcome that `has_more` --> TaskFacts (not numbered) ... the last one
 *
 * Nothing is sent between the two but acknowledgements. The pieces are not kept: whoever owns the
 * journal reads them when they are due, and after a broken stream from the first on.
 *
 * Invariant: what is owed is in the order of its numbers.
 */
#ifndef SERVICE_HOSTS_FACTS_H
#define SERVICE_HOSTS_FACTS_H

#include "service/hosts/message.h"

/* A wait that the reader has come across. */
struct facts_wait {
    struct facts_wait *next;
    uint32_t effect;
    uint32_t owner;
    enum settled_kind kind;
    size_t key_len;
    char key[];
};

/* What is to be told of a task, and how far that is. */
struct facts_cursor {
    struct task_ref task;
    uint32_t epoch;
    uint32_t wait; /* Of this wait only; 0: of all, ... */
    bool waits_only; /* ... but not the steps. */
    uint32_t start; /* The seq of the first event to be read; 0: the run's first. */
    uint32_t until; /* Of the last one. */
    uint32_t steps; /* Facts of the task that hosts told, before what is read next. */
    /* The reader's own, zeros at first. */
    uint32_t record; /* The seq at which the record begins that is read next. */
    uint32_t after; /* The last event that was read. */
    uint32_t told; /* Facts. */
    uint32_t state_seq; /* Of the last event that has a state; 0: none. */
    uint32_t state_record; /* And of its record. */
    struct facts_wait *waits; /* Owned. */
};

/* A copy that has told nothing. */
struct facts_cursor facts_cursor_begin(const struct facts_cursor *from);
/* Nothing was told; frees the waits. */
void facts_cursor_reset(struct facts_cursor *cursor);

/* Facts that follow a numbered message. */
struct facts_owed {
    struct facts_owed *next;
    uint64_t seq; /* The message's. */
    bool is_over; /* The last piece was sent on this stream. */
    struct facts_cursor cursor;
};

/* Of a number that is higher than those in the list. */
void facts_owe(struct facts_owed **list, uint64_t seq, const struct facts_cursor *cursor);
/* Up to this number all were handled. */
void facts_acknowledge(struct facts_owed **list, uint64_t seq);
/* On a new stream: all begin again. */
void facts_begin_again(struct facts_owed *list);
/* The first of those up to this number that are not over; NULL: none. */
struct facts_owed *facts_unfinished(struct facts_owed *list, uint64_t written);

#endif
