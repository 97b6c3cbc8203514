/*
 * offers: the tools and workflows that hosts offer or have offered, as they were offered last.
 */
#ifndef SERVICE_FEATURES_OFFERS_OFFERS_H
#define SERVICE_FEATURES_OFFERS_OFFERS_H

#include "service/agents/offer.h"
#include "service/hosts/host.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature offers_feature;

/* Of a hello of the newest deployment that offers it. Kept as it is; its time, while nothing else
 * changes, to the hour. */
void offers_put(struct partition *partition, enum task_kind kind, const struct offer_record *offer);

/* Forgets a tool or a workflow that no host offers, with a workflow's queue and trigger.
 * TOOL_NOT_FOUND, WORKFLOW_NOT_FOUND, DEFINITION_IN_USE. */
struct delete_offer_request {
    struct request request;
    enum task_kind kind;
    str name;
    const void *poster; /* The caller's. */
};
/* There is none: the reason, and the field that names one. */
struct failure offers_missing(enum task_kind kind);
extern const struct operation delete_offer_operation;

static inline struct delete_offer_request *delete_offer_request(struct request *request)
{
    assert(request->operation == &delete_offer_operation);
    return container_of(request, struct delete_offer_request, request);
}

#endif
