/*
 * Goal:   no text can make the reader of expressions or the search for ticks crash or run for long.
 * Method: one byte picks a zone, eight an instant; the rest is the expression. What is read must
 *         give ticks that grow, with none between an instant and its next tick. What is refused
 *         must have a sentence in printable characters.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/schedule/cron.h"
#include "service/schedule/zone.h"
#include "tests/unit/schedule/zone_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    HEAD_BYTES = 9,
    CHAIN = 8,
};

static const char *const rules[] = {
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "IST-1GMT0,M10.5.0,M3.5.0/1",
    "AAA3BBB5,100/3,100/1:30",
};

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static const struct zone *zone_of(unsigned number, struct arena *arena)
{
    struct buf bytes = {0};
    struct zone *zone = NULL;
    zone_file_rule(&bytes, rules[number % COUNT_OF(rules)]);
    require(status_is_ok(zone_parse(buf_str(&bytes), arena, &zone)), "our own zones are read");
    buf_fini(&bytes);
    return zone;
}

static void check_ticks(const struct cron *cron, const struct zone *zone, uint64_t at)
{
    for (int i = 0; i < CHAIN; i++) {
        uint64_t next = cron_next_ms(cron, zone, at);
        if (next == 0) {
            return;
        }
        require(next > at, "a tick is after");
        require(cron_next_ms(cron, zone, next - 1) == next, "none is between");
        require(cron_next_ms(cron, zone, at + (next - at) / 2) == next || next - at == 1,
                "none is half-way");
        at = next;
    }
}

static void check_refusal(status outcome)
{
    require(outcome.code == CODE_INVALID_ARGUMENT, "a refusal says whose fault it is");
    for (const char *c = outcome.why; *c != '\0'; c++) {
        require(*c >= ' ' && *c <= '~', "a sentence is plain text");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct cron cron;
    uint64_t after_ms = 0;
    if (size < HEAD_BYTES) {
        return 0;
    }
    for (size_t i = 1; i < HEAD_BYTES; i++) {
        after_ms = after_ms << 8 | data[i];
    }
    arena_init(&arena, 0);
    status outcome = cron_parse(str_make(data + HEAD_BYTES, size - HEAD_BYTES), &arena, &cron);
    if (status_is_ok(outcome)) {
        check_ticks(&cron, zone_of(data[0], &arena), after_ms);
    } else {
        check_refusal(outcome);
    }
    arena_fini(&arena);
    return 0;
}
