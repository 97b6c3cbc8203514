#include "service/llm/gemini.h"

#include <stdlib.h>

#include "service/base/json.h"
#include "service/base/json_writer.h"

enum {
    NO_BLOCK = -1,
};

struct gemini {
    struct reply *reply;
    ssize_t open; /* The text or reasoning block that unsigned pieces go on in; or NO_BLOCK. */
    ssize_t call; /* The call whose arguments come in pieces; or NO_BLOCK. */
    struct buf signature; /* Of its first part, raw; empty: it has none. */
    struct buf members; /* Its finished arguments, with commas between. */
    struct buf path; /* The argument that is open; empty: none is. */
    struct buf inside; /* What its strings hold, joined. */
    size_t bytes; /* Of the raw parts. */
    bool begun;
    bool finished; /* A finish reason came. */
    bool nested; /* Pieces of arguments came that are not flat. */
    status fault; /* The first limit that was hit. */
};

static const struct {
    const char *word;
    enum model_stop stop;
} stops[] = {
    {"STOP", MODEL_STOP_END},
    {"MAX_TOKENS", MODEL_STOP_MAX_TOKENS},
    {"SAFETY", MODEL_STOP_CONTENT_FILTER},
    {"RECITATION", MODEL_STOP_CONTENT_FILTER},
    {"LANGUAGE", MODEL_STOP_CONTENT_FILTER},
    {"BLOCKLIST", MODEL_STOP_CONTENT_FILTER},
    {"PROHIBITED_CONTENT", MODEL_STOP_CONTENT_FILTER},
    {"SPII", MODEL_STOP_CONTENT_FILTER},
    {"IMAGE_SAFETY", MODEL_STOP_CONTENT_FILTER},
};

/* Ends that leave nothing to go on with. */
static const char *const broken_calls[] = {
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
};

static void *gemini_open(const struct provider_row *row, struct reply *reply)
{
    struct gemini *self = xcalloc(1, sizeof(*self));
    (void)row;
    assert(reply != NULL && reply->block_count == 0);
    self->reply = reply;
    self->open = NO_BLOCK;
    self->call = NO_BLOCK;
    return self;
}

static void gemini_close(void *self)
{
    struct gemini *gemini = (struct gemini *)self;
    if (gemini != NULL) {
        buf_fini(&gemini->signature);
        buf_fini(&gemini->members);
        buf_fini(&gemini->path);
        buf_fini(&gemini->inside);
        free(gemini);
    }
}

/* False: there is no room for one more. */
static bool open_block(struct gemini *self, enum model_block_kind kind, size_t *ret)
{
    status outcome = reply_open(self->reply, kind, ret);
    assert(!status_is_ok(outcome) || *ret + 1 == self->reply->block_count);
    codec_note(&self->fault, outcome);
    return status_is_ok(outcome);
}

static void keep(struct gemini *self, size_t block, str part)
{
    struct buf *raw = &self->reply->blocks[block].raw;
    assert(raw->len == 0 && self->bytes <= REPLY_BYTES_MAX);
    if (part.len > REPLY_BYTES_MAX - self->bytes) {
        codec_note(&self->fault,
                   status_make(CODE_RESOURCE_EXHAUSTED, "the reply is longer than 16 MiB"));
        return;
    }
    self->bytes += part.len;
    buf_put(raw, part);
}

static bool is_signed(str part)
{
    str signature;
    return codec_string(part, "thoughtSignature", &signature) && signature.len > 2;
}

static bool is_thought(str part)
{
    bool thought = false;
    str value;
    return json_object_get(part, STR("thought"), &value) && json_to_bool(value, &thought) &&
           thought;
}

