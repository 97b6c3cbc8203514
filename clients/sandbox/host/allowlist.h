/*
 * allowlist: whether a command may run without asking anybody.
 *
 * A pattern is words, as a command is: "npm test", "git diff *". A star within a word stands for
 * any characters of it; alone it is one word, and as the last word one or more. So what a pattern
 * says of a command's first words holds for what runs, whatever stands behind them.
 */
#ifndef CLIENTS_SANDBOX_HOST_ALLOWLIST_H
#define CLIENTS_SANDBOX_HOST_ALLOWLIST_H

#include "clients/sandbox/host/words.h"

/* Some pattern fits all of the words. A pattern without words fits nothing. */
bool allowlist_has(const str *patterns, size_t count, const struct words *words);

#endif
