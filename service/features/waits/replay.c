/*
 * replay: what a task's code has settled so far, read from its run's journal.
 */
#include "service/features/waits/replay.h"

#include <stdlib.h>

#include "service/agents/transcript.h"
#include "service/base/array.h"
#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/partition/journal.h"
#include "service/partition/state.h"

enum {
    ACCOUNTS_BYTES_MAX =
        1 << 20, /* Of an outcome that tells of children; then steps are left out. */
};

/* What a host is given at once; more than the libraries of hosts take in one message. */
#define REPLAY_BYTES_MAX ((size_t)128 << 20)
/* The results of the runs that one step waits for. */
#define CHILDREN_BYTES_MAX ((size_t)64 << 20)

struct child {
    struct child *next; /* Newest first. */
    uint32_t index;
    uuid id;
    struct outcome outcome;
    str account; /* JSON object; empty: none. */
};

/* Until it is settled; those of one run are few at a time. */
struct order {
    struct order *next; /* Newest first. */
    uint32_t effect;
    uint32_t owner;
    enum effect_kind kind;
    str key;
    struct child *children; /* Those that have ended. */
    size_t child_count;
    size_t child_bytes; /* Of what they ended with. */
};

struct reading {
    struct arena *arena;
    uint32_t task;
    struct replay *replay;
    size_t capacity;
    struct order *orders;
    size_t bytes_max; /* Of the arena. */
    bool is_too_large; /* Passed: what was read is not all. */
};

static const char *kind_name(enum effect_kind kind)
{
    switch (kind) {
    case EFFECT_SLEEP:
        return "sleep";
    case EFFECT_SUSPENSION:
        return "suspend";
    case EFFECT_EVENT:
        return "event";
    case EFFECT_CHILDREN:
        return "invoke";
    case EFFECT_NONE:
    case EFFECT_MODEL:
    case EFFECT_TOOL:
    case EFFECT_BODY:
    case EFFECT_AT_ONCE:
    case EFFECT_KIND_COUNT:
        break;
    }
    return "order";
}

static void add_step(struct reading *reading, struct settled_step step)
{
    struct replay *replay = reading->replay;
    replay->steps = array_reserve_in(reading->arena, replay->steps, &reading->capacity,
                                     replay->count + 1, sizeof(replay->steps[0]));
    replay->steps[replay->count++] = step;
    replay->settled_count += !step.is_step_request;
    assert(step.kind != NULL && replay->settled_count <= replay->count);
}

/* NULL: there is none. */
static struct order **find_order(struct reading *reading, uint32_t effect)
{
    struct order **order = &reading->orders;
    while (*order != NULL && (*order)->effect != effect) {
        order = &(*order)->next;
    }
    return *order == NULL ? NULL : order;
}

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

static void put_child(struct json_writer *writer, const struct child *child)
{
    const struct outcome *outcome = &child->outcome;
    bool is_cancelled = outcome->failed && str_is(outcome->error_type, "CANCELLED");
    str standing = !outcome->failed ? STR("completed")
                   : is_cancelled   ? STR("cancelled")
                                    : STR("failed");
    json_begin_object(writer, NULL);
    json_put_uuid(writer, "run_id", child->id);
    json_put_string(writer, "status", standing);
    if (outcome->failed) {
        json_begin_object(writer, "error");
        json_put_string(writer, "type", outcome->error_type);
        json_put_string(writer, "message", outcome->error_message);
        json_end_object(writer);
    } else {
        json_put_raw(writer, "result", outcome->value);
    }
    put_account(writer, child->account);
    json_end_object(writer);
}

static int by_index(const void *left, const void *right)
{
    uint32_t a = (*(const struct child *const *)left)->index;
    uint32_t b = (*(const struct child *const *)right)->index;
    return (a > b) - (a < b);
}

