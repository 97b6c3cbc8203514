/*
 * sandboxes: one for each tree of runs, from its first call until its root has ended.
 *
 * A sandbox is a folder and what is remembered of it; processes it has only during a call. The root
 * is watched, so that the folder goes however the run ended: completed, failed, cancelled or
 * deleted. What an earlier process of this host left is found by its folder's name, the root's id,
 * and watched likewise.
 *
 * Threading: the loop's.
 */
#ifndef CLIENTS_SANDBOX_HOST_SANDBOXES_H
#define CLIENTS_SANDBOX_HOST_SANDBOXES_H

#include "clients/c/polos.h"
#include "clients/sandbox/host/settings.h"

struct sandboxes;
struct sandbox;

struct sandboxes *sandboxes_new(struct polos_client *client, const struct settings *settings);
/* Watches end, and `stopped` is called when the last call has, too. Folders stay, for the next
 * process. */
void sandboxes_stop(struct sandboxes *sandboxes, void (*stopped)(void *context), void *context);
void sandboxes_free(struct sandboxes *sandboxes); /* After `stopped`. Accepts NULL. */
/* Watches the roots of the folders that are there. */
void sandboxes_find(struct sandboxes *sandboxes);

/* The root's sandbox, made if there is none. It stays until sandboxes_leave(). */
status sandboxes_enter(struct sandboxes *sandboxes, const char *root_run_id, struct arena *arena,
                       struct sandbox **ret);
void sandboxes_leave(struct sandbox *sandbox);
const char *sandbox_folder(const struct sandbox *sandbox);
/* Somebody said that this command is always allowed here. */
void sandbox_allow(struct sandbox *sandbox, str command);
bool sandbox_allows(const struct sandbox *sandbox, str command); /* As sandbox_allow() was told. */

#endif
