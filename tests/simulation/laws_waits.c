/*
 * The laws of what runs wait for: answers, events, children; and of the rows that lead to them.
 */
#include <stdlib.h>

#include "service/base/hash.h"
#include "service/base/json.h"
#include "service/codec/index.h"
#include "service/codec/tree_rows.h"
#include "service/codec/wait_rows.h"
#include "service/features/topics/topics.h"
#include "tests/simulation/world.h"

enum {
    PATIENCE_MS = 12000, /* What is due happens within it, when nothing is in the way. */
};

str world_topic_name(unsigned topic)
{
    static const char *const names[WORLD_TOPICS] = {"t0", "t1", "orders/\xc3\xa4", "news",
                                                    "clicks"};
    return str_of(names[topic]);
}

void laws_begin(struct world *world)
{
    world->link_count = 0;
    world->owed_count = 0;
    for (unsigned i = 0; i < WORLD_TOPICS; i++) {
        world->topics[i].count = 0;
        world->topics[i].first = 1;
        world->topics[i].deleted = 0;
        world->topics[i].is_listed = false;
        hash128(world_topic_name(i), world->topics[i].hash);
    }
    laws_queues_begin(world);
    laws_clockwork_begin(world);
}

/* ---- Waits. ---- */

struct sim_wait *sim_run_wait(const struct sim_run *run, uint32_t owner, str key)
{
    for (size_t i = run->wait_count; i > 0; i--) {
        struct sim_wait *wait = &run->waits[i - 1];
        if (wait->owner == owner && str_equal(wait->key, key)) {
            return wait;
        }
    }
    return NULL;
}

struct sim_wait *sim_run_wait_of(const struct sim_run *run, uint32_t effect)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        if (run->waits[i].effect == effect) {
            return &run->waits[i];
        }
    }
    return NULL;
}

str world_json_text(struct world *world, str object, str name)
{
    str raw;
    struct buf text = {0};
    str ret = STR_EMPTY;
    if (json_object_get(object, name, &raw) && json_string_decode(raw, &text)) {
        ret = arena_copy(&world->arena, buf_str(&text));
    }
    buf_fini(&text);
    return ret;
}

static void note_topic(struct world *world, struct sim_wait *wait)
{
    str name = world_json_text(world, wait->data, STR("topic"));
    wait->type = world_json_text(world, wait->data, STR("event_type"));
    wait->topic = WORLD_TOPICS;
    for (unsigned i = 0; i < WORLD_TOPICS; i++) {
        wait->topic = str_equal(name, world_topic_name(i)) ? i : wait->topic;
    }
    world_expect(world, wait->topic < WORLD_TOPICS, "an-awaited-topic-is-known");
    if (world_is_well(world)) {
        wait->after = world->topics[wait->topic].count;
    }
}

static void note_set(struct world *world, struct sim_run *run, const struct event *event)
{
    const struct sim_wait *before = sim_run_wait(run, event->wait_set.owner, event->wait_set.key);
    world_expect(world, before == NULL || !before->is_settled || before->is_given_up,
                 "a-step-request-is-carried-out-once");
    if (run->wait_count == run->wait_capacity) {
        run->wait_capacity = run->wait_capacity == 0 ? 8 : run->wait_capacity * 2;
        run->waits = xrealloc(run->waits, run->wait_capacity * sizeof(run->waits[0]));
    }
    struct sim_wait *wait = &run->waits[run->wait_count++];
    *wait = (struct sim_wait){
        .effect = event->effect,
        .owner = event->wait_set.owner,
        .kind = event->wait_set.kind,
        .key = arena_copy(&world->arena, event->wait_set.key),
        .data = arena_copy(&world->arena, event->wait_set.data),
        .has_schema = event->wait_set.answer_schema.len > 0,
        .since_ms = event->time_ms,
        .due_ms = event->wait_set.due_ms,
        .is_open = true,
        .children = event->wait_set.children,
    };
    world->counts.waits++;
    world->counts.suspended += wait->kind == EFFECT_SUSPENSION;
    if (wait->kind == EFFECT_EVENT) {
        note_topic(world, wait);
    }
}

static bool fits(const struct sim_wait *wait, const struct sim_event *event)
{
    return wait->type.len == 0 || str_equal(wait->type, event->type);
}

