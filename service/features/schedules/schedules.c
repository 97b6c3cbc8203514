/*
 * schedules: workflows that the clock starts.
 *
 * A schedule is a row that says up to which tick it has come; it moves in the batch that starts
 * the run, and the next tick follows from it alone. So no tick is skipped and none starts two runs,
 * whatever crashes, and a clock that is set back repeats nothing.
 *
 * What was missed (the server was down, or had no room on its disk) is caught up by exactly one
 * run, for the latest tick missed. A tick that comes while the run before it has not ended, be it
 * at work or waiting, is skipped and counted.
 */
#include "service/features/schedules/schedules.h"

#include "service/base/hash.h"
#include "service/base/json_writer.h"
#include "service/base/sys.h"
#include "service/features/idempotency/idempotency.h"
#include "service/features/schedules/schedule_table.h"
#include "service/features/starts/starts.h"
#include "service/partition/round.h"
#include "service/schedule/calendar.h"

enum {
    RUNS_PER_ROUND_MAX = 256,
    NOT_NOW_MS = 5000, /* Looked at again, when a run could not be started. */
};

static bool refuse(struct arena *arena, const struct schedule_offer *offer, enum code code,
                   enum reason reason, const char *field, const char *why, struct failure *ret)
{
    *ret = failure_make(code, reason, arena_copy(arena, str_of(why)));
    if (field != NULL) {
        static const char *const said[] = {"time zone: ", "cron: "}; /* The field says it. */
        for (size_t i = 0; i < COUNT_OF(said); i++) {
            why += str_starts_with(str_of(why), str_of(said[i])) ? strlen(said[i]) : 0;
        }
        ret->field = arena_printf(arena, STR_FMT "%s", STR_ARG(offer->field), field);
        ret->message = arena_printf(arena, STR_FMT ": %s", STR_ARG(ret->field), why);
    }
    return false;
}

static str offer_id(const struct schedule_offer *offer, struct arena *arena)
{
    return arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(offer->name), STR_ARG(offer->key));
}

static enum run_kind kind_of(const struct schedule_offer *offer)
{
    return offer->kind == RUN_KIND_AGENT ? RUN_KIND_AGENT : RUN_KIND_WORKFLOW;
}

/* An agent and a workflow of one name share the ids of their schedules. */
static bool check_kind(struct partition *partition, const struct schedule_offer *offer,
                       struct arena *arena, struct failure *ret)
{
    const struct schedule *schedule =
        schedule_find(schedules_of(partition), offer_id(offer, arena));
    return schedule == NULL || schedule->kind == kind_of(offer) ||
           refuse(arena, offer, CODE_FAILED_PRECONDITION, REASON_SCHEDULE_KIND, "key",
                  schedule->kind == RUN_KIND_AGENT
                      ? "there is a schedule of this name and key that starts an agent; delete it, "
                        "or use another key"
                      : "there is a schedule of this name and key that starts a workflow; delete "
                        "it, or use another key",
                  ret);
}

static bool check_room(struct partition *partition, const struct schedule_offer *offer,
                       struct arena *arena, struct failure *ret)
{
    const struct schedules *schedules = schedules_of(partition);
    if (schedules->is_unread) {
        return refuse(arena, offer, CODE_UNAVAILABLE, REASON_STORE_REFUSED, NULL,
                      "the schedules are being read again; try again in a moment", ret);
    }
    if (schedules->count >= SCHEDULES_MAX &&
        schedule_find(schedules, offer_id(offer, arena)) == NULL) {
        return refuse(arena, offer, CODE_RESOURCE_EXHAUSTED, REASON_SCHEDULES_EXHAUSTED, NULL,
                      "there are 100000 schedules, and no more are kept; delete some", ret);
    }
    return true;
}

