/*
 * Those who put schedules, replace, delete and list them; and what each host offers of clockwork:
 * schedules, triggers and queues, as its version of the code has them.
 */
#include "service/base/failure.h"
#include "service/features/queues/queues.h"
#include "service/features/schedules/schedules.h"
#include "service/features/tasks/tasks.h"
#include "service/features/triggers/triggers.h"
#include "service/partition/request.h"
#include "tests/simulation/world.h"

enum {
    BY_CALLERS = WORLD_SCHEDULES - 1, /* The last one is the hosts'. */
    TICKS_AFTER_MS = 70000, /* Of a calm world; then the clock starts nothing any more. */
    TIDY_MS = 5000,
};

#define NO_ZONE "Nowhere/City"

static const char *const crons[] = {
    "* * * * *", "* * * * *", "*/2 * * * *", "1-59/3 * * * *", "@hourly", "16 4 * * MON-FRI",
};

struct schedule_ask {
    struct sim_ask base;
    unsigned schedule;
    bool was_there; /* When it was asked, ... */
    uint64_t deletions; /* ... and how often it had been deleted, ... */
    uint64_t pauses; /* ... or paused. */
};

static struct schedule_ask *ask_new(struct world *world, unsigned schedule)
{
    struct schedule_ask *ask = arena_zalloc(&world->arena, sizeof(*ask));
    ask->base.world = world;
    ask->schedule = schedule;
    ask->was_there = world->schedules[schedule].is_there;
    ask->deletions = world->schedules[schedule].deletions;
    ask->pauses = world->schedules[schedule].pauses;
    return ask;
}

/* ---- Putting and deleting. ---- */

static void put_done(struct request *request, const struct failure *failure)
{
    struct schedule_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        bool is_bad = failure->code == CODE_INVALID_ARGUMENT &&
                      str_is(put_schedule_request(request)->offer.zone, NO_ZONE);
        world_fail_law(ask->base.world, failure, is_bad, "good-schedules-are-taken");
    } else if (ask != NULL) {
        const struct sim_schedule *schedule = &ask->base.world->schedules[ask->schedule];
        world_expect(ask->base.world,
                     schedule->is_there || schedule->deletions > ask->deletions, /* At once. */
                     "acknowledged-schedules-are-durable");
        world_expect(ask->base.world, !str_is(put_schedule_request(request)->offer.zone, NO_ZONE),
                     "bad-schedules-are-refused");
    }
    request_free(request);
}

static void put(struct world *world, unsigned number)
{
    struct request *request = request_new(&put_schedule_operation);
    struct schedule_offer *offer = &put_schedule_request(request)->offer;
    *offer = (struct schedule_offer){
        .name = world_schedule_workflow(number),
        .key = world_schedule_key(number),
        .cron = str_of(crons[world_below(world, COUNT_OF(crons))]),
        .zone = world_below(world, 10) == 0
                    ? STR(NO_ZONE)
                    : world_zone_name((unsigned)world_below(world, WORLD_ZONES)),
    };
    if (world_below(world, 2) == 0) {
        offer->input = arena_printf(&request->arena, "\"tick-%u-%llu\"", number,
                                    (unsigned long long)world_below(world, 3));
    }
    world_ask(&ask_new(world, number)->base, request, put_done);
}

static void delete_done(struct request *request, const struct failure *failure)
{
    struct schedule_ask *ask = world_answered(request);
    const struct sim_schedule *schedule =
        ask == NULL ? NULL : &ask->base.world->schedules[ask->schedule];
    if (ask != NULL && failure != NULL) {
        bool is_missing = failure->code == CODE_NOT_FOUND &&
                          (!ask->was_there || schedule->deletions > ask->deletions);
        world_fail_law(ask->base.world, failure, is_missing, "schedules-can-be-deleted");
    } else if (ask != NULL) {
        world_expect(ask->base.world, schedule->deletions > ask->deletions,
                     "acknowledged-deletions-are-durable");
    }
    request_free(request);
}

static void delete (struct world *world, unsigned number)
{
    struct request *request = request_new(&delete_schedule_operation);
    delete_schedule_request(request)->id = world_schedule_id(number);
    world_ask(&ask_new(world, number)->base, request, delete_done);
}

