/*
 * watchers: those who follow a run, or a whole tree: facts from the journal first, then live.
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

/* Where in a tree something happened; NULL in place of it: the run is followed by itself. */
struct tree_point {
    uuid run; /* Zero: the root. */
    uint64_t number; /* In the tree's order, of the last fact up to here. */
};

struct watch_delta {
    uint32_t seq; /* Of the run's last fact before it. */
    uint32_t effect;
    uint32_t attempt;
    uint32_t turn;
    uint64_t offset; /* Behind its text; 0: it is progress, not a model's text. */
    unsigned kind; /* The API's DeltaKind: enum model_delta_kind + 1, or 4 for progress. */
    str text;
};

/* What a fact, a delta or an end looks like on the wire is the API's affair. */
struct watch_format {
    /* `each` takes the reference. */
    void (*fact)(const struct tree_point *at, const struct codec_entry *entry,
                 const struct event *event, void (*each)(void *context, struct payload *payload),
                 void *context);
    struct payload *(*delta)(const struct tree_point *at, const struct watch_delta *delta);
    /* Up to that fact: a run's seq, or a number in a tree's order. */
    struct payload *(*caught_up)(bool is_tree, uint64_t number);
    /* The run has ended, and all its facts were pushed to these watchers, chained by `next`: each
     * is shown the end and nothing after it. The partition has forgotten them. report NULL: what
     * the run was at its end is in the store alone. */
    void (*ended)(const struct run_report *report, struct watcher *watchers);
};

/* How far a model call's text was shown. */
struct text_mark {
    uuid run;
    uint32_t effect;
    uint32_t attempt;
    uint64_t offset;
};

/* Follows one run, or a tree. Owned by the API's call; see partition/follow.h. */
struct watcher {
    struct follower follower; /* Whose numbers are seqs, or a tree's; `read` is the API's. */
    bool deltas; /* Wants deltas. */
    bool is_tree; /* All runs below the run, which is a root, too. */
    struct text_mark text; /* Of the call whose text was shown last; not of a tree. */
    /* The feature's own: */
    struct watcher *next; /* In the chain that `ended` is given. */
    uuid run;
    struct text_mark *texts; /* Of a tree: of each call in flight of which something was shown. */
    size_t text_count;
    size_t text_capacity;
    bool caught_up_said;
};

/* By its owner, when it follows nothing any more. */
void watcher_fini(struct watcher *watcher);

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
