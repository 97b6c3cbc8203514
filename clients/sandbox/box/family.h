/*
 * family: every process that came from this one, and how all of them are ended.
 *
 * A process whose parent ends becomes our child (we are its subreaper), however it tried to get
 * away: by a second fork, a session or a group of its own. So who our descendants are is a question
 * of parents alone, and /proc answers it.
 */
#ifndef CLIENTS_SANDBOX_BOX_FAMILY_H
#define CLIENTS_SANDBOX_BOX_FAMILY_H

#include <sys/types.h>

#include "service/base/arena.h"

/* Orphans come to us from now on, and none of them may look into this process or write where it
 * writes. FAILED_PRECONDITION: there is no /proc here. */
status family_begin(void);
/* Kills all, and waits until there is none. They are stopped first, so that what forks as fast as
 * it is killed comes to an end, too. *ret_status: how `child` ended, if it had not been waited for;
 * unchanged else. */
void family_end(pid_t child, int *ret_status);
/* How many there are now, ended ones that nobody waited for included. */
size_t family_count(void);

#endif
