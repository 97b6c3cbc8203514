/*
 * host_wire: the host protocol between its wire form and the plain structs of service/hosts.
 *
 * What is wrong with a message ends the stream, because a host that does not speak the protocol
 * cannot be helped by going on. But what the user's code got wrong is between it and its task: a
 * step or a step request that asks for nonsense is refused (host_message.fault), and a result that
 * is no JSON settles its task as failed, since the run must not hang on a tool's mistake.
 */
#ifndef SERVICE_API_HOST_WIRE_H
#define SERVICE_API_HOST_WIRE_H

#include "polos/v1/host.pb-c.h"
#include "service/api/check.h"
#include "service/hosts/message.h"
#include "service/partition/request.h"

enum {
    HOST_PROTOCOL = 1, /* Hello.protocol. */
    HOST_DELTA_BYTES_MAX = 64 * 1024,
    HOST_STACK_BYTES_MAX = 16 * 1024,
    HOST_TRIGGER_BATCH_MAX = 1000,
    HOST_TRIGGER_TIMEOUT_MS_MAX = 7 * 24 * 3600 * 1000,
};

/* Fills request->hello, but for the link. The check's arena must be the request's. */
bool host_wire_hello(struct check *check, const Polos__V1__Hello *hello, struct request *request);
/* What its messages have in common, of an envelope after Hello. */
bool host_wire_check_envelope(struct check *check,
                              const Polos__V1__ToolServiceConnectRequest *envelope);
/* Without its acknowledgement. The result lives as long as the check's arena. */
bool host_wire_delta(struct check *check, const Polos__V1__HostDelta *delta,
                     struct host_message *ret);
/* Without its number and acknowledgement. The result lives as long as the check's arena. */
bool host_wire_message(struct check *check, const Polos__V1__HostMessage *message,
                       struct host_message *ret);
/* The message packed for an envelope, with one reference, which is the caller's. */
struct payload *host_wire_pack(const struct server_message *message);

#endif
