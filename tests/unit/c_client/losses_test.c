/*
 * Goal: under a network that loses what it can and a server that forgets its sessions, every step
 * counts once, every step request is answered once in each life of the code, no wake-up is lost,
 * and every task ends. Method: a model of the server with eight tasks, each of which does steps and
 * step requests in turn; half of them park when they like. Losses, cuts, restarts and outcomes are
 * drawn from seeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/c/session.h"

enum {
    TASKS = 8,
    DEEDS_MAX = 9, /* Of a task: steps at even places, step requests at odd ones. */
    SENT_MAX = 4096,
    TURNS_MAX = 20000,
    SEEDS = 500,
};

enum deed {
    NOT_YET,
    ORDERED,
    SETTLED,
};

struct peer;

struct peer_task {
    struct peer *peer;
    char id[8];
    /* The server's: */
    enum deed deeds[DEEDS_MAX];
    unsigned wanted;
    unsigned steps; /* Settled. */
    bool has_ended;
    uint32_t epoch; /* 0: not given yet. */
    bool is_parked;
    /* The host's: */
    struct polos_task *task; /* NULL: nobody works on it. */
    unsigned at; /* The next deed. */
    bool is_waiting;
    bool parks; /* The others rely on being told. */
    unsigned durable;
};

/* What the server has said in this session: a task, or the outcome of one of its step requests. */
struct peer_said {
    size_t task;
    unsigned deed;
    bool is_outcome;
};

struct peer {
    struct polos_session *session;
    unsigned chance;
    unsigned sessions;
    char name[16];
    bool is_known; /* Hello named this session. */
    bool is_cut;
    uint64_t dealt;
    uint64_t told; /* Acknowledged by the host. */
    uint64_t sent;
    struct peer_said said[SENT_MAX];
    struct peer_task tasks[TASKS];
};

static const struct polos_outcome value = {.value_json = "1"};

static unsigned draw(struct peer *peer, unsigned below)
{
    peer->chance = peer->chance * 1664525u + 1013904223u;
    return (peer->chance >> 16) % below;
}

static struct peer_task *task_of(struct peer *peer, const char *id)
{
    return &peer->tasks[atoi(id)];
}

/* ---- the host's code ---- */

static void given(void *context, struct polos_task *task)
{
    struct peer *peer = context;
    struct peer_task *known = task_of(peer, polos_task_message(task)->task_id);
    assert_null(known->task);
    known->task = task;
    known->at = 0;
    known->is_waiting = false;
}

static void settled(void *context, struct polos_task *task, const struct polos_error *error)
{
    struct peer_task *known = context;
    (void)task;
    assert_null(error);
    known->durable++;
    assert_true(known->durable <= known->steps);
}

static void came(void *context, struct polos_task *task, const struct polos_error *error,
                 const Polos__V1__TaskOutcome *outcome)
{
    struct peer_task *known = context;
    assert_null(error);
    assert_ptr_equal(task, known->task);
    assert_true(known->is_waiting);
    assert_int_equal(atoi(outcome->value_json), known->at);
    assert_int_equal(known->deeds[known->at], SETTLED);
    known->is_waiting = false;
    known->at++;
}

static void do_next(struct peer_task *known)
{
    char key[8];
    snprintf(key, sizeof(key), "%u", known->at);
    if (polos_task_settled(known->task, key) != NULL) {
        known->at++;
    } else if (known->at % 2 == 0) {
        assert_true(polos_step_done(known->task, key, &value, settled, known));
        known->at++;
    } else {
        known->is_waiting = true;
        assert_true(polos_request_sleep(known->task, key, 1, came, known));
    }
}

static void work(struct peer *peer)
{
    struct peer_task *known = &peer->tasks[draw(peer, TASKS)];
    struct polos_task *task = known->task;
    if (task == NULL) {
        return;
    }
    if (known->is_waiting) {
        if (known->parks && draw(peer, 4) == 0) {
            known->task = NULL;
            polos_task_park(task);
        }
    } else if (known->at == known->wanted) {
        known->task = NULL;
        polos_task_done(task, &value);
    } else {
        do_next(known);
    }
}

