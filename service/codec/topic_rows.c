#include "service/codec/topic_rows.h"

#include "service/base/crc32c.h"
#include "service/base/endian.h"
#include "service/base/hash.h"

enum {
    CRC_BYTES = 4,
    ROW_FORMAT = 1,
    EVENT_HEADER_BYTES = CRC_BYTES + 8 + 16 + 2 + 2,
    TRIGGER_HEADER_BYTES = 8 + 8 + 4,
    PUBLICATION_VALUE_BYTES = 16 + 8 + 8,
    AGE_TAIL_BYTES = 8 + PUBLICATION_KEY_BYTES,
};

void topic_row_encode(const struct topic_row *row, char ret[TOPIC_ROW_BYTES])
{
    assert(row->first > 0 && row->first <= row->last + 1);
    ret[0] = ROW_FORMAT;
    ret[1] = row->is_listed ? 1 : 0;
    endian_put_le(ret + 2, row->first, 8);
    endian_put_le(ret + 10, row->last, 8);
}

status topic_row_decode(str value, struct topic_row *ret)
{
    struct endian_reader reader = {.rest = value};
    uint64_t format = endian_take_le(&reader, 1);
    struct topic_row row = {.is_listed = endian_take_le(&reader, 1) != 0};
    row.first = endian_take_le(&reader, 8);
    row.last = endian_take_le(&reader, 8);
    if (value.len != TOPIC_ROW_BYTES || format != ROW_FORMAT || row.first == 0 ||
        row.last == UINT64_MAX || row.first > row.last + 1) {
        return status_make(CODE_DATA_LOSS, "row of a topic: damaged");
    }
    *ret = row;
    return STATUS_OK;
}

void topics_named_encode(const struct topics_named *named, char ret[TOPICS_NAMED_BYTES])
{
    ret[0] = named->is_complete ? 1 : 0;
    memcpy(ret + 1, named->last, sizeof(named->last));
}

status topics_named_decode(str value, struct topics_named *ret)
{
    if (value.len != TOPICS_NAMED_BYTES || (uint8_t)value.ptr[0] > 1) {
        return status_make(CODE_DATA_LOSS, "how far topics have names: damaged");
    }
    ret->is_complete = value.ptr[0] == 1;
    memcpy(ret->last, value.ptr + 1, sizeof(ret->last));
    return STATUS_OK;
}

void topic_event_encode(const struct topic_event *event, struct buf *ret)
{
    size_t start = ret->len;
    assert(event->topic.len <= UINT16_MAX && event->type.len <= UINT16_MAX);
    buf_put_u32_le(ret, 0);
    buf_put_u64_le(ret, event->created_ms);
    buf_put(ret, str_make(event->run.bytes, sizeof(event->run.bytes)));
    buf_put_u16_le(ret, (uint16_t)event->topic.len);
    buf_put_u16_le(ret, (uint16_t)event->type.len);
    assert(ret->len - start == EVENT_HEADER_BYTES);
    buf_put(ret, event->topic);
    buf_put(ret, event->type);
    buf_put(ret, event->data);
    str summed = str_make(ret->ptr + start + CRC_BYTES, ret->len - start - CRC_BYTES);
    endian_put_le(ret->ptr + start, crc32c(0, summed), CRC_BYTES);
}

status topic_event_decode(str value, uint64_t sequence, struct topic_event *ret)
{
    struct endian_reader reader = {.rest = value};
    struct topic_event event = {.sequence = sequence};
    uint32_t sum = (uint32_t)endian_take_le(&reader, CRC_BYTES);
    if (value.len < EVENT_HEADER_BYTES || crc32c(0, reader.rest) != sum) {
        return status_make(CODE_DATA_LOSS, "an event of a topic is damaged");
    }
    event.created_ms = endian_take_le(&reader, 8);
    endian_take_bytes(&reader, event.run.bytes, sizeof(event.run.bytes));
    size_t topic_bytes = (size_t)endian_take_le(&reader, 2);
    size_t type_bytes = (size_t)endian_take_le(&reader, 2);
    event.topic = endian_take_text(&reader, topic_bytes);
    event.type = endian_take_text(&reader, type_bytes);
    event.data = reader.rest;
    if (reader.is_short) {
        return status_make(CODE_DATA_LOSS, "an event of a topic is cut short");
    }
    *ret = event;
    return STATUS_OK;
}

void trigger_row_encode(const struct trigger_row *row, struct buf *ret)
{
    assert(row->topic.len > 0 && row->topic.len <= TOPIC_BYTES_MAX);
    buf_put_u64_le(ret, row->position);
    buf_put_u64_le(ret, row->batch_timeout_ms);
    buf_put_u32_le(ret, row->batch_size);
    buf_put(ret, row->topic);
}

status trigger_row_decode(str value, struct trigger_row *ret)
{
    struct endian_reader reader = {.rest = value};
    if (value.len <= TRIGGER_HEADER_BYTES || value.len > TRIGGER_HEADER_BYTES + TOPIC_BYTES_MAX) {
        return status_make(CODE_DATA_LOSS, "row of a trigger: damaged");
    }
    ret->position = endian_take_le(&reader, 8);
    ret->batch_timeout_ms = endian_take_le(&reader, 8);
    ret->batch_size = (uint32_t)endian_take_le(&reader, 4);
    ret->topic = reader.rest;
    assert(!reader.is_short);
    return STATUS_OK;
}

void publication_key(str topic, str key, uint8_t ret[PUBLICATION_KEY_BYTES])
{
    struct buf hashed = {0};
    buf_put_counted(&hashed, topic);
    buf_put(&hashed, key);
    hash128(buf_str(&hashed), ret);
    buf_fini(&hashed);
}

void publication_row_encode(const struct publication_row *row, struct buf *ret)
{
    buf_put(ret, str_make(row->digest, sizeof(row->digest)));
    buf_put_u64_le(ret, row->first);
    buf_put_u64_le(ret, row->created_ms);
}

status publication_row_decode(str value, struct publication_row *ret)
{
    struct endian_reader reader = {.rest = value};
    if (value.len != PUBLICATION_VALUE_BYTES) {
        return status_make(CODE_DATA_LOSS, "an idempotency key of a publication is damaged");
    }
    endian_take_bytes(&reader, ret->digest, sizeof(ret->digest));
    ret->first = endian_take_le(&reader, 8);
    ret->created_ms = endian_take_le(&reader, 8);
    assert(!reader.is_short && reader.rest.len == 0);
    return STATUS_OK;
}

struct index_tail publication_age_row_tail(const struct publication_age_row *row)
{
    struct index_tail tail = {.len = 0};
    index_tail_put_number(&tail, row->created_ms, 8);
    index_tail_put(&tail, row->key, sizeof(row->key));
    assert(tail.len == AGE_TAIL_BYTES);
    return tail;
}

status publication_age_row_decode(str tail, struct publication_age_row *ret)
{
    if (tail.len != AGE_TAIL_BYTES) {
        return status_make(CODE_DATA_LOSS, "age of a publication: damaged");
    }
    ret->created_ms = endian_get_be(tail.ptr, 8);
    memcpy(ret->key, tail.ptr + 8, sizeof(ret->key));
    return STATUS_OK;
}
