#include "service/engine/states.h"

#include "service/base/code_version.h"

static_assert(sizeof(struct effect) == 4 * 4 + 6 * 8 + 2 * 4 + 8, "no padding");
static_assert(offsetof(struct run, effects) == 16 + 4 * 4 + 12 * 8 + ENGINE_KEPT_MAX * 8 + 14 * 4,
              "no padding");
static_assert(offsetof(struct run, effects) % sizeof(uint64_t) == 0, "no padding");

/* Which states may follow which. The first to end a run wins: terminal states have no successor. */
static const struct {
    const char *name;
    unsigned next;
} states[] = {
    [RUN_NEW] = {"new", STATE_BIT(RUN_LIVE)},
    [RUN_LIVE] = {"live",
                  STATE_BIT(RUN_COMPLETED) | STATE_BIT(RUN_FAILED) | STATE_BIT(RUN_CANCELLED)},
    [RUN_COMPLETED] = {"completed", 0},
    [RUN_FAILED] = {"failed", 0},
    [RUN_CANCELLED] = {"cancelled", 0},
};
static_assert(COUNT_OF(states) == RUN_STATE_COUNT);

/* What a run may owe in each phase, and which phases may follow: what is decided, what is applied
 * and the invariant all go by it. */
static const struct {
    const char *name;
    unsigned owes;
    unsigned next;
} phases[] = {
    [PHASE_NONE] = {"none", 0,
                    PHASE_BIT(PHASE_MODEL) | PHASE_BIT(PHASE_BODY) | PHASE_BIT(PHASE_CALLBACK)},
    [PHASE_MODEL] = {"model", KIND_BIT(EFFECT_MODEL),
                     PHASE_BIT(PHASE_MODEL) | PHASE_BIT(PHASE_TOOLS) | PHASE_BIT(PHASE_CALLBACK)},
    [PHASE_TOOLS] = {"tools", KIND_BIT(EFFECT_TOOL) | KIND_BIT(EFFECT_CALLBACK) | KINDS_OF_CODE,
                     PHASE_BIT(PHASE_TOOLS) | PHASE_BIT(PHASE_MODEL) | PHASE_BIT(PHASE_CALLBACK)},
    [PHASE_BODY] = {"body", KIND_BIT(EFFECT_BODY) | KINDS_OF_CODE, 0},
    [PHASE_CALLBACK] = {"callback", KIND_BIT(EFFECT_CALLBACK) | KINDS_OF_CODE,
                        PHASE_BIT(PHASE_CALLBACK) | PHASE_BIT(PHASE_MODEL) |
                            PHASE_BIT(PHASE_TOOLS)},
};
static_assert(COUNT_OF(phases) == PHASE_COUNT);

const char *engine_state_name(enum run_state state)
{
    assert(state < RUN_STATE_COUNT);
    return states[state].name;
}

void states_move(struct run *run, enum run_state next)
{
    assert(next < RUN_STATE_COUNT);
    assert(states[run->state].next & STATE_BIT(next));
    run->state = (uint8_t)next;
    run->phase = PHASE_NONE;
}

const char *engine_phase_name(enum run_phase phase)
{
    assert(phase < PHASE_COUNT);
    return phases[phase].name;
}

void states_enter(struct run *run, enum run_phase next)
{
    assert(next > PHASE_NONE && next < PHASE_COUNT);
    if (run->state == RUN_NEW) {
        states_move(run, RUN_LIVE);
    }
    assert(run->state == RUN_LIVE);
    assert(phases[run->phase].next & PHASE_BIT(next));
    run->phase = (uint8_t)next;
}

bool states_may_owe(const struct run *run, unsigned kinds)
{
    assert(run->phase < PHASE_COUNT);
    return (phases[run->phase].owes & kinds) != 0;
}

bool engine_may_owe(const struct run *run, enum effect_kind kind)
{
    assert(kind < EFFECT_KIND_COUNT);
    return states_may_owe(run, KIND_BIT(kind));
}

const struct effect *engine_effect(const struct run *run, uint32_t id)
{
    assert(run->effect_count <= ENGINE_EFFECTS_MAX);
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].id == id) {
            return &run->effects[i];
        }
    }
    return NULL;
}

bool engine_has_effect(const struct run *run, enum effect_kind kind)
{
    assert(run->effect_count <= ENGINE_EFFECTS_MAX);
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].kind == kind) {
            return true;
        }
    }
    return false;
}

struct effect *states_effect(struct run *run, uint32_t id)
{
    return (struct effect *)engine_effect(run, id);
}

bool engine_is_terminal(const struct run *run)
{
    return run->state >= RUN_COMPLETED;
}

/* For something of its own, or for the callbacks that hold it. */
static bool code_waits(const struct run *run, const struct effect *task)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *wait = &run->effects[i];
        bool may_be = effect_is_wait(wait) || wait->kind == EFFECT_CALLBACK;
        if (may_be && wait->owner == task->id) {
            return true;
        }
    }
    return false;
}

bool engine_is_waiting(const struct run *run)
{
    if (engine_is_terminal(run)) {
        return false;
    }
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        bool at_work = (effect->state == EFFECT_LEASED && !code_waits(run, effect)) ||
                       (effect->state == EFFECT_READY && effect->kind == EFFECT_MODEL);
        if (at_work) {
            return false;
        }
    }
    return run->state != RUN_NEW;
}

bool engine_is_clock_stopped(const struct run *run)
{
    if (!states_may_owe(run, KINDS_TASK) || run->is_cancelling) {
        return false;
    }
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        if (effect_is_task(effect) && !code_waits(run, effect) && !effect_is_stopped(effect)) {
            return false;
        }
    }
    return true;
}

