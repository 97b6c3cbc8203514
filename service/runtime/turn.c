/*
 * turn: one round of the partition: requests in, one commit, acts out.
 */
#include <stdlib.h>

#include "service/base/sys.h"
#include "service/runtime/internal.h"

struct request *request_new(enum request_kind kind)
{
    assert(kind < REQUEST_KIND_COUNT);
    struct request *request = xcalloc(1, sizeof(*request));
    request->kind = kind;
    arena_init(&request->arena, 0);
    return request;
}

void request_free(struct request *request)
{
    arena_fini(&request->arena);
    free(request);
}

bool runtime_post(struct runtime *runtime, struct request *request)
{
    return inbox_push(runtime->inbox, &request->node);
}

void runtime_post_always(struct runtime *runtime, struct request *request)
{
    inbox_push_always(runtime->inbox, &request->node);
}

static void handle_cancel(struct runtime *runtime, struct request *request)
{
    struct live_run *run;
    status found = runs_get(runtime, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(runtime, request, found);
        return;
    }
    struct command command = {.kind = COMMAND_CANCEL, .cancel = {.cause = request->text}};
    enum verdict verdict = command_submit(runtime, run, &command);
    if (verdict != VERDICT_OK && verdict != VERDICT_DONE_BEFORE) {
        struct failure failure =
            failure_make(CODE_FAILED_PRECONDITION, "RUN_ENDED",
                         STR("the run has ended and can no longer be cancelled"));
        failure.field = STR("run_id");
        request_fail_later(runtime, request, &failure);
        return;
    }
    act_add(runtime, ACT_READ, NULL)->request = request;
}

/* False: the host was refused. */
static bool check_schedules(struct runtime *runtime, struct request *request)
{
    for (size_t i = 0; i < request->hello.schedule_count; i++) {
        struct failure failure;
        const struct schedule_offer *offer = &request->hello.schedules[i];
        if (!schedules_check(runtime, offer, &request->arena, &failure)) {
            struct host_link *link = request->hello.link;
            link->vtable->close(link, failure.code, failure.reason, failure.message);
            request_answer(runtime, request, &failure);
            return false;
        }
    }
    return true;
}

static void handle_hello(struct runtime *runtime, struct request *request)
{
    if (!check_schedules(runtime, request)) {
        return;
    }
    struct failure failure;
    if (!queueing_offer(runtime, request, &failure)) {
        struct host_link *link = request->hello.link;
        link->vtable->close(link, failure.code, failure.reason, failure.message);
        request_answer(runtime, request, &failure);
        return;
    }
    for (size_t i = 0; i < request->hello.definition_count; i++) {
        uint8_t hash[16];
        status put = definition_put(runtime, &request->hello.definitions[i], hash);
        if (!status_is_ok(put)) {
            struct host_link *link = request->hello.link;
            link->vtable->close(link, put.code, "DEFINITIONS_EXHAUSTED", str_of(put.why));
            request_fail(runtime, request, put.code, "DEFINITIONS_EXHAUSTED", put.why);
            return;
        }
    }
    for (size_t i = 0; i < request->hello.schedule_count; i++) {
        schedules_put(runtime, &request->hello.schedules[i]);
    }
    for (size_t i = 0; i < request->hello.trigger_count; i++) {
        triggers_offer(runtime, &request->hello.triggers[i]);
    }
    act_add(runtime, ACT_HELLO, NULL)->request = request;
}

static void handle_drain(struct runtime *runtime, struct request *request)
{
    runtime->is_draining = true;
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, "SHUTTING_DOWN",
                     STR("the server is shutting down; the run goes on when it is back"));
    for (struct live_run *run = runs_first(runtime); run != NULL; run = runs_next(runtime, run)) {
        if (engine_is_waiting(&run->state)) { /* Nothing is at work that could end it in time. */
            query_refuse_waits(runtime, run, &failure);
        }
    }
    hosts_drain(runtime->hosts, "the server is shutting down");
    request_answer_later(runtime, request);
}

