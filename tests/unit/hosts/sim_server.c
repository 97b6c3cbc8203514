#include <stdio.h>

#include "service/base/code_version.h"
#include "tests/unit/hosts/sim.h"

static const char *const names[SIM_NAMES] = {"a", "b", "c"};

void sim_host_id(const struct sim_link *link, char ret[16])
{
    snprintf(ret, 16, "h%u.%u", link->host, link->incarnation);
}

static uint64_t hash_of_holder(uint32_t host, uint32_t incarnation)
{
    struct sim_link link = {.host = host, .incarnation = incarnation};
    char id[16];
    sim_host_id(&link, id);
    return host_hash_of(str_of(id));
}

static struct payload *pack(const struct server_message *message)
{
    struct sim_wire wire = {.seq = message->seq, .ack = message->ack, .kind = message->kind};
    if (message->kind == SERVER_MESSAGE_WELCOME) {
        assert(message->welcome.lost_count <= SIM_WORK_MAX);
        memcpy(wire.token, message->welcome.session.ptr, 32);
        wire.resumed = message->welcome.resumed;
        wire.lost_count = (uint32_t)message->welcome.lost_count;
        memcpy(wire.lost, message->welcome.lost, wire.lost_count * sizeof(wire.lost[0]));
    } else if (message->kind == SERVER_MESSAGE_TASK) {
        wire.task = (struct held_task){message->task->task, message->task->epoch};
        wire.steps = (uint32_t)message->task->step_count;
        wire.is_interrupted = message->task->is_cancelling;
    } else if (message->kind == SERVER_MESSAGE_CANCEL || message->kind == SERVER_MESSAGE_STOP) {
        wire.task = message->cancelled;
        wire.is_interrupted = message->kind == SERVER_MESSAGE_CANCEL;
    } else if (message->kind == SERVER_MESSAGE_OUTCOME) {
        wire.task.task = message->outcome.task;
        wire.steps = (uint32_t)(message->outcome.key.ptr[0] - '0');
    } else if (message->kind == SERVER_MESSAGE_REFUSED) {
        wire.is_stale = message->refused.reason == REASON_STALE_EPOCH;
    }
    return payload_copy(str_make(&wire, sizeof(wire)));
}

static void send_down(struct host_link *base, struct payload *payload)
{
    struct sim_link *link = container_of(base, struct sim_link, link);
    if (link->is_closed || link->is_over) {
        sim_fail(link->sim, "sends on a stream that is over");
    }
    if (link->is_left || link->down_count == SIM_QUEUE_MAX) {
        payload_unref(payload); /* Into the void. */
        return;
    }
    link->down[link->down_count++] = payload;
}

static void close_link(struct host_link *base, enum code code, enum reason reason, str message)
{
    struct sim_link *link = container_of(base, struct sim_link, link);
    if (link->is_closed || code == CODE_OK || reason == REASON_NONE || message.len == 0) {
        sim_fail(link->sim, "closes twice or without a sentence");
    }
    if (code == CODE_FAILED_PRECONDITION) {
        sim_fail(link->sim, "an honest host broke a rule");
    }
    link->is_closed = true;
}

static bool has_room(const struct host_link *link)
{
    (void)link;
    return true;
}

static const struct host_link_vtable vtable = {
    .pack = pack, .send = send_down, .has_room = has_room, .close = close_link};

static void note_lost(void *context, const struct host_loss *loss)
{
    struct sim *sim = (struct sim *)context;
    assert(loss->cause != NULL && sim->lost_count < SIM_PENDING_MAX);
    sim->lost[sim->lost_count++] = (struct held_task){loss->task, loss->epoch};
}

static void count_up(void *context, uint8_t ret[16])
{
    struct sim *sim = (struct sim *)context;
    sim->tokens++;
    memset(ret, 0, 16);
    memcpy(ret, &sim->tokens, sizeof(sim->tokens));
}

static void add_ready(struct sim *sim, uint32_t task)
{
    status added = hosts_ready_add(sim->hosts, TASK_TOOL, str_of(names[sim->tasks[task].name]),
                                   CODE_VERSION_ANY, sim_task_ref(task));
    if (!status_is_ok(added)) {
        sim_fail(sim, "too many tasks wait");
    }
}

