/*
 * What the ledger keeps of replies that are turned down, and of runs that fail; of guardrails, that
 * they judge each reply in order, and that nothing follows from one before all let it pass.
 */
#include "tests/simulation/ledger.h"

const char *ledger_ask_judgement(const struct ledger *ledger, const struct event *event)
{
    LAW("guardrails-judge-a-reply", ledger->is_held && ledger->open_count == 0);
    LAW("guardrails-are-asked-in-order",
        event->model_requested.guardrail == ledger->passed[CALLBACK_REPLY] + 1);
    LAW("guardrails-are-the-runs-own",
        event->model_requested.guardrail <= ledger->callbacks[CALLBACK_REPLY]);
    LAW("nothing-follows-a-guardrail-that-objects", ledger->objector == 0);
    return NULL;
}

static const char *add_judged(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = &ledger->effects[event->effect];
    LAW("settled-once", event->effect <= ledger->effect_count && effect->is_open &&
                            effect->kind == EFFECT_MODEL && effect->phase == CALLBACK_REPLY);
    LAW("reply-of-this-attempt", event->attempt == effect->attempt && effect->retry_at_ms == 0);
    effect->is_open = false;
    ledger->open_count--;
    ledger->tokens += event->reply_judged.usage.input + event->reply_judged.usage.output;
    if (event->reply_judged.passed) {
        ledger->passed[CALLBACK_REPLY]++;
    } else {
        ledger->objector = effect->index + 1;
    }
    return NULL;
}

void ledger_end_guardrail(struct ledger *ledger, const struct ledger_effect *callback,
                          const struct outcome *outcome)
{
    if (!outcome->failed) {
        ledger->passed[CALLBACK_REPLY]++;
        ledger->amends = (uint32_t)(callback - ledger->effects);
    } else if (str_is(outcome->error_type, ENGINE_REPLY_REJECTED)) {
        ledger->objector = callback->index + 1;
    } else {
        ledger->has_callback_failed = true;
        ledger->has_guardrail_failed = true;
    }
}

static const char *amend_reply(struct ledger *ledger, const struct event *event)
{
    LAW("only-a-callback-amends", event->effect != 0 && ledger->amends == event->effect);
    LAW("only-guardrails-amend-replies",
        ledger->is_held && ledger->effects[event->effect].phase == CALLBACK_REPLY);
    LAW("an-amendment-says-something", event->reply_amended.reply.len > 0);
    ledger->stop = event->reply_amended.stop;
    ledger->amends = 0;
    return NULL;
}

static const char *turn_down(struct ledger *ledger, const struct event *event)
{
    LAW("only-who-objects-turns-down", ledger->is_held && ledger->objector != 0);
    LAW("guardrails-are-asked-in-order", ledger->objector == ledger->passed[CALLBACK_REPLY] + 1);
    LAW("a-rejection-says-why", event->reply_rejected.feedback.len > 0);
    LAW("a-rejection-says-by-whom", event->reply_rejected.guardrail.len > 0);
    ledger->is_held = false;
    ledger->objector = 0;
    ledger->is_asked_again = true;
    ledger->turned_down++;
    ledger->turned_down_in_all++;
    ledger->replies--;
    ledger->steps--;
    return NULL;
}

static const char *let_pass(struct ledger *ledger)
{
    LAW("all-guardrails-let-it-pass",
        ledger->is_held && ledger->passed[CALLBACK_REPLY] == ledger->callbacks[CALLBACK_REPLY]);
    LAW("nothing-follows-a-guardrail-that-objects", ledger->objector == 0);
    ledger->is_held = false;
    ledger->turned_down = 0;
    return NULL;
}

const char *ledger_add_guardrail(struct ledger *ledger, const struct event *event)
{
    if (event->kind == EVENT_REPLY_JUDGED) {
        return add_judged(ledger, event);
    }
    return event->kind == EVENT_REPLY_AMENDED ? amend_reply(ledger, event) : let_pass(ledger);
}

static const char *fail_by_guardrail(const struct ledger *ledger)
{
    bool is_over = ledger->replies >= ledger->turns_max ||
                   (ledger->tokens_max != 0 && ledger->tokens >= ledger->tokens_max);
    LAW("failed-by-a-guardrail",
        ledger->has_guardrail_failed ||
            (ledger->is_asked_again &&
             (is_over || ledger->turned_down == ledger->guardrail_retries + 1)));
    return NULL;
}

/* Of the reply at hand alone, and only of one that was to be the answer. */
const char *ledger_reject_reply(struct ledger *ledger, const struct event *event)
{
    if (event->reply_rejected.by == REJECTED_BY_GUARDRAIL) {
        return turn_down(ledger, event);
    }
    bool is_answer = ledger->stop == REPLY_STOP_END || ledger->stop == REPLY_STOP_LENGTH;
    LAW("a-reply-is-judged-before-it-acts", !ledger->is_held);
    LAW("only-answers-are-rejected", ledger->replies > 0 && is_answer && ledger->open_count == 0);
    LAW("an-answer-is-rejected-once", !ledger->is_rejected);
    LAW("output-tries-max", ledger->rejections < ledger->output_tries);
    LAW("a-rejection-says-why", event->reply_rejected.feedback.len > 0);
    ledger->is_rejected = true;
    ledger->rejections++;
    return NULL;
}

const char *ledger_fail(const struct ledger *ledger, const struct event *event)
{
    if (str_is(event->run_failed.reason, "DEADLINE_EXCEEDED")) {
        LAW("failed-at-its-deadline",
            ledger->deadline_ms != 0 && event->time_ms >= ledger->deadline_ms);
        return NULL;
    }
    if (str_is(event->run_failed.reason, "HISTORY_TOO_LARGE")) {
        LAW("failed-over-its-history", ledger->is_full);
        return NULL;
    }
    if (str_is(event->run_failed.reason, "STORE_DAMAGED") ||
        str_is(event->run_failed.reason, "CHILDREN_OPEN")) {
        LAW("failed-by-what-it-is-a-copy-of", ledger->is_copying);
        return NULL;
    }
    if (str_is(event->run_failed.reason, "OUTPUT_INVALID")) {
        bool out_of_steps = ledger->replies >= ledger->turns_max;
        bool out_of_tokens = ledger->tokens_max != 0 && ledger->tokens >= ledger->tokens_max;
        LAW("failed-by-its-answer", ledger->is_rejected && ledger->open_count == 0);
        LAW("answers-are-asked-for-again",
            ledger->rejections == ledger->output_tries || out_of_steps || out_of_tokens);
        return NULL;
    }
    if (str_is(event->run_failed.reason, "GUARDRAIL_FAILED")) {
        return fail_by_guardrail(ledger);
    }
    if (str_is(event->run_failed.reason, "HOOK_FAILED")) {
        LAW("failed-by-a-callback", ledger->has_callback_failed);
        return NULL;
    }
    LAW("agents-fail-by-their-model", ledger->kind != RUN_KIND_AGENT || ledger->gave_up_model);
    return NULL;
}
