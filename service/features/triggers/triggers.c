/*
 * triggers: workflows that a topic's events start, singly or in batches.
 *
 * A trigger's position is a row, moved in the batch that starts the run: no event is skipped, none
 * starts two runs, also across crashes. A trigger that is new begins with what comes after it.
 */
#include "service/features/triggers/triggers.h"

#include <stdlib.h>

#include "service/agents/definition.h"
#include "service/base/json_writer.h"
#include "service/base/sys.h"
#include "service/codec/topic_rows.h"
#include "service/features/starts/starts.h"
#include "service/features/topics/topics.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

enum {
    RUNS_PER_ROUND_MAX = 256,
    BATCH_SIZE_MAX = 1000,
    AGAIN_MS = 10 * 1000, /* After a start that was refused. */
    AT_ONCE_MS = 1, /* Also when the clock is set back meanwhile. */
};

struct trigger {
    struct trigger *next;
    char workflow[NAME_BYTES_MAX + 1];
    char topic[TOPIC_BYTES_MAX + 1];
    uint8_t hash[16];
    uint32_t batch_size;
    uint64_t batch_timeout_ms;
    uint64_t position; /* Events up to here have started runs. */
    uint64_t due_ms; /* When a batch that is not full is started; 0: none waits. */
};

static_assert(sizeof(((struct trigger *)0)->hash) == KEY_HASH_BYTES, "a hash names its topic");
static_assert(AT_ONCE_MS > 0, "0 is: nothing waits");

struct triggers {
    struct partition *partition;
    struct trigger *list;
};

static struct triggers *triggers_of(const struct partition *partition)
{
    return partition_self(partition, &triggers_feature);
}

static void put_row(struct partition *partition, const struct trigger *trigger)
{
    char key[KEY_BYTES_MAX];
    struct buf value = {0};
    struct trigger_row row = {
        .topic = str_of(trigger->topic),
        .position = trigger->position,
        .batch_timeout_ms = trigger->batch_timeout_ms,
        .batch_size = trigger->batch_size,
    };
    trigger_row_encode(&row, &value);
    store_batch_put(
        &partition->batch, STORE_INDEX,
        key_index(key, partition->options.space, INDEX_TRIGGER, str_of(trigger->workflow)),
        buf_str(&value));
    buf_fini(&value);
}

static struct trigger *find(const struct partition *partition, str workflow)
{
    struct trigger *trigger = triggers_of(partition)->list;
    while (trigger != NULL && !str_is(workflow, trigger->workflow)) {
        trigger = trigger->next;
    }
    return trigger;
}

static struct trigger *add(struct partition *partition, str workflow, str topic)
{
    assert(find(partition, workflow) == NULL);
    struct trigger *trigger = xcalloc(1, sizeof(*trigger));
    assert(workflow.len <= NAME_BYTES_MAX && topic.len < sizeof(trigger->topic));
    memcpy(trigger->workflow, workflow.ptr, workflow.len);
    memcpy(trigger->topic, topic.ptr, topic.len);
    topic_hash(topic, trigger->hash);
    trigger->next = triggers_of(partition)->list;
    triggers_of(partition)->list = trigger;
    return trigger;
}

static void set_topic(struct trigger *trigger, str topic)
{
    assert(topic.len < sizeof(trigger->topic));
    memset(trigger->topic, 0, sizeof(trigger->topic));
    memcpy(trigger->topic, topic.ptr, topic.len);
    topic_hash(topic, trigger->hash);
}

void triggers_offer(struct partition *partition, const struct trigger_offer *offer)
{
    struct trigger *trigger = find(partition, offer->workflow);
    uint32_t batch_size = offer->batch_size == 0 ? 1 : offer->batch_size;
    batch_size = batch_size > BATCH_SIZE_MAX ? BATCH_SIZE_MAX : batch_size;
    assert(batch_size >= 1 && batch_size <= BATCH_SIZE_MAX);
    bool is_same = trigger != NULL && str_is(offer->topic, trigger->topic);
    if (is_same && trigger->batch_size == batch_size &&
        trigger->batch_timeout_ms == offer->batch_timeout_ms) {
        return;
    }
    if (trigger == NULL) {
        trigger = add(partition, offer->workflow, offer->topic);
    }
    if (!is_same) {
        set_topic(trigger, offer->topic);
        status found = topic_last(partition, offer->topic, &trigger->position);
        if (!status_is_ok(found) && store_may_pass(found)) { /* Its old events would count. */
            round_spoil(partition, found);
        } /* A damaged topic is met, and reported, by its first event. */
    }
    trigger->batch_size = batch_size;
    trigger->batch_timeout_ms = offer->batch_timeout_ms;
    trigger->due_ms = AT_ONCE_MS; /* What waits may be enough now, or old enough. */
    put_row(partition, trigger);
}

