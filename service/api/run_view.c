#include "service/api/run_view.h"

#include "service/agents/definition.h"
#include "service/agents/output.h"
#include "service/agents/transcript.h"
#include "service/api/options.h"
#include "service/api/run_waiting.h"
#include "service/api/shown.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/base/array.h"
#include "service/base/failure.h"
#include "service/base/json.h"
#include "service/features/reports/reports.h"

enum {
    TURNS_BYTES_MAX = 2 << 20, /* Of a run's answer. */
    OMITTED_MAX = 4, /* turns, input_json, result_json, state_json. */
};

static_assert((int)RUN_KIND_AGENT == (int)POLOS__V1__RUN_KIND__RUN_KIND_AGENT);
static_assert((int)RUN_KIND_WORKFLOW == (int)POLOS__V1__RUN_KIND__RUN_KIND_WORKFLOW);
static_assert((int)RUN_KIND_TOOL == (int)POLOS__V1__RUN_KIND__RUN_KIND_TOOL);

/* A tool call of the turn being folded. */
struct slot {
    Polos__V1__ToolCall *call;
    Polos__V1__ToolResult *result; /* NULL: at work. */
    uint32_t effect; /* 0: not ordered yet. */
};

struct fold {
    struct arena *arena;
    const struct run_facts *facts;
    struct run_known known;
    Polos__V1__Run *run;
    size_t turn_cap;
    Polos__V1__Turn *turn; /* The current turn; NULL: none yet. */
    struct slot *slots; /* One per tool call of it. */
    str answer; /* The text of the last reply. */
    str amended; /* What callbacks made of the result; JSON text. */
    str value; /* Of the body. */
    str value_type;
    str input;
    size_t room; /* Bytes the answer may still take. */
};

Polos__V1__Run *run_view_state(const struct run_facts *facts, struct arena *arena)
{
    const struct run *state = &facts->state;
    assert(state->kind < RUN_KIND_COUNT);
    Polos__V1__Run *run = arena_alloc(arena, sizeof(*run));
    polos__v1__run__init(run);
    run->id = text_of_uuid(arena, state->id);
    run->kind = (Polos__V1__RunKind)state->kind;
    run->name = text_of(arena, facts->name);
    run->status = (Polos__V1__RunStatus)run_status_of(state);
    if (state->kind == RUN_KIND_AGENT) {
        run->turn_count = state->turns;
    } else {
        run->step_count = state->steps;
    }
    run->root_run_id = run->id;
    run->created_at = times_instant(arena, state->started_ms);
    run->started_at = times_instant(arena, state->begun_ms);
    run->ended_at = times_instant(arena, state->ended_ms);
    run->deadline = times_instant(arena, engine_is_clock_stopped(state) ? 0 : state->deadline_ms);
    run->last_seq = state->seq;
    run->history_bytes = (int64_t)facts->history_bytes;
    run->run_timeout = times_length(arena, state->timeout_ms);
    run->retry_count = state->retries;
    run->deployment = text_of(arena, facts->deployment);
    run->cancelling = state->is_cancelling && !engine_is_terminal(state);
    struct engine_usage usage = {
        .input = state->input_tokens,
        .output = state->output_tokens,
        .cache_read = state->cache_read_tokens,
        .cache_write = state->cache_write_tokens,
        .reasoning = state->reasoning_tokens,
        .known = !state->usage_incomplete,
    };
    run->usage = shown_usage(arena, &usage);
    return run;
}

Polos__V1__Run *run_view_line(const struct run_line *line, struct arena *arena)
{
    assert(line->row.kind < RUN_KIND_COUNT);
    Polos__V1__Run *run = arena_alloc(arena, sizeof(*run));
    polos__v1__run__init(run);
    run->id = text_of_uuid(arena, line->id);
    run->kind = (Polos__V1__RunKind)line->row.kind;
    run->name = text_of(arena, str_of(line->row.name));
    run->status = (Polos__V1__RunStatus)line->row.status;
    run->created_at = times_instant(arena, line->row.created_ms);
    run->started_at = times_instant(arena, line->row.begun_ms);
    run->ended_at = times_instant(arena, line->row.ended_ms);
    run->last_seq = line->row.last_seq;
    if (line->unreadable.len > 0) {
        run->error = shown_failure(arena, str_of(reason_name(REASON_RUN_UNREADABLE)),
                                   line->unreadable, STR_EMPTY);
    }
    return run;
}

Polos__V1__Run *run_view_unreadable(const struct run_line *line, struct arena *arena)
{
    assert(line->unreadable.len > 0);
    Polos__V1__Run *run = run_view_line(line, arena);
    run->status = POLOS__V1__RUN_STATUS__RUN_STATUS_UNREADABLE;
    return run;
}

