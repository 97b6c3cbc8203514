#include "service/config.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

enum config_type {
    CONFIG_TEXT, /* Not empty. */
    CONFIG_FILE, /* Empty: none, NULL. */
    CONFIG_LOG_LEVEL,
    CONFIG_NUMBER,
};

struct config_row {
    const char *name; /* Of the option, without the dashes. */
    enum config_type type;
    size_t offset; /* In struct config. */
    const char *otherwise; /* The default, as one would write it. */
    uint64_t min; /* NUMBER. */
    uint64_t max;
    const char *sentence;
};

#define AT(field) offsetof(struct config, field)
#define MS_PER_DAY ((uint64_t)24 * 3600 * 1000)
#define GIB ((uint64_t)1 << 30)

static const struct config_row rows[] = {
    {"listen", CONFIG_TEXT, AT(listen), "127.0.0.1:8080", 0, 0,
     "Address and port to serve gRPC on; port 0 takes any free one."},
    {"tls-certificates", CONFIG_FILE, AT(tls_certificates), "", 0, 0,
     "File (PEM) of the server's certificate and those that vouch for it; read again on SIGHUP."},
    {"tls-key", CONFIG_FILE, AT(tls_key), "", 0, 0,
     "File (PEM) of the certificate's key, without a password."},
    {"tls-client-ca", CONFIG_FILE, AT(tls_client_ca), "", 0, 0,
     "File (PEM) of authorities; a client has to show a certificate that one of them signed."},
    {"tls-only", CONFIG_NUMBER, AT(tls_only), "1", 0, 1,
     "1: with certificates, who speaks no TLS is refused; 0: both are served."},
    {"allow-no-keys", CONFIG_NUMBER, AT(allow_no_keys), "0", 0, 1,
     "1: an address that others reach is served though there are no keys, and whoever comes may do "
     "everything."},
    {"allow-no-tls", CONFIG_NUMBER, AT(allow_no_tls), "0", 0, 1,
     "1: such an address is served though callers, and their keys, may come without TLS."},
    {"connections-max", CONFIG_NUMBER, AT(connections_max), "0", 0, 1000000,
     "Connections at once; 0: as many as the process may have descriptors for, three each."},
    {"connections-per-address-max", CONFIG_NUMBER, AT(connections_per_address_max), "0", 0, 1000000,
     "Connections of one address (IPv6: of one /64) at once; 0: a quarter of all."},
    {"data", CONFIG_TEXT, AT(data), "./polos-data", 0, 0,
     "Folder of the store; made if it is missing. One polosd at a time."},
    {"log-level", CONFIG_LOG_LEVEL, AT(log_level), "info", 0, 0,
     "The least important log line that is written: debug, info, warn or error."},
    {"threads", CONFIG_NUMBER, AT(threads), "2", 1, 64, "Threads that serve gRPC."},
    {"message-bytes-max", CONFIG_NUMBER, AT(message_bytes_max), "4194304", 65536, 256 << 20,
     "Bytes of a message the server receives."},
    {"input-bytes-max", CONFIG_NUMBER, AT(input_bytes_max), "1048576", 1024, 64 << 20,
     "Bytes of a run's input; less than message-bytes-max."},
    {"history-bytes-max", CONFIG_NUMBER, AT(history_bytes_max), "1073741824", 65536, 1099511627776,
     "Bytes of a run's history; a run that passes it fails with HISTORY_TOO_LARGE."},
    {"connection-idle-s", CONFIG_NUMBER, AT(connection_idle_s), "1800", 10, 7 * 24 * 3600,
     "Seconds without a call after which a connection is closed."},
    {"run-timeout-ms", CONFIG_NUMBER, AT(run_timeout_ms), "86400000", 1, 366 * MS_PER_DAY,
     "Milliseconds a run may take when its start says nothing."},
    {"lease-ms", CONFIG_NUMBER, AT(lease_ms), "15000", 100, MS_PER_DAY,
     "Milliseconds of silence after which a host is lost and its tasks go to another one."},
    {"redial-ms", CONFIG_NUMBER, AT(redial_ms), "5000", 100, MS_PER_DAY,
     "Milliseconds that a host whose stream was closed has to dial again; at most a lease."},
    {"waiting-runs-max", CONFIG_NUMBER, AT(waiting_runs_max), "1000", 1, 10000000,
     "Runs that only wait and are in memory all the same, 7 kB each; the others are on disk only."},
    {"watchers-max", CONFIG_NUMBER, AT(watchers_max), "10000", 1, 1000000,
     "Watchers of one run; subscribers of one topic."},
    {"watchers-in-all-max", CONFIG_NUMBER, AT(watchers_in_all_max), "100000", 1, 10000000,
     "Watchers of all runs together; as many subscribers."},
    {"watch-bytes-max", CONFIG_NUMBER, AT(watch_bytes_max), "268435456", 1048576, 1099511627776,
     "Bytes that wait until watchers and subscribers have read them; over it, each is sent one "
     "thing "
     "at a time."},
    {"inbox-max", CONFIG_NUMBER, AT(inbox_max), "65536", 16, 10000000,
     "Requests that may wait for the engine; more are refused with RESOURCE_EXHAUSTED."},
    {"inbox-bytes-max", CONFIG_NUMBER, AT(inbox_bytes_max), "67108864", 65536, 1099511627776,
     "Bytes of memory that they may take; beyond it, hosts are read from no more until there is "
     "room."},
    {"receive-bytes-max", CONFIG_NUMBER, AT(receive_bytes_max), "536870912", 1048576, 1099511627776,
     "Bytes of requests that are taken in at once, before the engine has them; more wait with "
     "those who send them, or are refused with RESOURCE_EXHAUSTED."},
    {"batch-max", CONFIG_NUMBER, AT(batch_max), "1024", 1, 100000,
     "Requests that share one commit."},
    {"snapshot-every", CONFIG_NUMBER, AT(snapshot_every), "64", 1, 100000,
     "Events of a run between snapshots of its state; 256 KiB of them make one, too."},
    {"read-threads", CONFIG_NUMBER, AT(read_threads), "2", 1, 64,
     "Threads that read the store for callers, beside the engine."},
    {"tree-depth-max", CONFIG_NUMBER, AT(tree_depth_max), "1000", 1, 1000000,
     "Runs one above the other in a tree; the code that would start one more is told."},
    {"tree-runs-max", CONFIG_NUMBER, AT(tree_runs_max), "100000", 1, 10000000,
     "Runs below one root that have not ended; the code that would start more is told."},
    {"free-bytes-soft", CONFIG_NUMBER, AT(free_bytes_soft), "1073741824", 1, 1024 * GIB,
     "Free bytes on the volume of the store below which no run is started."},
    {"free-bytes-hard", CONFIG_NUMBER, AT(free_bytes_hard), "268435456", 1, 1024 * GIB,
     "Free bytes on the volume below which nothing is written; at most free-bytes-soft."},
    {"cache-bytes", CONFIG_NUMBER, AT(cache_bytes), "67108864", 1 << 20, 1024 * GIB,
     "Bytes of the store's block cache."},
    {"zone-folder", CONFIG_TEXT, AT(zone_folder), "/usr/share/zoneinfo", 0, 0,
     "Folder of the time zones of schedules (Debian's package tzdata); read once per zone."},
    {"model-first-byte-ms", CONFIG_NUMBER, AT(model_first_byte_ms), "300000", 100, MS_PER_DAY,
     "Milliseconds a model may take to begin its answer."},
    {"model-idle-ms", CONFIG_NUMBER, AT(model_idle_ms), "90000", 100, MS_PER_DAY,
     "Milliseconds of silence in the middle of an answer after which it is given up."},
    {"model-quiet-ms", CONFIG_NUMBER, AT(model_quiet_ms), "600000", 100, MS_PER_DAY,
     "Milliseconds of nothing but signs of life in an answer after which it is given up."},
    {"model-attempts-max", CONFIG_NUMBER, AT(model_attempts_max), "4", 1, 5,
     "Tries of one model call, each one request; then the run fails."},
    {"model-retry-after-max-ms", CONFIG_NUMBER, AT(model_retry_after_max_ms), "600000", 1,
     MS_PER_DAY, "Milliseconds a provider may ask for between two tries; if more, the run fails."},
    {"model-hosts", CONFIG_TEXT, AT(model_hosts), "local", 0, 0,
     "What a base_url of an agent may reach besides public addresses, with commas between: hosts, "
     "with or without a port; local: this machine, while --listen is on it only; private: "
     "10.0.0.0/8 and its like; none."},
    {"model-calls-max", CONFIG_NUMBER, AT(model_calls_max), "256", 1, 100000,
     "Model calls in flight; more wait, and their runs say where. Servers take turns, projects "
     "too, "
     "and each is sure of some."},
    {"drain-ms", CONFIG_NUMBER, AT(drain_ms), "10000", 0, 3600000,
     "Milliseconds that calls in flight, of callers and to models, may take to finish after "
     "SIGTERM."},
    {"clock-ahead-ms", CONFIG_NUMBER, AT(clock_ahead_ms), "0", 0, 36600 * MS_PER_DAY,
     "For tests: milliseconds by which the server's clock is ahead of the machine's, so that what "
     "waits for a time is due."},
};

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};
static_assert(COUNT_OF(level_names) == LOG_ERROR + 1, "a level has no name");

