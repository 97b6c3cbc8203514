#include "service/features/children/start_step.h"

#include "service/base/json_writer.h"
#include "service/features/children/family.h"
#include "service/features/queues/queues.h"
#include "service/features/starts/starts.h"
#include "service/features/trees/trees.h"
#include "service/hosts/leases.h"
#include "service/partition/act.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

static_assert((int)RUN_KIND_AGENT == 1 && (int)RUN_KIND_WORKFLOW == 2 && (int)RUN_KIND_TOOL == 3,
              "a kind is the RunKind of the API");

enum {
    ABOVE_MAX = 16, /* Runs above that are asked for their places; others let go in their time. */
};

static enum run_kind kind_of(unsigned kind)
{
    assert(kind > RUN_KIND_NONE && kind < RUN_KIND_COUNT); /* Checked at the edge. */
    return (enum run_kind)kind;
}

static struct run_spec child_spec(const struct step_request *step, const struct host_child *child)
{
    assert(!uuid_is_zero(step->run->state.id));
    return (struct run_spec){
        .kind = kind_of(child->kind),
        .name = child->name,
        .input = child->input.len == 0 ? STR("null") : child->input,
        .provider_options = child->provider_options,
        .options = child->options,
        .parent = step->run->state.id,
        .cause = START_CAUSE_PARENT,
    };
}

/* While a cancellation passes through the tree nothing starts in it: so it ends, and nothing
 * escapes it. */
static bool must_wait(struct partition *partition, const struct live_run *run)
{
    return owed_stands(partition, tree_place(partition, run)->root, &cancel_below_owed);
}

static void prepare_start(struct step_request *step)
{
    const struct host_step_request *wanted = &step->message->step_request;
    const struct tree_place *place = tree_place(step->partition, step->run);
    struct failure failure;
    assert(wanted->kind == STEP_REQUEST_START);
    assert(step->own == NULL);
    if (step->run->state.is_cancelling) {
        step_request_refuse(step, "CANCELLED",
                            STR("the run is being cancelled: its code may clean up, but not start "
                                "runs"));
        return;
    }
    if (!tree_may_grow(step->partition, step->run, wanted->child_count, step->arena, &failure)) {
        step_request_refuse(step, reason_name(failure.reason), failure.message);
        return;
    }
    step->command.step_request.kind = wanted->waits ? EFFECT_CHILDREN : EFFECT_AT_ONCE;
    step->command.step_request.children = wanted->waits ? (uint32_t)wanted->child_count : 0;
    if (wanted->waits && !engine_may_wait(&step->run->state)) {
        return; /* The engine refuses it, and says why; nothing is started. */
    }
    struct run_spec *specs = arena_alloc(step->arena, wanted->child_count * sizeof(specs[0]));
    for (size_t i = 0; i < wanted->child_count; i++) {
        specs[i] = child_spec(step, &wanted->children[i]);
        specs[i].root = place->root;
        specs[i].depth = place->depth + 1;
        specs[i].parent_index = (uint32_t)i;
        if (!start_check(step->partition, &specs[i], step->arena, &failure)) {
            if (failure.code == CODE_UNAVAILABLE) { /* It is asked again. */
                round_spoil(step->partition, status_make(CODE_UNAVAILABLE, "a read failed"));
            }
            step_request_refuse(step, reason_name(failure.reason), failure.message);
            return; /* All or none. */
        }
    }
    step->own = specs;
}

/* The ids come before the request's record, which names them. */
static void start_children(struct step_request *step, uint32_t effect, uuid *ids)
{
    const struct host_step_request *wanted = &step->message->step_request;
    struct run_spec *specs = step->own;
    assert(specs != NULL);
    for (size_t i = 0; i < wanted->child_count; i++) {
        struct failure failure;
        specs[i].parent_effect = wanted->waits ? effect : 0;
        bool started = start_run(step->partition, &specs[i], step->arena, &failure, &ids[i]);
        assert(started); /* Checked above, in the same round. */
        assert(!uuid_is_zero(ids[i]) && !uuid_equal(ids[i], specs[i].parent));
    }
}

static void name_children(struct step_request *step, const uuid *ids)
{
    const struct host_step_request *wanted = &step->message->step_request;
    assert(step->command.step_request.kind == (wanted->waits ? EFFECT_CHILDREN : EFFECT_AT_ONCE));
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_array(&writer, NULL);
    for (size_t i = 0; i < wanted->child_count; i++) {
        json_begin_object(&writer, NULL);
        json_put_uuid(&writer, "run_id", ids[i]);
        json_put_string(&writer, "name", wanted->children[i].name);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    step->command.step_request.data = buf_finish(&text, step->arena);
    if (!wanted->waits) {
        step_request_settle(step, (struct outcome){.value = step->command.step_request.data});
    }
}

static void perform_yield(struct partition *partition, const struct act *act)
{
    hosts_yield(partition->hosts, (struct task_ref){act->run_id, act->effect});
}

static const struct act_kind yield_act = {.name = "yield", .perform = perform_yield};

/* Whether one of the children waits in that queue. */
static bool needs_place(const struct step_request *step, str queue)
{
    const struct host_step_request *wanted = &step->message->step_request;
    const struct run_spec *specs = step->own;
    bool needs = false;
    for (size_t i = 0; i < wanted->child_count && queue.len > 0; i++) {
        needs |= str_equal(specs[i].options.queue, queue);
    }
    return needs;
}

/* The run above whose code waits for this one, and by which of its tasks. NULL: there is none; or
 * it is not in memory, so no host has it and it holds no place. */
static struct live_run *waiting_above(struct partition *partition, const struct live_run *run,
                                      uint32_t *ret_task)
{
    const struct tree_place *place = tree_place(partition, run);
    struct live_run *above = place->parent_effect == 0 ? NULL : runs_find(partition, place->parent);
    const struct effect *wait =
        above == NULL ? NULL : engine_effect(&above->state, place->parent_effect);
    if (wait == NULL || wait->kind != EFFECT_CHILDREN) {
        return NULL;
    }
    *ret_task = wait->owner;
    assert(wait->owner > 0);
    return above;
}

/* The places that the run, and those who wait for it, hold in a queue of its children. */
static void give_places(struct step_request *step)
{
    struct live_run *run = step->run;
    uint32_t task = step->message->task.effect;
    if (!step->message->step_request.waits) {
        return;
    }
    for (size_t i = 0; i <= ABOVE_MAX && run != NULL; i++) {
        if (needs_place(step, queues_name(step->partition, run))) {
            act_add(step->partition, &yield_act, run)->effect = task;
        }
        run = waiting_above(step->partition, run, &task);
    }
}

static void carry_out(struct step_request *step)
{
    size_t count = step->message->step_request.child_count;
    if (step->own != NULL) {
        uuid *ids = arena_alloc(step->arena, count * sizeof(ids[0]));
        start_children(step, step->run->state.effect_next, ids);
        name_children(step, ids);
        give_places(step);
    }
}

const struct wait_kind start_step_kind = {
    .request = STEP_REQUEST_START,
    .kind = EFFECT_CHILDREN,
    .settled = SETTLED_CHILDREN,
    .must_wait = must_wait,
    .prepare = prepare_start,
    .carry_out = carry_out,
};
