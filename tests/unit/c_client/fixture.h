/*
 * fixture: a session of the C client, what it calls back and says, as text.
 *
 * Server messages are made by hand and given to the session; what it calls is logged until it is
 * looked at.
 */
#ifndef TESTS_UNIT_C_CLIENT_FIXTURE_H
#define TESTS_UNIT_C_CLIENT_FIXTURE_H

#include "clients/c/session.h"

enum {
    LOG_BYTES = 4096,
    STEPS_MAX = 5,
};

struct fixture {
    struct polos_session *session;
    char log[LOG_BYTES]; /* What was called back since it was last looked at. */
    char hello[LOG_BYTES];
    struct polos_task *task; /* The last one given. */
    bool holds_on; /* The owner does not end tasks that were stopped. */
    bool is_cancelling; /* Tasks that come belong to runs that are being cancelled. */
    uint64_t ack; /* With tasks that come. */
    bool cleans_up; /* It wants to be told of cancellations. */
    bool parks; /* It parks tasks whose places are wanted. */
};

extern const struct polos_outcome fixture_value;

/* Logs an outcome or the reason of an error; the context is the key. */
void fixture_came(void *context, struct polos_task *task, const struct polos_error *error,
                  const Polos__V1__TaskOutcome *outcome);

/* Logs that a step is durable, or why it is not; the context is its key. */
void fixture_settled(void *context, struct polos_task *task, const struct polos_error *error);

void fixture_expect_log(struct fixture *fixture, const char *expected);
bool fixture_receive_ack(struct fixture *fixture, uint64_t ack);
bool fixture_receive_welcome(struct fixture *fixture, const char *name, bool resumed, uint64_t ack,
                             const char *lost);
bool fixture_receive_task_with(struct fixture *fixture, uint64_t seq, const char *id,
                               uint32_t epoch, size_t steps, size_t orders);
bool fixture_receive_task(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch,
                          size_t steps);
bool fixture_receive_outcome(struct fixture *fixture, uint64_t seq, uint64_t ack, const char *id,
                             const char *key);
/* A Task or a StepResult of which TaskFacts follow. */
bool fixture_receive_more(struct fixture *fixture, uint64_t seq, const char *id, bool is_task);
/* Fact 0 is child 1 of "children", fact 1 its child 0; the last one is their step request. */
bool fixture_receive_facts(struct fixture *fixture, const char *id, uint32_t first, bool is_last);
bool fixture_receive_cancel(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch);
bool fixture_receive_yield(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch);
bool fixture_receive_stop(struct fixture *fixture, uint64_t seq, const char *id, uint32_t epoch,
                          Polos__V1__StopTask__Reason reason);
bool fixture_receive_drain(struct fixture *fixture, uint64_t seq);
bool fixture_receive_refused(struct fixture *fixture, uint64_t seq, uint64_t refused_seq,
                             const char *reason);
void fixture_expect_said(struct fixture *fixture, const char *expected);
void fixture_dial(struct fixture *fixture);
void fixture_begin(struct fixture *fixture);
void fixture_open(struct fixture *fixture);
bool fixture_step(struct fixture *fixture, const char *key);
bool fixture_request(struct fixture *fixture, const char *key);
void fixture_close(struct fixture *fixture);

#endif
