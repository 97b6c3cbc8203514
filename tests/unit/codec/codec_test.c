/*
 * Goal:   what is encoded is read back field by field; no damaged byte, no lost tail and nothing
 *         of a newer release passes; old bytes keep their meaning.
 * Method: random events of every kind; records with every byte changed in every bit position
 *         and cut at every length, each in a heap copy of its exact size; golden bytes.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/crc32c.h"
#include "service/codec/codec.h"
#include "tests/unit/codec/samples.h"

struct golden {
    enum event_kind kind;
    const char *hex;
};
static const struct golden first_release[] = {
#include "tests/unit/codec/golden.inc"
};
static const struct golden second_release[] = {
#include "tests/unit/codec/golden_2.inc"
};
static const struct golden third_release[] = {
#include "tests/unit/codec/golden_3.inc"
};
static const struct golden fourth_release[] = {
#include "tests/unit/codec/golden_4.inc"
};
static const struct golden fifth_release[] = {
#include "tests/unit/codec/golden_5.inc"
};
static const struct golden sixth_release[] = {
#include "tests/unit/codec/golden_6.inc"
};
static_assert(COUNT_OF(first_release) == EVENT_LEASE_LOST, "they are never taken away");

static const struct {
    const struct golden *rows;
    size_t count;
} goldens[SAMPLE_RELEASE + 1] = {
    [1] = {first_release, COUNT_OF(first_release)},
    [2] = {second_release, COUNT_OF(second_release)},
    [3] = {third_release, COUNT_OF(third_release)},
    [4] = {fourth_release, COUNT_OF(fourth_release)},
    [5] = {fifth_release, COUNT_OF(fifth_release)},
    [6] = {sixth_release, COUNT_OF(sixth_release)},
};

static status decode_first(str record, struct arena *arena, struct event *ret)
{
    struct codec_entry entry;
    size_t cursor = 0;
    bool end;
    TRY(codec_next(record, &cursor, &entry, &end));
    assert_false(end);
    return codec_decode(&entry, arena, ret);
}

/* Walks and parses all of a record in a copy that ends where it ends. */
static status read_all(str record, struct arena *arena)
{
    char *exact = xmalloc(record.len > 0 ? record.len : 1);
    struct codec_entry entry;
    struct event event;
    size_t cursor = 0;
    bool end = false;
    status outcome = STATUS_OK;
    memcpy(exact, record.ptr, record.len);
    while (outcome.code == CODE_OK && !end) {
        outcome = codec_next((str){exact, record.len}, &cursor, &entry, &end);
        if (outcome.code == CODE_OK && !end) {
            outcome = codec_decode(&entry, arena, &event);
        }
    }
    free(exact);
    return outcome;
}

static void check_round_trip(const struct event *event, uint32_t seq, struct arena *arena)
{
    struct buf record = {0};
    struct codec_entry entry;
    struct event back;
    size_t cursor = 0;
    bool end;
    codec_encode(event, 1, seq, &record);
    assert_int_equal(codec_next(buf_str(&record), &cursor, &entry, &end).code, CODE_OK);
    assert_false(end);
    assert_int_equal(entry.kind, event->kind);
    assert_int_equal(entry.seq, seq);
    assert_true(entry.time_ms == event->time_ms);
    assert_int_equal(codec_decode(&entry, arena, &back).code, CODE_OK);
    const char *difference = sample_difference(event, &back);
    if (difference != NULL) {
        fail_msg("%s of a %d came back changed", difference, (int)event->kind);
    }
    assert_int_equal(codec_next(buf_str(&record), &cursor, &entry, &end).code, CODE_OK);
    assert_true(end);
    buf_fini(&record);
}

