/*
 * payload: shared bytes, packed once and sent to many.
 *
 * Threading: ref and unref from any thread; the bytes are constant once shared.
 */
#ifndef SERVICE_BASE_PAYLOAD_H
#define SERVICE_BASE_PAYLOAD_H

#include "service/base/base.h"

struct payload;

struct payload *payload_new(size_t len); /* One reference; fill payload_data() before sharing. */
struct payload *payload_copy(str bytes); /* One reference. */
char *payload_data(struct payload *payload); /* To fill it, before it is shared. */
/* Borrowed for as long as the caller has a reference. */
str payload_bytes(const struct payload *payload);
void payload_ref(struct payload *payload); /* One more; from any thread. */
void payload_unref(struct payload *payload); /* The last one frees. Accepts NULL. */

#endif
