#include "service/features/tasks/hearing.h"

void hearing_init(struct hearing *hearing, uint64_t heartbeat_ms)
{
    assert(heartbeat_ms > 0);
    *hearing = (struct hearing){.heartbeat_ms = heartbeat_ms};
}

uint64_t hearing_clock(struct hearing *hearing, uint64_t monotonic_ms)
{
    assert(hearing->heartbeat_ms > 0);
    if (hearing->read_ms == 0) {
        hearing->read_ms = hearing->clock_ms = monotonic_ms;
    }
    uint64_t gap = monotonic_ms > hearing->read_ms ? monotonic_ms - hearing->read_ms : 0;
    hearing->clock_ms += gap < hearing->heartbeat_ms ? gap : hearing->heartbeat_ms;
    hearing->read_ms = monotonic_ms;
    return hearing->clock_ms;
}

uint64_t hearing_heard(struct hearing *hearing, uint64_t handled, uint64_t waiting)
{
    while (hearing->mark_count > 0 && hearing->marks[hearing->mark_first].handled <= handled) {
        hearing->heard_ms = hearing->marks[hearing->mark_first].clock_ms;
        hearing->mark_first = (hearing->mark_first + 1) % HEARING_MARKS_MAX;
        hearing->mark_count--;
    }
    if (waiting == 0) {
        assert(hearing->mark_count == 0);
        hearing->heard_ms = hearing->clock_ms;
    } else if (hearing->mark_count < HEARING_MARKS_MAX) {
        uint32_t next = (hearing->mark_first + hearing->mark_count++) % HEARING_MARKS_MAX;
        hearing->marks[next] = (struct hearing_mark){hearing->clock_ms, handled + waiting};
    }
    assert(hearing->heard_ms <= hearing->clock_ms);
    return hearing->heard_ms;
}