static void pause_done(struct request *request, const struct failure *failure)
{
    struct schedule_ask *ask = world_answered(request);
    const struct sim_schedule *schedule =
        ask == NULL ? NULL : &ask->base.world->schedules[ask->schedule];
    if (ask != NULL && failure != NULL) {
        bool is_missing = failure->code == CODE_NOT_FOUND &&
                          (!ask->was_there || schedule->deletions > ask->deletions);
        world_fail_law(ask->base.world, failure, is_missing, "schedules-can-be-paused");
    } else if (ask != NULL) {
        world_expect(ask->base.world,
                     schedule->is_paused == pause_schedule_request(request)->pauses ||
                         schedule->pauses > ask->pauses,
                     "acknowledged-pauses-are-durable");
    }
    request_free(request);
}

static void pause(struct world *world, unsigned number, bool pauses)
{
    struct request *request = request_new(&pause_schedule_operation);
    pause_schedule_request(request)->id = world_schedule_id(number);
    pause_schedule_request(request)->pauses = pauses;
    pause_schedule_request(request)->cause = STR("holidays");
    world_ask(&ask_new(world, number)->base, request, pause_done);
}

/* ---- Starting its run at once. ---- */

static void call_done(struct request *request, const struct failure *failure)
{
    const struct sim_ask *base = request->context;
    const struct schedule_ask *asked = request->context;
    base->world->schedules[asked->schedule].callers--;
    struct schedule_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        const struct sim_schedule *schedule = &ask->base.world->schedules[ask->schedule];
        bool may = failure->code == CODE_FAILED_PRECONDITION ||
                   (failure->code == CODE_NOT_FOUND &&
                    (!ask->was_there || schedule->deletions > ask->deletions));
        world_fail_law(ask->base.world, failure, may, "schedules-can-be-called");
    } else if (ask != NULL) {
        world_expect(ask->base.world,
                     world_find_run(ask->base.world, trigger_schedule_request(request)->ret_run) !=
                         NULL,
                     "acknowledged-starts-are-durable");
    }
    request_free(request);
}

static void call(struct world *world, unsigned number)
{
    struct request *request = request_new(&trigger_schedule_operation);
    trigger_schedule_request(request)->id = world_schedule_id(number);
    if (world_ask(&ask_new(world, number)->base, request, call_done)) {
        world->schedules[number].callers++;
    }
}

/* ---- Looking. ---- */

static bool is_as_written(const struct schedule_view *view, const struct sim_schedule *schedule)
{
    const struct schedule_row *row = &schedule->row;
    return schedule->is_there && str_equal(view->cron, row->cron) &&
           str_equal(view->zone, row->zone) && view->next_ms == schedule->next_ms &&
           view->last_ms == row->last_tick_ms && view->skipped == row->skipped &&
           uuid_equal(view->last_run, row->run) && (view->input.len > 0) == row->has_input;
}

static void get_done(struct request *request, const struct failure *failure)
{
    struct schedule_ask *ask = world_answered(request);
    if (ask != NULL) {
        const struct sim_schedule *schedule = &ask->base.world->schedules[ask->schedule];
        bool is_missing = failure != NULL && failure->code == CODE_NOT_FOUND && !schedule->is_there;
        world_fail_law(ask->base.world, failure, failure == NULL || is_missing,
                       "schedules-are-shown");
        world_expect(ask->base.world,
                     failure != NULL ||
                         is_as_written(&get_schedule_request(request)->ret, schedule),
                     "schedules-are-shown-as-they-are-written");
    }
    request_free(request);
}

static void get(struct world *world, unsigned number)
{
    struct request *request = request_new(&get_schedule_operation);
    get_schedule_request(request)->id = world_schedule_id(number);
    world_ask(&ask_new(world, number)->base, request, get_done);
}

static void list_done(struct request *request, const struct failure *failure)
{
    struct schedule_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        world_fail_law(ask->base.world, failure, false, "schedules-can-be-listed");
    } else if (ask != NULL) {
        size_t listed = 0;
        size_t there = 0;
        for (unsigned i = 0; i < WORLD_SCHEDULES; i++) {
            there += ask->base.world->schedules[i].is_there;
            for (size_t j = 0; j < schedules_request(request)->ret_count; j++) {
                const struct schedule_view *view = &schedules_request(request)->ret[j];
                listed += str_equal(view->id, world_schedule_id(i)) &&
                          is_as_written(view, &ask->base.world->schedules[i]);
            }
        }
        world_expect(ask->base.world,
                     listed == there && there == schedules_request(request)->ret_count,
                     "schedules-are-listed-as-they-are-written");
    }
    request_free(request);
}

static void list(struct world *world)
{
    struct request *request = request_new(&list_schedules_operation);
    schedules_request(request)->limit = 100;
    world_ask(&ask_new(world, 0)->base, request, list_done);
}

/* ---- What hosts offer. ---- */

