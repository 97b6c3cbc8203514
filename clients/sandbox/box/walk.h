/*
 * walk: the regular files below a folder, in the order of their paths, without what is ignored.
 *
 * Links are not followed, ".git" is not entered. A walk has limits; whoever asked is told which of
 * them ended it.
 */
#ifndef CLIENTS_SANDBOX_BOX_WALK_H
#define CLIENTS_SANDBOX_BOX_WALK_H

#include "clients/sandbox/box/place.h"

enum {
    WALK_ENTRIES_MAX = 200000,
    WALK_DEPTH_MAX = 64,
    WALK_MS_MAX = 30000,
};

enum walk_end {
    WALK_ALL, /* Everything was seen. */
    WALK_ENOUGH, /* The visitor said so. */
    WALK_TOO_MANY,
    WALK_TOO_DEEP, /* Some folders were left out; everything else was seen. */
    WALK_TOO_LONG,
    WALK_ABANDONED, /* The caller is gone. */
};

struct walk_visitor {
    void *context;
    /* A file: its name in its folder, and its path from the root. False: that is enough. */
    bool (*file)(void *context, int folder_fd, const char *name, str path);
};

/* `path` is from the root. FAILED_PRECONDITION: it is no folder; else as place_open_at(). */
status walk_below(const struct place *place, str path, const struct walk_visitor *visitor,
                  struct arena *arena, enum walk_end *ret);
/* A sentence for whoever sees the results; NULL of WALK_ALL and WALK_ENOUGH. */
const char *walk_end_note(enum walk_end end);

#endif
