#include "service/rpc/server.h"

#include <stdlib.h>

#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>

#include "service/base/sys.h"
#include "service/door/door.h"
#include "service/keys/keyring.h"
#include "service/rpc/call.h"
#include "service/rpc/health.h"
#include "service/rpc/key_change.h"
#include "service/rpc/loop.h"
#include "service/rpc/methods.h"
#include "service/rpc/reflection.h"

enum {
    THREADS = 2,
    THREADS_MAX = 64,
    MESSAGE_BYTES_MAX = 4 * 1024 * 1024,
    STREAMS_BYTES_MAX = 256 * 1024 * 1024,
    RECEIVE_BYTES_MAX = 512 * 1024 * 1024,
    CONNECTIONS_IDLE_S = 1800,
    /* After the grace: until cancelled calls have been let go of by everybody. */
    LET_GO_MS = 5000,
    /* Then the core has closed its ends; peers have so long to read what was said last. */
    LAST_BYTES_MS = 500,
};

struct rpc_server {
    grpc_server *core;
    grpc_server_credentials *plain; /* TLS ends in the door. */
    struct door *door;
    struct keyring *keyring;
    struct keyring *own_keyring; /* Without keys, of one that was given none. */
    struct methods *methods;
    struct descriptors *descriptors;
    struct health health;
    struct reflection reflection;
    struct loop_streams streams;
    struct loop *loops;
    uint32_t loop_count;
    bool draining;
    struct loop_op down; /* Every connection is closed. */
    struct inbox *events; /* To the main thread: down, and each loop's idle. */
    struct inbox_node down_event;
};

/* ---- start ---- */

static void log_core(gpr_log_func_args *args)
{
    const char *file = strrchr(args->file, '/');
    log_line(LOG_WARN, "grpc", "at=%s:%d message=\"%s\"", file == NULL ? args->file : file + 1,
             args->line, args->message);
}

static void on_down(void *owner, bool ok)
{
    struct rpc_server *server = (struct rpc_server *)owner;
    assert(ok);
    (void)ok;
    inbox_push_always(server->events, &server->down_event);
}

static grpc_server *core_new(const struct rpc_server_options *options, uint32_t message_bytes_max)
{
    uint32_t idle_s =
        options->connections_idle_s == 0 ? CONNECTIONS_IDLE_S : options->connections_idle_s;
    const struct {
        const char *key;
        int value;
    } settings[] = {
        {GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)message_bytes_max},
        {GRPC_ARG_MAX_METADATA_SIZE, 16 * 1024},
        /* By itself the core lets each stream send 4 MiB before anything is read of it. */
        {GRPC_ARG_HTTP2_BDP_PROBE, 0},
        {GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, RECEIVE_WINDOW_BYTES},
        /* Clients may ping every 10 s and more, without calls too; we look for dead ones. */
        {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000},
        {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
        {GRPC_ARG_KEEPALIVE_TIME_MS, 30000},
        {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000},
        {GRPC_ARG_MAX_CONNECTION_IDLE_MS, (int)(idle_s * 1000)},
        {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000},
        /* Beyond this, calls of one connection wait in the client, without a word. */
        {GRPC_ARG_MAX_CONCURRENT_STREAMS, 4000},
        /* The size limit looks at compressed bytes: a bomb would pass it. */
        {GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1},
        {GRPC_ARG_ENABLE_CHANNELZ, 0},
        /* Else a second server binds the same port and takes half of the connections. */
        {GRPC_ARG_ALLOW_REUSEPORT, 0},
    };
    grpc_arg args[COUNT_OF(settings)];
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        args[i] = (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)settings[i].key};
        args[i].value.integer = settings[i].value;
    }
    grpc_channel_args all = {COUNT_OF(args), args};
    return grpc_server_create(&all, NULL);
}

static void add_methods(struct rpc_server *server, const struct rpc_server_options *options)
{
    server->methods = methods_new();
    for (const struct api_method *const *table = options->methods; *table != NULL; table++) {
        methods_add(server->methods, *table, options->service);
    }
    health_init(&server->health, server->methods);
    methods_add(server->methods, health_methods, &server->health);
    server->descriptors = descriptors_new(options->descriptors);
    assert(server->descriptors != NULL && "the embedded descriptors are damaged");
    server->reflection = (struct reflection){server->methods, server->descriptors};
    methods_add(server->methods, reflection_methods, &server->reflection);
}

