#include "service/partition/unread.h"

#include <stdlib.h>

#include "service/base/table.h"

struct unread_run {
    struct table_link by_id;
    uuid id;
    struct unread_run *before;
    struct unread_run *after;
    bool is_in_doubt;
};

struct unread {
    struct table by_id;
    struct unread_run *first;
    struct unread_run *last;
    size_t doubt_count; /* Of them, those in doubt. */
    uint64_t due_ms;
};

static bool has_id(const struct table_link *link, const void *id)
{
    return uuid_equal(container_of(link, const struct unread_run, by_id)->id, *(const uuid *)id);
}

struct unread *unread_new(void)
{
    struct unread *unread = xcalloc(1, sizeof(*unread));
    table_init(&unread->by_id, has_id);
    return unread;
}

static void drop(struct unread *unread, struct unread_run *run)
{
    *(run->before != NULL ? &run->before->after : &unread->first) = run->after;
    *(run->after != NULL ? &run->after->before : &unread->last) = run->before;
    table_remove(&unread->by_id, &run->by_id);
    unread->doubt_count -= run->is_in_doubt;
    assert((unread->first == NULL) == (unread->by_id.count == 0));
    free(run);
}

void unread_free(struct unread *unread)
{
    if (unread == NULL) {
        return;
    }
    while (unread->first != NULL) {
        drop(unread, unread->first);
    }
    assert(unread->doubt_count == 0);
    table_fini(&unread->by_id);
    free(unread);
}

static struct unread_run *find(const struct unread *unread, uuid id)
{
    struct table_link *link = table_find(&unread->by_id, uuid_hash(id), &id);
    return link == NULL ? NULL : container_of(link, struct unread_run, by_id);
}

void unread_add(struct unread *unread, uuid id, uint64_t due_ms)
{
    assert(!uuid_is_zero(id));
    unread->due_ms = due_ms;
    if (find(unread, id) != NULL) {
        return;
    }
    struct unread_run *run = xcalloc(1, sizeof(*run));
    run->id = id;
    run->before = unread->last;
    *(unread->last != NULL ? &unread->last->after : &unread->first) = run;
    unread->last = run;
    table_add(&unread->by_id, &run->by_id, uuid_hash(id));
}

void unread_doubt(struct unread *unread, uuid id)
{
    struct unread_run *run = find(unread, id);
    assert(run != NULL);
    unread->doubt_count += !run->is_in_doubt;
    run->is_in_doubt = true;
}

bool unread_has(const struct unread *unread, uuid id)
{
    return find(unread, id) != NULL;
}

bool unread_first(const struct unread *unread, bool is_in_doubt, uuid *ret)
{
    const struct unread_run *run = unread->first;
    if (is_in_doubt && unread->doubt_count == 0) {
        return false;
    }
    while (run != NULL && is_in_doubt && !run->is_in_doubt) {
        run = run->after;
    }
    if (run != NULL) {
        *ret = run->id;
    }
    return run != NULL;
}

bool unread_take(struct unread *unread, uuid id)
{
    struct unread_run *run = find(unread, id);
    if (run != NULL) {
        drop(unread, run);
    }
    return run != NULL;
}

uint64_t unread_due_ms(const struct unread *unread)
{
    return unread->first == NULL ? 0 : unread->due_ms;
}
