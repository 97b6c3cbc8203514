#include "service/llm/address.h"

#include <strings.h>

enum {
    PORT_HTTP = 80,
    PORT_HTTPS = 443,
    PORT_MAX = 65535,
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

static bool is_named(const struct place *place, str key_hosts)
{
    size_t at = 0;

    while (at < key_hosts.len) {
        str rest = after(key_hosts, at);
        const char *comma = (const char *)memchr(rest.ptr, ',', rest.len);
        size_t len = comma == NULL ? rest.len : (size_t)(comma - rest.ptr);
        struct place named;

        if (read_host(str_trim(str_make(rest.ptr, len)), &named) &&
            same_host(named.host, place->host) &&
            (named.port == 0 || named.port == port_of(place))) {
            return true;
        }
        assert(len <= rest.len);
        at += len + (comma == NULL ? 0 : 1);
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
