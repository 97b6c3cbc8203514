/*
 * callers: those who wait for a run's end, or less, for ever or for a time.
 */
#include "service/features/callers/callers.h"

#include <stdlib.h>

#include "service/base/heap.h"
#include "service/base/table.h"
#include "service/features/suspensions/suspensions.h"
#include "service/features/trees/trees.h"
#include "service/partition/state.h"

/* A run whose end somebody waits for. */
struct awaited {
    struct table_link by_run;
    uuid run;
    struct request *waits; /* Chained through inbox_node, the newest first. */
    size_t early; /* Those of them that wait for less than its end. */
};

struct callers {
    struct partition *partition;
    struct table by_run;
    struct heap by_due; /* struct wait_request *, of those that wait for a time. */
};

static_assert(offsetof(struct wait_request, report.request) == 0, "a request begins its struct");
static_assert(offsetof(struct forget_request, request) == 0, "a request begins its struct");

static struct callers *callers_of(const struct partition *partition)
{
    return partition_self(partition, &callers_feature);
}

static bool is_of(const struct table_link *link, const void *run)
{
    return uuid_equal(container_of(link, const struct awaited, by_run)->run, *(const uuid *)run);
}

/* NULL: nobody waits for it. */
static struct awaited *awaited_find(const struct callers *callers, uuid run)
{
    if (callers->by_run.count == 0) {
        return NULL;
    }
    struct table_link *link = table_find(&callers->by_run, uuid_hash(run), &run);
    return link == NULL ? NULL : container_of(link, struct awaited, by_run);
}

static struct awaited *awaited_add(struct callers *callers, uuid run)
{
    assert(awaited_find(callers, run) == NULL);
    struct awaited *awaited = xcalloc(1, sizeof(*awaited));
    awaited->run = run;
    table_add(&callers->by_run, &awaited->by_run, uuid_hash(run));
    assert(callers->by_run.count > 0);
    return awaited;
}

static void awaited_drop(struct callers *callers, struct awaited *awaited)
{
    assert(awaited->waits == NULL);
    table_remove(&callers->by_run, &awaited->by_run);
    free(awaited);
}

/* ---- Those that wait for a time. ---- */

static struct wait_request *wait_of(const void *item)
{
    return *(struct wait_request *const *)item;
}

static bool is_due_before(const void *context, const void *a, const void *b)
{
    (void)context;
    const struct wait_request *one = wait_of(a);
    const struct wait_request *other = wait_of(b);
    bool is_first = one->ticket < other->ticket;
    return one->due_ms < other->due_ms || (one->due_ms == other->due_ms && is_first);
}

static void moved(void *context, const void *item, uint32_t place)
{
    (void)context;
    wait_of(item)->place = place;
}

static const struct heap_order due_order = {
    .item_bytes = sizeof(struct wait_request *),
    .is_before = is_due_before,
    .moved = moved,
};

static void due_add(struct callers *callers, struct wait_request *wait)
{
    wait->place = HEAP_NONE;
    if (wait->timeout_ms == 0) {
        return;
    }
    wait->due_ms = callers->partition->now_ms + wait->timeout_ms;
    heap_add(&callers->by_due, &wait);
    assert(wait->place != HEAP_NONE);
}

static void due_drop(struct callers *callers, struct wait_request *wait)
{
    if (wait->place != HEAP_NONE) {
        heap_remove(&callers->by_due, wait->place);
    }
    assert(wait->place == HEAP_NONE);
}

/* ---- Those that wait for a run. ---- */

static bool is_early(const struct wait_request *wait)
{
    return wait->or_suspended || wait->or_after_seq != 0;
}

static struct request *next_of(const struct request *request)
{
    struct inbox_node *next = request->node.next;
    return next == NULL ? NULL : container_of(next, struct request, node);
}

/* NULL: no more wait for the run. */
static struct request *take_one(struct callers *callers, uuid run)
{
    struct awaited *awaited = awaited_find(callers, run);
    if (awaited == NULL) {
        return NULL;
    }
    struct request *request = awaited->waits;
    assert(request != NULL);
    awaited->waits = next_of(request);
    awaited->early -= is_early(wait_request(request));
    if (awaited->waits == NULL) {
        awaited_drop(callers, awaited);
    }
    due_drop(callers, wait_request(request));
    return request;
}

static void refuse(struct callers *callers, uuid run, const struct failure *failure)
{
    assert(failure != NULL); /* Without one, they would be told that it was done. */
    struct request *request;
    while ((request = take_one(callers, run)) != NULL) {
        request_answer(callers->partition, request, failure);
    }
}

static void answer(struct callers *callers, struct live_run *run)
{
    assert(engine_is_terminal(&run->state));
    struct request *request;
    while ((request = take_one(callers, run->state.id)) != NULL) {
        report_answer(callers->partition, request, run);
    }
}

