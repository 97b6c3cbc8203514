/*
 * lines: runs whose model call waits for a place at a server.
 *
 * Threading: the partition thread.
 */
#ifndef SERVICE_FEATURES_LINES_LINES_H
#define SERVICE_FEATURES_LINES_LINES_H

#include "service/partition/feature.h"

extern const struct feature lines_feature;

/* The run's call waits for a place at that server, as it is shown. */
void line_enter(struct partition *partition, struct live_run *run, str server);
/* It has got one, or is over; nothing when it did not wait. */
void line_leave(struct partition *partition, struct live_run *run);
/* The server; empty: the run waits for no place. Borrowed until it leaves the line. */
str line_server(const struct partition *partition, const struct live_run *run);

#endif
