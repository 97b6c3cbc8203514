/*
 * Goal:   what the server says to hosts means on the wire what it means in service/hosts, and what
 *         is said together fits together. Method: messages made by hand are packed, and read again
 *         as a client would.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "service/api/api.h"
#include "service/api/envelope.h"
#include "service/api/host_wire.h"
#include "service/api/options.h"
#include "service/partition/request.h"

static const char task_id[] = "01020304-0506-7708-890a-0b0c0d0e0f10.7";

/* Of this length; used up by the next call. */
static char *long_text(size_t len, char filler)
{
    static char text[OPTIONS_STATE_BYTES_MAX + 2];
    assert_true(len < sizeof(text));
    memset(text, filler, len);
    text[len] = '\0';
    return text;
}

static Polos__V1__ToolServiceConnectResponse *sent(struct envelope *envelope)
{
    struct payload *payload = envelope_take(envelope);
    str bytes = payload_bytes(payload);
    Polos__V1__ToolServiceConnectResponse *ret = polos__v1__tool_service_connect_response__unpack(
        NULL, bytes.len, (const uint8_t *)bytes.ptr);
    assert_non_null(ret);
    payload_unref(payload);
    envelope_fini(envelope);
    return ret;
}

static bool put(struct envelope *envelope, const struct server_message *message)
{
    struct payload *payload = host_wire_pack(message);
    bool is_added = envelope_add(envelope, payload);
    payload_unref(payload);
    return is_added;
}

/* In an envelope of its own; the message when it is numbered. */
static Polos__V1__ToolServiceConnectResponse *packed(const struct server_message *message,
                                                     Polos__V1__ServerMessage **ret)
{
    struct envelope envelope = {0};
    assert_true(put(&envelope, message));
    Polos__V1__ToolServiceConnectResponse *got = sent(&envelope);
    assert_int_equal(got->first_seq, message->seq);
    assert_int_equal(got->ack, message->ack);
    assert_int_equal(got->n_messages, message->seq == 0 ? 0 : 1);
    *ret = got->n_messages == 0 ? NULL : got->messages[0];
    return got;
}

static void release(Polos__V1__ToolServiceConnectResponse *envelope)
{
    polos__v1__tool_service_connect_response__free_unpacked(envelope, NULL);
}

static struct server_message numbered(uint64_t seq, uint64_t ack, uint64_t settled,
                                      enum server_message_kind kind)
{
    return (struct server_message){
        .seq = seq,
        .ack = ack,
        .settled = settled,
        .kind = kind,
        .cancelled = {.epoch = 1},
        .outcome = {.key = STR("k"), .kind = SETTLED_SLEEP, .outcome = {.value = STR("1")}},
    };
}

static void messages_go_out_together(void **state)
{
    (void)state;
    struct envelope envelope = {0};
    struct server_message cancel = numbered(7, 3, 1, SERVER_MESSAGE_CANCEL);
    struct server_message result = numbered(8, 4, 1, SERVER_MESSAGE_OUTCOME);
    struct server_message ack = {.ack = 5, .settled = 1, .kind = SERVER_MESSAGE_ACK};
    assert_true(put(&envelope, &cancel) && put(&envelope, &result) && put(&envelope, &ack));
    struct server_message gap = numbered(10, 5, 1, SERVER_MESSAGE_CANCEL);
    assert_false(put(&envelope, &gap));
    /* A step that settled after the result is told after it. */
    struct server_message later = {.ack = 6, .settled = 2, .kind = SERVER_MESSAGE_ACK};
    assert_false(put(&envelope, &later));
    Polos__V1__ToolServiceConnectResponse *got = sent(&envelope);
    assert_int_equal(got->first_seq, 7);
    assert_int_equal(got->ack, 5);
    assert_int_equal(got->n_messages, 2);
    assert_int_equal(got->messages[0]->message_case,
                     POLOS__V1__SERVER_MESSAGE__MESSAGE_CANCEL_TASK);
    assert_string_equal(got->messages[1]->step_result->step->key, "k");
    release(got);
    /* Without a result it waits for nothing; and pieces come last. */
    const struct host_facts facts = {.epoch = 1, .is_last = true};
    struct server_message piece = {
        .ack = 6, .settled = 3, .kind = SERVER_MESSAGE_FACTS, .facts = &facts};
    assert_true(put(&envelope, &cancel) && put(&envelope, &later) && put(&envelope, &piece));
    assert_false(put(&envelope, &result));
    got = sent(&envelope);
    assert_true(got->n_messages == 1 && got->facts->is_last && got->ack == 6);
    release(got);
}

static void envelopes_are_bounded(void **state)
{
    (void)state;
    struct envelope envelope = {0};
    for (uint64_t seq = 1; seq <= ENVELOPE_MESSAGES_MAX; seq++) {
        struct server_message message = numbered(seq, 0, 0, SERVER_MESSAGE_CANCEL);
        assert_true(put(&envelope, &message));
    }
    struct server_message next = numbered(ENVELOPE_MESSAGES_MAX + 1, 0, 0, SERVER_MESSAGE_CANCEL);
    assert_false(put(&envelope, &next));
    release(sent(&envelope));
    struct server_message large = numbered(1, 0, 0, SERVER_MESSAGE_OUTCOME);
    large.outcome.outcome.value = str_of(long_text(OPTIONS_STATE_BYTES_MAX + 1, '1'));
    assert_true(put(&envelope, &large)); /* Alone. */
    next.seq = 2;
    assert_false(put(&envelope, &next));
    release(sent(&envelope));
}

