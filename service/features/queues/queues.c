/*
 * queues: runs that need an admission. What a queue decides is when a run's task may ask for a
 * host, and when an agent run may work at all: it has no one task, so the turn is a fact of its
 * own.
 *
 * That it was started, and every lease, are facts of its journal; who waits and who runs follows
 * from them. Only what does not follow has rows: the limits, and the starts a rate counts.
 */
#include "service/features/queues/queues.h"

#include <stdlib.h>

#include "service/agents/definition.h"
#include "service/base/sys.h"
#include "service/codec/index.h"
#include "service/codec/queue_rows.h"
#include "service/partition/commands.h"
#include "service/partition/state.h"
#include "service/partition/task_order.h"

static_assert((int)NAME_BYTES_MAX == (int)QUEUE_NAME_BYTES_MAX,
              "a name that is checked can be kept");

enum {
    QUEUES_DEFINED_MAX = 10000,
    QUEUED_MAX = 4000000, /* Over it, no caller starts another. */
};

/* ---- Places. ---- */

struct queue_seat {
    int32_t priority;
    uint32_t queue_len;
    uint32_t key_len;
    char text[]; /* The queue, the key. */
};

struct queues_feature {
    struct partition *partition;
    struct queues *queues;
};

/* In each run. */
struct room {
    struct queue_seat *seat; /* NULL: it needs no admission. */
};

static struct queues *queues_in(const struct partition *partition)
{
    const struct queues_feature *self = partition_self(partition, &queues_feature);
    return self->queues;
}

static struct queue_seat **seat_of(const struct partition *partition, const struct live_run *run)
{
    struct room *room = partition_room(partition, run, &queues_feature);
    return &room->seat;
}

static bool has_seat(const struct partition *partition, const struct live_run *run)
{
    return *seat_of(partition, run) != NULL;
}

/* The run was started with this. */
static void run_begun(void *self, struct live_run *run, const struct run_spec *spec)
{
    const struct queues_feature *feature = self;
    struct queue_seat **seat = seat_of(feature->partition, run);
    if (spec->queue.len == 0 || *seat != NULL) {
        return;
    }
    *seat = xmalloc(sizeof(**seat) + spec->queue.len + spec->concurrency_key.len);
    (*seat)->priority = spec->priority;
    (*seat)->queue_len = (uint32_t)spec->queue.len;
    (*seat)->key_len = (uint32_t)spec->concurrency_key.len;
    memcpy((*seat)->text, spec->queue.ptr, spec->queue.len);
    if (spec->concurrency_key.len > 0) {
        memcpy((*seat)->text + spec->queue.len, spec->concurrency_key.ptr,
               spec->concurrency_key.len);
    }
}

static struct queue_place place_of(const struct partition *partition, const struct live_run *run)
{
    const struct queue_seat *seat = *seat_of(partition, run);
    assert(seat != NULL);
    return (struct queue_place){
        .queue = str_make(seat->text, seat->queue_len),
        .key = str_make(seat->text + seat->queue_len, seat->key_len),
        .priority = seat->priority,
    };
}

static const struct effect *body_of(const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].kind == EFFECT_BODY) {
            return &run->effects[i];
        }
    }
    return NULL;
}

/* Code that was cancelled may clean up at once: it would run out of time in a line. */
bool queues_gate(const struct partition *partition, const struct live_run *run,
                 const struct effect *effect)
{
    if (run->state.kind == RUN_KIND_AGENT) {
        return run->state.admission == ADMISSION_AWAITED;
    }
    return has_seat(partition, run) && effect->kind == EFFECT_BODY && !run->state.is_cancelling;
}

/* What waits for an agent's turn; NULL: all of it rests. */
static const struct effect *gated_of(const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        const struct effect *effect = &run->effects[i];
        if (effect->kind == EFFECT_MODEL ||
            (effect->kind == EFFECT_TOOL && effect->state == EFFECT_READY)) {
            return effect;
        }
    }
    return NULL;
}

/* It needs no host: it stands in the line of those that have no name. */
static struct queue_asker agent_asker(uuid run, uint32_t effect, bool has_begun)
{
    return (struct queue_asker){
        .task = {run, effect},
        .kind = TASK_TOOL,
        .name = STR_EMPTY,
        .has_begun = has_begun,
    };
}