/* Reads come after the commit: they answer what is durable. */
static void read_later(struct runtime *runtime, struct request *request)
{
    act_add(runtime, ACT_READ, NULL)->request = request;
}

static void (*const handlers[])(struct runtime *runtime, struct request *request) = {
    [REQUEST_REGISTER] = handle_register,
    [REQUEST_START] = handle_start,
    [REQUEST_CANCEL] = handle_cancel,
    [REQUEST_HOST_HELLO] = handle_hello,
    [REQUEST_HOST_MESSAGE] = handle_host_message,
    [REQUEST_HOST_GONE] = handle_host_gone,
    [REQUEST_MODEL_DELTA] = handle_model_delta,
    [REQUEST_MODEL_DONE] = handle_model_done,
    [REQUEST_MODEL_FAILED] = handle_model_failed,
    [REQUEST_DRAIN] = handle_drain,
    [REQUEST_FORK] = handle_fork,
    [REQUEST_RETRY] = handle_retry,
    [REQUEST_RESUME] = handle_resume,
    [REQUEST_PUBLISH] = handle_publish,
    [REQUEST_PUT_SCHEDULE] = handle_put_schedule,
    [REQUEST_DELETE_SCHEDULE] = handle_delete_schedule,
    [REQUEST_PUT_QUEUE] = handle_put_queue,
    [REQUEST_DELETE_QUEUE] = handle_delete_queue,
    [REQUEST_QUEUES] = read_later,
    [REQUEST_SCHEDULES] = read_later,
    [REQUEST_SUSPENSIONS] = read_later,
    [REQUEST_SUSPENSION] = read_later,
    [REQUEST_SUBSCRIBE] = read_later,
    [REQUEST_SUBSCRIBE_MORE] = read_later,
    [REQUEST_SUBSCRIBE_END] = read_later,
    [REQUEST_GET] = read_later,
    [REQUEST_WAIT] = read_later,
    [REQUEST_LIST] = read_later,
    [REQUEST_HISTORY] = read_later,
    [REQUEST_WATCH] = read_later,
    [REQUEST_WATCH_MORE] = read_later,
    [REQUEST_WATCH_END] = read_later,
    [REQUEST_FORGET] = read_later,
    [REQUEST_STATS] = read_later,
};
static_assert(COUNT_OF(handlers) == REQUEST_KIND_COUNT);

static void handle(struct runtime *runtime, struct request *request)
{
    assert(request->kind < REQUEST_KIND_COUNT);
    assert(handlers[request->kind] != NULL);
    handlers[request->kind](runtime, request);
}

static void handle_inbox(struct runtime *runtime)
{
    struct inbox_node *node = runtime->pending;
    if (node == NULL) {
        node = inbox_take(runtime->inbox, runtime->options.batch_max);
    }
    while (node != NULL && runtime->batch.bytes.len < BATCH_BYTES_MAX) {
        struct inbox_node *next = node->next;
        handle(runtime, container_of(node, struct request, node));
        node = next;
    }
    runtime->pending = node;
}

/* What a run says when its own deadline has passed: what it was waiting for. */
static str turn_message(struct runtime *runtime, const struct live_run *run)
{
    str turn = queueing_sentence(runtime, run, &runtime->turn_arena);
    return turn.len == 0
               ? STR_EMPTY
               : arena_printf(&runtime->turn_arena,
                              "the run's deadline passed while it waited for its turn: " STR_FMT,
                              STR_ARG(turn));
}

