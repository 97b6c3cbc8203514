#include "service/reads/list.h"

#include "service/base/code_version.h"
#include "service/codec/run_index.h"
#include "service/codec/tree_rows.h"

enum {
    CLOCK_AHEAD_MS = 60000, /* That an id's time may be later than its run's start. */
    PART = 128, /* Candidates of an index that are taken at once. */
    STRANGERS_MAX = 128, /* Rows walked over for nothing, in a page. */
};

/* Where the candidates of a page stand, newest last. */
struct place {
    enum store_table table;
    char prefix_bytes[KEY_BYTES_MAX];
    str prefix;
    bool has_row; /* A candidate's value is its row. */
    bool is_of_tree; /* They are all of the tree that is asked for. */
};

struct listing {
    struct list_read *list;
    const struct reads_source *source;
    const struct place *place;
    struct arena scratch; /* Of one candidate. */
    bool is_built[RUN_INDEX_SETS]; /* Every run has its rows of the set. */
    size_t examined;
    uuid last; /* Examined. */
    uuid after; /* Where the part at hand begins; zero: at the newest. */
    bool is_full;
    status status;
    /* By an index: */
    uuid ids[PART]; /* The candidates of a part. */
    size_t id_count;
    bool has_more; /* Others follow them. */
    size_t met; /* Those that were looked at. */
    size_t strangers; /* Runs between them that are none. */
};

/* ---- Where to look. ---- */

static void by_value(struct place *place, const struct reads_source *source, enum run_by by,
                     str value)
{
    struct index_tail tail = run_index_prefix(by, value);
    place->table = STORE_INDEX;
    place->prefix = key_index(place->prefix_bytes, source->space, INDEX_RUN, index_tail_str(&tail));
}

static void by_byte(struct place *place, const struct reads_source *source, enum run_by by,
                    uint32_t value)
{
    char byte = (char)value;
    by_value(place, source, by, str_make(&byte, 1));
}

static void by_parent(struct place *place, const struct reads_source *source, uuid parent)
{
    struct index_tail tail = child_rows_of(parent);
    place->table = STORE_INDEX;
    place->prefix =
        key_index(place->prefix_bytes, source->space, INDEX_CHILD, index_tail_str(&tail));
}

static void among_all(struct place *place, const struct reads_source *source,
                      enum store_table table)
{
    place->table = table;
    place->has_row = true;
    place->prefix = key_prefix_space(place->prefix_bytes, source->space);
}

/* Whether every run has its rows: a store of an older release gets them after its start. */
static status index_is_complete(const struct reads_source *source, enum run_index_set set,
                                struct arena *arena, bool *ret)
{
    char key[KEY_BYTES_MAX];
    str bytes;
    struct run_index_built built;
    *ret = false;
    status found = store_get(&source->store, STORE_INDEX,
                             key_index(key, source->space, run_index_built_kind(set), STR_EMPTY),
                             arena, &bytes);
    if (found.code == CODE_NOT_FOUND) {
        return STATUS_OK;
    }
    TRY(found);
    TRY(run_index_built_decode(bytes, &built));
    *ret = built.is_complete;
    return STATUS_OK;
}

/* 0: they are none, or several. */
static uint32_t only_status(uint32_t statuses)
{
    for (uint32_t one = RUN_STATUS_RUNNING; one <= RUN_STATUS_UNREADABLE; one++) {
        if (statuses == 1u << one) {
            return one;
        }
    }
    return 0;
}

static str root_bytes(const struct run_filter *filter)
{
    return str_make((const char *)filter->root.bytes, sizeof(filter->root.bytes));
}

