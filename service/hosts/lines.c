#include "service/hosts/lines.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/hosts/session.h"

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

/* The heap of ready lines. */

static bool is_before(const void *context, const void *a, const void *b)
{
    const struct line *all = ((const struct lines *)context)->lines;

    return all[*(const uint32_t *)a].turn < all[*(const uint32_t *)b].turn;
}

static void moved(void *context, const void *number, uint32_t place)
{
    ((struct lines *)context)->lines[*(const uint32_t *)number].heap_at = place;
}

static const struct heap_order ready_order = {sizeof(uint32_t), is_before, moved};

void lines_init(struct lines *lines)
{
    *lines =
        (struct lines){.name_free = LINES_NONE, .line_free = LINES_NONE, .parked_free = LINES_NONE};
    map_init(&lines->by_name, &keys_by_name, lines);
    map_init(&lines->by_task, &keys_by_task, lines);
    heap_init(&lines->ready, &ready_order, lines);
}

void lines_fini(struct lines *lines)
{
    for (uint32_t i = 0; i < lines->name_used; i++) {
        free(lines->names[i].text);
    }
    for (uint32_t i = 0; i < lines->line_used; i++) {
        free(lines->lines[i].candidates);
    }
    map_fini(&lines->by_name);
    map_fini(&lines->by_task);
    free(lines->names);
    free(lines->lines);
    free(lines->parked);
    heap_fini(&lines->ready);
    *lines =
        (struct lines){.name_free = LINES_NONE, .line_free = LINES_NONE, .parked_free = LINES_NONE};
}

/* Whom a line gets. */

static uint32_t find_line(const struct lines *lines, const struct line_name *name,
                          uint64_t deployment)
{
    uint32_t number = name->lines;

    while (number != LINES_NONE && lines->lines[number].deployment != deployment) {
        number = lines->lines[number].next;
    }
    return number;
}

/* The line of the deployment whose hosts dialled in last; LINES_NONE: nobody is there. */
static uint32_t newest_line(const struct lines *lines, const struct line_name *name)
{
    uint32_t newest = LINES_NONE;

    for (uint32_t at = name->lines; at != LINES_NONE; at = lines->lines[at].next) {
        const struct line *line = &lines->lines[at];

        if (line->there_count > 0 &&
            (newest == LINES_NONE || line->newest > lines->lines[newest].newest)) {
            newest = at;
        }
    }
    return newest;
}

/* The line whose hosts serve those who wait for a deployment, not for any; LINES_NONE: nobody
 * does. */
static uint32_t serving_line(const struct lines *lines, const struct line_name *name,
                             uint64_t deployment)
{
    assert(deployment != HOSTS_ANY);
    uint32_t own = find_line(lines, name, deployment);

    if (own != LINES_NONE && lines->lines[own].there_count > 0) {
        return own;
    }
    bool may_move = lines->may_move || deployment == HOSTS_NEWEST;
    return may_move ? newest_line(lines, name) : LINES_NONE;
}

static bool is_served(const struct lines *lines, const struct line *line)
{
    const struct line_name *name = &lines->names[line->name];

    if (line->first == LINES_NONE || name->candidate_count == 0) {
        return false;
    }
    if (line->deployment == HOSTS_ANY) {
        return true;
    }
    uint32_t serving = serving_line(lines, name, line->deployment);

    return serving != LINES_NONE && lines->lines[serving].candidate_count > 0;
}

static void update_ready(struct lines *lines, uint32_t number)
{
    bool is_ready = is_served(lines, &lines->lines[number]);

    if (is_ready == (lines->lines[number].heap_at != HEAP_NONE)) {
        return;
    }
    if (is_ready) {
        heap_add(&lines->ready, &number);
    } else {
        heap_remove(&lines->ready, lines->lines[number].heap_at);
    }
}

/* After its hosts changed: a line may have to do with those of any other one. */
static void update_name(struct lines *lines, uint32_t name)
{
    for (uint32_t at = lines->names[name].lines; at != LINES_NONE; at = lines->lines[at].next) {
        update_ready(lines, at);
    }
}