/* ---- Those that wait for less than its end. ---- */

static bool has_come(const struct wait_request *wait, const struct run *state, bool is_suspended)
{
    return (wait->or_suspended && is_suspended) ||
           (wait->or_after_seq != 0 && state->seq > wait->or_after_seq);
}

static struct request *take_ticket(struct callers *callers, uuid run, uint64_t ticket);

/* Of a run that goes on: those for whom it has come far enough. */
static void answer_early(struct callers *callers, struct live_run *run, bool is_suspended)
{
    const struct awaited *awaited = awaited_find(callers, run->state.id);
    struct request *next = awaited == NULL ? NULL : awaited->waits;
    while (next != NULL) {
        struct wait_request *wait = wait_request(next);
        next = next_of(next);
        if (has_come(wait, &run->state, is_suspended)) {
            struct request *taken = take_ticket(callers, run->state.id, wait->ticket);
            assert(taken == &wait->report.request);
            report_answer(callers->partition, taken, run);
        }
    }
}

static bool has_early(const struct callers *callers, uuid run)
{
    const struct awaited *awaited = awaited_find(callers, run);
    assert(awaited == NULL || awaited->waits != NULL);
    return awaited != NULL && awaited->early > 0;
}

/* Those of the run, and those of its root where it waits for an answer. */
static void answer_what_came(struct callers *callers, struct live_run *run)
{
    uuid root = tree_place(callers->partition, run)->root;
    bool suspended = engine_has_effect(&run->state, EFFECT_SUSPENSION);
    answer_early(callers, run, suspended);
    if (suspended && !uuid_equal(root, run->state.id) && has_early(callers, root)) {
        /* Who waits keeps it; else it is being read again, and looks itself. */
        struct live_run *above = runs_find(callers->partition, root);
        if (above != NULL) {
            answer_early(callers, above, true);
        }
    }
}

static void perform_early(struct partition *partition, const struct act *act)
{
    answer_what_came(callers_of(partition), act->run);
}

/* False: the request is answered, with what came or why it cannot be told. */
static bool must_wait(struct partition *partition, struct request *request, struct live_run *run)
{
    const struct wait_request *wait = wait_request(request);
    bool suspended = false;
    status read = wait->or_suspended ? suspensions_are_open(partition, run, &suspended) : STATUS_OK;
    if (!status_is_ok(read)) {
        request_fail(partition, request, read.code, REASON_STORE_REFUSED, read.why);
        return false;
    }
    if (has_come(wait, &run->state, suspended)) {
        report_answer(partition, request, run);
        return false;
    }
    return true;
}

static struct failure draining(void)
{
    return failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN,
                        STR("the server is shutting down; the run goes on when it is back"));
}

static void handle_wait(struct partition *partition, struct request *request)
{
    struct callers *callers = callers_of(partition);
    struct live_run *run;
    status found = runs_get(partition, request->run, &run);
    if (!status_is_ok(found)) {
        request_fail_run(partition, request, found);
        return;
    }
    if (engine_is_terminal(&run->state)) {
        report_answer(partition, request, run);
        return;
    }
    if (partition->requests.is_draining && engine_is_waiting(&run->state)) {
        struct failure failure = draining(); /* The round that began to drain, or a later one. */
        request_answer(partition, request, &failure);
        return;
    }
    if (!must_wait(partition, request, run)) {
        return;
    }
    struct awaited *awaited = awaited_find(callers, request->run);
    if (awaited == NULL) {
        awaited = awaited_add(callers, request->run);
    }
    request->node.next = awaited->waits == NULL ? NULL : &awaited->waits->node;
    awaited->waits = request;
    awaited->early += is_early(wait_request(request));
    due_add(callers, wait_request(request));
    assert(callers_wait_for(partition, request->run));
}

/* Out of the chain; NULL: it was answered, or has not come. */
static struct request *take_ticket(struct callers *callers, uuid run, uint64_t ticket)
{
    struct awaited *awaited = awaited_find(callers, run);
    struct request *before = NULL;
    struct request *wait = awaited == NULL ? NULL : awaited->waits;
    while (wait != NULL && wait_request(wait)->ticket != ticket) {
        before = wait;
        wait = next_of(wait);
    }
    if (wait == NULL) {
        return NULL;
    }
    assert(awaited != NULL && uuid_equal(wait->run, awaited->run));
    awaited->early -= is_early(wait_request(wait));
    if (before != NULL) {
        before->node.next = wait->node.next;
    } else {
        awaited->waits = next_of(wait);
    }
    if (awaited->waits == NULL) {
        awaited_drop(callers, awaited);
    }
    due_drop(callers, wait_request(wait));
    return wait;
}

