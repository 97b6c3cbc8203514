#include "clients/c/session.h"

#include <assert.h>

#include "clients/c/held.h"
#include "clients/c/memory.h"
#include "clients/c/said.h"

struct polos_session {
    const struct polos_session_events *events;
    void *context;
    char *name; /* Welcome.session; empty: none yet. */
    bool is_open; /* Welcome came on this stream. */
    bool is_drained; /* Drain was said, and holds for every session to come. */
    struct polos_held held;
    uint64_t numbered; /* The last number given out. */
    uint64_t dealt; /* The last server message dealt with. */
    uint64_t told; /* The acknowledgement the server has last been sent. */
    struct said_list unsent;
    struct said_list unacknowledged; /* Sent on this stream. */
    struct said *last; /* Given out by next(), unnumbered. */
};

/* ---- what is said ---- */

static void task_let_go(struct polos_task *task)
{
    if (!task->is_held && !task->is_owned && task->nodes == 0) {
        polos__v1__task__free_unpacked(task->message, NULL);
        free(task);
    }
}

static void node_free(struct said *node)
{
    struct polos_task *task = node == NULL ? NULL : node->task;

    free(node);
    if (task != NULL) {
        task->nodes--;
        task_let_go(task);
    }
}

static void say(struct polos_session *session, struct said *node)
{
    if (polos_said_is_numbered(node)) {
        node->seq = ++session->numbered;
    }
    polos_said_push(&session->unsent, node);
    if (session->is_open) {
        session->events->ready(session->context);
    }
}

/* Messages that are worth nothing unless they are sent at once. */
static void say_if_open(struct polos_session *session, struct said *node)
{
    if (session->is_open) {
        say(session, node);
    } else {
        node_free(node);
    }
}

bool polos_session_has_next(const struct polos_session *session)
{
    return session->is_open && session->unsent.first != NULL;
}

bool polos_session_next(struct polos_session *session, struct polos_session_message *ret)
{
    if (!polos_session_has_next(session)) {
        return false;
    }
    struct said *node = polos_said_pop(&session->unsent);

    node_free(session->last);
    session->last = NULL;
    polos_said_write(node, ret);
    ret->message.ack = session->dealt;
    session->told = session->dealt;
    if (polos_said_is_numbered(node)) {
        polos_said_push(&session->unacknowledged, node);
    } else {
        session->last = node;
    }
    return true;
}

/* ---- tasks ---- */

static void settle_step(struct said *node, const struct polos_error *error)
{
    polos_step_settled *settled = node->settled;

    node->settled = NULL;
    if (settled != NULL) {
        settled(node->context, node->task, error);
    }
}

static void void_list(struct said_list *list, struct polos_task *task, const char *cause)
{
    const struct polos_error error = {CODE_ABORTED, "TASK_STOPPED", "", cause};

    for (struct said *node = list->first; node != NULL; node = node->next) {
        if (node->task == task && !node->is_void) {
            node->is_void = true;
            settle_step(node, &error);
        }
    }
}

static void drop(struct polos_session *session, struct polos_task *task, const char *cause)
{
    if (task == NULL || !task->is_held) {
        return;
    }
    task->is_held = false;
    polos_held_remove(&session->held, task);
    task->nodes++; /* Callbacks may let go of it. */
    void_list(&session->unacknowledged, task, cause);
    void_list(&session->unsent, task, cause);
    if (task->is_owned && task->stop != NULL) {
        task->stop(task, cause);
    }
    task->nodes--;
    task_let_go(task);
}

static void answer(struct polos_task *task, const struct polos_outcome *outcome)
{
    task->is_done = true;
    say(task->session, polos_said_about(SAID_TASK_DONE, task, "", outcome));
}

bool polos_step_done(struct polos_task *task, const char *key, const struct polos_outcome *outcome,
                     polos_step_settled *settled, void *context)
{
    assert(task->is_owned);
    if (!task->is_held) {
        return false;
    }
    struct said *node = polos_said_about(SAID_STEP_DONE, task, key, outcome);

    node->number = ++task->steps;
    node->settled = settled;
    node->context = context;
    say(task->session, node);
    return true;
}

void polos_task_progress(struct polos_task *task, const char *text)
{
    assert(task->is_owned);
    if (task->is_held) {
        say_if_open(task->session, polos_said_about(SAID_DELTA, task, text, NULL));
    }
}

void polos_task_done(struct polos_task *task, const struct polos_outcome *outcome)
{
    assert(task->is_owned);
    task->is_owned = false;
    if (task->is_held) {
        answer(task, outcome);
        return;
    }
    task_let_go(task);
}

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

const Polos__V1__TaskOutcome *polos_task_settled(const struct polos_task *task, const char *key)
{
    for (size_t i = 0; i < task->message->n_steps; i++) {
        if (strcmp(task->message->steps[i]->key, key) == 0) {
            return task->message->steps[i]->outcome;
        }
    }
    return NULL;
}

/* ---- what the server says ---- */

