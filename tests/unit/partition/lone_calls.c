#include "tests/unit/partition/lone_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/codec/codec.h"
#include "service/features/definitions/definitions.h"
#include "service/features/forks/forks.h"
#include "service/features/publications/publications.h"
#include "service/features/reports/reports.h"
#include "service/features/starts/starts.h"
#include "service/features/suspensions/suspensions.h"

static void ask(struct lone_partition *lone, struct request *request)
{
    lone_ask(lone, request);
    assert_int_equal(lone->failure.code, CODE_OK);
}

uuid lone_start(struct lone_partition *lone, struct run_spec spec)
{
    struct request *request = request_new(&start_operation);
    spec.input = spec.input.len == 0 ? STR("null") : spec.input;
    start_request(request)->spec = spec;
    ask(lone, request);
    uuid run = start_request(request)->ret_run;
    request_free(request);
    lone_rounds(lone);
    return run;
}

uuid lone_start_flow(struct lone_partition *lone, const char *name)
{
    return lone_start(lone, (struct run_spec){.kind = RUN_KIND_WORKFLOW, .name = str_of(name)});
}

void lone_cancel(struct lone_partition *lone, uuid run)
{
    struct request *request = request_new(&cancel_operation);
    request->run = run;
    cancel_request(request)->cause = STR("test");
    ask(lone, request);
    request_free(request);
    lone_rounds(lone);
}

uuid lone_retry(struct lone_partition *lone, uuid run)
{
    struct request *request = request_new(&retry_operation);
    request->run = run;
    ask(lone, request);
    uuid successor = request->run;
    request_free(request);
    lone_rounds(lone);
    return successor;
}

void lone_register(struct lone_partition *lone, struct agent_definition agent)
{
    struct request *request = request_new(&register_operation);
    agent.provider = STR("scripted");
    agent.model = STR("m");
    register_request(request)->definition = &agent;
    ask(lone, request);
    request_free(request);
}

void lone_publish(struct lone_partition *lone, const char *topic, const char *type,
                  const char *data)
{
    struct topic_event event = {.topic = str_of(topic), .type = str_of(type), .data = str_of(data)};
    struct request *request = request_new(&publish_operation);
    publish_request(request)->events = &event;
    publish_request(request)->count = 1;
    ask(lone, request);
    request_free(request);
    lone_rounds(lone);
}

enum reason lone_resume(struct lone_partition *lone, uuid run, const char *key, const char *data)
{
    struct request *request = request_new(&resume_operation);
    request->run = run;
    resume_request(request)->key = str_of(key);
    resume_request(request)->data = str_of(data);
    resume_request(request)->by = STR("test");
    lone_ask(lone, request);
    enum reason reason = lone->failure.reason;
    request_free(request);
    lone_rounds(lone);
    return reason;
}

/* ---- Journals. ---- */

struct telling {
    struct buf text;
    const uuid *runs;
    size_t run_count;
    enum event_kind kind; /* To be counted. */
    struct buf why; /* It failed. */
    size_t count;
};

static void put(struct buf *text, const char *name, str value)
{
    if (value.len > 0) {
        buf_printf(text, " %s=" STR_FMT, name, STR_ARG(value));
    }
}

static void put_outcome(struct buf *text, const struct outcome *outcome)
{
    put(text, "value", outcome->value);
    put(text, "error", outcome->error_type);
}

static void put_run(struct telling *telling, const char *name, uuid run)
{
    size_t place = 0;
    for (size_t i = 0; i < telling->run_count; i++) {
        place = uuid_equal(telling->runs[i], run) ? i + 1 : place;
    }
    if (!uuid_is_zero(run)) {
        buf_printf(&telling->text, " %s=#%zu", name, place);
    }
}

static void put_spec(struct telling *telling, const struct run_spec *spec)
{
    struct buf *text = &telling->text;
    buf_printf(text, " " STR_FMT " " STR_FMT, STR_ARG(spec->name), STR_ARG(spec->input));
    put_run(telling, "parent", spec->parent);
    put_run(telling, "root", spec->root);
    if (spec->depth > 0) {
        buf_printf(text, " depth=%u effect=%u index=%u", (unsigned)spec->depth,
                   (unsigned)spec->parent_effect, (unsigned)spec->parent_index);
    }
    put(text, "key", spec->options.idempotency_key);
    put(text, "queue", spec->options.queue);
}

static void put_event(struct telling *telling, const struct event *event)
{
    struct buf *text = &telling->text;
    buf_printf(text, "%s", event_traits(event->kind)->name);
    if (event->effect > 0) {
        buf_printf(text, " %u", (unsigned)event->effect);
    }
    if (event->kind == EVENT_RUN_STARTED) {
        put_spec(telling, &event->run_started.spec);
    } else if (event->kind == EVENT_RUN_FAILED) {
        put(text, "reason", event->run_failed.reason);
    } else if (event->kind == EVENT_CHILD_SETTLED) {
        buf_printf(text, " index=%u", (unsigned)event->child_settled.index);
        put_run(telling, "child", event->child_settled.child);
        put_outcome(text, &event->child_settled.outcome);
    } else if (event->kind == EVENT_WAIT_SET) {
        put(text, "key", event->wait_set.key);
    } else if (event->kind == EVENT_WAIT_SETTLED) {
        put_outcome(text, &event->wait_settled.outcome);
        put(text, "by", event->wait_settled.by);
    } else if (event->kind == EVENT_TASK_SETTLED) {
        put_outcome(text, &event->task_settled.outcome);
    } else if (event->kind == EVENT_TASK_FAILED) {
        put_outcome(text, &event->task_failed.outcome);
    }
    buf_put_char(text, '\n');
}

