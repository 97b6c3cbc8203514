/*
 * Laws of trees: what is owed in them, by its rows, and how many of their runs are alive.
 */
#include <stdlib.h>

#include "service/codec/owed_row.h"
#include "tests/simulation/world.h"

/* On disk: service/features/children. */
enum {
    TELL_PARENT = 1,
    CANCEL_BELOW = 2,
    SUCCEED = 3,
    CANCEL_ORPHANS = 4,
};

static void take_owed(struct world *world, str tail, const struct store_entry *entry)
{
    struct owed_key key;
    struct sim_owed owed = {.number = 0};
    bool is_read = status_is_ok(owed_key_decode(tail, &key)) &&
                   (entry->is_delete || status_is_ok(owed_row_decode(entry->value, &owed.row)));
    world_expect(world, is_read, "rows-are-readable");
    if (!world_is_well(world)) {
        return;
    }
    owed.lane = key.lane;
    owed.number = key.number;
    size_t at = 0;
    while (at < world->owed_count &&
           !(uuid_equal(world->owed[at].lane, key.lane) && world->owed[at].number == key.number)) {
        at++;
    }
    if (entry->is_delete) {
        world_expect(world, at < world->owed_count, "what-was-owed-is-done-once");
        if (at < world->owed_count) {
            world->owed[at] = world->owed[--world->owed_count];
        }
        return;
    }
    if (at == world->owed_count) {
        if (world->owed_count == world->owed_capacity) {
            world->owed_capacity = world->owed_capacity == 0 ? 64 : world->owed_capacity * 2;
            world->owed = xrealloc(world->owed, world->owed_capacity * sizeof(world->owed[0]));
        }
        world->owed_count++;
        world->counts.owed++;
    }
    world->owed[at] = owed;
}

static void take_tree(struct world *world, str tail, const struct store_entry *entry)
{
    struct tree_row row = {.live = 0};
    uuid root;
    assert(tail.len == sizeof(root.bytes));
    memcpy(root.bytes, tail.ptr, sizeof(root.bytes));
    struct sim_run *run = world_find_run(world, root);
    world_expect(world, entry->is_delete || status_is_ok(tree_row_decode(entry->value, &row)),
                 "rows-are-readable");
    world_expect(world, run != NULL, "rows-follow-their-records");
    if (world_is_well(world)) {
        run->tree_live = row.live;
    }
}

void laws_owed_take(struct world *world, uint8_t kind, str tail, const struct store_entry *entry)
{
    if (kind == INDEX_OWED) {
        take_owed(world, tail, entry);
    } else if (kind == INDEX_TREE) {
        take_tree(world, tail, entry);
    }
}

static const struct sim_owed *find(const struct world *world, uint32_t kind, uuid target)
{
    for (size_t i = 0; i < world->owed_count; i++) {
        const struct owed_row *row = &world->owed[i].row;
        if (row->kind == kind && uuid_equal(row->target, target)) {
            return &world->owed[i];
        }
    }
    return NULL;
}

bool sim_run_owes_end(const struct world *world, const struct sim_run *child)
{
    return find(world, TELL_PARENT, child->id) != NULL;
}

bool sim_run_owes_cancel(struct world *world, const struct sim_run *child)
{
    const struct sim_run *below = child;
    while (below != NULL && !uuid_is_zero(below->parent)) {
        const struct sim_owed *owed = find(world, CANCEL_BELOW, below->parent);
        if (owed != NULL && memcmp(owed->row.cursor.bytes, below->id.bytes, sizeof(uuid)) < 0) {
            return true;
        }
        if ((below->was_damaged || below->was_unread) &&
            find(world, CANCEL_BELOW, below->id) != NULL) {
            return true; /* Its cancellation came when it could not be read. */
        }
        below = world_find_run(world, below->parent);
    }
    return false;
}

static const struct sim_wait *awaited_by(struct world *world, const struct sim_run *child)
{
    const struct sim_run *parent = world_find_run(world, child->parent);
    return parent == NULL || child->parent_effect == 0 || child->outlives_parent
               ? NULL
               : sim_run_wait_of(parent, child->parent_effect);
}

bool sim_run_is_orphan(struct world *world, const struct sim_run *child)
{
    const struct sim_wait *wait = awaited_by(world, child);
    return wait != NULL && wait->is_failed_with;
}

bool sim_run_may_be_orphan(struct world *world, const struct sim_run *child)
{
    const struct sim_wait *wait = awaited_by(world, child);
    return wait != NULL && !wait->is_open && (!wait->is_settled || wait->is_given_up);
}

