#include "tests/unit/features/queues/queue_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/failure.h"
#include "service/features/features.h"
#include "service/features/queues/queues.h"
#include "service/features/reports/reports.h"
#include "service/features/starts/starts.h"
#include "service/features/tasks/tasks.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "storage/memory_store.h"

/* What a host is sent. */
struct wire {
    enum server_message_kind kind;
    uint64_t seq;
    struct task_ref task;
    uint32_t epoch;
    bool is_cancelling;
};

static const struct watch_format no_format = {0};

static void expect(struct world *world, bool holds, const char *law)
{
    world->broken = holds || world->broken != NULL ? world->broken : law;
}

/* ---- The store outlives the process. ---- */

static status store_put(void *self, const struct store_batch *batch)
{
    return store_commit(&((struct world *)self)->store, batch);
}

static status store_read(void *self, enum store_table table, str key, struct arena *arena, str *ret)
{
    return store_get(&((struct world *)self)->store, table, key, arena, ret);
}

static status store_walk(void *self, enum store_table table, str prefix, str from, bool reverse,
                         size_t limit, store_visit *visit, void *context)
{
    return store_scan(&((struct world *)self)->store, table, prefix, from, reverse, limit, visit,
                      context);
}

static void store_count(void *self, struct store_stats *ret)
{
    store_stats(&((struct world *)self)->store, ret);
}

static void store_keep(void *self)
{
    (void)self;
}

static const struct store_vtable kept_store = {
    .commit = store_put,
    .get = store_read,
    .scan = store_walk,
    .stats = store_count,
    .close = store_keep,
};

/* ---- The process. ---- */

static uint64_t now_ms(void *context)
{
    return ((struct world *)context)->now_ms;
}

static void random_bytes(void *context, void *ret, size_t bytes)
{
    struct world *world = context;
    for (size_t i = 0; i < bytes; i++) {
        world->random = world->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)ret)[i] = (uint8_t)(world->random >> 56);
    }
}

static void start_process(struct world *world)
{
    struct partition_options options = {
        .features = features_all,
        .store = {&kept_store, world},
        .format = &no_format,
        .now_ms = now_ms,
        .random = random_bytes,
        .context = world,
        .lease_ms = WORLD_LEASE_MS,
        .redial_ms = WORLD_REDIAL_MS,
        .waiting_runs_max = 4, /* Those who wait leave memory. */
        .snapshot_every = 2,
    };
    status made = partition_new(&options, &world->arena, &world->partition);
    assert_int_equal(made.code, CODE_OK);
    world_round(world);
}

void world_init(struct world *world, uint32_t slots)
{
    memset(world, 0, sizeof(*world));
    arena_init(&world->arena, 0);
    world->now_ms = 1700000000000;
    world->slots = slots;
    memory_store_open(&world->store);
    start_process(world);
}

static void drop_host(struct world *world, int host)
{
    world->hosts[host].is_connected = false;
    for (size_t i = 0; i < world->run_count; i++) {
        if (world->runs[i].host == host) {
            world->runs[i].host = -1;
        }
    }
}

void world_fini(struct world *world)
{
    partition_free(world->partition);
    store_close(&world->store);
    arena_fini(&world->arena);
}

void world_round(struct world *world)
{
    uint64_t due_ms = world->now_ms;
    for (int i = 0; i < 1000 && due_ms != 0 && due_ms <= world->now_ms; i++) {
        due_ms = partition_round(world->partition);
    }
    expect(world, due_ms == 0 || due_ms > world->now_ms, "the partition never rests");
}

void world_pass(struct world *world, uint64_t ms)
{
    uint64_t until_ms = world->now_ms + ms;
    for (;;) {
        world_round(world);
        uint64_t due_ms = partition_round(world->partition);
        if (due_ms == 0 || due_ms > until_ms) {
            break;
        }
        world->now_ms = due_ms > world->now_ms ? due_ms : world->now_ms;
        for (int i = 0; i < WORLD_HOSTS; i++) { /* Its heartbeat. */
            if (world->hosts[i].is_connected) {
                struct request *request = request_new(&host_message_operation);
                host_request(request)->link = &world->hosts[i].link;
                host_request(request)->message = (struct host_message){
                    .kind = HOST_MESSAGE_HEARTBEAT, .ack = world->hosts[i].heard};
                partition_post_always(world->partition, request);
            }
        }
    }
    world->now_ms = until_ms;
    world_round(world);
}

void world_restart(struct world *world)
{
    partition_free(world->partition);
    for (int i = 0; i < WORLD_HOSTS; i++) {
        drop_host(world, i);
    }
    start_process(world);
}

