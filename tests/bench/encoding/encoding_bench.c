/*
 * Goal:   what a journal event costs to write and to read, by library (decision 0001).
 * Method: one TASK_SETTLED body through each way in turn, many rounds, best round of each;
 *         the ways alternate within a round, so that a busy machine is unfair to all alike.
 *         malloc is counted for the whole process. All ways must give the same bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include <pb_decode.h>
#include <pb_encode.h>

#include "encoding.pb.h"
#include "polos/journal/v1/journal.pb-c.h"
#include "service/base/sys.h"
#include "service/codec/body.h"
#include "service/codec/codec.h"

enum {
    ROUNDS = 15,
    OPS_PER_ROUND = 20000,
    PAYLOAD_MAX = 65536,
};

extern void *__libc_malloc(size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);

static size_t malloc_count;

/* glibc lets a program bring its own; the shared libraries use these too. */
void *malloc(size_t bytes);
void *realloc(void *old, size_t bytes);

void *malloc(size_t bytes)
{
    malloc_count++;
    return __libc_malloc(bytes);
}

void *realloc(void *old, size_t bytes)
{
    malloc_count++;
    return __libc_realloc(old, bytes);
}

/* What every way works on. */
struct bench {
    struct event event;
    struct buf body; /* Packed. */
    struct buf record;
    struct arena arena;
    uint64_t sum; /* Of what was read, so that reading is not optimised away. */
};

static void consume(struct bench *bench, const uint8_t *ptr, size_t len)
{
    bench->sum += len + (len > 0 ? ptr[len - 1] : 0);
}

static void fill_protobuf_c(const struct event *event, Polos__Journal__V1__TaskSettled *ret,
                            Polos__Journal__V1__Outcome *outcome)
{
    polos__journal__v1__task_settled__init(ret);
    polos__journal__v1__outcome__init(outcome);
    outcome->value = body_bytes(event->task_settled.outcome.value);
    ret->effect = event->effect;
    ret->attempt = event->attempt;
    ret->outcome = outcome;
}

static void pack_protobuf_c(struct bench *bench)
{
    Polos__Journal__V1__TaskSettled message;
    Polos__Journal__V1__Outcome outcome;
    fill_protobuf_c(&bench->event, &message, &outcome);
    buf_reset(&bench->body);
    body_pack(&message.base, &bench->body);
}

static bool write_slice(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const str *slice = (const str *)*arg;
    if (slice->len == 0) {
        return true;
    }
    return pb_encode_tag_for_field(stream, field) &&
           pb_encode_string(stream, (const pb_byte_t *)slice->ptr, slice->len);
}

static void pack_nanopb(struct bench *bench)
{
    str *value = &bench->event.task_settled.outcome.value;
    polos_bench_TaskSettled message = {
        .effect = bench->event.effect,
        .attempt = bench->event.attempt,
        .has_outcome = true,
        .outcome = {.value = {.funcs.encode = write_slice, .arg = value}},
    };
    buf_reset(&bench->body);
    buf_reserve(&bench->body, value->len + 64);
    pb_ostream_t stream = pb_ostream_from_buffer((pb_byte_t *)bench->body.ptr, bench->body.cap);
    bool encoded = pb_encode(&stream, polos_bench_TaskSettled_fields, &message);
    assert(encoded);
    bench->body.len = stream.bytes_written;
}

static void unpack_protobuf_c_with(struct bench *bench, ProtobufCAllocator *allocator)
{
    Polos__Journal__V1__TaskSettled *message = polos__journal__v1__task_settled__unpack(
        allocator, bench->body.len, (const uint8_t *)bench->body.ptr);
    assert(message != NULL);
    consume(bench, message->outcome->value.data, message->outcome->value.len);
    polos__journal__v1__task_settled__free_unpacked(message, allocator);
}

static void unpack_protobuf_c_malloc(struct bench *bench)
{
    unpack_protobuf_c_with(bench, NULL);
}

static void *from_arena(void *arena, size_t bytes)
{
    return arena_alloc((struct arena *)arena, bytes);
}

static void leave_to_arena(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;
}

static void unpack_protobuf_c_arena(struct bench *bench)
{
    ProtobufCAllocator allocator = {
        .alloc = from_arena, .free = leave_to_arena, .allocator_data = &bench->arena};
    unpack_protobuf_c_with(bench, &allocator);
    arena_reset(&bench->arena);
}

static void unpack_body(struct bench *bench)
{
    const Polos__Journal__V1__TaskSettled *message =
        (const Polos__Journal__V1__TaskSettled *)body_unpack(
            &polos__journal__v1__task_settled__descriptor, buf_str(&bench->body), &bench->arena);
    assert(message != NULL);
    consume(bench, message->outcome->value.data, message->outcome->value.len);
    arena_reset(&bench->arena);
}

/* `state` of a buffer's stream is where it reads. */
static bool read_slice(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    str *slice = (str *)*arg;
    (void)field;
    *slice = str_make(stream->state, stream->bytes_left);
    return pb_read(stream, NULL, stream->bytes_left);
}

static void unpack_nanopb(struct bench *bench)
{
    str value = STR_EMPTY;
    polos_bench_TaskSettled message = {
        .outcome = {.value = {.funcs.decode = read_slice, .arg = &value}}};
    pb_istream_t stream =
        pb_istream_from_buffer((const pb_byte_t *)bench->body.ptr, bench->body.len);
    bool decoded =
        pb_decode_ex(&stream, polos_bench_TaskSettled_fields, &message, PB_DECODE_NOINIT);
    assert(decoded && value.len == bench->event.task_settled.outcome.value.len);
    consume(bench, (const uint8_t *)value.ptr, value.len);
}

static void encode_record(struct bench *bench)
{
    buf_reset(&bench->record);
    codec_encode(&bench->event, 1, 1, &bench->record);
}

