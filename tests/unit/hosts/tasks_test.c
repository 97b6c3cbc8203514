/*
 * Goal:   tasks go to the least busy host with a free slot, wait fairly for one, and come
 *         back when a lease ends; nobody is ever overbooked.
 * Method: a few hosts of the fixture; for the ready queue also a hundred thousand tasks.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/hosts/fixture.h"

static void add_ready(struct fixture *fixture, const char *name, uint32_t task)
{
    assert_int_equal(hosts_ready_add(fixture->hosts, TASK_TOOL, str_of(name), CODE_VERSION_ANY,
                                     task_number(task))
                         .code,
                     CODE_OK);
}

/* The next task's number, or 0. */
static uint32_t next_ready(struct fixture *fixture)
{
    struct task_ref task;
    return hosts_ready_pop(fixture->hosts, &task) ? task.effect : 0;
}

static void picks_the_least_busy(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[3];
    uint32_t task = 0;
    fixture_init(&fixture, NULL);
    struct host_session *small = connect_host(&fixture, &links[0], "small", 1, "a");
    struct host_session *large = connect_host(&fixture, &links[1], "large", 4, "a,b");
    struct host_session *other = connect_host(&fixture, &links[2], "other", 9, "c,@a");
    assert_ptr_equal(dispatch(&fixture, "a", ++task, 1), small);
    assert_ptr_equal(dispatch(&fixture, "a", ++task, 1), large);
    assert_ptr_equal(dispatch(&fixture, "a", ++task, 1), large);
    hosts_release(fixture.hosts, task_number(1));
    assert_ptr_equal(dispatch(&fixture, "a", ++task, 1), small);
    assert_ptr_equal(dispatch(&fixture, "b", ++task, 1), large);
    assert_ptr_equal(dispatch(&fixture, "a", ++task, 1), large);
    assert_null(dispatch(&fixture, "a", ++task, 1));
    assert_null(dispatch(&fixture, "b", ++task, 1));
    assert_null(dispatch(&fixture, "nobody offers it", ++task, 1));
    /* Busy is still offered; kinds do not mix. */
    assert_true(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("a")));
    assert_false(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("nobody offers it")));
    assert_false(hosts_is_offered(fixture.hosts, TASK_WORKFLOW, STR("b")));
    assert_ptr_equal(hosts_pick(fixture.hosts, TASK_WORKFLOW, STR("a"), CODE_VERSION_ANY), other);
    hosts_release(fixture.hosts, task_number(999));
    hosts_stop(fixture.hosts, task_number(999), STOP_RUN_ENDED);
    assert_int_equal(fixture_stats(&fixture).held, 5);
    fixture_fini(&fixture);
}

/* By the share of its slots that are taken. */
static void the_least_busy_is_so_by_its_share(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[2];
    uint32_t task = 0;
    fixture_init(&fixture, NULL);
    struct host_session *large = connect_host(&fixture, &links[0], "large", 10, "a,b");
    struct host_session *small = connect_host(&fixture, &links[1], "small", 2, "a,c");
    assert_ptr_equal(dispatch(&fixture, "c", ++task, 1), small);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(dispatch(&fixture, "b", ++task, 1), large);
    }
    assert_ptr_equal(dispatch(&fixture, "a", ++task, 1), large); /* 3 of 10, and 1 of 2. */
    fixture_fini(&fixture);
}

static void equals_take_turns(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[3];
    struct host_session *sessions[3];
    fixture_init(&fixture, NULL);
    sessions[0] = connect_host(&fixture, &links[0], "x", 5, "a,b");
    sessions[1] = connect_host(&fixture, &links[1], "y", 5, "a");
    sessions[2] = connect_host(&fixture, &links[2], "z", 5, "b,a");
    for (uint32_t i = 0; i < 9; i++) {
        assert_ptr_equal(dispatch(&fixture, "a", 1, 1), sessions[i % 3]);
        hosts_release(fixture.hosts, task_number(1));
    }
    fixture_fini(&fixture);
}

