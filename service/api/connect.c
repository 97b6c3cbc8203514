/*
 * connect: a host's stream.
 *
 *   NEW --Hello--> OPEN --the host leaves, or breaks a rule--> LEAVING
 *                                 (&host_gone_operation is out; its done finishes the call)
 *
 * The partition may close the stream at any time; then it has let go of the link, and what the
 * host still says is passed over there.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "polos/v1/tools.pb-c.h"
#include "service/api/api.h"
#include "service/api/exchange.h"
#include "service/api/host_wire.h"
#include "service/api/methods.h"
#include "service/base/failure.h"
#include "service/features/tasks/tasks.h"
#include "service/partition/request.h"

enum connect_state {
    CONNECT_NEW,
    CONNECT_OPEN,
    CONNECT_LEAVING, /* Also: refused before Hello. */
};

/* HOST_GONE must not overtake Hello, so who comes second posts it. */
enum greeting {
    GREETING_PENDING,
    GREETING_DONE, /* Hello was answered. */
    GREETING_LEFT, /* The host left first. */
};

/* call->user. Lives until `released`: the partition lets go of the link before the call is
 * finished, and each request that names the link holds the call. */
struct connect {
    struct host_link link; /* The partition thread's, once Hello was posted. */
    struct api_call *call; /* Constant. */
    enum connect_state state; /* The call's thread's. */
    struct failure leaving; /* Why; code OK: the host hung up. Written before HOST_GONE. */
    struct arena arena; /* Of `leaving`. */
    atomic_int greeting; /* enum greeting; any thread. */
    bool is_greeted; /* The partition thread's: Hello was answered. */
    bool is_finished; /* The partition thread's, once Hello was posted. */
};

static void finish(struct connect *connect, const struct failure *failure)
{
    if (connect->is_finished) {
        return;
    }
    connect->is_finished = true;
    connect->call->vtable->finish(connect->call, failure);
}

static void link_send(struct host_link *link, struct payload *payload)
{
    struct connect *connect = container_of(link, struct connect, link);
    connect->call->vtable->send(connect->call, payload);
}

static bool link_has_room(const struct host_link *link)
{
    struct api_call *call = container_of(link, const struct connect, link)->call;
    return !call->vtable->stalls(call);
}

static void link_close(struct host_link *link, enum code code, enum reason reason, str message)
{
    struct connect *connect = container_of(link, struct connect, link);
    if (!connect->is_greeted) {
        return; /* Hello is refused: its answer finishes the call, and names the field. */
    }
    struct failure why = {.code = code, .reason = reason, .message = message};
    finish(connect, failure_happened(&why) ? &why : NULL);
}

static const struct host_link_vtable link_vtable = {
    .pack = host_wire_pack,
    .send = link_send,
    .has_room = link_has_room,
    .close = link_close,
};

static void gone(struct request *request, const struct failure *failure)
{
    (void)failure;
    struct connect *connect = exchange_call(request)->user;
    finish(connect, failure_happened(&connect->leaving) ? &connect->leaving : NULL);
    exchange_end(request);
}

static void post_gone(struct connect *connect)
{
    struct request *request = exchange_new(connect->call, &host_gone_operation, gone);
    host_request(request)->link = &connect->link;
    host_request(request)->has_left = !failure_happened(&connect->leaving);
    exchange_post_always(request);
}

static void greeted(struct request *request, const struct failure *failure)
{
    struct connect *connect = exchange_call(request)->user;
    assert(!connect->is_greeted); /* A stream has one Hello. */
    connect->is_greeted = true;
    if (failure_happened(failure)) {
        finish(connect, failure);
    }
    int greeting = GREETING_PENDING;
    if (!atomic_compare_exchange_strong(&connect->greeting, &greeting, GREETING_DONE)) {
        assert(greeting == GREETING_LEFT);
        post_gone(connect);
    }
    exchange_end(request);
}

