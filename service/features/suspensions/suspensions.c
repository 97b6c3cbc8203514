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
#include "service/codec/level.h"
#include "service/codec/wait_rows.h"
#include "service/features/suspensions/suspension_facts.h"
#include "service/features/suspensions/suspension_keys.h"
#include "service/features/trees/trees.h"
#include "service/features/waits/wait_kind.h"
#include "service/partition/commands.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

static_assert(offsetof(struct resume_request, request) == 0, "a request begins its struct");
static_assert(offsetof(struct suspension_request, request) == 0, "a request begins its struct");

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

/* An answer on its way. */
struct answer {
    struct partition *partition;
    struct resume_request *resume;
    uuid run;
    struct arena *arena;
    struct failure failure;
};

static bool refuse(struct answer *answer, enum code code, enum reason reason, const char *field,
                   str message)
{
    answer->failure = failure_make(code, reason, message);
    answer->failure.field = str_of(field);
    return false;
}

static bool refuse_unread(struct answer *answer, status why)
{
    answer->failure = failure_of_run(why, answer->arena);
    return false;
}

/* "<run>.<effect>, <run>.<effect>" */
static str list_ids(const struct suspensions_meant *meant, struct arena *arena)
{
    struct buf text = {0};
    for (size_t i = 0; i < meant->open_count; i++) {
        char run[UUID_TEXT_BYTES];
        uuid_format(meant->open[i].run, run);
        buf_printf(&text, "%s%s.%u", i == 0 ? "" : ", ", run, (unsigned)meant->open[i].effect);
    }
    return buf_finish(&text, arena);
}

static bool refuse_ambiguous(struct answer *answer, const struct suspensions_meant *meant)
{
    return refuse(answer, CODE_FAILED_PRECONDITION, REASON_SUSPENSION_AMBIGUOUS, "step_key",
                  arena_printf(answer->arena,
                               "the run has asked under this key more than once; answer by "
                               "suspension_id; open: " STR_FMT,
                               STR_ARG(list_ids(meant, answer->arena))));
}

/* The step's key, and the schema it was asked with. */
static status find_asked(struct answer *answer, struct live_run *run, uint32_t effect, str *ret_key,
                         str *ret_schema)
{
    struct suspension_facts search;
    const struct live_wait *wait = wait_known(answer->partition, run, effect);
    if (wait != NULL && !wait->has_schema) {
        *ret_key = arena_copy(answer->arena, wait->key);
        *ret_schema = STR_EMPTY;
        return STATUS_OK;
    }
    TRY(suspension_facts_of(answer->partition, run, effect, answer->arena, &search));
    if (!search.found) {
        return status_make(CODE_DATA_LOSS, "the journal lacks a suspension that is open");
    }
    *ret_key = search.last.step_key;
    *ret_schema = search.last.answer_schema;
    return STATUS_OK;
}

/* It is open. */
static bool settle(struct answer *answer, struct suspension_id id)
{
    struct live_run *run;
    str key;
    str schema;
    struct resume_request *resume = answer->resume;
    status found = runs_get(answer->partition, id.run, &run);
    if (status_is_ok(found)) {
        found = find_asked(answer, run, id.effect, &key, &schema);
    }
    status judged = status_is_ok(found) ? answer_judge(schema, resume->data, answer->arena) : found;
    if (judged.code == CODE_INVALID_ARGUMENT) {
        return refuse(answer, CODE_INVALID_ARGUMENT, REASON_ANSWER_MISFIT, "data_json",
                      str_of(judged.why));
    }
    if (!status_is_ok(judged)) {
        return refuse_unread(answer, judged);
    }
    struct command command = {
        .kind = COMMAND_RESUME,
        .effect = id.effect,
        .resume = {.key = key,
                   .data = answer_of(resume->data, resume->by, answer->arena),
                   .by = resume->by},
    };
    enum verdict verdict = command_submit(answer->partition, run, &command);
    if (verdict != VERDICT_OK) {
        return refuse_unread(answer, status_make(CODE_DATA_LOSS, "the row of an open suspension "
                                                                 "names another wait"));
    }
    resume->ret_accepted = true;
    return true;
}

