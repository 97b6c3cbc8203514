#include "service/hosts/session.h"

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
    free(hosts->adopted);
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

static struct host_session *add_session(struct hosts *hosts)
{
    struct host_session *session = (struct host_session *)xcalloc(1, sizeof(*session));

    session->number = ++hosts->last_number;
    session->index = take_index(hosts);
    session->held = TASK_LIST_EMPTY;
    session->is_named = true;
    list_init(&session->lease);
    list_init(&session->flush);
    hosts->sessions[session->index] = session;
    hosts->session_count++;
    map_add(&hosts->by_number, session->index);
    session_touch(hosts, session);
    return session;
}

struct host_session *session_new(struct hosts *hosts, str host_id, const char *token)
{
    assert(host_id.len > 0 && sessions_find_host(hosts, host_id) == NULL);
    struct host_session *session = add_session(hosts);

    session->host_id = str_make(xstrndup(host_id.ptr, host_id.len), host_id.len);
    memcpy(session->token, token, sizeof(session->token));
    map_add(&hosts->by_host, session->index);
    map_add(&hosts->by_token, session->index);
    return session;
}

struct host_session *session_new_expected(struct hosts *hosts, uint64_t host_hash)
{
    assert(sessions_find_expected(hosts, host_hash) == NULL);
    struct host_session *session = add_session(hosts);

    session->is_expected = true;
    session->host_hash = host_hash;
    hosts->expected_count++;
    map_add(&hosts->by_hash, session->index);
    return session;
}

void session_unname(struct hosts *hosts, struct host_session *session)
{
    if (session->is_named) {
        map_remove(session->is_expected ? &hosts->by_hash : &hosts->by_host, session->index);
        session->is_named = false;
    }
}

static void unregister(struct hosts *hosts, struct host_session *session)
{
    session_unname(hosts, session);
    map_remove(&hosts->by_number, session->index);
    if (session->is_expected) {
        hosts->expected_count--;
    } else {
        map_remove(&hosts->by_token, session->index);
    }
    hosts->session_count--;
    hosts->sessions[session->index] = NULL;
    hosts->holes[hosts->hole_count++] = session->index;
    list_remove(&session->lease);
    list_remove(&session->flush);
}

static void lose_tasks(struct hosts *hosts, struct host_session *session, const char *cause)
{
    struct task_entry *entry;

    while ((entry = tasks_first(&hosts->tasks, &session->held)) != NULL) {
        struct host_loss loss = {
            .task = entry->held.task,
            .epoch = entry->held.epoch,
            .is_excused = session->is_expected,
            .cause = cause,
        };

        session_drop(hosts, entry);
        hosts->options.lost(hosts->options.context, &loss);
    }
}

void session_end(struct hosts *hosts, struct host_session *session, const char *cause)
{
    assert(session->link == NULL && !session->is_over);
    lose_tasks(hosts, session, cause);
    session_set_offers(hosts, session, NULL, 0);
    unregister(hosts, session);
    window_fini(&session->inbound);
    outbox_fini(&session->outbound);
    session->is_over = true;
    list_append(&hosts->over, &session->flush);
}

void session_touch(struct hosts *hosts, struct host_session *session)
{
    assert(!session->is_over);
    list_remove(&session->lease);
    session->lease_end = hosts->clock + hosts->options.lease_ms;
    list_append(&hosts->leases, &session->lease);
}

static bool may_be_picked(const struct hosts *hosts, const struct host_session *session)
{
    uint64_t unacknowledged_max =
        (uint64_t)session->slots * SESSION_UNACKNOWLEDGED_PER_SLOT + SESSION_UNACKNOWLEDGED_MORE;

    return session->link != NULL && !hosts->is_draining && !session->is_draining &&
           session->held.count < session->slots &&
           outbox_count(&session->outbound) < unacknowledged_max &&
           session->outbound.bytes < SESSION_UNACKNOWLEDGED_BYTES_MAX;
}

static void update_there(struct hosts *hosts, struct host_session *session)
{
    bool is_there = !session->is_draining && !session->is_expected;

    if (is_there == session->is_there) {
        return;
    }
    session->is_there = is_there;
    if (is_there) {
        lines_arrive(&hosts->lines, session);
    } else {
        lines_depart(&hosts->lines, session);
    }
}

void session_update(struct hosts *hosts, struct host_session *session)
{
    bool is_candidate = may_be_picked(hosts, session);

    update_there(hosts, session);
    if (is_candidate == session->is_candidate) {
        return;
    }
    session->is_candidate = is_candidate;
    if (is_candidate) {
        lines_enter(&hosts->lines, session);
    } else {
        lines_leave(&hosts->lines, session);
    }
}

void session_open(struct hosts *hosts, struct host_session *session, struct host_link *link)
{
    assert(session->link == NULL && !session->is_over && !session->is_expected);
    session->link = link;
    session->vtable = link->vtable;
    link->session = session;
    hosts->connected_count++;
    session_touch(hosts, session);
    session_update(hosts, session);
}

void session_leave(struct hosts *hosts, struct host_session *session)
{
    assert(session->link != NULL && session->link->session == session);
    session->link->session = NULL;
    session->link = NULL;
    list_remove(&session->flush);
    assert(hosts->connected_count > 0);
    hosts->connected_count--;
    session_update(hosts, session);
}

