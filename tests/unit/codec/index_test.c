/*
 * Goal:   index rows are on disk what they always were, come back as they were, and damaged ones
 *         are refused.
 * Method: each row's bytes against those that were written first; every length but the right one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/codec/key_row.h"
#include "service/codec/queue_rows.h"
#include "service/codec/run_index.h"
#include "service/codec/schedule_row.h"
#include "service/codec/topic_rows.h"
#include "service/codec/tree_order.h"
#include "service/codec/tree_rows.h"
#include "service/codec/wait_rows.h"

#define NUMBER_1 ((uint64_t)0x0102030405060708)
#define NUMBER_2 ((uint64_t)0x1112131415161718)
#define NUMBER_3 ((uint64_t)0x2122232425262728)
#define NUMBER_4 ((uint64_t)0x3132333435363738)

#define FLOW_HASH_HEX "6837106f0a048e381e8d47efee13e577"
#define RUN_HEX "101112131415161718191a1b1c1d1e1f"
#define OTHER_HEX "202122232425262728292a2b2c2d2e2f"
#define HASH_HEX "303132333435363738393a3b3c3d3e3f"
#define DIGEST_HEX "404142434445464748494a4b4c4d4e4f"

static void count_up(uint8_t from, uint8_t ret[16])
{
    for (uint8_t i = 0; i < 16; i++) {
        ret[i] = (uint8_t)(from + i);
    }
}

static uuid id_from(uint8_t from)
{
    uuid id;
    count_up(from, id.bytes);
    return id;
}

static void assert_bytes(str bytes, const char *hex)
{
    struct buf text = {0};
    for (size_t i = 0; i < bytes.len; i++) {
        buf_printf(&text, "%02x", (unsigned)(uint8_t)bytes.ptr[i]);
    }
    buf_put_char(&text, '\0');
    assert_string_equal(text.ptr, hex);
    buf_fini(&text);
}

static void assert_tail(struct index_tail tail, const char *hex)
{
    assert_bytes(index_tail_str(&tail), hex);
}

/* One of the decoders, of a tail or of a value. */
typedef status row_decode(str bytes);

/* Of what is as long as it must be, no byte can be told to be wrong; every other length can. */
static void assert_refuses_lengths(str bytes, size_t least, size_t most, row_decode *decode)
{
    char *exact = xcalloc(1, bytes.len + 1);
    memcpy(exact, bytes.ptr, bytes.len);
    for (size_t len = 0; len <= bytes.len + 1; len++) {
        enum code code = len >= least && len <= most ? CODE_OK : CODE_DATA_LOSS;
        assert_int_equal(decode(str_make(exact, len)).code, code);
    }
    free(exact);
}

static status decode_child(str tail)
{
    struct child_row row;
    return child_row_decode(tail, &row);
}

static status decode_successor(str tail)
{
    struct successor_row row;
    return successor_row_decode(tail, &row);
}

static void test_tree_rows(void **state)
{
    struct index_tail tail = child_row_tail(id_from(0x10), id_from(0x20));
    struct child_row child;
    struct successor_row successor;
    (void)state;
    assert_tail(tail, RUN_HEX OTHER_HEX);
    assert_tail(child_rows_of(id_from(0x10)), RUN_HEX);
    assert_int_equal(child_row_decode(index_tail_str(&tail), &child).code, CODE_OK);
    assert_true(uuid_equal(child.parent, id_from(0x10)));
    assert_true(uuid_equal(child.child, id_from(0x20)));
    assert_refuses_lengths(index_tail_str(&tail), 32, 32, decode_child);
    assert_tail(successor_row_tail(id_from(0x10), id_from(0x20)), RUN_HEX OTHER_HEX);
    assert_tail(successor_rows_of(id_from(0x10)), RUN_HEX);
    assert_int_equal(successor_row_decode(index_tail_str(&tail), &successor).code, CODE_OK);
    assert_true(uuid_equal(successor.child, id_from(0x10)));
    assert_true(uuid_equal(successor.successor, id_from(0x20)));
    assert_refuses_lengths(index_tail_str(&tail), 32, 32, decode_successor);
}

static status decode_suspension(str tail)
{
    struct suspension_row row;
    return suspension_row_decode(tail, &row);
}

