#include "service/api/run_view.h"

#include "service/agents/transcript.h"
#include "service/api/options.h"
#include "service/api/run_waiting.h"
#include "service/api/text.h"
#include "service/base/array.h"
#include "service/base/json.h"
#include "service/features/reports/reports.h"

enum {
    STEPS_BYTES_MAX = 2 << 20, /* Of a run's answer. */
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
    const struct run_report *report;
    Polos__V1__Run *run;
    struct run_waiting_hints hints;
    size_t step_cap;
    Polos__V1__Step *step; /* The current turn; NULL: none yet. */
    struct slot *slots; /* One per tool call of it. */
    str answer; /* The text of the last reply. */
    str value; /* Of the body. */
};

static Polos__V1__RunError *error_of(struct arena *arena, str reason, str message)
{
    Polos__V1__RunError *error = arena_alloc(arena, sizeof(*error));
    polos__v1__run_error__init(error);
    error->reason = text_of(arena, reason);
    error->message = text_of(arena, message);
    return error;
}

static Polos__V1__Usage *usage_of(struct arena *arena, const struct engine_usage *from)
{
    Polos__V1__Usage *usage = arena_alloc(arena, sizeof(*usage));
    polos__v1__usage__init(usage);
    usage->input_tokens = (int64_t)from->input;
    usage->output_tokens = (int64_t)from->output;
    usage->total_tokens = (int64_t)(from->input + from->output);
    usage->cache_read_input_tokens = (int64_t)from->cache_read;
    usage->cache_creation_input_tokens = (int64_t)from->cache_write;
    usage->reasoning_tokens = (int64_t)from->reasoning;
    usage->incomplete = !from->known;
    return usage;
}

static Polos__V1__RunStatus status_of(const struct run *state)
{
    switch ((enum run_state)state->state) {
    case RUN_COMPLETED:
        return POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED;
    case RUN_FAILED:
        return POLOS__V1__RUN_STATUS__RUN_STATUS_FAILED;
    case RUN_CANCELLED:
        return POLOS__V1__RUN_STATUS__RUN_STATUS_CANCELLED;
    case RUN_NEW:
    case RUN_THINKING:
    case RUN_ACTING:
    case RUN_STATE_COUNT:
        break;
    }
    return engine_is_waiting(state) ? POLOS__V1__RUN_STATUS__RUN_STATUS_WAITING
                                    : POLOS__V1__RUN_STATUS__RUN_STATUS_RUNNING;
}

Polos__V1__Run *run_view_state(const struct run_report *report, struct arena *arena)
{
    const struct run *state = &report->state;
    assert(state->kind < RUN_KIND_COUNT);
    Polos__V1__Run *run = arena_alloc(arena, sizeof(*run));
    polos__v1__run__init(run);
    run->id = text_of_uuid(arena, state->id);
    run->kind = (Polos__V1__RunKind)state->kind;
    run->name = text_of(arena, report->name);
    run->status = status_of(state);
    run->total_steps = (int32_t)state->steps;
    run->root_run_id = run->id;
    run->created_at_ms = (int64_t)state->started_ms;
    run->ended_at_ms = (int64_t)state->ended_ms;
    run->deadline_ms = engine_is_clock_stopped(state) ? 0 : (int64_t)state->deadline_ms;
    run->last_seq = state->seq;
    run->state_json = text_of(arena, report->state_json);
    run->run_timeout_ms = (int64_t)state->timeout_ms;
    run->retry_count = (int32_t)state->retries;
    run->deployment = text_of(arena, report->deployment);
    run->cancelling = state->is_cancelling && !engine_is_terminal(state);
    struct engine_usage usage = {
        .input = state->input_tokens,
        .output = state->output_tokens,
        .cache_read = state->cache_read_tokens,
        .cache_write = state->cache_write_tokens,
        .reasoning = state->reasoning_tokens,
        .known = !state->usage_incomplete,
    };
    run->usage = usage_of(arena, &usage);
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
    run->created_at_ms = (int64_t)line->row.created_ms;
    run->ended_at_ms = (int64_t)line->row.ended_ms;
    run->last_seq = line->row.last_seq;
    return run;
}

/* The text of a turn: what it said, or else why it refused. */
static str text_of_reply(const struct model_reply *reply, struct arena *arena)
{
    struct buf said = {0};
    struct buf refused = {0};
    for (size_t i = 0; i < reply->block_count; i++) {
        const struct model_block *block = &reply->blocks[i];
        if (block->kind == MODEL_BLOCK_TEXT) {
            buf_put(&said, block->text);
        } else if (block->kind == MODEL_BLOCK_REFUSAL) {
            buf_put(&refused, block->text);
        }
    }
    str ret = arena_copy(arena, buf_str(said.len > 0 ? &said : &refused));
    buf_fini(&said);
    buf_fini(&refused);
    return ret;
}

