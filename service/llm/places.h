/*
 * places: who may ask a model now, when not everybody can at once.
 *
 * Each project has a line at each server: lines are served in turn, and the calls of one go in the
 * order they came. When all places are taken, a line with few calls under way gets some beyond
 * them: a server that hangs holds up its own calls and nobody else's, and a project whose calls
 * hang holds up its own at that server. When those are taken, too, a project with few calls under
 * way, at whatever servers, gets some beyond them: so one whose calls hang everywhere holds up
 * itself.
 *
 * Invariant: a claim waits only while all places are taken, and its line has its sure ones, and its
 *            project has.
 */
#ifndef SERVICE_LLM_PLACES_H
#define SERVICE_LLM_PLACES_H

#include "service/base/base.h"
#include "service/base/table.h"

struct places_line; /* Lives while it has claims. */

enum {
    PLACES_WITH_SURE = 3,
};

/* Zero-initialised is nowhere. */
struct claim {
    struct places_line *line;
    struct claim *next; /* While it waits. */
    struct claim *before;
    bool is_held; /* It has a place. */
};

struct places {
    struct table lines;
    struct table projects; /* Those that have lines. */
    struct places_line *next; /* A ring of those with waiting claims; NULL: nobody waits. */
    size_t most; /* Places for all; with those that are sure PLACES_WITH_SURE times as many. */
    size_t sure; /* Places of each line, at least, and of each project. */
    size_t taken;
};

void places_init(struct places *places, size_t most);
void places_fini(struct places *places); /* No claim may be left. */

/* The claim waits behind those of its project at its server. */
void places_ask(struct places *places, struct claim *claim, uint32_t project, str server);
/* Gives a place to the claim that is next; NULL: nobody waits, or nobody may go now. */
struct claim *places_next(struct places *places);
/* Gives up the claim, whether it waits or has a place. */
void places_leave(struct places *places, struct claim *claim);

#endif
