/*
 * methods: which handler serves a path, and which services there are.
 *
 * Threading: constant once made; read from any thread.
 */
#ifndef SERVICE_RPC_METHODS_H
#define SERVICE_RPC_METHODS_H

#include "service/api/call.h"

struct method_row {
    const struct api_method *method;
    void *service; /* For api_call.service. */
    uint32_t rights; /* What it asks for: access_rights(). */
};

struct methods;

/* Without rows. */
struct methods *methods_new(void);
void methods_free(struct methods *methods); /* Accepts NULL. */
/* Adds rows up to the one whose path is NULL. A path twice is a bug. */
void methods_add(struct methods *methods, const struct api_method *rows, void *service);
/* NULL: nothing serves this path. */
const struct method_row *methods_find(const struct methods *methods, str path);

/* "polos.v1.RunService", ...: each once, in the order they were added. */
size_t methods_service_count(const struct methods *methods);
/* index < methods_service_count(). */
str methods_service(const struct methods *methods, size_t index);
/* Whether any row's path is of this service. */
bool methods_has_service(const struct methods *methods, str name);

#endif
