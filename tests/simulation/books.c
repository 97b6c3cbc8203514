/*
 * The books: what was committed, read back record by record, by the ledger and by the engine's
 * own fold. Whatever the partition shows or asks for is judged by them.
 */
#include <stdlib.h>

#include "service/features/callers/callers.h"
#include "service/features/models/models.h"
#include "service/features/tasks/tasks.h"
#include "service/partition/state.h"
#include "tests/simulation/world.h"

static struct arena scratch;

/* Where the run's book is, or is to be put. */
static struct book **place_of(struct world *world, uuid id)
{
    size_t at = str_hash(str_make(id.bytes, sizeof(id.bytes))) % COUNT_OF(world->by_id);
    while (world->by_id[at] != NULL && !uuid_equal(world->by_id[at]->id, id)) {
        at = (at + 1) % COUNT_OF(world->by_id);
    }
    return &world->by_id[at];
}

struct book *books_find(struct world *world, uuid id)
{
    return *place_of(world, id);
}

struct book *books_find_marker(struct world *world, str marker)
{
    for (size_t i = 0; i < world->book_count; i++) {
        if (str_equal(world->books[i]->marker, marker)) {
            return world->books[i];
        }
    }
    return NULL;
}

static void check_one_run_per_key(struct world *world, str key)
{
    for (size_t i = 0; i < world->book_count && key.len > 0; i++) {
        world_expect(world, world->books[i]->key != str_hash(key), "one-run-per-idempotency-key");
    }
}

static struct book *open_book(struct world *world, uuid id, const struct event *event)
{
    world_expect(world, event->kind == EVENT_RUN_STARTED, "started-first");
    world_expect(world, world->book_count < WORLD_RUNS_MAX, "world-too-small");
    if (!world_is_well(world)) {
        return NULL;
    }
    const struct run_spec *spec = &event->run_started.spec;
    world_expect(world, uuid_equal(event->run_started.id, id), "the-key-is-the-runs");
    world_expect(world, !uuid_is_zero(spec->root), "every-run-has-a-root");
    world_expect(world, spec->deadline_ms > event->time_ms, "every-run-has-a-deadline");
    check_one_run_per_key(world, spec->options.idempotency_key);
    struct book *book = xcalloc(1, sizeof(*book));
    book->id = id;
    engine_init(&book->folded);
    ledger_init(&book->ledger);
    book->marker = arena_copy(&world->arena, spec->input);
    book->definition = spec->definition_hash.len == 0 ? 0 : str_hash(spec->definition_hash);
    book->key =
        spec->options.idempotency_key.len == 0 ? 0 : str_hash(spec->options.idempotency_key);
    book->parent = spec->parent;
    book->parent_effect = spec->parent_effect;
    book->parent_index = spec->parent_index;
    book->born = world->event_number + 1;
    book->name = arena_copy(&world->arena, spec->name);
    books_clockwork_open(world, book, spec);
    book->is_fork = !book->is_by_machine && books_find_marker(world, spec->input) != NULL;
    book->is_copying = book->is_fork;
    books_queues_open(world, book, spec);
    world->counts.forks += book->is_fork;
    *place_of(world, id) = book;
    world->books[world->book_count++] = book;
    world->live[world->live_count++] = book;
    world->counts.runs++;
    return book;
}

static void put_step(struct book *book, struct book_step step)
{
    if (book->step_count == book->step_capacity) {
        book->step_capacity = book->step_capacity == 0 ? 16 : book->step_capacity * 2;
        book->steps = xrealloc(book->steps, book->step_capacity * sizeof(book->steps[0]));
    }
    book->steps[book->step_count++] = step;
}

static void note_step(struct book *book, const struct event *event)
{
    if (event->kind == EVENT_STEP_SETTLED) {
        put_step(book, (struct book_step){
                           .effect = event->effect,
                           .number = event->step_settled.number,
                           .key = str_hash(event->step_settled.key),
                           .value = str_hash(event->step_settled.outcome.value),
                       });
        return;
    }
    const struct book_wait *wait = books_wait_of(book, event->effect);
    if (event->kind == EVENT_WAIT_SETTLED && wait != NULL) {
        put_step(book, (struct book_step){
                           .effect = wait->owner,
                           .key = str_hash(wait->key),
                           .value = wait->value,
                       });
    }
}

