/*
 * waits: what the code of a task waits for, beyond what the engine's state holds.
 *
 * The state keeps a hash of a step's key; the key itself and the topic are in the journal and,
 * while the run is in memory, here.
 */
#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/json.h"
#include "service/partition/internal.h"

static void read_event_wait(str data, struct buf *ret_topic, struct buf *ret_type)
{
    str raw;
    bool has_topic =
        json_object_get(data, STR("topic"), &raw) && json_string_decode(raw, ret_topic);
    if (!has_topic) {
        buf_reset(ret_topic);
    }
    bool has_type =
        json_object_get(data, STR("event_type"), &raw) && json_string_decode(raw, ret_type);
    if (!has_type) {
        buf_reset(ret_type);
    }
}

static str put_text(struct live_wait *wait, size_t offset, str text)
{
    if (text.len > 0) {
        memcpy(wait->bytes + offset, text.ptr, text.len);
    }
    return str_make(wait->bytes + offset, text.len);
}

static void remember(struct live_run *run, uint32_t seq, const struct event *event)
{
    struct buf topic = {0};
    struct buf type = {0};
    if (event->wait_set.kind == EFFECT_EVENT) {
        read_event_wait(event->wait_set.data, &topic, &type);
    }
    str key = event->wait_set.key;
    struct live_wait *wait = xcalloc(1, sizeof(*wait) + key.len + type.len);
    wait->effect = event->effect;
    wait->seq = seq;
    wait->key = put_text(wait, 0, key);
    wait->event_type = put_text(wait, key.len, buf_str(&type));
    if (topic.len > 0) {
        topic_hash(buf_str(&topic), wait->topic);
    }
    wait->next = run->open_waits;
    run->open_waits = wait;
    buf_fini(&topic);
    buf_fini(&type);
}

static struct live_wait *known(const struct live_run *run, uint32_t effect)
{
    struct live_wait *wait = run->open_waits;
    while (wait != NULL && wait->effect != effect) {
        wait = wait->next;
    }
    return wait;
}

static void forget(struct live_run *run, uint32_t effect)
{
    struct live_wait **link = &run->open_waits;
    while (*link != NULL && (*link)->effect != effect) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        struct live_wait *wait = *link;
        *link = wait->next;
        free(wait);
    }
}

void waits_free(struct live_run *run)
{
    while (run->open_waits != NULL) {
        forget(run, run->open_waits->effect);
    }
    order_keys_fini(&run->order_keys);
}

static bool all_known(const struct live_run *run)
{
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        bool is_open = effect_is_wait(effect);
        if (is_open && known(run, effect->id) == NULL) {
            return false;
        }
    }
    return true;
}

static bool find_open(void *context, uint32_t seq, const struct event *event)
{
    struct live_run *run = context;
    bool is_open = engine_effect(&run->state, event->effect) != NULL;
    if (is_open && known(run, event->effect) == NULL) {
        remember(run, seq, event);
        return !all_known(run);
    }
    return true;
}

status wait_find(struct partition *partition, struct live_run *run, uint32_t effect,
                 const struct live_wait **ret)
{
    *ret = known(run, effect);
    if (*ret == NULL) { /* The run was read again since the wait was set. */
        TRY(journal_each_back(partition, run->state.id, JOURNAL_KIND(EVENT_WAIT_SET),
                              &partition->scratch, find_open, run));
        *ret = known(run, effect);
    }
    return *ret != NULL ? STATUS_OK
                        : status_make(CODE_DATA_LOSS, "the journal lacks a wait it counts");
}

static void put_row(struct partition *partition, enum index_kind kind, struct index_tail tail,
                    str value)
{
    char key[KEY_BYTES_MAX];
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, (uint8_t)kind, index_tail_str(&tail)),
                    value);
}

static void delete_row(struct partition *partition, enum index_kind kind, struct index_tail tail)
{
    char key[KEY_BYTES_MAX];
    store_batch_delete(
        &partition->batch, STORE_INDEX,
        key_index(key, partition->options.space, (uint8_t)kind, index_tail_str(&tail)));
}

/* A wait for an event sees what is published after it began. */
static void put_await(struct partition *partition, struct live_run *run, const struct event *event)
{
    struct buf value = {0};
    struct await_row row = {0};
    const uint8_t *topic = known(run, event->effect)->topic;
    status found = topic_await(partition, topic, run->state.id, event->effect, &row.after);
    assert(status_is_ok(found) || found.code == CODE_DATA_LOSS);
    await_row_encode(&row, &value);
    put_row(partition, INDEX_AWAIT, await_row_tail(topic, run->state.id, event->effect),
            buf_str(&value));
    buf_fini(&value);
}

