/*
 * watchers: those who follow a run: facts from the journal first, then live.
 *
 * They are kept by the run's id: a run need not be in memory to be followed.
 */
#ifndef SERVICE_FEATURES_WATCHERS_WATCHERS_H
#define SERVICE_FEATURES_WATCHERS_WATCHERS_H

#include "service/base/payload.h"
#include "service/codec/codec.h"
#include "service/partition/feature.h"
#include "service/partition/following.h"
#include "service/partition/request.h"

struct run_report;
struct watcher;

extern const struct feature watchers_feature;

/* What a fact, a delta or an end looks like on the wire is the API's affair. */
struct watch_format {
    /* `each` takes the reference. */
    void (*fact)(const struct codec_entry *entry, const struct event *event,
                 void (*each)(void *context, struct payload *payload), void *context);
    /* The kind is the API's Delta.Kind: enum model_delta_kind + 1, or 4 for progress. The offset is
     * behind the text. */
    struct payload *(*delta)(uint32_t seq, uint32_t effect, uint32_t attempt, uint64_t offset,
                             uint32_t step, unsigned kind, str text);
    struct payload *(*caught_up)(uint32_t seq);
    /* The run has ended, and all its facts were pushed to these watchers, chained by `next`: each
     * is shown the end and nothing after it. The partition has forgotten them. report NULL: what
     * the run was at its end is in the store alone. */
    void (*ended)(const struct run_report *report, struct watcher *watchers);
};

/* Follows one run. Owned by the API's call; see partition/follow.h. */
struct watcher {
    struct follower follower; /* Whose numbers are seqs; `read` is given by the API. */
    bool deltas; /* Wants deltas. */
    /* The feature's own: */
    struct watcher *next; /* In the chain that `ended` is given. */
    uuid run;
    uint32_t effect; /* The model call whose deltas were pushed last, ... */
    uint32_t attempt; /* ... its attempt, ... */
    uint64_t offset; /* ... and up to which byte. */
    bool caught_up_said;
};

static inline struct watcher *watcher_of(struct follower *follower)
{
    return container_of(follower, struct watcher, follower);
}

/* Shows a piece of a model's text, or a task's progress. A model's is kept for those who come late,
 * until the call has ended. */
void watch_delta(struct partition *partition, struct live_run *run, uint32_t effect,
                 uint32_t attempt, unsigned kind, str text);
/* The call is over: what it has shown is of no more use. */
void watch_forget_text(struct partition *partition, struct live_run *run);

struct watch_request {
    struct request request;
    struct watcher *watcher;
};
extern const struct operation watch_operation;

static inline struct watch_request *watch_request(struct request *request)
{
    assert(request->operation == &watch_operation);
    return container_of(request, struct watch_request, request);
}

#endif
