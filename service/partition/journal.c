#include "service/partition/journal.h"

#include "service/partition/runs.h"
#include "service/partition/state.h"

struct walk {
    uint64_t kinds;
    struct arena *arena;
    journal_visit *each;
    void *context;
    uint32_t after; /* Transitions that begin later only. */
    bool copies; /* What is read does not outlive the visit. */
    bool is_over;
    status status;
};

static status walk_record(struct walk *walk, str record)
{
    size_t cursor = 0;
    while (!walk->is_over) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(record, &cursor, &entry, &at_end));
        if (at_end) {
            break;
        }
        if ((walk->kinds & JOURNAL_KIND(entry.kind)) != 0) {
            struct event event;
            entry.body = walk->copies ? arena_copy(walk->arena, entry.body) : entry.body;
            TRY(codec_decode(&entry, walk->arena, &event));
            walk->is_over = !walk->each(walk->context, entry.seq, &event);
        }
    }
    return STATUS_OK;
}

status journal_record(str record, uint64_t kinds, struct arena *arena, journal_visit *each,
                      void *context)
{
    struct walk walk = {.kinds = kinds, .arena = arena, .each = each, .context = context};
    return walk_record(&walk, record);
}

static bool visit(void *context, str key, str value)
{
    (void)key;
    struct walk *walk = context;
    walk->status = walk_record(walk, value);
    walk->is_over |= !status_is_ok(walk->status);
    return !walk->is_over;
}

static void walk_batch(struct partition *partition, str prefix, struct walk *walk)
{
    size_t cursor = 0;
    struct store_entry entry;
    while (!walk->is_over && store_batch_next(&partition->batch, &cursor, &entry)) {
        if (entry.table == STORE_JOURNAL && entry.key.len > prefix.len &&
            memcmp(entry.key.ptr, prefix.ptr, prefix.len) == 0) {
            uint32_t seq;
            if (key_read_journal_seq(entry.key, &seq) && seq > walk->after) {
                visit(walk, entry.key, entry.value);
            }
        }
    }
}

static void walk_open(struct partition *partition, uuid run, struct walk *walk)
{
    char bytes[KEY_BYTES_MAX];
    const struct live_run *live = runs_find(partition, run);
    if (live != NULL && live->is_touched) {
        walk_batch(partition, key_run(bytes, partition->options.space, run), walk);
    }
}

status journal_each(struct partition *partition, uuid run, uint64_t kinds, struct arena *arena,
                    journal_visit *each, void *context)
{
    return journal_each_after(partition, run, 0, kinds, arena, each, context);
}

status journal_each_after(struct partition *partition, uuid run, uint32_t seq, uint64_t kinds,
                          struct arena *arena, journal_visit *each, void *context)
{
    char bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct walk walk = {.kinds = kinds,
                        .arena = arena,
                        .each = each,
                        .context = context,
                        .after = seq,
                        .copies = true};
    str prefix = key_run(bytes, partition->options.space, run);
    str from = key_journal(from_bytes, partition->options.space, run, seq + 1);
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix, from, false, SIZE_MAX, visit, &walk));
    walk_open(partition, run, &walk);
    return walk.status;
}

status journal_each_open(struct partition *partition, uuid run, uint32_t seq, uint64_t kinds,
                         struct arena *arena, journal_visit *each, void *context)
{
    struct walk walk = {.kinds = kinds,
                        .arena = arena,
                        .each = each,
                        .context = context,
                        .after = seq,
                        .copies = true};
    walk_open(partition, run, &walk);
    return walk.status;
}

status journal_each_at(struct partition *partition, uuid run, uint32_t seq, uint64_t kinds,
                       struct arena *arena, journal_visit *each, void *context)
{
    char bytes[KEY_BYTES_MAX];
    char from_bytes[KEY_BYTES_MAX];
    struct walk walk = {
        .kinds = kinds, .arena = arena, .each = each, .context = context, .copies = true};
    str prefix = key_run(bytes, partition->options.space, run);
    str from = key_journal(from_bytes, partition->options.space, run, seq);
    assert(seq > 0);
    TRY(store_scan(&partition->store, STORE_JOURNAL, prefix, from, true, 1, visit, &walk));
    walk_open(partition, run, &walk);
    return walk.status;
}

status journal_each_back(struct partition *partition, uuid run, uint64_t kinds, struct arena *arena,
                         journal_visit *each, void *context)
{
    char bytes[KEY_BYTES_MAX];
    struct walk walk = {
        .kinds = kinds, .arena = arena, .each = each, .context = context, .copies = true};
    TRY(store_scan(&partition->store, STORE_JOURNAL, key_run(bytes, partition->options.space, run),
                   STR_EMPTY, true, SIZE_MAX, visit, &walk));
    return walk.status;
}
