#include "service/reads/agents.h"

#include "service/codec/definition_rows.h"

static_assert((int)KEY_HASH_BYTES == (int)VERSION_HASH_BYTES, "a version is its hash");

/* Versions of a page, in the read's arena. */
struct listing {
    struct agents_read *agents;
    struct version_row *versions;
    size_t count;
    bool has_more;
    status status;
};

static status damaged(void)
{
    return status_make(CODE_DATA_LOSS, "an agent definition's hash is damaged");
}

/* 0: there is no such row. */
static status get_number(struct agents_read *agents, const struct reads_source *source,
                         enum index_kind kind, str tail, uint64_t *ret)
{
    char key[KEY_BYTES_MAX];
    str value;
    *ret = 0;
    status found =
        store_get(&source->store, STORE_INDEX, key_index(key, source->space, (uint8_t)kind, tail),
                  &agents->read.arena, &value);
    if (found.code == CODE_NOT_FOUND) {
        return STATUS_OK;
    }
    TRY(found);
    return version_number_decode(value, ret);
}

static status get_newest(struct agents_read *agents, const struct reads_source *source, str *ret)
{
    char key[KEY_BYTES_MAX];
    TRY(store_get(&source->store, STORE_DEFINITION_NAMES,
                  key_definition_name(key, source->space, DEFINITION_AGENT, agents->id),
                  &agents->read.arena, ret));
    return ret->len == KEY_HASH_BYTES ? STATUS_OK : damaged();
}

static status get_definition(struct agents_read *agents, const struct reads_source *source,
                             const struct version_row *version)
{
    char key[KEY_BYTES_MAX];
    char tail[VERSION_TAIL_BYTES_MAX];
    struct arena *arena = &agents->read.arena;
    struct agent_line *line = &agents->ret_lines[agents->ret_count];
    assert(agents->ret_count < agents->limit);
    str hash = arena_copy(arena, str_make(version->hash, KEY_HASH_BYTES));
    *line = (struct agent_line){.hash = (const uint8_t *)hash.ptr};
    TRY(store_get(&source->store, STORE_DEFINITIONS, key_hash(key, source->space, version->hash),
                  arena, &line->encoded));
    TRY(get_number(agents, source, INDEX_VERSION_TIME, hash, &line->registered_ms));
    TRY(get_number(agents, source, INDEX_VERSION_RUNS,
                   version_runs_row_tail(tail, version->id, version->hash), &line->runs));
    agents->ret_count++;
    return STATUS_OK;
}

static status read_one(struct agents_read *agents, const struct reads_source *source)
{
    str newest = STR_EMPTY;
    struct version_row version = {.id = agents->id};
    status found = get_newest(agents, source, &newest);
    str hash = agents->hash.len > 0 ? agents->hash : newest;
    if (status_is_ok(found)) {
        memcpy(version.hash, hash.ptr, sizeof(version.hash));
        found = get_definition(agents, source, &version);
    }
    if (status_is_ok(found)) {
        agents->ret_lines[0].is_newest = str_equal(hash, newest);
    }
    return found.code == CODE_NOT_FOUND ? STATUS_OK : found;
}

/* The page's next place. False: it is full. */
static bool add_version(struct listing *listing, const struct version_row *version)
{
    listing->has_more = listing->count == listing->agents->limit;
    if (listing->has_more) {
        return false;
    }
    struct version_row *added = &listing->versions[listing->count++];
    *added = *version;
    added->id = arena_copy(&listing->agents->read.arena, version->id);
    return true;
}

static bool visit_name(void *context, str key, str value)
{
    struct listing *listing = context;
    struct version_row version = {.registered_ms = 0};
    uint8_t kind;
    if (!key_read_definition_name(key, &kind, &version.id) || value.len != KEY_HASH_BYTES ||
        version.id.len > VERSION_ID_BYTES_MAX) {
        listing->status = damaged();
        return false;
    }
    memcpy(version.hash, value.ptr, sizeof(version.hash));
    return str_equal(version.id, listing->agents->after) || /* Where the page before ended. */
           add_version(listing, &version);
}

