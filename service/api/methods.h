/*
 * methods: the calls that the services have, one table for each file of handlers.
 *
 * Each ends with a row whose path is NULL.
 *
 * Order: `closed` of a unary handler does nothing: its request is out, and the answer to it
 *        finishes the call whether anybody listens or not.
 */
#ifndef SERVICE_API_METHODS_H
#define SERVICE_API_METHODS_H

#include "service/api/call.h"

extern const struct api_method admin_methods[];
extern const struct api_method agent_list_methods[];
extern const struct api_method agents_methods[];
extern const struct api_method connect_methods[];
extern const struct api_method heartbeat_methods[];
extern const struct api_method history_methods[];
extern const struct api_method hosts_methods[];
extern const struct api_method queues_methods[];
extern const struct api_method run_list_methods[];
extern const struct api_method run_wait_methods[];
extern const struct api_method runs_methods[];
extern const struct api_method schedules_methods[];
extern const struct api_method subscribe_methods[];
extern const struct api_method suspend_methods[];
extern const struct api_method tools_methods[];
extern const struct api_method topics_methods[];
extern const struct api_method watch_methods[];
extern const struct api_method workflows_methods[];

#endif
