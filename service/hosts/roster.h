/*
 * roster: which hosts there are, and what they offer.
 *
 * A host is there while its session is: connected, or away within its lease. One of before a
 * restart is not, until it has said hello.
 */
#ifndef SERVICE_HOSTS_ROSTER_H
#define SERVICE_HOSTS_ROSTER_H

#include "service/hosts/message.h"

struct hosts;

/* How many hosts offer the tool or the workflow. */
uint32_t hosts_offering(const struct hosts *hosts, enum task_kind kind, str name);
/* How many define the agent, in any version. */
uint32_t hosts_defining(const struct hosts *hosts, str agent_id);
/* How many define this version of an agent. */
uint32_t hosts_defining_version(const struct hosts *hosts, const uint8_t hash[HOST_AGENT_BYTES]);

#endif
