/*
 * roster: which hosts there are, and what they offer.
 *
 * A host is there while its session is: connected, or away within its lease. One of before a
 * restart is not, until it has said hello.
 */
#ifndef SERVICE_HOSTS_ROSTER_H
#define SERVICE_HOSTS_ROSTER_H

#include "service/base/arena.h"
#include "service/hosts/message.h"

struct hosts;

/* How many hosts offer the tool or the workflow. */
uint32_t hosts_offering(const struct hosts *hosts, enum task_kind kind, str name);
/* How many define the agent, in any version. */
uint32_t hosts_defining(const struct hosts *hosts, str agent_id);
/* How many define this version of an agent. */
uint32_t hosts_defining_version(const struct hosts *hosts, const uint8_t hash[HOST_AGENT_BYTES]);

/* Names of one kind that a host offers. */
struct host_names {
    str *names;
    size_t count;
};

/* A host as it is shown. Its texts live as long as the arena. */
struct host_view {
    str host_id;
    str deployment;
    str user_agent;
    bool is_connected; /* Else it is away within its lease. */
    bool is_draining; /* It is given nothing new. */
    uint32_t slots;
    uint32_t tasks; /* That it holds. */
    uint64_t age_ms; /* Since its session began. */
    uint64_t silence_ms; /* Since something was heard of it. */
    struct host_names tools;
    struct host_names workflows;
    struct host_names agents;
};

struct host_page {
    struct host_view *hosts; /* By their ids. */
    size_t count;
    bool has_more;
};

/* At most `limit` (at least 1) of the hosts after this id, of this deployment; both may be empty.
 * Those that offer much make a page short. Costs what all hosts are, of which there are few. */
void hosts_list(struct hosts *hosts, str after, str deployment, size_t limit, uint64_t now_ms,
                struct arena *arena, struct host_page *ret);
/* The host is given nothing new until its session ends; what it holds stays its own. False: it is
 * not there. */
bool hosts_set_aside(struct hosts *hosts, str host_id, uint64_t now_ms, struct arena *arena,
                     struct host_view *ret);

#endif
