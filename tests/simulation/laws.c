/*
 * The laws of what was committed, read back record by record, by the ledger and by the engine's
 * own fold. Whatever the partition shows or asks for is judged by them.
 */
#include <stdlib.h>

#include "service/features/callers/callers.h"
#include "service/features/models/models.h"
#include "service/features/tasks/tasks.h"
#include "service/partition/state.h"
#include "tests/simulation/world.h"

static struct arena scratch;

/* Where the run is, or is to be put. */
static struct sim_run **place_of(struct world *world, uuid id)
{
    size_t at = str_hash(str_make(id.bytes, sizeof(id.bytes))) % COUNT_OF(world->by_id);
    while (world->by_id[at] != NULL && !uuid_equal(world->by_id[at]->id, id)) {
        at = (at + 1) % COUNT_OF(world->by_id);
    }
    return &world->by_id[at];
}

struct sim_run *world_find_run(struct world *world, uuid id)
{
    return *place_of(world, id);
}

struct sim_run *world_find_marked(struct world *world, str marker)
{
    for (size_t i = 0; i < world->run_count; i++) {
        if (str_equal(world->runs[i]->marker, marker)) {
            return world->runs[i];
        }
    }
    return NULL;
}

static void check_one_run_per_key(struct world *world, str key)
{
    for (size_t i = 0; i < world->run_count && key.len > 0; i++) {
        world_expect(world, world->runs[i]->key != str_hash(key), "one-run-per-idempotency-key");
    }
}

/* What is under way goes on, and starts children. */
static void check_space(struct world *world, const struct sim_run *run)
{
    bool is_new = uuid_is_zero(run->parent);
    world_expect(world, !is_new || !world_store_is_low(world), "on-a-low-disk-nothing-new-starts");
}

static struct sim_run *open_run(struct world *world, uuid id, const struct event *event)
{
    world_expect(world, event->kind == EVENT_RUN_STARTED, "started-first");
    world_expect(world, world->run_count < WORLD_RUNS_MAX, "world-too-small");
    if (!world_is_well(world)) {
        return NULL;
    }
    const struct run_spec *spec = &event->run_started.spec;
    world_expect(world, uuid_equal(event->run_started.id, id), "the-key-is-the-runs");
    world_expect(world, !uuid_is_zero(spec->root), "every-run-has-a-root");
    world_expect(world, spec->deadline_ms > event->time_ms, "every-run-has-a-deadline");
    check_one_run_per_key(world, spec->options.idempotency_key);
    struct sim_run *run = xcalloc(1, sizeof(*run));
    run->id = id;
    engine_init(&run->folded);
    ledger_init(&run->ledger);
    run->marker = arena_copy(&world->arena, spec->input);
    run->definition = spec->definition_hash.len == 0 ? 0 : str_hash(spec->definition_hash);
    run->key = spec->options.idempotency_key.len == 0 ? 0 : str_hash(spec->options.idempotency_key);
    run->parent = spec->parent;
    run->root = spec->root;
    run->parent_effect = spec->parent_effect;
    run->parent_index = spec->parent_index;
    run->session = arena_copy(&world->arena, spec->options.session_id);
    run->outlives_parent = spec->options.outlives_parent;
    run->started = world->event_number + 1;
    run->name = arena_copy(&world->arena, spec->name);
    laws_clockwork_open(world, run, spec);
    run->is_fork = !run->is_by_machine && world_find_marked(world, spec->input) != NULL;
    run->is_copying = run->is_fork;
    run->is_half = run->is_fork && laws_copies_foresees(world, id);
    laws_queues_open(world, run, spec);
    check_space(world, run);
    world->counts.forks += run->is_fork;
    *place_of(world, id) = run;
    world->runs[world->run_count++] = run;
    world->live[world->live_count++] = run;
    world->counts.runs++;
    return run;
}

static void put_step(struct sim_run *run, struct sim_step step)
{
    if (run->step_count == run->step_capacity) {
        run->step_capacity = run->step_capacity == 0 ? 16 : run->step_capacity * 2;
        run->steps = xrealloc(run->steps, run->step_capacity * sizeof(run->steps[0]));
    }
    run->steps[run->step_count++] = step;
}

/* However many hosts tried it, they count on from each other. The code of a copy is not its
 * source's: it may try a step where that one had set a wait, which settles meanwhile. */
