#include "clients/sandbox/host/call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clients/sandbox/box/frame.h"
#include "service/base/json.h"

enum {
    READ_BYTES = 64 << 10,
    SAID_BYTES_MAX = 4096, /* Of what bubblewrap itself says. */
};

enum end {
    END_INPUT,
    END_OUTPUT,
    END_ERRORS,
    END_COUNT,
};

/* The sandbox while it is at work. */
struct work {
    const struct call *call;
    pid_t pid;
    int fds[END_COUNT]; /* Ours; -1: closed. */
    str unwritten;
    struct buf answer;
    struct buf said;
    bool is_stopped;
    bool is_late;
};

status call_init(struct call *call)
{
    *call = (struct call){.stop_fd = eventfd(0, EFD_CLOEXEC)};
    return call->stop_fd >= 0
               ? STATUS_OK
               : status_make(CODE_RESOURCE_EXHAUSTED, "There are no descriptors left.");
}

void call_fini(struct call *call)
{
    close(call->stop_fd);
}

void call_stop(const struct call *call)
{
    uint64_t one = 1;
    ssize_t written = write(call->stop_fd, &one, sizeof one);
    assert(written == sizeof one);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void close_end(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* In the child: what is behind it is the kernel's alone. */
static void become(const struct local_start *start, const int theirs[END_COUNT])
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    bool is_ready = true;
    for (int i = 0; i < END_COUNT; i++) {
        is_ready = is_ready && dup2(theirs[i], i) == i;
    }
    if (is_ready) {
        local_exec(start);
    }
    _exit(127);
}

/* A pipe for each; ours are closed on exec and never block. */
static bool open_ends(struct work *work, int theirs[END_COUNT])
{
    for (int i = 0; i < END_COUNT; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) {
            return false;
        }
        int ours = i == END_INPUT ? 1 : 0;
        work->fds[i] = ends[ours];
        theirs[i] = ends[1 - ours];
        fcntl(work->fds[i], F_SETFL, O_NONBLOCK);
    }
    return true;
}

static status begin(struct work *work, const struct local_start *start)
{
    int theirs[END_COUNT] = {-1, -1, -1};
    bool is_open = open_ends(work, theirs);
    work->pid = is_open ? fork() : -1;
    if (work->pid == 0) {
        become(start, theirs);
    }
    for (int i = 0; i < END_COUNT; i++) {
        close_end(&theirs[i]);
    }
    return work->pid > 0 ? STATUS_OK
                         : status_make(CODE_RESOURCE_EXHAUSTED,
                                       "There is no room for another process or descriptor.");
}

static void write_request(struct work *work)
{
    ssize_t len = write(work->fds[END_INPUT], work->unwritten.ptr, work->unwritten.len);
    if (len > 0) {
        work->unwritten = str_make(work->unwritten.ptr + len, work->unwritten.len - (size_t)len);
    } else if (len < 0 && errno != EAGAIN && errno != EINTR) {
        work->unwritten = STR_EMPTY;
    }
}

/* Shows what came while the command is at work; what is behind it stays. */
static void show_frames(struct work *work)
{
    str bytes = buf_str(&work->answer);
    enum frame_kind kind;
    str body;
    bool is_broken = false;
    while (bytes.len > 0 && (bytes.ptr[0] == FRAME_OUTPUT || bytes.ptr[0] == FRAME_ERRORS) &&
           frame_take(&bytes, &kind, &body, &is_broken)) {
        work->call->shown(work->call->context, body);
    }
    if (bytes.len > 0 && bytes.len < work->answer.len) {
        memmove(work->answer.ptr, bytes.ptr, bytes.len);
    }
    work->answer.len = bytes.len;
    if (is_broken || work->answer.len > FRAME_HEAD_BYTES + FRAME_BYTES_MAX) {
        close_end(&work->fds[END_OUTPUT]);
    }
}

/* Appends what there is; closes the end when there is no more. */
static void read_end(int *fd, struct buf *buf)
{
    char bytes[READ_BYTES];
    ssize_t len = read(*fd, bytes, sizeof bytes);
    if (len > 0) {
        buf_put(buf, str_make(bytes, (size_t)len));
    } else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_end(fd);
    }
}

static void stop(struct work *work)
{
    if (!work->is_stopped) {
        /* The box sees it, ends what it started, and answers or not. */
        close_end(&work->fds[END_INPUT]);
        work->is_stopped = true;
    }
}

