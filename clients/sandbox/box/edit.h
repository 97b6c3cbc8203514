/*
 * edit: puts a text in the place of another, which must stand there exactly once.
 */
#ifndef CLIENTS_SANDBOX_BOX_EDIT_H
#define CLIENTS_SANDBOX_BOX_EDIT_H

#include "service/base/arena.h"

/* INVALID_ARGUMENT says what to change: old_text is empty, is not there, or is there more than
 * once (overlapping ones count). `path` is for the sentence. The new content lives in the arena. */
status edit_text(str content, str old_text, str new_text, str path, struct arena *arena, str *ret);

#endif
