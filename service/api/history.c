#include "service/reads/history.h"

#include "polos/v1/runs.pb-c.h"
#include "service/api/check.h"
#include "service/api/history_event.h"
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
    const struct history_read *history;
    Polos__V1__RunServiceHistoryResponse response;
    size_t bytes;
    uint32_t next; /* The first of the next page; 0: there is none. */
};

static bool is_wanted(const struct history_read *history, uint32_t seq)
{
    return history->backwards ? seq > history->after_seq && seq <= history->from_seq
                              : seq >= history->from_seq;
}

/* Where it has no room, it is the first of the next page. */
static status add_event(struct page *page, const struct codec_entry *entry)
{
    struct event event;
    if (page->next != 0 || !is_wanted(page->history, entry->seq)) {
        return STATUS_OK;
    }
    TRY(codec_decode(entry, page->arena, &event));
    Polos__V1__HistoryEvent *shown = history_event(entry, &event, page->arena);
    size_t bytes = polos__v1__history_event__get_packed_size(shown);
    size_t count = page->response.n_events;
    if (count == page->history->limit || (count > 0 && page->bytes + bytes > HISTORY_BYTES_MAX)) {
        page->next = entry->seq;
        return STATUS_OK;
    }
    page->response.events[page->response.n_events++] = shown;
    page->bytes += bytes;
    return STATUS_OK;
}

static status add_record(struct page *page, str record)
{
    struct codec_entry entries[ENGINE_EVENTS_MAX];
    size_t count = 0;
    size_t cursor = 0;
    for (;;) {
        struct codec_entry entry;
        bool end = false;
        TRY(codec_next(record, &cursor, &entry, &end));
        if (end) {
            break;
        }
        if (count == ENGINE_EVENTS_MAX) {
            return status_make(CODE_DATA_LOSS, "a record has too many events");
        }
        entries[count++] = entry;
    }
    for (size_t i = 0; i < count; i++) {
        TRY(add_event(page, &entries[page->history->backwards ? count - 1 - i : i]));
    }
    return STATUS_OK;
}

/* Which page follows: none when all was read and had room. */
static uint32_t next_of(const struct page *page)
{
    const struct history_read *history = page->history;
    if (page->next != 0 || !history->backwards) {
        return page->next != 0 ? page->next : history->ret_next;
    }
    size_t count = page->response.n_events;
    uint32_t last = count == 0 ? 0 : page->response.events[count - 1]->seq;
    return last > history->after_seq + 1 ? last - 1 : 0; /* A page of the store was full. */
}

static status fill(struct page *page)
{
    const struct history_read *history = page->history;
    page->response.events = arena_alloc(page->arena, history->limit * sizeof(void *));
    for (size_t i = 0; i < history->ret_count; i++) {
        TRY(add_record(page, history->ret_records[i]));
    }
    uint32_t next = next_of(page);
    if (next != 0) {
        const char *order = history->backwards ? "-" : "";
        page->response.next_page_token = (char *)arena_printf(page->arena, "%s%u", order, next).ptr;
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
        .history = history_read(read),
        .response = POLOS__V1__RUN_SERVICE_HISTORY_RESPONSE__INIT,
    };
    status filled = fill(&page);
    if (status_is_ok(filled)) {
        api_call_reply(reading_call(read), &page.response.base);
    } else {
        exchange_fail_read(reading_call(read), filled, &read->arena);
    }
    arena_fini(&arena);
    reading_end(read);
}

/* The seq where the page begins; backwards with a sign before it. */
static bool take_token(struct check *check, str token, bool backwards, uint32_t *ret)
{
    bool is_back = token.len > 0 && token.ptr[0] == '-';
    str digits = is_back ? str_make(token.ptr + 1, token.len - 1) : token;
    uint64_t value = 0;
    if (token.len == 0) {
        return true;
    }
    bool is_fine = is_back == backwards && digits.len <= 10;
    for (size_t i = 0; is_fine && i < digits.len; i++) {
        is_fine = digits.ptr[i] >= '0' && digits.ptr[i] <= '9';
        value = 10 * value + (uint64_t)(digits.ptr[i] - '0');
    }
    if (!is_fine || value == 0 || value > UINT32_MAX) {
        return check_fault(check, "page_token",
                           "pass next_page_token of the page before, in the same order");
    }
    *ret = (uint32_t)value;
    return true;
}

static void read_history(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceHistoryRequest *proto = (const void *)message;
    struct read *read = reading_new(call, &history_kind, was_read);
    struct history_read *history = history_read(read);
    struct check check = {.arena = &read->arena};
    history->backwards = proto->newest_first;
    history->after_seq = proto->after_seq;
    history->from_seq = proto->newest_first ? UINT32_MAX : proto->after_seq + 1;
    bool is_fine =
        check_uuid(&check, "run_id", str_of(proto->run_id), &read->run) &&
        check_range(&check, "after_seq", proto->after_seq, 0, UINT32_MAX - 1) &&
        check_page_size(&check, proto->page_size, HISTORY_PAGE, HISTORY_PAGE_MAX,
                        &history->limit) &&
        take_token(&check, str_of(proto->page_token), proto->newest_first, &history->from_seq);
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
