#include "service/schema/judge.h"

#include <stdio.h>

enum {
    STEPS_MAX = 1000000, /* Of one judgement: some tens of milliseconds. */
    DEPTH_MAX = 1000, /* Of nodes inside one another. */
    MISFIT_BYTES_MAX = 600,
};

bool judge_spend(struct judging *judging, uint64_t steps)
{
    if (judging->is_costly || steps > judging->steps) {
        judging->is_costly = true;
        return false;
    }
    judging->steps -= steps;
    return true;
}

bool judge_pattern(struct judging *judging, struct pattern *pattern, str text)
{
    bool matches = pattern_matches(pattern, text, &judging->steps);
    judging->is_costly |= judging->steps == 0;
    return matches && !judging->is_costly;
}

void marks_set(struct marks *marks, uint32_t index)
{
    if (marks != NULL && marks->word_count > 0) {
        assert(index / 64 < marks->word_count);
        marks->bits[index / 64] |= (uint64_t)1 << (index % 64);
    }
}

bool marks_has(const struct marks *marks, uint32_t index)
{
    assert(index / 64 < marks->word_count);
    return (marks->bits[index / 64] >> (index % 64) & 1) != 0;
}

static void marks_join(struct marks *marks, const struct marks *other)
{
    if (marks == NULL || marks->word_count == 0) {
        return;
    }
    assert(marks->word_count == other->word_count);
    for (size_t i = 0; i < other->word_count; i++) {
        marks->bits[i] |= other->bits[i];
    }
}

bool judge_misfit(struct judging *judging, const struct value *where, const char *format, ...)
{
    char why[MISFIT_BYTES_MAX];
    va_list arguments;
    if (judging->is_silent || judging->is_costly) {
        return false;
    }
    judging->misfit_count++;
    if (judging->misfit_count > SCHEMA_MISFITS_MAX) {
        return false;
    }
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    buf_put(&judging->misfits, judging->misfit_count == 1 ? STR_EMPTY : STR("; "));
    value_put_path(where, judging->root, &judging->misfits);
    buf_printf(&judging->misfits, ": %s", why);
    return false;
}

static rule_judge *judge_of(enum keyword keyword)
{
    rule_judge *const *const tables[] = {scalar_judges, array_judges, object_judges, way_judges};
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        if (tables[i][keyword] != NULL) {
            return tables[i][keyword];
        }
    }
    return NULL; /* What another keyword looks at: then, else, minContains, maxContains. */
}

static bool judge_rules(struct judging *judging, const struct node *node, const struct value *value,
                        struct marks *marks)
{
    bool fits = true;
    for (size_t i = 0; i < node->rule_count && (fits || !judging->is_silent); i++) {
        struct trial trial = {judging, node, &node->rules[i], value, marks};
        rule_judge *judge = judge_of(node->rules[i].keyword);
        bool needs_marks = node->rules[i].keyword >= KEYWORD_UNEVALUATED_ITEMS;
        if (!judge_spend(judging, 1) || (needs_marks && !fits)) {
            return false; /* What does not fit leaves no marks. */
        }
        fits &= judge == NULL || judge(&trial);
    }
    return fits && !judging->is_costly;
}

/* False: there are no steps for so many. */
static bool make_marks(struct judging *judging, const struct value *value, struct marks *ret)
{
    bool is_container = value->kind == JSON_OBJECT || value->kind == JSON_ARRAY;
    if (!judging->schema->has_unevaluated || !is_container) {
        return true;
    }
    ret->word_count = value->count / 64 + 1;
    if (!judge_spend(judging, ret->word_count)) {
        return false;
    }
    ret->bits = arena_zalloc(judging->arena, ret->word_count * sizeof(*ret->bits));
    return true;
}

bool judge_node(struct judging *judging, const struct node *node, const struct value *value,
                struct marks *marks)
{
    struct marks own = {0};
    if (node->is_false) {
        return judge_misfit(judging, value, "is not allowed");
    }
    if (judging->depth == DEPTH_MAX || !make_marks(judging, value, &own)) {
        judging->is_costly = true;
        return false;
    }
    judging->depth++;
    bool fits = judge_rules(judging, node, value, &own);
    judging->depth--;
    if (fits) {
        marks_join(marks, &own);
    }
    return fits;
}

bool judge_silently(struct judging *judging, const struct node *node, const struct value *value,
                    struct marks *marks)
{
    bool was_silent = judging->is_silent;
    judging->is_silent = true;
    bool fits = judge_node(judging, node, value, marks);
    judging->is_silent = was_silent;
    return fits;
}

status schema_judge(struct schema *schema, str text, const char *root, struct arena *arena)
{
    struct value *value;
    status read = value_read(text, arena, &value);
    if (!status_is_ok(read)) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s: %s", root, read.why);
    }
    struct judging judging = {.schema = schema, .arena = arena, .root = root, .steps = STEPS_MAX};
    bool fits = judge_node(&judging, schema->root, value, NULL);
    assert(judging.depth == 0);
    if (judging.misfit_count > SCHEMA_MISFITS_MAX) {
        buf_printf(&judging.misfits, "; and %zu more", judging.misfit_count - SCHEMA_MISFITS_MAX);
    }
    str why = buf_finish(&judging.misfits, arena);
    if (judging.is_costly) {
        return arena_fail(arena, CODE_RESOURCE_EXHAUSTED,
                          "%s: takes more steps to judge by its schema than there are (%d)", root,
                          STEPS_MAX);
    }
    assert(fits == (why.len == 0));
    return fits ? STATUS_OK : status_make(CODE_INVALID_ARGUMENT, why.ptr);
}
