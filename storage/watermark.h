/*
 * watermark: a small file beside the store that says how far its log had come.
 *
 * Recovery stops at the first damaged record of the log, since that is what a torn tail looks
 * like; bit rot in the middle looks the same. So a store that recovers less than the
 * watermark has lost what was acknowledged, and is refused.
 *
 * Two slots are written one after the other, in place: a torn write spoils one, and the other
 * still says almost as much.
 *
 * Threading: one thread.
 */
#ifndef STORAGE_WATERMARK_H
#define STORAGE_WATERMARK_H

#include "service/base/arena.h"

#define WATERMARK_NAME "WATERMARK"

struct watermark {
    uint64_t sequence; /* Of the last entry known to be on disk. */
    uint64_t commits; /* Since the store was made. */
};

struct watermark_file {
    int fd; /* -1: closed. */
    unsigned slot; /* The next to be written. */
};

/* Opens or makes the file in `folder`; a new or empty one says zero.
 *   DATA_LOSS: both slots are damaged. */
status watermark_open(const char *folder, struct arena *arena, struct watermark_file *ret,
                      struct watermark *ret_last);
/* Whether there is such a file, damaged or not. */
bool watermark_exists(const char *folder);
/* False: the disk refused, and the slot says nothing any more. */
[[nodiscard]] bool watermark_write(struct watermark_file *file, const struct watermark *watermark);
/* Also of one that is closed. */
void watermark_close(struct watermark_file *file);

#endif
