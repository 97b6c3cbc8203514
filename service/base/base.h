/*
 * base: the small values every module speaks: status, str, TRY, allocation that aborts.
 *
 * A status is two registers and never owned: `why` is static text or lives in the
 * arena of the step that produced it. Memory exhaustion aborts, because recovery from
 * a crash is exercised all the time and an untested out-of-memory branch is not.
 */
#ifndef SERVICE_BASE_BASE_H
#define SERVICE_BASE_BASE_H

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Equal to gRPC's status codes, number by number. */
enum code {
    CODE_OK = 0,
    CODE_CANCELLED = 1,
    CODE_UNKNOWN = 2,
    CODE_INVALID_ARGUMENT = 3,
    CODE_DEADLINE_EXCEEDED = 4,
    CODE_NOT_FOUND = 5,
    CODE_ALREADY_EXISTS = 6,
    CODE_PERMISSION_DENIED = 7,
    CODE_RESOURCE_EXHAUSTED = 8,
    CODE_FAILED_PRECONDITION = 9,
    CODE_ABORTED = 10,
    CODE_OUT_OF_RANGE = 11,
    CODE_UNIMPLEMENTED = 12,
    CODE_INTERNAL = 13,
    CODE_UNAVAILABLE = 14,
    CODE_DATA_LOSS = 15,
    CODE_UNAUTHENTICATED = 16,
};

typedef struct [[nodiscard]] status {
    enum code code;
    const char *why; /* NULL when OK; static or in the caller's arena. */
} status;

#define STATUS_OK ((status){CODE_OK, NULL})

/* The only macro with control flow: returns a failure to the caller. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        status try_status = (call);                                                                \
        if (try_status.code != CODE_OK) {                                                          \
            return try_status;                                                                     \
        }                                                                                          \
    } while (0)

static inline status status_make(enum code code, const char *why)
{
    return (status){code, why};
}

static inline bool status_is_ok(status outcome)
{
    return outcome.code == CODE_OK;
}

/* "NOT_FOUND" and so on; "UNKNOWN" for a number outside the set. */
const char *code_name(enum code code);

/* Bytes or text, borrowed, never assumed to end in NUL. */
typedef struct str {
    const char *ptr;
    size_t len;
} str;

#define STR(literal) ((str){(literal), sizeof(literal) - 1})
#define STR_EMPTY ((str){NULL, 0})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).ptr

static inline str str_of(const char *text)
{
    return (str){text, text == NULL ? 0 : strlen(text)};
}

static inline str str_make(const void *ptr, size_t len)
{
    return (str){(const char *)ptr, len};
}

static inline bool str_equal(str a, str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_is(str a, const char *text)
{
    return str_equal(a, str_of(text));
}

/* Every text starts with the empty one. */
bool str_starts_with(str text, str prefix);
str str_trim(str text); /* Without leading and trailing ASCII white space. */
uint64_t str_hash(str text); /* FNV-1a, 64 bits: stable across processes and releases. */

/* These abort when memory is exhausted. */
void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t bytes); /* Zeroed. */
void *xrealloc(void *old, size_t bytes); /* old NULL: new memory. */
char *xstrndup(const char *text, size_t len); /* A copy with a NUL behind it. */

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
