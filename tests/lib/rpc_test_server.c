/*
 * rpc_test_server: the gRPC transport under handlers that do what a test asks for.
 *
 * Serves a few methods of polos.v1 with handlers of its own; what a handler does is told by the
 * request's run_id. Commands come as lines on standard input and are carried out by the main
 * thread, which so plays the engine: the other thread that answers calls.
 *
 *   Get "echo"            answers at once, with the header "x-test" as the run's name
 *   Get "fail CODE"       fails with a reason, a field and a retry delay
 *   Get "big BYTES"       answers with that many bytes
 *   Get "hold"            answered by the command `release`
 *   Watch "count N BYTES" N messages, paced by writable
 *   Watch "same N BYTES"  likewise, but each is numbered 0, so that all have one size
 *   Watch "flood BYTES"   sends, without looking at the queue, until the call is closed
 *   Watch "hold"          gets what the command `publish COUNT BYTES` sends
 *   Connect               echoes seq as ack, and each Hello's host id in Welcome.session
 *
 * Commands: release | publish COUNT BYTES | stats | drain | stop GRACE_MS. Each answers one line.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "polos/v1/host.pb-c.h"
#include "polos/v1/runs.pb-c.h"
#include "protos/api_descriptors.h"
#include "service/base/inbox.h"
#include "service/base/sys.h"
#include "service/rpc/server.h"

struct held {
    struct inbox_node node;
    struct api_call *call;
    struct held *next;
};

struct stopping {
    struct rpc_server *server;
    unsigned grace_ms;
    atomic_bool done;
};

struct counters {
    atomic_uint started;
    atomic_uint closed;
    atomic_uint released;
    atomic_uint queued_max;
    atomic_uint streams_max; /* Queued for all watchers together. */
};

struct counting {
    atomic_bool closed;
    unsigned sent;
    unsigned count;
    unsigned bytes;
    bool is_same;
};

static struct counters counters;
static struct inbox *held_inbox; /* From the loops to the main thread. */

static void hold(struct api_call *call)
{
    struct held *held = xcalloc(1, sizeof(*held));
    held->call = call;
    call->vtable->ref(call);
    inbox_push_always(held_inbox, &held->node);
}

static void count_released(struct api_call *call)
{
    free(call->user);
    atomic_fetch_add(&counters.released, 1);
}

static void finish_closed(struct api_call *call)
{
    if (call->user != NULL) {
        atomic_store(&((struct counting *)call->user)->closed, true);
    }
    atomic_fetch_add(&counters.closed, 1);
    call->vtable->finish(call, NULL);
}

/* ---- Get ---- */

static void reply_text(struct api_call *call, const char *id, char *text)
{
    Polos__V1__Run run = POLOS__V1__RUN__INIT;
    Polos__V1__RunServiceGetResponse response = POLOS__V1__RUN_SERVICE_GET_RESPONSE__INIT;
    run.id = (char *)id;
    run.name = text;
    response.run = &run;
    api_call_reply(call, &response.base);
}

static void reply_big(struct api_call *call, size_t bytes)
{
    char *text = xmalloc(bytes + 1);
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    reply_text(call, "big", text);
    free(text);
}

static void get(struct api_call *call, const ProtobufCMessage *base)
{
    const Polos__V1__RunServiceGetRequest *request = (const Polos__V1__RunServiceGetRequest *)base;
    unsigned number = 0;
    atomic_fetch_add(&counters.started, 1);
    if (sscanf(request->run_id, "fail %u", &number) == 1) {
        api_call_fail(call, &(struct failure){
                                .code = (enum code)number,
                                .reason = REASON_RUN_NOT_FAILED,
                                .field = STR("run_id"),
                                .message = STR("say something else, caf\xc3\xa9 or \xff"),
                                .retry_after_ms = 1500,
                            });
    } else if (sscanf(request->run_id, "big %u", &number) == 1) {
        reply_big(call, number);
    } else if (strcmp(request->run_id, "hold") == 0) {
        hold(call);
    } else {
        char text[256];
        snprintf(text, sizeof(text), STR_FMT, STR_ARG(call->vtable->header(call, "x-test")));
        reply_text(call, request->run_id, text);
    }
}

/* ---- Watch ---- */

static struct payload *watch_payload(unsigned number, size_t bytes)
{
    Polos__V1__RunServiceWatchResponse response = POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__INIT;
    char *text = xcalloc(1, bytes + 32);
    memset(text, 'y', bytes);
    snprintf(text + bytes, 32, "/%u", number);
    response.position = text;
    struct payload *payload = api_pack(&response.base);
    free(text);
    return payload;
}

