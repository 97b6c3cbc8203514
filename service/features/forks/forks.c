/*
 * forks: a new run that begins with the facts of another.
 *
 * The events up to a point are copied under a new id; what was owed there is owed by the new run
 * and put in motion as after a restart. A retry is a fork of a failed run from its last good fact.
 * The old run stays as it is.
 */
#include "service/features/forks/forks.h"

#include "service/base/sys.h"
#include "service/features/children/children.h"
#include "service/features/definitions/definitions.h"
#include "service/features/idempotency/idempotency.h"
#include "service/features/starts/starts.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"

struct fork {
    struct partition *partition;
    struct live_run *run; /* The new one. */
    uuid id;
    uuid source;
    enum start_cause cause;
    uint32_t after_seq;
    bool is_exact; /* after_seq is the last event of a transition. */
    uint32_t nearest; /* The last transition's end before it. */
    int64_t shift_ms; /* From the time of the last copied event to now. */
    status status;
    size_t bytes; /* Of the records that were looked at. */
};

static_assert(COUNT_OF(((struct decision *)0)->events) == ENGINE_EVENTS_MAX,
              "what a record holds fits a decision");

static void rename_start(const struct fork *fork, struct event *event)
{
    assert(event->kind == EVENT_RUN_STARTED && !uuid_is_zero(fork->id));
    struct run_spec *spec = &event->run_started.spec;
    uint64_t now_ms = fork->partition->now_ms;
    uint64_t timeout_ms = spec->deadline_ms == 0 ? 0 : spec->deadline_ms - event->time_ms;
    event->run_started.id = fork->id;
    event->time_ms = now_ms;
    spec->deadline_ms = timeout_ms == 0 ? 0 : now_ms + timeout_ms;
    spec->parent = (uuid){{0}};
    spec->parent_effect = 0;
    spec->depth = 0;
    spec->root = fork->id;
    spec->cause = fork->cause;
    spec->started_by = STR_EMPTY;
    spec->origin = fork->source;
    spec->has_order = true;
    spec->options.idempotency_key = STR_EMPTY;
}

/* The copy starts now, and the rest of it is as if it had happened just now: what was left of a
 * wait or a timeout there is left here. */
static void date(const struct fork *fork, struct event *event)
{
    if (event->kind == EVENT_RUN_STARTED) {
        rename_start(fork, event);
        return;
    }
    uint64_t *time_ms = event_time(event);
    event->time_ms += (uint64_t)fork->shift_ms;
    if (time_ms != NULL && *time_ms != 0) {
        *time_ms += (uint64_t)fork->shift_ms;
    }
}

/* What it holds lives in the record and the scratch arena. */
static status decode_record(struct fork *fork, str record, struct decision *ret, uint32_t *ret_last)
{
    size_t cursor = 0;
    ret->count = 0;
    for (;;) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            return STATUS_OK;
        }
        if (ret->count == ENGINE_EVENTS_MAX) {
            return status_make(CODE_DATA_LOSS, "a record has too many events");
        }
        TRY(codec_decode(&entry, &fork->partition->scratch, &ret->events[ret->count]));
        date(fork, &ret->events[ret->count]);
        ret->count++;
        *ret_last = entry.seq;
    }
}

static bool copy_record(void *context, str key, str value)
{
    (void)key;
    struct fork *fork = context;
    struct decision decision;
    uint32_t last = 0;
    fork->bytes += value.len;
    if (fork->bytes > fork->partition->options.fork_bytes_max) {
        fork->status = status_make(CODE_FAILED_PRECONDITION, "its history is too large");
        return false;
    }
    arena_reset(&fork->partition->scratch);
    fork->status = decode_record(fork, value, &decision, &last);
    if (!status_is_ok(fork->status) || last > fork->after_seq) {
        return false;
    }
    assert(!fork->is_exact); /* The record before was not the last one wanted. */
    fork->nearest = last;
    fork->is_exact = last == fork->after_seq;
    command_replay(fork->partition, fork->run, &decision);
    return !fork->is_exact;
}

