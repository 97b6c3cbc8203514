/*
 * store_dump: what is in the folder of a stopped server, row by row, in the order it is kept in.
 *
 *   store_dump FOLDER
 *
 * Opening a store mends what a kill left behind, so give it a copy. A line is a table's name, the
 * key and the value: an event of a journal as its run, seq, time, type and body (hexadecimal
 * digits, for `protoc --decode`); index rows and snapshots as their fields; what has no codec of
 * its own as hexadecimal digits. The first row that cannot be read ends it with 1 and a sentence.
 */
#include <stdio.h>
#include <stdlib.h>

#include "service/codec/codec.h"
#include "storage/keys.h"
#include "storage/rocksdb_store.h"

enum {
    EXIT_USAGE = 2,
};

struct dump {
    struct arena arena; /* Of one row. */
    const char *table;
    status status;
};

static const char *run_text(uuid run)
{
    static char text[UUID_TEXT_BYTES];
    uuid_format(run, text);
    return text;
}

static void print_hex(str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        printf("%02x", (unsigned)(uint8_t)bytes.ptr[i]);
    }
}

static status print_event(struct dump *dump, uuid run, const struct codec_entry *entry)
{
    struct event event;
    TRY(codec_decode(entry, &dump->arena, &event));
    printf("%s %s %u %llu %s ", dump->table, run_text(run), entry->seq,
           (unsigned long long)entry->time_ms, engine_event_name(entry->kind));
    print_hex(entry->body);
    printf("\n");
    return STATUS_OK;
}

static status print_record(struct dump *dump, str key, str value)
{
    uuid run;
    uint32_t seq;
    size_t cursor = 0;
    if (!key_read_run(key, &run) || !key_read_journal_seq(key, &seq)) {
        return status_make(CODE_DATA_LOSS, "a key of the journal is damaged");
    }
    for (;;) {
        struct codec_entry entry;
        bool at_end;
        TRY(codec_next(value, &cursor, &entry, &at_end));
        if (at_end) {
            return STATUS_OK;
        }
        if (entry.seq != seq++) {
            return status_make(CODE_DATA_LOSS, "a record is not where its number says");
        }
        TRY(print_event(dump, run, &entry));
    }
}

static status print_snapshot(struct dump *dump, str key, str value)
{
    uuid run;
    struct run state;
    if (!key_read_run(key, &run)) {
        return status_make(CODE_DATA_LOSS, "a key of the snapshots is damaged");
    }
    TRY(codec_decode_run(value, &state, NULL));
    printf("%s %s seq=%u steps=%u effects=%u state=%u\n", dump->table, run_text(run), state.seq,
           state.steps, state.effect_count, state.state);
    return STATUS_OK;
}

static status print_run_row(struct dump *dump, str key, str value)
{
    uuid run;
    struct run_row row;
    if (!key_read_run(key, &run)) {
        return status_make(CODE_DATA_LOSS, "a key of the runs is damaged");
    }
    TRY(codec_decode_row(value, &row));
    printf("%s %s kind=%d name=%s status=%u last_seq=%u queue=%s next_deadline_ms=%llu ready=%u\n",
           dump->table, run_text(run), (int)row.kind, row.name, row.status, row.last_seq, row.queue,
           (unsigned long long)row.next_deadline_ms, row.ready_count);
    return STATUS_OK;
}

static status print_idempotency(struct dump *dump, str key, str value)
{
    struct idempotency_row row;
    TRY(codec_decode_idempotency(value, &row));
    printf("%s ", dump->table);
    print_hex(key);
    printf(" run=%s\n", run_text(row.run));
    return STATUS_OK;
}

static status print_bytes(struct dump *dump, str key, str value)
{
    printf("%s ", dump->table);
    print_hex(key);
    printf(" ");
    print_hex(value);
    printf("\n");
    return STATUS_OK;
}

/* Their names are those of the families on disk. */
static const struct {
    const char *name;
    status (*print)(struct dump *dump, str key, str value);
} tables[] = {
    [STORE_META] = {"meta", print_bytes},
    [STORE_JOURNAL] = {"journal", print_record},
    [STORE_SNAPSHOTS] = {"snapshots", print_snapshot},
    [STORE_RUNS] = {"runs", print_run_row},
    [STORE_ACTIVE] = {"active", print_run_row},
    [STORE_DEFINITION_NAMES] = {"definitions", print_bytes},
    [STORE_DEFINITIONS] = {"blobs", print_bytes},
    [STORE_IDEMPOTENCY] = {"idempotency", print_idempotency},
    [STORE_INDEX] = {"links", print_bytes},
    [STORE_TOPICS] = {"topics", print_bytes},
};
static_assert(COUNT_OF(tables) == STORE_TABLE_COUNT, "a table has no row");

struct visit {
    struct dump *dump;
    enum store_table table;
};

static bool visit_row(void *context, str key, str value)
{
    struct visit *visit = context;
    arena_reset(&visit->dump->arena);
    visit->dump->status = tables[visit->table].print(visit->dump, key, value);
    return status_is_ok(visit->dump->status);
}

static status dump_tables(struct dump *dump, const struct store *store)
{
    for (enum store_table table = 0; table < STORE_TABLE_COUNT; table++) {
        struct visit visit = {dump, table};
        dump->table = tables[table].name;
        TRY(store_scan(store, table, STR_EMPTY, STR_EMPTY, false, SIZE_MAX, visit_row, &visit));
        TRY(dump->status);
    }
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct dump dump = {.status = STATUS_OK};
    struct store store;
    if (argc != 2) {
        fprintf(stderr, "usage: store_dump FOLDER (of a stopped server; give it a copy)\n");
        return EXIT_USAGE;
    }
    arena_init(&dump.arena, 0);
    struct rocksdb_store_options options = {
        .path = argv[1],
        .free_bytes_soft = 1,
        .free_bytes_hard = 1,
    };
    status outcome = rocksdb_store_open(&options, &dump.arena, &store);
    if (status_is_ok(outcome)) {
        outcome = dump_tables(&dump, &store);
        store_close(&store);
    }
    if (!status_is_ok(outcome)) {
        fprintf(stderr, "store_dump: %s: %s: %s\n", dump.table == NULL ? argv[1] : dump.table,
                code_name(outcome.code), outcome.why);
    }
    arena_fini(&dump.arena);
    return status_is_ok(outcome) ? EXIT_SUCCESS : EXIT_FAILURE;
}
