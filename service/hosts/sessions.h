/*
 * sessions: the registry of all sessions, and how each is found.
 *
 * Invariant: a session is found by its number until it is OVER, an EXPECTED one also by its
 *            host's hash, any other by its token and, unless it is REPLACED, by its host id.
 */
#ifndef SERVICE_HOSTS_SESSIONS_H
#define SERVICE_HOSTS_SESSIONS_H

#include "service/hosts/session.h"

/* No sessions. */
void sessions_init(struct hosts *hosts);
/* Every session must be over. */
void sessions_fini(struct hosts *hosts);

/* NULL: none. So in the next three. */
struct host_session *sessions_find_number(const struct hosts *hosts, uint64_t number);
/* Neither EXPECTED nor REPLACED. */
struct host_session *sessions_find_host(const struct hosts *hosts, str host_id);
/* An EXPECTED one. */
struct host_session *sessions_find_expected(const struct hosts *hosts, uint64_t host_hash);
/* By what its Welcome said. */
struct host_session *sessions_find_token(const struct hosts *hosts, str token);

/* A new session, AWAY or EXPECTED, whose number, host and token are set. */
void sessions_add(struct hosts *hosts, struct host_session *session);
/* It is found no more. Before it is OVER. */
void sessions_remove(struct hosts *hosts, struct host_session *session);

#endif
