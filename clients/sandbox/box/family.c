#include "clients/sandbox/box/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service/base/array.h"

enum {
    STAT_BYTES = 1024,
};

/* A process as /proc shows it. Its number and its start name it for ever. */
struct process {
    pid_t pid;
    pid_t parent;
    unsigned long long start;
    bool is_ours;
};

struct processes {
    struct process *items;
    size_t count;
    size_t capacity;
};

/* False: there is none of that number. */
static bool read_process(pid_t pid, struct process *ret)
{
    char path[64];
    char text[STAT_BYTES];
    int parent;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        close(fd);
    }
    if (len <= 0) {
        return false;
    }
    text[len] = '\0';
    /* The name may hold anything, but what follows holds no bracket. */
    const char *rest = strrchr(text, ')');
    *ret = (struct process){.pid = pid};
    if (rest == NULL ||
        sscanf(rest,
               ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
               "%llu",
               &parent, &ret->start) != 2) {
        return false;
    }
    ret->parent = parent;
    return true;
}

static void read_all(struct processes *processes)
{
    DIR *folder = opendir("/proc");
    processes->count = 0;
    if (folder == NULL) {
        return;
    }
    for (struct dirent *found = readdir(folder); found != NULL; found = readdir(folder)) {
        struct process process;
        long pid = strtol(found->d_name, NULL, 10);
        if (pid > 0 && read_process((pid_t)pid, &process)) {
            processes->items = array_reserve(processes->items, &processes->capacity,
                                             processes->count + 1, sizeof processes->items[0]);
            processes->items[processes->count++] = process;
        }
    }
    closedir(folder);
}

static int compare_pids(const void *left, const void *right)
{
    const struct process *a = left;
    const struct process *b = right;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

static bool is_ours(const struct processes *processes, pid_t pid)
{
    struct process key = {.pid = pid};
    const struct process *found =
        bsearch(&key, processes->items, processes->count, sizeof processes->items[0], compare_pids);
    return found != NULL && found->is_ours;
}

/* Marks our children, theirs, and so on, and leaves only those. */
static void read_family(struct processes *processes)
{
    bool has_changed = true;
    size_t count = 0;
    pid_t self = getpid();
    read_all(processes);
    if (processes->count > 0) {
        qsort(processes->items, processes->count, sizeof processes->items[0], compare_pids);
    }
    while (has_changed) {
        has_changed = false;
        for (size_t i = 0; i < processes->count; i++) {
            struct process *process = &processes->items[i];
            if (!process->is_ours &&
                (process->parent == self || is_ours(processes, process->parent))) {
                process->is_ours = true;
                has_changed = true;
            }
        }
    }
    for (size_t i = 0; i < processes->count; i++) {
        if (processes->items[i].is_ours) {
            processes->items[count++] = processes->items[i];
        }
    }
    processes->count = count;
}

/* By a descriptor, so that it cannot hit who took the number after the process was seen. */
static void send_signal(const struct process *process, int number)
{
    struct process now;
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (!read_process(process->pid, &now) || now.start != process->start) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    if (fd < 0 || syscall(SYS_pidfd_send_signal, fd, number, NULL, 0) != 0) {
        kill(process->pid, number);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static bool was_seen(const struct processes *seen, const struct process *process)
{
    for (size_t i = 0; i < seen->count; i++) {
        if (seen->items[i].pid == process->pid && seen->items[i].start == process->start) {
            return true;
        }
    }
    return false;
}

/* Stops all; over when there is none that has not been stopped. */
static void stop_all(struct processes *family)
{
    struct processes seen = {0};
    bool has_new = true;
    while (has_new) {
        has_new = false;
        read_family(family);
        for (size_t i = 0; i < family->count; i++) {
            if (!was_seen(&seen, &family->items[i])) {
                send_signal(&family->items[i], SIGSTOP);
                has_new = true;
            }
        }
        struct processes swapped = seen;
        seen = *family;
        *family = swapped;
    }
    free(seen.items);
}

/* Takes in all that have ended. False: we have no child at all. */
static bool reap(pid_t child, int *ret_status)
{
    for (;;) {
        int how;
        pid_t pid = waitpid(-1, &how, WNOHANG);
        if (pid < 0 && errno == EINTR) {
            continue;
        }
        if (pid <= 0) {
            return pid == 0;
        }
        if (pid == child) {
            *ret_status = how;
        }
    }
}

status family_begin(void)
{
    struct process self;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!read_process(getpid(), &self)) {
        return status_make(CODE_FAILED_PRECONDITION,
                           "The sandbox has no /proc, without which commands cannot be ended.");
    }
    return STATUS_OK;
}

void family_end(pid_t child, int *ret_status)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    struct processes family = {0};
    while (reap(child, ret_status)) {
        stop_all(&family);
        read_family(&family);
        for (size_t i = 0; i < family.count; i++) {
            send_signal(&family.items[i], SIGKILL);
        }
        nanosleep(&pause, NULL); /* They end by themselves now; nobody tells when. */
    }
    free(family.items);
}

size_t family_count(void)
{
    struct processes family = {0};
    read_family(&family);
    free(family.items);
    return family.count;
}
