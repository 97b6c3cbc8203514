#include "tests/simulation/ledger.h"

/* A law as an expression that must be true; its name goes to whoever asked. */
#define LAW(name, holds)                                                                           \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            return name;                                                                           \
        }                                                                                          \
    } while (0)

void ledger_init(struct ledger *ledger)
{
    memset(ledger, 0, sizeof(*ledger));
}

const struct ledger_effect *ledger_open(const struct ledger *ledger, uint32_t id)
{
    bool was_given = id > 0 && id <= ledger->effect_count;
    return was_given && ledger->effects[id].is_open ? &ledger->effects[id] : NULL;
}

static struct ledger_effect *open_effect(struct ledger *ledger, uint32_t id)
{
    bool is_open = ledger_open(ledger, id) != NULL;
    return is_open ? &ledger->effects[id] : NULL;
}

static void close_effect(struct ledger *ledger, struct ledger_effect *effect)
{
    assert(effect->is_open);
    effect->is_open = false;
    effect->is_leased = false;
    ledger->open_count--;
}

static const char *order_effect(struct ledger *ledger, uint32_t id, enum effect_kind kind)
{
    LAW("effect-ids-rise-by-one", id == ledger->effect_count + 1);
    LAW("ledger-too-small", id <= LEDGER_EFFECTS_MAX);
    ledger->effect_count = id;
    ledger->effects[id] = (struct ledger_effect){.kind = kind, .is_open = true};
    ledger->open_count++;
    return NULL;
}

static const char *add_started(struct ledger *ledger, const struct event *event)
{
    const struct run_spec *spec = &event->run_started.spec;
    LAW("started-once", !ledger->is_started);
    ledger->is_started = true;
    ledger->kind = spec->kind;
    ledger->deadline_ms = spec->deadline_ms;
    ledger->tokens_max = spec->tokens_max;
    ledger->steps_max = spec->steps_max;
    return NULL;
}

/* A new call only when no limit forbids it; a repeated one only as the next attempt. */
static const char *add_model_requested(struct ledger *ledger, const struct event *event)
{
    LAW("only-agents-think", ledger->kind == RUN_KIND_AGENT);
    if (event->effect > ledger->effect_count) {
        LAW("one-turn-at-a-time", ledger->open_count == 0);
        LAW("steps-max", ledger->replies < ledger->steps_max);
        LAW("tokens-max", ledger->tokens_max == 0 || ledger->tokens < ledger->tokens_max);
        LAW("first-attempt-is-1", event->attempt == 1);
        const char *law = order_effect(ledger, event->effect, EFFECT_MODEL);
        LAW(law, law == NULL);
        ledger->effects[event->effect].attempt = 1;
        return NULL;
    }
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("ordered-again-after-settled", effect != NULL && effect->kind == EFFECT_MODEL);
    LAW("attempts-rise-by-one", event->attempt == effect->attempt + 1);
    LAW("retry-not-before-its-time", event->time_ms >= effect->retry_at_ms);
    effect->attempt = event->attempt;
    effect->retry_at_ms = 0;
    return NULL;
}

static const char *add_model_replied(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("settled-once", effect != NULL && effect->kind == EFFECT_MODEL);
    LAW("reply-of-this-attempt", event->attempt == effect->attempt && effect->retry_at_ms == 0);
    close_effect(ledger, effect);
    ledger->replies++;
    ledger->steps++;
    ledger->stop = event->model_replied.stop;
    ledger->tokens += event->model_replied.usage.input + event->model_replied.usage.output;
    return NULL;
}

static const char *add_model_failed(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    uint64_t retry_at_ms = event->model_failed.retry_at_ms;
    LAW("settled-once", effect != NULL && effect->kind == EFFECT_MODEL);
    LAW("failure-of-this-attempt", event->attempt == effect->attempt && effect->retry_at_ms == 0);
    effect->failures++;
    LAW("model-attempts-max", effect->failures <= 5);
    LAW("no-retry-after-the-last", effect->failures < 5 || retry_at_ms == 0);
    if (retry_at_ms == 0) {
        close_effect(ledger, effect);
        ledger->gave_up_model = true;
        return NULL;
    }
    LAW("retry-waits-a-while", retry_at_ms >= event->time_ms + 250);
    effect->retry_at_ms = retry_at_ms;
    return NULL;
}

