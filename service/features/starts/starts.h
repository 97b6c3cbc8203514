/*
 * starts: new runs, whoever starts them.
 */
#ifndef SERVICE_FEATURES_STARTS_STARTS_H
#define SERVICE_FEATURES_STARTS_STARTS_H

#include "service/engine/engine.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature starts_feature;

/* Starts a run in this batch. spec->root zero: the run is its own. On a refusal nothing was done;
 * what it says is in the arena. */
bool start_run(struct partition *partition, struct run_spec *spec, struct arena *arena,
               struct failure *ret_failure, uuid *ret_id);
/* Whether start_run() would refuse it; fills in what the definition says. */
bool start_check(struct partition *partition, struct run_spec *spec, struct arena *arena,
                 struct failure *ret_failure);
/* Whether there is space on the disk for what new runs will write. */
bool start_has_space(struct partition *partition);
/* Whether the request may begin a run now. False: it was answered. */
bool start_may_begin(struct partition *partition, struct request *request);
/* Ids sort in the order they were made in. */
uuid start_new_id(struct partition *partition);

struct start_request {
    struct request request;
    struct run_spec spec; /* Without root, definition_hash, limits: those are filled in. */
    uint8_t digest[16]; /* Of the request, for idempotency. */
    uuid ret_run;
    bool ret_existed; /* The key found it. */
};
extern const struct operation start_operation;

static inline struct start_request *start_request(struct request *request)
{
    assert(request->operation == &start_operation);
    return container_of(request, struct start_request, request);
}

#endif
