/*
 * Goal:   what a chunk of a streamed answer costs to check and look through, by reader
 *         (decision 0007).
 * Method: the look-ups that the Chat Completions codec makes, through each way in turn, many
 *         rounds, best round of each; the ways alternate within a round, so that a busy machine
 *         is unfair to all alike. All ways must find the same bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "service/base/json.h"
#include "service/base/sys.h"
#include "service/llm/tree.h"

enum {
    ROUNDS = 25,
    OPS_PER_ROUND = 20000,
};

#define HEAD                                                                                       \
    "{\"id\":\"chatcmpl-C0hGqJ4Zk1TtFh0Vv5Jm2T8wq9xYb\",\"object\":\"chat.completion.chunk\","     \
    "\"created\":1754415600,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\","    \
    "\"system_fingerprint\":\"fp_34a54ae93c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
#define TAIL                                                                                       \
    "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"k2Yd8Zr0f\"}"

static const struct chunk {
    const char *name;
    const char *json;
} chunks[] = {
    {"plain", HEAD " weather" TAIL},
    {"escapes", HEAD "\\\"pl\\u00e9\\u00efn\\\":\\n" TAIL},
};

static struct buf text;

/* What the scanner finds in checked text. */
static size_t look_through(str json)
{
    size_t found = 0;
    str choices = STR_EMPTY;
    str choice = STR_EMPTY;
    str value = STR_EMPTY;
    found += json_object_get(json, STR("error"), &value) ? 1 : 0;
    found += json_object_get(json, STR("id"), &value) ? value.len - 2 : 0;
    found += json_object_get(json, STR("model"), &value) ? value.len - 2 : 0;
    found += json_object_get(json, STR("usage"), &value) ? 0 : 1;
    (void)json_object_get(json, STR("choices"), &choices);
    struct json_iterator elements = json_elements(choices);
    (void)json_next_element(&elements, &choice);
    found += json_object_get_kind(choice, STR("finish_reason"), JSON_STRING, &value) ? 1 : 0;
    (void)json_object_get(choice, STR("delta"), &value);
    found += json_object_get(value, STR("tool_calls"), &choices) ? 1 : 0;
    (void)json_object_get(value, STR("content"), &value);
    buf_reset(&text);
    (void)json_string_decode(value, &text);
    return found + text.len;
}

static size_t by_scanner(str json)
{
    return json_check(json) ? look_through(json) : 0;
}

static size_t look_in_tree(const cJSON *root)
{
    const cJSON *choice = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(root, "choices"), 0);
    const cJSON *delta = cJSON_GetObjectItemCaseSensitive(choice, "delta");
    size_t found = 0;
    found += cJSON_GetObjectItemCaseSensitive(root, "error") != NULL ? 1 : 0;
    found += strlen(cJSON_GetObjectItemCaseSensitive(root, "id")->valuestring);
    found += strlen(cJSON_GetObjectItemCaseSensitive(root, "model")->valuestring);
    found += cJSON_GetObjectItemCaseSensitive(root, "usage") != NULL ? 0 : 1;
    found += cJSON_IsString(cJSON_GetObjectItemCaseSensitive(choice, "finish_reason")) ? 1 : 0;
    found += cJSON_GetObjectItemCaseSensitive(delta, "tool_calls") != NULL ? 1 : 0;
    return found + strlen(cJSON_GetObjectItemCaseSensitive(delta, "content")->valuestring);
}

static size_t by_cjson(str json)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(json.ptr, json.len, &end, false);
    size_t found = look_in_tree(root);
    cJSON_Delete(root);
    return found;
}

/* As service/llm/tree.h does it: checked first, mended where it must be. */
static size_t by_tree(str json)
{
    struct cJSON *root = tree_new(json);
    size_t found = look_in_tree(root);
    tree_free(root);
    return found;
}

static const struct way {
    const char *name;
    size_t (*run)(str json);
} ways[] = {
    {"scanner", by_scanner},
    {"cjson", by_cjson},
    {"tree", by_tree},
};

static uint64_t time_way(const struct way *way, str json, size_t expected)
{
    uint64_t begun = sys_monotonic_us();
    for (size_t i = 0; i < OPS_PER_ROUND; i++) {
        size_t found = way->run(json);
        assert(found == expected);
        (void)found;
    }
    return sys_monotonic_us() - begun;
}

static void measure(const struct chunk *chunk)
{
    uint64_t best[COUNT_OF(ways)];
    str json = str_of(chunk->json);
    size_t expected = by_scanner(json);
    memset(best, 0xff, sizeof(best));
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            uint64_t taken = time_way(&ways[i], json, expected);
            best[i] = taken < best[i] ? taken : best[i];
        }
    }
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        printf("{\"chunk\":\"%s\",\"bytes\":%zu,\"way\":\"%s\",\"ns\":%.0f}\n", chunk->name,
               json.len, ways[i].name, (double)best[i] * 1000.0 / OPS_PER_ROUND);
    }
}

int main(void)
{
    for (size_t i = 0; i < COUNT_OF(chunks); i++) {
        measure(&chunks[i]);
    }
    buf_fini(&text);
    return 0;
}
