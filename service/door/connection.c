#include "service/door/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "service/base/buf.h"
#include "service/door/page.h"

enum {
    BUFFER_BYTES = 16 * 1024,
    TURNS = 8, /* Reads and writes of a way before others have a go. */
    FIRST_BYTES_US = 5000000, /* For each stage before the relay. */
    LINGER_US = 2000000,
    IO_LATER = -1,
    IO_BROKEN = -2,
};

static const char *const names[ENDING_GUARD] = {
    [ENDING_BY_PEER] = "BY_PEER",
    [ENDING_BY_SERVER] = "BY_SERVER",
    [ENDING_ANSWERED] = "ANSWERED",
    [ENDING_DRAINED] = "DRAINED",
    [ENDING_SILENT] = "SILENT",
    [ENDING_NOT_HTTP] = "NOT_HTTP",
    [ENDING_TLS_FAILED] = "TLS_FAILED",
    [ENDING_TLS_MISSING] = "TLS_MISSING",
    [ENDING_FULL] = "FULL",
    [ENDING_ADDRESS_FULL] = "ADDRESS_FULL",
};

const char *ending_name(enum ending ending)
{
    assert(ending < ENDINGS);
    return ending < ENDING_GUARD ? names[ending]
                                 : guard_verdict_name((enum guard_verdict)(ending - ENDING_GUARD));
}

bool ending_is_refusal(enum ending ending)
{
    return ending >= ENDING_SILENT;
}

/* ---- begin and end ---- */

struct connection *connection_new(struct hall *hall, int fd, const struct sockaddr_storage *from)
{
    struct connection *connection = xcalloc(1, sizeof(*connection));
    connection->peer = (struct side){connection, fd, EPOLLIN};
    connection->core = (struct side){connection, -1, 0};
    connection->from = *from;
    connection->since_us = hall->now_us;
    guard_init(&connection->guard);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connection->peer};
    if (epoll_ctl(hall->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        connection_end(hall, connection, ENDING_FULL);
    }
    return connection;
}

void connection_free(struct connection *connection)
{
    assert(connection->stage == STAGE_ENDED);
    guard_fini(&connection->guard);
    free(connection);
}

static void way_reset(struct way *way)
{
    free(way->buffer);
    way->buffer = NULL;
    way->len = 0;
}

