/*
 * utf8: well-formed sequences, and where a cut through one lies.
 */
#ifndef SERVICE_BASE_UTF8_H
#define SERVICE_BASE_UTF8_H

#include "service/base/base.h"

/* The length of the well-formed sequence at `at` (< text.len), or 0. */
size_t utf8_len(str text, size_t at);
bool utf8_is_valid(str text); /* All of it; the empty text is. */
/* How many bytes at the end begin a character that could still be completed: 0 to 3. */
size_t utf8_tail_len(str text);
/* Writes the character into ret; returns its length. Surrogates and what lies beyond
 * U+10FFFF become U+FFFD. */
size_t utf8_encode(uint32_t character, char ret[4]);

#endif
