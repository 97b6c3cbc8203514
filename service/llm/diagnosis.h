/*
 * diagnosis: what went wrong with a model call, and whether trying again makes sense.
 *
 * Providers say the same thing with different codes, statuses and shapes; the table here
 * knows them. The order of belief: x-should-retry, then the error's own code, then the HTTP
 * status, since one status (429) stands for both "soon" and "never".
 */
#ifndef SERVICE_LLM_DIAGNOSIS_H
#define SERVICE_LLM_DIAGNOSIS_H

#include "service/base/buf.h"

enum {
    DIAGNOSIS_MESSAGE_BYTES_MAX = 600,
};

struct diagnosis {
    enum code code; /* CODE_OK: none. */
    const char *reason; /* Static. */
    struct buf message;
    uint32_t http_status;
    bool retryable;
    uint64_t retry_after_ms;
};

void diagnosis_fini(struct diagnosis *diagnosis); /* Zero-initialised is valid, and none. */
void diagnosis_clear(struct diagnosis *diagnosis); /* None again. */

/* In words of our own, cut at the most bytes; reason is static. */
void diagnosis_set(struct diagnosis *diagnosis, enum code code, const char *reason, bool retryable,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* A response that is no success. */
struct http_answer {
    str asked; /* The URL, for sentences. */
    uint32_t http_status;
    str headers; /* Lines as they came. */
    str body; /* Of any kind. */
    const char *instead; /* Codec.instead: what else to try if the URL is not known there. */
};

/* now_ms: what Retry-After may count from. */
void diagnosis_from_http(struct diagnosis *diagnosis, const struct http_answer *answer,
                         uint64_t now_ms);
/* From an error inside a stream, or in the body of a 200: an object or a string. */
void diagnosis_from_error(struct diagnosis *diagnosis, str error_json);
/* By a reason of the table ("RATE_LIMITED"), without a message; false: it is not there. */
bool diagnosis_set_reason(struct diagnosis *diagnosis, str reason);
/* Blots out a secret the provider repeated. */
void diagnosis_redact(struct diagnosis *diagnosis, str secret);

#endif
