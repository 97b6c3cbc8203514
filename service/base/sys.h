/*
 * sys: what the shell asks of the operating system: time, randomness, memory, log lines.
 *
 * Threading: every function may be called from any thread. Not for the engine.
 */
#ifndef SERVICE_BASE_SYS_H
#define SERVICE_BASE_SYS_H

#include "service/base/base.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

uint64_t sys_now_ms(void); /* Wall clock, Unix milliseconds. */
uint64_t sys_monotonic_us(void);
void sys_random(void *ret, size_t bytes); /* From the system; fit for ids and secrets. */

/* What was freed and is still held goes back to the system. Takes milliseconds. */
void sys_return_memory(void);

/* Lines below it are left out; at first LOG_INFO. */
void log_level_set(enum log_level level);
/* One line on stderr: time, level, `event`, then the fields as given ("key=value ..."). */
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
