/*
 * What hosts say and hear: each keeps its side of the protocol as host.proto tells it, works on
 * what it is given, and holds every message of the server against the laws.
 */
#include "tests/simulation/world_hosts.h"

#include "service/features/tasks/tasks.h"
#include "service/hosts/leases.h"
#include "service/partition/request.h"

static struct world *current;

void sim_host_set_world(struct world *world)
{
    current = world;
}

static const struct host_facts *copy_facts(struct arena *arena, const struct host_facts *piece)
{
    struct host_facts *copy = arena_alloc(arena, sizeof(*copy));
    struct settled_step *facts = arena_zalloc(arena, piece->count * sizeof(*facts) + 1);
    for (size_t i = 0; i < piece->count; i++) { /* Their outcomes are judged already. */
        facts[i].key = arena_copy(arena, piece->facts[i].key);
        facts[i].kind = piece->facts[i].kind;
        facts[i].is_step_request = piece->facts[i].is_step_request;
        facts[i].is_child = piece->facts[i].is_child;
        facts[i].try_number = piece->facts[i].try_number;
        facts[i].steps_before = piece->facts[i].steps_before;
        facts[i].pause_ms = piece->facts[i].pause_ms;
    }
    *copy = *piece;
    copy->facts = facts;
    copy->state = (struct kept_state){0};
    return copy;
}

static const struct host_task *copy_task(struct arena *arena, const struct host_task *task)
{
    struct host_task *copy = arena_alloc(arena, sizeof(*copy));
    *copy = *task;
    struct settled_step *steps = arena_alloc(arena, task->step_count * sizeof(*steps) + 1);
    for (size_t i = 0; i < task->step_count; i++) { /* Their outcomes are judged already. */
        steps[i] = (struct settled_step){.key = arena_copy(arena, task->steps[i].key),
                                         .kind = task->steps[i].kind,
                                         .is_step_request = task->steps[i].is_step_request,
                                         .try_number = task->steps[i].try_number,
                                         .pause_ms = task->steps[i].pause_ms};
    }
    copy->steps = steps;
    copy->name = arena_copy(arena, task->name);
    copy->input = arena_copy(arena, task->input);
    return copy;
}

static struct payload *pack(const struct server_message *message)
{
    struct world *world = current;
    struct arena *arena = &world->arena;
    struct server_message copy = *message;
    if (message->kind == SERVER_MESSAGE_TASK) {
        if (!world->is_dead) {
            sim_judge_task(world, message->task);
        }
        copy.task = copy_task(arena, message->task);
    }
    if (message->kind == SERVER_MESSAGE_FACTS) {
        if (!world->is_dead) {
            sim_judge_facts(world, message->facts);
        }
        copy.facts = copy_facts(arena, message->facts);
    }
    if (message->kind == SERVER_MESSAGE_OUTCOME) {
        if (!world->is_dead && message->outcome.more == NULL) {
            sim_judge_outcome(world, message);
        }
        copy.outcome.key = arena_copy(arena, message->outcome.key);
    }
    if (message->kind == SERVER_MESSAGE_WELCOME) {
        size_t bytes = message->welcome.lost_count * sizeof(struct held_task);
        struct held_task *lost = arena_alloc(arena, bytes + 1);
        if (bytes > 0) {
            memcpy(lost, message->welcome.lost, bytes);
        }
        copy.welcome.lost = lost;
        copy.welcome.session = arena_copy(arena, message->welcome.session);
    }
    return payload_copy(str_make(&copy, sizeof(copy)));
}

/* Of its code, counted in one. */
static bool is_numbered(const struct host_message *message)
{
    return message->kind == HOST_MESSAGE_STEP_DONE || message->kind == HOST_MESSAGE_CANCEL_SHOWN ||
           message->kind == HOST_MESSAGE_WITHDRAW || message->kind == HOST_MESSAGE_STEP_TRY;
}

static bool is_about_task(const struct host_message *message)
{
    return is_numbered(message) || message->kind == HOST_MESSAGE_TASK_DONE ||
           message->kind == HOST_MESSAGE_STEP_REQUEST || message->kind == HOST_MESSAGE_PARK ||
           message->kind == HOST_MESSAGE_RELEASE;
}

