#include "service/partition/follow.h"

#include <stdlib.h>

enum {
    KEPT_THINGS = 256, /* Of which as much is kept as may be of one. */
};

struct kept {
    struct kept *next;
    uint64_t number;
    struct payload *payload;
    size_t label_len;
    char label[];
};

/* Something that somebody follows. */
struct followed {
    struct table_link by_id;
    uuid id;
    struct followed *before;
    struct followed *next;
    struct follower *followers;
    size_t count;
    size_t reading; /* Of them: READS or JOINS. */
    bool has_ended;
    /* What was shown since somebody is read for: whatever a read may not have seen. */
    struct kept *oldest;
    struct kept *newest;
    size_t kept_bytes;
    uint64_t lost; /* What came until here while somebody was read for is not kept; 0: all is. */
};

static bool is_of(const struct table_link *link, const void *id)
{
    return uuid_equal(container_of(link, const struct followed, by_id)->id, *(const uuid *)id);
}

static struct followed *find(const struct follow *follow, uuid id)
{
    if (follow->by_id.count == 0) {
        return NULL;
    }
    struct table_link *link = table_find(&follow->by_id, uuid_hash(id), &id);
    return link == NULL ? NULL : container_of(link, struct followed, by_id);
}

void follow_init(struct follow *follow, const struct follow_options *options)
{
    assert(options->followers_max > 0 && options->each_max > 0);
    *follow = (struct follow){.options = *options};
    table_init(&follow->by_id, is_of);
}

bool follow_is_followed(const struct follow *follow, uuid id)
{
    return find(follow, id) != NULL;
}

struct follower *follow_first(const struct follow *follow, uuid id)
{
    const struct followed *followed = find(follow, id);
    return followed == NULL ? NULL : followed->followers;
}

/* ---- What is kept. ---- */

static void drop_oldest(struct follow *follow, struct followed *followed)
{
    struct kept *kept = followed->oldest;
    size_t bytes = payload_bytes(kept->payload).len;
    assert(followed->kept_bytes >= bytes && follow->kept_bytes >= bytes);
    followed->oldest = kept->next;
    followed->newest = kept->next == NULL ? NULL : followed->newest;
    followed->kept_bytes -= bytes;
    follow->kept_bytes -= bytes;
    followed->lost = kept->number;
    payload_unref(kept->payload);
    free(kept);
}

static void drop_kept(struct follow *follow, struct followed *followed)
{
    while (followed->oldest != NULL) {
        drop_oldest(follow, followed);
    }
    assert(followed->kept_bytes == 0 && followed->newest == NULL);
}

static void keep(struct follow *follow, struct followed *followed, uint64_t number, str label,
                 struct payload *payload)
{
    size_t max = follow->options.kept_bytes;
    struct kept *kept = xcalloc(1, sizeof(*kept) + label.len);
    payload_ref(payload);
    kept->number = number;
    kept->payload = payload;
    kept->label_len = label.len;
    if (label.len > 0) {
        memcpy(kept->label, label.ptr, label.len);
    }
    *(followed->newest == NULL ? &followed->oldest : &followed->newest->next) = kept;
    followed->newest = kept;
    followed->kept_bytes += payload_bytes(payload).len;
    follow->kept_bytes += payload_bytes(payload).len;
    while (followed->oldest != NULL &&
           (followed->kept_bytes > max || follow->kept_bytes / KEPT_THINGS > max)) {
        drop_oldest(follow, followed);
    }
}

/* ---- Where they are. ---- */

static bool is_read_for(const struct follower *follower)
{
    return follower->place == FOLLOWER_READS || follower->place == FOLLOWER_JOINS;
}

static void stop_reading(struct follow *follow, struct followed *followed)
{
    assert(followed->reading > 0);
    followed->reading--;
    if (followed->reading == 0) {
        drop_kept(follow, followed); /* Nobody needs it: a read that begins later sees it all. */
        followed->lost = 0;
    }
}

static void move(struct follow *follow, struct follower *follower, enum follower_place place)
{
    bool was_read_for = is_read_for(follower);
    assert(follower->at != NULL && follower->place != FOLLOWER_NOWHERE);
    follower->place = place;
    follower->at->reading += is_read_for(follower) && !was_read_for;
    if (was_read_for && !is_read_for(follower)) {
        stop_reading(follow, follower->at);
    }
}

static void read_on(struct follow *follow, struct follower *follower)
{
    move(follow, follower, FOLLOWER_READS);
    follower->may_go_on = false;
    follower->reads_again = false;
    follower->read(follower);
}

void follow_stall(struct follow *follow, struct follower *follower)
{
    assert(follower->place != FOLLOWER_STALLED);
    move(follow, follower, FOLLOWER_STALLED);
}

