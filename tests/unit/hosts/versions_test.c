/*
 * Goal:   who waits for a deployment gets its hosts while one of them is there, and otherwise those
 *         of the deployment that dialled in last; neither starves the other.
 * Method: a few hosts of the fixture; then chance, judged by a model that only counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/hosts/fixture.h"

static uint64_t version(const char *name)
{
    return code_version_make(str_of(name), STR_EMPTY);
}

static struct host_session *connect_version(struct fixture *fixture, struct test_link *link,
                                            const char *host_id, const char *deployment,
                                            uint32_t slots)
{
    fixture->deployment = deployment;
    return connect_host(fixture, link, host_id, slots, "a");
}

static struct host_session *pick(struct fixture *fixture, uint64_t deployment)
{
    return hosts_pick(fixture->hosts, TASK_TOOL, STR("a"), deployment);
}

static void add_ready(struct fixture *fixture, uint64_t deployment, uint32_t task)
{
    assert_int_equal(
        hosts_ready_add(fixture->hosts, TASK_TOOL, STR("a"), deployment, task_number(task)).code,
        CODE_OK);
}

/* The next task's number, or 0. */
static uint32_t next_ready(struct fixture *fixture)
{
    struct task_ref task;
    return hosts_ready_pop(fixture->hosts, &task) ? task.effect : 0;
}

/* A lease after the start, and its hosts have sent their heartbeats. */
static void settle(struct fixture *fixture, struct test_link *links, size_t count)
{
    fixture->now_ms += LEASE_MS;
    for (size_t i = 0; i < count; i++) {
        receive(fixture, &links[i], HOST_MESSAGE_HEARTBEAT, 0, 0, 0);
    }
    hosts_tick(fixture->hosts, fixture->now_ms, fixture->now_ms);
}

static void its_own_hosts_only_while_one_is_there(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[3];
    fixture_init(&fixture, NULL);
    struct host_session *old = connect_version(&fixture, &links[0], "old", "v1", 1);
    struct host_session *new = connect_version(&fixture, &links[1], "new", "v2", 8);
    settle(&fixture, links, 2);
    assert_true(str_is(host_session_deployment(old), "v1"));
    assert_ptr_equal(pick(&fixture, version("v1")), old);
    assert_ptr_equal(pick(&fixture, version("v2")), new);
    hosts_reserve(fixture.hosts, old, task_number(1), 1);
    assert_null(pick(&fixture, version("v1"))); /* Busy, and still there. */
    assert_true(hosts_awaits_version(fixture.hosts, TASK_TOOL, STR("a"), version("v1")));
    assert_false(hosts_awaits_version(fixture.hosts, TASK_TOOL, STR("a"), version("v2")));
    assert_ptr_equal(pick(&fixture, CODE_VERSION_ANY), new);
    add_ready(&fixture, version("v1"), 2);
    assert_int_equal(next_ready(&fixture), 0);
    hosts_release(fixture.hosts, task_number(1));
    assert_int_equal(next_ready(&fixture), 2);
    /* Away within its lease it is there; then it is not. */
    add_ready(&fixture, version("v1"), 2);
    disconnect(&fixture, &links[0]);
    assert_int_equal(next_ready(&fixture), 0);
    assert_null(pick(&fixture, version("v1")));
    settle(&fixture, &links[1], 1);
    assert_false(hosts_awaits_version(fixture.hosts, TASK_TOOL, STR("a"), version("v1")));
    assert_ptr_equal(pick(&fixture, version("v1")), new);
    assert_int_equal(next_ready(&fixture), 2);
    /* It comes back: who waits for it goes to it again. */
    old = connect_version(&fixture, &links[2], "old-2", "v1", 1);
    assert_ptr_equal(pick(&fixture, version("v1")), old);
    fixture_fini(&fixture);
}