static const char *add_task_requested(struct ledger *ledger, const struct event *event)
{
    bool is_body = event->task_requested.kind == EFFECT_BODY;
    LAW("task-fits-the-run", is_body == (ledger->kind != RUN_KIND_AGENT));
    LAW("one-body", !is_body || ledger->effect_count == 0);
    LAW("tools-follow-a-reply", is_body || ledger->stop == REPLY_STOP_TOOLS);
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        LAW("tools-follow-a-reply",
            !ledger->effects[id].is_open || ledger->effects[id].kind != EFFECT_MODEL);
    }
    const char *law = order_effect(ledger, event->effect, event->task_requested.kind);
    LAW(law, law == NULL);
    ledger->effects[event->effect].at_most_once = event->task_requested.at_most_once;
    ledger->effects[event->effect].deadline_ms = event->task_requested.deadline_ms;
    return NULL;
}

static const char *add_task_settled(struct ledger *ledger, const struct event *event)
{
    const struct outcome *outcome = &event->task_settled.outcome;
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("settled-once", effect != NULL && effect->kind != EFFECT_MODEL);
    LAW("settled-under-its-epoch", event->attempt == effect->attempt);
    bool by_host = effect->is_leased || effect->attempt == 0;
    bool timed_out = outcome->failed && str_is(outcome->error_type, "TIMEOUT") &&
                     effect->deadline_ms != 0 && event->time_ms >= effect->deadline_ms;
    bool given_up = effect->leases_lost >= 5 || (effect->at_most_once && effect->leases_lost > 0);
    LAW("settled-by-its-holder", by_host || timed_out || given_up);
    LAW("given-up-is-a-failure", !given_up || effect->is_leased || outcome->failed);
    LAW("unknown-outcome-says-so", !(effect->at_most_once && effect->leases_lost > 0) ||
                                       str_is(outcome->error_type, "OUTCOME_UNKNOWN"));
    close_effect(ledger, effect);
    return NULL;
}

static const char *add_step_settled(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("step-of-an-open-task", effect != NULL && effect->kind != EFFECT_MODEL);
    LAW("step-under-a-valid-epoch", effect->is_leased && event->attempt == effect->attempt);
    LAW("steps-without-gap", event->step_settled.number == effect->steps + 1);
    effect->steps++;
    ledger->steps += effect->kind == EFFECT_BODY;
    return NULL;
}

static const char *add_lease_granted(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("lease-of-an-open-task", effect != NULL && effect->kind != EFFECT_MODEL);
    LAW("one-holder", !effect->is_leased);
    LAW("epochs-rise-by-one", event->attempt == effect->attempt + 1);
    LAW("at-most-once", !effect->at_most_once || effect->attempt == 0);
    LAW("leases-max", effect->leases_lost < 5);
    effect->is_leased = true;
    effect->attempt = event->attempt;
    effect->host = str_hash(event->lease_granted.host_id) | 1;
    return NULL;
}

static const char *add_lease_lost(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("lost-by-its-holder", effect != NULL && effect->is_leased);
    LAW("lost-under-its-epoch", event->attempt == effect->attempt);
    effect->is_leased = false;
    effect->host = 0;
    effect->leases_lost++;
    return NULL;
}

/* An agent completes for the reason that its own account gives. */
static const char *add_completed(struct ledger *ledger, const struct event *event)
{
    str reason = event->run_completed.stop_reason;
    if (ledger->kind != RUN_KIND_AGENT) {
        LAW("workflows-end", str_is(reason, "end"));
        return NULL;
    }
    if (ledger->stop == REPLY_STOP_TOOLS) {
        bool out_of_steps = ledger->replies >= ledger->steps_max;
        bool out_of_tokens = ledger->tokens_max != 0 && ledger->tokens >= ledger->tokens_max;
        LAW("stopped-by-a-limit", out_of_steps || out_of_tokens);
        LAW("stop-reason-is-true", str_is(reason, out_of_steps ? "max_steps" : "max_tokens"));
        return NULL;
    }
    static const char *const reasons[] = {
        [REPLY_STOP_END] = "end",         [REPLY_STOP_TOOLS] = "",
        [REPLY_STOP_LENGTH] = "length",   [REPLY_STOP_CONTENT_FILTER] = "content_filter",
        [REPLY_STOP_REFUSAL] = "refusal",
    };
    LAW("stop-reason-is-true", str_is(reason, reasons[ledger->stop]));
    return NULL;
}

