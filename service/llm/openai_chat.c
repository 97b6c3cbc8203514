#include "service/llm/openai_chat.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/llm/details.h"

enum {
    NO_BLOCK = -1,
    NO_INDEX = -1,
    LEGACY_INDEX = -2, /* Of the one call that an older server names function_call. */
};

/* A tool call under assembly. */
struct slot {
    size_t block;
    int64_t index; /* The server's, or NO_INDEX. */
};

struct chat {
    struct reply *reply;
    ssize_t text_block; /* NO_BLOCK until the first piece, as the next two. */
    ssize_t reasoning_block;
    ssize_t refusal_block;
    struct slot *slots;
    size_t slot_count;
    size_t slot_capacity;
    struct details details; /* reasoning_details, to be sent back. */
    bool chosen; /* A choice came: this is a reply, if not yet a whole one. */
    bool finished; /* A finish reason came. */
    bool done; /* [DONE] came. */
    status fault; /* The first limit that was hit. */
};

static const struct {
    const char *word;
    enum model_stop stop;
} stops[] = {
    {"stop", MODEL_STOP_END},
    {"eos", MODEL_STOP_END},
    {"eos_token", MODEL_STOP_END},
    {"end_turn", MODEL_STOP_END},
    {"stop_sequence", MODEL_STOP_SEQUENCE},
    {"length", MODEL_STOP_MAX_TOKENS},
    {"max_tokens", MODEL_STOP_MAX_TOKENS},
    {"model_length", MODEL_STOP_MAX_TOKENS},
    {"tool_calls", MODEL_STOP_TOOL_USE},
    {"function_call", MODEL_STOP_TOOL_USE},
    {"content_filter", MODEL_STOP_CONTENT_FILTER},
    {"sensitive", MODEL_STOP_CONTENT_FILTER},
    {"refusal", MODEL_STOP_REFUSAL},
    {"pause_turn", MODEL_STOP_PAUSE},
};

static void *chat_open(const struct provider_row *row, struct reply *reply)
{
    struct chat *chat = xcalloc(1, sizeof(*chat));
    assert(reply != NULL);
    assert(row != NULL);
    chat->reply = reply;
    chat->text_block = NO_BLOCK;
    chat->reasoning_block = NO_BLOCK;
    chat->refusal_block = NO_BLOCK;
    return chat;
}

static void chat_close(void *self)
{
    struct chat *chat = (struct chat *)self;
    if (chat == NULL) {
        return;
    }
    free(chat->slots);
    details_fini(&chat->details);
    free(chat);
}

static bool has_text(str raw)
{
    return json_kind_of(raw) == JSON_STRING && raw.len > 2;
}

/* Appends the characters of a raw string to a block, which is opened by its first byte. */
static void append_string(struct chat *chat, enum model_block_kind kind, ssize_t *block, str raw)
{
    size_t opened;
    assert(*block == NO_BLOCK || (size_t)*block < chat->reply->block_count);
    if (!has_text(raw)) {
        return;
    }
    if (*block == NO_BLOCK) {
        status outcome = reply_open(chat->reply, kind, &opened);
        if (!status_is_ok(outcome)) {
            codec_note(&chat->fault, outcome);
            return;
        }
        *block = (ssize_t)opened;
    }
    assert(chat->reply->blocks[*block].kind == kind);
    codec_note(&chat->fault, reply_append_string(chat->reply, (size_t)*block, raw));
}

static void append_text(struct chat *chat, str raw)
{
    append_string(chat, MODEL_BLOCK_TEXT, &chat->text_block, raw);
}

static void append_reasoning(struct chat *chat, str raw)
{
    append_string(chat, MODEL_BLOCK_REASONING, &chat->reasoning_block, raw);
}

/* Mistral: {"type":"thinking","thinking":[{"type":"text","text":"..."}]}. */
static void take_thinking(struct chat *chat, str thinking)
{
    struct json_iterator parts = json_elements(thinking);
    str part;
    str text;
    append_reasoning(chat, thinking);
    while (json_next_element(&parts, &part)) {
        if (json_object_get(part, STR("text"), &text)) {
            append_reasoning(chat, text);
        }
    }
}

/* A string, null, or an array of typed parts. */
static void take_content(struct chat *chat, str content)
{
    struct json_iterator parts = json_elements(content);
    str part;
    str value;
    append_text(chat, content);
    while (json_next_element(&parts, &part)) {
        if (json_object_get(part, STR("thinking"), &value)) {
            take_thinking(chat, value);
        } else if (json_object_get(part, STR("text"), &value)) {
            append_text(chat, value);
        } else if (json_object_get(part, STR("refusal"), &value)) {
            append_string(chat, MODEL_BLOCK_REFUSAL, &chat->refusal_block, value);
        }
    }
}

