/*
 * account: what a parent is told of an agent run that has ended, beside its answer.
 *
 * The same as RunService.Get says of it, in the same words: it is written into the parent's
 * journal, so that the parent's code is told the same whenever it runs, without asking.
 */
#include "service/agents/transcript.h"
#include "service/base/json.h"
#include "service/runtime/internal.h"

enum {
    ACCOUNT_BYTES_MAX = 64 * 1024, /* Of steps; tools.proto says so. */
};

struct call {
    str id;
    str name;
    str arguments;
    uint32_t effect; /* 0: it was not run yet. */
    bool is_settled;
    struct outcome outcome;
};

struct round {
    struct round *before;
    uint32_t number;
    str content;
    struct engine_usage usage;
    struct call *calls;
    size_t call_count;
    str text; /* As JSON. */
};

struct account {
    struct arena *arena;
    struct round *last;
    str stop_reason;
    status status;
};

static status add_turn(struct account *account, const struct event *event)
{
    struct model_reply reply;
    struct buf said = {0};
    struct buf refused = {0};
    str origin;
    TRY(transcript_unpack_reply(event->model_replied.reply, account->arena, &reply, &origin));
    struct round *round = arena_zalloc(account->arena, sizeof(*round));
    round->before = account->last;
    round->number = account->last == NULL ? 1 : account->last->number + 1;
    round->usage = event->model_replied.usage;
    round->calls = arena_zalloc(account->arena, (reply.block_count + 1) * sizeof(round->calls[0]));
    for (size_t i = 0; i < reply.block_count; i++) {
        const struct model_block *block = &reply.blocks[i];
        if (block->kind == MODEL_BLOCK_TEXT) {
            buf_put(&said, block->text);
        } else if (block->kind == MODEL_BLOCK_REFUSAL) {
            buf_put(&refused, block->text);
        } else if (block->kind == MODEL_BLOCK_TOOL_CALL) {
            round->calls[round->call_count++] = (struct call){
                .id = block->call_id, .name = block->name, .arguments = block->arguments};
        }
    }
    round->content = arena_copy(account->arena, buf_str(said.len > 0 ? &said : &refused));
    buf_fini(&said);
    buf_fini(&refused);
    account->last = round;
    return STATUS_OK;
}

static void add_task(struct round *round, const struct event *event)
{
    for (size_t i = 0; round != NULL && i < round->call_count; i++) {
        struct call *call = &round->calls[i];
        if (call->effect == 0 && str_equal(call->id, event->task_requested.call_id)) {
            call->effect = event->effect;
            return;
        }
    }
}

static void add_result(struct round *round, const struct event *event)
{
    for (size_t i = 0; round != NULL && i < round->call_count; i++) {
        struct call *call = &round->calls[i];
        if (call->effect == event->effect) {
            call->is_settled = true;
            call->outcome = event->task_settled.outcome;
        }
    }
}

static bool add_event(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct account *account = context;
    if (event->kind == EVENT_MODEL_REPLIED) {
        account->status = add_turn(account, event);
    } else if (event->kind == EVENT_TASK_REQUESTED) {
        add_task(account->last, event);
    } else if (event->kind == EVENT_TASK_SETTLED) {
        add_result(account->last, event);
    } else if (event->kind == EVENT_RUN_COMPLETED) {
        account->stop_reason = event->run_completed.stop_reason;
    }
    return status_is_ok(account->status);
}

static status add_record(struct account *account, str record)
{
    static const uint32_t kinds =
        JOURNAL_KIND(EVENT_MODEL_REPLIED) | JOURNAL_KIND(EVENT_TASK_REQUESTED) |
        JOURNAL_KIND(EVENT_TASK_SETTLED) | JOURNAL_KIND(EVENT_RUN_COMPLETED);
    TRY(journal_record(record, kinds, account->arena, add_event, account));
    return account->status;
}

static void put_text(struct buf *buf, const char *name, str text)
{
    buf_printf(buf, "\"%s\":", name);
    buf_put_json_string(buf, text);
}

static void put_usage(struct buf *buf, const struct engine_usage *usage)
{
    buf_printf(buf,
               "\"usage\":{\"input_tokens\":%llu,\"output_tokens\":%llu,\"total_tokens\":%llu,"
               "\"cache_read_input_tokens\":%llu,\"cache_creation_input_tokens\":%llu}",
               (unsigned long long)usage->input, (unsigned long long)usage->output,
               (unsigned long long)(usage->input + usage->output),
               (unsigned long long)usage->cache_read, (unsigned long long)usage->cache_write);
}

