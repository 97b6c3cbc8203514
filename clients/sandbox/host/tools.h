/*
 * tools: the six tools, as the server and models are told of them.
 */
#ifndef CLIENTS_SANDBOX_HOST_TOOLS_H
#define CLIENTS_SANDBOX_HOST_TOOLS_H

#include <stdbool.h>
#include <stddef.h>

struct tool_row {
    const char *name;
    const char *description;
    const char *parameters_json;
    bool is_command;
    bool changes_files;
};

enum {
    TOOLS_COUNT = 6,
};

extern const struct tool_row tool_rows[TOOLS_COUNT];

/* NULL: there is none of that name. */
const struct tool_row *tools_find(const char *name, size_t len);

#endif