bool follow_may_add(const struct follow *follow, uuid id, struct failure *ret)
{
    const struct followed *followed = find(follow, id);
    if (followed != NULL && followed->count >= follow->options.each_max) {
        *ret = failure_make(CODE_RESOURCE_EXHAUSTED, REASON_TOO_MANY_WATCHERS,
                            STR("as many follow it as this server allows (--watchers-max)"));
        return false;
    }
    size_t others = follow->options.with == NULL ? 0 : follow->options.with->count;
    if (follow->count + others >= follow->options.followers_max) {
        *ret = failure_make(CODE_RESOURCE_EXHAUSTED, REASON_TOO_MANY_WATCHERS,
                            STR("there are as many watchers as this server allows "
                                "(--watchers-in-all-max)"));
        return false;
    }
    return true;
}

static struct followed *followed_new(struct follow *follow, uuid id)
{
    struct followed *followed = xcalloc(1, sizeof(*followed));
    followed->id = id;
    followed->next = follow->first;
    if (follow->first != NULL) {
        follow->first->before = followed;
    }
    follow->first = followed;
    table_add(&follow->by_id, &followed->by_id, uuid_hash(id));
    return followed;
}

static void followed_free(struct follow *follow, struct followed *followed)
{
    assert(followed->count == 0 && followed->reading == 0 && followed->oldest == NULL);
    *(followed->before == NULL ? &follow->first : &followed->before->next) = followed->next;
    if (followed->next != NULL) {
        followed->next->before = followed->before;
    }
    table_remove(&follow->by_id, &followed->by_id);
    free(followed);
}

void follow_add(struct follow *follow, uuid id, struct follower *follower, bool is_live)
{
    assert(follower->place == FOLLOWER_NOWHERE && follower->at == NULL);
    struct followed *followed = find(follow, id);
    followed = followed == NULL ? followed_new(follow, id) : followed;
    follower->at = followed;
    follower->set = follow;
    follower->before = NULL;
    follower->next = followed->followers;
    if (follower->next != NULL) {
        follower->next->before = follower;
    }
    followed->followers = follower;
    followed->count++;
    follow->count++;
    follower->place = FOLLOWER_LIVE;
    if (!is_live) {
        read_on(follow, follower);
    }
}

static void leave_joining(struct follow *follow, const struct follower *follower)
{
    struct follower **link = &follow->joining;
    while (*link != follower) {
        assert(*link != NULL);
        link = &(*link)->next_joining;
    }
    *link = follower->next_joining;
}

void follow_remove(struct follow *follow, struct follower *follower)
{
    struct followed *followed = follower->at;
    if (followed == NULL) {
        return;
    }
    if (follower->place == FOLLOWER_JOINS) {
        leave_joining(follow, follower);
    }
    if (is_read_for(follower)) {
        stop_reading(follow, followed);
    }
    *(follower->before == NULL ? &followed->followers : &follower->before->next) = follower->next;
    if (follower->next != NULL) {
        follower->next->before = follower->before;
    }
    follower->at = NULL;
    follower->place = FOLLOWER_NOWHERE;
    assert(followed->count > 0 && follow->count > 0);
    followed->count--;
    follow->count--;
    if (followed->count == 0) {
        followed_free(follow, followed);
    }
}

void follow_more(struct follow *follow, struct follower *follower)
{
    follower->may_go_on = is_read_for(follower);
    if (follower->place == FOLLOWER_STALLED) {
        read_on(follow, follower);
    }
}

static bool wants(const struct follower *follower, str label)
{
    return follower->label.len == 0 || str_equal(follower->label, label);
}

void follow_has_all(struct follow *follow, struct follower *follower)
{
    assert(follow->options.all_shown != NULL);
    if (follower->at != NULL) {
        follow_remove(follow, follower);
        follow->options.all_shown(follow->options.context, follower);
    }
}

/* ---- Joining. ---- */

void follow_joins(struct follow *follow, struct follower *follower, uint64_t number, bool is_full)
{
    if (follower->at == NULL) {
        return; /* It left meanwhile. */
    }
    assert(follower->place == FOLLOWER_READS && number >= follower->number);
    move(follow, follower, FOLLOWER_JOINS);
    follower->number = number;
    follower->is_full = is_full;
    follower->next_joining = follow->joining;
    follow->joining = follower;
}

