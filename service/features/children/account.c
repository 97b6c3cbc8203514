/*
 * account: what a parent is told of an agent run that has ended, beside its answer.
 *
 * The same as RunService.Get says of it, in the same words: it is written into the parent's
 * journal, so that the parent's code is told the same whenever it runs, without asking.
 */
#include "service/features/children/account.h"

#include "service/agents/transcript.h"
#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/partition/journal.h"
#include "service/partition/runs.h"

enum {
    ACCOUNT_BYTES_MAX = 64 * 1024, /* Of steps; steps.proto says so. */
};

struct call {
    str id;
    str name;
    str arguments;
    uint32_t effect; /* 0: it was not run yet. */
    bool is_settled;
    struct outcome outcome;
};

struct turn {
    struct turn *before;
    uint32_t number;
    str content;
    struct engine_usage usage;
    struct call *calls;
    size_t call_count;
    str text; /* As JSON. */
};

struct account {
    struct arena *arena;
    struct turn *last;
    str stop_reason;
    status status;
};

static status add_turn(struct account *account, const struct event *event)
{
    assert(event->kind == EVENT_MODEL_REPLIED);
    struct model_reply reply;
    str origin;
    TRY(transcript_unpack_reply(event->model_replied.reply, account->arena, &reply, &origin));
    struct turn *turn = arena_zalloc(account->arena, sizeof(*turn));
    turn->before = account->last;
    turn->number = account->last == NULL ? 1 : account->last->number + 1;
    turn->usage = event->model_replied.usage;
    turn->calls = arena_zalloc(account->arena, (reply.block_count + 1) * sizeof(turn->calls[0]));
    for (size_t i = 0; i < reply.block_count; i++) {
        const struct model_block *block = &reply.blocks[i];
        if (block->kind == MODEL_BLOCK_TOOL_CALL) {
            turn->calls[turn->call_count++] = (struct call){
                .id = block->call_id, .name = block->name, .arguments = block->arguments};
        }
    }
    assert(turn->call_count <= reply.block_count);
    turn->content = transcript_reply_said(&reply, account->arena);
    account->last = turn;
    return STATUS_OK;
}

/* What a guardrail made of the last turn's reply takes its place. */
static status amend_turn(struct account *account, const struct event *event)
{
    struct event replied = {.kind = EVENT_MODEL_REPLIED};
    assert(event->kind == EVENT_REPLY_AMENDED);
    if (account->last == NULL) {
        return STATUS_OK;
    }
    replied.model_replied.reply = event->reply_amended.reply;
    replied.model_replied.usage = account->last->usage;
    account->last = account->last->before;
    return add_turn(account, &replied);
}

static void drop_turn(struct account *account, const struct event *event)
{
    if (event->reply_rejected.by == REJECTED_BY_GUARDRAIL && account->last != NULL) {
        account->last = account->last->before;
    }
}

static void add_task(struct turn *turn, const struct event *event)
{
    assert(event->kind == EVENT_TASK_REQUESTED);
    if (event->task_requested.kind != EFFECT_TOOL) {
        return;
    }
    for (size_t i = 0; turn != NULL && i < turn->call_count; i++) {
        struct call *call = &turn->calls[i];
        if (call->effect == 0 && str_equal(call->id, event->task_requested.call_id)) {
            call->effect = event->effect;
            return;
        }
    }
}

static void add_result(struct turn *turn, const struct event *event)
{
    bool is_settled = event->kind == EVENT_TASK_SETTLED;
    assert(is_settled || event->kind == EVENT_RESULT_AMENDED);
    uint32_t effect = is_settled ? event->effect : event->amended.about;
    for (size_t i = 0; turn != NULL && i < turn->call_count; i++) {
        struct call *call = &turn->calls[i];
        if (call->effect == effect && effect != 0) {
            call->is_settled = true;
            call->outcome = is_settled ? event->task_settled.outcome
                                       : (struct outcome){.value = event->amended.value};
        }
    }
}

static bool add_event(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct account *account = context;
    assert(status_is_ok(account->status)); /* The first that fails is the last. */
    if (event->kind == EVENT_MODEL_REPLIED) {
        account->status = add_turn(account, event);
    } else if (event->kind == EVENT_TASK_REQUESTED) {
        add_task(account->last, event);
    } else if (event->kind == EVENT_TASK_SETTLED || event->kind == EVENT_RESULT_AMENDED) {
        add_result(account->last, event);
    } else if (event->kind == EVENT_REPLY_AMENDED) {
        account->status = amend_turn(account, event);
    } else if (event->kind == EVENT_REPLY_REJECTED) {
        drop_turn(account, event);
    } else if (event->kind == EVENT_RUN_COMPLETED) {
        account->stop_reason = event->run_completed.stop_reason;
    }
    return status_is_ok(account->status);
}

