/*
 * The hosts' processes: each keeps one side of the host protocol as tools.proto tells it, works
 * on what it is given, and meets every accident a process and its network can have.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/simulation/world.h"

enum {
    HELD_MAX = 64,
    UNACKNOWLEDGED_MAX = 4096,
    INBOX_MAX = 4096,
    SLOTS_MAX = 3,
    LINKS_MAX = 4096,
};

struct sim_link {
    struct host_link link;
    struct sim_host *host;
    bool is_open;
    bool is_closed; /* By the server: nothing may follow. */
    bool is_deaf; /* Looks alive; nothing passes either way. */
};

struct sim_task {
    struct task_ref task;
    uint32_t epoch;
    uint32_t steps; /* Said, those that came with the task included. */
    bool is_done; /* Its end was said. */
};

struct sim_sent {
    struct host_message message;
    bool is_void; /* Nobody waits for its acknowledgement. */
};

struct sim_host {
    struct world *world;
    unsigned index;
    unsigned incarnation;
    uint64_t number; /* Of the process; late happenings of an earlier one are passed over. */
    char id[32];
    uint32_t slots;
    struct sim_link *link; /* NULL: not connected. */
    bool is_welcomed;
    bool is_leaving;
    str token;
    uint64_t sent;
    uint64_t dealt;
    struct sim_task held[HELD_MAX];
    size_t held_count;
    struct sim_sent unacknowledged[UNACKNOWLEDGED_MAX];
    size_t unacknowledged_count;
    const struct server_message *inbox[INBOX_MAX]; /* On the way to it. */
    size_t inbox_count;
};

static struct world *current; /* A link's pack() has no context. */

static const struct {
    const char *tools[5];
    const char *workflows[3];
} offers[WORLD_HOSTS] = {
    {{"add", "search", "send", "slow"}, {"flow"}},
    {{"add", "slow"}, {"flow", "sleepy"}},
    {{"search", "send"}, {NULL}},
    {{"solo"}, {"sleepy"}},
};

/* ---- Definitions. ---- */

const struct agent_definition *world_definition(struct world *world, unsigned version)
{
    static const struct {
        const char *name;
        uint64_t timeout_ms;
        bool at_most_once;
    } rows[] = {
        {"add", 0, false}, {"search", 0, false}, {"send", 0, true},
        {"slow", 5000, false}, {"nowhere", 8000, false},
    };
    struct tool_definition *tools = arena_zalloc(&world->arena, sizeof(*tools) * COUNT_OF(rows));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        tools[i] = (struct tool_definition){.name = str_of(rows[i].name),
                                            .timeout_ms = rows[i].timeout_ms,
                                            .at_most_once = rows[i].at_most_once};
    }
    struct agent_definition *definition = arena_zalloc(&world->arena, sizeof(*definition));
    *definition = (struct agent_definition){
        .id = STR("helper"),
        .provider = STR("invented"),
        .model = STR("m"),
        .system_prompt = arena_printf(&world->arena, "%u", version),
        .tools = tools,
        .tool_count = COUNT_OF(rows),
        .temperature = 0.5,
        .max_steps = version == 0 ? 3 : 5,
        .max_total_tokens = version == 1 ? 300 : 0,
    };
    return definition;
}

/* ---- What the server may send. ---- */

static void judge_steps(struct world *world, const struct book *book, const struct host_task *task)
{
    uint32_t number = 0;
    for (size_t i = 0; i < book->step_count; i++) {
        const struct book_step *step = &book->steps[i];
        if (step->effect != task->task.effect) {
            continue;
        }
        bool is_there = number < task->step_count;
        world_expect(world, is_there && str_hash(task->steps[number].key) == step->key &&
                                str_hash(task->steps[number].outcome.value) == step->value,
                     "a-task-carries-its-settled-steps");
        if (!world_is_well(world)) {
            return;
        }
        number++;
    }
    world_expect(world, number == task->step_count, "a-task-carries-its-settled-steps");
}

