/*
 * connections: the sockets a client has open, and whether a kept one may be used once more.
 *
 * A peer that speaks while nobody has asked it anything is out of step: what it says would be taken
 * for the answer to the next request. A kept connection with unread bytes is therefore never used
 * again. HTTP/2 names the request that an answer belongs to, and may speak at any time.
 *
 * Threading: owned by one thread.
 */
#ifndef SERVICE_NET_CONNECTIONS_H
#define SERVICE_NET_CONNECTIONS_H

#include <sys/socket.h>

#include "service/base/base.h"

struct connection {
    uint64_t serial; /* Never given twice; 0: no socket of ours has this number. */
    struct sockaddr_storage peer;
    uint32_t users; /* Calls that use it now. */
    bool was_used;
    bool is_multiplexed;
};

/* Zero-initialised is empty. */
struct connections {
    struct connection *by_fd;
    size_t capacity;
    uint64_t last_serial;
};

/* A call's hold on a connection; serial 0: on none. */
struct connection_use {
    int fd;
    uint64_t serial;
    bool was_kept; /* It has carried a request before. */
};

void connections_fini(struct connections *connections); /* The sockets must be closed. */

/* As socket(), for a connection to that peer: -1 and errno when there is none to be had. */
int connections_open(struct connections *connections, int type, int protocol,
                     const struct sockaddr *peer, socklen_t peer_len);
/* As close(); of other sockets than its own too. */
int connections_close(struct connections *connections, int fd);
/* The one whose own end is there ("127.0.0.1", 40000); -1: none is. */
int connections_find(const struct connections *connections, const char *ip, int port);
/* Whom the connection was opened to; borrowed. */
const struct sockaddr *connections_peer(const struct connections *connections, int fd);
/* A request is about to go out on it. False: it has bytes that nobody asked for, do without it. */
bool connections_use(struct connections *connections, int fd, struct connection_use *ret);
/* The request is over. Also when the connection is gone, or there never was one. */
void connections_release(struct connections *connections, const struct connection_use *use,
                         bool is_multiplexed);

#endif
