#include "clients/sandbox/box/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/sandbox/box/caller.h"
#include "clients/sandbox/box/family.h"
#include "clients/sandbox/box/frame.h"
#include "clients/sandbox/box/kept.h"
#include "service/base/json_writer.h"

enum {
    READ_BYTES = 64 << 10,
    UNWRITTEN_BYTES_MAX =
        256 << 10, /* Of progress that nobody takes; what comes then is not shown. */
};

/* One of the two outputs of the command. */
struct output {
    int fd; /* -1: it has ended. */
    enum frame_kind kind;
    struct kept kept;
};

enum {
    OUTPUT_COUNT = 2,
};

struct command {
    const struct request *request;
    pid_t pid;
    bool is_over;
    int how; /* As waitpid() tells. */
    bool is_timed_out;
    int child_fd; /* Readable when a child has ended. */
    struct output outputs[OUTPUT_COUNT];
    struct buf *unwritten;
    char *bytes; /* READ_BYTES. */
};

/* What the child needs to become the command. */
struct birth {
    int input_fd;
    int folder_fd;
    int output_fds[OUTPUT_COUNT];
    int failure_fd; /* Takes errno if it fails. */
    char **words;
    char **environment;
    const struct request *limits;
    const sigset_t *mask;
};

static void close_if_open(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

static bool limit(int resource, uint64_t max)
{
    struct rlimit now;
    if (getrlimit(resource, &now) != 0) {
        return false;
    }
    /* Never above what there is. */
    rlim_t least = max < now.rlim_max ? max : now.rlim_max;
    const struct rlimit wanted = {least, least};
    return setrlimit(resource, &wanted) == 0;
}

static bool set_limits(const struct request *request)
{
    return limit(RLIMIT_CORE, 0) &&
           (request->max_processes == 0 || limit(RLIMIT_NPROC, request->max_processes)) &&
           (request->max_open_files == 0 || limit(RLIMIT_NOFILE, request->max_open_files)) &&
           (request->max_file_bytes == 0 || limit(RLIMIT_FSIZE, request->max_file_bytes)) &&
           (request->max_memory_bytes == 0 || limit(RLIMIT_AS, request->max_memory_bytes));
}

/* In the child: never returns. */
static void become(const struct birth *birth)
{
    static const int reset[] = {SIGPIPE, SIGCHLD, SIGTERM, SIGINT, SIGHUP};
    setsid();
    for (size_t i = 0; i < COUNT_OF(reset); i++) {
        signal(reset[i], SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, birth->mask, NULL);
    bool is_ready = fchdir(birth->folder_fd) == 0 && dup2(birth->input_fd, 0) == 0 &&
                    dup2(birth->output_fds[0], 1) == 1 && dup2(birth->output_fds[1], 2) == 2 &&
                    set_limits(birth->limits);
    if (is_ready) {
        environ = birth->environment;
        execvp(birth->words[0], birth->words);
    }
    int error = errno;
    ssize_t written = write(birth->failure_fd, &error, sizeof error);
    _exit(written < 0 ? 127 : 126);
}

static char **words_of(const struct request *request, struct arena *arena)
{
    size_t count = request->words.count;
    char **words = arena_zalloc(arena, (count + 4) * sizeof words[0]);
    for (size_t i = 0; i < count; i++) {
        words[i] = arena_cstr(arena, request->words.items[i]);
    }
    if (count == 0) {
        words[0] = arena_cstr(arena, STR("/bin/sh"));
        words[1] = arena_cstr(arena, STR("-c"));
        words[2] = arena_cstr(arena, request->command);
    }
    return words;
}

static bool is_set_anew(const struct request *request, const char *pair)
{
    for (size_t i = 0; i < request->environment_count; i++) {
        size_t len = strlen(request->environment[i].name);
        if (strncmp(pair, request->environment[i].name, len) == 0 && pair[len] == '=') {
            return true;
        }
    }
    return false;
}

/* Our own environment with what the request sets in it. */
static char **environment_of(const struct request *request, struct arena *arena)
{
    size_t count = 0;
    while (environ != NULL && environ[count] != NULL) {
        count++;
    }
    char **pairs = arena_zalloc(arena, (count + request->environment_count + 1) * sizeof pairs[0]);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_set_anew(request, environ[i])) {
            pairs[kept++] = environ[i];
        }
    }
    for (size_t i = 0; i < request->environment_count; i++) {
        const struct pair *pair = &request->environment[i];
        str text = arena_printf(arena, "%s=%s", pair->name, pair->value);
        pairs[kept++] = arena_cstr(arena, text);
    }
    return pairs;
}

