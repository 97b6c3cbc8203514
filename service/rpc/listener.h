/*
 * listener: accepts connections for the C core.
 *
 * Apart from serving calls, because it will have to survive hostile peers by itself one day:
 * the core's accept loop stops for ever when the process runs out of descriptors, hence the
 * raised limit.
 */
#ifndef SERVICE_RPC_LISTENER_H
#define SERVICE_RPC_LISTENER_H

#include <grpc/grpc.h>

#include "service/base/arena.h"

/* "127.0.0.1:8080", "[::1]:8080", "localhost:0". Before the server starts.
 * INVALID_ARGUMENT: not an address. FAILED_PRECONDITION: taken, or not this machine's. */
status listener_open(grpc_server *server, const char *address, struct arena *arena,
                     uint16_t *ret_port);

#endif
