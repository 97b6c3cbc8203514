#include "service/reads/tree_replay.h"

#include "service/codec/owed_row.h"
#include "service/reads/journal_page.h"

/* Smaller than other pages: many may follow one tree. */
enum {
    PAGE_BYTES = 128 << 10,
    PAGE_ROWS = 256,
};

/* What is known of the tree before a page: all facts up to `total` are in it. */
struct tree_state {
    uint64_t total;
    bool is_alone; /* The root has no runs below it. */
    bool has_ended;
};

/* ---- What there is. ---- */

static status read_run_row(const struct reads_source *source, uuid run, struct run_row *ret)
{
    char key[KEY_BYTES_MAX];
    struct arena arena;
    str bytes;
    arena_init_bounded(&arena, READ_ARENA_BYTES_MAX);
    status found =
        store_get(&source->store, STORE_RUNS, key_run(key, source->space, run), &arena, &bytes);
    found = status_is_ok(found) ? codec_decode_row(bytes, ret) : found;
    arena_fini(&arena);
    return found;
}

/* Runs below the root that have not ended. */
static status read_live(const struct reads_source *source, uuid root, uint64_t *ret)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = tree_row_tail(root);
    struct tree_row row = {.live = 0};
    struct arena arena;
    str bytes;
    arena_init_bounded(&arena, READ_ARENA_BYTES_MAX);
    status found =
        store_get(&source->store, STORE_INDEX,
                  key_index(key, source->space, INDEX_TREE, index_tail_str(&tail)), &arena, &bytes);
    if (status_is_ok(found)) {
        found = tree_row_decode(bytes, &row);
    } else if (found.code == CODE_NOT_FOUND) {
        found = STATUS_OK;
    }
    arena_fini(&arena);
    *ret = row.live;
    return found;
}

struct rows {
    struct tree_facts *facts;
    size_t count;
    size_t max;
    status status;
};

static bool visit_row(void *context, str key, str value)
{
    struct rows *rows = context;
    str tail;
    rows->status = key_read_index(key, &tail)
                       ? tree_facts_decode(tail, value, &rows->facts[rows->count])
                       : status_make(CODE_DATA_LOSS, "order of a tree: a key is damaged");
    rows->count += status_is_ok(rows->status);
    return status_is_ok(rows->status) && rows->count < rows->max;
}

/* From the row that begins with `number`, or the last one before it; 0: from the last of all. */
static status read_rows(const struct reads_source *source, uuid root, uint64_t number,
                        bool backwards, struct rows *rows)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct index_tail all = tree_facts_of(root);
    struct index_tail tail = number == 0 ? all : tree_facts_tail(root, number);
    str from_key = key_index(from, source->space, INDEX_TREE_FACTS, index_tail_str(&tail));
    rows->count = 0;
    TRY(store_scan(&source->store, STORE_INDEX,
                   key_index(prefix, source->space, INDEX_TREE_FACTS, index_tail_str(&all)),
                   number == 0 ? STR_EMPTY : from_key, backwards, rows->max, visit_row, rows));
    return rows->status;
}

struct last {
    uint32_t seq;
    status status;
};

static bool visit_last(void *context, str key, str record)
{
    struct last *last = context;
    size_t cursor = 0;
    struct codec_entry entry;
    bool at_end = false;
    (void)key;
    while (status_is_ok(last->status = codec_next(record, &cursor, &entry, &at_end)) && !at_end) {
        last->seq = entry.seq;
    }
    return false;
}

/* The seq of the run's last fact; its row may lag behind. */
static status read_last(const struct reads_source *source, uuid run, uint32_t *ret)
{
    char prefix[KEY_BYTES_MAX];
    struct last last = {.status = STATUS_OK};
    TRY(store_scan(&source->store, STORE_JOURNAL, key_run(prefix, source->space, run), STR_EMPTY,
                   true, 1, visit_last, &last));
    *ret = last.seq;
    return last.status;
}

/*
 * In this order: what has ended by its row has no facts after those that are read then; and a root
 * that has no rows after its own was read has none of those facts behind its first child.
 */
static status read_state(const struct reads_source *source, uuid root, struct tree_state *ret)
{
    struct run_row row = {.status = RUN_STATUS_WAITING};
    struct tree_facts last = {.number = 0};
    struct rows rows = {.facts = &last, .max = 1};
    uint64_t live;
    uint32_t last_seq;
    TRY(read_run_row(source, root, &row));
    TRY(read_live(source, root, &live));
    TRY(read_last(source, root, &last_seq));
    TRY(read_rows(source, root, 0, true, &rows));
    ret->is_alone = rows.count == 0;
    ret->total = ret->is_alone ? last_seq : last.number + last.count - 1;
    ret->has_ended = row.status > RUN_STATUS_WAITING && live == 0;
    return STATUS_OK;
}

