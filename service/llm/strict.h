/*
 * strict: which schemas OpenAI's strict mode takes.
 *
 * In that mode the provider answers by the schema for certain; a schema that holds what the mode
 * does not know is refused there, and the call with it. So it is asked for only where all of a
 * schema is known to be taken.
 */
#ifndef SERVICE_LLM_STRICT_H
#define SERVICE_LLM_STRICT_H

#include "service/base/base.h"

/* Every object lists all of its members as required and allows no others, and no word stands in it
 * that the mode does not know. schema: valid JSON. */
bool strict_takes(str schema);

#endif
