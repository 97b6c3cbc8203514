/*
 * trees: how deep a tree of runs is, how many of its runs are alive, in which order things
 * happened.
 *
 * Counts are in memory while they change often; each is read from its row when it is first needed.
 */
#include "service/features/trees/trees.h"

#include <stdlib.h>

#include "service/base/sys.h"
#include "service/base/table.h"
#include "service/codec/level.h"
#include "service/codec/owed_row.h"
#include "service/codec/tree_order.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

enum {
    DEPTH_MAX = 1000, /* Unless the options say otherwise. */
    RUNS_MAX = 100000,
    TREES_IN_MEMORY_MAX = 4096,
    ROWS_A_RUN = 64, /* Of its order, which are deleted in place of a look at a run. */
};

static_assert(DEPTH_MAX < UINT32_MAX, "a depth is 32 bits");

struct tree {
    struct table_link by_root;
    struct tree *next; /* Among all in memory. */
    struct tree *changed_next; /* Among those this round has changed. */
    uuid root;
    uint64_t live;
    uint64_t facts; /* In its order; 0: it has none yet, or never. */
    bool is_changed;
    bool has_row;
};

/* The feature's state. */
struct trees {
    struct partition *partition;
    struct table by_root;
    struct tree *first;
    struct tree *changed;
};

static struct trees *trees_of(const struct partition *partition)
{
    return partition_self(partition, &trees_feature);
}

static bool has_root(const struct table_link *link, const void *root)
{
    return uuid_equal(container_of(link, const struct tree, by_root)->root, *(const uuid *)root);
}

static str row_key(const struct trees *trees, uuid root, char ret[KEY_BYTES_MAX])
{
    struct index_tail tail = tree_row_tail(root);
    return key_index(ret, trees->partition->options.space, INDEX_TREE, index_tail_str(&tail));
}

/* What its row says; none, or one that is damaged: nobody was counted. */
static void read_row(struct trees *trees, struct tree *tree)
{
    char key[KEY_BYTES_MAX];
    str bytes;
    struct tree_row row = {.live = 0};
    struct partition *partition = trees->partition;
    status read = store_get(&partition->store, STORE_INDEX, row_key(trees, tree->root, key),
                            &partition->round_arena, &bytes);
    tree->has_row = status_is_ok(read);
    if (status_is_ok(read)) {
        read = tree_row_decode(bytes, &row);
    }
    if (!status_is_ok(read) && store_may_pass(read)) {
        round_spoil(partition, read);
    } else if (!status_is_ok(read) && read.code != CODE_NOT_FOUND) {
        log_line(LOG_ERROR, "tree_unreadable", "why=\"%s\"; it is counted anew", read.why);
    }
    tree->live = row.live;
}

static bool visit_facts(void *context, str key, str value)
{
    struct tree_facts *facts = context;
    str tail;
    status read = key_read_index(key, &tail) ? tree_facts_decode(tail, value, facts)
                                             : status_make(CODE_DATA_LOSS, "a key is damaged");
    if (!status_is_ok(read)) {
        log_line(LOG_ERROR, "tree_order_unreadable", "why=\"%s\"", read.why);
        facts->count = 0;
    }
    return false;
}

/* The number of the last fact in its order; of one whose last row is damaged, none follows it. */
static uint64_t read_facts(struct trees *trees, uuid root)
{
    char key[KEY_BYTES_MAX];
    struct partition *partition = trees->partition;
    struct index_tail tail = tree_facts_of(root);
    struct tree_facts last = {.number = 0};
    status read = store_scan(
        &partition->store, STORE_INDEX,
        key_index(key, partition->options.space, INDEX_TREE_FACTS, index_tail_str(&tail)),
        STR_EMPTY, true, 1, visit_facts, &last);
    if (!status_is_ok(read)) {
        round_spoil(partition, read);
    }
    return last.count == 0 ? 0 : last.number + last.count - 1;
}

static struct tree *tree_find(struct trees *trees, uuid root)
{
    struct table_link *link = table_find(&trees->by_root, uuid_hash(root), &root);
    if (link != NULL) {
        return container_of(link, struct tree, by_root);
    }
    struct tree *tree = xcalloc(1, sizeof(*tree));
    tree->root = root;
    read_row(trees, tree);
    tree->facts = read_facts(trees, root);
    table_add(&trees->by_root, &tree->by_root, uuid_hash(root));
    tree->next = trees->first;
    trees->first = tree;
    assert(trees->by_root.count > 0);
    return tree;
}

static void change(struct trees *trees, uuid root, bool is_start)
{
    struct tree *tree = tree_find(trees, root);
    assert(!uuid_is_zero(root));
    if (is_start) {
        tree->live++;
    } else if (tree->live > 0) { /* Those of an older release were not counted. */
        tree->live--;
    }
    if (!tree->is_changed) {
        tree->is_changed = true;
        tree->changed_next = trees->changed;
        trees->changed = tree;
    }
}

