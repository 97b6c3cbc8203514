/*
 * Subscribers: each follows a topic from a position of its own, through slow times, broken streams
 * and restarts, and must see each event once, in order.
 */
#include "service/base/failure.h"
#include "service/codec/topic_rows.h"
#include "service/features/topics/topics.h"
#include "service/partition/request.h"
#include "service/reads/topic_replay.h"
#include "tests/simulation/world.h"

enum {
    SUBSCRIBERS = 4,
};

struct sim_subscriber;

/* The position outlives every connection. */
static struct sim_follower {
    struct world *world;
    unsigned topic;
    uint64_t sequence;
    bool wants_new_only; /* And does not know from where yet. */
    uint64_t number; /* Of the connection. */
    bool is_slow;
    str type; /* Only of this type; empty: all. */
    struct sim_subscriber *now; /* NULL: not connected. */
} followers[SUBSCRIBERS];

struct sim_subscriber {
    struct subscriber subscriber;
    struct sim_follower *follower;
    bool is_open;
};

/* How an event is shown; its type and data follow. Sequence 0: there are no more. */
struct shown_event {
    uint64_t sequence;
    uint64_t topic; /* Hash. */
    size_t type_len;
    size_t data_len;
};

static struct payload *make(struct shown_event *shown, str type, str data)
{
    shown->type_len = type.len;
    shown->data_len = data.len;
    struct payload *payload = payload_new(sizeof(*shown) + type.len + data.len);
    char *to = payload_data(payload);
    memcpy(to, shown, sizeof(*shown));
    if (type.len > 0) {
        memcpy(to + sizeof(*shown), type.ptr, type.len);
    }
    if (data.len > 0) {
        memcpy(to + sizeof(*shown) + type.len, data.ptr, data.len);
    }
    return payload;
}

static struct payload *format_event(const struct topic_event *event)
{
    struct shown_event shown = {.sequence = event->sequence, .topic = str_hash(event->topic)};
    return make(&shown, event->type, event->data);
}

static struct payload *format_caught_up(uint64_t sequence)
{
    struct shown_event shown = {.sequence = 0};
    (void)sequence;
    return make(&shown, STR_EMPTY, STR_EMPTY);
}

const struct topic_format world_topic_format = {.event = format_event,
                                                .caught_up = format_caught_up};

/* The first that is kept and wanted of those it has not seen. */
static uint64_t next_of(const struct sim_follower *follower)
{
    const struct sim_topic *topic = &follower->world->topics[follower->topic];
    uint64_t next = follower->sequence + 1 < topic->first ? topic->first : follower->sequence + 1;
    while (follower->type.len > 0 && next <= topic->count &&
           !str_equal(topic->events[next - 1].type, follower->type)) {
        next++;
    }
    return next;
}

static void see(struct sim_follower *follower, const struct shown_event *shown, str type, str data)
{
    struct world *world = follower->world;
    const struct sim_topic *topic = &world->topics[follower->topic];
    world_expect(world, shown->sequence >= 1 && shown->sequence <= topic->count,
                 "subscribers-see-only-what-is-durable");
    bool is_first = follower->wants_new_only;
    world_expect(world, is_first || shown->sequence == next_of(follower),
                 "subscribers-see-each-event-once-in-order");
    if (!world_is_well(world)) {
        world_detail(world, "sequence %llu after %llu, kept from %llu, %zu durable",
                     (unsigned long long)shown->sequence, (unsigned long long)follower->sequence,
                     (unsigned long long)topic->first, topic->count);
        return;
    }
    const struct sim_event *written = &topic->events[shown->sequence - 1];
    world_expect(world,
                 str_equal(written->data, data) && str_equal(written->type, type) &&
                     shown->topic == str_hash(world_topic_name(follower->topic)),
                 "subscribers-see-what-is-written");
    follower->wants_new_only = false;
    follower->sequence = shown->sequence;
    world->counts.feeds++;
}

static struct sim_subscriber *sim_of(struct follower *follower)
{
    return container_of(subscriber_of(follower), struct sim_subscriber, subscriber);
}

static void see_end(const struct sim_follower *follower)
{
    struct world *world = follower->world;
    if (!follower->wants_new_only) {
        world_expect(world, next_of(follower) == world->topics[follower->topic].count + 1,
                     "who-is-told-of-the-end-has-seen-all");
    }
}

static void push(struct follower *follower, struct payload *payload)
{
    struct sim_subscriber *it = sim_of(follower);
    struct world *world = it->follower->world;
    struct shown_event shown;
    const char *bytes = payload_bytes(payload).ptr;
    memcpy(&shown, bytes, sizeof(shown));
    bytes += sizeof(shown);
    if (it->is_open && world_sees(world) && world_is_well(world)) {
        if (shown.sequence == 0) {
            see_end(it->follower);
        } else {
            see(it->follower, &shown, str_make(bytes, shown.type_len),
                str_make(bytes + shown.type_len, shown.data_len));
        }
    }
    payload_unref(payload);
}

static bool stalls(struct follower *follower)
{
    const struct sim_subscriber *it = sim_of(follower);
    return it->is_open && it->follower->is_slow;
}

static void connect(struct world *world, void *context, uint64_t number);

static void connect_later(struct sim_follower *follower)
{
    struct world *world = follower->world;
    follower->now = NULL;
    follower->number++;
    world_at(world, 20 + world_below(world, 4000), connect, follower, follower->number);
}

