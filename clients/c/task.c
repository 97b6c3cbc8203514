#include "clients/c/task.h"

#include <assert.h>

#include "clients/c/memory.h"
#include "clients/c/session.h"

struct polos_task *polos_task_new(struct polos_session *session, Polos__V1__Task *message)
{
    struct polos_task *task = memory_zeroed(1, sizeof(*task));
    task->session = session;
    task->message = message;
    task->epoch = message->epoch;
    task->is_held = task->is_owned = true;
    for (size_t i = 0; i < message->n_steps; i++) {
        task->outcomes += polos_step_is_request(message->steps[i]);
    }
    task->steps = message->settled_count;
    return task;
}

/* ---- what its owner asks ---- */

const Polos__V1__Task *polos_task_message(const struct polos_task *task)
{
    return task->message;
}

void polos_task_set_context(struct polos_task *task, void *context)
{
    task->context = context;
}

void *polos_task_context(const struct polos_task *task)
{
    return task->context;
}

void polos_task_on_stop(struct polos_task *task,
                        void (*stop)(struct polos_task *task, const char *cause))
{
    task->stop = stop;
}

void polos_task_on_cancel(struct polos_task *task, void (*cancel)(struct polos_task *task))
{
    task->cancel = cancel;
}

void polos_task_on_yield(struct polos_task *task, void (*yield)(struct polos_task *task))
{
    task->yield = yield;
}

const Polos__V1__TaskOutcome *polos_task_settled(struct polos_task *task, const char *key)
{
    const Polos__V1__SettledStep *step = polos_replay_find(&task->replay, task->message, key);
    return step == NULL ? NULL : step->outcome;
}

/* ---- what its owner says ---- */

bool polos_step_done(struct polos_task *task, const char *key, const struct polos_outcome *outcome,
                     polos_step_settled *settled, void *context)
{
    assert(task->is_owned);
    if (!polos_task_is_at_work(task)) {
        return false;
    }
    struct said *node = polos_said_about(SAID_STEP_DONE, task, key, outcome);
    node->number = ++task->steps;
    node->settled = settled;
    node->context = context;
    polos_session_say(task->session, node);
    return true;
}

void polos_task_progress(struct polos_task *task, const char *text)
{
    assert(task->is_owned);
    if (polos_task_is_at_work(task)) {
        polos_session_say_if_open(task->session, polos_said_about(SAID_DELTA, task, text, NULL));
    }
}

bool polos_request_step(struct polos_task *task, const char *key,
                        const Polos__V1__StepRequest *request, polos_request_settled *settled,
                        void *context)
{
    assert(task->is_owned);
    if (!polos_task_is_at_work(task)) {
        return false;
    }
    struct said *node = polos_said_request(task, key, request);
    node->came = settled;
    node->context = context;
    polos_session_say(task->session, node);
    return true;
}

bool polos_request_sleep(struct polos_task *task, const char *key, uint64_t length_ms,
                         polos_request_settled *settled, void *context)
{
    Polos__V1__Sleep sleep = POLOS__V1__SLEEP__INIT;
    Polos__V1__StepRequest request = POLOS__V1__STEP_REQUEST__INIT;
    Google__Protobuf__Duration length = GOOGLE__PROTOBUF__DURATION__INIT;
    length.seconds = (int64_t)(length_ms / 1000);
    length.nanos = (int32_t)(length_ms % 1000 * 1000000);
    sleep.end_case = POLOS__V1__SLEEP__END_DURATION;
    sleep.duration = &length;
    request.request_case = POLOS__V1__STEP_REQUEST__REQUEST_SLEEP;
    request.sleep = &sleep;
    return polos_request_step(task, key, &request, settled, context);
}

bool polos_request_suspend(struct polos_task *task, const char *key,
                           const Polos__V1__Suspend *suspend, polos_request_settled *settled,
                           void *context)
{
    Polos__V1__StepRequest request = POLOS__V1__STEP_REQUEST__INIT;
    request.request_case = POLOS__V1__STEP_REQUEST__REQUEST_SUSPEND;
    request.suspend = (Polos__V1__Suspend *)suspend;
    return polos_request_step(task, key, &request, settled, context);
}

bool polos_request_start(struct polos_task *task, const char *key,
                         const Polos__V1__StartRuns *start, polos_request_settled *settled,
                         void *context)
{
    Polos__V1__StepRequest request = POLOS__V1__STEP_REQUEST__INIT;
    request.request_case = POLOS__V1__STEP_REQUEST__REQUEST_START_RUNS;
    request.start_runs = (Polos__V1__StartRuns *)start;
    return polos_request_step(task, key, &request, settled, context);
}

