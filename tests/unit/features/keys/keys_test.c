/*
 * Goal:   what the keyring has is what is kept: over restarts, commits that failed or were
 *         forgotten, reads that fail, rows that are damaged; a key ends when its time has come.
 * Method: the real partition, over a store that fails; a keyring that is asked with real secrets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/features/keys/keys.h"
#include "tests/unit/partition/lone_calls.h"

#define START_MS ((uint64_t)1800000000000)

enum {
    HOUR_MS = 3600 * 1000,
};

static struct {
    struct lone_partition lone;
    struct keyring *ring;
} bed;

static uint64_t now_ms(void *context)
{
    (void)context;
    return bed.lone.now_ms;
}

static void begin(void)
{
    memset(&bed, 0, sizeof(bed));
    bed.ring = keyring_new(now_ms, NULL);
    lone_init_with(&bed.lone, START_MS, (struct partition_options){.keyring = bed.ring});
}

static void end(void)
{
    lone_fini(&bed.lone);
    keyring_free(bed.ring);
}

static void restart(void)
{
    lone_stop(&bed.lone);
    lone_begin(&bed.lone);
}

/* Why it was refused, or REASON_NONE; then its secret is in ret. */
static enum reason create(const char *name, uint32_t rights, uint64_t lifetime_ms,
                          char ret[SECRET_BYTES])
{
    static const str offers[] = {{"bill*", 5}, {"x", 1}};
    struct request *request = request_new(&create_key_operation);
    struct create_key_request *asked = create_key_request(request);
    asked->order.name = str_of(name);
    asked->order.rights = rights;
    asked->order.lifetime_ms = lifetime_ms;
    asked->order.offers = offers;
    asked->order.offer_count = (rights & RIGHT_HOST) != 0 ? COUNT_OF(offers) : 0;
    lone_ask(&bed.lone, request);
    memcpy(ret, asked->ret_secret, SECRET_BYTES);
    enum reason reason = bed.lone.failure.reason;
    request_free(request);
    return reason;
}

static enum reason revoke(const char *secret)
{
    struct request *request = request_new(&revoke_key_operation);
    assert_true(
        secret_read_id(str_make(secret, SECRET_ID_BYTES), &revoke_key_request(request)->number));
    lone_ask(&bed.lone, request);
    enum reason reason = bed.lone.failure.reason;
    request_free(request);
    return reason;
}

/* Why the keyring does not let it in, or REASON_NONE. */
static enum reason show(const char secret[SECRET_BYTES])
{
    char header[7 + SECRET_BYTES];
    struct arena arena;
    struct principal principal;
    struct failure why = {0};
    arena_init(&arena, 0);
    memcpy(header, "Bearer ", 7);
    memcpy(header + 7, secret, SECRET_BYTES);
    struct key_set *set = keyring_get(bed.ring);
    bool is_in = key_set_admit(set, str_make(header, sizeof(header)), bed.lone.now_ms, 0, &arena,
                               &principal, &why);
    assert_int_equal(is_in, why.code == CODE_OK);
    key_set_unref(set);
    arena_fini(&arena);
    return why.reason;
}

static bool is_open(void)
{
    struct key_set *set = keyring_get(bed.ring);
    bool ret = key_set_is_open(set);
    key_set_unref(set);
    return ret;
}

static void keys_outlive_the_server(void **state)
{
    char root[SECRET_BYTES];
    char host[SECRET_BYTES];
    (void)state;
    begin();
    assert_true(is_open());
    assert_int_equal(create("w", RIGHT_HOST, 0, host), REASON_KEY_NOT_ADMIN);
    assert_true(is_open());
    assert_int_equal(create("r", RIGHT_ADMIN, 0, root), REASON_NONE);
    assert_int_equal(create("w", RIGHT_HOST, 0, host), REASON_NONE);
    assert_false(is_open());
    for (int i = 0; i < 2; i++) {
        assert_int_equal(show(root), REASON_NONE);
        assert_int_equal(show(host), REASON_NONE);
        struct key_set *set = keyring_get(bed.ring);
        uint32_t number = 0;
        assert_true(secret_read(str_make(host, SECRET_BYTES), &number));
        const struct key *key = key_set_find(set, number);
        assert_true(key_may_offer(key, STR("billing")) && !key_may_offer(key, STR("other")));
        assert_int_equal(key->created_ms, START_MS);
        key_set_unref(set);
        restart();
    }
    assert_int_equal(revoke(host), REASON_NONE);
    assert_int_equal(revoke(root), REASON_NONE);
    assert_int_equal(revoke("polos_00000000"), REASON_KEY_NOT_FOUND);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(show(root), REASON_KEY_REVOKED);
        assert_int_equal(show(host), REASON_KEY_REVOKED);
        assert_false(is_open());
        restart();
    }
    end();
}

