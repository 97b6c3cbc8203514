/*
 * Goal:   the inbox loses nothing, doubles nothing, keeps each producer's order, and wakes
 *         its consumer.
 * Method: single-threaded rules first; then four producers against one consumer, every node
 *         counted. Run it under --config=tsan too.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/inbox.h"

enum {
    PRODUCERS = 4,
    NODES_EACH = 20000,
};

struct numbered {
    struct inbox_node node;
    int producer;
    int number;
};

static void count_wake(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void order_limit_and_wake(void **state)
{
    (void)state;
    atomic_int wakes = 0;
    struct inbox *inbox = inbox_new(2, count_wake, &wakes);
    struct inbox_node nodes[3];
    assert_null(inbox_take(inbox, 1));
    assert_true(inbox_push(inbox, &nodes[0]));
    assert_true(inbox_push(inbox, &nodes[1]));
    assert_false(inbox_push(inbox, &nodes[2]));
    inbox_push_always(inbox, &nodes[2]);
    assert_int_equal(inbox_count(inbox), 3);
    assert_int_equal(atomic_load(&wakes), 1);
    struct inbox_node *taken = inbox_take(inbox, 2);
    assert_ptr_equal(taken, &nodes[0]);
    assert_ptr_equal(taken->next, &nodes[1]);
    assert_null(taken->next->next);
    assert_true(inbox_wait(inbox, 0));
    assert_ptr_equal(inbox_take(inbox, 9), &nodes[2]);
    assert_false(inbox_wait(inbox, 0));
    assert_true(inbox_push(inbox, &nodes[1]));
    assert_int_equal(atomic_load(&wakes), 2);
    assert_ptr_equal(inbox_take(inbox, 1), &nodes[1]);
    inbox_free(inbox);
    inbox_free(NULL);
}

static void wait_times_out(void **state)
{
    (void)state;
    struct inbox *inbox = inbox_new(1, NULL, NULL);
    assert_false(inbox_wait(inbox, 5));
    inbox_free(inbox);
}

struct producer {
    pthread_t thread;
    struct inbox *inbox;
    struct numbered *nodes;
};

static void *produce(void *context)
{
    struct producer *producer = (struct producer *)context;
    for (int i = 0; i < NODES_EACH; i++) {
        if (!inbox_push(producer->inbox, &producer->nodes[i].node)) {
            inbox_push_always(producer->inbox, &producer->nodes[i].node);
        }
    }
    return NULL;
}

static void start(struct producer *producer, struct inbox *inbox, int index)
{
    producer->inbox = inbox;
    producer->nodes = xcalloc(NODES_EACH, sizeof(struct numbered));
    for (int i = 0; i < NODES_EACH; i++) {
        producer->nodes[i].producer = index;
        producer->nodes[i].number = i;
    }
    assert_int_equal(pthread_create(&producer->thread, NULL, produce, producer), 0);
}

static void many_producers(void **state)
{
    (void)state;
    atomic_int wakes = 0;
    struct inbox *inbox = inbox_new(64, count_wake, &wakes);
    struct producer producers[PRODUCERS];
    int next[PRODUCERS] = {0};
    int taken = 0;
    for (int i = 0; i < PRODUCERS; i++) {
        start(&producers[i], inbox, i);
    }
    while (taken < PRODUCERS * NODES_EACH) {
        assert_true(inbox_wait(inbox, 10000));
        struct inbox_node *node = inbox_take(inbox, 100);
        for (; node != NULL; node = node->next, taken++) {
            struct numbered *numbered = container_of(node, struct numbered, node);
            assert_int_equal(numbered->number, next[numbered->producer]);
            next[numbered->producer]++;
        }
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(producers[i].thread, NULL);
        free(producers[i].nodes);
    }
    assert_int_equal(inbox_count(inbox), 0);
    assert_true(atomic_load(&wakes) >= 1);
    inbox_free(inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_limit_and_wake),
        cmocka_unit_test(wait_times_out),
        cmocka_unit_test(many_producers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
