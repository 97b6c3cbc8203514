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
struct payload *payload_copy(str bytes);
char *payload_data(struct payload *payload);
str payload_bytes(const struct payload *payload);
void payload_ref(struct payload *payload);
void payload_unref(struct payload *payload); /* Accepts NULL. */

#endif
