/*
 * adoption: a failed run goes on as a copy, which waits for the children that run had begun.
 */
#include <stdlib.h>

#include "service/base/json.h"
#include "service/base/sys.h"
#include "service/features/children/children.h"
#include "service/features/children/family.h"
#include "service/features/trees/trees.h"
#include "service/partition/journal.h"

enum {
    ADOPTED_MAX = 256, /* In a round. */
};

static bool note_settled(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    assert(event->kind == EVENT_CHILD_SETTLED);
    run_ids_add(context, event->child_settled.child);
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(uuid));
}

/* Those whose end the successor knows, sorted. */
static status read_settled(struct partition *partition, uuid successor, struct run_ids *ret)
{
    TRY(journal_each(partition, successor, JOURNAL_KIND(EVENT_CHILD_SETTLED),
                     &partition->round_arena, note_settled, ret));
    if (ret->count > 0) {
        qsort(ret->ids, ret->count, sizeof(ret->ids[0]), compare_ids);
    }
    return STATUS_OK;
}

static bool is_among(const struct run_ids *ids, uuid id)
{
    return ids->count > 0 &&
           bsearch(&id, ids->ids, ids->count, sizeof(ids->ids[0]), compare_ids) != NULL;
}

/* Which of the children of a wait it is; false: none. */
static bool find_index(str children, uuid child, uint32_t *ret)
{
    str element;
    struct json_iterator each = json_elements(children);
    for (*ret = 0; json_next_element(&each, &element); ++*ret) {
        uuid id;
        str raw;
        struct buf text = {0};
        bool is_it = json_object_get(element, STR("run_id"), &raw) &&
                     json_string_decode(raw, &text) && uuid_parse(buf_str(&text), &id) &&
                     uuid_equal(id, child);
        buf_fini(&text);
        if (is_it) {
            return true;
        }
    }
    return false;
}

/* A wait that names a child; effect 0: none does. */
struct naming {
    uuid child;
    uint32_t effect;
    uint32_t index;
};

static bool visit_wait(void *context, uint32_t seq, const struct event *event)
{
    struct naming *naming = context;
    uint32_t index;
    (void)seq;
    if (event->wait_set.kind == EFFECT_CHILDREN &&
        find_index(event->wait_set.data, naming->child, &index)) {
        naming->effect = event->effect;
        naming->index = index;
    }
    return true;
}

/* Only the successor's own facts still say where it waits for it. */
static status adopt_deleted(struct partition *partition, struct live_run *successor, uuid child)
{
    struct naming naming = {.child = child};
    TRY(journal_each(partition, successor->state.id, JOURNAL_KIND(EVENT_WAIT_SET),
                     &partition->round_arena, visit_wait, &naming));
    ending_tell_deleted(partition, successor, naming.effect, naming.index, child);
    return STATUS_OK;
}

static status adopt_child(struct partition *partition, struct live_run *successor, uuid id)
{
    struct live_run *child;
    struct outcome outcome;
    status found = runs_get(partition, id, &child);
    if (found.code == CODE_DATA_LOSS) { /* It is set apart; once it can be read, it may end. */
        family_note_successor(partition, id, successor->state.id);
    }
    if (found.code == CODE_NOT_FOUND) {
        return adopt_deleted(partition, successor, id);
    }
    TRY(found);
    const struct tree_place *place = tree_place(partition, child);
    if (engine_is_terminal(&successor->state)) { /* It may be retried, too: it hands them on. */
        family_note(partition, successor->state.id, id);
        return STATUS_OK;
    }
    const struct effect *wait = engine_effect(&successor->state, place->parent_effect);
    if (place->parent_effect == 0 || wait == NULL || wait->kind != EFFECT_CHILDREN) {
        return STATUS_OK;
    }
    if (!engine_is_terminal(&child->state)) {
        family_note_successor(partition, id, successor->state.id);
        return STATUS_OK;
    }
    TRY(ending_read(partition, child, NULL, &outcome));
    if (!renewal_begin(partition, successor, child, &outcome)) {
        ending_tell(partition, successor->state.id, child, &outcome);
    }
    return STATUS_OK;
}

/* Of a run that is a retry itself, whose children are not all its own yet. */
static bool is_unfinished(struct partition *partition, const struct owed *owed)
{
    struct live_run *source;
    return status_is_ok(runs_get(partition, owed->source, &source)) &&
           owed_stands(partition, tree_place(partition, source)->root, &adopt_owed);
}

/* A child that cannot be read holds up no other; only one whose end is of this very round is tried
 * again. */
static enum owed_result adopt(struct partition *partition, struct owed *owed, size_t *budget)
{
    struct live_run *successor;
    struct run_ids settled = {.arena = &partition->round_arena};
    struct run_ids children = {.arena = &partition->round_arena};
    size_t limit = *budget < ADOPTED_MAX ? *budget : ADOPTED_MAX;
    assert(limit > 0 && !uuid_equal(owed->target, owed->source));
    (*budget)--;
    status read = runs_get(partition, owed->target, &successor);
    if (status_is_ok(read)) {
        if (is_unfinished(partition, owed)) {
            return OWED_LATER;
        }
        read = read_settled(partition, owed->target, &settled);
    }
    if (status_is_ok(read)) {
        read = children_read(partition, owed->source, owed->cursor, limit, &children);
    }
    if (!status_is_ok(read)) {
        return owed_unread(read);
    }
    assert(children.count <= limit);
    for (size_t i = 0; i < children.count; i++) {
        bool has_failed = successor->state.state == RUN_FAILED;
        if (successor->state.is_cancelling ||
            (engine_is_terminal(&successor->state) && !has_failed)) {
            return OWED_DONE;
        }
        if (is_among(&settled, children.ids[i])) {
            owed->cursor = children.ids[i];
            continue;
        }
        status adopted = adopt_child(partition, successor, children.ids[i]);
        if (adopted.code == CODE_UNAVAILABLE) {
            return OWED_GOES_ON;
        }
        if (!status_is_ok(adopted) && store_may_pass(adopted)) {
            return OWED_LATER;
        }
        if (!status_is_ok(adopted)) {
            log_line(LOG_ERROR, "child_unreadable", "why=\"%s\"", adopted.why);
        }
        owed->cursor = children.ids[i];
        *budget -= *budget > 0 ? 1 : 0;
    }
    return children.count < limit ? OWED_DONE : OWED_GOES_ON;
}

const struct owed_kind adopt_owed = {.name = "adopt", .number = 3, .work = adopt};

/* What is owed in the tree that the runs are handed on from waits for it, so that none of them is
 * deleted before. */
static enum owed_result hand_on(struct partition *partition, struct owed *owed, size_t *budget)
{
    assert(*budget > 0);
    (*budget)--;
    return owed_stands(partition, owed->target, &adopt_owed) ? OWED_GOES_ON : OWED_DONE;
}

const struct owed_kind handing_on_owed = {.name = "handing_on", .number = 7, .work = hand_on};

bool children_are_adopted(const struct partition *partition, uuid root)
{
    return owed_stands(partition, root, &adopt_owed) ||
           owed_stands(partition, root, &handing_on_owed);
}

void children_adopt(struct partition *partition, uuid source, struct live_run *successor)
{
    struct live_run *failed;
    const struct owed owed = {.target = successor->state.id, .source = source};
    assert(!uuid_equal(source, successor->state.id));
    owed_post(partition, tree_place(partition, successor)->root, &adopt_owed, &owed);
    if (children_are_there(partition, source) &&
        status_is_ok(runs_get(partition, source, &failed))) {
        owed_post(partition, tree_place(partition, failed)->root, &handing_on_owed, &owed);
    }
}
