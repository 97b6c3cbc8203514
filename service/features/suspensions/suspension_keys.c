#include "service/features/suspensions/suspension_keys.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/endian.h"
#include "service/features/suspensions/suspension_facts.h"
#include "service/features/trees/trees.h"
#include "service/partition/journal.h"
#include "service/partition/state.h"

/* A row of this round: it is not in the store yet. */
struct change {
    struct index_tail tail;
    struct suspension_id over; /* Its value; effect 0: it has another. */
    uint32_t seq; /* Its value; 0: it has another, or none. */
    bool is_delete;
};

struct suspension_keys {
    struct partition *partition;
    uint64_t since_ms; /* Runs started later have their rows. */
    bool has_since; /* In the store. */
    struct change *changes;
    size_t count;
    size_t capacity;
};

static str row_key(const struct suspension_keys *keys, const struct index_tail *tail,
                   char ret[KEY_BYTES_MAX])
{
    return key_index(ret, keys->partition->options.space, INDEX_STEP_KEY, index_tail_str(tail));
}

/* With the first row of a store: since when there are any. */
static void put_since(struct suspension_keys *keys)
{
    struct partition *partition = keys->partition;
    char key[KEY_BYTES_MAX];
    char value[sizeof(keys->since_ms)];
    assert(!keys->has_since);
    keys->since_ms = partition->now_ms; /* Those of this very round are not later. */
    endian_put_le(value, keys->since_ms, sizeof(value));
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, INDEX_STEP_KEYS_SINCE, STR_EMPTY),
                    str_make(value, sizeof(value)));
}

static void change(struct suspension_keys *keys, struct change change)
{
    struct store_batch *batch = &keys->partition->batch;
    char key[KEY_BYTES_MAX];
    char value[SUSPENSION_ID_BYTES];
    str row = row_key(keys, &change.tail, key);
    assert(!change.is_delete || change.over.effect == 0);
    if (!keys->has_since && keys->count == 0) {
        put_since(keys);
    }
    keys->changes =
        array_reserve(keys->changes, &keys->capacity, keys->count + 1, sizeof(keys->changes[0]));
    keys->changes[keys->count++] = change;
    assert(keys->count <= keys->capacity);
    if (change.is_delete) {
        store_batch_delete(batch, STORE_INDEX, row);
        return;
    }
    size_t bytes = 0;
    if (change.over.effect > 0) {
        suspension_id_encode(change.over, value);
        bytes = SUSPENSION_ID_BYTES;
    } else if (change.seq > 0) {
        step_key_seq_encode(change.seq, value);
        bytes = STEP_KEY_SEQ_BYTES;
    }
    store_batch_put(batch, STORE_INDEX, row, str_make(value, bytes));
}

/* The newest change of this round; NULL: none. */
static const struct change *changed(const struct suspension_keys *keys, str tail)
{
    for (size_t i = keys->count; i > 0; i--) {
        if (str_equal(index_tail_str(&keys->changes[i - 1].tail), tail)) {
            return &keys->changes[i - 1];
        }
    }
    return NULL;
}

/* ---- What is noted. ---- */

static const struct tree_place *place_of(const struct suspension_keys *keys,
                                         const struct live_run *run)
{
    return tree_place(keys->partition, run);
}

static bool is_root(const struct suspension_keys *keys, const struct live_run *run)
{
    return uuid_is_zero(place_of(keys, run)->parent);
}

static void note_seq(struct suspension_keys *keys, const struct live_run *run,
                     enum step_key_place place, uint64_t key, uint32_t seq)
{
    assert(key > 0 && seq > 0);
    change(keys, (struct change){.tail = step_key_row_tail(run->state.id, place, key), .seq = seq});
}

/* What stands in the journal at that place, and is found there again. */
static void note_place(struct suspension_keys *keys, const struct live_run *run, uint32_t seq,
                       const struct event *event)
{
    if (event->kind == EVENT_WAIT_SET && event->wait_set.kind == EFFECT_SUSPENSION) {
        note_seq(keys, run, STEP_KEY_ASKED, event->effect, seq);
    } else if (event->kind == EVENT_WAIT_SETTLED && event->wait_settled.kind == EFFECT_SUSPENSION) {
        note_seq(keys, run, STEP_KEY_SETTLED, event->effect, seq);
    } else if (event->kind == EVENT_RESUME_KEPT) {
        note_seq(keys, run, STEP_KEY_KEPT, engine_key(event->resume_kept.key), seq);
    }
}

static void note_open(struct suspension_keys *keys, const struct live_run *run, uint64_t key,
                      uint32_t effect)
{
    struct suspension_id id = {run->state.id, effect};
    assert(effect > 0);
    if (!is_root(keys, run)) {
        change(keys,
               (struct change){.tail = step_key_open_tail(place_of(keys, run)->root, key, id)});
    }
}

