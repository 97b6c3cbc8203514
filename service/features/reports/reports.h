/*
 * reports: runs as callers see them: one, a list, a history.
 */
#ifndef SERVICE_FEATURES_REPORTS_REPORTS_H
#define SERVICE_FEATURES_REPORTS_REPORTS_H

#include "service/codec/codec.h"
#include "service/engine/engine.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature reports_feature;

/* A run as it is answered: its state and, where asked for, its records. */
struct run_report {
    struct run state;
    str name;
    const str *records; /* Agents: all. Others: the first and the last. In order. */
    size_t record_count;
    bool is_structured; /* Agents: the definition has an output schema. */
    bool has_offer[ENGINE_EFFECTS_MAX]; /* Per effect of `state`: some host offers its task. */
    bool is_held_back[ENGINE_EFFECTS_MAX]; /* One is free, but not of the right deployment. */
    str failures[ENGINE_EFFECTS_MAX]; /* Of tasks that are tried again: why they failed. */
    str deployment; /* The run stays with; empty: none yet. */
    /* Per effect: the tool's, workflow's or model's name; of a wait its step's key. */
    str effect_names[ENGINE_EFFECTS_MAX];
    str state_json; /* Workflows, tools: empty: none. */
    str cancel_cause; /* Empty: nobody asked for it. */
    str queue; /* The run's; empty: none. */
    str queue_sentence; /* Why it is not admitted; empty: it is, or needs no admission. */
};

/* Lives in the arena and while the run is in memory. DATA_LOSS: its journal is damaged. */
status report_run(struct partition *partition, struct live_run *run, struct arena *arena,
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
extern const struct operation get_operation; /* A struct report_request. */

struct cancel_request {
    struct report_request report;
    str cause;
};
extern const struct operation cancel_operation;

struct run_line {
    uuid id;
    struct run_row row;
};

struct list_request {
    struct request request;
    uuid parent; /* Zero: any. */
    enum run_kind kind; /* RUN_KIND_NONE: any. */
    uint32_t status; /* 0: any. */
    str name; /* Empty: any. */
    str deployment; /* Empty: any. */
    uuid before; /* Zero: from the newest. */
    size_t limit;
    const struct run_line *ret_lines;
    size_t ret_count;
    uuid ret_next; /* Zero: no more. */
};
extern const struct operation list_operation;

struct history_request {
    struct request request;
    uint32_t from_seq;
    size_t limit;
    const str *ret_records; /* Every record that holds events of [from_seq, +limit). */
    size_t ret_count;
};
extern const struct operation history_operation;

/* Of any request that is answered with a run. */
static inline struct report_request *report_request(struct request *request)
{
    assert(request->operation->request_bytes >= sizeof(struct report_request));
    return container_of(request, struct report_request, request);
}

static inline struct cancel_request *cancel_request(struct request *request)
{
    assert(request->operation == &cancel_operation);
    return container_of(request, struct cancel_request, report.request);
}

static inline struct list_request *list_request(struct request *request)
{
    assert(request->operation == &list_operation);
    return container_of(request, struct list_request, request);
}

static inline struct history_request *history_request(struct request *request)
{
    assert(request->operation == &history_operation);
    return container_of(request, struct history_request, request);
}

#endif
