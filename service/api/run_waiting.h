/*
 * run_waiting: what a run waits for, in sentences.
 */
#ifndef SERVICE_API_RUN_WAITING_H
#define SERVICE_API_RUN_WAITING_H

#include "polos/v1/common.pb-c.h"
#include "service/features/reports/reports.h"
#include "service/reads/run_read.h"

/* What is known of a run: what the store tells, and what the partition does. */
struct run_known {
    const struct run_facts *facts;
    const struct run_report *report; /* NULL: it was not asked. */
    /* What the newest records tell beyond the facts; empty where it is not known. */
    str model; /* As the provider named it last. */
    str failure; /* Of the last model call, or attempt of the run, that failed. */
};

/* Fills `waiting`; nothing for a run that has ended. One whose history is being copied waits for
 * that alone, and its status says that it waits. */
void run_waiting(const struct run_known *known, struct arena *arena, Polos__V1__Run *run);

#endif