bool sim_run_owes_orphan(const struct world *world, const struct sim_run *child)
{
    for (size_t i = 0; i < world->owed_count; i++) {
        const struct owed_row *row = &world->owed[i].row;
        bool is_of_all = uuid_is_zero(row->source) &&
                         memcmp(row->cursor.bytes, child->id.bytes, sizeof(uuid)) < 0;
        if (row->kind == CANCEL_ORPHANS && uuid_equal(row->target, child->parent) &&
            (is_of_all || uuid_equal(row->source, child->id))) {
            return true;
        }
    }
    return false;
}

bool sim_run_is_below_cancelled(struct world *world, const struct sim_run *run)
{
    while (run != NULL && !uuid_is_zero(run->parent)) {
        run = world_find_run(world, run->parent);
        if (run != NULL && run->cancelled != 0) {
            return true;
        }
    }
    return false;
}

bool sim_run_is_below_damaged(struct world *world, const struct sim_run *run)
{
    while (run != NULL && !uuid_is_zero(run->parent)) {
        run = world_find_run(world, run->parent);
        if (run != NULL && run->is_damaged) {
            return true;
        }
    }
    return false;
}

void laws_owed_hear(struct sim_run *run, uuid child)
{
    if (run->heard_count == run->heard_capacity) {
        run->heard_capacity = run->heard_capacity == 0 ? 8 : run->heard_capacity * 2;
        run->heard = xrealloc(run->heard, run->heard_capacity * sizeof(run->heard[0]));
    }
    run->heard[run->heard_count++] = child;
}

static bool has_heard(const struct sim_run *run, uuid child)
{
    for (size_t i = 0; i < run->heard_count; i++) {
        if (uuid_equal(run->heard[i], child)) {
            return true;
        }
    }
    return false;
}

/* It was cancelled with the failed run, and began anew below it or a successor before it. */
static bool is_renewed(struct world *world, const struct sim_run *successor,
                       const struct sim_run *child)
{
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *run = world->runs[i];
        const struct sim_run *parent = world_find_run(world, run->parent);
        bool is_it = parent != NULL && run->started > child->started &&
                     run->parent_effect == child->parent_effect &&
                     run->parent_index == child->parent_index &&
                     str_equal(run->marker, child->marker) &&
                     str_equal(parent->marker, successor->marker);
        if (is_it && (parent == successor || parent->ledger.ended == EVENT_RUN_FAILED)) {
            return child->ledger.ended == EVENT_RUN_CANCELLED;
        }
    }
    return false;
}

/* Among those that the wait was begun for; not one that began anew for another successor. */
static bool names(const struct sim_wait *wait, uuid child)
{
    char text[UUID_TEXT_BYTES];
    uuid_format(child, text);
    return memmem(wait->data.ptr, wait->data.len, text, strlen(text)) != NULL;
}

/* The run that a retry made waits for the children of the one that failed. */
static void check_successor(struct world *world, const struct sim_run *successor)
{
    const struct sim_owed *owed = find(world, SUCCEED, successor->id);
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *child = world->runs[i];
        const struct sim_run *parent = world_find_run(world, child->parent);
        bool is_its = parent != NULL && parent->ledger.ended == EVENT_RUN_FAILED &&
                      str_equal(parent->marker, successor->marker) && child->parent_effect != 0 &&
                      child->started < successor->started && child->ledger.ended != EVENT_NONE;
        const struct sim_wait *wait =
            is_its ? sim_run_wait_of(successor, child->parent_effect) : NULL;
        const struct sim_wait *copied =
            is_its ? sim_run_wait_of(parent, child->parent_effect) : NULL;
        if (wait != NULL && copied != NULL && wait->is_open && wait->kind == EFFECT_CHILDREN &&
            str_equal(wait->data, copied->data) && names(wait, child->id)) {
            bool is_owed = owed != NULL && memcmp(owed->row.cursor.bytes, child->id.bytes, 16) < 0;
            world_expect(world,
                         is_owed || has_heard(successor, child->id) ||
                             sim_run_owes_end(world, child) || is_renewed(world, successor, child),
                         "a-successor-is-told-of-the-children-it-waits-for");
        }
    }
}

void laws_owed_check(struct world *world)
{
    for (size_t i = 0; i < world->run_count; i++) {
        world->runs[i]->tree_counted = 0;
    }
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *run = world->runs[i];
        if (!uuid_is_zero(run->parent) && run->ledger.ended == EVENT_NONE) {
            world_find_run(world, run->root)->tree_counted++;
        }
    }
    for (size_t i = 0; i < world->run_count && world_is_well(world); i++) {
        world_expect(world, world->runs[i]->tree_counted == world->runs[i]->tree_live,
                     "a-trees-row-counts-its-live-runs");
    }
    for (size_t i = 0; i < world->live_count && world_is_well(world); i++) {
        if (world->live[i]->is_fork && !world->live[i]->is_half) {
            check_successor(world, world->live[i]);
        }
    }
}