enum {
    VARIABLE_BYTES = 64,
};

static void variable_of(const struct config_row *row, char ret[VARIABLE_BYTES])
{
    static const char prefix[] = "POLOSD_";
    size_t len = strlen(row->name);
    assert(len > 0);
    assert(sizeof(prefix) + len <= VARIABLE_BYTES);
    memcpy(ret, prefix, sizeof(prefix));
    char *at = ret + sizeof(prefix) - 1;
    for (size_t i = 0; i <= len; i++) {
        char letter = row->name[i];
        at[i] = letter == '-' ? '_' : (char)toupper((unsigned char)letter);
    }
}

static bool parse_number(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = 10 * value + digit;
    }
    *ret = value;
    return true;
}

static status set_number(const struct config_row *row, const char *source, const char *text,
                         struct arena *arena, uint64_t *ret)
{
    uint64_t value = 0;
    assert(row->type == CONFIG_NUMBER && row->min <= row->max);
    if (!parse_number(text, &value) || value < row->min || value > row->max) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "%s takes a whole number from %" PRIu64 " to %" PRIu64 ", not \"%s\"",
                          source, row->min, row->max, text);
    }
    *ret = value;
    return STATUS_OK;
}

static status set_level(const char *source, const char *text, struct arena *arena,
                        enum log_level *ret)
{
    for (size_t i = 0; i < COUNT_OF(level_names); i++) {
        if (strcmp(level_names[i], text) == 0) {
            *ret = (enum log_level)i;
            return STATUS_OK;
        }
    }
    return arena_fail(arena, CODE_INVALID_ARGUMENT,
                      "%s takes debug, info, warn or error, not \"%s\"", source, text);
}

