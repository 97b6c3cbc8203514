/*
 * Goal:   what the store acknowledged is there after its process was killed, after the power was
 *         lost, and after the disk refused a sync; whole batches only.
 * Method: a workload acknowledges each commit through a pipe and is ended at a seeded point;
 *         then the folder is opened and checked record by record. The power-loss test proves
 *         itself: the same with syncing off must be caught.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    ACK_FD = 3,
    LOSSES = 25,
    KILLS = 25,
    ROUNDS_PER_FOLDER = 5,
    CONTROLS = 20,
    MENDINGS = 40,
    EXIT_POWER_LOST = 137,
};

static char base[PATH_MAX - 64]; /* Lasts. */
static char folder[PATH_MAX]; /* The store's; it makes those above it. */
static char library[PATH_MAX];
static char workload[PATH_MAX];
static uint64_t random_state = 88172645463325252u;

static unsigned random_below(unsigned limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 11) % limit);
}

static void clean_up(void)
{
    char command[2 * PATH_MAX + 64];
    snprintf(command, sizeof(command), "rm -rf '%s' '%s.graves'", base, base);
    assert_int_equal(system(command), 0);
}

static void begin_anew(void)
{
    clean_up();
    assert_int_equal(mkdir(base, 0700), 0);
}

/* Every other time the first of them is there, as of a process that was killed early. */
static void leave_folder(unsigned seed)
{
    char above[PATH_MAX];
    snprintf(above, sizeof(above), "%s/above", base);
    assert_int_equal(seed % 2 == 0 ? mkdir(above, 0700) : 0, 0);
}

/* ---- The workload as a child ---- */

struct plan {
    unsigned seed;
    unsigned batches; /* 0: until it is ended. */
    bool sync_off;
    int lose_at; /* -1: never. */
    int fail_sync_at; /* -1: never. */
    int kill_after; /* This many lines of acknowledgement; -1: never. */
};

struct outcome {
    unsigned long acked; /* The last batch. */
    unsigned long lines;
    unsigned long unavailable;
    int exited;
};

static void set_number(const char *name, int value)
{
    char text[16];
    if (value >= 0) {
        snprintf(text, sizeof(text), "%d", value);
        setenv(name, text, 1);
    }
}

static void run_workload(const struct plan *plan, int ack_fd)
{
    char seed[16];
    char batches[16];
    dup2(ack_fd, ACK_FD);
    if (plan->lose_at >= 0 || plan->fail_sync_at >= 0) {
        setenv("LD_PRELOAD", library, 1);
        setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
        setenv("POWERLOSS_DIR", base, 1);
        set_number("POWERLOSS_SEED", (int)plan->seed);
        set_number("POWERLOSS_AT", plan->lose_at);
        set_number("POWERLOSS_FAIL_AT", plan->fail_sync_at);
    }
    snprintf(seed, sizeof(seed), "%u", plan->seed);
    snprintf(batches, sizeof(batches), "%u", plan->batches);
    execl(workload, workload, "write", folder, seed, batches, plan->sync_off ? "nosync" : "sync",
          (char *)NULL);
    _exit(127);
}

static void note_line(struct outcome *outcome, const char *line)
{
    outcome->lines++;
    if (strcmp(line, "unavailable\n") == 0) {
        outcome->unavailable++;
    } else {
        outcome->acked = strtoul(line, NULL, 10);
    }
}

static struct outcome run(const struct plan *plan)
{
    struct outcome outcome = {0};
    char line[64];
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        run_workload(plan, ends[1]);
    }
    close(ends[1]);
    FILE *acks = fdopen(ends[0], "r");
    assert_non_null(acks);
    if (plan->kill_after == 0) {
        kill(child, SIGKILL);
    }
    while (fgets(line, sizeof(line), acks) != NULL) {
        note_line(&outcome, line);
        if (plan->kill_after >= 0 && outcome.lines == (unsigned long)plan->kill_after) {
            kill(child, SIGKILL);
        }
    }
    fclose(acks);
    assert_int_equal(waitpid(child, &outcome.exited, 0), child);
    return outcome;
}

/* The exit status of the workload as a verifier. */
static int verify(unsigned long acked)
{
    char number[32];
    int exited = 0;
    pid_t child = fork();
    if (child == 0) {
        snprintf(number, sizeof(number), "%lu", acked);
        execl(workload, workload, "verify", folder, number, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &exited, 0), child);
    return WIFEXITED(exited) ? WEXITSTATUS(exited) : 128;
}

static struct plan plan_of(unsigned seed)
{
    return (struct plan){.seed = seed, .lose_at = -1, .fail_sync_at = -1, .kill_after = -1};
}

/* ---- The tests ---- */