static bool agent_has_begun(const struct run *run, const struct effect *effect)
{
    return run->turns > 0 || effect->attempt > 0;
}

static void note_agent(struct partition *partition, struct live_run *run)
{
    const struct effect *gated = gated_of(&run->state);
    struct queue_place place = place_of(partition, run);
    if (engine_is_terminal(&run->state)) {
        queues_leave(queues_in(partition), run->state.id);
    } else if (run->state.admission == ADMISSION_HELD) {
        queues_run(queues_in(partition), &place, (struct task_ref){run->state.id, 0});
    } else if (gated != NULL) {
        bool has_begun = agent_has_begun(&run->state, gated);
        struct queue_asker asker = agent_asker(run->state.id, gated->id, has_begun);
        queues_wait(queues_in(partition), &place, &asker);
    } else {
        queues_leave(queues_in(partition), run->state.id);
    }
}

/* What the state says of it; said again, it changes nothing. */
static void note(struct partition *partition, struct live_run *run)
{
    if (!has_seat(partition, run)) {
        return;
    }
    if (run->state.kind == RUN_KIND_AGENT) {
        note_agent(partition, run);
        return;
    }
    const struct effect *body = body_of(&run->state);
    struct queue_place place = place_of(partition, run);
    if (body != NULL && body->state == EFFECT_LEASED) {
        queues_run(queues_in(partition), &place, (struct task_ref){run->state.id, body->id});
    } else if (body != NULL && body->state == EFFECT_READY && queues_gate(partition, run, body)) {
        struct queue_asker asker = {
            .task = {run->state.id, body->id},
            .kind = task_order_kind(run, body),
            .name = str_of(run->name),
            .deployment = engine_pin(&run->state, body),
            .has_begun = body->attempt > 0,
        };
        queues_wait(queues_in(partition), &place, &asker);
    } else {
        queues_leave(queues_in(partition), run->state.id);
    }
}

static void seal(void *self, struct live_run *run, struct run_row *row)
{
    const struct partition *partition = ((struct queues_feature *)self)->partition;
    if (!has_seat(partition, run) || row->parked_count == 0 || run->state.is_cancelling) {
        return;
    }
    struct queue_place place = place_of(partition, run);
    assert(place.queue.len <= CODEC_NAME_MAX && place.key.len <= CODEC_KEY_MAX);
    memcpy(row->queue, place.queue.ptr, place.queue.len);
    memcpy(row->concurrency_key, place.key.ptr, place.key.len);
    row->priority = place.priority;
    const struct effect *first = engine_effect(&run->state, row->parked[0].effect);
    row->has_begun = run->state.kind == RUN_KIND_AGENT ? agent_has_begun(&run->state, first)
                                                       : first->attempt > 0;
}

static status row_read(void *self, uuid id, const struct run_row *row)
{
    const struct queues_feature *feature = self;
    if (row->queue[0] == '\0' || row->parked_count == 0) {
        return STATUS_OK;
    }
    struct queue_place place = {str_of(row->queue), str_of(row->concurrency_key), row->priority};
    struct queue_asker asker = {
        .task = {id, row->parked[0].effect},
        .kind = row->kind == RUN_KIND_WORKFLOW ? TASK_WORKFLOW : TASK_TOOL,
        .name = str_of(row->name),
        .deployment = row->parked[0].deployment,
        .has_begun = row->has_begun,
    };
    if (row->kind == RUN_KIND_AGENT) {
        asker = agent_asker(id, row->parked[0].effect, row->has_begun);
    }
    queues_wait(feature->queues, &place, &asker);
    return STATUS_OK;
}

/* ---- Admissions. ---- */

static str start_key(const struct partition *partition, char ret[KEY_BYTES_MAX], str queue,
                     uint32_t slot)
{
    struct buf tail = {0};
    queue_start_row_put_tail(queue, slot, &tail);
    str key = key_index(ret, partition->options.space, INDEX_QUEUE_START, buf_str(&tail));
    buf_fini(&tail);
    return key;
}

/* A start is one of as many rows as the rate allows, taken in turn. */
static void put_start(struct partition *partition, str queue, uint32_t rate, uint64_t number,
                      uint64_t start_ms)
{
    char key[KEY_BYTES_MAX];
    struct buf value = {0};
    struct queue_start_row row = {.number = number, .start_ms = start_ms};
    queue_start_row_encode(&row, &value);
    store_batch_put(&partition->batch, STORE_INDEX,
                    start_key(partition, key, queue, (uint32_t)(number % rate)), buf_str(&value));
    buf_fini(&value);
}

