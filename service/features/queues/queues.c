/*
 * queues: runs that need an admission. What a queue decides is when a run's task may ask for a
 * host, and when an agent run may work at all: it has no one task, so its admission is a
 * fact of its own.
 *
 * That it was started, and every lease, are facts of its journal; who waits and who runs follows
 * from them. Only what does not follow has rows: the limits, and the starts a rate counts.
 */
#include "service/features/queues/queues.h"

#include <stdlib.h>

#include "service/base/sys.h"
#include "service/features/queues/limits.h"
#include "service/partition/commands.h"
#include "service/partition/round.h"
#include "service/partition/state.h"
#include "service/partition/task_order.h"
#include "service/partition/unread.h"

/* ---- Places. ---- */

/* A run's place as its start says it. */
struct kept_place {
    int32_t priority;
    uint32_t queue_len;
    uint32_t key_len;
    char text[]; /* The queue, the key. */
};

/* In each run. */
struct room {
    struct kept_place *kept; /* NULL: it needs no admission. */
};

static struct kept_place **kept_place_of(const struct partition *partition,
                                         const struct live_run *run)
{
    struct room *room = partition_room(partition, run, &queues_feature);
    return &room->kept;
}

static bool needs_admission(const struct partition *partition, const struct live_run *run)
{
    return *kept_place_of(partition, run) != NULL;
}

/* The run was started with this. */
static void run_begun(void *self, struct live_run *run, const struct run_spec *spec)
{
    const struct queues_feature *feature = self;
    struct kept_place **kept = kept_place_of(feature->partition, run);
    if (spec->options.queue.len == 0 || *kept != NULL) {
        return;
    }
    *kept = xmalloc(sizeof(**kept) + spec->options.queue.len + spec->options.concurrency_key.len);
    (*kept)->priority = spec->options.priority;
    (*kept)->queue_len = (uint32_t)spec->options.queue.len;
    (*kept)->key_len = (uint32_t)spec->options.concurrency_key.len;
    memcpy((*kept)->text, spec->options.queue.ptr, spec->options.queue.len);
    if (spec->options.concurrency_key.len > 0) {
        memcpy((*kept)->text + spec->options.queue.len, spec->options.concurrency_key.ptr,
               spec->options.concurrency_key.len);
    }
}

static struct queue_place place_of(const struct partition *partition, const struct live_run *run)
{
    const struct kept_place *kept = *kept_place_of(partition, run);
    assert(kept != NULL && kept->queue_len > 0);
    return (struct queue_place){
        .queue = str_make(kept->text, kept->queue_len),
        .key = str_make(kept->text + kept->queue_len, kept->key_len),
        .priority = kept->priority,
    };
}

static const struct effect *body_of(const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].kind == EFFECT_BODY) {
            return &run->effects[i];
        }
    }
    return NULL;
}

/* Code that was cancelled may clean up at once: it would run out of time waiting. */
bool queues_gate(const struct partition *partition, const struct live_run *run,
                 const struct effect *effect)
{
    if (run->state.kind == RUN_KIND_AGENT) {
        return run->state.admission == ADMISSION_AWAITED;
    }
    return needs_admission(partition, run) && effect->kind == EFFECT_BODY &&
           !run->state.is_cancelling;
}

/* What waits for an agent's admission; NULL: all of it rests. */
static const struct effect *gated_of(const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        if (effect->kind == EFFECT_MODEL ||
            (effect_is_task(effect) && effect->state == EFFECT_READY)) {
            return effect;
        }
    }
    return NULL;
}

/* It needs no host: its need has no name. */
static struct waiting_task agent_waiting(uuid run, uint32_t effect, bool has_begun)
{
    return (struct waiting_task){
        .task = {run, effect},
        .kind = TASK_TOOL,
        .name = STR_EMPTY,
        .has_begun = has_begun,
    };
}

static bool agent_has_begun(const struct run *run, const struct effect *effect)
{
    assert(run->kind == RUN_KIND_AGENT);
    return run->turns > 0 || effect->attempt > 0;
}