static void add_loops(struct rpc_server *server, uint32_t count, uint32_t message_bytes_max,
                      size_t receive_bytes_max)
{
    server->loops = xcalloc(count, sizeof(*server->loops));
    server->loop_count = count;
    for (uint32_t i = 0; i < count; i++) {
        loop_init(&server->loops[i], server->core, server->methods, &server->streams,
                  server->keyring, message_bytes_max, receive_bytes_max / count);
    }
}

/* ---- keys ---- */

static uint64_t system_now_ms(void *context)
{
    (void)context;
    return sys_now_ms();
}

static void add_keyring(struct rpc_server *server, struct keyring *keyring)
{
    server->keyring = keyring;
    if (keyring == NULL) {
        server->own_keyring = keyring_new(system_now_ms, NULL);
        server->keyring = server->own_keyring;
    }
}

static bool has_keys(const struct rpc_server *server)
{
    struct key_set *set = keyring_get(server->keyring);
    bool ret = !key_set_is_open(set);
    key_set_unref(set);
    return ret;
}

static void on_keys(void *context, struct key_set *set, struct keyring_wait *waits)
{
    struct rpc_server *server = (struct rpc_server *)context;
    key_change(server->loops, server->loop_count, set, waits);
}

/* What was put since the loops were made comes by the first change. */
static void follow_keys(struct rpc_server *server)
{
    keyring_follow(server->keyring, on_keys, server);
    on_keys(server, keyring_get(server->keyring), NULL);
}

/* ---- the door ---- */

static void take_connection(void *context, int fd)
{
    struct rpc_server *server = (struct rpc_server *)context;
    grpc_server_add_channel_from_fd(server->core, fd, server->plain);
}

static bool is_serving(void *context)
{
    struct rpc_server *server = (struct rpc_server *)context;
    return health_is_serving(&server->health);
}

static status add_door(struct rpc_server *server, const struct rpc_server_options *options,
                       struct arena *arena)
{
    struct door_options door = {
        .address = options->address,
        .connections_max = options->connections_max,
        .per_address_max = options->connections_per_address_max,
        .tls = {options->tls_certificates, options->tls_key, options->tls_client_ca},
        .needs_tls = options->tls_only,
        .has_keys = has_keys(server),
        .may_lack_keys = options->may_lack_keys,
        .may_lack_tls = options->may_lack_tls,
        .take = take_connection,
        .is_serving = is_serving,
        .context = server,
    };
    return door_open(&door, arena, &server->door);
}

/* The loops must have ended, or never have been started. */
static void server_free(struct rpc_server *server)
{
    grpc_server_destroy(server->core);
    grpc_server_credentials_release(server->plain);
    door_stop(server->door, LAST_BYTES_MS);
    for (uint32_t i = 0; i < server->loop_count; i++) {
        loop_fini(&server->loops[i]);
    }
    free(server->loops);
    keyring_free(server->own_keyring);
    methods_free(server->methods);
    descriptors_free(server->descriptors);
    while (inbox_take(server->events, 1) != NULL) {
    }
    inbox_free(server->events);
    free(server);
    grpc_shutdown();
}

/* The core insists on a shutdown before it destroys a server that has queues. */
static void discard(struct rpc_server *server)
{
    grpc_completion_queue *queue = server->loops[0].queue;
    grpc_server_shutdown_and_notify(server->core, queue, &server->down);
    grpc_event event = grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    assert(event.tag == &server->down);
    (void)event;
    for (uint32_t i = 0; i < server->loop_count; i++) {
        queue = server->loops[i].queue;
        grpc_completion_queue_shutdown(queue);
        event = grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        assert(event.type == GRPC_QUEUE_SHUTDOWN);
    }
    server_free(server);
}

