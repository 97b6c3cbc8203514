/*
 * Watchers: each follows one run to its end, through slow times, broken streams and restarts, and
 * must see every fact once, in order, and every call's text without gap or repetition.
 */
#include "service/base/failure.h"
#include "service/features/reports/reports.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/request.h"
#include "service/reads/run_replay.h"
#include "tests/simulation/world.h"

enum shown_kind {
    SHOWN_FACT,
    SHOWN_DELTA,
    SHOWN_CAUGHT_UP,
    SHOWN_ENDED,
};

enum {
    SHOWN_TEXT_MAX = 64 * 1024,
    DELTA_PROGRESS = 4,
};

struct shown {
    enum shown_kind kind;
    uint32_t seq;
    uint32_t effect;
    uint32_t attempt;
    unsigned delta;
    uint64_t offset;
    uint64_t hash; /* FACT: of the event. */
    enum run_state state; /* ENDED. */
    bool is_read; /* ENDED: the store was read to its end; its state is not told. */
    size_t text_len; /* The text follows. */
};

struct sim_watcher {
    struct watcher watcher;
    struct world *world;
    struct sim_follow *follow;
    bool is_open; /* What it pushes is seen. */
    bool saw_end;
};

/* The position outlives every connection. */
struct sim_follow {
    struct world *world;
    uuid run;
    bool deltas;
    bool is_done;
    uint32_t seq;
    uint32_t effect;
    uint32_t attempt;
    uint64_t offset;
    struct sim_watcher *now; /* NULL: not connected. */
    uint64_t number; /* Of the connection. */
    uint64_t life;
    bool is_slow;
};

/* ---- The format. ---- */

static struct payload *make(struct shown *shown, str text)
{
    struct payload *payload = payload_new(sizeof(*shown) + text.len);
    shown->text_len = text.len;
    memcpy(payload_data(payload), shown, sizeof(*shown));
    if (text.len > 0) {
        memcpy(payload_data(payload) + sizeof(*shown), text.ptr, text.len);
    }
    return payload;
}

static void format_fact(const struct codec_entry *entry, const struct event *event,
                        void (*each)(void *context, struct payload *payload), void *context)
{
    struct shown shown = {0};
    shown.kind = SHOWN_FACT;
    shown.seq = entry->seq;
    shown.hash = str_hash(entry->body) * 31 + (uint64_t)event->kind;
    each(context, make(&shown, STR_EMPTY));
}

static struct payload *format_delta(uint32_t seq, uint32_t effect, uint32_t attempt,
                                    uint64_t offset, uint32_t step, unsigned kind, str text)
{
    (void)step;
    struct shown shown = {0};
    shown.kind = SHOWN_DELTA;
    shown.seq = seq;
    shown.effect = effect;
    shown.attempt = attempt;
    shown.offset = offset;
    shown.delta = kind;
    return make(&shown, text);
}

static struct payload *format_caught_up(uint32_t seq)
{
    struct shown shown = {0};
    shown.kind = SHOWN_CAUGHT_UP;
    shown.seq = seq;
    return make(&shown, STR_EMPTY);
}

static void format_ended(const struct run_report *report, struct watcher *watchers)
{
    struct watcher *next;
    for (struct watcher *watcher = watchers; watcher != NULL; watcher = next) {
        struct shown shown = {0};
        next = watcher->next;
        shown.kind = SHOWN_ENDED;
        shown.is_read = report == NULL;
        shown.seq = report == NULL ? 0 : report->state.seq;
        shown.state = report == NULL ? 0 : report->state.state;
        watcher->follower.push(&watcher->follower, make(&shown, STR_EMPTY));
        watcher->follower.end(&watcher->follower, NULL);
    }
}

const struct watch_format world_format = {
    .fact = format_fact,
    .delta = format_delta,
    .caught_up = format_caught_up,
    .ended = format_ended,
};

/* ---- What is seen. ---- */

static void see_fact(struct sim_follow *follow, const struct shown *shown)
{
    struct world *world = follow->world;
    const struct sim_run *run = world_find_run(world, follow->run);
    world_expect(world, shown->seq == follow->seq + 1, "watchers-see-each-fact-once-in-order");
    world_expect(world, shown->seq <= run->ledger.events, "watchers-see-only-what-is-durable");
    if (!world_is_well(world)) {
        world_detail(world, "seq %u after %u, durable up to %u", shown->seq, follow->seq,
                     run->ledger.events);
        return;
    }
    world_expect(world, run->facts[shown->seq - 1] == shown->hash, "watchers-see-what-is-written");
    follow->seq = shown->seq;
    world->counts.facts_shown++;
}

