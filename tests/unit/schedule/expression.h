/*
 * expression: a cron expression drawn from a seed, as text and as plain sets, and what is due by
 * the letter of cron.h: an oracle that looks at each minute and knows nothing of service/schedule.
 */
#ifndef TESTS_UNIT_SCHEDULE_EXPRESSION_H
#define TESTS_UNIT_SCHEDULE_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum expression_field {
    EXPRESSION_MINUTE,
    EXPRESSION_HOUR,
    EXPRESSION_DAY,
    EXPRESSION_MONTH,
    EXPRESSION_WEEKDAY,
    EXPRESSION_FIELDS,
};

struct expression {
    char text[512];
    bool has[EXPRESSION_FIELDS][60]; /* Sunday is 0. */
    bool is_open[EXPRESSION_FIELDS]; /* A star, a step, or all values. */
    bool has_star[EXPRESSION_FIELDS]; /* Begins with one. */
};

uint64_t draw(uint64_t *seed, uint64_t bound);
/* Most expressions have a tick on most days, many of them near `local`. */
void expression_draw(struct expression *expression, uint64_t *seed, const struct tm *local);
bool expression_fits(const struct expression *expression, const struct tm *local);

#endif
