#include "service/features/features.h"

#include "service/features/callers/callers.h"
#include "service/features/children/children.h"
#include "service/features/definitions/definitions.h"
#include "service/features/deletions/deletions.h"
#include "service/features/forks/forks.h"
#include "service/features/histories/histories.h"
#include "service/features/idempotency/idempotency.h"
#include "service/features/inputs/inputs.h"
#include "service/features/keys/keys.h"
#include "service/features/lines/lines.h"
#include "service/features/lists/lists.h"
#include "service/features/models/models.h"
#include "service/features/offers/offers.h"
#include "service/features/owed/owed.h"
#include "service/features/publications/publications.h"
#include "service/features/queues/queues.h"
#include "service/features/reports/reports.h"
#include "service/features/schedules/schedules.h"
#include "service/features/starts/starts.h"
#include "service/features/suspensions/suspensions.h"
#include "service/features/tasks/tasks.h"
#include "service/features/topics/topics.h"
#include "service/features/trees/trees.h"
#include "service/features/triggers/triggers.h"
#include "service/features/versions/versions.h"
#include "service/features/waits/waits.h"
#include "service/features/watchers/watchers.h"
#include "service/partition/state.h"

/*
 * Queues note a run before a host is looked for. Those who are told of a run's end come before
 * those who start something for it. Children come after them: what a run's end or its cancellation
 * does to other runs follows when all is done for the run itself. What is owed is worked on when
 * all others were heard, and made rows when all have decided.
 */
const struct feature *const features_all[] = {
    &queues_feature,   &definitions_feature, &idempotency_feature, &trees_feature,
    &starts_feature,   &lists_feature,       &topics_feature,      &publications_feature,
    &triggers_feature, &schedules_feature,   &lines_feature,       &models_feature,
    &offers_feature,   &watchers_feature,    &callers_feature,     &tasks_feature,
    &versions_feature, &waits_feature,       &suspensions_feature, &reports_feature,
    &forks_feature,    &histories_feature,   &children_feature,    &deletions_feature,
    &inputs_feature,   &owed_feature,        &keys_feature,        NULL,
};

static_assert(COUNT_OF(features_all) - 1 <= PARTITION_FEATURES_MAX, "each has a place");
