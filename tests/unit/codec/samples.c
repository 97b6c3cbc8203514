#include "tests/unit/codec/samples.h"

enum type {
    TEXT,
    ID,
    HASH, /* Text of 16 bytes, or none. */
    U64,
    U32,
    FLAG,
    RUN_KIND,
    TASK_KIND,
    WAIT_KIND,
    STOP,
    TRIES,
    REJECTED_BY,
    CAUSE,
};

static const struct field {
    uint32_t release; /* The first that writes it. */
    enum event_kind kind;
    enum type type;
    size_t offset;
    const char *name;
} fields[] = {
#define SINCE(release, kind, type, member)                                                         \
    {                                                                                              \
        release, EVENT_##kind, type, offsetof(struct event, member), #member                       \
    }
#define FIELD(kind, type, member) SINCE(1, kind, type, member)
#define SINCE_NAMED(release, kind, type, member, name)                                             \
    {                                                                                              \
        release, EVENT_##kind, type, offsetof(struct event, member), name                          \
    }
#define NAMED(kind, type, member, name) SINCE_NAMED(1, kind, type, member, name)
    FIELD(RUN_STARTED, ID, run_started.id),
    FIELD(RUN_STARTED, RUN_KIND, run_started.spec.kind),
    FIELD(RUN_STARTED, TEXT, run_started.spec.name),
    FIELD(RUN_STARTED, TEXT, run_started.spec.input),
    NAMED(RUN_STARTED, TEXT, run_started.spec.provider_options, "spec.options"),
    FIELD(RUN_STARTED, HASH, run_started.spec.definition_hash),
    FIELD(RUN_STARTED, TEXT, run_started.spec.options.session_id),
    FIELD(RUN_STARTED, TEXT, run_started.spec.options.user_id),
    FIELD(RUN_STARTED, TEXT, run_started.spec.options.conversation_id),
    FIELD(RUN_STARTED, TEXT, run_started.spec.options.idempotency_key),
    FIELD(RUN_STARTED, ID, run_started.spec.parent),
    FIELD(RUN_STARTED, ID, run_started.spec.root),
    FIELD(RUN_STARTED, U64, run_started.spec.deadline_ms),
    FIELD(RUN_STARTED, U64, run_started.spec.tokens_max),
    FIELD(RUN_STARTED, U32, run_started.spec.turns_max),
    SINCE(2, RUN_STARTED, U32, run_started.spec.retries_max),
    SINCE(2, RUN_STARTED, U32, run_started.spec.parent_effect),
    SINCE(2, RUN_STARTED, U32, run_started.spec.parent_index),
    SINCE_NAMED(2, RUN_STARTED, TEXT, run_started.spec.options.state.json,
                "run_started.spec.options.state"),
    SINCE(3, RUN_STARTED, TEXT, run_started.spec.options.queue),
    SINCE(3, RUN_STARTED, TEXT, run_started.spec.options.concurrency_key),
    SINCE(3, RUN_STARTED, U32, run_started.spec.options.priority),
    SINCE(6, RUN_STARTED, TRIES, run_started.spec.output_tries),
    SINCE(6, RUN_STARTED, FLAG, run_started.spec.has_order),
    SINCE(6, RUN_STARTED, TEXT, run_started.spec.options.input_type),
    SINCE(6, RUN_STARTED, CAUSE, run_started.spec.cause),
    SINCE(6, RUN_STARTED, TEXT, run_started.spec.started_by),
    SINCE(6, RUN_STARTED, ID, run_started.spec.origin),
    SINCE_NAMED(6, RUN_STARTED, TEXT, run_started.spec.options.state.type,
                "run_started.spec.options.state_type"),
    FIELD(RUN_COMPLETED, TEXT, run_completed.stop_reason),
    FIELD(RUN_FAILED, TEXT, run_failed.reason),
    FIELD(RUN_FAILED, TEXT, run_failed.message),
    FIELD(RUN_CANCELLED, TEXT, run_cancelled.cause),
    FIELD(MODEL_REQUESTED, U32, effect),
    FIELD(MODEL_REQUESTED, U32, attempt),
    SINCE(6, MODEL_REQUESTED, U32, model_requested.guardrail),
    FIELD(MODEL_REPLIED, U32, effect),
    FIELD(MODEL_REPLIED, U32, attempt),
    FIELD(MODEL_REPLIED, TEXT, model_replied.reply),
    FIELD(MODEL_REPLIED, STOP, model_replied.stop),
    FIELD(MODEL_REPLIED, U64, model_replied.usage.input),
    FIELD(MODEL_REPLIED, U64, model_replied.usage.output),
    FIELD(MODEL_REPLIED, U64, model_replied.usage.cache_read),
    FIELD(MODEL_REPLIED, U64, model_replied.usage.cache_write),
    FIELD(MODEL_REPLIED, U64, model_replied.usage.reasoning),
    FIELD(MODEL_REPLIED, FLAG, model_replied.usage.known),
    SINCE(6, MODEL_REPLIED, FLAG, model_replied.is_judged),
    FIELD(MODEL_FAILED, U32, effect),
    FIELD(MODEL_FAILED, U32, attempt),
    FIELD(MODEL_FAILED, TEXT, model_failed.reason),
    FIELD(MODEL_FAILED, TEXT, model_failed.message),
    FIELD(MODEL_FAILED, U64, model_failed.retry_at_ms),
    FIELD(TASK_REQUESTED, U32, effect),
    FIELD(TASK_REQUESTED, TASK_KIND, task_requested.kind),
    FIELD(TASK_REQUESTED, TEXT, task_requested.name),
    FIELD(TASK_REQUESTED, TEXT, task_requested.call_id),
    FIELD(TASK_REQUESTED, TEXT, task_requested.input),
    FIELD(TASK_REQUESTED, U64, task_requested.deadline_ms),
    FIELD(TASK_REQUESTED, FLAG, task_requested.at_most_once),
    SINCE(6, TASK_REQUESTED, U32, task_requested.about),
    FIELD(TASK_SETTLED, U32, effect),
    FIELD(TASK_SETTLED, U32, attempt),
    FIELD(TASK_SETTLED, FLAG, task_settled.outcome.failed),
    FIELD(TASK_SETTLED, TEXT, task_settled.outcome.value),
    FIELD(TASK_SETTLED, TEXT, task_settled.outcome.error_type),
    FIELD(TASK_SETTLED, TEXT, task_settled.outcome.error_message),
    FIELD(TASK_SETTLED, TEXT, task_settled.outcome.error_stack),
    SINCE_NAMED(2, TASK_SETTLED, TEXT, task_settled.state.json, "task_settled.state"),
    SINCE_NAMED(6, TASK_SETTLED, TEXT, task_settled.state.type, "task_settled.state_type"),
    SINCE(6, TASK_SETTLED, TEXT, task_settled.outcome.value_type),
    FIELD(STEP_SETTLED, U32, effect),
    FIELD(STEP_SETTLED, U32, attempt),
    FIELD(STEP_SETTLED, U32, step_settled.number),
    FIELD(STEP_SETTLED, TEXT, step_settled.key),
    FIELD(STEP_SETTLED, FLAG, step_settled.outcome.failed),
    FIELD(STEP_SETTLED, TEXT, step_settled.outcome.value),
    FIELD(STEP_SETTLED, TEXT, step_settled.outcome.error_type),
    FIELD(STEP_SETTLED, TEXT, step_settled.outcome.error_message),
    FIELD(STEP_SETTLED, TEXT, step_settled.outcome.error_stack),
    SINCE_NAMED(2, STEP_SETTLED, TEXT, step_settled.state.json, "step_settled.state"),
    SINCE_NAMED(6, STEP_SETTLED, TEXT, step_settled.state.type, "step_settled.state_type"),
    SINCE(6, STEP_SETTLED, TEXT, step_settled.outcome.value_type),
    FIELD(LEASE_GRANTED, U32, effect),
    FIELD(LEASE_GRANTED, U32, attempt),
    FIELD(LEASE_GRANTED, TEXT, lease_granted.host_id),
    SINCE(4, LEASE_GRANTED, TEXT, lease_granted.deployment),
    SINCE(6, LEASE_GRANTED, TEXT, lease_granted.language),
    FIELD(LEASE_LOST, U32, effect),
    FIELD(LEASE_LOST, U32, attempt),
    FIELD(LEASE_LOST, TEXT, lease_lost.cause),
    SINCE(5, LEASE_LOST, FLAG, lease_lost.is_excused),
    SINCE(2, WAIT_SET, U32, effect),
    SINCE(2, WAIT_SET, WAIT_KIND, wait_set.kind),
    SINCE(2, WAIT_SET, U32, wait_set.owner),
    SINCE(2, WAIT_SET, TEXT, wait_set.key),
    SINCE(2, WAIT_SET, TEXT, wait_set.data),
    SINCE(2, WAIT_SET, U64, wait_set.due_ms),
    SINCE(2, WAIT_SET, U32, wait_set.children),
    SINCE(5, WAIT_SET, TEXT, wait_set.answer_schema),
    SINCE(5, WAIT_SET, TEXT, wait_set.kept_misfit),
    SINCE(2, WAIT_SETTLED, U32, effect),
    SINCE(2, WAIT_SETTLED, WAIT_KIND, wait_settled.kind),
    SINCE(2, WAIT_SETTLED, U32, wait_settled.owner),
    SINCE(2, WAIT_SETTLED, TEXT, wait_settled.key),
    SINCE(2, WAIT_SETTLED, FLAG, wait_settled.outcome.failed),
    SINCE(2, WAIT_SETTLED, TEXT, wait_settled.outcome.value),
    SINCE(2, WAIT_SETTLED, TEXT, wait_settled.outcome.error_type),
    SINCE(2, WAIT_SETTLED, TEXT, wait_settled.outcome.error_message),
    SINCE(2, WAIT_SETTLED, TEXT, wait_settled.outcome.error_stack),
    SINCE(2, WAIT_SETTLED, TEXT, wait_settled.by),
    SINCE(2, CHILD_SETTLED, U32, effect),
    SINCE(2, CHILD_SETTLED, U32, child_settled.index),
    SINCE(2, CHILD_SETTLED, ID, child_settled.child),
    SINCE(2, CHILD_SETTLED, FLAG, child_settled.outcome.failed),
    SINCE(2, CHILD_SETTLED, TEXT, child_settled.outcome.value),
    SINCE(2, CHILD_SETTLED, TEXT, child_settled.outcome.error_type),
    SINCE(2, CHILD_SETTLED, TEXT, child_settled.outcome.error_message),
    SINCE(2, CHILD_SETTLED, TEXT, child_settled.outcome.error_stack),
    SINCE(5, CHILD_SETTLED, TEXT, child_settled.account),
    SINCE(2, RESUME_KEPT, TEXT, resume_kept.key),
    SINCE(2, RESUME_KEPT, TEXT, resume_kept.data),
    SINCE(2, RESUME_KEPT, TEXT, resume_kept.by),
    SINCE(2, TASK_PARKED, U32, effect),
    SINCE(2, TASK_PARKED, U32, attempt),
    SINCE(2, TASK_PARKED, FLAG, task_parked.is_ready),
    SINCE(2, TASK_FAILED, U32, effect),
    SINCE(2, TASK_FAILED, U32, attempt),
    SINCE(2, TASK_FAILED, FLAG, task_failed.outcome.failed),
    SINCE(2, TASK_FAILED, TEXT, task_failed.outcome.value),
    SINCE(2, TASK_FAILED, TEXT, task_failed.outcome.error_type),
    SINCE(2, TASK_FAILED, TEXT, task_failed.outcome.error_message),
    SINCE(2, TASK_FAILED, TEXT, task_failed.outcome.error_stack),
    SINCE_NAMED(2, TASK_FAILED, TEXT, task_failed.state.json, "task_failed.state"),
    SINCE_NAMED(6, TASK_FAILED, TEXT, task_failed.state.type, "task_failed.state_type"),
    SINCE(2, TASK_FAILED, U64, task_failed.retry_at_ms),
    SINCE(4, TASK_FAILED, FLAG, task_failed.is_mismatch),
    SINCE(5, TASK_FAILED, FLAG, task_failed.keeps_children),
    SINCE(2, TASK_REQUEUED, U32, effect),
    SINCE(2, TASK_REQUEUED, U32, attempt),
    SINCE(2, CANCEL_REQUESTED, TEXT, cancel_requested.cause),
    SINCE(2, CANCEL_REQUESTED, U64, cancel_requested.deadline_ms),
    SINCE(5, ADMISSION_ASKED, U32, effect),
    SINCE(5, ADMISSION_GIVEN, U32, effect),
    SINCE(5, CANCEL_SHOWN, U32, effect),
    SINCE(5, CANCEL_SHOWN, U32, attempt),
    SINCE(5, CANCEL_SHOWN, U32, cancel_shown.number),
    SINCE(5, WITHDRAWN, U32, effect),
    SINCE(5, WITHDRAWN, U32, attempt),
    SINCE(5, WITHDRAWN, U32, withdrawn.number),
    SINCE(5, WITHDRAWN, TEXT, withdrawn.key),
    SINCE(5, WITHDRAWN, U32, withdrawn.facts_seen),
    SINCE(5, WITHDRAWN, U32, withdrawn.retries),
    SINCE(6, STEP_TRIED, U32, effect),
    SINCE(6, STEP_TRIED, U32, attempt),
    SINCE(6, STEP_TRIED, U32, step_tried.number),
    SINCE(6, STEP_TRIED, TEXT, step_tried.key),
    SINCE(6, STEP_TRIED, U32, step_tried.try_number),
    SINCE(6, STEP_TRIED, FLAG, step_tried.outcome.failed),
    SINCE(6, STEP_TRIED, TEXT, step_tried.outcome.value),
    SINCE(6, STEP_TRIED, TEXT, step_tried.outcome.error_type),
    SINCE(6, STEP_TRIED, TEXT, step_tried.outcome.error_message),
    SINCE(6, STEP_TRIED, TEXT, step_tried.outcome.error_stack),
    SINCE(6, STEP_TRIED, U64, step_tried.retry_at_ms),
    SINCE(6, INPUT_AMENDED, U32, effect),
    SINCE(6, INPUT_AMENDED, U32, amended.about),
    SINCE(6, INPUT_AMENDED, TEXT, amended.value),
    SINCE(6, CALL_AMENDED, U32, effect),
    SINCE(6, CALL_AMENDED, U32, amended.about),
    SINCE(6, CALL_AMENDED, TEXT, amended.value),
    SINCE(6, RESULT_AMENDED, U32, effect),
    SINCE(6, RESULT_AMENDED, U32, amended.about),
    SINCE(6, RESULT_AMENDED, TEXT, amended.value),
    SINCE(6, INPUT_ACCEPTED, U32, input_accepted.number),
    SINCE(6, INPUT_ACCEPTED, TEXT, input_accepted.data),
    SINCE(6, INPUT_ACCEPTED, TEXT, input_accepted.key),
    SINCE(6, INPUT_TAKEN, U32, input_taken.number),
    SINCE(6, INPUT_TAKEN, U32, input_taken.turn),
    SINCE(6, INPUT_RETURNED, U32, input_returned.number),
    SINCE(6, REPLY_REJECTED, REJECTED_BY, reply_rejected.by),
    SINCE(6, REPLY_REJECTED, TEXT, reply_rejected.feedback),
    SINCE(6, REPLY_REJECTED, TEXT, reply_rejected.guardrail),
    SINCE(6, REPLY_PASSED, U32, effect),
    SINCE(6, REPLY_AMENDED, U32, effect),
    SINCE(6, REPLY_AMENDED, TEXT, reply_amended.reply),
    SINCE(6, REPLY_AMENDED, STOP, reply_amended.stop),
    SINCE(6, REPLY_JUDGED, U32, effect),
    SINCE(6, REPLY_JUDGED, U32, attempt),
    SINCE(6, REPLY_JUDGED, FLAG, reply_judged.passed),
    SINCE(6, REPLY_JUDGED, TEXT, reply_judged.reason),
    SINCE(6, REPLY_JUDGED, U64, reply_judged.usage.input),
    SINCE(6, REPLY_JUDGED, U64, reply_judged.usage.output),
    SINCE(6, REPLY_JUDGED, U64, reply_judged.usage.cache_read),
    SINCE(6, REPLY_JUDGED, U64, reply_judged.usage.cache_write),
    SINCE(6, REPLY_JUDGED, U64, reply_judged.usage.reasoning),
    SINCE(6, REPLY_JUDGED, FLAG, reply_judged.usage.known),
#undef FIELD
#undef NAMED
#undef SINCE
};

