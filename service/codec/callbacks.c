#include "service/codec/callbacks.h"

#include "polos/journal/v1/journal.pb-c.h"
#include "service/codec/body.h"

static_assert(ENGINE_CALLBACKS_MAX <= UINT8_MAX, "a phase counts them in a byte");

void callbacks_pack(const struct callback *callbacks, size_t count, struct buf *ret)
{
    Polos__Journal__V1__CallbackList body = POLOS__JOURNAL__V1__CALLBACK_LIST__INIT;
    Polos__Journal__V1__CallbackRecord records[ENGINE_CALLBACKS_MAX];
    Polos__Journal__V1__CallbackRecord *list[ENGINE_CALLBACKS_MAX];
    assert(count <= ENGINE_CALLBACKS_MAX); /* It was checked. */
    for (size_t i = 0; i < count; i++) {
        polos__journal__v1__callback_record__init(&records[i]);
        records[i].phase = (uint32_t)callbacks[i].phase;
        records[i].name = body_bytes(callbacks[i].name);
        records[i].timeout_ms = callbacks[i].timeout_ms;
        list[i] = &records[i];
    }
    body.n_callbacks = count;
    body.callbacks = list;
    body_pack(&body.base, ret);
}

status callbacks_unpack(str packed, struct arena *arena, const struct callback **ret,
                        size_t *ret_count)
{
    const Polos__Journal__V1__CallbackList *body =
        body_unpack(&polos__journal__v1__callback_list__descriptor, packed, arena);
    *ret = NULL;
    *ret_count = 0;
    if (body == NULL || body->n_callbacks > ENGINE_CALLBACKS_MAX) {
        return status_make(CODE_DATA_LOSS, "callbacks of an agent: damaged");
    }
    struct callback *callbacks = arena_zalloc(arena, (body->n_callbacks + 1) * sizeof(*callbacks));
    for (size_t i = 0; i < body->n_callbacks; i++) {
        const Polos__Journal__V1__CallbackRecord *record = body->callbacks[i];
        if (record->phase == CALLBACK_NONE || record->phase >= CALLBACK_PHASE_COUNT) {
            return status_make(CODE_FAILED_PRECONDITION,
                               "callbacks of an agent: a phase this release does not know");
        }
        callbacks[i].phase = (enum callback_phase)record->phase;
        callbacks[i].name = body_str(record->name);
        callbacks[i].timeout_ms = record->timeout_ms;
    }
    *ret = callbacks;
    *ret_count = body->n_callbacks;
    return STATUS_OK;
}

void callbacks_count(const struct callback *callbacks, size_t count,
                     uint8_t ret[CALLBACK_PHASE_ROOM])
{
    assert(count <= ENGINE_CALLBACKS_MAX);
    memset(ret, 0, CALLBACK_PHASE_ROOM);
    for (size_t i = 0; i < count; i++) {
        assert(callbacks[i].phase > CALLBACK_NONE && callbacks[i].phase < CALLBACK_PHASE_COUNT);
        ret[callbacks[i].phase]++;
    }
}
