/*
 * forks: a new run that begins with the facts of another.
 *
 * The events up to a point are copied under a new id, as owed work, some in each round; what was
 * owed there is owed by the new run and put in motion as after a restart. A retry is a fork of a
 * failed run from its last good fact. The old run stays as it is.
 */
#include "service/features/forks/forks.h"

#include <stdlib.h>

#include "service/base/sys.h"
#include "service/codec/copy_row.h"
#include "service/features/children/children.h"
#include "service/features/definitions/definitions.h"
#include "service/features/forks/pieces.h"
#include "service/features/forks/points.h"
#include "service/features/idempotency/idempotency.h"
#include "service/features/owed/owed.h"
#include "service/features/starts/starts.h"
#include "service/partition/commands.h"
#include "service/partition/round.h"
#include "service/partition/state.h"
#include "service/partition/timers.h"

enum {
    OWED_COPY = 8, /* On disk. */
    BUDGET_BYTES = 1 << 10, /* Of records that count as one run. */
    LOOK_RECORDS = 256, /* That are read before a fork is answered ... */
    LOOK_BYTES = 1 << 20, /* ... or so many bytes. */
};

/* A run whose history is still being copied. */
struct copy {
    struct copy *next;
    uuid target;
    struct copy_row row;
    bool has_row; /* In the store, or in the batch. */
};

/* Of this round: a run whose copy was cut. */
struct cut {
    struct cut *next;
    uuid run;
    str cause; /* Of its cancellation. */
};

struct forks {
    struct partition *partition;
    struct copy *copies;
    struct cut *cuts; /* In the round's arena. */
};

static struct forks *forks_of(const struct partition *partition)
{
    return partition_self(partition, &forks_feature);
}

/* ---- The copies at work. ---- */

/* Where it hangs; what is there is NULL: there is no such copy. */
static struct copy **find(struct forks *forks, uuid target)
{
    struct copy **link = &forks->copies;
    while (*link != NULL && !uuid_equal((*link)->target, target)) {
        link = &(*link)->next;
    }
    return link;
}

static struct copy *add(struct forks *forks, uuid target, const struct copy_row *row)
{
    struct copy *copy = xcalloc(1, sizeof(*copy));
    assert(row->after_seq > 0 && !uuid_equal(target, row->source));
    copy->target = target;
    copy->row = *row;
    copy->next = forks->copies;
    forks->copies = copy;
    return copy;
}

static void forget_all(struct forks *forks)
{
    while (forks->copies != NULL) {
        struct copy *copy = forks->copies;
        forks->copies = copy->next;
        free(copy);
    }
}

static str row_key(const struct forks *forks, uuid target, char ret[KEY_BYTES_MAX])
{
    struct index_tail tail = copy_row_tail(target);
    return key_index(ret, forks->partition->options.space, INDEX_COPY, index_tail_str(&tail));
}

/* It is whole, or ends where it is. */
static void drop(struct forks *forks, uuid target)
{
    char key[KEY_BYTES_MAX];
    struct copy **link = find(forks, target);
    struct copy *copy = *link;
    assert(copy != NULL);
    if (copy->has_row) {
        store_batch_delete(&forks->partition->batch, STORE_INDEX, row_key(forks, target, key));
    }
    *link = copy->next;
    free(copy);
}

bool forks_copy_from(const struct partition *partition, uuid source)
{
    const struct copy *copy = forks_of(partition)->copies;
    while (copy != NULL && !uuid_equal(copy->row.source, source)) {
        copy = copy->next;
    }
    return copy != NULL;
}

/* ---- In a round. ---- */

/* Leases are not copied: the task is given anew, with its settled steps. */
static void drop_leases(struct partition *partition, struct live_run *run)
{
    const struct run state = run->state;
    assert(run->is_touched);
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
        enum verdict verdict = command_submit(partition, run, &lost);
        assert(verdict == VERDICT_OK);
        const struct effect *left = engine_effect(&run->state, lost.effect);
        assert(left == NULL || left->state != EFFECT_LEASED || left->attempt > lost.attempt);
    }
}

/* Nor is an admission. */
static void withdraw_admission(struct partition *partition, struct live_run *run)
{
    struct command back = {.kind = COMMAND_WITHDRAW_ADMISSION};
    enum verdict verdict = command_submit(partition, run, &back);
    assert(verdict == VERDICT_OK || verdict == VERDICT_STALE);
    assert(run->state.admission != ADMISSION_HELD);
}

/* ---- Copies that are cut. ---- */

