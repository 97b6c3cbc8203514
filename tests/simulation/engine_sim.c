/*
 * Goal:   no crash, lost, late or doubled answer may break a run, whatever the order.
 * Method: draw a whole world per seed, and check every law after every tick (engine_world.h).
 *
 *     bazel run //tests/simulation:engine -- [--seed=N] [--seeds=K] [--trace]
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/simulation/engine_world.h"
#include "tests/simulation/options.h"

static struct engine_world world;

static void print_counts(const struct engine_counts *counts)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"runs", counts->runs},
        {"completed", counts->completed},
        {"failed", counts->failed},
        {"cancelled", counts->cancelled},
        {"commands", counts->commands},
        {"commits", counts->commits},
        {"events", counts->events},
        {"refused", counts->stale},
        {"crashes", counts->crashes},
        {"reissues", counts->reissues},
        {"leases lost", counts->leases_lost},
        {"alarms", counts->timeouts},
        {"repeats", counts->repeats},
        {"clock jumps", counts->jumps},
        {"snapshots", counts->snapshots},
        {"waits", counts->waits},
        {"parks", counts->parks},
        {"answers kept", counts->kept},
        {"children ended", counts->children},
        {"retries", counts->retries},
        {"clean-ups", counts->cleanups},
        {"admissions", counts->admissions},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        printf("%s%llu %s", i == 0 ? "" : ", ", (unsigned long long)rows[i].value, rows[i].name);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    struct sim_options options;
    if (!sim_options_read(argc, argv, "//tests/simulation:engine", &options)) {
        return 2;
    }
    world.trace = options.trace;
    for (uint64_t seed = options.seed; seed < options.seed + options.seeds; seed++) {
        sim_seed_begin(seed);
        engine_world_run(&world, seed);
        if (world.broken != NULL) {
            sim_seed_failed(world.broken);
            break;
        }
        sim_seed_passed(str_hash(buf_str(&world.journal)) ^ str_hash(buf_str(&world.snapshot)));
    }
    print_counts(&world.counts);
    engine_world_fini(&world);
    return sim_report();
}
