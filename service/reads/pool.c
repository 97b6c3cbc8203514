#include "service/reads/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "service/reads/reads.h"

struct reader {
    pthread_t thread;
    struct reads_pool *pool;
    size_t lane;
};

struct reads_pool {
    struct reads *reads;
    atomic_bool stops;
    size_t count;
    struct reader readers[];
};

static void *work(void *context)
{
    struct reader *reader = context;
    struct reads_pool *pool = reader->pool;
    while (!atomic_load(&pool->stops)) {
        if (!reads_step(pool->reads, reader->lane)) {
            reads_wait(pool->reads, reader->lane);
        }
    }
    return NULL;
}

struct reads_pool *pool_start(struct reads *reads)
{
    size_t count = reads_lanes(reads);
    struct reads_pool *pool = xcalloc(1, sizeof(*pool) + count * sizeof(pool->readers[0]));
    pool->reads = reads;
    pool->count = count;
    for (size_t i = 0; i < count; i++) {
        struct reader *reader = &pool->readers[i];
        reader->pool = pool;
        reader->lane = i;
        int failed = pthread_create(&reader->thread, NULL, work, reader);
        assert(failed == 0);
    }
    return pool;
}

void pool_stop(struct reads_pool *pool)
{
    atomic_store(&pool->stops, true);
    for (size_t i = 0; i < pool->count; i++) {
        reads_wake(pool->reads, i);
        pthread_join(pool->readers[i].thread, NULL);
    }
    free(pool);
}