static struct task_ref ref(void)
{
    struct task_ref ret;
    assert_true(task_ref_parse(str_of(task_id), &ret));
    return ret;
}

static void tasks_go_out(void **state)
{
    (void)state;
    const struct settled_step settled[] = {
        {.key = STR("one"), .outcome = {.value = STR("1")}, .kind = SETTLED_CODE},
        {.key = STR("two"),
         .is_step_request = true,
         .kind = SETTLED_SLEEP,
         .outcome = {.failed = true, .error_type = STR("E")}},
    };
    struct host_task task = {
        .task = ref(),
        .epoch = 3,
        .kind = TASK_TOOL,
        .name = STR("get"),
        .input = STR("{\"a\" : 1}"),
        .steps = settled,
        .step_count = COUNT_OF(settled),
        .timeout_ms = 99,
        .agent_id = STR("agent"),
        .call_id = STR("call"),
        .session_id = STR("s"),
        .root = ref().run,
        .settled_count = 1,
        .is_cancelling = true,
        .state = {STR("{\"k\" : 0}"), STR("t")},
        .retry_count = 2,
        .parent = ref().run,
        .root_name = STR("top"),
        .created_ms = 44,
    };
    struct server_message message = {
        .seq = 5, .ack = 6, .kind = SERVER_MESSAGE_TASK, .task = &task};
    Polos__V1__ServerMessage *got;
    Polos__V1__ToolServiceConnectResponse *envelope = packed(&message, &got);
    assert_int_equal(got->message_case, POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK);
    assert_string_equal(got->task->task_id, task_id);
    assert_int_equal(got->task->epoch, 3);
    assert_int_equal(got->task->kind, POLOS__V1__TASK_KIND__TASK_KIND_TOOL);
    assert_string_equal(got->task->input_json, "{\"a\" : 1}");
    assert_string_equal(got->task->run_id, "01020304-0506-7708-890a-0b0c0d0e0f10");
    assert_string_equal(got->task->root_run_id, got->task->run_id);
    assert_string_equal(got->task->call_id, "call");
    assert_int_equal(got->task->timeout->nanos, 99000000);
    assert_int_equal(got->task->n_steps, 2);
    assert_string_equal(got->task->steps[0]->outcome->value_json, "1");
    assert_string_equal(got->task->steps[1]->outcome->error->type, "E");
    assert_int_equal(got->task->steps[0]->kind, POLOS__V1__STEP_KIND__STEP_KIND_CODE);
    assert_int_equal(got->task->steps[1]->kind, POLOS__V1__STEP_KIND__STEP_KIND_SLEEP);
    assert_int_equal(got->task->settled_count, 1);
    assert_true(got->task->cancelling);
    assert_string_equal(got->task->state_json, "{\"k\" : 0}");
    assert_string_equal(got->task->state_type, "t");
    assert_int_equal(got->task->retry_count, 2);
    assert_string_equal(got->task->parent_run_id, got->task->run_id);
    assert_string_equal(got->task->root_name, "top");
    assert_int_equal(got->task->created_at->nanos, 44000000);
    release(envelope);
    task.parent = (uuid){{0}};
    envelope = packed(&message, &got);
    assert_string_equal(got->task->parent_run_id, "");
    assert_false(got->task->has_more);
    release(envelope);
    task.more = (const struct facts_cursor *)&task; /* Not looked into here. */
    envelope = packed(&message, &got);
    assert_true(got->task->has_more);
    release(envelope);
}

/* All that is said of a fact, one by one. */
static void facts_of_tasks_go_out(void **state)
{
    (void)state;
    const struct settled_step step = {
        .key = STR("k"),
        .kind = SETTLED_CHILDREN,
        .is_child = true,
        .index = 3,
        .has_children = true,
        .facts_seen = 4,
        .retry_count = 5,
        .try_number = 6,
        .pause_ms = 7,
        .steps_before = 8,
    };
    const struct host_task task = {.task = ref(),
                                   .epoch = 1,
                                   .name = STR("get"),
                                   .input = STR("1"),
                                   .steps = &step,
                                   .step_count = 1};
    const struct server_message message = {.seq = 5, .kind = SERVER_MESSAGE_TASK, .task = &task};
    Polos__V1__ServerMessage *got;
    Polos__V1__ToolServiceConnectResponse *envelope = packed(&message, &got);
    assert_int_equal(got->task->n_steps, 1);
    const Polos__V1__SettledStep *shown = got->task->steps[0];
    assert_string_equal(shown->key, "k");
    assert_true(shown->is_child);
    assert_true(shown->has_children);
    assert_int_equal(shown->child_index, 3);
    assert_int_equal(shown->facts_seen, 4);
    assert_int_equal(shown->retry_count, 5);
    assert_int_equal(shown->try_number, 6);
    assert_int_equal(shown->pause->nanos, 7000000);
    assert_int_equal(shown->steps_before, 8);
    release(envelope);
}

