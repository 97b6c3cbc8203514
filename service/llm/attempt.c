#include "service/llm/attempt.h"

#include <stdlib.h>

#include "service/base/json.h"
#include "service/llm/stream.h"
#include "service/net/http_header.h"

enum {
    ERROR_BYTES_MAX = 1 << 20, /* More of an error's body is not read. */
};

enum framing {
    FRAMING_UNKNOWN, /* The first byte that is no blank will tell. */
    FRAMING_STREAM,
    FRAMING_BODY, /* One JSON text. */
    FRAMING_ERROR,
};

static const str byte_order_mark = {"\xef\xbb\xbf", 3};

struct attempt {
    const struct provider_row *row;
    str asked;
    bool hides_text;
    struct reply reply;
    void *codec; /* What row->codec remembers. */
    struct stream stream;
    enum framing framing;
    enum attempt_state state;
    struct diagnosis diagnosis;
    uint32_t http_status;
    uint64_t now_ms;
    struct buf headers;
    struct buf body;
    bool is_web_page;
    bool at_end; /* The body is over: a record that comes now was left unended. */
};

static bool take_record(void *context, str event, str data)
{
    struct attempt *attempt = (struct attempt *)context;
    if (attempt->at_end && !json_check(data) && !str_is(str_trim(data), "[DONE]")) {
        return false; /* It was cut: whether the reply is whole is seen without it. */
    }
    enum codec_result result =
        attempt->row->codec->record(attempt->codec, event, data, &attempt->diagnosis);
    assert(attempt->state == ATTEMPT_OPEN && data.len > 0);
    switch (result) {
    case CODEC_MORE:
        return true;
    case CODEC_ENDED:
        attempt->state = ATTEMPT_WHOLE;
        return false;
    case CODEC_FAILED:
        attempt->state = ATTEMPT_FAILED;
        return false;
    }
    return false;
}

struct attempt *attempt_new(const struct provider_row *row, str asked,
                            const struct reply_options *options)
{
    assert(row != NULL && row->codec != NULL);
    struct attempt *attempt = xcalloc(1, sizeof(*attempt));
    attempt->row = row;
    attempt->asked = asked;
    reply_init(&attempt->reply, options);
    attempt->codec = row->codec->open(row, &attempt->reply);
    stream_init(&attempt->stream, STREAM_EVENTS, 0, take_record, attempt);
    return attempt;
}

void attempt_free(struct attempt *attempt)
{
    if (attempt == NULL) {
        return;
    }
    attempt->row->codec->close(attempt->codec);
    stream_fini(&attempt->stream);
    reply_fini(&attempt->reply);
    diagnosis_fini(&attempt->diagnosis);
    buf_fini(&attempt->headers);
    buf_fini(&attempt->body);
    free(attempt);
}

void attempt_hide_text(struct attempt *attempt)
{
    attempt->hides_text = true;
}

void attempt_head(struct attempt *attempt, uint32_t http_status, str headers, uint64_t now_ms)
{
    assert(http_status > 0 && attempt->framing == FRAMING_UNKNOWN);
    attempt->http_status = http_status;
    attempt->now_ms = now_ms;
    buf_reset(&attempt->headers);
    buf_put(&attempt->headers, headers);
    attempt->is_web_page = http_content_type_is(headers, STR("text/html"));
    if (http_status < 200 || http_status >= 300) {
        attempt->framing = FRAMING_ERROR;
    } else if ((attempt->row->codec->streams_lines && !attempt->is_web_page) ||
               http_content_type_is(headers, STR("application/x-ndjson")) ||
               http_content_type_is(headers, STR("application/jsonl"))) {
        attempt->framing = FRAMING_STREAM;
        attempt->stream.framing = STREAM_LINES;
    }
}

static enum attempt_state fail(struct attempt *attempt, const char *reason, bool retryable,
                               const char *why)
{
    enum code code = retryable ? CODE_UNAVAILABLE : CODE_RESOURCE_EXHAUSTED;
    assert(attempt->state == ATTEMPT_OPEN && reason != NULL);
    diagnosis_set(&attempt->diagnosis, code, reason, retryable, "%s", why);
    attempt->state = ATTEMPT_FAILED;
    return attempt->state;
}

/* Without the mark of the byte order, in front of which nothing stands. */
static str skip_mark(str text)
{
    return str_starts_with(text, byte_order_mark)
               ? str_make(text.ptr + byte_order_mark.len, text.len - byte_order_mark.len)
               : text;
}

/* The mark may come in pieces; none of its bytes begins anything else. */
static enum framing sniff(str bytes)
{
    while (bytes.len > 0 &&
           memchr(byte_order_mark.ptr, bytes.ptr[0], byte_order_mark.len) != NULL) {
        bytes = str_make(bytes.ptr + 1, bytes.len - 1);
    }
    str text = str_trim(bytes);
    if (text.len == 0) {
        return FRAMING_UNKNOWN;
    }
    return text.ptr[0] == '{' || text.ptr[0] == '[' ? FRAMING_BODY : FRAMING_STREAM;
}

static enum attempt_state collect(struct attempt *attempt, str bytes)
{
    assert(attempt->framing != FRAMING_STREAM);
    if (attempt->framing == FRAMING_ERROR) {
        size_t room = ERROR_BYTES_MAX - attempt->body.len;
        buf_put(&attempt->body, str_make(bytes.ptr, bytes.len < room ? bytes.len : room));
        return ATTEMPT_OPEN;
    }
    assert(attempt->body.len <= REPLY_BYTES_MAX);
    if (bytes.len > REPLY_BYTES_MAX - attempt->body.len) {
        return fail(attempt, "REPLY_TOO_LARGE", false, "the reply is longer than 16 MiB");
    }
    buf_put(&attempt->body, bytes);
    return ATTEMPT_OPEN;
}

