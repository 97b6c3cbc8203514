/*
 * The laws of what starts by itself: schedules and triggers. Which tick or which events a run must
 * stand for follows from the rows and events committed before it, by the program's clock; how far
 * each has come must be written in the commit that starts the run.
 */
#include "service/base/hash.h"
#include "service/base/json.h"
#include "service/codec/index.h"
#include "service/partition/state.h"
#include "service/schedule/calendar.h"
#include "tests/simulation/world.h"

/* ---- Schedules. ---- */

static const struct {
    const char *workflow;
    const char *key;
    const char *id;
} schedules[WORLD_SCHEDULES] = {
    {"flow", "global", "flow/global"},
    {"flow", "second", "flow/second"},
    {"sleepy", "night/shift", "sleepy/night/shift"},
    {"sleepy", "code", "sleepy/code"}, /* By hosts. */
};

str world_schedule_id(unsigned schedule)
{
    return str_of(schedules[schedule].id);
}

str world_schedule_workflow(unsigned schedule)
{
    return str_of(schedules[schedule].workflow);
}

str world_schedule_key(unsigned schedule)
{
    return str_of(schedules[schedule].key);
}

static unsigned find_schedule(str id)
{
    unsigned number = 0;
    while (number < WORLD_SCHEDULES && !str_equal(id, world_schedule_id(number))) {
        number++;
    }
    return number;
}

str world_zone_name(unsigned zone)
{
    static const char *const names[WORLD_ZONES] = {"UTC", "Asia/Kathmandu"};
    return str_of(names[zone]);
}

static uint64_t next_tick(const struct world *world, const struct sim_schedule *schedule,
                          uint64_t after_ms)
{
    return cron_next_ms(&schedule->cron, world->zones[schedule->zone], after_ms);
}

/* The last that has come due and was not dealt with; 0: none. One after the other. */
static uint64_t latest_tick(const struct world *world, const struct sim_schedule *schedule)
{
    uint64_t latest_ms = 0;
    uint64_t next_ms = schedule->next_ms;
    while (next_ms != 0 && next_ms <= world_wall_ms(world)) {
        latest_ms = next_ms;
        next_ms = next_tick(world, schedule, next_ms);
    }
    return latest_ms;
}

static bool is_told(str input, const char *name, str text)
{
    str raw;
    return json_object_get(input, str_of(name), &raw) && json_string_is(raw, text);
}

static bool is_told_time(str input, const char *name, uint64_t ms)
{
    str raw;
    char time[CALENDAR_TEXT_BYTES];
    if (ms == 0) {
        return json_object_get(input, str_of(name), &raw) && str_is(raw, "null");
    }
    calendar_text(ms, time);
    return is_told(input, name, str_of(time));
}

static void judge_payload(struct world *world, unsigned number, uint64_t tick_ms, str input)
{
    const struct sim_schedule *schedule = &world->schedules[number];
    if (schedule->row.has_input) {
        uint8_t hash[16];
        hash128(input, hash);
        world_expect(world, memcmp(hash, schedule->row.input_hash, sizeof(hash)) == 0,
                     "a-tick-carries-what-its-schedule-says");
        return;
    }
    world_expect(world,
                 is_told(input, "schedule_id", world_schedule_id(number)) &&
                     is_told(input, "key", world_schedule_key(number)) &&
                     is_told(input, "timezone", schedule->row.zone) &&
                     is_told_time(input, "timestamp", tick_ms) &&
                     is_told_time(input, "last_timestamp", schedule->row.last_tick_ms) &&
                     is_told_time(input, "upcoming", next_tick(world, schedule, tick_ms)),
                 "a-run-is-told-its-tick");
    if (!world_is_well(world)) {
        world_detail(world, "at %llu, tick %llu: " STR_FMT,
                     (unsigned long long)world_wall_ms(world), (unsigned long long)tick_ms,
                     STR_ARG(input));
    }
}

static bool is_run_before_at_work(struct world *world, const struct sim_schedule *schedule)
{
    const struct sim_run *run = world_find_run(world, schedule->row.run);
    return run != NULL && run->ledger.ended == EVENT_NONE;
}

