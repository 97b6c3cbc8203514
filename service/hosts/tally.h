/*
 * tally: how many count each name.
 *
 * Invariant: a name is there while somebody counts it.
 */
#ifndef SERVICE_HOSTS_TALLY_H
#define SERVICE_HOSTS_TALLY_H

#include "service/base/table.h"

struct tally {
    struct table names;
};

void tally_init(struct tally *tally);
/* Nobody counts a name any more. */
void tally_fini(struct tally *tally);
/* One more counts it. Any bytes, at least one; copied. */
void tally_add(struct tally *tally, str name);
/* One of those who counted it does no longer. */
void tally_remove(struct tally *tally, str name);
/* How many do. */
uint32_t tally_of(const struct tally *tally, str name);

#endif