/* The first that fits, of those that were published since. 0: none. */
uint64_t laws_first_that_fits(const struct world *world, const struct sim_run *run,
                              const struct sim_wait *wait)
{
    const struct sim_topic *topic = &world->topics[wait->topic];
    bool may_miss = run->was_damaged && wait->after < topic->deleted; /* While it rested. */
    for (size_t i = may_miss ? topic->deleted : wait->after; i < topic->count; i++) {
        if (fits(wait, &topic->events[i])) {
            return i + 1;
        }
    }
    return 0;
}

uint64_t world_json_number(str object, str name)
{
    str raw;
    if (!json_object_get(object, name, &raw)) {
        return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < raw.len; i++) {
        value = value * 10 + (uint64_t)(raw.ptr[i] - '0');
    }
    return value;
}

static uint64_t sequence_of(str object)
{
    return world_json_number(object, STR("sequence"));
}

static void judge_settled(struct world *world, const struct sim_run *run,
                          const struct sim_wait *wait, const struct outcome *outcome)
{
    if (wait->kind == EFFECT_EVENT && !outcome->failed) {
        world->counts.awaited++;
        world_expect(world, sequence_of(outcome->value) == laws_first_that_fits(world, run, wait),
                     "an-awaited-event-is-the-first-that-fits");
    }
    if (wait->kind == EFFECT_AT_ONCE && !outcome->failed && sequence_of(outcome->value) > 0) {
        bool is_there = false;
        for (unsigned i = 0; i < WORLD_TOPICS; i++) {
            uint64_t sequence = sequence_of(outcome->value);
            is_there |= sequence <= world->topics[i].count &&
                        uuid_equal(world->topics[i].events[sequence - 1].run, run->id);
        }
        world_expect(world, is_there, "what-is-said-to-be-published-is");
    }
}

/* effect 0: it is kept. */
static void note_answer(struct world *world, struct sim_run *run, str key, str by, uint32_t effect)
{
    if (run->answer_count == run->answer_capacity) {
        run->answer_capacity = run->answer_capacity == 0 ? 4 : run->answer_capacity * 2;
        run->answers = xrealloc(run->answers, run->answer_capacity * sizeof(run->answers[0]));
    }
    run->answers[run->answer_count++] = (struct sim_answer){.key = arena_copy(&world->arena, key),
                                                            .by = arena_copy(&world->arena, by),
                                                            .effect = effect,
                                                            .is_kept = effect == 0};
    world->counts.answers++;
    world->counts.kept += effect == 0;
}

static void note_settled(struct world *world, struct sim_run *run, const struct event *event)
{
    const struct outcome *outcome = &event->wait_settled.outcome;
    struct sim_wait *wait = sim_run_wait_of(run, event->effect);
    world_expect(world, wait != NULL && wait->is_open, "a-wait-is-settled-once");
    if (!world_is_well(world)) {
        return;
    }
    if (!run->is_copying) {
        judge_settled(world, run, wait, outcome);
    }
    bool is_put_together = wait->kind == EFFECT_CHILDREN && !outcome->failed;
    wait->is_open = false;
    wait->is_settled = true;
    wait->settled_ms = world->time_ms;
    wait->failed = outcome->failed;
    wait->is_given_up = outcome->failed && str_is(outcome->error_type, ENGINE_WITHDRAWN);
    wait->is_failed_with |= wait->is_given_up; /* Nobody waits for its children. */
    wait->value = is_put_together ? 0 : str_hash(outcome->value);
    if (event->wait_settled.by.len > 0) {
        laws_note_answered(world, run, wait, event->wait_settled.by);
        note_answer(world, run, wait->key, event->wait_settled.by, wait->effect);
    }
}

/* Its code failed, and waits for nothing more. */
static void fail_with(struct sim_run *run, uint32_t owner)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        bool is_its = owner == 0 || run->waits[i].owner == owner;
        run->waits[i].is_failed_with |= is_its && run->waits[i].is_open;
    }
}

/* kept: the kind that goes on. */
static void cut_off(struct sim_run *run, uint32_t owner, enum effect_kind kept)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        bool is_its = owner == 0 || run->waits[i].owner == owner;
        if (is_its && run->waits[i].kind != kept) {
            run->waits[i].is_withdrawn |= run->waits[i].is_open && kept == EFFECT_NONE;
            run->waits[i].is_open = false;
        }
    }
}