static void note_try(struct world *world, struct sim_run *run, const struct event *event)
{
    uint32_t before = 0;
    uint64_t key = str_hash(event->step_tried.key);
    for (size_t i = 0; i < run->step_count; i++) {
        bool is_it = run->steps[i].effect == event->effect && run->steps[i].key == key;
        before += is_it && run->steps[i].try_number != 0;
        bool may = run->steps[i].try_number != 0 || (run->is_fork && run->steps[i].number == 0);
        world_expect(world, !is_it || may, "a-step-that-settled-is-not-tried");
    }
    world_expect(world, event->step_tried.try_number == before + 1, "tries-of-a-step-go-on");
    put_step(run, (struct sim_step){
                      .effect = event->effect,
                      .number = event->step_tried.number,
                      .key = key,
                      .try_number = event->step_tried.try_number,
                      .retry_at_ms = event->step_tried.retry_at_ms,
                  });
}

/* Its code gave the key up, whose result it perhaps never hears of. */
static void note_given_up(struct sim_run *run, uint32_t effect, uint64_t key)
{
    for (size_t i = 0; i < run->step_count; i++) {
        struct sim_step *step = &run->steps[i];
        step->is_given_up |= step->effect == effect && step->number == 0 && step->key == key;
    }
}

static void note_step(struct world *world, struct sim_run *run, const struct event *event)
{
    if (event->kind == EVENT_STEP_TRIED) {
        note_try(world, run, event);
        return;
    }
    if (event->kind == EVENT_STEP_SETTLED) {
        put_step(run, (struct sim_step){
                          .effect = event->effect,
                          .number = event->step_settled.number,
                          .key = str_hash(event->step_settled.key),
                          .value = str_hash(event->step_settled.outcome.value),
                      });
        return;
    }
    if (event->kind == EVENT_CANCEL_SHOWN || event->kind == EVENT_WITHDRAWN) {
        bool is_key = event->kind == EVENT_WITHDRAWN;
        if (is_key) {
            note_given_up(run, event->effect, str_hash(event->withdrawn.key));
        }
        put_step(run, (struct sim_step){
                          .effect = event->effect,
                          .number = is_key ? event->withdrawn.number : event->cancel_shown.number,
                          .key = str_hash(is_key ? event->withdrawn.key : STR_EMPTY),
                      });
        return;
    }
    const struct sim_wait *wait = sim_run_wait_of(run, event->effect);
    if (event->kind == EVENT_WAIT_SETTLED && wait != NULL) {
        put_step(run, (struct sim_step){
                          .effect = wait->owner,
                          .key = str_hash(wait->key),
                          .value = wait->value,
                          .is_given_up = wait->is_given_up,
                      });
    }
}

static void note_fact(struct sim_run *run, const struct codec_entry *entry)
{
    if (entry->seq > run->facts_capacity) {
        run->facts_capacity = run->facts_capacity == 0 ? 64 : run->facts_capacity * 2;
        run->facts = xrealloc(run->facts, run->facts_capacity * sizeof(run->facts[0]));
        run->times = xrealloc(run->times, run->facts_capacity * sizeof(run->times[0]));
        run->kinds = xrealloc(run->kinds, run->facts_capacity);
    }
    run->facts[entry->seq - 1] = str_hash(entry->body) * 31 + (uint64_t)entry->kind;
    run->times[entry->seq - 1] = entry->time_ms;
    run->kinds[entry->seq - 1] = (uint8_t)entry->kind;
}

static void note_end(struct world *world, const struct sim_run *run, enum event_kind kind)
{
    for (size_t i = 0; i < world->live_count && run->ledger.ended != EVENT_NONE; i++) {
        if (world->live[i] == run) {
            world->live[i] = world->live[--world->live_count];
        }
    }
    world->counts.completed += kind == EVENT_RUN_COMPLETED;
    world->counts.failed += kind == EVENT_RUN_FAILED;
    world->counts.cancelled += kind == EVENT_RUN_CANCELLED;
}