static void judge_tick(struct world *world, unsigned number, const struct sim_run *run, str input)
{
    struct sim_schedule *schedule = &world->schedules[number];
    world_expect(world, schedule->is_there, "a-deleted-schedule-starts-nothing");
    world_expect(world, !schedule->is_paused || schedule->callers > 0,
                 "a-paused-schedule-starts-nothing");
    if (!world_is_well(world)) {
        return;
    }
    uint64_t tick_ms = schedule->is_paused ? 0 : latest_tick(world, schedule);
    schedule->is_called = schedule->callers > 0;
    if (schedule->is_called &&
        (tick_ms == 0 || is_told_time(input, "timestamp", world_wall_ms(world)))) {
        tick_ms = world_wall_ms(world);
    }
    world_expect(world, tick_ms != 0, "a-tick-starts-one-run-when-it-comes");
    world_expect(world, uuid_is_zero(schedule->started), "a-tick-starts-one-run-when-it-comes");
    world_expect(world, !is_run_before_at_work(world, schedule),
                 "runs-of-a-schedule-do-not-overtake");
    world_expect(world, str_equal(run->name, world_schedule_workflow(number)),
                 "a-schedule-starts-its-workflow");
    judge_payload(world, number, tick_ms, input);
    schedule->started = run->id;
    schedule->started_tick_ms = tick_ms;
    world->counts.ticks++;
}

static void set_row(struct world *world, struct sim_schedule *schedule,
                    const struct schedule_row *row)
{
    schedule->is_there = true;
    schedule->row = *row;
    world_say(world, "  schedule %zu: " STR_FMT, (size_t)(schedule - world->schedules),
              STR_ARG(row->cron));
    schedule->row.cron = arena_copy(&world->arena, row->cron);
    schedule->row.zone = arena_copy(&world->arena, row->zone);
    status parsed = cron_parse(row->cron, &world->arena, &schedule->cron);
    schedule->zone = 0;
    while (schedule->zone < WORLD_ZONES && !str_equal(row->zone, world_zone_name(schedule->zone))) {
        schedule->zone++;
    }
    world_expect(world, status_is_ok(parsed) && schedule->zone < WORLD_ZONES,
                 "only-good-schedules-are-kept");
    schedule->next_ms = world_is_well(world) && !schedule->is_paused
                            ? next_tick(world, schedule, schedule->row.base_ms)
                            : 0;
}

/* New, or with other ticks: begins now. */
static void judge_change(struct world *world, const struct sim_schedule *schedule,
                         const struct schedule_row *row)
{
    const struct schedule_row none = {0};
    const struct schedule_row *before = schedule->is_there ? &schedule->row : &none;
    uint64_t now_ms = world_wall_ms(world);
    uint64_t base_ms = now_ms > before->base_ms ? now_ms : before->base_ms;
    world_expect(world,
                 row->base_ms == base_ms && row->last_tick_ms == before->last_tick_ms &&
                     row->skipped == before->skipped && uuid_equal(row->run, before->run),
                 "changes-count-from-now-on");
}

/* Somebody asked for its run: its ticks go on as they are. */
static bool take_call(struct sim_schedule *schedule, const struct schedule_row *row,
                      uint64_t now_ms)
{
    const struct schedule_row *before = &schedule->row;
    if (!schedule->is_called || uuid_is_zero(schedule->started) ||
        row->base_ms != before->base_ms || row->last_tick_ms != now_ms ||
        row->skipped != before->skipped || !uuid_equal(row->run, schedule->started)) {
        return false;
    }
    schedule->started = (uuid){{0}};
    return true;
}

static void judge_progress(struct world *world, struct sim_schedule *schedule,
                           const struct schedule_row *row)
{
    const struct schedule_row *before = &schedule->row;
    if (take_call(schedule, row, world_wall_ms(world))) {
        world->counts.ticks_called++;
        return;
    }
    bool is_put = row->base_ms == before->base_ms; /* Its input changes. */
    if (is_put || schedule->was_unpaused) {
        uint64_t now_ms = world_wall_ms(world);
        uint64_t from_ms = now_ms > before->base_ms ? now_ms : before->base_ms;
        world_expect(world, !schedule->was_unpaused || row->base_ms == from_ms,
                     "who-goes-on-catches-nothing-up");
        schedule->was_unpaused = false;
        world_expect(world,
                     row->last_tick_ms == before->last_tick_ms && row->skipped == before->skipped &&
                         uuid_equal(row->run, before->run),
                     "changes-count-from-now-on");
        return;
    }
    bool is_start = !uuid_is_zero(schedule->started);
    uint64_t tick_ms = is_start ? schedule->started_tick_ms : latest_tick(world, schedule);
    world_expect(world, row->base_ms == tick_ms, "no-tick-is-skipped-and-none-comes-twice");
    if (is_start) {
        world_expect(world,
                     row->last_tick_ms == tick_ms && row->skipped == before->skipped &&
                         uuid_equal(row->run, schedule->started),
                     "a-tick-and-its-run-are-one-commit");
        schedule->started = (uuid){{0}};
        return;
    }
    world->counts.ticks_skipped++;
    world_expect(world,
                 is_run_before_at_work(world, schedule) && row->skipped == before->skipped + 1 &&
                     row->last_tick_ms == before->last_tick_ms && uuid_equal(row->run, before->run),
                 "only-a-run-at-work-skips-a-tick");
}