static void add_call(struct fold *fold, const struct model_block *block)
{
    assert(fold->turn != NULL);
    Polos__V1__ToolCall *call = shown_call(fold->arena, block);
    fold->slots[fold->turn->n_tool_calls] = (struct slot){.call = call};
    fold->turn->tool_calls[fold->turn->n_tool_calls++] = call;
}

/* Puts the current turn's results in the order of its calls. */
static void close_turn(struct fold *fold)
{
    Polos__V1__Turn *turn = fold->turn;
    if (turn == NULL) {
        return;
    }
    turn->tool_results = arena_alloc(fold->arena, turn->n_tool_calls * sizeof(void *));
    for (size_t i = 0; i < turn->n_tool_calls; i++) {
        if (fold->slots[i].result != NULL) {
            turn->tool_results[turn->n_tool_results++] = fold->slots[i].result;
        }
    }
    assert(turn->n_tool_results <= turn->n_tool_calls);
    fold->turn = NULL;
}

static Polos__V1__Turn *add_turn(struct fold *fold)
{
    assert(fold->turn == NULL); /* The one before is closed. */
    Polos__V1__Run *run = fold->run;
    run->turns = array_reserve_in(fold->arena, run->turns, &fold->turn_cap, run->n_turns + 1,
                                  sizeof(run->turns[0]));
    Polos__V1__Turn *turn = arena_alloc(fold->arena, sizeof(*turn));
    polos__v1__turn__init(turn);
    run->turns[run->n_turns++] = turn;
    return turn;
}

static status fold_reply(struct fold *fold, const struct event *event)
{
    struct model_reply reply;
    str origin;
    TRY(transcript_unpack_reply(event->model_replied.reply, fold->arena, &reply, &origin));
    close_turn(fold);
    fold->turn = add_turn(fold);
    fold->answer = transcript_reply_said(&reply, fold->arena);
    fold->known.model = reply.model;
    fold->turn->model = text_of(fold->arena, origin);
    fold->turn->text = text_of(fold->arena, fold->answer);
    fold->turn->usage = shown_usage(fold->arena, &event->model_replied.usage);
    fold->turn->tool_calls = arena_alloc(fold->arena, reply.block_count * sizeof(void *));
    fold->slots = arena_zalloc(fold->arena, reply.block_count * sizeof(*fold->slots));
    for (size_t i = 0; i < reply.block_count; i++) {
        if (reply.blocks[i].kind == MODEL_BLOCK_TOOL_CALL) {
            add_call(fold, &reply.blocks[i]);
        }
    }
    return STATUS_OK;
}

/* What a guardrail made of the last reply takes its place. */
static status fold_reply_amended(struct fold *fold, const struct event *event)
{
    struct event replied = {.kind = EVENT_MODEL_REPLIED};
    if (fold->turn == NULL) {
        return STATUS_OK;
    }
    Polos__V1__Usage *usage = fold->turn->usage;
    fold->turn = NULL;
    fold->run->n_turns--;
    replied.model_replied.reply = event->reply_amended.reply;
    TRY(fold_reply(fold, &replied));
    fold->turn->usage = usage;
    return STATUS_OK;
}

/* The turn has no reply yet. */
static void fold_rejected(struct fold *fold, const struct event *event)
{
    if (event->reply_rejected.by == REJECTED_BY_GUARDRAIL && fold->turn != NULL) {
        fold->turn = NULL;
        fold->run->n_turns--;
        fold->answer = STR_EMPTY;
    }
}

static void fold_requested(struct fold *fold, const struct event *event)
{
    if (fold->turn == NULL || event->task_requested.kind != EFFECT_TOOL) {
        return;
    }
    for (size_t i = 0; i < fold->turn->n_tool_calls; i++) {
        struct slot *slot = &fold->slots[i];
        if (slot->effect == 0 && str_is(event->task_requested.call_id, slot->call->call_id)) {
            slot->effect = event->effect;
            return;
        }
    }
}

static void settle_slot(struct fold *fold, struct slot *slot, const struct outcome *outcome)
{
    assert(slot->call != NULL);
    Polos__V1__ToolResult *result = arena_alloc(fold->arena, sizeof(*result));
    polos__v1__tool_result__init(result);
    result->call_id = slot->call->call_id;
    result->name = slot->call->name;
    if (outcome->failed) {
        result->error =
            shown_failure(fold->arena, outcome->error_type, outcome->error_message, STR_EMPTY);
    } else {
        result->result_json = text_of(fold->arena, outcome->value);
    }
    slot->result = result;
}

