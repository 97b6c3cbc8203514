/*
 * reports: runs as callers see them: what the partition alone knows of one.
 */
#ifndef SERVICE_FEATURES_REPORTS_REPORTS_H
#define SERVICE_FEATURES_REPORTS_REPORTS_H

#include "service/codec/codec.h"
#include "service/engine/engine.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature reports_feature;

/* A task of a run that is ready for a host. */
struct report_task {
    uint32_t effect;
    bool has_offer; /* Some host offers it. */
    bool is_held_back; /* One is free, but not of the right deployment. */
    bool is_foreign; /* Some offer it, but none of its language. */
};

/* What the partition alone knows of a run; the rest is in the store. */
struct run_report {
    bool is_in_memory; /* Else `state` and `name` are empty: what the store says holds. */
    bool is_copying; /* The history it begins with is still being copied. */
    struct run state; /* All of it is durable. */
    str name;
    size_t history_bytes; /* Where it is in memory. */
    struct report_task tasks[ENGINE_EFFECTS_MAX];
    size_t task_count;
    str server; /* At which its model call waits for a place; empty: it does not. */
    str queue; /* In which it takes turns, where it may wait for one; empty: none. */
    str queue_sentence; /* Why it is not admitted; empty: it is, or needs no admission. */
    /* Of the first child it waits for that stands ready; NULL: none does, or nobody has asked. */
    const struct run_report *child;
};

/* In constant time: nothing is read. Lives in the arena and while the run is in memory. */
void report_run(struct partition *partition, struct live_run *run, struct arena *arena,
                struct run_report *ret);
/* Answers a request that begins with struct report_request with the run as it is now. */
void report_answer(struct partition *partition, struct request *request, struct live_run *run);
/* The same after the commit; request->run names it then. */
void report_answer_later(struct partition *partition, struct request *request);

/* Every request that is answered with a run begins with it. */
struct report_request {
    struct request request;
    const struct run_report *ret; /* Valid during `done`. */
};

struct get_request {
    struct report_request report;
    /* As it is on disk: then a run that is not in memory is not read, and the answer says what the
     * row tells. NULL: it is read. */
    const struct run_row *row;
    void *poster; /* The caller's. */
};
extern const struct operation get_operation;

struct cancel_request {
    struct report_request report;
    str cause;
};
extern const struct operation cancel_operation;

/* Of any request that is answered with a run. */
static inline struct report_request *report_request(struct request *request)
{
    assert(request->operation->request_bytes >= sizeof(struct report_request));
    return container_of(request, struct report_request, request);
}

static inline struct get_request *get_request(struct request *request)
{
    assert(request->operation == &get_operation);
    return container_of(request, struct get_request, report.request);
}

static inline struct cancel_request *cancel_request(struct request *request)
{
    assert(request->operation == &cancel_operation);
    return container_of(request, struct cancel_request, report.request);
}

#endif
