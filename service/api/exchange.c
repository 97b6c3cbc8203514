#include "service/api/exchange.h"

#include "service/api/api.h"
#include "service/api/reading.h"
#include "service/base/failure.h"
#include "service/features/reports/reports.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"

enum {
    BUSY_RETRY_MS = 100,
};

static struct partition *partition_of(const struct api_call *call)
{
    assert(call->service != NULL);
    const struct api *api = call->service;
    return api->partition;
}

struct request *exchange_new(struct api_call *call, const struct operation *operation,
                             exchange_done *done)
{
    assert(call != NULL);
    assert(done != NULL);
    struct request *request = request_new(operation);
    request->done = done;
    request->context = call;
    request->principal = call->principal;
    call->vtable->ref(call);
    return request;
}

struct api_call *exchange_call(const struct request *request)
{
    assert(request->context != NULL);
    return request->context;
}

void exchange_end(struct request *request)
{
    struct api_call *call = exchange_call(request);
    if (request->holds_peer) {
        call->vtable->let_on(call);
    }
    request_free(request);
    call->vtable->unref(call);
}

void exchange_ignore(struct request *request, const struct failure *failure)
{
    (void)failure;
    exchange_end(request);
}

bool exchange_try_post(struct request *request)
{
    if (partition_post(partition_of(exchange_call(request)), request)) {
        return true;
    }
    exchange_end(request);
    return false;
}

bool exchange_post(struct request *request)
{
    struct api_call *call = exchange_call(request);
    if (exchange_try_post(request)) {
        return true;
    }
    struct failure busy = exchange_busy();
    api_call_fail(call, &busy);
    return false;
}

bool exchange_post_checked(struct request *request, bool is_fine, const struct check *check)
{
    assert(is_fine == (check->error.code == CODE_OK)); /* A refusal names a field, and only it. */
    assert(check->arena == &request->arena);
    if (is_fine) {
        return exchange_post(request);
    }
    api_call_fail(exchange_call(request), &check->error);
    exchange_end(request);
    return false;
}

void exchange_post_always(struct request *request)
{
    partition_post_always(partition_of(exchange_call(request)), request);
}

void exchange_post_said(struct request *request)
{
    struct api_call *call = exchange_call(request);
    request->holds_peer = partition_is_full(partition_of(call));
    if (request->holds_peer) {
        call->vtable->hold(call);
    }
    exchange_post_always(request);
}

struct failure exchange_busy(void)
{
    return (struct failure){
        .code = CODE_RESOURCE_EXHAUSTED,
        .reason = REASON_SERVER_BUSY,
        .message = STR("The server has more requests waiting than it takes; try again later."),
        .retry_after_ms = BUSY_RETRY_MS,
    };
}

void exchange_fail_read(struct api_call *call, status why, struct arena *arena)
{
    struct failure failure = failure_of_run(why, arena);
    api_call_fail(call, &failure);
}

bool exchange_failed(struct request *request, const struct failure *failure)
{
    if (!failure_happened(failure)) {
        return false;
    }
    api_call_fail(exchange_call(request), failure);
    exchange_end(request);
    return true;
}

void exchange_reply_run(struct request *request, exchange_answer_run *answer)
{
    assert(report_request(request)->ret != NULL);
    reading_answer_report(exchange_call(request), report_request(request)->ret, answer);
    exchange_end(request);
}

void exchange_stream_finish(struct exchange_stream *stream, const struct failure *failure)
{
    if (stream->is_finished) {
        return;
    }
    stream->is_finished = true;
    stream->call->vtable->finish(stream->call, failure_happened(failure) ? failure : NULL);
}

void exchange_stream_begun(struct exchange_stream *stream, struct request *request,
                           const struct failure *failure)
{
    if (failure_happened(failure)) {
        exchange_stream_finish(stream, failure);
    }
    exchange_end(request);
}

void exchange_stream_left(struct exchange_stream *stream, struct request *request)
{
    assert(stream->call == exchange_call(request));
    static const struct failure gone = {
        .code = CODE_CANCELLED,
        .reason = REASON_CALLER_GONE,
        .message = {"The caller has gone.", 20},
    };
    exchange_stream_finish(stream, &gone);
    exchange_end(request);
}

void exchange_closed(struct api_call *call)
{
    /* Its request is out; see methods.h. */
    assert(call != NULL);
}