void world_fail_next_commit(struct world *world)
{
    memory_store_fault(&world->store, MEMORY_STORE_FAULT_LOST);
}

void world_heal(struct world *world)
{
    memory_store_fault(&world->store, MEMORY_STORE_FAULT_NONE);
}

/* ---- Requests. ---- */

struct answer {
    bool is_there;
    enum code code;
    const char *reason;
    uuid run;
    struct queue_report queue;
    char sentence[256];
};

static void answered(struct request *request, const struct failure *failure)
{
    struct answer *answer = request->context;
    answer->is_there = true;
    answer->code = failure == NULL ? CODE_OK : failure->code;
    answer->reason = failure == NULL ? NULL : reason_name(failure->reason);
    if (failure == NULL && request->operation == &start_operation) {
        answer->run = start_request(request)->ret_run;
    } else if (failure == NULL && request->operation == &get_operation) {
        snprintf(answer->sentence, sizeof(answer->sentence), STR_FMT,
                 STR_ARG(report_request(request)->ret->queue_sentence));
    } else if (failure == NULL && request->operation == &list_queues_operation) {
        assert_int_equal(queues_request(request)->ret_count, 1);
        answer->queue = queues_request(request)->ret[0];
    }
    request_free(request);
}

static struct answer ask(struct world *world, struct request *request)
{
    struct answer answer = {0};
    request->done = answered;
    request->context = &answer;
    partition_post_always(world->partition, request);
    world_round(world);
    assert_true(answer.is_there);
    return answer;
}

void world_define(struct world *world, const char *queue, struct queue_limits limits)
{
    struct request *request = request_new(&put_queue_operation);
    put_queue_request(request)->offer = (struct queue_offer){str_of(queue), limits};
    struct world_limits *known = world->limits;
    while (known < world->limits + world->limits_count && strcmp(known->queue, queue) != 0) {
        known++;
    }
    world->limits_count += known == world->limits + world->limits_count;
    snprintf(known->queue, sizeof(known->queue), "%s", queue);
    known->limits = limits;
    assert_int_equal(ask(world, request).code, CODE_OK);
}

const char *world_delete(struct world *world, const char *queue)
{
    struct request *request = request_new(&delete_queue_operation);
    delete_queue_request(request)->name = str_of(queue);
    struct answer answer = ask(world, request);
    return answer.code == CODE_OK ? "" : answer.reason;
}

size_t world_try_start(struct world *world, enum run_kind kind, const char *queue, const char *key,
                       int32_t priority, const char **ret_reason)
{
    struct request *request = request_new(&start_operation);
    start_request(request)->spec = (struct run_spec){
        .kind = kind,
        .name = STR("flow"),
        .input = STR("null"),
        .options.queue = str_of(queue),
        .options.concurrency_key = str_of(key),
        .options.priority = priority,
    };
    /* Known before its task is given, so that the world can tell whose it is. */
    assert_true(world->run_count < WORLD_RUNS_MAX);
    struct world_run *run = &world->runs[world->run_count];
    *run = (struct world_run){.priority = priority, .host = -1};
    snprintf(run->queue, sizeof(run->queue), "%s", queue);
    snprintf(run->key, sizeof(run->key), "%s", key);
    struct answer answer = {0};
    request->done = answered;
    request->context = &answer;
    partition_post_always(world->partition, request);
    world->run_count++;
    while (!answer.is_there) {
        partition_round(world->partition);
        run->id = answer.run;
    }
    if (answer.code != CODE_OK) {
        world->run_count--;
        *ret_reason = answer.reason;
        return SIZE_MAX;
    }
    world_round(world);
    return (size_t)(run - world->runs);
}

size_t world_start(struct world *world, const char *queue, const char *key, int32_t priority)
{
    const char *reason = NULL;
    size_t run = world_try_start(world, RUN_KIND_WORKFLOW, queue, key, priority, &reason);
    assert_null(reason);
    return run;
}

void world_cancel(struct world *world, size_t run)
{
    struct request *request = request_new(&cancel_operation);
    request->run = world->runs[run].id;
    cancel_request(request)->cause = STR("the test wants it");
    struct answer answer = ask(world, request);
    if (answer.code == CODE_OK) {
        world->runs[run].is_over |= world->runs[run].epoch == 0;
        world->runs[run].is_cancelling = true;
    }
}

void world_sentence(struct world *world, size_t run, char ret[256])
{
    struct request *request = request_new(&get_operation);
    request->run = world->runs[run].id;
    struct answer answer = ask(world, request);
    assert_int_equal(answer.code, CODE_OK);
    memcpy(ret, answer.sentence, sizeof(answer.sentence));
}

