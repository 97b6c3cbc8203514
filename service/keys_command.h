/*
 * keys_command: `polosd keys create | list | revoke`, for a store that no server has open.
 *
 * So the first key is made, and another one when the last administrator's is lost. While a server
 * runs, AdminService does the same.
 */
#ifndef SERVICE_KEYS_COMMAND_H
#define SERVICE_KEYS_COMMAND_H

#include "service/base/arena.h"
#include "service/base/buf.h"
#include "storage/store.h"

struct keys_command {
    enum {
        KEYS_CREATE,
        KEYS_LIST,
        KEYS_REVOKE,
    } verb;
    str id; /* REVOKE. */
    str name; /* CREATE, these. */
    uint32_t rights;
    const str *offers;
    size_t offer_count;
    uint64_t lifetime_ms; /* 0: for ever. */
};

/* Takes what is its own from the arguments behind "keys"; the others, which are settings, are left
 * for config_read(): *ret_count of them in ret_rest, which has room for all. INVALID_ARGUMENT: a
 * sentence in the arena. */
status keys_command_read(const char *const *arguments, size_t count, struct arena *arena,
                         struct keys_command *ret, const char **ret_rest, size_t *ret_count);
/* Appends what is printed: of CREATE the secret alone, so that it can be kept in a file. */
status keys_command_run(const struct keys_command *command, struct store *store, uint64_t now_ms,
                        struct arena *arena, struct buf *ret);

#endif
