#include "tests/unit/api/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "polos/v1/workflows.pb-c.h"
#include "service/features/features.h"
#include "service/features/models/models.h"
#include "service/partition/partition.h"
#include "service/partition/state.h"
#include "storage/memory_store.h"

static uint64_t world_now(void *context)
{
    return ((struct world *)context)->now_ms;
}

static void world_random(void *context, void *ret, size_t bytes)
{
    struct world *world = context;
    for (size_t i = 0; i < bytes; i++) {
        world->random = world->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)ret)[i] = (uint8_t)(world->random >> 56);
    }
}

static status model_check(void *self, const struct model_request *request, struct arena *arena)
{
    (void)self;
    return str_is(request->provider, "simulated")
               ? STATUS_OK
               : arena_fail(arena, CODE_INVALID_ARGUMENT, "unknown provider");
}

static void model_start(void *self, uint64_t call, const struct model_request *request)
{
    struct world *world = self;
    world->model_call = call;
    world->model_project = request->project;
    world->model_calls++;
}

static void model_cancel(void *self, uint64_t call)
{
    (void)self;
    (void)call;
}

static const struct model_client_vtable model_vtable = {
    .check = model_check,
    .start = model_start,
    .cancel = model_cancel,
};

static void make(struct world *world, struct partition_options *options)
{
    memset(world, 0, sizeof(*world));
    arena_init(&world->arena, 0);
    world->now_ms = 1700000000000;
    options->features = features_all;
    options->models = (struct model_client){&model_vtable, world};
    options->format = api_format();
    options->topic_format = api_topic_format();
    options->now_ms = world_now;
    options->random = world_random;
    options->context = world;
    options->inbox_bytes_max = WORLD_INBOX_BYTES_MAX;
    world->store = options->store;
    status made = partition_new(options, &world->arena, &world->partition);
    assert_int_equal(made.code, CODE_OK);
    world->sink = models_sink(world->partition);
    struct reads_options reads = {.source = {.store = options->store, .space = options->space},
                                  .queue_max = WORLD_READS_MAX};
    world->reads = reads_new(&reads);
    api_init(&world->api, world->partition, world->reads, NULL, 1000);
}

void world_init(struct world *world, size_t inbox_max)
{
    struct partition_options options = {.inbox_max = inbox_max};
    memory_store_open(&options.store);
    make(world, &options);
}

static void keep_open(void *self)
{
    (void)self;
}

void world_init_project(struct world *world, const struct store *store, uint32_t project)
{
    static struct store_vtable lent;
    lent = *store->vtable;
    lent.close = keep_open;
    struct partition_options options = {.store = {&lent, store->self},
                                        .space = {.project = project}};
    make(world, &options);
}

/* As its thread takes them: when something came, or when it says that it has to go on. */
void world_rounds(struct world *world)
{
    bool is_due = true;
    for (int i = 0; i < 4 && is_due; i++) {
        world->now_ms++;
        uint64_t due_ms = partition_round(world->partition);
        is_due = due_ms != 0 && due_ms <= world->now_ms;
        while (reads_step(world->reads, 0)) {
        }
        is_due |= inbox_count(world->partition->requests.inbox) > 0;
    }
}

void world_fini(struct world *world)
{
    reads_free(world->reads);
    partition_free(world->partition);
    arena_fini(&world->arena);
}

void world_model_says(struct world *world, const char *text)
{
    struct model_block block = {.kind = MODEL_BLOCK_TEXT, .text = str_of(text)};
    struct model_reply reply = {
        .blocks = &block,
        .block_count = 1,
        .usage = {.input = 3, .output = 4, .known = true},
        .model = STR("m"),
    };
    world->sink.done(world->sink.context, world->model_call, &reply);
}

void free_message(void *message)
{
    protobuf_c_message_free_unpacked(message, NULL);
}

void *world_ask(struct world *world, const char *path, const ProtobufCMessage *request,
                enum code expected)
{
    struct simulated_call *call = simulated_call_start(&world->api, path, request);
    world_rounds(world);
    assert_int_equal(call->finishes, 1);
    assert_int_equal(call->error.code, expected);
    void *ret = NULL;
    if (expected == CODE_OK) {
        assert_int_equal(call->sent_count, 1);
        ret = simulated_call_sent(call, 0);
    }
    simulated_call_release(call);
    return ret;
}

