/*
 * client: connections to one server, and the methods known on each.
 */
#ifndef CLIENTS_C_CLIENT_H
#define CLIENTS_C_CLIENT_H

#include <grpc/grpc.h>

#include "clients/c/loop.h"

/* The methods that are streams, behind those of enum polos_method. */
enum {
    POLOS_METHOD_WATCH = POLOS_METHOD_COUNT,
    POLOS_METHOD_CONNECT,
    POLOS_METHOD_ALL,
};

/* The loop it was made with. */
struct polos_loop *polos_client_loop(struct polos_client *client);
/* A new call on the next connection. */
grpc_call *polos_client_call(struct polos_client *client, unsigned method, uint64_t timeout_ms);
/* Every call is given back once it is over. */
void polos_client_call_over(struct polos_client *client, grpc_call *call);

#endif