static void count_start(struct partition *partition, const struct live_run *run)
{
    struct queue_place place = place_of(partition, run);
    struct queue_limits limits;
    if (queues_defined(queues_in(partition), place.queue, &limits) && limits.rate > 0) {
        uint64_t number = queues_count_start(queues_in(partition), place.queue, partition->now_ms);
        put_start(partition, place.queue, limits.rate, number, partition->now_ms);
    }
}

static void serve_agent(struct partition *partition, struct live_run *run)
{
    const struct effect *gated = gated_of(&run->state);
    if (run->state.admission != ADMISSION_AWAITED || gated == NULL) {
        queues_leave(queues_in(partition), run->state.id);
        return;
    }
    bool is_start = !agent_has_begun(&run->state, gated);
    struct command admit = {.kind = COMMAND_ADMIT};
    enum verdict verdict = command_submit(partition, run, &admit);
    assert(verdict == VERDICT_OK);
    if (is_start) {
        count_start(partition, run);
    }
}

static void serve(struct partition *partition, struct task_ref task)
{
    struct live_run *run;
    status found = runs_get(partition, task.run, &run);
    const struct effect *effect = NULL;
    if (status_is_ok(found) && run->state.kind == RUN_KIND_AGENT && has_seat(partition, run)) {
        serve_agent(partition, run);
        return;
    }
    if (status_is_ok(found)) {
        effect = engine_effect(&run->state, task.effect);
    } else {
        log_line(LOG_ERROR, "queued_run_unreadable", "why=\"%s\"", found.why);
    }
    bool waits =
        effect != NULL && effect->state == EFFECT_READY && queues_gate(partition, run, effect);
    if (!waits) { /* Its row said what its journal does not. */
        queues_leave(queues_in(partition), task.run);
        return;
    }
    bool is_start = effect->attempt == 0;
    if (!feature_give(partition, run, task.effect)) {
        queues_stall(queues_in(partition), task.run);
        return;
    }
    if (is_start) {
        count_start(partition, run);
    }
}

static void end_round(void *self)
{
    struct partition *partition = ((struct queues_feature *)self)->partition;
    struct task_ref task;
    for (size_t i = 0; i < partition->options.batch_max &&
                       queues_next(queues_in(partition), partition->now_ms, &task);
         i++) {
        serve(partition, task);
    }
}

bool queues_woken(struct partition *partition, uuid run)
{
    struct task_ref task;
    if (!queues_wake(queues_in(partition), run)) {
        return false;
    }
    /* Now: the next ready task is asked for as soon as this returns. */
    if (queues_next(queues_in(partition), partition->now_ms, &task)) {
        serve(partition, task);
    }
    return true;
}

/* ---- What is said of it. ---- */

static str ahead_text(struct arena *arena, uint32_t ahead)
{
    return ahead == 0   ? STR("it is next")
           : ahead == 1 ? STR("1 is ahead of it")
                        : arena_printf(arena, "%u are ahead of it", ahead);
}

str queues_sentence(struct partition *partition, const struct live_run *run, struct arena *arena)
{
    struct queue_view view;
    if (!has_seat(partition, run) ||
        !queues_look(queues_in(partition), run->state.id, partition->now_ms, &view)) {
        return STR_EMPTY;
    }
    struct queue_place place = place_of(partition, run);
    str ahead = ahead_text(arena, view.ahead);
    switch (view.obstacle) {
    case QUEUE_OBSTACLE_NONE:
        break;
    case QUEUE_OBSTACLE_LIMIT:
        return arena_printf(arena, "queue " STR_FMT " runs %u of %u; " STR_FMT,
                            STR_ARG(place.queue), view.running, view.limits.concurrency,
                            STR_ARG(ahead));
    case QUEUE_OBSTACLE_KEY:
        return arena_printf(arena,
                            "queue " STR_FMT " runs %u of %u for key %s" STR_FMT "; " STR_FMT,
                            STR_ARG(place.queue), view.key_running, view.limits.per_key,
                            place.key.len == 0 ? "''" : "", STR_ARG(place.key), STR_ARG(ahead));
    case QUEUE_OBSTACLE_RATE:
        return arena_printf(arena,
                            "queue " STR_FMT " begins %u runs in %llu ms; the next may begin in "
                            "%llu ms; " STR_FMT,
                            STR_ARG(place.queue), view.limits.rate,
                            (unsigned long long)view.limits.rate_period_ms,
                            (unsigned long long)(view.due_ms - partition->now_ms), STR_ARG(ahead));
    }
    bool is_agent = run->state.kind == RUN_KIND_AGENT;
    return is_agent ? arena_printf(arena, "it is its turn in queue " STR_FMT, STR_ARG(place.queue))
                    : STR_EMPTY; /* Only a host is missing. */
}