/* ---- Whether it can be followed. ---- */

struct beginning {
    struct arena arena;
    struct event event;
};

static status visit_start(void *context, uint32_t seq, str record, bool *ret_enough)
{
    struct beginning *beginning = context;
    size_t cursor = 0;
    struct codec_entry entry;
    bool at_end;
    *ret_enough = true;
    TRY(codec_next(record, &cursor, &entry, &at_end));
    if (at_end || seq != 1 || entry.kind != EVENT_RUN_STARTED) {
        return status_make(CODE_DATA_LOSS, "the journal does not begin with a start");
    }
    return codec_decode(&entry, &beginning->arena, &beginning->event);
}

static void refuse(struct tree_replay *replay, enum code code, enum reason reason, str message)
{
    replay->ret_failure = failure_make(code, reason, message);
    replay->ret_failure.field = STR("run_id");
}

static void judge(struct tree_replay *replay, const struct run_spec *spec)
{
    char root[UUID_TEXT_BYTES];
    if (!uuid_is_zero(spec->parent)) {
        uuid_format(spec->root, root);
        refuse(replay, CODE_FAILED_PRECONDITION, REASON_RUN_NOT_ROOT,
               arena_printf(&replay->read.arena,
                            "the run is below run %s; watch the tree of that one, or this run "
                            "alone",
                            root));
    } else if (!spec->has_order) {
        refuse(replay, CODE_FAILED_PRECONDITION, REASON_TREE_NOT_ORDERED,
               STR("the run was started by a release that kept no order of its tree; watch its "
                   "runs one by one"));
    }
}

static status begin(struct tree_replay *replay, const struct reads_source *source,
                    const struct tree_state *state)
{
    struct beginning beginning = {.event = {.kind = EVENT_NONE}};
    uint32_t next;
    arena_init_bounded(&beginning.arena, READ_ARENA_BYTES_MAX);
    status read = journal_page(source, replay->read.run, 1, false, visit_start, &beginning, &next);
    if (status_is_ok(read) && beginning.event.kind != EVENT_RUN_STARTED) {
        read = status_make(CODE_DATA_LOSS, "the journal is empty");
    }
    if (status_is_ok(read)) {
        judge(replay, &beginning.event.run_started.spec);
    }
    arena_fini(&beginning.arena);
    TRY(read);
    replay->has_begun = true;
    if (!failure_happened(&replay->ret_failure) && replay->number > state->total) {
        return status_make(CODE_OUT_OF_RANGE, "the position lies after the tree's last fact; it is "
                                              "another run's");
    }
    return STATUS_OK;
}

/* ---- What is shown. ---- */

struct showing {
    struct tree_replay *replay;
    const struct tree_facts *facts; /* Of which the next to be shown is one. */
    struct arena scratch; /* Of one record. */
    size_t bytes_left;
    bool is_full; /* The page. */
};

static uint64_t last_of(const struct tree_facts *facts)
{
    return facts->number + facts->count - 1;
}

static status show_entry(struct showing *showing, const struct codec_entry *entry)
{
    struct tree_replay *replay = showing->replay;
    const struct tree_facts *facts = showing->facts;
    uint64_t number = facts->number + (entry->seq - facts->first_seq);
    struct event event;
    if (number != replay->number + 1) {
        return status_make(CODE_DATA_LOSS, "the run's journal has a gap");
    }
    TRY(codec_decode(entry, &showing->scratch, &event));
    TRY(arena_check(&showing->scratch));
    replay->number = number;
    replay->ret_full = !replay->show(replay, facts->run, number, entry, &event);
    return STATUS_OK;
}

static status show_record(void *context, uint32_t seq, str record, bool *ret_enough)
{
    struct showing *showing = context;
    struct tree_replay *replay = showing->replay;
    size_t cursor = 0;
    (void)seq;
    arena_reset(&showing->scratch);
    while (!replay->ret_full && replay->number < last_of(showing->facts)) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            break;
        }
        uint64_t passed = replay->number + 1 - showing->facts->number;
        if (entry.seq >= showing->facts->first_seq + passed) {
            TRY(show_entry(showing, &entry));
        }
    }
    showing->is_full = record.len >= showing->bytes_left;
    showing->bytes_left -= showing->is_full ? showing->bytes_left : record.len;
    *ret_enough = replay->ret_full || showing->is_full || replay->number == last_of(showing->facts);
    return STATUS_OK;
}

