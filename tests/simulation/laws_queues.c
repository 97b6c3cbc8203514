/*
 * The laws of queues: who holds a place by the facts of the runs, and who was to be admitted. A run
 * holds a place from the event that leases its code to a host to the one that ends the lease;
 * limits count from the row that says them on, in the order of the commit. A limit is judged
 * whenever a place is taken: no more may then hold one, lowered limits stop nothing. A rate looks
 * back at the beginnings since it was defined, at as many as the smallest rate since then let it
 * remember.
 */
#include "service/codec/index.h"
#include "service/features/queues/queues.h"
#include "service/partition/state.h"
#include "tests/simulation/world.h"

str world_queue_name(unsigned queue)
{
    static const char *const names[WORLD_QUEUES] = {"mails", "reports/\xc3\xa4", "q"};
    return str_of(names[queue]);
}

str world_queue_key(unsigned key)
{
    static const char *const keys[WORLD_KEYS] = {"", "ann", "bob"};
    return str_of(keys[key]);
}

static unsigned queue_of(str name)
{
    unsigned queue = 0;
    while (queue < WORLD_QUEUES && !str_equal(name, world_queue_name(queue))) {
        queue++;
    }
    return queue;
}

void laws_queues_begin(struct world *world)
{
    memset(world->queues, 0, sizeof(world->queues));
    world->default_queue = WORLD_QUEUES;
}

void laws_queues_open(struct world *world, struct sim_run *run, const struct run_spec *spec)
{
    run->queue = queue_of(spec->options.queue);
    run->priority = spec->options.priority;
    bool may_name_none = spec->options.queue.len == 0 && spec->options.concurrency_key.len == 0;
    world_expect(world, run->queue < WORLD_QUEUES || may_name_none, "a-runs-queue-is-known");
    while (world_is_well(world) &&
           !str_equal(spec->options.concurrency_key, world_queue_key(run->queue_key))) {
        run->queue_key++;
        world_expect(world, run->queue_key < WORLD_KEYS, "a-runs-key-is-known");
    }
    if (run->is_fork || !world_is_well(world)) {
        return;
    }
    world_expect(world, run->queue == WORLD_QUEUES || world->queues[run->queue].is_defined,
                 "runs-wait-only-in-defined-queues");
    bool has_default = spec->kind == RUN_KIND_WORKFLOW && str_is(spec->name, "sleepy") &&
                       world->default_queue != WORLD_QUEUES;
    world_expect(world, run->queue != WORLD_QUEUES || !has_default,
                 "a-run-takes-its-workflows-queue");
}

/* ---- Who waits and who holds a place. ---- */

/* The task of a queued run's code, while it is open. */
static const struct ledger_effect *body_of(const struct sim_run *run)
{
    const struct ledger_effect *effect =
        run->queue == WORLD_QUEUES || run->ledger.ended != EVENT_NONE || run->is_half
            ? NULL
            : ledger_open(&run->ledger, 1);
    assert(effect == NULL || effect->kind == EFFECT_BODY);
    return effect;
}

static bool holds_place(const struct sim_run *run)
{
    const struct ledger_effect *body = body_of(run);
    return body != NULL && body->is_leased;
}

/* One that is whole with the commit at hand stands in its queue after all else that it says. */
bool sim_run_awaits_admission(const struct sim_run *run)
{
    const struct ledger_effect *body = body_of(run);
    return body != NULL && ledger_is_ready(body) && !run->ledger.is_cancelling && !run->is_copying;
}

uint32_t laws_admitted(const struct world *world, unsigned queue, unsigned key)
{
    uint32_t held = 0;
    for (size_t i = 0; i < world->live_count; i++) {
        const struct sim_run *run = world->live[i];
        held +=
            run->queue == queue && (key == WORLD_KEYS || run->queue_key == key) && holds_place(run);
    }
    return held;
}

uint32_t laws_awaiting(const struct world *world, unsigned queue)
{
    uint32_t waiting = 0;
    for (size_t i = 0; i < world->live_count; i++) {
        const struct sim_run *run = world->live[i];
        waiting += run->queue == queue && sim_run_awaits_admission(run);
    }
    return waiting;
}

/* ---- Who was to be admitted. ---- */

static bool goes_before(const struct sim_run *a, const struct sim_run *b)
{
    return a->priority != b->priority ? a->priority > b->priority
                                      : memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes)) < 0;
}

static uint64_t pin_of(const struct sim_run *run)
{
    const struct effect *body = engine_effect(&run->folded, 1);
    return body == NULL ? 0 : engine_pin(&run->folded, body);
}

