#include "service/agents/transcript.h"

#include <math.h>

#include "service/agents/input.h"
#include "service/base/json.h"
#include "service/codec/codec.h"

/* A tool call of the turn that is being read, and what came of it. */
struct task {
    uint32_t effect;
    str call_id;
    bool settled;
    bool answered; /* Its result has been taken. */
    struct outcome outcome;
};

struct builder {
    struct arena *arena;
    struct message_list messages;
    bool started;
    str options; /* Of the run. */
    uint32_t attempt;
    const struct model_reply *reply; /* Of the turn; NULL before the first. */
    str feedback; /* On that reply; empty: none. */
    str inputs[ENGINE_INPUTS_MAX]; /* Accepted and not taken so far, in order. */
    size_t input_count;
    struct message_list taken; /* Behind that reply. */
    str origin;
    struct task tasks[ENGINE_TOOL_CALLS_MAX];
    size_t task_count;
};

static str result_text(const struct task *task, struct arena *arena)
{
    const struct outcome *outcome = &task->outcome;
    assert(task->settled);
    if (!outcome->failed) {
        return outcome->value.len == 0 ? STR("null") : input_text(outcome->value, arena);
    }
    str message = outcome->error_message.len > 0 ? outcome->error_message : outcome->error_type;
    if (message.len == 0) {
        message = STR("the tool failed");
    }
    struct buf text = {NULL, 0, 0};
    buf_put(&text, STR("Error: "));
    buf_put(&text, message);
    return buf_finish(&text, arena);
}

static struct task *take_task(struct builder *builder, str call_id)
{
    for (size_t i = 0; i < builder->task_count; i++) {
        struct task *task = &builder->tasks[i];
        if (!task->answered && str_equal(task->call_id, call_id)) {
            task->answered = true;
            return task;
        }
    }
    return NULL;
}

/* Providers refuse a conversation in which a call has no result, so every call gets one. */
static struct model_block result_of(struct builder *builder, const struct model_block *call)
{
    assert(call->kind == MODEL_BLOCK_TOOL_CALL);
    const struct task *task = take_task(builder, call->call_id);
    struct model_block block = {
        .kind = MODEL_BLOCK_TOOL_RESULT,
        .call_id = call->call_id,
        .name = call->name,
        .is_error = true,
    };
    if (task == NULL && builder->feedback.len > 0) {
        block.text = STR("Error: this call was not run: the reply it stands in was turned down");
    } else if (task == NULL) {
        static_assert(ENGINE_TOOL_CALLS_MAX == 32, "the sentence says so");
        block.text = STR("Error: this call was not run: at most 32 calls are run in one turn");
    } else if (!task->settled) {
        block.text = STR("Error: this call has no result");
    } else {
        block.text = result_text(task, builder->arena);
        block.is_error = task->outcome.failed;
    }
    return block;
}

static void add_results(struct builder *builder, size_t call_count)
{
    const struct model_reply *reply = builder->reply;
    struct model_block *blocks = arena_alloc(builder->arena, call_count * sizeof(*blocks));
    size_t count = 0;
    for (size_t i = 0; i < reply->block_count; i++) {
        if (reply->blocks[i].kind == MODEL_BLOCK_TOOL_CALL) {
            blocks[count++] = result_of(builder, &reply->blocks[i]);
        }
    }
    assert(call_count > 0 && count == call_count);
    message_list_add(&builder->messages,
                     (struct model_message){
                         .role = MODEL_ROLE_TOOL, .blocks = blocks, .block_count = call_count},
                     builder->arena);
}

/* The turn that was read becomes messages. */
static void end_turn(struct builder *builder)
{
    const struct model_reply *reply = builder->reply;
    size_t call_count = 0;
    if (reply == NULL || reply->block_count == 0) {
        return;
    }
    message_list_add(&builder->messages,
                     (struct model_message){.role = MODEL_ROLE_ASSISTANT,
                                            .blocks = reply->blocks,
                                            .block_count = reply->block_count,
                                            .origin = builder->origin},
                     builder->arena);
    for (size_t i = 0; i < reply->block_count; i++) {
        call_count += reply->blocks[i].kind == MODEL_BLOCK_TOOL_CALL;
    }
    if (call_count > 0) {
        add_results(builder, call_count);
    }
}

