#include "service/reads/run_replay.h"

#include "service/reads/journal_page.h"

/* Smaller than other pages: many may follow one run. */
enum {
    PAGE_BYTES = 128 << 10,
};

struct showing {
    struct run_replay *replay;
    struct arena scratch; /* Of one record. */
    uint32_t last; /* Of the facts that were passed. */
};

static status show_entry(struct showing *showing, const struct codec_entry *entry)
{
    struct run_replay *replay = showing->replay;
    struct event event;
    if (entry->seq != replay->seq + 1) {
        return status_make(CODE_DATA_LOSS, "the run's journal has a gap");
    }
    TRY(codec_decode(entry, &showing->scratch, &event));
    TRY(arena_check(&showing->scratch));
    replay->seq = entry->seq;
    replay->ret_full = !replay->show(replay, entry, &event);
    return STATUS_OK;
}

static status show_record(void *context, uint32_t seq, str record, bool *ret_enough)
{
    struct showing *showing = context;
    struct run_replay *replay = showing->replay;
    size_t cursor = 0;
    (void)seq;
    arena_reset(&showing->scratch);
    while (!replay->ret_full) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            break;
        }
        showing->last = entry.seq;
        if (entry.seq > replay->seq) {
            TRY(show_entry(showing, &entry));
        }
    }
    *ret_enough = replay->ret_full;
    return STATUS_OK;
}

/* Whether the run has ended, and with which fact. Read before the page: a run that had not ended
 * then may have facts that the page does not hold. */
static status read_row(struct run_replay *replay, const struct reads_source *source,
                       uint32_t *ret_ended_seq)
{
    char key[KEY_BYTES_MAX];
    struct arena arena;
    struct run_row row = {.status = RUN_STATUS_WAITING};
    str bytes;
    arena_init_bounded(&arena, READ_ARENA_BYTES_MAX);
    status found = store_get(&source->store, STORE_RUNS,
                             key_run(key, source->space, replay->read.run), &arena, &bytes);
    if (status_is_ok(found)) {
        found = codec_decode_row(bytes, &row);
    }
    arena_fini(&arena);
    *ret_ended_seq = row.status > RUN_STATUS_WAITING ? row.last_seq : 0;
    return found;
}

static status show_page(struct run_replay *replay, const struct reads_source *source,
                        struct showing *showing)
{
    uuid run = replay->read.run;
    struct reads_source small = *source;
    bool is_first = replay->next == 0;
    small.page_bytes = source->page_bytes < PAGE_BYTES ? source->page_bytes : PAGE_BYTES;
    if (is_first) {
        TRY(journal_record_start(source, run, replay->seq + 1, &replay->next));
    }
    TRY(journal_page(&small, run, replay->next, false, show_record, showing, &replay->next));
    if (is_first && showing->last < replay->seq) {
        return status_make(CODE_OUT_OF_RANGE, "the position lies after the run's last event; it is "
                                              "another run's");
    }
    return STATUS_OK;
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct run_replay *replay = run_replay(read);
    struct showing showing = {.replay = replay};
    uint32_t ended_seq;
    const char *why;
    if (apart_find(source->apart, read->run, &why)) {
        return status_make(CODE_DATA_LOSS, why);
    }
    TRY(read_row(replay, source, &ended_seq));
    arena_init_bounded(&showing.scratch, READ_ARENA_BYTES_MAX);
    status shown = show_page(replay, source, &showing);
    arena_fini(&showing.scratch);
    TRY(shown);
    replay->ret_ended = ended_seq != 0 && replay->seq >= ended_seq && !replay->ret_full;
    *ret_over = replay->ret_full || replay->next == 0;
    return STATUS_OK;
}

const struct read_kind run_replay_kind = {
    .name = "run_replay",
    .read_bytes = sizeof(struct run_replay),
    .step = step,
    .is_patient = true,
};
