/*
 * When the process sees nothing to do, there is nothing to do: whatever could go on by itself has
 * gone on, and it wants to be woken no later than when the next thing comes due. So what is
 * overlooked or forgotten is found at once, and not only when somebody has waited for too long.
 */
#include "service/features/topics/topic_state.h"
#include "service/hosts/ready_queue.h"
#include "service/hosts/session.h"
#include "service/partition/state.h"
#include "tests/simulation/world.h"

/* It will look again in time: at what comes due when the clock says at_ms. */
static bool looks_again(const struct world *world, uint64_t due_ms, uint64_t at_ms)
{
    return at_ms > world_wall_ms(world) && due_ms != 0 && due_ms <= at_ms;
}

/* ---- Tasks. ---- */

static bool has_host(const struct world *world, enum task_kind kind, str name, uint64_t pin)
{
    const struct hosts *hosts = world->partition->hosts;
    const struct ready_name *ready = ready_queue_find(&hosts->ready_queue, kind, name);
    return ready != NULL && ready_queue_pick(&hosts->ready_queue, ready, pin) != NULL;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* When one more may begin, at the latest; 0: now. A copy of a run may have begun unseen. */
static uint64_t rate_due_ms(const struct world *world, const struct sim_queue *queue)
{
    uint64_t last_ms = queue->copied_ms;
    uint32_t rate = queue->limits.rate;
    bool may_be_full = queue->counted_count == rate || queue->copied_ms != 0;
    for (uint32_t i = 0; i < queue->counted_count && may_be_full; i++) {
        last_ms = later(last_ms, queue->counted[i].begun_ms);
    }
    uint64_t due_ms = rate == 0 || last_ms == 0 ? 0 : last_ms + queue->limits.rate_period_ms;
    return due_ms > world_wall_ms(world) ? due_ms : 0;
}

static void check_admission(struct world *world, const struct sim_run *run, uint64_t due_ms)
{
    const struct sim_queue *queue = &world->queues[run->queue];
    const struct queue_limits *limits = &queue->limits;
    bool has_room = (limits->concurrency == 0 ||
                     laws_admitted(world, run->queue, WORLD_KEYS) < limits->concurrency) &&
                    (limits->per_key == 0 ||
                     laws_admitted(world, run->queue, run->queue_key) < limits->per_key);
    bool has_begun = ledger_open(&run->ledger, 1)->attempt > 0;
    uint64_t rate_ms = has_begun ? 0 : rate_due_ms(world, queue);
    world_expect(world, !has_room || (rate_ms != 0 && looks_again(world, due_ms, rate_ms)),
                 "who-may-be-admitted-is");
    if (!world_is_well(world)) {
        world_detail(world,
                     "queue " STR_FMT ": room for " STR_FMT ", rate %u in %llu ms, the next may "
                     "begin in %lld ms, the next round is in %lld ms",
                     STR_ARG(world_queue_name(run->queue)), STR_ARG(run->marker), limits->rate,
                     (unsigned long long)limits->rate_period_ms,
                     rate_ms == 0 ? 0 : (long long)(rate_ms - world_wall_ms(world)),
                     due_ms == 0 ? 0 : (long long)(due_ms - world_wall_ms(world)));
    }
}

static void check_tasks(struct world *world, const struct sim_run *run, uint64_t due_ms)
{
    for (uint32_t id = 1; id <= run->ledger.effect_count && world_is_well(world); id++) {
        const struct ledger_effect *effect = ledger_open(&run->ledger, id);
        if (effect == NULL || !ledger_is_ready(effect)) {
            continue;
        }
        if (effect->kind != EFFECT_BODY) {
            continue; /* The name of a tool's task is in the journal only. */
        }
        const struct effect *folded = engine_effect(&run->folded, id);
        enum task_kind kind = run->ledger.kind == RUN_KIND_WORKFLOW ? TASK_WORKFLOW : TASK_TOOL;
        if (!has_host(world, kind, run->name, engine_pin(&run->folded, folded))) {
            continue;
        }
        if (sim_run_awaits_admission(run)) {
            check_admission(world, run, due_ms);
        } else {
            world_expect(world, false, "a-free-host-is-given-what-waits-for-it");
        }
    }
}

/* ---- Times. ---- */

static void check_deadline(struct world *world, const struct sim_run *run, uint64_t due_ms)
{
    uint64_t deadline_ms = ledger_next_deadline(&run->ledger);
    world_expect(world, deadline_ms == 0 || looks_again(world, due_ms, deadline_ms),
                 "what-comes-due-is-looked-at");
}

static void check_awaited(struct world *world, const struct sim_run *run)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        const struct sim_wait *wait = &run->waits[i];
        bool is_there = wait->is_open && wait->kind == EFFECT_EVENT &&
                        laws_first_that_fits(world, run, wait) != 0;
        world_expect(world, !is_there, "an-awaited-event-wakes-at-once");
    }
}

