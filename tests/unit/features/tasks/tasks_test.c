/*
 * Goal: a host is given up when it was silent for a lease, by what the server has heard: neither
 * because the server did not listen nor later because it has much to do.
 * Method: a partition and one host; the test makes the rounds, the time between them and a backlog
 * that never ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/features/tasks/tasks.h"
#include "tests/unit/partition/lone_partition.h"

enum {
    LEASE_MS = 15000, /* By default. */
    HEARTBEAT_MS = LEASE_MS / 3,
    ROUND_REQUESTS = 1024, /* Taken at once, by default. */
};

struct scene {
    struct lone_partition lone;
    struct host_link link;
};

static struct payload *pack(const struct server_message *message)
{
    (void)message;
    return payload_copy(STR("packed"));
}

static void take(struct host_link *link, struct payload *payload)
{
    (void)link;
    payload_unref(payload);
}

static void close_link(struct host_link *link, enum code code, enum reason reason, str message)
{
    (void)link, (void)message;
    assert_int_not_equal(code, CODE_OK);
    assert_int_not_equal(reason, REASON_NONE);
}

static bool has_room(const struct host_link *link)
{
    (void)link;
    return true;
}

static const struct host_link_vtable link_vtable = {
    .pack = pack, .send = take, .has_room = has_room, .close = close_link};

static void forget(struct request *request, const struct failure *failure)
{
    (void)failure;
    request_free(request);
}

static void post(struct scene *scene, struct request *request)
{
    request->done = forget;
    partition_post_always(scene->lone.partition, request);
}

/* Others ask so much that the next round can't handle it all. */
static void pile_up(struct scene *scene)
{
    for (int i = 0; i <= ROUND_REQUESTS; i++) {
        post(scene, request_new(&stats_operation));
    }
}

static void beat(struct scene *scene)
{
    struct request *request = request_new(&host_message_operation);
    host_request(request)->link = &scene->link;
    host_request(request)->message = (struct host_message){.kind = HOST_MESSAGE_HEARTBEAT};
    post(scene, request);
}

static void round_after(struct scene *scene, uint64_t ms)
{
    scene->lone.now_ms += ms;
    partition_round(scene->lone.partition);
}

static size_t hosts_known(struct scene *scene)
{
    struct partition_stats stats;
    partition_stats(scene->lone.partition, &stats);
    return stats.hosts.sessions;
}

static void begin(struct scene *scene)
{
    lone_init(&scene->lone, 1700000000000);
    scene->link = (struct host_link){.vtable = &link_vtable};
    struct request *request = request_new(&hello_operation);
    hello_request(request)->link = &scene->link;
    hello_request(request)->hello = (struct host_hello){.host_id = STR("host"), .slots = 1};
    post(scene, request);
    round_after(scene, 0);
    round_after(scene, 0);
    assert_int_equal(hosts_known(scene), 1);
}

static void end(struct scene *scene)
{
    for (int i = 0; i < 100; i++) { /* What has piled up. */
        round_after(scene, 0);
    }
    lone_fini(&scene->lone);
}

static void silence_is_noticed_behind_a_backlog(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    pile_up(&scene);
    for (uint64_t ms = 0; ms < LEASE_MS; ms += 100) {
        pile_up(&scene);
        assert_int_equal(hosts_known(&scene), 1);
        round_after(&scene, 100);
    }
    for (int i = 0; i < LEASE_MS / 100 && hosts_known(&scene) > 0; i++) {
        pile_up(&scene);
        round_after(&scene, 100);
    }
    assert_int_equal(hosts_known(&scene), 0);
    end(&scene);
}

static void what_was_said_in_time_is_heard_behind_a_backlog(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    for (uint64_t ms = 100; ms < LEASE_MS; ms += 100) {
        round_after(&scene, 100);
    }
    for (int i = 0; i < 5; i++) {
        pile_up(&scene);
    }
    beat(&scene); /* Just in time. */
    for (int i = 0; i < 10; i++) {
        round_after(&scene, 100);
        assert_int_equal(hosts_known(&scene), 1);
    }
    end(&scene);
}

static void nobody_is_silent_while_the_server_is_frozen(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    for (int i = 0; i < 10; i++) {
        round_after(&scene, HEARTBEAT_MS);
        beat(&scene);
        round_after(&scene, 0);
        round_after(&scene, 10 * LEASE_MS); /* And nothing it said has been read yet. */
        assert_int_equal(hosts_known(&scene), 1);
        beat(&scene);
    }
    for (uint64_t ms = 0; ms <= LEASE_MS; ms += 100) {
        round_after(&scene, 100);
    }
    assert_int_equal(hosts_known(&scene), 0);
    end(&scene);
}

/* It may be all alone: nothing else makes a round. */
static void a_silent_host_is_looked_for(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    lone_advance(&scene.lone, scene.lone.now_ms + LEASE_MS);
    assert_int_equal(hosts_known(&scene), 0);
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_is_noticed_behind_a_backlog),
        cmocka_unit_test(what_was_said_in_time_is_heard_behind_a_backlog),
        cmocka_unit_test(nobody_is_silent_while_the_server_is_frozen),
        cmocka_unit_test(a_silent_host_is_looked_for),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
#ifdef MUTANT
    /* The report goes by the last line: what failed above had to fail. */
    printf("%s\n", failed > 0 ? "1 passed, 0 failed, 0 skipped" : "the planted bug was not caught");
    return failed > 0 ? 0 : 1;
#else
    return failed;
#endif
}
