/*
 * models: the model calls in flight, and what comes back from them.
 *
 * A call is named by a slot and its generation, so an answer that comes for a slot given to
 * another call meanwhile is told apart without a search.
 */
#include "service/features/models/models.h"

#include <stdlib.h>

#include "service/agents/transcript.h"
#include "service/base/array.h"
#include "service/base/sys.h"
#include "service/features/definitions/definitions.h"
#include "service/features/lines/lines.h"
#include "service/features/models/lost_calls.h"
#include "service/features/models/replies.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"
#include "service/partition/unread.h"

enum {
    SLOT_NONE = UINT32_MAX,
};

struct model_slot {
    uuid run;
    uint32_t generation;
    uint32_t effect;
    uint32_t attempt;
    uint32_t next_free;
    bool in_use;
};

struct models {
    struct partition *partition;
    struct lost_calls lost;
    struct model_slot *slots;
    size_t slot_capacity;
    uint32_t slot_free;
    size_t in_flight; /* Slots in use. */
    struct done_request *kept; /* Replies whose commit failed, until their run is read again. */
    struct done_request *due; /* Those that this round says again. */
    struct request *quiet; /* Waits until nothing is in flight; NULL: nobody does. */
    struct inbox *is_quiet; /* Where it is answered. */
};

/* In each run. */
struct room {
    uint64_t call; /* In flight; 0: none. */
};

struct waits_request {
    struct request request;
    uint64_t call;
    str server; /* Empty: it waits no more. */
};

struct delta_request {
    struct request request;
    uint64_t call;
    enum model_delta_kind kind;
    str text;
};

struct done_request {
    struct request request;
    uint64_t call;
    const struct model_reply *reply;
    /* Since it was taken up; the run is the request's. */
    struct done_request *next;
    uint32_t effect;
    uint32_t attempt;
};

struct failed_request {
    struct request request;
    uint64_t call; /* 0: no call was made; request.run, `effect` and `attempt` say for which. */
    uint32_t effect;
    uint32_t attempt;
    struct model_failure failure;
};

static const struct operation waits_operation;
static const struct operation delta_operation;
static const struct operation done_operation;
static const struct operation failed_operation;

static struct models *models_of(const struct partition *partition)
{
    return partition_self(partition, &models_feature);
}

static struct room *room_of(const struct partition *partition, const struct live_run *run)
{
    return partition_room(partition, run, &models_feature);
}

static uint64_t call_name(const struct models *models, uint32_t slot)
{
    assert(slot < models->slot_capacity);
    assert(models->slots[slot].generation > 0); /* Else it may be 0, which is none. */
    return ((uint64_t)models->slots[slot].generation << 32) | slot;
}

static struct model_slot *find_call(const struct models *models, uint64_t call)
{
    uint32_t slot = (uint32_t)call;
    if (slot >= models->slot_capacity) {
        return NULL;
    }
    struct model_slot *found = &models->slots[slot];
    return found->in_use && found->generation == call >> 32 ? found : NULL;
}

static uint32_t slot_take(struct models *models)
{
    if (models->slot_free == SLOT_NONE || models->slot_capacity == 0) {
        size_t before = models->slot_capacity;
        models->slots = array_reserve(models->slots, &models->slot_capacity, before + 1,
                                      sizeof(models->slots[0]));
        assert(models->slot_capacity > before && models->slot_capacity < SLOT_NONE);
        models->slot_free = SLOT_NONE;
        for (size_t i = models->slot_capacity; i > before; i--) {
            models->slots[i - 1] =
                (struct model_slot){.generation = 1, .next_free = models->slot_free};
            models->slot_free = (uint32_t)(i - 1);
        }
    }
    uint32_t slot = models->slot_free;
    assert(slot < models->slot_capacity);
    assert(!models->slots[slot].in_use);
    models->slot_free = models->slots[slot].next_free;
    models->slots[slot].in_use = true;
    models->in_flight++;
    return slot;
}

static void slot_give(struct models *models, uint64_t call)
{
    struct model_slot *slot = find_call(models, call);
    assert(slot != NULL);
    assert(slot->in_use);
    assert(models->in_flight > 0);
    models->in_flight--;
    slot->in_use = false;
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    assert(find_call(models, call) == NULL); /* What still comes of it is told apart. */
    slot->next_free = models->slot_free;
    models->slot_free = (uint32_t)call;
}

