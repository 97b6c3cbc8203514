/*
 * Goal:   a wait costs the same however many came before it, and a run that only waits is on disk
 *         only.
 * Method: the real partition over the memory store; one host, which does as the test says; what is
 * read of journals is counted in rows. Built with MUTANT, the test passes when it fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/failure.h"
#include "service/codec/topic_rows.h"
#include "service/features/publications/publications.h"
#include "service/features/reports/reports.h"
#include "service/features/starts/starts.h"
#include "service/features/suspensions/suspensions.h"
#include "service/features/tasks/tasks.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "tests/unit/partition/lone_partition.h"

enum {
    ROUNDS = 200,
    FEW = 20,
    OTHERS = 400,
    GROUP = 4,
    GROUPS = 300,
    SLEEPERS = 2500,
    WAITING_MAX = 1000, /* The partition's default. */
    WOKEN_MAX = 1024,
    LOOKS_MAX = 16 * 1024, /* Events per round. */
    NOTED_EVERY = 256, /* Events. */
    CHUNK = 1000,
    HOUR_MS = 3600 * 1000,
    NAP_MS = 10 * 1000,
};

#define START_MS ((uint64_t)1800000000000)

struct host {
    struct host_link link;
    uint64_t seq;
    uint64_t heard;
    struct held_task given; /* Last. */
    struct held_task last_ones[GROUP]; /* In turn. */
    size_t given_count;
    size_t outcome_count;
    struct buf told; /* The results in the steps of the task given last, a digit each. */
};

struct bed {
    struct lone_partition lone;
    struct host host;
    struct held_task task; /* Whose code waits. */
    char key[24];
    store_visit *visit;
    void *context;
    bool is_topic; /* Else of a journal. */
    bool fails_reads; /* Of topics and of who awaits their events. */
    size_t rows; /* Of journals, that were read. */
    size_t events; /* Of topics. */
};

static struct bed *bed;

/* ---- The store, counted. ---- */

static bool count_row(void *context, str key, str value)
{
    (void)context;
    bed->rows += !bed->is_topic;
    bed->events += bed->is_topic;
    return bed->visit(bed->context, key, value);
}

static status count_scan(void *self, enum store_table table, str prefix, str from, bool reverse,
                         size_t limit, store_visit *visit, void *context)
{
    const struct store *store = &bed->lone.store;
    if (bed->fails_reads && (table == STORE_TOPICS || table == STORE_INDEX)) {
        return status_make(CODE_UNAVAILABLE, "the disk does not answer");
    }
    if (table != STORE_JOURNAL && table != STORE_TOPICS) {
        return store->vtable->scan(self, table, prefix, from, reverse, limit, visit, context);
    }
    bed->is_topic = table == STORE_TOPICS;
    bed->visit = visit;
    bed->context = context;
    return store->vtable->scan(self, table, prefix, from, reverse, limit, count_row, NULL);
}

/* ---- The host. ---- */

struct wire {
    enum server_message_kind kind;
    uint64_t seq;
    struct held_task task;
};

static void note_results(const struct host_task *task)
{
    static const char result[] = "\"result\":";
    buf_reset(&bed->host.told);
    for (size_t i = 0; i < task->step_count; i++) {
        struct arena arena;
        arena_init(&arena, 0);
        const char *text = arena_cstr(&arena, task->steps[i].outcome.value);
        while ((text = strstr(text, result)) != NULL) {
            text += sizeof(result) - 1;
            buf_put(&bed->host.told, str_make(text, 1));
        }
        arena_fini(&arena);
    }
}

static struct payload *pack(const struct server_message *message)
{
    struct wire wire = {.kind = message->kind, .seq = message->seq};
    if (message->kind == SERVER_MESSAGE_TASK) {
        wire.task = (struct held_task){message->task->task, message->task->epoch};
        note_results(message->task);
    }
    assert_int_not_equal(message->kind, SERVER_MESSAGE_REFUSED);
    return payload_copy(str_make(&wire, sizeof(wire)));
}

static void send_to(struct host_link *link, struct payload *payload)
{
    struct host *host = container_of(link, struct host, link);
    struct wire wire;
    memcpy(&wire, payload_bytes(payload).ptr, sizeof(wire));
    payload_unref(payload);
    host->heard = wire.seq > host->heard ? wire.seq : host->heard;
    if (wire.kind == SERVER_MESSAGE_TASK) {
        host->given = wire.task;
        host->last_ones[host->given_count % GROUP] = wire.task;
        host->given_count++;
    }
    host->outcome_count += wire.kind == SERVER_MESSAGE_OUTCOME;
}

