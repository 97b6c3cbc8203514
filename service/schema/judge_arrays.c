#include <stdlib.h>

#include "service/schema/judge.h"

static bool judge_item_count(const struct trial *trial)
{
    bool is_least = trial->rule->keyword == KEYWORD_MIN_ITEMS;
    uint32_t bound = trial->rule->count;
    uint32_t count = trial->value->count;
    return trial->value->kind != JSON_ARRAY || (is_least ? count >= bound : count <= bound) ||
           judge_misfit(trial->judging, trial->value, "must have at %s %u elements, has %u",
                        is_least ? "least" : "most", (unsigned)bound, (unsigned)count);
}

static int by_value(const void *a, const void *b, void *steps)
{
    return value_compare(*(const struct value *const *)a, *(const struct value *const *)b, steps);
}

static bool judge_unique_items(const struct trial *trial)
{
    const struct value *array = trial->value;
    uint64_t steps = 0;
    size_t count = 0;
    if (array->kind != JSON_ARRAY || array->count < 2 || !trial->rule->value->is_true ||
        !judge_spend(trial->judging, array->count)) {
        return true;
    }
    const struct value **sorted = arena_alloc(trial->judging->arena, array->count * sizeof(void *));
    for (const struct value *item = array->first; item != NULL; item = item->next) {
        sorted[count++] = item;
    }
    qsort_r(sorted, count, sizeof(void *), by_value, &steps);
    for (size_t i = 1; i < count; i++) {
        if (value_compare(sorted[i - 1], sorted[i], &steps) == 0) {
            uint32_t a = sorted[i - 1]->index;
            uint32_t b = sorted[i]->index;
            return judge_misfit(trial->judging, array, "[%u] and [%u] must not be the same",
                                (unsigned)(a < b ? a : b), (unsigned)(a < b ? b : a));
        }
    }
    return judge_spend(trial->judging, steps);
}

static bool judge_prefix_items(const struct trial *trial)
{
    bool fits = true;
    const struct value *item = trial->value->first;
    if (trial->value->kind != JSON_ARRAY) {
        return true;
    }
    for (size_t i = 0; i < trial->rule->node_count && item != NULL; i++) {
        fits &= judge_node(trial->judging, trial->rule->nodes[i], item, NULL);
        marks_set(trial->marks, item->index);
        item = item->next;
    }
    return fits;
}

static bool judge_items(const struct trial *trial)
{
    bool fits = true;
    const struct rule *prefix = node_rule(trial->node, KEYWORD_PREFIX_ITEMS);
    size_t first = prefix == NULL ? 0 : prefix->node_count;
    if (trial->value->kind != JSON_ARRAY) {
        return true;
    }
    for (const struct value *item = trial->value->first; item != NULL; item = item->next) {
        if (item->index < first) {
            continue;
        }
        fits &= judge_spend(trial->judging, 1) &&
                judge_node(trial->judging, trial->rule->nodes[0], item, NULL);
        marks_set(trial->marks, item->index);
        if (!fits && (trial->judging->is_silent || trial->judging->is_costly)) {
            return false;
        }
    }
    return fits;
}

static bool judge_contains(const struct trial *trial)
{
    const struct rule *least = node_rule(trial->node, KEYWORD_MIN_CONTAINS);
    const struct rule *most = node_rule(trial->node, KEYWORD_MAX_CONTAINS);
    uint32_t count = 0;
    if (trial->value->kind != JSON_ARRAY) {
        return true;
    }
    for (const struct value *item = trial->value->first; item != NULL; item = item->next) {
        if (judge_silently(trial->judging, trial->rule->nodes[0], item, NULL)) {
            marks_set(trial->marks, item->index);
            count++;
        }
    }
    uint32_t wanted = least == NULL ? 1 : least->count;
    if (count < wanted) {
        return judge_misfit(trial->judging, trial->value,
                            "must have at least %u elements that fit `contains`, has %u",
                            (unsigned)wanted, (unsigned)count);
    }
    if (most != NULL && count > most->count) {
        return judge_misfit(trial->judging, trial->value,
                            "must have at most %u elements that fit `contains`, has %u",
                            (unsigned)most->count, (unsigned)count);
    }
    return true;
}

static bool judge_unevaluated_items(const struct trial *trial)
{
    bool fits = true;
    if (trial->value->kind != JSON_ARRAY) {
        return true;
    }
    for (const struct value *item = trial->value->first; item != NULL; item = item->next) {
        if (!marks_has(trial->marks, item->index)) {
            fits &= judge_node(trial->judging, trial->rule->nodes[0], item, NULL);
            marks_set(trial->marks, item->index);
        }
    }
    return fits;
}

rule_judge *const array_judges[KEYWORD_COUNT] = {
    [KEYWORD_MIN_ITEMS] = judge_item_count,
    [KEYWORD_MAX_ITEMS] = judge_item_count,
    [KEYWORD_UNIQUE_ITEMS] = judge_unique_items,
    [KEYWORD_PREFIX_ITEMS] = judge_prefix_items,
    [KEYWORD_ITEMS] = judge_items,
    [KEYWORD_CONTAINS] = judge_contains,
    [KEYWORD_UNEVALUATED_ITEMS] = judge_unevaluated_items,
};
