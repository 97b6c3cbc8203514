#include "clients/sandbox/host/approval.h"

#include "service/base/json.h"
#include "service/base/json_writer.h"

const char approval_schema[] =
    "{\"type\":\"object\",\"properties\":{\"approved\":{\"type\":\"boolean\"},\"allow_always\":"
    "{\"type\":[\"boolean\",\"null\"]},\"feedback\":{\"type\":[\"string\",\"null\"]}},"
    "\"required\":[\"approved\"]}";

static void put_field(struct json_writer *writer, const char *key, const char *type,
                      const char *label, bool is_required)
{
    json_begin_object(writer, NULL);
    json_put_string(writer, "key", str_of(key));
    json_put_string(writer, "type", str_of(type));
    json_put_string(writer, "label", str_of(label));
    json_put_bool(writer, "required", is_required);
    json_end_object(writer);
}

static void begin_form(struct json_writer *writer, const char *title, const char *description)
{
    json_begin_object(writer, NULL);
    json_begin_object(writer, "_form");
    json_put_string(writer, "title", str_of(title));
    json_put_string(writer, "description", str_of(description));
}

static void end_form(struct json_writer *writer, const char *source, const char *tool)
{
    json_end_object(writer);
    json_put_string(writer, "_source", str_of(source));
    json_put_string(writer, "_tool", str_of(tool));
    json_end_object(writer);
}

void approval_ask_command(str command, str folder, const char *why, struct buf *ret)
{
    struct json_writer writer = json_writer_of(ret);
    begin_form(&writer, "Approve command execution",
               "The agent wants to run a shell command in the local sandbox.");
    json_begin_array(&writer, "fields");
    put_field(&writer, "approved", "boolean", "Approve this command?", true);
    put_field(&writer, "allow_always", "boolean", "Always allow this command in this sandbox?",
              false);
    put_field(&writer, "feedback", "textarea", "Feedback for the agent (optional)", false);
    json_end_array(&writer);
    json_begin_object(&writer, "context");
    json_put_string(&writer, "command", command);
    json_put_string(&writer, "cwd", folder);
    json_put_string(&writer, "environment", STR("local"));
    if (why != NULL) {
        json_put_string(&writer, "reason", str_of(why));
    }
    json_end_object(&writer);
    end_form(&writer, "exec_security", "exec");
}

void approval_ask_file(const char *tool, str arguments_json, struct buf *ret)
{
    struct json_writer writer = json_writer_of(ret);
    begin_form(&writer, "Approve a change of a file",
               "The agent wants to change a file in the local sandbox.");
    json_begin_array(&writer, "fields");
    put_field(&writer, "approved", "boolean", "Approve this change?", true);
    put_field(&writer, "feedback", "textarea", "Feedback for the agent (optional)", false);
    json_end_array(&writer);
    json_put_raw(&writer, "context", arguments_json);
    end_form(&writer, "file_approval", tool);
}

struct approval approval_read(str answer_json, struct arena *arena)
{
    struct approval approval = {0};
    struct buf feedback = {0};
    str raw;
    /* What the step is given has the answer as its data. */
    if (json_object_get_kind(answer_json, STR("data"), JSON_OBJECT, &raw)) {
        answer_json = raw;
    }
    if (json_object_get(answer_json, STR("approved"), &raw)) {
        json_to_bool(raw, &approval.is_approved);
    }
    if (json_object_get(answer_json, STR("allow_always"), &raw)) {
        json_to_bool(raw, &approval.is_for_always);
    }
    if (json_object_get(answer_json, STR("feedback"), &raw)) {
        json_string_decode(raw, &feedback);
    }
    approval.feedback = buf_finish(&feedback, arena);
    return approval;
}

void approval_put_rejected_command(str command, const struct approval *approval, struct buf *ret)
{
    struct buf errors = {0};
    struct json_writer writer = json_writer_of(ret);
    buf_printf(&errors, "Command rejected by user: ");
    buf_put(&errors, command);
    if (approval->feedback.len > 0) {
        buf_printf(&errors, "\nUser feedback: ");
        buf_put(&errors, approval->feedback);
    }
    json_begin_object(&writer, NULL);
    json_put_i64(&writer, "exit_code", -1);
    json_put_string(&writer, "stdout", STR_EMPTY);
    json_put_string(&writer, "stderr", buf_str(&errors));
    json_put_u64(&writer, "duration_ms", 0);
    json_put_bool(&writer, "truncated", false);
    json_end_object(&writer);
    buf_fini(&errors);
}
