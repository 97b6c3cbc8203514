/*
 * models: the model calls in flight, and what comes back from them.
 *
 * A call is named by a slot and its generation, so an answer that comes for a slot given to
 * another call meanwhile is told apart without a search.
 */
#include <stdlib.h>

#include "service/agents/transcript.h"
#include "service/base/array.h"
#include "service/partition/internal.h"

enum {
    SLOT_NONE = UINT32_MAX,
};

static uint64_t call_name(const struct partition *partition, uint32_t slot)
{
    return ((uint64_t)partition->slots[slot].generation << 32) | slot;
}

static struct model_slot *find_call(struct partition *partition, uint64_t call)
{
    uint32_t slot = (uint32_t)call;
    if (slot >= partition->slot_capacity) {
        return NULL;
    }
    struct model_slot *found = &partition->slots[slot];
    return found->in_use && found->generation == call >> 32 ? found : NULL;
}

static uint32_t slot_take(struct partition *partition)
{
    if (partition->slot_free == SLOT_NONE || partition->slot_capacity == 0) {
        size_t before = partition->slot_capacity;
        partition->slots = array_reserve(partition->slots, &partition->slot_capacity, before + 1,
                                       sizeof(partition->slots[0]));
        partition->slot_free = SLOT_NONE;
        for (size_t i = partition->slot_capacity; i > before; i--) {
            partition->slots[i - 1] =
                (struct model_slot){.generation = 1, .next_free = partition->slot_free};
            partition->slot_free = (uint32_t)(i - 1);
        }
    }
    uint32_t slot = partition->slot_free;
    partition->slot_free = partition->slots[slot].next_free;
    partition->slots[slot].in_use = true;
    return slot;
}

static void slot_give(struct partition *partition, uint64_t call)
{
    struct model_slot *slot = find_call(partition, call);
    assert(slot != NULL);
    slot->in_use = false;
    slot->generation++;
    slot->next_free = partition->slot_free;
    partition->slot_free = (uint32_t)call;
}

/* The run's call, if any, is of no more interest. */
void model_forget(struct partition *partition, struct live_run *run)
{
    if (run->model_call == 0) {
        return;
    }
    model_client_cancel(&partition->options.models, run->model_call);
    slot_give(partition, run->model_call);
    run->model_call = 0;
    buf_reset(&run->model_text.bytes);
    run->model_text.part_count = 0;
}

static void fail_call(struct partition *partition, struct live_run *run, uint32_t effect,
                      uint32_t attempt, const char *reason, const char *why)
{
    struct request *request = request_new(REQUEST_MODEL_FAILED);
    request->run = run->state.id;
    request->model.call = 0; /* Not from a call: the run and the effect are named instead. */
    request->model.failure = (struct model_failure){
        .code = CODE_INTERNAL,
        .reason = reason,
        .message = arena_copy(&request->arena, str_of(why)),
        .http_status = effect,
        .retry_after_ms = attempt,
    };
    partition_post_always(partition, request);
}

void model_perform(struct partition *partition, struct live_run *run, uint32_t id, uint32_t attempt)
{
    const struct effect *effect = engine_effect(&run->state, id);
    if (effect == NULL || effect->attempt != attempt || effect->state != EFFECT_READY) {
        return; /* Cancelled in the same turn. */
    }
    assert(effect->kind == EFFECT_MODEL);
    assert(run->model_call == 0);
    struct model_request request;
    status built = definition_of(partition, run);
    if (status_is_ok(built)) {
        built = transcript_request(&run->definition->agent, run->records, run->record_count,
                                   &partition->scratch, &request);
    }
    if (!status_is_ok(built)) {
        fail_call(partition, run, id, attempt, "TRANSCRIPT_FAILED", built.why);
        return;
    }
    request.attempt = attempt;
    uint32_t slot = slot_take(partition);
    partition->slots[slot].run = run->state.id;
    partition->slots[slot].effect = id;
    partition->slots[slot].attempt = attempt;
    run->model_call = call_name(partition, slot);
    model_client_start(&partition->options.models, run->model_call, &request);
}

void handle_model_delta(struct partition *partition, struct request *request)
{
    struct model_slot *slot = find_call(partition, request->model.call);
    if (slot != NULL) {
        struct live_run *run = runs_find(partition, slot->run);
        if (run != NULL) {
            watch_delta(partition, run, slot->effect, slot->attempt, request->model.kind + 1u,
                        request->text);
        }
    }
    request_answer(partition, request, NULL);
}

static void origin_of(const struct live_run *run, struct arena *arena, str *ret)
{
    const struct agent_definition *agent = &run->definition->agent;
    *ret =
        arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(agent->provider), STR_ARG(agent->model));
}

