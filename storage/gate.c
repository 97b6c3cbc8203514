#include "storage/gate.h"

#include <assert.h>
#include <time.h>

/* How many gates this thread is inside of: a nested reader must not wait for a writer that
 * waits for it. */
static _Thread_local int depth;

static void pause_briefly(void)
{
    const struct timespec pause = {0, 50000};
    nanosleep(&pause, NULL);
}

void gate_enter(struct gate *gate)
{
    atomic_fetch_add(&gate->readers, 1);
    while (depth == 0 && atomic_load(&gate->is_closed)) {
        atomic_fetch_sub(&gate->readers, 1);
        pause_briefly();
        atomic_fetch_add(&gate->readers, 1);
    }
    depth++;
    assert(depth > 0);
}

void gate_leave(struct gate *gate)
{
    assert(depth > 0);
    depth--;
    int before = atomic_fetch_sub(&gate->readers, 1);
    assert(before > 0);
    (void)before;
}

void gate_close(struct gate *gate)
{
    assert(depth == 0 && "a commit inside a visit would wait for itself");
    assert(!atomic_load(&gate->is_closed));
    atomic_store(&gate->is_closed, true);
    while (atomic_load(&gate->readers) > 0) {
        pause_briefly();
    }
}

void gate_open(struct gate *gate)
{
    assert(depth == 0);
    assert(atomic_load(&gate->is_closed));
    atomic_store(&gate->is_closed, false);
}
