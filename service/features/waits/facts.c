/*
 * facts: what a task's code has settled, and the children of its waits, a page of the journal at a
 * time.
 */
#include "service/features/waits/facts.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/features/waits/wait_kind.h"
#include "service/partition/journal.h"
#include "service/partition/state.h"

enum {
    ACCOUNTS_BYTES_MAX = 1 << 20, /* Of a child with its steps; over it they are left out. */
};

struct reading {
    struct partition *partition;
    struct facts_cursor *cursor;
    struct facts_page *page;
    struct arena *arena;
    size_t scanned;
    bool is_cut; /* The page is full, or enough was read. */
    status status;
};

/* The members of an agent's account; without its steps where there is much already. */
static void put_account(struct json_writer *writer, str account)
{
    static const char *const short_ones[] = {"total_steps", "stop_reason", "usage"};
    str total = STR("0");
    if (account.len == 0) {
        return;
    }
    if (writer->buf->len + account.len <= ACCOUNTS_BYTES_MAX) {
        json_put_members(writer, account);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(short_ones); i++) {
        str value;
        if (json_object_get(account, str_of(short_ones[i]), &value)) {
            json_put_raw(writer, short_ones[i], value);
            total = i == 0 ? value : total;
        }
    }
    json_begin_array(writer, "steps");
    json_end_array(writer);
    json_put_raw(writer, "steps_left_out", total);
}

static void put_child(struct json_writer *writer, const struct event *event)
{
    assert(event->kind == EVENT_CHILD_SETTLED);
    const struct outcome *outcome = &event->child_settled.outcome;
    bool is_cancelled = outcome->failed && str_is(outcome->error_type, "CANCELLED");
    str standing = !outcome->failed ? STR("completed")
                   : is_cancelled   ? STR("cancelled")
                                    : STR("failed");
    json_begin_object(writer, NULL);
    json_put_uuid(writer, "run_id", event->child_settled.child);
    json_put_string(writer, "status", standing);
    if (outcome->failed) {
        json_begin_object(writer, "error");
        json_put_string(writer, "type", outcome->error_type);
        json_put_string(writer, "message", outcome->error_message);
        json_end_object(writer);
    } else {
        json_put_raw(writer, "result", outcome->value);
        if (outcome->value_type.len > 0) {
            json_put_string(writer, "result_type", outcome->value_type);
        }
    }
    put_account(writer, event->child_settled.account);
    json_end_object(writer);
}

static str child_value(const struct event *event, struct arena *arena)
{
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    put_child(&writer, event);
    return buf_finish(&text, arena);
}

static struct outcome copy_outcome(struct arena *arena, const struct outcome *from)
{
    return (struct outcome){.failed = from->failed,
                            .value = arena_copy(arena, from->value),
                            .value_type = arena_copy(arena, from->value_type),
                            .error_type = arena_copy(arena, from->error_type),
                            .error_message = arena_copy(arena, from->error_message),
                            .error_stack = arena_copy(arena, from->error_stack)};
}

/* False: the page has no room for it. */
static bool add(struct reading *reading, struct settled_step fact)
{
    struct facts_page *page = reading->page;
    const struct outcome *outcome = &fact.outcome;
    size_t bytes = 64 + fact.key.len + outcome->value.len + outcome->value_type.len +
                   outcome->error_type.len + outcome->error_message.len + outcome->error_stack.len;
    if (page->count > 0 && page->bytes + bytes > FACTS_PAGE_BYTES) {
        reading->is_cut = true;
        return false;
    }
    fact.key = arena_copy(reading->arena, fact.key);
    fact.outcome = copy_outcome(reading->arena, outcome);
    page->facts = array_reserve_in(reading->arena, page->facts, &page->capacity, page->count + 1,
                                   sizeof(page->facts[0]));
    page->facts[page->count++] = fact;
    page->bytes += bytes;
    page->settled_count += !fact.is_step_request && !fact.is_child;
    assert(page->count <= page->capacity && page->settled_count <= page->count);
    return true;
}

