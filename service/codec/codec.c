#include "service/codec/codec.h"

#include "service/base/crc32c.h"
#include "service/base/endian.h"
#include "service/codec/body.h"
#include "service/codec/events.h"

enum {
    FORMAT = 1,
    FLAG_LAST = 1, /* Of its record. */
    AT_FORMAT = 0,
    AT_KIND = 1,
    AT_FLAGS = 2,
    AT_BODY_BYTES = 4,
    AT_TIME = 8,
    AT_CRC = 16,
    AT_SEQ = 20,
};
static_assert(AT_SEQ + sizeof(uint32_t) == CODEC_ENVELOPE_BYTES, "the seq ends the envelope");

/* Of what lies before the checksum and what lies behind it. */
static uint32_t checksum(const char *envelope, size_t body_bytes)
{
    uint32_t crc = crc32c(0, str_make(envelope, AT_CRC));
    return crc32c(crc, str_make(envelope + AT_SEQ, sizeof(uint32_t) + body_bytes));
}

static void encode_event(const struct event *event, uint32_t seq, bool last, struct buf *ret)
{
    const struct event_row *row = event_row_of((unsigned)event->kind);
    struct event_body body;
    size_t start = ret->len;
    assert(row != NULL);
    assert(row->descriptor->sizeof_message <= sizeof(body.room));
    body.message = body.room;
    row->descriptor->message_init(body.message);
    row->to_body(event, &body);
    buf_reserve(ret, CODEC_ENVELOPE_BYTES);
    ret->len += CODEC_ENVELOPE_BYTES;
    body_pack(body.message, ret);
    size_t body_bytes = ret->len - start - CODEC_ENVELOPE_BYTES;
    char *envelope = ret->ptr + start;
    endian_put_le(envelope + AT_FORMAT, FORMAT, 1);
    endian_put_le(envelope + AT_KIND, (uint64_t)event->kind, 1);
    endian_put_le(envelope + AT_FLAGS, last ? FLAG_LAST : 0, 2);
    endian_put_le(envelope + AT_BODY_BYTES, body_bytes, 4);
    endian_put_le(envelope + AT_TIME, event->time_ms, 8);
    endian_put_le(envelope + AT_SEQ, seq, 4);
    endian_put_le(envelope + AT_CRC, checksum(envelope, body_bytes), 4);
}

void codec_encode(const struct event *events, size_t count, uint32_t first_seq, struct buf *ret)
{
    assert(count > 0 && count <= ENGINE_EVENTS_MAX);
    assert(first_seq > 0);
    for (size_t i = 0; i < count; i++) {
        encode_event(&events[i], first_seq + (uint32_t)i, i + 1 == count, ret);
    }
}

static status damaged(const char *why)
{
    return status_make(CODE_DATA_LOSS, why);
}

/* The envelope is whole; `rest` is the record from it on. */
static status check_envelope(str rest)
{
    size_t body_bytes = endian_get_le(rest.ptr + AT_BODY_BYTES, 4);
    size_t after = rest.len - CODEC_ENVELOPE_BYTES;
    uint64_t flags = endian_get_le(rest.ptr + AT_FLAGS, 2);
    if (rest.ptr[AT_FORMAT] != FORMAT) {
        return rest.ptr[AT_FORMAT] == 0
                   ? damaged("journal record: the format is 0")
                   : status_make(CODE_FAILED_PRECONDITION,
                                 "journal record: damaged, or in the format of a newer release");
    }
    if (body_bytes > after) {
        return damaged("journal record: an event is cut off");
    }
    if (endian_get_le(rest.ptr + AT_CRC, 4) != checksum(rest.ptr, body_bytes)) {
        return damaged("journal record: the checksum does not match");
    }
    if ((flags & ~(uint64_t)FLAG_LAST) != 0 || event_row_of((uint8_t)rest.ptr[AT_KIND]) == NULL) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "journal record: a kind of event this release does not know");
    }
    if ((flags == FLAG_LAST) != (body_bytes == after)) {
        return damaged("journal record: it does not end with its last event");
    }
    return STATUS_OK;
}

status codec_next(str record, size_t *cursor, struct codec_entry *ret, bool *ret_end)
{
    assert(*cursor <= record.len);
    if (record.len == 0) {
        return damaged("journal record: it is empty");
    }
    str rest = {record.ptr + *cursor, record.len - *cursor};
    *ret_end = rest.len == 0;
    if (*ret_end) {
        return STATUS_OK;
    }
    if (rest.len < CODEC_ENVELOPE_BYTES) {
        return damaged("journal record: an envelope is cut off");
    }
    TRY(check_envelope(rest));
    ret->kind = (enum event_kind)(uint8_t)rest.ptr[AT_KIND];
    ret->seq = (uint32_t)endian_get_le(rest.ptr + AT_SEQ, 4);
    ret->time_ms = endian_get_le(rest.ptr + AT_TIME, 8);
    ret->body =
        str_make(rest.ptr + CODEC_ENVELOPE_BYTES, endian_get_le(rest.ptr + AT_BODY_BYTES, 4));
    *cursor += CODEC_ENVELOPE_BYTES + ret->body.len;
    return STATUS_OK;
}

status codec_decode(const struct codec_entry *entry, struct arena *arena, struct event *ret)
{
    const struct event_row *row = event_row_of((unsigned)entry->kind);
    assert(row != NULL);
    const void *message = body_unpack(row->descriptor, entry->body, arena);
    if (message == NULL) {
        return damaged("journal record: the body of an event is damaged");
    }
    *ret = (struct event){.kind = entry->kind, .time_ms = entry->time_ms};
    return row->from_body(message, ret);
}

status codec_decode_start(str record, struct arena *arena, struct event *ret)
{
    struct codec_entry entry;
    size_t cursor = 0;
    bool at_end = false;
    TRY(codec_next(record, &cursor, &entry, &at_end));
    assert(!at_end); /* An empty record is damaged. */
    if (entry.kind != EVENT_RUN_STARTED) {
        return damaged("the run's journal does not begin with its start");
    }
    return codec_decode(&entry, arena, ret);
}
