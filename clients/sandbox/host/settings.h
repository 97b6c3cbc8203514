/*
 * settings: what polos-sandbox was told on its command line.
 */
#ifndef CLIENTS_SANDBOX_HOST_SETTINGS_H
#define CLIENTS_SANDBOX_HOST_SETTINGS_H

#include "service/base/arena.h"

enum {
    SETTINGS_LIST_MAX = 256,
};

enum security {
    SECURITY_ASK, /* approval-always */
    SECURITY_ALLOWLIST, /* allowlist */
    SECURITY_ALLOW, /* allow-always */
};

struct settings {
    const char *server;
    const char *deployment;
    const char *host_id; /* NULL: made up. */
    const char *box; /* polos-box; NULL: beside this program. */
    const char *workspaces; /* Where each sandbox gets a folder. */
    const char *workspace; /* One folder for all instead, which stays; NULL: none. */
    const char *tools; /* With commas. */
    const char *security_word;
    enum security security;
    str allowlist[SETTINGS_LIST_MAX];
    size_t allowlist_count;
    const char *environment[2 * SETTINGS_LIST_MAX + 1]; /* Name and value by turns, then NULL. */
    size_t environment_count; /* Pairs. */
    bool asks_for_files;
    uint64_t exec_timeout_s;
    uint64_t max_output_chars;
    uint64_t calls_max; /* At once. */
    uint64_t user; /* Whom new folders belong to when root made them. */
    uint64_t max_processes;
    uint64_t max_open_files;
    uint64_t max_file_bytes;
    uint64_t max_memory_bytes; /* 0: no limit. */
};

/* INVALID_ARGUMENT says which option is wrong and why. Texts live as long as argv and the arena. */
status settings_read(int argc, char **argv, struct arena *arena, struct settings *ret);
/* Whether --help was asked for: then it has been printed. */
bool settings_help(int argc, char **argv);

#endif
