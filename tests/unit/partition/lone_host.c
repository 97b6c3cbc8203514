#include "tests/unit/partition/lone_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/features/tasks/tasks.h"

enum {
    OFFERS_MAX = 16,
    SLOTS = 100,
    LONG_BYTES = 2000, /* Values of more are told by their length. */
};

/* What goes through a link: the message, with its line behind. */
struct wire {
    enum server_message_kind kind;
    uint64_t seq;
    struct held_task task;
};

/* ---- The lines. ---- */

static void put_field(struct buf *line, const char *name, str value)
{
    if (value.len > 0) {
        buf_printf(line, " %s=" STR_FMT, name, STR_ARG(value));
    }
}

static void put_number(struct buf *line, const char *name, uint64_t value)
{
    if (value > 0) {
        buf_printf(line, " %s=%llu", name, (unsigned long long)value);
    }
}

static void put_flag(struct buf *line, const char *name, bool value)
{
    buf_printf(line, "%s%s", value ? " " : "", value ? name : "");
}

static void put_outcome(struct buf *line, str key, enum settled_kind kind,
                        const struct outcome *outcome)
{
    buf_printf(line, STR_FMT ":%d=", STR_ARG(key), (int)kind);
    if (outcome->value.len > LONG_BYTES) {
        buf_printf(line, "<%zu bytes>", outcome->value.len);
    } else {
        buf_put(line, outcome->value);
    }
    put_field(line, "type", outcome->value_type);
    if (outcome->failed) {
        buf_printf(line, "!" STR_FMT ": " STR_FMT, STR_ARG(outcome->error_type),
                   STR_ARG(outcome->error_message));
    }
}

static void put_steps(struct buf *line, const struct settled_step *steps, size_t count)
{
    buf_printf(line, "%s", count > 0 ? " [" : "");
    for (size_t i = 0; i < count; i++) {
        buf_printf(line, "%s", i > 0 ? ", " : "");
        put_outcome(line, steps[i].key, steps[i].kind, &steps[i].outcome);
        put_number(line, "seen", steps[i].facts_seen);
        put_number(line, "retries", steps[i].retry_count);
        put_number(line, "try", steps[i].try_number);
        put_number(line, "pause", steps[i].pause_ms);
        put_number(line, "before", steps[i].steps_before);
        put_flag(line, "child", steps[i].is_child);
        put_flag(line, "children", steps[i].has_children);
    }
    buf_printf(line, "%s", count > 0 ? "]" : "");
}

static void put_task(struct buf *line, const struct host_task *task)
{
    buf_printf(line, "%s " STR_FMT " %u " STR_FMT, task->kind == TASK_TOOL ? "tool" : "task",
               STR_ARG(task->name), (unsigned)task->epoch, STR_ARG(task->input));
    put_field(line, "type", task->input_type);
    put_field(line, "agent", task->agent_id);
    put_field(line, "call", task->call_id);
    put_field(line, "session", task->session_id);
    put_field(line, "user", task->user_id);
    put_field(line, "conversation", task->conversation_id);
    put_field(line, "state", task->state.json);
    put_field(line, "state_type", task->state.type);
    put_number(line, "retry", task->retry_count);
    put_number(line, "settled", task->settled_count);
    if (!uuid_is_zero(task->parent)) {
        put_field(line, "root", task->root_name);
    }
    put_flag(line, "cancelling", task->is_cancelling);
    put_flag(line, "more", task->more != NULL);
    put_steps(line, task->steps, task->step_count);
}

static void put_facts(struct buf *line, const struct host_facts *facts)
{
    buf_printf(line, "facts %u", (unsigned)facts->first);
    put_steps(line, facts->facts, facts->count);
    put_field(line, "state", facts->state.json);
    put_field(line, "state_type", facts->state.type);
    put_flag(line, "last", facts->is_last);
}