enum attempt_state attempt_bytes(struct attempt *attempt, str bytes)
{
    if (attempt->state != ATTEMPT_OPEN || bytes.len == 0) {
        return attempt->state;
    }
    if (attempt->framing == FRAMING_UNKNOWN) {
        attempt->framing = sniff(bytes);
    }
    if (attempt->framing != FRAMING_STREAM) {
        return collect(attempt, bytes);
    }
    /* Blanks that came before belong to it, as if they had come along. */
    status fed = stream_feed(&attempt->stream, buf_str(&attempt->body));
    buf_reset(&attempt->body);
    if (status_is_ok(fed)) {
        fed = stream_feed(&attempt->stream, bytes);
    }
    if (!status_is_ok(fed) && attempt->state == ATTEMPT_OPEN) {
        return fail(attempt, "REPLY_TOO_LARGE", false, fed.why);
    }
    return attempt->state;
}

static enum attempt_state take_result(struct attempt *attempt, enum codec_result result)
{
    assert(result != CODEC_MORE);
    attempt->state = result == CODEC_ENDED ? ATTEMPT_WHOLE : ATTEMPT_FAILED;
    assert(result != CODEC_FAILED || attempt->diagnosis.code != CODE_OK);
    return attempt->state;
}

static enum attempt_state end_stream(struct attempt *attempt, enum attempt_end end)
{
    const struct codec *codec = attempt->row->codec;
    if (end == ATTEMPT_END_CLEAN) {
        attempt->at_end = true;
        status finished = stream_finish(&attempt->stream);
        if (!status_is_ok(finished)) {
            return fail(attempt, "REPLY_TOO_LARGE", false, finished.why);
        }
        if (attempt->state != ATTEMPT_OPEN) {
            return attempt->state;
        }
    }
    take_result(attempt, codec->finish(attempt->codec, &attempt->diagnosis));
    if (attempt->state == ATTEMPT_FAILED && end == ATTEMPT_END_BROKEN) {
        diagnosis_clear(&attempt->diagnosis);
    }
    return attempt->state;
}

/* Whether JSON text ends inside a string or a container. */
static bool is_cut(str json)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char byte = json.ptr[i];
        if (in_string && byte == '\\') {
            i++;
        } else if (byte == '"') {
            in_string = !in_string;
        } else if (!in_string && (byte == '{' || byte == '[')) {
            depth++;
        } else if (!in_string && (byte == '}' || byte == ']')) {
            depth -= depth > 0 ? 1 : 0;
        }
    }
    return in_string || depth > 0;
}

enum attempt_state attempt_end(struct attempt *attempt, enum attempt_end end)
{
    if (attempt->state != ATTEMPT_OPEN) {
        return attempt->state;
    }
    if (attempt->framing == FRAMING_ERROR) {
        struct http_answer answer = {
            .asked = attempt->asked,
            .http_status = attempt->http_status,
            .headers = buf_str(&attempt->headers),
            .body = skip_mark(buf_str(&attempt->body)),
            .instead = attempt->row->codec->instead,
        };
        diagnosis_from_http(&attempt->diagnosis, &answer, attempt->now_ms);
        attempt->state = ATTEMPT_FAILED;
        return attempt->state;
    }
    if (end == ATTEMPT_END_CLEAN && attempt->is_web_page) {
        diagnosis_set(&attempt->diagnosis, CODE_FAILED_PRECONDITION, "NOT_A_MODEL", false,
                      STR_FMT
                      " answered with a web page; check the base URL, which often ends in /v1",
                      STR_ARG(attempt->asked));
        attempt->state = ATTEMPT_FAILED;
        return attempt->state;
    }
    if (attempt->framing != FRAMING_BODY) {
        return end_stream(attempt, end);
    }
    if (end == ATTEMPT_END_BROKEN) {
        attempt->state = ATTEMPT_FAILED;
        return attempt->state;
    }
    str body = skip_mark(buf_str(&attempt->body));
    if (is_cut(body)) {
        return fail(attempt, "MODEL_INCOMPLETE", true, "the reply ended before it was whole");
    }
    return take_result(attempt,
                       attempt->row->codec->body(attempt->codec, body, &attempt->diagnosis));
}

size_t attempt_size(const struct attempt *attempt)
{
    return attempt->reply.bytes + attempt->reply.block_count + attempt->body.len;
}

bool attempt_has_shown(const struct attempt *attempt)
{
    return attempt->reply.shown;
}

void attempt_reply(struct attempt *attempt, struct arena *arena, struct model_reply *ret)
{
    assert(attempt->state == ATTEMPT_WHOLE);
    reply_finish(&attempt->reply, arena, ret);
}

static void hide_text(struct attempt *attempt)
{
    struct diagnosis *diagnosis = &attempt->diagnosis;
    buf_reset(&diagnosis->message);
    buf_printf(&diagnosis->message,
               STR_FMT " answered HTTP %u; what it said is not shown, since it is an inner address",
               STR_ARG(attempt->asked), (unsigned)attempt->http_status);
}

struct diagnosis *attempt_diagnosis(struct attempt *attempt)
{
    assert(attempt->state == ATTEMPT_FAILED);
    if (attempt->diagnosis.http_status == 0) {
        attempt->diagnosis.http_status = attempt->http_status;
    }
    if (attempt->hides_text && attempt->diagnosis.code != CODE_OK) {
        hide_text(attempt);
    }
    return &attempt->diagnosis;
}
