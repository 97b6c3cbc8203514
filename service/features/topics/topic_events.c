/*
 * Events as they lie in the store: named, read, shown.
 */
#include "service/base/hash.h"
#include "service/base/json_writer.h"
#include "service/features/topics/topic_state.h"

void topic_hash(str topic, uint8_t ret[16])
{
    hash128(topic, ret);
}

uuid topic_id(const uint8_t hash[16])
{
    uuid id;
    memcpy(id.bytes, hash, sizeof(id.bytes));
    return id;
}

void topic_type_hash(const uint8_t topic[16], str type, uint8_t ret[16])
{
    struct buf text = {0};
    buf_put(&text, str_make((const char *)topic, 16));
    buf_put(&text, type);
    hash128(buf_str(&text), ret);
    buf_fini(&text);
}

str topic_render(const struct topic_event *event, struct arena *arena)
{
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    json_put_u64(&writer, "sequence", event->sequence);
    json_put_string(&writer, "topic", event->topic);
    json_put_string(&writer, "event_type", event->type);
    json_put_raw(&writer, "data", event->data);
    json_put_u64(&writer, "created_at_ms", event->created_ms);
    if (uuid_is_zero(event->run)) {
        json_put_string(&writer, "run_id", STR_EMPTY);
    } else {
        json_put_uuid(&writer, "run_id", event->run);
    }
    json_end_object(&writer);
    return buf_finish(&text, arena);
}

struct visiting {
    bool (*each)(void *context, const struct topic_event *event);
    void *context;
    status status;
};

static bool visit_one(void *context, str key, str value)
{
    struct visiting *visiting = context;
    struct topic_event event;
    uint64_t sequence;
    if (!key_read_topic_sequence(key, &sequence)) {
        return true;
    }
    visiting->status = topic_event_decode(value, sequence, &event);
    return status_is_ok(visiting->status) && visiting->each(visiting->context, &event);
}

status topic_visit(struct partition *partition, const uint8_t hash[16], uint64_t after,
                   bool (*each)(void *context, const struct topic_event *event), void *context)
{
    assert(each != NULL);
    char prefix_bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct visiting visiting = {.each = each, .context = context};
    str from = key_topic(from_bytes, partition->options.space, hash, after + 1);
    str prefix = key_hash(prefix_bytes, partition->options.space, hash);
    TRY(store_scan(&partition->store, STORE_TOPICS, prefix, from, false, SIZE_MAX, visit_one,
                   &visiting));
    return visiting.status;
}