static void put_line(struct buf *line, const struct server_message *message)
{
    if (message->kind == SERVER_MESSAGE_WELCOME) {
        buf_put(line, message->welcome.resumed ? STR("welcome back") : STR("welcome"));
        put_number(line, "lost", message->welcome.lost_count);
    } else if (message->kind == SERVER_MESSAGE_TASK) {
        put_task(line, message->task);
    } else if (message->kind == SERVER_MESSAGE_OUTCOME) {
        buf_put(line, STR("outcome "));
        put_outcome(line, message->outcome.key, message->outcome.kind, &message->outcome.outcome);
        put_number(line, "before", message->outcome.steps_before);
        put_number(line, "durable", message->settled);
        put_flag(line, "more", message->outcome.more != NULL);
    } else if (message->kind == SERVER_MESSAGE_FACTS) {
        put_facts(line, message->facts);
    } else if (message->kind == SERVER_MESSAGE_CANCEL) {
        buf_put(line, STR("cancel"));
    } else if (message->kind == SERVER_MESSAGE_YIELD) {
        buf_put(line, STR("yield"));
    } else if (message->kind == SERVER_MESSAGE_STOP) {
        buf_printf(line, "stop %d", (int)message->stop);
    } else if (message->kind == SERVER_MESSAGE_DRAIN) {
        buf_printf(line, "drain " STR_FMT, STR_ARG(message->cause));
    } else if (message->kind == SERVER_MESSAGE_REFUSED) {
        buf_printf(line, "refused %s", reason_name(message->refused.reason));
        put_flag(line, "gone", message->refused.is_task_gone);
    }
    buf_put_char(line, '\n');
}

/* ---- The link. ---- */

static struct payload *pack(const struct server_message *message)
{
    struct wire wire = {.kind = message->kind, .seq = message->seq};
    struct buf bytes = {0};
    if (message->kind == SERVER_MESSAGE_TASK) {
        wire.task = (struct held_task){message->task->task, message->task->epoch};
    } else if (message->kind == SERVER_MESSAGE_CANCEL || message->kind == SERVER_MESSAGE_STOP) {
        wire.task = message->cancelled;
    }
    buf_put(&bytes, str_make((const char *)&wire, sizeof(wire)));
    if (message->kind != SERVER_MESSAGE_ACK) {
        put_line(&bytes, message);
    }
    struct payload *payload = payload_copy(buf_str(&bytes));
    buf_fini(&bytes);
    return payload;
}

static void take(struct host_link *link, struct payload *payload)
{
    struct lone_host *host = container_of(link, struct lone_host, link);
    struct wire wire;
    str bytes = payload_bytes(payload);
    memcpy(&wire, bytes.ptr, sizeof(wire));
    buf_put(&host->told, str_make(bytes.ptr + sizeof(wire), bytes.len - sizeof(wire)));
    payload_unref(payload);
    host->heard = wire.seq > host->heard ? wire.seq : host->heard;
    if (wire.kind == SERVER_MESSAGE_TASK) {
        assert_true(host->task_count < LONE_TASKS_KEPT);
        host->tasks[host->task_count++] = wire.task;
    }
    if (wire.kind == SERVER_MESSAGE_CANCEL || wire.kind == SERVER_MESSAGE_STOP) {
        host->ended[host->ended_count++ % LONE_TASKS_KEPT] = wire.task;
    }
}

static bool has_room(const struct host_link *link)
{
    (void)link;
    return true;
}

static void close_link(struct host_link *link, enum code code, enum reason reason, str message)
{
    (void)code, (void)reason, (void)message;
    container_of(link, struct lone_host, link)->is_closed = true;
}

static const struct host_link_vtable vtable = {
    .pack = pack, .send = take, .has_room = has_room, .close = close_link};

/* ---- What it says. ---- */

static void ask(struct lone_host *host, struct request *request)
{
    lone_ask(host->lone, request);
    assert_true(host->is_beside_faults || host->lone->failure.code == CODE_OK);
    request_free(request);
    lone_rounds(host->lone);
}

static void dial(struct lone_host *host, struct lone_partition *lone, const char *id,
                 const char *const *offers, const struct held_task *held)
{
    struct host_offer list[OFFERS_MAX];
    struct offer_record records[OFFERS_MAX] = {0};
    str deployment = host->deployment == NULL ? STR("default") : str_of(host->deployment);
    size_t count = 0;
    for (; offers[count] != NULL; count++) {
        assert_true(count < OFFERS_MAX);
        const char *name = strchr(offers[count], ':') + 1;
        list[count] =
            (struct host_offer){offers[count][0] == 't' ? TASK_TOOL : TASK_WORKFLOW, str_of(name)};
        records[count] = (struct offer_record){.deployment = deployment, .tool.name = str_of(name)};
    }
    host->lone = lone;
    host->id = id;
    assert_null(host->link.session); /* It is not there already. */
    host->link = (struct host_link){.vtable = &vtable};
    host->seq = host->heard = 0;
    host->is_closed = false;
    struct request *request = request_new(&hello_operation);
    hello_request(request)->link = &host->link;
    hello_request(request)->records = records;
    hello_request(request)->hello = (struct host_hello){
        .host_id = str_of(id),
        .deployment = deployment,
        .slots = host->slots == 0 ? SLOTS : host->slots,
        .offers = list,
        .offer_count = count,
        .held = held,
        .held_count = held == NULL ? 0 : 1,
    };
    ask(host, request);
}