static str seq_message(struct arena *arena, const struct fork *fork)
{
    return arena_printf(arena,
                        "event %u is in the middle of a transition or after the run's end; the "
                        "nearest point before it is %u",
                        fork->after_seq, fork->nearest);
}

static bool refuse(struct failure *ret, enum code code, enum reason reason, const char *field,
                   str message)
{
    assert(code != CODE_OK);
    *ret = failure_make(code, reason, message);
    ret->field = str_of(field);
    return false;
}

static bool find_time(void *context, str key, str value)
{
    (void)key;
    struct fork *fork = context;
    size_t cursor = 0;
    struct codec_entry entry = {0};
    bool at_end = false;
    do {
        fork->status = codec_next(value, &cursor, &entry, &at_end);
        if (status_is_ok(fork->status) && !at_end && entry.seq == fork->after_seq) {
            fork->shift_ms = (int64_t)(fork->partition->now_ms - entry.time_ms);
            return false;
        }
    } while (status_is_ok(fork->status) && !at_end);
    return status_is_ok(fork->status);
}

static status copy_events(struct fork *fork, uuid source)
{
    char key[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = fork->partition->options.space;
    TRY(store_scan(&fork->partition->store, STORE_JOURNAL, key_run(key, space, source),
                   key_journal(from, space, source, fork->after_seq), true, 1, find_time, fork));
    TRY(fork->status);
    TRY(store_scan(&fork->partition->store, STORE_JOURNAL, key_run(key, space, source), STR_EMPTY,
                   false, SIZE_MAX, copy_record, fork));
    return fork->status;
}

/* Leases are not copied: the task is given anew, with its settled steps. */
static void drop_leases(struct fork *fork)
{
    const struct run state = fork->run->state;
    assert(fork->run->is_touched);
    for (uint32_t i = 0; i < state.effect_count; i++) {
        if (state.effects[i].state != EFFECT_LEASED) {
            continue;
        }
        struct command lost = {
            .kind = COMMAND_LEASE_LOST,
            .effect = state.effects[i].id,
            .attempt = state.effects[i].attempt,
            .lease_lost = {.cause = STR("the run was forked"), .is_excused = true},
        };
        enum verdict verdict = command_submit(fork->partition, fork->run, &lost);
        assert(verdict == VERDICT_OK);
        const struct effect *left = engine_effect(&fork->run->state, lost.effect);
        assert(left == NULL || left->state != EFFECT_LEASED || left->attempt > lost.attempt);
    }
}

/* Nor is an admission. */
static void withdraw_admission(struct fork *fork)
{
    struct command back = {.kind = COMMAND_WITHDRAW_ADMISSION};
    enum verdict verdict = command_submit(fork->partition, fork->run, &back);
    assert(verdict == VERDICT_OK || verdict == VERDICT_STALE);
    assert(fork->run->state.admission != ADMISSION_HELD);
}

static void abandon_fork(struct partition *partition, struct fork *fork)
{
    /* Nothing was written: its records go into the batch only with command_replay_commit(). */
    assert(!fork->run->row_written);
    fork->run->is_touched = false;
    runs_drop(partition, fork->run);
    assert(runs_find(partition, fork->id) == NULL);
}

/* One that is damaged is told of when it is needed. */
static bool has_definition(struct partition *partition, struct live_run *run, struct failure *ret)
{
    struct definition *definition;
    status found =
        run->state.kind != RUN_KIND_AGENT ? STATUS_OK : definition_of(partition, run, &definition);
    if (found.code == CODE_NOT_FOUND) {
        return refuse(ret, CODE_FAILED_PRECONDITION, REASON_DEFINITION_DELETED, "run_id",
                      STR("the version of the agent that the run was started with was deleted; "
                          "start a run of the newest instead"));
    }
    return status_is_ok(found) || !store_may_pass(found) ||
           refuse(ret, found.code, REASON_STORE_REFUSED, "run_id", str_of(found.why));
}

/* Where it adopts, children that are waited for there are the new run's from now on. */
static bool fork_run(struct partition *partition, uuid source, uint32_t after_seq, bool adopts,
                     struct arena *arena, struct failure *ret_failure, uuid *ret_id)
{
    struct fork fork = {
        .partition = partition,
        .id = start_new_id(partition),
        .source = source,
        .cause = adopts ? START_CAUSE_RETRY : START_CAUSE_FORK,
        .after_seq = after_seq,
    };
    assert(!uuid_equal(fork.id, source));
    fork.run = runs_insert(partition, fork.id);
    status copied = copy_events(&fork, source);
    bool is_fine = status_is_ok(copied) && fork.is_exact && !engine_is_terminal(&fork.run->state) &&
                   (adopts || !engine_has_effect(&fork.run->state, EFFECT_CHILDREN));
    if (!is_fine) {
        bool has_children = !adopts && engine_has_effect(&fork.run->state, EFFECT_CHILDREN);
        abandon_fork(partition, &fork);
        if (copied.code == CODE_FAILED_PRECONDITION &&
            fork.bytes > partition->options.fork_bytes_max) {
            return refuse(ret_failure, copied.code, REASON_HISTORY_TOO_LARGE, "run_id",
                          STR("the history to be copied is larger than this server copies at once "
                              "(--fork-bytes-max); choose an earlier point, or start anew"));
        }
        if (!status_is_ok(copied)) {
            return refuse(ret_failure, copied.code, REASON_STORE_DAMAGED, "run_id",
                          str_of(copied.why));
        }
        return refuse(ret_failure,
                      has_children && fork.is_exact ? CODE_FAILED_PRECONDITION
                                                    : CODE_INVALID_ARGUMENT,
                      has_children && fork.is_exact ? REASON_CHILDREN_OPEN : REASON_INVALID_FIELD,
                      "after_seq",
                      has_children && fork.is_exact
                          ? STR("the run waits for children there, which are its own; choose a "
                                "point before they were started or after they ended")
                          : seq_message(arena, &fork));
    }
    assert(fork.nearest == after_seq); /* All of it, and no more. */
    if (!has_definition(partition, fork.run, ret_failure)) {
        abandon_fork(partition, &fork);
        return false;
    }
    command_replay_commit(partition, fork.run);
    withdraw_admission(&fork);
    drop_leases(&fork);
    if (adopts) {
        children_adopt(partition, source, fork.run);
    }
    if (!engine_is_terminal(&fork.run->state)) { /* One that is cancelled ends with its lease. */
        command_recover(partition, fork.run);
    }
    *ret_id = fork.id;
    return true;
}

/* True when the key has been used: the request is answered. */
static bool answer_repeated(struct partition *partition, struct request *request)
{
    struct fork_request *fork = fork_request(request);
    struct idempotency_row row;
    struct failure failure;
    if (fork->idempotency_key.len == 0 ||
        !idempotency_ask(partition, fork->idempotency_key, fork->digest, "idempotency_key", &row,
                         &failure)) {
        return false;
    }
    if (failure_happened(&failure)) {
        request_fail_later(partition, request, &failure);
        return true;
    }
    fork->ret_existed = true;
    request->run = row.run;
    report_answer_later(partition, request); /* It may have been made in this very batch. */
    return true;
}

static void answer_with_copy(struct partition *partition, struct request *request, uuid copy)
{
    struct fork_request *fork = fork_request(request);
    assert(!uuid_is_zero(copy) && !uuid_equal(copy, request->run));
    if (fork->idempotency_key.len > 0) {
        idempotency_note(partition, fork->idempotency_key, fork->digest, copy);
    }
    fork->ret_existed = false;
    request->run = copy;
    report_answer_later(partition, request);
}

static void handle_fork(struct partition *partition, struct request *request)
{
    struct live_run *source;
    struct failure failure;
    uuid copy;
    if (answer_repeated(partition, request) || !start_may_begin(partition, request)) {
        return;
    }
    status found = runs_get(partition, request->run, &source);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (!fork_run(partition, request->run, fork_request(request)->after_seq, false, &request->arena,
                  &failure, &copy)) {
        request_answer(partition, request, &failure);
        return;
    }
    answer_with_copy(partition, request, copy);
}

struct last_good {
    struct partition *partition;
    uint32_t seq;
    status status;
};

static bool is_bad(const struct event *event)
{
    return event->kind == EVENT_RUN_FAILED || event->kind == EVENT_WITHDRAWN ||
           event->kind == EVENT_STEP_TRIED ||
           (event->kind == EVENT_MODEL_FAILED && event->model_failed.retry_at_ms == 0) ||
           (event->kind == EVENT_TASK_SETTLED && event->task_settled.outcome.failed) ||
           (event->kind == EVENT_STEP_SETTLED && event->step_settled.outcome.failed) ||
           (event->kind == EVENT_WAIT_SETTLED && event->wait_settled.outcome.failed);
}

/* From the newest record back: the first that is no part of the failure. */
static bool visit_back(void *context, str key, str value)
{
    (void)key;
    struct last_good *good = context;
    size_t cursor = 0;
    bool bad = false;
    uint32_t last = 0;
    for (;;) {
        struct codec_entry entry;
        struct event event;
        bool at_end;
        good->status = codec_next(value, &cursor, &entry, &at_end);
        if (!status_is_ok(good->status)) {
            return false;
        }
        if (at_end) {
            break;
        }
        good->status = codec_decode(&entry, &good->partition->round_arena, &event);
        if (!status_is_ok(good->status)) {
            return false;
        }
        bad |= is_bad(&event);
        last = entry.seq;
    }
    good->seq = bad ? 0 : last;
    return bad;
}

static void handle_retry(struct partition *partition, struct request *request)
{
    struct live_run *source;
    struct failure failure;
    char key[KEY_BYTES_MAX];
    uuid copy;
    struct last_good good = {.partition = partition};
    if (answer_repeated(partition, request) || !start_may_begin(partition, request)) {
        return;
    }
    status found = runs_get(partition, request->run, &source);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (source->state.state != RUN_FAILED) {
        failure = failure_make(CODE_FAILED_PRECONDITION, REASON_RUN_NOT_FAILED,
                               STR("only a run that has failed can be retried"));
        failure.field = STR("run_id");
        request_fail_later(partition, request, &failure);
        return;
    }
    found = store_scan(&partition->store, STORE_JOURNAL,
                       key_run(key, partition->options.space, request->run), STR_EMPTY, true,
                       SIZE_MAX, visit_back, &good);
    found = status_is_ok(found) ? good.status : found;
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (!fork_run(partition, request->run, good.seq, true, &request->arena, &failure, &copy)) {
        request_answer(partition, request, &failure);
        return;
    }
    assert(!uuid_equal(copy, source->state.id)); /* It is the successor's. */
    answer_with_copy(partition, request, copy);
}

const struct operation fork_operation = {
    .name = "fork",
    .request_bytes = sizeof(struct fork_request),
    .handle = handle_fork,
};
const struct operation retry_operation = {
    .name = "retry",
    .request_bytes = sizeof(struct fork_request),
    .handle = handle_retry,
};

static void *start(struct partition *partition)
{
    return partition; /* It has no state. */
}

static const struct feature *const uses[] = {
    &children_feature, &definitions_feature, &idempotency_feature,
    &reports_feature,  &starts_feature,      NULL,
};

const struct feature forks_feature = {
    .name = "forks",
    .uses = uses,
    .start = start,
};
