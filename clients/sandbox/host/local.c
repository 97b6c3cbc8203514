#include "clients/sandbox/host/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clients/sandbox/host/filter.h"

enum {
    WORDS_MAX = 600,
    ENVIRONMENT_MAX = 100,
};

#define INNER_BOX "/polos-box"
#define TMP_BYTES "268435456"

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* Inside everybody is this user, whoever that is outside. */
static const char passwd[] = "agent:x:1000:1000:agent:" LOCAL_WORKSPACE ":/bin/sh\n";
static const char group[] = "agent:x:1000:\n";

/* Links to folders below /usr on most systems, folders of their own on others. */
static const char *const system_folders[] = {"/bin",   "/sbin",  "/lib",
                                             "/lib32", "/lib64", "/libx32"};

/* What programs look for, and nothing that is somebody's secret. */
static const char *const system_files[] = {
    "/etc/alternatives",    "/etc/ld.so.cache",     "/etc/ld.so.conf",      "/etc/ld.so.conf.d",
    "/etc/localtime",       "/etc/mime.types",      "/etc/os-release",      "/etc/ssl/certs",
    "/etc/ca-certificates", "/etc/java-11-openjdk", "/etc/java-17-openjdk",
};

struct words {
    struct arena *arena;
    char **items;
    size_t count;
};

static void put(struct words *words, const char *word)
{
    assert(words->count < WORDS_MAX);
    words->items[words->count++] = arena_cstr(words->arena, str_of(word));
}

static void put_all(struct words *words, const char *const *all)
{
    for (size_t i = 0; all[i] != NULL; i++) {
        put(words, all[i]);
    }
}

static void put_three(struct words *words, const char *option, const char *first,
                      const char *second)
{
    put_all(words, (const char *const[]){option, first, second, NULL});
}

/* Data that is a file inside. */
static void put_data(struct words *words, int fd, const char *path)
{
    put_three(words, "--ro-bind-data", arena_printf(words->arena, "%d", fd).ptr, path);
}

static void put_system(struct words *words)
{
    put_three(words, "--ro-bind", "/usr", "/usr");
    for (size_t i = 0; i < COUNT_OF(system_folders); i++) {
        char target[256];
        ssize_t len = readlink(system_folders[i], target, sizeof target - 1);
        if (len > 0) {
            target[len] = '\0';
            put_three(words, "--symlink", target, system_folders[i]);
        } else {
            put_three(words, "--ro-bind-try", system_folders[i], system_folders[i]);
        }
    }
    for (size_t i = 0; i < COUNT_OF(system_files); i++) {
        put_three(words, "--ro-bind-try", system_files[i], system_files[i]);
    }
}

static void put_environment(struct words *words, const struct local_options *options)
{
    put(words, "--clearenv");
    put_three(words, "--setenv", "PATH", default_path);
    put_three(words, "--setenv", "HOME", LOCAL_WORKSPACE);
    put_three(words, "--setenv", "LANG", "C.UTF-8");
    put_three(words, "--setenv", "USER", "agent");
    for (size_t i = 0; options->environment != NULL && options->environment[i] != NULL; i += 2) {
        put_three(words, "--setenv", options->environment[i], options->environment[i + 1]);
    }
}

static void put_words(struct words *words, const struct local_options *options, const int *fds)
{
    static const char *const alone[] = {
        "bwrap",
        "--unshare-all",
        "--unshare-user",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--hostname",
        "polos-sandbox",
        "--cap-drop",
        "ALL",
        "--new-session",
        "--die-with-parent",
        NULL,
    };
    static const char *const folders[] = {
        "--proc",   "/proc",  "--dev",     "/dev",    "--size",   TMP_BYTES, "--tmpfs",
        "/dev/shm", "--size", TMP_BYTES,   "--tmpfs", "/tmp",     "--dir",   "/run",
        "--dir",    "/var",   "--symlink", "/tmp",    "/var/tmp", NULL,
    };
    put_all(words, alone);
    put(words, "--seccomp");
    put(words, arena_printf(words->arena, "%d", fds[LOCAL_FILTER_FD]).ptr);
    put_environment(words, options);
    put_system(words);
    put_data(words, fds[LOCAL_PASSWD_FD], "/etc/passwd");
    put_data(words, fds[LOCAL_GROUP_FD], "/etc/group");
    put_all(words, folders);
    put_three(words, "--ro-bind", options->box, INNER_BOX);
    put_three(words, "--bind", options->workspace, LOCAL_WORKSPACE);
    put_all(words, (const char *const[]){"--remount-ro", "/dev", "--remount-ro", "/", NULL});
    put_all(words, (const char *const[]){"--chdir", LOCAL_WORKSPACE, INNER_BOX, NULL});
    words->items[words->count] = NULL;
}

/* A program of PATH; NULL: there is none. */
static char *find_program(const char *name, struct arena *arena)
{
    const char *path = getenv("PATH");
    char *rest = arena_cstr(arena, str_of(path == NULL ? default_path : path));
    char *saved = NULL;
    for (char *folder = strtok_r(rest, ":", &saved); folder != NULL;
         folder = strtok_r(NULL, ":", &saved)) {
        str found = arena_printf(arena, "%s/%s", folder, name);
        if (access(found.ptr, X_OK) == 0) {
            return arena_cstr(arena, found);
        }
    }
    return NULL;
}