uint64_t engine_pin(const struct run *run, const struct effect *task)
{
    assert(effect_is_task(task));
    bool has_history = task->pin != 0 || task->kind == EFFECT_BODY;
    uint64_t pin = task->pin != 0 ? task->pin : run->deployment;
    bool has_failed = task->mismatches > 0 && task->deployment == pin;
    if (pin == 0) {
        return CODE_VERSION_NEWEST;
    }
    if (!has_history) {
        return has_failed ? CODE_VERSION_NEWEST : code_version_in_any_language(pin);
    }
    return has_failed ? code_version_newest_alike(pin) : pin;
}

const struct effect *engine_wait(const struct run *run, uint32_t owner, uint64_t key)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        if (effect_is_wait(effect) && effect->key == key && effect->owner == owner) {
            return effect;
        }
    }
    return NULL;
}

const struct effect *engine_suspension(const struct run *run, uint64_t key)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].kind == EFFECT_SUSPENSION && run->effects[i].key == key) {
            return &run->effects[i];
        }
    }
    return NULL;
}

bool engine_has_kept(const struct run *run, uint64_t key)
{
    for (uint32_t i = 0; i < run->kept_count; i++) {
        if (run->kept[i] == key) {
            return true;
        }
    }
    return false;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0) {
        return a | b;
    }
    return a < b ? a : b;
}

uint64_t engine_next_deadline(const struct run *run)
{
    if (run->state == RUN_NEW || engine_is_terminal(run)) {
        return 0;
    }
    uint64_t next = engine_is_clock_stopped(run) ? 0 : run->deadline_ms;
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        if (effect->state == EFFECT_BACKOFF || effect_is_wait(effect)) {
            next = earlier(next, effect->due_ms);
        }
        next = earlier(next, effect_is_held(effect) ? 0 : effect->deadline_ms);
    }
    return next;
}

static const char *broken_wait(const struct run *run, const struct effect *wait)
{
    const struct effect *owner = engine_effect(run, wait->owner);
    if (owner == NULL || !effect_is_task(owner)) {
        return "a wait belongs to no open task";
    }
    if (wait->state != EFFECT_READY || wait->key == 0) {
        return "a wait has a wrong state or no key";
    }
    return (wait->kind == EFFECT_CHILDREN) == (wait->children_left > 0) ? NULL
                                                                        : "a wait for nobody";
}

static const char *broken_task(const struct run *run, const struct effect *task)
{
    if (task->state == EFFECT_LEASED && task->attempt == 0) {
        return "a leased task has no epoch";
    }
    if ((task->state == EFFECT_LEASED) != (task->host != 0)) {
        return "a lease and its host disagree";
    }
    if (task->state == EFFECT_PARKED && !code_waits(run, task)) {
        return "a parked task waits for nothing";
    }
    bool is_about_tool = task->phase == CALLBACK_TOOL_START || task->phase == CALLBACK_TOOL_END;
    if ((task->kind == EFFECT_CALLBACK) != (task->phase != CALLBACK_NONE) ||
        is_about_tool != (task->owner != 0)) {
        return "a callback has no phase, or is about nothing";
    }
    if (task->kind == EFFECT_CALLBACK && task->index >= run->callbacks[task->phase]) {
        return "a callback is asked that the run does not have";
    }
    bool backs_off = task->state == EFFECT_BACKOFF && !effect_is_stopped(task);
    return backs_off && task->kind != EFFECT_BODY ? "a tool call backs off" : NULL;
}

static const char *broken_effect(const struct run *run, const struct effect *effect)
{
    if (effect->id == 0 || effect->id >= run->effect_next) {
        return "an effect's id was never given out";
    }
    if (effect->state < EFFECT_READY || effect->state > EFFECT_PARKED) {
        return "an effect is in no state";
    }
    if (effect_is_wait(effect)) {
        return broken_wait(run, effect);
    }
    if (effect_is_task(effect)) {
        return broken_task(run, effect);
    }
    if (effect->phase != CALLBACK_NONE &&
        (effect->phase != CALLBACK_REPLY || effect->index >= run->callbacks[CALLBACK_REPLY])) {
        return "a model call judges for no guardrail of the run";
    }
    if ((effect->state == EFFECT_PARKED) != (run->admission == ADMISSION_AWAITED)) {
        return "a model call and the run's admission disagree";
    }
    return effect->state == EFFECT_LEASED ? "a model call is leased" : NULL;
}

const char *engine_broken_invariant(const struct run *run)
{
    if (run->state >= RUN_STATE_COUNT || run->phase >= PHASE_COUNT ||
        run->effect_count > ENGINE_EFFECTS_MAX) {
        return "a field is out of range";
    }
    if (run->outputs_rejected > run->output_tries) {
        return "more answers were rejected than may be asked for";
    }
    if (run->inputs_open > ENGINE_INPUTS_MAX || run->inputs_open > run->inputs_accepted) {
        return "more inputs are open than were accepted, or than may be";
    }
    bool is_open = run->effect_count > 0;
    if ((run->state == RUN_LIVE) != (run->phase != PHASE_NONE)) {
        return "a live run is in no phase, or another is in one";
    }
    if (engine_is_terminal(run)) {
        return is_open ? "a terminal run owes an effect" : NULL;
    }
    if (run->state == RUN_NEW) {
        return is_open || run->seq != 0 ? "a new run has a past" : NULL;
    }
    if (!is_open) {
        return "a live run owes nothing: it would wait for ever";
    }
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const char *why = broken_effect(run, &run->effects[i]);
        if (why != NULL) {
            return why;
        }
        if (!engine_may_owe(run, run->effects[i].kind)) {
            return "an open effect does not fit the phase";
        }
    }
    return NULL;
}
