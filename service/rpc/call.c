#include "service/rpc/call.h"

#include <stdio.h>
#include <stdlib.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

#include "service/keys/keyring.h"
#include "service/rpc/admission.h"
#include "service/rpc/methods.h"

static const char details_key[] = "grpc-status-details-bin";

static void on_accepted(void *owner, bool ok);
static void on_received(void *owner, bool ok);
static void on_sent(void *owner, bool ok);
static void on_closed(void *owner, bool ok);
static void run_release(struct loop_post *post);
static const struct api_call_vtable vtable;

static str slice_str(const grpc_slice *slice)
{
    return str_make(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

static struct rpc_call *call_of(const struct api_call *api)
{
    return container_of(api, struct rpc_call, api);
}

#define TO(state) (1u << (state))

static const unsigned moves[] = {
    [CALL_ARMED] = TO(CALL_OPEN) | TO(CALL_COMPLETE),
    [CALL_OPEN] = TO(CALL_ENDING) | TO(CALL_GONE),
    [CALL_ENDING] = TO(CALL_ENDED) | TO(CALL_GONE),
    [CALL_ENDED] = TO(CALL_GONE) | TO(CALL_COMPLETE),
    [CALL_GONE] = TO(CALL_COMPLETE),
    [CALL_COMPLETE] = TO(CALL_RELEASED),
    [CALL_RELEASED] = 0,
};
static_assert(COUNT_OF(moves) == CALL_STATE_COUNT, "a row for each state");

static void move(struct rpc_call *call, enum call_state state)
{
    assert((moves[call->state] & TO(state)) != 0);
    assert(state >= CALL_COMPLETE || call->core != NULL);
    call->state = state;
    if (state != CALL_OPEN) {
        receive_leave(call);
    }
}

static const unsigned handler_moves[] = {
    [CALL_HANDLER_UNAWARE] = TO(CALL_HANDLER_SERVING) | TO(CALL_HANDLER_SKIPPED),
    [CALL_HANDLER_SERVING] = TO(CALL_HANDLER_TOLD) | TO(CALL_HANDLER_FINISHED),
    [CALL_HANDLER_TOLD] = TO(CALL_HANDLER_FINISHED),
    [CALL_HANDLER_FINISHED] = 0,
    [CALL_HANDLER_SKIPPED] = 0,
};
static_assert(COUNT_OF(handler_moves) == CALL_HANDLER_COUNT, "a row for each state");

static void move_handler(struct rpc_call *call, enum call_handler handler)
{
    assert((handler_moves[call->handler] & TO(handler)) != 0);
    assert(handler != CALL_HANDLER_SERVING || call->state == CALL_OPEN);
    call->handler = handler;
}

static bool handler_is_done(const struct rpc_call *call)
{
    return call->handler == CALL_HANDLER_FINISHED || call->handler == CALL_HANDLER_SKIPPED;
}

static bool is_streaming(const struct rpc_call *call)
{
    return call->api.method != NULL && call->api.method->kind != API_UNARY;
}

/* To be flushed before the thread waits again. */
static void touch(struct rpc_call *call)
{
    if (call->dirty) {
        return;
    }
    call->dirty = true;
    call->dirty_next = call->loop->dirty;
    call->loop->dirty = call;
}

static void start_batch(struct rpc_call *call, const grpc_op *ops, size_t count,
                        struct loop_op *tag)
{
    grpc_call_error failed = grpc_call_start_batch(call->core, ops, count, tag, NULL);
    assert(failed == GRPC_CALL_OK);
    (void)failed;
}

/* ---- the queue ---- */

static size_t charge_of(struct payload *payload)
{
    return payload_bytes(payload).len + CALL_MESSAGE_OVERHEAD_BYTES;
}

static bool is_watched(const struct rpc_call *call)
{
    return call->api.method != NULL && call->api.method->kind == API_SERVER_STREAM;
}

/* Returns what was queued before. */
static size_t charge(struct rpc_call *call, size_t bytes)
{
    if (is_watched(call)) {
        atomic_fetch_add(&call->loop->streams->queued_bytes, bytes);
    }
    return atomic_fetch_add(&call->queued_bytes, bytes);
}

static void discharge(struct rpc_call *call, size_t charge)
{
    if (is_watched(call)) {
        size_t all = atomic_fetch_sub(&call->loop->streams->queued_bytes, charge);
        assert(all >= charge);
    }
    size_t before = atomic_fetch_sub(&call->queued_bytes, charge);
    assert(charge >= CALL_MESSAGE_OVERHEAD_BYTES);
    assert(before >= charge);
    (void)before;
}

static void drop(struct rpc_call *call, struct payload *payload)
{
    discharge(call, charge_of(payload));
    payload_unref(payload);
}

static void drop_queue(struct rpc_call *call)
{
    while (call->queue.len > 0) {
        drop(call, send_queue_pop(&call->queue));
    }
}

/* ---- armed, released ---- */

static void link_call(struct rpc_call *call)
{
    struct loop *loop = call->loop;
    call->next = loop->calls;
    call->link = &loop->calls;
    if (loop->calls != NULL) {
        loop->calls->link = &call->next;
    }
    loop->calls = call;
    loop->call_count++;
}

static void unlink_call(struct rpc_call *call)
{
    assert(call->loop->call_count > 0);
    *call->link = call->next;
    if (call->next != NULL) {
        call->next->link = call->link;
    }
    call->loop->call_count--;
}

void call_arm(struct loop *loop)
{
    struct rpc_call *call = xcalloc(1, sizeof(*call));
    call->api.vtable = &vtable;
    call->loop = loop;
    call->accepted = (struct loop_op){on_accepted, call};
    call->received = (struct loop_op){on_received, call};
    call->sent = (struct loop_op){on_sent, call};
    call->closed = (struct loop_op){on_closed, call};
    call->release.run = run_release;
    call->end = wire_status_ok();
    atomic_init(&call->references, 1);
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->headers);
    link_call(call);
    grpc_call_error failed =
        grpc_server_request_call(loop->server, &call->core, &call->details, &call->headers,
                                 loop->queue, loop->queue, &call->accepted);
    assert(failed == GRPC_CALL_OK);
    (void)failed;
}

static void release(struct rpc_call *call)
{
    assert(call->state == CALL_RELEASED);
    assert(!call->send_busy && !call->receive_busy && !call->dirty);
    assert(call->outgoing == NULL && call->incoming == NULL);
    assert(atomic_load(&call->references) == 0 && atomic_load(&call->posted) == 0);
    if (call->handler == CALL_HANDLER_FINISHED && call->api.method->released != NULL) {
        call->api.method->released(&call->api);
    }
    drop_queue(call);
    assert(atomic_load(&call->queued_bytes) == 0);
    send_queue_fini(&call->queue);
    wire_status_fini(&call->end);
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->headers);
    if (call->core != NULL) {
        grpc_call_unref(call->core);
    }
    unlink_call(call);
    free(call);
}

