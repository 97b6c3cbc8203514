#include "service/llm/scripted.h"

#include "service/base/array.h"
#include "service/base/json.h"
#include "service/base/json_writer.h"
#include "service/base/utf8.h"
#include "service/llm/diagnosis.h"
#include "service/llm/synthesis.h"
#include "service/llm/tree.h"

enum {
    DELTA_MS_MAX = 60000,
    CALLS_MAX = 64, /* In one entry. */
};
static_assert(DELTA_MS_MAX <= UINT32_MAX, "a plan holds it in 32 bits");

/* What an answer depends on. */
struct scene {
    const struct model_request *request;
    const struct cJSON *options; /* NULL: none were given. */
    struct arena *arena;
    str input; /* The last user text. */
    str tool_result; /* The last result behind it. */
    size_t turn; /* Assistant messages behind it. */
    uint64_t chunk;
};

/* An answer under construction. */
struct take {
    struct scene *scene;
    bool pauses;
    struct model_block *blocks;
    size_t block_count;
    size_t block_capacity;
    struct scripted_delta *deltas;
    size_t delta_count;
    size_t delta_capacity;
    size_t bytes;
};

static status refuse(struct arena *arena, size_t entry, const char *what)
{
    return arena_fail(arena, CODE_INVALID_ARGUMENT, "options.script[%zu]: %s", entry, what);
}

static status check_calls(const struct cJSON *calls, size_t at, struct arena *arena)
{
    size_t count = 0;
    assert(calls != NULL);
    if (tree_kind(calls) != JSON_ARRAY) {
        return refuse(arena, at, "tool_calls must be an array");
    }
    for (const struct cJSON *call = tree_first(calls); call != NULL; call = tree_next(call)) {
        enum json_kind arguments = tree_kind(tree_get(call, "arguments"));
        if (tree_kind(tree_get(call, "name")) != JSON_STRING) {
            return refuse(arena, at, "each of tool_calls needs a name");
        }
        if (arguments != JSON_NONE && arguments != JSON_OBJECT && arguments != JSON_STRING) {
            return refuse(arena, at, "arguments must be an object or a string");
        }
        if (++count > CALLS_MAX) {
            static_assert(CALLS_MAX == 64, "the sentence says so");
            return refuse(arena, at, "more than 64 tool_calls");
        }
    }
    return STATUS_OK;
}

static status check_member(const struct cJSON *member, size_t at, struct arena *arena)
{
    str name = tree_name(member);
    enum json_kind kind = tree_kind(member);
    if (str_is(name, "text") || str_is(name, "reasoning")) {
        bool fits = kind == JSON_STRING || kind == JSON_NONE;
        return fits ? STATUS_OK : refuse(arena, at, "text and reasoning must be strings");
    }
    if (str_is(name, "tool_calls")) {
        return kind == JSON_NONE ? STATUS_OK : check_calls(member, at, arena);
    }
    if (str_is(name, "error")) {
        bool fits = kind == JSON_OBJECT || kind == JSON_NONE;
        return fits ? STATUS_OK : refuse(arena, at, "error must be an object");
    }
    if (str_is(name, "pause")) {
        bool fits = kind == JSON_BOOL || kind == JSON_NONE;
        return fits ? STATUS_OK : refuse(arena, at, "pause must be true or false");
    }
    return refuse(arena, at, "knows only text, reasoning, tool_calls, pause and error");
}

static status check_entry(const struct cJSON *entry, size_t at, struct arena *arena)
{
    if (tree_kind(entry) != JSON_OBJECT) {
        return refuse(arena, at, "must be an object");
    }
    for (const struct cJSON *member = tree_first(entry); member != NULL;
         member = tree_next(member)) {
        TRY(check_member(member, at, arena));
    }
    return STATUS_OK;
}

static status check_number(const struct cJSON *options, const char *name, uint64_t max,
                           struct arena *arena)
{
    const struct cJSON *value = tree_get(options, name);
    uint64_t number;
    assert(max <= 1ull << 53); /* Beyond it the numbers of a tree are not exact. */
    if (value != NULL && (!tree_u64(value, &number) || number > max)) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "options.%s must be a whole number from 0 to %llu", name,
                          (unsigned long long)max);
    }
    return STATUS_OK;
}

