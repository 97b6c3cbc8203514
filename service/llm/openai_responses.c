#include "service/llm/openai_responses.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/json.h"

enum {
    NO_BLOCK = -1,
};

enum item_type {
    ITEM_MESSAGE,
    ITEM_REASONING,
    ITEM_CALL,
    ITEM_CUSTOM_CALL, /* Its input is text. */
    ITEM_OTHER, /* What the provider's own tools did, what is not known yet. */
};

/* An item under assembly. */
struct item {
    uint64_t index; /* The server's: some change the ids on the way. */
    enum item_type type;
    size_t block; /* In the reply. */
    ssize_t refusal; /* Another block; NO_BLOCK until its first piece. */
    bool has_text; /* Pieces came: what repeats the whole is passed over. */
    bool has_refusal;
    bool done;
};

struct responses {
    struct reply *reply;
    struct item *items;
    size_t item_count;
    size_t item_capacity;
    size_t bytes; /* Of the raw items. */
    bool begun;
    status fault; /* The first limit that was hit. */
};

static void *responses_open(const struct provider_row *row, struct reply *reply)
{
    struct responses *self = xcalloc(1, sizeof(*self));
    (void)row;
    assert(reply != NULL && reply->block_count == 0);
    self->reply = reply;
    return self;
}

static void responses_close(void *self)
{
    struct responses *responses = (struct responses *)self;
    if (responses != NULL) {
        free(responses->items);
        free(responses);
    }
}

static enum item_type type_of(str item)
{
    if (codec_is_type(item, "message")) {
        return ITEM_MESSAGE;
    }
    if (codec_is_type(item, "reasoning")) {
        return ITEM_REASONING;
    }
    if (codec_is_type(item, "function_call")) {
        return ITEM_CALL;
    }
    return codec_is_type(item, "custom_tool_call") ? ITEM_CUSTOM_CALL : ITEM_OTHER;
}

static enum model_block_kind kind_of(enum item_type type)
{
    switch (type) {
    case ITEM_MESSAGE:
        return MODEL_BLOCK_TEXT;
    case ITEM_REASONING:
        return MODEL_BLOCK_REASONING;
    case ITEM_CALL:
    case ITEM_CUSTOM_CALL:
        return MODEL_BLOCK_TOOL_CALL;
    case ITEM_OTHER:
        return MODEL_BLOCK_OPAQUE;
    }
    assert(false && "of our own making");
    return MODEL_BLOCK_OPAQUE;
}

static struct item *find_item(struct responses *self, uint64_t index)
{
    for (size_t i = self->item_count; i > 0; i--) {
        if (self->items[i - 1].index == index) {
            return &self->items[i - 1];
        }
    }
    return NULL;
}

static struct item *open_item(struct responses *self, uint64_t index, str object)
{
    struct item item = {.index = index, .type = type_of(object), .refusal = NO_BLOCK};
    status outcome = reply_open(self->reply, kind_of(item.type), &item.block);
    assert(json_kind_of(object) == JSON_OBJECT && find_item(self, index) == NULL);
    if (!status_is_ok(outcome)) {
        codec_note(&self->fault, outcome);
        return NULL;
    }
    self->items = array_reserve(self->items, &self->item_capacity, self->item_count + 1,
                                sizeof(*self->items));
    self->items[self->item_count] = item;
    return &self->items[self->item_count++];
}

static void append(struct responses *self, struct item *item, str raw)
{
    assert(item->block < self->reply->block_count);
    if (raw.len > 2) {
        item->has_text = true;
        codec_note(&self->fault, reply_append_string(self->reply, item->block, raw));
    }
}

static void append_refusal(struct responses *self, struct item *item, str raw)
{
    size_t opened;
    if (raw.len <= 2) {
        return;
    }
    if (item->refusal == NO_BLOCK) {
        status outcome = reply_open(self->reply, MODEL_BLOCK_REFUSAL, &opened);
        if (!status_is_ok(outcome)) {
            codec_note(&self->fault, outcome);
            return;
        }
        item->refusal = (ssize_t)opened;
    }
    assert(self->reply->blocks[item->refusal].kind == MODEL_BLOCK_REFUSAL);
    item->has_refusal = true;
    codec_note(&self->fault, reply_append_string(self->reply, (size_t)item->refusal, raw));
}