static int open_data(const void *bytes, size_t len)
{
    int fd = memfd_create("sandbox", MFD_CLOEXEC);
    if (fd >= 0 && (write(fd, bytes, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool open_fds(int fds[LOCAL_FD_COUNT])
{
    struct sock_filter filter[FILTER_LENGTH_MAX];
    size_t len = filter_make(filter);
    fds[LOCAL_FILTER_FD] = open_data(filter, len * sizeof filter[0]);
    fds[LOCAL_PASSWD_FD] = open_data(passwd, sizeof passwd - 1);
    fds[LOCAL_GROUP_FD] = open_data(group, sizeof group - 1);
    for (size_t i = 0; i < LOCAL_FD_COUNT; i++) {
        if (fds[i] < 0) {
            return false;
        }
    }
    return true;
}

static status check_environment(const char *const *environment)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i += 2) {
        if (i / 2 == ENVIRONMENT_MAX) {
            return status_make(CODE_INVALID_ARGUMENT,
                               "A sandbox's environment may have 100 variables.");
        }
    }
    return STATUS_OK;
}

static status check(const struct local_options *options, struct arena *arena,
                    struct local_start *start)
{
    struct stat about;
    TRY(check_environment(options->environment));
    start->program = find_program("bwrap", arena);
    if (start->program == NULL) {
        return status_make(CODE_NOT_FOUND,
                           "The local sandbox needs bubblewrap, which is not installed here: "
                           "apt-get install bubblewrap (or dnf, apk, pacman).");
    }
    if (access(options->box, X_OK) != 0) {
        return arena_fail(arena, CODE_NOT_FOUND,
                          "There is no program %s: say with --box where polos-box is.",
                          options->box);
    }
    if (stat(options->workspace, &about) != 0 || !S_ISDIR(about.st_mode)) {
        return arena_fail(arena, CODE_NOT_FOUND, "The workspace %s is no folder of this machine.",
                          options->workspace);
    }
    start->changes_user = geteuid() == 0 && about.st_uid != 0;
    start->user = about.st_uid;
    start->group = about.st_gid;
    return STATUS_OK;
}

status local_prepare(const struct local_options *options, struct arena *arena,
                     struct local_start *ret)
{
    struct local_start start = {.fds = {-1, -1, -1}};
    struct words words = {.arena = arena};
    TRY(check(options, arena, &start));
    if (!open_fds(start.fds)) {
        local_close(&start);
        return status_make(CODE_RESOURCE_EXHAUSTED, "There are no descriptors left.");
    }
    words.items = arena_alloc(arena, (WORDS_MAX + 1) * sizeof words.items[0]);
    put_words(&words, options, start.fds);
    start.words = words.items;
    *ret = start;
    return STATUS_OK;
}

void local_close(struct local_start *start)
{
    for (size_t i = 0; i < LOCAL_FD_COUNT; i++) {
        if (start->fds[i] >= 0) {
            close(start->fds[i]);
        }
        start->fds[i] = -1;
    }
}

/* The calls themselves: libc's would ask every thread of the process that was forked. */
static bool become_user(const struct local_start *start)
{
    return !start->changes_user ||
           (syscall(SYS_setgroups, 0, NULL) == 0 && syscall(SYS_setgid, start->group) == 0 &&
            syscall(SYS_setuid, start->user) == 0);
}

void local_exec(const struct local_start *start)
{
    for (size_t i = 0; i < LOCAL_FD_COUNT; i++) {
        fcntl(start->fds[i], F_SETFD, 0);
    }
    if (become_user(start)) {
        execv(start->program, start->words);
    }
}

static bool says(str said, const char *words)
{
    return said.len > 0 && memmem(said.ptr, said.len, words, strlen(words)) != NULL;
}

status local_explain(str said, struct arena *arena)
{
    static const char container[] =
        " In a container it takes --security-opt seccomp=unconfined and --security-opt "
        "systempaths=unconfined (of docker run); elsewhere the kernel has to allow user namespaces "
        "to ordinary users: sysctl kernel.unprivileged_userns_clone=1, or on Ubuntu "
        "kernel.apparmor_restrict_unprivileged_userns=0.";
    static const char path[] = " Whoever the sandbox runs as has to be able to reach that path.";
    static const struct {
        const char *word;
        const char *hint;
    } hints[] = {
        {"source path", path},
        {"namespace", container},
        {"uid map", container},
        {"Operation not permitted", container},
        {"Permission denied", container},
    };
    const char *hint = "";
    said = str_trim(said);
    for (size_t i = COUNT_OF(hints); i > 0; i--) {
        hint = says(said, hints[i - 1].word) ? hints[i - 1].hint : hint;
    }
    return arena_fail(arena, CODE_FAILED_PRECONDITION,
                      "The local sandbox cannot be made here (" STR_FMT ").%s", STR_ARG(said),
                      hint);
}
