#include "tests/simulation/ledger.h"

#include "service/base/code_version.h"

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

static const char *new_effect(struct ledger *ledger, uint32_t id, enum effect_kind kind)
{
    LAW("effect-ids-rise-by-one", id == ledger->effect_count + 1);
    LAW("ledger-too-small", id <= LEDGER_EFFECTS_MAX);
    ledger->effect_count = id;
    ledger->effects[id] = (struct ledger_effect){.kind = kind, .is_open = true};
    ledger->open_count++;
    return NULL;
}

static int find_kept(const struct ledger *ledger, str key)
{
    for (uint32_t i = 0; i < ledger->kept_count; i++) {
        if (ledger->kept[i].key == str_hash(key)) {
            return (int)i;
        }
    }
    return -1;
}

bool ledger_has_kept(const struct ledger *ledger, str key)
{
    return find_kept(ledger, key) >= 0;
}

/* As answers to suspensions with a schema have to. */
static bool says_yes(str answer)
{
    return memmem(answer.ptr, answer.len, "\"yes\"", 5) != NULL;
}

/* The running time is counted anew. */
static void restart_clock(struct ledger *ledger, uint64_t now_ms)
{
    if (ledger->timeout_ms != 0) {
        ledger->deadline_ms = now_ms + ledger->timeout_ms;
    }
}

/* Whoever waited waits no more, but for children where these are kept; owner 0: all. */
static uint32_t end_some_waits(struct ledger *ledger, uint32_t owner, bool keeps_children)
{
    uint32_t count = 0;
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        struct ledger_effect *effect = &ledger->effects[id];
        bool is_kept = keeps_children && effect->kind == EFFECT_CHILDREN;
        if (effect->is_open && ledger_is_wait(effect) && !is_kept &&
            (owner == 0 || effect->owner == owner)) {
            close_effect(ledger, effect);
            count++;
        }
    }
    return count;
}

static uint32_t end_waits(struct ledger *ledger, uint32_t owner)
{
    return end_some_waits(ledger, owner, false);
}

/* Code that added to a task's history binds the task; the code of a run's body binds the run. */
static void bind_task(struct ledger *ledger, struct ledger_effect *task)
{
    task->mismatches = 0;
    task->leases_in_vain = 0;
    if (task->deployment == 0) {
        return;
    }
    task->pin = task->deployment;
    task->pin_language = task->language;
    if (task->kind == EFFECT_BODY) {
        ledger->deployment = task->deployment;
        ledger->language = task->language;
    }
}

/* Code that was never at work has nothing to clean up. */
static bool has_begun(const struct ledger *ledger)
{
    const struct ledger_effect *body = ledger_open(ledger, 1);
    return body != NULL && body->kind == EFFECT_BODY &&
           (body->is_leased || body->steps > 0 || body->outcomes > 0 ||
            ledger_code_waits(ledger, 1));
}

static const char *add_started(struct ledger *ledger, const struct event *event)
{
    const struct run_spec *spec = &event->run_started.spec;
    LAW("started-once", !ledger->is_started);
    ledger->is_started = true;
    ledger->kind = spec->kind;
    ledger->deadline_ms = spec->deadline_ms;
    ledger->tokens_max = spec->tokens_max;
    ledger->turns_max = spec->turns_max;
    ledger->retries_max = spec->retries_max;
    ledger->output_tries = spec->output_tries;
    memcpy(ledger->callbacks, spec->callback_counts, sizeof(ledger->callbacks));
    ledger->guardrail_retries = spec->guardrail_retries;
    ledger->needs_admission = spec->kind == RUN_KIND_AGENT && spec->options.queue.len > 0;
    ledger->timeout_ms =
        spec->deadline_ms > event->time_ms ? spec->deadline_ms - event->time_ms : 0;
    return NULL;
}

