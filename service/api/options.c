#include "service/api/options.h"

#include "service/api/text.h"
#include "service/api/times.h"

static bool take_labels(struct check *check, const char *prefix,
                        const Polos__V1__StartOptions *proto, struct start_options *ret)
{
    const struct {
        const char *field;
        const char *text;
        str *ret;
    } labels[] = {
        {"idempotency_key", proto->idempotency_key, &ret->idempotency_key},
        {"session_id", proto->session_id, &ret->session_id},
        {"user_id", proto->user_id, &ret->user_id},
        {"conversation_id", proto->conversation_id, &ret->conversation_id},
        {"concurrency_key", proto->concurrency_key, &ret->concurrency_key},
    };
    for (size_t i = 0; i < COUNT_OF(labels); i++) {
        str text = str_of(labels[i].text);
        if (!check_bytes(check, check_path(check, "%s%s", prefix, labels[i].field), text,
                         CHECK_LABEL_BYTES_MAX)) {
            return false;
        }
        *labels[i].ret = arena_copy(check->arena, text);
    }
    return true;
}

bool options_take_state(struct check *check, const struct state_fields *fields, const char *json,
                        const char *type, struct kept_state *ret)
{
    *ret = (struct kept_state){check_copy(check, json), check_copy(check, type)};
    if (ret->json.len == 0) {
        return ret->type.len == 0 ||
               check_fault(check, fields->type, "leave it empty: there is no state");
    }
    return check_bytes(check, fields->json, ret->json, OPTIONS_STATE_BYTES_MAX) &&
           check_json(check, fields->json, ret->json) &&
           check_bytes(check, fields->type, ret->type, CHECK_VALUE_TYPE_BYTES_MAX);
}

static bool take_state(struct check *check, const char *prefix, enum run_kind kind,
                       const Polos__V1__StartOptions *proto, struct start_options *ret)
{
    const struct state_fields fields = {check_path(check, "%sinitial_state_json", prefix),
                                        check_path(check, "%sinitial_state_type", prefix)};
    if (kind == RUN_KIND_AGENT && str_of(proto->initial_state_json).len > 0) {
        return check_fault(check, fields.json, "leave it empty: agents have no state");
    }
    return options_take_state(check, &fields, proto->initial_state_json, proto->initial_state_type,
                              &ret->state);
}

static bool take_retries(struct check *check, const char *prefix, enum run_kind kind,
                         const Polos__V1__RetryPolicy *retry, struct start_options *ret)
{
    const char *field = check_path(check, "%sretry.max_retries", prefix);
    uint32_t most = retry == NULL ? 0 : retry->max_retries;
    if (kind != RUN_KIND_WORKFLOW && most > 0) {
        return check_fault(check, field, "leave it 0: only workflows are tried again");
    }
    bool is_default = retry == NULL || kind != RUN_KIND_WORKFLOW;
    ret->max_retries = most > 0 ? (int32_t)most : is_default ? 0 : -1;
    return check_range(check, field, most, 0, OPTIONS_RETRIES_MAX);
}

static bool take_timeout(struct check *check, const char *prefix,
                         const Google__Protobuf__Duration *timeout, struct start_options *ret)
{
    return timeout == NULL || check_length(check, check_path(check, "%srun_timeout", prefix),
                                           timeout, 0, OPTIONS_TIMEOUT_MS_MAX, &ret->timeout_ms);
}

static bool take_queue(struct check *check, const char *prefix, str queue,
                       struct start_options *ret)
{
    ret->queue = arena_copy(check->arena, queue);
    return queue.len == 0 || check_name(check, check_path(check, "%squeue", prefix), queue);
}

static bool take_input_type(struct check *check, const char *prefix, enum run_kind kind, str type,
                            struct start_options *ret)
{
    const char *field = check_path(check, "%sinput_type", prefix);
    if (kind == RUN_KIND_AGENT && type.len > 0) {
        return check_fault(check, field, "leave it empty: what is said to an agent is text");
    }
    ret->input_type = arena_copy(check->arena, type);
    return check_bytes(check, field, type, CHECK_VALUE_TYPE_BYTES_MAX);
}

