#include "service/reads/run_read.h"

#include "service/agents/definition.h"
#include "service/base/array.h"
#include "service/base/code_version.h"
#include "service/base/json.h"
#include "service/codec/definition_rows.h"
#include "service/codec/tree_rows.h"
#include "service/reads/journal_page.h"

enum {
    APART_MAX = 64, /* Runs set apart that are looked at for a child. */
    FIRST_RECORDS = 16, /* Looked at for the deployment, which the first lease mostly names. */
};

/* A step that a newer fact is about than those that are still to come. */
struct step_seen {
    uint32_t effect; /* The task. */
    uint64_t key; /* Its hash; 0: all of them. */
};

/* What is left to be found on the way back. */
struct wanted {
    struct run_read *read;
    struct arena scratch; /* Of one record. */
};

static bool has_ended(const struct run_read *read)
{
    return read->ret.row.status > RUN_STATUS_WAITING;
}

static bool is_agent(const struct run_read *read)
{
    return read->ret.state.kind == RUN_KIND_AGENT;
}

/* ---- How it stands. ---- */

static status read_row(struct run_read *read, const struct reads_source *source)
{
    char key[KEY_BYTES_MAX];
    str bytes;
    TRY(store_get(&source->store, STORE_RUNS, key_run(key, source->space, read->read.run),
                  &read->read.arena, &bytes));
    read->needs_live = false;
    return codec_decode_row(bytes, &read->ret.row);
}

void run_read_with(struct run_read *read, const struct run *state, uint64_t history_bytes)
{
    assert(uuid_equal(state->id, read->read.run) && state->seq > 0);
    read->ret.state = *state;
    read->ret.history_bytes = history_bytes;
    read->phase = RUN_READ_FIRST;
}

void run_read_live(struct run_read *read, const struct run *state, uint64_t history_bytes)
{
    assert(read->needs_live && read->phase == RUN_READ_STATE);
    read->needs_live = false;
    if (state != NULL) {
        run_read_with(read, state, history_bytes);
    }
}

/* ---- Its state. ---- */

static status read_snapshot(struct run_read *read, const struct reads_source *source)
{
    char key[KEY_BYTES_MAX];
    str bytes;
    engine_init(&read->ret.state);
    status found =
        store_get(&source->store, STORE_SNAPSHOTS, key_run(key, source->space, read->read.run),
                  &read->read.arena, &bytes);
    if (found.code == CODE_NOT_FOUND) {
        return STATUS_OK;
    }
    TRY(found);
    status decoded = codec_decode_run(bytes, &read->ret.state, &read->ret.history_bytes);
    (void)decoded; /* One that is refused costs nothing but time. */
    return STATUS_OK;
}

static status fold_record(void *context, uint32_t seq, str record, bool *ret_enough)
{
    struct wanted *wanted = context;
    struct run *state = &wanted->read->ret.state;
    size_t cursor = 0;
    (void)seq, (void)ret_enough;
    arena_reset(&wanted->scratch);
    wanted->read->ret.history_bytes += record.len;
    for (;;) {
        struct codec_entry entry;
        struct event event;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            return STATUS_OK;
        }
        if (entry.seq != state->seq + 1 || engine_is_terminal(state)) {
            return status_make(CODE_DATA_LOSS, "the run's journal has a gap");
        }
        TRY(codec_decode(&entry, &wanted->scratch, &event));
        engine_apply(state, &event);
    }
}

static status read_state(struct run_read *read, const struct reads_source *source)
{
    struct wanted wanted = {.read = read};
    if (!read->has_snapshot) {
        TRY(read_snapshot(read, source));
        read->has_snapshot = true;
        read->next = read->ret.state.seq + 1;
    }
    arena_init(&wanted.scratch, 0);
    status folded =
        journal_page(source, read->read.run, read->next, false, fold_record, &wanted, &read->next);
    arena_fini(&wanted.scratch);
    TRY(folded);
    if (read->next == 0) {
        read->phase = RUN_READ_FIRST;
        return uuid_equal(read->ret.state.id, read->read.run)
                   ? STATUS_OK
                   : status_make(CODE_DATA_LOSS, "the run's journal is another run's");
    }
    return STATUS_OK;
}

