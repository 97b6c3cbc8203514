/*
 * Goal:   cron_next_ms() gives the ticks that cron.h promises: no other, none twice, none missing,
 *         wherever clocks change; and cron_parse() reads what it should and survives the rest.
 * Method: a seed draws a zone, a window of days around a change of its clocks, and an expression.
 *         The oracle looks at each minute of the window with the C library's localtime_r(). The
 *         chain of ticks must be its list; from any millisecond the next tick must be in it.
 *         Compiled with MUTANT, a copy of the module with one planted bug is linked instead, and
 *         the test passes if the bug is caught.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/schedule/cron.h"
#include "service/schedule/zone.h"
#include "tests/unit/schedule/expression.h"

#define ZONES "/usr/share/zoneinfo"

enum {
    SEEDS = 800,
    PARSE_SEEDS = 20000,
    WINDOW_MINUTES = 4 * 1440,
    PAST_MINUTES = 3 * 1440, /* Longer than any jump of a clock. */
    MINUTE_MS = 60000,
    HOUR_S = 3600,
};
#define FIRST_S 126230400 /* 1974: since then all clocks agree on the second. */
#define LAST_S 4102444800

static const char *const zone_names[] = {
    "Europe/Berlin",      "America/New_York",    "Australia/Lord_Howe",
    "Asia/Kolkata",       "Pacific/Apia",        "UTC",
    "Africa/Casablanca",  "Asia/Gaza",           "Antarctica/Troll",
    "Europe/Dublin",      "America/Caracas",     "Asia/Pyongyang",
    "Asia/Beirut",        "America/Sao_Paulo",   "America/Havana",
    "Africa/Cairo",       "America/Nuuk",        "Pacific/Chatham",
    "America/St_Johns",   "Antarctica/Casey",    "Pacific/Kwajalein",
    "Pacific/Kiritimati", "Pacific/Easter",      "Asia/Tehran",
    "Asia/Kathmandu",     "Africa/Monrovia",     "Asia/Manila",
    "America/Anchorage",  "America/Scoresbysund"};

struct world {
    const char *zone_name;
    struct zone *zone;
    struct cron cron;
    struct expression expression;
    int64_t from_s; /* The window, in whole minutes. */
    int64_t end_s;
    uint64_t *ticks_ms; /* By the oracle. */
    size_t tick_count;
};

static uint64_t seed_of_run;

static void require(bool fact, const struct world *world, const char *what, uint64_t at_ms)
{
    if (!fact) {
        printf("seed %llu: \"%s\" in %s: %s (at %llu ms; window from %lld s)\n",
               (unsigned long long)seed_of_run, world->expression.text, world->zone_name, what,
               (unsigned long long)at_ms, (long long)world->from_s);
        fflush(stdout);
        _exit(1);
    }
}

static struct tm wall(int64_t utc_s)
{
    time_t at = utc_s;
    struct tm date = {0};
    localtime_r(&at, &date);
    return date;
}

/* What the wall shows, as seconds since its own 1970. */
static int64_t wall_s(int64_t utc_s)
{
    return utc_s + wall(utc_s).tm_gmtoff;
}

static bool fits_s(const struct expression *expression, int64_t local_s)
{
    struct tm date = {0};
    time_t at = local_s;
    gmtime_r(&at, &date);
    return expression_fits(expression, &date);
}

static bool fits_between(const struct expression *expression, int64_t from_s, int64_t end_s)
{
    for (int64_t at = from_s; at < end_s; at += 60) {
        if (fits_s(expression, at)) {
            return true;
        }
    }
    return false;
}

/* By the three rules of cron.h. shown_s: the minute after the latest that the wall had shown. */
static bool is_due(const struct expression *expression, int64_t local_s, int64_t shown_s)
{
    bool fits = fits_s(expression, local_s);
    bool has_jumped = fits_between(expression, shown_s, local_s);
    if (expression->is_open[EXPRESSION_HOUR]) {
        return fits;
    }
    if (expression->is_open[EXPRESSION_MINUTE]) {
        return fits || has_jumped;
    }
    return (fits && local_s >= shown_s) || has_jumped;
}

