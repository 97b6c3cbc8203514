#include "service/api/page_token.h"

#include "service/base/crc32c.h"

enum {
    SUM_DIGITS = 8,
};

char *page_token_format(struct arena *arena, str last)
{
    assert(last.len > 0);
    str token = arena_printf(arena, "%0*x" STR_FMT, SUM_DIGITS, crc32c(0, last), STR_ARG(last));
    assert(token.len == SUM_DIGITS + last.len);
    return (char *)token.ptr;
}

bool check_page_token(struct check *check, const char *token_text, str prefix, size_t bytes_max,
                      str *ret_last)
{
    str token = str_of(token_text);
    *ret_last = STR_EMPTY;
    if (token.len == 0) {
        return true;
    }
    bool fits = token.len > SUM_DIGITS && token.len <= SUM_DIGITS + bytes_max;
    str last = STR_EMPTY;
    if (fits) {
        last = arena_copy(check->arena, str_make(token.ptr + SUM_DIGITS, token.len - SUM_DIGITS));
    }
    if (!fits || !str_starts_with(last, prefix) ||
        !str_is(token, page_token_format(check->arena, last))) {
        return check_fault(check, "page_token", "pass next_page_token of the page before");
    }
    *ret_last = last;
    return true;
}
