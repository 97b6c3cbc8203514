/*
 * envelope: what the server says to a host in one write.
 *
 * Messages are packed one by one, since they are kept until they are acknowledged and go out again
 * on another stream; here they are put behind each other. A packed message is a struct
 * envelope_head and then the fields it adds to a ToolServiceConnectResponse, of which the bytes of
 * several behind each other are again one.
 *
 * Invariant: the numbers of an envelope follow each other; pieces of facts come last; what is
 *            acknowledged with it was durable before the results in it were sent, so that a host
 *            hears of a task's steps and results in the journal's order.
 */
#ifndef SERVICE_API_ENVELOPE_H
#define SERVICE_API_ENVELOPE_H

#include <protobuf-c/protobuf-c.h>

#include "service/base/buf.h"
#include "service/base/payload.h"

enum {
    ENVELOPE_MESSAGES_MAX = 1000, /* In both directions. */
    ENVELOPE_BYTES_MAX = 1 << 20, /* But one message may be larger. */
};

/* What stands before a packed message. */
struct envelope_head {
    uint64_t seq; /* 0: it has none. */
    uint64_t ack;
    uint64_t settled; /* Steps that the host had been told are durable. */
    bool is_result; /* It tells a task of a step. */
    bool is_last; /* No message follows in the same envelope. */
};

/* Zero-initialised is empty and valid. */
struct envelope {
    struct buf body;
    uint64_t first_seq; /* 0: there is no numbered message. */
    uint32_t count; /* Of the numbered ones. */
    uint64_t ack;
    uint64_t settled;
    bool has_result;
    bool is_full; /* Nothing more goes in. */
    bool has_any; /* An acknowledgement alone counts. */
};

/* It is empty again. */
void envelope_fini(struct envelope *envelope);
/* A ToolServiceConnectResponse with what the message adds to it, packed; one reference, which is
 * the caller's. */
struct payload *envelope_pack(const struct envelope_head *head, const ProtobufCMessage *fields);
/* False: it does not fit; take the envelope first. Into an empty one each fits. */
bool envelope_add(struct envelope *envelope, const struct payload *packed);
/* The bytes of one that is not empty, with one reference, which is the caller's; it is empty
 * again. */
struct payload *envelope_take(struct envelope *envelope);

#endif
