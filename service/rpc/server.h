/*
 * server: the gRPC transport: carries API calls over the C core.
 *
 * Accepting connections and serving calls are kept apart: the first is service/door's. Handlers run
 * on the loop thread that owns their call; what they or anybody send later is queued to that
 * thread, so nobody else runs transport work.
 *
 * Threading: start, listen, drain and stop from the main thread.
 */
#ifndef SERVICE_RPC_SERVER_H
#define SERVICE_RPC_SERVER_H

#include "service/api/call.h"

struct keyring;
struct rpc_server;

struct rpc_server_options {
    const char *address; /* "127.0.0.1:8080"; port 0: any free one. */
    uint32_t connections_max; /* These and what follows: door.h. */
    uint32_t connections_per_address_max;
    const char *tls_certificates; /* NULL: no TLS. */
    const char *tls_key;
    const char *tls_client_ca;
    bool tls_only;
    uint32_t threads; /* Completion queues, one thread each. 0: 2. */
    uint32_t message_bytes_max; /* Received. 0: 4 MiB. */
    uint32_t connections_idle_s; /* 0: 1800. */
    /* Requests that are taken in at once, by all loops: receive.h. 0: 512 MiB. */
    size_t receive_bytes_max;
    /* Sent and not yet taken, of all streams that the server alone sends on. 0: 256 MiB. */
    size_t streams_bytes_max;
    /* Tables, up to NULL; each ends with a row whose path is NULL. */
    const struct api_method *const *methods;
    void *service; /* For api_call.service. */
    /* Callers are held against its keys; followed while the server runs. NULL: nobody needs one. */
    struct keyring *keyring;
    bool may_lack_keys; /* Else an address that others reach is not served without keys, */
    bool may_lack_tls; /* nor without TLS. */
    str descriptors; /* A FileDescriptorSet of everything served, for reflection. */
};

/* Binds and serves. FAILED_PRECONDITION: the address is taken or not ours; `why` in the arena. */
status rpc_server_start(const struct rpc_server_options *options, struct arena *arena,
                        struct rpc_server **ret);
/* The certificates are read again; any that cannot be leave the old ones. Main thread. */
status rpc_server_reload(struct rpc_server *server, struct arena *arena);
/* The one that was bound; tells which when the address said 0. */
uint16_t rpc_server_port(const struct rpc_server *server);
/* What streams_bytes_max bounds, as it is now; any thread. */
size_t rpc_server_streams_bytes(const struct rpc_server *server);
/* Health answers NOT_SERVING, no new connections or calls; calls in flight go on. */
void rpc_server_drain(struct rpc_server *server);
/* Waits up to grace_ms for calls in flight, cancels the rest, ends the threads, frees. */
void rpc_server_stop(struct rpc_server *server, uint32_t grace_ms);

#endif
