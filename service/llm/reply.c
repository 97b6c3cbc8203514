#include "service/llm/reply.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/json.h"
#include "service/base/utf8.h"

enum {
    ESCAPE_BYTES = 6, /* \uXXXX */
};
static_assert(sizeof(((struct reply_block *)0)->held_escape) == ESCAPE_BYTES, "one is held");

static const str replacement = {"\xef\xbf\xbd", 3};

void reply_init(struct reply *reply, const struct reply_options *options)
{
    *reply = (struct reply){.options = *options, .stop = MODEL_STOP_OTHER};
}

void reply_fini(struct reply *reply)
{
    for (size_t i = 0; i < reply->block_count; i++) {
        struct reply_block *block = &reply->blocks[i];
        buf_fini(&block->text);
        buf_fini(&block->call_id);
        buf_fini(&block->name);
        buf_fini(&block->raw);
    }
    free(reply->blocks);
    buf_fini(&reply->scratch);
    buf_fini(&reply->stop_raw);
    buf_fini(&reply->response_id);
    buf_fini(&reply->model);
}

status reply_open(struct reply *reply, enum model_block_kind kind, size_t *ret_block)
{
    assert(reply->block_count <= REPLY_BLOCKS_MAX && ret_block != NULL);
    if (reply->block_count == REPLY_BLOCKS_MAX) {
        return status_make(CODE_RESOURCE_EXHAUSTED, "the reply has more than 1024 blocks");
    }
    size_t count = reply->block_count + 1;
    reply->blocks =
        array_reserve(reply->blocks, &reply->block_capacity, count, sizeof(*reply->blocks));
    reply->blocks[reply->block_count] = (struct reply_block){.kind = kind};
    *ret_block = reply->block_count;
    reply->block_count = count;
    return STATUS_OK;
}

static enum model_delta_kind delta_kind_of(enum model_block_kind kind)
{
    if (kind == MODEL_BLOCK_REASONING) {
        return MODEL_DELTA_REASONING;
    }
    return kind == MODEL_BLOCK_TOOL_CALL ? MODEL_DELTA_TOOL_ARGUMENTS : MODEL_DELTA_TEXT;
}

/* Appends what is whole; what is not UTF-8 is replaced, NUL is dropped. */
static void append_clean(struct buf *ret, str text)
{
    size_t at = 0;
    assert(text.len == 0 || text.ptr != NULL);
    buf_reserve(ret, text.len);
    while (at < text.len) {
        size_t start = at;
        while (at < text.len && (uint8_t)(text.ptr[at] - 1) < 0x7f) {
            at++;
        }
        buf_put(ret, str_make(text.ptr + start, at - start));
        if (at == text.len) {
            return;
        }
        size_t len = utf8_len(text, at);
        if (len == 0) {
            buf_put(ret, replacement);
        } else if (text.ptr[at] != '\0') {
            buf_put(ret, str_make(text.ptr + at, len));
        }
        at += len == 0 ? 1 : len;
    }
}

static void show_from(struct reply *reply, const struct reply_block *block, size_t start)
{
    assert(start <= block->text.len);
    if (start == block->text.len) {
        return;
    }
    reply->shown = true;
    if (reply->options.delta != NULL) {
        reply->options.delta(reply->options.context, delta_kind_of(block->kind),
                             str_make(block->text.ptr + start, block->text.len - start));
    }
}

static void flush_held(struct reply_block *block)
{
    assert(block->held_len <= sizeof(block->held));
    append_clean(&block->text, str_make(block->held, block->held_len));
    block->held_len = 0;
}

/* Moves bytes into the character that is held until it is whole or hopeless; returns how
 * many it took. */