static void take_text(struct gemini *self, str part, str raw)
{
    enum model_block_kind kind = is_thought(part) ? MODEL_BLOCK_REASONING : MODEL_BLOCK_TEXT;
    bool alone = is_signed(part);
    bool goes_on = !alone && self->open != NO_BLOCK && self->reply->blocks[self->open].kind == kind;
    size_t block = (size_t)self->open;
    assert(json_kind_of(raw) == JSON_STRING && raw.len >= 2);
    if (!alone && raw.len <= 2) {
        return;
    }
    if (!goes_on && !open_block(self, kind, &block)) {
        return;
    }
    assert(self->reply->blocks[block].kind == kind);
    self->open = alone ? NO_BLOCK : (ssize_t)block;
    codec_note(&self->fault, reply_append_string(self->reply, block, raw));
    if (alone) {
        keep(self, block, part);
    }
}

/* "$.name" is a member of the arguments themselves; what lies deeper is not read. */
static bool flat_name(const struct buf *path, str *ret)
{
    if (path->len < 3 || memcmp(path->ptr, "$.", 2) != 0) {
        return false;
    }
    *ret = str_make(path->ptr + 2, path->len - 2);
    return memchr(ret->ptr, '.', ret->len) == NULL && memchr(ret->ptr, '[', ret->len) == NULL;
}

static void put_argument(struct gemini *self, str raw)
{
    str name;
    assert(self->call != NO_BLOCK && raw.len > 0);
    if (!flat_name(&self->path, &name)) {
        self->nested = true;
        return;
    }
    if (self->members.len + raw.len > REPLY_BYTES_MAX) {
        codec_note(&self->fault,
                   status_make(CODE_RESOURCE_EXHAUSTED, "the reply is longer than 16 MiB"));
        return;
    }
    buf_put(&self->members, self->members.len == 0 ? STR_EMPTY : STR(","));
    buf_put_json_string(&self->members, name);
    buf_put_char(&self->members, ':');
    buf_put(&self->members, raw);
}

static void end_argument(struct gemini *self)
{
    struct buf raw = {0};
    if (self->path.len == 0) {
        return;
    }
    buf_put_char(&raw, '"');
    buf_put(&raw, buf_str(&self->inside));
    buf_put_char(&raw, '"');
    put_argument(self, buf_str(&raw));
    buf_fini(&raw);
    buf_reset(&self->path);
    buf_reset(&self->inside);
}

/* {"jsonPath", "stringValue" | "numberValue" | "boolValue" | "nullValue", "willContinue"} */
static void take_piece(struct gemini *self, str piece)
{
    static const char *const plain[] = {"numberValue", "boolValue", "nullValue"};
    struct buf path = {0};
    str raw;
    assert(self->call != NO_BLOCK);
    codec_take_name(&path, piece, "jsonPath");
    if (!str_equal(buf_str(&path), buf_str(&self->path))) {
        end_argument(self);
        buf_put(&self->path, buf_str(&path));
    }
    buf_fini(&path);
    if (codec_string(piece, "stringValue", &raw)) {
        if (raw.len > REPLY_BYTES_MAX - self->inside.len) {
            codec_note(&self->fault,
                       status_make(CODE_RESOURCE_EXHAUSTED, "the reply is longer than 16 MiB"));
            return;
        }
        buf_put(&self->inside, str_make(raw.ptr + 1, raw.len - 2));
        return;
    }
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        if (json_object_get(piece, str_of(plain[i]), &raw)) {
            put_argument(self, i == 2 ? STR("null") : raw);
            buf_reset(&self->path);
        }
    }
}

/* A signed call that came in pieces goes back as the part it would have been. */
static void keep_pieces(struct gemini *self)
{
    struct reply_block *block = &self->reply->blocks[self->call];
    struct buf arguments = {0};
    struct buf part = {0};
    struct json_writer writer = json_writer_of(&part);
    if (self->signature.len == 0) {
        return;
    }
    buf_printf(&arguments, "{" STR_FMT "}", STR_ARG(buf_str(&self->members)));
    json_begin_object(&writer, NULL);
    json_begin_object(&writer, "functionCall");
    if (block->call_id.len > 0) {
        json_put_string(&writer, "id", buf_str(&block->call_id));
    }
    json_put_string(&writer, "name", buf_str(&block->name));
    json_put_raw(&writer, "args", buf_str(&arguments));
    json_end_object(&writer);
    json_put_raw(&writer, "thoughtSignature", buf_str(&self->signature));
    json_end_object(&writer);
    keep(self, (size_t)self->call, buf_str(&part));
    buf_fini(&part);
    buf_fini(&arguments);
}

