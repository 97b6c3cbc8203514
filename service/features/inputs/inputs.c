/*
 * inputs: what is said to an agent's run while it is at work.
 *
 * An input is a fact of its run; when its model is told, the engine says.
 */
#include "service/features/inputs/inputs.h"

#include "service/partition/commands.h"
#include "service/partition/journal.h"
#include "service/partition/state.h"

static_assert(offsetof(struct send_request, request) == 0, "a request begins its struct");

struct search {
    struct send_request *send;
    bool has_other; /* The key was used for another input. */
};

static bool visit(void *context, uint32_t seq, const struct event *event)
{
    struct search *search = context;
    struct send_request *send = search->send;
    (void)seq;
    assert(event->kind == EVENT_INPUT_ACCEPTED);
    if (!str_equal(event->input_accepted.key, send->key)) {
        return true;
    }
    send->ret_existed = str_equal(event->input_accepted.data, send->data);
    send->ret_number = event->input_accepted.number;
    search->has_other = !send->ret_existed;
    return false;
}

/* By the facts of an agent's run, which are all in memory. */
static struct search find_sent(const struct live_run *run, struct send_request *send)
{
    struct search search = {.send = send};
    assert(run->state.kind == RUN_KIND_AGENT);
    for (size_t i = 0; send->key.len > 0 && i < run->record_count; i++) {
        status read = journal_record(run->records[i], JOURNAL_KIND(EVENT_INPUT_ACCEPTED),
                                     &send->request.arena, visit, &search);
        (void)read; /* It is one we keep and have read before. */
    }
    return search;
}

static void refuse(struct partition *partition, struct request *request, enum code code,
                   enum reason reason, const char *field, const char *why)
{
    struct failure failure = failure_make(code, reason, str_of(why));
    failure.field = str_of(field);
    request_fail_later(partition, request, &failure);
}

static void submit(struct partition *partition, struct live_run *run, struct send_request *send)
{
    struct command command = {.kind = COMMAND_INPUT,
                              .input = {.data = send->data, .key = send->key}};
    enum verdict verdict = command_submit(partition, run, &command);
    if (verdict == VERDICT_REFUSED) {
        static_assert(ENGINE_INPUTS_MAX == 32, "the sentence says so");
        refuse(partition, &send->request, CODE_RESOURCE_EXHAUSTED, REASON_TOO_MANY_INPUTS, "run_id",
               "32 inputs wait for the run's next turn; send more when it has taken them up");
        return;
    }
    assert(verdict == VERDICT_OK);
    send->ret_number = run->state.inputs_accepted;
    request_answer_later(partition, &send->request);
}

static void handle_send(struct partition *partition, struct request *request)
{
    struct send_request *send = send_request(request);
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (engine_is_terminal(&run->state)) {
        refuse(partition, request, CODE_FAILED_PRECONDITION, REASON_RUN_ENDED, "run_id",
               "the run has ended and can no longer be told anything");
        return;
    }
    if (run->state.kind != RUN_KIND_AGENT) {
        refuse(
            partition, request, CODE_FAILED_PRECONDITION, REASON_RUN_NOT_AGENT, "run_id",
            "only an agent's run can be told something; publish an event or resume a suspension");
        return;
    }
    struct search search = find_sent(run, send);
    if (search.has_other) {
        refuse(partition, request, CODE_ALREADY_EXISTS, REASON_IDEMPOTENCY_KEY_REUSED,
               "idempotency_key", "the key was used for another input of this run; use a new one");
    } else if (send->ret_existed) {
        request_answer_later(partition, request); /* It may have come in this very batch. */
    } else {
        submit(partition, run, send);
    }
}

const struct operation send_operation = {
    .name = "send",
    .request_bytes = sizeof(struct send_request),
    .handle = handle_send,
};

static void *start(struct partition *partition)
{
    return partition; /* It has no state. */
}

static const struct feature *const uses[] = {NULL};

const struct feature inputs_feature = {
    .name = "inputs",
    .uses = uses,
    .start = start,
};
