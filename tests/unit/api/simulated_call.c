#include "tests/unit/api/simulated_call.h"

#include <stdlib.h>

#include "service/api/access.h"
#include "service/partition/partition.h"

static struct simulated_call *call_of(struct api_call *api)
{
    return container_of(api, struct simulated_call, api);
}

static void send_payload(struct api_call *api, struct payload *payload)
{
    struct simulated_call *call = call_of(api);
    if (call->finishes > 0) {
        payload_unref(payload);
        return;
    }
    assert(call->sent_count < SIMULATED_MESSAGES_MAX);
    call->sent[call->sent_count++] = payload;
}

static void finish(struct api_call *api, const struct failure *error)
{
    struct simulated_call *call = call_of(api);
    call->finishes++;
    assert(call->finishes == 1);
    if (error != NULL) {
        call->error = *error;
        call->error.field = arena_copy(&call->arena, error->field);
        call->error.message = arena_copy(&call->arena, error->message);
    }
}

static void ref(struct api_call *api)
{
    call_of(api)->references++;
}

static void unref(struct api_call *api)
{
    assert(call_of(api)->references > 1);
    call_of(api)->references--;
}

static size_t queued_bytes(const struct api_call *api)
{
    (void)api;
    return 0;
}

static bool stalls(struct api_call *api)
{
    return call_of(api)->stalls;
}

static void hold(struct api_call *api)
{
    call_of(api)->holds++;
}

static void let_on(struct api_call *api)
{
    assert(call_of(api)->holds > 0);
    call_of(api)->holds--;
}

static str header(const struct api_call *api, const char *name)
{
    (void)api;
    (void)name;
    return STR_EMPTY;
}

static const struct api_call_vtable vtable = {
    .send = send_payload,
    .finish = finish,
    .ref = ref,
    .unref = unref,
    .queued_bytes = queued_bytes,
    .stalls = stalls,
    .hold = hold,
    .let_on = let_on,
    .header = header,
};

static const struct api_method *find(const char *path)
{
    for (const struct api_method *const *table = api_methods(); *table != NULL; table++) {
        for (const struct api_method *row = *table; row->path != NULL; row++) {
            if (strcmp(row->path, path) == 0) {
                return row;
            }
        }
    }
    assert(false && "no row serves this path");
    return NULL;
}

struct simulated_call *simulated_call_start(struct api *api, const char *path,
                                            const ProtobufCMessage *request)
{
    return simulated_call_start_as(api, path, request,
                                   principal_anyone(partition_project(api->partition)));
}

struct simulated_call *simulated_call_start_as(struct api *api, const char *path,
                                               const ProtobufCMessage *request,
                                               struct principal principal)
{
    struct simulated_call *call = xcalloc(1, sizeof(*call));
    call->api.vtable = &vtable;
    call->api.method = find(path);
    call->api.service = api;
    call->references = 1;
    arena_init(&call->arena, 0);
    assert(request == NULL || request->descriptor == call->api.method->request);
    struct failure why;
    if (access_admit(&call->api, access_rights(str_of(path)), principal, &call->arena, &why)) {
        call->api.method->start(&call->api, request);
    } else {
        finish(&call->api, &why);
    }
    return call;
}

void simulated_call_message(struct simulated_call *call, const ProtobufCMessage *message)
{
    call->api.method->message(&call->api, message);
}

void simulated_call_closed(struct simulated_call *call)
{
    call->api.method->closed(&call->api);
}

void *simulated_call_sent(const struct simulated_call *call, size_t index)
{
    assert(index < call->sent_count);
    str bytes = payload_bytes(call->sent[index]);
    ProtobufCMessage *message = protobuf_c_message_unpack(call->api.method->response, NULL,
                                                          bytes.len, (const uint8_t *)bytes.ptr);
    assert(message != NULL);
    return message;
}

void simulated_call_release(struct simulated_call *call)
{
    assert(call->finishes == 1);
    assert(call->references == 1);
    if (call->api.method->released != NULL && call->error.reason != REASON_PERMISSION_DENIED) {
        call->api.method->released(&call->api);
    }
    for (size_t i = 0; i < call->sent_count; i++) {
        payload_unref(call->sent[i]);
    }
    arena_fini(&call->arena);
    free(call);
}