static void see_text(struct sim_follow *follow, const struct shown *shown, const char *text)
{
    struct world *world = follow->world;
    const struct sim_run *run = world_find_run(world, follow->run);
    bool is_same = follow->effect == shown->effect && follow->attempt == shown->attempt;
    uint64_t expected = is_same ? follow->offset : 0;
    uint64_t begin = shown->offset - shown->text_len;
    world->counts.deltas++;
    world_expect(world, begin <= expected, "no-gap-in-the-text");
    world_expect(world, begin >= expected, "no-repetition-in-the-text");
    const struct ledger_effect *effect = ledger_open(&run->ledger, shown->effect);
    world_expect(world, effect != NULL && effect->attempt == shown->attempt,
                 "text-is-of-the-call-in-flight");
    static char wanted[SHOWN_TEXT_MAX];
    uint64_t seed = world_text_seed(world, run->marker, run->ledger.replies, shown->attempt);
    world_model_text(seed, begin, shown->text_len, wanted);
    world_expect(world, memcmp(wanted, text, shown->text_len) == 0, "text-is-the-calls");
    follow->effect = shown->effect;
    follow->attempt = shown->attempt;
    follow->offset = shown->offset;
}

static void see(struct sim_watcher *it, const struct shown *shown, const char *text)
{
    struct world *world = it->world;
    struct sim_follow *follow = it->follow;
    world_expect(world, !it->saw_end, "nothing-follows-the-end");
    const struct sim_run *run = world_find_run(world, follow->run);
    switch (shown->kind) {
    case SHOWN_FACT:
        see_fact(follow, shown);
        break;
    case SHOWN_DELTA:
        world_expect(world, follow->deltas, "deltas-only-for-those-who-want-them");
        world_expect(world, shown->seq == follow->seq, "deltas-stand-between-the-right-facts");
        if (shown->delta != DELTA_PROGRESS && world_is_well(world)) {
            see_text(follow, shown, text);
        }
        break;
    case SHOWN_CAUGHT_UP:
        world_expect(world, shown->seq == follow->seq && follow->seq <= run->ledger.events,
                     "caught-up-is-said-when-it-is-so");
        break;
    case SHOWN_ENDED:
        it->saw_end = true;
        world_expect(world, run->ledger.ended != EVENT_NONE, "the-end-is-durable");
        world_expect(world, follow->seq == run->ledger.events, "all-facts-come-before-the-end");
        world_expect(world, shown->is_read || shown->state == run->folded.state,
                     "the-end-is-the-runs");
        break;
    }
}

static void disconnect(struct world *world, void *context, uint64_t number);

/* Between two facts of one record. */
static bool is_in_between(const struct sim_watcher *it, const struct shown *shown)
{
    const struct sim_run *run = world_find_run(it->world, it->follow->run);
    return shown->kind == SHOWN_FACT && !(run->kinds[shown->seq - 1] & 0x80);
}

static struct sim_watcher *watcher_by(struct follower *follower)
{
    return container_of(watcher_of(follower), struct sim_watcher, watcher);
}

static void push(struct follower *follower, struct payload *payload)
{
    struct sim_watcher *it = watcher_by(follower);
    if (it->is_open && world_sees(it->world) && world_is_well(it->world)) {
        const struct shown *shown = (const struct shown *)payload_bytes(payload).ptr;
        see(it, shown, payload_bytes(payload).ptr + sizeof(*shown));
        if (world_is_well(it->world) && is_in_between(it, shown) && world_fault(it->world, 6)) {
            it->is_open = false; /* The stream breaks here. */
            world_at(it->world, 0, disconnect, it->follow, it->follow->number);
        }
    }
    payload_unref(payload);
}

static bool stalls(struct follower *follower)
{
    const struct sim_watcher *it = watcher_by(follower);
    bool is_full = it->is_open && it->follow->is_slow;
    it->world->counts.stalls += is_full;
    return is_full;
}

static void connect(struct world *world, void *context, uint64_t number);

static void connect_later(struct sim_follow *follow)
{
    follow->now = NULL;
    follow->number++;
    world_at(follow->world, 20 + world_below(follow->world, 3000), connect, follow, follow->number);
}

static void end(struct follower *follower, const struct failure *failure)
{
    struct sim_watcher *it = watcher_by(follower);
    struct sim_follow *follow = it->follow;
    bool is_seen = it->is_open && !it->world->is_dead;
    it->is_open = false;
    if (follow->now != it) {
        return;
    }
    if (!is_seen || failure != NULL) {
        bool may_fail = failure == NULL || failure->code == CODE_UNAVAILABLE ||
                        failure->code == CODE_RESOURCE_EXHAUSTED ||
                        world_is_damage(it->world, failure);
        world_expect(it->world, !is_seen || may_fail, "watchers-are-not-turned-away");
        connect_later(follow);
        return;
    }
    world_expect(it->world, it->saw_end, "the-end-is-an-event");
    follow->now = NULL;
    follow->is_done = true;
}

/* ---- Coming and going. ---- */

static void free_done(struct request *request, const struct failure *failure)
{
    struct world *world = request->context;
    (void)failure;
    world->open_requests--;
    request_free(request);
}

