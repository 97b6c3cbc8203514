/*
 * Goal:   over streams that break, double and delay at any message, with hosts and servers that
 *         die, every step of a task counts once, no host is overbooked, no epoch of a task is at
 *         two hosts, what is acknowledged is durable, no outcome and no interruption is missed,
 *         every task ends, and nothing is left.
 * Method: sim.h, 2,000 seeds. Compiled with MUTANT, a copy of the module with one planted bug is
 *         run instead, and the test passes when it is caught.
 *
 *     property_test [first seed] [count]
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/hosts/sim.h"

enum {
    SEEDS = 2000,
};

static int run_seeds(uint64_t first, uint64_t count)
{
    for (uint64_t seed = first; seed < first + count; seed++) {
        const char *failure = sim_run(seed);
        if (failure != NULL) {
            printf("seed %llu: %s\n", (unsigned long long)seed, failure);
            return 1;
        }
    }
    printf("%llu seeds passed\n", (unsigned long long)count);
    return 0;
}

#ifdef MUTANT
int main(void)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int failed = run_seeds(1, SEEDS);
        fflush(stdout);
        _exit(failed);
    }
    int outcome = 0;
    if (child < 0 || waitpid(child, &outcome, 0) != child) {
        perror("fork");
        return 1;
    }
    if (WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0) {
        printf("the planted bug was not caught\n");
        return 1;
    }
    return 0;
}
#else
int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : SEEDS;
    return run_seeds(first, count);
}
#endif
