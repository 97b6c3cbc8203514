/*
 * Goal:   hosts are listed as they are, in pages; one that was set aside is given nothing new.
 * Method: a few hosts, of which some are away, drain, or offer much.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/base/buf.h"
#include "service/hosts/leases.h"
#include "service/hosts/roster.h"
#include "tests/unit/hosts/fixture.h"

enum {
    MANY_NAMES = 10001, /* Of two hosts: more than go in a page. */
};

/* The hosts of a page, by their ids and what is said of them. */
static const char *page(struct fixture *fixture, const char *after, const char *deployment,
                        size_t limit)
{
    struct host_page page;
    struct buf text = {0};
    hosts_list(fixture->hosts, str_of(after), str_of(deployment), limit, fixture->now_ms,
               &fixture->arena, &page);
    for (size_t i = 0; i < page.count; i++) {
        const struct host_view *host = &page.hosts[i];
        buf_printf(&text, "%s" STR_FMT " " STR_FMT " %u/%u age=%llu silence=%llu%s%s %zu+%zu",
                   i > 0 ? ", " : "", STR_ARG(host->host_id), STR_ARG(host->deployment),
                   (unsigned)host->tasks, (unsigned)host->slots, (unsigned long long)host->age_ms,
                   (unsigned long long)host->silence_ms, host->is_connected ? "" : " away",
                   host->is_draining ? " draining" : "", host->tools.count, host->workflows.count);
    }
    buf_printf(&text, "%s", page.has_more ? ", more" : "");
    const char *ret = arena_cstr(&fixture->arena, buf_str(&text));
    buf_fini(&text);
    return ret;
}

static void hosts_are_shown_as_they_are(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[3];
    fixture_init(&fixture, NULL);
    fixture.deployment = "v2";
    connect_host(&fixture, &links[0], "b", 3, "a,@flow,@other");
    fixture.deployment = "v1";
    fixture.now_ms += 100;
    connect_host(&fixture, &links[1], "a", 2, "b,c");
    connect_host(&fixture, &links[2], "c", 1, "d");
    dispatch(&fixture, "a", 1, 1);
    fixture.now_ms += 50;
    receive(&fixture, &links[0], HOST_MESSAGE_HEARTBEAT, 0, 0, 0);
    receive(&fixture, &links[1], HOST_MESSAGE_DRAIN, 1, 0, 0);
    disconnect(&fixture, &links[2]);
    fixture.now_ms += 7;
    assert_string_equal(page(&fixture, "", "", 10),
                        "a v1 0/2 age=57 silence=7 draining 2+0, b v2 1/3 age=157 silence=7 1+2, "
                        "c v1 0/1 age=57 silence=57 away 1+0");
    assert_string_equal(page(&fixture, "", "", 2),
                        "a v1 0/2 age=57 silence=7 draining 2+0, b v2 1/3 age=157 silence=7 1+2, "
                        "more");
    assert_string_equal(page(&fixture, "b", "", 2), "c v1 0/1 age=57 silence=57 away 1+0");
    assert_string_equal(page(&fixture, "", "v2", 1), "b v2 1/3 age=157 silence=7 1+2");
    assert_string_equal(page(&fixture, "", "v3", 1), "");
    assert_int_equal(hosts_offering(fixture.hosts, TASK_WORKFLOW, STR("flow")), 1);
    assert_int_equal(hosts_offering(fixture.hosts, TASK_TOOL, STR("flow")), 0);
    fixture_fini(&fixture);
}

/* What it holds stays its own. */
static void one_that_was_set_aside_is_given_nothing_new(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[2];
    struct host_view view;
    fixture_init(&fixture, NULL);
    struct host_session *first = connect_host(&fixture, &links[0], "first", 8, "a");
    assert_ptr_equal(dispatch(&fixture, "a", 1, 1), first);
    fixture.now_ms += 3;
    assert_false(
        hosts_set_aside(fixture.hosts, STR("none"), fixture.now_ms, &fixture.arena, &view));
    assert_true(
        hosts_set_aside(fixture.hosts, STR("first"), fixture.now_ms, &fixture.arena, &view));
    assert_true(view.is_draining);
    assert_int_equal(view.tasks, 1);
    assert_int_equal(view.silence_ms, 3);
    assert_null(dispatch(&fixture, "a", 2, 1));
    struct host_session *second = connect_host(&fixture, &links[1], "second", 1, "a");
    assert_ptr_equal(dispatch(&fixture, "a", 2, 1), second);
    assert_null(dispatch(&fixture, "a", 3, 1));
    assert_int_equal(receive(&fixture, &links[0], HOST_MESSAGE_STEP_DONE, 1, 1, 1),
                     HOST_RECEIPT_COMMAND);
    fixture_fini(&fixture);
}

static void connect_large(struct fixture *fixture, struct test_link *link, const char *host_id)
{
    static struct host_offer offers[MANY_NAMES];
    static char names[MANY_NAMES][8];
    struct host_session *session;
    for (size_t i = 0; i < MANY_NAMES; i++) {
        snprintf(names[i], sizeof(names[i]), "t%zu", i);
        offers[i] = (struct host_offer){TASK_TOOL, str_of(names[i])};
    }
    struct host_hello hello = {.host_id = str_of(host_id),
                               .deployment = STR("v1"),
                               .slots = 1,
                               .offers = offers,
                               .offer_count = MANY_NAMES};
    link_init(link);
    status outcome = hosts_hello(fixture->hosts, &link->link, &hello, fixture->now_ms,
                                 &fixture->arena, &fixture->field, &session);
    assert_int_equal(outcome.code, CODE_OK);
}

static void who_offers_much_makes_a_page_short(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[2];
    fixture_init(&fixture, &(struct hosts_options){.offers_max = MANY_NAMES});
    connect_large(&fixture, &links[0], "a");
    connect_large(&fixture, &links[1], "b");
    assert_string_equal(page(&fixture, "", "", 10), "a v1 0/1 age=0 silence=0 10001+0, more");
    assert_string_equal(page(&fixture, "a", "", 10), "b v1 0/1 age=0 silence=0 10001+0");
    fixture_fini(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_shown_as_they_are),
        cmocka_unit_test(one_that_was_set_aside_is_given_nothing_new),
        cmocka_unit_test(who_offers_much_makes_a_page_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
