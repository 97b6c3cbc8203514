#include <assert.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "clients/c/memory.h"
#include "clients/c/polos_host.h"
#include "clients/c/session.h"
#include "clients/c/stream.h"
#include "clients/c/wire.h"

enum {
    SLOTS_DEFAULT = 100,
    HOST_ID_BYTES = 128,
    REDIAL_FIRST_US = 50 * 1000,
    REDIAL_MAX_US = 5 * 1000 * 1000,
    ACK_DELAY_US = 50 * 1000, /* How long an acknowledgement waits for a message to ride on. */
    HEARTBEAT_MS = 5000, /* Until the server says what it wants. */
};

struct offer {
    Polos__V1__TaskKind kind;
    const char *name; /* In the definition. */
    polos_task_given *given;
    void *context;
};

struct polos_host {
    struct polos_client *client;
    struct polos_loop *loop;
    struct polos_host_options options;
    char host_id[HOST_ID_BYTES];
    struct polos_session *session;
    struct polos_stream *stream; /* NULL while it waits to dial again. */
    struct polos_loop_soon flush;
    struct polos_timer redial;
    struct polos_timer acknowledge;
    struct polos_timer beat;
    uint64_t redial_us; /* The next pause. */
    uint64_t heartbeat_ms;
    bool is_started;
    bool is_stopping;
    void (*stopped)(void *context);
    void *stopped_context;
    Polos__V1__Hello hello;
    Polos__V1__Offers offered; /* Of `hello`. */
    struct polos_session_envelope outgoing;
    struct offer *offers; /* Of tools first, or workflows: as they were made. */
    size_t offer_count;
};

/* ---- offers ---- */

static void add_offer(struct polos_host *host, Polos__V1__TaskKind kind, const char *name,
                      polos_task_given *given, void *context)
{
    assert(!host->is_started);
    host->offers = memory_grown(host->offers, host->offer_count, sizeof(*host->offers));
    host->offers[host->offer_count++] = (struct offer){kind, name, given, context};
}

void polos_host_offer_tool(struct polos_host *host, const Polos__V1__ToolDefinition *tool,
                           polos_task_given *given, void *context)
{
    Polos__V1__ToolDefinition *copy = (Polos__V1__ToolDefinition *)polos_wire_copy(&tool->base);
    host->offered.tools = memory_grown(host->offered.tools, host->offered.n_tools, sizeof(copy));
    host->offered.tools[host->offered.n_tools++] = copy;
    add_offer(host, POLOS__V1__TASK_KIND__TASK_KIND_TOOL, copy->id, given, context);
}

void polos_host_offer_workflow(struct polos_host *host, const char *id, const char *description,
                               polos_task_given *given, void *context)
{
    Polos__V1__WorkflowDefinition workflow = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    workflow.id = (char *)id;
    workflow.description = (char *)description;
    Polos__V1__WorkflowDefinition *copy =
        (Polos__V1__WorkflowDefinition *)polos_wire_copy(&workflow.base);
    host->offered.workflows =
        memory_grown(host->offered.workflows, host->offered.n_workflows, sizeof(copy));
    host->offered.workflows[host->offered.n_workflows++] = copy;
    add_offer(host, POLOS__V1__TASK_KIND__TASK_KIND_WORKFLOW, copy->id, given, context);
}

void polos_host_offer_agent(struct polos_host *host, const Polos__V1__AgentDefinition *agent)
{
    Polos__V1__AgentDefinition *copy = (Polos__V1__AgentDefinition *)polos_wire_copy(&agent->base);
    assert(!host->is_started);
    host->offered.agents = memory_grown(host->offered.agents, host->offered.n_agents, sizeof(copy));
    host->offered.agents[host->offered.n_agents++] = copy;
}

/* ---- the stream ---- */

static void stop_if_idle(struct polos_host *host)
{
    if (!host->is_stopping || polos_session_held(host->session) > 0) {
        return;
    }
    if (host->stream != NULL) {
        if (polos_session_is_settled(host->session)) {
            polos_stream_cancel(host->stream); /* Its end comes back here. */
        }
        return;
    }
    polos_timer_clear(host->loop, &host->redial);
    polos_timer_clear(host->loop, &host->acknowledge);
    polos_timer_clear(host->loop, &host->beat);
    polos_loop_not_soon(host->loop, &host->flush);
    void (*stopped)(void *context) = host->stopped;
    host->stopped = NULL;
    if (stopped != NULL) {
        stopped(host->stopped_context);
    }
}

