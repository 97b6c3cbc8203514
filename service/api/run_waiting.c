#include "service/api/run_waiting.h"

#include "service/api/run_view.h"
#include "service/api/text.h"
#include "service/api/times.h"
#include "service/base/code_version.h"
#include "service/features/reports/reports.h"
#include "service/hosts/message.h"

/* What the partition says of a task that is ready. */
static const struct report_task *task_of(const struct run_known *known, uint32_t effect)
{
    static const struct report_task none;
    for (size_t i = 0; known->report != NULL && i < known->report->task_count; i++) {
        if (known->report->tasks[i].effect == effect) {
            return &known->report->tasks[i];
        }
    }
    return &none;
}

static str queue_sentence(const struct run_known *known)
{
    return known->report == NULL ? STR_EMPTY : known->report->queue_sentence;
}

static str task_sentence(const struct run_known *known, size_t index, const char *what,
                         struct arena *arena)
{
    const struct effect *effect = &known->facts->state.effects[index];
    str name = known->facts->effect_names[index];
    str host = known->facts->hosts[index];
    const struct report_task *task = task_of(known, effect->id);
    assert(effect_is_task(effect));
    if (effect->state == EFFECT_LEASED) {
        return host.len > 0 ? arena_printf(arena, "host " STR_FMT " works on it", STR_ARG(host))
                            : arena_printf(arena, "a host works on it");
    }
    if (task->is_foreign) {
        return arena_printf(arena,
                            "the hosts that offer %s " STR_FMT " have code of another language "
                            "than that which began it; start one of its language",
                            what, STR_ARG(name));
    }
    if (task->is_held_back && code_version_is_newest(engine_pin(&known->facts->state, effect))) {
        return arena_printf(arena,
                            "the hosts of the newest deployment that offers %s " STR_FMT
                            " are busy or have just gone; others that offer it have older code",
                            what, STR_ARG(name));
    }
    if (task->is_held_back) {
        return arena_printf(arena,
                            "the hosts of the deployment it stays with are busy or have just gone; "
                            "others that offer %s " STR_FMT " have other code",
                            what, STR_ARG(name));
    }
    if (task->has_offer) {
        return arena_printf(arena, "every host that offers %s " STR_FMT " is busy or away", what,
                            STR_ARG(name));
    }
    return arena_printf(
        arena, "no connected host offers %s " STR_FMT "; start one or wait until the deadline",
        what, STR_ARG(name));
}

static bool awaits_place(const struct run_known *known, const struct effect *effect)
{
    return effect->state == EFFECT_READY && known->report != NULL && known->report->server.len > 0;
}

static str model_sentence(const struct run_known *known, const struct effect *effect, str failure,
                          struct arena *arena)
{
    assert(effect->kind == EFFECT_MODEL);
    if (awaits_place(known, effect)) {
        return arena_printf(arena, "it waits for a place at " STR_FMT ", attempt %u",
                            STR_ARG(known->report->server), effect->attempt);
    }
    if (effect->state != EFFECT_BACKOFF) {
        return arena_printf(arena, "the model is answering, attempt %u", effect->attempt);
    }
    const char *due = text_of_time(arena, effect->due_ms);
    if (failure.len == 0) {
        return arena_printf(arena, "%u model calls failed; the next attempt is at %s",
                            effect->failures, due);
    }
    return arena_printf(
        arena, "%u model calls failed, the last with: " STR_FMT " -- the next attempt is at %s",
        effect->failures, STR_ARG(failure), due);
}

static str body_sentence(const struct effect *effect, const char *what, str failure,
                         struct arena *arena)
{
    assert(effect->state == EFFECT_BACKOFF);
    const char *due = text_of_time(arena, effect->due_ms);
    if (failure.len == 0) {
        return arena_printf(arena, "the %s failed; it is tried again at %s", what, due);
    }
    return arena_printf(arena, "the %s failed with: " STR_FMT " -- it is tried again at %s", what,
                        STR_ARG(failure), due);
}

static str code_sentence(const struct effect *effect, const char *what, str failure,
                         struct arena *arena)
{
    assert(effect_is_stopped(effect));
    return arena_printf(arena,
                        "the code of the %s does not fit its history; it is tried again when a "
                        "host dials in that offers it, and at %s. It said: " STR_FMT,
                        what, text_of_time(arena, effect->due_ms), STR_ARG(failure));
}

