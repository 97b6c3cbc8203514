#include "service/rpc/reflection.h"

#include "grpc/reflection/v1/reflection.pb-c.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest question;
typedef Grpc__Reflection__V1__ServerReflectionResponse answer;

#define QUESTION(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWER(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

/* The parts an answer points to. */
struct parts {
    struct arena arena;
    Grpc__Reflection__V1__FileDescriptorResponse files;
    Grpc__Reflection__V1__ListServiceResponse services;
    Grpc__Reflection__V1__ErrorResponse error;
};

static void answer_error(answer *ret, struct parts *parts, enum code code, const char *message)
{
    grpc__reflection__v1__error_response__init(&parts->error);
    parts->error.error_code = (int32_t)code;
    parts->error.error_message = (char *)message;
    ret->message_response_case = ANSWER(ERROR_RESPONSE);
    ret->error_response = &parts->error;
}

static void answer_file(const struct descriptors *descriptors, size_t file, answer *ret,
                        struct parts *parts)
{
    if (file == DESCRIPTORS_NONE) {
        answer_error(ret, parts, CODE_NOT_FOUND,
                     "not defined here; list_services tells what this server has");
        return;
    }
    size_t room = descriptors_file_count(descriptors);
    size_t *closure = arena_alloc(&parts->arena, room * sizeof(*closure));
    size_t count = descriptors_closure(descriptors, file, closure);
    ProtobufCBinaryData *files = arena_alloc(&parts->arena, count * sizeof(*files));
    for (size_t i = 0; i < count; i++) {
        str bytes = descriptors_file_bytes(descriptors, closure[i]);
        files[i] = (ProtobufCBinaryData){bytes.len, (uint8_t *)bytes.ptr};
    }
    grpc__reflection__v1__file_descriptor_response__init(&parts->files);
    parts->files.n_file_descriptor_proto = count;
    parts->files.file_descriptor_proto = files;
    ret->message_response_case = ANSWER(FILE_DESCRIPTOR_RESPONSE);
    ret->file_descriptor_response = &parts->files;
}

static void answer_services(const struct methods *methods, answer *ret, struct parts *parts)
{
    size_t count = methods_service_count(methods);
    Grpc__Reflection__V1__ServiceResponse *rows = arena_alloc(&parts->arena, count * sizeof(*rows));
    Grpc__Reflection__V1__ServiceResponse **list =
        arena_alloc(&parts->arena, count * sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        grpc__reflection__v1__service_response__init(&rows[i]);
        rows[i].name = arena_cstr(&parts->arena, methods_service(methods, i));
        list[i] = &rows[i];
    }
    grpc__reflection__v1__list_service_response__init(&parts->services);
    parts->services.n_service = count;
    parts->services.service = list;
    ret->message_response_case = ANSWER(LIST_SERVICES_RESPONSE);
    ret->list_services_response = &parts->services;
}

static void answer_question(const struct reflection *reflection, const question *asked, answer *ret,
                            struct parts *parts)
{
    const struct descriptors *descriptors = reflection->descriptors;
    switch ((int)asked->message_request_case) {
    case QUESTION(LIST_SERVICES):
        answer_services(reflection->methods, ret, parts);
        return;
    case QUESTION(FILE_BY_FILENAME):
        answer_file(descriptors,
                    descriptors_file_named(descriptors, str_of(asked->file_by_filename)), ret,
                    parts);
        return;
    case QUESTION(FILE_CONTAINING_SYMBOL):
        answer_file(descriptors,
                    descriptors_file_with(descriptors, str_of(asked->file_containing_symbol)), ret,
                    parts);
        return;
    case QUESTION(FILE_CONTAINING_EXTENSION):
    case QUESTION(ALL_EXTENSION_NUMBERS_OF_TYPE):
        answer_error(ret, parts, CODE_NOT_FOUND, "this API has no extensions");
        return;
    default: /* A later version of the protocol. */
        answer_error(ret, parts, CODE_INVALID_ARGUMENT,
                     "set one of file_by_filename, file_containing_symbol, list_services");
    }
}

static void start(struct api_call *call, const ProtobufCMessage *request)
{
    assert(request == NULL);
    assert(call->service != NULL);
    (void)call;
    (void)request;
}

static void message(struct api_call *call, const ProtobufCMessage *base)
{
    answer response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    struct parts parts;
    if (base == NULL) {
        call->vtable->finish(call, NULL);
        return;
    }
    const question *asked = (const question *)base;
    arena_init(&parts.arena, 0);
    response.valid_host = asked->host;
    response.original_request = (question *)asked;
    answer_question((const struct reflection *)call->service, asked, &response, &parts);
    api_call_send(call, &response.base);
    arena_fini(&parts.arena);
}

const struct api_method reflection_methods[] = {
    {
        .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        .kind = API_BIDI,
        .request = &grpc__reflection__v1__server_reflection_request__descriptor,
        .response = &grpc__reflection__v1__server_reflection_response__descriptor,
        .start = start,
        .message = message,
    },
    {
        .path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        .kind = API_BIDI,
        .request = &grpc__reflection__v1__server_reflection_request__descriptor,
        .response = &grpc__reflection__v1__server_reflection_response__descriptor,
        .start = start,
        .message = message,
    },
    {.path = NULL},
};