/* A new call only when no limit forbids it; a repeated one only as the next attempt. */
static const char *add_model_call(struct ledger *ledger, const struct event *event)
{
    uint32_t effect = event->effect;
    uint32_t guardrail = event->model_requested.guardrail;
    LAW("one-turn-at-a-time", ledger->open_count == 0);
    if (guardrail > 0) {
        const char *broken = ledger_ask_judgement(ledger, event);
        LAW(broken, broken == NULL);
        broken = new_effect(ledger, effect, EFFECT_MODEL);
        LAW(broken, broken == NULL);
        ledger->effects[effect].phase = CALLBACK_REPLY;
        ledger->effects[effect].index = guardrail - 1;
        return NULL;
    }
    LAW("a-reply-is-judged-before-it-acts", !ledger->is_held);
    bool is_again = ledger->is_asked_again;
    LAW("guardrails-ask-again-so-often",
        !is_again || ledger->turned_down <= ledger->guardrail_retries);
    ledger->is_asked_again = false;
    LAW("only-what-is-unfinished-goes-on",
        ledger->replies == 0 || ledger->stop == REPLY_STOP_TOOLS ||
            ledger->stop == REPLY_STOP_PAUSE || ledger->is_rejected || ledger->is_steered ||
            is_again);
    LAW("inputs-are-taken-at-the-next-turn",
        ledger->inputs_taken == ledger->inputs_accepted || ledger->stop == REPLY_STOP_PAUSE);
    ledger->is_steered = false;
    const char *law = is_again ? NULL : ledger_begin_turn(ledger);
    LAW(law, law == NULL);
    LAW("output-tries-max", ledger->rejections == 0 || ledger->rejections < ledger->output_tries);
    LAW("steps-max", ledger->replies < ledger->turns_max);
    LAW("tokens-max", ledger->tokens_max == 0 || ledger->tokens < ledger->tokens_max);
    return new_effect(ledger, effect, EFFECT_MODEL);
}

static const char *add_model_requested(struct ledger *ledger, const struct event *event)
{
    LAW("only-agents-think", ledger->kind == RUN_KIND_AGENT);
    LAW("no-work-without-admission", !ledger->needs_admission || ledger->is_admitted);
    if (event->effect > ledger->effect_count) {
        LAW("first-attempt-is-1", event->attempt == 1);
        const char *law = add_model_call(ledger, event);
        LAW(law, law == NULL);
        ledger->effects[event->effect].attempt = 1;
        return NULL;
    }
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("asked-again-after-settled", effect != NULL && effect->kind == EFFECT_MODEL);
    LAW("attempts-rise-by-one", event->attempt == effect->attempt + 1);
    LAW("retry-not-before-its-time", event->time_ms >= effect->retry_at_ms);
    effect->attempt = event->attempt;
    effect->retry_at_ms = 0;
    effect->awaits_admission = false;
    return NULL;
}

/* A new call that waits, or one that is out and no longer awaited. */
static const char *add_admission_asked(struct ledger *ledger, const struct event *event)
{
    LAW("only-agents-in-queues-are-admitted", ledger->needs_admission);
    ledger->is_admitted = false;
    if (event->effect > ledger->effect_count) {
        const char *law = add_model_call(ledger, event);
        LAW(law, law == NULL);
    }
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("admission-is-for-a-call", effect == NULL || effect->kind == EFFECT_MODEL);
    if (effect != NULL) {
        effect->awaits_admission = true;
        effect->retry_at_ms = 0;
    }
    return NULL;
}

static const char *add_admission_given(struct ledger *ledger)
{
    LAW("only-agents-in-queues-are-admitted", ledger->needs_admission);
    LAW("one-admission-each", !ledger->is_admitted);
    ledger->is_admitted = true;
    return NULL;
}

/* What rests needs no admission: all its tasks are parked, or to be tried again later. */
static void give_admission_back(struct ledger *ledger)
{
    uint32_t resting = 0;
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(ledger, id);
        if (effect == NULL || ledger_is_wait(effect)) {
            continue;
        }
        if (!effect->is_parked && (effect->kind == EFFECT_MODEL || effect->retry_at_ms == 0)) {
            return;
        }
        resting++;
    }
    ledger->is_admitted = ledger->is_admitted && resting == 0;
}