/* What the child that stands ready lacks; empty: nothing that could be said of it. */
static str ready_child_sentence(const struct run_known *known, struct arena *arena)
{
    const struct run_facts *facts = known->facts;
    const struct run_report *child = known->report == NULL ? NULL : known->report->child;
    bool is_workflow = facts->ready_row.kind == RUN_KIND_WORKFLOW;
    if (child == NULL || child->task_count == 0) {
        return STR_EMPTY;
    }
    if (child->queue_sentence.len > 0) {
        return child->queue_sentence;
    }
    if (child->tasks[0].has_offer) {
        return STR_EMPTY;
    }
    return arena_printf(arena, "no connected host offers %s %s; start one",
                        is_workflow ? "workflow" : "tool", facts->ready_row.ready[0].name);
}

/* The first of those that are named. */
static str named_children(const struct run_known *known, const struct effect *effect,
                          struct arena *arena)
{
    str text = STR_EMPTY;
    for (size_t i = 0; i < known->facts->awaited_count; i++) {
        const struct awaited_child *child = &known->facts->awaited[i];
        if (child->effect != effect->id) {
            continue;
        }
        char id[UUID_TEXT_BYTES];
        uuid_format(child->id, id);
        bool is_ready = uuid_equal(child->id, known->facts->ready_child);
        str lack = is_ready ? ready_child_sentence(known, arena) : STR_EMPTY;
        text = arena_printf(arena, STR_FMT "%s" STR_FMT " %s%s" STR_FMT "%s", STR_ARG(text),
                            text.len == 0 ? ": " : ", ", STR_ARG(child->name), id,
                            lack.len > 0 ? " (" : "", STR_ARG(lack), lack.len > 0 ? ")" : "");
    }
    return text;
}

static str children_sentence(const struct run_known *known, const struct effect *effect,
                             struct arena *arena)
{
    char id[UUID_TEXT_BYTES];
    uuid_format(known->facts->unreadable_child, id);
    str named = named_children(known, effect, arena);
    if (uuid_is_zero(known->facts->unreadable_child)) {
        return arena_printf(arena, "it waits for %u of the runs it started to end" STR_FMT,
                            effect->children_left, STR_ARG(named));
    }
    return arena_printf(arena,
                        "it waits for %u of the runs it started to end; one of them, %s, cannot be "
                        "read and rests",
                        effect->children_left, id);
}

static str wait_sentence(const struct run_known *known, const struct effect *effect,
                         struct arena *arena)
{
    const char *due = effect->due_ms == 0 ? NULL : text_of_time(arena, effect->due_ms);
    const char *until = due == NULL ? "" : arena_printf(arena, ", until %s", due).ptr;
    switch ((enum effect_kind)effect->kind) {
    case EFFECT_SLEEP:
        return arena_printf(arena, "it sleeps%s", until);
    case EFFECT_SUSPENSION:
        return arena_printf(arena, "it waits for an answer, which SuspendService.Resume gives%s",
                            until);
    case EFFECT_EVENT:
        return arena_printf(arena, "it waits for an event, which TopicService.Publish can send%s",
                            until);
    case EFFECT_CHILDREN:
        return children_sentence(known, effect, arena);
    case EFFECT_NONE:
    case EFFECT_MODEL:
    case EFFECT_TOOL:
    case EFFECT_BODY:
    case EFFECT_AT_ONCE:
    case EFFECT_CALLBACK:
    case EFFECT_KIND_COUNT:
        break;
    }
    assert(false && "no wait");
    return STR_EMPTY;
}

/* Whether it is the run's admission that lacks. */
static bool is_queued(const struct run_known *known, const struct effect *effect)
{
    bool may_be = effect->kind == EFFECT_BODY || known->facts->state.admission == ADMISSION_AWAITED;
    bool is_ready = effect->state == EFFECT_READY ||
                    (effect->kind == EFFECT_MODEL && effect->state == EFFECT_PARKED);
    return may_be && is_ready && !effect_is_wait(effect) && queue_sentence(known).len > 0;
}

