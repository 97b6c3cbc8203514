/*
 * request: what somebody asks of a partition, and how it is answered.
 *
 * Each request is a struct of its own that begins with struct request, and has one row that says
 * how it is carried out: the operation. Whoever posts it keeps its struct; the partition calls
 * `done` once.
 *
 * Order:     a caller's answer follows the commit of what it asked for.
 * Threading: made and filled by any thread; from partition_post() on the partition thread's, until
 *            `done` is called there.
 */
#ifndef SERVICE_PARTITION_REQUEST_H
#define SERVICE_PARTITION_REQUEST_H

#include "service/base/arena.h"
#include "service/base/failure.h"
#include "service/base/inbox.h"
#include "service/base/principal.h"
#include "service/base/uuid.h"

struct partition;
struct request;

/* One const row for each kind of request. */
struct operation {
    const char *name;
    size_t request_bytes; /* Of the struct that begins with struct request. */
    /* Carried out after the round's commit: it answers what is durable. */
    bool is_read;
    /* Handled also while its run is_copying; the others wait until that has its whole history. */
    bool is_for_copies;
    /* Answers, now or later, by one of the functions below. */
    void (*handle)(struct partition *partition, struct request *request);
};

struct request {
    struct inbox_node node;
    const struct operation *operation;
    struct arena arena; /* Owns every str of the request. */
    /*
     * Called once on the partition thread; `failure` NULL: it was done. NULL: nobody waits. The
     * request is freed by whoever `done` belongs to, with request_free(); without `done`, by the
     * partition.
     */
    void (*done)(struct request *request, const struct failure *failure);
    void *context; /* The caller's. */
    struct principal principal; /* For whom; the server itself unless it was said otherwise. */
    uuid run; /* The run it is about, where it is about one. */
    size_t bytes; /* What it weighs in the inbox, from partition_post() until it is handled. */
    bool holds_peer; /* Its poster's: no more is read from the peer until it is done. */
};

/* Zeroed but for its operation and arena. Free with request_free(). */
struct request *request_new(const struct operation *operation);
/* By whoever `done` belongs to. */
void request_free(struct request *request);

/* Answers now; failure NULL: it was done. */
void request_answer(struct partition *partition, struct request *request,
                    const struct failure *failure);
/* Answers after the commit, when the round's facts are durable. */
void request_answer_later(struct partition *partition, struct request *request);
/* Refuses after the commit: the reason is a fact of this very round. Copies the failure. */
void request_fail_later(struct partition *partition, struct request *request,
                        const struct failure *failure);
/* Refuses now, with no field. */
void request_fail(struct partition *partition, struct request *request, enum code code,
                  enum reason reason, const char *message);
/* The run it names could not be read: RUN_NOT_FOUND, RUN_UNREADABLE with the reason,
 * or STORE_DAMAGED.  */
void request_fail_run(struct partition *partition, struct request *request, status why);
/* Refuses what will never be carried out: the partition ends. Needs no partition. */
void request_refuse(struct request *request);

#endif
