/*
 * What the ledger keeps of what is said to an agent at work: accepted, then taken or returned, in
 * order.
 */
#include "tests/simulation/ledger.h"

static const char *add_input_accepted(struct ledger *ledger, const struct event *event)
{
    LAW("only-agents-are-steered", ledger->kind == RUN_KIND_AGENT);
    LAW("inputs-are-numbered", event->input_accepted.number == ledger->inputs_accepted + 1);
    LAW("inputs-max", ledger->inputs_accepted - ledger->inputs_taken < 32);
    ledger->inputs_accepted++;
    return NULL;
}

/* Between turns alone: never between a call and its result, or the parts of a turn. */
static const char *add_input_taken(struct ledger *ledger, const struct event *event)
{
    LAW("inputs-are-taken-in-order", event->input_taken.number == ledger->inputs_taken + 1);
    LAW("what-is-taken-was-accepted", event->input_taken.number <= ledger->inputs_accepted);
    LAW("inputs-stand-between-turns",
        ledger->open_count == 0 && (ledger->replies == 0 || ledger->stop != REPLY_STOP_PAUSE));
    LAW("an-input-is-in-the-next-turn", event->input_taken.turn == ledger->replies + 1);
    ledger->inputs_taken++;
    ledger->is_steered = true;
    return NULL;
}

static const char *add_input_returned(struct ledger *ledger, const struct event *event)
{
    uint32_t next = ledger->inputs_taken + ledger->inputs_returned + 1;
    LAW("inputs-are-returned-in-order", event->input_returned.number == next);
    LAW("what-is-taken-was-accepted", next <= ledger->inputs_accepted);
    ledger->inputs_returned++;
    return NULL;
}

const char *ledger_add_input(struct ledger *ledger, const struct event *event)
{
    if (event->kind == EVENT_INPUT_ACCEPTED) {
        return add_input_accepted(ledger, event);
    }
    return event->kind == EVENT_INPUT_TAKEN ? add_input_taken(ledger, event)
                                            : add_input_returned(ledger, event);
}
