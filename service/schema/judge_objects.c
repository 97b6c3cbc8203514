#include "service/base/utf8.h"
#include "service/schema/judge.h"

static bool judge_property_count(const struct trial *trial)
{
    bool is_least = trial->rule->keyword == KEYWORD_MIN_PROPERTIES;
    uint32_t bound = trial->rule->count;
    uint32_t count = trial->value->count;
    return trial->value->kind != JSON_OBJECT || (is_least ? count >= bound : count <= bound) ||
           judge_misfit(trial->judging, trial->value, "must have at %s %u members, has %u",
                        is_least ? "least" : "most", (unsigned)bound, (unsigned)count);
}

/* Each of the names; `whose` is what wants them, if it is another member. */
static bool require_names(const struct trial *trial, const struct value *names, str whose)
{
    bool fits = true;
    for (const struct value *name = names->first; name != NULL; name = name->next) {
        if (!judge_spend(trial->judging, 1)) {
            return false;
        }
        if (value_member(trial->value, name->text) != NULL) {
            continue;
        }
        struct value missing = {.parent = trial->value, .name = name->text};
        fits = whose.len == 0
                   ? judge_misfit(trial->judging, &missing, "is missing")
                   : judge_misfit(trial->judging, &missing,
                                  "is missing, as \"" STR_FMT "\" is there", STR_ARG(whose));
    }
    return fits;
}

static bool judge_required(const struct trial *trial)
{
    return trial->value->kind != JSON_OBJECT || require_names(trial, trial->rule->value, STR_EMPTY);
}

static bool judge_dependent_required(const struct trial *trial)
{
    bool fits = true;
    const struct value *map = trial->rule->value;
    for (const struct value *names = map->first; names != NULL; names = names->next) {
        if (judge_spend(trial->judging, 1) && value_member(trial->value, names->name) != NULL) {
            fits &= require_names(trial, names, names->name);
        }
    }
    return fits;
}

static bool judge_properties(const struct trial *trial)
{
    bool fits = true;
    size_t number = 0;
    const struct value *map = trial->rule->value;
    for (const struct value *property = map->first; property != NULL; property = property->next) {
        const struct value *member = value_member(trial->value, property->name);
        const struct node *node = trial->rule->nodes[number++];
        if (!judge_spend(trial->judging, 1)) {
            return false;
        }
        if (member != NULL) {
            fits &= judge_node(trial->judging, node, member, NULL);
            marks_set(trial->marks, member->index);
        }
    }
    return fits;
}

static bool judge_pattern_properties(const struct trial *trial)
{
    bool fits = true;
    if (trial->value->kind != JSON_OBJECT) {
        return true;
    }
    for (size_t i = 0; i < trial->rule->node_count; i++) {
        const struct value *member = trial->value->first;
        for (; member != NULL && !trial->judging->is_costly; member = member->next) {
            if (judge_pattern(trial->judging, trial->rule->patterns[i], member->name)) {
                fits &= judge_node(trial->judging, trial->rule->nodes[i], member, NULL);
                marks_set(trial->marks, member->index);
            }
        }
    }
    return fits;
}

/* Whether properties or patternProperties beside it speak of that name. */
static bool is_spoken_of(const struct trial *trial, str name)
{
    const struct rule *properties = node_rule(trial->node, KEYWORD_PROPERTIES);
    const struct rule *patterns = node_rule(trial->node, KEYWORD_PATTERN_PROPERTIES);
    if (properties != NULL && value_member(properties->value, name) != NULL) {
        return true;
    }
    for (size_t i = 0; patterns != NULL && i < patterns->node_count; i++) {
        if (judge_pattern(trial->judging, patterns->patterns[i], name)) {
            return true;
        }
    }
    return false;
}

/* A member that only this rule speaks of. */
static bool judge_other(const struct trial *trial, const struct value *member)
{
    const struct node *node = trial->rule->nodes[0];
    marks_set(trial->marks, member->index);
    return node->is_false ? judge_misfit(trial->judging, member, "is not a member it may have")
                          : judge_node(trial->judging, node, member, NULL);
}

static bool judge_additional_properties(const struct trial *trial)
{
    bool fits = true;
    if (trial->value->kind != JSON_OBJECT) {
        return true;
    }
    for (const struct value *member = trial->value->first; member != NULL; member = member->next) {
        if (!judge_spend(trial->judging, 1)) {
            return false;
        }
        fits &= is_spoken_of(trial, member->name) || judge_other(trial, member);
    }
    return fits;
}

static bool judge_unevaluated_properties(const struct trial *trial)
{
    bool fits = true;
    if (trial->value->kind != JSON_OBJECT) {
        return true;
    }
    for (const struct value *member = trial->value->first; member != NULL; member = member->next) {
        fits &= marks_has(trial->marks, member->index) || judge_other(trial, member);
    }
    return fits;
}

static bool judge_property_names(const struct trial *trial)
{
    bool fits = true;
    const struct node *node = trial->rule->nodes[0];
    if (trial->value->kind != JSON_OBJECT) {
        return true;
    }
    for (const struct value *member = trial->value->first; member != NULL; member = member->next) {
        struct value name = {.kind = JSON_STRING,
                             .text = member->name,
                             .raw = member->name,
                             .name = member->name,
                             .parent = trial->value};
        bool is_fine =
            judge_spend(trial->judging, 1) && judge_silently(trial->judging, node, &name, NULL);
        fits &= is_fine || judge_misfit(trial->judging, member, "has a name it must not have");
    }
    return fits;
}

static bool judge_dependent_schemas(const struct trial *trial)
{
    bool fits = true;
    size_t number = 0;
    const struct value *map = trial->rule->value;
    for (const struct value *one = map->first; one != NULL; one = one->next) {
        const struct node *node = trial->rule->nodes[number++];
        if (judge_spend(trial->judging, 1) && value_member(trial->value, one->name) != NULL) {
            fits &= judge_node(trial->judging, node, trial->value, trial->marks);
        }
    }
    return fits;
}

rule_judge *const object_judges[KEYWORD_COUNT] = {
    [KEYWORD_MIN_PROPERTIES] = judge_property_count,
    [KEYWORD_MAX_PROPERTIES] = judge_property_count,
    [KEYWORD_REQUIRED] = judge_required,
    [KEYWORD_DEPENDENT_REQUIRED] = judge_dependent_required,
    [KEYWORD_PROPERTIES] = judge_properties,
    [KEYWORD_PATTERN_PROPERTIES] = judge_pattern_properties,
    [KEYWORD_ADDITIONAL_PROPERTIES] = judge_additional_properties,
    [KEYWORD_PROPERTY_NAMES] = judge_property_names,
    [KEYWORD_DEPENDENT_SCHEMAS] = judge_dependent_schemas,
    [KEYWORD_UNEVALUATED_PROPERTIES] = judge_unevaluated_properties,
};
