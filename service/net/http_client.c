#include "service/net/http_client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <curl/curl.h>

#include "service/base/buf.h"
#include "service/base/heap.h"
#include "service/base/sys.h"
#include "service/net/connections.h"

enum {
    HEADER_BYTES_MAX = 64 << 10,
    DRAIN_MS = 2000,
    WAIT_MS_MAX = 60 * 60 * 1000,
};

struct http_client {
    pthread_t thread;
    struct inbox *inbox;
    int wake_fd;
    bool stopping;
    bool in_curl; /* Calls cannot be removed from within curl's callbacks. */
    size_t connections_max;
    CURLM *multi; /* NULL until the first call. */
    size_t call_count;
    struct heap timers; /* By when they are due. */
    struct http_call *doomed; /* Dropped from within curl. */
    struct connections connections;
    struct http_task stop_task;
};

struct http_call {
    struct http_client *client;
    struct http_handler handler;
    CURL *easy;
    struct curl_slist *headers;
    struct buf body;
    struct timer silence; /* Fires when the peer was silent for too long. */
    uint64_t heard_us;
    uint64_t limit_ms; /* Of the silence that is being measured. */
    uint64_t idle_ms;
    struct buf head; /* Header lines of the response being read. */
    uint32_t http_status;
    bool head_told;
    bool silenced; /* No callback follows. */
    bool is_doomed;
    bool by_proxy; /* Strangers only: a proxy judges where it goes. */
    bool is_fresh; /* It takes no kept connection. */
    bool address_refused;
    bool out_of_step; /* The kept connection that was chosen has unread bytes. */
    struct connection_use connection;
    struct http_call *next_doomed;
    char why[CURL_ERROR_SIZE];
};

/* What curl's codes mean to us. The others are HTTP_FAULT_OTHER and may pass. */
static const struct fault_row {
    CURLcode curl;
    enum http_fault fault;
    bool transient;
    const char *why; /* NULL: in curl's words. */
} faults[] = {
    {CURLE_URL_MALFORMAT, HTTP_FAULT_URL, false, NULL},
    {CURLE_COULDNT_RESOLVE_PROXY, HTTP_FAULT_CONNECT, true, NULL},
    {CURLE_COULDNT_RESOLVE_HOST, HTTP_FAULT_CONNECT, true, NULL},
    {CURLE_COULDNT_CONNECT, HTTP_FAULT_CONNECT, true, NULL},
    {CURLE_OPERATION_TIMEDOUT, HTTP_FAULT_CONNECT, true, NULL},
    {CURLE_SSL_CONNECT_ERROR, HTTP_FAULT_CONNECT, true, NULL},
    {CURLE_PEER_FAILED_VERIFICATION, HTTP_FAULT_CERTIFICATE, false, NULL},
    {CURLE_SSL_CACERT_BADFILE, HTTP_FAULT_CERTIFICATE, false, NULL},
    {CURLE_HTTP2, HTTP_FAULT_LOST, true, NULL},
    {CURLE_HTTP2_STREAM, HTTP_FAULT_LOST, true, NULL},
    {CURLE_PARTIAL_FILE, HTTP_FAULT_LOST, true, NULL},
    {CURLE_GOT_NOTHING, HTTP_FAULT_LOST, true, NULL},
    {CURLE_SEND_ERROR, HTTP_FAULT_LOST, true, NULL},
    {CURLE_RECV_ERROR, HTTP_FAULT_LOST, true, NULL},
    {CURLE_UNSUPPORTED_PROTOCOL, HTTP_FAULT_NOT_HTTP, false, "what it answers is no HTTP"},
    {CURLE_WEIRD_SERVER_REPLY, HTTP_FAULT_NOT_HTTP, false, "what it answers is no HTTP"},
    {CURLE_WRITE_ERROR, HTTP_FAULT_OTHER, false, "the head of its answer is longer than 64 KiB"},
    {CURLE_BAD_CONTENT_ENCODING, HTTP_FAULT_OTHER, false,
     "its answer is compressed in a way that cannot be read here"},
};
static_assert(HEADER_BYTES_MAX == 64 << 10, "a sentence says so");

