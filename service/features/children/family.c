#include "service/features/children/family.h"

#include "service/base/array.h"
#include "service/features/children/children.h"

struct children *children_of(const struct partition *partition)
{
    return partition_self(partition, &children_feature);
}

void run_ids_add(struct run_ids *list, uuid id)
{
    assert(list->arena != NULL);
    list->ids = array_reserve_in(list->arena, list->ids, &list->capacity, list->count + 1,
                                 sizeof(list->ids[0]));
    list->ids[list->count++] = id;
}

static void put_row(struct partition *partition, enum index_kind kind, struct index_tail tail)
{
    char key[KEY_BYTES_MAX];
    store_batch_put(&partition->batch, STORE_INDEX,
                    key_index(key, partition->options.space, (uint8_t)kind, index_tail_str(&tail)),
                    STR_EMPTY);
}

static void delete_row(struct partition *partition, enum index_kind kind, struct index_tail tail)
{
    char key[KEY_BYTES_MAX];
    store_batch_delete(
        &partition->batch, STORE_INDEX,
        key_index(key, partition->options.space, (uint8_t)kind, index_tail_str(&tail)));
}

static status scan(struct partition *partition, enum index_kind kind, struct index_tail prefix,
                   struct index_tail from, size_t limit, store_visit *visit, void *context)
{
    char key[KEY_BYTES_MAX];
    char from_key[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    return store_scan(&partition->store, STORE_INDEX,
                      key_index(key, space, (uint8_t)kind, index_tail_str(&prefix)),
                      key_index(from_key, space, (uint8_t)kind, index_tail_str(&from)), false,
                      limit, visit, context);
}

void family_note(struct partition *partition, uuid parent, uuid child)
{
    struct children *children = children_of(partition);
    assert(!uuid_is_zero(parent) && !uuid_is_zero(child));
    put_row(partition, INDEX_CHILD, child_row_tail(parent, child));
    children->fresh = array_reserve(children->fresh, &children->capacity, children->count + 1,
                                    sizeof(children->fresh[0]));
    children->fresh[children->count++] = (struct child_row){parent, child};
}

static bool visit_child(void *context, str key, str value)
{
    (void)value;
    str tail;
    struct child_row row;
    if (key_read_index(key, &tail) && status_is_ok(child_row_decode(tail, &row))) {
        run_ids_add(context, row.child);
    }
    return true;
}

status children_read(struct partition *partition, uuid parent, uuid cursor, size_t limit,
                     struct run_ids *ret)
{
    assert(limit > 0 && ret->count == 0);
    struct index_tail from = child_rows_of(parent);
    if (!uuid_is_zero(cursor)) {
        from = child_row_tail(parent, cursor);
        from.bytes[from.len++] = 0; /* The first key after it. */
    }
    return scan(partition, INDEX_CHILD, child_rows_of(parent), from, limit, visit_child, ret);
}

void family_read_fresh(struct partition *partition, uuid parent, struct run_ids *ret)
{
    const struct children *children = children_of(partition);
    for (size_t i = 0; i < children->count; i++) {
        if (uuid_equal(children->fresh[i].parent, parent)) {
            run_ids_add(ret, children->fresh[i].child);
        }
    }
}

static bool visit_any(void *context, str key, str value)
{
    (void)key, (void)value;
    *(bool *)context = true;
    return false;
}

bool children_are_there(struct partition *partition, uuid parent)
{
    const struct children *children = children_of(partition);
    bool is_there = false;
    for (size_t i = 0; i < children->count; i++) {
        if (uuid_equal(children->fresh[i].parent, parent)) {
            return true;
        }
    }
    status read = scan(partition, INDEX_CHILD, child_rows_of(parent), child_rows_of(parent), 1,
                       visit_any, &is_there);
    return is_there || !status_is_ok(read);
}

status family_run_row(struct partition *partition, uuid id, struct run_row *ret)
{
    char key[KEY_BYTES_MAX];
    str value;
    TRY(store_get(&partition->store, STORE_RUNS, key_run(key, partition->options.space, id),
                  &partition->round_arena, &value));
    return codec_decode_row(value, ret);
}

void family_note_successor(struct partition *partition, uuid child, uuid successor)
{
    assert(!uuid_equal(child, successor));
    family_note(partition, successor, child);
    put_row(partition, INDEX_SUCCESSOR, successor_row_tail(child, successor));
}

static bool visit_successor(void *context, str key, str value)
{
    (void)value;
    str tail;
    struct successor_row row;
    if (key_read_index(key, &tail) && status_is_ok(successor_row_decode(tail, &row))) {
        run_ids_add(context, row.successor);
    }
    return true;
}

void family_delete_successors(struct partition *partition, uuid child)
{
    struct run_ids left = {.arena = &partition->round_arena};
    status read = scan(partition, INDEX_SUCCESSOR, successor_rows_of(child),
                       successor_rows_of(child), SIZE_MAX, visit_successor, &left);
    for (size_t i = 0; status_is_ok(read) && i < left.count; i++) {
        delete_row(partition, INDEX_SUCCESSOR, successor_row_tail(child, left.ids[i]));
    }
}

status family_take_successors(struct partition *partition, uuid child, uuid parent,
                              struct run_ids *ret)
{
    const struct children *children = children_of(partition);
    TRY(scan(partition, INDEX_SUCCESSOR, successor_rows_of(child), successor_rows_of(child),
             SIZE_MAX, visit_successor, ret));
    for (size_t i = 0; i < children->count; i++) {
        const struct child_row *row = &children->fresh[i];
        if (uuid_equal(row->child, child) && !uuid_equal(row->parent, parent)) {
            run_ids_add(ret, row->parent);
        }
    }
    for (size_t i = 0; i < ret->count; i++) {
        delete_row(partition, INDEX_SUCCESSOR, successor_row_tail(child, ret->ids[i]));
    }
    return STATUS_OK;
}

void family_forget_successor(struct partition *partition, uuid child, uuid successor)
{
    assert(!uuid_equal(child, successor));
    children_unlink(partition, successor, child);
}

void children_unlink(struct partition *partition, uuid parent, uuid child)
{
    assert(!uuid_is_zero(parent) && !uuid_is_zero(child));
    delete_row(partition, INDEX_CHILD, child_row_tail(parent, child));
    delete_row(partition, INDEX_SUCCESSOR, successor_row_tail(child, parent));
}

void children_tell_deleted(struct partition *partition, uuid child, const struct run_spec *spec)
{
    struct run_ids told = {.arena = &partition->round_arena};
    if (uuid_is_zero(spec->parent)) {
        return;
    }
    children_unlink(partition, spec->parent, child);
    status taken = family_take_successors(partition, child, spec->parent, &told);
    run_ids_add(&told, spec->parent);
    for (size_t i = 0; i < told.count; i++) {
        struct live_run *run;
        if (status_is_ok(taken) && status_is_ok(runs_get(partition, told.ids[i], &run))) {
            ending_tell_deleted(partition, run, spec->parent_effect, spec->parent_index, child);
        }
    }
}
