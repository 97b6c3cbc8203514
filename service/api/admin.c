#include "polos/v1/admin.pb-c.h"
#include "service/api/access.h"
#include "service/api/api.h"
#include "service/api/exchange.h"
#include "service/api/methods.h"
#include "service/api/page_token.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/features/keys/keys.h"

enum {
    KEYS_PAGE = 100,
    KEYS_PAGE_MAX = 1000,
    LIFETIME_MIN_MS = 1000,
};

static const char project_name[] = "default";

static Polos__V1__Key *view(const struct key *key, struct arena *arena)
{
    char id[SECRET_ID_BYTES];
    Polos__V1__Key *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__key__init(ret);
    ret->id = text_of(arena, secret_id(id, key->number));
    ret->name = text_of(arena, key->name);
    ret->project_id = text_of(arena, STR(project_name));
    ret->roles = arena_alloc(arena, ACCESS_ROLES_MAX * sizeof(ret->roles[0]));
    int roles[ACCESS_ROLES_MAX];
    ret->n_roles = access_roles(key->rights, roles);
    for (size_t i = 0; i < ret->n_roles; i++) {
        ret->roles[i] = (Polos__V1__KeyRole)roles[i];
    }
    ret->n_offers = key->offer_count;
    ret->offers = arena_alloc(arena, (key->offer_count + 1) * sizeof(ret->offers[0]));
    for (size_t i = 0; i < key->offer_count; i++) {
        ret->offers[i] = text_of(arena, key->offers[i]);
    }
    ret->created_at = times_instant(arena, key->created_ms);
    ret->expires_at = times_instant(arena, key->expires_ms);
    ret->revoked_at = times_instant(arena, key->revoked_ms);
    return ret;
}

static bool check_project(struct check *check, const char *project)
{
    return *project == '\0' || strcmp(project, project_name) == 0 ||
           check_fault(check, "project_id",
                       "this server has one project, \"default\"; leave it empty");
}

/* ---- Create. ---- */

/* Answers once no thread of the transport goes by the keys as they were. */
static void answer_later(struct request *request, struct keyring_wait *wait,
                         void (*answer)(struct keyring_wait *wait))
{
    const struct api *api = exchange_call(request)->service;
    wait->done = answer;
    if (api->keyring == NULL) {
        answer(wait);
    } else {
        keyring_await(api->keyring, wait);
    }
}

static void answer_created(struct keyring_wait *wait)
{
    struct create_key_request *asked = container_of(wait, struct create_key_request, wait);
    struct request *request = &asked->request;
    Polos__V1__AdminServiceCreateKeyResponse response =
        POLOS__V1__ADMIN_SERVICE_CREATE_KEY_RESPONSE__INIT;
    response.key = asked->poster;
    response.secret = text_of(&request->arena, str_make(asked->ret_secret, SECRET_BYTES));
    api_call_reply(exchange_call(request), &response.base);
    secret_forget(response.secret, SECRET_BYTES);
    secret_forget(asked->ret_secret, SECRET_BYTES);
    exchange_end(request);
}

static void created(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    struct create_key_request *asked = create_key_request(request);
    asked->poster = view(&asked->ret, &request->arena);
    answer_later(request, &asked->wait, answer_created);
}

static bool take_order(struct check *check, const Polos__V1__AdminServiceCreateKeyRequest *proto,
                       struct key_order *ret)
{
    int roles[ACCESS_ROLES_MAX];
    ret->name = check_copy(check, proto->name);
    str *offers = arena_alloc(check->arena, (proto->n_offers + 1) * sizeof(offers[0]));
    for (size_t i = 0; i < proto->n_offers; i++) {
        offers[i] = check_copy(check, proto->offers[i]);
    }
    ret->offers = offers;
    ret->offer_count = proto->n_offers;
    if (!check_project(check, proto->project_id)) {
        return false;
    }
    size_t count = proto->n_roles < COUNT_OF(roles) ? proto->n_roles : COUNT_OF(roles);
    for (size_t i = 0; i < count; i++) {
        roles[i] = (int)proto->roles[i];
    }
    if (proto->n_roles > COUNT_OF(roles) || !access_read_roles(roles, count, &ret->rights)) {
        return check_fault(check, "roles",
                           "a key has each role once; they are CALLER, HOST, "
                           "APPROVER, READER and ADMIN");
    }
    return proto->lifetime == NULL ||
           check_length(check, "lifetime", proto->lifetime, LIFETIME_MIN_MS, TIMES_LENGTH_MS_MAX,
                        &ret->lifetime_ms);
}

