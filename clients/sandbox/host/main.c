/*
 * polos-sandbox: a host that offers the tools of a sandbox.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/sandbox/host/folders.h"
#include "clients/sandbox/host/local.h"
#include "clients/sandbox/host/work.h"

enum {
    SAY_WAITING_US = 2 * 1000 * 1000, /* A server that is there answers sooner. */
    SAY_AGAIN_US = 60 * 1000 * 1000,
};

struct program {
    struct polos_loop *loop;
    struct polos_client *client;
    struct polos_host *host;
    struct settings settings;
    struct work_place place;
    sigset_t signals;
    struct polos_timer waiting; /* Until the server answers. */
    bool is_stopping;
    int exit_code;
};

/* What is offered, with the tool's row. */
struct offered {
    struct program *program;
    const struct tool_row *tool;
};

static void watches_over(void *context)
{
    struct program *program = context;
    polos_loop_stop(program->loop);
}

static void host_over(void *context)
{
    struct program *program = context;
    sandboxes_stop(program->place.sandboxes, watches_over, program);
}

static void leave(void *context)
{
    struct program *program = context;
    if (!program->is_stopping) {
        program->is_stopping = true;
        polos_timer_clear(program->loop, &program->waiting);
        polos_host_leave(program->host, host_over, program);
    }
}

/* A signal is a message to the loop. */
static void *wait_for_signal(void *context)
{
    struct program *program = context;
    int number;
    while (sigwait(&program->signals, &number) != 0) {
    }
    polos_loop_post(program->loop, leave, program);
    return NULL;
}

static void say_waiting(void *context)
{
    struct program *program = context;
    fprintf(stderr,
            "polos-sandbox: waits for a server at %s; is polosd running there? (--server)\n",
            program->settings.server);
    polos_timer_set(program->loop, &program->waiting, polos_now_us() + SAY_AGAIN_US);
}

static void connected(void *context, bool resumed)
{
    struct program *program = context;
    polos_timer_clear(program->loop, &program->waiting);
    printf("polos-sandbox ready server=%s resumed=%d\n", program->settings.server, resumed);
    fflush(stdout);
}

static void refused(void *context, const struct polos_error *error)
{
    struct program *program = context;
    fprintf(stderr, "polos-sandbox: refused: %s %s\n", error->field, error->message);
    program->exit_code = 1;
    leave(program);
}

static void given(void *context, struct polos_task *task)
{
    const struct offered *offered = context;
    work_begin(&offered->program->place, offered->tool, task);
}

static void offer(struct offered *offered)
{
    Polos__V1__ToolDefinition tool = POLOS__V1__TOOL_DEFINITION__INIT;
    bool may_repeat = !offered->tool->is_command && !offered->tool->changes_files;
    tool.id = (char *)offered->tool->name;
    tool.description = (char *)offered->tool->description;
    tool.parameters_json = (char *)offered->tool->parameters_json;
    tool.on_lost = may_repeat ? POLOS__V1__LOST_CALL__LOST_CALL_REPEAT
                              : POLOS__V1__LOST_CALL__LOST_CALL_UNKNOWN;
    polos_host_offer_tool(offered->program->host, &tool, given, offered);
}

/* INVALID_ARGUMENT: there is no such tool. */
static status offer_all(struct program *program, struct offered *offered, struct arena *arena)
{
    char *saved = NULL;
    char *names = arena_cstr(arena, str_of(program->settings.tools));
    size_t count = 0;
    for (char *name = strtok_r(names, ",", &saved); name != NULL && count < TOOLS_COUNT;
         name = strtok_r(NULL, ",", &saved)) {
        const struct tool_row *tool = tools_find(name, strlen(name));
        if (tool == NULL) {
            return arena_fail(arena, CODE_INVALID_ARGUMENT, "There is no tool %s.", name);
        }
        offered[count] = (struct offered){program, tool};
        offer(&offered[count++]);
    }
    return count > 0 ? STATUS_OK
                     : status_make(CODE_INVALID_ARGUMENT, "--tools names no tool to offer.");
}

static status check_sandbox(const struct settings *settings, struct arena *arena)
{
    struct local_start start;
    struct local_options options = {.box = settings->box,
                                    .workspace = settings->workspace != NULL ? settings->workspace
                                                                             : settings->workspaces,
                                    .environment = settings->environment};
    if (settings->workspace == NULL) {
        TRY(folders_make_above(settings->workspaces, arena));
    }
    TRY(local_prepare(&options, arena, &start));
    local_close(&start);
    return STATUS_OK;
}

static void run(struct program *program)
{
    pthread_t signals;
    if (pthread_create(&signals, NULL, wait_for_signal, program) != 0) {
        abort();
    }
    pthread_detach(signals);
    sandboxes_find(program->place.sandboxes);
    polos_host_start(program->host);
    program->waiting = (struct polos_timer){.due = say_waiting, .context = program};
    polos_timer_set(program->loop, &program->waiting, polos_now_us() + SAY_WAITING_US);
    polos_loop_run(program->loop);
}

static status serve(struct program *program, struct arena *arena)
{
    struct offered offered[TOOLS_COUNT];
    struct polos_host_options options = {
        .host_id = program->settings.host_id,
        .deployment = program->settings.deployment,
        .slots = (uint32_t)program->settings.calls_max,
        .connected = connected,
        .refused = refused,
        .context = program,
    };
    program->loop = polos_loop_new();
    program->client = polos_client_new(program->loop, program->settings.server, 1);
    program->host = polos_host_new(program->client, &options);
    program->place = (struct work_place){program->loop, &program->settings,
                                         sandboxes_new(program->client, &program->settings)};
    status outcome = offer_all(program, offered, arena);
    if (status_is_ok(outcome)) {
        run(program);
    }
    polos_host_free(program->host);
    sandboxes_free(program->place.sandboxes);
    polos_client_free(program->client);
    polos_loop_free(program->loop);
    return outcome;
}

static status work(struct program *program, int argc, char **argv, struct arena *arena)
{
    TRY(settings_read(argc, argv, arena, &program->settings));
    TRY(check_sandbox(&program->settings, arena));
    return serve(program, arena);
}

int main(int argc, char **argv)
{
    struct arena arena;
    struct program program = {0};
    if (settings_help(argc, argv)) {
        return 0;
    }
    /* Every thread is to leave them to the one that waits for them. */
    sigemptyset(&program.signals);
    sigaddset(&program.signals, SIGTERM);
    sigaddset(&program.signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &program.signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* Calls fork, and gRPC has nothing to do there. */
    setenv("GRPC_ENABLE_FORK_SUPPORT", "0", 1);
    arena_init(&arena, 0);
    status outcome = work(&program, argc, argv, &arena);
    if (!status_is_ok(outcome)) {
        fprintf(stderr, "polos-sandbox: %s\n", outcome.why);
        program.exit_code = 2;
    }
    arena_fini(&arena);
    return program.exit_code;
}
