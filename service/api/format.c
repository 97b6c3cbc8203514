#include "service/api/format.h"

#include <inttypes.h>
#include <stdio.h>

#include "service/api/api.h"
#include "service/api/history_event.h"
#include "service/api/text.h"
#include "service/api/watch.h"
#include "service/features/watchers/watchers.h"
#include "service/llm/provider.h"

void position_format(struct position position, char ret[POSITION_BYTES])
{
    assert(position.effect != 0 || (position.attempt == 0 && position.offset == 0));
    int len = snprintf(ret, POSITION_BYTES, "%" PRIu32 ".%" PRIu32 ".%" PRIu32 ".%" PRIu64,
                       position.seq, position.effect, position.attempt, position.offset);
    assert(len > 0 && len < POSITION_BYTES);
}

/* Takes a number without leading zeros, up to max, from the front of rest. */
static bool take_number(str *rest, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    size_t len = 0;
    for (; len < rest->len && rest->ptr[len] >= '0' && rest->ptr[len] <= '9'; len++) {
        uint64_t digit = (uint64_t)(rest->ptr[len] - '0');
        if (value > (max - digit) / 10) {
            return false;
        }
        value = 10 * value + digit;
    }
    if (len == 0 || (len > 1 && rest->ptr[0] == '0')) {
        return false;
    }
    *rest = str_make(rest->ptr + len, rest->len - len);
    *ret = value;
    return true;
}

bool position_parse(str text, struct position *ret)
{
    static const uint64_t max[] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX};
    uint64_t numbers[COUNT_OF(max)] = {0};
    str rest = text;
    for (size_t i = 0; i < COUNT_OF(max); i++) {
        if (i > 0) {
            if (rest.len == 0 || rest.ptr[0] != '.') {
                return false;
            }
            rest = str_make(rest.ptr + 1, rest.len - 1);
        }
        if (!take_number(&rest, max[i], &numbers[i])) {
            return false;
        }
    }
    bool has_effect = numbers[1] != 0;
    bool is_whole = rest.len == 0 && has_effect == (numbers[2] != 0);
    if (!is_whole || (!has_effect && numbers[3] != 0)) {
        return false;
    }
    *ret = (struct position){
        .seq = (uint32_t)numbers[0],
        .effect = (uint32_t)numbers[1],
        .attempt = (uint32_t)numbers[2],
        .offset = numbers[3],
    };
    return true;
}

void tree_position_format(uint64_t number, char ret[POSITION_BYTES])
{
    int len = snprintf(ret, POSITION_BYTES, "tree.%" PRIu64, number);
    assert(len > 0 && len < POSITION_BYTES);
}

bool tree_position_parse(str text, uint64_t *ret)
{
    static const str prefix = {"tree.", 5};
    if (text.len <= prefix.len || memcmp(text.ptr, prefix.ptr, prefix.len) != 0) {
        return false;
    }
    str rest = str_make(text.ptr + prefix.len, text.len - prefix.len);
    return take_number(&rest, UINT64_MAX, ret) && rest.len == 0;
}

/* at NULL: the position is the run's. */
static struct payload *pack_at(struct position position, const struct tree_point *at,
                               Polos__V1__RunServiceWatchResponse *response)
{
    char text[POSITION_BYTES];
    char run[UUID_TEXT_BYTES];
    position_format(position, text);
    if (at != NULL) {
        tree_position_format(at->number, text);
    }
    if (at != NULL && !uuid_is_zero(at->run)) {
        uuid_format(at->run, run);
        response->run_id = run;
    }
    response->position = text;
    return api_pack(&response->base);
}

static void pack_fact(const struct tree_point *at, const struct codec_entry *entry,
                      const struct event *event,
                      void (*each)(void *context, struct payload *payload), void *context)
{
    struct arena arena;
    arena_init(&arena, 0);
    Polos__V1__RunServiceWatchResponse response = POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__INIT;
    response.event_case = POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_FACT;
    response.fact = history_event(entry, event, &arena);
    each(context, pack_at((struct position){.seq = entry->seq}, at, &response));
    arena_fini(&arena);
}

static_assert((int)POLOS__V1__DELTA_KIND__DELTA_KIND_TEXT == MODEL_DELTA_TEXT + 1);
static_assert((int)POLOS__V1__DELTA_KIND__DELTA_KIND_REASONING == MODEL_DELTA_REASONING + 1);
static_assert((int)POLOS__V1__DELTA_KIND__DELTA_KIND_TOOL_ARGUMENTS ==
              MODEL_DELTA_TOOL_ARGUMENTS + 1);

static struct payload *pack_delta(const struct tree_point *at, const struct watch_delta *shown)
{
    assert(shown->kind >= POLOS__V1__DELTA_KIND__DELTA_KIND_TEXT &&
           shown->kind <= POLOS__V1__DELTA_KIND__DELTA_KIND_PROGRESS);
    struct arena arena;
    arena_init(&arena, 0);
    Polos__V1__Delta delta = POLOS__V1__DELTA__INIT;
    delta.effect_id = shown->effect;
    delta.attempt = shown->attempt;
    delta.kind = (Polos__V1__DeltaKind)shown->kind;
    delta.text = text_of(&arena, shown->text);
    delta.turn = shown->turn;
    delta.offset = shown->offset == 0 ? 0 : shown->offset - shown->text.len;
    Polos__V1__RunServiceWatchResponse response = POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__INIT;
    response.event_case = POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_DELTA;
    response.delta = &delta;
    struct position position = {
        .seq = shown->seq,
        .effect = shown->effect,
        .attempt = shown->attempt,
        .offset = shown->offset,
    };
    struct payload *ret = pack_at(position, at, &response);
    arena_fini(&arena);
    return ret;
}

static struct payload *pack_caught_up(bool is_tree, uint64_t number)
{
    const struct tree_point at = {.number = number};
    Polos__V1__RunServiceWatchResponse response = POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__INIT;
    response.event_case = POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_CAUGHT_UP;
    response.caught_up = true;
    return pack_at((struct position){.seq = (uint32_t)number}, is_tree ? &at : NULL, &response);
}

struct payload *format_ended(bool is_tree, uint64_t number, Polos__V1__Run *run)
{
    const struct tree_point at = {.number = number};
    Polos__V1__RunServiceWatchResponse response = POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__INIT;
    response.event_case = POLOS__V1__RUN_SERVICE_WATCH_RESPONSE__EVENT_ENDED;
    response.ended = run;
    return pack_at((struct position){.seq = (uint32_t)number}, is_tree ? &at : NULL, &response);
}

const struct watch_format *api_format(void)
{
    static const struct watch_format format = {
        .fact = pack_fact,
        .delta = pack_delta,
        .caught_up = pack_caught_up,
        .ended = watch_show_end,
    };
    return &format;
}