static size_t complete_held(struct reply_block *block, str bytes)
{
    size_t taken = 0;
    while (block->held_len > 0 && taken < bytes.len) {
        if (((uint8_t)bytes.ptr[taken] & 0xc0) != 0x80) {
            flush_held(block);
            break;
        }
        assert(block->held_len < sizeof(block->held));
        block->held[block->held_len++] = bytes.ptr[taken++];
        if (utf8_tail_len(str_make(block->held, block->held_len)) != block->held_len) {
            flush_held(block);
        }
    }
    assert(taken == bytes.len || block->held_len == 0);
    return taken;
}

static status append_bytes(struct reply *reply, struct reply_block *block, str bytes)
{
    size_t start = block->text.len;
    if (bytes.len > REPLY_BYTES_MAX - reply->bytes) {
        return status_make(CODE_RESOURCE_EXHAUSTED, "the reply is longer than 16 MiB");
    }
    reply->bytes += bytes.len;
    size_t taken = complete_held(block, bytes);
    str rest = str_make(bytes.ptr + taken, bytes.len - taken);
    if (rest.len > 0) {
        size_t tail = utf8_tail_len(rest);
        assert(block->held_len == 0 && tail < sizeof(block->held));
        append_clean(&block->text, str_make(rest.ptr, rest.len - tail));
        memcpy(block->held, rest.ptr + rest.len - tail, tail);
        block->held_len = tail;
    }
    show_from(reply, block, start);
    return STATUS_OK;
}

/* Whether a \u escape of half a surrogate pair stands at `at`: \udXyy with X of `second`. */
static bool is_half(str text, size_t at, const char *second)
{
    return at < text.len && text.len - at >= ESCAPE_BYTES && text.ptr[at] == '\\' &&
           text.ptr[at + 1] == 'u' && (text.ptr[at + 2] | 0x20) == 'd' &&
           memchr(second, text.ptr[at + 3], strlen(second)) != NULL;
}

/* Whether the text of a JSON string ends in the first half of a pair. */
static bool ends_in_half(str text)
{
    size_t slashes = 0;
    if (text.len < ESCAPE_BYTES || !is_half(text, text.len - ESCAPE_BYTES, "89abAB")) {
        return false;
    }
    while (slashes < text.len - ESCAPE_BYTES &&
           text.ptr[text.len - ESCAPE_BYTES - 1 - slashes] == '\\') {
        slashes++;
    }
    return slashes % 2 == 0; /* Or its backslash is itself escaped. */
}

/* What was held goes in front, what is held from now on stays behind. */
static void splice_halves(struct reply_block *block, str text, struct buf *ret)
{
    bool ends = ends_in_half(text);
    size_t len = text.len - (ends ? (size_t)ESCAPE_BYTES : 0);
    buf_put_char(ret, '"');
    buf_put(ret, str_make(block->held_escape, block->held_escape_len));
    buf_put(ret, str_make(text.ptr, len));
    buf_put_char(ret, '"');
    block->held_escape_len = text.len - len;
    memcpy(block->held_escape, text.ptr + len, block->held_escape_len);
}

static void flush_halves(struct reply_block *block)
{
    if (block->held_escape_len > 0) {
        flush_held(block);
        buf_put(&block->text, replacement);
        block->held_escape_len = 0;
    }
}

status reply_append(struct reply *reply, size_t block_index, str bytes)
{
    assert(block_index < reply->block_count);
    struct reply_block *block = &reply->blocks[block_index];
    if (bytes.len > 0) {
        flush_halves(block);
    }
    return append_bytes(reply, block, bytes);
}

status reply_append_string(struct reply *reply, size_t block_index, str raw)
{
    assert(block_index < reply->block_count && json_kind_of(raw) == JSON_STRING);
    struct reply_block *block = &reply->blocks[block_index];
    struct buf spliced = {0};
    str text = str_make(raw.ptr + 1, raw.len - 2);
    assert(raw.len >= 2); /* Its quotes. */
    if (text.len > 0 && (block->held_escape_len > 0 || ends_in_half(text))) {
        splice_halves(block, text, &spliced);
        raw = buf_str(&spliced);
    }
    buf_reset(&reply->scratch);
    bool decoded = json_string_decode(raw, &reply->scratch);
    assert(decoded);
    (void)decoded;
    buf_fini(&spliced);
    return append_bytes(reply, block, buf_str(&reply->scratch));
}

