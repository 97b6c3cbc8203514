#include "clients/sandbox/box/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/sandbox/box/edit.h"
#include "service/base/json_writer.h"
#include "service/base/utf8.h"

enum {
    BINARY_BYTES = 8192,
    NAMES_TRIED_MAX = 100,
};

bool files_is_binary(str content)
{
    size_t len = content.len < BINARY_BYTES ? content.len : BINARY_BYTES;
    return len > 0 && memchr(content.ptr, '\0', len) != NULL;
}

static status check_regular(const struct stat *about, str path, struct arena *arena)
{
    if (S_ISDIR(about->st_mode)) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION, "Is a directory: " STR_FMT,
                          STR_ARG(path));
    }
    if (!S_ISREG(about->st_mode)) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION, "Is no regular file: " STR_FMT,
                          STR_ARG(path));
    }
    return STATUS_OK;
}

status files_content(const struct place *place, int fd, str path, struct arena *arena, str *ret)
{
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return place_failure(place, errno, path, arena);
    }
    TRY(check_regular(&about, path, arena));
    if (about.st_size > FILES_BYTES_MAX) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "The file is too large: " STR_FMT
                          " has %jd bytes, at most %d are read. Look at it with a command.",
                          STR_ARG(path), (intmax_t)about.st_size, FILES_BYTES_MAX);
    }
    size_t room = (size_t)about.st_size;
    char *bytes = arena_alloc(arena, room + 1);
    size_t len = 0;
    while (len < room) {
        ssize_t count = read(fd, bytes + len, room - len);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return place_failure(place, errno, path, arena);
        }
        if (count == 0) {
            break;
        }
        len += (size_t)count;
    }
    *ret = str_make(bytes, len);
    return STATUS_OK;
}

/* Opens a file, reads it, and refuses what is no text. *ret_about: what was read. */
static status read_text_file(const struct place *place, str path, struct arena *arena,
                             struct stat *ret_about, str *ret)
{
    str from_root;
    int fd;
    TRY(place_path(place, path, arena, &from_root));
    /* Not blocking: a FIFO would wait for who writes. */
    status opened = place_open_at(place, from_root, O_RDONLY | O_NONBLOCK, arena, &fd);
    if (!status_is_ok(opened)) {
        return opened;
    }
    status outcome =
        fstat(fd, ret_about) == 0 ? STATUS_OK : place_failure(place, errno, path, arena);
    if (status_is_ok(outcome)) {
        outcome = files_content(place, fd, path, arena, ret);
    }
    close(fd);
    TRY(outcome);
    if (files_is_binary(*ret)) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION, "Cannot read binary file: " STR_FMT,
                          STR_ARG(path));
    }
    return STATUS_OK;
}

/* Lines as those of str.split("\n"): one more than there are line ends. */
static size_t count_lines(str text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] == '\n';
    }
    return count;
}

/* Takes a line without its end from the text; *ret_is_last: no other follows. */
static str take_line(str *text, bool *ret_is_last)
{
    const char *end = text->len == 0 ? NULL : memchr(text->ptr, '\n', text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->ptr);
    str line = str_make(text->ptr, len);
    *ret_is_last = end == NULL;
    *text = end == NULL ? STR_EMPTY : str_make(end + 1, text->len - len - 1);
    return line;
}

/* What is shown of a file. */
struct shown {
    struct buf text;
    uint64_t lines;
    bool is_cut; /* By the bytes one read may show. */
};

/* A character cut by the bytes one read may show goes whole. */
static str cut_line(str line, size_t room)
{
    line.len = line.len < room ? line.len : room;
    line.len -= utf8_tail_len(line);
    return line;
}

/* False: there is no room for more. */
static bool show_line(struct shown *shown, str line, uint64_t number, bool is_numbered)
{
    if (shown->lines > 0) {
        buf_put_char(&shown->text, '\n');
    }
    if (is_numbered) {
        buf_printf(&shown->text, "%6" PRIu64 "\t", number);
    }
    shown->lines++;
    size_t room =
        shown->text.len < FILES_SHOWN_BYTES_MAX ? FILES_SHOWN_BYTES_MAX - shown->text.len : 0;
    shown->is_cut = line.len > room;
    buf_put(&shown->text, shown->is_cut ? cut_line(line, room) : line);
    return !shown->is_cut;
}

static void show_lines(struct shown *shown, str content, const struct request *request)
{
    bool is_last = false;
    uint64_t number = 0;
    while (!is_last) {
        str line = take_line(&content, &is_last);
        number++;
        if (number <= request->offset) {
            continue;
        }
        if (request->limit > 0 && shown->lines == request->limit) {
            break;
        }
        if (!show_line(shown, line, number, request->numbers_lines)) {
            break;
        }
    }
}

static void put_read(struct buf *ret, const struct request *request, const struct shown *shown,
                     str content)
{
    struct json_writer writer = json_writer_of(ret);
    json_begin_object(&writer, NULL);
    json_put_string(&writer, "content", buf_str(&shown->text));
    json_put_string(&writer, "path", request->path);
    json_put_u64(&writer, "first_line", request->offset + 1);
    json_put_u64(&writer, "total_lines", count_lines(content));
    if (shown->is_cut) {
        struct buf note = {0};
        buf_printf(&note,
                   "Stopped within line %" PRIu64 ": one read shows at most %d bytes. Read on with "
                   "offset %" PRIu64 ".",
                   request->offset + shown->lines, FILES_SHOWN_BYTES_MAX,
                   request->offset + (shown->lines > 1 ? shown->lines - 1 : 1));
        json_put_bool(&writer, "truncated", true);
        json_put_string(&writer, "note", buf_str(&note));
        buf_fini(&note);
    }
    if (!utf8_is_valid(content)) {
        json_put_string(&writer, "encoding",
                        STR("Not UTF-8: bytes that are none stand as U+FFFD."));
    }
    json_end_object(&writer);
}

