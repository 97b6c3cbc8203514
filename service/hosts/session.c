#include "service/hosts/session.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/code_version.h"
#include "service/hosts/leases.h"
#include "service/hosts/placement.h"
#include "service/hosts/sessions.h"

#define TO(state) (1u << (state))

static const unsigned moves[] = {
    [SESSION_AWAY] = TO(SESSION_CONNECTED) | TO(SESSION_REPLACED) | TO(SESSION_OVER),
    [SESSION_CONNECTED] = TO(SESSION_AWAY),
    [SESSION_EXPECTED] = TO(SESSION_OVER),
    [SESSION_REPLACED] = TO(SESSION_OVER),
    [SESSION_OVER] = 0,
};
static_assert(COUNT_OF(moves) == SESSION_STATE_COUNT, "a row for each state");

static void move(struct host_session *session, enum session_state state)
{
    assert((moves[session->state] & TO(state)) != 0);
    session->state = state;
    assert((session->link != NULL) == (state == SESSION_CONNECTED));
}

static struct host_session *allocate(struct hosts *hosts, enum session_state state)
{
    struct host_session *session = xcalloc(1, sizeof(*session));
    session->number = ++hosts->last_number;
    session->begun = hosts->clock;
    session->state = state;
    session->held = TASK_LIST_EMPTY;
    list_init(&session->lease);
    list_init(&session->flush);
    list_init(&session->feed);
    list_init(&session->sent);
    return session;
}

struct host_session *session_new(struct hosts *hosts, str host_id, const char *token)
{
    assert(host_id.len > 0);
    struct host_session *session = allocate(hosts, SESSION_AWAY);
    session->host_id = str_make(xstrndup(host_id.ptr, host_id.len), host_id.len);
    memcpy(session->token, token, sizeof(session->token));
    sessions_add(hosts, session);
    session_renew_lease(hosts, session);
    return session;
}

struct host_session *session_new_expected(struct hosts *hosts, uint64_t host_hash)
{
    struct host_session *session = allocate(hosts, SESSION_EXPECTED);
    session->host_hash = host_hash;
    sessions_add(hosts, session);
    session_renew_lease(hosts, session);
    return session;
}

void session_replace(struct hosts *hosts, struct host_session *session)
{
    map_remove(&hosts->by_host, session->index);
    move(session, SESSION_REPLACED);
}

static void lose_tasks(struct hosts *hosts, struct host_session *session, bool is_excused,
                       const char *cause)
{
    struct task_entry *entry;
    while ((entry = tasks_first(&hosts->tasks, &session->held)) != NULL) {
        struct host_loss loss = {
            .task = entry->held.task,
            .epoch = entry->held.epoch,
            .is_excused = is_excused,
            .cause = cause,
        };
        session_remove_task(hosts, entry);
        hosts->options.lost(hosts->options.context, &loss);
    }
}

void session_release_all(struct hosts *hosts, struct host_session *session)
{
    assert(session->link != NULL && session->is_draining);
    lose_tasks(hosts, session, true, "its host gave it back");
}

void session_end(struct hosts *hosts, struct host_session *session, const char *cause)
{
    assert(cause != NULL);
    assert(session->link == NULL && session->state != SESSION_OVER);
    lose_tasks(hosts, session, session->state == SESSION_EXPECTED, cause);
    assert(session->held.count == 0);
    session_set_offers(hosts, session, NULL, 0);
    session_set_agents(hosts, session, NULL, 0);
    sessions_remove(hosts, session);
    list_remove(&session->lease);
    list_remove(&session->flush);
    window_fini(&session->inbound);
    facts_acknowledge(&session->facts, UINT64_MAX);
    outbox_fini(&session->outbound);
    move(session, SESSION_OVER);
    list_append(&hosts->over, &session->flush);
}

void session_renew_lease(struct hosts *hosts, struct host_session *session)
{
    assert(session->state != SESSION_OVER);
    list_remove(&session->lease);
    session->lease_end = hosts->clock + hosts->options.lease_ms;
    session->heard = hosts->clock;
    list_append(&hosts->leases, &session->lease);
}

