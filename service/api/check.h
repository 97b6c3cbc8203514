/*
 * check: what came from outside, field by field; the first fault is kept.
 *
 * Every function returns whether the field is fine, so that checks chain with &&.
 */
#ifndef SERVICE_API_CHECK_H
#define SERVICE_API_CHECK_H

#include "service/api/call.h"
#include "service/base/arena.h"
#include "service/base/uuid.h"

enum {
    CHECK_LABEL_BYTES_MAX = 200, /* Session, user, conversation, idempotency key. */
    CHECK_CAUSE_BYTES_MAX = 1000,
    CHECK_STEP_KEY_BYTES_MAX = 512,
    CHECK_TOPIC_BYTES_MAX = 512,
    CHECK_EVENT_TYPE_BYTES_MAX = 200,
    CHECK_VALUE_TYPE_BYTES_MAX = 4096,
};

struct check {
    struct arena *arena; /* Holds the error's texts. */
    struct failure error; /* code OK: no fault so far. */
    size_t json_bytes_max; /* Of the values that runs are given; 0: no limit. */
};

/* The path of a field, such as "agent.tools[2].timeout_ms"; it lives as long as the arena. */
const char *check_path(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A copy that lives as long as the arena. NULL: empty. */
str check_copy(struct check *check, const char *text);

/* Notes a fault of the field; always false. */
bool check_fault(struct check *check, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* 1 to 128 bytes of letters, digits, '_', '-', '.'. */
bool check_name(struct check *check, const char *field, str name);
/* Of a tool 1 to 64 bytes of letters, digits, '_', '-'; of others as check_name(). */
bool check_code_name(struct check *check, const char *field, bool is_tool, str name);
/* At most bytes_max; may be empty. */
bool check_bytes(struct check *check, const char *field, str text, size_t bytes_max);
/* Not empty, at most bytes_max. */
bool check_some(struct check *check, const char *field, str text, size_t bytes_max);
/* Both ends are allowed. */
bool check_range(struct check *check, const char *field, int64_t value, int64_t min, int64_t max);
/* Not empty, JSON; the fault says at which byte. */
bool check_json(struct check *check, const char *field, str text);
/* Required: JSON of at most json_bytes_max. The copy lives as long as the check's arena. */
bool check_value(struct check *check, const char *field, str text, str *ret);
/* As check_value(); empty stands for null. */
bool check_value_or_null(struct check *check, const char *field, str text, str *ret);
/* Empty, or a JSON object. */
bool check_json_object(struct check *check, const char *field, str text);
/* Required. *ret is set only when it is fine. */
bool check_uuid(struct check *check, const char *field, str text, uuid *ret);
/* Which suspension is meant: by its id; or, where that is empty, by its run, or the root of its
 * tree, and the key of its step. `prefix` is put before the names of the fields. *ret_effect: 0: by
 * key. */
bool check_suspension(struct check *check, const char *prefix, str id, str run_id, str step_key,
                      uuid *ret_run, uint32_t *ret_effect);
/* 0 stands for `otherwise`. */
bool check_page_size(struct check *check, int32_t asked, size_t otherwise, size_t max, size_t *ret);

#endif
