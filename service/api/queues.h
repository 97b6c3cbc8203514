/*
 * queues: queues as callers and hosts define them.
 */
#ifndef SERVICE_API_QUEUES_H
#define SERVICE_API_QUEUES_H

#include "polos/v1/host.pb-c.h"
#include "polos/v1/queues.pb-c.h"
#include "service/api/check.h"
#include "service/features/queues/queues.h"
#include "service/partition/request.h"

/* prefix: the path of the message, with its dot: "queue.". */
bool queue_offer_take(struct check *check, const char *prefix,
                      const Polos__V1__QueueDefinition *proto, struct queue_offer *ret);
/* The queues of a hello, and its workflows' own. */
bool queue_offers_take(struct check *check, const Polos__V1__Offers *offers,
                       struct request *request);

#endif