static void note_set(struct partition *partition, struct live_run *run, uint32_t seq,
                     const struct event *event)
{
    enum effect_kind kind = event->wait_set.kind;
    remember(run, seq, event);
    if (kind == EFFECT_SUSPENSION) {
        put_row(partition, INDEX_SUSPENSION,
                suspension_row_tail(event->time_ms, run->state.id, event->effect), STR_EMPTY);
    } else if (kind == EFFECT_EVENT) {
        put_await(partition, run, event);
    }
}

static void drop_wait(struct partition *partition, struct live_run *run, const struct effect *effect)
{
    const struct live_wait *wait;
    if (effect->kind == EFFECT_SUSPENSION) {
        delete_row(partition, INDEX_SUSPENSION,
                   suspension_row_tail(effect->since_ms, run->state.id, effect->id));
    } else if (effect->kind == EFFECT_EVENT &&
               status_is_ok(wait_find(partition, run, effect->id, &wait))) {
        delete_row(partition, INDEX_AWAIT, await_row_tail(wait->topic, run->state.id, effect->id));
    }
    forget(run, effect->id);
}

/* owner 0: all of the run; kept: the kind that stays open. */
static void drop_waits(struct partition *partition, struct live_run *run, uint32_t owner,
                       enum effect_kind kept)
{
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        if (effect_is_wait(effect) && effect->kind != kept &&
            (owner == 0 || effect->owner == owner)) {
            drop_wait(partition, run, effect);
        }
    }
}

static void note_key(struct live_run *run, const struct event *event)
{
    const struct effect *wait = engine_effect(&run->state, event->effect);
    if (wait != NULL && run->order_keys.is_complete) {
        order_keys_add(&run->order_keys, wait->owner, wait->key);
    }
}

static void note_outcome(struct partition *partition, struct live_run *run, const struct event *event)
{
    const struct effect *wait = engine_effect(&run->state, event->effect);
    const struct effect *task = engine_effect(&run->state, event->wait_settled.owner);
    const struct live_wait *found;
    if (task == NULL || task->state != EFFECT_LEASED ||
        !status_is_ok(wait_find(partition, run, event->effect, &found))) {
        return;
    }
    struct act *act = act_add(partition, ACT_OUTCOME, run);
    const struct outcome *outcome = &event->wait_settled.outcome;
    act->effect = task->id;
    act->wait = event->effect;
    act->seq = found->seq;
    act->wait_kind = wait == NULL ? EFFECT_AT_ONCE : (enum effect_kind)wait->kind;
    act->key = arena_copy(&partition->round_arena, found->key);
    act->outcome = (struct outcome){
        .failed = outcome->failed,
        .value = arena_copy(&partition->round_arena, outcome->value),
        .error_type = arena_copy(&partition->round_arena, outcome->error_type),
        .error_message = arena_copy(&partition->round_arena, outcome->error_message),
    };
}

void waits_note(struct partition *partition, struct live_run *run, const struct event *event)
{
    uint32_t owner;
    enum effect_kind kept;
    if (event->kind == EVENT_WAIT_SET) {
        note_set(partition, run, run->state.seq + 1, event);
    } else if (event->kind == EVENT_WAIT_SETTLED) {
        note_key(run, event);
        note_outcome(partition, run, event);
        drop_wait(partition, run, engine_effect(&run->state, event->effect));
    } else if (event_ends_waits(event, &owner, &kept)) {
        drop_waits(partition, run, owner, kept);
    }
}

struct restoring {
    struct partition *partition;
    struct live_run *run;
};

static bool restore_set(void *context, uint32_t seq, const struct event *event)
{
    const struct restoring *restoring = context;
    if (engine_effect(&restoring->run->state, event->effect) != NULL) {
        note_set(restoring->partition, restoring->run, seq, event);
    }
    return true;
}

void waits_restore(struct partition *partition, struct live_run *run)
{
    struct restoring restoring = {partition, run};
    for (size_t i = 0; i < run->record_count; i++) {
        status read = journal_record(run->records[i], JOURNAL_KIND(EVENT_WAIT_SET),
                                     &partition->round_arena, restore_set, &restoring);
        (void)read; /* It is one we keep and have read before. */
    }
}

struct children {
    struct arena *arena;
    uuid *ids;
    size_t count;
    size_t capacity;
};

static void add_child(struct children *children, uuid id)
{
    children->ids = array_reserve_in(children->arena, children->ids, &children->capacity,
                                     children->count + 1, sizeof(children->ids[0]));
    children->ids[children->count++] = id;
}

