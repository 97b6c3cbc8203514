/*
 * watch: a stream that follows one run, or a tree.
 *
 * It begins with &watch_operation, and goes on as following.h says. When the run ends the partition
 * lets go of its watchers, those that are live all at once; the run is read, and each is sent the
 * same bytes.
 */
#include "service/api/watch.h"

#include <stdlib.h>

#include "polos/v1/runs.pb-c.h"
#include "service/api/api.h"
#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/api/following.h"
#include "service/api/format.h"
#include "service/api/methods.h"
#include "service/api/reading.h"
#include "service/api/run_view.h"
#include "service/base/failure.h"
#include "service/features/reports/reports.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/request.h"
#include "service/reads/run_read.h"
#include "service/reads/run_replay.h"
#include "service/reads/tree_replay.h"

/* call->user. Lives until `released`; the partition lets go of the watcher before the call is
 * finished, and a call is never released before that. */
struct watch {
    struct watcher watcher; /* The partition thread's, once posted. */
    struct following following;
    uuid run; /* Constant. */
};

static struct watch *watch_of(struct watcher *watcher)
{
    return container_of(watcher, struct watch, watcher);
}

static struct watch *watch_by(struct follower *follower)
{
    return watch_of(watcher_of(follower));
}

static void push(struct follower *follower, struct payload *payload)
{
    following_push(&watch_by(follower)->following, payload);
}

static bool stalls(struct follower *follower)
{
    return following_stalls(&watch_by(follower)->following);
}

static void ended(struct follower *follower, const struct failure *failure)
{
    following_end(&watch_by(follower)->following, failure);
}

/* ---- What lies behind. ---- */

static void send_fact(void *context, struct payload *payload)
{
    push(context, payload);
}

/* On a thread of the reads. */
static bool show(struct run_replay *replay, const struct codec_entry *entry,
                 const struct event *event)
{
    struct watch *watch = *reading_own(&replay->read);
    struct follower *follower = &watch->watcher.follower;
    api_format()->fact(NULL, entry, event, send_fact, follower);
    return !stalls(follower);
}

static bool show_of_tree(struct tree_replay *replay, uuid run, uint64_t number,
                         const struct codec_entry *entry, const struct event *event)
{
    struct watch *watch = *reading_own(&replay->read);
    struct follower *follower = &watch->watcher.follower;
    struct tree_point at = {.number = number};
    if (!uuid_equal(run, watch->run)) {
        at.run = run;
    }
    api_format()->fact(&at, entry, event, send_fact, follower);
    return !stalls(follower);
}

static void replayed(struct read *read, const struct failure *failure)
{
    struct watch *watch = *reading_own(read);
    const struct run_replay *replay = run_replay(read);
    following_joins(&watch->following, read, replay->seq, replay->ret_full, replay->ret_ended,
                    failure);
}

static void tree_replayed(struct read *read, const struct failure *failure)
{
    struct watch *watch = *reading_own(read);
    const struct tree_replay *replay = tree_replay(read);
    const struct failure *why =
        failure_happened(&replay->ret_failure) ? &replay->ret_failure : failure;
    following_joins(&watch->following, read, replay->number,
                    replay->ret_full && !failure_happened(why), replay->ret_ended, why);
}

static void replay_run(struct watch *watch)
{
    struct read *read = reading_new(watch->following.stream.call, &run_replay_kind, replayed);
    *reading_own(read) = watch;
    read->run = watch->run;
    run_replay(read)->seq = (uint32_t)watch->watcher.follower.number;
    run_replay(read)->show = show;
    reading_post_always(read);
}

static void replay_tree(struct watch *watch)
{
    struct read *read = reading_new(watch->following.stream.call, &tree_replay_kind, tree_replayed);
    *reading_own(read) = watch;
    read->run = watch->run;
    tree_replay(read)->number = watch->watcher.follower.number;
    tree_replay(read)->show = show_of_tree;
    reading_post_always(read);
}

static void replay(struct follower *follower)
{
    struct watch *watch = watch_by(follower);
    if (watch->watcher.is_tree) {
        replay_tree(watch);
    } else {
        replay_run(watch);
    }
}

/* ---- The end. ---- */

static void watched(struct request *request, const struct failure *failure)
{
    exchange_stream_begun(&watch_of(watch_request(request)->watcher)->following.stream, request,
                          failure);
}

/* What a read of a run is for that has ended under its watchers. */
struct end {
    struct watcher *watchers;
    struct run_facts known; /* What is shown where the rest cannot be read; no seq: nothing. */
};