/* Sends what there is; its completion sends what was said meanwhile. */
static void flush(struct polos_loop_soon *soon)
{
    struct polos_host *host = memory_owner(soon, struct polos_host, flush);
    struct polos_session_envelope *outgoing = &host->outgoing;
    if (host->stream == NULL || !polos_stream_can_send(host->stream)) {
        return;
    }
    if (polos_session_next(host->session, outgoing)) {
        polos_stream_send(host->stream, &outgoing->envelope.base,
                          polos_session_has_next(host->session));
    } else if (polos_session_owes_ack(host->session) && host->acknowledge.due_us == 0) {
        polos_timer_set(host->loop, &host->acknowledge, polos_now_us() + ACK_DELAY_US);
    }
}

static void ready(void *context)
{
    struct polos_host *host = context;
    polos_loop_soon(host->loop, &host->flush);
}

static void acknowledge(void *context)
{
    struct polos_host *host = context;
    host->acknowledge.due_us = 0;
    polos_session_ack(host->session);
}

static void beat(void *context)
{
    struct polos_host *host = context;
    assert(host->heartbeat_ms > 0);
    polos_session_heartbeat(host->session);
    polos_timer_set(host->loop, &host->beat, polos_now_us() + host->heartbeat_ms * 1000);
}

static void received(void *context, grpc_byte_buffer *bytes)
{
    struct polos_host *host = context;
    ProtobufCMessage *message =
        polos_wire_unpack(&polos__v1__tool_service_connect_response__descriptor, bytes);
    if (message == NULL ||
        !polos_session_receive(host->session, (Polos__V1__ToolServiceConnectResponse *)message)) {
        polos_stream_cancel(host->stream);
    } else {
        ready(host); /* An acknowledgement may be owed. */
    }
    protobuf_c_message_free_unpacked(message, NULL);
    stop_if_idle(host);
}

static void sent(void *context)
{
    struct polos_host *host = context;
    flush(&host->flush);
}

static bool is_final(int code)
{
    /* INVALID_ARGUMENT, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED. */
    return code == 3 || code == 7 || code == 12 || code == 16;
}

static void closed(void *context, const struct polos_error *error)
{
    struct polos_host *host = context;
    assert(host->stream != NULL);
    host->stream = NULL;
    polos_session_cut(host->session);
    if (host->is_stopping && polos_session_held(host->session) == 0) {
        stop_if_idle(host);
        return;
    }
    if (error != NULL && is_final(error->code)) {
        if (host->options.refused != NULL) {
            host->options.refused(host->options.context, error);
        }
        return;
    }
    polos_timer_set(host->loop, &host->redial, polos_now_us() + host->redial_us);
    assert(host->redial_us >= REDIAL_FIRST_US);
    host->redial_us *= 2;
    host->redial_us = host->redial_us > REDIAL_MAX_US ? REDIAL_MAX_US : host->redial_us;
}

static const struct polos_stream_events stream_events = {received, sent, closed};

static void send_hello(void *context, const Polos__V1__ToolServiceConnectRequest *envelope)
{
    struct polos_host *host = context;
    assert(host->stream == NULL);
    host->stream = polos_stream_open(host->client, POLOS_METHOD_CONNECT, &envelope->base, false,
                                     &stream_events, host);
}

static void dial(void *context)
{
    struct polos_host *host = context;
    assert(host->stream == NULL);
    polos_session_hello(host->session, &host->hello, send_hello, host);
}

/* ---- what the session says ---- */

static void welcomed(void *context, const Polos__V1__Welcome *welcome)
{
    struct polos_host *host = context;
    host->redial_us = REDIAL_FIRST_US;
    const Google__Protobuf__Duration *heartbeat = welcome->heartbeat;
    bool is_said = heartbeat != NULL && heartbeat->seconds >= 0 && heartbeat->nanos >= 0;
    uint64_t ms =
        is_said ? (uint64_t)heartbeat->seconds * 1000 + (uint64_t)heartbeat->nanos / 1000000 : 0;
    host->heartbeat_ms = ms > 0 ? ms : HEARTBEAT_MS;
    polos_timer_set(host->loop, &host->beat, polos_now_us() + host->heartbeat_ms * 1000);
    if (host->options.connected != NULL) {
        host->options.connected(host->options.context, welcome->resumed);
    }
}