static void ask_oracle(struct world *world)
{
    int64_t shown_s = INT64_MIN;
    for (int64_t at = world->from_s - PAST_MINUTES * 60; at < world->from_s; at += 60) {
        int64_t next_s = wall_s(at) + 60;
        shown_s = next_s > shown_s ? next_s : shown_s;
    }
    world->tick_count = 0;
    for (int64_t at = world->from_s; at < world->end_s; at += 60) {
        int64_t local_s = wall_s(at);
        if (is_due(&world->expression, local_s, shown_s)) {
            world->ticks_ms[world->tick_count++] = (uint64_t)at * 1000;
        }
        shown_s = local_s + 60 > shown_s ? local_s + 60 : shown_s;
    }
}

static void check_chain(const struct world *world)
{
    uint64_t at = (uint64_t)world->from_s * 1000 - 1;
    for (size_t i = 0; i < world->tick_count; i++) {
        uint64_t next = cron_next_ms(&world->cron, world->zone, at);
        require(next > at, world, "a tick is not after", at);
        require(next >= world->ticks_ms[i], world, "a tick too many", next);
        require(next <= world->ticks_ms[i], world, "a tick is missing", world->ticks_ms[i]);
        at = next;
    }
    uint64_t next = cron_next_ms(&world->cron, world->zone, at);
    require(next == 0 || next >= (uint64_t)world->end_s * 1000, world, "a tick too many", next);
}

static void check_from_anywhere(const struct world *world, uint64_t *seed)
{
    uint64_t window_ms = (uint64_t)WINDOW_MINUTES * MINUTE_MS;
    for (int i = 0; i < 20; i++) {
        uint64_t at = (uint64_t)world->from_s * 1000 + draw(seed, window_ms);
        if (world->tick_count > 0 && draw(seed, 2) == 0) {
            at = world->ticks_ms[draw(seed, world->tick_count)] + draw(seed, 3) - 1;
        }
        uint64_t next = cron_next_ms(&world->cron, world->zone, at);
        size_t k = 0;
        while (k < world->tick_count && world->ticks_ms[k] <= at) {
            k++;
        }
        require(next == 0 || next > at, world, "a tick is not after", at);
        if (k < world->tick_count) {
            require(next == world->ticks_ms[k], world, "another tick than in the chain", at);
        } else {
            require(next == 0 || next >= (uint64_t)world->end_s * 1000, world,
                    "a tick that the chain has not", at);
        }
    }
}

static uint64_t bits_of(const struct expression *expression, int field)
{
    uint64_t bits = 0;
    for (unsigned value = 0; value < 60; value++) {
        bits |= (uint64_t)expression->has[field][value] << value;
    }
    return bits;
}

static void check_parse(struct world *world, struct arena *arena)
{
    const struct expression *expression = &world->expression;
    const struct cron *cron = &world->cron;
    str text = str_of(expression->text);
    require(status_is_ok(cron_parse(text, arena, &world->cron)), world, "it is refused", 0);
    require(cron->minutes == bits_of(expression, EXPRESSION_MINUTE), world, "minutes", 0);
    require(cron->hours == bits_of(expression, EXPRESSION_HOUR), world, "hours", 0);
    require(cron->days == bits_of(expression, EXPRESSION_DAY), world, "days", 0);
    require(cron->months == bits_of(expression, EXPRESSION_MONTH), world, "months", 0);
    require(cron->weekdays == bits_of(expression, EXPRESSION_WEEKDAY), world, "weekdays", 0);
    require(cron->minutes_open == expression->is_open[EXPRESSION_MINUTE], world, "open minutes", 0);
    require(cron->hours_open == expression->is_open[EXPRESSION_HOUR], world, "open hours", 0);
}

