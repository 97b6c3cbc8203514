/*
 * Topics by their names: listed with their first event, shortened and dropped by callers.
 *
 * What is dropped is behind the topic's `first` from that commit on, and nobody sees it any more;
 * the events themselves are deleted as owed work. Numbers go on, so what waits for a sequence, a
 * position or a trigger's place stays right; the row of a dropped topic stays for that.
 */
#include "service/base/endian.h"
#include "service/base/sys.h"
#include "service/features/owed/owed.h"
#include "service/features/topics/topic_state.h"

enum {
    OWED_EVENTS = 5, /* On disk. */
    NAMED_PER_ROUND = 64, /* Topics of an older store. */
};

static_assert(sizeof(uuid) == KEY_HASH_BYTES, "a topic's hash names its lane");
static_assert(sizeof(uuid) == 2 * sizeof(uint64_t), "a cursor holds two sequences");

static bool visit_last(void *context, str key, str value)
{
    (void)value;
    return key_read_topic_sequence(key, context) && false;
}

status topic_read(struct partition *partition, const uint8_t hash[16], struct topic_row *ret)
{
    char key[KEY_BYTES_MAX];
    char prefix[KEY_BYTES_MAX];
    uint64_t last = 0;
    str value;
    struct topic_row row = {.first = 1};
    str own = key_topic(key, partition->options.space, hash, 0);
    TRY(store_scan(&partition->store, STORE_TOPICS,
                   key_hash(prefix, partition->options.space, hash), STR_EMPTY, true, 1, visit_last,
                   &last));
    status found = store_get(&partition->store, STORE_TOPICS, own, &partition->round_arena, &value);
    if (status_is_ok(found)) {
        TRY(topic_row_decode(value, &row));
    } else if (found.code != CODE_NOT_FOUND) {
        return found;
    }
    row.last = last > row.last ? last : row.last;
    assert(row.first <= row.last + 1);
    *ret = row;
    return STATUS_OK;
}

static void put_row(struct partition *partition, const struct topic *topic)
{
    char key[KEY_BYTES_MAX];
    char value[TOPIC_ROW_BYTES];
    assert(!topic->is_type && topic->row.first <= topic->row.last + 1);
    topic_row_encode(&topic->row, value);
    store_batch_put(&partition->batch, STORE_TOPICS,
                    key_topic(key, partition->options.space, topic->hash, 0),
                    str_make(value, sizeof(value)));
}

void topic_list(struct partition *partition, struct topic *topic, str name)
{
    char key[KEY_BYTES_MAX];
    if (topic->row.is_listed) {
        return;
    }
    assert(name.len > 0 && !topic->is_type);
    topic->row.is_listed = true;
    put_row(partition, topic);
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, INDEX_TOPIC, name), STR_EMPTY);
}

/* ---- Dropped events. ---- */

static uuid cursor_of(uint64_t from, uint64_t up_to)
{
    uuid cursor;
    assert(from > 0 && up_to < UINT64_MAX);
    endian_put_be((char *)cursor.bytes, from, 8);
    endian_put_be((char *)cursor.bytes + 8, up_to, 8);
    return cursor;
}

/* What was published before they were dropped is looked at by those who await it first. */
static enum owed_result delete_events(struct partition *partition, struct owed *owed,
                                      size_t *budget)
{
    uint64_t from = endian_get_be((const char *)owed->cursor.bytes, 8);
    uint64_t up_to = endian_get_be((const char *)owed->cursor.bytes + 8, 8);
    assert(*budget > 0);
    if (owed->at_hand != NULL) {
        return OWED_GOES_ON;
    }
    if (topics_of(partition)->is_waking_on) {
        return OWED_LATER; /* It may wait for the store itself: not round after round. */
    }
    for (; from <= up_to && *budget > 0; from++, --*budget) {
        char key[KEY_BYTES_MAX];
        assert(from > 0); /* There its own row is. */
        store_batch_delete(&partition->batch, STORE_TOPICS,
                           key_topic(key, partition->options.space, owed->target.bytes, from));
    }
    owed->cursor = cursor_of(from, up_to);
    return from > up_to ? OWED_DONE : OWED_GOES_ON;
}

static const struct owed_kind events_kind = {
    .name = "topic_events", .number = OWED_EVENTS, .work = delete_events};
const struct owed_kind *const topic_owed_kinds[] = {&events_kind, NULL};

static bool may_drop(const struct topics *topics, const struct topic *topic, uint64_t up_to,
                     struct failure *ret)
{
    if (topic->row.last == 0 || (!topic->row.is_listed && topic->row.first > topic->row.last)) {
        *ret = failure_make(CODE_NOT_FOUND, REASON_TOPIC_NOT_FOUND,
                            STR("nothing was published to this topic; TopicService.List shows "
                                "those there are"));
    } else if (topics->listener != NULL &&
               topics->listener->needs(topics->listener_context, topic->hash, up_to)) {
        *ret = failure_make(CODE_FAILED_PRECONDITION, REASON_TOPIC_IN_USE,
                            STR("a workflow's trigger follows this topic and would miss events; "
                                "take the trigger from its code, or let it catch up"));
    } else {
        return true;
    }
    ret->field = STR("topic");
    return false;
}

