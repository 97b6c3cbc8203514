#include "service/llm/target.h"

#include <stdlib.h>

#include "service/base/buf.h"
#include "service/llm/address.h"
#include "service/net/reach.h"

static const char *setting(const struct target_rules *rules, const char *name)
{
    if (name == NULL) {
        return NULL;
    }
    const struct settings *settings = &rules->settings;
    const char *value =
        settings->get == NULL ? getenv(name) : settings->get(settings->context, name);
    return value == NULL || *value == '\0' ? NULL : value;
}

static str base_url_of(const struct target_rules *rules, const struct provider_row *row,
                       const struct model_request *request)
{
    const char *set = setting(rules, row->base_url_setting);
    assert(set == NULL || *set != '\0');
    if (request->base_url.len > 0) {
        return request->base_url;
    }
    return str_of(set != NULL ? set : row->base_url);
}

/* Whether only this machine can reach polosd: then its own addresses are no secret to whoever can
 * define an agent. */
static bool is_here(str listen)
{
    struct sockaddr_storage address;
    str host;
    uint16_t port;
    if (listen.len == 0 || str_starts_with(listen, STR("unix:"))) {
        return true;
    }
    return address_listen(listen, &host, &port) && !str_is(host, "0.0.0.0") &&
           !str_is(host, "[::]") && reach_parse(host, port, &address) &&
           reach_of((const struct sockaddr *)&address) == REACH_LOCAL;
}

static struct address_trust trust_of(const struct target_rules *rules,
                                     const struct provider_row *row)
{
    return (struct address_trust){
        .row_url = str_of(row->base_url),
        .set_url = str_of(setting(rules, row->base_url_setting)),
        .key_hosts = str_of(setting(rules, "POLOSD_KEY_HOSTS")),
        .model_hosts = rules->model_hosts,
    };
}

static bool is_strangers(const struct target_rules *rules, const struct provider_row *row,
                         const struct model_request *request)
{
    struct address_trust trust = trust_of(rules, row);
    return request->base_url.len > 0 && !address_is_named(&trust, request->base_url);
}

/* An address that is written as a number can be judged before anybody asks for it. */
static status check_number(const struct target_rules *rules, const struct provider_row *row,
                           const struct model_request *request, struct arena *arena)
{
    struct sockaddr_storage address;
    str host;
    uint16_t port;
    str url = base_url_of(rules, row, request);
    bool placed = address_place(url, &host, &port);
    assert(placed);
    if (!placed || !reach_parse(host, port, &address)) {
        return STATUS_OK;
    }
    enum target_verdict verdict =
        target_judge(rules, is_strangers(rules, row, request), (const struct sockaddr *)&address);
    if (verdict == TARGET_MAY || verdict == TARGET_MAY_INNER) {
        return STATUS_OK;
    }
    str why = target_refusal(row, address_shown(arena, url), verdict, arena);
    return status_make(CODE_INVALID_ARGUMENT, why.ptr);
}

static status check_address(const struct target_rules *rules, const struct provider_row *row,
                            const struct model_request *request, struct arena *arena)
{
    str url = base_url_of(rules, row, request);
    const char *from = request->base_url.len > 0 ? "base_url" : row->base_url_setting;
    if (url.len == 0) {
        return arena_fail(arena, CODE_FAILED_PRECONDITION,
                          "provider %s has no base URL: set %s, or give base_url", row->name,
                          row->base_url_setting);
    }
    const char *fault = address_fault(url);
    if (fault != NULL) {
        return arena_fail(arena, CODE_INVALID_ARGUMENT, "%s %s", from, fault);
    }
    return check_number(rules, row, request, arena);
}