str queues_name(const struct partition *partition, const struct live_run *run)
{
    return !has_seat(partition, run) ? STR_EMPTY : place_of(partition, run).queue;
}

/* ---- Starts. ---- */

static bool refuse(struct failure *ret, enum code code, enum reason reason, const char *field,
                   str message)
{
    *ret = failure_make(code, reason, message);
    ret->field = str_of(field);
    return false;
}

bool queues_check(struct partition *partition, struct run_spec *spec, struct arena *arena,
                  struct failure *ret)
{
    if (spec->queue.len == 0 && spec->kind == RUN_KIND_WORKFLOW) {
        spec->queue = arena_copy(arena, queues_default(queues_in(partition), spec->name));
    }
    if (spec->queue.len == 0) {
        bool asks = spec->concurrency_key.len > 0 || spec->priority != 0;
        return !asks || refuse(ret, CODE_INVALID_ARGUMENT, REASON_INVALID_FIELD, "options.queue",
                               STR("concurrency_key and priority say whose turn it is in a queue, "
                                   "but none is named, and the definition of what is started has "
                                   "none; name one, or connect the host that defines it"));
    }
    struct queue_limits limits;
    if (queues_defined(queues_in(partition), spec->queue, &limits)) {
        return true;
    }
    return refuse(ret, CODE_NOT_FOUND, REASON_QUEUE_NOT_FOUND, "options.queue",
                  arena_printf(arena,
                               "no queue '" STR_FMT "' is defined; connect a host that defines it, "
                               "or call WorkflowService.PutQueue",
                               STR_ARG(spec->queue)));
}

bool queues_are_full(const struct partition *partition)
{
    return queues_size(queues_in(partition)) >= QUEUED_MAX;
}

/* ---- Definitions. ---- */

static bool is_same(const struct queue_limits *a, const struct queue_limits *b)
{
    return a->concurrency == b->concurrency && a->per_key == b->per_key && a->rate == b->rate &&
           a->rate_period_ms == b->rate_period_ms;
}

static bool put_queue(struct partition *partition, const struct queue_offer *offer)
{
    struct queue_limits before = {0};
    bool is_defined = queues_defined(queues_in(partition), offer->name, &before);
    if (!is_defined && queues_defined_count(queues_in(partition)) >= QUEUES_DEFINED_MAX) {
        return false;
    }
    if (is_defined && is_same(&before, &offer->limits)) {
        return true;
    }
    char key[KEY_BYTES_MAX];
    struct buf value = {0};
    struct queue_row row = {
        .concurrency = offer->limits.concurrency,
        .per_key = offer->limits.per_key,
        .rate = offer->limits.rate,
        .rate_period_ms = offer->limits.rate_period_ms,
    };
    queue_row_encode(&row, &value);
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, INDEX_QUEUE, offer->name),
                    buf_str(&value));
    buf_fini(&value);
    queues_define(queues_in(partition), offer->name, &offer->limits);
    for (uint32_t slot = offer->limits.rate; slot < before.rate; slot++) {
        store_batch_delete(&partition->batch, STORE_INDEX,
                           start_key(partition, key, offer->name, slot));
    }
    uint64_t number;
    uint64_t start_ms;
    for (uint32_t i = 0; before.rate != offer->limits.rate &&
                         queues_start_at(queues_in(partition), offer->name, i, &number, &start_ms);
         i++) {
        put_start(partition, offer->name, offer->limits.rate, number, start_ms);
    }
    return true;
}

