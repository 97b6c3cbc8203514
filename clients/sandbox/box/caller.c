#include "clients/sandbox/box/caller.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "clients/sandbox/box/request.h"
#include "service/base/endian.h"

uint64_t caller_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool read_all(char *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        ssize_t count = read(CALLER_INPUT_FD, bytes + at, len - at);
        if (count == 0 || (count < 0 && errno != EINTR)) {
            return false;
        }
        at += count < 0 ? 0 : (size_t)count;
    }
    return true;
}

status caller_take_request(struct arena *arena, str *ret)
{
    char head[4];
    if (!read_all(head, sizeof head)) {
        return status_make(CODE_INVALID_ARGUMENT, "There is no request on the input.");
    }
    size_t len = endian_get_le(head, sizeof head);
    if (len > REQUEST_BYTES_MAX) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "The request has %zu bytes, at most %d are taken.", len,
                          REQUEST_BYTES_MAX);
    }
    char *bytes = arena_alloc(arena, len + 1);
    if (!read_all(bytes, len)) {
        return status_make(CODE_INVALID_ARGUMENT, "The input ended within the request.");
    }
    *ret = str_make(bytes, len);
    return STATUS_OK;
}

/* Waits so long until the descriptor is ready; false: it is not. */
static bool is_ready(int fd, short events, int timeout_ms)
{
    struct pollfd ready = {.fd = fd, .events = events};
    return poll(&ready, 1, timeout_ms) > 0;
}

bool caller_is_gone(void)
{
    char ignored[256];
    while (is_ready(CALLER_INPUT_FD, POLLIN, 0)) {
        ssize_t count = read(CALLER_INPUT_FD, ignored, sizeof ignored);
        if (count == 0 || (count < 0 && errno != EINTR)) {
            return true;
        }
    }
    return false;
}

size_t caller_write_some(str bytes)
{
    size_t at = 0;
    /* A pipe that is ready has room for this much. */
    while (at < bytes.len && is_ready(CALLER_OUTPUT_FD, POLLOUT, 0)) {
        size_t len = bytes.len - at < PIPE_BUF ? bytes.len - at : PIPE_BUF;
        ssize_t count = write(CALLER_OUTPUT_FD, bytes.ptr + at, len);
        if (count < 0) {
            break;
        }
        at += (size_t)count;
    }
    return at;
}

bool caller_write(str bytes)
{
    while (bytes.len > 0) {
        ssize_t count = write(CALLER_OUTPUT_FD, bytes.ptr, bytes.len);
        if (count < 0 && errno == EAGAIN) {
            is_ready(CALLER_OUTPUT_FD, POLLOUT, -1);
            continue;
        }
        if (count < 0 && errno != EINTR) {
            return false;
        }
        size_t len = count < 0 ? 0 : (size_t)count;
        bytes = str_make(bytes.ptr + len, bytes.len - len);
    }
    return true;
}
