#include "storage/space.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "service/base/sys.h"

enum {
    ASK_COMMITS = 32,
    ASK_US = 250000,
    ASK_BYTES = 1 << 20,
};

uint64_t space_free_bytes(const char *folder)
{
    struct statvfs volume;
    if (statvfs(folder, &volume) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)volume.f_bavail * volume.f_frsize;
}

uint64_t space_volume_bytes(const char *folder)
{
    struct statvfs volume;
    if (statvfs(folder, &volume) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)volume.f_blocks * volume.f_frsize;
}

uint64_t space_used_bytes(const char *folder)
{
    uint64_t bytes = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat info;
        if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode)) {
            bytes += (uint64_t)info.st_blocks * 512;
        }
    }
    closedir(dir);
    return bytes;
}

static bool is_time_to_ask(const struct space *space, uint64_t now_us)
{
    return space->is_short || space->commits >= ASK_COMMITS || space->bytes >= ASK_BYTES ||
           now_us - space->asked_us >= ASK_US;
}

bool space_allows(struct space *space, size_t commit_bytes)
{
    assert(space->folder != NULL);
    uint64_t now_us = sys_monotonic_us();
    space->commits++;
    space->bytes += commit_bytes;
    if (is_time_to_ask(space, now_us)) {
        uint64_t free_bytes = space_free_bytes(space->folder);
        assert(now_us >= space->asked_us); /* Monotonic. */
        space->is_short = free_bytes < space->free_bytes_hard + commit_bytes;
        space->asked_us = now_us;
        space->commits = 0;
        space->bytes = 0;
    }
    return !space->is_short;
}
