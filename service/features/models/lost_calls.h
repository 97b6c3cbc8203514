/*
 * lost_calls: calls in flight whose runs were dropped with a round that failed. Their replies are
 * paid for, and may have come already: until a run's effects are put in motion again they count.
 */
#ifndef SERVICE_FEATURES_MODELS_LOST_CALLS_H
#define SERVICE_FEATURES_MODELS_LOST_CALLS_H

#include "service/base/base.h"
#include "service/base/uuid.h"

struct lost_call {
    uint64_t call;
    uuid run;
    uint32_t effect;
    uint32_t attempt;
};

/* Zero-initialised is empty. */
struct lost_calls {
    struct lost_call *list;
    size_t count;
    size_t capacity;
};

void lost_calls_add(struct lost_calls *calls, const struct lost_call *call);
/* False: it is none of them. Taken out. */
bool lost_calls_take(struct lost_calls *calls, uint64_t call, struct lost_call *ret);
void lost_calls_forget(struct lost_calls *calls, uuid run); /* Those of the run. */
void lost_calls_fini(struct lost_calls *calls); /* Empty again. */

#endif