static void add_call(struct fold *fold, const struct model_block *block)
{
    assert(fold->step != NULL);
    assert(block->kind == MODEL_BLOCK_TOOL_CALL);
    Polos__V1__ToolCall *call = arena_alloc(fold->arena, sizeof(*call));
    polos__v1__tool_call__init(call);
    call->call_id = text_of(fold->arena, block->call_id);
    call->name = text_of(fold->arena, block->name);
    call->arguments_json = text_of(fold->arena, block->arguments);
    fold->slots[fold->step->n_tool_calls] = (struct slot){.call = call};
    fold->step->tool_calls[fold->step->n_tool_calls++] = call;
}

/* Puts the current turn's results in the order of its calls. */
static void close_step(struct fold *fold)
{
    Polos__V1__Step *step = fold->step;
    if (step == NULL) {
        return;
    }
    step->tool_results = arena_alloc(fold->arena, step->n_tool_calls * sizeof(void *));
    for (size_t i = 0; i < step->n_tool_calls; i++) {
        if (fold->slots[i].result != NULL) {
            step->tool_results[step->n_tool_results++] = fold->slots[i].result;
        }
    }
    assert(step->n_tool_results <= step->n_tool_calls);
    fold->step = NULL;
}

static Polos__V1__Step *add_step(struct fold *fold)
{
    assert(fold->step == NULL); /* The one before is closed. */
    Polos__V1__Run *run = fold->run;
    run->steps = array_reserve_in(fold->arena, run->steps, &fold->step_cap, run->n_steps + 1,
                                  sizeof(run->steps[0]));
    Polos__V1__Step *step = arena_alloc(fold->arena, sizeof(*step));
    polos__v1__step__init(step);
    run->steps[run->n_steps++] = step;
    step->number = (int32_t)run->n_steps;
    return step;
}

static status fold_reply(struct fold *fold, const struct event *event)
{
    struct model_reply reply;
    str origin;
    TRY(transcript_unpack_reply(event->model_replied.reply, fold->arena, &reply, &origin));
    close_step(fold);
    fold->step = add_step(fold);
    fold->answer = text_of_reply(&reply, fold->arena);
    fold->hints.model = reply.model;
    fold->step->content = text_of(fold->arena, fold->answer);
    fold->step->usage = usage_of(fold->arena, &event->model_replied.usage);
    fold->step->tool_calls = arena_alloc(fold->arena, reply.block_count * sizeof(void *));
    fold->slots = arena_zalloc(fold->arena, reply.block_count * sizeof(*fold->slots));
    for (size_t i = 0; i < reply.block_count; i++) {
        if (reply.blocks[i].kind == MODEL_BLOCK_TOOL_CALL) {
            add_call(fold, &reply.blocks[i]);
        }
    }
    return STATUS_OK;
}