static void wake(void *context)
{
    const struct http_client *client = (const struct http_client *)context;
    uint64_t one = 1;
    ssize_t written = write(client->wake_fd, &one, sizeof(one));
    (void)written; /* A full counter wakes as well. */
}

static struct timer *timer_of(const void *item)
{
    return *(struct timer *const *)item;
}

static bool is_due_before(const void *context, const void *a, const void *b)
{
    (void)context;
    return timer_of(a)->due_us < timer_of(b)->due_us;
}

static void timer_moved(void *context, const void *item, uint32_t place)
{
    (void)context;
    timer_of(item)->place = place == HEAP_NONE ? 0 : place + 1;
}

static const struct heap_order timer_order = {sizeof(struct timer *), is_due_before, timer_moved};

/* NULL: nothing is armed. */
static struct timer *first_timer(const struct http_client *client)
{
    const void *first = heap_first(&client->timers);
    return first == NULL ? NULL : timer_of(first);
}

static void release_connection(struct http_call *call)
{
    long version = CURL_HTTP_VERSION_NONE;
    curl_easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &version);
    connections_release(&call->client->connections, &call->connection,
                        version >= CURL_HTTP_VERSION_2_0);
    call->connection = (struct connection_use){0};
}

static void call_free(struct http_call *call)
{
    struct http_client *client = call->client;
    assert(!client->in_curl && client->call_count > 0);
    http_client_disarm(client, &call->silence);
    release_connection(call);
    curl_multi_remove_handle(client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    buf_fini(&call->body);
    buf_fini(&call->head);
    client->call_count--;
    free(call);
}

static void call_end(struct http_call *call, const struct http_end *end)
{
    if (!call->silenced) {
        call->silenced = true;
        call->handler.done(call->handler.context, end);
    }
    call_free(call);
}

static void free_doomed(struct http_client *client)
{
    while (client->doomed != NULL) {
        struct http_call *call = client->doomed;
        assert(call->is_doomed && call->silenced);
        client->doomed = call->next_doomed;
        call_free(call);
    }
}

static struct http_end end_of(const struct http_call *call, CURLcode code)
{
    struct http_end end = {
        .fault = HTTP_FAULT_OTHER,
        .transient = true,
        .why = call->why[0] != '\0' ? call->why : curl_easy_strerror(code),
    };
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        if (faults[i].curl == code) {
            end.fault = faults[i].fault;
            end.transient = faults[i].transient;
            end.why = faults[i].why != NULL ? faults[i].why : end.why;
        }
    }
    if (call->address_refused) {
        return (struct http_end){.fault = HTTP_FAULT_ADDRESS, .why = "it may not be reached"};
    }
    if (end.fault == HTTP_FAULT_NOT_HTTP && call->connection.was_kept) {
        return (struct http_end){HTTP_FAULT_LOST, true, "the connection was out of step"};
    }
    return end;
}

static void end_by_curl(struct http_call *call, CURLcode code)
{
    struct http_end end = {.fault = HTTP_FAULT_NONE, .why = ""};
    assert(!call->client->in_curl && !call->is_doomed);
    if (code != CURLE_OK) {
        end = end_of(call, code);
    }
    call_end(call, &end);
}

/* Nothing of the request has gone out yet: it goes on a connection of its own. */
static void begin_again(struct http_call *call)
{
    struct http_client *client = call->client;
    assert(call->out_of_step && !call->head_told && call->connection.serial == 0);
    call->out_of_step = false;
    call->is_fresh = true;
    curl_multi_remove_handle(client->multi, call->easy);
    curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
    CURLMcode failed = curl_multi_add_handle(client->multi, call->easy);
    assert(failed == CURLM_OK);
    (void)failed;
}

/* The peer may have spoken since the timer was armed: then it is armed for the rest. */
static void on_silence(struct timer *timer)
{
    struct http_call *call = container_of(timer, struct http_call, silence);
    uint64_t due_us = call->heard_us + call->limit_ms * 1000;
    assert(call->limit_ms > 0 && timer->place == 0);
    if (due_us > sys_monotonic_us()) {
        http_client_arm(call->client, timer, due_us);
        return;
    }
    bool began = call->head_told;
    struct http_end end = {
        .fault = began ? HTTP_FAULT_IDLE : HTTP_FAULT_FIRST_BYTE,
        .transient = true,
        .why = began ? "the server fell silent in the middle of its answer"
                     : "the server did not begin to answer in time",
    };
    call_end(call, &end);
}