static Polos__V1__Waiting__Kind kind_of(const struct run_known *known, const struct effect *effect)
{
    static const Polos__V1__Waiting__Kind waits[EFFECT_KIND_COUNT] = {
        [EFFECT_SLEEP] = POLOS__V1__WAITING__KIND__KIND_SLEEP,
        [EFFECT_SUSPENSION] = POLOS__V1__WAITING__KIND__KIND_SUSPENSION,
        [EFFECT_EVENT] = POLOS__V1__WAITING__KIND__KIND_EVENT,
        [EFFECT_CHILDREN] = POLOS__V1__WAITING__KIND__KIND_CHILDREN,
    };
    assert(effect->kind < EFFECT_KIND_COUNT);
    if (effect_is_wait(effect)) {
        return waits[effect->kind];
    }
    if (effect_is_stopped(effect)) {
        return POLOS__V1__WAITING__KIND__KIND_CODE;
    }
    if (effect->state == EFFECT_BACKOFF) {
        return POLOS__V1__WAITING__KIND__KIND_RETRY;
    }
    if (is_queued(known, effect)) {
        return POLOS__V1__WAITING__KIND__KIND_QUEUE;
    }
    if (effect->kind == EFFECT_MODEL) {
        return awaits_place(known, effect) ? POLOS__V1__WAITING__KIND__KIND_PLACE
                                           : POLOS__V1__WAITING__KIND__KIND_MODEL;
    }
    return effect->state == EFFECT_LEASED ? POLOS__V1__WAITING__KIND__KIND_TASK
                                          : POLOS__V1__WAITING__KIND__KIND_HOST;
}

/* A wait ends by itself, or never; all else is given up with the run at the latest. */
static uint64_t deadline_of(const struct run *state, const struct effect *effect)
{
    if (effect_is_wait(effect)) {
        return effect->due_ms;
    }
    return effect->deadline_ms != 0 ? effect->deadline_ms : state->deadline_ms;
}

static str sentence_of(const struct run_known *known, size_t index, struct arena *arena)
{
    const struct run *state = &known->facts->state;
    const struct effect *effect = &state->effects[index];
    if (is_queued(known, effect)) {
        return queue_sentence(known);
    }
    if (effect->kind == EFFECT_MODEL) {
        return model_sentence(known, effect,
                              text_cut(arena, known->failure, RUN_VIEW_SENTENCE_BYTES_MAX), arena);
    }
    if (effect_is_wait(effect)) {
        return wait_sentence(known, effect, arena);
    }
    bool is_workflow = effect->kind == EFFECT_BODY && state->kind == RUN_KIND_WORKFLOW;
    const char *what = is_workflow ? "workflow" : "tool";
    what = effect->kind == EFFECT_CALLBACK ? "hook" : what;
    str told =
        known->facts->failures[index].len > 0 ? known->facts->failures[index] : known->failure;
    str failure = text_cut(arena, told, RUN_VIEW_SENTENCE_BYTES_MAX);
    if (effect_is_stopped(effect)) {
        return code_sentence(effect, what, failure, arena);
    }
    if (effect->state == EFFECT_BACKOFF) {
        return body_sentence(effect, what, failure, arena);
    }
    str sentence = task_sentence(known, index, what, arena);
    return effect->kind == EFFECT_CALLBACK
               ? arena_printf(arena, "it waits for hook " STR_FMT ": " STR_FMT,
                              STR_ARG(known->facts->effect_names[index]), STR_ARG(sentence))
               : sentence;
}

static void put_run_ids(const struct run_known *known, const struct effect *effect,
                        struct arena *arena, Polos__V1__Waiting *waiting)
{
    const struct run_facts *facts = known->facts;
    if (effect->kind != EFFECT_CHILDREN || facts->awaited_count == 0) {
        return;
    }
    waiting->run_ids = arena_alloc(arena, RUN_AWAITED_MAX * sizeof(waiting->run_ids[0]));
    for (size_t i = 0; i < facts->awaited_count; i++) {
        if (facts->awaited[i].effect == effect->id) {
            assert(waiting->n_run_ids < RUN_AWAITED_MAX);
            waiting->run_ids[waiting->n_run_ids] = arena_alloc(arena, UUID_TEXT_BYTES);
            uuid_format(facts->awaited[i].id, waiting->run_ids[waiting->n_run_ids++]);
        }
    }
}

