#include "service/reads/topics.h"

#include "service/base/hash.h"
#include "service/codec/topic_rows.h"

enum {
    TOPICS_PER_PAGE = 128, /* Looked up in one step: each has two rows of its own. */
};

struct listing {
    struct topics_read *list;
    size_t rows;
    bool goes_on; /* This page is full. */
};

static bool visit_name(void *context, str key, str value)
{
    (void)value;
    struct listing *listing = context;
    struct topics_read *list = listing->list;
    str name;
    if (!key_read_index(key, &name) || str_equal(name, list->after)) {
        return true;
    }
    if (list->ret_count == list->limit) {
        list->ret_more = true;
        return false;
    }
    if (listing->rows == TOPICS_PER_PAGE) {
        listing->goes_on = true;
        return false;
    }
    listing->rows++;
    list->ret[list->ret_count++].name = arena_copy(&list->read.arena, name);
    return true;
}

struct newest {
    uint64_t sequence; /* 0: no event is there. */
    uint64_t created_ms;
    status status;
};

static bool visit_newest(void *context, str key, str value)
{
    struct newest *newest = context;
    struct topic_event event;
    bool is_event = key_read_topic_sequence(key, &newest->sequence) && newest->sequence > 0;
    if (is_event) {
        newest->status = topic_event_decode(value, newest->sequence, &event);
        newest->created_ms = status_is_ok(newest->status) ? event.created_ms : 0;
    }
    return false;
}

/* What is kept of it. An event that is damaged has no time. */
static status look_up(const struct reads_source *source, struct arena *arena,
                      struct topic_line *line)
{
    uint8_t hash[KEY_HASH_BYTES];
    char key[KEY_BYTES_MAX];
    char prefix[KEY_BYTES_MAX];
    str value;
    struct topic_row row;
    struct newest newest = {.status = STATUS_OK};
    hash128(line->name, hash);
    TRY(store_get(&source->store, STORE_TOPICS, key_topic(key, source->space, hash, 0), arena,
                  &value));
    TRY(topic_row_decode(value, &row));
    TRY(store_scan(&source->store, STORE_TOPICS, key_hash(prefix, source->space, hash), STR_EMPTY,
                   true, 1, visit_newest, &newest));
    line->last = newest.sequence > row.last ? newest.sequence : row.last;
    bool is_kept = newest.sequence >= row.first;
    line->first = is_kept ? row.first : 0;
    line->last_ms = is_kept ? newest.created_ms : 0;
    return STATUS_OK;
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct topics_read *list = topics_read(read);
    struct listing listing = {.list = list};
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    assert(list->limit > 0 && list->ret_count <= list->limit);
    if (list->ret == NULL) {
        list->ret = arena_zalloc(&read->arena, list->limit * sizeof(*list->ret));
    }
    size_t begun = list->ret_count;
    list->after = begun > 0 ? list->ret[begun - 1].name : list->after;
    TRY(store_scan(
        &source->store, STORE_INDEX, key_index(prefix, source->space, INDEX_TOPIC, list->prefix),
        list->after.len == 0 ? STR_EMPTY : key_index(from, source->space, INDEX_TOPIC, list->after),
        false, SIZE_MAX, visit_name, &listing));
    for (size_t i = begun; i < list->ret_count; i++) {
        status found = look_up(source, &read->arena, &list->ret[i]);
        if (!status_is_ok(found) && found.code != CODE_NOT_FOUND) {
            return found;
        }
    }
    *ret_over = !listing.goes_on;
    return STATUS_OK;
}

const struct read_kind topics_kind = {
    .name = "topics", .read_bytes = sizeof(struct topics_read), .step = step};
