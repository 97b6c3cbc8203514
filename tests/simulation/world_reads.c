/*
 * Reads beside the partition: a run and its history, a few rows a page, while commits go on between
 * the pages. What they tell is held against the journal itself, read in one go.
 */
#include "service/base/code_version.h"
#include "service/base/failure.h"
#include "service/codec/run_index.h"
#include "service/codec/tree_rows.h"
#include "service/features/reports/reports.h"
#include "service/reads/history.h"
#include "service/reads/list.h"
#include "service/reads/run_read.h"
#include "tests/simulation/world.h"

enum {
    READ_STEP_MS = 40, /* Between two pages, at most. */
};

/* Somebody's read of a run or its history. */
struct sim_read {
    struct sim_ask base;
    uuid run;
    uint32_t seen; /* Events committed when it was asked. */
    uint32_t next; /* History: the first event not seen. */
};

static void go_on(struct world *world, void *context, uint64_t number)
{
    (void)context, (void)number;
    world->reads_go_on = false;
    if (world->reads == NULL) {
        return;
    }
    for (uint64_t i = draw_below(&world->pages, 8); i < 8; i++) {
        (void)reads_step(world->reads, 0);
    }
    if (reads_waiting(world->reads) > 0) {
        world->reads_go_on = true;
        world_at(world, draw_below(&world->pages, READ_STEP_MS), go_on, NULL, 0);
    }
}

static void wake(struct world *world)
{
    if (!world->reads_go_on) {
        world->reads_go_on = true;
        world_at(world, draw_below(&world->pages, READ_STEP_MS), go_on, NULL, 0);
    }
}

static bool forget_row(void *context, str key, str value)
{
    (void)value;
    store_batch_delete(context, STORE_INDEX, key);
    return true;
}

/* As it was before runs were listed by an index: its rows are to be made again. */
void world_reads_age(struct world *world)
{
    struct store_batch batch = {.count = 0};
    char key[KEY_BYTES_MAX];
    if (draw_below(&world->pages, 8) != 0 || world->is_deleting) {
        return;
    }
    status scanned = store_scan(&world->store, STORE_INDEX,
                                key_index(key, world->options.space, INDEX_RUN, STR_EMPTY),
                                STR_EMPTY, false, SIZE_MAX, forget_row, &batch);
    world_expect(world, status_is_ok(scanned), "the-store-can-be-read");
    for (enum run_index_set set = 0; set < RUN_INDEX_SETS; set++) {
        store_batch_delete(
            &batch, STORE_INDEX,
            key_index(key, world->options.space, run_index_built_kind(set), STR_EMPTY));
    }
    status committed = store_commit(&world->store, &batch);
    world_expect(world, status_is_ok(committed), "the-store-can-be-written");
    store_batch_fini(&batch);
}

void world_reads_start(struct world *world)
{
    struct reads_options options = {
        .source = {.store = world_store(world),
                   .space = world->options.space,
                   .apart = partition_apart(world->partition),
                   .page_rows = 1 + draw_below(&world->pages, 5)},
        .queue_max = 16,
    };
    world->reads = reads_new(&options);
}

void world_reads_stop(struct world *world)
{
    reads_free(world->reads);
    world->reads = NULL;
}

void *world_heard(struct read *read)
{
    struct sim_ask *ask = read->context;
    struct world *world = ask->world;
    world->open_requests--;
    world_expect(world, !ask->is_answered, "answered-once");
    ask->is_answered = true;
    return world->is_dead || !world_sees(world) ? NULL : ask;
}

void world_read_always(struct world *world, struct read *read)
{
    if (world->reads == NULL) { /* The process ends. */
        read->done(read, &(struct failure){.code = CODE_UNAVAILABLE});
        return;
    }
    reads_post_always(world->reads, read);
    wake(world);
}

bool world_ask_read(struct sim_ask *ask, struct read *read)
{
    struct world *world = ask->world;
    read->context = ask;
    ask->is_answered = false;
    if (world->reads == NULL || !reads_post(world->reads, read)) {
        world->counts.snubs++;
        read_free(read);
        return false;
    }
    world->open_requests++;
    wake(world);
    return true;
}

