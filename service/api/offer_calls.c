#include "service/api/offer_calls.h"

#include "service/api/page_token.h"
#include "service/api/shown.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/features/offers/offers.h"
#include "service/reads/offers.h"

enum {
    OFFERS_PAGE = 100,
    OFFERS_PAGE_MAX = 1000,
};

/* ---- As they were offered. ---- */

Polos__V1__ToolDefinition *offer_view_tool(const struct tool_definition *tool, struct arena *arena)
{
    Polos__V1__ToolDefinition *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__tool_definition__init(ret);
    assert(tool->name.len > 0);
    ret->id = text_of(arena, tool->name);
    ret->description = text_of(arena, tool->description);
    ret->parameters_json = text_of(arena, tool->parameters_json);
    ret->timeout = times_length(arena, tool->timeout_ms);
    ret->on_lost = shown_on_lost(tool->at_most_once);
    return ret;
}

static Polos__V1__EventTrigger *view_trigger(const struct offer_record *offer, struct arena *arena)
{
    Polos__V1__EventTrigger *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__event_trigger__init(ret);
    ret->topic = text_of(arena, offer->topic);
    ret->batch_size = offer->batch_size;
    ret->batch_timeout = times_length(arena, offer->batch_timeout_ms);
    return ret;
}

static Polos__V1__ScheduleSpec *view_schedule(const struct offer_record *offer, struct arena *arena)
{
    Polos__V1__ScheduleSpec *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__schedule_spec__init(ret);
    ret->cron = text_of(arena, offer->cron);
    ret->timezone = text_of(arena, offer->zone);
    ret->key = text_of(arena, offer->schedule_key);
    return ret;
}

Polos__V1__WorkflowDefinition *offer_view_workflow(const struct offer_record *offer,
                                                   struct arena *arena)
{
    Polos__V1__WorkflowDefinition *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__workflow_definition__init(ret);
    assert(offer->tool.name.len > 0);
    ret->id = text_of(arena, offer->tool.name);
    ret->description = text_of(arena, offer->tool.description);
    ret->queue = text_of(arena, offer->queue);
    ret->trigger = offer->topic.len == 0 ? NULL : view_trigger(offer, arena);
    ret->schedule = offer->cron.len == 0 ? NULL : view_schedule(offer, arena);
    return ret;
}

/* ---- Calls. ---- */

/* Of a read, in its arena. */
struct asked {
    const struct offer_words *words;
};

static const struct asked *asked_of(const struct read *read)
{
    assert(*reading_own(read) != NULL);
    return *reading_own(read);
}

static struct read *begin(struct api_call *call, const struct offer_words *words,
                          reading_done *done)
{
    struct read *read = reading_new(call, &offers_kind, done);
    struct asked *asked = arena_zalloc(&read->arena, sizeof(*asked));
    asked->words = words;
    *reading_own(read) = asked;
    offers_read(read)->wants_tools = words->kind == TASK_TOOL;
    return read;
}

static void ask_hosts(struct read *read, offered_answer *answer)
{
    const struct offers_read *offers = offers_read(read);
    struct offered_name *names = arena_zalloc(&read->arena, offers->limit * sizeof(names[0]));
    assert(offers->ret_count <= offers->limit);
    for (size_t i = 0; i < offers->ret_count; i++) {
        names[i].kind = offers->wants_tools ? OFFERED_TOOL : OFFERED_WORKFLOW;
        names[i].name = offers->ret[i].tool.name;
    }
    offered_ask(read, names, offers->ret_count, answer);
}

static void answer_got(struct read *read, const struct offered_name *names)
{
    assert(offers_read(read)->ret_count == 1);
    asked_of(read)->words->got(reading_call(read), &offers_read(read)->ret[0], names[0].ret_hosts,
                               &read->arena);
    reading_end(read);
}

static void was_got(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    if (offers_read(read)->ret_count > 0) {
        ask_hosts(read, answer_got);
        return;
    }
    struct failure missing = offers_missing(asked_of(read)->words->kind);
    api_call_fail(reading_call(read), &missing);
    reading_end(read);
}

void offer_get(struct api_call *call, const struct offer_words *words, const char *name)
{
    struct read *read = begin(call, words, was_got);
    struct check check = {.arena = &read->arena};
    offers_read(read)->name = check_copy(&check, name);
    offers_read(read)->limit = 1;
    reading_post_checked(read, check_name(&check, words->field, offers_read(read)->name), &check);
}

static void answer_listed(struct read *read, const struct offered_name *names)
{
    const struct offers_read *offers = offers_read(read);
    char *token = text_of(&read->arena, STR_EMPTY);
    if (offers->ret_more) {
        assert(offers->ret_count > 0);
        token = page_token_format(&read->arena, offers->ret[offers->ret_count - 1].tool.name);
    }
    asked_of(read)->words->listed(reading_call(read), offers->ret, names, offers->ret_count, token,
                                  &read->arena);
    reading_end(read);
}

static void was_listed(struct read *read, const struct failure *failure)
{
    if (!reading_failed(read, failure)) {
        ask_hosts(read, answer_listed);
    }
}

void offer_list(struct api_call *call, const struct offer_words *words, int32_t page_size,
                const char *page_token)
{
    struct read *read = begin(call, words, was_listed);
    struct offers_read *offers = offers_read(read);
    struct check check = {.arena = &read->arena};
    bool is_fine =
        check_page_size(&check, page_size, OFFERS_PAGE, OFFERS_PAGE_MAX, &offers->limit) &&
        check_page_token(&check, page_token, STR_EMPTY, NAME_BYTES_MAX, &offers->after);
    reading_post_checked(read, is_fine, &check);
}

/* ---- Deleting. ---- */

static void was_deleted(struct request *request, const struct failure *failure)
{
    if (!exchange_failed(request, failure)) {
        const struct offer_words *words = delete_offer_request(request)->poster;
        words->deleted(exchange_call(request));
        exchange_end(request);
    }
}

void offer_delete(struct api_call *call, const struct offer_words *words, const char *name)
{
    struct request *request = exchange_new(call, &delete_offer_operation, was_deleted);
    struct check check = {.arena = &request->arena};
    str copied = check_copy(&check, name);
    delete_offer_request(request)->kind = words->kind;
    delete_offer_request(request)->name = copied;
    delete_offer_request(request)->poster = words;
    exchange_post_checked(request, check_name(&check, words->field, copied), &check);
}
