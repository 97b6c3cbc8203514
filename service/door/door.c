#include "service/door/door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "service/base/inbox.h"
#include "service/base/sys.h"
#include "service/door/listener.h"

enum {
    EVENTS_MAX = 128, /* Of one pass. */
    ACCEPTS_MAX = 32, /* Of one socket in a pass. */
    HANDSHAKES_MAX = 8, /* Of a pass. */
    LOOK_US = 250000,
    OWN_DESCRIPTORS = 256, /* The store's, the models' and the rest's. */
    DESCRIPTORS_EACH = 3,
    CONNECTIONS_MIN = 8,
    NUMBERS_FIRST = 8192,
    NUMBERS_MAX = 60000,
    LOG_US = 1000000,
};

enum order {
    ORDER_STOP_ACCEPTING,
    ORDER_STOP,
    ORDER_TLS,
};

struct message {
    struct inbox_node node;
    enum order order;
    SSL_CTX *tls;
    uint64_t until_us;
};

struct door {
    struct hall hall;
    struct door_options options;
    struct listener listener;
    struct side sockets[LISTENER_SOCKETS_MAX]; /* Of the listener, for epoll. */
    struct side waker;
    struct inbox *messages; /* From the main thread. */
    struct inbox *done; /* To it: a message was carried out. */
    struct addresses addresses;
    struct connection *connections;
    struct connection *ended; /* In this pass: events of it may still name them. */
    uint32_t count;
    pthread_t thread;
    bool is_started;
    bool is_paused; /* Out of descriptors: nobody is accepted for a moment. */
    bool is_stopping;
    uint64_t stop_us; /* When the last are cut. */
    uint64_t looked_us;
    uint64_t logged_us;
    uint64_t refused; /* Since the last line of the log. */
};

/* ---- connections ---- */

static void add(struct door *door, struct connection *connection)
{
    connection->next = door->connections;
    if (door->connections != NULL) {
        door->connections->previous = connection;
    }
    door->connections = connection;
    door->count++;
}

static void unlink_ended(struct door *door, struct connection *connection)
{
    assert(connection->stage == STAGE_ENDED && door->count > 0);
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        door->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    addresses_leave(&door->addresses, connection->address);
    connection->address = NULL;
    door->count--;
    connection->next = door->ended;
    door->ended = connection;
}

static void free_ended(struct door *door)
{
    while (door->ended != NULL) {
        struct connection *connection = door->ended;
        door->ended = connection->next;
        connection_free(connection);
    }
}

/* A line a second at most: a flood must not become one of the log. */
static void tell_refusal(struct door *door, const struct sockaddr_storage *from, enum ending why)
{
    char text[INET6_ADDRSTRLEN] = "?";
    door->refused++;
    if (door->logged_us != 0 && door->hall.now_us - door->logged_us < LOG_US) {
        return;
    }
    const void *address =
        from->ss_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)from)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)from)->sin_addr;
    inet_ntop(from->ss_family, address, text, sizeof(text));
    log_line(LOG_WARN, "connection_refused", "from=%s why=%s refused=%llu", text, ending_name(why),
             (unsigned long long)door->refused);
    door->refused = 0;
    door->logged_us = door->hall.now_us;
}

/* Right after whatever may have ended it. */
static void settle(struct door *door, struct connection *connection)
{
    if (connection->stage != STAGE_ENDED || connection->address == NULL) {
        return;
    }
    if (ending_is_refusal(connection->ending)) {
        tell_refusal(door, &connection->from, connection->ending);
    }
    unlink_ended(door, connection);
}

/* ---- accepting ---- */

static void refuse(struct door *door, int fd, const struct sockaddr_storage *from, enum ending why)
{
    close(fd);
    door->hall.counts[why]++;
    tell_refusal(door, from, why);
}

static void let_in(struct door *door, int fd, const struct sockaddr_storage *from)
{
    int one = 1;
    if (door->count >= door->options.connections_max) {
        refuse(door, fd, from, ENDING_FULL);
        return;
    }
    struct address *address =
        addresses_enter(&door->addresses, from, door->options.per_address_max);
    if (address == NULL) {
        refuse(door, fd, from, ENDING_ADDRESS_FULL);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct connection *connection = connection_new(&door->hall, fd, from);
    connection->address = address;
    add(door, connection);
    settle(door, connection);
}

static void pause_accepting(struct door *door, bool is_paused)
{
    door->is_paused = is_paused;
    for (uint32_t i = 0; i < door->listener.count; i++) {
        side_watch(&door->hall, &door->sockets[i], is_paused ? 0 : EPOLLIN);
    }
}

static void accept_some(struct door *door, int socket_fd)
{
    for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof(from);
        int fd = accept4(socket_fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                pause_accepting(door, true); /* epoll would say it again at once. */
            }
            return;
        }
        let_in(door, fd, &from);
    }
}

