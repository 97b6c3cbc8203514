/*
 * unread: runs that could not be read for a reason that passes, such as a disk that failed a read.
 *
 * Whatever they were to be read for is not done. They are read again after a while, or by whoever
 * needs them before; then they are recovered, as after a restart.
 *
 * Invariant: none of them is in memory.
 * Order:     as they came.
 * Threading: owned by the partition thread.
 */
#ifndef SERVICE_PARTITION_UNREAD_H
#define SERVICE_PARTITION_UNREAD_H

#include "service/base/base.h"
#include "service/base/uuid.h"

struct unread;

/* Empty. */
struct unread *unread_new(void);
void unread_free(struct unread *unread); /* Accepts NULL. */

/* The run could not be read, and is to be read again then. Said again, only the time is news. */
void unread_add(struct unread *unread, uuid run, uint64_t due_ms);
/* Of those, it was touched by a round that failed: its features do not know how it stands. */
void unread_doubt(struct unread *unread, uuid run);
bool unread_has(const struct unread *unread, uuid run);
/* The first, or the first that is in doubt. False: there is none. */
bool unread_first(const struct unread *unread, bool is_in_doubt, uuid *ret);
/* It was read, or never will be. False: it was not among them. */
bool unread_take(struct unread *unread, uuid run);
uint64_t unread_due_ms(const struct unread *unread); /* 0: there are none. */

#endif
