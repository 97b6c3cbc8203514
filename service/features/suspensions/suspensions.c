/*
 * suspensions: runs that wait for an answer from outside: looked at, answered.
 *
 * An index row leads from the time a run was suspended to the run; everything else about it is
 * in its journal. An answer that comes before its suspension is a fact of its own and is found
 * there when the code gets to it; one that comes twice changes nothing.
 */
#include "service/features/suspensions/suspensions.h"

#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/codec/wait_rows.h"
#include "service/features/waits/wait_kind.h"
#include "service/partition/commands.h"
#include "service/partition/journal.h"
#include "service/partition/state.h"

static_assert(offsetof(struct resume_request, request) == 0, "a request begins its struct");
static_assert(offsetof(struct suspension_request, request) == 0, "a request begins its struct");

struct search {
    str key;
    bool found;
    uint32_t effect;
    uint32_t owner; /* The task whose code asked. */
    struct suspension last;
    str outcome; /* Of `last`, as its code was given it; empty: none, or it timed out. */
    /* The answer that was kept for it. */
    bool kept_found;
    struct outcome kept;
    str kept_by;
    uuid root;
    str name;
};

static void search_set(struct search *search, const struct event *event)
{
    assert(event->kind == EVENT_WAIT_SET);
    if (event->wait_set.kind != EFFECT_SUSPENSION || !str_equal(event->wait_set.key, search->key)) {
        return;
    }
    search->found = true;
    search->effect = event->effect;
    search->owner = event->wait_set.owner;
    search->outcome = STR_EMPTY;
    search->last = (struct suspension){
        .step_key = event->wait_set.key,
        .data = event->wait_set.data,
        .since_ms = event->time_ms,
        .deadline_ms = event->wait_set.due_ms,
        .is_open = true,
    };
}

static bool search_event(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct search *search = context;
    if (event->kind == EVENT_RUN_STARTED) {
        search->root = event->run_started.spec.root;
        search->name = event->run_started.spec.name;
    } else if (event->kind == EVENT_WAIT_SET) {
        search_set(search, event);
    } else if (event->kind == EVENT_WAIT_SETTLED && search->found &&
               event->effect == search->effect) {
        search->last.is_open = false;
        search->last.by = event->wait_settled.by;
        search->outcome = event->wait_settled.outcome.value;
        str answer;
        if (json_object_get(event->wait_settled.outcome.value, STR("data"), &answer)) {
            search->last.answer = answer;
        }
        search->last.resumed_ms = event->time_ms;
    } else if (event->kind == EVENT_RESUME_KEPT && str_equal(event->resume_kept.key, search->key)) {
        search->kept_found = true;
        search->kept = (struct outcome){.value = event->resume_kept.data};
        search->kept_by = event->resume_kept.by;
    }
    return true;
}

static status search_run(struct partition *partition, uuid run, str key, struct arena *arena,
                         struct search *ret)
{
    static const uint64_t kinds = JOURNAL_KIND(EVENT_RUN_STARTED) | JOURNAL_KIND(EVENT_WAIT_SET) |
                                  JOURNAL_KIND(EVENT_WAIT_SETTLED) |
                                  JOURNAL_KIND(EVENT_RESUME_KEPT);
    *ret = (struct search){.key = key};
    TRY(journal_each(partition, run, kinds, arena, search_event, ret));
    ret->last.run = run;
    ret->last.root = ret->root;
    ret->last.name = ret->name;
    return STATUS_OK;
}

static status suspension_kept(struct partition *partition, uuid run, str key, struct arena *arena,
                              struct outcome *ret, str *ret_by)
{
    struct search search;
    TRY(search_run(partition, run, key, arena, &search));
    if (!search.kept_found) {
        return status_make(CODE_NOT_FOUND, "no answer was kept for this step");
    }
    assert(str_equal(search.key, key));
    *ret = search.kept;
    *ret_by = search.kept_by;
    return STATUS_OK;
}

/* What the code is given: the data, and who gave it. */
static str answer_of(str data, str by, struct arena *arena)
{
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_raw(&writer, "data", data);
    json_put_string(&writer, "resumed_by", by);
    json_end_object(&writer);
    return buf_finish(&text, arena);
}