static void close_it(struct host_link *link, enum code code, enum reason reason, str message)
{
    (void)link, (void)code, (void)reason, (void)message; /* Its lease is over. */
}

static bool has_room(const struct host_link *link)
{
    (void)link;
    return true;
}

static const struct host_link_vtable vtable = {
    .pack = pack, .send = send_to, .has_room = has_room, .close = close_it};

static void ask(struct request *request)
{
    lone_ask(&bed->lone, request);
    assert_int_equal(bed->lone.failure.code, CODE_OK);
}

static void rounds(void)
{
    while (partition_round(bed->lone.partition) == bed->lone.now_ms) {
    }
}

static void connect_host(const char *id)
{
    static const struct host_offer offers[] = {{TASK_WORKFLOW, {"flow", 4}},
                                               {TASK_WORKFLOW, {"child", 5}}};
    bed->host.link = (struct host_link){.vtable = &vtable};
    bed->host.seq = bed->host.heard = 0;
    struct request *request = request_new(&hello_operation);
    hello_request(request)->link = &bed->host.link;
    hello_request(request)->hello = (struct host_hello){
        .host_id = str_of(id),
        .deployment = STR("default"),
        .slots = 2 * SLEEPERS,
        .offers = offers,
        .offer_count = COUNT_OF(offers),
    };
    ask(request);
    request_free(request);
    rounds();
}

static void say_at_once(struct held_task task, struct host_message message)
{
    struct request *request = request_new(&host_message_operation);
    message.seq = ++bed->host.seq;
    message.ack = bed->host.heard;
    message.task = task.task;
    message.epoch = task.epoch;
    host_request(request)->link = &bed->host.link;
    host_request(request)->message = message;
    ask(request);
    request_free(request);
}

static void say(struct held_task task, struct host_message message)
{
    say_at_once(task, message);
    rounds();
}

static void request_step(struct host_step_request wanted)
{
    say(bed->task, (struct host_message){.kind = HOST_MESSAGE_STEP_REQUEST,
                                         .key = str_of(bed->key),
                                         .step_request = wanted});
}

static struct held_task start(void)
{
    size_t given = bed->host.given_count;
    struct request *request = request_new(&start_operation);
    start_request(request)->spec =
        (struct run_spec){.kind = RUN_KIND_WORKFLOW, .name = STR("flow"), .input = STR("null")};
    ask(request);
    request_free(request);
    rounds();
    assert_int_equal(bed->host.given_count, given + 1);
    return bed->host.given;
}

static void begin(void)
{
    bed = calloc(1, sizeof(*bed));
    assert_non_null(bed);
    lone_init(&bed->lone, START_MS);
    bed->lone.vtable.scan = count_scan;
    bed->lone.leaves_runs_open = true;
    connect_host("first");
    bed->task = start();
}

static void end(void)
{
    lone_fini(&bed->lone);
    buf_fini(&bed->host.told);
    free(bed);
}

/* ---- A step request, and what ends it. ---- */

