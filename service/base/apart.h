/*
 * apart: the ids of what could not be read, each with the reason.
 *
 * In memory only: after a restart everything is tried again. Mostly empty, and then it costs its
 * readers one atomic load.
 *
 * Threading: any thread; ids are added and removed by one.
 */
#ifndef SERVICE_BASE_APART_H
#define SERVICE_BASE_APART_H

#include "service/base/base.h"
#include "service/base/uuid.h"

struct apart;

/* Empty. */
struct apart *apart_new(void);
void apart_free(struct apart *apart); /* Accepts NULL. */

/* Copies the sentence. Of an id that is there already the first reason stays. */
void apart_add(struct apart *apart, uuid id, const char *why);
/* Its reason stays where it is, for those who have it. Also of an id that is not there. */
void apart_remove(struct apart *apart, uuid id);
/* False: it is not there. Accepts NULL, which is empty. *ret_why lives as long as `apart`. */
bool apart_find(struct apart *apart, uuid id, const char **ret_why);
/* The last id before this one, in their order; zero: the very last. False: there is none. Accepts
 * NULL. */
bool apart_before(struct apart *apart, uuid before, uuid *ret);
size_t apart_count(struct apart *apart); /* Accepts NULL. */

#endif
