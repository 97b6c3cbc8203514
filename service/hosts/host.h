/*
 * host: the hosts that dialled in, what they offer, what they hold, and who waits for them.
 *
 * Sans-I/O: messages come in as structs, go out through links, and time is an argument. A
 * host's right to its tasks is a lease that every message renews; it outlives the stream, so a
 * host that dials again in time goes on as if nothing had happened. Numbering and
 * acknowledgement make both directions exactly-once within a session; across sessions the
 * engine's (effect, epoch, number) does.
 *
 * Invariant: a host never holds more tasks than its slots; a task is held once or parked once.
 * Threading: owned by one partition thread.
 */
#ifndef SERVICE_HOSTS_HOST_H
#define SERVICE_HOSTS_HOST_H

#include "service/base/arena.h"
#include "service/hosts/message.h"

struct hosts;
struct host_session;

/* Which deployment's hosts a task is for: one's hash, or one of these. */
enum {
    HOSTS_ANY = 0,
    HOSTS_NEWEST = 2, /* That which dialled in last. */
};

/* What is kept of a deployment's name: odd. */
static inline uint64_t host_hash_of_deployment(str deployment)
{
    return str_hash(deployment) | 1;
}

/* A lease that ended without an answer. */
struct host_loss {
    struct task_ref task;
    uint32_t epoch;
    bool is_excused; /* Expected, not given: see hosts_expect(). The host may never have had it. */
    const char *cause; /* Static. */
};

struct hosts_options {
    uint64_t lease_ms; /* Silence after which a host is lost. 0: 15,000. */
    size_t sessions_max; /* 0: 1,000. */
    size_t offers_max; /* Names one host may offer. 0: 1,000. */
    size_t parked_max; /* Tasks waiting for a host. 0: 4,000,000. */
    uint32_t slots_max; /* 0: 10,000. */
    void *context;
    /* The task is no longer held. Called from hosts_hello(), hosts_tick() and hosts_receive() only.
     * The callee only notes it: it calls nothing here. */
    void (*lost)(void *context, const struct host_loss *loss);
    /* 16 random bytes for a new session's name. */
    void (*random)(void *context, uint8_t ret[16]);
};

struct hosts *hosts_new(const struct hosts_options *options);
void hosts_free(struct hosts *hosts); /* Links are forgotten, not closed. */

/*
 * A stream's first message. On OK the session is bound to the link and Welcome was sent; a
 * session it resumes sends again what was not acknowledged. On failure the link is bound to
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
    HOST_RECEIPT_DROP, /* Dealt with: heartbeat, acknowledgement, repetition, stale epoch. */
    HOST_RECEIPT_COMMAND, /* For the engine; hosts_dealt() or hosts_refuse() must follow. */
    HOST_RECEIPT_SHOW, /* A delta for watchers. */
    HOST_RECEIPT_CLOSED, /* The stream broke a rule and was closed. */
};

/* Sorts out one later message of the stream that `session` is bound to (link->session). */
enum host_receipt hosts_receive(struct hosts *hosts, struct host_session *session,
                                const struct host_message *message, uint64_t now_ms);
/* The message with this number is durable. Names may be stale: a session that is gone is
 * passed over. */
void hosts_dealt(struct hosts *hosts, uint64_t session, uint64_t seq);
/* The message was refused; tells the host and counts it as dealt with. */
void hosts_refuse(struct hosts *hosts, uint64_t session, uint64_t seq, const char *reason,
                  str message, const struct task_ref *task);
/* The message could not be made durable: closes the stream (UNAVAILABLE) and takes it and every
 * later open one for new when the host, having dialled again, sends them again. */
void hosts_forget(struct hosts *hosts, uint64_t session, uint64_t seq);
/* The stream is gone; the lease runs on. Not for a link that hosts closed. */
void hosts_disconnected(struct hosts *hosts, struct host_session *session, uint64_t now_ms);
/* Sends the acknowledgements that are due, one message a session. Once per turn, at its end:
 * sessions that are over stay valid pointers until then, and giving them a task does nothing. */
void hosts_flush(struct hosts *hosts);
/* A number that names a session for hosts_dealt(); never used twice. */
uint64_t host_session_number(const struct host_session *session);
str host_session_host_id(const struct host_session *session);
str host_session_deployment(const struct host_session *session);

