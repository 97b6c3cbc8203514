#include "service/hosts/lines.h"

#include <stdlib.h>

#include "service/hosts/session.h"

enum {
    LINES_CAPACITY_MIN = 16,
};
static_assert(sizeof(struct parked_task) <= 40, "a hundred thousand of these may wait");

static uint64_t hash_name(enum task_kind kind, str name)
{
    return str_hash(name) + (uint64_t)kind;
}

static str text_of(const struct line_name *name)
{
    return str_make(name->text, name->len);
}

static uint64_t hash_of_name(const void *context, uint32_t number)
{
    const struct line_name *name = &((const struct lines *)context)->names[number];

    return hash_name(name->kind, text_of(name));
}

static bool name_is(const void *context, uint32_t number, const void *key)
{
    const struct line_name *name = &((const struct lines *)context)->names[number];
    const struct host_offer *wanted = (const struct host_offer *)key;

    return name->kind == wanted->kind && str_equal(text_of(name), wanted->name);
}

static uint64_t hash_of_parked(const void *context, uint32_t number)
{
    return task_ref_hash(((const struct lines *)context)->parked[number].task);
}

static bool parked_is(const void *context, uint32_t number, const void *key)
{
    return task_ref_equal(((const struct lines *)context)->parked[number].task,
                          *(const struct task_ref *)key);
}

static const struct map_keys keys_by_name = {hash_of_name, name_is};
static const struct map_keys keys_by_task = {hash_of_parked, parked_is};

void lines_init(struct lines *lines)
{
    *lines = (struct lines){.name_free = LINES_NONE, .parked_free = LINES_NONE};
    map_init(&lines->by_name, &keys_by_name, lines);
    map_init(&lines->by_task, &keys_by_task, lines);
}

void lines_fini(struct lines *lines)
{
    for (uint32_t i = 0; i < lines->name_used; i++) {
        free(lines->names[i].text);
        free(lines->names[i].candidates);
    }
    map_fini(&lines->by_name);
    map_fini(&lines->by_task);
    free(lines->names);
    free(lines->parked);
    free(lines->ready);
    *lines = (struct lines){.name_free = LINES_NONE, .parked_free = LINES_NONE};
}

/* Room for one more element; a line of hundreds of thousands wastes a third at most. */
static void *with_room(void *array, uint32_t count, uint32_t *capacity, size_t element_bytes)
{
    if (count < *capacity) {
        return array;
    }
    uint32_t wider = *capacity == 0 ? LINES_CAPACITY_MIN : *capacity + *capacity / 2;
    assert(wider > *capacity);
    *capacity = wider;
    return xrealloc(array, wider * element_bytes);
}

/* The heap of ready names. */

static bool is_before(const struct lines *lines, uint32_t a, uint32_t b)
{
    return lines->names[lines->ready[a]].turn < lines->names[lines->ready[b]].turn;
}

static void swap_ready(struct lines *lines, uint32_t a, uint32_t b)
{
    uint32_t name = lines->ready[a];

    lines->ready[a] = lines->ready[b];
    lines->ready[b] = name;
    lines->names[lines->ready[a]].heap_at = a;
    lines->names[lines->ready[b]].heap_at = b;
}

static void sift_up(struct lines *lines, uint32_t at)
{
    while (at > 0 && is_before(lines, at, (at - 1) / 2)) {
        swap_ready(lines, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct lines *lines, uint32_t at)
{
    for (;;) {
        uint32_t least = at;

        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < lines->ready_count && is_before(lines, child, least)) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        swap_ready(lines, at, least);
        at = least;
    }
}

static void make_ready(struct lines *lines, uint32_t number)
{
    lines->ready = (uint32_t *)with_room(lines->ready, lines->ready_count, &lines->ready_capacity,
                                         sizeof(*lines->ready));
    uint32_t at = lines->ready_count++;

    lines->ready[at] = number;
    lines->names[number].heap_at = at;
    sift_up(lines, at);
}

static void make_unready(struct lines *lines, uint32_t number)
{
    uint32_t at = lines->names[number].heap_at;
    uint32_t last = lines->ready_count - 1;

    assert(at <= last && lines->ready[at] == number);
    swap_ready(lines, at, last);
    lines->ready_count--;
    lines->names[number].heap_at = LINES_NONE;
    if (at < last) {
        sift_up(lines, at);
        sift_down(lines, at);
    }
}

/* After its line or its candidates changed. */
static void update_ready(struct lines *lines, uint32_t number)
{
    const struct line_name *name = &lines->names[number];
    bool is_ready = name->first != LINES_NONE && name->candidate_count > 0;

    if (is_ready == (name->heap_at != LINES_NONE)) {
        return;
    }
    if (is_ready) {
        make_ready(lines, number);
    } else {
        make_unready(lines, number);
    }
}

/* Names. */

static bool find(const struct lines *lines, enum task_kind kind, str name, uint32_t *ret)
{
    struct host_offer key = {kind, name};

    return map_find(&lines->by_name, hash_name(kind, name), &key, ret);
}

const struct line_name *lines_find(const struct lines *lines, enum task_kind kind, str name)
{
    uint32_t number;

    return find(lines, kind, name, &number) ? &lines->names[number] : NULL;
}

static uint32_t intern(struct lines *lines, enum task_kind kind, str text)
{
    uint32_t number;

    if (find(lines, kind, text, &number)) {
        return number;
    }
    if (lines->name_free != LINES_NONE) {
        number = lines->name_free;
        lines->name_free = lines->names[number].next_free;
    } else {
        lines->names = (struct line_name *)with_room(lines->names, lines->name_used,
                                                     &lines->name_capacity, sizeof(*lines->names));
        number = lines->name_used++;
    }
    lines->names[number] = (struct line_name){
        .text = xstrndup(text.ptr, text.len),
        .len = (uint32_t)text.len,
        .kind = kind,
        .first = LINES_NONE,
        .last = LINES_NONE,
        .heap_at = LINES_NONE,
        .next_free = LINES_NONE,
    };
    map_add(&lines->by_name, number);
    return number;
}

static void forget_unused(struct lines *lines, uint32_t number)
{
    struct line_name *name = &lines->names[number];

    if (name->offer_count > 0 || name->first != LINES_NONE) {
        return;
    }
    assert(name->candidate_count == 0 && name->heap_at == LINES_NONE);
    map_remove(&lines->by_name, number);
    free(name->text);
    free(name->candidates);
    *name = (struct line_name){.next_free = lines->name_free};
    lines->name_free = number;
}

/* By the share of its slots that are taken; among equals, who was picked longest ago. */
static bool is_less_busy(const struct host_session *a, const struct host_session *b)
{
    uint64_t busy_a = (uint64_t)a->held.count * b->slots;
    uint64_t busy_b = (uint64_t)b->held.count * a->slots;

    if (busy_a != busy_b) {
        return busy_a < busy_b;
    }
    return a->picked != b->picked ? a->picked < b->picked : a->number < b->number;
}

struct host_session *lines_pick(const struct line_name *name)
{
    struct host_session *best = NULL;

    for (uint32_t i = 0; i < name->candidate_count; i++) {
        if (best == NULL || is_less_busy(name->candidates[i].session, best)) {
            best = name->candidates[i].session;
        }
    }
    return best;
}

uint32_t lines_offer(struct lines *lines, enum task_kind kind, str name)
{
    uint32_t number = intern(lines, kind, name);

    lines->names[number].offer_count++;
    return number;
}

void lines_withdraw(struct lines *lines, uint32_t name)
{
    assert(lines->names[name].offer_count > 0);
    lines->names[name].offer_count--;
    forget_unused(lines, name);
}

void lines_enter(struct lines *lines, struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct line_name *name = &lines->names[session->offers[i].name];

        assert(session->offers[i].place == LINES_NONE);
        name->candidates =
            (struct candidate *)with_room(name->candidates, name->candidate_count,
                                          &name->candidate_capacity, sizeof(*name->candidates));
        session->offers[i].place = name->candidate_count;
        name->candidates[name->candidate_count++] = (struct candidate){session, i};
        update_ready(lines, session->offers[i].name);
    }
}

