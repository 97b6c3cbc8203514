#include "tests/crash/disk_model.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILES_MAX = 16384,
    NAMES_MAX = 16384,
    SECTOR_BYTES = 512,
};

struct overwrite {
    struct overwrite *older;
    off_t at;
    size_t count;
    char bytes[]; /* What was there. */
};

struct file {
    char *path; /* Where it is now; NULL: gone for good. */
    off_t durable; /* So many bytes are on disk for sure. */
    struct overwrite *overwrites; /* Newest first. */
};

enum name_kind {
    NAME_MADE,
    NAME_FOLDER, /* Made; what is in it goes with it. */
    NAME_MOVED,
    NAME_REMOVED,
};

struct name {
    enum name_kind kind;
    char *path; /* Made, moved from, or removed. */
    char *to; /* Moved to. */
    char *grave; /* Where what was removed or replaced lies; NULL: nothing was. */
};

static struct disk_calls real;
static char watched[PATH_MAX];
static char graves[PATH_MAX];
static unsigned long grave_next;
static uint64_t random_state;
static struct file files[FILES_MAX];
static int file_count;
static struct name names[NAMES_MAX];
static int name_count;

static void must(bool fact, const char *what)
{
    if (!fact) {
        dprintf(STDERR_FILENO, "powerloss: %s: %s\n", what, strerror(errno));
        abort();
    }
}

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % limit;
}

void disk_init(const struct disk_calls *calls, const char *folder, uint64_t seed)
{
    real = *calls;
    random_state = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    int len = snprintf(watched, sizeof(watched) - 16, "%s", folder);
    must(len > 0 && len < (int)sizeof(watched) - 16, "the folder's path is too long");
    snprintf(graves, sizeof(graves), "%.*s.graves", len, watched);
    (void)real.mkdir(graves, 0700);
    for (int i = 0; i < 8; i++) {
        (void)random_below(2);
    }
}