static void tell_head(struct http_call *call)
{
    if (call->head_told || call->http_status < 200) {
        return;
    }
    call->head_told = true;
    if (!call->silenced) {
        call->handler.head(call->handler.context, call->http_status, buf_str(&call->head));
    }
}

/* One header line, complete with its end. A status line begins a new response: the one
 * before was informational, or the proxy's. */
static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct http_call *call = (struct http_call *)context;
    str line = str_make(bytes, size * count);
    long http_status = 0;
    if (call->head_told) {
        return line.len; /* A trailer. */
    }
    if (str_starts_with(line, STR("HTTP/"))) {
        buf_reset(&call->head);
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &http_status);
        call->http_status = (uint32_t)http_status;
        return line.len;
    }
    if (call->head.len + line.len > HEADER_BYTES_MAX) {
        return 0;
    }
    buf_put(&call->head, line);
    return line.len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct http_call *call = (struct http_call *)context;
    str piece = str_make(bytes, size * count);
    if (call->is_doomed) {
        return CURL_WRITEFUNC_ERROR;
    }
    tell_head(call);
    if (!call->silenced) {
        call->heard_us = sys_monotonic_us();
        if (call->limit_ms != call->idle_ms) {
            call->limit_ms = call->idle_ms;
            http_client_arm(call->client, &call->silence, call->heard_us + call->idle_ms * 1000);
        }
        call->handler.bytes(call->handler.context, piece);
    }
    return call->is_doomed ? CURL_WRITEFUNC_ERROR : piece.len;
}

static bool may_reach(struct http_call *call, const struct sockaddr *address)
{
    bool may = call->by_proxy || call->handler.may_reach == NULL || call->silenced ||
               call->handler.may_reach(call->handler.context, address);
    call->address_refused |= !may;
    return may;
}

/* curl wants a socket for that address. */
static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_call *call = (struct http_call *)context;
    assert(purpose == CURLSOCKTYPE_IPCXN); /* Nobody connects to us. */
    (void)purpose;
    if (!may_reach(call, &address->addr)) {
        return CURL_SOCKET_BAD;
    }
    return connections_open(&call->client->connections, address->socktype, address->protocol,
                            &address->addr, (socklen_t)address->addrlen);
}

static int on_close(void *context, curl_socket_t fd)
{
    struct http_client *client = (struct http_client *)context;
    return connections_close(&client->connections, fd);
}

/* The request is about to go out, on a new connection or on a kept one. */
static int on_connected(void *context, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
    struct http_call *call = (struct http_call *)context;
    struct connections *connections = &call->client->connections;
    int fd = connections_find(connections, own_ip, own_port);
    (void)peer_ip;
    (void)peer_port;
    if (fd < 0) { /* Which one it is can't be told: a new one is in step, a kept one may not be. */
        call->out_of_step = !call->is_fresh;
        return call->is_fresh ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
    }
    if (!may_reach(call, connections_peer(connections, fd))) {
        return CURL_PREREQFUNC_ABORT;
    }
    release_connection(call); /* A kept one that turned out to be dead: curl tries another. */
    call->out_of_step = !connections_use(connections, fd, &call->connection);
    return call->out_of_step ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* What the environment names for URLs of that scheme; NULL: none. */
static const char *proxy_for(const char *url)
{
    bool tls = strncmp(url, "https:", 6) == 0;
    const char *names[] = {tls ? "https_proxy" : "http_proxy", tls ? "HTTPS_PROXY" : NULL,
                           "all_proxy", "ALL_PROXY"};
    const char *never = getenv("no_proxy") != NULL ? getenv("no_proxy") : getenv("NO_PROXY");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *proxy = names[i] == NULL ? NULL : getenv(names[i]);
        if (proxy != NULL && *proxy != '\0') {
            return never != NULL && strcmp(never, "*") == 0 ? NULL : proxy;
        }
    }
    return NULL;
}

static void set_reach(struct http_call *call, const struct http_request *request)
{
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, call->client);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    if (request->is_strangers) {
        const char *proxy = proxy_for(request->url);
        call->by_proxy = proxy != NULL;
        curl_easy_setopt(easy, CURLOPT_PROXY, proxy == NULL ? "" : proxy);
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    }
}