static const struct facts_wait *find_wait(const struct facts_cursor *cursor, uint32_t effect)
{
    const struct facts_wait *wait = cursor->waits;
    while (wait != NULL && wait->effect != effect) {
        wait = wait->next;
    }
    bool is_told = wait != NULL && wait->owner == cursor->task.effect &&
                   (cursor->wait == 0 || cursor->wait == effect);
    return is_told ? wait : NULL;
}

static void read_wait_set(struct reading *reading, const struct event *event)
{
    struct facts_cursor *cursor = reading->cursor;
    str key = event->wait_set.key;
    assert(event->kind == EVENT_WAIT_SET);
    struct facts_wait *wait = xcalloc(1, sizeof(*wait) + key.len);
    wait->effect = event->effect;
    wait->owner = event->wait_set.owner;
    wait->kind = wait_kind_settled(reading->partition, event->wait_set.kind);
    wait->key_len = key.len;
    if (key.len > 0) {
        memcpy(wait->key, key.ptr, key.len);
    }
    wait->next = cursor->waits;
    cursor->waits = wait;
}

static void drop_wait(struct facts_cursor *cursor, uint32_t effect)
{
    struct facts_wait **link = &cursor->waits;
    while (*link != NULL && (*link)->effect != effect) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        struct facts_wait *wait = *link;
        *link = wait->next;
        free(wait);
    }
}

static bool read_wait_settled(struct reading *reading, const struct event *event)
{
    const struct facts_wait *wait = find_wait(reading->cursor, event->effect);
    const struct outcome *outcome = &event->wait_settled.outcome;
    assert(event->kind == EVENT_WAIT_SETTLED);
    if (wait == NULL) {
        drop_wait(reading->cursor, event->effect);
        return true;
    }
    struct settled_step fact = {
        .key = str_make(wait->key, wait->key_len),
        .outcome = *outcome,
        .is_step_request = true,
        .kind = wait->kind,
        .has_children =
            wait->kind == SETTLED_CHILDREN && !outcome->failed && outcome->value.len == 0,
        .wait = event->effect,
        .steps_before = reading->cursor->steps,
    };
    if (!add(reading, fact)) {
        return false;
    }
    drop_wait(reading->cursor, event->effect);
    return true;
}

static bool read_child(struct reading *reading, const struct event *event)
{
    const struct facts_wait *wait = find_wait(reading->cursor, event->effect);
    if (wait == NULL) {
        return true;
    }
    return add(reading, (struct settled_step){
                            .key = str_make(wait->key, wait->key_len),
                            .outcome = {.value = child_value(event, reading->arena)},
                            .kind = wait->kind,
                            .is_child = true,
                            .index = event->child_settled.index,
                            .wait = event->effect,
                        });
}

/* Of the task, and not of one wait alone. */
static bool is_of_task(const struct facts_cursor *cursor, const struct event *event)
{
    return event->effect == cursor->task.effect && cursor->wait == 0 && !cursor->waits_only;
}

static bool read_step(struct reading *reading, const struct event *event)
{
    assert(event->kind == EVENT_STEP_SETTLED);
    return !is_of_task(reading->cursor, event) ||
           add(reading, (struct settled_step){.key = event->step_settled.key,
                                              .outcome = event->step_settled.outcome,
                                              .kind = SETTLED_CODE});
}

static uint64_t time_left(const struct partition *partition, uint64_t until_ms)
{
    return until_ms > partition->now_ms ? until_ms - partition->now_ms : 0;
}

static bool read_said(struct reading *reading, const struct event *event)
{
    struct settled_step fact = {.kind = SETTLED_CANCEL_SHOWN};
    if (event->kind == EVENT_WITHDRAWN) {
        fact.kind = SETTLED_WITHDRAWN;
        fact.key = event->withdrawn.key;
        fact.facts_seen = event->withdrawn.facts_seen;
        fact.retry_count = event->withdrawn.retries;
    } else if (event->kind == EVENT_STEP_TRIED) {
        fact.kind = SETTLED_TRY;
        fact.key = event->step_tried.key;
        fact.try_number = event->step_tried.try_number;
        fact.outcome = event->step_tried.outcome;
        fact.pause_ms = time_left(reading->partition, event->step_tried.retry_at_ms);
    }
    return !is_of_task(reading->cursor, event) || add(reading, fact);
}

