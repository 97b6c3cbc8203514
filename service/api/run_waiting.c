#include "service/api/run_waiting.h"

#include "service/api/text.h"

static str task_sentence(const struct effect *effect, bool has_offer, const char *what, str name,
                         str host, struct arena *arena)
{
    assert(effect_is_task(effect));
    if (effect->state == EFFECT_LEASED) {
        return host.len > 0 ? arena_printf(arena, "host " STR_FMT " works on it", STR_ARG(host))
                            : arena_printf(arena, "a host works on it");
    }
    if (has_offer) {
        return arena_printf(arena, "every host that offers %s " STR_FMT " is busy or away", what,
                            STR_ARG(name));
    }
    return arena_printf(
        arena, "no connected host offers %s " STR_FMT "; start one or wait until the deadline",
        what, STR_ARG(name));
}

static str model_sentence(const struct effect *effect, str failure, struct arena *arena)
{
    if (effect->state != EFFECT_BACKOFF) {
        return arena_printf(arena, "the model is answering, attempt %u", effect->attempt);
    }
    const char *due = text_of_time(arena, effect->due_ms);
    if (failure.len == 0) {
        return arena_printf(arena, "%u model calls failed; the next attempt is at %s",
                            effect->failures, due);
    }
    return arena_printf(
        arena, "%u model calls failed, the last with: " STR_FMT " -- the next attempt is at %s",
        effect->failures, STR_ARG(failure), due);
}

static const char *kind_word(const struct run *state, const struct effect *effect)
{
    if (effect->kind == EFFECT_MODEL) {
        return effect->state == EFFECT_BACKOFF ? "retry" : "model";
    }
    bool is_workflow = effect->kind == EFFECT_BODY && state->kind == RUN_KIND_WORKFLOW;
    return is_workflow ? "workflow" : "tool";
}

static Polos__V1__Waiting *waiting_for(const struct run_report *report, size_t index,
                                       const struct run_waiting_hints *hints, struct arena *arena)
{
    const struct effect *effect = &report->state.effects[index];
    Polos__V1__Waiting *waiting = arena_alloc(arena, sizeof(*waiting));
    polos__v1__waiting__init(waiting);
    const char *kind = kind_word(&report->state, effect);
    str name = report->effect_names[index];
    str sentence;
    if (effect->kind == EFFECT_MODEL) {
        name = name.len > 0 ? name : hints->model;
        sentence = model_sentence(effect, hints->failure, arena);
    } else {
        sentence =
            task_sentence(effect, report->has_offer[index], kind, name, hints->hosts[index], arena);
    }
    waiting->kind = text_of(arena, str_of(kind));
    waiting->name = text_of(arena, name);
    waiting->since_ms = (int64_t)effect->since_ms;
    waiting->deadline_ms =
        (int64_t)(effect->deadline_ms != 0 ? effect->deadline_ms : report->state.deadline_ms);
    waiting->message = text_of(arena, sentence);
    return waiting;
}

void run_waiting(const struct run_report *report, const struct run_waiting_hints *hints,
                 struct arena *arena, Polos__V1__Run *run)
{
    const struct run *state = &report->state;
    assert(state->effect_count <= ENGINE_EFFECTS_MAX);
    if (engine_is_terminal(state)) {
        return;
    }
    run->waiting = arena_alloc(arena, ENGINE_EFFECTS_MAX * sizeof(*run->waiting));
    for (size_t i = 0; i < state->effect_count; i++) {
        const struct effect *effect = &state->effects[i];
        if (effect->kind != EFFECT_NONE && effect->state != EFFECT_CLOSED) {
            run->waiting[run->n_waiting++] = waiting_for(report, i, hints, arena);
        }
    }
}