/* ---- What its first facts say. ---- */

static size_t effect_index(const struct run *state, uint32_t id)
{
    size_t index = 0;
    while (index < state->effect_count && state->effects[index].id != id) {
        index++;
    }
    return index;
}

static void take_deployment(struct run_read *read, const struct event *event)
{
    str name = event->lease_granted.deployment;
    uint64_t version = code_version_make(name, event->lease_granted.language);
    uint64_t wanted = read->ret.state.deployment;
    if (wanted != 0 && read->ret.deployment.len == 0 && name.len > 0 && version == wanted) {
        read->ret.deployment = arena_copy(&read->read.arena, name);
    }
}

static void take_definition(struct run_read *read, bool is_structured, str model)
{
    read->ret.is_structured = is_structured;
    for (size_t i = 0; i < read->ret.state.effect_count; i++) {
        if (read->ret.state.effects[i].kind == EFFECT_MODEL) {
            read->ret.effect_names[i] = model;
        }
    }
}

/* The run has ended, and the version it was started with was deleted since. */
static status take_deleted(struct run_read *read, const struct reads_source *source, str hash)
{
    char key[KEY_BYTES_MAX];
    struct version_deleted_row left;
    str value;
    status found = store_get(&source->store, STORE_INDEX,
                             key_index(key, source->space, INDEX_VERSION_DELETED, hash),
                             &read->read.arena, &value);
    if (status_is_ok(found)) {
        found = version_deleted_row_decode(value, &left);
    }
    if (found.code == CODE_DATA_LOSS || found.code == CODE_NOT_FOUND) {
        return STATUS_OK; /* The run itself can be read. */
    }
    TRY(found);
    take_definition(read, left.is_structured, left.model);
    return STATUS_OK;
}

static status take_start(struct run_read *read, const struct reads_source *source,
                         const struct run_spec *spec)
{
    char key[KEY_BYTES_MAX];
    struct arena *arena = &read->read.arena;
    struct agent_definition definition;
    str bytes;
    read->ret.name = arena_copy(arena, spec->name);
    if (spec->kind != RUN_KIND_AGENT || spec->definition_hash.len != KEY_HASH_BYTES) {
        return STATUS_OK;
    }
    status found = store_get(
        &source->store, STORE_DEFINITIONS,
        key_hash(key, source->space, (const uint8_t *)spec->definition_hash.ptr), arena, &bytes);
    if (found.code == CODE_NOT_FOUND) {
        return take_deleted(read, source, spec->definition_hash);
    }
    if (status_is_ok(found)) {
        found = agent_definition_decode(bytes, arena, &definition);
    }
    if (found.code == CODE_DATA_LOSS || found.code == CODE_FAILED_PRECONDITION) {
        return STATUS_OK; /* The run itself can be read. */
    }
    TRY(found);
    take_definition(read, definition.output_schema_json.len > 0, definition.model);
    return STATUS_OK;
}

struct firsts {
    struct wanted wanted;
    const struct reads_source *source;
    size_t count;
};

static status see_first(void *context, uint32_t seq, str record, bool *ret_enough)
{
    struct firsts *firsts = context;
    struct run_read *read = firsts->wanted.read;
    size_t cursor = 0;
    arena_reset(&firsts->wanted.scratch);
    if (seq == 1) {
        str *first = arena_alloc(&read->read.arena, sizeof(*first));
        *first = arena_copy(&read->read.arena, record);
        read->ret.records = first;
        read->ret.record_count = 1;
    }
    for (;;) {
        struct codec_entry entry;
        struct event event;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            break;
        }
        if (entry.kind == EVENT_RUN_STARTED || entry.kind == EVENT_LEASE_GRANTED) {
            TRY(codec_decode(&entry, &firsts->wanted.scratch, &event));
            if (entry.kind == EVENT_RUN_STARTED) {
                TRY(take_start(read, firsts->source, &event.run_started.spec));
            } else {
                take_deployment(read, &event);
            }
        }
    }
    *ret_enough = ++firsts->count == FIRST_RECORDS || read->ret.state.deployment == 0 ||
                  read->ret.deployment.len > 0;
    return STATUS_OK;
}

