/*
 * waits: what the code of a task waits for, beyond what the engine's state holds.
 *
 * The state keeps a hash of a step's key; the key itself and the topic are in the journal and,
 * while the run is in memory, here.
 */
#include "service/features/waits/waits.h"

#include <stdlib.h>

#include "service/base/hash.h"
#include "service/base/json.h"
#include "service/features/waits/facts.h"
#include "service/features/waits/step_requests.h"
#include "service/features/waits/wait_kind.h"
#include "service/partition/journal.h"
#include "service/partition/round.h"
#include "service/partition/state.h"

static_assert(sizeof(((struct live_wait *)0)->topic) == KEY_HASH_BYTES, "a hash names its topic");

struct waits {
    struct partition *partition;
    const struct wait_kind *by_request[STEP_REQUEST_COUNT];
};

/* In each run. */
struct room {
    struct live_wait *open; /* All, or those that were set since the run was read. */
    struct step_keys step_keys;
};

static struct waits *waits_of(const struct partition *partition)
{
    return partition_self(partition, &waits_feature);
}

static struct room *room_of(const struct waits *waits, const struct live_run *run)
{
    return partition_room(waits->partition, run, &waits_feature);
}

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

static struct live_wait *known(const struct room *room, uint32_t effect)
{
    struct live_wait *wait = room->open;
    while (wait != NULL && wait->effect != effect) {
        wait = wait->next;
    }
    return wait;
}

static void remember(struct room *room, uint32_t seq, const struct event *event)
{
    assert(event->kind == EVENT_WAIT_SET && seq > 0);
    assert(known(room, event->effect) == NULL);
    struct buf topic = {0};
    struct buf type = {0};
    if (event->wait_set.kind == EFFECT_EVENT) {
        read_event_wait(event->wait_set.data, &topic, &type);
    }
    str key = event->wait_set.key;
    struct live_wait *wait = xcalloc(1, sizeof(*wait) + key.len + type.len);
    wait->effect = event->effect;
    wait->seq = seq;
    wait->has_schema = event->wait_set.answer_schema.len > 0;
    wait->key = put_text(wait, 0, key);
    wait->event_type = put_text(wait, key.len, buf_str(&type));
    if (topic.len > 0) {
        hash128(buf_str(&topic), wait->topic);
    }
    wait->next = room->open;
    room->open = wait;
    buf_fini(&topic);
    buf_fini(&type);
}

static void forget(struct room *room, uint32_t effect)
{
    struct live_wait **link = &room->open;
    while (*link != NULL && (*link)->effect != effect) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        struct live_wait *wait = *link;
        *link = wait->next;
        free(wait);
    }
}

struct finding {
    struct live_run *run;
    struct room *room;
};

static bool all_known(const struct finding *finding)
{
    const struct run *state = &finding->run->state;
    for (uint32_t i = 0; i < state->effect_count; i++) {
        const struct effect *effect = &state->effects[i];
        if (effect_is_wait(effect) && known(finding->room, effect->id) == NULL) {
            return false;
        }
    }
    return true;
}

static bool find_open(void *context, uint32_t seq, const struct event *event)
{
    const struct finding *finding = context;
    assert(event->kind == EVENT_WAIT_SET);
    bool is_open = engine_effect(&finding->run->state, event->effect) != NULL;
    if (is_open && known(finding->room, event->effect) == NULL) {
        remember(finding->room, seq, event);
        return !all_known(finding);
    }
    return true;
}

status wait_find(struct partition *partition, struct live_run *run, uint32_t effect,
                 const struct live_wait **ret)
{
    struct finding finding = {run, room_of(waits_of(partition), run)};
    *ret = known(finding.room, effect);
    if (*ret == NULL) { /* The run was read again since the wait was set. */
        TRY(journal_each_back(partition, run->state.id, JOURNAL_KIND(EVENT_WAIT_SET),
                              &partition->scratch, find_open, &finding));
        *ret = known(finding.room, effect);
    }
    return *ret != NULL ? STATUS_OK
                        : status_make(CODE_DATA_LOSS, "the journal lacks a wait it counts");
}

const struct live_wait *wait_known(struct partition *partition, const struct live_run *run,
                                   uint32_t effect)
{
    return known(room_of(waits_of(partition), run), effect);
}