uint64_t sample_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static str random_text(uint64_t *seed, size_t len, struct arena *arena)
{
    char *text = arena_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)(uint8_t)sample_random(seed);
    }
    return (str){text, len};
}

static void fill_random(const struct field *field, uint64_t *seed, size_t bytes_max,
                        struct arena *arena, void *member)
{
    uint64_t number = sample_random(seed);
    unsigned shift = (unsigned)(sample_random(seed) % 64);
    switch (field->type) {
    case TEXT:
        *(str *)member =
            random_text(seed, number % 4 == 0 ? 0 : (size_t)(number % (bytes_max + 1)), arena);
        break;
    case HASH:
        *(str *)member = random_text(seed, number % 2 == 0 ? 0 : 16, arena);
        break;
    case ID:
        memcpy(member, random_text(seed, sizeof(uuid), arena).ptr, sizeof(uuid));
        break;
    case U64:
        *(uint64_t *)member = number >> shift;
        break;
    case U32:
        *(uint32_t *)member = (uint32_t)(number >> shift);
        break;
    case FLAG:
        *(bool *)member = number % 2 == 0;
        break;
    case RUN_KIND:
        *(enum run_kind *)member = (enum run_kind)(1 + number % (RUN_KIND_COUNT - 1));
        break;
    case TASK_KIND:
        *(enum effect_kind *)member = number % 2 == 0 ? EFFECT_TOOL : EFFECT_BODY;
        break;
    case WAIT_KIND:
        *(enum effect_kind *)member = (enum effect_kind)(EFFECT_SLEEP + number % 5);
        break;
    case STOP:
        *(enum reply_stop *)member = (enum reply_stop)(number % REPLY_STOP_COUNT);
        break;
    case TRIES:
        *(uint32_t *)member = (uint32_t)(number % (ENGINE_OUTPUT_TRIES_MAX + 1));
        break;
    case REJECTED_BY:
        *(enum rejected_by *)member = REJECTED_BY_SCHEMA;
        break;
    case CAUSE:
        *(enum start_cause *)member = (enum start_cause)(number % START_CAUSE_COUNT);
        break;
    }
}