static void ends_of_tasks_go_out(void **state)
{
    (void)state;
    const struct held_task lost = {.task = ref(), .epoch = 8};
    struct server_message message = {
        .seq = 1,
        .kind = SERVER_MESSAGE_STOP,
        .cancelled = lost,
        .stop = STOP_DEADLINE,
    };
    Polos__V1__ServerMessage *got;
    Polos__V1__ToolServiceConnectResponse *envelope = packed(&message, &got);
    assert_int_equal(got->message_case, POLOS__V1__SERVER_MESSAGE__MESSAGE_STOP_TASK);
    assert_string_equal(got->stop_task->task_id, task_id);
    assert_int_equal(got->stop_task->epoch, 8);
    assert_int_equal(got->stop_task->reason, POLOS__V1__STOP_TASK__REASON__REASON_DEADLINE);
    release(envelope);
    message = (struct server_message){
        .seq = 2, .kind = SERVER_MESSAGE_CANCEL, .cancelled = lost, .grace_ms = 2500};
    envelope = packed(&message, &got);
    assert_int_equal(got->message_case, POLOS__V1__SERVER_MESSAGE__MESSAGE_CANCEL_TASK);
    assert_int_equal(got->cancel_task->grace->seconds, 2);
    assert_int_equal(got->cancel_task->grace->nanos, 500000000);
    assert_int_equal(got->cancel_task->epoch, 8);
    assert_string_equal(got->cancel_task->task_id, task_id);
    release(envelope);
    message = (struct server_message){.seq = 3, .kind = SERVER_MESSAGE_YIELD, .cancelled = lost};
    envelope = packed(&message, &got);
    assert_int_equal(got->message_case, POLOS__V1__SERVER_MESSAGE__MESSAGE_YIELD_TASK);
    assert_int_equal(got->yield_task->epoch, 8);
    assert_string_equal(got->yield_task->task_id, task_id);
    release(envelope);
}

static void the_rest_goes_out(void **state)
{
    (void)state;
    const struct held_task lost = {.task = ref(), .epoch = 8};
    struct server_message message = {
        .kind = SERVER_MESSAGE_WELCOME,
        .welcome = {.session = STR("s-1"),
                    .resumed = true,
                    .lease_ms = 15000,
                    .heartbeat_ms = 5000,
                    .lost = &lost,
                    .lost_count = 1},
    };
    Polos__V1__ServerMessage *got;
    Polos__V1__ToolServiceConnectResponse *envelope = packed(&message, &got);
    assert_string_equal(envelope->welcome->host_token, "s-1");
    assert_true(envelope->welcome->resumed);
    assert_int_equal(envelope->welcome->lease->seconds, 15);
    assert_int_equal(envelope->welcome->heartbeat->seconds, 5);
    assert_int_equal(envelope->welcome->n_lost, 1);
    assert_int_equal(envelope->welcome->lost[0]->epoch, 8);
    assert_string_equal(envelope->welcome->lost[0]->task_id, task_id);
    assert_string_equal(envelope->welcome->server_version, API_VERSION);
    release(envelope);
    message = (struct server_message){
        .seq = 3,
        .kind = SERVER_MESSAGE_OUTCOME,
        .outcome = {.task = ref(),
                    .key = STR("wait"),
                    .kind = SETTLED_SUSPENSION,
                    .outcome = {.failed = true,
                                .error_type = STR("TIMEOUT"),
                                .error_message = STR("nobody answered")}},
    };
    envelope = packed(&message, &got);
    assert_string_equal(got->step_result->task_id, task_id);
    assert_string_equal(got->step_result->step->key, "wait");
    assert_string_equal(got->step_result->step->outcome->error->type, "TIMEOUT");
    assert_string_equal(got->step_result->step->outcome->error->message, "nobody answered");
    release(envelope);
    message = (struct server_message){
        .seq = 4,
        .kind = SERVER_MESSAGE_REFUSED,
        .refused = {.seq = 4, .reason = REASON_STEP_GAP, .message = STR("why")},
    };
    envelope = packed(&message, &got);
    assert_int_equal(got->refused->refused_seq, 4);
    assert_string_equal(got->refused->reason, "STEP_GAP");
    assert_string_equal(got->refused->task_id, "");
    release(envelope);
    message = (struct server_message){.ack = 77, .kind = SERVER_MESSAGE_ACK};
    envelope = packed(&message, &got);
    assert_null(got);
    release(envelope);
    message = (struct server_message){.seq = 9, .kind = SERVER_MESSAGE_DRAIN, .cause = STR("bye")};
    envelope = packed(&message, &got);
    assert_string_equal(got->drain->cause, "bye");
    release(envelope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_out_together),
        cmocka_unit_test(envelopes_are_bounded),
        cmocka_unit_test(tasks_go_out),
        cmocka_unit_test(facts_of_tasks_go_out),
        cmocka_unit_test(ends_of_tasks_go_out),
        cmocka_unit_test(the_rest_goes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