static void note_over(struct suspension_keys *keys, const struct live_run *run, uint64_t key,
                      uint32_t effect)
{
    struct suspension_id id = {run->state.id, effect};
    assert(effect > 0);
    change(keys,
           (struct change){.tail = step_key_row_tail(id.run, STEP_KEY_OVER, key), .over = id});
    if (!is_root(keys, run)) {
        uuid root = place_of(keys, run)->root;
        change(keys, (struct change){.tail = step_key_row_tail(root, STEP_KEY_OVER_BELOW, key),
                                     .over = id});
    }
}

static void note_closed(struct suspension_keys *keys, const struct live_run *run, uint64_t key,
                        uint32_t effect, bool is_forgotten)
{
    struct suspension_id id = {run->state.id, effect};
    assert(effect > 0);
    if (!is_root(keys, run)) {
        change(keys, (struct change){.tail = step_key_open_tail(place_of(keys, run)->root, key, id),
                                     .is_delete = true});
    }
    if (!is_forgotten) {
        note_over(keys, run, key, effect);
    }
}

void suspension_keys_note(struct suspension_keys *keys, const struct live_run *run,
                          const struct event *event)
{
    uint32_t owner;
    enum effect_kind kept;
    const struct run *state = &run->state;
    note_place(keys, run, state->seq + 1, event);
    if (event->kind == EVENT_WAIT_SET && event->wait_set.kind == EFFECT_SUSPENSION) {
        note_open(keys, run, engine_key(event->wait_set.key), event->effect);
    } else if (event->kind == EVENT_WAIT_SETTLED) {
        const struct effect *wait = engine_effect(state, event->effect);
        if (wait != NULL && wait->kind == EFFECT_SUSPENSION) {
            note_closed(keys, run, wait->key, wait->id, false);
        }
    } else if (event_ends_waits(event, &owner, &kept)) {
        for (uint32_t i = 0; i < state->effect_count; i++) {
            const struct effect *wait = &state->effects[i];
            if (wait->kind == EFFECT_SUSPENSION && (owner == 0 || wait->owner == owner)) {
                note_closed(keys, run, wait->key, wait->id, event->kind == EVENT_TASK_FAILED);
            }
        }
    }
}

void suspension_keys_copied(struct suspension_keys *keys, const struct live_run *run,
                            const struct event *event)
{
    assert(is_root(keys, run)); /* Those that are open are in its state. */
    if (event->kind == EVENT_WAIT_SET && event->wait_set.kind == EFFECT_SUSPENSION) {
        suspension_raise_level(keys->partition, event);
    }
    suspension_keys_note(keys, run, event);
}

/* ---- What is found. ---- */

struct finding {
    const struct suspension_keys *keys;
    struct suspensions_meant *meant;
};

static void add_open(struct suspensions_meant *meant, struct suspension_id id)
{
    assert(meant->open_count <= SUSPENSIONS_MEANT_MAX);
    if (meant->open_count < SUSPENSIONS_MEANT_MAX) {
        meant->open[meant->open_count++] = id;
    }
}

static bool visit_open(void *context, str key, str value)
{
    struct finding *finding = context;
    struct suspension_id id;
    str tail;
    (void)value;
    bool is_read = key_read_index(key, &tail) && status_is_ok(step_key_open_decode(tail, &id));
    if (is_read && changed(finding->keys, tail) == NULL) {
        add_open(finding->meant, id);
    }
    return finding->meant->open_count < SUSPENSIONS_MEANT_MAX;
}

/* Those open below a root whose tails begin so. */
static status find_open_below(const struct suspension_keys *keys, const struct index_tail *prefix,
                              struct suspensions_meant *ret)
{
    struct finding finding = {keys, ret};
    char key[KEY_BYTES_MAX];
    str begin = index_tail_str(prefix);
    for (size_t i = 0; i < keys->count; i++) {
        const struct change *each = &keys->changes[i];
        str tail = index_tail_str(&each->tail);
        struct suspension_id id;
        if (!each->is_delete && str_starts_with(tail, begin) && changed(keys, tail) == each &&
            status_is_ok(step_key_open_decode(tail, &id))) {
            add_open(ret, id);
        }
    }
    return store_scan(&keys->partition->store, STORE_INDEX, row_key(keys, prefix, key), STR_EMPTY,
                      false, SIZE_MAX, visit_open, &finding);
}

