/*
 * Goal:   whatever dies, fails, repeats itself or comes late, the partition keeps every promise.
 * Method: draw a whole world per seed (world.h), judge every commit, act and answer by the laws,
 *         let it calm down, and expect that everything ends. Some seeds are run twice: the same
 *         seed must be the same history, byte for byte.
 *
 *     bazel run //tests/simulation:world -- [--seed=N] [--seeds=K] [--trace]
 */
#include <stdio.h>

#include "service/base/sys.h"
#include "tests/simulation/options.h"
#include "tests/simulation/world.h"

enum {
    TWICE_EVERY = 16, /* Seeds. */
};

static struct world world;

static void print_counts(const struct world_counts *counts)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"worlds", counts->seeds},
        {"runs", counts->runs},
        {"completed", counts->completed},
        {"failed", counts->failed},
        {"cancelled", counts->cancelled},
        {"owed rows", counts->owed},
        {"runs damaged", counts->damaged},
        {"rounds", counts->rounds},
        {"commits", counts->commits},
        {"events", counts->events},
        {"snapshots", counts->snapshots},
        {"crashes", counts->crashes},
        {"polite stops", counts->stops},
        {"store faults", counts->store_faults},
        {"reads failed", counts->reads_failed},
        {"clock jumps", counts->clock_jumps},
        {"model calls", counts->model_calls},
        {"answers rejected", counts->rejections},
        {"inputs", counts->inputs},
        {"late answers", counts->late_answers},
        {"tasks given", counts->gives},
        {"host streams", counts->reconnects},
        {"host deaths", counts->host_deaths},
        {"stale answers", counts->stale},
        {"answers refused", counts->refusals},
        {"starts found by key", counts->starts_repeated},
        {"full inboxes", counts->snubs},
        {"watches", counts->watches},
        {"facts shown", counts->facts_shown},
        {"facts of trees shown", counts->tree_facts_shown},
        {"of them read", counts->facts_read},
        {"deltas shown", counts->deltas},
        {"full watchers", counts->stalls},
        {"pieces told", counts->pieces},
        {"batches over 8 MiB", counts->large_batches},
        {"full streams", counts->full_streams},
        {"streams cut", counts->cuts},
        {"hosts frozen", counts->freezes},
        {"answers cut off", counts->answers_cut},
        {"waits", counts->waits},
        {"suspensions", counts->suspended},
        {"answers", counts->answers},
        {"answers kept", counts->kept},
        {"parks", counts->parks},
        {"children told", counts->children},
        {"events published", counts->published},
        {"topics shortened", counts->dropped},
        {"events awaited", counts->awaited},
        {"events fed", counts->feeds},
        {"pages and runs read", counts->reads},
        {"orphans cancelled", counts->orphans},
        {"deletions", counts->deletions},
        {"given up", counts->given_up},
        {"tries of steps", counts->tries},
        {"forks", counts->forks},
        {"retries", counts->retries},
        {"clean-ups", counts->cleanups},
        {"definitions deleted", counts->undefined},
        {"admissions", counts->admissions},
        {"beginnings under a rate", counts->beginnings},
        {"ticks", counts->ticks},
        {"ticks skipped", counts->ticks_skipped},
        {"batches", counts->batches},
        {"times at rest", counts->rests},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        printf("%s%llu %s", i == 0 ? "" : ", ", (unsigned long long)rows[i].value, rows[i].name);
    }
    printf("\n");
}

static bool run_seed(uint64_t seed)
{
    world_run(&world, seed);
    if (world.broken == NULL && seed % TWICE_EVERY == 0) {
        uint64_t digest = world.digest;
        world_run(&world, seed);
        world_expect(&world, world.digest == digest, "the-same-seed-is-the-same-history");
    }
    if (world.broken == NULL) {
        sim_seed_passed(world.digest);
        return true;
    }
    sim_seed_failed(world.broken);
    if (world.detail[0] != '\0') {
        printf("%s\n", world.detail);
    }
    return false;
}

int main(int argc, char **argv)
{
    struct sim_options options;
    if (!sim_options_read(argc, argv, "//tests/simulation:world", &options)) {
        return 2;
    }
    log_level_set((enum log_level)(LOG_ERROR + 1)); /* Every accident would be a line. */
    world.trace = options.trace;
    for (uint64_t seed = options.seed; seed < options.seed + options.seeds; seed++) {
        sim_seed_begin(seed);
        if (!run_seed(seed)) {
            break;
        }
    }
    print_counts(&world.counts);
    world_fini(&world);
    return sim_report();
}
