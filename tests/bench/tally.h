/*
 * tally: what was counted between two moments: latencies, and the CPU of both sides.
 */
#ifndef TESTS_BENCH_TALLY_H
#define TESTS_BENCH_TALLY_H

#include <stddef.h>
#include <stdint.h>

/* Zero-initialised is empty and valid. */
struct tally {
    uint32_t *latencies_us;
    size_t count;
    size_t cap;
    unsigned server_pid;
    uint64_t began_us;
    uint64_t ended_us;
    uint64_t own_cpu_us;
    uint64_t server_cpu_us;
};

void tally_begin(struct tally *tally);
void tally_add(struct tally *tally, uint64_t latency_us);
void tally_end(struct tally *tally);
double tally_per_second(const struct tally *tally, double units);
/* Prints "p50_us": .., "p99_us": .., "seconds": .., and the CPU for each unit, as members. */
void tally_print(struct tally *tally, double units);
/* Sorts them. 0: there are none. */
uint32_t tally_median(uint32_t *latencies_us, size_t count);
/* The lower quartile of the last hundred over that of the first: a busy disk spoils medians. Asked
 * before tally_print(), which sorts. */
double tally_growth(const struct tally *tally);
void tally_fini(struct tally *tally);

#endif