void sample_fill(enum event_kind kind, uint64_t *seed, size_t bytes_max, struct arena *arena,
                 struct event *ret)
{
    *ret = (struct event){.kind = kind, .time_ms = sample_random(seed)};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (fields[i].kind == kind) {
            fill_random(&fields[i], seed, bytes_max, arena, (char *)ret + fields[i].offset);
        }
    }
}

static void fill_fixed(const struct field *field, size_t row, struct arena *arena, void *member)
{
    switch (field->type) {
    case TEXT:
        *(str *)member = arena_printf(arena, "%s", strrchr(field->name, '.') + 1);
        break;
    case HASH:
        *(str *)member = STR("0123456789abcdef");
        break;
    case ID:
        memcpy(member, "ABCDEFGHIJKLMNOP", sizeof(uuid));
        break;
    case U64:
        *(uint64_t *)member = 1700000000000 + row;
        break;
    case U32:
        *(uint32_t *)member = (uint32_t)(300 + row);
        break;
    case FLAG:
        *(bool *)member = true;
        break;
    case RUN_KIND:
        *(enum run_kind *)member = RUN_KIND_WORKFLOW;
        break;
    case TASK_KIND:
        *(enum effect_kind *)member = EFFECT_BODY;
        break;
    case WAIT_KIND:
        *(enum effect_kind *)member = EFFECT_SUSPENSION;
        break;
    case STOP:
        *(enum reply_stop *)member = REPLY_STOP_REFUSAL;
        break;
    case TRIES:
        *(uint32_t *)member = ENGINE_OUTPUT_TRIES_MAX;
        break;
    case REJECTED_BY:
        *(enum rejected_by *)member = REJECTED_BY_SCHEMA;
        break;
    case CAUSE:
        *(enum start_cause *)member = START_CAUSE_RETRY;
        break;
    }
}

