/*
 * recovery: after a restart, everything owed is put back in motion.
 *
 * Ready tasks are told to the hosts by their index rows alone; only runs that were at work
 * are loaded. Nothing is written but the new attempts of model calls that died. A run that cannot
 * be read is set apart, and the rest goes on without it.
 */
#include "service/partition/recovery.h"

#include "service/base/sys.h"
#include "service/partition/state.h"

enum {
    CHUNK_ROWS = 1024,
};

struct scan {
    struct partition *partition;
    char last[KEY_BYTES_MAX];
    size_t last_len;
    size_t count;
    uuid to_load[CHUNK_ROWS];
    size_t load_count;
    status status;
};

static status tell_features(struct partition *partition, uuid id, const struct run_row *row)
{
    features_each (partition, slot) {
        if (slot->feature->row_read != NULL) {
            TRY(slot->feature->row_read(slot->self, id, row));
        }
    }
    return STATUS_OK;
}

static bool visit_row(void *context, str key, str value)
{
    struct scan *scan = context;
    uuid id;
    struct run_row row;
    memcpy(scan->last, key.ptr, key.len);
    assert(key.len <= sizeof(scan->last));
    scan->last_len = key.len;
    scan->count++;
    assert(scan->count <= CHUNK_ROWS);
    if (!key_read_run(key, &id)) {
        log_line(LOG_ERROR, "run_key_damaged", "bytes=%zu; it is passed over", key.len);
        return true;
    }
    status decoded = codec_decode_row(value, &row);
    if (!status_is_ok(decoded)) {
        (void)runs_set_apart(scan->partition, id, decoded);
        return true;
    }
    if (row.load) {
        scan->to_load[scan->load_count++] = id;
        return true;
    }
    scan->status = tell_features(scan->partition, id, &row);
    return status_is_ok(scan->status);
}

static status recover_loaded(struct partition *partition, const struct scan *scan,
                             struct arena *arena)
{
    for (size_t i = 0; i < scan->load_count; i++) {
        struct live_run *run;
        status loaded = runs_get(partition, scan->to_load[i], &run);
        if (loaded.code == CODE_DATA_LOSS) {
            continue; /* It is set apart. */
        }
        if (!status_is_ok(loaded)) {
            char id[UUID_TEXT_BYTES];
            uuid_format(scan->to_load[i], id);
            return arena_fail(arena, loaded.code, "run %s cannot be recovered: %s", id, loaded.why);
        }
        features_tell(partition, reread, run);
        runs_recover_later(partition, run, partition->now_ms);
    }
    return STATUS_OK;
}

status recovery_run(struct partition *partition, struct arena *arena)
{
    static struct scan scan;
    char prefix_bytes[KEY_BYTES_MAX];
    str prefix = key_prefix_space(prefix_bytes, partition->options.space);
    scan = (struct scan){.partition = partition};
    do {
        char from_bytes[KEY_BYTES_MAX + 1];
        memcpy(from_bytes, scan.last, scan.last_len);
        from_bytes[scan.last_len] = 0; /* The first key after it. */
        str from = scan.last_len == 0 ? STR_EMPTY : str_make(from_bytes, scan.last_len + 1);
        scan.count = 0;
        scan.load_count = 0;
        TRY(store_scan(&partition->store, STORE_ACTIVE, prefix, from, false, CHUNK_ROWS, visit_row,
                       &scan));
        TRY(scan.status);
        TRY(recover_loaded(partition, &scan, arena));
    } while (scan.count == CHUNK_ROWS);
    return STATUS_OK;
}
