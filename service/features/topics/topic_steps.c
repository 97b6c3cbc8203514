/*
 * What the code of a task asks of topics: to wait for an event, and to publish one.
 */
#include "service/base/hash.h"
#include "service/base/json_writer.h"
#include "service/features/topics/topic_state.h"
#include "service/partition/round.h"

static status read_topic(struct partition *partition, const struct host_step_request *wanted)
{
    uint8_t hash[16];
    struct topic *topic;
    hash128(wanted->topic, hash);
    return topic_find(partition, hash, &topic);
}

static void refuse(struct step_request *step, status why)
{
    bool is_damaged = why.code == CODE_DATA_LOSS;
    step_request_refuse(step, reason_name(is_damaged ? REASON_STORE_DAMAGED : REASON_STORE_REFUSED),
                        str_of(why.why));
}

/* A topic that is damaged may be awaited, for the day when it is mended. */
static bool may_await(struct step_request *step, const struct host_step_request *wanted)
{
    status found = read_topic(step->partition, wanted);
    if (status_is_ok(found) || found.code == CODE_DATA_LOSS) {
        return true;
    }
    refuse(step, found);
    return false;
}

static void prepare_await(struct step_request *step)
{
    const struct host_step_request *wanted = &step->message->step_request;
    struct buf text = {0};
    if (!may_await(step, wanted)) {
        return;
    }
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "topic", wanted->topic);
    json_put_string(&writer, "event_type", wanted->event_type);
    json_end_object(&writer);
    assert(wanted->kind == STEP_REQUEST_EVENT);
    step->command.step_request.kind = EFFECT_EVENT;
    step->command.step_request.data = buf_finish(&text, step->arena);
    step->command.step_request.due_ms = step->due_ms;
}

static void prepare_publish(struct step_request *step)
{
    const struct host_step_request *wanted = &step->message->step_request;
    assert(wanted->kind == STEP_REQUEST_PUBLISH);
    struct topic_event event = {
        .topic = wanted->topic,
        .type = wanted->event_type,
        .data = wanted->data,
        .run = step->run->state.id,
    };
    uint64_t sequence = 0;
    status published = topic_publish(step->partition, &event, 1, &sequence);
    if (!status_is_ok(published)) {
        refuse(step, published);
        return;
    }
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_u64(&writer, "sequence", sequence);
    json_end_object(&writer);
    step_request_settle(step, (struct outcome){.value = buf_finish(&text, step->arena)});
}

/* A wait for an event sees what is published after it began. */
static void put_row(struct partition *partition, struct live_run *run, const struct live_wait *wait,
                    const struct event *event)
{
    assert(event->wait_set.kind == EFFECT_EVENT && event->effect == wait->effect);
    uint64_t last = 0;
    struct topic *topic;
    status found = topic_find(partition, wait->topic, &topic);
    if (!status_is_ok(found) &&
        store_may_pass(found)) { /* It would see what was published before. */
        round_spoil(partition, found);
    }
    if (status_is_ok(found)) {
        last = topic->row.last;
        uint8_t type[16];
        topic_type_hash(wait->topic, wait->event_type, type);
        topic = wait->event_type.len > 0 ? topic_type_find(partition, type) : topic;
        topic_note_await(topic, run->state.id, wait->effect);
    }
    topic_put_await(partition, wait, run->state.id, last);
}

static void delete_row(struct partition *partition, struct live_run *run,
                       const struct effect *effect)
{
    const struct live_wait *wait;
    assert(effect->kind == EFFECT_EVENT);
    status found = wait_find(partition, run, effect->id, &wait);
    if (!status_is_ok(found) && store_may_pass(found)) { /* Its row would stay. */
        round_spoil(partition, found);
    }
    if (status_is_ok(found)) {
        char key[KEY_BYTES_MAX];
        store_batch_delete(&partition->batch, STORE_INDEX,
                           topic_await_key(partition, key, wait, run->state.id));
    }
}

static const struct wait_kind await_kind = {
    .request = STEP_REQUEST_EVENT,
    .kind = EFFECT_EVENT,
    .settled = SETTLED_EVENT,
    .read = read_topic,
    .prepare = prepare_await,
    .set = put_row,
    .over = delete_row,
};
static const struct wait_kind publish_kind = {
    .request = STEP_REQUEST_PUBLISH,
    .kind = EFFECT_AT_ONCE,
    .read = read_topic,
    .prepare = prepare_publish,
};

const struct wait_kind *const topic_wait_kinds[] = {&await_kind, &publish_kind, NULL};
