#include "storage/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/sys.h"
#include "storage/kept.h"
#include "storage/space.h"

/* A folder is lost with the power, and all in it, unless its parent is synced too. */
static void sync_parent(const char *path)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 1 : (int)(slash - path) + 1;
    snprintf(parent, sizeof(parent), "%.*s", len, slash == NULL ? "." : path);
    int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        (void)fsync(dir);
        close(dir);
    }
}

/*
 * Makes the folder and those above it; whether that worked shows when it is used. One that is there
 * may have been made by a process that was killed before its name was synced.
 */
static void make_folders(char *path)
{
    size_t len = strlen(path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        char end = path[i];
        path[i] = '\0';
        if (mkdir(path, 0755) == 0 || errno == EEXIST) {
            sync_parent(path);
        }
        path[i] = end;
    }
}

static status make_folder(const char *path, struct arena *arena)
{
    struct stat info;
    make_folders(arena_cstr(arena, str_of(path)));
    if (stat(path, &info) != 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "cannot make the folder %s: %s", path,
                          strerror(errno));
    }
    if (!S_ISDIR(info.st_mode)) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s is not a folder", path);
    }
    if (access(path, R_OK | W_OK | X_OK) != 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "the folder %s may not be written: %s",
                          path, strerror(errno));
    }
    return STATUS_OK;
}

/* What a store's folder may hold, also one that was being made when the process died. */
static bool is_stores_own(const char *name)
{
    static const char *const starts[] = {
        ".",         "CURRENT",  "IDENTITY",  "LOCK",       "LOG",
        "MANIFEST-", "OPTIONS-", "WATERMARK", "lost+found", KEPT_BEFORE_RECOVERY,
        KEPT_REFUSED};
    static const char *const ends[] = {".log", ".sst", ".blob", ".dbtmp"};
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        if (strncmp(name, starts[i], strlen(starts[i])) == 0) {
            return true;
        }
    }
    size_t len = strlen(name);
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        size_t end = strlen(ends[i]);
        if (len > end && strcmp(name + len - end, ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Somebody else's files are left alone. */
static status refuse_foreign(const char *path, struct arena *arena)
{
    DIR *folder = opendir(path);
    const char *foreign = NULL;
    bool is_store = false;
    if (folder == NULL) {
        return STATUS_OK; /* Opening the store says why. */
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        /* What is left of one, too: the store says then what it lacks. */
        is_store |= strcmp(entry->d_name, "CURRENT") == 0 ||
                    strncmp(entry->d_name, "WATERMARK", 9) == 0 ||
                    strncmp(entry->d_name, "MANIFEST-", 9) == 0;
        if (!is_stores_own(entry->d_name)) {
            foreign = arena_cstr(arena, str_of(entry->d_name));
        }
    }
    closedir(folder);
    if (is_store || foreign == NULL) {
        return STATUS_OK;
    }
    return arena_fail(
        arena, CODE_INVALID_ARGUMENT,
        "the folder %s holds no store, but other files (%s): name an empty folder, or "
        "one that is not there yet",
        path, foreign);
}

status folder_prepare(const char *path, struct arena *arena)
{
    assert(path != NULL && path[0] != '\0');
    TRY(make_folder(path, arena));
    return refuse_foreign(path, arena);
}

void folder_warn_of_volume(const char *path, uint64_t free_bytes_soft)
{
    uint64_t bytes = space_volume_bytes(path);
    if (bytes <= free_bytes_soft) {
        log_line(LOG_WARN, "volume_too_small",
                 "data=%s why=\"the volume holds %llu MiB, and runs are started only while more "
                 "than %llu MiB are free: none ever is; use a larger one, or lower "
                 "--free-bytes-soft\"",
                 path, (unsigned long long)(bytes >> 20),
                 (unsigned long long)(free_bytes_soft >> 20));
    }
}