/* Whether the other one waits for the same hosts, and as one that has begun or has not. */
static bool waits_alike(const struct sim_run *run, bool has_begun, const struct sim_run *other)
{
    return other != run && other->queue == run->queue && sim_run_awaits_admission(other) &&
           other->ledger.kind == run->ledger.kind && str_equal(other->name, run->name) &&
           (body_of(other)->attempt > 0) == has_begun && pin_of(other) == pin_of(run);
}

static bool key_has_room(const struct world *world, unsigned queue, unsigned key)
{
    uint32_t limit = world->queues[queue].limits.per_key;
    return limit == 0 || laws_admitted(world, queue, key) < limit;
}

static void judge_admission(struct world *world, const struct sim_run *run, bool has_begun)
{
    const struct sim_queue *queue = &world->queues[run->queue];
    uint64_t served = queue->served[run->queue_key].number;
    bool is_known = served != 0 && queue->served[run->queue_key].upset == world->upsets;
    for (size_t i = 0; i < world->live_count; i++) {
        const struct sim_run *other = world->live[i];
        if (!waits_alike(run, has_begun, other)) {
            continue;
        }
        if (other->queue_key == run->queue_key) {
            world_expect(world, !goes_before(other, run), "in-a-key-the-first-goes-first");
            continue;
        }
        bool is_passed_over = is_known && other->waits_since < served &&
                              queue->served[other->queue_key].number < served &&
                              key_has_room(world, run->queue, other->queue_key);
        world_expect(world, !is_passed_over, "keys-are-served-in-turn");
    }
}

static void judge_limits(struct world *world, const struct sim_run *run)
{
    const struct queue_limits *limits = &world->queues[run->queue].limits;
    uint32_t held = laws_admitted(world, run->queue, WORLD_KEYS);
    world_expect(world, limits->concurrency == 0 || held <= limits->concurrency,
                 "a-queues-limit-holds");
    held = laws_admitted(world, run->queue, run->queue_key);
    world_expect(world, limits->per_key == 0 || held <= limits->per_key, "a-keys-limit-holds");
}

/* Of at most `count`, the newest stay. */
static void forget_counted(struct sim_queue *queue, uint32_t count)
{
    while (queue->counted_count > count) {
        queue->counted_count--;
        memmove(&queue->counted[0], &queue->counted[1],
                queue->counted_count * sizeof(queue->counted[0]));
    }
}

static void judge_rate(struct world *world, struct sim_queue *queue, uint64_t now_ms)
{
    uint32_t rate = queue->limits.rate;
    if (rate == 0) {
        return;
    }
    world->counts.beginnings++;
    world_say(world, "  one begins under a rate of %u", rate);
    if (queue->counted_count == rate) {
        uint64_t due_ms = queue->counted[0].at_ms + queue->limits.rate_period_ms;
        world_expect(world, due_ms <= now_ms, "a-queues-rate-holds");
    }
    forget_counted(queue, rate - 1);
    uint32_t at = queue->counted_count++;
    queue->counted[at].at_ms = now_ms;
    queue->counted[at].begun_ms = now_ms;
}

/* A beginning that lies in the future counts from then on as if it were now. */
void laws_queues_clock_stepped_back(struct world *world)
{
    uint64_t now_ms = world_wall_ms(world);
    for (unsigned i = 0; i < WORLD_QUEUES; i++) {
        struct sim_queue *queue = &world->queues[i];
        for (uint32_t j = 0; j < queue->counted_count; j++) {
            bool is_ahead = queue->counted[j].at_ms > now_ms;
            queue->counted[j].at_ms = is_ahead ? now_ms : queue->counted[j].at_ms;
        }
    }
}

static void note_grant(struct world *world, struct sim_run *run, const struct event *event)
{
    struct sim_queue *queue = &world->queues[run->queue];
    bool is_first = event->attempt == 1;
    if (run->is_copying) { /* Of this run or of the one it is a copy of. */
        world->upsets++;
        queue->copied_ms = world_wall_ms(world);
        return;
    }
    world->counts.admissions++;
    if (!run->ledger.is_cancelling) { /* Cleaning up is not held up. */
        judge_limits(world, run);
        judge_admission(world, run, !is_first);
        if (is_first) {
            judge_rate(world, queue, event->time_ms);
        }
    }
    if (!world_is_well(world)) {
        world_detail(world, "queue " STR_FMT " runs %u of %u, key '" STR_FMT "' %u of %u",
                     STR_ARG(world_queue_name(run->queue)),
                     laws_admitted(world, run->queue, WORLD_KEYS), queue->limits.concurrency,
                     STR_ARG(world_queue_key(run->queue_key)),
                     laws_admitted(world, run->queue, run->queue_key), queue->limits.per_key);
    }
    queue->served[run->queue_key].number = world->event_number;
    queue->served[run->queue_key].upset = world->upsets;
}