static bool visit_child(void *context, str key, str value)
{
    (void)value;
    str tail;
    struct child_row row;
    if (key_read_index(key, &tail) && status_is_ok(child_row_decode(tail, &row))) {
        add_child(context, row.child);
    }
    return true;
}

void waits_cancel_children(struct partition *partition, struct live_run *run)
{
    char key[KEY_BYTES_MAX];
    struct children children = {.arena = &partition->round_arena};
    struct index_tail tail = child_rows_of(run->state.id);
    status scanned =
        store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_CHILD, index_tail_str(&tail)),
                   STR_EMPTY, false, SIZE_MAX, visit_child, &children);
    (void)scanned; /* What a damaged index hides stays as it is; the journal is not touched. */
    for (size_t i = 0; i < partition->born_count; i++) {
        if (uuid_equal(partition->born[i].parent, run->state.id)) {
            add_child(&children, partition->born[i].child);
        }
    }
    for (size_t i = 0; i < children.count; i++) {
        struct live_run *child;
        struct command cancel = {
            .kind = COMMAND_CANCEL,
            .cancel = {.cause = STR("the run that started it was cancelled")},
        };
        if (status_is_ok(runs_get(partition, children.ids[i], &child))) {
            enum verdict verdict = command_submit(partition, child, &cancel); /* And its children. */
            (void)verdict; /* It has ended, or is being cancelled. */
        }
    }
}

/* What the parent is told: the result as JSON, or why there is none. */
static struct outcome final_outcome(struct partition *partition, struct live_run *run,
                                    const struct event *events, size_t count)
{
    const struct event *last = &events[count - 1];
    if (last->kind == EVENT_RUN_FAILED) {
        return (struct outcome){.failed = true,
                                .error_type = last->run_failed.reason,
                                .error_message = last->run_failed.message};
    }
    if (last->kind == EVENT_RUN_CANCELLED) {
        return (struct outcome){.failed = true,
                                .error_type = STR("CANCELLED"),
                                .error_message = last->run_cancelled.cause};
    }
    for (size_t i = 0; i < count; i++) {
        if (events[i].kind == EVENT_TASK_SETTLED && run->state.kind != RUN_KIND_AGENT) {
            return events[i].task_settled.outcome;
        }
    }
    return (struct outcome){.value = replay_answer(run, &partition->round_arena)};
}

static bool visit_successor(void *context, str key, str value)
{
    (void)value;
    str tail;
    struct successor_row row;
    if (key_read_index(key, &tail) && status_is_ok(successor_row_decode(tail, &row))) {
        add_child(context, row.successor);
    }
    return true;
}

/* Of a parent that failed: its copies that wait for the child instead. */
static void find_heirs(struct partition *partition, uuid child, uuid parent, struct children *ret)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = successor_rows_of(child);
    status scanned =
        store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_SUCCESSOR, index_tail_str(&tail)),
                   STR_EMPTY, false, SIZE_MAX, visit_successor, ret);
    (void)scanned; /* As in waits_cancel_children(). */
    for (size_t i = 0; i < ret->count; i++) {
        delete_row(partition, INDEX_SUCCESSOR, successor_row_tail(child, ret->ids[i]));
    }
    for (size_t i = 0; i < partition->born_count; i++) {
        if (uuid_equal(partition->born[i].child, child) &&
            !uuid_equal(partition->born[i].parent, parent)) {
            add_child(ret, partition->born[i].parent);
            delete_row(partition, INDEX_SUCCESSOR,
                       successor_row_tail(child, partition->born[i].parent));
        }
    }
}

static struct command child_done(struct partition *partition, const struct live_run *child,
                                 const struct run_spec *spec, const struct outcome *outcome)
{
    return (struct command){
        .kind = COMMAND_CHILD_DONE,
        .effect = spec->parent_effect,
        .attempt = 0,
        .child_done = {.index = spec->parent_index,
                       .child = child->state.id,
                       .outcome = *outcome,
                       .account = account_of(child, &partition->round_arena)},
    };
}

static void tell(struct partition *partition, uuid parent, struct command command)
{
    struct live_run *run;
    if (status_is_ok(runs_get(partition, parent, &run))) {
        enum verdict verdict = command_submit(partition, run, &command);
        (void)verdict; /* It has ended, or waits no more. */
    }
}