static Polos__V1__Waiting *waiting_for(const struct run_known *known, size_t index,
                                       struct arena *arena)
{
    const struct effect *effect = &known->facts->state.effects[index];
    Polos__V1__Waiting *waiting = arena_alloc(arena, sizeof(*waiting));
    polos__v1__waiting__init(waiting);
    str name = known->facts->effect_names[index];
    if (effect->kind == EFFECT_MODEL && name.len == 0) {
        name = known->model;
    }
    if (is_queued(known, effect)) {
        name = known->report->queue;
    }
    bool is_wait = effect_is_wait(effect);
    waiting->kind = kind_of(known, effect);
    waiting->name =
        text_of(arena, text_cut(arena, is_wait ? STR_EMPTY : name, RUN_VIEW_SENTENCE_BYTES_MAX));
    waiting->step_key = text_of(arena, is_wait ? name : STR_EMPTY);
    if (effect->kind == EFFECT_SUSPENSION) {
        waiting->suspension_id = arena_alloc(arena, TASK_ID_BYTES);
        task_ref_format((struct task_ref){known->facts->state.id, effect->id},
                        waiting->suspension_id);
    }
    put_run_ids(known, effect, arena, waiting);
    waiting->since = times_instant(arena, effect->since_ms);
    waiting->deadline = times_instant(arena, deadline_of(&known->facts->state, effect));
    waiting->message = text_of(arena, sentence_of(known, index, arena));
    assert(waiting->message[0] != '\0');
    return waiting;
}

/* A step between its tries; its task is at work. */
static Polos__V1__Waiting *waiting_of_try(const struct tried_step *tried, struct arena *arena)
{
    Polos__V1__Waiting *waiting = arena_alloc(arena, sizeof(*waiting));
    polos__v1__waiting__init(waiting);
    waiting->kind = POLOS__V1__WAITING__KIND__KIND_RETRY;
    waiting->step_key = text_of(arena, tried->key);
    waiting->since = times_instant(arena, tried->failed_ms);
    waiting->message = text_of(
        arena,
        arena_printf(arena, "try %u of the step failed with: " STR_FMT " -- the next is due at %s",
                     tried->try_number,
                     STR_ARG(text_cut(arena, tried->failure, RUN_VIEW_SENTENCE_BYTES_MAX)),
                     text_of_time(arena, tried->retry_at_ms)));
    return waiting;
}

/* All else that is open there was the other run's. */
static Polos__V1__Waiting *waiting_for_copy(const struct run *state, struct arena *arena)
{
    Polos__V1__Waiting *waiting = arena_alloc(arena, sizeof(*waiting));
    assert(!engine_is_terminal(state));
    polos__v1__waiting__init(waiting);
    waiting->kind = POLOS__V1__WAITING__KIND__KIND_COPY;
    waiting->since = times_instant(arena, state->started_ms);
    waiting->message =
        text_of(arena, arena_printf(arena,
                                    "its history is being copied from the run it is a fork of; %u "
                                    "events are there",
                                    state->seq));
    return waiting;
}

/* A parked task is nobody's affair; what its code waits for is listed by itself. */
static bool is_shown(const struct effect *effect)
{
    return effect->kind != EFFECT_NONE &&
           (effect->state != EFFECT_PARKED || effect->kind == EFFECT_MODEL);
}

void run_waiting(const struct run_known *known, struct arena *arena, Polos__V1__Run *run)
{
    const struct run *state = &known->facts->state;
    assert(state->effect_count <= ENGINE_EFFECTS_MAX);
    assert(run->n_waiting == 0);
    if (engine_is_terminal(state)) {
        return;
    }
    size_t tried_count = known->facts->tried_count;
    run->waiting = arena_alloc(arena, (ENGINE_EFFECTS_MAX + tried_count) * sizeof(*run->waiting));
    if (known->report != NULL && known->report->is_copying) {
        run->status =
            POLOS__V1__RUN_STATUS__RUN_STATUS_WAITING; /* Whatever its copied facts say. */
        run->waiting[run->n_waiting++] = waiting_for_copy(state, arena);
        return;
    }
    for (size_t i = 0; i < state->effect_count; i++) {
        if (is_shown(&state->effects[i])) {
            run->waiting[run->n_waiting++] = waiting_for(known, i, arena);
        }
    }
    for (size_t i = 0; i < tried_count; i++) {
        run->waiting[run->n_waiting++] = waiting_of_try(&known->facts->tried[i], arena);
    }
}
