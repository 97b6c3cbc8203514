/*
 * pool: a thread for each lane of the reads; the only file of the folder that knows threads.
 */
#ifndef SERVICE_READS_POOL_H
#define SERVICE_READS_POOL_H

struct reads;
struct reads_pool;

/* Steps the lanes of the reads from now on, which must outlive the pool. */
struct reads_pool *pool_start(struct reads *reads);
/* Waits for the steps under way; frees the pool. */
void pool_stop(struct reads_pool *pool);

#endif