bool options_take(struct check *check, const char *prefix, enum run_kind kind,
                  const Polos__V1__StartOptions *proto, struct start_options *ret)
{
    assert(kind > RUN_KIND_NONE && kind < RUN_KIND_COUNT);
    *ret = (struct start_options){0};
    if (proto == NULL) {
        return true;
    }
    ret->priority = proto->priority;
    return take_labels(check, prefix, proto, ret) &&
           take_queue(check, prefix, str_of(proto->queue), ret) &&
           take_timeout(check, prefix, proto->run_timeout, ret) &&
           take_state(check, prefix, kind, proto, ret) &&
           take_input_type(check, prefix, kind, str_of(proto->input_type), ret) &&
           take_retries(check, prefix, kind, proto->retry, ret);
}

bool options_take_provider(struct check *check, const char *prefix, enum run_kind kind,
                           const Polos__V1__StartOptions *proto, str *ret)
{
    const char *field = check_path(check, "%sprovider_options_json", prefix);
    *ret = check_copy(check, proto == NULL ? NULL : proto->provider_options_json);
    if (kind != RUN_KIND_AGENT && ret->len > 0) {
        return check_fault(check, field, "leave it empty: only agents have provider options");
    }
    return (check->json_bytes_max == 0 || check_bytes(check, field, *ret, check->json_bytes_max)) &&
           check_json_object(check, field, *ret);
}

void options_hash(const struct start_options *options, struct buf *ret)
{
    assert(options->max_retries >= -1); /* All that mean none are one. */
    buf_put_counted(ret, options->session_id);
    buf_put_counted(ret, options->user_id);
    buf_put_counted(ret, options->conversation_id);
    buf_put_u64_le(ret, options->timeout_ms);
    if (options->state.json.len > 0 || options->max_retries != 0) {
        buf_put_counted(ret, options->state.json);
        buf_put_u64_le(ret, (uint64_t)(int64_t)options->max_retries);
    }
    if (options->queue.len > 0 || options->concurrency_key.len > 0 || options->priority != 0) {
        buf_put_counted(ret, options->queue);
        buf_put_counted(ret, options->concurrency_key);
        buf_put_u64_le(ret, (uint64_t)(int64_t)options->priority);
    }
    if (options->input_type.len > 0 || options->state.type.len > 0) {
        buf_put_counted(ret, options->input_type);
    }
    if (options->state.type.len > 0) {
        buf_put_counted(ret, options->state.type);
    }
}

void options_show(const struct start_options *options, struct arena *arena, Polos__V1__Run *ret)
{
    assert(ret->base.descriptor == &polos__v1__run__descriptor);
    ret->session_id = text_of(arena, options->session_id);
    ret->user_id = text_of(arena, options->user_id);
    ret->conversation_id = text_of(arena, options->conversation_id);
    ret->queue = text_of(arena, options->queue);
    ret->concurrency_key = text_of(arena, options->concurrency_key);
    ret->input_type = text_of(arena, options->input_type);
}

Polos__V1__StartOptions *options_view(const struct start_options *options, str provider_options,
                                      struct arena *arena)
{
    Polos__V1__StartOptions *ret = arena_alloc(arena, sizeof(*ret));
    polos__v1__start_options__init(ret);
    ret->idempotency_key = text_of(arena, options->idempotency_key);
    ret->run_timeout = times_length(arena, options->timeout_ms);
    ret->session_id = text_of(arena, options->session_id);
    ret->user_id = text_of(arena, options->user_id);
    ret->conversation_id = text_of(arena, options->conversation_id);
    ret->initial_state_json = text_of(arena, options->state.json);
    ret->initial_state_type = text_of(arena, options->state.type);
    if (options->max_retries != 0) {
        ret->retry = arena_alloc(arena, sizeof(*ret->retry));
        polos__v1__retry_policy__init(ret->retry);
        ret->retry->max_retries = options->max_retries < 0 ? 0 : (uint32_t)options->max_retries;
    }
    ret->queue = text_of(arena, options->queue);
    ret->concurrency_key = text_of(arena, options->concurrency_key);
    ret->priority = options->priority;
    ret->input_type = text_of(arena, options->input_type);
    ret->provider_options_json = text_of(arena, provider_options);
    return ret;
}