static void given(void *context, struct polos_task *task)
{
    static const struct polos_outcome unknown = {
        .error_type = "UnknownTask", .error_message = "this host does not have what was asked for"};
    struct polos_host *host = context;
    const Polos__V1__Task *message = polos_task_message(task);
    assert(message != NULL && host->is_started);
    for (size_t i = 0; i < host->offer_count; i++) {
        const struct offer *offer = &host->offers[i];
        if (offer->kind == message->kind && strcmp(offer->name, message->name) == 0) {
            offer->given(offer->context, task);
            return;
        }
    }
    polos_task_done(task, &unknown);
}

static void draining(void *context)
{
    struct polos_host *host = context;
    assert(host->stream != NULL);
    /* The session is kept; the next dial finds the server that comes after. */
    polos_stream_cancel(host->stream);
}

static const struct polos_session_events session_events = {welcomed, given, ready, draining};

/* ---- life ---- */

static void name_host(struct polos_host *host)
{
    char name[65] = "";
    uint64_t chance = 0;
    if (host->options.host_id != NULL) {
        snprintf(host->host_id, sizeof(host->host_id), "%s", host->options.host_id);
        return;
    }
    gethostname(name, sizeof(name) - 1);
    ssize_t got = getrandom(&chance, sizeof(chance), 0);
    assert(got == (ssize_t)sizeof(chance));
    (void)got;
    snprintf(host->host_id, sizeof(host->host_id), "%s-%ld-%016llx", name, (long)getpid(),
             (unsigned long long)chance);
}

struct polos_host *polos_host_new(struct polos_client *client,
                                  const struct polos_host_options *options)
{
    struct polos_host *host = memory_zeroed(1, sizeof(*host));
    host->client = client;
    host->loop = polos_client_loop(client);
    host->options = *options;
    name_host(host);
    host->options.host_id = host->host_id;
    host->options.deployment = memory_copy(options->deployment);
    polos__v1__hello__init(&host->hello);
    polos__v1__offers__init(&host->offered);
    host->hello.offers = &host->offered;
    host->hello.host_id = host->host_id;
    host->hello.deployment = (char *)host->options.deployment;
    host->hello.slots = options->slots == 0 ? SLOTS_DEFAULT : options->slots;
    host->hello.user_agent = (char *)"polos-c/0.1.0";
    host->hello.language = (char *)"c";
    host->session = polos_session_new(&session_events, host);
    host->flush.run = flush;
    host->redial = (struct polos_timer){.due = dial, .context = host};
    host->acknowledge = (struct polos_timer){.due = acknowledge, .context = host};
    host->beat = (struct polos_timer){.due = beat, .context = host};
    host->redial_us = REDIAL_FIRST_US;
    return host;
}

void polos_host_start(struct polos_host *host)
{
    assert(!host->is_started);
    host->is_started = true;
    dial(host);
}

static void begin_stop(struct polos_host *host, void (*stopped)(void *context), void *context)
{
    assert(host->is_started && !host->is_stopping);
    host->is_stopping = true;
    host->stopped = stopped;
    host->stopped_context = context;
}

void polos_host_stop(struct polos_host *host, void (*stopped)(void *context), void *context)
{
    begin_stop(host, stopped, context);
    polos_session_drain(host->session, "the host is shutting down");
    stop_if_idle(host);
}

void polos_host_leave(struct polos_host *host, void (*stopped)(void *context), void *context)
{
    begin_stop(host, stopped, context);
    polos_session_release_all(host->session, "the host is shutting down");
    stop_if_idle(host);
}

void polos_host_free(struct polos_host *host)
{
    if (host == NULL) {
        return;
    }
    assert(host->stream == NULL);
    polos_session_free(host->session);
    for (size_t i = 0; i < host->offered.n_tools; i++) {
        polos__v1__tool_definition__free_unpacked(host->offered.tools[i], NULL);
    }
    for (size_t i = 0; i < host->offered.n_workflows; i++) {
        polos__v1__workflow_definition__free_unpacked(host->offered.workflows[i], NULL);
    }
    for (size_t i = 0; i < host->offered.n_agents; i++) {
        polos__v1__agent_definition__free_unpacked(host->offered.agents[i], NULL);
    }
    free(host->offered.tools);
    free(host->offered.workflows);
    free(host->offered.agents);
    free(host->offers);
    free((char *)host->options.deployment);
    free(host);
}
