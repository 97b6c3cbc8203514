/*
 * message: what hosts and the server send each other, as plain structs.
 *
 * The wire form is the API's affair (protos/polos/v1/host.proto says what each field means);
 * these structs borrow their bytes for the call they are passed to.
 */
#ifndef SERVICE_HOSTS_MESSAGE_H
#define SERVICE_HOSTS_MESSAGE_H

#include "service/base/base.h"
#include "service/base/failure.h"
#include "service/base/outcome.h"
#include "service/base/payload.h"
#include "service/base/start_options.h"
#include "service/base/uuid.h"

enum task_kind {
    TASK_TOOL,
    TASK_WORKFLOW,
    TASK_CALLBACK, /* Offered as "<agent>/<callback>". */
    TASK_KIND_COUNT,
};

/* A task is an effect of a run. On the wire: "<run uuid>.<effect>". */
struct task_ref {
    uuid run;
    uint32_t effect;
};

enum {
    TASK_ID_BYTES = 48,
};

/* NUL-terminated. */
void task_ref_format(struct task_ref task, char ret[TASK_ID_BYTES]);
/* False: not what task_ref_format() writes. */
bool task_ref_parse(str text, struct task_ref *ret);

/* The same effect of the same run. */
static inline bool task_ref_equal(struct task_ref a, struct task_ref b)
{
    return a.effect == b.effect && uuid_equal(a.run, b.run);
}

struct held_task {
    struct task_ref task;
    uint32_t epoch;
};

struct host_offer {
    enum task_kind kind;
    str name;
};

enum {
    HOST_AGENT_BYTES = 16,
};

/* An agent that a host defines. */
struct host_agent {
    str id;
    uint8_t hash[HOST_AGENT_BYTES]; /* Of the definition. */
};

enum {
    LANGUAGE_BYTES_MAX = 32,
};

struct host_hello {
    str host_id;
    str deployment;
    str language; /* Empty: not said. */
    uint32_t slots;
    const struct host_offer *offers;
    size_t offer_count;
    const struct host_agent *agents;
    size_t agent_count;
    str session; /* Empty: a new one. */
    uint64_t ack; /* Of the message that carried it. */
    const struct held_task *held;
    size_t held_count;
    str user_agent;
};

/* A step that the server does for a task's code. */
enum step_request_kind {
    STEP_REQUEST_SLEEP, /* due_ms or length_ms */
    STEP_REQUEST_SUSPENSION, /* data, answer_schema, length_ms (0: for ever) */
    STEP_REQUEST_START, /* children, waits */
    STEP_REQUEST_EVENT, /* topic, event_type (empty: any), length_ms (0: for ever) */
    STEP_REQUEST_PUBLISH, /* topic, event_type, data */
    STEP_REQUEST_RESUME, /* run, effect or step_key, workflow, data */
    STEP_REQUEST_COUNT,
};

/* A run to be started by a task's code. */
struct host_child {
    unsigned kind; /* RunKind of the API: 1 agent, 2 workflow, 3 tool. */
    str name;
    str input; /* JSON text. */
    str provider_options; /* JSON object; empty: none. */
    struct start_options options;
};

struct host_step_request {
    enum step_request_kind kind;
    uint64_t due_ms; /* An instant; 0: length_ms says when. */
    uint64_t length_ms; /* From when the server takes the step. */
    str data; /* JSON text. */
    str answer_schema; /* Read before, and found good; empty: any JSON answers it. */
    str topic;
    str event_type;
    const struct host_child *children;
    size_t child_count;
    bool waits;
    uuid run;
    uint32_t effect; /* 0: by step_key. */
    str step_key;
    str workflow; /* Empty: not said. */
};

enum host_message_kind {
    HOST_MESSAGE_NONE, /* Only the acknowledgement. */
    HOST_MESSAGE_STEP_DONE,
    HOST_MESSAGE_STEP_REQUEST,
    HOST_MESSAGE_TASK_DONE,
    HOST_MESSAGE_DELTA,
    HOST_MESSAGE_HEARTBEAT,
    HOST_MESSAGE_DRAIN,
    HOST_MESSAGE_PARK,
    HOST_MESSAGE_RELEASE,
    HOST_MESSAGE_CANCEL_SHOWN,
    HOST_MESSAGE_WITHDRAW,
    HOST_MESSAGE_STEP_TRY,
};

struct host_message {
    uint64_t seq; /* 0: unnumbered. */
    uint64_t ack;
    enum host_message_kind kind;
    struct task_ref task; /* All that are about one. */
    uint32_t epoch;
    uint32_t number; /* STEP_DONE, STEP_TRY, CANCEL_SHOWN, WITHDRAW. */
    str key; /* STEP_DONE, STEP_TRY, STEP_REQUEST, WITHDRAW. */
    str text; /* DELTA; RELEASE: why. */
    struct outcome outcome; /* STEP_DONE, STEP_TRY, TASK_DONE. */
    struct kept_state state; /* STEP_DONE, TASK_DONE. */
    bool is_callback; /* TASK_DONE: as a callback ends. */
    bool is_retryable; /* TASK_DONE that failed. */
    bool is_cancelled; /* TASK_DONE: because of the cancellation. */
    bool releases_all; /* DRAIN: what the host holds is given back. */
    uint32_t outcomes_seen; /* PARK. */
    uint32_t facts_seen; /* WITHDRAW. */
    uint32_t try_number; /* STEP_TRY: from 1. */
    uint64_t pause_ms; /* STEP_TRY: before the next. */
    struct host_step_request step_request; /* STEP_REQUEST. */
    str fault; /* STEP_DONE, STEP_TRY, STEP_REQUEST, WITHDRAW: not empty: what is wrong with it; it
                  is refused. */
};

