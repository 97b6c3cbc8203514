/*
 * queries: requests that only read, carried out after the turn's commit.
 */
#include "service/partition/internal.h"

enum {
    LIST_EXAMINED_MAX = 10000, /* Rows one page looks at; a filter may leave it short. */
};

struct last {
    struct arena *arena;
    str record;
};

static bool visit_last(void *context, str key, str value)
{
    (void)key;
    struct last *last = context;
    last->record = arena_copy(last->arena, value);
    return true;
}

/* All records of an agent's run are in memory; of others the first, and the last is read. */
static status report_records(struct partition *partition, struct live_run *run, struct arena *arena,
                             struct run_report *ret)
{
    ret->records = run->records;
    ret->record_count = run->record_count;
    if (run->state.kind == RUN_KIND_AGENT || !engine_is_terminal(&run->state)) {
        return STATUS_OK;
    }
    struct last last = {arena, STR_EMPTY};
    char key[KEY_BYTES_MAX];
    TRY(store_scan(&partition->store, STORE_JOURNAL,
                   key_run(key, partition->options.space, run->state.id), STR_EMPTY, true, 1,
                   visit_last, &last));
    str *records = arena_alloc(arena, 2 * sizeof(records[0]));
    records[0] = run->records[0];
    records[1] = last.record;
    ret->records = records;
    ret->record_count = str_equal(records[0], records[1]) ? 1 : 2;
    return STATUS_OK;
}

/* State and cancellation stand in the journal; it is read only where there may be one. */
static status report_state(struct partition *partition, struct live_run *run, struct arena *arena,
                           struct run_report *ret)
{
    bool is_cancelled = run->state.is_cancelling || run->state.state == RUN_CANCELLED;
    if (run->state.kind == RUN_KIND_AGENT || !(run->may_have_state || is_cancelled)) {
        return STATUS_OK;
    }
    struct replay replay;
    TRY(replay_read(partition, run->state.id, 0, arena, &replay));
    ret->state_json = replay.state;
    ret->cancel_cause = replay.cancel_cause;
    return STATUS_OK;
}

static status report_effect(struct partition *partition, struct live_run *run, uint32_t index,
                            struct arena *arena, struct run_report *ret)
{
    const struct effect *effect = &run->state.effects[index];
    if (effect->kind == EFFECT_MODEL && run->definition != NULL) {
        ret->effect_names[index] = run->definition->agent.model;
    }
    if (effect_is_wait(effect)) {
        const struct live_wait *wait;
        TRY(wait_find(partition, run, effect->id, &wait));
        ret->effect_names[index] = arena_copy(arena, wait->key);
    }
    if (effect_is_task(effect)) {
        struct event task;
        TRY(command_task(run, effect->id, arena, &task));
        ret->effect_names[index] = task.task_requested.name;
        ret->has_offer[index] =
            hosts_offer(partition->hosts, task_kind_of(run, effect), task.task_requested.name);
        ret->is_held_back[index] =
            hosts_hold_back(partition->hosts, task_kind_of(run, effect), task.task_requested.name,
                            engine_pin(&run->state, effect));
        if (effect->state == EFFECT_BACKOFF) {
            TRY(versions_failure(partition, run, effect->id, arena, &ret->failures[index]));
        }
    }
    return STATUS_OK;
}

status query_report(struct partition *partition, struct live_run *run, struct arena *arena,
                    struct run_report *ret)
{
    *ret = (struct run_report){.state = run->state, .name = str_of(run->name)};
    ret->queue = arena_copy(arena, queueing_name(run));
    ret->queue_sentence = queueing_sentence(partition, run, arena);
    TRY(report_records(partition, run, arena, ret));
    TRY(report_state(partition, run, arena, ret));
    TRY(versions_deployment(partition, run, arena, &ret->deployment));
    if (run->state.kind == RUN_KIND_AGENT) {
        TRY(definition_of(partition, run));
        ret->is_structured = run->definition->agent.output_schema_json.len > 0;
    }
    for (uint32_t i = 0; i < run->state.effect_count; i++) {
        TRY(report_effect(partition, run, i, arena, ret));
    }
    return STATUS_OK;
}

static void answer_report(struct partition *partition, struct request *request, struct live_run *run)
{
    struct run_report report;
    status built = query_report(partition, run, &request->arena, &report);
    if (!status_is_ok(built)) {
        request_fail_run(partition, request, built);
        return;
    }
    request->report.ret = &report;
    request_answer(partition, request, NULL);
}

static void read_run(struct partition *partition, struct request *request)
{
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (request->kind == REQUEST_WAIT && !engine_is_terminal(&run->state)) {
        request->node.next = run->waits == NULL ? NULL : &run->waits->node;
        run->waits = request;
        return;
    }
    answer_report(partition, request, run);
}

