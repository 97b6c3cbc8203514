/*
 * suspension_keys: which suspensions a step's key may mean: in a run, or else below a root.
 *
 * Rows say it without a look into journals: those open below a root, and the last one that is over
 * in a run or below a root. Those open in a run itself are in its state. Where in the journal each
 * was asked and settled is in rows as well, and what was kept for one to come. A suspension that a
 * failed attempt of its code left unanswered is forgotten: the next attempt asks anew.
 *
 * Threading: owned by the partition thread.
 */
#ifndef SERVICE_FEATURES_SUSPENSIONS_SUSPENSION_KEYS_H
#define SERVICE_FEATURES_SUSPENSIONS_SUSPENSION_KEYS_H

#include "service/codec/step_key_rows.h"
#include "service/partition/feature.h"

struct suspension_keys; /* The feature's state. */

enum {
    SUSPENSIONS_MEANT_MAX = 4, /* Of those that are open; there may be more. */
};

/* What a key may mean. */
struct suspensions_meant {
    struct suspension_id open[SUSPENSIONS_MEANT_MAX];
    size_t open_count;
    struct suspension_id over; /* The last one that is over; effect 0: none. */
};

/* Nothing is read yet. Free with suspension_keys_free(). */
struct suspension_keys *suspension_keys_new(struct partition *partition);
void suspension_keys_free(struct suspension_keys *keys); /* Its rows stay. */
/* At start: since when there are rows. DATA_LOSS: the row is damaged. */
status suspension_keys_load(struct suspension_keys *keys);
/* The round's rows are in the store. */
void suspension_keys_committed(struct suspension_keys *keys);
/* The round's rows are in the store, or never will be. */
void suspension_keys_round_over(struct suspension_keys *keys);
/* The event is about to be applied. */
void suspension_keys_note(struct suspension_keys *keys, const struct live_run *run,
                          const struct event *event);
/* The event of another run is about to be applied to its copy. */
void suspension_keys_copied(struct suspension_keys *keys, const struct live_run *run,
                            const struct event *event);

/* In the run, of this round too; if it has none and is a root, below it. DATA_LOSS: rows are
 * damaged. */
status suspension_keys_find(struct suspension_keys *keys, const struct live_run *run, uint64_t key,
                            struct suspensions_meant *ret);
/* Those that are open under any key, looked for alike. */
status suspension_keys_open(struct suspension_keys *keys, const struct live_run *run,
                            struct suspensions_meant *ret);
/* Where in the journal of a run something stands, of this round too: `place` is STEP_KEY_ASKED or
 * STEP_KEY_SETTLED, by the effect, or STEP_KEY_KEPT, by the key. 0: nowhere. DATA_LOSS: the row is
 * damaged. */
status suspension_keys_seq(struct suspension_keys *keys, uuid run, enum step_key_place place,
                           uint64_t key, uint32_t *ret);
/* The run is older than the rows: only its journal says what it has asked. */
bool suspension_keys_lack(const struct suspension_keys *keys, const struct live_run *run);

#endif
