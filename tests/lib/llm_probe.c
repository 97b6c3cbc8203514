/*
 * llm_probe: makes model calls with the real client and prints what comes back.
 *
 *     echo '{"provider": "openai", "model": "m", "base_url": "http://...", ...}' | llm_probe
 *
 * Members beside those of a request: "count" (calls at once), "calls_max", "attempts_max",
 * "model_hosts", "listen", "first_byte_ms", "idle_ms", "quiet_ms", "retry_after_max_ms",
 * "cancel_after" (deltas), "repeat" (rounds, one after the other), "go_file" (between rounds: makes
 * FILE.ready, then waits for FILE and removes it). Prints one JSON object a line: delta, done,
 * failed, refused, cancelled.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/base/buf.h"
#include "service/base/inbox.h"
#include "service/base/json.h"
#include "service/llm/llm.h"

enum {
    MESSAGES_MAX = 64,
    BLOCKS_MAX = 8,
    TOOLS_MAX = 8,
};

struct event {
    struct inbox_node node;
    uint64_t call;
    bool is_last;
    bool is_delta;
    struct buf line;
};

struct probe {
    struct arena arena;
    str spec;
    struct inbox *events;
    struct llm *llm;
    struct model_client client;
    struct model_request request;
    struct model_message messages[MESSAGES_MAX];
    struct model_block blocks[MESSAGES_MAX][BLOCKS_MAX];
    struct model_tool tools[TOOLS_MAX];
};

static str raw_of(str object, const char *name)
{
    str raw = STR_EMPTY;
    (void)json_object_get(object, str_of(name), &raw);
    return raw;
}

static str text_of(struct probe *probe, str object, const char *name)
{
    struct buf decoded = {0};
    (void)json_string_decode(raw_of(object, name), &decoded);
    str copy = arena_copy(&probe->arena, buf_str(&decoded));
    buf_fini(&decoded);
    return copy;
}

static uint64_t number_of(str object, const char *name, uint64_t otherwise)
{
    uint64_t number;
    return json_to_u64(raw_of(object, name), &number) ? number : otherwise;
}

static struct event *event_new(uint64_t call, const char *kind)
{
    struct event *event = xcalloc(1, sizeof(*event));
    event->call = call;
    buf_printf(&event->line, "{\"call\":%llu,\"event\":\"%s\"", (unsigned long long)call, kind);
    return event;
}

static void put_text(struct event *event, const char *name, str text)
{
    buf_printf(&event->line, ",\"%s\":", name);
    buf_put_json_string(&event->line, text);
}

static void post(struct probe *probe, struct event *event)
{
    buf_put(&event->line, STR("}\n"));
    inbox_push_always(probe->events, &event->node);
}

static void on_delta(void *context, uint64_t call, enum model_delta_kind kind, str text)
{
    static const char *const names[] = {"text", "reasoning", "tool_arguments"};
    struct event *event = event_new(call, "delta");
    event->is_delta = true;
    put_text(event, "kind", str_of(names[kind]));
    put_text(event, "text", text);
    post((struct probe *)context, event);
}

static void put_block(struct event *event, const struct model_block *block)
{
    static const char *const names[] = {"text",      "reasoning",   "refusal",
                                        "tool_call", "tool_result", "opaque"};
    buf_printf(&event->line, "{\"kind\":\"%s\"", names[block->kind]);
    put_text(event, "text", block->text);
    put_text(event, "id", block->call_id);
    put_text(event, "name", block->name);
    put_text(event, "arguments", block->arguments);
    put_text(event, "raw", block->raw);
    buf_printf(&event->line, ",\"invalid\":%s}", block->arguments_invalid ? "true" : "false");
}

static void on_reply(void *context, uint64_t call, const struct model_reply *reply)
{
    struct event *event = event_new(call, "done");
    event->is_last = true;
    buf_put(&event->line, STR(",\"blocks\":["));
    for (size_t i = 0; i < reply->block_count; i++) {
        buf_put(&event->line, i == 0 ? STR_EMPTY : STR(","));
        put_block(event, &reply->blocks[i]);
    }
    buf_printf(&event->line, "],\"stop\":%d,\"input\":%llu,\"output\":%llu,\"known\":%s",
               (int)reply->stop, (unsigned long long)reply->usage.input,
               (unsigned long long)reply->usage.output, reply->usage.known ? "true" : "false");
    put_text(event, "stop_raw", reply->stop_raw);
    put_text(event, "model", reply->model);
    post((struct probe *)context, event);
}

static void on_failure(void *context, uint64_t call, const struct model_failure *failure)
{
    struct event *event = event_new(call, "failed");
    event->is_last = true;
    put_text(event, "code", str_of(code_name(failure->code)));
    put_text(event, "reason", str_of(failure->reason));
    put_text(event, "message", failure->message);
    buf_printf(&event->line, ",\"http\":%u,\"retryable\":%s,\"partial\":%s,\"retry_after_ms\":%llu",
               (unsigned)failure->http_status, failure->retryable ? "true" : "false",
               failure->partial ? "true" : "false", (unsigned long long)failure->retry_after_ms);
    post((struct probe *)context, event);
}

static enum model_role role_of(str role)
{
    if (str_is(role, "system")) {
        return MODEL_ROLE_SYSTEM;
    }
    if (str_is(role, "assistant")) {
        return MODEL_ROLE_ASSISTANT;
    }
    return str_is(role, "tool") ? MODEL_ROLE_TOOL : MODEL_ROLE_USER;
}

/* {"role", "text", "origin", "calls": [{"id", "name", "arguments"}], "result": {...}} */
static void read_message(struct probe *probe, size_t at, str message)
{
    struct model_block *blocks = probe->blocks[at];
    struct json_iterator calls = json_elements(raw_of(message, "calls"));
    str result = raw_of(message, "result");
    size_t count = 0;
    str call;
    if (raw_of(message, "text").len > 0) {
        blocks[count++] =
            (struct model_block){.kind = MODEL_BLOCK_TEXT, .text = text_of(probe, message, "text")};
    }
    while (count < BLOCKS_MAX && json_next_element(&calls, &call)) {
        blocks[count++] = (struct model_block){
            .kind = MODEL_BLOCK_TOOL_CALL,
            .call_id = text_of(probe, call, "id"),
            .name = text_of(probe, call, "name"),
            .arguments = text_of(probe, call, "arguments"),
        };
    }
    if (result.len > 0 && count < BLOCKS_MAX) {
        blocks[count++] = (struct model_block){
            .kind = MODEL_BLOCK_TOOL_RESULT,
            .call_id = text_of(probe, result, "id"),
            .name = text_of(probe, result, "name"),
            .text = text_of(probe, result, "text"),
        };
    }
    probe->messages[at] = (struct model_message){
        .role = role_of(text_of(probe, message, "role")),
        .blocks = blocks,
        .block_count = count,
        .origin = text_of(probe, message, "origin"),
    };
}

