/*
 * Goal:   snapshots and index rows come back as they were, and damaged ones are refused.
 * Method: random states compared as bytes; full rows; every byte changed, every length cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/crc32c.h"
#include "service/codec/codec.h"
#include "tests/unit/codec/samples.h"

static void random_bytes(uint64_t *seed, void *ret, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        ((uint8_t *)ret)[i] = (uint8_t)sample_random(seed);
    }
}

/* All bytes are random but those that have few values, so that a field which is forgotten shows. */
static void random_effect(uint64_t *seed, struct effect *ret)
{
    random_bytes(seed, ret, sizeof(*ret));
    ret->due_ms = sample_random(seed) % 2 == 0 ? 0 : ret->due_ms;
    ret->kind %= EFFECT_KIND_COUNT;
    ret->state = EFFECT_READY + ret->state % EFFECT_PARKED;
    ret->at_most_once %= 2;
    ret->phase %= CALLBACK_PHASE_COUNT;
    memset(ret->reserved, 0, sizeof(ret->reserved));
}

static void random_run(uint64_t *seed, uint32_t effect_count, struct run *ret)
{
    random_bytes(seed, ret, sizeof(*ret));
    ret->kind %= RUN_KIND_COUNT;
    ret->state %= RUN_STATE_COUNT;
    ret->phase = PHASE_NONE;
    if (ret->state == RUN_LIVE) {
        ret->phase = ret->kind == RUN_KIND_AGENT ? PHASE_TOOLS : PHASE_BODY;
    }
    ret->usage_incomplete %= 2;
    ret->is_cancelling %= 2;
    ret->admission %= ADMISSION_HELD + 1;
    ret->code_state %= CODE_STATE_THERE + 1;
    ret->last_stop %= REPLY_STOP_COUNT;
    ret->was_rejected %= 2;
    ret->is_turn_refused %= 2;
    memset(ret->spare, 0, sizeof(ret->spare));
    ret->kept_count %= ENGINE_KEPT_MAX + 1;
    memset(ret->kept + ret->kept_count, 0,
           (ENGINE_KEPT_MAX - ret->kept_count) * sizeof(ret->kept[0]));
    ret->effect_count = effect_count;
    memset(ret->effects, 0, sizeof(ret->effects));
    for (uint32_t i = 0; i < effect_count; i++) {
        random_effect(seed, &ret->effects[i]);
    }
}

static void test_snapshot_comes_back_as_bytes(void **state)
{
    uint64_t seed = 7;
    struct buf bytes = {0};
    struct run run;
    struct run back;
    (void)state;
    for (uint32_t round = 0; round < 500; round++) {
        random_run(&seed, round % (ENGINE_EFFECTS_MAX + 1), &run);
        memset(&back, 0xaa, sizeof(back));
        buf_reset(&bytes);
        codec_encode_run(&run, 0, &bytes);
        assert_int_equal(codec_decode_run(buf_str(&bytes), &back, NULL).code, CODE_OK);
        assert_memory_equal(&run, &back, sizeof(run));
    }
    memset(&run, 0, sizeof(run));
    buf_reset(&bytes);
    codec_encode_run(&run, 0, &bytes);
    assert_int_equal(codec_decode_run(buf_str(&bytes), &back, NULL).code, CODE_OK);
    assert_memory_equal(&run, &back, sizeof(run));
    buf_fini(&bytes);
}

static bool snapshot_is_refused(str bytes)
{
    struct run before;
    struct run run;
    char *exact = xmalloc(bytes.len > 0 ? bytes.len : 1);
    memset(&before, 0x55, sizeof(before));
    memcpy(&run, &before, sizeof(run));
    memcpy(exact, bytes.ptr, bytes.len);
    status outcome = codec_decode_run((str){exact, bytes.len}, &run, NULL);
    free(exact);
    /* What is refused leaves the caller's state alone. */
    return outcome.code != CODE_OK && memcmp(&run, &before, sizeof(run)) == 0;
}

