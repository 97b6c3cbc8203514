/*
 * clock: an LD_PRELOAD library that tells a program another time of day.
 *
 *   CLOCK_START_MS   what the wall clock says when the program starts, in Unix milliseconds; it
 *                    goes on from there at its usual pace. Without it nothing happens
 *
 * Only what the program's own file asks is answered so: libraries it loads (gRPC, RocksDB) wait
 * until a time of day, which the kernel knows by its own clock, and would wait in vain. The
 * monotonic clock stays as it is.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int (*real_clock_gettime)(clockid_t id, struct timespec *ret);
static int64_t shift_ms;
/* Where the program's own file is in memory. */
static uintptr_t program_begin = UINTPTR_MAX;
static uintptr_t program_end;

static int64_t ms_of(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000;
}

/* The first object is the program. Returns 1 to stop there. */
static int note_program(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    (void)context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD) {
            program_begin = begin < program_begin ? begin : program_begin;
            program_end = begin + part->p_memsz > program_end ? begin + part->p_memsz : program_end;
        }
    }
    return 1;
}

static void set_up(void)
{
    const char *start = getenv("CLOCK_START_MS");
    void *found = dlsym(RTLD_NEXT, "clock_gettime");
    struct timespec now;
    memcpy(&real_clock_gettime, &found, sizeof(found)); /* ISO C has no cast for this. */
    (void)dl_iterate_phdr(note_program, NULL);
    if (start != NULL && real_clock_gettime(CLOCK_REALTIME, &now) == 0) {
        shift_ms = strtoll(start, NULL, 10) - ms_of(&now);
    }
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    uintptr_t caller = (uintptr_t)__builtin_return_address(0);
    (void)pthread_once(&once, set_up);
    int failed = real_clock_gettime(id, ret);
    if (failed == 0 && id == CLOCK_REALTIME && caller >= program_begin && caller < program_end) {
        int64_t ms = ms_of(ret) + shift_ms;
        ret->tv_sec = ms / 1000;
        ret->tv_nsec = ms % 1000 * 1000000 + ret->tv_nsec % 1000000;
    }
    return failed;
}
