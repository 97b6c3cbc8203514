/*
 * step_key_rows: which suspensions a step's key may mean, in a run and below the root of a tree.
 *
 *   open below a root    root 16 | 0 | hash of the key 8 | run 16 | effect 4  -> nothing
 *   over below a root    root 16 | 1 | hash of the key 8  -> the last one: run 16 | u32 effect
 *   over in a run        run 16 | 2 | hash of the key 8   -> the last one: run 16 | u32 effect
 *   asked in a run       run 16 | 3 | effect 8            -> u32 seq of its WAIT_SET
 *   settled in a run     run 16 | 4 | effect 8            -> u32 seq of its WAIT_SETTLED
 *   kept in a run        run 16 | 5 | hash of the key 8   -> u32 seq of its RESUME_KEPT
 *   since                -> u64: runs that were started later, Unix ms, have their rows
 *
 * Those that are open in a run itself are in its state. What a failed attempt left unanswered is
 * not among those that are over.
 */
#ifndef SERVICE_CODEC_STEP_KEY_ROWS_H
#define SERVICE_CODEC_STEP_KEY_ROWS_H

#include "service/base/uuid.h"
#include "service/codec/index.h"

/* On disk: never renumbered. */
enum step_key_place {
    STEP_KEY_OPEN_BELOW = 0, /* Scope: the root. */
    STEP_KEY_OVER_BELOW = 1, /* Scope: the root. */
    STEP_KEY_OVER = 2, /* Scope: the run. */
    STEP_KEY_ASKED = 3, /* The run; by the effect in place of the key. */
    STEP_KEY_SETTLED = 4, /* As ASKED. */
    STEP_KEY_KEPT = 5, /* The run. */
};

/* One suspension of one run. */
struct suspension_id {
    uuid run;
    uint32_t effect; /* 0: none. */
};

enum {
    SUSPENSION_ID_BYTES = 20,
    STEP_KEY_SEQ_BYTES = 4,
};

/* The prefix of all keys of all its places. */
struct index_tail step_key_rows_in(uuid scope);
/* The prefix of all keys of a place. */
struct index_tail step_key_rows_of(uuid scope, enum step_key_place place);
/* The tail of what is over; the prefix of those that are open. */
struct index_tail step_key_row_tail(uuid scope, enum step_key_place place, uint64_t key);
struct index_tail step_key_open_tail(uuid root, uint64_t key, struct suspension_id id);
/* Of the tail of one that is open. DATA_LOSS: it is damaged. */
status step_key_open_decode(str tail, struct suspension_id *ret);
/* The value of what is over. */
void suspension_id_encode(struct suspension_id id, char ret[SUSPENSION_ID_BYTES]);
/* The value of what was asked, settled or kept. */
void step_key_seq_encode(uint32_t seq, char ret[STEP_KEY_SEQ_BYTES]);
/* DATA_LOSS: it is damaged. */
status step_key_seq_decode(str value, uint32_t *ret);
/* DATA_LOSS: it is damaged. */
status suspension_id_decode(str value, struct suspension_id *ret);

#endif
