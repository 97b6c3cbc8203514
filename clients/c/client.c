#include "clients/c/client.h"

#include <assert.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>

#include "clients/c/memory.h"
#include "clients/c/wire.h"

struct method {
    const char *path;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
};

#define METHOD(service, verb, name)                                                                \
    {                                                                                              \
        "/polos.v1." service "/" verb, &polos__v1__##name##_request__descriptor,                   \
            &polos__v1__##name##_response__descriptor                                              \
    }

static const struct method methods[] = {
    [POLOS_AGENT_REGISTER] = METHOD("AgentService", "Register", agent_service_register),
    [POLOS_AGENT_START] = METHOD("AgentService", "Start", agent_service_start),
    [POLOS_AGENT_RUN] = METHOD("AgentService", "Run", agent_service_run),
    [POLOS_WORKFLOW_START] = METHOD("WorkflowService", "Start", workflow_service_start),
    [POLOS_WORKFLOW_RUN] = METHOD("WorkflowService", "Run", workflow_service_run),
    [POLOS_RUN_GET] = METHOD("RunService", "Get", run_service_get),
    [POLOS_RUN_LIST] = METHOD("RunService", "List", run_service_list),
    [POLOS_RUN_HISTORY] = METHOD("RunService", "History", run_service_history),
    [POLOS_RUN_CANCEL] = METHOD("RunService", "Cancel", run_service_cancel),
    [POLOS_RUN_DELETE] = METHOD("RunService", "Delete", run_service_delete),
    [POLOS_RUN_FORK] = METHOD("RunService", "Fork", run_service_fork),
    [POLOS_TOPIC_PUBLISH] = METHOD("TopicService", "Publish", topic_service_publish),
    [POLOS_TOPIC_LIST] = METHOD("TopicService", "List", topic_service_list),
    [POLOS_TOPIC_DELETE] = METHOD("TopicService", "Delete", topic_service_delete),
    [POLOS_QUEUE_PUT] = METHOD("QueueService", "Put", queue_service_put),
    [POLOS_QUEUE_GET] = METHOD("QueueService", "Get", queue_service_get),
    [POLOS_QUEUE_LIST] = METHOD("QueueService", "List", queue_service_list),
    [POLOS_QUEUE_DELETE] = METHOD("QueueService", "Delete", queue_service_delete),
    [POLOS_SCHEDULE_PUT] = METHOD("ScheduleService", "Put", schedule_service_put),
    [POLOS_SCHEDULE_GET] = METHOD("ScheduleService", "Get", schedule_service_get),
    [POLOS_SCHEDULE_LIST] = METHOD("ScheduleService", "List", schedule_service_list),
    [POLOS_SCHEDULE_DELETE] = METHOD("ScheduleService", "Delete", schedule_service_delete),
    [POLOS_SCHEDULE_PAUSE] = METHOD("ScheduleService", "Pause", schedule_service_pause),
    [POLOS_SCHEDULE_UNPAUSE] = METHOD("ScheduleService", "Unpause", schedule_service_unpause),
    [POLOS_SCHEDULE_TRIGGER] = METHOD("ScheduleService", "Trigger", schedule_service_trigger),
    [POLOS_SUSPEND_LIST] = METHOD("SuspendService", "List", suspend_service_list),
    [POLOS_SUSPEND_GET] = METHOD("SuspendService", "Get", suspend_service_get),
    [POLOS_SUSPEND_RESUME] = METHOD("SuspendService", "Resume", suspend_service_resume),
    [POLOS_METHOD_WATCH] = METHOD("RunService", "Watch", run_service_watch),
    [POLOS_METHOD_CONNECT] = {"/polos.v1.ToolService/Connect",
                              &polos__v1__tool_service_connect_request__descriptor,
                              &polos__v1__tool_service_connect_response__descriptor},
};

static_assert(sizeof(methods) / sizeof(methods[0]) == POLOS_METHOD_ALL);

struct connection {
    grpc_channel *channel;
    void *registered[POLOS_METHOD_ALL];
};

struct polos_client {
    struct polos_loop *loop;
    struct connection *connections;
    unsigned connection_count;
    unsigned next; /* Of the next call, modulo their count. */
    size_t calls; /* Not over yet. */
};

struct unary {
    struct polos_loop_tag tag;
    struct polos_client *client;
    const struct method *method;
    grpc_call *call;
    polos_answered *answered;
    void *context;
    grpc_metadata_array headers;
    grpc_metadata_array trailers;
    grpc_byte_buffer *request;
    grpc_byte_buffer *response;
    grpc_status_code status;
    grpc_slice message;
};

