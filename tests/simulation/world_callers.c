/*
 * The callers: each wants one run, asks until it has it, and then waits, watches, reads and
 * cancels. What it is answered is held against the laws.
 */
#include "service/base/failure.h"
#include "service/base/hash.h"
#include "service/features/callers/callers.h"
#include "service/features/definitions/definitions.h"
#include "service/features/reports/reports.h"
#include "service/features/starts/starts.h"
#include "service/partition/request.h"
#include "tests/simulation/world.h"

enum {
    FOLLOWS_MAX = 3,
    FORGOTTEN_MS = 5000, /* What a commit that failed, and was looked into, may take. */
};

struct sim_start {
    struct world *world;
    unsigned index;
    enum run_kind kind;
    str name;
    str marker;
    str key; /* Empty: none. */
    unsigned queue; /* WORLD_QUEUES: none. */
    unsigned queue_key;
    int32_t priority;
    uint64_t timeout_ms;
    unsigned tries;
    unsigned asks; /* Not answered yet. */
    bool is_acked;
    bool is_given_up; /* Nobody knows whether it was started, and nobody may ask again. */
    bool is_waited; /* The wait was answered with the end. */
    uuid run;
    struct sim_follow *follows[FOLLOWS_MAX];
    size_t follow_count;
};

struct ask {
    struct sim_ask base;
    struct sim_start *start;
    unsigned version;
    uint64_t registered; /* When it was asked. */
    uint64_t deletions; /* Of the agent, when it was asked. */
    bool is_queue_known; /* When it was asked. */
    uint64_t queue_deletions; /* And how often it had been deleted. */
    uint32_t seen; /* Events committed when it was asked. */
    str marker;
    bool is_other; /* Another request under a used key. */
};

static uint64_t tickets;

static struct ask *ask_new(struct sim_start *start)
{
    struct ask *ask = arena_zalloc(&start->world->arena, sizeof(*ask));
    ask->base.world = start->world;
    ask->start = start;
    return ask;
}

/* ---- Reading. ---- */

static void judge_report(struct ask *ask, const struct run_report *report)
{
    const struct sim_run *run = world_find_run(ask->base.world, ask->start->run);
    bool is_durable = memcmp(&report->state, &run->folded, sizeof(report->state)) == 0;
    world_expect(ask->base.world, is_durable, "reads-see-what-is-durable");
    world_expect(ask->base.world, str_equal(report->name, ask->start->name),
                 "reports-name-the-run");
}

static void read_something(struct sim_start *start)
{
    struct world *world = start->world;
    unsigned what = (unsigned)world_below(world, 3);
    if (what == 0) {
        world_read_run(world, start->run);
    } else if (what == 1) {
        world_read_history(world, start->run);
    } else {
        world_read_list(world);
    }
}

/* ---- Waiting and cancelling. ---- */

static void wait_for_end(struct world *world, void *context, uint64_t number);

static bool is_suspended(const struct run *state)
{
    bool suspended = false;
    for (uint32_t i = 0; i < state->effect_count; i++) {
        suspended |= state->effects[i].kind == EFFECT_SUSPENSION;
    }
    return suspended;
}

/* It, or one below it where it is a root. */
static bool asks_somebody(const struct world *world, const struct sim_run *run)
{
    bool asks = is_suspended(&run->folded);
    for (size_t i = 0; uuid_is_zero(run->parent) && i < world->run_count && !asks; i++) {
        asks = uuid_equal(world->runs[i]->root, run->id) && is_suspended(&world->runs[i]->folded);
    }
    return asks;
}

/* What it has waited for beside the end. */
static bool judge_early(const struct world *world, const struct sim_run *run,
                        const struct wait_request *wait)
{
    bool has_fact = wait->or_after_seq != 0 && run->folded.seq > wait->or_after_seq;
    return has_fact || (wait->or_suspended && asks_somebody(world, run));
}

/* Whether a fact that it waited for came long before its time was up. */
static bool was_forgotten(const struct sim_run *run, const struct wait_request *wait)
{
    return wait->or_after_seq != 0 && run->folded.seq > wait->or_after_seq &&
           run->times[wait->or_after_seq] + FORGOTTEN_MS < wait->due_ms;
}

/* True: the run has ended. Else the time is up, which is asked for, and no sooner than that, or
 * what it waited for beside the end has come. */
