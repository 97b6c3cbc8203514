/*
 * reply: puts a model's reply together from the pieces a codec finds.
 *
 * Pieces may end anywhere, inside a character or a pair of surrogates too: what is shown and kept
 * is whole UTF-8 only, with U+FFFD for bytes that are none and without NUL. Tool arguments get
 * their checks at the end, when they are whole.
 *
 * Invariant: the deltas of a kind, joined, are the texts of its blocks, joined.
 */
#ifndef SERVICE_LLM_REPLY_H
#define SERVICE_LLM_REPLY_H

#include "service/base/arena.h"
#include "service/base/buf.h"
#include "service/llm/provider.h"

enum {
    REPLY_BYTES_MAX = 16 << 20,
    REPLY_BLOCKS_MAX = 1024,
};

typedef void reply_delta_fn(void *context, enum model_delta_kind kind, str text);

struct reply_options {
    reply_delta_fn *delta; /* NULL: nobody watches. */
    void *context;
    uint64_t id_seed; /* Call ids the provider did not give are made from it. */
    const uint64_t *used_ids; /* str_hash() of the call ids in the request; borrowed. */
    size_t used_id_count;
};

struct reply_block {
    enum model_block_kind kind;
    struct buf text; /* A tool call's arguments. */
    char held[4]; /* The begin of a character whose rest has not come. */
    size_t held_len;
    char held_escape[6]; /* "\ud83d": the half of a pair whose other half has not come. */
    size_t held_escape_len; /* Of the escape, or 0. */
    struct buf call_id;
    struct buf name;
    struct buf raw;
};

struct reply {
    struct reply_options options;
    struct reply_block *blocks;
    size_t block_count;
    size_t block_capacity;
    size_t bytes;
    bool shown; /* A delta was given away: a retry would repeat it. */
    struct model_usage usage;
    enum model_stop stop;
    struct buf scratch;
    struct buf stop_raw;
    struct buf response_id;
    struct buf model;
};

/* options is copied, what it points to must live as long. */
void reply_init(struct reply *reply, const struct reply_options *options);
void reply_fini(struct reply *reply); /* What reply_finish() made stays: it is in the arena. */

/* The index of the new block. RESOURCE_EXHAUSTED beyond the limits, here and below. */
status reply_open(struct reply *reply, enum model_block_kind kind, size_t *ret_block);
/* Bytes at the end of a block, any piece of its text; shows what became whole. */
status reply_append(struct reply *reply, size_t block, str bytes);
/* The same for the characters of a raw JSON string. A surrogate pair that is cut over two of them
 * comes out whole; half a pair that stays alone is U+FFFD. */
status reply_append_string(struct reply *reply, size_t block, str raw);
/* Whether one of the blocks is a tool call. */
bool reply_has_call(const struct reply *reply);

/* Fills ret from what came; everything lives in the arena. Called once, at the end. */
void reply_finish(struct reply *reply, struct arena *arena, struct model_reply *ret);

#endif
