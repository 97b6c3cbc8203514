/*
 * ignore: what ignore files say of a path, by the rules of .gitignore.
 *
 * Each folder may have rules of its own. They stand in a chain, the deepest first, and the last
 * rule that fits in the first list that has one decides.
 */
#ifndef CLIENTS_SANDBOX_BOX_IGNORE_H
#define CLIENTS_SANDBOX_BOX_IGNORE_H

#include "service/base/arena.h"

struct ignore;

/* The rules of one file. `folder` is where it lies, without a slash at its end; empty: the root.
 * What can be read of it counts; of more than a thousand lines the rest does not. Lives as long as
 * the arena, as does `outer` (NULL: none). */
struct ignore *ignore_read(str text, str folder, struct ignore *outer, struct arena *arena);
/* `path` is from the root and lies below the folders of all rules. */
bool ignore_has(const struct ignore *ignore, str path, bool is_folder);

#endif