/* False: the page has no room for it. */
static bool read_fact(struct reading *reading, const struct event *event)
{
    if (event->kind == EVENT_STEP_SETTLED) {
        return read_step(reading, event);
    }
    if (event->kind == EVENT_CANCEL_SHOWN || event->kind == EVENT_WITHDRAWN ||
        event->kind == EVENT_STEP_TRIED) {
        return read_said(reading, event);
    }
    if (event->kind == EVENT_WAIT_SETTLED) {
        return read_wait_settled(reading, event);
    }
    if (event->kind == EVENT_CHILD_SETTLED) {
        return read_child(reading, event);
    }
    if (event->kind == EVENT_WAIT_SET) {
        read_wait_set(reading, event);
    } else if (event->kind == EVENT_CANCEL_REQUESTED) {
        reading->page->cancel_cause = arena_copy(reading->arena, event->cancel_requested.cause);
    }
    return true;
}

/* Its task's host told it. */
static bool is_said(enum event_kind kind)
{
    return kind == EVENT_STEP_SETTLED || kind == EVENT_STEP_TRIED || kind == EVENT_CANCEL_SHOWN ||
           kind == EVENT_WITHDRAWN;
}

/* What read_event() reads. */
static const uint64_t kinds_read =
    JOURNAL_KIND(EVENT_RUN_STARTED) | JOURNAL_KIND(EVENT_STEP_SETTLED) |
    JOURNAL_KIND(EVENT_TASK_SETTLED) | JOURNAL_KIND(EVENT_TASK_FAILED) |
    JOURNAL_KIND(EVENT_WAIT_SET) | JOURNAL_KIND(EVENT_WAIT_SETTLED) |
    JOURNAL_KIND(EVENT_CHILD_SETTLED) | JOURNAL_KIND(EVENT_CANCEL_REQUESTED) |
    JOURNAL_KIND(EVENT_CANCEL_SHOWN) | JOURNAL_KIND(EVENT_WITHDRAWN) |
    JOURNAL_KIND(EVENT_STEP_TRIED);

static bool read_event(void *context, uint32_t seq, const struct event *event)
{
    struct reading *reading = context;
    struct facts_cursor *cursor = reading->cursor;
    assert((JOURNAL_KIND(event->kind) & kinds_read) != 0);
    if (seq <= cursor->after) {
        return true;
    }
    if (seq > cursor->until) {
        reading->page->is_last = true;
        return false;
    }
    if (!read_fact(reading, event)) {
        return false;
    }
    cursor->after = seq;
    cursor->steps +=
        cursor->wait == 0 && event->effect == cursor->task.effect && is_said(event->kind);
    if (event_state(event).json.len > 0) {
        cursor->state_seq = seq;
        cursor->state_record = cursor->record;
    }
    reading->page->is_last = event->kind == EVENT_WAIT_SETTLED && event->effect == cursor->wait;
    return !reading->page->is_last;
}

static bool read_record(void *context, str key, str value)
{
    struct reading *reading = context;
    uint32_t seq;
    if (!key_read_journal_seq(key, &seq)) {
        reading->status = status_make(CODE_DATA_LOSS, "a key of the journal is damaged");
        return false;
    }
    reading->cursor->record = seq;
    if (reading->scanned > 0 && reading->scanned + value.len > FACTS_READ_BYTES) {
        reading->is_cut = true;
        return false;
    }
    reading->scanned += value.len;
    reading->status = journal_record(value, kinds_read, reading->arena, read_event, reading);
    return status_is_ok(reading->status) && !reading->is_cut && !reading->page->is_last;
}

static bool read_start(void *context, str key, str value)
{
    (void)value;
    return !key_read_journal_seq(key, context);
}

