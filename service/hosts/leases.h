/*
 * leases: the tasks that hosts have, from the slot that is taken to the last word.
 *
 *   reserve --> give --> (outcomes, interrupt)* --> release | cancel | lost
 *
 * A task that no host holds is passed over by every function here, so that what a message sets
 * off may come late.
 *
 * Invariant: a task is held by one session, and with one epoch.
 */
#ifndef SERVICE_HOSTS_LEASES_H
#define SERVICE_HOSTS_LEASES_H

#include "service/hosts/facts.h"

struct host_session;
struct hosts;

/* A lease that ended without an answer. */
struct host_loss {
    struct task_ref task;
    uint32_t epoch;
    bool is_excused; /* Expected, not given: see hosts_expect(). The host may never have had it. */
    const char *cause; /* Static. */
};

/* What the journal keeps of a host's id; never 0. */
static inline uint64_t host_hash_of(str host_id)
{
    return str_hash(host_id) | 1;
}

/* Takes the slot of a task that was granted in the journal before it is sent, so that the
 * picks of one round do not overbook. hosts_give() follows after the commit, or hosts_release(). */
void hosts_reserve(struct hosts *hosts, struct host_session *session, struct task_ref task,
                   uint32_t epoch);
/* Sends the task, and takes a slot for it if none is reserved. The session came from hosts_pick()
 * in this round. */
void hosts_give(struct hosts *hosts, struct host_session *session, const struct host_task *task);
/* Renewals and ends of leases are reckoned from here until the next call. */
void hosts_set_clock(struct hosts *hosts, uint64_t now_ms);
/* The task is settled or its host let go of it (PARK); its slot is free. */
void hosts_release(struct hosts *hosts, struct task_ref task);
/* As release, and tells the host to stop. */
void hosts_stop(struct hosts *hosts, struct task_ref task, enum stop_reason reason);
/* Tells the host that holds the task (numbered) that its run is being cancelled; the task stays its
 * own until it says TaskDone; its code has so long to end. One that is only reserved says so itself
 * when it is given. */
void hosts_interrupt(struct hosts *hosts, struct task_ref task, uint64_t grace_ms);
/* Whether a host knows that it has the task, and can be told more of it. */
bool hosts_can_tell(const struct hosts *hosts, struct task_ref task);
/* Asks the host that holds the task (numbered) to let go of it as soon as its code only waits. */
void hosts_yield(struct hosts *hosts, struct task_ref task);
/* Sends a step request's outcome (numbered) to the host that holds the task; without one, nothing:
 * the outcome comes with the task when it is given again. steps_before: of the task's facts that
 * hosts told, how many stand before it. */
void hosts_send_outcome(struct hosts *hosts, struct task_ref task, str key, enum settled_kind kind,
                        const struct outcome *outcome, uint32_t steps_before);
/* Tells the host that holds the task (numbered) what the cursor is to tell, in pieces. Its epoch is
 * set here. */
void hosts_send_facts(struct hosts *hosts, struct task_ref task, struct facts_cursor cursor);
/* Tasks that hosts_hello() took over from an earlier session or from before a restart, and whose
 * outcomes may have been lost on the way: their settled step requests, and the interruption of
 * those that are being cancelled, are to be sent again. Each is told once, and not when it is no
 * longer held. False: none left. */
bool hosts_next_taken_over(struct hosts *hosts, struct task_ref *ret);
/* After a restart: the journal says that a host holds it; host_hash is host_hash_of() its id. Lost
 * when that host does not claim it within a lease from the last such call for it. A task that is
 * held in this epoch stays where it is: a run may be read again without a restart. So does one that
 * was released meanwhile, by facts that were never committed: its host has not been told. */
void hosts_expect(struct hosts *hosts, struct task_ref task, uint32_t epoch, uint64_t host_hash,
                  uint64_t now_ms);

#endif
