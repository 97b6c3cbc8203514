#include "service/llm/places.h"

#include <stdlib.h>

enum {
    SURE_MAX = 8,
    SHARE = 32, /* Of the places; each server is sure of so large a part. */
};

struct places_server {
    struct table_link link; /* By its name. */
    str name; /* Behind the struct. */
    size_t held;
    struct claim *first; /* In its line. */
    struct claim *last;
    struct places_server *left; /* In the ring, while it has a line. */
    struct places_server *right;
};

static bool has_name(const struct table_link *link, const void *key)
{
    return str_equal(container_of(link, struct places_server, link)->name, *(const str *)key);
}

void places_init(struct places *places, size_t most)
{
    size_t sure = most / SHARE;
    assert(most > 0);
    *places = (struct places){.most = most};
    places->sure = sure < 1 ? 1 : sure < SURE_MAX ? sure : SURE_MAX;
    table_init(&places->servers, has_name);
}

void places_fini(struct places *places)
{
    assert(places->taken == 0 && places->next == NULL && places->servers.count == 0);
    table_fini(&places->servers);
}

static struct places_server *server_of(struct places *places, str name)
{
    uint64_t hash = str_hash(name);
    struct table_link *link = table_find(&places->servers, hash, &name);
    if (link != NULL) {
        return container_of(link, struct places_server, link);
    }
    struct places_server *server = xcalloc(1, sizeof(*server) + name.len + 1);
    char *copy = (char *)(server + 1);
    memcpy(copy, name.ptr, name.len);
    server->name = str_make(copy, name.len);
    table_add(&places->servers, &server->link, hash);
    return server;
}

static void enter_ring(struct places *places, struct places_server *server)
{
    if (places->next == NULL) {
        server->left = server;
        server->right = server;
        places->next = server;
        return;
    }
    server->right = places->next; /* The last to be served. */
    server->left = places->next->left;
    server->left->right = server;
    server->right->left = server;
}

static void leave_ring(struct places *places, struct places_server *server)
{
    assert(server->left != NULL && server->right != NULL);
    if (server->right == server) {
        assert(places->next == server);
        places->next = NULL;
    } else {
        server->left->right = server->right;
        server->right->left = server->left;
        places->next = places->next == server ? server->right : places->next;
    }
    server->left = NULL;
    server->right = NULL;
}

void places_ask(struct places *places, struct claim *claim, str name)
{
    struct places_server *server = server_of(places, name);
    assert(claim->server == NULL && !claim->is_held);
    if (server->first == NULL) {
        enter_ring(places, server);
    }
    *claim = (struct claim){.server = server, .before = server->last};
    if (server->last == NULL) {
        server->first = claim;
    } else {
        server->last->next = claim;
    }
    server->last = claim;
}

static void leave_server(struct places *places, struct claim *claim)
{
    struct places_server *server = claim->server;
    if (claim->before == NULL) {
        assert(server->first == claim);
        server->first = claim->next;
    } else {
        claim->before->next = claim->next;
    }
    if (claim->next == NULL) {
        assert(server->last == claim);
        server->last = claim->before;
    } else {
        claim->next->before = claim->before;
    }
    claim->next = NULL;
    claim->before = NULL;
    if (server->first == NULL) {
        leave_ring(places, server);
    }
}

static bool may_go(const struct places *places, const struct places_server *server)
{
    return places->taken < places->most ||
           (server->held < places->sure && places->taken < 2 * places->most);
}

struct claim *places_next(struct places *places)
{
    struct places_server *server = places->next;
    if (server == NULL) {
        return NULL;
    }
    do {
        if (may_go(places, server)) {
            struct claim *claim = server->first;
            assert(claim != NULL && !claim->is_held);
            places->next = server->right;
            leave_server(places, claim);
            claim->is_held = true;
            server->held++;
            places->taken++;
            return claim;
        }
        server = server->right;
    } while (server != places->next);
    return NULL;
}

void places_leave(struct places *places, struct claim *claim)
{
    struct places_server *server = claim->server;
    assert(server != NULL);
    if (claim->is_held) {
        assert(server->held > 0 && places->taken > 0);
        server->held--;
        places->taken--;
    } else {
        leave_server(places, claim);
    }
    *claim = (struct claim){0};
    if (server->held == 0 && server->first == NULL) {
        table_remove(&places->servers, &server->link);
        free(server);
    }
}