static bool judge_wait(struct ask *ask, const struct wait_request *wait)
{
    struct world *world = ask->base.world;
    const struct sim_run *run = world_find_run(world, ask->start->run);
    bool has_ended = run->ledger.ended != EVENT_NONE;
    bool is_up =
        wait->timeout_ms > 0 && (int64_t)world->time_ms + world->skew_ms >= (int64_t)wait->due_ms;
    bool is_early = judge_early(world, run, wait);
    world_expect(world, has_ended || is_up || is_early, "waits-end-with-the-run-or-their-time");
    world_expect(world, has_ended || !is_up || !was_forgotten(run, wait),
                 "waits-end-with-the-fact-they-are-for");
    judge_report(ask, wait->report.ret);
    return has_ended;
}

static void wait_done(struct request *request, const struct failure *failure)
{
    struct ask *ask = world_answered(request);
    struct sim_start *start = ((struct ask *)request->context)->start;
    struct world *world = start->world;
    if (ask != NULL && failure == NULL) {
        start->is_waited = judge_wait(ask, wait_request(request));
    }
    if (ask == NULL || !start->is_waited) {
        if (ask != NULL && failure != NULL) {
            bool may = failure->code == CODE_CANCELLED;
            world_fail_law(ask->base.world, failure, may, "promised-runs-can-be-waited-for");
        }
        world_at(world, 50 + world_below(world, 3000), wait_for_end, start, 0);
    }
    request_free(request);
}

static void forget_done(struct request *request, const struct failure *failure)
{
    (void)failure;
    world_answered(request);
    request_free(request);
}

static void forget(struct world *world, void *context, uint64_t ticket)
{
    struct sim_start *start = context;
    (void)world;
    struct request *request = request_new(&forget_operation);
    request->run = start->run;
    forget_request(request)->ticket = ticket;
    world_ask(&ask_new(start)->base, request, forget_done);
}

static void wait_for_end(struct world *world, void *context, uint64_t number)
{
    struct sim_start *start = context;
    (void)number;
    struct request *request = request_new(&wait_operation);
    request->run = start->run;
    wait_request(request)->ticket = ++tickets;
    wait_request(request)->timeout_ms = world_below(world, 2) * (1 + world_below(world, 20000));
    wait_request(request)->or_suspended = world_below(world, 4) == 0;
    wait_request(request)->or_after_seq =
        world_below(world, 2) == 0 ? (uint32_t)world_below(world, 24) : 0;
    uint64_t ticket = tickets;
    if (!world_ask(&ask_new(start)->base, request, wait_done)) {
        world_at(world, 50 + world_below(world, 3000), wait_for_end, start, 0);
    } else if (world_fault(world, 25)) {
        world_at(world, world_below(world, 8000), forget, start, ticket);
    }
}

static void cancel_done(struct request *request, const struct failure *failure)
{
    struct ask *ask = world_answered(request);
    if (ask != NULL) {
        const struct sim_run *run = world_find_run(ask->base.world, ask->start->run);
        bool has_ended = run->ledger.ended != EVENT_NONE;
        if (failure == NULL) {
            world_expect(ask->base.world, has_ended || run->ledger.is_cancelling,
                         "a-cancelled-run-ends-or-cleans-up");
        } else {
            bool is_late = failure->code == CODE_FAILED_PRECONDITION && has_ended;
            world_fail_law(ask->base.world, failure, is_late, "live-runs-can-be-cancelled");
        }
    }
    request_free(request);
}

static void cancel(struct world *world, void *context, uint64_t number)
{
    struct sim_start *start = context;
    (void)number, (void)world;
    struct request *request = request_new(&cancel_operation);
    request->run = start->run;
    cancel_request(request)->cause = STR("the caller changed its mind");
    world_ask(&ask_new(start)->base, request, cancel_done);
}

/* ---- Starting. ---- */

static void ask_for_run(struct world *world, void *context, uint64_t is_other);

static void poke(struct world *world, void *context, uint64_t number)
{
    struct sim_start *start = context;
    read_something(start);
    if (start->key.len > 0 && world_fault(world, 20)) {
        ask_for_run(world, start, 1);
    }
    if (world_callers_are_done(world) || number > 200) {
        return;
    }
    world_at(world, 200 + world_below(world, 15000), poke, start, number + 1);
}

static void begin_life(struct sim_start *start)
{
    struct world *world = start->world;
    start->follow_count = world_below(world, FOLLOWS_MAX);
    for (size_t i = 0; i < start->follow_count; i++) {
        start->follows[i] =
            world_follow(world, start->run, world_below(world, 3) > 0, world_below(world, 2) == 0);
    }
    wait_for_end(world, start, 0);
    world_at(world, world_below(world, 4000), poke, start, 0);
    if (world_fault(world, 12)) {
        world_at(world, world_below(world, 40000), cancel, start, 0);
    }
}

