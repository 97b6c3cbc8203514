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
 * from them. Sets the command's now_ms. Anything but VERDICT_OK changed nothing. */
enum verdict command_submit(struct partition *partition, struct live_run *run,
                            struct command *command);
/* For a copy of another run's facts: applies a transition as it is and keeps its record. */
void command_replay(struct partition *partition, struct live_run *run,
                    const struct decision *decision);
/* Writes the kept records, and the index rows of what is open, into the batch. */
void command_replay_commit(struct partition *partition, struct live_run *run);
/* What the run's effects need again after a restart or a failed commit. */
void command_recover(struct partition *partition, struct live_run *run);

#endif