static void end(struct follower *ended, const struct failure *failure)
{
    struct sim_subscriber *it = sim_of(ended);
    struct sim_follower *follower = it->follower;
    struct world *world = follower->world;
    bool is_seen = it->is_open && !world->is_dead;
    it->is_open = false;
    if (follower->now != it) {
        return;
    }
    if (is_seen && failure == NULL) {
        world_expect(world, !it->subscriber.follows, "subscriptions-go-on");
        world_expect(world,
                     follower->wants_new_only ||
                         next_of(follower) == world->topics[follower->topic].count + 1,
                     "a-replay-ends-with-the-last-event");
    }
    connect_later(follower);
}

static void free_done(struct request *request, const struct failure *failure)
{
    struct world *world = request->context;
    (void)failure;
    world->open_requests--;
    request_free(request);
}

static void subscribe_done(struct request *request, const struct failure *failure)
{
    struct sim_subscriber *it = request->context;
    it->follower->world->open_requests--;
    if (failure != NULL && it->follower->now == it) {
        bool may = it->follower->world->is_dead || failure->code == CODE_UNAVAILABLE;
        world_expect(it->follower->world, may, "topics-can-be-followed");
        it->is_open = false;
        connect_later(it->follower);
    }
    request_free(request);
}

/* ---- What lies behind. ---- */

static bool show(struct topic_replay *replay, const struct topic_event *event)
{
    struct sim_subscriber *it = replay->read.context;
    push(&it->subscriber.follower, format_event(event));
    return !stalls(&it->subscriber.follower);
}

static void replayed(struct read *read, const struct failure *failure)
{
    struct sim_subscriber *it = read->context;
    struct world *world = it->follower->world;
    struct request *request = request_new(&follow_join_operation);
    struct follow_join_request *join = follow_join_request(request);
    join->follow.follower = &it->subscriber.follower;
    join->number = topic_replay(read)->sequence;
    join->is_full = topic_replay(read)->ret_full;
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
    struct sim_subscriber *it = sim_of(follower);
    struct world *world = it->follower->world;
    struct read *read = read_new(&topic_replay_kind);
    read->context = it;
    read->done = replayed;
    topic_hash(world_topic_name(it->follower->topic), topic_replay(read)->topic);
    topic_replay(read)->type = follower->label;
    topic_replay(read)->sequence = follower->number;
    topic_replay(read)->show = show;
    world->open_requests++; /* Until its join is answered. */
    world_read_always(world, read);
}

static void tell(struct sim_subscriber *it, const struct operation *operation)
{
    struct world *world = it->follower->world;
    struct request *request = request_new(operation);
    follow_request(request)->follower = &it->subscriber.follower;
    request->context = world;
    request->done = free_done;
    if (world_post(world, request)) {
        world->open_requests++;
    }
}

static void change_pace(struct world *world, void *context, uint64_t number)
{
    struct sim_follower *follower = context;
    if (follower->number != number || follower->now == NULL) {
        return;
    }
    bool was_slow = follower->is_slow;
    follower->is_slow = world_fault(world, 40);
    if (was_slow && !follower->is_slow) {
        tell(follower->now, &follow_more_operation);
    }
    world_at(world, 1 + world_below(world, 3000), change_pace, follower, number);
}

/* The server learns that the stream has broken. */
static void tell_end(struct world *world, void *context, uint64_t life)
{
    struct sim_subscriber *it = context;
    if (world->life == life) {
        tell(it, &follow_end_operation);
    }
}

static void disconnect(struct world *world, void *context, uint64_t number)
{
    struct sim_follower *follower = context;
    if (follower->number != number || follower->now == NULL || world->calm) {
        return;
    }
    struct sim_subscriber *it = follower->now;
    it->is_open = false;
    if (world_fault(world, 30)) { /* The stream is cut, and what is sent on it lost. */
        world->counts.cuts++;
        world_at(world, world_below(world, 30000), tell_end, it, world->life);
    } else {
        tell(it, &follow_end_operation);
    }
    connect_later(follower);
}

static void connect(struct world *world, void *context, uint64_t number)
{
    struct sim_follower *follower = context;
    if (follower->number != number) {
        return;
    }
    struct sim_subscriber *it = arena_zalloc(&world->arena, sizeof(*it));
    it->follower = follower;
    it->is_open = true;
    it->subscriber.follower.push = push;
    it->subscriber.follower.stalls = stalls;
    it->subscriber.follower.read = replay;
    it->subscriber.follower.end = end;
    it->subscriber.follower.label = follower->type;
    it->subscriber.follows = world->calm || world_below(world, 4) > 0;
    it->subscriber.follower.number = follower->wants_new_only ? UINT64_MAX : follower->sequence;
    follower->is_slow = world_fault(world, 20);
    struct request *request = request_new(&subscribe_operation);
    subscribe_request(request)->subscriber = &it->subscriber;
    subscribe_request(request)->topic = world_topic_name(follower->topic);
    request->context = it;
    request->done = subscribe_done;
    if (!world_post(world, request)) {
        connect_later(follower);
        return;
    }
    follower->now = it;
    follower->number++;
    world->open_requests++;
    world_at(world, 1 + world_below(world, 2000), change_pace, follower, follower->number);
    if (world_fault(world, 60)) {
        world_at(world, world_below(world, 8000), disconnect, follower, follower->number);
    }
}

void world_subscribers_begin(struct world *world)
{
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        followers[i] = (struct sim_follower){
            .world = world,
            .topic = i % WORLD_TOPICS,
            .wants_new_only = i == SUBSCRIBERS - 1,
            .type = i == 1   ? STR("a")
                    : i == 2 ? STR("b")
                             : STR_EMPTY,
        };
        connect_later(&followers[i]);
    }
}

bool world_subscribers_are_done(const struct world *world)
{
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        if (!followers[i].wants_new_only &&
            next_of(&followers[i]) <= world->topics[followers[i].topic].count) {
            return false;
        }
    }
    return true;
}
