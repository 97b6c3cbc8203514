/*
 * main: puts polosd together; the only place that names concrete stores, providers, transports.
 *
 * Order: the partition needs the model client, which needs the partition's sink, hence
 *        partition_set_models(). Down it goes the other way round: callers first, the store last,
 *        and the engine stays up until the last caller has its answer.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "protos/api_descriptors.h"
#include "service/api/api.h"
#include "service/base/sys.h"
#include "service/codec/level.h"
#include "service/config.h"
#include "service/features/features.h"
#include "service/features/models/models.h"
#include "service/keys/keyring.h"
#include "service/keys/secret.h"
#include "service/keys_command.h"
#include "service/llm/llm.h"
#include "service/partition/partition.h"
#include "service/partition/request.h"
#include "service/reads/reads.h"
#include "service/rpc/server.h"
#include "storage/rocksdb_store.h"

enum {
    EXIT_START_FAILED = 1,
    EXIT_USAGE = 2,
};

static const char *environment(const char *name)
{
    return getenv(name);
}

/* context: by how much it is ahead. */
static uint64_t now_ms(void *context)
{
    const uint64_t *ahead_ms = context;
    return sys_now_ms() + *ahead_ms;
}

static uint64_t monotonic_ms(void *context)
{
    (void)context;
    return sys_monotonic_us() / 1000;
}

static void random_bytes(void *context, void *ret, size_t bytes)
{
    (void)context;
    sys_random(ret, bytes);
}

/* The signals main waits for, blocked in every thread that is started later. A hangup ends a server
 * that has no certificates to read again, as it ends any program. */
static sigset_t signals_block(bool has_certificates)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (has_certificates) {
        sigaddset(&signals, SIGHUP);
    }
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signals;
}

static void say_ready(const struct config *config, const struct rpc_server *server)
{
    assert(rpc_server_port(server) != 0); /* Port 0 was given one. */
    const char *colon = strrchr(config->listen, ':');
    int host_len = colon == NULL ? (int)strlen(config->listen) : (int)(colon - config->listen);
    printf("polosd ready address=%.*s:%u data=%s pid=%d\n", host_len, config->listen,
           (unsigned)rpc_server_port(server), config->data, (int)getpid());
    fflush(stdout);
}

/* Which signal it was that ends the process; the one that does not reads the certificates again. */
static int wait_for_the_end(const sigset_t *signals, struct rpc_server *server)
{
    int signal_number = 0;
    int waited = sigwait(signals, &signal_number);
    while (waited == 0 && signal_number == SIGHUP) {
        struct arena arena;
        arena_init(&arena, 0);
        status read = rpc_server_reload(server, &arena);
        if (status_is_ok(read)) {
            log_line(LOG_INFO, "certificates_read", "signal=%d", signal_number);
        } else {
            log_line(LOG_ERROR, "certificates_kept", "why=\"%s\"", read.why);
        }
        arena_fini(&arena);
        waited = sigwait(signals, &signal_number);
    }
    assert(waited == 0 && signal_number != 0);
    return signal_number;
}

/* Serves until told to stop; a second signal ends the process at once. */
static status serve(const struct config *config, struct partition *partition, struct reads *reads,
                    struct keyring *keyring, struct arena *arena, const sigset_t *signals)
{
    struct api api;
    /* The rows of config.c hold numbers to what fits. */
    assert(config->threads > 0 && config->threads <= UINT32_MAX);
    assert(config->message_bytes_max <= UINT32_MAX);
    assert(config->connection_idle_s <= UINT32_MAX && config->drain_ms <= UINT32_MAX);
    api_init(&api, partition, reads, keyring, config->input_bytes_max);
    struct rpc_server_options options = {
        .address = config->listen,
        .connections_max = (uint32_t)config->connections_max,
        .connections_per_address_max = (uint32_t)config->connections_per_address_max,
        .tls_certificates = config->tls_certificates,
        .tls_key = config->tls_key,
        .tls_client_ca = config->tls_client_ca,
        .tls_only = config->tls_only == 1,
        .threads = (uint32_t)config->threads,
        .message_bytes_max = (uint32_t)config->message_bytes_max,
        .receive_bytes_max = config->receive_bytes_max,
        .streams_bytes_max = config->watch_bytes_max,
        .connections_idle_s = (uint32_t)config->connection_idle_s,
        .methods = api_methods(),
        .service = &api,
        .keyring = keyring,
        .may_lack_keys = config->allow_no_keys == 1,
        .may_lack_tls = config->allow_no_tls == 1,
        .descriptors = str_make(api_descriptors, api_descriptors_size),
    };
    struct rpc_server *server = NULL;
    status started = rpc_server_start(&options, arena, &server);
    if (!status_is_ok(started)) {
        return started;
    }
    say_ready(config, server);
    int signal_number = wait_for_the_end(signals, server);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    log_line(LOG_INFO, "draining", "signal=%d grace_ms=%u", signal_number,
             (unsigned)config->drain_ms);
    rpc_server_drain(server);
    partition_post_always(partition, request_new(&drain_operation));
    uint64_t until_us = sys_monotonic_us() + config->drain_ms * 1000;
    models_wait_quiet(partition, config->drain_ms);
    uint64_t now_us = sys_monotonic_us();
    rpc_server_stop(server, now_us < until_us ? (uint32_t)((until_us - now_us) / 1000) : 0);
    return STATUS_OK;
}

