#include "polos/v1/runs.pb-c.h"
#include "service/agents/definition.h"
#include "service/api/api.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/reading.h"
#include "service/api/run_input.h"
#include "service/api/run_view.h"
#include "service/api/text.h"
#include "service/base/buf.h"
#include "service/base/failure.h"
#include "service/base/hash.h"
#include "service/features/deletions/deletions.h"
#include "service/features/forks/forks.h"
#include "service/features/inputs/inputs.h"
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

static void answer_get_basic(struct api_call *call, Polos__V1__Run *run)
{
    run_view_shorten(run);
    answer_get(call, run);
}

static void get_run(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceGetRequest *proto = (const void *)message;
    bool is_basic = proto->view == POLOS__V1__RUN_VIEW__RUN_VIEW_BASIC;
    struct read *read = reading_run_new(call, is_basic ? answer_get_basic : answer_get);
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

static void sent(struct request *request, const struct failure *failure)
{
    Polos__V1__RunServiceSendResponse response = POLOS__V1__RUN_SERVICE_SEND_RESPONSE__INIT;
    const struct send_request *send = send_request(request);
    if (exchange_failed(request, failure)) {
        return;
    }
    response.input_id = (char *)arena_printf(&request->arena, "%u", send->ret_number).ptr;
    response.existed = send->ret_existed;
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void send_input(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceSendRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &send_operation, sent);
    struct send_request *send = send_request(request);
    const struct api *api = call->service;
    struct check check = {.arena = &request->arena, .json_bytes_max = api->input_bytes_max};
    const struct run_input input = {.text = str_of(proto->input)};
    send->key = check_copy(&check, proto->idempotency_key);
    bool is_fine = check_uuid(&check, "run_id", str_of(proto->run_id), &request->run) &&
                   check_bytes(&check, "idempotency_key", send->key, CHECK_LABEL_BYTES_MAX) &&
                   check_range(&check, "mode", proto->mode, 0,
                               POLOS__V1__RUN_SERVICE_SEND_REQUEST__MODE__MODE_NEXT_TURN) &&
                   check_some(&check, "input", input.text, SIZE_MAX) &&
                   run_input_take(&check, "", RUN_KIND_AGENT, &input, &send->data);
    exchange_post_checked(request, is_fine, &check);
}

/* ---- Fork and Retry: a new run of an old one's facts. ---- */

/* A key stands for what was asked. after_seq 0: a retry. */
static void digest_copy(const struct fork_request *fork, uint8_t ret[16])
{
    struct buf buf = {0};
    buf_put_counted(&buf, fork->after_seq == 0 ? STR("retry") : STR("fork"));
    buf_put(&buf, str_make(fork->report.request.run.bytes, sizeof(uuid)));
    buf_put_u64_le(&buf, fork->after_seq);
    hash128(buf_str(&buf), ret);
    buf_fini(&buf);
}

static bool take_copy(struct check *check, const char *run_id, const char *key, uint32_t after_seq,
                      struct fork_request *ret)
{
    ret->after_seq = after_seq;
    ret->idempotency_key = check_copy(check, key);
    bool is_fine =
        check_uuid(check, "run_id", str_of(run_id), &ret->report.request.run) &&
        check_bytes(check, "idempotency_key", ret->idempotency_key, CHECK_LABEL_BYTES_MAX);
    digest_copy(ret, ret->digest);
    return is_fine;
}

static void answer_retry(struct api_call *call, Polos__V1__Run *run, bool existed)
{
    Polos__V1__RunServiceRetryResponse response = POLOS__V1__RUN_SERVICE_RETRY_RESPONSE__INIT;
    assert(run != NULL);
    response.run = run;
    response.existed = existed;
    api_call_reply(call, &response.base);
}

static void answer_retried(struct api_call *call, Polos__V1__Run *run)
{
    answer_retry(call, run, false);
}

static void answer_retried_before(struct api_call *call, Polos__V1__Run *run)
{
    answer_retry(call, run, true);
}

static void retried(struct request *request, const struct failure *failure)
{
    bool existed = fork_request(request)->ret_existed;
    reported(request, failure, existed ? answer_retried_before : answer_retried);
}

static void retry_run(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceRetryRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &retry_operation, retried);
    struct check check = {.arena = &request->arena};
    bool is_fine =
        take_copy(&check, proto->run_id, proto->idempotency_key, 0, fork_request(request));
    exchange_post_checked(request, is_fine, &check);
}

static void answer_fork(struct api_call *call, Polos__V1__Run *run, bool existed)
{
    Polos__V1__RunServiceForkResponse response = POLOS__V1__RUN_SERVICE_FORK_RESPONSE__INIT;
    assert(run != NULL);
    response.run = run;
    response.existed = existed;
    api_call_reply(call, &response.base);
}

static void answer_forked(struct api_call *call, Polos__V1__Run *run)
{
    answer_fork(call, run, false);
}

static void answer_forked_before(struct api_call *call, Polos__V1__Run *run)
{
    answer_fork(call, run, true);
}

static void forked(struct request *request, const struct failure *failure)
{
    bool existed = fork_request(request)->ret_existed;
    reported(request, failure, existed ? answer_forked_before : answer_forked);
}

static void fork_run(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceForkRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &fork_operation, forked);
    struct check check = {.arena = &request->arena};
    bool is_fine = take_copy(&check, proto->run_id, proto->idempotency_key, proto->after_seq,
                             fork_request(request)) &&
                   check_range(&check, "after_seq", proto->after_seq, 1, UINT32_MAX);
    exchange_post_checked(request, is_fine, &check);
}

static void deleted(struct request *request, const struct failure *failure)
{
    Polos__V1__RunServiceDeleteResponse response = POLOS__V1__RUN_SERVICE_DELETE_RESPONSE__INIT;
    if (exchange_failed(request, failure)) {
        return;
    }
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void delete_run(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceDeleteRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &delete_operation, deleted);
    struct check check = {.arena = &request->arena};
    bool is_fine = check_uuid(&check, "run_id", str_of(proto->run_id), &request->run);
    exchange_post_checked(request, is_fine, &check);
}

const struct api_method runs_methods[] = {
    {
        .path = "/polos.v1.RunService/Get",
        .is_read = true,
        .request = &polos__v1__run_service_get_request__descriptor,
        .response = &polos__v1__run_service_get_response__descriptor,
        .start = get_run,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.RunService/Send",
        .request = &polos__v1__run_service_send_request__descriptor,
        .response = &polos__v1__run_service_send_response__descriptor,
        .start = send_input,
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
    {
        .path = "/polos.v1.RunService/Delete",
        .request = &polos__v1__run_service_delete_request__descriptor,
        .response = &polos__v1__run_service_delete_response__descriptor,
        .start = delete_run,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