static status list_agents(struct listing *listing, const struct reads_source *source)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    str after = listing->agents->after;
    str start = after.len == 0 ? STR_EMPTY
                               : key_definition_name(from, source->space, DEFINITION_AGENT, after);
    TRY(store_scan(&source->store, STORE_DEFINITION_NAMES,
                   key_prefix_definition_names(prefix, source->space, DEFINITION_AGENT), start,
                   false, SIZE_MAX, visit_name, listing));
    return listing->status;
}

/* What tells a version's row from those of others of its agent. */
static str place_of(str tail)
{
    assert(tail.len > AGENTS_PLACE_BYTES);
    return str_make(tail.ptr + tail.len - AGENTS_PLACE_BYTES, AGENTS_PLACE_BYTES);
}

static bool visit_version(void *context, str key, str value)
{
    (void)value;
    struct listing *listing = context;
    struct version_row version;
    str tail;
    listing->status = key_read_index(key, &tail) ? version_row_decode(tail, &version) : damaged();
    if (!status_is_ok(listing->status)) {
        return false;
    }
    return str_equal(place_of(tail), listing->agents->after) || /* Where the page before ended. */
           add_version(listing, &version);
}

static status list_versions(struct listing *listing, const struct reads_source *source)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    char tail[VERSION_TAIL_BYTES_MAX + AGENTS_PLACE_BYTES];
    str after = listing->agents->after;
    str rows = version_rows_of(tail, listing->agents->id);
    str begin = key_index(prefix, source->space, INDEX_VERSION, rows);
    str start = STR_EMPTY;
    if (after.len > 0) {
        assert(after.len == AGENTS_PLACE_BYTES);
        memcpy(tail + rows.len, after.ptr, after.len);
        start = key_index(from, source->space, INDEX_VERSION, str_make(tail, rows.len + after.len));
    }
    TRY(store_scan(&source->store, STORE_INDEX, begin, start, true, SIZE_MAX, visit_version,
                   listing));
    return listing->status;
}

static str place_in(const struct agents_read *agents, const struct version_row *last,
                    struct arena *arena)
{
    char tail[VERSION_TAIL_BYTES_MAX];
    return agents->wants_versions ? arena_copy(arena, place_of(version_row_tail(tail, last)))
                                  : last->id;
}

static status mark_newest(struct agents_read *agents, const struct reads_source *source)
{
    str newest = STR_EMPTY;
    status found = agents->wants_versions ? get_newest(agents, source, &newest) : STATUS_OK;
    for (size_t i = 0; i < agents->ret_count; i++) {
        agents->ret_lines[i].is_newest =
            !agents->wants_versions ||
            str_equal(str_make(agents->ret_lines[i].hash, KEY_HASH_BYTES), newest);
    }
    return found.code == CODE_NOT_FOUND ? STATUS_OK : found;
}

/* A page ends early where its definitions are large. One that is deleted meanwhile is left out. */
static status read_page(struct agents_read *agents, const struct reads_source *source)
{
    struct arena *arena = &agents->read.arena;
    struct listing listing = {.agents = agents};
    size_t bytes = 0;
    size_t seen = 0;
    listing.versions = arena_alloc(arena, agents->limit * sizeof(listing.versions[0]));
    TRY(agents->wants_versions ? list_versions(&listing, source) : list_agents(&listing, source));
    while (seen < listing.count && bytes < source->page_bytes) {
        status got = get_definition(agents, source, &listing.versions[seen]);
        seen++;
        if (got.code == CODE_NOT_FOUND) {
            continue;
        }
        TRY(got);
        bytes += agents->ret_lines[agents->ret_count - 1].encoded.len;
        if (agents->ret_count > 1 && bytes > source->page_bytes) {
            agents->ret_count--;
            seen--;
        }
    }
    if (listing.has_more || seen < listing.count) {
        assert(seen > 0);
        agents->ret_last = place_in(agents, &listing.versions[seen - 1], arena);
    }
    return mark_newest(agents, source);
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct agents_read *agents = agents_read(read);
    assert(agents->limit > 0 && agents->ret_lines == NULL);
    *ret_over = true;
    agents->ret_lines = arena_alloc(&read->arena, agents->limit * sizeof(agents->ret_lines[0]));
    bool is_one = agents->id.len > 0 && !agents->wants_versions;
    return is_one ? read_one(agents, source) : read_page(agents, source);
}

const struct read_kind agents_kind = {
    .name = "agents",
    .read_bytes = sizeof(struct agents_read),
    .step = step,
};
