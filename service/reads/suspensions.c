#include "service/reads/suspensions.h"

#include "service/codec/wait_rows.h"
#include "service/reads/journal_page.h"

enum {
    LIST_BYTES_MAX = 2 << 20, /* Of what is listed; the one that passes it is the last. */
};

struct listing {
    struct suspensions_read *list;
    const struct reads_source *source;
    size_t rows;
    bool has_after; /* The row to begin after was not passed yet. */
    bool goes_on; /* This page is full. */
    status status;
};

/* One suspension in its run's journal. */
struct search {
    struct arena *arena;
    struct arena scratch;
    uint32_t effect;
    struct open_suspension *found;
    bool is_found;
};

static status look_at(struct search *search, const struct codec_entry *entry)
{
    struct event event;
    if (entry->kind != EVENT_WAIT_SET) {
        return STATUS_OK;
    }
    TRY(codec_decode(entry, &search->scratch, &event));
    if (event.effect == search->effect && event.wait_set.kind == EFFECT_SUSPENSION) {
        search->is_found = true;
        search->found->step_key = arena_copy(search->arena, event.wait_set.key);
        search->found->data = arena_copy(search->arena, event.wait_set.data);
        search->found->answer_schema = arena_copy(search->arena, event.wait_set.answer_schema);
        search->found->deadline_ms = event.wait_set.due_ms;
    }
    return STATUS_OK;
}

static status search_record(void *context, uint32_t seq, str record, bool *ret_enough)
{
    struct search *search = context;
    size_t cursor = 0;
    (void)seq;
    arena_reset(&search->scratch);
    for (;;) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            break;
        }
        TRY(look_at(search, &entry));
    }
    *ret_enough = search->is_found;
    return STATUS_OK;
}

/* From the record that holds `seq`, or any before it, backwards. */
static status search_back(const struct reads_source *source, uuid run, uint32_t seq,
                          struct search *search)
{
    arena_init(&search->scratch, 0);
    status searched = STATUS_OK;
    while (seq != 0 && status_is_ok(searched) && !search->is_found) {
        searched = journal_page(source, run, seq, true, search_record, search, &seq);
    }
    arena_fini(&search->scratch);
    return searched;
}

/* Whose it is: from the run's start. */
static status read_start(struct listing *listing, uuid run, struct open_suspension *ret)
{
    const struct reads_source *source = listing->source;
    struct arena *arena = &listing->list->read.arena;
    struct codec_entry entry;
    struct event event;
    size_t cursor = 0;
    bool at_end = true;
    char key[KEY_BYTES_MAX];
    str record;
    TRY(store_get(&source->store, STORE_JOURNAL, key_journal(key, source->space, run, 1), arena,
                  &record));
    TRY(codec_next(record, &cursor, &entry, &at_end));
    if (at_end || entry.kind != EVENT_RUN_STARTED) {
        return status_make(CODE_DATA_LOSS, "the run's journal does not begin with its start");
    }
    TRY(codec_decode(&entry, arena, &event));
    ret->name = event.run_started.spec.name;
    ret->root = event.run_started.spec.root;
    return STATUS_OK;
}

/* One that cannot be read is left out; where the store failed, all is asked again. */
static void add(struct listing *listing, const struct suspension_row *row, uint32_t seq)
{
    struct suspensions_read *list = listing->list;
    assert(list->ret_count < list->limit);
    struct open_suspension *found = &list->ret[list->ret_count];
    *found =
        (struct open_suspension){.run = row->run, .since_ms = row->since_ms, .effect = row->effect};
    struct search search = {.arena = &list->read.arena, .effect = row->effect, .found = found};
    status read = search_back(listing->source, row->run, seq, &search);
    if (status_is_ok(read) && search.is_found) {
        read = read_start(listing, row->run, found);
    }
    if (!status_is_ok(read) && store_may_pass(read)) {
        listing->status = read;
    } else if (search.is_found) {
        list->ret_count += status_is_ok(read);
        list->bytes += found->step_key.len + found->data.len + found->name.len;
        list->bytes += found->answer_schema.len;
    }
}

static bool visit(void *context, str key, str value)
{
    struct listing *listing = context;
    struct suspensions_read *list = listing->list;
    struct suspension_row row;
    str tail;
    if (!key_read_index(key, &tail) || !status_is_ok(suspension_row_decode(tail, &row))) {
        return true;
    }
    bool is_after = listing->has_after && row.since_ms == list->after_ms &&
                    row.effect == list->after_effect && uuid_equal(row.run, list->after_run);
    bool is_wanted = uuid_is_zero(list->read.run) || uuid_equal(list->read.run, row.run);
    if (is_after) {
        return true;
    }
    if (is_wanted && (list->ret_count == list->limit || list->bytes > LIST_BYTES_MAX)) {
        list->ret_more = true;
        return false;
    }
    if (listing->rows == listing->source->page_rows) {
        listing->goes_on = true;
        return false;
    }
    listing->rows++;
    if (is_wanted) {
        add(listing, &row, suspension_row_seq(value));
    }
    if (!status_is_ok(listing->status)) {
        return false;
    }
    list->after_ms = row.since_ms; /* Where the next page begins. */
    list->after_run = row.run;
    list->after_effect = row.effect;
    return true;
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct suspensions_read *list = suspensions_read(read);
    struct listing listing = {.list = list, .source = source, .has_after = list->after_ms != 0};
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct index_tail tail =
        suspension_row_tail(list->after_ms, list->after_run, list->after_effect);
    assert(list->limit > 0);
    if (list->ret == NULL) {
        list->ret = arena_alloc(&read->arena, list->limit * sizeof(list->ret[0]));
    }
    TRY(store_scan(
        &source->store, STORE_INDEX, key_index(prefix, source->space, INDEX_SUSPENSION, STR_EMPTY),
        listing.has_after ? key_index(from, source->space, INDEX_SUSPENSION, index_tail_str(&tail))
                          : STR_EMPTY,
        false, SIZE_MAX, visit, &listing));
    TRY(listing.status);
    *ret_over = !listing.goes_on;
    return STATUS_OK;
}

const struct read_kind suspensions_kind = {
    .name = "suspensions",
    .read_bytes = sizeof(struct suspensions_read),
    .step = step,
};