/* It was asked, and is over: nothing changes. */
static bool come_late(struct answer *answer, struct suspension_id id)
{
    struct suspension_facts search;
    struct resume_request *resume = answer->resume;
    struct live_run *run;
    status searched = runs_get(answer->partition, id.run, &run);
    if (status_is_ok(searched)) {
        searched = suspension_facts_of(answer->partition, run, id.effect, answer->arena, &search);
    }
    if (!status_is_ok(searched)) {
        return refuse_unread(answer, searched);
    }
    if (!search.found) {
        return refuse(answer, CODE_NOT_FOUND, REASON_SUSPENSION_NOT_FOUND, "suspension_id",
                      STR("the run has no suspension with this id; SuspendService.List shows those "
                          "that are open"));
    }
    if (search.last.state == SUSPENSION_OPEN) { /* Its run let go of it. */
        search.last.state = SUSPENSION_WITHDRAWN;
    }
    struct suspension *over = arena_alloc(answer->arena, sizeof(*over));
    *over = search.last;
    resume->ret_over = over;
    return true;
}

/* The run never asked under the key, nor any below it: kept, unless another question is open. */
static bool come_early(struct answer *answer, struct live_run *run)
{
    struct suspensions_meant others;
    struct resume_request *resume = answer->resume;
    struct suspension_keys *keys = partition_self(answer->partition, &suspensions_feature);
    if (engine_is_terminal(&run->state)) {
        return refuse(answer, CODE_FAILED_PRECONDITION, REASON_RUN_ENDED, "run_id",
                      STR("the run has ended without asking for this answer"));
    }
    status read = suspension_keys_open(keys, run, &others);
    if (!status_is_ok(read)) {
        return refuse_unread(answer, read);
    }
    if (others.open_count > 0) {
        return refuse(
            answer, CODE_FAILED_PRECONDITION, REASON_OTHER_SUSPENSIONS_OPEN, "step_key",
            arena_printf(answer->arena,
                         "the run has not asked under this key, but others are open: " STR_FMT,
                         STR_ARG(list_ids(&others, answer->arena))));
    }
    struct command command = {
        .kind = COMMAND_RESUME,
        .resume = {.key = resume->key,
                   .data = answer_of(resume->data, resume->by, answer->arena),
                   .by = resume->by},
    };
    enum verdict verdict = command_submit(answer->partition, run, &command);
    if (verdict != VERDICT_OK && verdict != VERDICT_DONE_BEFORE) {
        return refuse(answer, CODE_RESOURCE_EXHAUSTED, REASON_TOO_MANY_ANSWERS, "step_key",
                      STR("the run keeps as many early answers as it may (8), or is being "
                          "cancelled"));
    }
    resume->ret_accepted = verdict == VERDICT_OK;
    resume->ret_kept = true;
    return true;
}

/* What a key may mean: rows say it; of runs that are older than the rows, their journal. */
static status find_meant(struct partition *partition, const struct live_run *run, str key,
                         struct arena *arena, struct suspensions_meant *ret)
{
    struct suspension_facts search;
    struct suspension_keys *keys = partition_self(partition, &suspensions_feature);
    TRY(suspension_keys_find(keys, run, engine_key(key), ret));
    if (ret->open_count > 0 || ret->over.effect > 0 || !suspension_keys_lack(keys, run)) {
        return STATUS_OK;
    }
    TRY(suspension_facts_search(partition, run->state.id, 0, key, arena, &search));
    bool is_over =
        search.found && (search.last.state != SUSPENSION_OPEN || engine_is_terminal(&run->state));
    ret->over = (struct suspension_id){run->state.id, is_over ? search.effect : 0};
    return STATUS_OK;
}

static bool answer_by_key(struct answer *answer, struct live_run *run)
{
    struct suspensions_meant meant;
    status read = find_meant(answer->partition, run, answer->resume->key, answer->arena, &meant);
    if (!status_is_ok(read)) {
        return refuse_unread(answer, read);
    }
    bool was_asked = meant.over.effect > 0;
    if (meant.open_count > 1 || (meant.open_count == 1 && was_asked)) {
        return refuse_ambiguous(answer, &meant);
    }
    if (meant.open_count == 1) {
        return settle(answer, meant.open[0]);
    }
    return was_asked ? come_late(answer, meant.over) : come_early(answer, run);
}

static bool is_run_of(struct answer *answer, struct live_run *run, str workflow)
{
    struct live_run *root;
    const struct tree_place *place = tree_place(answer->partition, run);
    if (workflow.len == 0 || str_is(workflow, run->name)) {
        return true;
    }
    status found = runs_get(answer->partition, place->root, &root);
    if (!status_is_ok(found) && store_may_pass(found)) {
        return refuse_unread(answer, found);
    }
    return (status_is_ok(found) && str_is(workflow, root->name)) ||
           refuse(answer, CODE_FAILED_PRECONDITION, REASON_WORKFLOW_MISMATCH, "workflow_id",
                  arena_printf(answer->arena, "it is a run of %s", run->name));
}

