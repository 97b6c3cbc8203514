/*
 * json: checks JSON text and finds values in it, without ever printing it again.
 *
 * A value is a slice of the text it stands in, so what is passed on is byte for byte what
 * came: numbers beyond 2^53, the order of keys and the blanks all survive.
 *
 * Invariant: no function reads outside its text, whatever is in it; but what the functions
 *            below json_check() find is only meaningful in text that passed a check.
 */
#ifndef SERVICE_BASE_JSON_H
#define SERVICE_BASE_JSON_H

#include "service/base/arena.h"
#include "service/base/base.h"
#include "service/base/buf.h"

enum {
    JSON_DEPTH_MAX = 100, /* Containers inside one another. */
};

enum json_kind {
    JSON_NONE, /* No JSON value starts like this. */
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* One value by RFC 8259 in valid UTF-8, blanks around it allowed. INVALID_ARGUMENT says
 * what is wrong and at which byte. */
status json_validate(str text, struct arena *arena);
/* As json_validate(), without a reason. */
bool json_is_valid(str text);
bool json_is_object(str text); /* Valid, and an object. */
/* As json_is_valid(), but the bytes of strings need not be UTF-8: a model's text may come
 * cut through a character. */
bool json_check(str text);

/* Told from its first byte, after blanks. */
enum json_kind json_kind_of(str value);

/* Walks the members of an object or the elements of an array. Keys are raw, with quotes. */
struct json_iterator {
    str rest;
};

/* Nothing is found in a value of another kind. */
struct json_iterator json_members(str object);
/* As json_members(), of an array. */
struct json_iterator json_elements(str array);
/* False: there is none more. What it gives points into the value walked. */
bool json_next_member(struct json_iterator *iterator, str *ret_key, str *ret_value);
bool json_next_element(struct json_iterator *iterator, str *ret_value); /* The same. */

/* Whether the raw string (with quotes) spells `text`. */
bool json_string_is(str raw, str text);
/* The value of the last member of that name, as every peer reads doubled names. */
bool json_object_get(str object, str key, str *ret_value);
/* As json_object_get(), and of that kind. */
bool json_object_get_kind(str object, str key, enum json_kind kind, str *ret_value);

/* Appends the characters of a raw string. A lone surrogate becomes U+FFFD; bytes that are no
 * UTF-8 stay. False, with nothing appended, when raw is no string. */
bool json_string_decode(str raw, struct buf *ret);
bool json_to_u64(str raw, uint64_t *ret); /* Only whole numbers without sign or exponent. */
bool json_to_double(str raw, double *ret);
bool json_to_bool(str raw, bool *ret); /* Only true and false. */

/* Appends the members of base that overlay does not name, then those of overlay. Both must be
 * objects; an empty text counts as one without members. */
void json_object_merge(str base, str overlay, struct buf *ret);

#endif
