/*
 * What the ledger's account says of the engine: its state, its next deadline, its verdicts.
 */
#include "tests/simulation/ledger.h"

uint32_t ledger_wait_count(const struct ledger *ledger)
{
    uint32_t count = 0;
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        count += ledger->effects[id].is_open && ledger_is_wait(&ledger->effects[id]);
    }
    return count;
}

bool ledger_is_given_up(const struct ledger_effect *effect)
{
    return effect->leases_in_vain >= 5 || (effect->at_most_once && effect->leases_lost > 0);
}

bool ledger_code_waits(const struct ledger *ledger, uint32_t task)
{
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = &ledger->effects[id];
        bool may_be = ledger_is_wait(effect) || effect->kind == EFFECT_CALLBACK;
        if (effect->is_open && may_be && effect->owner == task) {
            return true;
        }
    }
    return false;
}

bool ledger_is_suspended(const struct ledger *ledger, str key)
{
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = &ledger->effects[id];
        if (effect->is_open && effect->kind == EFFECT_SUSPENSION && effect->key == str_hash(key)) {
            return true;
        }
    }
    return false;
}

const struct ledger_effect *ledger_wait(const struct ledger *ledger, uint32_t owner, str key)
{
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = &ledger->effects[id];
        if (effect->is_open && ledger_is_wait(effect) && effect->key == str_hash(key) &&
            effect->owner == owner) {
            return effect;
        }
    }
    return NULL;
}

/* The time of a run stands still while all its code waits. */
static bool is_clock_stopped(const struct ledger *ledger)
{
    uint32_t tasks = 0;
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = &ledger->effects[id];
        bool is_task = effect->is_open && !ledger_is_wait(effect);
        tasks += is_task;
        bool is_stopped = effect->mismatches > 0 && effect->retry_at_ms != 0;
        if (is_task && !is_stopped &&
            (effect->kind == EFFECT_MODEL || !ledger_code_waits(ledger, id))) {
            return false;
        }
    }
    return tasks > 0 && !ledger->is_cancelling;
}

static const char *compare_wait(const struct ledger_effect *mine, const struct effect *theirs)
{
    uint32_t told = (uint32_t)__builtin_popcountll(mine->children_told);
    LAW("state-kind", theirs->kind == mine->kind);
    LAW("state-owner", theirs->owner == mine->owner && theirs->key == (mine->key | 1));
    LAW("state-due", theirs->due_ms == mine->due_ms);
    LAW("state-children", theirs->children_left == mine->children - told);
    return NULL;
}

static const char *compare_effect(const struct ledger_effect *mine, const struct effect *theirs)
{
    if (ledger_is_wait(mine)) {
        return compare_wait(mine, theirs);
    }
    bool is_leased = theirs->state == EFFECT_LEASED;
    bool waits = theirs->state == EFFECT_BACKOFF;
    LAW("state-parked",
        (theirs->state == EFFECT_PARKED) == (mine->is_parked || mine->awaits_admission));
    LAW("state-outcomes", theirs->waits_settled == mine->outcomes);
    LAW("state-kind", theirs->kind == mine->kind);
    LAW("state-attempt", theirs->attempt == mine->attempt);
    LAW("state-pin", theirs->key == mine->deployment && theirs->pin == mine->pin);
    LAW("state-mismatches",
        theirs->mismatches == (mine->mismatches < UINT8_MAX ? mine->mismatches : UINT8_MAX));
    LAW("state-lease", is_leased == mine->is_leased && theirs->host == mine->host);
    LAW("state-steps", theirs->steps == mine->steps);
    LAW("state-retry", waits == (mine->retry_at_ms != 0) && theirs->due_ms == mine->retry_at_ms);
    LAW("state-deadline", theirs->deadline_ms == mine->deadline_ms);
    LAW("state-callback", theirs->phase == mine->phase && theirs->index == mine->index &&
                              theirs->owner == mine->owner);
    LAW("state-at-most-once", theirs->at_most_once == mine->at_most_once);
    LAW("state-failures", theirs->failures == mine->failures + mine->leases_in_vain);
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
    LAW("nothing-owed-is-invented", open_count == run->effect_count);
    return NULL;
}