static void test_suspension_row(void **state)
{
    struct index_tail tail = suspension_row_tail(NUMBER_1, id_from(0x10), 0x11121314);
    struct suspension_row row;
    (void)state;
    assert_tail(tail, "0102030405060708" RUN_HEX "11121314");
    assert_int_equal(suspension_row_decode(index_tail_str(&tail), &row).code, CODE_OK);
    assert_true(row.since_ms == NUMBER_1 && row.effect == 0x11121314);
    assert_true(uuid_equal(row.run, id_from(0x10)));
    assert_refuses_lengths(index_tail_str(&tail), 28, 28, decode_suspension);
}

static status decode_alarm(str tail)
{
    struct alarm_row row;
    return alarm_row_decode(tail, &row);
}

static void test_alarm_row(void **state)
{
    struct index_tail tail = alarm_row_tail(NUMBER_1, id_from(0x10));
    struct alarm_row row;
    (void)state;
    assert_tail(tail, "0102030405060708" RUN_HEX);
    assert_int_equal(alarm_row_decode(index_tail_str(&tail), &row).code, CODE_OK);
    assert_true(row.due_ms == NUMBER_1 && uuid_equal(row.run, id_from(0x10)));
    assert_refuses_lengths(index_tail_str(&tail), 24, 24, decode_alarm);
    assert_true(alarm_tail_due_ms(&tail) == NUMBER_1);
    tail = (struct index_tail){.len = 0};
    assert_true(alarm_tail_due_ms(&tail) == 0);
}

static status decode_await_tail(str tail)
{
    struct await_row row;
    return await_row_decode(tail, STR("12345678"), &row);
}

static status decode_await_value(str value)
{
    struct index_tail tail = await_row_tail(id_from(0x30).bytes, id_from(0x10), 1);
    struct await_row row;
    return await_row_decode(index_tail_str(&tail), value, &row);
}

static void test_await_row(void **state)
{
    uint8_t topic[16];
    struct buf value = {0};
    struct await_row row = {.after = NUMBER_1};
    (void)state;
    count_up(0x30, topic);
    struct index_tail tail = await_row_tail(topic, id_from(0x10), 0x11121314);
    assert_tail(tail, HASH_HEX RUN_HEX "11121314");
    assert_tail(await_rows_of(topic), HASH_HEX);
    await_row_encode(&row, &value);
    assert_bytes(buf_str(&value), "0807060504030201");
    memset(&row, 0, sizeof(row));
    assert_int_equal(await_row_decode(index_tail_str(&tail), buf_str(&value), &row).code, CODE_OK);
    assert_memory_equal(row.topic, topic, sizeof(topic));
    assert_true(uuid_equal(row.run, id_from(0x10)));
    assert_true(row.effect == 0x11121314 && row.after == NUMBER_1);
    assert_refuses_lengths(index_tail_str(&tail), 36, 36, decode_await_tail);
    assert_refuses_lengths(buf_str(&value), 8, 8, decode_await_value);
    buf_fini(&value);
}

static status decode_queue(str value)
{
    struct queue_row row;
    return queue_row_decode(STR("q"), value, &row);
}

static void test_queue_row(void **state)
{
    char name[QUEUE_NAME_BYTES_MAX + 1] = {0};
    struct queue_row row = {0x01020304, 0x11121314, 9, NUMBER_3};
    struct queue_row back;
    struct buf value = {0};
    (void)state;
    queue_row_encode(&row, &value);
    assert_bytes(buf_str(&value), "0403020114131211090000002827262524232221");
    assert_int_equal(queue_row_decode(STR("q"), buf_str(&value), &back).code, CODE_OK);
    assert_true(back.concurrency == row.concurrency && back.per_key == row.per_key);
    assert_true(back.rate == row.rate && back.rate_period_ms == row.rate_period_ms);
    assert_refuses_lengths(buf_str(&value), 20, 20, decode_queue);
    assert_int_equal(queue_row_decode(str_make(name, sizeof(name)), buf_str(&value), &back).code,
                     CODE_DATA_LOSS);
    memset(value.ptr + 12, 0, 8); /* A rate without its period; then neither. */
    assert_int_equal(decode_queue(buf_str(&value)).code, CODE_DATA_LOSS);
    memset(value.ptr + 8, 0, 4);
    assert_int_equal(decode_queue(buf_str(&value)).code, CODE_OK);
    buf_fini(&value);
}

