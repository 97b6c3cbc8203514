/*
 * Goal: whoever follows a tree is shown the facts of all its runs in the tree's order, from any
 *       number on, a page at a time; a root that started no run is its own order; a tree has ended
 *       when its root has and none is left below; what cannot be followed is refused by name.
 * Method: runs and rows of their order written by hand, replays of them that note what they show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/codec/owed_row.h"
#include "service/reads/tree_replay.h"
#include "tests/unit/reads/shelf.h"

enum {
    STEPS = 700, /* More than a page has rows. */
    FACTS_MAX = 4 * STEPS,
};

static const uuid root_id = {.bytes = {1}};
static const uuid child_id = {.bytes = {2}};

struct tree {
    struct shelf shelf;
    struct run root;
    struct run child;
    uint64_t facts; /* In its order. */
};

static struct noted {
    uuid run[FACTS_MAX];
    uint32_t seq[FACTS_MAX];
    uint64_t first;
    uint64_t count;
    uint64_t stop_at; /* It takes no more then. */
    bool skips; /* Numbers may be missing. */
} noted;

static bool note(struct tree_replay *replay, uuid run, uint64_t number,
                 const struct codec_entry *entry, const struct event *event)
{
    (void)event;
    assert_int_equal(number, replay->number);
    noted.first = noted.count == 0 ? number : noted.first;
    assert_true(noted.skips || number == noted.first + noted.count);
    noted.run[noted.count] = run;
    noted.seq[noted.count++] = entry->seq;
    return noted.stop_at == 0 || number < noted.stop_at;
}

static void start(struct tree *tree, struct run *run, uuid id, bool has_order)
{
    struct event begin[2] = {
        {.kind = EVENT_RUN_STARTED,
         .time_ms = 5,
         .run_started = {.id = id,
                         .spec = {.kind = RUN_KIND_WORKFLOW,
                                  .name = STR("flow"),
                                  .input = STR("null"),
                                  .root = root_id,
                                  .has_order = has_order,
                                  .turns_max = 1}}},
        {.kind = EVENT_TASK_REQUESTED,
         .effect = 1,
         .task_requested = {.kind = EFFECT_BODY, .name = STR("flow")}},
    };
    if (!uuid_equal(id, root_id)) {
        begin[0].run_started.spec.parent = root_id;
    }
    engine_init(run);
    shelf_put(&tree->shelf, run, begin, 2);
    struct event lease = {.kind = EVENT_LEASE_GRANTED, .effect = 1, .attempt = 1};
    shelf_put(&tree->shelf, run, &lease, 1);
    shelf_put_row(&tree->shelf, run, "flow");
}

static void step(struct tree *tree, struct run *run)
{
    struct event step = {.kind = EVENT_STEP_SETTLED, .effect = 1, .attempt = 1};
    step.step_settled.number = engine_effect(run, 1)->steps + 1;
    step.step_settled.key = STR("key");
    step.step_settled.outcome.value = STR("1");
    shelf_put(&tree->shelf, run, &step, 1);
}

static void finish(struct tree *tree, struct run *run)
{
    struct event end[2] = {{.kind = EVENT_TASK_SETTLED, .effect = 1, .attempt = 1},
                           {.kind = EVENT_RUN_COMPLETED}};
    end[1].run_completed.stop_reason = STR("end");
    shelf_put(&tree->shelf, run, end, 2);
    shelf_put_row(&tree->shelf, run, "flow");
}

static void order(struct tree *tree, const struct run *run, uint32_t first_seq)
{
    const struct tree_facts facts = {.number = tree->facts + 1,
                                     .run = run->id,
                                     .first_seq = first_seq,
                                     .count = run->seq + 1 - first_seq};
    char bytes[TREE_FACTS_BYTES_MAX];
    struct index_tail tail = tree_facts_tail(root_id, facts.number);
    shelf_put_tail(&tree->shelf, INDEX_TREE_FACTS, &tail, tree_facts_encode(&facts, bytes));
    tree->facts += facts.count;
}

/* How many runs below the root live. */
static void live(struct tree *tree, uint64_t count)
{
    char bytes[TREE_ROW_BYTES_MAX];
    struct index_tail tail = tree_row_tail(root_id);
    const struct tree_row row = {.live = count};
    shelf_put_tail(&tree->shelf, INDEX_TREE, &tail, tree_row_encode(&row, bytes));
}

/* Root and child take turns. */
static void set_up(struct tree *tree)
{
    *tree = (struct tree){.facts = 0};
    shelf_init(&tree->shelf);
    start(tree, &tree->root, root_id, true);
    order(tree, &tree->root, 1);
    start(tree, &tree->child, child_id, false);
    order(tree, &tree->child, 1);
    for (uint32_t i = 1; i <= STEPS; i++) {
        struct run *run = i % 3 == 0 ? &tree->root : &tree->child;
        step(tree, run);
        order(tree, run, run->seq);
    }
}

static void tear_down(struct tree *tree)
{
    shelf_fini(&tree->shelf);
}

static struct tree_replay *replay(struct tree *tree, uuid run, uint64_t number, uint64_t stop_at)
{
    struct read *read = read_new(&tree_replay_kind);
    noted.count = 0;
    noted.stop_at = stop_at;
    read->run = run;
    tree_replay(read)->number = number;
    tree_replay(read)->show = note;
    shelf_read(&tree->shelf, read);
    return tree_replay(read);
}

