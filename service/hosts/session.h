/*
 * session: the insides of hosts: what is kept about one host, and the registry of all.
 *
 * A host that the journal names but that has not said hello since the restart is a session too,
 * an expected one: away, without a token, its lease running. So its return is the return of any
 * host whose stream broke and whose token is lost.
 *
 * Invariant: `held.count` <= `slots`, except for expected sessions and when a host that resumes
 *            says fewer slots than it said before; then it gets no task until it is true again.
 * Order:     leases are linked in the order in which they end.
 */
#ifndef SERVICE_HOSTS_SESSION_H
#define SERVICE_HOSTS_SESSION_H

#include "service/hosts/host.h"
#include "service/hosts/lines.h"
#include "service/hosts/list.h"
#include "service/hosts/outbox.h"
#include "service/hosts/tasks.h"
#include "service/hosts/window.h"

enum {
    SESSION_TOKEN_BYTES = 32, /* Hexadecimal digits. */
    /* A host gets no task while it leaves more unacknowledged than this ... */
    SESSION_UNACKNOWLEDGED_PER_SLOT = 2,
    SESSION_UNACKNOWLEDGED_MORE = 64,
    SESSION_UNACKNOWLEDGED_BYTES_MAX = 16 << 20,
    /* ... and is sent away with more than this. */
    SESSION_UNACKNOWLEDGED_MAX = 262144,
};

/* What one session offers, and its place among the candidates of that name. */
struct offer {
    uint32_t line;
    uint32_t place;
};

struct host_session {
    uint64_t number;
    uint32_t index; /* In hosts.sessions. */
    struct host_link *link; /* NULL: away. */
    const struct host_link_vtable *vtable; /* Of the last link; NULL: expected. */
    str host_id; /* Owned; empty: expected. */
    uint64_t host_hash; /* Of the expected host. */
    str deployment; /* Owned. */
    char token[SESSION_TOKEN_BYTES]; /* Zeros: expected. */
    uint32_t slots;
    struct task_list held;
    uint64_t picked; /* When it was picked last, counted in picks. */
    struct offer *offers;
    uint32_t offer_count;
    bool is_expected;
    bool is_named; /* Found by its host id, or by its hash. */
    bool is_there; /* Its deployment is, for those who wait for it. */
    bool is_candidate; /* May be picked. */
    bool is_draining;
    bool is_told_to_leave; /* The server's Drain was sent. */
    bool is_over; /* Waits for hosts_flush() to be freed. */
    struct list lease;
    uint64_t lease_end; /* By hosts.clock. */
    struct list flush; /* In hosts.acks_due (connected) or hosts.over. */
    struct window inbound;
    struct outbox outbound;
};

struct hosts {
    struct hosts_options options;
    /* Never goes back: what callers say plus `clock_ahead`. */
    uint64_t clock;
    uint64_t clock_ahead;
    uint64_t last_number;
    uint64_t picks;
    uint64_t settled_at; /* By `clock`: hosts of before a restart would have come; 0: not known. */
    bool is_draining;
    const char *drain_cause;
    struct host_session **sessions; /* With holes. */
    uint32_t *holes;
    uint32_t hole_count;
    uint32_t session_count; /* With the expected ones. */
    size_t session_capacity;
    uint32_t expected_count;
    uint32_t connected_count;
    size_t expected_tasks;
    struct map by_number;
    struct map by_host;
    struct map by_token;
    struct map by_hash; /* The expected ones. */
    struct list leases;
    struct list acks_due;
    struct list over;
    struct task_ref *adopted; /* A queue; what is no longer `is_adopted` is passed over. */
    uint32_t adopted_count;
    uint32_t adopted_read;
    size_t adopted_capacity;
    struct tasks tasks;
    struct lines lines;
};

void hosts_set_clock(struct hosts *hosts, uint64_t now_ms);
/* Sends the server's Drain, once, when there is one to send. */
void hosts_tell_to_leave(struct hosts *hosts, struct host_session *session);

void sessions_init(struct hosts *hosts);
void sessions_fini(struct hosts *hosts);

/* NULL: none. */
struct host_session *sessions_find_number(const struct hosts *hosts, uint64_t number);
struct host_session *sessions_find_host(const struct hosts *hosts, str host_id);
struct host_session *sessions_find_expected(const struct hosts *hosts, uint64_t host_hash);
struct host_session *sessions_find_token(const struct hosts *hosts, str token);

/* A session without a link. No other may be found by this host id or hash. */
struct host_session *session_new(struct hosts *hosts, str host_id, const char *token);
struct host_session *session_new_expected(struct hosts *hosts, uint64_t host_hash);
/* No longer found by its host id or hash. */
void session_unname(struct hosts *hosts, struct host_session *session);
/* Its tasks are lost for this cause; it is freed by the next hosts_flush(). */
void session_end(struct hosts *hosts, struct host_session *session, const char *cause);
/* Renews the lease. */
void session_touch(struct hosts *hosts, struct host_session *session);
/* Makes it there and a candidate, or no longer, after anything changed that matters for that. */
void session_update(struct hosts *hosts, struct host_session *session);

void session_open(struct hosts *hosts, struct host_session *session, struct host_link *link);
/* The link is forgotten. */
void session_leave(struct hosts *hosts, struct host_session *session);
/* The link, if any, is closed. */
void session_close(struct hosts *hosts, struct host_session *session, enum code code,
                   const char *reason, str message);
void session_set_offers(struct hosts *hosts, struct host_session *session,
                        const struct host_offer *offers, size_t count);

/* Numbers and sends it, or keeps it for a host that is away. */
void session_send(struct hosts *hosts, struct host_session *session,
                  struct server_message *message);
/* Unnumbered, to a connected host. */
void session_send_once(struct host_session *session, struct server_message *message);
void session_send_again(struct host_session *session);
/* An acknowledgement goes out with the next hosts_flush(), if nothing carries it before. A host
 * that is away gets it with its Welcome. */
void session_owe_ack(struct hosts *hosts, struct host_session *session);
/* The message is dealt with. */
void session_deal(struct hosts *hosts, struct host_session *session, uint64_t seq);
void session_refuse(struct hosts *hosts, struct host_session *session, uint64_t seq,
                    const char *reason, str message, const struct task_ref *task);

void session_hold(struct hosts *hosts, struct host_session *session, struct held_task held,
                  bool is_given);
void session_drop(struct hosts *hosts, struct task_entry *entry);
/* The session takes a given task over from another one. */
void session_adopt(struct hosts *hosts, struct host_session *session, struct task_entry *entry);

#endif
