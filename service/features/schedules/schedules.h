/*
 * schedules: workflows that the clock starts.
 */
#ifndef SERVICE_FEATURES_SCHEDULES_SCHEDULES_H
#define SERVICE_FEATURES_SCHEDULES_SCHEDULES_H

#include "service/base/uuid.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature schedules_feature;

/* When the clock is to start a workflow; see schedules.c. */
struct schedule_offer {
    str workflow;
    str key; /* Tells the workflow's schedules apart. */
    str cron;
    str zone;
    str input; /* JSON text of every run; empty: each is told its tick. */
    bool keeps_input; /* `input` is not looked at: a schedule that is there keeps what it has. */
    str field; /* What names of fields begin with, in a refusal. */
};

/* Whether it can be kept. What a refusal says is in the arena. */
bool schedules_check(struct partition *partition, const struct schedule_offer *offer,
                     struct arena *arena, struct failure *ret);
/* One that was checked. Returns its next tick, Unix ms. */
uint64_t schedules_put(struct partition *partition, const struct schedule_offer *offer);

/* A schedule as it is answered. */
struct schedule_view {
    str id; /* The workflow's name, '/', the key. */
    str workflow;
    str key;
    str cron;
    str zone;
    str input; /* Empty: none. */
    str problem; /* Why it rests, as its zone is gone; empty: it does not. */
    uint64_t created_ms;
    uint64_t next_ms; /* 0: none. */
    uint64_t last_ms; /* The tick of the last run; 0: none. */
    uuid last_run;
    uint64_t skipped; /* Ticks that found the run before them not ended. */
};

struct put_schedule_request {
    struct request request;
    struct schedule_offer offer;
    uint64_t ret_next_ms;
};
extern const struct operation put_schedule_operation;

struct schedules_request {
    struct request request;
    str id; /* List: after this one; empty: from the first. */
    str workflow; /* Empty: of all. */
    size_t limit;
    const struct schedule_view *ret; /* In the request's arena. */
    size_t ret_count;
    bool ret_more;
};
extern const struct operation list_schedules_operation;

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

#endif
