/*
 * disk_model: what a disk would hold if the power went now.
 *
 * The files themselves always hold what was written last. The model remembers how much of that
 * was synced, what overwritten bytes used to be, and which names were made, moved or removed
 * since their folder was synced. At the loss it takes a seeded part of the rest away.
 *
 *   unsynced bytes at the end    all kept, all gone, cut anywhere, or sector by sector kept,
 *                                zeroed or garbled
 *   unsynced overwritten bytes   each piece old or new
 *   unsynced names               undone from some point on, or each for itself
 *
 *   unsynced folders             as names; what is in one goes with it
 *
 * Only paths that start with the folder watched are tracked; that one itself lasts. Syncs are not
 * passed on to the real disk: nothing here depends on it.
 *
 * Threading: the caller holds one lock around every call.
 */
#ifndef TESTS_CRASH_DISK_MODEL_H
#define TESTS_CRASH_DISK_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The real functions, past the interposed ones. */
struct disk_calls {
    int (*open)(const char *path, int flags, ...);
    int (*close)(int fd);
    ssize_t (*pwrite)(int fd, const void *bytes, size_t count, off_t at);
    int (*ftruncate)(int fd, off_t len);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*link)(const char *from, const char *to);
    int (*mkdir)(const char *path, mode_t mode);
};

void disk_init(const struct disk_calls *calls, const char *folder, uint64_t seed);
bool disk_watches(const char *path);

/* A file of the model, or -1. is_new: its name is not durable yet. */
int disk_file(const char *path, bool is_new);
/* Before `count` bytes at `at` are overwritten or cut off. */
void disk_before_overwrite(int file, off_t at, size_t count);
void disk_cut(int file, off_t len); /* The file was truncated to len. */
void disk_synced(int file); /* Its bytes, not its name. */
void disk_folder_synced(const char *folder);

/* Do what the calls of these names do, and remember how to undo it. */
int disk_rename(const char *from, const char *to);
int disk_unlink(const char *path);
void disk_linked(const char *to);
/*
 * After mkdir, also when the folder was there: of an empty one, whoever made it may have been
 * killed before its name was synced.
 */
void disk_folder(const char *path);

/* Takes away what was not synced. */
void disk_lose_power(void);

#endif