/* ---- what the server says ---- */

static void deliver_envelope(struct peer *peer,
                             const Polos__V1__ToolServiceConnectResponse *envelope)
{
    size_t bytes = polos__v1__tool_service_connect_response__get_packed_size(envelope);
    uint8_t *packed = malloc(bytes + 1);
    assert_non_null(packed);
    polos__v1__tool_service_connect_response__pack(envelope, packed);
    Polos__V1__ToolServiceConnectResponse *copy =
        polos__v1__tool_service_connect_response__unpack(NULL, bytes, packed);
    assert_true(polos_session_receive(peer->session, copy));
    polos__v1__tool_service_connect_response__free_unpacked(copy, NULL);
    free(packed);
}

static void deliver(struct peer *peer, uint64_t seq, Polos__V1__ServerMessage *message)
{
    Polos__V1__ToolServiceConnectResponse envelope = POLOS__V1__TOOL_SERVICE_CONNECT_RESPONSE__INIT;
    envelope.first_seq = seq;
    envelope.ack = peer->dealt;
    envelope.n_messages = message == NULL ? 0 : 1;
    envelope.messages = &message;
    deliver_envelope(peer, &envelope);
}

static void deliver_outcome(struct peer *peer, uint64_t seq, const struct peer_said *said)
{
    Polos__V1__ServerMessage message = POLOS__V1__SERVER_MESSAGE__INIT;
    Polos__V1__StepResult body = POLOS__V1__STEP_RESULT__INIT;
    Polos__V1__SettledStep step = POLOS__V1__SETTLED_STEP__INIT;
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    char key[8];
    snprintf(key, sizeof(key), "%u", said->deed);
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = step.key = key;
    body.task_id = peer->tasks[said->task].id;
    step.outcome = &outcome;
    body.step = &step;
    message.message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_STEP_RESULT;
    message.step_result = &body;
    deliver(peer, seq, &message);
}

static void deliver_task(struct peer *peer, uint64_t seq, const struct peer_said *said)
{
    Polos__V1__ServerMessage message = POLOS__V1__SERVER_MESSAGE__INIT;
    const struct peer_task *known = &peer->tasks[said->task];
    Polos__V1__Task body = POLOS__V1__TASK__INIT;
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    Polos__V1__SettledStep steps[DEEDS_MAX];
    Polos__V1__SettledStep *pointers[DEEDS_MAX];
    char keys[DEEDS_MAX][8];
    for (unsigned i = 0; i < DEEDS_MAX; i++) {
        if (known->deeds[i] == SETTLED) {
            snprintf(keys[i], sizeof(keys[i]), "%u", i);
            polos__v1__settled_step__init(&steps[i]);
            steps[i].key = keys[i];
            steps[i].kind = i % 2 == 1 ? POLOS__V1__STEP_KIND__STEP_KIND_SLEEP
                                       : POLOS__V1__STEP_KIND__STEP_KIND_CODE;
            steps[i].outcome = &outcome;
            pointers[body.n_steps++] = &steps[i];
        }
    }
    body.task_id = (char *)known->id;
    body.epoch = known->epoch;
    body.settled_count = known->steps;
    body.steps = pointers;
    message.message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK;
    message.task = &body;
    deliver(peer, seq, &message);
}

static void deliver_said(struct peer *peer, uint64_t seq)
{
    const struct peer_said *said = &peer->said[seq - 1];
    if (said->is_outcome) {
        deliver_outcome(peer, seq, said);
    } else {
        deliver_task(peer, seq, said);
    }
}

/* Perhaps it gets lost, and all after it. */
static void say(struct peer *peer, struct peer_said said)
{
    assert_true(peer->sent < SENT_MAX);
    peer->said[peer->sent++] = said;
    peer->is_cut = peer->is_cut || draw(peer, 20) == 0;
    if (!peer->is_cut) {
        deliver_said(peer, peer->sent);
    }
}

static void give(struct peer *peer, struct peer_task *task)
{
    task->epoch++;
    task->is_parked = false;
    say(peer, (struct peer_said){.task = (size_t)(task - peer->tasks)});
}