static status read_first(struct run_read *read, const struct reads_source *source)
{
    struct firsts firsts = {.wanted.read = read, .source = source};
    uint32_t next;
    arena_init(&firsts.wanted.scratch, 0);
    status seen = journal_page(source, read->read.run, 1, false, see_first, &firsts, &next);
    arena_fini(&firsts.wanted.scratch);
    TRY(seen);
    if (read->ret.record_count == 0) {
        return status_make(CODE_DATA_LOSS, "the run's journal does not begin with its start");
    }
    read->phase = RUN_READ_BACK;
    read->next = read->ret.state.seq;
    return STATUS_OK;
}

/* ---- From the newest fact backwards. ---- */

static bool wants_name(const struct run_read *read, size_t index)
{
    const struct effect *effect = &read->ret.state.effects[index];
    return read->ret.effect_names[index].len == 0 &&
           (effect_is_task(effect) || effect_is_wait(effect));
}

static bool wants_host(const struct run_read *read, size_t index)
{
    const struct effect *effect = &read->ret.state.effects[index];
    return effect_is_task(effect) && effect->state == EFFECT_LEASED &&
           read->ret.hosts[index].len == 0;
}

static bool wants_failure(const struct run_read *read, size_t index)
{
    const struct effect *effect = &read->ret.state.effects[index];
    return effect_is_task(effect) && effect->state == EFFECT_BACKOFF &&
           read->ret.failures[index].len == 0;
}

/* Only code that is at work pauses between its tries. */
static bool wants_tries(const struct run_read *read)
{
    bool is_at_work = false;
    for (size_t i = 0; i < read->ret.state.effect_count; i++) {
        const struct effect *effect = &read->ret.state.effects[i];
        is_at_work |= effect_is_task(effect) && effect->state == EFFECT_LEASED;
    }
    return is_at_work && read->back_count < RUN_TRIED_RECORDS && read->back_bytes < RUN_TRIED_BYTES;
}

static bool wants_state(const struct run_read *read)
{
    return !is_agent(read) && read->ret.state.code_state != CODE_STATE_NONE &&
           read->ret.state_json.len == 0;
}

static bool wants_cause(const struct run_read *read)
{
    const struct run *state = &read->ret.state;
    return (state->is_cancelling || state->state == RUN_CANCELLED) &&
           read->ret.cancel_cause.len == 0;
}

static bool wants_record(const struct run_read *read)
{
    return read->tail_count == 0 || (is_agent(read) && read->tail_bytes < RUN_TURNS_BYTES);
}

static bool wants_more(const struct run_read *read)
{
    bool more = wants_record(read) || wants_state(read) || wants_cause(read) || wants_tries(read) ||
                (read->ret.state.deployment != 0 && read->ret.deployment.len == 0);
    for (size_t i = 0; i < read->ret.state.effect_count && !more; i++) {
        more = wants_name(read, i) || wants_host(read, i) || wants_failure(read, i);
    }
    return more;
}