/* Visible ASCII without blanks, so that nothing can end a header. */
static bool is_plain(str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool may_have_key(const struct target_rules *rules, const struct provider_row *row,
                         const struct model_request *request)
{
    struct address_trust trust = trust_of(rules, row);
    return address_may_have_key(&trust, base_url_of(rules, row, request));
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

static status check_key(const struct target_rules *rules, const struct provider_row *row,
                        const struct model_request *request, struct arena *arena)
{
    const char *key = setting(rules, row->key_setting);
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
    if (!optional && !may_have_key(rules, row, request)) {
        return refuse_key(row, request, arena);
    }
    return STATUS_OK;
}

status target_check(const struct target_rules *rules, const struct provider_row *row,
                    const struct model_request *request, struct arena *arena)
{
    assert(row->codec != NULL);
    TRY(check_address(rules, row, request, arena));
    return check_key(rules, row, request, arena);
}

/* What may stand in a path as it is. */
static bool is_plain_in_path(char byte)
{
    char lower = (char)(byte | 0x20);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
           (byte != '\0' && strchr("-._~", byte) != NULL);
}

/* The path with the model in its place. */
static str path_of(struct arena *arena, const char *path, str model)
{
    static const char mark[] = "{model}";
    const char *place = strstr(path, mark);
    struct buf named = {0};
    assert(model.len > 0);
    if (place == NULL) {
        return str_of(path);
    }
    buf_put(&named, str_make(path, (size_t)(place - path)));
    for (size_t i = 0; i < model.len; i++) {
        if (is_plain_in_path(model.ptr[i])) {
            buf_put_char(&named, model.ptr[i]);
        } else {
            buf_printf(&named, "%%%02X", (unsigned)(uint8_t)model.ptr[i]);
        }
    }
    buf_put(&named, str_of(place + sizeof(mark) - 1));
    str copy = arena_copy(arena, buf_str(&named));
    buf_fini(&named);
    return copy;
}

/* BASE[?query] and PATH[?query] to BASE/PATH[?query[&query]]. */
static const char *make_url(struct arena *arena, str base, str path)
{
    const char *mark = (const char *)memchr(base.ptr, '?', base.len);
    size_t len = mark == NULL ? base.len : (size_t)(mark - base.ptr);
    str query = str_make(base.ptr + len, base.len - len);
    bool has_query = memchr(path.ptr, '?', path.len) != NULL;
    assert(base.len > 0 && path.ptr[0] == '/');
    while (len > 0 && base.ptr[len - 1] == '/') {
        len--;
    }
    if (has_query && query.len > 0) {
        query = str_make(query.ptr + 1, query.len - 1);
    }
    return arena_printf(arena, "%.*s" STR_FMT "%s" STR_FMT, (int)len, base.ptr, STR_ARG(path),
                        has_query && query.len > 0 ? "&" : "", STR_ARG(query))
        .ptr;
}

static void put_header(struct target *target, const char *line)
{
    assert(target->header_count < TARGET_HEADERS_MAX);
    target->headers[target->header_count++] = line;
}

static const char *key_form(enum provider_auth auth)
{
    switch (auth) {
    case PROVIDER_AUTH_BEARER:
        return "Authorization: Bearer";
    case PROVIDER_AUTH_API_KEY:
        return "api-key:";
    case PROVIDER_AUTH_X_API_KEY:
        return "x-api-key:";
    case PROVIDER_AUTH_GOOGLE:
        return "x-goog-api-key:";
    }
    assert(false && "of our own making");
    return "";
}

static void put_key(struct target *target, const struct provider_row *row, const char *key,
                    struct arena *arena)
{
    put_header(target, arena_printf(arena, "%s %s", key_form(row->auth), key).ptr);
    target->key = arena_copy(arena, str_of(key));
}

/* The scheme, host and port of a URL as it is shown. */
static str server_of(str shown)
{
    size_t len = str_starts_with(shown, STR("https://")) ? 8 : 7;
    assert(shown.len > len);
    while (len < shown.len && shown.ptr[len] != '/') {
        len++;
    }
    return str_make(shown.ptr, len);
}

void target_make(const struct target_rules *rules, const struct provider_row *row,
                 const struct model_request *request, struct arena *arena, struct target *ret)
{
    const char *key = setting(rules, row->key_setting);
    assert(row->codec != NULL && row->path != NULL);
    str path = path_of(arena, row->path, request->model);
    *ret = (struct target){
        .url = make_url(arena, base_url_of(rules, row, request), path),
        .key_kept = key != NULL && !may_have_key(rules, row, request),
        .is_strangers = is_strangers(rules, row, request),
    };
    ret->shown = address_shown(arena, str_of(ret->url));
    ret->server = server_of(ret->shown);
    put_header(ret, "Content-Type: application/json");
    put_header(ret, "Accept: text/event-stream, application/json");
    if (row->header != NULL) {
        put_header(ret, row->header);
    }
    if (key != NULL && !ret->key_kept) {
        put_key(ret, row, key, arena);
    }
}

/* Whether it is where polosd listens: there, or on every address of the machine. */
static bool is_own(const struct target_rules *rules, const struct sockaddr *address)
{
    struct sockaddr_storage own;
    struct sockaddr_storage loopback;
    str host;
    uint16_t port;
    if (!address_listen(rules->listen, &host, &port) || port == 0) {
        return false;
    }
    bool everywhere = str_is(host, "0.0.0.0") || str_is(host, "[::]");
    const char *const here[] = {"0.0.0.0", "[::]", "127.0.0.1", "[::1]"};
    size_t count = everywhere ? 4 : 2;
    if (reach_parse(host, port, &own) && reach_equal((const struct sockaddr *)&own, address)) {
        return true;
    }
    if (!everywhere && !is_here(rules->listen)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool read = reach_parse(str_of(here[i]), port, &loopback);
        assert(read);
        if (read && reach_equal((const struct sockaddr *)&loopback, address)) {
            return true;
        }
    }
    return false;
}

enum target_verdict target_judge(const struct target_rules *rules, bool is_strangers,
                                 const struct sockaddr *address)
{
    if (is_own(rules, address)) {
        return TARGET_OWN;
    }
    if (!is_strangers) {
        return TARGET_MAY;
    }
    switch (reach_of(address)) {
    case REACH_PUBLIC:
        return TARGET_MAY;
    case REACH_LOCAL:
        return address_list_has(rules->model_hosts, "local") && is_here(rules->listen)
                   ? TARGET_MAY
                   : TARGET_REFUSED;
    case REACH_PRIVATE:
        return address_list_has(rules->model_hosts, "private") ? TARGET_MAY_INNER : TARGET_REFUSED;
    case REACH_SPECIAL:
        return TARGET_REFUSED;
    }
    return TARGET_REFUSED;
}

str target_refusal(const struct provider_row *row, str shown, enum target_verdict verdict,
                   struct arena *arena)
{
    assert(verdict == TARGET_REFUSED || verdict == TARGET_OWN);
    if (verdict == TARGET_OWN) {
        return arena_printf(arena,
                            STR_FMT " is this polosd itself: set %s to where the model is, or give "
                                    "polosd another --listen",
                            STR_ARG(shown), row->base_url_setting);
    }
    return arena_printf(arena,
                        STR_FMT " leads to an address inside the server's own network, which "
                                "agents may not reach: set %s to it, or name its host in "
                                "--model-hosts, where the server runs",
                        STR_ARG(shown), row->base_url_setting);
}
