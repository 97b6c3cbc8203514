#include "service/base/failure.h"

static const char *const names[] = {
    [REASON_NONE] = "",
    [REASON_ACK_BEYOND] = "ACK_BEYOND",
    [REASON_AGENT_NOT_FOUND] = "AGENT_NOT_FOUND",
    [REASON_ANSWER_MISFIT] = "ANSWER_MISFIT",
    [REASON_CALLER_GONE] = "CALLER_GONE",
    [REASON_CHILDREN_OPEN] = "CHILDREN_OPEN",
    [REASON_DEFINITION_DELETED] = "DEFINITION_DELETED",
    [REASON_DEFINITION_IN_USE] = "DEFINITION_IN_USE",
    [REASON_DRAINING] = "DRAINING",
    [REASON_HELLO_REFUSED] = "HELLO_REFUSED",
    [REASON_HOST_ID_TAKEN] = "HOST_ID_TAKEN",
    [REASON_HOST_NOT_FOUND] = "HOST_NOT_FOUND",
    [REASON_IDEMPOTENCY_KEY_REUSED] = "IDEMPOTENCY_KEY_REUSED",
    [REASON_INVALID_FIELD] = "INVALID_FIELD",
    [REASON_INVALID_PROVIDER] = "INVALID_PROVIDER",
    [REASON_INVALID_REQUEST] = "INVALID_REQUEST",
    [REASON_LEASE_EXPIRED] = "LEASE_EXPIRED",
    [REASON_LOW_DISK] = "LOW_DISK",
    [REASON_METHOD_NOT_FOUND] = "METHOD_NOT_FOUND",
    [REASON_NOT_DURABLE] = "NOT_DURABLE",
    [REASON_OTHER_SUSPENSIONS_OPEN] = "OTHER_SUSPENSIONS_OPEN",
    [REASON_PERMISSION_DENIED] = "PERMISSION_DENIED",
    [REASON_POSITION_AHEAD] = "POSITION_AHEAD",
    [REASON_PROVIDER_KEY_MISSING] = "PROVIDER_KEY_MISSING",
    [REASON_QUEUES_EXHAUSTED] = "QUEUES_EXHAUSTED",
    [REASON_QUEUES_FULL] = "QUEUES_FULL",
    [REASON_QUEUE_IN_USE] = "QUEUE_IN_USE",
    [REASON_QUEUE_NOT_FOUND] = "QUEUE_NOT_FOUND",
    [REASON_READ_TOO_LARGE] = "READ_TOO_LARGE",
    [REASON_REQUEST_TOO_LARGE] = "REQUEST_TOO_LARGE",
    [REASON_RUN_DELETED] = "RUN_DELETED",
    [REASON_RUN_ENDED] = "RUN_ENDED",
    [REASON_RUN_NOT_AGENT] = "RUN_NOT_AGENT",
    [REASON_RUN_NOT_ENDED] = "RUN_NOT_ENDED",
    [REASON_RUN_NOT_FAILED] = "RUN_NOT_FAILED",
    [REASON_RUN_NOT_FOUND] = "RUN_NOT_FOUND",
    [REASON_RUN_NOT_ROOT] = "RUN_NOT_ROOT",
    [REASON_RUN_UNREADABLE] = "RUN_UNREADABLE",
    [REASON_SCHEDULES_EXHAUSTED] = "SCHEDULES_EXHAUSTED",
    [REASON_SCHEDULE_BUSY] = "SCHEDULE_BUSY",
    [REASON_SCHEDULE_KIND] = "SCHEDULE_KIND",
    [REASON_SCHEDULE_NOT_FOUND] = "SCHEDULE_NOT_FOUND",
    [REASON_SEQUENCE_GAP] = "SEQUENCE_GAP",
    [REASON_SERVER_BUSY] = "SERVER_BUSY",
    [REASON_SERVER_SHUTTING_DOWN] = "SERVER_SHUTTING_DOWN",
    [REASON_SERVICE_NOT_FOUND] = "SERVICE_NOT_FOUND",
    [REASON_SESSION_LOST] = "SESSION_LOST",
    [REASON_SHUTTING_DOWN] = "SHUTTING_DOWN",
    [REASON_STALE_EPOCH] = "STALE_EPOCH",
    [REASON_STEP_GAP] = "STEP_GAP",
    [REASON_STORE_DAMAGED] = "STORE_DAMAGED",
    [REASON_STORE_REFUSED] = "STORE_REFUSED",
    [REASON_SUPERSEDED] = "SUPERSEDED",
    [REASON_SUSPENSION_AMBIGUOUS] = "SUSPENSION_AMBIGUOUS",
    [REASON_SUSPENSION_NOT_FOUND] = "SUSPENSION_NOT_FOUND",
    [REASON_TOOL_NOT_FOUND] = "TOOL_NOT_FOUND",
    [REASON_TOO_MANY_ANSWERS] = "TOO_MANY_ANSWERS",
    [REASON_TOO_MANY_INPUTS] = "TOO_MANY_INPUTS",
    [REASON_TOO_MANY_OPEN] = "TOO_MANY_OPEN",
    [REASON_TOO_MANY_WATCHERS] = "TOO_MANY_WATCHERS",
    [REASON_TOPIC_IN_USE] = "TOPIC_IN_USE",
    [REASON_TOPIC_NOT_FOUND] = "TOPIC_NOT_FOUND",
    [REASON_TREE_NOT_ORDERED] = "TREE_NOT_ORDERED",
    [REASON_TREE_TOO_DEEP] = "TREE_TOO_DEEP",
    [REASON_TREE_TOO_LARGE] = "TREE_TOO_LARGE",
    [REASON_UNACKNOWLEDGED] = "UNACKNOWLEDGED",
    [REASON_UNNUMBERED] = "UNNUMBERED",
    [REASON_WORKFLOW_MISMATCH] = "WORKFLOW_MISMATCH",
    [REASON_WORKFLOW_NOT_FOUND] = "WORKFLOW_NOT_FOUND",
    [REASON_ZONES_MISSING] = "ZONES_MISSING",
};
static_assert(COUNT_OF(names) == REASON_COUNT);

const char *reason_name(enum reason reason)
{
    assert(reason < REASON_COUNT && names[reason] != NULL);
    return names[reason];
}

bool failure_happened(const struct failure *failure)
{
    if (failure == NULL || failure->code == CODE_OK) {
        return false;
    }
    assert(failure->reason > REASON_NONE && failure->reason < REASON_COUNT);
    return true;
}

struct failure failure_make(enum code code, enum reason reason, str message)
{
    assert(code != CODE_OK);
    assert(reason > REASON_NONE && reason < REASON_COUNT);
    return (struct failure){.code = code, .reason = reason, .message = message};
}

struct failure failure_of_run(status why, struct arena *arena)
{
    assert(!status_is_ok(why));
    if (why.code == CODE_NOT_FOUND) {
        struct failure missing = failure_make(
            CODE_NOT_FOUND, REASON_RUN_NOT_FOUND,
            STR("there is no run with this id; RunService.List shows those there are"));
        missing.field = STR("run_id");
        return missing;
    }
    if (why.code == CODE_DATA_LOSS || why.code == CODE_FAILED_PRECONDITION) {
        return failure_make(
            CODE_DATA_LOSS, REASON_RUN_UNREADABLE,
            arena_printf(arena, "the run cannot be read and is set apart: %s", why.why));
    }
    return failure_make(why.code, REASON_STORE_DAMAGED, str_of(why.why));
}
