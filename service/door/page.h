/*
 * page: what somebody with a browser or curl is answered.
 *
 * gRPC is all that is served, and who does not speak it is told so in a sentence, not with garbage.
 * /healthz is for load balancers that ask by HTTP/1. One request, one answer, and the connection is
 * closed.
 */
#ifndef SERVICE_DOOR_PAGE_H
#define SERVICE_DOOR_PAGE_H

#include "service/base/buf.h"

enum page_state {
    PAGE_UNFINISHED, /* The head of the request is not whole. */
    PAGE_ANSWERED,
    PAGE_NOT_HTTP,
};

enum {
    PAGE_REQUEST_BYTES_MAX = 8192, /* A longer head is answered as it is. */
};

/* request: what has come so far, at least one byte. Appends the whole answer when ANSWERED. */
enum page_state page_answer(str request, bool is_serving, struct buf *ret);

#endif
