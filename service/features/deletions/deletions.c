#include "service/features/deletions/deletions.h"

#include "service/base/endian.h"
#include "service/base/sys.h"
#include "service/features/children/children.h"
#include "service/features/forks/forks.h"
#include "service/features/owed/owed.h"
#include "service/features/suspensions/suspensions.h"
#include "service/features/trees/trees.h"
#include "service/partition/erase.h"
#include "service/partition/state.h"

enum {
    OWED_DELETION = 6, /* On disk. */
    CURSOR_SEQ_AT = 12,
    FIRST_SEQ_LEFT = 2,
};

/* What is left of a run after those below it: a cursor that is no run's id. */
static uuid cursor_of(uint32_t seq)
{
    uuid cursor = {{0}};
    assert(seq > 0);
    endian_put_be((char *)cursor.bytes + CURSOR_SEQ_AT, seq, sizeof(seq));
    return cursor;
}

/* 0: those below come first. */
static uint32_t seq_of(uuid cursor)
{
    static const uint8_t zeros[CURSOR_SEQ_AT];
    bool is_id = memcmp(cursor.bytes, zeros, sizeof(zeros)) != 0;
    return is_id ? 0
                 : (uint32_t)endian_get_be((const char *)cursor.bytes + CURSOR_SEQ_AT,
                                           sizeof(uint32_t));
}

/* The rest of a run that has none below it. *ret_over: nothing is left of it. */
static status erase_rest(struct partition *partition, struct owed *owed, size_t *budget,
                         bool *ret_over)
{
    uint32_t seq = seq_of(owed->cursor);
    bool has_more = true;
    *ret_over = false;
    assert(seq > 0);
    TRY(suspensions_erase(partition, owed->target, budget, &has_more));
    if (has_more || *budget == 0) {
        return STATUS_OK;
    }
    if (uuid_equal(owed->target, owed->source)) {
        TRY(tree_erase_order(partition, owed->source, budget, &has_more));
        if (has_more || *budget == 0) {
            return STATUS_OK;
        }
    }
    TRY(erase_records(partition, owed->target, &seq, budget));
    *ret_over = seq == 0;
    owed->cursor = *ret_over ? owed->cursor : cursor_of(seq);
    return STATUS_OK;
}

static const struct owed_kind delete_owed;

/* It is gone; what is left of it goes now, or is owed. */
static status erase_run(struct partition *partition, uuid root, uuid run, size_t *budget)
{
    struct owed owed = {.target = run, .source = root};
    bool is_over = false;
    assert(!uuid_is_zero(root) && !uuid_is_zero(run));
    erase_begin(partition, run);
    if (*budget > 0 && !children_are_there(partition, run)) {
        owed.cursor = cursor_of(FIRST_SEQ_LEFT);
        TRY(erase_rest(partition, &owed, budget, &is_over));
    }
    if (!is_over) {
        owed_post(partition, root, &delete_owed, &owed);
    }
    return STATUS_OK;
}

/* A retry shares runs with the run it goes on for; they go with that one. */
static bool is_of_tree(struct partition *partition, uuid root, uuid run)
{
    struct run_spec spec;
    status read = erase_read_start(partition, run, &partition->round_arena, &spec);
    return !status_is_ok(read) || uuid_equal(spec.root, root);
}

/* False: not in this round. */
static bool take_child(struct partition *partition, const struct owed *owed, uuid child,
                       size_t *budget, status *ret)
{
    char id[UUID_TEXT_BYTES];
    bool is_its = is_of_tree(partition, owed->source, child);
    enum erasable may = is_its ? erase_may(partition, child) : ERASABLE_GONE;
    assert(*budget > 0);
    *ret = STATUS_OK;
    if (may == ERASABLE_LATER || forks_copy_from(partition, child)) {
        return false;
    }
    --*budget;
    if (may == ERASABLE_NOT) {
        uuid_format(child, id);
        log_line(LOG_WARN, "run_not_deleted", "run=%s; it has not ended", id);
    }
    children_unlink(partition, owed->target, child);
    if (may == ERASABLE) {
        *ret = erase_run(partition, owed->source, child, budget);
    }
    return true;
}

/* *ret_over: none is left below. */
static status erase_below(struct partition *partition, struct owed *owed, size_t *budget,
                          bool *ret_over)
{
    struct run_ids below = {.arena = &partition->round_arena};
    size_t limit = *budget;
    status taken = STATUS_OK;
    *ret_over = false;
    assert(limit > 0 && seq_of(owed->cursor) == 0);
    TRY(children_read(partition, owed->target, owed->cursor, limit, &below));
    for (size_t i = 0; i < below.count; i++) {
        if (*budget == 0 || !take_child(partition, owed, below.ids[i], budget, &taken)) {
            return STATUS_OK;
        }
        TRY(taken);
        owed->cursor = below.ids[i];
    }
    *ret_over = below.count < limit;
    return STATUS_OK;
}

