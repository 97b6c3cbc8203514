#include "service/engine/states.h"

/* Which states may follow which. The first to end a run wins: terminal states have no successor. */
static const struct {
    const char *name;
    unsigned next;
} states[] = {
    [RUN_NEW] = {"new", STATE_BIT(RUN_THINKING) | STATE_BIT(RUN_ACTING)},
    [RUN_THINKING] = {"thinking", STATE_BIT(RUN_THINKING) | STATE_BIT(RUN_ACTING) |
                                      STATE_BIT(RUN_COMPLETED) | STATE_BIT(RUN_FAILED) |
                                      STATE_BIT(RUN_CANCELLED)},
    [RUN_ACTING] = {"acting", STATE_BIT(RUN_ACTING) | STATE_BIT(RUN_THINKING) |
                                  STATE_BIT(RUN_COMPLETED) | STATE_BIT(RUN_FAILED) |
                                  STATE_BIT(RUN_CANCELLED)},
    [RUN_COMPLETED] = {"completed", 0},
    [RUN_FAILED] = {"failed", 0},
    [RUN_CANCELLED] = {"cancelled", 0},
};
static_assert(COUNT_OF(states) == RUN_STATE_COUNT);

static const char *const event_names[] = {
    [EVENT_NONE] = "NONE",
    [EVENT_RUN_STARTED] = "RUN_STARTED",
    [EVENT_RUN_COMPLETED] = "RUN_COMPLETED",
    [EVENT_RUN_FAILED] = "RUN_FAILED",
    [EVENT_RUN_CANCELLED] = "RUN_CANCELLED",
    [EVENT_MODEL_REQUESTED] = "MODEL_REQUESTED",
    [EVENT_MODEL_REPLIED] = "MODEL_REPLIED",
    [EVENT_MODEL_FAILED] = "MODEL_FAILED",
    [EVENT_TASK_REQUESTED] = "TASK_REQUESTED",
    [EVENT_TASK_SETTLED] = "TASK_SETTLED",
    [EVENT_STEP_SETTLED] = "STEP_SETTLED",
    [EVENT_LEASE_GRANTED] = "LEASE_GRANTED",
    [EVENT_LEASE_LOST] = "LEASE_LOST",
};
static_assert(COUNT_OF(event_names) == EVENT_COUNT);

const char *engine_event_name(enum event_kind kind)
{
    assert(kind < EVENT_COUNT);
    return event_names[kind];
}

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
}

struct effect *states_effect(struct run *run, uint32_t id)
{
    assert(run->effect_count <= ENGINE_EFFECTS_MAX);
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].id == id) {
            return &run->effects[i];
        }
    }
    return NULL;
}

bool states_has_open_effect(const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].state != EFFECT_CLOSED) {
            return true;
        }
    }
    return false;
}

bool engine_is_terminal(const struct run *run)
{
    return run->state >= RUN_COMPLETED;
}

bool engine_is_waiting(const struct run *run)
{
    if (engine_is_terminal(run)) {
        return false;
    }
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        bool at_work = effect->state == EFFECT_LEASED ||
                       (effect->state == EFFECT_READY && effect->kind == EFFECT_MODEL);
        if (at_work) {
            return false;
        }
    }
    return run->state != RUN_NEW;
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
    uint64_t next = run->deadline_ms;
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        if (effect->state == EFFECT_BACKOFF) {
            next = earlier(next, effect->due_ms);
        } else if (effect->state != EFFECT_CLOSED) {
            next = earlier(next, effect->deadline_ms);
        }
    }
    return next;
}

const struct effect *engine_effect(const struct run *run, uint32_t id)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].id == id && run->effects[i].state != EFFECT_CLOSED) {
            return &run->effects[i];
        }
    }
    return NULL;
}

static const char *broken_effect(const struct run *run, const struct effect *effect)
{
    if (effect->id == 0 || effect->id >= run->effect_next) {
        return "an effect's id was never given out";
    }
    bool is_model = effect->kind == EFFECT_MODEL;
    if (is_model && effect->state == EFFECT_LEASED) {
        return "a model call is leased";
    }
    if (!is_model && effect->state == EFFECT_BACKOFF) {
        return "a task backs off";
    }
    if (effect->state == EFFECT_LEASED && effect->attempt == 0) {
        return "a leased task has no epoch";
    }
    if ((effect->state == EFFECT_LEASED) != (effect->host != 0)) {
        return "a lease and its host disagree";
    }
    return NULL;
}

const char *engine_broken_invariant(const struct run *run)
{
    if (run->state >= RUN_STATE_COUNT || run->effect_count > ENGINE_EFFECTS_MAX) {
        return "a field is out of range";
    }
    bool is_open = states_has_open_effect(run);
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
        bool is_model = run->effects[i].kind == EFFECT_MODEL;
        if (run->effects[i].state != EFFECT_CLOSED && is_model != (run->state == RUN_THINKING)) {
            return "an open effect does not fit the state";
        }
    }
    return NULL;
}