struct queue_report world_queue(struct world *world, const char *queue)
{
    struct request *request = request_new(&list_queues_operation);
    char before[32];
    snprintf(before, sizeof(before), "%s", queue);
    before[strlen(before) - 1]--; /* Nothing sorts between. */
    queues_request(request)->after = str_of(before);
    queues_request(request)->limit = 1;
    return ask(world, request).queue;
}

/* ---- Hosts. ---- */

static struct payload *pack(const struct server_message *message)
{
    struct wire wire = {.kind = message->kind, .seq = message->seq};
    if (message->kind == SERVER_MESSAGE_TASK) {
        wire.task = message->task->task;
        wire.epoch = message->task->epoch;
        wire.is_cancelling = message->task->is_cancelling;
    } else if (message->kind == SERVER_MESSAGE_CANCEL) {
        wire.task = message->cancelled.task;
        wire.epoch = message->cancelled.epoch;
    }
    return payload_copy(str_make(&wire, sizeof(wire)));
}

static struct world_run *find_run(struct world *world, uuid id)
{
    for (size_t i = world->run_count; i > 0; i--) {
        if (uuid_equal(world->runs[i - 1].id, id)) {
            return &world->runs[i - 1];
        }
    }
    /* The one whose start is being answered: acts come in the order they were noted. */
    struct world_run *last = &world->runs[world->run_count - 1];
    assert_true(uuid_is_zero(last->id));
    last->id = id;
    return last;
}

static bool goes_before(const struct world_run *a, const struct world_run *b)
{
    return a->priority != b->priority ? a->priority > b->priority
                                      : memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes)) < 0;
}

static bool shares_key(const struct world_run *a, const struct world_run *b)
{
    return strcmp(a->queue, b->queue) == 0 && strcmp(a->key, b->key) == 0;
}

static void check_order(struct world *world, const struct world_run *run)
{
    for (size_t i = 0; i < world->run_count; i++) {
        const struct world_run *other = &world->runs[i];
        bool waits = other != run && !other->is_over && other->epoch == 0 &&
                     !uuid_is_zero(other->id) && shares_key(run, other);
        expect(world, !waits || !goes_before(other, run), "in a key the first goes first");
    }
}

static void check_limits(struct world *world, const struct world_run *run)
{
    for (size_t i = 0; i < world->limits_count; i++) {
        const struct world_limits *known = &world->limits[i];
        if (strcmp(known->queue, run->queue) != 0) {
            continue;
        }
        size_t all = world_held(world, run->queue, NULL);
        size_t of_key = world_held(world, run->queue, run->key);
        expect(world, known->limits.concurrency == 0 || all <= known->limits.concurrency,
               "a queue's limit holds");
        expect(world, known->limits.per_key == 0 || of_key <= known->limits.per_key,
               "a key's limit holds");
    }
}

static void take_task(struct world_host *host, const struct wire *wire)
{
    struct world *world = host->world;
    struct world_run *run = find_run(world, wire->task.run);
    bool is_start = wire->epoch == 1; /* A first one may have been lost on its way. */
    assert_true(world->given_count < WORLD_GIVEN_MAX);
    world->given[world->given_count].run = (size_t)(run - world->runs);
    world->given[world->given_count].at_ms = world->now_ms;
    world->given[world->given_count++].is_start = is_start;
    expect(world, run->host < 0, "a task is given once");
    if (is_start && run->queue[0] != '\0') {
        check_order(world, run);
    }
    run->epoch = wire->epoch;
    run->host = host->number;
    run->is_cancelling |= wire->is_cancelling;
    if (!run->is_cancelling) {
        check_limits(world, run);
    }
    size_t held = world_held(world, NULL, NULL);
    world->held_max = held > world->held_max ? held : world->held_max;
}

static void link_send(struct host_link *link, struct payload *payload)
{
    struct world_host *host = container_of(link, struct world_host, link);
    struct wire wire;
    memcpy(&wire, payload_bytes(payload).ptr, sizeof(wire));
    payload_unref(payload);
    host->heard = wire.seq > host->heard ? wire.seq : host->heard;
    if (wire.kind == SERVER_MESSAGE_TASK) {
        take_task(host, &wire);
    } else if (wire.kind == SERVER_MESSAGE_CANCEL) {
        find_run(host->world, wire.task.run)->is_cancelling = true;
    }
}

static void link_close(struct host_link *link, enum code code, enum reason reason, str message)
{
    (void)code, (void)reason, (void)message;
    struct world_host *host = container_of(link, struct world_host, link);
    drop_host(host->world, host->number);
}

static bool link_has_room(const struct host_link *link)
{
    (void)link;
    return true;
}

static const struct host_link_vtable link_vtable = {
    .pack = pack, .send = link_send, .has_room = link_has_room, .close = link_close};