static void hear(struct world *world, void *context, uint64_t number);

static void judge_holder(struct sim_host *host, const struct server_message *message)
{
    struct world *world = host->world;
    const struct task_ref *task = &message->task->task;
    const struct sim_run *run = world_find_run(world, task->run);
    const struct ledger_effect *effect = ledger_open(&run->ledger, task->effect);
    bool is_current =
        effect != NULL && effect->is_leased && effect->attempt == message->task->epoch;
    world_expect(world, !is_current || effect->host == host_hash_of(str_of(host->id)),
                 "tasks-go-to-their-holder");
}

static void judge_durable(struct sim_host *host, const struct host_message *message);

/* Whoever holds a task is not told that it is another's. */
static void judge_refusal(struct sim_host *host, const struct sim_sent *sent,
                          const struct server_message *refused)
{
    const struct host_message *message = &sent->message;
    const struct sim_run *run = world_find_run(host->world, message->task.run);
    if (sent->is_void || !is_about_task(message) || run == NULL || run->was_damaged) {
        return;
    }
    const struct ledger_effect *effect = ledger_open(&run->ledger, message->task.effect);
    bool is_over = run->ledger.ended != EVENT_NONE || effect == NULL;
    world_expect(host->world, is_over || !effect->is_leased || effect->attempt != message->epoch,
                 "who-holds-a-task-is-heard");
    if (!world_is_well(host->world)) {
        world_detail(host->world, "host %s, message %llu of kind %d, task %u.%u of %.8s: " STR_FMT,
                     host->id, (unsigned long long)message->seq, (int)message->kind,
                     message->task.effect, message->epoch, run->marker.ptr,
                     STR_ARG(refused->refused.message));
    }
}

/* What the server says it has is on its disk when it says so. */
static void judge_ack(struct sim_host *host, const struct server_message *message)
{
    for (size_t i = 0; i < host->unacknowledged_count; i++) {
        struct sim_sent *sent = &host->unacknowledged[i];
        if (message->kind == SERVER_MESSAGE_REFUSED && sent->message.seq == message->refused.seq) {
            sent->is_refused = true;
            judge_refusal(host, sent, message);
        }
        if (host->is_welcomed && sent->message.seq <= message->ack && !sent->is_void &&
            !sent->is_refused && is_about_task(&sent->message)) {
            judge_durable(host, &sent->message);
        }
    }
}

static void link_send(struct host_link *link, struct payload *payload)
{
    struct sim_link *it = container_of(link, struct sim_link, link);
    struct sim_host *host = it->host;
    struct world *world = host->world;
    world_expect(world, world->is_dead || !it->is_closed, "nothing-is-sent-on-a-closed-stream");
    if (world_sees(world) && host->link == it && !it->is_deaf) {
        struct server_message *message = arena_alloc(&world->arena, sizeof(*message));
        memcpy(message, payload_bytes(payload).ptr, sizeof(*message));
        if (message->kind == SERVER_MESSAGE_TASK) {
            judge_holder(host, message);
        }
        if (message->kind == SERVER_MESSAGE_WELCOME) {
            sim_host_judge_welcome(host, message);
        }
        judge_ack(host, message);
        uint64_t mixed[] = {host->index, message->seq, message->ack, (uint64_t)message->kind};
        world_mix(world, str_make(mixed, sizeof(mixed)));
        assert(host->inbox_count < INBOX_MAX);
        host->inbox[host->inbox_count++] = message;
        if (!it->is_silent) {
            world_at(world, 1 + world_below(world, 60), hear, host, host->number);
        }
        if (message->kind == SERVER_MESSAGE_TASK) {
            sim_host_perhaps_freeze(host);
        }
    }
    payload_unref(payload);
}

