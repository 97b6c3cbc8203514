/*
 * What a task's code does: operations that follow from the task's name, so that every host that is
 * given it does the same, and goes on where its steps end. The code waits, is parked, is told of
 * a cancellation and cleans up, says what is stale and repeats itself.
 */
#include "service/hosts/leases.h"
#include "tests/simulation/world_hosts.h"

static void work(struct world *world, void *context, uint64_t number);

static uint64_t work_delay_ms(struct world *world)
{
    return world_fault(world, 10) ? world_below(world, 25000) : 5 + world_below(world, 1200);
}

static uint64_t name_of(const struct sim_task *task)
{
    struct task_ref ref = task->task;
    return str_hash(str_make(&ref, sizeof(ref)));
}

void sim_work_later(struct sim_host *host, const struct sim_task *task)
{
    world_at(host->world, work_delay_ms(host->world), work, host, name_of(task));
}

/* ---- The code. ---- */

static enum sim_op_kind draw_kind(struct draw *draw, const struct world *world, unsigned depth)
{
    struct row {
        unsigned percent;
        enum sim_op_kind kind;
    };
    static const struct row usual[] = {
        {40, OP_STEP},    {54, OP_SLEEP},  {66, OP_SUSPEND},  {76, OP_AWAIT},
        {84, OP_PUBLISH}, {90, OP_RESUME}, {97, OP_CHILDREN}, {100, OP_START},
    };
    static const struct row branching[] = {
        {30, OP_STEP}, {45, OP_SLEEP}, {50, OP_SUSPEND}, {85, OP_CHILDREN}, {100, OP_START}};
    const struct row *rows = world->is_branching ? branching : usual;
    unsigned at = (unsigned)draw_below(draw, 100);
    size_t row = 0;
    while (at >= rows[row].percent) {
        row++;
    }
    bool is_deep = depth >= 2 && (rows[row].kind == OP_CHILDREN || rows[row].kind == OP_START);
    return is_deep ? OP_STEP : rows[row].kind;
}

static void write_code(const struct world *world, struct sim_task *task)
{
    struct draw draw = {name_of(task) ^ world->seed * 0x9E3779B97F4A7C15u};
    task->op_count = draw_below(&draw, OPS_MAX);
    task->leaves_early = draw_chance(&draw, 15);
    for (size_t i = 0; i < task->op_count; i++) {
        task->ops[i] = (struct sim_op){
            .kind = draw_kind(&draw, world, task->depth),
            .is_joined = draw_chance(&draw, 70),
            .amount = draw_u64(&draw),
        };
    }
}

/* The step's key of an operation. */
static str key_of(struct world *world, size_t number)
{
    return arena_printf(&world->arena, "k%zu", number);
}

static struct sim_op *find_op(struct world *world, struct sim_task *task, str key)
{
    for (size_t i = 0; i < task->op_count; i++) {
        if (str_equal(key_of(world, i), key)) {
            return &task->ops[i];
        }
    }
    return NULL;
}

/* One that is said, and not durable yet, counts too. */
static void take_try(const struct world *world, struct sim_op *op, const struct settled_step *fact)
{
    assert(fact->kind == SETTLED_TRY);
    if (fact->try_number > op->tries) {
        op->tries = fact->try_number;
        op->again_ms = world->time_ms + fact->pause_ms;
    }
}

static void take_steps(struct world *world, struct sim_task *task, const struct host_task *given)
{
    task->outcomes_seen = 0;
    for (size_t i = 0; i < given->step_count; i++) {
        struct sim_op *op = find_op(world, task, given->steps[i].key);
        if (op != NULL && given->steps[i].kind == SETTLED_TRY) {
            take_try(world, op, &given->steps[i]);
            continue;
        }
        task->outcomes_seen += given->steps[i].is_step_request;
        task->is_shown |= given->steps[i].kind == SETTLED_CANCEL_SHOWN;
        if (op != NULL) {
            op->state = OP_STATE_SETTLED;
        }
    }
}