static enum owed_result erase(struct partition *partition, struct owed *owed, size_t *budget)
{
    bool is_over = false;
    status erased = STATUS_OK;
    assert(*budget > 0);
    if (seq_of(owed->cursor) == 0) {
        erased = erase_below(partition, owed, budget, &is_over);
        if (status_is_ok(erased) && is_over) {
            owed->cursor = cursor_of(FIRST_SEQ_LEFT);
            is_over = false;
        }
    }
    if (status_is_ok(erased) && seq_of(owed->cursor) != 0 && *budget > 0) {
        erased = erase_rest(partition, owed, budget, &is_over);
        *budget -= *budget > 0 ? 1 : 0;
    }
    if (!status_is_ok(erased)) {
        *budget -= *budget > 0 ? 1 : 0;
        return owed_unread(erased);
    }
    return is_over ? OWED_DONE : OWED_GOES_ON;
}

static const struct owed_kind delete_owed = {
    .name = "delete", .number = OWED_DELETION, .work = erase};

/* ---- Who asks for it. ---- */

static void refuse(struct partition *partition, struct request *request, enum reason reason,
                   str message)
{
    struct failure failure = failure_make(CODE_FAILED_PRECONDITION, reason, message);
    assert(message.len > 0);
    failure.field = STR("run_id");
    request_fail_later(partition, request, &failure);
}

static void refuse_below(struct partition *partition, struct request *request, uuid root)
{
    char id[UUID_TEXT_BYTES];
    assert(!uuid_equal(root, request->run));
    uuid_format(root, id);
    refuse(partition, request, REASON_RUN_NOT_ROOT,
           arena_printf(&request->arena,
                        "the run is below run %s, and goes with it; delete that one", id));
}

/* Some that cannot be read are counted as if they were at work. */
static bool has_live_below(struct partition *partition, uuid root)
{
    return tree_live(partition, root) > apart_count(partition->apart);
}

/* The run's place in its tree; of one that cannot be read, its own. */
static struct run_spec start_of(struct partition *partition, uuid run)
{
    struct run_spec spec;
    status read = erase_read_start(partition, run, &partition->round_arena, &spec);
    return status_is_ok(read) ? spec : (struct run_spec){.root = run};
}

/* True: the request is answered. */
static bool is_refused(struct partition *partition, struct request *request,
                       const struct run_spec *spec, enum erasable may)
{
    const char *why;
    if (may == ERASABLE_GONE) {
        request_fail_run(partition, request, status_make(CODE_NOT_FOUND, "no such run"));
    } else if (!uuid_equal(spec->root, request->run) && runs_exist(partition, spec->root) &&
               !apart_find(partition->apart, request->run, &why)) {
        refuse_below(partition, request, spec->root);
    } else if (may == ERASABLE_NOT) {
        refuse(partition, request, REASON_RUN_NOT_ENDED,
               STR("the run has not ended; cancel it, or wait until it has, and delete it then"));
    } else if (has_live_below(partition, request->run)) {
        refuse(partition, request, REASON_RUN_NOT_ENDED,
               arena_printf(&request->arena,
                            "%llu runs below it have not ended; cancel them, or wait until they "
                            "have, and delete it then",
                            (unsigned long long)tree_live(partition, request->run)));
    } else {
        return false;
    }
    return true;
}

static void handle_delete(struct partition *partition, struct request *request)
{
    uuid run = request->run;
    enum erasable may = erase_may(partition, run);
    struct run_spec spec = start_of(partition, run);
    size_t budget = 0;
    if (is_refused(partition, request, &spec, may)) {
        return;
    }
    if (may == ERASABLE_LATER || children_are_adopted(partition, spec.root) ||
        forks_copy_from(partition, run)) {
        partition_post_always(partition, request);
        return;
    }
    assert(may == ERASABLE && !uuid_is_zero(run));
    children_tell_deleted(partition, run, &spec);
    status begun = erase_run(partition, spec.root, run, &budget);
    assert(status_is_ok(begun)); /* It reads nothing without a budget. */
    request_answer_later(partition, request);
}

const struct operation delete_operation = {
    .name = "delete",
    .request_bytes = sizeof(struct request),
    .is_for_copies = true,
    .handle = handle_delete,
};

static void *start(struct partition *partition)
{
    return partition; /* It has no state. */
}

static const struct owed_kind *const owed_kinds[] = {&delete_owed, NULL};
static const struct feature *const uses[] = {
    &children_feature, &forks_feature, &owed_feature, &suspensions_feature, &trees_feature, NULL,
};

const struct feature deletions_feature = {
    .name = "deletions",
    .uses = uses,
    .owed_kinds = owed_kinds,
    .start = start,
};
