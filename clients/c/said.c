#include "clients/c/said.h"

#include <assert.h>

#include "clients/c/held.h"
#include "clients/c/memory.h"
#include "clients/c/session.h"

void polos_said_push(struct said_list *list, struct said *node)
{
    assert((list->first == NULL) == (list->last == NULL));
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

struct said *polos_said_find_request(const struct said_list *list, const struct polos_task *task,
                                     const char *key)
{
    struct said *node = list->first;
    while (node != NULL && (node->kind != SAID_STEP_REQUEST || node->task != task ||
                            node->is_void || strcmp(node->text, key) != 0)) {
        node = node->next;
    }
    return node;
}

void polos_said_remove(struct said_list *list, struct said *node)
{
    struct said **at = &list->first;
    struct said *before = NULL;
    while (*at != node) {
        assert(*at != NULL);
        before = *at;
        at = &(*at)->next;
    }
    *at = node->next;
    list->last = list->last == node ? before : list->last;
    node->next = NULL;
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
    assert(task != NULL);
    node->task = task;
    node->epoch = task->epoch;
    task->nodes++;
    return node;
}

static Polos__V1__StepRequest *copy_request(const Polos__V1__StepRequest *request)
{
    size_t bytes = polos__v1__step_request__get_packed_size(request);
    uint8_t *packed = memory_zeroed(bytes, 1);
    polos__v1__step_request__pack(request, packed);
    Polos__V1__StepRequest *copy = polos__v1__step_request__unpack(NULL, bytes, packed);
    assert(copy != NULL);
    free(packed);
    return copy;
}

struct said *polos_said_request(struct polos_task *task, const char *key,
                                const Polos__V1__StepRequest *request)
{
    struct said *node = polos_said_about(SAID_STEP_REQUEST, task, key, NULL);
    node->request = copy_request(request);
    node->bytes += polos__v1__step_request__get_packed_size(request);
    return node;
}

void polos_said_free(struct said *node)
{
    if (node == NULL) {
        return;
    }
    struct polos_task *task = node->task;
    if (node->request != NULL) {
        polos__v1__step_request__free_unpacked(node->request, NULL);
    }
    free(node);
    if (task != NULL) {
        assert(task->nodes > 0);
        task->nodes--;
        polos_task_let_go(task);
    }
}

void polos_said_settle(struct said *node, const struct polos_error *error,
                       const Polos__V1__TaskOutcome *outcome)
{
    polos_step_settled *settled = node->settled;
    polos_request_settled *came = node->came;
    assert(settled == NULL || node->kind == SAID_STEP_DONE);
    assert(came == NULL || node->kind == SAID_STEP_REQUEST);
    node->settled = NULL;
    node->came = NULL;
    if (settled != NULL) {
        settled(node->context, node->task, error);
    }
    if (came != NULL && node->task->is_owned) {
        came(node->context, node->task, error, outcome);
    }
}

struct said *polos_said_again(const struct said *node)
{
    assert(polos_said_is_numbered(node) && node->task != NULL);
    const struct polos_outcome outcome = {node->value_json, node->error_type, node->error_message};
    struct said *again = polos_said_about(node->kind, node->task, node->text, &outcome);
    again->request = node->request == NULL ? NULL : copy_request(node->request);
    again->bytes = node->bytes;
    again->is_cancelled = node->is_cancelled;
    again->number = node->number;
    again->settled = node->settled;
    again->came = node->came;
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
    ret->task_done.result_case = POLOS__V1__TASK_DONE__RESULT_OUTCOME;
    ret->task_done.outcome = write_outcome(node, ret);
    ret->task_done.cancelled = node->is_cancelled;
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_TASK_DONE;
    ret->message.task_done = &ret->task_done;
}

/* Borrows all but what is filled in here. */
static void write_request(struct said *node, struct polos_session_message *ret)
{
    ret->request = *node->request;
    ret->request.task_id = node->task->message->task_id;
    ret->request.epoch = node->epoch;
    ret->request.key = node->text;
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_STEP_REQUEST;
    ret->message.step_request = &ret->request;
}

static void write_park(struct said *node, struct polos_session_message *ret)
{
    polos__v1__park__init(&ret->park);
    ret->park.task_id = node->task->message->task_id;
    ret->park.epoch = node->epoch;
    ret->park.results_seen = node->number;
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_PARK;
    ret->message.park = &ret->park;
}

static void write_release(struct said *node, struct polos_session_message *ret)
{
    polos__v1__release__init(&ret->release);
    ret->release.task_id = node->task->message->task_id;
    ret->release.epoch = node->epoch;
    ret->release.cause = node->text;
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_RELEASE;
    ret->message.release = &ret->release;
}

static void write_drain(struct said *node, struct polos_session_message *ret)
{
    polos__v1__host_drain__init(&ret->drain);
    ret->drain.cause = node->text;
    ret->drain.release_all = node->releases_all;
    ret->message.message_case = POLOS__V1__HOST_MESSAGE__MESSAGE_DRAIN;
    ret->message.drain = &ret->drain;
}

static void write_delta(struct said *node, struct polos_session_message *ret)
{
    polos__v1__host_delta__init(&ret->delta);
    ret->delta.task_id = node->task->message->task_id;
    ret->delta.epoch = node->epoch;
    ret->delta.text = node->text;
}

void polos_said_write(struct said *node, struct polos_session_message *ret)
{
    static void (*const writers[])(struct said *, struct polos_session_message *) = {
        [SAID_STEP_DONE] = write_step_done, [SAID_STEP_REQUEST] = write_request,
        [SAID_TASK_DONE] = write_task_done, [SAID_PARK] = write_park,
        [SAID_RELEASE] = write_release,     [SAID_DRAIN] = write_drain,
        [SAID_DELTA] = write_delta,
    };
    assert(polos_said_is_numbered(node) == (node->seq != 0));
    assert(node->kind == SAID_STEP_REQUEST || node->request == NULL);
    polos__v1__host_message__init(&ret->message);
    writers[node->kind](node, ret);
}