static void reservations_take_slots(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, NULL);
    struct host_session *session = connect_host(&fixture, &link, "h", 2, "a");
    hosts_reserve(fixture.hosts, hosts_pick(fixture.hosts, TASK_TOOL, STR("a"), CODE_VERSION_ANY),
                  task_number(1), 5);
    hosts_reserve(fixture.hosts, hosts_pick(fixture.hosts, TASK_TOOL, STR("a"), CODE_VERSION_ANY),
                  task_number(2), 1);
    assert_null(hosts_pick(fixture.hosts, TASK_TOOL, STR("a"), CODE_VERSION_ANY));
    assert_true(link_is_quiet(&link));
    hosts_release(fixture.hosts, task_number(2));
    hosts_give(fixture.hosts, session, &(struct host_task){.task = task_number(1), .epoch = 5});
    assert_int_equal(link_next(&link, SERVER_MESSAGE_TASK)->task.epoch, 5);
    assert_int_equal(fixture_stats(&fixture).held, 1);
    /* A cancelled reservation is no business of the host's. */
    hosts_reserve(fixture.hosts, session, task_number(3), 1);
    hosts_stop(fixture.hosts, task_number(3), STOP_RUN_ENDED);
    assert_true(link_is_quiet(&link));
    hosts_stop(fixture.hosts, task_number(1), STOP_RUN_ENDED);
    const struct wire *cancel = link_next(&link, SERVER_MESSAGE_STOP);
    assert_int_equal(cancel->task.epoch, 5);
    assert_int_equal(cancel->stop, STOP_RUN_ENDED);
    assert_int_equal(fixture_stats(&fixture).held, 0);
    fixture_fini(&fixture);
}

static void gives_to_a_host_that_has_just_gone(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    struct test_link again;
    fixture_init(&fixture, NULL);
    struct host_session *session = connect_host(&fixture, &link, "h", 2, "a");
    hosts_reserve(fixture.hosts, session, task_number(1), 1);
    disconnect(&fixture, &link);
    hosts_give(fixture.hosts, session, &(struct host_task){.task = task_number(1), .epoch = 1});
    link_init(&again);
    assert_int_equal(say_hello(&fixture, &again, "h", 2, "a", link.wires[0].token, NULL, 0),
                     CODE_OK);
    link_next(&again, SERVER_MESSAGE_WELCOME);
    assert_int_equal(link_next(&again, SERVER_MESSAGE_TASK)->seq, 1);
    fixture_fini(&fixture);
}

static void a_task_done_holds_its_slot(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 1, "a");
    dispatch(&fixture, "a", 1, 1);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_TASK_DONE, 1, 1, 1),
                     HOST_RECEIPT_COMMAND);
    assert_null(dispatch(&fixture, "a", 2, 1));
    hosts_release(fixture.hosts, task_number(1));
    assert_non_null(dispatch(&fixture, "a", 2, 1));
    fixture_fini(&fixture);
}

static void an_interrupted_task_stays_held(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, NULL);
    struct host_session *session = connect_host(&fixture, &link, "h", 2, "a");
    dispatch(&fixture, "a", 1, 4);
    link_next(&link, SERVER_MESSAGE_TASK);
    hosts_reserve(fixture.hosts, session, task_number(2), 1);
    hosts_interrupt(fixture.hosts, task_number(2), 1000); /* It will say so itself. */
    hosts_interrupt(fixture.hosts, task_number(999), 1000);
    assert_true(link_is_quiet(&link));
    hosts_interrupt(fixture.hosts, task_number(1), 1000);
    const struct wire *cancel = link_next(&link, SERVER_MESSAGE_CANCEL);
    assert_int_equal(cancel->seq, 2);
    assert_int_equal(cancel->task.epoch, 4);
    assert_int_equal(fixture_stats(&fixture).held, 2);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_DONE, 1, 1, 4),
                     HOST_RECEIPT_COMMAND);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_TASK_DONE, 2, 1, 4),
                     HOST_RECEIPT_COMMAND);
    fixture_fini(&fixture);
}