static void setup_curl(struct http_client *client)
{
    CURLcode failed = curl_global_init(CURL_GLOBAL_SSL);
    assert(failed == CURLE_OK);
    (void)failed;
    client->multi = curl_multi_init();
    assert(client->multi != NULL);
    long connections = (long)client->connections_max;
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, connections < 16 ? connections : 16L);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
}

static void set_connection(CURL *easy, const struct http_request *request)
{
    /* Where OpenSSL's users say which certificates they trust; the library does not look. */
    const char *own_authorities = getenv("SSL_CERT_FILE");
    long version = request->http_1 ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 15L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version);
    if (own_authorities != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, own_authorities);
    }
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh_connection ? 1L : 0L);
}

static void set_request(struct http_call *call, const struct http_request *request)
{
    CURL *easy = call->easy;
    /* Without this a body over 1 MB waits for a permission that some servers never give. */
    call->headers = curl_slist_append(NULL, "Expect:");
    /* A compressed stream comes in lumps, so nobody is asked for one; but it is read. */
    call->headers = curl_slist_append(call->headers, "Accept-Encoding:");
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    for (size_t i = 0; i < request->header_count; i++) {
        call->headers = curl_slist_append(call->headers, request->headers[i]);
    }
    buf_put(&call->body, request->body);
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "polosd");
    if (call->body.len > 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.ptr);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
}

struct http_call *http_call_start(struct http_client *client, const struct http_request *request,
                                  const struct http_handler *handler)
{
    struct http_call *call = xcalloc(1, sizeof(*call));
    assert(!client->in_curl && request->first_byte_ms > 0 && request->idle_ms > 0);
    if (client->multi == NULL) {
        setup_curl(client);
    }
    call->client = client;
    call->handler = *handler;
    call->is_fresh = request->fresh_connection;
    call->easy = curl_easy_init();
    assert(call->easy != NULL);
    set_connection(call->easy, request);
    set_request(call, request);
    set_reach(call, request);
    call->heard_us = sys_monotonic_us();
    call->limit_ms = request->first_byte_ms;
    call->idle_ms = request->idle_ms;
    call->silence.fire = on_silence;
    http_client_arm(client, &call->silence, call->heard_us + call->limit_ms * 1000);
    client->call_count++;
    CURLMcode failed = curl_multi_add_handle(client->multi, call->easy);
    assert(failed == CURLM_OK);
    (void)failed;
    return call;
}

void http_call_drop(struct http_call *call)
{
    struct http_client *client = call->client;
    call->silenced = true;
    if (!client->in_curl) {
        call_free(call);
        return;
    }
    if (!call->is_doomed) {
        call->is_doomed = true;
        call->next_doomed = client->doomed;
        client->doomed = call;
    }
}

void http_call_release(struct http_call *call)
{
    assert(!call->is_doomed);
    call->silenced = true;
    call->heard_us = sys_monotonic_us();
    call->limit_ms = DRAIN_MS;
    http_client_arm(call->client, &call->silence, call->heard_us + DRAIN_MS * 1000);
}

static void perform(struct http_client *client)
{
    int running = 0;
    int left = 0;
    if (client->multi == NULL || client->call_count == 0) {
        return;
    }
    client->in_curl = true;
    CURLMcode failed = curl_multi_perform(client->multi, &running);
    client->in_curl = false;
    assert(failed == CURLM_OK);
    (void)failed;
    free_doomed(client);
    for (;;) {
        CURLMsg *message = curl_multi_info_read(client->multi, &left);
        if (message == NULL) {
            return;
        }
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode code = message->data.result;
        struct http_call *call = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        if (code == CURLE_OK) {
            tell_head(call); /* There was no body. */
        }
        if (call->out_of_step) {
            begin_again(call);
        } else {
            end_by_curl(call, code);
        }
    }
}

static void fire_timers(struct http_client *client)
{
    uint64_t now_us = sys_monotonic_us();
    struct timer *timer = first_timer(client);
    while (timer != NULL && timer->due_us <= now_us) {
        http_client_disarm(client, timer);
        timer->fire(timer);
        timer = first_timer(client);
    }
}

