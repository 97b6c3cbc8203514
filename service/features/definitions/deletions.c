/*
 * Agents and versions of them that are deleted.
 *
 * It is decided at the round's end, when all that begins in it has begun. An agent of many versions
 * goes in pieces, a round each, the oldest first: until the last it is there, with the newest, and
 * whoever begins a run of it meanwhile ends the deletion.
 */
#include "service/features/definitions/definition_state.h"
#include "service/hosts/roster.h"

enum {
    VERSIONS_A_ROUND = 256,
};

static struct failure missing(void)
{
    struct failure failure = failure_make(
        CODE_NOT_FOUND, REASON_AGENT_NOT_FOUND,
        STR("no such agent, or no such version of it, is registered; AgentService.List shows "
            "those there are"));
    failure.field = STR("agent_id");
    return failure;
}

static struct failure in_use(const char *field, str message)
{
    struct failure failure =
        failure_make(CODE_FAILED_PRECONDITION, REASON_DEFINITION_IN_USE, message);
    failure.field = str_of(field);
    return failure;
}

static struct failure unreadable(status why)
{
    assert(!status_is_ok(why));
    return why.code == CODE_NOT_FOUND
               ? missing()
               : failure_make(why.code, REASON_STORE_DAMAGED, str_of(why.why));
}

static status newest_of(const struct definitions *definitions, str id, str *ret_hash)
{
    struct partition *partition = definitions->partition;
    char key[KEY_BYTES_MAX];
    TRY(store_get(&partition->store, STORE_DEFINITION_NAMES,
                  key_definition_name(key, partition->options.space, DEFINITION_AGENT, id),
                  &partition->round_arena, ret_hash));
    return ret_hash->len == DEFINITION_HASH_BYTES
               ? STATUS_OK
               : status_make(CODE_DATA_LOSS, "an agent definition's hash is damaged");
}

/* Registered in this round: what is asked is decided when that is on disk and its host is there. */
static bool is_being_put(const struct definitions *definitions,
                         const struct delete_definition_request *asked)
{
    uint64_t round = definitions->partition->stats.rounds;
    const struct table_link *link =
        table_find(&definitions->newest_by_id, str_hash(asked->id), &asked->id);
    const struct definition *version =
        asked->hash.len == 0 ? NULL
                             : definition_find(definitions, (const uint8_t *)asked->hash.ptr);
    return (version != NULL && version->put_round == round) ||
           (link != NULL && container_of(link, const struct definition, by_id)->put_round == round);
}

/* Another one of the same agent was carried out in this round. */
static bool is_overtaken(const struct definitions *definitions, const struct deletion *deletion)
{
    const struct delete_definition_request *asked = delete_definition_request(deletion->request);
    for (const struct deletion *at = definitions->deletions; at != deletion; at = at->next) {
        if (at->is_under_way && str_equal(delete_definition_request(at->request)->id, asked->id)) {
            return true;
        }
    }
    return false;
}

/* False: *ret says who uses it. */
static bool check_unused(struct definitions *definitions, str id, str version, struct failure *ret)
{
    struct partition *partition = definitions->partition;
    bool has_runs;
    assert(id.len > 0);
    const uint8_t *hash = version.len == 0 ? NULL : (const uint8_t *)version.ptr;
    status asked = pins_ask(definitions, id, hash, &has_runs);
    if (!status_is_ok(asked)) {
        *ret = unreadable(asked);
        return false;
    }
    if (has_runs) {
        *ret = in_use("agent_id", STR("runs of it have not ended; cancel them or let them end, and "
                                      "delete it then"));
        return false;
    }
    bool is_defined = hash == NULL ? hosts_defining(partition->hosts, id) > 0
                                   : hosts_defining_version(partition->hosts, hash) > 0;
    if (is_defined) {
        *ret = in_use("agent_id", STR("a host defines it; take it from the host's code, or stop "
                                      "the host, and delete it then"));
    }
    return !is_defined;
}

