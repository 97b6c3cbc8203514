#include "service/keys_command.h"

#include "service/api/access.h"
#include "service/base/principal.h"
#include "service/base/sys.h"
#include "service/base/uuid.h"
#include "service/codec/level.h"
#include "service/features/keys/key_table.h"

static const char usage[] =
    "polosd keys create --name NAME --roles ROLE[,ROLE] [--offers GLOB[,GLOB]] [--lifetime-s N]\n"
    "polosd keys list\n"
    "polosd keys revoke ID\n"
    "each with --data FOLDER; roles are caller, host, approver, reader and admin";

/* ---- Arguments. ---- */

static status misused(struct arena *arena, const char *what)
{
    return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s\n\n%s", what, usage);
}

/* The next piece of a list with commas between; false at its end. */
static bool next_piece(str *rest, str *ret)
{
    if (rest->len == 0) {
        return false;
    }
    const char *comma = memchr(rest->ptr, ',', rest->len);
    size_t len = comma == NULL ? rest->len : (size_t)(comma - rest->ptr);
    *ret = str_trim(str_make(rest->ptr, len));
    size_t passed = comma == NULL ? len : len + 1;
    *rest = str_make(rest->ptr + passed, rest->len - passed);
    return true;
}

static status read_roles(str text, struct arena *arena, uint32_t *ret)
{
    str piece;
    while (next_piece(&text, &piece)) {
        uint32_t right;
        if (!access_read_role_name(piece, &right)) {
            return misused(arena, "--roles: there is no such role");
        }
        *ret |= right;
    }
    return STATUS_OK;
}

static void read_offers(str text, struct arena *arena, struct keys_command *ret)
{
    str *offers = arena_alloc(arena, (text.len + 1) * sizeof(offers[0]));
    str piece;
    while (next_piece(&text, &piece)) {
        offers[ret->offer_count++] = piece;
    }
    ret->offers = offers;
}

static status read_seconds(str text, struct arena *arena, uint64_t *ret_ms)
{
    uint64_t seconds = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || seconds > UINT32_MAX) {
            return misused(arena, "--lifetime-s takes a whole number of seconds");
        }
        seconds = 10 * seconds + (uint64_t)(text.ptr[i] - '0');
    }
    if (seconds == 0) {
        return misused(arena, "--lifetime-s takes a whole number of seconds, at least 1");
    }
    *ret_ms = seconds * 1000;
    return STATUS_OK;
}

static bool is_own(str option)
{
    static const char *const own[] = {"--name", "--roles", "--offers", "--lifetime-s"};
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (str_is(option, own[i])) {
            return true;
        }
    }
    return false;
}

static status set(struct keys_command *command, str option, str value, struct arena *arena)
{
    if (command->verb != KEYS_CREATE) {
        return misused(arena, "only \"keys create\" takes --name, --roles, --offers, --lifetime-s");
    }
    if (str_is(option, "--name")) {
        command->name = value;
        return STATUS_OK;
    }
    if (str_is(option, "--roles")) {
        return read_roles(value, arena, &command->rights);
    }
    if (str_is(option, "--offers")) {
        read_offers(value, arena, command);
        return STATUS_OK;
    }
    return read_seconds(value, arena, &command->lifetime_ms);
}

static status read_verb(const char *const *arguments, size_t count, struct arena *arena,
                        struct keys_command *ret, size_t *ret_at)
{
    str verb = count == 0 ? STR_EMPTY : str_of(arguments[0]);
    *ret_at = 1;
    if (str_is(verb, "create")) {
        ret->verb = KEYS_CREATE;
    } else if (str_is(verb, "list")) {
        ret->verb = KEYS_LIST;
    } else if (str_is(verb, "revoke") && count > 1 && arguments[1][0] != '-') {
        ret->verb = KEYS_REVOKE;
        ret->id = str_of(arguments[1]);
        *ret_at = 2;
    } else {
        return misused(arena, "polosd keys takes create, list, or revoke and the id of a key");
    }
    return STATUS_OK;
}

