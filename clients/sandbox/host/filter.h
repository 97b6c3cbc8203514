/*
 * filter: the system calls that nobody in a sandbox may make, as a program for the kernel
 * (seccomp).
 *
 * What programs need is allowed; refused is what changes the machine, looks into other processes or
 * opens parts of the kernel that have been ways out. A refused call fails as one without rights.
 */
#ifndef CLIENTS_SANDBOX_HOST_FILTER_H
#define CLIENTS_SANDBOX_HOST_FILTER_H

#include <linux/filter.h>

#include "service/base/base.h"

enum {
    FILTER_LENGTH_MAX = 160,
};

/* Returns how many instructions it is. */
size_t filter_make(struct sock_filter ret[FILTER_LENGTH_MAX]);

#endif
