#include "service/net/reach.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <strings.h>

enum {
    HOST_BYTES_MAX = 255,
};

/* A network: addresses whose first `bits` are these. */
struct network {
    uint8_t bytes[16];
    uint8_t bits;
    enum reach reach;
};

/* The first that holds an address counts; what no row holds is public. */
static const struct network networks_4[] = {
    {{0, 0, 0, 0}, 32, REACH_LOCAL}, /* Where Linux connects to itself. */
    {{0}, 8, REACH_SPECIAL},         {{10}, 8, REACH_PRIVATE},
    {{100, 64}, 10, REACH_PRIVATE}, /* Of providers, behind their NAT. */
    {{127}, 8, REACH_LOCAL},         {{169, 254}, 16, REACH_SPECIAL},
    {{172, 16}, 12, REACH_PRIVATE},  {{192, 0, 0}, 24, REACH_SPECIAL},
    {{192, 168}, 16, REACH_PRIVATE}, {{198, 18}, 15, REACH_PRIVATE}, /* Benchmarks. */
    {{224}, 4, REACH_SPECIAL},       {{240}, 4, REACH_SPECIAL},
};
static const struct network networks_6[] = {
    {{0}, 128, REACH_LOCAL}, /* :: */
    {{[15] = 1}, 128, REACH_LOCAL},    {{0xfc}, 7, REACH_PRIVATE},
    {{0xfe, 0x80}, 10, REACH_SPECIAL}, {{0xfe, 0xc0}, 10, REACH_PRIVATE},
    {{0xff}, 8, REACH_SPECIAL},
};
/* Where an IPv4 address stands in an IPv6 one. */
static const struct {
    uint8_t bytes[16];
    uint8_t bits;
    uint8_t at;
} embeddings[] = {
    {{[10] = 0xff, [11] = 0xff}, 96, 12}, /* ::ffff:0:0/96 */
    {{0}, 96, 12}, /* ::/96, of old */
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12}, /* 64:ff9b::/96 */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, 12}, /* 64:ff9b:1::/48, as it is used */
    {{0x20, 0x02}, 16, 2}, /* 2002::/16 */
};

static bool begins_with(const uint8_t *address, const uint8_t *bytes, uint8_t bits)
{
    static_assert(sizeof(((struct network *)0)->bytes) == 16, "of an IPv6 address");
    uint8_t rest = bits % 8;
    assert(bits > 0 && bits <= 128);
    return memcmp(address, bytes, bits / 8) == 0 &&
           (rest == 0 || ((address[bits / 8] ^ bytes[bits / 8]) >> (8 - rest)) == 0);
}

static enum reach find(const struct network *networks, size_t count, const uint8_t *address)
{
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        if (begins_with(address, networks[i].bytes, networks[i].bits)) {
            return networks[i].reach;
        }
    }
    return REACH_PUBLIC;
}

static enum reach reach_of_4(const uint8_t *address)
{
    return find(networks_4, COUNT_OF(networks_4), address);
}

static enum reach reach_of_6(const uint8_t *address)
{
    enum reach reach = find(networks_6, COUNT_OF(networks_6), address);
    for (size_t i = 0; i < COUNT_OF(embeddings) && reach == REACH_PUBLIC; i++) {
        if (begins_with(address, embeddings[i].bytes, embeddings[i].bits)) {
            return reach_of_4(address + embeddings[i].at);
        }
    }
    return reach;
}

enum reach reach_of(const struct sockaddr *address)
{
    assert(address != NULL);
    if (address->sa_family == AF_INET) {
        return reach_of_4((const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        return reach_of_6((const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr);
    }
    return REACH_SPECIAL;
}

bool reach_parse(str host, uint16_t port, struct sockaddr_storage *ret)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char text[HOST_BYTES_MAX + 1];
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = str_make(host.ptr + 1, host.len - 2);
    }
    if (host.len == 0 || host.len > HOST_BYTES_MAX) {
        return false;
    }
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (strcasecmp(text, "localhost") == 0 || strcasecmp(text, "localhost.") == 0) {
        strcpy(text, "127.0.0.1");
    }
    if (getaddrinfo(text, NULL, &hints, &found) != 0) {
        return false;
    }
    *ret = (struct sockaddr_storage){0};
    assert(found->ai_addrlen <= sizeof(*ret));
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (ret->ss_family == AF_INET) {
        ((struct sockaddr_in *)ret)->sin_port = htons(port);
    } else {
        ((struct sockaddr_in6 *)ret)->sin6_port = htons(port);
    }
    return true;
}

bool reach_equal(const struct sockaddr *a, const struct sockaddr *b)
{
    assert(a != NULL && b != NULL);
    if (a->sa_family != b->sa_family) {
        return false;
    }
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *first = (const struct sockaddr_in *)a;
        const struct sockaddr_in *second = (const struct sockaddr_in *)b;
        return first->sin_port == second->sin_port &&
               first->sin_addr.s_addr == second->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *first = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in6 *second = (const struct sockaddr_in6 *)b;
    return a->sa_family == AF_INET6 && first->sin6_port == second->sin6_port &&
           memcmp(&first->sin6_addr, &second->sin6_addr, sizeof(first->sin6_addr)) == 0;
}
