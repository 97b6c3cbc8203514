#include "service/rpc/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc_security.h>

#include "service/base/sys.h"

/* Each connection is a descriptor, and running out of them ends accepting for good. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        log_line(LOG_WARN, "descriptor_limit_kept", "errno=%d", errno);
    }
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

static int try_bind(const struct addrinfo *info)
{
    int one = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    bool bound = bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, 1) == 0;
    int why = bound ? 0 : errno;
    close(fd);
    return why;
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

/* Before the core tries: it says no more than "failed", and that on a whole page. */
static status look_at(const char *address, const char *host, const char *port, struct arena *arena)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed != 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "cannot listen on %s: %s", address,
                          gai_strerror(failed));
    }
    int why = try_bind(found);
    bool is_open = !is_loopback(found);
    freeaddrinfo(found);
    if (why == EADDRINUSE) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "cannot listen on %s: another process does, perhaps another polosd; end "
                          "it, or choose a free port with --listen",
                          address);
    }
    if (why != 0) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION, "cannot listen on %s: %s", address,
                          strerror(why));
    }
    if (is_open) {
        log_line(LOG_WARN, "listens_openly",
                 "address=%s why=\"there are no keys yet: whoever reaches this address may start, "
                 "read and cancel runs; let a firewall or a proxy decide who does\"",
                 address);
    }
    return STATUS_OK;
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
    return len >= 1 && len <= 5 && port <= 65535;
}

status listener_open(grpc_server *server, const char *address, struct arena *arena,
                     uint16_t *ret_port)
{
    char *host = NULL;
    char *text = NULL;
    assert(address != NULL);
    if (!split(address, arena, &host, &text) || !is_port(text)) {
        return arena_fail(
            arena, CODE_INVALID_ARGUMENT,
            "cannot listen: \"%s\" is not an address; write host:port, as in 127.0.0.1:8080",
            address);
    }
    raise_descriptor_limit();
    TRY(look_at(address, host, text, arena));
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server, address, plain);
    grpc_server_credentials_release(plain);
    if (port == 0) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION, "cannot listen on %s", address);
    }
    assert(port > 0 && port <= UINT16_MAX);
    *ret_port = (uint16_t)port;
    return STATUS_OK;
}
