#include "clients/c/pieces.h"

#include <assert.h>

#include "clients/c/memory.h"

struct piece_of_child {
    struct piece_of_child *next;
    Polos__V1__SettledStep *fact;
};

static const char *id_of(const Polos__V1__ServerMessage *message)
{
    return message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK
               ? message->task->task_id
               : message->step_result->task_id;
}

void polos_pieces_begin(struct polos_pieces *pieces, uint64_t seq,
                        Polos__V1__ServerMessage *message)
{
    assert(pieces->message == NULL);
    pieces->seq = seq;
    pieces->message = memory_zeroed(1, sizeof(*pieces->message));
    polos__v1__server_message__init(pieces->message);
    pieces->message->message_case = message->message_case;
    pieces->message->task = message->task; /* Or the result, in the same place. */
    message->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE__NOT_SET;
    message->task = NULL;
}

static const Polos__V1__SettledStep *child_of(const struct polos_pieces *pieces, const char *key,
                                              uint32_t index)
{
    const struct piece_of_child *child = pieces->children;
    while (child != NULL &&
           (strcmp(child->fact->key, key) != 0 || child->fact->child_index != index)) {
        child = child->next;
    }
    return child == NULL ? NULL : child->fact;
}

static const char *value_of(const Polos__V1__SettledStep *fact)
{
    bool has_value = fact->outcome != NULL &&
                     fact->outcome->result_case == POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
    return has_value ? fact->outcome->value_json : "null";
}

static void forget_children(struct polos_pieces *pieces, const char *key)
{
    struct piece_of_child **link = &pieces->children;
    while (*link != NULL) {
        struct piece_of_child *child = *link;
        if (key != NULL && strcmp(child->fact->key, key) != 0) {
            link = &child->next;
            continue;
        }
        *link = child->next;
        polos__v1__settled_step__free_unpacked(child->fact, NULL);
        free(child);
    }
}

/* The list of the children of a wait, as JSON. */
static char *join(const struct polos_pieces *pieces, const char *key)
{
    const Polos__V1__SettledStep *child;
    size_t len = 2;
    for (uint32_t i = 0; (child = child_of(pieces, key, i)) != NULL; i++) {
        len += strlen(value_of(child)) + 1;
    }
    char *text = memory_zeroed(len + 1, 1);
    char *at = text;
    *at++ = '[';
    for (uint32_t i = 0; (child = child_of(pieces, key, i)) != NULL; i++) {
        at = i == 0 ? at : stpcpy(at, ",");
        at = stpcpy(at, value_of(child));
    }
    *at = ']';
    return text;
}

static void add_step(struct polos_pieces *pieces, Polos__V1__SettledStep *fact)
{
    Polos__V1__TaskOutcome *outcome = fact->outcome;
    if (fact->has_children && outcome != NULL) {
        bool is_owned = outcome->result_case == POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON &&
                        outcome->value_json != protobuf_c_empty_string;
        free(is_owned ? outcome->value_json : NULL);
        outcome->result_case = POLOS__V1__TASK_OUTCOME__RESULT_VALUE_JSON;
        outcome->value_json = join(pieces, fact->key);
        forget_children(pieces, fact->key);
    }
    pieces->steps = memory_grown(pieces->steps, pieces->step_count, sizeof(fact));
    pieces->steps[pieces->step_count++] = fact;
}

static void add_child(struct polos_pieces *pieces, Polos__V1__SettledStep *fact)
{
    struct piece_of_child *child = memory_zeroed(1, sizeof(*child));
    child->fact = fact;
    child->next = pieces->children;
    pieces->children = child;
}

bool polos_pieces_take(struct polos_pieces *pieces, Polos__V1__TaskFacts *facts)
{
    if (pieces->message == NULL || strcmp(id_of(pieces->message), facts->task_id) != 0) {
        return true;
    }
    if (facts->first != pieces->facts) {
        return false;
    }
    pieces->facts += (uint32_t)facts->n_facts;
    for (size_t i = 0; i < facts->n_facts; i++) {
        if (facts->facts[i]->is_child) {
            add_child(pieces, facts->facts[i]);
        } else {
            add_step(pieces, facts->facts[i]);
        }
    }
    facts->n_facts = 0; /* They are taken. */
    return true;
}

/* Both are freed as what they are in the message. */
static Polos__V1__Task *task_of(Polos__V1__ServerMessage *message)
{
    if (message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK) {
        return message->task;
    }
    Polos__V1__Task *task = memory_zeroed(1, sizeof(*task));
    polos__v1__task__init(task);
    task->task_id = memory_copy(message->step_result->task_id);
    polos__v1__step_result__free_unpacked(message->step_result, NULL);
    message->task = task;
    return task;
}

Polos__V1__ServerMessage *polos_pieces_end(struct polos_pieces *pieces, Polos__V1__TaskFacts *last)
{
    Polos__V1__ServerMessage *message = pieces->message;
    bool is_task = message->message_case == POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK;
    Polos__V1__Task *task = task_of(message);
    task->n_steps = pieces->step_count;
    task->steps = pieces->steps;
    if (is_task) {
        char *state = task->state_json;
        task->state_json = last->state_json;
        last->state_json = state;
    }
    message->message_case = POLOS__V1__SERVER_MESSAGE__MESSAGE_TASK;
    forget_children(pieces, NULL);
    *pieces = (struct polos_pieces){0};
    return message;
}

void polos_pieces_drop(struct polos_pieces *pieces)
{
    for (size_t i = 0; i < pieces->step_count; i++) {
        polos__v1__settled_step__free_unpacked(pieces->steps[i], NULL);
    }
    free(pieces->steps);
    forget_children(pieces, NULL);
    if (pieces->message != NULL) {
        polos__v1__server_message__free_unpacked(pieces->message, NULL);
    }
    *pieces = (struct polos_pieces){0};
}
