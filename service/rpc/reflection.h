/*
 * reflection: grpc.reflection.v1 and v1alpha, so that grpcurl works without proto files.
 *
 * The two are equal on the wire, so one handler serves both. What cannot be answered is an
 * error inside the response; the stream stays open.
 */
#ifndef SERVICE_RPC_REFLECTION_H
#define SERVICE_RPC_REFLECTION_H

#include "service/rpc/descriptors.h"
#include "service/rpc/methods.h"

struct reflection {
    const struct methods *methods;
    const struct descriptors *descriptors;
};

extern const struct api_method reflection_methods[];

#endif