static void leave(struct connect *connect, const struct failure *why)
{
    assert(why == NULL || failure_happened(why));
    enum connect_state before = connect->state;
    connect->state = CONNECT_LEAVING;
    if (before == CONNECT_LEAVING) {
        return;
    }
    if (before == CONNECT_NEW) {
        finish(connect, why);
        return;
    }
    if (why != NULL) {
        connect->leaving = *why;
        connect->leaving.field = arena_copy(&connect->arena, why->field);
        connect->leaving.message = arena_copy(&connect->arena, why->message);
    }
    if (atomic_exchange(&connect->greeting, GREETING_LEFT) == GREETING_DONE) {
        post_gone(connect);
    }
}

static void take_hello(struct connect *connect, const Polos__V1__HostMessage *message)
{
    assert(connect->state == CONNECT_NEW);
    struct request *request = exchange_new(connect->call, &hello_operation, greeted);
    struct check check = {.arena = &request->arena};
    bool is_fine = true;
    if (message->message_case != POLOS__V1__HOST_MESSAGE__MESSAGE_HELLO) {
        is_fine = check_fault(&check, "message", "the first message of a stream has to be hello");
    } else if (message->seq != 0) {
        is_fine = check_fault(&check, "seq", "leave it 0: hello is not numbered");
    }
    hello_request(request)->link = &connect->link;
    if (!is_fine || !host_wire_hello(&check, message->hello, request)) {
        leave(connect, &check.error);
        exchange_end(request);
        return;
    }
    if (!exchange_try_post(request)) {
        struct failure busy = exchange_busy();
        leave(connect, &busy);
        return;
    }
    connect->state = CONNECT_OPEN;
}

static void take_message(struct connect *connect, const Polos__V1__HostMessage *message)
{
    assert(connect->state == CONNECT_OPEN);
    const struct api *api = connect->call->service;
    struct request *request = exchange_new(connect->call, &host_message_operation, exchange_ignore);
    struct check check = {.arena = &request->arena, .json_bytes_max = api->input_bytes_max};
    host_request(request)->link = &connect->link;
    if (!host_wire_message(&check, message, &host_request(request)->message)) {
        leave(connect, &check.error);
        exchange_end(request);
        return;
    }
    exchange_post_said(request);
}

static void connect_start(struct api_call *call, const ProtobufCMessage *request)
{
    assert(request == NULL);
    assert(call->user == NULL);
    struct connect *connect = xcalloc(1, sizeof(*connect));
    connect->link.vtable = &link_vtable;
    connect->call = call;
    atomic_init(&connect->greeting, GREETING_PENDING);
    arena_init(&connect->arena, 0);
    call->user = connect;
}

static void connect_message(struct api_call *call, const ProtobufCMessage *message)
{
    struct connect *connect = call->user;
    assert(connect != NULL && connect->call == call);
    if (message == NULL) {
        leave(connect, NULL);
        return;
    }
    switch (connect->state) {
    case CONNECT_NEW:
        take_hello(connect, (const void *)message);
        break;
    case CONNECT_OPEN:
        take_message(connect, (const void *)message);
        break;
    case CONNECT_LEAVING:
        break;
    }
}

static void connect_writable(struct api_call *call)
{
    struct connect *connect = call->user;
    if (connect->state != CONNECT_OPEN) {
        return;
    }
    struct request *request = exchange_new(call, &host_writable_operation, exchange_ignore);
    host_request(request)->link = &connect->link;
    exchange_post_always(request);
}

static void connect_closed(struct api_call *call)
{
    static const struct failure lost = {
        .code = CODE_CANCELLED,
        .reason = REASON_CALLER_GONE,
        .message = {"The host has gone.", 18},
    };
    leave(call->user, &lost);
}

static void connect_released(struct api_call *call)
{
    struct connect *connect = call->user;
    assert(connect != NULL && connect->call == call);
    arena_fini(&connect->arena);
    free(connect);
}

const struct api_method connect_methods[] = {
    {
        .path = "/polos.v1.ToolService/Connect",
        .kind = API_BIDI,
        .request = &polos__v1__host_message__descriptor,
        .response = &polos__v1__server_message__descriptor,
        .start = connect_start,
        .message = connect_message,
        .writable = connect_writable,
        .closed = connect_closed,
        .released = connect_released,
    },
    {.path = NULL},
};
