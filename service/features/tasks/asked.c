#include "service/features/tasks/asked.h"

#include "service/agents/guardrail.h"
#include "service/agents/output.h"
#include "service/agents/plan.h"
#include "service/agents/transcript.h"
#include "service/base/json.h"
#include "service/features/definitions/definitions.h"
#include "service/features/waits/replay.h"
#include "service/partition/journal.h"

struct story {
    uint32_t about; /* The tool call's effect; 0: none. */
    uint32_t turns;
    str input;
    struct event call; /* Its TASK_REQUESTED. */
    str arguments;
    struct outcome outcome; /* Of the call. */
};

static const uint64_t story_kinds =
    JOURNAL_KIND(EVENT_RUN_STARTED) | JOURNAL_KIND(EVENT_INPUT_AMENDED) |
    JOURNAL_KIND(EVENT_MODEL_REPLIED) | JOURNAL_KIND(EVENT_REPLY_REJECTED) |
    JOURNAL_KIND(EVENT_TASK_REQUESTED) | JOURNAL_KIND(EVENT_CALL_AMENDED) |
    JOURNAL_KIND(EVENT_TASK_SETTLED) | JOURNAL_KIND(EVENT_RESULT_AMENDED);

static void read_call(struct story *story, const struct event *event)
{
    if (event->kind == EVENT_TASK_REQUESTED && event->effect == story->about) {
        story->call = *event;
        story->arguments = event->task_requested.input;
    } else if (event->kind == EVENT_CALL_AMENDED && event->amended.about == story->about) {
        story->arguments = event->amended.value;
    } else if (event->kind == EVENT_TASK_SETTLED && event->effect == story->about) {
        story->outcome = event->task_settled.outcome;
    } else if (event->kind == EVENT_RESULT_AMENDED && event->amended.about == story->about) {
        story->outcome = (struct outcome){.value = event->amended.value};
    }
}

static bool read_event(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct story *story = context;
    if (event->kind == EVENT_RUN_STARTED) {
        story->input = event->run_started.spec.input;
    } else if (event->kind == EVENT_INPUT_AMENDED) {
        story->input = event->amended.value;
    } else if (event->kind == EVENT_MODEL_REPLIED) {
        story->turns++;
    } else if (event->kind == EVENT_REPLY_REJECTED) { /* The turn has no reply yet. */
        story->turns -= event->reply_rejected.by == REJECTED_BY_GUARDRAIL;
    } else if (story->about != 0) {
        read_call(story, event);
    }
    return true;
}

static status read_story(struct partition *partition, const struct live_run *run,
                         struct story *story)
{
    assert(run->state.kind == RUN_KIND_AGENT); /* All of its records are in memory. */
    for (size_t i = 0; i < run->record_count; i++) {
        TRY(journal_record(run->records[i], story_kinds, &partition->round_arena, read_event,
                           story));
    }
    return STATUS_OK;
}

status asked_arguments(struct partition *partition, const struct live_run *run, uint32_t effect,
                       str *input)
{
    struct story story = {.about = effect, .arguments = *input};
    if (run->state.callbacks[CALLBACK_TOOL_START] == 0) {
        return STATUS_OK;
    }
    TRY(read_story(partition, run, &story));
    *input = story.arguments;
    return STATUS_OK;
}

status asked_of(struct partition *partition, struct live_run *run, const struct effect *callback,
                struct host_callback *ret, str *ret_input)
{
    struct story story = {.about = callback->owner};
    struct definition *definition;
    assert(callback->kind == EFFECT_CALLBACK);
    TRY(definition_of(partition, run, &definition));
    TRY(read_story(partition, run, &story));
    bool is_end = callback->phase == CALLBACK_RUN_END;
    bool has_answer = is_end || callback->phase == CALLBACK_TURN_END;
    bool is_structured = is_end && definition->agent.output_schema_json.len > 0;
    *ret = (struct host_callback){
        .phase = callback->phase,
        .index = callback->index,
        .replies = story.turns,
        .result =
            has_answer ? replay_answer(run, is_structured, &partition->round_arena) : STR_EMPTY,
    };
    *ret_input = story.input;
    if (callback->phase == CALLBACK_REPLY) {
        struct model_reply reply;
        str origin;
        uint32_t judgements;
        TRY(guardrail_reply(run->records, run->record_count, &partition->round_arena, &reply,
                            &origin, &judgements));
        ret->result = guardrail_show(&reply, &partition->round_arena);
    }
    if (callback->owner != 0) {
        ret->call_id = story.call.task_requested.call_id;
        ret->tool = story.call.task_requested.name;
        ret->arguments = story.call.task_requested.input;
        ret->has_outcome = callback->phase == CALLBACK_TOOL_END;
        ret->outcome = story.outcome;
        *ret_input = story.arguments;
    }
    return STATUS_OK;
}

static void misfit_is(struct outcome *outcome, str message)
{
    *outcome = (struct outcome){
        .failed = true, .error_type = STR("INVALID_RESULT"), .error_message = message};
}

/* Its change becomes the reply that everybody acts on. */
static void amend_reply(struct model_reply *reply, str origin, struct arena *arena,
                        struct outcome *outcome)
{
    struct buf packed = {0};
    str misfit = guardrail_amend(reply, outcome->value, arena);
    if (misfit.len > 0) {
        misfit_is(outcome, misfit);
        return;
    }
    transcript_pack_reply(reply, origin, &packed);
    outcome->value = buf_finish(&packed, arena);
}

void asked_plan(struct partition *partition, struct live_run *run, struct arena *arena,
                struct command *command)
{
    struct definition *definition;
    struct model_reply reply;
    str origin;
    uint32_t judgements;
    struct outcome *outcome = &command->task.outcome;
    assert(command->kind == COMMAND_TASK_DONE);
    status read = definition_of(partition, run, &definition);
    if (status_is_ok(read)) {
        read =
            guardrail_reply(run->records, run->record_count, arena, &reply, &origin, &judgements);
    }
    if (!status_is_ok(read)) {
        misfit_is(outcome, str_of(read.why));
        return;
    }
    if (!outcome->failed && outcome->value.len > 0) {
        amend_reply(&reply, origin, arena, outcome);
    }
    command->plan = plan_of(&definition->agent, &reply, arena);
    command->plan.objection = guardrail_objection(outcome->error_message, arena);
}

str asked_misfit(enum callback_phase phase, str value, struct arena *arena)
{
    const struct model_message *messages;
    size_t count;
    if (value.len == 0) {
        return STR_EMPTY;
    }
    switch (phase) {
    case CALLBACK_RUN_START: {
        status read = transcript_check_input(value, arena, &messages, &count);
        return status_is_ok(read) ? STR_EMPTY
                                  : arena_printf(arena, "the input it gave is none: %s", read.why);
    }
    case CALLBACK_TOOL_START:
        return json_is_object(value) ? STR_EMPTY
                                     : STR("the arguments it gave are not a JSON object");
    case CALLBACK_RUN_END:
    case CALLBACK_TOOL_END:
    case CALLBACK_REPLY: /* Where it is made of the reply. */
        return STR_EMPTY;
    case CALLBACK_TURN_START:
    case CALLBACK_TURN_END:
        return STR("it changed something where there is nothing to change");
    case CALLBACK_NONE:
    case CALLBACK_PHASE_COUNT:
        break;
    }
    assert(false && "a callback of no phase");
    return STR_EMPTY;
}