static void a_parked_task_frees_its_slot_and_comes_again(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 1, "a");
    dispatch(&fixture, "a", 1, 1);
    link_next(&link, SERVER_MESSAGE_TASK);
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_PARK, 1, 1, 1), HOST_RECEIPT_COMMAND);
    assert_null(dispatch(&fixture, "a", 2, 1));
    hosts_release(fixture.hosts, task_number(1));
    hosts_mark_handled(fixture.hosts, host_session_number(link.link.session), 1);
    assert_non_null(dispatch(&fixture, "a", 2, 1));
    assert_int_equal(link_next(&link, SERVER_MESSAGE_TASK)->ack, 1);
    /* What the host still says in the old epoch is too late. */
    assert_int_equal(receive(&fixture, &link, HOST_MESSAGE_STEP_REQUEST, 2, 1, 1),
                     HOST_RECEIPT_DROP);
    assert_string_equal(link_next(&link, SERVER_MESSAGE_REFUSED)->reason, "STALE_EPOCH");
    hosts_release(fixture.hosts, task_number(2));
    add_ready(&fixture, "a", 1);
    assert_int_equal(next_ready(&fixture), 1);
    dispatch(&fixture, "a", 1, 2);
    assert_int_equal(link_next(&link, SERVER_MESSAGE_TASK)->task.epoch, 2);
    fixture_fini(&fixture);
}

enum {
    UNREAD_BYTES_MAX = 16 << 20, /* As in session.h. */
    UNREAD_MAX = 262144,
};

static void tell(struct fixture *fixture, size_t count)
{
    const struct outcome outcome = {.value = STR("1")};
    for (size_t i = 0; i < count; i++) {
        hosts_send_outcome(fixture->hosts, task_number(1), STR("key"), SETTLED_SLEEP, &outcome, 0);
    }
}

/* It is given no more work, and in the end its stream is closed: what waits for it has a bound. */
static void who_acknowledges_nothing_is_sent_so_much(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, &(struct hosts_options){.slots_max = UNREAD_MAX});
    connect_host(&fixture, &link, "h", UNREAD_MAX, "a");
    assert_non_null(dispatch(&fixture, "a", 1, 1));
    link.is_full = true;
    size_t many = UNREAD_BYTES_MAX / sizeof(struct wire);
    assert_true(many > 2 && many < UNREAD_MAX);
    tell(&fixture, many - 2);
    assert_non_null(hosts_pick(fixture.hosts, TASK_TOOL, STR("a"), CODE_VERSION_ANY));
    tell(&fixture, 2);
    assert_null(hosts_pick(fixture.hosts, TASK_TOOL, STR("a"), CODE_VERSION_ANY));
    tell(&fixture, UNREAD_MAX - many - 1);
    assert_false(link.is_closed);
    tell(&fixture, 2);
    assert_true(link.is_closed);
    assert_string_equal(link.reason, "UNACKNOWLEDGED");
    fixture_fini(&fixture);
}

static void leases_end(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link half_open;
    struct test_link alive;
    struct test_link gone;
    fixture_init(&fixture, NULL);
    assert_int_equal(hosts_next_deadline(fixture.hosts), 0);
    connect_host(&fixture, &half_open, "half", 2, "a");
    dispatch(&fixture, "a", 1, 4);
    dispatch(&fixture, "a", 2, 1);
    fixture.now_ms += 100;
    connect_host(&fixture, &gone, "gone", 2, "b");
    dispatch(&fixture, "b", 3, 1);
    disconnect(&fixture, &gone);
    connect_host(&fixture, &alive, "alive", 2, "c");
    assert_int_equal(hosts_next_deadline(fixture.hosts), fixture.now_ms - 100 + LEASE_MS);
    fixture.now_ms += LEASE_MS - 101;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 0);
    fixture.now_ms += 1;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 2);
    assert_int_equal(fixture.lost[0].held.epoch, 4);
    assert_string_equal(fixture.lost[1].cause, "lease expired");
    assert_false(fixture.lost[0].is_excused || fixture.lost[1].is_excused);
    assert_true(half_open.is_closed);
    assert_string_equal(half_open.reason, "LEASE_EXPIRED");
    assert_non_null(strstr(half_open.text, "heartbeats"));
    assert_null(half_open.link.session);
    assert_false(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("a")));
    assert_true(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("b")));
    /* Any message renews, also a late one. */
    fixture.now_ms += 100;
    receive(&fixture, &alive, HOST_MESSAGE_NONE, 0, 0, 0);
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 3);
    assert_false(alive.is_closed);
    assert_int_equal(fixture_stats(&fixture).sessions, 1);
    assert_int_equal(fixture_stats(&fixture).held, 0);
    assert_int_equal(hosts_next_deadline(fixture.hosts), fixture.now_ms + LEASE_MS);
    fixture_fini(&fixture);
}

