#include "service/api/reading.h"

#include "service/api/api.h"
#include "service/api/run_view.h"
#include "service/features/reports/reports.h"
#include "service/partition/request.h"
#include "service/reads/run_read.h"

/* What a read is for: its context, in its arena. */
struct reading {
    struct api_call *call;
    exchange_answer_run *answer; /* Of reads of a run. */
    struct run_report *report; /* NULL: the partition was not asked. */
    void *own;
};

static struct reading *reading_of(const struct read *read)
{
    assert(read->context != NULL);
    return read->context;
}

static struct reads *reads_of(const struct read *read)
{
    const struct api *api = reading_of(read)->call->service;
    assert(api->reads != NULL);
    return api->reads;
}

struct read *reading_new(struct api_call *call, const struct read_kind *kind, reading_done *done)
{
    struct read *read = read_new(kind);
    struct reading *reading = arena_zalloc(&read->arena, sizeof(*reading));
    reading->call = call;
    read->context = reading;
    read->principal = call->principal;
    read->done = done;
    call->vtable->ref(call);
    return read;
}

struct api_call *reading_call(const struct read *read)
{
    return reading_of(read)->call;
}

void **reading_own(const struct read *read)
{
    return &reading_of(read)->own;
}

void reading_end(struct read *read)
{
    struct api_call *call = reading_call(read);
    read_free(read);
    call->vtable->unref(call);
}

void reading_post_checked(struct read *read, bool is_fine, const struct check *check)
{
    if (!is_fine) {
        api_call_fail(reading_call(read), &check->error);
        reading_end(read);
    } else if (!reads_post(reads_of(read), read)) {
        struct failure busy = exchange_busy();
        api_call_fail(reading_call(read), &busy);
        reading_end(read);
    }
}

void reading_post_always(struct read *read)
{
    reads_post_always(reads_of(read), read);
}

bool reading_failed(struct read *read, const struct failure *failure)
{
    if (failure == NULL) {
        return false;
    }
    api_call_fail(reading_call(read), failure);
    reading_end(read);
    return true;
}

/* ---- Runs. ---- */

static struct run_report *copy_report(const struct run_report *from, struct arena *arena)
{
    struct run_report *ret = arena_alloc(arena, sizeof(*ret));
    *ret = *from;
    ret->name = arena_copy(arena, from->name);
    ret->queue = arena_copy(arena, from->queue);
    ret->server = arena_copy(arena, from->server);
    ret->queue_sentence = arena_copy(arena, from->queue_sentence);
    return ret;
}

static struct run_line line_of(const struct read *read, const struct run_facts *facts)
{
    struct run_line line = {.id = read->run, .unreadable = facts->unreadable};
    line.row = (struct run_row_line){
        .kind = facts->row.kind,
        .created_ms = facts->row.created_ms,
        .ended_ms = facts->row.ended_ms,
        .last_seq = facts->row.last_seq,
    };
    memcpy(line.row.name, facts->row.name, sizeof(line.row.name));
    return line;
}

static void answer_run(struct read *read)
{
    const struct reading *reading = reading_of(read);
    struct arena arena;
    Polos__V1__Run *run = NULL;
    arena_init(&arena, 0);
    const struct run_facts *facts = &run_read(read)->ret;
    const struct run_line line = line_of(read, facts);
    status viewed = STATUS_OK;
    if (facts->unreadable.len > 0) {
        run = run_view_unreadable(&line, &arena);
    } else {
        viewed = run_view(facts, reading->report, &arena, &run);
    }
    if (status_is_ok(viewed)) {
        reading->answer(reading->call, run);
    } else {
        exchange_fail_read(reading->call, viewed, &arena);
    }
    arena_fini(&arena);
    reading_end(read);
}

/* The partition has told what it knows: the read goes on. */
static void told(struct request *request, const struct failure *failure)
{
    struct read *read = get_request(request)->poster;
    if (!reading_failed(read, failure)) {
        struct run_report *report = copy_report(report_request(request)->ret, &read->arena);
        reading_of(read)->report = report;
        run_read_live(run_read(read), report->is_in_memory ? &report->state : NULL,
                      report->history_bytes);
        reads_post_always(reads_of(read), read);
    }
    exchange_end(request);
}

/* What a child waits for is told where its parent waits for it; without it the answer is as good.
 */
static void told_of_child(struct request *request, const struct failure *failure)
{
    struct read *read = get_request(request)->poster;
    if (failure == NULL) {
        reading_of(read)->report->child = copy_report(report_request(request)->ret, &read->arena);
    }
    answer_run(read);
    exchange_end(request);
}

static void ask_partition(struct read *read, uuid run, const struct run_row *row,
                          exchange_done *done)
{
    struct request *request = exchange_new(reading_call(read), &get_operation, done);
    request->run = run;
    get_request(request)->row = row;
    get_request(request)->poster = read;
    if (!exchange_try_post(request)) {
        struct failure busy = exchange_busy();
        api_call_fail(reading_call(read), &busy);
        reading_end(read);
    }
}

static void run_was_read(struct read *read, const struct failure *failure)
{
    if (reading_failed(read, failure)) {
        return;
    }
    const struct run_facts *facts = &run_read(read)->ret;
    if (run_read(read)->needs_live) {
        ask_partition(read, read->run, &facts->row, told);
    } else if (!uuid_is_zero(facts->ready_child) && reading_of(read)->report != NULL) {
        ask_partition(read, facts->ready_child, &facts->ready_row, told_of_child);
    } else {
        answer_run(read);
    }
}

struct read *reading_run_new(struct api_call *call, exchange_answer_run *answer)
{
    struct read *read = reading_new(call, &run_kind, run_was_read);
    reading_of(read)->answer = answer;
    return read;
}

void reading_post_report(struct read *read, const struct run_report *report)
{
    assert(report->is_in_memory);
    reading_of(read)->report = copy_report(report, &read->arena);
    read->run = report->state.id;
    run_read_with(run_read(read), &report->state, report->history_bytes);
    reads_post_always(reads_of(read), read);
}

void reading_answer_report(struct api_call *call, const struct run_report *report,
                           exchange_answer_run *answer)
{
    reading_post_report(reading_run_new(call, answer), report);
}