static void test_queue_default_row(void **state)
{
    char name[QUEUE_NAME_BYTES_MAX + 1] = {0};
    str queue;
    (void)state;
    assert_int_equal(queue_default_row_decode(STR("q"), &queue).code, CODE_OK);
    assert_true(str_is(queue, "q"));
    assert_int_equal(queue_default_row_decode(STR_EMPTY, &queue).code, CODE_DATA_LOSS);
    assert_int_equal(queue_default_row_decode(str_make(name, sizeof(name)), &queue).code,
                     CODE_DATA_LOSS);
}

static status decode_start_tail(str tail)
{
    struct queue_start_row row;
    return queue_start_row_decode(tail, STR("1234567812345678"), &row);
}

static status decode_start_value(str value)
{
    struct queue_start_row row;
    return queue_start_row_decode(STR("q1234"), value, &row);
}

static void test_queue_start_row(void **state)
{
    struct buf tail = {0};
    struct buf value = {0};
    struct queue_start_row row = {.number = NUMBER_1, .start_ms = NUMBER_2};
    (void)state;
    queue_start_row_put_tail(STR("q"), 0x01020304, &tail);
    assert_bytes(buf_str(&tail), "7104030201");
    queue_start_row_encode(&row, &value);
    assert_bytes(buf_str(&value), "08070605040302011817161514131211");
    memset(&row, 0, sizeof(row));
    assert_int_equal(queue_start_row_decode(buf_str(&tail), buf_str(&value), &row).code, CODE_OK);
    assert_true(str_is(row.queue, "q") && row.slot == 0x01020304);
    assert_true(row.number == NUMBER_1 && row.start_ms == NUMBER_2);
    assert_true(queue_start_row_is_of(buf_str(&tail), STR("q")));
    assert_false(queue_start_row_is_of(buf_str(&tail), STR("r")));
    assert_false(queue_start_row_is_of(STR("queue1234"), STR("q")));
    assert_refuses_lengths(buf_str(&tail), 5, SIZE_MAX, decode_start_tail);
    assert_refuses_lengths(buf_str(&value), 16, 16, decode_start_value);
    buf_fini(&tail);
    buf_fini(&value);
}

static status decode_trigger(str value)
{
    struct trigger_row row;
    return trigger_row_decode(value, &row);
}

static void test_trigger_row(void **state)
{
    struct trigger_row row = {STR("news"), NUMBER_3, NUMBER_2, 0x01020304};
    struct trigger_row back;
    struct buf value = {0};
    (void)state;
    trigger_row_encode(&row, &value);
    assert_bytes(buf_str(&value), "28272625242322211817161514131211040302016e657773");
    assert_int_equal(trigger_row_decode(buf_str(&value), &back).code, CODE_OK);
    assert_true(str_equal(back.topic, row.topic) && back.position == row.position);
    assert_true(back.batch_timeout_ms == row.batch_timeout_ms);
    assert_true(back.batch_size == row.batch_size);
    assert_refuses_lengths(buf_str(&value), 21, SIZE_MAX, decode_trigger);
    for (size_t i = value.len - 20; i <= TOPIC_BYTES_MAX; i++) {
        assert_int_equal(decode_trigger(buf_str(&value)).code, CODE_OK);
        buf_put_char(&value, 'x');
    }
    assert_int_equal(decode_trigger(buf_str(&value)).code, CODE_DATA_LOSS);
    buf_fini(&value);
}

static status decode_publication(str value)
{
    struct publication_row row;
    return publication_row_decode(value, &row);
}

static status decode_age(str tail)
{
    struct publication_age_row row;
    return publication_age_row_decode(tail, &row);
}

