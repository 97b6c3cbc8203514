/*
 * alarms: when runs that are not in memory want to be told the time.
 *
 * A run that only waits is a few rows on disk; the one for its next deadline sorts by time. Those
 * due within a window are among the timers in memory, the others are read when they come near, so a
 * run that sleeps for a week costs no memory until the week is over.
 *
 * Invariant: a run that is neither terminal nor to be loaded at a restart, and has a deadline, has
 *            one row under that deadline.
 */
#include "service/base/sys.h"
#include "service/runtime/internal.h"

enum {
    WINDOW_MS = 10 * 60 * 1000,
    REFILL_MS = 5 * 60 * 1000, /* Before the window ends. */
};

bool alarm_is_near(const struct runtime *runtime, uint64_t due_ms)
{
    return due_ms != 0 && due_ms < runtime->alarms_until_ms;
}

uint64_t alarm_of(const struct run_row *row)
{
    bool is_ended = row->ended_ms != 0;
    return is_ended || row->load ? 0 : row->next_deadline_ms;
}

void alarm_put(struct runtime *runtime, struct live_run *run, uint64_t due_ms)
{
    char key[KEY_BYTES_MAX];
    struct key_space space = runtime->options.space;
    if (run->alarm_ms == due_ms) {
        return;
    }
    if (run->alarm_ms != 0) {
        struct link_tail old = link_timer(run->alarm_ms, run->state.id);
        store_batch_delete(&runtime->batch, STORE_LINKS,
                           key_link(key, space, LINK_TIMER, link_str(&old)));
    }
    if (due_ms != 0) {
        struct link_tail new = link_timer(due_ms, run->state.id);
        store_batch_put(&runtime->batch, STORE_LINKS,
                        key_link(key, space, LINK_TIMER, link_str(&new)), STR_EMPTY);
    }
    run->alarm_ms = due_ms;
}

static bool visit(void *context, str key, str value)
{
    (void)value;
    struct runtime *runtime = context;
    str tail;
    uint64_t due_ms;
    uuid run;
    if (!key_read_link(key, &tail) || !link_read_timer(tail, &due_ms, &run)) {
        return true;
    }
    if (due_ms >= runtime->alarms_until_ms) {
        return false;
    }
    if (runs_find(runtime, run) == NULL) { /* Those in memory have their timer. */
        timers_arm(runtime->timers, run, due_ms);
    }
    return true;
}

void alarms_work(struct runtime *runtime)
{
    char prefix[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct key_space space = runtime->options.space;
    if (runtime->now_ms + REFILL_MS < runtime->alarms_until_ms) {
        return;
    }
    struct link_tail from = link_timer(runtime->alarms_until_ms, (uuid){{0}});
    runtime->alarms_until_ms = runtime->now_ms + WINDOW_MS;
    status scanned = store_scan(
        &runtime->store, STORE_LINKS, key_link(prefix, space, LINK_TIMER, STR_EMPTY),
        key_link(from_bytes, space, LINK_TIMER, link_str(&from)), false, SIZE_MAX, visit, runtime);
    if (!status_is_ok(scanned)) {
        log_line(LOG_ERROR, "alarms_unreadable", "why=\"%s\"", scanned.why);
    }
}

uint64_t alarms_next_due_ms(const struct runtime *runtime)
{
    return runtime->alarms_until_ms > REFILL_MS ? runtime->alarms_until_ms - REFILL_MS
                                                : runtime->now_ms;
}
