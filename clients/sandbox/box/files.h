/*
 * files: what read, write and edit do.
 *
 * Only regular files are touched. What is written is there whole or not at all: it is written
 * beside the file and takes its place by a rename.
 */
#ifndef CLIENTS_SANDBOX_BOX_FILES_H
#define CLIENTS_SANDBOX_BOX_FILES_H

#include "clients/sandbox/box/place.h"
#include "clients/sandbox/box/request.h"
#include "service/base/buf.h"

enum {
    FILES_SHOWN_BYTES_MAX = 256 << 10, /* Of one read: however it is escaped, it fits a value. */
    FILES_BYTES_MAX = 64 << 20, /* What is larger is neither read nor edited. */
};

/* Each appends the result, a JSON object. Failures are sentences about the path as it was given. */
status files_read(const struct place *place, const struct request *request, struct arena *arena,
                  struct buf *ret);
status files_write(const struct place *place, const struct request *request, struct arena *arena,
                   struct buf *ret); /* As files_read(). */
status files_edit(const struct place *place, const struct request *request, struct arena *arena,
                  struct buf *ret); /* As files_read(). */

/* The content of a regular file, from its descriptor: at most FILES_BYTES_MAX. */
status files_content(const struct place *place, int fd, str path, struct arena *arena, str *ret);
/* A NUL among the first 8 KiB. */
bool files_is_binary(str content);

#endif