void waits_tell_parent(struct partition *partition, struct live_run *run, const struct event *events,
                       size_t count)
{
    struct event started;
    struct live_run *parent;
    status found = runs_started(run, &partition->round_arena, &started);
    const struct run_spec *spec = &started.run_started.spec;
    if (!status_is_ok(found) || uuid_is_zero(spec->parent) || spec->parent_effect == 0) {
        return;
    }
    struct outcome outcome = final_outcome(partition, run, events, count);
    if (!status_is_ok(runs_get(partition, spec->parent, &parent))) {
        return;
    }
    struct command command = child_done(partition, run, spec, &outcome);
    struct children told = {.arena = &partition->round_arena};
    if (parent->state.state == RUN_FAILED) {
        find_heirs(partition, run->state.id, spec->parent, &told);
    } else {
        add_child(&told, spec->parent);
    }
    for (size_t i = 0; i < told.count; i++) {
        tell(partition, told.ids[i], command);
    }
}

/* ---- A failed run that goes on as a copy. ---- */

struct adoption {
    struct partition *partition;
    struct live_run *heir;
    struct children settled; /* Of the heir's facts. */
    struct event events[2]; /* How a child ended: its task's outcome, its own end. */
    size_t count;
};

static bool note_settled(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct adoption *adoption = context;
    add_child(&adoption->settled, event->child_settled.child);
    return true;
}

static bool note_end(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct adoption *adoption = context;
    if (event->kind == EVENT_TASK_SETTLED) { /* The last one counts. */
        adoption->events[0] = *event;
        adoption->count = 1;
        return true;
    }
    adoption->events[adoption->count++] = *event;
    return false;
}

static bool is_settled(const struct adoption *adoption, uuid child)
{
    for (size_t i = 0; i < adoption->settled.count; i++) {
        if (uuid_equal(adoption->settled.ids[i], child)) {
            return true;
        }
    }
    return false;
}

/* One that has ended is told of at once. */
static status adopt_ended(struct adoption *adoption, struct live_run *child,
                          const struct run_spec *spec)
{
    static const uint64_t kinds =
        JOURNAL_KIND(EVENT_TASK_SETTLED) | JOURNAL_KIND(EVENT_RUN_COMPLETED) |
        JOURNAL_KIND(EVENT_RUN_FAILED) | JOURNAL_KIND(EVENT_RUN_CANCELLED);
    struct partition *partition = adoption->partition;
    adoption->count = 0;
    TRY(journal_each(partition, child->state.id, kinds, &partition->round_arena, note_end, adoption));
    if (adoption->count == 0) {
        return status_make(CODE_DATA_LOSS, "the journal of a run that has ended lacks its end");
    }
    if (child->state.kind == RUN_KIND_AGENT) {
        TRY(definition_of(partition, child));
    }
    struct outcome outcome = final_outcome(partition, child, adoption->events, adoption->count);
    tell(partition, adoption->heir->state.id, child_done(partition, child, spec, &outcome));
    return STATUS_OK;
}

static status adopt_child(struct adoption *adoption, uuid id)
{
    struct partition *partition = adoption->partition;
    struct live_run *child;
    struct event started;
    TRY(runs_get(partition, id, &child));
    TRY(runs_started(child, &partition->round_arena, &started));
    const struct run_spec *spec = &started.run_started.spec;
    const struct effect *wait = engine_effect(&adoption->heir->state, spec->parent_effect);
    if (spec->parent_effect == 0 || wait == NULL || wait->kind != EFFECT_CHILDREN ||
        is_settled(adoption, id)) {
        return STATUS_OK;
    }
    if (engine_is_terminal(&child->state)) {
        return adopt_ended(adoption, child, spec);
    }
    start_note_child(partition, adoption->heir->state.id, id);
    put_row(partition, INDEX_SUCCESSOR, successor_row_tail(id, adoption->heir->state.id), STR_EMPTY);
    return STATUS_OK;
}

status waits_adopt_children(struct partition *partition, uuid source, struct live_run *heir)
{
    char key[KEY_BYTES_MAX];
    struct children children = {.arena = &partition->round_arena};
    struct adoption *adoption = arena_zalloc(&partition->round_arena, sizeof(*adoption));
    *adoption = (struct adoption){
        .partition = partition, .heir = heir, .settled = {.arena = &partition->round_arena}};
    TRY(journal_each(partition, heir->state.id, JOURNAL_KIND(EVENT_CHILD_SETTLED),
                     &partition->round_arena, note_settled, adoption));
    struct index_tail tail = child_rows_of(source);
    TRY(store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_CHILD, index_tail_str(&tail)),
                   STR_EMPTY, false, SIZE_MAX, visit_child, &children));
    for (size_t i = 0; i < children.count; i++) {
        TRY(adopt_child(adoption, children.ids[i]));
    }
    return STATUS_OK;
}
