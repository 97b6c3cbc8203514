#include "service/reads/agents.h"

/* Ids and hashes of a page, in the read's arena. */
struct listing {
    struct agents_read *agents;
    str *ids;
    const uint8_t **hashes;
    size_t count;
    bool has_more;
    status status;
};

static status damaged(void)
{
    return status_make(CODE_DATA_LOSS, "an agent definition's hash is damaged");
}

static status get_definition(struct agents_read *agents, const struct reads_source *source,
                             const uint8_t *hash)
{
    char key[KEY_BYTES_MAX];
    struct agent_line *line = &agents->ret_lines[agents->ret_count];
    assert(agents->ret_count < agents->limit);
    line->hash = hash;
    TRY(store_get(&source->store, STORE_DEFINITIONS, key_hash(key, source->space, hash),
                  &agents->read.arena, &line->encoded));
    agents->ret_count++;
    return STATUS_OK;
}

static status read_one(struct agents_read *agents, const struct reads_source *source)
{
    char key[KEY_BYTES_MAX];
    str hash = agents->hash;
    status found = STATUS_OK;
    if (hash.len == 0) {
        found = store_get(&source->store, STORE_DEFINITION_NAMES,
                          key_definition_name(key, source->space, DEFINITION_AGENT, agents->id),
                          &agents->read.arena, &hash);
    }
    if (status_is_ok(found) && hash.len != KEY_HASH_BYTES) {
        return damaged();
    }
    if (status_is_ok(found)) {
        found = get_definition(agents, source, (const uint8_t *)hash.ptr);
    }
    return found.code == CODE_NOT_FOUND ? STATUS_OK : found;
}

static bool visit_name(void *context, str key, str value)
{
    struct listing *listing = context;
    struct arena *arena = &listing->agents->read.arena;
    uint8_t kind;
    str id;
    if (!key_read_definition_name(key, &kind, &id) || value.len != KEY_HASH_BYTES) {
        listing->status = damaged();
        return false;
    }
    if (str_equal(id, listing->agents->after)) {
        return true; /* Where the page before ended. */
    }
    listing->has_more = listing->count == listing->agents->limit;
    if (listing->has_more) {
        return false;
    }
    listing->ids[listing->count] = arena_copy(arena, id);
    listing->hashes[listing->count++] = (const uint8_t *)arena_copy(arena, value).ptr;
    return true;
}

/* A page ends early where its definitions are large. */
static status read_page(struct agents_read *agents, const struct reads_source *source)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct arena *arena = &agents->read.arena;
    struct listing listing = {.agents = agents};
    listing.ids = arena_alloc(arena, agents->limit * sizeof(listing.ids[0]));
    listing.hashes = arena_alloc(arena, agents->limit * sizeof(listing.hashes[0]));
    str start = agents->after.len == 0
                    ? STR_EMPTY
                    : key_definition_name(from, source->space, DEFINITION_AGENT, agents->after);
    TRY(store_scan(&source->store, STORE_DEFINITION_NAMES,
                   key_prefix_definition_names(prefix, source->space, DEFINITION_AGENT), start,
                   false, SIZE_MAX, visit_name, &listing));
    TRY(listing.status);
    size_t bytes = 0;
    for (size_t i = 0; i < listing.count && bytes < source->page_bytes; i++) {
        TRY(get_definition(agents, source, listing.hashes[i]));
        bytes += agents->ret_lines[i].encoded.len;
        agents->ret_count -= i > 0 && bytes > source->page_bytes;
    }
    if (listing.has_more || agents->ret_count < listing.count) {
        assert(agents->ret_count > 0);
        agents->ret_last = listing.ids[agents->ret_count - 1];
    }
    return STATUS_OK;
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct agents_read *agents = agents_read(read);
    assert(agents->limit > 0 && agents->ret_lines == NULL);
    *ret_over = true;
    agents->ret_lines = arena_alloc(&read->arena, agents->limit * sizeof(agents->ret_lines[0]));
    return agents->id.len > 0 ? read_one(agents, source) : read_page(agents, source);
}

const struct read_kind agents_kind = {
    .name = "agents",
    .read_bytes = sizeof(struct agents_read),
    .step = step,
};
