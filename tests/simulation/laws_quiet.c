/*
 * A round that nobody asked for changes nothing: between two rounds of which the first said when
 * the next is wanted, and before that, only a request may give the process something to do. And it
 * sleeps: a round that it wanted at once, again and again, has something to do.
 *
 * So a feature that says too late when it wants a round is found by any that comes before, and one
 * that says so too early by rounds that do nothing.
 */
#include "service/base/inbox.h"
#include "service/partition/state.h"
#include "tests/simulation/world.h"

enum {
    SECOND_MS = 1000,
    IDLE_MAX = 200, /* In a second. */
};

void laws_quiet_begin(struct world *world)
{
    world->quiet = (struct sim_quiet){.due_ms = 1};
}

void laws_quiet_before(struct world *world)
{
    struct sim_quiet *quiet = &world->quiet;
    uint64_t now_ms = world_wall_ms(world);
    bool is_due = quiet->due_ms != 0 && now_ms >= quiet->due_ms;
    bool is_same_clock = quiet->skew_ms == world->skew_ms && quiet->life == world->life;
    quiet->is_asked = inbox_count(world->partition->requests.inbox) > 0;
    quiet->is_unwanted = !quiet->is_asked && !is_due && is_same_clock;
    quiet->is_wanted = !quiet->is_asked && is_due;
    quiet->deeds_before = quiet->deeds;
}

void laws_quiet_after(struct world *world, uint64_t due_ms)
{
    struct sim_quiet *quiet = &world->quiet;
    bool is_idle = quiet->deeds == quiet->deeds_before && !quiet->is_asked;
    if (quiet->is_unwanted) {
        world->counts.unwanted++;
        world_expect(world, is_idle, "a-round-that-nobody-asked-for-changes-nothing");
        if (!is_idle) {
            world_detail(world, "%lld ms before it was wanted",
                         quiet->due_ms == 0 ? -1
                                            : (long long)(quiet->due_ms - world_wall_ms(world)));
        }
    }
    if (quiet->is_wanted && is_idle) {
        bool is_another = world->time_ms >= quiet->second_ms + SECOND_MS;
        quiet->idle_count = is_another ? 0 : quiet->idle_count + 1;
        quiet->second_ms = is_another ? world->time_ms : quiet->second_ms;
        world_expect(world, quiet->idle_count < IDLE_MAX, "who-has-nothing-to-do-sleeps");
    }
    quiet->due_ms = due_ms;
    quiet->skew_ms = world->skew_ms;
    quiet->life = world->life;
}
