#include "service/rpc/methods.h"

#include <stdlib.h>

#include "service/api/access.h"
#include "service/rpc/wire.h"

enum {
    METHODS_MAX = 256,
    SLOTS = 1024, /* A power of two, at most a quarter full. */
    SERVICES_MAX = 64,
};
static_assert((SLOTS & (SLOTS - 1)) == 0 && SLOTS >= 4 * METHODS_MAX, "probing must stay short");

struct methods {
    struct method_row slots[SLOTS];
    size_t count;
    str services[SERVICES_MAX];
    size_t service_count;
};

struct methods *methods_new(void)
{
    return xcalloc(1, sizeof(struct methods));
}

void methods_free(struct methods *methods)
{
    free(methods);
}

static size_t slot_of(const struct methods *methods, str path)
{
    size_t slot = (size_t)str_hash(path) & (SLOTS - 1);
    while (methods->slots[slot].method != NULL &&
           !str_is(path, methods->slots[slot].method->path)) {
        slot = (slot + 1) & (SLOTS - 1);
    }
    return slot;
}

/* "/polos.v1.RunService/Get" -> "polos.v1.RunService" */
static str service_name(const char *path)
{
    const char *slash = strchr(path + 1, '/');
    assert(path[0] == '/');
    assert(slash != NULL);
    return str_make(path + 1, (size_t)(slash - path - 1));
}

static void add_service(struct methods *methods, str name)
{
    if (methods_has_service(methods, name)) {
        return;
    }
    assert(methods->service_count < SERVICES_MAX);
    methods->services[methods->service_count++] = name;
}

static void add(struct methods *methods, const struct api_method *method, void *service)
{
    size_t slot = slot_of(methods, str_of(method->path));
    assert(methods->count < METHODS_MAX);
    assert(methods->slots[slot].method == NULL && "a path is served twice");
    assert(method->start != NULL && method->request != NULL && method->response != NULL);
    assert(method->kind != API_BIDI || method->message != NULL);
    assert(wire_is_acyclic(method->request));
    methods->slots[slot] = (struct method_row){
        .method = method,
        .service = service,
        .rights = access_rights(str_of(method->path)),
    };
    methods->count++;
    add_service(methods, service_name(method->path));
}

void methods_add(struct methods *methods, const struct api_method *rows, void *service)
{
    for (const struct api_method *row = rows; row->path != NULL; row++) {
        add(methods, row, service);
    }
}

const struct method_row *methods_find(const struct methods *methods, str path)
{
    const struct method_row *row = &methods->slots[slot_of(methods, path)];
    return row->method == NULL ? NULL : row;
}

size_t methods_service_count(const struct methods *methods)
{
    return methods->service_count;
}

str methods_service(const struct methods *methods, size_t index)
{
    assert(index < methods->service_count);
    return methods->services[index];
}

bool methods_has_service(const struct methods *methods, str name)
{
    for (size_t i = 0; i < methods->service_count; i++) {
        if (str_equal(methods->services[i], name)) {
            return true;
        }
    }
    return false;
}
