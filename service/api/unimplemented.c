#include "service/api/handlers.h"

/* What this release does not do, and what to do meanwhile. */
static const struct {
    const char *path;
    const char *sentence;
} rows[] = {
    {"/polos.v1.RunService/Fork",
     "Forking a run is not part of this release; start a new run with the input of the old one, "
     "which RunService.Get shows."},
    {"/polos.v1.RunService/Retry",
     "Retrying a failed run is not part of this release; start a new run with the same input and "
     "another idempotency key."},
    {"/polos.v1.SuspendService/List",
     "Suspensions are not part of this release: no run can be suspended, so there is nothing to "
     "list; RunService.List shows what runs wait for."},
    {"/polos.v1.SuspendService/Get",
     "Suspensions are not part of this release: no run can be suspended; RunService.Get shows "
     "what a run waits for."},
    {"/polos.v1.SuspendService/Resume",
     "Suspensions are not part of this release: no run can be suspended; let a tool wait for the "
     "answer meanwhile, its run is durable."},
};

static const char *sentence_of(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(rows[i].path, path) == 0) {
            return rows[i].sentence;
        }
    }
    return NULL;
}

bool unimplemented_knows(const char *path)
{
    return sentence_of(path) != NULL;
}

void unimplemented_start(struct api_call *call, const ProtobufCMessage *request)
{
    (void)request;
    const char *sentence = sentence_of(call->method->path);
    assert(sentence != NULL);
    struct api_error error = {
        .code = CODE_UNIMPLEMENTED,
        .reason = "NOT_IN_THIS_RELEASE",
        .message = str_of(sentence),
    };
    api_call_fail(call, &error);
}
