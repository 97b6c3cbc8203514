/*
 * Goal: the host protocol of the C client keeps its promises message by message, and under a
 * network that loses what it can.
 * Method: server messages are made by hand and given to the session; what it calls back and what
 * it wants to send is written down as text and compared. Then the same against a model of the
 * server, with losses, cuts and a server that forgets, drawn from seeds.
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
    LOG_BYTES = 4096,
    TASKS = 8,
    STEPS_MAX = 5,
};

struct fixture {
    struct polos_session *session;
    char log[LOG_BYTES]; /* What was called back since it was last looked at. */
    char hello[LOG_BYTES];
    struct polos_task *task; /* The last one given. */
    bool holds_on; /* The owner does not end tasks that were stopped. */
};

static const struct polos_outcome value = {.value_json = "1"};

__attribute__((format(printf, 2, 3))) static void note(char *log, const char *format, ...)
{
    size_t len = strlen(log);
    va_list args;

    va_start(args, format);
    vsnprintf(log + len, LOG_BYTES - len, format, args);
    va_end(args);
}

static void expect_log(struct fixture *fixture, const char *expected)
{
    assert_string_equal(fixture->log, expected);
    fixture->log[0] = '\0';
}

/* ---- what the session calls ---- */

static void welcomed(void *context, const Polos__V1__Welcome *welcome)
{
    struct fixture *fixture = context;

    note(fixture->log, "welcome%s;", welcome->resumed ? " back" : "");
}

static void stop(struct polos_task *task, const char *cause)
{
    struct fixture *fixture = polos_task_context(task);

    note(fixture->log, "stop %s %s;", polos_task_message(task)->task_id, cause);
    if (!fixture->holds_on) {
        polos_task_done(task, &value);
    }
}

static void given(void *context, struct polos_task *task)
{
    struct fixture *fixture = context;

    note(fixture->log, "given %s;", polos_task_message(task)->task_id);
    polos_task_set_context(task, fixture);
    polos_task_on_stop(task, stop);
    fixture->task = task;
}

static void ready(void *context)
{
    (void)context;
}

static void draining(void *context)
{
    struct fixture *fixture = context;

    note(fixture->log, "draining;");
}

static void settled(void *context, struct polos_task *task, const struct polos_error *error)
{
    struct fixture *fixture = polos_task_context(task);

    note(fixture->log, "%s %s;", error == NULL ? "durable" : error->reason, (const char *)context);
}

static const struct polos_session_events events = {welcomed, given, ready, draining};

/* ---- what the server says ---- */

static bool receive(struct fixture *fixture, uint64_t seq, uint64_t ack,
                    Polos__V1__ServerMessage__MessageCase message_case, void *body)
{
    Polos__V1__ServerMessage message = POLOS__V1__SERVER_MESSAGE__INIT;

    message.seq = seq;
    message.ack = ack;
    message.message_case = message_case;
    message.welcome = body; /* A union of pointers. */
    return polos_session_receive(fixture->session, &message);
}

static bool receive_ack(struct fixture *fixture, uint64_t ack)
{
    return receive(fixture, 0, ack, POLOS__V1__SERVER_MESSAGE__MESSAGE__NOT_SET, NULL);
}

static bool receive_welcome(struct fixture *fixture, const char *name, bool resumed, uint64_t ack,
                            const char *lost)
{
    Polos__V1__Welcome welcome = POLOS__V1__WELCOME__INIT;
    Polos__V1__HeldTask held = POLOS__V1__HELD_TASK__INIT;
    Polos__V1__HeldTask *helds[] = {&held};

    welcome.session = (char *)name;
    welcome.resumed = resumed;
    held.task_id = (char *)lost;
    welcome.n_lost = lost == NULL ? 0 : 1;
    welcome.lost = helds;
    return receive(fixture, 0, ack, POLOS__V1__SERVER_MESSAGE__MESSAGE_WELCOME, &welcome);
}

/* The session keeps the task it is given; the others are freed here. */
static bool receive_task(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch,
                         size_t steps)
{
    Polos__V1__Task task = POLOS__V1__TASK__INIT;
    Polos__V1__SettledStep step = POLOS__V1__SETTLED_STEP__INIT;
    Polos__V1__SettledStep *all[STEPS_MAX];
    uint8_t packed[512];
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;

    step.key = (char *)"before";
    step.outcome = &outcome;
    for (size_t i = 0; i < steps; i++) {
        all[i] = &step;
    }
    task.task_id = (char *)id;
    task.epoch = epoch;
    task.n_steps = steps;
    task.steps = all;
    Polos__V1__ServerMessage message = POLOS__V1__SERVER_MESSAGE__INIT;
    message.seq = seq;
    message.message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK;
    message.task = polos__v1__task__unpack(NULL, polos__v1__task__pack(&task, packed), packed);
    bool is_fine = polos_session_receive(fixture->session, &message);
    if (message.message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK) {
        polos__v1__task__free_unpacked(message.task, NULL);
    }
    return is_fine;
}

