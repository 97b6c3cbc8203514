#include "tests/unit/c_client/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct polos_outcome fixture_value = {.value_json = "1"};

__attribute__((format(printf, 2, 3))) static void note(char *log, const char *format, ...)
{
    size_t len = strlen(log);
    va_list args;
    va_start(args, format);
    vsnprintf(log + len, LOG_BYTES - len, format, args);
    va_end(args);
}

void fixture_expect_log(struct fixture *fixture, const char *expected)
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
        polos_task_done(task, &fixture_value);
    }
}

static void cancel(struct polos_task *task)
{
    struct fixture *fixture = polos_task_context(task);
    note(fixture->log, "cancel %s;", polos_task_message(task)->task_id);
}

static void yield(struct polos_task *task)
{
    struct fixture *fixture = polos_task_context(task);
    note(fixture->log, "yield %s;", polos_task_message(task)->task_id);
    polos_task_park(task);
}

static void given(void *context, struct polos_task *task)
{
    struct fixture *fixture = context;
    note(fixture->log, "given %s;", polos_task_message(task)->task_id);
    polos_task_set_context(task, fixture);
    polos_task_on_stop(task, stop);
    polos_task_on_cancel(task, fixture->cleans_up ? cancel : NULL);
    polos_task_on_yield(task, fixture->parks ? yield : NULL);
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

void fixture_settled(void *context, struct polos_task *task, const struct polos_error *error)
{
    struct fixture *fixture = polos_task_context(task);
    note(fixture->log, "%s %s;", error == NULL ? "durable" : error->reason, (const char *)context);
}

void fixture_came(void *context, struct polos_task *task, const struct polos_error *error,
                  const Polos__V1__TaskOutcome *outcome)
{
    struct fixture *fixture = polos_task_context(task);
    note(fixture->log, "%s %s;", error == NULL ? outcome->value_json : error->reason,
         (const char *)context);
}

static const struct polos_session_events events = {welcomed, given, ready, draining};

/* ---- what the server says ---- */

static bool receive_message(struct fixture *fixture, uint64_t seq, uint64_t ack,
                            Polos__V1__ServerMessage *message)
{
    Polos__V1__ToolServiceConnectResponse envelope = POLOS__V1__TOOL_SERVICE_CONNECT_RESPONSE__INIT;
    envelope.first_seq = seq;
    envelope.ack = ack;
    envelope.n_messages = 1;
    envelope.messages = &message;
    return polos_session_receive(fixture->session, &envelope);
}

static bool receive(struct fixture *fixture, uint64_t seq, uint64_t ack,
                    Polos__V1__ServerMessage__MessageCase message_case, void *body)
{
    Polos__V1__ServerMessage message = POLOS__V1__SERVER_MESSAGE__INIT;
    message.message_case = message_case;
    message.task = body; /* A union of pointers. */
    return receive_message(fixture, seq, ack, &message);
}

bool fixture_receive_ack(struct fixture *fixture, uint64_t ack)
{
    Polos__V1__ToolServiceConnectResponse envelope = POLOS__V1__TOOL_SERVICE_CONNECT_RESPONSE__INIT;
    envelope.ack = ack;
    return polos_session_receive(fixture->session, &envelope);
}

bool fixture_receive_welcome(struct fixture *fixture, const char *name, bool resumed, uint64_t ack,
                             const char *lost)
{
    Polos__V1__ToolServiceConnectResponse envelope = POLOS__V1__TOOL_SERVICE_CONNECT_RESPONSE__INIT;
    Polos__V1__Welcome welcome = POLOS__V1__WELCOME__INIT;
    Polos__V1__HeldTask held = POLOS__V1__HELD_TASK__INIT;
    Polos__V1__HeldTask *helds[] = {&held};
    welcome.host_token = (char *)name;
    welcome.resumed = resumed;
    held.task_id = (char *)lost;
    welcome.n_lost = lost == NULL ? 0 : 1;
    welcome.lost = helds;
    envelope.ack = ack;
    envelope.welcome = &welcome;
    return polos_session_receive(fixture->session, &envelope);
}

/* The session keeps the task it is given; the others are freed here. */
static bool receive_whole_task(struct fixture *fixture, uint64_t seq, const Polos__V1__Task *task)
{
    Polos__V1__ServerMessage message = POLOS__V1__SERVER_MESSAGE__INIT;
    uint8_t packed[512];
    message.message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK;
    message.task = polos__v1__task__unpack(NULL, polos__v1__task__pack(task, packed), packed);
    bool is_fine = receive_message(fixture, seq, fixture->ack, &message);
    if (message.message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK) {
        polos__v1__task__free_unpacked(message.task, NULL);
    }
    return is_fine;
}

/* Steps have the key "before", step requests "asked". */
bool fixture_receive_task_with(struct fixture *fixture, uint64_t seq, const char *id,
                               uint32_t epoch, size_t steps, size_t orders)
{
    Polos__V1__Task task = POLOS__V1__TASK__INIT;
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    Polos__V1__SettledStep all[2 * STEPS_MAX];
    Polos__V1__SettledStep *pointers[2 * STEPS_MAX];
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = (char *)"true";
    for (size_t i = 0; i < steps + orders; i++) {
        polos__v1__settled_step__init(&all[i]);
        all[i].kind = i >= steps ? POLOS__V1__STEP_KIND__STEP_KIND_SLEEP
                                 : POLOS__V1__STEP_KIND__STEP_KIND_CODE;
        all[i].key = (char *)(i < steps ? "before" : "asked");
        all[i].outcome = &outcome;
        pointers[i] = &all[i];
    }
    task.task_id = (char *)id;
    task.epoch = epoch;
    task.n_steps = steps + orders;
    task.steps = pointers;
    task.settled_count = (uint32_t)steps;
    task.cancelling = fixture->is_cancelling;
    return receive_whole_task(fixture, seq, &task);
}

bool fixture_receive_task(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch,
                          size_t steps)
{
    return fixture_receive_task_with(fixture, seq, id, epoch, steps, 0);
}

bool fixture_receive_outcome(struct fixture *fixture, uint64_t seq, uint64_t ack, const char *id,
                             const char *key)
{
    Polos__V1__StepResult message = POLOS__V1__STEP_RESULT__INIT;
    Polos__V1__SettledStep step = POLOS__V1__SETTLED_STEP__INIT;
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = (char *)"true";
    message.task_id = (char *)id;
    message.step = &step;
    step.key = (char *)key;
    step.outcome = &outcome;
    return receive(fixture, seq, ack, POLOS__V1__SERVER_MESSAGE__MESSAGE_STEP_RESULT, &message);
}

bool fixture_receive_more(struct fixture *fixture, uint64_t seq, const char *id, bool is_task)
{
    Polos__V1__ServerMessage message = POLOS__V1__SERVER_MESSAGE__INIT;
    Polos__V1__Task task = POLOS__V1__TASK__INIT;
    Polos__V1__StepResult result = POLOS__V1__STEP_RESULT__INIT;
    uint8_t packed[512];
    task.task_id = result.task_id = (char *)id;
    task.epoch = 1;
    task.has_more = result.has_more = true;
    if (is_task) {
        message.message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK;
        message.task = polos__v1__task__unpack(NULL, polos__v1__task__pack(&task, packed), packed);
    } else {
        message.message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_STEP_RESULT;
        message.step_result = polos__v1__step_result__unpack(
            NULL, polos__v1__step_result__pack(&result, packed), packed);
    }
    return receive_message(fixture, seq, 0, &message); /* Which takes the body. */
}

bool fixture_receive_facts(struct fixture *fixture, const char *id, uint32_t first, bool is_last)
{
    Polos__V1__ToolServiceConnectResponse envelope = POLOS__V1__TOOL_SERVICE_CONNECT_RESPONSE__INIT;
    Polos__V1__TaskFacts facts = POLOS__V1__TASK_FACTS__INIT;
    Polos__V1__SettledStep fact = POLOS__V1__SETTLED_STEP__INIT;
    Polos__V1__SettledStep *pointers[] = {&fact};
    Polos__V1__TaskOutcome outcome = POLOS__V1__TASK_OUTCOME__INIT;
    uint8_t packed[512];
    char value[8];
    snprintf(value, sizeof(value), "%u", (unsigned)first);
    outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    outcome.value_json = is_last ? (char *)"" : value;
    fact.key = (char *)"children";
    fact.outcome = &outcome;
    fact.is_child = !is_last;
    fact.child_index = 1 - first;
    fact.kind = POLOS__V1__STEP_KIND__STEP_KIND_CHILDREN;
    fact.has_children = is_last;
    facts.task_id = (char *)id;
    facts.epoch = 1;
    facts.first = first;
    facts.n_facts = 1;
    facts.facts = pointers;
    facts.is_last = is_last;
    facts.state_json = (char *)"{}";
    envelope.facts =
        polos__v1__task_facts__unpack(NULL, polos__v1__task_facts__pack(&facts, packed), packed);
    bool is_fine = polos_session_receive(fixture->session, &envelope);
    polos__v1__task_facts__free_unpacked(envelope.facts, NULL);
    return is_fine;
}

bool fixture_receive_cancel(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch)
{
    Polos__V1__CancelTask message = POLOS__V1__CANCEL_TASK__INIT;
    message.task_id = (char *)id;
    message.epoch = epoch;
    return receive(fixture, seq, 0, POLOS__V1__SERVER_MESSAGE__MESSAGE_CANCEL_TASK, &message);
}

bool fixture_receive_yield(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch)
{
    Polos__V1__YieldTask message = POLOS__V1__YIELD_TASK__INIT;
    message.task_id = (char *)id;
    message.epoch = epoch;
    return receive(fixture, seq, 0, POLOS__V1__SERVER_MESSAGE__MESSAGE_YIELD_TASK, &message);
}

bool fixture_receive_stop(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch,
                          Polos__V1__StopTask__Reason reason)
{
    Polos__V1__StopTask message = POLOS__V1__STOP_TASK__INIT;
    message.task_id = (char *)id;
    message.epoch = epoch;
    message.reason = reason;
    return receive(fixture, seq, 0, POLOS__V1__SERVER_MESSAGE__MESSAGE_STOP_TASK, &message);
}

bool fixture_receive_drain(struct fixture *fixture, uint64_t seq)
{
    Polos__V1__ServerDrain message = POLOS__V1__SERVER_DRAIN__INIT;
    return receive(fixture, seq, 0, POLOS__V1__SERVER_MESSAGE__MESSAGE_DRAIN, &message);
}

bool fixture_receive_refused(struct fixture *fixture, uint64_t seq, uint64_t refused_seq,
                             const char *reason)
{
    Polos__V1__Refused refused = POLOS__V1__REFUSED__INIT;
    refused.refused_seq = refused_seq;
    refused.reason = (char *)reason;
    refused.message = (char *)"no";
    refused.task_is_gone = strcmp(reason, "STALE_EPOCH") == 0;
    return receive(fixture, seq, refused_seq, POLOS__V1__SERVER_MESSAGE__MESSAGE_REFUSED, &refused);
}

/* ---- what the session says ---- */

static void write_message(const Polos__V1__HostMessage *message, char *log)
{
    if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE) {
        note(log, "step %s#%u e%u;", message->step_done->key, message->step_done->number,
             message->step_done->epoch);
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE) {
        const Polos__V1__TaskOutcome *outcome = message->task_done->outcome;
        bool is_error = outcome->result_case == POLOS__V1__TASK_OUTCOME__RESULT_ERROR;
        note(log, "done e%u%s;", message->task_done->epoch,
             message->task_done->cancelled ? " cancelled"
             : is_error                    ? " error"
                                           : "");
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_REQUEST) {
        note(log, "request %s(%d) e%u;", message->step_request->key,
             (int)message->step_request->request_case, message->step_request->epoch);
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_PARK) {
        note(log, "park e%u seen %u;", message->park->epoch, message->park->results_seen);
    } else if (message->message_case == POLOS__V1__HOST_MESSAGE__MESSAGE_RELEASE) {
        note(log, "release e%u %s;", message->release->epoch, message->release->cause);
    } else {
        note(log, "drain%s;", message->drain->release_all ? " all" : "");
    }
}

