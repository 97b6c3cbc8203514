/*
 * reading: one read of the store on behalf of one call.
 *
 * Invariant: a call is referenced while a read of it is out, so `done` may always use it.
 * Threading: new and post on any thread; the rest in `done`, on a thread of the reads. After
 *            reading_post() the read may already be gone.
 */
#ifndef SERVICE_API_READING_H
#define SERVICE_API_READING_H

#include "service/api/check.h"
#include "service/api/exchange.h"
#include "service/reads/reads.h"

struct run_report;

typedef void reading_done(struct read *read, const struct failure *failure);

struct read *reading_new(struct api_call *call, const struct read_kind *kind, reading_done *done);
struct api_call *reading_call(const struct read *read);
/* Posts it where all was fine; else answers with the check's fault, or that there are too many. */
void reading_post_checked(struct read *read, bool is_fine, const struct check *check);
/* Of a patient read, or one that must not be lost. */
void reading_post_always(struct read *read);
/* True: it failed, the call was told, the read is freed; return. */
[[nodiscard]] bool reading_failed(struct read *read, const struct failure *failure);
/* The call was answered: frees the read, lets go of the call. */
void reading_end(struct read *read);

/* Something of the caller's, which goes with the read. */
void **reading_own(const struct read *read);

/* A read of a run that answers with it: first the store is read, then, if the run lives, the
 * partition is asked. */
struct read *reading_run_new(struct api_call *call, exchange_answer_run *answer);
/* Answers with a run of which the partition has told the state already. Copies the report. */
void reading_answer_report(struct api_call *call, const struct run_report *report,
                           exchange_answer_run *answer);
/* Posts a read of a run that the partition has told of, whatever `done` does with it. */
void reading_post_report(struct read *read, const struct run_report *report);

#endif