static status check_options(const struct cJSON *options, struct arena *arena)
{
    const struct cJSON *script = tree_get(options, "script");
    size_t at = 0;
    assert(tree_kind(options) == JSON_OBJECT);
    TRY(check_number(options, "delta_ms", DELTA_MS_MAX, arena));
    TRY(check_number(options, "chunk", 1 << 20, arena));
    const struct cJSON *verdicts = tree_get(options, "verdicts");
    if (verdicts != NULL && tree_kind(verdicts) != JSON_ARRAY) {
        return status_make(CODE_INVALID_ARGUMENT, "options.verdicts must be an array of objects");
    }
    for (const struct cJSON *each = tree_first(verdicts); each != NULL; each = tree_next(each)) {
        if (tree_kind(each) != JSON_OBJECT) {
            return status_make(CODE_INVALID_ARGUMENT,
                               "options.verdicts must be an array of objects");
        }
    }
    if (script != NULL && tree_kind(script) != JSON_ARRAY) {
        return status_make(CODE_INVALID_ARGUMENT, "options.script must be an array of entries");
    }
    for (const struct cJSON *entry = tree_first(script); entry != NULL; entry = tree_next(entry)) {
        TRY(check_entry(entry, at++, arena));
    }
    return STATUS_OK;
}

status scripted_check(const struct model_request *request, struct arena *arena)
{
    str options = request->options_json;
    if (options.len == 0) {
        return STATUS_OK;
    }
    if (!json_is_object(options)) {
        return status_make(CODE_INVALID_ARGUMENT, "options must be a JSON object");
    }
    struct cJSON *tree = tree_new(options);
    if (tree == NULL) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "options of the scripted provider must be shorter than %d bytes",
                          TREE_BYTES_MAX);
    }
    status checked = check_options(tree, arena);
    tree_free(tree);
    return checked;
}

static str block_text(const struct model_message *message, enum model_block_kind kind)
{
    for (size_t i = message->block_count; i > 0; i--) {
        if (message->blocks[i - 1].kind == kind) {
            return message->blocks[i - 1].text;
        }
    }
    return STR("");
}

static struct scene read_scene(const struct model_request *request, const struct cJSON *options,
                               struct arena *arena)
{
    struct scene scene = {.request = request, .options = options, .arena = arena};
    assert(options == NULL || tree_kind(options) == JSON_OBJECT);
    scene.input = STR("");
    scene.tool_result = STR("");
    for (size_t i = 0; i < request->message_count; i++) {
        const struct model_message *message = &request->messages[i];
        if (message->role == MODEL_ROLE_USER) {
            scene.input = block_text(message, MODEL_BLOCK_TEXT);
            scene.tool_result = STR("");
            scene.turn = message->is_amid ? scene.turn : 0;
        } else if (message->role == MODEL_ROLE_ASSISTANT) {
            scene.turn++;
        } else if (message->role == MODEL_ROLE_TOOL) {
            scene.tool_result = block_text(message, MODEL_BLOCK_TOOL_RESULT);
        }
    }
    (void)tree_u64(tree_get(options, "chunk"), &scene.chunk);
    return scene;
}

/* Replaces the placeholders; inside JSON text what they stand for is escaped. */
static str expand(struct scene *scene, str text, bool in_json)
{
    const struct {
        str name;
        str value;
    } rows[] = {
        {STR("{{input}}"), scene->input},
        {STR("{{tool_result}}"), scene->tool_result},
    };
    struct buf out = {0};
    size_t at = 0;
    if (text.len == 0 || memmem(text.ptr, text.len, "{{", 2) == NULL) {
        return arena_copy(scene->arena, text);
    }
    while (at < text.len) {
        str rest = str_make(text.ptr + at, text.len - at);
        size_t row = 0;
        while (row < COUNT_OF(rows) && !str_starts_with(rest, rows[row].name)) {
            row++;
        }
        if (row == COUNT_OF(rows)) {
            buf_put_char(&out, text.ptr[at++]);
            continue;
        }
        size_t start = out.len;
        at += rows[row].name.len;
        if (!in_json) {
            buf_put(&out, rows[row].value);
            continue;
        }
        buf_put_json_string(&out, rows[row].value);
        assert(out.len >= start + 2 && out.ptr[start] == '"'); /* Its quotes go. */
        memmove(out.ptr + start, out.ptr + start + 1, out.len - start - 2);
        out.len -= 2;
    }
    assert(at == text.len);
    str copy = arena_copy(scene->arena, buf_str(&out));
    buf_fini(&out);
    return copy;
}

