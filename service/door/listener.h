/*
 * listener: the sockets of the address that is served.
 *
 * A name may stand for several addresses ("localhost" for ::1 and 127.0.0.1): all are listened on,
 * with one port.
 */
#ifndef SERVICE_DOOR_LISTENER_H
#define SERVICE_DOOR_LISTENER_H

#include "service/base/arena.h"

enum {
    LISTENER_SOCKETS_MAX = 8,
};

struct listener {
    int sockets[LISTENER_SOCKETS_MAX];
    uint32_t count;
    uint16_t port;
    bool is_open; /* Not this machine alone can reach it. */
};

/* "127.0.0.1:8080", "[::1]:8080", "localhost:0".
 * INVALID_ARGUMENT: not an address. FAILED_PRECONDITION: taken, or not this machine's. */
status listener_open(const char *address, struct arena *arena, struct listener *ret);
void listener_close(struct listener *listener); /* Also of one that is closed. */

/* As many descriptors as this process may have; their number. */
uint32_t descriptors_raise(void);

#endif
