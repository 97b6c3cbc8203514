/*
 * Those who define queues, again and again, who crowd them with runs that nobody follows, and who
 * look at them. What they are answered is held against the laws.
 */
#include "service/base/failure.h"
#include "service/base/hash.h"
#include "service/features/queues/queues.h"
#include "service/features/starts/starts.h"
#include "service/partition/request.h"
#include "tests/simulation/world.h"

enum {
    CROWD_MAX = 5,
};

struct queue_ask {
    struct sim_ask base;
    unsigned queue;
    bool is_defined; /* When it was asked. */
    uint64_t deletions; /* Of it by then. */
    str marker;
};

static struct queue_ask *ask_new(struct world *world, unsigned queue)
{
    struct queue_ask *ask = arena_zalloc(&world->arena, sizeof(*ask));
    ask->base.world = world;
    ask->queue = queue;
    ask->is_defined = world->queues[queue].is_defined;
    ask->deletions = world->queues[queue].deletions;
    return ask;
}

static bool was_deleted(const struct queue_ask *ask)
{
    return ask->base.world->queues[ask->queue].deletions > ask->deletions;
}

/* ---- Defining. ---- */

struct queue_limits world_draw_limits(struct world *world)
{
    static const uint32_t limits[] = {0, 1, 1, 2, 3};
    bool has_rate = world_below(world, 2) == 0;
    return (struct queue_limits){
        .concurrency = limits[world_below(world, COUNT_OF(limits))],
        .per_key = limits[world_below(world, COUNT_OF(limits) - 1)],
        .rate = has_rate ? 1 + (uint32_t)world_below(world, WORLD_RATE_MAX) : 0,
        .rate_period_ms = has_rate ? 1000 + world_below(world, 20000) : 0,
    };
}

static void define_done(struct request *request, const struct failure *failure)
{
    struct queue_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        world_fail_law(ask->base.world, failure, false, "queues-can-be-defined");
    } else if (ask != NULL) {
        world_expect(ask->base.world,
                     ask->base.world->queues[ask->queue].is_defined || was_deleted(ask),
                     "acknowledged-queues-are-durable");
    }
    request_free(request);
}

static void define_as(struct world *world, unsigned queue, struct queue_limits limits)
{
    struct request *request = request_new(&put_queue_operation);
    put_queue_request(request)->offer.name = world_queue_name(queue);
    put_queue_request(request)->offer.limits = limits;
    world_ask(&ask_new(world, queue)->base, request, define_done);
}

static void define(struct world *world, unsigned queue)
{
    if (world_fault(world, 25)) { /* By mistake, and put right at once. */
        define_as(world, queue, (struct queue_limits){0});
    }
    define_as(world, queue, world_draw_limits(world));
}

/* ---- Crowding. ---- */

static void start_done(struct request *request, const struct failure *failure)
{
    struct queue_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        bool is_undefined =
            failure->code == CODE_NOT_FOUND && (!ask->is_defined || was_deleted(ask));
        world_fail_law(ask->base.world, failure, is_undefined, "good-starts-are-taken");
        bool is_there = world_find_marked(ask->base.world, ask->marker) != NULL;
        world_expect(ask->base.world, !is_there || failure->code == CODE_UNAVAILABLE,
                     "refused-starts-leave-nothing");
    } else if (ask != NULL) {
        const struct sim_run *run =
            world_find_run(ask->base.world, start_request(request)->ret_run);
        world_expect(ask->base.world, run != NULL && str_equal(run->marker, ask->marker),
                     "acknowledged-starts-are-durable");
        const struct run_spec *spec = &start_request(request)->spec;
        world_expect(
            ask->base.world,
            !world_is_well(ask->base.world) ||
                (run->queue == ask->queue && run->priority == spec->options.priority &&
                 str_equal(world_queue_key(run->queue_key), spec->options.concurrency_key)),
            "a-run-stands-where-its-start-puts-it");
    }
    request_free(request);
}

static void start_one(struct world *world, unsigned queue)
{
    struct queue_ask *ask = ask_new(world, queue);
    struct request *request = request_new(&start_operation);
    struct run_spec *spec = &start_request(request)->spec;
    ask->marker =
        arena_printf(&world->arena, "\"q%llu\"", (unsigned long long)++world->child_number);
    spec->kind = RUN_KIND_WORKFLOW;
    spec->name = world_below(world, 4) == 0 ? STR("sleepy") : STR("flow");
    spec->input = ask->marker;
    spec->options.queue = world_queue_name(queue);
    spec->options.concurrency_key = world_queue_key((unsigned)world_below(world, WORLD_KEYS));
    spec->options.priority = (int32_t)world_below(world, 3) - 1;
    spec->options.timeout_ms = 5000 + world_below(world, 90000);
    world_ask(&ask->base, request, start_done);
}

/* ---- Looking. ---- */

