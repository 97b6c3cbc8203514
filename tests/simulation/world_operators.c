/*
 * Those who operate the server: they look at hosts, offers, questions and numbers, set hosts aside,
 * delete what nobody offers; and hosts that say beside their stream that they live. And an account
 * of which kinds of requests were made.
 */
#include "service/features/callers/callers.h"
#include "service/features/definitions/definitions.h"
#include "service/features/deletions/deletions.h"
#include "service/features/forks/forks.h"
#include "service/features/inputs/inputs.h"
#include "service/features/keys/keys.h"
#include "service/features/offers/offers.h"
#include "service/features/publications/publications.h"
#include "service/features/queues/queues.h"
#include "service/features/reports/reports.h"
#include "service/features/schedules/schedules.h"
#include "service/features/starts/starts.h"
#include "service/features/suspensions/suspensions.h"
#include "service/features/tasks/tasks.h"
#include "service/features/topics/topics.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/following.h"
#include "tests/simulation/world_hosts.h"

struct operator_ask {
    struct sim_ask base;
    struct sim_host *host;
    uint64_t number; /* Of its process. */
    struct offered_name names[3];
    struct sim_run *run;
    uint32_t effect;
    bool is_nonsense; /* It names nothing that is there. */
};

static struct operator_ask *ask_new(struct world *world)
{
    struct operator_ask *ask = arena_zalloc(&world->arena, sizeof(*ask));
    ask->base.world = world;
    ask->host = world->hosts[draw_below(&world->peers, WORLD_HOSTS)];
    ask->number = ask->host->number;
    ask->is_nonsense = draw_below(&world->peers, 8) == 0;
    return ask;
}

static bool is_host(str id)
{
    return id.len > 3 && id.ptr[0] == 'h' && id.ptr[1] >= '0' && id.ptr[1] < '0' + WORLD_HOSTS &&
           id.ptr[2] == '-';
}

static bool is_before(str a, str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order < 0 : a.len < b.len;
}

/* ---- Hosts. ---- */

static void beat_done(struct request *request, const struct failure *failure)
{
    struct operator_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        world_fail_law(ask->base.world, failure, failure->reason == REASON_SESSION_LOST,
                       "who-has-a-session-may-beat");
    } else if (ask != NULL) {
        world_expect(ask->base.world, !ask->is_nonsense, "only-sessions-beat");
        world_expect(ask->base.world, beat_request(request)->lease_ms == ask->base.world->lease_ms,
                     "a-beat-says-how-long-it-counts");
    }
    request_free(request);
}

static void beat(struct world *world)
{
    struct operator_ask *ask = ask_new(world);
    if (!sim_host_is_connected(ask->host) || ask->host->is_frozen || ask->host->token.len == 0) {
        return;
    }
    struct request *request = request_new(&beat_operation);
    beat_request(request)->token =
        ask->is_nonsense ? STR("no-such-token") : arena_copy(&request->arena, ask->host->token);
    world_ask(&ask->base, request, beat_done);
}

static void list_done(struct request *request, const struct failure *failure)
{
    struct operator_ask *ask = world_answered(request);
    const struct host_page *page = &hosts_request(request)->ret;
    if (ask != NULL) {
        world_fail_law(ask->base.world, failure, failure == NULL, "hosts-can-be-listed");
    }
    for (size_t i = 0; ask != NULL && failure == NULL && i < page->count; i++) {
        const struct host_view *view = &page->hosts[i];
        world_expect(ask->base.world, is_host(view->host_id), "only-hosts-are-listed");
        world_expect(ask->base.world,
                     i == 0 || is_before(page->hosts[i - 1].host_id, view->host_id),
                     "hosts-are-listed-once-in-order");
    }
    request_free(request);
}

static void list(struct world *world)
{
    struct request *request = request_new(&list_hosts_operation);
    hosts_request(request)->limit = 1 + draw_below(&world->peers, 2 * WORLD_HOSTS);
    world_ask(&ask_new(world)->base, request, list_done);
}

static void drain_done(struct request *request, const struct failure *failure)
{
    struct operator_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        world_fail_law(ask->base.world, failure, failure->reason == REASON_HOST_NOT_FOUND,
                       "hosts-can-be-set-aside");
    } else if (ask != NULL) {
        world_expect(ask->base.world,
                     !ask->is_nonsense && drain_host_request(request)->ret.is_draining,
                     "a-host-that-is-set-aside-is-so");
    }
    request_free(request);
}

/* Its process is to end, so that another comes in its place. */
static void drain(struct world *world)
{
    struct operator_ask *ask = ask_new(world);
    struct request *request = request_new(&drain_host_operation);
    drain_host_request(request)->host_id =
        ask->is_nonsense ? STR("nobody") : arena_copy(&request->arena, str_of(ask->host->id));
    if (world_ask(&ask->base, request, drain_done) && !ask->is_nonsense) {
        ask->host->is_leaving = true;
    }
}

/* ---- Offers. ---- */

static void offered_done(struct request *request, const struct failure *failure)
{
    struct operator_ask *ask = world_answered(request);
    if (ask != NULL) {
        world_fail_law(ask->base.world, failure, failure == NULL, "offers-can-be-counted");
        for (size_t i = 0; failure == NULL && i < COUNT_OF(ask->names); i++) {
            world_expect(ask->base.world, i > 0 || ask->names[i].ret_hosts == 0,
                         "nobody-offers-nothing");
        }
    }
    request_free(request);
}

