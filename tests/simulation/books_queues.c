/*
 * The books of queues: who holds a place by the facts of the runs, and whose turn it was. A run
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

void books_queues_begin(struct world *world)
{
    memset(world->queues, 0, sizeof(world->queues));
    world->default_queue = WORLD_QUEUES;
}

void books_queues_open(struct world *world, struct book *book, const struct run_spec *spec)
{
    book->queue = queue_of(spec->options.queue);
    book->priority = spec->options.priority;
    bool may_name_none = spec->options.queue.len == 0 && spec->options.concurrency_key.len == 0;
    world_expect(world, book->queue < WORLD_QUEUES || may_name_none, "a-runs-queue-is-known");
    while (world_is_well(world) &&
           !str_equal(spec->options.concurrency_key, world_queue_key(book->queue_key))) {
        book->queue_key++;
        world_expect(world, book->queue_key < WORLD_KEYS, "a-runs-key-is-known");
    }
    if (book->is_fork || !world_is_well(world)) {
        return;
    }
    world_expect(world, book->queue == WORLD_QUEUES || world->queues[book->queue].is_defined,
                 "runs-wait-only-in-defined-queues");
    bool has_default = spec->kind == RUN_KIND_WORKFLOW && str_is(spec->name, "sleepy") &&
                       world->default_queue != WORLD_QUEUES;
    world_expect(world, book->queue != WORLD_QUEUES || !has_default,
                 "a-run-takes-its-workflows-queue");
}

/* ---- Who waits and who holds a place. ---- */

/* The task of a queued run's code, while it is open. */
static const struct ledger_effect *body_of(const struct book *book)
{
    const struct ledger_effect *effect =
        book->queue == WORLD_QUEUES || book->ledger.ended != EVENT_NONE
            ? NULL
            : ledger_open(&book->ledger, 1);
    assert(effect == NULL || effect->kind == EFFECT_BODY);
    return effect;
}

static bool holds_place(const struct book *book)
{
    const struct ledger_effect *body = body_of(book);
    return body != NULL && body->is_leased;
}

bool books_waits_for_turn(const struct book *book)
{
    const struct ledger_effect *body = body_of(book);
    return body != NULL && ledger_is_in_line(body) && !book->ledger.is_cancelling;
}

uint32_t books_held(const struct world *world, unsigned queue, unsigned key)
{
    uint32_t held = 0;
    for (size_t i = 0; i < world->live_count; i++) {
        const struct book *book = world->live[i];
        held += book->queue == queue && (key == WORLD_KEYS || book->queue_key == key) &&
                holds_place(book);
    }
    return held;
}

uint32_t books_waiting(const struct world *world, unsigned queue)
{
    uint32_t waiting = 0;
    for (size_t i = 0; i < world->live_count; i++) {
        const struct book *book = world->live[i];
        waiting += book->queue == queue && books_waits_for_turn(book);
    }
    return waiting;
}

/* ---- Whose turn it was. ---- */

static bool goes_before(const struct book *a, const struct book *b)
{
    return a->priority != b->priority ? a->priority > b->priority
                                      : memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes)) < 0;
}

static uint64_t pin_of(const struct book *book)
{
    const struct effect *body = engine_effect(&book->folded, 1);
    return body == NULL ? 0 : engine_pin(&book->folded, body);
}

/* Whether the other one waits for the same hosts, and as one that has begun or has not. */
static bool waits_alike(const struct book *book, bool has_begun, const struct book *other)
{
    return other != book && other->queue == book->queue && books_waits_for_turn(other) &&
           other->ledger.kind == book->ledger.kind && str_equal(other->name, book->name) &&
           (body_of(other)->attempt > 0) == has_begun && pin_of(other) == pin_of(book);
}

static bool key_has_room(const struct world *world, unsigned queue, unsigned key)
{
    uint32_t limit = world->queues[queue].limits.per_key;
    return limit == 0 || books_held(world, queue, key) < limit;
}