static const char *add_model_replied(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("settled-once", effect != NULL && effect->kind == EFFECT_MODEL);
    LAW("reply-of-this-attempt", event->attempt == effect->attempt && effect->retry_at_ms == 0);
    LAW("a-judgement-is-no-turn", effect->phase == CALLBACK_NONE);
    close_effect(ledger, effect);
    ledger->is_held = ledger->callbacks[CALLBACK_REPLY] > 0;
    LAW("a-reply-says-whether-it-is-judged", event->model_replied.is_judged == ledger->is_held);
    ledger->passed[CALLBACK_REPLY] = 0;
    ledger->replies++;
    ledger->steps++;
    ledger->stop = event->model_replied.stop;
    ledger->is_rejected = false;
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
    enum effect_kind kind = event->task_requested.kind;
    bool is_body = kind == EFFECT_BODY;
    LAW("task-fits-the-run", is_body == (ledger->kind != RUN_KIND_AGENT));
    LAW("one-body", !is_body || ledger->effect_count == 0);
    LAW("tools-follow-a-reply", kind != EFFECT_TOOL || ledger->stop == REPLY_STOP_TOOLS);
    LAW("a-reply-is-judged-before-it-acts", kind != EFFECT_TOOL || !ledger->is_held);
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        LAW("tools-follow-a-reply",
            !ledger->effects[id].is_open || ledger->effects[id].kind != EFFECT_MODEL);
    }
    const char *law = kind == EFFECT_CALLBACK ? ledger_ask_callback(ledger, event) : NULL;
    LAW(law, law == NULL);
    law = new_effect(ledger, event->effect, kind);
    LAW(law, law == NULL);
    struct ledger_effect *effect = &ledger->effects[event->effect];
    effect->at_most_once = event->task_requested.at_most_once;
    effect->deadline_ms = event->task_requested.deadline_ms;
    effect->since_ms = event->time_ms;
    effect->phase = event->task_requested.phase;
    effect->index = event->task_requested.index;
    effect->owner = event->task_requested.about;
    effect->was_run = kind == EFFECT_TOOL;
    effect->is_parked = kind == EFFECT_TOOL && ledger->callbacks[CALLBACK_TOOL_START] > 0;
    return NULL;
}

static const char *add_task_settled(struct ledger *ledger, const struct event *event)
{
    const struct outcome *outcome = &event->task_settled.outcome;
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("settled-once", effect != NULL && ledger_is_task(effect));
    LAW("settled-under-its-epoch", event->attempt == effect->attempt);
    bool by_host = effect->is_leased || effect->attempt == 0;
    bool timed_out = outcome->failed && str_is(outcome->error_type, "TIMEOUT") &&
                     effect->deadline_ms != 0 && event->time_ms >= effect->deadline_ms;
    bool given_up = ledger_is_given_up(effect);
    LAW("settled-by-its-holder", by_host || timed_out || given_up);
    LAW("given-up-is-a-failure", !given_up || effect->is_leased || outcome->failed);
    LAW("unknown-outcome-says-so", !(effect->at_most_once && effect->leases_lost > 0) ||
                                       str_is(outcome->error_type, "OUTCOME_UNKNOWN"));
    if (effect->is_leased) {
        bind_task(ledger, effect);
    }
    bool was_stopped = effect->mismatches > 0 && effect->retry_at_ms != 0;
    if (end_waits(ledger, event->effect) > 0 || was_stopped) {
        restart_clock(ledger, event->time_ms);
    }
    close_effect(ledger, effect);
    if (effect->kind == EFFECT_CALLBACK) {
        LAW("what-a-callback-made-is-a-fact-of-its-own", outcome->value.len == 0);
        ledger_end_callback(ledger, effect, outcome);
    }
    effect->was_run = effect->was_run && (effect->attempt > 0 || timed_out);
    LAW("a-call-waits-for-its-callbacks",
        !effect->was_run || effect->starts_passed == ledger->callbacks[CALLBACK_TOOL_START]);
    return NULL;
}

