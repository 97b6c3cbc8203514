/*
 * folders: the workspaces of this host, a folder for each sandbox, below one of its own.
 *
 * Invariant: what is in them was made by models; nothing of it is followed, only removed.
 */
#ifndef CLIENTS_SANDBOX_HOST_FOLDERS_H
#define CLIENTS_SANDBOX_HOST_FOLDERS_H

#include "service/base/arena.h"

/* Makes the folder, and those above it. FAILED_PRECONDITION says why not. */
status folders_make_above(const char *path, struct arena *arena);
/* The path of a sandbox's folder, which is made if it is not there. Made by root it is the user's
 * with that number (0: root's). `name`: letters, digits and '-' only. */
status folders_make(const char *above, const char *name, unsigned user, struct arena *arena,
                    const char **ret);
/* With all that is in it, however deep. False: something of it could not be removed. */
bool folders_remove(const char *above, const char *name);
/* The names of all there are, for whoever finds what an earlier process left. */
void folders_each(const char *above, void (*found)(void *context, const char *name), void *context);

#endif
