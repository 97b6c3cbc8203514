/*
 * Goal:   what a server answers is told apart (a stream, one JSON text, an error, a web page, a
 * cut), and every dialect keeps the same limits and names the same faults. Method: responses put
 * together by hand, for one dialect or for each; the outcome as one line, however the bytes are
 * cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/llm/reply.h"
#include "tests/unit/llm/shapes.h"

#define MARK "\xef\xbb\xbf" /* Of the byte order. */
#define GARBLED                                                                                    \
    "failed:UNAVAILABLE/MODEL_GARBLED/again the server sent something that is no JSON object in "  \
    "place of a reply"
#define CUT "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the reply ended before it was whole"
#define TOO_LONG                                                                                   \
    "failed:RESOURCE_EXHAUSTED/REPLY_TOO_LARGE/never/shown the reply is longer than 16 MiB"
#define TOO_MANY                                                                                   \
    "failed:RESOURCE_EXHAUSTED/REPLY_TOO_LARGE/never the reply has more than 1024 blocks"

/* One reply in each dialect: "a", whose names are i and m, and 9 tokens in and 4 out. */
struct dialect {
    const char *provider;
    const char *start; /* The first record, of those that begin with one. */
    const char *opening; /* The record that opens a text. */
    const char *reply; /* As one JSON text. */
    const char *text; /* A record that says "a". */
    const char *call; /* A record that calls f; `#` stands for a number. */
};

#define CHAT_DELTA(members) "{\"choices\":[{\"delta\":{" members "}}]}"

static const struct dialect dialects[] = {
    {"openai_chat", NULL, NULL,
     "{\"id\":\"i\",\"model\":\"m\",\"choices\":[{\"message\":{\"content\":\"a\"},"
     "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}",
     CHAT_DELTA("\"content\":\"a\""),
     CHAT_DELTA("\"tool_calls\":[{\"index\":#,\"function\":{\"name\":\"f\"}}]")},
    {"openai", "{\"type\":\"response.created\",\"response\":{}}",
     "{\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":"
     "\"message\"}}",
     "{\"id\":\"i\",\"model\":\"m\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{"
     "\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\"}]}],\"usage\":{"
     "\"input_tokens\":9,\"output_tokens\":4}}",
     "{\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"a\"}",
     "{\"type\":\"response.output_item.added\",\"output_index\":#,\"item\":{\"type\":"
     "\"function_call\",\"name\":\"f\"}}"},
    {"anthropic", "{\"type\":\"message_start\",\"message\":{}}",
     "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
     "\"text\":\"\"}}",
     "{\"id\":\"i\",\"model\":\"m\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}],"
     "\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":9,\"output_tokens\":4}}",
     "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
     "\"a\"}}",
     "{\"type\":\"content_block_start\",\"index\":#,\"content_block\":{\"type\":\"tool_use\","
     "\"name\":\"f\"}}"},
    {"gemini", NULL, NULL,
     "{\"responseId\":\"i\",\"modelVersion\":\"m\",\"candidates\":[{\"content\":{\"parts\":[{"
     "\"text\":\"a\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":9,"
     "\"candidatesTokenCount\":4}}",
     "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}",
     "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f#\"}}]}}]}"},
    {"ollama_native", NULL, NULL,
     "{\"model\":\"m\",\"message\":{\"content\":\"a\"},\"done\":true,\"done_reason\":\"stop\","
     "\"prompt_eval_count\":9,\"eval_count\":4}",
     "{\"message\":{\"content\":\"a\"}}",
     "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f#\"}}]}}"},
};

static bool is_lines(const char *provider)
{
    return strcmp(provider, "ollama_native") == 0;
}

static void put_record(struct buf *ret, const char *provider, const char *record)
{
    if (record == NULL) {
        return;
    }
    buf_printf(ret, is_lines(provider) ? "%s\n" : "data: %s\n\n", record);
}

struct answer {
    uint32_t http_status;
    const char *headers;
    str body;
    enum attempt_end end;
};

static bool begins_with(str line, const char *expected)
{
    size_t len = strlen(expected);
    bool is_start = len > 0 && expected[len - 1] == '~'; /* The rest is not looked at. */
    return is_start ? str_starts_with(line, str_make(expected, len - 1)) : str_is(line, expected);
}

