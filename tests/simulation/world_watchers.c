/*
 * Watchers: each follows one run, or a root with all runs below it, to its end, through slow times,
 * broken streams and restarts, and must see every fact once, in order, and every call's text
 * without gap or repetition; of a tree, within one connection.
 */
#include "service/base/failure.h"
#include "service/features/reports/reports.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/request.h"
#include "service/reads/run_replay.h"
#include "service/reads/tree_replay.h"
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
    bool is_tree;
    struct tree_point at; /* Of a tree. */
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

/* What was seen of one run; of its call's text too. */
struct seen {
    uuid run;
    uint32_t seq;
    struct text_mark text;
};

/* The position outlives every connection. */
struct sim_follow {
    struct world *world;
    uuid run;
    bool deltas;
    bool is_tree;
    bool is_done;
    uint64_t number; /* In the tree's order. */
    struct seen *seen; /* The run itself first. */
    size_t seen_count;
    size_t seen_capacity;
    struct sim_watcher *now; /* NULL: not connected. */
    uint64_t connection;
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

static void put_point(struct shown *shown, const struct tree_point *at)
{
    shown->is_tree = at != NULL;
    if (at != NULL) {
        shown->at = *at;
    }
}

static void format_fact(const struct tree_point *at, const struct codec_entry *entry,
                        const struct event *event,
                        void (*each)(void *context, struct payload *payload), void *context)
{
    struct shown shown = {0};
    put_point(&shown, at);
    shown.kind = SHOWN_FACT;
    shown.seq = entry->seq;
    shown.hash = str_hash(entry->body) * 31 + (uint64_t)event->kind;
    each(context, make(&shown, STR_EMPTY));
}

static struct payload *format_delta(const struct tree_point *at, const struct watch_delta *delta)
{
    struct shown shown = {0};
    put_point(&shown, at);
    shown.kind = SHOWN_DELTA;
    shown.seq = delta->seq;
    shown.effect = delta->effect;
    shown.attempt = delta->attempt;
    shown.offset = delta->offset;
    shown.delta = delta->kind;
    return make(&shown, delta->text);
}

static struct payload *format_caught_up(bool is_tree, uint64_t number)
{
    struct shown shown = {0};
    shown.kind = SHOWN_CAUGHT_UP;
    shown.is_tree = is_tree;
    shown.at.number = number;
    shown.seq = (uint32_t)number;
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

static struct seen *seen_of(struct sim_follow *follow, uuid run)
{
    for (size_t i = 0; i < follow->seen_count; i++) {
        if (uuid_equal(follow->seen[i].run, run)) {
            return &follow->seen[i];
        }
    }
    if (follow->seen_count == follow->seen_capacity) {
        size_t capacity = 2 * follow->seen_capacity + 4;
        struct seen *more = arena_zalloc(&follow->world->arena, capacity * sizeof(*more));
        if (follow->seen_count > 0) {
            memcpy(more, follow->seen, follow->seen_count * sizeof(*more));
        }
        follow->seen = more;
        follow->seen_capacity = capacity;
    }
    follow->seen[follow->seen_count] = (struct seen){.run = run};
    return &follow->seen[follow->seen_count++];
}

static uuid run_of(const struct sim_follow *follow, const struct shown *shown)
{
    return uuid_is_zero(shown->at.run) ? follow->run : shown->at.run;
}

static bool is_of_tree(const struct sim_follow *follow, const struct sim_run *run)
{
    return uuid_equal(run->root, follow->run);
}

static bool has_lost_runs(const struct sim_follow *follow)
{
    const struct world *world = follow->world;
    for (size_t i = 0; i < world->run_count; i++) {
        if (is_of_tree(follow, world->runs[i]) && world->runs[i]->is_gone) {
            return true;
        }
    }
    return false;
}

/* One order of all of them, in which no run comes before its parent. */
static void see_order(struct sim_follow *follow, const struct sim_run *run,
                      const struct shown *shown)
{
    struct world *world = follow->world;
    bool is_next = shown->at.number == follow->number + 1;
    bool may_be_later = shown->at.number > follow->number && has_lost_runs(follow);
    world_expect(world, is_next || may_be_later, "a-trees-facts-come-once-in-its-order");
    world_expect(world, is_of_tree(follow, run), "a-tree-shows-its-own-runs");
    bool is_root = uuid_is_zero(run->parent);
    world_expect(world, is_root || seen_of(follow, run->parent)->seq > 0,
                 "a-tree-shows-parents-before-children");
    follow->number = shown->at.number;
}

static void see_fact(struct sim_follow *follow, const struct shown *shown)
{
    struct world *world = follow->world;
    const struct sim_run *run = world_find_run(world, run_of(follow, shown));
    world_expect(world, run != NULL, "watchers-see-only-runs-there-are");
    world_expect(world, shown->is_tree == follow->is_tree, "a-tree-is-shown-as-one");
    if (!world_is_well(world)) {
        return;
    }
    if (follow->is_tree) {
        see_order(follow, run, shown);
    }
    struct seen *seen = seen_of(follow, run->id);
    world_expect(world, shown->seq == seen->seq + 1, "watchers-see-each-fact-once-in-order");
    world_expect(world, shown->seq <= run->ledger.events, "watchers-see-only-what-is-durable");
    if (!world_is_well(world)) {
        world_detail(world, "seq %u after %u, durable up to %u", shown->seq, seen->seq,
                     run->ledger.events);
        return;
    }
    world_expect(world, run->facts[shown->seq - 1] == shown->hash, "watchers-see-what-is-written");
    seen->seq = shown->seq;
    world->counts.facts_shown++;
    world->counts.tree_facts_shown += follow->is_tree && !uuid_is_zero(run->parent);
}

static void see_text(struct sim_follow *follow, struct seen *seen, const struct shown *shown,
                     const char *text)
{
    struct world *world = follow->world;
    const struct sim_run *run = world_find_run(world, seen->run);
    bool is_same = seen->text.effect == shown->effect && seen->text.attempt == shown->attempt;
    uint64_t expected = is_same ? seen->text.offset : 0;
    uint64_t begin = shown->offset - shown->text_len;
    world->counts.deltas++;
    world_expect(world, begin <= expected, "no-gap-in-the-text");
    world_expect(world, begin >= expected, "no-repetition-in-the-text");
    const struct ledger_effect *effect = ledger_open(&run->ledger, shown->effect);
    world_expect(world, effect != NULL && effect->attempt == shown->attempt,
                 "text-is-of-the-call-in-flight");
    world_expect(world, run->ledger.callbacks[CALLBACK_REPLY] == 0,
                 "text-is-held-until-guardrails-let-it-pass");
    static char wanted[SHOWN_TEXT_MAX];
    uint64_t seed = world_text_seed(world, run->marker, run->ledger.replies, shown->attempt);
    world_model_text(seed, begin, shown->text_len, wanted);
    world_expect(world, memcmp(wanted, text, shown->text_len) == 0, "text-is-the-calls");
    seen->text.effect = shown->effect;
    seen->text.attempt = shown->attempt;
    seen->text.offset = shown->offset;
}

static void see_delta(struct sim_follow *follow, const struct shown *shown, const char *text)
{
    struct world *world = follow->world;
    struct seen *seen = seen_of(follow, run_of(follow, shown));
    world_expect(world, follow->deltas, "deltas-only-for-those-who-want-them");
    world_expect(world, shown->seq == seen->seq, "deltas-stand-between-the-right-facts");
    world_expect(world, !follow->is_tree || shown->at.number == follow->number,
                 "deltas-have-the-trees-position");
    if (shown->delta != DELTA_PROGRESS && world_is_well(world)) {
        see_text(follow, seen, shown, text);
    }
}

static void see_end(struct sim_follow *follow, const struct shown *shown)
{
    struct world *world = follow->world;
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *run = world->runs[i];
        bool is_meant = uuid_equal(run->id, follow->run) ||
                        (follow->is_tree && is_of_tree(follow, run) && !run->is_gone);
        if (is_meant) {
            world_expect(world, run->ledger.ended != EVENT_NONE, "the-end-is-durable");
            world_expect(world, seen_of(follow, run->id)->seq == run->ledger.events,
                         "all-facts-come-before-the-end");
        }
    }
    const struct sim_run *run = world_find_run(world, follow->run);
    world_expect(world, shown->is_read || shown->state == run->folded.state, "the-end-is-the-runs");
}

static void see_caught_up(struct sim_follow *follow, const struct shown *shown)
{
    const struct seen *seen = seen_of(follow, follow->run);
    const struct sim_run *run = world_find_run(follow->world, follow->run);
    bool is_so = follow->is_tree ? shown->at.number == follow->number || has_lost_runs(follow)
                                 : shown->seq == seen->seq && seen->seq <= run->ledger.events;
    world_expect(follow->world, is_so, "caught-up-is-said-when-it-is-so");
}

static void see(struct sim_watcher *it, const struct shown *shown, const char *text)
{
    struct sim_follow *follow = it->follow;
    world_expect(it->world, !it->saw_end, "nothing-follows-the-end");
    switch (shown->kind) {
    case SHOWN_FACT:
        see_fact(follow, shown);
        break;
    case SHOWN_DELTA:
        see_delta(follow, shown, text);
        break;
    case SHOWN_CAUGHT_UP:
        see_caught_up(follow, shown);
        break;
    case SHOWN_ENDED:
        it->saw_end = true;
        see_end(follow, shown);
        break;
    }
}

static void disconnect(struct world *world, void *context, uint64_t number);

/* Between two facts of one record. */
static bool is_in_between(const struct sim_watcher *it, const struct shown *shown)
{
    const struct sim_run *run = world_find_run(it->world, run_of(it->follow, shown));
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
            world_at(it->world, 0, disconnect, it->follow, it->follow->connection);
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
    follow->connection++;
    world_at(follow->world, 20 + world_below(follow->world, 3000), connect, follow,
             follow->connection);
}

static void end(struct follower *follower, const struct failure *failure)
{
    struct sim_watcher *it = watcher_by(follower);
    struct sim_follow *follow = it->follow;
    bool is_seen = it->is_open && !it->world->is_dead;
    watcher_fini(&it->watcher);
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
    format_fact(NULL, entry, event, show_each, &it->watcher.follower);
    return !stalls(&it->watcher.follower);
}

static bool show_of_tree(struct tree_replay *replay, uuid run, uint64_t number,
                         const struct codec_entry *entry, const struct event *event)
{
    struct sim_watcher *it = replay->read.context;
    struct tree_point at = {.number = number};
    it->world->counts.facts_read++;
    if (!uuid_equal(run, it->follow->run)) {
        at.run = run;
    }
    format_fact(&at, entry, event, show_each, &it->watcher.follower);
    return !stalls(&it->watcher.follower);
}

static void join_with(struct follow_join_request *join, struct read *read)
{
    if (read->kind == &tree_replay_kind) {
        join->number = tree_replay(read)->number;
        join->is_full = tree_replay(read)->ret_full;
        join->has_all = tree_replay(read)->ret_ended;
        join->failure = tree_replay(read)->ret_failure;
        return;
    }
    join->number = run_replay(read)->seq;
    join->is_full = run_replay(read)->ret_full;
    join->has_all = run_replay(read)->ret_ended;
}

static void replayed(struct read *read, const struct failure *failure)
{
    struct sim_watcher *it = read->context;
    struct world *world = it->world;
    struct request *request = request_new(&follow_join_operation);
    struct follow_join_request *join = follow_join_request(request);
    join->follow.follower = &it->watcher.follower;
    join_with(join, read);
    if (failure != NULL) {
        join->failure = *failure;
    }
    join->failure.message = STR_EMPTY; /* It lives as long as the read. */
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
    bool is_tree = it->follow->is_tree;
    struct read *read = read_new(is_tree ? &tree_replay_kind : &run_replay_kind);
    read->run = it->follow->run;
    read->context = it;
    read->done = replayed;
    if (is_tree) {
        tree_replay(read)->number = follower->number;
        tree_replay(read)->show = show_of_tree;
    } else {
        run_replay(read)->seq = (uint32_t)follower->number;
        run_replay(read)->show = show;
    }
    it->world->open_requests++; /* Until its join is answered. */
    world_read_always(it->world, read);
}

static void left(struct request *request, const struct failure *failure)
{
    watcher_fini(watcher_of(follow_request(request)->follower));
    free_done(request, failure);
}

static void tell(struct sim_watcher *it, const struct operation *operation)
{
    struct world *world = it->world;
    struct request *request = request_new(operation);
    follow_request(request)->follower = &it->watcher.follower;
    request->context = world;
    request->done = operation == &follow_end_operation ? left : free_done;
    if (world_post(world, request)) {
        world->open_requests++;
    }
}

static void change_pace(struct world *world, void *context, uint64_t number)
{
    struct sim_follow *follow = context;
    if (follow->connection != number || follow->now == NULL) {
        return;
    }
    bool was_slow = follow->is_slow;
    follow->is_slow = world_fault(world, 40);
    if (was_slow && !follow->is_slow) {
        tell(follow->now, &follow_more_operation);
    }
    world_at(world, 1 + world_below(world, 3000), change_pace, follow, number);
}

/* The server learns that the stream has broken. */
static void tell_end(struct world *world, void *context, uint64_t life)
{
    struct sim_watcher *it = context;
    if (world->life == life) {
        tell(it, &follow_end_operation);
    }
}

static void disconnect(struct world *world, void *context, uint64_t number)
{
    struct sim_follow *follow = context;
    if (follow->connection != number || follow->now == NULL || world->calm) {
        return;
    }
    struct sim_watcher *it = follow->now;
    it->is_open = false;
    if (world_fault(world, 30)) { /* The stream is cut, and what is sent on it lost. */
        world->counts.cuts++;
        world_at(world, world_below(world, 30000), tell_end, it, world->life);
    } else {
        tell(it, &follow_end_operation);
    }
    connect_later(follow);
}

/* A stream of a tree shows each call's text from its beginning. */
static void forget_texts(struct sim_follow *follow)
{
    for (size_t i = 0; i < follow->seen_count; i++) {
        follow->seen[i].text = (struct text_mark){0};
    }
}

static void connect(struct world *world, void *context, uint64_t number)
{
    struct sim_follow *follow = context;
    if (follow->connection != number || follow->is_done) {
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
    it->watcher.is_tree = follow->is_tree;
    it->watcher.follower.number = follow->is_tree ? follow->number : follow->seen[0].seq;
    it->watcher.text = follow->is_tree ? (struct text_mark){0} : follow->seen[0].text;
    if (follow->is_tree) {
        forget_texts(follow);
    }
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
    follow->connection++;
    world->open_requests++;
    world->counts.watches++;
    world_at(world, 1 + world_below(world, 2000), change_pace, follow, follow->connection);
    if (world_fault(world, 60)) {
        world_at(world, world_below(world, 8000), disconnect, follow, follow->connection);
    }
}

struct sim_follow *world_follow(struct world *world, uuid run, bool deltas, bool is_tree)
{
    struct sim_follow *follow = arena_zalloc(&world->arena, sizeof(*follow));
    follow->world = world;
    follow->run = run;
    follow->deltas = deltas;
    follow->is_tree = is_tree;
    seen_of(follow, run);
    connect_later(follow);
    return follow;
}

bool world_follow_is_done(const struct sim_follow *follow)
{
    return follow->is_done;
}