static str deadline_message(struct runtime *runtime, struct live_run *run)
{
    if (run->state.admission == ADMISSION_AWAITED) {
        return turn_message(runtime, run);
    }
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        struct event task;
        if (effect->state != EFFECT_READY || !effect_is_task(effect) ||
            !status_is_ok(command_task(run, effect->id, &runtime->turn_arena, &task))) {
            continue;
        }
        str turn = turn_message(runtime, run);
        if (turn.len > 0) {
            return turn;
        }
        str name = task.task_requested.name;
        bool is_offered = hosts_offer(runtime->hosts, task_kind_of(run, effect), name);
        return arena_printf(
            &runtime->turn_arena,
            "the run's deadline passed while it waited for a host to run '" STR_FMT "'; %s",
            STR_ARG(name),
            is_offered ? "every host that offers it was busy or away: add hosts or slots"
                       : "no connected host offers it: start one that does");
    }
    return STR("the run's deadline passed before it was done; give it a longer run_timeout_ms");
}

static void handle_timers(struct runtime *runtime)
{
    uuid id;
    for (size_t i = 0;
         i < runtime->options.batch_max && timers_pop_due(runtime->timers, runtime->now_ms, &id);
         i++) {
        struct live_run *run;
        if (!status_is_ok(runs_get(runtime, id, &run))) {
            log_line(LOG_ERROR, "timer_run_missing", "i=%zu", i);
            continue;
        }
        struct command command = {.kind = COMMAND_TIME};
        if (run->state.deadline_ms != 0 && runtime->now_ms >= run->state.deadline_ms) {
            command.time.message = deadline_message(runtime, run);
        }
        if (command_submit(runtime, run, &command) != VERDICT_OK) {
            timers_arm(runtime->timers, id, engine_next_deadline(&run->state));
        }
    }
}

static void handle_recovering(struct runtime *runtime)
{
    if (runtime->now_ms < runtime->recover_at_ms) {
        return;
    }
    for (size_t i = 0; i < runtime->options.batch_max && runtime->recovering_count > 0; i++) {
        uuid id = runtime->recovering[--runtime->recovering_count];
        struct live_run *run = runs_find(runtime, id);
        if (run == NULL || !run->needs_recovery) {
            continue;
        }
        run->needs_recovery = false;
        if (!engine_is_terminal(&run->state)) {
            command_recover(runtime, run);
        }
    }
}

/* Reads the run again and hands over those who watch it and wait for it. */
static void reload(struct runtime *runtime, struct live_run *run, const struct failure *failure)
{
    struct watcher *watchers = run->watchers;
    struct request *waits = run->waits;
    size_t watcher_count = run->watcher_count;
    uuid id = run->state.id;
    model_forget(runtime, run);
    run->watchers = NULL;
    run->waits = NULL;
    run->is_touched = false;
    runs_drop(runtime, run);
    timers_arm(runtime->timers, id, 0);
    struct live_run *again = NULL;
    status loaded = runs_get(runtime, id, &again);
    if (!status_is_ok(loaded)) {
        queues_leave(runtime->queues, id);
        struct live_run gone = {.watchers = watchers, .waits = waits};
        watch_drop_all(runtime, &gone, failure);
        query_refuse_waits(runtime, &gone, failure);
        return;
    }
    queueing_note(runtime, again);
    again->watchers = watchers;
    again->watcher_count = watcher_count;
    again->waits = waits;
    watch_reread(runtime, again);
    if (engine_is_terminal(&again->state)) { /* The commit whose outcome was unknown did happen. */
        watch_ended(runtime, again);
        query_wait_ended(runtime, again);
        return;
    }
    runs_recover_later(runtime, again, runtime->now_ms + RECOVER_AGAIN_MS);
}

/* A task that the failed turn took from its host. */
struct withdrawn {
    struct task_ref task;
    const char *cause; /* NULL: the host itself had settled it. */
};

static struct withdrawn *note_withdrawn(struct runtime *runtime, size_t *ret_count)
{
    size_t bytes = (runtime->act_count + 1) * sizeof(struct withdrawn);
    struct withdrawn *list = arena_alloc(&runtime->turn_arena, bytes);
    *ret_count = 0;
    for (size_t i = 0; i < runtime->act_count; i++) {
        const struct act *act = &runtime->acts[i];
        if (act->kind == ACT_RELEASE || act->kind == ACT_CANCEL) {
            list[(*ret_count)++] = (struct withdrawn){
                .task = {act->run->state.id, act->effect},
                .cause = act->kind == ACT_CANCEL ? act->text : NULL,
            };
        }
    }
    return list;
}

