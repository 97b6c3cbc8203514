/*
 * callers: those who wait for a run's end.
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
};
extern const struct operation wait_operation; /* Answered when the run has ended. */

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
