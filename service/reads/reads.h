/*
 * reads: what callers want to see of the store, read beside the partition.
 *
 * A read is a job that does one page per step and is then queued behind the others, so that a long
 * one delays the short ones by a page each. Those that come in numbers, to show what lies behind to
 * whoever follows something, are queued by themselves: of two steps one is theirs. It holds nothing
 * of the store between its steps. A step knows no thread: polosd drives each lane with one
 * (reads_start), the simulation with its world (reads_step).
 *
 * Invariant: `done` of a read that was posted is called once, on its lane's thread.
 * Order:     a read sees every commit that was done before it was posted. Reads about one run stay
 *            in one lane, in the order they came, but for those that take several steps.
 * Threading: new, start, stop and free from one thread; post from any; step by one thread for each
 *            lane.
 */
#ifndef SERVICE_READS_READS_H
#define SERVICE_READS_READS_H

#include "service/base/apart.h"
#include "service/base/arena.h"
#include "service/base/failure.h"
#include "service/base/inbox.h"
#include "service/base/principal.h"
#include "service/base/uuid.h"
#include "storage/keys.h"
#include "storage/store.h"

enum {
    READ_PAGE_BYTES = 1 << 20, /* Read from the store in one step, ... */
    READ_PAGE_ROWS = 1000, /* ... and rows looked at. */
    READ_ARENA_BYTES_MAX = 32 << 20, /* Of one read; over it, it fails. */
};

struct read;
struct reads;

/* What is read from. */
struct reads_source {
    struct store store; /* Borrowed: it outlives the reads. */
    struct key_space space;
    struct apart *apart; /* Runs that are set apart; NULL: none. Borrowed. */
    size_t page_bytes; /* 0: READ_PAGE_BYTES. */
    size_t page_rows; /* 0: READ_PAGE_ROWS. */
};

/* One const row for each kind of read. */
struct read_kind {
    const char *name;
    size_t read_bytes; /* Of the struct that begins with struct read. */
    /* Does one page. *ret_over true: it has all that it was to read. A failure ends it, too. */
    status (*step)(struct read *read, const struct reads_source *source, bool *ret_over);
    /* There may be many, each of many pages: together they get every other step of their lane. */
    bool is_patient;
};

struct read {
    struct inbox_node node;
    const struct read_kind *kind;
    struct arena arena; /* Owns every str of the read. Bounded. */
    /* Called once; `failure` NULL: it was read. The read is freed by whoever `done` belongs to. */
    void (*done)(struct read *read, const struct failure *failure);
    void *context; /* The caller's. */
    struct principal principal; /* For whom; the server itself unless it was said otherwise. */
    uuid run; /* The run it is about; zero: it is about none. */
};

struct reads_options {
    struct reads_source source;
    size_t lanes; /* 0: 1. */
    size_t queue_max; /* Reads of one lane; 0: 4,096. */
};

/* Zeroed but for its kind and arena. Free with read_free(). */
struct read *read_new(const struct read_kind *kind);
void read_free(struct read *read); /* By whoever its `done` belongs to. */

/* Its lanes stand still until they are stepped or started. Free with reads_free(). */
struct reads *reads_new(const struct reads_options *options);
/* What was not done is answered with UNAVAILABLE. Accepts NULL. */
void reads_free(struct reads *reads);

/* What is wrong with a run: NOT_FOUND where it was deleted while it was read. */
status read_checked(const struct reads_source *source, uuid run, status why);

/* False: its lane is full; the read stays the caller's (answer RESOURCE_EXHAUSTED). */
[[nodiscard]] bool reads_post(struct reads *reads, struct read *read);
/* For one that had a place before and goes on, and for a patient one. */
void reads_post_always(struct reads *reads, struct read *read);
/* One step of the lane's next read. False: none waited. */
bool reads_step(struct reads *reads, size_t lane);
size_t reads_lanes(const struct reads *reads); /* At least 1. */
/* Posted and not done, in all lanes; may be late by a moment. */
size_t reads_waiting(struct reads *reads);

/* A thread for each lane. */
void reads_start(struct reads *reads);
/* Waits for the steps under way. */
void reads_stop(struct reads *reads);

/* By pool.c: until a read waits in the lane; reads_wake() ends it, too. */
void reads_wait(struct reads *reads, size_t lane);
/* From any thread; the lane goes on as if a read had come. */
void reads_wake(struct reads *reads, size_t lane);

#endif
