/*
 * powerloss: an LD_PRELOAD library that cuts the power of one folder.
 *
 * The calls that change files are passed on and counted; at a given count the process loses
 * what it had not synced (see disk_model.h) and exits with 137, as if killed.
 *
 *   POWERLOSS_DIR      the folder, absolute; without it nothing happens
 *   POWERLOSS_AT       lose the power at this many operations; without it, never
 *   POWERLOSS_SEED     what is lost
 *   POWERLOSS_FAIL_AT  this many syncs of a file named *.log, then one fails with EIO
 *   POWERLOSS_LIES     a disk that says "synced" and is not: syncs keep no bytes, only names.
 *                      For control runs, which must be caught
 *
 * Covered: open (create, truncate, O_DSYNC), write, writev, pwrite, fsync, fdatasync,
 * ftruncate, rename, unlink, link, mkdir. What only reserves space or hints (fallocate with its
 * size kept, sync_file_range) changes nothing durable and needs no cover. Streams (fopen) and the
 * ...at() calls are not tracked: what they write is taken to last.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/crash/disk_model.h"

enum {
    FDS_MAX = 65536,
    EXIT_POWER_LOST = 137,
};

/* file: of the model, or -1. */
struct descriptor {
    int file;
    bool syncs_each_write;
    bool appends;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool is_on;
static bool lies;
static long operations;
static long lose_at = -1;
static long syncs_until_failure = -1;
static struct descriptor descriptors[FDS_MAX];

static struct disk_calls real;
static ssize_t (*real_write)(int fd, const void *bytes, size_t count);
static ssize_t (*real_writev)(int fd, const struct iovec *parts, int count);
static int (*real_fsync)(int fd);
static int (*real_fdatasync)(int fd);

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    return found;
}

/* ISO C has no cast between a function and void *. */
#define FIND(pointer, name)                                                                        \
    do {                                                                                           \
        void *found = next(name);                                                                  \
        memcpy(&(pointer), &found, sizeof(found));                                                 \
    } while (0)

static long number(const char *name, long if_unset)
{
    const char *text = getenv(name);
    return text == NULL ? if_unset : strtol(text, NULL, 10);
}

static void set_up(void)
{
    const char *folder = getenv("POWERLOSS_DIR");
    FIND(real.open, "open");
    FIND(real.close, "close");
    FIND(real.pwrite, "pwrite");
    FIND(real.ftruncate, "ftruncate");
    FIND(real.rename, "rename");
    FIND(real.unlink, "unlink");
    FIND(real.link, "link");
    FIND(real_write, "write");
    FIND(real_writev, "writev");
    FIND(real_fsync, "fsync");
    FIND(real_fdatasync, "fdatasync");
    FIND(real.mkdir, "mkdir");
    for (size_t i = 0; i < FDS_MAX; i++) {
        descriptors[i].file = -1;
    }
    if (folder == NULL) {
        return;
    }
    is_on = true;
    lose_at = number("POWERLOSS_AT", -1);
    lies = getenv("POWERLOSS_LIES") != NULL;
    syncs_until_failure = number("POWERLOSS_FAIL_AT", -1);
    disk_init(&real, folder, (uint64_t)number("POWERLOSS_SEED", 1));
}

/* Takes the lock; every interposed call that may concern us is between begin and end. */
static void begin(void)
{
    pthread_once(&once, set_up);
    pthread_mutex_lock(&mutex);
}

static void end(void)
{
    pthread_mutex_unlock(&mutex);
}

/* With the lock held, and never to return once the power is gone. */
static void count_operation(void)
{
    operations++;
    if (lose_at >= 0 && operations >= lose_at) {
        disk_lose_power();
        _exit(EXIT_POWER_LOST);
    }
}

static struct descriptor *watched(int fd)
{
    if (!is_on || fd < 0 || fd >= FDS_MAX || descriptors[fd].file < 0) {
        return NULL;
    }
    return &descriptors[fd];
}

/* ---- Opening and closing ---- */

static void note_open(int fd, const char *path, int flags, bool is_new)
{
    struct stat info;
    if (fd < 0 || fd >= FDS_MAX || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        return;
    }
    descriptors[fd] = (struct descriptor){
        .file = disk_file(path, is_new),
        .syncs_each_write = (flags & O_DSYNC) != 0,
        .appends = (flags & O_APPEND) != 0,
    };
    if (is_new) {
        count_operation();
    }
}

static int open_watched(const char *path, int flags, mode_t mode)
{
    struct stat info;
    bool exists = stat(path, &info) == 0;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (exists && writes && (flags & O_TRUNC) != 0) {
        int file = disk_file(path, false);
        disk_before_overwrite(file, 0, (size_t)info.st_size);
        disk_cut(file, 0);
    }
    int fd = real.open(path, flags, mode);
    if (writes) {
        note_open(fd, path, flags, !exists);
    }
    return fd;
}

static int open_any(const char *path, int flags, mode_t mode)
{
    begin();
    int fd = is_on && disk_watches(path) ? open_watched(path, flags, mode)
                                         : real.open(path, flags, mode);
    end();
    return fd;
}

static mode_t mode_from(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_from(flags, args);
    va_end(args);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_from(flags, args);
    va_end(args);
    return open_any(path, flags, mode);
}