static status add_record(struct account *account, str record)
{
    static const uint64_t kinds =
        JOURNAL_KIND(EVENT_MODEL_REPLIED) | JOURNAL_KIND(EVENT_TASK_REQUESTED) |
        JOURNAL_KIND(EVENT_TASK_SETTLED) | JOURNAL_KIND(EVENT_RUN_COMPLETED) |
        JOURNAL_KIND(EVENT_RESULT_AMENDED) | JOURNAL_KIND(EVENT_REPLY_AMENDED) |
        JOURNAL_KIND(EVENT_REPLY_REJECTED);
    TRY(journal_record(record, kinds, account->arena, add_event, account));
    return account->status;
}

static void put_usage(struct json_writer *writer, const struct engine_usage *usage)
{
    json_begin_object(writer, "usage");
    json_put_u64(writer, "input_tokens", usage->input);
    json_put_u64(writer, "output_tokens", usage->output);
    json_put_u64(writer, "total_tokens", usage->input + usage->output);
    json_put_u64(writer, "cache_read_input_tokens", usage->cache_read);
    json_put_u64(writer, "cache_creation_input_tokens", usage->cache_write);
    json_end_object(writer);
}

static void put_call(struct json_writer *writer, const struct call *call)
{
    json_begin_object(writer, NULL);
    json_put_string(writer, "call_id", call->id);
    json_put_string(writer, "name", call->name);
    json_put_string(writer, "arguments_json", call->arguments);
    json_end_object(writer);
}

static void put_result(struct json_writer *writer, const struct call *call)
{
    assert(call->is_settled);
    json_begin_object(writer, NULL);
    json_put_string(writer, "call_id", call->id);
    json_put_string(writer, "tool_name", call->name);
    if (call->outcome.failed) {
        json_begin_object(writer, "error");
        json_put_string(writer, "type", call->outcome.error_type);
        json_put_string(writer, "message", call->outcome.error_message);
        json_end_object(writer);
    } else {
        json_put_raw(writer, "result", call->outcome.value);
    }
    json_end_object(writer);
}

static void put_turn(struct buf *buf, const struct turn *turn)
{
    assert(buf->len == 0 && turn->number > 0);
    struct json_writer writer = json_writer_of(buf);
    json_begin_object(&writer, NULL);
    json_put_u64(&writer, "step", turn->number);
    json_put_string(&writer, "content", turn->content);
    json_begin_array(&writer, "tool_calls");
    for (size_t i = 0; i < turn->call_count; i++) {
        put_call(&writer, &turn->calls[i]);
    }
    json_end_array(&writer);
    json_begin_array(&writer, "tool_results");
    for (size_t i = 0; i < turn->call_count; i++) {
        if (turn->calls[i].is_settled) {
            put_result(&writer, &turn->calls[i]);
        }
    }
    json_end_array(&writer);
    put_usage(&writer, &turn->usage);
    json_end_object(&writer);
}

/* The newest, as many as there is room for, with the oldest of them first; and how many are not
 * among them. */
static void put_turns(struct json_writer *writer, const struct account *account)
{
    struct buf text = {0};
    const struct turn *first = NULL;
    size_t bytes = 0;
    size_t count = 0;
    for (struct turn *turn = account->last; turn != NULL; turn = turn->before) {
        assert(turn->before == NULL || turn->before->number + 1 == turn->number);
        buf_reset(&text);
        put_turn(&text, turn);
        bytes += text.len;
        if (bytes > ACCOUNT_BYTES_MAX) {
            break;
        }
        turn->text = arena_copy(account->arena, buf_str(&text));
        first = turn;
        count++;
    }
    buf_fini(&text);
    const str **kept = arena_alloc(account->arena, (count + 1) * sizeof(const str *));
    size_t at = count;
    for (const struct turn *turn = account->last; at > 0; turn = turn->before) {
        kept[--at] = &turn->text;
        assert(turn->text.len > 0); /* It was among those above. */
    }
    json_begin_array(writer, "steps");
    for (size_t i = 0; i < count; i++) {
        json_put_raw(writer, NULL, *kept[i]);
    }
    json_end_array(writer);
    uint32_t total = account->last == NULL ? 0 : account->last->number;
    assert(total >= count && (first == NULL) == (count == 0));
    json_put_u64(writer, "steps_left_out", first == NULL ? total : first->number - 1);
}

str account_of(const struct live_run *run, struct arena *arena)
{
    struct account account = {.arena = arena, .stop_reason = STR_EMPTY};
    struct buf buf = {0};
    if (run->state.kind != RUN_KIND_AGENT) {
        return STR_EMPTY;
    }
    assert(engine_is_terminal(&run->state));
    assert(run->record_count > 0); /* All of an agent's are in memory. */
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
    struct json_writer writer = json_writer_of(&buf);
    json_begin_object(&writer, NULL);
    json_put_u64(&writer, "total_steps", run->state.steps);
    json_put_string(&writer, "stop_reason", account.stop_reason);
    put_usage(&writer, &usage);
    put_turns(&writer, &account);
    json_end_object(&writer);
    return buf_finish(&buf, arena);
}