static void create_key(struct api_call *call, const ProtobufCMessage *message)
{
    call->may_finish = true; /* From the first key on, its caller is let in no more. */
    struct request *request = exchange_new(call, &create_key_operation, created);
    struct check check = {.arena = &request->arena};
    bool is_fine = take_order(&check, (const void *)message, &create_key_request(request)->order);
    exchange_post_checked(request, is_fine, &check);
}

/* ---- List. ---- */

static void listed(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    const struct list_keys_request *asked = list_keys_request(request);
    struct arena *arena = &request->arena;
    Polos__V1__AdminServiceListKeysResponse response =
        POLOS__V1__ADMIN_SERVICE_LIST_KEYS_RESPONSE__INIT;
    response.keys = arena_alloc(arena, (asked->ret_count + 1) * sizeof(response.keys[0]));
    for (size_t i = 0; i < asked->ret_count; i++) {
        response.keys[response.n_keys++] = view(&asked->ret[i], arena);
    }
    if (asked->ret_more) {
        assert(asked->ret_count > 0);
        char id[SECRET_ID_BYTES];
        response.next_page_token =
            page_token_format(arena, secret_id(id, asked->ret[asked->ret_count - 1].number));
    }
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static bool check_after(struct check *check, const char *token, uint32_t *ret)
{
    str last;
    if (!check_page_token(check, token, STR_EMPTY, SECRET_ID_BYTES, &last)) {
        return false;
    }
    return last.len == 0 || secret_read_id(last, ret) ||
           check_fault(check, "page_token", "it is none of this list");
}

static void list_keys(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__AdminServiceListKeysRequest *proto = (const void *)message;
    struct request *request = exchange_new(call, &list_keys_operation, listed);
    struct list_keys_request *asked = list_keys_request(request);
    struct check check = {.arena = &request->arena};
    bool is_fine =
        check_page_size(&check, proto->page_size, KEYS_PAGE, KEYS_PAGE_MAX, &asked->limit) &&
        check_after(&check, proto->page_token, &asked->after) &&
        check_project(&check, proto->project_id);
    exchange_post_checked(request, is_fine, &check);
}

/* ---- Revoke. ---- */

static void answer_revoked(struct keyring_wait *wait)
{
    struct revoke_key_request *asked = container_of(wait, struct revoke_key_request, wait);
    struct request *request = &asked->request;
    Polos__V1__AdminServiceRevokeKeyResponse response =
        POLOS__V1__ADMIN_SERVICE_REVOKE_KEY_RESPONSE__INIT;
    response.key = asked->poster;
    assert(response.key != NULL);
    api_call_reply(exchange_call(request), &response.base);
    exchange_end(request);
}

static void revoked(struct request *request, const struct failure *failure)
{
    if (exchange_failed(request, failure)) {
        return;
    }
    struct revoke_key_request *asked = revoke_key_request(request);
    asked->poster = view(&asked->ret, &request->arena);
    answer_later(request, &asked->wait, answer_revoked);
}

static void revoke_key(struct api_call *call, const ProtobufCMessage *message)
{
    const Polos__V1__AdminServiceRevokeKeyRequest *proto = (const void *)message;
    call->may_finish = true; /* It may be the caller's own. */
    struct request *request = exchange_new(call, &revoke_key_operation, revoked);
    struct check check = {.arena = &request->arena};
    bool is_fine = secret_read_id(str_of(proto->key_id), &revoke_key_request(request)->number) ||
                   check_fault(&check, "key_id",
                               "it is the beginning of a key, as \"polos_1f9d02aa\"; "
                               "AdminService.ListKeys has them");
    exchange_post_checked(request, is_fine, &check);
}

const struct api_method admin_methods[] = {
    {
        .path = "/polos.v1.AdminService/CreateKey",
        .request = &polos__v1__admin_service_create_key_request__descriptor,
        .response = &polos__v1__admin_service_create_key_response__descriptor,
        .start = create_key,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.AdminService/ListKeys",
        .is_read = true,
        .request = &polos__v1__admin_service_list_keys_request__descriptor,
        .response = &polos__v1__admin_service_list_keys_response__descriptor,
        .start = list_keys,
        .closed = exchange_closed,
    },
    {
        .path = "/polos.v1.AdminService/RevokeKey",
        .request = &polos__v1__admin_service_revoke_key_request__descriptor,
        .response = &polos__v1__admin_service_revoke_key_response__descriptor,
        .start = revoke_key,
        .closed = exchange_closed,
    },
    {.path = NULL},
};