static const char *add_failed(struct ledger *ledger, const struct event *event)
{
    if (str_is(event->run_failed.reason, "DEADLINE_EXCEEDED")) {
        LAW("failed-at-its-deadline",
            ledger->deadline_ms != 0 && event->time_ms >= ledger->deadline_ms);
        return NULL;
    }
    LAW("agents-fail-by-their-model", ledger->kind != RUN_KIND_AGENT || ledger->gave_up_model);
    return NULL;
}

static const char *add_ended(struct ledger *ledger, const struct event *event)
{
    const char *law = NULL;
    if (event->kind == EVENT_RUN_COMPLETED) {
        LAW("completed-owing-nothing", ledger->open_count == 0);
        law = add_completed(ledger, event);
    } else if (event->kind == EVENT_RUN_FAILED) {
        law = add_failed(ledger, event);
    }
    ledger->ended = event->kind;
    return law;
}

const char *ledger_add(struct ledger *ledger, const struct event *event)
{
    LAW("terminal-means-terminal", ledger->ended == EVENT_NONE);
    LAW("started-first", ledger->is_started == (event->kind != EVENT_RUN_STARTED));
    ledger->events++;
    switch (event->kind) {
    case EVENT_RUN_STARTED:
        return add_started(ledger, event);
    case EVENT_RUN_COMPLETED:
    case EVENT_RUN_FAILED:
    case EVENT_RUN_CANCELLED:
        return add_ended(ledger, event);
    case EVENT_MODEL_REQUESTED:
        return add_model_requested(ledger, event);
    case EVENT_MODEL_REPLIED:
        return add_model_replied(ledger, event);
    case EVENT_MODEL_FAILED:
        return add_model_failed(ledger, event);
    case EVENT_TASK_REQUESTED:
        return add_task_requested(ledger, event);
    case EVENT_TASK_SETTLED:
        return add_task_settled(ledger, event);
    case EVENT_STEP_SETTLED:
        return add_step_settled(ledger, event);
    case EVENT_LEASE_GRANTED:
        return add_lease_granted(ledger, event);
    case EVENT_LEASE_LOST:
        return add_lease_lost(ledger, event);
    case EVENT_NONE:
    case EVENT_COUNT:
        break;
    }
    return "unknown-event";
}

const char *ledger_settle(struct ledger *ledger)
{
    bool is_live = ledger->is_started && ledger->ended == EVENT_NONE;
    LAW("live-runs-owe-something", !is_live || ledger->open_count > 0);
    for (uint32_t id = 1; is_live && id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = &ledger->effects[id];
        bool is_lost =
            effect->is_open && !effect->is_leased &&
            (effect->leases_lost >= 5 || (effect->at_most_once && effect->leases_lost > 0));
        LAW("given-up-tasks-are-settled", !is_lost);
    }
    return NULL;
}

static const char *compare_effect(const struct ledger_effect *mine, const struct effect *theirs)
{
    bool is_leased = theirs->state == EFFECT_LEASED;
    bool waits = theirs->state == EFFECT_BACKOFF;
    LAW("state-kind", theirs->kind == mine->kind);
    LAW("state-attempt", theirs->attempt == mine->attempt);
    LAW("state-lease", is_leased == mine->is_leased && theirs->host == mine->host);
    LAW("state-steps", theirs->steps == mine->steps);
    LAW("state-retry", waits == (mine->retry_at_ms != 0) && theirs->due_ms == mine->retry_at_ms);
    LAW("state-deadline", theirs->deadline_ms == mine->deadline_ms);
    LAW("state-at-most-once", theirs->at_most_once == mine->at_most_once);
    LAW("state-failures", theirs->failures == mine->failures + mine->leases_lost);
    return NULL;
}

