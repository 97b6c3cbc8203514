#include "service/features/queues/limits.h"

#include "service/agents/definition.h"
#include "service/base/sys.h"
#include "service/codec/index.h"
#include "service/codec/queue_rows.h"
#include "service/features/queues/queues.h"
#include "service/partition/state.h"

static_assert((int)CODEC_NAME_MAX == (int)QUEUE_NAME_BYTES_MAX,
              "a queue's name has room in the row of a run");
static_assert((int)QUEUE_NAME_BYTES_MAX <= (int)KEY_NAME_BYTES_MAX, "a name fits a row's key");
static_assert((int)NAME_BYTES_MAX == (int)QUEUE_NAME_BYTES_MAX,
              "a name that is checked can be kept");

enum {
    QUEUES_DEFINED_MAX = 10000,
    QUEUED_MAX = 4000000, /* Over it, no caller starts another. */
};

static_assert(QUEUED_MAX < UINT32_MAX, "every run in a queue has a number");

struct queue_order *queues_in(const struct partition *partition)
{
    const struct queues_feature *self = partition_self(partition, &queues_feature);
    assert(self->partition == partition && self->order != NULL);
    return self->order;
}

static str start_key(const struct partition *partition, char ret[KEY_BYTES_MAX], str queue,
                     uint32_t slot)
{
    struct buf tail = {0};
    queue_start_row_put_tail(queue, slot, &tail);
    str key = key_index(ret, partition->options.space, INDEX_QUEUE_START, buf_str(&tail));
    buf_fini(&tail);
    return key;
}

void limits_put_start(struct partition *partition, str queue, uint32_t rate, uint64_t number,
                      uint64_t start_ms)
{
    char key[KEY_BYTES_MAX];
    struct buf value = {0};
    assert(rate > 0);
    struct queue_start_row row = {.number = number, .start_ms = start_ms};
    queue_start_row_encode(&row, &value);
    store_batch_put(&partition->batch, STORE_INDEX,
                    start_key(partition, key, queue, (uint32_t)(number % rate)), buf_str(&value));
    buf_fini(&value);
}

/* ---- Starts. ---- */

static bool refuse(struct failure *ret, enum code code, enum reason reason, const char *field,
                   str message)
{
    assert(code != CODE_OK);
    *ret = failure_make(code, reason, message);
    ret->field = str_of(field);
    return false;
}

bool queues_check(struct partition *partition, struct run_spec *spec, struct arena *arena,
                  struct failure *ret)
{
    if (spec->options.queue.len == 0 && spec->kind == RUN_KIND_WORKFLOW) {
        spec->options.queue =
            arena_copy(arena, queue_order_default(queues_in(partition), spec->name));
    }
    if (spec->options.queue.len == 0) {
        bool asks = spec->options.concurrency_key.len > 0 || spec->options.priority != 0;
        return !asks || refuse(ret, CODE_INVALID_ARGUMENT, REASON_INVALID_FIELD, "options.queue",
                               STR("concurrency_key and priority say whose turn it is in a queue, "
                                   "but none is named, and the definition of what is started has "
                                   "none; name one, or connect the host that defines it"));
    }
    struct queue_limits limits;
    if (queue_order_defined(queues_in(partition), spec->options.queue, &limits)) {
        return true;
    }
    return refuse(ret, CODE_NOT_FOUND, REASON_QUEUE_NOT_FOUND, "options.queue",
                  arena_printf(arena,
                               "no queue '" STR_FMT "' is defined; connect a host that defines it, "
                               "or call QueueService.Put",
                               STR_ARG(spec->options.queue)));
}