/* Some characters are another, or gone: it is read, or refused with a sentence. */
static void check_bent(struct world *world, uint64_t *seed, struct arena *arena)
{
    static const char likely[] = "0123456789*/-, \tMONJAN@";
    char text[sizeof(world->expression.text)];
    size_t len = strlen(world->expression.text);
    memcpy(text, world->expression.text, len);
    for (uint64_t i = 1 + draw(seed, 3); i > 0; i--) {
        bool is_likely = draw(seed, 4) > 0;
        text[draw(seed, len)] =
            is_likely ? likely[draw(seed, sizeof(likely) - 1)] : (char)draw(seed, 256);
    }
    struct cron cron = {0};
    status outcome = cron_parse(str_make(text, draw(seed, len + 1)), arena, &cron);
    if (status_is_ok(outcome)) {
        uint64_t next = cron_next_ms(&cron, world->zone, 1700000000000);
        require(next == 0 || next > 1700000000000, world, "bent, it goes backwards", next);
    } else {
        require(outcome.code == CODE_INVALID_ARGUMENT && strchr(outcome.why, ':') != NULL, world,
                "a refusal has a field", 0);
    }
}

/* Often around a change of clocks. */
static int64_t draw_middle(const struct world *world, uint64_t *seed)
{
    int64_t at = FIRST_S + (int64_t)draw(seed, LAST_S - FIRST_S);
    struct zone_span span = zone_span_at(world->zone, at);
    if (draw(seed, 8) > 0 && span.end_s < LAST_S) {
        at = span.end_s;
    } else if (draw(seed, 8) > 0 && span.start_s > FIRST_S + 10 * 86400) {
        at = span.start_s;
    }
    return at - at % 60;
}

static void run_world(uint64_t seed, struct world *world, struct arena *arena)
{
    world->zone_name = zone_names[draw(&seed, COUNT_OF(zone_names))];
    require(status_is_ok(zone_open(ZONES, str_of(world->zone_name), arena, &world->zone)), world,
            "the zone cannot be opened (the package tzdata is needed)", 0);
    setenv("TZ", world->zone_name, 1);
    tzset();
    int64_t middle = draw_middle(world, &seed);
    struct tm near = wall(middle - (int64_t)draw(&seed, 3) * HOUR_S);
    expression_draw(&world->expression, &seed, &near);
    check_parse(world, arena);
    check_bent(world, &seed, arena);
    world->from_s = middle - (int64_t)draw(&seed, WINDOW_MINUTES) * 60;
    world->end_s = world->from_s + WINDOW_MINUTES * 60;
    ask_oracle(world);
    check_chain(world);
    check_from_anywhere(world, &seed);
}

static void run_parse(uint64_t seed, struct world *world, struct arena *arena)
{
    struct tm near = {.tm_mday = 1};
    world->zone_name = "UTC";
    require(status_is_ok(zone_open(ZONES, STR("UTC"), arena, &world->zone)), world, "UTC", 0);
    expression_draw(&world->expression, &seed, &near);
    check_parse(world, arena);
    for (int i = 0; i < 10; i++) {
        check_bent(world, &seed, arena);
    }
}

static int run_seeds(uint64_t first, uint64_t count)
{
    struct world world = {.ticks_ms = xcalloc(WINDOW_MINUTES, sizeof(uint64_t))};
    struct arena arena;
    size_t ticks = 0;
    arena_init(&arena, 0);
    for (seed_of_run = first; seed_of_run < first + count; seed_of_run++) {
        run_world(seed_of_run, &world, &arena);
        ticks += world.tick_count;
        arena_reset(&arena);
    }
    for (seed_of_run = first; seed_of_run < first + PARSE_SEEDS; seed_of_run++) {
        run_parse(seed_of_run, &world, &arena);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    free(world.ticks_ms);
    printf("%llu seeds passed, %zu ticks\n", (unsigned long long)count, ticks);
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
