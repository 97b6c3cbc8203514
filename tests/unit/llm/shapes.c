#include "tests/unit/llm/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/llm/outcome.h"

enum {
    SEEDS = 10,
};

static void build_body(const struct shape *shape, struct buf *ret)
{
    if (shape->body != NULL) {
        buf_put(ret, str_of(shape->body));
        return;
    }
    for (size_t i = 0; i < SHAPE_RECORDS_MAX && shape->records[i] != NULL; i++) {
        buf_printf(ret, "data: %s\n\n", shape->records[i]);
    }
}

/* `*` in the pattern stands for sixteen characters: ids that are made. */
static bool matches(str line, const char *pattern)
{
    size_t at = 0;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*') {
            at += 16;
        } else if (at >= line.len || line.ptr[at++] != *pattern) {
            return false;
        }
    }
    return at == line.len;
}

static void check_cut(const struct shape *shape, const struct response *response, cut_fn *cut,
                      uint64_t seed)
{
    struct outcome outcome;
    outcome_read(&outcome, response, cut, &seed);
    str line = outcome_line(&outcome);
    if (!matches(line, shape->expected)) {
        fail_msg("%s:\n     got " STR_FMT "\nexpected %s", shape->name, STR_ARG(line),
                 shape->expected);
    }
    if (outcome.state == ATTEMPT_WHOLE) {
        str reasoning = outcome_text(&outcome, MODEL_BLOCK_REASONING);
        assert_true(str_equal(buf_str(&outcome.shown[MODEL_DELTA_REASONING]), reasoning));
    }
    outcome_fini(&outcome);
}

void shapes_check(const char *provider, const struct shape *shapes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf body = {0};
        struct response response = {.row = provider_find(str_of(provider)), .http_status = 200};
        build_body(&shapes[i], &body);
        response.headers = STR("");
        response.body = buf_str(&body);
        check_cut(&shapes[i], &response, cut_nowhere, 0);
        check_cut(&shapes[i], &response, cut_everywhere, 0);
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            check_cut(&shapes[i], &response, cut_by_seed, seed);
        }
        buf_fini(&body);
    }
}