void sim_work_begin(struct sim_host *host, struct sim_task *task, const struct host_task *given)
{
    struct world *world = host->world;
    const struct sim_run *run = world_find_run(world, task->task.run);
    bool is_below = run->marker.len > 2 && run->marker.ptr[1] == 'x';
    task->depth = is_below ? (unsigned)(run->marker.ptr[2] - '0') : 0;
    task->given_ms = world->time_ms;
    task->is_cancelled = given->is_cancelling;
    write_code(world, task);
    bool is_one_of_many = run->is_by_machine || run->marker.ptr[1] == 'q' || task->is_callback;
    task->op_count = is_one_of_many && task->op_count > 2 ? 2 : task->op_count;
    take_steps(world, task, given);
    sim_work_later(host, task);
}

/* What was asked for is asked for again: who held the task meanwhile may have failed with it. */
void sim_work_again(struct sim_host *host, struct sim_task *task, const struct host_task *given)
{
    for (size_t i = 0; i < task->op_count; i++) {
        struct sim_op *op = &task->ops[i];
        if (op->kind != OP_STEP && op->state == OP_STATE_ASKED) {
            op->state = OP_STATE_NEW;
        }
    }
    struct sim_task before = *task;
    take_steps(host->world, task, given);
    for (size_t i = 0; i < task->op_count; i++) { /* Its own steps it goes on saying. */
        if (task->ops[i].kind == OP_STEP) {
            task->ops[i].state = before.ops[i].state;
        }
    }
    sim_work_later(host, task);
}

void sim_work_hear(struct sim_host *host, struct sim_task *task, str key)
{
    struct sim_op *op = find_op(host->world, task, key);
    if (op == NULL || op->state == OP_STATE_SETTLED || task->is_parked) {
        return;
    }
    op->state = OP_STATE_SETTLED;
    task->outcomes_seen++;
    sim_work_later(host, task);
}

enum {
    CHANCE_MS = 15000, /* Whoever was connected for so long has heard what there is to hear. */
};

static bool hears(const struct sim_host *host)
{
    const struct world *world = host->world;
    return sim_host_is_connected(host) && !host->link->is_deaf && !host->is_frozen &&
           host->link->is_open && !host->link->is_mute && !host->link->is_silent &&
           host->welcomed_ms + CHANCE_MS < world->time_ms &&
           world->trouble_ms + CHANCE_MS < world->time_ms;
}

static bool is_at_work(const struct world *world, const struct sim_task *task)
{
    return !task->is_done && !task->is_parked && task->given_ms + CHANCE_MS < world->time_ms;
}

bool world_work_is_untold(const struct world *world, uuid run)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        const struct sim_host *host = world->hosts[i];
        for (size_t j = 0; j < host->held_count && hears(host); j++) {
            const struct sim_task *task = &host->held[j];
            if (uuid_equal(task->task.run, run) && is_at_work(world, task) && !task->is_cancelled) {
                return true;
            }
        }
    }
    return false;
}

static void check_told(struct world *world, const struct sim_host *host,
                       const struct sim_task *task)
{
    const struct sim_run *run = world_find_run(world, task->task.run);
    const struct ledger_effect *effect = ledger_open(&run->ledger, task->task.effect);
    bool is_held = run->ledger.ended == EVENT_NONE && effect != NULL && effect->is_leased &&
                   effect->attempt == task->epoch && effect->host == host_hash_of(str_of(host->id));
    for (size_t i = 0; i < task->op_count && is_held; i++) {
        const struct sim_wait *wait = sim_run_wait(run, task->task.effect, key_of(world, i));
        bool is_late =
            wait != NULL && wait->is_settled && wait->settled_ms + CHANCE_MS < world->time_ms;
        world_expect(world, task->ops[i].state != OP_STATE_ASKED || !is_late,
                     "outcomes-reach-who-waits-for-them");
    }
}

void world_work_check_told(struct world *world)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        const struct sim_host *host = world->hosts[i];
        for (size_t j = 0; j < host->held_count && hears(host); j++) {
            if (is_at_work(world, &host->held[j])) {
                check_told(world, host, &host->held[j]);
            }
        }
    }
}

/* ---- Saying. ---- */