bool polos_request_await(struct polos_task *task, const char *key,
                         const Polos__V1__AwaitEvent *awaited, polos_request_settled *settled,
                         void *context)
{
    Polos__V1__StepRequest request = POLOS__V1__STEP_REQUEST__INIT;
    request.request_case = POLOS__V1__STEP_REQUEST__REQUEST_AWAIT_EVENT;
    request.await_event = (Polos__V1__AwaitEvent *)awaited;
    return polos_request_step(task, key, &request, settled, context);
}

bool polos_request_publish(struct polos_task *task, const char *key,
                           const Polos__V1__Publish *publish, polos_request_settled *settled,
                           void *context)
{
    Polos__V1__StepRequest request = POLOS__V1__STEP_REQUEST__INIT;
    request.request_case = POLOS__V1__STEP_REQUEST__REQUEST_PUBLISH;
    request.publish = (Polos__V1__Publish *)publish;
    return polos_request_step(task, key, &request, settled, context);
}

/* ---- its end ---- */

void polos_task_forget_requests(struct polos_task *task)
{
    for (struct said *node = polos_said_pop(&task->waiting); node != NULL;
         node = polos_said_pop(&task->waiting)) {
        polos_said_free(node);
    }
}

void polos_task_answer(struct polos_task *task, const struct polos_outcome *outcome,
                       bool is_cancelled)
{
    struct said *node = polos_said_about(SAID_TASK_DONE, task, "", outcome);
    assert(task->is_held);
    task->is_done = true;
    node->is_cancelled = is_cancelled;
    polos_task_forget_requests(task);
    polos_session_say(task->session, node);
}

static void end(struct polos_task *task, const struct polos_outcome *outcome, bool is_cancelled)
{
    bool is_at_work = polos_task_is_at_work(task);
    assert(task->is_owned);
    task->is_owned = false;
    if (is_at_work) {
        polos_task_answer(task, outcome, is_cancelled);
        return;
    }
    polos_task_let_go(task);
}

void polos_task_done(struct polos_task *task, const struct polos_outcome *outcome)
{
    end(task, outcome, false);
}

void polos_task_cancelled(struct polos_task *task, const char *cause)
{
    const struct polos_outcome outcome = {.error_type = "Cancelled", .error_message = cause};
    end(task, &outcome, true);
}

/* The code is gone, the task is not over: the server gives it again. */
static void give_back(struct polos_task *task, enum said_kind kind, const char *cause)
{
    bool is_at_work = polos_task_is_at_work(task);
    assert(task->is_owned);
    assert(kind == SAID_PARK || kind == SAID_RELEASE);
    task->is_owned = false;
    if (!is_at_work) {
        polos_task_let_go(task);
        return;
    }
    struct said *node = polos_said_about(kind, task, cause, NULL);
    node->number = task->outcomes;
    polos_task_forget_requests(
        task); /* The server has them; those it lacks are still on their way. */
    polos_session_say(task->session, node);
}

void polos_task_park(struct polos_task *task)
{
    give_back(task, SAID_PARK, "");
}

void polos_task_release(struct polos_task *task, const char *cause)
{
    give_back(task, SAID_RELEASE, cause);
}

/* ---- what the server says of it ---- */

void polos_task_came(struct polos_task *task, struct said *node,
                     const Polos__V1__TaskOutcome *outcome)
{
    assert(node->kind == SAID_STEP_REQUEST && node->task == task);
    task->outcomes++;
    polos_said_settle(node, NULL, outcome);
}

void polos_task_want(struct polos_task *task)
{
    if (!polos_task_is_at_work(task) || task->is_wanted || task->yield == NULL) {
        return;
    }
    task->is_wanted = true;
    task->yield(task);
}

void polos_task_cancel(struct polos_task *task)
{
    static const struct polos_outcome cancelled = {.error_type = "Cancelled",
                                                   .error_message = "the run was cancelled"};
    if (!polos_task_is_at_work(task) || task->is_cancelling) {
        return;
    }
    task->is_cancelling = true;
    if (task->cancel != NULL) {
        task->cancel(task);
        return;
    }
    polos_task_answer(task, &cancelled, true);
    if (task->stop != NULL) {
        task->stop(task, "cancelled");
    }
}

void polos_task_stop(struct polos_task *task, const char *cause)
{
    bool tells = task->is_owned && !task->is_done && task->stop != NULL;
    assert(!task->is_held);
    if (tells) {
        task->stop(task, cause);
    }
}
