/*
 * Goal:   no file in a folder of zones can make the reader crash, or make a zone that contradicts
 *         itself.
 * Method: the input is the file. What is read must have spans that follow each other, each instant
 *         among those of what the wall shows, and ticks that grow.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/schedule/cron.h"
#include "service/schedule/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SPANS_MAX = 200,
    CHAIN = 8,
};

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

/* Of more instants than two the first two are told; then this one may be missing. */
static void check_instants(const struct zone *zone, int64_t utc_s)
{
    int64_t local_s = utc_s + zone_offset_at(zone, utc_s);
    int64_t instants[ZONE_INSTANTS_MAX];
    size_t count = zone_instants(zone, local_s, instants);
    bool found = count == ZONE_INSTANTS_MAX && instants[1] < utc_s;
    for (size_t i = 0; i < count; i++) {
        require(instants[i] + zone_offset_at(zone, instants[i]) == local_s, "the wall shows it");
        found = found || instants[i] == utc_s;
    }
    require(found, "an instant is one of its own");
    require(count < 2 || instants[0] < instants[1], "instants are in order");
}

static void check_spans(const struct zone *zone)
{
    int64_t at = -ZONE_TIME_S_MAX / 4;
    for (int i = 0; i < SPANS_MAX; i++) {
        struct zone_span span = zone_span_at(zone, at);
        require(span.start_s <= at && at < span.end_s, "a span has what it was asked for");
        require(i == 0 || span.start_s == at, "spans have no holes");
        check_instants(zone, at);
        if (span.end_s > ZONE_TIME_S_MAX / 4) {
            return;
        }
        require(zone_span_at(zone, span.end_s - 1).offset_s == span.offset_s, "one offset each");
        check_instants(zone, span.end_s - 1);
        at = span.end_s;
    }
}

static void check_ticks(const struct zone *zone, const char *text, struct arena *arena)
{
    struct cron cron;
    uint64_t at = 0;
    require(status_is_ok(cron_parse(str_of(text), arena, &cron)), "our own expressions are read");
    for (int i = 0; i < CHAIN; i++) {
        uint64_t next = cron_next_ms(&cron, zone, at);
        require(next == 0 || next > at, "a tick is after");
        if (next == 0) {
            return;
        }
        require(cron_next_ms(&cron, zone, next - 1) == next, "none is between");
        at = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct zone *zone;
    arena_init(&arena, 0);
    status outcome = zone_parse(str_make(data, size), &arena, &zone);
    if (status_is_ok(outcome)) {
        check_spans(zone);
        check_ticks(zone, "30 2 * * *", &arena);
        check_ticks(zone, "*/20 1-3 * * *", &arena);
        check_ticks(zone, "0 * 29 2 *", &arena);
    } else {
        require(outcome.why != NULL, "a refusal has a sentence");
    }
    arena_fini(&arena);
    return 0;
}
