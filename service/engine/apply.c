/*
 * apply: what an event means. It never refuses, and a meaning once given is kept for ever.
 */
#include "service/base/code_version.h"
#include "service/engine/states.h"

static struct effect *open_effect(struct run *run, const struct event *event)
{
    struct effect *effect = states_effect(run, event->effect);
    assert(effect != NULL);
    return effect;
}

static struct effect *add_effect(struct run *run, const struct event *event, enum effect_kind kind)
{
    assert(run->effect_count < ENGINE_EFFECTS_MAX);
    assert(event->effect == run->effect_next);
    assert(engine_may_owe(run, kind));
    struct effect *effect = &run->effects[run->effect_count++];
    memset(effect, 0, sizeof(*effect));
    effect->id = run->effect_next++;
    effect->kind = (uint8_t)kind;
    effect->state = EFFECT_READY;
    effect->since_ms = event->time_ms;
    return effect;
}

/* The turn's effects are over. */
static void clear_effects(struct run *run)
{
    memset(run->effects, 0, sizeof(run->effects));
    run->effect_count = 0;
}

/* What stays open keeps the order it was opened in. */
static void close_effect(struct run *run, struct effect *effect)
{
    size_t index = (size_t)(effect - run->effects);
    assert(index < run->effect_count);
    run->effect_count--;
    memmove(effect, effect + 1, (run->effect_count - index) * sizeof(*effect));
    memset(&run->effects[run->effect_count], 0, sizeof(*effect));
}

/* The run's time begins anew after each wait. */
static void restart_clock(struct run *run, uint64_t now_ms)
{
    if (run->timeout_ms != 0) {
        run->deadline_ms = now_ms + run->timeout_ms;
    }
}

/* owner 0: of all; kept: the kind that stays open. */
static void close_waits_but(struct run *run, uint32_t owner, uint64_t now_ms, enum effect_kind kept)
{
    for (uint32_t i = run->effect_count; i > 0; i--) {
        struct effect *effect = &run->effects[i - 1];
        if (effect_is_wait(effect) && effect->kind != kept &&
            (owner == 0 || effect->owner == owner)) {
            close_effect(run, effect);
            restart_clock(run, now_ms);
        }
    }
}

/* A task is over, or its code is: what it waited for is of no more interest. */
static void close_waits(struct run *run, uint32_t owner, uint64_t now_ms)
{
    close_waits_but(run, owner, now_ms, EFFECT_NONE);
}

static void apply_started(struct run *run, const struct event *event)
{
    const struct run_spec *spec = &event->run_started.spec;
    assert(run->state == RUN_NEW);
    assert(run->seq == 0);
    run->id = event->run_started.id;
    run->kind = (uint8_t)spec->kind;
    run->started_ms = event->time_ms;
    run->deadline_ms = spec->deadline_ms;
    run->timeout_ms = spec->deadline_ms > event->time_ms ? spec->deadline_ms - event->time_ms : 0;
    run->turns_max = spec->turns_max;
    run->tokens_max = spec->tokens_max;
    run->retries_max = spec->retries_max;
    assert(spec->output_tries <= ENGINE_OUTPUT_TRIES_MAX);
    run->output_tries = (uint8_t)spec->output_tries;
    memcpy(run->callbacks, spec->callback_counts, sizeof(run->callbacks));
    assert(spec->guardrail_retries <= ENGINE_GUARDRAIL_RETRIES_MAX);
    run->guardrail_retries = (uint8_t)spec->guardrail_retries;
    bool needs_admission = spec->kind == RUN_KIND_AGENT && spec->options.queue.len > 0;
    run->admission = needs_admission ? ADMISSION_AWAITED : ADMISSION_NONE;
    run->code_state = CODE_STATE_NONE;
}

static void apply_ended(struct run *run, const struct event *event, enum run_state state)
{
    states_move(run, state);
    clear_effects(run);
    run->ended_ms = event->time_ms;
}

/* A copy's facts are dated before its start, and its work begins with it. */
static void note_begun(struct run *run, uint64_t now_ms)
{
    if (run->begun_ms == 0) {
        run->begun_ms = now_ms > run->started_ms ? now_ms : run->started_ms;
    }
}

