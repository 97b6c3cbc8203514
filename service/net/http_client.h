/*
 * http_client: one thread that carries all HTTP requests, and what belongs to them.
 *
 * There is no limit on how long a response may take, only on how long it may stay silent: a
 * model may think for minutes, but a dead peer must be noticed. Until the first request
 * nothing of curl is set up, so a server that asks no model pays nothing for it.
 *
 * Order:     for one call: head, then any number of bytes, then done; done also without either.
 * Threading: http_client_post() from any thread. All else, and every callback, on the client's
 *            thread; or anywhere between http_client_stop() and http_client_free().
 */
#ifndef SERVICE_NET_HTTP_CLIENT_H
#define SERVICE_NET_HTTP_CLIENT_H

#include "service/base/base.h"
#include "service/base/inbox.h"

struct http_client;
struct http_call;
struct sockaddr;

enum http_fault {
    HTTP_FAULT_NONE,
    HTTP_FAULT_URL, /* No URL we may use. */
    HTTP_FAULT_CONNECT, /* Name, connection or TLS handshake. */
    HTTP_FAULT_CERTIFICATE,
    HTTP_FAULT_FIRST_BYTE, /* The body did not begin in time. */
    HTTP_FAULT_IDLE, /* The body stopped for too long. */
    HTTP_FAULT_LOST, /* The connection broke, or was out of step. */
    HTTP_FAULT_ADDRESS, /* may_reach() forbids it. */
    HTTP_FAULT_NOT_HTTP, /* What came is no HTTP. */
    HTTP_FAULT_OTHER,
};

struct http_end {
    enum http_fault fault;
    bool transient; /* The same request may succeed in a moment, on a connection of its own. */
    const char *why; /* Borrowed for the call. */
};

/* A call's callbacks. They may drop or release the call, may_reach() aside. */
struct http_handler {
    void *context;
    /* Asked before each connection that would be made to the address, and before the request goes
     * out on one that is open. NULL: it may go anywhere. */
    bool (*may_reach)(void *context, const struct sockaddr *address);
    void (*head)(void *context, uint32_t http_status, str headers);
    void (*bytes)(void *context, str bytes);
    void (*done)(void *context, const struct http_end *end);
};

struct http_request {
    const char *method;
    const char *url; /* http or https. */
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    str body; /* Copied. */
    uint64_t connect_ms;
    uint64_t first_byte_ms; /* From the start to the first byte of the body. */
    uint64_t idle_ms; /* Between bytes of the body. */
    bool fresh_connection;
    bool http_1; /* Never HTTP/2. */
    /* The URL is a stranger's. If the environment names a proxy, the request goes through it
     * whatever no_proxy says, and where it ends is the proxy's to judge, not may_reach()'s. */
    bool is_strangers;
};

struct http_task {
    struct inbox_node node;
    void (*run)(struct http_task *task);
};

/* Lives inside another thing. Zero-initialised is disarmed. */
struct timer {
    uint64_t due_us;
    uint32_t place; /* Among the armed ones, from 1; 0: disarmed. */
    void (*fire)(struct timer *timer);
};

/* Never fails. connections_max: at most so many at once, calls beyond them wait. */
struct http_client *http_client_start(size_t connections_max);
void http_client_stop(struct http_client *client); /* Runs what was posted, ends the thread. */
void http_client_free(struct http_client *client); /* Every call must be dropped or over. */

/* Runs the task on the client's thread, once; in the order of the posts. */
void http_client_post(struct http_client *client, struct http_task *task);
/* By sys_monotonic_us(). Anew where it is armed; equal ones fire in no particular order. */
void http_client_arm(struct http_client *client, struct timer *timer, uint64_t due_us);
void http_client_disarm(struct http_client *client, struct timer *timer); /* Also if disarmed. */

/* done() is never called from within. */
struct http_call *http_call_start(struct http_client *client, const struct http_request *request,
                                  const struct http_handler *handler);
/* No callback follows; the connection is lost. */
void http_call_drop(struct http_call *call);
/* No callback follows; what remains of the body is read for a moment, to keep the connection. */
void http_call_release(struct http_call *call);

#endif