static bool receive_cancel(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch)
{
    Polos__V1__CancelTask cancel = POLOS__V1__CANCEL_TASK__INIT;

    cancel.task_id = (char *)id;
    cancel.epoch = epoch;
    cancel.cause = (char *)"cancelled";
    return receive(fixture, seq, 0, POLOS__V1__SERVER_MESSAGE__MESSAGE_CANCEL, &cancel);
}

static bool receive_refused(struct fixture *fixture, uint64_t seq, uint64_t refused_seq,
                            const char *reason)
{
    Polos__V1__Refused refused = POLOS__V1__REFUSED__INIT;

    refused.refused_seq = refused_seq;
    refused.reason = (char *)reason;
    refused.message = (char *)"no";
    return receive(fixture, seq, refused_seq, POLOS__V1__SERVER_MESSAGE__MESSAGE_REFUSED, &refused);
}

/* ---- what the session says ---- */

static void write_message(const Polos__V1__HostMessage *message, char *log)
{
    note(log, "%d^%d ", (int)message->seq, (int)message->ack);
    if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE) {
        note(log, "step %s#%u e%u;", message->step_done->key, message->step_done->number,
             message->step_done->epoch);
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE) {
        const Polos__V1__TaskOutcome *outcome = message->task_done->outcome;
        bool is_error = outcome->result_case == POLOS__V1__TASK_OUTCOME__RESULT_ERROR;
        note(log, "done e%u%s;", message->task_done->epoch, is_error ? " error" : "");
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_DELTA) {
        note(log, "delta %s;", message->delta->text);
    } else {
        note(log, "(%d);", (int)message->message_case);
    }
}

static void expect_said(struct fixture *fixture, const char *expected)
{
    struct polos_session_message message;
    char said[LOG_BYTES] = "";

    while (polos_session_next(fixture->session, &message)) {
        write_message(&message.message, said);
    }
    assert_string_equal(said, expected);
}

static void write_hello(void *context, const Polos__V1__HostMessage *message)
{
    struct fixture *fixture = context;
    const Polos__V1__Hello *hello = message->hello;

    fixture->hello[0] = '\0';
    note(fixture->hello, "%d session=%s", (int)message->ack, hello->session);
    for (size_t i = 0; i < hello->n_held; i++) {
        note(fixture->hello, " %s/%u", hello->held[i]->task_id, hello->held[i]->epoch);
    }
}

static void dial(struct fixture *fixture)
{
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;

    polos_session_hello(fixture->session, &hello, write_hello, fixture);
}

static void begin(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    fixture->session = polos_session_new(&events, fixture);
}

static void open_session(struct fixture *fixture)
{
    begin(fixture);
    dial(fixture);
    assert_true(receive_welcome(fixture, "s1", false, 0, NULL));
    expect_log(fixture, "welcome;");
}

static bool step(struct fixture *fixture, const char *key)
{
    return polos_step_done(fixture->task, key, &value, settled, (void *)key);
}

static void close_session(struct fixture *fixture)
{
    fixture->holds_on = false;
    polos_session_free(fixture->session);
}

/* ---- the cases ---- */

static void test_nothing_is_said_before_welcome(void **state)
{
    struct fixture fixture;

    (void)state;
    begin(&fixture);
    dial(&fixture);
    polos_session_heartbeat(fixture.session);
    expect_said(&fixture, "");
    assert_string_equal(fixture.hello, "0 session=");
    assert_false(receive_task(&fixture, 1, "r.1", 1, 0));
    close_session(&fixture);
}

static void test_a_task_goes_from_given_to_durable(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(step(&fixture, "a"));
    polos_task_progress(fixture.task, "half");
    polos_task_done(fixture.task, &value);
    expect_said(&fixture, "1^1 step a#1 e1;0^1 delta half;2^1 done e1;");
    assert_int_equal(polos_session_held(fixture.session), 1);
    assert_true(receive_ack(&fixture, 1));
    expect_log(&fixture, "given r.1;durable a;");
    assert_true(receive_ack(&fixture, 2));
    assert_int_equal(polos_session_held(fixture.session), 0);
    assert_true(polos_session_is_settled(fixture.session));
    close_session(&fixture);
}

