/*
 * keys: builds every key of every table, and takes them apart again.
 *
 * Integers are big-endian, so byte order is number order, and ids of version 7 put runs in
 * the order they were started in. Every key starts with partition and project: one project
 * is one range in each table.
 *
 *   journal                  space | run 16 | seq 4
 *   snapshots, runs, active  space | run 16
 *   definition names         space | kind 1 | name
 *   definitions, idempotency space | hash 16
 *   index                    space | kind 1 | tail
 *   topics                   space | hash 16 | sequence 8
 *   meta                     space | name
 */
#ifndef STORAGE_KEYS_H
#define STORAGE_KEYS_H

#include "service/base/base.h"
#include "service/base/uuid.h"

enum {
    KEY_SPACE_BYTES = 6, /* partition 2, project 4 */
    KEY_RUN_BYTES = KEY_SPACE_BYTES + 16,
    KEY_JOURNAL_BYTES = KEY_RUN_BYTES + 4,
    KEY_HASH_BYTES = 16,
    KEY_NAME_BYTES_MAX = 512, /* Names are limited at the edge. */
    KEY_BYTES_MAX = KEY_SPACE_BYTES + 1 + KEY_NAME_BYTES_MAX,
    DEFINITION_AGENT = 1, /* The kind of definition that a name is of. */
};

struct key_space {
    uint16_t partition;
    uint32_t project;
};

/* Each returns the bytes it wrote into ret. */
str key_journal(char ret[KEY_BYTES_MAX], struct key_space space, uuid run, uint32_t seq);
/* Of snapshots, runs and active; also the prefix of a run's records in the journal. */
str key_run(char ret[KEY_BYTES_MAX], struct key_space space, uuid run);
/* The name: 1 to KEY_NAME_BYTES_MAX bytes. */
str key_definition_name(char ret[KEY_BYTES_MAX], struct key_space space, uint8_t kind, str name);
/* Of definitions and of idempotency; also the prefix of a topic's events. */
str key_hash(char ret[KEY_BYTES_MAX], struct key_space space, const uint8_t hash[KEY_HASH_BYTES]);
/* The tail is the caller's: at most KEY_NAME_BYTES_MAX bytes. Empty: the prefix of the kind. */
str key_index(char ret[KEY_BYTES_MAX], struct key_space space, uint8_t kind, str tail);
/* Of one event; 0: of the topic's own row. */
str key_topic(char ret[KEY_BYTES_MAX], struct key_space space, const uint8_t hash[KEY_HASH_BYTES],
              uint64_t sequence);
/* The name: 1 to KEY_NAME_BYTES_MAX bytes. */
str key_meta(char ret[KEY_BYTES_MAX], struct key_space space, str name);

/* Prefixes for scans; all records of one run: key_run(), of one topic: key_hash(). */
str key_prefix_partition(char ret[KEY_BYTES_MAX], uint16_t partition);
/* Of all that is in one project of a partition. */
str key_prefix_space(char ret[KEY_BYTES_MAX], struct key_space space);
/* Of all names of one kind of definition. */
str key_prefix_definition_names(char ret[KEY_BYTES_MAX], struct key_space space, uint8_t kind);

/* False when the key is too short to hold what is asked: it came from a disk. */
[[nodiscard]] bool key_read_space(str key, struct key_space *ret);
[[nodiscard]] bool key_read_run(str key, uuid *ret); /* Journal keys too. */
[[nodiscard]] bool key_read_journal_seq(str key, uint32_t *ret);
[[nodiscard]] bool key_read_index_kind(str key, uint8_t *ret);
[[nodiscard]] bool key_read_index(str key, str *ret_tail);
[[nodiscard]] bool key_read_hash(str key, uint8_t ret[KEY_HASH_BYTES]); /* Of a topic, too. */
[[nodiscard]] bool key_read_topic_sequence(str key, uint64_t *ret);
[[nodiscard]] bool key_read_definition_name(str key, uint8_t *ret_kind, str *ret_name);

#endif
