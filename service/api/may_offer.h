/*
 * may_offer: whether the caller's key lets a host offer what it says it has.
 */
#ifndef SERVICE_API_MAY_OFFER_H
#define SERVICE_API_MAY_OFFER_H

#include "service/api/check.h"

struct agent_definition;
struct host_hello;

/* All that a hello offers: tools, workflows, agents. Where one name is not the key's the whole is
 * refused: PERMISSION_DENIED, in the check. A caller without a key may offer all. */
bool check_hello_offers(struct check *check, const struct api_call *call,
                        const struct host_hello *hello, const struct agent_definition *agents,
                        size_t agent_count);
/* The same of one agent; `field` names its id. */
bool check_agent_offer(struct check *check, const struct api_call *call, const char *field, str id);

#endif
