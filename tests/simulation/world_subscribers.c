/*
 * Subscribers: each follows a topic from a position of its own, through slow times, broken streams
 * and restarts, and must see each event once, in order.
 */
#include "service/base/failure.h"
#include "service/codec/topic_rows.h"
#include "service/features/topics/topics.h"
#include "service/partition/request.h"
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
    struct sim_subscriber *now; /* NULL: not connected. */
} followers[SUBSCRIBERS];

struct sim_subscriber {
    struct subscriber subscriber;
    struct sim_follower *follower;
    bool is_open;
};

/* The first that is kept of those it has not seen. */
static uint64_t next_of(const struct sim_follower *follower)
{
    uint64_t first = follower->world->topics[follower->topic].first;
    return follower->sequence + 1 < first ? first : follower->sequence + 1;
}

static void see(struct sim_follower *follower, const struct topic_event *event)
{
    struct world *world = follower->world;
    const struct sim_topic *topic = &world->topics[follower->topic];
    world_expect(world, event->sequence >= 1 && event->sequence <= topic->count,
                 "subscribers-see-only-what-is-durable");
    bool is_first = follower->wants_new_only;
    world_expect(world, is_first || event->sequence == next_of(follower),
                 "subscribers-see-each-event-once-in-order");
    if (!world_is_well(world)) {
        return;
    }
    const struct sim_event *written = &topic->events[event->sequence - 1];
    world_expect(world,
                 str_equal(written->data, event->data) && str_equal(written->type, event->type) &&
                     str_equal(event->topic, world_topic_name(follower->topic)),
                 "subscribers-see-what-is-written");
    follower->wants_new_only = false;
    follower->sequence = event->sequence;
    world->counts.feeds++;
}

static void push(struct subscriber *subscriber, const struct topic_event *event)
{
    struct sim_subscriber *it = container_of(subscriber, struct sim_subscriber, subscriber);
    struct world *world = it->follower->world;
    if (it->is_open && world_sees(world) && world_is_well(world)) {
        see(it->follower, event);
    }
}

static void caught_up(struct subscriber *subscriber)
{
    struct sim_subscriber *it = container_of(subscriber, struct sim_subscriber, subscriber);
    struct world *world = it->follower->world;
    if (it->is_open && world_sees(world) && !it->follower->wants_new_only) {
        world_expect(world, next_of(it->follower) == world->topics[it->follower->topic].count + 1,
                     "who-is-told-of-the-end-has-seen-all");
    }
}

static bool stalls(struct subscriber *subscriber)
{
    const struct sim_subscriber *it = container_of(subscriber, struct sim_subscriber, subscriber);
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

static void end(struct subscriber *subscriber, const struct failure *failure)
{
    struct sim_subscriber *it = container_of(subscriber, struct sim_subscriber, subscriber);
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

static void tell(struct sim_follower *follower, const struct operation *operation)
{
    struct request *request = request_new(operation);
    subscribe_request(request)->subscriber = &follower->now->subscriber;
    subscribe_request(request)->topic = world_topic_name(follower->topic);
    request->context = follower->world;
    request->done = free_done;
    if (world_post(follower->world, request)) {
        follower->world->open_requests++;
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
        tell(follower, &subscribe_more_operation);
    }
    world_at(world, 1 + world_below(world, 3000), change_pace, follower, number);
}

static void disconnect(struct world *world, void *context, uint64_t number)
{
    struct sim_follower *follower = context;
    if (follower->number != number || follower->now == NULL || world->calm) {
        return;
    }
    tell(follower, &subscribe_end_operation);
    follower->now->is_open = false;
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
    it->subscriber.push = push;
    it->subscriber.stalls = stalls;
    it->subscriber.caught_up = caught_up;
    it->subscriber.end = end;
    it->subscriber.follows = world->calm || world_below(world, 4) > 0;
    it->subscriber.sequence = follower->wants_new_only ? UINT64_MAX : follower->sequence;
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
