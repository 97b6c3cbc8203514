#include "tests/fuzz/llm/reply_fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/base/json.h"
#include "service/base/utf8.h"
#include "tests/unit/llm/outcome.h"

static void check_goes_back(const struct response *response, const struct outcome *outcome)
{
    char name[64];
    int len = snprintf(name, sizeof(name), "%s/m", response->row->name);
    str origin = str_make(name, (size_t)len);
    const struct model_message message = {
        .role = MODEL_ROLE_ASSISTANT,
        .blocks = outcome->reply.blocks,
        .block_count = outcome->reply.block_count,
        .origin = origin,
    };
    const struct model_request request = {
        .model = STR("m"),
        .messages = &message,
        .message_count = 1,
        .temperature = NAN,
    };
    struct buf body = {0};
    response->row->codec->put_body(response->row, &request, &body);
    /* Opaque parts may hold what is no UTF-8; everything else must be right. */
    assert(json_check(buf_str(&body)));
    buf_fini(&body);
    for (size_t i = 0; i < outcome->reply.block_count; i++) {
        const struct model_block *block = &outcome->reply.blocks[i];
        assert(utf8_is_valid(block->text) && utf8_is_valid(block->arguments));
        assert(block->kind != MODEL_BLOCK_TOOL_CALL || block->call_id.len > 0);
    }
}

void reply_fuzz(const char *provider, const uint8_t *data, size_t size)
{
    struct response response = {.row = provider_find(str_of(provider)), .headers = STR("")};
    struct outcome whole;
    struct outcome cut;
    if (size < 1) {
        return;
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
}