static const char *add_step_settled(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("step-of-an-open-task", effect != NULL && ledger_is_task(effect));
    LAW("step-under-a-valid-epoch", effect->is_leased && event->attempt == effect->attempt);
    LAW("steps-without-gap", event->step_settled.number == effect->steps + 1);
    bind_task(ledger, effect);
    effect->steps++;
    ledger->steps += effect->kind == EFFECT_BODY;
    return NULL;
}

/* What its host says of a task's code beside its steps is counted with these. */
static const char *add_said(struct ledger *ledger, const struct event *event, uint32_t number)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("said-of-an-open-task", effect != NULL && ledger_is_task(effect));
    LAW("said-under-a-valid-epoch", effect->is_leased && event->attempt == effect->attempt);
    LAW("steps-without-gap", number == effect->steps + 1);
    bind_task(ledger, effect);
    effect->steps++;
    return NULL;
}

static const char *add_cancel_shown(struct ledger *ledger, const struct event *event)
{
    const char *law = add_said(ledger, event, event->cancel_shown.number);
    LAW(law, law == NULL);
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("only-a-cancellation-is-shown", ledger->is_cancelling);
    LAW("a-cancellation-is-shown-once", !effect->has_seen_cancel);
    effect->has_seen_cancel = true;
    return NULL;
}

static const char *add_withdrawn(struct ledger *ledger, const struct event *event)
{
    str key = event->withdrawn.key;
    const char *law = add_said(ledger, event, event->withdrawn.number);
    LAW(law, law == NULL);
    LAW("what-is-given-up-is-not-waited-for", ledger_wait(ledger, event->effect, key) == NULL);
    LAW("only-the-wait-is-given-up", ledger->giving_up == 0 || ledger->giving_up == str_hash(key));
    LAW("tries-are-counted", event->withdrawn.retries == ledger->retries);
    ledger->giving_up = 0;
    return NULL;
}

static const char *add_step_tried(struct ledger *ledger, const struct event *event)
{
    const char *law = add_said(ledger, event, event->step_tried.number);
    LAW(law, law == NULL);
    LAW("a-try-that-is-a-fact-failed",
        event->step_tried.outcome.failed && event->step_tried.try_number > 0);
    return NULL;
}

/* Of the code that alone may be given the task; 0: any. */
static uint64_t language_of(const struct ledger *ledger, const struct ledger_effect *task)
{
    if (task->pin != 0) {
        return task->pin_language;
    }
    return task->kind == EFFECT_BODY ? ledger->language : 0;
}

static const char *add_lease_granted(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("lease-of-an-open-task", effect != NULL && ledger_is_task(effect));
    LAW("one-holder", !effect->is_leased);
    LAW("parked-tasks-are-not-given", !effect->is_parked);
    LAW("tasks-that-back-off-are-not-given", effect->retry_at_ms == 0);
    LAW("epochs-rise-by-one", event->attempt == effect->attempt + 1);
    LAW("at-most-once", !effect->at_most_once || effect->leases_lost == 0);
    LAW("leases-max", !ledger_is_given_up(effect));
    LAW("no-work-without-admission", !ledger->needs_admission || ledger->is_admitted);
    str language = event->lease_granted.language;
    uint64_t bound = language_of(ledger, effect);
    LAW("no-other-language", bound == 0 || bound == (str_hash(language) | 1));
    effect->is_leased = true;
    effect->lease_life = ledger->life;
    effect->attempt = event->attempt;
    effect->host = str_hash(event->lease_granted.host_id) | 1;
    str deployment = event->lease_granted.deployment;
    effect->deployment = deployment.len == 0 ? 0 : code_version_make(deployment, language);
    effect->language = language.len == 0 ? 0 : str_hash(language) | 1;
    if (ledger->deployment == 0) {
        ledger->deployment = effect->deployment;
        ledger->language = effect->language;
    }
    return NULL;
}