/* The bytes of the next delta: so many characters, or a word with the blank behind it. */
static size_t delta_len(const struct scene *scene, str text)
{
    size_t at = 0;
    assert(text.len > 0);
    for (uint64_t count = 0; at < text.len; count++) {
        size_t len = utf8_len(text, at);
        if (scene->chunk > 0 && count == scene->chunk) {
            break;
        }
        if (scene->chunk == 0 && at > 0 && text.ptr[at - 1] == ' ' && text.ptr[at] != ' ') {
            break;
        }
        at += len == 0 ? 1 : len;
    }
    assert(at > 0 && at <= text.len);
    return at;
}

static void add_delta(struct take *take, enum model_delta_kind kind, str text)
{
    assert(text.len > 0 && take->delta_count <= take->delta_capacity);
    take->deltas = array_reserve_in(take->scene->arena, take->deltas, &take->delta_capacity,
                                    take->delta_count + 1, sizeof(*take->deltas));
    take->deltas[take->delta_count++] = (struct scripted_delta){kind, text};
}

static struct model_block *add_block(struct take *take, enum model_block_kind kind)
{
    assert(take->block_count < take->block_capacity);
    struct model_block *block = &take->blocks[take->block_count++];
    *block = (struct model_block){.kind = kind};
    return block;
}

static void say(struct take *take, enum model_block_kind kind, enum model_delta_kind delta,
                str text)
{
    if (text.len == 0) {
        return;
    }
    add_block(take, kind)->text = text;
    take->bytes += text.len;
    for (size_t at = 0; at < text.len;) {
        str rest = str_make(text.ptr + at, text.len - at);
        size_t len = delta_len(take->scene, rest);
        add_delta(take, delta, str_make(rest.ptr, len));
        at += len;
    }
}

static void call(struct take *take, str name, str arguments)
{
    const struct scene *scene = take->scene;
    struct model_block *block = add_block(take, MODEL_BLOCK_TOOL_CALL);
    block->name = name;
    block->call_id = arena_printf(scene->arena, "call_%zu_%zu", scene->request->message_count,
                                  take->block_count);
    block->arguments = str_trim(arguments).len == 0 ? STR("{}") : arguments;
    block->arguments_invalid = !json_is_object(block->arguments);
    assert(block->call_id.len > 0 && block->arguments.len > 0);
    take->bytes += arguments.len;
    add_delta(take, MODEL_DELTA_TOOL_ARGUMENTS, block->arguments);
}

static str text_member(struct arena *arena, const struct cJSON *object, const char *name)
{
    return arena_copy(arena, tree_str(tree_get(object, name)));
}

/* Arguments that are an object go on byte for byte, so they are taken from the text: `raws`
 * are the same calls as they stand there. */
static void play_calls(struct take *take, const struct cJSON *calls, str raws)
{
    struct arena *arena = take->scene->arena;
    struct json_iterator elements = json_elements(raws);
    const struct cJSON *element = tree_first(calls);
    str raw;
    for (; json_next_element(&elements, &raw); element = tree_next(element)) {
        const struct cJSON *given = tree_get(element, "arguments");
        str arguments = STR("{}");
        assert(element != NULL); /* Both readers see the same calls. */
        if (tree_kind(given) == JSON_STRING) {
            arguments = expand(take->scene, tree_str(given), false);
        } else if (given != NULL && json_object_get(raw, STR("arguments"), &arguments)) {
            arguments = expand(take->scene, arguments, true);
        }
        call(take, text_member(arena, element, "name"), arguments);
    }
}

static size_t count_children(const struct cJSON *container)
{
    size_t count = 0;
    for (const struct cJSON *child = tree_first(container); child != NULL;
         child = tree_next(child)) {
        count++;
    }
    return count;
}

static void reserve_blocks(struct take *take, size_t count)
{
    assert(take->blocks == NULL && count > 0);
    take->blocks = arena_zalloc(take->scene->arena, count * sizeof(*take->blocks));
    take->block_capacity = count;
}

static void play_entry(struct take *take, const struct cJSON *entry, str raw)
{
    struct scene *scene = take->scene;
    const struct cJSON *calls = tree_get(entry, "tool_calls");
    str raw_calls = STR("");
    assert(tree_kind(entry) == JSON_OBJECT);
    (void)json_object_get(raw, STR("tool_calls"), &raw_calls);
    reserve_blocks(take, 2 + count_children(calls));
    say(take, MODEL_BLOCK_REASONING, MODEL_DELTA_REASONING,
        expand(scene, tree_str(tree_get(entry, "reasoning")), false));
    say(take, MODEL_BLOCK_TEXT, MODEL_DELTA_TEXT,
        expand(scene, tree_str(tree_get(entry, "text")), false));
    (void)tree_bool(tree_get(entry, "pause"), &take->pauses);
    play_calls(take, calls, raw_calls);
}