bool reply_has_call(const struct reply *reply)
{
    for (size_t i = 0; i < reply->block_count; i++) {
        if (reply->blocks[i].kind == MODEL_BLOCK_TOOL_CALL) {
            return true;
        }
    }
    return false;
}

static bool is_used(const struct reply *reply, size_t until, str call_id)
{
    uint64_t hash = str_hash(call_id);
    assert(call_id.len > 0 && until < reply->block_count);
    for (size_t i = 0; i < reply->options.used_id_count; i++) {
        if (reply->options.used_ids[i] == hash) {
            return true;
        }
    }
    for (size_t i = 0; i < until; i++) {
        if (str_equal(buf_str(&reply->blocks[i].call_id), call_id)) {
            return true;
        }
    }
    return false;
}

static uint64_t mix(uint64_t value)
{
    value ^= value >> 30;
    value *= 0xbf58476d1ce4e5b9u;
    value ^= value >> 27;
    value *= 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* The provider's own id where there is one that nothing else in the conversation has. */
static void settle_call_id(struct reply *reply, size_t at)
{
    struct buf *call_id = &reply->blocks[at].call_id;
    uint64_t salt = at;
    assert(reply->blocks[at].kind == MODEL_BLOCK_TOOL_CALL);
    while (call_id->len == 0 || str_is(buf_str(call_id), "null") ||
           is_used(reply, at, buf_str(call_id))) {
        buf_reset(call_id);
        buf_printf(call_id, "call_%016llx",
                   (unsigned long long)mix(reply->options.id_seed + salt * 0x9e3779b97f4a7c15u));
        salt += REPLY_BLOCKS_MAX;
    }
}

static void finish_call(const struct reply_block *block, struct arena *arena,
                        struct model_block *ret)
{
    str arguments = str_trim(buf_str(&block->text));
    assert(block->call_id.len > 0 && block->held_len == 0);
    ret->call_id = arena_copy(arena, buf_str(&block->call_id));
    ret->name = arena_copy(arena, buf_str(&block->name));
    ret->arguments = arguments.len == 0 ? STR("{}") : arena_copy(arena, arguments);
    ret->arguments_invalid = !json_is_object(ret->arguments);
}

static void finish_block(struct reply *reply, struct reply_block *block)
{
    size_t start = block->text.len;
    assert(block->kind != MODEL_BLOCK_TOOL_RESULT); /* Models give none. */
    flush_halves(block);
    flush_held(block);
    show_from(reply, block, start);
}

void reply_finish(struct reply *reply, struct arena *arena, struct model_reply *ret)
{
    struct model_block *blocks = arena_zalloc(arena, (reply->block_count + 1) * sizeof(*blocks));
    for (size_t i = 0; i < reply->block_count; i++) {
        struct reply_block *block = &reply->blocks[i];
        finish_block(reply, block);
        blocks[i].kind = block->kind;
        blocks[i].raw = arena_copy(arena, buf_str(&block->raw));
        if (block->kind == MODEL_BLOCK_TOOL_CALL) {
            settle_call_id(reply, i);
            finish_call(block, arena, &blocks[i]);
        } else {
            blocks[i].text = arena_copy(arena, buf_str(&block->text));
        }
    }
    *ret = (struct model_reply){.blocks = blocks, .block_count = reply->block_count};
    ret->usage = reply->usage;
    ret->stop = reply->stop;
    ret->stop_raw = arena_copy(arena, buf_str(&reply->stop_raw));
    ret->response_id = arena_copy(arena, buf_str(&reply->response_id));
    ret->model = arena_copy(arena, buf_str(&reply->model));
}