static struct payload *pack_end(struct read *read, const struct failure *failure)
{
    const struct end *end = *reading_own(read);
    const struct run_facts *facts = &run_read(read)->ret;
    struct arena arena;
    Polos__V1__Run *run = NULL;
    arena_init(&arena, 0);
    bool is_read = failure == NULL && facts->unreadable.len == 0;
    if (!is_read || !status_is_ok(run_view(facts, NULL, &arena, &run))) {
        is_read = false;
        facts = &end->known; /* That it ended is known all the same. */
        run = facts->state.seq == 0 ? NULL : run_view_state(facts, &arena);
    }
    bool is_tree = end->watchers->is_tree;
    uint64_t number = is_tree ? end->watchers->follower.number : facts->state.seq;
    struct payload *ret = run == NULL ? NULL : format_ended(is_tree, number, run);
    arena_fini(&arena);
    return ret;
}

static void end_was_read(struct read *read, const struct failure *failure)
{
    const struct end *end = *reading_own(read);
    struct failure unread = failure_make(CODE_DATA_LOSS, REASON_RUN_UNREADABLE,
                                         STR("the run has ended, and cannot be read"));
    struct payload *payload = pack_end(read, failure);
    const struct failure *why = failure_happened(failure) ? failure : &unread;
    struct watcher *next;
    for (struct watcher *watcher = end->watchers; watcher != NULL; watcher = next) {
        struct api_call *call = watch_of(watcher)->following.stream.call;
        next = watcher->next; /* It may be gone with its call. */
        if (payload != NULL) {
            payload_ref(payload);
            call->vtable->send(call, payload);
        }
        call->vtable->finish(call, payload == NULL ? why : NULL);
    }
    payload_unref(payload);
    reading_end(read);
}

void watch_show_end(const struct run_report *report, struct watcher *watchers)
{
    assert(watchers != NULL && (report == NULL || engine_is_terminal(&report->state)));
    const struct watch *first = watch_of(watchers);
    struct read *read = reading_new(first->following.stream.call, &run_kind, end_was_read);
    struct end *end = arena_zalloc(&read->arena, sizeof(*end));
    end->watchers = watchers;
    *reading_own(read) = end;
    for (struct watcher *watcher = watchers; watcher != NULL; watcher = watcher->next) {
        watch_of(watcher)->following.stream.is_finished =
            true; /* By the read, for the partition. */
    }
    if (report == NULL) {
        read->run = first->run;
        reading_post_always(read);
        return;
    }
    end->known.state = report->state;
    end->known.name = arena_copy(&read->arena, report->name);
    reading_post_report(read, report);
}

static bool take_position(struct check *check, str text, struct watcher *ret)
{
    if (text.len == 0) {
        return true;
    }
    struct position position = {.seq = 0};
    bool is_sound = ret->is_tree ? tree_position_parse(text, &ret->follower.number)
                                 : position_parse(text, &position);
    if (!is_sound) {
        return check_fault(check, "position",
                           "pass a position that Watch answered for the same run and the same "
                           "`tree`, or nothing to start over");
    }
    if (!ret->is_tree) {
        ret->follower.number = position.seq;
        ret->text.effect = position.effect;
        ret->text.attempt = position.attempt;
        ret->text.offset = position.offset;
    }
    return true;
}

static struct watch *watch_new(struct api_call *call)
{
    struct watch *watch = xcalloc(1, sizeof(*watch));
    watch->following.stream.call = call;
    watch->following.follower = &watch->watcher.follower;
    watch->watcher.follower.own = &watch->following;
    watch->watcher.follower.push = push;
    watch->watcher.follower.stalls = stalls;
    watch->watcher.follower.read = replay;
    watch->watcher.follower.end = ended;
    return watch;
}

static void watch_start(struct api_call *call, const ProtobufCMessage *message)
{
    assert(call->user == NULL);
    const Polos__V1__RunServiceWatchRequest *proto = (const void *)message;
    struct watch *watch = watch_new(call);
    call->user = watch;
    watch->watcher.deltas = proto->deltas;
    watch->watcher.is_tree = proto->tree;
    struct request *request = exchange_new(call, &watch_operation, watched);
    watch_request(request)->watcher = &watch->watcher;
    struct check check = {.arena = &request->arena};
    bool is_fine = check_uuid(&check, "run_id", str_of(proto->run_id), &request->run) &&
                   take_position(&check, str_of(proto->position), &watch->watcher);
    watch->run = request->run;
    watch->following.stream.is_posted = exchange_post_checked(request, is_fine, &check);
}

static void watch_writable(struct api_call *call)
{
    struct watch *watch = call->user;
    following_writable(&watch->following);
}

static void watch_closed(struct api_call *call)
{
    struct watch *watch = call->user;
    following_closed(&watch->following);
}

static void watch_released(struct api_call *call)
{
    struct watch *watch = call->user;
    assert(watch != NULL);
    watcher_fini(&watch->watcher);
    free(watch);
}

const struct api_method watch_methods[] = {
    {
        .path = "/polos.v1.RunService/Watch",
        .is_read = true,
        .kind = API_SERVER_STREAM,
        .request = &polos__v1__run_service_watch_request__descriptor,
        .response = &polos__v1__run_service_watch_response__descriptor,
        .start = watch_start,
        .writable = watch_writable,
        .closed = watch_closed,
        .released = watch_released,
    },
    {.path = NULL},
};