static void answer(struct peer *peer, const struct peer_task *task, unsigned deed)
{
    size_t place = (size_t)(task - peer->tasks);
    say(peer, (struct peer_said){.task = place, .deed = deed, .is_outcome = true});
}

/* ---- what it hears: nothing under an old epoch counts ---- */

static unsigned outcomes_of(const struct peer_task *task)
{
    unsigned count = 0;
    for (unsigned i = 1; i < DEEDS_MAX; i += 2) {
        count += task->deeds[i] == SETTLED;
    }
    return count;
}

static void hear_step(struct peer *peer, const Polos__V1__StepDone *done)
{
    struct peer_task *task = task_of(peer, done->task_id);
    unsigned deed = (unsigned)atoi(done->key);
    if (done->epoch != task->epoch) {
        return;
    }
    assert_true(done->number <= task->steps + 1);
    assert_int_equal(deed, 2 * (done->number - 1));
    if (done->number > task->steps) {
        task->steps = done->number;
        task->deeds[deed] = SETTLED;
    }
}

static void hear_order(struct peer *peer, const Polos__V1__StepRequest *order)
{
    struct peer_task *task = task_of(peer, order->task_id);
    unsigned deed = (unsigned)atoi(order->key);
    if (order->epoch != task->epoch) {
        return;
    }
    assert_int_equal(order->sleep->duration->nanos, 1000000);
    assert_int_equal(task->deeds[deed - 1], SETTLED);
    if (task->deeds[deed] == SETTLED) {
        answer(peer, task, deed);
    } else {
        task->deeds[deed] = ORDERED;
    }
}

static void hear_park(struct peer *peer, const Polos__V1__Park *park)
{
    struct peer_task *task = task_of(peer, park->task_id);
    if (park->epoch != task->epoch || task->is_parked) {
        return;
    }
    assert_true(park->results_seen <= outcomes_of(task));
    if (outcomes_of(task) > park->results_seen) {
        give(peer, task);
    } else {
        task->is_parked = true;
    }
}

static void hear(struct peer *peer, uint64_t seq, const Polos__V1__HostMessage *message)
{
    if (seq <= peer->dealt) {
        return;
    }
    assert_int_equal(seq, peer->dealt + 1);
    peer->dealt = seq;
    if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE) {
        hear_step(peer, message->step_done);
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_REQUEST) {
        hear_order(peer, message->step_request);
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_PARK) {
        hear_park(peer, message->park);
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE) {
        struct peer_task *task = task_of(peer, message->task_done->task_id);
        assert_int_equal(task->steps, (task->wanted + 1) / 2);
        task->has_ended = true; /* It may be said again in a new session. */
    }
}

static void hear_all(struct peer *peer)
{
    static struct polos_session_envelope next;
    const Polos__V1__ToolServiceConnectRequest *envelope = &next.envelope;
    while (!peer->is_cut && polos_session_next(peer->session, &next)) {
        if (draw(peer, 20) == 0) {
            peer->is_cut = true; /* This one and all after it are lost. */
            return;
        }
        bool has_messages = envelope->n_messages > 0;
        assert_int_equal(envelope->first_seq != 0, has_messages);
        peer->told = envelope->ack > peer->told && has_messages ? envelope->ack : peer->told;
        for (size_t i = 0; i < envelope->n_messages; i++) {
            hear(peer, envelope->first_seq + i, envelope->messages[i]);
        }
    }
}

/* ---- the stream ---- */

static void welcomed(void *context, const Polos__V1__Welcome *welcome)
{
    (void)context;
    (void)welcome;
}

static void ready(void *context)
{
    (void)context;
}

static const struct polos_session_events events = {welcomed, given, ready, ready};

static bool is_in(const Polos__V1__Hello *hello, const struct peer_task *task)
{
    for (size_t i = 0; i < hello->n_held; i++) {
        if (strcmp(hello->held[i]->task_id, task->id) == 0 &&
            hello->held[i]->epoch == task->epoch) {
            return true;
        }
    }
    return false;
}

static void forget(struct peer *peer)
{
    snprintf(peer->name, sizeof(peer->name), "s%u", ++peer->sessions);
    peer->dealt = peer->sent = peer->told = 0;
}