void world_refused(struct world *world, const char *path, const ProtobufCMessage *request,
                   enum code code, const char *reason, const char *field)
{
    struct simulated_call *call = simulated_call_start(&world->api, path, request);
    world_rounds(world);
    assert_int_equal(call->finishes, 1);
    assert_int_equal(call->error.code, code);
    assert_string_equal(reason_name(call->error.reason), reason);
    assert_true(str_is(call->error.field, field));
    assert_true(call->error.message.len > 0);
    assert_int_equal(call->sent_count, 0);
    simulated_call_release(call);
}

void world_start_workflow(struct world *world, char ret[UUID_TEXT_BYTES])
{
    Polos__V1__WorkflowServiceStartRequest request =
        POLOS__V1__WORKFLOW_SERVICE_START_REQUEST__INIT;
    request.workflow_id = (char *)"flow";
    Polos__V1__WorkflowServiceStartResponse *response =
        world_ask(world, "/polos.v1.WorkflowService/Start", &request.base, CODE_OK);
    assert_int_equal(strlen(response->run_id), UUID_TEXT_BYTES - 1);
    memcpy(ret, response->run_id, UUID_TEXT_BYTES);
    free_message(response);
}

struct simulated_call *world_connect_host(struct world *world)
{
    struct simulated_call *call =
        simulated_call_start(&world->api, "/polos.v1.ToolService/Connect", NULL);
    Polos__V1__WorkflowDefinition flow = POLOS__V1__WORKFLOW_DEFINITION__INIT;
    flow.id = (char *)"flow";
    Polos__V1__WorkflowDefinition *flows[] = {&flow};
    Polos__V1__Offers offers = POLOS__V1__OFFERS__INIT;
    offers.workflows = flows;
    offers.n_workflows = 1;
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
    hello.protocol = 1;
    hello.host_id = (char *)"host-1";
    hello.slots = 2;
    hello.offers = &offers;
    say_hello(call, &hello);
    return call;
}

void say_hello(struct simulated_call *call, Polos__V1__Hello *hello)
{
    Polos__V1__ToolServiceConnectRequest envelope = POLOS__V1__TOOL_SERVICE_CONNECT_REQUEST__INIT;
    envelope.hello = hello;
    simulated_call_message(call, &envelope.base);
}

void say_message(struct simulated_call *call, uint64_t seq, Polos__V1__HostMessage *message)
{
    Polos__V1__ToolServiceConnectRequest envelope = POLOS__V1__TOOL_SERVICE_CONNECT_REQUEST__INIT;
    envelope.first_seq = seq;
    envelope.n_messages = message == NULL ? 0 : 1;
    envelope.messages = &message;
    simulated_call_message(call, &envelope.base);
}

Polos__V1__ServerMessage *last_of(const struct simulated_call *call, int kind)
{
    Polos__V1__ServerMessage *found = NULL;
    for (size_t i = call->sent_count; i-- > 0 && found == NULL;) {
        Polos__V1__ToolServiceConnectResponse *envelope = simulated_call_sent(call, i);
        for (size_t j = envelope->n_messages; j-- > 0 && found == NULL;) {
            if ((int)envelope->messages[j]->message_case == kind) {
                found = envelope->messages[j];
                envelope->messages[j] = envelope->messages[--envelope->n_messages];
            }
        }
        free_message(envelope);
    }
    return found;
}

void say_task_done(struct simulated_call *call, const Polos__V1__Task *task, uint64_t seq,
                   const char *value_json)
{
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = (char *)value_json;
    Polos__V1__TaskDone done = POLOS__V1__TASK_DONE__INIT;
    done.task_id = task->task_id;
    done.epoch = task->epoch;
    done.result_case = POLOS__V1__TASK_DONE__RESULT_OUTCOME;
    done.outcome = &outcome;
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE;
    message.task_done = &done;
    say_message(call, seq, &message);
}

Polos__V1__ModelSpec *world_model(Polos__V1__AgentDefinition *agent, const char *name)
{
    static Polos__V1__ModelSpec spec;
    static Polos__V1__ModelSpec *models[] = {&spec};
    polos__v1__model_spec__init(&spec);
    spec.provider = (char *)"simulated";
    spec.model = (char *)name;
    agent->models = models;
    agent->n_models = COUNT_OF(models);
    return &spec;
}

Google__Protobuf__Duration *world_length(int64_t ms)
{
    static Google__Protobuf__Duration length;
    google__protobuf__duration__init(&length);
    length.seconds = ms / 1000;
    length.nanos = (int32_t)(ms % 1000 * 1000000);
    return &length;
}