static void power_loss_loses_nothing(void **state)
{
    (void)state;
    unsigned long acked = 0;
    unsigned long total = 0;
    for (unsigned seed = 1; seed <= LOSSES; seed++) {
        struct plan plan = plan_of(seed);
        if (seed % ROUNDS_PER_FOLDER == 1) {
            begin_anew();
            leave_folder(seed);
            acked = 0;
        }
        /* A third of them early: in the opening, or in the recovery from the loss before. */
        plan.lose_at = (int)(seed % 3 == 0 ? 1 + random_below(120) : 100 + random_below(1500));
        struct outcome outcome = run(&plan);
        print_message("seed %u, operation %d: %lu acknowledged\n", seed, plan.lose_at,
                      outcome.lines);
        assert_true(WIFEXITED(outcome.exited));
        assert_int_equal(WEXITSTATUS(outcome.exited), EXIT_POWER_LOST);
        acked = outcome.lines > 0 ? outcome.acked : acked;
        total += outcome.lines;
        assert_int_equal(verify(acked), 0);
    }
    assert_true(total > LOSSES * 20);
    clean_up();
}

static void without_syncing_the_loss_is_caught(void **state)
{
    (void)state;
    int caught = 0;
    for (unsigned seed = 1; seed <= CONTROLS; seed++) {
        struct plan plan = plan_of(seed);
        begin_anew();
        plan.sync_off = true;
        plan.lose_at = 200 + (int)random_below(80); /* Before the first reopening. */
        struct outcome outcome = run(&plan);
        assert_int_equal(WEXITSTATUS(outcome.exited), EXIT_POWER_LOST);
        assert_true(outcome.lines > 0);
        caught += verify(outcome.acked) != 0;
    }
    print_message("%d of %d control runs caught\n", caught, CONTROLS);
    /* The loss may happen to spare everything; more often than not it must not. */
    assert_true(caught > CONTROLS / 2);
    clean_up();
}

static void kill_loses_nothing(void **state)
{
    (void)state;
    unsigned long acked = 0;
    for (unsigned seed = 1; seed <= KILLS; seed++) {
        struct plan plan = plan_of(seed);
        if (seed % ROUNDS_PER_FOLDER == 1) {
            begin_anew();
            acked = 0;
        }
        plan.kill_after = (int)(seed % 5 == 0 ? random_below(2) : random_below(300));
        struct outcome outcome = run(&plan);
        assert_true(WIFSIGNALED(outcome.exited));
        acked = outcome.lines > 0 ? outcome.acked : acked;
        assert_int_equal(verify(acked), 0);
    }
    clean_up();
}

static void failed_sync_is_unavailable_and_mended(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct plan plan = plan_of(seed);
        begin_anew();
        plan.batches = 200;
        plan.fail_sync_at = (int)(10 + random_below(150));
        struct outcome outcome = run(&plan);
        assert_true(WIFEXITED(outcome.exited));
        assert_int_equal(WEXITSTATUS(outcome.exited), 0);
        assert_int_equal(outcome.unavailable, 1);
        assert_int_equal(outcome.lines, 200);
        assert_int_equal(verify(outcome.acked), 0);
    }
    clean_up();
}

/* What a torn write leaves behind the last record of the store's list of files. */
static void tear_manifest(void)
{
    static const char torn[] = "\\1\\2\\3\\4\\5\\0\\1hello"; /* Its checksum is not its own. */
    char command[2 * PATH_MAX];
    snprintf(command, sizeof(command), "cd '%s' && printf '%s' >>$(cat CURRENT)", folder, torn);
    assert_int_equal(system(command), 0);
}

/* It is written anew, and the power goes while it is. */
static void mending_loses_nothing(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= MENDINGS; seed++) {
        struct plan plan = plan_of(seed);
        begin_anew();
        plan.batches = 20;
        unsigned long acked = run(&plan).acked;
        assert_int_equal(acked, plan.batches);
        tear_manifest();
        plan.batches = 0;
        plan.lose_at = (int)seed;
        struct outcome outcome = run(&plan);
        assert_int_equal(WEXITSTATUS(outcome.exited), EXIT_POWER_LOST);
        assert_int_equal(verify(outcome.lines > 0 ? outcome.acked : acked), 0);
    }
    clean_up();
}

/* An absolute path: children run it, and the loader wants one. */
static bool find(const char *variable, const char *if_unset, char ret[PATH_MAX])
{
    const char *path = getenv(variable);
    if (realpath(path == NULL ? if_unset : path, ret) == NULL) {
        fprintf(stderr, "cannot find %s: set %s\n", if_unset, variable);
        return false;
    }
    return true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_loss_loses_nothing),
        cmocka_unit_test(without_syncing_the_loss_is_caught),
        cmocka_unit_test(kill_loses_nothing),
        cmocka_unit_test(mending_loses_nothing),
        cmocka_unit_test(failed_sync_is_unavailable_and_mended),
    };
    const char *temporary = getenv("TEST_TMPDIR");
    snprintf(base, sizeof(base), "%s/crash.%d", temporary == NULL ? "/tmp" : temporary,
             (int)getpid());
    snprintf(folder, sizeof(folder), "%s/above/data", base);
    if (!find("POWERLOSS_LIBRARY", "tests/crash/libpowerloss.so", library) ||
        !find("STORE_WORKLOAD", "tests/crash/store_workload", workload)) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