/* By what callers gave a run, and few runs share. False: there is no such value, or no rows. */
static bool choose_few(struct place *place, const struct listing *listing)
{
    const struct reads_source *source = listing->source;
    const struct run_filter *filter = &listing->list->filter;
    bool is_indexed = listing->is_built[RUN_INDEX_FIRST];
    bool has_trees = listing->is_built[RUN_INDEX_TREES];
    const struct {
        enum run_by by;
        str value;
        bool is_there;
    } few[] = {
        {RUN_BY_CONVERSATION, filter->conversation_id, is_indexed},
        {RUN_BY_TREE, uuid_is_zero(filter->root) ? STR_EMPTY : root_bytes(filter), has_trees},
        {RUN_BY_SESSION, filter->session_id, is_indexed},
        {RUN_BY_USER, filter->user_id, is_indexed},
        {RUN_BY_SCHEDULE, filter->schedule_id, has_trees},
    };
    for (size_t i = 0; i < COUNT_OF(few); i++) {
        if (few[i].is_there && few[i].value.len > 0) {
            by_value(place, source, few[i].by, few[i].value);
            place->is_of_tree = few[i].by == RUN_BY_TREE;
            return true;
        }
    }
    return false;
}

/* The narrowest, by what such values are like: few runs share a conversation, many a name. */
static void choose(struct place *place, const struct listing *listing)
{
    const struct reads_source *source = listing->source;
    const struct run_filter *filter = &listing->list->filter;
    bool is_indexed = listing->is_built[RUN_INDEX_FIRST];
    const uint32_t living = 1u << RUN_STATUS_RUNNING | 1u << RUN_STATUS_WAITING;
    bool lives = filter->statuses != 0 && (filter->statuses & ~living) == 0;
    uint32_t ended = lives ? 0 : only_status(filter->statuses);
    if (!uuid_is_zero(filter->parent)) {
        by_parent(place, source, filter->parent);
    } else if (choose_few(place, listing)) {
        return;
    } else if (lives) {
        among_all(place, source, STORE_ACTIVE);
    } else if (is_indexed && ended > RUN_STATUS_COMPLETED) {
        by_byte(place, source, RUN_BY_END, ended);
    } else if (is_indexed && filter->name.len > 0) {
        by_value(place, source, RUN_BY_NAME, filter->name);
    } else if (is_indexed && ended >= RUN_STATUS_COMPLETED) {
        by_byte(place, source, RUN_BY_END, ended);
    } else if (is_indexed && filter->kind != RUN_KIND_NONE) {
        by_byte(place, source, RUN_BY_KIND, (uint32_t)filter->kind);
    } else if (listing->is_built[RUN_INDEX_TREES] && filter->only_roots) {
        by_byte(place, source, RUN_BY_ROOTS, 1);
    } else {
        among_all(place, source, STORE_RUNS);
    }
}

/* ---- What fits. ---- */

static bool fits_row(const struct run_filter *filter, const struct run_row_line *row)
{
    bool kind = filter->kind == RUN_KIND_NONE || filter->kind == row->kind;
    bool standing = filter->statuses == 0 || (filter->statuses & 1u << row->status) != 0;
    bool name = filter->name.len == 0 || str_is(filter->name, row->name);
    bool stays = filter->deployment.len == 0 ||
                 code_version_shares_deployment(code_version_make(filter->deployment, STR_EMPTY),
                                                row->deployment);
    bool after = row->created_ms >= filter->created_after_ms;
    bool before = filter->created_before_ms == 0 || row->created_ms < filter->created_before_ms;
    return kind && standing && name && stays && after && before;
}

static bool has_labels(const struct run_filter *filter)
{
    return filter->session_id.len > 0 || filter->user_id.len > 0 ||
           filter->conversation_id.len > 0 || filter->schedule_id.len > 0;
}

static bool is_label(str wanted, str label)
{
    return wanted.len == 0 || str_equal(wanted, label);
}

/* Whether it has the row; ids and what the server says need no other proof. */
static status has_row(struct listing *listing, enum run_by by, str value, uuid run, bool *ret)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = run_index_tail(by, value, run);
    str empty;
    status found =
        store_get(&listing->source->store, STORE_INDEX,
                  key_index(key, listing->source->space, INDEX_RUN, index_tail_str(&tail)),
                  &listing->scratch, &empty);
    *ret = status_is_ok(found);
    return found.code == CODE_NOT_FOUND ? STATUS_OK : found;
}

