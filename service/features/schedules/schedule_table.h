/*
 * schedule_table: the schedules in memory, found by id, and their rows.
 *
 * Inputs and what runs are started with are rows only; so is nothing else.
 *
 * Invariant: due_ms is 0 exactly when problem says why.
 * Threading: owned by the partition thread.
 */
#ifndef SERVICE_FEATURES_SCHEDULES_SCHEDULE_TABLE_H
#define SERVICE_FEATURES_SCHEDULES_SCHEDULE_TABLE_H

#include "service/base/map.h"
#include "service/codec/index.h"
#include "service/codec/schedule_row.h"
#include "service/features/schedules/schedules.h"
#include "service/partition/state.h"
#include "service/schedule/cron.h"
#include "service/schedule/zone.h"

enum {
    SCHEDULES_MAX = 100000,
};

struct schedule {
    struct schedule_row row; /* Its texts are this struct's. */
    char *id; /* The name of what it starts, '/', the key. */
    size_t name_len;
    char *texts; /* Of the row. */
    enum run_kind kind;
    bool has_terms; /* A row has the options of its runs. */
    bool is_broken; /* That row is damaged. */
    char *pause; /* Its cause; NULL: it is not paused. */
    uint64_t put_round; /* Its rows were put then, and may not be read before the next. */
    struct cron cron;
    const struct zone *zone;
    uint64_t due_ms; /* 0: never, see problem. */
    char *problem; /* Why it rests; NULL: it does not. */
};

/* The feature's state. */
struct schedules {
    struct partition *partition;
    struct schedule **list;
    uint32_t count;
    size_t capacity;
    struct map by_id;
    struct zone_entry *zones; /* In memory, shared. */
    uint64_t next_ms; /* When the first is due; 0: none. */
    bool is_unread; /* The rows could not be read after a failed commit. */
    uint64_t read_again_ms;
};

/* Empty; end with schedule_table_free(). */
struct schedules *schedule_table_new(struct partition *partition);
void schedule_table_free(struct schedules *schedules); /* With its zones. */
/* Of the partition. */
struct schedules *schedules_of(const struct partition *partition);

/* Its id. Borrowed. */
str schedule_id(const struct schedule *schedule);
str schedule_name(const struct schedule *schedule); /* The id up to its '/'. */
str schedule_key(const struct schedule *schedule); /* And after it. */

/* NULL: there is none. */
struct schedule *schedule_find(const struct schedules *schedules, str id);
/* A new one, a workflow's; its row is to be set. */
struct schedule *schedule_add(struct schedules *schedules, str id, size_t name_len);
/* From memory. */
void schedule_drop(struct schedules *schedules, struct schedule *schedule);
/* Something has changed that says when the first is due. */
void schedules_find_next(struct schedules *schedules);

/* A zone of that name. INVALID_ARGUMENT: there is none; FAILED_PRECONDITION: there is no folder of
 * zones. What it says is in the arena. */
status schedule_zone(struct partition *partition, str name, struct arena *arena,
                     const struct zone **ret);
/* Takes the texts of a row, and finds out when it is due. */
void schedule_set_row(struct partition *partition, struct schedule *schedule,
                      const struct schedule_row *row);
/* When it is due, and why never, by its row, its pause and its zone. */
void schedule_settle(struct partition *partition, struct schedule *schedule);
/* NULL: it goes on. Copies it. To be settled. */
void schedule_set_pause(struct schedule *schedule, const str *cause);

/* Into the batch. */
void schedule_put_row(struct partition *partition, struct schedule *schedule);
/* All its rows of one kind, by its id: INDEX_SCHEDULE and those that go with it. */
str schedule_row_key(const struct partition *partition, char ret[KEY_BYTES_MAX],
                     enum index_kind kind, str id);
/* The input of its runs; empty: none. It is committed. */
status schedule_input(struct partition *partition, const struct schedule *schedule,
                      struct arena *arena, str *ret);
/* What its runs are started with; nothing is set when it says nothing. It is committed. */
status schedule_options(struct partition *partition, const struct schedule *schedule,
                        struct arena *arena, struct start_options *ret, str *ret_provider_options);
/* NULL: there is none, or they could not be read. */
struct schedule *schedules_find_or_refuse(struct partition *partition, str id, struct failure *ret);
/* From the rows: at the start, and after a round that failed. */
status schedules_read(struct partition *partition);

#endif
