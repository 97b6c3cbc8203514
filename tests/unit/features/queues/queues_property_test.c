/*
 * Goal:   whatever happens in whatever order, no limit and no rate is passed, nobody is passed over
 *         within a key, and in the end every run has been admitted.
 * Method: each seed draws queues, runs and fates: code that ends, sleeps, is cancelled; hosts that
 *         die; restarts; commits that are lost; limits that change. Then the world gets calm and
 *         must come to its end. Built with MUTANT, the test passes when a law is broken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/features/queues/queues.h"
#include "tests/unit/features/queues/queue_world.h"

enum {
    SEEDS = 60,
    STEPS = 250,
    CALM_ROUNDS = 3000,
};

static uint64_t draw(uint64_t *seed, uint64_t bound)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % bound;
}

static const char *const queues[] = {"one", "two", "three"};
static const char *const keys[] = {"", "a", "b", "c"};

static void define_all(struct world *world, uint64_t *seed)
{
    for (size_t i = 0; i < COUNT_OF(queues); i++) {
        bool has_rate = draw(seed, 2) == 0;
        world_define(world, queues[i],
                     (struct queue_limits){
                         .concurrency = (uint32_t)draw(seed, 5),
                         .per_key = (uint32_t)draw(seed, 3),
                         .rate = has_rate ? 1 + (uint32_t)draw(seed, 4) : 0,
                         .rate_period_ms = has_rate ? 1000 + draw(seed, 20000) : 0,
                     });
    }
}

static void start_one(struct world *world, uint64_t *seed)
{
    const char *reason;
    size_t kept = draw(seed, 8) == 0 ? 0 : draw(seed, COUNT_OF(keys)); /* One key has more. */
    size_t run =
        world_try_start(world, RUN_KIND_WORKFLOW, queues[draw(seed, COUNT_OF(queues))],
                        keys[draw(seed, 2) == 0 ? 1 : kept], (int32_t)draw(seed, 3) - 1, &reason);
    (void)run; /* A lost commit refuses it. */
}

/* One that a host holds; SIZE_MAX: none. */
static size_t pick_held(struct world *world, uint64_t *seed)
{
    size_t from = world->run_count == 0 ? 0 : draw(seed, world->run_count);
    for (size_t i = 0; i < world->run_count; i++) {
        size_t run = (from + i) % world->run_count;
        if (world->runs[run].host >= 0) {
            return run;
        }
    }
    return SIZE_MAX;
}

static void cancel_one(struct world *world, uint64_t *seed)
{
    size_t run = world->run_count == 0 ? 0 : draw(seed, world->run_count);
    if (world->run_count > 0 && !world->runs[run].is_over && !world->runs[run].is_cancelling) {
        world_cancel(world, run);
    }
}

static void shake_hosts(struct world *world, uint64_t *seed)
{
    int host = (int)draw(seed, WORLD_HOSTS);
    if (!world->hosts[host].is_connected) {
        world_connect(world, host, "");
    } else if (draw(seed, 2) == 0) {
        world_lose(world, host);
    }
}

/* Where limits were other ones before, what is held may be over them. */
static void change_limits(struct world *world, uint64_t *seed)
{
    world_define(world, queues[2],
                 (struct queue_limits){.concurrency = 6 + (uint32_t)draw(seed, 3)});
}

static void step(struct world *world, uint64_t *seed)
{
    unsigned what = (unsigned)draw(seed, 100);
    size_t held = pick_held(world, seed);
    bool may_work = held != SIZE_MAX;
    if (what < 80 && draw(seed, 30) == 0) {
        world_fail_next_commit(world);
    }
    if (what < 40) {
        start_one(world, seed);
    } else if (what < 60 && may_work) {
        world_done(world, held);
    } else if (what < 75 && may_work && !world->runs[held].is_cancelling) {
        world_sleep(world, held, draw(seed, 5000));
    } else if (what < 80) {
        cancel_one(world, seed);
    }
    world_heal(world);
    if (what < 80) {
        return;
    }
    if (what < 84) {
        shake_hosts(world, seed);
    } else if (what < 86) {
        world_restart(world);
        world_connect(world, 0, "");
    } else if (what < 98) {
        world_pass(world, draw(seed, 4000));
    } else {
        change_limits(world, seed);
    }
}

static bool is_done(const struct world *world)
{
    for (size_t i = 0; i < world->run_count; i++) {
        if (!world->runs[i].is_over && !world->runs[i].is_cancelling) {
            return false;
        }
    }
    return true;
}

static const char *calm_down(struct world *world, uint64_t *seed)
{
    for (int i = 0; i < WORLD_HOSTS; i++) {
        if (!world->hosts[i].is_connected) {
            world_connect(world, i, "");
        }
    }
    for (int i = 0; i < CALM_ROUNDS && !is_done(world); i++) {
        size_t held = pick_held(world, seed);
        if (held == SIZE_MAX) {
            world_pass(world, 1000);
        } else {
            world_done(world, held);
        }
    }
    if (!is_done(world)) {
        return "everyone is admitted";
    }
    world_pass(world, 100000); /* Cleaning up has its end, too. */
    for (size_t i = 0; i < COUNT_OF(queues); i++) {
        struct queue_report report = world_queue(world, queues[i]);
        if (report.running != 0 || report.waiting != 0) {
            return "an empty queue has nobody";
        }
    }
    return NULL;
}

static const char *run_seed(uint64_t seed)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world_init(world, 1 + (uint32_t)draw(&seed, 6));
    world_connect(world, 0, "");
    define_all(world, &seed);
    for (int i = 0; i < STEPS && world->broken == NULL; i++) {
        step(world, &seed);
    }
    if (world->limits_count > 2 && world->limits[2].limits.rate == 0) {
        world->limits[2].limits = (struct queue_limits){0};
    }
    const char *broken = world_judge(world);
    broken = broken == NULL ? calm_down(world, &seed) : broken;
    broken = broken == NULL ? world_judge(world) : broken;
    world_fini(world);
    free(world);
    return broken;
}

static uint64_t first_seed = 1;
static uint64_t seed_count = SEEDS;

static void test_laws_hold(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        const char *broken = run_seed(seed);
        if (broken != NULL) {
            fail_msg("seed %llu breaks: %s", (unsigned long long)seed, broken);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_laws_hold)};
    first_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : first_seed;
    seed_count = argc > 2 ? strtoull(argv[2], NULL, 10) : seed_count;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
#ifdef MUTANT
    /* The report goes by the last line: what failed above had to fail. */
    bool is_caught = failed > 0;
    printf("%s\n", is_caught ? "1 passed, 0 failed, 0 skipped" : "the planted bug was not caught");
    return is_caught ? 0 : 1;
#else
    return failed;
#endif
}
