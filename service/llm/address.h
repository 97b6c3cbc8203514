/*
 * address: what a base URL says, and whether it is one the people who run the server have named.
 *
 * An agent may name any base URL, and whoever may define an agent need not be trusted with the
 * server's keys, nor with what only the server can reach. So a key goes only where those people
 * have said: to the provider's own address, to the one they set, to hosts they named.
 */
#ifndef SERVICE_LLM_ADDRESS_H
#define SERVICE_LLM_ADDRESS_H

#include "service/base/arena.h"
#include "service/base/base.h"

struct address_trust {
    str row_url; /* Of the provider's row; empty: it has none. */
    str set_url; /* Of the row's environment variable; empty: it is not set. */
    str key_hosts; /* "host, host:port, [::1]:port": a host without a port stands for all. */
    str model_hosts; /* The same, of hosts that get no key. */
};

/* What is wrong with a base URL, as the end of a sentence; NULL: nothing. */
const char *address_fault(str url);

/* URLs match whole, but for the case of the host, a usual port and slashes at the end. */
bool address_may_have_key(const struct address_trust *trust, str url);

/* "host:port" as it stands in an http or https URL; empty when that is no plain host. A user
 * before an @ or an escape makes it none, since readers of URLs differ about those. */
str address_host(str url);
/* Whether the host and port are those of a URL or list in the trust. */
bool address_is_named(const struct address_trust *trust, str url);
/* The host (an IPv6 one with its brackets) and port it leads to; false: address_fault() says why.
 * After a user's name readers of URLs may differ, so this is not what a connection is judged by. */
bool address_place(str url, str *ret_host, uint16_t *ret_port);
/* "host:port" as --listen takes it; port 0 is any. False: it is something else. */
bool address_listen(str listen, str *ret_host, uint16_t *ret_port);
/* Whether a list as above holds the word. */
bool address_list_has(str list, const char *word);
/* For sentences: without user, query and fragment. */
str address_shown(struct arena *arena, str url);

#endif