bool schedules_check(struct partition *partition, const struct schedule_offer *offer,
                     struct arena *arena, struct failure *ret)
{
    assert(offer->name.len > 0 && offer->key.len > 0);
    struct cron cron;
    const struct zone *zone = NULL;
    status parsed = cron_parse(offer->cron, arena, &cron);
    if (!status_is_ok(parsed)) {
        return refuse(arena, offer, parsed.code, REASON_INVALID_FIELD, "cron", parsed.why, ret);
    }
    status opened = schedule_zone(partition, offer->zone, arena, &zone);
    if (opened.code == CODE_INVALID_ARGUMENT) {
        return refuse(arena, offer, opened.code, REASON_INVALID_FIELD, "timezone", opened.why, ret);
    }
    if (!status_is_ok(opened)) {
        return refuse(arena, offer, CODE_FAILED_PRECONDITION, REASON_ZONES_MISSING, "timezone",
                      opened.why, ret);
    }
    if (cron_next_ms(&cron, zone, partition->now_ms) == 0) {
        return refuse(arena, offer, CODE_INVALID_ARGUMENT, REASON_INVALID_FIELD, "cron",
                      "this never comes due: no month it names has such a day", ret);
    }
    return check_kind(partition, offer, arena, ret) && check_room(partition, offer, arena, ret);
}

/* What the offer makes of a row. False: nothing changes. */
static bool renew(const struct partition *partition, const struct schedule_offer *offer,
                  struct schedule_row *row)
{
    const struct schedule_row before = *row;
    bool is_same_time = str_equal(row->cron, offer->cron) && str_equal(row->zone, offer->zone);
    row->cron = offer->cron;
    row->zone = offer->zone;
    if (!is_same_time) { /* Other ticks: what they missed before now is not caught up. */
        row->base_ms = partition->now_ms > row->base_ms ? partition->now_ms : row->base_ms;
    }
    if (!offer->keeps_input) {
        memset(row->input_hash, 0, sizeof(row->input_hash));
        row->has_input = offer->input.len > 0;
        if (row->has_input) {
            hash128(offer->input, row->input_hash);
        }
    }
    assert(row->base_ms >= before.base_ms);
    return !is_same_time || row->has_input != before.has_input ||
           memcmp(row->input_hash, before.input_hash, sizeof(row->input_hash)) != 0;
}

static void put_or_delete(struct partition *partition, enum index_kind kind, str id, str value)
{
    char key[KEY_BYTES_MAX];
    str row = schedule_row_key(partition, key, kind, id);
    assert(kind == INDEX_SCHEDULE_INPUT || kind == INDEX_SCHEDULE_TERMS);
    if (value.len > 0) {
        store_batch_put(&partition->batch, STORE_INDEX, row, value);
    } else {
        store_batch_delete(&partition->batch, STORE_INDEX, row);
    }
}

/* What the offer says of its runs; a workflow's that says nothing has no row. */
static void put_terms(struct partition *partition, struct schedule *schedule,
                      const struct schedule_offer *offer)
{
    struct buf value = {0};
    struct schedule_terms terms = {
        .kind = kind_of(offer),
        .options = offer->options,
        .provider_options = offer->provider_options,
    };
    assert(schedule->kind == kind_of(offer) || schedule->put_round == 0); /* It was checked. */
    terms.options.idempotency_key = STR_EMPTY;
    schedule->kind = terms.kind;
    schedule->is_broken = false;
    schedule->has_terms = terms.kind == RUN_KIND_AGENT || offer->has_options;
    if (schedule->has_terms) {
        schedule_terms_encode(&terms, &value);
    }
    put_or_delete(partition, INDEX_SCHEDULE_TERMS, schedule_id(schedule), buf_str(&value));
    buf_fini(&value);
}

/* Whether it leaves what the schedule's runs are started with as it is. */
static bool keeps_terms(const struct schedule *schedule, const struct schedule_offer *offer)
{
    return offer->keeps_input || (!offer->has_options && !schedule->has_terms);
}

