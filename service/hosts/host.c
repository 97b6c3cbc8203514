#include "service/hosts/host.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/hosts/leases.h"
#include "service/hosts/session.h"
#include "service/hosts/sessions.h"

enum {
    LEASE_MS_DEFAULT = 15000,
    REDIAL_MS_DEFAULT = 5000,
    SESSIONS_MAX_DEFAULT = 1000,
    OFFERS_MAX_DEFAULT = 1000,
    READY_MAX_DEFAULT = 4000000,
    SLOTS_MAX_DEFAULT = 10000,
    PIECES_PER_ROUND = 4, /* A piece is up to 1 MiB that is read. */
};

static void set_defaults(struct hosts_options *options)
{
    options->lease_ms = options->lease_ms == 0 ? LEASE_MS_DEFAULT : options->lease_ms;
    options->redial_ms = options->redial_ms == 0 ? REDIAL_MS_DEFAULT : options->redial_ms;
    options->sessions_max =
        options->sessions_max == 0 ? SESSIONS_MAX_DEFAULT : options->sessions_max;
    options->offers_max = options->offers_max == 0 ? OFFERS_MAX_DEFAULT : options->offers_max;
    options->ready_max = options->ready_max == 0 ? READY_MAX_DEFAULT : options->ready_max;
    options->slots_max = options->slots_max == 0 ? SLOTS_MAX_DEFAULT : options->slots_max;
}

struct hosts *hosts_new(const struct hosts_options *options)
{
    assert(options->lost != NULL && options->random != NULL);
    struct hosts *hosts = xcalloc(1, sizeof(*hosts));
    hosts->options = *options;
    set_defaults(&hosts->options);
    assert(hosts->options.ready_max < READY_NONE);
    sessions_init(hosts);
    tally_init(&hosts->agents);
    tally_init(&hosts->agent_versions);
    tasks_init(&hosts->tasks);
    ready_queue_init(&hosts->ready_queue);
    return hosts;
}

static void free_over(struct hosts *hosts)
{
    while (!list_is_empty(&hosts->over)) {
        struct host_session *session = container_of(hosts->over.next, struct host_session, flush);
        assert(session->state == SESSION_OVER && session->link == NULL);
        list_remove(&session->flush);
        free((char *)session->host_id.ptr);
        free((char *)session->deployment.ptr);
        free((char *)session->language.ptr);
        free((char *)session->user_agent.ptr);
        free(session);
    }
}

static void lose_quietly(void *context, const struct host_loss *loss)
{
    (void)context, (void)loss;
}

static struct host_session *first_of(const struct list *leases)
{
    return list_is_empty(leases) ? NULL : container_of(leases->next, struct host_session, lease);
}

void hosts_free(struct hosts *hosts)
{
    struct host_session *session;
    if (hosts == NULL) {
        return;
    }
    hosts->options.lost = lose_quietly;
    while ((session = first_of(&hosts->leases)) != NULL) {
        if (session->link != NULL) {
            session_detach(hosts, session);
        }
        session_end(hosts, session, "");
    }
    free_over(hosts);
    sessions_fini(hosts);
    tally_fini(&hosts->agents);
    tally_fini(&hosts->agent_versions);
    tasks_fini(&hosts->tasks);
    ready_queue_fini(&hosts->ready_queue);
    free(hosts);
}

void hosts_set_clock(struct hosts *hosts, uint64_t now_ms)
{
    if (now_ms + hosts->clock_ahead < hosts->clock) {
        hosts->clock_ahead = hosts->clock - now_ms;
    }
    hosts->clock = now_ms + hosts->clock_ahead;
    if (hosts->fallback_at == 0) {
        hosts->fallback_at = hosts->clock + hosts->options.lease_ms;
    }
}

/* What arrives. */