static void end_call(struct gemini *self)
{
    if (self->call == NO_BLOCK) {
        return;
    }
    assert(self->reply->blocks[self->call].kind == MODEL_BLOCK_TOOL_CALL);
    end_argument(self);
    if (self->members.len > 0) {
        struct buf arguments = {0};
        buf_printf(&arguments, "{" STR_FMT "}", STR_ARG(buf_str(&self->members)));
        codec_note(&self->fault,
                   reply_append(self->reply, (size_t)self->call, buf_str(&arguments)));
        buf_fini(&arguments);
    }
    assert(self->path.len == 0);
    keep_pieces(self);
    buf_reset(&self->members);
    buf_reset(&self->signature);
    self->call = NO_BLOCK;
}

static bool will_continue(str call)
{
    bool more = false;
    str value;
    return json_object_get(call, STR("willContinue"), &value) && json_to_bool(value, &more) && more;
}

static void begin_call(struct gemini *self, str part, str call)
{
    size_t block;
    str arguments;
    end_call(self);
    if (!open_block(self, MODEL_BLOCK_TOOL_CALL, &block)) {
        return;
    }
    assert(self->call == NO_BLOCK && self->members.len == 0);
    struct reply_block *opened = &self->reply->blocks[block];
    self->open = NO_BLOCK;
    codec_take_name(&opened->call_id, call, "id");
    codec_take_name(&opened->name, call, "name");
    if (json_object_get_kind(call, STR("args"), JSON_OBJECT, &arguments)) {
        codec_note(&self->fault, reply_append(self->reply, block, arguments));
    }
    if (will_continue(call)) {
        self->call = (ssize_t)block;
        if (is_signed(part) && codec_string(part, "thoughtSignature", &arguments)) {
            buf_put(&self->signature, arguments);
        }
    } else {
        keep(self, block, part);
    }
}

/* Whole in one part; or named in one, with its arguments in others, and ended by an empty one. */
static void take_call(struct gemini *self, str part, str call)
{
    str list = STR_EMPTY;
    str name;
    str piece;
    assert(json_kind_of(call) == JSON_OBJECT);
    if (codec_string(call, "name", &name) && name.len > 2) {
        begin_call(self, part, call);
        return;
    }
    if (self->call == NO_BLOCK) {
        return;
    }
    (void)json_object_get(call, STR("partialArgs"), &list);
    struct json_iterator pieces = json_elements(list);
    while (json_next_element(&pieces, &piece)) {
        take_piece(self, piece);
    }
    if (!will_continue(call)) {
        end_call(self);
    }
}

static void take_part(struct gemini *self, str part)
{
    size_t block;
    str value;
    assert(json_kind_of(part) == JSON_OBJECT);
    if (json_object_get_kind(part, STR("functionCall"), JSON_OBJECT, &value)) {
        take_call(self, part, value);
    } else if (codec_string(part, "text", &value)) {
        take_text(self, part, value);
    } else if (open_block(self, MODEL_BLOCK_OPAQUE, &block)) {
        self->open = NO_BLOCK; /* Code that ran, its result, what is not known yet. */
        keep(self, block, part);
    }
}

static void take_parts(struct gemini *self, str content)
{
    str list = STR_EMPTY;
    str part;
    (void)json_object_get(content, STR("parts"), &list);
    struct json_iterator parts = json_elements(list);
    while (json_next_element(&parts, &part)) {
        if (json_kind_of(part) == JSON_OBJECT) {
            take_part(self, part);
        }
    }
}

