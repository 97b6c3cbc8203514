#include <stdlib.h>

#include "polos/v1/runs.pb-c.h"
#include "service/api/api.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/run_view.h"
#include "service/api/times.h"
#include "service/features/callers/callers.h"

enum {
    WAIT_MS = 60 * 1000,
    WAIT_MS_MAX = 10 * 60 * 1000,
};

/* call->user: what takes the wait back when the caller goes away. */
struct run_wait {
    uuid run; /* Constant. */
    uint64_t ticket; /* Constant. */
    bool is_basic; /* Constant. */
    bool is_posted; /* The call's thread's. */
};

static void answer_wait(struct api_call *call, Polos__V1__Run *run)
{
    Polos__V1__RunServiceWaitResponse response = POLOS__V1__RUN_SERVICE_WAIT_RESPONSE__INIT;
    const struct run_wait *wait = call->user;
    assert(run != NULL && wait != NULL);
    if (wait->is_basic) {
        run_view_shorten(run);
    }
    response.run = run;
    api_call_reply(call, &response.base);
}

static void waited(struct request *request, const struct failure *failure)
{
    if (!exchange_failed(request, failure)) {
        exchange_reply_run(request, answer_wait);
    }
}

static struct run_wait *run_wait_new(struct api_call *call)
{
    struct api *api = call->service;
    struct run_wait *wait = xcalloc(1, sizeof(*wait));
    wait->ticket = atomic_fetch_add(&api->ticket, 1) + 1;
    call->user = wait;
    return wait;
}

static void wait_for_run(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__RunServiceWaitRequest *proto = (const void *)message;
    assert(call->user == NULL);
    struct run_wait *wait = run_wait_new(call);
    wait->is_basic = proto->view == POLOS__V1__RUN_VIEW__RUN_VIEW_BASIC;
    struct request *request = exchange_new(call, &wait_operation, waited);
    struct check check = {.arena = &request->arena};
    wait_request(request)->ticket = wait->ticket;
    wait_request(request)->timeout_ms = WAIT_MS;
    wait_request(request)->or_suspended = proto->or_suspended;
    wait_request(request)->or_after_seq = proto->or_after_seq;
    bool is_fine =
        check_uuid(&check, "run_id", str_of(proto->run_id), &request->run) &&
        (proto->timeout == NULL || check_length(&check, "timeout", proto->timeout, 1, WAIT_MS_MAX,
                                                &wait_request(request)->timeout_ms));
    wait->run = request->run;
    wait->is_posted = exchange_post_checked(request, is_fine, &check);
}

static void wait_closed(struct api_call *call)
{
    const struct run_wait *wait = call->user;
    assert(wait != NULL);
    if (!wait->is_posted) {
        return;
    }
    struct request *forget = exchange_new(call, &forget_operation, exchange_ignore);
    forget->run = wait->run;
    forget_request(forget)->ticket = wait->ticket;
    exchange_post_always(forget);
}

static void wait_released(struct api_call *call)
{
    free(call->user);
}

const struct api_method run_wait_methods[] = {
    {
        .path = "/polos.v1.RunService/Wait",
        .is_read = true,
        .request = &polos__v1__run_service_wait_request__descriptor,
        .response = &polos__v1__run_service_wait_response__descriptor,
        .start = wait_for_run,
        .closed = wait_closed,
        .released = wait_released,
    },
    {.path = NULL},
};