static void copy_cut(void *self, struct live_run *run)
{
    struct forks *forks = self;
    struct cut *cut = arena_zalloc(&forks->partition->round_arena, sizeof(*cut));
    assert(run->is_copying && !engine_is_terminal(&run->state));
    drop(forks, run->state.id);
    run->is_copying = false;
    cut->run = run->state.id;
    cut->next = forks->cuts;
    forks->cuts = cut;
}

static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    const struct forks *forks = self;
    assert(count > 0);
    for (struct cut *cut = forks->cuts; cut != NULL; cut = cut->next) {
        if (uuid_equal(cut->run, run->state.id) && events[0].kind == EVENT_CANCEL_REQUESTED) {
            cut->cause = events[0].cancel_requested.cause;
        }
    }
}

/* Its code has done nothing that it could clean up: it ends in the round of its cancellation. */
static void end_cuts(void *self)
{
    struct forks *forks = self;
    for (const struct cut *cut = forks->cuts; cut != NULL; cut = cut->next) {
        struct live_run *run = runs_find(forks->partition, cut->run);
        assert(run != NULL && run->is_touched);
        if (!engine_is_terminal(&run->state)) {
            struct command command = {.kind = COMMAND_FAIL, .fail = {.message = cut->cause}};
            enum verdict verdict = command_submit(forks->partition, run, &command);
            assert(verdict == VERDICT_OK && run->state.state == RUN_CANCELLED);
        }
    }
    forks->cuts = NULL;
}

/* ---- Copies that are whole. ---- */

static void fail(struct partition *partition, struct live_run *run, enum reason reason, str message)
{
    struct command command = {
        .kind = COMMAND_FAIL,
        .fail = {.reason = str_of(reason_name(reason)), .message = message},
    };
    enum verdict verdict = command_submit(partition, run, &command);
    assert(verdict == VERDICT_OK || engine_is_terminal(&run->state));
}

static str children_message(void)
{
    return STR("the run waits for children there, which are its own; choose a point before they "
               "were started or after they ended");
}

/* From now on it is a run like others. */
static void finish(struct forks *forks, struct live_run *run)
{
    struct partition *partition = forks->partition;
    const struct copy_row row = (*find(forks, run->state.id))->row;
    assert(run->state.seq == row.after_seq);
    if (!row.takes_children && engine_has_effect(&run->state, EFFECT_CHILDREN)) {
        fail(partition, run, REASON_CHILDREN_OPEN, children_message());
        return;
    }
    drop(forks, run->state.id);
    runs_touch(partition, run);
    run->is_copying = false;
    features_tell(partition, run_copied, run);
    withdraw_admission(partition, run);
    drop_leases(partition, run);
    if (row.takes_children) {
        children_adopt(partition, row.source, run);
    }
    if (!engine_is_terminal(&run->state)) { /* One that is cancelled ends with its lease. */
        command_recover(partition, run);
    }
}

static void fail_unread(struct partition *partition, struct live_run *run, uuid source, status why)
{
    char id[UUID_TEXT_BYTES];
    uuid_format(source, id);
    log_line(LOG_ERROR, "copy_unreadable", "source=%s why=\"%s\"", id, why.why);
    fail(partition, run, REASON_STORE_DAMAGED,
         arena_printf(&partition->round_arena,
                      "the history of run %s, which this one was to begin with, cannot be read: %s",
                      id, why.why));
}

static enum owed_result copy_on(struct partition *partition, struct owed *owed, size_t *budget)
{
    struct forks *forks = forks_of(partition);
    const struct copy *copy = *find(forks, owed->target);
    struct live_run *run;
    assert(*budget > 0);
    status read = copy == NULL ? status_make(CODE_NOT_FOUND, "it was cut")
                               : runs_get(partition, owed->target, &run);
    if (!status_is_ok(read)) {
        (*budget)--;
        return owed_unread(read);
    }
    struct piece piece = {
        .partition = partition,
        .row = &copy->row,
        .run = run,
        .state = &run->state,
        .after_seq = copy->row.after_seq,
        .records_max = *budget,
        .bytes_max = *budget * BUDGET_BYTES,
    };
    bool is_whole = run->state.seq == copy->row.after_seq;
    read = is_whole ? STATUS_OK : piece_take(&piece, copy->row.source);
    size_t used = 1 + piece.records + piece.bytes / BUDGET_BYTES;
    *budget -= used < *budget ? used : *budget;
    if (!status_is_ok(read) && piece.records > 0) {
        return OWED_GOES_ON; /* The next piece meets it again. */
    }
    if (!status_is_ok(read) && store_may_pass(read)) {
        return OWED_LATER;
    }
    if (!status_is_ok(read)) {
        fail_unread(partition, run, copy->row.source, read);
        return OWED_DONE;
    }
    if (run->state.seq < copy->row.after_seq) {
        return OWED_GOES_ON;
    }
    finish(forks, run);
    return OWED_DONE;
}