void lines_let_move(struct lines *lines)
{
    lines->may_move = true;
    for (uint32_t number = 0; number < lines->line_used; number++) {
        if (lines->lines[number].name != LINES_NONE) {
            update_ready(lines, number);
        }
    }
}

/* Names and their lines. */

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

static uint32_t intern_name(struct lines *lines, enum task_kind kind, str text)
{
    uint32_t number;

    if (find(lines, kind, text, &number)) {
        return number;
    }
    if (lines->name_free != LINES_NONE) {
        number = lines->name_free;
        lines->name_free = lines->names[number].next_free;
    } else {
        lines->names = array_reserve(lines->names, &lines->name_capacity,
                                     (size_t)lines->name_used + 1, sizeof(*lines->names));
        number = lines->name_used++;
    }
    lines->names[number] = (struct line_name){
        .text = xstrndup(text.ptr, text.len),
        .len = (uint32_t)text.len,
        .kind = kind,
        .lines = LINES_NONE,
        .next_free = LINES_NONE,
    };
    map_add(&lines->by_name, number);
    return number;
}

static uint32_t take_line(struct lines *lines)
{
    if (lines->line_free != LINES_NONE) {
        uint32_t number = lines->line_free;

        lines->line_free = lines->lines[number].next;
        return number;
    }
    lines->lines = array_reserve(lines->lines, &lines->line_capacity, (size_t)lines->line_used + 1,
                                 sizeof(*lines->lines));
    return lines->line_used++;
}

static uint32_t intern(struct lines *lines, enum task_kind kind, str text, uint64_t deployment)
{
    uint32_t name = intern_name(lines, kind, text);
    uint32_t number = find_line(lines, &lines->names[name], deployment);

    if (number == LINES_NONE) {
        number = take_line(lines);
        lines->lines[number] = (struct line){
            .deployment = deployment,
            .name = name,
            .first = LINES_NONE,
            .last = LINES_NONE,
            .heap_at = HEAP_NONE,
            .next = lines->names[name].lines,
        };
        lines->names[name].lines = number;
    }
    return number;
}

static void forget_name(struct lines *lines, uint32_t number)
{
    struct line_name *name = &lines->names[number];

    assert(name->candidate_count == 0 && name->offer_count == 0);
    map_remove(&lines->by_name, number);
    free(name->text);
    *name = (struct line_name){.next_free = lines->name_free};
    lines->name_free = number;
}

static void forget_unused(struct lines *lines, uint32_t number)
{
    struct line *line = &lines->lines[number];
    struct line_name *name = &lines->names[line->name];

    if (line->offer_count > 0 || line->first != LINES_NONE) {
        return;
    }
    assert(line->candidate_count == 0 && line->there_count == 0 && line->heap_at == HEAP_NONE);
    uint32_t *at = &name->lines;

    while (*at != number) {
        at = &lines->lines[*at].next;
    }
    *at = line->next;
    if (name->lines == LINES_NONE) {
        forget_name(lines, line->name);
    }
    free(line->candidates);
    *line = (struct line){.name = LINES_NONE, .next = lines->line_free};
    lines->line_free = number;
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

static struct host_session *pick_of(const struct line *line, struct host_session *best)
{
    for (uint32_t i = 0; i < line->candidate_count; i++) {
        if (best == NULL || is_less_busy(line->candidates[i].session, best)) {
            best = line->candidates[i].session;
        }
    }
    return best;
}

struct host_session *lines_pick(const struct lines *lines, const struct line_name *name,
                                uint64_t deployment)
{
    struct host_session *best = NULL;

    if (deployment != HOSTS_ANY) {
        uint32_t serving = serving_line(lines, name, deployment);

        return serving == LINES_NONE ? NULL : pick_of(&lines->lines[serving], NULL);
    }
    for (uint32_t at = name->lines; at != LINES_NONE; at = lines->lines[at].next) {
        best = pick_of(&lines->lines[at], best);
    }
    return best;
}

uint32_t lines_offer(struct lines *lines, enum task_kind kind, str name, uint64_t deployment)
{
    assert(deployment != HOSTS_ANY && deployment != HOSTS_NEWEST);
    uint32_t number = intern(lines, kind, name, deployment);

    lines->lines[number].offer_count++;
    lines->names[lines->lines[number].name].offer_count++;
    return number;
}

void lines_withdraw(struct lines *lines, uint32_t number)
{
    struct line *line = &lines->lines[number];

    assert(line->offer_count > line->there_count);
    line->offer_count--;
    lines->names[line->name].offer_count--;
    forget_unused(lines, number);
}

void lines_arrive(struct lines *lines, const struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct line *line = &lines->lines[session->offers[i].line];

        line->there_count++;
        line->newest = session->number > line->newest ? session->number : line->newest;
        update_name(lines, line->name);
    }
}

