/*
 * tls: what the door shows to those who want TLS, from files in PEM.
 */
#ifndef SERVICE_DOOR_TLS_H
#define SERVICE_DOOR_TLS_H

#include <openssl/ssl.h>

#include "service/base/arena.h"

struct tls_files {
    const char *certificates; /* The server's first, then those that vouch for it. */
    const char *key;
    const char *client_ca; /* Clients must show a certificate that one of these signed. NULL: none
                              is asked for. */
};

/* TLS 1.3 and 1.2; to be freed with SSL_CTX_free(). INVALID_ARGUMENT: `why` names the file and what
 * is wrong with it, in the arena. */
status tls_new(const struct tls_files *files, struct arena *arena, SSL_CTX **ret);

#endif
