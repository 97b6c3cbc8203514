#include "clients/c/said.h"

#include <assert.h>

#include "clients/c/held.h"
#include "clients/c/memory.h"

void polos_said_push(struct said_list *list, struct said *node)
{
    node->next = NULL;
    if (list->last == NULL) {
        list->first = node;
    } else {
        list->last->next = node;
    }
    list->last = node;
}

struct said *polos_said_pop(struct said_list *list)
{
    struct said *node = list->first;

    if (node != NULL) {
        list->first = node->next;
        list->last = node->next == NULL ? NULL : list->last;
        node->next = NULL;
    }
    return node;
}

struct said *polos_said_find(const struct said_list *list, uint64_t seq)
{
    struct said *node = list->first;

    while (node != NULL && node->seq != seq) {
        node = node->next;
    }
    return node;
}

static size_t size_of(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static char *put(char **at, const char *text)
{
    char *copy = *at;

    if (text == NULL) {
        return NULL;
    }
    memcpy(copy, text, size_of(text));
    *at += size_of(text);
    return copy;
}

static struct said *make(enum said_kind kind, const char *text, const struct polos_outcome *outcome)
{
    static const struct polos_outcome none = {0};
    const struct polos_outcome *from = outcome == NULL ? &none : outcome;
    size_t bytes = size_of(text) + size_of(from->value_json) + size_of(from->error_type) +
                   size_of(from->error_message);
    struct said *node = memory_zeroed(1, sizeof(*node) + bytes);
    char *at = node->memory;

    node->kind = kind;
    node->bytes = bytes;
    node->text = put(&at, text);
    node->value_json = put(&at, from->value_json);
    node->error_type = put(&at, from->error_type);
    node->error_message = put(&at, from->error_message);
    assert(at == node->memory + bytes);
    return node;
}

struct said *polos_said_alone(enum said_kind kind, const char *text)
{
    return make(kind, text, NULL);
}

struct said *polos_said_about(enum said_kind kind, struct polos_task *task, const char *text,
                              const struct polos_outcome *outcome)
{
    struct said *node = make(kind, text, outcome);

    node->task = task;
    node->epoch = task->epoch;
    task->nodes++;
    return node;
}

struct said *polos_said_again(const struct said *node)
{
    const struct polos_outcome outcome = {node->value_json, node->error_type, node->error_message};
    struct said *again = polos_said_about(node->kind, node->task, node->text, &outcome);

    again->number = node->number;
    again->settled = node->settled;
    again->context = node->context;
    return again;
}

bool polos_said_is_numbered(const struct said *node)
{
    return node->kind <= SAID_DRAIN;
}

static Polos__V1__TaskOutcome *write_outcome(struct said *node, struct polos_session_message *ret)
{
    polos__v1__task_outcome__init(&ret->outcome);
    if (node->value_json != NULL) {
        ret->outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
        ret->outcome.value_json = node->value_json;
        return &ret->outcome;
    }
    polos__v1__task_error__init(&ret->error);
    if (node->error_type != NULL) {
        ret->error.type = node->error_type;
    }
    if (node->error_message != NULL) {
        ret->error.message = node->error_message;
    }
    ret->outcome.result_case = POLOS__V1__TASK_OUTCOME__RESULT_ERROR;
    ret->outcome.error = &ret->error;
    return &ret->outcome;
}

static void write_step_done(struct said *node, struct polos_session_message *ret)
{
    polos__v1__step_done__init(&ret->step_done);
    ret->step_done.task_id = node->task->message->task_id;
    ret->step_done.epoch = node->epoch;
    ret->step_done.number = node->number;
    ret->step_done.key = node->text;
    ret->step_done.outcome = write_outcome(node, ret);
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_DONE;
    ret->message.step_done = &ret->step_done;
}

static void write_task_done(struct said *node, struct polos_session_message *ret)
{
    polos__v1__task_done__init(&ret->task_done);
    ret->task_done.task_id = node->task->message->task_id;
    ret->task_done.epoch = node->epoch;
    ret->task_done.outcome = write_outcome(node, ret);
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE;
    ret->message.task_done = &ret->task_done;
}

static void write_delta(struct said *node, struct polos_session_message *ret)
{
    polos__v1__host_delta__init(&ret->delta);
    ret->delta.task_id = node->task->message->task_id;
    ret->delta.epoch = node->epoch;
    ret->delta.text = node->text;
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_DELTA;
    ret->message.delta = &ret->delta;
}

static void write_heartbeat(struct said *node, struct polos_session_message *ret)
{
    (void)node;
    polos__v1__heartbeat__init(&ret->heartbeat);
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_HEARTBEAT;
    ret->message.heartbeat = &ret->heartbeat;
}

static void write_drain(struct said *node, struct polos_session_message *ret)
{
    polos__v1__drain__init(&ret->drain);
    ret->drain.cause = node->text;
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_DRAIN;
    ret->message.drain = &ret->drain;
}

static void write_nothing(struct said *node, struct polos_session_message *ret)
{
    (void)node;
    (void)ret;
}

void polos_said_write(struct said *node, struct polos_session_message *ret)
{
    static void (*const writers[])(struct said *, struct polos_session_message *) = {
        [SAID_STEP_DONE] = write_step_done, [SAID_TASK_DONE] = write_task_done,
        [SAID_DRAIN] = write_drain,         [SAID_DELTA] = write_delta,
        [SAID_HEARTBEAT] = write_heartbeat, [SAID_ACK] = write_nothing,
    };

    polos__v1__host_message__init(&ret->message);
    ret->message.seq = node->seq;
    writers[node->kind](node, ret);
}