void lines_depart(struct lines *lines, const struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct line *line = &lines->lines[session->offers[i].line];

        assert(line->there_count > 0);
        line->there_count--;
        line->newest = line->there_count > 0 ? line->newest : 0;
        update_name(lines, line->name);
    }
}

void lines_enter(struct lines *lines, struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct line *line = &lines->lines[session->offers[i].line];

        assert(session->offers[i].place == LINES_NONE);
        line->candidates =
            array_reserve(line->candidates, &line->candidate_capacity,
                          (size_t)line->candidate_count + 1, sizeof(*line->candidates));
        session->offers[i].place = line->candidate_count;
        line->candidates[line->candidate_count++] = (struct candidate){session, i};
        lines->names[line->name].candidate_count++;
        update_name(lines, line->name);
    }
}

void lines_leave(struct lines *lines, struct host_session *session)
{
    for (uint32_t i = 0; i < session->offer_count; i++) {
        struct offer *offer = &session->offers[i];
        struct line *line = &lines->lines[offer->line];
        struct candidate last = line->candidates[line->candidate_count - 1];

        assert(line->candidates[offer->place].session == session);
        line->candidates[offer->place] = last;
        last.session->offers[last.offer].place = offer->place;
        offer->place = LINES_NONE;
        line->candidate_count--;
        lines->names[line->name].candidate_count--;
        update_name(lines, line->name);
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
    lines->parked = array_reserve(lines->parked, &lines->parked_capacity,
                                  (size_t)lines->parked_used + 1, sizeof(*lines->parked));
    return lines->parked_used++;
}

void lines_park(struct lines *lines, enum task_kind kind, str text, uint64_t deployment,
                struct task_ref task)
{
    assert(!lines_is_parked(lines, task));
    uint32_t line_number = intern(lines, kind, text, deployment);
    uint32_t number = take_parked(lines);
    struct line *line = &lines->lines[line_number];

    lines->parked[number] = (struct parked_task){
        .task = task, .line = line_number, .prev = line->last, .next = LINES_NONE};
    if (line->first == LINES_NONE) {
        line->first = number;
        line->turn = ++lines->turn;
    } else {
        lines->parked[line->last].next = number;
    }
    line->last = number;
    map_add(&lines->by_task, number);
    update_ready(lines, line_number);
}

static void remove_parked(struct lines *lines, uint32_t number)
{
    struct parked_task *parked = &lines->parked[number];
    uint32_t line_number = parked->line;
    struct line *line = &lines->lines[line_number];

    assert(line_number != LINES_NONE);
    map_remove(&lines->by_task, number);
    if (parked->prev == LINES_NONE) {
        line->first = parked->next;
    } else {
        lines->parked[parked->prev].next = parked->next;
    }
    if (parked->next == LINES_NONE) {
        line->last = parked->prev;
    } else {
        lines->parked[parked->next].prev = parked->prev;
    }
    *parked = (struct parked_task){.line = LINES_NONE, .next = lines->parked_free};
    lines->parked_free = number;
    update_ready(lines, line_number);
    forget_unused(lines, line_number);
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
    const uint32_t *first = heap_first(&lines->ready);

    if (first == NULL) {
        return false;
    }
    struct line *line = &lines->lines[*first];

    assert(is_served(lines, line));
    *ret = lines->parked[line->first].task;
    line->turn = ++lines->turn;
    heap_update(&lines->ready, line->heap_at);
    remove_parked(lines, line->first);
    return true;
}
