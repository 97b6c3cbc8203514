#include "polos/journal/v1/records.pb.h"
#include "service/codec/codec.h"
#include "service/codec/pack.h"

static_assert(sizeof(((polos_journal_v1_RunRow *)NULL)->name.bytes) == CODEC_NAME_MAX,
              "records.options");
static_assert(sizeof(((polos_journal_v1_ParkedTask *)NULL)->name.bytes) == CODEC_NAME_MAX,
              "records.options");
static_assert(sizeof(((polos_journal_v1_RunRow *)NULL)->queue.bytes) == CODEC_NAME_MAX,
              "records.options");
static_assert(sizeof(((polos_journal_v1_RunRow *)NULL)->concurrency_key.bytes) == CODEC_KEY_MAX,
              "records.options");
static_assert(COUNT_OF(((polos_journal_v1_RunRow *)NULL)->parked) == CODEC_READY_MAX,
              "records.options");

/* Names end in NUL here and have a length on disk. */
static pb_size_t text_to(const char *text, size_t bytes_max, pb_byte_t *ret)
{
    size_t len = strnlen(text, bytes_max + 1);
    assert(len <= bytes_max);
    memcpy(ret, text, len);
    return (pb_size_t)len;
}

static pb_size_t name_to(const char *name, pb_byte_t *ret)
{
    return text_to(name, CODEC_NAME_MAX, ret);
}

static void name_from(const pb_byte_t *name, size_t len, char *ret)
{
    assert(len <= CODEC_KEY_MAX);
    memcpy(ret, name, len);
    ret[len] = '\0';
}

/* Waits never are. */
static bool may_be_ready(uint32_t kind)
{
    return kind == EFFECT_TOOL || kind == EFFECT_BODY || kind == EFFECT_MODEL;
}

enum run_status run_status_of(const struct run *run)
{
    static const enum run_status ended[] = {
        [RUN_COMPLETED] = RUN_STATUS_COMPLETED,
        [RUN_FAILED] = RUN_STATUS_FAILED,
        [RUN_CANCELLED] = RUN_STATUS_CANCELLED,
    };
    if (engine_is_terminal(run)) {
        return ended[run->state];
    }
    return engine_is_waiting(run) ? RUN_STATUS_WAITING : RUN_STATUS_RUNNING;
}

size_t codec_encode_row(const struct run_row *row, char *ret, size_t bytes_max)
{
    polos_journal_v1_RunRow body = {
        .kind = (uint32_t)row->kind,
        .status = row->status,
        .created_ms = row->created_ms,
        .ended_ms = row->ended_ms,
        .next_deadline_ms = row->next_deadline_ms,
        .last_seq = row->last_seq,
        .load = row->load,
        .parked_count = (pb_size_t)row->ready_count,
        .priority = row->priority,
        .has_begun = row->has_begun,
        .deployment = row->deployment,
        .begun_ms = row->begun_ms,
    };
    assert(row->ready_count <= CODEC_READY_MAX);
    body.name.size = name_to(row->name, body.name.bytes);
    body.queue.size = name_to(row->queue, body.queue.bytes);
    body.concurrency_key.size =
        text_to(row->concurrency_key, CODEC_KEY_MAX, body.concurrency_key.bytes);
    for (uint32_t i = 0; i < row->ready_count; i++) {
        assert(may_be_ready((uint32_t)row->ready[i].kind));
        body.parked[i].effect = row->ready[i].effect;
        body.parked[i].kind = (uint32_t)row->ready[i].kind;
        body.parked[i].deployment = row->ready[i].deployment;
        body.parked[i].name.size = name_to(row->ready[i].name, body.parked[i].name.bytes);
    }
    return pack_message(polos_journal_v1_RunRow_fields, &body, ret, bytes_max);
}