static struct outcome draw_outcome(struct world *world)
{
    if (world_below(world, 100) < 15) {
        return (struct outcome){
            .failed = true, .error_type = STR("ValueError"), .error_message = STR("it went wrong")};
    }
    return (struct outcome){.value = world_draw_value(world)};
}

/* Answers nobody asked for: an older epoch, a missing number, a task it never had. */
static void say_stale(struct sim_host *host, const struct sim_task *task)
{
    struct world *world = host->world;
    struct host_message message = {
        .kind = HOST_MESSAGE_TASK_DONE,
        .task = task->task,
        .epoch = task->epoch - 1,
        .outcome = draw_outcome(world),
    };
    unsigned what = (unsigned)world_below(world, 5);
    if (what == 0) {
        message.task.effect += 100;
    } else if (what == 1) {
        message.kind = HOST_MESSAGE_STEP_DONE;
        message.epoch = task->epoch;
        message.number = task->steps + 20 + (uint32_t)world_below(world, 3); /* Never its own. */
        message.key = STR("gap");
    } else if (what == 2) {
        message.kind = HOST_MESSAGE_STEP_REQUEST;
        message.key = STR("order");
        message.step_request.kind = STEP_REQUEST_SLEEP;
        message.step_request.due_ms = 1;
    } else if (what == 3) {
        message.kind = HOST_MESSAGE_PARK;
    }
    world->counts.stale++;
    sim_host_say(host, message, true);
}

static void say_again(struct sim_host *host)
{
    if (host->unacknowledged_count > 0) {
        size_t pick = world_below(host->world, host->unacknowledged_count);
        sim_host_post(host, &host->unacknowledged[pick].message);
    }
}

static struct host_message message_of(const struct sim_task *task, enum host_message_kind kind)
{
    return (struct host_message){.kind = kind, .task = task->task, .epoch = task->epoch};
}

/* How often a step fails before it settles. */
static uint32_t tries_of(const struct sim_op *op)
{
    assert(op->kind == OP_STEP);
    return op->amount % 3 == 0 ? 1 + (uint32_t)(op->amount / 3 % 3) : 0;
}

/* A try of it failed: a fact, as the one before it is. */
static void do_try(struct sim_host *host, struct sim_task *task, struct sim_op *op, str key)
{
    struct host_message message = message_of(task, HOST_MESSAGE_STEP_TRY);
    message.number = ++task->steps;
    message.key = key;
    message.try_number = ++op->tries;
    message.pause_ms = op->amount / 9 % 4 == 0 ? op->amount / 36 % 9000 : op->amount / 36 % 50;
    message.outcome = (struct outcome){
        .failed = true, .error_type = STR("ValueError"), .error_message = STR("not yet")};
    op->again_ms = host->world->time_ms + message.pause_ms;
    host->world->counts.tries++;
    sim_host_say(host, message, false);
}

static void do_step(struct sim_host *host, struct sim_task *task, str key)
{
    struct host_message message = message_of(task, HOST_MESSAGE_STEP_DONE);
    message.number = ++task->steps;
    message.key = key;
    message.outcome = draw_outcome(host->world);
    sim_host_say(host, message, false);
}

/* Its code sees it from here on, and in every later life at the same place. */
static void show_cancel(struct sim_host *host, struct sim_task *task)
{
    struct host_message message = message_of(task, HOST_MESSAGE_CANCEL_SHOWN);
    message.number = ++task->steps;
    task->is_shown = true;
    sim_host_say(host, message, false);
}

/* Its code waits for it no more, and in no later life. */
static void give_up(struct sim_host *host, struct sim_task *task, struct sim_op *op, str key)
{
    struct host_message message = message_of(task, HOST_MESSAGE_WITHDRAW);
    message.number = ++task->steps;
    message.key = key;
    message.facts_seen = task->outcomes_seen + task->steps - 1;
    op->state = OP_STATE_SETTLED;
    host->world->counts.given_up++;
    sim_host_void_request(host, task->task, key);
    sim_host_say(host, message, false);
}

