/*
 * shapes: small responses written by hand, each with its outcome as one line.
 */
#ifndef TESTS_UNIT_LLM_SHAPES_H
#define TESTS_UNIT_LLM_SHAPES_H

#include "tests/unit/llm/outcome.h"

enum {
    SHAPE_RECORDS_MAX = 12,
};

struct shape {
    const char *name;
    const char *records[SHAPE_RECORDS_MAX]; /* Each becomes an event; or, alone, see below. */
    const char *body; /* In place of records: the bytes. */
    const char *expected; /* `*` stands for sixteen characters: ids that are made. */
};

/* Reads each whole, byte by byte, and cut in ten random ways. */
void shapes_check(const char *provider, const struct shape *shapes, size_t count);

#endif
