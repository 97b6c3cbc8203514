#include "polos/journal/v1/records.pb.h"
#include "service/base/crc32c.h"
#include "service/base/endian.h"
#include "service/codec/codec.h"
#include "service/codec/pack.h"

/* u8 format (2) | u8[3] zero | u32 crc32c of the body, little-endian | body
 *
 * Format 1 kept closed effects and no timeout. It is refused like a newer one, since the journal
 * says it all: such a run is replayed once, and then has a snapshot of this format. */
enum {
    HEAD_BYTES = 8,
};
static const char format[] = "\2\0\0"; /* And the NUL. */
static_assert(sizeof(format) == 4, "of the head");
static_assert(COUNT_OF(((polos_journal_v1_RunSnapshot *)NULL)->effects) == ENGINE_EFFECTS_MAX,
              "records.options");
static_assert(COUNT_OF(((polos_journal_v1_RunSnapshot *)NULL)->kept) == ENGINE_KEPT_MAX,
              "records.options");

/* A run's state and phase are one number on disk; agents' tools and other runs' code share one. */
static const struct {
    enum run_state state;
    enum run_phase phase;
} states[] = {
    {RUN_NEW, PHASE_NONE},       {RUN_LIVE, PHASE_MODEL},  {RUN_LIVE, PHASE_TOOLS},
    {RUN_COMPLETED, PHASE_NONE}, {RUN_FAILED, PHASE_NONE}, {RUN_CANCELLED, PHASE_NONE},
    {RUN_LIVE, PHASE_CALLBACK},
};
static_assert(RUN_STATE_COUNT == 5 && PHASE_COUNT == 5, "each has a number in the table");

static_assert(EFFECT_READY == 1 && EFFECT_LEASED == 2, "disk");
static_assert(EFFECT_BACKOFF == 3 && EFFECT_PARKED == 4, "disk");

static void effect_to(const struct effect *effect, polos_journal_v1_EffectState *ret)
{
    *ret = (polos_journal_v1_EffectState){
        .id = effect->id,
        .attempt = effect->attempt,
        .failures = effect->failures,
        .steps = effect->steps,
        .host = effect->host,
        .since_ms = effect->since_ms,
        .due_ms = effect->due_ms,
        .deadline_ms = effect->deadline_ms,
        .kind = effect->kind,
        .state = effect->state,
        .at_most_once = effect->at_most_once != 0,
        .key = effect->key,
        .owner = effect->owner,
        .remaining = effect->children_left,
        .mismatches = effect->mismatches,
        .pin = effect->pin,
        .phase = effect->phase,
        .index = effect->index,
    };
}

static uint32_t state_to(const struct run *run)
{
    enum run_phase phase = run->phase == PHASE_BODY ? PHASE_TOOLS : run->phase;
    uint32_t number = 0;
    while (number < COUNT_OF(states) &&
           (states[number].state != run->state || states[number].phase != phase)) {
        number++;
    }
    return number;
}

static void run_to(const struct run *run, polos_journal_v1_RunSnapshot *ret)
{
    *ret = (polos_journal_v1_RunSnapshot){
        .seq = run->seq,
        .effect_next = run->effect_next,
        .steps = run->steps,
        .turns_max = run->turns_max,
        .started_ms = run->started_ms,
        .ended_ms = run->ended_ms,
        .deadline_ms = run->deadline_ms,
        .tokens_max = run->tokens_max,
        .input_tokens = run->input_tokens,
        .output_tokens = run->output_tokens,
        .cache_read_tokens = run->cache_read_tokens,
        .cache_write_tokens = run->cache_write_tokens,
        .reasoning_tokens = run->reasoning_tokens,
        .kind = run->kind,
        .state = state_to(run),
        .usage_incomplete = run->usage_incomplete != 0,
        .effects_count = (pb_size_t)run->effect_count,
        .timeout_ms = run->timeout_ms,
        .kept_count = (pb_size_t)run->kept_count,
        .retries = run->retries,
        .retries_max = run->retries_max,
        .is_cancelling = run->is_cancelling != 0,
        .deployment = run->deployment,
        .admission = run->admission,
        .code_state = run->code_state,
        .output_tries = run->output_tries,
        .outputs_rejected = run->outputs_rejected,
        .inputs_accepted = run->inputs_accepted,
        .inputs_open = run->inputs_open,
        .begun_ms = run->begun_ms,
        .last_stop = run->last_stop,
        .was_rejected = run->was_rejected != 0,
        .is_turn_refused = run->is_turn_refused != 0,
        .guardrail_retries = run->guardrail_retries,
        .replies_rejected = run->replies_rejected,
    };
    static const uint8_t none[CALLBACK_PHASE_ROOM];
    bool has_callbacks = memcmp(run->callbacks, none, sizeof(none)) != 0;
    ret->callbacks.size = has_callbacks ? sizeof(run->callbacks) : 0;
    memcpy(ret->callbacks.bytes, run->callbacks, ret->callbacks.size);
    memcpy(ret->id, run->id.bytes, sizeof(ret->id));
    memcpy(ret->kept, run->kept, run->kept_count * sizeof(ret->kept[0]));
    for (uint32_t i = 0; i < run->effect_count; i++) {
        effect_to(&run->effects[i], &ret->effects[i]);
    }
}

void codec_encode_run(const struct run *run, uint64_t history_bytes, struct buf *ret)
{
    polos_journal_v1_RunSnapshot body;
    assert(run->effect_count <= ENGINE_EFFECTS_MAX);
    assert(run->kept_count <= ENGINE_KEPT_MAX);
    run_to(run, &body);
    body.history_bytes = history_bytes;
    buf_reserve(ret, HEAD_BYTES + polos_journal_v1_RunSnapshot_size);
    char *start = ret->ptr + ret->len;
    size_t packed = pack_message(polos_journal_v1_RunSnapshot_fields, &body, start + HEAD_BYTES,
                                 polos_journal_v1_RunSnapshot_size);
    buf_put(ret, str_make(format, sizeof(format)));
    buf_put_u32_le(ret, crc32c(0, str_make(start + HEAD_BYTES, packed)));
    ret->len += packed;
}

