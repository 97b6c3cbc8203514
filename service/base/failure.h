/*
 * failure: why something that was asked for was not done.
 *
 * The one type for it, from the partition to the wire. The reasons are a closed list: programs look
 * at them, docs/errors.md has a sentence for each (a test compares the two), and none is ever
 * renamed or given another meaning.
 */
#ifndef SERVICE_BASE_FAILURE_H
#define SERVICE_BASE_FAILURE_H

#include "service/base/arena.h"

enum reason {
    REASON_NONE,
    REASON_ACK_BEYOND,
    REASON_AGENT_NOT_FOUND,
    REASON_ANSWER_MISFIT,
    REASON_CALLER_GONE,
    REASON_CHILDREN_OPEN,
    REASON_DEFINITION_DELETED,
    REASON_DEFINITION_IN_USE,
    REASON_DRAINING,
    REASON_HELLO_REFUSED,
    REASON_HOST_ID_TAKEN,
    REASON_HOST_NOT_FOUND,
    REASON_IDEMPOTENCY_KEY_REUSED,
    REASON_INVALID_FIELD,
    REASON_INVALID_PROVIDER,
    REASON_INVALID_REQUEST,
    REASON_KEYS_EXHAUSTED,
    REASON_KEY_EXPIRED,
    REASON_KEY_MALFORMED,
    REASON_KEY_MISSING,
    REASON_KEY_NOT_ADMIN,
    REASON_KEY_NOT_FOUND,
    REASON_KEY_REVOKED,
    REASON_KEY_UNKNOWN,
    REASON_LEASE_EXPIRED,
    REASON_LOW_DISK,
    REASON_METHOD_NOT_FOUND,
    REASON_NOT_DURABLE,
    REASON_OTHER_SUSPENSIONS_OPEN,
    REASON_PERMISSION_DENIED,
    REASON_POSITION_AHEAD,
    REASON_PROVIDER_KEY_MISSING,
    REASON_QUEUES_EXHAUSTED,
    REASON_QUEUES_FULL,
    REASON_QUEUE_IN_USE,
    REASON_QUEUE_NOT_FOUND,
    REASON_READ_TOO_LARGE,
    REASON_REQUEST_TOO_LARGE,
    REASON_RUN_DELETED,
    REASON_RUN_ENDED,
    REASON_RUN_NOT_AGENT,
    REASON_RUN_NOT_ENDED,
    REASON_RUN_NOT_FAILED,
    REASON_RUN_NOT_FOUND,
    REASON_RUN_NOT_ROOT,
    REASON_RUN_UNREADABLE,
    REASON_SCHEDULES_EXHAUSTED,
    REASON_SCHEDULE_BUSY,
    REASON_SCHEDULE_KIND,
    REASON_SCHEDULE_NOT_FOUND,
    REASON_SEQUENCE_GAP,
    REASON_SERVER_BUSY,
    REASON_SERVER_SHUTTING_DOWN,
    REASON_SERVICE_NOT_FOUND,
    REASON_SESSION_LOST,
    REASON_SHUTTING_DOWN,
    REASON_STALE_EPOCH,
    REASON_STEP_GAP,
    REASON_STORE_DAMAGED,
    REASON_STORE_REFUSED,
    REASON_SUPERSEDED,
    REASON_SUSPENSION_AMBIGUOUS,
    REASON_SUSPENSION_NOT_FOUND,
    REASON_TOOL_NOT_FOUND,
    REASON_TOO_MANY_ANSWERS,
    REASON_TOO_MANY_INPUTS,
    REASON_TOO_MANY_OPEN,
    REASON_TOO_MANY_WATCHERS,
    REASON_TOPIC_IN_USE,
    REASON_TOPIC_NOT_FOUND,
    REASON_TREE_NOT_ORDERED,
    REASON_TREE_TOO_DEEP,
    REASON_TREE_TOO_LARGE,
    REASON_UNACKNOWLEDGED,
    REASON_UNNUMBERED,
    REASON_WORKFLOW_MISMATCH,
    REASON_WORKFLOW_NOT_FOUND,
    REASON_ZONES_MISSING,
    REASON_COUNT,
};

/* Texts are static or live as long as the request that failed. */
struct failure {
    enum code code; /* CODE_OK: it did not. */
    enum reason reason;
    str field; /* To blame, as a path in the request; empty: none. */
    str message; /* A sentence that says what to do. */
    uint64_t retry_after_ms; /* When to try again; 0: no hint. */
};

/* As it is on the wire: "RUN_NOT_FOUND". Of REASON_NONE: empty. */
const char *reason_name(enum reason reason);

/* False of NULL, too. */
bool failure_happened(const struct failure *failure);

/* With no field and no hint. */
struct failure failure_make(enum code code, enum reason reason, str message);
/* Of a run that was not read: RUN_NOT_FOUND, RUN_UNREADABLE or STORE_DAMAGED. The sentence lives in
 * the arena, or as long as the status. */
struct failure failure_of_run(status why, struct arena *arena);

#endif