static const char *compare_effects(const struct ledger *ledger, const struct run *run)
{
    uint32_t open_count = 0;
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *mine = ledger_open(ledger, id);
        const struct effect *theirs = engine_effect(run, id);
        bool is_owed = mine != NULL && ledger->ended == EVENT_NONE;
        LAW("nothing-owed-is-forgotten", is_owed == (theirs != NULL));
        if (is_owed) {
            open_count++;
            const char *law = compare_effect(mine, theirs);
            LAW(law, law == NULL);
        }
    }
    for (uint32_t i = 0; i < run->effect_count; i++) {
        open_count -= run->effects[i].state != EFFECT_CLOSED;
    }
    LAW("nothing-owed-is-invented", open_count == 0);
    return NULL;
}

const char *ledger_compare(const struct ledger *ledger, const struct run *run)
{
    static const enum run_state ends[EVENT_COUNT] = {
        [EVENT_RUN_COMPLETED] = RUN_COMPLETED,
        [EVENT_RUN_FAILED] = RUN_FAILED,
        [EVENT_RUN_CANCELLED] = RUN_CANCELLED,
    };
    bool has_ended = ledger->ended != EVENT_NONE;
    LAW("state-seq", run->seq == ledger->events);
    LAW("state-ended", engine_is_terminal(run) == has_ended);
    LAW("state-ended", !has_ended || run->state == ends[ledger->ended]);
    LAW("state-steps", run->steps == ledger->steps);
    LAW("state-usage", run->input_tokens + run->output_tokens == ledger->tokens);
    LAW("state-deadlines", engine_next_deadline(run) == ledger_next_deadline(ledger));
    return compare_effects(ledger, run);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    bool is_a = b == 0 || (a != 0 && a < b);
    return is_a ? a : b;
}

uint64_t ledger_next_deadline(const struct ledger *ledger)
{
    if (!ledger->is_started || ledger->ended != EVENT_NONE) {
        return 0;
    }
    uint64_t next = ledger->deadline_ms;
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(ledger, id);
        if (effect != NULL) {
            next = earlier(next, earlier(effect->retry_at_ms, effect->deadline_ms));
        }
    }
    return next;
}

static enum verdict step_verdict(const struct ledger_effect *effect, uint32_t number)
{
    if (!effect->is_leased) {
        return VERDICT_STALE;
    }
    if (number <= effect->steps) {
        return VERDICT_DONE_BEFORE;
    }
    return number == effect->steps + 1 ? VERDICT_OK : VERDICT_GAP;
}

static enum verdict answer_verdict(const struct ledger *ledger, const struct command *command)
{
    const struct ledger_effect *effect = ledger_open(ledger, command->effect);
    if (effect == NULL || effect->attempt != command->attempt) {
        return VERDICT_REFUSED;
    }
    bool is_model = effect->kind == EFFECT_MODEL;
    switch (command->kind) {
    case COMMAND_MODEL_REPLIED:
    case COMMAND_MODEL_FAILED:
    case COMMAND_MODEL_REISSUE:
        return is_model && effect->retry_at_ms == 0 ? VERDICT_OK : VERDICT_REFUSED;
    case COMMAND_LEASE_GRANT:
        return !is_model && !effect->is_leased ? VERDICT_OK : VERDICT_REFUSED;
    case COMMAND_LEASE_LOST:
    case COMMAND_TASK_DONE:
        return !is_model && effect->is_leased ? VERDICT_OK : VERDICT_REFUSED;
    case COMMAND_STEP_DONE:
        return is_model ? VERDICT_REFUSED : step_verdict(effect, command->step.number);
    case COMMAND_START:
    case COMMAND_TIME:
    case COMMAND_CANCEL:
    case COMMAND_COUNT:
        break;
    }
    return VERDICT_REFUSED;
}

enum verdict ledger_verdict(const struct ledger *ledger, const struct command *command)
{
    if (ledger->ended != EVENT_NONE) {
        return VERDICT_TERMINAL;
    }
    if (command->kind == COMMAND_START) {
        return ledger->is_started ? VERDICT_REFUSED : VERDICT_OK;
    }
    if (!ledger->is_started) {
        return VERDICT_REFUSED;
    }
    if (command->kind == COMMAND_CANCEL) {
        return VERDICT_OK;
    }
    if (command->kind == COMMAND_TIME) {
        uint64_t due_ms = ledger_next_deadline(ledger);
        return due_ms != 0 && command->now_ms >= due_ms ? VERDICT_OK : VERDICT_DONE_BEFORE;
    }
    return answer_verdict(ledger, command);
}