static void judge_report(struct world *world, const struct queue_report *report)
{
    unsigned number = 0;
    while (number < WORLD_QUEUES && !str_equal(report->name, world_queue_name(number))) {
        number++;
    }
    world_expect(world, number < WORLD_QUEUES && world->queues[number].is_defined,
                 "only-defined-queues-are-listed");
    if (!world_is_well(world)) {
        return;
    }
    const struct queue_limits *limits = &world->queues[number].limits;
    world_expect(world,
                 report->limits.concurrency == limits->concurrency &&
                     report->limits.per_key == limits->per_key &&
                     report->limits.rate == limits->rate &&
                     report->limits.rate_period_ms == limits->rate_period_ms,
                 "a-listed-queue-has-its-limits");
    world_expect(world,
                 report->running == laws_admitted(world, number, WORLD_KEYS) &&
                     report->waiting == laws_awaiting(world, number),
                 "a-listed-queue-counts-its-runs");
    if (!world_is_well(world)) {
        world_detail(world, "queue " STR_FMT " says %u and %u; held %u, waiting %u",
                     STR_ARG(report->name), report->running, report->waiting,
                     laws_admitted(world, number, WORLD_KEYS), laws_awaiting(world, number));
    }
}

static void list_done(struct request *request, const struct failure *failure)
{
    struct queue_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        world_fail_law(ask->base.world, failure, false, "queues-can-be-listed");
    } else if (ask != NULL) {
        size_t defined = 0;
        for (unsigned i = 0; i < WORLD_QUEUES; i++) {
            defined += ask->base.world->queues[i].is_defined;
        }
        world_expect(ask->base.world, queues_request(request)->ret_count == defined,
                     "all-queues-are-listed");
        for (size_t i = 0; i < queues_request(request)->ret_count && world_is_well(ask->base.world);
             i++) {
            judge_report(ask->base.world, &queues_request(request)->ret[i]);
        }
    }
    request_free(request);
}

static void list(struct world *world)
{
    struct request *request = request_new(&list_queues_operation);
    queues_request(request)->limit = 100;
    world_ask(&ask_new(world, 0)->base, request, list_done);
}

static void get_done(struct request *request, const struct failure *failure)
{
    struct queue_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        bool is_undefined =
            failure->code == CODE_NOT_FOUND && !ask->base.world->queues[ask->queue].is_defined;
        world_fail_law(ask->base.world, failure, is_undefined, "defined-queues-are-shown");
    } else if (ask != NULL) {
        judge_report(ask->base.world, &get_queue_request(request)->ret);
    }
    request_free(request);
}

static void get(struct world *world, unsigned queue)
{
    struct request *request = request_new(&get_queue_operation);
    get_queue_request(request)->name = world_queue_name(queue);
    world_ask(&ask_new(world, queue)->base, request, get_done);
}

/* ---- Deleting. ---- */

static void delete_done(struct request *request, const struct failure *failure)
{
    struct queue_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        bool may = failure->code == CODE_FAILED_PRECONDITION ||
                   (failure->code == CODE_NOT_FOUND && (!ask->is_defined || was_deleted(ask)));
        world_fail_law(ask->base.world, failure, may, "idle-queues-can-be-deleted");
    } else if (ask != NULL) {
        world_expect(ask->base.world, was_deleted(ask), "acknowledged-deletions-are-durable");
    }
    request_free(request);
}

/* Not the one that a workflow's code names. */
static void delete_idle(struct world *world, unsigned queue)
{
    if (queue == 1) {
        return;
    }
    struct request *request = request_new(&delete_queue_operation);
    delete_queue_request(request)->name = world_queue_name(queue);
    world_ask(&ask_new(world, queue)->base, request, delete_done);
}

/* ---- When. ---- */

static void define_missing(struct world *world)
{
    for (unsigned i = 0; i < WORLD_QUEUES; i++) {
        if (!world->queues[i].is_defined) {
            define(world, i);
        }
    }
}

static void do_command(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    world_at(world, 500 + world_below(world, 12000), do_command, NULL, 0);
    if (world->calm) {
        define_missing(world);
        return;
    }
    unsigned what = (unsigned)world_below(world, 10);
    unsigned queue = (unsigned)world_below(world, WORLD_QUEUES);
    if (what < 4) {
        define(world, queue);
    } else if (what < 6) {
        list(world);
    } else if (what < 7) {
        get(world, queue);
        delete_idle(world, queue);
    } else if (world->run_count < 30) {
        size_t count = 1 + world_below(world, CROWD_MAX);
        for (size_t i = 0; i < count; i++) {
            start_one(world, queue);
        }
    }
}

void world_queues_begin(struct world *world)
{
    for (unsigned i = 0; i < WORLD_QUEUES; i++) {
        if (world_below(world, 4) > 0) {
            define(world, i);
        }
    }
    world_at(world, 1000, do_command, NULL, 0);
}
