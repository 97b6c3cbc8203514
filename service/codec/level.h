/*
 * level: what a release has to know to read a store right.
 *
 * A number for all that came new since a release: a kind of event or of row, a field that state
 * depends on. What an older release may pass over without harm needs none. The first commit that
 * holds something of a level writes it into the store's header, and releases that do not know it
 * refuse the store from then on: a store in which nothing new was written can still go back.
 */
#ifndef SERVICE_CODEC_LEVEL_H
#define SERVICE_CODEC_LEVEL_H

#include "service/codec/index.h"
#include "service/engine/event.h"

/* On disk: never renumbered. */
enum level {
    LEVEL_FIRST = 1,
    /* Rows of what is owed and of trees: what is owed would never be done, and a tree would be
     * counted wrong. That runs are listed by rows: new runs would have none. Rows of
     * waits by the type of their event: nobody would be woken by them. */
    LEVEL_OWED = 2,
    /* What schedules start beyond workflows, and with what options; that they are paused: an older
     * release would start them all the same. Topics by their names, and from which event on they
     * are kept: it would show what was deleted, and number anew. */
    LEVEL_NOUNS = 3,
    /* How many runs are pinned to a version of an agent: an older release would not count, and one
     * in use could be deleted. What is left of a deleted version: it would show runs that have
     * ended without their answers. */
    LEVEL_VERSIONS = 4,
    /* Schemas of suspensions: it would take any answer. */
    LEVEL_ANSWERS = 5,
    /* What hosts say of code beside its steps: their numbers go on after it. */
    LEVEL_SAID = 6,
    /* Tries of steps that failed: numbers go on after them, too. */
    LEVEL_TRIES = 7,
    /* That a reply is no answer, and what is said to an agent at work: it is not known how such a
     * run goes on. */
    LEVEL_REJECTED = 8,
    /* The order of a tree's facts, from its root's start on: it would start runs that are in none.
     */
    LEVEL_ORDER = 9,
    /* That runs are listed by trees, roots and schedules: new runs would have no such rows. */
    LEVEL_LISTED = 11,
    /* Callbacks of agents: it would not ask them. */
    LEVEL_CALLBACKS = 12,
    /* Runs whose history is still being copied: it would let them work with half of it. */
    LEVEL_COPIES = 13,
    /* Keys: it would let in whoever comes. */
    LEVEL_KEYS = 14,
    /* The language of code, within the number of its version: hosts of the deployment a run stays
     * with would not be known as such, and one of another language given its history. */
    LEVEL_LANGUAGES = 15,
    LEVEL_NEWEST = LEVEL_LANGUAGES,
};

/* Of a row that is put. A kind that this release does not know is of the newest level. */
enum level level_of_index(uint8_t kind);
/* Of an event that is put, by its traits. */
enum level level_of_event(enum event_kind kind);
/* As level_of_event(), and by what the event says. */
enum level level_of_said(const struct event *event);

#endif