static void test_steps_count_on_from_those_that_came(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 3));
    assert_non_null(polos_task_settled(fixture.task, "before"));
    assert_null(polos_task_settled(fixture.task, "d"));
    assert_true(step(&fixture, "d"));
    expect_said(&fixture, "1^1 step d#4 e1;");
    polos_task_done(fixture.task, &value);
    close_session(&fixture);
}

static void test_repetitions_are_passed_over_and_gaps_are_errors(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    expect_log(&fixture, "given r.1;");
    assert_false(receive_task(&fixture, 3, "r.2", 1, 0));
    assert_false(receive_ack(&fixture, 1));
    polos_task_done(fixture.task, &value);
    close_session(&fixture);
}

static void test_an_acknowledgement_is_owed_once(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(polos_session_owes_ack(fixture.session));
    polos_session_ack(fixture.session);
    expect_said(&fixture, "0^1 (0);");
    assert_false(polos_session_owes_ack(fixture.session));
    polos_task_done(fixture.task, &value);
    close_session(&fixture);
}

static void test_resume_says_again_what_was_not_acknowledged(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(step(&fixture, "a"));
    assert_true(step(&fixture, "b"));
    expect_said(&fixture, "1^1 step a#1 e1;2^1 step b#2 e1;");
    dial(&fixture);
    assert_string_equal(fixture.hello, "1 session=s1 r.1/1");
    polos_task_done(fixture.task, &value);
    expect_said(&fixture, "");
    assert_true(receive_welcome(&fixture, "s1", true, 1, NULL));
    expect_log(&fixture, "given r.1;durable a;welcome back;");
    expect_said(&fixture, "2^1 step b#2 e1;3^1 done e1;");
    close_session(&fixture);
}

static void test_a_new_session_renumbers(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(step(&fixture, "a"));
    expect_said(&fixture, "1^1 step a#1 e1;");
    assert_true(receive_ack(&fixture, 1));
    assert_true(step(&fixture, "b"));
    polos_task_done(fixture.task, &value);
    dial(&fixture);
    assert_true(receive_welcome(&fixture, "s2", false, 0, NULL));
    expect_said(&fixture, "1^0 step b#2 e1;2^0 done e1;");
    assert_true(receive_task(&fixture, 1, "r.2", 1, 0));
    assert_true(receive_ack(&fixture, 2));
    expect_log(&fixture, "given r.1;durable a;welcome;given r.2;durable b;");
    polos_task_done(fixture.task, &value);
    close_session(&fixture);
}

static void test_a_lost_task_is_stopped(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(step(&fixture, "a"));
    dial(&fixture);
    fixture.holds_on = true;
    assert_true(receive_welcome(&fixture, "s2", false, 0, "r.1"));
    expect_log(&fixture, "given r.1;TASK_STOPPED a;stop r.1 lease lost;welcome;");
    expect_said(&fixture, "");
    assert_false(step(&fixture, "b"));
    polos_task_progress(fixture.task, "nobody listens");
    polos_task_done(fixture.task, &value);
    expect_said(&fixture, "");
    close_session(&fixture);
}

static void test_a_cancelled_task_is_stopped_once(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 2, 0));
    assert_true(receive_cancel(&fixture, 2, "r.1", 1));
    expect_log(&fixture, "given r.1;");
    assert_true(receive_cancel(&fixture, 3, "r.1", 2));
    assert_true(receive_cancel(&fixture, 4, "r.1", 2));
    expect_log(&fixture, "stop r.1 cancelled;");
    close_session(&fixture);
}

static void test_a_higher_epoch_takes_over_the_work(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(step(&fixture, "a"));
    expect_said(&fixture, "1^1 step a#1 e1;");
    assert_true(receive_task(&fixture, 2, "r.1", 2, 0));
    expect_said(&fixture, "2^2 step a#1 e2;");
    assert_true(receive_ack(&fixture, 1));
    expect_log(&fixture, "given r.1;");
    assert_true(receive_ack(&fixture, 2));
    expect_log(&fixture, "durable a;");
    polos_task_done(fixture.task, &value);
    expect_said(&fixture, "3^2 done e2;");
    close_session(&fixture);
}

static void test_a_refused_step_gives_its_number_back(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(step(&fixture, "a"));
    expect_said(&fixture, "1^1 step a#1 e1;");
    assert_true(receive_refused(&fixture, 2, 1, "INVALID_FIELD"));
    expect_log(&fixture, "given r.1;INVALID_FIELD a;");
    assert_true(step(&fixture, "b"));
    expect_said(&fixture, "2^2 step b#1 e1;");
    polos_task_done(fixture.task, &value);
    close_session(&fixture);
}

