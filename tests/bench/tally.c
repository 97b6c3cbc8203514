#include "tests/bench/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clients/c/polos.h"

/* utime + stime of a process, in microseconds; 0 when it cannot be known. */
static uint64_t server_cpu_us(unsigned pid)
{
    char path[64];
    unsigned long user = 0;
    unsigned long kernel = 0;
    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    FILE *file = pid == 0 ? NULL : fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    int got = fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                     &user, &kernel);
    fclose(file);
    return got == 2 ? (user + kernel) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK) : 0;
}

static uint64_t own_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void tally_begin(struct tally *tally)
{
    tally->count = 0;
    tally->own_cpu_us = own_cpu_us();
    tally->server_cpu_us = server_cpu_us(tally->server_pid);
    tally->began_us = polos_now_us();
}

void tally_add(struct tally *tally, uint64_t latency_us)
{
    if (tally->count == tally->cap) {
        size_t cap = tally->cap == 0 ? 1 << 16 : 2 * tally->cap;
        uint32_t *grown = reallocarray(tally->latencies_us, cap, sizeof(*grown));
        if (grown == NULL) {
            abort();
        }
        tally->latencies_us = grown;
        tally->cap = cap;
    }
    tally->latencies_us[tally->count++] =
        latency_us > UINT32_MAX ? UINT32_MAX : (uint32_t)latency_us;
}

void tally_end(struct tally *tally)
{
    tally->ended_us = polos_now_us();
    tally->own_cpu_us = own_cpu_us() - tally->own_cpu_us;
    tally->server_cpu_us = server_cpu_us(tally->server_pid) - tally->server_cpu_us;
}

double tally_per_second(const struct tally *tally, double units)
{
    return units * 1e6 / (double)(tally->ended_us - tally->began_us);
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static uint32_t percentile(const struct tally *tally, double share)
{
    size_t at = (size_t)((double)tally->count * share);
    return tally->count == 0 ? 0 : tally->latencies_us[at < tally->count ? at : tally->count - 1];
}

uint32_t tally_median(uint32_t *latencies_us, size_t count)
{
    if (count == 0) {
        return 0;
    }
    qsort(latencies_us, count, sizeof(uint32_t), by_size);
    return latencies_us[count / 2];
}

double tally_growth(const struct tally *tally)
{
    enum {
        WARM_UP = 5,
        WINDOW = 100,
    };
    uint32_t first[WINDOW];
    uint32_t last[WINDOW];
    size_t count = tally->count < 2 * (WARM_UP + WINDOW) ? tally->count / 4 : WINDOW;
    if (count == 0) {
        return 0;
    }
    memcpy(first, tally->latencies_us + (count < WARM_UP ? 0 : WARM_UP), count * sizeof(first[0]));
    memcpy(last, tally->latencies_us + tally->count - count, count * sizeof(last[0]));
    qsort(first, count, sizeof(first[0]), by_size);
    qsort(last, count, sizeof(last[0]), by_size);
    return (double)last[count / 4] / first[count / 4];
}

void tally_print(struct tally *tally, double units)
{
    if (tally->count > 0) {
        qsort(tally->latencies_us, tally->count, sizeof(uint32_t), by_size);
    }
    printf("\"p50_us\": %u, \"p99_us\": %u, \"seconds\": %.3f, \"load_cpu_us_each\": %.1f",
           percentile(tally, 0.50), percentile(tally, 0.99),
           (double)(tally->ended_us - tally->began_us) / 1e6, (double)tally->own_cpu_us / units);
    if (tally->server_pid != 0) {
        printf(", \"server_cpu_us_each\": %.1f", (double)tally->server_cpu_us / units);
    }
}

void tally_fini(struct tally *tally)
{
    free(tally->latencies_us);
    *tally = (struct tally){0};
}
