#include "service/net/connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/base/array.h"

void connections_fini(struct connections *connections)
{
    for (size_t fd = 0; fd < connections->capacity; fd++) {
        assert(connections->by_fd[fd].serial == 0);
    }
    free(connections->by_fd);
    *connections = (struct connections){0};
}

static struct connection *at(const struct connections *connections, int fd)
{
    bool known = fd >= 0 && (size_t)fd < connections->capacity;
    return known && connections->by_fd[fd].serial != 0 ? &connections->by_fd[fd] : NULL;
}

static void remember(struct connections *connections, int fd, const struct sockaddr *peer,
                     socklen_t peer_len)
{
    size_t before = connections->capacity;
    connections->by_fd = array_reserve(connections->by_fd, &connections->capacity, (size_t)fd + 1,
                                       sizeof(struct connection));
    for (size_t i = before; i < connections->capacity; i++) {
        connections->by_fd[i] = (struct connection){0};
    }
    struct connection *connection = &connections->by_fd[fd];
    assert(connection->serial == 0 && peer_len <= sizeof(connection->peer));
    *connection = (struct connection){.serial = ++connections->last_serial};
    memcpy(&connection->peer, peer, peer_len);
}

int connections_open(struct connections *connections, int type, int protocol,
                     const struct sockaddr *peer, socklen_t peer_len)
{
    int fd = socket(peer->sa_family, type | SOCK_CLOEXEC, protocol);
    if (fd >= 0) {
        remember(connections, fd, peer, peer_len);
    }
    return fd;
}

int connections_close(struct connections *connections, int fd)
{
    struct connection *connection = at(connections, fd);
    if (connection != NULL) {
        *connection = (struct connection){0};
    }
    return close(fd);
}

/* Whether the socket's own end is there. */
static bool is_bound_to(int fd, const char *ip, int port)
{
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof(own);
    char text[INET6_ADDRSTRLEN] = "";
    if (getsockname(fd, (struct sockaddr *)&own, &len) != 0) {
        return false;
    }
    if (own.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&own;
        return ntohs(in->sin_port) == port &&
               inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)) != NULL &&
               strcmp(text, ip) == 0;
    }
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&own;
    return own.ss_family == AF_INET6 && ntohs(in6->sin6_port) == port &&
           inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)) != NULL &&
           strcmp(text, ip) == 0;
}

int connections_find(const struct connections *connections, const char *ip, int port)
{
    assert(ip != NULL);
    for (size_t fd = 0; fd < connections->capacity; fd++) {
        if (connections->by_fd[fd].serial != 0 && is_bound_to((int)fd, ip, port)) {
            return (int)fd;
        }
    }
    return -1;
}

const struct sockaddr *connections_peer(const struct connections *connections, int fd)
{
    const struct connection *connection = at(connections, fd);
    assert(connection != NULL);
    return (const struct sockaddr *)&connection->peer;
}

static bool has_unread_bytes(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, 0) != 0; /* Or it was closed, or broke. */
}

bool connections_use(struct connections *connections, int fd, struct connection_use *ret)
{
    struct connection *connection = at(connections, fd);
    assert(connection != NULL && ret->serial == 0);
    if (connection->was_used && !connection->is_multiplexed && has_unread_bytes(fd)) {
        return false;
    }
    connection->users++;
    *ret = (struct connection_use){fd, connection->serial, connection->was_used};
    return true;
}

void connections_release(struct connections *connections, const struct connection_use *use,
                         bool is_multiplexed)
{
    struct connection *connection = use->serial == 0 ? NULL : at(connections, use->fd);
    if (connection != NULL && connection->serial == use->serial) {
        assert(connection->users > 0);
        connection->users--;
        connection->was_used = true;
        connection->is_multiplexed |= is_multiplexed;
    }
}
