#include "service/features/forks/points.h"

#include "service/codec/codec.h"
#include "service/partition/state.h"

static bool visit_point(void *context, str key, str value)
{
    (void)key;
    struct point *point = context;
    struct codec_entry entry;
    size_t cursor = 0;
    uint32_t first = 0;
    uint32_t last = 0;
    bool is_end = false;
    for (;;) {
        bool at_end;
        point->status = codec_next(value, &cursor, &entry, &at_end);
        if (!status_is_ok(point->status) || at_end) {
            break;
        }
        first = first == 0 ? entry.seq : first;
        last = entry.seq;
        is_end |= event_traits(entry.kind)->ends_run;
        point->time_ms = entry.seq == point->seq ? entry.time_ms : point->time_ms;
    }
    point->is_exact = last == point->seq && !is_end;
    point->nearest = last < point->seq && !is_end ? last : first - (first > 0);
    return false;
}

status point_find(struct partition *partition, uuid run, struct point *ret)
{
    char key[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    TRY(store_scan(&partition->store, STORE_JOURNAL, key_run(key, space, run),
                   key_journal(from, space, run, ret->seq), true, 1, visit_point, ret));
    return ret->status;
}

/* How the run was there, where little has to be read for it. False: it is not known. */

struct last_good {
    struct partition *partition;
    uint32_t seq;
    status status;
};

static bool is_bad(const struct event *event)
{
    return event->kind == EVENT_RUN_FAILED || event->kind == EVENT_WITHDRAWN ||
           event->kind == EVENT_STEP_TRIED ||
           (event->kind == EVENT_MODEL_FAILED && event->model_failed.retry_at_ms == 0) ||
           (event->kind == EVENT_TASK_SETTLED && event->task_settled.outcome.failed) ||
           (event->kind == EVENT_STEP_SETTLED && event->step_settled.outcome.failed) ||
           (event->kind == EVENT_WAIT_SETTLED && event->wait_settled.outcome.failed);
}

/* From the newest record back: the first that is no part of the failure. */
static bool visit_back(void *context, str key, str value)
{
    (void)key;
    struct last_good *good = context;
    size_t cursor = 0;
    bool bad = false;
    uint32_t last = 0;
    for (;;) {
        struct codec_entry entry;
        struct event event;
        bool at_end;
        good->status = codec_next(value, &cursor, &entry, &at_end);
        if (!status_is_ok(good->status)) {
            return false;
        }
        if (at_end) {
            break;
        }
        good->status = codec_decode(&entry, &good->partition->round_arena, &event);
        if (!status_is_ok(good->status)) {
            return false;
        }
        bad |= is_bad(&event);
        last = entry.seq;
    }
    good->seq = bad ? 0 : last;
    return bad;
}

status point_last_good(struct partition *partition, uuid run, uint32_t *ret)
{
    char key[KEY_BYTES_MAX];
    struct last_good good = {.partition = partition};
    TRY(store_scan(&partition->store, STORE_JOURNAL, key_run(key, partition->options.space, run),
                   STR_EMPTY, true, SIZE_MAX, visit_back, &good));
    *ret = good.seq;
    return good.status;
}
