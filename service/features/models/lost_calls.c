#include "service/features/models/lost_calls.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/features/models/models.h"
#include "service/partition/commands.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

void lost_calls_add(struct lost_calls *calls, uint64_t call, uuid run, uint32_t effect,
                    uint32_t attempt)
{
    assert(call != 0 && !uuid_is_zero(run));
    calls->list =
        array_reserve(calls->list, &calls->capacity, calls->count + 1, sizeof(calls->list[0]));
    calls->list[calls->count++] =
        (struct lost_call){.call = call, .run = run, .effect = effect, .attempt = attempt};
    assert(calls->count <= calls->capacity);
}

bool lost_calls_take(struct lost_calls *calls, uint64_t call, struct lost_call *ret)
{
    for (size_t i = 0; i < calls->count; i++) {
        if (calls->list[i].call == call) {
            *ret = calls->list[i];
            calls->list[i] = calls->list[--calls->count];
            return true;
        }
    }
    return false;
}

void lost_calls_forget(struct lost_calls *calls, uuid run)
{
    assert(!uuid_is_zero(run));
    for (size_t i = calls->count; i > 0; i--) {
        if (uuid_equal(calls->list[i - 1].run, run)) {
            calls->list[i - 1] = calls->list[--calls->count];
        }
    }
}

void lost_calls_await(struct lost_calls *calls, const struct partition *partition, uuid run)
{
    uint64_t heard_by = partition->requests.handled + round_waiting(partition);
    for (size_t i = 0; i < calls->count; i++) {
        struct lost_call *lost = &calls->list[i];
        if (uuid_equal(lost->run, run)) {
            lost->is_awaited = true;
            lost->heard_by = heard_by;
        }
    }
}

bool lost_calls_have(const struct lost_calls *calls, uuid run, const struct effect *effect)
{
    assert(effect->kind == EFFECT_MODEL);
    for (size_t i = 0; i < calls->count; i++) {
        const struct lost_call *lost = &calls->list[i];
        if (uuid_equal(lost->run, run) && lost->effect == effect->id &&
            lost->attempt == effect->attempt) {
            return true;
        }
    }
    return false;
}

bool lost_calls_are_awaited(const struct lost_calls *calls)
{
    for (size_t i = 0; i < calls->count; i++) {
        if (calls->list[i].is_awaited) {
            return true;
        }
    }
    return false;
}

void call_again(struct partition *partition, struct live_run *run, const struct effect *effect)
{
    struct command again = {
        .kind = COMMAND_MODEL_REISSUE,
        .effect = effect->id,
        .attempt = effect->attempt,
    };
    enum verdict verdict = command_submit(partition, run, &again);
    assert(verdict == VERDICT_OK);
}

void lost_calls_give_up(struct lost_calls *calls, struct partition *partition)
{
    for (size_t i = calls->count; i > 0; i--) {
        struct lost_call lost = calls->list[i - 1];
        if (!lost.is_awaited || lost.heard_by > partition->requests.handled) {
            continue;
        }
        calls->list[i - 1] = calls->list[--calls->count];
        struct live_run *run = runs_find(partition, lost.run);
        const struct effect *effect =
            run == NULL || run->needs_recovery ? NULL : engine_effect(&run->state, lost.effect);
        if (effect != NULL && effect->attempt == lost.attempt && effect->state == EFFECT_READY &&
            !models_are_calling(partition, run)) {
            const struct effect made = *effect;
            call_again(partition, run, &made);
        }
    }
}

void lost_calls_fini(struct lost_calls *calls)
{
    free(calls->list);
    *calls = (struct lost_calls){0};
}