static const char *add_lease_lost(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("lost-by-its-holder", effect != NULL && effect->is_leased);
    LAW("lost-under-its-epoch", event->attempt == effect->attempt);
    bool is_released = str_is(event->lease_lost.cause, LEDGER_RELEASED);
    bool is_excused = is_released || effect->lease_life != ledger->life;
    LAW("excused-by-forgetting", !event->lease_lost.is_excused || is_excused);
    LAW("who-gives-a-task-back-is-excused", event->lease_lost.is_excused || !is_released);
    effect->is_leased = false;
    effect->host = 0;
    effect->leases_lost++;
    effect->leases_in_vain += event->lease_lost.is_excused ? 0 : 1;
    return NULL;
}

static const char *add_wait_set(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *owner = open_effect(ledger, event->wait_set.owner);
    enum effect_kind kind = event->wait_set.kind;
    LAW("a-wait-has-a-kind", kind >= EFFECT_SLEEP && kind <= EFFECT_AT_ONCE);
    LAW("a-wait-belongs-to-an-open-task", owner != NULL && ledger_is_task(owner));
    LAW("only-code-at-work-waits", owner->is_leased);
    LAW("one-wait-per-step",
        ledger_wait(ledger, event->wait_set.owner, event->wait_set.key) == NULL);
    LAW("children-are-counted", (kind == EFFECT_CHILDREN) == (event->wait_set.children > 0));
    LAW("ledger-too-small", event->wait_set.children <= LEDGER_CHILDREN_MAX);
    const char *law = new_effect(ledger, event->effect, kind);
    LAW(law, law == NULL);
    bind_task(ledger, owner);
    struct ledger_effect *effect = &ledger->effects[event->effect];
    effect->owner = event->wait_set.owner;
    effect->key = str_hash(event->wait_set.key);
    effect->due_ms = event->wait_set.due_ms;
    effect->children = event->wait_set.children;
    int kept = kind == EFFECT_SUSPENSION ? find_kept(ledger, event->wait_set.key) : -1;
    bool is_dropped = event->wait_set.kept_misfit.len > 0;
    effect->has_schema = event->wait_set.answer_schema.len > 0;
    LAW("what-is-dropped-does-not-fit",
        !is_dropped || (kept >= 0 && effect->has_schema && !ledger->kept[kept].says_yes));
    if (kept >= 0) {
        effect->was_answered_early = !is_dropped;
        effect->early_answer = ledger->kept[kept].answer;
        ledger->kept[kept] = ledger->kept[--ledger->kept_count];
    }
    return NULL;
}

static const char *judge_wait_settled(const struct ledger *ledger,
                                      const struct ledger_effect *effect, const struct event *event)
{
    const struct outcome *outcome = &event->wait_settled.outcome;
    bool is_due = effect->due_ms != 0 && event->time_ms >= effect->due_ms;
    bool is_refused = outcome->failed && (str_is(outcome->error_type, "TOO_MANY_WAITS") ||
                                          str_is(outcome->error_type, "CANCELLED"));
    bool timed_out = outcome->failed && str_is(outcome->error_type, "TIMEOUT");
    bool is_given_up_by_code = outcome->failed && str_is(outcome->error_type, ENGINE_WITHDRAWN);
    uint64_t all = effect->children == 64 ? UINT64_MAX : ((uint64_t)1 << effect->children) - 1;
    LAW("sleeps-end-in-time",
        effect->kind != EFFECT_SLEEP || is_refused || is_due || is_given_up_by_code);
    LAW("waits-time-out-in-time", !timed_out || effect->kind == EFFECT_AT_ONCE || is_due);
    LAW("all-children-end-first",
        effect->kind != EFFECT_CHILDREN || outcome->failed || effect->children_told == all);
    LAW("the-kept-answer-is-given", !effect->was_answered_early || is_refused ||
                                        str_hash(outcome->value) == effect->early_answer);
    LAW("a-kept-answer-is-found",
        !outcome->failed ||
            !str_starts_with(outcome->error_message, STR("the answer that was kept")));
    LAW("an-answer-fits-its-schema",
        !effect->has_schema || outcome->failed || says_yes(outcome->value));
    LAW("room-is-not-denied", !is_refused || effect->kind == EFFECT_AT_ONCE ||
                                  ledger->is_cancelling || ledger_wait_count(ledger) > 32 ||
                                  ledger->open_count > 64);
    return NULL;
}

