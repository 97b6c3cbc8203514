/*
 * Goal:   nothing a server of the Responses dialect sends crashes the reader; see reply_fuzz.h.
 */
#include "tests/fuzz/llm/reply_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    reply_fuzz("openai", data, size);
    return 0;
}