void sim_host_lose_link(struct sim_host *host, uint64_t again_ms)
{
    if (host->link != NULL) {
        sim_link_lose_late(host->link);
    }
    host->link = NULL;
    host->is_welcomed = false;
    host->steady_ms = UINT64_MAX;
    host->inbox_count = 0;
    host->partial = NULL;
    host->number++;
    world_at(host->world, again_ms, sim_host_dial, host, host->number);
}

static void link_close(struct host_link *link, enum code code, enum reason reason, str message)
{
    struct sim_link *it = container_of(link, struct sim_link, link);
    struct world *world = it->host->world;
    (void)code, (void)message;
    if (!world_sees(world)) {
        return;
    }
    static const enum reason wrong[] = {REASON_SEQUENCE_GAP, REASON_ACK_BEYOND, REASON_UNNUMBERED,
                                        REASON_INVALID_FIELD, REASON_UNACKNOWLEDGED};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        world_expect(world, reason != wrong[i], "orderly-hosts-are-not-sent-away");
    }
    if (!world_is_well(world)) {
        world_detail(world, "%s: " STR_FMT, reason_name(reason), STR_ARG(message));
    }
    world_say(world, "host %s: closed, %s", it->host->id, reason_name(reason));
    it->is_open = false;
    it->is_closed = true;
    if (it->host->link == it && !it->host->is_frozen) { /* Else it sees that when it wakes. */
        sim_host_lose_link(it->host, 100 + world_below(world, 4000));
    }
}

static bool link_has_room(const struct host_link *link)
{
    return !container_of(link, const struct sim_link, link)->is_full;
}

const struct host_link_vtable sim_link_vtable = {
    .pack = pack,
    .send = link_send,
    .has_room = link_has_room,
    .close = link_close,
};

/* ---- What a host says. ---- */

bool sim_host_is_connected(const struct sim_host *host)
{
    /* That the server has closed the stream it may not have seen yet. */
    return host->link != NULL && host->is_welcomed &&
           (host->link->is_open || host->link->is_closed);
}

void sim_host_arrive(struct sim_host *host, struct request *request)
{
    struct world *world = host->world;
    if (host->spoken_ms + world->lease_ms / 2 < world->time_ms || host->steady_ms == UINT64_MAX) {
        host->steady_ms = world->time_ms;
    }
    host->spoken_ms = world->time_ms;
    world_post(world, request); /* When it is down, the stream breaks too. */
}

void sim_host_post(struct sim_host *host, const struct host_message *message)
{
    if (!sim_host_is_connected(host) || host->link->is_deaf || host->is_frozen) {
        return;
    }
    struct sim_link *link = host->link;
    struct request *request = request_new(&host_message_operation);
    host_request(request)->link = &host->link->link;
    host_request(request)->message = *message;
    host_request(request)->message.ack = host->dealt;
    if (link->is_mute && link->late_count == LATE_MAX) {
        sim_link_heal(link);
    }
    if (link->is_mute) {
        link->late[link->late_count++] = request;
    } else {
        sim_host_arrive(host, request);
    }
}

void sim_host_say(struct sim_host *host, struct host_message message, bool is_void)
{
    assert(host->unacknowledged_count < UNACKNOWLEDGED_MAX);
    message.seq = ++host->sent;
    host->unacknowledged[host->unacknowledged_count++] =
        (struct sim_sent){.message = message, .is_void = is_void};
    sim_host_post(host, &message);
}

void sim_host_void_request(struct sim_host *host, struct task_ref task, str key)
{
    for (size_t i = 0; i < host->unacknowledged_count; i++) {
        struct sim_sent *sent = &host->unacknowledged[i];
        sent->is_void |= sent->message.kind == HOST_MESSAGE_STEP_REQUEST &&
                         task_ref_equal(sent->message.task, task) &&
                         str_equal(sent->message.key, key);
    }
}

static struct sim_task *find_held(struct sim_host *host, struct task_ref task)
{
    for (size_t i = 0; i < host->held_count; i++) {
        if (task_ref_equal(host->held[i].task, task)) {
            return &host->held[i];
        }
    }
    return NULL;
}

static void unhold(struct sim_host *host, struct task_ref task)
{
    struct sim_task *held = find_held(host, task);
    if (held != NULL) {
        *held = host->held[--host->held_count];
    }
}