/* Mostly it lets things go on, often with something else: of an input, with the same. */
static void draw_decision(struct world *world, const struct sim_task *task,
                          struct host_message *message)
{
    bool may_change = task->phase != CALLBACK_TURN_START && task->phase != CALLBACK_TURN_END;
    message->is_callback = world_below(world, 100) < 98;
    if (!message->outcome.failed || world_below(world, 100) < 50) {
        message->outcome = (struct outcome){0};
    }
    if (task->phase == CALLBACK_REPLY && !world->calm && world_below(world, 100) < 25) {
        message->outcome = (struct outcome){.failed = true,
                                            .error_type = STR(ENGINE_REPLY_REJECTED),
                                            .error_message = STR("too much")};
    }
    if (!message->outcome.failed && may_change && world_below(world, 2) == 0) {
        message->outcome.value = task->phase == CALLBACK_RUN_START    ? task->input
                                 : task->phase == CALLBACK_REPLY      ? STR("{\"content\":\"{}\"}")
                                 : task->phase == CALLBACK_TOOL_START ? STR("{\"amended\":1}")
                                                                      : STR("\"amended\"");
    }
}

static void do_end(struct sim_host *host, struct sim_task *task)
{
    struct host_message message = message_of(task, HOST_MESSAGE_TASK_DONE);
    message.outcome = draw_outcome(host->world);
    if (task->is_callback) {
        draw_decision(host->world, task, &message);
    }
    message.is_retryable = message.outcome.failed && world_below(host->world, 100) < 60;
    if (world_fault(host->world, 10)) { /* It was not this code that made the history. */
        message.outcome = (struct outcome){.failed = true,
                                           .error_type = STR(ENGINE_NON_DETERMINISM),
                                           .error_message = STR("other steps")};
    }
    task->is_done = true;
    sim_host_say(host, message, false);
}

static void draw_children(struct world *world, const struct sim_task *task,
                          struct host_step_request *order)
{
    static const struct {
        unsigned kind;
        const char *name;
    } kinds[] = {
        {2, "flow"}, {2, "flow"},   {2, "sleepy"}, {2, "unknown"}, {3, "add"},
        {3, "solo"}, {1, "helper"}, {1, "helper"}, {1, "ghost"},
    };
    size_t count = 1 + world_below(world, world_below(world, 5) == 0 ? 6 : 2);
    count = world->is_branching && world->run_count < WORLD_RUNS_MAX / 2 ? count + 2 : count;
    struct host_child *children = arena_zalloc(&world->arena, count * sizeof(*children));
    for (size_t i = 0; i < count; i++) {
        /* One whose agent nobody has defined spoils the request: rare. */
        size_t bound = world_below(world, 6) == 0 ? COUNT_OF(kinds) : COUNT_OF(kinds) - 1;
        size_t kind = world_below(world, bound);
        uint64_t timeout_ms = 5000 + world_below(world, 60000);
        int32_t max_retries = (int32_t)world_below(world, 4) - 1;
        bool outlives_parent = world_below(world, 4) == 0;
        children[i] = (struct host_child){
            .kind = kinds[kind].kind,
            .name = str_of(kinds[kind].name),
            .input = arena_printf(&world->arena, "\"x%u-%llu\"", task->depth + 1,
                                  (unsigned long long)++world->child_number),
            .options.timeout_ms = timeout_ms,
            .options.session_id = STR("session"),
            .options.max_retries = max_retries,
            .options.outlives_parent = outlives_parent,
        };
        if (children[i].kind != 1 && world_below(world, 2) == 0) { /* The parent's own, too. */
            children[i].options.queue =
                world_queue_name((unsigned)world_below(world, WORLD_QUEUES));
            children[i].options.concurrency_key =
                world_queue_key((unsigned)world_below(world, WORLD_KEYS));
            children[i].options.priority = (int32_t)world_below(world, 3) - 1;
        }
    }
    order->kind = STEP_REQUEST_START;
    order->children = children;
    order->child_count = count;
}

