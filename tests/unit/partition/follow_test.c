/*
 * Goal:   who follows is shown each number once and in order, whoever shows it; what is kept for
 *         those who are read for has a limit, as have followers; nobody is forgotten.
 * Method: followers that count, reads that are done by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/partition/follow.h"

struct someone {
    struct follower follower;
    uint64_t seen;
    unsigned reads; /* Begun, ever. */
    unsigned joins; /* Told that it is live, ever. */
    bool is_full;
    bool skips; /* It is not shown every number. */
    enum code ended;
};

static const uuid thing = {.bytes = {1}};
static const uuid other = {.bytes = {2}};

static struct someone *someone_of(struct follower *follower)
{
    return container_of(follower, struct someone, follower);
}

static void push(struct follower *follower, struct payload *payload)
{
    struct someone *it = someone_of(follower);
    uint64_t number;
    memcpy(&number, payload_bytes(payload).ptr, sizeof(number));
    assert_true(it->skips ? number > it->seen : number == it->seen + 1);
    it->seen = number;
    payload_unref(payload);
}

static bool stalls(struct follower *follower)
{
    return someone_of(follower)->is_full;
}

static void read(struct follower *follower)
{
    assert_int_equal(someone_of(follower)->seen, follower->number);
    someone_of(follower)->reads++;
}

static void end(struct follower *follower, const struct failure *failure)
{
    assert_int_equal(follower->place, FOLLOWER_NOWHERE);
    someone_of(follower)->ended = failure->code;
}

static void joined(void *context, struct follower *follower)
{
    (void)context;
    someone_of(follower)->joins++;
}

static struct someone someone_new(void)
{
    return (struct someone){.follower = {.push = push, .stalls = stalls, .read = read, .end = end}};
}

static void set_up(struct follow *follow, size_t kept_bytes)
{
    follow_init(follow,
                &(struct follow_options){
                    .followers_max = 3, .each_max = 2, .kept_bytes = kept_bytes, .joined = joined});
}

static void tear_down(struct follow *follow)
{
    struct failure failure = failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN, STR("."));
    follow_fini(follow, &failure);
}

static void show(struct follow *follow, uint64_t number, size_t bytes)
{
    struct payload *payload = payload_new(bytes);
    memcpy(payload_data(payload), &number, sizeof(number));
    follow_show(follow, thing, number, number % 2 == 0 ? STR("even") : STR("odd"), payload);
}

/* Its read has shown all up to `number`. */
static void join(struct follow *follow, struct someone *it, uint64_t number, bool is_full)
{
    it->seen = number;
    follow_joins(follow, &it->follower, number, is_full);
    follow_settle(follow);
}

static void what_came_meanwhile_is_shown(void **state)
{
    (void)state;
    struct follow follow;
    struct someone it = someone_new();
    set_up(&follow, 100);
    follow_add(&follow, thing, &it.follower, false);
    assert_int_equal(it.reads, 1);
    for (uint64_t number = 1; number <= 5; number++) {
        show(&follow, number, 10);
    }
    assert_int_equal(it.seen, 0); /* It is read for. */
    join(&follow, &it, 3, false);
    assert_int_equal(it.seen, 5);
    assert_int_equal(it.joins, 1);
    assert_int_equal(follow.kept_bytes, 0);
    show(&follow, 6, 10);
    assert_int_equal(it.seen, 6);
    assert_int_equal(follow.kept_bytes, 0); /* Nobody needs it. */
    tear_down(&follow);
    assert_int_equal(it.ended, CODE_UNAVAILABLE);
}

/* What was shown so far may not be all. */
static void all_are_read_for_again(void **state)
{
    (void)state;
    struct follow follow;
    struct someone live = someone_new();
    struct someone reading = someone_new();
    set_up(&follow, 100);
    follow_add(&follow, thing, &live.follower, false);
    join(&follow, &live, 1, false);
    follow_add(&follow, thing, &reading.follower, false);
    show(&follow, 2, 10);
    follow_read_again(&follow, thing);
    assert_int_equal(live.follower.place, FOLLOWER_READS);
    assert_int_equal(live.reads, 2);
    assert_int_equal(reading.reads, 1); /* Its read may have been too early: ... */
    join(&follow, &reading, 2, false);
    assert_int_equal(reading.follower.place, FOLLOWER_READS);
    assert_int_equal(reading.reads, 2); /* ... it is read for once more. */
    join(&follow, &reading, 4, false);
    join(&follow, &live, 4, false);
    assert_int_equal(live.follower.place, FOLLOWER_LIVE);
    assert_int_equal(reading.follower.place, FOLLOWER_LIVE);
    show(&follow, 5, 10);
    assert_int_equal(live.seen + reading.seen, 10);
    tear_down(&follow);
}

