#include "tests/unit/partition/lone_partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/base/failure.h"
#include "service/features/features.h"
#include "service/features/models/models.h"
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

static status commit(void *self, const struct store_batch *batch)
{
    bool is_last = open_now->commits_left > 0 && --open_now->commits_left == 0;
    open_now->reads_left = is_last ? open_now->reads_left_then : open_now->reads_left;
    bool fails = open_now->fails_commits || (is_last && !open_now->left_is_written);
    status done = fails ? STATUS_OK : open_now->store.vtable->commit(self, batch);
    return fails || is_last || open_now->forgets_commits
               ? status_make(CODE_UNAVAILABLE, "the disk does not answer")
               : done;
}

static status may_read(enum store_table table)
{
    enum code code = table == open_now->unread ? open_now->read_failure : CODE_OK;
    if (open_now->reads_left > 0 && --open_now->reads_left == 0) {
        code = open_now->left_failure;
    }
    return code == CODE_OK ? STATUS_OK : status_make(code, "the disk does not answer");
}

static status get(void *self, enum store_table table, str key, struct arena *arena, str *ret)
{
    TRY(may_read(table));
    return open_now->store.vtable->get(self, table, key, arena, ret);
}

struct counting {
    store_visit *visit;
    void *context;
};

static bool count_row(void *context, str key, str value)
{
    const struct counting *counting = context;
    open_now->rows_read++;
    return counting->visit(counting->context, key, value);
}

static status scan(void *self, enum store_table table, str prefix, str from, bool reverse,
                   size_t limit, store_visit *visit, void *context)
{
    TRY(may_read(table));
    struct counting counting = {visit, context};
    return open_now->store.vtable->scan(self, table, prefix, from, reverse, limit, count_row,
                                        &counting);
}

/* ---- The model. ---- */

static status check_model(void *self, const struct model_request *request, struct arena *arena)
{
    const struct lone_partition *lone = self;
    (void)request;
    return lone->model_check == CODE_OK ? STATUS_OK
                                        : arena_fail(arena, lone->model_check, "not so");
}

static void start_call(void *self, uint64_t call, const struct model_request *request)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    struct lone_partition *lone = self;
    lone->model_call = call;
    lone->model_calls++;
    buf_reset(&lone->model_shown);
    for (size_t i = 0; i < request->message_count; i++) {
        const struct model_message *message = &request->messages[i];
        for (size_t j = 0; j < message->block_count; j++) {
            const struct model_block *block = &message->blocks[j];
            str text = block->kind == MODEL_BLOCK_TOOL_CALL ? block->name : block->text;
            buf_printf(&lone->model_shown, "%s: " STR_FMT "\n", roles[message->role],
                       STR_ARG(text));
        }
    }
}

static void cancel_call(void *self, uint64_t call)
{
    (void)call;
    ((struct lone_partition *)self)->model_cancels++;
}

static const struct model_client_vtable model = {
    .check = check_model, .start = start_call, .cancel = cancel_call};

void lone_begin(struct lone_partition *lone)
{
    static const struct watch_format format; /* Nobody watches. */
    struct partition_options options = lone->options;
    options.features = features_all;
    options.store = (struct store){&lone->vtable, lone->store.self};
    options.models = (struct model_client){&model, lone};
    options.format = &format;
    options.now_ms = now_ms;
    options.random = random_bytes;
    options.context = lone;
    options.run_timeout_ms =
        options.run_timeout_ms == 0 ? (uint64_t)365 * 24 * 3600 * 1000 : options.run_timeout_ms;
    options.topic_format = lone->topic_format;
    options.zone_folder = lone->zone_folder;
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
    lone_init_with(lone, start_ms, (struct partition_options){0});
}

void lone_init_with(struct lone_partition *lone, uint64_t start_ms, struct partition_options limits)
{
    memset(lone, 0, sizeof(*lone));
    lone->options = limits;
    arena_init(&lone->arena, 0);
    memory_store_open(&lone->store);
    lone->vtable = *lone->store.vtable;
    lone->vtable.stats = stats;
    lone->vtable.close = stay_open;
    lone->vtable.commit = commit;
    lone->vtable.get = get;
    lone->vtable.scan = scan;
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
    buf_fini(&lone->model_shown);
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
        uint64_t due_ms = partition_round(lone->partition);
        if (i >= 5 && !lone->is_answered && due_ms > lone->now_ms) {
            lone->now_ms = due_ms; /* It waits for its store. */
        }
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
    struct lone_partition *lone = read->context;
    lone->is_answered = true;
    lone->failure = failure == NULL ? (struct failure){0} : *failure;
}

void lone_try_read(struct lone_partition *lone, struct read *read)
{
    struct reads_options options = {.source = {.store = {&lone->vtable, lone->store.self},
                                               .apart = partition_apart(lone->partition)}};
    struct reads *reads = reads_new(&options);
    read->done = was_read;
    read->context = lone;
    lone->is_answered = false;
    reads_post_always(reads, read);
    while (!lone->is_answered) {
        assert_true(reads_step(reads, 0));
    }
    reads_free(reads);
}

void lone_read(struct lone_partition *lone, struct read *read)
{
    lone_try_read(lone, read);
    assert_int_equal(lone->failure.code, CODE_OK);
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

void lone_rounds(struct lone_partition *lone)
{
    int rounds = 0;
    while (partition_round(lone->partition) == lone->now_ms) {
        assert_true(++rounds < ROUNDS_MAX);
    }
}

void lone_model_says(struct lone_partition *lone, const struct model_reply *reply)
{
    static const struct model_failure failure = {
        .code = CODE_INVALID_ARGUMENT, .reason = "BAD_REQUEST", .message = {"no", 2}};
    struct model_sink sink = models_sink(lone->partition);
    if (reply != NULL) {
        sink.done(sink.context, lone->model_call, reply);
    } else {
        sink.failed(sink.context, lone->model_call, &failure);
    }
    lone_rounds(lone);
}

static void say_block(struct lone_partition *lone, struct model_block block, enum model_stop stop)
{
    struct model_reply reply = {
        .blocks = &block,
        .block_count = 1,
        .usage = {.input = 30,
                  .output = 4,
                  .cache_read = 20,
                  .cache_write = 5,
                  .reasoning = 2,
                  .known = true},
        .stop = stop,
        .model = STR("m"),
    };
    lone_model_says(lone, &reply);
}

void lone_model_ends(struct lone_partition *lone, const char *text)
{
    say_block(lone, (struct model_block){.kind = MODEL_BLOCK_TEXT, .text = str_of(text)},
              MODEL_STOP_END);
}

void lone_model_calls(struct lone_partition *lone, const char *tool)
{
    say_block(lone,
              (struct model_block){.kind = MODEL_BLOCK_TOOL_CALL,
                                   .call_id = str_of(tool),
                                   .name = str_of(tool),
                                   .arguments = STR("{}")},
              MODEL_STOP_TOOL_USE);
}