static void watch_done(struct request *request, const struct failure *failure)
{
    struct sim_watcher *it = request->context;
    struct sim_follow *follow = it->follow;
    it->world->open_requests--;
    if (failure != NULL && follow->now == it) {
        bool may_fail = it->world->is_dead || failure->code == CODE_UNAVAILABLE ||
                        world_is_damage(it->world, failure);
        world_expect(it->world, may_fail, "runs-that-were-promised-can-be-watched");
        if (!may_fail) {
            world_detail(it->world, "%s", reason_name(failure->reason));
        }
        it->is_open = false;
        connect_later(follow);
    }
    request_free(request);
}

/* ---- What lies behind. ---- */

static void show_each(void *context, struct payload *payload)
{
    push(context, payload);
}

static bool show(struct run_replay *replay, const struct codec_entry *entry,
                 const struct event *event)
{
    struct sim_watcher *it = replay->read.context;
    it->world->counts.facts_read++;
    format_fact(entry, event, show_each, &it->watcher.follower);
    return !stalls(&it->watcher.follower);
}

static void replayed(struct read *read, const struct failure *failure)
{
    struct sim_watcher *it = read->context;
    struct world *world = it->world;
    struct request *request = request_new(&follow_join_operation);
    struct follow_join_request *join = follow_join_request(request);
    join->follow.follower = &it->watcher.follower;
    join->number = run_replay(read)->seq;
    join->is_full = run_replay(read)->ret_full;
    join->has_all = run_replay(read)->ret_ended;
    if (failure != NULL) {
        join->failure = *failure;
        join->failure.message = STR_EMPTY; /* It lives as long as the read. */
    }
    request->context = world;
    request->done = free_done;
    read_free(read);
    if (!world_post(world, request)) {
        world->open_requests--;
    }
}

static void replay(struct follower *follower)
{
    struct sim_watcher *it = watcher_by(follower);
    struct read *read = read_new(&run_replay_kind);
    read->run = it->follow->run;
    read->context = it;
    read->done = replayed;
    run_replay(read)->seq = (uint32_t)follower->number;
    run_replay(read)->show = show;
    it->world->open_requests++; /* Until its join is answered. */
    world_read_always(it->world, read);
}

static void tell(struct sim_follow *follow, const struct operation *operation)
{
    struct request *request = request_new(operation);
    follow_request(request)->follower = &follow->now->watcher.follower;
    request->context = follow->world;
    request->done = free_done;
    if (world_post(follow->world, request)) {
        follow->world->open_requests++;
    }
}

static void change_pace(struct world *world, void *context, uint64_t number)
{
    struct sim_follow *follow = context;
    if (follow->number != number || follow->now == NULL) {
        return;
    }
    bool was_slow = follow->is_slow;
    follow->is_slow = world_fault(world, 40);
    if (was_slow && !follow->is_slow) {
        tell(follow, &follow_more_operation);
    }
    world_at(world, 1 + world_below(world, 3000), change_pace, follow, number);
}

static void disconnect(struct world *world, void *context, uint64_t number)
{
    struct sim_follow *follow = context;
    if (follow->number != number || follow->now == NULL || world->calm) {
        return;
    }
    tell(follow, &follow_end_operation);
    follow->now->is_open = false;
    connect_later(follow);
}

static void connect(struct world *world, void *context, uint64_t number)
{
    struct sim_follow *follow = context;
    if (follow->number != number || follow->is_done) {
        return;
    }
    struct sim_watcher *it = arena_zalloc(&world->arena, sizeof(*it));
    it->world = world;
    it->follow = follow;
    it->is_open = true;
    it->watcher.follower.push = push;
    it->watcher.follower.stalls = stalls;
    it->watcher.follower.read = replay;
    it->watcher.follower.end = end;
    it->watcher.deltas = follow->deltas;
    it->watcher.follower.number = follow->seq;
    it->watcher.effect = follow->effect;
    it->watcher.attempt = follow->attempt;
    it->watcher.offset = follow->offset;
    follow->is_slow = world_fault(world, 20);
    struct request *request = request_new(&watch_operation);
    request->run = follow->run;
    watch_request(request)->watcher = &it->watcher;
    request->context = it;
    request->done = watch_done;
    if (!world_post(world, request)) {
        connect_later(follow);
        return;
    }
    follow->now = it;
    follow->number++;
    world->open_requests++;
    world->counts.watches++;
    world_at(world, 1 + world_below(world, 2000), change_pace, follow, follow->number);
    if (world_fault(world, 60)) {
        world_at(world, world_below(world, 8000), disconnect, follow, follow->number);
    }
}

struct sim_follow *world_follow(struct world *world, uuid run, bool deltas)
{
    struct sim_follow *follow = arena_zalloc(&world->arena, sizeof(*follow));
    follow->world = world;
    follow->run = run;
    follow->deltas = deltas;
    connect_later(follow);
    return follow;
}

bool world_follow_is_done(const struct sim_follow *follow)
{
    return follow->is_done;
}
