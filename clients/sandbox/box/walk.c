#include "clients/sandbox/box/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/sandbox/box/caller.h"
#include "clients/sandbox/box/ignore.h"
#include "service/base/array.h"

enum {
    IGNORE_BYTES_MAX = 1 << 20,
};

struct entry {
    const char *name;
    bool is_folder;
};

struct entries {
    struct entry *items;
    size_t count;
    size_t capacity;
};

struct walk {
    const struct walk_visitor *visitor;
    uint64_t entries;
    uint64_t end_ms;
    enum walk_end end;
    bool is_over;
};

static const char *const ignore_files[] = {".gitignore", ".ignore"};

const char *walk_end_note(enum walk_end end)
{
    static const char *const notes[] = {
        [WALK_ALL] = NULL,
        [WALK_ENOUGH] = NULL,
        [WALK_TOO_MANY] = "Stopped early: there are more than 200000 files and folders. Search in "
                          "a smaller folder.",
        [WALK_TOO_DEEP] = "Folders that lie more than 64 deep were left out.",
        [WALK_TOO_LONG] =
            "Stopped early: it took more than 30 seconds. Search in a smaller folder.",
        [WALK_ABANDONED] = "Stopped early: nobody waits for the answer.",
    };
    return notes[end];
}

static void stop(struct walk *walk, enum walk_end end)
{
    walk->end = end;
    walk->is_over = true;
}

/* As their paths are in order: what is in a folder comes behind its slash. */
static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    size_t i = 0;
    while (a->name[i] != '\0' && a->name[i] == b->name[i]) {
        i++;
    }
    uint8_t a_next = (uint8_t)(a->name[i] == '\0' && a->is_folder ? '/' : a->name[i]);
    uint8_t b_next = (uint8_t)(b->name[i] == '\0' && b->is_folder ? '/' : b->name[i]);
    return a_next - b_next;
}

static bool is_skipped(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0;
}

/* Files and folders; nothing else is of use. */
static bool is_of_use(int folder_fd, const struct dirent *found, bool *ret_is_folder)
{
    struct stat about;
    if (found->d_type != DT_UNKNOWN) {
        *ret_is_folder = found->d_type == DT_DIR;
        return found->d_type == DT_DIR || found->d_type == DT_REG;
    }
    if (fstatat(folder_fd, found->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
        return false;
    }
    *ret_is_folder = S_ISDIR(about.st_mode);
    return S_ISDIR(about.st_mode) || S_ISREG(about.st_mode);
}

static void add_entry(struct entries *entries, struct arena *arena, const char *name,
                      bool is_folder)
{
    entries->items = array_reserve_in(arena, entries->items, &entries->capacity, entries->count + 1,
                                      sizeof entries->items[0]);
    entries->items[entries->count++] = (struct entry){arena_cstr(arena, str_of(name)), is_folder};
}

/* What cannot be read has no entries. */
static void read_entries(struct walk *walk, int folder_fd, struct arena *arena,
                         struct entries *entries)
{
    /* Its own position, so that the descriptor stays ours. */
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    for (struct dirent *found = readdir(folder); found != NULL; found = readdir(folder)) {
        bool is_folder;
        if (is_skipped(found->d_name) || !is_of_use(folder_fd, found, &is_folder)) {
            continue;
        }
        if (++walk->entries > WALK_ENTRIES_MAX) {
            stop(walk, WALK_TOO_MANY);
            break;
        }
        add_entry(entries, arena, found->d_name, is_folder);
    }
    closedir(folder);
    if (entries->count > 0) {
        qsort(entries->items, entries->count, sizeof entries->items[0], compare_entries);
    }
}

/* Its content; empty: there is none that counts. */
static str read_ignore_file(int folder_fd, const char *name, struct arena *arena)
{
    struct stat about;
    int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t len = 0;
    char *bytes = NULL;
    if (fd < 0) {
        return STR_EMPTY;
    }
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size <= IGNORE_BYTES_MAX) {
        bytes = arena_alloc(arena, (size_t)about.st_size + 1);
        len = read(fd, bytes, (size_t)about.st_size);
    }
    close(fd);
    return len > 0 ? str_make(bytes, (size_t)len) : STR_EMPTY;
}

