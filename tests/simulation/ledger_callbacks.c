/*
 * What the ledger keeps of callbacks: which have passed where, what they changed, how they failed.
 */
#include "tests/simulation/ledger.h"

static bool is_about_tool(enum callback_phase phase)
{
    return phase == CALLBACK_TOOL_START || phase == CALLBACK_TOOL_END;
}

/* How many of a phase have passed: for a tool call, in the turn at hand, or in the run. */
static uint32_t *passed_of(struct ledger *ledger, enum callback_phase phase, uint32_t about)
{
    if (!is_about_tool(phase)) {
        return &ledger->passed[phase];
    }
    struct ledger_effect *call = &ledger->effects[about];
    return phase == CALLBACK_TOOL_START ? &call->starts_passed : &call->ends_passed;
}

static bool all_passed(const struct ledger *ledger, enum callback_phase phase)
{
    return ledger->passed[phase] == ledger->callbacks[phase];
}

/* Whether the calls of the turn have been through all their callbacks. */
static bool calls_are_over(const struct ledger *ledger)
{
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = &ledger->effects[id];
        if (effect->kind == EFFECT_TOOL && effect->was_run &&
            (effect->is_open || effect->ends_passed != ledger->callbacks[CALLBACK_TOOL_END])) {
            return false;
        }
    }
    return true;
}

static const char *judge_place(const struct ledger *ledger, enum callback_phase phase,
                               uint32_t about)
{
    bool is_paused = ledger->replies > 0 && ledger->stop == REPLY_STOP_PAUSE;
    const struct ledger_effect *call = &ledger->effects[about];
    switch (phase) {
    case CALLBACK_RUN_START:
        LAW("on-start-comes-first", ledger->replies == 0);
        break;
    case CALLBACK_TURN_START:
        LAW("on-start-comes-first", all_passed(ledger, CALLBACK_RUN_START));
        LAW("a-turn-ends-before-the-next",
            ledger->replies == 0 || all_passed(ledger, CALLBACK_TURN_END));
        LAW("a-paused-turn-is-no-new-one", !is_paused);
        break;
    case CALLBACK_TURN_END:
        LAW("a-turn-ends-after-its-reply", ledger->replies > 0 && !is_paused);
        LAW("calls-end-before-their-turn", calls_are_over(ledger));
        break;
    case CALLBACK_RUN_END:
        LAW("a-turn-ends-before-its-run",
            ledger->replies == 0 || is_paused || all_passed(ledger, CALLBACK_TURN_END));
        break;
    case CALLBACK_TOOL_START:
        LAW("a-call-waits-for-its-callbacks", call->is_open && call->is_parked);
        break;
    case CALLBACK_TOOL_END:
        LAW("a-call-ends-before-its-last-callbacks", !call->is_open && call->was_run);
        break;
    case CALLBACK_REPLY:
        LAW("guardrails-judge-a-reply", ledger->is_held && ledger->objector == 0);
        return NULL;
    case CALLBACK_NONE:
    case CALLBACK_PHASE_COUNT:
        break;
    }
    return NULL;
}

const char *ledger_ask_callback(struct ledger *ledger, const struct event *event)
{
    enum callback_phase phase = event->task_requested.phase;
    uint32_t about = event->task_requested.about;
    LAW("only-agents-have-callbacks", ledger->kind == RUN_KIND_AGENT);
    LAW("a-callback-has-a-phase", phase > CALLBACK_NONE && phase < CALLBACK_PHASE_COUNT);
    LAW("a-callback-is-about-its-call",
        is_about_tool(phase) == (about != 0) && about < event->effect &&
            (about == 0 || ledger->effects[about].kind == EFFECT_TOOL));
    LAW("callbacks-are-the-runs-own", event->task_requested.index < ledger->callbacks[phase]);
    LAW("callbacks-are-asked-in-order",
        event->task_requested.index == *passed_of(ledger, phase, about));
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(ledger, id);
        LAW("one-callback-at-a-time", effect == NULL || ledger_is_wait(effect) ||
                                          (about != 0 && effect->kind != EFFECT_MODEL &&
                                           (effect->kind != EFFECT_CALLBACK ||
                                            (effect->owner != about && effect->owner != 0))));
    }
    LAW("nothing-follows-a-callback-that-failed",
        !ledger->has_callback_failed || (ledger->is_turn_refused && phase == CALLBACK_RUN_END));
    LAW("a-reply-is-judged-before-it-acts", !ledger->is_held || phase == CALLBACK_REPLY);
    return judge_place(ledger, phase, about);
}