const struct tree_place *tree_place(const struct partition *partition, const struct live_run *run)
{
    return partition_room(partition, run, &trees_feature);
}

static bool refuse(enum reason reason, str message, struct failure *ret)
{
    assert(reason != REASON_NONE && message.len > 0);
    *ret = failure_make(CODE_RESOURCE_EXHAUSTED, reason, message);
    return false;
}

bool tree_may_grow(struct partition *partition, const struct live_run *run, size_t count,
                   struct arena *arena, struct failure *ret)
{
    const struct partition_options *options = &partition->options;
    const struct tree_place *place = tree_place(partition, run);
    uint32_t depth_max = options->tree_depth_max == 0 ? DEPTH_MAX : options->tree_depth_max;
    size_t runs_max = options->tree_runs_max == 0 ? RUNS_MAX : options->tree_runs_max;
    assert(count > 0);
    if (place->depth >= depth_max) {
        return refuse(REASON_TREE_TOO_DEEP,
                      arena_printf(arena,
                                   "the run is %u runs below its root, the most there may be; let "
                                   "it do the work itself, or start the next one by a call of its "
                                   "own",
                                   (unsigned)place->depth),
                      ret);
    }
    if (tree_find(trees_of(partition), place->root)->live + count > runs_max) {
        return refuse(REASON_TREE_TOO_LARGE,
                      arena_printf(arena,
                                   "%zu runs of one tree may be under way at a time; start more "
                                   "when some have ended",
                                   runs_max),
                      ret);
    }
    return true;
}

uint64_t tree_live(struct partition *partition, uuid root)
{
    return tree_find(trees_of(partition), root)->live;
}

/* ---- The order of what happens. ---- */

static void put_facts(struct trees *trees, struct tree *tree, uuid run, uint32_t first_seq,
                      uint32_t count)
{
    char key[KEY_BYTES_MAX];
    char bytes[TREE_FACTS_BYTES_MAX];
    struct index_tail tail = tree_facts_tail(tree->root, tree->facts + 1);
    struct tree_facts facts = {.run = run, .first_seq = first_seq, .count = count};
    assert(count > 0);
    store_batch_put(
        &trees->partition->batch, STORE_INDEX,
        key_index(key, trees->partition->options.space, INDEX_TREE_FACTS, index_tail_str(&tail)),
        tree_facts_encode(&facts, bytes));
    tree->facts += count;
}

/* The root has its first child: what it was before is what the order begins with. */
static void begin_order(struct trees *trees, struct tree *tree)
{
    struct live_run *root = runs_find(trees->partition, tree->root);
    assert(root != NULL && root->state.seq > 0); /* It decides to start one. */
    struct tree_place *place = partition_room(trees->partition, root, &trees_feature);
    if (place->has_order) {
        place->is_alone = false;
        put_facts(trees, tree, tree->root, 1, root->state.seq);
    }
}

/* Whether a root that was read has no rows in its order. */
static bool has_no_order_yet(struct trees *trees, uuid root)
{
    char key[KEY_BYTES_MAX];
    str row;
    struct partition *partition = trees->partition;
    struct index_tail tail = tree_facts_tail(root, 1);
    const struct table_link *link = table_find(&trees->by_root, uuid_hash(root), &root);
    if (link != NULL) {
        return container_of(link, const struct tree, by_root)->facts == 0;
    }
    status read =
        store_get(&partition->store, STORE_INDEX,
                  key_index(key, partition->options.space, INDEX_TREE_FACTS, index_tail_str(&tail)),
                  &partition->round_arena, &row);
    if (!status_is_ok(read) && store_may_pass(read)) {
        round_spoil(partition, read);
    }
    return read.code == CODE_NOT_FOUND;
}

/* A record of a run with others in its tree. */
static void order(struct trees *trees, const struct live_run *run, struct tree_place *place,
                  uint32_t count)
{
    struct tree *tree = tree_find(trees, place->root);
    bool is_child_of_root = uuid_equal(place->parent, place->root);
    if (tree->facts == 0 && run->state.seq == 0 && is_child_of_root) {
        begin_order(trees, tree);
    }
    place->number = 0;
    if (tree->facts > 0) {
        put_facts(trees, tree, run->state.id, run->state.seq + 1, count);
        place->number = tree->facts;
    }
}

static void record_put(void *self, struct live_run *run, str record, uint32_t count)
{
    struct trees *trees = self;
    struct tree_place *place = partition_room(trees->partition, run, &trees_feature);
    assert(record.len > 0 && count > 0);
    if (!uuid_is_zero(place->parent)) {
        order(trees, run, place, count);
        return;
    }
    if (!place->has_order) {
        return;
    }
    if (run->state.seq == 0) {
        place->is_alone = true;
        store_batch_raise(&trees->partition->batch, LEVEL_ORDER);
    }
    place->is_alone = place->is_alone || has_no_order_yet(trees, place->root);
    if (place->is_alone) {
        place->number = run->state.seq + count;
    } else {
        order(trees, run, place, count);
    }
}