static void note_agent(struct partition *partition, struct live_run *run)
{
    assert(run->state.kind == RUN_KIND_AGENT);
    const struct effect *gated = gated_of(&run->state);
    struct queue_place place = place_of(partition, run);
    if (engine_is_terminal(&run->state)) {
        queue_order_leave(queues_in(partition), run->state.id);
    } else if (run->state.admission == ADMISSION_HELD) {
        queue_order_run(queues_in(partition), &place, (struct task_ref){run->state.id, 0});
    } else if (gated != NULL) {
        bool has_begun = agent_has_begun(&run->state, gated);
        struct waiting_task waiting = agent_waiting(run->state.id, gated->id, has_begun);
        queue_order_wait(queues_in(partition), &place, &waiting);
    } else {
        queue_order_leave(queues_in(partition), run->state.id);
    }
}

/* What the state says of it; said again, it changes nothing. */
static void note(struct partition *partition, struct live_run *run)
{
    if (!needs_admission(partition, run)) {
        return;
    }
    if (run->state.kind == RUN_KIND_AGENT) {
        note_agent(partition, run);
        return;
    }
    const struct effect *body = body_of(&run->state);
    struct queue_place place = place_of(partition, run);
    if (body != NULL && body->state == EFFECT_LEASED) {
        queue_order_run(queues_in(partition), &place, (struct task_ref){run->state.id, body->id});
    } else if (body != NULL && body->state == EFFECT_READY && queues_gate(partition, run, body)) {
        struct waiting_task waiting = {
            .task = {run->state.id, body->id},
            .kind = task_order_kind(run, body),
            .name = str_of(run->name),
            .deployment = engine_pin(&run->state, body),
            .has_begun = body->attempt > 0,
        };
        queue_order_wait(queues_in(partition), &place, &waiting);
    } else {
        queue_order_leave(queues_in(partition), run->state.id);
    }
}

static void seal(void *self, struct live_run *run, struct run_row *row)
{
    const struct partition *partition = ((struct queues_feature *)self)->partition;
    if (!needs_admission(partition, run) || row->ready_count == 0 || run->state.is_cancelling) {
        return;
    }
    struct queue_place place = place_of(partition, run);
    assert(place.queue.len <= CODEC_NAME_MAX && place.key.len <= CODEC_KEY_MAX);
    memcpy(row->queue, place.queue.ptr, place.queue.len);
    memcpy(row->concurrency_key, place.key.ptr, place.key.len);
    row->priority = place.priority;
    const struct effect *first = engine_effect(&run->state, row->ready[0].effect);
    assert(first != NULL && row->ready_count <= COUNT_OF(row->ready));
    row->has_begun = run->state.kind == RUN_KIND_AGENT ? agent_has_begun(&run->state, first)
                                                       : first->attempt > 0;
}

static status row_read(void *self, uuid id, const struct run_row *row)
{
    const struct queues_feature *feature = self;
    if (row->queue[0] == '\0' || row->ready_count == 0) {
        return STATUS_OK;
    }
    struct queue_place place = {str_of(row->queue), str_of(row->concurrency_key), row->priority};
    struct waiting_task waiting = {
        .task = {id, row->ready[0].effect},
        .kind = row->kind == RUN_KIND_WORKFLOW ? TASK_WORKFLOW : TASK_TOOL,
        .name = str_of(row->name),
        .deployment = row->ready[0].deployment,
        .has_begun = row->has_begun,
    };
    if (row->kind == RUN_KIND_AGENT) {
        waiting = agent_waiting(id, row->ready[0].effect, row->has_begun);
    }
    queue_order_wait(feature->order, &place, &waiting);
    return STATUS_OK;
}

/* ---- Admissions. ---- */

static void count_start(struct partition *partition, const struct live_run *run)
{
    struct queue_place place = place_of(partition, run);
    struct queue_limits limits;
    if (queue_order_defined(queues_in(partition), place.queue, &limits) && limits.rate > 0) {
        uint64_t number =
            queue_order_count_start(queues_in(partition), place.queue, partition->now_ms);
        limits_put_start(partition, place.queue, limits.rate, number, partition->now_ms);
    }
}

static void serve_agent(struct partition *partition, struct live_run *run)
{
    const struct effect *gated = gated_of(&run->state);
    if (run->state.admission != ADMISSION_AWAITED || gated == NULL) {
        queue_order_leave(queues_in(partition), run->state.id);
        return;
    }
    bool is_start = !agent_has_begun(&run->state, gated);
    assert(needs_admission(partition, run));
    struct command admit = {.kind = COMMAND_ADMIT};
    enum verdict verdict = command_submit(partition, run, &admit);
    assert(verdict == VERDICT_OK && run->state.admission == ADMISSION_HELD);
    if (is_start) {
        count_start(partition, run);
    }
}