void sim_server_start(struct sim *sim)
{
    struct hosts_options options = {
        .lease_ms = SIM_LEASE_MS, .context = sim, .lost = note_lost, .random = count_up};
    sim->hosts = hosts_new(&options);
    for (uint32_t i = 0; i < SIM_TASKS; i++) {
        const struct sim_task *task = &sim->tasks[i];
        if (task->state == SIM_TASK_READY) {
            add_ready(sim, i);
        } else if (task->state == SIM_TASK_LEASED) {
            hosts_expect(sim->hosts, sim_task_ref(i), task->epoch,
                         hash_of_holder(task->host, task->incarnation), sim->now_ms);
        }
    }
}

void sim_server_restart(struct sim *sim)
{
    hosts_free(sim->hosts);
    for (uint32_t i = 0; i < sim->link_count; i++) {
        if (sim->links[i]->link.session != NULL) {
            sim_fail(sim, "a link kept its session");
        }
        sim->links[i]->is_over = sim->links[i]->is_closed = true;
    }
    sim->pending_count = sim->grant_count = sim->lost_count = sim->taken_count = 0;
    sim_server_start(sim);
}

static void send_outcome(struct sim *sim, uint32_t task, uint32_t step)
{
    char key = (char)('0' + step);
    struct outcome outcome = {.value = STR("null")};
    hosts_send_outcome(sim->hosts, sim_task_ref(task), str_make(&key, 1), SETTLED_SLEEP, &outcome,
                       0);
}

static void tell_again(struct sim *sim, const struct sim_link *link)
{
    struct task_ref ref;
    while (hosts_next_taken_over(sim->hosts, &ref)) {
        const struct sim_task *task = &sim->tasks[ref.effect];
        if (task->state != SIM_TASK_LEASED || task->host != link->host ||
            task->incarnation != link->incarnation) {
            sim_fail(sim, "took over what is not its own");
        }
        for (uint32_t step = 0; step < task->settled; step++) {
            if (sim_is_step_request(task, step)) {
                send_outcome(sim, ref.effect, step + 1);
            }
        }
        if (task->is_interrupted) {
            hosts_interrupt(sim->hosts, ref, 1000);
        }
    }
}

static void read_hello(struct sim *sim, struct sim_link *link)
{
    struct sim_host *host = &sim->host[link->host];
    struct host_offer offers[SIM_NAMES];
    struct host_session *session;
    const char *field;
    char id[16];
    struct host_hello hello = {
        .host_id = STR_EMPTY,
        .slots = host->slots,
        .offers = offers,
        .session = str_of(link->hello.token),
        .ack = link->hello.ack,
        .held = link->hello.held,
        .held_count = link->hello.held_count,
    };
    sim_host_id(link, id);
    hello.host_id = str_of(id);
    for (uint32_t i = 0; i < SIM_NAMES; i++) {
        if ((host->offers >> i & 1) != 0) {
            offers[hello.offer_count++] = (struct host_offer){TASK_TOOL, str_of(names[i])};
        }
    }
    link->is_hello_read = true;
    link->link.vtable = &vtable;
    status outcome =
        hosts_hello(sim->hosts, &link->link, &hello, sim->now_ms, &sim->arena, &field, &session);
    if (status_is_ok(outcome)) {
        tell_again(sim, link);
        return;
    }
    link->is_closed = true;
    if (outcome.code != CODE_ALREADY_EXISTS) {
        sim_fail(sim, "an honest hello was refused");
    }
}

/* A command must be new, and about what this host was granted. */
static void check_command(struct sim *sim, const struct sim_link *link, uint64_t session,
                          const struct host_message *message)
{
    const struct sim_task *task = &sim->tasks[message->task.effect];
    for (uint32_t i = 0; i < sim->taken_count; i++) {
        const struct sim_taken *taken = &sim->taken[i];
        if (taken->session != session) {
            continue;
        }
        if (taken->message.seq == message->seq) {
            sim_fail(sim, "one number was taken twice");
        }
        if (task_ref_equal(taken->message.task, message->task) &&
            taken->message.epoch == message->epoch && taken->message.kind == message->kind &&
            taken->message.number == message->number) {
            sim_fail(sim, "one step was taken twice in a session");
        }
    }
    if (task->state != SIM_TASK_LEASED || task->epoch != message->epoch ||
        task->host != link->host || task->incarnation != link->incarnation) {
        sim_fail(sim, "a stale answer reached the engine");
    }
}

