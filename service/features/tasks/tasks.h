/*
 * tasks: what hosts say, and the work they are given.
 */
#ifndef SERVICE_FEATURES_TASKS_TASKS_H
#define SERVICE_FEATURES_TASKS_TASKS_H

#include "service/agents/definition.h"
#include "service/features/offers/offers.h"
#include "service/features/queues/queues.h"
#include "service/features/schedules/schedules.h"
#include "service/features/triggers/triggers.h"
#include "service/hosts/host.h"
#include "service/hosts/roster.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature tasks_feature;

/* The clock by which hosts are judged, ms: see hearing.h. */
uint64_t tasks_clock_ms(const struct partition *partition);
/* Whether every lost lease was dealt with, and no free host waits to be given a ready task. */
bool tasks_are_settled(const struct partition *partition);

/* From hosts, for one link in order. All it points to is in the request's arena. */
struct hello_request {
    struct request request;
    struct host_link *link;
    struct host_hello hello;
    const struct offer_record *records; /* As many as hello.offers. */
    const struct agent_definition *definitions;
    size_t definition_count;
    const struct trigger_offer *triggers;
    size_t trigger_count;
    const struct schedule_offer *schedules;
    size_t schedule_count;
    const struct queue_offer *queues;
    size_t queue_count;
    const struct queue_default_offer *defaults; /* Of all its workflows. */
    size_t default_count;
};
extern const struct operation hello_operation;

struct host_request {
    struct request request;
    struct host_link *link;
    struct host_message message; /* Of a host_message_operation. */
    enum host_departure departure; /* Of a host_gone_operation. */
    uint64_t received_by; /* The number of the session that has received it; 0: none yet. */
};
extern const struct operation host_message_operation;
extern const struct operation host_gone_operation;
extern const struct operation host_writable_operation; /* Its stream takes more. */

/* A host says beside its stream that it lives. NOT_FOUND, SESSION_LOST. */
struct beat_request {
    struct request request;
    str token;
    uint64_t lease_ms; /* The answer: from now on. */
};
extern const struct operation beat_operation;

enum offered_kind {
    OFFERED_TOOL,
    OFFERED_WORKFLOW,
    OFFERED_AGENT_VERSION, /* Its name is its hash. */
};

struct offered_name {
    enum offered_kind kind;
    str name;
    uint32_t ret_hosts; /* That offer or define it. */
};

/* How many hosts offer what others have read of the store. Never fails. */
struct offered_request {
    struct request request;
    struct offered_name *names; /* The poster's. */
    size_t count;
    void *poster;
};
extern const struct operation offered_operation;

static inline struct offered_request *offered_request(struct request *request)
{
    assert(request->operation == &offered_operation);
    return container_of(request, struct offered_request, request);
}

/* The hosts that are there, by their ids. Never fails. */
struct hosts_request {
    struct request request;
    str after; /* Empty: from the first. */
    str deployment; /* Empty: of any. */
    size_t limit;
    uint64_t ret_now_ms; /* Unix time of the answer. */
    struct host_page ret; /* In the request's arena. */
};
extern const struct operation list_hosts_operation;

/* A host is given nothing new. HOST_NOT_FOUND. */
struct drain_host_request {
    struct request request;
    str host_id;
    uint64_t ret_now_ms; /* Unix time of the answer. */
    struct host_view ret; /* In the request's arena. */
};
extern const struct operation drain_host_operation;

static inline struct hosts_request *hosts_request(struct request *request)
{
    assert(request->operation == &list_hosts_operation);
    return container_of(request, struct hosts_request, request);
}

static inline struct drain_host_request *drain_host_request(struct request *request)
{
    assert(request->operation == &drain_host_operation);
    return container_of(request, struct drain_host_request, request);
}

static inline struct beat_request *beat_request(struct request *request)
{
    assert(request->operation == &beat_operation);
    return container_of(request, struct beat_request, request);
}

static inline struct hello_request *hello_request(struct request *request)
{
    assert(request->operation == &hello_operation);
    return container_of(request, struct hello_request, request);
}

static inline struct host_request *host_request(struct request *request)
{
    assert(request->operation == &host_message_operation ||
           request->operation == &host_gone_operation ||
           request->operation == &host_writable_operation);
    return container_of(request, struct host_request, request);
}

#endif