static void note_set(struct waits *waits, struct live_run *run, uint32_t seq,
                     const struct event *event)
{
    const struct wait_kind *kind = wait_kind_of(waits->partition, event->wait_set.kind);
    struct room *room = room_of(waits, run);
    remember(room, seq, event);
    if (kind != NULL && kind->set != NULL) {
        kind->set(waits->partition, run, known(room, event->effect), event);
    }
}

static void drop_wait(struct waits *waits, struct live_run *run, const struct effect *effect)
{
    assert(effect != NULL);
    const struct wait_kind *kind = wait_kind_of(waits->partition, effect->kind);
    if (kind != NULL && kind->over != NULL) {
        kind->over(waits->partition, run, effect);
    }
    forget(room_of(waits, run), effect->id);
}

/* Of every task where the owner is 0; `kept` is the kind that stays open. */
static void drop_waits(struct waits *waits, struct live_run *run, uint32_t owner,
                       enum effect_kind kept)
{
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        if (effect_is_wait(effect) && effect->kind != kept &&
            (owner == 0 || effect->owner == owner)) {
            drop_wait(waits, run, effect);
        }
    }
}

static void note_key(struct room *room, const struct run *state, const struct event *event)
{
    const struct effect *wait = engine_effect(state, event->effect);
    assert(wait != NULL); /* It ends with this event. */
    if (room->step_keys.is_complete) {
        step_keys_add(&room->step_keys, wait->owner, wait->key);
    }
}

static void note_outcome(struct partition *partition, struct live_run *run,
                         const struct event *event)
{
    const struct effect *wait = engine_effect(&run->state, event->effect);
    const struct effect *task = engine_effect(&run->state, event->wait_settled.owner);
    const struct live_wait *found;
    if (task == NULL || task->state != EFFECT_LEASED) {
        return;
    }
    status read = wait_find(partition, run, event->effect, &found);
    if (!status_is_ok(read)) {
        if (store_may_pass(read)) { /* Else its host would never be told. */
            round_spoil(partition, read);
        }
        return;
    }
    enum effect_kind kind = (enum effect_kind)wait->kind;
    struct told told = {
        .wait = event->effect,
        .kind = kind,
        .settled = wait_kind_settled(partition, kind),
        .since = found->seq,
        .key = found->key,
        .outcome = event->wait_settled.outcome,
        .steps_before = task->steps,
    };
    step_request_tell(partition, run, task->id, &told);
}

static void before_event(void *self, struct live_run *run, const struct event *event,
                         enum command_kind command)
{
    (void)command;
    uint32_t owner;
    enum effect_kind kept;
    struct waits *waits = self;
    if (event->kind == EVENT_RUN_STARTED) {
        room_of(waits, run)->step_keys.is_complete = true;
    } else if (event->kind == EVENT_WAIT_SET) {
        note_set(waits, run, run->state.seq + 1, event);
    } else if (event->kind == EVENT_WAIT_SETTLED) {
        note_key(room_of(waits, run), &run->state, event);
        note_outcome(waits->partition, run, event);
        drop_wait(waits, run, engine_effect(&run->state, event->effect));
    } else if (event_ends_waits(event, &owner, &kept)) {
        drop_waits(waits, run, owner, kept);
    }
}

struct step_keys *waits_step_keys(struct partition *partition, const struct live_run *run)
{
    return &room_of(waits_of(partition), run)->step_keys;
}

const struct wait_kind *waits_kind_for(struct partition *partition, enum step_request_kind request)
{
    const struct waits *waits = waits_of(partition);
    assert((size_t)request < COUNT_OF(waits->by_request));
    assert(waits->by_request[request] != NULL);
    return waits->by_request[request];
}

/* What is remembered of the waits of a run whose history is copied; rows come when it is whole. */
static void event_copied(void *self, struct live_run *run, const struct event *event)
{
    uint32_t owner;
    enum effect_kind kept;
    struct room *room = room_of(self, run);
    const struct run *state = &run->state;
    if (event->kind == EVENT_WAIT_SET) {
        remember(room, state->seq + 1, event);
    } else if (event->kind == EVENT_WAIT_SETTLED) {
        forget(room, event->effect);
    } else if (event_ends_waits(event, &owner, &kept)) {
        for (uint32_t i = 0; i < state->effect_count; i++) {
            const struct effect *effect = &state->effects[i];
            if (effect_is_wait(effect) && effect->kind != kept &&
                (owner == 0 || effect->owner == owner)) {
                forget(room, effect->id);
            }
        }
    }
}

