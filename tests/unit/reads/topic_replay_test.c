/*
 * Goal: whoever follows a topic is shown its events in order, from a number or a time on, of all
 *       types or of one, a small page a step; it can stop them at any event, and what was dropped
 *       is passed over.
 * Method: a topic written by hand, replays of it that note what they are shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/reads/topic_replay.h"
#include "tests/unit/reads/shelf.h"

enum {
    EVENTS = 40,
    DATA_BYTES = 20000,
};

static const uint8_t topic[KEY_HASH_BYTES] = {7};

struct noted {
    uint64_t first;
    uint64_t last;
    size_t count;
    uint64_t stop_at; /* It takes no more then. */
} noted;

static bool note(struct topic_replay *replay, const struct topic_event *event)
{
    assert_int_equal(replay->sequence, event->sequence);
    noted.first = noted.first == 0 ? event->sequence : noted.first;
    assert_true(event->sequence > noted.last);
    noted.last = event->sequence;
    noted.count++;
    return noted.stop_at == 0 || event->sequence < noted.stop_at;
}

static void put(struct shelf *shelf, uint64_t sequence, str value)
{
    char key[KEY_BYTES_MAX];
    struct store_batch batch = {.count = 0};
    store_batch_put(
        &batch, STORE_TOPICS,
        key_topic(key, (struct key_space){.partition = 1, .project = 2}, topic, sequence), value);
    assert_true(status_is_ok(store_commit(&shelf->store, &batch)));
    store_batch_fini(&batch);
}

/* Every other one is "even", two of each time. */
static void put_topic(struct shelf *shelf, uint64_t first)
{
    static char data[DATA_BYTES];
    char row[TOPIC_ROW_BYTES];
    memset(data, '1', sizeof(data));
    for (uint64_t i = 1; i <= EVENTS; i++) {
        struct buf bytes = {0};
        topic_event_encode(&(struct topic_event){.topic = STR("t"),
                                                 .type = i % 2 == 0 ? STR("even") : STR("odd"),
                                                 .data = str_make(data, sizeof(data)),
                                                 .created_ms = 1000 + i / 2},
                           &bytes);
        put(shelf, i, buf_str(&bytes));
        buf_fini(&bytes);
    }
    topic_row_encode(&(struct topic_row){.first = first, .last = EVENTS}, row);
    put(shelf, 0, str_make(row, sizeof(row)));
}

static struct read *read_topic(struct shelf *shelf, uint64_t after, uint64_t after_ms, str type)
{
    struct read *read = read_new(&topic_replay_kind);
    noted = (struct noted){.stop_at = noted.stop_at};
    memcpy(topic_replay(read)->topic, topic, sizeof(topic));
    topic_replay(read)->sequence = after;
    topic_replay(read)->after_ms = after_ms;
    topic_replay(read)->type = type;
    topic_replay(read)->show = note;
    shelf_read(shelf, read);
    return read;
}

/* The sequence up to which it came. */
static uint64_t replay(struct shelf *shelf, uint64_t after, uint64_t after_ms, str type)
{
    struct read *read = read_topic(shelf, after, after_ms, type);
    uint64_t ret = topic_replay(read)->sequence;
    assert_int_equal(shelf->failure.code, CODE_OK);
    assert_int_equal(topic_replay(read)->ret_full,
                     noted.stop_at != 0 && noted.last >= noted.stop_at);
    read_free(read);
    return ret;
}

static void events_come_in_small_pages(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    put_topic(&shelf, 1);
    noted.stop_at = 0;
    assert_int_equal(replay(&shelf, 0, 0, STR_EMPTY), EVENTS);
    assert_int_equal(noted.count, EVENTS);
    assert_in_range(shelf.steps, EVENTS * DATA_BYTES / (128 << 10), EVENTS);
    assert_int_equal(replay(&shelf, EVENTS, 0, STR_EMPTY), EVENTS);
    assert_int_equal(replay(&shelf, EVENTS + 9, 0, STR_EMPTY), EVENTS + 9); /* Ahead of them. */
    assert_int_equal(noted.count, 0);
    shelf_fini(&shelf);
}

static void one_type_is_shown_and_the_others_are_passed(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    put_topic(&shelf, 1);
    noted.stop_at = 0;
    assert_int_equal(replay(&shelf, 10, 0, STR("odd")), EVENTS);
    assert_int_equal(noted.first, 11);
    assert_int_equal(noted.last, EVENTS - 1);
    assert_int_equal(noted.count, (EVENTS - 10) / 2);
    shelf_fini(&shelf);
}

static void what_was_dropped_is_passed_over(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    put_topic(&shelf, 30);
    noted.stop_at = 0;
    assert_int_equal(replay(&shelf, 3, 0, STR_EMPTY), EVENTS);
    assert_int_equal(noted.first, 30);
    put_topic(&shelf, EVENTS + 1); /* All of it. */
    assert_int_equal(replay(&shelf, 3, 0, STR_EMPTY), EVENTS);
    assert_int_equal(noted.count, 0);
    shelf_fini(&shelf);
}

static void a_time_is_found(void **state)
{
    (void)state;
    static const uint64_t firsts[] = {1, 2, 17, EVENTS};
    for (size_t i = 0; i < COUNT_OF(firsts); i++) {
        struct shelf shelf;
        shelf_init(&shelf);
        put_topic(&shelf, firsts[i]);
        noted.stop_at = 0;
        for (uint64_t ms = 999; ms <= 1000 + EVENTS / 2; ms++) {
            uint64_t wanted = ms < 1000 ? 1 : 2 * (ms - 1000) + 2; /* The first after it. */
            wanted = wanted < firsts[i] ? firsts[i] : wanted;
            (void)replay(&shelf, 0, ms, STR_EMPTY);
            assert_int_equal(noted.first, wanted > EVENTS ? 0 : wanted);
        }
        shelf_fini(&shelf);
    }
}

static void it_stops_where_it_is_told(void **state)
{
    (void)state;
    struct shelf shelf;
    shelf_init(&shelf);
    put_topic(&shelf, 1);
    for (uint64_t at = 1; at <= EVENTS; at++) {
        noted.stop_at = at;
        assert_int_equal(replay(&shelf, 0, 0, STR_EMPTY), at);
        assert_int_equal(noted.last, at);
    }
    shelf_fini(&shelf);
}

/* Also where a time is looked for: as an event of no time it would hide those before it. */
static void a_damaged_event_is_not_passed_over(void **state)
{
    (void)state;
    static const uint64_t damaged[] = {1, 17, EVENTS};
    for (size_t i = 0; i < COUNT_OF(damaged); i++) {
        struct shelf shelf;
        shelf_init(&shelf);
        put_topic(&shelf, 1);
        put(&shelf, damaged[i], STR("\xff\xff\xff"));
        noted.stop_at = 0;
        struct read *read = read_topic(&shelf, 0, 0, STR_EMPTY);
        assert_int_equal(shelf.failure.code, CODE_DATA_LOSS);
        assert_int_equal(noted.last, damaged[i] - 1);
        read_free(read);
        read = read_topic(&shelf, 0, 1000 + damaged[i] / 2, STR_EMPTY);
        assert_int_equal(shelf.failure.code, CODE_DATA_LOSS);
        read_free(read);
        shelf_fini(&shelf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_small_pages),
        cmocka_unit_test(one_type_is_shown_and_the_others_are_passed),
        cmocka_unit_test(what_was_dropped_is_passed_over),
        cmocka_unit_test(a_time_is_found),
        cmocka_unit_test(it_stops_where_it_is_told),
        cmocka_unit_test(a_damaged_event_is_not_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
