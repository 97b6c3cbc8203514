#include "clients/sandbox/host/sandboxes.h"

#include <stdio.h>
#include <stdlib.h>

#include "clients/sandbox/host/folders.h"
#include "service/base/array.h"

enum {
    CODE_OF_NOT_FOUND = 5, /* gRPC's: the run was deleted. */
    ALLOWED_MAX = 1000,
};

struct sandbox {
    struct sandboxes *owner;
    struct sandbox *next;
    char *root_run_id;
    char *folder;
    struct polos_watch *watch;
    size_t calls; /* At work in it. */
    bool has_ended; /* Its root: the folder goes with the last call. */
    char **allowed;
    size_t allowed_count;
    size_t allowed_capacity;
};

struct sandboxes {
    struct polos_client *client;
    const struct settings *settings;
    struct sandbox *first;
    void (*stopped)(void *context);
    void *context;
};

struct sandboxes *sandboxes_new(struct polos_client *client, const struct settings *settings)
{
    struct sandboxes *sandboxes = xcalloc(1, sizeof *sandboxes);
    sandboxes->client = client;
    sandboxes->settings = settings;
    return sandboxes;
}

void sandboxes_free(struct sandboxes *sandboxes)
{
    if (sandboxes != NULL) {
        assert(sandboxes->first == NULL);
        free(sandboxes);
    }
}

static void forget(struct sandbox *sandbox)
{
    struct sandbox **place = &sandbox->owner->first;
    while (*place != sandbox) {
        place = &(*place)->next;
    }
    *place = sandbox->next;
    for (size_t i = 0; i < sandbox->allowed_count; i++) {
        free(sandbox->allowed[i]);
    }
    free(sandbox->allowed);
    free(sandbox->root_run_id);
    free(sandbox->folder);
    free(sandbox);
}

static void remove_folder(const struct sandbox *sandbox)
{
    const struct settings *settings = sandbox->owner->settings;
    if (settings->workspace == NULL &&
        !folders_remove(settings->workspaces, sandbox->root_run_id)) {
        fprintf(stderr, "polos-sandbox: could not remove folder=%s\n", sandbox->folder);
    }
}

static void forget_if_over(struct sandbox *sandbox)
{
    struct sandboxes *owner = sandbox->owner;
    if (sandbox->calls > 0 || sandbox->watch != NULL) {
        return;
    }
    if (sandbox->has_ended) {
        remove_folder(sandbox);
    }
    forget(sandbox);
    if (owner->first == NULL && owner->stopped != NULL) {
        owner->stopped(owner->context);
    }
}

static void passed_over(void *context, const Polos__V1__RunServiceWatchResponse *event)
{
    (void)context;
    (void)event;
}

static void watch_closed(void *context, const struct polos_error *error)
{
    struct sandbox *sandbox = context;
    sandbox->watch = NULL;
    sandbox->has_ended = error == NULL || error->code == CODE_OF_NOT_FOUND;
    forget_if_over(sandbox);
}

static const struct polos_watch_events watch_events = {passed_over, watch_closed};

static struct sandbox *find(const struct sandboxes *sandboxes, const char *root_run_id)
{
    struct sandbox *sandbox = sandboxes->first;
    while (sandbox != NULL && strcmp(sandbox->root_run_id, root_run_id) != 0) {
        sandbox = sandbox->next;
    }
    return sandbox;
}

static struct sandbox *add(struct sandboxes *sandboxes, const char *root_run_id, const char *folder)
{
    struct sandbox *sandbox = xcalloc(1, sizeof *sandbox);
    sandbox->owner = sandboxes;
    sandbox->root_run_id = xstrndup(root_run_id, strlen(root_run_id));
    sandbox->folder = xstrndup(folder, strlen(folder));
    sandbox->next = sandboxes->first;
    sandboxes->first = sandbox;
    return sandbox;
}

static void watch(struct sandbox *sandbox)
{
    if (sandbox->watch == NULL && !sandbox->has_ended) {
        sandbox->watch = polos_watch_run(sandbox->owner->client, sandbox->root_run_id, false,
                                         &watch_events, sandbox);
    }
}

status sandboxes_enter(struct sandboxes *sandboxes, const char *root_run_id, struct arena *arena,
                       struct sandbox **ret)
{
    const struct settings *settings = sandboxes->settings;
    const char *folder = settings->workspace;
    if (folder == NULL) {
        TRY(folders_make(settings->workspaces, root_run_id, (unsigned)settings->user, arena,
                         &folder));
    }
    struct sandbox *sandbox = find(sandboxes, root_run_id);
    if (sandbox == NULL) {
        sandbox = add(sandboxes, root_run_id, folder);
    }
    sandbox->calls++;
    watch(sandbox);
    *ret = sandbox;
    return STATUS_OK;
}

void sandboxes_leave(struct sandbox *sandbox)
{
    assert(sandbox->calls > 0);
    sandbox->calls--;
    forget_if_over(sandbox);
}

static void found(void *context, const char *name)
{
    struct sandboxes *sandboxes = context;
    if (strlen(name) == 36 && find(sandboxes, name) == NULL) {
        struct arena arena;
        arena_init_small(&arena);
        str folder = arena_printf(&arena, "%s/%s", sandboxes->settings->workspaces, name);
        watch(add(sandboxes, name, folder.ptr));
        arena_fini(&arena);
    }
}

void sandboxes_find(struct sandboxes *sandboxes)
{
    if (sandboxes->settings->workspace == NULL) {
        folders_each(sandboxes->settings->workspaces, found, sandboxes);
    }
}

void sandboxes_stop(struct sandboxes *sandboxes, void (*stopped)(void *context), void *context)
{
    struct sandbox *next = NULL;
    sandboxes->stopped = stopped;
    sandboxes->context = context;
    if (sandboxes->first == NULL) {
        stopped(context);
        return;
    }
    for (struct sandbox *sandbox = sandboxes->first; sandbox != NULL; sandbox = next) {
        next = sandbox->next;
        if (sandbox->watch != NULL) {
            polos_watch_cancel(sandbox->watch);
        } else {
            forget_if_over(sandbox);
        }
    }
}

const char *sandbox_folder(const struct sandbox *sandbox)
{
    return sandbox->folder;
}

void sandbox_allow(struct sandbox *sandbox, str command)
{
    if (sandbox->allowed_count < ALLOWED_MAX && !sandbox_allows(sandbox, command)) {
        sandbox->allowed = array_reserve(sandbox->allowed, &sandbox->allowed_capacity,
                                         sandbox->allowed_count + 1, sizeof sandbox->allowed[0]);
        sandbox->allowed[sandbox->allowed_count++] = xstrndup(command.ptr, command.len);
    }
}

bool sandbox_allows(const struct sandbox *sandbox, str command)
{
    for (size_t i = 0; i < sandbox->allowed_count; i++) {
        if (str_is(command, sandbox->allowed[i])) {
            return true;
        }
    }
    return false;
}
