/*
 * door: the port, and who may come in by it.
 *
 * Accepts connections, ends TLS, judges what each peer sends (guard.h) and hands what is HTTP/2 to
 * the core as a socket of a pair. The core itself listens on nothing: it can be stopped by any one
 * peer, without a key (docs/decisions/0039). What is refused is counted by its reason, here.
 *
 * Threading: open, start, reload, stop from the main thread; `take` is called on the door's.
 */
#ifndef SERVICE_DOOR_DOOR_H
#define SERVICE_DOOR_DOOR_H

#include "service/base/arena.h"
#include "service/door/connection.h"
#include "service/door/tls.h"

struct door;

struct door_options {
    const char *address; /* listener.h. */
    uint32_t connections_max; /* 0: a third of the descriptors: each takes three. */
    uint32_t per_address_max; /* 0: a quarter of connections_max. */
    struct tls_files tls; /* Without certificates: none is served. */
    bool needs_tls; /* Where some is served, who speaks none is refused. */
    bool has_keys; /* Who comes in has to show one. */
    bool may_lack_keys; /* Else an address that others reach is not served without keys, */
    bool may_lack_tls; /* nor where somebody could come in without TLS. */
    void (*take)(void *context, int fd); /* HTTP/2; the descriptor is the callee's. */
    bool (*is_serving)(void *context);
    void *context;
};

/* Binds. Who connects waits for door_start(). As listener_open() and tls_new();
 * FAILED_PRECONDITION: others reach it, and it has no keys, or no TLS. */
status door_open(const struct door_options *options, struct arena *arena, struct door **ret);
uint16_t door_port(const struct door *door);
void door_start(struct door *door);
/* Reads the certificates again, for connections from now on. As tls_new(): the old ones stay. */
status door_reload(struct door *door, struct arena *arena);
/* On return nobody is accepted and nothing more is taken; what was taken goes on. Once. */
void door_stop_accepting(struct door *door);
/* Once the core has closed its ends: cuts what is left after grace_ms, frees. Accepts NULL. */
void door_stop(struct door *door, uint32_t grace_ms);

#endif
