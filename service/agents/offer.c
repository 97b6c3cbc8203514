#include "service/agents/offer.h"

#include "polos/journal/v1/journal.pb-c.h"
#include "service/codec/body.h"

bool offer_is_same(const struct offer_record *a, const struct offer_record *b)
{
    struct buf bytes[2] = {0};
    const struct offer_record *offers[2] = {a, b};
    for (size_t i = 0; i < COUNT_OF(bytes); i++) {
        struct offer_record offer = *offers[i];
        offer.offered_ms = 0;
        offer_encode(&offer, &bytes[i]);
    }
    bool is_same = str_equal(buf_str(&bytes[0]), buf_str(&bytes[1]));
    buf_fini(&bytes[0]);
    buf_fini(&bytes[1]);
    return is_same;
}

void offer_encode(const struct offer_record *offer, struct buf *ret)
{
    Polos__Journal__V1__OfferRecord body = POLOS__JOURNAL__V1__OFFER_RECORD__INIT;
    assert(name_is_valid(offer->tool.name));
    body.deployment = body_bytes(offer->deployment);
    body.offered_ms = offer->offered_ms;
    body.name = body_bytes(offer->tool.name);
    body.description = body_bytes(offer->tool.description);
    body.parameters_json = body_bytes(offer->tool.parameters_json);
    body.timeout_ms = offer->tool.timeout_ms;
    body.at_most_once = offer->tool.at_most_once;
    body.queue = body_bytes(offer->queue);
    body.topic = body_bytes(offer->topic);
    body.batch_size = offer->batch_size;
    body.batch_timeout_ms = offer->batch_timeout_ms;
    body.cron = body_bytes(offer->cron);
    body.timezone = body_bytes(offer->zone);
    body.schedule_key = body_bytes(offer->schedule_key);
    body_pack(&body.base, ret);
}

status offer_decode(str bytes, struct arena *arena, struct offer_record *ret)
{
    const Polos__Journal__V1__OfferRecord *body =
        (const Polos__Journal__V1__OfferRecord *)body_unpack(
            &polos__journal__v1__offer_record__descriptor, bytes, arena);
    if (body == NULL || !name_is_valid(body_str(body->name))) {
        return status_make(CODE_DATA_LOSS, "offer of a tool or a workflow: damaged");
    }
    *ret = (struct offer_record){
        .deployment = body_str(body->deployment),
        .offered_ms = body->offered_ms,
        .tool =
            {
                .name = body_str(body->name),
                .description = body_str(body->description),
                .parameters_json = body_str(body->parameters_json),
                .timeout_ms = body->timeout_ms,
                .at_most_once = body->at_most_once,
            },
        .queue = body_str(body->queue),
        .topic = body_str(body->topic),
        .batch_size = body->batch_size,
        .batch_timeout_ms = body->batch_timeout_ms,
        .cron = body_str(body->cron),
        .zone = body_str(body->timezone),
        .schedule_key = body_str(body->schedule_key),
    };
    return STATUS_OK;
}