/* A turn's, or the judgement of a guardrail. */
static struct effect *add_call(struct run *run, const struct event *event)
{
    struct effect *effect = add_effect(run, event, EFFECT_MODEL);
    uint32_t guardrail = event->model_requested.guardrail;
    if (guardrail > 0) {
        assert(guardrail <= run->callbacks[CALLBACK_REPLY]);
        effect->phase = CALLBACK_REPLY;
        effect->index = (uint8_t)(guardrail - 1);
    }
    return effect;
}

static void apply_model_requested(struct run *run, const struct event *event)
{
    states_enter(run, PHASE_MODEL);
    struct effect *effect = states_effect(run, event->effect);
    if (effect == NULL) {
        assert(run->effect_count == 0);
        clear_effects(run);
        effect = add_call(run, event);
    }
    assert(effect->kind == EFFECT_MODEL);
    assert(event->attempt == effect->attempt + 1);
    effect->attempt = event->attempt;
    effect->state = EFFECT_READY;
    effect->due_ms = 0;
    note_begun(run, event->time_ms);
}

static void add_usage(struct run *run, const struct engine_usage *usage)
{
    run->input_tokens += usage->input;
    run->output_tokens += usage->output;
    run->cache_read_tokens += usage->cache_read;
    run->cache_write_tokens += usage->cache_write;
    run->reasoning_tokens += usage->reasoning;
    run->usage_incomplete |= !usage->known;
}

static void apply_model_replied(struct run *run, const struct event *event)
{
    assert(open_effect(run, event)->kind == EFFECT_MODEL);
    clear_effects(run);
    run->turns++;
    run->last_stop = (uint8_t)event->model_replied.stop;
    run->was_rejected = 0;
    add_usage(run, &event->model_replied.usage);
}

static void apply_reply_judged(struct run *run, const struct event *event)
{
    assert(effect_is_judgement(open_effect(run, event)));
    clear_effects(run);
    add_usage(run, &event->reply_judged.usage);
}

static void apply_reply_amended(struct run *run, const struct event *event)
{
    assert(run->state == RUN_LIVE && event->effect < run->effect_next);
    run->last_stop = (uint8_t)event->reply_amended.stop;
}

static void apply_reply_passed(struct run *run, const struct event *event)
{
    assert(run->state == RUN_LIVE && run->turns > 0);
    assert(event->effect < run->effect_next);
    run->replies_rejected = 0;
}

static void apply_model_failed(struct run *run, const struct event *event)
{
    struct effect *effect = open_effect(run, event);
    effect->failures++;
    if (event->model_failed.retry_at_ms == 0) {
        close_effect(run, effect);
        return;
    }
    effect->state = EFFECT_BACKOFF;
    effect->due_ms = event->model_failed.retry_at_ms;
}

static void apply_reply_rejected(struct run *run, const struct event *event)
{
    run->was_rejected = 1;
    if (event->reply_rejected.by == REJECTED_BY_GUARDRAIL) { /* Its turn has no reply yet. */
        assert(run->turns > 0);
        run->turns--;
        run->replies_rejected++;
        return;
    }
    assert(run->outputs_rejected < run->output_tries);
    run->outputs_rejected++;
}

static void apply_input_accepted(struct run *run, const struct event *event)
{
    assert(run->inputs_open < ENGINE_INPUTS_MAX);
    assert(event->input_accepted.number == run->inputs_accepted + 1);
    run->inputs_accepted++;
    run->inputs_open++;
}

/* They leave in the order in which they came. */
static void close_input(struct run *run, uint32_t number)
{
    assert(run->inputs_open > 0);
    assert(number == run->inputs_accepted - run->inputs_open + 1);
    run->inputs_open--;
}

static void apply_input_taken(struct run *run, const struct event *event)
{
    close_input(run, event->input_taken.number);
}

static void apply_input_returned(struct run *run, const struct event *event)
{
    close_input(run, event->input_returned.number);
}

