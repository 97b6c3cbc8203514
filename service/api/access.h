/*
 * access: who may call which method.
 *
 * The protos say it of our own services (`option (polos.v1.access)`); this file of those that the
 * transport has.
 *
 * Threading: pure.
 */
#ifndef SERVICE_API_ACCESS_H
#define SERVICE_API_ACCESS_H

#include "service/api/call.h"

/* The rights (enum right) of which a caller of the method has to have one. RIGHT_PUBLIC: it has to
 * show nothing. 0: nobody has said, and only an administrator may. */
uint32_t access_rights(str path);

/* The one place where a call gets its principal, by the transport, before any handler is called.
 * False: it may not call the method; the sentence, which says what it would have to have, lives in
 * the arena. */
[[nodiscard]] bool access_admit(struct api_call *call, uint32_t rights, struct principal principal,
                                struct arena *arena, struct failure *ret_why);

/* The rights of roles, polos.v1.KeyRole. False: one of them is none. */
bool access_read_roles(const int *roles, size_t count, uint32_t *ret);
/* The roles of rights, in order: at most ACCESS_ROLES_MAX. Their count. */
enum {
    ACCESS_ROLES_MAX = 5,
};
size_t access_roles(uint32_t rights, int ret[ACCESS_ROLES_MAX]);
/* A role by its name without "KEY_ROLE_", in either case. False: there is none. */
bool access_read_role_name(str name, uint32_t *ret_rights);
/* "CALLER, READER". */
str access_role_names(uint32_t rights, struct arena *arena);

#endif