void session_shorten_lease(struct hosts *hosts, struct host_session *session)
{
    uint64_t end = hosts->clock + hosts->options.redial_ms;
    struct list *at = &hosts->leases;
    assert(session->state == SESSION_AWAY);
    if (session->lease_end <= end) {
        return;
    }
    session->lease_end = end;
    list_remove(&session->lease);
    while (at->prev != &hosts->leases &&
           container_of(at->prev, struct host_session, lease)->lease_end > end) {
        at = at->prev;
    }
    list_append(at, &session->lease);
}

static bool may_be_picked(const struct hosts *hosts, const struct host_session *session)
{
    uint64_t unacknowledged_max =
        (uint64_t)session->slots * SESSION_UNACKNOWLEDGED_PER_SLOT + SESSION_UNACKNOWLEDGED_MORE;
    return session->link != NULL && !hosts->is_draining && session->held.count < session->slots &&
           outbox_count(&session->outbound) < unacknowledged_max &&
           session->outbound.bytes < SESSION_UNACKNOWLEDGED_BYTES_MAX;
}

static enum session_standing standing_of(const struct hosts *hosts,
                                         const struct host_session *session)
{
    if (session->is_draining || session->is_set_aside || session->state == SESSION_EXPECTED) {
        return SESSION_ABSENT;
    }
    return may_be_picked(hosts, session) ? SESSION_PICKABLE : SESSION_PRESENT;
}

/* Up and down by one step at a time. */
static void set_standing(struct hosts *hosts, struct host_session *session,
                         enum session_standing standing)
{
    enum session_standing before = session->standing;
    session->standing = standing;
    if (before == SESSION_ABSENT && standing >= SESSION_PRESENT) {
        ready_queue_add_present(&hosts->ready_queue, session);
    }
    if (before < SESSION_PICKABLE && standing == SESSION_PICKABLE) {
        ready_queue_add_candidate(&hosts->ready_queue, session);
    }
    if (before == SESSION_PICKABLE && standing < SESSION_PICKABLE) {
        ready_queue_remove_candidate(&hosts->ready_queue, session);
    }
    if (before >= SESSION_PRESENT && standing == SESSION_ABSENT) {
        ready_queue_remove_present(&hosts->ready_queue, session);
    }
}

void session_update_standing(struct hosts *hosts, struct host_session *session)
{
    assert(session->state != SESSION_OVER);
    set_standing(hosts, session, standing_of(hosts, session));
}

void session_attach(struct hosts *hosts, struct host_session *session, struct host_link *link)
{
    assert(session->link == NULL && link->session == NULL);
    session->link = link;
    session->written = session->outbound.acknowledged;
    facts_begin_again(session->facts);
    session->vtable = link->vtable;
    link->session = session;
    move(session, SESSION_CONNECTED);
    hosts->connected_count++;
    session_renew_lease(hosts, session);
    session_update_standing(hosts, session);
}

void session_detach(struct hosts *hosts, struct host_session *session)
{
    assert(session->link != NULL && session->link->session == session);
    session->link->session = NULL;
    session->link = NULL;
    move(session, SESSION_AWAY);
    list_remove(&session->flush);
    list_remove(&session->feed);
    list_remove(&session->sent);
    assert(hosts->connected_count > 0);
    hosts->connected_count--;
    session_update_standing(hosts, session);
}

void session_close(struct hosts *hosts, struct host_session *session, enum code code,
                   enum reason reason, str message)
{
    struct host_link *link = session->link;
    if (link == NULL) {
        return;
    }
    session_detach(hosts, session);
    link->vtable->close(link, code, reason, message);
}

uint64_t session_version(const struct host_session *session)
{
    return code_version_make(session->deployment, session->language);
}

void session_set_offers(struct hosts *hosts, struct host_session *session,
                        const struct host_offer *offers, size_t count)
{
    struct offer *old = session->offers;
    uint32_t old_count = session->offer_count;
    set_standing(hosts, session, SESSION_ABSENT);
    session->offers = count == 0 ? NULL : xcalloc(count, sizeof(struct offer));
    session->offer_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        uint32_t pool = ready_queue_add_offer(&hosts->ready_queue, offers[i].kind, offers[i].name,
                                              session_version(session));
        session->offers[i] = (struct offer){.pool = pool, .place = READY_NONE};
    }
    for (uint32_t i = 0; i < old_count; i++) {
        ready_queue_remove_offer(&hosts->ready_queue, old[i].pool);
    }
    free(old);
    session_update_standing(hosts, session);
}

