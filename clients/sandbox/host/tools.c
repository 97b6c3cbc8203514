#include "clients/sandbox/host/tools.h"

#include <string.h>

#define TEXT(name, about) "\"" name "\":{\"type\":\"string\",\"description\":\"" about "\"}"
#define NUMBER(name, about) "\"" name "\":{\"type\":\"integer\",\"description\":\"" about "\"}"
#define FLAG(name, about) "\"" name "\":{\"type\":\"boolean\",\"description\":\"" about "\"}"
#define TEXTS(name, about)                                                                         \
    "\"" name "\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"description\":\"" about    \
    "\"}"
#define OBJECT(required, properties)                                                               \
    "{\"type\":\"object\",\"properties\":{" properties "},\"required\":[" required "]}"

const struct tool_row tool_rows[TOOLS_COUNT] = {
    {
        .name = "exec",
        .description = "Run a shell command in the sandbox: builds, tests, installations, anything "
                       "a shell does. Returns stdout, stderr and the exit code.",
        .parameters_json = OBJECT(
            "\"command\"", TEXT("command", "The shell command to run") "," TEXT(
                               "cwd", "Folder in which it begins; default: the "
                                      "workspace") ","
                                                   "\"env\":{\"type\":\"object\","
                                                   "\"additionalProperties\":{\"type\":"
                                                   "\"string\"},"
                                                   "\"description\":\"Environment "
                                                   "variables to set\"}," NUMBER(
                                                       "timeout", "Seconds after which it is "
                                                                  "killed (default: 300)")),
        .is_command = true,
    },
    {
        .name = "read",
        .description = "Read a text file. Give offset (lines to skip) and limit (lines to show) "
                       "for a part of it.",
        .parameters_json = OBJECT(
            "\"path\"",
            TEXT("path", "The file") "," NUMBER("offset", "Lines to skip, from 0") "," NUMBER(
                "limit", "Lines to show at most") "," FLAG("line_numbers",
                                                           "Show the number before each line")),
    },
    {
        .name = "write",
        .description = "Write a file: made if it is not there, replaced if it is. Folders on the "
                       "way to it are made.",
        .parameters_json = OBJECT("\"path\",\"content\"", TEXT("path", "The file") "," TEXT(
                                                              "content", "All it is to hold")),
        .changes_files = true,
    },
    {
        .name = "edit",
        .description = "Replace a text in a file by another. old_text has to match exactly, white "
                       "space and indentation included, and to stand there once.",
        .parameters_json = OBJECT(
            "\"path\",\"old_text\",\"new_text\"",
            TEXT("path", "The file") "," TEXT("old_text", "What to replace, exactly") "," TEXT(
                "new_text", "What to put in its place")),
        .changes_files = true,
    },
    {
        .name = "glob",
        .description = "Find files by a pattern of their path. What ignore files name is left out.",
        .parameters_json = OBJECT(
            "\"pattern\"",
            TEXT("pattern", "As *.ts or src/**/*.js") "," TEXT(
                "cwd", "Folder to search in") "," TEXTS("ignore", "Patterns of what to leave out")),
    },
    {
        .name = "grep",
        .description = "Find lines by a regular expression. Returns them with their files and "
                       "numbers. What ignore files name is left out.",
        .parameters_json = OBJECT(
            "\"pattern\"",
            TEXT("pattern", "The regular expression") "," TEXT(
                "cwd", "Folder to search "
                       "in") "," TEXTS("include",
                                       "Patterns of files to search, as "
                                       "*.ts") "," NUMBER("max_results", "Matches to "
                                                                         "return "
                                                                         "at most "
                                                                         "(default: "
                                                                         "100)") "," NUMBER("c"
                                                                                            "o"
                                                                                            "n"
                                                                                            "t"
                                                                                            "e"
                                                                                            "x"
                                                                                            "t"
                                                                                            "_"
                                                                                            "l"
                                                                                            "i"
                                                                                            "n"
                                                                                            "e"
                                                                                            "s",
                                                                                            "L"
                                                                                            "i"
                                                                                            "n"
                                                                                            "e"
                                                                                            "s"
                                                                                            " "
                                                                                            "t"
                                                                                            "o"
                                                                                            " "
                                                                                            "s"
                                                                                            "h"
                                                                                            "o"
                                                                                            "w"
                                                                                            " "
                                                                                            "a"
                                                                                            "r"
                                                                                            "o"
                                                                                            "u"
                                                                                            "n"
                                                                                            "d"
                                                                                            " "
                                                                                            "e"
                                                                                            "a"
                                                                                            "c"
                                                                                            "h"
                                                                                            " "
                                                                                            "m"
                                                                                            "a"
                                                                                            "t"
                                                                                            "c"
                                                                                            "h")),
    },
};

const struct tool_row *tools_find(const char *name, size_t len)
{
    for (size_t i = 0; i < TOOLS_COUNT; i++) {
        if (strlen(tool_rows[i].name) == len && memcmp(tool_rows[i].name, name, len) == 0) {
            return &tool_rows[i];
        }
    }
    return NULL;
}