static void beats_beside_the_stream_renew(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "h", 2, "a");
    dispatch(&fixture, "a", 1, 1);
    str token = str_of(link.wires[0].token);
    for (int i = 0; i < 3; i++) {
        fixture.now_ms += LEASE_MS - 1;
        assert_true(hosts_beat(fixture.hosts, token, fixture.now_ms));
        hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
        assert_int_equal(fixture.lost_count, 0);
    }
    /* It keeps what the host has also while it is away. */
    disconnect(&fixture, &link);
    fixture.now_ms += 10;
    assert_true(hosts_beat(fixture.hosts, token, fixture.now_ms));
    assert_int_equal(hosts_next_deadline(fixture.hosts), fixture.now_ms + LEASE_MS);
    assert_false(hosts_beat(fixture.hosts, STR("no such token"), fixture.now_ms));
    assert_int_equal(hosts_next_deadline(fixture.hosts), fixture.now_ms + LEASE_MS);
    fixture.now_ms += LEASE_MS;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 1);
    assert_false(hosts_beat(fixture.hosts, token, fixture.now_ms));
    hosts_flush(fixture.hosts);
    fixture_fini(&fixture);
}

static void a_host_whose_stream_was_closed_dials_again_soon(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[3];
    const char *const hosts[] = {"silent", "away", "back"};
    const char *const tools[] = {"a", "b", "c"};
    struct held_task held[] = {held_number(2, 1)};
    fixture_init(&fixture, &(struct hosts_options){.redial_ms = LEASE_MS / 4});
    for (uint32_t i = 0; i < 3; i++) {
        connect_host(&fixture, &links[i], hosts[i], 1, tools[i]);
        dispatch(&fixture, tools[i], i, 1);
    }
    struct wire welcome = links[2].wires[0];
    disconnect(&fixture, &links[1]);
    disconnect(&fixture, &links[2]);
    assert_int_equal(hosts_next_deadline(fixture.hosts), fixture.now_ms + LEASE_MS / 4);
    fixture.now_ms += LEASE_MS / 4 - 1;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 0);
    assert_int_equal(say_hello(&fixture, &links[2], "back", 1, "c", welcome.token, held, 1),
                     CODE_OK);
    fixture.now_ms += 1;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 1); /* The silent one has its lease. */
    assert_true(task_ref_equal(fixture.lost[0].held.task, task_number(1)));
    fixture.now_ms += LEASE_MS - LEASE_MS / 4;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 2);
    assert_true(task_ref_equal(fixture.lost[1].held.task, task_number(0)));
    fixture_fini(&fixture);
}

/* It has said that it would, and closes its stream. */
static void a_host_that_leaves_hands_its_tasks_over(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "host", 1, "a");
    dispatch(&fixture, "a", 1, 1);
    receive(&fixture, &link, HOST_MESSAGE_DRAIN, 1, 0, 0);
    hosts_disconnected(fixture.hosts, link.link.session, HOST_HUNG_UP, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 1);
    assert_string_equal(fixture.lost[0].cause, "its host has left");
    assert_int_equal(fixture_stats(&fixture).sessions, 0);
    fixture_fini(&fixture);
}

/* Whose key was revoked: it need not have said that it leaves, and its lease has not run out. */
static void a_host_that_is_expelled_loses_its_tasks_at_once(void **state)
{
    struct fixture fixture;
    struct test_link link;
    (void)state;
    fixture_init(&fixture, NULL);
    connect_host(&fixture, &link, "host", 1, "a");
    dispatch(&fixture, "a", 1, 1);
    hosts_disconnected(fixture.hosts, link.link.session, HOST_EXPELLED, fixture.now_ms);
    assert_int_equal(fixture.lost_count, 1);
    assert_string_equal(fixture.lost[0].cause, "its host is let in no more");
    assert_int_equal(fixture_stats(&fixture).sessions, 0);
    fixture_fini(&fixture);
}

