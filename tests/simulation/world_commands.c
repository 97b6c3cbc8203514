/*
 * Those who answer, cancel, fork, retry and publish, at any time. Once the world is calm, somebody
 * answers every suspension and publishes what may still be awaited, so that every run can end.
 */
#include "service/base/failure.h"
#include "service/codec/topic_rows.h"
#include "service/features/forks/forks.h"
#include "service/features/publications/publications.h"
#include "service/features/reports/reports.h"
#include "service/features/suspensions/suspensions.h"
#include "service/partition/request.h"
#include "service/reads/suspensions.h"
#include "tests/simulation/world.h"

enum {
    ANSWER_ALL_MS = 4000,
    ANSWER_ALL_LATER_MS = 30000, /* When the world has been calm for long. */
    PUBLISHES_AFTER_MS = 40000, /* Longer than a lost wake-up may stay unseen. */
    LIST_ALL = 1000,
};

struct sim_command {
    struct sim_ask base;
    uuid run;
    uint32_t effect;
    str key;
    str by;
    bool is_misfit;
    uint32_t after_seq;
    uuid copy; /* The run that the key has made; zero: none was told of. */
    unsigned topic;
    struct topic_event *events;
    size_t count;
    size_t limit; /* Of a page. */
    bool is_first;
    uint64_t event_number; /* The last event when it was asked. */
};

static struct sim_command *sim_command_new(struct world *world, uuid run)
{
    struct sim_command *it = arena_zalloc(&world->arena, sizeof(*it));
    it->base.world = world;
    it->run = run;
    return it;
}

static void post(struct sim_command *it, struct request *request, request_done *done)
{
    request->run = it->run;
    world_ask(&it->base, request, done);
}

/* ---- Answering. ---- */

static struct sim_resume resume_of(const struct sim_command *it)
{
    return (struct sim_resume){it->run, it->effect, it->key, it->by, it->is_misfit};
}

static void resume_done(struct request *request, const struct failure *failure)
{
    struct sim_command *it = world_answered(request);
    if (it != NULL) {
        const struct sim_resume resume = resume_of(it);
        if (failure != NULL) {
            laws_judge_refusal(it->base.world, &resume, failure);
        } else {
            laws_judge_resume(it->base.world, &resume, resume_request(request)->ret_accepted,
                              resume_request(request)->ret_kept);
        }
    }
    request_free(request);
}

/* effect 0: by key. is_misfit: it does not fit the schema that some are asked with. */
static void resume(struct world *world, uuid run, uint32_t effect, str key, bool is_misfit)
{
    struct sim_command *it = sim_command_new(world, run);
    struct request *request = request_new(&resume_operation);
    it->key = key;
    it->effect = effect;
    it->by = arena_printf(&world->arena, "%s-%llu", effect == 0 ? "caller" : "id",
                          (unsigned long long)++world->child_number);
    resume_request(request)->effect = effect;
    resume_request(request)->key = effect == 0 ? key : STR_EMPTY;
    it->is_misfit = is_misfit;
    resume_request(request)->data = is_misfit ? STR("{\"no\":1}") : STR("{\"yes\":true}");
    resume_request(request)->by = it->by;
    post(it, request, resume_done);
}

/* Also by the root of its tree, also what is over. */
void world_answer_early(struct world *world, uuid run)
{
    resume(world, run, 0,
           arena_printf(&world->arena, "early-%llu", (unsigned long long)world->child_number),
           false);
}

static void resume_something(struct world *world, const struct sim_run *run)
{
    str key = arena_printf(&world->arena, "k%u", (unsigned)world_below(world, 6));
    uint32_t effect = 0;
    for (size_t i = 0; i < run->wait_count && world_below(world, 10) < 7; i++) {
        if (run->waits[i].kind == EFFECT_SUSPENSION) {
            key = run->waits[i].key;
            effect = run->waits[i].effect;
        }
    }
    effect = world_below(world, 3) == 0 ? effect : 0;
    uuid named = effect == 0 && world_below(world, 3) == 0 ? run->root : run->id;
    bool is_misfit = world_below(world, 3) == 0;
    resume(world, named, effect, key, is_misfit);
    if (world_below(world, 3) == 0) {
        resume(world, named, effect, key, is_misfit); /* Twice, perhaps in one round. */
    }
}

/* ---- Listing. ---- */

static void list(struct world *world, struct sim_command *it, const struct open_suspension *after);