static bool is_open(const struct live_run *run, str key)
{
    return engine_suspension(&run->state, engine_key(key)) != NULL;
}

/* An answer to what has been answered. While the code that asked is at work it can't ask again
 * under the key; what asks next is other code, a later tool call of an agent, and the answer is an
 * early one for that, unless it is the same once more. To what timed out it comes too late. */
static bool is_second(const struct live_run *run, const struct search *search, str answer)
{
    if (!search->found || search->last.is_open) {
        return false;
    }
    bool owner_is_there = engine_effect(&run->state, search->owner) != NULL;
    return owner_is_there || engine_is_terminal(&run->state) || search->outcome.len == 0 ||
           str_equal(search->outcome, answer);
}

static enum verdict suspension_answer(struct partition *partition, struct live_run *run, str key,
                                      str data, str by, struct arena *arena, bool *ret_accepted,
                                      bool *ret_kept)
{
    struct search search;
    *ret_accepted = false;
    *ret_kept = false;
    bool opens = is_open(run, key);
    str answer = answer_of(data, by, arena);
    if (!opens) {
        status searched = search_run(partition, run->state.id, key, arena, &search);
        if (status_is_ok(searched) && is_second(run, &search, answer)) {
            return VERDICT_DONE_BEFORE;
        }
    }
    struct command command = {
        .kind = COMMAND_RESUME,
        .resume = {.key = key, .data = answer, .by = by},
    };
    enum verdict verdict = command_submit(partition, run, &command);
    assert(!opens || verdict != VERDICT_DONE_BEFORE); /* Who asks has no answer yet. */
    *ret_accepted = verdict == VERDICT_OK;
    *ret_kept = !opens && (verdict == VERDICT_OK || verdict == VERDICT_DONE_BEFORE);
    return verdict;
}

static void refuse_resume(struct partition *partition, struct request *request,
                          enum verdict verdict)
{
    assert(verdict != VERDICT_OK && verdict != VERDICT_DONE_BEFORE);
    struct failure failure;
    if (verdict == VERDICT_TERMINAL) {
        failure = failure_make(CODE_FAILED_PRECONDITION, REASON_RUN_ENDED,
                               STR("the run has ended without asking for this answer"));
        failure.field = STR("run_id");
    } else {
        failure = failure_make(CODE_RESOURCE_EXHAUSTED, REASON_TOO_MANY_ANSWERS,
                               STR("the run keeps as many early answers as it may (8), or is being "
                                   "cancelled"));
        failure.field = STR("step_key");
    }
    request_fail_later(partition, request, &failure);
}

static void handle_resume(struct partition *partition, struct request *request)
{
    struct resume_request *resume = resume_request(request);
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    enum verdict verdict =
        suspension_answer(partition, run, resume->key, resume->data, resume->by, &request->arena,
                          &resume->ret_accepted, &resume->ret_kept);
    if (verdict == VERDICT_OK || verdict == VERDICT_DONE_BEFORE) {
        request_answer_later(partition, request);
        return;
    }
    refuse_resume(partition, request, verdict);
}

static void read_one(struct partition *partition, struct request *request)
{
    struct suspension_request *asked = suspension_request(request);
    struct search search;
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (status_is_ok(found)) {
        found = search_run(partition, request->run, asked->step_key, &request->arena, &search);
    }
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (!search.found) {
        struct failure failure = failure_make(CODE_NOT_FOUND, REASON_SUSPENSION_NOT_FOUND,
                                              STR("the run has no suspension under this step key; "
                                                  "SuspendService.List shows those that are open"));
        failure.field = STR("step_key");
        request_answer(partition, request, &failure);
        return;
    }
    assert(uuid_equal(search.last.run, request->run));
    search.last.is_open &= is_open(run, asked->step_key);
    asked->ret = &search.last;
    request_answer(partition, request, NULL);
}

const struct operation resume_operation = {
    .name = "resume",
    .request_bytes = sizeof(struct resume_request),
    .handle = handle_resume,
};
const struct operation get_suspension_operation = {
    .name = "get_suspension",
    .request_bytes = sizeof(struct suspension_request),
    .is_read = true,
    .handle = read_one,
};

