/*
 * offers: tools or workflows as they were offered last: one, or a page of them by name.
 */
#ifndef SERVICE_READS_OFFERS_H
#define SERVICE_READS_OFFERS_H

#include "service/agents/offer.h"
#include "service/reads/reads.h"

struct offers_read {
    struct read read;
    bool wants_tools; /* Else workflows. */
    str name; /* Only this one; empty: a page of all. */
    str after; /* Of a page: the names after this one; empty: from the first. */
    size_t limit; /* At least 1. */
    /* All that is in it lives as long as the read. One that is not there is none. */
    struct offer_record *ret;
    size_t ret_count;
    bool ret_more; /* There is another page. */
};
extern const struct read_kind offers_kind;

static inline struct offers_read *offers_read(struct read *read)
{
    assert(read->kind == &offers_kind);
    return container_of(read, struct offers_read, read);
}

#endif
