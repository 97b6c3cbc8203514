#include "tests/unit/partition/lone_partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/base/failure.h"
#include "service/features/features.h"
#include "service/features/reports/reports.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"

enum {
    ROUNDS_MAX = 100000, /* Between two times of a test. */
    LISTED_MAX = 100,
};

static uint64_t now_ms(void *context)
{
    return ((struct lone_partition *)context)->now_ms;
}

static void random_bytes(void *context, void *ret, size_t bytes)
{
    struct lone_partition *lone = context;
    for (size_t i = 0; i < bytes; i++) {
        lone->random = lone->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)ret)[i] = (uint8_t)(lone->random >> 56);
    }
}

static struct lone_partition *open_now; /* The vtable has no other way to it. */

static void stats(void *self, struct store_stats *ret)
{
    open_now->store.vtable->stats(self, ret);
    ret->is_low_on_space = open_now->is_low_on_space;
}

static void stay_open(void *self)
{
    (void)self;
}

/* ---- Models that never answer. ---- */

static status check_model(void *self, const struct model_request *request, struct arena *arena)
{
    (void)self;
    (void)request;
    (void)arena;
    return STATUS_OK;
}

static void start_call(void *self, uint64_t call, const struct model_request *request)
{
    (void)self;
    (void)call;
    (void)request;
}

static void cancel_call(void *self, uint64_t call)
{
    (void)self;
    (void)call;
}

static const struct model_client_vtable silent = {
    .check = check_model, .start = start_call, .cancel = cancel_call};

void lone_begin(struct lone_partition *lone)
{
    static const struct watch_format format; /* Nobody watches. */
    struct partition_options options = {
        .features = features_all,
        .store = {&lone->vtable, lone->store.self},
        .models = {&silent, NULL},
        .format = &format,
        .now_ms = now_ms,
        .random = random_bytes,
        .context = lone,
        .run_timeout_ms = (uint64_t)365 * 24 * 3600 * 1000,
        .topic_format = lone->topic_format,
        .zone_folder = lone->zone_folder,
    };
    assert_null(lone->partition);
    status made = partition_new(&options, &lone->arena, &lone->partition);
    assert_int_equal(made.code, CODE_OK);
}

void lone_stop(struct lone_partition *lone)
{
    partition_free(lone->partition);
    lone->partition = NULL;
}

void lone_init(struct lone_partition *lone, uint64_t start_ms)
{
    memset(lone, 0, sizeof(*lone));
    arena_init(&lone->arena, 0);
    memory_store_open(&lone->store);
    lone->vtable = *lone->store.vtable;
    lone->vtable.stats = stats;
    lone->vtable.close = stay_open;
    lone->zone_folder = "/usr/share/zoneinfo";
    lone->now_ms = start_ms;
    open_now = lone;
    lone_begin(lone);
}

void lone_fini(struct lone_partition *lone)
{
    lone_stop(lone);
    store_close(&lone->store);
    buf_fini(&lone->inputs);
    arena_fini(&lone->arena);
}

static void answered(struct request *request, const struct failure *failure)
{
    struct lone_partition *lone = request->context;
    assert_ptr_equal(request, lone->asked);
    assert_false(lone->is_answered);
    lone->is_answered = true;
    lone->failure = failure == NULL ? (struct failure){0} : *failure;
}

static void ask(struct lone_partition *lone, struct request *request,
                void (*done)(struct request *, const struct failure *))
{
    request->done = done;
    request->context = lone;
    lone->asked = request;
    lone->is_answered = false;
    assert_true(partition_post(lone->partition, request));
    for (int i = 0; i < 10 && !lone->is_answered; i++) {
        partition_round(lone->partition);
    }
    assert_true(lone->is_answered);
}

void lone_ask(struct lone_partition *lone, struct request *request)
{
    ask(lone, request, answered);
}

static void cancel(struct lone_partition *lone, uuid run)
{
    struct request *request = request_new(&cancel_operation);
    request->run = run;
    cancel_request(request)->cause = STR("test");
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
    request_free(request);
}

void lone_cancel_newest(struct lone_partition *lone)
{
    assert_false(uuid_is_zero(lone->newest));
    cancel(lone, lone->newest);
}

/* As its first fact says it. */
static void keep_input(struct lone_partition *lone, uuid run)
{
    char key[KEY_BYTES_MAX];
    struct arena arena;
    size_t cursor = 0;
    struct codec_entry entry;
    struct event event;
    bool at_end;
    str record;
    arena_init(&arena, 0);
    assert_true(
        status_is_ok(store_get(&lone->store, STORE_JOURNAL,
                               key_journal(key, (struct key_space){0}, run, 1), &arena, &record)));
    assert_true(status_is_ok(codec_next(record, &cursor, &entry, &at_end)));
    assert_true(status_is_ok(codec_decode(&entry, &arena, &event)));
    assert_int_equal(event.kind, EVENT_RUN_STARTED);
    buf_put(&lone->inputs, event.run_started.spec.input);
    buf_put_char(&lone->inputs, '\n');
    arena_fini(&arena);
}

static void take_run(struct lone_partition *lone, uuid run)
{
    keep_input(lone, run);
    lone->run_count++;
    if (!lone->leaves_runs_open) {
        cancel(lone, run);
    }
}

static void was_read(struct read *read, const struct failure *failure)
{
    assert_null(failure);
    *(bool *)read->context = true;
}

void lone_read(struct lone_partition *lone, struct read *read)
{
    bool is_done = false;
    struct reads_options options = {
        .source = {.store = lone->store, .apart = partition_apart(lone->partition)}};
    struct reads *reads = reads_new(&options);
    read->done = was_read;
    read->context = &is_done;
    assert_true(reads_post(reads, read));
    while (!is_done) {
        assert_true(reads_step(reads, 0));
    }
    reads_free(reads);
}

static void find_runs(struct lone_partition *lone)
{
    struct read *read = read_new(&list_kind);
    uuid found[LISTED_MAX];
    size_t count = 0;
    list_read(read)->limit = LISTED_MAX;
    lone_read(lone, read);
    const struct run_line *lines = list_read(read)->ret_lines;
    while (count < list_read(read)->ret_count &&
           memcmp(&lines[count].id, &lone->newest, sizeof(uuid)) != 0) {
        found[count] = lines[count].id;
        count++;
    }
    assert_true(count < LISTED_MAX);
    read_free(read);
    while (count > 0) {
        lone->newest = found[--count];
        take_run(lone, lone->newest);
    }
}

void lone_advance(struct lone_partition *lone, uint64_t until_ms)
{
    for (int rounds = 0; rounds < ROUNDS_MAX; rounds++) {
        uint64_t due_ms = partition_round(lone->partition);
        find_runs(lone);
        bool is_due = due_ms != 0 && due_ms <= until_ms;
        if (!is_due && lone->now_ms == until_ms) {
            return;
        }
        due_ms = is_due ? due_ms : until_ms;
        lone->now_ms = due_ms > lone->now_ms ? due_ms : lone->now_ms;
    }
    fail_msg("the partition asks for rounds without an end");
}