static void submit_reply(struct partition *partition, struct live_run *run,
                         const struct model_slot *slot, struct request *request)
{
    const struct model_reply *reply = request->model.reply;
    status found = definition_of(partition, run);
    if (!status_is_ok(found)) {
        fail_call(partition, run, slot->effect, slot->attempt, "DEFINITION_MISSING", found.why);
        return;
    }
    struct command command = {
        .kind = COMMAND_MODEL_REPLIED,
        .effect = slot->effect,
        .attempt = slot->attempt,
    };
    str origin;
    origin_of(run, &request->arena, &origin);
    transcript_judge_calls(&run->definition->agent, reply, &request->arena,
                           &command.model_replied.calls, &command.model_replied.call_count,
                           &command.model_replied.stop);
    struct buf packed = {0};
    transcript_pack_reply(reply, origin, &packed);
    command.model_replied.reply = buf_str(&packed);
    command.model_replied.usage = (struct engine_usage){
        .input = reply->usage.input,
        .output = reply->usage.output,
        .cache_read = reply->usage.cache_read,
        .cache_write = reply->usage.cache_write,
        .reasoning = reply->usage.reasoning,
        .known = reply->usage.known,
    };
    enum verdict verdict = command_submit(partition, run, &command);
    (void)verdict; /* A stale answer changes nothing; it has been counted. */
    buf_fini(&packed);
}

static void end_call(struct partition *partition, struct live_run *run, uint64_t call)
{
    if (run != NULL && run->model_call == call) {
        run->model_call = 0;
        buf_reset(&run->model_text.bytes);
        run->model_text.part_count = 0;
    }
    slot_give(partition, call);
}

void handle_model_done(struct partition *partition, struct request *request)
{
    struct model_slot *found = find_call(partition, request->model.call);
    if (found != NULL) {
        struct model_slot slot = *found;
        struct live_run *run = runs_find(partition, slot.run);
        end_call(partition, run, request->model.call);
        if (run != NULL) {
            submit_reply(partition, run, &slot, request);
        }
    }
    request_answer_later(partition, request);
}

static void submit_failure(struct partition *partition, struct live_run *run, uint32_t effect,
                           uint32_t attempt, const struct model_failure *failure)
{
    struct command command = {
        .kind = COMMAND_MODEL_FAILED,
        .effect = effect,
        .attempt = attempt,
        .model_failed =
            {
                .reason = str_of(failure->reason),
                .message = failure->message,
                .retryable = failure->retryable,
                .retry_after_ms = failure->retry_after_ms,
            },
    };
    partition->options.random(partition->options.context, &command.model_failed.jitter,
                            sizeof(command.model_failed.jitter));
    enum verdict verdict = command_submit(partition, run, &command);
    (void)verdict;
}

void handle_model_failed(struct partition *partition, struct request *request)
{
    struct model_slot *found = find_call(partition, request->model.call);
    struct model_failure failure = request->model.failure;
    if (request->model.call == 0) { /* From fail_call(). */
        struct live_run *run;
        if (status_is_ok(runs_get(partition, request->run, &run))) {
            uint32_t effect = failure.http_status;
            uint32_t attempt = (uint32_t)failure.retry_after_ms;
            failure.retry_after_ms = 0;
            submit_failure(partition, run, effect, attempt, &failure);
        }
    } else if (found != NULL) {
        struct model_slot slot = *found;
        struct live_run *run = runs_find(partition, slot.run);
        end_call(partition, run, request->model.call);
        if (run != NULL) {
            submit_failure(partition, run, slot.effect, slot.attempt, &failure);
        }
    }
    request_answer_later(partition, request);
}

/* The sink: on the model thread, so everything is copied and posted. */

static void sink_delta(void *context, uint64_t call, enum model_delta_kind kind, str text)
{
    struct request *request = request_new(REQUEST_MODEL_DELTA);
    request->model.call = call;
    request->model.kind = kind;
    request->text = arena_copy(&request->arena, text);
    partition_post_always(context, request);
}

static struct model_block copy_block(struct arena *arena, const struct model_block *block)
{
    struct model_block copy = *block;
    copy.text = arena_copy(arena, block->text);
    copy.call_id = arena_copy(arena, block->call_id);
    copy.name = arena_copy(arena, block->name);
    copy.arguments = arena_copy(arena, block->arguments);
    copy.raw = arena_copy(arena, block->raw);
    return copy;
}

static void sink_done(void *context, uint64_t call, const struct model_reply *reply)
{
    struct request *request = request_new(REQUEST_MODEL_DONE);
    struct model_reply *copy = arena_zalloc(&request->arena, sizeof(*copy));
    *copy = *reply;
    size_t bytes = (reply->block_count + 1) * sizeof(struct model_block);
    struct model_block *blocks = arena_zalloc(&request->arena, bytes);
    for (size_t i = 0; i < reply->block_count; i++) {
        blocks[i] = copy_block(&request->arena, &reply->blocks[i]);
    }
    copy->blocks = blocks;
    copy->stop_raw = arena_copy(&request->arena, reply->stop_raw);
    copy->response_id = arena_copy(&request->arena, reply->response_id);
    copy->model = arena_copy(&request->arena, reply->model);
    request->model.call = call;
    request->model.reply = copy;
    partition_post_always(context, request);
}

static void sink_failed(void *context, uint64_t call, const struct model_failure *failure)
{
    struct request *request = request_new(REQUEST_MODEL_FAILED);
    request->model.call = call;
    request->model.failure = *failure;
    request->model.failure.message = arena_copy(&request->arena, failure->message);
    partition_post_always(context, request);
}

struct model_sink models_sink(struct partition *partition)
{
    return (struct model_sink){
        .context = partition,
        .delta = sink_delta,
        .done = sink_done,
        .failed = sink_failed,
    };
}
