/*
 * descriptors: what a FileDescriptorSet defines: which file has which name and symbol.
 *
 * Reads the few fields it needs straight from the wire, so that no schema of descriptor.proto
 * is needed. The files themselves are handed out byte for byte.
 *
 * Threading: constant once made; read from any thread.
 */
#ifndef SERVICE_RPC_DESCRIPTORS_H
#define SERVICE_RPC_DESCRIPTORS_H

#include "service/base/base.h"

struct descriptors;

#define DESCRIPTORS_NONE ((size_t)-1)

/* `set` stays borrowed. NULL: it is not a FileDescriptorSet. */
struct descriptors *descriptors_new(str set);
void descriptors_free(struct descriptors *descriptors); /* Accepts NULL. */

/* How many files the set has. */
size_t descriptors_file_count(const struct descriptors *descriptors);
/* The file's index, or DESCRIPTORS_NONE. */
size_t descriptors_file_named(const struct descriptors *descriptors, str name);
/* Of a message, field, oneof, enum, enum value, service or method, by its full name. */
size_t descriptors_file_with(const struct descriptors *descriptors, str symbol);
/* Writes the indices of the file and of all it imports, each once, imports later; ret has room
 * for every file. Returns how many. */
size_t descriptors_closure(const struct descriptors *descriptors, size_t file, size_t *ret);
/* A packed FileDescriptorProto, of the borrowed set. */
str descriptors_file_bytes(const struct descriptors *descriptors, size_t file);

#endif
