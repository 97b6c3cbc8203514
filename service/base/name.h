/*
 * name: what names of agents, workflows, tools and queues are made of.
 *
 * One rule for all entrances: the API, definitions and hosts ask here.
 */
#ifndef SERVICE_BASE_NAME_H
#define SERVICE_BASE_NAME_H

#include "service/base/base.h"

enum {
    NAME_BYTES_MAX = 128,
    TOOL_NAME_BYTES_MAX = 64,
};

/* 1 to 128 bytes of letters, digits, '_', '-', '.'. */
bool name_is_valid(str name);
/* 1 to 64 bytes of letters, digits, '_', '-': what every provider takes. */
bool tool_name_is_valid(str name);

#endif
