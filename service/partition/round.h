/*
 * round: requests in, one commit, acts out.
 */
#ifndef SERVICE_PARTITION_ROUND_H
#define SERVICE_PARTITION_ROUND_H

#include "service/base/base.h"

struct partition;

/* Sets now_ms and monotonic_ms. */
void round_read_clocks(struct partition *partition);
/* The commit failed: forgets the round, and tells who asked. */
void round_fail(struct partition *partition, status why);

#endif
