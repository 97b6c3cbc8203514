/*
 * account: what a parent is told of an agent run that has ended, beside its answer.
 */
#ifndef SERVICE_FEATURES_CHILDREN_ACCOUNT_H
#define SERVICE_FEATURES_CHILDREN_ACCOUNT_H

#include "service/base/arena.h"

struct live_run;

/* A JSON object, in the arena; of other runs than agents', and of one that cannot be read: empty.
 */
str account_of(const struct live_run *run, struct arena *arena);

#endif
