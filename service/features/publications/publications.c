/*
 * publications: what was published under an idempotency key, so that the same call, made again, has
 * the first one's answer.
 *
 * A key belongs to its topic and is kept for a day. Its rows are written in the batch of the
 * events; those that are too old are taken away a few at a time by the keyed publications that
 * follow, in the order of their age.
 */
#include "service/features/publications/publications.h"

#include <stdlib.h>

#include "service/base/array.h"
#include "service/base/sys.h"
#include "service/codec/topic_rows.h"
#include "service/partition/state.h"

enum {
    SWEPT_MAX = 4, /* Per publication: more than come in. */
};

static_assert((int)PUBLICATION_KEY_BYTES == (int)KEY_HASH_BYTES, "a key on disk is a hash");
static_assert(SWEPT_MAX > 1, "more are taken away than come in");

#define KEPT_MS ((uint64_t)24 * 3600 * 1000) /* The proto says so. */

struct publication {
    uint8_t key[PUBLICATION_KEY_BYTES];
    struct publication_row row;
};

struct publications {
    struct partition *partition;
    struct publication *fresh; /* Of this round: not in the store yet. */
    size_t fresh_count;
    size_t fresh_capacity;
    struct index_tail swept; /* The age of the last one taken away. */
    uint64_t oldest_ms; /* Nothing is older; 0: not known. */
};

static struct publications *publications_of(const struct partition *partition)
{
    return partition_self(partition, &publications_feature);
}

static struct index_tail age_tail(const struct publication *it)
{
    struct publication_age_row row = {.created_ms = it->row.created_ms};
    memcpy(row.key, it->key, sizeof(row.key));
    return publication_age_row_tail(&row);
}

static bool is_too_old(const struct partition *partition, uint64_t created_ms)
{
    return partition->now_ms >= created_ms && partition->now_ms - created_ms >= KEPT_MS;
}

static str key_of(const struct partition *partition, char ret[KEY_BYTES_MAX], const uint8_t key[16])
{
    return key_index(ret, partition->options.space, INDEX_PUBLICATION,
                     str_make((const char *)key, 16));
}

static const struct publication *find_fresh(const struct partition *partition,
                                            const uint8_t key[16])
{
    const struct publications *publications = publications_of(partition);
    for (size_t i = 0; i < publications->fresh_count; i++) {
        if (memcmp(publications->fresh[i].key, key, sizeof(publications->fresh[i].key)) == 0) {
            return &publications->fresh[i];
        }
    }
    return NULL;
}

/* The key's row stays where this very round has written another. */
static void drop(struct partition *partition, const struct publication *it)
{
    char key[KEY_BYTES_MAX];
    struct index_tail age = age_tail(it);
    if (find_fresh(partition, it->key) == NULL) {
        store_batch_delete(&partition->batch, STORE_INDEX, key_of(partition, key, it->key));
    }
    store_batch_delete(
        &partition->batch, STORE_INDEX,
        key_index(key, partition->options.space, INDEX_PUBLICATION_AGE, index_tail_str(&age)));
}

/* NOT_FOUND when there is none. */
static status find(struct partition *partition, const uint8_t key[16], struct publication *ret)
{
    const struct publication *fresh = find_fresh(partition, key);
    if (fresh != NULL) {
        *ret = *fresh;
        return STATUS_OK;
    }
    char bytes[KEY_BYTES_MAX];
    str row;
    TRY(store_get(&partition->store, STORE_INDEX, key_of(partition, bytes, key),
                  &partition->round_arena, &row));
    memcpy(ret->key, key, sizeof(ret->key));
    return publication_row_decode(row, &ret->row);
}

static void keep(struct partition *partition, const struct publication *it)
{
    assert(!is_too_old(partition, it->row.created_ms));
    struct publications *publications = publications_of(partition);
    publications->fresh =
        array_reserve(publications->fresh, &publications->fresh_capacity,
                      publications->fresh_count + 1, sizeof(publications->fresh[0]));
    assert(publications->fresh_count < publications->fresh_capacity);
    publications->fresh[publications->fresh_count++] = *it;
    char key[KEY_BYTES_MAX];
    struct index_tail age = age_tail(it);
    struct buf value = {0};
    publication_row_encode(&it->row, &value);
    store_batch_put(&partition->batch, STORE_INDEX, key_of(partition, key, it->key),
                    buf_str(&value));
    store_batch_put(
        &partition->batch, STORE_INDEX,
        key_index(key, partition->options.space, INDEX_PUBLICATION_AGE, index_tail_str(&age)),
        STR_EMPTY);
    buf_fini(&value);
}

struct sweep {
    struct partition *partition;
    size_t count;
};

static bool visit_age(void *context, str key, str value)
{
    (void)value;
    struct sweep *sweep = context;
    struct publications *publications = publications_of(sweep->partition);
    struct publication_age_row age;
    str tail;
    assert(sweep->count < SWEPT_MAX);
    if (!key_read_index(key, &tail) || !status_is_ok(publication_age_row_decode(tail, &age))) {
        log_line(LOG_ERROR, "publication_damaged", "row=age");
        return true;
    }
    if (!is_too_old(sweep->partition, age.created_ms)) {
        publications->oldest_ms = age.created_ms;
        return false;
    }
    struct publication it = {.row = {.created_ms = age.created_ms}};
    memcpy(it.key, age.key, sizeof(it.key));
    publications->swept = publication_age_row_tail(&age);
    drop(sweep->partition, &it);
    return ++sweep->count < SWEPT_MAX;
}

