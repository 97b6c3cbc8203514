/* What the code of tasks asks of the server and waits for. */
#include "service/engine/draft.h"

static void settle_wait(struct draft *draft, const struct effect *wait, str key,
                        const struct outcome *outcome, str by)
{
    draft_emit(draft, (struct event){
                          .kind = EVENT_WAIT_SETTLED,
                          .effect = wait->id,
                          .wait_settled = {.kind = wait->kind,
                                           .owner = wait->owner,
                                           .key = key,
                                           .outcome = *outcome,
                                           .by = by},
                      });
}

static uint32_t wait_count(const struct run *run)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->effect_count; i++) {
        count += effect_is_wait(&run->effects[i]);
    }
    return count;
}

/* One more is done at once, always. */
static bool has_room(const struct run *run)
{
    return wait_count(run) < ENGINE_WAITS_MAX && run->effect_count + 1 < ENGINE_EFFECTS_MAX;
}

bool engine_may_wait(const struct run *run)
{
    return !run->is_cancelling && has_room(run);
}

enum verdict decide_step_request(struct draft *draft, const struct command *command)
{
    const struct effect *task = engine_effect(&draft->run, command->effect);
    uint64_t key = engine_key(command->step_request.key);
    if (task->state != EFFECT_LEASED) {
        return VERDICT_STALE;
    }
    if (engine_wait(&draft->run, task->id, key) != NULL) {
        return VERDICT_DONE_BEFORE;
    }
    assert(effect_kind_is_step_request((uint32_t)command->step_request.kind));
    bool is_wait = command->step_request.kind != EFFECT_AT_ONCE;
    assert(is_wait || command->step_request.is_settled);
    bool is_full = !has_room(&draft->run);
    struct outcome refusal = draft_failure(
        STR("TOO_MANY_WAITS"), STR("the run waits for as much as it may at once (32); wait for "
                                   "some of it before more"));
    if (draft->run.is_cancelling) {
        refusal = draft_failure(STR("CANCELLED"), STR("the run is being cancelled: its code may "
                                                      "clean up, but not wait"));
    }
    bool is_refused =
        is_wait && !command->step_request.is_settled && (is_full || draft->run.is_cancelling);
    uint32_t id = draft->run.effect_next;
    draft_emit(draft, (struct event){
                          .kind = EVENT_WAIT_SET,
                          .effect = id,
                          .wait_set = {.kind = command->step_request.kind,
                                       .owner = task->id,
                                       .key = command->step_request.key,
                                       .data = command->step_request.data,
                                       .due_ms = command->step_request.due_ms,
                                       .children = command->step_request.children,
                                       .answer_schema = command->step_request.answer_schema,
                                       .kept_misfit = command->step_request.kept_misfit},
                      });
    if (is_refused || command->step_request.is_settled) {
        const struct outcome *outcome = is_refused ? &refusal : &command->step_request.outcome;
        settle_wait(draft, engine_effect(&draft->run, id), command->step_request.key, outcome,
                    command->step_request.by);
    }
    return VERDICT_OK;
}

enum verdict decide_resume(struct draft *draft, const struct command *command)
{
    uint64_t key = engine_key(command->resume.key);
    const struct effect *wait = command->effect == 0 ? engine_suspension(&draft->run, key)
                                                     : engine_effect(&draft->run, command->effect);
    bool is_it = wait != NULL && wait->kind == EFFECT_SUSPENSION && wait->key == key;
    if (!is_it && (wait != NULL || command->effect != 0)) {
        return VERDICT_STALE;
    }
    if (wait != NULL) {
        const struct effect found = *wait;
        struct outcome outcome = {.value = command->resume.data};
        settle_wait(draft, &found, command->resume.key, &outcome, command->resume.by);
        return VERDICT_OK;
    }
    if (engine_has_kept(&draft->run, key)) {
        return VERDICT_DONE_BEFORE;
    }
    if (draft->run.kept_count == ENGINE_KEPT_MAX || draft->run.is_cancelling) {
        return VERDICT_REFUSED;
    }
    draft_emit(draft, (struct event){
                          .kind = EVENT_RESUME_KEPT,
                          .resume_kept = {.key = command->resume.key,
                                          .data = command->resume.data,
                                          .by = command->resume.by},
                      });
    return VERDICT_OK;
}

enum verdict decide_wait_done(struct draft *draft, const struct command *command)
{
    const struct effect *wait = engine_effect(&draft->run, command->effect);
    if (wait->kind != EFFECT_EVENT) {
        return VERDICT_REFUSED;
    }
    const struct effect found = *wait;
    settle_wait(draft, &found, STR_EMPTY, &command->wait_done.outcome, STR_EMPTY);
    return VERDICT_OK;
}

enum verdict decide_child_done(struct draft *draft, const struct command *command)
{
    const struct effect *wait = engine_effect(&draft->run, command->effect);
    if (wait->kind != EFFECT_CHILDREN) {
        return VERDICT_REFUSED;
    }
    const struct effect found = *wait;
    draft_emit(draft, (struct event){
                          .kind = EVENT_CHILD_SETTLED,
                          .effect = command->effect,
                          .child_settled = {.index = command->child_done.index,
                                            .child = command->child_done.child,
                                            .outcome = command->child_done.outcome,
                                            .account = command->child_done.account},
                      });
    if (found.children_left == 1) {
        struct outcome all = {0};
        settle_wait(draft, &found, STR_EMPTY, &all, STR_EMPTY);
    }
    return VERDICT_OK;
}

void draft_withdraw_wait(struct draft *draft, const struct effect *wait, str key)
{
    const struct effect found = *wait;
    struct outcome outcome =
        draft_failure(STR(ENGINE_WITHDRAWN), STR("the code that waited for it gave it up"));
    settle_wait(draft, &found, key, &outcome, STR_EMPTY);
}

void draft_end_wait(struct draft *draft, const struct effect *wait)
{
    struct outcome outcome = {.value = STR("null")};
    if (wait->kind != EFFECT_SLEEP) {
        outcome = draft_failure(STR("TIMEOUT"), STR("nothing came before the step's timeout"));
    }
    settle_wait(draft, wait, STR_EMPTY, &outcome, STR_EMPTY);
}