static void note_fact(struct book *book, const struct codec_entry *entry)
{
    if (entry->seq > book->facts_capacity) {
        book->facts_capacity = book->facts_capacity == 0 ? 64 : book->facts_capacity * 2;
        book->facts = xrealloc(book->facts, book->facts_capacity * sizeof(book->facts[0]));
        book->times = xrealloc(book->times, book->facts_capacity * sizeof(book->times[0]));
        book->kinds = xrealloc(book->kinds, book->facts_capacity);
    }
    book->facts[entry->seq - 1] = str_hash(entry->body) * 31 + (uint64_t)entry->kind;
    book->times[entry->seq - 1] = entry->time_ms;
    book->kinds[entry->seq - 1] = (uint8_t)entry->kind;
}

static void note_end(struct world *world, const struct book *book, enum event_kind kind)
{
    for (size_t i = 0; i < world->live_count && book->ledger.ended != EVENT_NONE; i++) {
        if (world->live[i] == book) {
            world->live[i] = world->live[--world->live_count];
        }
    }
    world->counts.completed += kind == EVENT_RUN_COMPLETED;
    world->counts.failed += kind == EVENT_RUN_FAILED;
    world->counts.cancelled += kind == EVENT_RUN_CANCELLED;
}

static void take_event(struct world *world, struct book *book, const struct codec_entry *entry,
                       const struct event *event)
{
    /* Restarts and doubtful commits make it forget; what is copied has its reasons elsewhere. */
    book->ledger.life = book->is_copying ? UINT64_MAX - world->event_number
                                         : world->life + world->counts.store_faults;
    const char *law = ledger_add(&book->ledger, event);
    world_expect(world, law == NULL, law);
    world_expect(world, entry->seq == book->ledger.events, "seqs-without-gap");
    if (!world_is_well(world)) {
        world_detail(world, "%s at seq %u", engine_event_name(event->kind), entry->seq);
        return;
    }
    world->event_number++;
    note_fact(book, entry);
    books_note_wait(world, book, event);
    books_note_family(world, book, event);
    books_queues_note(world, book, event);
    note_step(book, event);
    book->is_changed = true;
    engine_apply(&book->folded, event);
    world->counts.events++;
    note_end(world, book, event->kind);
    world_say(world, "  run %.6s.. #%u %s %u.%u", book->marker.ptr, entry->seq,
              engine_event_name(event->kind), event->effect, event->attempt);
}

static void take_record(struct world *world, uuid id, uint32_t first_seq, str record)
{
    struct book *book = books_find(world, id);
    size_t cursor = 0;
    world_expect(world, book == NULL || first_seq == book->ledger.events + 1,
                 "records-are-appended");
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
        if (book == NULL && world_is_well(world)) {
            book = open_book(world, id, &event);
        }
        if (world_is_well(world)) {
            take_event(world, book, &entry, &event);
        }
    }
    if (world_is_well(world)) {
        const char *law = ledger_settle(&book->ledger);
        world_expect(world, law == NULL, law);
        book->kinds[book->ledger.events - 1] |= 0x80;
    }
}

static void take_snapshot(struct world *world, uuid id, str bytes)
{
    struct book *book = books_find(world, id);
    struct run run;
    status read = codec_decode_run(bytes, &run);
    world_expect(world, status_is_ok(read), "snapshots-are-readable");
    world_expect(world, book != NULL, "snapshots-follow-their-records");
    if (world_is_well(world)) {
        world->counts.snapshots++;
        world_expect(world, memcmp(&run, &book->folded, sizeof(run)) == 0,
                     "a-snapshot-is-the-fold-so-far");
    }
}