/* Those of another set count with it. */
static void sets_share_their_limit(void **state)
{
    (void)state;
    struct follow one;
    struct follow two;
    struct failure failure;
    struct someone some[3] = {someone_new(), someone_new(), someone_new()};
    set_up(&one, 100);
    set_up(&two, 100);
    one.options.with = &two;
    two.options.with = &one;
    follow_add(&one, thing, &some[0].follower, false);
    follow_add(&two, thing, &some[1].follower, false);
    assert_true(follow_may_add(&one, thing, &failure));
    follow_add(&two, thing, &some[2].follower, false);
    assert_false(follow_may_add(&one, thing, &failure));
    assert_int_equal(failure.reason, REASON_TOO_MANY_WATCHERS);
    tear_down(&one);
    tear_down(&two);
}

static void what_is_kept_has_a_limit(void **state)
{
    (void)state;
    struct follow follow;
    struct someone it = someone_new();
    set_up(&follow, 100);
    follow_add(&follow, thing, &it.follower, false);
    for (uint64_t number = 1; number <= 50; number++) {
        show(&follow, number, 40);
        assert_true(follow.kept_bytes <= 100);
    }
    join(&follow, &it, 20, false);
    assert_int_equal(it.joins, 0);
    assert_int_equal(it.reads, 2); /* Too much came meanwhile. */
    show(&follow, 51, 1000); /* More than is kept at all. */
    join(&follow, &it, 50, false);
    assert_int_equal(it.reads, 3);
    join(&follow, &it, 51, false);
    assert_int_equal(it.joins, 1);
    tear_down(&follow);
}

static void who_is_full_is_read_for_later(void **state)
{
    (void)state;
    struct follow follow;
    struct someone it = someone_new();
    set_up(&follow, 100);
    follow_add(&follow, thing, &it.follower, true);
    show(&follow, 1, 10);
    it.is_full = true;
    show(&follow, 2, 10);
    assert_int_equal(it.seen, 1);
    assert_int_equal(it.follower.place, FOLLOWER_STALLED);
    it.is_full = false;
    follow_more(&follow, &it.follower);
    assert_int_equal(it.reads, 1);
    follow_more(&follow, &it.follower); /* It has room while it is read for: */
    join(&follow, &it, 2, true); /* so a read that stopped for want of it begins again. */
    assert_int_equal(it.reads, 2);
    join(&follow, &it, 2, true);
    assert_int_equal(it.follower.place, FOLLOWER_STALLED);
    follow_more(&follow, &it.follower);
    assert_int_equal(it.reads, 3);
    show(&follow, 3, 10);
    it.is_full = true;
    join(&follow, &it, 2, false); /* What was kept finds it full. */
    assert_int_equal(it.follower.place, FOLLOWER_STALLED);
    assert_int_equal(it.seen, 2);
    assert_int_equal(follow.kept_bytes, 0);
    tear_down(&follow);
}

static void the_end_comes_to_all(void **state)
{
    (void)state;
    struct follow follow;
    struct someone live = someone_new();
    struct someone late = someone_new();
    set_up(&follow, 100);
    follow_add(&follow, thing, &live.follower, true);
    follow_add(&follow, thing, &late.follower, false);
    show(&follow, 1, 10);
    struct follower *taken = follow_end(&follow, thing);
    assert_ptr_equal(taken, &live.follower);
    assert_null(taken->next);
    join(&follow, &late, 1, false);
    assert_int_equal(late.reads, 2); /* It reads the end. */
    follow_remove(&follow, &late.follower);
    assert_false(follow_is_followed(&follow, thing));
    tear_down(&follow);
}

