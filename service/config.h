/*
 * config: every setting of polosd, from one table.
 *
 * A row gives name, type, default, limits and a sentence; from it come the option --name, the
 * environment variable POLOSD_NAME, the text of --help and docs/configuration.md. An option
 * wins over the environment, the environment over the default.
 *
 * Threading: filled once, before the first thread; constant afterwards.
 */
#ifndef SERVICE_CONFIG_H
#define SERVICE_CONFIG_H

#include "service/base/arena.h"
#include "service/base/buf.h"
#include "service/base/sys.h"

struct config {
    const char *listen;
    const char *tls_certificates; /* These: NULL: none. */
    const char *tls_key;
    const char *tls_client_ca;
    const char *data;
    const char *zone_folder;
    const char *model_hosts;
    enum log_level log_level;
    uint64_t tls_only;
    uint64_t allow_no_keys;
    uint64_t allow_no_tls;
    uint64_t connections_max;
    uint64_t connections_per_address_max;
    uint64_t threads;
    uint64_t message_bytes_max;
    uint64_t input_bytes_max;
    uint64_t history_bytes_max;
    uint64_t connection_idle_s;
    uint64_t run_timeout_ms;
    uint64_t lease_ms;
    uint64_t redial_ms;
    uint64_t waiting_runs_max;
    uint64_t watchers_max;
    uint64_t watchers_in_all_max;
    uint64_t watch_bytes_max;
    uint64_t inbox_max;
    uint64_t inbox_bytes_max;
    uint64_t receive_bytes_max;
    uint64_t batch_max;
    uint64_t snapshot_every;
    uint64_t read_threads;
    uint64_t tree_depth_max;
    uint64_t tree_runs_max;
    uint64_t free_bytes_soft;
    uint64_t free_bytes_hard;
    uint64_t cache_bytes;
    uint64_t model_first_byte_ms;
    uint64_t model_idle_ms;
    uint64_t model_quiet_ms;
    uint64_t model_attempts_max;
    uint64_t model_retry_after_max_ms;
    uint64_t model_calls_max;
    uint64_t drain_ms;
    uint64_t clock_ahead_ms;
};

enum config_action {
    CONFIG_SERVE,
    CONFIG_HELP,
    CONFIG_HELP_MARKDOWN,
    CONFIG_VERSION,
};

/* arguments: argv without the program's name. lookup: the environment, e.g. getenv. Texts live as
 * long as the arguments, the environment and the arena. INVALID_ARGUMENT: `why` names the option or
 * variable and what it takes. */
status config_read(const char *const *arguments, size_t count,
                   const char *(*lookup)(const char *name), struct arena *arena, struct config *ret,
                   enum config_action *ret_action);

/* The next variable that looks like a setting and is none; moves on behind it. *environment: as
 * `environ`, NULL at its end. False: there is none more. */
bool config_next_stray(const char *const **environment, str *ret);

/* Appends what --help prints. */
void config_help(struct buf *ret);
/* The page docs/configuration.md. */
void config_help_markdown(struct buf *ret);

#endif