static void drop(struct sim_host *host, struct task_ref task)
{
    for (size_t i = 0; i < host->unacknowledged_count; i++) {
        struct sim_sent *sent = &host->unacknowledged[i];
        if (is_about_task(&sent->message) && task_ref_equal(sent->message.task, task)) {
            sent->is_void = true;
        }
    }
    unhold(host, task);
}

/* ---- What a host hears. ---- */

/* The fact of a task's journal that its code is to be told next; NULL: none. Waits that code gave
 * up need not be told. */
static const struct sim_step *next_fact(const struct sim_run *run, struct sim_task *task,
                                        bool is_of_host)
{
    uint32_t number = 0;
    for (size_t i = 0; i < run->step_count; i++) {
        const struct sim_step *step = &run->steps[i];
        if (step->effect != task->task.effect || number++ < task->facts_told) {
            continue;
        }
        if (!step->is_given_up || (step->number == 0 && !is_of_host)) {
            return step;
        }
        task->facts_told++;
    }
    return NULL;
}

/* All that its host said up to this number is durable: its code is told, one by one. What was
 * settled by a commit that nobody heard of, or could not be read for a moment, is told when its
 * run is read again, which may be late.
 */
static void tell_own(struct world *world, struct sim_task *task, uint32_t number)
{
    const struct sim_run *run = world_find_run(world, task->task.run);
    while (task->durable < number && !task->is_done && !task->is_parked && world_is_well(world)) {
        const struct sim_step *step = next_fact(run, task, true);
        bool is_next = step != NULL && step->number == task->durable + 1;
        world_expect(world, is_next || run->was_unsaid || run->was_unread,
                     "facts-are-told-in-their-order");
        task->durable++;
        task->facts_told++;
    }
}

static bool was_told(const struct sim_run *run, const struct sim_task *task, uint64_t key)
{
    uint32_t number = 0;
    for (size_t i = 0; i < run->step_count; i++) {
        const struct sim_step *step = &run->steps[i];
        if (step->effect != task->task.effect || number++ >= task->facts_told) {
            continue;
        }
        if (step->number == 0 && step->key == key) {
            return true;
        }
    }
    return false;
}

/* A result of what its code asked for, and what stands before it. */
static void tell_result(struct world *world, struct sim_task *task, str key, uint32_t steps_before)
{
    const struct sim_run *run = world_find_run(world, task->task.run);
    if (task->is_done || task->is_parked) {
        return;
    }
    tell_own(world, task, steps_before);
    const struct sim_step *step = next_fact(run, task, false);
    bool is_next = step != NULL && step->number == 0 && step->key == str_hash(key);
    if (!is_next) {
        step = next_fact(run, task, true);
        is_next = step != NULL && step->number == 0 && step->key == str_hash(key);
    }
    world_expect(
        world, is_next || run->was_unsaid || run->was_unread || was_told(run, task, str_hash(key)),
        "facts-are-told-in-their-order");
    task->facts_told += is_next;
}

static void judge_durable(struct sim_host *host, const struct host_message *message)
{
    struct world *world = host->world;
    const struct sim_run *run = world_find_run(world, message->task.run);
    const struct ledger_effect *effect = ledger_open(&run->ledger, message->task.effect);
    bool is_over = run->ledger.ended != EVENT_NONE || effect == NULL;
    bool is_written = is_over;
    if (message->kind == HOST_MESSAGE_STEP_REQUEST) {
        is_written |= sim_run_wait(run, message->task.effect, message->key) != NULL;
    } else if (!is_numbered(message)) {
        is_written = is_written || !effect->is_leased || effect->attempt > message->epoch;
    }
    for (size_t i = 0; i < run->step_count && is_numbered(message); i++) {
        is_written |= run->steps[i].effect == message->task.effect &&
                      run->steps[i].number == message->number &&
                      run->steps[i].key == str_hash(message->key);
    }
    world_expect(world, is_written, "what-is-acknowledged-is-durable");
    if (!world_is_well(world)) {
        world_detail(world, "host %s message %llu step %u", host->id,
                     (unsigned long long)message->seq, message->number);
    }
}

