/*
 * kept_state: the state of a run's code, as the code left it. Its texts are borrowed.
 */
#ifndef SERVICE_BASE_KEPT_STATE_H
#define SERVICE_BASE_KEPT_STATE_H

#include "service/base/base.h"

struct kept_state {
    str json; /* Empty: none; where something is told of a state: it is as it was. */
    str type; /* What hosts need beside the JSON; empty: nothing. */
};

#endif
