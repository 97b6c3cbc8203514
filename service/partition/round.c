/*
 * turn: one round of the partition: requests in, one commit, acts out.
 */
#include <stdlib.h>

#include "service/base/sys.h"
#include "service/partition/internal.h"

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

bool partition_post(struct partition *partition, struct request *request)
{
    return inbox_push(partition->inbox, &request->node);
}

void partition_post_always(struct partition *partition, struct request *request)
{
    inbox_push_always(partition->inbox, &request->node);
}

static void handle_cancel(struct partition *partition, struct request *request)
{
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    struct command command = {.kind = COMMAND_CANCEL, .cancel = {.cause = request->text}};
    enum verdict verdict = command_submit(partition, run, &command);
    if (verdict != VERDICT_OK && verdict != VERDICT_DONE_BEFORE) {
        struct failure failure =
            failure_make(CODE_FAILED_PRECONDITION, "RUN_ENDED",
                         STR("the run has ended and can no longer be cancelled"));
        failure.field = STR("run_id");
        request_fail_later(partition, request, &failure);
        return;
    }
    act_add(partition, ACT_READ, NULL)->request = request;
}

/* False: the host was refused. */
static bool check_schedules(struct partition *partition, struct request *request)
{
    for (size_t i = 0; i < request->hello.schedule_count; i++) {
        struct failure failure;
        const struct schedule_offer *offer = &request->hello.schedules[i];
        if (!schedules_check(partition, offer, &request->arena, &failure)) {
            struct host_link *link = request->hello.link;
            link->vtable->close(link, failure.code, failure.reason, failure.message);
            request_answer(partition, request, &failure);
            return false;
        }
    }
    return true;
}

static void handle_hello(struct partition *partition, struct request *request)
{
    if (!check_schedules(partition, request)) {
        return;
    }
    struct failure failure;
    if (!queueing_offer(partition, request, &failure)) {
        struct host_link *link = request->hello.link;
        link->vtable->close(link, failure.code, failure.reason, failure.message);
        request_answer(partition, request, &failure);
        return;
    }
    for (size_t i = 0; i < request->hello.definition_count; i++) {
        uint8_t hash[16];
        status put = definition_put(partition, &request->hello.definitions[i], hash);
        if (!status_is_ok(put)) {
            struct host_link *link = request->hello.link;
            link->vtable->close(link, put.code, "DEFINITIONS_EXHAUSTED", str_of(put.why));
            request_fail(partition, request, put.code, "DEFINITIONS_EXHAUSTED", put.why);
            return;
        }
    }
    for (size_t i = 0; i < request->hello.schedule_count; i++) {
        schedules_put(partition, &request->hello.schedules[i]);
    }
    for (size_t i = 0; i < request->hello.trigger_count; i++) {
        triggers_offer(partition, &request->hello.triggers[i]);
    }
    act_add(partition, ACT_HELLO, NULL)->request = request;
}

static void handle_drain(struct partition *partition, struct request *request)
{
    partition->is_draining = true;
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, "SHUTTING_DOWN",
                     STR("the server is shutting down; the run goes on when it is back"));
    for (struct live_run *run = runs_first(partition); run != NULL; run = runs_next(partition, run)) {
        if (engine_is_waiting(&run->state)) { /* Nothing is at work that could end it in time. */
            query_refuse_waits(partition, run, &failure);
        }
    }
    hosts_drain(partition->hosts, "the server is shutting down");
    request_answer_later(partition, request);
}

/* Reads come after the commit: they answer what is durable. */
static void read_later(struct partition *partition, struct request *request)
{
    act_add(partition, ACT_READ, NULL)->request = request;
}