static void apply_task_requested(struct run *run, const struct event *event)
{
    enum effect_kind kind = event->task_requested.kind;
    enum run_phase phase = kind == EFFECT_BODY ? PHASE_BODY : PHASE_TOOLS;
    if (kind == EFFECT_CALLBACK && event->task_requested.about == 0) {
        phase = PHASE_CALLBACK;
    }
    states_enter(run, phase);
    struct effect *effect = add_effect(run, event, kind);
    assert(effect_is_task(effect));
    effect->owner = event->task_requested.about;
    effect->phase = (uint8_t)event->task_requested.phase;
    effect->index = (uint8_t)event->task_requested.index;
    if (kind == EFFECT_TOOL && run->callbacks[CALLBACK_TOOL_START] > 0) {
        effect->state = EFFECT_PARKED;
    }
    effect->deadline_ms = event->task_requested.deadline_ms;
    effect->at_most_once = event->task_requested.at_most_once;
}

static void apply_lease_granted(struct run *run, const struct event *event)
{
    struct effect *effect = open_effect(run, event);
    assert(effect->state == EFFECT_READY);
    assert(event->attempt == effect->attempt + 1);
    effect->attempt = event->attempt;
    effect->state = EFFECT_LEASED;
    effect->host = str_hash(event->lease_granted.host_id) | 1; /* 0 says "none". */
    note_begun(run, event->time_ms);
    effect->deployment = 0;
    if (event->lease_granted.deployment.len > 0) {
        effect->deployment =
            code_version_make(event->lease_granted.deployment, event->lease_granted.language);
        run->deployment = run->deployment == 0 ? effect->deployment : run->deployment;
    }
}

/* The code that has the task has added to its history: from now on it is the code that fits, and
 * the hosts that were lost before were not in vain. */
static void pin_task(struct run *run, struct effect *task)
{
    task->mismatches = 0;
    task->leases_lost = 0;
    if (task->deployment != 0) {
        task->pin = task->deployment;
        run->deployment = task->kind == EFFECT_BODY ? task->deployment : run->deployment;
    }
}

static void apply_lease_lost(struct run *run, const struct event *event)
{
    struct effect *effect = open_effect(run, event);
    assert(effect->state == EFFECT_LEASED);
    effect->state = EFFECT_READY;
    effect->host = 0;
    effect->leases_lost += event->lease_lost.is_excused ? 0 : 1;
}

static void apply_step_settled(struct run *run, const struct event *event)
{
    struct effect *effect = open_effect(run, event);
    assert(event->step_settled.number == effect->steps + 1);
    effect->steps++;
    pin_task(run, effect);
    if (effect->kind == EFFECT_BODY) {
        run->steps++;
    }
}

/* What else a host says of a task's code. */
static void count_said(struct run *run, const struct event *event, uint32_t number)
{
    struct effect *task = open_effect(run, event);
    assert(effect_is_task(task) && number == task->steps + 1);
    task->steps++;
    pin_task(run, task);
}

static void apply_cancel_shown(struct run *run, const struct event *event)
{
    assert(run->is_cancelling);
    count_said(run, event, event->cancel_shown.number);
}

static void apply_withdrawn(struct run *run, const struct event *event)
{
    count_said(run, event, event->withdrawn.number);
}

static void apply_step_tried(struct run *run, const struct event *event)
{
    count_said(run, event, event->step_tried.number);
}

static void apply_wait_set(struct run *run, const struct event *event)
{
    assert(states_effect(run, event->wait_set.owner) != NULL);
    pin_task(run, states_effect(run, event->wait_set.owner));
    struct effect *effect = add_effect(run, event, event->wait_set.kind);
    effect->owner = event->wait_set.owner;
    effect->key = engine_key(event->wait_set.key);
    effect->due_ms = event->wait_set.due_ms;
    effect->children_left = event->wait_set.children;
    for (uint32_t i = 0; i < run->kept_count; i++) {
        if (effect->kind == EFFECT_SUSPENSION && run->kept[i] == effect->key) {
            run->kept[i] = run->kept[--run->kept_count];
            run->kept[run->kept_count] = 0;
        }
    }
}

static void apply_wait_settled(struct run *run, const struct event *event)
{
    struct effect *wait = open_effect(run, event);
    struct effect *owner = states_effect(run, wait->owner);
    assert(owner != NULL);
    owner->waits_settled++;
    owner->leases_lost = 0;
    if (owner->state == EFFECT_PARKED) {
        owner->state = EFFECT_READY;
    }
    if (wait->kind != EFFECT_AT_ONCE) {
        restart_clock(run, event->time_ms);
    }
    close_effect(run, wait);
}

