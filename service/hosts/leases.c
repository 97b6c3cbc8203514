#include "service/hosts/leases.h"

#include "service/hosts/session.h"
#include "service/hosts/sessions.h"

void hosts_reserve(struct hosts *hosts, struct host_session *session, struct task_ref task,
                   uint32_t epoch)
{
    assert(tasks_find(&hosts->tasks, task) == NULL && "a task is held once");
    if (session->state == SESSION_OVER) {
        return;
    }
    ready_queue_remove(&hosts->ready_queue, task);
    session_add_task(hosts, session, (struct held_task){task, epoch}, HOLD_RESERVED);
}

void hosts_give(struct hosts *hosts, struct host_session *session, const struct host_task *task)
{
    if (session->state == SESSION_OVER) {
        return;
    }
    struct task_entry *entry = tasks_find(&hosts->tasks, task->task);
    if (entry == NULL) {
        hosts_reserve(hosts, session, task->task, task->epoch);
        entry = tasks_find(&hosts->tasks, task->task);
    }
    assert(entry->session == session && entry->held.epoch == task->epoch);
    assert(entry->state == HOLD_RESERVED);
    entry->state = HOLD_GIVEN;
    session_send(hosts, session,
                 &(struct server_message){.kind = SERVER_MESSAGE_TASK, .task = task});
}

void hosts_release(struct hosts *hosts, struct task_ref task)
{
    struct task_entry *entry = tasks_find(&hosts->tasks, task);
    if (entry == NULL) {
        return;
    }
    if (task_entry_is_given(entry) && entry->session->state != SESSION_EXPECTED) {
        hosts->released[hosts->released_next % RELEASED_MAX] =
            (struct released_task){entry->held, entry->session->number};
        hosts->released_next++;
    }
    session_remove_task(hosts, entry);
}

/* The session that the task was taken from, if its host has not been told and is still here: what
 * took it was never committed. */
static struct host_session *find_released(const struct hosts *hosts, struct task_ref task,
                                          uint32_t epoch)
{
    uint64_t count = hosts->released_next < RELEASED_MAX ? hosts->released_next : RELEASED_MAX;
    for (uint64_t i = 0; i < count; i++) {
        const struct released_task *released = &hosts->released[i];
        if (released->held.epoch != epoch || !task_ref_equal(released->held.task, task)) {
            continue;
        }
        struct host_session *session = sessions_find_number(hosts, released->session);
        if (session != NULL && session->state != SESSION_OVER &&
            session->held.count < session->slots) {
            return session;
        }
    }
    return NULL;
}

void hosts_stop(struct hosts *hosts, struct task_ref task, enum stop_reason reason)
{
    struct task_entry *entry = tasks_find(&hosts->tasks, task);
    if (entry == NULL) {
        return;
    }
    struct host_session *session = entry->session;
    struct server_message message = {
        .kind = SERVER_MESSAGE_STOP, .cancelled = entry->held, .stop = reason};
    bool must_be_told = task_entry_is_given(entry) && session->state != SESSION_EXPECTED;
    session_remove_task(hosts, entry);
    if (must_be_told) {
        session_send(hosts, session, &message);
    }
}

/* The entry of a task that a host knows it has, and that can be told more; NULL: there is none.
 * What an expected host has to know it is told when it has come and taken the task over. */
static const struct task_entry *find_told(const struct hosts *hosts, struct task_ref task)
{
    const struct task_entry *entry = tasks_find(&hosts->tasks, task);
    if (entry == NULL || !task_entry_is_given(entry) || entry->session->state == SESSION_EXPECTED) {
        return NULL;
    }
    return entry;
}

bool hosts_can_tell(const struct hosts *hosts, struct task_ref task)
{
    return find_told(hosts, task) != NULL;
}

void hosts_interrupt(struct hosts *hosts, struct task_ref task, uint64_t grace_ms)
{
    const struct task_entry *entry = find_told(hosts, task);
    if (entry != NULL) {
        session_send(hosts, entry->session,
                     &(struct server_message){.kind = SERVER_MESSAGE_CANCEL,
                                              .cancelled = entry->held,
                                              .grace_ms = grace_ms});
    }
}

void hosts_yield(struct hosts *hosts, struct task_ref task)
{
    const struct task_entry *entry = find_told(hosts, task);
    if (entry != NULL) {
        session_send(
            hosts, entry->session,
            &(struct server_message){.kind = SERVER_MESSAGE_YIELD, .cancelled = entry->held});
    }
}

void hosts_send_outcome(struct hosts *hosts, struct task_ref task, str key, enum settled_kind kind,
                        const struct outcome *outcome, uint32_t steps_before)
{
    const struct task_entry *entry = find_told(hosts, task);
    assert(key.len > 0);
    assert(kind != 0 && kind != SETTLED_CODE);
    if (entry != NULL) {
        session_send(hosts, entry->session,
                     &(struct server_message){.kind = SERVER_MESSAGE_OUTCOME,
                                              .outcome = {.task = task,
                                                          .key = key,
                                                          .kind = kind,
                                                          .outcome = *outcome,
                                                          .steps_before = steps_before}});
    }
}

void hosts_send_facts(struct hosts *hosts, struct task_ref task, struct facts_cursor cursor)
{
    const struct task_entry *entry = find_told(hosts, task);
    assert(task_ref_equal(task, cursor.task));
    if (entry != NULL) {
        cursor.epoch = entry->held.epoch;
        session_send(hosts, entry->session,
                     &(struct server_message){.kind = SERVER_MESSAGE_OUTCOME,
                                              .outcome = {.task = task, .more = &cursor}});
    }
}

bool hosts_next_taken_over(struct hosts *hosts, struct task_ref *ret)
{
    while (hosts->taken_over_read < hosts->taken_over_count) {
        struct task_ref task = hosts->taken_over[hosts->taken_over_read++];
        struct task_entry *entry = tasks_find(&hosts->tasks, task);
        if (entry != NULL && entry->state == HOLD_TAKEN_OVER) {
            entry->state = HOLD_GIVEN;
            *ret = task;
            return true;
        }
    }
    hosts->taken_over_count = hosts->taken_over_read = 0;
    return false;
}

void hosts_expect(struct hosts *hosts, struct task_ref task, uint32_t epoch, uint64_t host_hash,
                  uint64_t now_ms)
{
    const struct task_entry *entry = tasks_find(&hosts->tasks, task);
    hosts_set_clock(hosts, now_ms);
    if (entry != NULL && entry->held.epoch == epoch) {
        return;
    }
    hosts_stop(hosts, task, STOP_LEASE_LOST);
    ready_queue_remove(&hosts->ready_queue, task);
    struct host_session *session = find_released(hosts, task, epoch);
    if (session != NULL) {
        session_add_task(hosts, session, (struct held_task){task, epoch}, HOLD_GIVEN);
        return;
    }
    session = sessions_find_expected(hosts, host_hash);
    if (session == NULL) {
        session = session_new_expected(hosts, host_hash);
    }
    session_renew_lease(hosts, session);
    session_add_task(hosts, session, (struct held_task){task, epoch}, HOLD_GIVEN);
}