static bool delete_version(struct definitions *definitions,
                           const struct delete_definition_request *asked, str newest,
                           struct failure *ret)
{
    struct version_row row;
    assert(asked->hash.len == DEFINITION_HASH_BYTES && newest.len == DEFINITION_HASH_BYTES);
    status found = version_find(definitions, asked->id, (const uint8_t *)asked->hash.ptr, &row);
    if (!status_is_ok(found)) {
        *ret = unreadable(found);
        return false;
    }
    if (str_equal(asked->hash, newest)) {
        *ret = in_use("definition_hash",
                      STR("it is the newest version, which the next run is started with; leave "
                          "definition_hash out to delete the agent, or register another first"));
        return false;
    }
    if (!check_unused(definitions, asked->id, asked->hash, ret)) {
        return false;
    }
    status deleted = version_delete(definitions, &row);
    if (!status_is_ok(deleted)) {
        *ret = unreadable(deleted);
    }
    return status_is_ok(deleted);
}

/* A piece of it. *ret_over: the last. */
static status delete_piece(struct definitions *definitions, str id, str newest, bool *ret_over)
{
    struct partition *partition = definitions->partition;
    struct version_row *rows =
        arena_alloc(&partition->round_arena, VERSIONS_A_ROUND * sizeof(*rows));
    size_t count;
    char key[KEY_BYTES_MAX];
    const uint8_t *last = (const uint8_t *)newest.ptr;
    TRY(versions_oldest(definitions, id, last, VERSIONS_A_ROUND, rows, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(version_delete(definitions, &rows[i]));
    }
    assert(count <= VERSIONS_A_ROUND);
    *ret_over = count < VERSIONS_A_ROUND;
    if (*ret_over) {
        struct version_row row;
        TRY(version_find(definitions, id, last, &row));
        TRY(version_delete(definitions, &row));
        store_batch_delete(
            &partition->batch, STORE_DEFINITION_NAMES,
            key_definition_name(key, partition->options.space, DEFINITION_AGENT, id));
    }
    return STATUS_OK;
}

/* False: *ret says why not. *ret_over false: there is more to delete. */
static bool carry_out(struct definitions *definitions,
                      const struct delete_definition_request *asked, bool *ret_over,
                      struct failure *ret)
{
    str newest;
    assert(asked->id.len > 0);
    *ret_over = true;
    status found =
        definitions->is_built
            ? newest_of(definitions, asked->id, &newest)
            : status_make(CODE_DATA_LOSS, "a run could not be read that an older release began, so "
                                          "it is not known which versions are used; nothing can be "
                                          "deleted before the server is started again");
    if (!status_is_ok(found)) {
        *ret = unreadable(found);
        return false;
    }
    if (asked->hash.len > 0) {
        return delete_version(definitions, asked, newest, ret);
    }
    if (!check_unused(definitions, asked->id, STR_EMPTY, ret)) {
        return false;
    }
    status deleted = delete_piece(definitions, asked->id, newest, ret_over);
    if (!status_is_ok(deleted) && store_may_pass(deleted)) { /* Some are in the batch already. */
        round_spoil(definitions->partition, deleted);
    }
    if (!status_is_ok(deleted)) {
        *ret = unreadable(deleted);
    }
    return status_is_ok(deleted);
}

static void seal(struct definitions *definitions, struct deletion *deletion)
{
    struct partition *partition = definitions->partition;
    const struct delete_definition_request *asked = delete_definition_request(deletion->request);
    struct failure failure;
    bool is_over;
    bool is_unbuilt = !definitions->is_built && !definitions->is_given_up;
    if (is_unbuilt || is_being_put(definitions, asked) || is_overtaken(definitions, deletion)) {
        partition_post_always(partition, deletion->request);
        return;
    }
    assert(!deletion->is_under_way);
    if (!carry_out(definitions, asked, &is_over, &failure)) {
        request_fail_later(partition, deletion->request, &failure);
        return;
    }
    deletion->is_under_way = true;
    if (is_over) {
        request_answer_later(partition, deletion->request);
    } else {
        partition_post_always(partition, deletion->request);
    }
}

void deletions_seal(struct definitions *definitions)
{
    for (struct deletion *at = definitions->deletions; at != NULL; at = at->next) {
        seal(definitions, at);
    }
}

static void handle_delete(struct partition *partition, struct request *request)
{
    struct definitions *definitions = definitions_of(partition);
    struct deletion *deletion = arena_zalloc(&partition->round_arena, sizeof(*deletion));
    deletion->request = request;
    assert(delete_definition_request(request)->id.len > 0);
    *definitions->last_deletion = deletion;
    definitions->last_deletion = &deletion->next;
}

const struct operation delete_definition_operation = {
    .name = "delete_definition",
    .request_bytes = sizeof(struct delete_definition_request),
    .handle = handle_delete,
};
