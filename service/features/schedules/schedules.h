/*
 * schedules: workflows and agents that the clock starts.
 */
#ifndef SERVICE_FEATURES_SCHEDULES_SCHEDULES_H
#define SERVICE_FEATURES_SCHEDULES_SCHEDULES_H

#include "service/base/start_options.h"
#include "service/base/uuid.h"
#include "service/engine/engine.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature schedules_feature;

/* When the clock is to start a workflow or an agent; see schedules.c. */
struct schedule_offer {
    enum run_kind kind; /* None: a workflow. */
    str name; /* Of the workflow or agent. */
    str key; /* Tells the schedules of one name apart. */
    str cron;
    str zone;
    str input; /* JSON text of every run; empty: each is told its tick. */
    struct start_options options; /* Of every run; an idempotency key is not heeded. */
    str provider_options; /* Of every run of an agent; empty: its definition's. */
    bool has_options; /* False: they say nothing. */
    bool keeps_input; /* Input and options are not looked at: a schedule keeps what it has. */
    str field; /* What names of fields begin with, in a refusal. */
};

/* Whether it can be kept. What a refusal says is in the arena. */
bool schedules_check(struct partition *partition, const struct schedule_offer *offer,
                     struct arena *arena, struct failure *ret);
/* One that was checked. Returns its next tick, Unix ms. */
uint64_t schedules_put(struct partition *partition, const struct schedule_offer *offer);

/* A schedule as it is answered. */
struct schedule_view {
    str id; /* The name, '/', the key. */
    enum run_kind kind;
    str name;
    str key;
    str cron;
    str zone;
    str input; /* Empty: none. */
    struct start_options options;
    str provider_options;
    bool has_options;
    bool is_paused; /* It rests, ... */
    str problem; /* ... as somebody paused it, or its zone is gone; empty: it does not. */
    uint64_t created_ms;
    uint64_t next_ms; /* 0: none. */
    uint64_t last_ms; /* The tick of the last run; 0: none. */
    uuid last_run;
    uint64_t skipped; /* Ticks that found the run before them not ended. */
};

struct put_schedule_request {
    struct request request;
    struct schedule_offer offer;
};
extern const struct operation put_schedule_operation;

struct schedules_request {
    struct request request;
    str id; /* List: after this one; empty: from the first. */
    str prefix; /* Of their ids; empty: of all. */
    size_t limit;
    const struct schedule_view *ret; /* In the request's arena. */
    size_t ret_count;
    bool ret_more;
};
extern const struct operation list_schedules_operation;

struct get_schedule_request {
    struct request request;
    str id;
    struct schedule_view ret; /* In the request's arena. */
};
extern const struct operation get_schedule_operation;

struct pause_schedule_request {
    struct request request;
    str id;
    bool pauses; /* False: it goes on. */
    str cause; /* Of the pause; may be empty. */
};
extern const struct operation pause_schedule_operation;

struct trigger_schedule_request {
    struct request request;
    str id;
    str idempotency_key; /* Empty: none. */
    uuid ret_run;
    bool ret_existed; /* The key found it. */
};
extern const struct operation trigger_schedule_operation;

struct delete_schedule_request {
    struct request request;
    str id;
};
extern const struct operation delete_schedule_operation;

static inline struct put_schedule_request *put_schedule_request(struct request *request)
{
    assert(request->operation == &put_schedule_operation);
    return container_of(request, struct put_schedule_request, request);
}

static inline struct schedules_request *schedules_request(struct request *request)
{
    assert(request->operation == &list_schedules_operation);
    return container_of(request, struct schedules_request, request);
}

static inline struct delete_schedule_request *delete_schedule_request(struct request *request)
{
    assert(request->operation == &delete_schedule_operation);
    return container_of(request, struct delete_schedule_request, request);
}

static inline struct get_schedule_request *get_schedule_request(struct request *request)
{
    assert(request->operation == &get_schedule_operation);
    return container_of(request, struct get_schedule_request, request);
}

static inline struct pause_schedule_request *pause_schedule_request(struct request *request)
{
    assert(request->operation == &pause_schedule_operation);
    return container_of(request, struct pause_schedule_request, request);
}

static inline struct trigger_schedule_request *trigger_schedule_request(struct request *request)
{
    assert(request->operation == &trigger_schedule_operation);
    return container_of(request, struct trigger_schedule_request, request);
}

#endif