static void test_snapshot_refuses_damage(void **state)
{
    uint64_t seed = 9;
    struct buf bytes = {0};
    struct run run;
    (void)state;
    random_run(&seed, 3, &run);
    codec_encode_run(&run, 0, &bytes);
    for (size_t at = 0; at < bytes.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.ptr[at] ^= (char)(1 << bit);
            assert_true(snapshot_is_refused(buf_str(&bytes)));
            bytes.ptr[at] ^= (char)(1 << bit);
        }
        assert_true(snapshot_is_refused((str){bytes.ptr, at}));
    }
    assert_false(snapshot_is_refused(buf_str(&bytes)));
    run.state = RUN_STATE_COUNT;
    buf_reset(&bytes);
    codec_encode_run(&run, 0, &bytes);
    assert_true(snapshot_is_refused(buf_str(&bytes)));
    run.state = RUN_LIVE;
    run.phase = PHASE_BODY;
    run.kind = RUN_KIND_WORKFLOW;
    run.effects[1].state = EFFECT_PARKED;
    buf_reset(&bytes);
    codec_encode_run(&run, 0, &bytes);
    assert_false(snapshot_is_refused(buf_str(&bytes)));
    run.effects[1].state = EFFECT_READY - 1;
    buf_reset(&bytes);
    codec_encode_run(&run, 0, &bytes);
    assert_true(snapshot_is_refused(buf_str(&bytes)));
    run.effects[1].state = EFFECT_PARKED + 1;
    buf_reset(&bytes);
    codec_encode_run(&run, 0, &bytes);
    assert_true(snapshot_is_refused(buf_str(&bytes)));
    run.effects[1].state = EFFECT_READY;
    run.effects[1].kind = EFFECT_KIND_COUNT;
    buf_reset(&bytes);
    codec_encode_run(&run, 0, &bytes);
    assert_true(snapshot_is_refused(buf_str(&bytes)));
    buf_fini(&bytes);
}

/* As large as a state can be. */
static void test_snapshot_of_the_most(void **state)
{
    struct buf bytes = {0};
    struct run run;
    struct run back;
    (void)state;
    memset(&run, 0xff, sizeof(run));
    run.kind = RUN_KIND_COUNT - 1;
    run.state = RUN_STATE_COUNT - 1;
    run.phase = PHASE_NONE;
    run.usage_incomplete = 1;
    run.is_cancelling = 1;
    run.admission = ADMISSION_HELD;
    run.code_state = CODE_STATE_THERE;
    run.last_stop = REPLY_STOP_COUNT - 1;
    run.was_rejected = 1;
    run.is_turn_refused = 1;
    memset(run.spare, 0, sizeof(run.spare));
    run.kept_count = ENGINE_KEPT_MAX;
    run.effect_count = ENGINE_EFFECTS_MAX;
    for (uint32_t i = 0; i < ENGINE_EFFECTS_MAX; i++) {
        run.effects[i].kind = EFFECT_KIND_COUNT - 1;
        run.effects[i].state = EFFECT_PARKED;
        run.effects[i].at_most_once = 1;
        run.effects[i].phase = CALLBACK_PHASE_COUNT - 1;
        memset(run.effects[i].reserved, 0, sizeof(run.effects[i].reserved));
    }
    codec_encode_run(&run, 0, &bytes);
    assert_int_equal(codec_decode_run(buf_str(&bytes), &back, NULL).code, CODE_OK);
    assert_memory_equal(&run, &back, sizeof(run));
    buf_fini(&bytes);
}

/* A head with a right checksum around any body. */
static str forge_snapshot(char format, str body, struct buf *ret)
{
    buf_reset(ret);
    buf_put_char(ret, format);
    buf_put(ret, (str){"\0\0\0", 3});
    buf_put_u32_le(ret, crc32c(0, body));
    buf_put(ret, body);
    return buf_str(ret);
}