/* What the model is told of its answer, as if the user said it. */
static void add_feedback(struct builder *builder)
{
    struct model_block *block = arena_zalloc(builder->arena, sizeof(*block));
    block->kind = MODEL_BLOCK_TEXT;
    block->text = builder->feedback;
    message_list_add(
        &builder->messages,
        (struct model_message){
            .role = MODEL_ROLE_USER, .blocks = block, .block_count = 1, .is_amid = true},
        builder->arena);
    builder->feedback = STR_EMPTY;
}

/* The turn, and what was said behind it. */
static void end_answer(struct builder *builder)
{
    end_turn(builder);
    if (builder->feedback.len > 0) {
        add_feedback(builder);
    }
    for (size_t i = 0; i < builder->taken.count; i++) {
        builder->taken.items[i].is_amid = true;
        message_list_add(&builder->messages, builder->taken.items[i], builder->arena);
    }
    builder->taken.count = 0;
}

static status begin_turn(struct builder *builder, const struct event *event)
{
    struct model_reply *reply = arena_alloc(builder->arena, sizeof(*reply));
    end_answer(builder);
    builder->task_count = 0;
    builder->reply = reply;
    return transcript_unpack_reply(event->model_replied.reply, builder->arena, reply,
                                   &builder->origin);
}

/* Of the turn that is being read: nobody has acted on it yet. */
static status amend_reply(struct builder *builder, const struct event *event)
{
    struct model_reply *reply = arena_alloc(builder->arena, sizeof(*reply));
    builder->reply = reply;
    return transcript_unpack_reply(event->reply_amended.reply, builder->arena, reply,
                                   &builder->origin);
}

static status begin_run(struct builder *builder, const struct event *event)
{
    const struct run_spec *spec = &event->run_started.spec;
    if (builder->started) {
        return status_make(CODE_DATA_LOSS, "history: the run starts twice");
    }
    builder->started = true;
    builder->options = spec->provider_options;
    return input_messages(spec->input, builder->arena, &builder->messages);
}

static void add_task(struct builder *builder, const struct event *event)
{
    bool is_call = event->task_requested.kind == EFFECT_TOOL;
    if (is_call && builder->task_count < ENGINE_TOOL_CALLS_MAX) {
        builder->tasks[builder->task_count++] =
            (struct task){.effect = event->effect, .call_id = event->task_requested.call_id};
    }
}

/* Or what callbacks made of how it ended. */
static void settle_task(struct builder *builder, const struct event *event)
{
    bool is_settled = event->kind == EVENT_TASK_SETTLED;
    uint32_t effect = is_settled ? event->effect : event->amended.about;
    for (size_t i = 0; i < builder->task_count; i++) {
        if (builder->tasks[i].effect == effect) {
            builder->tasks[i].settled = true;
            builder->tasks[i].outcome = is_settled
                                            ? event->task_settled.outcome
                                            : (struct outcome){.value = event->amended.value};
        }
    }
}

static status accept_input(struct builder *builder, const struct event *event)
{
    if (builder->input_count == ENGINE_INPUTS_MAX) {
        return status_make(CODE_DATA_LOSS, "history: more inputs than a run may have");
    }
    builder->inputs[builder->input_count++] = event->input_accepted.data;
    return STATUS_OK;
}

/* The oldest one. */
static status take_input(struct builder *builder)
{
    if (builder->input_count == 0) {
        return status_make(CODE_DATA_LOSS, "history: an input is taken that was not accepted");
    }
    str data = builder->inputs[0];
    builder->input_count--;
    memmove(builder->inputs, builder->inputs + 1, builder->input_count * sizeof(data));
    return input_messages(data, builder->arena, &builder->taken);
}

/* The kinds of events a conversation is made of; the others are not even parsed. */
static bool matters(enum event_kind kind)
{
    return kind == EVENT_RUN_STARTED || kind == EVENT_MODEL_REQUESTED ||
           kind == EVENT_MODEL_REPLIED || kind == EVENT_REPLY_AMENDED ||
           kind == EVENT_TASK_REQUESTED || kind == EVENT_TASK_SETTLED ||
           kind == EVENT_REPLY_REJECTED || kind == EVENT_INPUT_ACCEPTED ||
           kind == EVENT_INPUT_TAKEN || kind == EVENT_INPUT_AMENDED || kind == EVENT_RESULT_AMENDED;
}