static void acknowledge_list(struct polos_session *session, struct said_list *list, uint64_t ack)
{
    while (list->first != NULL && polos_said_is_numbered(list->first) && list->first->seq <= ack) {
        struct said *node = polos_said_pop(list);

        if (!node->is_void && node->kind == SAID_STEP_DONE) {
            settle_step(node, NULL);
        }
        /* A callback may have ended the task. */
        if (!node->is_void && node->kind == SAID_TASK_DONE && node->task->is_held) {
            node->task->is_held = false;
            polos_held_remove(&session->held, node->task);
        }
        node_free(node);
    }
}

static bool acknowledged(struct polos_session *session, uint64_t ack)
{
    if (ack > session->numbered) {
        return false;
    }
    acknowledge_list(session, &session->unacknowledged, ack);
    acknowledge_list(session, &session->unsent, ack);
    return true;
}

/* A new session: numbers start at 1; what nobody waits for is not said again. */
static void renumber(struct polos_session *session)
{
    struct said_list kept = session->unsent;

    session->unsent = (struct said_list){0};
    session->numbered = session->dealt = 0;
    for (struct said *node = polos_said_pop(&kept); node != NULL; node = polos_said_pop(&kept)) {
        if (node->is_void || node->kind == SAID_DRAIN) {
            node_free(node);
            continue;
        }
        node->seq = ++session->numbered;
        polos_said_push(&session->unsent, node);
    }
}

static bool receive_welcome(struct polos_session *session, const Polos__V1__ServerMessage *message)
{
    const Polos__V1__Welcome *welcome = message->welcome;

    if (session->is_open || (welcome->resumed && session->name[0] == '\0')) {
        return false;
    }
    free(session->name);
    session->name = memory_copy(welcome->session);
    if (welcome->resumed && !acknowledged(session, message->ack)) {
        return false;
    }
    for (size_t i = 0; i < welcome->n_lost; i++) {
        drop(session, polos_held_find(&session->held, welcome->lost[i]->task_id), "lease lost");
    }
    if (!welcome->resumed) {
        renumber(session);
    }
    session->is_open = true;
    session->told = 0;
    if (session->is_drained && !welcome->resumed) {
        polos_session_drain(session, "the host is shutting down");
    }
    session->events->welcomed(session->context, welcome);
    session->events->ready(session->context);
    return true;
}

/* What was said under the old epoch will be refused: it is said again under the new one. */
static void say_again(struct polos_session *session, struct polos_task *task)
{
    struct said *lists[] = {session->unacknowledged.first, session->unsent.first};
    uint64_t last = session->numbered;

    for (size_t i = 0; i < 2; i++) {
        for (struct said *node = lists[i]; node != NULL; node = node->next) {
            if (polos_said_is_numbered(node) && node->task == task && !node->is_void &&
                node->seq <= last) {
                node->is_void = true;
                say(session, polos_said_again(node));
                node->settled = NULL;
            }
        }
    }
}

static void receive_task(struct polos_session *session, Polos__V1__ServerMessage *message)
{
    struct polos_task *task = polos_held_find(&session->held, message->task->task_id);

    if (task != NULL) {
        if (message->task->epoch > task->epoch) {
            task->epoch = message->task->epoch;
            say_again(session, task);
        }
        return;
    }
    task = memory_zeroed(1, sizeof(*task));
    task->session = session;
    task->message = message->task;
    task->epoch = message->task->epoch;
    task->steps = (uint32_t)message->task->n_steps;
    task->is_held = task->is_owned = true;
    message->task = NULL;
    message->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE__NOT_SET;
    polos_held_add(&session->held, task);
    session->events->given(session->context, task);
}

static void receive_cancel(struct polos_session *session, const Polos__V1__CancelTask *cancel)
{
    struct polos_task *task = polos_held_find(&session->held, cancel->task_id);

    if (task != NULL && cancel->epoch >= task->epoch) {
        drop(session, task, cancel->cause);
    }
}