static void judge_order(struct world *world, const struct book *book, bool has_begun)
{
    const struct sim_queue *queue = &world->queues[book->queue];
    uint64_t served = queue->served[book->queue_key].number;
    bool is_known = served != 0 && queue->served[book->queue_key].upset == world->upsets;
    for (size_t i = 0; i < world->live_count; i++) {
        const struct book *other = world->live[i];
        if (!waits_alike(book, has_begun, other)) {
            continue;
        }
        if (other->queue_key == book->queue_key) {
            world_expect(world, !goes_before(other, book), "in-a-key-the-first-goes-first");
            continue;
        }
        bool is_passed_over = is_known && other->waits_since < served &&
                              queue->served[other->queue_key].number < served &&
                              key_has_room(world, book->queue, other->queue_key);
        world_expect(world, !is_passed_over, "keys-take-turns");
    }
}

static void judge_limits(struct world *world, const struct book *book)
{
    const struct queue_limits *limits = &world->queues[book->queue].limits;
    uint32_t held = books_held(world, book->queue, WORLD_KEYS);
    world_expect(world, limits->concurrency == 0 || held <= limits->concurrency,
                 "a-queues-limit-holds");
    held = books_held(world, book->queue, book->queue_key);
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
void books_queues_clock_stepped_back(struct world *world)
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

static void note_grant(struct world *world, struct book *book, const struct event *event)
{
    struct sim_queue *queue = &world->queues[book->queue];
    bool is_first = event->attempt == 1;
    if (book->is_copying) { /* Of this run or of the one it is a copy of. */
        world->upsets++;
        queue->copied_ms = world_wall_ms(world);
        return;
    }
    world->counts.turns_taken++;
    if (!book->ledger.is_cancelling) { /* Cleaning up is not held up. */
        judge_limits(world, book);
        judge_order(world, book, !is_first);
        if (is_first) {
            judge_rate(world, queue, event->time_ms);
        }
    }
    if (!world_is_well(world)) {
        world_detail(world, "queue " STR_FMT " runs %u of %u, key '" STR_FMT "' %u of %u",
                     STR_ARG(world_queue_name(book->queue)),
                     books_held(world, book->queue, WORLD_KEYS), queue->limits.concurrency,
                     STR_ARG(world_queue_key(book->queue_key)),
                     books_held(world, book->queue, book->queue_key), queue->limits.per_key);
    }
    queue->served[book->queue_key].number = world->event_number;
    queue->served[book->queue_key].upset = world->upsets;
}

void books_queues_note(struct world *world, struct book *book, const struct event *event)
{
    if (book->queue == WORLD_QUEUES) {
        return;
    }
    if (event->kind == EVENT_LEASE_GRANTED && event->effect == 1) {
        note_grant(world, book, event);
    }
    bool waits = books_waits_for_turn(book);
    book->waits_since = !waits                  ? 0
                        : book->waits_since > 0 ? book->waits_since
                                                : world->event_number;
}

/* ---- Rows. ---- */

/* u32 concurrency | u32 per_key | u32 rate | u64 rate_period_ms */
static void take_limits(struct world *world, unsigned number, const struct store_entry *entry)
{
    struct sim_queue *queue = &world->queues[number];
    world_expect(world, !entry->is_delete && entry->value.len == 20, "queues-stay");
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

void books_queues_take(struct world *world, uint8_t kind, str name, const struct store_entry *entry)
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

/* ---- Memory. ---- */

/* What the partition counts is what the runs' facts say: a place is free when it is given back. */
void books_queues_check_memory(struct world *world)
{
    for (unsigned i = 0; i < WORLD_QUEUES && world_is_well(world); i++) {
        uint32_t held = books_held(world, i, WORLD_KEYS);
        uint32_t in_line = books_waiting(world, i);
        struct queue_report report = queues_report(world->partition, world_queue_name(i));
        const struct runs *runs = &world->partition->runs;
        bool is_starting = runs->is_starting || runs->recovering_count > 0;
        world_expect(world, is_starting || (report.running == held && report.waiting == in_line),
                     "a-queue-counts-its-runs");
        if (!world_is_well(world)) {
            world_detail(world, "queue " STR_FMT " runs %u and keeps %u; held %u, in line %u",
                         STR_ARG(world_queue_name(i)), report.running, report.waiting, held,
                         in_line);
        }
    }
}