static const char *add_wait_settled(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("a-wait-is-settled-once", effect != NULL && ledger_is_wait(effect));
    LAW("a-wait-keeps-its-owner", effect->owner == event->wait_settled.owner);
    LAW("a-wait-keeps-its-kind", effect->kind == event->wait_settled.kind);
    const char *law = judge_wait_settled(ledger, effect, event);
    LAW(law, law == NULL);
    struct ledger_effect *owner = open_effect(ledger, effect->owner);
    LAW("a-wait-belongs-to-an-open-task", owner != NULL);
    owner->outcomes++;
    owner->leases_in_vain = 0;
    owner->is_parked = false;
    if (effect->kind != EFFECT_AT_ONCE) {
        restart_clock(ledger, event->time_ms);
    }
    if (event->wait_settled.outcome.failed &&
        str_is(event->wait_settled.outcome.error_type, ENGINE_WITHDRAWN)) {
        ledger->giving_up = effect->key;
    }
    close_effect(ledger, effect);
    return NULL;
}

static const char *add_child_settled(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("a-child-is-awaited", effect != NULL && effect->kind == EFFECT_CHILDREN);
    LAW("a-child-has-its-place", event->child_settled.index < effect->children);
    uint64_t bit = (uint64_t)1 << event->child_settled.index;
    LAW("a-child-ends-once", (effect->children_told & bit) == 0);
    effect->children_told |= bit;
    return NULL;
}

static const char *add_resume_kept(struct ledger *ledger, const struct event *event)
{
    LAW("open-suspensions-are-answered", !ledger_is_suspended(ledger, event->resume_kept.key));
    LAW("one-answer-is-kept", !ledger_has_kept(ledger, event->resume_kept.key));
    LAW("kept-answers-max", ledger->kept_count < LEDGER_KEPT_MAX);
    ledger->kept[ledger->kept_count].says_yes = says_yes(event->resume_kept.data);
    ledger->kept[ledger->kept_count].key = str_hash(event->resume_kept.key);
    ledger->kept[ledger->kept_count++].answer = str_hash(event->resume_kept.data);
    return NULL;
}

static const char *add_task_parked(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    LAW("parked-by-its-holder", effect != NULL && effect->is_leased);
    LAW("parked-under-its-epoch", event->attempt == effect->attempt);
    effect->is_leased = false;
    effect->host = 0;
    effect->is_parked = !event->task_parked.is_ready;
    effect->mismatches = 0;
    return NULL;
}

static const char *add_task_failed(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    uint64_t retry_at_ms = event->task_failed.retry_at_ms;
    bool is_mismatch = event->task_failed.is_mismatch;
    LAW("only-tasks-are-tried-again", effect != NULL && ledger_is_task(effect));
    LAW("only-workflows-are-tried-again", is_mismatch || ledger->kind == RUN_KIND_WORKFLOW);
    LAW("a-mismatch-says-so",
        is_mismatch == str_is(event->task_failed.outcome.error_type, ENGINE_NON_DETERMINISM));
    LAW("code-that-does-not-fit-changes-nothing",
        !is_mismatch || event->task_failed.state.json.len == 0);
    LAW("failed-under-its-epoch", effect->is_leased && event->attempt == effect->attempt);
    LAW("only-failures-are-tried-again", event->task_failed.outcome.failed);
    LAW("nothing-new-while-cancelling", !ledger->is_cancelling);
    LAW("run-retries-max", is_mismatch || ledger->retries < ledger->retries_max);
    LAW("run-retries-wait-a-while",
        retry_at_ms >= event->time_ms + 1000 && retry_at_ms <= event->time_ms + 60000);
    effect->is_leased = false;
    effect->host = 0;
    effect->retry_at_ms = retry_at_ms;
    if (is_mismatch) {
        effect->mismatches++;
        return NULL;
    }
    LAW("code-that-failed-keeps-its-children", event->task_failed.keeps_children);
    if (end_some_waits(ledger, event->effect, true) > 0) {
        restart_clock(ledger, event->time_ms);
    }
    ledger->retries++;
    return NULL;
}