static void check_once(const char *provider, const struct answer *answer, cut_fn *cut,
                       const char *expected)
{
    uint64_t seed = 3;
    struct outcome outcome;
    struct response response = {
        .row = provider_find(str_of(provider)),
        .http_status = answer->http_status == 0 ? 200 : answer->http_status,
        .headers = str_of(answer->headers == NULL ? "" : answer->headers),
        .body = answer->body,
        .end = answer->end,
    };
    outcome_read(&outcome, &response, cut, &seed);
    str line = outcome_line(&outcome);
    if (!begins_with(line, expected)) {
        fail_msg("%s:\n     got " STR_FMT "\nexpected %s", provider, STR_ARG(line), expected);
    }
    outcome_fini(&outcome);
}

static void check(const char *provider, const struct answer *answer, const char *expected)
{
    check_once(provider, answer, cut_nowhere, expected);
    if (answer->body.len < 4096) {
        check_once(provider, answer, cut_everywhere, expected);
        check_once(provider, answer, cut_by_seed, expected);
    }
}

static void check_body(const char *provider, const char *body, const char *expected)
{
    check(provider, &(struct answer){.body = str_of(body)}, expected);
}

static void check_records(const char *provider, const char *const *records, const char *expected)
{
    struct buf body = {0};
    for (; *records != NULL; records++) {
        put_record(&body, provider, *records);
    }
    check(provider, &(struct answer){.body = buf_str(&body)}, expected);
    buf_fini(&body);
}

/* ---- Each dialect ---- */

static void a_reply_has_its_names_and_its_count(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        struct outcome outcome;
        struct response response = {.row = provider_find(str_of(dialects[i].provider)),
                                    .http_status = 200,
                                    .headers = STR_EMPTY,
                                    .body = str_of(dialects[i].reply)};
        outcome_read(&outcome, &response, cut_nowhere, NULL);
        assert_int_equal(outcome.state, ATTEMPT_WHOLE);
        assert_true(str_is(outcome.reply.model, "m"));
        if (!is_lines(dialects[i].provider)) { /* Ollama gives its replies no id. */
            assert_true(str_is(outcome.reply.response_id, "i"));
        }
        assert_true(str_is(outcome_text(&outcome, MODEL_BLOCK_TEXT), "a"));
        assert_true(outcome.reply.usage.known);
        assert_int_equal(outcome.reply.usage.input, 9);
        assert_int_equal(outcome.reply.usage.output, 4);
        assert_int_equal(outcome.reply.stop, MODEL_STOP_END);
        outcome_fini(&outcome);
    }
}

/* Blanks before it, a mark of the byte order, blanks behind: a JSON text all the same. */
static void a_body_may_have_blanks_and_a_mark(void **state)
{
    (void)state;
    static const char *const around[][2] = {
        {"", "\r\n"}, {" \r\n\t", " "}, {MARK, ""}, {MARK "\n ", "\n"}};
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        struct buf body = {0};
        for (size_t j = 0; j < COUNT_OF(around); j++) {
            buf_reset(&body);
            buf_printf(&body, "%s%s%s", around[j][0], dialects[i].reply, around[j][1]);
            check(dialects[i].provider, &(struct answer){.body = buf_str(&body)}, "text(a)~");
        }
        buf_fini(&body);
    }
}

static void what_is_no_reply_is_garbled(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        const char *provider = dialects[i].provider;
        check_records(provider, (const char *const[]){"nonsense", NULL}, GARBLED);
        check_records(provider, (const char *const[]){"[1]", NULL}, GARBLED);
        check_records(provider, (const char *const[]){"{\"a\":1", "x", NULL}, GARBLED);
        check_records(provider, (const char *const[]){"{\"a\":01}", "x", NULL}, GARBLED);
        if (!is_lines(provider)) {
            check_body(provider, "[1]", GARBLED);
            check_body(provider, "{\"a\":01}", GARBLED);
            check_body(provider, "{\"a\":1", CUT);
            check_body(provider, "[{\"a\":\"}]\"", CUT);
            check_body(provider, "{\"a\":\"\\\"}", CUT);
        }
    }
}

static void an_error_in_place_of_a_reply_is_told(void **state)
{
    (void)state;
    static const char error[] = "{\"error\":{\"message\":\"busy\",\"code\":503}}";
    static const char expected[] = "failed:UNAVAILABLE/MODEL_OVERLOADED/again busy";
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        check_body(dialects[i].provider, error, expected);
        check_records(dialects[i].provider, (const char *const[]){error, NULL}, expected);
    }
}

