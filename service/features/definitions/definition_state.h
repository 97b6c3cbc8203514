/*
 * definition_state: what the files of this feature share.
 *
 * Threading: owned by one partition thread.
 */
#ifndef SERVICE_FEATURES_DEFINITIONS_DEFINITION_STATE_H
#define SERVICE_FEATURES_DEFINITIONS_DEFINITION_STATE_H

#include "service/codec/definition_rows.h"
#include "service/features/definitions/definitions.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

static_assert((int)VERSION_HASH_BYTES == (int)DEFINITION_HASH_BYTES, "a version is its hash");

/* Runs of a version that began or ended in this round. In the round's arena. */
struct pin {
    struct table_link by_hash;
    struct pin *next;
    str id; /* The agent's. */
    uint8_t hash[DEFINITION_HASH_BYTES];
    int64_t change; /* Those that began less those that ended. */
};

/* Asked for in this round, carried out at its end. In the round's arena. */
struct deletion {
    struct deletion *next;
    struct request *request;
    bool is_under_way; /* It has changed something. */
};

struct definitions {
    struct partition *partition;
    struct table by_hash;
    struct table newest_by_id; /* Those in memory that are the newest of their id. */
    struct definition *oldest; /* Those that no run uses, in the order of their last use. */
    struct definition *newest;
    size_t unused_bytes;
    struct table pins_by_hash;
    struct pin *pins; /* The same, one after the other. */
    struct deletion *deletions;
    struct deletion **last_deletion;
    bool has_begun; /* Requests are heard. */
    bool is_built; /* Committed: older releases' versions and runs have their rows. */
    bool is_built_next; /* By the open batch. */
    bool is_given_up; /* Until the next start: they could not be read. */
};

/* Of the partition. */
struct definitions *definitions_of(const struct partition *partition);
/* In memory; NULL: it is not there. */
struct definition *definition_find(const struct definitions *definitions,
                                   const uint8_t hash[DEFINITION_HASH_BYTES]);
/* It is found no more; runs that have ended may hold it still. */
void definition_drop(struct definitions *definitions, struct definition *definition);

/* By pins.c: */
void pins_init(struct definitions *definitions);
void pins_fini(struct definitions *definitions);
/* A run of the version begins (1) or ends (-1). */
void pin_change(struct definitions *definitions, str id, const uint8_t hash[DEFINITION_HASH_BYTES],
                int64_t change);
void pins_seal(struct definitions *definitions); /* Into the batch. */
void pins_forget(struct definitions *definitions); /* At the round's end. */
/* Whether a run of the agent, or of this version of it (NULL: of any), has not ended. One that
 * ended in this round counts. */
status pins_ask(struct definitions *definitions, str id, const uint8_t *hash, bool *ret);

/* By version_rows.c: */
/* The rows of a version that is new. */
void version_put(struct definitions *definitions, str id,
                 const uint8_t hash[DEFINITION_HASH_BYTES]);
/* NOT_FOUND: the agent has no such version. The row's id is borrowed. */
status version_find(struct definitions *definitions, str id,
                    const uint8_t hash[DEFINITION_HASH_BYTES], struct version_row *ret);
/* All rows of a version go; what is left of it says how the runs look that have ended with it. */
status version_delete(struct definitions *definitions, const struct version_row *row);
/* Of a version that was deleted: whether it had an output schema. */
bool version_was_structured(struct definitions *definitions,
                            const uint8_t hash[DEFINITION_HASH_BYTES]);
/* The oldest versions of the agent but for this one, at most so many. The rows' id is borrowed. */
status versions_oldest(struct definitions *definitions, str id,
                       const uint8_t but[DEFINITION_HASH_BYTES], size_t count_max,
                       struct version_row *ret, size_t *ret_count);
/* What an older release has not written. */
void versions_build(struct definitions *definitions);
/* Whether that was done. */
status versions_read_built(struct definitions *definitions);

/* By deletions.c: */
void deletions_seal(struct definitions *definitions); /* Into the batch. */

#endif
