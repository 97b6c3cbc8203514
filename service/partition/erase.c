/*
 * erase: a run is known by its row and by the first record of its journal; they go first, in one
 * batch with the rows that lead to it. What is left is found by its key alone.
 */
#include "service/partition/erase.h"

#include "service/codec/wait_rows.h"
#include "service/partition/alarms.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

enum {
    BUDGET_BYTES = 4 << 10, /* Of records that count as one run. */
    RECORD_BYTES = 64, /* What a deletion takes of the batch, and more. */
};

static status read_row(struct partition *partition, uuid run, struct run_row *ret)
{
    char key[KEY_BYTES_MAX];
    str bytes;
    TRY(store_get(&partition->store, STORE_RUNS, key_run(key, partition->options.space, run),
                  &partition->round_arena, &bytes));
    return codec_decode_row(bytes, ret);
}

static enum erasable may_loaded(struct partition *partition, const struct live_run *run)
{
    if (!engine_is_terminal(&run->state)) {
        return ERASABLE_NOT;
    }
    return runs_may_leave(partition, run) ? ERASABLE : ERASABLE_LATER;
}

/* Its row does not say that it has ended. */
static enum erasable may_unknown(struct partition *partition, uuid id)
{
    struct live_run *run;
    status read = runs_get(partition, id, &run);
    if (status_is_ok(read)) {
        return may_loaded(partition, run);
    }
    if (read.code == CODE_NOT_FOUND) {
        return ERASABLE_GONE;
    }
    return read.code == CODE_DATA_LOSS ? ERASABLE : ERASABLE_LATER;
}

enum erasable erase_may(struct partition *partition, uuid run)
{
    struct run_row row;
    const struct live_run *live = runs_find(partition, run);
    if (!runs_exist(partition, run)) {
        return ERASABLE_GONE;
    }
    if (live != NULL) {
        return may_loaded(partition, live);
    }
    bool has_ended = status_is_ok(read_row(partition, run, &row)) && row.ended_ms != 0;
    return has_ended ? ERASABLE : may_unknown(partition, run);
}

/* What cannot be read for now is not taken for what cannot be read at all: rows would be left. */
static status spoil_if_it_may_pass(struct partition *partition, status read)
{
    if (!status_is_ok(read) && store_may_pass(read)) {
        round_spoil(partition, read);
    }
    return read;
}

status erase_read_start(struct partition *partition, uuid run, struct arena *arena,
                        struct run_spec *ret)
{
    char key[KEY_BYTES_MAX];
    str record;
    struct event event;
    status read = store_get(&partition->store, STORE_JOURNAL,
                            key_journal(key, partition->options.space, run, 1), arena, &record);
    TRY(spoil_if_it_may_pass(partition, read));
    TRY(codec_decode_start(record, arena, &event));
    *ret = event.run_started.spec;
    return STATUS_OK;
}

static void delete_alarm(struct partition *partition, uuid run, const struct run_row *row)
{
    char key[KEY_BYTES_MAX];
    uint64_t due_ms = alarm_of(row);
    struct index_tail tail = alarm_row_tail(due_ms, run);
    if (due_ms != 0) {
        store_batch_delete(
            &partition->batch, STORE_INDEX,
            key_index(key, partition->options.space, INDEX_ALARM, index_tail_str(&tail)));
    }
}

void erase_begin(struct partition *partition, uuid run)
{
    static const enum store_table tables[] = {STORE_RUNS, STORE_ACTIVE, STORE_SNAPSHOTS};
    struct run_spec spec;
    struct run_row row;
    char key[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    bool has_spec = status_is_ok(erase_read_start(partition, run, &partition->round_arena, &spec));
    bool has_row = status_is_ok(spoil_if_it_may_pass(partition, read_row(partition, run, &row)));
    assert(!has_row || row.ended_ms != 0 || runs_find(partition, run) == NULL);
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        store_batch_delete(&partition->batch, tables[i], key_run(key, space, run));
    }
    store_batch_delete(&partition->batch, STORE_JOURNAL, key_journal(key, space, run, 1));
    if (has_row) {
        delete_alarm(partition, run, &row);
    }
    runs_forget(partition, run);
    features_tell(partition, run_deleted, run, has_spec ? &spec : NULL, has_row ? &row : NULL);
}

struct erasing {
    struct partition *partition;
    uuid run;
    size_t bytes;
    size_t bytes_max;
    uint32_t next; /* 0: none is left. */
};

static bool delete_record(void *context, str key, str value)
{
    struct erasing *erasing = context;
    char copy[KEY_BYTES_MAX];
    uint32_t seq;
    if (!key_read_journal_seq(key, &seq)) {
        return true;
    }
    if (erasing->bytes >= erasing->bytes_max) {
        erasing->next = seq;
        return false;
    }
    assert(seq > 0);
    erasing->bytes += RECORD_BYTES + value.len;
    store_batch_delete(&erasing->partition->batch, STORE_JOURNAL,
                       key_journal(copy, erasing->partition->options.space, erasing->run, seq));
    return true;
}

status erase_records(struct partition *partition, uuid run, uint32_t *seq, size_t *budget)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    struct erasing erasing = {.partition = partition, .run = run};
    assert(*budget > 0 && *seq > 0);
    erasing.bytes_max = *budget * BUDGET_BYTES;
    TRY(store_scan(&partition->store, STORE_JOURNAL, key_run(prefix, space, run),
                   key_journal(from, space, run, *seq), false, SIZE_MAX, delete_record, &erasing));
    size_t used = erasing.bytes / BUDGET_BYTES;
    *budget -= used < *budget ? used : *budget;
    *seq = erasing.next;
    return STATUS_OK;
}