static void count_offers(struct world *world)
{
    struct operator_ask *ask = ask_new(world);
    struct request *request = request_new(&offered_operation);
    ask->names[0] = (struct offered_name){.kind = OFFERED_TOOL, .name = STR("nothing")};
    ask->names[1] = (struct offered_name){.kind = OFFERED_WORKFLOW, .name = STR("flow")};
    ask->names[2] = (struct offered_name){.kind = OFFERED_WORKFLOW, .name = STR("sleepy")};
    offered_request(request)->names = ask->names;
    offered_request(request)->count = COUNT_OF(ask->names);
    world_ask(&ask->base, request, offered_done);
}

static void delete_done(struct request *request, const struct failure *failure)
{
    struct operator_ask *ask = world_answered(request);
    if (ask != NULL) {
        bool may = failure == NULL ? !ask->is_nonsense
                                   : failure->code == CODE_NOT_FOUND ||
                                         failure->code == CODE_FAILED_PRECONDITION;
        world_fail_law(ask->base.world, failure, may, "offers-of-nobody-can-be-deleted");
    }
    request_free(request);
}

static void delete_offer(struct world *world)
{
    static const char *const names[] = {"flow", "sleepy", "single", "batch"};
    struct operator_ask *ask = ask_new(world);
    struct request *request = request_new(&delete_offer_operation);
    delete_offer_request(request)->kind = TASK_WORKFLOW;
    delete_offer_request(request)->name =
        ask->is_nonsense ? STR("nothing")
                         : str_of(names[draw_below(&world->peers, COUNT_OF(names))]);
    world_ask(&ask->base, request, delete_done);
}

/* ---- Questions, and numbers. ---- */

static void suspension_done(struct request *request, const struct failure *failure)
{
    struct operator_ask *ask = world_answered(request);
    if (ask != NULL && failure != NULL) {
        bool may = failure->code == CODE_NOT_FOUND || failure->code == CODE_FAILED_PRECONDITION;
        world_fail_law(ask->base.world, failure, may, "questions-can-be-read");
    } else if (ask != NULL) {
        world_expect(ask->base.world, suspension_request(request)->ret != NULL,
                     "questions-can-be-read");
    }
    request_free(request);
}

static void read_suspension(struct world *world)
{
    struct operator_ask *ask = ask_new(world);
    if (world->live_count == 0) {
        return;
    }
    size_t first = draw_below(&world->peers, world->live_count);
    for (size_t i = 0; i < world->live_count; i++) {
        const struct sim_run *run = world->live[(first + i) % world->live_count];
        for (size_t j = 0; j < run->wait_count; j++) {
            if (run->waits[j].kind != EFFECT_SUSPENSION) {
                continue;
            }
            struct request *request = request_new(&get_suspension_operation);
            request->run = run->id;
            suspension_request(request)->step_key =
                ask->is_nonsense ? STR("nothing") : arena_copy(&request->arena, run->waits[j].key);
            world_ask(&ask->base, request, suspension_done);
            return;
        }
    }
}

static void stats_done(struct request *request, const struct failure *failure)
{
    struct operator_ask *ask = world_answered(request);
    if (ask != NULL) {
        world_fail_law(ask->base.world, failure, failure == NULL, "numbers-can-be-asked-for");
    }
    request_free(request);
}

static void read_stats(struct world *world)
{
    world_ask(&ask_new(world)->base, request_new(&stats_operation), stats_done);
}

/* ---- When. ---- */

static void do_command(struct world *world, void *context, uint64_t number)
{
    static void (*const commands[])(struct world * world) = {
        beat,         beat,         list,
        count_offers, delete_offer, read_suspension,
        read_stats,   drain,        world_keys_do_something,
    };
    (void)context, (void)number;
    if (!world->calm) {
        world_at(world, 500 + draw_below(&world->peers, 9000), do_command, NULL, 0);
        commands[draw_below(&world->peers, COUNT_OF(commands))](world);
    }
}

void world_operators_begin(struct world *world)
{
    world_at(world, 2000, do_command, NULL, 0);
}

/* ---- Which kinds were made. ---- */

/* All there are (tests/simulation/kinds_test.py). */
static const struct operation *const kinds[] = {
    &beat_operation,         &cancel_operation,
    &create_key_operation,   &delete_definition_operation,
    &delete_offer_operation, &delete_operation,
    &delete_queue_operation, &delete_schedule_operation,
    &delete_topic_operation, &drain_host_operation,
    &drain_operation,        &follow_end_operation,
    &follow_join_operation,  &follow_more_operation,
    &forget_operation,       &fork_operation,
    &get_operation,          &get_queue_operation,
    &get_schedule_operation, &get_suspension_operation,
    &hello_operation,        &host_gone_operation,
    &host_message_operation, &host_writable_operation,
    &list_hosts_operation,   &list_keys_operation,
    &list_queues_operation,  &list_schedules_operation,
    &offered_operation,      &pause_schedule_operation,
    &publish_operation,      &put_queue_operation,
    &put_schedule_operation, &register_operation,
    &resume_operation,       &retry_operation,
    &revoke_key_operation,   &send_operation,
    &start_operation,        &stats_operation,
    &subscribe_operation,    &trigger_schedule_operation,
    &wait_operation,         &watch_operation,
};

static_assert(COUNT_OF(kinds) <= WORLD_KINDS_MAX, "each has a place");

void world_note_request(struct world *world, const struct request *request)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        world->counts.made[i] += request->operation == kinds[i];
    }
}

const char *world_kind_never_made(const struct world *world)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (world->counts.made[i] == 0) {
            return kinds[i]->name;
        }
    }
    return NULL;
}
