/*
 * codec: engine events to journal records and back.
 *
 * A record holds the events of one transition, under the seq of the first. Each is a fixed
 * little-endian envelope and an opaque protobuf body:
 *
 *   u8 format (1) | u8 kind | u16 flags | u32 body_bytes | u64 time_ms | u32 crc32c | u32 seq
 *
 * The checksum covers the envelope before it, the seq and the body. Flag 1 marks the last event of
 * a record, so that a record that lost its tail is refused like any damaged one. Replay dispatches
 * on the envelope and parses only what it needs.
 *
 * Invariant: a body's numbers of event kinds, run kinds, effect kinds and stops are those of the
 *            engine's enums, which are therefore never renumbered.
 */
#ifndef SERVICE_CODEC_CODEC_H
#define SERVICE_CODEC_CODEC_H

#include "service/base/arena.h"
#include "service/base/buf.h"
#include "service/engine/engine.h"

enum {
    CODEC_ENVELOPE_BYTES = 24,
};

/* Appends the record of one transition. The first event gets first_seq. */
void codec_encode(const struct event *events, size_t count, uint32_t first_seq, struct buf *ret);

/* One event of a record, not parsed yet. */
struct codec_entry {
    enum event_kind kind;
    uint32_t seq;
    uint64_t time_ms;
    str body;
};

/* Walks a record: *cursor starts at 0. OK with *ret_end true at the end. DATA_LOSS: the bytes
 * are damaged. FAILED_PRECONDITION: a newer format or an unknown kind. */
status codec_next(str record, size_t *cursor, struct codec_entry *ret, bool *ret_end);
/* Parses a body. The event's payloads point into the arena or the record. */
status codec_decode(const struct codec_entry *entry, struct arena *arena, struct event *ret);
/* The first event of a journal's first record. DATA_LOSS: it is no RUN_STARTED, too. */
status codec_decode_start(str record, struct arena *arena, struct event *ret);

/* A run's state, for snapshots: format, checksum and a nanopb body. A snapshot that is refused
 * (an older release's too) costs nothing but time: the state is replayed from the first event. */
void codec_encode_run(const struct run *run, uint64_t history_bytes, struct buf *ret);
/* *ret stays as it is unless it is OK. history_bytes: of the records up to there; may be NULL.
 * DATA_LOSS: damaged. FAILED_PRECONDITION: another format. */
status codec_decode_run(str bytes, struct run *ret, uint64_t *ret_history_bytes);

enum {
    CODEC_READY_MAX = 4,
    CODEC_NAME_MAX = 128,
    CODEC_KEY_MAX = 200,
};

/* How a run stands, as rows and the API number it: never renumbered. */
enum run_status {
    RUN_STATUS_RUNNING = 1,
    RUN_STATUS_WAITING = 2, /* Those after it are of runs that live no more. */
    RUN_STATUS_COMPLETED = 3,
    RUN_STATUS_FAILED = 4,
    RUN_STATUS_CANCELLED = 5,
    RUN_STATUS_UNREADABLE = 6, /* Of a run that is set apart; no row has it. */
};

enum run_status run_status_of(const struct run *run);

/* An index row; see RunRow in records.proto (nanopb).
 *
 * `ready` names the tasks that are EFFECT_READY, for which any host may ask, and the model call
 * that waits for admission. A task that is EFFECT_PARKED must not be given out until a wait of its
 * code has settled, and the waits themselves are no tasks, so neither is ever listed; the times at
 * which waits end by themselves are in next_deadline_ms. A run that only waits thus has ready_count
 * 0. */
struct run_row {
    enum run_kind kind;
    uint32_t status; /* enum run_status. */
    char name[CODEC_NAME_MAX + 1];
    uint64_t created_ms;
    uint64_t ended_ms;
    uint64_t next_deadline_ms; /* engine_next_deadline(). */
    uint32_t last_seq;
    bool load; /* Recovery needs the run itself; then ready_count is 0. */
    uint32_t ready_count;
    struct {
        uint32_t effect;
        enum effect_kind kind;
        uint64_t deployment; /* engine_pin(). */
        char name[CODEC_NAME_MAX + 1];
    } ready[CODEC_READY_MAX];
    /* Where the first of them waits for admission; empty: nowhere. */
    char queue[CODEC_NAME_MAX + 1];
    char concurrency_key[CODEC_KEY_MAX + 1];
    int32_t priority;
    bool has_begun; /* It has been at work before. */
    uint64_t deployment; /* Hash of that which the run stays with; 0: none. */
    uint64_t begun_ms; /* As in the run's state. */
};

/* How many bytes it wrote; they must fit. */
size_t codec_encode_row(const struct run_row *row, char *ret, size_t bytes_max);
/* DATA_LOSS: damaged. FAILED_PRECONDITION: written by a newer release. */
status codec_decode_row(str bytes, struct run_row *ret);

/* What a line of a list shows of a row. */
struct run_row_line {
    enum run_kind kind;
    uint32_t status;
    char name[CODEC_NAME_MAX + 1];
    uint64_t created_ms;
    uint64_t ended_ms;
    uint32_t last_seq;
    uint64_t deployment;
    uint64_t begun_ms;
};

/* Of a row's bytes, without what a line does not show. As codec_decode_row(). */
status codec_decode_row_line(str bytes, struct run_row_line *ret);

struct idempotency_row {
    uuid run;
    uint8_t digest[16];
};

/* How many bytes it wrote; they must fit. */
size_t codec_encode_idempotency(const struct idempotency_row *row, char *ret, size_t bytes_max);
/* DATA_LOSS: damaged. */
status codec_decode_idempotency(str bytes, struct idempotency_row *ret);

#endif