static bool name_queue(struct partition *partition, str name)
{
    struct queue_offer queue = {.name = name};
    struct queue_limits limits;
    return name.len == 0 || queues_defined(queues_in(partition), name, &limits) ||
           put_queue(partition, &queue);
}

static bool put_default(struct partition *partition, const struct queue_default_offer *offer)
{
    char key[KEY_BYTES_MAX];
    if (!name_queue(partition, offer->queue)) {
        return false;
    }
    if (str_equal(queues_default(queues_in(partition), offer->workflow), offer->queue)) {
        return true;
    }
    str row = key_index(key, partition->options.space, INDEX_QUEUE_DEFAULT, offer->workflow);
    if (offer->queue.len == 0) {
        store_batch_delete(&partition->batch, STORE_INDEX, row);
    } else {
        store_batch_put(&partition->batch, STORE_INDEX, row, offer->queue);
    }
    queues_set_default(queues_in(partition), offer->workflow, offer->queue);
    return true;
}

static struct failure exhausted(void)
{
    return failure_make(CODE_RESOURCE_EXHAUSTED, REASON_QUEUES_EXHAUSTED,
                        STR("10000 queues are defined, the most there are; use concurrency keys "
                            "to tell users or tenants apart"));
}

bool queues_name_queue(struct partition *partition, str name, struct failure *ret)
{
    if (name_queue(partition, name)) {
        return true;
    }
    *ret = exhausted();
    return false;
}

bool queues_offer(struct partition *partition, const struct queue_offer *offer, struct failure *ret)
{
    if (put_queue(partition, offer)) {
        return true;
    }
    *ret = exhausted();
    return false;
}

bool queues_offer_default(struct partition *partition, const struct queue_default_offer *offer,
                          struct failure *ret)
{
    if (put_default(partition, offer)) {
        return true;
    }
    *ret = exhausted();
    return false;
}

struct queue_report queues_report(const struct partition *partition, str name)
{
    struct queue_report report = {.name = name};
    bool is_defined = queues_defined(queues_in(partition), name, &report.limits);
    (void)is_defined; /* A row whose definition did not commit is not there to be read. */
    queues_count(queues_in(partition), name, &report.running, &report.waiting);
    return report;
}

static void handle_put(struct partition *partition, struct request *request)
{
    const struct queue_offer *offer = &put_queue_request(request)->offer;
    if (!put_queue(partition, offer)) {
        struct failure failure = exhausted();
        request_answer(partition, request, &failure);
        return;
    }
    put_queue_request(request)->ret = queues_report(partition, offer->name);
    request_answer_later(partition, request);
}

static void delete_start(struct partition *partition, str queue, uint32_t slot)
{
    char key[KEY_BYTES_MAX];
    store_batch_delete(&partition->batch, STORE_INDEX, start_key(partition, key, queue, slot));
}

struct deletion {
    struct partition *partition;
    str queue;
};

static bool visit_deleted_start(void *context, str key, str value)
{
    (void)value;
    struct deletion *deletion = context;
    str tail;
    if (key_read_index(key, &tail) && queue_start_row_is_of(tail, deletion->queue)) {
        store_batch_delete(&deletion->partition->batch, STORE_INDEX, key);
    }
    return true;
}

/* Those on disk, left of a higher rate perhaps, and those of the open batch. */
static status delete_starts(struct partition *partition, str queue, uint32_t rate)
{
    char key[KEY_BYTES_MAX];
    uint64_t number;
    uint64_t start_ms;
    struct deletion deletion = {partition, queue};
    TRY(store_scan(&partition->store, STORE_INDEX,
                   key_index(key, partition->options.space, INDEX_QUEUE_START, queue), STR_EMPTY,
                   false, SIZE_MAX, visit_deleted_start, &deletion));
    for (uint32_t i = 0; queues_start_at(queues_in(partition), queue, i, &number, &start_ms); i++) {
        delete_start(partition, queue, (uint32_t)(number % rate));
    }
    return STATUS_OK;
}

