#include "service/features/keys/keys.h"

#include <stdlib.h>

#include "service/base/sys.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

struct keys {
    struct partition *partition;
    struct key_table table;
    bool is_changed; /* The keyring is to be told. */
    bool is_in_doubt; /* What is in memory may not be what is kept: it is read again. */
    uint64_t expired_ms; /* Of what expired until then it was told. */
    uint64_t due_ms; /* When the next one after that expires; 0: none does. */
};

static struct keys *keys_of(const struct partition *partition)
{
    return partition_self(partition, &keys_feature);
}

/* ---- Time. ---- */

/* After each change of the keys or of expired_ms: rounds do not look through all keys. */
static void find_due(struct keys *keys)
{
    keys->due_ms = 0;
    for (size_t i = 0; i < keys->table.count; i++) {
        const struct key *key = &keys->table.keys[i];
        bool expires = key->revoked_ms == 0 && key->expires_ms > keys->expired_ms;
        if (expires && (keys->due_ms == 0 || key->expires_ms < keys->due_ms)) {
            keys->due_ms = key->expires_ms;
        }
    }
}

static void begin(void *self)
{
    struct keys *keys = self;
    uint64_t now_ms = keys->partition->now_ms;
    bool has_expired = keys->due_ms != 0 && keys->due_ms <= now_ms;
    bool is_set_back = now_ms < keys->expired_ms; /* The clock was. */
    if (has_expired || is_set_back) {
        keys->is_changed |= has_expired;
        keys->expired_ms = now_ms;
        find_due(keys);
    }
}

static uint64_t next_due_ms(void *self)
{
    return ((const struct keys *)self)->due_ms;
}

/* ---- Requests. ---- */

static void draw(const struct keys *keys, struct key_order *order)
{
    const struct partition_options *options = &keys->partition->options;
    assert(options->random != NULL);
    do {
        options->random(options->context, &order->number, sizeof(order->number));
    } while (!key_table_is_free(&keys->table, order->number));
    options->random(options->context, order->random, sizeof(order->random));
}

static void handle_create(struct partition *partition, struct request *request)
{
    struct keys *keys = keys_of(partition);
    struct create_key_request *asked = create_key_request(request);
    struct failure why;
    draw(keys, &asked->order);
    const struct key *key =
        key_table_create(&keys->table, &asked->order, partition->now_ms, &partition->batch, &why);
    if (key == NULL) {
        request_fail_later(partition, request, &why);
    } else {
        asked->ret = *key;
        secret_make(asked->ret_secret, asked->order.number, asked->order.random);
        keys->is_changed = true;
        find_due(keys);
        request_answer_later(partition, request);
    }
    secret_forget(asked->order.random, sizeof(asked->order.random));
}

static void handle_revoke(struct partition *partition, struct request *request)
{
    struct keys *keys = keys_of(partition);
    struct revoke_key_request *asked = revoke_key_request(request);
    struct failure why;
    const struct key *key =
        key_table_revoke(&keys->table, asked->number, partition->now_ms, &partition->batch, &why);
    if (key == NULL) {
        request_fail_later(partition, request, &why);
        return;
    }
    asked->ret = *key;
    keys->is_changed = true; /* Also where it was revoked before: who asks waits for it. */
    find_due(keys);
    request_answer_later(partition, request);
}

static void handle_list(struct partition *partition, struct request *request)
{
    struct list_keys_request *asked = list_keys_request(request);
    assert(asked->ret == NULL && asked->limit > 0);
    asked->ret = key_table_list(&keys_of(partition)->table, asked->after, asked->limit,
                                &request->arena, &asked->ret_count, &asked->ret_more);
    request_answer(partition, request, NULL);
}

/* ---- The keyring. ---- */

static void tell(struct keys *keys)
{
    keys->is_changed = false;
    if (keys->partition->options.keyring != NULL) {
        keyring_put(keys->partition->options.keyring, key_table_set(&keys->table));
    }
}

static void over(void *self)
{
    struct keys *keys = self;
    if (keys->is_changed && !keys->is_in_doubt) {
        tell(keys);
    }
}

/* What was made or revoked in the round may have been kept or not. */
static void failed(void *self)
{
    struct keys *keys = self;
    if (!keys->is_changed) {
        return;
    }
    status read = key_table_load(&keys->table, &keys->partition->store);
    find_due(keys);
    keys->is_in_doubt = !status_is_ok(read) && store_may_pass(read);
    if (!status_is_ok(read)) {
        log_line(LOG_ERROR, "keys_unreadable", "why=\"%s\"", read.why);
        keys->table.is_damaged = true; /* No key is not the same as none that can be read. */
        if (store_may_pass(read)) {
            round_doubt(keys->partition, read);
        }
    }
}

/* ---- The feature. ---- */

static void *start(struct partition *partition)
{
    struct keys *keys = xcalloc(1, sizeof(*keys));
    keys->partition = partition;
    key_table_init(&keys->table, partition->options.space);
    return keys;
}

static status load(void *self)
{
    struct keys *keys = self;
    TRY(key_table_load(&keys->table, &keys->partition->store));
    find_due(keys);
    tell(keys);
    return STATUS_OK;
}

static void stop(void *self)
{
    struct keys *keys = self;
    key_table_fini(&keys->table);
    free(keys);
}

const struct feature keys_feature = {
    .name = "keys",
    .start = start,
    .load = load,
    .at = {[ROUND_BEGINS] = begin, [ROUND_FAILED] = failed, [ROUND_OVER] = over},
    .next_due_ms = next_due_ms,
    .stop = stop,
};

const struct operation create_key_operation = {
    .name = "create_key",
    .request_bytes = sizeof(struct create_key_request),
    .handle = handle_create,
};
const struct operation revoke_key_operation = {
    .name = "revoke_key",
    .request_bytes = sizeof(struct revoke_key_request),
    .handle = handle_revoke,
};
const struct operation list_keys_operation = {
    .name = "list_keys",
    .request_bytes = sizeof(struct list_keys_request),
    .is_read = true,
    .handle = handle_list,
};