void triggers_drop(struct partition *partition, str workflow)
{
    char key[KEY_BYTES_MAX];
    struct trigger **link = &triggers_of(partition)->list;
    while (*link != NULL && !str_is(workflow, (*link)->workflow)) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return;
    }
    struct trigger *dropped = *link;
    *link = dropped->next;
    free(dropped);
    store_batch_delete(&partition->batch, STORE_INDEX,
                       key_index(key, partition->options.space, INDEX_TRIGGER, workflow));
    assert(find(partition, workflow) == NULL);
}

struct collecting {
    struct arena *arena;
    struct buf text; /* The input of the run: one event, or the list of a batch. */
    struct json_writer writer;
    uint64_t last;
    uint64_t first_ms; /* When the oldest of them was published. */
    size_t count;
    size_t count_max;
    status status;
};

static bool visit_event(void *context, const struct topic_event *event)
{
    struct collecting *collecting = context;
    assert(collecting->count < collecting->count_max);
    assert(collecting->count == 0 || event->sequence > collecting->last);
    if (collecting->count == 0) {
        collecting->first_ms = event->created_ms;
    }
    json_put_raw(&collecting->writer, NULL, topic_render(event, collecting->arena));
    collecting->last = event->sequence;
    collecting->count++;
    return collecting->count < collecting->count_max;
}

static bool start(struct partition *partition, struct trigger *trigger,
                  struct collecting *collecting)
{
    struct arena *arena = &partition->round_arena;
    assert(collecting->count > 0 && collecting->count <= trigger->batch_size);
    if (trigger->batch_size > 1) {
        json_end_array(&collecting->writer);
        json_end_object(&collecting->writer);
    }
    struct run_spec spec = {
        .kind = RUN_KIND_WORKFLOW,
        .name = str_of(trigger->workflow),
        .input = buf_finish(&collecting->text, arena),
        .cause = START_CAUSE_TRIGGER,
        .started_by = str_of(trigger->topic),
    };
    struct failure failure;
    uuid id;
    if (!start_has_space(partition)) {
        log_line(LOG_WARN, "trigger_refused", "workflow=%s why=\"the disk is nearly full\"",
                 trigger->workflow);
        return false;
    }
    bool is_started = start_run(partition, &spec, arena, &failure, &id);
    if (!is_started) {
        log_line(LOG_WARN, "trigger_refused", "workflow=%s reason=%s why=\"" STR_FMT "\"",
                 trigger->workflow, reason_name(failure.reason), STR_ARG(failure.message));
    }
    return is_started;
}

/* One run of what has come, when it is enough or old enough. True: there may be more. */
static bool fire(struct partition *partition, struct trigger *trigger)
{
    struct collecting collecting = {
        .arena = &partition->round_arena,
        .count_max = trigger->batch_size,
    };
    collecting.writer = json_writer_of(&collecting.text);
    if (trigger->batch_size > 1) {
        json_begin_object(&collecting.writer, NULL);
        json_begin_array(&collecting.writer, "events");
    }
    status read =
        topic_visit(partition, trigger->hash, trigger->position, visit_event, &collecting);
    bool is_full = collecting.count == trigger->batch_size;
    uint64_t due_ms = collecting.count == 0 || trigger->batch_timeout_ms == 0
                          ? 0
                          : collecting.first_ms + trigger->batch_timeout_ms;
    bool is_due = due_ms != 0 && partition->now_ms >= due_ms;
    bool is_enough = status_is_ok(read) && collecting.count > 0 && (is_full || is_due);
    bool starts = is_enough && start(partition, trigger, &collecting);
    if (starts) {
        trigger->position = collecting.last;
        put_row(partition, trigger);
        due_ms = 0;
    } else if (is_enough || !status_is_ok(read)) {
        bool may_pass = !status_is_ok(read) && store_may_pass(read);
        due_ms = partition->now_ms + (may_pass ? READ_AGAIN_MS : AGAIN_MS);
    }
    trigger->due_ms = due_ms;
    if (!status_is_ok(read)) {
        log_line(LOG_ERROR, "trigger_unreadable", "workflow=%s why=\"%s\"", trigger->workflow,
                 read.why);
    }
    buf_fini(&collecting.text);
    return starts;
}