static bool may_delete(struct partition *partition, str queue, struct arena *arena,
                       struct failure *ret)
{
    struct queue_report report = queues_report(partition, queue);
    struct queue_limits limits;
    if (!queues_defined(queues_in(partition), queue, &limits)) {
        return refuse(ret, CODE_NOT_FOUND, REASON_QUEUE_NOT_FOUND, "name",
                      arena_printf(arena,
                                   "no queue '" STR_FMT
                                   "' is defined; WorkflowService.ListQueues shows those there are",
                                   STR_ARG(queue)));
    }
    bool is_idle = report.running == 0 && report.waiting == 0;
    return is_idle || refuse(ret, CODE_FAILED_PRECONDITION, REASON_QUEUE_IN_USE, "name",
                             arena_printf(arena,
                                          "%u runs of queue '" STR_FMT
                                          "' are at work and %u wait for their turn; cancel them "
                                          "or let them end, and delete it then",
                                          report.running, STR_ARG(queue), report.waiting));
}

static void handle_delete(struct partition *partition, struct request *request)
{
    char key[KEY_BYTES_MAX];
    str queue = delete_queue_request(request)->name;
    struct failure failure;
    if (!may_delete(partition, queue, &request->arena, &failure)) {
        request_fail_later(partition, request, &failure);
        return;
    }
    status deleted = delete_starts(partition, queue, queues_report(partition, queue).limits.rate);
    if (!status_is_ok(deleted)) {
        request_fail(partition, request, deleted.code, REASON_STORE_DAMAGED, deleted.why);
        return;
    }
    store_batch_delete(&partition->batch, STORE_INDEX,
                       key_index(key, partition->options.space, INDEX_QUEUE, queue));
    queues_undefine(queues_in(partition), queue);
    request_answer_later(partition, request);
}

struct listing {
    struct partition *partition;
    struct request *request;
    struct queue_report *reports;
};

static bool visit_report(void *context, str key, str value)
{
    (void)value;
    struct listing *listing = context;
    struct request *request = listing->request;
    str name;
    if (!key_read_index(key, &name) || str_equal(name, queues_request(request)->after)) {
        return true;
    }
    if (queues_request(request)->ret_count == queues_request(request)->limit) {
        queues_request(request)->ret_more = true;
        return false;
    }
    listing->reports[queues_request(request)->ret_count++] =
        queues_report(listing->partition, arena_copy(&request->arena, name));
    return true;
}

static void handle_list(struct partition *partition, struct request *request)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    assert(queues_request(request)->limit > 0);
    struct listing listing = {.partition = partition, .request = request};
    listing.reports =
        arena_alloc(&request->arena, queues_request(request)->limit * sizeof(listing.reports[0]));
    queues_request(request)->ret = listing.reports;
    status read =
        store_scan(&partition->store, STORE_INDEX, key_index(prefix, space, INDEX_QUEUE, STR_EMPTY),
                   key_index(from, space, INDEX_QUEUE, queues_request(request)->after), false,
                   SIZE_MAX, visit_report, &listing);
    if (!status_is_ok(read)) {
        request_fail(partition, request, read.code, REASON_STORE_DAMAGED, read.why);
        return;
    }
    request_answer(partition, request, NULL);
}

/* ---- Rows. ---- */

static void log_damage(const char *what)
{
    log_line(LOG_ERROR, "queue_damaged", "row=%s", what);
}

static bool visit_queue(void *context, str key, str value)
{
    struct partition *partition = context;
    str name;
    struct queue_row row;
    if (!key_read_index(key, &name) || !status_is_ok(queue_row_decode(name, value, &row)) ||
        row.rate > QUEUES_RATE_MAX) {
        log_damage("limits");
        return true;
    }
    struct queue_limits limits = {
        .concurrency = row.concurrency,
        .per_key = row.per_key,
        .rate = row.rate,
        .rate_period_ms = row.rate_period_ms,
    };
    queues_define(queues_in(partition), name, &limits);
    return true;
}

static bool visit_default(void *context, str key, str value)
{
    struct partition *partition = context;
    str workflow;
    str queue;
    if (!key_read_index(key, &workflow) || !status_is_ok(queue_default_row_decode(value, &queue))) {
        log_damage("default");
        return true;
    }
    queues_set_default(queues_in(partition), workflow, queue);
    return true;
}

static bool visit_start(void *context, str key, str value)
{
    struct partition *partition = context;
    str tail;
    struct queue_start_row row;
    if (!key_read_index(key, &tail) || !status_is_ok(queue_start_row_decode(tail, value, &row))) {
        log_damage("start");
        return true;
    }
    queues_restore_start(queues_in(partition), row.queue, row.number, row.start_ms);
    return true;
}

