#include "clients/sandbox/box/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "service/base/buf.h"

enum {
    RACES_MAX = 100, /* The kernel asks to try again when folders moved while it walked. */
};

/* Below a folder's descriptor only. Returns a descriptor or -1. */
static int open_beneath(int folder_fd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC | ((flags & O_PATH) != 0 ? 0 : O_NOCTTY)),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    for (int i = 0; i < RACES_MAX; i++) {
        fd = syscall(SYS_openat2, folder_fd, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) {
            break;
        }
    }
    return (int)fd;
}

/* Without slashes at the end; "/" becomes nothing. */
static str without_end_slashes(str path)
{
    while (path.len > 0 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    return path;
}

/* Whether the path, as it is written, is the folder or below it; *ret_rest is what follows. */
static bool is_written_below(str path, str folder, str *ret_rest)
{
    folder = without_end_slashes(folder);
    if (!str_starts_with(path, folder) || (path.len > folder.len && path.ptr[folder.len] != '/')) {
        return false;
    }
    str rest = str_make(path.ptr + folder.len, path.len - folder.len);
    while (rest.len > 0 && rest.ptr[0] == '/') {
        rest = str_make(rest.ptr + 1, rest.len - 1);
    }
    *ret_rest = rest;
    return true;
}

status place_open(str root, str workspace, struct arena *arena, struct place *ret)
{
    struct place place = {.root = root};
    if (!is_written_below(workspace, root, &place.workspace)) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "The workspace " STR_FMT " is not below " STR_FMT ".", STR_ARG(workspace),
                          STR_ARG(root));
    }
    place.workspace = without_end_slashes(place.workspace);
    place.root_fd = open(arena_cstr(arena, root), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place.root_fd < 0) {
        return arena_fail(arena, CODE_NOT_FOUND, "The sandbox has no folder " STR_FMT ".",
                          STR_ARG(root));
    }
    *ret = place;
    return STATUS_OK;
}

void place_close(struct place *place)
{
    close(place->root_fd);
    place->root_fd = -1;
}

static status refuse_outside(const struct place *place, str path, struct arena *arena)
{
    return arena_fail(arena, CODE_PERMISSION_DENIED,
                      "Path traversal detected: \"" STR_FMT "\" resolves outside of \"" STR_FMT
                      "\"",
                      STR_ARG(path), STR_ARG(place->root));
}

status place_path(const struct place *place, str path, struct arena *arena, str *ret)
{
    if (path.len > 0 && path.ptr[0] == '/') {
        return is_written_below(path, place->root, ret) ? STATUS_OK
                                                        : refuse_outside(place, path, arena);
    }
    bool is_joined = place->workspace.len > 0 && path.len > 0;
    *ret = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(place->workspace),
                        is_joined ? "/" : "", STR_ARG(path));
    return STATUS_OK;
}

str place_absolute(const struct place *place, str path, struct arena *arena)
{
    str root = without_end_slashes(place->root);
    return arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(root), STR_ARG(path));
}

status place_failure(const struct place *place, int error, str path, struct arena *arena)
{
    switch (error) {
    case ENOENT:
        return arena_fail(arena, CODE_NOT_FOUND, "No such file or directory: " STR_FMT,
                          STR_ARG(path));
    case EXDEV:
    case EAGAIN:
        return refuse_outside(place, path, arena);
    case EACCES:
    case EPERM:
    case EROFS:
        return arena_fail(arena, CODE_PERMISSION_DENIED, "Permission denied: " STR_FMT,
                          STR_ARG(path));
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return arena_fail(arena, CODE_RESOURCE_EXHAUSTED,
                          "There is no room left in the sandbox for " STR_FMT, STR_ARG(path));
    case ENOSYS:
        return status_make(
            CODE_FAILED_PRECONDITION,
            "The sandbox has no openat2: Linux 5.6 or later is needed, and a seccomp "
            "profile that allows the call.");
    default:
        return arena_fail(arena, CODE_FAILED_PRECONDITION, "%s: " STR_FMT, strerrordesc_np(error),
                          STR_ARG(path));
    }
}

status place_open_at(const struct place *place, str path, int flags, struct arena *arena,
                     int *ret_fd)
{
    int fd = open_beneath(place->root_fd, path.len == 0 ? "." : arena_cstr(arena, path), flags);
    if (fd < 0) {
        return place_failure(place, errno, place_absolute(place, path, arena), arena);
    }
    *ret_fd = fd;
    return STATUS_OK;
}

/* Opens the folder, and makes it in `above_fd`, where it is `name`, if it is not there. */
static int open_or_make(const struct place *place, const char *path, int above_fd, const char *name)
{
    int fd = open_beneath(place->root_fd, path, O_PATH | O_DIRECTORY);
    if (fd >= 0 || errno != ENOENT) {
        return fd;
    }
    if (strcmp(name, "..") == 0 || (mkdirat(above_fd, name, 0777) != 0 && errno != EEXIST)) {
        return -1;
    }
    return open_beneath(place->root_fd, path, O_PATH | O_DIRECTORY);
}

/* Opens the folder a path of names and slashes tells of, name after name. Returns -1 with errno. */
static int open_folders(const struct place *place, char *path)
{
    int above_fd = open_beneath(place->root_fd, ".", O_PATH | O_DIRECTORY);
    char *name = path;
    while (above_fd >= 0 && *name != '\0') {
        char *slash = strchrnul(name, '/');
        char ending = *slash;
        *slash = '\0';
        if (slash > name) {
            int fd = open_or_make(place, path, above_fd, name);
            int error = errno;
            close(above_fd);
            above_fd = fd;
            errno = error;
        }
        *slash = ending;
        name = ending == '\0' ? slash : slash + 1;
    }
    return above_fd;
}

status place_open_parent(const struct place *place, str path, struct arena *arena, int *ret_fd,
                         const char **ret_name)
{
    char *text = arena_cstr(arena, path);
    char *slash = strrchr(text, '/');
    char *name = slash == NULL ? text : slash + 1;
    char *folder = slash == NULL ? text + path.len : text;
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "\"" STR_FMT "\" names no file.",
                          STR_ARG(path));
    }
    if (slash != NULL) {
        *slash = '\0';
    }
    int fd = open_folders(place, folder);
    if (fd < 0) {
        return place_failure(place, errno, place_absolute(place, path, arena), arena);
    }
    *ret_fd = fd;
    *ret_name = name;
    return STATUS_OK;
}