static void apply_child_settled(struct run *run, const struct event *event)
{
    struct effect *effect = open_effect(run, event);
    assert(effect->kind == EFFECT_CHILDREN);
    assert(effect->children_left > 0);
    effect->children_left--;
}

static void apply_resume_kept(struct run *run, const struct event *event)
{
    assert(run->kept_count < ENGINE_KEPT_MAX);
    run->kept[run->kept_count++] = engine_key(event->resume_kept.key);
}

static void apply_task_parked(struct run *run, const struct event *event)
{
    struct effect *effect = open_effect(run, event);
    assert(effect->state == EFFECT_LEASED);
    effect->state = event->task_parked.is_ready ? EFFECT_READY : EFFECT_PARKED;
    effect->host = 0;
    effect->mismatches = 0;
}

static void apply_task_failed(struct run *run, const struct event *event)
{
    struct effect *effect = open_effect(run, event);
    assert(effect->state == EFFECT_LEASED);
    effect->state = EFFECT_BACKOFF;
    effect->host = 0;
    effect->due_ms = event->task_failed.retry_at_ms;
    if (event->task_failed.is_mismatch) {
        effect->mismatches = (uint8_t)(effect->mismatches + (effect->mismatches < UINT8_MAX));
        return;
    }
    close_waits_but(run, event->effect, event->time_ms,
                    event->task_failed.keeps_children ? EFFECT_CHILDREN : EFFECT_NONE);
    run->retries++;
}

static void apply_task_requeued(struct run *run, const struct event *event)
{
    struct effect *effect = open_effect(run, event);
    if (effect_is_held(effect)) { /* Its time begins. */
        effect->state = EFFECT_READY;
        effect->deadline_ms += effect->deadline_ms == 0 ? 0 : event->time_ms - effect->since_ms;
        return;
    }
    assert(effect->state == EFFECT_BACKOFF);
    effect->state = EFFECT_READY;
    effect->due_ms = 0;
    restart_clock(run, event->time_ms);
}

/* What was made of what is the journal's affair. */
static void apply_amended(struct run *run, const struct event *event)
{
    assert(run->state == RUN_LIVE && event->effect < run->effect_next);
}

static void apply_task_settled(struct run *run, const struct event *event)
{
    struct effect *task = open_effect(run, event);
    if (task->state == EFFECT_LEASED) {
        pin_task(run, task);
    }
    if (task->kind == EFFECT_CALLBACK && event->task_settled.outcome.failed) {
        run->is_turn_refused = task->phase == CALLBACK_TURN_START;
    }
    if (effect_is_stopped(task)) { /* It ran out of time before code came that fits. */
        restart_clock(run, event->time_ms);
    }
    close_waits(run, event->effect, event->time_ms);
    close_effect(run, open_effect(run, event));
}

static void apply_admission_asked(struct run *run, const struct event *event)
{
    assert(run->admission != ADMISSION_NONE);
    run->admission = ADMISSION_AWAITED;
    if (event->effect == 0) {
        return;
    }
    states_enter(run, PHASE_MODEL);
    struct effect *effect = states_effect(run, event->effect);
    if (effect == NULL) {
        effect = add_call(run, event);
    }
    effect->state = EFFECT_PARKED;
    effect->due_ms = 0;
}

static void apply_admission_given(struct run *run, const struct event *event)
{
    (void)event;
    assert(run->admission == ADMISSION_AWAITED);
    run->admission = ADMISSION_HELD;
}

/* What only rests keeps no admission. */
static void give_admission_back(struct run *run)
{
    bool rests = false;
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        bool is_at_work = effect->state == EFFECT_READY || effect->state == EFFECT_LEASED;
        if (effect->kind == EFFECT_MODEL || (effect_is_task(effect) && is_at_work)) {
            return;
        }
        rests |= effect_is_task(effect);
    }
    run->admission = rests ? ADMISSION_AWAITED : run->admission;
}