static size_t count_open(const struct world *world)
{
    size_t count = 0;
    for (size_t i = 0; i < world->run_count; i++) {
        bool is_damaged = world->runs[i]->is_damaged; /* What it asked is not known. */
        for (size_t j = 0; j < world->runs[i]->wait_count && !is_damaged; j++) {
            const struct sim_wait *wait = &world->runs[i]->waits[j];
            count += wait->is_open && wait->kind == EFFECT_SUSPENSION;
        }
    }
    return count;
}

static void judge_suspension(struct world *world, const struct open_suspension *suspension)
{
    const struct sim_run *run = world_find_run(world, suspension->run);
    const struct sim_wait *wait = run == NULL ? NULL : sim_run_wait_of(run, suspension->effect);
    world_expect(world, wait != NULL && wait->kind == EFFECT_SUSPENSION,
                 "what-is-listed-is-suspended");
    if (world_is_well(world)) {
        world_expect(
            world,
            str_equal(wait->key, suspension->step_key) && str_equal(wait->data, suspension->data) &&
                wait->has_schema == str_equal(WORLD_SCHEMA, suspension->answer_schema) &&
                wait->since_ms == suspension->since_ms && wait->due_ms == suspension->deadline_ms &&
                str_equal(run->name, suspension->name),
            "a-listed-suspension-is-the-runs");
    }
}

/* Between its pages some were answered, and others came. */
static bool is_as_before(const struct world *world, const struct sim_command *it)
{
    return it->is_first && it->event_number == world->event_number;
}

static void list_was_read(struct read *read, const struct failure *failure)
{
    struct sim_command *it = world_heard(read);
    if (it == NULL || failure != NULL) {
        if (it != NULL) {
            world_fail_law(it->base.world, failure, false, "suspensions-can-be-listed");
        }
        read_free(read);
        return;
    }
    struct world *world = it->base.world;
    const struct suspensions_read *page = suspensions_read(read);
    size_t shown = 0;
    for (size_t i = 0; i < page->ret_count && world_is_well(world); i++) {
        const struct open_suspension *suspension = &page->ret[i];
        shown += !world_find_run(world, suspension->run)->is_damaged;
        judge_suspension(world, suspension);
        world_expect(world, i == 0 || suspension[-1].since_ms <= suspension->since_ms,
                     "the-oldest-is-listed-first");
        if (world->calm) {
            bool is_by_key = world_below(world, 3) == 0; /* Which may mean several. */
            resume(world, suspension->run, is_by_key ? 0 : suspension->effect,
                   arena_copy(&world->arena, suspension->step_key), false);
        }
    }
    bool is_all = is_as_before(world, it) && !page->ret_more;
    world_expect(world, !is_all || shown == count_open(world), "all-suspensions-are-listed");
    world->counts.reads++;
    if (page->ret_more && world_is_well(world)) {
        world_expect(world, page->ret_count == it->limit, "pages-are-full");
        list(world, sim_command_new(world, it->run), &page->ret[page->ret_count - 1]);
    }
    read_free(read);
}

static void list(struct world *world, struct sim_command *it, const struct open_suspension *after)
{
    struct read *read = read_new(&suspensions_kind);
    it->is_first = after == NULL;
    it->event_number = world->event_number;
    it->limit = world_below(world, 2) == 0 ? LIST_ALL : 1 + world_below(world, 4);
    suspensions_read(read)->limit = it->limit;
    if (after != NULL) {
        suspensions_read(read)->after_ms = after->since_ms;
        suspensions_read(read)->after_run = after->run;
        suspensions_read(read)->after_effect = after->effect;
    }
    read->done = list_was_read;
    world_ask_read(&it->base, read);
}

/* ---- Publishing. ---- */

static void publish_done(struct request *request, const struct failure *failure)
{
    struct sim_command *it = world_answered(request);
    if (it != NULL && failure != NULL) {
        world_fail_law(it->base.world, failure, false, "events-can-be-published");
    } else if (it != NULL) {
        const struct sim_topic *topic = &it->base.world->topics[it->topic];
        for (size_t i = 0; i < it->count; i++) {
            uint64_t sequence = publish_request(request)->ret_first + i;
            bool is_there = sequence > 0 && sequence <= topic->count &&
                            str_equal(topic->events[sequence - 1].data, it->events[i].data);
            world_expect(it->base.world, is_there, "acknowledged-events-are-durable");
        }
    }
    request_free(request);
}

