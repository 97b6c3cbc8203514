/*
 * outcome: what an attempt makes of a response, with the bytes cut in a chosen way.
 */
#ifndef TESTS_UNIT_LLM_OUTCOME_H
#define TESTS_UNIT_LLM_OUTCOME_H

#include "service/llm/attempt.h"

struct outcome {
    struct arena arena;
    struct attempt *attempt;
    enum attempt_state state;
    struct model_reply reply; /* ATTEMPT_WHOLE. */
    const struct diagnosis *diagnosis; /* ATTEMPT_FAILED. */
    struct buf shown[3]; /* The deltas of each kind, joined. */
};

struct response {
    const struct provider_row *row;
    uint32_t http_status;
    str headers;
    str body;
    enum attempt_end end;
};

/* Where to cut: the length of the next piece, of what is left (> 0). */
typedef size_t cut_fn(void *context, size_t at, size_t left);

void outcome_read(struct outcome *outcome, const struct response *response, cut_fn *cut,
                  void *context);
void outcome_fini(struct outcome *outcome);
/* The joined texts of a kind of block. */
str outcome_text(struct outcome *outcome, enum model_block_kind kind);
/* Everything that matters, in one line: equal lines are equal outcomes. */
str outcome_line(struct outcome *outcome);

cut_fn cut_nowhere;
cut_fn cut_everywhere;
cut_fn cut_by_seed; /* Context: a uint64_t that it changes. */

#endif