static void post(struct world *world, struct sim_read *it, struct read *read)
{
    read->run = it->run;
    it->base.world = world;
    (void)world_ask_read(&it->base, read);
}

static struct sim_read *read_begin(struct world *world, uuid run)
{
    struct sim_read *it = arena_zalloc(&world->arena, sizeof(*it));
    it->run = run;
    it->seen = world_find_run(world, run)->ledger.events;
    return it;
}

/* ---- A run. ---- */

/* What the journal says, read in one go from its first fact to `until`. */
struct told {
    uint32_t until;
    struct run state;
    uint32_t records; /* That hold these facts, ... */
    size_t bytes; /* ... and how many they are. */
    struct arena arena;
    str name;
    str state_json;
    str cancel_cause;
    str names[LEDGER_EFFECTS_MAX + 1];
    str hosts[LEDGER_EFFECTS_MAX + 1];
    str failures[LEDGER_EFFECTS_MAX + 1];
    str deployment; /* Of those given so far, that of the state's. */
};

static void tell(struct told *told, const struct event *event)
{
    str state = event_state(event).json;
    told->state_json = state.len > 0 ? state : told->state_json;
    if (event->kind == EVENT_RUN_STARTED) {
        told->name = event->run_started.spec.name;
    } else if (event->kind == EVENT_TASK_REQUESTED) {
        told->names[event->effect] = event->task_requested.name;
    } else if (event->kind == EVENT_WAIT_SET) {
        told->names[event->effect] = event->wait_set.key;
    } else if (event->kind == EVENT_LEASE_GRANTED) {
        told->hosts[event->effect] = event->lease_granted.host_id;
        told->deployment = event->lease_granted.deployment;
    } else if (event->kind == EVENT_TASK_FAILED) {
        told->failures[event->effect] = event->task_failed.outcome.error_message;
    } else if (event->kind == EVENT_CANCEL_REQUESTED) {
        told->cancel_cause = event->cancel_requested.cause;
    }
}

static bool tell_record(void *context, str key, str value)
{
    struct told *told = context;
    size_t cursor = 0;
    struct codec_entry entry;
    struct event event;
    bool is_end = false;
    (void)key;
    str record = arena_copy(&told->arena, value);
    told->records += told->state.seq < told->until;
    told->bytes += told->state.seq < told->until ? value.len : 0;
    while (told->state.seq < told->until &&
           status_is_ok(codec_next(record, &cursor, &entry, &is_end)) && !is_end &&
           status_is_ok(codec_decode(&entry, &told->arena, &event))) {
        tell(told, &event);
        engine_apply(&told->state, &event);
    }
    return told->state.seq < told->until;
}

static void judge_effect(struct world *world, const struct run_facts *facts,
                         const struct told *told, size_t index)
{
    const struct effect *effect = &facts->state.effects[index];
    bool has_name = effect_is_task(effect) || effect_is_wait(effect);
    world_expect(world, !has_name || str_equal(facts->effect_names[index], told->names[effect->id]),
                 "reads-name-what-is-open");
    bool is_leased = effect_is_task(effect) && effect->state == EFFECT_LEASED;
    world_expect(world, !is_leased || str_equal(facts->hosts[index], told->hosts[effect->id]),
                 "reads-know-who-has-a-task");
    bool rests = effect_is_task(effect) && effect->state == EFFECT_BACKOFF;
    world_expect(world, !rests || str_equal(facts->failures[index], told->failures[effect->id]),
                 "reads-know-why-a-task-failed");
}

static uint32_t events_in(const struct run_facts *facts, bool *ret_is_whole)
{
    uint32_t next = 1;
    *ret_is_whole = true;
    for (size_t i = 0; i < facts->record_count; i++) {
        size_t cursor = 0;
        struct codec_entry entry;
        bool is_end = false;
        while (status_is_ok(codec_next(facts->records[i], &cursor, &entry, &is_end)) && !is_end) {
            *ret_is_whole &= entry.seq == next;
            next = entry.seq + 1;
        }
    }
    return next - 1;
}