void laws_note_wait(struct world *world, struct sim_run *run, const struct event *event)
{
    if (event->kind == EVENT_WAIT_SET) {
        note_set(world, run, event);
    } else if (event->kind == EVENT_WAIT_SETTLED) {
        note_settled(world, run, event);
    } else if (event->kind == EVENT_RESUME_KEPT) {
        laws_note_kept(world, run, event->resume_kept.key);
        note_answer(world, run, event->resume_kept.key, event->resume_kept.by, 0);
    } else if (event->kind == EVENT_TASK_SETTLED) {
        if (event->task_settled.outcome.failed) {
            fail_with(run, event->effect);
        }
        cut_off(run, event->effect, EFFECT_NONE);
    } else if (event->kind == EVENT_TASK_FAILED && !event->task_failed.is_mismatch) {
        cut_off(run, event->effect, EFFECT_CHILDREN);
    } else if (event->kind == EVENT_CANCEL_REQUESTED || run->ledger.ended != EVENT_NONE) {
        if (event->kind == EVENT_RUN_FAILED) {
            fail_with(run, 0);
        }
        cut_off(run, 0, EFFECT_NONE);
    }
    world->counts.parks += event->kind == EVENT_TASK_PARKED;
    world->counts.retries += event->kind == EVENT_TASK_FAILED;
    world->counts.cleanups += event->kind == EVENT_CANCEL_REQUESTED;
}

/* ---- Families. ---- */

/* A retried run goes on with the children of the one that failed. */
static bool inherits(struct world *world, const struct sim_run *run, const struct sim_run *child)
{
    const struct sim_run *parent = world_find_run(world, child->parent);
    return run->is_fork && parent != NULL && parent->ledger.ended == EVENT_RUN_FAILED;
}

static void note_child(struct world *world, const struct sim_run *parent, const struct event *event)
{
    struct sim_run *child = world_find_run(world, event->child_settled.child);
    bool is_own = child != NULL && uuid_equal(child->parent, parent->id);
    bool is_inherited = child != NULL && inherits(world, parent, child);
    world_expect(world, is_own || is_inherited, "only-children-are-told-of");
    if (!world_is_well(world)) {
        return;
    }
    world_expect(world,
                 child->parent_effect == event->effect &&
                     child->parent_index == event->child_settled.index,
                 "a-child-is-told-where-it-is-awaited");
    world_expect(world, !child->is_told || is_inherited, "a-childs-end-is-told-once");
    bool failed = child->ledger.ended != EVENT_RUN_COMPLETED;
    world_expect(world, child->ledger.ended != EVENT_NONE, "a-childs-end-is-told-when-it-ended");
    world_expect(world, event->child_settled.outcome.failed == failed,
                 "parent-and-child-agree-how-it-ended");
    child->is_told |= is_own;
    world->counts.children++;
}

static str cause_of(const struct event *event)
{
    return event->kind == EVENT_CANCEL_REQUESTED ? event->cancel_requested.cause
                                                 : event->run_cancelled.cause;
}

void laws_note_family(struct world *world, struct sim_run *run, const struct event *event)
{
    bool is_cancelled = event->kind == EVENT_CANCEL_REQUESTED || event->kind == EVENT_RUN_CANCELLED;
    if (is_cancelled && run->cancelled == 0) {
        run->cancelled = world->event_number;
    }
    if (is_cancelled && (str_is(cause_of(event), "the run that waited for it failed") ||
                         str_is(cause_of(event), "the code that waited for it gave it up"))) {
        world->counts.orphans++;
        run->is_cancelled_as_orphan = !run->is_copying;
    }
    if (event->kind == EVENT_RUN_STARTED) {
        world_expect(
            world, !sim_run_is_below_cancelled(world, run) || sim_run_is_below_damaged(world, run),
            "below-a-cancelled-run-nothing-starts");
    }
    if (event->kind == EVENT_CHILD_SETTLED) {
        laws_owed_hear(run, event->child_settled.child);
    }
    if (event->kind == EVENT_CHILD_SETTLED && !run->is_copying) {
        note_child(world, run, event);
    }
    if (event->kind == EVENT_RUN_CANCELLED &&
        str_is(event->run_cancelled.cause, "cancelled; its code did not clean up in time")) {
        world_expect(world, !world_work_is_untold(world, run->id), "cancelled-code-is-told");
    }
}

/* A copy starts now, and the rest of it is as if it had happened just now. */
static void check_fork(struct world *world, const struct sim_run *fork)
{
    const struct run *run = &fork->folded;
    bool is_over = engine_is_terminal(run) || run->is_cancelling || engine_is_clock_stopped(run) ||
                   run->deadline_ms == 0;
    bool waited = run->deadline_ms != run->started_ms + run->timeout_ms;
    world_expect(world, is_over || waited || run->deadline_ms > world_wall_ms(world),
                 "a-fork-has-time-to-run");
}

