/*
 * What the server tells of tasks: it is what the journal has, and what hosts may be told.
 */
#include "tests/simulation/world_hosts.h"

/* Of the pause after a try. */
static uint64_t left_of(const struct world *world, const struct sim_step *step)
{
    uint64_t now_ms = world_wall_ms(world);
    return step->retry_at_ms > now_ms ? step->retry_at_ms - now_ms : 0;
}

static void judge_steps(struct world *world, const struct sim_run *run,
                        const struct host_task *task)
{
    uint32_t number = 0;
    uint32_t settled = 0;
    for (size_t i = 0; i < run->step_count; i++) {
        const struct sim_step *step = &run->steps[i];
        if (step->effect != task->task.effect) {
            continue;
        }
        const struct settled_step *told = &task->steps[number];
        world_expect(world,
                     number < task->step_count && str_hash(told->key) == step->key &&
                         told->is_step_request == (step->number == 0) &&
                         told->try_number == step->try_number &&
                         (step->value == 0 || str_hash(told->outcome.value) == step->value),
                     "a-task-carries-its-settled-steps");
        if (!world_is_well(world)) {
            return;
        }
        world_expect(world, told->pause_ms == left_of(world, step), "a-pause-goes-on");
        settled += step->number != 0;
        number++;
    }
    world_expect(world, number == task->step_count && settled == task->settled_count,
                 "a-task-carries-its-settled-steps");
}

static void note_told(struct sim_run *run, const struct host_task *task)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        struct sim_wait *wait = &run->waits[i];
        bool is_told = wait->is_settled && wait->owner == task->task.effect;
        wait->told_epoch = is_told ? task->epoch : wait->told_epoch;
    }
}

void sim_judge_task(struct world *world, const struct host_task *task)
{
    struct sim_run *run = world_find_run(world, task->task.run);
    world_expect(world, run != NULL, "acts-follow-their-commit");
    if (run == NULL) {
        return;
    }
    uint32_t id = task->task.effect;
    const struct ledger_effect *effect = ledger_open(&run->ledger, id);
    world_expect(world, run->ledger.ended == EVENT_NONE && effect != NULL,
                 "settled-tasks-are-not-given");
    if (effect == NULL) {
        return;
    }
    world_expect(world, effect->is_leased && effect->attempt == task->epoch,
                 "acts-follow-their-commit");
    world_expect(world, run->gives_seen[id] < task->epoch, "one-give-per-epoch");
    run->gives_seen[id] = task->epoch;
    world->counts.gives++;
    world_expect(world, (task->kind == TASK_CALLBACK) == (effect->kind == EFFECT_CALLBACK),
                 "a-task-is-what-was-ordered");
    world_expect(world,
                 effect->kind != EFFECT_CALLBACK || (task->callback.phase == effect->phase &&
                                                     task->callback.index == effect->index),
                 "a-callback-knows-its-phase");
    world_expect(world, effect->arguments == 0 || effect->arguments == (str_hash(task->input) | 1),
                 "a-tool-is-called-with-what-callbacks-left");
    if (task->more == NULL) { /* Else they come in pieces. */
        judge_steps(world, run, task);
        note_told(run, task);
    }
    world_expect(world, task->is_cancelling == run->ledger.is_cancelling,
                 "a-task-says-whether-it-is-cancelled");
    world_expect(world, task->retry_count == run->ledger.retries, "a-task-counts-its-retries");
    world_expect(world, uuid_equal(task->parent, run->parent), "a-task-knows-its-parent");
}

static uint32_t count_told(str text)
{
    uint32_t count = 0;
    static const char what[] = "\"status\":";
    for (size_t i = 0; i + sizeof(what) - 1 <= text.len; i++) {
        count += memcmp(text.ptr + i, what, sizeof(what) - 1) == 0;
    }
    return count;
}

/* The last under the key, but for one that a failed attempt left behind. */
static struct sim_wait *told_wait(const struct sim_run *run, uint32_t owner, str key)
{
    struct sim_wait *last = sim_run_wait(run, owner, key);
    for (size_t i = run->wait_count; i > 0 && last != NULL; i--) {
        struct sim_wait *wait = &run->waits[i - 1];
        bool is_left = !last->is_open && !last->is_settled;
        if (is_left && wait->is_settled && wait->owner == owner && str_equal(wait->key, key)) {
            return wait;
        }
    }
    return last;
}

void sim_judge_outcome(struct world *world, const struct server_message *message)
{
    const struct outcome *outcome = &message->outcome.outcome;
    const struct sim_run *run = world_find_run(world, message->outcome.task.run);
    struct sim_wait *wait =
        run == NULL ? NULL : told_wait(run, message->outcome.task.effect, message->outcome.key);
    world_expect(world, wait != NULL && wait->is_settled, "outcomes-are-durable");
    if (!world_is_well(world)) {
        world_detail(world, "task %u of " STR_FMT ", key " STR_FMT ", %s",
                     message->outcome.task.effect, STR_ARG(run == NULL ? STR_EMPTY : run->marker),
                     STR_ARG(message->outcome.key), wait == NULL ? "never set" : "open");
    }
    if (!world_is_well(world)) {
        return;
    }
    const struct ledger_effect *task = ledger_open(&run->ledger, wait->owner);
    wait->told_epoch = task == NULL ? 0 : task->attempt;
    world_expect(world, wait->failed == outcome->failed, "outcomes-are-as-they-are-written");
    world_expect(world,
                 wait->value != 0 ? str_hash(outcome->value) == wait->value
                                  : count_told(outcome->value) == wait->children,
                 "outcomes-are-as-they-are-written");
}

static const struct sim_step *find_step(const struct sim_run *run, uint32_t effect,
                                        const struct settled_step *fact)
{
    for (size_t i = 0; i < run->step_count; i++) {
        const struct sim_step *step = &run->steps[i];
        if (step->effect == effect && step->number != 0 && step->key == str_hash(fact->key) &&
            step->try_number == fact->try_number) {
            return step;
        }
    }
    return NULL;
}

void sim_judge_facts(struct world *world, const struct host_facts *piece)
{
    struct sim_run *run = world_find_run(world, piece->task.run);
    world_expect(world, run != NULL, "acts-follow-their-commit");
    for (size_t i = 0; i < piece->count && world_is_well(world); i++) {
        const struct settled_step *fact = &piece->facts[i];
        if (fact->is_child) {
            continue;
        }
        if (!fact->is_step_request) {
            const struct sim_step *step = find_step(run, piece->task.effect, fact);
            bool is_said = fact->kind == SETTLED_CANCEL_SHOWN || fact->kind == SETTLED_WITHDRAWN ||
                           fact->kind == SETTLED_TRY;
            world_expect(world,
                         step != NULL && (is_said || str_hash(fact->outcome.value) == step->value),
                         "pieces-carry-settled-steps");
            continue;
        }
        struct sim_wait *wait = sim_run_wait_of(run, fact->wait);
        bool is_it = wait != NULL && wait->is_settled && wait->owner == piece->task.effect &&
                     str_equal(wait->key, fact->key) && wait->failed == fact->outcome.failed;
        bool is_told = is_it && (wait->value == 0 || fact->has_children ||
                                 str_hash(fact->outcome.value) == wait->value);
        world_expect(world, is_told, "pieces-carry-settled-waits");
        if (is_it) {
            wait->told_epoch = piece->epoch;
        }
    }
}
