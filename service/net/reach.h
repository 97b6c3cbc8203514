/*
 * reach: how far away an address is: on this machine, in a private network, anywhere.
 */
#ifndef SERVICE_NET_REACH_H
#define SERVICE_NET_REACH_H

#include <sys/socket.h>

#include "service/base/base.h"

enum reach {
    REACH_PUBLIC,
    REACH_LOCAL, /* This machine itself. */
    REACH_PRIVATE, /* A network of one's own: 10.0.0.0/8, fc00::/7 and their like. */
    REACH_SPECIAL, /* The link (169.254.0.0/16), groups, what is reserved. Clouds serve secrets
                      here. */
};

/* An IPv6 address that stands for an IPv4 one is as far away as that; what is neither is special.
 */
enum reach reach_of(const struct sockaddr *address);
/* Reads a host as connect() would without asking anybody: "127.1", "[::1]", "0x7f000001" and
 * "localhost" are addresses. False: it is a name. */
bool reach_parse(str host, uint16_t port, struct sockaddr_storage *ret);
/* The same address and port. */
bool reach_equal(const struct sockaddr *a, const struct sockaddr *b);

#endif