static void check_child(struct world *world, const struct sim_run *child)
{
    const struct sim_run *parent = world_find_run(world, child->parent);
    world_expect(world, parent != NULL, "a-child-has-its-parent");
    if (parent == NULL) {
        return;
    }
    bool is_awaited = child->parent_effect != 0 && parent->ledger.ended == EVENT_NONE &&
                      ledger_open(&parent->ledger, child->parent_effect) != NULL;
    bool has_ended = child->ledger.ended != EVENT_NONE;
    world_expect(world,
                 !has_ended || !is_awaited || child->is_told || sim_run_owes_end(world, child),
                 "a-childs-end-is-told-or-owed");
    world_expect(world,
                 has_ended || child->cancelled != 0 || sim_run_owes_cancel(world, child) ||
                     !sim_run_is_below_cancelled(world, child),
                 "a-cancelled-tree-is-cancelled-whole");
    world_expect(world,
                 has_ended || child->cancelled != 0 || !sim_run_is_orphan(world, child) ||
                     sim_run_owes_orphan(world, child),
                 "orphans-are-cancelled");
    world_expect(world, !child->is_cancelled_as_orphan || sim_run_may_be_orphan(world, child),
                 "only-orphans-are-cancelled-as-such");
}

static void check_children(struct world *world, const struct sim_run *parent)
{
    for (size_t i = 0; i < parent->wait_count; i++) {
        uint32_t count = 0;
        const struct sim_wait *wait = &parent->waits[i];
        for (size_t j = 0; wait->kind == EFFECT_CHILDREN && j < world->run_count; j++) {
            const struct sim_run *child = world->runs[j];
            count += uuid_equal(child->parent, parent->id) && child->parent_effect == wait->effect;
        }
        bool is_refused = wait->is_settled && wait->failed;
        world_expect(world, is_refused || count == wait->children, "all-children-are-there");
    }
}

/* ---- Links. ---- */

static struct sim_link_row *find_link(struct world *world, uint8_t kind, str tail)
{
    for (size_t i = 0; i < world->link_count; i++) {
        struct sim_link_row *row = &world->links[i];
        if (row->kind == kind && str_equal(str_make(row->tail, row->len), tail)) {
            return row;
        }
    }
    return NULL;
}

/* The row of a retried run and a child it did not start. */
static bool is_inheritance(struct world *world, str tail)
{
    uuid parent;
    uuid child;
    assert(tail.len == sizeof(parent.bytes) + sizeof(child.bytes));
    memcpy(parent.bytes, tail.ptr, sizeof(parent.bytes));
    memcpy(child.bytes, tail.ptr + sizeof(parent.bytes), sizeof(child.bytes));
    const struct sim_run *successor = world_find_run(world, parent);
    const struct sim_run *run = world_find_run(world, child);
    return successor != NULL && run != NULL && !uuid_equal(run->parent, parent) &&
           inherits(world, successor, run);
}

void laws_take_link(struct world *world, const struct store_entry *entry)
{
    str tail;
    if (!key_read_index(entry->key, &tail)) {
        world_expect(world, false, "keys-are-readable");
        return;
    }
    uint8_t kind = (uint8_t)tail.ptr[-1];
    laws_queues_take(world, kind, tail, entry);
    laws_clockwork_take(world, kind, tail, entry);
    laws_owed_take(world, kind, tail, entry);
    laws_copies_take(world, kind, tail, entry);
    if (kind != INDEX_CHILD && kind != INDEX_SUSPENSION && kind != INDEX_AWAIT &&
        kind != INDEX_AWAIT_TYPE && kind != INDEX_ALARM) {
        return;
    }
    if (kind == INDEX_CHILD && is_inheritance(world, tail)) {
        return;
    }
    struct sim_link_row *row = find_link(world, kind, tail);
    if (entry->is_delete && row != NULL) {
        *row = world->links[--world->link_count];
    } else if (!entry->is_delete && row == NULL) {
        if (world->link_count == world->link_capacity) {
            world->link_capacity = world->link_capacity == 0 ? 64 : world->link_capacity * 2;
            world->links = xrealloc(world->links, world->link_capacity * sizeof(world->links[0]));
        }
        row = &world->links[world->link_count++];
        *row = (struct sim_link_row){.kind = kind, .len = tail.len};
        assert(tail.len <= sizeof(row->tail));
        memcpy(row->tail, tail.ptr, tail.len);
    }
}

