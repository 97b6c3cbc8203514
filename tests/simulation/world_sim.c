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
    ALL_KINDS_IN = 300, /* Seeds: somebody makes each kind of request. */
};

static struct world world;

/* What is printed of a run of this program, in this order. */
#define COUNT(words, field)                                                                        \
    {                                                                                              \
        words, offsetof(struct world_counts, field)                                                \
    }
static const struct {
    const char *words;
    size_t at; /* A uint64_t. */
} rows[] = {
    COUNT("worlds", seeds),
    COUNT("runs", runs),
    COUNT("completed", completed),
    COUNT("failed", failed),
    COUNT("cancelled", cancelled),
    COUNT("owed rows", owed),
    COUNT("runs damaged", damaged),
    COUNT("rounds", rounds),
    COUNT("commits", commits),
    COUNT("events", events),
    COUNT("snapshots", snapshots),
    COUNT("crashes", crashes),
    COUNT("polite stops", stops),
    COUNT("store faults", store_faults),
    COUNT("reads failed", reads_failed),
    COUNT("clock jumps", clock_jumps),
    COUNT("model calls", model_calls),
    COUNT("answers rejected", rejections),
    COUNT("inputs", inputs),
    COUNT("late answers", late_answers),
    COUNT("tasks given", gives),
    COUNT("host streams", reconnects),
    COUNT("host deaths", host_deaths),
    COUNT("stale answers", stale),
    COUNT("answers refused", refusals),
    COUNT("starts found by key", starts_repeated),
    COUNT("full inboxes", snubs),
    COUNT("watches", watches),
    COUNT("facts shown", facts_shown),
    COUNT("facts of trees shown", tree_facts_shown),
    COUNT("of them read", facts_read),
    COUNT("deltas shown", deltas),
    COUNT("full watchers", stalls),
    COUNT("pieces told", pieces),
    COUNT("batches over 8 MiB", large_batches),
    COUNT("full streams", full_streams),
    COUNT("streams cut", cuts),
    COUNT("hosts frozen", freezes),
    COUNT("waits", waits),
    COUNT("suspensions", suspended),
    COUNT("answers", answers),
    COUNT("answers kept", kept),
    COUNT("parks", parks),
    COUNT("tasks released", releases),
    COUNT("children told", children),
    COUNT("events published", published),
    COUNT("topics shortened", dropped),
    COUNT("events awaited", awaited),
    COUNT("events fed", feeds),
    COUNT("pages and runs read", reads),
    COUNT("orphans cancelled", orphans),
    COUNT("deletions", deletions),
    COUNT("given up", given_up),
    COUNT("tries of steps", tries),
    COUNT("forks", forks),
    COUNT("copies in pieces", copies_in_pieces),
    COUNT("pieces copied", pieces_copied),
    COUNT("copies cut", copies_cut),
    COUNT("retries", retries),
    COUNT("clean-ups", cleanups),
    COUNT("definitions deleted", undefined),
    COUNT("admissions", admissions),
    COUNT("beginnings under a rate", beginnings),
    COUNT("ticks", ticks),
    COUNT("ticks skipped", ticks_skipped),
    COUNT("runs of schedules asked for", ticks_called),
    COUNT("batches", batches),
    COUNT("times at rest", rests),
    COUNT("rounds nobody asked for", unwanted),
};

static void print_counts(const struct world_counts *counts)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t count;
        memcpy(&count, (const char *)counts + rows[i].at, sizeof(count));
        printf("%s%llu %s", i == 0 ? "" : ", ", (unsigned long long)count, rows[i].words);
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
    const char *kind = world_kind_never_made(&world);
    if (world.broken == NULL && options.seeds >= ALL_KINDS_IN && kind != NULL) {
        sim_seed_failed("each-kind-of-request-is-made");
        printf("nobody made one of '%s'\n", kind);
    }
    print_counts(&world.counts);
    world_fini(&world);
    return sim_report();
}