/* Whether its body may tell something. */
static bool is_telling(const struct run_read *read, enum event_kind kind)
{
    bool is_about_effects = kind == EVENT_TASK_REQUESTED || kind == EVENT_LEASE_GRANTED ||
                            kind == EVENT_WAIT_SET || kind == EVENT_TASK_FAILED;
    bool is_cause = kind == EVENT_CANCEL_REQUESTED && wants_cause(read);
    bool is_of_step =
        kind == EVENT_STEP_TRIED || kind == EVENT_STEP_SETTLED || kind == EVENT_WITHDRAWN;
    return is_about_effects || is_cause || (is_of_step && wants_tries(read)) ||
           (event_traits(kind)->state_at != 0 && wants_state(read)) ||
           (kind == EVENT_RUN_STARTED && wants_state(read));
}

static void see_effect(struct run_read *read, const struct event *event)
{
    struct arena *arena = &read->read.arena;
    size_t index = effect_index(&read->ret.state, event->effect);
    if (index == read->ret.state.effect_count) {
        return;
    }
    if (event->kind == EVENT_TASK_REQUESTED && wants_name(read, index)) {
        read->ret.effect_names[index] = arena_copy(arena, event->task_requested.name);
    } else if (event->kind == EVENT_WAIT_SET && wants_name(read, index)) {
        read->ret.effect_names[index] = arena_copy(arena, event->wait_set.key);
        read->children[index] = event->wait_set.kind == EFFECT_CHILDREN
                                    ? arena_copy(arena, event->wait_set.data)
                                    : STR_EMPTY;
    } else if (event->kind == EVENT_LEASE_GRANTED && wants_host(read, index)) {
        read->ret.hosts[index] = arena_copy(arena, event->lease_granted.host_id);
    } else if (event->kind == EVENT_TASK_FAILED && wants_failure(read, index)) {
        read->ret.failures[index] = arena_copy(arena, event->task_failed.outcome.error_message);
    }
}

/* False: a newer fact was about the step, or its task began anew since. */
static bool see_step(struct run_read *read, uint32_t effect, uint64_t key)
{
    for (size_t i = 0; i < read->step_count; i++) {
        const struct step_seen *seen = &read->steps[i];
        if (seen->effect == effect && (seen->key == 0 || seen->key == key)) {
            return false;
        }
    }
    read->steps = array_reserve_in(&read->read.arena, read->steps, &read->step_capacity,
                                   read->step_count + 1, sizeof(read->steps[0]));
    read->steps[read->step_count++] = (struct step_seen){effect, key};
    return true;
}

static void see_tried(struct run_read *read, const struct event *event)
{
    struct arena *arena = &read->read.arena;
    size_t index = effect_index(&read->ret.state, event->effect);
    bool is_newest = see_step(read, event->effect, engine_key(event->step_tried.key));
    if (!is_newest || index == read->ret.state.effect_count ||
        read->ret.state.effects[index].state != EFFECT_LEASED) {
        return;
    }
    struct tried_step *tried = (struct tried_step *)read->ret.tried;
    tried = array_reserve_in(arena, tried, &read->tried_capacity, read->ret.tried_count + 1,
                             sizeof(tried[0]));
    tried[read->ret.tried_count++] = (struct tried_step){
        .effect = event->effect,
        .key = arena_copy(arena, event->step_tried.key),
        .try_number = event->step_tried.try_number,
        .failed_ms = event->time_ms,
        .retry_at_ms = event->step_tried.retry_at_ms,
        .failure = arena_copy(arena, event->step_tried.outcome.error_message),
    };
    read->ret.tried = tried;
    assert(read->ret.tried_count <= read->tried_capacity);
}

static void see_steps(struct run_read *read, const struct event *event)
{
    if (event->kind == EVENT_STEP_TRIED) {
        see_tried(read, event);
    } else if (event->kind == EVENT_STEP_SETTLED) {
        see_step(read, event->effect, engine_key(event->step_settled.key));
    } else if (event->kind == EVENT_WITHDRAWN) {
        see_step(read, event->effect, engine_key(event->withdrawn.key));
    } else if (event->kind == EVENT_TASK_FAILED) {
        see_step(read, event->effect, 0);
    }
}

