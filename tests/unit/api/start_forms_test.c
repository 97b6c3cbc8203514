/*
 * Goal:   whoever starts a run says it in the same fields: Start and Run of each service, a task's
 *         RunSpec and a schedule's Put.
 * Method: the descriptors of their messages, field by field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "polos/v1/agents.pb-c.h"
#include "polos/v1/schedules.pb-c.h"
#include "polos/v1/start.pb-c.h"
#include "polos/v1/tools.pb-c.h"
#include "polos/v1/workflows.pb-c.h"
#include "service/base/base.h"

static bool is_same_kind(const ProtobufCFieldDescriptor *a, const ProtobufCFieldDescriptor *b)
{
    return a->type == b->type && a->label == b->label && a->descriptor == b->descriptor;
}

/* Each field of one is a field of the other, by the same number. */
static void expect_fields(const ProtobufCMessageDescriptor *these,
                          const ProtobufCMessageDescriptor *those)
{
    for (unsigned i = 0; i < these->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &these->fields[i];
        const ProtobufCFieldDescriptor *other =
            protobuf_c_message_descriptor_get_field_by_name(those, field->name);
        if (other == NULL || other->id != field->id || !is_same_kind(field, other)) {
            fail_msg("%s.%s is not so in %s", these->name, field->name, those->name);
        }
    }
    assert_in_range(these->n_fields, 3, 10);
}

static void start_and_run_take_the_same(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *const pairs[][2] = {
        {&polos__v1__agent_service_start_request__descriptor,
         &polos__v1__agent_service_run_request__descriptor},
        {&polos__v1__workflow_service_start_request__descriptor,
         &polos__v1__workflow_service_run_request__descriptor},
        {&polos__v1__tool_service_start_request__descriptor,
         &polos__v1__tool_service_run_request__descriptor},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        expect_fields(pairs[i][0], pairs[i][1]);
        expect_fields(pairs[i][1], pairs[i][0]);
    }
}

/* What is started has its id there and a name here. */
static void expect_in_spec(const ProtobufCMessageDescriptor *start, const char *id)
{
    const ProtobufCMessageDescriptor *spec = &polos__v1__run_spec__descriptor;
    for (unsigned i = 0; i < start->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &start->fields[i];
        const char *name = strcmp(field->name, id) == 0 ? "name" : field->name;
        const ProtobufCFieldDescriptor *other =
            protobuf_c_message_descriptor_get_field_by_name(spec, name);
        if (other == NULL || !is_same_kind(field, other)) {
            fail_msg("%s.%s is not so in RunSpec", start->name, field->name);
        }
    }
}

static void a_spec_holds_what_any_start_says(void **state)
{
    (void)state;
    expect_in_spec(&polos__v1__agent_service_start_request__descriptor, "agent_id");
    expect_in_spec(&polos__v1__workflow_service_start_request__descriptor, "workflow_id");
    expect_in_spec(&polos__v1__tool_service_start_request__descriptor, "tool_id");
    /* The kind and the name, and what three ways of starting have between them. */
    assert_int_equal(polos__v1__run_spec__descriptor.n_fields, 2 + 4);
}

/* Nobody has options of their own. */
static void options_are_the_same_everywhere(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *const all[] = {
        &polos__v1__agent_service_start_request__descriptor,
        &polos__v1__workflow_service_start_request__descriptor,
        &polos__v1__tool_service_start_request__descriptor,
        &polos__v1__run_spec__descriptor,
        &polos__v1__schedule_service_put_request__descriptor,
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        const ProtobufCFieldDescriptor *options =
            protobuf_c_message_descriptor_get_field_by_name(all[i], "options");
        if (options == NULL || options->descriptor != &polos__v1__start_options__descriptor) {
            fail_msg("%s.options is no StartOptions", all[i]->name);
        }
        for (unsigned j = 0; j < polos__v1__start_options__descriptor.n_fields; j++) {
            const char *name = polos__v1__start_options__descriptor.fields[j].name;
            assert_null(protobuf_c_message_descriptor_get_field_by_name(all[i], name));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_and_run_take_the_same),
        cmocka_unit_test(a_spec_holds_what_any_start_says),
        cmocka_unit_test(options_are_the_same_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