/* While a result comes in pieces, what is acknowledged of its task may stand after it. */
static void hear_durable(struct sim_host *host, struct sim_task *task, uint32_t number)
{
    const struct server_message *partial = host->partial;
    if (partial != NULL && partial->kind == SERVER_MESSAGE_OUTCOME &&
        task_ref_equal(partial->outcome.task, task->task)) {
        task->ahead = number;
        return;
    }
    tell_own(host->world, task, number);
}

static void hear_ack(struct sim_host *host, uint64_t ack)
{
    world_expect(host->world, ack <= host->sent, "only-what-was-said-is-acknowledged");
    size_t count = 0;
    while (count < host->unacknowledged_count && host->unacknowledged[count].message.seq <= ack) {
        const struct sim_sent *sent = &host->unacknowledged[count++];
        if (sent->is_void || !is_about_task(&sent->message)) {
            continue;
        }
        if (!sent->is_refused) {
            judge_durable(host, &sent->message);
        }
        struct sim_task *held = find_held(host, sent->message.task);
        if (held != NULL && is_numbered(&sent->message) && !sent->is_refused) {
            hear_durable(host, held, sent->message.number);
        }
        bool is_let_go = held != NULL && held->is_parked && held->epoch == sent->message.epoch;
        if (sent->message.kind == HOST_MESSAGE_TASK_DONE ||
            (sent->message.kind == HOST_MESSAGE_PARK && is_let_go) ||
            (sent->message.kind == HOST_MESSAGE_RELEASE && is_let_go)) {
            unhold(host, sent->message.task);
        }
    }
    host->unacknowledged_count -= count;
    memmove(host->unacknowledged, host->unacknowledged + count,
            host->unacknowledged_count * sizeof(host->unacknowledged[0]));
}

void sim_host_renumber(struct sim_host *host)
{
    size_t kept = 0;
    for (size_t i = 0; i < host->unacknowledged_count; i++) {
        if (!host->unacknowledged[i].is_void) {
            host->unacknowledged[kept] = host->unacknowledged[i];
            host->unacknowledged[kept].message.seq = kept + 1;
            host->unacknowledged[kept].is_refused = false;
            kept++;
        }
    }
    host->unacknowledged_count = kept;
    host->sent = kept;
    host->dealt = 0;
}

static void hear_welcome(struct sim_host *host, const struct server_message *message)
{
    world_expect(host->world, !host->is_welcomed, "one-welcome-per-stream");
    host->is_welcomed = true;
    host->welcomed_ms = host->world->time_ms;
    host->token = message->welcome.session;
    if (message->welcome.resumed) {
        hear_ack(host, message->ack);
    }
    for (size_t i = 0; i < message->welcome.lost_count; i++) {
        drop(host, message->welcome.lost[i].task);
    }
    if (!message->welcome.resumed) {
        sim_host_renumber(host);
    }
    host->world->counts.reconnects++;
    for (size_t i = 0; i < host->unacknowledged_count; i++) {
        sim_host_post(host, &host->unacknowledged[i].message);
    }
}

/* A task comes again with a higher epoch while it is at work: what was said is said again. */
static void hear_again(struct sim_host *host, struct sim_task *held, const struct host_task *task)
{
    held->epoch = task->epoch;
    held->durable = task->settled_count;
    held->facts_told = (uint32_t)task->step_count;
    size_t count = host->unacknowledged_count;
    for (size_t i = 0; i < count; i++) {
        struct sim_sent *sent = &host->unacknowledged[i];
        if (!sent->is_void && is_about_task(&sent->message) &&
            task_ref_equal(sent->message.task, held->task)) {
            struct host_message again = sent->message;
            again.epoch = task->epoch;
            sent->is_void = true;
            if (again.kind != HOST_MESSAGE_STEP_REQUEST) { /* The code says it again. */
                sim_host_say(host, again, false);
            }
        }
    }
    sim_work_again(host, held, task);
}

