/*
 * round: requests in, one commit, acts out.
 */
#ifndef SERVICE_PARTITION_ROUND_H
#define SERVICE_PARTITION_ROUND_H

#include "service/base/base.h"

struct partition;

/* Requests that came and were not handled; with requests.handled, when all of them will have been.
 */
uint64_t round_waiting(const struct partition *partition);
/* Sets now_ms and monotonic_ms. */
void round_read_clocks(struct partition *partition);
/* While a round decides: the store failed a read that the decision needs, and the decision cannot
 * fail. The round is not committed; who asked for something in it is told to try again. `why` is
 * static. */
void round_spoil(struct partition *partition, status why);
/* At ROUND_FAILED: what is to be read anew could not be. ROUND_FAILED is reached again in a while,
 * and touched runs that could not be read are read again; nothing is decided before. */
void round_doubt(struct partition *partition, status why);
/* After round_doubt(): reads anew what is in doubt, and tells the features. Not OK: the store
 * failed again. */
status round_settle(struct partition *partition);
/* The commit failed: forgets the round, and tells who asked. */
void round_fail(struct partition *partition, status why);

#endif