static _Atomic(struct rpc_server *) watched_server; /* Before its first call. */

static void note_max(atomic_uint *max, size_t bytes)
{
    unsigned known = atomic_load(max);
    while (bytes > known && !atomic_compare_exchange_weak(max, &known, (unsigned)bytes)) {
    }
}

static void note_queued(const struct api_call *call)
{
    note_max(&counters.queued_max, call->vtable->queued_bytes(call));
    note_max(&counters.streams_max, rpc_server_streams_bytes(atomic_load(&watched_server)));
}

static void watch_more(struct api_call *call)
{
    struct counting *counting = (struct counting *)call->user;
    if (counting == NULL) {
        return;
    }
    while (counting->sent < counting->count && !call->vtable->stalls(call)) {
        unsigned number = counting->is_same ? 0 : counting->sent;
        call->vtable->send(call, watch_payload(number, counting->bytes));
        counting->sent++;
        note_queued(call);
    }
    if (counting->sent == counting->count) {
        counting->sent++;
        call->vtable->finish(call, NULL);
    }
}

static void watch(struct api_call *call, const ProtobufCMessage *base)
{
    const Polos__V1__RunServiceWatchRequest *request =
        (const Polos__V1__RunServiceWatchRequest *)base;
    struct counting *counting = xcalloc(1, sizeof(*counting));
    unsigned bytes = 0;
    atomic_fetch_add(&counters.started, 1);
    call->user = counting;
    counting->is_same = strncmp(request->run_id, "same", 4) == 0;
    if (sscanf(request->run_id, "count %u %u", &counting->count, &counting->bytes) == 2 ||
        sscanf(request->run_id, "same %u %u", &counting->count, &counting->bytes) == 2) {
        watch_more(call);
    } else if (sscanf(request->run_id, "flood %u", &bytes) == 1) {
        for (unsigned i = 0; i < 40000; i++) {
            call->vtable->send(call, watch_payload(i, bytes));
            note_queued(call);
        }
    } else {
        hold(call);
    }
}

/* ---- Connect ---- */

static void connect_start(struct api_call *call, const ProtobufCMessage *request)
{
    assert(request == NULL);
    assert(call->user == NULL);
    (void)call;
    (void)request;
    atomic_fetch_add(&counters.started, 1);
}

static void connect_message(struct api_call *call, const ProtobufCMessage *base)
{
    const Polos__V1__ToolServiceConnectRequest *message =
        (const Polos__V1__ToolServiceConnectRequest *)base;
    Polos__V1__ToolServiceConnectResponse answer = POLOS__V1__TOOL_SERVICE_CONNECT_RESPONSE__INIT;
    Polos__V1__Welcome welcome = POLOS__V1__WELCOME__INIT;
    if (message == NULL) {
        call->vtable->finish(call, NULL);
        return;
    }
    answer.ack = message->first_seq;
    if (message->hello != NULL) {
        welcome.host_token = message->hello->host_id;
        answer.welcome = &welcome;
    }
    api_call_send(call, &answer.base);
    note_queued(call);
}

static const struct api_method methods[] = {
    {
        .path = "/polos.v1.RunService/Get",
        .kind = API_UNARY,
        .request = &polos__v1__run_service_get_request__descriptor,
        .response = &polos__v1__run_service_get_response__descriptor,
        .start = get,
        .released = count_released,
    },
    {
        .path = "/polos.v1.RunService/Watch",
        .kind = API_SERVER_STREAM,
        .request = &polos__v1__run_service_watch_request__descriptor,
        .response = &polos__v1__run_service_watch_response__descriptor,
        .start = watch,
        .writable = watch_more,
        .closed = finish_closed,
        .released = count_released,
    },
    {
        .path = "/polos.v1.ToolService/Connect",
        .kind = API_BIDI,
        .request = &polos__v1__tool_service_connect_request__descriptor,
        .response = &polos__v1__tool_service_connect_response__descriptor,
        .start = connect_start,
        .message = connect_message,
        .closed = finish_closed,
        .released = count_released,
    },
    {.path = NULL},
};

/* ---- commands, on the main thread ---- */

static struct held *held_calls;

static unsigned collect(void)
{
    unsigned count = 0;
    for (struct inbox_node *node = inbox_take(held_inbox, SIZE_MAX), *next; node != NULL;
         node = next) {
        next = node->next;
        struct held *held = container_of(node, struct held, node);
        held->next = held_calls;
        held_calls = held;
    }
    for (struct held *held = held_calls; held != NULL; held = held->next) {
        count++;
    }
    return count;
}

