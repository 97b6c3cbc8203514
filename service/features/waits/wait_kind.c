#include "service/features/waits/wait_kind.h"

#include "service/partition/state.h"

const struct wait_kind *wait_kind_of(const struct partition *partition, enum effect_kind kind)
{
    assert(kind < EFFECT_KIND_COUNT);
    for (size_t i = 0; kind != EFFECT_AT_ONCE && partition->options.features[i] != NULL; i++) {
        const struct wait_kind *const *rows = partition->options.features[i]->wait_kinds;
        for (size_t j = 0; rows != NULL && rows[j] != NULL; j++) {
            if (rows[j]->kind == kind) {
                return rows[j];
            }
        }
    }
    return NULL;
}

enum settled_kind wait_kind_settled(const struct partition *partition, enum effect_kind kind)
{
    assert(effect_kind_is_step_request(kind));
    const struct wait_kind *row = wait_kind_of(partition, kind);
    assert(row == NULL || row->settled != 0);
    return row == NULL ? SETTLED_AT_ONCE : row->settled;
}