static void judge_task(struct world *world, const struct host_task *task)
{
    struct book *book = books_find(world, task->task.run);
    world_expect(world, book != NULL, "acts-follow-their-commit");
    if (book == NULL) {
        return;
    }
    uint32_t id = task->task.effect;
    const struct ledger_effect *effect = ledger_open(&book->ledger, id);
    world_expect(world, book->ledger.ended == EVENT_NONE && effect != NULL,
                 "settled-tasks-are-not-given");
    if (effect == NULL) {
        return;
    }
    world_expect(world, effect->is_leased && effect->attempt == task->epoch,
                 "acts-follow-their-commit");
    world_expect(world, book->gives_seen[id] < task->epoch, "one-give-per-epoch");
    book->gives_seen[id] = task->epoch;
    world->counts.gives++;
    judge_steps(world, book, task);
}

static const struct host_task *copy_task(struct arena *arena, const struct host_task *task)
{
    struct host_task *copy = arena_alloc(arena, sizeof(*copy));
    *copy = *task;
    copy->steps = NULL; /* Judged already; only their number is used. */
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
            judge_task(world, message->task);
        }
        copy.task = copy_task(arena, message->task);
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

static void hear(struct world *world, void *context, uint64_t number);

static void judge_holder(struct sim_host *host, const struct server_message *message)
{
    struct world *world = host->world;
    const struct task_ref *task = &message->task->task;
    const struct book *book = books_find(world, task->run);
    const struct ledger_effect *effect = ledger_open(&book->ledger, task->effect);
    bool is_current = effect != NULL && effect->is_leased && effect->attempt == message->task->epoch;
    world_expect(world, !is_current || effect->host == host_hash_of(str_of(host->id)),
                 "tasks-go-to-their-holder");
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
        uint64_t mixed[] = {host->index, message->seq, message->ack, (uint64_t)message->kind};
        world_mix(world, str_make(mixed, sizeof(mixed)));
        assert(host->inbox_count < INBOX_MAX);
        host->inbox[host->inbox_count++] = message;
        world_at(world, 1 + world_below(world, 60), hear, host, host->number);
    }
    payload_unref(payload);
}

static void dial(struct world *world, void *context, uint64_t number);

static void lose_link(struct sim_host *host, uint64_t again_ms)
{
    host->link = NULL;
    host->is_welcomed = false;
    host->inbox_count = 0;
    host->number++;
    world_at(host->world, again_ms, dial, host, host->number);
}

static void link_close(struct host_link *link, enum code code, const char *reason, str message)
{
    struct sim_link *it = container_of(link, struct sim_link, link);
    struct world *world = it->host->world;
    (void)code, (void)message;
    if (!world_sees(world)) {
        return;
    }
    static const char *const wrong[] = {"SEQUENCE_GAP", "ACK_BEYOND", "UNNUMBERED",
                                        "INVALID_FIELD", "UNACKNOWLEDGED"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        world_expect(world, strcmp(reason, wrong[i]) != 0, "orderly-hosts-are-not-sent-away");
    }
    if (!world_is_well(world)) {
        world_detail(world, "%s: " STR_FMT, reason, STR_ARG(message));
    }
    world_say(world, "host %s: closed, %s", it->host->id, reason);
    it->is_open = false;
    it->is_closed = true;
    if (it->host->link == it) {
        lose_link(it->host, 100 + world_below(world, 4000));
    }
}

static const struct host_link_vtable link_vtable = {
    .pack = pack,
    .send = link_send,
    .close = link_close,
};

/* ---- What a host says. ---- */

static bool is_connected(const struct sim_host *host)
{
    return host->link != NULL && host->is_welcomed && host->link->is_open;
}

static void post(struct sim_host *host, const struct host_message *message)
{
    if (!is_connected(host) || host->link->is_deaf) {
        return;
    }
    struct request *request = request_new(REQUEST_HOST_MESSAGE);
    request->host.link = &host->link->link;
    request->host.message = *message;
    request->host.message.ack = host->dealt;
    world_post(host->world, request); /* When it is down, the stream breaks too. */
}

