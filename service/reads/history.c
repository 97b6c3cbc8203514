#include "service/reads/history.h"

#include "service/base/array.h"
#include "service/reads/journal_page.h"

struct reading {
    struct history_read *history;
    str *records;
    size_t capacity;
    size_t count; /* Backwards: events that are wanted. */
};

/* How many of the record's events are wanted. */
static status count_events(const struct history_read *history, str record, size_t *ret)
{
    size_t cursor = 0;
    for (;;) {
        struct codec_entry entry;
        bool at_end = false;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            return STATUS_OK;
        }
        *ret += entry.seq > history->after_seq && entry.seq <= history->from_seq;
    }
}

static void keep(struct reading *reading, str record)
{
    struct history_read *history = reading->history;
    struct arena *arena = &history->read.arena;
    reading->records = array_reserve_in(arena, reading->records, &reading->capacity,
                                        history->ret_count + 1, sizeof(reading->records[0]));
    reading->records[history->ret_count++] = arena_copy(arena, record);
}

static status take_back(void *context, uint32_t seq, str record, bool *ret_enough)
{
    struct reading *reading = context;
    const struct history_read *history = reading->history;
    size_t count = reading->count;
    TRY(count_events(history, record, &reading->count));
    if (reading->count > count) {
        keep(reading, record);
    }
    *ret_enough = reading->count >= history->limit || seq <= history->after_seq + 1;
    return STATUS_OK;
}

static status take(void *context, uint32_t seq, str record, bool *ret_enough)
{
    struct reading *reading = context;
    struct history_read *history = reading->history;
    uint64_t end = (uint64_t)history->from_seq + history->limit;
    if (seq >= end) {
        history->ret_next = seq;
        *ret_enough = true;
        return STATUS_OK;
    }
    keep(reading, record);
    return STATUS_OK;
}

static status read_back(struct reading *reading, const struct reads_source *source)
{
    struct history_read *history = reading->history;
    uint32_t next;
    assert(history->after_seq < UINT32_MAX);
    return journal_page(source, history->read.run, history->from_seq, true, take_back, reading,
                        &next);
}

static status read_on(struct reading *reading, const struct reads_source *source)
{
    struct history_read *history = reading->history;
    uint32_t start;
    uint32_t next;
    TRY(journal_record_start(source, history->read.run, history->from_seq, &start));
    TRY(journal_page(source, history->read.run, start, false, take, reading, &next));
    history->ret_next = history->ret_next == 0 ? next : history->ret_next;
    return STATUS_OK;
}

/* There is such a run: what is left of one that was deleted is not shown. */
static status check_run(struct read *read, const struct reads_source *source)
{
    char key[KEY_BYTES_MAX];
    str row;
    return store_get(&source->store, STORE_RUNS, key_run(key, source->space, read->run),
                     &read->arena, &row);
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct history_read *history = history_read(read);
    struct reading reading = {.history = history};
    assert(history->from_seq > 0 && history->limit > 0);
    *ret_over = true;
    TRY(check_run(read, source));
    TRY(history->backwards ? read_back(&reading, source) : read_on(&reading, source));
    history->ret_records = reading.records;
    return STATUS_OK;
}

const struct read_kind history_kind = {
    .name = "history",
    .read_bytes = sizeof(struct history_read),
    .step = step,
};
