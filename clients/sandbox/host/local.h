/*
 * local: a sandbox of this machine's own kernel, by bubblewrap.
 *
 * Namespaces of its own for everything, no network, no capabilities, the system's programs read
 * only, and one folder that stays: the workspace. Nothing falls back: where the machine forbids
 * it, the sentence says what would allow it.
 */
#ifndef CLIENTS_SANDBOX_HOST_LOCAL_H
#define CLIENTS_SANDBOX_HOST_LOCAL_H

#include <sys/types.h>

#include "service/base/arena.h"

#define LOCAL_WORKSPACE "/workspace" /* Where the workspace is, inside. */

enum {
    LOCAL_FILTER_FD,
    LOCAL_PASSWD_FD,
    LOCAL_GROUP_FD,
    LOCAL_FD_COUNT,
};

struct local_options {
    const char *box; /* The path of polos-box. */
    const char *workspace; /* A folder. Started by root, the sandbox runs as the folder's owner. */
    const char *const *environment; /* Name and value by turns; NULL ends it. NULL: none. */
};

/* What is needed to start it; made before a fork, so that the child only calls the kernel. */
struct local_start {
    char *program;
    char **words;
    int fds[LOCAL_FD_COUNT];
    bool changes_user;
    uid_t user;
    gid_t group;
};

/* NOT_FOUND: bubblewrap, the box or the workspace is not there; INVALID_ARGUMENT: the environment
 * is too large. Texts live in the arena. */
status local_prepare(const struct local_options *options, struct arena *arena,
                     struct local_start *ret);
void local_close(struct local_start *start);
/* Becomes the sandbox; input, output and errors stay as they are. Returns only if it failed. */
void local_exec(const struct local_start *start);

/* What bubblewrap said when it ended before the box began: FAILED_PRECONDITION, with what would
 * allow it where that is known. */
status local_explain(str said, struct arena *arena);

#endif
