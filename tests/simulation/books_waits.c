/*
 * The books of what runs wait for: answers, events, children; and of the rows that lead to them.
 */
#include <stdlib.h>

#include "service/base/hash.h"
#include "service/base/json.h"
#include "service/codec/index.h"
#include "service/codec/tree_rows.h"
#include "service/codec/wait_rows.h"
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

void books_begin(struct world *world)
{
    world->link_count = 0;
    for (unsigned i = 0; i < WORLD_TOPICS; i++) {
        world->topics[i].count = 0;
        hash128(world_topic_name(i), world->topics[i].hash);
    }
    books_queues_begin(world);
    books_clockwork_begin(world);
}

/* ---- Waits. ---- */

struct book_wait *books_wait(const struct book *book, uint32_t owner, str key)
{
    for (size_t i = book->wait_count; i > 0; i--) {
        struct book_wait *wait = &book->waits[i - 1];
        if (wait->owner == owner && str_equal(wait->key, key)) {
            return wait;
        }
    }
    return NULL;
}

struct book_wait *books_wait_of(const struct book *book, uint32_t effect)
{
    for (size_t i = 0; i < book->wait_count; i++) {
        if (book->waits[i].effect == effect) {
            return &book->waits[i];
        }
    }
    return NULL;
}

str books_text(struct world *world, str object, str name)
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

static void note_topic(struct world *world, struct book_wait *wait)
{
    str name = books_text(world, wait->data, STR("topic"));
    wait->type = books_text(world, wait->data, STR("event_type"));
    wait->topic = WORLD_TOPICS;
    for (unsigned i = 0; i < WORLD_TOPICS; i++) {
        wait->topic = str_equal(name, world_topic_name(i)) ? i : wait->topic;
    }
    world_expect(world, wait->topic < WORLD_TOPICS, "an-awaited-topic-is-known");
    if (world_is_well(world)) {
        wait->after = world->topics[wait->topic].count;
    }
}