/* The run's call, if any, is of no more interest. */
static void forget_call(struct models *models, struct live_run *run)
{
    struct room *room = room_of(models->partition, run);
    if (room->call == 0) {
        return;
    }
    if (models->partition->options.models.vtable != NULL) { /* Else they went before. */
        model_client_cancel(&models->partition->options.models, room->call);
    }
    slot_give(models, room->call);
    room->call = 0;
    line_leave(models->partition, run);
    watch_forget_text(models->partition, run);
}

static void note_lost(struct models *models, const struct live_run *run)
{
    uint64_t call = room_of(models->partition, run)->call;
    const struct model_slot *slot = call == 0 ? NULL : find_call(models, call);
    if (slot != NULL) { /* Also of a run that has ended, as that was not committed. */
        lost_calls_add(&models->lost, call, run->state.id, slot->effect, slot->attempt);
    }
}

/* The call can't be made, or its reply can't be read: it failed, and the next round says so. */
static void fail_call(struct partition *partition, struct live_run *run, uint32_t effect,
                      uint32_t attempt, const char *reason, const char *why)
{
    assert(reason != NULL && why != NULL);
    struct request *request = request_new(&failed_operation);
    struct failed_request *failed = container_of(request, struct failed_request, request);
    request->run = run->state.id;
    failed->effect = effect;
    failed->attempt = attempt;
    failed->failure = (struct model_failure){
        .code = CODE_INTERNAL,
        .reason = reason,
        .message = arena_copy(&request->arena, str_of(why)),
    };
    partition_post_always(partition, request);
}

static void perform_call(struct partition *partition, const struct act *act)
{
    struct live_run *run = act->run;
    struct models *models = models_of(partition);
    struct room *room = room_of(partition, run);
    const struct effect *effect = engine_effect(&run->state, act->effect);
    if (effect == NULL || effect->attempt != act->attempt || effect->state != EFFECT_READY) {
        return; /* Cancelled in the same round. */
    }
    assert(effect->kind == EFFECT_MODEL);
    assert(room->call == 0);
    /* While it drains: the next process makes it. */
    if (partition->requests.is_draining) {
        features_tell(partition, run_ends_here, run->state.id);
        return;
    }
    struct model_request request;
    struct definition *definition;
    status built = definition_of(partition, run, &definition);
    if (status_is_ok(built)) {
        built = replies_request(partition, run, effect, &definition->agent, &request);
    }
    if (!status_is_ok(built) && store_may_pass(built)) {
        runs_recover_later(partition, run, partition->now_ms + READ_AGAIN_MS);
        return;
    }
    if (!status_is_ok(built)) {
        fail_call(partition, run, act->effect, act->attempt, "TRANSCRIPT_FAILED", built.why);
        return;
    }
    char run_id[UUID_TEXT_BYTES];
    uuid_format(run->state.id, run_id);
    request.log_name = arena_printf(&partition->scratch, "run=%s agent=" STR_FMT, run_id,
                                    STR_ARG(definition->agent.id));
    request.attempt = act->attempt;
    request.project = partition_project(partition);
    uint32_t slot = slot_take(models);
    models->slots[slot].run = run->state.id;
    models->slots[slot].effect = act->effect;
    models->slots[slot].attempt = act->attempt;
    room->call = call_name(models, slot);
    model_client_start(&partition->options.models, room->call, &request);
}

static void perform_forget(struct partition *partition, const struct act *act)
{
    forget_call(models_of(partition), act->run);
    lost_calls_forget(&models_of(partition)->lost, act->run_id);
}

static const struct act_kind call_act = {.name = "model_call", .perform = perform_call};
static const struct act_kind forget_act = {.name = "model_forget", .perform = perform_forget};

static void handle_waits(struct partition *partition, struct request *request)
{
    const struct waits_request *waits = container_of(request, struct waits_request, request);
    const struct model_slot *slot = find_call(models_of(partition), waits->call);
    struct live_run *run = slot == NULL ? NULL : runs_find(partition, slot->run);
    if (run != NULL && waits->server.len > 0) {
        line_enter(partition, run, waits->server);
    } else if (run != NULL) {
        line_leave(partition, run);
    }
    request_answer(partition, request, NULL);
}