/* Refusals after which nothing this host says about the task counts. */
static bool is_task_gone(const char *reason)
{
    static const char *const reasons[] = {"STALE_EPOCH", "UNKNOWN_TASK", "TASK_SETTLED",
                                          "RUN_ENDED", "NOT_FOUND"};

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (strcmp(reason, reasons[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void answer_refused(struct polos_session *session, struct polos_task *task,
                           const char *message)
{
    const struct polos_outcome failed = {.error_type = "AnswerRefused", .error_message = message};

    if (task->is_answer_refused) {
        drop(session, task, message);
        return;
    }
    task->is_answer_refused = true;
    answer(task, &failed);
}

static void receive_refused(struct polos_session *session, const Polos__V1__Refused *refused)
{
    const struct polos_error error = {CODE_INVALID_ARGUMENT, refused->reason, "", refused->message};
    struct said *node = polos_said_find(&session->unacknowledged, refused->refused_seq);

    if (node == NULL || node->is_void || node->task == NULL) {
        return;
    }
    if (is_task_gone(refused->reason)) {
        drop(session, node->task, refused->message);
        return;
    }
    node->is_void = true;
    if (node->kind == SAID_STEP_DONE) {
        node->task->steps--;
        settle_step(node, &error);
    } else if (node->kind == SAID_TASK_DONE) {
        answer_refused(session, node->task, refused->message);
    }
}

static void receive_new(struct polos_session *session, Polos__V1__ServerMessage *message)
{
    if (message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK) {
        receive_task(session, message);
    } else if (message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_CANCEL) {
        receive_cancel(session, message->cancel);
    } else if (message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_DRAIN) {
        session->events->draining(session->context);
    }
}

bool polos_session_receive(struct polos_session *session, Polos__V1__ServerMessage *message)
{
    if (message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_WELCOME) {
        return receive_welcome(session, message);
    }
    if (!session->is_open || message->seq > session->dealt + 1) {
        return false;
    }
    bool is_new = message->seq == 0 || message->seq == session->dealt + 1;

    /* Before the acknowledgement, which counts the refused message as dealt with. */
    if (is_new && message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_REFUSED) {
        receive_refused(session, message->refused);
    }
    if (!acknowledged(session, message->ack)) {
        return false;
    }
    if (is_new) {
        session->dealt = message->seq == 0 ? session->dealt : message->seq;
        receive_new(session, message);
    }
    return true;
}

/* ---- the stream ---- */

struct polos_session *polos_session_new(const struct polos_session_events *events, void *context)
{
    struct polos_session *session = memory_zeroed(1, sizeof(*session));

    session->events = events;
    session->context = context;
    session->name = memory_copy("");
    return session;
}

static void forget_list(struct said_list *list)
{
    for (struct said *node = polos_said_pop(list); node != NULL; node = polos_said_pop(list)) {
        node_free(node);
    }
}

void polos_session_free(struct polos_session *session)
{
    for (size_t i = 0; i < session->held.bucket_count; i++) {
        while (session->held.buckets[i] != NULL) {
            drop(session, session->held.buckets[i], "the host is gone");
        }
    }
    node_free(session->last);
    forget_list(&session->unacknowledged);
    forget_list(&session->unsent);
    polos_held_fini(&session->held);
    free(session->name);
    free(session);
}

/* What was sent on the stream that broke comes before what was not. */
static void unsend(struct polos_session *session)
{
    struct said_list unsent = session->unsent;

    session->unsent = session->unacknowledged;
    session->unacknowledged = (struct said_list){0};
    for (struct said *node = polos_said_pop(&unsent); node != NULL;
         node = polos_said_pop(&unsent)) {
        if (polos_said_is_numbered(node)) {
            polos_said_push(&session->unsent, node);
        } else {
            node_free(node);
        }
    }
}

void polos_session_cut(struct polos_session *session)
{
    session->is_open = false;
    unsend(session);
}

void polos_session_hello(struct polos_session *session, const Polos__V1__Hello *hello,
                         void (*send)(void *context, const Polos__V1__HostMessage *message),
                         void *context)
{
    Polos__V1__HostMessage message = POLOS__V1__HOST_MESSAGE__INIT;
    Polos__V1__Hello completed = *hello;
    size_t count = session->held.count;
    Polos__V1__HeldTask *held = memory_zeroed(count, sizeof(*held));

    polos_session_cut(session);
    completed.session = session->name;
    completed.held = memory_zeroed(count, sizeof(Polos__V1__HeldTask *));
    for (size_t i = 0; i < session->held.bucket_count; i++) {
        struct polos_task *task = session->held.buckets[i];
        for (; task != NULL; task = task->next) {
            Polos__V1__HeldTask *at = &held[completed.n_held];
            polos__v1__held_task__init(at);
            at->task_id = task->message->task_id;
            at->epoch = task->epoch;
            completed.held[completed.n_held++] = at;
        }
    }
    assert(completed.n_held == count);
    message.ack = session->name[0] == '\0' ? 0 : session->dealt;
    message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_HELLO;
    message.hello = &completed;
    send(context, &message);
    free(completed.held);
    free(held);
}

bool polos_session_owes_ack(const struct polos_session *session)
{
    return session->is_open && session->told < session->dealt;
}

void polos_session_ack(struct polos_session *session)
{
    if (polos_session_owes_ack(session) && session->unsent.first == NULL) {
        say(session, polos_said_alone(SAID_ACK, ""));
    }
}

void polos_session_heartbeat(struct polos_session *session)
{
    say_if_open(session, polos_said_alone(SAID_HEARTBEAT, ""));
}

void polos_session_drain(struct polos_session *session, const char *cause)
{
    session->is_drained = true;
    say(session, polos_said_alone(SAID_DRAIN, cause));
}

bool polos_session_is_open(const struct polos_session *session)
{
    return session->is_open;
}

size_t polos_session_held(const struct polos_session *session)
{
    return session->held.count;
}

bool polos_session_is_settled(const struct polos_session *session)
{
    return session->held.count == 0 && session->unsent.first == NULL &&
           session->unacknowledged.first == NULL;
}