static void note_waiting(const struct world *world, struct sim_run *run)
{
    bool waits = sim_run_awaits_admission(run);
    run->waits_since = !waits ? 0 : run->waits_since > 0 ? run->waits_since : world->event_number;
}

void laws_queues_note(struct world *world, struct sim_run *run, const struct event *event)
{
    if (run->queue == WORLD_QUEUES) {
        return;
    }
    if (event->kind == EVENT_LEASE_GRANTED && event->effect == 1) {
        note_grant(world, run, event);
    }
    note_waiting(world, run);
}

void laws_queues_copied(const struct world *world, struct sim_run *run)
{
    if (run->queue != WORLD_QUEUES) {
        note_waiting(world, run);
    }
}

/* ---- Rows. ---- */

/* u32 concurrency | u32 per_key | u32 rate | u64 rate_period_ms */
static void take_limits(struct world *world, unsigned number, const struct store_entry *entry)
{
    struct sim_queue *queue = &world->queues[number];
    if (entry->is_delete) {
        world_expect(world, queue->is_defined, "a-queue-is-deleted-once");
        queue->is_defined = false;
        queue->is_deleted_now = true;
        queue->deletions++;
        queue->limits = (struct queue_limits){0};
        queue->counted_count = 0;
        world_say(world, "  queue %u is deleted", number);
        return;
    }
    world_expect(world, entry->value.len == 20, "rows-are-readable");
    if (!world_is_well(world)) {
        return;
    }
    struct queue_limits limits = {0};
    memcpy(&limits.concurrency, entry->value.ptr, 4);
    memcpy(&limits.per_key, entry->value.ptr + 4, 4);
    memcpy(&limits.rate, entry->value.ptr + 8, 4);
    memcpy(&limits.rate_period_ms, entry->value.ptr + 12, 8);
    queue->is_defined = true;
    queue->limits = limits;
    forget_counted(queue, limits.rate);
    world_say(world, "  queue %u: %u, %u of a key, %u in %llu ms", number, limits.concurrency,
              limits.per_key, limits.rate, (unsigned long long)limits.rate_period_ms);
}

void laws_queues_take(struct world *world, uint8_t kind, str name, const struct store_entry *entry)
{
    if (kind == INDEX_QUEUE) {
        world_expect(world, queue_of(name) < WORLD_QUEUES, "a-queue-has-the-name-it-was-given");
        if (world_is_well(world)) {
            take_limits(world, queue_of(name), entry);
        }
    } else if (kind == INDEX_QUEUE_DEFAULT) {
        world_expect(world, str_is(name, "sleepy"), "only-who-names-a-queue-has-one");
        world->default_queue = entry->is_delete ? WORLD_QUEUES : queue_of(entry->value);
    }
}

/* Not while runs wait in it; one that wakes may come back to it in the very commit, or later. */
void laws_queues_check_commit(struct world *world)
{
    for (size_t i = 0; i < world->live_count; i++) {
        const struct sim_run *run = world->live[i];
        bool is_deleted = run->queue != WORLD_QUEUES && world->queues[run->queue].is_deleted_now;
        bool stood_there = run->waits_since > 0 && run->waits_since <= world->events_before;
        world_expect(world, !is_deleted || !stood_there, "a-queue-in-use-stays");
    }
    for (unsigned i = 0; i < WORLD_QUEUES; i++) {
        world->queues[i].is_deleted_now = false;
    }
}

/* ---- Memory. ---- */

/* What the partition counts is what the runs' facts say: a place is free when it is given back. */
void laws_queues_check_memory(struct world *world)
{
    for (unsigned i = 0; i < WORLD_QUEUES && world_is_well(world); i++) {
        uint32_t held = laws_admitted(world, i, WORLD_KEYS);
        uint32_t waiting = laws_awaiting(world, i);
        struct queue_report report = queues_report(world->partition, world_queue_name(i));
        const struct runs *runs = &world->partition->runs;
        bool is_starting =
            runs->is_starting || runs->recovering_count > 0 || world_store_is_doubtful(world);
        world_expect(world, is_starting || (report.running == held && report.waiting == waiting),
                     "a-queue-counts-its-runs");
        if (!world_is_well(world)) {
            world_detail(world, "queue " STR_FMT " runs %u and keeps %u; held %u, waiting %u",
                         STR_ARG(world_queue_name(i)), report.running, report.waiting, held,
                         waiting);
        }
    }
}
