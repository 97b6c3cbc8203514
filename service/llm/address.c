#include "service/llm/address.h"

#include <strings.h>

enum {
    PORT_HTTP = 80,
    PORT_HTTPS = 443,
    PORT_MAX = 65535,
    URL_BYTES_MAX = 2000,
    SHOWN_BYTES_MAX = 200,
};

struct place {
    bool tls;
    str host; /* With its brackets, if it has any. */
    uint32_t port; /* 0: none is given. */
    str rest; /* Path and query, without slashes at the end. */
};

static str after(str text, size_t at)
{
    assert(at <= text.len);
    return str_make(text.ptr + at, text.len - at);
}

/* The bytes of the host at the front, or 0. */
static size_t host_len(str text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    bool bracket = text.len > 0 && text.ptr[0] == '[';
    const char *allowed = bracket ? "0123456789abcdefABCDEF:." : plain;
    size_t len = bracket ? 1 : 0;
    while (len < text.len && text.ptr[len] != '\0' && strchr(allowed, text.ptr[len]) != NULL) {
        len++;
    }
    assert(len <= text.len);
    if (!bracket) {
        return len;
    }
    return len < text.len && text.ptr[len] == ']' ? len + 1 : 0;
}

/* "", or ":" and a number from 1. */
static bool read_port(str text, uint32_t *ret)
{
    uint32_t port = 0;
    *ret = 0;
    if (text.len == 0) {
        return true;
    }
    for (size_t i = 1; i < text.len && port <= PORT_MAX; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        port = port * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    *ret = port;
    return text.ptr[0] == ':' && port > 0 && port <= PORT_MAX;
}

static bool read_host(str text, struct place *ret)
{
    size_t len = host_len(text);
    assert(len <= text.len);
    ret->host = str_make(text.ptr, len);
    return len > 0 && read_port(after(text, len), &ret->port);
}

static size_t authority_len(str text)
{
    size_t len = 0;
    while (len < text.len && memchr("/?#", text.ptr[len], 3) == NULL) {
        len++;
    }
    return len;
}

static bool read_url(str url, struct place *ret)
{
    ret->tls = str_starts_with(url, STR("https://"));
    if (!ret->tls && !str_starts_with(url, STR("http://"))) {
        return false;
    }
    str text = after(url, ret->tls ? 8 : 7);
    size_t len = authority_len(text);
    ret->rest = after(text, len);
    assert(len + ret->rest.len == text.len);
    while (ret->rest.len > 0 && ret->rest.ptr[ret->rest.len - 1] == '/') {
        ret->rest.len--;
    }
    return read_host(str_make(text.ptr, len), ret);
}

static bool same_host(str a, str b)
{
    assert(a.len > 0 && b.len > 0);
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static uint32_t port_of(const struct place *place)
{
    uint32_t usual = place->tls ? PORT_HTTPS : PORT_HTTP;
    assert(place->port <= PORT_MAX);
    return place->port == 0 ? usual : place->port;
}

static bool is_url(const struct place *place, str url)
{
    struct place other;
    return read_url(url, &other) && place->tls == other.tls && same_host(place->host, other.host) &&
           port_of(place) == port_of(&other) && str_equal(place->rest, other.rest);
}

static bool is_at(const struct place *place, str url)
{
    struct place other;
    assert(place->host.len > 0);
    return read_url(url, &other) && same_host(place->host, other.host) &&
           port_of(place) == port_of(&other);
}

/* The next element of a list with commas, without blanks around it. */
static bool next_of(str *list, str *ret)
{
    const char *comma = list->len == 0 ? NULL : (const char *)memchr(list->ptr, ',', list->len);
    size_t len = comma == NULL ? list->len : (size_t)(comma - list->ptr);
    if (list->len == 0) {
        return false;
    }
    assert(len <= list->len);
    *ret = str_trim(str_make(list->ptr, len));
    *list = after(*list, comma == NULL ? len : len + 1);
    return true;
}

/* What stands for more than one host: see --model-hosts. */
static bool is_word(str element)
{
    return str_is(element, "local") || str_is(element, "private") || str_is(element, "none");
}

static bool is_named(const struct place *place, str list)
{
    str element;
    while (next_of(&list, &element)) {
        struct place named;
        if (!is_word(element) && read_host(element, &named) && same_host(named.host, place->host) &&
            (named.port == 0 || named.port == port_of(place))) {
            return true;
        }
    }
    return false;
}

bool address_list_has(str list, const char *word)
{
    str element;
    while (next_of(&list, &element)) {
        if (str_is(element, word)) {
            return true;
        }
    }
    return false;
}

bool address_may_have_key(const struct address_trust *trust, str url)
{
    struct place place;
    if (url.len > 0 && (str_equal(url, trust->row_url) || str_equal(url, trust->set_url))) {
        return true;
    }
    return read_url(url, &place) &&
           (is_url(&place, trust->row_url) || is_url(&place, trust->set_url) ||
            is_named(&place, trust->key_hosts));
}

str address_host(str url)
{
    struct place place;
    if (!read_url(url, &place)) {
        return STR_EMPTY;
    }
    str text = after(url, place.tls ? 8 : 7);
    return str_make(text.ptr, authority_len(text));
}

bool address_is_named(const struct address_trust *trust, str url)
{
    struct place place;
    return read_url(url, &place) &&
           (is_at(&place, trust->row_url) || is_at(&place, trust->set_url) ||
            is_named(&place, trust->key_hosts) || is_named(&place, trust->model_hosts));
}

/* Visible ASCII without blanks, so that nothing can end a header or a request line. */
static bool is_plain(str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~') {
            return false;
        }
    }
    return true;
}