static void suspend(void)
{
    request_step((struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
    struct request *request = request_new(&resume_operation);
    request->run = bed->task.task.run;
    resume_request(request)->key = str_of(bed->key);
    resume_request(request)->data = STR("{}");
    resume_request(request)->by = STR("test");
    ask(request);
    request_free(request);
    rounds();
}

static void publish(str type)
{
    struct topic_event event = {.topic = STR("news"), .type = type, .data = STR("{}")};
    struct request *request = request_new(&publish_operation);
    publish_request(request)->events = &event;
    publish_request(request)->count = 1;
    ask(request);
    request_free(request);
    rounds();
}

static void await_event(void)
{
    size_t outcomes = bed->host.outcome_count;
    request_step((struct host_step_request){
        .kind = STEP_REQUEST_EVENT, .topic = STR("news"), .event_type = STR("good")});
    publish(STR("bad"));
    assert_int_equal(bed->host.outcome_count, outcomes);
    publish(STR("good"));
}

static void invoke(void)
{
    static const struct host_child child = {.kind = RUN_KIND_WORKFLOW, .name = {"child", 5}};
    size_t given = bed->host.given_count;
    request_step((struct host_step_request){
        .kind = STEP_REQUEST_START, .children = &child, .child_count = 1, .waits = true});
    assert_int_equal(bed->host.given_count, given + 1);
    say(bed->host.given,
        (struct host_message){.kind = HOST_MESSAGE_TASK_DONE, .outcome = {.value = STR("1")}});
}

static size_t rows_of_round(int number, void (*round)(void))
{
    size_t outcomes = bed->host.outcome_count;
    snprintf(bed->key, sizeof(bed->key), "wait-%d", number);
    bed->rows = 0;
    round();
    assert_int_equal(bed->host.outcome_count, outcomes + 1);
    return bed->rows;
}

static void costs_the_same(void (*round)(void))
{
    size_t early = 0;
    begin();
    for (int i = 0; i < ROUNDS; i++) {
        size_t rows = rows_of_round(i, round);
        early = i < FEW && rows > early ? rows : early;
        assert_in_range(rows, 0, early);
    }
    assert_in_range(early, 0, FEW);
    end();
}

static void an_answer_costs_the_same(void **state)
{
    (void)state;
    costs_the_same(suspend);
}

static void an_event_costs_the_same(void **state)
{
    (void)state;
    costs_the_same(await_event);
}

static void a_child_costs_the_same(void **state)
{
    (void)state;
    costs_the_same(invoke);
}

static void keep_seq(struct request *request, const struct failure *failure)
{
    assert_null(failure);
    *(uint32_t *)request->context = report_request(request)->ret->state.seq;
    request_free(request);
}

static void free_request(struct request *request, const struct failure *failure)
{
    assert_null(failure);
    request_free(request);
}

static uint32_t last_seq(void)
{
    uint32_t seq = 0;
    struct request *request = request_new(&get_operation);
    request->run = bed->task.task.run;
    request->done = keep_seq;
    request->context = &seq;
    assert_true(partition_post(bed->lone.partition, request));
    rounds();
    return seq;
}

static void a_step_request_sent_again_is_not_carried_out_again(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < ROUNDS; i++) {
        (void)rows_of_round(i, suspend);
    }
    uint32_t seq = last_seq();
    for (int i = 0; i < ROUNDS; i++) {
        size_t outcomes = bed->host.outcome_count;
        snprintf(bed->key, sizeof(bed->key), "wait-%d", i);
        request_step(
            (struct host_step_request){.kind = STEP_REQUEST_SUSPENSION, .data = STR("{}")});
        assert_int_equal(bed->host.outcome_count, outcomes + 1); /* The same one. */
    }
    assert_int_equal(last_seq(), seq);
    end();
}

/* Jumps from one time the partition asks for to the next. */
static void pass(uint64_t until_ms)
{
    struct lone_partition *lone = &bed->lone;
    uint64_t due_ms = partition_round(lone->partition);
    while (due_ms != 0 && due_ms <= until_ms) {
        lone->now_ms = due_ms > lone->now_ms ? due_ms : lone->now_ms;
        due_ms = partition_round(lone->partition);
    }
    lone->now_ms = until_ms;
    rounds();
}

static void invoke_group(void)
{
    size_t given = bed->host.given_count;
    struct host_child children[GROUP];
    for (size_t i = 0; i < GROUP; i++) {
        children[i] = (struct host_child){.kind = RUN_KIND_WORKFLOW, .name = STR("child")};
    }
    request_step((struct host_step_request){
        .kind = STEP_REQUEST_START, .children = children, .child_count = GROUP, .waits = true});
    assert_int_equal(bed->host.given_count, given + GROUP);
    for (size_t i = 0; i < GROUP; i++) {
        char result[2] = {(char)('0' + i), '\0'};
        say(bed->host.last_ones[(given + GROUP - 1 - i) % GROUP],
            (struct host_message){.kind = HOST_MESSAGE_TASK_DONE,
                                  .outcome = {.value = str_of(result)}});
    }
}

/* Given again, a task is told of each group's children in the order in which they were started. */
static void groups_are_told_in_order(void **state)
{
    (void)state;
    begin();
    struct buf expected = {0};
    for (int i = 0; i < GROUPS; i++) {
        (void)rows_of_round(i, invoke_group);
        buf_put(&expected, STR("3210"));
    }
    pass(START_MS + HOUR_MS); /* Its lease ends. */
    connect_host("second");
    assert_true(str_equal(buf_str(&bed->host.told), buf_str(&expected)));
    buf_fini(&expected);
    end();
}

/* ---- Memory. ---- */

static void start_sleeper(uint64_t due_ms)
{
    bed->task = start();
    snprintf(bed->key, sizeof(bed->key), "sleep");
    request_step((struct host_step_request){.kind = STEP_REQUEST_SLEEP, .due_ms = due_ms});
    say(bed->task, (struct host_message){.kind = HOST_MESSAGE_PARK});
}

static struct partition_stats stats_now(void)
{
    struct partition_stats stats;
    partition_stats(bed->lone.partition, &stats);
    return stats;
}

static void runs_that_only_wait_are_on_disk_only(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < SLEEPERS; i++) {
        start_sleeper(START_MS + HOUR_MS);
        assert_in_range(stats_now().runs_in_memory, 0, WAITING_MAX + 1);
        assert_in_range(stats_now().timers, 0, stats_now().runs_in_memory);
    }
    pass(START_MS + HOUR_MS / 2);
    assert_in_range(stats_now().runs_in_memory, 0, 1); /* The one that is at work. */
    assert_in_range(stats_now().timers, 0, 1);
    pass(START_MS + HOUR_MS);
    size_t given = bed->host.given_count;
    connect_host("second");
    assert_in_range(bed->host.given_count, given + SLEEPERS, given + SLEEPERS + 1);
    end();
}