/* source: what the user wrote it as, for the sentence. */
static status set(struct config *config, const struct config_row *row, const char *source,
                  const char *text, struct arena *arena)
{
    void *at = (char *)config + row->offset;
    assert(row->offset < sizeof(*config));
    switch (row->type) {
    case CONFIG_TEXT:
        if (*text == '\0') {
            return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s may not be empty", source);
        }
        *(const char **)at = text;
        return STATUS_OK;
    case CONFIG_FILE:
        *(const char **)at = *text == '\0' ? NULL : text;
        return STATUS_OK;
    case CONFIG_LOG_LEVEL:
        return set_level(source, text, arena, at);
    case CONFIG_NUMBER:
        return set_number(row, source, text, arena, at);
    }
    assert(false);
    return STATUS_OK;
}

static status read_environment(const char *(*lookup)(const char *name), struct arena *arena,
                               struct config *config)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char variable[VARIABLE_BYTES];
        variable_of(&rows[i], variable);
        const char *text = lookup(variable);
        if (text != NULL) {
            TRY(set(config, &rows[i], variable, text, arena));
        }
    }
    return STATUS_OK;
}

static const struct config_row *find(str name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (str_is(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

/* True when the argument asks for something else than serving. */
static bool find_action(const char *argument, enum config_action *ret)
{
    static const struct {
        const char *argument;
        enum config_action action;
    } actions[] = {
        {"--help", CONFIG_HELP},
        {"-h", CONFIG_HELP},
        {"--help=markdown", CONFIG_HELP_MARKDOWN},
        {"--version", CONFIG_VERSION},
    };
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        if (strcmp(actions[i].argument, argument) == 0) {
            *ret = actions[i].action;
            return true;
        }
    }
    return false;
}

/* Reads the option at *at, with its value, and moves *at behind them. */
static status read_option(const char *const *arguments, size_t count, size_t *at,
                          struct arena *arena, struct config *config)
{
    assert(*at < count);
    const char *argument = arguments[(*at)++];
    const char *equals = strchr(argument, '=');
    size_t len = equals == NULL ? strlen(argument) : (size_t)(equals - argument);
    bool is_option = len > 2 && memcmp(argument, "--", 2) == 0;
    const struct config_row *row = is_option ? find(str_make(argument + 2, len - 2)) : NULL;
    if (row == NULL) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "there is no option \"%.*s\"; polosd --help lists them all", (int)len,
                          argument);
    }
    const char *source = arena_printf(arena, "--%s", row->name).ptr;
    if (equals != NULL) {
        return set(config, row, source, equals + 1, arena);
    }
    if (*at == count) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s takes a value", source);
    }
    return set(config, row, source, arguments[(*at)++], arena);
}