/* Where it stands in its tree, by rows: they are smaller than first facts. */
static status fits_place(struct listing *listing, uuid run, bool *ret)
{
    const struct run_filter *filter = &listing->list->filter;
    const struct place *place = listing->place;
    *ret = true;
    if (!listing->is_built[RUN_INDEX_TREES]) {
        return STATUS_OK; /* The first fact says it. */
    }
    bool is_named = uuid_equal(filter->root, run); /* It may be none. */
    if (!uuid_is_zero(filter->root) && !place->is_of_tree && !is_named) {
        TRY(has_row(listing, RUN_BY_TREE, root_bytes(filter), run, ret));
    }
    if (*ret && (filter->only_roots || is_named)) {
        TRY(has_row(listing, RUN_BY_ROOTS, STR("\x01"), run, ret));
    }
    return STATUS_OK;
}

static bool is_placed(const struct run_filter *filter, uuid run, const struct run_spec *spec)
{
    bool is_root = uuid_is_zero(spec->parent);
    return (!filter->only_roots || is_root) &&
           (uuid_is_zero(filter->root) || uuid_equal(filter->root, is_root ? run : spec->root));
}

/* By its first fact: a hash proves nothing. */
static status fits_first(struct listing *listing, uuid run, bool *ret)
{
    const struct run_filter *filter = &listing->list->filter;
    struct event event;
    char key[KEY_BYTES_MAX];
    str record;
    bool asks_place = !uuid_is_zero(filter->root) || filter->only_roots;
    *ret = !has_labels(filter) && (!asks_place || listing->is_built[RUN_INDEX_TREES]);
    if (*ret) {
        return STATUS_OK;
    }
    TRY(store_get(&listing->source->store, STORE_JOURNAL,
                  key_journal(key, listing->source->space, run, 1), &listing->scratch, &record));
    TRY(codec_decode_start(record, &listing->scratch, &event));
    const struct run_spec *spec = &event.run_started.spec;
    const struct start_options *options = &spec->options;
    str schedule = spec->cause == START_CAUSE_SCHEDULE ? spec->started_by : STR_EMPTY;
    *ret = is_placed(filter, run, spec) && is_label(filter->schedule_id, schedule) &&
           is_label(filter->session_id, options->session_id) &&
           is_label(filter->user_id, options->user_id) &&
           is_label(filter->conversation_id, options->conversation_id);
    return STATUS_OK;
}

static bool cannot_be_read(status why)
{
    return why.code == CODE_DATA_LOSS || why.code == CODE_FAILED_PRECONDITION;
}

static void note_unreadable(struct listing *listing, struct run_line *line, status row)
{
    const char *why = row.why;
    line->unreadable = STR_EMPTY;
    if (!status_is_ok(row)) {
        line->row = (struct run_row_line){.created_ms = uuid_time_ms(line->id)};
    }
    if (apart_find(listing->source->apart, line->id, &why) || !status_is_ok(row)) {
        line->row.status = RUN_STATUS_UNREADABLE;
        line->unreadable = arena_copy(&listing->list->read.arena, str_of(why));
    }
}

static status examine(struct listing *listing, uuid run, str row)
{
    struct list_read *list = listing->list;
    struct run_line *line = &list->ret_lines[list->ret_count];
    bool fits = false;
    assert(list->ret_count < list->limit);
    status read = codec_decode_row_line(row, &line->row);
    TRY(cannot_be_read(read) ? STATUS_OK : read);
    line->id = run;
    note_unreadable(listing, line, read);
    if (fits_row(&list->filter, &line->row)) {
        read = fits_place(listing, run, &fits);
        read = status_is_ok(read) && fits ? fits_first(listing, run, &fits) : read;
        TRY(cannot_be_read(read) ? STATUS_OK : read); /* Then it does not fit. */
    }
    list->ret_count += fits;
    arena_reset(&listing->scratch);
    return STATUS_OK;
}

/* One more candidate. False: the page has no room for it. */
static bool take(struct listing *listing, uuid run)
{
    if (listing->list->ret_count == listing->list->limit ||
        listing->examined == listing->source->page_rows) {
        listing->is_full = true;
        return false;
    }
    listing->examined++;
    listing->last = run;
    return true;
}

/* ---- Among all: a candidate's value is its row. ---- */