static void handle_delta(struct partition *partition, struct request *request)
{
    const struct delta_request *delta = container_of(request, struct delta_request, request);
    struct model_slot *slot = find_call(models_of(partition), delta->call);
    if (slot != NULL) {
        struct live_run *run = runs_find(partition, slot->run);
        /* What guardrails judge is shown when they let it pass. */
        bool is_held = run != NULL && run->state.callbacks[CALLBACK_REPLY] > 0;
        if (run != NULL && !is_held) {
            watch_delta(partition, run, slot->effect, slot->attempt, delta->kind + 1u, delta->text);
        }
    }
    request_answer(partition, request, NULL);
}

static void perform_reply(struct partition *partition, const struct act *act)
{
    struct done_request *done = act->data;
    request_answer(partition, &done->request, NULL);
}

static void keep_done(struct models *models, struct done_request *done)
{
    assert(done->next == NULL && !uuid_is_zero(done->request.run));
    done->next = models->kept;
    models->kept = done;
}

/* It has been paid for: it is said again when its run has been read again. */
static void keep_reply(struct partition *partition, const struct act *act,
                       const struct failure *failure)
{
    (void)failure;
    keep_done(models_of(partition), act->data);
}

static const struct act_kind reply_act = {
    .name = "model_reply", .perform = perform_reply, .abandon = keep_reply};

static void submit_reply(struct partition *partition, struct live_run *run,
                         struct done_request *done)
{
    struct arena *arena = &done->request.arena;
    assert(done->reply != NULL && uuid_equal(done->request.run, run->state.id));
    struct definition *definition;
    status found = definition_of(partition, run, &definition);
    bool is_awaited = !engine_is_terminal(&run->state);
    if (!status_is_ok(found) && store_may_pass(found) && is_awaited) { /* It is said again. */
        keep_done(models_of(partition), done);
        runs_recover_later(partition, run, partition->now_ms + READ_AGAIN_MS);
        return;
    }
    act_add(partition, &reply_act, run)->data = done;
    if (!status_is_ok(found)) {
        fail_call(partition, run, done->effect, done->attempt, "DEFINITION_MISSING", found.why);
        return;
    }
    struct reply_said said = {
        .effect = done->effect, .attempt = done->attempt, .reply = done->reply, .arena = arena};
    status taken = replies_submit(partition, run, &said, &definition->agent);
    if (!status_is_ok(taken)) {
        fail_call(partition, run, done->effect, done->attempt, "TRANSCRIPT_FAILED", taken.why);
    }
}

static void end_call(struct models *models, struct live_run *run, uint64_t call)
{
    assert(call != 0);
    if (run != NULL && room_of(models->partition, run)->call == call) {
        room_of(models->partition, run)->call = 0;
        line_leave(models->partition, run);
        watch_forget_text(models->partition, run);
    }
    slot_give(models, call);
}

static void handle_done(struct partition *partition, struct request *request)
{
    struct done_request *done = container_of(request, struct done_request, request);
    struct models *models = models_of(partition);
    struct model_slot *found = find_call(models, done->call);
    struct lost_call lost;
    if (found != NULL) {
        lost = (struct lost_call){
            .run = found->run, .effect = found->effect, .attempt = found->attempt};
        end_call(models, runs_find(partition, lost.run), done->call);
    } else if (!lost_calls_take(&models->lost, done->call, &lost)) {
        request_answer(partition, request, NULL);
        return;
    }
    request->run = lost.run;
    done->effect = lost.effect;
    done->attempt = lost.attempt;
    struct live_run *run = runs_find(partition, lost.run);
    if (run != NULL) {
        submit_reply(partition, run, done);
    } else {
        keep_done(models, done); /* Until its run is read again. */
    }
}

/* Those of the run that it still waits for, or of none; `effect` 0: any. Taken out. */
static struct done_request *take_kept(struct models *models, uuid run, uint32_t effect,
                                      uint32_t attempt)
{
    for (struct done_request **link = &models->kept; *link != NULL; link = &(*link)->next) {
        struct done_request *done = *link;
        bool is_its = effect == 0 || (done->effect == effect && done->attempt == attempt);
        if (is_its && uuid_equal(done->request.run, run)) {
            *link = done->next;
            done->next = NULL;
            return done;
        }
    }
    return NULL;
}

