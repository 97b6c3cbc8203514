#include "service/partition/act.h"

#include "service/base/array.h"
#include "service/partition/state.h"

struct act *act_add(struct partition *partition, const struct act_kind *kind, struct live_run *run)
{
    struct acts *acts = &partition->acts;
    assert(kind != NULL && kind->perform != NULL);
    assert(!kind->is_read || kind->abandon == NULL); /* It is carried out all the same. */
    acts->list = array_reserve(acts->list, &acts->capacity, acts->count + 1, sizeof(acts->list[0]));
    assert(acts->count < acts->capacity);
    struct act *act = &acts->list[acts->count++];
    *act = (struct act){.kind = kind, .run = run};
    if (run != NULL) {
        act->run_id = run->state.id;
    }
    return act;
}

static void perform_read(struct partition *partition, const struct act *act)
{
    struct request *request = act->data;
    assert(request != NULL && request->operation->is_read);
    request->operation->handle(partition, request);
}

void act_read(struct partition *partition, struct request *request)
{
    static const struct act_kind kind = {.name = "read", .perform = perform_read, .is_read = true};
    assert(request->operation->is_read);
    act_add(partition, &kind, NULL)->data = request;
}

void acts_perform(struct partition *partition)
{
    struct acts *acts = &partition->acts;
    /* By index: carrying out an act may note another. */
    for (size_t i = 0; i < acts->count; i++) {
        struct act act = acts->list[i];
        assert(act.kind != NULL);
        act.kind->perform(partition, &act);
        arena_reset(&partition->scratch);
    }
    acts->count = 0;
}

void acts_refuse(struct partition *partition)
{
    struct acts *acts = &partition->acts;
    for (size_t i = 0; i < acts->count; i++) {
        if (acts->list[i].kind->is_read) {
            request_refuse(acts->list[i].data);
        }
    }
    acts->count = 0;
}

void acts_abandon(struct partition *partition, const struct failure *failure)
{
    struct acts *acts = &partition->acts;
    size_t kept = 0;
    for (size_t i = 0; i < acts->count; i++) {
        struct act act = acts->list[i];
        if (act.kind->is_read) { /* Until the touched runs have been read again. */
            acts->list[kept++] = act;
        } else if (act.kind->abandon != NULL) {
            act.kind->abandon(partition, &act, failure);
            arena_reset(&partition->scratch);
        }
    }
    assert(kept <= acts->count);
    acts->count = kept;
}