static size_t most_given_in_a_round(void)
{
    size_t most = 0;
    uint64_t due_ms;
    do {
        size_t given = bed->host.given_count;
        due_ms = partition_round(bed->lone.partition);
        given = bed->host.given_count - given;
        most = given > most ? given : most;
    } while (due_ms == bed->lone.now_ms);
    return most;
}

static void post_event(str type)
{
    struct request *request = request_new(&publish_operation);
    struct topic_event *event = arena_zalloc(&request->arena, sizeof(*event));
    *event = (struct topic_event){.topic = STR("news"), .type = type, .data = STR("{}")};
    publish_request(request)->events = event;
    publish_request(request)->count = 1;
    request->done = free_request;
    assert_true(partition_post(bed->lone.partition, request));
    partition_round(bed->lone.partition);
}

static const struct host_step_request for_good = {
    .kind = STEP_REQUEST_EVENT, .topic = {"news", 4}, .event_type = {"good", 4}};

/* An event that comes while they are woken is for one too that began to wait meanwhile. */
static void many_are_woken_some_a_round(void **state)
{
    (void)state;
    begin();
    struct held_task early = bed->task; /* Its row is before those of the others. */
    for (int i = 0; i < SLEEPERS; i++) {
        bed->task = start();
        snprintf(bed->key, sizeof(bed->key), "await");
        request_step(for_good);
        say(bed->task, (struct host_message){.kind = HOST_MESSAGE_PARK});
    }
    size_t given = bed->host.given_count;
    size_t outcomes = bed->host.outcome_count;
    post_event(STR("good"));
    say_at_once(early, (struct host_message){.kind = HOST_MESSAGE_STEP_REQUEST,
                                             .key = STR("early"),
                                             .step_request = for_good});
    assert_in_range(bed->host.given_count - given, 1, WOKEN_MAX);
    post_event(STR("good"));
    assert_in_range(most_given_in_a_round(), 1, WOKEN_MAX);
    assert_int_equal(bed->host.given_count - given, SLEEPERS);
    assert_int_equal(bed->host.outcome_count, outcomes + 1);
    end();
}

/* Where the rows of one round end between two waits of a run, the second is looked at in the next.
 */
static void two_waits_of_a_run_are_woken_over_rounds(void **state)
{
    (void)state;
    begin();
    struct held_task task = bed->task;
    for (int i = 1; i < WOKEN_MAX; i++) { /* The first has its row before those. */
        bed->task = start();
        snprintf(bed->key, sizeof(bed->key), "await");
        request_step(for_good);
        say(bed->task, (struct host_message){.kind = HOST_MESSAGE_PARK});
    }
    bed->task = start();
    snprintf(bed->key, sizeof(bed->key), "one");
    request_step(for_good);
    snprintf(bed->key, sizeof(bed->key), "two");
    request_step(for_good);
    size_t outcomes = bed->host.outcome_count;
    publish(STR("good"));
    assert_int_equal(bed->host.outcome_count, outcomes + 2);
    bed->task = task;
    end();
}