static void forget_kept(struct models *models, uuid run)
{
    struct done_request *done;
    while ((done = take_kept(models, run, 0, 0)) != NULL) {
        request_answer(models->partition, &done->request, NULL);
    }
}

/* The commit that failed may have happened all the same. */
static void reread(void *self, struct live_run *run)
{
    struct models *models = self;
    bool is_awaited = false;
    for (uint32_t i = 0; i < run->state.effect_count && !engine_is_terminal(&run->state); i++) {
        is_awaited |= run->state.effects[i].kind == EFFECT_MODEL;
    }
    if (!is_awaited) {
        forget_kept(models, run->state.id);
        lost_calls_forget(&models->lost, run->state.id);
    }
}

static void unreadable(void *self, uuid run, const struct failure *failure)
{
    struct models *models = self;
    (void)failure;
    if (!unread_has(models->partition->runs.unread, run)) { /* Else it is read again. */
        forget_kept(models, run);
        lost_calls_forget(&models->lost, run);
    }
}

static void submit_failure(struct partition *partition, struct live_run *run, uint32_t effect,
                           uint32_t attempt, const struct model_failure *failure)
{
    assert(failure->reason != NULL);
    struct command command = {
        .kind = COMMAND_MODEL_FAILED,
        .effect = effect,
        .attempt = attempt,
        .model_failed =
            {
                .reason = str_of(failure->reason),
                .message = failure->message,
                .retryable = failure->retryable,
                .retry_after_ms = failure->retry_after_ms,
            },
    };
    partition->options.random(partition->options.context, &command.model_failed.jitter,
                              sizeof(command.model_failed.jitter));
    enum verdict verdict = command_submit(partition, run, &command);
    (void)verdict;
}

static void handle_failed(struct partition *partition, struct request *request)
{
    const struct failed_request *failed = container_of(request, struct failed_request, request);
    struct models *models = models_of(partition);
    struct model_slot *found = find_call(models, failed->call);
    struct live_run *run;
    if (failed->call == 0) { /* From fail_call(). */
        if (status_is_ok(runs_get(partition, request->run, &run))) {
            submit_failure(partition, run, failed->effect, failed->attempt, &failed->failure);
        }
    } else if (found != NULL) {
        struct model_slot slot = *found;
        run = runs_find(partition, slot.run);
        end_call(models, run, failed->call);
        if (run != NULL) {
            submit_failure(partition, run, slot.effect, slot.attempt, &failed->failure);
        }
    }
    request_answer_later(partition, request);
}

static const struct operation waits_operation = {
    .name = "model_waits", .request_bytes = sizeof(struct waits_request), .handle = handle_waits};
static const struct operation delta_operation = {
    .name = "model_delta", .request_bytes = sizeof(struct delta_request), .handle = handle_delta};
static const struct operation done_operation = {
    .name = "model_done", .request_bytes = sizeof(struct done_request), .handle = handle_done};
static const struct operation failed_operation = {
    .name = "model_failed",
    .request_bytes = sizeof(struct failed_request),
    .handle = handle_failed,
};

/* The sink: on the model thread, so everything is copied and posted. */

static void sink_waits(void *context, uint64_t call, str server)
{
    assert(call != 0);
    struct request *request = request_new(&waits_operation);
    struct waits_request *waits = container_of(request, struct waits_request, request);
    waits->call = call;
    waits->server = arena_copy(&request->arena, server);
    partition_post_always(context, request);
}

static void sink_delta(void *context, uint64_t call, enum model_delta_kind kind, str text)
{
    assert(call != 0);
    struct request *request = request_new(&delta_operation);
    struct delta_request *delta = container_of(request, struct delta_request, request);
    delta->call = call;
    delta->kind = kind;
    delta->text = arena_copy(&request->arena, text);
    partition_post_always(context, request);
}

static struct model_block copy_block(struct arena *arena, const struct model_block *block)
{
    struct model_block copy = *block;
    copy.text = arena_copy(arena, block->text);
    copy.call_id = arena_copy(arena, block->call_id);
    copy.name = arena_copy(arena, block->name);
    copy.arguments = arena_copy(arena, block->arguments);
    copy.raw = arena_copy(arena, block->raw);
    return copy;
}

