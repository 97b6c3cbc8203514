#include "clients/c/session.h"

#include <assert.h>

#include "clients/c/memory.h"
#include "clients/c/pieces.h"
#include "clients/c/task.h"

struct polos_session {
    const struct polos_session_events *events;
    void *context;
    char *token; /* Welcome.host_token; empty: none yet. */
    bool is_open; /* Welcome came on this stream. */
    bool is_drained; /* Drain was said, and holds for every session to come. */
    struct polos_held held;
    uint64_t numbered; /* The last number given out. */
    uint64_t dealt; /* The last server message dealt with. */
    struct polos_pieces pieces; /* Of the server message dealt + 1. */
    uint64_t told; /* The acknowledgement the server has last been sent. */
    struct said_list unsent;
    struct said_list unacknowledged; /* Sent on this stream. */
    struct said_list given; /* The deltas of the last envelope that next() gave. */
    bool is_beat_due; /* An envelope is to be sent, with or without messages. */
};

/* ---- what is said ---- */

void polos_session_say(struct polos_session *session, struct said *node)
{
    assert(node->task == NULL || node->task->session == session);
    if (polos_said_is_numbered(node)) {
        node->seq = ++session->numbered;
    }
    polos_said_push(&session->unsent, node);
    if (session->is_open) {
        session->events->ready(session->context);
    }
}

void polos_session_say_if_open(struct polos_session *session, struct said *node)
{
    if (session->is_open) {
        polos_session_say(session, node);
    } else {
        polos_said_free(node);
    }
}

bool polos_session_has_next(const struct polos_session *session)
{
    return session->is_open && (session->unsent.first != NULL || session->is_beat_due);
}

static void forget_list(struct said_list *list)
{
    for (struct said *node = polos_said_pop(list); node != NULL; node = polos_said_pop(list)) {
        polos_said_free(node);
    }
}

static void begin_envelope(struct polos_session *session, struct polos_session_envelope *ret)
{
    Polos__V1__ToolServiceConnectRequest *envelope = &ret->envelope;
    forget_list(&session->given);
    polos__v1__tool_service_connect_request__init(envelope);
    envelope->messages = ret->messages;
    envelope->deltas = ret->deltas;
    envelope->ack = session->dealt;
    assert(session->told <= session->dealt);
    session->told = session->dealt;
    session->is_beat_due = false;
}

static void put_in(struct polos_session *session, struct said *node,
                   struct polos_session_envelope *ret)
{
    Polos__V1__ToolServiceConnectRequest *envelope = &ret->envelope;
    struct polos_session_message *room = &ret->rooms[envelope->n_messages + envelope->n_deltas];
    polos_said_write(node, room);
    if (!polos_said_is_numbered(node)) {
        envelope->deltas[envelope->n_deltas++] = &room->delta;
        polos_said_push(&session->given, node);
        return;
    }
    envelope->first_seq = envelope->n_messages == 0 ? node->seq : envelope->first_seq;
    assert(node->seq == envelope->first_seq + envelope->n_messages);
    envelope->messages[envelope->n_messages++] = &room->message;
    polos_said_push(&session->unacknowledged, node);
}

bool polos_session_next(struct polos_session *session, struct polos_session_envelope *ret)
{
    size_t bytes = 0;
    if (!polos_session_has_next(session)) {
        return false;
    }
    begin_envelope(session, ret);
    for (size_t i = 0; i < ENVELOPE_MESSAGES_MAX && session->unsent.first != NULL; i++) {
        bytes += session->unsent.first->bytes;
        if (i > 0 && bytes > ENVELOPE_BYTES_MAX) {
            break;
        }
        put_in(session, polos_said_pop(&session->unsent), ret);
    }
    return true;
}

/* ---- tasks ---- */

static void void_list(struct said_list *list, struct polos_task *task, const char *cause)
{
    const struct polos_error error = {CODE_ABORTED, "TASK_STOPPED", "", cause};
    for (struct said *node = list->first; node != NULL; node = node->next) {
        if (node->task == task && !node->is_void) {
            node->is_void = true;
            polos_said_settle(node, &error, NULL);
        }
    }
}

