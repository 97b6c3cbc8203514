#include "clients/sandbox/host/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/base/json.h"

enum kind {
    KIND_TEXT,
    KIND_NUMBER,
    KIND_FLAG,
    KIND_PATTERNS,
    KIND_PAIRS,
};

#define PLACE(member) offsetof(struct settings, member)

/* One option: `--name VALUE`; a flag has no value. */
static const struct option {
    const char *name;
    enum kind kind;
    size_t offset;
    uint64_t min;
    uint64_t max;
    const char *help;
} options[] = {
    {"--server", KIND_TEXT, PLACE(server), 0, 0, "address of polosd (127.0.0.1:8080)"},
    {"--deployment", KIND_TEXT, PLACE(deployment), 0, 0, "version of this host (default)"},
    {"--host-id", KIND_TEXT, PLACE(host_id), 0, 0, "its name among hosts; made up otherwise"},
    {"--box", KIND_TEXT, PLACE(box), 0, 0, "the program polos-box; beside this one otherwise"},
    {"--workspaces", KIND_TEXT, PLACE(workspaces), 0, 0,
     "folder in which each sandbox gets one ($POLOS_WORKSPACES_DIR, ~/.polos/workspaces; "
     "of root /var/lib/polos/workspaces)"},
    {"--workspace", KIND_TEXT, PLACE(workspace), 0, 0,
     "one folder for all sandboxes instead, which is never removed"},
    {"--tools", KIND_TEXT, PLACE(tools), 0, 0, "which to offer (exec,read,write,edit,glob,grep)"},
    {"--exec-security", KIND_TEXT, PLACE(security_word), 0, 0,
     "approval-always (the default), allowlist or allow-always"},
    {"--allow", KIND_PATTERNS, 0, 0, 0, "a pattern of commands that need no approval; repeatable"},
    {"--env", KIND_PAIRS, 0, 0, 0, "NAME=VALUE for commands; repeatable"},
    {"--file-approval", KIND_FLAG, PLACE(asks_for_files), 0, 0, "write and edit ask, too"},
    {"--exec-timeout", KIND_NUMBER, PLACE(exec_timeout_s), 1, 3600, "seconds (300)"},
    {"--max-output-chars", KIND_NUMBER, PLACE(max_output_chars), 1, 150000,
     "of each output of a command (100000)"},
    {"--calls-max", KIND_NUMBER, PLACE(calls_max), 1, 1000, "at once (16)"},
    {"--user", KIND_NUMBER, PLACE(user), 0, UINT32_MAX - 1,
     "whom sandboxes run as when root starts this (64999)"},
    {"--max-processes", KIND_NUMBER, PLACE(max_processes), 1, UINT32_MAX,
     "of a command and all it starts (256)"},
    {"--max-open-files", KIND_NUMBER, PLACE(max_open_files), 16, UINT32_MAX,
     "of each of them (1024)"},
    {"--max-file-bytes", KIND_NUMBER, PLACE(max_file_bytes), 1, INT64_MAX,
     "of a file they write (1073741824)"},
    {"--max-memory-bytes", KIND_NUMBER, PLACE(max_memory_bytes), 0, INT64_MAX,
     "of addresses of each of them; 0: no limit (0)"},
};

bool settings_help(int argc, char **argv)
{
    bool wants = false;
    for (int i = 1; i < argc; i++) {
        wants |= strcmp(argv[i], "--help") == 0;
    }
    if (wants) {
        printf("polos-sandbox: a host that offers the tools of a sandbox\n\n");
        for (size_t i = 0; i < COUNT_OF(options); i++) {
            printf("  %-20s %s\n", options[i].name, options[i].help);
        }
    }
    return wants;
}

static const struct option *find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (strcmp(options[i].name, name) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static status read_pair(char *text, struct arena *arena, struct settings *settings)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || settings->environment_count == SETTINGS_LIST_MAX) {
        return status_make(CODE_INVALID_ARGUMENT, "--env takes NAME=VALUE, at most 256 times.");
    }
    str name = str_make(text, (size_t)(equals - text));
    settings->environment[2 * settings->environment_count] = arena_cstr(arena, name);
    settings->environment[2 * settings->environment_count + 1] = equals + 1;
    settings->environment_count++;
    return STATUS_OK;
}