void connection_end(struct hall *hall, struct connection *connection, enum ending ending)
{
    assert(connection->stage != STAGE_ENDED);
    connection->stage = STAGE_ENDED;
    connection->ending = ending;
    hall->counts[ending]++;
    if (ending_is_refusal(ending)) { /* Nothing more is sent, and its address is free at once. */
        struct linger none = {.l_onoff = 1};
        setsockopt(connection->peer.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    SSL_free(connection->tls);
    connection->tls = NULL;
    close(connection->peer.fd);
    if (connection->core.fd >= 0) {
        close(connection->core.fd);
    }
    way_reset(&connection->in);
    way_reset(&connection->out);
}

static void enter(struct hall *hall, struct connection *connection, enum stage stage)
{
    connection->stage = stage;
    connection->since_us = hall->now_us;
}

void side_watch(struct hall *hall, struct side *side, uint32_t events)
{
    if (side->events != events) {
        struct epoll_event event = {.events = events, .data.ptr = side};
        epoll_ctl(hall->epoll, EPOLL_CTL_MOD, side->fd, &event);
        side->events = events;
    }
}

/* ---- bytes: their number; 0: the end; IO_LATER; IO_BROKEN ---- */

static int tls_outcome(struct connection *connection, int done, bool was_read)
{
    switch (SSL_get_error(connection->tls, done)) {
    case SSL_ERROR_WANT_READ:
        connection->write_wants_read |= !was_read;
        return IO_LATER;
    case SSL_ERROR_WANT_WRITE:
        connection->read_wants_write |= was_read;
        return IO_LATER;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        return IO_BROKEN;
    }
}

static int socket_outcome(ssize_t done)
{
    if (done >= 0) {
        return (int)done;
    }
    return errno == EAGAIN || errno == EINTR ? IO_LATER : IO_BROKEN;
}

static int side_read(struct side *side, char *ret, size_t bytes_max)
{
    struct connection *connection = side->connection;
    if (side == &connection->peer && connection->tls != NULL) {
        int done = SSL_read(connection->tls, ret, (int)bytes_max);
        return done > 0 ? done : tls_outcome(connection, done, true);
    }
    return socket_outcome(recv(side->fd, ret, bytes_max, 0));
}

static int side_write(struct side *side, const char *bytes, size_t len)
{
    struct connection *connection = side->connection;
    if (side == &connection->peer && connection->tls != NULL) {
        int done = SSL_write(connection->tls, bytes, (int)len);
        return done > 0 ? done : tls_outcome(connection, done, false);
    }
    return socket_outcome(send(side->fd, bytes, len, MSG_NOSIGNAL));
}

/* ---- the relay ---- */

enum progress {
    PROGRESS_MADE,
    PROGRESS_NONE,
    PROGRESS_OVER, /* The connection has ended. */
};

static bool judge(struct hall *hall, struct connection *connection, str bytes)
{
    enum guard_verdict verdict = guard_judge(&connection->guard, bytes, hall->now_us);
    if (verdict != GUARD_FINE) {
        connection_end(hall, connection, (enum ending)(ENDING_GUARD + verdict));
    }
    return verdict == GUARD_FINE;
}

/* It has closed its end, and takes nothing more. As long as ours is open, epoll would say so. */
static void leave_core(struct connection *connection)
{
    close(connection->core.fd);
    connection->core.fd = -1;
    connection->ending = connection->in.has_ended ? ENDING_BY_PEER : ENDING_BY_SERVER;
    way_reset(&connection->in);
    connection->in.has_ended = true;
}

static enum progress fill(struct hall *hall, struct connection *connection, struct way *way)
{
    bool is_in = way == &connection->in;
    struct side *source = is_in ? &connection->peer : &connection->core;
    if (way->has_ended) {
        return PROGRESS_NONE;
    }
    if (way->buffer == NULL) {
        way->buffer = xmalloc(BUFFER_BYTES);
    }
    int got = side_read(source, way->buffer, BUFFER_BYTES);
    if (got == IO_LATER) {
        return PROGRESS_NONE;
    }
    if (got == IO_BROKEN && is_in) {
        connection_end(hall, connection, ENDING_BY_PEER);
        return PROGRESS_OVER;
    }
    if (got <= 0) {
        way->has_ended = true;
        if (!is_in) {
            leave_core(connection);
        }
        return PROGRESS_NONE;
    }
    way->start = 0;
    way->len = (uint32_t)got;
    /* A read that fills no buffer has emptied the socket; asking again would cost a system call a
     * message. TLS hands out one record at a time. */
    way->may_hold_more = got == BUFFER_BYTES || (is_in && connection->tls != NULL);
    str bytes = str_make(way->buffer, way->len);
    if (is_in) {
        return judge(hall, connection, bytes) ? PROGRESS_MADE : PROGRESS_OVER;
    }
    guard_follow(&connection->guard, bytes);
    return PROGRESS_MADE;
}

static enum progress pass_on(struct hall *hall, struct connection *connection, struct way *way)
{
    bool is_in = way == &connection->in;
    struct side *sink = is_in ? &connection->core : &connection->peer;
    int put = side_write(sink, way->buffer + way->start, way->len);
    if (put == IO_LATER) {
        return PROGRESS_NONE;
    }
    if (put == IO_BROKEN && !is_in) {
        connection_end(hall, connection, ENDING_BY_PEER);
        return PROGRESS_OVER;
    }
    /* The core has closed its end; what it said last still goes out. */
    uint32_t gone = put < 0 ? way->len : (uint32_t)put;
    way->start += gone;
    way->len -= gone;
    return way->len == 0 ? PROGRESS_MADE : PROGRESS_NONE;
}

static void say_farewell(struct hall *hall, struct connection *connection)
{
    if (connection->tls != NULL && SSL_is_init_finished(connection->tls)) {
        SSL_shutdown(connection->tls);
        ERR_clear_error();
    }
    shutdown(connection->peer.fd, SHUT_WR);
    side_watch(hall, &connection->peer, EPOLLIN);
    enter(hall, connection, STAGE_LINGER);
}

static void tell_end(struct hall *hall, struct connection *connection, struct way *way)
{
    way->end_is_told = true;
    if (way == &connection->out) {
        say_farewell(hall, connection);
    } else if (connection->core.fd >= 0) {
        shutdown(connection->core.fd, SHUT_WR);
    }
}

/* False: the connection has ended. */
static bool flow(struct hall *hall, struct connection *connection, struct way *way)
{
    bool may_fill = true;
    for (unsigned turn = 0; turn < TURNS && (way->len > 0 || may_fill); turn++) {
        enum progress progress = PROGRESS_NONE;
        if (way->len > 0) {
            progress = pass_on(hall, connection, way);
        } else {
            progress = fill(hall, connection, way);
            may_fill = way->may_hold_more;
        }
        if (progress == PROGRESS_OVER) {
            return false;
        }
        if (progress == PROGRESS_NONE) {
            break;
        }
    }
    if (way->len == 0) {
        way_reset(way);
    }
    if (way->has_ended && way->len == 0 && !way->end_is_told) {
        tell_end(hall, connection, way);
    }
    return true;
}

static void watch_relay(struct hall *hall, struct connection *connection)
{
    bool reads = connection->in.len == 0 && !connection->in.has_ended;
    bool writes = connection->out.len > 0;
    uint32_t peer = 0;
    if (reads) {
        peer |= connection->read_wants_write ? EPOLLOUT : EPOLLIN;
    }
    if (writes) {
        peer |= connection->write_wants_read ? EPOLLIN : EPOLLOUT;
    }
    /* Bytes that TLS has taken from the socket and not handed out are nothing that epoll sees. */
    if (reads && connection->tls != NULL && SSL_pending(connection->tls) > 0) {
        peer |= EPOLLOUT;
    }
    side_watch(hall, &connection->peer, peer);
    if (connection->core.fd >= 0) {
        uint32_t read = connection->out.len == 0 ? EPOLLIN : 0;
        uint32_t write = connection->in.len > 0 ? EPOLLOUT : 0;
        side_watch(hall, &connection->core, read | write);
    }
}

static void relay(struct hall *hall, struct connection *connection, bool in, bool out)
{
    if (connection->tls != NULL) { /* Either way may have waited for the other. */
        in = true;
        out = true;
        connection->read_wants_write = false;
        connection->write_wants_read = false;
    }
    if (in && !flow(hall, connection, &connection->in)) {
        return;
    }
    if (out && !flow(hall, connection, &connection->out)) {
        return;
    }
    if (connection->stage == STAGE_RELAY) {
        watch_relay(hall, connection);
    }
}

static void linger(struct hall *hall, struct connection *connection)
{
    char bytes[4096];
    for (unsigned turn = 0; turn < TURNS; turn++) {
        int got = socket_outcome(recv(connection->peer.fd, bytes, sizeof(bytes), 0));
        if (got == IO_LATER) {
            return;
        }
        if (got <= 0) {
            connection_end(hall, connection, connection->ending);
            return;
        }
    }
}

/* ---- from the first byte to the relay ---- */

/* The other end of the pair, under a number from the ring. -1: no descriptor is left. */
static int give_number(struct hall *hall, int fd)
{
    int first = hall->numbers_first + hall->number_next;
    hall->number_next = (hall->number_next + 1) % hall->numbers_count;
    int number = fcntl(fd, F_DUPFD_CLOEXEC, first);
    if (number < 0) { /* Behind it all are taken. */
        number = fcntl(fd, F_DUPFD_CLOEXEC, hall->numbers_first);
    }
    close(fd);
    return number;
}

static void hand_over(struct hall *hall, struct connection *connection)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        connection_end(hall, connection, ENDING_FULL);
        return;
    }
    int given = give_number(hall, pair[1]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connection->core};
    if (given < 0 || epoll_ctl(hall->epoll, EPOLL_CTL_ADD, pair[0], &event) != 0) {
        close(pair[0]);
        if (given >= 0) {
            close(given);
        }
        connection_end(hall, connection, ENDING_FULL);
        return;
    }
    connection->core.fd = pair[0];
    connection->core.events = EPOLLIN;
    enter(hall, connection, STAGE_RELAY);
    hall->take(hall->context, given);
    relay(hall, connection, true, true);
}

