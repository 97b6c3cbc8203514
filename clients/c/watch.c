#include <assert.h>

#include "clients/c/memory.h"
#include "clients/c/stream.h"
#include "clients/c/wire.h"

enum {
    REDIAL_FIRST_US = 50 * 1000,
    REDIAL_MAX_US = 5 * 1000 * 1000,
    CODE_CANCELLED = 1,
    CODE_UNAVAILABLE = 14,
};

struct polos_watch {
    struct polos_client *client;
    const struct polos_watch_events *events;
    void *context;
    char *run_id;
    char *position; /* Of the last event; empty at first. */
    bool deltas;
    bool is_tree;
    bool has_ended;
    bool is_cancelled;
    struct polos_stream *stream; /* NULL while it waits to dial again. */
    struct polos_timer redial;
    uint64_t redial_us; /* The next pause. */
};

static void dial(void *context);

static void end(struct polos_watch *watch, const struct polos_error *error)
{
    assert(watch->stream == NULL);
    polos_timer_clear(polos_client_loop(watch->client), &watch->redial);
    watch->events->closed(watch->context, error);
    free(watch->run_id);
    free(watch->position);
    free(watch);
}

static void received(void *context, grpc_byte_buffer *message)
{
    struct polos_watch *watch = context;
    ProtobufCMessage *unpacked =
        polos_wire_unpack(&polos__v1__run_service_watch_response__descriptor, message);
    if (unpacked == NULL || watch->is_cancelled || watch->has_ended) {
        protobuf_c_message_free_unpacked(unpacked, NULL);
        return;
    }
    Polos__V1__RunServiceWatchResponse *event = (Polos__V1__RunServiceWatchResponse *)unpacked;
    watch->redial_us = REDIAL_FIRST_US;
    watch->has_ended = event->event_case == POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_ENDED;
    watch->events->event(watch->context, event);
    if (event->position[0] != '\0') {
        /* Kept for the next dial; the one before is freed with the message. */
        char *before = watch->position;
        watch->position = event->position;
        event->position = before;
    }
    polos__v1__run_service_watch_response__free_unpacked(event, NULL);
}

static void closed(void *context, const struct polos_error *error)
{
    static const struct polos_error cancelled = {CODE_CANCELLED, "", "", "the watch was cancelled"};
    struct polos_watch *watch = context;
    watch->stream = NULL;
    if (watch->has_ended || watch->is_cancelled) {
        end(watch, watch->has_ended ? NULL : &cancelled);
        return;
    }
    if (error != NULL && error->code != CODE_UNAVAILABLE) {
        end(watch, error);
        return;
    }
    polos_timer_set(polos_client_loop(watch->client), &watch->redial,
                    polos_now_us() + watch->redial_us);
    assert(watch->redial_us >= REDIAL_FIRST_US);
    watch->redial_us *= 2;
    watch->redial_us = watch->redial_us > REDIAL_MAX_US ? REDIAL_MAX_US : watch->redial_us;
}

static const struct polos_stream_events stream_events = {received, NULL, closed};

static void dial(void *context)
{
    struct polos_watch *watch = context;
    Polos__V1__RunServiceWatchRequest request = POLOS__V1__RUN_SERVICE_WATCH_REQUEST__INIT;
    assert(watch->stream == NULL);
    request.run_id = watch->run_id;
    request.position = watch->position;
    request.deltas = watch->deltas;
    request.tree = watch->is_tree;
    watch->stream = polos_stream_open(watch->client, POLOS_METHOD_WATCH, &request.base, true,
                                      &stream_events, watch);
}

static struct polos_watch *begin(struct polos_client *client, const char *run_id, bool is_tree,
                                 bool deltas, const struct polos_watch_events *events,
                                 void *context)
{
    struct polos_watch *watch = memory_zeroed(1, sizeof(*watch));
    assert(events->event != NULL && events->closed != NULL);
    watch->client = client;
    watch->events = events;
    watch->context = context;
    watch->run_id = memory_copy(run_id);
    watch->position = memory_copy("");
    watch->deltas = deltas;
    watch->is_tree = is_tree;
    watch->redial.due = dial;
    watch->redial.context = watch;
    watch->redial_us = REDIAL_FIRST_US;
    dial(watch);
    return watch;
}

struct polos_watch *polos_watch_run(struct polos_client *client, const char *run_id, bool deltas,
                                    const struct polos_watch_events *events, void *context)
{
    return begin(client, run_id, false, deltas, events, context);
}

struct polos_watch *polos_watch_tree(struct polos_client *client, const char *run_id, bool deltas,
                                     const struct polos_watch_events *events, void *context)
{
    return begin(client, run_id, true, deltas, events, context);
}

static void cancel_later(void *context)
{
    closed(context, NULL);
}

void polos_watch_cancel(struct polos_watch *watch)
{
    watch->is_cancelled = true;
    if (watch->stream != NULL) {
        polos_stream_cancel(watch->stream);
        return;
    }
    watch->redial.due = cancel_later;
    polos_timer_set(polos_client_loop(watch->client), &watch->redial, polos_now_us());
}
