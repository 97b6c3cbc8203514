/*
 * space: how full the volume is, asked seldom enough to cost nothing.
 *
 * Threading: space_allows from the committing thread; the others from any thread.
 */
#ifndef STORAGE_SPACE_H
#define STORAGE_SPACE_H

#include "service/base/base.h"

struct space {
    const char *folder;
    uint64_t free_bytes_hard;
    uint64_t asked_us; /* When the volume was last asked, monotonic. */
    uint32_t commits; /* Since then. */
    uint64_t bytes; /* Written since then. */
    bool is_short; /* What it said. */
};

/* UINT64_MAX when the volume does not say. */
uint64_t space_free_bytes(const char *folder);
uint64_t space_volume_bytes(const char *folder); /* The same, of all of it. */
/* Of all files in the folder. */
uint64_t space_used_bytes(const char *folder);
/* False while the volume is below the hard floor. Asks at most every few commits; after a
 * refusal, every time, so that writes go on as soon as there is room. */
bool space_allows(struct space *space, size_t commit_bytes);

#endif