static void take_details(struct chat *chat, str details)
{
    struct json_iterator elements = json_elements(details);
    str element;
    while (json_next_element(&elements, &element)) {
        if (details_bytes(&chat->details) + element.len > REPLY_BYTES_MAX) {
            codec_note(&chat->fault,
                       status_make(CODE_RESOURCE_EXHAUSTED, "the reply is longer than 16 MiB"));
            return;
        }
        details_add(&chat->details, element);
    }
}

static struct slot *slot_of_index(struct chat *chat, int64_t index)
{
    assert(index != NO_INDEX);
    for (size_t i = chat->slot_count; i > 0; i--) {
        if (chat->slots[i - 1].index == index) {
            return &chat->slots[i - 1];
        }
    }
    return NULL;
}

static struct slot *slot_of_id(struct chat *chat, str call_id)
{
    assert(call_id.len > 0);
    for (size_t i = chat->slot_count; i > 0; i--) {
        const struct reply_block *block = &chat->reply->blocks[chat->slots[i - 1].block];
        if (str_equal(buf_str(&block->call_id), call_id)) {
            return &chat->slots[i - 1];
        }
    }
    return NULL;
}

static struct slot *open_slot(struct chat *chat, int64_t index)
{
    size_t count = chat->slot_count + 1;
    size_t block;
    status outcome = reply_open(chat->reply, MODEL_BLOCK_TOOL_CALL, &block);
    if (!status_is_ok(outcome)) {
        codec_note(&chat->fault, outcome);
        return NULL;
    }
    assert(chat->reply->blocks[block].kind == MODEL_BLOCK_TOOL_CALL);
    chat->slots = array_reserve(chat->slots, &chat->slot_capacity, count, sizeof(*chat->slots));
    chat->slots[count - 1] = (struct slot){.block = block, .index = index};
    chat->slot_count = count;
    return &chat->slots[count - 1];
}

/* A delta of a tool call, taken apart. Strings are decoded; empty when absent. */
struct call_delta {
    int64_t index;
    struct buf call_id;
    struct buf name;
    str arguments; /* Raw. */
    str extra; /* Raw extra_content, to be sent back. */
};

/* Whether a delta that names an occupied index nevertheless begins another call: servers
 * send index 0 for every call. */
static bool begins_another(const struct chat *chat, const struct slot *slot,
                           const struct call_delta *delta)
{
    const struct reply_block *block = &chat->reply->blocks[slot->block];
    str old_id = buf_str(&block->call_id);
    str new_id = buf_str(&delta->call_id);
    assert(block->kind == MODEL_BLOCK_TOOL_CALL);
    if (new_id.len > 0 && old_id.len > 0) {
        return !str_equal(new_id, old_id);
    }
    if (delta->name.len == 0 || block->name.len == 0) {
        return false;
    }
    return json_is_object(buf_str(&block->text)) ||
           !str_equal(buf_str(&delta->name), buf_str(&block->name));
}

static struct slot *find_slot(struct chat *chat, const struct call_delta *delta)
{
    if (delta->index != NO_INDEX) {
        struct slot *slot = slot_of_index(chat, delta->index);
        return slot != NULL && begins_another(chat, slot, delta) ? NULL : slot;
    }
    if (delta->call_id.len > 0) {
        struct slot *slot = slot_of_id(chat, buf_str(&delta->call_id));
        if (slot != NULL) {
            return slot;
        }
    }
    if (delta->name.len > 0 || chat->slot_count == 0) {
        return NULL;
    }
    return &chat->slots[chat->slot_count - 1];
}

static void append_arguments(struct chat *chat, size_t block, str raw)
{
    enum json_kind kind = json_kind_of(raw);
    assert(block < chat->reply->block_count);
    if (kind == JSON_STRING) {
        ssize_t opened = (ssize_t)block;
        append_string(chat, MODEL_BLOCK_TOOL_CALL, &opened, raw);
    } else if (kind == JSON_OBJECT) {
        codec_note(&chat->fault, reply_append(chat->reply, block, raw));
    }
}

