/*
 * Goal:   no bytes on a disk can make a reader crash, and what is read is written back the same.
 * Method: the first byte of the input picks the reader. Checksums are repaired before reading,
 *         or no damage would get past them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/agents/transcript.h"
#include "service/base/crc32c.h"
#include "service/codec/codec.h"
#include "tests/unit/codec/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void put_u32_le(char *at, uint32_t value)
{
    for (size_t i = 0; i < 4; i++) {
        at[i] = (char)(uint8_t)(value >> (8 * i));
    }
}

static size_t get_u32_le(const char *at)
{
    const uint8_t *bytes = (const uint8_t *)at;
    return (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 |
           (size_t)bytes[3] << 24;
}

/* Gives each envelope the checksum it should have, and the last one its flag. */
static void repair_record(char *bytes, size_t size)
{
    size_t at = 0;
    while (size - at >= CODEC_ENVELOPE_BYTES) {
        size_t left = size - at - CODEC_ENVELOPE_BYTES;
        size_t body = get_u32_le(bytes + at + 4);
        if (body > left) {
            body = left;
            put_u32_le(bytes + at + 4, (uint32_t)body);
        }
        bytes[at + 2] = body == left;
        uint32_t crc = crc32c(0, str_make(bytes + at, 16));
        crc = crc32c(crc, str_make(bytes + at + 20, 4 + body));
        put_u32_le(bytes + at + 16, crc);
        at += CODEC_ENVELOPE_BYTES + body;
    }
}

static void check_event(const struct event *event, uint32_t seq, struct arena *arena)
{
    struct buf bytes = {0};
    struct codec_entry entry;
    struct event back;
    size_t cursor = 0;
    bool end;
    codec_encode(event, 1, seq > 0 ? seq : 1, &bytes);
    status outcome = codec_next(buf_str(&bytes), &cursor, &entry, &end);
    require(status_is_ok(outcome) && !end, "what was written is read");
    require(status_is_ok(codec_decode(&entry, arena, &back)), "and parsed");
    require(sample_difference(event, &back) == NULL, "and the same");
    buf_fini(&bytes);
}

static void read_record(str record, struct arena *arena)
{
    struct codec_entry entry;
    struct event event;
    size_t cursor = 0;
    bool end = false;
    while (status_is_ok(codec_next(record, &cursor, &entry, &end)) && !end) {
        if (status_is_ok(codec_decode(&entry, arena, &event))) {
            check_event(&event, entry.seq, arena);
        }
    }
}

static void read_request(str record, struct arena *arena)
{
    struct agent_definition definition = {.provider = STR("p"), .model = STR("m")};
    struct model_request request;
    status outcome = transcript_request(&definition, &record, 1, arena, &request);
    require(status_is_ok(outcome) || outcome.why != NULL, "a refusal has a sentence");
}

static void read_reply(str bytes, struct arena *arena)
{
    struct model_reply reply;
    struct model_reply back;
    struct buf packed = {0};
    str origin;
    if (status_is_ok(transcript_unpack_reply(bytes, arena, &reply, &origin))) {
        transcript_pack_reply(&reply, origin, &packed);
        require(status_is_ok(transcript_unpack_reply(buf_str(&packed), arena, &back, &origin)) &&
                    back.block_count == reply.block_count && back.stop == reply.stop,
                "a reply comes back");
        buf_fini(&packed);
    }
}

static void read_definition(str bytes, struct arena *arena)
{
    struct agent_definition definition;
    struct agent_definition back;
    struct buf packed = {0};
    const char *field;
    if (!status_is_ok(agent_definition_decode(bytes, arena, &definition))) {
        return;
    }
    agent_definition_encode(&definition, &packed);
    require(status_is_ok(agent_definition_decode(buf_str(&packed), arena, &back)) &&
                back.tool_count == definition.tool_count && str_equal(back.id, definition.id),
            "a definition comes back");
    status outcome = agent_definition_check(&definition, arena, &field);
    require(status_is_ok(outcome) || (field != NULL && outcome.why != NULL), "refusals say why");
    buf_fini(&packed);
}

static void read_snapshot(char *bytes, size_t size)
{
    struct run run;
    struct run back;
    struct buf packed = {0};
    if (size >= 8) {
        put_u32_le(bytes + 4, crc32c(0, str_make(bytes + 8, size - 8)));
    }
    if (status_is_ok(codec_decode_run((str){bytes, size}, &run, NULL))) {
        codec_encode_run(&run, 0, &packed);
        require(status_is_ok(codec_decode_run(buf_str(&packed), &back, NULL)) &&
                    memcmp(&run, &back, sizeof(run)) == 0,
                "a snapshot comes back");
        buf_fini(&packed);
    }
}

static void read_rows(str bytes)
{
    struct idempotency_row key;
    struct run_row row;
    struct run_row back;
    char packed[1024];
    if (status_is_ok(codec_decode_row(bytes, &row))) {
        size_t len = codec_encode_row(&row, packed, sizeof(packed));
        require(status_is_ok(codec_decode_row((str){packed, len}, &back)) &&
                    row.ready_count == back.ready_count && row.last_seq == back.last_seq,
                "a row comes back");
    }
    status outcome = codec_decode_idempotency(bytes, &key);
    require(status_is_ok(outcome) || outcome.why != NULL, "a refusal has a sentence");
}

static void read_input(str bytes, struct arena *arena)
{
    const struct model_message *messages;
    size_t count;
    status outcome = transcript_check_input(bytes, arena, &messages, &count);
    require(status_is_ok(outcome) || outcome.why != NULL, "a refusal has a sentence");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (size == 0) {
        return 0;
    }
    arena_init(&arena, 0);
    size_t len = size - 1;
    char *bytes = xmalloc(len > 0 ? len : 1);
    memcpy(bytes, data + 1, len);
    str text = {bytes, len};
    unsigned reader = data[0] % 8;
    if (reader == 1 || reader == 2) {
        repair_record(bytes, len);
    }
    if (reader <= 1) {
        read_record(text, &arena);
    } else if (reader == 2) {
        read_request(text, &arena);
    } else if (reader == 3) {
        read_reply(text, &arena);
    } else if (reader == 4) {
        read_definition(text, &arena);
    } else if (reader == 5) {
        read_snapshot(bytes, len);
    } else if (reader == 6) {
        read_rows(text);
    } else {
        read_input(text, &arena);
    }
    free(bytes);
    arena_fini(&arena);
    return 0;
}