static void put_call(struct buf *buf, const struct call *call)
{
    buf_put_char(buf, '{');
    put_text(buf, "call_id", call->id);
    buf_put_char(buf, ',');
    put_text(buf, "name", call->name);
    buf_put_char(buf, ',');
    put_text(buf, "arguments_json", call->arguments);
    buf_put_char(buf, '}');
}

static void put_result(struct buf *buf, const struct call *call)
{
    buf_put_char(buf, '{');
    put_text(buf, "call_id", call->id);
    buf_put_char(buf, ',');
    put_text(buf, "tool_name", call->name);
    if (call->outcome.failed) {
        buf_put(buf, STR(",\"error\":{"));
        put_text(buf, "type", call->outcome.error_type);
        buf_put_char(buf, ',');
        put_text(buf, "message", call->outcome.error_message);
        buf_put_char(buf, '}');
    } else {
        buf_put(buf, STR(",\"result\":"));
        buf_put(buf, call->outcome.value.len == 0 ? STR("null") : call->outcome.value);
    }
    buf_put_char(buf, '}');
}

static void put_turn(struct buf *buf, const struct round *round)
{
    buf_printf(buf, "{\"step\":%u,", round->number);
    put_text(buf, "content", round->content);
    buf_put(buf, STR(",\"tool_calls\":["));
    for (size_t i = 0; i < round->call_count; i++) {
        buf_put(buf, i == 0 ? STR_EMPTY : STR(","));
        put_call(buf, &round->calls[i]);
    }
    buf_put(buf, STR("],\"tool_results\":["));
    bool is_first = true;
    for (size_t i = 0; i < round->call_count; i++) {
        if (round->calls[i].is_settled) {
            buf_put(buf, is_first ? STR_EMPTY : STR(","));
            put_result(buf, &round->calls[i]);
            is_first = false;
        }
    }
    buf_put(buf, STR("],"));
    put_usage(buf, &round->usage);
    buf_put_char(buf, '}');
}

/* The newest, as many as there is room for, with the oldest of them first; and how many are not
 * among them. */
static void put_turns(struct buf *buf, const struct account *account)
{
    struct buf text = {0};
    const struct round *first = NULL;
    size_t bytes = 0;
    size_t count = 0;
    for (struct round *round = account->last; round != NULL; round = round->before) {
        buf_reset(&text);
        put_turn(&text, round);
        bytes += text.len;
        if (bytes > ACCOUNT_BYTES_MAX) {
            break;
        }
        round->text = arena_copy(account->arena, buf_str(&text));
        first = round;
        count++;
    }
    buf_fini(&text);
    const str **kept = arena_alloc(account->arena, (count + 1) * sizeof(const str *));
    size_t at = count;
    for (const struct round *round = account->last; at > 0; round = round->before) {
        kept[--at] = &round->text;
    }
    buf_put(buf, STR(",\"steps\":["));
    for (size_t i = 0; i < count; i++) {
        buf_put(buf, i == 0 ? STR_EMPTY : STR(","));
        buf_put(buf, *kept[i]);
    }
    uint32_t total = account->last == NULL ? 0 : account->last->number;
    buf_printf(buf, "],\"steps_left_out\":%u", first == NULL ? total : first->number - 1);
}

str account_of(const struct live_run *run, struct arena *arena)
{
    struct account account = {.arena = arena, .stop_reason = STR_EMPTY};
    struct buf buf = {0};
    if (run->state.kind != RUN_KIND_AGENT) {
        return STR_EMPTY;
    }
    for (size_t i = 0; i < run->record_count; i++) {
        if (!status_is_ok(add_record(&account, run->records[i]))) {
            return STR_EMPTY; /* Its run could not be read again either. */
        }
    }
    const struct engine_usage usage = {
        .input = run->state.input_tokens,
        .output = run->state.output_tokens,
        .cache_read = run->state.cache_read_tokens,
        .cache_write = run->state.cache_write_tokens,
    };
    buf_printf(&buf, "{\"total_steps\":%u,", run->state.steps);
    put_text(&buf, "stop_reason", account.stop_reason);
    buf_put_char(&buf, ',');
    put_usage(&buf, &usage);
    put_turns(&buf, &account);
    buf_put_char(&buf, '}');
    str ret = arena_copy(arena, buf_str(&buf));
    buf_fini(&buf);
    return ret;
}
