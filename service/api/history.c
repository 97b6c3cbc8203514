#include "service/reads/history.h"

#include "polos/v1/runs.pb-c.h"
#include "service/api/check.h"
#include "service/api/format.h"
#include "service/api/methods.h"
#include "service/api/reading.h"

enum {
    HISTORY_PAGE = 200,
    HISTORY_PAGE_MAX = 1000,
    /* A page ends early at this size: many clients take no more than 4 MiB. */
    HISTORY_BYTES_MAX = 2 << 20,
};

static_assert((int)HISTORY_PAGE <= (int)HISTORY_PAGE_MAX);

/* A page of history being filled. */
struct page {
    struct arena *arena;
    Polos__V1__RunServiceHistoryResponse response;
    uint32_t from_seq;
    size_t events_max;
    size_t bytes;
};

/* *ret_full true: it is the first of the next page. */
static status add_event(struct page *page, const struct codec_entry *entry, bool *ret_full)
{
    struct event event;
    assert(entry->seq >= page->from_seq && page->response.n_events <= page->events_max);
    TRY(codec_decode(entry, page->arena, &event));
    Polos__V1__HistoryEvent *shown = format_event(entry, &event, page->arena);
    size_t bytes = strlen(shown->data_json);
    size_t count = page->response.n_events;
    *ret_full = count == page->events_max || (count > 0 && page->bytes + bytes > HISTORY_BYTES_MAX);
    if (!*ret_full) {
        page->response.events[page->response.n_events++] = shown;
        page->bytes += bytes;
    }
    return STATUS_OK;
}

static status add_record(struct page *page, str record)
{
    size_t cursor = 0;
    while (page->response.next_from_seq == 0) {
        struct codec_entry entry;
        bool end = false;
        bool is_full = false;
        TRY(codec_next(record, &cursor, &entry, &end));
        if (end) {
            return STATUS_OK;
        }
        if (entry.seq >= page->from_seq) {
            TRY(add_event(page, &entry, &is_full));
        }
        page->response.next_from_seq = is_full ? entry.seq : 0;
    }
    return STATUS_OK;
}

static status fill(struct page *page, const struct history_read *history)
{
    page->response.events = arena_alloc(page->arena, page->events_max * sizeof(void *));
    for (size_t i = 0; i < history->ret_count; i++) {
        TRY(add_record(page, history->ret_records[i]));
    }
    if (page->response.next_from_seq == 0) {
        page->response.next_from_seq = history->ret_next;
    }
    return STATUS_OK;
}

static void was_read(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    struct arena arena;
    arena_init(&arena, 0);
    struct page page = {
        .arena = &arena,
        .response = POLOS__V1__RUN_SERVICE_HISTORY_RESPONSE__INIT,
        .from_seq = history_read(read)->from_seq,
        .events_max = history_read(read)->limit,
    };
    status filled = fill(&page, history_read(read));
    if (status_is_ok(filled)) {
        api_call_reply(reading_call(read), &page.response.base);
    } else {
        exchange_fail_read(reading_call(read), filled, &read->arena);
    }
    arena_fini(&arena);
    reading_end(read);
}

static void read_history(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceHistoryRequest *proto = (const void *)message;
    struct read *read = reading_new(call, &history_kind, was_read);
    struct check check = {.arena = &read->arena};
    bool is_fine = check_uuid(&check, "run_id", str_of(proto->run_id), &read->run) &&
                   check_range(&check, "from_seq", proto->from_seq, 0, UINT32_MAX) &&
                   check_page_size(&check, proto->page_size, HISTORY_PAGE, HISTORY_PAGE_MAX,
                                   &history_read(read)->limit);
    history_read(read)->from_seq = proto->from_seq == 0 ? 1 : (uint32_t)proto->from_seq;
    reading_post_checked(read, is_fine, &check);
}

const struct api_method history_methods[] = {
    {
        .path = "/polos.v1.RunService/History",
        .is_read = true,
        .request = &polos__v1__run_service_history_request__descriptor,
        .response = &polos__v1__run_service_history_response__descriptor,
        .start = read_history,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