static void say(struct sim_host *host, struct host_message message, bool is_void)
{
    assert(host->unacknowledged_count < UNACKNOWLEDGED_MAX);
    message.seq = ++host->sent;
    host->unacknowledged[host->unacknowledged_count++] = (struct sim_sent){message, is_void};
    post(host, &message);
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

static bool is_about_task(const struct host_message *message)
{
    return message->kind == HOST_MESSAGE_STEP_DONE || message->kind == HOST_MESSAGE_TASK_DONE;
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

static void judge_durable(struct sim_host *host, const struct host_message *message)
{
    struct world *world = host->world;
    const struct book *book = books_find(world, message->task.run);
    const struct ledger_effect *effect = ledger_open(&book->ledger, message->task.effect);
    bool is_over = book->ledger.ended != EVENT_NONE || effect == NULL;
    bool is_written = is_over;
    for (size_t i = 0; i < book->step_count && message->kind == HOST_MESSAGE_STEP_DONE; i++) {
        is_written |= book->steps[i].effect == message->task.effect &&
                      book->steps[i].number == message->number &&
                      book->steps[i].key == str_hash(message->key);
    }
    world_expect(world, is_written, "what-is-acknowledged-is-durable");
    if (!world_is_well(world)) {
        world_detail(world, "host %s message %llu step %u", host->id,
                     (unsigned long long)message->seq, message->number);
    }
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
        judge_durable(host, &sent->message);
        if (sent->message.kind == HOST_MESSAGE_TASK_DONE) {
            unhold(host, sent->message.task);
        }
    }
    host->unacknowledged_count -= count;
    memmove(host->unacknowledged, host->unacknowledged + count,
            host->unacknowledged_count * sizeof(host->unacknowledged[0]));
}

static void renumber(struct sim_host *host)
{
    size_t kept = 0;
    for (size_t i = 0; i < host->unacknowledged_count; i++) {
        if (!host->unacknowledged[i].is_void) {
            host->unacknowledged[kept] = host->unacknowledged[i];
            host->unacknowledged[kept].message.seq = kept + 1;
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
    host->token = message->welcome.session;
    if (message->welcome.resumed) {
        hear_ack(host, message->ack);
    }
    for (size_t i = 0; i < message->welcome.lost_count; i++) {
        drop(host, message->welcome.lost[i].task);
    }
    if (!message->welcome.resumed) {
        renumber(host);
    }
    host->world->counts.reconnects++;
    for (size_t i = 0; i < host->unacknowledged_count; i++) {
        post(host, &host->unacknowledged[i].message);
    }
}

static void work(struct world *world, void *context, uint64_t number);

/* A task comes again with a higher epoch while it is at work: what was said is said again. */
static void hear_again(struct sim_host *host, struct sim_task *held, uint32_t epoch)
{
    if (epoch <= held->epoch) {
        return;
    }
    held->epoch = epoch;
    size_t count = host->unacknowledged_count;
    for (size_t i = 0; i < count; i++) {
        struct sim_sent *sent = &host->unacknowledged[i];
        if (!sent->is_void && is_about_task(&sent->message) &&
            task_ref_equal(sent->message.task, held->task)) {
            struct host_message again = sent->message;
            again.epoch = epoch;
            sent->is_void = true;
            say(host, again, false);
        }
    }
}

static uint64_t work_delay_ms(struct world *world)
{
    return world_fault(world, 10) ? world_below(world, 25000) : 5 + world_below(world, 1200);
}

static void hear_task(struct sim_host *host, const struct host_task *task)
{
    struct world *world = host->world;
    struct sim_task *held = find_held(host, task->task);
    if (held != NULL) {
        hear_again(host, held, task->epoch);
        return;
    }
    assert(host->held_count < HELD_MAX);
    host->held[host->held_count++] = (struct sim_task){
        .task = task->task,
        .epoch = task->epoch,
        .steps = (uint32_t)task->step_count,
    };
    size_t busy = 0;
    for (size_t i = 0; i < host->held_count; i++) {
        busy += !host->held[i].is_done;
    }
    world_expect(world, busy <= host->slots, "slots-are-not-overbooked");
    uint64_t name = str_hash(str_make(&task->task, sizeof(task->task)));
    world_at(world, work_delay_ms(world), work, host, name);
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
        world_expect(host->world, strcmp(message->refused.reason, "STALE_EPOCH") == 0,
                     "orderly-answers-are-only-refused-when-stale");
        if (!world_is_well(host->world)) {
            world_detail(host->world, "%s", message->refused.reason);
        }
        drop(host, sent->message.task);
        return;
    }
}

static void hear_message(struct sim_host *host, const struct server_message *message)
{
    if (message->kind == SERVER_MESSAGE_WELCOME) {
        hear_welcome(host, message);
        return;
    }
    world_expect(host->world, host->is_welcomed, "welcome-comes-first");
    world_expect(host->world, message->seq <= host->dealt + 1, "server-numbers-without-gap");
    bool is_new = message->seq == 0 || message->seq == host->dealt + 1;
    if (is_new && message->kind == SERVER_MESSAGE_REFUSED) {
        hear_refused(host, message);
    }
    hear_ack(host, message->ack);
    if (!is_new) {
        return;
    }
    host->dealt = message->seq != 0 ? message->seq : host->dealt;
    if (message->kind == SERVER_MESSAGE_TASK) {
        hear_task(host, message->task);
    } else if (message->kind == SERVER_MESSAGE_CANCEL) {
        struct sim_task *held = find_held(host, message->cancelled.task);
        if (held != NULL && message->cancelled.epoch >= held->epoch) {
            drop(host, message->cancelled.task);
        }
    }
}

static void hear(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    (void)world;
    if (host->number != number || host->inbox_count == 0) {
        return;
    }
    const struct server_message *message = host->inbox[0];
    host->inbox_count--;
    memmove(&host->inbox[0], &host->inbox[1], host->inbox_count * sizeof(host->inbox[0]));
    hear_message(host, message);
}

/* ---- Work. ---- */

static struct sim_task *find_by_name(struct sim_host *host, uint64_t name)
{
    for (size_t i = 0; i < host->held_count; i++) {
        struct task_ref task = host->held[i].task;
        if (str_hash(str_make(&task, sizeof(task))) == name) {
            return &host->held[i];
        }
    }
    return NULL;
}

static struct host_outcome draw_outcome(struct world *world)
{
    if (world_below(world, 100) < 15) {
        return (struct host_outcome){.failed = true,
                                     .error_type = STR("ValueError"),
                                     .error_message = STR("it went wrong")};
    }
    uint64_t value = world_below(world, 1000000);
    return (struct host_outcome){
        .value = arena_printf(&world->arena, "%llu", (unsigned long long)value)};
}

/* Answers nobody asked for: an older epoch, a missing number, a task it never had. */
static void speak_out_of_turn(struct sim_host *host, const struct sim_task *task)
{
    struct world *world = host->world;
    struct host_message message = {
        .kind = HOST_MESSAGE_TASK_DONE,
        .task = task->task,
        .epoch = task->epoch - 1,
        .outcome = draw_outcome(world),
    };
    unsigned what = (unsigned)world_below(world, 4);
    if (what == 0) {
        message.task.effect += 100;
    } else if (what == 1) {
        message.kind = HOST_MESSAGE_STEP_DONE;
        message.epoch = task->epoch;
        message.number = task->steps + 2 + (uint32_t)world_below(world, 3);
        message.key = STR("gap");
    } else if (what == 2) {
        message.kind = HOST_MESSAGE_ORDER;
        message.key = STR("order");
    }
    world->counts.stale++;
    say(host, message, true);
}

static void speak_again(struct sim_host *host)
{
    if (host->unacknowledged_count > 0) {
        size_t pick = world_below(host->world, host->unacknowledged_count);
        post(host, &host->unacknowledged[pick].message);
    }
}

static void do_step(struct sim_host *host, struct sim_task *task)
{
    struct world *world = host->world;
    task->steps++;
    struct host_message message = {
        .kind = HOST_MESSAGE_STEP_DONE,
        .task = task->task,
        .epoch = task->epoch,
        .number = task->steps,
        .key = arena_printf(&world->arena, "k%u", task->steps),
        .outcome = draw_outcome(world),
    };
    say(host, message, false);
}

static void do_end(struct sim_host *host, struct sim_task *task)
{
    task->is_done = true;
    struct host_message message = {
        .kind = HOST_MESSAGE_TASK_DONE,
        .task = task->task,
        .epoch = task->epoch,
        .outcome = draw_outcome(host->world),
    };
    say(host, message, false);
}

static void show_progress(struct sim_host *host, const struct sim_task *task)
{
    struct host_message message = {
        .kind = HOST_MESSAGE_DELTA,
        .task = task->task,
        .epoch = task->epoch,
        .text = STR("half way"),
    };
    post(host, &message);
}

static void work(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    struct sim_task *task = find_by_name(host, number);
    if (task == NULL || task->is_done) {
        return;
    }
    if (world_fault(world, 6)) {
        speak_out_of_turn(host, task);
    }
    if (world_fault(world, 6)) {
        speak_again(host);
    }
    if (world_below(world, 100) < 15) {
        show_progress(host, task);
    }
    uint32_t planned = (uint32_t)(number % 5);
    if (task->steps < planned) {
        do_step(host, task);
        world_at(world, work_delay_ms(world), work, host, number);
    } else {
        do_end(host, task);
    }
}

/* ---- Life. ---- */

static void new_process(struct sim_host *host)
{
    struct world *world = host->world;
    bool same_name = world_fault(world, 25) && host->incarnation > 0;
    host->incarnation += !same_name;
    snprintf(host->id, sizeof(host->id), "h%u-%u", host->index, host->incarnation);
    host->slots = 1 + (uint32_t)world_below(world, SLOTS_MAX);
    host->token = STR_EMPTY;
    host->sent = 0;
    host->dealt = 0;
    host->held_count = 0;
    host->unacknowledged_count = 0;
    host->is_leaving = false;
}

static void gone_done(struct request *request, const struct failure *failure)
{
    struct world *world = request->context;
    (void)failure;
    world->open_requests--;
    request_free(request);
}

/* The server learns that a stream has broken. */
static void tell_gone(struct world *world, void *context, uint64_t life)
{
    struct sim_link *link = context;
    if (!link->is_open || world->life != life) {
        return;
    }
    link->is_open = false;
    struct request *request = request_new(REQUEST_HOST_GONE);
    request->host.link = &link->link;
    request->context = world;
    request->done = gone_done;
    if (world_post(world, request)) {
        world->open_requests++;
    }
}

static void break_link(struct sim_host *host, uint64_t again_ms)
{
    struct world *world = host->world;
    if (host->link == NULL) {
        return;
    }
    struct sim_link *link = host->link;
    lose_link(host, again_ms);
    if (world_fault(world, 30)) {
        world_at(world, world_below(world, 30000), tell_gone, link, world->life);
    } else {
        tell_gone(world, link, world->life);
    }
}

static void hello_done(struct request *request, const struct failure *failure)
{
    struct world *world = request->context;
    (void)failure; /* The link was closed, or the process is gone: dialled again either way. */
    world->open_requests--;
    request_free(request);
}

static void fill_offers(struct sim_host *host, struct host_hello *hello)
{
    struct host_offer *list = arena_zalloc(&host->world->arena, 8 * sizeof(*list));
    for (size_t i = 0; i < COUNT_OF(offers[0].tools) && offers[host->index].tools[i]; i++) {
        list[hello->offer_count++] =
            (struct host_offer){TASK_TOOL, str_of(offers[host->index].tools[i])};
    }
    for (size_t i = 0; i < COUNT_OF(offers[0].workflows) && offers[host->index].workflows[i]; i++) {
        list[hello->offer_count++] =
            (struct host_offer){TASK_WORKFLOW, str_of(offers[host->index].workflows[i])};
    }
    hello->offers = list;
}

static void fill_hello(struct sim_host *host, struct host_hello *hello)
{
    struct arena *arena = &host->world->arena;
    struct held_task *held = arena_alloc(arena, (host->held_count + 1) * sizeof(*held));
    for (size_t i = 0; i < host->held_count; i++) {
        held[i] = (struct held_task){host->held[i].task, host->held[i].epoch};
    }
    *hello = (struct host_hello){
        .host_id = arena_copy(arena, str_of(host->id)),
        .slots = host->slots,
        .session = host->token,
        .ack = host->token.len > 0 ? host->dealt : 0,
        .held = held,
        .held_count = host->held_count,
    };
    fill_offers(host, hello);
}

static void dial(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    if (host->number != number || host->link != NULL) {
        return;
    }
    if (world_fault(world, 10)) {
        host->token = STR_EMPTY; /* It forgot, and does not know what the session was sent. */
        renumber(host);
    }
    struct sim_link *link = arena_zalloc(&world->arena, sizeof(*link));
    link->link.vtable = &link_vtable;
    link->host = host;
    link->is_open = true;
    struct request *request = request_new(REQUEST_HOST_HELLO);
    request->hello.link = &link->link;
    fill_hello(host, &request->hello.hello);
    if (host->index == 0) {
        request->hello.definitions = world_definition(world, (unsigned)world_below(world, 3));
        request->hello.definition_count = 1;
    }
    request->context = world;
    request->done = hello_done;
    host->link = link;
    host->is_welcomed = false;
    if (!world_post(world, request)) {
        lose_link(host, 500 + world_below(world, 2000));
        return;
    }
    world->open_requests++;
}

static void die(struct sim_host *host)
{
    world_say(host->world, "host %s: dies", host->id);
    host->world->counts.host_deaths++;
    uint64_t again_ms = 100 + world_below(host->world, 20000);
    if (host->link != NULL) {
        break_link(host, again_ms);
    } else {
        host->number++;
        world_at(host->world, again_ms, dial, host, host->number);
    }
    new_process(host);
}

static void leave(struct sim_host *host)
{
    if (!host->is_leaving) {
        host->is_leaving = true;
        say(host, (struct host_message){.kind = HOST_MESSAGE_DRAIN}, false);
    } else if (host->held_count == 0) {
        die(host);
    }
}

/* Heartbeats, acknowledgements and accidents, as long as the world turns. */
static void beat(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    (void)number;
    struct host_message heartbeat = {.kind = HOST_MESSAGE_HEARTBEAT};
    post(host, &heartbeat);
    if (host->is_leaving) {
        leave(host);
    } else if (world_fault(world, 4)) {
        die(host);
    } else if (world_fault(world, 8)) {
        break_link(host, 50 + world_below(world, 25000));
    } else if (host->link != NULL && world_fault(world, 4)) {
        host->link->is_deaf = true;
        world_say(world, "host %s: deaf", host->id);
    } else if (host->link != NULL && host->link->is_deaf && world_below(world, 3) == 0) {
        break_link(host, 50);
    } else if (is_connected(host) && world_fault(world, 2)) {
        leave(host);
    }
    world_at(world, world->lease_ms / 3, beat, host, 0);
}

void world_hosts_begin(struct world *world)
{
    current = world;
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        struct sim_host *host = xcalloc(1, sizeof(*host));
        world->hosts[i] = host;
        host->world = world;
        host->index = i;
        new_process(host);
        world_at(world, world_below(world, 4000), dial, host, host->number);
        world_at(world, world_below(world, 5000), beat, host, 0);
    }
}

void world_hosts_end_life(struct world *world)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        struct sim_host *host = world->hosts[i];
        if (host->link != NULL) {
            host->link->is_open = false;
            lose_link(host, 100 + world_below(world, 5000));
        }
    }
}

void world_hosts_calm(struct world *world)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        if (world->hosts[i]->link != NULL && world->hosts[i]->link->is_deaf) {
            break_link(world->hosts[i], 50);
        }
    }
}

void world_hosts_free(struct world *world)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        free(world->hosts[i]);
        world->hosts[i] = NULL;
    }
}