/* From where the last one ended: what was deleted before it is slow to pass over. */
static status sweep(struct partition *partition)
{
    struct publications *publications = publications_of(partition);
    char prefix[KEY_BYTES_MAX];
    char from[KEY_BYTES_MAX];
    struct key_space space = partition->options.space;
    struct sweep sweep = {.partition = partition};
    if (publications->oldest_ms != 0 && !is_too_old(partition, publications->oldest_ms)) {
        return STATUS_OK;
    }
    publications->oldest_ms = partition->now_ms; /* Unless one is found that is older. */
    TRY(store_scan(
        &partition->store, STORE_INDEX, key_index(prefix, space, INDEX_PUBLICATION_AGE, STR_EMPTY),
        key_index(from, space, INDEX_PUBLICATION_AGE, index_tail_str(&publications->swept)), false,
        SIZE_MAX, visit_age, &sweep));
    assert(sweep.count <= SWEPT_MAX);
    publications->oldest_ms = sweep.count == SWEPT_MAX ? 0 : publications->oldest_ms;
    return STATUS_OK;
}

static status publish_new(struct partition *partition, struct publish_request *publish,
                          struct publication *publication)
{
    TRY(sweep(partition));
    TRY(topic_publish(partition, publish->events, publish->count, &publish->ret_first));
    publication->row.first = publish->ret_first;
    publication->row.created_ms = partition->now_ms;
    assert(publish->ret_first > 0); /* Sequences begin with 1. */
    memcpy(publication->row.digest, publish->digest, sizeof(publication->row.digest));
    keep(partition, publication);
    return STATUS_OK;
}

static void refuse_reused(struct partition *partition, struct request *request)
{
    struct failure failure =
        failure_make(CODE_ALREADY_EXISTS, REASON_IDEMPOTENCY_KEY_REUSED,
                     STR("other events were published to the topic under this idempotency key; "
                         "use a new key for new events"));
    failure.field = STR("idempotency_key");
    request_fail_later(partition, request, &failure);
}

/* DATA_LOSS as it comes. */
static status publish_keyed(struct partition *partition, struct publish_request *publish)
{
    assert(publish->count > 0 && publish->key.len > 0);
    struct publication known;
    struct publication publication = {0};
    publication_key(publish->events[0].topic, publish->key, publication.key);
    status found = find(partition, publication.key, &known);
    if (!status_is_ok(found) && found.code != CODE_NOT_FOUND) {
        return found;
    }
    if (status_is_ok(found) && is_too_old(partition, known.row.created_ms)) {
        drop(partition, &known);
        found = status_make(CODE_NOT_FOUND, "too old");
    }
    if (!status_is_ok(found)) {
        TRY(publish_new(partition, publish, &publication));
    } else if (memcmp(known.row.digest, publish->digest, sizeof(known.row.digest)) != 0) {
        refuse_reused(partition, &publish->request);
        return STATUS_OK;
    } else {
        publish->ret_first = known.row.first;
        publish->ret_existed = true;
    }
    request_answer_later(partition, &publish->request); /* The events may be in this very batch. */
    return STATUS_OK;
}

static void handle_publish(struct partition *partition, struct request *request)
{
    status published = STATUS_OK;
    struct publish_request *publish = publish_request(request);
    assert(publish->count > 0);
    if (publish->key.len > 0) {
        published = publish_keyed(partition, publish);
    } else {
        published = topic_publish(partition, publish->events, publish->count, &publish->ret_first);
        if (status_is_ok(published)) {
            request_answer_later(partition, request);
        }
    }
    if (!status_is_ok(published)) {
        request_fail(partition, request, published.code, REASON_STORE_DAMAGED, published.why);
    }
}

const struct operation publish_operation = {
    .name = "publish",
    .request_bytes = sizeof(struct publish_request),
    .handle = handle_publish,
};

static void *start(struct partition *partition)
{
    struct publications *publications = xcalloc(1, sizeof(*publications));
    publications->partition = partition;
    return publications;
}

static void failed(void *self)
{
    struct publications *publications = self;
    publications->swept = (struct index_tail){.len = 0};
    publications->oldest_ms = 0;
}

static void forget_round(void *self)
{
    struct publications *publications = self;
    publications->fresh_count = 0;
}

static void stop(void *self)
{
    struct publications *publications = self;
    assert(publications->fresh_count == 0); /* No round is under way. */
    free(publications->fresh);
    free(publications);
}

static const struct feature *const uses[] = {&topics_feature, NULL};

const struct feature publications_feature = {
    .name = "publications",
    .uses = uses,
    .start = start,
    .at = {[ROUND_FAILED] = failed, [ROUND_OVER] = forget_round},
    .stop = stop,
};
