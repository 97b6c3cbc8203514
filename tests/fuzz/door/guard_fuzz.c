/*
 * Goal:   no bytes make the guard crash, hold much memory, or judge by where they are cut.
 * Method: the first byte says how the rest is cut; judged whole and in pieces, the two must agree,
 *         and so must what is counted as open. Then all is followed as the server's.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/door/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    NOW_US = 1000000,
    PIECES = 64, /* Bytes of the longest. */
};

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static enum guard_verdict judge(struct guard *guard, str bytes, size_t piece)
{
    guard_init(guard);
    enum guard_verdict verdict =
        guard_judge(guard, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), NOW_US);
    for (size_t at = 0; at < bytes.len && verdict == GUARD_FINE; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        verdict = guard_judge(guard, str_make(bytes.ptr + at, len), NOW_US);
    }
    return verdict;
}

static void follow(struct guard *guard, str bytes, size_t piece)
{
    for (size_t at = 0; at < bytes.len; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        guard_follow(guard, str_make(bytes.ptr + at, len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard whole;
    struct guard cut;
    if (size < 2) {
        return 0;
    }
    size_t piece = data[0] % PIECES + 1u;
    str bytes = str_make(data + 1, size - 1);
    enum guard_verdict verdict = judge(&whole, bytes, bytes.len);
    require(judge(&cut, bytes, piece) == verdict, "a cut changes the verdict");
    require(verdict < GUARD_VERDICTS, "a verdict that there is not");
    require(whole.open_count == cut.open_count, "a cut changes what is open");
    require(whole.open_count <= GUARD_OPEN_CALLS_MAX, "more calls are open than may be");
    follow(&whole, bytes, bytes.len);
    follow(&cut, bytes, piece);
    require(whole.open_count == cut.open_count, "a cut changes what the server ended");
    guard_fini(&whole);
    guard_fini(&cut);
    return 0;
}