static void (*const handlers[])(struct partition *partition, struct request *request) = {
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

static void handle(struct partition *partition, struct request *request)
{
    assert(request->kind < REQUEST_KIND_COUNT);
    assert(handlers[request->kind] != NULL);
    handlers[request->kind](partition, request);
}

static void handle_inbox(struct partition *partition)
{
    struct inbox_node *node = partition->pending;
    if (node == NULL) {
        node = inbox_take(partition->inbox, partition->options.batch_max);
    }
    while (node != NULL && partition->batch.bytes.len < BATCH_BYTES_MAX) {
        struct inbox_node *next = node->next;
        handle(partition, container_of(node, struct request, node));
        node = next;
    }
    partition->pending = node;
}

/* What a run says when its own deadline has passed: what it was waiting for. */
static str turn_message(struct partition *partition, const struct live_run *run)
{
    str turn = queueing_sentence(partition, run, &partition->round_arena);
    return turn.len == 0
               ? STR_EMPTY
               : arena_printf(&partition->round_arena,
                              "the run's deadline passed while it waited for its turn: " STR_FMT,
                              STR_ARG(turn));
}

static str deadline_message(struct partition *partition, struct live_run *run)
{
    if (run->state.admission == ADMISSION_AWAITED) {
        return turn_message(partition, run);
    }
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        struct event task;
        if (effect->state != EFFECT_READY || !effect_is_task(effect) ||
            !status_is_ok(command_task(run, effect->id, &partition->round_arena, &task))) {
            continue;
        }
        str turn = turn_message(partition, run);
        if (turn.len > 0) {
            return turn;
        }
        str name = task.task_requested.name;
        bool is_offered = hosts_offer(partition->hosts, task_kind_of(run, effect), name);
        return arena_printf(
            &partition->round_arena,
            "the run's deadline passed while it waited for a host to run '" STR_FMT "'; %s",
            STR_ARG(name),
            is_offered ? "every host that offers it was busy or away: add hosts or slots"
                       : "no connected host offers it: start one that does");
    }
    return STR("the run's deadline passed before it was done; give it a longer run_timeout_ms");
}

static void handle_timers(struct partition *partition)
{
    uuid id;
    for (size_t i = 0;
         i < partition->options.batch_max && timers_pop_due(partition->timers, partition->now_ms, &id);
         i++) {
        struct live_run *run;
        if (!status_is_ok(runs_get(partition, id, &run))) {
            log_line(LOG_ERROR, "timer_run_missing", "i=%zu", i);
            continue;
        }
        struct command command = {.kind = COMMAND_TIME};
        if (run->state.deadline_ms != 0 && partition->now_ms >= run->state.deadline_ms) {
            command.time.message = deadline_message(partition, run);
        }
        if (command_submit(partition, run, &command) != VERDICT_OK) {
            timers_arm(partition->timers, id, engine_next_deadline(&run->state));
        }
    }
}

static void handle_recovering(struct partition *partition)
{
    if (partition->now_ms < partition->recover_at_ms) {
        return;
    }
    for (size_t i = 0; i < partition->options.batch_max && partition->recovering_count > 0; i++) {
        uuid id = partition->recovering[--partition->recovering_count];
        struct live_run *run = runs_find(partition, id);
        if (run == NULL || !run->needs_recovery) {
            continue;
        }
        run->needs_recovery = false;
        if (!engine_is_terminal(&run->state)) {
            command_recover(partition, run);
        }
    }
}

/* Reads the run again and hands over those who watch it and wait for it. */
static void reload(struct partition *partition, struct live_run *run, const struct failure *failure)
{
    struct watcher *watchers = run->watchers;
    struct request *waits = run->waits;
    size_t watcher_count = run->watcher_count;
    uuid id = run->state.id;
    model_forget(partition, run);
    run->watchers = NULL;
    run->waits = NULL;
    run->is_touched = false;
    runs_drop(partition, run);
    timers_arm(partition->timers, id, 0);
    struct live_run *again = NULL;
    status loaded = runs_get(partition, id, &again);
    if (!status_is_ok(loaded)) {
        queues_leave(partition->queues, id);
        struct live_run gone = {.watchers = watchers, .waits = waits};
        watch_drop_all(partition, &gone, failure);
        query_refuse_waits(partition, &gone, failure);
        return;
    }
    queueing_note(partition, again);
    again->watchers = watchers;
    again->watcher_count = watcher_count;
    again->waits = waits;
    watch_reread(partition, again);
    if (engine_is_terminal(&again->state)) { /* The commit whose outcome was unknown did happen. */
        watch_ended(partition, again);
        query_wait_ended(partition, again);
        return;
    }
    runs_recover_later(partition, again, partition->now_ms + RECOVER_AGAIN_MS);
}

