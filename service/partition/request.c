#include "service/partition/request.h"

#include <stdlib.h>

#include "service/partition/state.h"

struct request *request_new(const struct operation *operation)
{
    assert(operation->request_bytes >= sizeof(struct request));
    assert(operation->handle != NULL && operation->name != NULL);
    struct request *request = xcalloc(1, operation->request_bytes);
    request->operation = operation;
    request->principal = principal_server();
    arena_init_small(&request->arena);
    return request;
}

void request_free(struct request *request)
{
    arena_fini(&request->arena);
    free(request);
}

static void finish(struct partition *partition, struct request *request)
{
    assert(request->done == NULL); /* Else it is freed by whoever that belongs to. */
    request->node.next =
        partition->requests.finished == NULL ? NULL : &partition->requests.finished->node;
    partition->requests.finished = request;
}

void request_answer(struct partition *partition, struct request *request,
                    const struct failure *failure)
{
    assert(failure == NULL || failure->code != CODE_OK);
    if (request->done != NULL) {
        request->done(request, failure);
        return;
    }
    finish(partition, request);
}

struct answer {
    struct request *request;
    const struct failure *failure; /* NULL, or in the request's arena. */
};

static void perform_answer(struct partition *partition, const struct act *act)
{
    const struct answer *answer = act->data;
    request_answer(partition, answer->request, answer->failure);
}

static void abandon_answer(struct partition *partition, const struct act *act,
                           const struct failure *failure)
{
    const struct answer *answer = act->data;
    request_answer(partition, answer->request, failure);
}

static void answer_later(struct partition *partition, struct request *request,
                         const struct failure *failure)
{
    static const struct act_kind kind = {
        .name = "answer", .perform = perform_answer, .abandon = abandon_answer};
    assert(failure == NULL || failure->reason != REASON_NONE);
    struct answer *answer = arena_alloc(&partition->round_arena, sizeof(*answer));
    *answer = (struct answer){request, failure};
    act_add(partition, &kind, NULL)->data = answer;
}

void request_answer_later(struct partition *partition, struct request *request)
{
    if (request->done == NULL) {
        finish(partition, request); /* Its bytes live until the round's end. */
        return;
    }
    answer_later(partition, request, NULL);
}

void request_fail_later(struct partition *partition, struct request *request,
                        const struct failure *failure)
{
    assert(failure != NULL);
    struct failure *copy = arena_alloc(&request->arena, sizeof(*copy));
    *copy = *failure;
    answer_later(partition, request, copy);
}

void request_fail(struct partition *partition, struct request *request, enum code code,
                  enum reason reason, const char *message)
{
    struct failure failure = failure_make(code, reason, str_of(message));
    request_answer(partition, request, &failure);
}

void request_fail_run(struct partition *partition, struct request *request, status why)
{
    assert(!status_is_ok(why));
    struct failure failure = failure_of_run(why, &request->arena);
    request_answer(partition, request, &failure);
}

void request_refuse(struct request *request)
{
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN,
                     STR("the server is shutting down; try again in a moment"));
    if (request->done != NULL) {
        request->done(request, &failure);
    } else {
        request_free(request);
    }
}
