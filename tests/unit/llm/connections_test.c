/*
 * Goal:   a kept connection is used again only while its peer has said nothing unasked, and each is
 *         told apart from a later one of the same number.
 * Method: sockets of the test to a listener of its own, on the loopback.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/net/connections.h"

struct bed {
    struct connections connections;
    struct sockaddr_in address; /* Of the listener. */
    int listener;
    int fd;
    int peer; /* The other end of fd. */
};

static struct sockaddr *as_address(struct sockaddr_in *address)
{
    return (struct sockaddr *)address;
}

static void dial(struct bed *bed)
{
    bed->fd = connections_open(&bed->connections, SOCK_STREAM, 0, as_address(&bed->address),
                               sizeof(bed->address));
    assert_true(bed->fd >= 0);
    assert_int_equal(connect(bed->fd, as_address(&bed->address), sizeof(bed->address)), 0);
    bed->peer = accept(bed->listener, NULL, NULL);
    assert_true(bed->peer >= 0);
}

static void begin(struct bed *bed)
{
    socklen_t len = sizeof(bed->address);
    *bed = (struct bed){.address = {.sin_family = AF_INET}};
    bed->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bed->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(bed->listener, as_address(&bed->address), len), 0);
    assert_int_equal(listen(bed->listener, 4), 0);
    assert_int_equal(getsockname(bed->listener, as_address(&bed->address), &len), 0);
    dial(bed);
}

static void end(struct bed *bed)
{
    assert_int_equal(connections_close(&bed->connections, bed->fd), 0);
    close(bed->peer);
    close(bed->listener);
    connections_fini(&bed->connections);
}

static struct connection_use use(struct bed *bed, bool expected)
{
    struct connection_use ret = {0};
    assert_int_equal(connections_use(&bed->connections, bed->fd, &ret), expected);
    return ret;
}

static void say(const struct bed *bed)
{
    assert_int_equal(write(bed->peer, "x", 1), 1);
    char byte;
    assert_int_equal(recv(bed->fd, &byte, 1, MSG_PEEK), 1); /* It has come. */
}

static void a_kept_connection_that_spoke_unasked_is_not_used(void **state)
{
    (void)state;
    struct bed bed;
    begin(&bed);
    struct connection_use first = use(&bed, true);
    assert_false(first.was_kept);
    assert_int_equal(first.fd, bed.fd);
    connections_release(&bed.connections, &first, false);
    struct connection_use second = use(&bed, true);
    assert_true(second.was_kept);
    connections_release(&bed.connections, &second, false);
    say(&bed);
    (void)use(&bed, false);
    end(&bed);
}

/* A greeting before the first request is not a wrong answer to one. */
static void a_fresh_connection_may_speak_first(void **state)
{
    (void)state;
    struct bed bed;
    begin(&bed);
    say(&bed);
    struct connection_use only = use(&bed, true);
    connections_release(&bed.connections, &only, true);
    /* With HTTP/2 it may speak at any time. */
    struct connection_use next = use(&bed, true);
    connections_release(&bed.connections, &next, false);
    (void)use(&bed, true);
    end(&bed);
}

static void a_peer_that_hung_up_is_not_asked_again(void **state)
{
    (void)state;
    struct bed bed;
    begin(&bed);
    struct connection_use only = use(&bed, true);
    connections_release(&bed.connections, &only, false);
    assert_int_equal(shutdown(bed.peer, SHUT_WR), 0);
    char byte;
    assert_int_equal(recv(bed.fd, &byte, 1, MSG_PEEK), 0);
    (void)use(&bed, false);
    end(&bed);
}

/* Numbers of sockets are given again: an old hold lets go of nothing new. */
static void a_later_connection_is_another_one(void **state)
{
    (void)state;
    struct bed bed;
    begin(&bed);
    int number = bed.fd;
    struct connection_use old = use(&bed, true);
    assert_int_equal(connections_close(&bed.connections, bed.fd), 0);
    close(bed.peer);
    dial(&bed);
    assert_int_equal(bed.fd, number);
    struct connection_use fresh = use(&bed, true);
    assert_false(fresh.was_kept);
    assert_true(fresh.serial != old.serial);
    connections_release(&bed.connections, &old, false);
    assert_int_equal(bed.connections.by_fd[number].users, 1);
    assert_false(bed.connections.by_fd[number].was_used);
    connections_release(&bed.connections, &fresh, false);
    assert_int_equal(bed.connections.by_fd[number].users, 0);
    connections_release(&bed.connections, &(struct connection_use){0}, false); /* Of none. */
    end(&bed);
}

static void connections_are_found_by_their_own_end(void **state)
{
    (void)state;
    struct bed bed;
    struct sockaddr_in own;
    socklen_t len = sizeof(own);
    begin(&bed);
    assert_int_equal(getsockname(bed.fd, as_address(&own), &len), 0);
    int port = ntohs(own.sin_port);
    assert_int_equal(connections_find(&bed.connections, "127.0.0.1", port), bed.fd);
    assert_int_equal(connections_find(&bed.connections, "127.0.0.2", port), -1);
    assert_int_equal(connections_find(&bed.connections, "127.0.0.1", port ^ 1), -1);
    const struct sockaddr_in *peer =
        (const struct sockaddr_in *)connections_peer(&bed.connections, bed.fd);
    assert_int_equal(peer->sin_port, bed.address.sin_port);
    assert_int_equal(connections_close(&bed.connections, dup(bed.fd)), 0); /* Not one of ours. */
    assert_int_equal(connections_find(&bed.connections, "127.0.0.1", port), bed.fd);
    end(&bed);
    struct connections none = {0};
    assert_int_equal(connections_find(&none, "127.0.0.1", port), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_connection_that_spoke_unasked_is_not_used),
        cmocka_unit_test(a_fresh_connection_may_speak_first),
        cmocka_unit_test(a_peer_that_hung_up_is_not_asked_again),
        cmocka_unit_test(a_later_connection_is_another_one),
        cmocka_unit_test(connections_are_found_by_their_own_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