static void publish(struct world *world, unsigned topic, const char *type, size_t count,
                    bool is_large)
{
    struct sim_command *it = sim_command_new(world, (uuid){{0}});
    struct request *request = request_new(&publish_operation);
    it->topic = topic;
    it->count = count;
    it->events = arena_zalloc(&world->arena, count * sizeof(*it->events));
    for (size_t i = 0; i < count; i++) {
        it->events[i] = (struct topic_event){
            .topic = world_topic_name(topic),
            .type = str_of(type),
            .data = world_draw_event(world, is_large),
        };
    }
    publish_request(request)->events = it->events;
    publish_request(request)->count = count;
    post(it, request, publish_done);
}

/* ---- Dropping events. ---- */

static void drop_done(struct request *request, const struct failure *failure)
{
    struct sim_command *it = world_answered(request);
    if (it != NULL && failure != NULL) {
        const struct sim_topic *topic = &it->base.world->topics[it->topic];
        bool is_gone =
            failure->code == CODE_NOT_FOUND && topic->first > it->count; /* When it was asked. */
        bool is_in_use =
            failure->code == CODE_FAILED_PRECONDITION && it->topic >= WORLD_CODE_TOPICS;
        world_fail_law(it->base.world, failure, is_gone || is_in_use, "events-can-be-dropped");
    } else if (it != NULL) {
        uint64_t up_to = delete_topic_request(request)->up_to;
        const struct sim_topic *topic = &it->base.world->topics[it->topic];
        world_expect(it->base.world, topic->first > up_to || topic->first > it->count,
                     "acknowledged-drops-are-durable");
    }
    request_free(request);
}

static void drop(struct world *world, unsigned topic)
{
    struct sim_command *it = sim_command_new(world, (uuid){{0}});
    struct request *request = request_new(&delete_topic_operation);
    it->topic = topic;
    it->count = world->topics[topic].count;
    delete_topic_request(request)->topic = world_topic_name(topic);
    delete_topic_request(request)->up_to = world_below(world, 1 + it->count);
    post(it, request, drop_done);
}

/* ---- Forking, retrying, cancelling. ---- */

static void cancel_half(struct world *world, void *context, uint64_t number)
{
    const struct sim_run *run = world_find_run(world, *(const uuid *)context);
    (void)number;
    if (run->is_half) {
        world_cancel(world, run->id);
    }
}

/* While it has a part of its history only, it can be cancelled. */
static void meet_half(struct world *world, const struct sim_run *fork)
{
    if (fork != NULL && fork->is_half && world_below(world, 2) == 0) {
        world_at(world, world_below(world, 20), cancel_half, (void *)&fork->id, 0);
    }
}

static void judge_fork(struct world *world, const struct sim_run *source, uuid id,
                       uint32_t after_seq)
{
    const struct sim_run *fork = world_find_run(world, id);
    bool is_begun =
        fork != NULL && (fork->is_half || fork->was_cut || fork->ledger.events >= after_seq);
    world_expect(world, is_begun, "acknowledged-forks-are-durable");
    if (!world_is_well(world) || fork->is_half || fork->was_cut) {
        return; /* The rest is a law of copies. */
    }
    world_expect(world, fork->times[after_seq - 1] == fork->times[0],
                 "a-fork-ends-where-it-starts");
    for (uint32_t i = 0; i < after_seq && world_is_well(world); i++) {
        world_expect(world, (source->kinds[i] & 0x7f) == (fork->kinds[i] & 0x7f),
                     "a-fork-begins-with-the-facts");
    }
}

static void copy_again(struct world *world, void *context, uint64_t number);

/* Whoever asks again with the key is told of the same run, whatever happened in between. */
static void judge_copy_key(struct sim_command *it, struct request *request)
{
    uuid copy = report_request(request)->ret->state.id;
    struct world *world = it->base.world;
    bool is_again = !uuid_is_zero(it->copy);
    world_expect(world, fork_request(request)->ret_existed == is_again,
                 "a-copy-is-made-once-for-its-key");
    world_expect(world, !is_again || uuid_equal(copy, it->copy), "a-key-finds-its-copy");
    if (it->key.len > 0 && world_below(world, 3) > 0) {
        struct sim_command *again = sim_command_new(world, it->run);
        again->key = it->key;
        again->copy = copy;
        again->after_seq = it->after_seq;
        world_at(world, world_below(world, 20000), copy_again, again, 0);
    }
}