static str render_children(const struct order *order, struct arena *arena)
{
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    const struct child **sorted =
        arena_zalloc(arena, (order->child_count + 1) * sizeof(const struct child *));
    size_t count = 0;
    for (const struct child *child = order->children; child != NULL; child = child->next) {
        sorted[count++] = child;
    }
    assert(count == order->child_count);
    qsort(sorted, count, sizeof(const struct child *), by_index);
    json_begin_array(&writer, NULL);
    for (size_t i = 0; i < count; i++) {
        put_child(&writer, sorted[i]);
    }
    json_end_array(&writer);
    return buf_finish(&text, arena);
}

static struct order *add_order(struct reading *reading, uint32_t effect)
{
    struct order *order = arena_zalloc(reading->arena, sizeof(*order));
    order->effect = effect;
    order->next = reading->orders;
    reading->orders = order;
    return order;
}

/* What the code is given when the runs it waited for have ended. */
static struct outcome outcome_of_children(const struct reading *reading, const struct order *order)
{
    if (reading->is_too_large || order->child_bytes > CHILDREN_BYTES_MAX) {
        return (struct outcome){
            .failed = true,
            .error_type = STR("CHILDREN_TOO_LARGE"),
            .error_message = STR("the results of the runs it waited for are over 64 MiB together; "
                                 "wait for fewer of them at once, or let them return less"),
        };
    }
    return (struct outcome){.value = render_children(order, reading->arena)};
}

/* False: too much was read. */
static bool has_room(struct reading *reading)
{
    reading->is_too_large |= reading->arena->bytes > reading->bytes_max;
    return !reading->is_too_large;
}

static void read_wait_set(struct reading *reading, const struct event *event)
{
    assert(event->kind == EVENT_WAIT_SET);
    struct order *order = add_order(reading, event->effect);
    order->owner = event->wait_set.owner;
    order->kind = event->wait_set.kind;
    order->key = event->wait_set.key;
}

static void read_wait_settled(struct reading *reading, const struct event *event)
{
    assert(event->kind == EVENT_WAIT_SETTLED);
    struct order **link = find_order(reading, event->effect);
    if (link == NULL) {
        return;
    }
    const struct order *order = *link;
    *link = order->next;
    if (order->owner != reading->task) {
        return;
    }
    struct outcome outcome = event->wait_settled.outcome;
    if (order->kind == EFFECT_CHILDREN && !outcome.failed && outcome.value.len == 0) {
        outcome = outcome_of_children(reading, order);
    }
    add_step(reading, (struct settled_step){
                          .key = order->key,
                          .outcome = outcome,
                          .is_step_request = true,
                          .kind = kind_name(order->kind),
                      });
}

static void read_child(struct reading *reading, const struct event *event)
{
    assert(event->kind == EVENT_CHILD_SETTLED);
    struct order **link = find_order(reading, event->effect);
    if (link == NULL) {
        return;
    }
    struct child *child = arena_zalloc(reading->arena, sizeof(*child));
    child->index = event->child_settled.index;
    child->id = event->child_settled.child;
    child->outcome = event->child_settled.outcome;
    child->account = event->child_settled.account;
    child->next = (*link)->children;
    (*link)->children = child;
    (*link)->child_count++;
    (*link)->child_bytes +=
        child->outcome.value.len + child->outcome.error_message.len + child->account.len;
}

static void read_step(struct reading *reading, const struct event *event)
{
    assert(event->kind == EVENT_STEP_SETTLED);
    if (event->effect == reading->task) {
        add_step(reading, (struct settled_step){
                              .key = event->step_settled.key,
                              .outcome = event->step_settled.outcome,
                              .kind = "step",
                          });
    }
}

/* What read_event() reads. */
static const uint64_t kinds_read =
    JOURNAL_KIND(EVENT_RUN_STARTED) | JOURNAL_KIND(EVENT_STEP_SETTLED) |
    JOURNAL_KIND(EVENT_TASK_SETTLED) | JOURNAL_KIND(EVENT_TASK_FAILED) |
    JOURNAL_KIND(EVENT_WAIT_SET) | JOURNAL_KIND(EVENT_WAIT_SETTLED) |
    JOURNAL_KIND(EVENT_CHILD_SETTLED) | JOURNAL_KIND(EVENT_CANCEL_REQUESTED);