static void take_event(struct world *world, struct sim_run *run, const struct codec_entry *entry,
                       const struct event *event)
{
    /* Restarts, doubtful commits and failed reads make it forget; what is copied has its reasons
     * elsewhere. */
    run->ledger.life = run->is_copying
                           ? UINT64_MAX - world->event_number
                           : world->life + world->counts.store_faults + world->counts.reads_failed;
    run->ledger.is_copying = run->is_copying;
    const char *law = ledger_add(&run->ledger, event);
    world_expect(world, law == NULL, law);
    world_expect(world, entry->seq == run->ledger.events, "seqs-without-gap");
    if (!world_is_well(world)) {
        world_detail(world, "%s at seq %u", engine_event_name(event->kind), entry->seq);
        return;
    }
    world->event_number++;
    note_fact(run, entry);
    laws_note_answer(world, run, event);
    run->was_unsaid |= world->is_unsaid;
    if (event->kind == EVENT_LEASE_LOST && str_is(event->lease_lost.cause, "lease expired")) {
        world_hosts_judge_loss(world, run->id, engine_effect(&run->folded, event->effect));
    }
    laws_note_input(world, run, event);
    laws_note_wait(world, run, event);
    laws_note_family(world, run, event);
    laws_queues_note(world, run, event);
    note_step(world, run, event);
    run->is_changed = true;
    engine_apply(&run->folded, event);
    world->counts.events++;
    note_end(world, run, event->kind);
    world_say(world, "  run %.6s.. #%u %s %u.%u", run->marker.ptr, entry->seq,
              engine_event_name(event->kind), event->effect, event->attempt);
}

/* One that is over the limit fails with what is put next, or next but few. */
static void note_size(struct world *world, struct sim_run *run, size_t bytes)
{
    size_t max = world->options.history_bytes_max;
    run->history_bytes += bytes;
    run->ledger.is_full = max != 0 && run->history_bytes > max;
    if (run->ledger.is_full && run->full_since_ms == 0) {
        run->full_since_ms = world->time_ms;
        run->full_life = world->life;
    }
}

static void take_record(struct world *world, uuid id, uint32_t first_seq, str record)
{
    struct sim_run *run = world_find_run(world, id);
    size_t cursor = 0;
    world_expect(world, run == NULL || first_seq == run->ledger.events + 1, "records-are-appended");
    while (world_is_well(world)) {
        struct codec_entry entry;
        struct event event;
        bool is_end = false;
        status read = codec_next(record, &cursor, &entry, &is_end);
        world_expect(world, status_is_ok(read), "records-are-readable");
        if (is_end || !world_is_well(world)) {
            break;
        }
        read = codec_decode(&entry, &scratch, &event);
        world_expect(world, status_is_ok(read), "events-are-readable");
        if (run == NULL && world_is_well(world)) {
            run = open_run(world, id, &event);
        }
        if (world_is_well(world)) {
            take_event(world, run, &entry, &event);
        }
    }
    if (world_is_well(world)) {
        note_size(world, run, record.len);
        run->records_put++;
        const char *law = ledger_settle(&run->ledger);
        world_expect(world, law == NULL, law);
        run->kinds[run->ledger.events - 1] |= 0x80;
    }
}

static void take_snapshot(struct world *world, uuid id, str bytes)
{
    struct sim_run *run = world_find_run(world, id);
    struct run snapshot;
    uint64_t history_bytes = 0;
    status read = codec_decode_run(bytes, &snapshot, &history_bytes);
    world_expect(world, status_is_ok(read), "snapshots-are-readable");
    world_expect(world, run != NULL, "snapshots-follow-their-records");
    if (world_is_well(world)) {
        world->counts.snapshots++;
        world_expect(world, memcmp(&snapshot, &run->folded, sizeof(snapshot)) == 0,
                     "a-snapshot-is-the-fold-so-far");
        world_expect(world, history_bytes == run->history_bytes,
                     "a-snapshot-knows-how-large-the-history-is");
    }
}

static void take_row(struct world *world, const struct store_entry *entry, uuid id)
{
    struct sim_run *run = world_find_run(world, id);
    bool is_active = entry->table == STORE_ACTIVE;
    world_expect(world, run != NULL, "rows-follow-their-records");
    if (!world_is_well(world)) {
        return;
    }
    run->is_changed = true;
    if (is_active) {
        run->has_active_row = !entry->is_delete;
    } else if (entry->is_delete) {
        world_expect(world, run->is_doomed, "nothing-is-forgotten");
        run->is_gone = true;
    }
    if (!entry->is_delete) {
        status read = codec_decode_row(entry->value, &run->row);
        world_expect(world, status_is_ok(read), "rows-are-readable");
    }
}

static bool is_doomed(struct world *world, uuid id)
{
    const struct sim_run *run = world_find_run(world, id);
    return run != NULL && run->is_doomed;
}