/* The topic has new events, all committed. */
static void start_runs(void *self, const uint8_t topic[16])
{
    struct triggers *triggers = self;
    struct partition *partition = triggers->partition;
    for (struct trigger *trigger = triggers->list; trigger != NULL; trigger = trigger->next) {
        if (memcmp(trigger->hash, topic, sizeof(trigger->hash)) != 0) {
            continue;
        }
        size_t count = 0;
        while (count < RUNS_PER_ROUND_MAX && fire(partition, trigger)) {
            count++;
        }
        assert(count <= RUNS_PER_ROUND_MAX);
        if (count == RUNS_PER_ROUND_MAX) {
            trigger->due_ms = AT_ONCE_MS; /* Goes on next round. */
        }
    }
}

/* One that is not there yet needs none. */
static bool needs(void *self, const uint8_t topic[16], uint64_t up_to)
{
    const struct triggers *triggers = self;
    const struct trigger *trigger = triggers->list;
    while (trigger != NULL && (memcmp(trigger->hash, topic, sizeof(trigger->hash)) != 0 ||
                               trigger->position >= up_to)) {
        trigger = trigger->next;
    }
    return trigger != NULL;
}

static void begin_round(void *self)
{
    struct triggers *triggers = self;
    const struct partition *partition = triggers->partition;
    for (struct trigger *trigger = triggers->list; trigger != NULL; trigger = trigger->next) {
        if (trigger->due_ms != 0 && partition->now_ms >= trigger->due_ms) {
            trigger->due_ms = 0;
            start_runs(triggers, trigger->hash);
        }
    }
}

static uint64_t next_due_ms(void *self)
{
    const struct triggers *triggers = self;
    uint64_t due_ms = 0;
    for (const struct trigger *trigger = triggers->list; trigger != NULL; trigger = trigger->next) {
        if (trigger->due_ms != 0 && (due_ms == 0 || trigger->due_ms < due_ms)) {
            due_ms = trigger->due_ms;
        }
    }
    return due_ms;
}

static bool visit_row(void *context, str key, str value)
{
    struct partition *partition = context;
    str workflow;
    struct trigger_row row;
    bool is_whole = key_read_index(key, &workflow) && workflow.len <= NAME_BYTES_MAX &&
                    status_is_ok(trigger_row_decode(value, &row)) && row.batch_size > 0;
    if (!is_whole) {
        log_line(LOG_ERROR, "trigger_damaged", "bytes=%zu", value.len);
        return true;
    }
    struct trigger *trigger = add(partition, workflow, row.topic);
    trigger->position = row.position;
    trigger->batch_timeout_ms = row.batch_timeout_ms;
    trigger->batch_size = row.batch_size;
    trigger->due_ms = AT_ONCE_MS; /* Look at it once. */
    return true;
}

static void forget_all(struct triggers *triggers)
{
    while (triggers->list != NULL) {
        struct trigger *next = triggers->list->next;
        free(triggers->list);
        triggers->list = next;
    }
}

static status read_rows(struct triggers *triggers)
{
    char key[KEY_BYTES_MAX];
    struct partition *partition = triggers->partition;
    forget_all(triggers);
    assert(triggers->list == NULL);
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(key, partition->options.space, INDEX_TRIGGER, STR_EMPTY), STR_EMPTY,
                      false, SIZE_MAX, visit_row, partition);
}

static void failed(void *self)
{
    status read = read_rows(self);
    if (!status_is_ok(read)) {
        log_line(LOG_ERROR, "triggers_unreadable", "why=\"%s\"", read.why);
        if (store_may_pass(read)) {
            round_doubt(((struct triggers *)self)->partition, read);
        }
    }
}

/* By now the topics are there: features start in an order of their own. */
static status load(void *self)
{
    struct triggers *triggers = self;
    static const struct topic_listener listener = {.news = start_runs, .needs = needs};
    topics_listen(triggers->partition, &listener, triggers);
    return read_rows(triggers);
}

static void *start_feature(struct partition *partition)
{
    struct triggers *triggers = xcalloc(1, sizeof(*triggers));
    triggers->partition = partition;
    return triggers;
}

static void stop(void *self)
{
    forget_all(self);
    free(self);
}

static const struct feature *const uses[] = {&starts_feature, &topics_feature, NULL};

const struct feature triggers_feature = {
    .name = "triggers",
    .uses = uses,
    .start = start_feature,
    .load = load,
    .at = {[ROUND_BEGINS] = begin_round, [ROUND_FAILED] = failed},
    .next_due_ms = next_due_ms,
    .stop = stop,
};