static bool has_row(struct world *world, enum index_kind kind, struct index_tail tail)
{
    return find_link(world, (uint8_t)kind, index_tail_str(&tail)) != NULL;
}

static bool has_await_row(struct world *world, const struct sim_run *run,
                          const struct sim_wait *wait)
{
    const uint8_t *topic = world->topics[wait->topic].hash;
    uint8_t type[16];
    topic_type_hash(topic, wait->type, type);
    return wait->type.len == 0
               ? has_row(world, INDEX_AWAIT, await_row_tail(topic, run->id, wait->effect))
               : has_row(world, INDEX_AWAIT_TYPE, await_row_tail(type, run->id, wait->effect));
}

/* The rows the facts of a run ask for. */
static size_t check_rows(struct world *world, const struct sim_run *run)
{
    size_t count = 0;
    for (size_t i = 0; i < run->wait_count; i++) {
        const struct sim_wait *wait = &run->waits[i];
        bool is_there = true;
        if (run->is_half) {
            continue; /* Nobody is to find it yet. */
        }
        if (wait->is_open && wait->kind == EFFECT_SUSPENSION) {
            is_there = has_row(world, INDEX_SUSPENSION,
                               suspension_row_tail(wait->since_ms, run->id, wait->effect));
            count++;
        } else if (wait->is_open && wait->kind == EFFECT_EVENT) {
            is_there = has_await_row(world, run, wait);
            count++;
        }
        world_expect(world, is_there, "no-fact-without-its-row");
    }
    if (run->ledger.ended == EVENT_NONE && !run->row.load && run->row.next_deadline_ms != 0) {
        world_expect(
            world, has_row(world, INDEX_ALARM, alarm_row_tail(run->row.next_deadline_ms, run->id)),
            "no-fact-without-its-row");
        count++;
    }
    if (!uuid_is_zero(run->parent) && !run->is_gone) {
        world_expect(world, has_row(world, INDEX_CHILD, child_row_tail(run->parent, run->id)),
                     "no-fact-without-its-row");
        count++;
    }
    return count;
}

void laws_check_commit(struct world *world)
{
    size_t rows = 0;
    for (size_t i = 0; i < world->run_count && world_is_well(world); i++) {
        struct sim_run *run = world->runs[i];
        rows += check_rows(world, run);
        if (!uuid_is_zero(run->parent)) {
            check_child(world, run);
        }
        if (run->is_copying && !run->is_half && !run->is_whole_now) { /* Else its time runs. */
            check_fork(world, run);
        }
        if (run->is_changed && !run->is_fork) {
            check_children(world, run);
        }
    }
    if (world_is_well(world)) {
        world_expect(world, rows == world->link_count, "no-row-without-its-fact");
    }
    laws_owed_check(world);
}

/* ---- Topics. ---- */

static struct sim_topic *topic_of(struct world *world, str key)
{
    for (unsigned i = 0; i < WORLD_TOPICS; i++) {
        struct sim_topic *topic = &world->topics[i];
        if (key.len > 24 && memcmp(key.ptr + key.len - 24, topic->hash, 16) == 0) {
            return topic;
        }
    }
    return NULL;
}

/* Its own row: which events are kept. */
static void take_topic_row(struct world *world, struct sim_topic *topic,
                           const struct store_entry *entry)
{
    struct topic_row row;
    bool is_read = !entry->is_delete && status_is_ok(topic_row_decode(entry->value, &row));
    world_expect(world, is_read, "rows-are-readable");
    if (world_is_well(world)) {
        world_expect(world, row.first >= topic->first && row.first <= topic->count + 1,
                     "only-what-was-published-is-dropped");
        topic->first = row.first;
        world_say(world, "  topic %zu begins with %llu", (size_t)(topic - world->topics),
                  (unsigned long long)row.first);
        topic->is_listed = row.is_listed;
        world->counts.dropped += row.first > 1;
    }
}

static void take_deletion(struct world *world, struct sim_topic *topic, uint64_t sequence)
{
    world_expect(world, sequence == topic->deleted + 1, "events-are-deleted-once-in-order");
    world_expect(world, sequence < topic->first, "only-what-was-dropped-is-deleted");
    topic->deleted = sequence;
    world_say(world, "  event %llu of topic %zu is deleted", (unsigned long long)sequence,
              (size_t)(topic - world->topics));
}

