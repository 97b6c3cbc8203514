/*
 * options: what the simulations have in common: their arguments, and how they say which seed
 * failed and how to see it again.
 *
 * A failed assertion of the program is a finding like any other: it names its seed too.
 */
#ifndef TESTS_SIMULATION_OPTIONS_H
#define TESTS_SIMULATION_OPTIONS_H

#include "service/base/base.h"

struct sim_options {
    uint64_t seed; /* The first. */
    uint64_t seeds; /* How many. */
    bool trace;
};

/* False, with a sentence on stderr, when an argument is not known. */
bool sim_options_read(int argc, char **argv, const char *target, struct sim_options *ret);

void sim_seed_begin(uint64_t seed);
/* `digest`: of all the seed wrote, so that a change can show that it changed no byte. */
void sim_seed_passed(uint64_t digest);
void sim_seed_failed(const char *law);
int sim_report(void); /* The closing line; the exit code. */

#endif
