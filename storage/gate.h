/*
 * gate: many readers pass, one writer closes it for a moment.
 *
 * Readers never wait for each other, only for a closed gate. It is not a lock for the hot
 * path: the RocksDB store closes it only to reopen after a failed write, the memory store
 * for the microseconds of a commit.
 *
 * Threading: enter and leave from any thread, nested if need be; close and open from the
 *            writer's thread, never inside a visit.
 */
#ifndef STORAGE_GATE_H
#define STORAGE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>

struct gate {
    atomic_int readers;
    atomic_bool is_closed;
};

void gate_enter(struct gate *gate); /* Waits while the gate is closed. */
void gate_leave(struct gate *gate);
void gate_close(struct gate *gate); /* Waits until every reader has left. */
void gate_open(struct gate *gate);

#endif