static void offer_schedule(struct world *world, const char *deployment, struct request *hello)
{
    struct schedule_offer *offer = arena_zalloc(&hello->arena, sizeof(*offer));
    *offer = (struct schedule_offer){
        .name = world_schedule_workflow(BY_CALLERS),
        .key = world_schedule_key(BY_CALLERS),
        .cron = str_of(deployment[1] == '1' ? "* * * * *" : "*/2 * * * *"),
        .zone = STR("UTC"),
        .keeps_input = true,
        .field = STR("hello."),
    };
    bool is_in_code = deployment[1] != '3' &&
                      (!world->calm || world->time_ms < world->calm_ms + TICKS_AFTER_MS / 2);
    hello_request(hello)->schedules = offer;
    hello_request(hello)->schedule_count = is_in_code;
}

/* One host has all triggers, one that of batches, one the other, but not in all its versions. */
static void offer_triggers(const char *deployment, unsigned host, struct request *hello)
{
    static const struct trigger_offer batches[] = {
        {.batch_size = 3, .batch_timeout_ms = 4000},
        {.batch_size = 5, .batch_timeout_ms = 0},
        {.batch_size = 2, .batch_timeout_ms = 1500},
    };
    struct trigger_offer *offers = arena_zalloc(&hello->arena, 2 * sizeof(*offers));
    unsigned version = (unsigned)(deployment[1] - '1');
    offers[0] = batches[version];
    offers[0].workflow = world_trigger_workflow(1);
    offers[0].topic = world_topic_name(version == 2 ? WORLD_CODE_TOPICS : WORLD_CODE_TOPICS + 1);
    offers[1] = (struct trigger_offer){.workflow = world_trigger_workflow(0),
                                       .topic = world_topic_name(WORLD_CODE_TOPICS)};
    hello_request(hello)->triggers = host == 2 ? offers + 1 : offers;
    hello_request(hello)->trigger_count = host == 0 ? 2 : 1;
    if (host == 2 && version == 2) {
        hello_request(hello)->trigger_count = 0;
    }
}

static void offer_queues(struct world *world, const char *deployment, struct request *hello)
{
    struct queue_offer *queue = arena_zalloc(&hello->arena, sizeof(*queue));
    struct queue_default_offer *workflow = arena_zalloc(&hello->arena, sizeof(*workflow));
    queue->name = world_queue_name(1);
    queue->limits = world_draw_limits(world);
    workflow->workflow = STR("sleepy");
    workflow->queue = deployment[1] == '1' ? STR_EMPTY : world_queue_name(1);
    hello_request(hello)->queues = queue;
    hello_request(hello)->queue_count = 1;
    hello_request(hello)->defaults = workflow;
    hello_request(hello)->default_count = 1;
}

void world_offer_clockwork(struct world *world, unsigned host, const char *deployment,
                           struct request *hello)
{
    if (host < 3) {
        offer_triggers(deployment, host, hello);
    } else if (host == 3) {
        offer_schedule(world, deployment, hello);
        offer_queues(world, deployment, hello);
    }
}

/* ---- When. ---- */

static void do_command(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    if (world->calm) {
        return;
    }
    world_at(world, 500 + world_below(world, 15000), do_command, NULL, 0);
    unsigned what = (unsigned)world_below(world, 12);
    unsigned schedule = (unsigned)world_below(world, WORLD_SCHEDULES);
    if (what < 5) {
        put(world, schedule % BY_CALLERS);
    } else if (what < 7) {
        delete (world, schedule);
    } else if (what < 8) {
        pause(world, schedule, world_below(world, 3) == 0);
    } else if (what < 9) {
        call(world, schedule);
        get(world, schedule);
    } else {
        list(world);
    }
}

static void answer_all(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    world_at(world, TIDY_MS, answer_all, NULL, 0);
    bool is_over = world->calm && world->time_ms > world->calm_ms + TICKS_AFTER_MS;
    for (unsigned i = 0; i < WORLD_SCHEDULES && is_over; i++) {
        if (world->schedules[i].is_there) {
            delete (world, i);
        }
    }
}

bool world_schedules_are_done(const struct world *world)
{
    for (unsigned i = 0; i < WORLD_SCHEDULES; i++) {
        if (world->schedules[i].is_there) {
            return false;
        }
    }
    return true;
}

void world_schedules_begin(struct world *world)
{
    for (unsigned i = 0; i < BY_CALLERS; i++) {
        if (world_below(world, 3) > 0) {
            put(world, i);
        }
    }
    world_at(world, 1500, do_command, NULL, 0);
    world_at(world, TIDY_MS, answer_all, NULL, 0);
}
