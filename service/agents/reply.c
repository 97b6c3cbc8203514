#include "polos/journal/v1/journal.pb-c.h"
#include "service/agents/transcript.h"
#include "service/codec/body.h"

static_assert((int)MODEL_BLOCK_TEXT == (int)BODY_BLOCK_TEXT, "disk");
static_assert((int)MODEL_BLOCK_REASONING == (int)BODY_BLOCK_REASONING, "disk");
static_assert((int)MODEL_BLOCK_REFUSAL == (int)BODY_BLOCK_REFUSAL, "disk");
static_assert((int)MODEL_BLOCK_TOOL_CALL == (int)BODY_BLOCK_TOOL_CALL, "disk");
static_assert((int)MODEL_BLOCK_TOOL_RESULT == (int)BODY_BLOCK_TOOL_RESULT, "disk");
static_assert((int)MODEL_BLOCK_OPAQUE == (int)BODY_BLOCK_OPAQUE, "disk");
static_assert(MODEL_STOP_END == 0 && MODEL_STOP_TOOL_USE == 1 && MODEL_STOP_MAX_TOKENS == 2,
              "disk");
static_assert(MODEL_STOP_SEQUENCE == 3 && MODEL_STOP_CONTENT_FILTER == 4, "disk");
static_assert(MODEL_STOP_REFUSAL == 5 && MODEL_STOP_PAUSE == 6 && MODEL_STOP_OTHER == 7, "disk");

static void block_to(const struct model_block *block, Polos__Journal__V1__ModelBlock *ret)
{
    assert((unsigned)block->kind < BODY_BLOCK_KIND_COUNT);
    polos__journal__v1__model_block__init(ret);
    ret->kind = (uint32_t)block->kind;
    ret->text = body_bytes(block->text);
    ret->call_id = body_bytes(block->call_id);
    ret->name = body_bytes(block->name);
    ret->arguments = body_bytes(block->arguments);
    ret->arguments_invalid = block->arguments_invalid;
    ret->raw = body_bytes(block->raw);
}

void transcript_pack_reply(const struct model_reply *reply, str origin, struct buf *ret)
{
    Polos__Journal__V1__ModelReply body = POLOS__JOURNAL__V1__MODEL_REPLY__INIT;
    struct arena arena;
    assert(reply->block_count <= BODY_REPEATED_MAX);
    assert((unsigned)reply->stop <= MODEL_STOP_OTHER);
    arena_init(&arena, 0);
    size_t count = reply->block_count;
    Polos__Journal__V1__ModelBlock *blocks = arena_alloc(&arena, count * sizeof(*blocks));
    body.blocks = arena_alloc(&arena, count * sizeof(blocks));
    for (size_t i = 0; i < count; i++) {
        block_to(&reply->blocks[i], &blocks[i]);
        body.blocks[i] = &blocks[i];
    }
    body.n_blocks = count;
    body.stop_raw = body_bytes(reply->stop_raw);
    body.response_id = body_bytes(reply->response_id);
    body.model = body_bytes(reply->model);
    body.origin = body_bytes(origin);
    body.stop = (uint32_t)reply->stop;
    body_pack(&body.base, ret);
    arena_fini(&arena);
}

static bool blocks_from(const Polos__Journal__V1__ModelReply *body, struct model_block *ret)
{
    for (size_t i = 0; i < body->n_blocks; i++) {
        const Polos__Journal__V1__ModelBlock *block = body->blocks[i];
        if (block->kind >= BODY_BLOCK_KIND_COUNT) {
            return false;
        }
        ret[i] = (struct model_block){
            .kind = (enum model_block_kind)block->kind,
            .text = body_str(block->text),
            .call_id = body_str(block->call_id),
            .name = body_str(block->name),
            .arguments = body_str(block->arguments),
            .arguments_invalid = block->arguments_invalid,
            .raw = body_str(block->raw),
        };
    }
    return true;
}

status transcript_unpack_reply(str packed, struct arena *arena, struct model_reply *ret,
                               str *ret_origin)
{
    const Polos__Journal__V1__ModelReply *body =
        (const Polos__Journal__V1__ModelReply *)body_unpack(
            &polos__journal__v1__model_reply__descriptor, packed, arena);
    if (body == NULL) {
        return status_make(CODE_DATA_LOSS, "reply of a model: damaged");
    }
    struct model_block *blocks = arena_alloc(arena, body->n_blocks * sizeof(*blocks));
    if (!blocks_from(body, blocks) || body->stop > MODEL_STOP_OTHER) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "reply of a model: a kind of block or stop this release does not know");
    }
    *ret = (struct model_reply){
        .blocks = blocks,
        .block_count = body->n_blocks,
        .stop = (enum model_stop)body->stop,
        .stop_raw = body_str(body->stop_raw),
        .response_id = body_str(body->response_id),
        .model = body_str(body->model),
    };
    *ret_origin = body_str(body->origin);
    return STATUS_OK;
}

static str join(const struct model_reply *reply, enum model_block_kind kind, struct arena *arena)
{
    struct buf text = {0};
    for (size_t i = 0; i < reply->block_count; i++) {
        if (reply->blocks[i].kind == kind) {
            buf_put(&text, reply->blocks[i].text);
        }
    }
    return buf_finish(&text, arena);
}

str transcript_reply_text(const struct model_reply *reply, struct arena *arena)
{
    return join(reply, MODEL_BLOCK_TEXT, arena);
}

str transcript_reply_said(const struct model_reply *reply, struct arena *arena)
{
    str text = join(reply, MODEL_BLOCK_TEXT, arena);
    return text.len > 0 ? text : join(reply, MODEL_BLOCK_REFUSAL, arena);
}