static void draw_resume(struct world *world, const struct sim_task *task,
                        struct host_step_request *order)
{
    const struct sim_run *run = world->runs[world_below(world, world->run_count)];
    order->kind = STEP_REQUEST_RESUME;
    order->run = world_below(world, 10) == 0 ? task->task.run : run->id;
    order->step_key = key_of(world, world_below(world, OPS_MAX));
    order->data = STR("{\"from\":\"code\"}");
    for (size_t i = 0; i < run->wait_count; i++) {
        if (run->waits[i].is_open && run->waits[i].kind == EFFECT_SUSPENSION) {
            order->step_key = run->waits[i].key;
        }
    }
    order->run = world_below(world, 4) == 0 ? run->root : order->run;
}

static uint64_t draw_due(struct world *world, uint64_t amount)
{
    return amount % 2 == 0 ? 0 : world_wall_ms(world) + 2000 + amount / 2 % 20000;
}

static struct host_step_request draw_step_request(struct world *world, const struct sim_task *task,
                                                  const struct sim_op *op)
{
    struct host_step_request order = {.kind = STEP_REQUEST_SLEEP};
    static const char *const types[] = {"", "a", "b"};
    switch (op->kind) {
    case OP_STEP:
        assert(false);
        break;
    case OP_SLEEP:
        order.due_ms = world_wall_ms(world) + (op->amount % 4 == 0    ? 0
                                               : op->amount % 40 == 1 ? op->amount % 800000
                                                                      : op->amount % 25000);
        break;
    case OP_SUSPEND:
        order.kind = STEP_REQUEST_SUSPENSION;
        order.data = STR("{\"ask\":\"may I\"}");
        order.answer_schema = op->amount / 3 % 4 == 0 ? WORLD_SCHEMA : STR_EMPTY;
        order.due_ms = draw_due(world, op->amount);
        break;
    case OP_AWAIT:
        order.kind = STEP_REQUEST_EVENT;
        order.topic = world_topic_name((unsigned)(op->amount / 7 % WORLD_CODE_TOPICS));
        order.event_type = str_of(types[op->amount / 5 % 3]);
        order.due_ms = draw_due(world, op->amount);
        break;
    case OP_CHILDREN:
    case OP_START:
        draw_children(world, task, &order);
        order.waits = op->kind == OP_CHILDREN;
        break;
    case OP_PUBLISH:
        order.kind = STEP_REQUEST_PUBLISH;
        order.topic = world_topic_name((unsigned)(op->amount / 7 % WORLD_TOPICS));
        order.event_type = str_of(types[1 + op->amount / 5 % 2]);
        order.data = STR("{\"n\":1}");
        break;
    case OP_RESUME:
        draw_resume(world, task, &order);
        break;
    }
    return order;
}

static void do_step_request(struct sim_host *host, struct sim_task *task, struct sim_op *op,
                            str key)
{
    struct host_message message = message_of(task, HOST_MESSAGE_STEP_REQUEST);
    message.key = key;
    message.step_request = draw_step_request(host->world, task, op);
    op->state = OP_STATE_ASKED;
    sim_host_say(host, message, false);
    if (world_fault(host->world, 10)) {
        sim_host_say(host, message, false); /* Under two numbers: it is one step request. */
    }
    bool starts = message.step_request.kind == STEP_REQUEST_START;
    if (starts && world_fault(host->world, 8)) {
        world_cancel(host->world, task->task.run); /* Perhaps in one round. */
    }
}

static void show_progress(struct sim_host *host, const struct sim_task *task)
{
    struct host_message message = message_of(task, HOST_MESSAGE_DELTA);
    message.text = STR("half way");
    sim_host_post(host, &message);
}

/* ---- Working. ---- */

/* It waits: the host is patient for a while, and then lets go of it. */
static void wait(struct sim_host *host, struct sim_task *task)
{
    struct world *world = host->world;
    bool is_patient = name_of(task) % 2 == 0;
    if (world_below(world, 100) < (task->is_wanted ? 5 : is_patient ? 98 : 75)) {
        world_at(world, 500 + world_below(world, 4000), work, host, name_of(task));
        return;
    }
    struct host_message message = message_of(task, HOST_MESSAGE_PARK);
    bool is_stale = task->outcomes_seen > 0 && world_fault(world, 10);
    message.outcomes_seen = task->outcomes_seen - is_stale;
    task->is_parked = true;
    sim_host_say(host, message, false);
}

