#include "service/llm/anthropic.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/json.h"
#include "service/base/json_writer.h"

/* What becomes of a block of a type; others are passed over but for their raw bytes. */
enum block_type {
    TYPE_TEXT,
    TYPE_THINKING,
    TYPE_TOOL_USE,
    TYPE_OTHER, /* Redacted thinking, server tools and their results, what is not known yet. */
};

/* A block under assembly. */
struct part {
    uint64_t index; /* The server's. */
    enum block_type type;
    size_t block; /* In the reply. */
    struct buf start; /* The block as it began. */
    struct buf text; /* The insides of the raw strings of its deltas, joined. */
    struct buf signature;
    struct buf input;
    struct buf citations; /* With commas between. */
    bool ended;
};

struct anthropic {
    struct reply *reply;
    struct part *parts;
    size_t part_count;
    size_t part_capacity;
    size_t bytes; /* Of what is kept for sending back. */
    bool begun; /* message_start came. */
    bool stopped; /* A stop reason came. */
    status fault; /* The first limit that was hit. */
};

static const struct {
    const char *word;
    enum model_stop stop;
} stops[] = {
    {"end_turn", MODEL_STOP_END},
    {"tool_use", MODEL_STOP_TOOL_USE},
    {"max_tokens", MODEL_STOP_MAX_TOKENS},
    {"model_context_window_exceeded", MODEL_STOP_MAX_TOKENS},
    {"stop_sequence", MODEL_STOP_SEQUENCE},
    {"refusal", MODEL_STOP_REFUSAL},
    {"pause_turn", MODEL_STOP_PAUSE},
};

static void *anthropic_open(const struct provider_row *row, struct reply *reply)
{
    struct anthropic *self = xcalloc(1, sizeof(*self));
    (void)row;
    assert(reply != NULL && reply->block_count == 0);
    self->reply = reply;
    return self;
}

static void part_fini(struct part *part)
{
    buf_fini(&part->start);
    buf_fini(&part->text);
    buf_fini(&part->signature);
    buf_fini(&part->input);
    buf_fini(&part->citations);
}

static void anthropic_close(void *self)
{
    struct anthropic *anthropic = (struct anthropic *)self;
    if (anthropic == NULL) {
        return;
    }
    for (size_t i = 0; i < anthropic->part_count; i++) {
        part_fini(&anthropic->parts[i]);
    }
    free(anthropic->parts);
    free(anthropic);
}

/* Appends bytes that are kept for sending back. */
static void keep(struct anthropic *self, struct buf *ret, str bytes)
{
    assert(self->bytes <= REPLY_BYTES_MAX);
    if (bytes.len > REPLY_BYTES_MAX - self->bytes) {
        codec_note(&self->fault,
                   status_make(CODE_RESOURCE_EXHAUSTED, "the reply is longer than 16 MiB"));
        return;
    }
    self->bytes += bytes.len;
    buf_put(ret, bytes);
}

/* Appends what stands between the quotes, as it stands there. */
static void keep_inside(struct anthropic *self, struct buf *ret, str raw)
{
    assert(json_kind_of(raw) == JSON_STRING && raw.len >= 2);
    keep(self, ret, str_make(raw.ptr + 1, raw.len - 2));
}

static void show(struct anthropic *self, const struct part *part, str raw)
{
    assert(part->block < self->reply->block_count);
    codec_note(&self->fault, reply_append_string(self->reply, part->block, raw));
}

static enum block_type type_of(str block)
{
    if (codec_is_type(block, "text")) {
        return TYPE_TEXT;
    }
    if (codec_is_type(block, "thinking")) {
        return TYPE_THINKING;
    }
    return codec_is_type(block, "tool_use") ? TYPE_TOOL_USE : TYPE_OTHER;
}

static enum model_block_kind kind_of(enum block_type type)
{
    switch (type) {
    case TYPE_TEXT:
        return MODEL_BLOCK_TEXT;
    case TYPE_THINKING:
        return MODEL_BLOCK_REASONING;
    case TYPE_TOOL_USE:
        return MODEL_BLOCK_TOOL_CALL;
    case TYPE_OTHER:
        return MODEL_BLOCK_OPAQUE;
    }
    assert(false && "of our own making");
    return MODEL_BLOCK_OPAQUE;
}

static struct part *find_part(struct anthropic *self, uint64_t index)
{
    for (size_t i = self->part_count; i > 0; i--) {
        if (self->parts[i - 1].index == index && !self->parts[i - 1].ended) {
            return &self->parts[i - 1];
        }
    }
    return NULL;
}

