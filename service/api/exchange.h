/*
 * exchange: one request to the partition on behalf of one call.
 *
 * Invariant: a call is referenced while a request of it is out, so `done` may always use it.
 * Threading: new and post on the thread of the call's handler; the rest in `done`, on the
 *            partition thread. After exchange_post() the request may already be gone.
 *
 * call->user is written in `start`, before anything is posted, and never again; it is freed in
 * `released`. What it points to says, field by field, which thread owns what.
 */
#ifndef SERVICE_API_EXCHANGE_H
#define SERVICE_API_EXCHANGE_H

#include "polos/v1/common.pb-c.h"
#include "service/api/check.h"
#include "service/base/failure.h"
#include "service/partition/request.h"

typedef void exchange_done(struct request *request, const struct failure *failure);

/* request->context is the call. */
struct request *exchange_new(struct api_call *call, const struct operation *operation,
                             exchange_done *done);
/* False: the inbox was full; the request is freed and nothing was answered. */
[[nodiscard]] bool exchange_try_post(struct request *request);
/* As above, and then answers RESOURCE_EXHAUSTED. */
bool exchange_post(struct request *request);
/* As above where all was fine; else answers with the check's fault. True: it was posted. */
bool exchange_post_checked(struct request *request, bool is_fine, const struct check *check);
/* For what may not be lost. */
void exchange_post_always(struct request *request);
/* For what a peer says on its stream, which is never refused for want of room: where there is none,
 * no more is read from it until this is done. */
void exchange_post_said(struct request *request);

/* The call it was made for; lives until exchange_end(). */
struct api_call *exchange_call(const struct request *request);
/* True: it failed, the call was told, the request is freed; return. */
[[nodiscard]] bool exchange_failed(struct request *request, const struct failure *failure);
/* The call was answered: frees the request, lets go of the call. */
void exchange_end(struct request *request);
/* How one service words its answer about a run. */
typedef void exchange_answer_run(struct api_call *call, Polos__V1__Run *run);
/* Answers with the run that was reported, once the store was read, and ends. */
void exchange_reply_run(struct request *request, exchange_answer_run *answer);
/* `closed` of a unary call: does nothing, its request is out. */
void exchange_closed(struct api_call *call);
/* A `done` that waits for nothing. */
void exchange_ignore(struct request *request, const struct failure *failure);

/* The inbox was full. */
struct failure exchange_busy(void);
/* What was read of a run makes no sense. The arena is for the sentence. */
void exchange_fail_read(struct api_call *call, status why, struct arena *arena);

/* A call that follows something until it is finished, once. */
struct exchange_stream {
    struct api_call *call; /* Constant. */
    bool is_posted; /* The call's thread's: the partition knows of it. */
    bool is_finished; /* The partition thread's. */
};

/* failure NULL: it ended well. */
void exchange_stream_finish(struct exchange_stream *stream, const struct failure *failure);
/* `done` of the request that began it: a failure finishes it. */
void exchange_stream_begun(struct exchange_stream *stream, struct request *request,
                           const struct failure *failure);
/* `done` of the request that says that the caller has gone. */
void exchange_stream_left(struct exchange_stream *stream, struct request *request);

#endif