static void void_waiting(struct polos_task *task, const char *cause)
{
    const struct polos_error error = {CODE_ABORTED, "TASK_STOPPED", "", cause};
    for (struct said *node = polos_said_pop(&task->waiting); node != NULL;
         node = polos_said_pop(&task->waiting)) {
        polos_said_settle(node, &error, NULL);
        polos_said_free(node);
    }
}

static void drop(struct polos_session *session, struct polos_task *task, const char *cause)
{
    if (task == NULL || !task->is_held) {
        return;
    }
    assert(task->session == session);
    task->is_held = false;
    polos_held_remove(&session->held, task);
    task->nodes++; /* Callbacks may let go of it. */
    void_list(&session->unacknowledged, task, cause);
    void_list(&session->unsent, task, cause);
    void_waiting(task, cause);
    polos_task_stop(task, cause);
    task->nodes--;
    polos_task_let_go(task);
}

/* ---- what the server says ---- */

/* The node was taken from its list. */
static void acknowledge_node(struct polos_session *session, struct said *node)
{
    struct polos_task *task = node->task;
    bool ends_task =
        node->kind == SAID_TASK_DONE || node->kind == SAID_PARK || node->kind == SAID_RELEASE;
    assert(polos_said_is_numbered(node) && node->next == NULL);
    assert(task != NULL || node->kind == SAID_DRAIN);
    if (node->is_void) {
        polos_said_free(node);
        return;
    }
    if (node->kind == SAID_STEP_REQUEST && polos_task_is_at_work(task)) {
        polos_said_push(&task->waiting, node);
        return;
    }
    if (node->kind == SAID_STEP_DONE) {
        polos_said_settle(node, NULL, NULL);
    }
    if (ends_task && task->is_held) {
        task->is_held = false;
        polos_held_remove(&session->held, task);
    }
    polos_said_free(node);
}

