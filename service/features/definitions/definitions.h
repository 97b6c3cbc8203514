/*
 * definitions: what agents are made of, by the hash of their bytes and by their newest.
 *
 * A run is pinned to the definition it was started with. How many runs that have not ended are
 * pinned to each is counted in the batch that begins or ends one, so a definition in use is never
 * deleted.
 *
 * Threading: the partition thread; requests are made by any.
 */
#ifndef SERVICE_FEATURES_DEFINITIONS_DEFINITIONS_H
#define SERVICE_FEATURES_DEFINITIONS_DEFINITIONS_H

#include "service/agents/definition.h"
#include "service/base/table.h"
#include "service/partition/feature.h"
#include "service/partition/request.h"

extern const struct feature definitions_feature;

enum {
    DEFINITION_HASH_BYTES = 16,
};

/* A definition in memory. It stays while runs there use it; of the others the least used leave. */
struct definition {
    struct table_link by_hash;
    struct table_link by_id; /* While it is the newest of its id. */
    struct definition *older; /* While no run uses it. */
    struct definition *newer;
    size_t run_count; /* Runs in memory that use it. */
    size_t bytes; /* That it takes. */
    uint8_t hash[DEFINITION_HASH_BYTES];
    struct arena arena;
    struct agent_definition agent;
    uint64_t put_round; /* In which it was registered last; 0: not since it is in memory. */
    bool is_newest; /* Of its id. */
    bool is_dropped; /* It was deleted: only runs that have ended hold it. */
};

/* Keeps it as the newest of its id. */
void definition_put(struct partition *partition, const struct agent_definition *agent,
                    uint8_t ret_hash[DEFINITION_HASH_BYTES]);
/* The newest of the agent's, borrowed until the round's end. NOT_FOUND when it was never
 * registered. */
status definition_newest(struct partition *partition, str id, struct definition **ret);
/* The definition the run is pinned to, borrowed while the run is in memory or until a round fails.
 * DATA_LOSS when its start names none. */
status definition_of(struct partition *partition, struct live_run *run, struct definition **ret);
/* Whether the agent of a run was defined with an output schema, be the definition deleted since. */
bool definition_is_structured(struct partition *partition, struct live_run *run);
size_t definitions_count(const struct partition *partition); /* In memory. */

/* Whether an agent's model can be asked as things stand. */
enum model_reach {
    MODEL_CALLABLE,
    MODEL_NO_KEY, /* The server lacks a key, leave to send it there, or an address. */
};

/* Refuses a model that could never be asked: an unknown provider, an address that is none, options
 * that are no object. The failure's field is the agent's. */
bool definition_judge_model(struct partition *partition, const struct agent_definition *agent,
                            struct arena *arena, enum model_reach *ret, struct failure *failure);

struct register_request {
    struct request request;
    const struct agent_definition *definition; /* In the request's arena. */
    enum model_reach ret_reach;
    uint8_t ret_hash[DEFINITION_HASH_BYTES];
};
extern const struct operation register_operation;

/* Deletes an agent, or one version of it, that no run which has not ended is pinned to and no host
 * defines. AGENT_NOT_FOUND, DEFINITION_IN_USE. */
struct delete_definition_request {
    struct request request;
    str id;
    str hash; /* DEFINITION_HASH_BYTES; empty: all versions. */
};
extern const struct operation delete_definition_operation;

static inline struct register_request *register_request(struct request *request)
{
    assert(request->operation == &register_operation);
    return container_of(request, struct register_request, request);
}

static inline struct delete_definition_request *delete_definition_request(struct request *request)
{
    assert(request->operation == &delete_definition_operation);
    return container_of(request, struct delete_definition_request, request);
}

#endif
