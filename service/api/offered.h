/*
 * offered: what was read of the store is answered with how many hosts offer it, which only the
 * partition knows.
 */
#ifndef SERVICE_API_OFFERED_H
#define SERVICE_API_OFFERED_H

#include "service/api/reading.h"
#include "service/features/tasks/tasks.h"

/* Answers the call of the read and ends it. On the partition's thread. */
typedef void offered_answer(struct read *read, const struct offered_name *names);

/* Fills in the hosts of the names, which live as long as the read, and calls `answer`; or fails the
 * call and ends the read. In `done` of the read, after which it is not to be used any more. */
void offered_ask(struct read *read, struct offered_name *names, size_t count,
                 offered_answer *answer);

#endif