static void test_publication_rows(void **state)
{
    struct publication_row row = {.first = NUMBER_1, .created_ms = NUMBER_2};
    struct publication_row back;
    struct publication_age_row age = {.created_ms = NUMBER_2};
    struct publication_age_row age_back;
    uint8_t key[PUBLICATION_KEY_BYTES];
    struct buf value = {0};
    (void)state;
    publication_key(STR("news"), STR("k1"), key);
    assert_bytes(str_make(key, sizeof(key)), "8f62bddc348483ab0692d6da8731ebb8");
    count_up(0x40, row.digest);
    publication_row_encode(&row, &value);
    assert_bytes(buf_str(&value), DIGEST_HEX "08070605040302011817161514131211");
    assert_int_equal(publication_row_decode(buf_str(&value), &back).code, CODE_OK);
    assert_memory_equal(&row, &back, sizeof(row));
    assert_refuses_lengths(buf_str(&value), 32, 32, decode_publication);
    count_up(0x30, age.key);
    struct index_tail tail = publication_age_row_tail(&age);
    assert_tail(tail, "1112131415161718" HASH_HEX);
    assert_int_equal(publication_age_row_decode(index_tail_str(&tail), &age_back).code, CODE_OK);
    assert_memory_equal(&age, &age_back, sizeof(age));
    assert_refuses_lengths(index_tail_str(&tail), 24, 24, decode_age);
    buf_fini(&value);
}

static void test_topic_event(void **state)
{
    struct topic_event event = {
        .topic = STR("news"),
        .type = STR("up"),
        .data = STR("{\"a\":1}"),
        .created_ms = NUMBER_2,
        .run = id_from(0x10),
    };
    struct topic_event back;
    struct buf value = {0};
    (void)state;
    topic_event_encode(&event, &value);
    assert_bytes(buf_str(&value),
                 "c842773f1817161514131211" RUN_HEX "040002006e65777375707b2261223a317d");
    assert_int_equal(topic_event_decode(buf_str(&value), 7, &back).code, CODE_OK);
    assert_true(back.sequence == 7 && back.created_ms == NUMBER_2);
    assert_true(str_is(back.topic, "news") && str_is(back.type, "up"));
    assert_true(str_is(back.data, "{\"a\":1}") && uuid_equal(back.run, id_from(0x10)));
    for (size_t at = 0; at < value.len; at++) {
        value.ptr[at] ^= 1;
        assert_int_equal(topic_event_decode(buf_str(&value), 7, &back).code, CODE_DATA_LOSS);
        value.ptr[at] ^= 1;
        assert_int_equal(topic_event_decode(str_make(value.ptr, at), 7, &back).code,
                         CODE_DATA_LOSS);
    }
    buf_fini(&value);
}

/* With a right checksum, but texts that are longer than the value. */
static void test_topic_event_is_cut_short(void **state)
{
    static const char forged[] = "\x3b\xf8\x3e\x17"
                                 "\x18\x17\x16\x15\x14\x13\x12\x11"
                                 "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
                                 "\x04\x00\x02\x00news";
    struct topic_event back;
    status outcome = topic_event_decode(str_make(forged, sizeof(forged) - 1), 7, &back);
    (void)state;
    assert_int_equal(outcome.code, CODE_DATA_LOSS);
    assert_string_equal(outcome.why, "an event of a topic is cut short");
}

static status decode_schedule(str value)
{
    struct schedule_row row;
    return schedule_row_decode(value, &row);
}

static void test_schedule_row(void **state)
{
    struct schedule_row row = {
        .cron = STR("0 9 * * *"),
        .zone = STR("Europe/Paris"),
        .created_ms = NUMBER_1,
        .base_ms = NUMBER_2,
        .last_tick_ms = NUMBER_3,
        .skipped = NUMBER_4,
        .run = id_from(0x10),
        .has_input = true,
    };
    struct schedule_row back;
    struct buf value = {0};
    (void)state;
    count_up(0x40, row.input_hash);
    schedule_row_encode(&row, &value);
    assert_bytes(buf_str(&value),
                 "010807060504030201181716151413121128272625242322213837363534333231" RUN_HEX
                 "01" DIGEST_HEX "09000000302039202a202a202a4575726f70652f5061726973");
    assert_int_equal(schedule_row_decode(buf_str(&value), &back).code, CODE_OK);
    assert_true(str_equal(back.cron, row.cron) && str_equal(back.zone, row.zone));
    assert_true(back.created_ms == NUMBER_1 && back.base_ms == NUMBER_2);
    assert_true(back.last_tick_ms == NUMBER_3 && back.skipped == NUMBER_4);
    assert_true(uuid_equal(back.run, row.run) && back.has_input);
    assert_memory_equal(back.input_hash, row.input_hash, sizeof(row.input_hash));
    assert_refuses_lengths(buf_str(&value), 80, SIZE_MAX, decode_schedule);
    buf_fini(&value);
}

