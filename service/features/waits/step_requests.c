/*
 * orders: what a task's code wants that outlives it: to wait, to start runs, to publish, to answer.
 *
 * What can be done at once is done in the batch that records the order; its outcome is part of the
 * same transition, so an order that is sent twice is never carried out twice.
 */
#include "service/base/json_writer.h"
#include "service/base/sys.h"
#include "service/partition/internal.h"

struct order {
    struct partition *partition;
    struct live_run *run;
    const struct host_message *message;
    struct arena *arena;
    struct command command;
    struct run_spec *children; /* To be started with the order. */
};

static struct outcome failed(const char *type, str message)
{
    return (struct outcome){.failed = true, .error_type = str_of(type), .error_message = message};
}

static void settle(struct order *order, struct outcome outcome)
{
    order->command.step_request.is_settled = true;
    order->command.step_request.outcome = outcome;
}

/* An order that can't be carried out settles as failed: the code is told. */
static void refuse(struct order *order, const struct failure *failure)
{
    order->command.step_request.kind = EFFECT_AT_ONCE;
    order->command.step_request.children = 0;
    settle(order, failed(failure->reason, failure->message));
}

static void log_damage(const char *what, status why)
{
    log_line(LOG_ERROR, "journal_unreadable", "what=%s why=\"%s\"", what, why.why);
}

static void prepare_suspend(struct order *order)
{
    const struct host_order *wanted = &order->message->order;
    order->command.step_request.kind = EFFECT_SUSPENSION;
    order->command.step_request.data = wanted->data;
    order->command.step_request.due_ms = wanted->due_ms;
    struct outcome kept;
    str by;
    if (engine_has_kept(&order->run->state, engine_key(order->message->key)) &&
        status_is_ok(suspension_kept(order->partition, order->run->state.id, order->message->key,
                                     order->arena, &kept, &by))) {
        settle(order, kept);
        order->command.step_request.by = by;
    }
}

static void prepare_await(struct order *order)
{
    const struct host_order *wanted = &order->message->order;
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "topic", wanted->topic);
    json_put_string(&writer, "event_type", wanted->event_type);
    json_end_object(&writer);
    order->command.step_request.kind = EFFECT_EVENT;
    order->command.step_request.data = buf_finish(&text, order->arena);
    order->command.step_request.due_ms = wanted->due_ms;
}

static void prepare_publish(struct order *order)
{
    const struct host_order *wanted = &order->message->order;
    struct topic_event event = {
        .topic = wanted->topic,
        .type = wanted->event_type,
        .data = wanted->data,
        .run = order->run->state.id,
    };
    uint64_t sequence = 0;
    status published = topic_publish(order->partition, &event, 1, &sequence);
    if (!status_is_ok(published)) {
        settle(order, failed("STORE_DAMAGED", str_of(published.why)));
        return;
    }
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_u64(&writer, "sequence", sequence);
    json_end_object(&writer);
    settle(order, (struct outcome){.value = buf_finish(&text, order->arena)});
}

static void prepare_resume(struct order *order)
{
    const struct host_order *wanted = &order->message->order;
    char by[UUID_TEXT_BYTES];
    bool accepted = false;
    bool kept = false;
    uuid_format(order->run->state.id, by);
    enum verdict verdict =
        suspension_answer(order->partition, wanted->run, wanted->step_key, wanted->data,
                          arena_printf(order->arena, "run %s", by), order->arena, &accepted, &kept);
    if (verdict == VERDICT_REFUSED || verdict == VERDICT_TERMINAL || verdict == VERDICT_STALE) {
        settle(order, failed("RESUME_REFUSED",
                             STR("there is no such run, it has ended, or it was sent too many "
                                 "answers it has not asked for")));
        return;
    }
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_bool(&writer, "accepted", accepted);
    json_put_bool(&writer, "kept", kept);
    json_end_object(&writer);
    settle(order, (struct outcome){.value = buf_finish(&text, order->arena)});
}

