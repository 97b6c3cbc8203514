#include <stdio.h>

#include "tests/unit/hosts/sim.h"

void sim_host_start(struct sim *sim, uint32_t index)
{
    struct sim_host *host = &sim->host[index];
    uint32_t incarnation = host->incarnation + 1;
    *host = (struct sim_host){.index = index, .incarnation = incarnation};
    host->slots = 1 + sim_below(sim, SIM_SLOTS_MAX);
    /* The first offers everything, so that every task can end. */
    host->offers = index == 0 ? (1 << SIM_NAMES) - 1 : 1 + sim_below(sim, (1 << SIM_NAMES) - 1);
}

void sim_host_dial(struct sim *sim, struct sim_host *host)
{
    if (sim->link_count == SIM_LINKS_MAX) {
        sim_fail(sim, "too many streams");
        return;
    }
    struct sim_link *link = xmalloc(sizeof(*link));
    memset(link, 0, offsetof(struct sim_link, up));
    link->up_count = link->up_read = 0;
    link->down_count = link->down_read = 0;
    link->sim = sim;
    link->host = host->index;
    link->incarnation = host->incarnation;
    memcpy(link->hello.token, host->token, sizeof(link->hello.token));
    link->hello.ack = host->handled;
    for (uint32_t i = 0; i < host->work_count; i++) {
        link->hello.held[link->hello.held_count++] = host->work[i].held;
    }
    sim->links[sim->link_count++] = link;
    host->link = link;
    host->is_welcome = false;
}

void sim_host_leave(struct sim *sim, struct sim_host *host)
{
    (void)sim;
    struct sim_link *link = host->link;
    host->link = NULL;
    link->is_left = true;
    while (link->down_read < link->down_count) {
        payload_unref(link->down[link->down_read++]);
    }
}

static void send_up(struct sim *sim, struct sim_host *host, struct host_message message)
{
    struct sim_link *link = host->link;
    if (link == NULL || !host->is_welcome) {
        return; /* Sent again after the Welcome. */
    }
    if (link->up_count == SIM_QUEUE_MAX) {
        sim_fail(sim, "a stream is too long");
        return;
    }
    message.ack = host->handled;
    link->up[link->up_count++] = message;
}

static void send_numbered(struct sim *sim, struct sim_host *host, struct host_message message)
{
    if (host->unacked_count == SIM_UNACKED_MAX) {
        sim_fail(sim, "the server acknowledges nothing");
        return;
    }
    message.seq = ++host->sent;
    host->unacked[host->unacked_count++] = message;
    send_up(sim, host, message);
}

