/*
 * simulated_call: a transport without a network: keeps what a handler sends and how it ends.
 *
 * Invariant: a call is finished exactly once and released with no reference left; both asserted.
 */
#ifndef TESTS_UNIT_API_SIMULATED_CALL_H
#define TESTS_UNIT_API_SIMULATED_CALL_H

#include "service/api/api.h"

enum {
    SIMULATED_MESSAGES_MAX = 256,
};

struct simulated_call {
    struct api_call api;
    struct payload *sent[SIMULATED_MESSAGES_MAX];
    size_t sent_count;
    bool stalls; /* What stalls() answers. */
    unsigned holds; /* While any is left, a transport reads nothing more from the peer. */
    unsigned references; /* One is the transport's, until released. */
    unsigned finishes;
    struct failure error; /* Of finish; code OK: it went well. */
    struct arena arena; /* Of `error`. */
};

/* Calls the method's handler as a transport would; request NULL for a stream from the peer. */
struct simulated_call *simulated_call_start(struct api *api, const char *path,
                                            const ProtobufCMessage *request);
/* As somebody else than the one who may do everything in the partition's project. */
struct simulated_call *simulated_call_start_as(struct api *api, const char *path,
                                               const ProtobufCMessage *request,
                                               struct principal principal);
void simulated_call_message(struct simulated_call *call, const ProtobufCMessage *message);
void simulated_call_closed(struct simulated_call *call); /* The peer went away. */
/* The message with this index, unpacked; free with protobuf_c_message_free_unpacked. */
void *simulated_call_sent(const struct simulated_call *call, size_t index);
/* Nothing follows: checks the invariant, tells the handler, frees. */
void simulated_call_release(struct simulated_call *call);

#endif