static void answer(struct hall *hall, struct connection *connection)
{
    struct way *in = &connection->in;
    struct buf page = {0};
    enum page_state state =
        page_answer(str_make(in->buffer, in->len), hall->is_serving(hall->context), &page);
    if (state == PAGE_NOT_HTTP) {
        connection_end(hall, connection, ENDING_NOT_HTTP);
    } else if (state == PAGE_ANSWERED) {
        /* It fits in what a fresh socket takes at once; from one that does not, who asked has
         * what came. */
        (void)side_write(&connection->peer, page.ptr, page.len);
        connection->ending = ENDING_ANSWERED;
        say_farewell(hall, connection);
    }
    buf_fini(&page);
}

/* What ALPN agreed on is what has to come. */
static bool keeps_to_protocol(const struct connection *connection, bool is_http2)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    if (connection->tls != NULL) {
        SSL_get0_alpn_selected(connection->tls, &name, &len);
    }
    return len == 0 || is_http2 == (len == 2);
}

static void read_first_bytes(struct hall *hall, struct connection *connection)
{
    struct way *in = &connection->in;
    if (in->buffer == NULL) {
        in->buffer = xmalloc(BUFFER_BYTES);
    }
    int got = side_read(&connection->peer, in->buffer + in->len, BUFFER_BYTES - in->len);
    if (got == IO_LATER) {
        return;
    }
    if (got <= 0) {
        connection_end(hall, connection, ENDING_BY_PEER);
        return;
    }
    in->len += (uint32_t)got;
    str bytes = str_make(in->buffer, in->len);
    str start = STR("PRI ");
    if (str_starts_with(start, bytes) && bytes.len < start.len) {
        return;
    }
    bool is_http2 = str_starts_with(bytes, start);
    if (!keeps_to_protocol(connection, is_http2)) {
        connection_end(hall, connection, ENDING_NOT_HTTP);
    } else if (!is_http2) {
        answer(hall, connection);
    } else if (judge(hall, connection, bytes)) {
        hand_over(hall, connection);
    }
}

