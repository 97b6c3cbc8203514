/*
 * health: grpc.health.v1.Health: whether the server, or one of its services, takes calls.
 *
 * All services share one state: this process serves, or it is draining.
 *
 * Threading: health_set from any thread; then health_changed on every loop's thread.
 */
#ifndef SERVICE_RPC_HEALTH_H
#define SERVICE_RPC_HEALTH_H

#include <stdatomic.h>

#include "service/rpc/methods.h"

struct health {
    const struct methods *methods; /* Which services there are. */
    atomic_bool serving;
};

extern const struct api_method health_methods[];

void health_init(struct health *health, const struct methods *methods); /* Serving. */
/* Watches hear of it by health_changed(). */
void health_set(struct health *health, bool serving);
bool health_is_serving(struct health *health); /* Any thread. */
/* If the call is a Watch that was told something else, tells it the state. */
void health_changed(struct api_call *call);

#endif