status rpc_server_start(const struct rpc_server_options *options, struct arena *arena,
                        struct rpc_server **ret)
{
    assert(options->address != NULL && options->methods != NULL);
    assert(options->threads <= THREADS_MAX);
    uint32_t threads = options->threads == 0 ? THREADS : options->threads;
    uint32_t message_bytes_max =
        options->message_bytes_max == 0 ? MESSAGE_BYTES_MAX : options->message_bytes_max;
    gpr_set_log_function(log_core);
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    grpc_init();
    struct rpc_server *server = xcalloc(1, sizeof(*server));
    add_keyring(server, options->keyring);
    server->core = core_new(options, message_bytes_max);
    server->events = inbox_new(1, NULL, NULL);
    server->down = (struct loop_op){on_down, server};
    add_methods(server, options);
    server->streams.queued_bytes_max =
        options->streams_bytes_max == 0 ? STREAMS_BYTES_MAX : options->streams_bytes_max;
    add_loops(server, threads, message_bytes_max,
              options->receive_bytes_max == 0 ? RECEIVE_BYTES_MAX : options->receive_bytes_max);
    server->plain = grpc_insecure_server_credentials_create();
    status opened = add_door(server, options, arena);
    if (!status_is_ok(opened)) {
        discard(server);
        return opened;
    }
    grpc_server_start(server->core);
    follow_keys(server);
    for (uint32_t i = 0; i < threads; i++) {
        loop_start(&server->loops[i], i);
    }
    door_start(server->door);
    *ret = server;
    return STATUS_OK;
}

size_t rpc_server_streams_bytes(const struct rpc_server *server)
{
    return atomic_load(&server->streams.queued_bytes);
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return door_port(server->door);
}

status rpc_server_reload(struct rpc_server *server, struct arena *arena)
{
    return door_reload(server->door, arena);
}

/* ---- end ---- */

struct loop_job {
    struct loop_post post;
    struct rpc_server *server;
    struct loop *loop;
};

static void run_on_loops(struct rpc_server *server, void (*run)(struct loop_post *post))
{
    for (uint32_t i = 0; i < server->loop_count; i++) {
        struct loop_job *job = xmalloc(sizeof(*job));
        *job = (struct loop_job){{.run = run}, server, &server->loops[i]};
        loop_post(job->loop, &job->post);
    }
}

static void tell_health(struct loop_post *post)
{
    struct loop_job *job = container_of(post, struct loop_job, post);
    for (struct rpc_call *call = job->loop->calls; call != NULL; call = call->next) {
        health_changed(&call->api);
    }
    free(job);
}

/* Unary calls end by themselves soon; a stream might never. */
static void end_streams(struct loop_post *post)
{
    struct loop_job *job = container_of(post, struct loop_job, post);
    for (struct rpc_call *call = job->loop->calls; call != NULL; call = call->next) {
        if (call->api.method != NULL && call->api.method->kind != API_UNARY) {
            call_end_for_shutdown(call);
        }
    }
    loop_quiesce(job->loop, job->server->events);
    free(job);
}

void rpc_server_drain(struct rpc_server *server)
{
    if (server->draining) {
        return;
    }
    server->draining = true;
    health_set(&server->health, false);
    run_on_loops(server, tell_health);
    door_stop_accepting(server->door); /* A core that is shut down takes no connection. */
    grpc_server_shutdown_and_notify(server->core, server->loops[0].queue, &server->down);
}

/* One event has come; false: none in time. */
static bool wait_event(struct rpc_server *server, uint64_t until_us)
{
    uint64_t now_us = sys_monotonic_us();
    int64_t wait_ms = now_us >= until_us ? 0 : (int64_t)((until_us - now_us + 999) / 1000);
    if (!inbox_wait(server->events, wait_ms)) {
        return false;
    }
    struct inbox_node *event = inbox_take(server->events, 1);
    assert(event != NULL);
    (void)event;
    return true;
}

void rpc_server_stop(struct rpc_server *server, uint32_t grace_ms)
{
    assert(server->loop_count > 0);
    uint32_t awaited = 1 + server->loop_count; /* down, and every loop idle */
    uint64_t until_us = sys_monotonic_us() + (uint64_t)grace_ms * 1000;
    rpc_server_drain(server);
    run_on_loops(server, end_streams);
    while (awaited > 0 && wait_event(server, until_us)) {
        awaited--;
    }
    if (awaited > 0) {
        grpc_server_cancel_all_calls(server->core);
        until_us = sys_monotonic_us() + (uint64_t)LET_GO_MS * 1000;
        while (awaited > 0 && wait_event(server, until_us)) {
            awaited--;
        }
    }
    keyring_follow(server->keyring, NULL, NULL);
    if (awaited > 0) {
        /* Somebody still holds a call: freeing what it points to would be worse. */
        log_line(LOG_ERROR, "rpc_stop_incomplete", "awaited=%u", awaited);
        return;
    }
    for (uint32_t i = 0; i < server->loop_count; i++) {
        loop_stop(&server->loops[i]);
    }
    server_free(server);
}
