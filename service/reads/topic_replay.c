#include "service/reads/topic_replay.h"

/* Smaller than other pages: many may follow one topic. */
enum {
    PAGE_BYTES = 128 << 10,
};

struct page {
    struct topic_replay *replay;
    size_t bytes;
    size_t rows;
    size_t bytes_max;
    size_t rows_max;
    bool goes_on; /* It is full. */
    status status;
};

static bool visit(void *context, str key, str value)
{
    struct page *page = context;
    struct topic_replay *replay = page->replay;
    struct topic_event event;
    uint64_t sequence;
    if (!key_read_topic_sequence(key, &sequence)) {
        return true;
    }
    page->goes_on = page->rows > 0 &&
                    (page->rows == page->rows_max || page->bytes + value.len > page->bytes_max);
    if (page->goes_on) {
        return false;
    }
    page->rows++;
    page->bytes += value.len;
    page->status = topic_event_decode(value, sequence, &event);
    if (!status_is_ok(page->status)) {
        return false;
    }
    assert(sequence > replay->sequence);
    replay->sequence = sequence;
    if (replay->type.len == 0 || str_equal(replay->type, event.type)) {
        replay->ret_full = !replay->show(replay, &event);
    }
    return !replay->ret_full;
}

/* The first event that is kept; 1 where none was dropped. */
static status read_first(const struct reads_source *source, struct topic_replay *replay,
                         uint64_t *ret)
{
    char key[KEY_BYTES_MAX];
    str value;
    struct topic_row row;
    *ret = 1;
    status found =
        store_get(&source->store, STORE_TOPICS, key_topic(key, source->space, replay->topic, 0),
                  &replay->read.arena, &value);
    if (found.code == CODE_NOT_FOUND) {
        return STATUS_OK;
    }
    TRY(found);
    TRY(topic_row_decode(value, &row));
    *ret = row.first;
    return STATUS_OK;
}

static bool visit_last(void *context, str key, str value)
{
    (void)value;
    return key_read_topic_sequence(key, context) && false;
}

/* When the event was published. */
static status read_time(const struct reads_source *source, struct topic_replay *replay,
                        uint64_t sequence, uint64_t *ret_ms)
{
    char key[KEY_BYTES_MAX];
    str value;
    struct topic_event event;
    struct arena arena;
    arena_init_bounded(&arena, READ_ARENA_BYTES_MAX);
    status read = store_get(&source->store, STORE_TOPICS,
                            key_topic(key, source->space, replay->topic, sequence), &arena, &value);
    read = status_is_ok(read) ? topic_event_decode(value, sequence, &event) : read;
    *ret_ms = status_is_ok(read) ? event.created_ms : 0;
    arena_fini(&arena);
    return read;
}

/* The last event up to that time, found by halving; one that is gone by now was before it. */
static status find_time(const struct reads_source *source, struct topic_replay *replay,
                        uint64_t first)
{
    char prefix[KEY_BYTES_MAX];
    uint64_t last = 0;
    TRY(store_scan(&source->store, STORE_TOPICS, key_hash(prefix, source->space, replay->topic),
                   STR_EMPTY, true, 1, visit_last, &last));
    uint64_t low = first - 1; /* Up to that time, ... */
    uint64_t high = last < first ? first : last + 1; /* ... and after it. */
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t created_ms = 0;
        status read = read_time(source, replay, middle, &created_ms);
        TRY(read.code == CODE_NOT_FOUND ? STATUS_OK : read);
        *(created_ms <= replay->after_ms ? &low : &high) = middle;
    }
    replay->sequence = low;
    replay->after_ms = 0;
    return STATUS_OK;
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct topic_replay *replay = topic_replay(read);
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    uint64_t first;
    struct page page = {.replay = replay, .rows_max = source->page_rows};
    page.bytes_max = source->page_bytes < PAGE_BYTES ? source->page_bytes : PAGE_BYTES;
    TRY(read_first(source, replay, &first));
    assert(first > 0);
    if (replay->after_ms != 0) {
        TRY(find_time(source, replay, first));
    }
    replay->sequence = replay->sequence + 1 < first ? first - 1 : replay->sequence;
    TRY(store_scan(&source->store, STORE_TOPICS, key_hash(prefix, source->space, replay->topic),
                   key_topic(from, source->space, replay->topic, replay->sequence + 1), false,
                   SIZE_MAX, visit, &page));
    TRY(page.status);
    *ret_over = replay->ret_full || !page.goes_on;
    return STATUS_OK;
}

const struct read_kind topic_replay_kind = {
    .name = "topic_replay",
    .read_bytes = sizeof(struct topic_replay),
    .step = step,
    .is_patient = true,
};