static void run_tasks(struct http_client *client)
{
    struct inbox_node *node = inbox_take(client->inbox, SIZE_MAX);
    while (node != NULL) {
        struct http_task *task = container_of(node, struct http_task, node);
        node = node->next;
        task->run(task);
    }
}

static int wait_ms(const struct http_client *client)
{
    const struct timer *timer = first_timer(client);
    uint64_t now_us = sys_monotonic_us();
    if (timer == NULL) {
        return WAIT_MS_MAX;
    }
    if (timer->due_us <= now_us) {
        return 0;
    }
    uint64_t left_ms = (timer->due_us - now_us + 999) / 1000;
    return left_ms < WAIT_MS_MAX ? (int)left_ms : WAIT_MS_MAX;
}

/* Sleeps until a task, a timer or a socket wants something. */
static void wait_for_work(struct http_client *client)
{
    uint64_t wakes;
    if (client->call_count > 0) {
        struct curl_waitfd waker = {.fd = client->wake_fd, .events = CURL_WAIT_POLLIN};
        CURLMcode failed = curl_multi_poll(client->multi, &waker, 1, wait_ms(client), NULL);
        assert(failed == CURLM_OK);
        (void)failed;
    } else {
        struct pollfd waker = {.fd = client->wake_fd, .events = POLLIN};
        int ready = poll(&waker, 1, wait_ms(client));
        assert(ready >= 0 || errno == EINTR);
        (void)ready;
    }
    ssize_t got = read(client->wake_fd, &wakes, sizeof(wakes));
    (void)got; /* Not readable: something else woke us. */
}

static void *run(void *context)
{
    struct http_client *client = (struct http_client *)context;
    while (!client->stopping) {
        run_tasks(client);
        fire_timers(client);
        perform(client);
        if (!client->stopping) {
            wait_for_work(client);
        }
    }
    return NULL;
}

static void stop_now(struct http_task *task)
{
    container_of(task, struct http_client, stop_task)->stopping = true;
}

/* The thread takes no signals: they are main's affair, and SIGPIPE, which a write to a dead
 * peer raises, is nobody's. */
static void start_thread(struct http_client *client)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&client->thread, NULL, run, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert(failed == 0);
    (void)failed;
    pthread_setname_np(client->thread, "models");
}

struct http_client *http_client_start(size_t connections_max)
{
    struct http_client *client = xcalloc(1, sizeof(*client));
    assert(connections_max > 0 && connections_max <= 100000);
    client->connections_max = connections_max;
    client->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(client->wake_fd >= 0);
    client->inbox = inbox_new(SIZE_MAX, wake, client);
    client->stop_task.run = stop_now;
    heap_init(&client->timers, &timer_order, NULL);
    start_thread(client);
    return client;
}

void http_client_stop(struct http_client *client)
{
    http_client_post(client, &client->stop_task);
    pthread_join(client->thread, NULL);
    run_tasks(client); /* What was posted in the meantime. */
}

void http_client_free(struct http_client *client)
{
    while (client->timers.count > 0 && client->call_count > 0) {
        /* Released calls that were still reading. */
        struct timer *timer = first_timer(client);
        assert(timer->fire == on_silence);
        call_free(container_of(timer, struct http_call, silence));
    }
    assert(client->call_count == 0);
    if (client->multi != NULL) {
        curl_multi_cleanup(client->multi);
        curl_global_cleanup();
    }
    connections_fini(&client->connections);
    heap_fini(&client->timers);
    inbox_free(client->inbox);
    close(client->wake_fd);
    free(client);
}

void http_client_post(struct http_client *client, struct http_task *task)
{
    assert(task->run != NULL);
    inbox_push_always(client->inbox, &task->node);
}

void http_client_arm(struct http_client *client, struct timer *timer, uint64_t due_us)
{
    assert(timer->fire != NULL);
    timer->due_us = due_us;
    if (timer->place == 0) {
        heap_add(&client->timers, &timer);
    } else {
        heap_update(&client->timers, timer->place - 1);
    }
}

void http_client_disarm(struct http_client *client, struct timer *timer)
{
    if (timer->place != 0) {
        heap_remove(&client->timers, timer->place - 1);
    }
}