static unsigned release_held(void)
{
    unsigned count = collect();
    while (held_calls != NULL) {
        struct held *held = held_calls;
        struct api_call *call = held->call;
        held_calls = held->next;
        if (call->method->kind == API_UNARY) {
            reply_text(call, "released", (char *)"");
        } else {
            call->vtable->finish(call, NULL);
        }
        call->vtable->unref(call);
        free(held);
    }
    return count;
}

static unsigned publish(unsigned count, unsigned bytes)
{
    unsigned watchers = collect();
    for (unsigned i = 0; i < count; i++) {
        struct payload *payload = watch_payload(i, bytes);
        for (struct held *held = held_calls; held != NULL; held = held->next) {
            payload_ref(payload);
            held->call->vtable->send(held->call, payload);
        }
        payload_unref(payload);
    }
    return watchers;
}

/* 0 under a sanitizer, which keeps freed memory for a while. */
static unsigned rss_kib(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0;
#endif
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        int read = fscanf(file, "%*u %lu", &pages);
        assert(read == 1);
        (void)read;
        fclose(file);
    }
    return (unsigned)(pages * 4);
}

static void print_stats(void)
{
    printf("held=%u started=%u closed=%u released=%u queued_max=%u streams_max=%u "
           "rss_kib=%u\n",
           collect(), atomic_load(&counters.started), atomic_load(&counters.closed),
           atomic_load(&counters.released), atomic_load(&counters.queued_max),
           atomic_load(&counters.streams_max), rss_kib());
}

/* Answers what was asked once, and lets go of the streams whose handler heard `closed`. */
static void let_go(void)
{
    struct held *rest = NULL;
    collect();
    while (held_calls != NULL) {
        struct held *held = held_calls;
        struct api_call *call = held->call;
        held_calls = held->next;
        bool stream = call->method->kind != API_UNARY;
        if (stream && !atomic_load(&((struct counting *)call->user)->closed)) {
            held->next = rest;
            rest = held;
            continue;
        }
        if (!stream) {
            reply_text(call, "released", (char *)"");
        }
        call->vtable->unref(call);
        free(held);
    }
    held_calls = rest;
}

static void *stop_server(void *context)
{
    struct stopping *stopping = (struct stopping *)context;
    rpc_server_stop(stopping->server, stopping->grace_ms);
    atomic_store(&stopping->done, true);
    return NULL;
}

/* The transport waits for the other threads to let go, so they must be able to meanwhile. */
static void stop(struct rpc_server *server, unsigned grace_ms)
{
    struct stopping stopping = {.server = server, .grace_ms = grace_ms};
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, stop_server, &stopping);
    assert(failed == 0);
    (void)failed;
    while (!atomic_load(&stopping.done)) {
        let_go();
        sched_yield();
    }
    pthread_join(thread, NULL);
}

static void serve(struct rpc_server *server)
{
    char line[128];
    unsigned count = 0;
    unsigned bytes = 0;
    unsigned grace_ms = 0;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strcmp(line, "release\n") == 0) {
            printf("released %u\n", release_held());
        } else if (sscanf(line, "publish %u %u", &count, &bytes) == 2) {
            printf("published %u\n", publish(count, bytes));
        } else if (strcmp(line, "drain\n") == 0) {
            rpc_server_drain(server);
            puts("draining");
        } else if (sscanf(line, "stop %u", &grace_ms) == 1) {
            break;
        } else {
            print_stats();
        }
        fflush(stdout);
    }
    stop(server, grace_ms);
    print_stats();
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct arena arena;
    struct rpc_server *server = NULL;
    struct rpc_server_options options = {
        .address = argc > 1 ? argv[1] : "127.0.0.1:0",
        .streams_bytes_max = 1 << 20,
        .methods = (const struct api_method *const[]){methods, NULL},
        .descriptors = str_make(api_descriptors, api_descriptors_size),
    };
    uint64_t before_us = sys_monotonic_us();
    arena_init(&arena, 0);
    held_inbox = inbox_new(1, NULL, NULL);
    status started = rpc_server_start(&options, &arena, &server);
    if (status_is_ok(started)) {
        atomic_store(&watched_server, server);
        printf("%u %lu\n", rpc_server_port(server),
               (unsigned long)(sys_monotonic_us() - before_us));
        fflush(stdout);
        serve(server);
    } else {
        printf("%s: %s\n", code_name(started.code), started.why);
    }
    inbox_free(held_inbox);
    arena_fini(&arena);
    return status_is_ok(started) ? 0 : 1;
}