/* Of a run, its first record. */
static void damage(uuid run)
{
    char key[KEY_BYTES_MAX];
    struct store_batch batch = {0};
    store_batch_put(&batch, STORE_JOURNAL, key_journal(key, (struct key_space){0}, run, 1),
                    STR("\xff\xff\xff"));
    assert_true(status_is_ok(store_commit(&bed->lone.store, &batch)));
    store_batch_fini(&batch);
}

/* Its row is before those of the others. */
static void who_cannot_be_read_holds_up_nobody(void **state)
{
    (void)state;
    uuid first = {0};
    begin();
    for (int i = 0; i < FEW; i++) {
        bed->task = start();
        first = i == 0 ? bed->task.task.run : first;
        snprintf(bed->key, sizeof(bed->key), "await");
        request_step(for_good);
        say(bed->task, (struct host_message){.kind = HOST_MESSAGE_PARK});
    }
    lone_stop(&bed->lone);
    damage(first);
    lone_begin(&bed->lone);
    rounds();
    connect_host("second");
    size_t given = bed->host.given_count;
    publish(STR("good"));
    assert_int_equal(bed->host.given_count - given, FEW - 1);
    end();
}

/* Nothing else has to happen. */
static void who_awaits_is_woken_after_a_failed_read(void **state)
{
    (void)state;
    begin();
    size_t outcomes = bed->host.outcome_count;
    snprintf(bed->key, sizeof(bed->key), "await");
    request_step(for_good);
    bed->fails_reads = true;
    post_event(STR("good"));
    partition_round(bed->lone.partition);
    assert_int_equal(bed->host.outcome_count, outcomes);
    bed->fails_reads = false;
    lone_advance(&bed->lone, bed->lone.now_ms + NAP_MS);
    assert_int_equal(bed->host.outcome_count, outcomes + 1);
    end();
}

/* Its step has not failed: its host, whose stream is closed, asks for it again. */
static void who_cannot_await_for_now_is_told_nothing(void **state)
{
    (void)state;
    begin();
    size_t outcomes = bed->host.outcome_count;
    snprintf(bed->key, sizeof(bed->key), "await");
    bed->fails_reads = true;
    request_step((struct host_step_request){
        .kind = STEP_REQUEST_EVENT, .topic = STR("unread"), .event_type = STR("good")});
    assert_int_equal(bed->host.outcome_count, outcomes);
    assert_null(bed->host.link.session);
    bed->fails_reads = false;
    end();
}

static void begin_again(void)
{
    lone_stop(&bed->lone);
    bed->events = 0;
    lone_begin(&bed->lone);
    rounds();
}

static void publish_bad_ones(void)
{
    bed->events = 0;
    for (int i = 0; i < OTHERS; i++) {
        publish(STR("bad"));
    }
    assert_in_range(bed->events, 0, FEW);
}

/* What is published under another type than the one that is awaited is never read for it. */
static void events_of_other_types_cost_nothing(void **state)
{
    (void)state;
    begin();
    size_t outcomes = bed->host.outcome_count;
    snprintf(bed->key, sizeof(bed->key), "await");
    request_step(for_good);
    publish_bad_ones();
    publish(STR("good"));
    assert_in_range(bed->events, 0, FEW);
    assert_int_equal(bed->host.outcome_count, outcomes + 1);
    end();
}

/* After a restart, those that were not noted to have been looked at are read. */
static void events_are_passed_once(void **state)
{
    (void)state;
    begin();
    snprintf(bed->key, sizeof(bed->key), "await");
    request_step(for_good);
    say(bed->task, (struct host_message){.kind = HOST_MESSAGE_PARK});
    publish_bad_ones();
    begin_again();
    assert_in_range(bed->events, 1, NOTED_EVERY);
    bed->events = 0;
    begin_again();
    assert_in_range(bed->events, 1, NOTED_EVERY);
    bed->events = 0;
    size_t given = bed->host.given_count;
    connect_host("first");
    publish(STR("good"));
    assert_in_range(bed->events, 0, FEW);
    assert_int_equal(bed->host.given_count, given + 1);
    end();
}