static void clocks_that_step_back(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link first;
    struct test_link second;
    fixture_init(&fixture, NULL);
    fixture.now_ms = 1000000;
    connect_host(&fixture, &first, "first", 1, "a");
    fixture.now_ms -= 900000;
    connect_host(&fixture, &second, "second", 1, "a");
    assert_int_equal(hosts_next_deadline(fixture.hosts), fixture.now_ms + LEASE_MS);
    fixture.now_ms += LEASE_MS - 1;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture_stats(&fixture).sessions, 2);
    fixture.now_ms += 1;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(fixture_stats(&fixture).sessions, 0);
    fixture_fini(&fixture);
}

static void tasks_wait_first_in_first_out(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, NULL);
    for (uint32_t task = 1; task <= 5; task++) {
        add_ready(&fixture, "a", task);
    }
    add_ready(&fixture, "a", 1); /* Keeps its place. */
    hosts_ready_remove(fixture.hosts, task_number(3));
    hosts_ready_remove(fixture.hosts, task_number(3));
    assert_int_equal(fixture_stats(&fixture).ready, 4);
    assert_int_equal(next_ready(&fixture), 0); /* Nobody offers it. */
    assert_false(hosts_is_offered(fixture.hosts, TASK_TOOL, STR("a")));
    hosts_ready_remove(fixture.hosts, task_number(5));
    struct host_session *session = connect_host(&fixture, &link, "h", 2, "a");
    assert_int_equal(next_ready(&fixture), 1);
    hosts_reserve(fixture.hosts, session, task_number(1), 1);
    assert_int_equal(next_ready(&fixture), 2);
    hosts_reserve(fixture.hosts, session, task_number(2), 1);
    assert_int_equal(next_ready(&fixture), 0); /* No slot. */
    hosts_release(fixture.hosts, task_number(1));
    /* Given without having been popped: it does not wait any more. */
    hosts_reserve(fixture.hosts, session, task_number(4), 1);
    assert_int_equal(fixture_stats(&fixture).ready, 0);
    disconnect(&fixture, &link);
    add_ready(&fixture, "a", 6);
    assert_int_equal(next_ready(&fixture), 0);
    fixture_fini(&fixture);
}

static void waiting_tasks_are_limited(void **state)
{
    (void)state;
    struct hosts_options limits = {.ready_max = 2};
    struct fixture fixture;
    fixture_init(&fixture, &limits);
    add_ready(&fixture, "a", 1);
    add_ready(&fixture, "b", 2);
    add_ready(&fixture, "b", 2);
    assert_int_equal(
        hosts_ready_add(fixture.hosts, TASK_TOOL, STR("c"), CODE_VERSION_ANY, task_number(3)).code,
        CODE_RESOURCE_EXHAUSTED);
    hosts_ready_remove(fixture.hosts, task_number(2));
    add_ready(&fixture, "c", 3);
    fixture_fini(&fixture);
}

/* One slot, many names with many waiting tasks, and a name that comes anew each time. */
/* Also while a slot is free all the time. */
static void names_take_turns(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, NULL);
    struct host_session *session = connect_host(&fixture, &link, "h", 9, "a,b,c");
    for (uint32_t task = 1; task <= 6; task++) {
        add_ready(&fixture, task <= 2 ? "a" : task <= 4 ? "b" : "c", task);
    }
    static const uint32_t turns[] = {1, 3, 5, 2, 4, 6};
    for (size_t i = 0; i < COUNT_OF(turns); i++) {
        assert_int_equal(next_ready(&fixture), turns[i]);
        hosts_reserve(fixture.hosts, session, task_number(turns[i]), 1);
    }
    assert_int_equal(next_ready(&fixture), 0);
    fixture_fini(&fixture);
}

/* Nobody offers them, and nothing is kept of them. */
static void names_that_are_over_are_forgotten(void **state)
{
    (void)state;
    enum {
        NAMES = 2000,
    };
    struct fixture fixture;
    size_t before = 0;
    fixture_init(&fixture, NULL);
    for (uint32_t task = 1; task <= NAMES; task++) {
        char name[16];
        snprintf(name, sizeof(name), "name-%u", (unsigned)task);
        add_ready(&fixture, name, task);
        hosts_ready_remove(fixture.hosts, task_number(task));
        before = task == 1 ? mallinfo2().uordblks : before;
    }
    assert_in_range(mallinfo2().uordblks, 0, before + NAMES * 8);
    fixture_fini(&fixture);
}