static const struct owed_kind copy_owed = {.name = "copy", .number = OWED_COPY, .work = copy_on};

/* ---- Who asks for it. ---- */

static bool refuse(struct failure *ret, enum code code, enum reason reason, const char *field,
                   str message)
{
    assert(code != CODE_OK);
    *ret = failure_make(code, reason, message);
    ret->field = str_of(field);
    return false;
}

static bool refuse_unread(struct failure *ret, status why)
{
    enum reason reason = store_may_pass(why) ? REASON_STORE_REFUSED : REASON_STORE_DAMAGED;
    return refuse(ret, why.code, reason, "run_id", str_of(why.why));
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

static status look_at_point(struct partition *partition, const struct live_run *source,
                            uint32_t seq, struct run *ret, bool *ret_known)
{
    struct piece piece = {
        .partition = partition,
        .state = ret,
        .after_seq = seq,
        .records_max = LOOK_RECORDS,
        .bytes_max = LOOK_BYTES,
    };
    *ret_known = source->state.seq == seq;
    *ret = source->state;
    if (*ret_known) {
        return STATUS_OK;
    }
    engine_init(ret);
    TRY(piece_take(&piece, source->state.id));
    *ret_known = ret->seq == seq;
    return STATUS_OK;
}

/* What refuses it is asked before anything is written. */
static bool may_copy(struct partition *partition, struct live_run *source, struct point *point,
                     bool adopts, struct arena *arena, struct failure *ret)
{
    struct run state;
    bool is_known;
    status read = point_find(partition, source->state.id, point);
    if (!status_is_ok(read)) {
        return refuse_unread(ret, read);
    }
    if (!point->is_exact) {
        return refuse(ret, CODE_INVALID_ARGUMENT, REASON_INVALID_FIELD, "after_seq",
                      arena_printf(arena,
                                   "event %u is in the middle of a transition or after the run's "
                                   "end; the nearest point before it is %u",
                                   point->seq, point->nearest));
    }
    read = look_at_point(partition, source, point->seq, &state, &is_known);
    if (!status_is_ok(read)) {
        return refuse_unread(ret, read);
    }
    if (is_known && !adopts && engine_has_effect(&state, EFFECT_CHILDREN)) {
        return refuse(ret, CODE_FAILED_PRECONDITION, REASON_CHILDREN_OPEN, "after_seq",
                      children_message());
    }
    return has_definition(partition, source, ret);
}

/* The new run and its first facts; the rest is owed. */
static bool begin_copy(struct partition *partition, const struct live_run *source,
                       const struct copy_row *row, struct failure *ret_failure, uuid *ret_id)
{
    struct forks *forks = forks_of(partition);
    struct copy *copy = add(forks, start_new_id(partition), row);
    const struct owed owed = {.target = copy->target, .source = row->source};
    struct live_run *run = runs_insert(partition, copy->target);
    struct piece piece = {
        .partition = partition,
        .row = &copy->row,
        .run = run,
        .state = &run->state,
        .after_seq = row->after_seq,
        .records_max = 1,
        .bytes_max = 1,
    };
    run->is_copying = true;
    if (source->state.kind == RUN_KIND_AGENT) {
        run->state.kind = RUN_KIND_AGENT; /* So that its records are kept; the event says it too. */
    }
    *ret_id = copy->target;
    status copied = piece_take(&piece, row->source);
    if (!status_is_ok(copied) && piece.records == 0) {
        assert(!run->is_touched && !copy->has_row);
        drop(forks, copy->target);
        runs_drop(partition, run);
        return refuse_unread(ret_failure, copied);
    }
    owed_post(partition, *ret_id, &copy_owed, &owed);
    return true;
}

/* Where it adopts, children that are waited for there are the new run's from now on. */
static bool fork_run(struct partition *partition, struct live_run *source, uint32_t after_seq,
                     bool adopts, struct arena *arena, struct failure *ret_failure, uuid *ret_id)
{
    struct point point = {.seq = after_seq};
    if (!may_copy(partition, source, &point, adopts, arena, ret_failure)) {
        return false;
    }
    const struct copy_row row = {
        .source = source->state.id,
        .after_seq = after_seq,
        .begun_ms = partition->now_ms,
        .shift_ms = (int64_t)(partition->now_ms - point.time_ms),
        .takes_children = adopts,
    };
    return begin_copy(partition, source, &row, ret_failure, ret_id);
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
    if (!fork_run(partition, source, fork_request(request)->after_seq, false, &request->arena,
                  &failure, &copy)) {
        request_answer(partition, request, &failure);
        return;
    }
    answer_with_copy(partition, request, copy);
}

static void handle_retry(struct partition *partition, struct request *request)
{
    struct live_run *source;
    struct failure failure;
    uint32_t after_seq;
    uuid copy;
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
    found = point_last_good(partition, request->run, &after_seq);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (!fork_run(partition, source, after_seq, true, &request->arena, &failure, &copy)) {
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

/* ---- The feature. ---- */

struct reading {
    struct forks *forks;
    status status;
};

static bool read_row(void *context, str key, str value)
{
    str tail;
    uuid target;
    struct copy_row row;
    struct reading *reading = context;
    if (!key_read_index(key, &tail)) {
        return true;
    }
    reading->status = copy_key_decode(tail, &target);
    if (status_is_ok(reading->status)) {
        reading->status = copy_row_decode(value, &row);
    }
    if (status_is_ok(reading->status)) {
        add(reading->forks, target, &row)->has_row = true;
    }
    return status_is_ok(reading->status);
}

static status load(void *self)
{
    struct reading reading = {.forks = self};
    const struct partition *partition = reading.forks->partition;
    char key[KEY_BYTES_MAX];
    TRY(store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_COPY, STR_EMPTY), STR_EMPTY,
                   false, SIZE_MAX, read_row, &reading));
    return reading.status;
}

/* Those that are not whole when the round ends can go on after a restart. */
static void put_rows(void *self)
{
    const struct forks *forks = self;
    for (struct copy *copy = forks->copies; copy != NULL; copy = copy->next) {
        char key[KEY_BYTES_MAX];
        char bytes[COPY_ROW_BYTES_MAX];
        if (!copy->has_row) {
            store_batch_put(&forks->partition->batch, STORE_INDEX,
                            row_key(forks, copy->target, key), copy_row_encode(&copy->row, bytes));
            copy->has_row = true;
        }
    }
}

static void mark(const struct forks *forks, bool is_copying)
{
    for (const struct copy *copy = forks->copies; copy != NULL; copy = copy->next) {
        struct live_run *run = runs_find(forks->partition, copy->target);
        if (run != NULL) {
            run->is_copying = is_copying;
            timers_arm(forks->partition->timers, copy->target, 0);
        }
    }
}

/* What was committed is read again. */
static void forget_round(void *self)
{
    struct forks *forks = self;
    struct copy *before = forks->copies;
    forks->cuts = NULL;
    forks->copies = NULL;
    status read = load(forks);
    if (!status_is_ok(read)) {
        forget_all(forks);
        forks->copies = before;
        if (store_may_pass(read)) {
            round_doubt(forks->partition, read);
        }
        return;
    }
    struct copy *now = forks->copies;
    forks->copies = before;
    mark(forks, false);
    forget_all(forks);
    forks->copies = now;
    mark(forks, true);
}

static void run_loaded(void *self, struct live_run *run)
{
    run->is_copying = !engine_is_terminal(&run->state) && *find(self, run->state.id) != NULL;
}

static bool keeps(void *self, const struct live_run *run)
{
    (void)self;
    return run->is_copying;
}

static void *start(struct partition *partition)
{
    struct forks *forks = xcalloc(1, sizeof(*forks));
    forks->partition = partition;
    return forks;
}

static void stop(void *self)
{
    forget_all(self);
    free(self);
}

static const struct owed_kind *const owed_kinds[] = {&copy_owed, NULL};
static const struct feature *const uses[] = {
    &children_feature,
    &definitions_feature,
    &idempotency_feature,
    &owed_feature,
    &reports_feature,
    &starts_feature,
    NULL,
};

const struct feature forks_feature = {
    .name = "forks",
    .uses = uses,
    .owed_kinds = owed_kinds,
    .start = start,
    .load = load,
    .at =
        {
            [ROUND_ENDS] = end_cuts,
            [ROUND_SEALS] = put_rows,
            [ROUND_FAILED] = forget_round,
        },
    .run_loaded = run_loaded,
    .keeps = keeps,
    .copy_cut = copy_cut,
    .after_decision = after_decision,
    .stop = stop,
};