static void facts_come_in_the_trees_order(void **state)
{
    (void)state;
    struct tree tree;
    set_up(&tree);
    struct tree_replay *it = replay(&tree, root_id, 0, 0);
    uint32_t root_seq = 0;
    uint32_t child_seq = 0;
    assert_int_equal(tree.shelf.failure.code, CODE_OK);
    assert_int_equal(noted.count, tree.facts);
    for (size_t i = 0; i < noted.count; i++) {
        bool is_root = uuid_equal(noted.run[i], root_id);
        assert_int_equal(noted.seq[i], ++*(is_root ? &root_seq : &child_seq));
        bool is_roots_turn = i < 3 || (i >= 6 && (i - 5) % 3 == 0);
        assert_int_equal(is_root, is_roots_turn);
    }
    assert_false(it->ret_full || it->ret_ended);
    assert_true(tree.shelf.steps >= STEPS / 256);
    read_free(&it->read);
    tear_down(&tree);
}

static void it_goes_on_from_any_number_and_stops_at_any(void **state)
{
    (void)state;
    struct tree tree;
    set_up(&tree);
    for (uint64_t number = 1; number < tree.facts; number += 7) {
        struct tree_replay *it = replay(&tree, root_id, number, number + 2);
        bool is_stopped = number + 2 <= tree.facts;
        assert_int_equal(noted.first, number + 1);
        assert_int_equal(noted.count, is_stopped ? 2 : tree.facts - number);
        assert_int_equal(it->ret_full, is_stopped);
        assert_false(it->ret_ended);
        read_free(&it->read);
    }
    tear_down(&tree);
}

static void it_ends_when_nothing_is_left(void **state)
{
    (void)state;
    struct tree tree;
    set_up(&tree);
    live(&tree, 1);
    finish(&tree, &tree.root);
    order(&tree, &tree.root, tree.root.seq - 1);
    struct tree_replay *it = replay(&tree, root_id, 0, 0);
    assert_false(it->ret_ended); /* The child is at work. */
    read_free(&it->read);
    finish(&tree, &tree.child);
    order(&tree, &tree.child, tree.child.seq - 1);
    struct index_tail counted = tree_row_tail(root_id);
    shelf_delete_tail(&tree.shelf, INDEX_TREE, &counted);
    it = replay(&tree, root_id, 0, tree.facts);
    assert_true(it->ret_full && !it->ret_ended);
    read_free(&it->read);
    it = replay(&tree, root_id, tree.facts, 0);
    assert_true(it->ret_ended && noted.count == 0);
    read_free(&it->read);
    tear_down(&tree);
}

static void a_root_alone_is_its_own_order(void **state)
{
    (void)state;
    struct tree tree = {.facts = 0};
    shelf_init(&tree.shelf);
    start(&tree, &tree.root, root_id, true);
    step(&tree, &tree.root); /* Its row lags behind. */
    struct tree_replay *it = replay(&tree, root_id, 1, 0);
    assert_int_equal(it->number, 4);
    assert_int_equal(noted.count, 3);
    assert_false(it->ret_ended);
    read_free(&it->read);
    finish(&tree, &tree.root);
    it = replay(&tree, root_id, 0, 0);
    assert_int_equal(it->number, tree.root.seq);
    assert_true(it->ret_ended);
    read_free(&it->read);
    tear_down(&tree);
}

static void what_cannot_be_followed_is_refused(void **state)
{
    (void)state;
    struct tree tree;
    set_up(&tree);
    struct tree_replay *it = replay(&tree, child_id, 0, 0);
    assert_int_equal(it->ret_failure.reason, REASON_RUN_NOT_ROOT);
    read_free(&it->read);
    it = replay(&tree, root_id, tree.facts + 1, 0);
    assert_int_equal(tree.shelf.failure.reason, REASON_POSITION_AHEAD);
    read_free(&it->read);
    it = replay(&tree, (uuid){{9}}, 0, 0);
    assert_int_equal(tree.shelf.failure.reason, REASON_RUN_NOT_FOUND);
    read_free(&it->read);
    tear_down(&tree);
    tree = (struct tree){.facts = 0};
    shelf_init(&tree.shelf);
    start(&tree, &tree.root, root_id, false); /* Of an older release. */
    it = replay(&tree, root_id, 0, 0);
    assert_int_equal(it->ret_failure.reason, REASON_TREE_NOT_ORDERED);
    assert_int_equal(noted.count, 0);
    read_free(&it->read);
    tear_down(&tree);
}

static void a_run_that_is_gone_is_passed_over_and_a_damaged_one_named(void **state)
{
    (void)state;
    struct tree tree;
    set_up(&tree);
    shelf_delete_record(&tree.shelf, child_id, 1);
    struct tree_replay *it = replay(&tree, root_id, 0, 0);
    assert_int_equal(it->ret_failure.reason, REASON_RUN_UNREADABLE);
    assert_int_equal(noted.count, 3);
    assert_false(it->ret_ended);
    read_free(&it->read);
    shelf_delete_row(&tree.shelf, child_id);
    noted.skips = true;
    it = replay(&tree, root_id, 0, 0);
    noted.skips = false;
    assert_int_equal(it->ret_failure.code, CODE_OK);
    assert_int_equal(it->number, tree.facts);
    assert_int_equal(noted.count, tree.facts - 3); /* What its deletion has left is shown. */
    read_free(&it->read);
    tear_down(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_come_in_the_trees_order),
        cmocka_unit_test(it_goes_on_from_any_number_and_stops_at_any),
        cmocka_unit_test(it_ends_when_nothing_is_left),
        cmocka_unit_test(a_root_alone_is_its_own_order),
        cmocka_unit_test(what_cannot_be_followed_is_refused),
        cmocka_unit_test(a_run_that_is_gone_is_passed_over_and_a_damaged_one_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