static const char *add_task_requeued(struct ledger *ledger, const struct event *event)
{
    struct ledger_effect *effect = open_effect(ledger, event->effect);
    if (effect != NULL && ledger_is_held(effect)) {
        LAW("a-call-waits-for-its-callbacks",
            effect->starts_passed == ledger->callbacks[CALLBACK_TOOL_START]);
        effect->is_parked = false;
        effect->deadline_ms += effect->deadline_ms == 0 ? 0 : event->time_ms - effect->since_ms;
        return NULL;
    }
    LAW("only-what-backs-off-is-requeued",
        effect != NULL && ledger_is_task(effect) && effect->retry_at_ms != 0);
    LAW("retry-not-before-its-time",
        event->time_ms >= effect->retry_at_ms || effect->mismatches > 0);
    effect->retry_at_ms = 0;
    restart_clock(ledger, event->time_ms);
    return NULL;
}

/* Its code is told, gets some time to clean up, and waits for nothing else. */
static const char *add_cancel_requested(struct ledger *ledger, const struct event *event)
{
    uint64_t deadline_ms = event->cancel_requested.deadline_ms;
    LAW("cancelled-once", !ledger->is_cancelling);
    LAW("only-code-that-has-begun-cleans-up", has_begun(ledger));
    LAW("cleaning-up-has-its-time",
        deadline_ms > event->time_ms && deadline_ms <= event->time_ms + 30000);
    ledger->is_cancelling = true;
    ledger->deadline_ms = deadline_ms;
    ledger->timeout_ms = 0;
    end_waits(ledger, 0);
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        if (ledger_is_task(&ledger->effects[id])) {
            ledger->effects[id].is_parked = false;
            ledger->effects[id].retry_at_ms = 0;
        }
    }
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
    LAW("a-reply-is-judged-before-it-acts", !ledger->is_held && !ledger->is_asked_again);
    const char *law = ledger_complete(ledger);
    LAW(law, law == NULL);
    if (ledger->is_turn_refused || ledger->replies == 0) {
        LAW("stop-reason-is-true", ledger->is_turn_refused && str_is(reason, "hook"));
        return NULL;
    }
    if (ledger->stop == REPLY_STOP_TOOLS || ledger->stop == REPLY_STOP_PAUSE) {
        bool out_of_steps = ledger->replies >= ledger->turns_max;
        bool out_of_tokens = ledger->tokens_max != 0 && ledger->tokens >= ledger->tokens_max;
        LAW("stopped-by-a-limit", out_of_steps || out_of_tokens);
        LAW("stop-reason-is-true", str_is(reason, out_of_steps ? "max_steps" : "max_tokens"));
        return NULL;
    }
    LAW("what-was-rejected-is-no-answer", !ledger->is_rejected);
    LAW("inputs-hold-the-run-open",
        ledger->inputs_returned == 0 || ledger->callbacks[CALLBACK_RUN_END] > 0 ||
            ledger->replies >= ledger->turns_max ||
            (ledger->tokens_max != 0 && ledger->tokens >= ledger->tokens_max));
    static const char *const reasons[] = {
        [REPLY_STOP_END] = "end",         [REPLY_STOP_TOOLS] = "",
        [REPLY_STOP_LENGTH] = "length",   [REPLY_STOP_CONTENT_FILTER] = "content_filter",
        [REPLY_STOP_REFUSAL] = "refusal", [REPLY_STOP_PAUSE] = "",
    };
    LAW("stop-reason-is-true", str_is(reason, reasons[ledger->stop]));
    return NULL;
}

