/*
 * callers: those who wait for a run's end, for ever or for a time; some of them for less than its
 * end too: that it waits for an answer, that it has a newer fact.
 *
 * They are kept by the run's id: a run that is read again needs no hand-over.
 */
#ifndef SERVICE_FEATURES_CALLERS_CALLERS_H
#define SERVICE_FEATURES_CALLERS_CALLERS_H

#include "service/features/reports/reports.h"

extern const struct feature callers_feature;

/* Whether somebody waits for the run's end. */
bool callers_wait_for(const struct partition *partition, uuid run);

struct wait_request {
    struct report_request report;
    uint64_t ticket; /* A number of the caller's, never used twice. */
    uint64_t timeout_ms; /* 0: it waits for ever. */
    bool or_suspended; /* Or until it, or one below it where it is a root, waits for an answer. */
    uint32_t or_after_seq; /* Or until it has a fact after this one; 0: does not count. */
    /* Of callers.c: */
    uint64_t due_ms; /* 0: never. */
    uint32_t place; /* In the heap of those with a due_ms. */
};
/* Answered when the run has ended or what else was waited for has come, or with the run as it is
 * when the time is up. */
extern const struct operation wait_operation;

/* The caller of a wait is gone: its `done` is called with CANCELLED, unless it was answered. */
struct forget_request {
    struct request request;
    uint64_t ticket; /* Of which wait. */
};
extern const struct operation forget_operation;

static inline struct wait_request *wait_request(struct request *request)
{
    assert(request->operation == &wait_operation);
    return container_of(request, struct wait_request, report.request);
}

static inline struct forget_request *forget_request(struct request *request)
{
    assert(request->operation == &forget_operation);
    return container_of(request, struct forget_request, request);
}

#endif
