/*
 * Those who make, list and revoke keys: what they were told is so from then on, whatever dies.
 */
#include "service/features/keys/keys.h"
#include "tests/simulation/world.h"

struct key_ask {
    struct sim_ask base;
    struct sim_key known[WORLD_KEYS_MAX]; /* When it was asked. */
    size_t known_count;
    struct sim_key *revoked;
    bool is_nonsense;
};

static struct key_ask *ask_new(struct world *world)
{
    struct key_ask *ask = arena_zalloc(&world->arena, sizeof(*ask));
    ask->base.world = world;
    ask->known_count = world->key_count;
    memcpy(ask->known, world->keys, world->key_count * sizeof(ask->known[0]));
    ask->is_nonsense = draw_below(&world->peers, 8) == 0;
    return ask;
}

static void create_done(struct request *request, const struct failure *failure)
{
    struct key_ask *ask = world_answered(request);
    struct create_key_request *asked = create_key_request(request);
    if (ask != NULL && failure != NULL) {
        bool may = ask->is_nonsense ? failure->code == CODE_INVALID_ARGUMENT
                                    : failure->reason == REASON_KEY_NOT_ADMIN;
        bool is_first = ask->known_count == 0;
        world_fail_law(ask->base.world, failure, may && (is_first || ask->is_nonsense),
                       "keys-can-be-made");
    } else if (ask != NULL) {
        struct world *world = ask->base.world;
        world_expect(world, !ask->is_nonsense, "keys-have-a-right");
        if (world->key_count < WORLD_KEYS_MAX) {
            world->keys[world->key_count++] = (struct sim_key){.number = asked->ret.number};
        }
    }
    request_free(request);
}

static void create(struct world *world)
{
    struct key_ask *ask = ask_new(world);
    struct request *request = request_new(&create_key_operation);
    struct key_order *order = &create_key_request(request)->order;
    order->name = STR("somebody");
    order->rights = draw_below(&world->peers, 2) == 0 ? RIGHT_ADMIN : RIGHT_CALL | RIGHT_READ;
    order->rights = ask->is_nonsense ? 0 : order->rights;
    order->lifetime_ms = draw_below(&world->peers, 2) * draw_below(&world->peers, 30000);
    order->lifetime_ms += order->lifetime_ms == 0 ? 0 : 1000;
    world_ask(&ask->base, request, create_done);
}

static void revoke_done(struct request *request, const struct failure *failure)
{
    struct key_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        world_fail_law(ask->base.world, failure,
                       ask->is_nonsense && failure->reason == REASON_KEY_NOT_FOUND,
                       "keys-can-be-revoked");
    } else if (ask != NULL) {
        world_expect(ask->base.world,
                     !ask->is_nonsense && revoke_key_request(request)->ret.revoked_ms != 0,
                     "a-key-that-is-revoked-is-so");
        ask->revoked->is_revoked = true;
    }
    request_free(request);
}

static void revoke(struct world *world)
{
    struct key_ask *ask = ask_new(world);
    if (world->key_count == 0) {
        return;
    }
    struct request *request = request_new(&revoke_key_operation);
    ask->revoked = &world->keys[draw_below(&world->peers, world->key_count)];
    revoke_key_request(request)->number = ask->is_nonsense ? 0 : ask->revoked->number;
    world_ask(&ask->base, request, revoke_done);
}

static const struct key *find(const struct list_keys_request *asked, uint32_t number)
{
    for (size_t i = 0; i < asked->ret_count; i++) {
        if (asked->ret[i].number == number) {
            return &asked->ret[i];
        }
    }
    return NULL;
}

static void list_done(struct request *request, const struct failure *failure)
{
    struct key_ask *ask = world_answered(request);
    if (ask != NULL) {
        world_fail_law(ask->base.world, failure, failure == NULL, "keys-can-be-listed");
    }
    for (size_t i = 0; ask != NULL && failure == NULL && i < ask->known_count; i++) {
        const struct key *key = find(list_keys_request(request), ask->known[i].number);
        bool is_so = key != NULL && (!ask->known[i].is_revoked || key->revoked_ms != 0);
        world_expect(ask->base.world, is_so, "keys-stay-as-they-were-told");
    }
    request_free(request);
}

static void list(struct world *world)
{
    struct request *request = request_new(&list_keys_operation);
    list_keys_request(request)->limit = 1000; /* More than a world makes. */
    world_ask(&ask_new(world)->base, request, list_done);
}

void world_keys_do_something(struct world *world)
{
    static void (*const commands[])(struct world * world) = {create, create, revoke, list, list};
    commands[draw_below(&world->peers, COUNT_OF(commands))](world);
}