static void take_entry(struct world *world, const struct store_entry *entry)
{
    uuid id;
    uint32_t seq;
    laws_versions_take(world, entry);
    switch (entry->table) {
    case STORE_JOURNAL:
        world_expect(world, key_read_run(entry->key, &id) && key_read_journal_seq(entry->key, &seq),
                     "keys-are-readable");
        world_expect(world, !entry->is_delete || is_doomed(world, id), "nothing-is-forgotten");
        if (!entry->is_delete && world_is_well(world)) {
            take_record(world, id, seq, entry->value);
        }
        break;
    case STORE_SNAPSHOTS:
        if (key_read_run(entry->key, &id) && !entry->is_delete) {
            take_snapshot(world, id, entry->value);
        }
        break;
    case STORE_RUNS:
    case STORE_ACTIVE:
        if (key_read_run(entry->key, &id)) {
            take_row(world, entry, id);
        }
        break;
    case STORE_INDEX:
        laws_take_link(world, entry);
        break;
    case STORE_TOPICS:
        laws_take_topic(world, entry);
        break;
    case STORE_META:
    case STORE_DEFINITION_NAMES:
    case STORE_DEFINITIONS:
    case STORE_IDEMPOTENCY:
    case STORE_TABLE_COUNT:
        break;
    }
}

/* A run that recovery would not load must say by its row alone what is ready. */
static void check_ready(struct world *world, const struct sim_run *run)
{
    uint32_t ready = 0;
    for (uint32_t id = 1; id <= run->ledger.effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(&run->ledger, id);
        bool rests = effect != NULL &&
                     (ledger_is_wait(effect) || effect->is_parked || effect->retry_at_ms != 0);
        if (effect == NULL || rests) {
            continue;
        }
        bool is_named = false;
        for (uint32_t i = 0; i < run->row.ready_count; i++) {
            is_named |= run->row.ready[i].effect == id;
        }
        ready++;
        world_expect(world, is_named && ledger_is_ready(effect), "rows-say-what-is-ready");
    }
    world_expect(world, ready == run->row.ready_count, "rows-say-what-is-ready");
    world_expect(world, run->row.next_deadline_ms == ledger_next_deadline(&run->ledger),
                 "rows-say-when-to-wake");
}

static void check_run(struct world *world, struct sim_run *run)
{
    static const uint32_t ended[EVENT_COUNT] = {
        [EVENT_RUN_COMPLETED] = 3,
        [EVENT_RUN_FAILED] = 4,
        [EVENT_RUN_CANCELLED] = 5,
    };
    const char *law = ledger_compare(&run->ledger, &run->folded);
    world_expect(world, law == NULL, law);
    law = engine_broken_invariant(&run->folded);
    world_expect(world, law == NULL, law);
    bool has_ended = run->ledger.ended != EVENT_NONE;
    world_expect(world, run->has_active_row == !has_ended, "live-runs-are-in-the-active-table");
    bool waits = run->is_half || engine_is_waiting(&run->folded);
    uint32_t standing = has_ended ? ended[run->ledger.ended] : (waits ? 2 : 1);
    world_expect(world, run->row.status == standing, "lists-know-the-status");
    if (!has_ended && !run->row.load) {
        check_ready(world, run);
    }
    laws_copies_check(world, run);
}

void laws_take(struct world *world, const struct store_batch *batch)
{
    size_t cursor = 0;
    struct store_entry entry;
    world_mix(world, buf_str(&batch->bytes));
    world->events_before = world->event_number;
    world->batch = batch;
    while (store_batch_next(batch, &cursor, &entry) && world_is_well(world)) {
        take_entry(world, &entry);
        arena_reset(&scratch);
    }
    world->batch = NULL;
    for (size_t i = 0; i < world->run_count && world_is_well(world); i++) {
        if (world->runs[i]->is_changed) {
            check_run(world, world->runs[i]);
        }
    }
    if (world_is_well(world)) {
        laws_check_commit(world);
        laws_clockwork_check_commit(world);
        laws_versions_check_commit(world);
        laws_queues_check_commit(world);
    }
    for (size_t i = 0; i < world->run_count; i++) {
        struct sim_run *run = world->runs[i];
        bool is_copied = run->is_copying && !run->is_half;
        run->is_changed = false;
        run->is_copying = run->is_half;
        run->is_whole_now = false;
        run->records_put = 0;
        if (is_copied) {
            laws_queues_copied(world, run);
        }
    }
}

