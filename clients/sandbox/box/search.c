#include "clients/sandbox/box/search.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clients/sandbox/box/caller.h"
#include "clients/sandbox/box/files.h"
#include "clients/sandbox/box/lines.h"
#include "clients/sandbox/box/patterns.h"
#include "clients/sandbox/box/walk.h"
#include "service/base/json_writer.h"

/* What both have. */
struct search {
    const struct place *place;
    const struct request *request;
    struct json_writer writer;
    struct patterns wanted; /* None: every file. */
    struct patterns unwanted;
    uint64_t shown;
    size_t begin; /* Of the result in its buf. */
    const char *note;
    uint64_t large_files; /* Passed over. */
    struct lines lines;
};

static bool is_full(const struct search *search)
{
    return search->writer.buf->len - search->begin > SEARCH_SHOWN_BYTES_MAX;
}

static bool is_wanted(const struct search *search, str path)
{
    return (search->wanted.count == 0 || patterns_fit(&search->wanted, path)) &&
           !patterns_fit_some_part(&search->unwanted, path);
}

static void put_path(struct search *search, const char *name, str path)
{
    struct arena arena;
    arena_init_small(&arena);
    json_put_string(&search->writer, name, place_absolute(search->place, path, &arena));
    arena_fini(&arena);
}

static bool show_file(void *context, int folder_fd, const char *name, str path)
{
    struct search *search = context;
    (void)folder_fd;
    (void)name;
    if (!is_wanted(search, path)) {
        return true;
    }
    if (search->shown == SEARCH_FILES_MAX || is_full(search)) {
        search->note =
            "There are more files than these. Use a narrower pattern or a smaller folder.";
        return false;
    }
    search->shown++;
    put_path(search, NULL, path);
    return true;
}

/* The folder that is searched, from the root: without slashes at its end. */
static status folder_of(const struct place *place, const struct request *request,
                        struct arena *arena, str *ret)
{
    TRY(place_path(place, request->cwd, arena, ret));
    while (ret->len > 0 && ret->ptr[ret->len - 1] == '/') {
        ret->len--;
    }
    while (str_starts_with(*ret, STR("./"))) {
        *ret = str_make(ret->ptr + 2, ret->len - 2);
    }
    if (str_is(*ret, ".")) {
        *ret = STR_EMPTY;
    }
    return STATUS_OK;
}

static status add_all(struct patterns *patterns, const struct place *place, str folder,
                      const struct list *texts, struct arena *arena)
{
    for (size_t i = 0; i < texts->count; i++) {
        TRY(patterns_add(patterns, place, folder, texts->items[i], arena));
    }
    return STATUS_OK;
}

static void begin_result(struct search *search, const char *name, struct buf *ret)
{
    search->begin = ret->len;
    search->writer = json_writer_of(ret);
    json_begin_object(&search->writer, NULL);
    json_begin_array(&search->writer, name);
}

static void end_result(struct search *search, enum walk_end end)
{
    const char *note = search->note != NULL ? search->note : walk_end_note(end);
    json_end_array(&search->writer);
    if (note != NULL) {
        json_put_bool(&search->writer, "truncated", true);
        json_put_string(&search->writer, "note", str_of(note));
    }
    if (search->large_files > 0) {
        json_put_u64(&search->writer, "large_files_skipped", search->large_files);
    }
    if (search->lines.is_literal_only) {
        json_put_string(&search->writer, "pattern_note", search->lines.why_literal);
    }
    json_end_object(&search->writer);
}

status search_glob(const struct place *place, const struct request *request, struct arena *arena,
                   struct buf *ret)
{
    struct search search = {.place = place, .request = request};
    struct walk_visitor visitor = {&search, show_file};
    struct buf result = {0};
    enum walk_end end;
    str folder;
    TRY(folder_of(place, request, arena, &folder));
    TRY(patterns_add(&search.wanted, place, folder, request->pattern, arena));
    TRY(add_all(&search.unwanted, place, folder, &request->ignore, arena));
    begin_result(&search, "files", &result);
    status walked = walk_below(place, folder, &visitor, arena, &end);
    if (status_is_ok(walked)) {
        end_result(&search, end);
        buf_put(ret, buf_str(&result));
    }
    buf_fini(&result);
    return walked;
}

/* One match, with the lines around it where they are wanted. */
static bool show_match(void *context, const struct lines_match *match)
{
    struct search *search = context;
    if (search->shown == search->request->max_results || is_full(search)) {
        search->note = search->shown == search->request->max_results
                           ? "There are more matches than max_results."
                           : "There are more matches than fit one result.";
        return false;
    }
    search->shown++;
    json_begin_object(&search->writer, NULL);
    put_path(search, "path", match->path);
    json_put_u64(&search->writer, "line", match->number);
    json_put_string(&search->writer, "text", match->text);
    if (search->request->context_lines > 0) {
        json_put_string(&search->writer, "context", match->around);
    } else {
        json_put_null(&search->writer, "context");
    }
    json_end_object(&search->writer);
    return true;
}

/* False: that is enough. What cannot be read is passed over, as is what is no text. */
static bool search_content(struct search *search, int fd, str path)
{
    struct arena arena;
    struct stat about;
    str content;
    bool goes_on = true;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        return true;
    }
    if (about.st_size > SEARCH_FILE_BYTES_MAX) {
        search->large_files++;
        return true;
    }
    arena_init(&arena, 0);
    if (status_is_ok(files_content(search->place, fd, path, &arena, &content)) &&
        !files_is_binary(content)) {
        goes_on = lines_search(&search->lines, content, path, show_match, search);
        if (search->lines.is_spent) {
            search->note = "Stopped early: the search took too many steps. Use a simpler pattern.";
        }
    }
    arena_fini(&arena);
    return goes_on && !search->lines.is_spent;
}

static bool search_file(void *context, int folder_fd, const char *name, str path)
{
    struct search *search = context;
    if (!is_wanted(search, path)) {
        return true;
    }
    int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return true;
    }
    bool goes_on = search_content(search, fd, path);
    close(fd);
    return goes_on;
}

/* A folder, or one file. */
static status search_below(struct search *search, str path, struct arena *arena, enum walk_end *ret)
{
    struct walk_visitor visitor = {search, search_file};
    struct stat about;
    int fd;
    TRY(place_open_at(search->place, path, O_RDONLY | O_NONBLOCK, arena, &fd));
    bool is_file = fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
    if (is_file) {
        search_content(search, fd, path);
    }
    close(fd);
    *ret = WALK_ALL;
    return is_file ? STATUS_OK : walk_below(search->place, path, &visitor, arena, ret);
}

status search_grep(const struct place *place, const struct request *request, struct arena *arena,
                   struct buf *ret)
{
    struct search search = {.place = place, .request = request};
    struct buf result = {0};
    enum walk_end end;
    str folder;
    TRY(folder_of(place, request, arena, &folder));
    TRY(add_all(&search.wanted, place, folder, &request->include, arena));
    TRY(lines_init(&search.lines, request->pattern, request->context_lines, arena));
    begin_result(&search, "matches", &result);
    status searched = search_below(&search, folder, arena, &end);
    if (status_is_ok(searched)) {
        end_result(&search, end);
        buf_put(ret, buf_str(&result));
    }
    buf_fini(&result);
    return searched;
}