static bool read_event(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct reading *reading = context;
    assert((JOURNAL_KIND(event->kind) & kinds_read) != 0);
    str state = event_state(event);
    if (state.len > 0) {
        reading->replay->state = state;
    }
    if (event->kind == EVENT_STEP_SETTLED) {
        read_step(reading, event);
    } else if (event->kind == EVENT_WAIT_SET) {
        read_wait_set(reading, event);
    } else if (event->kind == EVENT_WAIT_SETTLED) {
        read_wait_settled(reading, event);
    } else if (event->kind == EVENT_CHILD_SETTLED) {
        read_child(reading, event);
    } else if (event->kind == EVENT_CANCEL_REQUESTED) {
        reading->replay->cancel_cause = event->cancel_requested.cause;
    }
    return has_room(reading);
}

status replay_read(struct partition *partition, uuid run, uint32_t task, struct arena *arena,
                   struct replay *ret)
{
    assert(!uuid_is_zero(run));
    *ret = (struct replay){0};
    struct reading reading = {
        .arena = arena, .task = task, .replay = ret, .bytes_max = arena->bytes + REPLAY_BYTES_MAX};
    TRY(journal_each(partition, run, kinds_read, arena, read_event, &reading));
    return reading.is_too_large
               ? status_make(CODE_RESOURCE_EXHAUSTED,
                             "what it has settled is over 128 MiB, more than a host can be given")
               : STATUS_OK;
}

static bool read_child_of(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    read_child(context, event);
    return has_room(context);
}

status replay_children(struct partition *partition, uuid run, uint32_t effect, uint32_t since,
                       struct arena *arena, struct outcome *ret)
{
    assert(effect > 0 && since > 0);
    struct reading reading = {.arena = arena, .bytes_max = arena->bytes + REPLAY_BYTES_MAX};
    struct order *order = add_order(&reading, effect);
    TRY(journal_each_after(partition, run, since, JOURNAL_KIND(EVENT_CHILD_SETTLED), arena,
                           read_child_of, &reading));
    *ret = outcome_of_children(&reading, order);
    return STATUS_OK;
}

struct last_answer {
    struct arena *arena;
    struct buf text;
    bool found;
};

static bool read_answer(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct last_answer *answer = context;
    assert(event->kind == EVENT_MODEL_REPLIED);
    struct model_reply reply;
    str origin;
    if (!status_is_ok(
            transcript_unpack_reply(event->model_replied.reply, answer->arena, &reply, &origin))) {
        return true;
    }
    answer->found = true;
    buf_reset(&answer->text);
    for (size_t i = 0; i < reply.block_count; i++) {
        if (reply.blocks[i].kind == MODEL_BLOCK_TEXT) {
            buf_put(&answer->text, reply.blocks[i].text);
        }
    }
    return true;
}

/* The text of an agent's last reply, as a JSON string; raw where the definition has a schema for
 * it and it is JSON. */
str replay_answer(const struct live_run *run, bool is_structured, struct arena *arena)
{
    struct last_answer answer = {.arena = arena};
    for (size_t i = run->record_count; i > 0 && !answer.found; i--) {
        status read = journal_record(run->records[i - 1], JOURNAL_KIND(EVENT_MODEL_REPLIED), arena,
                                     read_answer, &answer);
        (void)read; /* It is one we keep and have read before. */
    }
    str text = buf_str(&answer.text);
    bool is_raw = is_structured && status_is_ok(json_validate(text, arena));
    struct buf quoted = {0};
    buf_put_json_string(&quoted, text);
    str ret = arena_copy(arena, is_raw ? text : buf_str(&quoted));
    buf_fini(&quoted);
    buf_fini(&answer.text);
    return ret;
}