/* The copy that the key had made was deleted. */
static bool is_copy_gone(const struct sim_command *it, const struct failure *failure)
{
    const struct sim_run *copy = world_find_run(it->base.world, it->copy);
    return failure->reason == REASON_RUN_DELETED && copy != NULL && copy->is_gone;
}

static void fork_done(struct request *request, const struct failure *failure)
{
    struct sim_command *it = world_answered(request);
    const struct sim_run *source = it == NULL ? NULL : world_find_run(it->base.world, it->run);
    bool is_end = source != NULL && it->after_seq <= source->ledger.events &&
                  (source->kinds[it->after_seq - 1] & 0x80);
    if (it != NULL && failure == NULL) {
        world_expect(it->base.world, is_end, "forks-begin-between-transitions");
        judge_copy_key(it, request);
        judge_fork(it->base.world, source, report_request(request)->ret->state.id, it->after_seq);
        meet_half(it->base.world,
                  world_find_run(it->base.world, report_request(request)->ret->state.id));
    } else if (it != NULL) {
        bool is_last = it->after_seq == source->ledger.events && source->ledger.ended != EVENT_NONE;
        bool may = failure->code == CODE_FAILED_PRECONDITION ||
                   (failure->code == CODE_INVALID_ARGUMENT && (!is_end || is_last));
        may = uuid_is_zero(it->copy) ? may : is_copy_gone(it, failure);
        world_fail_law(it->base.world, failure, may, "runs-can-be-forked");
    }
    request_free(request);
}

static void retry_done(struct request *request, const struct failure *failure)
{
    struct sim_command *it = world_answered(request);
    if (it != NULL) {
        const struct sim_run *source = world_find_run(it->base.world, it->run);
        bool has_failed = source->ledger.ended == EVENT_RUN_FAILED;
        if (failure == NULL) {
            const struct sim_run *run =
                world_find_run(it->base.world, report_request(request)->ret->state.id);
            world_expect(it->base.world, has_failed, "only-failed-runs-are-retried");
            world_expect(it->base.world, run != NULL && run->is_fork,
                         "acknowledged-retries-are-durable");
            judge_copy_key(it, request);
        } else {
            bool may = uuid_is_zero(it->copy) ? failure->code == CODE_FAILED_PRECONDITION
                                              : is_copy_gone(it, failure);
            world_fail_law(it->base.world, failure, may, "failed-runs-can-be-retried");
        }
    }
    request_free(request);
}

/* after_seq 0: a retry. */
static void post_copy(struct sim_command *it)
{
    static const char *const words[] = {"retry", "fork"};
    bool is_fork = it->after_seq > 0;
    struct request *request = request_new(is_fork ? &fork_operation : &retry_operation);
    struct fork_request *fork = fork_request(request);
    fork->after_seq = it->after_seq;
    fork->idempotency_key = it->key;
    memset(fork->digest, words[is_fork][0], sizeof(fork->digest)); /* Keys are for one request. */
    post(it, request, is_fork ? fork_done : retry_done);
}

static void copy_again(struct world *world, void *context, uint64_t number)
{
    (void)world, (void)number;
    post_copy(context);
}

static str copy_key(struct world *world)
{
    unsigned long long number = (unsigned long long)++world->child_number;
    return world_below(world, 2) == 0 ? STR_EMPTY
                                      : arena_printf(&world->arena, "copy-%llu", number);
}

static void fork_run(struct world *world, const struct sim_run *run)
{
    struct sim_command *it = sim_command_new(world, run->id);
    it->after_seq = 1 + (uint32_t)world_below(world, run->ledger.events);
    while (world_below(world, 10) < 8 && it->after_seq < run->ledger.events &&
           !(run->kinds[it->after_seq - 1] & 0x80)) {
        it->after_seq++;
    }
    it->key = copy_key(world);
    post_copy(it);
}

static void retry(struct world *world, const struct sim_run *run)
{
    struct sim_command *it = sim_command_new(world, run->id);
    it->key = copy_key(world);
    post_copy(it);
}

static void cancel_done(struct request *request, const struct failure *failure)
{
    struct sim_command *it = world_answered(request);
    if (it != NULL) {
        const struct sim_run *run = world_find_run(it->base.world, it->run);
        bool has_ended = run->ledger.ended != EVENT_NONE;
        if (failure == NULL) {
            world_expect(it->base.world, has_ended || run->ledger.is_cancelling,
                         "a-cancelled-run-ends-or-cleans-up");
        } else {
            bool is_late = failure->code == CODE_FAILED_PRECONDITION && has_ended;
            world_fail_law(it->base.world, failure, is_late, "live-runs-can-be-cancelled");
        }
    }
    request_free(request);
}

