/*
 * kept: the folder as it was found, kept by hard links until recovery proved harmless.
 *
 * Recovery deletes the log it has read, even when it stopped at a damaged record half way.
 * So before a store with a log is opened its files are linked into BEFORE_RECOVERY; they are
 * dropped when the store proved whole, and kept as REFUSED when it did not. Links that cannot
 * be made are done without: they are a help, not a promise.
 */
#ifndef STORAGE_KEPT_H
#define STORAGE_KEPT_H

#include "service/base/base.h"

#define KEPT_BEFORE_RECOVERY "before-recovery"
#define KEPT_REFUSED "refused"

/* Links the files of a store with a log into KEPT_BEFORE_RECOVERY. */
void kept_save(const char *folder);
/* Takes those links away: the store proved whole. */
void kept_drop(const char *folder);
void kept_refuse(const char *folder); /* The first refused state is the one that stays. */

#endif
