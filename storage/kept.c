#include "storage/kept.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* Calls visit for every file in the folder. */
static void each_file(int dir_fd, void (*visit)(void *context, int dir_fd, const char *name),
                      void *context)
{
    int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    if (dir == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat info;
        if (fstatat(dir_fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode)) {
            visit(context, dir_fd, entry->d_name);
        }
    }
    closedir(dir);
}

static void find_log(void *context, int dir_fd, const char *name)
{
    struct stat info;
    if (ends_with(name, ".log") && fstatat(dir_fd, name, &info, 0) == 0 && info.st_size > 0) {
        *(bool *)context = true;
    }
}

static void link_into(void *context, int dir_fd, const char *name)
{
    int to_fd = *(int *)context;
    assert(to_fd >= 0 && dir_fd >= 0);
    if (strncmp(name, "LOG", 3) != 0 && strcmp(name, "LOCK") != 0) {
        /* One that is there already is of an earlier, interrupted attempt: the older stays. */
        int failed = linkat(dir_fd, name, to_fd, name, 0);
        (void)failed;
    }
}

static void remove_file(void *context, int dir_fd, const char *name)
{
    (void)context;
    (void)unlinkat(dir_fd, name, 0);
}

static int open_folder(int base_fd, const char *path)
{
    return openat(base_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void close_folder(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void link_all(int folder_fd)
{
    if (mkdirat(folder_fd, KEPT_BEFORE_RECOVERY, 0750) != 0 && errno != EEXIST) {
        return;
    }
    int to_fd = open_folder(folder_fd, KEPT_BEFORE_RECOVERY);
    if (to_fd >= 0) {
        each_file(folder_fd, link_into, &to_fd);
    }
    close_folder(to_fd);
}

void kept_save(const char *folder)
{
    assert(folder != NULL);
    int folder_fd = open_folder(AT_FDCWD, folder);
    bool has_log = false;
    if (folder_fd < 0) {
        return;
    }
    each_file(folder_fd, find_log, &has_log);
    if (has_log) {
        link_all(folder_fd);
    }
    close_folder(folder_fd);
}

void kept_drop(const char *folder)
{
    assert(folder != NULL);
    int folder_fd = open_folder(AT_FDCWD, folder);
    int kept_fd = folder_fd < 0 ? -1 : open_folder(folder_fd, KEPT_BEFORE_RECOVERY);
    if (kept_fd >= 0) {
        each_file(kept_fd, remove_file, NULL);
        (void)unlinkat(folder_fd, KEPT_BEFORE_RECOVERY, AT_REMOVEDIR);
    }
    close_folder(kept_fd);
    close_folder(folder_fd);
}

void kept_refuse(const char *folder)
{
    assert(folder != NULL);
    int folder_fd = open_folder(AT_FDCWD, folder);
    int refused_fd = folder_fd < 0 ? -1 : open_folder(folder_fd, KEPT_REFUSED);
    bool is_first = folder_fd >= 0 && refused_fd < 0;
    if (is_first) {
        int failed = renameat(folder_fd, KEPT_BEFORE_RECOVERY, folder_fd, KEPT_REFUSED);
        (void)failed;
    }
    close_folder(refused_fd);
    close_folder(folder_fd);
    if (!is_first) {
        kept_drop(folder);
    }
}