void world_connect(struct world *world, int number, const char *default_queue)
{
    static const struct host_offer offers[] = {{TASK_WORKFLOW, {"flow", 4}}};
    struct world_host *host = &world->hosts[number];
    uint32_t life = host->life + 1;
    *host = (struct world_host){.link = {.vtable = &link_vtable},
                                .world = world,
                                .number = number,
                                .life = life,
                                .is_connected = true};
    struct request *request = request_new(&hello_operation);
    struct queue_default_offer *defaults =
        arena_zalloc(&request->arena, sizeof(struct queue_default_offer));
    *defaults = (struct queue_default_offer){STR("flow"), str_of(default_queue)};
    hello_request(request)->link = &host->link;
    hello_request(request)->hello = (struct host_hello){
        .host_id = arena_printf(&request->arena, "host-%d-%u", number, life),
        .deployment = STR("default"),
        .slots = world->slots,
        .offers = offers,
        .offer_count = 1,
    };
    hello_request(request)->defaults = defaults;
    hello_request(request)->default_count = 1;
    assert_int_equal(ask(world, request).code, CODE_OK);
}

void world_lose(struct world *world, int number)
{
    struct world_host *host = &world->hosts[number];
    struct request *request = request_new(&host_gone_operation);
    host_request(request)->link = &host->link;
    drop_host(world, number);
    ask(world, request);
}

static struct request *say(struct world *world, size_t run, struct host_message message)
{
    struct world_run *from = &world->runs[run];
    assert_true(from->host >= 0);
    struct world_host *host = &world->hosts[from->host];
    struct request *request = request_new(&host_message_operation);
    message.seq = ++host->seq;
    message.ack = host->heard;
    message.task = (struct task_ref){from->id, 1};
    message.epoch = from->epoch;
    host_request(request)->link = &host->link;
    host_request(request)->message = message;
    return request;
}

void world_done(struct world *world, size_t run)
{
    struct request *request =
        say(world, run,
            (struct host_message){.kind = HOST_MESSAGE_TASK_DONE,
                                  .outcome = {.value = STR("1")},
                                  .is_cancelled = world->runs[run].is_cancelling});
    const struct world_host *host = &world->hosts[world->runs[run].host];
    world->runs[run].host = -1;
    ask(world, request);
    world->runs[run].is_over = host->is_connected; /* Else its word was lost. */
}

void world_sleep(struct world *world, size_t run, uint64_t ms)
{
    struct request *asked =
        say(world, run,
            (struct host_message){
                .kind = HOST_MESSAGE_STEP_REQUEST,
                .step_request = {.kind = STEP_REQUEST_SLEEP, .due_ms = world->now_ms + ms},
            });
    host_request(asked)->message.key = arena_printf(&asked->arena, "nap-%u", world->runs[run].naps);
    ask(world, asked);
    if (world->runs[run].host < 0) {
        return; /* Its word was lost, and its stream with it. */
    }
    struct request *park = say(world, run,
                               (struct host_message){
                                   .kind = HOST_MESSAGE_PARK,
                                   .outcomes_seen = world->runs[run].naps++,
                               });
    world->runs[run].host = -1;
    ask(world, park);
}

size_t world_held(const struct world *world, const char *queue, const char *key)
{
    size_t held = 0;
    for (size_t i = 0; i < world->run_count; i++) {
        const struct world_run *run = &world->runs[i];
        held += run->host >= 0 && !run->is_cancelling &&
                (queue == NULL || strcmp(run->queue, queue) == 0) &&
                (key == NULL || strcmp(run->key, key) == 0);
    }
    return held;
}

size_t world_given(const struct world *world, size_t index)
{
    assert_true(index < world->given_count);
    return world->given[index].run;
}

/* Of a queue that was always as it is now. */
static const char *judge_rate(const struct world *world, const struct world_limits *known)
{
    uint64_t times[WORLD_RUNS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < world->given_count; i++) {
        const struct world_run *run = &world->runs[world->given[i].run];
        if (world->given[i].is_start && strcmp(run->queue, known->queue) == 0) {
            times[count++] = world->given[i].at_ms;
        }
    }
    uint32_t rate = known->limits.rate;
    for (size_t i = rate; rate > 0 && i < count; i++) {
        if (times[i] - times[i - rate] < known->limits.rate_period_ms) {
            return "a queue's rate holds";
        }
    }
    return NULL;
}

const char *world_judge(const struct world *world)
{
    const char *broken = world->broken;
    for (size_t i = 0; i < world->limits_count && broken == NULL; i++) {
        broken = judge_rate(world, &world->limits[i]);
    }
    return broken;
}
