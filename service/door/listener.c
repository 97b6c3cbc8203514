#include "service/door/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/base/sys.h"

enum {
    WAITING_MAX = 1024, /* Connections that nobody has accepted yet. */
    DESCRIPTORS_MAX = 1 << 20,
    PORT_TEXT_BYTES = 6,
};

uint32_t descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return DESCRIPTORS_MAX;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (before != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        log_line(LOG_WARN, "descriptor_limit_kept", "errno=%d", errno);
        limit.rlim_cur = before;
    }
    return limit.rlim_cur > DESCRIPTORS_MAX ? DESCRIPTORS_MAX : (uint32_t)limit.rlim_cur;
}

/* "host:port", "[v6]:port" -> host and port, NUL-terminated, in the arena. */
static bool split(const char *address, struct arena *arena, char **ret_host, char **ret_port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || colon[1] == '\0') {
        return false;
    }
    str host = str_make(address, (size_t)(colon - address));
    if (host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = str_make(host.ptr + 1, host.len - 2);
    } else if (memchr(host.ptr, ':', host.len) != NULL) {
        return false;
    }
    *ret_host = arena_cstr(arena, host);
    *ret_port = arena_cstr(arena, str_of(colon + 1));
    return true;
}

static bool is_port(const char *text)
{
    uint32_t port = 0;
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    return len >= 1 && len < PORT_TEXT_BYTES && port <= UINT16_MAX;
}

static bool is_loopback(const struct addrinfo *info)
{
    if (info->ai_family == AF_INET) {
        const struct sockaddr_in *at = (const void *)info->ai_addr;
        return ntohl(at->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *at = (const void *)info->ai_addr;
    return info->ai_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&at->sin6_addr);
}

static void set_port(struct addrinfo *info, uint16_t port)
{
    if (info->ai_family == AF_INET) {
        ((struct sockaddr_in *)(void *)info->ai_addr)->sin_port = htons(port);
    } else if (info->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)info->ai_addr)->sin6_port = htons(port);
    }
}

static uint16_t port_of(int socket_fd)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof(at);
    if (getsockname(socket_fd, (struct sockaddr *)&at, &len) != 0) {
        return 0;
    }
    return at.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)(void *)&at)->sin6_port)
                                    : ntohs(((struct sockaddr_in *)(void *)&at)->sin_port);
}

/* The errno; 0: it is in the list. */
static int add(struct listener *listener, const struct addrinfo *info)
{
    int one = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, WAITING_MAX) != 0) {
        int why = errno;
        close(fd);
        return why;
    }
    listener->sockets[listener->count++] = fd;
    listener->is_open |= !is_loopback(info);
    return 0;
}

/* All of a name's; one that this machine has not (IPv6, mostly) is passed over while another is
 * there. The errno. */
static int add_all(struct listener *listener, struct addrinfo *found)
{
    int missing = EADDRNOTAVAIL;
    for (struct addrinfo *at = found; at != NULL && listener->count < LISTENER_SOCKETS_MAX;
         at = at->ai_next) {
        if (listener->count > 0) {
            set_port(at, listener->port);
        }
        int why = add(listener, at);
        if (why == 0) {
            listener->port = port_of(listener->sockets[0]);
        } else if (why == EADDRNOTAVAIL || why == EAFNOSUPPORT) {
            missing = why;
        } else {
            return why;
        }
    }
    return listener->count > 0 ? 0 : missing;
}

void listener_close(struct listener *listener)
{
    for (uint32_t i = 0; i < listener->count; i++) {
        close(listener->sockets[i]);
    }
    listener->count = 0;
}

static status fail(const char *address, int why, struct arena *arena)
{
    if (why == EADDRINUSE) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "cannot listen on %s: another process does, perhaps another polosd; end "
                          "it, or choose a free port with --listen",
                          address);
    }
    return arena_fail(arena, CODE_FAILED_PRECONDITION, "cannot listen on %s: %s", address,
                      strerror(why));
}

status listener_open(const char *address, struct arena *arena, struct listener *ret)
{
    char *host = NULL;
    char *port = NULL;
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    assert(address != NULL);
    if (!split(address, arena, &host, &port) || !is_port(port)) {
        return arena_fail(
            arena, CODE_INVALID_ARGUMENT,
            "cannot listen: \"%s\" is not an address; write host:port, as in 127.0.0.1:8080",
            address);
    }
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed != 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "cannot listen on %s: %s", address,
                          gai_strerror(failed));
    }
    *ret = (struct listener){0};
    int why = add_all(ret, found);
    freeaddrinfo(found);
    if (why != 0) {
        listener_close(ret);
        return fail(address, why, arena);
    }
    assert(ret->port != 0);
    return STATUS_OK;
}