static const char *add_ended(struct ledger *ledger, const struct event *event)
{
    const char *law = NULL;
    LAW("inputs-are-taken-or-returned",
        ledger->inputs_taken + ledger->inputs_returned == ledger->inputs_accepted);
    if (event->kind == EVENT_RUN_COMPLETED) {
        LAW("completed-owing-nothing", ledger->open_count == 0);
        law = add_completed(ledger, event);
    } else if (event->kind == EVENT_RUN_FAILED) {
        LAW("a-cancelled-run-does-not-fail", !ledger->is_cancelling);
        law = ledger_fail(ledger, event);
    } else {
        LAW("code-that-has-begun-cleans-up", ledger->is_cancelling || !has_begun(ledger));
    }
    ledger->ended = event->kind;
    return law;
}

static const char *add(struct ledger *ledger, const struct event *event)
{
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
    case EVENT_INPUT_ACCEPTED:
    case EVENT_INPUT_TAKEN:
    case EVENT_INPUT_RETURNED:
        return ledger_add_input(ledger, event);
    case EVENT_REPLY_REJECTED:
        return ledger_reject_reply(ledger, event);
    case EVENT_REPLY_JUDGED:
    case EVENT_REPLY_AMENDED:
    case EVENT_REPLY_PASSED:
        return ledger_add_guardrail(ledger, event);
    case EVENT_INPUT_AMENDED:
    case EVENT_CALL_AMENDED:
    case EVENT_RESULT_AMENDED:
        return ledger_amend(ledger, event);
    case EVENT_TASK_REQUESTED:
        return add_task_requested(ledger, event);
    case EVENT_TASK_SETTLED:
        return add_task_settled(ledger, event);
    case EVENT_STEP_SETTLED:
        return add_step_settled(ledger, event);
    case EVENT_CANCEL_SHOWN:
        return add_cancel_shown(ledger, event);
    case EVENT_WITHDRAWN:
        return add_withdrawn(ledger, event);
    case EVENT_STEP_TRIED:
        return add_step_tried(ledger, event);
    case EVENT_LEASE_GRANTED:
        return add_lease_granted(ledger, event);
    case EVENT_LEASE_LOST:
        return add_lease_lost(ledger, event);
    case EVENT_WAIT_SET:
        return add_wait_set(ledger, event);
    case EVENT_WAIT_SETTLED:
        return add_wait_settled(ledger, event);
    case EVENT_CHILD_SETTLED:
        return add_child_settled(ledger, event);
    case EVENT_RESUME_KEPT:
        return add_resume_kept(ledger, event);
    case EVENT_TASK_PARKED:
        return add_task_parked(ledger, event);
    case EVENT_TASK_FAILED:
        return add_task_failed(ledger, event);
    case EVENT_TASK_REQUEUED:
        return add_task_requeued(ledger, event);
    case EVENT_CANCEL_REQUESTED:
        return add_cancel_requested(ledger, event);
    case EVENT_ADMISSION_ASKED:
        return add_admission_asked(ledger, event);
    case EVENT_ADMISSION_GIVEN:
        return add_admission_given(ledger);
    case EVENT_NONE:
    case EVENT_COUNT:
        break;
    }
    return "unknown-event";
}

const char *ledger_add(struct ledger *ledger, const struct event *event)
{
    LAW("terminal-means-terminal", ledger->ended == EVENT_NONE);
    LAW("started-first", ledger->is_started == (event->kind != EVENT_RUN_STARTED));
    ledger->events++;
    const char *law = add(ledger, event);
    give_admission_back(ledger);
    return law;
}