static str hash_of_agent(const struct host_agent *agent)
{
    return str_make(agent->hash, sizeof(agent->hash));
}

static void forget_agents(struct hosts *hosts, struct host_session *session)
{
    for (size_t i = 0; i < session->agent_count; i++) {
        struct host_agent *agent = &session->agents[i];
        tally_remove(&hosts->agents, agent->id);
        tally_remove(&hosts->agent_versions, hash_of_agent(agent));
        free((char *)agent->id.ptr);
    }
    free(session->agents);
    session->agents = NULL;
    session->agent_count = 0;
}

void session_set_agents(struct hosts *hosts, struct host_session *session,
                        const struct host_agent *agents, size_t count)
{
    forget_agents(hosts, session);
    session->agents = count == 0 ? NULL : xcalloc(count, sizeof(session->agents[0]));
    session->agent_count = count;
    for (size_t i = 0; i < count; i++) {
        struct host_agent *agent = &session->agents[i];
        *agent = agents[i];
        agent->id = str_make(xstrndup(agents[i].id.ptr, agents[i].id.len), agents[i].id.len);
        tally_add(&hosts->agents, agent->id);
        tally_add(&hosts->agent_versions, hash_of_agent(agent));
    }
}

/* Never ahead of a message that is still to be sent: what a host told of a task, and what it is
 * told, keep their order over broken streams. */
static uint64_t ack_of(const struct host_session *session, const struct server_message *message)
{
    const struct outbox *outbox = &session->outbound;
    uint64_t written =
        session->written < outbox->acknowledged ? outbox->acknowledged : session->written;
    assert(written <= outbox->sent);
    bool is_queued = message->seq != 0 || written == outbox->sent;
    return is_queued ? session->inbound.handled : outbox_ack(outbox, written + 1);
}

static struct payload *pack(struct host_session *session, struct server_message *message)
{
    message->ack = ack_of(session, message);
    message->settled = session->settled;
    struct payload *payload = session->vtable->pack(message);
    assert(payload != NULL);
    return payload;
}

static const struct facts_cursor *cursor_of(const struct server_message *message)
{
    return message->kind == SERVER_MESSAGE_TASK ? message->task->more : message->outcome.more;
}

static void send(struct hosts *hosts, struct host_session *session, struct payload *payload)
{
    session->vtable->send(session->link, payload);
    if (session->vtable->flush != NULL && list_is_empty(&session->sent)) {
        list_append(&hosts->sent, &session->sent);
    }
}

void session_send(struct hosts *hosts, struct host_session *session, struct server_message *message)
{
    assert(session->state != SESSION_OVER && session->vtable != NULL);
    message->seq = session->outbound.sent + 1;
    struct payload *payload = pack(session, message);
    outbox_push(&session->outbound, payload, message->ack);
    const struct facts_cursor *more = cursor_of(message);
    if (more != NULL) {
        facts_owe(&session->facts, message->seq, more);
    }
    session_write(hosts, session);
    if (session->written == session->outbound.sent) {
        list_remove(&session->flush); /* The acknowledgement rides on this message. */
    }
    session_update_standing(hosts, session);
    if (outbox_count(&session->outbound) > SESSION_UNACKNOWLEDGED_MAX) {
        session_close(hosts, session, CODE_RESOURCE_EXHAUSTED, REASON_UNACKNOWLEDGED,
                      STR("The host acknowledges too little of what it is sent; dial again with "
                          "the session and send acknowledgements."));
    }
}

void session_send_unnumbered(struct hosts *hosts, struct host_session *session,
                             struct server_message *message)
{
    assert(session->link != NULL);
    message->seq = 0;
    send(hosts, session, pack(session, message));
    list_remove(&session->flush); /* The acknowledgement rides on this message. */
}

void session_write(struct hosts *hosts, struct host_session *session)
{
    const struct outbox *outbox = &session->outbound;
    if (session->written < outbox->acknowledged) {
        session->written = outbox->acknowledged;
    }
    while (session->link != NULL && session->vtable->has_room(session->link)) {
        if (facts_unfinished(session->facts, session->written) != NULL) {
            list_remove(&session->feed);
            list_append(&hosts->feeds, &session->feed);
            return;
        }
        if (session->written == outbox->sent) {
            return;
        }
        struct payload *payload = outbox_get(outbox, ++session->written);
        payload_ref(payload);
        send(hosts, session, payload);
    }
}