static void sink_done(void *context, uint64_t call, const struct model_reply *reply)
{
    assert(call != 0 && reply != NULL);
    struct request *request = request_new(&done_operation);
    struct done_request *done = container_of(request, struct done_request, request);
    struct model_reply *copy = arena_zalloc(&request->arena, sizeof(*copy));
    *copy = *reply;
    size_t bytes = (reply->block_count + 1) * sizeof(struct model_block);
    struct model_block *blocks = arena_zalloc(&request->arena, bytes);
    for (size_t i = 0; i < reply->block_count; i++) {
        blocks[i] = copy_block(&request->arena, &reply->blocks[i]);
    }
    copy->blocks = blocks;
    copy->stop_raw = arena_copy(&request->arena, reply->stop_raw);
    copy->response_id = arena_copy(&request->arena, reply->response_id);
    copy->model = arena_copy(&request->arena, reply->model);
    done->call = call;
    done->reply = copy;
    partition_post_always(context, request);
}

static void sink_failed(void *context, uint64_t call, const struct model_failure *failure)
{
    assert(call != 0); /* That is of fail_call(). */
    struct request *request = request_new(&failed_operation);
    struct failed_request *failed = container_of(request, struct failed_request, request);
    failed->call = call;
    failed->failure = *failure;
    failed->failure.message = arena_copy(&request->arena, failure->message);
    partition_post_always(context, request);
}

struct model_sink models_sink(struct partition *partition)
{
    return (struct model_sink){
        .context = partition,
        .waits = sink_waits,
        .delta = sink_delta,
        .done = sink_done,
        .failed = sink_failed,
    };
}

bool models_are_settled(const struct partition *partition)
{
    return !lost_calls_are_awaited(&models_of(partition)->lost);
}

bool models_are_calling(const struct partition *partition, const struct live_run *run)
{
    return room_of(partition, run)->call != 0;
}

/* ---- The end of the process. ---- */

static void answer_quiet(struct request *request, const struct failure *failure)
{
    (void)failure;
    inbox_push_always(request->context, &request->node);
}

static void handle_quiet(struct partition *partition, struct request *request)
{
    struct models *models = models_of(partition);
    assert(models->quiet == NULL && partition->requests.is_draining);
    models->quiet = request;
}

static const struct operation quiet_operation = {
    .name = "models_quiet", .request_bytes = sizeof(struct request), .handle = handle_quiet};

/* Calls that wait for a place have not begun: the next process makes them. */
static void drain(void *self)
{
    struct models *models = self;
    struct partition *partition = models->partition;
    for (size_t i = 0; i < models->slot_capacity; i++) {
        struct live_run *run =
            models->slots[i].in_use ? runs_find(partition, models->slots[i].run) : NULL;
        if (run != NULL && line_server(partition, run).len > 0) {
            forget_call(models, run);
            features_tell(partition, run_ends_here, run->state.id);
        }
    }
}

static void round_over(void *self)
{
    struct models *models = self;
    if (models->quiet != NULL && models->in_flight == 0 && models->kept == NULL) {
        struct request *request = models->quiet;
        models->quiet = NULL;
        request_answer(models->partition, request, NULL);
    }
}

void models_wait_quiet(struct partition *partition, uint64_t wait_ms)
{
    const struct models *models = models_of(partition);
    struct request *request = request_new(&quiet_operation);
    request->done = answer_quiet;
    request->context = models->is_quiet;
    partition_post_always(partition, request);
    if (inbox_wait(models->is_quiet, (int64_t)wait_ms)) {
        struct inbox_node *node = inbox_take(models->is_quiet, 1);
        request_free(container_of(node, struct request, node));
    } else {
        log_line(LOG_WARN, "models_cut_off", "waited_ms=%llu", (unsigned long long)wait_ms);
    }
}

static void *start(struct partition *partition)
{
    struct models *models = xcalloc(1, sizeof(*models));
    models->partition = partition;
    models->is_quiet = inbox_new(1, NULL, NULL);
    return models;
}

static void before_event(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command)
{
    (void)command;
    const struct models *models = self;
    if (event->kind == EVENT_MODEL_REQUESTED) {
        struct act *act = act_add(models->partition, &call_act, run);
        act->effect = event->effect;
        act->attempt = event->attempt;
    }
}