static void test_schedule_row_refuses_damage(void **state)
{
    static const struct {
        size_t at;
        char byte;
    } damages[] = {
        {0, 2}, /* The format. */
        {66, 0}, /* An expression of no bytes, of all there are, of too many. */
        {66, 21},
        {67, 2},
    };
    struct schedule_row row = {.cron = STR("0 9 * * *"), .zone = STR("Europe/Paris")};
    struct buf value = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        buf_reset(&value);
        schedule_row_encode(&row, &value);
        assert_int_equal(decode_schedule(buf_str(&value)).code, CODE_OK);
        value.ptr[damages[i].at] = damages[i].byte;
        assert_int_equal(decode_schedule(buf_str(&value)).code, CODE_DATA_LOSS);
    }
    buf_reset(&value);
    schedule_row_encode(&row, &value);
    for (size_t i = row.zone.len; i <= SCHEDULE_ZONE_BYTES_MAX; i++) {
        assert_int_equal(decode_schedule(buf_str(&value)).code, CODE_OK);
        buf_put_char(&value, 'x');
    }
    assert_int_equal(decode_schedule(buf_str(&value)).code, CODE_DATA_LOSS);
    buf_fini(&value);
}

static void test_key_row(void **state)
{
    static const str offers[] = {{"a*", 2}, {"b", 1}};
    struct key_row row = {
        .rights = 0x01020304,
        .created_ms = 5,
        .expires_ms = 6,
        .revoked_ms = 7,
        .name = STR("me"),
        .offers = offers,
        .offer_count = COUNT_OF(offers),
    };
    struct key_row back;
    struct arena arena;
    struct buf value = {0};
    char tail[KEY_ROW_TAIL_BYTES];
    uint32_t number = 0;
    (void)state;
    arena_init(&arena, 0);
    assert_bytes(key_row_tail(tail, 0x1f9d02aa), "1f9d02aa");
    assert_int_equal(key_row_read_tail(str_make(tail, sizeof(tail)), &number).code, CODE_OK);
    assert_int_equal(number, 0x1f9d02aa);
    assert_int_equal(key_row_read_tail(STR("123"), &number).code, CODE_DATA_LOSS);
    memset(row.digest, 0xdd, sizeof(row.digest));
    key_row_encode(&row, &value);
    assert_bytes(buf_str(&value), "01"
                                  "04030201"
                                  "0500000000000000"
                                  "0600000000000000"
                                  "0700000000000000"
                                  "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
                                  "0200"
                                  "6d65"
                                  "0200"
                                  "0200"
                                  "612a"
                                  "0100"
                                  "62");
    assert_int_equal(key_row_decode(buf_str(&value), &arena, &back).code, CODE_OK);
    assert_int_equal(back.rights, row.rights);
    assert_int_equal(back.created_ms + 10 * back.expires_ms + 100 * back.revoked_ms, 765);
    assert_memory_equal(back.digest, row.digest, sizeof(row.digest));
    assert_true(str_is(back.name, "me"));
    assert_int_equal(back.offer_count, 2);
    assert_true(str_is(back.offers[0], "a*") && str_is(back.offers[1], "b"));
    for (size_t len = 0; len < value.len; len++) {
        str cut = str_make(value.ptr, len);
        assert_int_equal(key_row_decode(cut, &arena, &back).code, CODE_DATA_LOSS);
    }
    value.ptr[0] = 2; /* Of a release that is not known. */
    assert_int_equal(key_row_decode(buf_str(&value), &arena, &back).code, CODE_DATA_LOSS);
    value.ptr[0] = 1;
    buf_put_char(&value, 'x');
    assert_int_equal(key_row_decode(buf_str(&value), &arena, &back).code, CODE_DATA_LOSS);
    buf_fini(&value);
    arena_fini(&arena);
}

static void test_suspension_value(void **state)
{
    (void)state;
    char value[SUSPENSION_VALUE_BYTES];
    suspension_row_value(0x01020304, value);
    assert_bytes(str_make(value, sizeof(value)), "04030201");
    assert_int_equal(suspension_row_seq(str_make(value, sizeof(value))), 0x01020304);
    assert_int_equal(suspension_row_seq(STR_EMPTY), UINT32_MAX); /* Of an earlier release. */
}