/* Whoever holds a task and can be reached was sent the outcomes of what its code has waited for. */
static void check_told(struct world *world, const struct sim_run *run)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        const struct sim_wait *wait = &run->waits[i];
        const struct ledger_effect *task =
            wait->is_settled ? ledger_open(&run->ledger, wait->owner) : NULL;
        bool is_last = sim_run_wait(run, wait->owner, wait->key) == wait; /* Else given up. */
        if (task == NULL || !task->is_leased || wait->told_epoch == task->attempt || !is_last) {
            continue;
        }
        const struct task_entry *entry =
            tasks_find(&world->partition->hosts->tasks, (struct task_ref){run->id, wait->owner});
        bool is_owed = entry != NULL && entry->session->facts != NULL; /* As it reads. */
        world_expect(world, entry == NULL || entry->session->link == NULL || is_owed,
                     "outcomes-are-told-at-once");
    }
}

static void check_schedules(struct world *world, uint64_t due_ms)
{
    for (unsigned i = 0; i < WORLD_SCHEDULES; i++) {
        const struct sim_schedule *schedule = &world->schedules[i];
        world_expect(world,
                     !schedule->is_there || schedule->is_paused ||
                         looks_again(world, due_ms, schedule->next_ms),
                     "no-tick-is-skipped");
    }
}

static void check_triggers(struct world *world, uint64_t due_ms)
{
    for (unsigned i = 0; i < WORLD_TRIGGERS; i++) {
        const struct sim_trigger *trigger = &world->triggers[i];
        const struct sim_topic *topic = &world->topics[trigger->topic];
        size_t count = trigger->is_there ? topic->count - trigger->position : 0;
        world_expect(world, count == 0 || count < trigger->batch_size, "a-full-batch-starts-a-run");
        if (count > 0 && trigger->batch_timeout_ms != 0 && world_is_well(world)) {
            uint64_t first_ms = topic->events[trigger->position].created_ms;
            world_expect(world, looks_again(world, due_ms, first_ms + trigger->batch_timeout_ms),
                         "a-batch-waits-no-longer-than-its-timeout");
        }
        if (!world_is_well(world)) {
            world_detail(world, STR_FMT ": %zu of %u wait, the next round is in %lld ms",
                         STR_ARG(world_trigger_workflow(i)), count, trigger->batch_size,
                         due_ms == 0 ? 0 : (long long)(due_ms - world_wall_ms(world)));
        }
    }
}

void laws_check_rest(struct world *world, uint64_t due_ms)
{
    const struct partition *partition = world->partition;
    bool is_at_rest = (due_ms == 0 || due_ms > world_wall_ms(world)) &&
                      !partition->requests.is_draining && partition->runs.recovering_count == 0 &&
                      !world_store_is_doubtful(world);
    if (!is_at_rest) {
        return;
    }
    world->counts.rests++;
    for (size_t i = 0; i < world->live_count && world_is_well(world); i++) {
        const struct sim_run *run = world->live[i];
        if (run->is_damaged) {
            continue;
        }
        world_expect(world, !run->is_half, "half-a-copy-does-not-rest");
        check_tasks(world, run, due_ms);
        check_deadline(world, run, due_ms);
        check_awaited(world, run);
        check_told(world, run);
        if (!world_is_well(world)) {
            world_detail(world, "run " STR_FMT ", the next round in %lld ms", STR_ARG(run->marker),
                         (long long)(due_ms - world_wall_ms(world)));
        }
    }
    world_expect(world, !follow_is_unsettled(&topics_of(partition)->follow),
                 "who-was-read-for-joins-at-once");
    if (!world_store_was_low(world)) {
        check_schedules(world, due_ms);
        check_triggers(world, due_ms);
    }
}