static void take_schedule(struct world *world, str id, const struct store_entry *entry)
{
    struct schedule_row row;
    unsigned number = find_schedule(id);
    world_expect(world, number < WORLD_SCHEDULES, "a-schedule-has-the-name-it-was-given");
    world_expect(world, entry->is_delete || status_is_ok(schedule_row_decode(entry->value, &row)),
                 "rows-are-readable");
    if (!world_is_well(world)) {
        return;
    }
    struct sim_schedule *schedule = &world->schedules[number];
    if (entry->is_delete) {
        world_expect(world, schedule->is_there, "a-schedule-is-deleted-once");
        schedule->is_there = false;
        schedule->deletions++;
        return;
    }
    bool is_same = schedule->is_there && str_equal(schedule->row.cron, row.cron) &&
                   str_equal(schedule->row.zone, row.zone);
    if (is_same) {
        judge_progress(world, schedule, &row);
    } else {
        judge_change(world, schedule, &row);
    }
    set_row(world, schedule, &row);
}

static void take_pause(struct world *world, str id, const struct store_entry *entry)
{
    unsigned number = find_schedule(id);
    world_expect(world, number < WORLD_SCHEDULES, "a-schedule-has-the-name-it-was-given");
    if (!world_is_well(world)) {
        return;
    }
    struct sim_schedule *schedule = &world->schedules[number];
    world_expect(world, entry->is_delete || schedule->is_there, "only-schedules-are-paused");
    schedule->was_unpaused = entry->is_delete && schedule->is_paused && schedule->is_there;
    schedule->is_paused = !entry->is_delete;
    schedule->next_ms = schedule->is_paused ? 0 : schedule->next_ms;
    schedule->pauses++;
}

/* ---- Triggers. ---- */

str world_trigger_workflow(unsigned trigger)
{
    static const char *const workflows[WORLD_TRIGGERS] = {"single", "batch"};
    return str_of(workflows[trigger]);
}

static unsigned find_trigger(str workflow)
{
    unsigned number = 0;
    while (number < WORLD_TRIGGERS && !str_equal(workflow, world_trigger_workflow(number))) {
        number++;
    }
    return number;
}

/* u64 position | u64 timeout_ms | u32 size | topic */
static void take_trigger(struct world *world, str workflow, const struct store_entry *entry)
{
    unsigned number = find_trigger(workflow);
    /* All code that offers the others has their triggers. */
    world_expect(world, number < WORLD_TRIGGERS && (!entry->is_delete || number == 0),
                 "only-dropped-triggers-go");
    if (!world_is_well(world)) {
        return;
    }
    struct sim_trigger *trigger = &world->triggers[number];
    if (entry->is_delete) {
        world_expect(world, trigger->is_there, "only-triggers-go");
        trigger->is_dropped = true;
        return;
    }
    world_expect(world, entry->value.len > 20, "a-trigger-has-a-topic");
    str topic = str_make(entry->value.ptr + 20, entry->value.len - 20);
    unsigned topic_number = 0;
    while (topic_number < WORLD_TOPICS && !str_equal(topic, world_topic_name(topic_number))) {
        topic_number++;
    }
    world_expect(world, topic_number < WORLD_TOPICS, "a-triggers-topic-is-known");
    if (!world_is_well(world)) {
        return;
    }
    if (!trigger->is_there || trigger->is_dropped || trigger->topic != topic_number) {
        trigger->position = world->topics[topic_number].count;
    }
    trigger->is_dropped = false;
    trigger->is_there = true;
    trigger->topic = topic_number;
    memcpy(&trigger->written, entry->value.ptr, 8);
    memcpy(&trigger->batch_timeout_ms, entry->value.ptr + 8, 8);
    memcpy(&trigger->batch_size, entry->value.ptr + 16, 4);
    world_say(world, "  trigger " STR_FMT ": %u of topic %u in %llu ms, at %llu", STR_ARG(workflow),
              trigger->batch_size, topic_number, (unsigned long long)trigger->batch_timeout_ms,
              (unsigned long long)trigger->written);
    world_expect(world, trigger->written == trigger->position,
                 "a-trigger-stands-where-it-has-come");
    if (!world_is_well(world)) {
        world_detail(world, STR_FMT ": written %llu, has come to %llu", STR_ARG(workflow),
                     (unsigned long long)trigger->written, (unsigned long long)trigger->position);
    }
}

