/*
 * attempt: one exchange with a server, without the socket: response bytes in, verdict out.
 *
 * How the body is read follows from the response, not from the request: a server may answer a
 * streaming request with one JSON text, or wrap an error in a 200.
 *
 * Order: attempt_head(), then attempt_bytes() while it says ATTEMPT_OPEN, then attempt_end().
 */
#ifndef SERVICE_LLM_ATTEMPT_H
#define SERVICE_LLM_ATTEMPT_H

#include "service/llm/providers.h"

struct attempt; /* attempt_new() gives it, attempt_free() takes it. */

enum attempt_state {
    ATTEMPT_OPEN,
    ATTEMPT_WHOLE, /* The reply is there. */
    ATTEMPT_FAILED,
};

enum attempt_end {
    ATTEMPT_END_CLEAN, /* The server ended the body as HTTP says. */
    ATTEMPT_END_BROKEN, /* The connection went before that. */
};

/* options is copied, but what it points to must live as long; the row is static. asked: the URL,
 * for sentences; must live as long. */
struct attempt *attempt_new(const struct provider_row *row, str asked,
                            const struct reply_options *options);
void attempt_free(struct attempt *attempt); /* Accepts NULL. */

/* headers: lines as they came. */
void attempt_head(struct attempt *attempt, uint32_t http_status, str headers, uint64_t now_ms);
/* What the server says in an error is not shown from now on. */
void attempt_hide_text(struct attempt *attempt);
/* Of the body, in pieces of any size; borrowed for the call. More is passed over once the
 * state is not ATTEMPT_OPEN. */
enum attempt_state attempt_bytes(struct attempt *attempt, str bytes);
/* After a broken end the reply may be whole all the same; if not, and the provider did not
 * say why, the diagnosis has code CODE_OK and is the transport's to name. */
enum attempt_state attempt_end(struct attempt *attempt, enum attempt_end end);

/* How much of a reply has come: it grows with what is said, not with signs of life. */
size_t attempt_size(const struct attempt *attempt);
/* Whether a delta was given away: asking again would show it twice. */
bool attempt_has_shown(const struct attempt *attempt);
/* Only for ATTEMPT_WHOLE, once. */
void attempt_reply(struct attempt *attempt, struct arena *arena, struct model_reply *ret);
/* Only for ATTEMPT_FAILED; lives as long as the attempt, and is the caller's to fill in. */
struct diagnosis *attempt_diagnosis(struct attempt *attempt);

#endif