/* What it has settled could not be read: it is another's or over, and its host learns of that when
 * it says something of it. */
static bool was_taken_unread(struct world *world, const struct sim_task *held)
{
    const struct sim_run *run = world_find_run(world, held->task.run);
    const struct ledger_effect *task = ledger_open(&run->ledger, held->task.effect);
    bool is_its = task != NULL && task->is_leased && task->attempt == held->epoch;
    return run->was_unread && !is_its;
}

static void hear_task(struct sim_host *host, const struct host_task *task)
{
    struct world *world = host->world;
    struct sim_task *held = find_held(host, task->task);
    if (held != NULL && task->epoch <= held->epoch) {
        return;
    }
    if (held != NULL && !held->is_parked && held->is_cancelled == task->is_cancelling) {
        hear_again(host, held, task);
        return;
    }
    drop(host, task->task); /* Its code begins anew. */
    assert(host->held_count < HELD_MAX);
    held = &host->held[host->held_count++];
    *held = (struct sim_task){
        .is_callback = task->kind == TASK_CALLBACK,
        .phase = task->callback.phase,
        .input = task->input,
        .task = task->task,
        .epoch = task->epoch,
        .steps = task->settled_count,
        .durable = task->settled_count,
        .facts_told = (uint32_t)task->step_count,
    };
    size_t busy = 0;
    for (size_t i = 0; i < host->held_count; i++) {
        busy += !host->held[i].is_done && !host->held[i].is_parked &&
                !was_taken_unread(world, &host->held[i]);
    }
    world_expect(world, busy <= host->slots, "slots-are-not-overbooked");
    sim_work_begin(host, held, task);
}

static void hear_refused(struct sim_host *host, const struct server_message *message)
{
    host->world->counts.refusals++;
    for (size_t i = 0; i < host->unacknowledged_count; i++) {
        struct sim_sent *sent = &host->unacknowledged[i];
        if (sent->message.seq != message->refused.seq || sent->is_void ||
            !is_about_task(&sent->message)) {
            continue;
        }
        sent->is_void = true;
        world_expect(host->world, message->refused.reason == REASON_STALE_EPOCH,
                     "orderly-answers-are-only-refused-when-stale");
        if (!world_is_well(host->world)) {
            world_detail(host->world, "%s", reason_name(message->refused.reason));
        }
        drop(host, sent->message.task);
        return;
    }
}

/* Its pieces come next, and nothing else that is numbered. */
static void begin_pieces(struct sim_host *host, const struct server_message *message)
{
    host->partial = message;
    host->piece_count = 0;
    host->facts_told = 0;
}

/* A result in pieces is there, or does not come. */
static void catch_up(struct sim_host *host, struct task_ref task)
{
    struct sim_task *held = find_held(host, task);
    if (held != NULL) {
        tell_own(host->world, held, held->ahead);
        held->ahead = 0;
    }
}

static void end_pieces(struct sim_host *host)
{
    const struct server_message *message = host->partial;
    host->partial = NULL;
    host->dealt = message->seq;
    if (message->kind == SERVER_MESSAGE_OUTCOME) {
        for (size_t i = 0; i < host->piece_count; i++) {
            struct sim_task *held = find_held(host, message->outcome.task);
            if (held != NULL && host->pieces[i].is_step_request) {
                tell_result(host->world, held, host->pieces[i].key, host->pieces[i].steps_before);
                sim_work_hear(host, held, host->pieces[i].key);
            }
        }
        catch_up(host, message->outcome.task);
        return;
    }
    struct host_task task = *message->task;
    uint32_t steps = 0;
    for (size_t i = 0; i < host->piece_count; i++) {
        steps += !host->pieces[i].is_step_request;
    }
    task.steps = host->pieces;
    task.step_count = host->piece_count;
    world_expect(host->world, steps == task.settled_count, "a-task-carries-its-settled-steps");
    hear_task(host, &task);
}

