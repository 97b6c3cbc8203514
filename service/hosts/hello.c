/* The first message of a stream: checked, matched with what is known of the host, answered. */
#include <stdio.h>
#include <stdlib.h>

#include "service/base/name.h"
#include "service/hosts/leases.h"
#include "service/hosts/session.h"
#include "service/hosts/sessions.h"

enum {
    HOST_ID_BYTES_MAX = 128,
    DEPLOYMENT_BYTES_MAX = 128,
};

/* A callback's is its agent's name and its own, with '/' between. */
static bool is_offered_name(const struct host_offer *offer)
{
    size_t at = 0;
    if (offer->kind != TASK_CALLBACK) {
        return offer->kind == TASK_TOOL ? tool_name_is_valid(offer->name)
                                        : name_is_valid(offer->name);
    }
    while (at < offer->name.len && offer->name.ptr[at] != '/') {
        at++;
    }
    return at < offer->name.len && name_is_valid(str_make(offer->name.ptr, at)) &&
           name_is_valid(str_make(offer->name.ptr + at + 1, offer->name.len - at - 1));
}

/* Offers are one array here and one a kind on the wire. */
static const char *offer_field(const struct host_hello *hello, size_t index, struct arena *arena)
{
    static const char *const formats[TASK_KIND_COUNT] = {
        [TASK_TOOL] = "hello.offers.tools[%zu].id",
        [TASK_WORKFLOW] = "hello.offers.workflows[%zu].id",
        [TASK_CALLBACK] = "hello.offers.callbacks[%zu].callback",
    };
    size_t place = 0;
    char field[64];
    for (size_t i = 0; i < index; i++) {
        place += hello->offers[i].kind == hello->offers[index].kind ? 1 : 0;
    }
    snprintf(field, sizeof(field), formats[hello->offers[index].kind], place);
    return arena_cstr(arena, str_of(field));
}

static uint64_t hash_offer(const struct host_offer *offer)
{
    return str_hash(offer->name) + (uint64_t)offer->kind;
}

static uint64_t hash_of_offer(const void *context, uint32_t index)
{
    return hash_offer(&((const struct host_hello *)context)->offers[index]);
}

static bool offer_is(const void *context, uint32_t index, const void *key)
{
    const struct host_offer *offer = &((const struct host_hello *)context)->offers[index];
    const struct host_offer *wanted = (const struct host_offer *)key;
    return offer->kind == wanted->kind && str_equal(offer->name, wanted->name);
}

static const struct map_keys keys_of_offers = {hash_of_offer, offer_is};

static status check_offers(const struct host_hello *hello, struct map *seen, struct arena *arena,
                           const char **ret_field)
{
    for (uint32_t i = 0; i < hello->offer_count; i++) {
        const struct host_offer *offer = &hello->offers[i];
        uint32_t other;
        assert(offer->kind < TASK_KIND_COUNT);
        if (!is_offered_name(offer)) {
            *ret_field = offer_field(hello, i, arena);
            return status_make(
                CODE_INVALID_ARGUMENT,
                offer->kind == TASK_TOOL
                    ? "A tool's name has 1 to 64 bytes of letters, digits, '_', '-'."
                    : "A name has 1 to 128 bytes of letters, digits, '_', '-', '.'.");
        }
        if (map_find(seen, hash_offer(offer), offer, &other)) {
            *ret_field = offer_field(hello, i, arena);
            return arena_fail(arena, CODE_INVALID_ARGUMENT,
                              "\"" STR_FMT "\" is offered twice; offer each name once.",
                              STR_ARG(offer->name));
        }
        map_add(seen, i);
    }
    return STATUS_OK;
}

static status check_counts(const struct hosts *hosts, const struct host_hello *hello,
                           struct arena *arena, const char **ret_field)
{
    const struct hosts_options *options = &hosts->options;
    if (hello->slots == 0 || hello->slots > options->slots_max) {
        *ret_field = "hello.slots";
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "Slots must be between 1 and %u; it was %u.", options->slots_max,
                          hello->slots);
    }
    if (hello->offer_count > options->offers_max) {
        *ret_field = "hello.offers.tools";
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "A host may offer %zu tools and workflows; this one offers %zu. Spread "
                          "them over several hosts.",
                          options->offers_max, hello->offer_count);
    }
    if (hello->held_count > options->slots_max) {
        *ret_field = "hello.held";
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "A host may hold %u tasks; this one says it holds %zu.",
                          options->slots_max, hello->held_count);
    }
    return STATUS_OK;
}