/* One sentence for each result behind the last user message. */
static void put_results(const struct model_request *request, struct buf *ret)
{
    size_t from = request->message_count;
    while (from > 0 && request->messages[from - 1].role != MODEL_ROLE_USER) {
        from--;
    }
    for (size_t i = from; i < request->message_count; i++) {
        const struct model_message *message = &request->messages[i];
        for (size_t j = 0; j < message->block_count; j++) {
            const struct model_block *block = &message->blocks[j];
            if (block->kind == MODEL_BLOCK_TOOL_RESULT) {
                buf_put(ret, ret->len == 0 ? STR_EMPTY : STR(" "));
                buf_put(ret, block->name.len == 0 ? STR("The tool") : block->name);
                buf_put(ret, block->is_error ? STR(" failed: ") : STR(" answered: "));
                buf_put(ret, block->text);
            }
        }
    }
}

/* What the script says of a reply, or that it passes. */
static void judge(struct take *take)
{
    struct scene *scene = take->scene;
    const struct cJSON *verdict = tree_first(tree_get(scene->options, "verdicts"));
    for (uint32_t i = 1; i < scene->request->judgement && verdict != NULL; i++) {
        verdict = tree_next(verdict);
    }
    str reason = verdict == NULL ? STR_EMPTY : text_member(scene->arena, verdict, "reason");
    bool passed = true;
    bool is_none = verdict != NULL && !tree_bool(tree_get(verdict, "passed"), &passed);
    struct buf text = {0};
    struct json_writer writer = json_writer_of(&text);
    json_begin_object(&writer, NULL);
    if (!is_none) {
        json_put_bool(&writer, "passed", passed);
    }
    json_put_string(&writer, "reason", reason);
    json_end_object(&writer);
    reserve_blocks(take, 1);
    say(take, MODEL_BLOCK_TEXT, MODEL_DELTA_TEXT, buf_finish(&text, scene->arena));
}

/* Without a script. */
static void improvise(struct take *take)
{
    struct scene *scene = take->scene;
    const struct model_request *request = scene->request;
    struct buf text = {0};
    reserve_blocks(take, 1);
    if (request->tool_count > 0 && scene->turn == 0) {
        str schema = request->tools[0].parameters_json;
        synthesis_put(schema.len == 0 ? STR("{\"type\":\"object\"}") : schema, scene->input, &text);
        call(take, arena_copy(scene->arena, request->tools[0].name),
             arena_copy(scene->arena, buf_str(&text)));
        buf_fini(&text);
        return;
    }
    if (request->output_schema_json.len > 0) {
        synthesis_put(request->output_schema_json, scene->input, &text);
    } else {
        put_results(request, &text);
        if (text.len == 0) {
            buf_put(&text, STR("This is the scripted model. You said: "));
            buf_put(&text, scene->input);
        }
    }
    say(take, MODEL_BLOCK_TEXT, MODEL_DELTA_TEXT, arena_copy(scene->arena, buf_str(&text)));
    buf_fini(&text);
}

static uint64_t request_bytes(const struct model_request *request)
{
    uint64_t bytes = request->system.len;
    for (size_t i = 0; i < request->message_count; i++) {
        for (size_t j = 0; j < request->messages[i].block_count; j++) {
            const struct model_block *block = &request->messages[i].blocks[j];
            bytes += block->text.len + block->arguments.len + block->name.len;
        }
    }
    for (size_t i = 0; i < request->tool_count; i++) {
        bytes += request->tools[i].parameters_json.len + request->tools[i].description.len;
    }
    return bytes;
}

static bool has_call(const struct take *take)
{
    return take->block_count > 0 &&
           take->blocks[take->block_count - 1].kind == MODEL_BLOCK_TOOL_CALL;
}