static uint32_t find_work(const struct sim_host *host, struct held_task held)
{
    for (uint32_t i = 0; i < host->work_count; i++) {
        if (task_ref_equal(host->work[i].held.task, held.task) &&
            host->work[i].held.epoch == held.epoch) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void stop_work(struct sim_host *host, struct held_task held)
{
    uint32_t at = find_work(host, held);
    if (at != UINT32_MAX) {
        host->work[at] = host->work[--host->work_count];
    }
}

/* Once it is acknowledged, the host is rid of the task. */
static bool ends_work(enum host_message_kind kind)
{
    return kind == HOST_MESSAGE_TASK_DONE || kind == HOST_MESSAGE_PARK;
}

/* "Acknowledged" must mean "durable". */
static void check_durable(struct sim *sim, const struct host_message *message)
{
    if (message->kind == HOST_MESSAGE_DRAIN) {
        return;
    }
    const struct sim_task *task = &sim->tasks[message->task.effect];
    if (task->state != SIM_TASK_LEASED || task->epoch != message->epoch) {
        return;
    }
    if (message->kind == HOST_MESSAGE_STEP_REQUEST && task->is_asked &&
        task->settled + 1 == message->number) {
        return;
    }
    if (ends_work(message->kind) || task->settled < message->number) {
        sim_fail(sim, "acknowledged, but not durable");
    }
}

static void take_ack(struct sim *sim, struct sim_host *host, uint64_t ack)
{
    uint32_t kept = 0;
    if (ack > host->sent) {
        sim_fail(sim, "acknowledges what was never sent");
    }
    for (uint32_t i = 0; i < host->unacked_count; i++) {
        struct host_message *message = &host->unacked[i];
        if (message->seq > ack) {
            host->unacked[kept++] = *message;
            continue;
        }
        check_durable(sim, message);
        if (ends_work(message->kind)) {
            stop_work(host, (struct held_task){message->task, message->epoch});
        }
    }
    host->unacked_count = kept;
}

/* Numbering starts at 1, with what belongs to tasks that are still held. */
static void renumber(struct sim_host *host)
{
    uint32_t kept = 0;
    host->sent = 0;
    host->handled = 0;
    for (uint32_t i = 0; i < host->unacked_count; i++) {
        struct host_message message = host->unacked[i];
        struct held_task held = {message.task, message.epoch};
        if (message.kind == HOST_MESSAGE_DRAIN || find_work(host, held) != UINT32_MAX) {
            message.seq = ++host->sent;
            host->unacked[kept++] = message;
        }
    }
    host->unacked_count = kept;
}

static void take_welcome(struct sim *sim, struct sim_host *host, const struct sim_wire *wire)
{
    if (host->is_welcome) {
        sim_fail(sim, "welcome twice");
    }
    host->is_welcome = true;
    memcpy(host->token, wire->token, sizeof(host->token));
    for (uint32_t i = 0; i < wire->lost_count; i++) {
        stop_work(host, wire->lost[i]);
    }
    if (wire->resumed) {
        take_ack(sim, host, wire->ack);
    } else {
        renumber(host);
    }
    for (uint32_t i = 0; i < host->unacked_count; i++) {
        send_up(sim, host, host->unacked[i]);
    }
}

static uint32_t busy_count(const struct sim_host *host)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < host->work_count; i++) {
        count += host->work[i].is_done ? 0 : 1;
    }
    return count;
}

static bool works_elsewhere(const struct sim *sim, const struct sim_host *self,
                            struct held_task held)
{
    for (uint32_t i = 0; i < SIM_HOSTS; i++) {
        if (&sim->host[i] != self && find_work(&sim->host[i], held) != UINT32_MAX) {
            return true;
        }
    }
    return false;
}

static void take_task(struct sim *sim, struct sim_host *host, const struct sim_wire *wire)
{
    if (find_work(host, wire->task) != UINT32_MAX) {
        sim_fail(sim, "given the same task and epoch twice");
        return;
    }
    if (works_elsewhere(sim, host, wire->task)) {
        sim_fail(sim, "two hosts hold one epoch of a task");
    }
    if (host->work_count == SIM_WORK_MAX) {
        sim_fail(sim, "a host holds more tasks than there are");
        return;
    }
    host->work[host->work_count++] = (struct sim_work){
        .held = wire->task, .steps = wire->steps, .is_interrupted = wire->is_interrupted};
    if (busy_count(host) > host->slots) {
        sim_fail(sim, "more tasks than slots");
    }
}

/* The code sees it where it waits, and ends; what has said its last word is past that. */
static void take_cancel(struct sim_host *host, const struct sim_wire *wire)
{
    uint32_t at = find_work(host, wire->task);
    if (!wire->is_interrupted) {
        stop_work(host, wire->task);
    } else if (at != UINT32_MAX) {
        host->work[at].is_interrupted = true;
        host->work[at].is_waiting = false;
    }
}

/* An outcome may come again, and for a task that the host has let go of. */
static void take_outcome(struct sim *sim, struct sim_host *host, const struct sim_wire *wire)
{
    if (sim->tasks[wire->task.task.effect].settled < wire->steps) {
        sim_fail(sim, "an outcome is not durable");
    }
    for (uint32_t i = 0; i < host->work_count; i++) {
        struct sim_work *work = &host->work[i];
        if (work->is_waiting && !work->is_done &&
            task_ref_equal(work->held.task, wire->task.task) && work->steps + 1 == wire->steps) {
            work->steps = wire->steps;
            work->is_waiting = false;
        }
    }
}