/* A task that the failed turn took from its host. */
struct withdrawn {
    struct task_ref task;
    const char *cause; /* NULL: the host itself had settled it. */
};

static struct withdrawn *note_withdrawn(struct partition *partition, size_t *ret_count)
{
    size_t bytes = (partition->act_count + 1) * sizeof(struct withdrawn);
    struct withdrawn *list = arena_alloc(&partition->round_arena, bytes);
    *ret_count = 0;
    for (size_t i = 0; i < partition->act_count; i++) {
        const struct act *act = &partition->acts[i];
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
static void release_withdrawn(struct partition *partition, const struct withdrawn *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct live_run *run = runs_find(partition, list[i].task.run);
        const struct effect *effect =
            run == NULL ? NULL : engine_effect(&run->state, list[i].task.effect);
        if (run == NULL || (effect != NULL && effect->state == EFFECT_LEASED)) {
            continue;
        }
        if (list[i].cause == NULL) {
            hosts_release(partition->hosts, list[i].task);
        } else {
            hosts_cancel(partition->hosts, list[i].task, list[i].cause);
        }
    }
}

/* Tasks whose hosts would have been told something after the commit. */
static struct task_ref *note_untold(struct partition *partition, size_t *ret_count)
{
    size_t bytes = (partition->act_count + 1) * sizeof(struct task_ref);
    struct task_ref *list = arena_alloc(&partition->round_arena, bytes);
    *ret_count = 0;
    for (size_t i = 0; i < partition->act_count; i++) {
        const struct act *act = &partition->acts[i];
        if (act->kind == ACT_OUTCOME || act->kind == ACT_INTERRUPT) {
            list[(*ret_count)++] = (struct task_ref){act->run->state.id, act->effect};
        }
    }
    return list;
}

/* When the commit did happen after all, they are told now; what they know already does no harm. */
static void tell_again(struct partition *partition, const struct task_ref *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !task_ref_equal(list[i], list[i - 1])) {
            order_resend(partition, list[i]);
            arena_reset(&partition->scratch);
        }
    }
}

static void fail_round(struct partition *partition, status why)
{
    size_t withdrawn_count;
    size_t untold_count;
    struct task_ref *untold = note_untold(partition, &untold_count);
    struct withdrawn *withdrawn = note_withdrawn(partition, &withdrawn_count);
    log_line(LOG_ERROR, "commit_failed", "code=%s why=\"%s\" acts=%zu", code_name(why.code),
             why.why, partition->act_count);
    struct failure failure = failure_make(why.code, "STORE_REFUSED", str_of(why.why));
    acts_abandon(partition, why);
    topics_forget(partition);
    status reread = triggers_recover(partition);
    if (!status_is_ok(reread)) {
        log_line(LOG_ERROR, "triggers_unreadable", "why=\"%s\"", reread.why);
    }
    reread = schedules_recover(partition);
    if (!status_is_ok(reread)) {
        log_line(LOG_ERROR, "schedules_unreadable", "why=\"%s\"", reread.why);
    }
    reread = queueing_recover(partition);
    if (!status_is_ok(reread)) {
        log_line(LOG_ERROR, "queues_unreadable", "why=\"%s\"", reread.why);
    }
    definitions_free(partition); /* What was registered in this turn may not exist. */
    for (struct live_run *run = runs_first(partition); run != NULL; run = runs_next(partition, run)) {
        run->definition = NULL;
    }
    struct live_run *run = partition->touched;
    partition->touched = NULL;
    while (run != NULL) {
        struct live_run *next = run->touched_next;
        run->touched_next = NULL;
        reload(partition, run, &failure);
        run = next;
    }
    release_withdrawn(partition, withdrawn, withdrawn_count);
    tell_again(partition, untold, untold_count);
    acts_perform(partition); /* The reads that are left. */
}