/* When the commit did happen after all, those tasks are over and hold no slot any more. */
static void release_withdrawn(struct runtime *runtime, const struct withdrawn *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct live_run *run = runs_find(runtime, list[i].task.run);
        const struct effect *effect =
            run == NULL ? NULL : engine_effect(&run->state, list[i].task.effect);
        if (run == NULL || (effect != NULL && effect->state == EFFECT_LEASED)) {
            continue;
        }
        if (list[i].cause == NULL) {
            hosts_release(runtime->hosts, list[i].task);
        } else {
            hosts_cancel(runtime->hosts, list[i].task, list[i].cause);
        }
    }
}

/* Tasks whose hosts would have been told something after the commit. */
static struct task_ref *note_untold(struct runtime *runtime, size_t *ret_count)
{
    size_t bytes = (runtime->act_count + 1) * sizeof(struct task_ref);
    struct task_ref *list = arena_alloc(&runtime->turn_arena, bytes);
    *ret_count = 0;
    for (size_t i = 0; i < runtime->act_count; i++) {
        const struct act *act = &runtime->acts[i];
        if (act->kind == ACT_OUTCOME || act->kind == ACT_INTERRUPT) {
            list[(*ret_count)++] = (struct task_ref){act->run->state.id, act->effect};
        }
    }
    return list;
}

/* When the commit did happen after all, they are told now; what they know already does no harm. */
static void tell_again(struct runtime *runtime, const struct task_ref *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !task_ref_equal(list[i], list[i - 1])) {
            order_resend(runtime, list[i]);
            arena_reset(&runtime->scratch);
        }
    }
}

static void fail_turn(struct runtime *runtime, status why)
{
    size_t withdrawn_count;
    size_t untold_count;
    struct task_ref *untold = note_untold(runtime, &untold_count);
    struct withdrawn *withdrawn = note_withdrawn(runtime, &withdrawn_count);
    log_line(LOG_ERROR, "commit_failed", "code=%s why=\"%s\" acts=%zu", code_name(why.code),
             why.why, runtime->act_count);
    struct failure failure = failure_make(why.code, "STORE_REFUSED", str_of(why.why));
    acts_abandon(runtime, why);
    topics_forget(runtime);
    status reread = triggers_recover(runtime);
    if (!status_is_ok(reread)) {
        log_line(LOG_ERROR, "triggers_unreadable", "why=\"%s\"", reread.why);
    }
    reread = schedules_recover(runtime);
    if (!status_is_ok(reread)) {
        log_line(LOG_ERROR, "schedules_unreadable", "why=\"%s\"", reread.why);
    }
    reread = queueing_recover(runtime);
    if (!status_is_ok(reread)) {
        log_line(LOG_ERROR, "queues_unreadable", "why=\"%s\"", reread.why);
    }
    definitions_free(runtime); /* What was registered in this turn may not exist. */
    for (struct live_run *run = runs_first(runtime); run != NULL; run = runs_next(runtime, run)) {
        run->definition = NULL;
    }
    struct live_run *run = runtime->touched;
    runtime->touched = NULL;
    while (run != NULL) {
        struct live_run *next = run->touched_next;
        run->touched_next = NULL;
        reload(runtime, run, &failure);
        run = next;
    }
    release_withdrawn(runtime, withdrawn, withdrawn_count);
    tell_again(runtime, untold, untold_count);
    acts_perform(runtime); /* The reads that are left. */
}

static void untouch(struct runtime *runtime)
{
    struct live_run *run = runtime->touched;
    runtime->touched = NULL;
    while (run != NULL) {
        struct live_run *next = run->touched_next;
        run->touched_next = NULL;
        run->is_touched = false;
        if (engine_is_terminal(&run->state) && runs_may_leave(run)) {
            runs_drop(runtime, run);
        }
        run = next;
    }
}