static void fill_slot(struct chat *chat, const struct slot *slot, const struct call_delta *delta)
{
    struct reply_block *block = &chat->reply->blocks[slot->block];
    assert(block->kind == MODEL_BLOCK_TOOL_CALL);
    assert(slot->block < chat->reply->block_count);
    if (block->call_id.len == 0) {
        buf_put(&block->call_id, buf_str(&delta->call_id));
    }
    if (block->name.len == 0) {
        buf_put(&block->name, buf_str(&delta->name));
    }
    if (delta->extra.len > 0) {
        struct json_writer writer = json_writer_of(&block->raw);
        buf_reset(&block->raw);
        json_begin_object(&writer, NULL);
        json_put_raw(&writer, "extra_content", delta->extra);
        json_end_object(&writer);
    }
    append_arguments(chat, slot->block, delta->arguments);
}

/* {"name", "arguments"}, or {"name", "input"} of a call that is no function's: what it says goes
 * on as arguments, and is told the model if it is no object. */
static void read_function(str function, const char *arguments, struct call_delta *ret)
{
    str name;
    if (json_object_get(function, STR("name"), &name)) {
        (void)json_string_decode(name, &ret->name);
    }
    (void)json_object_get(function, str_of(arguments), &ret->arguments);
}

static void read_call(str call, struct call_delta *ret)
{
    str value;
    uint64_t index;
    assert(json_kind_of(call) == JSON_OBJECT && ret->call_id.len == 0);
    ret->index = NO_INDEX;
    if (json_object_get(call, STR("index"), &value) && json_to_u64(value, &index) &&
        index <= INT32_MAX) {
        ret->index = (int64_t)index;
    }
    if (json_object_get(call, STR("id"), &value)) {
        (void)json_string_decode(value, &ret->call_id);
    }
    if (str_is(buf_str(&ret->call_id), "null")) {
        buf_reset(&ret->call_id);
    }
    (void)json_object_get_kind(call, STR("extra_content"), JSON_OBJECT, &ret->extra);
    if (json_object_get_kind(call, STR("function"), JSON_OBJECT, &value)) {
        read_function(value, "arguments", ret);
    } else if (json_object_get(call, STR("custom"), &value)) {
        read_function(value, "input", ret);
    }
}

/* whole: it is a call of its own, whatever its id says. Frees what the delta holds. */
static void take_call(struct chat *chat, struct call_delta *delta, bool whole)
{
    struct slot *slot = whole ? NULL : find_slot(chat, delta);
    if (slot == NULL) {
        slot = open_slot(chat, delta->index);
    }
    assert(slot == NULL || slot->block < chat->reply->block_count);
    if (slot != NULL) {
        fill_slot(chat, slot, delta);
    }
    buf_fini(&delta->call_id);
    buf_fini(&delta->name);
}

static void take_calls(struct chat *chat, str calls, bool whole)
{
    struct json_iterator elements = json_elements(calls);
    str call;
    while (json_next_element(&elements, &call)) {
        struct call_delta delta = {0};
        if (json_kind_of(call) == JSON_OBJECT) {
            read_call(call, &delta);
            take_call(chat, &delta, whole);
        }
    }
}

/* What tool_calls were called before there could be several. */
static void take_function_call(struct chat *chat, str function, bool whole)
{
    struct call_delta delta = {.index = LEGACY_INDEX};
    if (json_kind_of(function) == JSON_OBJECT) {
        read_function(function, "arguments", &delta);
        take_call(chat, &delta, whole);
    }
}

/* The delta of a chunk, or the message of a whole reply. */
static void take_message(struct chat *chat, str message, bool whole)
{
    str value;
    str reasoning;
    /* Some servers send the same reasoning under both names. */
    if (json_object_get(message, STR("reasoning_content"), &reasoning) && has_text(reasoning)) {
        append_reasoning(chat, reasoning);
    } else if (json_object_get(message, STR("reasoning"), &reasoning)) {
        append_reasoning(chat, reasoning);
    }
    if (json_object_get(message, STR("reasoning_details"), &value)) {
        take_details(chat, value);
    }
    if (json_object_get(message, STR("content"), &value)) {
        take_content(chat, value);
    }
    if (json_object_get(message, STR("refusal"), &value)) {
        append_string(chat, MODEL_BLOCK_REFUSAL, &chat->refusal_block, value);
    }
    if (json_object_get(message, STR("tool_calls"), &value)) {
        take_calls(chat, value, whole);
    }
    if (json_object_get(message, STR("function_call"), &value)) {
        take_function_call(chat, value, whole);
    }
}