/* A connected host with a free slot that offers it, the least busy first; NULL: none now. Of this
 * deployment only, while a session of it, busy or away within its lease, offers the name and does
 * not drain; else of the deployment that dialled in last, and that not before a lease has passed
 * since the start: hosts that were there before a restart come again. */
struct host_session *hosts_pick(struct hosts *hosts, enum task_kind kind, str name,
                                uint64_t deployment);
/* Whether any session, busy or away within its lease, offers it. */
bool hosts_offer(const struct hosts *hosts, enum task_kind kind, str name);
/* Whether a host is free that offers it, but not one for those who wait for this deployment. */
bool hosts_hold_back(const struct hosts *hosts, enum task_kind kind, str name, uint64_t deployment);
/* Sends the task, and takes a slot for it if none is reserved. The session came from hosts_pick()
 * in this turn. */
void hosts_give(struct hosts *hosts, struct host_session *session, const struct host_task *task);
/* Takes the slot of a task that was granted in the journal before it is sent, so that the
 * picks of one turn do not overbook. hosts_give() follows after the commit, or hosts_release(). */
void hosts_reserve(struct hosts *hosts, struct host_session *session, struct task_ref task,
                   uint32_t epoch);
/* The task is settled or its host let go of it (PARK); its slot is free. Unknown tasks are passed
 * over. */
void hosts_release(struct hosts *hosts, struct task_ref task);
/* As release, and tells the host to stop. */
void hosts_cancel(struct hosts *hosts, struct task_ref task, const char *cause);
/* Tells the host that holds the task (numbered) that its run is being cancelled; the task stays its
 * own until it says TaskDone. Unknown tasks are passed over; one that is only reserved says so
 * itself when it is given. */
void hosts_interrupt(struct hosts *hosts, struct task_ref task, const char *cause);
/* Sends an order's outcome (numbered) to the host that holds the task; without one, nothing: the
 * outcome comes with the task when it is given again. */
void hosts_outcome(struct hosts *hosts, struct task_ref task, str key,
                   const struct outcome *outcome);
/* Tasks that hosts_hello() took over from an earlier session or from before a restart, and whose
 * outcomes may have been lost on the way: their settled orders, and the interruption of those that
 * are being cancelled, are to be sent again. Each is told once, and not when it is no longer held.
 * False: none left. */
bool hosts_next_adopted(struct hosts *hosts, struct task_ref *ret);
/* After a restart: the journal says that a host holds it; host_hash is host_hash_of() its id. Lost
 * when that host does not claim it within a lease from the last such call for it. A task that is
 * held in this epoch stays where it is: a run may be read again without a restart. */
void hosts_expect(struct hosts *hosts, struct task_ref task, uint32_t epoch, uint64_t host_hash,
                  uint64_t now_ms);

/* What the journal keeps of a host's id; never 0. */
static inline uint64_t host_hash_of(str host_id)
{
    return str_hash(host_id) | 1;
}

/* A task nobody took waits in line (once, however often it is parked). RESOURCE_EXHAUSTED when
 * the line is full. */
status hosts_park(struct hosts *hosts, enum task_kind kind, str name, uint64_t deployment,
                  struct task_ref task);
void hosts_unpark(struct hosts *hosts, enum task_kind kind, str name, struct task_ref task);
/* Pops the oldest parked task of the line that was not served for longest, among those for which
 * a slot is free now: a name has a line for each deployment. False: none. Takes no slot:
 * hosts_pick() and hosts_reserve() it (or park it again) before asking for the next. */
bool hosts_next_ready(struct hosts *hosts, struct task_ref *ret_task);

/* Ends leases that ran out. After the turn's messages, so that a server that was stopped for a
 * while hears its hosts before it gives them up. A clock that steps back does no harm. */
void hosts_tick(struct hosts *hosts, uint64_t now_ms);
/* When hosts_tick() is next due; 0: never. */
uint64_t hosts_next_deadline(const struct hosts *hosts);
/* Gives out nothing more and tells every host to dial again later. `cause` is static. */
void hosts_drain(struct hosts *hosts, const char *cause);

struct hosts_stats {
    size_t sessions;
    size_t connected;
    size_t held; /* Reserved and given. */
    size_t parked;
    size_t expected; /* Of hosts that have not said hello since the restart. */
};

void hosts_stats(const struct hosts *hosts, struct hosts_stats *ret);

#endif