static void judge_event(struct world *world, struct sim_trigger *trigger, str rendered)
{
    str data;
    const struct sim_topic *topic = &world->topics[trigger->topic];
    uint64_t sequence = world_json_number(rendered, STR("sequence"));
    world_expect(world, sequence == trigger->position + 1, "each-event-reaches-one-batch-in-order");
    world_expect(world, sequence <= topic->count, "triggers-see-only-what-is-published");
    if (world_is_well(world)) {
        bool is_same = json_object_get(rendered, STR("data"), &data) &&
                       str_equal(data, topic->events[sequence - 1].data);
        world_expect(world, is_same, "triggers-see-what-is-written");
        trigger->position = sequence;
    }
}

static void judge_batch(struct world *world, struct sim_trigger *trigger, str input)
{
    world_expect(world, trigger->is_there, "only-triggers-start-their-workflows");
    if (!world_is_well(world)) {
        return;
    }
    str events;
    str rendered;
    size_t count = 0;
    uint64_t first = trigger->position;
    world->counts.batches++;
    if (trigger->batch_size == 1) {
        judge_event(world, trigger, input);
        return;
    }
    world_expect(world, json_object_get(input, STR("events"), &events), "a-batch-has-events");
    struct json_iterator iterator = json_elements(events);
    while (world_is_well(world) && json_next_element(&iterator, &rendered)) {
        judge_event(world, trigger, rendered);
        count++;
    }
    if (!world_is_well(world)) {
        return;
    }
    world_expect(world, count >= 1 && count <= trigger->batch_size, "a-batch-has-its-size");
    uint64_t due_ms =
        world->topics[trigger->topic].events[first].created_ms + trigger->batch_timeout_ms;
    bool is_due = trigger->batch_timeout_ms != 0 && due_ms <= world_wall_ms(world);
    world_expect(world, count == trigger->batch_size || is_due,
                 "a-batch-that-is-not-full-waits-for-its-time");
}

/* ---- Commits. ---- */

void laws_clockwork_begin(struct world *world)
{
    for (unsigned i = 0; i < WORLD_ZONES; i++) {
        struct zone *zone;
        status opened = zone_open(WORLD_ZONE_FOLDER, world_zone_name(i), &world->arena, &zone);
        assert(status_is_ok(opened));
        world->zones[i] = zone;
    }
    memset(world->schedules, 0, sizeof(world->schedules));
    memset(world->triggers, 0, sizeof(world->triggers));
}

/* Inputs that callers give schedules are "tick-<number of the schedule>-<version>". */
void laws_clockwork_open(struct world *world, struct sim_run *run, const struct run_spec *spec)
{
    str input = spec->input;
    unsigned trigger = find_trigger(spec->name);
    bool is_given = str_starts_with(input, STR("\"tick-"));
    bool is_tick = is_given || str_starts_with(input, STR("{\"schedule_id\""));
    run->is_by_machine = is_tick || trigger < WORLD_TRIGGERS;
    if (trigger < WORLD_TRIGGERS) {
        judge_batch(world, &world->triggers[trigger], input);
    } else if (is_tick) {
        unsigned number = is_given
                              ? (unsigned)(input.ptr[6] - '0')
                              : find_schedule(world_json_text(world, input, STR("schedule_id")));
        world_expect(world, number < WORLD_SCHEDULES, "a-run-is-told-its-schedule");
        if (world_is_well(world)) {
            judge_tick(world, number, run, input);
        }
    }
}

void laws_clockwork_take(struct world *world, uint8_t kind, str name,
                         const struct store_entry *entry)
{
    if (kind == INDEX_SCHEDULE) {
        take_schedule(world, name, entry);
    } else if (kind == INDEX_SCHEDULE_PAUSE) {
        take_pause(world, name, entry);
    } else if (kind == INDEX_TRIGGER) {
        take_trigger(world, name, entry);
    }
}

void laws_clockwork_check_commit(struct world *world)
{
    for (unsigned i = 0; i < WORLD_SCHEDULES; i++) {
        world_expect(world, !world->schedules[i].was_unpaused, "who-goes-on-catches-nothing-up");
        world_expect(world, uuid_is_zero(world->schedules[i].started),
                     "a-tick-and-its-run-are-one-commit");
    }
    for (unsigned i = 0; i < WORLD_TRIGGERS; i++) {
        struct sim_trigger *trigger = &world->triggers[i];
        world_expect(world, trigger->written == trigger->position,
                     "a-batch-and-its-position-are-one-commit");
        trigger->is_there &= !trigger->is_dropped; /* Runs it started before are in the commit. */
    }
}
