/*
 * polos-box: does the six tools of a sandbox, from inside of it: one request, one answer.
 */
#include <signal.h>
#include <stdio.h>

#include "clients/sandbox/box/caller.h"
#include "clients/sandbox/box/command.h"
#include "clients/sandbox/box/files.h"
#include "clients/sandbox/box/frame.h"
#include "clients/sandbox/box/search.h"

typedef status file_tool(const struct place *place, const struct request *request,
                         struct arena *arena, struct buf *ret);

static file_tool *const file_tools[TOOL_COUNT] = {
    [TOOL_READ] = files_read,  [TOOL_WRITE] = files_write, [TOOL_EDIT] = files_edit,
    [TOOL_GLOB] = search_glob, [TOOL_GREP] = search_grep,
};

static status run_file_tool(const struct request *request, struct arena *arena, struct buf *ret)
{
    struct place place;
    TRY(place_open(request->root, request->workspace, arena, &place));
    status outcome = file_tools[request->tool](&place, request, arena, ret);
    place_close(&place);
    return outcome;
}

static status answer(struct arena *arena, struct buf *result, struct buf *unwritten)
{
    struct request request;
    str text;
    TRY(caller_take_request(arena, &text));
    TRY(request_read(text, arena, &request));
    return request.tool == TOOL_EXEC ? command_run(&request, arena, result, unwritten)
                                     : run_file_tool(&request, arena, result);
}

int main(void)
{
    struct arena arena;
    struct buf result = {0};
    struct buf unwritten = {0};
    signal(SIGPIPE, SIG_IGN);
    arena_init(&arena, 0);
    status outcome = answer(&arena, &result, &unwritten);
    if (status_is_ok(outcome)) {
        frame_put(&unwritten, FRAME_RESULT, buf_str(&result));
    } else {
        frame_put_failure(&unwritten, outcome);
    }
    bool is_written = caller_write(buf_str(&unwritten));
    buf_fini(&unwritten);
    buf_fini(&result);
    arena_fini(&arena);
    return is_written ? 0 : 1;
}
