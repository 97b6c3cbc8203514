#include "service/llm/ollama.h"

#include <stdlib.h>

#include "service/base/json.h"

enum {
    NO_BLOCK = -1,
};

struct ollama {
    struct reply *reply;
    ssize_t text_block; /* NO_BLOCK until the first piece, as the next. */
    ssize_t thinking_block;
    bool begun;
    bool done;
    status fault; /* The first limit that was hit. */
};

static void *ollama_open(const struct provider_row *row, struct reply *reply)
{
    struct ollama *self = xcalloc(1, sizeof(*self));
    (void)row;
    assert(reply != NULL && reply->block_count == 0);
    self->reply = reply;
    self->text_block = NO_BLOCK;
    self->thinking_block = NO_BLOCK;
    return self;
}

static void ollama_close(void *self)
{
    free(self);
}

static void append(struct ollama *self, enum model_block_kind kind, ssize_t *block, str raw)
{
    size_t opened;
    if (raw.len <= 2) {
        return;
    }
    if (*block == NO_BLOCK) {
        status outcome = reply_open(self->reply, kind, &opened);
        if (!status_is_ok(outcome)) {
            codec_note(&self->fault, outcome);
            return;
        }
        *block = (ssize_t)opened;
    }
    assert(self->reply->blocks[*block].kind == kind);
    codec_note(&self->fault, reply_append_string(self->reply, (size_t)*block, raw));
}

static void take_call(struct ollama *self, str call)
{
    size_t block;
    str function;
    str arguments;
    status outcome = reply_open(self->reply, MODEL_BLOCK_TOOL_CALL, &block);
    if (!status_is_ok(outcome)) {
        codec_note(&self->fault, outcome);
        return;
    }
    struct reply_block *opened = &self->reply->blocks[block];
    assert(opened->kind == MODEL_BLOCK_TOOL_CALL && opened->text.len == 0);
    codec_take_name(&opened->call_id, call, "id");
    if (!json_object_get(call, STR("function"), &function)) {
        return;
    }
    codec_take_name(&opened->name, function, "name");
    if (json_object_get_kind(function, STR("arguments"), JSON_OBJECT, &arguments)) {
        codec_note(&self->fault, reply_append(self->reply, block, arguments));
    } else if (codec_string(function, "arguments", &arguments)) {
        codec_note(&self->fault, reply_append_string(self->reply, block, arguments));
    }
}

static void take_message(struct ollama *self, str message)
{
    str calls = STR_EMPTY;
    str call;
    str raw;
    if (codec_string(message, "thinking", &raw)) {
        append(self, MODEL_BLOCK_REASONING, &self->thinking_block, raw);
    }
    if (codec_string(message, "content", &raw)) {
        append(self, MODEL_BLOCK_TEXT, &self->text_block, raw);
    }
    (void)json_object_get(message, STR("tool_calls"), &calls);
    struct json_iterator elements = json_elements(calls);
    while (json_next_element(&elements, &call)) {
        if (json_kind_of(call) == JSON_OBJECT) {
            take_call(self, call);
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

static bool is_true(str object, const char *name)
{
    bool fact = false;
    str value;
    return json_object_get(object, str_of(name), &value) && json_to_bool(value, &fact) && fact;
}

/* The line that says done: why, and what it cost. */
static void take_end(struct ollama *self, str line)
{
    struct reply *reply = self->reply;
    self->done = true;
    assert(reply->stop_raw.len == 0);
    codec_take_name(&reply->stop_raw, line, "done_reason");
    if (str_is(buf_str(&reply->stop_raw), "length")) {
        reply->stop = MODEL_STOP_MAX_TOKENS;
    } else {
        reply->stop = reply_has_call(reply) ? MODEL_STOP_TOOL_USE : MODEL_STOP_END;
    }
    /* A prompt that was cached whole is not counted. */
    reply->usage = (struct model_usage){
        .input = number_at(line, "prompt_eval_count"),
        .output = number_at(line, "eval_count"),
        .known = number_at(line, "eval_count") > 0,
    };
}

static enum codec_result ollama_finish(void *self, struct diagnosis *diagnosis)
{
    const struct ollama *ollama = (const struct ollama *)self;
    assert(diagnosis->code == CODE_OK);
    if (ollama->done) {
        return CODEC_ENDED;
    }
    diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_INCOMPLETE", true, "%s",
                  ollama->begun ? "the reply ended before it was whole" : "the answer was empty");
    return CODEC_FAILED;
}

/* A line, or a whole reply, which is the only one. */
static enum codec_result take_line(struct ollama *self, str line, struct diagnosis *diagnosis)
{
    str value;
    if (json_kind_of(line) != JSON_OBJECT || !json_check(line)) {
        diagnosis_set(diagnosis, CODE_UNAVAILABLE, "MODEL_GARBLED", true,
                      "the server sent something that is no JSON object in place of a reply");
        return CODEC_FAILED;
    }
    if (json_object_get(line, STR("error"), &value) && json_kind_of(value) != JSON_NULL) {
        diagnosis_from_error(diagnosis, value);
        return CODEC_FAILED;
    }
    codec_take_name(&self->reply->model, line, "model");
    if (json_object_get_kind(line, STR("message"), JSON_OBJECT, &value)) {
        self->begun = true;
        take_message(self, value);
    } else if (codec_string(line, "response", &value)) { /* Of /api/generate. */
        self->begun = true;
        append(self, MODEL_BLOCK_TEXT, &self->text_block, value);
    }
    if (is_true(line, "done")) {
        take_end(self, line);
    }
    if (!status_is_ok(self->fault)) {
        diagnosis_set(diagnosis, CODE_RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE", false, "%s",
                      self->fault.why);
        return CODEC_FAILED;
    }
    return self->done ? CODEC_ENDED : CODEC_MORE;
}

static enum codec_result ollama_record(void *self, str event, str data, struct diagnosis *diagnosis)
{
    (void)event;
    return take_line((struct ollama *)self, data, diagnosis);
}

static enum codec_result ollama_body(void *self, str json, struct diagnosis *diagnosis)
{
    enum codec_result result = take_line((struct ollama *)self, str_trim(json), diagnosis);
    return result == CODEC_MORE ? ollama_finish(self, diagnosis) : result;
}

const struct codec ollama_codec = {
    .name = "ollama",
    .streams_lines = true,
    .media = "images by their bytes",
    .takes_media = ollama_takes_media,
    .put_body = ollama_put_body,
    .open = ollama_open,
    .close = ollama_close,
    .record = ollama_record,
    .body = ollama_body,
    .finish = ollama_finish,
};