static bool tell_record(void *context, str key, str record)
{
    struct telling *telling = context;
    struct codec_entry entry;
    struct event event;
    struct arena arena;
    size_t cursor = 0;
    bool at_end = false;
    (void)key;
    arena_init(&arena, 0);
    while (status_is_ok(codec_next(record, &cursor, &entry, &at_end)) && !at_end) {
        assert_true(status_is_ok(codec_decode(&entry, &arena, &event)));
        put_event(telling, &event);
        if (event.kind == EVENT_RUN_FAILED) {
            buf_put(&telling->why, event.run_failed.message);
        }
        telling->count += event.kind == telling->kind ? 1 : 0;
    }
    arena_fini(&arena);
    return true;
}

static void tell(struct lone_partition *lone, uuid run, struct telling *telling)
{
    char prefix[KEY_BYTES_MAX];
    status scanned =
        store_scan(&lone->store, STORE_JOURNAL, key_run(prefix, (struct key_space){0}, run),
                   STR_EMPTY, false, SIZE_MAX, tell_record, telling);
    assert_true(status_is_ok(scanned));
}

const char *lone_journal(struct lone_partition *lone, uuid run, const uuid *runs, size_t count)
{
    struct telling telling = {.runs = runs, .run_count = count};
    tell(lone, run, &telling);
    char *text = arena_cstr(&lone->arena, buf_str(&telling.text));
    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '"' ? '\'' : *at;
    }
    buf_fini(&telling.text);
    buf_fini(&telling.why);
    return text;
}

size_t lone_count(struct lone_partition *lone, uuid run, enum event_kind kind)
{
    struct telling telling = {.kind = kind};
    tell(lone, run, &telling);
    buf_fini(&telling.text);
    buf_fini(&telling.why);
    return telling.count;
}

const char *lone_why_failed(struct lone_partition *lone, uuid run)
{
    struct telling telling = {.text = {0}};
    tell(lone, run, &telling);
    const char *why = arena_cstr(&lone->arena, buf_str(&telling.why));
    buf_fini(&telling.text);
    buf_fini(&telling.why);
    return why;
}

size_t lone_children(struct lone_partition *lone, uuid parent, uuid *ret, size_t max)
{
    struct read *read = read_new(&list_kind);
    list_read(read)->limit = max;
    list_read(read)->filter.parent = parent;
    lone_read(lone, read);
    size_t count = list_read(read)->ret_count;
    for (size_t i = 0; i < count; i++) {
        ret[i] = list_read(read)->ret_lines[i].id;
    }
    read_free(read);
    return count;
}

struct rows {
    enum index_kind kind;
    size_t count;
};

static bool count_row(void *context, str key, str value)
{
    (void)value;
    struct rows *rows = context;
    uint8_t kind = 0;
    rows->count += key_read_index_kind(key, &kind) && kind == rows->kind ? 1 : 0;
    return true;
}

size_t lone_rows(struct lone_partition *lone, enum index_kind kind)
{
    struct rows rows = {.kind = kind};
    status scanned = store_scan(&lone->store, STORE_INDEX, STR_EMPTY, STR_EMPTY, false, SIZE_MAX,
                                count_row, &rows);
    assert_true(status_is_ok(scanned));
    return rows.count;
}

static bool count_any(void *context, str key, str value)
{
    (void)key, (void)value;
    ++*(size_t *)context;
    return true;
}

size_t lone_rows_in_all(struct lone_partition *lone)
{
    size_t count = 0;
    for (unsigned table = 0; table < STORE_TABLE_COUNT; table++) {
        status scanned = store_scan(&lone->store, (enum store_table)table, STR_EMPTY, STR_EMPTY,
                                    false, SIZE_MAX, count_any, &count);
        assert_true(status_is_ok(scanned));
    }
    return count;
}

struct dropping {
    enum index_kind first;
    enum index_kind last;
    struct store_batch batch;
};

static bool drop_row(void *context, str key, str value)
{
    struct dropping *dropping = context;
    uint8_t kind = 0;
    (void)value;
    if (key_read_index_kind(key, &kind) && kind >= dropping->first && kind <= dropping->last) {
        store_batch_delete(&dropping->batch, STORE_INDEX, key);
    }
    return true;
}

void lone_drop_rows(struct lone_partition *lone, enum index_kind first, enum index_kind last)
{
    struct dropping dropping = {.first = first, .last = last};
    assert_null(lone->partition);
    status scanned = store_scan(&lone->store, STORE_INDEX, STR_EMPTY, STR_EMPTY, false, SIZE_MAX,
                                drop_row, &dropping);
    assert_true(status_is_ok(scanned));
    assert_true(status_is_ok(store_commit(&lone->store, &dropping.batch)));
    store_batch_fini(&dropping.batch);
}