static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    (void)events;
    (void)count;
    const struct models *models = self;
    if (engine_is_terminal(&run->state)) {
        act_add(models->partition, &forget_act, run);
    }
}

static void recover(void *self, struct live_run *run)
{
    struct models *models = self;
    const struct run state = run->state;
    lost_calls_await(&models->lost, models->partition, run->state.id);
    for (uint32_t i = 0; i < state.effect_count; i++) {
        const struct effect *effect = &state.effects[i];
        /* One that is in flight was ordered since the run was read again. */
        if (effect->kind == EFFECT_MODEL && effect->state == EFFECT_READY &&
            room_of(models->partition, run)->call == 0) {
            struct done_request *kept =
                take_kept(models, run->state.id, effect->id, effect->attempt);
            if (kept != NULL) {
                kept->next = models->due;
                models->due = kept;
            } else if (!lost_calls_have(&models->lost, run->state.id, effect)) {
                call_again(models->partition, run, effect);
            }
            forget_kept(models, run->state.id); /* Of calls that are over. */
        }
    }
}

static void heard(void *self)
{
    struct models *models = self;
    lost_calls_give_up(&models->lost, models->partition);
}

/* Not while runs recover: what follows may be the run's end. */
static void round_begins(void *self)
{
    struct models *models = self;
    while (models->due != NULL) {
        struct live_run *run;
        struct done_request *done = models->due;
        models->due = done->next;
        done->next = NULL;
        status read = runs_get(models->partition, done->request.run, &run);
        if (status_is_ok(read)) {
            submit_reply(models->partition, run, done);
        } else if (store_may_pass(read)) { /* Until its run is recovered. */
            keep_done(models, done);
        } else {
            request_answer(models->partition, &done->request, NULL);
        }
    }
}

static bool deadline_message(void *self, struct live_run *run, str *ret)
{
    struct partition *partition = ((struct models *)self)->partition;
    struct definition *definition;
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        if (effect->kind != EFFECT_MODEL || effect->state == EFFECT_PARKED ||
            !status_is_ok(definition_of(partition, run, &definition))) {
            continue;
        }
        str model = definition->agent.model;
        if (effect->state == EFFECT_BACKOFF) {
            uint64_t left_ms = effect->due_ms - partition->now_ms;
            *ret = arena_printf(
                &partition->round_arena,
                "the run's deadline passed while it waited to call the model '" STR_FMT
                "' again: %u calls had failed, and the next was due in %llu s",
                STR_ARG(model), effect->failures, (unsigned long long)(left_ms + 999) / 1000);
        } else {
            *ret = arena_printf(&partition->round_arena,
                                "the run's deadline passed while the model '" STR_FMT
                                "' was answering, attempt %u",
                                STR_ARG(model), effect->attempt);
        }
        return true;
    }
    return false;
}

static void run_leaves(void *self, struct live_run *run)
{
    note_lost(self, run);
    forget_call(self, run);
}

static void stop(void *self)
{
    struct models *models = self;
    for (size_t i = 0; i < models->slot_capacity; i++) {
        assert(!models->slots[i].in_use); /* The runs have left, and their calls with them. */
    }
    while (models->kept != NULL) {
        struct done_request *done = models->kept;
        models->kept = done->next;
        request_free(&done->request);
    }
    if (models->quiet != NULL) { /* Nobody waits for it any more. */
        request_free(models->quiet);
    }
    inbox_free(models->is_quiet);
    free(models->slots);
    lost_calls_fini(&models->lost);
    free(models);
}

static const struct feature *const uses[] = {&definitions_feature, &lines_feature,
                                             &watchers_feature, NULL};

const struct feature models_feature = {
    .name = "models",
    .uses = uses,
    .run_bytes = sizeof(struct room),
    .start = start,
    .at =
        {
            [ROUND_BEGINS] = round_begins,
            [ROUND_HEARD] = heard,
            [ROUND_DRAINS] = drain,
            [ROUND_OVER] = round_over,
        },
    .before_event = before_event,
    .after_decision = after_decision,
    .reread = reread,
    .unreadable = unreadable,
    .recover = recover,
    .deadline_message = deadline_message,
    .run_leaves = run_leaves,
    .stop = stop,
};
