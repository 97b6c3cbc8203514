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

#include "service/codec/codec.h"
#include "tests/unit/codec/samples.h"

static void random_effect(uint64_t *seed, struct effect *ret)
{
    ret->id = (uint32_t)sample_random(seed);
    ret->attempt = (uint32_t)sample_random(seed) % 4;
    ret->failures = (uint32_t)sample_random(seed) % 3;
    ret->steps = (uint32_t)sample_random(seed) % 3;
    ret->host = sample_random(seed);
    ret->since_ms = sample_random(seed);
    ret->due_ms = sample_random(seed) % 2 == 0 ? 0 : sample_random(seed);
    ret->deadline_ms = sample_random(seed);
    ret->kind = (uint8_t)(sample_random(seed) % EFFECT_KIND_COUNT);
    ret->state = (uint8_t)(sample_random(seed) % (EFFECT_BACKOFF + 1));
    ret->at_most_once = (uint8_t)(sample_random(seed) % 2);
}

static void random_run(uint64_t *seed, uint32_t effect_count, struct run *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < sizeof(ret->id.bytes); i++) {
        ret->id.bytes[i] = (uint8_t)sample_random(seed);
    }
    ret->seq = (uint32_t)sample_random(seed);
    ret->effect_next = (uint32_t)sample_random(seed);
    ret->steps = (uint32_t)sample_random(seed);
    ret->steps_max = (uint32_t)sample_random(seed);
    ret->started_ms = sample_random(seed);
    ret->ended_ms = sample_random(seed);
    ret->deadline_ms = sample_random(seed);
    ret->tokens_max = sample_random(seed);
    ret->input_tokens = sample_random(seed);
    ret->output_tokens = sample_random(seed);
    ret->cache_read_tokens = sample_random(seed);
    ret->cache_write_tokens = sample_random(seed);
    ret->reasoning_tokens = sample_random(seed);
    ret->kind = (uint8_t)(sample_random(seed) % RUN_KIND_COUNT);
    ret->state = (uint8_t)(sample_random(seed) % RUN_STATE_COUNT);
    ret->usage_incomplete = (uint8_t)(sample_random(seed) % 2);
    ret->effect_count = effect_count;
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
        codec_encode_run(&run, &bytes);
        assert_int_equal(codec_decode_run(buf_str(&bytes), &back).code, CODE_OK);
        assert_memory_equal(&run, &back, sizeof(run));
    }
    memset(&run, 0, sizeof(run));
    buf_reset(&bytes);
    codec_encode_run(&run, &bytes);
    assert_int_equal(codec_decode_run(buf_str(&bytes), &back).code, CODE_OK);
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
    status outcome = codec_decode_run((str){exact, bytes.len}, &run);
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
    codec_encode_run(&run, &bytes);
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
    codec_encode_run(&run, &bytes);
    assert_true(snapshot_is_refused(buf_str(&bytes)));
    run.state = RUN_ACTING;
    run.effects[1].state = EFFECT_BACKOFF + 1;
    buf_reset(&bytes);
    codec_encode_run(&run, &bytes);
    assert_true(snapshot_is_refused(buf_str(&bytes)));
    buf_fini(&bytes);
}

static void fill_row(size_t name_bytes, uint32_t parked, struct run_row *ret)
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
    ret->parked_count = parked;
    for (uint32_t i = 0; i < parked; i++) {
        ret->parked[i].effect = UINT32_MAX - i;
        ret->parked[i].kind = EFFECT_BODY;
        memset(ret->parked[i].name, 'a' + (int)i, name_bytes);
    }
}

static void test_row_comes_back(void **state)
{
    char bytes[1024];
    struct run_row row;
    struct run_row back;

    (void)state;
    for (size_t name = 0; name <= CODEC_NAME_MAX; name += 16) {
        for (uint32_t parked = 0; parked <= CODEC_PARKED_MAX; parked++) {
            fill_row(name, parked, &row);
            size_t len = codec_encode_row(&row, bytes, sizeof(bytes));
            memset(&back, 0xaa, sizeof(back));
            assert_int_equal(codec_decode_row((str){bytes, len}, &back).code, CODE_OK);
            assert_memory_equal(&row, &back, sizeof(row));
        }
    }
}

static void test_row_refuses_what_is_too_much(void **state)
{
    char bytes[1024];
    struct run_row row;
    struct run_row back;

    (void)state;
    fill_row(CODEC_NAME_MAX, CODEC_PARKED_MAX, &row);
    size_t len = codec_encode_row(&row, bytes, sizeof(bytes));
    /* A fifth parked task, and a name of 129 bytes. */
    memcpy(bytes + len, "\x3a\x02\x08\x01", 4);
    assert_int_equal(codec_decode_row((str){bytes, len + 4}, &back).code, CODE_DATA_LOSS);
    memset(bytes, 'x', 140);
    memcpy(bytes, "\x1a\x81\x01", 3);
    assert_int_equal(codec_decode_row((str){bytes, 3 + 129}, &back).code, CODE_DATA_LOSS);
    memcpy(bytes, "\x1a\x80\x01", 3);
    assert_int_equal(codec_decode_row((str){bytes, 3 + 128}, &back).code, CODE_OK);
    assert_int_equal(strlen(back.name), 128);
    assert_int_equal(codec_decode_row((str){"\x08\x04", 2}, &back).code, CODE_FAILED_PRECONDITION);
    assert_int_equal(codec_decode_row((str){"\x3a\x02\x10\x07", 4}, &back).code,
                     CODE_FAILED_PRECONDITION);
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
        cmocka_unit_test(test_row_comes_back),
        cmocka_unit_test(test_row_refuses_what_is_too_much),
        cmocka_unit_test(test_row_survives_any_bytes),
        cmocka_unit_test(test_idempotency_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