static void serve(struct partition *partition, struct task_ref task)
{
    struct live_run *run;
    status found = runs_get(partition, task.run, &run);
    const struct effect *effect = NULL;
    if (status_is_ok(found) && run->state.kind == RUN_KIND_AGENT &&
        needs_admission(partition, run)) {
        serve_agent(partition, run);
        return;
    }
    if (status_is_ok(found)) {
        effect = engine_effect(&run->state, task.effect);
    } else {
        log_line(LOG_ERROR, "queued_run_unreadable", "why=\"%s\"", found.why);
        if (store_may_pass(found)) { /* It is read again, and woken. */
            queue_order_stall(queues_in(partition), task.run);
            return;
        }
    }
    bool waits =
        effect != NULL && effect->state == EFFECT_READY && queues_gate(partition, run, effect);
    if (!waits) { /* Its row said what its journal does not. */
        queue_order_leave(queues_in(partition), task.run);
        return;
    }
    bool is_start = effect->attempt == 0;
    if (!feature_give(partition, run, task.effect)) {
        queue_order_stall(queues_in(partition), task.run);
        return;
    }
    if (is_start) {
        count_start(partition, run);
    }
}

static void end_round(void *self)
{
    struct partition *partition = ((struct queues_feature *)self)->partition;
    struct task_ref task;
    for (size_t i = 0; i < partition->options.batch_max &&
                       queue_order_next(queues_in(partition), partition->now_ms, &task);
         i++) {
        serve(partition, task);
    }
}

bool queues_woken(struct partition *partition, uuid run)
{
    struct task_ref task;
    if (!queue_order_wake(queues_in(partition), run)) {
        return false;
    }
    /* Now: the next ready task is asked for as soon as this returns. */
    if (queue_order_next(queues_in(partition), partition->now_ms, &task)) {
        serve(partition, task);
    }
    return true;
}

/* ---- What is said of it. ---- */

static str ahead_text(struct arena *arena, uint32_t ahead)
{
    return ahead == 0   ? STR("it is next")
           : ahead == 1 ? STR("1 is ahead of it")
                        : arena_printf(arena, "%u are ahead of it", ahead);
}

static str sentence_of(struct partition *partition, uuid run, struct queue_place place,
                       bool is_agent, struct arena *arena)
{
    struct queue_view view;
    if (!queue_order_look(queues_in(partition), run, partition->now_ms, &view)) {
        return STR_EMPTY;
    }
    str ahead = ahead_text(arena, view.ahead);
    switch (view.obstacle) {
    case QUEUE_OBSTACLE_NONE:
        break;
    case QUEUE_OBSTACLE_LIMIT:
        assert(view.limits.concurrency > 0 && view.running >= view.limits.concurrency);
        return arena_printf(arena, "queue " STR_FMT " runs %u of %u; " STR_FMT,
                            STR_ARG(place.queue), view.running, view.limits.concurrency,
                            STR_ARG(ahead));
    case QUEUE_OBSTACLE_KEY:
        assert(view.limits.per_key > 0 && view.key_running >= view.limits.per_key);
        return arena_printf(arena,
                            "queue " STR_FMT " runs %u of %u for key %s" STR_FMT "; " STR_FMT,
                            STR_ARG(place.queue), view.key_running, view.limits.per_key,
                            place.key.len == 0 ? "''" : "", STR_ARG(place.key), STR_ARG(ahead));
    case QUEUE_OBSTACLE_RATE:
        assert(view.limits.rate > 0 && view.due_ms > partition->now_ms);
        return arena_printf(arena,
                            "queue " STR_FMT " begins %u runs in %llu ms; the next may begin in "
                            "%llu ms; " STR_FMT,
                            STR_ARG(place.queue), view.limits.rate,
                            (unsigned long long)view.limits.rate_period_ms,
                            (unsigned long long)(view.due_ms - partition->now_ms), STR_ARG(ahead));
    }
    return is_agent ? arena_printf(arena, "it is its turn in queue " STR_FMT, STR_ARG(place.queue))
                    : STR_EMPTY; /* Only a host is missing. */
}

