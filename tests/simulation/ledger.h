/*
 * ledger: an account of one run, kept from its committed events alone, by other hands.
 *
 * It shares no code with the engine: what the engine knows by its state, the ledger knows by
 * adding up facts. Each fact is checked against the laws; a broken one is named.
 *
 * Invariant: a law that no mutant has broken is not known to be checked; see mutants/.
 */
#ifndef TESTS_SIMULATION_LEDGER_H
#define TESTS_SIMULATION_LEDGER_H

#include "service/engine/engine.h"

enum {
    LEDGER_EFFECTS_MAX = 512,
};

struct ledger_effect {
    enum effect_kind kind;
    bool is_open;
    bool is_leased;
    bool at_most_once;
    uint32_t attempt; /* Model: ordered last. Task: lease granted last. */
    uint32_t failures;
    uint32_t leases_lost;
    uint32_t steps;
    uint64_t host;
    uint64_t retry_at_ms; /* Model: waits until then; 0: the call is out. */
    uint64_t deadline_ms;
};

struct ledger {
    bool is_started;
    enum event_kind ended; /* EVENT_NONE: it has not. */
    enum run_kind kind;
    uint64_t deadline_ms;
    uint64_t tokens_max;
    uint64_t tokens;
    uint32_t steps_max;
    uint32_t replies;
    uint32_t steps;
    uint32_t events;
    uint32_t effect_count; /* Ids given out: 1 to effect_count. */
    uint32_t open_count;
    bool gave_up_model;
    enum reply_stop stop; /* Of the last reply. */
    struct ledger_effect effects[LEDGER_EFFECTS_MAX + 1]; /* By id. */
};

void ledger_init(struct ledger *ledger);
/* NULL, or the law that the event breaks. */
const char *ledger_add(struct ledger *ledger, const struct event *event);
/* After the last event of a transition: what must be true between transitions. */
const char *ledger_settle(struct ledger *ledger);
/* Whether the engine's state says what the ledger says. */
const char *ledger_compare(const struct ledger *ledger, const struct run *run);
/* What the engine must answer; VERDICT_REFUSED stands for any refusal that has no own law. */
enum verdict ledger_verdict(const struct ledger *ledger, const struct command *command);
/* The earliest time something is due; 0: nothing is. */
uint64_t ledger_next_deadline(const struct ledger *ledger);
const struct ledger_effect *ledger_open(const struct ledger *ledger, uint32_t id); /* Or NULL. */

#endif
