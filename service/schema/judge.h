/*
 * judge: a value against the rules of a node: between the judge files of this folder alone.
 */
#ifndef SERVICE_SCHEMA_JUDGE_H
#define SERVICE_SCHEMA_JUDGE_H

#include "service/schema/rules.h"

/* Which members or elements of a value have been looked at; NULL: nobody asks. */
struct marks {
    uint64_t *bits;
    size_t word_count;
};

struct judging {
    const struct schema *schema;
    struct arena *arena;
    const char *root;
    uint64_t steps; /* Left. */
    size_t depth;
    bool is_costly; /* Whatever has been found does not count. */
    bool is_silent; /* Whether it fits is asked, and not why it does not. */
    struct buf misfits;
    size_t misfit_count;
};

/* What a rule is judged with. */
struct trial {
    struct judging *judging;
    const struct node *node;
    const struct rule *rule;
    const struct value *value;
    struct marks *marks; /* Of value. */
};

/* Takes steps; false when there are not so many. */
bool judge_spend(struct judging *judging, uint64_t steps);
/* Whether the value fits. marks: of that value, or NULL when it is another's child. */
bool judge_node(struct judging *judging, const struct node *node, const struct value *value,
                struct marks *marks);
/* As judge_node(), without a word. */
bool judge_silently(struct judging *judging, const struct node *node, const struct value *value,
                    struct marks *marks);
/* Always false: tells why that value does not fit. */
bool judge_misfit(struct judging *judging, const struct value *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void marks_set(struct marks *marks, uint32_t index);
bool marks_has(const struct marks *marks, uint32_t index);
/* Whether the pattern matches; no, when there are no steps left. */
bool judge_pattern(struct judging *judging, struct pattern *pattern, str text);

typedef bool rule_judge(const struct trial *trial);

/* By keyword; NULL: another table has it. A rule is true for what it says nothing about. */
extern rule_judge *const scalar_judges[KEYWORD_COUNT];
extern rule_judge *const array_judges[KEYWORD_COUNT];
extern rule_judge *const object_judges[KEYWORD_COUNT];
extern rule_judge *const way_judges[KEYWORD_COUNT];

/* Appends "a string or null", for a rule's kinds. */
void put_kinds(uint32_t kinds, struct buf *ret);
/* Whether the value is of one of them. */
bool kinds_have(uint32_t kinds, const struct value *value);

#endif
