#include "service/rpc/receive.h"

#include <grpc/support/alloc.h>

#include "service/base/sys.h"
#include "service/rpc/call.h"

enum {
    SLOW_US = 10 * 1000 * 1000, /* For one message, while others wait. */
    AGAIN_MS = 1000,
};

void receive_init(struct receive *receive, size_t bytes_max, size_t message_bytes_max)
{
    size_t read_bytes_max = bytes_max / 4;
    size_t places = read_bytes_max / message_bytes_max;
    size_t waiting = (bytes_max - read_bytes_max) / RECEIVE_WINDOW_BYTES;
    assert(message_bytes_max > 0);
    *receive = (struct receive){
        .places = places == 0 ? 1 : (uint32_t)(places < UINT32_MAX ? places : UINT32_MAX),
        .waiting_max = (uint32_t)(waiting < UINT32_MAX ? waiting : UINT32_MAX),
    };
    receive->last = &receive->first;
}

static void refuse(struct rpc_call *call, const char *why)
{
    call_end(call, &(struct failure){
                       .code = CODE_RESOURCE_EXHAUSTED,
                       .reason = REASON_SERVER_BUSY,
                       .message = str_of(why),
                       .retry_after_ms = AGAIN_MS,
                   });
}

static void take_place(struct receive *receive, struct rpc_call *call)
{
    assert(receive->reading < receive->places && !call->has_place);
    receive->reading++;
    call->has_place = true;
    call->reading_since_us = sys_monotonic_us();
}

static void join(struct receive *receive, struct rpc_call *call)
{
    assert(call->line_link == NULL && *receive->last == NULL);
    call->line_next = NULL;
    call->line_link = receive->last;
    *receive->last = call;
    receive->last = &call->line_next;
    receive->waiting++;
}

bool receive_begin(struct rpc_call *call)
{
    struct receive *receive = &call->loop->receive;
    assert(call->state == CALL_OPEN);
    if (call->line_link != NULL) {
        return false; /* It waits already. */
    }
    if (receive->reading < receive->places) {
        assert(receive->waiting == 0);
        take_place(receive, call);
        return true;
    }
    if (receive->waiting == receive->waiting_max) {
        refuse(call, "the server takes in as many requests at once as it may; try again");
        return false;
    }
    join(receive, call);
    return false;
}

void receive_leave(struct rpc_call *call)
{
    struct receive *receive = &call->loop->receive;
    if (call->line_link == NULL) {
        return;
    }
    assert(receive->waiting > 0 && *call->line_link == call);
    *call->line_link = call->line_next;
    if (call->line_next == NULL) {
        receive->last = call->line_link;
    } else {
        call->line_next->line_link = call->line_link;
    }
    call->line_link = NULL;
    receive->waiting--;
}

struct rpc_call *receive_end(struct rpc_call *call)
{
    struct receive *receive = &call->loop->receive;
    struct rpc_call *next = receive->first;
    if (!call->has_place) {
        return NULL;
    }
    assert(receive->reading > 0);
    call->has_place = false;
    receive->reading--;
    if (next != NULL) {
        receive_leave(next);
        take_place(receive, next);
    }
    return next;
}

/* It, and what waits of the same connection: they would be as slow, one after the other. */
static void give_up(struct rpc_call *slow)
{
    struct rpc_call *next;
    char *peer = grpc_call_get_peer(slow->core);
    refuse(slow, "the request came too slowly while others waited; try again");
    for (struct rpc_call *call = slow->loop->receive.first; call != NULL; call = next) {
        char *other = grpc_call_get_peer(call->core);
        next = call->line_next;
        if (strcmp(peer, other) == 0) {
            refuse(call, "requests of this connection came too slowly; try again");
        }
        gpr_free(other);
    }
    gpr_free(peer);
}

void receive_hurry(struct loop *loop)
{
    uint64_t now_us = sys_monotonic_us();
    assert(loop_is_current(loop));
    for (struct rpc_call *call = loop->calls; call != NULL; call = call->next) {
        bool is_late = call->has_place && now_us - call->reading_since_us >= SLOW_US;
        if (is_late && call->state == CALL_OPEN) {
            give_up(call);
        }
    }
}