static void test_round_trips_every_kind(void **state)
{
    uint64_t seed = 42;
    struct arena arena;
    struct event event;
    (void)state;
    arena_init(&arena, 0);
    for (int round = 0; round < 300; round++) {
        for (int kind = 1; kind < EVENT_COUNT; kind++) {
            size_t bytes_max = round % 10 == 0 ? 5000 : 60;
            sample_fill((enum event_kind)kind, &seed, bytes_max, &arena, &event);
            check_round_trip(&event, 1 + (uint32_t)sample_random(&seed) / 2, &arena);
        }
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

static void test_round_trips_big_and_empty(void **state)
{
    size_t big = (size_t)1 << 20;
    char *payload = xcalloc(1, big);
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < big; i += 3) {
        payload[i] = (char)(uint8_t)i;
    }
    struct event settled = {.kind = EVENT_TASK_SETTLED, .effect = 1, .attempt = 1};
    check_round_trip(&settled, 1, &arena);
    settled.task_settled.outcome.value = (str){payload, big};
    check_round_trip(&settled, UINT32_MAX, &arena);
    struct event replied = {.kind = EVENT_MODEL_REPLIED, .effect = 1, .attempt = 1};
    replied.model_replied.reply = (str){payload, big};
    check_round_trip(&replied, 7, &arena);
    for (int kind = 2; kind < EVENT_COUNT; kind++) {
        struct event bare = {.kind = (enum event_kind)kind};
        if (kind == EVENT_TASK_REQUESTED) {
            bare.task_requested.kind = EFFECT_TOOL;
        } else if (kind == EVENT_WAIT_SET) {
            bare.wait_set.kind = EFFECT_SLEEP;
        } else if (kind == EVENT_WAIT_SETTLED) {
            bare.wait_settled.kind = EFFECT_AT_ONCE;
        }
        check_round_trip(&bare, 1, &arena);
    }
    arena_fini(&arena);
    free(payload);
}

static void test_payloads_are_not_copied(void **state)
{
    struct event event = {.kind = EVENT_TASK_SETTLED, .effect = 3, .attempt = 1};
    struct buf record = {0};
    struct arena arena;
    struct event back;
    (void)state;
    arena_init(&arena, 0);
    event.task_settled.outcome.value = STR("{\"answer\":42}");
    codec_encode(&event, 1, 1, &record);
    assert_int_equal(decode_first(buf_str(&record), &arena, &back).code, CODE_OK);
    assert_in_range((uintptr_t)back.task_settled.outcome.value.ptr, (uintptr_t)record.ptr,
                    (uintptr_t)record.ptr + record.len);
    arena_fini(&arena);
    buf_fini(&record);
}

/* One event of each kind. */
static void encode_all(struct arena *arena, uint32_t first_seq, struct buf *ret)
{
    struct event events[EVENT_COUNT - 1];
    for (int kind = 1; kind < EVENT_COUNT; kind++) {
        sample_fixed((enum event_kind)kind, SAMPLE_RELEASE, arena, &events[kind - 1]);
    }
    codec_encode(events, COUNT_OF(events), first_seq, ret);
}

static void test_walks_a_record_of_many(void **state)
{
    struct buf record = {0};
    struct codec_entry entry;
    struct arena arena;
    size_t cursor = 0;
    bool end = false;
    (void)state;
    arena_init(&arena, 0);
    encode_all(&arena, 100, &record);
    for (uint32_t i = 0; i < EVENT_COUNT - 1; i++) {
        assert_int_equal(codec_next(buf_str(&record), &cursor, &entry, &end).code, CODE_OK);
        assert_false(end);
        assert_int_equal(entry.seq, 100 + i);
        assert_int_equal(entry.kind, i + 1);
    }
    assert_int_equal(codec_next(buf_str(&record), &cursor, &entry, &end).code, CODE_OK);
    assert_true(end);
    arena_fini(&arena);
    buf_fini(&record);
}

static void test_refuses_every_changed_byte(void **state)
{
    struct buf record = {0};
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    encode_all(&arena, 1, &record);
    assert_int_equal(read_all(buf_str(&record), &arena).code, CODE_OK);
    for (size_t at = 0; at < record.len; at++) {
        for (unsigned bit = 0; bit < 9; bit++) {
            char kept = record.ptr[at];
            record.ptr[at] = (char)(kept ^ (bit == 8 ? 0xff : 1 << bit));
            status outcome = read_all(buf_str(&record), &arena);
            record.ptr[at] = kept;
            if (outcome.code != CODE_DATA_LOSS && outcome.code != CODE_FAILED_PRECONDITION) {
                fail_msg("byte %zu, bit %u: passed", at, bit);
            }
            assert_non_null(outcome.why);
            arena_reset(&arena);
        }
    }
    arena_fini(&arena);
    buf_fini(&record);
}

static void test_refuses_every_cut(void **state)
{
    struct buf record = {0};
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    encode_all(&arena, 1, &record);
    for (size_t len = 0; len < record.len; len++) {
        if (read_all((str){record.ptr, len}, &arena).code != CODE_DATA_LOSS) {
            fail_msg("cut at %zu: passed", len);
        }
        arena_reset(&arena);
    }
    buf_put_char(&record, '\0');
    assert_int_equal(read_all(buf_str(&record), &arena).code, CODE_DATA_LOSS);
    arena_fini(&arena);
    buf_fini(&record);
}

/* An envelope with a right checksum around any body: what a newer release could write. */
static str forge(uint8_t format, uint8_t kind, uint8_t flags, str body, struct buf *ret)
{
    buf_reset(ret);
    buf_put_char(ret, (char)format);
    buf_put_char(ret, (char)kind);
    buf_put_char(ret, (char)flags);
    buf_put_char(ret, 0);
    buf_put_u32_le(ret, (uint32_t)body.len);
    buf_put_u64_le(ret, 5);
    buf_put_u32_le(ret, 0);
    buf_put_u32_le(ret, 1);
    buf_put(ret, body);
    uint32_t crc = crc32c(0, (str){ret->ptr, 16});
    crc = crc32c(crc, (str){ret->ptr + 20, ret->len - 20});
    for (size_t i = 0; i < 4; i++) {
        ret->ptr[16 + i] = (char)(uint8_t)(crc >> (8 * i));
    }
    return buf_str(ret);
}

/* {format, kind, flags, body, expected} */
static const struct {
    uint8_t format;
    uint8_t kind;
    uint8_t flags;
    str body;
    enum code code;
} forgeries[] = {
    {1, EVENT_MODEL_REQUESTED, 1, {"\x08\x01\x10\x02", 4}, CODE_OK},
    {2, EVENT_MODEL_REQUESTED, 1, {"\x08\x01\x10\x02", 4}, CODE_FAILED_PRECONDITION},
    {0, EVENT_MODEL_REQUESTED, 1, {"\x08\x01\x10\x02", 4}, CODE_DATA_LOSS},
    {1, EVENT_NONE, 1, {"", 0}, CODE_FAILED_PRECONDITION},
    {1, EVENT_COUNT, 1, {"", 0}, CODE_FAILED_PRECONDITION},
    {1, 255, 1, {"", 0}, CODE_FAILED_PRECONDITION},
    {1, EVENT_MODEL_REQUESTED, 3, {"", 0}, CODE_FAILED_PRECONDITION},
    {1, EVENT_MODEL_REQUESTED, 0, {"", 0}, CODE_DATA_LOSS},
    /* A field of a newer release is passed over. */
    {1, EVENT_RUN_CANCELLED, 1, {"\x0a\x01x\x7a\x02zz", 7}, CODE_OK},
    {1, EVENT_RUN_CANCELLED, 1, {"\x7d\x01\x02\x03\x04\x79\1\2\3\4\5\6\7\x08", 14}, CODE_OK},
    /* Values of our own enums that we do not have. */
    {1, EVENT_RUN_STARTED, 1, {"\x10\x04", 2}, CODE_FAILED_PRECONDITION},
    {1, EVENT_RUN_STARTED, 1, {"", 0}, CODE_FAILED_PRECONDITION},
    {1, EVENT_MODEL_REPLIED, 1, {"\x20\x06", 2}, CODE_FAILED_PRECONDITION},
    {1, EVENT_TASK_REQUESTED, 1, {"\x10\x01", 2}, CODE_FAILED_PRECONDITION},
    {1, EVENT_TASK_REQUESTED, 1, {"\x10\x04", 2}, CODE_FAILED_PRECONDITION},
    {1, EVENT_TASK_REQUESTED, 1, {"\x10\x09", 2}, CODE_FAILED_PRECONDITION},
    {1, EVENT_WAIT_SET, 1, {"\x10\x04", 2}, CODE_OK},
    {1, EVENT_WAIT_SET, 1, {"\x10\x08", 2}, CODE_OK},
    {1, EVENT_WAIT_SET, 1, {"", 0}, CODE_FAILED_PRECONDITION},
    {1, EVENT_WAIT_SET, 1, {"\x10\x03", 2}, CODE_FAILED_PRECONDITION},
    {1, EVENT_WAIT_SET, 1, {"\x10\x09", 2}, CODE_FAILED_PRECONDITION},
    {1, EVENT_WAIT_SETTLED, 1, {"\x10\x08\x2a\x00", 4}, CODE_OK},
    {1, EVENT_WAIT_SETTLED, 1, {"\x10\x03\x2a\x00", 4}, CODE_FAILED_PRECONDITION},
    {1, EVENT_WAIT_SETTLED, 1, {"\x10\x09\x2a\x00", 4}, CODE_FAILED_PRECONDITION},
    /* Damage under a right checksum. */
    {1, EVENT_TASK_SETTLED, 1, {"\x08\x01", 2}, CODE_DATA_LOSS},
    {1, EVENT_TASK_FAILED, 1, {"\x08\x01", 2}, CODE_DATA_LOSS},
    {1, EVENT_WAIT_SETTLED, 1, {"\x10\x04", 2}, CODE_DATA_LOSS},
    {1, EVENT_CHILD_SETTLED, 1, {"\x08\x01", 2}, CODE_DATA_LOSS},
    {1, EVENT_CHILD_SETTLED, 1, {"\x22\x00", 2}, CODE_OK},
    {1, EVENT_CHILD_SETTLED, 1, {"\x1a\x01x\x22\x00", 5}, CODE_DATA_LOSS},
    {1, EVENT_TASK_PARKED, 1, {"\x18", 1}, CODE_DATA_LOSS},
    {1, EVENT_TASK_REQUEUED, 1, {"\x0a\x00", 2}, CODE_DATA_LOSS},
    {1, EVENT_RESUME_KEPT, 1, {"\x12\x02x", 3}, CODE_DATA_LOSS},
    {1, EVENT_CANCEL_REQUESTED, 1, {"\x11\1\2\3\4\5\6\7\x08", 9}, CODE_DATA_LOSS},
    {1,
     EVENT_RUN_STARTED,
     1,
     {"\x0a\x03"
      "abc\x10\x01",
      7},
     CODE_DATA_LOSS},
    {1, EVENT_RUN_STARTED, 1, {"\x10\x01\x32\x01z", 5}, CODE_DATA_LOSS},
    {1, EVENT_RUN_CANCELLED, 1, {"\x0a\x05x", 3}, CODE_DATA_LOSS},
    {1, EVENT_RUN_CANCELLED, 1, {"\x08\x01", 2}, CODE_DATA_LOSS},
    {1, EVENT_RUN_CANCELLED, 1, {"\x0a", 1}, CODE_DATA_LOSS},
    {1, EVENT_RUN_CANCELLED, 1, {"\x02\x00", 2}, CODE_DATA_LOSS},
    {1, EVENT_RUN_CANCELLED, 1, {"\x0b\x0c", 2}, CODE_DATA_LOSS},
    {1,
     EVENT_RUN_CANCELLED,
     1,
     {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
     CODE_DATA_LOSS},
    {1,
     EVENT_MODEL_REQUESTED,
     1,
     {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11},
     CODE_DATA_LOSS},
    {1, EVENT_MODEL_REQUESTED, 1, {"\x08\x80\x80\x80\x80\x10", 6}, CODE_DATA_LOSS},
};

static void test_says_what_is_newer(void **state)
{
    struct buf record = {0};
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(forgeries); i++) {
        status outcome = read_all(forge(forgeries[i].format, forgeries[i].kind, forgeries[i].flags,
                                        forgeries[i].body, &record),
                                  &arena);
        if (outcome.code != forgeries[i].code) {
            fail_msg("row %zu: %s (%s)", i, code_name(outcome.code), outcome.why);
        }
    }
    arena_fini(&arena);
    buf_fini(&record);
}

static void to_hex(str bytes, struct buf *ret)
{
    for (size_t i = 0; i < bytes.len; i++) {
        buf_printf(ret, "%02x", (unsigned)(uint8_t)bytes.ptr[i]);
    }
}

static const struct golden *golden_of(enum event_kind kind, uint32_t release)
{
    for (size_t i = 0; i < goldens[release].count; i++) {
        if (goldens[release].rows[i].kind == kind) {
            return &goldens[release].rows[i];
        }
    }
    return NULL;
}

/* An event with the fields of a release is written as that release wrote it. */
static void check_golden(enum event_kind kind, uint32_t release, struct arena *arena)
{
    const struct golden *golden = golden_of(kind, release);
    struct buf record = {0};
    struct buf hex = {0};
    struct event event;
    sample_fixed(kind, release, arena, &event);
    codec_encode(&event, 1, 9, &record);
    to_hex(buf_str(&record), &hex);
    if (golden == NULL && getenv("PRINT_GOLDEN") != NULL) {
        printf("{EVENT_%s,\n \"%.*s\"},\n", engine_event_name(kind), STR_ARG(buf_str(&hex)));
    } else if (golden == NULL || !str_is(buf_str(&hex), golden->hex)) {
        fail_msg("release %u: %s is now written as %.*s", release, engine_event_name(kind),
                 STR_ARG(buf_str(&hex)));
    }
    buf_fini(&hex);
    buf_fini(&record);
}

static void test_golden_bytes(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (int kind = 1; kind < EVENT_COUNT; kind++) {
        check_golden((enum event_kind)kind, sample_release((enum event_kind)kind), &arena);
    }
    for (uint32_t release = 1; release <= SAMPLE_RELEASE; release++) {
        for (size_t i = 0; i < goldens[release].count; i++) {
            check_golden(goldens[release].rows[i].kind, release, &arena);
        }
    }
    arena_fini(&arena);
}

static void read_golden(const struct golden *golden, uint32_t release, struct arena *arena)
{
    size_t len = strlen(golden->hex) / 2;
    char *bytes = arena_alloc(arena, len);
    struct event expected;
    struct event event;
    for (size_t at = 0; at < len; at++) {
        unsigned byte;
        assert_int_equal(sscanf(golden->hex + 2 * at, "%2x", &byte), 1);
        bytes[at] = (char)(uint8_t)byte;
    }
    sample_fixed(golden->kind, release, arena, &expected);
    assert_int_equal(decode_first((str){bytes, len}, arena, &event).code, CODE_OK);
    assert_null(sample_difference(&expected, &event));
}

/* What an older release did not write is empty. */
static void test_golden_bytes_are_read(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (uint32_t release = 1; release <= SAMPLE_RELEASE; release++) {
        for (size_t i = 0; i < goldens[release].count; i++) {
            read_golden(&goldens[release].rows[i], release, &arena);
        }
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips_every_kind),
        cmocka_unit_test(test_round_trips_big_and_empty),
        cmocka_unit_test(test_payloads_are_not_copied),
        cmocka_unit_test(test_walks_a_record_of_many),
        cmocka_unit_test(test_refuses_every_changed_byte),
        cmocka_unit_test(test_refuses_every_cut),
        cmocka_unit_test(test_says_what_is_newer),
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_golden_bytes_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