bool disk_watches(const char *path)
{
    size_t len = strlen(watched);
    return len > 0 && strncmp(path, watched, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* ---- Files ---- */

static int find_file(const char *path)
{
    for (int i = 0; i < file_count; i++) {
        if (files[i].path != NULL && strcmp(files[i].path, path) == 0) {
            return i;
        }
    }
    return -1;
}

static void add_name(enum name_kind kind, const char *path, const char *to, char *grave)
{
    must(name_count < NAMES_MAX, "too many names without a sync");
    names[name_count++] = (struct name){kind, strdup(path), to == NULL ? NULL : strdup(to), grave};
}

int disk_file(const char *path, bool is_new)
{
    int index = find_file(path);
    struct stat info;
    if (is_new) {
        add_name(NAME_MADE, path, NULL, NULL);
    }
    if (index >= 0) {
        return index;
    }
    must(stat(path, &info) == 0, path);
    for (index = 0; index < file_count && files[index].path != NULL; index++) {
    }
    must(index < FILES_MAX, "too many files");
    file_count = index == file_count ? file_count + 1 : file_count;
    files[index] = (struct file){strdup(path), is_new ? 0 : info.st_size, NULL};
    return index;
}

static void forget_overwrites(struct file *file)
{
    while (file->overwrites != NULL) {
        struct overwrite *older = file->overwrites->older;
        free(file->overwrites);
        file->overwrites = older;
    }
}

static void forget_file(const char *path)
{
    int index = find_file(path);
    if (index >= 0) {
        forget_overwrites(&files[index]);
        free(files[index].path);
        files[index].path = NULL;
    }
}

static void move_file(const char *from, const char *to)
{
    int index = find_file(from);
    if (index >= 0) {
        free(files[index].path);
        files[index].path = strdup(to);
    }
}

void disk_before_overwrite(int index, off_t at, size_t count)
{
    struct file *file = &files[index];
    if (at >= file->durable || count == 0) {
        return;
    }
    if ((off_t)count > file->durable - at) {
        count = (size_t)(file->durable - at);
    }
    struct overwrite *overwrite = (struct overwrite *)malloc(sizeof(*overwrite) + count);
    must(overwrite != NULL, "memory");
    int fd = real.open(file->path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0, file->path);
    ssize_t got = pread(fd, overwrite->bytes, count, at);
    real.close(fd);
    must(got >= 0, file->path);
    overwrite->at = at;
    overwrite->count = (size_t)got;
    overwrite->older = file->overwrites;
    file->overwrites = overwrite;
}

void disk_cut(int index, off_t len)
{
    if (files[index].durable > len) {
        files[index].durable = len;
    }
}

void disk_synced(int index)
{
    struct stat info;
    if (files[index].path != NULL && stat(files[index].path, &info) == 0) {
        files[index].durable = info.st_size;
        forget_overwrites(&files[index]);
    }
}

/* ---- Names ---- */

static bool is_in(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    return strlen(folder) == len && strncmp(path, folder, len) == 0;
}

static void drop_name(struct name *name)
{
    if (name->grave != NULL) {
        forget_file(name->grave);
        (void)real.unlink(name->grave);
    }
    free(name->path);
    free(name->to);
    free(name->grave);
}

void disk_folder_synced(const char *folder)
{
    int kept = 0;
    for (int i = 0; i < name_count; i++) {
        if (is_in(names[i].path, folder)) {
            drop_name(&names[i]);
        } else {
            names[kept++] = names[i];
        }
    }
    name_count = kept;
}

static void new_grave(char ret[PATH_MAX + 64])
{
    snprintf(ret, PATH_MAX + 64, "%s/%d.%lu", graves, (int)getpid(), grave_next++);
}

/* A place for what a name stood for; NULL when it stands for nothing. */
static char *bury(const char *path)
{
    char grave[PATH_MAX + 64];
    new_grave(grave);
    if (real.link(path, grave) != 0) {
        return NULL;
    }
    move_file(path, grave);
    return strdup(grave);
}

int disk_rename(const char *from, const char *to)
{
    char *grave = bury(to);
    int result = real.rename(from, to);
    if (result == 0) {
        move_file(from, to);
        add_name(NAME_MOVED, from, to, grave);
    } else if (grave != NULL) {
        move_file(grave, to);
        (void)real.unlink(grave);
        free(grave);
    }
    return result;
}

int disk_unlink(const char *path)
{
    char *grave = bury(path);
    int result = real.unlink(path);
    if (result == 0) {
        add_name(NAME_REMOVED, path, NULL, grave);
    }
    return result;
}

void disk_linked(const char *to)
{
    add_name(NAME_MADE, to, NULL, NULL);
}

static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    bool is_empty = true;
    must(folder != NULL, path);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        is_empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    closedir(folder);
    return is_empty;
}

void disk_folder(const char *path)
{
    bool is_noted = false;
    for (int i = 0; i < name_count; i++) {
        is_noted |= names[i].kind == NAME_FOLDER && strcmp(names[i].path, path) == 0;
    }
    if (!is_noted && strcmp(path, watched) != 0 && is_empty(path)) {
        add_name(NAME_FOLDER, path, NULL, NULL);
    }
}

/* ---- The loss ---- */

static void undo_overwrites(int fd, const struct file *file)
{
    for (const struct overwrite *one = file->overwrites; one != NULL; one = one->older) {
        for (size_t at = 0; at < one->count; at += SECTOR_BYTES) {
            size_t count = one->count - at < SECTOR_BYTES ? one->count - at : SECTOR_BYTES;
            if (random_below(2) == 0) {
                (void)real.pwrite(fd, one->bytes + at, count, one->at + (off_t)at);
            }
        }
    }
}

static void garble(int fd, off_t from, off_t to)
{
    for (off_t at = from; at < to;) {
        off_t end = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
        char sector[SECTOR_BYTES] = {0};
        uint64_t fate = random_below(4);
        end = end < to ? end : to;
        if (fate == 0) {
            for (size_t i = 0; i < sizeof(sector); i++) {
                sector[i] = (char)random_below(256);
            }
        }
        if (fate <= 1) {
            (void)real.pwrite(fd, sector, (size_t)(end - at), at);
        }
        at = end;
    }
}

/* Returns how many bytes of the tail are not what was written, or gone. */
static off_t lose_tail(int fd, off_t durable, off_t size)
{
    uint64_t fate = random_below(8);
    off_t cut = durable;
    if (fate == 0) {
        return 0;
    }
    if (fate <= 2) {
        garble(fd, durable, size);
        return size - durable;
    }
    if (fate <= 5) {
        cut += (off_t)random_below((uint64_t)(size - durable) + 1);
    }
    (void)real.ftruncate(fd, cut);
    return size - cut;
}

static off_t lose_bytes(const struct file *file)
{
    struct stat info;
    off_t lost = 0;
    int fd = real.open(file->path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    if (fstat(fd, &info) == 0 && info.st_size > file->durable) {
        lost = lose_tail(fd, file->durable, info.st_size);
    }
    undo_overwrites(fd, file);
    real.close(fd);
    return lost;
}

static void undo_name(const struct name *name)
{
    char grave[PATH_MAX + 64];
    switch (name->kind) {
    case NAME_MADE:
        (void)real.unlink(name->path);
        return;
    case NAME_FOLDER:
        new_grave(grave);
        (void)real.rename(name->path, grave);
        return;
    case NAME_MOVED:
        (void)real.rename(name->to, name->path);
        if (name->grave != NULL) {
            (void)real.rename(name->grave, name->to);
        }
        return;
    case NAME_REMOVED:
        if (name->grave != NULL) {
            (void)real.rename(name->grave, name->path);
        }
        return;
    }
}

void disk_lose_power(void)
{
    off_t lost = 0;
    int undone = 0;
    bool in_order = random_below(2) == 0;
    int first_lost = (int)random_below((uint64_t)name_count + 1);
    for (int i = 0; i < file_count; i++) {
        if (files[i].path != NULL) {
            lost += lose_bytes(&files[i]);
        }
    }
    for (int i = name_count; i-- > 0;) {
        if (in_order ? i >= first_lost : random_below(2) == 0) {
            undo_name(&names[i]);
            undone++;
        }
    }
    dprintf(STDERR_FILENO, "powerloss: %ld bytes and %d of %d names lost\n", (long)lost, undone,
            name_count);
}
