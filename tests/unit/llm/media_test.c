/*
 * Goal:   an image, a document, a sound reaches each provider in its own words, and what a provider
 *         can't be shown is refused by name.
 * Method: one message of a text and one piece of media; the piece of the body it becomes, and the
 *         sentence of the refusal.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/base/json.h"
#include "service/llm/providers.h"
#include "service/llm/request.h"

#define S(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    } /* STR() is no constant. */
#define DATA(type)                                                                                 \
    {                                                                                              \
        .kind = MODEL_BLOCK_MEDIA, .media_type = S(type), .data = S("QUJD")                        \
    }
#define LINK(type)                                                                                 \
    {                                                                                              \
        .kind = MODEL_BLOCK_MEDIA, .media_type = S(type), .url = S("https://x/y")                  \
    }

static const struct model_block png = DATA("image/png");
static const struct model_block png_link = LINK("image/png");
static const struct model_block link = LINK("");
static const struct model_block pdf = {.kind = MODEL_BLOCK_MEDIA,
                                       .media_type = S("application/pdf"),
                                       .data = S("QUJD"),
                                       .filename = S("a.pdf")};
static const struct model_block pdf_link = LINK("application/pdf");
static const struct model_block plain = DATA("text/plain");
static const struct model_block mp3 = DATA("audio/mpeg");
static const struct model_block zip = DATA("application/zip");

#define IN_RESPONSES(part)                                                                         \
    "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"see\"}," part "]}"
#define IN_CHAT(part)                                                                              \
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"}," part "]}"
#define IN_MESSAGES(part) IN_CHAT(part ",\"cache_control\":{\"type\":\"ephemeral\"}}")
#define IN_GEMINI(part) "{\"role\":\"user\",\"parts\":[{\"text\":\"see\"}," part "]}"
#define DATA_URL(type) "\"data:" type ";base64,QUJD\""

static const struct {
    const char *provider;
    const struct model_block *media;
    const char *sent; /* NULL: refused. */
} rows[] = {
    {"openai", &png,
     IN_RESPONSES("{\"type\":\"input_image\",\"image_url\":" DATA_URL("image/png") "}")},
    {"openai", &link, IN_RESPONSES("{\"type\":\"input_image\",\"image_url\":\"https://x/y\"}")},
    {"openai", &pdf,
     IN_RESPONSES("{\"type\":\"input_file\",\"filename\":\"a.pdf\",\"file_data\":" DATA_URL(
         "application/pdf") "}")},
    {"openai", &pdf_link, IN_RESPONSES("{\"type\":\"input_file\",\"file_url\":\"https://x/y\"}")},
    {"openai", &mp3, NULL},
    {"openai_chat", &png,
     IN_CHAT("{\"type\":\"image_url\",\"image_url\":{\"url\":" DATA_URL("image/png") "}}")},
    {"groq", &png_link,
     IN_CHAT("{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y\"}}")},
    {"openai_chat", &pdf,
     IN_CHAT("{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":" DATA_URL(
         "application/pdf") "}}")},
    {"openai_chat", &mp3,
     IN_CHAT("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"QUJD\",\"format\":\"mp3\"}}")},
    {"openai_chat", &pdf_link, NULL},
    {"openai_chat", &zip, NULL},
    {"anthropic", &png,
     IN_MESSAGES("{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
                 "png\",\"data\":\"QUJD\"}")},
    {"anthropic", &link,
     IN_MESSAGES("{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/y\"}")},
    {"anthropic", &pdf,
     IN_MESSAGES("{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
                 "\"application/pdf\",\"data\":\"QUJD\"},\"title\":\"a.pdf\"")},
    {"anthropic", &plain,
     IN_MESSAGES("{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/"
                 "plain\",\"data\":\"ABC\"}")},
    {"anthropic", &mp3, NULL},
    {"gemini", &mp3, IN_GEMINI("{\"inlineData\":{\"mimeType\":\"audio/mpeg\",\"data\":\"QUJD\"}}")},
    {"gemini", &pdf_link,
     IN_GEMINI("{\"fileData\":{\"mimeType\":\"application/pdf\",\"fileUri\":\"https://x/y\"}}")},
    {"gemini", &link, NULL},
    {"ollama_native", &png, "{\"role\":\"user\",\"content\":\"see\",\"images\":[\"QUJD\"]}"},
    {"ollama_native", &png_link, NULL},
};

static void check_row(size_t at, struct arena *arena)
{
    struct buf body = {0};
    const struct provider_row *row = provider_find(str_of(rows[at].provider));
    const struct model_block blocks[] = {{.kind = MODEL_BLOCK_TEXT, .text = STR("see")},
                                         *rows[at].media};
    const struct model_message message = {MODEL_ROLE_USER, blocks, COUNT_OF(blocks), STR(""),
                                          false};
    struct model_request request = {
        .model = STR("m"), .messages = &message, .message_count = 1, .temperature = NAN};
    status checked = request_check_media(row, &request, arena);
    if (rows[at].sent == NULL) {
        assert_int_equal(checked.code, CODE_UNIMPLEMENTED);
        assert_non_null(strstr(checked.why, "input[0].content[1] is "));
        assert_non_null(strstr(checked.why, rows[at].provider));
        assert_non_null(strstr(checked.why, row->codec->media));
        return;
    }
    assert_int_equal(checked.code, CODE_OK);
    row->codec->put_body(row, &request, &body);
    assert_true(json_is_object(buf_str(&body)));
    if (memmem(body.ptr, body.len, rows[at].sent, strlen(rows[at].sent)) == NULL) {
        fail_msg("%s:\n     got " STR_FMT "\nexpected %s", rows[at].provider,
                 STR_ARG(buf_str(&body)), rows[at].sent);
    }
    buf_fini(&body);
}

static void test_media(void **state)
{
    struct arena arena;
    (void)state;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_row(i, &arena);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
