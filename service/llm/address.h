/*
 * address: whether the key of a provider may go where a request goes.
 *
 * An agent may name any base URL, and whoever may define an agent need not be trusted with
 * the server's keys. So a key goes only where the people who run the server have said: to the
 * provider's own address, to the one they set, to hosts they named.
 */
#ifndef SERVICE_LLM_ADDRESS_H
#define SERVICE_LLM_ADDRESS_H

#include "service/base/base.h"

struct address_trust {
    str row_url; /* Of the provider's row; empty: it has none. */
    str set_url; /* Of the row's environment variable; empty: it is not set. */
    str key_hosts; /* "host, host:port, [::1]:port": a host without a port stands for all. */
};

/* URLs match whole, but for the case of the host, a usual port and slashes at the end. */
bool address_may_have_key(const struct address_trust *trust, str url);

/* "host:port" as it stands in an http or https URL; empty when that is no plain host. A user
 * before an @ or an escape makes it none, since readers of URLs differ about those. */
str address_host(str url);

#endif
