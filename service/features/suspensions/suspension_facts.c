#include "service/features/suspensions/suspension_facts.h"

#include "service/base/json.h"
#include "service/codec/level.h"
#include "service/features/suspensions/suspension_keys.h"
#include "service/features/trees/trees.h"
#include "service/partition/journal.h"
#include "service/partition/state.h"
#include "service/schema/schema.h"

static void search_set(struct suspension_facts *search, const struct event *event)
{
    assert(event->kind == EVENT_WAIT_SET);
    bool is_it = search->is_only ? event->effect == search->effect
                                 : str_equal(event->wait_set.key, search->key);
    if (event->wait_set.kind != EFFECT_SUSPENSION || !is_it) {
        return;
    }
    search->found = true;
    search->effect = event->effect;
    search->last = (struct suspension){
        .effect = event->effect,
        .step_key = event->wait_set.key,
        .data = event->wait_set.data,
        .answer_schema = event->wait_set.answer_schema,
        .since_ms = event->time_ms,
        .deadline_ms = event->wait_set.due_ms,
        .state = SUSPENSION_OPEN,
    };
}

static void search_settled(struct suspension_facts *search, const struct event *event)
{
    assert(event->kind == EVENT_WAIT_SETTLED);
    str answer;
    search->last.state = SUSPENSION_EXPIRED;
    if (json_object_get(event->wait_settled.outcome.value, STR("data"), &answer)) {
        search->last.state = SUSPENSION_ANSWERED;
        search->last.by = event->wait_settled.by;
        search->last.answer = answer;
        search->last.answered_ms = event->time_ms;
    }
}

static bool search_event(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    struct suspension_facts *search = context;
    if (event->kind == EVENT_RUN_STARTED) {
        search->root = event->run_started.spec.root;
        search->name = event->run_started.spec.name;
    } else if (event->kind == EVENT_WAIT_SET) {
        search_set(search, event);
    } else if (event->kind == EVENT_WAIT_SETTLED && search->found &&
               event->effect == search->effect) {
        search_settled(search, event);
    } else if (event->kind == EVENT_RESUME_KEPT && str_equal(event->resume_kept.key, search->key)) {
        search->kept_found = true;
        search->kept = (struct outcome){.value = event->resume_kept.data};
        search->kept_by = event->resume_kept.by;
    }
    return true;
}

status suspension_facts_search(struct partition *partition, uuid run, uint32_t effect, str key,
                               struct arena *arena, struct suspension_facts *ret)
{
    static const uint64_t kinds = JOURNAL_KIND(EVENT_RUN_STARTED) | JOURNAL_KIND(EVENT_WAIT_SET) |
                                  JOURNAL_KIND(EVENT_WAIT_SETTLED) |
                                  JOURNAL_KIND(EVENT_RESUME_KEPT);
    *ret = (struct suspension_facts){.key = key, .effect = effect, .is_only = effect != 0};
    TRY(journal_each(partition, run, kinds, arena, search_event, ret));
    ret->last.run = run;
    ret->last.root = ret->root;
    ret->last.name = ret->name;
    return STATUS_OK;
}

/* Adds what the event at that place says. */
static status look_at(struct partition *partition, uuid run, uint32_t seq, enum event_kind kind,
                      struct arena *arena, struct suspension_facts *search)
{
    return seq == 0 ? STATUS_OK
                    : journal_each_at(partition, run, seq, JOURNAL_KIND(kind), arena, search_event,
                                      search);
}

status suspension_facts_of(struct partition *partition, const struct live_run *run, uint32_t effect,
                           struct arena *arena, struct suspension_facts *ret)
{
    struct suspension_keys *keys = partition_self(partition, &suspensions_feature);
    uuid id = run->state.id;
    uint32_t asked;
    uint32_t settled;
    assert(effect > 0);
    *ret = (struct suspension_facts){.effect = effect, .is_only = true};
    TRY(suspension_keys_seq(keys, id, STEP_KEY_ASKED, effect, &asked));
    if (asked == 0) {
        return suspension_keys_lack(keys, run)
                   ? suspension_facts_search(partition, id, effect, STR_EMPTY, arena, ret)
                   : STATUS_OK;
    }
    TRY(suspension_keys_seq(keys, id, STEP_KEY_SETTLED, effect, &settled));
    TRY(look_at(partition, id, asked, EVENT_WAIT_SET, arena, ret));
    TRY(look_at(partition, id, settled, EVENT_WAIT_SETTLED, arena, ret));
    if (!ret->found) {
        return status_make(CODE_DATA_LOSS, "the journal lacks a suspension where its row says");
    }
    ret->last.run = id;
    ret->last.root = tree_place(partition, run)->root;
    ret->last.name = str_of(run->name);
    return STATUS_OK;
}

status suspension_facts_kept(struct partition *partition, const struct live_run *run, str key,
                             struct arena *arena, struct outcome *ret, str *ret_by)
{
    struct suspension_keys *keys = partition_self(partition, &suspensions_feature);
    struct suspension_facts search = {.key = key};
    uint32_t seq;
    TRY(suspension_keys_seq(keys, run->state.id, STEP_KEY_KEPT, engine_key(key), &seq));
    if (seq > 0) {
        TRY(look_at(partition, run->state.id, seq, EVENT_RESUME_KEPT, arena, &search));
    } else if (suspension_keys_lack(keys, run)) {
        TRY(suspension_facts_search(partition, run->state.id, 0, key, arena, &search));
    }
    if (!search.kept_found) {
        return status_make(CODE_NOT_FOUND, "no answer was kept for this step");
    }
    assert(str_equal(search.key, key));
    *ret = search.kept;
    *ret_by = search.kept_by;
    return STATUS_OK;
}

/* The sentence goes into the arena, all else goes at once. */
static status judge_in(str schema_text, str data, struct arena *own, struct arena *arena)
{
    struct schema *schema;
    if (!status_is_ok(schema_read(schema_text, own, &schema))) {
        return status_make(CODE_DATA_LOSS, "the schema of a suspension cannot be read");
    }
    status judged = schema_judge(schema, data, "answer", own);
    if (status_is_ok(judged)) {
        return judged;
    }
    return status_make(CODE_INVALID_ARGUMENT, arena_copy(arena, str_of(judged.why)).ptr);
}

status answer_judge(str schema, str data, struct arena *arena)
{
    struct arena own;
    if (schema.len == 0) {
        return STATUS_OK;
    }
    arena_init(&own, 0);
    status judged = judge_in(schema, data, &own, arena);
    arena_fini(&own);
    return judged;
}

void suspension_raise_level(struct partition *partition, const struct event *event)
{
    assert(event->kind == EVENT_WAIT_SET);
    if (event->wait_set.answer_schema.len > 0) {
        store_batch_raise(&partition->batch, LEVEL_ANSWERS);
    }
}