/* Gateways end each stream with it, and send empty data. */
static void an_end_mark_of_another_dialect_means_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        const char *provider = dialects[i].provider;
        if (strcmp(provider, "openai_chat") == 0 || is_lines(provider)) {
            continue; /* It is its own, or no line of JSON. */
        }
        check_records(provider, (const char *const[]){"[DONE]", NULL},
                      "failed:UNAVAILABLE/MODEL_INCOMPLETE/again the answer was empty");
        check_records(provider, (const char *const[]){" ", "[DONE]", "nonsense", NULL}, GARBLED);
    }
}

static void a_reply_has_so_many_blocks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        struct buf body = {0};
        const char *number = strchr(dialects[i].call, '#');
        put_record(&body, dialects[i].provider, dialects[i].start);
        for (unsigned call = 0; call <= REPLY_BLOCKS_MAX; call++) {
            struct buf record = {0};
            buf_printf(&record, "%.*s%u%s", (int)(number - dialects[i].call), dialects[i].call,
                       call, number + 1);
            buf_put_char(&record, '\0');
            if (call == REPLY_BLOCKS_MAX) { /* As many as that are none too many. */
                size_t len = body.len;
                check(dialects[i].provider, &(struct answer){.body = buf_str(&body)}, CUT);
                put_record(&body, dialects[i].provider, dialects[i].text);
                if (dialects[i].opening == NULL) { /* Its text would be one more. */
                    check(dialects[i].provider, &(struct answer){.body = buf_str(&body)}, TOO_MANY);
                }
                body.len = len;
            }
            put_record(&body, dialects[i].provider, record.ptr);
            buf_fini(&record);
        }
        check(dialects[i].provider, &(struct answer){.body = buf_str(&body)}, TOO_MANY);
        buf_fini(&body);
    }
}

/* In pieces: one that is as long is no record, or no body, either. */
static void a_reply_is_so_long(void **state)
{
    (void)state;
    enum {
        PIECE_BYTES = 1 << 20,
        PIECES = REPLY_BYTES_MAX / PIECE_BYTES,
    };
    struct buf piece = {0};
    while (piece.len < PIECE_BYTES) {
        buf_put(&piece, STR("0123456789abcdef"));
    }
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        const struct dialect *dialect = &dialects[i];
        const char *place = strrchr(dialect->text, 'a');
        struct buf body = {0};
        struct buf record = {0};
        put_record(&body, dialect->provider, dialect->start);
        put_record(&body, dialect->provider, dialect->opening);
        buf_printf(&record, "%.*s" STR_FMT "%s", (int)(place - dialect->text), dialect->text,
                   STR_ARG(buf_str(&piece)), place + 1);
        buf_put_char(&record, '\0');
        for (size_t j = 0; j < PIECES; j++) { /* And what opens the text, in some dialects. */
            put_record(&body, dialect->provider, record.ptr);
        }
        put_record(&body, dialect->provider, dialect->text);
        check(dialect->provider, &(struct answer){.body = buf_str(&body)}, TOO_LONG);
        buf_fini(&record);
        buf_fini(&body);
    }
    buf_fini(&piece);
}

/* ---- Framing ---- */

#define SAID CHAT_DELTA("\"content\":\"a\"")
#define ENDED "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}"
#define WHOLE "text(a) stop:end/stop"

static void a_stream_is_known_by_its_bytes(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "data: " SAID "\n\ndata: " ENDED "\n\ndata: [DONE]\n\n",
        "data:" SAID "\r\n\r\ndata:" ENDED "\r\n\r\n",
        MARK "data: " SAID "\r\rdata: " ENDED "\r\rdata: [DONE]",
        ": OPENROUTER PROCESSING\n\n: keep-alive\n\n\n\ndata: " SAID "\n\n:\ndata: " ENDED "\n",
        "\n\nevent: message\nid: null\nretry: 3\ndata: " SAID "\n\nevent: news\ndata: " ENDED
        "\n\n",
        "id: 1\ndata: {\"choices\":[{\"delta\":\ndata: {\"content\":\"a\"}}]}\n\ndata: " ENDED "\n",
        "event: ping\ndata: {}x\n\ndata: " SAID "\n\ndata:  " ENDED " \n\ndata: \n\ndata\n\n",
        "data: " SAID "\n\ndata: " ENDED "\n\ndata: [DONE]\n\ndata: {\"error\":{}}\n\n",
    };
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        check_body("openai_chat", bodies[i], WHOLE);
    }
    /* The last record was cut off: the reply is whole without it, or is not. */
    check_body("openai_chat", "data: " SAID "\n\ndata: " ENDED "\n\ndata: {\"cho", WHOLE);
    check_body("openai_chat", "data: " SAID "\n\ndata: {\"cho",
               "failed:UNAVAILABLE/MODEL_INCOMPLETE/again/shown the reply ended before it was "
               "whole");
    check("openai_chat",
          &(struct answer){.headers = "Content-Type: application/x-ndjson\r\n",
                           .body = STR(SAID "\n" ENDED "\n")},
          WHOLE);
    check("openai_chat",
          &(struct answer){.headers = "content-type: application/jsonl; charset=utf-8\r\n",
                           .body = STR(MARK SAID "\r\n\r\n" ENDED)},
          WHOLE);
}