static void a_history_goes_to_no_other_language(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[3];
    fixture_init(&fixture, NULL);
    uint64_t begun = code_version_make(STR("v1"), STR("python"));
    uint64_t newest = code_version_newest_alike(begun);
    fixture.language = "typescript";
    struct host_session *other = connect_version(&fixture, &links[0], "other", "v1", 8);
    fixture.language = "python";
    struct host_session *own = connect_version(&fixture, &links[1], "own", "v2", 8);
    settle(&fixture, links, 2);
    assert_true(str_is(host_session_language(own), "python"));
    assert_ptr_equal(pick(&fixture, begun), own); /* Of another deployment, at least. */
    assert_ptr_equal(pick(&fixture, code_version_in_any_language(begun)), other);
    assert_false(hosts_is_foreign(fixture.hosts, TASK_TOOL, STR("a"), begun));
    /* Away it may come back; once it is gone it is waited for all the same. */
    disconnect(&fixture, &links[1]);
    assert_false(hosts_is_foreign(fixture.hosts, TASK_TOOL, STR("a"), begun));
    settle(&fixture, &links[0], 1);
    assert_true(hosts_is_foreign(fixture.hosts, TASK_TOOL, STR("a"), begun));
    assert_true(hosts_awaits_version(fixture.hosts, TASK_TOOL, STR("a"), begun));
    assert_false(hosts_is_foreign(fixture.hosts, TASK_TOOL, STR("b"), begun));
    assert_null(pick(&fixture, begun));
    assert_null(pick(&fixture, newest));
    add_ready(&fixture, begun, 1);
    add_ready(&fixture, newest, 2);
    assert_int_equal(next_ready(&fixture), 0);
    assert_ptr_equal(pick(&fixture, version("v1")), other); /* What no language began. */
    connect_version(&fixture, &links[2], "own-2", "v3", 8);
    assert_int_equal(next_ready(&fixture), 1);
    assert_int_equal(next_ready(&fixture), 2);
    fixture_fini(&fixture);
}

static void a_host_that_leaves_is_not_waited_for(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[2];
    fixture_init(&fixture, NULL);
    struct host_session *old = connect_version(&fixture, &links[0], "old", "v1", 1);
    struct host_session *new = connect_version(&fixture, &links[1], "new", "v2", 1);
    settle(&fixture, links, 2);
    hosts_reserve(fixture.hosts, old, task_number(1), 1);
    add_ready(&fixture, version("v1"), 2);
    assert_int_equal(next_ready(&fixture), 0);
    receive(&fixture, &links[0], HOST_MESSAGE_DRAIN, 1, 0, 0);
    assert_ptr_equal(pick(&fixture, version("v1")), new);
    assert_int_equal(next_ready(&fixture), 2);
    fixture_fini(&fixture);
}

static void the_newest_is_that_which_dialled_in_last(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[4];
    fixture_init(&fixture, NULL);
    struct host_session *second = connect_version(&fixture, &links[0], "b", "v2", 1);
    struct host_session *third = connect_version(&fixture, &links[1], "c", "v3", 9);
    settle(&fixture, links, 2);
    assert_ptr_equal(pick(&fixture, version("v1")), third);
    assert_ptr_equal(pick(&fixture, CODE_VERSION_NEWEST), third);
    struct host_session *again = connect_version(&fixture, &links[2], "b-2", "v2", 9);
    assert_ptr_not_equal(pick(&fixture, version("v1")), third);
    assert_ptr_not_equal(pick(&fixture, CODE_VERSION_NEWEST), third);
    hosts_reserve(fixture.hosts, second, task_number(1), 1);
    assert_ptr_equal(pick(&fixture, version("v1")), again);
    for (uint32_t task = 2; task < 11; task++) {
        hosts_reserve(fixture.hosts, again, task_number(task), 1);
    }
    assert_null(pick(&fixture, CODE_VERSION_NEWEST)); /* Busy: it is waited for. */
    add_ready(&fixture, CODE_VERSION_NEWEST, 20);
    add_ready(&fixture, version("v1"), 21);
    assert_int_equal(next_ready(&fixture), 0);
    struct host_session *first = connect_version(&fixture, &links[3], "a", "v1", 1);
    assert_int_equal(next_ready(&fixture), 20); /* v1 dialled in last. */
    assert_int_equal(next_ready(&fixture), 21);
    assert_ptr_equal(pick(&fixture, CODE_VERSION_NEWEST), first);
    fixture_fini(&fixture);
}

/* After a restart the first host to come is not the only one to come. */
static void nobody_moves_before_a_lease_has_passed(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[2];
    fixture_init(&fixture, NULL);
    add_ready(&fixture, version("v1"), 1);
    add_ready(&fixture, CODE_VERSION_ANY, 2);
    add_ready(&fixture, CODE_VERSION_NEWEST, 3); /* It has tried its own. */
    uint64_t begun_ms = fixture.now_ms;
    struct host_session *new = connect_version(&fixture, &links[0], "new", "v2", 8);
    assert_null(pick(&fixture, version("v1")));
    assert_int_equal(next_ready(&fixture), 2);
    assert_int_equal(next_ready(&fixture), 3);
    assert_int_equal(next_ready(&fixture), 0);
    fixture.now_ms += LEASE_MS - 1;
    receive(&fixture, &links[0], HOST_MESSAGE_HEARTBEAT, 0, 0, 0);
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(next_ready(&fixture), 0);
    assert_int_equal(hosts_next_deadline(fixture.hosts), begun_ms + LEASE_MS);
    fixture.now_ms += 1;
    hosts_tick(fixture.hosts, fixture.now_ms, fixture.now_ms);
    assert_int_equal(next_ready(&fixture), 1);
    assert_ptr_equal(pick(&fixture, version("v1")), new);
    fixture_fini(&fixture);
}