static void read_request(struct probe *probe)
{
    struct model_request *request = &probe->request;
    struct json_iterator messages = json_elements(raw_of(probe->spec, "messages"));
    struct json_iterator tools = json_elements(raw_of(probe->spec, "tools"));
    str element;
    *request = (struct model_request){.temperature = NAN};
    request->attempt = (uint32_t)number_of(probe->spec, "attempt", 1);
    request->provider = text_of(probe, probe->spec, "provider");
    request->model = text_of(probe, probe->spec, "model");
    request->base_url = text_of(probe, probe->spec, "base_url");
    request->system = text_of(probe, probe->spec, "system");
    request->options_json = raw_of(probe->spec, "options");
    request->output_schema_json = raw_of(probe->spec, "output_schema");
    request->messages = probe->messages;
    request->tools = probe->tools;
    while (request->message_count < MESSAGES_MAX && json_next_element(&messages, &element)) {
        read_message(probe, request->message_count++, element);
    }
    while (request->tool_count < TOOLS_MAX && json_next_element(&tools, &element)) {
        probe->tools[request->tool_count++] = (struct model_tool){
            .name = text_of(probe, element, "name"),
            .description = text_of(probe, element, "description"),
            .parameters_json = raw_of(element, "parameters"),
        };
    }
}

