/*
 * run_waiting: what a run waits for, in sentences.
 */
#ifndef SERVICE_API_RUN_WAITING_H
#define SERVICE_API_RUN_WAITING_H

#include "polos/v1/common.pb-c.h"
#include "service/features/reports/reports.h"

/* What the journal tells beyond the state; empty where it is not known. */
struct run_waiting_hints {
    str model; /* As the provider named it last. */
    str failure; /* Of the last model call, or attempt of the run, that failed. */
    str hosts[ENGINE_EFFECTS_MAX]; /* Per effect: who has it. */
};

/* Fills `waiting`; nothing for a run that has ended. */
void run_waiting(const struct run_report *report, const struct run_waiting_hints *hints,
                 struct arena *arena, Polos__V1__Run *run);

#endif
