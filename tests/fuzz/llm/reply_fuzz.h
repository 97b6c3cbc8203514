/*
 * reply_fuzz: nothing a server sends crashes the reader, and how it is cut changes nothing.
 *
 * The first byte picks status, ending and cuts; the outcomes are compared as lines. A whole reply
 * goes back into a request, which must be valid JSON.
 */
#ifndef TESTS_FUZZ_LLM_REPLY_FUZZ_H
#define TESTS_FUZZ_LLM_REPLY_FUZZ_H

#include "service/base/base.h"

void reply_fuzz(const char *provider, const uint8_t *data, size_t size);

#endif