static void test_run_index_rows(void **state)
{
    (void)state;
    char bytes[RUN_INDEX_BUILT_BYTES_MAX];
    struct run_index_built built = {.is_complete = true, .last = id_from(0x10)};
    struct run_index_built back = {.is_complete = false};
    struct index_tail tail = run_index_tail(RUN_BY_NAME, STR("flow"), id_from(0x10));
    struct index_tail prefix = run_index_prefix(RUN_BY_NAME, STR("flow"));
    uuid run;
    assert_tail(prefix, "02" FLOW_HASH_HEX);
    assert_tail(tail, "02" FLOW_HASH_HEX RUN_HEX);
    assert_int_equal(run_index_decode(index_tail_str(&tail), &run).code, CODE_OK);
    assert_true(uuid_equal(run, id_from(0x10)));
    for (size_t len = 0; len < tail.len; len++) {
        assert_int_equal(run_index_decode(str_make(tail.bytes, len), &run).code, CODE_DATA_LOSS);
    }
    size_t len = run_index_built_encode(&built, bytes, sizeof(bytes));
    assert_bytes(str_make(bytes, len), "0a10" RUN_HEX "1001");
    assert_int_equal(run_index_built_decode(str_make(bytes, len), &back).code, CODE_OK);
    assert_true(back.is_complete && uuid_equal(back.last, built.last));
    assert_int_equal(run_index_built_decode(str_make(bytes, len - 1), &back).code, CODE_DATA_LOSS);
    assert_int_equal(run_index_built_kind(RUN_INDEX_FIRST), 17);
    assert_int_equal(run_index_built_kind(RUN_INDEX_TREES), 56);
}

static void facts_of_a_tree(void **state)
{
    (void)state;
    const struct tree_facts facts = {
        .number = NUMBER_1, .run = id_from(0x20), .first_seq = 300, .count = 2};
    char bytes[TREE_FACTS_BYTES_MAX];
    struct tree_facts got;
    struct index_tail tail = tree_facts_tail(id_from(0x10), NUMBER_1);
    str row = tree_facts_encode(&facts, bytes);
    assert_tail(tail, RUN_HEX "0102030405060708");
    assert_bytes(row, "08011210" OTHER_HEX "18ac022002");
    assert_int_equal(tree_facts_decode(index_tail_str(&tail), row, &got).code, CODE_OK);
    assert_int_equal(got.number, NUMBER_1);
    assert_true(uuid_equal(got.run, facts.run));
    assert_int_equal(got.first_seq, 300);
    assert_int_equal(got.count, 2);
    for (size_t len = 0; len < row.len; len++) {
        assert_int_equal(
            tree_facts_decode(index_tail_str(&tail), str_make(row.ptr, len), &got).code,
            CODE_DATA_LOSS);
    }
    assert_int_equal(tree_facts_decode(str_make(tail.bytes, tail.len - 1), row, &got).code,
                     CODE_DATA_LOSS);
    bytes[1] = 2;
    assert_int_equal(tree_facts_decode(index_tail_str(&tail), row, &got).code,
                     CODE_FAILED_PRECONDITION);
    memset(tail.bytes + 16, 0, 8);
    bytes[1] = 1;
    assert_int_equal(tree_facts_decode(index_tail_str(&tail), row, &got).code, CODE_DATA_LOSS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_of_a_tree),
        cmocka_unit_test(test_tree_rows),
        cmocka_unit_test(test_suspension_row),
        cmocka_unit_test(test_alarm_row),
        cmocka_unit_test(test_await_row),
        cmocka_unit_test(test_key_row),
        cmocka_unit_test(test_suspension_value),
        cmocka_unit_test(test_run_index_rows),
        cmocka_unit_test(test_queue_row),
        cmocka_unit_test(test_queue_default_row),
        cmocka_unit_test(test_queue_start_row),
        cmocka_unit_test(test_trigger_row),
        cmocka_unit_test(test_publication_rows),
        cmocka_unit_test(test_topic_event),
        cmocka_unit_test(test_topic_event_is_cut_short),
        cmocka_unit_test(test_schedule_row),
        cmocka_unit_test(test_schedule_row_refuses_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