static status read_value(const struct option *option, char *text, struct arena *arena,
                         struct settings *settings)
{
    void *place = (char *)settings + option->offset;
    uint64_t number;
    switch (option->kind) {
    case KIND_TEXT:
        *(const char **)place = text;
        return STATUS_OK;
    case KIND_NUMBER:
        if (!json_to_u64(str_of(text), &number) || number < option->min || number > option->max) {
            return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s takes a number from %ju to %ju.",
                              option->name, (uintmax_t)option->min, (uintmax_t)option->max);
        }
        *(uint64_t *)place = number;
        return STATUS_OK;
    case KIND_FLAG:
        *(bool *)place = true;
        return STATUS_OK;
    case KIND_PATTERNS:
        if (settings->allowlist_count == SETTINGS_LIST_MAX) {
            return status_make(CODE_INVALID_ARGUMENT, "--allow may be given 256 times.");
        }
        settings->allowlist[settings->allowlist_count++] = str_of(text);
        return STATUS_OK;
    case KIND_PAIRS:
        return read_pair(text, arena, settings);
    }
    return STATUS_OK;
}

static status read_security(struct arena *arena, struct settings *settings)
{
    static const char *const words[] = {
        [SECURITY_ASK] = "approval-always",
        [SECURITY_ALLOWLIST] = "allowlist",
        [SECURITY_ALLOW] = "allow-always",
    };
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(settings->security_word, words[i]) == 0) {
            settings->security = (enum security)i;
            return STATUS_OK;
        }
    }
    return arena_fail(arena, CODE_INVALID_ARGUMENT,
                      "--exec-security is approval-always, allowlist or allow-always, not %s.",
                      settings->security_word);
}

/* Where this program lies. */
static const char *beside(const char *name, struct arena *arena)
{
    char own[4096];
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    own[len < 0 ? 0 : len] = '\0';
    char *slash = strrchr(own, '/');
    int folder_len = slash == NULL ? 0 : (int)(slash - own);
    return arena_printf(arena, "%.*s/%s", folder_len, own, name).ptr;
}

static const char *default_workspaces(struct arena *arena)
{
    const char *told = getenv("POLOS_WORKSPACES_DIR");
    const char *home = getenv("HOME");
    if (told == NULL && geteuid() == 0) {
        return "/var/lib/polos/workspaces"; /* Whom it runs as could not reach root's home. */
    }
    return told != NULL ? told
                        : arena_printf(arena, "%s/.polos/workspaces", home == NULL ? "" : home).ptr;
}

static struct settings defaults(struct arena *arena)
{
    return (struct settings){
        .server = "127.0.0.1:8080",
        .deployment = "default",
        .tools = "exec,read,write,edit,glob,grep",
        .security_word = "approval-always",
        .workspaces = default_workspaces(arena),
        .exec_timeout_s = 300,
        .max_output_chars = 100000,
        .calls_max = 16,
        .user = 64999,
        .max_processes = 256,
        .max_open_files = 1024,
        .max_file_bytes = UINT64_C(1) << 30,
    };
}

status settings_read(int argc, char **argv, struct arena *arena, struct settings *ret)
{
    struct settings settings = defaults(arena);
    for (int i = 1; i < argc; i++) {
        const struct option *option = find(argv[i]);
        if (option == NULL) {
            return arena_fail(arena, CODE_INVALID_ARGUMENT, "There is no option %s; see --help.",
                              argv[i]);
        }
        bool has_value = option->kind != KIND_FLAG;
        if (has_value && i + 1 == argc) {
            return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s takes a value.", argv[i]);
        }
        TRY(read_value(option, has_value ? argv[++i] : NULL, arena, &settings));
    }
    TRY(read_security(arena, &settings));
    if (settings.box == NULL) {
        settings.box = beside("polos-box", arena);
    }
    *ret = settings;
    return STATUS_OK;
}