void lines_leave(struct lines *lines, struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct offer *offer = &session->offers[i];
        struct line_name *name = &lines->names[offer->name];
        struct candidate last = name->candidates[name->candidate_count - 1];

        assert(name->candidates[offer->place].session == session);
        name->candidates[offer->place] = last;
        last.session->offers[last.offer].place = offer->place;
        offer->place = LINES_NONE;
        name->candidate_count--;
        update_ready(lines, offer->name);
    }
}

/* Those who wait. */

static bool find_parked(const struct lines *lines, struct task_ref task, uint32_t *ret)
{
    return map_find(&lines->by_task, task_ref_hash(task), &task, ret);
}

bool lines_is_parked(const struct lines *lines, struct task_ref task)
{
    uint32_t number;

    return find_parked(lines, task, &number);
}

static uint32_t take_parked(struct lines *lines)
{
    if (lines->parked_free != LINES_NONE) {
        uint32_t number = lines->parked_free;

        lines->parked_free = lines->parked[number].next;
        return number;
    }
    lines->parked = (struct parked_task *)with_room(
        lines->parked, lines->parked_used, &lines->parked_capacity, sizeof(*lines->parked));
    return lines->parked_used++;
}

void lines_park(struct lines *lines, enum task_kind kind, str text, struct task_ref task)
{
    assert(!lines_is_parked(lines, task));
    uint32_t name_number = intern(lines, kind, text);
    uint32_t number = take_parked(lines);
    struct line_name *name = &lines->names[name_number];

    lines->parked[number] = (struct parked_task){
        .task = task, .name = name_number, .prev = name->last, .next = LINES_NONE};
    if (name->first == LINES_NONE) {
        name->first = number;
        name->turn = ++lines->turn;
    } else {
        lines->parked[name->last].next = number;
    }
    name->last = number;
    map_add(&lines->by_task, number);
    update_ready(lines, name_number);
}

static void remove_parked(struct lines *lines, uint32_t number)
{
    struct parked_task *parked = &lines->parked[number];
    uint32_t name_number = parked->name;
    struct line_name *name = &lines->names[name_number];

    assert(name_number != LINES_NONE);
    map_remove(&lines->by_task, number);
    if (parked->prev == LINES_NONE) {
        name->first = parked->next;
    } else {
        lines->parked[parked->prev].next = parked->next;
    }
    if (parked->next == LINES_NONE) {
        name->last = parked->prev;
    } else {
        lines->parked[parked->next].prev = parked->prev;
    }
    *parked = (struct parked_task){.name = LINES_NONE, .next = lines->parked_free};
    lines->parked_free = number;
    update_ready(lines, name_number);
    forget_unused(lines, name_number);
}

bool lines_unpark(struct lines *lines, struct task_ref task)
{
    uint32_t number;

    if (!find_parked(lines, task, &number)) {
        return false;
    }
    remove_parked(lines, number);
    return true;
}

bool lines_next(struct lines *lines, struct task_ref *ret)
{
    if (lines->ready_count == 0) {
        return false;
    }
    uint32_t number = lines->ready[0];
    struct line_name *name = &lines->names[number];

    assert(name->first != LINES_NONE && name->candidate_count > 0);
    *ret = lines->parked[name->first].task;
    name->turn = ++lines->turn;
    sift_down(lines, 0);
    remove_parked(lines, name->first);
    return true;
}
