/*
 * replay: what a task's code has settled so far, read from its run's journal.
 */
#include "service/features/waits/replay.h"

#include "service/agents/output.h"
#include "service/agents/transcript.h"
#include "service/base/json.h"
#include "service/features/waits/facts.h"
#include "service/partition/journal.h"
#include "service/partition/state.h"

/* The steps of a whole page: what it tells of children is part of their waits. */
static void take_steps(struct facts_page *page, struct arena *arena, struct replay *ret)
{
    size_t child_count;
    const struct settled_step **children = facts_children(page, arena, &child_count);
    ret->steps = arena_alloc(arena, page->count * sizeof(ret->steps[0]));
    for (size_t i = 0; i < page->count; i++) {
        struct settled_step step = page->facts[i];
        if (step.is_child) {
            continue;
        }
        if (step.has_children) {
            step.has_children = false;
            step.outcome.value = facts_join(children, child_count, step.wait, arena);
        }
        ret->steps[ret->count++] = step;
    }
}

struct facts_cursor replay_cursor(uuid run, uint32_t task)
{
    assert(!uuid_is_zero(run));
    return (struct facts_cursor){.task = {run, task}, .until = UINT32_MAX};
}

status replay_read(struct partition *partition, uuid run, uint32_t task, struct arena *arena,
                   struct replay *ret)
{
    struct facts_cursor cursor = replay_cursor(run, task);
    struct facts_page page;
    *ret = (struct replay){0};
    status read = facts_read(partition, &cursor, arena, &page);
    if (status_is_ok(read) && page.is_last) {
        read = facts_state(partition, &cursor, arena, &ret->state);
        take_steps(&page, arena, ret);
        ret->settled_count = page.settled_count;
    }
    ret->is_cut = !page.is_last;
    ret->cancel_cause = page.cancel_cause;
    facts_cursor_reset(&cursor);
    return read;
}

status replay_children(struct partition *partition, const struct facts_cursor *cursor,
                       struct arena *arena, str *ret, bool *ret_is_cut)
{
    assert(cursor->wait > 0 && cursor->start > 0);
    struct facts_cursor begun = facts_cursor_begin(cursor);
    struct facts_page page;
    status read = facts_read(partition, &begun, arena, &page);
    facts_cursor_reset(&begun);
    *ret_is_cut = !page.is_last;
    if (status_is_ok(read) && page.is_last) {
        size_t count;
        const struct settled_step **children = facts_children(&page, arena, &count);
        *ret = facts_join(children, count, cursor->wait, arena);
    }
    return read;
}

struct last_answer {
    struct arena *arena;
    str text;
    str amended; /* By callbacks, since; JSON text. */
    bool found;
};

static bool read_answer(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct last_answer *answer = context;
    if (event->kind == EVENT_RESULT_AMENDED) {
        if (event->amended.about == 0) {
            answer->amended = event->amended.value;
            answer->found = true;
        }
        return true;
    }
    bool is_amended = event->kind == EVENT_REPLY_AMENDED;
    assert(is_amended || event->kind == EVENT_MODEL_REPLIED);
    struct model_reply reply;
    str origin;
    answer->amended = STR_EMPTY;
    str packed = is_amended ? event->reply_amended.reply : event->model_replied.reply;
    if (!status_is_ok(transcript_unpack_reply(packed, answer->arena, &reply, &origin))) {
        return true;
    }
    answer->found = true;
    answer->text = transcript_reply_text(&reply, answer->arena);
    return true;
}

/* The text of an agent's last reply, as a JSON string; where the definition has a schema for it,
 * the JSON that it is or holds; what callbacks made of that. */
str replay_answer(const struct live_run *run, bool is_structured, struct arena *arena)
{
    struct last_answer answer = {.arena = arena};
    for (size_t i = run->record_count; i > 0 && !answer.found; i--) {
        status read =
            journal_record(run->records[i - 1],
                           JOURNAL_KIND(EVENT_MODEL_REPLIED) | JOURNAL_KIND(EVENT_REPLY_AMENDED) |
                               JOURNAL_KIND(EVENT_RESULT_AMENDED),
                           arena, read_answer, &answer);
        (void)read; /* It is one we keep and have read before. */
    }
    str json = is_structured ? output_json(answer.text) : STR_EMPTY;
    struct buf quoted = {0};
    buf_put_json_string(&quoted, answer.text);
    json = answer.amended.len > 0 ? answer.amended : json;
    str ret = arena_copy(arena, json.len > 0 ? json : buf_str(&quoted));
    buf_fini(&quoted);
    return ret;
}
