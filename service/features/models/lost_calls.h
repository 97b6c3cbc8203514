/*
 * lost_calls: calls in flight whose runs were dropped with a round that failed. Their replies are
 * paid for, and may have come already: they count until all that was in the inbox when their run
 * was put in motion again has been heard. Only then is the call made again.
 */
#ifndef SERVICE_FEATURES_MODELS_LOST_CALLS_H
#define SERVICE_FEATURES_MODELS_LOST_CALLS_H

#include "service/base/base.h"
#include "service/base/uuid.h"
#include "service/engine/engine.h"

struct live_run;
struct partition;

struct lost_call {
    uint64_t call;
    uuid run;
    uint32_t effect;
    uint32_t attempt;
    bool is_awaited; /* Its run is in motion again: ... */
    uint64_t heard_by; /* ... until so many requests were handled. */
};

/* Zero-initialised is empty. */
struct lost_calls {
    struct lost_call *list;
    size_t count;
    size_t capacity;
};

void lost_calls_add(struct lost_calls *calls, uint64_t call, uuid run, uint32_t effect,
                    uint32_t attempt);
/* False: it is none of them. Taken out. */
bool lost_calls_take(struct lost_calls *calls, uint64_t call, struct lost_call *ret);
void lost_calls_forget(struct lost_calls *calls, uuid run); /* Those of the run. */
/* The run is in motion again: those of its calls wait for their replies a last time. */
void lost_calls_await(struct lost_calls *calls, const struct partition *partition, uuid run);
/* Whether it is one of them: its reply may be under way. */
bool lost_calls_have(const struct lost_calls *calls, uuid run, const struct effect *effect);
/* Whether one is awaited. */
bool lost_calls_are_awaited(const struct lost_calls *calls);
/* After a round's requests: the calls that were awaited in vain are made again. */
void lost_calls_give_up(struct lost_calls *calls, struct partition *partition);
/* A call that died with the process, or whose request was lost, is made again. */
void call_again(struct partition *partition, struct live_run *run, const struct effect *effect);
void lost_calls_fini(struct lost_calls *calls); /* Empty again. */

#endif
