/*
 * page_token: where the next page of a list begins, as callers carry it.
 *
 * It holds the name of the last thing of a page, with a checksum before it, so that what was never
 * given out is refused.
 */
#ifndef SERVICE_API_PAGE_TOKEN_H
#define SERVICE_API_PAGE_TOKEN_H

#include "service/api/check.h"

/* It lives in the arena. */
char *page_token_format(struct arena *arena, str last);
/* The name, which begins with the prefix, of at most bytes_max; an empty token has an empty one.
 * The copy lives as long as the check's arena. */
bool check_page_token(struct check *check, const char *token_text, str prefix, size_t bytes_max,
                      str *ret_last);

#endif