static struct ignore *read_ignore(int folder_fd, str path, struct ignore *outer,
                                  struct arena *arena)
{
    for (size_t i = 0; i < COUNT_OF(ignore_files); i++) {
        str text = read_ignore_file(folder_fd, ignore_files[i], arena);
        if (text.len > 0) {
            outer = ignore_read(text, path, outer, arena);
        }
    }
    return outer;
}

static str join(str folder, const char *name, struct arena *arena)
{
    return arena_printf(arena, STR_FMT "%s%s", STR_ARG(folder), folder.len == 0 ? "" : "/", name);
}

static void walk_folder(struct walk *walk, int folder_fd, str path, struct ignore *outer,
                        unsigned depth);

static void enter(struct walk *walk, int folder_fd, const char *name, str path,
                  struct ignore *ignore, unsigned depth)
{
    if (depth == WALK_DEPTH_MAX) {
        walk->end = WALK_TOO_DEEP;
        return;
    }
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        walk_folder(walk, fd, path, ignore, depth + 1);
        close(fd);
    }
}

static void check_limits(struct walk *walk)
{
    if (caller_is_gone()) {
        stop(walk, WALK_ABANDONED);
    } else if (caller_now_ms() > walk->end_ms) {
        stop(walk, WALK_TOO_LONG);
    }
}

/* Recursion: at most WALK_DEPTH_MAX. */
static void walk_folder(struct walk *walk, int folder_fd, str path, struct ignore *outer,
                        unsigned depth)
{
    struct arena arena;
    struct entries entries = {0};
    arena_init_small(&arena);
    check_limits(walk);
    struct ignore *ignore = read_ignore(folder_fd, path, outer, &arena);
    read_entries(walk, folder_fd, &arena, &entries);
    for (size_t i = 0; i < entries.count && !walk->is_over; i++) {
        const struct entry *entry = &entries.items[i];
        str below = join(path, entry->name, &arena);
        if (ignore_has(ignore, below, entry->is_folder)) {
            continue;
        }
        if (entry->is_folder) {
            enter(walk, folder_fd, entry->name, below, ignore, depth);
        } else if (!walk->visitor->file(walk->visitor->context, folder_fd, entry->name, below)) {
            stop(walk, WALK_ENOUGH);
        }
    }
    arena_fini(&arena);
}

/* The rules of the folders above, from the root on. */
static struct ignore *read_ignore_above(const struct place *place, str path, struct arena *arena)
{
    struct ignore *ignore = NULL;
    size_t len = 0;
    while (path.len > 0 && len < path.len) {
        int fd;
        str above = str_make(path.ptr, len);
        if (status_is_ok(place_open_at(place, above, O_RDONLY | O_DIRECTORY, arena, &fd))) {
            ignore = read_ignore(fd, above, ignore, arena);
            close(fd);
        }
        const char *slash = memchr(path.ptr + len + 1, '/', path.len - len - 1);
        len = slash == NULL ? path.len : (size_t)(slash - path.ptr);
    }
    return ignore;
}

/* Paths as they are found, whoever wrote them: no slashes at the end, no folder that is ".". */
static str tidy_path(str path, struct arena *arena)
{
    char *text = arena_cstr(arena, path);
    char *tidied = arena_alloc(arena, path.len + 2);
    size_t len = 0;
    char *rest = NULL;
    for (char *name = strtok_r(text, "/", &rest); name != NULL; name = strtok_r(NULL, "/", &rest)) {
        if (strcmp(name, ".") != 0) {
            if (len > 0) {
                tidied[len++] = '/';
            }
            memcpy(tidied + len, name, strlen(name));
            len += strlen(name);
        }
    }
    assert(len <= path.len);
    return str_make(tidied, len);
}

status walk_below(const struct place *place, str path, const struct walk_visitor *visitor,
                  struct arena *arena, enum walk_end *ret)
{
    struct walk walk = {.visitor = visitor, .end = WALK_ALL};
    int fd;
    path = tidy_path(path, arena);
    walk.end_ms = caller_now_ms() + WALK_MS_MAX;
    TRY(place_open_at(place, path, O_RDONLY | O_DIRECTORY, arena, &fd));
    walk_folder(&walk, fd, path, read_ignore_above(place, path, arena), 0);
    close(fd);
    *ret = walk.end;
    return STATUS_OK;
}