/* A connection that broke says nothing of the model; what was whole before counts. */
static void a_connection_that_broke_is_no_models_fault(void **state)
{
    (void)state;
    const struct answer stream = {.body = STR("data: " SAID "\n\n"), .end = ATTEMPT_END_BROKEN};
    const struct answer finished = {.body = STR("data: " SAID "\n\ndata: " ENDED "\n\n"),
                                    .end = ATTEMPT_END_BROKEN};
    const struct answer body = {.body = str_of(dialects[0].reply), .end = ATTEMPT_END_BROKEN};
    const struct answer nothing = {.body = STR_EMPTY, .end = ATTEMPT_END_BROKEN};
    check("openai_chat", &stream, "failed:OK/transport/never/shown ");
    check("openai_chat", &finished, WHOLE);
    check("openai_chat", &body, "failed:OK/transport/never ");
    check("openai_chat", &nothing, "failed:OK/transport/never ");
}

static void another_status_is_an_error_whatever_the_body(void **state)
{
    (void)state;
    static const uint32_t statuses[] = {199, 300, 404, 429, 500};
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        for (size_t j = 0; j < COUNT_OF(dialects); j++) {
            const struct answer answer = {.http_status = statuses[i],
                                          .body = str_of(dialects[j].reply)};
            check(dialects[j].provider, &answer, "failed:~");
        }
    }
    check("openai_chat", &(struct answer){.http_status = 299, .body = str_of(dialects[0].reply)},
          "text(a)~");
    check("openai_chat",
          &(struct answer){.http_status = 503, .body = STR(MARK "{\"error\":{\"message\":\"m\"}}")},
          "failed:UNAVAILABLE/MODEL_OVERLOADED/again m");
}

static void note_delta(void *context, enum model_delta_kind kind, str text)
{
    assert_int_equal(kind, MODEL_DELTA_TEXT);
    buf_printf((struct buf *)context, STR_FMT "|", STR_ARG(text));
}

/* A character is shown with its last byte, not with the next one. */
static void what_is_whole_is_shown_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *piece; /* Of a text. */
        const char *shown; /* After it. */
    } rows[] = {
        {"a", "a|"},
        {"\xe2\x82", "a|"},
        {"\xac", "a|\xe2\x82\xac|"},
        {"\xf0\x9f", "a|\xe2\x82\xac|"},
        {"\x98", "a|\xe2\x82\xac|"},
        {"\x80", "a|\xe2\x82\xac|\xf0\x9f\x98\x80|"},
        {"\\ud83d", "a|\xe2\x82\xac|\xf0\x9f\x98\x80|"},
        {"\\ude00", "a|\xe2\x82\xac|\xf0\x9f\x98\x80|\xf0\x9f\x98\x80|"},
    };
    struct buf shown = {0};
    const struct reply_options options = {.delta = note_delta, .context = &shown};
    struct attempt *attempt =
        attempt_new(provider_find(STR("openai_chat")), STR("http://x"), &options);
    attempt_head(attempt, 200, STR_EMPTY, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf record = {0};
        buf_printf(&record, "data: {\"choices\":[{\"delta\":{\"content\":\"%s\"}}]}\n\n",
                   rows[i].piece);
        assert_int_equal(attempt_bytes(attempt, buf_str(&record)), ATTEMPT_OPEN);
        assert_true(str_is(buf_str(&shown), rows[i].shown));
        assert_true(attempt_has_shown(attempt));
        buf_fini(&record);
    }
    attempt_free(attempt);
    buf_fini(&shown);
}