static void decode_record(struct bench *bench)
{
    struct codec_entry entry;
    struct event event;
    size_t cursor = 0;
    bool end;
    status outcome = codec_next(buf_str(&bench->record), &cursor, &entry, &end);
    assert(status_is_ok(outcome) && !end);
    outcome = codec_decode(&entry, &bench->arena, &event);
    assert(status_is_ok(outcome));
    consume(bench, (const uint8_t *)event.task_settled.outcome.value.ptr,
            event.task_settled.outcome.value.len);
    arena_reset(&bench->arena);
}

static const struct way {
    const char *name;
    void (*run)(struct bench *bench);
} ways[] = {
    {"pack, protobuf-c", pack_protobuf_c},
    {"pack, nanopb slices", pack_nanopb},
    {"unpack, protobuf-c malloc", unpack_protobuf_c_malloc},
    {"unpack, protobuf-c arena", unpack_protobuf_c_arena},
    {"unpack, our walk", unpack_body},
    {"unpack, nanopb slices", unpack_nanopb},
    {"codec_encode (whole record)", encode_record},
    {"codec_next + codec_decode", decode_record},
};

static void check_same_bytes(struct bench *bench)
{
    char kept[128];
    assert(bench->event.task_settled.outcome.value.len < 64);
    pack_protobuf_c(bench);
    size_t len = bench->body.len;
    assert(len <= sizeof(kept));
    memcpy(kept, bench->body.ptr, len);
    pack_nanopb(bench);
    assert(bench->body.len == len && memcmp(kept, bench->body.ptr, len) == 0);
    unpack_nanopb(bench);
    unpack_body(bench);
}

static void measure(struct bench *bench, size_t payload)
{
    double best_us[COUNT_OF(ways)];
    double mallocs[COUNT_OF(ways)];
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            size_t mallocs_before = malloc_count;
            uint64_t start = sys_monotonic_us();
            for (int op = 0; op < OPS_PER_ROUND; op++) {
                ways[i].run(bench);
            }
            double us = (double)(sys_monotonic_us() - start) / OPS_PER_ROUND;
            best_us[i] = round == 0 || us < best_us[i] ? us : best_us[i];
            mallocs[i] = (double)(malloc_count - mallocs_before) / OPS_PER_ROUND;
        }
    }
    printf("payload %zu B, body %zu B, record %zu B\n", payload, bench->body.len,
           bench->record.len);
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        printf("  %-30s %8.3f us %6.1f mallocs\n", ways[i].name, best_us[i], mallocs[i]);
    }
}

/* A turn of an agent with two tool calls, as the engine journals it. */
static void print_turn(void)
{
    static char reply[400]; /* Some text and two calls. */
    static char result[256];
    struct event events[] = {
        {.kind = EVENT_MODEL_REQUESTED}, {.kind = EVENT_MODEL_REPLIED},
        {.kind = EVENT_TASK_REQUESTED},  {.kind = EVENT_TASK_REQUESTED},
        {.kind = EVENT_LEASE_GRANTED},   {.kind = EVENT_LEASE_GRANTED},
        {.kind = EVENT_TASK_SETTLED},    {.kind = EVENT_TASK_SETTLED},
    };
    struct buf record = {NULL, 0, 0};
    size_t payload = 0;
    memset(reply, 'r', sizeof(reply));
    memset(result, 'x', sizeof(result));
    for (size_t i = 0; i < COUNT_OF(events); i++) {
        events[i].effect = 12;
        events[i].attempt = 1;
        events[i].time_ms = 1750000000000;
        if (events[i].kind == EVENT_MODEL_REPLIED) {
            events[i].model_replied.reply = str_make(reply, sizeof(reply));
            events[i].model_replied.usage =
                (struct engine_usage){.input = 2500, .output = 180, .known = true};
            payload += sizeof(reply);
        } else if (events[i].kind == EVENT_TASK_REQUESTED) {
            events[i].task_requested.kind = EFFECT_TOOL;
            events[i].task_requested.name = STR("get_weather");
            events[i].task_requested.call_id = STR("call_Zk3sD1vO8hXxJm2QmS0yY1aB");
            events[i].task_requested.input = STR("{\"city\":\"Reykjavik\",\"unit\":\"c\"}");
            payload += 11 + 29 + 31;
        } else if (events[i].kind == EVENT_LEASE_GRANTED) {
            events[i].lease_granted.host_id = STR("host-019775b2c4f1");
            payload += 17;
        } else if (events[i].kind == EVENT_TASK_SETTLED) {
            events[i].task_settled.outcome.value = str_make(result, sizeof(result));
            payload += sizeof(result);
        }
    }
    codec_encode(events, COUNT_OF(events), 1, &record);
    printf("a turn with two tool calls: %zu events, %zu B, of which payload %zu B\n",
           COUNT_OF(events), record.len, payload);
    buf_fini(&record);
}

int main(void)
{
    static const size_t payloads[] = {32, 256, 4096, PAYLOAD_MAX};
    static char payload[PAYLOAD_MAX];
    struct bench bench = {.event = {.kind = EVENT_TASK_SETTLED, .effect = 3, .attempt = 1}};
    memset(payload, 'x', sizeof(payload));
    arena_init(&bench.arena, 0);
    for (size_t i = 0; i < COUNT_OF(payloads); i++) {
        bench.event.task_settled.outcome.value = (str){payload, payloads[i]};
        if (i == 0) {
            check_same_bytes(&bench);
        }
        measure(&bench, payloads[i]);
    }
    print_turn();
    printf("(sum %llu)\n", (unsigned long long)bench.sum);
    arena_fini(&bench.arena);
    buf_fini(&bench.body);
    buf_fini(&bench.record);
    return 0;
}
