/*
 * starts: new runs, whoever starts them.
 */
#include "service/features/starts/starts.h"

#include <stdlib.h>

#include "service/agents/transcript.h"
#include "service/codec/callbacks.h"
#include "service/features/definitions/definitions.h"
#include "service/features/idempotency/idempotency.h"
#include "service/features/queues/queues.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"

enum {
    RETRIES_DEFAULT = 2,
};

static_assert(sizeof(((struct start_request *)0)->digest) ==
                  sizeof(((struct idempotency_row *)0)->digest),
              "a request's digest is kept as it is");

struct starts {
    uint64_t id_ms; /* Of the newest run's id. */
    uint32_t id_count; /* Of its counter. */
};

/* True when the key has been used: the request is answered. */
static bool answer_repeated(struct partition *partition, struct request *request)
{
    struct start_request *start = start_request(request);
    struct idempotency_row row;
    str key = start->spec.options.idempotency_key;
    struct failure failure;
    if (key.len == 0 || !idempotency_ask(partition, key, start->digest, "options.idempotency_key",
                                         &row, &failure)) {
        return false;
    }
    if (failure_happened(&failure)) {
        request_fail_later(partition, request, &failure);
        return true;
    }
    start->ret_run = row.run;
    start->ret_existed = true;
    request_answer_later(partition, request); /* Its start may be in this very batch. */
    return true;
}

static bool refuse_start(struct failure *ret, enum code code, enum reason reason, const char *field,
                         str message)
{
    assert(code != CODE_OK);
    *ret = failure_make(code, reason, message);
    ret->field = str_of(field);
    return false;
}

static void pin_callbacks(const struct agent_definition *agent, struct arena *arena,
                          struct run_spec *spec)
{
    struct buf packed = {0};
    callbacks_pack(agent->callbacks, agent->callback_count, &packed);
    spec->callbacks = buf_finish(&packed, arena);
    callbacks_count(agent->callbacks, agent->callback_count, spec->callback_counts);
    spec->guardrail_retries =
        spec->callback_counts[CALLBACK_REPLY] > 0 ? agent->guardrail_retries : 0;
}

/* Fills in what the definition says and refuses what could never work. */
static bool prepare_agent(struct partition *partition, struct run_spec *spec, struct arena *arena,
                          struct failure *ret)
{
    assert(spec->kind == RUN_KIND_AGENT);
    struct definition *definition;
    status found = definition_newest(partition, spec->name, &definition);
    if (!status_is_ok(found)) {
        bool is_missing = found.code == CODE_NOT_FOUND;
        enum reason reason = is_missing ? REASON_AGENT_NOT_FOUND : REASON_STORE_DAMAGED;
        str message = is_missing
                          ? arena_printf(arena,
                                         "no agent '" STR_FMT
                                         "' is registered; connect a host that defines it, or call "
                                         "AgentService.Register",
                                         STR_ARG(spec->name))
                          : str_of(found.why);
        return refuse_start(ret, found.code, reason, "agent_id", message);
    }
    str options =
        spec->provider_options.len > 0 ? spec->provider_options : definition->agent.options_json;
    struct model_request model = transcript_bare_request(&definition->agent, options);
    found = transcript_check_input(spec->input, arena, &model.messages, &model.message_count);
    if (!status_is_ok(found)) {
        return refuse_start(ret, found.code, REASON_INVALID_FIELD, "input", str_of(found.why));
    }
    found = model_client_check(&partition->options.models, &model, arena);
    if (found.code == CODE_UNIMPLEMENTED) {
        return refuse_start(ret, CODE_INVALID_ARGUMENT, REASON_INVALID_FIELD, "input",
                            str_of(found.why));
    }
    if (!status_is_ok(found)) {
        bool is_key = found.code == CODE_FAILED_PRECONDITION;
        return refuse_start(ret, found.code,
                            is_key ? REASON_PROVIDER_KEY_MISSING : REASON_INVALID_PROVIDER,
                            "agent.models[0].provider", str_of(found.why));
    }
    uint32_t steps = definition->agent.max_steps;
    spec->turns_max = steps == 0 ? AGENT_STEPS_DEFAULT : steps;
    spec->tokens_max = definition->agent.max_total_tokens;
    bool is_judged = definition->agent.output_schema_json.len > 0;
    pin_callbacks(&definition->agent, arena, spec);
    spec->output_tries = is_judged ? definition->agent.output_retries + 1 : 0;
    spec->options.queue =
        spec->options.queue.len > 0 ? spec->options.queue : definition->agent.queue;
    spec->definition_hash = arena_copy(arena, str_make(definition->hash, DEFINITION_HASH_BYTES));
    return true;
}

bool start_has_space(struct partition *partition)
{
    struct store_stats stats;
    store_stats(&partition->store, &stats);
    return !stats.is_low_on_space;
}

