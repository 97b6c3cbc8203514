/*
 * folder: where a store lives: made, if it is not there, and nobody else's.
 */
#ifndef STORAGE_FOLDER_H
#define STORAGE_FOLDER_H

#include "service/base/arena.h"

/* Makes the folder and those above it, durably. INVALID_ARGUMENT: it cannot be made or written, or
 * it holds other files and no store; `why` in the arena says which. */
status folder_prepare(const char *path, struct arena *arena);
/* Logs that a volume is too small for runs ever to be started on it. */
void folder_warn_of_volume(const char *path, uint64_t free_bytes_soft);

#endif