status files_read(const struct place *place, const struct request *request, struct arena *arena,
                  struct buf *ret)
{
    struct shown shown = {0};
    struct stat about;
    str content;
    TRY(read_text_file(place, request->path, arena, &about, &content));
    show_lines(&shown, content, request);
    put_read(ret, request, &shown, content);
    buf_fini(&shown.text);
    return STATUS_OK;
}

static void put_written(struct buf *ret, str path)
{
    struct json_writer writer = json_writer_of(ret);
    json_begin_object(&writer, NULL);
    json_put_bool(&writer, "success", true);
    json_put_string(&writer, "path", path);
    json_end_object(&writer);
}

static bool write_all(int fd, str content)
{
    while (content.len > 0) {
        ssize_t count = write(fd, content.ptr, content.len);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        size_t len = count < 0 ? 0 : (size_t)count;
        content = str_make(content.ptr + len, content.len - len);
    }
    return true;
}

/* A new file in the folder, with a name nobody uses. Returns -1 with errno. */
static int make_beside(int folder_fd, char *ret_name, size_t name_bytes)
{
    int fd = -1;
    for (int i = 0; i < NAMES_TRIED_MAX; i++) {
        snprintf(ret_name, name_bytes, ".polos-%d-%d", (int)getpid(), i);
        fd =
            openat(folder_fd, ret_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) {
            break;
        }
    }
    return fd;
}

/* Returns 0 or errno. What it wrote is gone if it failed. */
static int put_in_place(int folder_fd, const char *name, str content, const mode_t *mode)
{
    char beside[64];
    int fd = make_beside(folder_fd, beside, sizeof beside);
    if (fd < 0) {
        return errno;
    }
    bool is_written = write_all(fd, content) && (mode == NULL || fchmod(fd, *mode) == 0);
    int error = is_written ? 0 : errno;
    close(fd);
    if (error == 0 && renameat(folder_fd, beside, folder_fd, name) != 0) {
        error = errno;
    }
    if (error != 0) {
        unlinkat(folder_fd, beside, 0);
    }
    return error;
}

/* A link is not written through: the rename would take its place. */
static status refuse_link(int folder_fd, const char *name, str path, struct arena *arena)
{
    char target[REQUEST_PATH_BYTES_MAX + 1];
    ssize_t len = readlinkat(folder_fd, name, target, sizeof target);
    str leads_to = len < 0 ? STR("elsewhere") : str_make(target, (size_t)len);
    return arena_fail(arena, CODE_FAILED_PRECONDITION,
                      STR_FMT " is a symbolic link. Write to what it leads to: " STR_FMT,
                      STR_ARG(path), STR_ARG(leads_to));
}

/* Whether the file there is still the one that was read. */
static bool is_same(const struct stat *now, const struct stat *before)
{
    return now->st_dev == before->st_dev && now->st_ino == before->st_ino &&
           now->st_size == before->st_size && now->st_mtim.tv_sec == before->st_mtim.tv_sec &&
           now->st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

/* `before`: what was read of it, or NULL. */
static status replace_in(const struct place *place, int folder_fd, const char *name, str path,
                         str content, const struct stat *before, struct arena *arena)
{
    struct stat about;
    bool is_there = fstatat(folder_fd, name, &about, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there && S_ISLNK(about.st_mode)) {
        return refuse_link(folder_fd, name, path, arena);
    }
    if (is_there) {
        TRY(check_regular(&about, path, arena));
    }
    if (before != NULL && (!is_there || !is_same(&about, before))) {
        return arena_fail(arena, CODE_ABORTED,
                          STR_FMT " was changed by somebody else meanwhile. Read it again.",
                          STR_ARG(path));
    }
    mode_t mode = about.st_mode & 0777;
    int error = put_in_place(folder_fd, name, content, is_there ? &mode : NULL);
    return error == 0 ? STATUS_OK : place_failure(place, error, path, arena);
}

static status replace(const struct place *place, str path, str content, const struct stat *before,
                      struct arena *arena)
{
    str from_root;
    int folder_fd;
    const char *name;
    TRY(place_path(place, path, arena, &from_root));
    TRY(place_open_parent(place, from_root, arena, &folder_fd, &name));
    status outcome = replace_in(place, folder_fd, name, path, content, before, arena);
    close(folder_fd);
    return outcome;
}

status files_write(const struct place *place, const struct request *request, struct arena *arena,
                   struct buf *ret)
{
    TRY(replace(place, request->path, request->content, NULL, arena));
    put_written(ret, request->path);
    return STATUS_OK;
}

status files_edit(const struct place *place, const struct request *request, struct arena *arena,
                  struct buf *ret)
{
    struct stat before;
    str content;
    str edited;
    TRY(read_text_file(place, request->path, arena, &before, &content));
    TRY(edit_text(content, request->old_text, request->new_text, request->path, arena, &edited));
    TRY(replace(place, request->path, edited, &before, arena));
    put_written(ret, request->path);
    return STATUS_OK;
}
