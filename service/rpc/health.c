#include "service/rpc/health.h"

#include "grpc/health/v1/health.pb-c.h"

typedef Grpc__Health__V1__HealthCheckRequest check_request;
typedef Grpc__Health__V1__HealthCheckResponse check_response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

#define STATUS_PREFIX(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

static const char watch_path[] = "/grpc.health.v1.Health/Watch";

static bool is_known(const struct health *health, str service)
{
    return service.len == 0 || methods_has_service(health->methods, service);
}

static serving_status state(struct health *health)
{
    return atomic_load(&health->serving) ? STATUS_PREFIX(SERVING) : STATUS_PREFIX(NOT_SERVING);
}

static void check(struct api_call *call, const ProtobufCMessage *base)
{
    struct health *health = (struct health *)call->service;
    const check_request *request = (const check_request *)base;
    check_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    if (!is_known(health, str_of(request->service))) {
        api_call_fail(call, &(struct failure){
                                .code = CODE_NOT_FOUND,
                                .reason = REASON_SERVICE_NOT_FOUND,
                                .field = STR("service"),
                                .message = STR("no such service here; leave it empty to ask for "
                                               "the server"),
                            });
        return;
    }
    response.status = state(health);
    api_call_reply(call, &response.base);
}

/* call->user: the status last told, so that a change is told once. */
static void tell(struct api_call *call, serving_status now)
{
    check_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    assert((serving_status)(uintptr_t)call->user != now && "a change is told once");
    call->user = (void *)(uintptr_t)now;
    response.status = now;
    api_call_send(call, &response.base);
}

static void watch(struct api_call *call, const ProtobufCMessage *base)
{
    struct health *health = (struct health *)call->service;
    const check_request *request = (const check_request *)base;
    bool known = is_known(health, str_of(request->service));
    tell(call, known ? state(health) : STATUS_PREFIX(SERVICE_UNKNOWN));
}

void health_changed(struct api_call *call)
{
    if (call->method == NULL || call->method->start != watch || call->user == NULL) {
        return;
    }
    assert(strcmp(call->method->path, watch_path) == 0);
    serving_status told = (serving_status)(uintptr_t)call->user;
    serving_status now = state((struct health *)call->service);
    if (told != now && told != STATUS_PREFIX(SERVICE_UNKNOWN)) {
        tell(call, now);
    }
}

void health_init(struct health *health, const struct methods *methods)
{
    assert(methods != NULL);
    health->methods = methods;
    atomic_init(&health->serving, true);
}

bool health_is_serving(struct health *health)
{
    return atomic_load(&health->serving);
}

void health_set(struct health *health, bool serving)
{
    atomic_store(&health->serving, serving);
}

const struct api_method health_methods[] = {
    {
        .path = "/grpc.health.v1.Health/Check",
        .kind = API_UNARY,
        .request = &grpc__health__v1__health_check_request__descriptor,
        .response = &grpc__health__v1__health_check_response__descriptor,
        .start = check,
    },
    {
        .path = watch_path,
        .kind = API_SERVER_STREAM,
        .request = &grpc__health__v1__health_check_request__descriptor,
        .response = &grpc__health__v1__health_check_response__descriptor,
        .start = watch,
    },
    {.path = NULL},
};