static void take_finish(struct chat *chat, str raw)
{
    struct reply *reply = chat->reply;
    if (!has_text(raw)) {
        return;
    }
    assert(json_kind_of(raw) == JSON_STRING);
    chat->finished = true;
    buf_reset(&reply->stop_raw);
    (void)json_string_decode(raw, &reply->stop_raw);
    reply->stop = MODEL_STOP_OTHER;
    for (size_t i = 0; i < COUNT_OF(stops); i++) {
        if (str_is(buf_str(&reply->stop_raw), stops[i].word)) {
            reply->stop = stops[i].stop;
        }
    }
}

/* Perplexity sends the delta and, beside it, the message so far: in a stream the delta is news,
 * in a whole reply it is empty. */
static void take_choice(struct chat *chat, str choice, bool whole)
{
    str delta;
    str message;
    str finish;
    bool has_delta = json_object_get_kind(choice, STR("delta"), JSON_OBJECT, &delta);
    bool has_message = json_object_get_kind(choice, STR("message"), JSON_OBJECT, &message);
    assert(json_kind_of(choice) == JSON_OBJECT);
    chat->chosen = true;
    if (has_message && (whole || !has_delta)) {
        take_message(chat, message, true);
    } else if (has_delta) {
        take_message(chat, delta, false);
    }
    if (json_object_get(choice, STR("finish_reason"), &finish)) {
        take_finish(chat, finish);
    }
}

static void take_choices(struct chat *chat, str choices, bool whole)
{
    struct json_iterator elements = json_elements(choices);
    str choice;
    str value;
    uint64_t index;
    while (json_next_element(&elements, &choice)) {
        if (json_object_get(choice, STR("index"), &value) && json_to_u64(value, &index) &&
            index > 0) {
            continue; /* One answer is what a run can use. */
        }
        if (json_kind_of(choice) == JSON_OBJECT) {
            take_choice(chat, choice, whole);
        }
    }
}

static uint64_t number_at(str object, const char *first, const char *second)
{
    uint64_t number = 0;
    str value;
    assert(first != NULL);
    if (!json_object_get(object, str_of(first), &value)) {
        return 0;
    }
    if (second != NULL && !json_object_get(value, str_of(second), &value)) {
        return 0;
    }
    return json_to_u64(value, &number) ? number : 0;
}

static void take_usage(struct reply *reply, str usage)
{
    static const char *const caches[][2] = {
        {"prompt_tokens_details", "cached_tokens"},
        {"prompt_cache_hit_tokens", NULL},
        {"cached_tokens", NULL},
    };
    if (json_kind_of(usage) != JSON_OBJECT) {
        return;
    }
    reply->usage = (struct model_usage){.known = true};
    reply->usage.input = number_at(usage, "prompt_tokens", NULL);
    reply->usage.output = number_at(usage, "completion_tokens", NULL);
    reply->usage.cache_write = number_at(usage, "prompt_tokens_details", "cache_write_tokens");
    reply->usage.reasoning = number_at(usage, "completion_tokens_details", "reasoning_tokens");
    for (size_t i = 0; i < COUNT_OF(caches) && reply->usage.cache_read == 0; i++) {
        reply->usage.cache_read = number_at(usage, caches[i][0], caches[i][1]);
    }
}

/* A chunk, or a whole reply: they differ only in what a choice holds. */
static void take_object(struct chat *chat, str object, bool whole)
{
    struct reply *reply = chat->reply;
    str value;
    str usage;
    codec_take_name(&reply->response_id, object, "id");
    codec_take_name(&reply->model, object, "model");
    if (json_object_get(object, STR("choices"), &value)) {
        take_choices(chat, value, whole);
    }
    if (json_object_get(object, STR("usage"), &value)) {
        take_usage(reply, value);
    }
    if (!reply->usage.known && json_object_get(object, STR("x_groq"), &value) &&
        json_object_get(value, STR("usage"), &usage)) {
        take_usage(reply, usage);
    }
}

/* OpenRouter tells in a choice which server behind it failed, and why. */
static bool find_choice_error(str object, str *ret)
{
    str choices = STR_EMPTY;
    str choice;
    (void)json_object_get(object, STR("choices"), &choices);
    struct json_iterator elements = json_elements(choices);
    while (json_next_element(&elements, &choice)) {
        if (json_object_get_kind(choice, STR("error"), JSON_OBJECT, ret)) {
            return true;
        }
    }
    return false;
}

/* The error an object carries, if any. */
static bool find_error(str object, bool is_error_event, str *ret)
{
    str value;
    if (json_object_get(object, STR("error"), &value) && json_kind_of(value) != JSON_NULL) {
        *ret = value;
        return true;
    }
    if (find_choice_error(object, ret)) {
        return true;
    }
    bool named =
        json_object_get(object, STR("object"), &value) && json_string_is(value, STR("error"));
    *ret = object;
    return named || is_error_event;
}