static status check_hello(const struct hosts *hosts, const struct host_hello *hello,
                          struct arena *arena, const char **ret_field)
{
    if (hello->host_id.len == 0 || hello->host_id.len > HOST_ID_BYTES_MAX) {
        *ret_field = "hello.host_id";
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "A host id has 1 to %d bytes and is unique to its process; this one has "
                          "%zu bytes.",
                          HOST_ID_BYTES_MAX, hello->host_id.len);
    }
    if (hello->deployment.len > DEPLOYMENT_BYTES_MAX) {
        *ret_field = "hello.deployment";
        return arena_fail(arena, CODE_INVALID_ARGUMENT,
                          "A deployment has at most %d bytes; this one has %zu.",
                          DEPLOYMENT_BYTES_MAX, hello->deployment.len);
    }
    TRY(check_counts(hosts, hello, arena, ret_field));
    struct map seen;
    map_init(&seen, &keys_of_offers, hello);
    status outcome = check_offers(hello, &seen, arena, ret_field);
    map_fini(&seen);
    return outcome;
}

/* The session that the token names, whoever holds its stream now. */
static status check_resume(const struct host_session *session, const struct host_hello *hello,
                           const char **ret_field)
{
    if (!str_equal(session->host_id, hello->host_id)) {
        *ret_field = "hello.host_id";
        return status_make(CODE_INVALID_ARGUMENT,
                           "The session belongs to another host id; a new process starts with an "
                           "empty session.");
    }
    if (hello->ack > session->outbound.sent) {
        *ret_field = "ack";
        return status_make(CODE_INVALID_ARGUMENT,
                           "It acknowledges a message that was never sent in this session; start "
                           "with an empty session.");
    }
    return STATUS_OK;
}

/* Another session may come: room is made by ending one that is away and holds nothing. */
static status make_room(struct hosts *hosts, struct arena *arena, const char **ret_field)
{
    if (hosts->session_count - hosts->expected_count < hosts->options.sessions_max) {
        return STATUS_OK;
    }
    for (struct list *at = hosts->leases.next; at != &hosts->leases; at = at->next) {
        struct host_session *session = container_of(at, struct host_session, lease);
        if (session->link == NULL && session->held.count == 0) {
            session_end(hosts, session, "displaced");
            return STATUS_OK;
        }
    }
    *ret_field = "";
    return arena_fail(arena, CODE_RESOURCE_EXHAUSTED,
                      "%zu hosts are connected, which is the limit; stop some, or give each more "
                      "slots.",
                      hosts->options.sessions_max);
}

/* A new session may begin. `old` is what the host had before, or NULL. */
static status check_new(struct hosts *hosts, const struct host_hello *hello,
                        const struct host_session *old, struct arena *arena, const char **ret_field)
{
    if (old == NULL) {
        return make_room(hosts, arena, ret_field);
    }
    assert(str_equal(old->host_id, hello->host_id));
    if (old->link == NULL && old->held.count == 0) {
        return STATUS_OK;
    }
    *ret_field = "hello.host_id";
    return arena_fail(
        arena, CODE_ALREADY_EXISTS,
        "Another process has the host id \"" STR_FMT "\" and is at work. Give each "
        "process a host id of its own, dial with the token of its session, or wait up "
        "to %llu ms until it counts as lost.",
        STR_ARG(hello->host_id), (unsigned long long)hosts->options.lease_ms);
}

static struct host_session *begin(struct hosts *hosts, const struct host_hello *hello)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[SESSION_TOKEN_BYTES / 2];
    char token[SESSION_TOKEN_BYTES];
    hosts->options.random(hosts->options.context, random);
    for (size_t i = 0; i < sizeof(random); i++) {
        token[2 * i] = digits[random[i] >> 4];
        token[2 * i + 1] = digits[random[i] & 15];
    }
    assert(sessions_find_token(hosts, str_make(token, sizeof(token))) == NULL);
    return session_new(hosts, hello->host_id, token);
}

/* The sessions whose tasks a host may claim; all of one host. NULL: there is none. */
struct claimant {
    struct host_session *session; /* That goes on or begins. */
    struct host_session *old; /* That this one replaces. */
    struct host_session *expected; /* From before the restart. */
};

/* The host goes on with it; a task of the sessions before changes over. */
static bool claim(struct hosts *hosts, const struct claimant *host, const struct held_task *held)
{
    struct task_entry *entry = tasks_find(&hosts->tasks, held->task);
    if (entry == NULL || entry->held.epoch != held->epoch || !task_entry_is_given(entry)) {
        return false;
    }
    if (entry->session == host->session) {
        return true;
    }
    if (entry->session != host->old && entry->session != host->expected) {
        return false;
    }
    if (host->session->held.count >= host->session->slots) {
        return false;
    }
    session_take_over(hosts, host->session, entry);
    assert(host->session->held.count <= host->session->slots);
    return true;
}

