/*
 * Goal:   nothing a server sends crashes the reader, and how it is cut changes nothing.
 * Method: the first byte picks status, ending and cuts; the outcomes are compared as lines.
 *         A whole reply goes back into a request, which must be valid JSON.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "service/base/json.h"
#include "service/base/utf8.h"
#include "service/llm/openai_chat.h"
#include "tests/unit/llm/outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_goes_back(const struct response *response, const struct outcome *outcome)
{
    const struct model_message message = {
        .role = MODEL_ROLE_ASSISTANT,
        .blocks = outcome->reply.blocks,
        .block_count = outcome->reply.block_count,
        .origin = STR("openrouter/m"),
    };
    const struct model_request request = {
        .model = STR("m"),
        .messages = &message,
        .message_count = 1,
        .temperature = NAN,
    };
    struct buf body = {0};

    openai_chat_put_body(response->row, &request, &body);
    /* Opaque parts may hold what is no UTF-8; everything else must be right. */
    assert(json_check(buf_str(&body)));
    buf_fini(&body);
    for (size_t i = 0; i < outcome->reply.block_count; i++) {
        const struct model_block *block = &outcome->reply.blocks[i];

        assert(utf8_is_valid(block->text) && utf8_is_valid(block->arguments));
        assert(block->kind != MODEL_BLOCK_TOOL_CALL || block->call_id.len > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct response response = {.row = provider_find(STR("openrouter")), .headers = STR("")};
    struct outcome whole;
    struct outcome cut;

    if (size < 1) {
        return 0;
    }
    uint64_t seed = data[0];

    response.http_status = (data[0] & 0x80) != 0 ? 400 + (data[0] & 0x7fu) : 200;
    response.end = (data[0] & 0x40) != 0 ? ATTEMPT_END_BROKEN : ATTEMPT_END_CLEAN;
    response.body = str_make(data + 1, size - 1);
    outcome_read(&whole, &response, cut_nowhere, NULL);
    outcome_read(&cut, &response, (data[0] & 1) != 0 ? cut_everywhere : cut_by_seed, &seed);
    assert(str_equal(outcome_line(&whole), outcome_line(&cut)));
    if (whole.state == ATTEMPT_WHOLE) {
        check_goes_back(&response, &whole);
    }
    outcome_fini(&whole);
    outcome_fini(&cut);
    return 0;
}
