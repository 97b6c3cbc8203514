/*
 * Goal:   every recorded exchange gives the text, reasoning, tool calls, stop
 *         reason, usage and error that its index names, however its bytes are cut.
 * Method: replay each body whole, byte by byte, in twenty random ways, and cut at the offsets
 *         the index calls stressful. The recordings are not part of this repository
 *         (POLOS_FIXTURES, or ../shared/fixtures/llm); without them the test is skipped.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "tests/unit/llm/outcome.h"
#include "tests/unit/llm/sha256.h"

enum {
    SEEDS = 20,
    FILE_BYTES_MAX = 64 << 20,
};

static struct buf index_json;
static const char *folder;

static bool read_file(const char *path, struct buf *ret)
{
    FILE *file = fopen(path, "rb");
    size_t got = 1;
    if (file == NULL) {
        return false;
    }
    while (got > 0 && ret->len < FILE_BYTES_MAX) {
        buf_reserve(ret, 65536);
        got = fread(ret->ptr + ret->len, 1, 65536, file);
        ret->len += got;
    }
    fclose(file);
    return true;
}

static str member(str object, const char *key)
{
    str value = STR_EMPTY;
    (void)json_object_get(object, str_of(key), &value);
    return value;
}

/* A decoded string member; empty when absent or null. */
static str text_member(struct arena *arena, str object, const char *key)
{
    struct buf decoded = {0};
    str copy = STR("");
    if (json_string_decode(member(object, key), &decoded)) {
        copy = arena_copy(arena, buf_str(&decoded));
    }
    buf_fini(&decoded);
    return copy;
}

static uint64_t number_member(str object, const char *key)
{
    uint64_t number = 0;
    return json_to_u64(member(object, key), &number) ? number : 0;
}

static const struct provider_row *row_of(str api, str provider)
{
    if (str_is(api, "openai_responses")) {
        return provider_find(STR("openai"));
    }
    if (str_is(api, "ollama_native")) {
        return provider_find(api);
    }
    if (str_is(provider, "other_compat")) {
        return provider_find(STR("openai_compatible"));
    }
    const struct provider_row *row = provider_find(provider);
    assert_non_null(row);
    return row;
}

struct recording {
    str entry;
    str name;
    str expected;
    struct response response;
    struct arena arena;
};

static void check_str(const struct recording *recording, const char *what, str actual, str expected)
{
    if (!str_equal(actual, expected)) {
        fail_msg(STR_FMT ": %s is [" STR_FMT "], expected [" STR_FMT "]", STR_ARG(recording->name),
                 what, STR_ARG(actual), STR_ARG(expected));
    }
}

static void check_number(const struct recording *recording, const char *what, uint64_t actual,
                         uint64_t expected)
{
    if (actual != expected) {
        fail_msg(STR_FMT ": %s is %llu, expected %llu", STR_ARG(recording->name), what,
                 (unsigned long long)actual, (unsigned long long)expected);
    }
}

static bool same_json(str a, str b);

static bool same_string(str a, str b)
{
    struct buf first = {0};
    struct buf second = {0};
    bool same = json_string_decode(a, &first) && json_string_decode(b, &second) &&
                str_equal(buf_str(&first), buf_str(&second));
    buf_fini(&first);
    buf_fini(&second);
    return same;
}

static bool same_members(str a, str b)
{
    struct json_iterator members = json_members(a);
    struct json_iterator others = json_members(b);
    str key;
    str value;
    str other;
    while (json_next_member(&members, &key, &value)) {
        str name = str_make(key.ptr + 1, key.len - 2);
        if (!json_object_get(b, name, &other) || !same_json(value, other)) {
            return false;
        }
        if (!json_next_member(&others, &key, &value)) {
            return false;
        }
    }
    return !json_next_member(&others, &key, &value);
}

static bool same_elements(str a, str b)
{
    struct json_iterator elements = json_elements(a);
    struct json_iterator others = json_elements(b);
    str element;
    str other;
    while (json_next_element(&elements, &element)) {
        if (!json_next_element(&others, &other) || !same_json(element, other)) {
            return false;
        }
    }
    return !json_next_element(&others, &other);
}

/* Whether two texts say the same, blanks and the order of members aside. */
static bool same_json(str a, str b)
{
    enum json_kind kind = json_kind_of(a);
    if (kind != json_kind_of(b)) {
        return false;
    }
    if (kind == JSON_OBJECT) {
        return same_members(a, b);
    }
    if (kind == JSON_ARRAY) {
        return same_elements(a, b);
    }
    return kind == JSON_STRING ? same_string(a, b) : str_equal(str_trim(a), str_trim(b));
}