void world_cancel(struct world *world, uuid run)
{
    struct request *request = request_new(&cancel_operation);
    cancel_request(request)->cause = STR("somebody meddled");
    post(sim_command_new(world, run), request, cancel_done);
}

/* ---- When. ---- */

/* A copy is told from its original by the marker; a tick's or an event's must not come twice. */
static bool may_copy(const struct world *world, const struct sim_run *run)
{
    return world->run_count < (world->is_branching ? 300 : 50) && !run->is_by_machine;
}

/* Whether one that outlives it has ended: its successor may have to be told of that at once. */
static bool is_outlived(const struct world *world, const struct sim_run *run)
{
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *child = world->runs[i];
        if (child->outlives_parent && child->parent_effect != 0 &&
            child->ledger.ended != EVENT_NONE && uuid_equal(child->parent, run->id)) {
            return true;
        }
    }
    return false;
}

/* Of those that have failed; where none has, it is refused. */
static void retry_the_last(struct world *world)
{
    const struct sim_run *run = world->runs[0];
    bool prefers_outlived = world_below(world, 2) == 0;
    bool found = false;
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *other = world->runs[i];
        if (other->ledger.ended != EVENT_RUN_FAILED || other->is_by_machine) {
            continue;
        }
        bool is_preferred = prefers_outlived && is_outlived(world, other);
        run = is_preferred || !found ? other : run;
        found |= is_preferred;
    }
    if (may_copy(world, run)) {
        retry(world, run);
    }
}

static void do_command(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    if (world->calm) {
        return;
    }
    world_at(world, 100 + world_below(world, 5000), do_command, NULL, 0);
    unsigned what = (unsigned)world_below(world, 100);
    unsigned topic = (unsigned)world_below(world, WORLD_TOPICS + 3);
    topic = topic < WORLD_TOPICS ? topic : WORLD_TOPICS - 1 - topic % 2; /* Of triggers. */
    if (what < 4) {
        drop(world, (unsigned)world_below(world, WORLD_TOPICS));
        return;
    }
    if (what < 25) {
        const char *type = world_below(world, 2) == 0 ? "a" : "b";
        publish(world, topic, type, 1 + world_below(world, 3), false);
        bool is_burst = world->is_heavy && draw_below(&world->peers, 8) == 0;
        for (size_t i = 0; i < 4 && is_burst; i++) { /* More than a round takes. */
            publish(world, topic, type, 2, true);
        }
        return;
    }
    if (world->run_count == 0) {
        return;
    }
    world_send_some(world);
    const struct sim_run *run = world->runs[world_below(world, world->run_count)];
    if (world->is_branching && what < 45) {
        world_cancel(world, world_find_run(world, run->root)->id);
    } else if (world->is_branching && what < 65) {
        retry_the_last(world);
    } else if (what < 65) {
        resume_something(world, run);
    } else if (what < 75) {
        list(world, sim_command_new(world, (uuid){{0}}), NULL);
    } else if (what < 82) {
        run = world_below(world, 2) == 0 ? run : world_find_run(world, run->root);
        world_cancel(world, run->id);
    } else if (what < 90 && may_copy(world, run)) {
        fork_run(world, run);
    } else if (may_copy(world, run)) {
        retry_the_last(world);
    }
}

static void answer_all(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    bool is_late = world->calm && world->time_ms > world->calm_ms + 4 * PUBLISHES_AFTER_MS;
    world_at(world, is_late ? ANSWER_ALL_LATER_MS : ANSWER_ALL_MS, answer_all, NULL, 0);
    if (!world->calm) {
        return;
    }
    list(world, sim_command_new(world, (uuid){{0}}), NULL);
    if (world->time_ms < world->calm_ms + PUBLISHES_AFTER_MS) {
        return;
    }
    for (unsigned i = 0; i < WORLD_CODE_TOPICS; i++) {
        publish(world, i, "a", 1, false);
        publish(world, i, "b", 1, false);
    }
}

void world_commands_begin(struct world *world)
{
    world_at(world, 2000, do_command, NULL, 0);
    world_at(world, ANSWER_ALL_MS, answer_all, NULL, 0);
}