/* A session that goes on is as old as it was. */
static void who_dialled_in_last_may_leave(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link links[4];
    fixture_init(&fixture, NULL);
    struct host_session *first = connect_version(&fixture, &links[0], "a", "v1", 9);
    struct host_session *second = connect_version(&fixture, &links[1], "b", "v2", 9);
    connect_version(&fixture, &links[2], "c", "v1", 9);
    settle(&fixture, links, 3);
    disconnect(&fixture, &links[0]);
    link_init(&links[3]);
    fixture.deployment = "v1";
    assert_int_equal(say_hello(&fixture, &links[3], "a", 9, "a", links[0].wires[0].token, NULL, 0),
                     CODE_OK);
    assert_ptr_equal(links[3].link.session, first);
    assert_ptr_not_equal(pick(&fixture, CODE_VERSION_NEWEST),
                         second); /* The third is still there. */
    receive(&fixture, &links[2], HOST_MESSAGE_DRAIN, 1, 0, 0);
    disconnect(&fixture, &links[2]);
    disconnect(&fixture, &links[3]);
    link_init(&links[0]);
    assert_int_equal(say_hello(&fixture, &links[0], "a", 9, "a", links[3].wires[0].token, NULL, 0),
                     CODE_OK);
    assert_ptr_equal(links[0].link.session, first);
    assert_ptr_equal(pick(&fixture, CODE_VERSION_NEWEST), second);
    fixture_fini(&fixture);
}

static void pools_of_a_name_are_served_by_turns(void **state)
{
    (void)state;
    struct fixture fixture;
    struct test_link link;
    uint32_t served[3] = {0};
    fixture_init(&fixture, NULL);
    struct host_session *session = connect_version(&fixture, &link, "h", "v3", 1);
    settle(&fixture, &link, 1);
    for (uint32_t task = 0; task < 60; task++) {
        static const char *const names[] = {"v1", "v2", "v3"};
        add_ready(&fixture, version(names[task < 50 ? 0 : task < 55 ? 1 : 2]), 100 + task);
    }
    for (uint32_t i = 0; i < 15; i++) {
        uint32_t task = next_ready(&fixture) - 100;
        served[task < 50 ? 0 : task < 55 ? 1 : 2]++;
        hosts_reserve(fixture.hosts, session, task_number(task + 100), 1);
        assert_int_equal(next_ready(&fixture), 0);
        hosts_release(fixture.hosts, task_number(task + 100));
    }
    assert_int_equal(served[0], 5);
    assert_int_equal(served[1], 5);
    assert_int_equal(served[2], 5);
    fixture_fini(&fixture);
}

/* Chance. */

enum {
    HOSTS = 5,
    VERSIONS = 3,
    TASKS = 40,
};

struct model_host {
    struct test_link link;
    unsigned version;
    bool is_there;
    uint32_t slots;
    uint32_t held;
};

struct model {
    struct fixture fixture;
    struct model_host hosts[HOSTS];
    uint64_t seed;
    uint64_t dials;
    uint64_t dialled[VERSIONS]; /* The last of `dials`, while one of its hosts is there. */
    uint32_t holder[TASKS + 1]; /* HOSTS: nobody's. */
    unsigned pin[TASKS + 1]; /* VERSIONS: any. */
    bool is_ready[TASKS + 1];
};

static const char *const version_names[VERSIONS] = {"v1", "v2", "v3"};

static uint32_t draw(struct model *model, uint32_t below)
{
    model->seed = model->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(model->seed >> 33) % below;
}

/* Whether the rule lets this host have a task of this pin now. */
static bool may_have(const struct model *model, unsigned pin, uint32_t host)
{
    const struct model_host *wanted = &model->hosts[host];
    unsigned serving = 0;
    for (unsigned other = 1; other < VERSIONS; other++) {
        serving = model->dialled[other] > model->dialled[serving] ? other : serving;
    }
    if (pin < VERSIONS && model->dialled[pin] > 0) {
        serving = pin;
    }
    bool is_free = wanted->is_there && wanted->held < wanted->slots;
    return is_free && (pin == VERSIONS || wanted->version == serving);
}

