/*
 * sha256: what the index of the recordings names bytes by.
 */
#ifndef TESTS_UNIT_LLM_SHA256_H
#define TESTS_UNIT_LLM_SHA256_H

#include "service/base/base.h"

/* In hexadecimal, with a NUL. */
void sha256_hex(str bytes, char ret[65]);

#endif
