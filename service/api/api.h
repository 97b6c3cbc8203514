/*
 * api: the services, as rows of handlers that no transport is known to.
 *
 * A handler checks what came, posts a request to the partition or a read of the store, and returns;
 * the answer is built in its `done`, on their threads, and handed to the transport from there.
 *
 * Threading: api_init before the first call; the rest is constant.
 */
#ifndef SERVICE_API_API_H
#define SERVICE_API_API_H

#include <stdatomic.h>

#include "service/api/call.h"
#include "service/features/callers/callers.h"
#include "service/features/watchers/watchers.h"
#include "service/keys/keyring.h"
#include "service/reads/reads.h"

#define API_VERSION "polosd/0.1.0"

/* What the methods are registered with: api_call.service. */
struct api {
    struct partition *partition;
    struct reads *reads;
    struct keyring *keyring; /* NULL: nobody is held against keys. */
    size_t input_bytes_max;
    atomic_uint_fast64_t ticket; /* The last one given to a &wait_operation. */
};

/* keyring: the partition's; NULL: none. input_bytes_max: of a run's input; 0: 1 MiB. */
void api_init(struct api *api, struct partition *partition, struct reads *reads,
              struct keyring *keyring, size_t input_bytes_max);
/* Tables, up to NULL; each ends with a row whose path is NULL. Static. */
const struct api_method *const *api_methods(void);
/* For partition_options: what facts, deltas and ends look like to watchers. */
const struct watch_format *api_format(void);
/* And what events look like to subscribers. */
const struct topic_format *api_topic_format(void);

#endif