int close(int fd)
{
    begin();
    if (fd >= 0 && fd < FDS_MAX) {
        descriptors[fd].file = -1;
    }
    int result = real.close(fd);
    end();
    return result;
}

/* ---- Writing ---- */

static off_t position(int fd, const struct descriptor *descriptor)
{
    struct stat info;
    if (descriptor->appends && fstat(fd, &info) == 0) {
        return info.st_size;
    }
    return lseek(fd, 0, SEEK_CUR);
}

/* After a write: it may be the last, and it may have been synced with it. */
static void wrote(const struct descriptor *descriptor)
{
    count_operation();
    if (descriptor->syncs_each_write && !lies) {
        disk_synced(descriptor->file);
        count_operation();
    }
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    begin();
    const struct descriptor *descriptor = watched(fd);
    if (descriptor != NULL) {
        disk_before_overwrite(descriptor->file, position(fd, descriptor), count);
    }
    ssize_t result = real_write(fd, bytes, count);
    if (descriptor != NULL) {
        wrote(descriptor);
    }
    end();
    return result;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    begin();
    const struct descriptor *descriptor = watched(fd);
    if (descriptor != NULL) {
        size_t bytes = 0;
        for (int i = 0; i < count; i++) {
            bytes += parts[i].iov_len;
        }
        disk_before_overwrite(descriptor->file, position(fd, descriptor), bytes);
    }
    ssize_t result = real_writev(fd, parts, count);
    if (descriptor != NULL) {
        wrote(descriptor);
    }
    end();
    return result;
}

static ssize_t pwrite_any(int fd, const void *bytes, size_t count, off_t at)
{
    begin();
    const struct descriptor *descriptor = watched(fd);
    if (descriptor != NULL) {
        disk_before_overwrite(descriptor->file, at, count);
    }
    ssize_t result = real.pwrite(fd, bytes, count, at);
    if (descriptor != NULL) {
        wrote(descriptor);
    }
    end();
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    return pwrite_any(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at)
{
    return pwrite_any(fd, bytes, count, at);
}

static int ftruncate_any(int fd, off_t len)
{
    begin();
    const struct descriptor *descriptor = watched(fd);
    struct stat info;
    if (descriptor != NULL && fstat(fd, &info) == 0 && info.st_size > len) {
        disk_before_overwrite(descriptor->file, len, (size_t)(info.st_size - len));
    }
    int result = real.ftruncate(fd, len);
    if (descriptor != NULL && result == 0) {
        disk_cut(descriptor->file, len);
        count_operation();
    }
    end();
    return result;
}

int ftruncate(int fd, off_t len)
{
    return ftruncate_any(fd, len);
}

int ftruncate64(int fd, off64_t len)
{
    return ftruncate_any(fd, len);
}

/* ---- Syncing ---- */

/* The path of what is open; false when it cannot be told. */
static bool path_of(int fd, char ret[PATH_MAX])
{
    char link_path[64];
    snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link_path, ret, PATH_MAX - 1);
    ret[len < 0 ? 0 : len] = '\0';
    return len > 0;
}

static bool must_fail(const char *path)
{
    size_t len = strlen(path);
    bool is_log = len > 4 && strcmp(path + len - 4, ".log") == 0;
    return is_log && syncs_until_failure >= 0 && syncs_until_failure-- == 0;
}

static int sync_any(int fd, int (*real_sync)(int fd))
{
    char path[PATH_MAX];
    begin();
    if (!is_on || !path_of(fd, path) || !disk_watches(path)) {
        end();
        return real_sync(fd);
    }
    int result = must_fail(path) ? -1 : 0;
    count_operation();
    const struct descriptor *descriptor = watched(fd);
    if (descriptor != NULL && result == 0) {
        if (!lies) {
            disk_synced(descriptor->file);
        }
        count_operation();
    } else if (result == 0) {
        disk_folder_synced(path);
        count_operation();
    }
    end();
    errno = result == 0 ? errno : EIO;
    return result;
}

int fsync(int fd)
{
    pthread_once(&once, set_up);
    return sync_any(fd, real_fsync);
}

int fdatasync(int fd)
{
    pthread_once(&once, set_up);
    return sync_any(fd, real_fdatasync);
}

/* ---- Names ---- */

int rename(const char *from, const char *to)
{
    begin();
    bool is_ours = is_on && disk_watches(from);
    int result = is_ours ? disk_rename(from, to) : real.rename(from, to);
    if (is_ours) {
        count_operation();
    }
    end();
    return result;
}

int unlink(const char *path)
{
    begin();
    bool is_ours = is_on && disk_watches(path);
    int result = is_ours ? disk_unlink(path) : real.unlink(path);
    if (is_ours) {
        count_operation();
    }
    end();
    return result;
}

int link(const char *from, const char *to)
{
    begin();
    int result = real.link(from, to);
    if (result == 0 && is_on && disk_watches(to)) {
        disk_linked(to);
        count_operation();
    }
    end();
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    begin();
    int result = real.mkdir(path, mode);
    int error = errno;
    if (is_on && disk_watches(path) && (result == 0 || error == EEXIST)) {
        disk_folder(path);
        count_operation();
    }
    end();
    errno = error;
    return result;
}