/* Closes the stream of a host that broke a rule; its lease runs on. */
__attribute__((format(printf, 5, 6))) static enum host_receipt
break_off(struct hosts *hosts, struct host_session *session, enum code code, enum reason reason,
          const char *format, ...)
{
    char message[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    assert(len > 0 && (size_t)len < sizeof(message));
    session_close(hosts, session, code, reason, str_make(message, (size_t)len));
    return HOST_RECEIPT_CLOSED;
}

static bool must_be_numbered(enum host_message_kind kind)
{
    switch (kind) {
    case HOST_MESSAGE_STEP_DONE:
    case HOST_MESSAGE_STEP_REQUEST:
    case HOST_MESSAGE_TASK_DONE:
    case HOST_MESSAGE_PARK:
    case HOST_MESSAGE_RELEASE:
    case HOST_MESSAGE_CANCEL_SHOWN:
    case HOST_MESSAGE_WITHDRAW:
    case HOST_MESSAGE_STEP_TRY:
    case HOST_MESSAGE_DRAIN:
        return true;
    case HOST_MESSAGE_NONE:
    case HOST_MESSAGE_DELTA:
    case HOST_MESSAGE_HEARTBEAT:
        return false;
    }
    assert(false && "no such kind");
    return false;
}

/* HOST_RECEIPT_COMMAND: it is new. */
static enum host_receipt take_number(struct hosts *hosts, struct host_session *session,
                                     uint64_t seq)
{
    switch (window_receive(&session->inbound, seq)) {
    case WINDOW_NEW:
        return HOST_RECEIPT_COMMAND;
    case WINDOW_REPEATED:
        session_owe_ack(hosts, session);
        return HOST_RECEIPT_DROP;
    case WINDOW_GAP:
        return break_off(hosts, session, CODE_FAILED_PRECONDITION, REASON_SEQUENCE_GAP,
                         "Message %llu came after %llu; number messages without gaps. Dial again "
                         "with the session and send again what was not acknowledged.",
                         (unsigned long long)seq, (unsigned long long)session->inbound.received);
    case WINDOW_FULL:
        return break_off(hosts, session, CODE_RESOURCE_EXHAUSTED, REASON_TOO_MANY_OPEN,
                         "%d messages wait for their acknowledgement; dial again with the session "
                         "and send no more than that ahead.",
                         WINDOW_MAX);
    }
    assert(false && "no such verdict");
    return HOST_RECEIPT_CLOSED;
}

static bool holds(const struct hosts *hosts, const struct host_session *session,
                  const struct host_message *message)
{
    const struct task_entry *entry = tasks_find(&hosts->tasks, message->task);
    return entry != NULL && entry->session == session && task_entry_is_given(entry) &&
           entry->held.epoch == message->epoch;
}

/* A refusal may end the stream of a host that reads nothing. */
static enum host_receipt refused(const struct host_session *session)
{
    return session->link == NULL ? HOST_RECEIPT_CLOSED : HOST_RECEIPT_DROP;
}

static enum host_receipt receive_answer(struct hosts *hosts, struct host_session *session,
                                        const struct host_message *message)
{
    enum reason reason = REASON_STALE_EPOCH;
    str why = STR("The task is not this host's any more; stop it. The answer was not taken.");
    if (holds(hosts, session, message)) {
        if (message->fault.len == 0) {
            return HOST_RECEIPT_COMMAND;
        }
        reason = REASON_INVALID_FIELD;
        why = message->fault;
    }
    session_refuse(hosts, session, message->seq, reason, why, &message->task);
    return refused(session);
}

static enum host_receipt receive_kind(struct hosts *hosts, struct host_session *session,
                                      const struct host_message *message)
{
    enum host_receipt receipt = HOST_RECEIPT_DROP;
    switch (message->kind) {
    case HOST_MESSAGE_STEP_DONE:
    case HOST_MESSAGE_STEP_REQUEST:
    case HOST_MESSAGE_TASK_DONE:
    case HOST_MESSAGE_PARK:
    case HOST_MESSAGE_RELEASE:
    case HOST_MESSAGE_CANCEL_SHOWN:
    case HOST_MESSAGE_WITHDRAW:
    case HOST_MESSAGE_STEP_TRY:
        return receive_answer(hosts, session, message);
    case HOST_MESSAGE_DELTA:
        receipt = holds(hosts, session, message) ? HOST_RECEIPT_SHOW : HOST_RECEIPT_DROP;
        break;
    case HOST_MESSAGE_DRAIN:
        session->is_draining = true;
        session_update_standing(hosts, session);
        if (message->releases_all) {
            session_release_all(hosts, session);
        }
        break;
    case HOST_MESSAGE_NONE:
    case HOST_MESSAGE_HEARTBEAT:
        break;
    }
    if (message->seq != 0) {
        session_mark_handled(hosts, session, message->seq);
    }
    return receipt;
}

enum host_receipt hosts_receive(struct hosts *hosts, struct host_session *session,
                                const struct host_message *message, uint64_t now_ms)
{
    assert(session->link != NULL && session->link->session == session);
    hosts_set_clock(hosts, now_ms);
    session_renew_lease(hosts, session);
    if (!outbox_acknowledge(&session->outbound, message->ack)) {
        return break_off(hosts, session, CODE_FAILED_PRECONDITION, REASON_ACK_BEYOND,
                         "Message %llu is acknowledged, but only %llu were sent; acknowledge the "
                         "highest number handled.",
                         (unsigned long long)message->ack,
                         (unsigned long long)session->outbound.sent);
    }
    facts_acknowledge(&session->facts, message->ack);
    session_update_standing(hosts, session);
    if (message->seq == 0 && must_be_numbered(message->kind)) {
        return break_off(
            hosts, session, CODE_FAILED_PRECONDITION, REASON_UNNUMBERED,
            "What is said of a task, but for progress, and a drain are numbered from 1 within a "
            "session; the number was 0.");
    }
    if (message->seq != 0) {
        enum host_receipt receipt = take_number(hosts, session, message->seq);
        if (receipt != HOST_RECEIPT_COMMAND) {
            return receipt;
        }
    }
    return receive_kind(hosts, session, message);
}

void hosts_mark_handled(struct hosts *hosts, uint64_t number, uint64_t seq)
{
    struct host_session *session = sessions_find_number(hosts, number);
    if (session != NULL) {
        session_mark_handled(hosts, session, seq);
    }
}

void hosts_mark_settled(struct hosts *hosts, uint64_t number, uint64_t seq)
{
    struct host_session *session = sessions_find_number(hosts, number);
    if (session != NULL) {
        session->settled++;
        session_mark_handled(hosts, session, seq);
    }
}

void hosts_refuse(struct hosts *hosts, uint64_t number, uint64_t seq, enum reason reason,
                  str message, const struct task_ref *task)
{
    struct host_session *session = sessions_find_number(hosts, number);
    assert(reason != REASON_NONE);
    if (session != NULL) {
        session_refuse(hosts, session, seq, reason, message, task);
    }
}

void hosts_forget(struct hosts *hosts, uint64_t number, uint64_t seq)
{
    struct host_session *session = sessions_find_number(hosts, number);
    if (session == NULL || !window_is_open(&session->inbound, seq)) {
        return;
    }
    window_forget(&session->inbound, seq);
    session_close(hosts, session, CODE_UNAVAILABLE, REASON_NOT_DURABLE,
                  STR("A message could not be made durable; dial again with the session in a "
                      "while and send again what was not acknowledged."));
}

bool hosts_beat(struct hosts *hosts, str token, uint64_t now_ms)
{
    struct host_session *session = sessions_find_token(hosts, token);
    hosts_set_clock(hosts, now_ms);
    if (session == NULL) {
        return false;
    }
    assert(session->state == SESSION_AWAY || session->state == SESSION_CONNECTED);
    session_renew_lease(hosts, session);
    return true;
}

uint64_t hosts_lease_ms(const struct hosts *hosts)
{
    assert(hosts->options.lease_ms > 0);
    return hosts->options.lease_ms;
}

void hosts_writable(struct hosts *hosts, struct host_session *session)
{
    assert(session->link != NULL);
    session_owe_ack(hosts, session);
    session_write(hosts, session);
}

void hosts_disconnected(struct hosts *hosts, struct host_session *session,
                        enum host_departure departure, uint64_t now_ms)
{
    hosts_set_clock(hosts, now_ms);
    session_detach(hosts, session);
    if (departure == HOST_EXPELLED) {
        session_end(hosts, session, "its host is let in no more");
        return;
    }
    if (session->is_draining && (departure == HOST_HUNG_UP || session->held.count == 0)) {
        session_end(hosts, session, "its host has left");
        return;
    }
    session_shorten_lease(hosts, session);
}

static void feed(struct hosts *hosts)
{
    for (int i = 0; i < PIECES_PER_ROUND && !list_is_empty(&hosts->feeds); i++) {
        struct host_session *session = container_of(hosts->feeds.next, struct host_session, feed);
        list_remove(&session->feed);
        session_feed(hosts, session);
    }
}

/* Streams that hold back what they were sent. */
static void send_off(struct hosts *hosts)
{
    while (!list_is_empty(&hosts->sent)) {
        struct host_session *session = container_of(hosts->sent.next, struct host_session, sent);
        assert(session->link != NULL);
        list_remove(&session->sent);
        session->vtable->flush(session->link);
    }
}

void hosts_flush(struct hosts *hosts)
{
    while (!list_is_empty(&hosts->acks_due)) {
        struct host_session *session =
            container_of(hosts->acks_due.next, struct host_session, flush);
        struct server_message message = {.kind = SERVER_MESSAGE_ACK};
        list_remove(&session->flush);
        if (session->vtable->has_room(session->link)) { /* Else once it is writable. */
            session_send_unnumbered(hosts, session, &message);
        }
    }
    feed(hosts);
    send_off(hosts);
    free_over(hosts);
}

bool hosts_owe_pieces(const struct hosts *hosts)
{
    return !list_is_empty(&hosts->feeds);
}

uint64_t host_session_number(const struct host_session *session)
{
    return session->number;
}

str host_session_host_id(const struct host_session *session)
{
    return session->host_id;
}

str host_session_deployment(const struct host_session *session)
{
    return session->deployment;
}

str host_session_language(const struct host_session *session)
{
    return session->language;
}

/* Time and the end. */

uint64_t hosts_heartbeat_ms(const struct hosts *hosts)
{
    assert(hosts->options.lease_ms > 0);
    return hosts->options.lease_ms / 3;
}

void hosts_tick(struct hosts *hosts, uint64_t now_ms, uint64_t heard_ms)
{
    struct host_session *session;
    assert(heard_ms <= now_ms);
    hosts_set_clock(hosts, now_ms);
    uint64_t heard = heard_ms + hosts->clock_ahead;
    if (!hosts->ready_queue.may_fall_back && hosts->fallback_at <= hosts->clock) {
        ready_queue_allow_fallback(&hosts->ready_queue);
    }
    while ((session = first_of(&hosts->leases)) != NULL && session->lease_end <= heard) {
        session_close(hosts, session, CODE_UNAVAILABLE, REASON_LEASE_EXPIRED,
                      STR("Nothing was heard from the host for a whole lease, so its tasks went to "
                          "others; dial again and send heartbeats."));
        session_end(hosts, session, "lease expired");
    }
}

uint64_t hosts_next_deadline(const struct hosts *hosts)
{
    const struct host_session *session = first_of(&hosts->leases);
    uint64_t due = session == NULL ? 0 : session->lease_end;
    if (!hosts->ready_queue.may_fall_back && ready_queue_count(&hosts->ready_queue) > 0 &&
        (due == 0 || hosts->fallback_at < due)) {
        due = hosts->fallback_at;
    }
    assert(due == 0 || due > hosts->clock_ahead);
    return due == 0 ? 0 : due - hosts->clock_ahead;
}

void hosts_send_drain(struct hosts *hosts, struct host_session *session)
{
    if (!hosts->is_draining || session->link == NULL || session->is_drain_sent) {
        return;
    }
    session->is_drain_sent = true;
    session_send(hosts, session,
                 &(struct server_message){.kind = SERVER_MESSAGE_DRAIN,
                                          .cause = str_of(hosts->drain_cause)});
}

void hosts_drain(struct hosts *hosts, const char *cause)
{
    hosts->is_draining = true;
    hosts->drain_cause = cause;
    for (struct list *at = hosts->leases.next; at != &hosts->leases; at = at->next) {
        struct host_session *session = container_of(at, struct host_session, lease);
        session_update_standing(hosts, session);
        hosts_send_drain(hosts, session);
    }
}

void hosts_stats(const struct hosts *hosts, struct hosts_stats *ret)
{
    *ret = (struct hosts_stats){
        .sessions = hosts->session_count - hosts->expected_count,
        .connected = hosts->connected_count,
        .held = hosts->tasks.by_ref.count - hosts->expected_tasks,
        .ready = ready_queue_count(&hosts->ready_queue),
        .expected = hosts->expected_tasks,
    };
}
