#include "service/schema/judge.h"

static bool judge_ref(const struct trial *trial)
{
    return judge_node(trial->judging, trial->rule->nodes[0], trial->value, trial->marks);
}

static bool judge_all_of(const struct trial *trial)
{
    bool fits = true;
    for (size_t i = 0; i < trial->rule->node_count; i++) {
        fits &= judge_node(trial->judging, trial->rule->nodes[i], trial->value, trial->marks);
    }
    return fits;
}

/* The kinds a node lets pass by its own word; all, if it has none. */
static uint32_t kinds_of(const struct node *node)
{
    const struct rule *ref = node_rule(node, KEYWORD_REF);
    const struct rule *type = node_rule(node, KEYWORD_TYPE);
    while (type == NULL && ref != NULL) {
        type = node_rule(ref->nodes[0], KEYWORD_TYPE);
        ref = node_rule(ref->nodes[0], KEYWORD_REF);
    }
    return type == NULL ? UINT32_MAX : type->kinds;
}

/* Fits no way. If one alone is for values of this kind, it says why; if none is, so is that. */
static bool explain_ways(const struct trial *trial)
{
    const struct node *only = NULL;
    size_t count = 0;
    uint32_t kinds = 0;
    for (size_t i = 0; i < trial->rule->node_count; i++) {
        uint32_t own = kinds_of(trial->rule->nodes[i]);
        kinds |= own;
        if (kinds_have(own, trial->value)) {
            only = trial->rule->nodes[i];
            count++;
        }
    }
    if (trial->judging->is_silent) {
        return false;
    }
    if (count == 1) {
        return judge_node(trial->judging, only, trial->value, NULL);
    }
    if (count == 0) {
        struct buf text = {0};
        put_kinds(kinds, &text);
        judge_misfit(trial->judging, trial->value, "must be " STR_FMT ", is %s",
                     STR_ARG(buf_str(&text)), value_kind_words(trial->value));
        buf_fini(&text);
        return false;
    }
    return judge_misfit(trial->judging, trial->value, "fits none of the %zu schemas it may fit",
                        trial->rule->node_count);
}

/* How many fit. No more than `enough` are looked for, unless each leaves marks. */
static size_t count_ways(const struct trial *trial, size_t enough)
{
    size_t count = 0;
    bool needs_all = trial->judging->schema->has_unevaluated;
    for (size_t i = 0; i < trial->rule->node_count && (count < enough || needs_all); i++) {
        count += judge_silently(trial->judging, trial->rule->nodes[i], trial->value, trial->marks);
    }
    return count;
}

static bool judge_any_of(const struct trial *trial)
{
    return count_ways(trial, 1) > 0 || explain_ways(trial);
}

static bool judge_one_of(const struct trial *trial)
{
    size_t count = count_ways(trial, 2);
    if (count > 1) {
        return judge_misfit(trial->judging, trial->value,
                            "fits more than one of the schemas of which it must fit one");
    }
    return count == 1 || explain_ways(trial);
}

static bool judge_not(const struct trial *trial)
{
    return !judge_silently(trial->judging, trial->rule->nodes[0], trial->value, NULL) ||
           judge_misfit(trial->judging, trial->value, "fits a schema it must not fit");
}

static bool judge_if(const struct trial *trial)
{
    bool is_so = judge_silently(trial->judging, trial->rule->nodes[0], trial->value, trial->marks);
    const struct rule *then = node_rule(trial->node, is_so ? KEYWORD_THEN : KEYWORD_ELSE);
    return then == NULL || judge_node(trial->judging, then->nodes[0], trial->value, trial->marks);
}

rule_judge *const way_judges[KEYWORD_COUNT] = {
    [KEYWORD_REF] = judge_ref,       [KEYWORD_ALL_OF] = judge_all_of,
    [KEYWORD_ANY_OF] = judge_any_of, [KEYWORD_ONE_OF] = judge_one_of,
    [KEYWORD_NOT] = judge_not,       [KEYWORD_IF] = judge_if,
};