static void open_connection(struct connection *connection, const char *address)
{
    /* Connections of its own: the core would share one between equal channels. */
    grpc_arg settings[] = {
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_KEEPALIVE_TIME_MS},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_MAX_RECONNECT_BACKOFF_MS},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH},
    };
    grpc_channel_args args = {sizeof(settings) / sizeof(settings[0]), settings};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    settings[0].value.integer = 1;
    settings[1].value.integer = 30000;
    settings[2].value.integer = 5000;
    settings[3].value.integer = -1;
    connection->channel = grpc_channel_create(address, plain, &args);
    grpc_channel_credentials_release(plain);
    for (unsigned i = 0; i < POLOS_METHOD_ALL; i++) {
        connection->registered[i] =
            grpc_channel_register_call(connection->channel, methods[i].path, NULL, NULL);
    }
}

struct polos_client *polos_client_new(struct polos_loop *loop, const char *address,
                                      unsigned connections)
{
    struct polos_client *client = memory_zeroed(1, sizeof(*client));
    client->loop = loop;
    client->connection_count = connections == 0 ? 1 : connections;
    client->connections = memory_zeroed(client->connection_count, sizeof(*client->connections));
    for (unsigned i = 0; i < client->connection_count; i++) {
        open_connection(&client->connections[i], address);
    }
    return client;
}

void polos_client_free(struct polos_client *client)
{
    if (client == NULL) {
        return;
    }
    assert(client->calls == 0);
    for (unsigned i = 0; i < client->connection_count; i++) {
        grpc_channel_destroy(client->connections[i].channel);
    }
    free(client->connections);
    free(client);
}

struct polos_loop *polos_client_loop(struct polos_client *client)
{
    return client->loop;
}

grpc_call *polos_client_call(struct polos_client *client, unsigned method, uint64_t timeout_ms)
{
    assert(method < POLOS_METHOD_ALL);
    struct connection *connection = &client->connections[client->next++ % client->connection_count];
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (timeout_ms > 0) {
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                gpr_time_from_millis((int64_t)timeout_ms, GPR_TIMESPAN));
    }
    client->calls++;
    return grpc_channel_create_registered_call(connection->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                               polos_loop_queue(client->loop),
                                               connection->registered[method], deadline, NULL);
}

void polos_client_call_over(struct polos_client *client, grpc_call *call)
{
    assert(client->calls > 0);
    client->calls--;
    grpc_call_unref(call);
}

static void unary_free(struct unary *unary)
{
    grpc_metadata_array_destroy(&unary->headers);
    grpc_metadata_array_destroy(&unary->trailers);
    grpc_byte_buffer_destroy(unary->request);
    grpc_byte_buffer_destroy(unary->response);
    grpc_slice_unref(unary->message);
    polos_client_call_over(unary->client, unary->call);
    free(unary);
}

static void unary_done(struct polos_loop_tag *tag, bool ok)
{
    struct unary *unary = memory_owner(tag, struct unary, tag);
    struct polos_failure failure;
    struct polos_error broken = {13, "", "", "the server's answer is not a message"};
    (void)ok; /* The status says more. */
    polos_failure_init(&failure, unary->status, unary->message, &unary->trailers);
    if (failure.error.code != 0) {
        unary->answered(unary->context, &failure.error, NULL);
    } else {
        ProtobufCMessage *response =
            unary->response == NULL ? NULL
                                    : polos_wire_unpack(unary->method->response, unary->response);
        unary->answered(unary->context, response == NULL ? &broken : NULL, response);
        protobuf_c_message_free_unpacked(response, NULL);
    }
    polos_failure_fini(&failure);
    unary_free(unary);
}

static void unary_start(struct unary *unary)
{
    grpc_op ops[6];
    memset(ops, 0, sizeof(ops));
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = unary->request;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &unary->headers;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &unary->response;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &unary->trailers;
    ops[5].data.recv_status_on_client.status = &unary->status;
    ops[5].data.recv_status_on_client.status_details = &unary->message;
    grpc_call_error refused = grpc_call_start_batch(unary->call, ops, 6, &unary->tag, NULL);
    assert(refused == GRPC_CALL_OK);
    (void)refused;
}

void polos_call(struct polos_client *client, enum polos_method method,
                const ProtobufCMessage *request, uint64_t timeout_ms, polos_answered *answered,
                void *context)
{
    assert(method < POLOS_METHOD_COUNT);
    assert(request->descriptor == methods[method].request);
    struct unary *unary = memory_zeroed(1, sizeof(*unary));
    unary->tag.done = unary_done;
    unary->client = client;
    unary->method = &methods[method];
    unary->call = polos_client_call(client, method, timeout_ms);
    unary->answered = answered;
    unary->context = context;
    unary->request = polos_wire_pack(request);
    unary->message = grpc_empty_slice();
    grpc_metadata_array_init(&unary->headers);
    grpc_metadata_array_init(&unary->trailers);
    unary_start(unary);
}