static void see_event(struct run_read *read, const struct event *event, str *ret_state)
{
    if (wants_tries(read)) {
        see_steps(read, event);
    }
    str state = event_state(event).json;
    *ret_state = state.len > 0 ? state : *ret_state; /* The last of its record counts. */
    if (event->kind == EVENT_CANCEL_REQUESTED) {
        read->ret.cancel_cause = arena_copy(&read->read.arena, event->cancel_requested.cause);
        return;
    }
    if (event->kind == EVENT_LEASE_GRANTED) {
        take_deployment(read, event);
    }
    see_effect(read, event);
}

static status see_events(struct run_read *read, str record, struct arena *scratch)
{
    size_t cursor = 0;
    str state = STR_EMPTY;
    bool wants = wants_state(read);
    for (;;) {
        struct codec_entry entry;
        struct event event;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            break;
        }
        if (is_telling(read, entry.kind)) {
            TRY(codec_decode(&entry, scratch, &event));
            see_event(read, &event, &state);
        }
    }
    if (wants && state.len > 0) {
        read->ret.state_json = arena_copy(&read->read.arena, state);
    }
    return STATUS_OK;
}

static status see_back(void *context, uint32_t seq, str record, bool *ret_enough)
{
    struct wanted *wanted = context;
    struct run_read *read = wanted->read;
    arena_reset(&wanted->scratch);
    if (seq > 1 && wants_record(read)) {
        struct arena *arena = &read->read.arena;
        read->tail = array_reserve_in(arena, read->tail, &read->tail_capacity, read->tail_count + 1,
                                      sizeof(read->tail[0]));
        read->tail[read->tail_count++] = arena_copy(arena, record);
        read->tail_bytes += record.len;
    }
    TRY(see_events(read, record, &wanted->scratch));
    read->back_count++;
    read->back_bytes += record.len;
    *ret_enough = !wants_more(read);
    return STATUS_OK;
}

/* The first record, then the newest ones in order. */
static void put_records(struct run_read *read)
{
    size_t count = 1 + read->tail_count;
    str *records = arena_alloc(&read->read.arena, count * sizeof(records[0]));
    records[0] = read->ret.records[0];
    for (size_t i = 0; i < read->tail_count; i++) {
        records[count - 1 - i] = read->tail[i];
    }
    read->ret.records = records;
    read->ret.record_count = count;
}

/* ---- Children. ---- */

enum {
    CHILDREN_LOOKED_AT_MAX = 100, /* Of each wait; most of those may have ended. */
};

static status note_child(struct run_read *read, const struct reads_source *source, uint32_t effect,
                         str child)
{
    char key[KEY_BYTES_MAX];
    struct arena *arena = &read->read.arena;
    struct awaited_child awaited = {.effect = effect};
    struct buf text = {0};
    str raw;
    str bytes;
    struct run_row row;
    bool is_read = json_object_get(child, STR("run_id"), &raw) && json_string_decode(raw, &text) &&
                   uuid_parse(buf_str(&text), &awaited.id);
    buf_fini(&text);
    if (!is_read) {
        return STATUS_OK;
    }
    status found = store_get(&source->store, STORE_RUNS, key_run(key, source->space, awaited.id),
                             arena, &bytes);
    if (found.code == CODE_NOT_FOUND ||
        (status_is_ok(found) && !status_is_ok(codec_decode_row(bytes, &row)))) {
        return STATUS_OK;
    }
    TRY(found);
    if (row.ended_ms != 0) {
        return STATUS_OK;
    }
    awaited.name = arena_copy(arena, str_of(row.name));
    struct awaited_child *list = (struct awaited_child *)read->ret.awaited;
    list = array_reserve_in(arena, list, &read->awaited_capacity, read->ret.awaited_count + 1,
                            sizeof(list[0]));
    list[read->ret.awaited_count++] = awaited;
    read->ret.awaited = list;
    if (row.ready_count > 0 && uuid_is_zero(read->ret.ready_child)) {
        read->ret.ready_child = awaited.id;
        read->ret.ready_row = row;
    }
    return STATUS_OK;
}