static status read_event(struct builder *builder, const struct codec_entry *entry)
{
    struct event event;
    TRY(codec_decode(entry, builder->arena, &event));
    assert(event.kind == entry->kind);
    if (event.kind == EVENT_RUN_STARTED) {
        return begin_run(builder, &event);
    }
    if (event.kind == EVENT_MODEL_REPLIED) {
        return begin_turn(builder, &event);
    }
    if (event.kind == EVENT_REPLY_AMENDED) {
        return amend_reply(builder, &event);
    }
    if (event.kind == EVENT_INPUT_AMENDED) { /* Before anything was said. */
        builder->messages.count = 0;
        return input_messages(event.amended.value, builder->arena, &builder->messages);
    }
    if (event.kind == EVENT_INPUT_ACCEPTED) {
        return accept_input(builder, &event);
    }
    if (event.kind == EVENT_INPUT_TAKEN) {
        return take_input(builder);
    }
    if (event.kind == EVENT_MODEL_REQUESTED) {
        builder->attempt = event.attempt;
    } else if (event.kind == EVENT_REPLY_REJECTED) {
        builder->feedback = event.reply_rejected.feedback;
    } else if (event.kind == EVENT_TASK_REQUESTED) {
        add_task(builder, &event);
    } else {
        settle_task(builder, &event);
    }
    return STATUS_OK;
}

static status read_record(struct builder *builder, str record)
{
    struct codec_entry entry;
    size_t cursor = 0;
    bool end = false;
    while (true) {
        TRY(codec_next(record, &cursor, &entry, &end));
        if (end) {
            return STATUS_OK;
        }
        if (matters(entry.kind)) {
            TRY(read_event(builder, &entry));
        }
    }
}

static status merge_options(str base, str overlay, struct arena *arena, str *ret)
{
    struct buf merged = {NULL, 0, 0};
    if ((base.len > 0 && !json_is_object(base)) || (overlay.len > 0 && !json_is_object(overlay))) {
        return status_make(CODE_INVALID_ARGUMENT, "the provider's options are not a JSON object");
    }
    if (base.len == 0 || overlay.len == 0) {
        *ret = base.len == 0 ? overlay : base;
        return STATUS_OK;
    }
    json_object_merge(base, overlay, &merged);
    *ret = buf_finish(&merged, arena);
    return STATUS_OK;
}

status transcript_options(const struct agent_definition *definition, const str *records,
                          size_t record_count, struct arena *arena, str *ret)
{
    struct codec_entry entry;
    struct event event;
    size_t cursor = 0;
    bool end = true;
    if (record_count > 0) { /* A run's start is its first event. */
        TRY(codec_next(records[0], &cursor, &entry, &end));
    }
    if (end || entry.kind != EVENT_RUN_STARTED) {
        return status_make(CODE_DATA_LOSS, "history: the run's start is missing");
    }
    TRY(codec_decode(&entry, arena, &event));
    return merge_options(definition->options_json, event.run_started.spec.provider_options, arena,
                         ret);
}

static const struct model_tool *tools_of(const struct agent_definition *definition,
                                         struct arena *arena)
{
    struct model_tool *tools = arena_alloc(arena, definition->tool_count * sizeof(*tools));
    for (size_t i = 0; i < definition->tool_count; i++) {
        tools[i] = (struct model_tool){
            .name = definition->tools[i].name,
            .description = definition->tools[i].description,
            .parameters_json = definition->tools[i].parameters_json,
        };
    }
    return tools;
}

struct model_request transcript_bare_request(const struct agent_definition *definition,
                                             str options_json)
{
    return (struct model_request){
        .provider = definition->provider,
        .model = definition->model,
        .base_url = definition->base_url,
        .temperature = NAN,
        .options_json = options_json,
        .attempt = 1,
    };
}

status transcript_request(const struct agent_definition *definition, const str *records,
                          size_t record_count, struct arena *arena, struct model_request *ret)
{
    struct builder builder = {.arena = arena, .attempt = 1};
    str options;
    for (size_t i = 0; i < record_count; i++) {
        TRY(read_record(&builder, records[i]));
    }
    if (!builder.started) {
        return status_make(CODE_DATA_LOSS, "history: the run's start is missing");
    }
    end_answer(&builder);
    assert(builder.task_count <= ENGINE_TOOL_CALLS_MAX);
    TRY(merge_options(definition->options_json, builder.options, arena, &options));
    *ret = transcript_bare_request(definition, options);
    ret->system = definition->system_prompt;
    ret->messages = builder.messages.items;
    ret->message_count = builder.messages.count;
    ret->tools = tools_of(definition, arena);
    ret->tool_count = definition->tool_count;
    ret->temperature = definition->temperature;
    ret->max_output_tokens = definition->max_output_tokens;
    ret->output_schema_json = definition->output_schema_json;
    ret->attempt = builder.attempt;
    return STATUS_OK;
}