static void a_web_page_is_no_model(void **state)
{
    (void)state;
    struct answer page = {.headers = "content-type: text/html; charset=utf-8\r\n",
                          .body = STR("<html>{}</html>")};
    for (size_t i = 0; i < COUNT_OF(dialects); i++) {
        check(dialects[i].provider, &page,
              "failed:FAILED_PRECONDITION/NOT_A_MODEL/never http://x answered with a web page; "
              "check the base URL, which often ends in /v1");
    }
    page.end = ATTEMPT_END_BROKEN;
    check("openai_chat", &page, "failed:OK/transport/never ");
}

static void what_an_inner_address_said_is_hidden(void **state)
{
    (void)state;
    static const struct reply_options none = {0};
    const struct provider_row *row = provider_find(STR("openai_chat"));
    for (int hides = 0; hides <= 1; hides++) {
        struct attempt *attempt = attempt_new(row, STR("http://x"), &none);
        attempt_head(attempt, 403, STR_EMPTY, 0);
        if (hides) {
            attempt_hide_text(attempt);
        }
        assert_int_equal(attempt_bytes(attempt, STR("{\"error\":{\"message\":\"secret\"}}")),
                         ATTEMPT_OPEN);
        assert_int_equal(attempt_end(attempt, ATTEMPT_END_CLEAN), ATTEMPT_FAILED);
        const struct diagnosis *diagnosis = attempt_diagnosis(attempt);
        assert_int_equal(diagnosis->http_status, 403);
        assert_true(
            str_is(buf_str(&diagnosis->message),
                   hides ? "http://x answered HTTP 403; what it said is not shown, since it is an "
                           "inner address"
                         : "secret"));
        attempt_free(attempt);
    }
    attempt_free(NULL);
}

/* More of an error than a megabyte is not kept, and more of a reply than 16 not read. */
static void bodies_are_bounded(void **state)
{
    (void)state;
    static const struct reply_options none = {0};
    const struct provider_row *row = provider_find(STR("openai_chat"));
    char blanks[65536];
    memset(blanks, ' ', sizeof(blanks));
    struct attempt *attempt = attempt_new(row, STR("http://x"), &none);
    attempt_head(attempt, 500, STR_EMPTY, 0);
    for (size_t i = 0; i < 20; i++) {
        (void)attempt_bytes(attempt, str_make(blanks, sizeof(blanks)));
    }
    assert_int_equal(attempt_size(attempt), 1 << 20);
    attempt_free(attempt);
    attempt = attempt_new(row, STR("http://x"), &none);
    attempt_head(attempt, 200, STR_EMPTY, 0);
    assert_int_equal(attempt_bytes(attempt, STR("{")), ATTEMPT_OPEN);
    for (size_t i = 1; i < REPLY_BYTES_MAX / sizeof(blanks); i++) {
        assert_int_equal(attempt_bytes(attempt, str_make(blanks, sizeof(blanks))), ATTEMPT_OPEN);
    }
    assert_int_equal(attempt_bytes(attempt, str_make(blanks, sizeof(blanks) - 1)), ATTEMPT_OPEN);
    assert_int_equal(attempt_size(attempt), REPLY_BYTES_MAX);
    assert_int_equal(attempt_bytes(attempt, STR(" ")), ATTEMPT_FAILED);
    assert_string_equal(attempt_diagnosis(attempt)->reason, "REPLY_TOO_LARGE");
    assert_int_equal(attempt_bytes(attempt, STR("}")), ATTEMPT_FAILED);
    assert_int_equal(attempt_end(attempt, ATTEMPT_END_CLEAN), ATTEMPT_FAILED);
    attempt_free(attempt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_has_its_names_and_its_count),
        cmocka_unit_test(a_body_may_have_blanks_and_a_mark),
        cmocka_unit_test(what_is_no_reply_is_garbled),
        cmocka_unit_test(an_error_in_place_of_a_reply_is_told),
        cmocka_unit_test(an_end_mark_of_another_dialect_means_nothing),
        cmocka_unit_test(a_reply_has_so_many_blocks),
        cmocka_unit_test(a_reply_is_so_long),
        cmocka_unit_test(a_stream_is_known_by_its_bytes),
        cmocka_unit_test(a_connection_that_broke_is_no_models_fault),
        cmocka_unit_test(another_status_is_an_error_whatever_the_body),
        cmocka_unit_test(what_is_whole_is_shown_at_once),
        cmocka_unit_test(a_web_page_is_no_model),
        cmocka_unit_test(what_an_inner_address_said_is_hidden),
        cmocka_unit_test(bodies_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
