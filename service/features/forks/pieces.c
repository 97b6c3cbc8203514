#include "service/features/forks/pieces.h"

#include "service/codec/codec.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"

static_assert(COUNT_OF(((struct decision *)0)->events) == ENGINE_EVENTS_MAX,
              "what a record holds fits a decision");

static void rename_start(const struct piece *piece, struct event *event)
{
    assert(event->kind == EVENT_RUN_STARTED && !uuid_is_zero(piece->run->state.id));
    struct run_spec *spec = &event->run_started.spec;
    uint64_t begun_ms = piece->row->begun_ms;
    uint64_t timeout_ms = spec->deadline_ms == 0 ? 0 : spec->deadline_ms - event->time_ms;
    event->run_started.id = piece->run->state.id;
    event->time_ms = begun_ms;
    spec->deadline_ms = timeout_ms == 0 ? 0 : begun_ms + timeout_ms;
    spec->parent = (uuid){{0}};
    spec->parent_effect = 0;
    spec->depth = 0;
    spec->root = piece->run->state.id;
    spec->cause = piece->row->takes_children ? START_CAUSE_RETRY : START_CAUSE_FORK;
    spec->started_by = STR_EMPTY;
    spec->origin = piece->row->source;
    spec->has_order = true;
    spec->options.idempotency_key = STR_EMPTY;
}

/* The copy starts now, and the rest of it is as if it had happened just now: what was left of a
 * wait or a timeout there is left here. */
static void date(const struct piece *piece, struct event *event)
{
    if (event->kind == EVENT_RUN_STARTED) {
        rename_start(piece, event);
        return;
    }
    uint64_t *time_ms = event_time(event);
    event->time_ms += (uint64_t)piece->row->shift_ms;
    if (time_ms != NULL && *time_ms != 0) {
        *time_ms += (uint64_t)piece->row->shift_ms;
    }
}

/* The events that come after `seq`. What they hold lives in the record and the scratch arena. */
static status decode_record(struct partition *partition, str record, uint32_t seq,
                            struct decision *ret)
{
    size_t cursor = 0;
    ret->count = 0;
    for (;;) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            return ret->count > 0 ? STATUS_OK : status_make(CODE_DATA_LOSS, "a record is empty");
        }
        if (ret->count == ENGINE_EVENTS_MAX) {
            return status_make(CODE_DATA_LOSS, "a record has too many events");
        }
        if (entry.seq != ++seq) {
            return status_make(CODE_DATA_LOSS, "the run's journal has a gap");
        }
        TRY(codec_decode(&entry, &partition->scratch, &ret->events[ret->count]));
        ret->count++;
    }
}

static void take_events(struct piece *piece, struct decision *decision)
{
    if (piece->row == NULL) {
        for (size_t i = 0; i < decision->count; i++) {
            engine_apply(piece->state, &decision->events[i]);
        }
        return;
    }
    for (size_t i = 0; i < decision->count; i++) {
        date(piece, &decision->events[i]);
    }
    command_copy(piece->partition, piece->run, decision);
}

static bool take_record(void *context, str key, str value)
{
    (void)key;
    struct piece *piece = context;
    struct decision decision;
    uint32_t seq = piece->state->seq;
    assert(piece->records < piece->records_max && seq < piece->after_seq);
    arena_reset(&piece->partition->scratch);
    piece->status = decode_record(piece->partition, value, seq, &decision);
    if (status_is_ok(piece->status) && seq + decision.count > piece->after_seq) {
        piece->status = status_make(CODE_DATA_LOSS, "a record goes on after where it ended");
    }
    if (!status_is_ok(piece->status)) {
        return false;
    }
    take_events(piece, &decision);
    assert(piece->state->seq == seq + decision.count);
    piece->records++;
    piece->bytes += value.len;
    return piece->state->seq < piece->after_seq && piece->records < piece->records_max &&
           piece->bytes < piece->bytes_max;
}

status piece_take(struct piece *piece, uuid source)
{
    char key[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct partition *partition = piece->partition;
    struct key_space space = partition->options.space;
    TRY(store_scan(&partition->store, STORE_JOURNAL, key_run(key, space, source),
                   key_journal(from, space, source, piece->state->seq + 1), false, SIZE_MAX,
                   take_record, piece));
    TRY(piece->status);
    return piece->records > 0 ? STATUS_OK
                              : status_make(CODE_DATA_LOSS, "the journal lacks what it held");
}