/* ---- What the code of a task asks for. ---- */

static void prepare_suspend(struct step_request *step)
{
    const struct host_step_request *wanted = &step->message->step_request;
    assert(wanted->kind == STEP_REQUEST_SUSPENSION);
    step->command.step_request.kind = EFFECT_SUSPENSION;
    step->command.step_request.data = wanted->data;
    step->command.step_request.due_ms = wanted->due_ms;
    struct outcome kept;
    str by;
    if (engine_has_kept(&step->run->state, engine_key(step->message->key)) &&
        status_is_ok(suspension_kept(step->partition, step->run->state.id, step->message->key,
                                     step->arena, &kept, &by))) {
        step_request_settle(step, kept);
        step->command.step_request.by = by;
    }
}

static void prepare_resume(struct step_request *step)
{
    const struct host_step_request *wanted = &step->message->step_request;
    assert(wanted->kind == STEP_REQUEST_RESUME);
    char by[UUID_TEXT_BYTES];
    bool accepted = false;
    bool kept = false;
    struct live_run *run;
    uuid_format(step->run->state.id, by);
    status found = runs_get(step->partition, wanted->run, &run);
    if (!status_is_ok(found) && found.code != CODE_NOT_FOUND) {
        struct failure failure = failure_of_run(found, step->arena);
        step_request_refuse(step, reason_name(failure.reason), failure.message);
        return;
    }
    enum verdict verdict = VERDICT_STALE;
    if (status_is_ok(found)) {
        verdict = suspension_answer(step->partition, run, wanted->step_key, wanted->data,
                                    arena_printf(step->arena, "run %s", by), step->arena, &accepted,
                                    &kept);
    }
    if (verdict == VERDICT_REFUSED || verdict == VERDICT_TERMINAL || verdict == VERDICT_STALE) {
        step_request_refuse(step, "RESUME_REFUSED",
                            STR("there is no such run, it has ended, or it was sent too many "
                                "answers it has not asked for"));
        return;
    }
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_bool(&writer, "accepted", accepted);
    json_put_bool(&writer, "kept", kept);
    json_end_object(&writer);
    step_request_settle(step, (struct outcome){.value = buf_finish(&text, step->arena)});
}

static void put_row(struct partition *partition, struct live_run *run, const struct live_wait *wait,
                    const struct event *event)
{
    assert(event->wait_set.kind == EFFECT_SUSPENSION && event->effect == wait->effect);
    char key[KEY_BYTES_MAX];
    char value[SUSPENSION_VALUE_BYTES];
    struct index_tail tail = suspension_row_tail(event->time_ms, run->state.id, wait->effect);
    suspension_row_value(wait->seq, value);
    store_batch_put(
        &partition->batch, STORE_INDEX,
        key_index(key, partition->options.space, INDEX_SUSPENSION, index_tail_str(&tail)),
        str_make(value, sizeof(value)));
}

static void delete_row(struct partition *partition, struct live_run *run,
                       const struct effect *effect)
{
    assert(effect->kind == EFFECT_SUSPENSION);
    char key[KEY_BYTES_MAX];
    struct index_tail tail = suspension_row_tail(effect->since_ms, run->state.id, effect->id);
    store_batch_delete(
        &partition->batch, STORE_INDEX,
        key_index(key, partition->options.space, INDEX_SUSPENSION, index_tail_str(&tail)));
}

static const struct wait_kind suspend_kind = {
    .request = STEP_REQUEST_SUSPENSION,
    .kind = EFFECT_SUSPENSION,
    .prepare = prepare_suspend,
    .set = put_row,
    .over = delete_row,
};
static const struct wait_kind resume_kind = {
    .request = STEP_REQUEST_RESUME, .kind = EFFECT_AT_ONCE, .prepare = prepare_resume};

static void *start(struct partition *partition)
{
    return partition; /* Everything is in the runs' journals. */
}

static const struct wait_kind *const kinds[] = {&suspend_kind, &resume_kind, NULL};
static const struct feature *const uses[] = {&waits_feature, NULL};

const struct feature suspensions_feature = {
    .name = "suspensions",
    .uses = uses,
    .wait_kinds = kinds,
    .start = start,
};