static void run_release(struct loop_post *post)
{
    struct rpc_call *call = container_of(post, struct rpc_call, release);
    assert(loop_is_current(call->loop));
    move(call, CALL_RELEASED);
    touch(call);
}

static void call_ref(struct api_call *api)
{
    unsigned before = atomic_fetch_add_explicit(&call_of(api)->references, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

static void call_unref(struct api_call *api)
{
    struct rpc_call *call = call_of(api);
    unsigned before = atomic_fetch_sub_explicit(&call->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1) {
        return;
    }
    if (loop_is_current(call->loop)) {
        run_release(&call->release);
        return;
    }
    loop_post(call->loop, &call->release);
}

/* ---- what handlers ask for, on the loop's thread ---- */

static void do_send(struct rpc_call *call, struct payload *payload)
{
    assert(call->state != CALL_ARMED);
    if (call->state != CALL_OPEN) {
        drop(call, payload);
        return;
    }
    send_queue_push(&call->queue, payload);
    touch(call);
}

static void do_finish(struct rpc_call *call, struct wire_status end)
{
    assert(call->state != CALL_ARMED);
    if (!handler_is_done(call)) {
        move_handler(call, CALL_HANDLER_FINISHED);
    }
    if (call->state == CALL_OPEN) {
        move(call, CALL_ENDING);
        call->end = end;
    } else {
        wire_status_fini(&end);
    }
    touch(call);
}

static void tell_closed(struct rpc_call *call)
{
    const struct api_method *method = call->api.method;
    assert(call->state != CALL_OPEN);
    if (call->handler == CALL_HANDLER_UNAWARE) {
        move_handler(call, CALL_HANDLER_SKIPPED);
        return;
    }
    if (call->handler != CALL_HANDLER_SERVING) {
        return;
    }
    if (method->closed == NULL) {
        move_handler(call, CALL_HANDLER_FINISHED);
        return;
    }
    move_handler(call, CALL_HANDLER_TOLD);
    method->closed(&call->api);
}

/* The peer does not read. A status would wait behind the data for ever, so the stream is
 * reset with it; the core then completes RECV_CLOSE, and the handler hears of it there. */
static void do_give_up(struct rpc_call *call)
{
    if (call->state == CALL_GONE || call->close_done) {
        return;
    }
    move(call, CALL_GONE);
    drop_queue(call);
    grpc_call_cancel_with_status(call->core, GRPC_STATUS_RESOURCE_EXHAUSTED,
                                 "the stream is not read fast enough: too much was waiting to "
                                 "be sent; read faster, or reconnect and go on from there",
                                 NULL);
}

void call_end(struct rpc_call *call, const struct failure *failure)
{
    assert(loop_is_current(call->loop));
    assert(failure != NULL);
    if (call->state != CALL_OPEN) {
        return;
    }
    move(call, CALL_ENDING);
    call->end = wire_status_of(failure);
    tell_closed(call);
    touch(call);
}

/* A peer that does not read would hold up the status: then the stream is reset with it. */
void call_expel(struct rpc_call *call, const struct failure *failure)
{
    assert(call->state == CALL_OPEN);
    call->api.is_expelled = true;
    drop_queue(call);
    call_end(call, failure);
    if (call->send_busy && !call->close_done) {
        char text[CALL_TEXT_BYTES];
        snprintf(text, sizeof(text), STR_FMT, STR_ARG(failure->message));
        grpc_call_cancel_with_status(call->core, (grpc_status_code)failure->code, text, NULL);
    }
}

void call_end_for_shutdown(struct rpc_call *call)
{
    call_end(call, &(struct failure){
                       .code = CODE_UNAVAILABLE,
                       .reason = REASON_SERVER_SHUTTING_DOWN,
                       .message = STR("server is shutting down; reconnect"),
                   });
}

/* ---- what handlers ask for, on any thread ---- */

struct call_post {
    struct loop_post post;
    struct rpc_call *call;
    struct payload *payload;
    struct wire_status end;
};

/* Whatever is on its way through the inbox comes first. */
static bool acts_now(struct rpc_call *call)
{
    return loop_is_current(call->loop) && atomic_load(&call->posted) == 0;
}

static struct call_post *post_new(struct rpc_call *call, void (*run)(struct loop_post *post))
{
    struct call_post *post = xmalloc(sizeof(*post));
    *post = (struct call_post){.post.run = run, .call = call};
    call_ref(&call->api);
    atomic_fetch_add(&call->posted, 1);
    return post;
}

static void post_free(struct loop_post *base)
{
    struct call_post *post = container_of(base, struct call_post, post);
    unsigned before = atomic_fetch_sub(&post->call->posted, 1);
    assert(before > 0);
    (void)before;
    call_unref(&post->call->api);
    free(post);
}

static void run_send(struct loop_post *base)
{
    struct call_post *post = container_of(base, struct call_post, post);
    do_send(post->call, post->payload);
    post_free(base);
}

static void run_finish(struct loop_post *base)
{
    struct call_post *post = container_of(base, struct call_post, post);
    do_finish(post->call, post->end);
    post_free(base);
}

static void run_give_up(struct loop_post *base)
{
    do_give_up(container_of(base, struct call_post, post)->call);
    post_free(base);
}

static void give_up(struct rpc_call *call)
{
    if (atomic_exchange(&call->overflowed, true)) {
        return;
    }
    if (acts_now(call)) {
        do_give_up(call);
        return;
    }
    loop_post(call->loop, &post_new(call, run_give_up)->post);
}

static void call_send(struct api_call *api, struct payload *payload)
{
    struct rpc_call *call = call_of(api);
    size_t before = charge(call, charge_of(payload));
    if (before > CALL_QUEUED_BYTES_MAX) {
        drop(call, payload);
        give_up(call);
        return;
    }
    if (acts_now(call)) {
        do_send(call, payload);
        return;
    }
    struct call_post *post = post_new(call, run_send);
    post->payload = payload;
    loop_post(call->loop, &post->post);
}

static void call_finish(struct api_call *api, const struct failure *failure)
{
    struct rpc_call *call = call_of(api);
    struct wire_status end = wire_status_of(failure);
    if (acts_now(call)) {
        do_finish(call, end);
        return;
    }
    struct call_post *post = post_new(call, run_finish);
    post->end = end;
    loop_post(call->loop, &post->post);
}

static size_t call_queued_bytes(const struct api_call *api)
{
    return atomic_load(&call_of(api)->queued_bytes);
}

/* One that has nothing queued never is: nothing would tell it to go on. */
static bool is_full(struct rpc_call *call)
{
    size_t queued = atomic_load(&call->queued_bytes);
    const struct loop_streams *streams = call->loop->streams;
    return queued >= API_CALL_FULL_BYTES ||
           (queued > 0 && is_watched(call) &&
            atomic_load(&streams->queued_bytes) >= streams->queued_bytes_max);
}

/* The queue is read again once the flag is up: what left it before took no notice of the flag. */
static bool call_stalls(struct api_call *api)
{
    struct rpc_call *call = call_of(api);
    if (!is_full(call)) {
        return false;
    }
    atomic_store(&call->is_awaited, true);
    return is_full(call);
}

static void call_hold(struct api_call *api)
{
    struct rpc_call *call = call_of(api);
    assert(loop_is_current(call->loop));
    atomic_fetch_add(&call->holds, 1);
}

static void run_let_on(struct loop_post *base)
{
    struct call_post *post = container_of(base, struct call_post, post);
    touch(post->call); /* What it holds back may be read. */
    post_free(base);
}

static void call_let_on(struct api_call *api)
{
    struct rpc_call *call = call_of(api);
    unsigned before = atomic_fetch_sub(&call->holds, 1);
    assert(before > 0);
    if (before == 1) {
        loop_post(call->loop, &post_new(call, run_let_on)->post);
    }
}

static str call_header(const struct api_call *api, const char *name)
{
    const grpc_metadata_array *headers = &call_of(api)->headers;
    for (size_t i = 0; i < headers->count; i++) {
        if (str_is(slice_str(&headers->metadata[i].key), name)) {
            return slice_str(&headers->metadata[i].value);
        }
    }
    return STR_EMPTY;
}

static const struct api_call_vtable vtable = {
    .send = call_send,
    .finish = call_finish,
    .ref = call_ref,
    .unref = call_unref,
    .queued_bytes = call_queued_bytes,
    .stalls = call_stalls,
    .hold = call_hold,
    .let_on = call_let_on,
    .header = call_header,
};

/* ---- handing requests to the handler ---- */

static void reject(struct rpc_call *call, status why, str field)
{
    bool exhausted = why.code == CODE_RESOURCE_EXHAUSTED;
    enum reason reason = field.len > 0 ? REASON_INVALID_FIELD : REASON_INVALID_REQUEST;
    call_end(call, &(struct failure){
                       .code = why.code,
                       .reason = exhausted ? REASON_REQUEST_TOO_LARGE : reason,
                       .field = field,
                       .message = str_of(why.why),
                   });
}

static void deliver(struct rpc_call *call, grpc_byte_buffer *bytes)
{
    const struct api_method *method = call->api.method;
    struct arena *arena = &call->loop->arena;
    const ProtobufCMessage *request = NULL;
    str field = STR_EMPTY;
    status unpacked = wire_unpack(method->request, bytes, arena, &request, &field);
    if (status_is_ok(unpacked) && !method->is_read && method->kind != API_BIDI) {
        unpacked = wire_check_known(request, arena, &field);
    }
    if (!status_is_ok(unpacked)) {
        reject(call, unpacked, field);
    } else if (call->handler == CALL_HANDLER_SERVING) {
        method->message(&call->api, request);
    } else {
        move_handler(call, CALL_HANDLER_SERVING);
        method->start(&call->api, request);
    }
    arena_reset(arena);
}

/* No message: the peer has half-closed, or the call has failed and RECV_CLOSE will tell. */
static void deliver_end(struct rpc_call *call)
{
    call->half_closed = true;
    if (grpc_call_failed_before_recv_message(call->core)) {
        return;
    }
    if (call->handler == CALL_HANDLER_SERVING) {
        call->api.method->message(&call->api, NULL);
        return;
    }
    reject(call, status_make(CODE_INVALID_ARGUMENT, "the call has no request message"), STR_EMPTY);
}

static void reject_unknown(struct rpc_call *call)
{
    struct arena arena;
    arena_init(&arena, 0);
    str path = slice_str(&call->details.method);
    path.len = path.len < 200 ? path.len : 200;
    call_end(call, &(struct failure){
                       .code = CODE_UNIMPLEMENTED,
                       .reason = REASON_METHOD_NOT_FOUND,
                       .message = arena_printf(&arena,
                                               "this server has no method " STR_FMT
                                               "; server reflection lists those it has",
                                               STR_ARG(path)),
                   });
    arena_fini(&arena);
}

/* ---- completions ---- */

static void start_close(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &call->cancelled;
    start_batch(call, &op, 1, &call->closed);
}

static bool admit(struct rpc_call *call, uint32_t rights)
{
    struct loop *loop = call->loop;
    struct failure why;
    struct admission by = {.keys = loop->keys, .now_ms = keyring_now_ms(loop->keyring)};
    bool is_in = admission_admit(&call->api, rights, &by, &loop->arena, &why);
    if (!is_in) {
        call_end(call, &why);
    }
    arena_reset(&loop->arena);
    return is_in;
}

static void on_accepted(void *owner, bool ok)
{
    struct rpc_call *call = (struct rpc_call *)owner;
    if (!ok) { /* The server is shutting down. */
        assert(call->core == NULL);
        move(call, CALL_COMPLETE);
        call_unref(&call->api);
        return;
    }
    move(call, CALL_OPEN);
    call_arm(call->loop);
    start_close(call);
    const struct method_row *row =
        methods_find(call->loop->methods, slice_str(&call->details.method));
    if (row == NULL) {
        reject_unknown(call);
        return;
    }
    if (call->loop->stopping) { /* It was accepted just before the end. */
        call_end_for_shutdown(call);
        return;
    }
    call->api.method = row->method;
    call->api.service = row->service;
    if (!admit(call, row->rights)) {
        return;
    }
    if (row->method->kind == API_BIDI) {
        move_handler(call, CALL_HANDLER_SERVING);
        row->method->start(&call->api, NULL);
    }
    touch(call);
}

static void start_receive(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    assert(call->state == CALL_OPEN && !call->receive_busy);
    op.data.recv_message.recv_message = &call->incoming;
    call->receive_busy = true;
    start_batch(call, &op, 1, &call->received);
}

static void on_received(void *owner, bool ok)
{
    struct rpc_call *call = (struct rpc_call *)owner;
    grpc_byte_buffer *bytes = ok ? call->incoming : NULL;
    assert(call->receive_busy);
    call->receive_busy = false;
    call->was_heard = true;
    call->incoming = NULL;
    struct rpc_call *next = receive_end(call);
    if (next != NULL) {
        start_receive(next);
    }
    if (call->state != CALL_OPEN) {
        call->half_closed = true; /* Nothing more is read. */
    } else if (bytes == NULL) {
        deliver_end(call);
    } else {
        loop_passed(call->loop, grpc_byte_buffer_length(bytes));
        deliver(call, bytes);
    }
    grpc_byte_buffer_destroy(bytes);
    touch(call);
}

static void on_sent(void *owner, bool ok)
{
    struct rpc_call *call = (struct rpc_call *)owner;
    (void)ok; /* When it failed, RECV_CLOSE tells the same. */
    assert(call->send_busy);
    call->send_busy = false;
    if (call->outgoing != NULL) {
        grpc_byte_buffer_destroy(call->outgoing);
        call->outgoing = NULL;
        discharge(call, call->outgoing_charge);
    }
    bool listening = call->state == CALL_OPEN && call->handler == CALL_HANDLER_SERVING;
    bool is_low = atomic_load(&call->queued_bytes) < API_CALL_FULL_BYTES / 4;
    if (listening && is_low && atomic_exchange(&call->is_awaited, false) &&
        call->api.method->writable != NULL) {
        call->api.method->writable(&call->api);
    }
    touch(call);
}

static void on_closed(void *owner, bool ok)
{
    struct rpc_call *call = (struct rpc_call *)owner;
    (void)ok; /* Always true. */
    assert(!call->close_done);
    call->close_done = true;
    if (call->cancelled != 0 || call->state != CALL_ENDED) {
        if (call->state != CALL_GONE) {
            move(call, CALL_GONE);
        }
        drop_queue(call);
        tell_closed(call);
    }
    touch(call);
}

/* ---- the one place that starts batches ---- */

static void add_message(struct rpc_call *call, grpc_op *op, bool alone)
{
    struct payload *payload = send_queue_pop(&call->queue);
    assert(call->outgoing == NULL);
    call->outgoing_charge = charge_of(payload);
    loop_passed(call->loop, call->outgoing_charge);
    call->outgoing = wire_wrap(payload);
    op->op = GRPC_OP_SEND_MESSAGE;
    op->data.send_message.send_message = call->outgoing;
    /* The transport may wait for what follows. Beside initial metadata it would for ever. */
    op->flags = alone && call->queue.len > 0 ? GRPC_WRITE_BUFFER_HINT : 0;
}

static void add_end(struct rpc_call *call, grpc_op *op)
{
    op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    op->data.send_status_from_server.status = (grpc_status_code)call->end.code;
    op->data.send_status_from_server.status_details = &call->end.message;
    if (call->end.code != CODE_OK) {
        call->trailer.key = grpc_slice_from_static_string(details_key);
        call->trailer.value = call->end.details;
        op->data.send_status_from_server.trailing_metadata = &call->trailer;
        op->data.send_status_from_server.trailing_metadata_count = 1;
    }
    move(call, CALL_ENDED);
}

static void flush_send(struct rpc_call *call)
{
    grpc_op ops[3] = {0};
    size_t count = 0;
    /* A stream's headers go out at once: they tell the client that it was accepted. */
    bool opening =
        call->handler == CALL_HANDLER_SERVING && is_streaming(call) && !call->headers_sent;
    bool ending = call->state == CALL_ENDING;
    bool due = call->queue.len > 0 || ending || opening;
    if (!due || call->send_busy || (call->state != CALL_OPEN && !ending)) {
        return;
    }
    if (!call->headers_sent) {
        ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
        call->headers_sent = true;
    }
    if (call->queue.len > 0) {
        add_message(call, &ops[count], count == 0);
        count++;
    }
    if (ending && call->queue.len == 0) {
        add_end(call, &ops[count++]);
    }
    assert(count > 0);
    call->send_busy = true;
    start_batch(call, ops, count, &call->sent);
}

static void flush_receive(struct rpc_call *call)
{
    bool wanted = call->api.method != NULL &&
                  (call->handler == CALL_HANDLER_UNAWARE || call->api.method->kind == API_BIDI) &&
                  !call->half_closed;
    /* A peer that sends without reading holds up itself, not us. */
    bool full = atomic_load(&call->queued_bytes) > CALL_QUEUED_BYTES_MAX / 2 ||
                atomic_load(&call->holds) > 0;
    if (call->state != CALL_OPEN || !wanted || full || call->receive_busy) {
        return;
    }
    if (call->was_heard || receive_begin(call)) {
        start_receive(call);
    }
}

void call_flush(struct rpc_call *call)
{
    assert(call->state != CALL_ARMED && !call->dirty);
    if (call->state == CALL_RELEASED) {
        release(call);
        return;
    }
    if (call->state == CALL_COMPLETE) {
        return;
    }
    flush_send(call);
    flush_receive(call);
    assert(!handler_is_done(call) || call->state != CALL_OPEN);
    if (handler_is_done(call) && call->close_done && !call->send_busy && !call->receive_busy) {
        move(call, CALL_COMPLETE);
        call_unref(&call->api);
    }
}