/* Some servers send an object, of which the index has a text of its own. */
static bool sends_objects(const struct recording *recording)
{
    str api = member(recording->entry, "api");
    return json_string_is(api, STR("gemini")) || json_string_is(api, STR("ollama_native")) ||
           (json_string_is(api, STR("anthropic_messages")) &&
            json_string_is(member(recording->entry, "framing"), STR("json")));
}

static void check_arguments(const struct recording *recording, str actual, str expected)
{
    if (!sends_objects(recording) || !same_json(actual, expected)) {
        check_str(recording, "arguments", actual, expected);
    }
}

static void check_calls(struct recording *recording, struct outcome *outcome)
{
    struct json_iterator calls = json_elements(member(recording->expected, "tool_calls"));
    size_t at = 0;
    str call;
    for (; json_next_element(&calls, &call); at++) {
        while (at < outcome->reply.block_count &&
               outcome->reply.blocks[at].kind != MODEL_BLOCK_TOOL_CALL) {
            at++;
        }
        if (at >= outcome->reply.block_count) {
            fail_msg(STR_FMT ": a tool call is missing", STR_ARG(recording->name));
        }
        const struct model_block *block = &outcome->reply.blocks[at];
        str arguments = str_trim(text_member(&recording->arena, call, "arguments"));
        str call_id = text_member(&recording->arena, call, "id");
        check_str(recording, "name", block->name, text_member(&recording->arena, call, "name"));
        check_arguments(recording, block->arguments, arguments.len == 0 ? STR("{}") : arguments);
        if (call_id.len > 0) {
            check_str(recording, "call id", block->call_id, call_id);
        }
        check_number(recording, "invalid", block->arguments_invalid,
                     !str_is(member(call, "arguments_valid"), "true"));
    }
    for (; at < outcome->reply.block_count; at++) {
        if (outcome->reply.blocks[at].kind == MODEL_BLOCK_TOOL_CALL) {
            fail_msg(STR_FMT ": a tool call too many", STR_ARG(recording->name));
        }
    }
}

static void check_usage(struct recording *recording, const struct model_usage *usage)
{
    str expected = member(recording->expected, "usage");
    check_number(recording, "usage known", usage->known, json_kind_of(expected) == JSON_OBJECT);
    if (usage->known) {
        check_number(recording, "input", usage->input, number_member(expected, "input"));
        check_number(recording, "output", usage->output, number_member(expected, "output"));
        check_number(recording, "cached", usage->cache_read, number_member(expected, "cache_read"));
        check_number(recording, "cache write", usage->cache_write,
                     number_member(expected, "cache_write"));
        check_number(recording, "reasoning tokens", usage->reasoning,
                     number_member(expected, "reasoning"));
    }
}

static const char *stop_name(enum model_stop stop)
{
    switch (stop) {
    case MODEL_STOP_END:
        return "end";
    case MODEL_STOP_TOOL_USE:
        return "tool_use";
    case MODEL_STOP_MAX_TOKENS:
        return "max_tokens";
    case MODEL_STOP_CONTENT_FILTER:
        return "content_filter";
    case MODEL_STOP_REFUSAL:
        return "refusal";
    case MODEL_STOP_SEQUENCE:
        return "stop_sequence";
    case MODEL_STOP_PAUSE:
        return "pause";
    case MODEL_STOP_OTHER:
        return "other";
    }
    return "?";
}

/* Whether one of the strings in JSON text is that one. */
static bool has_string(str json, size_t len, str sha256)
{
    size_t at = 0;
    while (at < json.len) {
        size_t start = at + 1;
        if (json.ptr[at++] != '"') {
            continue;
        }
        while (json.ptr[at] != '"') {
            at += json.ptr[at] == '\\' ? 2 : 1;
        }
        if (at - start == len) {
            char found[65];
            sha256_hex(str_make(json.ptr + start, len), found);
            if (str_is(sha256, found)) {
                return true;
            }
        }
        at++;
    }
    return false;
}