uint64_t schedules_put(struct partition *partition, const struct schedule_offer *offer)
{
    struct schedules *schedules = schedules_of(partition);
    str id = offer_id(offer, &partition->round_arena);
    struct schedule *schedule = schedule_find(schedules, id);
    bool is_new = schedule == NULL;
    struct schedule_row row = {.created_ms = partition->now_ms};
    row = is_new ? row : schedule->row;
    assert(!schedules->is_unread); /* It was checked. */
    bool is_changed = renew(partition, offer, &row);
    if (!is_new && !is_changed && schedule->problem == NULL && keeps_terms(schedule, offer)) {
        return schedule->due_ms;
    }
    if (is_new) {
        schedule = schedule_add(schedules, id, offer->name.len);
    }
    if (!offer->keeps_input) {
        put_or_delete(partition, INDEX_SCHEDULE_INPUT, id, offer->input);
        put_terms(partition, schedule, offer);
    }
    row.cron = offer->cron;
    row.zone = offer->zone;
    schedule_set_row(partition, schedule, &row);
    schedule_put_row(partition, schedule);
    schedule->put_round = partition->stats.rounds;
    assert(schedule_find(schedules, id) == schedule);
    schedules_find_next(schedules);
    return schedule->due_ms;
}

/* The latest tick up to now. The first that follows an instant never comes earlier for a later
 * instant, so the last instant that is followed by one up to now is found by halving. */
static uint64_t latest_tick(const struct schedule *schedule, uint64_t now_ms)
{
    uint64_t low = schedule->row.base_ms;
    uint64_t high = now_ms;
    uint64_t tick_ms = cron_next_ms(&schedule->cron, schedule->zone, low);
    assert(tick_ms != 0 && tick_ms <= now_ms);
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t next_ms = cron_next_ms(&schedule->cron, schedule->zone, middle);
        if (next_ms != 0 && next_ms <= now_ms) {
            low = middle;
            tick_ms = next_ms;
        } else {
            high = middle;
        }
    }
    assert(tick_ms > schedule->row.base_ms && tick_ms <= now_ms);
    return tick_ms;
}

static void put_time(struct json_writer *writer, const char *name, uint64_t ms)
{
    char time[CALENDAR_TEXT_BYTES];
    if (ms == 0) {
        json_put_null(writer, name);
        return;
    }
    calendar_text(ms, time);
    json_put_string(writer, name, str_of(time));
}

static str payload(const struct schedule *schedule, uint64_t tick_ms, struct arena *arena)
{
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "schedule_id", schedule_id(schedule));
    json_put_string(&writer, "key", schedule_key(schedule));
    json_put_string(&writer, "timezone", schedule->row.zone);
    put_time(&writer, "timestamp", tick_ms);
    put_time(&writer, "last_timestamp", schedule->row.last_tick_ms);
    bool has_ticks = schedule->zone != NULL; /* Else they cannot be read any more. */
    put_time(&writer, "upcoming",
             has_ticks ? cron_next_ms(&schedule->cron, schedule->zone, tick_ms) : 0);
    json_end_object(&writer);
    return buf_finish(&text, arena);
}

/* Whether the run of the tick before has not ended: OK or NOT_FOUND. */
static status find_last(struct partition *partition, const struct schedule *schedule)
{
    char key[KEY_BYTES_MAX];
    str row;
    uuid id = schedule->row.run;
    const status is_over = status_make(CODE_NOT_FOUND, "the last run is over");
    if (uuid_is_zero(id)) {
        return is_over;
    }
    const struct live_run *run = runs_find(partition, id);
    if (run != NULL) {
        return engine_is_terminal(&run->state) ? is_over : STATUS_OK;
    }
    status found = store_get(&partition->store, STORE_ACTIVE,
                             key_run(key, partition->options.space, id), &partition->scratch, &row);
    arena_reset(&partition->scratch);
    return found;
}

/* The run of a tick. On a refusal nothing was done; what it says is in the round's arena. */
static bool start(struct partition *partition, struct schedule *schedule, uint64_t tick_ms,
                  struct failure *ret)
{
    struct arena *arena = &partition->round_arena;
    struct run_spec spec = {
        .kind = schedule->kind,
        .name = schedule_name(schedule),
        .cause = START_CAUSE_SCHEDULE,
        .started_by = schedule_id(schedule),
    };
    assert(schedule->put_round < partition->stats.rounds || schedule->put_round == 0);
    status read = schedule_input(partition, schedule, arena, &spec.input);
    if (status_is_ok(read)) {
        read = schedule_options(partition, schedule, arena, &spec.options, &spec.provider_options);
    }
    if (!status_is_ok(read)) {
        *ret = failure_make(read.code, REASON_STORE_DAMAGED, str_of(read.why));
        return false;
    }
    spec.input = spec.input.len > 0 ? spec.input : payload(schedule, tick_ms, arena);
    if (!start_run(partition, &spec, arena, ret, &schedule->row.run)) {
        return false;
    }
    assert(!uuid_is_zero(schedule->row.run));
    schedule->row.last_tick_ms = tick_ms;
    return true;
}

