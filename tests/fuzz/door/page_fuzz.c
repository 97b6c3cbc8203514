/*
 * Goal:   no request makes the page's reader crash, and none is answered that a longer one would
 *         not be.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/door/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum page_state before = PAGE_UNFINISHED;
    for (size_t len = 1; len <= size && before == PAGE_UNFINISHED; len++) {
        struct buf page = {0};
        before = page_answer(str_make(data, len), true, &page);
        if ((before == PAGE_ANSWERED) != (page.len > 0)) {
            fprintf(stderr, "broken: an answer without bytes, or bytes without an answer\n");
            abort();
        }
        buf_fini(&page);
    }
    return 0;
}
