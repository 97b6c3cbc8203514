/*
 * The network between hosts and the server, and hosts that stand still: a stream goes silent one
 * way, and then all that was said arrives, or the first of it and the stream breaks; a host freezes
 * and wakes as if nothing had happened, with all that was sent to it in its buffers.
 */
#include "service/features/tasks/tasks.h"
#include "service/hosts/leases.h"
#include "service/partition/request.h"
#include "tests/simulation/world_hosts.h"

/* So many of what is on its way arrive, in order; the others never. */
static void arrive(struct sim_link *link, size_t count)
{
    for (size_t i = 0; i < link->late_count; i++) {
        if (i < count) {
            sim_host_arrive(link->host, link->late[i]);
        } else {
            request_free(link->late[i]);
        }
    }
    link->late_count = 0;
}

void sim_link_lose_late(struct sim_link *link)
{
    struct world *world = link->host->world;
    bool is_open = link->is_open && world->partition != NULL && !world->is_dead;
    arrive(link, is_open ? draw_below(&world->peers, link->late_count + 1) : 0);
    link->is_mute = link->is_silent = false;
}

void sim_link_heal(struct sim_link *link)
{
    struct sim_host *host = link->host;
    if (host->link != link || (!link->is_mute && !link->is_silent)) {
        return;
    }
    link->is_mute = link->is_silent = false;
    host->welcomed_ms = host->world->time_ms; /* From now on it hears again. */
    arrive(link, link->late_count);
    sim_host_hear_all(host);
}

static void heal(struct world *world, void *context, uint64_t number)
{
    (void)world, (void)number;
    sim_link_heal(context);
}

static void cut(struct sim_host *host)
{
    struct world *world = host->world;
    uint64_t what = draw_below(&world->peers, 3);
    host->link->is_mute = what != 0;
    host->link->is_silent = what != 1;
    world->counts.cuts++;
    world_say(world, "host %s: cut,%s%s", host->id, what != 0 ? " is not heard" : "",
              what != 1 ? " hears nothing" : "");
    world_at(world, draw_below(&world->peers, 2 * world->lease_ms), heal, host->link, 0);
}

/* It sees that its stream is over, when it is. */
static void look(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    if (host->number == number && host->link != NULL && host->link->is_closed && !host->is_frozen) {
        sim_host_lose_link(host, 50 + draw_below(&world->peers, 2000));
    }
}

static void wake(struct world *world, void *context, uint64_t number)
{
    struct sim_host *host = context;
    (void)number;
    if (!host->is_frozen) {
        return;
    }
    world_say(world, "host %s: wakes with %zu messages", host->id, host->inbox_count);
    host->is_frozen = false;
    host->welcomed_ms = world->time_ms;
    sim_host_hear_all(host);
    if (host->link != NULL && host->link->is_closed) {
        world_at(world, 100 + draw_below(&world->peers, 1000), look, host, host->number);
    }
}

static void freeze(struct sim_host *host)
{
    struct world *world = host->world;
    host->is_frozen = true;
    world->counts.freezes++;
    world_say(world, "host %s: freezes", host->id);
    uint64_t longest_ms = draw_below(&world->peers, 4) == 0 ? 1000 : 5 * world->lease_ms / 2;
    world_at(world, draw_below(&world->peers, longest_ms), wake, host, 0);
}

void sim_host_perhaps_freeze(struct sim_host *host)
{
    struct world *world = host->world;
    if (!world->calm && !host->is_frozen && draw_chance(&world->peers, 2)) {
        freeze(host);
    }
}

void sim_host_trouble(struct sim_host *host)
{
    struct world *world = host->world;
    if (world->calm || !sim_host_is_connected(host) || host->link->is_deaf) {
        return;
    }
    if (!host->link->is_mute && !host->link->is_silent && draw_chance(&world->peers, 4)) {
        cut(host);
    } else if (draw_chance(&world->peers, 2)) {
        freeze(host);
    }
}

static bool is_lost(const struct server_message *welcome, const struct sim_task *task)
{
    for (size_t i = 0; i < welcome->welcome.lost_count; i++) {
        if (task_ref_equal(welcome->welcome.lost[i].task, task->task)) {
            return true;
        }
    }
    return false;
}

void sim_host_judge_welcome(const struct sim_host *host, const struct server_message *welcome)
{
    for (size_t i = 0; i < host->held_count; i++) {
        const struct sim_task *task = &host->held[i];
        const struct sim_run *run = world_find_run(host->world, task->task.run);
        const struct ledger_effect *effect = ledger_open(&run->ledger, task->task.effect);
        bool is_over = run->ledger.ended != EVENT_NONE || effect == NULL;
        world_expect(host->world,
                     is_over || effect->attempt <= task->epoch || is_lost(welcome, task),
                     "who-dials-again-is-told-what-he-lost");
    }
}

static bool holds(const struct sim_host *host, uuid run, const struct effect *effect)
{
    const struct task_ref task = {run, effect->id};
    for (size_t i = 0; i < host->held_count; i++) {
        if (task_ref_equal(host->held[i].task, task) && host->held[i].epoch == effect->attempt) {
            return true;
        }
    }
    return false;
}

/* Whoever never stopped beating keeps his leases, also when the server stood still meanwhile. */
void world_hosts_judge_loss(struct world *world, uuid run, const struct effect *effect)
{
    for (unsigned i = 0; i < WORLD_HOSTS; i++) {
        const struct sim_host *host = world->hosts[i];
        if (!sim_host_is_connected(host) || host->steady_ms == UINT64_MAX ||
            !holds(host, run, effect)) {
            continue;
        }
        bool is_steady = host->steady_ms + 2 * world->lease_ms < world->time_ms &&
                         host->spoken_ms + world->lease_ms / 2 >= world->time_ms;
        world_expect(world, !is_steady, "who-beats-keeps-his-leases");
    }
}