static void fire(struct partition *partition, struct schedule *schedule)
{
    assert(schedule->problem == NULL && schedule->zone != NULL);
    struct failure failure;
    uint64_t tick_ms = latest_tick(schedule, partition->now_ms);
    status last = find_last(partition, schedule);
    if (!status_is_ok(last) && store_may_pass(last)) {
        schedule->due_ms = partition->now_ms + READ_AGAIN_MS;
        return;
    }
    if (last.code != CODE_NOT_FOUND) { /* One that cannot be read counts as busy. */
        schedule->row.skipped++;
    } else if (!start(partition, schedule, tick_ms, &failure)) {
        log_line(LOG_ERROR, "schedule_refused", "schedule=%s why=\"" STR_FMT "\"", schedule->id,
                 STR_ARG(failure.message));
        schedule->due_ms =
            partition->now_ms + (failure.code == CODE_UNAVAILABLE ? READ_AGAIN_MS : NOT_NOW_MS);
        return;
    }
    schedule->row.base_ms = tick_ms;
    schedule->due_ms = cron_next_ms(&schedule->cron, schedule->zone, tick_ms);
    assert(schedule->due_ms == 0 || schedule->due_ms > partition->now_ms);
    schedule_put_row(partition, schedule);
}

/* ---- A run by hand. ---- */

static void trigger_digest(str id, uint8_t ret[16])
{
    struct buf text = {0};
    buf_put_counted(&text, STR("schedule"));
    buf_put_counted(&text, id);
    hash128(buf_str(&text), ret);
    buf_fini(&text);
}

/* True when the key has been used: the request is answered. */
static bool answer_repeated(struct partition *partition, struct request *request,
                            const uint8_t digest[16])
{
    struct trigger_schedule_request *trigger = trigger_schedule_request(request);
    struct idempotency_row row;
    struct failure failure;
    if (trigger->idempotency_key.len == 0 ||
        !idempotency_ask(partition, trigger->idempotency_key, digest, "idempotency_key", &row,
                         &failure)) {
        return false;
    }
    if (failure_happened(&failure)) {
        request_fail_later(partition, request, &failure);
        return true;
    }
    trigger->ret_run = row.run;
    trigger->ret_existed = true;
    request_answer_later(partition, request); /* Its start may be in this very batch. */
    return true;
}

/* NULL: the request was answered. */
static struct schedule *may_trigger(struct partition *partition, struct request *request)
{
    struct failure failure = {.code = CODE_OK};
    struct schedule *schedule =
        schedules_find_or_refuse(partition, trigger_schedule_request(request)->id, &failure);
    status last = schedule == NULL ? STATUS_OK : find_last(partition, schedule);
    if (schedule == NULL) {
        request_fail_later(partition, request, &failure);
    } else if (partition->requests.is_draining) {
        request_fail(partition, request, CODE_UNAVAILABLE, REASON_DRAINING,
                     "the server is shutting down; try again in a moment");
    } else if (!start_has_space(partition)) {
        request_fail(partition, request, CODE_RESOURCE_EXHAUSTED, REASON_LOW_DISK,
                     "the server's disk is nearly full, so no new run is started; free some space "
                     "and try again");
    } else if (!status_is_ok(last) && store_may_pass(last)) {
        request_fail(partition, request, last.code, REASON_STORE_REFUSED, last.why);
    } else if (last.code != CODE_NOT_FOUND) {
        failure = failure_make(CODE_FAILED_PRECONDITION, REASON_SCHEDULE_BUSY,
                               STR("the schedule's last run has not ended, and its runs do not "
                                   "overtake each other; wait for it, or cancel it"));
        request_fail_later(partition, request, &failure);
    } else {
        return schedule;
    }
    return NULL;
}

