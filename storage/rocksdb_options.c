#include "storage/rocksdb_options.h"

#include <stdlib.h>

#include "storage/keys.h"

static const uint64_t mib = 1 << 20;

/* On disk, so they stay though three of the tables have found better names. */
const char *const family_names[FAMILY_COUNT] = {
    [STORE_META] = "meta",           [STORE_JOURNAL] = "journal",
    [STORE_SNAPSHOTS] = "snapshots", [STORE_RUNS] = "runs",
    [STORE_ACTIVE] = "active",       [STORE_DEFINITION_NAMES] = "definitions",
    [STORE_DEFINITIONS] = "blobs",   [STORE_IDEMPOTENCY] = "idempotency",
    [STORE_INDEX] = "links",         [STORE_TOPICS] = "topics",
    [FAMILY_OWN] = "default",
};

/*
 * What c.h has no setter for.
 * track_and_verify_wals_in_manifest: without it a missing log file is silently accepted.
 */
static const char more_options[] = "track_and_verify_wals_in_manifest=true;"
                                   "stats_persist_period_sec=0;"
                                   "enable_write_thread_adaptive_yield=false";

static uint64_t or_default(uint64_t value, uint64_t if_zero)
{
    return value == 0 ? if_zero : value;
}

/* The packaged library aborts when it writes to its own log after a write to that log has failed:
 * on a full disk it says nothing there. What went wrong is told by the status of each call. */
static void set_logging(rocksdb_options_t *options)
{
    rocksdb_options_set_info_log_level(options, 4); /* Fatal. */
    rocksdb_options_set_max_log_file_size(options, 4 * mib);
    rocksdb_options_set_keep_log_file_num(options, 4);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
}

static void set_database(rocksdb_options_t *options, uint64_t memtable_bytes)
{
    rocksdb_options_set_create_missing_column_families(options, 1);
    rocksdb_options_set_paranoid_checks(options, 1);
    /* Point in time: a torn tail is normal after a crash; the watermark tells it from rot. */
    rocksdb_options_set_wal_recovery_mode(options, 2);
    rocksdb_options_set_db_write_buffer_size(options, 5 * memtable_bytes);
    /* What a restart has to replay; about 1 s per 100 MiB with the packaged library. */
    rocksdb_options_set_max_total_wal_size(options, 3 * memtable_bytes);
    rocksdb_options_set_max_open_files(options, 1024);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_bytes_per_sync(options, mib);
    rocksdb_options_set_max_manifest_file_size(options, 16 * mib);
    /* One thread writes. */
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
}

static void set_family(rocksdb_options_t *options, rocksdb_cache_t *cache, bool is_journal,
                       uint64_t memtable_bytes)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    assert(options != NULL && cache != NULL && memtable_bytes > 0);
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_block_size(table, is_journal ? 16384 : 4096);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_ribbon_hybrid(10, 1));
    rocksdb_block_based_options_set_whole_key_filtering(table, !is_journal);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    if (is_journal) {
        rocksdb_options_set_prefix_extractor(
            options, rocksdb_slicetransform_create_fixed_prefix(KEY_RUN_BYTES));
    }
    rocksdb_options_set_write_buffer_size(options, memtable_bytes);
    rocksdb_options_set_max_write_buffer_number(options, is_journal ? 3 : 2);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_bottommost_compression(options, rocksdb_zstd_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    /* A large payload is written once, to a file of its own, and not again by each compaction. */
    rocksdb_options_set_enable_blob_files(options, 1);
    rocksdb_options_set_min_blob_size(options, 16 * 1024);
    rocksdb_options_set_blob_compression_type(options, rocksdb_lz4_compression);
    rocksdb_options_set_enable_blob_gc(options, 1);
}

/* The database's options with more_options in them, or NULL. */
static rocksdb_options_t *with_more_options(rocksdb_options_t *base)
{
    rocksdb_options_t *full = rocksdb_options_create();
    char *error = NULL;
    rocksdb_get_options_from_string(base, more_options, full, &error);
    if (error != NULL) {
        free(error);
        rocksdb_options_destroy(full);
        return NULL;
    }
    return full;
}

bool rocksdb_tuning_init(struct rocksdb_tuning *ret, const struct rocksdb_store_options *options)
{
    uint64_t memtable_bytes = or_default(options->memtable_bytes, 32 * mib);
    rocksdb_options_t *base = rocksdb_options_create();
    *ret = (struct rocksdb_tuning){
        .journal = rocksdb_options_create(),
        .small = rocksdb_options_create(),
        .cache = rocksdb_cache_create_lru(or_default(options->cache_bytes, 64 * mib)),
        .ratelimiter = rocksdb_ratelimiter_create((int64_t)(40 * mib), 100000, 10),
        .write = rocksdb_writeoptions_create(),
        .read = rocksdb_readoptions_create(),
    };
    set_logging(base);
    set_database(base, memtable_bytes);
    rocksdb_options_set_ratelimiter(base, ret->ratelimiter);
    ret->database = with_more_options(base);
    rocksdb_options_destroy(base);
    set_family(ret->journal, ret->cache, true, memtable_bytes);
    set_family(ret->small, ret->cache, false, memtable_bytes / 4);
    rocksdb_writeoptions_set_sync(ret->write, options->sync_off ? 0 : 1);
    return ret->database != NULL;
}

void rocksdb_tuning_fini(struct rocksdb_tuning *tuning)
{
    rocksdb_readoptions_destroy(tuning->read);
    rocksdb_writeoptions_destroy(tuning->write);
    rocksdb_ratelimiter_destroy(tuning->ratelimiter);
    rocksdb_cache_destroy(tuning->cache);
    rocksdb_options_destroy(tuning->small);
    rocksdb_options_destroy(tuning->journal);
    if (tuning->database != NULL) {
        rocksdb_options_destroy(tuning->database);
    }
    *tuning = (struct rocksdb_tuning){NULL};
}
