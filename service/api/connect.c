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

#include "polos/v1/host.pb-c.h"
#include "service/api/api.h"
#include "service/api/envelope.h"
#include "service/api/exchange.h"
#include "service/api/host_wire.h"
#include "service/api/may_offer.h"
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
    struct envelope out; /* The partition thread's. */
    atomic_int greeting; /* enum greeting; any thread. */
    bool is_greeted; /* The partition thread's: Hello was answered. */
    bool is_finished; /* The partition thread's, once Hello was posted. */
};

static void send_off(struct connect *connect)
{
    if (connect->out.has_any) {
        connect->call->vtable->send(connect->call, envelope_take(&connect->out));
    }
}

static void finish(struct connect *connect, const struct failure *failure)
{
    if (connect->is_finished) {
        return;
    }
    send_off(connect);
    connect->is_finished = true;
    connect->call->vtable->finish(connect->call, failure);
}

static void link_send(struct host_link *link, struct payload *payload)
{
    struct connect *connect = container_of(link, struct connect, link);
    if (!envelope_add(&connect->out, payload)) {
        send_off(connect);
        bool is_added = envelope_add(&connect->out, payload);
        assert(is_added);
    }
    payload_unref(payload);
    if (connect->out.body.len >= ENVELOPE_BYTES_MAX / 2) {
        send_off(connect); /* So that has_room() knows of it. */
    }
}

static void link_flush(struct host_link *link)
{
    send_off(container_of(link, struct connect, link));
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
    .flush = link_flush,
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
    host_request(request)->departure = connect->call->is_expelled            ? HOST_EXPELLED
                                       : failure_happened(&connect->leaving) ? HOST_CUT_OFF
                                                                             : HOST_HUNG_UP;
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

static void take_hello(struct connect *connect, const Polos__V1__ToolServiceConnectRequest *first)
{
    assert(connect->state == CONNECT_NEW);
    struct request *request = exchange_new(connect->call, &hello_operation, greeted);
    struct check check = {.arena = &request->arena};
    bool is_fine = true;
    if (first->hello == NULL) {
        is_fine = check_fault(&check, "hello", "the first envelope of a stream has to have it");
    } else if (first->n_messages > 0 || first->n_deltas > 0 || first->first_seq != 0) {
        is_fine = check_fault(&check, "messages", "leave them for the envelopes after hello");
    }
    hello_request(request)->link = &connect->link;
    if (!is_fine || !host_wire_hello(&check, first->hello, request) ||
        !check_hello_offers(&check, connect->call, &hello_request(request)->hello,
                            hello_request(request)->definitions,
                            hello_request(request)->definition_count)) {
        leave(connect, &check.error);
        exchange_end(request);
        return;
    }
    hello_request(request)->hello.ack = first->ack;
    if (!exchange_try_post(request)) {
        struct failure busy = exchange_busy();
        leave(connect, &busy);
        return;
    }
    connect->state = CONNECT_OPEN;
}

static struct request *new_message(struct connect *connect, struct check *ret_check)
{
    const struct api *api = connect->call->service;
    struct request *request = exchange_new(connect->call, &host_message_operation, exchange_ignore);
    *ret_check = (struct check){.arena = &request->arena, .json_bytes_max = api->input_bytes_max};
    host_request(request)->link = &connect->link;
    return request;
}

static void post_message(struct connect *connect, struct request *request,
                         const struct check *check, bool is_fine)
{
    assert(is_fine == (check->error.code == CODE_OK));
    if (!is_fine) {
        leave(connect, &check->error);
        exchange_end(request);
        return;
    }
    exchange_post_said(request);
}

/* Of an envelope without messages. */
static void take_acknowledgement(struct connect *connect, uint64_t ack)
{
    struct check check;
    struct request *request = new_message(connect, &check);
    host_request(request)->message = (struct host_message){.ack = ack};
    post_message(connect, request, &check, true);
}

static void take_delta(struct connect *connect,
                       const Polos__V1__ToolServiceConnectRequest *envelope, size_t index)
{
    struct check check;
    struct request *request = new_message(connect, &check);
    struct host_message *message = &host_request(request)->message;
    bool is_fine = host_wire_delta(&check, envelope->deltas[index], message);
    message->ack = envelope->ack;
    post_message(connect, request, &check, is_fine);
}

static void take_message(struct connect *connect,
                         const Polos__V1__ToolServiceConnectRequest *envelope, size_t index)
{
    struct check check;
    struct request *request = new_message(connect, &check);
    struct host_message *message = &host_request(request)->message;
    bool is_fine = host_wire_message(&check, envelope->messages[index], message);
    message->seq = envelope->first_seq + index;
    message->ack = envelope->ack;
    post_message(connect, request, &check, is_fine);
}

static void take_envelope(struct connect *connect,
                          const Polos__V1__ToolServiceConnectRequest *envelope)
{
    assert(connect->state == CONNECT_OPEN);
    struct check check = {.arena = &connect->arena};
    if (!host_wire_check_envelope(&check, envelope)) {
        leave(connect, &check.error);
        return;
    }
    if (envelope->n_messages + envelope->n_deltas == 0) {
        take_acknowledgement(connect, envelope->ack);
    }
    for (size_t i = 0; i < envelope->n_deltas && connect->state == CONNECT_OPEN; i++) {
        take_delta(connect, envelope, i);
    }
    for (size_t i = 0; i < envelope->n_messages && connect->state == CONNECT_OPEN; i++) {
        take_message(connect, envelope, i);
    }
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
        take_envelope(connect, (const void *)message);
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
    envelope_fini(&connect->out);
    free(connect);
}

const struct api_method connect_methods[] = {
    {
        .path = "/polos.v1.ToolService/Connect",
        .kind = API_BIDI,
        .request = &polos__v1__tool_service_connect_request__descriptor,
        .response = &polos__v1__tool_service_connect_response__descriptor,
        .start = connect_start,
        .message = connect_message,
        .writable = connect_writable,
        .closed = connect_closed,
        .released = connect_released,
    },
    {.path = NULL},
};