void ledger_end_callback(struct ledger *ledger, const struct ledger_effect *callback,
                         const struct outcome *outcome)
{
    ledger->amends = 0;
    if (callback->phase == CALLBACK_REPLY) {
        ledger_end_guardrail(ledger, callback, outcome);
        return;
    }
    if (outcome->failed) {
        ledger->has_callback_failed = true;
        ledger->is_turn_refused = callback->phase == CALLBACK_TURN_START;
        return;
    }
    (*passed_of(ledger, callback->phase, callback->owner))++;
    ledger->amends = (uint32_t)(callback - ledger->effects);
}

const char *ledger_amend(struct ledger *ledger, const struct event *event)
{
    static const enum event_kind kinds[CALLBACK_PHASE_COUNT] = {
        [CALLBACK_RUN_START] = EVENT_INPUT_AMENDED,
        [CALLBACK_RUN_END] = EVENT_RESULT_AMENDED,
        [CALLBACK_TOOL_START] = EVENT_CALL_AMENDED,
        [CALLBACK_TOOL_END] = EVENT_RESULT_AMENDED,
    };
    LAW("only-a-callback-amends", event->effect != 0 && ledger->amends == event->effect);
    const struct ledger_effect *callback = &ledger->effects[event->effect];
    LAW("a-callback-amends-what-it-may", kinds[callback->phase] == event->kind);
    LAW("a-callback-amends-its-call", event->amended.about == callback->owner);
    LAW("an-amendment-says-something", event->amended.value.len > 0);
    uint64_t hash = str_hash(event->amended.value) | 1;
    if (event->kind == EVENT_CALL_AMENDED) {
        ledger->effects[callback->owner].arguments = hash;
    } else if (callback->owner != 0) {
        ledger->effects[callback->owner].result = hash;
    }
    ledger->amends = 0; /* Once. */
    return NULL;
}

const char *ledger_begin_turn(struct ledger *ledger)
{
    bool is_paused = ledger->replies > 0 && ledger->stop == REPLY_STOP_PAUSE;
    LAW("on-start-comes-first", all_passed(ledger, CALLBACK_RUN_START));
    LAW("a-turn-waits-for-its-callbacks", is_paused || all_passed(ledger, CALLBACK_TURN_START));
    LAW("a-turn-ends-before-the-next",
        ledger->replies == 0 || is_paused || all_passed(ledger, CALLBACK_TURN_END));
    LAW("calls-end-before-their-turn", calls_are_over(ledger));
    LAW("nothing-follows-a-callback-that-failed", !ledger->has_callback_failed);
    ledger->passed[CALLBACK_TURN_START] = 0;
    ledger->passed[CALLBACK_TURN_END] = 0;
    return NULL;
}

const char *ledger_complete(const struct ledger *ledger)
{
    bool is_paused = ledger->replies > 0 && ledger->stop == REPLY_STOP_PAUSE;
    LAW("a-run-waits-for-its-last-callbacks", all_passed(ledger, CALLBACK_RUN_END));
    LAW("a-turn-ends-before-its-run",
        ledger->replies == 0 || is_paused || all_passed(ledger, CALLBACK_TURN_END));
    LAW("calls-end-before-their-turn", calls_are_over(ledger));
    LAW("a-callback-that-fails-fails-the-run",
        !ledger->has_callback_failed || ledger->is_turn_refused);
    return NULL;
}

const char *ledger_settle_callbacks(struct ledger *ledger, bool is_live)
{
    LAW("a-callback-that-fails-fails-the-run",
        !is_live || !ledger->has_callback_failed || ledger->is_turn_refused);
    ledger->amends = 0;
    return NULL;
}
