#include "service/features/models/lost_calls.h"

#include <stdlib.h>

#include "service/base/array.h"

void lost_calls_add(struct lost_calls *calls, const struct lost_call *call)
{
    assert(call->call != 0 && !uuid_is_zero(call->run));
    calls->list =
        array_reserve(calls->list, &calls->capacity, calls->count + 1, sizeof(calls->list[0]));
    calls->list[calls->count++] = *call;
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

void lost_calls_fini(struct lost_calls *calls)
{
    free(calls->list);
    *calls = (struct lost_calls){0};
}
