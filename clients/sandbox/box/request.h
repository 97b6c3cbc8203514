/*
 * request: what the box is asked, one JSON object.
 *
 *     {"tool": "read", "arguments": {...}, "workspace": "/workspace", "root": "/workspace"}
 *
 * `arguments` is what the model wrote, unchanged; the rest is said by whoever started the box.
 * Everything has a limit, and what is refused is refused with a sentence a model can act on.
 */
#ifndef CLIENTS_SANDBOX_BOX_REQUEST_H
#define CLIENTS_SANDBOX_BOX_REQUEST_H

#include "service/base/arena.h"

enum {
    REQUEST_BYTES_MAX = 8 << 20,
    REQUEST_PATH_BYTES_MAX = 4095,
    REQUEST_LIST_MAX = 256,
    REQUEST_TIMEOUT_S_MAX = 3600,
    REQUEST_TIMEOUT_S_DEFAULT = 300,
    REQUEST_RESULTS_MAX = 1000,
    REQUEST_CONTEXT_LINES_MAX = 20,
};

enum tool {
    TOOL_EXEC,
    TOOL_READ,
    TOOL_WRITE,
    TOOL_EDIT,
    TOOL_GLOB,
    TOOL_GREP,
    TOOL_COUNT,
};

struct pair {
    const char *name;
    const char *value;
};

struct list {
    str *items;
    size_t count;
};

/* What a tool has no use for is zero. No text with a NUL in it, but for contents. */
struct request {
    enum tool tool;
    str workspace; /* Absolute. Where commands begin and what paths are relative to. */
    str root; /* Absolute. What files must lie below; the workspace, unless it is said. */
    uint64_t max_output_chars;
    bool shows_progress;
    /* Limits of a command and of all it starts, each for itself; 0: none but those there are. */
    uint64_t max_processes; /* Of its user in its user namespace. */
    uint64_t max_open_files;
    uint64_t max_file_bytes; /* Of a file it writes. */
    uint64_t max_memory_bytes; /* Of addresses. */
    /* Of exec: `words` instead of `command` where no shell is wanted. */
    str command;
    struct list words;
    struct pair *environment;
    size_t environment_count;
    str input; /* What the command reads; empty: nothing. */
    uint64_t timeout_s;
    /* Of the others. */
    str path;
    str cwd; /* Of exec, too; empty: the workspace. */
    str content;
    str old_text;
    str new_text;
    uint64_t offset;
    uint64_t limit; /* 0: no limit but those of all. */
    bool numbers_lines;
    str pattern;
    struct list ignore;
    struct list include;
    uint64_t max_results;
    uint64_t context_lines;
};

const char *tool_name(enum tool tool); /* "exec" and so on. */
/* INVALID_ARGUMENT says what is missing or wrong. The request lives as long as the arena. */
status request_read(str text, struct arena *arena, struct request *ret);

#endif
