/*
 * hearing: what the server has heard of its hosts, and by when.
 *
 * A host is judged by its silence, so time counts only as far as the server has listened: its clock
 * doesn't run on while no round is made, and a lease is over only when all that was said before
 * its end has been handled.
 */
#ifndef SERVICE_FEATURES_TASKS_HEARING_H
#define SERVICE_FEATURES_TASKS_HEARING_H

#include "service/base/base.h"

enum {
    HEARING_MARKS_MAX = 64,
};

/* All that was said by that time has been handled when so many requests have. */
struct hearing_mark {
    uint64_t clock_ms;
    uint64_t handled;
};

struct hearing {
    uint64_t heartbeat_ms; /* Constant. */
    uint64_t read_ms; /* The monotonic clock as it was read last; 0: never. */
    uint64_t clock_ms;
    struct hearing_mark
        marks[HEARING_MARKS_MAX]; /* A ring: of each round that left some waiting. */
    uint32_t mark_first;
    uint32_t mark_count;
    uint64_t heard_ms;
};

/* heartbeat_ms: how often a host says something at least; not 0. */
void hearing_init(struct hearing *hearing, uint64_t heartbeat_ms);
/* The clock by which leases run, ms. It is the monotonic one, but that a gap between two readings
 * counts as a heartbeat at most: who spoke in time then has the rest of the lease to be heard. */
uint64_t hearing_clock(struct hearing *hearing, uint64_t monotonic_ms);
/* After a round's requests: by this clock, all that was said until then has been handled.
 * handled: requests ever handled; waiting: those that came before they could be. */
uint64_t hearing_heard(struct hearing *hearing, uint64_t handled, uint64_t waiting);

#endif