static bool effect_from(const polos_journal_v1_EffectState *body, struct effect *ret)
{
    if (body->kind >= EFFECT_KIND_COUNT || body->state < EFFECT_READY ||
        body->state > EFFECT_PARKED) {
        return false;
    }
    ret->id = body->id;
    ret->attempt = body->attempt;
    ret->failures = body->failures;
    ret->steps = body->steps;
    ret->host = body->host;
    ret->since_ms = body->since_ms;
    ret->due_ms = body->due_ms;
    ret->deadline_ms = body->deadline_ms;
    ret->kind = (uint8_t)body->kind;
    ret->state = (uint8_t)body->state;
    ret->at_most_once = body->at_most_once;
    ret->key = body->key;
    ret->owner = body->owner;
    ret->children_left = body->remaining;
    ret->mismatches = (uint8_t)body->mismatches;
    ret->pin = body->pin;
    ret->phase = (uint8_t)body->phase;
    ret->index = (uint8_t)body->index;
    return body->phase < CALLBACK_PHASE_COUNT && body->index <= UINT8_MAX;
}

/* *ret is zeroed, so that equal states are equal bytes. */
static bool run_from(const polos_journal_v1_RunSnapshot *body, struct run *ret)
{
    if (body->kind >= RUN_KIND_COUNT || body->state >= COUNT_OF(states) ||
        body->admission > ADMISSION_HELD || body->code_state > CODE_STATE_THERE ||
        body->last_stop >= REPLY_STOP_COUNT) {
        return false;
    }
    memcpy(ret->id.bytes, body->id, sizeof(ret->id.bytes));
    ret->seq = body->seq;
    ret->effect_next = body->effect_next;
    ret->steps = body->steps;
    ret->turns_max = body->turns_max;
    ret->started_ms = body->started_ms;
    ret->ended_ms = body->ended_ms;
    ret->deadline_ms = body->deadline_ms;
    ret->tokens_max = body->tokens_max;
    ret->input_tokens = body->input_tokens;
    ret->output_tokens = body->output_tokens;
    ret->cache_read_tokens = body->cache_read_tokens;
    ret->cache_write_tokens = body->cache_write_tokens;
    ret->reasoning_tokens = body->reasoning_tokens;
    ret->kind = (uint8_t)body->kind;
    bool has_body = body->kind != RUN_KIND_AGENT && states[body->state].phase == PHASE_TOOLS;
    ret->state = (uint8_t)states[body->state].state;
    ret->phase = (uint8_t)(has_body ? PHASE_BODY : states[body->state].phase);
    ret->usage_incomplete = body->usage_incomplete;
    ret->timeout_ms = body->timeout_ms;
    ret->kept_count = body->kept_count;
    memcpy(ret->kept, body->kept, body->kept_count * sizeof(ret->kept[0]));
    ret->retries = body->retries;
    ret->retries_max = body->retries_max;
    ret->is_cancelling = body->is_cancelling;
    ret->admission = (uint8_t)body->admission;
    ret->code_state = (uint8_t)body->code_state;
    ret->output_tries = (uint8_t)body->output_tries;
    ret->outputs_rejected = (uint8_t)body->outputs_rejected;
    ret->inputs_accepted = body->inputs_accepted;
    ret->inputs_open = (uint8_t)body->inputs_open;
    ret->begun_ms = body->begun_ms;
    memcpy(ret->callbacks, body->callbacks.bytes, body->callbacks.size);
    ret->last_stop = (uint8_t)body->last_stop;
    ret->was_rejected = body->was_rejected;
    ret->is_turn_refused = body->is_turn_refused;
    ret->guardrail_retries = (uint8_t)body->guardrail_retries;
    ret->replies_rejected = (uint8_t)body->replies_rejected;
    ret->deployment = body->deployment;
    ret->effect_count = body->effects_count;
    for (size_t i = 0; i < body->effects_count; i++) {
        if (!effect_from(&body->effects[i], &ret->effects[i])) {
            return false;
        }
    }
    return true;
}

status codec_decode_run(str bytes, struct run *ret, uint64_t *ret_history_bytes)
{
    polos_journal_v1_RunSnapshot body = polos_journal_v1_RunSnapshot_init_zero;
    struct run run;
    if (bytes.len < HEAD_BYTES) {
        return status_make(CODE_DATA_LOSS, "snapshot: it is cut off");
    }
    if (memcmp(bytes.ptr, format, sizeof(format)) != 0) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "snapshot: damaged, or in the format of another release");
    }
    str packed = {bytes.ptr + HEAD_BYTES, bytes.len - HEAD_BYTES};
    if (endian_get_le(bytes.ptr + 4, 4) != crc32c(0, packed)) {
        return status_make(CODE_DATA_LOSS, "snapshot: the checksum does not match");
    }
    if (!unpack_message(polos_journal_v1_RunSnapshot_fields, packed, &body)) {
        return status_make(CODE_DATA_LOSS, "snapshot: the body is damaged");
    }
    memset(&run, 0, sizeof(run));
    if (!run_from(&body, &run)) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "snapshot: a state this release does not know");
    }
    memcpy(ret, &run, sizeof(run));
    if (ret_history_bytes != NULL) {
        *ret_history_bytes = body.history_bytes;
    }
    return STATUS_OK;
}