bool queues_are_full(const struct partition *partition)
{
    return queue_order_size(queues_in(partition)) >= QUEUED_MAX;
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
    bool is_defined = queue_order_defined(queues_in(partition), offer->name, &before);
    if (!is_defined && queue_order_defined_count(queues_in(partition)) >= QUEUES_DEFINED_MAX) {
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
    queue_order_define(queues_in(partition), offer->name, &offer->limits);
    for (uint32_t slot = offer->limits.rate; slot < before.rate; slot++) {
        store_batch_delete(&partition->batch, STORE_INDEX,
                           start_key(partition, key, offer->name, slot));
    }
    uint64_t number;
    uint64_t start_ms;
    for (uint32_t i = 0;
         before.rate != offer->limits.rate &&
         queue_order_start_at(queues_in(partition), offer->name, i, &number, &start_ms);
         i++) {
        limits_put_start(partition, offer->name, offer->limits.rate, number, start_ms);
    }
    return true;
}

static bool name_queue(struct partition *partition, str name)
{
    struct queue_offer queue = {.name = name};
    struct queue_limits limits;
    return name.len == 0 || queue_order_defined(queues_in(partition), name, &limits) ||
           put_queue(partition, &queue);
}

static bool put_default(struct partition *partition, const struct queue_default_offer *offer)
{
    char key[KEY_BYTES_MAX];
    if (!name_queue(partition, offer->queue)) {
        return false;
    }
    if (str_equal(queue_order_default(queues_in(partition), offer->workflow), offer->queue)) {
        return true;
    }
    str row = key_index(key, partition->options.space, INDEX_QUEUE_DEFAULT, offer->workflow);
    if (offer->queue.len == 0) {
        store_batch_delete(&partition->batch, STORE_INDEX, row);
    } else {
        store_batch_put(&partition->batch, STORE_INDEX, row, offer->queue);
    }
    queue_order_set_default(queues_in(partition), offer->workflow, offer->queue);
    assert(str_equal(queue_order_default(queues_in(partition), offer->workflow), offer->queue));
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
    bool is_defined = queue_order_defined(queues_in(partition), name, &report.limits);
    (void)is_defined; /* A row whose definition did not commit is not there to be read. */
    queue_order_count(queues_in(partition), name, &report.running, &report.waiting);
    return report;
}

static void handle_put(struct partition *partition, struct request *request)
{
    struct put_queue_request *put = put_queue_request(request);
    if (!put_queue(partition, &put->offer)) {
        struct failure failure = exhausted();
        request_answer(partition, request, &failure);
        return;
    }
    put->ret = queues_report(partition, put->offer.name);
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
    for (uint32_t i = 0; queue_order_start_at(queues_in(partition), queue, i, &number, &start_ms);
         i++) {
        assert(rate > 0);
        delete_start(partition, queue, (uint32_t)(number % rate));
    }
    return STATUS_OK;
}

static bool check_defined(struct partition *partition, str queue, struct arena *arena,
                          struct failure *ret)
{
    struct queue_limits limits;
    return queue_order_defined(queues_in(partition), queue, &limits) ||
           refuse(ret, CODE_NOT_FOUND, REASON_QUEUE_NOT_FOUND, "name",
                  arena_printf(arena,
                               "no queue '" STR_FMT
                               "' is defined; QueueService.List shows those there are",
                               STR_ARG(queue)));
}

static void handle_get(struct partition *partition, struct request *request)
{
    struct failure failure;
    struct get_queue_request *get = get_queue_request(request);
    if (!check_defined(partition, get->name, &request->arena, &failure)) {
        request_answer(partition, request, &failure);
        return;
    }
    get->ret = queues_report(partition, get->name);
    request_answer(partition, request, NULL);
}

static bool may_delete(struct partition *partition, str queue, struct arena *arena,
                       struct failure *ret)
{
    struct queue_report report = queues_report(partition, queue);
    if (!check_defined(partition, queue, arena, ret)) {
        return false;
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
    queue_order_undefine(queues_in(partition), queue);
    assert(queues_report(partition, queue).limits.rate == 0);
    request_answer_later(partition, request);
}

struct listing {
    struct partition *partition;
    struct queues_request *list;
    struct queue_report *reports;
};

static bool visit_report(void *context, str key, str value)
{
    (void)value;
    struct listing *listing = context;
    struct queues_request *list = listing->list;
    str name;
    if (!key_read_index(key, &name) || str_equal(name, list->after)) {
        return true;
    }
    assert(list->ret_count <= list->limit);
    if (list->ret_count == list->limit) {
        list->ret_more = true;
        return false;
    }
    listing->reports[list->ret_count++] =
        queues_report(listing->partition, arena_copy(&list->request.arena, name));
    return true;
}

static void handle_list(struct partition *partition, struct request *request)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    struct queues_request *list = queues_request(request);
    assert(list->limit > 0 && list->ret_count == 0 && !list->ret_more);
    struct listing listing = {.partition = partition, .list = list};
    listing.reports = arena_alloc(&request->arena, list->limit * sizeof(listing.reports[0]));
    list->ret = listing.reports;
    status read = store_scan(
        &partition->store, STORE_INDEX, key_index(prefix, space, INDEX_QUEUE, STR_EMPTY),
        key_index(from, space, INDEX_QUEUE, list->after), false, SIZE_MAX, visit_report, &listing);
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
    queue_order_define(queues_in(partition), name, &limits);
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
    queue_order_set_default(queues_in(partition), workflow, queue);
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
    queue_order_restore_start(queues_in(partition), row.queue, row.number, row.start_ms);
    return true;
}

status limits_load(struct partition *partition)
{
    static const struct {
        enum index_kind kind;
        bool (*visit)(void *context, str key, str value);
    } tables[] = {
        {INDEX_QUEUE, visit_queue},
        {INDEX_QUEUE_DEFAULT, visit_default},
        {INDEX_QUEUE_START, visit_start},
    };
    queue_order_forget_definitions(queues_in(partition));
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
const struct operation get_queue_operation = {
    .name = "get_queue",
    .request_bytes = sizeof(struct get_queue_request),
    .is_read = true,
    .handle = handle_get,
};
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
