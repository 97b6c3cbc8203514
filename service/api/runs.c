#include "polos/v1/runs.pb-c.h"
#include "service/agents/definition.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/reading.h"
#include "service/api/run_view.h"
#include "service/api/text.h"
#include "service/base/failure.h"
#include "service/features/forks/forks.h"
#include "service/features/reports/reports.h"
#include "service/partition/request.h"

static void reported(struct request *request, const struct failure *failure,
                     exchange_answer_run *answer)
{
    if (!exchange_failed(request, failure)) {
        exchange_reply_run(request, answer);
    }
}

static void answer_get(struct api_call *call, Polos__V1__Run *run)
{
    Polos__V1__RunServiceGetResponse response = POLOS__V1__RUN_SERVICE_GET_RESPONSE__INIT;
    assert(run != NULL);
    response.run = run;
    api_call_reply(call, &response.base);
}

static void get_run(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceGetRequest *proto = (const void *)message;
    struct read *read = reading_run_new(call, answer_get);
    struct check check = {.arena = &read->arena};
    bool is_fine = check_uuid(&check, "run_id", str_of(proto->run_id), &read->run);
    reading_post_checked(read, is_fine, &check);
}

static void answer_cancel(struct api_call *call, Polos__V1__Run *run)
{
    Polos__V1__RunServiceCancelResponse response = POLOS__V1__RUN_SERVICE_CANCEL_RESPONSE__INIT;
    assert(run != NULL);
    response.run = run;
    api_call_reply(call, &response.base);
}

static void cancelled(struct request *request, const struct failure *failure)
{
    reported(request, failure, answer_cancel);
}

static void cancel_run(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceCancelRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &cancel_operation, cancelled);
    struct check check = {.arena = &request->arena};
    str cause = str_of(proto->cause);
    bool is_fine = check_uuid(&check, "run_id", str_of(proto->run_id), &request->run) &&
                   check_bytes(&check, "cause", cause, CHECK_CAUSE_BYTES_MAX);
    cancel_request(request)->cause = arena_copy(&request->arena, cause);
    exchange_post_checked(request, is_fine, &check);
}

static void answer_retry(struct api_call *call, Polos__V1__Run *run)
{
    Polos__V1__RunServiceRetryResponse response = POLOS__V1__RUN_SERVICE_RETRY_RESPONSE__INIT;
    assert(run != NULL);
    response.run = run;
    api_call_reply(call, &response.base);
}

static void retried(struct request *request, const struct failure *failure)
{
    reported(request, failure, answer_retry);
}

static void retry_run(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceRetryRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &retry_operation, retried);
    struct check check = {.arena = &request->arena};
    bool is_fine = check_uuid(&check, "run_id", str_of(proto->run_id), &request->run);
    exchange_post_checked(request, is_fine, &check);
}

static void forked(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    Polos__V1__RunServiceForkResponse response = POLOS__V1__RUN_SERVICE_FORK_RESPONSE__INIT;
    assert(!uuid_is_zero(fork_request(request)->ret_run));
    response.run_id = text_of_uuid(&request->arena, fork_request(request)->ret_run);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void fork_run(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceForkRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &fork_operation, forked);
    struct check check = {.arena = &request->arena};
    bool is_fine = check_uuid(&check, "run_id", str_of(proto->run_id), &request->run) &&
                   check_range(&check, "after_seq", proto->after_seq, 1, UINT32_MAX);
    fork_request(request)->after_seq = (uint32_t)proto->after_seq;
    exchange_post_checked(request, is_fine, &check);
}

const struct api_method runs_methods[] = {
    {
        .path = "/polos.v1.RunService/Get",
        .request = &polos__v1__run_service_get_request__descriptor,
        .response = &polos__v1__run_service_get_response__descriptor,
        .start = get_run,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.RunService/Cancel",
        .request = &polos__v1__run_service_cancel_request__descriptor,
        .response = &polos__v1__run_service_cancel_response__descriptor,
        .start = cancel_run,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.RunService/Fork",
        .request = &polos__v1__run_service_fork_request__descriptor,
        .response = &polos__v1__run_service_fork_response__descriptor,
        .start = fork_run,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.RunService/Retry",
        .request = &polos__v1__run_service_retry_request__descriptor,
        .response = &polos__v1__run_service_retry_response__descriptor,
        .start = retry_run,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
