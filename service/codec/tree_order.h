/*
 * tree_order: the facts of a tree's runs, in the order in which they were put into batches.
 *
 *   tree facts  root 16 | number 8  -> TreeFacts in records.proto
 *
 * Facts are numbered from 1. A row has the number of the first fact it speaks of, and stands for a
 * record of one run; the first row of a tree, for what its root was before the first child. A root
 * without children has no rows: there a fact's number is its seq.
 */
#ifndef SERVICE_CODEC_TREE_ORDER_H
#define SERVICE_CODEC_TREE_ORDER_H

#include "service/base/uuid.h"
#include "service/codec/index.h"

enum {
    TREE_FACTS_BYTES_MAX = 64,
};

struct tree_facts {
    uint64_t number; /* Of the first of them. */
    uuid run;
    uint32_t first_seq;
    uint32_t count;
};

/* The key's tail of the row that begins with that number, from 1. */
struct index_tail tree_facts_tail(uuid root, uint64_t number);
struct index_tail tree_facts_of(uuid root); /* The prefix of all of a tree. */
str tree_facts_encode(const struct tree_facts *facts, char ret[TREE_FACTS_BYTES_MAX]);
/* Of a key's tail and its row. DATA_LOSS: damaged. FAILED_PRECONDITION: of a later release. */
status tree_facts_decode(str tail, str bytes, struct tree_facts *ret);

#endif
