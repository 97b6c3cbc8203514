#include "service/llm/providers.h"

#include "service/llm/anthropic.h"
#include "service/llm/gemini.h"
#include "service/llm/ollama.h"
#include "service/llm/openai_chat.h"
#include "service/llm/openai_responses.h"

#define CHAT &openai_chat_codec, .path = "/chat/completions"

static const struct provider_row rows[] = {
    {.name = "scripted"},
    {
        .name = "openai",
        .codec = &openai_responses_codec,
        .path = "/responses",
        .base_url = "https://api.openai.com/v1",
        .base_url_setting = "OPENAI_BASE_URL",
        .key_setting = "OPENAI_API_KEY",
        .quirks = PROVIDER_CALL_ID_PLAIN | PROVIDER_STRICT,
    },
    {
        .name = "openai_chat",
        .codec = CHAT,
        .base_url = "https://api.openai.com/v1",
        .base_url_setting = "OPENAI_BASE_URL",
        .key_setting = "OPENAI_API_KEY",
        .quirks = PROVIDER_MAX_COMPLETION_TOKENS | PROVIDER_STRICT,
    },
    {
        .name = "anthropic",
        .codec = &anthropic_codec,
        .path = "/messages",
        .header = "anthropic-version: 2023-06-01",
        .base_url = "https://api.anthropic.com/v1",
        .base_url_setting = "ANTHROPIC_BASE_URL",
        .key_setting = "ANTHROPIC_API_KEY",
        .auth = PROVIDER_AUTH_X_API_KEY,
        .quirks = PROVIDER_CALL_ID_PLAIN,
    },
    {
        .name = "gemini",
        .codec = &gemini_codec,
        .path = "/models/{model}:streamGenerateContent?alt=sse",
        .base_url = "https://generativelanguage.googleapis.com/v1beta",
        .base_url_setting = "GEMINI_BASE_URL",
        .key_setting = "GEMINI_API_KEY",
        .auth = PROVIDER_AUTH_GOOGLE,
    },
    {
        .name = "azure", /* https://NAME.openai.azure.com/openai/v1 */
        .codec = CHAT,
        .base_url_setting = "AZURE_OPENAI_BASE_URL",
        .key_setting = "AZURE_OPENAI_API_KEY",
        .auth = PROVIDER_AUTH_API_KEY,
        .quirks = PROVIDER_MAX_COMPLETION_TOKENS | PROVIDER_STRICT,
    },
    {
        .name = "groq",
        .codec = CHAT,
        .base_url = "https://api.groq.com/openai/v1",
        .base_url_setting = "GROQ_BASE_URL",
        .key_setting = "GROQ_API_KEY",
        .quirks = PROVIDER_MAX_COMPLETION_TOKENS,
    },
    {
        .name = "openrouter",
        .codec = CHAT,
        .base_url = "https://openrouter.ai/api/v1",
        .base_url_setting = "OPENROUTER_BASE_URL",
        .key_setting = "OPENROUTER_API_KEY",
        .quirks = PROVIDER_REASONING_OBJECT,
    },
    {
        .name = "deepseek",
        .codec = CHAT,
        .base_url = "https://api.deepseek.com",
        .base_url_setting = "DEEPSEEK_BASE_URL",
        .key_setting = "DEEPSEEK_API_KEY",
        .quirks = PROVIDER_REASONING_BACK | PROVIDER_JSON_OBJECT_ONLY,
    },
    {
        .name = "mistral",
        .codec = CHAT,
        .base_url = "https://api.mistral.ai/v1",
        .base_url_setting = "MISTRAL_BASE_URL",
        .key_setting = "MISTRAL_API_KEY",
        .quirks = PROVIDER_NO_STREAM_OPTIONS | PROVIDER_CALL_ID_9,
    },
    {
        .name = "xai",
        .codec = CHAT,
        .base_url = "https://api.x.ai/v1",
        .base_url_setting = "XAI_BASE_URL",
        .key_setting = "XAI_API_KEY",
        .quirks = PROVIDER_MAX_COMPLETION_TOKENS,
    },
    {
        .name = "together",
        .codec = CHAT,
        .base_url = "https://api.together.xyz/v1",
        .base_url_setting = "TOGETHER_BASE_URL",
        .key_setting = "TOGETHER_API_KEY",
    },
    {
        .name = "fireworks",
        .codec = CHAT,
        .base_url = "https://api.fireworks.ai/inference/v1",
        .base_url_setting = "FIREWORKS_BASE_URL",
        .key_setting = "FIREWORKS_API_KEY",
    },
    {
        .name = "huggingface",
        .codec = CHAT,
        .base_url = "https://router.huggingface.co/v1",
        .base_url_setting = "HF_BASE_URL",
        .key_setting = "HF_TOKEN",
    },
    {
        .name = "perplexity",
        .codec = CHAT,
        .base_url = "https://api.perplexity.ai",
        .base_url_setting = "PERPLEXITY_BASE_URL",
        .key_setting = "PERPLEXITY_API_KEY",
        .quirks = PROVIDER_NO_STREAM_OPTIONS,
    },
    {
        .name = "zai",
        .codec = CHAT,
        .base_url = "https://api.z.ai/api/paas/v4",
        .base_url_setting = "ZAI_BASE_URL",
        .key_setting = "ZAI_API_KEY",
        .quirks = PROVIDER_REASONING_BACK | PROVIDER_JSON_OBJECT_ONLY,
    },
    {
        .name = "ollama",
        .codec = CHAT,
        .base_url = "http://127.0.0.1:11434/v1",
        .base_url_setting = "OLLAMA_BASE_URL",
        .key_setting = "OLLAMA_API_KEY",
        .quirks = PROVIDER_KEY_OPTIONAL,
    },
    {
        .name = "ollama_native",
        .codec = &ollama_codec,
        .path = "/api/chat",
        .base_url = "http://127.0.0.1:11434",
        .base_url_setting = "OLLAMA_NATIVE_BASE_URL",
        .key_setting = "OLLAMA_API_KEY",
        .quirks = PROVIDER_KEY_OPTIONAL,
    },
    {
        .name = "vllm",
        .codec = CHAT,
        .base_url = "http://127.0.0.1:8000/v1",
        .base_url_setting = "VLLM_BASE_URL",
        .key_setting = "VLLM_API_KEY",
        .quirks = PROVIDER_KEY_OPTIONAL,
    },
    {
        .name = "llamacpp",
        .codec = CHAT,
        .base_url = "http://127.0.0.1:8080/v1",
        .base_url_setting = "LLAMACPP_BASE_URL",
        .key_setting = "LLAMACPP_API_KEY",
        .quirks = PROVIDER_KEY_OPTIONAL,
    },
    {
        .name = "lmstudio",
        .codec = CHAT,
        .base_url = "http://127.0.0.1:1234/v1",
        .base_url_setting = "LMSTUDIO_BASE_URL",
        .key_setting = "LMSTUDIO_API_KEY",
        .quirks = PROVIDER_KEY_OPTIONAL,
    },
    {
        .name = "openai_compatible", /* Any other server of the dialect. */
        .codec = CHAT,
        .base_url_setting = "OPENAI_COMPATIBLE_BASE_URL",
        .key_setting = "OPENAI_COMPATIBLE_API_KEY",
        .quirks = PROVIDER_KEY_OPTIONAL,
    },
};

/* What a row must have to be asked. */
static bool is_sound(const struct provider_row *row)
{
    return row->codec == NULL ||
           (row->path != NULL && row->path[0] == '/' && row->key_setting != NULL &&
            row->base_url_setting != NULL && row->codec->put_body != NULL);
}

const struct provider_row *provider_find(str name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (str_is(name, rows[i].name)) {
            assert(is_sound(&rows[i]));
            return &rows[i];
        }
    }
    return NULL;
}

str provider_names(struct arena *arena)
{
    str names = STR_EMPTY;
    static_assert(COUNT_OF(rows) > 1, "there is one to name");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        names =
            arena_printf(arena, STR_FMT "%s%s", STR_ARG(names), i == 0 ? "" : ", ", rows[i].name);
    }
    assert(names.len > 0);
    return names;
}
