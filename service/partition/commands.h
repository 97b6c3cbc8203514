/*
 * commands: from a command to the open batch.
 *
 * Threading: owned by the partition thread.
 */
#ifndef SERVICE_PARTITION_COMMANDS_H
#define SERVICE_PARTITION_COMMANDS_H

#include "service/engine/engine.h"

struct live_run;
struct partition;

struct commands;
/* The room a decision takes; about 40 kB. */
struct commands *commands_new(void);
void commands_free(struct commands *commands); /* Accepts NULL. */

/* Decides, writes the events into the batch, applies them, and lets the features do what follows
 * from them. Sets the command's now_ms. Anything but VERDICT_OK changed nothing. Of
 * one that is_copying the copy ends where it is when it is cancelled or fails; all else is stale.
 */
enum verdict command_submit(struct partition *partition, struct live_run *run,
                            struct command *command);
/* For a run that is_copying: a transition of the other run goes into the batch as it is. Nothing
 * follows from it before the copy is whole. */
void command_copy(struct partition *partition, struct live_run *run,
                  const struct decision *decision);
/* What the run's effects need again after a restart, a failed commit or a copy. Nothing is done for
 * one that is_copying. */
void command_recover(struct partition *partition, struct live_run *run);

#endif