static void judge_start(struct ask *ask, struct request *request)
{
    struct sim_start *start = ask->start;
    struct world *world = ask->base.world;
    const struct sim_run *run = world_find_run(world, start_request(request)->ret_run);
    world_expect(world, !ask->is_other, "a-key-is-for-one-request");
    world_expect(world, run != NULL, "acknowledged-starts-are-durable");
    if (!world_is_well(world)) {
        return;
    }
    world_expect(world, str_equal(run->marker, ask->marker), "a-start-gets-its-own-run");
    world_expect(world, !start->is_acked || uuid_equal(start->run, start_request(request)->ret_run),
                 "a-key-finds-its-run");
    world_expect(world, !start_request(request)->ret_existed || start->key.len > 0,
                 "only-a-key-finds-a-run");
    world->counts.starts_repeated += start_request(request)->ret_existed;
    if (!start->is_acked) {
        start->is_acked = true;
        start->run = start_request(request)->ret_run;
        start->marker = ask->marker;
        begin_life(start);
    }
}

static uint64_t queue_deletions(const struct sim_start *start)
{
    return start->queue == WORLD_QUEUES ? 0 : start->world->queues[start->queue].deletions;
}

static void start_failed(struct ask *ask, const struct failure *failure)
{
    struct sim_start *start = ask->start;
    struct world *world = ask->base.world;
    bool is_known = failure != NULL && failure->code == CODE_RESOURCE_EXHAUSTED;
    if (failure != NULL) {
        bool is_unregistered = failure->code == CODE_NOT_FOUND && ask->registered == 0;
        is_unregistered |= failure->code == CODE_NOT_FOUND &&
                           (!ask->is_queue_known || ask->queue_deletions != queue_deletions(start));
        is_unregistered |= failure->reason == REASON_AGENT_NOT_FOUND &&
                           ask->deletions != ask->base.world->agent_deletions;
        bool is_reused = failure->code == CODE_ALREADY_EXISTS && ask->is_other;
        world_fail_law(ask->base.world, failure, is_unregistered || is_reused,
                       "good-starts-are-taken");
        is_known |= is_unregistered;
    }
    if (start->is_acked || ask->is_other) {
        return;
    }
    if (start->key.len == 0 && !is_known) {
        start->is_given_up = true;
        return;
    }
    if (start->key.len == 0) {
        world_expect(world, world_find_marked(world, ask->marker) == NULL,
                     "refused-starts-leave-nothing");
    }
    if (start->asks == 0) {
        world_at(world, 100 + world_below(world, 3000), ask_for_run, start, 0);
    }
}

static void start_done(struct request *request, const struct failure *failure)
{
    struct ask *ask = world_answered(request);
    ((struct ask *)request->context)->start->asks--;
    if (ask != NULL && failure == NULL) {
        judge_start(ask, request);
    } else {
        start_failed(request->context, ask == NULL ? NULL : failure);
    }
    request_free(request);
}

static void ask_for_run(struct world *world, void *context, uint64_t is_other)
{
    struct sim_start *start = context;
    if (!is_other && (start->is_given_up || (start->is_acked && start->key.len == 0))) {
        return;
    }
    struct ask *ask = ask_new(start);
    ask->registered = world->registered;
    ask->deletions = world->agent_deletions;
    ask->is_queue_known = start->queue == WORLD_QUEUES || world->queues[start->queue].is_defined;
    ask->queue_deletions = ask->is_queue_known ? queue_deletions(start) : 0;
    ask->is_other = is_other;
    ask->marker = start->marker;
    if (start->key.len == 0) {
        ask->marker = arena_printf(&world->arena, "\"s%u-%u\"", start->index, start->tries);
    }
    start->tries++;
    struct request *request = request_new(&start_operation);
    start_request(request)->spec.kind = start->kind;
    start_request(request)->spec.name = start->name;
    start_request(request)->spec.input = ask->marker;
    start_request(request)->spec.options.idempotency_key = start->key;
    start_request(request)->spec.options.session_id = STR("session");
    if (start->queue != WORLD_QUEUES) {
        start_request(request)->spec.options.queue = world_queue_name(start->queue);
        start_request(request)->spec.options.concurrency_key = world_queue_key(start->queue_key);
        start_request(request)->spec.options.priority = start->priority;
    }
    start_request(request)->spec.options.timeout_ms = start->timeout_ms;
    hash128(is_other ? STR("other") : ask->marker, start_request(request)->digest);
    if (world_ask(&ask->base, request, start_done)) {
        start->asks++;
        if (start->key.len > 0 && world_fault(world, 15)) {
            ask_for_run(world, start, is_other); /* At once, in the same batch. */
        }
    } else if (!is_other && start->asks == 0) {
        world_at(world, 100 + world_below(world, 3000), ask_for_run, start, 0);
    }
}

/* ---- Registering. ---- */