static void who_leaves_is_forgotten(void **state)
{
    (void)state;
    for (unsigned when = 0; when < 4; when++) {
        struct follow follow;
        struct someone it = someone_new();
        struct someone stays = someone_new();
        set_up(&follow, 100);
        follow_add(&follow, thing, &it.follower, when == 0);
        follow_add(&follow, thing, &stays.follower, true);
        show(&follow, 1, 10);
        it.seen = 1;
        if (when >= 2) {
            follow_joins(&follow, &it.follower, 1, when == 3);
        }
        follow_remove(&follow, &it.follower);
        follow_remove(&follow, &it.follower);
        follow_more(&follow, &it.follower);
        follow_joins(&follow, &it.follower, 1, false); /* Its read, late. */
        follow_settle(&follow);
        show(&follow, 2, 10);
        assert_int_equal(it.seen, 1);
        assert_int_equal(stays.seen, 2);
        assert_int_equal(follow.kept_bytes, 0);
        tear_down(&follow);
        assert_int_equal(it.ended, CODE_OK); /* Nobody told it. */
    }
}

static void followers_have_limits(void **state)
{
    (void)state;
    struct follow follow;
    struct failure failure;
    struct someone them[3] = {someone_new(), someone_new(), someone_new()};
    set_up(&follow, 100);
    follow_add(&follow, thing, &them[0].follower, true);
    assert_true(follow_may_add(&follow, thing, &failure));
    follow_add(&follow, thing, &them[1].follower, true);
    assert_false(follow_may_add(&follow, thing, &failure));
    assert_int_equal(failure.code, CODE_RESOURCE_EXHAUSTED);
    assert_int_equal(failure.reason, REASON_TOO_MANY_WATCHERS);
    assert_true(follow_may_add(&follow, other, &failure));
    follow_add(&follow, other, &them[2].follower, true);
    follow_remove(&follow, &them[0].follower);
    assert_true(follow_may_add(&follow, thing, &failure));
    follow_add(&follow, thing, &them[0].follower, false);
    follow_remove(&follow, &them[1].follower);
    struct someone last = someone_new();
    follow_add(&follow, other, &last.follower, true);
    assert_false(follow_may_add(&follow, thing, &failure)); /* In all. */
    assert_int_equal(failure.reason, REASON_TOO_MANY_WATCHERS);
    tear_down(&follow);
}

/* Those with a label are past the others all the same. */
static void only_what_has_its_label_is_shown(void **state)
{
    (void)state;
    struct follow follow;
    struct someone it = someone_new();
    set_up(&follow, 1000);
    it.follower.label = STR("even");
    it.skips = true;
    follow_add(&follow, thing, &it.follower, false);
    for (uint64_t number = 1; number <= 5; number++) {
        show(&follow, number, 10);
    }
    join(&follow, &it, 1, false);
    assert_int_equal(it.seen, 4);
    assert_int_equal(it.follower.number, 5);
    show(&follow, 6, 10);
    show(&follow, 7, 10);
    assert_int_equal(it.seen, 6);
    assert_int_equal(it.follower.number, 7);
    assert_int_equal(it.reads, 1);
    tear_down(&follow);
}

/* What was dropped is shown to nobody, kept or not. */
static void what_is_gone_is_not_shown(void **state)
{
    (void)state;
    struct follow follow;
    struct someone late = someone_new();
    struct someone live = someone_new();
    set_up(&follow, 1000);
    late.skips = live.skips = true;
    follow_add(&follow, thing, &late.follower, false);
    follow_add(&follow, thing, &live.follower, true);
    show(&follow, 1, 10);
    show(&follow, 2, 10);
    follow_forget(&follow, thing, 3); /* The third was dropped before it was shown. */
    assert_int_equal(live.follower.number, 3);
    assert_int_equal(follow.kept_bytes, 0);
    show(&follow, 4, 10);
    assert_int_equal(live.seen, 4);
    join(&follow, &late, 1, false); /* It has seen the first, and others are gone. */
    assert_int_equal(late.reads, 2);
    join(&follow, &late, 3, false);
    assert_int_equal(late.seen, 4);
    assert_int_equal(late.follower.place, FOLLOWER_LIVE);
    tear_down(&follow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_has_its_label_is_shown),
        cmocka_unit_test(what_is_gone_is_not_shown),
        cmocka_unit_test(what_came_meanwhile_is_shown),
        cmocka_unit_test(all_are_read_for_again),
        cmocka_unit_test(sets_share_their_limit),
        cmocka_unit_test(what_is_kept_has_a_limit),
        cmocka_unit_test(who_is_full_is_read_for_later),
        cmocka_unit_test(the_end_comes_to_all),
        cmocka_unit_test(who_leaves_is_forgotten),
        cmocka_unit_test(followers_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
