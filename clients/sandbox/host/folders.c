#include "clients/sandbox/host/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static status refuse(const char *path, struct arena *arena)
{
    return arena_fail(arena, CODE_FAILED_PRECONDITION, "The folder %s cannot be made: %s.", path,
                      strerrordesc_np(errno));
}

status folders_make_above(const char *path, struct arena *arena)
{
    char *text = arena_cstr(arena, str_of(path));
    for (char *slash = strchr(text + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(text, 0755) != 0 && errno != EEXIST) {
            return refuse(text, arena);
        }
        *slash = '/';
    }
    return mkdir(text, 0755) == 0 || errno == EEXIST ? STATUS_OK : refuse(text, arena);
}

static bool is_name(const char *name)
{
    size_t len = strspn(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
    return len > 0 && name[len] == '\0';
}

status folders_make(const char *above, const char *name, unsigned user, struct arena *arena,
                    const char **ret)
{
    if (!is_name(name)) {
        return status_make(CODE_INVALID_ARGUMENT, "A sandbox has no name.");
    }
    const char *path = arena_printf(arena, "%s/%s", above, name).ptr;
    bool is_new = mkdir(path, 0700) == 0;
    if (!is_new && errno != EEXIST) {
        return refuse(path, arena);
    }
    if (is_new && geteuid() == 0 && chown(path, user, user) != 0) {
        return refuse(path, arena);
    }
    *ret = path;
    return STATUS_OK;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int open_folder(int above_fd, const char *name)
{
    int fd = openat(above_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(above_fd, name, 0700, 0) == 0) {
        fd = openat(above_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    return fd;
}

/* Removes what is in a folder; a folder in it goes up into `top_fd` under a new name, so that no
 * depth of folders costs depth here. False: nothing could be done. */
static bool empty(int top_fd, int fd, uint64_t *next_name)
{
    DIR *folder = fdopendir(dup(fd));
    bool did_all = true;
    if (folder == NULL) {
        return false;
    }
    fchmod(fd, 0700);
    rewinddir(folder);
    for (struct dirent *found = readdir(folder); found != NULL; found = readdir(folder)) {
        char name[64];
        if (is_dots(found->d_name) || unlinkat(fd, found->d_name, 0) == 0) {
            continue;
        }
        if (unlinkat(fd, found->d_name, AT_REMOVEDIR) == 0) {
            continue;
        }
        snprintf(name, sizeof name, ".removed-%llu", (unsigned long long)(*next_name)++);
        did_all &= renameat(fd, found->d_name, top_fd, name) == 0;
    }
    closedir(folder);
    return did_all;
}

/* One look at the top folder; *ret_is_empty: there was nothing in it. */
static bool remove_below(int top_fd, uint64_t *next_name, bool *ret_is_empty)
{
    int own_fd = openat(top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = own_fd < 0 ? NULL : fdopendir(own_fd);
    bool did_all = folder != NULL;
    *ret_is_empty = true;
    for (struct dirent *found = did_all ? readdir(folder) : NULL; found != NULL;
         found = readdir(folder)) {
        if (is_dots(found->d_name)) {
            continue;
        }
        *ret_is_empty = false;
        if (unlinkat(top_fd, found->d_name, 0) == 0) {
            continue;
        }
        int fd = open_folder(top_fd, found->d_name);
        did_all &= fd >= 0 && empty(top_fd, fd, next_name);
        if (fd >= 0) {
            close(fd);
        }
        did_all &= unlinkat(top_fd, found->d_name, AT_REMOVEDIR) == 0;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return did_all;
}

bool folders_remove(const char *above, const char *name)
{
    int above_fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = above_fd < 0 || !is_name(name) ? -1 : open_folder(above_fd, name);
    bool is_empty = fd < 0;
    bool did_all = fd >= 0;
    uint64_t next_name;
    /* By chance, so that nobody inside can have taken the names before. */
    did_all = did_all && getrandom(&next_name, sizeof next_name, 0) == sizeof next_name;
    if (fd >= 0) {
        fchmod(fd, 0700);
    }
    while (did_all && !is_empty) {
        did_all = remove_below(fd, &next_name, &is_empty);
    }
    did_all = did_all && unlinkat(above_fd, name, AT_REMOVEDIR) == 0;
    if (fd >= 0) {
        close(fd);
    }
    if (above_fd >= 0) {
        close(above_fd);
    }
    return did_all;
}

void folders_each(const char *above, void (*found)(void *context, const char *name), void *context)
{
    DIR *folder = opendir(above);
    for (struct dirent *entry = folder == NULL ? NULL : readdir(folder); entry != NULL;
         entry = readdir(folder)) {
        if (is_name(entry->d_name)) {
            found(context, entry->d_name);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
}