/* The strings `name` of the objects in an array. */
static void append_each(struct responses *self, struct item *item, str object, const char *array,
                        const char *name)
{
    str list = STR_EMPTY;
    str element;
    str raw;
    assert(json_kind_of(object) == JSON_OBJECT);
    (void)json_object_get(object, str_of(array), &list);
    struct json_iterator elements = json_elements(list);
    while (json_next_element(&elements, &element)) {
        if (codec_string(element, name, &raw)) {
            append(self, item, raw);
        }
    }
}

static void fill_message(struct responses *self, struct item *item, str object)
{
    bool wants_refusal = !item->has_refusal;
    str list = STR_EMPTY;
    str part;
    str raw;
    assert(item->type == ITEM_MESSAGE);
    if (!item->has_text) {
        append_each(self, item, object, "content", "text");
    }
    (void)json_object_get(object, STR("content"), &list);
    struct json_iterator parts = json_elements(list);
    while (wants_refusal && json_next_element(&parts, &part)) {
        if (codec_string(part, "refusal", &raw)) {
            append_refusal(self, item, raw);
        }
    }
}

static void fill_call(struct responses *self, struct item *item, str object, const char *arguments)
{
    struct reply_block *block = &self->reply->blocks[item->block];
    str raw;
    assert(block->kind == MODEL_BLOCK_TOOL_CALL);
    codec_take_name(&block->call_id, object, "call_id");
    codec_take_name(&block->name, object, "name");
    if (!item->has_text && codec_string(object, arguments, &raw)) {
        append(self, item, raw);
    }
}

/* What the item says and no piece has said. */
static void fill(struct responses *self, struct item *item, str object)
{
    switch (item->type) {
    case ITEM_MESSAGE:
        fill_message(self, item, object);
        return;
    case ITEM_REASONING:
        if (!item->has_text) {
            append_each(self, item, object, "summary", "text");
            append_each(self, item, object, "content", "text");
        }
        return;
    case ITEM_CALL:
        fill_call(self, item, object, "arguments");
        return;
    case ITEM_CUSTOM_CALL:
        fill_call(self, item, object, "input");
        return;
    case ITEM_OTHER:
        return;
    }
}

/* Whether the provider can do something with the item when it comes back. Reasoning it did not
 * encrypt lies with it only, and it keeps nothing for us; the answer to a custom call would be of
 * another form than ours. */
static bool is_kept(const struct item *item, str object)
{
    str encrypted;
    assert(json_kind_of(object) == JSON_OBJECT);
    if (item->type == ITEM_REASONING) {
        return codec_string(object, "encrypted_content", &encrypted) && encrypted.len > 2;
    }
    return item->type != ITEM_CUSTOM_CALL;
}

static void keep(struct responses *self, const struct item *item, str object)
{
    struct buf *raw = &self->reply->blocks[item->block].raw;
    assert(item->done && self->bytes <= REPLY_BYTES_MAX);
    if (object.len > REPLY_BYTES_MAX - self->bytes) {
        codec_note(&self->fault,
                   status_make(CODE_RESOURCE_EXHAUSTED, "the reply is longer than 16 MiB"));
        return;
    }
    assert(raw->len == 0);
    self->bytes += object.len;
    buf_put(raw, object);
}

/* The item is whole. */
static void take_item(struct responses *self, uint64_t index, str object)
{
    struct item *item = find_item(self, index);
    if (item == NULL) {
        item = open_item(self, index, object);
    }
    if (item == NULL || item->done) {
        return;
    }
    assert(item->index == index && item->block < self->reply->block_count);
    item->done = true;
    fill(self, item, object);
    if (is_kept(item, object)) {
        keep(self, item, object);
    }
}

static uint64_t number_at(str object, const char *name, const char *inner)
{
    uint64_t number = 0;
    str value;
    assert(name != NULL);
    if (!json_object_get(object, str_of(name), &value)) {
        return 0;
    }
    if (inner != NULL && !json_object_get(value, str_of(inner), &value)) {
        return 0;
    }
    return json_to_u64(value, &number) ? number : 0;
}

