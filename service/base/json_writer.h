/*
 * json_writer: prints one JSON value at the end of a buf, where json.h only reads.
 *
 * Every function takes the name of the member it writes, which is NULL for an element of an array
 * and for the value itself; commas and colons are the writer's. Members stand in the order of the
 * calls, without blanks, so equal calls give equal bytes.
 *
 * Invariant: the bytes are valid JSON once every container is closed, if what was given to
 *            json_put_raw() is.
 */
#ifndef SERVICE_BASE_JSON_WRITER_H
#define SERVICE_BASE_JSON_WRITER_H

#include "service/base/buf.h"
#include "service/base/uuid.h"

struct json_writer {
    struct buf *buf;
    uint32_t depth; /* Containers that are open. */
    uint64_t objects; /* A bit for each of them: an object, not an array. */
    bool needs_comma; /* In the innermost one. */
};

enum {
    JSON_WRITER_DEPTH_MAX = 64,
};

struct json_writer json_writer_of(struct buf *buf); /* Borrows it. */

/* What is put until its end is inside. */
void json_begin_object(struct json_writer *writer, const char *name);
void json_end_object(struct json_writer *writer); /* Of the innermost, which is an object. */
/* What is put until its end is inside; its elements have no name. */
void json_begin_array(struct json_writer *writer, const char *name);
void json_end_array(struct json_writer *writer); /* Of the innermost, which is an array. */

/* Escaped; invalid UTF-8 becomes U+FFFD. */
void json_put_string(struct json_writer *writer, const char *name, str text);
/* In decimal digits; readers that hold numbers as doubles lose what is over 2^53. */
void json_put_u64(struct json_writer *writer, const char *name, uint64_t number);
void json_put_i64(struct json_writer *writer, const char *name, int64_t number); /* The same. */
/* true or false. */
void json_put_bool(struct json_writer *writer, const char *name, bool fact);
/* null. */
void json_put_null(struct json_writer *writer, const char *name);
/* A string of 36 characters. */
void json_put_uuid(struct json_writer *writer, const char *name, uuid id);
/* A JSON value, byte for byte; nothing at all becomes null. */
void json_put_raw(struct json_writer *writer, const char *name, str value);
/* The members of a JSON object, byte for byte, into the object that is open. */
void json_put_members(struct json_writer *writer, str object);

#endif