static void acknowledge_list(struct polos_session *session, struct said_list *list, uint64_t ack)
{
    while (list->first != NULL && polos_said_is_numbered(list->first) && list->first->seq <= ack) {
        acknowledge_node(session, polos_said_pop(list));
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

static void number_again(struct polos_session *session, struct said *node)
{
    assert(polos_said_is_numbered(node));
    node->seq = ++session->numbered;
    polos_said_push(&session->unsent, node);
}

/* The new session is to answer, and knows of no step request yet. */
static void request_again(struct polos_session *session)
{
    for (size_t i = 0; i < session->held.bucket_count; i++) {
        for (struct polos_task *task = session->held.buckets[i]; task != NULL; task = task->next) {
            for (struct said *node = polos_said_pop(&task->waiting); node != NULL;
                 node = polos_said_pop(&task->waiting)) {
                number_again(session, node);
            }
        }
    }
}

/* A new session: numbers start at 1; what nobody waits for is not said again. */
static void renumber(struct polos_session *session)
{
    struct said_list kept = session->unsent;
    assert(session->unacknowledged.first == NULL); /* Nothing was sent on this stream. */
    session->unsent = (struct said_list){0};
    session->numbered = session->dealt = 0;
    request_again(session);
    for (struct said *node = polos_said_pop(&kept); node != NULL; node = polos_said_pop(&kept)) {
        if (node->is_void || node->kind == SAID_DRAIN) {
            polos_said_free(node);
        } else {
            number_again(session, node);
        }
    }
}

static bool receive_welcome(struct polos_session *session, const Polos__V1__Welcome *welcome,
                            uint64_t ack)
{
    if (session->is_open || (welcome->resumed && session->token[0] == '\0')) {
        return false;
    }
    free(session->token);
    session->token = memory_copy(welcome->host_token);
    if (welcome->resumed && !acknowledged(session, ack)) {
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
    struct said_list waiting = task->waiting;
    uint64_t last = session->numbered;
    for (size_t i = 0; i < 2; i++) {
        for (struct said *node = lists[i]; node != NULL; node = node->next) {
            if (polos_said_is_numbered(node) && node->task == task && !node->is_void &&
                node->seq <= last) {
                node->is_void = true;
                polos_session_say(session, polos_said_again(node));
                node->settled = NULL;
                node->came = NULL;
            }
        }
    }
    task->waiting = (struct said_list){0};
    for (struct said *node = polos_said_pop(&waiting); node != NULL;
         node = polos_said_pop(&waiting)) {
        node->epoch = task->epoch;
        polos_session_say(session, node);
    }
}

/* An outcome counts once, and only while the code is there to see it. */
static void receive_outcome(struct polos_session *session, const char *task_id, const char *key,
                            const Polos__V1__TaskOutcome *outcome)
{
    struct polos_task *task = polos_held_find(&session->held, task_id);
    if (task == NULL || !polos_task_is_at_work(task)) {
        return;
    }
    struct said *node = polos_said_find_request(&task->waiting, task, key);
    if (node != NULL) {
        polos_said_remove(&task->waiting, node);
        polos_task_came(task, node, outcome);
        polos_said_free(node);
        return;
    }
    /* It came before the step request was acknowledged. */
    node = polos_said_find_request(&session->unacknowledged, task, key);
    node = node == NULL ? polos_said_find_request(&session->unsent, task, key) : node;
    if (node != NULL) {
        node->is_void = true;
        polos_task_came(task, node, outcome);
    }
}

static void receive_outcomes(struct polos_session *session, const Polos__V1__Task *message)
{
    for (size_t i = 0; i < message->n_steps; i++) {
        if (polos_step_is_request(message->steps[i])) {
            receive_outcome(session, message->task_id, message->steps[i]->key,
                            message->steps[i]->outcome);
        }
    }
}

/* The task is at work here, and its epoch went up. */
static void receive_epoch(struct polos_session *session, struct polos_task *task,
                          const Polos__V1__Task *message)
{
    assert(message->epoch > task->epoch);
    task->epoch = message->epoch;
    say_again(session, task);
    task->nodes++; /* Callbacks may let go of it. */
    receive_outcomes(session, message);
    if (message->cancelling) {
        polos_task_cancel(task);
    }
    task->nodes--;
    polos_task_let_go(task);
}

static void receive_task(struct polos_session *session, Polos__V1__ServerMessage *message)
{
    struct polos_task *task = polos_held_find(&session->held, message->task->task_id);
    if (task != NULL && message->task->epoch <= task->epoch) {
        return;
    }
    if (task != NULL && (task->is_owned || task->is_done)) {
        receive_epoch(session, task, message->task);
        return;
    }
    drop(session, task, "parked"); /* If there is one: its Park was dealt with. */
    assert(polos_held_find(&session->held, message->task->task_id) == NULL);
    task = polos_task_new(session, message->task);
    message->task = NULL;
    message->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE__NOT_SET;
    polos_held_add(&session->held, task);
    task->nodes++;
    session->events->given(session->context, task);
    if (task->message->cancelling) {
        polos_task_cancel(task);
    }
    task->nodes--;
    polos_task_let_go(task);
}

static void receive_cancel(struct polos_session *session, const Polos__V1__CancelTask *cancel)
{
    struct polos_task *task = polos_held_find(&session->held, cancel->task_id);
    if (task == NULL || cancel->epoch < task->epoch) {
        return;
    }
    task->nodes++;
    polos_task_cancel(task);
    task->nodes--;
    polos_task_let_go(task);
}

static void receive_yield(struct polos_session *session, const Polos__V1__YieldTask *yield)
{
    struct polos_task *task = polos_held_find(&session->held, yield->task_id);
    if (task == NULL || yield->epoch < task->epoch) {
        return;
    }
    task->nodes++;
    polos_task_want(task);
    task->nodes--;
    polos_task_let_go(task);
}

static const char *cause_of(Polos__V1__StopTask__Reason reason)
{
    switch ((int)reason) {
    case POLOS__V1__STOP_TASK__REASON__REASON_RUN_ENDED:
        return "its run has ended";
    case POLOS__V1__STOP_TASK__REASON__REASON_DEADLINE:
        return "its time is up";
    case POLOS__V1__STOP_TASK__REASON__REASON_LEASE_LOST:
        return "lease lost";
    default:
        return "the server says so";
    }
}

static void receive_stop(struct polos_session *session, const Polos__V1__StopTask *stop)
{
    struct polos_task *task = polos_held_find(&session->held, stop->task_id);
    if (task != NULL && stop->epoch >= task->epoch) {
        drop(session, task, cause_of(stop->reason));
    }
}

static void answer_refused(struct polos_session *session, struct polos_task *task,
                           const char *message)
{
    const struct polos_outcome failed = {.error_type = "AnswerRefused", .error_message = message};
    assert(task->is_done);
    if (task->is_answer_refused) {
        drop(session, task, message);
        return;
    }
    task->is_answer_refused = true;
    polos_task_answer(task, &failed, false);
}

static void receive_refused(struct polos_session *session, const Polos__V1__Refused *refused)
{
    const struct polos_error error = {CODE_INVALID_ARGUMENT, refused->reason, "", refused->message};
    struct said *node = polos_said_find(&session->unacknowledged, refused->refused_seq);
    if (node == NULL || node->is_void || node->task == NULL) {
        return;
    }
    if (refused->task_is_gone) {
        drop(session, node->task, refused->message);
        return;
    }
    node->is_void = true;
    if (node->kind == SAID_TASK_DONE) {
        answer_refused(session, node->task, refused->message);
        return;
    }
    if (node->kind == SAID_PARK || node->kind == SAID_RELEASE) {
        drop(session, node->task, refused->message);
        return;
    }
    node->task->steps -= node->kind == SAID_STEP_DONE;
    polos_said_settle(node, &error, NULL);
}

static void receive_new(struct polos_session *session, Polos__V1__ServerMessage *message)
{
    switch ((int)message->message_case) {
    case POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK:
        receive_task(session, message);
        break;
    case POLOS__V1__SERVER_MESSAGE__MESSAGE_CANCEL_TASK:
        receive_cancel(session, message->cancel_task);
        break;
    case POLOS__V1__SERVER_MESSAGE__MESSAGE_YIELD_TASK:
        receive_yield(session, message->yield_task);
        break;
    case POLOS__V1__SERVER_MESSAGE__MESSAGE_STOP_TASK:
        receive_stop(session, message->stop_task);
        break;
    case POLOS__V1__SERVER_MESSAGE__MESSAGE_STEP_RESULT:
        receive_outcome(session, message->step_result->task_id, message->step_result->step->key,
                        message->step_result->step->outcome);
        break;
    case POLOS__V1__SERVER_MESSAGE__MESSAGE_DRAIN:
        session->events->draining(session->context);
        break;
    default: /* A refusal was dealt with before. */
        break;
    }
}

static bool has_more(const Polos__V1__ServerMessage *message)
{
    return message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK
               ? message->task->has_more
               : message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_STEP_RESULT &&
                     message->step_result->has_more;
}

/* The number of the last message that came, if not all of it. */
static uint64_t came(const struct polos_session *session)
{
    return session->dealt + (session->pieces.message != NULL);
}

/* False: there is a gap. */
static bool receive_numbered(struct polos_session *session, uint64_t seq,
                             Polos__V1__ServerMessage *message)
{
    if (seq <= came(session)) {
        return seq > 0;
    }
    if (seq != came(session) + 1) {
        return false;
    }
    polos_pieces_drop(&session->pieces); /* When another comes, they don't come any more. */
    session->dealt = seq;
    if (has_more(message)) {
        session->dealt--; /* Until its last piece is there. */
        polos_pieces_begin(&session->pieces, seq, message);
        return true;
    }
    receive_new(session, message);
    return true;
}

static bool receive_facts(struct polos_session *session, Polos__V1__TaskFacts *facts)
{
    bool is_awaited = session->pieces.message != NULL;
    if (!polos_pieces_take(&session->pieces, facts)) {
        return false;
    }
    if (!is_awaited || !facts->is_last) {
        return true;
    }
    bool is_task = session->pieces.message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK;
    session->dealt = session->pieces.seq;
    Polos__V1__ServerMessage *whole = polos_pieces_end(&session->pieces, facts);
    if (is_task) {
        receive_task(session, whole);
    } else {
        receive_outcomes(session, whole->task);
    }
    polos__v1__server_message__free_unpacked(whole, NULL);
    return true;
}

/* Before the acknowledgement, which counts the refused messages as dealt with. */
static void receive_refusals(struct polos_session *session,
                             const Polos__V1__ToolServiceConnectResponse *envelope)
{
    for (size_t i = 0; i < envelope->n_messages; i++) {
        const Polos__V1__ServerMessage *message = envelope->messages[i];
        if (message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_REFUSED &&
            envelope->first_seq + i > came(session)) {
            receive_refused(session, message->refused);
        }
    }
}

bool polos_session_receive(struct polos_session *session,
                           Polos__V1__ToolServiceConnectResponse *envelope)
{
    if (envelope->welcome != NULL && !receive_welcome(session, envelope->welcome, envelope->ack)) {
        return false;
    }
    if (!session->is_open) {
        return false;
    }
    receive_refusals(session, envelope);
    if (!acknowledged(session, envelope->ack)) {
        return false;
    }
    for (size_t i = 0; i < envelope->n_messages; i++) {
        if (!receive_numbered(session, envelope->first_seq + i, envelope->messages[i])) {
            return false;
        }
    }
    return envelope->facts == NULL || receive_facts(session, envelope->facts);
}

/* ---- the stream ---- */

struct polos_session *polos_session_new(const struct polos_session_events *events, void *context)
{
    struct polos_session *session = memory_zeroed(1, sizeof(*session));
    assert(events->welcomed != NULL && events->given != NULL);
    assert(events->ready != NULL && events->draining != NULL);
    session->events = events;
    session->context = context;
    session->token = memory_copy("");
    return session;
}

void polos_session_free(struct polos_session *session)
{
    for (size_t i = 0; i < session->held.bucket_count; i++) {
        while (session->held.buckets[i] != NULL) {
            drop(session, session->held.buckets[i], "the host is gone");
        }
    }
    assert(session->held.count == 0);
    forget_list(&session->given);
    forget_list(&session->unacknowledged);
    forget_list(&session->unsent);
    polos_pieces_drop(&session->pieces);
    polos_held_fini(&session->held);
    free(session->token);
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
            polos_said_free(node);
        }
    }
}

void polos_session_cut(struct polos_session *session)
{
    session->is_open = false;
    session->is_beat_due = false;
    polos_pieces_drop(&session->pieces);
    unsend(session);
    assert(session->unacknowledged.first == NULL);
}

void polos_session_hello(struct polos_session *session, const Polos__V1__Hello *hello,
                         void (*send)(void *context,
                                      const Polos__V1__ToolServiceConnectRequest *envelope),
                         void *context)
{
    Polos__V1__ToolServiceConnectRequest envelope = POLOS__V1__TOOL_SERVICE_CONNECT_REQUEST__INIT;
    Polos__V1__Hello completed = *hello;
    size_t count = session->held.count;
    Polos__V1__HeldTask *held = memory_zeroed(count, sizeof(*held));
    polos_session_cut(session);
    completed.protocol = POLOS_PROTOCOL;
    completed.host_token = session->token;
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
    envelope.ack = session->token[0] == '\0' ? 0 : session->dealt;
    envelope.hello = &completed;
    send(context, &envelope);
    free(completed.held);
    free(held);
}

bool polos_session_owes_ack(const struct polos_session *session)
{
    return session->is_open && session->told < session->dealt;
}

static void beat(struct polos_session *session)
{
    session->is_beat_due = true;
    if (session->is_open) {
        session->events->ready(session->context);
    }
}

void polos_session_ack(struct polos_session *session)
{
    if (polos_session_owes_ack(session)) {
        beat(session);
    }
}

void polos_session_heartbeat(struct polos_session *session)
{
    if (session->is_open) {
        beat(session);
    }
}

void polos_session_drain(struct polos_session *session, const char *cause)
{
    session->is_drained = true;
    polos_session_say(session, polos_said_alone(SAID_DRAIN, cause));
}

void polos_session_release_all(struct polos_session *session, const char *cause)
{
    struct said *node = polos_said_alone(SAID_DRAIN, cause);
    node->releases_all = true;
    session->is_drained = true;
    for (size_t i = 0; i < session->held.bucket_count; i++) {
        while (session->held.buckets[i] != NULL) {
            drop(session, session->held.buckets[i], cause);
        }
    }
    assert(session->held.count == 0);
    polos_session_say(session, node);
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