/* Gives the host what it still works on, and others what it does not; `lost` becomes the
 * `held` that are not its own. Returns how many. */
static size_t claim_all(struct hosts *hosts, const struct claimant *host,
                        const struct host_hello *hello, struct held_task *lost)
{
    size_t lost_count = 0;
    assert(host->session != host->old && host->session != host->expected);
    for (size_t i = 0; i < hello->held_count; i++) {
        if (!claim(hosts, host, &hello->held[i])) {
            lost[lost_count++] = hello->held[i];
        }
    }
    if (host->old != NULL) {
        session_end(hosts, host->old, "its host does not hold it any more");
    }
    if (host->expected != NULL) {
        session_end(hosts, host->expected, "its host does not hold it any more");
    }
    assert(lost_count <= hello->held_count);
    return lost_count;
}

static void welcome(struct hosts *hosts, struct host_session *session, bool is_resumed,
                    const struct held_task *lost, size_t lost_count)
{
    struct server_message message = {
        .kind = SERVER_MESSAGE_WELCOME,
        .welcome =
            {
                .session = str_make(session->token, sizeof(session->token)),
                .resumed = is_resumed,
                .lease_ms = hosts->options.lease_ms,
                .heartbeat_ms = hosts_heartbeat_ms(hosts),
                .lost = lost,
                .lost_count = lost_count,
            },
    };
    session_send_unnumbered(hosts, session, &message);
    session_write(hosts, session);
}

/* Finds the session that the hello resumes, or begins one. */
static status find_session(struct hosts *hosts, const struct host_hello *hello, struct arena *arena,
                           const char **ret_field, struct claimant *ret)
{
    struct host_session *session = sessions_find_token(hosts, hello->session);
    struct host_session *old = NULL;
    if (session != NULL) {
        TRY(check_resume(session, hello, ret_field));
        session_close(hosts, session, CODE_ABORTED, REASON_SUPERSEDED,
                      STR("The host has dialled again; this stream is superseded."));
        bool is_known = outbox_acknowledge(&session->outbound, hello->ack);
        facts_acknowledge(&session->facts, session->outbound.acknowledged);
        assert(is_known && session->state == SESSION_AWAY);
    } else {
        old = sessions_find_host(hosts, hello->host_id);
        TRY(check_new(hosts, hello, old, arena, ret_field));
        if (old != NULL) {
            session_replace(hosts, old);
        }
        session = begin(hosts, hello);
    }
    *ret = (struct claimant){
        .session = session,
        .old = old,
        .expected = sessions_find_expected(hosts, host_hash_of(hello->host_id)),
    };
    return STATUS_OK;
}

/* In place of what is there. */
static void keep(str *text, str given)
{
    free((char *)text->ptr);
    *text = str_make(xstrndup(given.ptr, given.len), given.len);
}

status hosts_hello(struct hosts *hosts, struct host_link *link, const struct host_hello *hello,
                   uint64_t now_ms, struct arena *arena, const char **ret_field,
                   struct host_session **ret)
{
    if (link->session != NULL) {
        session_detach(hosts, link->session);
        *ret_field = "hello";
        return status_make(CODE_FAILED_PRECONDITION,
                           "Hello was said already; it is the first message of a stream only.");
    }
    hosts_set_clock(hosts, now_ms);
    TRY(check_hello(hosts, hello, arena, ret_field));
    struct claimant host;
    TRY(find_session(hosts, hello, arena, ret_field, &host));
    bool is_resumed = host.session->vtable != NULL;
    struct held_task *lost = arena_alloc(arena, (hello->held_count + 1) * sizeof(*lost));
    host.session->slots = hello->slots;
    keep(&host.session->deployment,
         hello->deployment.len == 0 ? STR("default") : hello->deployment);
    keep(&host.session->language, hello->language);
    keep(&host.session->user_agent, hello->user_agent);
    size_t lost_count = claim_all(hosts, &host, hello, lost);
    session_set_offers(hosts, host.session, hello->offers, hello->offer_count);
    session_set_agents(hosts, host.session, hello->agents, hello->agent_count);
    session_attach(hosts, host.session, link);
    welcome(hosts, host.session, is_resumed, lost, lost_count);
    hosts_send_drain(hosts, host.session);
    assert(link->session == host.session && host.session->state == SESSION_CONNECTED);
    *ret = host.session;
    return STATUS_OK;
}
