/*
 * world: a server without a network: the handlers over the real partition and the memory store, a
 * simulated transport, clock and model. Rounds are begun by hand, so every order can be had.
 */
#ifndef TESTS_UNIT_API_WORLD_H
#define TESTS_UNIT_API_WORLD_H

#include "polos/v1/definitions.pb-c.h"
#include "polos/v1/host.pb-c.h"
#include "service/llm/provider.h"
#include "service/reads/reads.h"
#include "storage/store.h"
#include "tests/unit/api/simulated_call.h"

enum {
    WORLD_READS_MAX = 4, /* That wait; more are refused. */
    WORLD_INBOX_BYTES_MAX = 64 << 10,
};

struct world {
    struct arena arena;
    struct partition *partition;
    struct store store; /* The partition's. */
    struct reads *reads;
    struct api api;
    struct model_sink sink;
    uint64_t now_ms;
    uint64_t random;
    uint64_t model_call; /* The one that was started last. */
    unsigned model_calls;
    uint32_t model_project; /* Of that call. */
};

void world_init(struct world *world, size_t inbox_max);
/* As one of several over one store, each of another project; the store stays the caller's. */
void world_init_project(struct world *world, const struct store *store, uint32_t project);
void world_fini(struct world *world);
void world_rounds(struct world *world);
void world_model_says(struct world *world, const char *text);

/* A unary call with its answer, after some rounds; NULL when it fails as expected. */
void *world_ask(struct world *world, const char *path, const ProtobufCMessage *request,
                enum code expected);
/* A call that is refused: its reason and field. */
void world_refused(struct world *world, const char *path, const ProtobufCMessage *request,
                   enum code code, const char *reason, const char *field);
void free_message(void *message);

/* Starts the workflow "flow"; its id in ret. */
void world_start_workflow(struct world *world, char ret[UUID_TEXT_BYTES]);
/* A host that offers the workflow "flow". */
struct simulated_call *world_connect_host(struct world *world);
/* The first envelope of a stream. */
void say_hello(struct simulated_call *call, Polos__V1__Hello *hello);
/* An envelope of this message; NULL: of none. */
void say_message(struct simulated_call *call, uint64_t seq, Polos__V1__HostMessage *message);
/* The newest message of that kind; NULL: none. */
Polos__V1__ServerMessage *last_of(const struct simulated_call *call, int kind);
void say_task_done(struct simulated_call *call, const Polos__V1__Task *task, uint64_t seq,
                   const char *value_json);

/* The agent's only model, of the provider that tests have; good until the next call. */
Polos__V1__ModelSpec *world_model(Polos__V1__AgentDefinition *agent, const char *name);
/* That many milliseconds; good until the next call. */
Google__Protobuf__Duration *world_length(int64_t ms);

#endif
