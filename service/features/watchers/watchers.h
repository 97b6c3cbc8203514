/*
 * watchers: those who follow a run: facts from the journal first, then live.
 *
 * They are kept by the run's id: a run that is read again needs no hand-over.
 */
#ifndef SERVICE_FEATURES_WATCHERS_WATCHERS_H
#define SERVICE_FEATURES_WATCHERS_WATCHERS_H

#include "service/base/payload.h"
#include "service/codec/codec.h"
#include "service/partition/feature.h"
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
     * is shown the end and nothing after it. The partition has forgotten them. */
    void (*ended)(const struct run_report *report, struct watcher *watchers);
};

/* Follows one run. Owned by the API's call; calls come from the partition thread. */
struct watcher {
    /* Sends one thing; bytes are packed once per fact or delta and shared by all watchers. */
    void (*push)(struct watcher *watcher, struct payload *payload);
    /* Whether the peer has to take some of what was pushed first. Once this was answered true,
     * watch_more_operation follows when it has. */
    bool (*stalls)(struct watcher *watcher);
    /* It ends before the run did. Nothing follows; the partition has forgotten the watcher. */
    void (*end)(struct watcher *watcher, const struct failure *failure);
    bool deltas; /* Wants deltas. */
    /* The feature's own: */
    struct watcher *next;
    uuid run;
    uint32_t seq; /* Facts up to here were pushed. */
    uint32_t effect; /* The model call whose deltas were pushed last, ... */
    uint32_t attempt; /* ... its attempt, ... */
    uint64_t offset; /* ... and up to which byte. */
    bool is_live; /* Has read the journal to its end. */
    bool is_stalled; /* Waits for watch_more_operation. */
    bool caught_up_said;
};

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
extern const struct operation watch_more_operation; /* It can take more. */
/* Its caller is gone; it may have ended before. */
extern const struct operation watch_end_operation;

static inline struct watch_request *watch_request(struct request *request)
{
    assert(request->operation->request_bytes == sizeof(struct watch_request));
    return container_of(request, struct watch_request, request);
}

#endif
