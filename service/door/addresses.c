#include "service/door/addresses.h"

#include <netinet/in.h>
#include <stdlib.h>

struct address {
    struct table_link link;
    uint8_t key[ADDRESS_KEY_BYTES];
    uint32_t count; /* Of connections. */
};

static bool is(const struct table_link *link, const void *key)
{
    const struct address *address = container_of(link, struct address, link);
    return memcmp(address->key, key, ADDRESS_KEY_BYTES) == 0;
}

void addresses_init(struct addresses *addresses)
{
    table_init(&addresses->table, is);
}

void addresses_fini(struct addresses *addresses)
{
    assert(addresses->table.count == 0);
    table_fini(&addresses->table);
}

/* An address of IPv4 that came by a socket of IPv6 is the same peer. */
static void key_of(const struct sockaddr_storage *from, uint8_t ret[ADDRESS_KEY_BYTES])
{
    memset(ret, 0, ADDRESS_KEY_BYTES);
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)from;
        ret[0] = 4;
        memcpy(ret + 1, &v4->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)from;
        bool is_v4 = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        ret[0] = is_v4 ? 4 : 6;
        memcpy(ret + 1, v6->sin6_addr.s6_addr + (is_v4 ? 12 : 0), is_v4 ? 4 : 8);
    }
}

struct address *addresses_enter(struct addresses *addresses, const struct sockaddr_storage *from,
                                uint32_t count_max)
{
    uint8_t key[ADDRESS_KEY_BYTES];
    assert(count_max > 0);
    key_of(from, key);
    uint64_t hash = str_hash(str_make(key, sizeof(key)));
    struct table_link *link = table_find(&addresses->table, hash, key);
    struct address *address = NULL;
    if (link == NULL) {
        address = xcalloc(1, sizeof(*address));
        memcpy(address->key, key, sizeof(key));
        table_add(&addresses->table, &address->link, hash);
    } else {
        address = container_of(link, struct address, link);
    }
    if (address->count == count_max) {
        return NULL;
    }
    address->count++;
    return address;
}

void addresses_leave(struct addresses *addresses, struct address *address)
{
    assert(address->count > 0);
    address->count--;
    if (address->count == 0) {
        table_remove(&addresses->table, &address->link);
        free(address);
    }
}
