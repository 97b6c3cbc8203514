/*
 * recovery: after a restart, everything owed is put back in motion.
 */
#ifndef SERVICE_PARTITION_RECOVERY_H
#define SERVICE_PARTITION_RECOVERY_H

#include "service/base/base.h"

struct arena;
struct partition;

/* From the rows of the live runs. `why` of a failure is in the arena. */
status recovery_run(struct partition *partition, struct arena *arena);

#endif