static void publish_chunk(str type)
{
    static struct topic_event events[CHUNK];
    for (size_t i = 0; i < CHUNK; i++) {
        events[i] = (struct topic_event){.topic = STR("news"), .type = type, .data = STR("{}")};
    }
    struct request *request = request_new(&publish_operation);
    publish_request(request)->events = events;
    publish_request(request)->count = CHUNK;
    ask(request);
    request_free(request);
    rounds();
}

/* As in the store of a release that wrote none. */
static void drop_note(void)
{
    uint8_t hash[16];
    char key[KEY_BYTES_MAX];
    struct store_batch batch = {0};
    topic_hash(STR("news"), hash);
    store_batch_delete(&batch, STORE_INDEX,
                       key_index(key, (struct key_space){0}, INDEX_LOOKED,
                                 str_make((const char *)hash, sizeof(hash))));
    assert_true(status_is_ok(store_commit(&bed->lone.store, &batch)));
    store_batch_fini(&batch);
}

static uint64_t look_once(void)
{
    bed->events = 0;
    uint64_t due_ms = partition_round(bed->lone.partition);
    assert_in_range(bed->events, 0, LOOKS_MAX + FEW);
    return due_ms;
}

/* However much there is, each round looks at some of it, and what was not looked at yet is not
 * noted as if it were. */
static void much_is_looked_at_over_rounds(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < FEW; i++) {
        snprintf(bed->key, sizeof(bed->key), "await-%d", i);
        request_step(for_good);
    }
    say(bed->task, (struct host_message){.kind = HOST_MESSAGE_PARK});
    for (int i = 0; i < 2 * LOOKS_MAX / CHUNK; i++) {
        publish_chunk(STR("bad"));
    }
    post_event(STR("good"));
    lone_stop(&bed->lone);
    drop_note();
    lone_begin(&bed->lone);
    look_once(); /* Sees that there is much. */
    look_once();
    post_event(STR("bad"));
    look_once();
    lone_stop(&bed->lone); /* In the middle. */
    lone_begin(&bed->lone);
    while (look_once() == bed->lone.now_ms) {
    }
    size_t given = bed->host.given_count;
    connect_host("first");
    assert_int_equal(bed->host.given_count, given + 1);
    assert_int_equal(bed->host.told.len, 0);
    end();
}

/* Its row is written behind what was looked at, and is due before the next look. */
static void a_nap_on_disk_ends_on_time(void **state)
{
    (void)state;
    begin();
    start_sleeper(START_MS + NAP_MS);
    start_sleeper(START_MS + NAP_MS + 1);
    size_t given = bed->host.given_count;
    pass(START_MS + NAP_MS - 1);
    assert_in_range(stats_now().runs_in_memory, 0, 1);
    assert_int_equal(bed->host.given_count, given);
    pass(START_MS + NAP_MS);
    assert_int_equal(bed->host.given_count, given + 1);
    pass(START_MS + NAP_MS + 1);
    assert_int_equal(bed->host.given_count, given + 2);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_costs_the_same),
        cmocka_unit_test(an_event_costs_the_same),
        cmocka_unit_test(a_child_costs_the_same),
        cmocka_unit_test(groups_are_told_in_order),
        cmocka_unit_test(a_step_request_sent_again_is_not_carried_out_again),
        cmocka_unit_test(runs_that_only_wait_are_on_disk_only),
        cmocka_unit_test(a_nap_on_disk_ends_on_time),
        cmocka_unit_test(many_are_woken_some_a_round),
        cmocka_unit_test(two_waits_of_a_run_are_woken_over_rounds),
        cmocka_unit_test(who_cannot_be_read_holds_up_nobody),
        cmocka_unit_test(who_awaits_is_woken_after_a_failed_read),
        cmocka_unit_test(who_cannot_await_for_now_is_told_nothing),
        cmocka_unit_test(much_is_looked_at_over_rounds),
        cmocka_unit_test(events_of_other_types_cost_nothing),
        cmocka_unit_test(events_are_passed_once),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
#ifdef MUTANT
    /* The report goes by the last line: what failed above had to fail. */
    printf("%s\n", failed > 0 ? "1 passed, 0 failed, 0 skipped" : "the planted bug was not caught");
    return failed > 0 ? 0 : 1;
#else
    return failed;
#endif
}
