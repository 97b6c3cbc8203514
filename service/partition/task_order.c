#include "service/partition/task_order.h"

#include "service/hosts/placement.h"
#include "service/partition/journal.h"
#include "service/partition/runs.h"

enum task_kind task_order_kind(const struct live_run *run, const struct effect *effect)
{
    if (effect->kind == EFFECT_CALLBACK) {
        return TASK_CALLBACK;
    }
    bool is_workflow = effect->kind == EFFECT_BODY && run->state.kind == RUN_KIND_WORKFLOW;
    return is_workflow ? TASK_WORKFLOW : TASK_TOOL;
}

struct task_search {
    uint32_t effect;
    struct event *ret;
    bool found;
};

static bool find_task(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct task_search *search = context;
    if (event->effect == search->effect) {
        *search->ret = *event;
        search->found = true;
    }
    return !search->found;
}

status task_order_find(const struct live_run *run, uint32_t effect, struct arena *arena,
                       struct event *ret)
{
    struct task_search search = {.effect = effect, .ret = ret};
    for (size_t i = run->record_count; i > 0 && !search.found; i--) {
        TRY(journal_record(run->records[i - 1], JOURNAL_KIND(EVENT_TASK_REQUESTED), arena,
                           find_task, &search));
    }
    return search.found ? STATUS_OK
                        : status_make(CODE_DATA_LOSS, "the journal lacks a task it ordered");
}

str task_order_offer(const struct live_run *run, const struct event *order, struct arena *arena)
{
    assert(order->kind == EVENT_TASK_REQUESTED);
    str name = order->task_requested.name;
    return order->task_requested.kind == EFFECT_CALLBACK
               ? arena_printf(arena, "%s/" STR_FMT, run->name, STR_ARG(name))
               : name;
}