static struct part *open_part(struct anthropic *self, uint64_t index, str block)
{
    struct part part = {.index = index, .type = type_of(block)};
    assert(self->part_count <= self->reply->block_count && json_kind_of(block) == JSON_OBJECT);
    status outcome = reply_open(self->reply, kind_of(part.type), &part.block);
    if (!status_is_ok(outcome)) {
        codec_note(&self->fault, outcome);
        return NULL;
    }
    self->parts = array_reserve(self->parts, &self->part_capacity, self->part_count + 1,
                                sizeof(*self->parts));
    self->parts[self->part_count] = part;
    return &self->parts[self->part_count++];
}

/* An input that is no empty object: in a whole message, and of some gateways. */
static void take_input(struct anthropic *self, struct part *part, str block)
{
    str input;
    assert(part->type == TYPE_TOOL_USE && part->block < self->reply->block_count);
    if (!json_object_get_kind(block, STR("input"), JSON_OBJECT, &input) || str_is(input, "{}")) {
        return;
    }
    codec_note(&self->fault, reply_append(self->reply, part->block, input));
}

static void take_start(struct anthropic *self, uint64_t index, str block)
{
    struct part *part = open_part(self, index, block);
    str raw;
    if (part == NULL) {
        return;
    }
    struct reply_block *opened = &self->reply->blocks[part->block];
    assert(opened->kind == kind_of(part->type) && opened->text.len == 0);
    keep(self, &part->start, block);
    if (part->type == TYPE_TOOL_USE) {
        (void)(codec_string(block, "id", &raw) && json_string_decode(raw, &opened->call_id));
        (void)(codec_string(block, "name", &raw) && json_string_decode(raw, &opened->name));
        take_input(self, part, block);
    }
    if (part->type == TYPE_TEXT && codec_string(block, "text", &raw)) {
        keep_inside(self, &part->text, raw);
        show(self, part, raw);
    }
    if (part->type == TYPE_THINKING && codec_string(block, "thinking", &raw)) {
        keep_inside(self, &part->text, raw);
        show(self, part, raw);
    }
    if (part->type == TYPE_THINKING && codec_string(block, "signature", &raw)) {
        keep_inside(self, &part->signature, raw);
    }
}

static void take_delta(struct anthropic *self, struct part *part, str delta)
{
    str value;
    assert(!part->ended && part->block < self->reply->block_count);
    if (codec_is_type(delta, "text_delta") && codec_string(delta, "text", &value)) {
        keep_inside(self, &part->text, value);
        if (part->type == TYPE_TEXT) {
            show(self, part, value);
        }
    } else if (codec_is_type(delta, "thinking_delta") && codec_string(delta, "thinking", &value)) {
        keep_inside(self, &part->text, value);
        if (part->type == TYPE_THINKING) {
            show(self, part, value);
        }
    } else if (codec_is_type(delta, "signature_delta") &&
               codec_string(delta, "signature", &value)) {
        keep_inside(self, &part->signature, value);
    } else if (codec_is_type(delta, "input_json_delta") &&
               codec_string(delta, "partial_json", &value)) {
        if (part->type == TYPE_TOOL_USE) {
            show(self, part, value);
        } else {
            keep_inside(self, &part->input, value);
        }
    } else if (codec_is_type(delta, "citations_delta") &&
               json_object_get_kind(delta, STR("citation"), JSON_OBJECT, &value)) {
        keep(self, &part->citations, part->citations.len == 0 ? STR_EMPTY : STR(","));
        keep(self, &part->citations, value);
    }
}

static void put_inside(struct json_writer *writer, const char *name, const struct buf *inside)
{
    struct buf raw = {0};
    buf_put_char(&raw, '"');
    buf_put(&raw, buf_str(inside));
    buf_put_char(&raw, '"');
    json_put_raw(writer, name, buf_str(&raw));
    buf_fini(&raw);
}

/* The input of a server's tool, which comes as JSON inside of strings. */
static void put_input(struct json_writer *writer, const struct buf *inside)
{
    struct buf raw = {0};
    struct buf input = {0};
    assert(inside->len > 0);
    buf_put_char(&raw, '"');
    buf_put(&raw, buf_str(inside));
    buf_put_char(&raw, '"');
    if (json_string_decode(buf_str(&raw), &input) && json_is_object(buf_str(&input))) {
        json_put_raw(writer, "input", buf_str(&input));
    }
    buf_fini(&raw);
    buf_fini(&input);
}

/* Whether the provider wants the block back as it was. A text is as good in words of ours, and
 * thinking without a signature is refused. */
