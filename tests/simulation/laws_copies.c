/*
 * Laws of copies: a run whose history is copied in pieces is its source's, fact by fact, and does
 * nothing before it is whole.
 */
#include "service/codec/copy_row.h"
#include "storage/keys.h"
#include "tests/simulation/world.h"

enum {
    LANE_RUNS_MAX = 256, /* Of owed work, in one commit. */
};

/* The rows of a commit come after its records: whether a run that begins in it will be half. */
bool laws_copies_foresees(const struct world *world, uuid id)
{
    struct index_tail tail = copy_row_tail(id);
    struct store_entry entry;
    size_t cursor = 0;
    assert(world->batch != NULL);
    while (store_batch_next(world->batch, &cursor, &entry)) {
        str key;
        if (entry.table == STORE_INDEX && !entry.is_delete && key_read_index(entry.key, &key) &&
            (uint8_t)key.ptr[-1] == INDEX_COPY && str_equal(key, index_tail_str(&tail))) {
            return true;
        }
    }
    return false;
}

void laws_copies_take(struct world *world, uint8_t kind, str tail, const struct store_entry *entry)
{
    uuid id;
    if (kind != INDEX_COPY) {
        return;
    }
    world_expect(world, status_is_ok(copy_key_decode(tail, &id)), "keys-are-readable");
    struct sim_run *run = world_is_well(world) ? world_find_run(world, id) : NULL;
    world_expect(world, run != NULL && run->is_fork, "rows-follow-their-records");
    if (!world_is_well(world)) {
        return;
    }
    run->is_changed = true;
    run->is_half = !entry->is_delete;
    run->is_whole_now = entry->is_delete;
    if (!entry->is_delete) {
        world_expect(world, status_is_ok(copy_row_decode(entry->value, &run->copy)),
                     "rows-are-readable");
        world->counts.pieces_copied++;
    }
}

static void check_facts(struct world *world, const struct sim_run *run,
                        const struct sim_run *source)
{
    uint32_t count =
        run->ledger.events < run->copy.after_seq ? run->ledger.events : run->copy.after_seq;
    for (uint32_t i = 0; i < count; i++) {
        world_expect(world, (source->kinds[i] & 0x7f) == (run->kinds[i] & 0x7f),
                     "a-fork-begins-with-the-facts");
    }
}

void laws_copies_check(struct world *world, struct sim_run *run)
{
    bool is_cut = run->ledger.ended != EVENT_NONE || run->ledger.is_cancelling;
    if (!run->is_half && !run->is_whole_now) {
        return;
    }
    const struct sim_run *source = world_find_run(world, run->copy.source);
    world_expect(world, source != NULL && !source->is_gone, "what-is-copied-stays");
    if (!world_is_well(world)) {
        return;
    }
    if (run->is_half) {
        size_t budget = world->options.owed_max;
        budget = budget == 0 || budget > LANE_RUNS_MAX ? LANE_RUNS_MAX : budget;
        world_expect(world, run->ledger.events <= run->copy.after_seq && run->row.load,
                     "half-a-copy-does-nothing");
        world_expect(world, run->records_put <= budget + 1, "copies-are-made-in-pieces");
    }
    if (run->is_half || !is_cut) {
        check_facts(world, run, source);
    }
    if (run->is_whole_now && !is_cut) {
        world_expect(world,
                     run->ledger.events >= run->copy.after_seq &&
                         run->times[run->copy.after_seq - 1] == run->times[0],
                     "a-copy-is-whole-before-it-goes-on");
        world->counts.copies_in_pieces++;
    }
    if (run->is_whole_now && is_cut) {
        run->was_cut = true;
        world->counts.copies_cut++;
    }
}