void query_wait_ended(struct partition *partition, struct live_run *run)
{
    while (run->waits != NULL) {
        struct request *request = run->waits;
        struct inbox_node *next = request->node.next;
        run->waits = next == NULL ? NULL : container_of(next, struct request, node);
        answer_report(partition, request, run);
    }
}

void query_refuse_waits(struct partition *partition, struct live_run *run,
                        const struct failure *failure)
{
    while (run->waits != NULL) {
        struct request *request = run->waits;
        struct inbox_node *next = request->node.next;
        run->waits = next == NULL ? NULL : container_of(next, struct request, node);
        request_answer(partition, request, failure);
    }
}

void handle_forget(struct partition *partition, struct request *request)
{
    struct live_run *run = runs_find(partition, request->run);
    struct request *before = NULL;
    struct request *wait = run == NULL ? NULL : run->waits;
    while (wait != NULL && wait->report.ticket != request->report.ticket) {
        before = wait;
        struct inbox_node *next = wait->node.next;
        wait = next == NULL ? NULL : container_of(next, struct request, node);
    }
    if (wait != NULL) {
        struct inbox_node *next = wait->node.next;
        if (before != NULL) {
            before->node.next = next;
        } else {
            run->waits = next == NULL ? NULL : container_of(next, struct request, node);
        }
        request_fail(partition, wait, CODE_CANCELLED, "CALLER_GONE", "the caller went away");
    }
    request_answer(partition, request, NULL);
}

struct listing {
    struct request *request;
    struct run_line *lines;
    size_t examined;
    uuid last;
    status status;
};

static bool matches(const struct request *request, const struct run_row *row)
{
    bool kind = request->list.kind == RUN_KIND_NONE || request->list.kind == row->kind;
    bool standing = request->list.status == 0 || request->list.status == row->status;
    bool name = request->list.name.len == 0 || str_is(request->list.name, row->name);
    str deployment = request->list.deployment;
    bool stays = deployment.len == 0 || engine_key(deployment) == row->deployment;
    return kind && standing && name && stays;
}

static bool visit_row(void *context, str key, str value)
{
    struct listing *listing = context;
    struct request *request = listing->request;
    struct run_line line;
    if (!key_read_run(key, &line.id)) {
        listing->status = status_make(CODE_DATA_LOSS, "a key in the list of runs is damaged");
        return false;
    }
    if (uuid_equal(line.id, request->list.before)) {
        return true; /* Where the page before ended. */
    }
    listing->status = codec_decode_row(value, &line.row);
    if (!status_is_ok(listing->status)) {
        return false;
    }
    listing->last = line.id;
    listing->examined++;
    if (matches(request, &line.row)) {
        listing->lines[request->list.ret_count++] = line;
    }
    return request->list.ret_count < request->list.limit && listing->examined < LIST_EXAMINED_MAX;
}

struct family {
    struct partition *partition;
    struct listing *listing;
};

/* A child's row, by its link. */
static bool visit_child(void *context, str key, str value)
{
    (void)value;
    struct family *family = context;
    struct partition *partition = family->partition;
    char row_key[KEY_BYTES_MAX];
    str tail;
    str row;
    struct child_row link;
    if (!key_read_index(key, &tail) || !status_is_ok(child_row_decode(tail, &link))) {
        return true;
    }
    status found =
        store_get(&partition->store, STORE_RUNS, key_run(row_key, partition->options.space, link.child),
                  &partition->scratch, &row);
    if (!status_is_ok(found)) {
        family->listing->status = found.code == CODE_NOT_FOUND ? STATUS_OK : found;
        return found.code == CODE_NOT_FOUND;
    }
    return visit_row(family->listing, str_make(row_key, KEY_RUN_BYTES), row);
}

static status scan_children(struct partition *partition, const struct request *request,
                            struct listing *listing)
{
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    struct family family = {partition, listing};
    struct index_tail prefix = child_rows_of(request->list.parent);
    struct index_tail from = child_row_tail(request->list.parent, request->list.before);
    bool is_first = uuid_is_zero(request->list.before);
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(prefix_bytes, space, INDEX_CHILD, index_tail_str(&prefix)),
                      is_first ? STR_EMPTY
                               : key_index(from_bytes, space, INDEX_CHILD, index_tail_str(&from)),
                      true, SIZE_MAX, visit_child, &family);
}