static bool is_kept(const struct part *part)
{
    switch (part->type) {
    case TYPE_TEXT:
        return part->citations.len > 0;
    case TYPE_THINKING:
        return part->signature.len > 0;
    case TYPE_TOOL_USE:
        return false;
    case TYPE_OTHER:
        return true;
    }
    assert(false && "of our own making");
    return false;
}

/* The block as if it had come whole. */
static void put_whole(struct part *part, struct buf *ret)
{
    struct buf overlay = {0};
    struct json_writer writer = json_writer_of(&overlay);
    assert(is_kept(part) && ret->len == 0);
    json_begin_object(&writer, NULL);
    if (part->type == TYPE_TEXT) {
        put_inside(&writer, "text", &part->text);
    }
    if (part->type == TYPE_THINKING) {
        put_inside(&writer, "thinking", &part->text);
        put_inside(&writer, "signature", &part->signature);
    }
    if (part->input.len > 0) {
        put_input(&writer, &part->input);
    }
    if (part->citations.len > 0) {
        struct buf list = {0};
        buf_printf(&list, "[" STR_FMT "]", STR_ARG(buf_str(&part->citations)));
        json_put_raw(&writer, "citations", buf_str(&list));
        buf_fini(&list);
    }
    json_end_object(&writer);
    if (overlay.len > 2) {
        json_object_merge(buf_str(&part->start), buf_str(&overlay), ret);
    } else {
        buf_put(ret, buf_str(&part->start));
    }
    buf_fini(&overlay);
}

static void end_part(struct anthropic *self, struct part *part)
{
    struct buf *raw = &self->reply->blocks[part->block].raw;
    assert(part->block < self->reply->block_count);
    if (part->ended) {
        return;
    }
    part->ended = true;
    assert(raw->len == 0);
    if (is_kept(part) && status_is_ok(self->fault)) {
        put_whole(part, raw);
    }
}

static uint64_t number_at(str object, const char *name)
{
    uint64_t number = 0;
    str value;
    return json_object_get(object, str_of(name), &value) && json_to_u64(value, &number) ? number
                                                                                        : 0;
}

static void replace(uint64_t *counter, str object, const char *name)
{
    uint64_t number;
    str value;
    if (json_object_get(object, str_of(name), &value) && json_to_u64(value, &number)) {
        *counter = number;
    }
}

/* Counts are the sums so far: what a later one leaves out stands as it was. */
static void take_usage(struct anthropic *self, str usage)
{
    struct model_usage *told = &self->reply->usage;
    uint64_t fresh = told->input - told->cache_read - told->cache_write;
    str details;
    if (json_kind_of(usage) != JSON_OBJECT) {
        return;
    }
    replace(&fresh, usage, "input_tokens");
    replace(&told->cache_read, usage, "cache_read_input_tokens");
    replace(&told->cache_write, usage, "cache_creation_input_tokens");
    replace(&told->output, usage, "output_tokens");
    if (json_object_get(usage, STR("output_tokens_details"), &details)) {
        told->reasoning = number_at(details, "thinking_tokens");
    }
    told->input = fresh + told->cache_read + told->cache_write;
    told->known = true;
}

static void take_stop(struct anthropic *self, str raw)
{
    struct reply *reply = self->reply;
    if (json_kind_of(raw) != JSON_STRING) {
        return;
    }
    self->stopped = true;
    buf_reset(&reply->stop_raw);
    (void)json_string_decode(raw, &reply->stop_raw);
    reply->stop = MODEL_STOP_OTHER;
    for (size_t i = 0; i < COUNT_OF(stops); i++) {
        if (str_is(buf_str(&reply->stop_raw), stops[i].word)) {
            reply->stop = stops[i].stop;
        }
    }
}

/* What a message says of itself: at the start of a stream, or with the whole. */
static void take_message(struct anthropic *self, str message)
{
    str value;
    self->begun = true;
    codec_take_name(&self->reply->response_id, message, "id");
    codec_take_name(&self->reply->model, message, "model");
    if (json_object_get(message, STR("usage"), &value)) {
        take_usage(self, value);
    }
}

static void take_event(struct anthropic *self, str event)
{
    uint64_t index = number_at(event, "index");
    struct part *part = find_part(self, index);
    str value;
    if (codec_is_type(event, "message_start") &&
        json_object_get_kind(event, STR("message"), JSON_OBJECT, &value)) {
        take_message(self, value);
    } else if (codec_is_type(event, "content_block_start") &&
               json_object_get_kind(event, STR("content_block"), JSON_OBJECT, &value)) {
        take_start(self, index, value);
    } else if (codec_is_type(event, "content_block_delta") && part != NULL &&
               json_object_get_kind(event, STR("delta"), JSON_OBJECT, &value)) {
        take_delta(self, part, value);
    } else if (codec_is_type(event, "content_block_stop") && part != NULL) {
        end_part(self, part);
    } else if (codec_is_type(event, "message_delta")) {
        if (json_object_get(event, STR("usage"), &value)) {
            take_usage(self, value);
        }
        if (json_object_get(event, STR("delta"), &value) &&
            json_object_get(value, STR("stop_reason"), &value)) {
            take_stop(self, value);
        }
    }
}

