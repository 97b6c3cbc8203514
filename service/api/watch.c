/*
 * watch: a stream that follows one run.
 *
 *   start --&watch_operation--> followed --end()--> finished
 *                               |  ^
 *                        closed |  | writable --&watch_more_operation
 *                               v
 *                        &watch_end_operation --end() or done()--> finished
 *
 * When the run ends the partition lets go of its watchers, all at once; the run is read, and each
 * is sent the same bytes.
 */
#include "service/api/watch.h"

#include <stdlib.h>

#include "polos/v1/runs.pb-c.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/format.h"
#include "service/api/methods.h"
#include "service/api/reading.h"
#include "service/api/run_view.h"
#include "service/base/failure.h"
#include "service/features/reports/reports.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/request.h"
#include "service/reads/run_read.h"

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

static bool stalls(struct watcher *watcher)
{
    struct api_call *call = watch_of(watcher)->stream.call;
    return call->vtable->stalls(call);
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

/* What a read of a run is for that has ended under its watchers. */
struct end {
    struct watcher *watchers;
    struct run_facts known; /* What is shown where the rest cannot be read. */
};

static struct payload *pack_end(struct read *read, const struct failure *failure)
{
    const struct end *end = *reading_own(read);
    const struct run_facts *facts = &run_read(read)->ret;
    struct arena arena;
    Polos__V1__Run *run = NULL;
    arena_init(&arena, 0);
    if (failure != NULL || !status_is_ok(run_view(facts, NULL, &arena, &run))) {
        run = run_view_state(&end->known, &arena); /* That it ended is known all the same. */
    }
    struct payload *ret = format_ended(end->known.state.seq, run);
    arena_fini(&arena);
    return ret;
}

static void end_was_read(struct read *read, const struct failure *failure)
{
    const struct end *end = *reading_own(read);
    struct payload *payload = pack_end(read, failure);
    struct watcher *next;
    for (struct watcher *watcher = end->watchers; watcher != NULL; watcher = next) {
        struct api_call *call = watch_of(watcher)->stream.call;
        next = watcher->next; /* It may be gone with its call. */
        payload_ref(payload);
        call->vtable->send(call, payload);
        call->vtable->finish(call, NULL);
    }
    payload_unref(payload);
    reading_end(read);
}

void watch_show_end(const struct run_report *report, struct watcher *watchers)
{
    assert(watchers != NULL && engine_is_terminal(&report->state));
    struct read *read = reading_new(watch_of(watchers)->stream.call, &run_kind, end_was_read);
    struct end *end = arena_zalloc(&read->arena, sizeof(*end));
    end->watchers = watchers;
    end->known.state = report->state;
    end->known.name = arena_copy(&read->arena, report->name);
    *reading_own(read) = end;
    for (struct watcher *watcher = watchers; watcher != NULL; watcher = watcher->next) {
        watch_of(watcher)->stream.is_finished = true; /* By the read, for the partition. */
    }
    reading_post_report(read, report);
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
    watch->watcher.stalls = stalls;
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