/* A word; a number where somebody asked for numbers. */
static void take_finish(struct gemini *self, str raw)
{
    static const char *const numbers[] = {
        "",      "STOP",      "MAX_TOKENS",         "SAFETY", "RECITATION",
        "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",   "MALFORMED_FUNCTION_CALL"};
    struct reply *reply = self->reply;
    uint64_t number;
    if (json_kind_of(raw) != JSON_STRING && json_kind_of(raw) != JSON_NUMBER) {
        return;
    }
    self->finished = true;
    buf_reset(&reply->stop_raw);
    if (json_to_u64(raw, &number) && number < COUNT_OF(numbers)) {
        buf_put(&reply->stop_raw, str_of(numbers[number]));
    } else {
        (void)json_string_decode(raw, &reply->stop_raw);
    }
    reply->stop = MODEL_STOP_OTHER;
    for (size_t i = 0; i < COUNT_OF(stops); i++) {
        if (str_is(buf_str(&reply->stop_raw), stops[i].word)) {
            reply->stop = stops[i].stop;
        }
    }
}

static uint64_t number_at(str object, const char *name)
{
    uint64_t number = 0;
    str value;
    assert(name != NULL);
    return json_object_get(object, str_of(name), &value) && json_to_u64(value, &number) ? number
                                                                                        : 0;
}

static void take_usage(struct reply *reply, str usage)
{
    uint64_t thoughts = number_at(usage, "thoughtsTokenCount");
    str value;
    if (!json_object_get(usage, STR("promptTokenCount"), &value)) {
        return; /* The first ones only name the kind of traffic. */
    }
    reply->usage = (struct model_usage){
        .input = number_at(usage, "promptTokenCount") + number_at(usage, "toolUsePromptTokenCount"),
        .output = number_at(usage, "candidatesTokenCount") + thoughts,
        .cache_read = number_at(usage, "cachedContentTokenCount"),
        .reasoning = thoughts,
        .known = true,
    };
}

static void take_candidates(struct gemini *self, str candidates)
{
    struct json_iterator elements = json_elements(candidates);
    str candidate;
    str value;
    while (json_next_element(&elements, &candidate)) {
        if (number_at(candidate, "index") > 0) {
            continue; /* One answer is what a run can use. */
        }
        self->begun = true;
        if (json_object_get(candidate, STR("content"), &value)) {
            take_parts(self, value);
        }
        if (json_object_get(candidate, STR("finishReason"), &value)) {
            take_finish(self, value);
        }
    }
}

/* A prompt that was blocked has no candidates. */
static bool is_blocked(const struct gemini *self, str chunk, struct diagnosis *diagnosis)
{
    struct buf reason = {0};
    str feedback;
    assert(diagnosis->code == CODE_OK);
    if (self->begun || !json_object_get(chunk, STR("promptFeedback"), &feedback)) {
        return false;
    }
    codec_take_name(&reason, feedback, "blockReason");
    bool blocked = reason.len > 0;
    if (blocked) {
        diagnosis_set(diagnosis, CODE_FAILED_PRECONDITION, "CONTENT_FILTERED", false,
                      "the provider blocked the prompt: " STR_FMT, STR_ARG(buf_str(&reason)));
    }
    buf_fini(&reason);
    return blocked;
}

static enum codec_result take_chunk(struct gemini *self, str chunk, struct diagnosis *diagnosis)
{
    struct reply *reply = self->reply;
    str value;
    assert(diagnosis->code == CODE_OK);
    if (json_object_get(chunk, STR("error"), &value) && json_kind_of(value) != JSON_NULL) {
        diagnosis_from_error(diagnosis, value);
        return CODEC_FAILED;
    }
    codec_take_name(&reply->response_id, chunk, "responseId");
    codec_take_name(&reply->model, chunk, "modelVersion");
    if (json_object_get(chunk, STR("candidates"), &value)) {
        take_candidates(self, value);
    }
    if (json_object_get(chunk, STR("usageMetadata"), &value)) {
        take_usage(reply, value);
    }
    if (is_blocked(self, chunk, diagnosis)) {
        return CODEC_FAILED;
    }
    if (!status_is_ok(self->fault)) {
        diagnosis_set(diagnosis, CODE_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", false, "%s",
                      self->fault.why);
        return CODEC_FAILED;
    }
    return CODEC_MORE;
}