static void handle_forget(struct partition *partition, struct request *request)
{
    struct request *wait =
        take_ticket(callers_of(partition), request->run, forget_request(request)->ticket);
    if (wait != NULL) {
        request_fail(partition, wait, CODE_CANCELLED, REASON_CALLER_GONE, "the caller went away");
    }
    request_answer(partition, request, NULL);
}

const struct operation wait_operation = {
    .name = "wait",
    .request_bytes = sizeof(struct wait_request),
    .is_read = true,
    .handle = handle_wait,
};
const struct operation forget_operation = {
    .name = "forget",
    .request_bytes = sizeof(struct forget_request),
    .is_read = true,
    .handle = handle_forget,
};

bool callers_wait_for(const struct partition *partition, uuid run)
{
    return awaited_find(callers_of(partition), run) != NULL;
}

static void perform_end(struct partition *partition, const struct act *act)
{
    answer(callers_of(partition), act->run);
}

/* The time of some is up: they are told how the run stands. */
static void answer_due(void *self)
{
    struct callers *callers = self;
    const void *first;
    while ((first = heap_first(&callers->by_due)) != NULL &&
           wait_of(first)->due_ms <= callers->partition->now_ms) {
        const struct wait_request *due = wait_of(first);
        struct request *wait = take_ticket(callers, due->report.request.run, due->ticket);
        assert(wait != NULL);
        struct live_run *run = runs_find(callers->partition, wait->run);
        assert(run != NULL); /* Who waits keeps it. */
        report_answer(callers->partition, wait, run);
    }
}

static uint64_t next_due_ms(void *self)
{
    const struct callers *callers = self;
    const void *first = heap_first(&callers->by_due);
    return first == NULL ? 0 : wait_of(first)->due_ms;
}

static void *start(struct partition *partition)
{
    struct callers *callers = xcalloc(1, sizeof(*callers));
    callers->partition = partition;
    table_init(&callers->by_run, is_of);
    heap_init(&callers->by_due, &due_order, callers);
    return callers;
}

static void after_decision(void *self, struct live_run *run, const struct event *events,
                           size_t count)
{
    static const struct act_kind ended = {.name = "answer_waits", .perform = perform_end};
    static const struct act_kind early = {.name = "answer_early", .perform = perform_early};
    const struct callers *callers = self;
    bool is_asked = false;
    if (engine_is_terminal(&run->state)) {
        act_add(callers->partition, &ended, run);
        return;
    }
    if (callers->by_run.count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        is_asked |=
            events[i].kind == EVENT_WAIT_SET && events[i].wait_set.kind == EFFECT_SUSPENSION;
    }
    if (has_early(callers, run->state.id) ||
        (is_asked && has_early(callers, tree_place(callers->partition, run)->root))) {
        act_add(callers->partition, &early, run);
    }
}

/* The commit whose outcome was unknown may have happened. */
static void reread(void *self, struct live_run *run)
{
    struct callers *callers = self;
    bool suspended = false;
    if (engine_is_terminal(&run->state)) {
        answer(callers, run);
        return;
    }
    answer_what_came(callers, run);
    if (has_early(callers, run->state.id) &&
        status_is_ok(suspensions_are_open(callers->partition, run, &suspended))) {
        answer_early(callers, run, suspended);
    }
}

static void unreadable(void *self, uuid run, const struct failure *failure)
{
    refuse(self, run, failure);
}

static bool keeps(void *self, const struct live_run *run)
{
    return awaited_find(self, run->state.id) != NULL;
}

/* Of runs where nothing is at work that could end them in time. */
static void drain(void *self)
{
    struct callers *callers = self;
    struct failure failure = draining();
    for (struct live_run *run = runs_first(callers->partition); run != NULL;
         run = runs_next(callers->partition, run)) {
        if (engine_is_waiting(&run->state)) {
            refuse(callers, run->state.id, &failure);
        }
    }
}

static void run_ends_here(void *self, uuid run)
{
    struct failure failure =
        failure_make(CODE_UNAVAILABLE, REASON_SHUTTING_DOWN,
                     STR("the server is shutting down; try again in a moment"));
    refuse(self, run, &failure);
}

static void stop(void *self)
{
    struct callers *callers = self;
    assert(callers->by_run.count == 0); /* Who waits keeps the run in memory. */
    assert(callers->by_due.count == 0);
    heap_fini(&callers->by_due);
    table_fini(&callers->by_run);
    free(callers);
}

static const struct feature *const uses[] = {
    &reports_feature,
    &suspensions_feature,
    &trees_feature,
    NULL,
};

const struct feature callers_feature = {
    .name = "callers",
    .uses = uses,
    .start = start,
    .at = {[ROUND_DRAINS] = drain, [ROUND_COMMITTED] = answer_due},
    .after_decision = after_decision,
    .reread = reread,
    .unreadable = unreadable,
    .keeps = keeps,
    .next_due_ms = next_due_ms,
    .run_ends_here = run_ends_here,
    .stop = stop,
};
