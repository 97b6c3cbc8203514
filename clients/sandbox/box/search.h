/*
 * search: what glob and grep do.
 *
 * Both honour ignore files, are bounded, and say in a note when there may be more than they show.
 */
#ifndef CLIENTS_SANDBOX_BOX_SEARCH_H
#define CLIENTS_SANDBOX_BOX_SEARCH_H

#include "clients/sandbox/box/place.h"
#include "clients/sandbox/box/request.h"
#include "service/base/buf.h"

enum {
    SEARCH_FILES_MAX = 1000, /* That one glob shows. */
    SEARCH_SHOWN_BYTES_MAX = 256 << 10,
    SEARCH_LINE_BYTES_MAX = 1000, /* Of a line that is shown. */
    SEARCH_FILE_BYTES_MAX = 16 << 20, /* Larger files are passed over, and counted. */
};

/* Each appends the result, a JSON object. INVALID_ARGUMENT says what is wrong with a pattern. */
status search_glob(const struct place *place, const struct request *request, struct arena *arena,
                   struct buf *ret);
status search_grep(const struct place *place, const struct request *request, struct arena *arena,
                   struct buf *ret); /* As search_glob(). */

#endif