static status check_together(const struct config *config)
{
    if (config->free_bytes_hard > config->free_bytes_soft) {
        return status_make(CODE_INVALID_ARGUMENT,
                           "free-bytes-hard may not be more than free-bytes-soft");
    }
    if (config->input_bytes_max >= config->message_bytes_max) {
        return status_make(CODE_INVALID_ARGUMENT,
                           "input-bytes-max has to be less than message-bytes-max");
    }
    bool has_certificates = config->tls_certificates != NULL;
    if (has_certificates != (config->tls_key != NULL)) {
        return status_make(CODE_INVALID_ARGUMENT,
                           "tls-certificates and tls-key come together: one of them is missing");
    }
    if (!has_certificates && config->tls_client_ca != NULL) {
        return status_make(CODE_INVALID_ARGUMENT,
                           "tls-client-ca needs tls-certificates and tls-key: without TLS nobody "
                           "shows a certificate");
    }
    return STATUS_OK;
}

status config_read(const char *const *arguments, size_t count,
                   const char *(*lookup)(const char *name), struct arena *arena, struct config *ret,
                   enum config_action *ret_action)
{
    assert(count == 0 || arguments != NULL);
    struct config config = {0};
    enum config_action action = CONFIG_SERVE;
    for (size_t i = 0; i < count; i++) {
        if (find_action(arguments[i], &action)) {
            *ret_action = action;
            return STATUS_OK;
        }
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        status taken = set(&config, &rows[i], rows[i].name, rows[i].otherwise, arena);
        assert(status_is_ok(taken)); /* A default is what its own row allows. */
    }
    TRY(read_environment(lookup, arena, &config));
    for (size_t at = 0; at < count;) {
        TRY(read_option(arguments, count, &at, arena, &config));
    }
    TRY(check_together(&config));
    *ret = config;
    *ret_action = action;
    return STATUS_OK;
}

bool config_next_stray(const char *const **environment, str *ret)
{
    for (; **environment != NULL; (*environment)++) {
        const char *equals = strchr(**environment, '=');
        str name = str_make(**environment, equals == NULL ? 0 : (size_t)(equals - **environment));
        bool is_stray = str_starts_with(name, STR("POLOSD_")) && !str_is(name, "POLOSD_KEY_HOSTS");
        for (size_t i = 0; i < COUNT_OF(rows) && is_stray; i++) {
            char variable[VARIABLE_BYTES];
            variable_of(&rows[i], variable);
            is_stray = !str_is(name, variable);
        }
        if (is_stray) {
            *ret = name;
            (*environment)++;
            return true;
        }
    }
    return false;
}

void config_help(struct buf *ret)
{
    buf_put(ret, STR("polosd: a durable runtime for AI agents, behind gRPC.\n\n"
                     "  polosd [--option value]...\n"
                     "  polosd --help | --version\n"
                     "  polosd keys create|list|revoke ...    while it does not run\n\n"
                     "Each option is also read from the environment: --run-timeout-ms as "
                     "POLOSD_RUN_TIMEOUT_MS.\n\n"));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        buf_printf(ret, "  --%-22s %s\n  %-24s Default: %s\n", rows[i].name, rows[i].sentence, "",
                   *rows[i].otherwise == '\0' ? "none" : rows[i].otherwise);
    }
}

void config_help_markdown(struct buf *ret)
{
    buf_put(ret,
            STR("# Configuration\n\n"
                "Every setting of `polosd` is an option and an environment variable; the option "
                "wins. This page is\nprinted by `polosd --help=markdown`.\n\n"
                "| option | variable | default | from | to | what it is |\n"
                "| --- | --- | --- | --- | --- | --- |\n"));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char variable[VARIABLE_BYTES];
        variable_of(&rows[i], variable);
        bool has_default = *rows[i].otherwise != '\0';
        buf_printf(ret, "| `--%s` | `%s` | %s%s%s | ", rows[i].name, variable,
                   has_default ? "`" : "", has_default ? rows[i].otherwise : "none",
                   has_default ? "`" : "");
        if (rows[i].type == CONFIG_NUMBER) {
            buf_printf(ret, "%" PRIu64 " | %" PRIu64, rows[i].min, rows[i].max);
        } else {
            buf_put(ret, STR(" | "));
        }
        buf_printf(ret, " | %s |\n", rows[i].sentence);
    }
}
