/*
 * place: the files below one folder, and no others, whatever links and names say.
 *
 * Every path is walked by the kernel, from the folder's descriptor, and refused where it would
 * leave it (openat2, RESOLVE_BENEATH). Nothing is decided by comparing texts, so there is no
 * moment between a check and a use.
 */
#ifndef CLIENTS_SANDBOX_BOX_PLACE_H
#define CLIENTS_SANDBOX_BOX_PLACE_H

#include <sys/types.h>

#include "service/base/arena.h"

struct place {
    int root_fd;
    str root;
    str workspace; /* From the root; empty: the root itself. */
};

/* Both absolute. NOT_FOUND: there is no such root; INVALID_ARGUMENT: the workspace is not below it,
 * as it is written. Texts live in the arena. */
status place_open(str root, str workspace, struct arena *arena, struct place *ret);
void place_close(struct place *place);

/* The path from the root, of one that is absolute or begins at the workspace. PERMISSION_DENIED:
 * as it is written it begins elsewhere. It may still lead out: opening it tells. */
status place_path(const struct place *place, str path, struct arena *arena, str *ret);
/* The same path as those inside know it: absolute. */
str place_absolute(const struct place *place, str path, struct arena *arena);

/* `path` is from the root; empty: the root. Flags as of open(2); the caller closes *ret_fd. The
 * failures are those of place_failure(). */
status place_open_at(const struct place *place, str path, int flags, struct arena *arena,
                     int *ret_fd);
/* Opens the folder of the path, and makes those that are missing; *ret_name: what is behind the
 * last slash. INVALID_ARGUMENT: that is no name. */
status place_open_parent(const struct place *place, str path, struct arena *arena, int *ret_fd,
                         const char **ret_name);

/* What a system call said of a path, as a sentence about it. */
status place_failure(const struct place *place, int error, str path, struct arena *arena);

#endif
