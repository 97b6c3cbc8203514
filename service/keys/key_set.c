#include "service/keys/key_set.h"

#include <stdatomic.h>
#include <stdlib.h>

struct key_set {
    atomic_uint references;
    bool is_open;
    struct arena arena; /* Of the texts. */
    size_t count;
    struct key *keys; /* By number. */
};

bool key_is_good(const struct key *key, uint64_t now_ms)
{
    assert(key->number != 0);
    return key->revoked_ms == 0 && (key->expires_ms == 0 || now_ms < key->expires_ms);
}

/* '*' stands for any bytes, none too. */
static bool matches(str pattern, str name)
{
    size_t at = 0;
    size_t in = 0;
    size_t star = SIZE_MAX; /* The last one met; all before it fits. */
    size_t resume = 0;
    while (in < name.len) {
        if (at < pattern.len && pattern.ptr[at] == '*') {
            star = at++;
            resume = in;
        } else if (at < pattern.len && pattern.ptr[at] == name.ptr[in]) {
            at++;
            in++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            in = ++resume;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.ptr[at] == '*') {
        at++;
    }
    return at == pattern.len;
}

bool key_may_offer(const struct key *key, str name)
{
    assert(key->offer_count <= KEY_OFFERS_MAX);
    for (size_t i = 0; i < key->offer_count; i++) {
        if (matches(key->offers[i], name)) {
            return true;
        }
    }
    return key->offer_count == 0;
}

/* ---- The set. ---- */

static int by_number(const void *a, const void *b)
{
    uint32_t first = ((const struct key *)a)->number;
    uint32_t second = ((const struct key *)b)->number;
    return first < second ? -1 : first > second;
}

static struct key copy_key(const struct key *from, struct arena *arena)
{
    struct key ret = *from;
    str *offers = arena_alloc(arena, (from->offer_count + 1) * sizeof(offers[0]));
    for (size_t i = 0; i < from->offer_count; i++) {
        offers[i] = arena_copy(arena, from->offers[i]);
    }
    ret.offers = offers;
    ret.name = arena_copy(arena, from->name);
    return ret;
}

struct key_set *key_set_new(const struct key *keys, size_t count, bool is_open)
{
    struct key_set *set = xcalloc(1, sizeof(*set));
    assert(count <= KEYS_MAX && (!is_open || count == 0));
    atomic_init(&set->references, 1);
    arena_init(&set->arena, 0);
    set->is_open = is_open;
    set->count = count;
    set->keys = xcalloc(count + 1, sizeof(set->keys[0]));
    for (size_t i = 0; i < count; i++) {
        set->keys[i] = copy_key(&keys[i], &set->arena);
    }
    qsort(set->keys, count, sizeof(set->keys[0]), by_number);
    return set;
}

struct key_set *key_set_ref(struct key_set *set)
{
    unsigned before = atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
    return set;
}

void key_set_unref(struct key_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    arena_fini(&set->arena);
    free(set->keys);
    free(set);
}

bool key_set_is_open(const struct key_set *set)
{
    return set->is_open;
}

const struct key *key_set_find(const struct key_set *set, uint32_t number)
{
    const struct key wanted = {.number = number};
    return bsearch(&wanted, set->keys, set->count, sizeof(set->keys[0]), by_number);
}

/* ---- Who comes in. ---- */

static bool refuse(struct failure *ret, enum reason reason, str message)
{
    *ret = failure_make(CODE_UNAUTHENTICATED, reason, message);
    return false;
}

static bool refuse_missing(struct failure *ret)
{
    return refuse(ret, REASON_KEY_MISSING,
                  STR("this server lets in only who shows a key: set POLOS_API_KEY, or send the "
                      "header \"authorization: Bearer polos_...\""));
}

static bool refuse_unknown(struct failure *ret)
{
    return refuse(ret, REASON_KEY_UNKNOWN,
                  STR("this server has no such key; look whether it is copied whole and is one of "
                      "this server's (AdminService.ListKeys, polosd keys list)"));
}

static bool refuse_old(const struct key *key, struct arena *arena, struct failure *ret)
{
    char id[SECRET_ID_BYTES];
    str shown = secret_id(id, key->number);
    bool is_revoked = key->revoked_ms != 0;
    return refuse(ret, is_revoked ? REASON_KEY_REVOKED : REASON_KEY_EXPIRED,
                  arena_printf(arena, "key " STR_FMT " %s; ask who runs this server for another",
                               STR_ARG(shown), is_revoked ? "was revoked" : "has expired"));
}

/* The scheme's name is not case-sensitive: RFC 9110. */
static bool take_bearer(str authorization, str *ret)
{
    static const char scheme[] = "bearer ";
    size_t len = sizeof(scheme) - 1;
    if (authorization.len < len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char letter = authorization.ptr[i];
        letter = letter >= 'A' && letter <= 'Z' ? (char)(letter + ('a' - 'A')) : letter;
        if (letter != scheme[i]) {
            return false;
        }
    }
    *ret = str_trim(str_make(authorization.ptr + len, authorization.len - len));
    return true;
}

static bool is_shown(const struct key *key, str secret)
{
    uint8_t digest[SECRET_DIGEST_BYTES];
    secret_digest(secret, digest);
    return secret_digests_equal(digest, key->digest);
}

bool key_set_admit(const struct key_set *set, str authorization, uint64_t now_ms, uint32_t project,
                   struct arena *arena, struct principal *ret, struct failure *ret_why)
{
    str secret;
    uint32_t number;
    if (set->is_open) {
        *ret = principal_anyone(project);
        return true;
    }
    if (authorization.len == 0) {
        return refuse_missing(ret_why);
    }
    if (!take_bearer(authorization, &secret) || !secret_read(secret, &number)) {
        return refuse(
            ret_why, REASON_KEY_MALFORMED,
            STR("the header \"authorization\" holds no key of this server: it is \"Bearer "
                "\" and a key, which begins with \"polos_\" and has 58 characters"));
    }
    const struct key *key = key_set_find(set, number);
    if (key == NULL || !is_shown(key, secret)) {
        return refuse_unknown(ret_why);
    }
    if (!key_is_good(key, now_ms)) {
        return refuse_old(key, arena, ret_why);
    }
    *ret = (struct principal){
        .project = project, .kind = PRINCIPAL_KEY, .rights = key->rights, .key = key->number};
    return true;
}

bool key_set_keeps(const struct key_set *set, const struct principal *principal, uint64_t now_ms,
                   struct arena *arena, struct failure *ret_why)
{
    assert(principal->kind == PRINCIPAL_ANYONE || principal->kind == PRINCIPAL_KEY);
    if (principal->kind == PRINCIPAL_ANYONE) {
        return set->is_open || refuse_missing(ret_why);
    }
    const struct key *key = key_set_find(set, principal->key);
    if (key == NULL) {
        return refuse_unknown(ret_why);
    }
    return key_is_good(key, now_ms) || refuse_old(key, arena, ret_why);
}