static void note_set(struct world *world, struct book *book, const struct event *event)
{
    const struct book_wait *before = books_wait(book, event->wait_set.owner, event->wait_set.key);
    world_expect(world, before == NULL || !before->is_settled, "an-order-is-carried-out-once");
    if (book->wait_count == book->wait_capacity) {
        book->wait_capacity = book->wait_capacity == 0 ? 8 : book->wait_capacity * 2;
        book->waits = xrealloc(book->waits, book->wait_capacity * sizeof(book->waits[0]));
    }
    struct book_wait *wait = &book->waits[book->wait_count++];
    *wait = (struct book_wait){
        .effect = event->effect,
        .owner = event->wait_set.owner,
        .kind = event->wait_set.kind,
        .key = arena_copy(&world->arena, event->wait_set.key),
        .data = arena_copy(&world->arena, event->wait_set.data),
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

static bool fits(const struct book_wait *wait, const struct sim_event *event)
{
    return wait->type.len == 0 || str_equal(wait->type, event->type);
}

/* The first that fits, of those that were published since. 0: none. */
uint64_t books_first_that_fits(const struct world *world, const struct book_wait *wait)
{
    const struct sim_topic *topic = &world->topics[wait->topic];
    for (size_t i = wait->after; i < topic->count; i++) {
        if (fits(wait, &topic->events[i])) {
            return i + 1;
        }
    }
    return 0;
}

uint64_t books_number(str object, str name)
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
    return books_number(object, STR("sequence"));
}

static void judge_settled(struct world *world, const struct book *book,
                          const struct book_wait *wait, const struct outcome *outcome)
{
    if (wait->kind == EFFECT_EVENT && !outcome->failed) {
        world->counts.awaited++;
        world_expect(world, sequence_of(outcome->value) == books_first_that_fits(world, wait),
                     "an-awaited-event-is-the-first-that-fits");
    }
    if (wait->kind == EFFECT_AT_ONCE && !outcome->failed && sequence_of(outcome->value) > 0) {
        bool is_there = false;
        for (unsigned i = 0; i < WORLD_TOPICS; i++) {
            uint64_t sequence = sequence_of(outcome->value);
            is_there |= sequence <= world->topics[i].count &&
                        uuid_equal(world->topics[i].events[sequence - 1].run, book->id);
        }
        world_expect(world, is_there, "what-is-said-to-be-published-is");
    }
}

/* Whether an answer under this key could be for nobody: the last suspension under it was settled,
 * and its code is still at work, or it had timed out, or was given this very answer. */
static bool is_second(const struct book *book, str key, str answer)
{
    const struct book_wait *last = NULL;
    for (size_t i = 0; i < book->wait_count; i++) {
        const struct book_wait *wait = &book->waits[i];
        if (wait->kind == EFFECT_SUSPENSION && str_equal(wait->key, key)) {
            last = wait;
        }
    }
    return last != NULL && last->is_settled &&
           (ledger_open(&book->ledger, last->owner) != NULL || last->failed ||
            last->value == str_hash(answer));
}

static void note_answer(struct world *world, struct book *book, str key, str by, bool is_kept)
{
    if (book->answer_count == book->answer_capacity) {
        book->answer_capacity = book->answer_capacity == 0 ? 4 : book->answer_capacity * 2;
        book->answers = xrealloc(book->answers, book->answer_capacity * sizeof(book->answers[0]));
    }
    book->answers[book->answer_count++] = (struct book_answer){
        arena_copy(&world->arena, key), arena_copy(&world->arena, by), is_kept};
    world->counts.answers++;
    world->counts.kept += is_kept;
}

static void note_settled(struct world *world, struct book *book, const struct event *event)
{
    const struct outcome *outcome = &event->wait_settled.outcome;
    struct book_wait *wait = books_wait_of(book, event->effect);
    world_expect(world, wait != NULL && wait->is_open, "a-wait-is-settled-once");
    if (!world_is_well(world)) {
        return;
    }
    if (!book->is_copying) {
        judge_settled(world, book, wait, outcome);
    }
    bool is_put_together = wait->kind == EFFECT_CHILDREN && !outcome->failed;
    wait->is_open = false;
    wait->is_settled = true;
    wait->settled_ms = world->time_ms;
    wait->failed = outcome->failed;
    wait->value = is_put_together ? 0 : str_hash(outcome->value);
    if (event->wait_settled.by.len > 0) {
        note_answer(world, book, wait->key, event->wait_settled.by, false);
    }
}

/* kept: the kind that goes on. */
static void cut_off(struct book *book, uint32_t owner, enum effect_kind kept)
{
    for (size_t i = 0; i < book->wait_count; i++) {
        bool is_its = owner == 0 || book->waits[i].owner == owner;
        if (is_its && book->waits[i].kind != kept) {
            book->waits[i].is_open = false;
        }
    }
}

void books_note_wait(struct world *world, struct book *book, const struct event *event)
{
    if (event->kind == EVENT_WAIT_SET) {
        note_set(world, book, event);
    } else if (event->kind == EVENT_WAIT_SETTLED) {
        note_settled(world, book, event);
    } else if (event->kind == EVENT_RESUME_KEPT) {
        world_expect(world, !is_second(book, event->resume_kept.key, event->resume_kept.data),
                     "a-second-answer-is-not-kept");
        note_answer(world, book, event->resume_kept.key, event->resume_kept.by, true);
    } else if (event->kind == EVENT_TASK_SETTLED) {
        cut_off(book, event->effect, EFFECT_NONE);
    } else if (event->kind == EVENT_TASK_FAILED && !event->task_failed.is_mismatch) {
        cut_off(book, event->effect, EFFECT_CHILDREN);
    } else if (event->kind == EVENT_CANCEL_REQUESTED || book->ledger.ended != EVENT_NONE) {
        cut_off(book, 0, EFFECT_NONE);
    }
    world->counts.parks += event->kind == EVENT_TASK_PARKED;
    world->counts.retries += event->kind == EVENT_TASK_FAILED;
    world->counts.cleanups += event->kind == EVENT_CANCEL_REQUESTED;
}

/* ---- Families. ---- */

/* A retried run goes on with the children of the one that failed. */
static bool is_heir(struct world *world, const struct book *run, const struct book *child)
{
    const struct book *parent = books_find(world, child->parent);
    return run->is_fork && parent != NULL && parent->ledger.ended == EVENT_RUN_FAILED;
}

static void note_child(struct world *world, const struct book *parent, const struct event *event)
{
    struct book *child = books_find(world, event->child_settled.child);
    bool is_own = child != NULL && uuid_equal(child->parent, parent->id);
    bool is_inherited = child != NULL && is_heir(world, parent, child);
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

void books_note_family(struct world *world, struct book *book, const struct event *event)
{
    bool is_cancelled = event->kind == EVENT_CANCEL_REQUESTED || event->kind == EVENT_RUN_CANCELLED;
    if (is_cancelled && book->cancelled == 0) {
        book->cancelled = world->event_number;
    }
    str cause = event->kind == EVENT_CANCEL_REQUESTED ? event->cancel_requested.cause
                : event->kind == EVENT_RUN_CANCELLED  ? event->run_cancelled.cause
                                                      : STR_EMPTY;
    if (str_is(cause, "the run that started it was cancelled") && !book->is_copying) {
        const struct book *parent = books_find(world, book->parent);
        bool may_have_heir = parent != NULL && parent->ledger.ended == EVENT_RUN_FAILED;
        world_expect(world, may_have_heir || (parent != NULL && parent->cancelled > book->born),
                     "what-cleans-up-is-not-cancelled");
    }
    if (event->kind == EVENT_CHILD_SETTLED && !book->is_copying) {
        note_child(world, book, event);
    }
    if (event->kind == EVENT_RUN_CANCELLED &&
        str_is(event->run_cancelled.cause, "cancelled; its code did not clean up in time")) {
        world_expect(world, !world_work_is_untold(world, book->id), "cancelled-code-is-told");
    }
}

/* A copy starts now, and the rest of it is as if it had happened just now. */
static void check_fork(struct world *world, const struct book *fork)
{
    const struct run *run = &fork->folded;
    bool is_over = engine_is_terminal(run) || run->is_cancelling || engine_is_clock_stopped(run) ||
                   run->deadline_ms == 0;
    bool waited = run->deadline_ms != run->started_ms + run->timeout_ms;
    world_expect(world, is_over || waited || run->deadline_ms > world_wall_ms(world),
                 "a-fork-has-time-to-run");
}

static void check_child(struct world *world, const struct book *child)
{
    const struct book *parent = books_find(world, child->parent);
    world_expect(world, parent != NULL, "a-child-has-its-parent");
    if (parent == NULL) {
        return;
    }
    bool is_awaited = child->parent_effect != 0 && parent->ledger.ended == EVENT_NONE &&
                      ledger_open(&parent->ledger, child->parent_effect) != NULL;
    bool has_ended = child->ledger.ended != EVENT_NONE;
    world_expect(world, !has_ended || !is_awaited || child->is_told,
                 "a-childs-end-is-told-with-it");
    bool is_orphan = parent->cancelled != 0 && child->born < parent->cancelled;
    world_expect(world, !is_orphan || has_ended || child->cancelled != 0,
                 "a-cancelled-tree-is-cancelled-whole");
}

static void check_children(struct world *world, const struct book *parent)
{
    for (size_t i = 0; i < parent->wait_count; i++) {
        uint32_t count = 0;
        const struct book_wait *wait = &parent->waits[i];
        for (size_t j = 0; wait->kind == EFFECT_CHILDREN && j < world->book_count; j++) {
            const struct book *child = world->books[j];
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
    const struct book *heir = books_find(world, parent);
    const struct book *book = books_find(world, child);
    return heir != NULL && book != NULL && !uuid_equal(book->parent, parent) &&
           is_heir(world, heir, book);
}

void books_take_link(struct world *world, const struct store_entry *entry)
{
    str tail;
    if (!key_read_index(entry->key, &tail)) {
        world_expect(world, false, "keys-are-readable");
        return;
    }
    uint8_t kind = (uint8_t)tail.ptr[-1];
    books_queues_take(world, kind, tail, entry);
    books_clockwork_take(world, kind, tail, entry);
    if (kind != INDEX_CHILD && kind != INDEX_SUSPENSION && kind != INDEX_AWAIT &&
        kind != INDEX_ALARM) {
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

/* The rows the facts of a run ask for. */
static size_t check_rows(struct world *world, const struct book *book)
{
    size_t count = 0;
    for (size_t i = 0; i < book->wait_count; i++) {
        const struct book_wait *wait = &book->waits[i];
        bool is_there = true;
        if (wait->is_open && wait->kind == EFFECT_SUSPENSION) {
            is_there = has_row(world, INDEX_SUSPENSION,
                               suspension_row_tail(wait->since_ms, book->id, wait->effect));
            count++;
        } else if (wait->is_open && wait->kind == EFFECT_EVENT) {
            is_there =
                has_row(world, INDEX_AWAIT,
                        await_row_tail(world->topics[wait->topic].hash, book->id, wait->effect));
            count++;
        }
        world_expect(world, is_there, "no-fact-without-its-row");
    }
    if (book->ledger.ended == EVENT_NONE && !book->row.load && book->row.next_deadline_ms != 0) {
        world_expect(
            world,
            has_row(world, INDEX_ALARM, alarm_row_tail(book->row.next_deadline_ms, book->id)),
            "no-fact-without-its-row");
        count++;
    }
    if (!uuid_is_zero(book->parent)) {
        world_expect(world, has_row(world, INDEX_CHILD, child_row_tail(book->parent, book->id)),
                     "no-fact-without-its-row");
        count++;
    }
    return count;
}

void books_check_commit(struct world *world)
{
    size_t rows = 0;
    for (size_t i = 0; i < world->book_count && world_is_well(world); i++) {
        struct book *book = world->books[i];
        rows += check_rows(world, book);
        if (!uuid_is_zero(book->parent)) {
            check_child(world, book);
        }
        if (book->is_copying) {
            check_fork(world, book);
        }
        if (book->is_changed && !book->is_fork) {
            check_children(world, book);
        }
    }
    if (world_is_well(world)) {
        world_expect(world, rows == world->link_count, "no-row-without-its-fact");
    }
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

/* u32 crc | u64 created_ms | run 16 | u16 topic bytes | u16 type bytes | topic | type | data */
void books_take_topic(struct world *world, const struct store_entry *entry)
{
    uint64_t sequence;
    struct sim_topic *topic = topic_of(world, entry->key);
    bool is_read = topic != NULL && key_read_topic_sequence(entry->key, &sequence);
    world_expect(world, is_read && !entry->is_delete && entry->value.len >= 32,
                 "events-are-readable");
    if (!world_is_well(world)) {
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

static void check_awaited(struct world *world, struct book *book)
{
    for (size_t i = 0; i < book->wait_count; i++) {
        struct book_wait *wait = &book->waits[i];
        if (!wait->is_open || wait->kind != EFFECT_EVENT) {
            continue;
        }
        uint64_t sequence = books_first_that_fits(world, wait);
        if (sequence == 0) {
            continue;
        }
        uint64_t at_ms = world->topics[wait->topic].events[sequence - 1].at_ms;
        world_expect(world, world->time_ms < at_ms + PATIENCE_MS,
                     "an-awaited-event-wakes-who-awaits-it");
    }
}

void books_check_due(struct world *world)
{
    if (world->time_ms < world->trouble_ms + PATIENCE_MS) {
        return;
    }
    world_work_check_told(world);
    for (size_t i = 0; i < world->live_count && world_is_well(world); i++) {
        struct book *book = world->live[i];
        uint64_t due_ms = ledger_next_deadline(&book->ledger);
        bool is_new = book->due_ms != due_ms;
        book->due_since_ms = is_new ? world->time_ms : book->due_since_ms;
        book->due_ms = due_ms;
        world_expect(world,
                     due_ms == 0 || world_wall_ms(world) < due_ms + PATIENCE_MS ||
                         world->time_ms < book->due_since_ms + PATIENCE_MS,
                     "what-is-due-happens");
        check_awaited(world, book);
        if (!world_is_well(world)) {
            world_detail(world, "run %.8s due %llu", book->marker.ptr, (unsigned long long)due_ms);
        }
    }
}
