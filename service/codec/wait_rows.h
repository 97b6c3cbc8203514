/*
 * wait_rows: what runs wait for, found from where it will come: people, topics, the clock.
 *
 *   suspension  since_ms 8 | run 16 | effect 4    -> u32 seq of its WAIT_SET; nothing: not said
 *   await       topic 16 | run 16 | effect 4      -> u64 after
 *   await type  hash of topic and type 16 | run 16 | effect 4 -> u64 after
 *   looked      topic 16                          -> u64 up_to
 *   alarm       due_ms 8 | run 16                 -> nothing
 *
 * Numbers of keys are big-endian, those of values little-endian.
 */
#ifndef SERVICE_CODEC_WAIT_ROWS_H
#define SERVICE_CODEC_WAIT_ROWS_H

#include "service/base/buf.h"
#include "service/base/uuid.h"
#include "service/codec/index.h"

/* An open suspension; the one that has waited longest first. */
struct suspension_row {
    uint64_t since_ms; /* Unix time. */
    uuid run;
    uint32_t effect;
};

/* Its key's tail. */
struct index_tail suspension_row_tail(uint64_t since_ms, uuid run, uint32_t effect);
/* Of a key's tail. DATA_LOSS: it is damaged. */
status suspension_row_decode(str tail, struct suspension_row *ret);

enum {
    SUSPENSION_VALUE_BYTES = 4,
};
/* The value. */
void suspension_row_value(uint32_t seq, char ret[SUSPENSION_VALUE_BYTES]);
/* Of a value; UINT32_MAX: it does not say, as those of earlier releases do not. */
uint32_t suspension_row_seq(str value);

/* An open wait for an event of a topic, or for one of a type. */
struct await_row {
    uint8_t topic[16]; /* Hash of its name, or of that and the type. */
    uuid run;
    uint32_t effect;
    uint64_t after; /* Events of the topic up to this sequence do not count. */
};

/* Its key's tail. */
struct index_tail await_row_tail(const uint8_t topic[16], uuid run, uint32_t effect);
struct index_tail await_rows_of(const uint8_t topic[16]); /* The prefix of all who await it. */
/* Appends the value; await_row_tail() is the key. */
void await_row_encode(const struct await_row *row, struct buf *ret);
/* Of a key's tail and a value. DATA_LOSS: one is damaged. */
status await_row_decode(str tail, str value, struct await_row *ret);

enum {
    LOOKED_VALUE_BYTES = 8,
};
/* Events of a topic up to that sequence have been looked at for all who awaited it then. */
void looked_row_value(uint64_t up_to, char ret[LOOKED_VALUE_BYTES]);
/* Of a value; 0: it does not say. */
uint64_t looked_row_up_to(str value);

/* When a run that need not be in memory wants to be told the time. */
struct alarm_row {
    uint64_t due_ms; /* Unix time. */
    uuid run;
};

/* Its key's tail. */
struct index_tail alarm_row_tail(uint64_t due_ms, uuid run);
/* Of a key's tail. DATA_LOSS: it is damaged. */
status alarm_row_decode(str tail, struct alarm_row *ret);
/* Of a place among the rows, which may lie between two of them; empty: 0. */
uint64_t alarm_tail_due_ms(const struct index_tail *tail);

#endif