static void read_list(struct partition *partition, struct request *request)
{
    assert(request->list.limit > 0);
    struct listing listing = {
        .request = request,
        .lines = arena_alloc(&request->arena, request->list.limit * sizeof(struct run_line)),
    };
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    bool is_first = uuid_is_zero(request->list.before);
    str from = is_first ? STR_EMPTY : key_run(from_bytes, space, request->list.before);
    request->list.ret_count = 0;
    status scanned =
        uuid_is_zero(request->list.parent)
            ? store_scan(&partition->store, STORE_RUNS, key_prefix_space(prefix_bytes, space), from,
                         true, SIZE_MAX, visit_row, &listing)
            : scan_children(partition, request, &listing);
    scanned = status_is_ok(scanned) ? listing.status : scanned;
    if (!status_is_ok(scanned)) {
        request_fail_run(partition, request, scanned);
        return;
    }
    bool stopped =
        request->list.ret_count == request->list.limit || listing.examined == LIST_EXAMINED_MAX;
    request->list.ret_lines = listing.lines;
    request->list.ret_next = stopped ? listing.last : (uuid){{0}};
    request_answer(partition, request, NULL);
}

struct reading {
    struct request *request;
    str *records;
    uint32_t start;
    uint64_t end; /* Events from this seq on are not wanted. */
};

static bool visit_record(void *context, str key, str value)
{
    struct reading *reading = context;
    uint32_t seq;
    if (key_read_journal_seq(key, &seq) && seq >= reading->end) {
        return false;
    }
    reading->records[reading->request->history.ret_count++] =
        arena_copy(&reading->request->arena, value);
    return reading->request->history.ret_count < reading->request->history.limit;
}

static bool visit_first(void *context, str key, str value)
{
    (void)value;
    struct reading *reading = context;
    return !key_read_journal_seq(key, &reading->start);
}

static status read_records(struct partition *partition, struct request *request)
{
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    uint32_t from_seq = request->history.from_seq;
    struct reading reading = {
        .request = request,
        .records = arena_alloc(&request->arena, request->history.limit * sizeof(str)),
        .start = from_seq,
        .end = (uint64_t)from_seq + request->history.limit,
    };
    str prefix = key_run(prefix_bytes, space, request->run);
    request->history.ret_count = 0;
    request->history.ret_records = reading.records;
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix,
                   key_journal(from_bytes, space, request->run, from_seq), true, 1, visit_first,
                   &reading));
    return store_scan(&partition->store, STORE_JOURNAL, prefix,
                      key_journal(from_bytes, space, request->run, reading.start), false, SIZE_MAX,
                      visit_record, &reading);
}

static void read_history(struct partition *partition, struct request *request)
{
    assert(request->history.limit > 0);
    struct live_run *run;
    status read = runs_get(partition, request->run, &run);
    if (status_is_ok(read)) {
        read = read_records(partition, request);
    }
    if (!status_is_ok(read)) {
        request_fail_run(partition, request, read);
        return;
    }
    request_answer(partition, request, NULL);
}

void query_read(struct partition *partition, struct request *request)
{
    switch (request->kind) {
    case REQUEST_GET:
    case REQUEST_WAIT:
    case REQUEST_CANCEL: /* After the cancellation: the run as it is now. */
    case REQUEST_RETRY: /* The new run. */
        read_run(partition, request);
        break;
    case REQUEST_LIST:
        read_list(partition, request);
        break;
    case REQUEST_HISTORY:
        read_history(partition, request);
        break;
    case REQUEST_WATCH:
        watch_begin(partition, request);
        break;
    case REQUEST_WATCH_MORE:
        watch_more(partition, request);
        break;
    case REQUEST_WATCH_END:
        watch_end(partition, request);
        break;
    case REQUEST_FORGET:
        handle_forget(partition, request);
        break;
    case REQUEST_STATS:
        partition_stats(partition, request->stats.ret);
        request_answer(partition, request, NULL);
        break;
    case REQUEST_SUSPENSIONS:
    case REQUEST_SUSPENSION:
        suspensions_read(partition, request);
        break;
    case REQUEST_SUBSCRIBE:
        subscribe_begin(partition, request);
        break;
    case REQUEST_SUBSCRIBE_MORE:
        subscribe_more(partition, request);
        break;
    case REQUEST_SUBSCRIBE_END:
        subscribe_end(partition, request);
        break;
    case REQUEST_QUEUES:
        queueing_read(partition, request);
        break;
    case REQUEST_SCHEDULES:
        schedules_read(partition, request);
        break;
    case REQUEST_PUT_QUEUE:
    case REQUEST_PUT_SCHEDULE:
    case REQUEST_DELETE_SCHEDULE:
    case REQUEST_DELETE_QUEUE:
    case REQUEST_FORK:
    case REQUEST_RESUME:
    case REQUEST_PUBLISH:
    case REQUEST_REGISTER:
    case REQUEST_START:
    case REQUEST_HOST_HELLO:
    case REQUEST_HOST_MESSAGE:
    case REQUEST_HOST_GONE:
    case REQUEST_MODEL_DELTA:
    case REQUEST_MODEL_DONE:
    case REQUEST_MODEL_FAILED:
    case REQUEST_DRAIN:
    case REQUEST_KIND_COUNT:
        assert(false);
    }
}