static void take_usage(struct reply *reply, str usage)
{
    if (json_kind_of(usage) != JSON_OBJECT) {
        return;
    }
    reply->usage = (struct model_usage){
        .input = number_at(usage, "input_tokens", NULL),
        .output = number_at(usage, "output_tokens", NULL),
        .cache_read = number_at(usage, "input_tokens_details", "cached_tokens"),
        .cache_write = number_at(usage, "input_tokens_details", "cache_write_tokens"),
        .reasoning = number_at(usage, "output_tokens_details", "reasoning_tokens"),
        .known = true,
    };
}

/* What the response object says at any time. */
static void take_response(struct responses *self, str response)
{
    str usage;
    self->begun = true;
    codec_take_name(&self->reply->response_id, response, "id");
    codec_take_name(&self->reply->model, response, "model");
    if (json_object_get(response, STR("usage"), &usage)) {
        take_usage(self->reply, usage);
    }
}

static enum codec_result fail_on_limit(const struct responses *self, struct diagnosis *diagnosis)
{
    assert(!status_is_ok(self->fault));
    diagnosis_set(diagnosis, CODE_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", false, "%s",
                  self->fault.why);
    return CODEC_FAILED;
}

static enum codec_result fail_incomplete(const struct responses *self, struct diagnosis *diagnosis)
{
    assert(diagnosis->code == CODE_OK);
    diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_INCOMPLETE", true, "%s",
                  self->begun ? "the reply ended before it was whole" : "the answer was empty");
    return CODEC_FAILED;
}

static bool has_refused(const struct responses *self)
{
    assert(self->item_count <= self->reply->block_count);
    for (size_t i = 0; i < self->item_count; i++) {
        if (self->items[i].refusal != NO_BLOCK) {
            return true;
        }
    }
    return false;
}

static void take_stop(struct responses *self, str response, bool is_completed)
{
    struct reply *reply = self->reply;
    str details = STR_EMPTY;
    struct buf reason = {0};
    assert(json_kind_of(response) == JSON_OBJECT);
    (void)json_object_get(response, STR("incomplete_details"), &details);
    codec_take_name(&reason, details, "reason");
    buf_reset(&reply->stop_raw);
    if (is_completed) {
        buf_put(&reply->stop_raw, STR("completed"));
        reply->stop = reply_has_call(reply) ? MODEL_STOP_TOOL_USE
                      : has_refused(self)   ? MODEL_STOP_REFUSAL
                                            : MODEL_STOP_END;
    } else {
        buf_printf(&reply->stop_raw, "incomplete:" STR_FMT, STR_ARG(buf_str(&reason)));
        reply->stop = str_is(buf_str(&reason), "content_filter") ? MODEL_STOP_CONTENT_FILTER
                                                                 : MODEL_STOP_MAX_TOKENS;
    }
    buf_fini(&reason);
}

/* The response as it ended: the body of a reply that was not streamed, or the last event. */
static enum codec_result take_end(struct responses *self, str response, struct diagnosis *diagnosis)
{
    str output = STR_EMPTY;
    str status_word = STR_EMPTY;
    str error;
    str item;
    uint64_t index = 0;
    assert(json_kind_of(response) == JSON_OBJECT);
    take_response(self, response);
    (void)json_object_get(response, STR("status"), &status_word);
    if (json_object_get_kind(response, STR("error"), JSON_OBJECT, &error)) {
        diagnosis_from_error(diagnosis, error);
        return CODEC_FAILED;
    }
    bool is_completed = json_string_is(status_word, STR("completed"));
    if (!is_completed && !json_string_is(status_word, STR("incomplete"))) {
        return fail_incomplete(self, diagnosis);
    }
    (void)json_object_get(response, STR("output"), &output);
    struct json_iterator items = json_elements(output);
    for (; json_next_element(&items, &item); index++) {
        if (json_kind_of(item) == JSON_OBJECT) {
            take_item(self, index, item);
        }
    }
    take_stop(self, response, is_completed);
    return status_is_ok(self->fault) ? CODEC_ENDED : fail_on_limit(self, diagnosis);
}

