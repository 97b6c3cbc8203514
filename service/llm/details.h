/*
 * details: puts reasoning_details together again, which a stream cuts into many elements.
 *
 * Texts cut in pieces are joined, since a server that gets its signed reasoning back wants one
 * element with one signature; every element that was not cut stays byte for byte as it came.
 */
#ifndef SERVICE_LLM_DETAILS_H
#define SERVICE_LLM_DETAILS_H

#include "service/base/buf.h"

struct details {
    struct buf joined; /* Finished elements, with commas between. */
    struct buf first; /* The open element, as its first piece came; empty: none is open. */
    struct buf members; /* Its members, from all pieces. */
    struct buf text; /* Its text, from all pieces. */
    const char *field; /* Where its text stands. */
    size_t pieces;
};

void details_fini(struct details *details); /* Zero-initialised is valid too. */
/* element: JSON of any kind that passed json_check(); copied. */
void details_add(struct details *details, str element);
/* The elements so far, without brackets; ends the open one. */
str details_finish(struct details *details);
size_t details_bytes(const struct details *details); /* What is kept, about. */

#endif