static void take_command(struct sim *sim, const struct sim_link *link,
                         const struct host_message *message)
{
    uint64_t session = host_session_number(link->link.session);
    struct sim_taken taken = {session, *message};
    check_command(sim, link, session, message);
    if (sim->pending_count == SIM_PENDING_MAX || sim->taken_count == SIM_TAKEN_MAX) {
        sim_fail(sim, "too many commands");
        return;
    }
    sim->pending[sim->pending_count++] = taken;
    sim->taken[sim->taken_count++] = taken;
}

void sim_server_read(struct sim *sim, struct sim_link *link)
{
    if (!link->is_hello_read) {
        read_hello(sim, link);
        return;
    }
    if (link->up_read == link->up_count) {
        return;
    }
    const struct host_message *message = &link->up[link->up_read++];
    if (link->link.session == NULL) {
        return;
    }
    if (hosts_receive(sim->hosts, link->link.session, message, sim->now_ms) ==
        HOST_RECEIPT_COMMAND) {
        take_command(sim, link, message);
    }
}

void sim_server_gone(struct sim *sim, struct sim_link *link)
{
    link->is_over = true;
    if (link->link.session != NULL) {
        hosts_disconnected(sim->hosts, link->link.session, HOST_CUT_OFF, sim->now_ms);
    }
}

static void settle(struct sim *sim, uint32_t number)
{
    sim->tasks[number].state = SIM_TASK_OVER;
    hosts_release(sim->hosts, sim_task_ref(number));
    hosts_ready_remove(sim->hosts, sim_task_ref(number));
}

void sim_server_cancel(struct sim *sim, uint32_t number)
{
    hosts_stop(sim->hosts, sim_task_ref(number), STOP_RUN_ENDED);
    settle(sim, number);
}

static void make_ready(struct sim *sim, uint32_t number)
{
    sim->tasks[number].state = SIM_TASK_READY;
    add_ready(sim, number);
}

void sim_server_interrupt(struct sim *sim, uint32_t number)
{
    struct sim_task *task = &sim->tasks[number];
    task->is_interrupted = true;
    hosts_interrupt(sim->hosts, sim_task_ref(number), 1000);
    if (task->state == SIM_TASK_PARKED) {
        make_ready(sim, number);
    }
}

static void handle_step_request(struct sim *sim, const struct host_message *message)
{
    struct sim_task *task = &sim->tasks[message->task.effect];
    if (message->number <= task->settled) {
        send_outcome(sim, message->task.effect, message->number);
    } else {
        task->is_asked = true;
    }
}

static void deal_park(struct sim *sim, const struct host_message *message)
{
    struct sim_task *task = &sim->tasks[message->task.effect];
    hosts_release(sim->hosts, message->task);
    task->state = SIM_TASK_PARKED;
    if (task->is_interrupted || message->outcomes_seen < sim_step_requests(task, task->settled)) {
        make_ready(sim, message->task.effect);
    } else if (!task->is_asked) {
        sim_fail(sim, "parked, but nothing is awaited");
    }
}

static void deal_done(struct sim *sim, const struct host_message *message)
{
    const struct sim_task *task = &sim->tasks[message->task.effect];
    bool is_early = task->settled != task->plan;
    if (is_early && !(task->is_interrupted && message->is_cancelled)) {
        sim_fail(sim, "a task ended without its steps");
    }
    settle(sim, message->task.effect);
}

static void handle(struct sim *sim, const struct sim_taken *taken)
{
    const struct host_message *message = &taken->message;
    struct sim_task *task = &sim->tasks[message->task.effect];
    bool is_stale = task->state != SIM_TASK_LEASED || task->epoch != message->epoch;
    if (is_stale || message->number > task->settled + 1) {
        hosts_refuse(sim->hosts, taken->session, message->seq,
                     is_stale ? REASON_STALE_EPOCH : REASON_STEP_GAP, STR("No."), &message->task);
        return;
    }
    if (message->kind == HOST_MESSAGE_STEP_DONE) {
        task->settled = message->number > task->settled ? message->number : task->settled;
    } else if (message->kind == HOST_MESSAGE_STEP_REQUEST) {
        handle_step_request(sim, message);
    } else if (message->kind == HOST_MESSAGE_PARK) {
        deal_park(sim, message);
    } else {
        deal_done(sim, message);
    }
    hosts_mark_handled(sim->hosts, taken->session, message->seq);
}

