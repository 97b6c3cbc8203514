#include "service/api/may_offer.h"

#include "service/agents/definition.h"
#include "service/api/api.h"
#include "service/hosts/message.h"
#include "service/keys/keyring.h"

/* The set that the caller's key is in, with a reference; NULL: there is none to be asked. */
static struct key_set *set_of(const struct api_call *call, const struct key **ret)
{
    const struct api *api = call->service;
    if (call->principal.kind != PRINCIPAL_KEY || api->keyring == NULL) {
        return NULL;
    }
    struct key_set *set = keyring_get(api->keyring);
    *ret = key_set_find(set, call->principal.key);
    return set;
}

/* A key that is gone meanwhile offers nothing: its call is about to be ended. */
static bool check_one(struct check *check, const struct key *key, const char *field, str name)
{
    char id[SECRET_ID_BYTES];
    if (key != NULL && key_may_offer(key, name)) {
        return true;
    }
    str shown = secret_id(id, key == NULL ? 0 : key->number);
    check_fault(check, field,
                "key " STR_FMT " may not offer \"" STR_FMT "\": that is none of the "
                "names it was made for (AdminService.ListKeys, offers)",
                STR_ARG(shown), STR_ARG(name));
    check->error.code = CODE_PERMISSION_DENIED;
    check->error.reason = REASON_PERMISSION_DENIED;
    return false;
}

bool check_hello_offers(struct check *check, const struct api_call *call,
                        const struct host_hello *hello, const struct agent_definition *agents,
                        size_t agent_count)
{
    const struct key *key = NULL;
    bool is_fine = true;
    struct key_set *set = set_of(call, &key);
    for (size_t i = 0; set != NULL && is_fine && i < hello->offer_count; i++) {
        is_fine = check_one(check, key, "hello.offers", hello->offers[i].name);
    }
    for (size_t i = 0; set != NULL && is_fine && i < agent_count; i++) {
        is_fine = check_one(check, key, "hello.offers", agents[i].id);
    }
    key_set_unref(set);
    return is_fine;
}

bool check_agent_offer(struct check *check, const struct api_call *call, const char *field, str id)
{
    const struct key *key = NULL;
    struct key_set *set = set_of(call, &key);
    bool is_fine = set == NULL || check_one(check, key, field, id);
    key_set_unref(set);
    return is_fine;
}