static void hear_facts(struct sim_host *host, const struct host_facts *piece)
{
    struct world *world = host->world;
    const struct server_message *message = host->partial;
    world_expect(world, message != NULL, "pieces-follow-their-message");
    if (!world_is_well(world)) {
        return;
    }
    const struct task_ref task =
        message->kind == SERVER_MESSAGE_TASK ? message->task->task : message->outcome.task;
    world_expect(world, task_ref_equal(task, piece->task), "pieces-follow-their-message");
    world_expect(world, piece->first == host->facts_told, "pieces-are-told-without-gap");
    host->facts_told += (uint32_t)piece->count;
    for (size_t i = 0; i < piece->count; i++) {
        if (piece->facts[i].is_child) {
            continue;
        }
        if (host->piece_count == host->piece_capacity) {
            host->piece_capacity = host->piece_capacity == 0 ? 16 : host->piece_capacity * 2;
            host->pieces = xrealloc(host->pieces, host->piece_capacity * sizeof(host->pieces[0]));
        }
        host->pieces[host->piece_count++] = piece->facts[i];
    }
    world->counts.pieces++;
    if (piece->is_last) {
        end_pieces(host);
    }
}

static void hear_message(struct sim_host *host, const struct server_message *message)
{
    if (message->kind == SERVER_MESSAGE_WELCOME) {
        hear_welcome(host, message);
        return;
    }
    world_expect(host->world, host->is_welcomed, "welcome-comes-first");
    if (host->partial != NULL && message->seq == host->partial->seq + 1) {
        host->dealt = host->partial->seq; /* The task is its no more: the rest is not told. */
        host->partial = NULL;
    }
    world_expect(host->world, message->seq <= host->dealt + 1, "server-numbers-without-gap");
    bool is_new = message->seq == 0 || message->seq == host->dealt + 1;
    if (is_new && message->kind == SERVER_MESSAGE_REFUSED) {
        hear_refused(host, message);
    }
    hear_ack(host, message->ack);
    if (message->kind == SERVER_MESSAGE_FACTS) {
        hear_facts(host, message->facts);
        return;
    }
    if (!is_new) {
        return;
    }
    bool has_more = (message->kind == SERVER_MESSAGE_TASK && message->task->more != NULL) ||
                    (message->kind == SERVER_MESSAGE_OUTCOME && message->outcome.more != NULL);
    if (has_more) {
        begin_pieces(host, message);
        return;
    }
    host->dealt = message->seq != 0 ? message->seq : host->dealt;
    if (message->kind == SERVER_MESSAGE_TASK) {
        hear_task(host, message->task);
    } else if (message->kind == SERVER_MESSAGE_CANCEL || message->kind == SERVER_MESSAGE_STOP) {
        struct sim_task *held = find_held(host, message->cancelled.task);
        if (held == NULL || message->cancelled.epoch < held->epoch) {
            return;
        }
        if (message->kind == SERVER_MESSAGE_STOP) {
            drop(host, message->cancelled.task);
            return;
        }
        held->is_cancelled = true;
        sim_work_later(host, held);
    } else if (message->kind == SERVER_MESSAGE_YIELD) {
        struct sim_task *held = find_held(host, message->cancelled.task);
        if (held != NULL && message->cancelled.epoch == held->epoch) {
            held->is_wanted = true;
        }
    } else if (message->kind == SERVER_MESSAGE_OUTCOME) {
        struct sim_task *held = find_held(host, message->outcome.task);
        if (held != NULL) {
            tell_result(host->world, held, message->outcome.key, message->outcome.steps_before);
            sim_work_hear(host, held, message->outcome.key);
        }
    }
}

static void hear(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    (void)world;
    bool is_held = host->is_frozen || (host->link != NULL && host->link->is_silent);
    if (host->number != number || host->inbox_count == 0 || is_held) {
        return;
    }
    const struct server_message *message = host->inbox[0];
    host->inbox_count--;
    memmove(&host->inbox[0], &host->inbox[1], host->inbox_count * sizeof(host->inbox[0]));
    hear_message(host, message);
}

void sim_host_hear_all(struct sim_host *host)
{
    for (size_t i = 0; i < host->inbox_count; i++) {
        world_at(host->world, 1 + i, hear, host, host->number);
    }
}