/* False: no more are wanted. *ret_passed true: it is not looked at. */
static bool next_candidate(struct listing *listing, str key, uuid *ret, bool *ret_passed)
{
    *ret_passed = false;
    if (key.len < sizeof(ret->bytes)) {
        listing->status = status_make(CODE_DATA_LOSS, "a key in the list of runs is damaged");
        return false;
    }
    memcpy(ret->bytes, key.ptr + key.len - sizeof(ret->bytes), sizeof(ret->bytes));
    *ret_passed = uuid_equal(*ret, listing->after); /* Where the part before ended. */
    return uuid_time_ms(*ret) >= listing->list->filter.created_after_ms;
}

static bool visit_row(void *context, str key, str value)
{
    struct listing *listing = context;
    uuid run;
    bool is_passed;
    if (!next_candidate(listing, key, &run, &is_passed)) {
        return false; /* All that follow are older. */
    }
    if (is_passed) {
        return true;
    }
    if (!take(listing, run)) {
        return false;
    }
    listing->status = examine(listing, run, value);
    return status_is_ok(listing->status);
}

/* ---- By an index: the candidates of a part first, then their rows. ---- */

static bool visit_candidate(void *context, str key, str value)
{
    struct listing *listing = context;
    uuid run;
    bool is_passed;
    (void)value;
    if (!next_candidate(listing, key, &run, &is_passed)) {
        return false;
    }
    if (is_passed) {
        return true;
    }
    listing->has_more = listing->id_count == PART;
    if (!listing->has_more) {
        listing->ids[listing->id_count++] = run;
    }
    return !listing->has_more;
}

static bool is_older(uuid a, uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) < 0;
}

/* Rows and candidates stand in the same order, so that one walk meets both. */
static bool visit_meeting(void *context, str key, str value)
{
    struct listing *listing = context;
    uuid run;
    if (!key_read_run(key, &run)) {
        listing->status = status_make(CODE_DATA_LOSS, "a key in the list of runs is damaged");
        return false;
    }
    while (listing->met < listing->id_count && is_older(run, listing->ids[listing->met])) {
        listing->met++; /* Its row is there no more. */
    }
    if (listing->met == listing->id_count) {
        return false;
    }
    if (!uuid_equal(run, listing->ids[listing->met])) {
        return ++listing->strangers < STRANGERS_MAX;
    }
    if (!take(listing, run)) {
        return false;
    }
    listing->met++;
    listing->status = examine(listing, run, value);
    return status_is_ok(listing->status);
}

/* Where others lie between them each is looked for by itself. */
static status examine_alone(struct listing *listing, uuid run)
{
    char key[KEY_BYTES_MAX];
    str row;
    status found = store_get(&listing->source->store, STORE_RUNS,
                             key_run(key, listing->source->space, run), &listing->scratch, &row);
    if (found.code == CODE_NOT_FOUND) {
        return STATUS_OK;
    }
    TRY(found);
    return examine(listing, run, row);
}

static status examine_part(struct listing *listing)
{
    const struct reads_source *source = listing->source;
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    listing->met = 0;
    if (listing->strangers < STRANGERS_MAX && listing->id_count > 0) {
        TRY(store_scan(&source->store, STORE_RUNS, key_prefix_space(prefix, source->space),
                       key_run(from, source->space, listing->ids[0]), true, SIZE_MAX, visit_meeting,
                       listing));
        TRY(listing->status);
    }
    while (listing->met < listing->id_count && take(listing, listing->ids[listing->met])) {
        TRY(examine_alone(listing, listing->ids[listing->met++]));
    }
    return STATUS_OK;
}

/* ---- The page. ---- */

