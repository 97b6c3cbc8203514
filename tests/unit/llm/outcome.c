#include "tests/unit/llm/outcome.h"

#include <stdlib.h>

static const char *const stop_names[] = {
    [MODEL_STOP_END] = "end",
    [MODEL_STOP_TOOL_USE] = "tool_use",
    [MODEL_STOP_MAX_TOKENS] = "max_tokens",
    [MODEL_STOP_SEQUENCE] = "stop_sequence",
    [MODEL_STOP_CONTENT_FILTER] = "content_filter",
    [MODEL_STOP_REFUSAL] = "refusal",
    [MODEL_STOP_PAUSE] = "pause",
    [MODEL_STOP_OTHER] = "other",
};

size_t cut_nowhere(void *context, size_t at, size_t left)
{
    (void)context;
    (void)at;
    return left;
}

size_t cut_everywhere(void *context, size_t at, size_t left)
{
    (void)context;
    (void)at;
    (void)left;
    return 1;
}

size_t cut_by_seed(void *context, size_t at, size_t left)
{
    uint64_t *state = (uint64_t *)context;
    (void)at;
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    size_t len = 1 + (size_t)(*state >> 33) % 97;
    return len < left ? len : left;
}

static void take_delta(void *context, enum model_delta_kind kind, str text)
{
    struct outcome *outcome = (struct outcome *)context;
    assert(text.len > 0);
    buf_put(&outcome->shown[kind], text);
}

/* Each piece in a heap block of its own size, so that a sanitizer sees a read past it. */
static enum attempt_state feed(struct attempt *attempt, const char *bytes, size_t len)
{
    char *piece = xmalloc(len);
    memcpy(piece, bytes, len);
    enum attempt_state state = attempt_bytes(attempt, str_make(piece, len));
    free(piece);
    return state;
}

void outcome_read(struct outcome *outcome, const struct response *response, cut_fn *cut,
                  void *context)
{
    struct reply_options options = {.delta = take_delta, .context = outcome, .id_seed = 7};
    size_t at = 0;
    *outcome = (struct outcome){.state = ATTEMPT_OPEN};
    arena_init(&outcome->arena, 0);
    outcome->attempt = attempt_new(response->row, STR("http://x"), &options);
    attempt_head(outcome->attempt, response->http_status, response->headers, 0);
    while (at < response->body.len && outcome->state == ATTEMPT_OPEN) {
        size_t len = cut(context, at, response->body.len - at);
        outcome->state = feed(outcome->attempt, response->body.ptr + at, len);
        at += len;
    }
    outcome->state = attempt_end(outcome->attempt, response->end);
    if (outcome->state == ATTEMPT_WHOLE) {
        attempt_reply(outcome->attempt, &outcome->arena, &outcome->reply);
    } else {
        outcome->diagnosis = attempt_diagnosis(outcome->attempt);
    }
}

void outcome_fini(struct outcome *outcome)
{
    attempt_free(outcome->attempt);
    arena_fini(&outcome->arena);
    for (size_t i = 0; i < COUNT_OF(outcome->shown); i++) {
        buf_fini(&outcome->shown[i]);
    }
}

str outcome_text(struct outcome *outcome, enum model_block_kind kind)
{
    str text = STR("");
    for (size_t i = 0; i < outcome->reply.block_count; i++) {
        if (outcome->reply.blocks[i].kind == kind) {
            text = arena_printf(&outcome->arena, STR_FMT STR_FMT, STR_ARG(text),
                                STR_ARG(outcome->reply.blocks[i].text));
        }
    }
    return text;
}

static void put_block(struct buf *ret, const struct model_block *block)
{
    static const char *const names[] = {
        [MODEL_BLOCK_TEXT] = "text",           [MODEL_BLOCK_REASONING] = "reasoning",
        [MODEL_BLOCK_REFUSAL] = "refusal",     [MODEL_BLOCK_TOOL_CALL] = "call",
        [MODEL_BLOCK_TOOL_RESULT] = "?result", [MODEL_BLOCK_OPAQUE] = "opaque",
    };
    buf_printf(ret, "%s", names[block->kind]);
    if (block->kind == MODEL_BLOCK_TOOL_CALL) {
        buf_printf(ret, "(" STR_FMT "," STR_FMT "," STR_FMT "%s)", STR_ARG(block->call_id),
                   STR_ARG(block->name), STR_ARG(block->arguments),
                   block->arguments_invalid ? ",invalid" : "");
    } else {
        buf_printf(ret, "(" STR_FMT ")", STR_ARG(block->text));
    }
    if (block->raw.len > 0) {
        buf_printf(ret, "raw:" STR_FMT, STR_ARG(block->raw));
    }
    buf_put_char(ret, ' ');
}

static void put_reply(struct buf *ret, const struct model_reply *reply)
{
    const struct model_usage *usage = &reply->usage;
    for (size_t i = 0; i < reply->block_count; i++) {
        put_block(ret, &reply->blocks[i]);
    }
    buf_printf(ret, "stop:%s/" STR_FMT, stop_names[reply->stop], STR_ARG(reply->stop_raw));
    if (usage->known) {
        buf_printf(ret, " usage:%zu/%zu/%zu/%zu/%zu", (size_t)usage->input, (size_t)usage->output,
                   (size_t)usage->cache_read, (size_t)usage->cache_write, (size_t)usage->reasoning);
    }
}

str outcome_line(struct outcome *outcome)
{
    struct buf line = {0};
    if (outcome->state == ATTEMPT_WHOLE) {
        put_reply(&line, &outcome->reply);
    } else {
        const struct diagnosis *diagnosis = outcome->diagnosis;
        buf_printf(&line, "failed:%s/%s/%s%s " STR_FMT, code_name(diagnosis->code),
                   diagnosis->reason == NULL ? "transport" : diagnosis->reason,
                   diagnosis->retryable ? "again" : "never",
                   attempt_has_shown(outcome->attempt) ? "/shown" : "",
                   STR_ARG(buf_str(&diagnosis->message)));
    }
    str copy = arena_copy(&outcome->arena, buf_str(&line));
    buf_fini(&line);
    return copy;
}