status keys_command_read(const char *const *arguments, size_t count, struct arena *arena,
                         struct keys_command *ret, const char **ret_rest, size_t *ret_count)
{
    size_t at = 0;
    *ret = (struct keys_command){.verb = KEYS_LIST};
    *ret_count = 0;
    TRY(read_verb(arguments, count, arena, ret, &at));
    for (; at < count; at++) {
        const char *equals = strchr(arguments[at], '=');
        size_t len = equals == NULL ? strlen(arguments[at]) : (size_t)(equals - arguments[at]);
        str option = str_make(arguments[at], len);
        if (!is_own(option)) {
            ret_rest[(*ret_count)++] = arguments[at];
            continue;
        }
        if (equals == NULL && ++at == count) {
            return misused(arena, "the last option takes a value");
        }
        TRY(set(ret, option, str_of(equals == NULL ? arguments[at] : equals + 1), arena));
    }
    return STATUS_OK;
}

/* ---- The store. ---- */

static status refused(const struct failure *why, struct arena *arena)
{
    return arena_fail(arena, why->code, STR_FMT "%s" STR_FMT, STR_ARG(why->field),
                      why->field.len == 0 ? "" : ": ", STR_ARG(why->message));
}

static status commit(struct store *store, struct store_batch *batch)
{
    store_batch_raise(batch, LEVEL_KEYS);
    return store_commit(store, batch);
}

static status create(const struct keys_command *command, struct key_table *table,
                     struct store *store, struct store_batch *batch, uint64_t now_ms,
                     struct arena *arena, struct buf *ret)
{
    char text[SECRET_BYTES];
    struct failure why;
    struct key_order order = {
        .name = command->name,
        .rights = command->rights,
        .offers = command->offers,
        .offer_count = command->offer_count,
        .lifetime_ms = command->lifetime_ms,
    };
    do {
        sys_random(&order.number, sizeof(order.number));
    } while (!key_table_is_free(table, order.number));
    sys_random(order.random, sizeof(order.random));
    if (key_table_create(table, &order, now_ms, batch, &why) == NULL) {
        return refused(&why, arena);
    }
    TRY(commit(store, batch));
    buf_printf(ret, STR_FMT "\n", STR_ARG(secret_make(text, order.number, order.random)));
    return STATUS_OK;
}

static const char *state_of(const struct key *key, uint64_t now_ms)
{
    if (key->revoked_ms != 0) {
        return "revoked";
    }
    return key_is_good(key, now_ms) ? "good" : "expired";
}

static void list(const struct key_table *table, uint64_t now_ms, struct arena *arena,
                 struct buf *ret)
{
    size_t count;
    bool has_more;
    const struct key *keys = key_table_list(table, 0, KEYS_MAX, arena, &count, &has_more);
    for (size_t i = 0; i < count; i++) {
        char id[SECRET_ID_BYTES];
        str shown = secret_id(id, keys[i].number);
        str roles = access_role_names(keys[i].rights, arena);
        buf_printf(ret, STR_FMT "  %-7s  " STR_FMT "  " STR_FMT "\n", STR_ARG(shown),
                   state_of(&keys[i], now_ms), STR_ARG(roles), STR_ARG(keys[i].name));
    }
}

static status revoke(const struct keys_command *command, struct key_table *table,
                     struct store *store, struct store_batch *batch, uint64_t now_ms,
                     struct arena *arena, struct buf *ret)
{
    uint32_t number;
    struct failure why;
    if (!secret_read_id(command->id, &number)) {
        return misused(arena, "revoke takes the id of a key, as polos_1f9d02aa");
    }
    if (key_table_revoke(table, number, now_ms, batch, &why) == NULL) {
        return refused(&why, arena);
    }
    TRY(commit(store, batch));
    buf_printf(ret, STR_FMT " is revoked\n", STR_ARG(command->id));
    return STATUS_OK;
}

static status carry_out(const struct keys_command *command, struct key_table *table,
                        struct store *store, struct store_batch *batch, uint64_t now_ms,
                        struct arena *arena, struct buf *ret)
{
    TRY(key_table_load(table, store));
    switch (command->verb) {
    case KEYS_CREATE:
        return create(command, table, store, batch, now_ms, arena, ret);
    case KEYS_LIST:
        list(table, now_ms, arena, ret);
        return STATUS_OK;
    case KEYS_REVOKE:
        return revoke(command, table, store, batch, now_ms, arena, ret);
    }
    assert(false);
    return STATUS_OK;
}

status keys_command_run(const struct keys_command *command, struct store *store, uint64_t now_ms,
                        struct arena *arena, struct buf *ret)
{
    struct key_table table;
    struct store_batch batch = {0};
    key_table_init(&table, (struct key_space){.project = PROJECT_DEFAULT});
    status done = carry_out(command, &table, store, &batch, now_ms, arena, ret);
    store_batch_fini(&batch);
    key_table_fini(&table);
    return done;
}