static void untouch(struct partition *partition)
{
    struct live_run *run = partition->touched;
    partition->touched = NULL;
    while (run != NULL) {
        struct live_run *next = run->touched_next;
        run->touched_next = NULL;
        run->is_touched = false;
        if (engine_is_terminal(&run->state) && runs_may_leave(run)) {
            runs_drop(partition, run);
        }
        run = next;
    }
}

static void commit(struct partition *partition)
{
    command_seal(partition);
    if (partition->batch.count > 0) {
        status committed = store_commit(&partition->store, &partition->batch);
        store_batch_reset(&partition->batch);
        partition->stats.commits++;
        if (!status_is_ok(committed)) {
            fail_round(partition, committed);
            return;
        }
    }
    for (struct live_run *run = partition->touched; run != NULL; run = run->touched_next) {
        run->durable_seq = run->state.seq;
    }
    acts_perform(partition);
    watch_work(partition);
    acts_perform(partition);
    untouch(partition);
}

static void free_finished(struct partition *partition)
{
    while (partition->finished != NULL) {
        struct request *request = partition->finished;
        struct inbox_node *next = request->node.next;
        partition->finished = next == NULL ? NULL : container_of(next, struct request, node);
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
static uint64_t lease_due(const struct partition *partition)
{
    uint64_t due = hosts_next_deadline(partition->hosts);
    if (due == 0) {
        return 0;
    }
    return partition->now_ms + (due > partition->monotonic_ms ? due - partition->monotonic_ms : 0);
}

static uint64_t next_due(struct partition *partition)
{
    if (!partition->has_ready) {
        partition->has_ready = hosts_next_ready(partition->hosts, &partition->ready);
    }
    bool is_busy = partition->has_ready || partition->pending != NULL || partition->todo_count > 0 ||
                   partition->lost_count > 0 || versions_is_busy(partition);
    if (is_busy) {
        return partition->now_ms;
    }
    uint64_t due = timers_next_ms(partition->timers);
    due = earlier(due, lease_due(partition));
    due = earlier(due, runs_next_eviction_ms(partition));
    due = earlier(due, topics_next_due_ms(partition));
    due = earlier(due, alarms_next_due_ms(partition));
    due = earlier(due, triggers_next_due_ms(partition));
    due = earlier(due, schedules_next_due_ms(partition));
    due = earlier(due, queues_next_due_ms(partition->queues, partition->now_ms));
    if (partition->recovering_count > 0) {
        due = earlier(due, partition->recover_at_ms);
    }
    return due;
}

void round_read_clocks(struct partition *partition)
{
    partition->now_ms = partition->options.now_ms(partition->options.context);
    partition->monotonic_ms = partition->options.monotonic_ms(partition->options.context);
}

/* Hosts are given up only once everything they said has been heard. */
static void handle_hosts(struct partition *partition)
{
    if (partition->pending == NULL && inbox_count(partition->inbox) == 0) {
        hosts_tick(partition->hosts, partition->monotonic_ms);
    }
    tasks_handle_lost(partition);
    versions_work(partition);
    tasks_handle_ready(partition);
}

uint64_t partition_round(struct partition *partition)
{
    round_read_clocks(partition);
    partition->stats.rounds++;
    handle_recovering(partition);
    if (!partition->is_starting) {
        alarms_work(partition);
        topics_work(partition);
        triggers_tick(partition);
        schedules_tick(partition);
        handle_timers(partition);
        handle_inbox(partition);
        handle_hosts(partition);
        queueing_work(partition);
    }
    commit(partition);
    hosts_flush(partition->hosts);
    free_finished(partition);
    partition->key_count = 0;
    publications_end_turn(partition);
    partition->born_count = 0;
    arena_reset(&partition->round_arena);
    runs_evict(partition);
    if (partition->is_starting) {
        partition->is_starting =
            partition->recovering_count > 0 && partition->now_ms >= partition->recover_at_ms;
        return partition->now_ms;
    }
    return next_due(partition);
}
