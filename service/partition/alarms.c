/*
 * alarms: when runs that are not in memory want to be told the time.
 *
 * A run that only waits is a few rows on disk; the one for its next deadline sorts by time. A row
 * is read when it is due, so a run that sleeps costs no memory at all. Rows are read from where the
 * last one was left, a span of time at a time: what was deleted before and lies far ahead is never
 * passed over.
 *
 * Invariant: a run that is neither terminal nor to be loaded at a restart, and has a deadline, has
 *            one row under that deadline. Of a run that is not in memory this row is not before
 *            `from`, and not due before `look_ms`.
 */
#include "service/partition/alarms.h"

#include <stdlib.h>

#include "service/base/sys.h"
#include "service/codec/wait_rows.h"
#include "service/partition/state.h"
#include "service/partition/timers.h"

/* Where the rows of alarms are read on. */
struct alarms {
    struct index_tail from;
    uint64_t look_ms; /* 0: at once. */
};

struct alarms *alarms_new(void)
{
    return xcalloc(1, sizeof(struct alarms));
}

void alarms_free(struct alarms *alarms)
{
    free(alarms);
}

enum {
    SPAN_BYTES = 6, /* Of a row's due_ms: a span is 2^16 ms. */
    SPAN_MS = 1 << 16,
    BEHIND_MS = 60 * SPAN_MS,
};

uint64_t alarm_of(const struct run_row *row)
{
    bool is_ended = row->ended_ms != 0;
    return is_ended || row->load ? 0 : row->next_deadline_ms;
}

void alarm_put(struct partition *partition, struct live_run *run, uint64_t due_ms)
{
    char key[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    assert(run->is_touched);
    if (run->alarm_ms == due_ms) {
        return;
    }
    if (run->alarm_ms != 0) {
        struct index_tail old = alarm_row_tail(run->alarm_ms, run->state.id);
        store_batch_delete(&partition->batch, STORE_INDEX,
                           key_index(key, space, INDEX_ALARM, index_tail_str(&old)));
    }
    if (due_ms != 0) {
        struct index_tail new = alarm_row_tail(due_ms, run->state.id);
        store_batch_put(&partition->batch, STORE_INDEX,
                        key_index(key, space, INDEX_ALARM, index_tail_str(&new)), STR_EMPTY);
    }
    run->alarm_ms = due_ms;
}

void alarm_leave(struct partition *partition, const struct live_run *run)
{
    struct alarms *alarms = partition->alarms;
    if (run->alarm_ms == 0) {
        return; /* What timer it has stays in memory. */
    }
    timers_arm(partition->timers, run->state.id, 0);
    assert(!run->is_touched);
    struct index_tail row = alarm_row_tail(run->alarm_ms, run->state.id);
    if (memcmp(row.bytes, alarms->from.bytes, row.len) <= 0) {
        alarms->from = row;
    }
    if (run->alarm_ms < alarms->look_ms) {
        alarms->look_ms = run->alarm_ms;
    }
}

/* From where it was left, within the first `prefix_bytes` of a row's tail. */
static status scan(struct partition *partition, size_t prefix_bytes, store_visit *each,
                   void *context)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    const struct index_tail *tail = &partition->alarms->from;
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(prefix, space, INDEX_ALARM, str_make(tail->bytes, prefix_bytes)),
                      key_index(from, space, INDEX_ALARM, index_tail_str(tail)), false, SIZE_MAX,
                      each, context);
}

struct look {
    struct partition *partition;
    size_t taken;
    bool is_over; /* A row was met that is not to be taken now. */
};

static bool visit(void *context, str key, str value)
{
    (void)value;
    struct look *look = context;
    struct partition *partition = look->partition;
    struct alarms *alarms = partition->alarms;
    str tail;
    struct alarm_row row;
    if (!key_read_index(key, &tail) || !status_is_ok(alarm_row_decode(tail, &row))) {
        return true;
    }
    alarms->from = alarm_row_tail(row.due_ms, row.run);
    look->is_over = row.due_ms > partition->now_ms || look->taken == partition->options.batch_max;
    if (look->is_over) {
        alarms->look_ms = row.due_ms;
        return false;
    }
    alarms->from.bytes[alarms->from.len++] = 0; /* The first key after it. */
    look->taken++;
    if (runs_find(partition, row.run) == NULL) { /* Those in memory have their timer. */
        timers_arm(partition->timers, row.run, row.due_ms);
    }
    return true;
}

static bool visit_next(void *context, str key, str value)
{
    (void)value;
    struct index_tail *next = context;
    str tail;
    struct alarm_row row;
    bool is_row = key_read_index(key, &tail) && status_is_ok(alarm_row_decode(tail, &row));
    if (is_row && memcmp(tail.ptr, next->bytes, next->len) < 0) {
        memcpy(next->bytes, tail.ptr, tail.len);
    }
    return !is_row;
}

/* Over a time without alarms, such as that before the server was started: to the next row, or to
 * now. */
static status skip(struct partition *partition)
{
    struct index_tail next = alarm_row_tail(partition->now_ms, (uuid){{0}});
    TRY(scan(partition, 0, visit_next, &next));
    partition->alarms->from = next;
    return STATUS_OK;
}

static status look_at_span(struct look *look)
{
    struct partition *partition = look->partition;
    struct alarms *alarms = partition->alarms;
    if (alarm_tail_due_ms(&alarms->from) + BEHIND_MS < partition->now_ms) {
        TRY(skip(partition));
    }
    uint64_t next_ms = alarm_tail_due_ms(&alarms->from) / SPAN_MS * SPAN_MS + SPAN_MS;
    TRY(scan(partition, SPAN_BYTES, visit, look));
    if (!look->is_over) {
        alarms->from = alarm_row_tail(next_ms, (uuid){{0}});
        alarms->look_ms = next_ms;
        look->is_over = next_ms > partition->now_ms;
    }
    return STATUS_OK;
}

void alarms_work(struct partition *partition)
{
    struct look look = {.partition = partition};
    status looked = STATUS_OK;
    if (partition->now_ms < partition->alarms->look_ms) {
        return;
    }
    while (status_is_ok(looked) && !look.is_over) {
        looked = look_at_span(&look);
    }
    if (!status_is_ok(looked)) {
        bool may_pass = store_may_pass(looked);
        partition->alarms->look_ms = partition->now_ms + (may_pass ? READ_AGAIN_MS : SPAN_MS);
        log_line(LOG_ERROR, "alarms_unreadable", "why=\"%s\"", looked.why);
    }
}

uint64_t alarms_next_due_ms(const struct partition *partition)
{
    uint64_t look_ms = partition->alarms->look_ms;
    return look_ms == 0 ? partition->now_ms : look_ms;
}