/* The newest key wanted; empty: from the newest there is. */
static str first_key(const struct listing *listing, char ret[KEY_BYTES_MAX])
{
    const struct place *place = listing->place;
    uint64_t before_ms = listing->list->filter.created_before_ms;
    uuid from = listing->after;
    if (uuid_is_zero(from) && before_ms != 0) {
        static const uint8_t most[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
        from = uuid_v7(before_ms + CLOCK_AHEAD_MS, most);
    }
    if (uuid_is_zero(from)) {
        return STR_EMPTY;
    }
    assert(place->prefix.len + sizeof(from.bytes) <= KEY_BYTES_MAX);
    memcpy(ret, place->prefix.ptr, place->prefix.len);
    memcpy(ret + place->prefix.len, from.bytes, sizeof(from.bytes));
    return str_make(ret, place->prefix.len + sizeof(from.bytes));
}

static status scan(struct listing *listing, store_visit *each)
{
    const struct place *place = listing->place;
    char from[KEY_BYTES_MAX];
    TRY(store_scan(&listing->source->store, place->table, place->prefix, first_key(listing, from),
                   true, SIZE_MAX, each, listing));
    return listing->status;
}

/* Without a row: of a tree that has only its root. The pages before may have been taken of all
 * runs, when there were no such rows yet. */
static status look_up_root(struct listing *listing)
{
    uuid root = listing->list->filter.root;
    uuid before = listing->list->before;
    bool is_shown =
        !uuid_is_zero(before) && memcmp(root.bytes, before.bytes, sizeof(root.bytes)) >= 0;
    assert(listing->place->is_of_tree && !uuid_is_zero(root));
    return !is_shown && take(listing, root) ? examine_alone(listing, root) : STATUS_OK;
}

static status look_up(struct listing *listing)
{
    if (listing->place->has_row) {
        return scan(listing, visit_row);
    }
    if (listing->place->is_of_tree && listing->list->filter.only_roots) {
        return look_up_root(listing);
    }
    do {
        listing->id_count = 0;
        listing->has_more = false;
        TRY(scan(listing, visit_candidate));
        TRY(examine_part(listing));
        listing->after = listing->last;
    } while (listing->has_more && !listing->is_full);
    bool is_bare = listing->place->is_of_tree && listing->examined == 0;
    return is_bare ? look_up_root(listing) : STATUS_OK;
}

static status is_below(struct listing *listing, uuid run, bool *ret)
{
    char key[KEY_BYTES_MAX];
    uuid parent = listing->list->filter.parent;
    struct index_tail tail = child_row_tail(parent, run);
    str empty;
    *ret = true;
    if (uuid_is_zero(parent)) {
        return STATUS_OK;
    }
    status found =
        store_get(&listing->source->store, STORE_INDEX,
                  key_index(key, listing->source->space, INDEX_CHILD, index_tail_str(&tail)),
                  &listing->scratch, &empty);
    *ret = status_is_ok(found);
    return found.code == CODE_NOT_FOUND ? STATUS_OK : found;
}

/* Those that are set apart: they stand nowhere else. */
static status list_apart(struct listing *listing)
{
    uuid run = listing->after;
    while (apart_before(listing->source->apart, run, &run) && take(listing, run)) {
        bool is_wanted;
        TRY(is_below(listing, run, &is_wanted));
        if (is_wanted) {
            TRY(examine_alone(listing, run));
        }
    }
    return STATUS_OK;
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct list_read *list = list_read(read);
    struct place place = {.has_row = false};
    struct listing listing = {
        .list = list, .source = source, .place = &place, .after = list->before};
    assert(list->limit > 0);
    *ret_over = true;
    for (enum run_index_set set = 0; set < RUN_INDEX_SETS; set++) {
        TRY(index_is_complete(source, set, &read->arena, &listing.is_built[set]));
    }
    bool is_apart = list->filter.statuses == 1u << RUN_STATUS_UNREADABLE;
    if (!is_apart) {
        choose(&place, &listing);
    }
    list->ret_lines = arena_zalloc(&read->arena, (list->limit + 1) * sizeof(list->ret_lines[0]));
    arena_init(&listing.scratch, 0);
    status looked = is_apart ? list_apart(&listing) : look_up(&listing);
    arena_fini(&listing.scratch);
    TRY(looked);
    list->ret_next = listing.is_full ? listing.last : (uuid){{0}};
    return STATUS_OK;
}

const struct read_kind list_kind = {
    .name = "list",
    .read_bytes = sizeof(struct list_read),
    .step = step,
};