static uint64_t hash_of(unsigned pin)
{
    return pin == VERSIONS ? CODE_VERSION_ANY : version(version_names[pin]);
}

static bool somebody_may_have(const struct model *model, unsigned pin)
{
    bool any = false;
    for (uint32_t i = 0; i < HOSTS; i++) {
        any |= may_have(model, pin, i);
    }
    return any;
}

static void give_or_park(struct model *model, uint32_t task, bool must_be_given)
{
    struct host_session *session = pick(&model->fixture, hash_of(model->pin[task]));
    assert_int_equal(session != NULL, somebody_may_have(model, model->pin[task]));
    assert_true(session != NULL || !must_be_given);
    model->is_ready[task] = session == NULL;
    if (session == NULL) {
        add_ready(&model->fixture, hash_of(model->pin[task]), task);
        return;
    }
    for (uint32_t i = 0; i < HOSTS; i++) {
        if (model->hosts[i].link.link.session == session) {
            assert_true(may_have(model, model->pin[task], i));
            hosts_reserve(model->fixture.hosts, session, task_number(task), 1);
            model->hosts[i].held++;
            model->holder[task] = i;
        }
    }
}

static void come_or_go(struct model *model, uint32_t number)
{
    struct model_host *host = &model->hosts[number];
    char id[32];
    if (!host->is_there) {
        host->version = draw(model, VERSIONS);
        host->slots = 1 + draw(model, 3);
        host->held = 0;
        host->is_there = true;
        model->dialled[host->version] = ++model->dials;
        snprintf(id, sizeof(id), "h%llu", (unsigned long long)model->dials);
        connect_version(&model->fixture, &host->link, id, version_names[host->version],
                        host->slots);
        return;
    }
    host->is_there = false;
    bool is_last = true;
    for (uint32_t i = 0; i < HOSTS; i++) {
        is_last &= !model->hosts[i].is_there || model->hosts[i].version != host->version;
    }
    model->dialled[host->version] = is_last ? 0 : model->dialled[host->version];
    receive(&model->fixture, &host->link, HOST_MESSAGE_DRAIN, 1, 0, 0);
    for (uint32_t task = 1; task <= TASKS; task++) {
        if (model->holder[task] == number) {
            hosts_release(model->fixture.hosts, task_number(task));
            model->holder[task] = HOSTS;
        }
    }
    disconnect(&model->fixture, &host->link);
    hosts_flush(model->fixture.hosts);
}

static void act(struct model *model)
{
    uint32_t task = 1 + draw(model, TASKS);
    if (draw(model, 12) == 0) {
        come_or_go(model, draw(model, HOSTS));
    } else if (model->holder[task] < HOSTS) {
        model->hosts[model->holder[task]].held--;
        hosts_release(model->fixture.hosts, task_number(task));
        model->holder[task] = HOSTS;
    } else if (!model->is_ready[task]) {
        model->pin[task] = draw(model, VERSIONS + 1);
        give_or_park(model, task, false);
    } else if (draw(model, 20) == 0) {
        hosts_ready_remove(model->fixture.hosts, task_number(task));
        model->is_ready[task] = false;
    }
    while ((task = next_ready(&model->fixture)) != 0) {
        assert_true(model->is_ready[task]);
        give_or_park(model, task, true);
    }
    for (task = 1; task <= TASKS; task++) {
        assert_false(model->is_ready[task] && somebody_may_have(model, model->pin[task]));
    }
}

static void chance_and_a_model(void **state)
{
    (void)state;
    static struct model model;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        memset(&model, 0, sizeof(model));
        model.seed = seed;
        fixture_init(&model.fixture, NULL);
        settle(&model.fixture, NULL, 0); /* The clock is known, ... */
        settle(&model.fixture, NULL, 0); /* ... and a lease has passed. */
        for (uint32_t task = 0; task <= TASKS; task++) {
            model.holder[task] = HOSTS;
        }
        for (int i = 0; i < 600; i++) {
            act(&model);
        }
        fixture_fini(&model.fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_own_hosts_only_while_one_is_there),
        cmocka_unit_test(a_history_goes_to_no_other_language),
        cmocka_unit_test(a_host_that_leaves_is_not_waited_for),
        cmocka_unit_test(the_newest_is_that_which_dialled_in_last),
        cmocka_unit_test(nobody_moves_before_a_lease_has_passed),
        cmocka_unit_test(who_dialled_in_last_may_leave),
        cmocka_unit_test(pools_of_a_name_are_served_by_turns),
        cmocka_unit_test(chance_and_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
