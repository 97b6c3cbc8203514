#include "service/hosts/sessions.h"

#include <stdlib.h>

#include "service/base/array.h"

static const struct host_session *session_at(const void *context, uint32_t index)
{
    return ((const struct hosts *)context)->sessions[index];
}

static uint64_t hash_of_number(const void *context, uint32_t index)
{
    return session_at(context, index)->number;
}

static bool number_is(const void *context, uint32_t index, const void *key)
{
    return session_at(context, index)->number == *(const uint64_t *)key;
}

static uint64_t hash_of_host(const void *context, uint32_t index)
{
    return str_hash(session_at(context, index)->host_id);
}

static bool host_is(const void *context, uint32_t index, const void *key)
{
    return str_equal(session_at(context, index)->host_id, *(const str *)key);
}

static str token_of(const struct host_session *session)
{
    return str_make(session->token, sizeof(session->token));
}

static uint64_t hash_of_token(const void *context, uint32_t index)
{
    return str_hash(token_of(session_at(context, index)));
}

static bool token_is(const void *context, uint32_t index, const void *key)
{
    return str_equal(token_of(session_at(context, index)), *(const str *)key);
}

static uint64_t hash_of_expected(const void *context, uint32_t index)
{
    return session_at(context, index)->host_hash;
}

static bool expected_is(const void *context, uint32_t index, const void *key)
{
    return session_at(context, index)->host_hash == *(const uint64_t *)key;
}

static const struct map_keys keys_by_number = {hash_of_number, number_is};
static const struct map_keys keys_by_host = {hash_of_host, host_is};
static const struct map_keys keys_by_token = {hash_of_token, token_is};
static const struct map_keys keys_by_hash = {hash_of_expected, expected_is};

void sessions_init(struct hosts *hosts)
{
    map_init(&hosts->by_number, &keys_by_number, hosts);
    map_init(&hosts->by_host, &keys_by_host, hosts);
    map_init(&hosts->by_token, &keys_by_token, hosts);
    map_init(&hosts->by_hash, &keys_by_hash, hosts);
    list_init(&hosts->leases);
    list_init(&hosts->acks_due);
    list_init(&hosts->over);
    list_init(&hosts->feeds);
    list_init(&hosts->sent);
}

void sessions_fini(struct hosts *hosts)
{
    assert(hosts->session_count == 0 && list_is_empty(&hosts->over));
    map_fini(&hosts->by_number);
    map_fini(&hosts->by_host);
    map_fini(&hosts->by_token);
    map_fini(&hosts->by_hash);
    free(hosts->sessions);
    free(hosts->holes);
    free(hosts->taken_over);
}

struct host_session *sessions_find_number(const struct hosts *hosts, uint64_t number)
{
    uint32_t index;
    return map_find(&hosts->by_number, number, &number, &index) ? hosts->sessions[index] : NULL;
}

struct host_session *sessions_find_host(const struct hosts *hosts, str host_id)
{
    uint32_t index;
    if (!map_find(&hosts->by_host, str_hash(host_id), &host_id, &index)) {
        return NULL;
    }
    return hosts->sessions[index];
}

struct host_session *sessions_find_expected(const struct hosts *hosts, uint64_t host_hash)
{
    uint32_t index;
    if (!map_find(&hosts->by_hash, host_hash, &host_hash, &index)) {
        return NULL;
    }
    return hosts->sessions[index];
}

struct host_session *sessions_find_token(const struct hosts *hosts, str token)
{
    uint32_t index;
    if (!map_find(&hosts->by_token, str_hash(token), &token, &index)) {
        return NULL;
    }
    return hosts->sessions[index];
}

static uint32_t take_index(struct hosts *hosts)
{
    if (hosts->hole_count > 0) {
        return hosts->holes[--hosts->hole_count];
    }
    size_t hole_capacity = hosts->session_capacity; /* Any session may leave a hole. */
    size_t count = (size_t)hosts->session_count + 1;
    hosts->holes = array_reserve(hosts->holes, &hole_capacity, count, sizeof(*hosts->holes));
    hosts->sessions =
        array_reserve(hosts->sessions, &hosts->session_capacity, count, sizeof(*hosts->sessions));
    return hosts->session_count;
}

void sessions_add(struct hosts *hosts, struct host_session *session)
{
    session->index = take_index(hosts);
    hosts->sessions[session->index] = session;
    hosts->session_count++;
    map_add(&hosts->by_number, session->index);
    if (session->state == SESSION_EXPECTED) {
        assert(sessions_find_expected(hosts, session->host_hash) == NULL);
        hosts->expected_count++;
        map_add(&hosts->by_hash, session->index);
        return;
    }
    assert(session->state == SESSION_AWAY);
    assert(sessions_find_host(hosts, session->host_id) == NULL);
    map_add(&hosts->by_host, session->index);
    map_add(&hosts->by_token, session->index);
}

void sessions_remove(struct hosts *hosts, struct host_session *session)
{
    map_remove(&hosts->by_number, session->index);
    if (session->state == SESSION_EXPECTED) {
        assert(hosts->expected_count > 0);
        hosts->expected_count--;
        map_remove(&hosts->by_hash, session->index);
    } else {
        map_remove(&hosts->by_token, session->index);
    }
    if (session->state == SESSION_AWAY) {
        map_remove(&hosts->by_host, session->index);
    }
    assert(hosts->session_count > 0);
    hosts->session_count--;
    hosts->sessions[session->index] = NULL;
    hosts->holes[hosts->hole_count++] = session->index;
}
