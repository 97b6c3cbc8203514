#include "service/base/sys.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    LOG_LINE_BYTES_MAX = 2048, /* A longer line is cut, and says so. */
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};
static_assert(COUNT_OF(level_names) == LOG_ERROR + 1, "a level has no name");

static atomic_int level_min = LOG_INFO;

uint64_t sys_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t sys_monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void sys_random(void *ret, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = getrandom((char *)ret + done, bytes - done, 0);
        if (got < 0 && errno != EINTR) {
            abort(); /* Without randomness every id would collide. */
        }
        done += got < 0 ? 0 : (size_t)got;
    }
    assert(done == bytes);
}

void sys_return_memory(void)
{
    (void)malloc_trim(0); /* Whether there was any. */
}

void log_level_set(enum log_level level)
{
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

static size_t put_time(char *line, size_t bytes)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(line, bytes, "%Y-%m-%dT%H:%M:%S", &utc);
    int more = snprintf(line + len, bytes - len, ".%03ldZ", now.tv_nsec / 1000000);
    assert(more > 0);
    return len + (size_t)more;
}

/* Control bytes would let a logged value forge a second line. */
static void keep_one_line(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < ' ') {
            line[i] = ' ';
        }
    }
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    assert(event != NULL && format != NULL);
    char line[LOG_LINE_BYTES_MAX];
    const size_t limit = sizeof(line) - sizeof("...\n");
    va_list args;
    if ((int)level < atomic_load_explicit(&level_min, memory_order_relaxed)) {
        return;
    }
    size_t len = put_time(line, limit);
    int more = snprintf(line + len, limit - len, " %-5s %s ", level_names[level], event);
    len = more < 0 || (size_t)more >= limit - len ? limit : len + (size_t)more;
    if (len < limit) {
        va_start(args, format);
        more = vsnprintf(line + len, limit - len, format, args);
        va_end(args);
        len = more < 0 || (size_t)more >= limit - len ? limit : len + (size_t)more;
    }
    if (len == limit) {
        memcpy(line + len - 1, "...", 3);
        len += 2;
    }
    keep_one_line(line, len);
    line[len++] = '\n';
    /* One write, so that lines of several threads do not mix. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}
