#include "service/partition/feature.h"

#include "service/partition/state.h"

size_t feature_count(const struct partition *partition)
{
    size_t count = 0;
    while (partition->options.features[count] != NULL) {
        count++;
    }
    return count;
}

const struct feature *feature_at(const struct partition *partition, size_t index, void **ret_self)
{
    const struct feature *feature = partition->options.features[index];
    *ret_self = feature == NULL ? NULL : partition->features[index].self;
    return feature;
}

static size_t index_of(const struct partition *partition, const struct feature *feature)
{
    size_t i = 0;
    while (partition->options.features[i] != feature) {
        assert(partition->options.features[i] != NULL); /* It is one of the partition's. */
        i++;
    }
    return i;
}

void *partition_self(const struct partition *partition, const struct feature *feature)
{
    void *self = partition->features[index_of(partition, feature)].self;
    assert(self != NULL);
    return self;
}

void *partition_room(const struct partition *partition, const struct live_run *run,
                     const struct feature *feature)
{
    assert(feature->run_bytes > 0);
    assert(partition->runs.room_bytes >= feature->run_bytes);
    return (char *)run->rooms + partition->features[index_of(partition, feature)].room;
}

/* Depth first; a feature that is met on the way to itself is a cycle. */
static void check_uses(const struct partition *partition, const struct feature *feature,
                       size_t depth)
{
    assert(depth < PARTITION_FEATURES_MAX); /* A cycle of uses never ends. */
    for (size_t i = 0; feature->uses != NULL && feature->uses[i] != NULL; i++) {
        assert(index_of(partition, feature->uses[i]) < PARTITION_FEATURES_MAX);
        check_uses(partition, feature->uses[i], depth + 1);
    }
}

void features_start(struct partition *partition)
{
    void *self;
    const struct feature *feature;
    size_t room = 0;
    assert(feature_count(partition) <= PARTITION_FEATURES_MAX);
    for (size_t i = 0; (feature = feature_at(partition, i, &self)) != NULL; i++) {
        check_uses(partition, feature, 0);
        partition->features[i].room = room;
        room += (feature->run_bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) *
                sizeof(max_align_t);
    }
    assert(room % sizeof(max_align_t) == 0);
    partition->runs.room_bytes = room;
    for (size_t i = 0; (feature = feature_at(partition, i, &self)) != NULL; i++) {
        assert(feature->name != NULL && feature->start != NULL);
        partition->features[i].self = feature->start(partition);
        assert(partition->features[i].self != NULL);
    }
}

void features_reach(struct partition *partition, enum round_point point)
{
    void *self;
    const struct feature *feature;
    assert(point < ROUND_POINT_COUNT);
    for (size_t i = 0; (feature = feature_at(partition, i, &self)) != NULL; i++) {
        if (feature->at[point] != NULL) {
            feature->at[point](self);
        }
    }
}

bool feature_give(struct partition *partition, struct live_run *run, uint32_t effect)
{
    void *self;
    const struct feature *feature;
    for (size_t i = 0; (feature = feature_at(partition, i, &self)) != NULL; i++) {
        if (feature->give != NULL) {
            return feature->give(self, run, effect);
        }
    }
    assert(false); /* Some feature has the hosts. */
    return false;
}

status features_load(struct partition *partition)
{
    void *self;
    const struct feature *feature;
    for (size_t i = 0; (feature = feature_at(partition, i, &self)) != NULL; i++) {
        if (feature->load != NULL) {
            TRY(feature->load(self));
        }
    }
    return STATUS_OK;
}

void features_stop(struct partition *partition)
{
    void *self;
    for (size_t i = feature_count(partition); i-- > 0;) {
        const struct feature *feature = feature_at(partition, i, &self);
        if (feature->stop != NULL) {
            feature->stop(self);
        }
    }
}