static void judge_facts(struct world *world, const struct sim_read *it,
                        const struct run_facts *facts)
{
    char prefix[KEY_BYTES_MAX];
    struct told *told = arena_zalloc(&world->arena, sizeof(*told));
    told->until = facts->state.seq;
    engine_init(&told->state);
    arena_init(&told->arena, 0);
    status scanned =
        store_scan(&world->store, STORE_JOURNAL, key_run(prefix, world->options.space, it->run),
                   STR_EMPTY, false, SIZE_MAX, tell_record, told);
    world_expect(world, status_is_ok(scanned) && told->state.seq == told->until,
                 "reads-see-what-is-durable");
    world_expect(world, facts->state.seq >= it->seen, "reads-see-what-was-there");
    world_expect(world, memcmp(&told->state, &facts->state, sizeof(told->state)) == 0,
                 "reads-fold-the-journal");
    world_expect(world, facts->history_bytes == told->bytes, "reads-know-how-large-it-is");
    world_expect(world, str_equal(facts->name, told->name), "reports-name-the-run");
    bool is_agent = facts->state.kind == RUN_KIND_AGENT;
    world_expect(world, is_agent || str_equal(facts->state_json, told->state_json),
                 "reads-show-the-last-state");
    bool is_cancelled = facts->state.is_cancelling || facts->state.state == RUN_CANCELLED;
    world_expect(world, !is_cancelled || str_equal(facts->cancel_cause, told->cancel_cause),
                 "reads-know-the-cause");
    world_expect(world,
                 facts->state.deployment == 0 ||
                     code_version_shares_deployment(code_version_make(facts->deployment, STR_EMPTY),
                                                    facts->state.deployment),
                 "reads-name-the-deployment");
    for (size_t i = 0; i < facts->state.effect_count; i++) {
        judge_effect(world, facts, told, i);
    }
    bool is_whole;
    uint32_t last = events_in(facts, &is_whole);
    world_expect(world, last == facts->state.seq, "reads-show-the-newest-fact");
    bool is_large = facts->history_bytes > RUN_TURNS_BYTES;
    world_expect(world, !is_agent || is_whole || is_large, "reads-show-all-turns");
    arena_fini(&told->arena);
}

static void judge_run(struct world *world, const struct sim_read *it, const struct run_facts *facts)
{
    bool is_unreadable = facts->unreadable.len > 0;
    if (world_find_run(world, it->run)->is_damaged) {
        world_expect(world, is_unreadable, "what-is-damaged-is-unreadable");
        return;
    }
    world_expect(world, !is_unreadable, "only-what-is-damaged-is-unreadable");
    if (!is_unreadable && !world_find_run(world, it->run)->is_gone) { /* Deleted as it was read. */
        judge_facts(world, it, facts);
    }
}

static void run_was_read(struct read *read, const struct failure *failure);

static void told_live(struct request *request, const struct failure *failure)
{
    struct read *read = get_request(request)->poster;
    struct sim_read *it = read->context;
    struct world *world = it->base.world;
    world->open_requests--;
    if (failure != NULL || world->reads == NULL) {
        read_free(read);
    } else {
        const struct run_report *report = report_request(request)->ret;
        run_read_live(run_read(read), report->is_in_memory ? &report->state : NULL,
                      report->history_bytes);
        it->base.is_answered = false;
        world->open_requests++;
        reads_post_always(world->reads, read);
        wake(world);
    }
    request_free(request);
}

static void ask_partition(struct world *world, struct read *read)
{
    struct request *request = request_new(&get_operation);
    request->run = read->run;
    request->done = told_live;
    get_request(request)->row = &run_read(read)->ret.row;
    get_request(request)->poster = read;
    if (world_post(world, request)) {
        world->open_requests++;
    } else {
        read_free(read);
    }
}

static void run_was_read(struct read *read, const struct failure *failure)
{
    struct sim_read *it = world_heard(read);
    struct world *world = ((struct sim_read *)read->context)->base.world;
    if (it != NULL && failure == NULL && run_read(read)->needs_live) {
        ask_partition(world, read);
        return;
    }
    if (it != NULL && failure == NULL) {
        judge_run(world, it, &run_read(read)->ret);
        world->counts.reads++;
    } else if (it != NULL) {
        bool is_gone = failure->code == CODE_NOT_FOUND && world_find_run(world, it->run)->is_gone;
        world_fail_law(world, failure, is_gone, "promised-runs-can-be-read");
    }
    read_free(read);
}