/* What the provider gave opaquely stands in the next request, as it came. */
static void check_opaque(struct recording *recording, const struct model_reply *reply)
{
    const struct provider_row *row = recording->response.row;
    struct arena *arena = &recording->arena;
    struct json_iterator opaques = json_elements(member(recording->expected, "opaque"));
    const struct model_message message = {
        .role = MODEL_ROLE_ASSISTANT,
        .blocks = reply->blocks,
        .block_count = reply->block_count,
        .origin = arena_printf(arena, "%s/m", row->name),
    };
    const struct model_request request = {
        .model = STR("m"), .messages = &message, .message_count = 1, .temperature = NAN};
    struct buf body = {0};
    str opaque;
    row->codec->put_body(row, &request, &body);
    if (!json_is_object(buf_str(&body))) {
        fail_msg(STR_FMT ": the next request is no JSON", STR_ARG(recording->name));
    }
    while (json_next_element(&opaques, &opaque)) {
        if (!has_string(buf_str(&body), (size_t)number_member(opaque, "len"),
                        text_member(arena, opaque, "sha256"))) {
            fail_msg(STR_FMT ": what is opaque does not go back: " STR_FMT " in " STR_FMT,
                     STR_ARG(recording->name), STR_ARG(opaque), STR_ARG(buf_str(&body)));
        }
    }
    buf_fini(&body);
}

static void check_reply(struct recording *recording, struct outcome *outcome)
{
    struct arena *arena = &recording->arena;
    str expected = recording->expected;
    const struct model_reply *reply = &outcome->reply;
    str stop = text_member(arena, expected, "stop");
    check_str(recording, "text", outcome_text(outcome, MODEL_BLOCK_TEXT),
              text_member(arena, expected, "text"));
    check_str(recording, "reasoning", outcome_text(outcome, MODEL_BLOCK_REASONING),
              text_member(arena, expected, "reasoning"));
    check_str(recording, "refusal", outcome_text(outcome, MODEL_BLOCK_REFUSAL),
              text_member(arena, expected, "refusal"));
    check_str(recording, "model", reply->model, text_member(arena, expected, "model"));
    /* The index has the last id of a stream, we keep the first; some gateways change it. */
    check_number(recording, "has id", reply->response_id.len > 0,
                 text_member(arena, expected, "response_id").len > 0);
    check_str(recording, "finish", reply->stop_raw, text_member(arena, expected, "finish_raw"));
    /* The index takes the word of a server that calls a refusal an end. */
    if (text_member(arena, expected, "refusal").len > 0) {
        stop = STR("refusal");
    }
    /* The one recording without a finish reason ends with [DONE] and is whole. */
    check_str(recording, "stop", str_of(stop_name(reply->stop)), stop.len == 0 ? STR("end") : stop);
    check_calls(recording, outcome);
    check_usage(recording, &reply->usage);
    check_opaque(recording, reply);
}

static void check_failure(struct recording *recording, struct outcome *outcome)
{
    str error = member(recording->expected, "error");
    str message = text_member(&recording->arena, error, "message");
    str told = buf_str(&outcome->diagnosis->message);
    size_t len = message.len < 100 ? message.len : 100;
    if (outcome->state != ATTEMPT_FAILED) {
        fail_msg(STR_FMT ": no failure", STR_ARG(recording->name));
    }
    if (told.len < len || memcmp(told.ptr, message.ptr, len) != 0) {
        check_str(recording, "message", told, message);
    }
    check_str(recording, "shown reasoning", buf_str(&outcome->shown[MODEL_DELTA_REASONING]),
              text_member(&recording->arena, recording->expected, "reasoning"));
    check_number(recording, "retryable", outcome->diagnosis->retryable,
                 recording->response.http_status == 429);
}

static void check_outcome(struct recording *recording, struct outcome *outcome)
{
    if (json_kind_of(member(recording->expected, "error")) == JSON_OBJECT ||
        json_kind_of(member(recording->expected, "error")) == JSON_STRING) {
        check_failure(recording, outcome);
        return;
    }
    if (outcome->state != ATTEMPT_WHOLE) {
        fail_msg(STR_FMT ": " STR_FMT, STR_ARG(recording->name), STR_ARG(outcome_line(outcome)));
    }
    check_reply(recording, outcome);
    check_str(recording, "shown reasoning", buf_str(&outcome->shown[MODEL_DELTA_REASONING]),
              outcome_text(outcome, MODEL_BLOCK_REASONING));
    check_str(recording, "shown text", buf_str(&outcome->shown[MODEL_DELTA_TEXT]),
              arena_printf(&recording->arena, STR_FMT STR_FMT,
                           STR_ARG(outcome_text(outcome, MODEL_BLOCK_TEXT)),
                           STR_ARG(outcome_text(outcome, MODEL_BLOCK_REFUSAL))));
}