static void finish(const struct take *take, struct scripted_plan *ret)
{
    const struct scene *scene = take->scene;
    bool called = has_call(take);
    assert(take->delta_count >= take->block_count); /* Each block is shown. */
    assert(!called || take->blocks != NULL);
    ret->deltas = take->deltas;
    ret->delta_count = take->delta_count;
    ret->reply = (struct model_reply){
        .blocks = take->blocks,
        .block_count = take->block_count,
        .stop = take->pauses ? MODEL_STOP_PAUSE
                : called     ? MODEL_STOP_TOOL_USE
                             : MODEL_STOP_END,
        .stop_raw = take->pauses ? STR("pause_turn")
                    : called     ? STR("tool_calls")
                                 : STR("stop"),
        .response_id = arena_printf(scene->arena, "scripted-%zu", scene->request->message_count),
        .model = STR("scripted"),
    };
    ret->reply.usage.known = true;
    ret->reply.usage.input = request_bytes(scene->request) / 4 + 1;
    ret->reply.usage.output = take->bytes / 4 + 1;
}

static void fail_by_entry(struct scene *scene, const struct cJSON *error, struct scripted_plan *ret)
{
    struct diagnosis diagnosis = {0};
    str reason = text_member(scene->arena, error, "reason");
    uint64_t after = 0;
    assert(tree_kind(error) == JSON_OBJECT && !ret->fails);
    (void)tree_u64(tree_get(error, "after_chunks"), &after);
    if (!diagnosis_set_reason(&diagnosis, reason)) {
        diagnosis_set(&diagnosis, CODE_UNAVAILABLE, "SCRIPTED_ERROR", false, "unused");
    }
    (void)tree_bool(tree_get(error, "retryable"), &diagnosis.retryable);
    ret->fails = true;
    ret->delta_count = after < ret->delta_count ? (size_t)after : ret->delta_count;
    assert(diagnosis.code != CODE_OK && diagnosis.reason != NULL);
    ret->failure = (struct model_failure){
        .code = diagnosis.code,
        .reason = diagnosis.reason,
        .message = arena_printf(scene->arena, "the script says so: " STR_FMT, STR_ARG(reason)),
        .retryable = diagnosis.retryable,
        .partial = ret->delta_count > 0,
    };
    diagnosis_fini(&diagnosis);
}

/* The entry of this turn, and where it stands in the text. */
static const struct cJSON *find_entry(const struct scene *scene, str *ret_raw)
{
    str script = STR("");
    (void)json_object_get(scene->request->options_json, STR("script"), &script);
    struct json_iterator raws = json_elements(script);
    const struct cJSON *entry = tree_first(tree_get(scene->options, "script"));
    bool found = json_next_element(&raws, ret_raw);
    for (size_t i = 0; i < scene->turn && found; i++) {
        found = json_next_element(&raws, ret_raw);
        entry = tree_next(entry);
    }
    return entry;
}

static void fail_exhausted(const struct scene *scene, struct scripted_plan *ret)
{
    assert(!ret->fails);
    ret->fails = true;
    ret->failure = (struct model_failure){
        .code = CODE_FAILED_PRECONDITION,
        .reason = "SCRIPT_EXHAUSTED",
        .message = arena_printf(
            scene->arena, "the script has no entry %zu: add one for each model call", scene->turn),
    };
}

static void play_script(struct take *take, struct scripted_plan *ret)
{
    struct scene *scene = take->scene;
    str raw = STR("");
    const struct cJSON *entry = find_entry(scene, &raw);
    const struct cJSON *error = tree_get(entry, "error");
    uint64_t attempts = 0;
    if (entry == NULL) {
        fail_exhausted(scene, ret);
        return;
    }
    play_entry(take, entry, raw);
    finish(take, ret);
    (void)tree_u64(tree_get(error, "attempts"), &attempts);
    if (error != NULL && (attempts == 0 || scene->request->attempt <= attempts)) {
        fail_by_entry(scene, error, ret);
    }
}

void scripted_make(const struct model_request *request, struct arena *arena,
                   struct scripted_plan *ret)
{
    struct cJSON *options = tree_new(request->options_json);
    struct scene scene = read_scene(request, options, arena);
    struct take take = {.scene = &scene};
    uint64_t delta_ms = 0;
    *ret = (struct scripted_plan){0};
    (void)tree_u64(tree_get(options, "delta_ms"), &delta_ms);
    assert(delta_ms <= DELTA_MS_MAX); /* scripted_check() let it pass. */
    ret->delta_ms = (uint32_t)delta_ms;
    if (request->judgement > 0) {
        judge(&take);
        finish(&take, ret);
    } else if (tree_get(options, "script") == NULL) {
        improvise(&take);
        finish(&take, ret);
    } else {
        play_script(&take, ret);
    }
    tree_free(options);
}
