/*
 * host: the hosts that dialled in: their sessions, what they send, and time.
 *
 * Sans-I/O: messages come in as structs, go out through links, and time is an argument. A
 * host's right to its tasks is a lease that every message renews; it outlives the stream, so a
 * host that dials again in time goes on as if nothing had happened. Numbering and
 * acknowledgement make both directions exactly-once within a session; across sessions the
 * engine's (effect, epoch, number) does. Which host a task gets is placement.h, the tasks that
 * hosts have is leases.h.
 *
 * Invariant: a host never holds more tasks than its slots; a task is held by one host or is ready
 *            and waits once.
 * Threading: owned by one partition thread.
 */
#ifndef SERVICE_HOSTS_HOST_H
#define SERVICE_HOSTS_HOST_H

#include "service/base/arena.h"
#include "service/hosts/facts.h"

struct host_loss; /* leases.h */
struct host_session;
struct hosts;

struct hosts_options {
    uint64_t lease_ms; /* Silence after which a host is lost. 0: 15,000. */
    uint64_t redial_ms; /* So long it may stay away when its stream was closed. 0: 5,000. */
    size_t sessions_max; /* 0: 1,000. */
    size_t offers_max; /* Names one host may offer. 0: 1,000. */
    size_t ready_max; /* Tasks waiting for a host. 0: 4,000,000. */
    uint32_t slots_max; /* 0: 10,000. */
    void *context;
    /* The task is no longer held. Called from hosts_hello(), hosts_tick(), hosts_receive() and
     * hosts_disconnected() only.
     * The callee only notes it: it calls nothing here. */
    void (*lost)(void *context, const struct host_loss *loss);
    /* The next piece of what a cursor tells, and how far the cursor then is. False: it can't be
     * read. What it points to lives until the next call. Called from hosts_flush() only. */
    bool (*read_facts)(void *context, struct facts_cursor *cursor, struct host_facts *ret);
    /* 16 random bytes for a new session's name. */
    void (*random)(void *context, uint8_t ret[16]);
};

/* Copies the options. */
struct hosts *hosts_new(const struct hosts_options *options);
void hosts_free(struct hosts *hosts); /* Accepts NULL. Links are forgotten, not closed. */

/*
 * A stream's first message. On OK the session is bound to the link and Welcome was sent; a
 * session it resumes is sent again what was not acknowledged. On failure the link is bound to
 * nothing and is the caller's to close. `why` is in the arena.
 *   INVALID_ARGUMENT:    a field is wrong; *ret_field names it.
 *   ALREADY_EXISTS:      another living stream has this host id.
 *   RESOURCE_EXHAUSTED:  too many sessions.
 *   FAILED_PRECONDITION: the link has said hello before.
 */
status hosts_hello(struct hosts *hosts, struct host_link *link, const struct host_hello *hello,
                   uint64_t now_ms, struct arena *arena, const char **ret_field,
                   struct host_session **ret);

enum host_receipt {
    HOST_RECEIPT_DROP, /* Handled: heartbeat, acknowledgement, repetition, stale epoch. */
    HOST_RECEIPT_COMMAND, /* For the engine; hosts_mark_handled() or hosts_refuse() must follow. */
    HOST_RECEIPT_SHOW, /* A delta for watchers. */
    HOST_RECEIPT_CLOSED, /* The stream broke a rule and was closed. */
};

/* Sorts out one later message of the stream that `session` is bound to (link->session). */
enum host_receipt hosts_receive(struct hosts *hosts, struct host_session *session,
                                const struct host_message *message, uint64_t now_ms);
/* The message with this number is durable and will be acknowledged. `session` is the number of a
 * session, which may be gone: then nothing happens. Also in the next two. */
void hosts_mark_handled(struct hosts *hosts, uint64_t session, uint64_t seq);
/* As hosts_mark_handled(), of a STEP_DONE: what its task is told from now on comes after it. */
void hosts_mark_settled(struct hosts *hosts, uint64_t session, uint64_t seq);
/* The message was refused: tells the host, and counts it as handled. */
void hosts_refuse(struct hosts *hosts, uint64_t session, uint64_t seq, enum reason reason,
                  str message, const struct task_ref *task);
/* The message could not be made durable: closes the stream (UNAVAILABLE) and takes it and every
 * later open one for new when the host, having dialled again, sends them again. */
void hosts_forget(struct hosts *hosts, uint64_t session, uint64_t seq);
/* Something was heard from the host of this token beside its stream: its lease begins anew.
 * False: no session has the token. */
bool hosts_beat(struct hosts *hosts, str token, uint64_t now_ms);
/* How long a lease lasts, ms. */
uint64_t hosts_lease_ms(const struct hosts *hosts);
/* The stream of a connected host takes more. */
void hosts_writable(struct hosts *hosts, struct host_session *session);
/* How a stream came to its end. */
enum host_departure {
    HOST_CUT_OFF, /* It broke. */
    HOST_HUNG_UP, /* The host closed it; if it had said DRAIN before, it does not come back. */
    HOST_EXPELLED, /* Whoever it is is let in no more. */
};

/* The stream is gone: the host has the rest of its lease to dial again, redial_ms at most; the
 * tasks of one that does not come back are lost at once. Not for a link that hosts closed. */
void hosts_disconnected(struct hosts *hosts, struct host_session *session,
                        enum host_departure departure, uint64_t now_ms);
/* Sends the acknowledgements that are due, one message a session, and some pieces of what hosts are
 * owed, one host after the other. Once per round, at its end:
 * sessions that are over stay valid pointers until then, and giving them a task does nothing. */
void hosts_flush(struct hosts *hosts);

/* Pieces are due that had no place in this round. */
bool hosts_owe_pieces(const struct hosts *hosts);

/* A number that names a session for hosts_mark_handled(); never used twice. */
uint64_t host_session_number(const struct host_session *session);
/* Borrowed until the session is over; empty for a host that has not said hello since a restart. */
str host_session_host_id(const struct host_session *session);
/* Borrowed until the session's next hello. */
str host_session_deployment(const struct host_session *session);
/* The same; empty: it did not say. */
str host_session_language(const struct host_session *session);

/* Ends leases that ran out by heard_ms: until then all that hosts said has been received; at most
 * now_ms. A clock that steps back does no harm. */
void hosts_tick(struct hosts *hosts, uint64_t now_ms, uint64_t heard_ms);
/* How often a host is to say something, ms: a third of a lease. */
uint64_t hosts_heartbeat_ms(const struct hosts *hosts);
/* When hosts_tick() is next due; 0: never. */
uint64_t hosts_next_deadline(const struct hosts *hosts);
/* Gives out nothing more and tells every host to dial again later. `cause` is static. */
void hosts_drain(struct hosts *hosts, const char *cause);

struct hosts_stats {
    size_t sessions;
    size_t connected;
    size_t held; /* Tasks reserved and given. */
    size_t ready; /* Tasks waiting for a host. */
    size_t expected; /* Tasks of hosts that have not said hello since the restart. */
};

/* At constant cost. */
void hosts_stats(const struct hosts *hosts, struct hosts_stats *ret);

#endif
