#include "tests/simulation/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/base/failure.h"
#include "service/features/callers/callers.h"
#include "service/features/tasks/tasks.h"
#include "service/features/topics/topics.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "storage/memory_store.h"

enum {
    HOSTILE_MS = 90000,
    CALM_MS = 7200000, /* Longer than any run's deadline, and its code's longest sleeps. */
    DELETING_MS = 600000,
    TICKS_MAX = 400000,
    SLEEP_MS = 20000,
    SLEEP_LONG_MS = 60000,
    EPOCH_MS_LOW = 1700000000,
};

/* ---- Drawing, saying, expecting. ---- */

bool world_is_well(const struct world *world)
{
    return world->broken == NULL;
}

void world_expect(struct world *world, bool holds, const char *law)
{
    if (!holds && world->broken == NULL) {
        world->broken = law;
        world->detail[0] = '\0';
        world_say(world, "BROKEN: %s", law);
    }
}

void world_detail(struct world *world, const char *format, ...)
{
    if (world->detail[0] != '\0') {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(world->detail, sizeof(world->detail), format, args);
    va_end(args);
}

uint64_t world_below(struct world *world, uint64_t bound)
{
    return draw_below(&world->draw, bound);
}

/* Up to 64 KiB, 1 MiB, 2 MiB, seldom so much. */
static size_t draw_size(struct world *world)
{
    static const struct {
        unsigned percent;
        size_t least;
        size_t most;
    } rows[] = {
        {40, 1, 8}, {25, 1 << 10, 64 << 10}, {20, 64 << 10, 1 << 20}, {15, 1 << 20, (2 << 20) - 2}};
    uint64_t left = draw_below(&world->disk, 100);
    size_t row = 0;
    while (left >= rows[row].percent) {
        left -= rows[row++].percent;
    }
    return rows[row].least + draw_below(&world->disk, rows[row].most - rows[row].least);
}

static str enlarge(struct world *world, str number, size_t least)
{
    size_t size = world->is_heavy && !world->calm ? draw_size(world) : 0;
    size = size < least ? least : size;
    if (size <= number.len + 2) {
        return number;
    }
    char *text = arena_alloc(&world->arena, size);
    memset(text, 'x', size);
    text[0] = text[size - 1] = '"';
    memcpy(text + 1, number.ptr, number.len);
    return str_make(text, size);
}

str world_draw_value(struct world *world)
{
    unsigned long long number = (unsigned long long)world_below(world, 1000000);
    return enlarge(world, arena_printf(&world->arena, "%llu", number), 0);
}

str world_draw_event(struct world *world, bool is_large)
{
    unsigned long long number = (unsigned long long)++world->child_number;
    return enlarge(world, arena_printf(&world->arena, "%llu", number), is_large ? 1400000 : 0);
}

bool world_fault(struct world *world, unsigned percent)
{
    return !world->calm && draw_chance(&world->draw, percent);
}

uint64_t world_wall_ms(const struct world *world)
{
    return world->time_ms + (uint64_t)world->skew_ms;
}

void world_say(const struct world *world, const char *format, ...)
{
    if (!world->trace) {
        return;
    }
    va_list args;
    va_start(args, format);
    printf("%9llu ", (unsigned long long)(world->time_ms % 1000000000));
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

void world_mix(struct world *world, str bytes)
{
    world->digest = (world->digest ^ str_hash(bytes)) * 0x100000001B3u;
}

/* ---- The agenda. ---- */

static bool is_before(const struct agenda_item *a, const struct agenda_item *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct agenda_item *a, struct agenda_item *b)
{
    struct agenda_item between = *a;
    *a = *b;
    *b = between;
}

void world_at(struct world *world, uint64_t delay_ms, world_act *act, void *context,
              uint64_t number)
{
    struct agenda *agenda = &world->agenda;
    if (agenda->count == agenda->capacity) {
        agenda->capacity = agenda->capacity == 0 ? 256 : agenda->capacity * 2;
        agenda->items = xrealloc(agenda->items, agenda->capacity * sizeof(agenda->items[0]));
    }
    size_t at = agenda->count++;
    agenda->items[at] =
        (struct agenda_item){world->time_ms + delay_ms, ++agenda->order, act, context, number};
    while (at > 0 && is_before(&agenda->items[at], &agenda->items[(at - 1) / 2])) {
        swap(&agenda->items[at], &agenda->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static struct agenda_item agenda_pop(struct agenda *agenda)
{
    struct agenda_item first = agenda->items[0];
    agenda->items[0] = agenda->items[--agenda->count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < agenda->count && is_before(&agenda->items[child], &agenda->items[least])) {
                least = child;
            }
        }
        if (least == at) {
            return first;
        }
        swap(&agenda->items[at], &agenda->items[least]);
        at = least;
    }
}

/* ---- The process. ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t now_ms(void *context)
{
    return world_wall_ms(context);
}

static uint64_t monotonic_ms(void *context)
{
    return ((const struct world *)context)->time_ms;
}

static void random_bytes(void *context, void *ret, size_t bytes)
{
    struct world *world = context;
    for (size_t i = 0; i < bytes; i++) {
        ((uint8_t *)ret)[i] = (uint8_t)draw_u64(&world->noise);
    }
}

bool world_sees(struct world *world)
{
    if (world->is_dead || world->partition == NULL || !world_is_well(world)) {
        return false;
    }
    if (world->acts_until_death == 0) {
        world_say(world, "process: dies between acts");
        world->is_dead = true;
        return false;
    }
    world->acts_until_death -= world->acts_until_death != UINT64_MAX;
    world->quiet.deeds++;
    return true;
}

bool world_post(struct world *world, struct request *request)
{
    bool must_arrive =
        request->operation == &host_gone_operation || request->operation == &follow_end_operation ||
        request->operation == &forget_operation || request->operation == &follow_more_operation ||
        request->operation == &follow_join_operation ||
        request->operation == &host_message_operation ||
        request->operation == &host_writable_operation || request->operation == &hello_operation;
    if (world->partition == NULL) {
        request_free(request);
        return false;
    }
    world_note_request(world, request);
    if (must_arrive) {
        partition_post_always(world->partition, request);
        return true;
    }
    if (!partition_post(world->partition, request)) {
        world->counts.snubs++;
        request_free(request);
        return false;
    }
    return true;
}

static void draw_options(struct world *world)
{
    static const uint32_t batches[] = {1, 2, 8, 64, 1024};
    static const uint32_t snapshots[] = {1, 2, 3, 8, 64};
    static const uint32_t budgets[] = {1, 2, 5, 0};
    static const size_t kept[] = {1, 150, 600, 0};
    world->lease_ms = 9000 + world_below(world, 12000);
    world->options = (struct partition_options){
        .features = features_all,
        .format = &world_format,
        .topic_format = &world_topic_format,
        .space = {.partition = 1, .project = 7},
        .now_ms = now_ms,
        .monotonic_ms = monotonic_ms,
        .random = random_bytes,
        .context = world,
        .inbox_max = world_below(world, 4) == 0 ? 8 : 0,
        .batch_max = batches[world_below(world, COUNT_OF(batches))],
        .waiting_runs_max = world_below(world, 3) == 0 ? 2 : 0,
        .lease_ms = world->lease_ms,
        .run_timeout_ms = 20000 + world_below(world, world->is_branching ? 10000 : 100000),
        .zone_folder = WORLD_ZONE_FOLDER,
        .snapshot_every = snapshots[world_below(world, COUNT_OF(snapshots))],
        .history_bytes_max =
            draw_below(&world->pages, 5) == 0 ? 1500 + draw_below(&world->pages, 3000) : 0,
        .inbox_bytes_max = draw_below(&world->pages, 4) == 0 ? 20000 : 0,
        .kept_bytes_max = kept[draw_below(&world->pages, COUNT_OF(kept))],
        .owed_max = world->is_branching ? 1 : budgets[world_below(world, COUNT_OF(budgets))],
        .definition_bytes_max = world->seed % 2 == 0 ? 1 : 0, /* None stays unused. */
    };
}

static void step_back(struct world *world)
{
    world->counts.clock_jumps++;
    world->skew_ms -= (int64_t)world_below(world, 20000);
    laws_queues_clock_stepped_back(world);
}

static void start_process(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    struct partition_options options = world->options;
    options.store = world_store(world);
    options.models = world_models(world);
    world->is_dead = false;
    world->acts_until_death = UINT64_MAX;
    world->life++;
    world_reads_age(world);
    world_store_damage(world);
    world_definitions_age(world);
    uint64_t failed = world->counts.reads_failed;
    status made = partition_new(&options, &world->arena, &world->partition);
    if (made.code == CODE_UNAVAILABLE && world->counts.reads_failed > failed) {
        world_say(world, "process: cannot start: %s", made.why);
        world->partition = NULL;
        world_at(world, world_below(world, 2000), start_process, NULL, 0);
        return;
    }
    world_expect(world, status_is_ok(made), "the-process-starts-again");
    if (!status_is_ok(made)) {
        world_detail(world, "%s", made.why);
        world->partition = NULL;
        return;
    }
    world_reads_start(world);
    laws_quiet_begin(world);
    world->due_ms = world->time_ms;
    world->upsets++;
    if (world_fault(world, 20)) {
        step_back(world); /* It is set when the machine comes up, too. */
    }
    world->trouble_ms = later(world->trouble_ms, world->time_ms);
    world_say(world, "process: starts, life %llu", (unsigned long long)world->life);
}

static void end_process(struct world *world)
{
    world_say(world, "process: gone");
    struct partition *partition = world->partition;
    world->is_dead = true;
    world_reads_stop(world);
    partition_free(partition);
    world->partition = NULL;
    world->due_ms = 0;
    world_models_end_life(world);
    world_hosts_end_life(world);
    world_expect(world, world->open_requests == 0, "every-request-is-answered");
    bool is_long = world_fault(world, 15);
    world_at(world, world_below(world, is_long ? 25000 : 4000), start_process, NULL, 0);
}

/* The thread does not get to run for a while, or only now and then. */
static void sleep_over(struct world *world)
{
    uint64_t longest_ms = 0;
    bool is_sleepy = world->longest_sleep_ms == SLEEP_LONG_MS && !world->calm;
    if (is_sleepy && world->slow_rounds == 0 && draw_below(&world->peers, 400) == 0) {
        world->slow_rounds = 1 + draw_below(&world->peers, 30);
    }
    if (world_fault(world, 15)) {
        longest_ms = world_below(world, 20) == 0 ? world->longest_sleep_ms : 500;
    }
    if (world->slow_rounds > 0) {
        world->slow_rounds--;
        longest_ms = later(longest_ms, world->lease_ms / 3);
    }
    if (longest_ms > 0) {
        world->asleep_until_ms = world->time_ms + world_below(world, longest_ms);
        world->trouble_ms = later(world->trouble_ms, world->asleep_until_ms);
    }
}

static void do_round(struct world *world)
{
    laws_quiet_before(world);
    uint64_t due_ms = partition_round(world->partition);
    world->counts.rounds++;
    if (world->is_dead || world->acts_until_death != UINT64_MAX) {
        world->counts.crashes++;
        end_process(world);
        return;
    }
    uint64_t wall_ms = world_wall_ms(world);
    world->due_ms = due_ms == 0 ? 0 : world->time_ms + (due_ms > wall_ms ? due_ms - wall_ms : 0);
    sleep_over(world);
    if (world_is_well(world)) {
        laws_quiet_after(world, due_ms);
    }
    if (world_is_well(world)) {
        laws_check(world, due_ms);
    }
}

static void drain_done(struct request *request, const struct failure *failure)
{
    (void)failure;
    ((struct world *)request->context)->open_requests--;
    request_free(request);
}

static void stop_politely(struct world *world)
{
    struct request *request = request_new(&drain_operation);
    request->context = world;
    request->done = drain_done;
    world_note_request(world, request);
    partition_post_always(world->partition, request);
    world->open_requests++;
    uint64_t rounds = world_below(world, 4);
    for (uint64_t i = 0; i < rounds && world->partition != NULL && world_is_well(world); i++) {
        do_round(world);
    }
    if (world->partition != NULL) {
        world->counts.stops++;
        end_process(world);
    }
}

static void trouble(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    if (world->calm) {
        return;
    }
    unsigned what = (unsigned)world_below(world, 8);
    world->trouble_ms = later(world->trouble_ms, world->time_ms);
    if (what == 0 && world->partition != NULL) {
        world->counts.crashes++;
        end_process(world);
    } else if (what == 1 && world->partition != NULL) {
        stop_politely(world);
    } else if (what == 2) {
        world->counts.clock_jumps++;
        uint64_t longest_ms = world_below(world, 8) == 0 ? 3600000 : 60000;
        world->skew_ms += (int64_t)world_below(world, longest_ms);
    } else if (what == 3) {
        step_back(world);
    }
    world_at(world, 1000 + world_below(world, 12000), trouble, NULL, 0);
}

/* ---- Time. ---- */

static bool step(struct world *world)
{
    bool has_item = world->agenda.count > 0;
    bool is_up = world->partition != NULL;
    uint64_t item_ms = has_item ? world->agenda.items[0].at_ms : UINT64_MAX;
    uint64_t turn_ms = later(world->due_ms, world->asleep_until_ms);
    if (is_up && world->due_ms != 0 && turn_ms <= item_ms) {
        world->time_ms = later(world->time_ms, turn_ms);
        do_round(world);
        return true;
    }
    if (!has_item) {
        return false;
    }
    struct agenda_item item = agenda_pop(&world->agenda);
    world->time_ms = later(world->time_ms, item.at_ms);
    item.act(world, item.context, item.number);
    bool is_awake = world->partition != NULL && world->time_ms >= world->asleep_until_ms;
    if (is_awake && world_is_well(world) && world_below(world, 100) < 70) {
        do_round(world);
    } else if (world->partition != NULL &&
               (world->due_ms == 0 || world->due_ms > world->time_ms + 50)) {
        world->due_ms = world->time_ms + world_below(world, 50); /* The thread wakes up later. */
    }
    return true;
}

static void begin(struct world *world, uint64_t seed)
{
    world->seed = seed;
    world->draw.state = seed * 0x2545F4914F6CDD1Du;
    world->noise.state = ~seed;
    world->pages.state = seed * 0x9E3779B97F4A7C15u;
    world->peers.state = seed * 0xA0761D6478BD642Fu;
    world->disk.state = seed * 0xD6E8FEB86659FD93u;
    world->broken = NULL;
    world->key_count = 0;
    world->detail[0] = '\0';
    world->digest = 0xCBF29CE484222325u;
    world->calm = false;
    world->is_deleting = false;
    world->time_ms = (uint64_t)EPOCH_MS_LOW * 1000;
    world->skew_ms = 0;
    world->asleep_until_ms = 0;
    world->ticks = 0;
    world->agenda.count = 0;
    world->agenda.order = 0;
    world->life = 0;
    world->damaged = NULL;
    world->call_count = 0;
    world->call_number = 0;
    world->registered = 0;
    world->open_requests = 0;
    world->child_number = 0;
    world->input_number = 0;
    world->event_number = 0;
    world->trouble_ms = world->time_ms;
    world->upsets = 0;
    world->calm_ms = 0;
    world->partition = NULL;
    world->reads = NULL;
    world->reads_go_on = false;
    world->provider_failure_percent = world_below(world, 5) == 0 ? 70 : 12;
    arena_init(&world->arena, (size_t)1 << 34);
    memory_store_open(&world->store);
    laws_begin(world);
    world->is_branching = world_below(world, 6) == 0;
    world->is_heavy = draw_below(&world->disk, 8) == 0;
    world->longest_sleep_ms = draw_below(&world->peers, 3) == 0 ? SLEEP_LONG_MS : SLEEP_MS;
    world->slow_rounds = 0;
    draw_options(world);
    world_store_begin(world);
    start_process(world, NULL, 0);
    world_hosts_begin(world);
    world_callers_begin(world);
    world_commands_begin(world);
    world_definitions_begin(world);
    world_queues_begin(world);
    world_operators_begin(world);
    world_schedules_begin(world);
    world_subscribers_begin(world);
    world_at(world, 5000, trouble, NULL, 0);
}

static void calm_down(struct world *world)
{
    world_say(world, "the world calms down");
    world->calm = true;
    world->calm_ms = world->time_ms;
    world->provider_failure_percent = 10;
    world_hosts_calm(world);
    if (world->damaged != NULL && world->partition != NULL) {
        end_process(world); /* It is tried again at the next start. */
    }
}

static void check_end(struct world *world)
{
    const char *what = world_callers_wait_for(world);
    world_expect(world, what == NULL, "everybody-gets-what-was-promised");
    if (what != NULL) {
        world_detail(world, "%s is still open", what);
    }
    world_expect(world, world_subscribers_are_done(world), "subscribers-see-every-event");
    world_expect(world, world->owed_count == 0, "nothing-stays-owed");
    laws_check_topics(world);
    for (size_t i = 0; i < world->run_count && world_is_well(world); i++) {
        bool has_ended = world->runs[i]->ledger.ended != EVENT_NONE;
        world_expect(world, has_ended, "every-run-ends");
    }
}

static void end(struct world *world)
{
    world->counts.seeds++;
    if (world->partition != NULL) {
        end_process(world);
    }
    store_close(&world->store);
    laws_free(world);
    world_hosts_free(world);
    arena_fini(&world->arena);
}

static bool has_time(const struct world *world, uint64_t until_ms)
{
    return world_is_well(world) && world->time_ms < until_ms && world->ticks < TICKS_MAX;
}

static bool is_all_over(const struct world *world)
{
    return world->live_count == 0 && world_callers_are_done(world) &&
           world_subscribers_are_done(world) && world_schedules_are_done(world) &&
           world->owed_count == 0 && world->open_requests == 0;
}

static void delete_trees(struct world *world)
{
    uint64_t start_ms = world->time_ms;
    world_deletions_begin(world);
    while (has_time(world, start_ms + DELETING_MS) && !world_deletions_are_done(world) &&
           step(world)) {
        world->ticks++;
    }
    if (world_is_well(world)) {
        world_deletions_check(world);
    }
}

void world_run(struct world *world, uint64_t seed)
{
    begin(world, seed);
    uint64_t start_ms = world->time_ms;
    while (has_time(world, start_ms + HOSTILE_MS) && step(world)) {
        world->ticks++;
    }
    if (world_is_well(world)) {
        calm_down(world);
    }
    while (has_time(world, start_ms + HOSTILE_MS + CALM_MS) && !is_all_over(world) && step(world)) {
        world->ticks++;
    }
    if (world_is_well(world)) {
        check_end(world);
    }
    if (world_is_well(world)) {
        delete_trees(world);
    }
    end(world);
}

void world_fini(struct world *world)
{
    free(world->agenda.items);
    free(world->calls);
    free(world->links);
    free(world->owed);
    for (unsigned i = 0; i < WORLD_TOPICS; i++) {
        free(world->topics[i].events);
    }
}