static void take_delta(struct responses *self, struct item *item, str event)
{
    str raw;
    assert(!item->done && item->block < self->reply->block_count);
    if (!codec_string(event, "delta", &raw)) {
        return;
    }
    if (codec_is_type(event, "response.refusal.delta") && item->type == ITEM_MESSAGE) {
        append_refusal(self, item, raw);
        return;
    }
    bool fits =
        (item->type == ITEM_MESSAGE && codec_is_type(event, "response.output_text.delta")) ||
        (item->type == ITEM_CALL &&
         codec_is_type(event, "response.function_call_arguments.delta")) ||
        (item->type == ITEM_CUSTOM_CALL &&
         codec_is_type(event, "response.custom_tool_call_input.delta")) ||
        (item->type == ITEM_REASONING &&
         (codec_is_type(event, "response.reasoning_summary_text.delta") ||
          codec_is_type(event, "response.reasoning_text.delta")));
    if (fits) {
        append(self, item, raw);
    }
}

/* Events about one item; others are passed over. */
static void take_item_event(struct responses *self, str event)
{
    uint64_t index = number_at(event, "output_index", NULL);
    struct item *item = find_item(self, index);
    str object = STR_EMPTY;
    (void)json_object_get_kind(event, STR("item"), JSON_OBJECT, &object);
    if (codec_is_type(event, "response.output_item.added") && item == NULL && object.len > 0) {
        item = open_item(self, index, object);
        if (item != NULL && kind_of(item->type) == MODEL_BLOCK_TOOL_CALL) {
            struct reply_block *block = &self->reply->blocks[item->block];
            codec_take_name(&block->call_id, object, "call_id");
            codec_take_name(&block->name, object, "name");
        }
    } else if (codec_is_type(event, "response.output_item.done") && object.len > 0) {
        take_item(self, index, object);
    } else if (item != NULL && !item->done) {
        take_delta(self, item, event);
    }
}

/* {"type": "error", "code", "message"}, or the same inside of "error". */
static bool find_error(str object, str *ret)
{
    *ret = object;
    if (json_object_get(object, STR("error"), ret) && json_kind_of(*ret) != JSON_NULL) {
        return !codec_is_type(object, "response") &&
               !json_object_get_kind(object, STR("object"), JSON_STRING, &object);
    }
    *ret = object;
    return codec_is_type(object, "error");
}

static enum codec_result fail_garbled(struct diagnosis *diagnosis)
{
    assert(diagnosis->code == CODE_OK);
    diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_GARBLED", true,
                  "the server sent something that is no JSON object in place of a reply");
    return CODEC_FAILED;
}

static enum codec_result responses_record(void *self, str event, str data,
                                          struct diagnosis *diagnosis)
{
    struct responses *responses = (struct responses *)self;
    str value;
    (void)event; /* The data say it again. */
    data = str_trim(data);
    if (data.len == 0 || str_is(data, "[DONE]")) {
        return CODEC_MORE;
    }
    if (json_kind_of(data) != JSON_OBJECT || !json_check(data)) {
        return fail_garbled(diagnosis);
    }
    if (find_error(data, &value)) {
        diagnosis_from_error(diagnosis, value);
        return CODEC_FAILED;
    }
    bool has_response = json_object_get_kind(data, STR("response"), JSON_OBJECT, &value);
    bool ends = codec_is_type(data, "response.completed") ||
                codec_is_type(data, "response.incomplete") ||
                codec_is_type(data, "response.failed");
    if (ends && has_response) {
        return take_end(responses, value, diagnosis);
    }
    if (has_response) {
        take_response(responses, value);
    } else {
        take_item_event(responses, data);
    }
    return status_is_ok(responses->fault) ? CODEC_MORE : fail_on_limit(responses, diagnosis);
}

static enum codec_result responses_body(void *self, str json, struct diagnosis *diagnosis)
{
    str object = str_trim(json);
    str error;
    if (json_kind_of(object) != JSON_OBJECT || !json_check(object)) {
        return fail_garbled(diagnosis);
    }
    if (find_error(object, &error)) {
        diagnosis_from_error(diagnosis, error);
        return CODEC_FAILED;
    }
    return take_end((struct responses *)self, object, diagnosis);
}

static enum codec_result responses_finish(void *self, struct diagnosis *diagnosis)
{
    return fail_incomplete((const struct responses *)self, diagnosis);
}

const struct codec openai_responses_codec = {
    .name = "openai_responses",
    .instead = "a server that knows Chat Completions only is openai_compatible or openai_chat",
    .media = "images and PDF",
    .takes_media = openai_responses_takes_media,
    .put_body = openai_responses_put_body,
    .open = responses_open,
    .close = responses_close,
    .record = responses_record,
    .body = responses_body,
    .finish = responses_finish,
};