/* A file in memory with what the command reads. */
static int open_input(str input)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    size_t at = 0;
    while (fd >= 0 && at < input.len) {
        ssize_t count = write(fd, input.ptr + at, input.len - at);
        if (count < 0 && errno != EINTR) {
            close_if_open(&fd);
        }
        at += count < 0 ? 0 : (size_t)count;
    }
    if (fd >= 0) {
        lseek(fd, 0, SEEK_SET);
    }
    return fd;
}

static status open_folder(const struct request *request, struct arena *arena, int *ret_fd)
{
    str path = request->cwd.len == 0 ? request->workspace : request->cwd;
    if (!str_starts_with(path, STR("/"))) {
        path = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(request->workspace),
                            STR_ARG(request->cwd));
    }
    *ret_fd = open(arena_cstr(arena, path), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0) {
        return arena_fail(arena, CODE_NOT_FOUND,
                          "The command cannot begin in " STR_FMT ": there is no such folder.",
                          STR_ARG(path));
    }
    return STATUS_OK;
}

static status start_failure(const struct request *request, int error, struct arena *arena)
{
    if (error == ENOENT && request->words.count == 0) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "The sandbox has no /bin/sh to run the command with.");
    }
    if (error == ENOENT) {
        return arena_fail(arena, CODE_NOT_FOUND, STR_FMT ": command not found",
                          STR_ARG(request->words.items[0]));
    }
    return arena_fail(arena, CODE_FAILED_PRECONDITION, "The command cannot be started: %s.",
                      strerrordesc_np(error));
}

/* Forks. Returns 0, or errno of what failed in either process. */
static int give_birth(struct command *command, struct birth *birth)
{
    int error = 0;
    int failure[2];
    if (pipe2(failure, O_CLOEXEC) != 0) {
        return errno;
    }
    birth->failure_fd = failure[1];
    command->pid = fork();
    if (command->pid == 0) {
        become(birth);
    }
    error = command->pid < 0 ? errno : 0;
    close(failure[1]);
    /* Nothing comes where the command began: the other end closes by itself. */
    ssize_t len = error == 0 ? read(failure[0], &error, sizeof error) : 0;
    close(failure[0]);
    return len < 0 ? errno : error;
}

static bool open_outputs(struct command *command, struct birth *birth)
{
    for (size_t i = 0; i < OUTPUT_COUNT; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) {
            return false;
        }
        command->outputs[i].fd = ends[0];
        birth->output_fds[i] = ends[1];
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    return true;
}

static status start_in(struct command *command, int folder_fd, const sigset_t *mask,
                       struct arena *arena)
{
    struct birth birth = {
        .folder_fd = folder_fd,
        .output_fds = {-1, -1},
        .words = words_of(command->request, arena),
        .environment = environment_of(command->request, arena),
        .limits = command->request,
        .mask = mask,
    };
    birth.input_fd = open_input(command->request->input);
    bool is_open = birth.input_fd >= 0 && open_outputs(command, &birth);
    int error = is_open ? give_birth(command, &birth) : errno;
    close_if_open(&birth.input_fd);
    for (size_t i = 0; i < OUTPUT_COUNT; i++) {
        close_if_open(&birth.output_fds[i]);
    }
    return error == 0 ? STATUS_OK : start_failure(command->request, error, arena);
}

static status start(struct command *command, struct arena *arena)
{
    sigset_t child;
    sigset_t mask;
    int folder_fd;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &mask);
    TRY(family_begin());
    TRY(open_folder(command->request, arena, &folder_fd));
    command->child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    status outcome = start_in(command, folder_fd, &mask, arena);
    close(folder_fd);
    return outcome;
}

static void show(struct command *command, enum frame_kind kind, str text)
{
    if (text.len > 0 && command->unwritten->len < UNWRITTEN_BYTES_MAX) {
        frame_put(command->unwritten, kind, text);
    }
}

static void write_progress(struct command *command)
{
    struct buf *unwritten = command->unwritten;
    size_t written = caller_write_some(buf_str(unwritten));
    if (written > 0) {
        memmove(unwritten->ptr, unwritten->ptr + written, unwritten->len - written);
        unwritten->len -= written;
    }
}

/* Reads once. False: there is nothing now, or no more ever. */
static bool read_output(struct command *command, struct output *output)
{
    struct buf shown = {0};
    ssize_t len = output->fd < 0 ? -1 : read(output->fd, command->bytes, READ_BYTES);
    if (output->fd >= 0 && (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))) {
        close_if_open(&output->fd);
    }
    if (len <= 0) {
        return false;
    }
    kept_add(&output->kept, str_make(command->bytes, (size_t)len),
             command->request->shows_progress ? &shown : NULL);
    show(command, output->kind, buf_str(&shown));
    buf_fini(&shown);
    return true;
}

