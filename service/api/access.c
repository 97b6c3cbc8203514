#include "service/api/access.h"

#include "polos/v1/access.pb-c.h"
#include "protos/access_table.h"
#include "service/keys/secret.h"

static const struct {
    int role;
    uint32_t right;
    const char *name;
} roles_known[] = {
    {POLOS__V1__KEY_ROLE__KEY_ROLE_CALLER, RIGHT_CALL, "CALLER"},
    {POLOS__V1__KEY_ROLE__KEY_ROLE_HOST, RIGHT_HOST, "HOST"},
    {POLOS__V1__KEY_ROLE__KEY_ROLE_APPROVER, RIGHT_ANSWER, "APPROVER"},
    {POLOS__V1__KEY_ROLE__KEY_ROLE_READER, RIGHT_READ, "READER"},
    {POLOS__V1__KEY_ROLE__KEY_ROLE_ADMIN, RIGHT_ADMIN, "ADMIN"},
};
static_assert(COUNT_OF(roles_known) == ACCESS_ROLES_MAX, "every role has a row");

/* Services that others have defined, and whose protos are kept as they are. */
static const struct {
    str prefix;
    uint32_t rights;
} others[] = {
    {{"/grpc.health.v1.Health/", 23}, RIGHT_PUBLIC}, /* Load balancers have no key. */
    {{"/grpc.reflection.", 17}, RIGHT_ALL},
};

static uint32_t rights_of_bits(uint32_t bits)
{
    uint32_t rights = 0;
    for (size_t i = 0; i < COUNT_OF(roles_known); i++) {
        if ((bits >> roles_known[i].role & 1) != 0) {
            rights |= roles_known[i].right;
        }
    }
    return rights;
}

uint32_t access_rights(str path)
{
    for (const struct access_row *row = access_table; row->path != NULL; row++) {
        if (str_is(path, row->path)) {
            return rights_of_bits(row->roles);
        }
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (str_starts_with(path, others[i].prefix)) {
            return others[i].rights;
        }
    }
    return 0;
}

bool access_read_roles(const int *roles, size_t count, uint32_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t right = roles[i] < 0 || roles[i] > 31 ? 0 : rights_of_bits(1u << roles[i]);
        if (right == 0) {
            return false;
        }
        *ret |= right;
    }
    return true;
}

size_t access_roles(uint32_t rights, int ret[ACCESS_ROLES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(roles_known); i++) {
        if ((rights & roles_known[i].right) != 0) {
            ret[count++] = roles_known[i].role;
        }
    }
    return count;
}

bool access_read_role_name(str name, uint32_t *ret_rights)
{
    for (size_t i = 0; i < COUNT_OF(roles_known); i++) {
        const char *known = roles_known[i].name;
        size_t len = 0;
        while (len < name.len && known[len] != '\0' &&
               (name.ptr[len] == known[len] || name.ptr[len] == known[len] + ('a' - 'A'))) {
            len++;
        }
        if (len == name.len && known[len] == '\0') {
            *ret_rights = roles_known[i].right;
            return true;
        }
    }
    return false;
}

str access_role_names(uint32_t rights, struct arena *arena)
{
    str ret = STR_EMPTY;
    for (size_t i = 0; i < COUNT_OF(roles_known); i++) {
        if ((rights & roles_known[i].right) != 0) {
            ret = arena_printf(arena, STR_FMT "%s%s", STR_ARG(ret), ret.len == 0 ? "" : ", ",
                               roles_known[i].name);
        }
    }
    return ret;
}

/* "/polos.v1.RunService/Get" -> "RunService.Get" */
static str shown(str path, struct arena *arena)
{
    str ret = arena_copy(arena, str_starts_with(path, STR("/polos.v1."))
                                    ? str_make(path.ptr + 10, path.len - 10)
                                    : str_make(path.ptr + 1, path.len - 1));
    char *slash = memchr(ret.ptr, '/', ret.len);
    if (slash != NULL) {
        *slash = '.';
    }
    return ret;
}

static str sentence(str path, uint32_t rights, const struct principal *principal,
                    struct arena *arena)
{
    char id[SECRET_ID_BYTES];
    str key = secret_id(id, principal->key);
    str method = shown(path, arena);
    str wanted = access_role_names(rights | RIGHT_ADMIN, arena);
    str has = access_role_names(principal->rights, arena);
    return arena_printf(arena,
                        "key " STR_FMT " may not call " STR_FMT ": that takes a key with one of "
                        "the roles " STR_FMT ", and this one has " STR_FMT,
                        STR_ARG(key), STR_ARG(method), STR_ARG(wanted), STR_ARG(has));
}

bool access_admit(struct api_call *call, uint32_t rights, struct principal principal,
                  struct arena *arena, struct failure *ret_why)
{
    assert(call->method != NULL && call->principal.kind == PRINCIPAL_NONE);
    assert(principal.kind != PRINCIPAL_NONE);
    call->principal = principal;
    if (principal_may(&call->principal, rights)) {
        return true;
    }
    *ret_why = failure_make(CODE_PERMISSION_DENIED, REASON_PERMISSION_DENIED,
                            sentence(str_of(call->method->path), rights, &principal, arena));
    return false;
}