/* From the rows: at the start, and after a round that failed. */
static status load(void *self)
{
    struct partition *partition = ((struct queues_feature *)self)->partition;
    static const struct {
        enum index_kind kind;
        bool (*visit)(void *context, str key, str value);
    } tables[] = {
        {INDEX_QUEUE, visit_queue},
        {INDEX_QUEUE_DEFAULT, visit_default},
        {INDEX_QUEUE_START, visit_start},
    };
    queues_forget_definitions(queues_in(partition));
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        char key[KEY_BYTES_MAX];
        str prefix = key_index(key, partition->options.space, (uint8_t)tables[i].kind, STR_EMPTY);
        TRY(store_scan(&partition->store, STORE_INDEX, prefix, STR_EMPTY, false, SIZE_MAX,
                       tables[i].visit, partition));
    }
    return STATUS_OK;
}

const struct operation put_queue_operation = {
    .name = "put_queue", .request_bytes = sizeof(struct put_queue_request), .handle = handle_put};
const struct operation delete_queue_operation = {
    .name = "delete_queue",
    .request_bytes = sizeof(struct delete_queue_request),
    .handle = handle_delete,
};
const struct operation list_queues_operation = {
    .name = "list_queues",
    .request_bytes = sizeof(struct queues_request),
    .is_read = true,
    .handle = handle_list,
};

static void *start(struct partition *partition)
{
    struct queues_feature *feature = xcalloc(1, sizeof(*feature));
    feature->partition = partition;
    feature->queues = queues_new();
    return feature;
}

static void failed(void *self)
{
    status read = load(self);
    if (!status_is_ok(read)) {
        log_line(LOG_ERROR, "queues_unreadable", "why=\"%s\"", read.why);
    }
}

static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    (void)events;
    (void)count;
    note(((struct queues_feature *)self)->partition, run);
}

/* Its place is taken before anybody asks for one. */
static void reread(void *self, struct live_run *run)
{
    note(((struct queues_feature *)self)->partition, run);
}

static void unreadable(void *self, uuid run, const struct failure *failure)
{
    (void)failure;
    queues_leave(((struct queues_feature *)self)->queues, run);
}

static void recover(void *self, struct live_run *run)
{
    const struct queues_feature *feature = self;
    note(feature->partition, run);
    queues_wake(feature->queues, run->state.id); /* If it stood among the ready, it may not. */
}

static bool has_ready_task(const struct run *run)
{
    for (uint32_t i = 0; i < run->effect_count; i++) {
        if (run->effects[i].state == EFFECT_READY && effect_is_task(&run->effects[i])) {
            return true;
        }
    }
    return false;
}

static bool deadline_message(void *self, struct live_run *run, str *ret)
{
    struct partition *partition = ((struct queues_feature *)self)->partition;
    bool is_awaited = run->state.admission == ADMISSION_AWAITED;
    if (!is_awaited && !has_ready_task(&run->state)) {
        return false;
    }
    str why = queues_sentence(partition, run, &partition->round_arena);
    *ret = why.len == 0
               ? STR_EMPTY
               : arena_printf(&partition->round_arena,
                              "the run's deadline passed while it waited for its turn: " STR_FMT,
                              STR_ARG(why));
    return is_awaited || why.len > 0;
}

static void run_leaves(void *self, struct live_run *run)
{
    free(*seat_of(((struct queues_feature *)self)->partition, run));
}

static uint64_t next_due_ms(void *self)
{
    const struct queues_feature *feature = self;
    return queues_next_due_ms(feature->queues, feature->partition->now_ms);
}

static void stop(void *self)
{
    struct queues_feature *feature = self;
    queues_free(feature->queues);
    free(feature);
}

const struct feature queues_feature = {
    .name = "queues",
    .run_bytes = sizeof(struct room),
    .start = start,
    .load = load,
    .at = {[ROUND_ENDS] = end_round, [ROUND_FAILED] = failed},
    .run_begun = run_begun,
    .after_decision = after_decision,
    .deadline_message = deadline_message,
    .seal = seal,
    .reread = reread,
    .unreadable = unreadable,
    .row_read = row_read,
    .recover = recover,
    .run_leaves = run_leaves,
    .next_due_ms = next_due_ms,
    .stop = stop,
};