/* What the partition holds in memory is what the journal folds to. */
static void check_live(struct world *world, struct sim_run *run)
{
    struct live_run *live = runs_find(world->partition, run->id);
    if (run->is_damaged) {
        world_expect(world, live == NULL, "what-cannot-be-read-is-not-in-memory");
        return;
    }
    if (live == NULL) {
        world_expect(world,
                     engine_is_terminal(&run->folded) || engine_is_waiting(&run->folded) ||
                         world_store_is_doubtful(world),
                     "runs-at-work-stay-in-memory");
        return;
    }
    bool is_same = live->state.seq == run->folded.seq;
    if (is_same && (run->compared_seq != live->state.seq || world->counts.rounds % 8 == 0)) {
        is_same = memcmp(&live->state, &run->folded, sizeof(live->state)) == 0;
        run->compared_seq = live->state.seq;
    }
    world_expect(world, is_same, "fold-is-live");
    world_expect(world, live->is_copying == run->is_half, "half-a-copy-is-known-as-one");
    if (live->needs_recovery || run->is_half) {
        return;
    }
    bool is_calling = run->folded.phase == PHASE_MODEL && !engine_is_waiting(&run->folded);
    world_expect(world, !models_are_calling(world->partition, live) || is_calling,
                 "no-call-that-nobody-awaits");
    world_expect(world,
                 models_are_calling(world->partition, live) || !is_calling ||
                     world->partition->requests.is_draining ||
                     !models_are_settled(world->partition),
                 "owed-calls-are-out");
}

static void check_slots(struct world *world)
{
    struct hosts_stats stats;
    size_t leased = 0;
    size_t ready = 0;
    size_t in_queues = 0;
    size_t damaged = 0;
    hosts_stats(world->partition->hosts, &stats);
    for (size_t i = 0; i < world->live_count; i++) {
        const struct ledger *ledger = &world->live[i]->ledger;
        if (world->live[i]->is_half) {
            continue;
        }
        for (uint32_t id = 1; id <= ledger->effect_count; id++) {
            const struct ledger_effect *effect = ledger_open(ledger, id);
            if (world->live[i]->is_damaged) {
                damaged += effect != NULL; /* It may have been given out before it was found. */
                continue;
            }
            leased += effect != NULL && effect->is_leased;
            ready += effect != NULL && ledger_is_ready(effect);
        }
        in_queues += sim_run_awaits_admission(world->live[i]);
    }
    bool settles = tasks_are_settled(world->partition) &&
                   world->partition->runs.recovering_count == 0 && !world_store_is_doubtful(world);
    world_expect(world,
                 !settles || (stats.held + stats.expected >= leased &&
                              stats.held + stats.expected <= leased + damaged),
                 "held-tasks-are-the-leased-ones");
    /* Of those in queues, the hosts know only the admitted ones. */
    world_expect(world,
                 !settles || (stats.ready <= ready + damaged && stats.ready + in_queues >= ready),
                 "hosts-know-the-ready-tasks");
    if (!world_is_well(world)) {
        world_detail(world, "held %zu expected %zu ready %zu; leased %zu ready %zu, %zu in queues",
                     stats.held, stats.expected, stats.ready, leased, ready, in_queues);
    }
}

void laws_check(struct world *world, uint64_t due_ms)
{
    if (world->partition == NULL || world->is_dead) {
        return;
    }
    for (size_t i = 0; i < world->live_count && world_is_well(world); i++) {
        check_live(world, world->live[i]);
    }
    const struct live_run *live = runs_first(world->partition);
    for (; live != NULL && world_is_well(world); live = runs_next(world->partition, live)) {
        struct sim_run *run = world_find_run(world, live->state.id);
        world_expect(world, run != NULL, "only-what-is-written-is-in-memory");
        if (run != NULL && run->ledger.ended != EVENT_NONE) {
            check_live(world, run);
            world_expect(world, !callers_wait_for(world->partition, live->state.id),
                         "waits-end-with-the-run");
        }
    }
    if (world_is_well(world)) {
        check_slots(world);
    }
    if (world_is_well(world)) {
        laws_queues_check_memory(world);
        world_models_check(world);
    }
    if (world_is_well(world)) {
        laws_check_rest(world, due_ms);
    }
    if (world_is_well(world)) {
        laws_check_due(world);
    }
}

void laws_free(struct world *world)
{
    for (size_t i = 0; i < world->run_count; i++) {
        free(world->runs[i]->facts);
        free(world->runs[i]->times);
        free(world->runs[i]->kinds);
        free(world->runs[i]->steps);
        free(world->runs[i]->waits);
        free(world->runs[i]->answers);
        free(world->runs[i]->heard);
        free(world->runs[i]);
    }
    world->run_count = 0;
    world->live_count = 0;
    memset(world->by_id, 0, sizeof(world->by_id));
    arena_fini(&scratch);
}