static void apply_cancel_requested(struct run *run, const struct event *event)
{
    close_waits(run, 0, event->time_ms);
    run->is_cancelling = 1;
    run->deadline_ms = event->cancel_requested.deadline_ms;
    run->timeout_ms = 0;
    for (uint32_t i = 0; i < run->effect_count; i++) {
        struct effect *effect = &run->effects[i];
        if (effect->state == EFFECT_PARKED || effect->state == EFFECT_BACKOFF) {
            effect->state = EFFECT_READY;
            effect->due_ms = 0;
        }
    }
}

static void apply_completed(struct run *run, const struct event *event)
{
    apply_ended(run, event, RUN_COMPLETED);
}

static void apply_failed(struct run *run, const struct event *event)
{
    apply_ended(run, event, RUN_FAILED);
}

static void apply_cancelled(struct run *run, const struct event *event)
{
    apply_ended(run, event, RUN_CANCELLED);
}

/* One row per event: what is true of all of its kind, and what it means. */
static const struct {
    struct event_traits traits;
    void (*apply)(struct run *run, const struct event *event);
} kinds[] = {
    [EVENT_NONE] = {{.name = "NONE"}, NULL},
    [EVENT_RUN_STARTED] = {{.name = "RUN_STARTED",
                            .time_at = offsetof(struct event, run_started.spec.deadline_ms),
                            .state_at = offsetof(struct event, run_started.spec.options.state)},
                           apply_started},
    [EVENT_RUN_COMPLETED] = {{.name = "RUN_COMPLETED", .ends_run = true}, apply_completed},
    [EVENT_RUN_FAILED] = {{.name = "RUN_FAILED", .ends_run = true}, apply_failed},
    [EVENT_RUN_CANCELLED] = {{.name = "RUN_CANCELLED", .ends_run = true}, apply_cancelled},
    [EVENT_MODEL_REQUESTED] = {{.name = "MODEL_REQUESTED"}, apply_model_requested},
    [EVENT_MODEL_REPLIED] = {{.name = "MODEL_REPLIED"}, apply_model_replied},
    [EVENT_MODEL_FAILED] = {{.name = "MODEL_FAILED",
                             .time_at = offsetof(struct event, model_failed.retry_at_ms)},
                            apply_model_failed},
    [EVENT_TASK_REQUESTED] = {{.name = "TASK_REQUESTED",
                               .readies_task = true,
                               .time_at = offsetof(struct event, task_requested.deadline_ms)},
                              apply_task_requested},
    [EVENT_TASK_SETTLED] = {{.name = "TASK_SETTLED",
                             .ends_lease = true,
                             .state_at = offsetof(struct event, task_settled.state)},
                            apply_task_settled},
    [EVENT_STEP_SETTLED] = {{.name = "STEP_SETTLED",
                             .state_at = offsetof(struct event, step_settled.state)},
                            apply_step_settled},
    [EVENT_LEASE_GRANTED] = {{.name = "LEASE_GRANTED"}, apply_lease_granted},
    [EVENT_LEASE_LOST] = {{.name = "LEASE_LOST", .ends_lease = true, .readies_task = true},
                          apply_lease_lost},
    [EVENT_WAIT_SET] = {{.name = "WAIT_SET", .time_at = offsetof(struct event, wait_set.due_ms)},
                        apply_wait_set},
    [EVENT_WAIT_SETTLED] = {{.name = "WAIT_SETTLED", .readies_task = true}, apply_wait_settled},
    [EVENT_CHILD_SETTLED] = {{.name = "CHILD_SETTLED"}, apply_child_settled},
    [EVENT_RESUME_KEPT] = {{.name = "RESUME_KEPT"}, apply_resume_kept},
    [EVENT_TASK_PARKED] = {{.name = "TASK_PARKED", .ends_lease = true, .readies_task = true},
                           apply_task_parked},
    [EVENT_TASK_FAILED] = {{.name = "TASK_FAILED",
                            .ends_lease = true,
                            .time_at = offsetof(struct event, task_failed.retry_at_ms),
                            .state_at = offsetof(struct event, task_failed.state)},
                           apply_task_failed},
    [EVENT_TASK_REQUEUED] = {{.name = "TASK_REQUEUED", .readies_task = true}, apply_task_requeued},
    [EVENT_CANCEL_REQUESTED] = {{.name = "CANCEL_REQUESTED",
                                 .readies_task = true,
                                 .time_at = offsetof(struct event, cancel_requested.deadline_ms)},
                                apply_cancel_requested},
    [EVENT_ADMISSION_ASKED] = {{.name = "ADMISSION_ASKED"}, apply_admission_asked},
    [EVENT_ADMISSION_GIVEN] = {{.name = "ADMISSION_GIVEN", .readies_task = true},
                               apply_admission_given},
    [EVENT_CANCEL_SHOWN] = {{.name = "CANCEL_SHOWN", .level = 6}, apply_cancel_shown},
    [EVENT_WITHDRAWN] = {{.name = "WITHDRAWN", .level = 6}, apply_withdrawn},
    [EVENT_STEP_TRIED] = {{.name = "STEP_TRIED",
                           .level = 7,
                           .time_at = offsetof(struct event, step_tried.retry_at_ms)},
                          apply_step_tried},
    [EVENT_REPLY_REJECTED] = {{.name = "REPLY_REJECTED", .level = 8}, apply_reply_rejected},
    [EVENT_INPUT_ACCEPTED] = {{.name = "INPUT_ACCEPTED", .level = 8}, apply_input_accepted},
    [EVENT_INPUT_TAKEN] = {{.name = "INPUT_TAKEN", .level = 8}, apply_input_taken},
    [EVENT_INPUT_RETURNED] = {{.name = "INPUT_RETURNED", .level = 8}, apply_input_returned},
    [EVENT_INPUT_AMENDED] = {{.name = "INPUT_AMENDED", .level = 12}, apply_amended},
    [EVENT_CALL_AMENDED] = {{.name = "CALL_AMENDED", .level = 12}, apply_amended},
    [EVENT_RESULT_AMENDED] = {{.name = "RESULT_AMENDED", .level = 12}, apply_amended},
    [EVENT_REPLY_AMENDED] = {{.name = "REPLY_AMENDED", .level = 12}, apply_reply_amended},
    [EVENT_REPLY_JUDGED] = {{.name = "REPLY_JUDGED", .level = 12}, apply_reply_judged},
    [EVENT_REPLY_PASSED] = {{.name = "REPLY_PASSED", .level = 12}, apply_reply_passed},
};
static_assert(COUNT_OF(kinds) == EVENT_COUNT);

