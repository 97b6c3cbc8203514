/*
 * places: who may ask a model now, when not everybody can at once.
 *
 * Servers are served in turn, and the calls of one server go in the order they came. When all
 * places are taken, a server with few calls under way gets some beyond them: one that hangs holds
 * up its own calls and nobody else's.
 *
 * Invariant: a claim waits only while all places are taken, and its server has its sure ones.
 */
#ifndef SERVICE_LLM_PLACES_H
#define SERVICE_LLM_PLACES_H

#include "service/base/base.h"
#include "service/base/table.h"

struct places_server; /* Lives while it has claims. */

/* Zero-initialised is nowhere. */
struct claim {
    struct places_server *server;
    struct claim *next; /* While it waits. */
    struct claim *before;
    bool is_held; /* It has a place. */
};

struct places {
    struct table servers;
    struct places_server *next; /* A ring of those with waiting claims; NULL: nobody waits. */
    size_t most; /* Places for all. */
    size_t sure; /* Places of each server, at least. */
    size_t taken;
};

void places_init(struct places *places, size_t most);
void places_fini(struct places *places); /* No claim may be left. */

/* The claim waits behind those of its server. */
void places_ask(struct places *places, struct claim *claim, str server);
/* Gives a place to the claim that is next; NULL: nobody waits, or nobody may go now. */
struct claim *places_next(struct places *places);
/* Gives up the claim, whether it waits or has a place. */
void places_leave(struct places *places, struct claim *claim);

#endif
