/*
 * connection: one peer, from its first byte to its last.
 *
 * Its first bytes tell TLS, HTTP/2 and HTTP/1 apart. One that speaks HTTP/2 is relayed through a
 * pair of sockets whose other end the core owns: so it can be cut at any moment, whatever the core
 * thinks of it, and each byte passes the guard. HTTP/1 is answered with a page (page.h).
 *
 * Threading: the door's thread.
 */
#ifndef SERVICE_DOOR_CONNECTION_H
#define SERVICE_DOOR_CONNECTION_H

#include <openssl/ssl.h>

#include "service/door/addresses.h"
#include "service/door/guard.h"

/* Why one ended, or was never begun. Behind these stand the verdicts of the guard. */
enum ending {
    ENDING_BY_PEER,
    ENDING_BY_SERVER,
    ENDING_ANSWERED, /* HTTP/1: its page was sent. */
    ENDING_DRAINED, /* The server stops. */
    ENDING_SILENT, /* Too slow with its first bytes. */
    ENDING_NOT_HTTP, /* Its first bytes are neither TLS nor HTTP. */
    ENDING_TLS_FAILED,
    ENDING_TLS_MISSING, /* Only TLS is taken, or none is served. */
    ENDING_FULL, /* No descriptor, or connections-max. */
    ENDING_ADDRESS_FULL,
    ENDING_GUARD, /* And what guard.h calls it. */
    ENDINGS = ENDING_GUARD + GUARD_VERDICTS,
};

enum stage {
    STAGE_FIRST_BYTE,
    STAGE_HANDSHAKE,
    STAGE_FIRST_BYTES,
    STAGE_RELAY,
    STAGE_LINGER, /* All is said; what the peer still sends is drained, or a reset would eat it. */
    STAGE_ENDED,
};

struct connection;

/* One of its two sockets, as epoll knows it. */
struct side {
    struct connection *connection;
    int fd; /* -1: none. */
    uint32_t events; /* That are waited for. */
};

/* Bytes under way in one direction. There is a buffer only while there are some. */
struct way {
    char *buffer;
    uint32_t start;
    uint32_t len;
    bool has_ended; /* Its source. */
    bool end_is_told; /* To its sink. */
    bool may_hold_more; /* The last read filled the buffer. */
};

/* What all connections of a door have in common. */
struct hall {
    int epoll;
    SSL_CTX *tls; /* NULL: none is served. */
    bool needs_tls;
    /* Takes the descriptor. */
    void (*take)(void *context, int fd);
    bool (*is_serving)(void *context); /* For the page; any thread. */
    void *context;
    int numbers_first; /* Descriptors that are given away get numbers from here on, */
    int numbers_count; /* in a ring: one that still waits somewhere is not soon another's. */
    int number_next;
    uint32_t handshakes_left; /* In this pass of the loop: each costs a millisecond. */
    uint64_t now_us;
    uint64_t counts[ENDINGS]; /* Written by the door's thread alone. */
};

struct connection {
    struct side peer;
    struct side core;
    struct way in; /* From the peer to the core. */
    struct way out;
    SSL *tls;
    bool read_wants_write; /* TLS has to write before it can read on; and the other way round. */
    bool write_wants_read;
    enum stage stage;
    enum ending ending; /* From STAGE_LINGER on. */
    uint64_t since_us; /* The stage. */
    struct guard guard;
    struct sockaddr_storage from;
    struct address *address; /* The door's. */
    struct connection *next; /* The door's. */
    struct connection *previous;
};

/* Takes the descriptor, of an accepted connection. */
struct connection *connection_new(struct hall *hall, int fd, const struct sockaddr_storage *from);
/* One that has ended. */
void connection_free(struct connection *connection);

/* From now on epoll waits for these. */
void side_watch(struct hall *hall, struct side *side, uint32_t events);
/* What epoll said of one of its sides. */
void connection_step(struct hall *hall, struct side *side, uint32_t events);
/* Ends it if it is too slow; in every stage. */
void connection_look(struct hall *hall, struct connection *connection);
/* Counts it, closes both sides. Not of one that has ended. */
void connection_end(struct hall *hall, struct connection *connection, enum ending ending);

/* Not by the will of the peer or the server: told in the log. */
bool ending_is_refusal(enum ending ending);
/* "ADDRESS_FULL", "RESETS" and so on. */
const char *ending_name(enum ending ending);

#endif