/* Prints events until `count` calls have ended. */
static void follow(struct probe *probe, uint64_t count)
{
    uint64_t cancel_after = number_of(probe->spec, "cancel_after", 0);
    uint64_t deltas = 0;
    while (count > 0) {
        (void)inbox_wait(probe->events, -1);
        struct inbox_node *node = inbox_take(probe->events, SIZE_MAX);
        while (node != NULL) {
            struct event *event = container_of(node, struct event, node);
            node = node->next;
            if (event->is_delta && ++deltas == cancel_after) {
                model_client_cancel(&probe->client, event->call);
                count--;
                buf_reset(&event->line);
                buf_put(&event->line, STR("{\"event\":\"cancelled\"}\n"));
            }
            count -= event->is_last ? 1 : 0;
            fwrite(event->line.ptr, 1, event->line.len, stdout);
            buf_fini(&event->line);
            free(event);
        }
        fflush(stdout);
    }
}

static void start_llm(struct probe *probe)
{
    struct llm_options options = {
        .sink = {.context = probe, .delta = on_delta, .done = on_reply, .failed = on_failure},
        .first_byte_ms = number_of(probe->spec, "first_byte_ms", 0),
        .idle_ms = number_of(probe->spec, "idle_ms", 0),
        .rules =
            {
                .model_hosts = text_of(probe, probe->spec, "model_hosts"),
                .listen = text_of(probe, probe->spec, "listen"),
            },
        .quiet_ms = number_of(probe->spec, "quiet_ms", 0),
        .retry_after_max_ms = number_of(probe->spec, "retry_after_max_ms", 0),
        .attempts_max = (uint32_t)number_of(probe->spec, "attempts_max", 0),
        .calls_max = number_of(probe->spec, "calls_max", 0),
    };
    probe->llm = llm_start(&options);
    probe->client = llm_client(probe->llm);
}

/* The other side may do something between two rounds. */
static void wait_for(struct probe *probe, const char *path)
{
    FILE *ready = fopen(arena_printf(&probe->arena, "%s.ready", path).ptr, "w");
    assert(ready != NULL);
    fclose(ready);
    while (unlink(path) != 0) {
        usleep(1000);
    }
}

static void make_calls(struct probe *probe)
{
    str go_file = text_of(probe, probe->spec, "go_file");
    uint64_t count = number_of(probe->spec, "count", 1);
    uint64_t repeat = number_of(probe->spec, "repeat", 1);
    for (uint64_t round = 0; round < repeat; round++) {
        if (round > 0 && go_file.len > 0) {
            wait_for(probe, go_file.ptr);
        }
        for (uint64_t i = 0; i < count; i++) {
            model_client_start(&probe->client, round * count + i + 1, &probe->request);
        }
        follow(probe, count);
    }
}

static void throw_away(struct inbox *events)
{
    struct inbox_node *node = inbox_take(events, SIZE_MAX);
    while (node != NULL) {
        struct event *event = container_of(node, struct event, node);
        node = node->next;
        buf_fini(&event->line);
        free(event);
    }
}

static void read_input(struct buf *ret)
{
    size_t got = 1;
    while (got > 0) {
        buf_reserve(ret, 65536);
        got = fread(ret->ptr + ret->len, 1, 65536, stdin);
        ret->len += got;
    }
}

int main(void)
{
    static struct probe probe;
    struct buf spec = {0};
    read_input(&spec);
    if (!json_is_object(buf_str(&spec))) {
        fprintf(stderr, "usage: echo '{\"provider\": ...}' | llm_probe\n");
        return 2;
    }
    arena_init(&probe.arena, 0);
    probe.spec = buf_str(&spec);
    probe.events = inbox_new(SIZE_MAX, NULL, NULL);
    read_request(&probe);
    start_llm(&probe);
    status checked = model_client_check(&probe.client, &probe.request, &probe.arena);
    if (status_is_ok(checked)) {
        make_calls(&probe);
    } else {
        struct event *event = event_new(0, "refused");
        put_text(event, "code", str_of(code_name(checked.code)));
        put_text(event, "message", str_of(checked.why));
        printf(STR_FMT "}\n", STR_ARG(buf_str(&event->line)));
        buf_fini(&event->line);
        free(event);
    }
    llm_stop(probe.llm);
    throw_away(probe.events);
    inbox_free(probe.events);
    arena_fini(&probe.arena);
    buf_fini(&spec);
    return 0;
}