/* Where the run stands, by what it owes. */
static enum run_phase phase_of(const struct ledger *ledger)
{
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(ledger, id);
        if (effect != NULL && !ledger_is_wait(effect)) {
            return effect->kind == EFFECT_MODEL                        ? PHASE_MODEL
                   : effect->kind == EFFECT_TOOL || effect->owner != 0 ? PHASE_TOOLS
                   : effect->kind == EFFECT_CALLBACK                   ? PHASE_CALLBACK
                                                                       : PHASE_BODY;
        }
    }
    return PHASE_NONE;
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
    LAW("state-phase", run->phase == (has_ended ? PHASE_NONE : phase_of(ledger)));
    LAW("state-steps", run->steps == ledger->steps);
    LAW("state-output",
        run->output_tries == ledger->output_tries && run->outputs_rejected == ledger->rejections);
    LAW("state-callbacks", memcmp(run->callbacks, ledger->callbacks, sizeof(run->callbacks)) == 0);
    LAW("state-callbacks", run->is_turn_refused == ledger->is_turn_refused);
    LAW("state-guardrails", run->guardrail_retries == ledger->guardrail_retries &&
                                run->replies_rejected == ledger->turned_down);
    LAW("state-inputs", run->inputs_accepted == ledger->inputs_accepted);
    LAW("state-inputs",
        has_ended || run->inputs_open == ledger->inputs_accepted - ledger->inputs_taken);
    LAW("state-usage", run->input_tokens + run->output_tokens == ledger->tokens);
    LAW("state-retries", run->retries == ledger->retries);
    LAW("state-cancelling", has_ended || run->is_cancelling == ledger->is_cancelling);
    LAW("state-deployment", run->deployment == ledger->deployment);
    LAW("state-admission", has_ended || (run->admission == ADMISSION_HELD) == ledger->is_admitted);
    LAW("state-admission", (run->admission == ADMISSION_NONE) == !ledger->needs_admission);
    LAW("state-kept", run->kept_count == ledger->kept_count);
    for (uint32_t i = 0; i < ledger->kept_count; i++) {
        LAW("state-kept", engine_has_kept(run, ledger->kept[i].key | 1));
    }
    bool is_live = ledger->is_started && ledger->ended == EVENT_NONE;
    LAW("state-clock", !is_live || engine_is_clock_stopped(run) == is_clock_stopped(ledger));
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
    uint64_t next = is_clock_stopped(ledger) ? 0 : ledger->deadline_ms;
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(ledger, id);
        if (effect != NULL) {
            uint64_t own_ms = ledger_is_held(effect) ? 0 : effect->deadline_ms;
            next = earlier(next, earlier(effect->retry_at_ms, own_ms));
            next = earlier(next, effect->due_ms);
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
    case COMMAND_REPLY_JUDGED:
        if ((command->kind == COMMAND_REPLY_JUDGED) != (effect->phase == CALLBACK_REPLY)) {
            return VERDICT_REFUSED;
        }
        return is_model && effect->retry_at_ms == 0 && !effect->awaits_admission ? VERDICT_OK
                                                                                 : VERDICT_REFUSED;
    case COMMAND_MODEL_FAILED:
    case COMMAND_MODEL_REISSUE:
        return is_model && effect->retry_at_ms == 0 && !effect->awaits_admission ? VERDICT_OK
                                                                                 : VERDICT_REFUSED;
    case COMMAND_LEASE_GRANT:
        return ledger_is_ready(effect) && (!ledger->needs_admission || ledger->is_admitted)
                   ? VERDICT_OK
                   : VERDICT_REFUSED;
    case COMMAND_LEASE_LOST:
    case COMMAND_TASK_DONE:
    case COMMAND_PARK:
        return effect->is_leased ? VERDICT_OK : VERDICT_REFUSED;
    case COMMAND_STEP_DONE:
        return !ledger_is_task(effect) ? VERDICT_REFUSED
                                       : step_verdict(effect, command->step.number);
    case COMMAND_CANCEL_SHOWN:
        if (ledger_is_task(effect) &&
            step_verdict(effect, command->cancel_shown.number) == VERDICT_OK) {
            return ledger->is_cancelling ? VERDICT_OK : VERDICT_REFUSED;
        }
        return !ledger_is_task(effect) ? VERDICT_REFUSED
                                       : step_verdict(effect, command->cancel_shown.number);
    case COMMAND_WITHDRAW:
        return !ledger_is_task(effect) ? VERDICT_REFUSED
                                       : step_verdict(effect, command->withdraw.number);
    case COMMAND_STEP_TRY:
        return !ledger_is_task(effect) ? VERDICT_REFUSED
                                       : step_verdict(effect, command->step_try.number);
    case COMMAND_STEP_REQUEST:
        if (!effect->is_leased) {
            return VERDICT_REFUSED;
        }
        return ledger_wait(ledger, command->effect, command->step_request.key) != NULL
                   ? VERDICT_DONE_BEFORE
                   : VERDICT_OK;
    case COMMAND_WAIT_DONE:
        return effect->kind == EFFECT_EVENT ? VERDICT_OK : VERDICT_REFUSED;
    case COMMAND_CHILD_DONE:
        return effect->kind == EFFECT_CHILDREN ? VERDICT_OK : VERDICT_REFUSED;
    case COMMAND_CODE_CAME:
        return effect->mismatches > 0 && effect->retry_at_ms != 0 ? VERDICT_OK : VERDICT_REFUSED;
    case COMMAND_RESUME:
    case COMMAND_START:
    case COMMAND_TIME:
    case COMMAND_CANCEL:
    case COMMAND_ADMIT:
    case COMMAND_WITHDRAW_ADMISSION:
    case COMMAND_FAIL:
    case COMMAND_INPUT:
    case COMMAND_COUNT:
        break;
    }
    return VERDICT_REFUSED;
}