static void test_snapshot_refuses_what_is_too_much(void **state)
{
    struct buf bytes = {0};
    struct buf body = {0};
    struct run run;
    (void)state;
    for (size_t count = 1; count <= ENGINE_EFFECTS_MAX + 1; count++) {
        buf_put(&body, (str){"\x92\x01\x04\x08\x05\x50\x01", 7}); /* An id and a state. */
        bool is_refused = snapshot_is_refused(forge_snapshot(2, buf_str(&body), &bytes));
        assert_true(is_refused == (count > ENGINE_EFFECTS_MAX));
    }
    buf_reset(&body);
    for (size_t count = 1; count <= ENGINE_KEPT_MAX + 1; count++) {
        buf_put(&body, (str){"\xa1\x01\1\2\3\4\5\6\7\x08", 10});
        bool is_refused = snapshot_is_refused(forge_snapshot(2, buf_str(&body), &bytes));
        assert_true(is_refused == (count > ENGINE_KEPT_MAX));
    }
    assert_false(snapshot_is_refused(forge_snapshot(2, (str){"\x10\x03", 2}, &bytes)));
    assert_int_equal(
        codec_decode_run(forge_snapshot(1, (str){"\x10\x03", 2}, &bytes), &run, NULL).code,
        CODE_FAILED_PRECONDITION);
    assert_int_equal(
        codec_decode_run(forge_snapshot(3, (str){"\x10\x03", 2}, &bytes), &run, NULL).code,
        CODE_FAILED_PRECONDITION);
    buf_fini(&body);
    buf_fini(&bytes);
}

/* Format 2 as it was first written: where it changes, the format must. */
static void test_snapshot_golden_bytes(void **state)
{
    static const char golden[] =
        "02000000dd853dd60a104142434445464748494a4b4c4d4e4f501002180320042805300638074008"
        "4809500a580b600c680d700e7802800102880101920123081410151816201728183019381a401b48"
        "0750045801611c00000000000000681d701e98010fa2011010000000000000001100000000000000"
        "a80112b00113b80101";
    struct run run = {
        .seq = 2,
        .effect_next = 3,
        .steps = 4,
        .turns_max = 5,
        .started_ms = 6,
        .ended_ms = 7,
        .deadline_ms = 8,
        .tokens_max = 9,
        .input_tokens = 10,
        .output_tokens = 11,
        .cache_read_tokens = 12,
        .cache_write_tokens = 13,
        .reasoning_tokens = 14,
        .timeout_ms = 15,
        .kept = {16, 17},
        .kept_count = 2,
        .retries = 18,
        .retries_max = 19,
        .kind = RUN_KIND_WORKFLOW,
        .state = RUN_LIVE,
        .phase = PHASE_BODY,
        .usage_incomplete = 1,
        .is_cancelling = 1,
        .effect_count = 1,
        .effects = {{.id = 20,
                     .attempt = 21,
                     .failures = 22,
                     .steps = 23,
                     .host = 24,
                     .since_ms = 25,
                     .due_ms = 26,
                     .deadline_ms = 27,
                     .key = 28,
                     .owner = 29,
                     .children_left = 30,
                     .kind = EFFECT_CHILDREN,
                     .state = EFFECT_PARKED,
                     .at_most_once = 1}},
    };
    struct buf bytes = {0};
    struct buf hex = {0};
    (void)state;
    memcpy(run.id.bytes, "ABCDEFGHIJKLMNOP", sizeof(run.id.bytes));
    codec_encode_run(&run, 0, &bytes);
    for (size_t i = 0; i < bytes.len; i++) {
        buf_printf(&hex, "%02x", (unsigned)(uint8_t)bytes.ptr[i]);
    }
    buf_put_char(&hex, '\0');
    assert_string_equal(hex.ptr, golden);
    buf_fini(&hex);
    buf_fini(&bytes);
}

static void fill_row(size_t name_bytes, uint32_t ready, struct run_row *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->kind = RUN_KIND_TOOL;
    ret->status = 5;
    memset(ret->name, 'n', name_bytes);
    ret->created_ms = UINT64_MAX;
    ret->ended_ms = 2;
    ret->next_deadline_ms = UINT64_MAX - 1;
    ret->last_seq = UINT32_MAX;
    ret->load = true;
    ret->ready_count = ready;
    for (uint32_t i = 0; i < ready; i++) {
        ret->ready[i].effect = UINT32_MAX - i;
        ret->ready[i].kind = EFFECT_BODY;
        ret->ready[i].deployment = i % 2 == 0 ? 0 : UINT64_MAX - i;
        memset(ret->ready[i].name, 'a' + (int)i, name_bytes);
    }
    memset(ret->queue, 'q', name_bytes);
    memset(ret->concurrency_key, 'k', name_bytes == CODEC_NAME_MAX ? CODEC_KEY_MAX : name_bytes);
    ret->priority = ready % 2 == 0 ? INT32_MIN : INT32_MAX;
    ret->has_begun = ready > 0;
    ret->deployment = ready % 2 == 0 ? UINT64_MAX : 0;
}