static status run_with_models(const struct config *config, struct partition *partition,
                              struct reads *reads, struct keyring *keyring, struct arena *arena,
                              const sigset_t *signals)
{
    assert(config->model_attempts_max > 0 && config->model_attempts_max <= UINT32_MAX);
    struct llm_options options = {
        .sink = models_sink(partition),
        .rules = {.model_hosts = str_of(config->model_hosts), .listen = str_of(config->listen)},
        .first_byte_ms = config->model_first_byte_ms,
        .idle_ms = config->model_idle_ms,
        .quiet_ms = config->model_quiet_ms,
        .retry_after_max_ms = config->model_retry_after_max_ms,
        .attempts_max = (uint32_t)config->model_attempts_max,
        .calls_max = config->model_calls_max,
    };
    struct llm *llm = llm_start(&options);
    partition_set_models(partition, llm_client(llm));
    partition_start(partition);
    reads_start(reads);
    status served = serve(config, partition, reads, keyring, arena, signals);
    partition_stop(partition);
    reads_stop(reads);
    llm_stop(llm);
    return served;
}

static struct partition_options partition_options_of(const struct config *config,
                                                     uint64_t *ahead_ms)
{
    assert(config->snapshot_every > 0 && config->snapshot_every <= UINT32_MAX);
    return (struct partition_options){
        .context = ahead_ms,
        .features = features_all,
        .format = api_format(),
        .topic_format = api_topic_format(),
        .now_ms = now_ms,
        .monotonic_ms = monotonic_ms,
        .random = random_bytes,
        .inbox_max = config->inbox_max,
        .inbox_bytes_max = config->inbox_bytes_max,
        .batch_max = config->batch_max,
        .waiting_runs_max = config->waiting_runs_max,
        .watchers_max = config->watchers_max,
        .watchers_in_all_max = config->watchers_in_all_max,
        .input_bytes_max = config->input_bytes_max,
        .history_bytes_max = config->history_bytes_max,
        .lease_ms = config->lease_ms,
        .redial_ms = config->redial_ms,
        .run_timeout_ms = config->run_timeout_ms,
        .snapshot_every = (uint32_t)config->snapshot_every,
        .space = {.project = PROJECT_DEFAULT},
        .tree_depth_max = (uint32_t)config->tree_depth_max,
        .tree_runs_max = config->tree_runs_max,
        .zone_folder = config->zone_folder,
    };
}

static status run_with_partition(const struct config *config, struct partition *partition,
                                 const struct partition_options *options, struct arena *arena,
                                 const sigset_t *signals)
{
    struct reads_options reads_options = {
        .source = {.store = options->store,
                   .space = options->space,
                   .apart = partition_apart(partition)},
        .lanes = config->read_threads,
    };
    assert(partition != NULL);
    struct reads *reads = reads_new(&reads_options);
    status served = run_with_models(config, partition, reads, options->keyring, arena, signals);
    reads_free(reads);
    return served;
}

static struct rocksdb_store_options store_options_of(const struct config *config)
{
    assert(config->free_bytes_hard <= config->free_bytes_soft);
    return (struct rocksdb_store_options){
        .path = config->data,
        .free_bytes_soft = config->free_bytes_soft,
        .free_bytes_hard = config->free_bytes_hard,
        .cache_bytes = config->cache_bytes,
        .level_max = LEVEL_NEWEST,
    };
}

static status run(const struct config *config, struct arena *arena, const sigset_t *signals)
{
    struct rocksdb_store_options store = store_options_of(config);
    uint64_t ahead_ms = config->clock_ahead_ms;
    struct partition_options options = partition_options_of(config, &ahead_ms);
    TRY(rocksdb_store_open(&store, arena, &options.store));
    options.keyring = keyring_new(now_ms, &ahead_ms);
    struct partition *partition = NULL;
    status ran = partition_new(&options, arena, &partition);
    if (status_is_ok(ran)) {
        ran = run_with_partition(config, partition, &options, arena, signals);
        partition_free(partition);
    } else {
        store_close(&options.store);
    }
    keyring_free(options.keyring);
    return ran;
}

