#include "tests/unit/schedule/expression.h"

#include <stdio.h>
#include <string.h>

static const struct {
    int min;
    int max;
    const char *words;
} ranges[EXPRESSION_FIELDS] = {
    {0, 59, NULL},
    {0, 23, NULL},
    {1, 31, NULL},
    {1, 12, "jan Feb MAR apr May JUN jul Aug SEP oct Nov DEC"},
    {0, 6, "sun Mon TUE wed Thu FRI sat"},
};

uint64_t draw(uint64_t *seed, uint64_t bound)
{
    uint64_t value = *seed += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return (value ^ (value >> 31)) % bound;
}

static void put(struct expression *expression, const char *text)
{
    size_t len = strlen(expression->text);
    snprintf(expression->text + len, sizeof(expression->text) - len, "%s", text);
}

static void put_value(struct expression *expression, uint64_t *seed, int field, int value)
{
    char text[16];
    if (ranges[field].words != NULL && draw(seed, 2) == 0) {
        snprintf(text, sizeof(text), "%.3s",
                 ranges[field].words + 4 * (value % 7 * (field == EXPRESSION_WEEKDAY) +
                                            (value - 1) * (field == EXPRESSION_MONTH)));
    } else {
        bool is_sunday = field == EXPRESSION_WEEKDAY && value == 0;
        snprintf(text, sizeof(text), "%d", is_sunday && draw(seed, 2) == 0 ? 7 : value);
    }
    put(expression, text);
}

static void add(struct expression *expression, int field, int first, int last, int step)
{
    for (int value = first; value <= last; value += step) {
        expression->has[field][field == EXPRESSION_WEEKDAY ? value % 7 : value] = true;
    }
}

static int draw_step(struct expression *expression, uint64_t *seed, int field)
{
    char text[16];
    if (draw(seed, 2) == 0) {
        return 1;
    }
    int step = 1 + (int)draw(seed, ranges[field].max - ranges[field].min + 1);
    snprintf(text, sizeof(text), "/%d", step);
    put(expression, text);
    expression->is_open[field] = true;
    return step;
}

static void draw_star(struct expression *expression, uint64_t *seed, int field, bool is_first)
{
    put(expression, "*");
    expression->is_open[field] = true;
    expression->has_star[field] = expression->has_star[field] || is_first;
    int step = draw_step(expression, seed, field);
    add(expression, field, ranges[field].min, ranges[field].max, step);
}

static void draw_range(struct expression *expression, uint64_t *seed, int field)
{
    int min = ranges[field].min;
    int last_max = ranges[field].max + (field == EXPRESSION_WEEKDAY);
    int first = min + (int)draw(seed, ranges[field].max - min + 1);
    int last = first + (int)draw(seed, last_max - first + 1);
    char text[16];
    snprintf(text, sizeof(text), "%d-%d", first, last);
    put(expression, text);
    int step = draw_step(expression, seed, field);
    add(expression, field, first, last, step);
}

static void draw_item(struct expression *expression, uint64_t *seed, int field, int near,
                      bool is_first)
{
    int min = ranges[field].min;
    int count = ranges[field].max - min + 1;
    switch (draw(seed, 6)) {
    case 0:
        draw_star(expression, seed, field, is_first);
        return;
    case 1:
        draw_range(expression, seed, field);
        return;
    default: {
        bool is_near = draw(seed, 3) > 0;
        int value = is_near ? (near - min + (int)draw(seed, 3) - 1 + count) % count + min
                            : min + (int)draw(seed, count);
        put_value(expression, seed, field, value);
        add(expression, field, value, value, 1);
        return;
    }
    }
}

static void draw_field(struct expression *expression, uint64_t *seed, int field, int near)
{
    bool is_full = true;
    bool is_day = field > EXPRESSION_HOUR;
    if (draw(seed, 4) < (is_day ? 3 : 1)) {
        draw_star(expression, seed, field, true);
    } else {
        size_t count = 1 + draw(seed, 3);
        for (size_t i = 0; i < count; i++) {
            put(expression, i == 0 ? "" : ",");
            draw_item(expression, seed, field, near, i == 0);
        }
    }
    for (int value = ranges[field].min; value <= ranges[field].max; value++) {
        is_full = is_full && expression->has[field][value];
    }
    expression->is_open[field] = expression->is_open[field] || is_full;
}

void expression_draw(struct expression *expression, uint64_t *seed, const struct tm *local)
{
    const int near[EXPRESSION_FIELDS] = {local->tm_min, local->tm_hour, local->tm_mday,
                                         local->tm_mon + 1, local->tm_wday};
    memset(expression, 0, sizeof(*expression));
    for (int field = 0; field < EXPRESSION_FIELDS; field++) {
        put(expression, field == 0 ? "" : draw(seed, 2) == 0 ? " " : "\t ");
        draw_field(expression, seed, field, near[field]);
    }
}

bool expression_fits(const struct expression *expression, const struct tm *local)
{
    bool of_month = expression->has[EXPRESSION_DAY][local->tm_mday];
    bool of_week = expression->has[EXPRESSION_WEEKDAY][local->tm_wday];
    bool both = expression->has_star[EXPRESSION_DAY] || expression->has_star[EXPRESSION_WEEKDAY];
    return expression->has[EXPRESSION_MINUTE][local->tm_min] &&
           expression->has[EXPRESSION_HOUR][local->tm_hour] &&
           expression->has[EXPRESSION_MONTH][local->tm_mon + 1] &&
           (both ? of_month && of_week : of_month || of_week);
}
