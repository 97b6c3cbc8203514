/*
 * session: the insides of hosts: what is kept about one host, and what all of them share.
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
#include "service/hosts/list.h"
#include "service/hosts/outbox.h"
#include "service/hosts/ready_queue.h"
#include "service/hosts/tally.h"
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

/* What one session offers, and its place among the candidates for that name. */
struct offer {
    uint32_t pool;
    uint32_t place; /* READY_NONE: it is no candidate. */
};

/*
 *   hello --> AWAY <--detach-- CONNECTED        restart --> EXPECTED
 *              | \----attach-----^                             |
 *              |                                               |
 *              |---the same host began anew--> REPLACED        | its host has come, or
 *              |                                   |           | the lease ended
 *              \---------------> OVER <------------/-----------/
 */
enum session_state {
    SESSION_AWAY, /* Without a stream, within its lease. */
    SESSION_CONNECTED,
    SESSION_EXPECTED, /* Of a host that has not said hello since the restart. */
    SESSION_REPLACED, /* Not found by its host id any more. */
    SESSION_OVER, /* Waits for hosts_flush() to be freed. */
    SESSION_STATE_COUNT,
};

/* How far the ready queue counts with a session. */
enum session_standing {
    SESSION_ABSENT, /* Not at all. */
    SESSION_PRESENT, /* Tasks wait for its deployment. */
    SESSION_PICKABLE, /* It may be picked now. */
};

struct host_session {
    uint64_t number;
    uint32_t index; /* In hosts.sessions. */
    struct host_link *link; /* When CONNECTED, else NULL. */
    const struct host_link_vtable *vtable; /* Of the last link; NULL: EXPECTED. */
    str host_id; /* Owned; empty: EXPECTED. */
    uint64_t host_hash; /* When EXPECTED. */
    str deployment; /* Owned. */
    str language; /* Owned; empty: not said. */
    str user_agent; /* Owned. */
    uint64_t begun; /* By hosts.clock; so is the next. */
    uint64_t heard; /* Something of it. */
    char token[SESSION_TOKEN_BYTES]; /* Zeros: EXPECTED. */
    uint32_t slots;
    struct task_list held;
    uint64_t picked; /* When it was picked last, counted in picks. */
    struct offer *offers;
    uint32_t offer_count;
    struct host_agent *agents; /* Owned, as are their ids. */
    size_t agent_count;
    enum session_state state;
    enum session_standing standing;
    bool is_draining; /* The host has said Drain. */
    bool is_set_aside; /* Somebody has asked that it be given nothing new. */
    bool is_drain_sent; /* The server has. */
    struct list lease;
    uint64_t lease_end; /* By hosts.clock. */
    struct list flush; /* In hosts.acks_due (connected) or hosts.over. */
    struct list feed; /* In hosts.feeds. */
    struct list sent; /* In hosts.sent. */
    struct facts_owed *facts; /* What follows messages of `outbound`. */
    struct window inbound;
    uint64_t settled; /* Steps of `inbound` that are durable: a count. */
    struct outbox outbound;
    uint64_t written; /* Of `outbound`: the link was given it, or it is acknowledged. */
};

enum {
    RELEASED_MAX = 256,
};

/* A task that was taken from a session by facts which may never be committed. */
struct released_task {
    struct held_task held;
    uint64_t session; /* Its number. */
};

struct hosts {
    struct hosts_options options;
    /* Never goes back: what callers say plus `clock_ahead`. */
    uint64_t clock;
    uint64_t clock_ahead;
    uint64_t last_number;
    uint64_t picks;
    /* By `clock`: hosts of before a restart would have come, tasks may fall back; 0: not known. */
    uint64_t fallback_at;
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
    struct list feeds; /* Of sessions to which a piece can be sent. */
    struct list sent; /* Of sessions whose links were sent something in this round. */
    struct task_ref *taken_over; /* In order; what is no longer HOLD_TAKEN_OVER is passed over. */
    uint32_t taken_over_count;
    uint32_t taken_over_read;
    size_t taken_over_capacity;
    struct tally agents; /* Ids of those that sessions define ... */
    struct tally agent_versions; /* ... and hashes. */
    struct tasks tasks;
    struct ready_queue ready_queue;
    struct released_task released[RELEASED_MAX]; /* A ring. */
    uint64_t released_next; /* How many have ever been put there. */
};