bool start_may_begin(struct partition *partition, struct request *request)
{
    if (partition->requests.is_draining) {
        request_fail(partition, request, CODE_UNAVAILABLE, REASON_DRAINING,
                     "the server is shutting down; try again in a moment");
        return false;
    }
    if (queues_are_full(partition)) {
        request_fail(partition, request, CODE_RESOURCE_EXHAUSTED, REASON_QUEUES_FULL,
                     "4000000 runs are in queues, the most there may be; try again when some "
                     "have ended");
        return false;
    }
    if (!start_has_space(partition)) {
        struct failure failure = failure_make(
            CODE_RESOURCE_EXHAUSTED, REASON_LOW_DISK,
            STR("the server's disk is nearly full, so no new run is started; runs under way go "
                "on. Free some space and try again"));
        failure.retry_after_ms = 5000;
        request_answer(partition, request, &failure);
        return false;
    }
    return true;
}

/* Ids sort in the order of their starts, within one millisecond too: a counter from a random start
 * takes the 12 bits after the time. */
uuid start_new_id(struct partition *partition)
{
    struct starts *starts = partition_self(partition, &starts_feature);
    uint8_t random[10];
    partition->options.random(partition->options.context, random, sizeof(random));
    uint32_t drawn = ((uint32_t)random[0] << 8 | random[1]) & 0x3ff;
    bool is_later = partition->now_ms > starts->id_ms;
    starts->id_count = is_later ? drawn : starts->id_count + 1;
    starts->id_ms = is_later ? partition->now_ms : starts->id_ms;
    if (starts->id_count > 0xfff) {
        starts->id_ms++;
        starts->id_count = drawn;
    }
    assert(starts->id_count <= 0xfff);
    assert(starts->id_ms >= partition->now_ms);
    random[0] = (uint8_t)(starts->id_count >> 8);
    random[1] = (uint8_t)starts->id_count;
    return uuid_v7(starts->id_ms, random);
}

bool start_check(struct partition *partition, struct run_spec *spec, struct arena *arena,
                 struct failure *ret_failure)
{
    return (spec->kind != RUN_KIND_AGENT || prepare_agent(partition, spec, arena, ret_failure)) &&
           queues_check(partition, spec, arena, ret_failure);
}

static uint32_t retries_of(const struct run_spec *spec)
{
    int32_t max_retries = spec->options.max_retries;
    if (spec->kind != RUN_KIND_WORKFLOW || max_retries < 0) {
        return 0;
    }
    return max_retries == 0 ? RETRIES_DEFAULT : (uint32_t)max_retries;
}

bool start_run(struct partition *partition, struct run_spec *spec, struct arena *arena,
               struct failure *ret_failure, uuid *ret_id)
{
    if (!start_check(partition, spec, arena, ret_failure)) {
        return false;
    }
    uint64_t timeout_ms = spec->options.timeout_ms;
    assert(spec->kind > RUN_KIND_NONE && spec->kind < RUN_KIND_COUNT);
    timeout_ms = timeout_ms == 0 ? partition->options.run_timeout_ms : timeout_ms;
    spec->deadline_ms = partition->now_ms + timeout_ms;
    spec->retries_max = retries_of(spec);
    struct command start = {.kind = COMMAND_START, .start = {.id = start_new_id(partition)}};
    spec->has_order = uuid_is_zero(spec->root);
    spec->root = spec->has_order ? start.start.id : spec->root;
    start.start.spec = *spec;
    assert(!uuid_is_zero(start.start.id));
    struct live_run *run = runs_insert(partition, start.start.id);
    assert(spec->name.len <= CODEC_NAME_MAX);
    runs_begun(partition, run, spec);
    if (spec->kind == RUN_KIND_AGENT) {
        run->state.kind = RUN_KIND_AGENT; /* So that its records are kept; the event says it too. */
    }
    enum verdict verdict = command_submit(partition, run, &start);
    assert(verdict == VERDICT_OK);
    assert(run->is_touched && run->state.kind == spec->kind);
    *ret_id = start.start.id;
    return true;
}

static void handle_start(struct partition *partition, struct request *request)
{
    struct start_request *start = start_request(request);
    struct run_spec *spec = &start->spec;
    if (answer_repeated(partition, request) || !start_may_begin(partition, request)) {
        return;
    }
    struct failure failure;
    spec->cause = START_CAUSE_CALLER;
    if (!start_run(partition, spec, &request->arena, &failure, &start->ret_run)) {
        request_fail_later(partition, request, &failure); /* Perhaps by what this round deletes. */
        return;
    }
    if (spec->options.idempotency_key.len > 0) {
        idempotency_note(partition, spec->options.idempotency_key, start->digest, start->ret_run);
    }
    start->ret_existed = false;
    request_answer_later(partition, request);
}

const struct operation start_operation = {
    .name = "start",
    .request_bytes = sizeof(struct start_request),
    .handle = handle_start,
};

static void *start(struct partition *partition)
{
    (void)partition;
    return xcalloc(1, sizeof(struct starts));
}

static void stop(void *self)
{
    free(self);
}

static const struct feature *const uses[] = {
    &definitions_feature,
    &idempotency_feature,
    &queues_feature,
    NULL,
};

const struct feature starts_feature = {
    .name = "starts",
    .uses = uses,
    .start = start,
    .stop = stop,
};
