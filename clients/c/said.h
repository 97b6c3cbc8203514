/*
 * said: what a host says or has said, kept until it is sent or acknowledged.
 *
 * A message is packed when it is sent, not before: its number and its task's epoch may change.
 */
#ifndef CLIENTS_C_SAID_H
#define CLIENTS_C_SAID_H

#include "clients/c/polos_host.h"

struct polos_session_message;

/* gRPC's, as far as errors made here have one. */
enum {
    CODE_INVALID_ARGUMENT = 3,
    CODE_ABORTED = 10,
};

enum said_kind {
    SAID_STEP_DONE,
    SAID_STEP_REQUEST,
    SAID_TASK_DONE,
    SAID_PARK,
    SAID_RELEASE,
    SAID_DRAIN,
    /* Unnumbered: */
    SAID_DELTA,
};

struct said {
    struct said *next;
    enum said_kind kind;
    bool is_void; /* Nobody waits for its acknowledgement. */
    uint32_t epoch;
    bool is_cancelled; /* TASK_DONE: because the run is being cancelled. */
    bool releases_all; /* DRAIN: what is held is given back. */
    uint32_t number; /* Of a step; PARK: of outcomes. */
    uint64_t seq;
    struct polos_task *task; /* NULL: about none. */
    polos_step_settled *settled; /* STEP_DONE; NULL: called, or nobody to call. */
    polos_request_settled *came; /* STEP_REQUEST; the same. */
    void *context;
    Polos__V1__StepRequest *request; /* STEP_REQUEST; the node's. */
    /* In `memory`: */
    size_t bytes; /* And of the request. */
    char *text; /* A step's or step request's key, a delta's text, a cause. */
    char *value_json; /* NULL: an error. */
    char *error_type;
    char *error_message;
    char memory[];
};

struct said_list {
    struct said *first;
    struct said *last;
};

/* To the end; the list takes the node. */
void polos_said_push(struct said_list *list, struct said *node);
struct said *polos_said_pop(struct said_list *list); /* NULL: empty. */
struct said *polos_said_find(const struct said_list *list, uint64_t seq); /* NULL: none. */
/* A step request that waits for its outcome. */
struct said *polos_said_find_request(const struct said_list *list, const struct polos_task *task,
                                     const char *key);
/* One that is in the list; it is the caller's again. */
void polos_said_remove(struct said_list *list, struct said *node);

/* Of no task. The text is copied. */
struct said *polos_said_alone(enum said_kind kind, const char *text);
/* Counts itself among the task's nodes. */
struct said *polos_said_about(enum said_kind kind, struct polos_task *task, const char *text,
                              const struct polos_outcome *outcome);
/* As polos_said_about(), of a step request, which is copied. */
struct said *polos_said_request(struct polos_task *task, const char *key,
                                const Polos__V1__StepRequest *request);
/* Accepts NULL. May free its task, too. */
void polos_said_free(struct said *node);
/* Calls who waits for it, at most once. */
void polos_said_settle(struct said *node, const struct polos_error *error,
                       const Polos__V1__TaskOutcome *outcome);
/* The same under the task's epoch of today, with its callback. */
struct said *polos_said_again(const struct said *node);
/* Whether it is kept until it is acknowledged. */
bool polos_said_is_numbered(const struct said *node);
/* Of a numbered one, or a delta; points into the node. */
void polos_said_write(struct said *node, struct polos_session_message *ret);

#endif