static void test_a_refused_answer_becomes_an_error(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    polos_task_done(fixture.task, &value);
    expect_said(&fixture, "1^1 done e1;");
    assert_true(receive_refused(&fixture, 2, 1, "INVALID_FIELD"));
    expect_said(&fixture, "2^2 done e1 error;");
    assert_true(receive_refused(&fixture, 3, 2, "INVALID_FIELD"));
    expect_said(&fixture, "");
    assert_int_equal(polos_session_held(fixture.session), 0);
    close_session(&fixture);
}

static void test_a_stale_answer_ends_the_task(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    assert_true(receive_task(&fixture, 1, "r.1", 1, 0));
    assert_true(step(&fixture, "a"));
    expect_said(&fixture, "1^1 step a#1 e1;");
    assert_true(receive_refused(&fixture, 2, 1, "STALE_EPOCH"));
    expect_log(&fixture, "given r.1;TASK_STOPPED a;stop r.1 no;");
    assert_int_equal(polos_session_held(fixture.session), 0);
    close_session(&fixture);
}

static void test_a_drain_is_said_once_in_every_session(void **state)
{
    struct fixture fixture;

    (void)state;
    open_session(&fixture);
    polos_session_drain(fixture.session, "over");
    expect_said(&fixture, "1^0 (9);");
    dial(&fixture);
    assert_true(receive_welcome(&fixture, "s2", false, 0, NULL));
    expect_said(&fixture, "1^0 (9);");
    assert_false(polos_session_is_settled(fixture.session));
    assert_true(receive_ack(&fixture, 1));
    dial(&fixture);
    assert_true(receive_welcome(&fixture, "s3", false, 0, NULL));
    expect_said(&fixture, "1^0 (9);");
    close_session(&fixture);
}

/* ---- under losses ---- */

struct peer_task {
    char id[8];
    unsigned settled; /* The server's. */
    unsigned ended;
    unsigned wanted; /* Steps. */
    unsigned done; /* The host's. */
    unsigned durable;
    struct polos_task *task; /* NULL: not given yet, or answered. */
};

struct peer {
    struct fixture fixture; /* First: tasks find it by their context. */
    unsigned chance;
    unsigned sessions;
    char name[16];
    uint64_t dealt;
    uint64_t sent; /* Tasks are the only numbered messages: the n-th is about the n-th given. */
    uint64_t told; /* Acknowledged by the host. */
    size_t order[TASKS]; /* By number in this session. */
    size_t given;
    struct peer_task tasks[TASKS];
};

static unsigned draw(struct peer *peer, unsigned below)
{
    peer->chance = peer->chance * 1664525u + 1013904223u;
    return (peer->chance >> 16) % below;
}

static struct peer_task *peer_task_of(struct peer *peer, const char *id)
{
    return &peer->tasks[atoi(id)];
}

static void peer_given(void *context, struct polos_task *task)
{
    struct peer *peer = context;
    struct peer_task *known = peer_task_of(peer, polos_task_message(task)->task_id);

    assert_int_equal(known->done, 0);
    assert_null(known->task);
    known->task = task;
}

static void peer_settled(void *context, struct polos_task *task, const struct polos_error *error)
{
    struct peer_task *known = context;

    (void)task;
    assert_null(error);
    known->durable++;
    assert_true(known->durable <= known->settled);
}

static void peer_forget(struct peer *peer)
{
    snprintf(peer->name, sizeof(peer->name), "s%u", ++peer->sessions);
    peer->dealt = peer->sent = peer->told = 0;
}

static void peer_receive(struct peer *peer, const Polos__V1__HostMessage *message)
{
    if (message->seq == 0 || message->seq <= peer->dealt) {
        return;
    }
    assert_int_equal(message->seq, peer->dealt + 1);
    peer->dealt = message->seq;
    peer->told = message->ack > peer->told ? message->ack : peer->told;
    if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE) {
        const Polos__V1__StepDone *done = message->step_done;
        struct peer_task *task = peer_task_of(peer, done->task_id);
        assert_true(done->number <= task->settled + 1);
        assert_int_equal(atoi(done->key), done->number);
        task->settled = done->number > task->settled ? done->number : task->settled;
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE) {
        struct peer_task *task = peer_task_of(peer, message->task_done->task_id);
        assert_int_equal(task->settled, task->wanted);
        task->ended++;
    }
}

