#include "service/base/utf8.h"
#include "service/schema/judge.h"

enum {
    SHOWN_BYTES = 60, /* Of a value in a sentence. */
    LISTED_MAX = 10, /* Of the values it may have. */
};

static str shown(const struct value *value)
{
    str raw = value->raw;
    if (raw.len > SHOWN_BYTES) {
        raw.len = SHOWN_BYTES;
        raw.len -= utf8_tail_len(raw);
    }
    return raw;
}

bool kinds_have(uint32_t kinds, const struct value *value)
{
    if ((kinds >> value->kind & 1) != 0) {
        return true;
    }
    return value->kind == JSON_NUMBER && (kinds & RULE_INTEGER) != 0 &&
           decimal_is_whole(&value->number);
}

void put_kinds(uint32_t kinds, struct buf *ret)
{
    static const struct {
        uint32_t kinds;
        const char *words;
    } all[] = {
        {1u << JSON_OBJECT, "an object"}, {1u << JSON_ARRAY, "an array"},
        {1u << JSON_STRING, "a string"},  {1u << JSON_NUMBER, "a number"},
        {RULE_INTEGER, "a whole number"}, {1u << JSON_BOOL, "a boolean"},
        {1u << JSON_NULL, "null"},
    };
    uint32_t left = kinds;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if ((left & all[i].kinds) == 0) {
            continue;
        }
        bool is_first = left == kinds;
        left &= ~all[i].kinds;
        buf_put(ret, is_first ? STR_EMPTY : left == 0 ? STR(" or ") : STR(", "));
        buf_put(ret, str_of(all[i].words));
    }
}

static bool judge_type(const struct trial *trial)
{
    struct buf kinds = {0};
    if (kinds_have(trial->rule->kinds, trial->value)) {
        return true;
    }
    put_kinds(trial->rule->kinds, &kinds);
    bool is_fraction = trial->value->kind == JSON_NUMBER;
    str number = shown(trial->value);
    judge_misfit(trial->judging, trial->value, "must be " STR_FMT ", is " STR_FMT,
                 STR_ARG(buf_str(&kinds)),
                 STR_ARG(is_fraction ? number : str_of(value_kind_words(trial->value))));
    buf_fini(&kinds);
    return false;
}

static bool is_equal(const struct trial *trial, const struct value *wanted)
{
    uint64_t steps = 0;
    bool equal = value_compare(trial->value, wanted, &steps) == 0;
    return judge_spend(trial->judging, steps) && equal;
}

static bool judge_const(const struct trial *trial)
{
    str wanted = shown(trial->rule->value);
    return is_equal(trial, trial->rule->value) ||
           judge_misfit(trial->judging, trial->value, "must be " STR_FMT, STR_ARG(wanted));
}

static bool judge_enum(const struct trial *trial)
{
    const struct value *list = trial->rule->value;
    struct buf text = {0};
    for (const struct value *one = list->first; one != NULL; one = one->next) {
        if (is_equal(trial, one)) {
            buf_fini(&text);
            return true;
        }
        if (one->index < LISTED_MAX && !trial->judging->is_silent) {
            str written = shown(one);
            buf_printf(&text, "%s" STR_FMT, one->index == 0 ? "" : ", ", STR_ARG(written));
        }
    }
    judge_misfit(trial->judging, trial->value, "must be one of " STR_FMT "%s",
                 STR_ARG(buf_str(&text)), list->count > LISTED_MAX ? ", ..." : "");
    buf_fini(&text);
    return false;
}

static bool judge_multiple_of(const struct trial *trial)
{
    str step = shown(trial->rule->value);
    return trial->value->kind != JSON_NUMBER ||
           decimal_is_multiple(&trial->value->number, &trial->rule->value->number) ||
           judge_misfit(trial->judging, trial->value, "must be a multiple of " STR_FMT,
                        STR_ARG(step));
}

static bool judge_bound(const struct trial *trial)
{
    static const struct {
        int refused; /* How the value must not stand to the bound. */
        bool is_same_refused;
        const char *words;
    } bounds[] = {
        [KEYWORD_MINIMUM - KEYWORD_MINIMUM] = {-1, false, "at least"},
        [KEYWORD_MAXIMUM - KEYWORD_MINIMUM] = {1, false, "at most"},
        [KEYWORD_EXCLUSIVE_MINIMUM - KEYWORD_MINIMUM] = {-1, true, "more than"},
        [KEYWORD_EXCLUSIVE_MAXIMUM - KEYWORD_MINIMUM] = {1, true, "less than"},
    };
    size_t which = trial->rule->keyword - KEYWORD_MINIMUM;
    assert(which < COUNT_OF(bounds));
    if (trial->value->kind != JSON_NUMBER) {
        return true;
    }
    int order = decimal_compare(&trial->value->number, &trial->rule->value->number);
    bool is_refused =
        order == 0 ? bounds[which].is_same_refused : (order < 0) == (bounds[which].refused < 0);
    str bound = shown(trial->rule->value);
    str is = shown(trial->value);
    return !is_refused ||
           judge_misfit(trial->judging, trial->value, "must be %s " STR_FMT ", is " STR_FMT,
                        bounds[which].words, STR_ARG(bound), STR_ARG(is));
}

static size_t count_characters(str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += ((uint8_t)text.ptr[i] & 0xc0) != 0x80;
    }
    return count;
}

static bool judge_length(const struct trial *trial)
{
    bool is_least = trial->rule->keyword == KEYWORD_MIN_LENGTH;
    uint32_t bound = trial->rule->count;
    if (trial->value->kind != JSON_STRING) {
        return true;
    }
    size_t length = count_characters(trial->value->text);
    (void)judge_spend(trial->judging, trial->value->text.len / 64);
    return (is_least ? length >= bound : length <= bound) ||
           judge_misfit(trial->judging, trial->value, "must have at %s %u characters, has %zu",
                        is_least ? "least" : "most", (unsigned)bound, length);
}

static bool judge_text_pattern(const struct trial *trial)
{
    str pattern = shown(trial->rule->value);
    return trial->value->kind != JSON_STRING ||
           judge_pattern(trial->judging, trial->rule->patterns[0], trial->value->text) ||
           judge_misfit(trial->judging, trial->value, "must match the pattern " STR_FMT,
                        STR_ARG(pattern));
}

rule_judge *const scalar_judges[KEYWORD_COUNT] = {
    [KEYWORD_TYPE] = judge_type,
    [KEYWORD_CONST] = judge_const,
    [KEYWORD_ENUM] = judge_enum,
    [KEYWORD_MULTIPLE_OF] = judge_multiple_of,
    [KEYWORD_MINIMUM] = judge_bound,
    [KEYWORD_MAXIMUM] = judge_bound,
    [KEYWORD_EXCLUSIVE_MINIMUM] = judge_bound,
    [KEYWORD_EXCLUSIVE_MAXIMUM] = judge_bound,
    [KEYWORD_MIN_LENGTH] = judge_length,
    [KEYWORD_MAX_LENGTH] = judge_length,
    [KEYWORD_PATTERN] = judge_text_pattern,
};