/* Where the host begins: behind the scheme, and behind a user's name and password. */
static str behind_user(str url, str *ret_authority)
{
    str text = after(url, str_starts_with(url, STR("https://")) ? 8 : 7);
    str authority = str_make(text.ptr, authority_len(text));
    size_t at = authority.len;
    assert(authority.len <= text.len);
    while (at > 0 && authority.ptr[at - 1] != '@') {
        at--;
    }
    *ret_authority = after(authority, at);
    return after(text, at);
}

bool address_place(str url, str *ret_host, uint16_t *ret_port)
{
    struct place place = {.tls = str_starts_with(url, STR("https://"))};
    str authority;
    if (address_fault(url) != NULL) {
        return false;
    }
    (void)behind_user(url, &authority);
    bool read = read_host(authority, &place);
    assert(read && place.host.len > 0); /* Or there would be a fault. */
    (void)read;
    *ret_host = place.host;
    *ret_port = (uint16_t)port_of(&place);
    return true;
}

bool address_listen(str listen, str *ret_host, uint16_t *ret_port)
{
    size_t len = host_len(listen);
    str port = after(listen, len);
    struct place place = {0};
    bool any = str_is(port, ":0"); /* The system picks one. */
    if (len == 0 || (!any && !read_port(port, &place.port))) {
        return false;
    }
    *ret_host = str_make(listen.ptr, len);
    *ret_port = (uint16_t)place.port;
    return true;
}

const char *address_fault(str url)
{
    struct place place;
    str authority;
    if (!str_starts_with(url, STR("https://")) && !str_starts_with(url, STR("http://"))) {
        return "must begin with https:// or http://";
    }
    if (!is_plain(url) || url.len > URL_BYTES_MAX) {
        return "holds a blank or a control character, or is too long";
    }
    if (memchr(url.ptr, '#', url.len) != NULL) {
        return "may not have a fragment: take away the # and what follows";
    }
    (void)behind_user(url, &authority);
    size_t len = host_len(authority);
    if (len == 0) {
        return "names no host";
    }
    if (len < authority.len && authority.ptr[len] != ':') {
        return "has a host with characters that hosts do not have";
    }
    return read_host(authority, &place) ? NULL : "has a port that is none from 1 to 65535";
}

str address_shown(struct arena *arena, str url)
{
    bool tls = str_starts_with(url, STR("https://"));
    str authority;
    str text = behind_user(url, &authority);
    size_t len = 0;
    while (len < text.len && text.ptr[len] != '?' && text.ptr[len] != '#') {
        len++;
    }
    assert(len <= text.len);
    str kept = str_make(text.ptr, len < SHOWN_BYTES_MAX ? len : (size_t)SHOWN_BYTES_MAX);
    return arena_printf(arena, "%s" STR_FMT "%s", tls ? "https://" : "http://", STR_ARG(kept),
                        kept.len < len ? "..." : "");
}
