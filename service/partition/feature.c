#include "service/partition/feature.h"

#include "service/partition/state.h"

static const struct feature_slot *slot_of(const struct partition *partition,
                                          const struct feature *feature)
{
    const struct feature_slot *slot = partition->features;
    while (slot->feature != feature) {
        assert(slot->feature != NULL); /* It is one of the partition's. */
        slot++;
    }
    return slot;
}

void *partition_self(const struct partition *partition, const struct feature *feature)
{
    void *self = slot_of(partition, feature)->self;
    assert(self != NULL);
    return self;
}

void *partition_room(const struct partition *partition, const struct live_run *run,
                     const struct feature *feature)
{
    assert(feature->run_bytes > 0);
    assert(partition->runs.room_bytes >= feature->run_bytes);
    return (char *)run->rooms + slot_of(partition, feature)->room;
}

/* Depth first; a feature that is met on the way to itself is a cycle. */
static void check_uses(const struct partition *partition, const struct feature *feature,
                       size_t depth)
{
    assert(depth < PARTITION_FEATURES_MAX); /* A cycle of uses never ends. */
    for (size_t i = 0; feature->uses != NULL && feature->uses[i] != NULL; i++) {
        assert(slot_of(partition, feature->uses[i]) != NULL);
        check_uses(partition, feature->uses[i], depth + 1);
    }
}

void features_start(struct partition *partition)
{
    size_t room = 0;
    for (size_t i = 0; partition->options.features[i] != NULL; i++) {
        const struct feature *feature = partition->options.features[i];
        assert(i < PARTITION_FEATURES_MAX);
        partition->features[i] = (struct feature_slot){.feature = feature, .room = room};
        room += (feature->run_bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) *
                sizeof(max_align_t);
    }
    assert(room % sizeof(max_align_t) == 0);
    partition->runs.room_bytes = room;
    for (struct feature_slot *slot = partition->features; slot->feature != NULL; slot++) {
        assert(slot->feature->name != NULL && slot->feature->start != NULL);
        check_uses(partition, slot->feature, 0);
        slot->self = slot->feature->start(partition);
        assert(slot->self != NULL);
    }
}

void features_reach(struct partition *partition, enum round_point point)
{
    assert(point < ROUND_POINT_COUNT);
    features_each (partition, slot) {
        if (slot->feature->at[point] != NULL) {
            slot->feature->at[point](slot->self);
        }
    }
}

bool feature_give(struct partition *partition, struct live_run *run, uint32_t effect)
{
    features_each (partition, slot) {
        if (slot->feature->give != NULL) {
            return slot->feature->give(slot->self, run, effect);
        }
    }
    assert(false); /* Some feature has the hosts. */
    return false;
}

status features_load(struct partition *partition)
{
    features_each (partition, slot) {
        if (slot->feature->load != NULL) {
            TRY(slot->feature->load(slot->self));
        }
    }
    return STATUS_OK;
}

void features_stop(struct partition *partition)
{
    size_t count = 0;
    features_each (partition, slot) {
        count++;
    }
    while (count-- > 0) {
        const struct feature_slot *slot = &partition->features[count];
        if (slot->feature->stop != NULL) {
            slot->feature->stop(slot->self);
        }
    }
}