struct restoring {
    struct waits *waits;
    struct live_run *run;
    const struct live_wait *wait;
};

static bool restore_set(void *context, uint32_t seq, const struct event *event)
{
    const struct restoring *restoring = context;
    struct waits *waits = restoring->waits;
    assert(event->kind == EVENT_WAIT_SET && seq > 0);
    if (event->effect != restoring->wait->effect) {
        return true;
    }
    const struct wait_kind *kind = wait_kind_of(waits->partition, event->wait_set.kind);
    if (kind != NULL && kind->set != NULL) {
        kind->set(waits->partition, restoring->run, restoring->wait, event);
    }
    return false;
}

static status restore(struct waits *waits, struct live_run *run, uint32_t effect)
{
    struct partition *partition = waits->partition;
    struct restoring restoring = {.waits = waits, .run = run};
    TRY(wait_find(partition, run, effect, &restoring.wait));
    return journal_each_at(partition, run->state.id, restoring.wait->seq,
                           JOURNAL_KIND(EVENT_WAIT_SET), &partition->round_arena, restore_set,
                           &restoring);
}

/* Index rows of all open waits. */
static void run_copied(void *self, struct live_run *run)
{
    struct waits *waits = self;
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        const struct effect *effect = &run->state.effects[i];
        status read = effect_is_wait(effect) ? restore(waits, run, effect->id) : STATUS_OK;
        if (!status_is_ok(read) && store_may_pass(read)) {
            round_spoil(waits->partition, read);
        }
    }
}

static void run_leaves(void *self, struct live_run *run)
{
    struct room *room = room_of(self, run);
    while (room->open != NULL) {
        forget(room, room->open->effect);
    }
    step_keys_fini(&room->step_keys);
}

static void prepare_sleep(struct step_request *step)
{
    assert(step->message->step_request.kind == STEP_REQUEST_SLEEP);
    step->command.step_request.kind = EFFECT_SLEEP;
    step->command.step_request.due_ms = step->due_ms;
}

static const struct wait_kind sleep_kind = {
    .request = STEP_REQUEST_SLEEP,
    .kind = EFFECT_SLEEP,
    .settled = SETTLED_SLEEP,
    .prepare = prepare_sleep,
};

static void take_kinds(struct waits *waits, const struct feature *feature)
{
    for (size_t i = 0; feature->wait_kinds != NULL && feature->wait_kinds[i] != NULL; i++) {
        const struct wait_kind *kind = feature->wait_kinds[i];
        assert((size_t)kind->request < COUNT_OF(waits->by_request));
        assert(waits->by_request[kind->request] == NULL); /* One feature for each. */
        assert(kind->prepare != NULL && kind->kind < EFFECT_KIND_COUNT);
        assert((kind->set == NULL) == (kind->over == NULL)); /* What is put is deleted. */
        waits->by_request[kind->request] = kind;
        assert(kind->kind == EFFECT_AT_ONCE ||
               wait_kind_of(waits->partition, kind->kind) == kind); /* One row for each. */
    }
}

static void *start(struct partition *partition)
{
    struct waits *waits = xcalloc(1, sizeof(*waits));
    waits->partition = partition;
    for (size_t i = 0; partition->options.features[i] != NULL; i++) {
        take_kinds(waits, partition->options.features[i]);
    }
    for (size_t i = 0; i < COUNT_OF(waits->by_request); i++) {
        assert(waits->by_request[i] != NULL); /* Some feature has a row for it. */
    }
    return waits;
}

static void stop(void *self)
{
    free(self);
}

static const struct wait_kind *const kinds[] = {&sleep_kind, NULL};

const struct feature waits_feature = {
    .name = "waits",
    .wait_kinds = kinds,
    .run_bytes = sizeof(struct room),
    .start = start,
    .before_event = before_event,
    .run_leaves = run_leaves,
    .event_copied = event_copied,
    .run_copied = run_copied,
    .stop = stop,
};