static bool answer_give(struct answer *answer)
{
    struct live_run *run;
    struct resume_request *resume = answer->resume;
    status found = runs_get(answer->partition, answer->run, &run);
    resume->ret_accepted = resume->ret_kept = false;
    resume->ret_over = NULL;
    if (!status_is_ok(found)) {
        return refuse_unread(answer, found);
    }
    if (!is_run_of(answer, run, resume->workflow)) {
        return false;
    }
    if (resume->effect == 0) {
        return answer_by_key(answer, run);
    }
    struct suspension_id id = {answer->run, resume->effect};
    const struct effect *effect = engine_effect(&run->state, id.effect);
    bool is_open = effect != NULL && effect->kind == EFFECT_SUSPENSION;
    return is_open ? settle(answer, id) : come_late(answer, id);
}

static void handle_resume(struct partition *partition, struct request *request)
{
    struct answer answer = {.partition = partition,
                            .resume = resume_request(request),
                            .run = request->run,
                            .arena = &request->arena};
    if (!answer_give(&answer)) {
        request_fail_later(partition, request, &answer.failure);
        return;
    }
    request_answer_later(partition, request);
}

/* By key: the one that is open, else the last one. */
static status find_shown(struct partition *partition, const struct live_run *run,
                         const struct suspension_request *asked, struct suspensions_meant *ret)
{
    if (asked->effect != 0) {
        *ret = (struct suspensions_meant){.over = {run->state.id, asked->effect}};
        return STATUS_OK;
    }
    TRY(find_meant(partition, run, asked->step_key, &partition->round_arena, ret));
    ret->over = ret->open_count > 0 ? ret->open[0] : ret->over;
    return STATUS_OK;
}

static void refuse_look(struct partition *partition, struct request *request, bool is_by_key)
{
    struct failure failure = failure_make(
        CODE_NOT_FOUND, REASON_SUSPENSION_NOT_FOUND,
        STR("the run has no such suspension; SuspendService.List shows those that are open"));
    failure.field = is_by_key ? STR("step_key") : STR("suspension_id");
    request_answer(partition, request, &failure);
}

