/*
 * fixture: hosts with links that keep what was sent, for the tests of this folder.
 *
 * A packed message is a struct wire, so a test reads what a host would read.
 */
#ifndef TESTS_UNIT_HOSTS_FIXTURE_H
#define TESTS_UNIT_HOSTS_FIXTURE_H

#include "service/base/arena.h"
#include "service/base/code_version.h"
#include "service/hosts/host.h"
#include "service/hosts/leases.h"
#include "service/hosts/placement.h"

enum {
    WIRE_LOST_MAX = 16,
    LINK_WIRES_MAX = 256,
    NOTED_MAX = 64,
    LEASE_MS = 1000,
};

struct wire {
    uint64_t seq;
    uint64_t ack;
    enum server_message_kind kind;
    enum stop_reason stop; /* STOP. */
    struct held_task task; /* TASK, CANCEL, STOP, REFUSED, OUTCOME, FACTS. */
    bool has_task;
    char token[33];
    bool resumed;
    uint64_t lease_ms;
    uint64_t heartbeat_ms;
    struct held_task lost[WIRE_LOST_MAX];
    size_t lost_count;
    uint64_t refused_seq;
    const char *reason;
    char text[200]; /* The cause, the refusal's sentence or the outcome's key. */
    char value[40]; /* OUTCOME. */
    uint32_t first; /* FACTS. */
};

struct test_link {
    struct host_link link;
    struct wire wires[LINK_WIRES_MAX];
    size_t count;
    size_t read; /* By link_next(). */
    bool is_full; /* Takes nothing more for now. */
    bool is_closed;
    enum code code;
    const char *reason;
    char text[300];
};

struct noted_loss {
    struct held_task held;
    bool is_excused;
    char cause[64];
};

struct fixture {
    uint64_t hello_ack; /* Said by the next hellos: up to there all was handled. */
    struct hosts *hosts;
    struct arena arena;
    const char *field; /* That the last hello was refused for. */
    char why[300];
    uint64_t random;
    struct noted_loss lost[NOTED_MAX];
    size_t lost_count;
    uint64_t now_ms;
    const char *deployment; /* Of the hellos to come. */
    const char *language; /* The same. */
};

struct payload *wire_pack(const struct server_message *message);

void fixture_init(struct fixture *fixture, const struct hosts_options *limits);
void fixture_fini(struct fixture *fixture);
struct hosts_stats fixture_stats(const struct fixture *fixture);

void link_init(struct test_link *link);
/* The next message not yet read; its kind must be this one. */
const struct wire *link_next(struct test_link *link, enum server_message_kind kind);
/* Nothing is left to read. */
bool link_is_quiet(const struct test_link *link);

/* "tool" offers of these names, comma separated; a workflow starts with '@'. */
enum code say_hello(struct fixture *fixture, struct test_link *link, const char *host_id,
                    uint32_t slots, const char *offers, const char *token,
                    const struct held_task *held, size_t held_count);
/* Connects a new host and reads its Welcome. */
struct host_session *connect_host(struct fixture *fixture, struct test_link *link,
                                  const char *host_id, uint32_t slots, const char *offers);

struct task_ref task_number(uint32_t number);
struct held_task held_number(uint32_t number, uint32_t epoch);
struct host_message host_says(enum host_message_kind kind, uint64_t seq, uint32_t task,
                              uint32_t epoch);
enum host_receipt receive(struct fixture *fixture, struct test_link *link,
                          enum host_message_kind kind, uint64_t seq, uint32_t task, uint32_t epoch);
/* Gives the task to whoever is picked for the name; NULL: nobody. */
struct host_session *dispatch(struct fixture *fixture, const char *name, uint32_t task,
                              uint32_t epoch);
void acknowledge(struct fixture *fixture, struct test_link *link, uint64_t ack);
void disconnect(struct fixture *fixture, struct test_link *link);

#endif
