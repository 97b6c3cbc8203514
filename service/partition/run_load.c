/*
 * run_load: a run read from its snapshot and the journal's tail.
 */
#include "service/base/sys.h"
#include "service/partition/alarms.h"
#include "service/partition/runs.h"
#include "service/partition/seal.h"
#include "service/partition/state.h"
#include "service/partition/timers.h"
#include "service/partition/unread.h"

struct load {
    struct partition *partition;
    struct live_run *run;
    struct arena *arena;
    status status;
    bool found;
};

static status no_such_run(void)
{
    return status_make(CODE_NOT_FOUND, "there is no such run");
}

static status load_record(struct load *load, str record)
{
    struct run *state = &load->run->state;
    size_t cursor = 0;
    for (;;) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            return STATUS_OK;
        }
        if (entry.seq != state->seq + 1) {
            return status_make(CODE_DATA_LOSS, "the run's journal has a gap");
        }
        struct event event;
        TRY(codec_decode(&entry, load->arena, &event));
        if (engine_is_terminal(state)) {
            return status_make(CODE_DATA_LOSS, "the run's journal goes on after its end");
        }
        engine_apply(state, &event);
        if (event.kind == EVENT_RUN_STARTED) {
            runs_begun(load->partition, load->run, &event.run_started.spec);
        }
    }
}

static bool load_visit(void *context, str key, str value)
{
    (void)key;
    struct load *load = context;
    bool keeps = load->run->record_count == 0 || load->run->state.kind == RUN_KIND_AGENT ||
                 load->run->state.seq == 0;
    load->found = true;
    load->status = load_record(load, value);
    load->run->tail_bytes += value.len;
    load->run->history_bytes += value.len;
    if (keeps && status_is_ok(load->status)) {
        runs_keep_record(load->run, value);
    }
    arena_reset(load->arena);
    return status_is_ok(load->status);
}

/* Snapshot and tail; an agent's whole journal, since its next model call needs all of it. */
static status load_run(struct partition *partition, struct live_run *run)
{
    char key[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    uuid id = run->state.id;
    struct load load = {.partition = partition, .run = run, .arena = &partition->scratch};
    str prefix = key_run(key, space, id);
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix, STR_EMPTY, false, 1, load_visit,
                   &load));
    TRY(load.status);
    if (!load.found) {
        return no_such_run();
    }
    if (run->state.kind != RUN_KIND_AGENT) {
        str snapshot;
        status found =
            store_get(&partition->store, STORE_SNAPSHOTS, prefix, &partition->scratch, &snapshot);
        struct run state;
        uint64_t history_bytes;
        if (status_is_ok(found) &&
            status_is_ok(codec_decode_run(snapshot, &state, &history_bytes)) &&
            uuid_equal(state.id, id)) {
            run->state = state; /* A damaged one is passed over: the journal has it all. */
            run->snapshot_seq = state.seq;
            run->tail_bytes = 0;
            run->history_bytes = history_bytes;
        } else if (!status_is_ok(found) && found.code != CODE_NOT_FOUND) {
            return found;
        }
    }
    arena_reset(&partition->scratch);
    str start = key_journal(from, space, id, run->state.seq + 1);
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix, start, false, SIZE_MAX, load_visit,
                   &load));
    TRY(load.status);
    return uuid_equal(run->state.id, id)
               ? STATUS_OK
               : status_make(CODE_DATA_LOSS, "the run's journal is another run's");
}

static void note_loaded(struct partition *partition, struct live_run *run)
{
    features_tell(partition, run_loaded, run);
    seal_row(partition, run, &run->row);
    assert(run->state.seq > 0 && run->record_count > 0); /* Its journal has at least its start. */
    run->row_written = true;
    run->alarm_ms = alarm_of(&run->row);
    run->durable_seq = run->state.seq;
    timers_arm(partition->timers, run->state.id, run->row.next_deadline_ms);
}

/* What it was to be read for before was not done. */
static void make_up(struct partition *partition, struct live_run *run)
{
    if (unread_take(partition->runs.unread, run->state.id)) {
        run->was_unread = true;
        runs_recover_later(partition, run, partition->now_ms);
    }
}

static status note_unread(struct partition *partition, uuid id, status why)
{
    if (store_may_pass(why)) {
        unread_add(partition->runs.unread, id, partition->now_ms + READ_AGAIN_MS);
    } else {
        unread_take(partition->runs.unread, id);
    }
    return why;
}

static bool cannot_be_read(status why)
{
    return why.code == CODE_DATA_LOSS || why.code == CODE_FAILED_PRECONDITION;
}

status runs_set_apart(struct partition *partition, uuid id, status why)
{
    char text[UUID_TEXT_BYTES];
    assert(cannot_be_read(why) && runs_find(partition, id) == NULL);
    unread_take(partition->runs.unread, id);
    apart_add(partition->apart, id, why.why);
    uuid_format(id, text);
    log_line(LOG_ERROR, "run_unreadable", "run=%s why=\"%s\"; it is set apart", text, why.why);
    return status_make(CODE_DATA_LOSS, why.why);
}

static status not_loaded(struct partition *partition, uuid id, status why)
{
    if (!cannot_be_read(why)) {
        return note_unread(partition, id, why);
    }
    return runs_exist(partition, id)
               ? runs_set_apart(partition, id, why)
               : no_such_run(); /* Of one that was deleted the last is still to go. */
}

status runs_get(struct partition *partition, uuid id, struct live_run **ret)
{
    struct live_run *run = runs_find(partition, id);
    const char *why;
    if (partition->runs.forgotten_count > 0 && !runs_exist(partition, id)) {
        return no_such_run();
    }
    if (run == NULL && apart_find(partition->apart, id, &why)) {
        return status_make(CODE_DATA_LOSS, why);
    }
    if (run == NULL) {
        run = runs_insert(partition, id);
        status loaded = load_run(partition, run);
        arena_reset(&partition->scratch);
        if (!status_is_ok(loaded)) {
            run->state.id = id; /* Whatever the bytes said. */
            runs_drop(partition, run);
            return not_loaded(partition, id, loaded);
        }
        note_loaded(partition, run);
        assert(!run->is_touched && !run->needs_recovery);
        make_up(partition, run);
    }
    *ret = run;
    return STATUS_OK;
}