static void read_one(struct partition *partition, struct request *request)
{
    struct suspension_request *asked = suspension_request(request);
    struct answer answer = {.arena = &request->arena};
    struct suspensions_meant meant;
    struct suspension_facts search = {.found = false};
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (status_is_ok(found)) {
        found = find_shown(partition, run, asked, &meant);
    }
    if (status_is_ok(found) && meant.over.effect > 0) {
        found = runs_get(partition, meant.over.run, &run);
        if (status_is_ok(found)) {
            found =
                suspension_facts_of(partition, run, meant.over.effect, &request->arena, &search);
        }
    }
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (meant.open_count > 1) {
        (void)refuse_ambiguous(&answer, &meant);
        request_answer(partition, request, &answer.failure);
        return;
    }
    if (!search.found) {
        refuse_look(partition, request, asked->effect == 0);
        return;
    }
    if (search.last.state == SUSPENSION_OPEN &&
        engine_effect(&run->state, search.last.effect) == NULL) {
        search.last.state = SUSPENSION_WITHDRAWN;
    }
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

/* The answer that was kept, if it fits: it settles the suspension. */
static void take_kept(struct step_request *step)
{
    struct outcome kept;
    str by;
    str data = STR_EMPTY;
    status read = suspension_facts_kept(step->partition, step->run, step->message->key, step->arena,
                                        &kept, &by);
    if (!status_is_ok(read) && store_may_pass(read)) { /* Else it would be asked once more. */
        round_spoil(step->partition, read);
        return;
    }
    if (!status_is_ok(read)) { /* It must not be lost: what is set would take its place. */
        step_request_refuse(step, reason_name(REASON_RUN_UNREADABLE),
                            STR("the answer that was kept for this step cannot be read"));
        return;
    }
    (void)json_object_get(kept.value, STR("data"), &data);
    status judged = answer_judge(step->command.step_request.answer_schema, data, step->arena);
    if (!status_is_ok(judged)) {
        step->command.step_request.kept_misfit = str_of(judged.why);
        return;
    }
    step_request_settle(step, kept);
    step->command.step_request.by = by;
}

static void prepare_suspend(struct step_request *step)
{
    const struct host_step_request *wanted = &step->message->step_request;
    assert(wanted->kind == STEP_REQUEST_SUSPENSION);
    step->command.step_request.kind = EFFECT_SUSPENSION;
    step->command.step_request.data = wanted->data;
    step->command.step_request.answer_schema = wanted->answer_schema;
    step->command.step_request.due_ms = step->due_ms;
    if (engine_has_kept(&step->run->state, engine_key(step->message->key))) {
        take_kept(step);
    }
}

static void prepare_resume(struct step_request *step)
{
    const struct host_step_request *wanted = &step->message->step_request;
    assert(wanted->kind == STEP_REQUEST_RESUME);
    char by[UUID_TEXT_BYTES];
    uuid_format(step->run->state.id, by);
    struct resume_request resume = {
        .effect = wanted->effect,
        .key = wanted->step_key,
        .workflow = wanted->workflow,
        .data = wanted->data,
        .by = arena_printf(step->arena, "run %s", by),
    };
    struct answer answer = {
        .partition = step->partition, .resume = &resume, .run = wanted->run, .arena = step->arena};
    if (!answer_give(&answer)) {
        if (answer.failure.code == CODE_UNAVAILABLE) { /* It is asked again. */
            round_spoil(step->partition, status_make(CODE_UNAVAILABLE, "a read failed"));
        }
        bool is_unread =
            answer.failure.code == CODE_DATA_LOSS || answer.failure.reason == REASON_RUN_UNREADABLE;
        step_request_refuse(step, is_unread ? reason_name(answer.failure.reason) : "RESUME_REFUSED",
                            answer.failure.message);
        return;
    }
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_bool(&writer, "accepted", resume.ret_accepted);
    json_put_bool(&writer, "kept", resume.ret_kept);
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
    suspension_raise_level(partition, event);
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

struct erasing {
    struct partition *partition;
    size_t left;
    bool has_more;
};

static bool visit_erased(void *context, str key, str value)
{
    struct erasing *erasing = context;
    (void)value;
    erasing->has_more = erasing->left == 0;
    if (erasing->left > 0) {
        erasing->left--;
        store_batch_delete(&erasing->partition->batch, STORE_INDEX, key);
    }
    return !erasing->has_more;
}

status suspensions_are_open(struct partition *partition, const struct live_run *run, bool *ret)
{
    struct suspensions_meant open;
    TRY(suspension_keys_open(partition_self(partition, &suspensions_feature), run, &open));
    *ret = open.open_count > 0;
    return STATUS_OK;
}

status suspensions_erase(struct partition *partition, uuid run, size_t *budget, bool *ret_more)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = step_key_rows_in(run);
    struct erasing erasing = {.partition = partition, .left = *budget};
    TRY(store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_STEP_KEY, index_tail_str(&tail)),
                   STR_EMPTY, false, SIZE_MAX, visit_erased, &erasing));
    assert(erasing.left <= *budget);
    *budget = erasing.left;
    *ret_more = erasing.has_more;
    return STATUS_OK;
}

static const struct wait_kind suspend_kind = {
    .request = STEP_REQUEST_SUSPENSION,
    .kind = EFFECT_SUSPENSION,
    .settled = SETTLED_SUSPENSION,
    .prepare = prepare_suspend,
    .set = put_row,
    .over = delete_row,
};
static const struct wait_kind resume_kind = {
    .request = STEP_REQUEST_RESUME, .kind = EFFECT_AT_ONCE, .prepare = prepare_resume};

static void *start(struct partition *partition)
{
    return suspension_keys_new(partition); /* All else is in the runs' journals. */
}

static status load(void *self)
{
    return suspension_keys_load(self);
}

static void round_committed(void *self)
{
    suspension_keys_committed(self);
}

static void round_over(void *self)
{
    suspension_keys_round_over(self);
}

static void before_event(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command)
{
    (void)command;
    suspension_keys_note(self, run, event);
}

static void event_copied(void *self, struct live_run *run, const struct event *event)
{
    suspension_keys_copied(self, run, event);
}

static void stop(void *self)
{
    suspension_keys_free(self);
}

static const struct wait_kind *const kinds[] = {&suspend_kind, &resume_kind, NULL};
static const struct feature *const uses[] = {&trees_feature, &waits_feature, NULL};

const struct feature suspensions_feature = {
    .name = "suspensions",
    .uses = uses,
    .wait_kinds = kinds,
    .start = start,
    .load = load,
    .at =
        {
            [ROUND_COMMITTED] = round_committed,
            [ROUND_FAILED] = round_over, /* Before what it left is read. */
            [ROUND_OVER] = round_over,
        },
    .before_event = before_event,
    .event_copied = event_copied,
    .stop = stop,
};
