/*
 * Goal:   positions survive the way out and back, and nothing else is taken for one; what watchers
 *         are sent says what it is about; texts are always UTF-8.
 * Method: random positions with a fixed seed, every one-byte change of a good one, a list of bad
 *         ones; packed messages are unpacked again.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/api/api.h"
#include "service/api/format.h"
#include "service/api/text.h"
#include "service/features/watchers/watchers.h"
#include "service/llm/provider.h"

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 16;
}

static bool same(struct position a, struct position b)
{
    return a.seq == b.seq && a.effect == b.effect && a.attempt == b.attempt && a.offset == b.offset;
}

static void positions_come_back(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        struct position position = {.seq = (uint32_t)(next_random() >> (next_random() % 32))};
        if (next_random() % 2 == 0) {
            position.effect = 1 + (uint32_t)(next_random() % 1000);
            position.attempt = 1 + (uint32_t)(next_random() % 5);
            position.offset = next_random() >> (next_random() % 48);
        }
        char text[POSITION_BYTES];
        position_format(position, text);
        struct position back;
        assert_true(position_parse(str_of(text), &back));
        assert_true(same(position, back));
    }
}

static void the_largest_fits(void **state)
{
    (void)state;
    struct position position = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX};
    char text[POSITION_BYTES];
    position_format(position, text);
    struct position back;
    assert_true(position_parse(str_of(text), &back));
    assert_true(same(position, back));
}

static void nothing_else_is_a_position(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "0",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.4 ",
        " 1.2.3.4",
        "01.0.0.0",
        "1..0.0",
        "1.0.0.",
        ".0.0.0",
        "-1.0.0.0",
        "+1.0.0.0",
        "1.0.0.5",
        "1.0.1.0",
        "1.1.0.0",
        "1.0x.0.0",
        "1,0,0,0",
        "4294967296.0.0.0",
        "1.2.3.18446744073709551616",
        "99999999999999999999.0.0.0",
        "1.0.0.00",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct position position;
        assert_false(position_parse(str_of(texts[i]), &position));
    }
}

/* Whatever is changed in a good one: it is refused, or it is another one that formats the same. */
static void changed_bytes_never_mislead(void **state)
{
    (void)state;
    static const char good[] = "12.3.1.480";
    for (size_t at = 0; at < sizeof(good) - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[sizeof(good)];
            memcpy(text, good, sizeof(good));
            text[at] = (char)byte;
            struct position position;
            if (position_parse(str_make(text, sizeof(good) - 1), &position)) {
                char again[POSITION_BYTES];
                position_format(position, again);
                assert_string_equal(again, text);
            }
        }
    }
}

static Polos__V1__RunServiceWatchResponse *unpacked(struct payload *payload)
{
    str bytes = payload_bytes(payload);
    Polos__V1__RunServiceWatchResponse *ret =
        polos__v1__run_service_watch_response__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
    assert_non_null(ret);
    payload_unref(payload);
    return ret;
}

static void take_payload(void *context, struct payload *payload)
{
    *(struct payload **)context = payload;
}

static void facts(void **state)
{
    (void)state;
    struct event event = {
        .kind = EVENT_RUN_CANCELLED,
        .time_ms = 1700000000123,
        .run_cancelled = {.cause = STR("enough")},
    };
    struct codec_entry entry = {.kind = event.kind, .seq = 7, .time_ms = event.time_ms};
    struct payload *payload = NULL;
    api_format()->fact(NULL, &entry, &event, take_payload, &payload);
    Polos__V1__RunServiceWatchResponse *got = unpacked(payload);
    assert_int_equal(got->event_case, POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_FACT);
    assert_string_equal(got->position, "7.0.0.0");
    assert_int_equal(got->fact->seq, 7);
    assert_int_equal(got->fact->time->seconds, 1700000000);
    assert_int_equal(got->fact->time->nanos, 123000000);
    assert_int_equal(got->fact->event_case, POLOS__V1__HISTORY_EVENT__EVENT_RUN_CANCELLED);
    assert_string_equal(got->fact->run_cancelled->cause, "enough");
    polos__v1__run_service_watch_response__free_unpacked(got, NULL);
}