/* ---- what the main thread asks for ---- */

/* What is not with the core yet never will be. */
static void end_all(struct door *door, bool relayed_too)
{
    for (struct connection *at = door->connections, *next = NULL; at != NULL; at = next) {
        next = at->next;
        if (relayed_too || at->stage < STAGE_RELAY) {
            connection_end(&door->hall, at, ENDING_DRAINED);
            settle(door, at);
        }
    }
}

static void carry_out(struct door *door, struct message *message)
{
    switch (message->order) {
    case ORDER_STOP_ACCEPTING:
        listener_close(&door->listener);
        end_all(door, false);
        return;
    case ORDER_STOP:
        door->is_stopping = true;
        door->stop_us = message->until_us;
        return;
    case ORDER_TLS:
        SSL_CTX_free(door->hall.tls); /* Connections hold it as long as they need it. */
        door->hall.tls = message->tls;
        return;
    }
}

static void hear(struct door *door)
{
    uint64_t count = 0;
    ssize_t got = read(door->waker.fd, &count, sizeof(count));
    (void)got;
    for (struct inbox_node *node = inbox_take(door->messages, 1); node != NULL;
         node = inbox_take(door->messages, 1)) {
        carry_out(door, container_of(node, struct message, node));
        inbox_push_always(door->done, node);
    }
}

static void wake(void *context)
{
    struct door *door = (struct door *)context;
    uint64_t one = 1;
    ssize_t put = write(door->waker.fd, &one, sizeof(one));
    (void)put; /* A counter that is full wakes as well. */
}

static void order(struct door *door, struct message message)
{
    inbox_push_always(door->messages, &message.node);
    inbox_wait(door->done, -1);
    struct inbox_node *node = inbox_take(door->done, 1);
    assert(node == &message.node);
    (void)node;
}

/* ---- the thread ---- */

static void look_at_all(struct door *door)
{
    for (struct connection *at = door->connections, *next = NULL; at != NULL; at = next) {
        next = at->next;
        connection_look(&door->hall, at);
        settle(door, at);
    }
    if (door->is_paused) {
        pause_accepting(door, false);
    }
    door->looked_us = door->hall.now_us;
}

static void handle(struct door *door, const struct epoll_event *event)
{
    struct side *side = (struct side *)event->data.ptr;
    if (side == &door->waker) {
        hear(door);
    } else if (side->connection != NULL) {
        connection_step(&door->hall, side, event->events);
        settle(door, side->connection);
    } else if (door->listener.count > 0) {
        accept_some(door, side->fd);
    }
}

static void *serve(void *context)
{
    struct door *door = (struct door *)context;
    struct epoll_event events[EVENTS_MAX];
    pthread_setname_np(pthread_self(), "door");
    while (!door->is_stopping || door->connections != NULL) {
        int count = epoll_wait(door->hall.epoll, events, EVENTS_MAX, LOOK_US / 1000);
        door->hall.now_us = sys_monotonic_us();
        door->hall.handshakes_left = HANDSHAKES_MAX;
        for (int i = 0; i < count; i++) {
            handle(door, &events[i]);
        }
        if (door->hall.now_us - door->looked_us >= LOOK_US) {
            look_at_all(door);
        }
        if (door->is_stopping && door->hall.now_us >= door->stop_us) {
            end_all(door, true);
        }
        free_ended(door);
    }
    return NULL;
}

/* ---- from the main thread ---- */

static void add_side(struct door *door, struct side *side, int fd)
{
    *side = (struct side){NULL, fd, EPOLLIN};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = side};
    int added = epoll_ctl(door->hall.epoll, EPOLL_CTL_ADD, fd, &event);
    assert(added == 0);
    (void)added;
}

/* By what the process may have. */
static void set_limits(struct door *door)
{
    uint32_t descriptors = descriptors_raise();
    struct door_options *options = &door->options;
    uint32_t fit =
        descriptors > OWN_DESCRIPTORS ? (descriptors - OWN_DESCRIPTORS) / DESCRIPTORS_EACH : 0;
    uint32_t connections = fit < CONNECTIONS_MIN ? CONNECTIONS_MIN : fit;
    if (options->connections_max == 0) {
        options->connections_max = connections;
    }
    if (options->per_address_max == 0) {
        options->per_address_max = (options->connections_max + 3) / 4;
    }
    bool is_small = descriptors < NUMBERS_FIRST + NUMBERS_MAX;
    door->hall.numbers_first = is_small ? (int)descriptors / 2 : NUMBERS_FIRST;
    door->hall.numbers_count = is_small ? (int)(descriptors + 1) / 2 : NUMBERS_MAX;
}