static void take_wire(struct sim *sim, struct sim_host *host, const struct sim_wire *wire)
{
    if (wire->kind == SERVER_MESSAGE_WELCOME) {
        take_welcome(sim, host, wire);
        return;
    }
    take_ack(sim, host, wire->ack);
    if (wire->seq != 0) {
        if (wire->seq > host->handled + 1) {
            sim_fail(sim, "the server's numbers have a gap");
        }
        if (wire->seq <= host->handled) {
            return; /* A repetition. */
        }
        host->handled = wire->seq;
    }
    switch (wire->kind) {
    case SERVER_MESSAGE_FACTS: /* None are owed here. */
        break;
    case SERVER_MESSAGE_TASK:
        take_task(sim, host, wire);
        break;
    case SERVER_MESSAGE_CANCEL:
    case SERVER_MESSAGE_STOP:
        take_cancel(host, wire);
        break;
    case SERVER_MESSAGE_OUTCOME:
        take_outcome(sim, host, wire);
        break;
    case SERVER_MESSAGE_REFUSED:
        if (!wire->is_stale) {
            sim_fail(sim, "an honest host was refused for a gap in its steps");
        }
        break;
    case SERVER_MESSAGE_YIELD: /* Nobody waits for a place here. */
    case SERVER_MESSAGE_DRAIN:
    case SERVER_MESSAGE_ACK:
    case SERVER_MESSAGE_WELCOME:
        break;
    }
}

void sim_host_read(struct sim *sim, struct sim_host *host)
{
    struct sim_link *link = host->link;
    if (link->down_read == link->down_count) {
        if (link->is_closed) {
            sim_host_leave(sim, host);
        }
        return;
    }
    struct payload *payload = link->down[link->down_read++];
    struct sim_wire wire;
    memcpy(&wire, payload_bytes(payload).ptr, sizeof(wire));
    payload_unref(payload);
    take_wire(sim, host, &wire);
    if (sim_chance(sim, 5) && wire.kind != SERVER_MESSAGE_WELCOME) {
        take_wire(sim, host, &wire); /* Doubled on the way. */
    }
}

/* What the code does next; false: it waits. */
static bool next_message(struct sim *sim, struct sim_work *work, struct host_message *ret)
{
    const struct sim_task *task = &sim->tasks[work->held.task.effect];
    *ret = (struct host_message){.task = work->held.task, .epoch = work->held.epoch};
    if (work->is_waiting) {
        ret->kind = HOST_MESSAGE_PARK;
        ret->outcomes_seen = sim_step_requests(task, work->steps);
        work->is_done = !task->never_parks && sim_chance(sim, 20);
        return work->is_done;
    }
    if (work->is_interrupted || work->steps == task->plan) {
        ret->kind = HOST_MESSAGE_TASK_DONE;
        ret->is_cancelled = work->is_interrupted;
        work->is_done = true;
        return true;
    }
    ret->number = work->steps + 1;
    if (sim_is_step_request(task, work->steps)) {
        ret->kind = HOST_MESSAGE_STEP_REQUEST;
        work->is_waiting = true;
    } else {
        ret->kind = HOST_MESSAGE_STEP_DONE;
        work->steps++;
    }
    return true;
}

void sim_host_work(struct sim *sim, struct sim_host *host)
{
    struct host_message message;
    if (host->work_count == 0) {
        return;
    }
    struct sim_work *work = &host->work[sim_below(sim, host->work_count)];
    if (!work->is_done && next_message(sim, work, &message)) {
        send_numbered(sim, host, message);
    }
}

void sim_host_say(struct sim *sim, struct sim_host *host, enum host_message_kind kind)
{
    struct host_message message = {.kind = kind};
    if (kind == HOST_MESSAGE_DRAIN) {
        host->is_draining = true;
        send_numbered(sim, host, message);
    } else {
        send_up(sim, host, message);
    }
}

void sim_host_repeat(struct sim *sim, struct sim_host *host)
{
    if (host->unacked_count > 0 && host->is_welcome) {
        uint32_t at = sim_below(sim, host->unacked_count);
        struct sim_link *link = host->link;
        /* Only what this stream has carried already: a repetition never makes a gap. */
        for (uint32_t i = 0; i < link->up_count; i++) {
            if (link->up[i].seq == host->unacked[at].seq) {
                send_up(sim, host, host->unacked[at]);
                return;
            }
        }
    }
}
