#include "service/features/histories/histories.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/sys.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"

enum {
    WARN_FIFTHS = 4, /* Of the limit: then a line in the log says that it nears it. */
};

struct histories {
    struct partition *partition;
    uuid *full; /* Runs over the limit, to be failed in the next round that hears requests. */
    size_t full_count;
    size_t full_capacity;
};

/* In each run. */
struct room {
    bool is_noted; /* It is among the full ones. */
    bool is_warned;
};

static struct room *room_of(const struct histories *histories, const struct live_run *run)
{
    return partition_room(histories->partition, run, &histories_feature);
}

static size_t limit_of(const struct histories *histories)
{
    assert(histories->partition->options.history_bytes_max > 0);
    return histories->partition->options.history_bytes_max;
}

static void warn(const struct histories *histories, const struct live_run *run)
{
    char id[UUID_TEXT_BYTES];
    struct room *room = room_of(histories, run);
    if (room->is_warned || run->history_bytes < limit_of(histories) / 5 * WARN_FIFTHS) {
        return;
    }
    room->is_warned = true;
    uuid_format(run->state.id, id);
    log_line(LOG_WARN, "history_large", "run=%s bytes=%zu limit=%zu; over it, the run fails", id,
             run->history_bytes, limit_of(histories));
}

static void look_at(struct histories *histories, const struct live_run *run)
{
    struct room *room = room_of(histories, run);
    warn(histories, run);
    if (room->is_noted || run->history_bytes <= limit_of(histories)) {
        return;
    }
    room->is_noted = true;
    histories->full = array_reserve(histories->full, &histories->full_capacity,
                                    histories->full_count + 1, sizeof(histories->full[0]));
    histories->full[histories->full_count++] = run->state.id;
}

static void record_put(void *self, struct live_run *run, str record, uint32_t count)
{
    (void)count;
    assert(record.len > 0 && run->history_bytes >= record.len);
    look_at(self, run);
}

static void run_loaded(void *self, struct live_run *run)
{
    if (!engine_is_terminal(&run->state)) {
        look_at(self, run);
    }
}

static void fail(struct histories *histories, uuid id)
{
    struct partition *partition = histories->partition;
    struct live_run *run;
    status found = runs_get(partition, id, &run);
    if (!status_is_ok(found) || engine_is_terminal(&run->state) ||
        run->history_bytes <= limit_of(histories)) {
        return; /* It rests until it can be read, has ended, or the commit was lost that was over.
                 */
    }
    struct command command = {
        .kind = COMMAND_FAIL,
        .fail = {.reason = STR("HISTORY_TOO_LARGE"),
                 .message = arena_printf(
                     &partition->round_arena,
                     "the run's history has passed %zu bytes, which is all that this server keeps "
                     "of one (--history-bytes-max); keep large data elsewhere and return where it "
                     "is, or go on in a new run",
                     limit_of(histories))},
    };
    enum verdict verdict = command_submit(partition, run, &command);
    assert(verdict == VERDICT_OK && engine_is_terminal(&run->state));
}

/* Before those who got free are given work. */
static void fail_full(void *self)
{
    struct histories *histories = self;
    size_t count = histories->full_count;
    if (count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        fail(histories, histories->full[i]);
    }
    /* Those that were read meanwhile come next. */
    histories->full_count -= count;
    memmove(histories->full, histories->full + count,
            histories->full_count * sizeof(histories->full[0]));
}

static uint64_t next_due_ms(void *self)
{
    const struct histories *histories = self;
    return histories->full_count > 0 ? histories->partition->now_ms : 0;
}

static void *start(struct partition *partition)
{
    struct histories *histories = xcalloc(1, sizeof(*histories));
    histories->partition = partition;
    return histories;
}

static void stop(void *self)
{
    struct histories *histories = self;
    free(histories->full);
    free(histories);
}

const struct feature histories_feature = {
    .name = "histories",
    .run_bytes = sizeof(struct room),
    .start = start,
    .at = {[ROUND_HEARD] = fail_full},
    .record_put = record_put,
    .run_loaded = run_loaded,
    .next_due_ms = next_due_ms,
    .stop = stop,
};