/* What the code waits for comes, now or later. */
static void settle_step_requests(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_TASKS; i++) {
        struct sim_task *task = &sim->tasks[i];
        if (!task->is_asked || task->is_interrupted || !sim_chance(sim, 40)) {
            continue;
        }
        task->is_asked = false;
        task->settled++;
        if (task->state == SIM_TASK_PARKED) {
            make_ready(sim, i);
        } else {
            send_outcome(sim, i, task->settled);
        }
    }
}

/* Any pending command whose task has no earlier one. */
static uint32_t choose_pending(struct sim *sim)
{
    uint32_t at = sim_below(sim, sim->pending_count);
    for (uint32_t i = 0; i < at; i++) {
        if (task_ref_equal(sim->pending[i].message.task, sim->pending[at].message.task)) {
            return i;
        }
    }
    return at;
}

static void commit(struct sim *sim)
{
    while (sim->pending_count > 0) {
        uint32_t at = choose_pending(sim);
        struct sim_taken taken = sim->pending[at];
        sim->pending_count--;
        memmove(&sim->pending[at], &sim->pending[at + 1],
                (sim->pending_count - at) * sizeof(sim->pending[0]));
        handle(sim, &taken);
    }
}

static void forget(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->pending_count; i++) {
        const struct sim_taken *taken = &sim->pending[i];
        uint32_t kept = 0;
        hosts_forget(sim->hosts, taken->session, taken->message.seq);
        for (uint32_t j = 0; j < sim->taken_count; j++) {
            if (sim->taken[j].session != taken->session ||
                sim->taken[j].message.seq != taken->message.seq) {
                sim->taken[kept++] = sim->taken[j];
            }
        }
        sim->taken_count = kept;
    }
    sim->pending_count = 0;
}

static void handle_lost(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->lost_count; i++) {
        struct sim_task *task = &sim->tasks[sim->lost[i].task.effect];
        if (task->state == SIM_TASK_LEASED && task->epoch == sim->lost[i].epoch) {
            make_ready(sim, sim->lost[i].task.effect);
        }
    }
    sim->lost_count = 0;
}

static void grant(struct sim *sim)
{
    struct task_ref ref;
    while (hosts_ready_pop(sim->hosts, &ref)) {
        struct sim_task *task = &sim->tasks[ref.effect];
        struct host_session *session =
            hosts_pick(sim->hosts, TASK_TOOL, str_of(names[task->name]), CODE_VERSION_ANY);
        if (session == NULL || task->state != SIM_TASK_READY) {
            sim_fail(sim, "ready, but nobody takes it");
            return;
        }
        str id = host_session_host_id(session);
        task->state = SIM_TASK_LEASED;
        task->epoch++;
        task->host = (uint32_t)(id.ptr[1] - '0');
        task->incarnation = 0;
        for (size_t i = 3; i < id.len; i++) {
            task->incarnation = task->incarnation * 10 + (uint32_t)(id.ptr[i] - '0');
        }
        hosts_reserve(sim->hosts, session, ref, task->epoch);
        sim->grants[sim->grant_count++] = (struct sim_grant){session, {ref, task->epoch}};
    }
}

static void give(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->grant_count; i++) {
        const struct sim_grant *granted = &sim->grants[i];
        const struct sim_task *task = &sim->tasks[granted->held.task.effect];
        struct host_task work = {
            .task = granted->held.task,
            .epoch = granted->held.epoch,
            .step_count = task->settled,
            .is_cancelling = task->is_interrupted,
        };
        if (task->state == SIM_TASK_LEASED && task->epoch == granted->held.epoch) {
            hosts_give(sim->hosts, granted->session, &work);
        }
    }
    sim->grant_count = 0;
}

/* Grants are made in one call and given in the next, so that anything may come between. */
void sim_server_round(struct sim *sim, bool commits)
{
    if (commits) {
        commit(sim);
        settle_step_requests(sim);
    } else {
        forget(sim);
    }
    hosts_tick(sim->hosts, sim->now_ms, sim->now_ms);
    uint64_t deadline = hosts_next_deadline(sim->hosts);
    if (deadline != 0 && deadline <= sim->now_ms) {
        sim_fail(sim, "a deadline is left behind");
    }
    give(sim);
    handle_lost(sim);
    hosts_flush(sim->hosts);
    grant(sim);
    arena_reset(&sim->arena);
}