static void take_row(struct world *world, const struct store_entry *entry, uuid id)
{
    struct book *book = books_find(world, id);
    bool is_active = entry->table == STORE_ACTIVE;
    world_expect(world, book != NULL, "rows-follow-their-records");
    if (!world_is_well(world)) {
        return;
    }
    book->is_changed = true;
    if (is_active) {
        book->has_active_row = !entry->is_delete;
    }
    if (!entry->is_delete) {
        status read = codec_decode_row(entry->value, &book->row);
        world_expect(world, status_is_ok(read), "rows-are-readable");
    }
}

static void take_entry(struct world *world, const struct store_entry *entry)
{
    uuid id;
    uint32_t seq;
    switch (entry->table) {
    case STORE_JOURNAL:
        world_expect(world, !entry->is_delete, "nothing-is-forgotten");
        world_expect(world, key_read_run(entry->key, &id) && key_read_journal_seq(entry->key, &seq),
                     "keys-are-readable");
        if (world_is_well(world)) {
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
        books_take_link(world, entry);
        break;
    case STORE_TOPICS:
        books_take_topic(world, entry);
        break;
    case STORE_META:
    case STORE_DEFINITION_NAMES:
    case STORE_DEFINITIONS:
    case STORE_IDEMPOTENCY:
    case STORE_TABLE_COUNT:
        break;
    }
}

/* A run that recovery would not load must say by its row alone what it owes. */
static void check_parked(struct world *world, const struct book *book)
{
    uint32_t owed = 0;
    for (uint32_t id = 1; id <= book->ledger.effect_count; id++) {
        const struct ledger_effect *effect = ledger_open(&book->ledger, id);
        bool rests = effect != NULL &&
                     (ledger_is_wait(effect) || effect->is_parked || effect->retry_at_ms != 0);
        if (effect == NULL || rests) {
            continue;
        }
        bool is_named = false;
        for (uint32_t i = 0; i < book->row.parked_count; i++) {
            is_named |= book->row.parked[i].effect == id;
        }
        owed++;
        world_expect(world, is_named && ledger_is_in_line(effect), "rows-say-what-is-owed");
    }
    world_expect(world, owed == book->row.parked_count, "rows-say-what-is-owed");
    world_expect(world, book->row.next_deadline_ms == ledger_next_deadline(&book->ledger),
                 "rows-say-when-to-wake");
}

static void check_book(struct world *world, const struct book *book)
{
    static const uint32_t ended[EVENT_COUNT] = {
        [EVENT_RUN_COMPLETED] = 3,
        [EVENT_RUN_FAILED] = 4,
        [EVENT_RUN_CANCELLED] = 5,
    };
    const char *law = ledger_compare(&book->ledger, &book->folded);
    world_expect(world, law == NULL, law);
    law = engine_broken_invariant(&book->folded);
    world_expect(world, law == NULL, law);
    bool has_ended = book->ledger.ended != EVENT_NONE;
    world_expect(world, book->has_active_row == !has_ended, "live-runs-are-in-the-active-table");
    uint32_t standing =
        has_ended ? ended[book->ledger.ended] : (engine_is_waiting(&book->folded) ? 2 : 1);
    world_expect(world, book->row.status == standing, "lists-know-the-status");
    if (!has_ended && !book->row.load) {
        check_parked(world, book);
    }
}

void books_take(struct world *world, const struct store_batch *batch)
{
    size_t cursor = 0;
    struct store_entry entry;
    world_mix(world, buf_str(&batch->bytes));
    while (store_batch_next(batch, &cursor, &entry) && world_is_well(world)) {
        take_entry(world, &entry);
        arena_reset(&scratch);
    }
    for (size_t i = 0; i < world->book_count && world_is_well(world); i++) {
        if (world->books[i]->is_changed) {
            check_book(world, world->books[i]);
        }
    }
    if (world_is_well(world)) {
        books_check_commit(world);
        books_clockwork_check_commit(world);
    }
    for (size_t i = 0; i < world->book_count; i++) {
        world->books[i]->is_changed = false;
        world->books[i]->is_copying = false;
    }
}

/* What the partition holds in memory is what the journal folds to. */
static void check_live(struct world *world, struct book *book)
{
    struct live_run *live = runs_find(world->partition, book->id);
    if (live == NULL) {
        world_expect(world, engine_is_terminal(&book->folded) || engine_is_waiting(&book->folded),
                     "runs-at-work-stay-in-memory");
        return;
    }
    bool is_same = live->state.seq == book->folded.seq;
    if (is_same && (book->compared_seq != live->state.seq || world->counts.turns % 8 == 0)) {
        is_same = memcmp(&live->state, &book->folded, sizeof(live->state)) == 0;
        book->compared_seq = live->state.seq;
    }
    world_expect(world, is_same, "fold-is-live");
    if (live->needs_recovery) {
        return;
    }
    bool is_calling = book->folded.state == RUN_THINKING && !engine_is_waiting(&book->folded);
    world_expect(world, !models_are_calling(world->partition, live) || is_calling,
                 "no-call-that-nobody-awaits");
    world_expect(world, models_are_calling(world->partition, live) || !is_calling,
                 "owed-calls-are-out");
}

static void check_slots(struct world *world)
{
    struct hosts_stats stats;
    size_t leased = 0;
    size_t in_line = 0;
    size_t in_queues = 0;
    hosts_stats(world->partition->hosts, &stats);
    for (size_t i = 0; i < world->live_count; i++) {
        const struct ledger *ledger = &world->live[i]->ledger;
        for (uint32_t id = 1; id <= ledger->effect_count; id++) {
            const struct ledger_effect *effect = ledger_open(ledger, id);
            leased += effect != NULL && effect->is_leased;
            in_line += effect != NULL && ledger_is_in_line(effect);
        }
        in_queues += books_waits_for_turn(world->live[i]);
    }
    bool settles =
        tasks_are_settled(world->partition) && world->partition->runs.recovering_count == 0;
    world_expect(world, !settles || stats.held + stats.expected == leased,
                 "held-tasks-are-the-leased-ones");
    /* Of those in queues, only some stand in the hosts' line for all. */
    world_expect(world, !settles || (stats.ready <= in_line && stats.ready + in_queues >= in_line),
                 "ready-tasks-are-in-line");
    if (!world_is_well(world)) {
        world_detail(world, "held %zu expected %zu parked %zu; leased %zu ready %zu, %zu in queues",
                     stats.held, stats.expected, stats.ready, leased, in_line, in_queues);
    }
}

void books_check(struct world *world, uint64_t due_ms)
{
    if (world->partition == NULL || world->is_dead) {
        return;
    }
    for (size_t i = 0; i < world->live_count && world_is_well(world); i++) {
        check_live(world, world->live[i]);
    }
    const struct live_run *run = runs_first(world->partition);
    for (; run != NULL && world_is_well(world); run = runs_next(world->partition, run)) {
        struct book *book = books_find(world, run->state.id);
        world_expect(world, book != NULL, "only-what-is-written-is-in-memory");
        if (book != NULL && book->ledger.ended != EVENT_NONE) {
            check_live(world, book);
            world_expect(world, !callers_wait_for(world->partition, run->state.id),
                         "waits-end-with-the-run");
        }
    }
    if (world_is_well(world)) {
        check_slots(world);
    }
    if (world_is_well(world)) {
        books_queues_check_memory(world);
    }
    if (world_is_well(world)) {
        books_check_rest(world, due_ms);
    }
    if (world_is_well(world)) {
        books_check_due(world);
    }
}

void books_free(struct world *world)
{
    for (size_t i = 0; i < world->book_count; i++) {
        free(world->books[i]->facts);
        free(world->books[i]->times);
        free(world->books[i]->kinds);
        free(world->books[i]->steps);
        free(world->books[i]->waits);
        free(world->books[i]->answers);
        free(world->books[i]);
    }
    world->book_count = 0;
    world->live_count = 0;
    memset(world->by_id, 0, sizeof(world->by_id));
    arena_fini(&scratch);
}