void lone_host_connect(struct lone_host *host, struct lone_partition *lone, const char *id,
                       const char *const *offers)
{
    dial(host, lone, id, offers, NULL);
}

void lone_host_connect_holding(struct lone_host *host, struct lone_partition *lone, const char *id,
                               const char *const *offers, struct held_task held)
{
    dial(host, lone, id, offers, &held);
}

void lone_host_fini(struct lone_host *host)
{
    buf_fini(&host->told);
    buf_fini(&host->taken);
}

void lone_host_vanish(struct lone_host *host)
{
    struct request *request = request_new(&host_gone_operation);
    host_request(request)->link = &host->link;
    ask(host, request);
}

/* Ids of runs are drawn, and quotes hard to read in a literal. */
static void put_readable(struct buf *ret, str text)
{
    enum {
        ID_CHARS = UUID_TEXT_BYTES - 1
    };
    for (size_t i = 0; i < text.len; i++) {
        uuid id;
        if (text.len - i >= ID_CHARS && uuid_parse(str_make(text.ptr + i, ID_CHARS), &id)) {
            buf_put_char(ret, '#');
            i += ID_CHARS - 1;
        } else {
            buf_put_char(ret, text.ptr[i] == '"' ? '\'' : text.ptr[i]);
        }
    }
}

const char *lone_host_told(struct lone_host *host)
{
    buf_reset(&host->taken);
    put_readable(&host->taken, buf_str(&host->told));
    buf_put_char(&host->taken, '\0');
    buf_reset(&host->told);
    return host->taken.ptr;
}

struct held_task lone_host_task(const struct lone_host *host)
{
    assert_true(host->task_count > 0);
    return host->tasks[host->task_count - 1];
}

void lone_host_say(struct lone_host *host, struct held_task task, struct host_message message)
{
    struct request *request = request_new(&host_message_operation);
    message.seq = ++host->seq;
    message.ack = host->heard;
    message.task = task.task;
    message.epoch = task.epoch;
    host_request(request)->link = &host->link;
    host_request(request)->message = message;
    ask(host, request);
}

void lone_host_done(struct lone_host *host, struct held_task task, const char *value)
{
    lone_host_say(
        host, task,
        (struct host_message){.kind = HOST_MESSAGE_TASK_DONE, .outcome = {.value = str_of(value)}});
}

void lone_host_failed(struct lone_host *host, struct held_task task, const char *type,
                      bool is_retryable)
{
    lone_host_say(
        host, task,
        (struct host_message){
            .kind = HOST_MESSAGE_TASK_DONE,
            .is_retryable = is_retryable,
            .outcome = {.failed = true, .error_type = str_of(type), .error_message = STR("no")}});
}

void lone_host_cancelled(struct lone_host *host, struct held_task task)
{
    lone_host_say(host, task,
                  (struct host_message){.kind = HOST_MESSAGE_TASK_DONE,
                                        .is_cancelled = true,
                                        .outcome = {.failed = true,
                                                    .error_type = STR("Cancelled"),
                                                    .error_message = STR("cancelled")}});
}

void lone_host_request(struct lone_host *host, struct held_task task, const char *key,
                       struct host_step_request wanted)
{
    lone_host_say(host, task,
                  (struct host_message){.kind = HOST_MESSAGE_STEP_REQUEST,
                                        .key = str_of(key),
                                        .step_request = wanted});
}

void lone_host_start(struct lone_host *host, struct held_task task, const char *key,
                     const struct host_child *children, size_t count)
{
    lone_host_request(
        host, task, key,
        (struct host_step_request){
            .kind = STEP_REQUEST_START, .children = children, .child_count = count, .waits = true});
}