static void deltas(void **state)
{
    (void)state;
    static const struct watch_delta hm = {
        .seq = 9,
        .effect = 3,
        .attempt = 2,
        .turn = 4,
        .offset = 480,
        .kind = MODEL_DELTA_REASONING + 1,
        .text = {"hm", 2},
    };
    Polos__V1__RunServiceWatchResponse *got = unpacked(api_format()->delta(NULL, &hm));
    assert_int_equal(got->event_case, POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_DELTA);
    assert_string_equal(got->position, "9.3.2.480");
    assert_int_equal(got->delta->effect_id, 3);
    assert_int_equal(got->delta->attempt, 2);
    assert_int_equal(got->delta->turn, 4);
    assert_int_equal(got->delta->kind, POLOS__V1__DELTA_KIND__DELTA_KIND_REASONING);
    assert_string_equal(got->delta->text, "hm");
    assert_int_equal(got->delta->offset, 478);
    polos__v1__run_service_watch_response__free_unpacked(got, NULL);
    got = unpacked(api_format()->caught_up(false, 12));
    assert_int_equal(got->event_case, POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_CAUGHT_UP);
    assert_string_equal(got->position, "12.0.0.0");
    assert_string_equal(got->run_id, "");
    polos__v1__run_service_watch_response__free_unpacked(got, NULL);
}

static void of_a_tree_the_run_is_named_and_the_position_the_trees(void **state)
{
    (void)state;
    const struct event event = {.kind = EVENT_RUN_CANCELLED, .run_cancelled = {STR("enough")}};
    const struct codec_entry entry = {.kind = event.kind, .seq = 7};
    const struct tree_point below = {.run = {.bytes = {1, 2}}, .number = 57};
    const struct tree_point root = {.number = 58};
    struct payload *payload = NULL;
    api_format()->fact(&below, &entry, &event, take_payload, &payload);
    Polos__V1__RunServiceWatchResponse *got = unpacked(payload);
    assert_string_equal(got->position, "tree.57");
    assert_string_equal(got->run_id, "01020000-0000-0000-0000-000000000000");
    polos__v1__run_service_watch_response__free_unpacked(got, NULL);
    got = unpacked(api_format()->delta(
        &root, &(struct watch_delta){.kind = MODEL_DELTA_TEXT + 1, .text = STR("x")}));
    assert_string_equal(got->position, "tree.58");
    assert_string_equal(got->run_id, "");
    assert_int_equal(got->delta->offset, 0);
    polos__v1__run_service_watch_response__free_unpacked(got, NULL);
    got = unpacked(api_format()->caught_up(true, 59));
    assert_string_equal(got->position, "tree.59");
    polos__v1__run_service_watch_response__free_unpacked(got, NULL);
}

static void only_written_positions_of_trees_are_read(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "tree",     "tree.",  "tree.01", "tree.-1",
        "tree.1.", "tree.1.2", "Tree.1", "1",       "tree.18446744073709551616",
        "tree. 1", "1.0.0.0",
    };
    char text[POSITION_BYTES];
    uint64_t number;
    static const uint64_t good[] = {0, 1, 57, UINT64_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(tree_position_parse(str_of(bad[i]), &number));
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        tree_position_format(good[i], text);
        assert_true(tree_position_parse(str_of(text), &number));
        assert_int_equal(number, good[i]);
    }
}

static void texts_are_utf8(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_string_equal(text_of(&arena, STR_EMPTY), "");
    assert_string_equal(text_of(&arena, STR("gr\xC3\xBC\xC3\x9F")), "gr\xC3\xBC\xC3\x9F");
    assert_string_equal(text_of(&arena, STR("a\xFFz")), "a\xEF\xBF\xBDz");
    assert_string_equal(text_of(&arena, STR("a\0z")), "a\xEF\xBF\xBDz");
    assert_string_equal(text_of(&arena, STR("cut\xC3")), "cut\xEF\xBF\xBD");
    assert_string_equal(text_of_time(&arena, 1700000000007), "2023-11-14T22:13:20.007Z");
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_come_back),
        cmocka_unit_test(the_largest_fits),
        cmocka_unit_test(nothing_else_is_a_position),
        cmocka_unit_test(changed_bytes_never_mislead),
        cmocka_unit_test(facts),
        cmocka_unit_test(deltas),
        cmocka_unit_test(of_a_tree_the_run_is_named_and_the_position_the_trees),
        cmocka_unit_test(only_written_positions_of_trees_are_read),
        cmocka_unit_test(texts_are_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