const struct event_traits *event_traits(enum event_kind kind)
{
    assert(kind > EVENT_NONE && kind < EVENT_COUNT);
    return &kinds[kind].traits;
}

const char *engine_event_name(enum event_kind kind)
{
    assert(kind < EVENT_COUNT);
    return kinds[kind].traits.name;
}

uint64_t *event_time(struct event *event)
{
    size_t at = event_traits(event->kind)->time_at;
    return at == 0 ? NULL : (uint64_t *)((char *)event + at);
}

struct kept_state event_state(const struct event *event)
{
    size_t at = event_traits(event->kind)->state_at;
    return at == 0 ? (struct kept_state){0}
                   : *(const struct kept_state *)((const char *)event + at);
}

bool event_ends_waits(const struct event *event, uint32_t *ret_owner, enum effect_kind *ret_kept)
{
    bool fails = event->kind == EVENT_TASK_FAILED && !event->task_failed.is_mismatch;
    bool ends_task = event->kind == EVENT_TASK_SETTLED || fails;
    bool ends_all = event->kind == EVENT_CANCEL_REQUESTED || event_traits(event->kind)->ends_run;
    if (!ends_task && !ends_all) {
        return false;
    }
    *ret_owner = ends_all ? 0 : event->effect;
    *ret_kept = fails && event->task_failed.keeps_children ? EFFECT_CHILDREN : EFFECT_NONE;
    return true;
}

void engine_apply(struct run *run, const struct event *event)
{
    assert(!engine_is_terminal(run));
    assert(event->kind > EVENT_NONE && event->kind < EVENT_COUNT);
    kinds[event->kind].apply(run, event);
    if (event_state(event).json.len > 0) {
        run->code_state = CODE_STATE_THERE;
    }
    if (run->admission == ADMISSION_HELD) {
        give_admission_back(run);
    }
    run->seq++;
}
