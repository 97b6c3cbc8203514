#include "tests/simulation/options.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    const char *target;
    uint64_t seed;
    uint64_t passed;
    uint64_t failed;
    uint64_t digest;
} report;

static void say_failed(const char *law)
{
    printf("FAILED seed=%llu law=%s\nreplay: bazel run %s -- --seed=%llu --trace\n",
           (unsigned long long)report.seed, law, report.target, (unsigned long long)report.seed);
    report.failed++;
}

/* Nothing is asked of the process afterwards, so printing here does no harm. */
static void on_abort(int number)
{
    (void)number;
    say_failed("assertion");
    printf("%llu passed, %llu failed\n", (unsigned long long)report.passed,
           (unsigned long long)report.failed);
    fflush(stdout);
    _exit(1);
}

static bool read_number(const char *argument, const char *name, uint64_t *ret)
{
    size_t len = strlen(name);
    if (strncmp(argument, name, len) != 0 || argument[len] == '\0') {
        return false;
    }
    char *end = NULL;
    unsigned long long value = strtoull(argument + len, &end, 0);
    if (*end != '\0') {
        return false;
    }
    *ret = value;
    return true;
}

bool sim_options_read(int argc, char **argv, const char *target, struct sim_options *ret)
{
    *ret = (struct sim_options){.seed = 1, .seeds = 1};
    for (int i = 1; i < argc; i++) {
        bool is_trace = strcmp(argv[i], "--trace") == 0;
        ret->trace |= is_trace;
        if (!is_trace && !read_number(argv[i], "--seed=", &ret->seed) &&
            !read_number(argv[i], "--seeds=", &ret->seeds)) {
            fprintf(stderr, "%s: not known; there are --seed=N --seeds=K --trace\n", argv[i]);
            return false;
        }
    }
    report.target = target;
    signal(SIGABRT, on_abort);
    return true;
}

void sim_seed_begin(uint64_t seed)
{
    report.seed = seed;
}

void sim_seed_passed(uint64_t digest)
{
    report.passed++;
    report.digest = (report.digest ^ digest) * 0x100000001B3u;
}

void sim_seed_failed(const char *law)
{
    say_failed(law);
}

int sim_report(void)
{
    printf("digest %016llx\n", (unsigned long long)report.digest);
    printf("%llu passed, %llu failed\n", (unsigned long long)report.passed,
           (unsigned long long)report.failed);
    return report.failed == 0 ? 0 : 1;
}