void session_close(struct hosts *hosts, struct host_session *session, enum code code,
                   const char *reason, str message)
{
    struct host_link *link = session->link;

    if (link == NULL) {
        return;
    }
    session_leave(hosts, session);
    link->vtable->close(link, code, reason, message);
}

void session_set_offers(struct hosts *hosts, struct host_session *session,
                        const struct host_offer *offers, size_t count)
{
    struct offer *old = session->offers;
    uint32_t old_count = session->offer_count;

    if (session->is_candidate) {
        lines_leave(&hosts->lines, session);
        session->is_candidate = false;
    }
    if (session->is_there) {
        lines_depart(&hosts->lines, session);
        session->is_there = false;
    }
    session->offers = count == 0 ? NULL : (struct offer *)xcalloc(count, sizeof(struct offer));
    session->offer_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        uint32_t line = lines_offer(&hosts->lines, offers[i].kind, offers[i].name,
                                    host_hash_of_deployment(session->deployment));

        session->offers[i] = (struct offer){.line = line, .place = LINES_NONE};
    }
    for (uint32_t i = 0; i < old_count; i++) {
        lines_withdraw(&hosts->lines, old[i].line);
    }
    free(old);
    session_update(hosts, session);
}

static struct payload *pack(struct host_session *session, struct server_message *message)
{
    message->ack = session->inbound.dealt;
    struct payload *payload = session->vtable->pack(message);

    assert(payload != NULL);
    /* The acknowledgement rides on this message, or for a host that is away on its Welcome. */
    list_remove(&session->flush);
    return payload;
}

void session_send(struct hosts *hosts, struct host_session *session, struct server_message *message)
{
    assert(!session->is_over && session->vtable != NULL);
    message->seq = session->outbound.sent + 1;
    struct payload *payload = pack(session, message);

    outbox_push(&session->outbound, payload);
    if (session->link != NULL) {
        payload_ref(payload);
        session->vtable->send(session->link, payload);
    }
    session_update(hosts, session);
    if (outbox_count(&session->outbound) > SESSION_UNACKNOWLEDGED_MAX) {
        session_close(hosts, session, CODE_RESOURCE_EXHAUSTED, "UNACKNOWLEDGED",
                      STR("The host acknowledges too little of what it is sent; dial again with "
                          "the session and send acknowledgements."));
    }
}

void session_send_once(struct host_session *session, struct server_message *message)
{
    assert(session->link != NULL);
    message->seq = 0;
    session->vtable->send(session->link, pack(session, message));
}

void session_send_again(struct host_session *session)
{
    assert(session->link != NULL);
    const struct outbox *outbox = &session->outbound;

    for (uint64_t seq = outbox->acknowledged + 1; seq <= outbox->sent; seq++) {
        struct payload *payload = outbox_get(outbox, seq);

        payload_ref(payload);
        session->vtable->send(session->link, payload);
    }
}

void session_owe_ack(struct hosts *hosts, struct host_session *session)
{
    assert(!session->is_over);
    if (session->link != NULL && list_is_empty(&session->flush)) {
        list_append(&hosts->acks_due, &session->flush);
    }
}

void session_deal(struct hosts *hosts, struct host_session *session, uint64_t seq)
{
    if (window_deal(&session->inbound, seq)) {
        session_owe_ack(hosts, session);
    }
}

void session_refuse(struct hosts *hosts, struct host_session *session, uint64_t seq,
                    const char *reason, str message, const struct task_ref *task)
{
    if (!window_is_open(&session->inbound, seq)) {
        return;
    }
    window_deal(&session->inbound, seq); /* The acknowledgement rides on the refusal. */
    struct server_message refused = {
        .kind = SERVER_MESSAGE_REFUSED,
        .refused = {.seq = seq, .reason = reason, .message = message, .has_task = task != NULL},
    };

    if (task != NULL) {
        refused.refused.task = *task;
    }
    session_send(hosts, session, &refused);
}

void session_hold(struct hosts *hosts, struct host_session *session, struct held_task held,
                  bool is_given)
{
    assert(!session->is_over);
    struct task_entry *entry = tasks_add(&hosts->tasks, &session->held, session, held);

    entry->is_given = is_given;
    hosts->expected_tasks += session->is_expected ? 1 : 0;
    session_update(hosts, session);
}

void session_drop(struct hosts *hosts, struct task_entry *entry)
{
    struct host_session *session = entry->session;

    hosts->expected_tasks -= session->is_expected ? 1 : 0;
    tasks_remove(&hosts->tasks, &session->held, entry);
    session_update(hosts, session);
}

static void note_adopted(struct hosts *hosts, struct task_ref task)
{
    hosts->adopted = array_reserve(hosts->adopted, &hosts->adopted_capacity,
                                   (size_t)hosts->adopted_count + 1, sizeof(*hosts->adopted));
    hosts->adopted[hosts->adopted_count++] = task;
}

void session_adopt(struct hosts *hosts, struct host_session *session, struct task_entry *entry)
{
    struct held_task held = entry->held;

    assert(entry->is_given && entry->session != session);
    session_drop(hosts, entry);
    session_hold(hosts, session, held, true);
    tasks_find(&hosts->tasks, held.task)->is_adopted = true;
    note_adopted(hosts, held.task);
}
