/*
 * watch: a stream that follows one run.
 *
 *   start --&watch_operation--> followed --end()--> finished
 *                               |  ^
 *                        closed |  | writable --&watch_more_operation
 *                               v
 *                        &watch_end_operation --end() or done()--> finished
 */
#include <stdlib.h>

#include "polos/v1/runs.pb-c.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/format.h"
#include "service/api/methods.h"
#include "service/base/failure.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/request.h"

/* call->user. Lives until `released`; the partition lets go of the watcher before the call is
 * finished, and a call is never released before that. */
struct watch {
    struct watcher watcher; /* The partition thread's, once posted. */
    struct exchange_stream stream;
    uuid run; /* Constant. */
};

static struct watch *watch_of(struct watcher *watcher)
{
    return container_of(watcher, struct watch, watcher);
}

static void push(struct watcher *watcher, struct payload *payload)
{
    struct watch *watch = watch_of(watcher);
    assert(!watch->stream.is_finished);
    watch->stream.call->vtable->send(watch->stream.call, payload);
}

static size_t queued_bytes(struct watcher *watcher)
{
    const struct api_call *call = watch_of(watcher)->stream.call;
    return call->vtable->queued_bytes(call);
}

static void ended(struct watcher *watcher, const struct failure *failure)
{
    exchange_stream_finish(&watch_of(watcher)->stream, failure);
}

static void watched(struct request *request, const struct failure *failure)
{
    exchange_stream_begun(&watch_of(watch_request(request)->watcher)->stream, request, failure);
}

static void left(struct request *request, const struct failure *failure)
{
    (void)failure;
    exchange_stream_left(&watch_of(watch_request(request)->watcher)->stream, request);
}

static bool take_position(struct check *check, str text, struct watcher *ret)
{
    if (text.len == 0) {
        return true;
    }
    struct position position;
    if (!position_parse(text, &position)) {
        return check_fault(check, "from_position",
                           "pass a position that Watch answered, or nothing to start over");
    }
    ret->seq = position.seq;
    ret->effect = position.effect;
    ret->attempt = position.attempt;
    ret->offset = position.offset;
    return true;
}

static struct watch *watch_new(struct api_call *call)
{
    struct watch *watch = xcalloc(1, sizeof(*watch));
    watch->stream.call = call;
    watch->watcher.push = push;
    watch->watcher.queued_bytes = queued_bytes;
    watch->watcher.end = ended;
    return watch;
}

static void watch_start(struct api_call *call, const ProtobufCMessage *message)
{
    assert(call->user == NULL);
    const Polos__V1__RunServiceWatchRequest *proto = (const void *)message;
    struct watch *watch = watch_new(call);
    call->user = watch;
    watch->watcher.deltas = proto->deltas;
    struct request *request = exchange_new(call, &watch_operation, watched);
    watch_request(request)->watcher = &watch->watcher;
    struct check check = {.arena = &request->arena};
    bool is_fine = check_uuid(&check, "run_id", str_of(proto->run_id), &request->run) &&
                   take_position(&check, str_of(proto->from_position), &watch->watcher);
    watch->run = request->run;
    watch->stream.is_posted = exchange_post_checked(request, is_fine, &check);
}

static void post(struct api_call *call, const struct operation *operation, exchange_done *done)
{
    struct watch *watch = call->user;
    assert(watch != NULL && watch->stream.call == call);
    if (!watch->stream.is_posted) {
        return; /* Refused at once: nobody knows the watcher. */
    }
    struct request *request = exchange_new(call, operation, done);
    request->run = watch->run;
    watch_request(request)->watcher = &watch->watcher;
    exchange_post_always(request);
}

static void watch_writable(struct api_call *call)
{
    post(call, &watch_more_operation, exchange_ignore);
}

static void watch_closed(struct api_call *call)
{
    post(call, &watch_end_operation, left);
}

static void watch_released(struct api_call *call)
{
    assert(call->user != NULL);
    free(call->user);
}

const struct api_method watch_methods[] = {
    {
        .path = "/polos.v1.RunService/Watch",
        .kind = API_SERVER_STREAM,
        .request = &polos__v1__run_service_watch_request__descriptor,
        .response = &polos__v1__run_service_watch_response__descriptor,
        .start = watch_start,
        .writable = watch_writable,
        .closed = watch_closed,
        .released = watch_released,
    },
    {.path = NULL},
};
