#include "tests/unit/partition/partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    TURNS_MAX = 100000, /* Between two times of a test. */
    LISTED_MAX = 100,
};

static uint64_t now_ms(void *context)
{
    return ((struct partition *)context)->now_ms;
}

static void random_bytes(void *context, void *ret, size_t bytes)
{
    struct partition *partition = context;
    for (size_t i = 0; i < bytes; i++) {
        partition->random = partition->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)ret)[i] = (uint8_t)(partition->random >> 56);
    }
}

static struct partition *open_now; /* The vtable has no other way to it. */

static void stats(void *self, struct store_stats *ret)
{
    open_now->store.vtable->stats(self, ret);
    ret->is_low_on_space = open_now->is_low_on_space;
}

static void stay_open(void *self)
{
    (void)self;
}

void partition_begin(struct partition *partition)
{
    static const struct watch_format format; /* Nobody watches. */
    struct partition_options options = {
        .store = {&partition->vtable, partition->store.self},
        .format = &format,
        .now_ms = now_ms,
        .random = random_bytes,
        .context = partition,
        .run_timeout_ms = (uint64_t)365 * 24 * 3600 * 1000,
        .zone_folder = partition->zone_folder,
    };
    assert_null(partition->partition);
    status made = partition_new(&options, &partition->arena, &partition->partition);
    assert_int_equal(made.code, CODE_OK);
}

void partition_stop(struct partition *partition)
{
    partition_free(partition->partition);
    partition->partition = NULL;
}

void partition_init(struct partition *partition, uint64_t start_ms)
{
    memset(partition, 0, sizeof(*partition));
    arena_init(&partition->arena, 0);
    memory_store_open(&partition->store);
    partition->vtable = *partition->store.vtable;
    partition->vtable.stats = stats;
    partition->vtable.close = stay_open;
    partition->zone_folder = "/usr/share/zoneinfo";
    partition->now_ms = start_ms;
    open_now = partition;
    partition_begin(partition);
}

void partition_fini(struct partition *partition)
{
    partition_stop(partition);
    store_close(&partition->store);
    buf_fini(&partition->inputs);
    arena_fini(&partition->arena);
}

static void answered(struct request *request, const struct failure *failure)
{
    struct partition *partition = request->context;
    assert_ptr_equal(request, partition->asked);
    assert_false(partition->is_answered);
    partition->is_answered = true;
    partition->failure = failure == NULL ? (struct failure){0} : *failure;
}

static void ask(struct partition *partition, struct request *request,
                void (*done)(struct request *, const struct failure *))
{
    request->done = done;
    request->context = partition;
    partition->asked = request;
    partition->is_answered = false;
    assert_true(partition_post(partition->partition, request));
    for (int i = 0; i < 10 && !partition->is_answered; i++) {
        partition_round(partition->partition);
    }
    assert_true(partition->is_answered);
}

void partition_ask(struct partition *partition, struct request *request)
{
    ask(partition, request, answered);
}

static void cancel(struct partition *partition, uuid run)
{
    struct request *request = request_new(REQUEST_CANCEL);
    request->run = run;
    request->text = STR("test");
    partition_ask(partition, request);
    assert_int_equal(partition->failure.code, CODE_OK);
    request_free(request);
}

void partition_cancel_newest(struct partition *partition)
{
    assert_false(uuid_is_zero(partition->newest));
    cancel(partition, partition->newest);
}

static void got_run(struct request *request, const struct failure *failure)
{
    struct partition *partition = request->context;
    const struct run_report *report = request->report.ret;
    size_t cursor = 0;
    struct codec_entry entry;
    struct event event;
    bool at_end;
    answered(request, failure);
    assert_null(failure);
    assert_true(report->record_count > 0);
    assert_true(status_is_ok(codec_next(report->records[0], &cursor, &entry, &at_end)));
    assert_true(status_is_ok(codec_decode(&entry, &request->arena, &event)));
    assert_int_equal(event.kind, EVENT_RUN_STARTED);
    buf_put(&partition->inputs, event.run_started.spec.input);
    buf_put_char(&partition->inputs, '\n');
}

static void take_run(struct partition *partition, uuid run)
{
    struct request *request = request_new(REQUEST_GET);
    request->run = run;
    ask(partition, request, got_run);
    request_free(request);
    partition->run_count++;
    if (!partition->leaves_runs_open) {
        cancel(partition, run);
    }
}

static void find_runs(struct partition *partition)
{
    struct request *request = request_new(REQUEST_LIST);
    uuid found[LISTED_MAX];
    size_t count = 0;
    request->list.limit = LISTED_MAX;
    partition_ask(partition, request);
    const struct run_line *lines = request->list.ret_lines;
    while (count < request->list.ret_count &&
           memcmp(&lines[count].id, &partition->newest, sizeof(uuid)) != 0) {
        found[count] = lines[count].id;
        count++;
    }
    assert_true(count < LISTED_MAX);
    request_free(request);
    while (count > 0) {
        partition->newest = found[--count];
        take_run(partition, partition->newest);
    }
}

void partition_advance(struct partition *partition, uint64_t until_ms)
{
    for (int turns = 0; turns < TURNS_MAX; turns++) {
        uint64_t due_ms = partition_round(partition->partition);
        find_runs(partition);
        bool is_due = due_ms != 0 && due_ms <= until_ms;
        if (!is_due && partition->now_ms == until_ms) {
            return;
        }
        due_ms = is_due ? due_ms : until_ms;
        partition->now_ms = due_ms > partition->now_ms ? due_ms : partition->now_ms;
    }
    fail_msg("the runtime asks for turns without an end");
}
