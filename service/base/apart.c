#include "service/base/apart.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "service/base/array.h"

struct entry {
    uuid id;
    char *why;
};

struct apart {
    pthread_mutex_t mutex;
    atomic_size_t count;
    struct entry *entries; /* By id. */
    size_t capacity;
    char **left; /* The reasons of those that were removed. */
    size_t left_count;
    size_t left_capacity;
};

struct apart *apart_new(void)
{
    struct apart *apart = xcalloc(1, sizeof(*apart));
    int failed = pthread_mutex_init(&apart->mutex, NULL);
    assert(failed == 0);
    return apart;
}

void apart_free(struct apart *apart)
{
    if (apart == NULL) {
        return;
    }
    for (size_t i = 0; i < apart->count; i++) {
        free(apart->entries[i].why);
    }
    for (size_t i = 0; i < apart->left_count; i++) {
        free(apart->left[i]);
    }
    free(apart->left);
    free(apart->entries);
    pthread_mutex_destroy(&apart->mutex);
    free(apart);
}

/* How many come before it. */
static size_t place_of(const struct apart *apart, uuid id)
{
    size_t low = 0;
    size_t high = apart->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(&apart->entries[middle].id, &id, sizeof(id)) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct apart *apart, size_t place, uuid id)
{
    return place < apart->count && uuid_equal(apart->entries[place].id, id);
}

void apart_add(struct apart *apart, uuid id, const char *why)
{
    pthread_mutex_lock(&apart->mutex);
    size_t place = place_of(apart, id);
    if (!is_at(apart, place, id)) {
        size_t count = apart->count;
        apart->entries =
            array_reserve(apart->entries, &apart->capacity, count + 1, sizeof(apart->entries[0]));
        memmove(&apart->entries[place + 1], &apart->entries[place],
                (count - place) * sizeof(apart->entries[0]));
        apart->entries[place] = (struct entry){id, xstrndup(why, strlen(why))};
        apart->count = count + 1;
    }
    pthread_mutex_unlock(&apart->mutex);
}

void apart_remove(struct apart *apart, uuid id)
{
    if (apart_count(apart) == 0) {
        return;
    }
    pthread_mutex_lock(&apart->mutex);
    size_t place = place_of(apart, id);
    if (is_at(apart, place, id)) {
        size_t count = apart->count;
        apart->left = array_reserve(apart->left, &apart->left_capacity, apart->left_count + 1,
                                    sizeof(apart->left[0]));
        apart->left[apart->left_count++] = apart->entries[place].why;
        memmove(&apart->entries[place], &apart->entries[place + 1],
                (count - place - 1) * sizeof(apart->entries[0]));
        apart->count = count - 1;
    }
    pthread_mutex_unlock(&apart->mutex);
}

size_t apart_count(struct apart *apart)
{
    return apart == NULL ? 0 : atomic_load(&apart->count);
}

bool apart_find(struct apart *apart, uuid id, const char **ret_why)
{
    if (apart_count(apart) == 0) {
        return false;
    }
    pthread_mutex_lock(&apart->mutex);
    size_t place = place_of(apart, id);
    bool is_there = is_at(apart, place, id);
    if (is_there) {
        *ret_why = apart->entries[place].why;
    }
    pthread_mutex_unlock(&apart->mutex);
    return is_there;
}

bool apart_before(struct apart *apart, uuid before, uuid *ret)
{
    if (apart_count(apart) == 0) {
        return false;
    }
    pthread_mutex_lock(&apart->mutex);
    size_t place = uuid_is_zero(before) ? apart->count : place_of(apart, before);
    bool is_there = place > 0;
    if (is_there) {
        *ret = apart->entries[place - 1].id;
    }
    pthread_mutex_unlock(&apart->mutex);
    return is_there;
}