/* Where the record begins that has the first event to be read. */
static status begin(struct reading *reading, str prefix)
{
    struct facts_cursor *cursor = reading->cursor;
    const struct partition *partition = reading->partition;
    char from[KEY_BYTES_MAX];
    assert(cursor->record == 0); /* It has not begun. */
    cursor->record = cursor->start == 0 ? 1 : cursor->start;
    cursor->after = cursor->record - 1;
    if (cursor->start == 0) {
        return STATUS_OK;
    }
    return store_scan(&partition->store, STORE_JOURNAL, prefix,
                      key_journal(from, partition->options.space, cursor->task.run, cursor->start),
                      true, 1, read_start, &cursor->record);
}

status facts_read(struct partition *partition, struct facts_cursor *cursor, struct arena *arena,
                  struct facts_page *ret)
{
    char prefix_bytes[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    uuid run = cursor->task.run;
    *ret = (struct facts_page){0};
    struct reading reading = {
        .partition = partition, .cursor = cursor, .page = ret, .arena = arena};
    str prefix = key_run(prefix_bytes, partition->options.space, run);
    if (cursor->record == 0) {
        TRY(begin(&reading, prefix));
    }
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix,
                   key_journal(from, partition->options.space, run, cursor->record), false,
                   SIZE_MAX, read_record, &reading));
    TRY(reading.status);
    if (!reading.is_cut && !ret->is_last) {
        TRY(journal_each_open(partition, run, 0, kinds_read, arena, read_event, &reading));
    }
    ret->is_last = !reading.is_cut;
    return STATUS_OK;
}

struct finding {
    uint32_t seq;
    struct arena *arena;
    struct kept_state state;
};

static bool find_state(void *context, uint32_t seq, const struct event *event)
{
    struct finding *finding = context;
    if (seq == finding->seq) {
        finding->state = event_state(event);
    }
    return seq < finding->seq;
}

status facts_state(struct partition *partition, const struct facts_cursor *cursor,
                   struct arena *arena, struct kept_state *ret)
{
    struct finding finding = {.seq = cursor->state_seq, .arena = arena};
    *ret = (struct kept_state){0};
    if (cursor->state_seq == 0) {
        return STATUS_OK;
    }
    assert(cursor->state_record > 0 && cursor->state_record <= cursor->state_seq);
    TRY(journal_each_after(partition, cursor->task.run, cursor->state_record - 1, kinds_read, arena,
                           find_state, &finding));
    *ret = finding.state;
    return STATUS_OK;
}

static int compare(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

/* By wait and place. */
static int by_place(const void *left, const void *right)
{
    const struct settled_step *a = *(const struct settled_step *const *)left;
    const struct settled_step *b = *(const struct settled_step *const *)right;
    return a->wait != b->wait ? compare(a->wait, b->wait) : compare(a->index, b->index);
}

const struct settled_step **facts_children(const struct facts_page *page, struct arena *arena,
                                           size_t *ret_count)
{
    const struct settled_step **children =
        arena_zalloc(arena, (page->count + 1) * sizeof(const struct settled_step *));
    size_t count = 0;
    for (size_t i = 0; i < page->count; i++) {
        if (page->facts[i].is_child) {
            children[count++] = &page->facts[i];
        }
    }
    assert(count <= page->count);
    qsort(children, count, sizeof(const struct settled_step *), by_place);
    *ret_count = count;
    return children;
}

str facts_join(const struct settled_step **children, size_t count, uint32_t wait,
               struct arena *arena)
{
    struct buf text = {0};
    size_t low = 0;
    for (size_t high = count; low < high;) {
        size_t middle = low + (high - low) / 2;
        low = children[middle]->wait < wait ? middle + 1 : low;
        high = children[middle]->wait < wait ? high : middle;
    }
    buf_put(&text, STR("["));
    for (size_t i = low; i < count && children[i]->wait == wait; i++) {
        buf_put(&text, i == low ? STR_EMPTY : STR(","));
        buf_put(&text, children[i]->outcome.value);
    }
    buf_put(&text, STR("]"));
    return buf_finish(&text, arena);
}