static enum codec_result fail_on_limit(const struct anthropic *self, struct diagnosis *diagnosis)
{
    assert(!status_is_ok(self->fault));
    diagnosis_set(diagnosis, CODE_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", false, "%s",
                  self->fault.why);
    return CODEC_FAILED;
}

static enum codec_result anthropic_finish(void *self, struct diagnosis *diagnosis)
{
    struct anthropic *anthropic = (struct anthropic *)self;
    struct reply *reply = anthropic->reply;
    if (!anthropic->stopped) {
        diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_INCOMPLETE", true, "%s",
                      anthropic->begun ? "the reply ended before it was whole"
                                       : "the answer was empty");
        return CODEC_FAILED;
    }
    for (size_t i = 0; i < anthropic->part_count; i++) {
        end_part(anthropic, &anthropic->parts[i]);
    }
    assert(anthropic->part_count == reply->block_count);
    bool ends = reply->stop == MODEL_STOP_END || reply->stop == MODEL_STOP_OTHER ||
                reply->stop == MODEL_STOP_SEQUENCE;
    if (ends && reply_has_call(reply)) {
        reply->stop = MODEL_STOP_TOOL_USE;
    }
    return status_is_ok(anthropic->fault) ? CODEC_ENDED : fail_on_limit(anthropic, diagnosis);
}

static enum codec_result fail_garbled(struct diagnosis *diagnosis)
{
    assert(diagnosis->code == CODE_OK);
    diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_GARBLED", true,
                  "the server sent something that is no JSON object in place of a reply");
    return CODEC_FAILED;
}

/* {"type": "error", "error": {...}}, and what gateways make of it. */
static bool find_error(str object, str *ret)
{
    return json_object_get(object, STR("error"), ret) && json_kind_of(*ret) != JSON_NULL;
}

static enum codec_result anthropic_record(void *self, str event, str data,
                                          struct diagnosis *diagnosis)
{
    struct anthropic *anthropic = (struct anthropic *)self;
    str error;
    (void)event; /* The data say it again. */
    data = str_trim(data);
    if (data.len == 0 || str_is(data, "[DONE]")) {
        return CODEC_MORE;
    }
    if (json_kind_of(data) != JSON_OBJECT || !json_check(data)) {
        return fail_garbled(diagnosis);
    }
    if (find_error(data, &error)) {
        diagnosis_from_error(diagnosis, error);
        return CODEC_FAILED;
    }
    take_event(anthropic, data);
    if (!status_is_ok(anthropic->fault)) {
        return fail_on_limit(anthropic, diagnosis);
    }
    return codec_is_type(data, "message_stop") ? anthropic_finish(self, diagnosis) : CODEC_MORE;
}

static enum codec_result anthropic_body(void *self, str json, struct diagnosis *diagnosis)
{
    struct anthropic *anthropic = (struct anthropic *)self;
    str value;
    if (json_kind_of(str_trim(json)) != JSON_OBJECT || !json_check(json)) {
        return fail_garbled(diagnosis);
    }
    if (find_error(json, &value)) {
        diagnosis_from_error(diagnosis, value);
        return CODEC_FAILED;
    }
    take_message(anthropic, json);
    if (json_object_get(json, STR("content"), &value)) {
        struct json_iterator blocks = json_elements(value);
        uint64_t index = 0;
        str block;
        while (json_next_element(&blocks, &block)) {
            if (json_kind_of(block) == JSON_OBJECT) {
                take_start(anthropic, index++, block);
            }
        }
    }
    if (json_object_get(json, STR("stop_reason"), &value)) {
        take_stop(anthropic, value);
    }
    if (!status_is_ok(anthropic->fault)) {
        return fail_on_limit(anthropic, diagnosis);
    }
    return anthropic_finish(self, diagnosis);
}

const struct codec anthropic_codec = {
    .name = "anthropic",
    .media = "images, PDF, and texts by their bytes",
    .takes_media = anthropic_takes_media,
    .put_body = anthropic_put_body,
    .open = anthropic_open,
    .close = anthropic_close,
    .record = anthropic_record,
    .body = anthropic_body,
    .finish = anthropic_finish,
};