static void fold_settled(struct fold *fold, const struct event *event)
{
    if (fold->facts->state.kind != RUN_KIND_AGENT) {
        fold->value = event->task_settled.outcome.value;
        fold->value_type = event->task_settled.outcome.value_type;
        return;
    }
    for (size_t i = 0; fold->turn != NULL && i < fold->turn->n_tool_calls; i++) {
        if (fold->slots[i].effect == event->effect) {
            settle_slot(fold, &fold->slots[i], &event->task_settled.outcome);
            return;
        }
    }
}

/* The newest word on a tool's result, or the run's. */
static void fold_amended(struct fold *fold, const struct event *event)
{
    if (event->amended.about == 0) {
        fold->amended = event->amended.value;
        return;
    }
    struct outcome outcome = {.value = event->amended.value};
    for (size_t i = 0; fold->turn != NULL && i < fold->turn->n_tool_calls; i++) {
        if (fold->slots[i].effect == event->amended.about) {
            settle_slot(fold, &fold->slots[i], &outcome);
        }
    }
}

static void fold_started(struct fold *fold, const struct event *event)
{
    const struct run_spec *spec = &event->run_started.spec;
    Polos__V1__Run *run = fold->run;
    fold->input = spec->input;
    options_show(&spec->options, fold->arena, run);
    run->definition_hash = text_of_hash(fold->arena, spec->definition_hash);
    if (!uuid_is_zero(spec->parent)) {
        run->parent_run_id = text_of_uuid(fold->arena, spec->parent);
    }
    if (!uuid_is_zero(spec->root)) {
        run->root_run_id = text_of_uuid(fold->arena, spec->root);
    }
    if (!uuid_is_zero(spec->origin)) {
        run->origin_run_id = text_of_uuid(fold->arena, spec->origin);
    }
}

static void fold_cancelled(struct fold *fold, str cause)
{
    /* Why somebody asked for it tells more than how its code ended. */
    str asked = fold->facts->cancel_cause;
    str known = asked.len > 0 ? asked : cause;
    str sentence = known.len > 0 ? known : STR("The run was cancelled; start another one.");
    fold->run->error = shown_failure(fold->arena, STR("CANCELLED"), sentence, STR_EMPTY);
}

static status fold_event(struct fold *fold, const struct event *event)
{
    if (event->kind == EVENT_RUN_STARTED) {
        fold_started(fold, event);
    } else if (event->kind == EVENT_RUN_COMPLETED && fold->facts->state.kind == RUN_KIND_AGENT) {
        fold->run->stop_reason = shown_stop(event->run_completed.stop_reason);
    } else if (event->kind == EVENT_RUN_FAILED) {
        fold->run->error = shown_failure(fold->arena, event->run_failed.reason,
                                         event->run_failed.message, STR_EMPTY);
    } else if (event->kind == EVENT_RUN_CANCELLED) {
        fold_cancelled(fold, event->run_cancelled.cause);
    } else if (event->kind == EVENT_MODEL_REPLIED) {
        return fold_reply(fold, event);
    } else if (event->kind == EVENT_REPLY_AMENDED) {
        return fold_reply_amended(fold, event);
    } else if (event->kind == EVENT_REPLY_REJECTED) {
        fold_rejected(fold, event);
    } else if (event->kind == EVENT_MODEL_FAILED) {
        fold->known.failure = event->model_failed.message;
    } else if (event->kind == EVENT_TASK_REQUESTED) {
        fold_requested(fold, event);
    } else if (event->kind == EVENT_TASK_SETTLED) {
        fold_settled(fold, event);
    } else if (event->kind == EVENT_RESULT_AMENDED) {
        fold_amended(fold, event);
    } else if (event->kind == EVENT_TASK_FAILED) {
        fold->known.failure = event->task_failed.outcome.error_message;
    }
    return STATUS_OK;
}

static status fold_record(struct fold *fold, str record)
{
    size_t cursor = 0;
    for (;;) {
        struct codec_entry entry;
        struct event event;
        bool end = false;
        TRY(codec_next(record, &cursor, &entry, &end));
        if (end) {
            return STATUS_OK;
        }
        TRY(codec_decode(&entry, fold->arena, &event));
        TRY(fold_event(fold, &event));
    }
}

/* ---- What there is room for. ---- */

static void leave_out(struct fold *fold, const char *field)
{
    Polos__V1__Run *run = fold->run;
    run->omitted_fields[run->n_omitted_fields++] = (char *)field;
}

