/*
 * suspension_facts: what the journal of a run says of its suspensions, and whether an answer fits.
 *
 * Threading: the partition thread.
 */
#ifndef SERVICE_FEATURES_SUSPENSIONS_SUSPENSION_FACTS_H
#define SERVICE_FEATURES_SUSPENSIONS_SUSPENSION_FACTS_H

#include "service/features/suspensions/suspensions.h"

/* What is searched, and what was found. */
struct suspension_facts {
    str key;
    uint32_t effect; /* The one that is searched, or the last one found; 0: none yet. */
    bool is_only; /* It is not the key that is searched. */
    bool found;
    struct suspension last;
    /* The answer that was kept for it. */
    bool kept_found;
    struct outcome kept;
    str kept_by;
    uuid root;
    str name;
};

/* One suspension of the run, found by its rows. */
status suspension_facts_of(struct partition *partition, const struct live_run *run, uint32_t effect,
                           struct arena *arena, struct suspension_facts *ret);
/* In runs that are older than the rows, through the whole journal: one suspension, where `effect`
 * is not 0; else the last one under the key. DATA_LOSS: the journal is damaged. */
status suspension_facts_search(struct partition *partition, uuid run, uint32_t effect, str key,
                               struct arena *arena, struct suspension_facts *ret);
/* The answer that was kept for a key. NOT_FOUND: none was. */
status suspension_facts_kept(struct partition *partition, const struct live_run *run, str key,
                             struct arena *arena, struct outcome *ret, str *ret_by);
/* Whether the answer, JSON text, fits the schema; an empty one fits all. INVALID_ARGUMENT: where it
 * does not, and why. DATA_LOSS: the schema is none. */
status answer_judge(str schema, str data, struct arena *arena);

/* The WAIT_SET of a suspension goes into the batch: what an older release would not heed. */
void suspension_raise_level(struct partition *partition, const struct event *event);

#endif