void world_read_run(struct world *world, uuid run)
{
    struct read *read = read_new(&run_kind);
    read->done = run_was_read;
    post(world, read_begin(world, run), read);
}

/* ---- A history. ---- */

static void post_page(struct world *world, struct sim_read *it);

static void judge_page(struct world *world, struct sim_read *it, const struct history_read *page)
{
    const struct sim_run *found = world_find_run(world, it->run);
    for (size_t i = 0; i < page->ret_count; i++) {
        size_t cursor = 0;
        struct codec_entry entry;
        bool is_end = false;
        while (status_is_ok(codec_next(page->ret_records[i], &cursor, &entry, &is_end)) &&
               !is_end) {
            if (entry.seq < it->next) {
                continue;
            }
            world_expect(world, entry.seq == it->next, "history-is-without-gap");
            world_expect(world,
                         entry.seq <= found->ledger.events &&
                             found->facts[entry.seq - 1] ==
                                 str_hash(entry.body) * 31 + (uint64_t)entry.kind,
                         "history-is-what-is-written");
            it->next = entry.seq + 1;
        }
    }
    world_expect(world, page->ret_next == 0 || page->ret_next == it->next,
                 "history-goes-on-where-it-ended");
    world_expect(world, page->ret_next != 0 || it->next > it->seen, "history-is-whole");
}

static void page_was_read(struct read *read, const struct failure *failure)
{
    struct sim_read *it = world_heard(read);
    struct world *world = ((struct sim_read *)read->context)->base.world;
    if (it != NULL && failure == NULL && !world_find_run(world, it->run)->is_damaged) {
        judge_page(world, it, history_read(read));
        world->counts.reads++;
        if (history_read(read)->ret_next != 0 && world_is_well(world)) {
            post_page(world, it);
        }
    } else if (it != NULL && failure != NULL) {
        bool is_gone = failure->code == CODE_NOT_FOUND && world_find_run(world, it->run)->is_gone;
        world_fail_law(world, failure, is_gone, "promised-runs-can-be-read");
    }
    read_free(read);
}

static void post_page(struct world *world, struct sim_read *it)
{
    struct read *read = read_new(&history_kind);
    read->done = page_was_read;
    history_read(read)->from_seq = it->next;
    history_read(read)->limit = 1 + draw_below(&world->pages, 20);
    post(world, it, read);
}

void world_read_history(struct world *world, uuid run)
{
    struct sim_read *it = read_begin(world, run);
    it->next = 1 + (uint32_t)world_below(world, 12);
    it->next = it->next > it->seen ? 1 : it->next;
    post_page(world, it);
}

/* ---- Lists. ---- */

struct sim_list {
    struct sim_read it;
    struct run_filter filter;
    uint64_t asked; /* Number of the last event committed when it was asked. */
    uint64_t upsets; /* When the process may have begun anew. */
    uuid last; /* Shown; zero: none. */
    size_t shown;
    bool is_first; /* Its first page. */
};

/* Started by it, or inherited from the run it is the retry of. */
static bool is_child(struct world *world, uuid parent, uuid run)
{
    char key[KEY_BYTES_MAX];
    struct index_tail tail = child_row_tail(parent, run);
    str value;
    return status_is_ok(
        store_get(&world->store, STORE_INDEX,
                  key_index(key, world->options.space, INDEX_CHILD, index_tail_str(&tail)),
                  &world->arena, &value));
}

static bool fits(struct world *world, const struct sim_list *list, const struct sim_run *run)
{
    const struct run_filter *filter = &list->filter;
    return (uuid_is_zero(filter->parent) || is_child(world, filter->parent, run->id)) &&
           (filter->kind == RUN_KIND_NONE || filter->kind == (enum run_kind)run->folded.kind) &&
           (filter->statuses == 0 || (filter->statuses & 1u << run->row.status) != 0) &&
           (filter->name.len == 0 || str_equal(filter->name, run->name)) &&
           (uuid_is_zero(filter->root) || uuid_equal(filter->root, run->root)) &&
           (!filter->only_roots || uuid_is_zero(run->parent)) &&
           (filter->session_id.len == 0 || str_equal(filter->session_id, run->session));
}

