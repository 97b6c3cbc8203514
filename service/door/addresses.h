/*
 * addresses: how many connections each address has.
 *
 * An address of IPv4 is one by itself. Of IPv6 the first 64 bits count: who has one of them mostly
 * has them all.
 */
#ifndef SERVICE_DOOR_ADDRESSES_H
#define SERVICE_DOOR_ADDRESSES_H

#include <sys/socket.h>

#include "service/base/base.h"
#include "service/base/table.h"

enum {
    ADDRESS_KEY_BYTES = 9, /* The family, and what counts of the address. */
};

struct address;

struct addresses {
    struct table table;
};

void addresses_init(struct addresses *addresses);
void addresses_fini(struct addresses *addresses); /* Every one has been left. */

/* One connection more. NULL: it would be more than count_max. */
struct address *addresses_enter(struct addresses *addresses, const struct sockaddr_storage *from,
                                uint32_t count_max);
/* One less; the address is gone with its last. */
void addresses_leave(struct addresses *addresses, struct address *address);

#endif