/* Its host cannot carry it on: somebody else may. */
static void release(struct sim_host *host, struct sim_task *task)
{
    struct host_message message = message_of(task, HOST_MESSAGE_RELEASE);
    message.text = STR(LEDGER_RELEASED);
    task->is_parked = true;
    host->world->counts.releases++;
    world_say(host->world, "host %s: releases a task", host->id);
    sim_host_say(host, message, false);
}

/* A step, something nobody may wait for, and the end; or nothing at all. */
static void clean_up(struct sim_host *host, struct sim_task *task)
{
    struct world *world = host->world;
    if (!task->is_shown) {
        show_cancel(host, task);
    }
    unsigned what = task->cleaned++;
    if (what == 0 && world_below(world, 2) == 0) {
        do_step(host, task, arena_printf(&world->arena, "c%u", task->steps + 1));
    } else if (what == 1 && world_below(world, 2) == 0) {
        struct sim_op op = {
            .kind = world_below(world, 2) == 0 ? OP_PUBLISH : OP_SLEEP,
            .amount = world_below(world, 1000),
        };
        op.kind = task->depth < 2 && world_below(world, 4) == 0 ? OP_START : op.kind;
        do_step_request(host, task, &op, arena_printf(&world->arena, "farewell-%u", task->epoch));
    } else if (what >= 2) {
        struct host_message message = message_of(task, HOST_MESSAGE_TASK_DONE);
        message.outcome = draw_outcome(world);
        message.is_cancelled = world_below(world, 100) < 80;
        task->is_done = true;
        sim_host_say(host, message, false);
        return;
    }
    if (!world_fault(world, 5)) {
        sim_work_later(host, task);
    }
}

/* The next operation; false: it has to wait for one. */
static bool do_next(struct sim_host *host, struct sim_task *task)
{
    struct world *world = host->world;
    bool is_open = false;
    for (size_t i = 0; i < task->op_count; i++) {
        struct sim_op *op = &task->ops[i];
        bool is_step = op->state == OP_STATE_NEW && op->kind == OP_STEP;
        if (is_step && op->again_ms > world->time_ms) {
            world_at(world, op->again_ms - world->time_ms, work, host, name_of(task));
            return true;
        }
        if (is_step && op->tries < tries_of(op)) {
            do_try(host, task, op, key_of(world, i));
            sim_work_later(host, task);
            return true;
        }
        if (is_step) {
            op->state = OP_STATE_SETTLED;
            do_step(host, task, key_of(world, i));
            sim_work_later(host, task);
            return true;
        }
        if (op->state == OP_STATE_NEW) {
            do_step_request(host, task, op, key_of(world, i));
            sim_work_later(host, task);
            return true;
        }
        if (op->state == OP_STATE_ASKED && world_fault(world, 4)) {
            give_up(host, task, op, key_of(world, i));
            sim_work_later(host, task);
            return true;
        }
        if (op->state == OP_STATE_ASKED && op->is_joined) {
            return false;
        }
        is_open |= op->state == OP_STATE_ASKED;
    }
    if (is_open && !task->leaves_early) {
        return false;
    }
    do_end(host, task);
    return true;
}

static struct sim_task *find_by_name(struct sim_host *host, uint64_t name)
{
    for (size_t i = 0; i < host->held_count; i++) {
        if (name_of(&host->held[i]) == name) {
            return &host->held[i];
        }
    }
    return NULL;
}

static void work(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    struct sim_task *task = find_by_name(host, number);
    if (task == NULL || task->is_done || task->is_parked) {
        return;
    }
    if (host->is_frozen) {
        world_at(world, 500, work, host, number);
        return;
    }
    if (world_fault(world, 6)) {
        say_stale(host, task);
    }
    if (world_fault(world, 6)) {
        say_again(host);
    }
    if (world_below(world, 100) < 15) {
        show_progress(host, task);
    }
    if (world_fault(world, 1)) {
        release(host, task);
    } else if (task->is_cancelled) {
        clean_up(host, task);
    } else if (!do_next(host, task)) {
        wait(host, task);
    }
}