static void write_envelope(const Polos__V1__ToolServiceConnectRequest *envelope, char *log)
{
    for (size_t i = 0; i < envelope->n_deltas; i++) {
        note(log, "delta %s;", envelope->deltas[i]->text);
    }
    for (size_t i = 0; i < envelope->n_messages; i++) {
        note(log, "%d^%d ", (int)(envelope->first_seq + i), (int)envelope->ack);
        write_message(envelope->messages[i], log);
    }
    if (envelope->n_messages + envelope->n_deltas == 0) {
        note(log, "^%d;", (int)envelope->ack);
    }
}

void fixture_expect_said(struct fixture *fixture, const char *expected)
{
    static struct polos_session_envelope envelope;
    char said[LOG_BYTES] = "";
    while (polos_session_next(fixture->session, &envelope)) {
        write_envelope(&envelope.envelope, said);
        assert_true(protobuf_c_message_check(&envelope.envelope.base));
    }
    assert_string_equal(said, expected);
}

static void write_hello(void *context, const Polos__V1__ToolServiceConnectRequest *envelope)
{
    struct fixture *fixture = context;
    const Polos__V1__Hello *hello = envelope->hello;
    assert_true(protobuf_c_message_check(&envelope->base));
    fixture->hello[0] = '\0';
    note(fixture->hello, "%d session=%s", (int)envelope->ack, hello->host_token);
    for (size_t i = 0; i < hello->n_held; i++) {
        note(fixture->hello, " %s/%u", hello->held[i]->task_id, hello->held[i]->epoch);
    }
}

void fixture_dial(struct fixture *fixture)
{
    Polos__V1__Hello hello = POLOS__V1__HELLO__INIT;
    polos_session_hello(fixture->session, &hello, write_hello, fixture);
}

void fixture_begin(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    fixture->session = polos_session_new(&events, fixture);
}

void fixture_open(struct fixture *fixture)
{
    fixture_begin(fixture);
    fixture_dial(fixture);
    assert_true(fixture_receive_welcome(fixture, "s1", false, 0, NULL));
    fixture_expect_log(fixture, "welcome;");
}

bool fixture_step(struct fixture *fixture, const char *key)
{
    return polos_step_done(fixture->task, key, &fixture_value, fixture_settled, (void *)key);
}

bool fixture_request(struct fixture *fixture, const char *key)
{
    return polos_request_sleep(fixture->task, key, 7, fixture_came, (void *)key);
}

void fixture_close(struct fixture *fixture)
{
    fixture->holds_on = false;
    polos_session_free(fixture->session);
}
