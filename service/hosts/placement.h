/*
 * placement: which host a ready task gets, and the queue of those that wait for one.
 *
 * A task is for a name and for a deployment of it, or for any. While hosts of that deployment are
 * there, be they busy, it waits for them; else it falls back to the deployment that dialled in
 * last, but not before a lease has passed since the start: hosts that were there before a restart
 * come again. One that is for a language as well waits for hosts of that language, however long.
 *
 * Order: see ready_queue.h: no name starves, no task overtakes one of its own pool.
 */
#ifndef SERVICE_HOSTS_PLACEMENT_H
#define SERVICE_HOSTS_PLACEMENT_H

#include "service/hosts/message.h"

struct host_session;
struct hosts;

/* A connected host with a free slot that offers the name and whose version of the code
 * (base/code_version.h) suits, the least busy first; NULL: none now. Takes no slot. */
struct host_session *hosts_pick(struct hosts *hosts, enum task_kind kind, str name,
                                uint64_t version);
/* Whether any session, busy or away within its lease, offers it. */
bool hosts_is_offered(const struct hosts *hosts, enum task_kind kind, str name);
/* Whether the hello speaks for the newest deployment that offers the name: a session that begins
 * does, one that goes on may have been overtaken. To be asked before hosts_hello(). */
bool hosts_is_newest(const struct hosts *hosts, const struct host_hello *hello, enum task_kind kind,
                     str name);
/* Whether a host is free that offers it, but not one for the tasks of this version. */
bool hosts_awaits_version(const struct hosts *hosts, enum task_kind kind, str name,
                          uint64_t version);
/* Whether hosts offer it, be they busy or away, but none in the language of this version. */
bool hosts_is_foreign(const struct hosts *hosts, enum task_kind kind, str name, uint64_t version);

/* A task that no host could take waits, once, however often it is added. RESOURCE_EXHAUSTED when
 * too many wait. */
status hosts_ready_add(struct hosts *hosts, enum task_kind kind, str name, uint64_t version,
                       struct task_ref task);
/* It waits no more; nothing happens when it did not. */
void hosts_ready_remove(struct hosts *hosts, struct task_ref task);
/* Takes out the next task for which a slot is free now. False: none. Takes no slot: hosts_pick()
 * and hosts_reserve() it (or add it again) before asking for the next. */
bool hosts_ready_pop(struct hosts *hosts, struct task_ref *ret);

#endif
