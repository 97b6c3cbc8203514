/*
 * lines: the lines of a text in which a pattern is found.
 *
 * Patterns are regular expressions as schemas have them. One that is none is looked for as it
 * stands, and whoever asked is told: models write "foo(" and mean it.
 */
#ifndef CLIENTS_SANDBOX_BOX_LINES_H
#define CLIENTS_SANDBOX_BOX_LINES_H

#include "service/base/arena.h"

struct pattern;

struct lines {
    str literal; /* What is looked for, where there is no expression. */
    struct pattern *pattern; /* NULL: there is none. */
    uint64_t steps; /* Left for all texts together. */
    uint64_t around; /* Lines shown before and behind. */
    bool is_spent; /* No steps are left. */
    bool is_literal_only; /* It was to be an expression, and is none. */
    str why_literal;
};

/* Texts live until the visitor returns. */
struct lines_match {
    str path;
    uint64_t number; /* From 1. */
    str text; /* Without its end; of a long line the beginning. */
    str around; /* With the lines before and behind. */
};

/* INVALID_ARGUMENT: the pattern is empty. Lives as long as the arena. */
status lines_init(struct lines *lines, str pattern, uint64_t around, struct arena *arena);
/* Shows each line that matches, in order; false: the visitor had enough. */
bool lines_search(struct lines *lines, str text, str path,
                  bool (*visit)(void *context, const struct lines_match *match), void *context);

#endif