/* What is left of these facts, as far as the page has room. */
static status show_facts(struct showing *showing, const struct reads_source *source)
{
    const struct tree_facts *facts = showing->facts;
    struct tree_replay *replay = showing->replay;
    uint32_t seq = (uint32_t)(facts->first_seq + (replay->number + 1 - facts->number));
    uint32_t next;
    const char *why;
    assert(replay->number + 1 >= facts->number && replay->number < last_of(facts));
    if (apart_find(source->apart, facts->run, &why)) {
        return status_make(CODE_DATA_LOSS, why);
    }
    TRY(journal_record_start(source, facts->run, seq, &next));
    do {
        TRY(journal_page(source, facts->run, next, false, show_record, showing, &next));
    } while (next != 0);
    bool is_short = !replay->ret_full && !showing->is_full && replay->number < last_of(facts);
    return is_short ? status_make(CODE_DATA_LOSS, "facts are missing") : STATUS_OK;
}

/* One below that is gone is passed over; of another the sentence says which it is. */
static status judge_below(struct showing *showing, const struct reads_source *source, status why)
{
    struct tree_replay *replay = showing->replay;
    uuid run = showing->facts->run;
    char id[UUID_TEXT_BYTES];
    if (uuid_equal(run, replay->read.run)) {
        return why;
    }
    why = read_checked(source, run, why);
    if (why.code == CODE_NOT_FOUND) {
        replay->number = last_of(showing->facts);
        return STATUS_OK;
    }
    if (why.code == CODE_DATA_LOSS) {
        uuid_format(run, id);
        refuse(replay, CODE_DATA_LOSS, REASON_RUN_UNREADABLE,
               arena_printf(&replay->read.arena,
                            "run %s below it cannot be read and is set apart: %s; delete it, or "
                            "watch the others one by one",
                            id, why.why));
        return STATUS_OK;
    }
    return why;
}

static bool goes_on(const struct showing *showing)
{
    return !showing->replay->ret_full && !showing->is_full &&
           !failure_happened(&showing->replay->ret_failure);
}

static status show_rows(struct showing *showing, const struct reads_source *source,
                        const struct rows *rows)
{
    struct tree_replay *replay = showing->replay;
    for (size_t i = 0; i < rows->count && goes_on(showing); i++) {
        showing->facts = &rows->facts[i];
        if (last_of(showing->facts) <= replay->number) {
            continue;
        }
        if (showing->facts->number > replay->number + 1) {
            return status_make(CODE_DATA_LOSS, "the order of its tree has a gap");
        }
        status shown = show_facts(showing, source);
        if (!status_is_ok(shown)) {
            TRY(judge_below(showing, source, shown));
        }
    }
    return STATUS_OK;
}

static status show_ordered(struct showing *showing, const struct reads_source *source)
{
    struct tree_replay *replay = showing->replay;
    struct tree_facts facts[PAGE_ROWS];
    struct rows rows = {.facts = facts, .max = 1};
    TRY(read_rows(source, replay->read.run, replay->number + 1, true, &rows));
    if (rows.count == 0) {
        return status_make(CODE_DATA_LOSS, "the order of its tree has no beginning");
    }
    rows.max = source->page_rows < PAGE_ROWS ? source->page_rows : PAGE_ROWS;
    TRY(read_rows(source, replay->read.run, facts[0].number, false, &rows));
    return show_rows(showing, source, &rows);
}

static status show_page(struct tree_replay *replay, const struct reads_source *source,
                        const struct tree_state *state)
{
    struct showing showing = {.replay = replay};
    showing.bytes_left = source->page_bytes < PAGE_BYTES ? source->page_bytes : PAGE_BYTES;
    status shown;
    arena_init_bounded(&showing.scratch, READ_ARENA_BYTES_MAX);
    if (state->is_alone) {
        struct tree_facts all = {.number = 1, .run = replay->read.run, .first_seq = 1};
        all.count = (uint32_t)state->total;
        shown = show_rows(&showing, source, &(struct rows){.facts = &all, .count = 1});
    } else {
        shown = show_ordered(&showing, source);
    }
    arena_fini(&showing.scratch);
    return shown;
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct tree_replay *replay = tree_replay(read);
    struct tree_state state;
    const char *why;
    if (apart_find(source->apart, read->run, &why)) {
        return status_make(CODE_DATA_LOSS, why);
    }
    TRY(read_state(source, read->run, &state));
    if (!replay->has_begun) {
        TRY(begin(replay, source, &state));
    }
    if (!failure_happened(&replay->ret_failure) && replay->number < state.total) {
        TRY(show_page(replay, source, &state));
    }
    bool has_all = replay->number >= state.total && !replay->ret_full;
    replay->ret_ended = state.has_ended && has_all && !failure_happened(&replay->ret_failure);
    *ret_over = replay->ret_full || has_all || failure_happened(&replay->ret_failure);
    return STATUS_OK;
}

const struct read_kind tree_replay_kind = {
    .name = "tree_replay",
    .read_bytes = sizeof(struct tree_replay),
    .step = step,
    .is_patient = true,
};