static status find_awaited(struct run_read *read, const struct reads_source *source)
{
    for (size_t i = 0; i < read->ret.state.effect_count; i++) {
        str child;
        size_t before = read->ret.awaited_count;
        struct json_iterator children = json_elements(read->children[i]);
        for (size_t seen = 0; read->children[i].len > 0 && seen < CHILDREN_LOOKED_AT_MAX &&
                              read->ret.awaited_count < before + RUN_AWAITED_MAX &&
                              json_next_element(&children, &child);
             seen++) {
            TRY(note_child(read, source, read->ret.state.effects[i].id, child));
        }
    }
    return STATUS_OK;
}

/* One that is set apart will not end before a restart. */
static status find_unreadable_child(struct run_read *read, const struct reads_source *source)
{
    bool waits = engine_has_effect(&read->ret.state, EFFECT_CHILDREN);
    uuid id = {{0}};
    for (size_t i = 0; waits && i < APART_MAX && apart_before(source->apart, id, &id); i++) {
        char key[KEY_BYTES_MAX];
        struct index_tail tail = child_row_tail(read->read.run, id);
        str empty;
        status found = store_get(&source->store, STORE_INDEX,
                                 key_index(key, source->space, INDEX_CHILD, index_tail_str(&tail)),
                                 &read->read.arena, &empty);
        if (status_is_ok(found)) {
            read->ret.unreadable_child = id;
            return STATUS_OK;
        }
        TRY(found.code == CODE_NOT_FOUND ? STATUS_OK : found);
    }
    return STATUS_OK;
}

static status read_back(struct run_read *read, const struct reads_source *source, bool *ret_over)
{
    struct wanted wanted = {.read = read};
    arena_init(&wanted.scratch, 0);
    status seen =
        journal_page(source, read->read.run, read->next, true, see_back, &wanted, &read->next);
    arena_fini(&wanted.scratch);
    TRY(seen);
    *ret_over = read->next == 0;
    if (*ret_over) {
        put_records(read);
        TRY(find_awaited(read, source));
        return find_unreadable_child(read, source);
    }
    return STATUS_OK;
}

static status read_phase(struct run_read *read, const struct reads_source *source, bool *ret_over)
{
    switch (read->phase) {
    case RUN_READ_ROW:
        TRY(read_row(read, source));
        read->phase = RUN_READ_STATE;
        read->needs_live = !has_ended(read);
        *ret_over = read->needs_live;
        return STATUS_OK;
    case RUN_READ_STATE:
        return read_state(read, source);
    case RUN_READ_FIRST:
        return read_first(read, source);
    case RUN_READ_BACK:
        return read_back(read, source, ret_over);
    }
    return STATUS_OK;
}

/* What cannot be read is no failure of the read: it is an answer. */
static status step(struct read *base, const struct reads_source *source, bool *ret_over)
{
    struct run_read *read = run_read(base);
    const char *why;
    status stepped = apart_find(source->apart, base->run, &why)
                         ? status_make(CODE_DATA_LOSS, why)
                         : read_phase(read, source, ret_over);
    stepped = read_checked(source, base->run, stepped);
    if (stepped.code != CODE_DATA_LOSS && stepped.code != CODE_FAILED_PRECONDITION) {
        return stepped;
    }
    read->needs_live = false;
    read->ret.unreadable = arena_copy(&base->arena, str_of(stepped.why));
    if (read->phase == RUN_READ_ROW) {
        status known = read_row(read, source);
        read->needs_live = false;
        TRY(known.code == CODE_NOT_FOUND ? known : STATUS_OK);
    }
    *ret_over = true;
    return STATUS_OK;
}

const struct read_kind run_kind = {
    .name = "run",
    .read_bytes = sizeof(struct run_read),
    .step = step,
};