/* The host has the task in this epoch: else nothing more of it is told. */
static bool is_wanted(const struct hosts *hosts, const struct host_session *session,
                      const struct facts_cursor *cursor)
{
    const struct task_entry *entry = tasks_find(&hosts->tasks, cursor->task);
    return entry != NULL && entry->session == session && entry->held.epoch == cursor->epoch;
}

void session_feed(struct hosts *hosts, struct host_session *session)
{
    struct facts_owed *owed = facts_unfinished(session->facts, session->written);
    struct host_facts facts = {0};
    assert(session->link != NULL);
    if (owed == NULL) { /* Acknowledged before it was all told. */
        session_write(hosts, session);
        return;
    }
    struct task_ref task = owed->cursor.task;
    bool wanted = is_wanted(hosts, session, &owed->cursor);
    bool read = wanted && hosts->options.read_facts(hosts->options.context, &owed->cursor, &facts);
    owed->is_over = !read || facts.is_last;
    if (read && (facts.count > 0 || facts.is_last)) {
        session_send_unnumbered(
            hosts, session,
            &(struct server_message){.kind = SERVER_MESSAGE_FACTS, .facts = &facts});
    }
    if (wanted && !read) { /* It would work on, beside whatever has its slot. */
        hosts_stop(hosts, task, STOP_LEASE_LOST);
    }
    session_write(hosts, session);
}

void session_owe_ack(struct hosts *hosts, struct host_session *session)
{
    assert(session->state != SESSION_OVER);
    if (session->link != NULL && list_is_empty(&session->flush)) {
        list_append(&hosts->acks_due, &session->flush);
    }
}

void session_mark_handled(struct hosts *hosts, struct host_session *session, uint64_t seq)
{
    if (window_mark_handled(&session->inbound, seq)) {
        session_owe_ack(hosts, session);
    }
}

void session_refuse(struct hosts *hosts, struct host_session *session, uint64_t seq,
                    enum reason reason, str message, const struct task_ref *task)
{
    if (!window_is_open(&session->inbound, seq)) {
        return;
    }
    window_mark_handled(&session->inbound, seq); /* The acknowledgement rides on the refusal. */
    struct server_message refused = {
        .kind = SERVER_MESSAGE_REFUSED,
        .refused = {.seq = seq,
                    .reason = reason,
                    .message = message,
                    .has_task = task != NULL,
                    .is_task_gone = reason == REASON_STALE_EPOCH},
    };
    if (task != NULL) {
        refused.refused.task = *task;
    }
    session_send(hosts, session, &refused);
}

void session_add_task(struct hosts *hosts, struct host_session *session, struct held_task held,
                      enum hold_state state)
{
    assert(session->state != SESSION_OVER);
    assert(session->state != SESSION_EXPECTED || state == HOLD_GIVEN);
    tasks_add(&hosts->tasks, &session->held, session, held, state);
    hosts->expected_tasks += session->state == SESSION_EXPECTED ? 1 : 0;
    session_update_standing(hosts, session);
}

void session_remove_task(struct hosts *hosts, struct task_entry *entry)
{
    struct host_session *session = entry->session;
    hosts->expected_tasks -= session->state == SESSION_EXPECTED ? 1 : 0;
    tasks_remove(&hosts->tasks, &session->held, entry);
    session_update_standing(hosts, session);
}

static void note_taken_over(struct hosts *hosts, struct task_ref task)
{
    hosts->taken_over =
        array_reserve(hosts->taken_over, &hosts->taken_over_capacity,
                      (size_t)hosts->taken_over_count + 1, sizeof(*hosts->taken_over));
    hosts->taken_over[hosts->taken_over_count++] = task;
}

void session_take_over(struct hosts *hosts, struct host_session *session, struct task_entry *entry)
{
    struct held_task held = entry->held;
    assert(task_entry_is_given(entry) && entry->session != session);
    session_remove_task(hosts, entry);
    session_add_task(hosts, session, held, HOLD_TAKEN_OVER);
    note_taken_over(hosts, held.task);
}
