/*
 * host_step_request: what a task's code asks for, between its wire form and the plain struct.
 */
#ifndef SERVICE_API_HOST_STEP_REQUEST_H
#define SERVICE_API_HOST_STEP_REQUEST_H

#include "polos/v1/steps.pb-c.h"
#include "service/api/check.h"
#include "service/hosts/message.h"

enum {
    HOST_CHILDREN_MAX = 1000,
};

/* Not its task, epoch and key. False: the check holds the fault. The result lives as long as the
 * check's arena. */
bool host_step_request_take(struct check *check, const Polos__V1__StepRequest *proto,
                            struct host_step_request *ret);

#endif