static enum run_kind kind_of(unsigned kind)
{
    assert(kind > RUN_KIND_NONE && kind < RUN_KIND_COUNT); /* Checked at the edge. */
    return (enum run_kind)kind;
}

static struct run_spec child_spec(const struct order *order, const struct host_child *child)
{
    return (struct run_spec){
        .kind = kind_of(child->kind),
        .name = child->name,
        .input = child->input.len == 0 ? STR("null") : child->input,
        .options = child->options,
        .session_id = child->session_id,
        .user_id = child->user_id,
        .conversation_id = child->conversation_id,
        .state = child->state,
        .queue = child->queue,
        .concurrency_key = child->concurrency_key,
        .priority = child->priority,
        .parent = order->run->state.id,
    };
}

static void prepare_invoke(struct order *order)
{
    const struct host_order *wanted = &order->message->order;
    struct event started;
    struct failure failure = failure_make(CODE_DATA_LOSS, "STORE_DAMAGED", STR("damaged"));
    if (!status_is_ok(runs_started(order->run, order->arena, &started))) {
        refuse(order, &failure);
        return;
    }
    order->command.step_request.kind = wanted->waits ? EFFECT_CHILDREN : EFFECT_AT_ONCE;
    order->command.step_request.children = wanted->waits ? (uint32_t)wanted->child_count : 0;
    if (wanted->waits && !engine_may_wait(&order->run->state)) {
        return; /* The engine refuses it, and says why; nothing is started. */
    }
    order->children = arena_alloc(order->arena, wanted->child_count * sizeof(order->children[0]));
    for (size_t i = 0; i < wanted->child_count; i++) {
        order->children[i] = child_spec(order, &wanted->children[i]);
        order->children[i].root = started.run_started.spec.root;
        order->children[i].parent_index = (uint32_t)i;
        if (!start_check(order->partition, &order->children[i], order->arena, &failure)) {
            order->children = NULL; /* All or none. */
            refuse(order, &failure);
            return;
        }
    }
}

static void prepare(struct order *order)
{
    order->command.step_request.key = order->message->key;
    order->command.step_request.kind = EFFECT_AT_ONCE;
    switch (order->message->order.kind) {
    case HOST_ORDER_SLEEP:
        order->command.step_request.kind = EFFECT_SLEEP;
        order->command.step_request.due_ms = order->message->order.due_ms;
        break;
    case HOST_ORDER_SUSPEND:
        prepare_suspend(order);
        break;
    case HOST_ORDER_INVOKE:
        prepare_invoke(order);
        break;
    case HOST_ORDER_AWAIT_EVENT:
        prepare_await(order);
        break;
    case HOST_ORDER_PUBLISH:
        prepare_publish(order);
        break;
    case HOST_ORDER_RESUME:
        prepare_resume(order);
        break;
    }
}

/* The ids come before the order's record, which names them. */
static void start_children(struct order *order, uint32_t effect, uuid *ids)
{
    const struct host_order *wanted = &order->message->order;
    for (size_t i = 0; i < wanted->child_count; i++) {
        struct failure failure;
        order->children[i].parent_effect = wanted->waits ? effect : 0;
        bool started =
            start_run(order->partition, &order->children[i], wanted->children[i].timeout_ms,
                      wanted->children[i].max_retries, order->arena, &failure, &ids[i]);
        assert(started); /* Checked above, in the same turn. */
    }
}