/* Sends the server's Drain, once, when there is one to send. */
void hosts_send_drain(struct hosts *hosts, struct host_session *session);

/* An AWAY session. No other may be found by this host id. */
struct host_session *session_new(struct hosts *hosts, str host_id, const char *token);
/* No other may be found by this hash. */
struct host_session *session_new_expected(struct hosts *hosts, uint64_t host_hash);
/* Of the code it runs. */
uint64_t session_version(const struct host_session *session);
/* From AWAY to REPLACED: the host begins another session. */
void session_replace(struct hosts *hosts, struct host_session *session);
/* Its tasks are lost for this cause; it is OVER, and freed by the next hosts_flush(). */
void session_end(struct hosts *hosts, struct host_session *session, const char *cause);
/* The lease ends a whole lease from now. */
void session_renew_lease(struct hosts *hosts, struct host_session *session);
/* The lease ends redial_ms from now at the latest. */
void session_shorten_lease(struct hosts *hosts, struct host_session *session);
/* After anything changed that matters for its standing. */
void session_update_standing(struct hosts *hosts, struct host_session *session);

/* From AWAY to CONNECTED; renews the lease. */
void session_attach(struct hosts *hosts, struct host_session *session, struct host_link *link);
/* From CONNECTED to AWAY; the link is forgotten. */
void session_detach(struct hosts *hosts, struct host_session *session);
/* Detaches and closes the link; nothing when it is not CONNECTED. */
void session_close(struct hosts *hosts, struct host_session *session, enum code code,
                   enum reason reason, str message);
/* In place of those it had; its deployment is set. */
void session_set_offers(struct hosts *hosts, struct host_session *session,
                        const struct host_offer *offers, size_t count);
/* In place of those it defined. */
void session_set_agents(struct hosts *hosts, struct host_session *session,
                        const struct host_agent *agents, size_t count);

/* Numbers it; it goes out when the host is there and its stream has room. */
void session_send(struct hosts *hosts, struct host_session *session,
                  struct server_message *message);
/* To a connected host; it does not come again when it is lost. */
void session_send_unnumbered(struct hosts *hosts, struct host_session *session,
                             struct server_message *message);
/* What a connected host has not been given yet, as far as its stream takes it. */
void session_write(struct hosts *hosts, struct host_session *session);
/* Its tasks are lost, and excused: their host gives them back. It may go on. */
void session_release_all(struct hosts *hosts, struct host_session *session);
/* Sends a piece of what follows the last message that was written. */
void session_feed(struct hosts *hosts, struct host_session *session);
/* An acknowledgement goes out with the next hosts_flush(), if nothing carries it before. A host
 * that is away gets it with its Welcome. */
void session_owe_ack(struct hosts *hosts, struct host_session *session);
/* The message is done with and will be acknowledged. */
void session_mark_handled(struct hosts *hosts, struct host_session *session, uint64_t seq);
/* Sends the refusal and marks the message as handled; nothing when it is not open. */
void session_refuse(struct hosts *hosts, struct host_session *session, uint64_t seq,
                    enum reason reason, str message, const struct task_ref *task);

/* The session holds the task from now on; nobody did. */
void session_add_task(struct hosts *hosts, struct host_session *session, struct held_task held,
                      enum hold_state state);
/* Nobody holds it any more; the entry is dead. */
void session_remove_task(struct hosts *hosts, struct task_entry *entry);
/* The session takes a given task over from another one. */
void session_take_over(struct hosts *hosts, struct host_session *session, struct task_entry *entry);

#endif
