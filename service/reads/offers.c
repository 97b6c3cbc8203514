#include "service/reads/offers.h"

#include "service/codec/index.h"

struct listing {
    struct offers_read *offers;
    const struct reads_source *source;
    size_t bytes;
    status status;
};

static uint8_t index_of(const struct offers_read *offers)
{
    return offers->wants_tools ? INDEX_TOOL_OFFER : INDEX_WORKFLOW_OFFER;
}

static status add(struct offers_read *offers, str bytes)
{
    struct arena *arena = &offers->read.arena;
    assert(offers->ret_count < offers->limit);
    TRY(offer_decode(arena_copy(arena, bytes), arena, &offers->ret[offers->ret_count]));
    offers->ret_count++;
    return STATUS_OK;
}

static status read_one(struct offers_read *offers, const struct reads_source *source)
{
    char key[KEY_BYTES_MAX];
    str bytes;
    status found = store_get(&source->store, STORE_INDEX,
                             key_index(key, source->space, index_of(offers), offers->name),
                             &offers->read.arena, &bytes);
    if (status_is_ok(found)) {
        found = add(offers, bytes);
    }
    return found.code == CODE_NOT_FOUND ? STATUS_OK : found;
}

/* A page ends early where what is offered is large. */
static bool visit(void *context, str key, str value)
{
    struct listing *listing = context;
    struct offers_read *offers = listing->offers;
    str name;
    if (!key_read_index(key, &name)) {
        listing->status = status_make(CODE_DATA_LOSS, "key of an offer: damaged");
        return false;
    }
    if (str_equal(name, offers->after)) {
        return true; /* Where the page before ended. */
    }
    bool is_large =
        offers->ret_count > 0 && listing->bytes + value.len > listing->source->page_bytes;
    offers->ret_more = offers->ret_count == offers->limit || is_large;
    if (offers->ret_more) {
        return false;
    }
    listing->bytes += value.len;
    listing->status = add(offers, value);
    return status_is_ok(listing->status);
}

static status read_page(struct offers_read *offers, const struct reads_source *source)
{
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct listing listing = {.offers = offers, .source = source};
    TRY(store_scan(&source->store, STORE_INDEX,
                   key_index(prefix, source->space, index_of(offers), STR_EMPTY),
                   key_index(from, source->space, index_of(offers), offers->after), false, SIZE_MAX,
                   visit, &listing));
    assert(offers->ret_count > 0 || !offers->ret_more);
    return listing.status;
}

static status step(struct read *read, const struct reads_source *source, bool *ret_over)
{
    struct offers_read *offers = offers_read(read);
    assert(offers->limit > 0 && offers->ret == NULL);
    *ret_over = true;
    offers->ret = arena_alloc(&read->arena, offers->limit * sizeof(offers->ret[0]));
    return offers->name.len > 0 ? read_one(offers, source) : read_page(offers, source);
}

const struct read_kind offers_kind = {
    .name = "offers",
    .read_bytes = sizeof(struct offers_read),
    .step = step,
};