static void take_children(struct command *command)
{
    struct signalfd_siginfo ignored;
    int how;
    while (read(command->child_fd, &ignored, sizeof ignored) > 0) {
    }
    for (pid_t pid = waitpid(-1, &how, WNOHANG); pid > 0; pid = waitpid(-1, &how, WNOHANG)) {
        if (pid == command->pid) {
            command->is_over = true;
            command->how = how;
        }
    }
}

/* Waits for whatever comes next, until end_ms at most. */
static void wait_for_more(struct command *command, uint64_t end_ms)
{
    uint64_t now_ms = caller_now_ms();
    struct pollfd ready[] = {
        {.fd = command->child_fd, .events = POLLIN},
        {.fd = CALLER_INPUT_FD, .events = POLLIN},
        {.fd = command->outputs[0].fd, .events = POLLIN},
        {.fd = command->outputs[1].fd, .events = POLLIN},
        {.fd = command->unwritten->len > 0 ? CALLER_OUTPUT_FD : -1, .events = POLLOUT},
    };
    command->is_timed_out = now_ms >= end_ms;
    if (!command->is_timed_out) {
        poll(ready, COUNT_OF(ready), (int)(end_ms - now_ms));
    }
}

/* Until the command is over or its time is; CANCELLED: the caller is gone. */
static status follow(struct command *command, uint64_t end_ms)
{
    while (!command->is_over && !command->is_timed_out) {
        wait_for_more(command, end_ms);
        if (caller_is_gone()) {
            return status_make(CODE_CANCELLED, "Nobody waits for the command any more.");
        }
        for (size_t i = 0; i < OUTPUT_COUNT; i++) {
            read_output(command, &command->outputs[i]);
        }
        write_progress(command);
        take_children(command);
    }
    return STATUS_OK;
}

/* What they had printed before they ended. */
static void read_rest(struct command *command)
{
    for (size_t i = 0; i < OUTPUT_COUNT; i++) {
        while (read_output(command, &command->outputs[i])) {
        }
        kept_end(&command->outputs[i].kept);
        close_if_open(&command->outputs[i].fd);
    }
}

static int64_t exit_code(const struct command *command)
{
    if (command->is_timed_out) {
        return COMMAND_TIMEOUT_CODE;
    }
    return WIFEXITED(command->how) ? WEXITSTATUS(command->how) : 128 + WTERMSIG(command->how);
}

static void put_result(const struct command *command, uint64_t duration_ms, struct arena *arena,
                       struct buf *ret)
{
    const struct kept *output = &command->outputs[0].kept;
    const struct kept *errors = &command->outputs[1].kept;
    struct json_writer writer = json_writer_of(ret);
    str said = kept_text(errors, arena);
    if (command->is_timed_out) {
        said = arena_printf(arena, STR_FMT "\n[Process killed: timeout exceeded]", STR_ARG(said));
    }
    json_begin_object(&writer, NULL);
    json_put_i64(&writer, "exit_code", exit_code(command));
    json_put_string(&writer, "stdout", kept_text(output, arena));
    json_put_string(&writer, "stderr", said);
    json_put_u64(&writer, "duration_ms", duration_ms);
    json_put_bool(&writer, "truncated", kept_is_cut(output) || kept_is_cut(errors));
    json_end_object(&writer);
}

static status run(struct command *command, struct arena *arena, struct buf *ret)
{
    uint64_t begin_ms = caller_now_ms();
    TRY(start(command, arena));
    status followed = follow(command, begin_ms + command->request->timeout_s * 1000);
    family_end(command->pid, &command->how);
    TRY(followed);
    read_rest(command);
    put_result(command, caller_now_ms() - begin_ms, arena, ret);
    return STATUS_OK;
}

status command_run(const struct request *request, struct arena *arena, struct buf *ret,
                   struct buf *ret_unwritten)
{
    struct command command = {
        .request = request,
        .child_fd = -1,
        .outputs = {{.fd = -1, .kind = FRAME_OUTPUT}, {.fd = -1, .kind = FRAME_ERRORS}},
        .unwritten = ret_unwritten,
        .bytes = arena_alloc(arena, READ_BYTES),
    };
    for (size_t i = 0; i < OUTPUT_COUNT; i++) {
        kept_init(&command.outputs[i].kept, request->max_output_chars);
    }
    status outcome = run(&command, arena, ret);
    for (size_t i = 0; i < OUTPUT_COUNT; i++) {
        close_if_open(&command.outputs[i].fd);
        kept_fini(&command.outputs[i].kept);
    }
    close_if_open(&command.child_fd);
    return outcome;
}