static enum codec_result fail_on_limit(const struct chat *chat, struct diagnosis *diagnosis)
{
    assert(!status_is_ok(chat->fault));
    diagnosis_set(diagnosis, CODE_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", false, "%s",
                  chat->fault.why);
    return CODEC_FAILED;
}

static enum codec_result take_json(struct chat *chat, str json, bool is_error_event, bool whole,
                                   struct diagnosis *diagnosis)
{
    str error;
    if (json_kind_of(json) != JSON_OBJECT || !json_check(json)) {
        diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_GARBLED", true,
                      "the server sent something that is no JSON object in place of a reply");
        return CODEC_FAILED;
    }
    bool is_error = find_error(json, is_error_event, &error);
    take_object(chat, json, whole);
    if (is_error) {
        diagnosis_from_error(diagnosis, error);
        return CODEC_FAILED;
    }
    assert(diagnosis->code == CODE_OK);
    return status_is_ok(chat->fault) ? CODEC_MORE : fail_on_limit(chat, diagnosis);
}

/* Called once, when the reply is whole. */
static void settle(struct chat *chat)
{
    struct reply *reply = chat->reply;
    str details = details_finish(&chat->details);
    assert(chat->chosen);
    if (details.len > 0) {
        size_t block = (size_t)chat->reasoning_block;
        if (chat->reasoning_block == NO_BLOCK) {
            codec_note(&chat->fault, reply_open(reply, MODEL_BLOCK_OPAQUE, &block));
        }
        if (status_is_ok(chat->fault)) {
            struct buf *raw = &reply->blocks[block].raw;
            assert(raw->len == 0); /* settle() comes once. */
            buf_put(raw, STR("{\"reasoning_details\":["));
            buf_put(raw, details);
            buf_put(raw, STR("]}"));
        }
    }
    if (reply->stop != MODEL_STOP_MAX_TOKENS && chat->slot_count > 0) {
        reply->stop = MODEL_STOP_TOOL_USE;
    } else if (!chat->finished) {
        reply->stop = MODEL_STOP_END;
    }
    if (reply->stop == MODEL_STOP_END && chat->refusal_block != NO_BLOCK) {
        reply->stop = MODEL_STOP_REFUSAL; /* Servers say "stop" here too. */
    }
}

static enum codec_result chat_finish(void *self, struct diagnosis *diagnosis)
{
    struct chat *chat = (struct chat *)self;
    assert(chat->reply != NULL);
    if (str_is(buf_str(&chat->reply->stop_raw), "error") ||
        str_is(buf_str(&chat->reply->stop_raw), "insufficient_system_resource")) {
        diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_SERVER_ERROR", true,
                      "the server broke the reply off: %.*s",
                      STR_ARG(buf_str(&chat->reply->stop_raw)));
        return CODEC_FAILED;
    }
    if (!chat->chosen || (!chat->finished && !chat->done)) {
        diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_INCOMPLETE", true, "%s",
                      chat->chosen ? "the reply ended before it was whole"
                                   : "the answer was empty");
        return CODEC_FAILED;
    }
    settle(chat);
    return status_is_ok(chat->fault) ? CODEC_ENDED : fail_on_limit(chat, diagnosis);
}

static enum codec_result chat_record(void *self, str event, str data, struct diagnosis *diagnosis)
{
    struct chat *chat = (struct chat *)self;
    data = str_trim(data);
    if (str_is(data, "[DONE]")) {
        chat->done = true;
        return chat_finish(self, diagnosis);
    }
    if (data.len == 0 || str_is(event, "ping")) {
        return CODEC_MORE;
    }
    return take_json(chat, data, str_is(event, "error"), false, diagnosis);
}

static enum codec_result chat_body(void *self, str json, struct diagnosis *diagnosis)
{
    struct chat *chat = (struct chat *)self;
    if (take_json(chat, json, false, true, diagnosis) == CODEC_FAILED) {
        return CODEC_FAILED;
    }
    chat->done = true; /* A whole JSON text cannot have been cut. */
    return chat_finish(self, diagnosis);
}

const struct codec openai_chat_codec = {
    .name = "openai_chat",
    .media = "images, and wav, mp3 and PDF by their bytes",
    .takes_media = openai_chat_takes_media,
    .put_body = openai_chat_put_body,
    .open = chat_open,
    .close = chat_close,
    .record = chat_record,
    .body = chat_body,
    .finish = chat_finish,
};