static void handle_trigger(struct partition *partition, struct request *request)
{
    struct trigger_schedule_request *trigger = trigger_schedule_request(request);
    uint8_t digest[16];
    struct failure failure;
    assert(trigger->id.len > 0 && uuid_is_zero(trigger->ret_run));
    trigger_digest(trigger->id, digest);
    if (answer_repeated(partition, request, digest)) {
        return;
    }
    struct schedule *schedule = may_trigger(partition, request);
    if (schedule == NULL) {
        return;
    }
    if (schedule->put_round == partition->stats.rounds) {
        partition_post_always(partition, request); /* When its rows can be read. */
        return;
    }
    if (!start(partition, schedule, partition->now_ms, &failure)) {
        request_fail_later(partition, request, &failure);
        return;
    }
    assert(schedule->row.last_tick_ms == partition->now_ms);
    schedule_put_row(partition, schedule);
    trigger->ret_run = schedule->row.run;
    if (trigger->idempotency_key.len > 0) {
        idempotency_note(partition, trigger->idempotency_key, digest, trigger->ret_run);
    }
    request_answer_later(partition, request);
}

const struct operation trigger_schedule_operation = {
    .name = "trigger_schedule",
    .request_bytes = sizeof(struct trigger_schedule_request),
    .handle = handle_trigger,
};

/* ---- The feature. ---- */

static void read_again(struct partition *partition)
{
    struct schedules *schedules = schedules_of(partition);
    if (schedules->is_unread && partition->now_ms >= schedules->read_again_ms) {
        status read = schedules_read(partition);
        if (!status_is_ok(read)) {
            log_line(LOG_ERROR, "schedules_unreadable", "why=\"%s\"", read.why);
        }
    }
}

static void begin_round(void *self)
{
    struct schedules *schedules = self;
    struct partition *partition = schedules->partition;
    read_again(partition);
    bool is_due = schedules->next_ms != 0 && partition->now_ms >= schedules->next_ms;
    if (!is_due || partition->requests.is_draining) {
        return;
    }
    if (!start_has_space(partition)) {
        schedules->next_ms = partition->now_ms + NOT_NOW_MS;
        return;
    }
    size_t count = 0;
    for (uint32_t i = 0; i < schedules->count && count < RUNS_PER_ROUND_MAX &&
                         partition->batch.bytes.len < BATCH_BYTES_MAX;
         i++) {
        struct schedule *schedule = schedules->list[i];
        if (schedule->due_ms != 0 && partition->now_ms >= schedule->due_ms) {
            fire(partition, schedule);
            count++;
        }
    }
    schedules_find_next(schedules);
}

static uint64_t next_due_ms(void *self)
{
    const struct schedules *schedules = self;
    if (schedules->partition->requests.is_draining) {
        return 0;
    }
    return schedules->is_unread ? schedules->read_again_ms : schedules->next_ms;
}

static void *start_feature(struct partition *partition)
{
    return schedule_table_new(partition);
}

static status load(void *self)
{
    const struct schedules *schedules = self;
    return schedules_read(schedules->partition);
}

static void failed(void *self)
{
    status read = load(self);
    if (!status_is_ok(read)) {
        log_line(LOG_ERROR, "schedules_unreadable", "why=\"%s\"", read.why);
    }
    if (!status_is_ok(read) && store_may_pass(read)) {
        round_doubt(((const struct schedules *)self)->partition, read);
    }
}

static void stop(void *self)
{
    schedule_table_free(self);
}

static const struct feature *const uses[] = {&idempotency_feature, &starts_feature, NULL};

const struct feature schedules_feature = {
    .name = "schedules",
    .uses = uses,
    .start = start_feature,
    .load = load,
    .at = {[ROUND_BEGINS] = begin_round, [ROUND_FAILED] = failed},
    .next_due_ms = next_due_ms,
    .stop = stop,
};