static status find_over(const struct suspension_keys *keys, struct index_tail tail,
                        struct suspension_id *ret)
{
    const struct change *change = changed(keys, index_tail_str(&tail));
    char key[KEY_BYTES_MAX];
    str value;
    if (change != NULL) {
        *ret = change->over;
        return STATUS_OK;
    }
    status found = store_get(&keys->partition->store, STORE_INDEX, row_key(keys, &tail, key),
                             &keys->partition->round_arena, &value);
    if (found.code == CODE_NOT_FOUND) {
        *ret = (struct suspension_id){.effect = 0};
        return STATUS_OK;
    }
    TRY(found);
    return suspension_id_decode(value, ret);
}

/* Of the run itself; key 0: any. */
static void find_open_in(const struct run *state, uint64_t key, struct suspensions_meant *ret)
{
    assert(state->effect_count <= ENGINE_EFFECTS_MAX);
    for (uint32_t i = 0; i < state->effect_count; i++) {
        const struct effect *effect = &state->effects[i];
        if (effect->kind == EFFECT_SUSPENSION && (key == 0 || effect->key == key)) {
            add_open(ret, (struct suspension_id){state->id, effect->id});
        }
    }
}

status suspension_keys_find(struct suspension_keys *keys, const struct live_run *run, uint64_t key,
                            struct suspensions_meant *ret)
{
    uuid id = run->state.id;
    *ret = (struct suspensions_meant){.open_count = 0};
    find_open_in(&run->state, key, ret);
    TRY(find_over(keys, step_key_row_tail(id, STEP_KEY_OVER, key), &ret->over));
    if (ret->open_count > 0 || ret->over.effect > 0 || !is_root(keys, run)) {
        return STATUS_OK;
    }
    struct index_tail below = step_key_row_tail(id, STEP_KEY_OPEN_BELOW, key);
    TRY(find_open_below(keys, &below, ret));
    return find_over(keys, step_key_row_tail(id, STEP_KEY_OVER_BELOW, key), &ret->over);
}

status suspension_keys_open(struct suspension_keys *keys, const struct live_run *run,
                            struct suspensions_meant *ret)
{
    struct index_tail below = step_key_rows_of(run->state.id, STEP_KEY_OPEN_BELOW);
    *ret = (struct suspensions_meant){.open_count = 0};
    find_open_in(&run->state, 0, ret);
    return is_root(keys, run) ? find_open_below(keys, &below, ret) : STATUS_OK;
}

status suspension_keys_seq(struct suspension_keys *keys, uuid run, enum step_key_place place,
                           uint64_t key, uint32_t *ret)
{
    struct index_tail tail = step_key_row_tail(run, place, key);
    const struct change *change = changed(keys, index_tail_str(&tail));
    char bytes[KEY_BYTES_MAX];
    str value;
    *ret = change == NULL ? 0 : change->seq;
    if (change != NULL) {
        return STATUS_OK;
    }
    status found = store_get(&keys->partition->store, STORE_INDEX, row_key(keys, &tail, bytes),
                             &keys->partition->round_arena, &value);
    if (found.code == CODE_NOT_FOUND) {
        return STATUS_OK;
    }
    TRY(found);
    return step_key_seq_decode(value, ret);
}

/* ---- Stores of older releases. ---- */

bool suspension_keys_lack(const struct suspension_keys *keys, const struct live_run *run)
{
    return run->state.started_ms <= keys->since_ms;
}

status suspension_keys_load(struct suspension_keys *keys)
{
    const struct partition *partition = keys->partition;
    char key[KEY_BYTES_MAX];
    str value;
    status found =
        store_get(&partition->store, STORE_INDEX,
                  key_index(key, partition->options.space, INDEX_STEP_KEYS_SINCE, STR_EMPTY),
                  &keys->partition->scratch, &value);
    if (found.code == CODE_NOT_FOUND) {
        return STATUS_OK;
    }
    TRY(found);
    if (value.len != sizeof(keys->since_ms)) {
        return status_make(CODE_DATA_LOSS, "row of since when keys have rows: damaged");
    }
    keys->since_ms = endian_get_le(value.ptr, sizeof(keys->since_ms));
    keys->has_since = true;
    return STATUS_OK;
}

void suspension_keys_committed(struct suspension_keys *keys)
{
    assert(keys->has_since || keys->count != 0 || keys->since_ms == UINT64_MAX);
    keys->has_since |= keys->count != 0;
}

void suspension_keys_round_over(struct suspension_keys *keys)
{
    keys->count = 0;
    keys->since_ms = keys->has_since ? keys->since_ms : UINT64_MAX;
}

struct suspension_keys *suspension_keys_new(struct partition *partition)
{
    struct suspension_keys *keys = xcalloc(1, sizeof(*keys));
    keys->partition = partition;
    keys->since_ms = UINT64_MAX;
    return keys;
}

void suspension_keys_free(struct suspension_keys *keys)
{
    free(keys->changes);
    free(keys);
}
