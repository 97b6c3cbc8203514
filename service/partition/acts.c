/*
 * acts: what is done in the world, once the events that order it are on disk.
 */
#include <stdlib.h>

#include "service/base/array.h"
#include "service/partition/internal.h"

struct act *act_add(struct partition *partition, enum act_kind kind, struct live_run *run)
{
    partition->acts = array_reserve(partition->acts, &partition->act_capacity, partition->act_count + 1,
                                  sizeof(partition->acts[0]));
    struct act *act = &partition->acts[partition->act_count++];
    *act = (struct act){.kind = kind, .run = run};
    return act;
}

struct failure failure_make(enum code code, const char *reason, str message)
{
    return (struct failure){.code = code, .reason = reason, .message = message};
}

static void request_finish(struct partition *partition, struct request *request)
{
    request->node.next = partition->finished == NULL ? NULL : &partition->finished->node;
    partition->finished = request;
}

void request_answer(struct partition *partition, struct request *request, const struct failure *failure)
{
    if (request->done != NULL) {
        request->done(request, failure);
        return;
    }
    request_finish(partition, request);
}

void request_answer_later(struct partition *partition, struct request *request)
{
    if (request->done == NULL) {
        request_finish(partition, request); /* Its bytes live until the turn's end. */
        return;
    }
    act_add(partition, ACT_ANSWER, NULL)->request = request;
}

void request_fail_later(struct partition *partition, struct request *request,
                        const struct failure *failure)
{
    struct failure *copy = arena_alloc(&request->arena, sizeof(*copy));
    *copy = *failure;
    struct act *act = act_add(partition, ACT_ANSWER, NULL);
    act->request = request;
    act->failure = copy;
}

void request_fail(struct partition *partition, struct request *request, enum code code,
                  const char *reason, const char *message)
{
    struct failure failure = failure_make(code, reason, str_of(message));
    request_answer(partition, request, &failure);
}

void request_fail_run(struct partition *partition, struct request *request, status why)
{
    bool is_missing = why.code == CODE_NOT_FOUND;
    struct failure failure = failure_make(
        why.code, is_missing ? "RUN_NOT_FOUND" : "STORE_DAMAGED",
        is_missing ? STR("there is no run with this id; RunService.List shows those there are")
                   : str_of(why.why));
    failure.field = is_missing ? STR("run_id") : STR_EMPTY;
    request_answer(partition, request, &failure);
}

static void release(struct partition *partition, const struct act *act)
{
    struct task_ref task = {act->run->state.id, act->effect};
    if (act->kind == ACT_CANCEL && act->attempt != 0) {
        hosts_cancel(partition->hosts, task, act->text);
        return;
    }
    hosts_release(partition->hosts, task);
}

static void park(struct partition *partition, struct live_run *run, uint32_t id)
{
    const struct effect *effect = engine_effect(&run->state, id);
    if (effect == NULL || effect->state != EFFECT_READY) {
        return; /* Settled later in the same turn. */
    }
    struct event task;
    status found = command_task(run, id, &partition->scratch, &task);
    struct task_ref ref = {run->state.id, id};
    if (status_is_ok(found)) {
        found = hosts_park(partition->hosts, task_kind_of(run, effect), task.task_requested.name,
                           engine_pin(&run->state, effect), ref);
    }
    if (!status_is_ok(found)) {
        /* The line is full: its run is still there, and its deadline still ends it. */
        runs_recover_later(partition, run, partition->now_ms + RECOVER_AGAIN_MS);
    }
}

static void perform(struct partition *partition, const struct act *act)
{
    switch (act->kind) {
    case ACT_ANSWER:
        request_answer(partition, act->request, act->failure);
        break;
    case ACT_READ:
        query_read(partition, act->request);
        break;
    case ACT_HELLO:
        task_hello(partition, act->request);
        break;
    case ACT_MODEL:
        model_perform(partition, act->run, act->effect, act->attempt);
        break;
    case ACT_GIVE:
        task_give(partition, act);
        break;
    case ACT_PARK:
        park(partition, act->run, act->effect);
        break;
    case ACT_RELEASE:
    case ACT_CANCEL:
        release(partition, act);
        break;
    case ACT_DEALT:
        hosts_dealt(partition->hosts, act->session_number, act->seq);
        break;
    case ACT_REFUSE:
        hosts_refuse(partition->hosts, act->session_number, act->seq, act->text, act->message, NULL);
        break;
    case ACT_PUBLISH:
        watch_publish(partition, act->run, act->record);
        break;
    case ACT_OUTCOME:
        order_outcome(partition, act);
        break;
    case ACT_INTERRUPT:
        hosts_interrupt(partition->hosts, (struct task_ref){act->run->state.id, act->effect},
                        "cancelled");
        break;
    case ACT_ENDED:
        model_forget(partition, act->run);
        watch_ended(partition, act->run);
        query_wait_ended(partition, act->run);
        break;
    }
    arena_reset(&partition->scratch);
}

void acts_perform(struct partition *partition)
{
    /* By index: carrying out an act may note another. */
    for (size_t i = 0; i < partition->act_count; i++) {
        struct act act = partition->acts[i];
        perform(partition, &act);
    }
    partition->act_count = 0;
}

/* The commit failed: nothing that depended on it is done, and who asked is told. */
static void abandon(struct partition *partition, const struct act *act, const struct failure *failure)
{
    switch (act->kind) {
    case ACT_ANSWER:
        request_answer(partition, act->request, failure);
        break;
    case ACT_READ: /* Of a cancellation or a retry: the run as it would have been. */
        request_answer(partition, act->request, failure);
        break;
    case ACT_HELLO:
        act->request->hello.link->vtable->close(act->request->hello.link, failure->code,
                                                failure->reason, failure->message);
        request_answer(partition, act->request, failure);
        break;
    case ACT_GIVE:
        hosts_release(partition->hosts, (struct task_ref){act->run->state.id, act->effect});
        break;
    case ACT_DEALT:
        /* Not acknowledged: the host sends it again when it dials again, which it must. */
        hosts_forget(partition->hosts, act->session_number, act->seq);
        break;
    case ACT_REFUSE:
        hosts_refuse(partition->hosts, act->session_number, act->seq, act->text, act->message, NULL);
        break;
    case ACT_PARK:
        if (!act->run->is_touched) { /* Else its run is read again and recovered. */
            park(partition, act->run, act->effect);
        }
        break;
    case ACT_MODEL:
    case ACT_RELEASE:
    case ACT_CANCEL:
    case ACT_PUBLISH:
    case ACT_ENDED:
    case ACT_OUTCOME:
    case ACT_INTERRUPT:
        break;
    }
    arena_reset(&partition->scratch);
}

/* Mere reads wait until the touched runs have been read again. */
static bool is_mere_read(const struct act *act)
{
    return act->kind == ACT_READ && act->request->kind != REQUEST_CANCEL &&
           act->request->kind != REQUEST_RETRY;
}

void acts_abandon(struct partition *partition, status why)
{
    size_t kept = 0;
    struct failure failure = failure_make(why.code, "STORE_REFUSED", str_of(why.why));
    failure.retry_after_ms = RECOVER_AGAIN_MS;
    for (size_t i = 0; i < partition->act_count; i++) {
        struct act act = partition->acts[i];
        if (is_mere_read(&act)) {
            partition->acts[kept++] = act;
        } else {
            abandon(partition, &act, &failure);
        }
    }
    partition->act_count = kept;
}