static void test_row_comes_back(void **state)
{
    char bytes[2048];
    struct run_row row;
    struct run_row back;
    (void)state;
    for (size_t name = 0; name <= CODEC_NAME_MAX; name += 16) {
        for (uint32_t ready = 0; ready <= CODEC_READY_MAX; ready++) {
            fill_row(name, ready, &row);
            size_t len = codec_encode_row(&row, bytes, sizeof(bytes));
            memset(&back, 0xaa, sizeof(back));
            assert_int_equal(codec_decode_row((str){bytes, len}, &back).code, CODE_OK);
            assert_memory_equal(&row, &back, sizeof(row));
        }
    }
}

static void test_row_refuses_what_is_too_much(void **state)
{
    char bytes[2048];
    struct run_row row;
    struct run_row back;
    (void)state;
    fill_row(CODEC_NAME_MAX, CODEC_READY_MAX, &row);
    size_t len = codec_encode_row(&row, bytes, sizeof(bytes));
    /* A fifth ready task, and a name of 129 bytes. */
    memcpy(bytes + len, "\x3a\x02\x08\x01", 4);
    assert_int_equal(codec_decode_row((str){bytes, len + 4}, &back).code, CODE_DATA_LOSS);
    memset(bytes, 'x', 140);
    memcpy(bytes, "\x1a\x81\x01", 3);
    assert_int_equal(codec_decode_row((str){bytes, 3 + 129}, &back).code, CODE_DATA_LOSS);
    memcpy(bytes, "\x1a\x80\x01", 3);
    assert_int_equal(codec_decode_row((str){bytes, 3 + 128}, &back).code, CODE_OK);
    assert_int_equal(strlen(back.name), 128);
    assert_int_equal(codec_decode_row((str){"\x08\x04", 2}, &back).code, CODE_FAILED_PRECONDITION);
    for (char kind = 0; kind < EFFECT_KIND_COUNT + 1; kind++) {
        char ready[] = {0x3a, 0x02, 0x10, kind};
        bool may_be_ready = kind == EFFECT_TOOL || kind == EFFECT_BODY || kind == EFFECT_MODEL;
        assert_int_equal(codec_decode_row((str){ready, 4}, &back).code,
                         may_be_ready ? CODE_OK : CODE_FAILED_PRECONDITION);
    }
    assert_int_equal(codec_decode_row((str){"\x08", 1}, &back).code, CODE_DATA_LOSS);
}

static void test_row_survives_any_bytes(void **state)
{
    uint64_t seed = 3;
    struct run_row row;
    char bytes[64];
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t len = sample_random(&seed) % sizeof(bytes);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (char)(uint8_t)sample_random(&seed);
        }
        status outcome = codec_decode_row((str){bytes, len}, &row);
        assert_true(outcome.code == CODE_OK || outcome.why != NULL);
    }
}

static void test_idempotency_row(void **state)
{
    struct idempotency_row row = {.run = {{1, 2, 3}}, .digest = {0, 0, 9}};
    struct idempotency_row back;
    char bytes[64];
    (void)state;
    size_t len = codec_encode_idempotency(&row, bytes, sizeof(bytes));
    assert_int_equal(codec_decode_idempotency((str){bytes, len}, &back).code, CODE_OK);
    assert_memory_equal(&row, &back, sizeof(row));
    for (size_t cut = 1; cut < len; cut++) {
        if (cut != 18) { /* The end of the first field. */
            assert_int_equal(codec_decode_idempotency((str){bytes, cut}, &back).code,
                             CODE_DATA_LOSS);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_comes_back_as_bytes),
        cmocka_unit_test(test_snapshot_refuses_damage),
        cmocka_unit_test(test_snapshot_of_the_most),
        cmocka_unit_test(test_snapshot_refuses_what_is_too_much),
        cmocka_unit_test(test_snapshot_golden_bytes),
        cmocka_unit_test(test_row_comes_back),
        cmocka_unit_test(test_row_refuses_what_is_too_much),
        cmocka_unit_test(test_row_survives_any_bytes),
        cmocka_unit_test(test_idempotency_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