static void no_name_starves(void **state)
{
    (void)state;
    enum {
        NAMES = 7,
        ROUNDS = 20,
    };
    struct fixture fixture;
    struct test_link link;
    uint32_t served[NAMES + 1] = {0};
    uint32_t fresh = 100000;
    fixture_init(&fixture, NULL);
    struct host_session *session = connect_host(&fixture, &link, "h", 1, "a,b,c,d,e,f,g,fresh");
    for (uint32_t task = 0; task < NAMES * ROUNDS; task++) {
        char name[2] = {(char)('a' + task % NAMES), '\0'};
        add_ready(&fixture, name, 1000 * (task % NAMES + 1) + task / NAMES);
    }
    for (uint32_t i = 0; i < (NAMES + 1) * ROUNDS; i++) {
        add_ready(&fixture, "fresh", ++fresh);
        uint32_t task = next_ready(&fixture);
        assert_int_not_equal(task, 0);
        served[task >= 100000 ? NAMES : task / 1000 - 1]++;
        hosts_reserve(fixture.hosts, session, task_number(task), 1);
        assert_int_equal(next_ready(&fixture), 0);
        hosts_release(fixture.hosts, task_number(task));
        if (task < 100000) { /* The fresh one gives up. */
            hosts_ready_remove(fixture.hosts, task_number(fresh));
        }
        for (uint32_t name = 0; name < NAMES; name++) {
            assert_true(served[name] + 1 >= i / (NAMES + 1));
        }
    }
    fixture_fini(&fixture);
}

static void many_wait_in_little_memory(void **state)
{
    (void)state;
    enum {
        TASKS = 300000,
    };
    struct fixture fixture;
    struct test_link link;
    fixture_init(&fixture, NULL);
    struct mallinfo2 before = mallinfo2();
    for (uint32_t task = 1; task <= TASKS; task++) {
        add_ready(&fixture, task % 2 == 0 ? "even" : "odd", task);
    }
    struct mallinfo2 after = mallinfo2();
    size_t bytes = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    assert_true(bytes <= (size_t)TASKS * 64);
    /* Out of the middle, then the rest, both names by turns. */
    for (uint32_t task = 1000; task < 2000; task++) {
        hosts_ready_remove(fixture.hosts, task_number(task));
    }
    struct host_session *session = connect_host(&fixture, &link, "h", 1, "odd,even");
    for (uint32_t task = 1; task <= TASKS; task++) {
        if (task >= 1000 && task < 2000) {
            continue;
        }
        assert_int_equal(next_ready(&fixture), task);
        hosts_reserve(fixture.hosts, session, task_number(task), 1);
        hosts_release(fixture.hosts, task_number(task));
    }
    assert_int_equal(fixture_stats(&fixture).ready, 0);
    fixture_fini(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picks_the_least_busy),
        cmocka_unit_test(the_least_busy_is_so_by_its_share),
        cmocka_unit_test(equals_take_turns),
        cmocka_unit_test(reservations_take_slots),
        cmocka_unit_test(gives_to_a_host_that_has_just_gone),
        cmocka_unit_test(a_task_done_holds_its_slot),
        cmocka_unit_test(an_interrupted_task_stays_held),
        cmocka_unit_test(a_parked_task_frees_its_slot_and_comes_again),
        cmocka_unit_test(who_acknowledges_nothing_is_sent_so_much),
        cmocka_unit_test(leases_end),
        cmocka_unit_test(beats_beside_the_stream_renew),
        cmocka_unit_test(a_host_whose_stream_was_closed_dials_again_soon),
        cmocka_unit_test(a_host_that_leaves_hands_its_tasks_over),
        cmocka_unit_test(clocks_that_step_back),
        cmocka_unit_test(tasks_wait_first_in_first_out),
        cmocka_unit_test(waiting_tasks_are_limited),
        cmocka_unit_test(names_take_turns),
        cmocka_unit_test(names_that_are_over_are_forgotten),
        cmocka_unit_test(no_name_starves),
        cmocka_unit_test(many_wait_in_little_memory),
        cmocka_unit_test(a_host_that_is_expelled_loses_its_tasks_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