static void fold_requested(struct fold *fold, const struct event *event)
{
    if (fold->step == NULL || event->task_requested.kind != EFFECT_TOOL) {
        return;
    }
    for (size_t i = 0; i < fold->step->n_tool_calls; i++) {
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
    result->tool_name = slot->call->name;
    result->arguments_json = slot->call->arguments_json;
    if (outcome->failed) {
        result->error = error_of(fold->arena, outcome->error_type, outcome->error_message);
    } else {
        result->result_json = text_of(fold->arena, outcome->value);
    }
    slot->result = result;
}

static void fold_settled(struct fold *fold, const struct event *event)
{
    if (fold->report->state.kind != RUN_KIND_AGENT) {
        fold->value = event->task_settled.outcome.value;
        return;
    }
    for (size_t i = 0; fold->step != NULL && i < fold->step->n_tool_calls; i++) {
        if (fold->slots[i].effect == event->effect) {
            settle_slot(fold, &fold->slots[i], &event->task_settled.outcome);
            return;
        }
    }
}

static void fold_started(struct fold *fold, const struct event *event)
{
    const struct run_spec *spec = &event->run_started.spec;
    Polos__V1__Run *run = fold->run;
    run->input_json = text_of(fold->arena, spec->input);
    options_show(&spec->options, fold->arena, run);
    if (!uuid_is_zero(spec->parent)) {
        run->parent_run_id = text_of_uuid(fold->arena, spec->parent);
    }
    if (!uuid_is_zero(spec->root)) {
        run->root_run_id = text_of_uuid(fold->arena, spec->root);
    }
}

static void fold_cancelled(struct fold *fold, str cause)
{
    /* Why somebody asked for it tells more than how its code ended. */
    str asked = fold->report->cancel_cause;
    str known = asked.len > 0 ? asked : cause;
    str sentence = known.len > 0 ? known : STR("The run was cancelled; start another one.");
    fold->run->error = error_of(fold->arena, STR("CANCELLED"), sentence);
}

/* Who has the tasks of the state's turn. */
static void fold_lease(struct fold *fold, const struct event *event, str host_id)
{
    const struct run *state = &fold->report->state;
    assert(state->effect_count <= COUNT_OF(fold->hints.hosts));
    for (size_t i = 0; i < state->effect_count; i++) {
        if (state->effects[i].id == event->effect) {
            fold->hints.hosts[i] = host_id;
        }
    }
}

static status fold_event(struct fold *fold, const struct event *event)
{
    if (event_traits(event->kind)->ends_lease) {
        fold_lease(fold, event, STR_EMPTY);
    }
    if (event->kind == EVENT_RUN_STARTED) {
        fold_started(fold, event);
    } else if (event->kind == EVENT_RUN_COMPLETED && fold->report->state.kind == RUN_KIND_AGENT) {
        fold->run->stop_reason = text_of(fold->arena, event->run_completed.stop_reason);
    } else if (event->kind == EVENT_RUN_FAILED) {
        fold->run->error =
            error_of(fold->arena, event->run_failed.reason, event->run_failed.message);
    } else if (event->kind == EVENT_RUN_CANCELLED) {
        fold_cancelled(fold, event->run_cancelled.cause);
    } else if (event->kind == EVENT_MODEL_REPLIED) {
        return fold_reply(fold, event);
    } else if (event->kind == EVENT_MODEL_FAILED) {
        fold->hints.failure = event->model_failed.message;
    } else if (event->kind == EVENT_TASK_REQUESTED) {
        fold_requested(fold, event);
    } else if (event->kind == EVENT_TASK_SETTLED) {
        fold_settled(fold, event);
    } else if (event->kind == EVENT_LEASE_GRANTED) {
        fold_lease(fold, event, event->lease_granted.host_id);
    } else if (event->kind == EVENT_TASK_FAILED) {
        fold->hints.failure = event->task_failed.outcome.error_message;
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

static size_t step_bytes(const Polos__V1__Step *step)
{
    return protobuf_c_message_get_packed_size(&step->base);
}

/* What the newest leave no room for is not shown. */
static void drop_old_steps(Polos__V1__Run *run)
{
    size_t bytes = 0;
    size_t first = run->n_steps;
    while (first > 0 && bytes + step_bytes(run->steps[first - 1]) <= STEPS_BYTES_MAX) {
        bytes += step_bytes(run->steps[--first]);
    }
    assert(first <= run->n_steps && bytes <= STEPS_BYTES_MAX);
    run->steps_left_out = (int32_t)first;
    run->steps = first < run->n_steps ? run->steps + first : NULL;
    run->n_steps -= first;
}

static char *result_of(const struct fold *fold)
{
    assert(fold->step == NULL); /* All has been read. */
    if (fold->run->status != POLOS__V1__RUN_STATUS__RUN_STATUS_COMPLETED) {
        return fold->run->result_json;
    }
    if (fold->report->state.kind != RUN_KIND_AGENT) {
        return text_of(fold->arena, fold->value);
    }
    if (fold->report->is_structured && json_is_valid(fold->answer)) {
        return text_of(fold->arena, fold->answer);
    }
    struct buf quoted = {0};
    buf_put_json_string(&quoted, fold->answer);
    char *ret = text_of(fold->arena, buf_str(&quoted));
    buf_fini(&quoted);
    return ret;
}

status run_view(const struct run_report *report, struct arena *arena, Polos__V1__Run **ret)
{
    assert(report->record_count == 0 || report->records != NULL);
    struct fold fold = {
        .arena = arena,
        .report = report,
        .run = run_view_state(report, arena),
    };
    for (size_t i = 0; i < report->record_count; i++) {
        TRY(fold_record(&fold, report->records[i]));
    }
    close_step(&fold);
    drop_old_steps(fold.run);
    fold.run->result_json = result_of(&fold);
    run_waiting(report, &fold.hints, arena, fold.run);
    *ret = fold.run;
    return STATUS_OK;
}
