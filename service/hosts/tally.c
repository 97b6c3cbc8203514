#include "service/hosts/tally.h"

#include <stdlib.h>

struct counted {
    struct table_link link;
    uint32_t count;
    size_t len;
    char name[];
};

static bool has_name(const struct table_link *link, const void *key)
{
    const struct counted *counted = container_of(link, const struct counted, link);
    return str_equal(str_make(counted->name, counted->len), *(const str *)key);
}

void tally_init(struct tally *tally)
{
    table_init(&tally->names, has_name);
}

void tally_fini(struct tally *tally)
{
    assert(tally->names.count == 0);
    table_fini(&tally->names);
}

static struct counted *find(const struct tally *tally, str name)
{
    struct table_link *link = table_find(&tally->names, str_hash(name), &name);
    return link == NULL ? NULL : container_of(link, struct counted, link);
}

void tally_add(struct tally *tally, str name)
{
    struct counted *counted = find(tally, name);
    assert(name.len > 0);
    if (counted == NULL) {
        counted = xcalloc(1, sizeof(*counted) + name.len);
        counted->len = name.len;
        memcpy(counted->name, name.ptr, name.len);
        table_add(&tally->names, &counted->link, str_hash(name));
    }
    counted->count++;
}

void tally_remove(struct tally *tally, str name)
{
    struct counted *counted = find(tally, name);
    assert(counted != NULL && counted->count > 0);
    if (--counted->count == 0) {
        table_remove(&tally->names, &counted->link);
        free(counted);
    }
}

uint32_t tally_of(const struct tally *tally, str name)
{
    const struct counted *counted = find(tally, name);
    assert(counted == NULL || counted->count > 0);
    return counted == NULL ? 0 : counted->count;
}