/* Cuts at the offsets of a JSON array, which are in ascending order. */
static size_t cut_at_offsets(void *context, size_t at, size_t left)
{
    struct json_iterator offsets = json_elements(*(str *)context);
    uint64_t offset;
    str element;
    while (json_next_element(&offsets, &element)) {
        if (json_to_u64(element, &offset) && offset > at && offset < at + left) {
            return offset - at;
        }
    }
    return left;
}

static void replay(struct recording *recording)
{
    static const char *const stresses[] = {"mid_utf8_offsets", "mid_crlf_offsets"};
    struct outcome outcome;
    outcome_read(&outcome, &recording->response, cut_nowhere, NULL);
    check_outcome(recording, &outcome);
    str line = outcome_line(&outcome);
    for (uint64_t run = 0; run <= SEEDS + COUNT_OF(stresses); run++) {
        uint64_t state = run;
        str offsets = STR_EMPTY;
        struct outcome again;
        if (run == 0) {
            outcome_read(&again, &recording->response, cut_everywhere, NULL);
        } else if (run <= SEEDS) {
            outcome_read(&again, &recording->response, cut_by_seed, &state);
        } else {
            offsets = member(member(recording->entry, "stress"), stresses[run - SEEDS - 1]);
            outcome_read(&again, &recording->response, cut_at_offsets, &offsets);
        }
        check_str(recording, "outcome of cut bytes", outcome_line(&again), line);
        check_outcome(recording, &again);
        outcome_fini(&again);
    }
    outcome_fini(&outcome);
}

static str headers_of(struct arena *arena, str entry)
{
    struct json_iterator members = json_members(member(entry, "response_headers"));
    str lines = STR("");
    str key;
    str value;
    while (json_next_member(&members, &key, &value)) {
        lines = arena_printf(arena, STR_FMT STR_FMT ": " STR_FMT "\r\n", STR_ARG(lines),
                             (int)key.len - 2, key.ptr + 1, (int)value.len - 2, value.ptr + 1);
    }
    return lines;
}

static void replay_entry(str entry)
{
    struct recording recording = {.entry = entry, .expected = member(entry, "expected")};
    struct buf body = {0};
    struct arena *arena = &recording.arena;
    arena_init(arena, 0);
    recording.name = text_member(arena, entry, "name");
    str file = text_member(arena, entry, "response_file");
    str path = arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(file));
    if (!read_file(path.ptr, &body)) {
        fail_msg("cannot read " STR_FMT, STR_ARG(path));
    }
    recording.response.row =
        row_of(text_member(arena, entry, "api"), text_member(arena, entry, "provider"));
    recording.response.http_status = (uint32_t)number_member(entry, "http_status");
    recording.response.headers = headers_of(arena, entry);
    recording.response.body = buf_str(&body);
    replay(&recording);
    buf_fini(&body);
    arena_fini(arena);
}

/* Dialects there is a codec for. */
static bool is_spoken(str api)
{
    return json_string_is(api, STR("openai_chat")) || json_string_is(api, STR("gemini")) ||
           json_string_is(api, STR("openai_responses")) ||
           json_string_is(api, STR("ollama_native")) ||
           json_string_is(api, STR("anthropic_messages"));
}

static void every_recording_reads_as_expected(void **state)
{
    struct json_iterator entries = json_elements(buf_str(&index_json));
    size_t count = 0;
    str entry;
    (void)state;
    if (index_json.len == 0) {
        print_message("skipped: no recordings at %s\n", folder);
        skip();
    }
    while (json_next_element(&entries, &entry)) {
        assert_true(is_spoken(member(entry, "api")));
        replay_entry(entry);
        count++;
    }
    print_message("%zu recordings, each cut in %d ways\n", count, SEEDS + 4);
    assert_true(count >= 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recording_reads_as_expected),
    };
    struct buf path = {0};
    const char *given = getenv("POLOS_FIXTURES");
    folder = given == NULL ? "../shared/fixtures/llm" : given;
    buf_printf(&path, "%s/index.json", folder);
    buf_put_char(&path, '\0');
    (void)read_file(path.ptr, &index_json);
    buf_fini(&path);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_fini(&index_json);
    return failed;
}