static enum codec_result fail_garbled(struct diagnosis *diagnosis)
{
    assert(diagnosis->code == CODE_OK);
    diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_GARBLED", true,
                  "the server sent something that is no JSON object in place of a reply");
    return CODEC_FAILED;
}

static enum codec_result gemini_record(void *self, str event, str data, struct diagnosis *diagnosis)
{
    (void)event;
    data = str_trim(data);
    if (data.len == 0 || str_is(data, "[DONE]")) {
        return CODEC_MORE;
    }
    if (json_kind_of(data) != JSON_OBJECT || !json_check(data)) {
        return fail_garbled(diagnosis);
    }
    return take_chunk((struct gemini *)self, data, diagnosis);
}

static bool is_broken_call(const struct reply *reply)
{
    for (size_t i = 0; i < COUNT_OF(broken_calls); i++) {
        if (str_is(buf_str(&reply->stop_raw), broken_calls[i])) {
            return true;
        }
    }
    return false;
}

static enum codec_result gemini_finish(void *self, struct diagnosis *diagnosis)
{
    struct gemini *gemini = (struct gemini *)self;
    struct reply *reply = gemini->reply;
    end_call(gemini);
    assert(gemini->call == NO_BLOCK);
    if (!gemini->finished) {
        diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_INCOMPLETE", true, "%s",
                      gemini->begun ? "the reply ended before it was whole"
                                    : "the answer was empty");
        return CODEC_FAILED;
    }
    if (gemini->nested) {
        diagnosis_set(diagnosis, CODE_FAILED_PRECONDITION, "TOOL_USE_FAILED", false,
                      "arguments in pieces that are not flat are not read: leave "
                      "streamFunctionCallArguments away");
        return CODEC_FAILED;
    }
    if (is_broken_call(reply) && !reply_has_call(reply)) {
        diagnosis_set(diagnosis, CODE_FAILED_PRECONDITION, "TOOL_USE_FAILED", false,
                      "the provider could not read the model's tool call: " STR_FMT,
                      STR_ARG(buf_str(&reply->stop_raw)));
        return CODEC_FAILED;
    }
    if (reply->stop != MODEL_STOP_MAX_TOKENS && reply->stop != MODEL_STOP_CONTENT_FILTER &&
        reply_has_call(reply)) {
        reply->stop = MODEL_STOP_TOOL_USE;
    }
    return CODEC_ENDED;
}

/* One chunk, or an array of what would have been streamed. */
static enum codec_result gemini_body(void *self, str json, struct diagnosis *diagnosis)
{
    str text = str_trim(json);
    struct json_iterator chunks = json_elements(text);
    str chunk;
    if (!json_check(text)) {
        return fail_garbled(diagnosis);
    }
    if (json_kind_of(text) == JSON_OBJECT) {
        return take_chunk((struct gemini *)self, text, diagnosis) == CODEC_FAILED
                   ? CODEC_FAILED
                   : gemini_finish(self, diagnosis);
    }
    while (json_next_element(&chunks, &chunk)) {
        if (json_kind_of(chunk) != JSON_OBJECT) {
            return fail_garbled(diagnosis);
        }
        if (take_chunk((struct gemini *)self, chunk, diagnosis) == CODEC_FAILED) {
            return CODEC_FAILED;
        }
    }
    return gemini_finish(self, diagnosis);
}

const struct codec gemini_codec = {
    .name = "gemini",
    .media = "whatever has a media_type",
    .takes_media = gemini_takes_media,
    .put_body = gemini_put_body,
    .open = gemini_open,
    .close = gemini_close,
    .record = gemini_record,
    .body = gemini_body,
    .finish = gemini_finish,
};