static void the_keyring_is_told_what_is_kept_alone(void **state)
{
    char root[SECRET_BYTES];
    char lost[SECRET_BYTES];
    (void)state;
    begin();
    assert_int_equal(create("r", RIGHT_ADMIN, 0, root), REASON_NONE);
    bed.lone.fails_commits = true;
    assert_int_equal(create("l", RIGHT_CALL, 0, lost), REASON_STORE_REFUSED);
    assert_int_equal(revoke(root), REASON_STORE_REFUSED);
    bed.lone.fails_commits = false;
    lone_rounds(&bed.lone);
    assert_int_equal(show(lost), REASON_KEY_UNKNOWN);
    assert_int_equal(show(root), REASON_NONE);
    bed.lone.forgets_commits = true; /* It may have happened, and has. */
    assert_int_equal(revoke(root), REASON_STORE_REFUSED);
    bed.lone.forgets_commits = false;
    lone_rounds(&bed.lone);
    assert_int_equal(show(root), REASON_KEY_REVOKED);
    end();
}

/* Until they can be read again, those that were known are good, and no other. */
static void keys_that_cannot_be_read_do_not_open_the_server(void **state)
{
    char root[SECRET_BYTES];
    (void)state;
    begin();
    assert_int_equal(create("r", RIGHT_ADMIN, 0, root), REASON_NONE);
    bed.lone.forgets_commits = true;
    bed.lone.unread = STORE_INDEX;
    bed.lone.read_failure = CODE_UNAVAILABLE;
    assert_int_equal(revoke(root), REASON_STORE_REFUSED);
    assert_int_equal(show(root), REASON_NONE);
    assert_false(is_open());
    bed.lone.forgets_commits = false;
    bed.lone.read_failure = CODE_OK;
    lone_advance(&bed.lone, START_MS + 2000);
    assert_int_equal(show(root), REASON_KEY_REVOKED);
    end();
}

static void damage(const char secret[SECRET_BYTES])
{
    char tail[4];
    char key[KEY_BYTES_MAX];
    uint32_t number;
    struct store_batch batch = {0};
    assert_true(secret_read(str_make(secret, SECRET_BYTES), &number));
    for (int i = 0; i < 4; i++) {
        tail[i] = (char)(number >> (24 - 8 * i));
    }
    store_batch_put(&batch, STORE_INDEX,
                    key_index(key, (struct key_space){0}, INDEX_KEY, str_make(tail, 4)), STR("?"));
    assert_true(status_is_ok(store_commit(&bed.lone.store, &batch)));
    store_batch_fini(&batch);
}

static void a_damaged_key_lets_nobody_in(void **state)
{
    char root[SECRET_BYTES];
    char other[SECRET_BYTES];
    (void)state;
    begin();
    assert_int_equal(create("r", RIGHT_ADMIN, 0, root), REASON_NONE);
    assert_int_equal(create("o", RIGHT_CALL, 0, other), REASON_NONE);
    damage(root);
    restart();
    assert_int_equal(show(root), REASON_KEY_UNKNOWN);
    assert_int_equal(show(other), REASON_NONE);
    damage(other);
    restart();
    assert_int_equal(show(other), REASON_KEY_UNKNOWN);
    assert_false(is_open());
    end();
}

struct waiting {
    struct keyring_wait wait;
    bool is_told;
};

static void told(struct keyring_wait *wait)
{
    container_of(wait, struct waiting, wait)->is_told = true;
}

static void a_key_ends_when_its_time_has_come(void **state)
{
    char root[SECRET_BYTES];
    char brief[SECRET_BYTES];
    struct waiting waiting = {.wait.done = told};
    (void)state;
    begin();
    assert_int_equal(create("r", RIGHT_ADMIN, 0, root), REASON_NONE);
    assert_int_equal(create("b", RIGHT_CALL, HOUR_MS, brief), REASON_NONE);
    restart();
    keyring_await(bed.ring, &waiting.wait);
    lone_advance(&bed.lone, START_MS + HOUR_MS - 1);
    assert_false(waiting.is_told);
    assert_int_equal(show(brief), REASON_NONE);
    lone_advance(&bed.lone, START_MS + HOUR_MS);
    assert_true(waiting.is_told); /* Without anybody's asking. */
    assert_int_equal(show(brief), REASON_KEY_EXPIRED);
    assert_int_equal(show(root), REASON_NONE);
    lone_advance(&bed.lone, START_MS + 24 * HOUR_MS);
    end();
}

static void keys_are_listed_by_name(void **state)
{
    static const char *const names[] = {"b", "a", "ab", "b", "A"};
    static const char *const sorted[] = {"A", "a", "ab", "b", "b"};
    char secret[SECRET_BYTES];
    (void)state;
    begin();
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(create(names[i], RIGHT_ADMIN, 0, secret), REASON_NONE);
    }
    uint32_t after = 0;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct request *request = request_new(&list_keys_operation);
        struct list_keys_request *asked = list_keys_request(request);
        asked->after = after;
        asked->limit = 1;
        lone_ask(&bed.lone, request);
        assert_int_equal(asked->ret_count, 1);
        assert_true(str_is(asked->ret[0].name, sorted[i]));
        assert_int_equal(asked->ret_more, i + 1 < COUNT_OF(names));
        after = asked->ret[0].number;
        request_free(request);
    }
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_outlive_the_server),
        cmocka_unit_test(the_keyring_is_told_what_is_kept_alone),
        cmocka_unit_test(keys_that_cannot_be_read_do_not_open_the_server),
        cmocka_unit_test(a_damaged_key_lets_nobody_in),
        cmocka_unit_test(a_key_ends_when_its_time_has_come),
        cmocka_unit_test(keys_are_listed_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