/* up_to 0: all, and the topic. */
static void drop(struct partition *partition, struct topic *topic, str name, uint64_t up_to)
{
    char key[KEY_BYTES_MAX];
    uint64_t from = topic->row.first;
    uint64_t last = up_to == 0 || up_to > topic->row.last ? topic->row.last : up_to;
    topic->row.first = last >= from ? last + 1 : from;
    if (up_to == 0) {
        topic->row.is_listed = false;
        store_batch_delete(&partition->batch, STORE_INDEX,
                           key_index(key, partition->options.space, INDEX_TOPIC, name));
    }
    assert(topic->row.first >= from && topic->row.first <= topic->row.last + 1);
    put_row(partition, topic);
    if (last >= from) {
        topic_show_dropped(partition, topic->hash, last);
        owed_post(partition, topic_id(topic->hash), &events_kind,
                  &(struct owed){.target = topic_id(topic->hash),
                                 .cursor = cursor_of(from, last),
                                 .at_hand = topic});
    }
}

static void handle_delete(struct partition *partition, struct request *request)
{
    const struct delete_topic_request *wanted = delete_topic_request(request);
    uint8_t hash[16];
    struct topic *topic;
    struct failure failure;
    topic_hash(wanted->topic, hash);
    status found = topic_find(partition, hash, &topic);
    if (!status_is_ok(found)) {
        request_fail(partition, request, found.code, REASON_STORE_DAMAGED, found.why);
        return;
    }
    uint64_t up_to = wanted->up_to == 0 ? UINT64_MAX : wanted->up_to;
    if (!may_drop(topics_of(partition), topic, up_to, &failure)) {
        request_fail_later(partition, request, &failure);
        return;
    }
    drop(partition, topic, wanted->topic, wanted->up_to);
    assert(topic->row.first > wanted->up_to || topic->row.first > topic->row.last);
    request_answer_later(partition, request);
}

const struct operation delete_topic_operation = {
    .name = "delete_topic",
    .request_bytes = sizeof(struct delete_topic_request),
    .handle = handle_delete,
};

/* ---- What an older release has not named. ---- */

struct naming {
    struct partition *partition;
    struct topics_named *named;
    bool found;
    status status;
};

static bool visit_unnamed(void *context, str key, str value)
{
    struct naming *naming = context;
    struct partition *partition = naming->partition;
    uint64_t sequence;
    struct topic_event event;
    struct topic *topic;
    if (!key_read_hash(key, naming->named->last) || !key_read_topic_sequence(key, &sequence)) {
        return true;
    }
    assert(!naming->found);
    naming->found = true;
    if (sequence == 0) {
        return false; /* It has a row, and so it has a name if it is to be shown. */
    }
    status read = topic_event_decode(value, sequence, &event);
    read = status_is_ok(read) ? topic_find(partition, naming->named->last, &topic) : read;
    if (status_is_ok(read)) {
        topic_list(partition, topic, event.topic);
    } else if (store_may_pass(read)) {
        naming->status = read;
    } else {
        log_line(LOG_ERROR, "topic_not_listed", "why=\"%s\"", read.why);
    }
    return false;
}

static void put_named(const struct topics *topics)
{
    struct partition *partition = topics->partition;
    char key[KEY_BYTES_MAX];
    char value[TOPICS_NAMED_BYTES];
    topics_named_encode(&topics->named_next, value);
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, INDEX_TOPICS_NAMED, STR_EMPTY),
                    str_make(value, sizeof(value)));
}

bool topics_are_unnamed(const struct topics *topics)
{
    return !topics->named.is_complete && !topics->is_given_up;
}

void topics_name_old(struct topics *topics)
{
    struct partition *partition = topics->partition;
    struct naming naming = {.partition = partition, .named = &topics->named_next, .found = true};
    if (!topics_are_unnamed(topics) || partition->now_ms < topics->name_again_ms) {
        return;
    }
    for (size_t i = 0; i < NAMED_PER_ROUND && naming.found; i++) {
        char prefix[KEY_BYTES_MAX];
        char from[KEY_BYTES_MAX];
        naming.found = false;
        status scanned = store_scan(
            &partition->store, STORE_TOPICS, key_prefix_space(prefix, partition->options.space),
            key_topic(from, partition->options.space, naming.named->last, UINT64_MAX), false,
            SIZE_MAX, visit_unnamed, &naming);
        scanned = status_is_ok(scanned) ? naming.status : scanned;
        if (!status_is_ok(scanned) && store_may_pass(scanned)) {
            topics->named_next = topics->named; /* What was listed so far is listed once. */
            topics->name_again_ms = partition->now_ms + READ_AGAIN_MS;
            return;
        }
        if (!status_is_ok(scanned)) {
            log_line(LOG_ERROR, "topics_unreadable", "why=\"%s\"", scanned.why);
            topics->is_given_up = true;
            return;
        }
    }
    assert(!topics->named.is_complete);
    topics->named_next.is_complete = !naming.found;
    put_named(topics);
}

status topics_read_named(struct topics *topics)
{
    struct partition *partition = topics->partition;
    char key[KEY_BYTES_MAX];
    str value;
    status found =
        store_get(&partition->store, STORE_INDEX,
                  key_index(key, partition->options.space, INDEX_TOPICS_NAMED, STR_EMPTY),
                  &partition->scratch, &value);
    if (found.code == CODE_NOT_FOUND) {
        return STATUS_OK;
    }
    TRY(found);
    if (!status_is_ok(topics_named_decode(value, &topics->named))) {
        log_line(LOG_ERROR, "topics_named_damaged", "they are named anew");
    }
    topics->named_next = topics->named;
    return STATUS_OK;
}
