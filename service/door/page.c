#include "service/door/page.h"

static const char text_health[] = "serving\n";
static const char text_draining[] = "not serving\n";
static const char text_other[] =
    "This is polosd. It speaks gRPC, over HTTP/2, and nothing else is to be seen here.\n"
    "With an SDK: give it this address (POLOS_API_URL). From a shell: grpcurl -plaintext\n"
    "ADDRESS list. A gRPC client that offers http/1.1 beside h2 (ALPN) has to offer h2 only.\n"
    "/healthz says whether this server is serving.\n";

/* "GET /", "POST /", "OPTIONS *": capital letters, then a space. */
static bool may_be_http(str request)
{
    enum {
        METHOD_BYTES_MAX = 16
    };
    for (size_t i = 0; i < request.len && i < METHOD_BYTES_MAX; i++) {
        char letter = request.ptr[i];
        if (letter == ' ') {
            return i > 0;
        }
        if (letter < 'A' || letter > 'Z') {
            return false;
        }
    }
    return request.len < METHOD_BYTES_MAX;
}

static bool is_whole(str request)
{
    return request.len >= PAGE_REQUEST_BYTES_MAX ||
           memmem(request.ptr, request.len, "\r\n\r\n", 4) != NULL ||
           memmem(request.ptr, request.len, "\n\n", 2) != NULL;
}

static bool asks_for(str request, const char *path)
{
    const char *space = memchr(request.ptr, ' ', request.len);
    assert(space != NULL);
    str rest = str_make(space + 1, (size_t)(request.ptr + request.len - (space + 1)));
    size_t len = strlen(path);
    return str_starts_with(rest, str_of(path)) && rest.len > len &&
           (rest.ptr[len] == ' ' || rest.ptr[len] == '?');
}

enum page_state page_answer(str request, bool is_serving, struct buf *ret)
{
    assert(request.len > 0);
    if (!may_be_http(request)) {
        return PAGE_NOT_HTTP;
    }
    if (!is_whole(request)) {
        return PAGE_UNFINISHED;
    }
    const char *line = "404 Not Found";
    const char *text = text_other;
    if (asks_for(request, "/healthz")) {
        line = is_serving ? "200 OK" : "503 Service Unavailable";
        text = is_serving ? text_health : text_draining;
    }
    bool is_head = str_starts_with(request, STR("HEAD "));
    buf_printf(ret,
               "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
               "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
               "Connection: close\r\n\r\n%s",
               line, strlen(text), is_head ? "" : text);
    return PAGE_ANSWERED;
}
