/*
 * draw: everything random in a world comes from one seed, through here.
 */
#ifndef TESTS_SIMULATION_DRAW_H
#define TESTS_SIMULATION_DRAW_H

#include "service/base/base.h"

struct draw {
    uint64_t state;
};

/* splitmix64: seeds that are neighbours give worlds that are not. */
static inline uint64_t draw_u64(struct draw *draw)
{
    uint64_t value = draw->state += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

static inline uint64_t draw_below(struct draw *draw, uint64_t bound)
{
    assert(bound > 0);
    return draw_u64(draw) % bound;
}

static inline bool draw_chance(struct draw *draw, unsigned percent)
{
    return draw_below(draw, 100) < percent;
}

#endif
