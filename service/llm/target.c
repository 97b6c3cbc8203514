#include "service/llm/target.h"

#include <stdlib.h>

#include "service/llm/address.h"

enum {
    URL_BYTES_MAX = 2000,
};

static const char *setting(const struct settings *settings, const char *name)
{
    if (name == NULL) {
        return NULL;
    }
    const char *value =
        settings->get == NULL ? getenv(name) : settings->get(settings->context, name);

    return value == NULL || *value == '\0' ? NULL : value;
}

static str base_url_of(const struct settings *settings, const struct provider_row *row,
                       const struct model_request *request)
{
    const char *set = setting(settings, row->base_url_setting);

    assert(set == NULL || *set != '\0');
    if (request->base_url.len > 0) {
        return request->base_url;
    }
    return str_of(set != NULL ? set : row->base_url);
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

static status check_address(const struct settings *settings, const struct provider_row *row,
                            const struct model_request *request, struct arena *arena)
{
    str url = base_url_of(settings, row, request);

    if (url.len == 0) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "provider %s has no base URL: set %s, or give base_url", row->name,
                          row->base_url_setting);
    }
    if (!str_starts_with(url, STR("https://")) && !str_starts_with(url, STR("http://"))) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "base_url must begin with https:// or http://");
    }
    if (!is_plain(url) || url.len > URL_BYTES_MAX) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "base_url holds a blank or a control character, or is too long");
    }
    return STATUS_OK;
}

static bool may_have_key(const struct settings *settings, const struct provider_row *row,
                         const struct model_request *request)
{
    struct address_trust trust = {
        .row_url = str_of(row->base_url),
        .set_url = str_of(setting(settings, row->base_url_setting)),
        .key_hosts = str_of(setting(settings, "POLOSD_KEY_HOSTS")),
    };

    return address_may_have_key(&trust, base_url_of(settings, row, request));
}

static status refuse_key(const struct provider_row *row, const struct model_request *request,
                         struct arena *arena)
{
    assert(row->key_setting != NULL && row->base_url_setting != NULL);
    str host = address_host(request->base_url);

    if (host.len == 0) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "%s is sent only to a plain host[:port] named in POLOSD_KEY_HOSTS, "
                          "which base_url is not",
                          row->key_setting);
    }
    return arena_fail(arena, CODE_FAILED_PRECONDITION,
                      "%s may not be sent to the base_url of this agent: add " STR_FMT
                      " to POLOSD_KEY_HOSTS where the server runs, or set %s to it",
                      row->key_setting, STR_ARG(host), row->base_url_setting);
}

static status check_key(const struct settings *settings, const struct provider_row *row,
                        const struct model_request *request, struct arena *arena)
{
    const char *key = setting(settings, row->key_setting);
    bool optional = (row->quirks & PROVIDER_KEY_OPTIONAL) != 0;

    assert(row->key_setting != NULL);
    if (key == NULL) {
        return optional ? STATUS_OK
                        : arena_fail(arena, CODE_FAILED_PRECONDITION,
                                     "provider %s needs a key: set %s where the server runs",
                                     row->name, row->key_setting);
    }
    if (!is_plain(str_of(key))) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "%s holds a blank or a control character", row->key_setting);
    }
    if (!optional && !may_have_key(settings, row, request)) {
        return refuse_key(row, request, arena);
    }
    return STATUS_OK;
}

status target_check(const struct settings *settings, const struct provider_row *row,
                    const struct model_request *request, struct arena *arena)
{
    assert(row->codec != NULL);
    TRY(check_address(settings, row, request, arena));
    return check_key(settings, row, request, arena);
}

/* BASE[?query] to BASE/path[?query]. */
static const char *make_url(struct arena *arena, str base, const char *path)
{
    const char *mark = (const char *)memchr(base.ptr, '?', base.len);
    size_t len = mark == NULL ? base.len : (size_t)(mark - base.ptr);
    str query = str_make(base.ptr + len, base.len - len);

    assert(base.len > 0 && path[0] == '/');
    while (len > 0 && base.ptr[len - 1] == '/') {
        len--;
    }
    return arena_printf(arena, "%.*s%s" STR_FMT, (int)len, base.ptr, path, STR_ARG(query)).ptr;
}

static void put_header(struct target *target, const char *line)
{
    assert(target->header_count < TARGET_HEADERS_MAX);
    target->headers[target->header_count++] = line;
}

static void put_key(struct target *target, const struct provider_row *row, const char *key,
                    struct arena *arena)
{
    const char *form = row->auth == PROVIDER_AUTH_BEARER ? "Authorization: Bearer" : "api-key:";

    put_header(target, arena_printf(arena, "%s %s", form, key).ptr);
    target->key = arena_copy(arena, str_of(key));
}

void target_make(const struct settings *settings, const struct provider_row *row,
                 const struct model_request *request, struct arena *arena, struct target *ret)
{
    const char *key = setting(settings, row->key_setting);

    assert(row->codec != NULL && row->path != NULL);
    *ret = (struct target){
        .url = make_url(arena, base_url_of(settings, row, request), row->path),
        .key_kept = key != NULL && !may_have_key(settings, row, request),
    };
    put_header(ret, "Content-Type: application/json");
    put_header(ret, "Accept: text/event-stream, application/json");
    if (key != NULL && !ret->key_kept) {
        put_key(ret, row, key, arena);
    }
}
