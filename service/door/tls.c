#include "service/door/tls.h"

#include <openssl/err.h>

/* Browsers and HTTP libraries offer http/1.1 beside h2, and the core would take anything for gRPC;
 * gRPC's own clients offer h2 alone. */
static const unsigned char protocols[] = "\x08http/1.1\x02h2";

static int choose(SSL *connection, const unsigned char **ret, unsigned char *ret_len,
                  const unsigned char *offered, unsigned offered_len, void *context)
{
    unsigned char *chosen = NULL;
    (void)connection;
    (void)context;
    int found = SSL_select_next_proto(&chosen, ret_len, protocols, sizeof(protocols) - 1, offered,
                                      offered_len);
    *ret = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* By itself OpenSSL asks whoever sits at the terminal. */
static int no_password(char *ret, int bytes_max, int is_to_write, void *context)
{
    (void)ret;
    (void)bytes_max;
    (void)is_to_write;
    (void)context;
    return 0;
}

/* The first of OpenSSL's reasons; those behind it repeat it from further away. */
static status fail(struct arena *arena, const char *option, const char *file)
{
    unsigned long error = ERR_peek_error();
    const char *why = ERR_reason_error_string(error);
    status ret =
        ERR_SYSTEM_ERROR(error)
            ? arena_fail(arena, CODE_INVALID_ARGUMENT, "%s %s: %s", option, file,
                         strerror(ERR_GET_REASON(error)))
            : arena_fail(
                  arena, CODE_INVALID_ARGUMENT,
                  "%s %s: it is not what is wanted there, in PEM and without a password (%s)",
                  option, file, why == NULL ? "no reason is told" : why);
    ERR_clear_error();
    return ret;
}

static status load(SSL_CTX *context, const struct tls_files *files, struct arena *arena)
{
    if (SSL_CTX_use_certificate_chain_file(context, files->certificates) != 1) {
        return fail(arena, "--tls-certificates", files->certificates);
    }
    if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return fail(arena, "--tls-key", files->key);
    }
    if (files->client_ca == NULL) {
        return STATUS_OK;
    }
    if (SSL_CTX_load_verify_locations(context, files->client_ca, NULL) != 1) {
        return fail(arena, "--tls-client-ca", files->client_ca);
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return STATUS_OK;
}

status tls_new(const struct tls_files *files, struct arena *arena, SSL_CTX **ret)
{
    static const unsigned char session[] = "polosd";
    assert(files->certificates != NULL && files->key != NULL);
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    assert(context != NULL); /* As with all memory. */
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_alpn_select_cb(context, choose, NULL);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    SSL_CTX_set_session_id_context(context, session, sizeof(session) - 1);
    status loaded = load(context, files, arena);
    if (!status_is_ok(loaded)) {
        SSL_CTX_free(context);
        return loaded;
    }
    *ret = context;
    return STATUS_OK;
}
