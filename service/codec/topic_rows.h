/*
 * topic_rows: what is kept of topics: their events, what these start, and the keys under which
 * they were published.
 *
 *   topic            (sequence 0 there)          -> u8 format (1) | u8 is_listed | u64 first
 *                                                   | u64 last
 *   topic's name     name                        -> nothing
 *   topics named     nothing                     -> u8 is_complete | last hash 16
 *   topic event      (a table of its own)        -> u32 crc32c of what follows | u64 created_ms
 *                                                   | run 16 | u16 topic_bytes | u16 type_bytes
 *                                                   | topic | type | data
 *   trigger          workflow's name             -> u64 position | u64 batch_timeout_ms
 *                                                   | u32 batch_size | topic
 *   publication      hash of topic and key 16    -> digest 16 | u64 first | u64 created_ms
 *   publication age  created_ms 8 | hash 16      -> nothing
 *
 * Little-endian but for the age's key, which sorts by time.
 */
#ifndef SERVICE_CODEC_TOPIC_ROWS_H
#define SERVICE_CODEC_TOPIC_ROWS_H

#include "service/base/buf.h"
#include "service/base/uuid.h"
#include "service/codec/index.h"

enum {
    TOPIC_BYTES_MAX = 512, /* Of a trigger's topic. */
    PUBLICATION_KEY_BYTES = 16,
};

enum {
    TOPIC_ROW_BYTES = 2 + 8 + 8,
    TOPICS_NAMED_BYTES = 1 + 16,
};

/* How far a topic reaches. */
struct topic_row {
    uint64_t first; /* Events before this one are dropped, and deleted some time. */
    uint64_t last; /* Of its newest event; of one that is read, when it was put. */
    bool is_listed; /* Under its name; false: it was dropped, or none has named it yet. */
};

/* The value. */
void topic_row_encode(const struct topic_row *row, char ret[TOPIC_ROW_BYTES]);
/* DATA_LOSS: it is damaged. */
status topic_row_decode(str value, struct topic_row *ret);

/* How far an older release's topics have got names. */
struct topics_named {
    bool is_complete;
    uint8_t last[16]; /* The hash of the last. */
};

/* The value. */
void topics_named_encode(const struct topics_named *named, char ret[TOPICS_NAMED_BYTES]);
/* DATA_LOSS: it is damaged. */
status topics_named_decode(str value, struct topics_named *ret);

/* An event of a topic; its texts are borrowed. */
struct topic_event {
    uint64_t sequence; /* Given by the partition, from 1; not in the value. */
    str topic;
    str type;
    str data; /* JSON text. */
    uint64_t created_ms; /* Unix time. */
    uuid run; /* Zero: a caller. */
};

/* Appends the value. */
void topic_event_encode(const struct topic_event *event, struct buf *ret);
/* Texts point into the value. DATA_LOSS: it is damaged. */
status topic_event_decode(str value, uint64_t sequence, struct topic_event *ret);

/* A workflow that a topic's events start. */
struct trigger_row {
    str topic;
    uint64_t position; /* Events up to this sequence have started runs. */
    uint64_t batch_timeout_ms; /* 0: only full batches. */
    uint32_t batch_size; /* At most so many events start one run. */
};

/* Appends the value; the workflow's name is the key. */
void trigger_row_encode(const struct trigger_row *row, struct buf *ret);
/* The topic points into the value. DATA_LOSS: it is damaged. */
status trigger_row_decode(str value, struct trigger_row *ret);

/* What was published under an idempotency key. */
struct publication_row {
    uint8_t digest[16]; /* Of the events. */
    uint64_t first; /* Sequence of the first of them. */
    uint64_t created_ms; /* Unix time. */
};

/* What names it in its rows: a hash of the topic and the caller's key. */
void publication_key(str topic, str key, uint8_t ret[PUBLICATION_KEY_BYTES]);
/* Appends the value; the hash is the key. */
void publication_row_encode(const struct publication_row *row, struct buf *ret);
/* DATA_LOSS: it is damaged. */
status publication_row_decode(str value, struct publication_row *ret);

/* Finds the oldest publications first. */
struct publication_age_row {
    uint64_t created_ms; /* Unix time. */
    uint8_t key[PUBLICATION_KEY_BYTES];
};

/* Its key's tail. */
struct index_tail publication_age_row_tail(const struct publication_age_row *row);
/* Of a key's tail. DATA_LOSS: it is damaged. */
status publication_age_row_decode(str tail, struct publication_age_row *ret);

#endif