static status refuse_open(const struct door_options *options, struct arena *arena)
{
    if (!options->has_keys && !options->may_lack_keys) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "others reach %s, and there are no keys: whoever comes could do "
                          "everything; make the first with \"polosd keys create --name me --roles "
                          "admin\", or say --allow-no-keys 1 where something else decides who "
                          "comes in",
                          options->address);
    }
    bool is_sealed = options->tls.certificates != NULL && options->needs_tls;
    if (!is_sealed && !options->may_lack_tls) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "others reach %s, and what goes over it, keys too, could be read on the "
                          "way: set --tls-certificates and --tls-key, or say --allow-no-tls 1 "
                          "where something else sees to it",
                          options->address);
    }
    return STATUS_OK;
}

static void say_open(const struct door_options *options, const struct listener *listener)
{
    if (!options->has_keys) {
        log_line(listener->is_open ? LOG_WARN : LOG_INFO, "no_keys",
                 "address=%s why=\"whoever reaches this address may do everything; from the first "
                 "key on (polosd keys create) nobody comes in without one\"",
                 options->address);
    }
}

status door_open(const struct door_options *options, struct arena *arena, struct door **ret)
{
    struct listener listener;
    SSL_CTX *tls = NULL;
    assert(options->take != NULL && options->is_serving != NULL);
    if (options->tls.certificates != NULL) {
        TRY(tls_new(&options->tls, arena, &tls));
    }
    status opened = listener_open(options->address, arena, &listener);
    if (status_is_ok(opened) && listener.is_open) {
        opened = refuse_open(options, arena);
        if (!status_is_ok(opened)) {
            listener_close(&listener);
        }
    }
    if (!status_is_ok(opened)) {
        SSL_CTX_free(tls);
        return opened;
    }
    say_open(options, &listener);
    struct door *door = xcalloc(1, sizeof(*door));
    door->options = *options;
    door->listener = listener;
    set_limits(door);
    door->hall.epoll = epoll_create1(EPOLL_CLOEXEC);
    door->hall.tls = tls;
    door->hall.needs_tls = tls != NULL && options->needs_tls;
    door->hall.take = options->take;
    door->hall.is_serving = options->is_serving;
    door->hall.context = options->context;
    addresses_init(&door->addresses);
    door->messages = inbox_new(1, wake, door);
    door->done = inbox_new(1, NULL, NULL);
    add_side(door, &door->waker, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    *ret = door;
    return STATUS_OK;
}

uint16_t door_port(const struct door *door)
{
    return door->listener.port;
}

void door_start(struct door *door)
{
    for (uint32_t i = 0; i < door->listener.count; i++) {
        add_side(door, &door->sockets[i], door->listener.sockets[i]);
    }
    int failed = pthread_create(&door->thread, NULL, serve, door);
    assert(failed == 0 && "no thread for the door");
    (void)failed;
    door->is_started = true;
}

status door_reload(struct door *door, struct arena *arena)
{
    SSL_CTX *tls = NULL;
    if (door->options.tls.certificates == NULL) {
        return STATUS_OK;
    }
    TRY(tls_new(&door->options.tls, arena, &tls));
    order(door, (struct message){.order = ORDER_TLS, .tls = tls});
    return STATUS_OK;
}

void door_stop_accepting(struct door *door)
{
    assert(door->is_started);
    order(door, (struct message){.order = ORDER_STOP_ACCEPTING});
}

/* What was refused, in all: once, for whoever reads the log. */
static void tell_counts(const struct door *door)
{
    for (enum ending i = 0; i < ENDINGS; i++) {
        if (ending_is_refusal(i) && door->hall.counts[i] > 0) {
            log_line(LOG_INFO, "connections_refused", "why=%s count=%llu", ending_name(i),
                     (unsigned long long)door->hall.counts[i]);
        }
    }
}

void door_stop(struct door *door, uint32_t grace_ms)
{
    if (door == NULL) {
        return;
    }
    if (door->is_started) {
        uint64_t until_us = sys_monotonic_us() + (uint64_t)grace_ms * 1000;
        order(door, (struct message){.order = ORDER_STOP, .until_us = until_us});
        pthread_join(door->thread, NULL);
        tell_counts(door);
    }
    listener_close(&door->listener);
    SSL_CTX_free(door->hall.tls);
    addresses_fini(&door->addresses);
    close(door->waker.fd);
    close(door->hall.epoll);
    inbox_free(door->messages);
    inbox_free(door->done);
    free(door);
}
