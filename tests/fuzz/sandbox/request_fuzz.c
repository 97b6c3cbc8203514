/*
 * Goal:   no request and no answer makes the box or its reader crash or read past its bytes.
 * Method: the same bytes as a request and as frames; what is taken keeps its limits, what is
 *         refused has a sentence.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/sandbox/box/frame.h"
#include "clients/sandbox/box/kept.h"
#include "clients/sandbox/box/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact, const char *what)
{
    if (!fact) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void read_request(str text)
{
    struct arena arena;
    struct request request;
    arena_init(&arena, 0);
    status outcome = request_read(text, &arena, &request);
    if (status_is_ok(outcome)) {
        require(request.workspace.ptr[0] == '/', "a workspace is absolute");
        require(request.root.ptr[0] == '/', "a root is absolute");
        require(request.timeout_s > 0 && request.timeout_s <= REQUEST_TIMEOUT_S_MAX, "a timeout");
        require(request.max_output_chars > 0 && request.max_output_chars <= KEPT_CHARS_MAX,
                "an output has a limit");
        require(request.path.len == 0 || memchr(request.path.ptr, '\0', request.path.len) == NULL,
                "a path has no NUL");
    } else {
        require(outcome.why != NULL && outcome.why[0] != '\0', "a refusal has a sentence");
    }
    arena_fini(&arena);
}

static void read_frames(str bytes)
{
    enum frame_kind kind;
    str body;
    bool is_broken = false;
    while (frame_take(&bytes, &kind, &body, &is_broken)) {
        require(!is_broken, "what was taken is whole");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_request(str_make(data, size));
    read_frames(str_make(data, size));
    return 0;
}
