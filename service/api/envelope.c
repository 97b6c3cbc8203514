#include "service/api/envelope.h"

#include "polos/v1/host.pb-c.h"

void envelope_fini(struct envelope *envelope)
{
    buf_fini(&envelope->body);
    *envelope = (struct envelope){0};
}

struct payload *envelope_pack(const struct envelope_head *head, const ProtobufCMessage *fields)
{
    size_t len = protobuf_c_message_get_packed_size(fields);
    struct payload *payload = payload_new(sizeof(*head) + len);
    char *data = payload_data(payload);
    memcpy(data, head, sizeof(*head));
    size_t packed = protobuf_c_message_pack(fields, (uint8_t *)data + sizeof(*head));
    assert(packed == len);
    return payload;
}

static bool fits(const struct envelope *envelope, const struct envelope_head *head, size_t bytes)
{
    if (!envelope->has_any) {
        return true;
    }
    bool follows = head->seq == 0 || envelope->count == 0 ||
                   head->seq == envelope->first_seq + envelope->count;
    bool is_in_turn = !envelope->has_result || head->settled == envelope->settled;
    return follows && is_in_turn && !envelope->is_full && envelope->count < ENVELOPE_MESSAGES_MAX &&
           envelope->body.len + bytes <= ENVELOPE_BYTES_MAX;
}

bool envelope_add(struct envelope *envelope, const struct payload *packed)
{
    str bytes = payload_bytes(packed);
    struct envelope_head head;
    assert(bytes.len >= sizeof(head));
    memcpy(&head, bytes.ptr, sizeof(head));
    if (!fits(envelope, &head, bytes.len - sizeof(head))) {
        return false;
    }
    buf_put(&envelope->body, str_make(bytes.ptr + sizeof(head), bytes.len - sizeof(head)));
    if (head.seq != 0) {
        envelope->first_seq = envelope->count == 0 ? head.seq : envelope->first_seq;
        envelope->count++;
    }
    envelope->ack = head.ack > envelope->ack ? head.ack : envelope->ack;
    envelope->settled = head.settled;
    envelope->has_result |= head.is_result;
    envelope->is_full = head.is_last;
    envelope->has_any = true;
    assert((envelope->first_seq == 0) == (envelope->count == 0));
    return true;
}

struct payload *envelope_take(struct envelope *envelope)
{
    Polos__V1__ToolServiceConnectResponse numbers = POLOS__V1__TOOL_SERVICE_CONNECT_RESPONSE__INIT;
    assert(envelope->has_any);
    numbers.first_seq = envelope->first_seq;
    numbers.ack = envelope->ack;
    size_t len = polos__v1__tool_service_connect_response__get_packed_size(&numbers);
    struct payload *payload = payload_new(len + envelope->body.len);
    char *data = payload_data(payload);
    size_t packed = polos__v1__tool_service_connect_response__pack(&numbers, (uint8_t *)data);
    assert(packed == len);
    if (envelope->body.len > 0) {
        memcpy(data + len, envelope->body.ptr, envelope->body.len);
    }
    buf_reset(&envelope->body);
    struct buf body = envelope->body;
    *envelope = (struct envelope){.body = body};
    return payload;
}
