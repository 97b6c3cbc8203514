/*
 * queues: when a run's task may ask for a host, and when an agent run may work at all.
 */
#ifndef SERVICE_FEATURES_QUEUES_QUEUES_H
#define SERVICE_FEATURES_QUEUES_QUEUES_H

#include "service/engine/engine.h"
#include "service/features/queues/queue_order.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature queues_feature;

/* A queue's definition; limits as in queue_order.h. */
struct queue_offer {
    str name;
    struct queue_limits limits;
};

/* The queue of a workflow's runs that name none; an empty one takes it away. */
struct queue_default_offer {
    str workflow;
    str queue;
};

/* Whether the task asks for a host only when its run is admitted. */
bool queues_gate(const struct partition *partition, const struct live_run *run,
                 const struct effect *effect);
/* A host got free for a task that stood among the ready ones for all of its name and queue. False:
 * this one did not. */
bool queues_woken(struct partition *partition, uuid run);
/* Why the run is not admitted; empty: it is, or needs no admission. */
str queues_sentence(struct partition *partition, const struct live_run *run, struct arena *arena);
/* The same by the row of a run that is not in memory. */
str queues_row_sentence(struct partition *partition, uuid run, const struct run_row *row,
                        struct arena *arena);
/* The run's queue; empty: none. */
str queues_name(const struct partition *partition, const struct live_run *run);
/* Fills in the workflow's queue, an agent's is its definition's; false: refused. */
bool queues_check(struct partition *partition, struct run_spec *spec, struct arena *arena,
                  struct failure *ret);
/* No caller may start another run. */
bool queues_are_full(const struct partition *partition);
/* Names the queue, without limits, unless it is defined. False: there are too many. */
bool queues_name_queue(struct partition *partition, str name, struct failure *ret);
/* Of a hello. False: there are too many. */
bool queues_offer(struct partition *partition, const struct queue_offer *offer,
                  struct failure *ret);
bool queues_offer_default(struct partition *partition, const struct queue_default_offer *offer,
                          struct failure *ret);

/* A queue as it is answered. */
struct queue_report {
    str name;
    struct queue_limits limits;
    uint32_t running;
    uint32_t waiting;
};

/* Of one that is not defined: no limits. The name is borrowed. */
struct queue_report queues_report(const struct partition *partition, str name);

struct put_queue_request {
    struct request request;
    struct queue_offer offer;
    struct queue_report ret;
};
extern const struct operation put_queue_operation;

struct get_queue_request {
    struct request request;
    str name;
    struct queue_report ret; /* Its name is the request's. */
};
extern const struct operation get_queue_operation;

struct delete_queue_request {
    struct request request;
    str name;
};
extern const struct operation delete_queue_operation;

struct queues_request {
    struct request request;
    str after; /* Empty: from the first. */
    size_t limit;
    const struct queue_report *ret; /* In the request's arena. */
    size_t ret_count;
    bool ret_more;
};
extern const struct operation list_queues_operation;

static inline struct put_queue_request *put_queue_request(struct request *request)
{
    assert(request->operation == &put_queue_operation);
    return container_of(request, struct put_queue_request, request);
}

static inline struct get_queue_request *get_queue_request(struct request *request)
{
    assert(request->operation == &get_queue_operation);
    return container_of(request, struct get_queue_request, request);
}

static inline struct delete_queue_request *delete_queue_request(struct request *request)
{
    assert(request->operation == &delete_queue_operation);
    return container_of(request, struct delete_queue_request, request);
}

static inline struct queues_request *queues_request(struct request *request)
{
    assert(request->operation == &list_queues_operation);
    return container_of(request, struct queues_request, request);
}

#endif
