/* What everybody who asks the program for something has in common: one answer, heard or not. */
#include "service/base/failure.h"
#include "service/partition/request.h"
#include "tests/simulation/world.h"

bool world_ask(struct sim_ask *ask, struct request *request, request_done *done)
{
    request->context = ask;
    request->done = done;
    if (!world_post(ask->world, request)) {
        return false;
    }
    ask->world->open_requests++;
    ask->is_cut = !ask->world->calm && draw_chance(&ask->world->peers, 3);
    return true;
}

void *world_answered(struct request *request)
{
    struct sim_ask *ask = request->context;
    struct world *world = ask->world;
    world->open_requests--;
    world_expect(world, !ask->is_answered, "answered-once");
    ask->is_answered = true;
    return world->is_dead || ask->is_cut || !world_sees(world) ? NULL : ask;
}

bool world_is_damage(const struct world *world, const struct failure *failure)
{
    bool is_it = failure != NULL && failure->reason == REASON_RUN_UNREADABLE;
    return is_it && failure->code == CODE_DATA_LOSS && world->damaged != NULL;
}

void world_fail_law(struct world *world, const struct failure *failure, bool may, const char *law)
{
    bool is_passing = failure != NULL && (failure->code == CODE_UNAVAILABLE ||
                                          failure->code == CODE_RESOURCE_EXHAUSTED);
    is_passing |= world_is_damage(world, failure);
    world_expect(world, may || is_passing, law);
    if (!may && !is_passing) {
        world_detail(world, "%s: " STR_FMT,
                     failure == NULL ? "answered" : reason_name(failure->reason),
                     STR_ARG(failure == NULL ? STR_EMPTY : failure->message));
    }
}