str queues_sentence(struct partition *partition, const struct live_run *run, struct arena *arena)
{
    return needs_admission(partition, run)
               ? sentence_of(partition, run->state.id, place_of(partition, run),
                             run->state.kind == RUN_KIND_AGENT, arena)
               : STR_EMPTY;
}

str queues_row_sentence(struct partition *partition, uuid run, const struct run_row *row,
                        struct arena *arena)
{
    struct queue_place place = {
        .queue = str_of(row->queue),
        .key = str_of(row->concurrency_key),
        .priority = row->priority,
    };
    return place.queue.len == 0
               ? STR_EMPTY
               : sentence_of(partition, run, place, row->kind == RUN_KIND_AGENT, arena);
}

str queues_name(const struct partition *partition, const struct live_run *run)
{
    return !needs_admission(partition, run) ? STR_EMPTY : place_of(partition, run).queue;
}

static void *start(struct partition *partition)
{
    struct queues_feature *feature = xcalloc(1, sizeof(*feature));
    feature->partition = partition;
    feature->order = queue_order_new();
    return feature;
}

static status load(void *self)
{
    return limits_load(((struct queues_feature *)self)->partition);
}

static void failed(void *self)
{
    status read = load(self);
    if (!status_is_ok(read)) {
        log_line(LOG_ERROR, "queues_unreadable", "why=\"%s\"", read.why);
        if (store_may_pass(read)) {
            round_doubt(((struct queues_feature *)self)->partition, read);
        }
    }
}

static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    (void)events;
    (void)count;
    note(((struct queues_feature *)self)->partition, run);
}

/* Its place is taken before anybody asks for one. */
static void reread(void *self, struct live_run *run)
{
    struct partition *partition = ((const struct queues_feature *)self)->partition;
    if (run->is_copying) { /* What its state says of a queue is another run's. */
        queue_order_leave(queues_in(partition), run->state.id);
    } else {
        note(partition, run);
    }
}

static void unreadable(void *self, uuid run, const struct failure *failure)
{
    const struct queues_feature *feature = self;
    (void)failure;
    if (!unread_has(feature->partition->runs.unread, run)) { /* Else it is read again. */
        queue_order_leave(feature->order, run);
    }
}

static void recover(void *self, struct live_run *run)
{
    const struct queues_feature *feature = self;
    note(feature->partition, run);
    queue_order_wake(feature->order, run->state.id); /* If it stood among the ready, it may not. */
}

static bool has_ready_task(const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].state == EFFECT_READY && effect_is_task(&run->effects[i])) {
            return true;
        }
    }
    return false;
}

static bool deadline_message(void *self, struct live_run *run, str *ret)
{
    struct partition *partition = ((struct queues_feature *)self)->partition;
    bool is_awaited = run->state.admission == ADMISSION_AWAITED;
    if (!is_awaited && !has_ready_task(&run->state)) {
        return false;
    }
    str why = queues_sentence(partition, run, &partition->round_arena);
    *ret = why.len == 0
               ? STR_EMPTY
               : arena_printf(&partition->round_arena,
                              "the run's deadline passed while it waited for its turn: " STR_FMT,
                              STR_ARG(why));
    return is_awaited || why.len > 0;
}

static void run_leaves(void *self, struct live_run *run)
{
    free(*kept_place_of(((struct queues_feature *)self)->partition, run));
}

static uint64_t next_due_ms(void *self)
{
    const struct queues_feature *feature = self;
    return queue_order_next_due_ms(feature->order, feature->partition->now_ms);
}

static void stop(void *self)
{
    struct queues_feature *feature = self;
    queue_order_free(feature->order);
    free(feature);
}

const struct feature queues_feature = {
    .name = "queues",
    .run_bytes = sizeof(struct room),
    .start = start,
    .load = load,
    .at = {[ROUND_ENDS] = end_round, [ROUND_FAILED] = failed},
    .run_begun = run_begun,
    .after_decision = after_decision,
    .deadline_message = deadline_message,
    .seal = seal,
    .reread = reread,
    .unreadable = unreadable,
    .row_read = row_read,
    .recover = recover,
    .run_leaves = run_leaves,
    .next_due_ms = next_due_ms,
    .stop = stop,
};