/* Admission is for those who wait for it. */
static enum verdict admission_verdict(const struct ledger *ledger, enum command_kind kind)
{
    bool is_wanted = false;
    for (uint32_t id = 1; id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = &ledger->effects[id];
        is_wanted |= ledger_is_ready(effect) || (effect->is_open && effect->awaits_admission);
    }
    if (kind == COMMAND_ADMIT) {
        bool is_awaited = ledger->needs_admission && !ledger->is_admitted && is_wanted;
        return is_awaited ? VERDICT_OK : VERDICT_REFUSED;
    }
    return ledger->is_admitted ? VERDICT_OK : VERDICT_REFUSED;
}

static enum verdict resume_verdict(const struct ledger *ledger, str key)
{
    if (ledger_is_suspended(ledger, key)) {
        return VERDICT_OK;
    }
    if (ledger_has_kept(ledger, key)) {
        return VERDICT_DONE_BEFORE;
    }
    bool has_room = ledger->kept_count < LEDGER_KEPT_MAX && !ledger->is_cancelling;
    return has_room ? VERDICT_OK : VERDICT_REFUSED;
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
        return ledger->is_cancelling ? VERDICT_DONE_BEFORE : VERDICT_OK;
    }
    if (command->kind == COMMAND_RESUME) {
        return resume_verdict(ledger, command->resume.key);
    }
    if (command->kind == COMMAND_TIME) {
        uint64_t due_ms = ledger_next_deadline(ledger);
        return due_ms != 0 && command->now_ms >= due_ms ? VERDICT_OK : VERDICT_DONE_BEFORE;
    }
    if (command->kind == COMMAND_ADMIT || command->kind == COMMAND_WITHDRAW_ADMISSION) {
        return admission_verdict(ledger, command->kind);
    }
    if (command->kind == COMMAND_INPUT) {
        bool has_room = ledger->inputs_accepted - ledger->inputs_taken < 32;
        return ledger->kind == RUN_KIND_AGENT && has_room ? VERDICT_OK : VERDICT_REFUSED;
    }
    return command->kind == COMMAND_FAIL ? VERDICT_OK : answer_verdict(ledger, command);
}

const char *ledger_settle(struct ledger *ledger)
{
    bool is_live = ledger->is_started && ledger->ended == EVENT_NONE;
    LAW("only-ended-runs-return-inputs", !is_live || ledger->inputs_returned == 0);
    LAW("who-takes-an-input-asks-its-model", !ledger->is_steered);
    LAW("who-objects-turns-down", !is_live || ledger->objector == 0);
    LAW("what-was-turned-down-is-asked-for-again", !is_live || !ledger->is_asked_again);
    LAW("live-runs-owe-something", !is_live || ledger->open_count > 0);
    for (uint32_t id = 1; is_live && id <= ledger->effect_count; id++) {
        const struct ledger_effect *effect = &ledger->effects[id];
        bool is_lost = effect->is_open && !effect->is_leased && ledger_is_given_up(effect);
        LAW("given-up-tasks-are-settled", !is_lost);
        LAW("a-wait-belongs-to-an-open-task",
            !effect->is_open || !ledger_is_wait(effect) ||
                (ledger_open(ledger, effect->owner) != NULL &&
                 ledger_is_task(ledger_open(ledger, effect->owner))));
        LAW("parked-tasks-wait-for-something",
            !effect->is_open || !effect->is_parked || ledger_code_waits(ledger, id));
        LAW("what-is-done-at-once-is-not-open", !effect->is_open || effect->kind != EFFECT_AT_ONCE);
        LAW("kept-answers-are-used", !effect->is_open || !effect->was_answered_early);
        LAW("nobody-waits-for-children-that-ended",
            !effect->is_open || effect->kind != EFFECT_CHILDREN ||
                (uint32_t)__builtin_popcountll(effect->children_told) < effect->children);
    }
    LAW("nothing-new-while-cancelling",
        !is_live || !ledger->is_cancelling || ledger_wait_count(ledger) == 0);
    LAW("waits-max", !is_live || ledger_wait_count(ledger) <= 32);
    return ledger_settle_callbacks(ledger, is_live);
}