/* A new session: tasks that Hello does not name are given out again. */
static void hear_hello(void *context, const Polos__V1__ToolServiceConnectRequest *message)
{
    struct peer *peer = context;
    peer->is_known = peer->sessions > 0 && strcmp(message->hello->host_token, peer->name) == 0 &&
                     draw(peer, 10) > 0;
    if (peer->is_known) {
        return;
    }
    forget(peer);
    for (size_t i = 0; i < TASKS; i++) {
        struct peer_task *task = &peer->tasks[i];
        bool is_out = task->epoch > 0 && !task->is_parked && !task->has_ended;
        if (is_out && !is_in(message->hello, task)) {
            peer->said[peer->sent++] = (struct peer_said){.task = i}; /* It never arrived. */
        }
    }
}

static void dial(struct peer *peer)
{
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
    Polos__V1__Welcome welcome = POLOS__V1__WELCOME__INIT;
    Polos__V1__ToolServiceConnectResponse envelope = POLOS__V1__TOOL_SERVICE_CONNECT_RESPONSE__INIT;
    polos_session_hello(peer->session, &hello, hear_hello, peer);
    peer->is_cut = draw(peer, 10) < 3;
    if (peer->is_cut) {
        return; /* Before Welcome arrived. */
    }
    welcome.host_token = peer->name;
    welcome.resumed = peer->is_known;
    envelope.ack = peer->dealt;
    envelope.welcome = &welcome;
    deliver_envelope(peer, &envelope);
    uint64_t sent = peer->sent;
    for (uint64_t seq = peer->told + 1; seq <= sent; seq++) {
        deliver_said(peer, seq);
    }
}

/* A step request that waits is settled: its code is told, or started again. */
static void settle_some(struct peer *peer)
{
    struct peer_task *task = &peer->tasks[draw(peer, TASKS)];
    for (unsigned i = 1; i < DEEDS_MAX; i += 2) {
        if (task->deeds[i] == ORDERED) {
            task->deeds[i] = SETTLED;
            if (task->is_parked) {
                give(peer, task);
            } else {
                answer(peer, task, i);
            }
            return;
        }
    }
}

static void turn(struct peer *peer)
{
    struct peer_task *next = &peer->tasks[draw(peer, TASKS)];
    hear_all(peer);
    if (!peer->is_cut && draw(peer, 10) < 7) {
        deliver(peer, 0, NULL);
    }
    if (!peer->is_cut && next->epoch == 0) {
        give(peer, next);
    }
    if (!peer->is_cut && draw(peer, 3) == 0) {
        settle_some(peer);
    }
    work(peer);
    if (draw(peer, 10) < 3) {
        polos_session_ack(peer->session);
    }
    peer->is_cut = peer->is_cut || draw(peer, 20) == 0;
}

static bool is_over(const struct peer *peer)
{
    bool all = polos_session_is_settled(peer->session);
    for (size_t i = 0; i < TASKS; i++) {
        all = all && peer->tasks[i].has_ended;
    }
    return all;
}

static void run_seed(unsigned seed)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    peer->chance = seed;
    peer->is_cut = true;
    peer->session = polos_session_new(&events, peer);
    for (size_t i = 0; i < TASKS; i++) {
        snprintf(peer->tasks[i].id, sizeof(peer->tasks[i].id), "%zu", i);
        peer->tasks[i].parks = i % 2 == 0;
        peer->tasks[i].wanted = draw(peer, DEEDS_MAX + 1);
    }
    for (unsigned i = 0; i < TURNS_MAX && !is_over(peer); i++) {
        if (peer->is_cut) {
            dial(peer);
        } else {
            turn(peer);
        }
    }
    assert_true(is_over(peer));
    for (size_t i = 0; i < TASKS; i++) {
        assert_int_equal(peer->tasks[i].steps, (peer->tasks[i].wanted + 1) / 2);
        assert_int_equal(peer->tasks[i].durable, peer->tasks[i].steps);
    }
    polos_session_free(peer->session);
    free(peer);
}

static void test_nothing_is_lost_or_done_twice_under_any_losses(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost_or_done_twice_under_any_losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