extern char **environ;

/* A misspelt setting would be passed over without a word. */
static void name_strays(void)
{
    const char *const *at = (const char *const *)environ;
    str name;
    while (config_next_stray(&at, &name)) {
        log_line(LOG_WARN, "variable_unknown",
                 "name=" STR_FMT " why=\"it is no setting: polosd --help lists them all\"",
                 STR_ARG(name));
    }
}

static int print(void (*page)(struct buf *ret))
{
    struct buf text = {0};
    page(&text);
    assert(text.len > 0);
    fwrite(text.ptr, 1, text.len, stdout);
    buf_fini(&text);
    return EXIT_SUCCESS;
}

static int act(enum config_action action, const struct config *config, struct arena *arena)
{
    switch (action) {
    case CONFIG_HELP:
        return print(config_help);
    case CONFIG_HELP_MARKDOWN:
        return print(config_help_markdown);
    case CONFIG_VERSION:
        puts(API_VERSION);
        return EXIT_SUCCESS;
    case CONFIG_SERVE:
        break;
    }
    log_level_set(config->log_level);
    name_strays();
    sigset_t signals = signals_block(config->tls_certificates != NULL);
    status ran = run(config, arena, &signals);
    if (!status_is_ok(ran)) {
        fprintf(stderr, "polosd: %s\n", ran.why);
        return EXIT_START_FAILED;
    }
    return EXIT_SUCCESS;
}

/* Memory that one round frees and the next one wants is not handed back to the kernel in between:
 * measured at 8 to 15 % of the CPU of an agent run, with the idle size unchanged. */
static void keep_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    mallopt(M_TOP_PAD, 256 << 10);
}

/* No file of the process's memory is left behind, and nobody else's debugger looks in: keys are in
 * it. */
static void keep_to_itself(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static status run_keys(const struct keys_command *command, const struct config *config,
                       struct arena *arena, struct buf *ret)
{
    struct rocksdb_store_options options = store_options_of(config);
    struct store store;
    uint64_t ahead_ms = config->clock_ahead_ms;
    TRY(rocksdb_store_open(&options, arena, &store));
    status ran = keys_command_run(command, &store, now_ms(&ahead_ms), arena, ret);
    store_close(&store);
    return ran;
}

/* `polosd keys ...`; the arguments are those behind "keys". */
static status act_on_keys(const char *const *arguments, size_t count, struct arena *arena)
{
    struct keys_command command;
    struct config config;
    enum config_action action = CONFIG_SERVE;
    struct buf text = {0};
    size_t rest_count = 0;
    const char **rest = arena_alloc(arena, (count + 1) * sizeof(rest[0]));
    TRY(keys_command_read(arguments, count, arena, &command, rest, &rest_count));
    TRY(config_read(rest, rest_count, environment, arena, &config, &action));
    log_level_set(LOG_ERROR); /* What is printed is for people, or goes into a file. */
    status ran = run_keys(&command, &config, arena, &text);
    if (text.len > 0) {
        fwrite(text.ptr, 1, text.len, stdout);
        secret_forget(text.ptr, text.len);
    }
    buf_fini(&text);
    return ran;
}

static int keys_main(const char *const *arguments, size_t count)
{
    struct arena arena;
    arena_init(&arena, 0);
    status ran = act_on_keys(arguments, count, &arena);
    if (!status_is_ok(ran)) {
        fprintf(stderr, "polosd: %s\n", ran.why);
    }
    int ret = status_is_ok(ran)                   ? EXIT_SUCCESS
              : ran.code == CODE_INVALID_ARGUMENT ? EXIT_USAGE
                                                  : EXIT_START_FAILED;
    arena_fini(&arena);
    return ret;
}

int main(int argc, char **argv)
{
    keep_memory();
    keep_to_itself();
    if (argc > 1 && strcmp(argv[1], "keys") == 0) {
        return keys_main((const char *const *)argv + 2, (size_t)argc - 2);
    }
    struct arena arena;
    arena_init(&arena, 0);
    struct config config;
    enum config_action action = CONFIG_SERVE;
    status read = config_read((const char *const *)argv + 1, (size_t)argc - 1, environment, &arena,
                              &config, &action);
    int ret = EXIT_USAGE;
    if (status_is_ok(read)) {
        ret = act(action, &config, &arena);
    } else {
        fprintf(stderr, "polosd: %s\n", read.why);
    }
    arena_fini(&arena);
    return ret;
}