/* What came while it was read for. False: it stalls. */
static bool show_kept(struct follower *follower)
{
    for (struct kept *kept = follower->at->oldest; kept != NULL; kept = kept->next) {
        if (kept->number <= follower->number) {
            continue;
        }
        assert(kept->number == follower->number + 1);
        if (follower->stalls(follower)) {
            return false;
        }
        if (wants(follower, str_make(kept->label, kept->label_len))) {
            payload_ref(kept->payload);
            follower->push(follower, kept->payload);
        }
        follower->number = kept->number;
    }
    return true;
}

static void join(struct follow *follow, struct follower *follower)
{
    const struct followed *followed = follower->at;
    assert(follower->place == FOLLOWER_JOINS);
    if (follower->is_full && !follower->may_go_on) {
        follow_stall(follow, follower);
    } else if (follower->is_full || followed->has_ended || follower->reads_again ||
               follower->number < followed->lost) {
        read_on(follow, follower);
    } else if (show_kept(follower) && !follower->stalls(follower)) {
        move(follow, follower, FOLLOWER_LIVE);
        follow->options.joined(follow->options.context, follower);
    } else {
        follow_stall(follow, follower);
    }
}

void follow_settle(struct follow *follow)
{
    while (follow->joining != NULL) {
        struct follower *follower = follow->joining;
        follow->joining = follower->next_joining;
        follower->next_joining = NULL;
        join(follow, follower);
    }
}

bool follow_is_unsettled(const struct follow *follow)
{
    return follow->joining != NULL;
}

/* ---- What happens. ---- */

void follow_show(struct follow *follow, uuid id, uint64_t number, str label,
                 struct payload *payload)
{
    struct followed *followed = find(follow, id);
    if (followed != NULL && followed->reading > 0) {
        keep(follow, followed, number, label, payload);
    }
    struct follower *next;
    for (struct follower *it = followed == NULL ? NULL : followed->followers; it != NULL;
         it = next) {
        next = it->next;
        if (it->place != FOLLOWER_LIVE || it->number >= number) {
            continue; /* A read has shown it already. */
        }
        assert(it->number + 1 == number);
        if (it->stalls(it)) {
            follow_stall(follow, it);
            continue;
        }
        if (wants(it, label)) {
            payload_ref(payload);
            it->push(it, payload);
        }
        it->number = number;
    }
    payload_unref(payload);
}

void follow_forget(struct follow *follow, uuid id, uint64_t number)
{
    struct followed *followed = find(follow, id);
    if (followed == NULL) {
        return;
    }
    while (followed->oldest != NULL && followed->oldest->number <= number) {
        drop_oldest(follow, followed);
    }
    if (followed->reading > 0 && followed->lost < number) {
        followed->lost = number; /* Who joins before it is read for again. */
    }
    for (struct follower *it = followed->followers; it != NULL; it = it->next) {
        if (it->place == FOLLOWER_LIVE && it->number < number) {
            it->number = number;
        }
    }
}

void follow_doubt(struct follow *follow, uuid id, uint64_t number)
{
    struct followed *followed = find(follow, id);
    if (followed == NULL) {
        return;
    }
    drop_kept(follow, followed);
    followed->lost = followed->reading > 0 ? number : 0;
    for (struct follower *it = followed->followers; it != NULL; it = it->next) {
        if (it->place == FOLLOWER_LIVE && it->number < number) {
            read_on(follow, it);
        }
    }
}

void follow_read_again(struct follow *follow, uuid id)
{
    struct followed *followed = find(follow, id);
    if (followed == NULL) {
        return;
    }
    drop_kept(follow, followed);
    for (struct follower *it = followed->followers; it != NULL; it = it->next) {
        it->reads_again = is_read_for(it);
        if (it->place == FOLLOWER_LIVE) {
            read_on(follow, it);
        }
    }
}

struct follower *follow_end(struct follow *follow, uuid id)
{
    struct followed *followed = find(follow, id);
    struct follower *taken = NULL;
    struct follower *next;
    if (followed == NULL) {
        return NULL;
    }
    followed->has_ended = true;
    for (struct follower *it = followed->followers; it != NULL; it = next) {
        next = it->next;
        if (it->place == FOLLOWER_LIVE) {
            follow_remove(follow, it);
            it->next = taken;
            taken = it;
        }
    }
    return taken;
}

void follow_drop(struct follow *follow, uuid id, const struct failure *failure)
{
    const struct followed *followed;
    assert(failure != NULL);
    while ((followed = find(follow, id)) != NULL) {
        struct follower *follower = followed->followers;
        follow_remove(follow, follower);
        follower->end(follower, failure);
    }
}

void follow_fini(struct follow *follow, const struct failure *failure)
{
    while (follow->first != NULL) {
        follow_drop(follow, follow->first->id, failure);
    }
    assert(follow->count == 0 && follow->kept_bytes == 0);
    table_fini(&follow->by_id);
}