struct erasing {
    struct partition *partition;
    size_t left;
    bool has_more;
};

static bool erase_row(void *context, str key, str value)
{
    struct erasing *erasing = context;
    (void)value;
    erasing->has_more = erasing->left == 0;
    if (!erasing->has_more) {
        erasing->left--;
        store_batch_delete(&erasing->partition->batch, STORE_INDEX, key);
    }
    return !erasing->has_more;
}

status tree_erase_order(struct partition *partition, uuid root, size_t *budget, bool *ret_more)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = tree_facts_of(root);
    struct erasing erasing = {.partition = partition, .left = *budget * ROWS_A_RUN};
    assert(*budget > 0);
    TRY(store_scan(
        &partition->store, STORE_INDEX,
        key_index(key, partition->options.space, INDEX_TREE_FACTS, index_tail_str(&tail)),
        STR_EMPTY, false, SIZE_MAX, erase_row, &erasing));
    *budget = erasing.left / ROWS_A_RUN;
    *ret_more = erasing.has_more;
    return STATUS_OK;
}

/* ---- The feature. ---- */

static void run_begun(void *self, struct live_run *run, const struct run_spec *spec)
{
    const struct trees *trees = self;
    struct tree_place *place = partition_room(trees->partition, run, &trees_feature);
    *place = (struct tree_place){
        .has_order = spec->has_order,
        .root = spec->root,
        .parent = spec->parent,
        .parent_effect = spec->parent_effect,
        .parent_index = spec->parent_index,
        .depth = spec->depth,
        .outlives_parent = spec->options.outlives_parent,
    };
}

static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    struct trees *trees = self;
    const struct tree_place *place = tree_place(trees->partition, run);
    (void)count;
    if (uuid_is_zero(place->parent)) {
        return;
    }
    if (events[0].kind == EVENT_RUN_STARTED) {
        change(trees, place->root, true);
    }
    if (engine_is_terminal(&run->state)) {
        change(trees, place->root, false);
    }
}

/* One below that could not be read was counted; with the root its count goes. */
static void run_deleted(void *self, uuid run, const struct run_spec *spec,
                        const struct run_row *row)
{
    struct trees *trees = self;
    bool has_ended = row != NULL && row->ended_ms != 0;
    if (spec != NULL && !uuid_is_zero(spec->parent) && !has_ended) {
        change(trees, spec->root, false);
    }
    assert(!uuid_is_zero(run));
    bool may_be_root = spec == NULL || uuid_is_zero(spec->parent);
    while (may_be_root && tree_find(trees, run)->live > 0) {
        change(trees, run, false);
    }
}

static void put_rows(void *self)
{
    struct trees *trees = self;
    struct store_batch *batch = &trees->partition->batch;
    while (trees->changed != NULL) {
        struct tree *tree = trees->changed;
        assert(tree->is_changed);
        char key[KEY_BYTES_MAX];
        char bytes[TREE_ROW_BYTES_MAX];
        trees->changed = tree->changed_next;
        tree->changed_next = NULL;
        tree->is_changed = false;
        if (tree->live > 0) {
            const struct tree_row row = {.live = tree->live};
            store_batch_put(batch, STORE_INDEX, row_key(trees, tree->root, key),
                            tree_row_encode(&row, bytes));
        } else if (tree->has_row) {
            store_batch_delete(batch, STORE_INDEX, row_key(trees, tree->root, key));
        }
        tree->has_row = tree->live > 0;
    }
}

static void forget_all(void *self)
{
    struct trees *trees = self;
    while (trees->first != NULL) {
        struct tree *tree = trees->first;
        trees->first = tree->next;
        table_remove(&trees->by_root, &tree->by_root);
        free(tree);
    }
    trees->changed = NULL;
    assert(trees->by_root.count == 0);
}

static void bound(void *self)
{
    struct trees *trees = self;
    assert(trees->changed == NULL);
    if (trees->by_root.count > TREES_IN_MEMORY_MAX) {
        forget_all(trees);
    }
}

static void *start(struct partition *partition)
{
    struct trees *trees = xcalloc(1, sizeof(*trees));
    trees->partition = partition;
    table_init(&trees->by_root, has_root);
    return trees;
}

static void stop(void *self)
{
    struct trees *trees = self;
    forget_all(trees);
    table_fini(&trees->by_root);
    free(trees);
}

const struct feature trees_feature = {
    .name = "trees",
    .run_bytes = sizeof(struct tree_place),
    .start = start,
    .at =
        {
            [ROUND_SEALS] = put_rows,
            [ROUND_FAILED] = forget_all,
            [ROUND_OVER] = bound,
        },
    .run_begun = run_begun,
    .record_put = record_put,
    .after_decision = after_decision,
    .run_deleted = run_deleted,
    .stop = stop,
};