static void name_children(struct order *order, const uuid *ids)
{
    const struct host_order *wanted = &order->message->order;
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_array(&writer, NULL);
    for (size_t i = 0; i < wanted->child_count; i++) {
        json_begin_object(&writer, NULL);
        json_put_uuid(&writer, "run_id", ids[i]);
        json_put_string(&writer, "name", wanted->children[i].name);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    order->command.step_request.data = buf_finish(&text, order->arena);
    if (!wanted->waits) {
        settle(order, (struct outcome){.value = order->command.step_request.data});
    }
}

static bool add_key(void *context, uint32_t seq, const struct event *event)
{
    (void)seq;
    order_keys_add(context, event->wait_set.owner, engine_key(event->wait_set.key));
    return true;
}

/* False: the key is new to the task, for sure. */
static bool may_be_known(struct order *order, uint32_t task, uint64_t key)
{
    struct order_keys *keys = &order->run->order_keys;
    if (!keys->is_complete) { /* The run was read again. */
        status read = journal_each(order->partition, order->run->state.id,
                                   JOURNAL_KIND(EVENT_WAIT_SET), order->arena, add_key, keys);
        keys->is_complete = status_is_ok(read);
    }
    return !keys->is_complete || order_keys_has(keys, task, key);
}

/* True when the order stands already: its outcome is on its way, or is sent again. */
static bool is_repeated(struct order *order, enum verdict *ret)
{
    const struct effect *task = engine_effect(&order->run->state, order->message->task.effect);
    if (task == NULL || task->attempt != order->message->epoch || task->state != EFFECT_LEASED) {
        *ret = VERDICT_STALE;
        return true;
    }
    uint64_t key = engine_key(order->message->key);
    *ret = VERDICT_DONE_BEFORE;
    if (engine_wait(&order->run->state, task->id, key) != NULL) {
        return true;
    }
    if (task->waits_settled == 0 || !may_be_known(order, task->id, key)) {
        return false; /* No order of this key has been settled. */
    }
    struct replay replay;
    status read =
        replay_read(order->partition, order->run->state.id, task->id, order->arena, &replay);
    for (size_t i = 0; status_is_ok(read) && i < replay.count; i++) {
        if (replay.steps[i].is_order && str_equal(replay.steps[i].key, order->message->key)) {
            struct act *act = act_add(order->partition, ACT_OUTCOME, order->run);
            act->effect = task->id;
            act->key = order->message->key;
            act->wait_kind = EFFECT_AT_ONCE;
            act->outcome = (struct outcome){.failed = replay.steps[i].outcome.failed,
                                            .value = replay.steps[i].outcome.value,
                                            .error_type = replay.steps[i].outcome.error_type,
                                            .error_message = replay.steps[i].outcome.error_message};
            return true;
        }
    }
    return false;
}

enum verdict order_submit(struct partition *partition, struct live_run *run,
                          const struct host_message *message, struct arena *arena)
{
    struct order order = {
        .partition = partition,
        .run = run,
        .message = message,
        .arena = arena,
        .command = {.kind = COMMAND_STEP_REQUEST,
                    .effect = message->task.effect,
                    .attempt = message->epoch},
    };
    enum verdict verdict;
    if (is_repeated(&order, &verdict)) {
        return verdict;
    }
    prepare(&order);
    if (order.children != NULL) {
        uuid *ids = arena_alloc(arena, message->order.child_count * sizeof(ids[0]));
        start_children(&order, run->state.effect_next, ids);
        name_children(&order, ids);
    }
    return command_submit(partition, run, &order.command);
}

void order_outcome(struct partition *partition, const struct act *act)
{
    struct task_ref task = {act->run->state.id, act->effect};
    struct outcome outcome = act->outcome;
    if (act->wait_kind == EFFECT_CHILDREN && !outcome.failed && outcome.value.len == 0) {
        status read = replay_children(partition, task.run, act->wait, (uint32_t)act->seq,
                                      &partition->scratch, &outcome.value);
        if (!status_is_ok(read)) {
            log_damage("children", read);
            return;
        }
    }
    hosts_outcome(partition->hosts, task, act->key, &outcome);
}

void order_resend(struct partition *partition, struct task_ref task)
{
    struct replay replay;
    status read = replay_read(partition, task.run, task.effect, &partition->scratch, &replay);
    if (!status_is_ok(read)) {
        log_damage("orders", read);
        return;
    }
    if (replay.cancel_cause.len > 0) {
        hosts_interrupt(partition->hosts, task, "cancelled");
    }
    for (size_t i = 0; i < replay.count; i++) {
        if (replay.steps[i].is_order) {
            hosts_outcome(partition->hosts, task, replay.steps[i].key, &replay.steps[i].outcome);
        }
    }
}