void sample_fixed(enum event_kind kind, uint32_t release, struct arena *arena, struct event *ret)
{
    size_t row = 0; /* Of this kind: rows for new events above it change nothing. */
    *ret = (struct event){.kind = kind, .time_ms = 1750000000000};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (fields[i].kind == kind && fields[i].release <= release) {
            fill_fixed(&fields[i], row++, arena, (char *)ret + fields[i].offset);
        }
    }
}

uint32_t sample_release(enum event_kind kind)
{
    uint32_t release = 0;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        if (fields[i].kind == kind && fields[i].release > release) {
            release = fields[i].release;
        }
    }
    assert(release > 0 && release <= SAMPLE_RELEASE);
    return release;
}

static bool same(const struct field *field, const void *a, const void *b)
{
    switch (field->type) {
    case TEXT:
    case HASH:
        return str_equal(*(const str *)a, *(const str *)b);
    case ID:
        return memcmp(a, b, sizeof(uuid)) == 0;
    case U64:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    case U32:
        return *(const uint32_t *)a == *(const uint32_t *)b;
    case FLAG:
        return *(const bool *)a == *(const bool *)b;
    case RUN_KIND:
        return *(const enum run_kind *)a == *(const enum run_kind *)b;
    case TASK_KIND:
    case WAIT_KIND:
        return *(const enum effect_kind *)a == *(const enum effect_kind *)b;
    case TRIES:
        return *(const uint32_t *)a == *(const uint32_t *)b;
    case REJECTED_BY:
        return *(const enum rejected_by *)a == *(const enum rejected_by *)b;
    case CAUSE:
        return *(const enum start_cause *)a == *(const enum start_cause *)b;
    case STOP:
        return *(const enum reply_stop *)a == *(const enum reply_stop *)b;
    }
    return false;
}

const char *sample_difference(const struct event *a, const struct event *b)
{
    if (a->kind != b->kind) {
        return "kind";
    }
    if (a->time_ms != b->time_ms) {
        return "time_ms";
    }
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        const struct field *field = &fields[i];
        if (field->kind == a->kind &&
            !same(field, (const char *)a + field->offset, (const char *)b + field->offset)) {
            return field->name;
        }
    }
    return NULL;
}