/* True: the stream stands. */
static bool peer_dial(struct peer *peer)
{
    bool resumed = peer->sessions > 0 && draw(peer, 10) > 0;

    dial(&peer->fixture);
    if (!resumed || strstr(peer->fixture.hello, peer->name) == NULL) {
        resumed = false;
        peer_forget(peer);
    }
    if (draw(peer, 10) < 3) {
        return false; /* Cut before Welcome arrived. */
    }
    assert_true(receive_welcome(&peer->fixture, peer->name, resumed, peer->dealt, NULL));
    for (uint64_t seq = resumed ? peer->told + 1 : 1; seq <= peer->sent; seq++) {
        assert_true(receive_task(&peer->fixture, seq, peer->tasks[peer->order[seq - 1]].id, 1, 0));
    }
    return true;
}

static bool peer_hear(struct peer *peer)
{
    struct polos_session_message message;

    while (polos_session_next(peer->fixture.session, &message)) {
        if (draw(peer, 20) == 0) {
            return false; /* This one and all after it are lost. */
        }
        peer_receive(peer, &message.message);
    }
    return true;
}

static void peer_work(struct peer *peer)
{
    struct peer_task *task = &peer->tasks[draw(peer, TASKS)];
    char key[8];

    if (task->task == NULL) {
        return;
    }
    if (task->done == task->wanted) {
        polos_task_done(task->task, &value);
        task->task = NULL;
        return;
    }
    snprintf(key, sizeof(key), "%u", ++task->done);
    assert_true(polos_step_done(task->task, key, &value, peer_settled, task));
}

static bool peer_turn(struct peer *peer)
{
    if (!peer_hear(peer)) {
        return false;
    }
    if (draw(peer, 20) == 0) {
        return false;
    }
    if (draw(peer, 10) < 7) {
        assert_true(receive_ack(&peer->fixture, peer->dealt));
    }
    if (peer->given < TASKS && draw(peer, 10) < 3) {
        struct peer_task *task = &peer->tasks[peer->given];
        peer->order[peer->sent++] = peer->given++;
        assert_true(receive_task(&peer->fixture, peer->sent, task->id, 1, 0));
    }
    peer_work(peer);
    if (draw(peer, 10) < 3) {
        polos_session_ack(peer->fixture.session);
    }
    return true;
}

static bool peer_is_over(const struct peer *peer)
{
    bool is_over = peer->given == TASKS && polos_session_is_settled(peer->fixture.session);

    for (size_t i = 0; i < TASKS; i++) {
        is_over = is_over && peer->tasks[i].ended > 0;
    }
    return is_over;
}

static void run_seed(unsigned seed)
{
    static const struct polos_session_events peer_events = {welcomed, peer_given, ready, draining};
    struct peer peer = {.chance = seed};
    bool is_up = false;

    peer.fixture.session = polos_session_new(&peer_events, &peer);
    for (size_t i = 0; i < TASKS; i++) {
        snprintf(peer.tasks[i].id, sizeof(peer.tasks[i].id), "%zu", i);
        peer.tasks[i].wanted = draw(&peer, STEPS_MAX);
    }
    for (unsigned turn = 0; turn < 5000 && !peer_is_over(&peer); turn++) {
        is_up = is_up ? peer_turn(&peer) : peer_dial(&peer);
        peer.fixture.log[0] = '\0';
    }
    assert_true(peer_is_over(&peer));
    for (size_t i = 0; i < TASKS; i++) {
        assert_int_equal(peer.tasks[i].settled, peer.tasks[i].wanted);
        assert_int_equal(peer.tasks[i].durable, peer.tasks[i].wanted);
    }
    polos_session_free(peer.fixture.session);
}

static void test_every_step_counts_once_under_any_losses(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 500; seed++) {
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_said_before_welcome),
        cmocka_unit_test(test_a_task_goes_from_given_to_durable),
        cmocka_unit_test(test_steps_count_on_from_those_that_came),
        cmocka_unit_test(test_repetitions_are_passed_over_and_gaps_are_errors),
        cmocka_unit_test(test_an_acknowledgement_is_owed_once),
        cmocka_unit_test(test_resume_says_again_what_was_not_acknowledged),
        cmocka_unit_test(test_a_new_session_renumbers),
        cmocka_unit_test(test_a_lost_task_is_stopped),
        cmocka_unit_test(test_a_cancelled_task_is_stopped_once),
        cmocka_unit_test(test_a_higher_epoch_takes_over_the_work),
        cmocka_unit_test(test_a_refused_step_gives_its_number_back),
        cmocka_unit_test(test_a_refused_answer_becomes_an_error),
        cmocka_unit_test(test_a_stale_answer_ends_the_task),
        cmocka_unit_test(test_a_drain_is_said_once_in_every_session),
        cmocka_unit_test(test_every_step_counts_once_under_any_losses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