static void commit(struct runtime *runtime)
{
    command_seal(runtime);
    if (runtime->batch.count > 0) {
        status committed = store_commit(&runtime->store, &runtime->batch);
        store_batch_reset(&runtime->batch);
        runtime->stats.commits++;
        if (!status_is_ok(committed)) {
            fail_turn(runtime, committed);
            return;
        }
    }
    for (struct live_run *run = runtime->touched; run != NULL; run = run->touched_next) {
        run->durable_seq = run->state.seq;
    }
    acts_perform(runtime);
    watch_work(runtime);
    acts_perform(runtime);
    untouch(runtime);
}

static void free_finished(struct runtime *runtime)
{
    while (runtime->finished != NULL) {
        struct request *request = runtime->finished;
        struct inbox_node *next = request->node.next;
        runtime->finished = next == NULL ? NULL : container_of(next, struct request, node);
        request_free(request);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0) {
        return a | b;
    }
    return a < b ? a : b;
}

/* The hosts' next deadline by the wall clock. */
static uint64_t lease_due(const struct runtime *runtime)
{
    uint64_t due = hosts_next_deadline(runtime->hosts);
    if (due == 0) {
        return 0;
    }
    return runtime->now_ms + (due > runtime->lease_now_ms ? due - runtime->lease_now_ms : 0);
}

static uint64_t next_due(struct runtime *runtime)
{
    if (!runtime->has_ready) {
        runtime->has_ready = hosts_next_ready(runtime->hosts, &runtime->ready);
    }
    bool is_busy = runtime->has_ready || runtime->pending != NULL || runtime->todo_count > 0 ||
                   runtime->lost_count > 0 || versions_is_busy(runtime);
    if (is_busy) {
        return runtime->now_ms;
    }
    uint64_t due = timers_next_ms(runtime->timers);
    due = earlier(due, lease_due(runtime));
    due = earlier(due, runs_next_eviction_ms(runtime));
    due = earlier(due, topics_next_due_ms(runtime));
    due = earlier(due, alarms_next_due_ms(runtime));
    due = earlier(due, triggers_next_due_ms(runtime));
    due = earlier(due, schedules_next_due_ms(runtime));
    due = earlier(due, queues_next_due_ms(runtime->queues, runtime->now_ms));
    if (runtime->recovering_count > 0) {
        due = earlier(due, runtime->recover_at_ms);
    }
    return due;
}

void turn_read_clocks(struct runtime *runtime)
{
    runtime->now_ms = runtime->options.now_ms(runtime->options.context);
    runtime->lease_now_ms = runtime->options.monotonic_ms(runtime->options.context);
}

/* Hosts are given up only once everything they said has been heard. */
static void handle_hosts(struct runtime *runtime)
{
    if (runtime->pending == NULL && inbox_count(runtime->inbox) == 0) {
        hosts_tick(runtime->hosts, runtime->lease_now_ms);
    }
    tasks_handle_lost(runtime);
    versions_work(runtime);
    tasks_handle_ready(runtime);
}

uint64_t runtime_turn(struct runtime *runtime)
{
    turn_read_clocks(runtime);
    runtime->stats.turns++;
    handle_recovering(runtime);
    if (!runtime->is_starting) {
        alarms_work(runtime);
        topics_work(runtime);
        triggers_tick(runtime);
        schedules_tick(runtime);
        handle_timers(runtime);
        handle_inbox(runtime);
        handle_hosts(runtime);
        queueing_work(runtime);
    }
    commit(runtime);
    hosts_flush(runtime->hosts);
    free_finished(runtime);
    runtime->key_count = 0;
    publications_end_turn(runtime);
    runtime->born_count = 0;
    arena_reset(&runtime->turn_arena);
    runs_evict(runtime);
    if (runtime->is_starting) {
        runtime->is_starting =
            runtime->recovering_count > 0 && runtime->now_ms >= runtime->recover_at_ms;
        return runtime->now_ms;
    }
    return next_due(runtime);
}