/* At the end. */
void laws_check_topics(struct world *world)
{
    for (unsigned i = 0; i < WORLD_TOPICS; i++) {
        world_expect(world, world->topics[i].deleted + 1 == world->topics[i].first,
                     "what-was-dropped-is-deleted");
    }
}

/* u32 crc | u64 created_ms | run 16 | u16 topic bytes | u16 type bytes | topic | type | data */
void laws_take_topic(struct world *world, const struct store_entry *entry)
{
    uint64_t sequence;
    struct sim_topic *topic = topic_of(world, entry->key);
    bool is_read = topic != NULL && key_read_topic_sequence(entry->key, &sequence);
    bool is_event = is_read && sequence > 0 && !entry->is_delete;
    world_expect(world, is_read && (!is_event || entry->value.len >= 32), "events-are-readable");
    if (!world_is_well(world)) {
        return;
    }
    if (!is_event) {
        if (sequence == 0) {
            take_topic_row(world, topic, entry);
        } else {
            take_deletion(world, topic, sequence);
        }
        return;
    }
    world_expect(world, sequence == topic->count + 1, "events-are-numbered-without-gap");
    if (topic->count == topic->capacity) {
        topic->capacity = topic->capacity == 0 ? 32 : topic->capacity * 2;
        topic->events = xrealloc(topic->events, topic->capacity * sizeof(topic->events[0]));
    }
    const uint8_t *at = (const uint8_t *)entry->value.ptr;
    size_t topic_len = (size_t)(at[28] | at[29] << 8);
    size_t type_len = (size_t)(at[30] | at[31] << 8);
    str rest = str_make(entry->value.ptr + 32 + topic_len, entry->value.len - 32 - topic_len);
    struct sim_event *event = &topic->events[topic->count++];
    *event = (struct sim_event){
        .type = arena_copy(&world->arena, str_make(rest.ptr, type_len)),
        .data = arena_copy(&world->arena, str_make(rest.ptr + type_len, rest.len - type_len)),
        .at_ms = world->time_ms,
    };
    memcpy(&event->created_ms, at + 4, sizeof(event->created_ms));
    memcpy(event->run.bytes, at + 12, sizeof(event->run.bytes));
    world->counts.published++;
    world_say(world, "  event %llu of topic %zu, dated %llu", (unsigned long long)sequence,
              (size_t)(topic - world->topics), (unsigned long long)event->created_ms % 1000000000);
}

/* ---- What is due. ---- */

static void check_awaited(struct world *world, struct sim_run *run)
{
    for (size_t i = 0; i < run->wait_count; i++) {
        struct sim_wait *wait = &run->waits[i];
        if (!wait->is_open || wait->kind != EFFECT_EVENT) {
            continue;
        }
        uint64_t sequence = laws_first_that_fits(world, run, wait);
        if (sequence == 0) {
            continue;
        }
        uint64_t at_ms = world->topics[wait->topic].events[sequence - 1].at_ms;
        world_expect(world, world->time_ms < at_ms + PATIENCE_MS,
                     "an-awaited-event-wakes-who-awaits-it");
    }
}

void laws_check_due(struct world *world)
{
    if (world->time_ms < world->trouble_ms + PATIENCE_MS) {
        return;
    }
    world_work_check_told(world);
    for (size_t i = 0; i < world->live_count && world_is_well(world); i++) {
        struct sim_run *run = world->live[i];
        uint64_t due_ms = ledger_next_deadline(&run->ledger);
        bool is_new = run->due_ms != due_ms || run->is_damaged;
        run->due_since_ms = is_new ? world->time_ms : run->due_since_ms;
        run->due_ms = due_ms;
        world_expect(world,
                     due_ms == 0 || world_wall_ms(world) < due_ms + PATIENCE_MS ||
                         world->time_ms < run->due_since_ms + PATIENCE_MS,
                     "what-is-due-happens");
        if (!run->is_damaged) {
            check_awaited(world, run);
        }
        world_expect(world,
                     run->full_since_ms == 0 || run->full_life != world->life || run->is_damaged ||
                         world->time_ms < run->full_since_ms + PATIENCE_MS,
                     "who-passes-the-limit-of-its-history-fails");
        if (!world_is_well(world)) {
            world_detail(world, "run %.8s due %llu", run->marker.ptr, (unsigned long long)due_ms);
        }
    }
}