static void ask_register(struct world *world, void *context, uint64_t version);

static void register_done(struct request *request, const struct failure *failure)
{
    struct ask *ask = world_answered(request);
    unsigned version = ((struct ask *)request->context)->version;
    struct world *world = ((struct sim_ask *)request->context)->world;
    if (ask != NULL && failure == NULL) {
        str hash = str_make(register_request(request)->ret_hash,
                            sizeof(register_request(request)->ret_hash));
        world_expect(world, str_hash(hash) == world->definitions[version],
                     "a-definition-has-its-hash");
        world->registered |= 1u << version;
    } else {
        if (ask != NULL) {
            world_fail_law(ask->base.world, failure, false, "good-definitions-are-taken");
        }
        world_at(world, 100 + world_below(world, 2000), ask_register, NULL, version);
    }
    request_free(request);
}

static void ask_register(struct world *world, void *context, uint64_t version)
{
    (void)context;
    struct ask *ask = arena_zalloc(&world->arena, sizeof(*ask));
    ask->base.world = world;
    ask->version = (unsigned)version;
    struct request *request = request_new(&register_operation);
    register_request(request)->definition = world_definition(world, (unsigned)version);
    if (!world_ask(&ask->base, request, register_done)) {
        world_at(world, 100 + world_below(world, 2000), ask_register, NULL, version);
    }
}

void world_register(struct world *world, unsigned version)
{
    world_at(world, 1, ask_register, NULL, version);
}

static void draw_start(struct world *world, struct sim_start *start)
{
    static const struct {
        enum run_kind kind;
        const char *name;
    } kinds[] = {
        {RUN_KIND_AGENT, "helper"},  {RUN_KIND_AGENT, "helper"},     {RUN_KIND_AGENT, "helper"},
        {RUN_KIND_WORKFLOW, "flow"}, {RUN_KIND_WORKFLOW, "sleepy"},  {RUN_KIND_TOOL, "add"},
        {RUN_KIND_TOOL, "solo"},     {RUN_KIND_WORKFLOW, "unknown"},
    };
    size_t kind = world_below(world, COUNT_OF(kinds));
    start->world = world;
    start->kind = kinds[kind].kind;
    start->name = str_of(kinds[kind].name);
    start->marker = arena_printf(&world->arena, "\"s%u\"", start->index);
    start->key = world_below(world, 100) < 70 ? arena_printf(&world->arena, "key-%u", start->index)
                                              : STR_EMPTY;
    bool is_queued = start->kind != RUN_KIND_AGENT && world_below(world, 2) == 0;
    start->queue = is_queued ? (unsigned)world_below(world, WORLD_QUEUES) : WORLD_QUEUES;
    start->queue_key = (unsigned)world_below(world, WORLD_KEYS);
    start->priority = (int32_t)world_below(world, 3) - 1;
    start->timeout_ms = 5000 + world_below(world, 300000);
}

static void hash_definitions(struct world *world)
{
    world->definition_count = 3;
    for (unsigned i = 0; i < world->definition_count; i++) {
        struct buf encoded = {0};
        uint8_t hash[16];
        agent_definition_encode(world_definition(world, i), &encoded);
        agent_definition_hash(buf_str(&encoded), hash);
        world->definitions[i] = str_hash(str_make(hash, sizeof(hash)));
        buf_fini(&encoded);
    }
}

void world_callers_begin(struct world *world)
{
    tickets = 0;
    hash_definitions(world);
    world_at(world, 1, ask_register, NULL, 0);
    world_at(world, world_below(world, 60000), ask_register, NULL, 1);
    world->start_count = 3 + world_below(world, WORLD_STARTS_MAX - 3);
    for (unsigned i = 0; i < world->start_count; i++) {
        struct sim_start *start = arena_zalloc(&world->arena, sizeof(*start));
        start->index = i;
        draw_start(world, start);
        world->starts[i] = start;
        world_at(world, world_below(world, 50000), ask_for_run, start, 0);
    }
}

static const char *wait_of(const struct sim_start *start)
{
    if (start->is_given_up) {
        return NULL;
    }
    if (!start->is_acked) {
        return "a start";
    }
    for (size_t i = 0; i < start->follow_count; i++) {
        if (!world_follow_is_done(start->follows[i])) {
            return "a watcher";
        }
    }
    return start->is_waited ? NULL : "a wait";
}

const char *world_callers_wait_for(const struct world *world)
{
    for (size_t i = 0; i < world->start_count; i++) {
        const char *what = wait_of(world->starts[i]);
        if (what != NULL) {
            return what;
        }
    }
    return NULL;
}

bool world_callers_are_done(const struct world *world)
{
    return world_callers_wait_for(world) == NULL;
}