static void wait_and_deal(struct work *work, uint64_t end_ms)
{
    uint64_t now = now_ms();
    struct pollfd ready[] = {
        {.fd = work->unwritten.len > 0 ? work->fds[END_INPUT] : -1, .events = POLLOUT},
        {.fd = work->fds[END_OUTPUT], .events = POLLIN},
        {.fd = work->fds[END_ERRORS], .events = POLLIN},
        {.fd = work->is_stopped ? -1 : work->call->stop_fd, .events = POLLIN},
    };
    work->is_late = now >= end_ms;
    if (work->is_late || poll(ready, COUNT_OF(ready), (int)(end_ms - now)) <= 0) {
        return;
    }
    if (ready[0].revents != 0) {
        write_request(work);
    }
    if (ready[1].revents != 0) {
        read_end(&work->fds[END_OUTPUT], &work->answer);
        show_frames(work);
    }
    if (ready[2].revents != 0) {
        read_end(&work->fds[END_ERRORS], &work->said);
        work->said.len = work->said.len < SAID_BYTES_MAX ? work->said.len : SAID_BYTES_MAX;
    }
    if (ready[3].revents != 0) {
        stop(work);
    }
}

/* Until its output ends. What does not end in time is killed: with bubblewrap all of it ends. */
static void follow(struct work *work)
{
    uint64_t end_ms = now_ms() + (work->call->timeout_s + CALL_GRACE_S) * 1000;
    bool was_stopped = false;
    while (work->fds[END_OUTPUT] >= 0 && !work->is_late) {
        wait_and_deal(work, end_ms);
        if (work->is_stopped && !was_stopped) {
            was_stopped = true;
            end_ms = now_ms() + CALL_GRACE_S * 1000;
        }
    }
    if (work->fds[END_OUTPUT] >= 0) {
        kill(work->pid, SIGKILL);
    }
}

static void end(struct work *work)
{
    for (int i = 0; i < END_COUNT; i++) {
        close_end(&work->fds[i]);
    }
    if (work->pid > 0) {
        while (waitpid(work->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
}

/* A failure of the tool, as the box said it. */
static status failure_of(str body, struct arena *arena)
{
    str raw;
    struct buf reason = {0};
    struct buf message = {0};
    enum code code = CODE_UNKNOWN;
    if (json_is_valid(body) && json_object_get(body, STR("reason"), &raw)) {
        json_string_decode(raw, &reason);
    }
    if (json_is_valid(body) && json_object_get(body, STR("message"), &raw)) {
        json_string_decode(raw, &message);
    }
    for (int i = CODE_CANCELLED; i <= CODE_UNAUTHENTICATED; i++) {
        code = str_is(buf_str(&reason), code_name((enum code)i)) ? (enum code)i : code;
    }
    buf_fini(&reason);
    str said = buf_finish(&message, arena);
    return status_make(code, arena_cstr(arena, said));
}

static status read_answer(struct work *work, struct arena *arena, struct buf *ret)
{
    str bytes = buf_str(&work->answer);
    enum frame_kind kind;
    str body;
    bool is_broken;
    if (work->is_stopped) {
        return status_make(CODE_CANCELLED, "The call was stopped.");
    }
    if (frame_take(&bytes, &kind, &body, &is_broken)) {
        if (kind == FRAME_FAILURE) {
            return failure_of(body, arena);
        }
        buf_put(ret, body);
        return STATUS_OK;
    }
    if (work->said.len > 0) {
        return local_explain(buf_str(&work->said), arena);
    }
    return status_make(CODE_UNKNOWN, work->is_late
                                         ? "The sandbox did not answer in time and was ended."
                                         : "The sandbox ended without an answer: a command that "
                                           "kills every process ends its own sandbox, too.");
}

static status run(const struct call *call, const struct local_start *start, struct arena *arena,
                  struct buf *ret)
{
    struct work work = {.call = call, .fds = {-1, -1, -1}};
    struct buf request = {0};
    buf_put_u32_le(&request, (uint32_t)call->request.len);
    buf_put(&request, call->request);
    work.unwritten = buf_str(&request);
    status outcome = begin(&work, start);
    if (status_is_ok(outcome)) {
        follow(&work);
    }
    end(&work);
    if (status_is_ok(outcome)) {
        outcome = read_answer(&work, arena, ret);
    }
    buf_fini(&request);
    buf_fini(&work.answer);
    buf_fini(&work.said);
    return outcome;
}

status call_run(const struct call *call, struct arena *arena, struct buf *ret)
{
    struct local_start start;
    TRY(local_prepare(call->sandbox, arena, &start));
    status outcome = run(call, &start, arena, ret);
    local_close(&start);
    return outcome;
}
