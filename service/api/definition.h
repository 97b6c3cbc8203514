/*
 * definition: agents as the API words them, checked and copied.
 */
#ifndef SERVICE_API_DEFINITION_H
#define SERVICE_API_DEFINITION_H

#include "polos/v1/definitions.pb-c.h"
#include "service/agents/definition.h"
#include "service/api/check.h"

/* prefix: the path of the message, with its dot: "agent." or "hello.agents[2].". False: the check
 * holds the fault. The result lives as long as the check's arena. */
bool definition_take(struct check *check, const char *prefix,
                     const Polos__V1__AgentDefinition *proto, struct agent_definition *ret);
/* As definition_take, of one tool. */
bool definition_take_tool(struct check *check, const char *prefix,
                          const Polos__V1__ToolDefinition *proto, struct tool_definition *ret);

#endif