/* What a step is: StepKind in steps.proto. */
enum settled_kind {
    SETTLED_CODE = 1,
    SETTLED_SLEEP,
    SETTLED_SUSPENSION,
    SETTLED_EVENT,
    SETTLED_CHILDREN,
    SETTLED_AT_ONCE,
    SETTLED_CANCEL_SHOWN, /* No step; nor is this: */
    SETTLED_WITHDRAWN,
    SETTLED_TRY,
};

/* A fact of a task: a step, a wait, or a child that a wait counts. */
struct settled_step {
    str key; /* Of a child: its wait's. */
    struct outcome outcome; /* Of a child: its value is the child's place in the wait's. */
    bool is_step_request;
    enum settled_kind kind;
    bool is_child;
    uint32_t index; /* Of a child. */
    bool has_children; /* Of a wait: its value is made of those of its children. */
    uint32_t wait; /* The effect, of waits and children; not on the wire. */
    uint32_t facts_seen; /* WITHDRAWN. */
    uint32_t retry_count; /* WITHDRAWN. */
    uint32_t try_number; /* TRY. */
    uint64_t pause_ms; /* TRY: what is left of it. */
    uint32_t steps_before; /* Of a step request: facts that hosts told before it. */
};

struct facts_cursor; /* facts.h */

/* A piece of what was settled. */
struct host_facts {
    struct task_ref task;
    uint32_t epoch;
    uint32_t first; /* Facts told before it. */
    const struct settled_step *facts;
    size_t count;
    bool is_last;
    struct kept_state state; /* With the last of a task. */
};

/* What a callback is asked about: CallbackCall in host.proto. */
struct host_callback {
    uint32_t phase; /* CallbackPhase of the API. */
    uint32_t index;
    uint32_t replies; /* Of the model, so far. */
    str call_id; /* Empty: it is about no tool call. */
    str tool;
    str arguments;
    bool has_outcome; /* The call has ended. */
    struct outcome outcome;
    str result; /* JSON text; empty: none. */
};

/* Work for a host. */
struct host_task {
    struct task_ref task;
    uint32_t epoch;
    enum task_kind kind;
    str name;
    str input;
    str input_type; /* What hosts need beside it; empty: nothing. */
    const struct settled_step *steps;
    size_t step_count;
    uint64_t timeout_ms; /* 0: none. */
    str agent_id;
    str call_id;
    str session_id;
    str user_id;
    str conversation_id;
    uuid root;
    uint32_t settled_count; /* Of `steps`, those that its hosts told. */
    bool is_cancelling;
    struct kept_state state;
    uint32_t retry_count;
    uuid parent; /* Zero: none. */
    str root_name;
    uint64_t created_ms;
    struct host_callback callback; /* Of that kind. */
    const struct facts_cursor *more; /* Its steps and its state follow in pieces; NULL: are here. */
};

enum server_message_kind {
    SERVER_MESSAGE_ACK, /* Only the acknowledgement. */
    SERVER_MESSAGE_WELCOME,
    SERVER_MESSAGE_TASK,
    SERVER_MESSAGE_CANCEL,
    SERVER_MESSAGE_STOP,
    SERVER_MESSAGE_YIELD,
    SERVER_MESSAGE_DRAIN,
    SERVER_MESSAGE_REFUSED,
    SERVER_MESSAGE_OUTCOME,
    SERVER_MESSAGE_FACTS, /* Not numbered. */
};

/* Why a task is no longer its host's: StopTask.Reason in host.proto. */
enum stop_reason {
    STOP_RUN_ENDED = 1,
    STOP_DEADLINE,
    STOP_LEASE_LOST,
};

struct server_message {
    uint64_t seq; /* 0: unnumbered. */
    uint64_t ack;
    uint64_t settled; /* Steps that had been made durable when it was packed: a count. */
    enum server_message_kind kind;
    struct {
        str session;
        bool resumed;
        uint64_t lease_ms;
        uint64_t heartbeat_ms;
        const struct held_task *lost;
        size_t lost_count;
    } welcome;
    const struct host_task *task; /* TASK. */
    struct held_task cancelled; /* CANCEL, STOP, YIELD. */
    uint64_t grace_ms; /* CANCEL: how long its code may take to end; 0: not said. */
    enum stop_reason stop; /* STOP. */
    str cause; /* DRAIN. */
    struct {
        uint64_t seq;
        enum reason reason;
        str message;
        struct task_ref task;
        bool has_task;
        bool is_task_gone; /* It is not the host's any more. */
    } refused;
    struct {
        struct task_ref task;
        str key; /* Empty, with `more`. */
        enum settled_kind kind;
        struct outcome outcome;
        uint32_t steps_before; /* Facts that hosts told before it. */
        const struct facts_cursor *more; /* What is to be told follows in pieces; NULL: is here. */
    } outcome;
    const struct host_facts *facts; /* FACTS. */
};

/* One open stream of a host, given by the API. */
struct host_link;
struct host_session;

struct host_link_vtable {
    struct payload *(*pack)(const struct server_message *message);
    /* Takes one reference of the payload; never blocks. It may keep it until flush(). */
    void (*send)(struct host_link *link, struct payload *payload);
    /* What was sent goes out now, together. Optional. Also before close(). */
    void (*flush)(struct host_link *link);
    /* Whether the stream takes another message now. Once it said no, hosts_writable() follows. */
    bool (*has_room)(const struct host_link *link);
    /* Ends the stream; no call follows. */
    void (*close)(struct host_link *link, enum code code, enum reason reason, str message);
};

struct host_link {
    const struct host_link_vtable *vtable;
    /* NULL at first; set by hosts_hello(), NULL again once the link was closed or its session is
     * over. What still arrives from a link without a session is dropped. */
    struct host_session *session;
};

#endif