static void shake_hands(struct hall *hall, struct connection *connection)
{
    if (hall->handshakes_left == 0) {
        return; /* epoll will say it again. */
    }
    hall->handshakes_left--;
    int done = SSL_accept(connection->tls);
    if (done == 1) {
        enter(hall, connection, STAGE_FIRST_BYTES);
        side_watch(hall, &connection->peer, EPOLLIN);
        read_first_bytes(hall, connection);
        return;
    }
    switch (SSL_get_error(connection->tls, done)) {
    case SSL_ERROR_WANT_READ:
        side_watch(hall, &connection->peer, EPOLLIN);
        return;
    case SSL_ERROR_WANT_WRITE:
        side_watch(hall, &connection->peer, EPOLLOUT);
        return;
    default: /* The peer has been told why. */
        ERR_clear_error();
        connection->ending = ENDING_TLS_FAILED;
        say_farewell(hall, connection);
    }
}

/* In its own words, so that its error is no broken connection: fatal, handshake_failure. */
static void refuse_tls(struct hall *hall, struct connection *connection)
{
    static const char alert[] = {0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28};
    (void)side_write(&connection->peer, alert, sizeof(alert));
    connection->ending = ENDING_TLS_MISSING;
    say_farewell(hall, connection);
}

/* Peeked at alone: who peeks for four would be told again and again that one is there. */
static void read_first_byte(struct hall *hall, struct connection *connection)
{
    enum {
        TLS_HANDSHAKE = 0x16
    };
    char first = 0;
    int got = socket_outcome(recv(connection->peer.fd, &first, 1, MSG_PEEK));
    if (got == IO_LATER) {
        return;
    }
    if (got <= 0) {
        connection_end(hall, connection, ENDING_BY_PEER);
        return;
    }
    bool is_tls = first == TLS_HANDSHAKE;
    if (is_tls && hall->tls == NULL) {
        refuse_tls(hall, connection);
    } else if (!is_tls && hall->needs_tls) {
        connection_end(hall, connection, ENDING_TLS_MISSING);
    } else if (is_tls) {
        connection->tls = SSL_new(hall->tls);
        assert(connection->tls != NULL); /* As with all memory. */
        SSL_set_fd(connection->tls, connection->peer.fd);
        enter(hall, connection, STAGE_HANDSHAKE);
        shake_hands(hall, connection);
    } else {
        enter(hall, connection, STAGE_FIRST_BYTES);
        read_first_bytes(hall, connection);
    }
}

void connection_step(struct hall *hall, struct side *side, uint32_t events)
{
    struct connection *connection = side->connection;
    bool is_peer = side == &connection->peer;
    bool is_broken = is_peer && (events & (EPOLLHUP | EPOLLERR)) != 0;
    bool may_read = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
    bool may_write = (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    switch (connection->stage) {
    case STAGE_FIRST_BYTE:
        read_first_byte(hall, connection);
        return;
    case STAGE_HANDSHAKE:
        shake_hands(hall, connection);
        return;
    case STAGE_FIRST_BYTES:
        read_first_bytes(hall, connection);
        return;
    case STAGE_RELAY:
        if (is_broken) { /* Nobody reads; and epoll would say so for as long as it is open. */
            connection_end(hall, connection, ENDING_BY_PEER);
            return;
        }
        relay(hall, connection, is_peer ? may_read : may_write, is_peer ? may_write : may_read);
        return;
    case STAGE_LINGER:
        linger(hall, connection);
        return;
    case STAGE_ENDED:
        return; /* An event of the same pass. */
    }
}

void connection_look(struct hall *hall, struct connection *connection)
{
    assert(hall->now_us >= connection->since_us);
    uint64_t passed_us = hall->now_us - connection->since_us;
    bool has_begun = connection->stage == STAGE_RELAY && guard_has_begun(&connection->guard);
    if (connection->stage <= STAGE_RELAY && !has_begun && passed_us > FIRST_BYTES_US) {
        connection_end(hall, connection, ENDING_SILENT);
    } else if (connection->stage == STAGE_LINGER && passed_us > LINGER_US) {
        connection_end(hall, connection, connection->ending);
    }
}
