#include "service/features/offers/offers.h"

#include <stdlib.h>

#include "service/codec/index.h"
#include "service/features/queues/queues.h"
#include "service/features/triggers/triggers.h"
#include "service/hosts/roster.h"
#include "service/partition/state.h"

#define FRESH_MS ((uint64_t)3600 * 1000)

/* Asked for in this round, carried out at its end. In the round's arena. */
struct deletion {
    struct deletion *next;
    struct request *request;
};

struct offers {
    struct partition *partition;
    uint64_t heard_round; /* In which a host said hello last. */
    struct deletion *deletions;
    struct deletion **last_deletion;
};

static struct offers *offers_of(const struct partition *partition)
{
    return partition_self(partition, &offers_feature);
}

static str key_of(const struct partition *partition, char ret[KEY_BYTES_MAX], enum task_kind kind,
                  str name)
{
    assert(kind < TASK_KIND_COUNT && name.len > 0);
    return key_index(ret, partition->options.space,
                     kind == TASK_TOOL ? INDEX_TOOL_OFFER : INDEX_WORKFLOW_OFFER, name);
}

static bool is_kept(struct partition *partition, str key, const struct offer_record *offer)
{
    assert(key.len > 0 && offer->offered_ms == partition->now_ms);
    struct offer_record kept;
    str bytes;
    status read = store_get(&partition->store, STORE_INDEX, key, &partition->round_arena, &bytes);
    if (status_is_ok(read)) {
        read = offer_decode(bytes, &partition->round_arena, &kept);
    }
    return status_is_ok(read) && kept.offered_ms + FRESH_MS > offer->offered_ms &&
           kept.offered_ms <= offer->offered_ms && offer_is_same(&kept, offer);
}

void offers_put(struct partition *partition, enum task_kind kind, const struct offer_record *offer)
{
    char bytes[KEY_BYTES_MAX];
    struct offer_record now = *offer;
    now.offered_ms = partition->now_ms;
    assert(offer->tool.name.len > 0 && offer->deployment.len > 0);
    str key = key_of(partition, bytes, kind, offer->tool.name);
    offers_of(partition)->heard_round = partition->stats.rounds;
    if (is_kept(partition, key, &now)) {
        return;
    }
    buf_reset(&partition->packed);
    offer_encode(&now, &partition->packed);
    store_batch_put(&partition->batch, STORE_INDEX, key, buf_str(&partition->packed));
}

/* ---- Deletions. ---- */

static bool is_overtaken(const struct offers *offers, const struct deletion *deletion)
{
    const struct delete_offer_request *asked = delete_offer_request(deletion->request);
    assert(offers->deletions != NULL);
    for (const struct deletion *at = offers->deletions; at != deletion; at = at->next) {
        const struct delete_offer_request *other = delete_offer_request(at->request);
        if (other->kind == asked->kind && str_equal(other->name, asked->name)) {
            return true;
        }
    }
    return false;
}

static str field_of(enum task_kind kind)
{
    return kind == TASK_TOOL ? STR("tool_id") : STR("workflow_id");
}

struct failure offers_missing(enum task_kind kind)
{
    struct failure failure =
        kind == TASK_TOOL
            ? failure_make(CODE_NOT_FOUND, REASON_TOOL_NOT_FOUND,
                           STR("no host offers or has offered this tool; ToolService.List shows "
                               "those there are"))
            : failure_make(CODE_NOT_FOUND, REASON_WORKFLOW_NOT_FOUND,
                           STR("no host offers or has offered this workflow; WorkflowService.List "
                               "shows those there are"));
    failure.field = field_of(kind);
    return failure;
}

static bool check_deletable(struct partition *partition, const struct delete_offer_request *asked,
                            str key, struct failure *ret)
{
    str bytes;
    status found = store_get(&partition->store, STORE_INDEX, key, &partition->round_arena, &bytes);
    if (found.code == CODE_NOT_FOUND) {
        *ret = offers_missing(asked->kind);
    } else if (!status_is_ok(found)) {
        *ret = failure_make(found.code, REASON_STORE_DAMAGED, str_of(found.why));
    } else if (hosts_offering(partition->hosts, asked->kind, asked->name) > 0) {
        *ret = failure_make(CODE_FAILED_PRECONDITION, REASON_DEFINITION_IN_USE,
                            STR("a host offers it; take it from the host's code, or stop the "
                                "host, and delete it then"));
    } else {
        return true;
    }
    ret->field = field_of(asked->kind);
    return false;
}

static void carry_out(struct partition *partition, struct request *request)
{
    const struct delete_offer_request *asked = delete_offer_request(request);
    char bytes[KEY_BYTES_MAX];
    struct failure failure;
    assert(asked->name.len > 0);
    str key = key_of(partition, bytes, asked->kind, asked->name);
    if (!check_deletable(partition, asked, key, &failure)) {
        request_fail_later(partition, request, &failure);
        return;
    }
    store_batch_delete(&partition->batch, STORE_INDEX, key);
    if (asked->kind == TASK_WORKFLOW) {
        struct queue_default_offer none = {.workflow = asked->name, .queue = STR_EMPTY};
        bool is_taken = queues_offer_default(partition, &none, &failure);
        assert(is_taken); /* It defines no queue. */
        triggers_drop(partition, asked->name);
    }
    request_answer_later(partition, request);
}

/* At the round's end. While a hello is on its way its host is not there yet. */
static void seal(void *self)
{
    struct offers *offers = self;
    struct partition *partition = offers->partition;
    bool is_hearing = offers->heard_round == partition->stats.rounds;
    for (struct deletion *at = offers->deletions; at != NULL; at = at->next) {
        if (is_hearing || is_overtaken(offers, at)) {
            partition_post_always(partition, at->request);
        } else {
            carry_out(partition, at->request);
        }
    }
}

static void over(void *self)
{
    struct offers *offers = self;
    assert(offers->partition != NULL);
    offers->deletions = NULL;
    offers->last_deletion = &offers->deletions;
}

static void handle_delete(struct partition *partition, struct request *request)
{
    struct offers *offers = offers_of(partition);
    struct deletion *deletion = arena_zalloc(&partition->round_arena, sizeof(*deletion));
    deletion->request = request;
    assert(delete_offer_request(request)->kind < TASK_KIND_COUNT);
    *offers->last_deletion = deletion;
    offers->last_deletion = &deletion->next;
}

const struct operation delete_offer_operation = {
    .name = "delete_offer",
    .request_bytes = sizeof(struct delete_offer_request),
    .handle = handle_delete,
};

static void *start(struct partition *partition)
{
    struct offers *offers = xcalloc(1, sizeof(*offers));
    offers->partition = partition;
    over(offers);
    return offers;
}

static void stop(void *self)
{
    free(self);
}

static const struct feature *const uses[] = {&queues_feature, &triggers_feature, NULL};

const struct feature offers_feature = {
    .name = "offers",
    .uses = uses,
    .start = start,
    .at = {[ROUND_SEALS] = seal, [ROUND_OVER] = over},
    .stop = stop,
};