/* The text, or the empty one where it has no room. */
static char *take_text(struct fold *fold, const char *field, str value)
{
    char *text = text_of(fold->arena, value);
    size_t bytes = strlen(text);
    if (bytes > fold->room) {
        leave_out(fold, field);
        return text_of(fold->arena, STR_EMPTY);
    }
    fold->room -= bytes;
    return text;
}

static size_t turn_bytes(const Polos__V1__Turn *turn)
{
    return 8 + protobuf_c_message_get_packed_size(&turn->base); /* With what frames it. */
}

/* What the newest leave no room for is not shown, nor what was not read for lack of it. */
static void take_turns(struct fold *fold)
{
    Polos__V1__Run *run = fold->run;
    size_t count = run->turn_count;
    run->turn_count = run->n_turns > count ? (uint32_t)run->n_turns : run->turn_count;
    size_t room = fold->room < TURNS_BYTES_MAX ? fold->room : TURNS_BYTES_MAX;
    size_t first = run->n_turns;
    for (size_t i = 0; i < run->n_turns; i++) {
        run->turns[i]->number = (uint32_t)(run->turn_count - run->n_turns + i + 1);
    }
    while (first > 0 && turn_bytes(run->turns[first - 1]) <= room) {
        size_t bytes = turn_bytes(run->turns[--first]);
        room -= bytes;
        fold->room -= bytes;
    }
    run->turns = first < run->n_turns ? run->turns + first : NULL;
    run->n_turns -= first;
    if (run->n_turns < run->turn_count) {
        leave_out(fold, "turns");
    }
}

static str result_of(const struct fold *fold)
{
    assert(fold->turn == NULL); /* All has been read. */
    if (fold->run->status != POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED) {
        return STR_EMPTY;
    }
    if (fold->facts->state.kind != RUN_KIND_AGENT) {
        return fold->value;
    }
    if (fold->amended.len > 0) {
        return fold->amended;
    }
    str json = fold->facts->is_structured ? output_json(fold->answer) : STR_EMPTY;
    if (json.len > 0) {
        return json;
    }
    struct buf quoted = {0};
    buf_put_json_string(&quoted, fold->answer);
    return buf_finish(&quoted, fold->arena);
}

/* The result first, then the newest turns, the input, the state. */
static void take_large(struct fold *fold)
{
    Polos__V1__Run *run = fold->run;
    size_t shown_count = run->n_turns;
    if (run->status == POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED) {
        run->result_type = text_of(fold->arena, fold->value_type);
    }
    run->n_turns = 0;
    size_t bytes = protobuf_c_message_get_packed_size(&run->base);
    run->n_turns = shown_count;
    fold->room = bytes < RUN_VIEW_BYTES_MAX ? RUN_VIEW_BYTES_MAX - bytes : 0;
    run->omitted_fields = arena_zalloc(fold->arena, OMITTED_MAX * sizeof(run->omitted_fields[0]));
    run->result_json = take_text(fold, "result_json", result_of(fold));
    if (fold->facts->state.kind == RUN_KIND_AGENT) {
        take_turns(fold);
    }
    run->input_json = take_text(fold, "input_json", fold->input);
    run->state_json = take_text(fold, "state_json", fold->facts->state_json);
}

void run_view_shorten(Polos__V1__Run *run)
{
    static char none[] = "";
    const struct {
        char **text;
        const char *field;
    } large[] = {
        {&run->input_json, "input_json"},
        {&run->result_json, "result_json"},
        {&run->state_json, "state_json"},
    };
    for (size_t i = 0; i < COUNT_OF(large); i++) {
        if ((*large[i].text)[0] != '\0') {
            *large[i].text = none;
            run->omitted_fields[run->n_omitted_fields++] = (char *)large[i].field;
        }
    }
    if (run->n_turns > 0 && run->n_turns == run->turn_count) { /* Else it is named already. */
        run->omitted_fields[run->n_omitted_fields++] = (char *)"turns";
    }
    run->n_turns = 0;
    assert(run->n_omitted_fields <= OMITTED_MAX);
}

status run_view(const struct run_facts *facts, const struct run_report *report, struct arena *arena,
                Polos__V1__Run **ret)
{
    assert(facts->record_count == 0 || facts->records != NULL);
    struct fold fold = {
        .arena = arena,
        .facts = facts,
        .known = {.facts = facts, .report = report},
        .run = run_view_state(facts, arena),
    };
    for (size_t i = 0; i < facts->record_count; i++) {
        TRY(fold_record(&fold, facts->records[i]));
    }
    close_turn(&fold);
    run_waiting(&fold.known, arena, fold.run);
    take_large(&fold);
    *ret = fold.run;
    return STATUS_OK;
}
