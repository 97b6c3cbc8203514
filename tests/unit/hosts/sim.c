#include "tests/unit/hosts/sim.h"

#include <stdlib.h>

enum {
    FAULTY_STEPS = 250,
    CALM_ROUNDS_MAX = 2000,
};

void sim_fail(struct sim *sim, const char *failure)
{
    if (sim->failure == NULL) {
        sim->failure = failure;
    }
}

static uint64_t next_random(struct sim *sim)
{
    uint64_t value = sim->random += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

uint32_t sim_below(struct sim *sim, uint32_t limit)
{
    return (uint32_t)(next_random(sim) % limit);
}

bool sim_chance(struct sim *sim, uint32_t percent)
{
    return sim_below(sim, 100) < percent;
}

struct task_ref sim_task_ref(uint32_t task)
{
    return (struct task_ref){.run = {{7}}, .effect = task};
}

bool sim_is_step_request(const struct sim_task *task, uint32_t steps)
{
    return steps < task->plan && (task->step_requests >> steps & 1) != 0;
}

uint32_t sim_step_requests(const struct sim_task *task, uint32_t steps)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < steps; i++) {
        count += sim_is_step_request(task, i) ? 1 : 0;
    }
    return count;
}

static void crash(struct sim *sim, struct sim_host *host)
{
    if (host->link != NULL) {
        sim_host_leave(sim, host);
    }
    sim_host_start(sim, host->index);
}

static void host_step(struct sim *sim, struct sim_host *host)
{
    if (host->link == NULL) {
        if (sim_chance(sim, 40)) {
            sim_host_dial(sim, host);
        } else {
            sim_host_work(sim, host); /* The code runs on without a stream. */
        }
        return;
    }
    uint32_t choice = sim_below(sim, 100);
    if (choice < 45) {
        sim_host_read(sim, host);
    } else if (choice < 75) {
        sim_host_work(sim, host);
    } else if (choice < 83) {
        sim_host_say(sim, host, HOST_MESSAGE_HEARTBEAT);
    } else if (choice < 89) {
        sim_host_repeat(sim, host);
    } else if (choice < 97) {
        sim_host_leave(sim, host);
    } else if (choice < 99) {
        crash(sim, host);
    } else if (!host->is_draining) {
        sim_host_say(sim, host, HOST_MESSAGE_DRAIN);
    }
}

/* Forgets the streams that neither end holds. */
static void sweep(struct sim *sim, bool all)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < sim->link_count; i++) {
        struct sim_link *link = sim->links[i];
        if (!all && !(link->is_left && link->is_over)) {
            sim->links[kept++] = link;
            continue;
        }
        while (link->down_read < link->down_count) {
            payload_unref(link->down[link->down_read++]);
        }
        free(link);
    }
    sim->link_count = kept;
}

static void server_step(struct sim *sim)
{
    uint32_t choice = sim_below(sim, 100);
    if (choice < 60 && sim->link_count > 0) {
        struct sim_link *link = sim->links[sim_below(sim, sim->link_count)];
        if (link->is_left && sim_chance(sim, 30)) {
            sim_server_gone(sim, link);
        } else if (!link->is_over) {
            sim_server_read(sim, link);
        }
    } else if (choice < 84) {
        sim_server_round(sim, true);
    } else if (choice < 86) {
        sim_server_round(sim, false);
    } else if (choice < 97) {
        sim->now_ms += sim_below(sim, SIM_LEASE_MS / 4);
    } else if (choice < 98) {
        uint32_t task = sim_below(sim, SIM_TASKS);
        if (sim_chance(sim, 50)) {
            sim_server_cancel(sim, task);
        } else {
            sim_server_interrupt(sim, task);
        }
    } else if (choice < 99) {
        sim->now_ms -= sim_below(sim, SIM_LEASE_MS);
    } else if (sim_chance(sim, 50)) {
        sim_server_restart(sim);
    }
    sweep(sim, false);
}

static void calm_round(struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_HOSTS; i++) {
        struct sim_host *host = &sim->host[i];
        if (host->is_draining) {
            crash(sim, host);
        }
        if (host->link == NULL) {
            sim_host_dial(sim, host);
        }
        sim_host_say(sim, host, HOST_MESSAGE_HEARTBEAT);
        for (uint32_t n = 0; n < 5 && host->link != NULL; n++) {
            sim_host_read(sim, host);
            sim_host_work(sim, host);
        }
    }
    for (uint32_t i = 0; i < sim->link_count; i++) {
        struct sim_link *link = sim->links[i];
        for (uint32_t n = 0; n < 5 && !link->is_over; n++) {
            sim_server_read(sim, link);
        }
        if (link->is_left && !link->is_over) {
            sim_server_gone(sim, link);
        }
    }
    sim_server_round(sim, true);
    sim->now_ms += SIM_LEASE_MS / 10;
    sweep(sim, false);
}

static bool all_over(const struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_TASKS; i++) {
        if (sim->tasks[i].state != SIM_TASK_OVER) {
            return false;
        }
    }
    return true;
}

/* Without faults every task ends; then every host leaves, and nothing is left of them. */
static void end_well(struct sim *sim)
{
    struct hosts_stats stats;
    for (uint32_t i = 0; i < CALM_ROUNDS_MAX && !all_over(sim) && sim->failure == NULL; i++) {
        calm_round(sim);
    }
    if (!all_over(sim)) {
        sim_fail(sim, "a task never ended");
    }
    for (uint32_t i = 0; i < SIM_HOSTS; i++) {
        if (sim->host[i].link != NULL) {
            sim_host_leave(sim, &sim->host[i]);
        }
    }
    for (uint32_t i = 0; i < sim->link_count; i++) {
        if (!sim->links[i]->is_over) {
            sim_server_gone(sim, sim->links[i]);
        }
    }
    sim->now_ms += SIM_LEASE_MS;
    sim_server_round(sim, true);
    hosts_stats(sim->hosts, &stats);
    if (stats.sessions + stats.connected + stats.held + stats.ready + stats.expected != 0 ||
        hosts_next_deadline(sim->hosts) != 0) {
        sim_fail(sim, "something is left over");
    }
}

const char *sim_run(uint64_t seed)
{
    struct sim *sim = xcalloc(1, sizeof(*sim));
    sim->random = seed;
    sim->now_ms = 1000000;
    arena_init(&sim->arena, 0);
    for (uint32_t i = 0; i < SIM_HOSTS; i++) {
        sim_host_start(sim, i);
    }
    for (uint32_t i = 0; i < SIM_TASKS; i++) {
        sim->tasks[i].name = sim_below(sim, SIM_NAMES);
        sim->tasks[i].plan = sim_below(sim, SIM_STEPS_MAX + 1);
        sim->tasks[i].step_requests = sim_below(sim, 1 << SIM_STEPS_MAX);
        sim->tasks[i].never_parks = sim_chance(sim, 50);
    }
    sim_server_start(sim);
    for (uint32_t i = 0; i < FAULTY_STEPS && sim->failure == NULL; i++) {
        if (sim_chance(sim, 50)) {
            host_step(sim, &sim->host[sim_below(sim, SIM_HOSTS)]);
        } else {
            server_step(sim);
        }
    }
    if (sim->failure == NULL) {
        end_well(sim);
    }
    const char *failure = sim->failure;
    hosts_free(sim->hosts);
    sweep(sim, true);
    arena_fini(&sim->arena);
    free(sim);
    return failure;
}