static void judge_line(struct world *world, struct sim_list *list, const struct run_line *line)
{
    const struct sim_run *run = world_find_run(world, line->id);
    bool is_damaged = run != NULL && run->was_damaged;
    bool is_known = run != NULL && (run->is_damaged || run->row.status == line->row.status);
    world_expect(world, is_known, "lists-know-the-status");
    world_expect(world, !is_known || run->is_damaged || run->is_doomed || fits(world, list, run),
                 "lists-show-what-was-asked-for");
    bool is_older =
        uuid_is_zero(list->last) || memcmp(&list->last, &line->id, sizeof(line->id)) > 0;
    world_expect(world, is_older, "the-newest-run-is-listed-first");
    list->last = line->id;
    list->shown += !is_damaged && !run->is_doomed;
}

static void judge_whole(struct world *world, struct sim_list *list)
{
    size_t before = 0;
    size_t now = 0;
    for (size_t i = 0; i < world->run_count; i++) {
        const struct sim_run *run = world->runs[i];
        bool is_it = !run->was_damaged && !run->is_doomed && fits(world, list, run);
        now += is_it;
        before += is_it && run->started <= list->asked && list->filter.statuses == 0;
    }
    world_expect(world, list->shown >= before && (!list->is_first || list->shown == now),
                 "every-run-is-listed-once");
    if (!world_is_well(world)) {
        world_detail(world, "%zu shown, %zu there were, %zu there are; kind %u statuses %u",
                     list->shown, before, now, (unsigned)list->filter.kind, list->filter.statuses);
    }
}

static void post_list(struct world *world, struct sim_list *list, uuid before);

static void list_was_read(struct read *read, const struct failure *failure)
{
    struct sim_list *list = world_heard(read);
    struct world *world = ((struct sim_read *)read->context)->base.world;
    if (list != NULL && failure != NULL) {
        world_fail_law(world, failure, false, "runs-can-be-listed");
    } else if (list != NULL) {
        world->counts.reads++;
        for (size_t i = 0; i < list_read(read)->ret_count; i++) {
            judge_line(world, list, &list_read(read)->ret_lines[i]);
        }
        if (uuid_is_zero(list_read(read)->ret_next)) {
            judge_whole(world, list);
        } else if (world_is_well(world)) {
            list->is_first = false;
            post_list(world, list, list_read(read)->ret_next);
        }
    }
    read_free(read);
}

static void post_list(struct world *world, struct sim_list *list, uuid before)
{
    struct read *read = read_new(&list_kind);
    read->done = list_was_read;
    list_read(read)->filter = list->filter;
    list_read(read)->before = before;
    list_read(read)->limit =
        1 + draw_below(&world->pages, 2) * 1000 + draw_below(&world->pages, 10);
    post(world, &list->it, read);
}

static void draw_filter(struct world *world, struct run_filter *ret)
{
    static const char *const names[] = {"helper", "flow", "sleepy", "add", "unknown"};
    struct draw *draw = &world->pages;
    ret->kind =
        draw_below(draw, 3) == 0 ? (enum run_kind)draw_below(draw, RUN_KIND_COUNT) : RUN_KIND_NONE;
    while (draw_below(draw, 3) == 0) { /* None, one or several. */
        ret->statuses |= 1u << (1 + draw_below(draw, RUN_STATUS_UNREADABLE));
    }
    if (draw_below(draw, 3) == 0) {
        ret->name = str_of(names[draw_below(draw, COUNT_OF(names))]);
    }
    if (draw_below(draw, 3) == 0) {
        ret->session_id = STR("session");
    }
    if (draw_below(draw, 4) == 0 && world->run_count > 0) {
        ret->parent = world->runs[draw_below(draw, world->run_count)]->id;
    }
    if (draw_below(draw, 3) == 0 && world->run_count > 0) {
        ret->root = world->runs[draw_below(draw, world->run_count)]->root;
    }
    ret->only_roots = draw_below(draw, 4) == 0;
}

void world_read_list(struct world *world)
{
    struct sim_list *list = arena_zalloc(&world->arena, sizeof(*list));
    draw_filter(world, &list->filter);
    list->asked = world->event_number;
    list->is_first = true;
    post_list(world, list, (uuid){{0}});
}