status codec_decode_row(str bytes, struct run_row *ret)
{
    polos_journal_v1_RunRow body = polos_journal_v1_RunRow_init_zero;
    if (!unpack_message(polos_journal_v1_RunRow_fields, bytes, &body)) {
        return status_make(CODE_DATA_LOSS, "row of a run: damaged");
    }
    if (body.kind >= RUN_KIND_COUNT) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "row of a run: a kind of run this release does not know");
    }
    for (size_t i = 0; i < body.parked_count; i++) {
        if (!may_be_ready(body.parked[i].kind)) {
            return status_make(CODE_FAILED_PRECONDITION,
                               "row of a run: a kind of task this release does not know");
        }
    }
    memset(ret, 0, sizeof(*ret));
    ret->kind = (enum run_kind)body.kind;
    ret->status = body.status;
    name_from(body.name.bytes, body.name.size, ret->name);
    ret->created_ms = body.created_ms;
    ret->ended_ms = body.ended_ms;
    ret->next_deadline_ms = body.next_deadline_ms;
    ret->last_seq = body.last_seq;
    ret->load = body.load;
    name_from(body.queue.bytes, body.queue.size, ret->queue);
    name_from(body.concurrency_key.bytes, body.concurrency_key.size, ret->concurrency_key);
    ret->priority = body.priority;
    ret->has_begun = body.has_begun;
    ret->deployment = body.deployment;
    ret->begun_ms = body.begun_ms;
    ret->ready_count = body.parked_count;
    for (size_t i = 0; i < body.parked_count; i++) {
        ret->ready[i].effect = body.parked[i].effect;
        ret->ready[i].kind = (enum effect_kind)body.parked[i].kind;
        ret->ready[i].deployment = body.parked[i].deployment;
        name_from(body.parked[i].name.bytes, body.parked[i].name.size, ret->ready[i].name);
    }
    return STATUS_OK;
}

static_assert(sizeof(((polos_journal_v1_RunLine *)NULL)->name.bytes) == CODEC_NAME_MAX,
              "records.options");
static_assert(
    (int)polos_journal_v1_RunLine_deployment_tag == (int)polos_journal_v1_RunRow_deployment_tag &&
        (int)polos_journal_v1_RunLine_begun_ms_tag == (int)polos_journal_v1_RunRow_begun_ms_tag &&
        (int)polos_journal_v1_RunLine_last_seq_tag == (int)polos_journal_v1_RunRow_last_seq_tag,
    "a line is read from the bytes of a row");

status codec_decode_row_line(str bytes, struct run_row_line *ret)
{
    polos_journal_v1_RunLine body = polos_journal_v1_RunLine_init_zero;
    if (!unpack_message(polos_journal_v1_RunLine_fields, bytes, &body)) {
        return status_make(CODE_DATA_LOSS, "row of a run: damaged");
    }
    if (body.kind >= RUN_KIND_COUNT) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "row of a run: a kind of run this release does not know");
    }
    ret->kind = (enum run_kind)body.kind;
    ret->status = body.status;
    name_from(body.name.bytes, body.name.size, ret->name);
    ret->created_ms = body.created_ms;
    ret->ended_ms = body.ended_ms;
    ret->last_seq = body.last_seq;
    ret->deployment = body.deployment;
    ret->begun_ms = body.begun_ms;
    return STATUS_OK;
}

size_t codec_encode_idempotency(const struct idempotency_row *row, char *ret, size_t bytes_max)
{
    polos_journal_v1_IdempotencyRow body = polos_journal_v1_IdempotencyRow_init_zero;
    static_assert(sizeof(body.run_id) == sizeof(row->run.bytes), "records.options");
    static_assert(sizeof(body.digest) == sizeof(row->digest), "records.options");
    memcpy(body.run_id, row->run.bytes, sizeof(body.run_id));
    memcpy(body.digest, row->digest, sizeof(body.digest));
    return pack_message(polos_journal_v1_IdempotencyRow_fields, &body, ret, bytes_max);
}

status codec_decode_idempotency(str bytes, struct idempotency_row *ret)
{
    polos_journal_v1_IdempotencyRow body = polos_journal_v1_IdempotencyRow_init_zero;
    if (!unpack_message(polos_journal_v1_IdempotencyRow_fields, bytes, &body)) {
        return status_make(CODE_DATA_LOSS, "row of an idempotency key: damaged");
    }
    memcpy(ret->run.bytes, body.run_id, sizeof(body.run_id));
    memcpy(ret->digest, body.digest, sizeof(body.digest));
    return STATUS_OK;
}
